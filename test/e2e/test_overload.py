"""What gives way when memory or descriptors run short, and in which order: refused and idle connections of clients, unused
ones to backends, then new requests and whoever holds the most, then new connections. What runs goes on, and everything comes
back by itself."""
import json
import threading
import time

import pytest

from play import frames as f
from play.client import Raw
from play.crowd import Crowd, Held
from play.deadline import FACTOR, eventually
from play.frames import Frames
from play.health import health_of, outlier, policy
from play.http2 import Http2
from play.manifests import (ai_backend, ai_route, ai_rule, backend, client_policy, model, path, route, rule, security_policy, target,
                            to, world)
from play.memory import anonymous_kib, is_sanitized
from play.upstream import Answer
from test_ai_edges import request_head
from test_ai_routes import chat, completion
from test_attacks_h2_floods import cpu_s
from test_breakers import H2C

GET = b"GET /fresh HTTP/1.1\r\nHost: a\r\n\r\n"
N_FILES = 256
N_EACH = (N_FILES - 64) // 2  # for clients, and for backends as many
FEW_FILES = ["prlimit", f"--nofile={N_FILES}:{N_FILES}", "--"]


def shed(gw, what):
    return gw.metric("tollgate_shed_total", what=what)


def level(gw):
    return gw.metric("tollgate_overload_level")


@pytest.fixture
def hoard(gateway, upstream):
    """hoard(limit, ...): a gateway with that limit of memory, its backend, and clients who ask for much and take none of it."""
    clients = []

    def start(limit, *objects, **more):
        up = upstream("a")
        up.script = lambda request, connection: (
            Answer(body=b"x" * 200_000) if request.target == "/much" else up.echo(request, connection))
        gw = gateway(world(backend("a", up), route("r", rule("a")), client_policy("clients", **more), *objects),
                     args=["--workers", "1", "--memory-limit", limit])
        if is_sanitized(gw):
            pytest.skip("a sanitizer's memory is not the gateway's")

        def come(n_streams=100):
            client = Frames(gw.port(), first=f.PREFACE + f.settings((f.INITIAL_WINDOW_SIZE, 0)))
            clients.append(client)
            client.send(b"".join(f.request(s, "/much") for s in range(1, 2 * n_streams, 2)))
        return gw, up, come

    yield start
    for client in clients:
        client.sock.close()


def test_who_holds_the_most_goes_when_memory_runs_short(hoard):
    """Streams whose window never opens keep what was answered: 9 MiB for 7 KB of requests. Without a limit that goes on."""
    gw, up, come = hoard("64Mi")
    assert gw.metric("tollgate_memory_limit_bytes") == 64 << 20
    idle = Raw(gw.port(), GET)
    assert idle.reply().status == 200
    n = 0
    while shed(gw, "largest_connection") == 0:
        assert n < 40, "it is not noticed"
        come()
        n += 1
        eventually(lambda: len(up.requests) >= 100 * n or shed(gw, "largest_connection"), 20, "requests, or an end of them")
        assert anonymous_kib(gw) < 128 << 10, "it is measured now and then"
    assert idle.is_closed(), "idle connections are the first"
    assert shed(gw, "idle_connection") >= 1
    eventually(lambda: level(gw) <= 1, 20, "memory to be there again")
    assert gw.request("/fresh").status == 200
    assert gw.process.poll() is None
    assert "memory: " in gw.stderr()


def test_a_body_that_is_kept_for_further_tries_is_held_against_nobody(hoard, upstream):
    """Its backend has it all, and thinks. It is more than what those hold who take nothing, and they go."""
    thinks, may_answer = upstream("m"), threading.Event()

    def think(request, connection):
        may_answer.wait(60 * FACTOR)
        return completion(request, connection)
    thinks.script = think
    gw, up, come = hoard("64Mi", backend("m", thinks), ai_backend("m"), ai_route("ai", ai_rule("m", matches=[model("m")])),
                         connection={"bufferLimit": "16Mi"})
    body = json.dumps(chat(padding="x" * 12_000_000)).encode()
    asks = Raw(gw.port(), request_head(body) + body)
    thinks.wait_for(1)
    n, n_streams = 0, 60  # of these a connection holds less than the body is long
    while shed(gw, "largest_connection") == 0:
        assert n < 40, "it is not noticed"
        come(n_streams)
        n += 1
        eventually(lambda: len(up.requests) >= n_streams * n or shed(gw, "largest_connection"), 20, "requests, or an end of them")  # noqa: B023
    may_answer.set()
    assert asks.reply().status == 200


