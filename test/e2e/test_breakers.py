"""Circuit breakers of BackendTrafficPolicy: bounds of a backend, exact among workers, whoever counts."""
import signal
import threading
import time

import pytest

from play.crowd import Crowd, Held
from play.deadline import FACTOR, eventually
from play.manifests import backend, local_provider, path, route, rule, security_policy, target, thing, to, world
from play.threads import Threads
from play.upstream import Answer

H2C = {"appProtocols": ["gateway.envoyproxy.io/h2c"]}


def breaker(at=("Gateway", "front"), name="breaker", **spec):
    return thing("gateway.envoyproxy.io/v1alpha1", "BackendTrafficPolicy", name,
                 {"targetRefs": [target(*at)], "circuitBreaker": spec})


def copied_to(name):
    return {"type": "RequestMirror", "requestMirror": {"backendRef": to(name)}}


@pytest.fixture(params=["h1", "h2"])
def held(request, upstream, http2_upstream):
    """held(): a backend of one protocol, then of the other, and how its Backend names it."""
    def start(**more):
        up = (upstream if request.param == "h1" else http2_upstream)("a")
        return Held(up, **more), backend("a", up, **(H2C if request.param == "h2" else {}))
    return start


def is_told(reply):
    assert (reply.status, reply.code) == (503, "upstream_overflow")
    assert int(reply.get("retry-after")) >= 1
    return True


def test_requests_beyond_the_bound_are_refused_at_once(gateway, held):
    up, a = held()
    gw = gateway(world(a, route("r", rule("a")), breaker(maxParallelRequests=3)))
    crowd = Crowd(gw).send(3)
    up.wait(3)
    assert is_told(gw.request())
    record = gw.wait_log(lambda r: r["response_code"] == 503)
    assert record["response_flags"] == "UO", record
    up.let(1)
    up.wait(2)
    eventually(lambda: len(crowd.replies) == 1)
    crowd.send(1)
    up.wait(3)
    assert is_told(gw.request())
    up.let(3)
    assert crowd.statuses() == [200] * 4 and up.most == 3
    assert gw.metric("tollgate_refusals_total", reason="upstream_overflow") == 2


def test_a_stream_counts_until_its_end(gateway, upstream):
    up, go_on = upstream("a"), threading.Event()

    def script(_request, _connection):
        def chunks():
            yield b"first"
            go_on.wait(20 * FACTOR)
            yield b"second"
        return Answer(headers=[("content-type", "text/event-stream")], chunks=chunks())
    up.script = script
    gw = gateway(world(backend("a", up), route("r", rule("a")), breaker(maxParallelRequests=1)))
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n") as raw:
        raw.until(b"first")
        assert is_told(gw.request())
        go_on.set()
        assert b"second" in raw.rest()
    assert gw.request().status == 200


def test_a_client_that_leaves_gives_its_place_back(gateway, held):
    up, a = held()
    gw = gateway(world(a, route("r", rule("a")), breaker(maxParallelRequests=1, maxConnections=1, maxPendingRequests=0)))
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"):
        up.wait(1)
    up.let(2)
    eventually(lambda: gw.request().status == 200)


def test_policies_share_the_counts_of_a_backend_and_differ_in_bounds(gateway, upstream):
    up = Held(upstream("a"))
    a = backend("a", up.up)
    gw = gateway(world(a, *(route(name, rule("a", matches=[path(f"/{name}")])) for name in ("wide", "narrow", "none")),
                       breaker(("HTTPRoute", "wide"), "w", maxParallelRequests=4),
                       breaker(("HTTPRoute", "narrow"), "n", maxParallelRequests=2)))
    crowd = Crowd(gw).send(1, "/none").send(1, "/wide")
    up.wait(2)
    assert is_told(gw.request("/narrow"))
    crowd.send(2, "/wide")
    up.wait(4)
    assert is_told(gw.request("/wide"))
    crowd.send(1, "/none")
    up.wait(5)
    up.let(5)
    assert crowd.statuses() == [200] * 5


def test_connections_beyond_the_bound_are_not_opened(gateway, upstream):
    up = Held(upstream("a"))
    gw = gateway(world(backend("a", up.up), route("r", rule("a")), breaker(maxConnections=2, maxPendingRequests=0)))
    crowd = Crowd(gw).send(2)
    up.wait(2)
    assert is_told(gw.request())
    assert gw.metric("tollgate_upstream_connections", backend="Backend/play/a") == 2
    up.let(2)
    assert crowd.statuses() == [200, 200] and up.up.n_connections == 2


