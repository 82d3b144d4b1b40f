"""Circuit breakers of BackendTrafficPolicy: bounds of a backend, exact among workers, whoever counts."""
import threading
import time

import pytest

from play.deadline import FACTOR, eventually
from play.http2_upstream import Http2Upstream
from play.manifests import backend, path, route, rule, target, thing, to, world
from play.upstream import Answer

H2C = {"appProtocols": ["gateway.envoyproxy.io/h2c"]}


def breaker(at=("Gateway", "front"), name="breaker", **spec):
    return thing("gateway.envoyproxy.io/v1alpha1", "BackendTrafficPolicy", name,
                 {"targetRefs": [target(*at)], "circuitBreaker": spec})


def copied_to(name):
    return {"type": "RequestMirror", "requestMirror": {"backendRef": to(name)}}


class Held:
    """A backend, of either protocol, that answers when it is let, and knows how many it has at once."""

    def __init__(self, up, seconds=0):
        self.up = up
        self.may_answer = threading.Semaphore(0)
        self.seconds = seconds
        self.n, self.most = 0, 0
        self._changed = threading.Condition()
        up.script = self._stream if isinstance(up, Http2Upstream) else self._request
        self.is_h2 = isinstance(up, Http2Upstream)

    def _hold(self):
        with self._changed:
            self.n += 1
            self.most = max(self.most, self.n)
            self._changed.notify_all()
        if self.seconds:
            time.sleep(self.seconds)
        else:
            self.may_answer.acquire()
        with self._changed:
            self.n -= 1
            self._changed.notify_all()

    def _request(self, _request, _connection):
        self._hold()
        return Answer(body=b"held")

    def _stream(self, stream):
        self._hold()
        stream.answer(body=b"held")

    def wait(self, n):
        with self._changed:
            assert self._changed.wait_for(lambda: self.n == n, 20 * FACTOR), f"{self.n} at once, waited for {n}"

    def let(self, n):
        for _ in range(n):
            self.may_answer.release()


class Crowd:
    """Requests in threads of their own; their replies as they come."""

    def __init__(self, gw):
        self.gw = gw
        self.replies = []
        self._threads = []

    def send(self, n=1, at="/", **more):
        for _ in range(n):
            thread = threading.Thread(target=self._one, args=(at,), kwargs=more, daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def _one(self, at, **more):
        self.replies.append((at, self.gw.request(at, **more)))

    def statuses(self):
        for thread in self._threads:
            thread.join(60 * FACTOR)
        assert not any(t.is_alive() for t in self._threads), "an answer never came"
        return sorted(reply.status for _, reply in self.replies)


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
    threads = [threading.Thread(target=client, daemon=True) for _ in range(40)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120 * FACTOR)
    n_ok, n_refused = (sum(n) for n in zip(*counts))
    assert n_ok + n_refused == 480 and n_refused > 0
    assert n_ok == len(up.up.requests) and up.most == 7