def test_where_requests_are_refused_the_health_path_still_answers(hoard):
    """All replicas run short together: those who ask for health are not to take them out one after the other."""
    gw, up, come = hoard("64Mi", healthCheck={"path": "/healthz"})
    n, n_streams = 0, 6  # of these a connection holds less than what has it reset

    def until(wanted, n_at_once):
        """Slower than it measures, ten times a second: the level after this one is near."""
        nonlocal n
        while level(gw) < wanted:
            assert n < 160, "it is not noticed"
            for _ in range(n_at_once):
                come(n_streams)
            n += n_at_once
            after = time.monotonic() + 0.3
            eventually(lambda: level(gw) >= wanted or time.monotonic() > after)  # noqa: B023
    until(1, 6)
    until(2, 1)
    assert gw.request("/fresh").status == 503
    assert gw.request("/healthz").status == 200
    assert gw.get_admin("/ready").status == 200
    assert level(gw) == 2


def test_without_descriptors_idle_connections_make_room(gateway, upstream):
    """The oldest of them; nobody who comes is turned away, and nothing spins."""
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a"))), args=["--workers", "2"], prefix=FEW_FILES)
    held = []
    for _ in range(2 * N_FILES):
        raw = Raw(gw.port(), GET)
        held.append(raw)
        assert raw.reply().status == 200
    assert shed(gw, "idle_connection") > 0
    assert gw.metric("tollgate_connections_active") <= N_EACH
    assert held[0].is_closed() and gw.request("/fresh").status == 200
    for raw in held:
        raw.sock.close()


def test_idle_connections_of_other_workers_make_room(gateway, http2_upstream):
    """All connections of one worker are busy; who comes to it has the place of one of the other's."""
    up, other = Held(http2_upstream("a")), http2_upstream("b")
    gw = gateway(world(backend("a", up.up, **H2C), backend("b", other, **H2C), route("r", rule("a", matches=[path("/a")])),
                       route("s", rule("b", matches=[path("/b")]))), args=["--workers", "2"], prefix=FEW_FILES)
    there = {0: [], 1: []}  # by the worker, which has a connection of its own to "b"
    for _ in range(6):  # whoever comes, comes to either of them
        while gw.metric("tollgate_connections_active") < N_EACH:
            raw = Raw(gw.port(), GET.replace(b"/fresh", b"/b"))
            assert raw.reply().status == 200
            worker = other.last.connection.index
            there[worker].append(raw)
            if worker == 0:
                raw.send(GET.replace(b"/fresh", b"/a"))
        up.wait(len(there[0]))
        with Raw(gw.port(), GET.replace(b"/fresh", b"/b")) as fresh:
            assert fresh.reply().status == 200
    assert there[1][0].is_closed()
    up.let(len(there[0]))
    assert [raw.reply().status for raw in there[0]] == [200] * len(there[0])
    for raw in there[0] + there[1]:
        raw.sock.close()


def test_without_descriptors_and_idle_connections_others_wait(gateway, upstream):
    """All that are there have a request under way: who comes waits until one ends, at less than a tenth of a processor."""
    up = upstream("a")
    may_answer = threading.Event()

    def script(request, connection):
        assert request.target != "/slow" or may_answer.wait(60 * FACTOR)
        return up.echo(request, connection)
    up.script = script
    gw = gateway(world(backend("a", up), route("r", rule("a"))), args=["--workers", "1"], prefix=FEW_FILES)
    running = [Raw(gw.port(), GET.replace(b"/fresh", b"/slow")) for _ in range(N_EACH)]
    eventually(lambda: gw.metric("tollgate_exchanges_active") == N_EACH)
    late = Raw(gw.port(), GET)
    before_s, started = cpu_s(gw), time.monotonic()
    eventually(lambda: time.monotonic() - started > 1)
    assert late.buffer == b"" and gw.metric("tollgate_connections_active") == N_EACH
    assert cpu_s(gw) - before_s < 0.1 * (time.monotonic() - started) + 0.05
    may_answer.set()
    assert late.reply().status == 200
    assert all(raw.reply().status == 200 for raw in running)
    for raw in [late, *running]:
        raw.sock.close()


