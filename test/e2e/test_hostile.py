"""Clients and upstreams that mean harm, or stall: what they can make the gateway hold is bounded, and
nobody else pays."""
import ctypes
import os
import pathlib
import signal
import socket
import ssl
import threading

import pytest

from play.client import Raw
from play.deadline import FACTOR, eventually
from play.manifests import (backend, client_policy, http_listener, https_listener, local_provider, path, route, rule,
                            security_policy, target, tls_secret, world)
from play.memory import anonymous_kib, is_sanitized
from play.upstream import Answer

UPGRADE = (b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")


def send_until_blocked(sock, data, limit):
    """How many bytes the other side took before it stopped taking them."""
    sock.settimeout(1 * FACTOR)
    n = 0
    try:
        while n < limit:
            n += sock.send(data)
    except socket.timeout:
        pass
    return n


def test_pipelined_requests_wait_while_their_answers_are_not_taken(gateway, upstream):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a", matches=[path("/only")]))))
    before = anonymous_kib(gw)
    with gw.raw() as raw:
        n = send_until_blocked(raw.sock, b"GET /none HTTP/1.1\r\nHost: a.test\r\n\r\n" * 4000, 200_000_000)
        assert n < 100_000_000, "nothing pushes back"
        if not is_sanitized(gw):
            assert anonymous_kib(gw) - before < 16384
        assert gw.request("/only").status == 200, "others are served"


def test_an_upgraded_connection_pushes_back(gateway, upstream):
    up, may_end = upstream("a"), threading.Event()

    def script(_request, connection):
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
                        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
        may_end.wait(60)

    up.script = script
    gw = gateway(world(backend("a", up), route("r", rule("a"))))
    before = anonymous_kib(gw)
    with gw.raw(UPGRADE) as raw:
        assert raw.head()[0] == 101
        n = send_until_blocked(raw.sock, b"x" * 1_000_000, 400_000_000)
        assert n < 100_000_000, "nothing pushes back"
        if not is_sanitized(gw):
            assert anonymous_kib(gw) - before < 4096
    may_end.set()


def test_an_unasked_101_opens_no_tunnel(gateway, upstream):
    up = upstream("a")
    tunnelled = []

    def script(_request, connection):
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        connection.recv()
        tunnelled.append(connection.buffer)

    up.script = script
    gw = gateway(world(backend("a", up), route("r", rule("a", matches=[path("/only")]))))
    with gw.raw(b"GET /only HTTP/1.1\r\nHost: a.test\r\n\r\n") as raw:
        reply = raw.reply()
        assert (reply.status, reply.code) == (502, "upstream_bad_answer")
        raw.send(b"GET /elsewhere HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert raw.reply().status == 404
    eventually(lambda: tunnelled == [b""], 5, "the upstream's connection to be closed, unused")


def test_interim_answers_without_end_are_cut_off(gateway, upstream):
    up = upstream("a")

    def script(_request, connection):
        try:
            while True:
                connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 100)
        except OSError:
            return None

    up.script = script
    gw = gateway(world(backend("a", up), route("r", rule("a"))))
    reply = gw.request()
    assert (reply.status, reply.code) == (502, "upstream_bad_answer")


def test_an_optional_token_that_is_there_must_be_good(gateway, upstream, issuer):
    up, iss = upstream("a"), issuer("iss")
    gw = gateway(world(
        backend("a", up), route("r", rule("a")),
        security_policy("sp", target("HTTPRoute", "r"),
                        jwt={"optional": True, "providers": [local_provider(iss)]})))

    def ask(*lines):
        head = b"".join(line + b"\r\n" for line in lines)
        with gw.raw(b"GET / HTTP/1.1\r\nHost: a.test\r\n" + head + b"Connection: close\r\n\r\n") as raw:
            return raw.reply().status

    good = b"Authorization: Bearer " + iss.token("tenant-a").encode()
    assert ask() == 200 and ask(good) == 200
    for lines in [[b"Authorization: Bearer a.b.c"], [good, good], [good, b"Authorization: Bearer a.b.c"],
                  [b"Authorization: Bearer a.b.c, d"], [b"Authorization: Bearer\ta.b.c"],
                  [b"Authorization: Bearer"]]:
        assert ask(*lines) == 401, lines
    assert ask(b"Authorization: Basic dXNlcg==") == 200, "another scheme is no token"


def test_without_a_server_name_a_stricter_listener_is_out_of_reach(gateway, upstream, authority):
    gw = gateway(world(
        backend("a", upstream("a")), route("r", rule("a")),
        tls_secret("cert", authority.leaf("strict.test", "other.test")),
        listeners=[https_listener("any"), https_listener("strict", hostname="strict.test",
                                                         options={"tls.min_protocol_version": "TLSv1.3"})]))

    def ask(server_name, host):
        old = authority.client(maximum_version=ssl.TLSVersion.TLSv1_2)
        old.check_hostname = False
        with Raw(gw.port(443), b"GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % host, tls=old,
                 server_name=server_name) as raw:
            return raw.reply().status

    assert ask("other.test", b"other.test") == 200
    assert ask("other.test", b"strict.test") == 421
    assert ask(None, b"strict.test") == 421


def test_mirrors_that_hang_are_bounded(gateway, upstream):
    sink, may_end = upstream("sink"), threading.Event()
    sink.script = lambda _r, _c: may_end.wait(60) and None
    mirror = {"type": "RequestMirror",
              "requestMirror": {"backendRef": {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "s"}}}
    gw = gateway(world(backend("a", upstream("a")), backend("s", sink), route("r", rule("a", filters=[mirror]))))
    before = anonymous_kib(gw)
    body = b"x" * 1_000_000
    with gw.raw() as raw:
        for _ in range(200):
            raw.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            assert raw.reply().status == 200
            # Those that gave up after their time make room for others: what counts is how many there are at once.
            assert gw.metric("tollgate_upstream_connections", backend="Backend/play/s") <= 2 * 64
    if not is_sanitized(gw):
        assert anonymous_kib(gw) - before < 65536
    may_end.set()


def test_a_drain_serves_what_waits_in_the_backlog(gateway, upstream):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a"))), args=["--workers", "1"])
    request = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
    warm = [gw.raw(request) for _ in range(10)]
    for raw in warm:
        assert raw.reply().status == 200
    gw.signal(signal.SIGSTOP)
    new = [gw.raw() for _ in range(40)]
    for raw in warm + new:
        raw.send(request)
    gw.signal(signal.SIGTERM)
    gw.signal(signal.SIGCONT)
    for raw in warm + new:
        assert raw.reply().status == 200 and raw.is_closed()
        raw.sock.close()
    assert gw.wait() == 0


@pytest.mark.parametrize("is_kept", [False, True])
def test_a_drain_serves_a_head_that_is_on_its_way(gateway, upstream, is_kept):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a"))), drain=("0", "20"))
    with gw.raw() as raw:
        if is_kept:
            raw.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
            assert raw.reply().status == 200
        raw.send(b"GET / HTTP/1.1\r\nHost: a.test\r\nX-Long: ")
        eventually(lambda: gw.metric("tollgate_connections_active") == 1, 5, "the connection")
        gw.signal(signal.SIGTERM)
        eventually(lambda: gw.get_admin("/ready").status != 200, 5, "the drain")
        raw.send(b"rest\r\n\r\n")
        assert raw.reply().status == 200 and raw.is_closed()


def test_a_configured_head_limit_holds_beyond_the_pipe(gateway, upstream):
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a")),
                       client_policy("big", headers={"maxRequestHeaderLimit": "512Ki"})))
    lines = b"".join(b"x-h%d: %s\r\n" % (i, b"v" * 5000) for i in range(60))
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a.test\r\n" + lines + b"\r\n") as raw:
        assert raw.reply().status == 200 and up.last.get("x-h59") == "v" * 5000