def test_endpoints_have_a_bound_of_their_own(gateway, upstream):
    ups = [Held(upstream(name)) for name in "ab"]
    gw = gateway(world(backend("a", *(u.up for u in ups)), route("r", rule("a")),
                       breaker(perEndpoint={"maxConnections": 2}, maxPendingRequests=0)))
    crowd = Crowd(gw).send(4)
    for up in ups:
        up.wait(2)
    assert is_told(gw.request())
    for up in ups:
        up.let(2)
    assert crowd.statuses() == [200] * 4 and [u.most for u in ups] == [2, 2]


def test_a_connection_serves_as_many_as_it_may(gateway, upstream, http2_upstream):
    one, two = upstream("a"), http2_upstream("b")
    gw = gateway(world(backend("a", one), backend("b", two, **H2C), route("r", rule("a")),
                       route("s", rule("b", matches=[path("/s")])),
                       breaker(maxRequestsPerConnection=3)), args=["--workers", "1"])
    for at in ("/", "/s"):
        assert [gw.request(at).status for _ in range(7)] == [200] * 7
    assert [r.connection for r in one.requests] == [0, 0, 0, 1, 1, 1, 2]
    assert [r.connection.index for r in two.requests] == [0, 0, 0, 1, 1, 1, 2]
    assert two.connections[0].is_closed


def test_copies_count_and_are_dropped(gateway, upstream):
    up, copies = upstream("a"), Held(upstream("copies"))
    gw = gateway(world(backend("a", up), backend("copies", copies.up), route("r", rule("a", filters=[copied_to("copies")])),
                       breaker(maxParallelRequests=2)))
    for _ in range(2):
        assert gw.request().status == 200
    copies.wait(2)
    assert gw.request().status == 200 and len(up.requests) == 3
    assert gw.request().status == 200
    copies.let(2)
    copies.wait(0)
    assert len(copies.up.requests) == 2


def test_a_reload_keeps_the_counts(gateway, held):
    up, a = held()
    gw = gateway(world(a, route("r", rule("a")), breaker(maxParallelRequests=2)))
    crowd = Crowd(gw).send(2)
    up.wait(2)
    gw.apply(world(a, route("other", rule("a")), breaker(maxParallelRequests=3, name="other")))
    crowd.send(1)
    up.wait(3)
    assert is_told(gw.request())
    gw.apply(world(a, route("other", rule("a")), breaker(maxParallelRequests=1, name="other")))
    up.let(2)
    up.wait(1)
    assert is_told(gw.request())
    up.let(1)
    assert crowd.statuses() == [200] * 3
    up.let(1)
    assert gw.request().status == 200


@pytest.mark.parametrize("bound", [{"maxParallelRequests": 7}, {"maxConnections": 7, "maxPendingRequests": 0}])
def test_four_workers_keep_one_bound_and_reach_it(gateway, upstream, bound):
    up = Held(upstream("a"), seconds=0.02)
    gw = gateway(world(backend("a", up.up), route("r", rule("a")), breaker(**bound)), args=["--workers", "4"])
    counts = []

    def client():
        replies = [gw.request().status for _ in range(12)]
        counts.append((replies.count(200), replies.count(503)))
    Threads().go(client, n=40).join(120)
    n_ok, n_refused = (sum(n) for n in zip(*counts))
    assert n_ok + n_refused == 480 and n_refused > 0
    assert n_ok == len(up.up.requests) and up.most == 7


# ---- waiting for a connection ----

def pending(gw):
    return gw.metric("tollgate_circuit_breaker_pending", backend="Backend/play/a")


@pytest.mark.parametrize("workers", ["1", "4"])
def test_who_waits_is_served_by_what_gets_free(gateway, upstream, workers):
    up = Held(upstream("a"))
    gw = gateway(world(backend("a", up.up), route("r", rule("a")), breaker(maxConnections=2, maxPendingRequests=8)),
                 args=["--workers", workers])
    crowd = Crowd(gw).send(10)
    up.wait(2)
    eventually(lambda: pending(gw) == 8)
    assert is_told(gw.request())
    for n in range(10):
        up.let(1)
        eventually(lambda: len(crowd.replies) == n + 1)
    assert crowd.statuses() == [200] * 10 and up.most == 2
    assert pending(gw) == 0