def test_connections_that_wait_to_be_closed_make_room_first(gateway, upstream):
    """A policy's `closeDelay` keeps those whom it refuses: they have descriptors, too."""
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a")),
                       client_policy("c", connection={"connectionLimit": {"value": 1, "closeDelay": "1h"}})),
                 args=["--workers", "1"], prefix=FEW_FILES)
    first = Raw(gw.port(), GET)
    assert first.reply().status == 200
    refused = [Raw(gw.port()) for _ in range(N_EACH - 1)]
    with Raw(gw.port()):
        assert all(raw.is_closed() for raw in refused)
    assert (shed(gw, "refused_connection"), shed(gw, "idle_connection")) == (N_EACH - 1, 0)
    first.send(GET)
    assert first.reply().status == 200


def test_connections_that_do_not_say_where_they_come_from_make_room(gateway, upstream):
    up = Held(upstream("a"))
    gw = gateway(world(backend("a", up.up), route("r", rule("a")),
                       client_policy("c", proxyProtocol={}, timeout={"tcp": {"connectionInspectionTimeout": "1h"}})),
                 args=["--workers", "1"], prefix=FEW_FILES)
    begin = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 80\r\n"
    running = Raw(gw.port(), begin + GET)
    up.wait(1)
    silent = [Raw(gw.port()) for _ in range(N_EACH - 1)]
    late = Raw(gw.port(), begin + GET)
    up.wait(2)
    assert shed(gw, "arriving_connection") >= 1 and shed(gw, "idle_connection") == 0
    assert silent[0].is_closed(), "the one that came first"
    silent[-1].send(begin + GET)
    up.let(3)
    assert [raw.reply().status for raw in (running, late, silent[-1])] == [200] * 3


# ---- connections to backends ----

class Streams:
    """Requests of one client, all at once."""

    def __init__(self, gw, path, n):
        self.client = Http2(gw.port())
        self.ids = [self.client.headers(path, flush=False) for _ in range(n)]
        self.client.flush()

    def statuses(self):
        return [self.client.reply(stream).status for stream in self.ids]


def two_backends(gateway, upstream, *more, **options):
    ups = [Held(upstream(name)) for name in "ab"]
    gw = gateway(world(*[backend(u.up.name, u.up) for u in ups],
                       *[route(u.up.name, rule(u.up.name, matches=[path(f"/{u.up.name}")])) for u in ups], *more),
                 prefix=FEW_FILES, **options)
    assert gw.metric("tollgate_upstream_connections_limit") == N_EACH
    return gw, *ups


def n_to(gw, name):
    return gw.metric("tollgate_upstream_connections", backend=f"Backend/play/{name}")


def test_unused_connections_to_backends_make_room_for_others(gateway, upstream):
    gw, a, b = two_backends(gateway, upstream, args=["--workers", "1"])
    before = Streams(gw, "/a", N_EACH - 6)
    a.wait(N_EACH - 6)
    a.let(N_EACH - 6)
    assert set(before.statuses()) == {200} and n_to(gw, "a") == N_EACH - 6
    assert gw.metric("tollgate_upstream_connections_shed_total") == 0
    after = Streams(gw, "/b", 50)
    b.wait(50)
    assert gw.metric("tollgate_upstream_connections_shed_total") == 44
    assert (n_to(gw, "a"), n_to(gw, "b")) == (N_EACH - 50, 50)
    b.let(50)
    assert set(after.statuses()) == {200}


