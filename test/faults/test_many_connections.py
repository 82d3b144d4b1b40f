"""More connections than there is work: thousands that stand idle, hundreds that send a byte now and then, and as many as
there are descriptors. Who comes fresh is served, memory per idle connection is small, and want of descriptors is waited
for without a spin, harms nobody who is being served, and ends by itself."""
import os
import pathlib
import resource
import socket
import threading
import time

from play import client
from play.deadline import FACTOR, eventually
from play.halves import Halves
from play.manifests import backend, path, route, rule, world
from play.memory import anonymous_kib, is_sanitized
from play.others import Others

IDLE_KIB = 6  # of memory for an idle connection that was served once
ALL_MIB = 60  # of the whole process with 10 000 of them
SPARE = 400  # descriptors beside the connections: pytest's own, the gateway's own


def raise_limit(n):
    """As many descriptors as n, or as are permitted; a gateway that is started now has them too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < n:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(n, hard) if hard != resource.RLIM_INFINITY else n, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_idle_connections_are_cheap_and_nobody_waits_for_them(gateway, upstream, scale):
    up = upstream("a")
    # Half of the gateway's descriptors are for clients.
    n = min(scale.connections, (raise_limit(2 * (scale.connections + SPARE)) - SPARE) // 2)
    assert n >= scale.connections * 0.9, f"too few descriptors are permitted: {n} connections"
    gw = gateway(world(backend("a", up), route("r", rule("a"))))
    others = Others(gw)
    warm = [gw.raw(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n") for _ in range(50)]
    for raw in warm:
        assert raw.reply().status == 200
    before, idle = anonymous_kib(gw), []
    try:
        while len(idle) < n:
            batch = [gw.raw(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n") for _ in range(min(100, n - len(idle)))]
            for raw in batch:
                assert raw.reply().status == 200
            idle += batch
            others.come()
        others.come(5)
        each, whole = (anonymous_kib(gw) - before) / n, anonymous_kib(gw) / 1024
        print(f"{n} idle connections, {each:.2f} KiB each, {whole:.1f} MiB in all")
        assert is_sanitized(gw) or each <= IDLE_KIB and whole + each * max(0, 10000 - n) / 1024 <= ALL_MIB
        eventually(lambda: gw.metric("tollgate_connections_active") == n + len(warm), what="the others' connections to be closed")
        assert gw.metric("tollgate_shed_total") == 0
        # They are all alive.
        for raw in idle[::max(1, n // 50)]:
            raw.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
            assert raw.reply().status == 200
    finally:
        for raw in idle + warm:
            raw.sock.close()
    others.check()
    eventually(lambda: gw.metric("tollgate_connections_active") == 0, 20, "the connections to be closed")


def test_slow_heads_and_bodies_keep_nobody_waiting(gateway, upstream, scale):
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a"))))
    others = Others(gw)
    n = scale(50, 500)
    slow = [gw.raw(b"GET /slow HTTP/1.1\r\nHost: a.test\r\nX: ") for _ in range(n)]
    slow += [gw.raw(b"POST /slow HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000\r\n\r\n") for _ in range(n)]
    rounds = scale(5, 20)
    for _ in range(rounds):
        for raw in slow:
            raw.send(b"x")
        others.come(2)
    assert gw.metric("tollgate_connections_active") >= 2 * n
    assert [r.target for r in up.requests if r.target != "/fresh"] == [], "none has come whole"
    for raw in slow[:n]:
        raw.send(b"\r\n\r\n")
    for raw in slow[n:]:
        raw.send(b"x" * (1000 - rounds))
    for raw in slow:
        assert raw.reply().status == 200
        raw.sock.close()
    others.check()


# ---- no descriptors ----

LIMIT = 256


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def n_descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_want_of_descriptors_is_waited_for(gateway, upstream, scale):
    up = upstream("a")
    streams = Halves(up)
    gw = gateway(world(backend("a", up), backend("b", upstream("b")),
                       route("r", rule("a"), rule("b", matches=[path("/other")]))),
                 args=["--workers", "1"])
    pid = gw.process.pid
    streams.begin(gw, 30)
    kept, other = gw.raw(), gw.raw()
    for raw in (kept, other):
        raw.send(b"GET /kept HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert raw.reply().status == 200
    before = n_descriptors(pid)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
    crowd = [socket.create_connection(("127.0.0.1", gw.port()), timeout=20 * FACTOR) for _ in range(LIMIT)]
    eventually(lambda: n_descriptors(pid) >= LIMIT, 10, "the descriptors to be used up")
    # No spin: it waits for descriptors as for anything else.
    seconds = scale(1, 5)
    started, used = time.monotonic(), cpu_s(pid)
    threading.Event().wait(seconds)
    share = (cpu_s(pid) - used) / (time.monotonic() - started)
    print(f"{share * 100:.1f} % of a processor with {LIMIT} descriptors used up")
    assert share < 0.1
    # What runs is finished, and who is connected already is served (the connection to the backend is there, too).
    kept.send(b"GET /kept HTTP/1.1\r\nHost: a.test\r\n\r\n")
    assert kept.reply().status == 200
    # Who needs a new connection to a backend has it in place of one that is not used. Where all are used it is told so.
    kept.send(b"GET /other HTTP/1.1\r\nHost: a.test\r\n\r\n")
    assert kept.reply().status == 200
    streams.begin_on(kept)
    other.send(b"GET /other HTTP/1.1\r\nHost: a.test\r\n\r\n")
    reply = other.reply()
    assert (reply.status, reply.code) == (503, "upstream_connections_exhausted")
    streams.finish()
    other.send(b"GET /other HTTP/1.1\r\nHost: a.test\r\n\r\n")
    assert other.reply().status == 200
    # One of the admin's waits as well. Not before: its thread may take the descriptor that a worker has just given back.
    eventually(lambda: n_descriptors(pid) >= LIMIT, 10, "those who wait to have what the streams gave back")
    probe = client.Raw(gw.admin_port, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % gw.admin_port)
    # It recovers without help: those who waited are served when others leave.
    for sock in crowd[:LIMIT - 20]:
        sock.close()
    for sock in crowd[LIMIT - 20:]:
        sock.sendall(b"GET /late HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")
        sock.close()
    assert probe.reply().status == 200
    for raw in (other, probe):
        raw.sock.close()
    assert gw.request("/").status == 200
    eventually(lambda: gw.metric("tollgate_connections_active") == 0, 10, "the connections to be closed")
    eventually(lambda: n_descriptors(pid) < before, 10, "the descriptors to be given back")