def test_a_connection_of_one_worker_serves_all_who_wait_there(gateway, upstream):
    up = Held(upstream("a"), seconds=0.01)
    gw = gateway(world(backend("a", up.up), route("r", rule("a")), breaker(maxConnections=1)), args=["--workers", "1"])
    assert Crowd(gw).send(20).statuses() == [200] * 20
    assert up.most == 1 and up.up.n_connections == 1


def test_streams_wait_where_connections_are_full_of_them(gateway, http2_upstream):
    up = Held(http2_upstream("a"))
    gw = gateway(world(backend("a", up.up, **H2C), route("r", rule("a")),
                       {**breaker(maxConnections=1, maxPendingRequests=2), "spec": {
                           **breaker(maxConnections=1, maxPendingRequests=2)["spec"], "http2": {"maxConcurrentStreams": 3}}}),
                 args=["--workers", "1"])
    crowd = Crowd(gw).send(5)
    up.wait(3)
    eventually(lambda: pending(gw) == 2)
    assert is_told(gw.request())
    up.let(2)
    eventually(lambda: len(crowd.replies) == 2)
    up.wait(3)
    up.let(3)
    assert crowd.statuses() == [200] * 5
    assert len(up.up.connections) == 1 and up.most == 3


def test_streams_that_wait_share_the_connection_that_one_is_given(gateway, http2_upstream):
    """Four workers and one connection: it goes round."""
    up = Held(http2_upstream("a"), seconds=0.01)
    gw = gateway(world(backend("a", up.up, **H2C), route("r", rule("a")), breaker(maxConnections=1)), args=["--workers", "4"])
    for _ in range(3):
        assert Crowd(gw).send(30).statuses() == [200] * 30
    assert gw.metric("tollgate_upstream_connections", backend="Backend/play/a") <= 1


def clients_by_worker(gw, up, at, n=60):
    """Connections of clients, by the worker that has them: each worker has one of its own to the backend behind `at`."""
    found = {}
    for _ in range(n):
        raw = gw.raw()
        raw.send(b"GET %s HTTP/1.1\r\nHost: a.test\r\n\r\n" % at.encode())
        assert raw.reply().status == 200
        found.setdefault(up.last.connection.index, []).append(raw)
    return sorted(found.values(), key=len)


def test_a_worker_that_has_the_only_connection_lets_it_go_in_the_end(gateway, http2_upstream):
    """Its own requests would keep it busy for ever."""
    up, other = Held(http2_upstream("a")), http2_upstream("b")
    gw = gateway(world(backend("a", up.up, **H2C), backend("b", other, **H2C), route("r", rule("a", matches=[path("/a")])),
                       route("s", rule("b", matches=[path("/b")])), breaker(("HTTPRoute", "r"), maxConnections=1)),
                 args=["--workers", "2"])
    there, *_, here = clients_by_worker(gw, other, "/b")
    assert there is not here and len(here) >= 25
    ask = b"GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n"
    here[0].send(ask)
    up.wait(1)
    there[0].send(ask)
    eventually(lambda: pending(gw) == 1)
    for raw in here[1:25]:
        raw.send(ask)
    eventually(lambda: up.n + pending(gw) == 26)
    assert up.n < 25, "some come behind the other worker's"
    n = up.n
    up.let(n)
    assert all(raw.reply().status == 200 for raw in here[:n])
    up.wait(1)
    assert len(up.up.connections) == 2
    up.let(26 - n)
    assert there[0].reply().status == 200
    assert all(raw.reply().status == 200 for raw in here[n:25])