def test_unused_connections_of_other_workers_make_room_too(gateway, upstream):
    gw, a, b = two_backends(gateway, upstream, args=["--workers", "2"])
    before = Streams(gw, "/a", N_EACH)  # all of one worker
    a.wait(N_EACH)
    a.let(N_EACH)
    assert set(before.statuses()) == {200} and n_to(gw, "a") == N_EACH
    crowd = Crowd(gw).send(20, "/b")  # of both
    b.wait(20)
    # Who was asked twice may have closed one more than there was need for.
    assert N_EACH - 20 <= n_to(gw, "a") + n_to(gw, "b") <= N_EACH
    b.let(20)
    assert crowd.statuses() == [200] * 20


def test_who_needs_one_more_than_there_may_be_is_told_to_come_again(gateway, upstream):
    """At once, and the backend is not blamed."""
    gw, a, b = two_backends(gateway, upstream, policy(of="b", healthCheck=outlier(consecutive5XxErrors=1, maxEjectionPercent=100)))
    running = [Streams(gw, "/a", N_EACH // 2) for _ in range(2)]
    a.wait(N_EACH)
    for _ in range(3):
        reply = gw.request("/b")
        assert (reply.status, reply.code) == (503, "upstream_connections_exhausted")
        assert int(reply.get("retry-after")) >= 1
    assert gw.wait_log(lambda r: r["response_code"] == 503)["response_flags"] == "OM"
    assert health_of(gw, b.up) == "healthy" and b.up.n_connections == 0
    eventually(lambda: gw.metric("tollgate_upstream_failures_total", backend="Backend/play/b", reason="no_room") == 3)
    assert gw.metric("tollgate_ejections_total", backend="Backend/play/b") == 0
    a.let(N_EACH)
    assert [status for streams in running for status in streams.statuses()] == [200] * N_EACH
    b.let(1)
    assert gw.request("/b").status == 200


@pytest.mark.parametrize("more", [{}, {"failOpen": True}], ids=["closed", "open"])
def test_who_cannot_be_authorized_for_want_of_room_is_told_to_come_again(gateway, upstream, more):
    """Also where a failure of the authorizer would let it in: it has not failed."""
    authorizer = upstream("authorizer")
    gw, a, b = two_backends(
        gateway, upstream, backend("authorizer", authorizer), route("g", rule("b", matches=[path("/guarded")])),
        security_policy("s", target("HTTPRoute", "g"), extAuth={"http": {"backendRefs": [to("authorizer")]}, **more}))
    running = [Streams(gw, "/a", N_EACH // 2) for _ in range(2)]
    a.wait(N_EACH)
    reply = gw.request("/guarded")
    assert (reply.status, reply.code) == (503, "upstream_connections_exhausted")
    assert gw.metric("tollgate_external_authorizations_total", result="failed") == 1
    assert authorizer.requests == [] and b.up.requests == []
    a.let(N_EACH)
    assert [status for streams in running for status in streams.statuses()] == [200] * N_EACH
    b.let(1)
    assert gw.request("/guarded").status == 200 and len(authorizer.requests) == 1


def test_a_place_that_gets_free_is_for_who_waits_for_it(gateway, upstream):
    """Whoever waits for others' unused connections goes on by what there is first; who leaves meanwhile is forgotten."""
    gw, a, b = two_backends(gateway, upstream, args=["--workers", "4"])
    for n in range(6):
        before = [Streams(gw, "/a", N_EACH // 4) for _ in range(4)]
        a.wait(N_EACH)
        a.let(N_EACH)
        for streams in before:
            assert set(streams.statuses()) == {200}
        n_accepted = gw.metric("tollgate_connections_accepted_total")
        leaving = [gw.raw(b"GET /b HTTP/1.1\r\nHost: a.test\r\n\r\n") for _ in range(n)]
        for raw in leaving:
            raw.sock.close()
        crowd = Crowd(gw).send(30, "/b")
        eventually(lambda: b.n >= 30)
        b.let(b.n + n)
        assert crowd.statuses() == [200] * 30
        eventually(lambda: gw.metric("tollgate_connections_accepted_total") == n_accepted + n + 30)
        eventually(lambda: gw.metric("tollgate_exchanges_active") == 0)
        while b.may_answer.acquire(blocking=False):
            pass
        for streams in before:
            streams.client.sock.close()
