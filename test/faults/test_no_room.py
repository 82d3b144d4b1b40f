"""The gateway has no room: no descriptor for a connection to a backend, or no memory for the bodies that it is to hold. It
says so (503, to be tried again), blames no backend, lets go of the idle first and of nothing that runs, and is well again
when there is room."""
import errno
import os
import time

import pytest

from play.client import Raw
from play.deadline import FACTOR, eventually
from play.health import Sick, health_of, http_check, outlier, policy, wait_health
from play.manifests import ai_backend, ai_route, ai_rule, backend, model, path, route, rule, world
from play.memory import anonymous_kib, is_sanitized
from play.upstream import Answer

GET = b"GET /fresh HTTP/1.1\r\nHost: a.test\r\n\r\n"


@pytest.mark.parametrize("check", [http_check(), {"type": "TCP", "timeout": "2s", "interval": "100ms", "unhealthyThreshold": 1,
                                                  "healthyThreshold": 1, "tcp": {}}], ids=["HTTP", "TCP"])
@pytest.mark.parametrize("call, error", [("socket", errno.EMFILE), ("socket", errno.ENFILE), ("connect", errno.EMFILE)])
def test_want_of_a_descriptor_is_no_fault_of_the_backend(gateway, upstream, failing_calls, check, call, error):
    up = upstream("a")
    Sick(up)
    gw = gateway(world(backend("a", up), route("r", rule("a")), policy(healthCheck={
        "active": check, **outlier(consecutive5XxErrors=1, maxEjectionPercent=100)})), **failing_calls.more)
    wait_health(gw, up, "healthy")
    failing_calls.arm(call, 1, error)
    for _ in range(4):
        reply = gw.request("/")
        assert (reply.status, reply.code) == (503, "upstream_connections_exhausted")
        assert int(reply.get("retry-after")) >= 1
    eventually(lambda: gw.metric("tollgate_health_checks_total", result="not_made") >= 3, 10, "probes")
    assert health_of(gw, up) == "healthy" and gw.metric("tollgate_ejections_total") == 0
    assert gw.metric("tollgate_health_checks_total", result="failed") == 0
    failing_calls.disarm()
    assert gw.request("/").status == 200
    n = gw.metric("tollgate_health_checks_total", result="ok")
    eventually(lambda: gw.metric("tollgate_health_checks_total", result="ok") > n, 10, "probes again")


# ---- memory ----

LIMIT_MIB, HOLDERS_MAX = 64, 200
HELD_BYTES = 900_000  # less than what is a reason to reset a connection


def hold(gw):
    """A request to a model that the gateway must keep, since nobody can know yet which model it is."""
    raw = gw.raw(b"POST /v1/chat/completions HTTP/1.1\r\nHost: a.test\r\nContent-Type: application/json\r\n"
                 b"Content-Length: %d\r\n\r\n" % (2 * HELD_BYTES))
    raw.sock.settimeout(0.5 * FACTOR)  # one that is refused is not read to its end
    try:
        raw.send(b'{"messages":[{"role":"user","content":"' + b"x" * HELD_BYTES)
    except OSError:
        pass
    return raw


def test_held_bodies_are_bounded_by_the_memory_there_is(gateway, upstream):
    up = upstream("a")
    go_on = []

    def script(request, connection):
        if request.target != "/stream":
            return up.echo(request, connection)

        def chunks():
            yield b"first"
            eventually(lambda: go_on, 60)
            yield b"last"
        return Answer(chunks=chunks())
    up.script = script
    gw = gateway(world(backend("a", up), ai_backend("a"), ai_route("ai", ai_rule("a", matches=[model("m")])),
                       route("r", rule("a", matches=[path("/fresh"), path("/stream")]))),
                 args=["--workers", "2", "--memory-limit", f"{LIMIT_MIB}Mi"])
    if is_sanitized(gw):
        pytest.skip("a sanitizer's memory is not the gateway's")
    running = gw.raw(b"GET /stream HTTP/1.1\r\nHost: a.test\r\n\r\n")
    assert running.head()[0] == 200 and running.chunk() == b"first"
    idle = [gw.raw(GET) for _ in range(20)]
    assert all(raw.reply().status == 200 for raw in idle)
    n_fds = len(os.listdir(f"/proc/{gw.process.pid}/fd"))
    # Who asks without a pause is not idle. Whoever comes anew may have to wait until there is room.
    asker, holders, reply = gw.raw(), [], None
    while reply is None or reply.status == 200:
        assert len(holders) < HOLDERS_MAX, "nobody is refused"
        holders.append(hold(gw))
        time.sleep(0.02)  # they come within many measurements of the memory, not within one
        asker.send(GET)
        reply = asker.reply()
    assert (reply.status, reply.code) == (503, "overloaded") and int(reply.get("retry-after")) >= 1
    assert gw.metric("tollgate_shed_total", what="idle_connection") > 0, "the idle are the first"
    assert gw.metric("tollgate_shed_total", what="largest_connection") == 0
    assert any(raw.is_closed() for raw in idle[:5])
    # It measures ten times a second: some more may have come in between. From now on nothing is kept for who comes.
    held_kib = anonymous_kib(gw)
    assert held_kib < 2 * LIMIT_MIB << 10
    late = [hold(gw) for _ in range(10)]
    assert anonymous_kib(gw) < held_kib + 5 * (HELD_BYTES >> 10)
    print(f"{len(holders)} bodies of {HELD_BYTES} bytes, {anonymous_kib(gw)} KiB")
    for raw in holders + late:
        raw.sock.close()
    eventually(lambda: gw.metric("tollgate_overload_level") == 0 and gw.request("/fresh").status == 200, 20, "room again")
    go_on.append(True)
    assert running.chunk() == b"last" and running.chunk() == b"", "what runs goes on"
    for raw in [*idle, running, asker]:
        raw.sock.close()
    eventually(lambda: len(os.listdir(f"/proc/{gw.process.pid}/fd")) <= n_fds, 10, "descriptors to be given back")


def test_clients_beyond_the_limit_take_the_place_of_the_oldest_idle_ones(gateway, upstream, scale):
    """Again and again, more than there are descriptors for, from a few at once; who has just been served is not idle yet."""
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a"))), args=["--workers", "4"],
                 prefix=["prlimit", "--nofile=256:256", "--"])
    there = []
    for i in range(scale(300, 3000)):
        raw = Raw(gw.port(), GET)
        assert raw.reply().status == 200
        there.append(raw)
        if len(there) > 200:  # those are long closed, or are now
            there.pop(0).sock.close()
        assert i % 50 or gw.metric("tollgate_connections_active") <= 96
    assert gw.metric("tollgate_shed_total", what="idle_connection") >= scale(300, 3000) - 200 - 96
    there[-1].send(GET)
    assert there[-1].reply().status == 200
    for raw in there:
        raw.sock.close()
    eventually(lambda: gw.metric("tollgate_connections_active") == 0)
    assert gw.request("/fresh").status == 200