def test_a_long_stream_does_not_stand_in_its_own_workers_way(gateway, http2_upstream):
    """Another worker waits for the only connection, which has a stream without end: its own worker goes on with it."""
    up, other, may_end = http2_upstream("a"), http2_upstream("b"), threading.Event()

    def script(stream):
        if stream.target != "/a/long":
            return stream.answer(body=b"ok")
        stream.head(200, [("content-type", "text/event-stream")])
        stream.data(b"data: x\n\n")
        may_end.wait(60 * FACTOR)
        return stream.data(b"data: end\n\n", end=True)
    up.script = script
    gw = gateway(world(backend("a", up, **H2C), backend("b", other, **H2C), route("r", rule("a", matches=[path("/a")])),
                       route("s", rule("b", matches=[path("/b")])), breaker(("HTTPRoute", "r"), maxConnections=1)),
                 args=["--workers", "2"])
    assert "maxConnections 1 is less than the 2 workers" in gw.stderr()
    here, there = clients_by_worker(gw, other, "/b", 30)
    ask = b"GET /a/%s HTTP/1.1\r\nHost: a.test\r\n\r\n"
    here[0].send(ask % b"long")
    here[0].until(b"data: x")
    there[0].send(ask % b"there")
    eventually(lambda: pending(gw) == 1)
    for raw in here[1:5]:  # the first of them waits for a second at most
        raw.send(ask % b"here")
        assert raw.reply().status == 200
    assert pending(gw) == 1 and there[0].buffer == b""
    may_end.set()
    for raw in here[5:]:
        raw.send(ask % b"here")
        assert raw.reply().status == 200
    there[0].sock.settimeout(20 * FACTOR)
    assert there[0].reply().status == 200
    assert gw.metric("tollgate_upstream_connections", backend="Backend/play/a") == 1


def test_who_waits_is_served_by_its_own_connection_when_another_pool_gives_a_request_back(gateway, http2_upstream):
    """The place among the requests is given back by streams of a connection of other settings, which is of no use to who
    waits, while its own worker's connection has room."""
    up, may_end = http2_upstream("a"), {at: threading.Event() for at in ("/a/1", "/a/2", "/a/3", "/b/1")}
    came = []

    def script(stream):
        came.append(stream.target)
        may_end[stream.target].wait(60 * FACTOR)
        stream.answer(body=b"ok")
    up.script = script
    bounded = breaker(("HTTPRoute", "r"), maxConnections=1, maxParallelRequests=2, maxPendingRequests=5)
    bounded["spec"]["http2"] = {"maxConcurrentStreams": 2}
    gw = gateway(world(backend("a", up, **H2C), route("r", rule("a", matches=[path("/a")])),
                       route("s", rule("a", matches=[path("/b")])), bounded), args=["--workers", "1"])
    raws = {}

    def ask(at):
        raws[at] = gw.raw(b"GET %s HTTP/1.1\r\nHost: a.test\r\n\r\n" % at.encode())

    for at in ("/a/1", "/a/2"):
        ask(at)
        eventually(lambda at=at: at in came)
    ask("/a/3")
    eventually(lambda: pending(gw) == 1)
    ask("/b/1")
    eventually(lambda: "/b/1" in came)
    for at in ("/a/2", "/b/1"):
        may_end[at].set()
        assert raws[at].reply().status == 200
    eventually(lambda: "/a/3" in came, 3, "one of two under way, a connection with room")
    for at in ("/a/3", "/a/1"):
        may_end[at].set()
        assert raws[at].reply().status == 200


def test_unused_connections_of_other_workers_are_closed_for_who_waits(gateway, held):
    up, a = held(seconds=0.001)
    gw = gateway(world(a, route("r", rule("a")), breaker(maxConnections=2, maxPendingRequests=100)), args=["--workers", "4"])
    for _ in range(60):  # each on a connection of its own, on whichever worker
        began = time.monotonic()
        assert gw.request().status == 200
        assert time.monotonic() - began < 2 * FACTOR, "it waited for a timer"
    assert up.most == 1
    assert gw.metric("tollgate_upstream_connections", backend="Backend/play/a") <= 2


def test_unused_connections_serve_where_nobody_may_wait(gateway, upstream):
    """Nobody waits for a connection that is in use; one that is not is closed for who needs it, on whichever worker."""
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a")), breaker(maxConnections=1, maxPendingRequests=0)),
                 args=["--workers", "4"])
    assert [gw.request().status for _ in range(60)] == [200] * 60
    assert up.n_connections > 1  # several workers have served


def test_connections_beyond_bounds_that_a_reload_brings_are_not_kept(gateway, upstream):
    up = Held(upstream("a"))
    a = backend("a", up.up)
    gw = gateway(world(a, route("r", rule("a"))), args=["--workers", "1"])
    crowd = Crowd(gw).send(24)
    up.wait(24)
    up.let(24)
    assert crowd.statuses() == [200] * 24
    assert gw.metric("tollgate_upstream_connections", backend="Backend/play/a") == 24
    gw.apply(world(a, route("r", rule("a")), breaker(maxConnections=3)))
    up.let(21)
    assert [gw.request().status for _ in range(21)] == [200] * 21
    eventually(lambda: gw.metric("tollgate_upstream_connections", backend="Backend/play/a") == 3)
    up.most = 0
    crowd = Crowd(gw).send(12)
    up.wait(3)
    up.let(12)
    assert crowd.statuses() == [200] * 12 and up.most == 3