def test_the_idle_time_holds_after_discarded_content(gateway, upstream):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a", matches=[path("/only")])),
                       client_policy("c", timeout={"http": {"idleTimeout": "1s"}})))
    with gw.raw(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\n", seconds=10) as raw:
        assert raw.reply().status == 404
        raw.send(b"abcd")
        assert raw.is_closed()


# ---- reloads ----


def test_a_port_of_a_snapshot_that_a_worker_took_late_is_closed(gateway, upstream):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    seize, interrupt, detach = 0x4206, 0x4207, 17
    up = upstream("a")
    gw = gateway(bounce(up), ports=[80, 81], args=["--workers", "1"])

    def workers():
        tasks = pathlib.Path(f"/proc/{gw.process.pid}/task").iterdir()
        return [int(t.name) for t in tasks if (t / "comm").read_text().startswith("worker-")]
    eventually(workers, what="the worker to have named itself")
    [worker] = workers()
    if libc.ptrace(seize, worker, None, None) != 0:
        pytest.skip("ptrace is not allowed here")
    assert libc.ptrace(interrupt, worker, None, None) == 0
    os.waitpid(worker, 0x40000000)  # __WALL
    gw.apply(bounce(up, http_listener("two", 81)))
    gw.apply(bounce(up))
    assert libc.ptrace(detach, worker, None, None) == 0

    def is_refused():
        try:
            socket.create_connection(("127.0.0.1", gw.port(81)), timeout=3).close()
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:
            pass  # it was in the queue of the socket that is just closing: ask again
        return False

    eventually(is_refused, 10, "the port to be closed")
    assert gw.request().status == 200


def bounce(up, *listeners):
    return world(backend("a", up), route("r", rule("a")), listeners=[http_listener(), *listeners])


def test_a_port_that_leaves_and_comes_back_at_once_serves(gateway, upstream):
    up = upstream("a")
    gw = gateway(bounce(up, http_listener("two", 81)))
    assert gw.request(port=81).status == 200
    for _ in range(5):
        gw.apply(bounce(up))
        gw.apply(bounce(up, http_listener("two", 81)))
        assert gw.request(port=81).status == 200


def test_a_refused_reload_changes_no_port_and_no_endpoint(gateway, upstream):
    old, new = upstream("old"), upstream("new")
    with socket.socket() as blocker:
        blocker.bind(("0.0.0.0", 0))
        blocker.listen(1)
        gw = gateway(bounce(old), ports=(81,), port_map=[(82, blocker.getsockname()[1])])
        gw.apply(bounce(new, http_listener("two", 81), http_listener("three", 82)), result="failed")
        assert gw.request().json["upstream"] == "old"
        with pytest.raises(OSError):
            gw.request(port=81)
    gw.reload()
    for port in (80, 81, 82):
        for _ in range(8):
            assert gw.request(port=port).json["upstream"] == "new"


# ---- slow ones: each waits for a timeout of a minute ----


@pytest.mark.slow
def test_content_that_does_not_come_is_408(gateway, upstream):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a"))))
    with gw.raw(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\n", seconds=90) as raw:
        assert raw.reply().status == 408 and raw.is_closed()


@pytest.mark.slow
def test_an_upstream_that_reads_late_is_not_the_clients_fault(gateway, upstream):
    up, may_read = upstream("a"), threading.Event()
    up.on_head = lambda _r, _c: may_read.wait(75) or True
    up.script = lambda request, _c: Answer(body=b"%d" % len(request.body))
    gw = gateway(world(backend("a", up), route("r", rule("a"))))
    size = 30_000_000
    with gw.raw(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n" % size, seconds=120) as raw:
        threading.Thread(target=raw.send, args=(b"x" * size,)).start()
        reply = raw.reply()
        assert (reply.status, reply.body) == (200, b"%d" % size)


@pytest.mark.slow
def test_an_answer_that_is_not_taken_ends_its_connection(gateway, upstream):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a", matches=[path("/only")]))))
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", gw.port()))
        send_until_blocked(sock, b"GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n" * 4000, 100_000_000)
        eventually(lambda: gw.metric("tollgate_connections_active") == 0, 90, "the connection to be closed")