def test_connections_of_streams_beyond_bounds_that_a_reload_brings_end_with_their_streams(gateway, http2_upstream):
    up, other = Held(http2_upstream("a")), http2_upstream("b")
    both = [backend("a", up.up, **H2C), backend("b", other, **H2C), route("r", rule("a", matches=[path("/a")])),
            route("s", rule("b", matches=[path("/b")]))]
    gw = gateway(world(*both), args=["--workers", "3"])
    workers = clients_by_worker(gw, other, "/b", 40)
    ask = b"GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n"
    for raws in workers:
        raws[0].send(ask)
    up.wait(3)
    n_open = lambda: gw.metric("tollgate_upstream_connections", backend="Backend/play/a")  # noqa: E731
    assert n_open() == 3
    gw.apply(world(*both, breaker(("HTTPRoute", "r"), maxConnections=2)))
    for raws in workers:  # one of the three is to end; the others go on to serve
        raws[1].send(ask)
    up.wait(6)
    up.let(6)
    for raws in workers:
        assert raws[0].reply().status == raws[1].reply().status == 200
    eventually(lambda: n_open() == 2)


def test_nobody_goes_before_those_who_wait(gateway, upstream):
    """A connection gets free in the very turn in which another request is there."""
    up, targets = upstream("a"), []
    inside, go_on, sent = (threading.Semaphore(0) for _ in range(3))

    def script(request, connection):
        target = request.target
        while True:
            targets.append(target)
            inside.release()
            go_on.acquire()
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nheld")
            sent.release()
            head = connection.read_until(b"\r\n\r\n")
            if head is None:
                return None
            target = head.split()[1].decode()
    up.script = script
    gw = gateway(world(backend("a", up), route("r", rule("a")), breaker(maxConnections=1)), args=["--workers", "1"])
    ask = b"GET /%s HTTP/1.1\r\nHost: a.test\r\n\r\n"
    with gw.raw(ask % b"1") as first, gw.raw() as second, gw.raw(ask % b"2") as third:
        inside.acquire()
        eventually(lambda: pending(gw) == 1)
        gw.signal(signal.SIGSTOP)
        try:
            eventually(gw.is_stopped)
            go_on.release()
            sent.acquire()
            second.send(ask % b"3")
        finally:
            gw.signal(signal.SIGCONT)
        for _ in range(2):
            go_on.release()
        assert [raw.reply().status for raw in (first, second, third)] == [200] * 3
    assert targets == ["/1", "/2", "/3"] and up.n_connections == 1


def test_who_leaves_while_it_waits_makes_room(gateway, upstream):
    up = Held(upstream("a"))
    gw = gateway(world(backend("a", up.up), route("r", rule("a")), breaker(maxConnections=1, maxPendingRequests=2)),
                 args=["--workers", "4"])
    crowd = Crowd(gw).send(1)
    up.wait(1)
    waiting = [gw.raw(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n") for _ in range(2)]
    eventually(lambda: pending(gw) == 2)
    for raw in waiting:
        raw.__exit__()
    eventually(lambda: pending(gw) == 0)
    crowd.send(2)
    eventually(lambda: pending(gw) == 2)
    up.let(3)
    assert crowd.statuses() == [200] * 3 and len(up.up.requests) == 3


def test_time_passes_for_who_waits(gateway, upstream):
    up = Held(upstream("a"))
    gw = gateway(world(backend("a", up.up), route("r", rule("a", timeouts={"request": "300ms"}, matches=[path("/r")])),
                       route("s", rule("a", matches=[path("/s")])), breaker(maxConnections=1)))
    crowd = Crowd(gw).send(1, "/s")
    up.wait(1)
    reply = gw.request("/r")
    assert (reply.status, reply.code) == (504, "upstream_timeout")
    assert pending(gw) == 0
    up.let(1)
    assert crowd.statuses() == [200]


def test_a_body_comes_whole_after_waiting(gateway, held):
    up, a = held()
    gw = gateway(world(a, route("r", rule("a")), breaker(maxConnections=1, maxParallelRequests=100)), args=["--workers", "4"])
    crowd = Crowd(gw).send(1)
    up.wait(1)
    crowd.send(5, method="POST", body=b"x" * 300_000)
    up.let(6)
    assert crowd.statuses() == [200] * 6
    assert sorted(len(r.body) for r in up.up.requests) == [0] + [300_000] * 5


def test_endpoints_with_room_serve_who_waits(gateway, upstream):
    ups = [Held(upstream(name)) for name in "ab"]
    gw = gateway(world(backend("a", *(u.up for u in ups)), route("r", rule("a")), breaker(perEndpoint={"maxConnections": 1})),
                 args=["--workers", "4"])
    crowd = Crowd(gw).send(6)
    for up in ups:
        up.wait(1)
    eventually(lambda: pending(gw) == 4)
    ups[0].let(5)
    eventually(lambda: len(crowd.replies) == 5)
    ups[1].let(1)
    assert crowd.statuses() == [200] * 6 and [u.most for u in ups] == [1, 1]


def test_four_workers_and_many_clients_keep_one_bound_and_reach_it(gateway, held):
    """Nobody is refused: all wait for their turn."""
    up, a = held(seconds=0.005)
    gw = gateway(world(a, route("r", rule("a")), {**breaker(maxConnections=8, maxPendingRequests=400), "spec": {
        **breaker(maxConnections=8, maxPendingRequests=400)["spec"], "http2": {"maxConcurrentStreams": 1}}}),
        args=["--workers", "4"])
    statuses = []

    def client():
        for _ in range(6):
            statuses.append(gw.request().status)
    Threads().go(client, n=100).join(120)
    assert statuses == [200] * 600 and up.most == 8
    assert pending(gw) == 0


def test_a_reload_leaves_who_waits_in_its_place(gateway, upstream):
    up = Held(upstream("a"))
    a = backend("a", up.up)
    gw = gateway(world(a, route("r", rule("a")), breaker(maxConnections=1, maxPendingRequests=4)), args=["--workers", "4"])
    crowd = Crowd(gw).send(5)
    up.wait(1)
    eventually(lambda: pending(gw) == 4)
    gw.apply(world(a, route("other", rule("a")), breaker(maxConnections=2, maxPendingRequests=5, name="other")))
    assert pending(gw) == 4
    up.let(5)
    assert crowd.statuses() == [200] * 5
    crowd = Crowd(gw).send(2)
    up.wait(2)
    up.let(2)
    assert crowd.statuses() == [200, 200]


@pytest.mark.parametrize("workers", ["1", "4"])
def test_who_waits_goes_by_the_bounds_that_a_reload_brings(gateway, upstream, workers):
    """Nobody ends, and nobody comes: what wakes them is the reload."""
    up = Held(upstream("a"))
    a, r = backend("a", up.up), route("r", rule("a"))
    gw = gateway(world(a, r, breaker(maxConnections=1, maxParallelRequests=1)), args=["--workers", workers])
    crowd = Crowd(gw).send(8)
    up.wait(1)
    eventually(lambda: pending(gw) == 7)
    gw.apply(world(a, r, breaker(maxConnections=3, maxParallelRequests=3)))
    up.wait(3)
    gw.apply(world(a, r, breaker(maxConnections=2, maxParallelRequests=2)))
    up.let(1)
    up.wait(2)
    up.let(2)
    eventually(lambda: (up.n, pending(gw)) == (2, 3), what="two in their place")
    assert up.most == 3
    gw.apply(world(a, r, breaker(("HTTPRoute", "r"), name="other", maxConnections=3)))
    up.wait(3)
    gw.apply(world(a, r))
    up.wait(5)
    assert pending(gw) == 0
    up.let(5)
    assert crowd.statuses() == [200] * 8


def test_streams_that_wait_go_by_the_bounds_that_a_reload_brings(gateway, http2_upstream):
    up = Held(http2_upstream("a"))
    a, r = backend("a", up.up, **H2C), route("r", rule("a"))
    gw = gateway(world(a, r, breaker(maxConnections=1)), args=["--workers", "4"])
    crowd, n = Crowd(gw), 0
    while not pending(gw):  # until one is at another worker
        crowd.send()
        n += 1
        eventually(lambda: up.n + pending(gw) == n)  # noqa: B023
    gw.apply(world(a, r, breaker(maxConnections=2)))
    up.wait(n)
    up.let(n)
    assert set(crowd.statuses()) == {200}


def test_who_waits_is_refused_when_a_reload_lets_nobody_in(gateway, upstream):
    up = Held(upstream("a"))
    a, r = backend("a", up.up), route("r", rule("a"))
    gw = gateway(world(a, r, breaker(maxConnections=1)))
    crowd = Crowd(gw).send(3)
    up.wait(1)
    eventually(lambda: pending(gw) == 2)
    gw.apply(world(a, r, breaker(maxConnections=0)))
    eventually(lambda: len(crowd.replies) == 2)
    assert all(is_told(reply) for _, reply in crowd.replies)
    up.let(1)
    assert crowd.statuses() == [200, 503, 503]


def test_connections_that_wider_bounds_have_left_are_no_room_for_one_more(gateway, upstream):
    up = Held(upstream("a"))
    a, r = backend("a", up.up), route("r", rule("a"))
    gw = gateway(world(a, r, breaker(maxConnections=4, maxParallelRequests=4)), args=["--workers", "1"])
    crowd = Crowd(gw).send(4)
    up.wait(4)
    up.let(4)
    assert crowd.statuses() == [200] * 4
    gw.apply(world(a, r, breaker(maxConnections=1, maxParallelRequests=1)))
    up.most = 0
    crowd = Crowd(gw).send(3)
    up.wait(1)
    eventually(lambda: pending(gw) == 2)
    up.let(3)
    assert crowd.statuses() == [200] * 3 and up.most == 1


# ---- tenants ----

@pytest.fixture
def shared(gateway, upstream, issuer):
    """One connection, a queue of 12, and callers with tenants."""
    up, issued = Held(upstream("a")), issuer()
    gw = gateway(world(backend("a", up.up), route("r", rule("a")), breaker(maxConnections=1, maxPendingRequests=12),
                       security_policy("s", target("HTTPRoute", "r"), jwt={"providers": [local_provider(issued)]})),
                 args=["--workers", "4"])
    return gw, up, {name: issued.token(name) for name in ("greedy", "modest", "other")}


def test_tenants_take_turns_however_much_one_asks_for(shared):
    gw, up, tokens = shared
    first, greedy, modest = Crowd(gw).send(1, token=tokens["other"]), Crowd(gw), Crowd(gw)
    up.wait(1)
    greedy.send(9, token=tokens["greedy"])
    eventually(lambda: pending(gw) == 9)
    modest.send(3, token=tokens["modest"])
    eventually(lambda: pending(gw) == 12)
    up.let(1)
    assert first.statuses() == [200]
    for n in range(6):
        up.let(1)
        eventually(lambda: len(greedy.replies) + len(modest.replies) == n + 1)
    assert len(greedy.replies) == len(modest.replies) == 3, "half of the turns each"
    up.let(6)
    assert greedy.statuses() == [200] * 9 and modest.statuses() == [200] * 3


def test_a_queue_that_a_tenant_has_filled_makes_room_for_others(shared):
    gw, up, tokens = shared
    first, greedy, modest = Crowd(gw).send(1, token=tokens["other"]), Crowd(gw), Crowd(gw)
    up.wait(1)
    greedy.send(12, token=tokens["greedy"])
    eventually(lambda: pending(gw) == 12)
    assert is_told(gw.request(token=tokens["greedy"]))
    modest.send(6, token=tokens["modest"])
    eventually(lambda: len(greedy.replies) == 6)
    assert all(is_told(reply) for _, reply in greedy.replies)
    assert is_told(gw.request(token=tokens["modest"])), "it has its half"
    up.let(13)
    assert first.statuses() == [200]
    assert modest.statuses() == [200] * 6 and greedy.statuses() == [200] * 6 + [503] * 6
    overflows = gw.metric("tollgate_circuit_breaker_overflows_total", backend="Backend/play/a", bound="pending")
    assert overflows == 8


def test_those_who_wait_do_not_close_the_backend_to_others(gateway, upstream, issuer):
    """They are not among the parallel requests, whose bound one tenant could else meet by waiting."""
    up, issued = Held(upstream("a")), issuer()
    gw = gateway(world(backend("a", up.up), route("r", rule("a")),
                       breaker(maxConnections=1, maxPendingRequests=6, maxParallelRequests=3),
                       security_policy("s", target("HTTPRoute", "r"), jwt={"providers": [local_provider(issued)]})),
                 args=["--workers", "2"])
    greedy, modest = issued.token("greedy"), issued.token("modest")
    crowd = Crowd(gw).send(7, token=greedy)
    up.wait(1)
    eventually(lambda: pending(gw) == 6)
    one = Crowd(gw).send(1, token=modest)
    eventually(lambda: len(crowd.replies) == 1)  # the newest of the others has made room
    up.let(7)
    assert one.statuses() == [200]
    assert crowd.statuses() == [200] * 6 + [503]
    assert up.most == 1


@pytest.mark.parametrize("workers", ["1", "4"])
def test_who_waits_goes_on_when_fewer_are_under_way(gateway, upstream, workers):
    """A connection that gets free is not enough where the bound of the requests under way is lower."""
    up = Held(upstream("a"))
    gw = gateway(world(backend("a", up.up), route("r", rule("a")), route("s", rule("a", matches=[path("/s")])),
                       breaker(("HTTPRoute", "r"), maxConnections=3, maxPendingRequests=4, maxParallelRequests=2),
                       breaker(("HTTPRoute", "s"), "more", maxConnections=3, maxParallelRequests=3)),
                 args=["--workers", workers])
    crowd = Crowd(gw).send(3, at="/s")
    up.wait(3)
    waiting = Crowd(gw).send(2)
    eventually(lambda: pending(gw) == 2)
    up.let(1)
    assert eventually(lambda: len(crowd.replies) == 1) and up.n == 2 and pending(gw) == 2
    up.let(4)
    assert crowd.statuses() == [200] * 3
    assert waiting.statuses() == [200] * 2
    assert gw.metric("tollgate_circuit_breaker_requests", backend="Backend/play/a") == 0


def test_a_steady_crowd_leaves_a_modest_tenant_its_share(gateway, upstream, issuer):
    """Both always have requests waiting, the one ten times as many as the other: they get the same."""
    up, issued = Held(upstream("a"), seconds=0.003), issuer()
    gw = gateway(world(backend("a", up.up), route("r", rule("a")), breaker(maxConnections=2, maxPendingRequests=200),
                       security_policy("s", target("HTTPRoute", "r"), jwt={"providers": [local_provider(issued)]})),
                 args=["--workers", "4"])
    n, is_over, ended = {"greedy": 0, "modest": 0}, threading.Event(), []
    lock = threading.Lock()

    def client(tenant, token):
        status = 200
        while status == 200 and not is_over.is_set():
            status = gw.request(token=token).status
            with lock:
                n[tenant] += 1
                if n["modest"] == 150:
                    is_over.set()
        ended.append(status)
    threads = Threads()
    for tenant, count in (("greedy", 80), ("modest", 8)):
        threads.go(client, tenant, issued.token(tenant), n=count)
    threads.join(120)
    assert ended == [200] * 88, "the last ones too"
    assert is_over.is_set() and n["greedy"] < 2 * n["modest"] + 80, n


# ---- what is told ----

def test_metrics_and_status_tell_what_there_is(gateway, upstream):
    up = Held(upstream("a"))
    a = backend("a", up.up)
    gw = gateway(world(a, backend("b", upstream("b")), route("r", rule("a")), route("s", rule("b", matches=[path("/s")])),
                       breaker(("HTTPRoute", "r"), maxConnections=2, maxPendingRequests=1, maxParallelRequests=3)))
    crowd = Crowd(gw).send(3)
    up.wait(2)
    eventually(lambda: pending(gw) == 1)
    assert is_told(gw.request())
    assert gw.request("/s").status == 200
    assert gw.metric("tollgate_circuit_breaker_requests", backend="Backend/play/a") == 2
    assert gw.metric("tollgate_upstream_connections", backend="Backend/play/a") == 2
    for bound, count in (("connections", 2), ("pending", 1), ("requests", 0), ("retries", 0)):
        assert gw.metric("tollgate_circuit_breaker_overflows_total", backend="Backend/play/a", bound=bound) == count, bound
    assert 'backend="Backend/play/b"' not in "".join(
        line for line in gw.get_admin("/metrics").body.decode().splitlines() if "circuit_breaker" in line)
    told = {c["name"]: c for c in gw.status()["clusters"]}["Backend/play/a"]["circuit_breaker"]
    assert told == {"connections": 2, "requests": 2, "pending": 1, "retries": 0}
    up.let(3)
    assert crowd.statuses() == [200] * 3
