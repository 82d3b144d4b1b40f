"""What is known of backends at a takeover: circuit breakers stay exact over two processes, and nobody forgets who is
ejected or ill."""
import signal
import threading

import pytest

from play.crowd import Crowd, Held
from play.deadline import FACTOR, eventually
from play.health import Sick, answers, failing, health_of, http_check, only, outlier, policy, wait_health
from play.manifests import backend, route, rule, world
from play.takeover import said
from play.upstream import Answer
from test_breakers import H2C, breaker, is_told, pending

LONG = {"drain": ("0", "60")}


def guarded(up, **bounds):
    return world(backend("a", up), route("r", rule("a")), breaker(**bounds))


def connections(gw):
    return gw.metric("tollgate_upstream_connections", backend="Backend/play/a")


def test_requests_of_the_old_process_count_until_they_end(line, upstream):
    up = Held(upstream("a"))
    old = line.first(guarded(up.up, maxParallelRequests=3), **LONG)
    crowd = Crowd(old).send(2)
    up.wait(2)
    new = line.next()
    crowd.send(1)
    up.wait(3)
    assert is_told(new.request())
    up.let(3)
    assert crowd.statuses() == [200] * 3
    assert old.wait() == 0
    crowd = Crowd(new).send(3)
    up.wait(3)
    assert is_told(new.request())
    up.let(3)
    assert crowd.statuses() == [200] * 3 and up.most == 3


def test_what_a_killed_process_held_is_free_again(line, upstream):
    up = Held(upstream("a"))
    old = line.first(guarded(up.up, maxParallelRequests=2, maxConnections=2, maxPendingRequests=0), **LONG)
    with old.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), old.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"):
        up.wait(2)
        new = line.next()
        assert is_told(new.request())
        old.signal(signal.SIGKILL)
        old.wait()
        said(new, "which was taken over, has ended")
        up.let(4)
        assert Crowd(new).send(2).statuses() == [200] * 2
    old.stop(-signal.SIGKILL)


def test_unused_connections_of_the_old_process_are_in_nobodys_way(line, upstream):
    up = Held(upstream("a"))
    old = line.first(guarded(up.up, maxConnections=3), **LONG)
    crowd = Crowd(old).send(3)
    up.wait(3)
    up.let(2)  # of three connections two are unused now
    eventually(lambda: len(crowd.replies) == 2)
    new = line.next()
    crowd.send(3)
    up.wait(3)
    eventually(lambda: pending(new) == 1)
    up.let(4)
    assert crowd.statuses() == [200] * 6 and up.most == 3
    assert old.wait() == 0


def test_who_waits_in_the_old_process_is_served_by_what_the_new_one_gives_back(line, upstream):
    up = Held(upstream("a"))
    old = line.first(guarded(up.up, maxConnections=1, maxPendingRequests=4), **LONG)
    kept = [old.raw() for _ in range(3)]
    new = line.next()
    crowd = Crowd(new).send(1)
    up.wait(1)
    for raw in kept:  # accepted before, they ask the old one
        raw.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    eventually(lambda: new.metric("tollgate_circuit_breaker_pending", backend="Backend/play/a") == 1,
               what="one that stands in for them")
    crowd.send(1)
    eventually(lambda: pending(new) == 2)
    with new.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") as last:
        assert last.reply().status == 503, "three of the old one's, and one: the queue is full"
    up.let(5)
    assert [raw.reply().status for raw in kept] == [200] * 3
    assert crowd.statuses() == [200] * 2 and up.most == 1
    assert old.wait() == 0
    eventually(lambda: pending(new) == 0)


def test_who_waits_in_the_old_process_is_served_when_the_new_one_is_killed(line, upstream):
    up = Held(upstream("a"))
    old = line.first(guarded(up.up, maxConnections=1, maxPendingRequests=4), **LONG)
    kept = old.raw()
    new = line.next()
    with new.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"):
        up.wait(1)
        kept.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: pending(new) == 1)
        new.signal(signal.SIGKILL)
        new.wait()
        up.let(2)
        assert kept.reply().status == 200
    assert old.wait() == 0
    new.stop(-signal.SIGKILL)


def test_what_is_allowed_too_late_to_be_heard_is_free_again(line, upstream):
    """The new one stands still while it is asked; the old one goes by what it knows, and lives on."""
    up, may_end = upstream("a"), threading.Event()

    def script(request, _connection):
        if request.target == "/long":
            may_end.wait(60 * FACTOR)
        return Answer(body=b"fine")
    up.script = script
    old = line.first(guarded(up, maxParallelRequests=2), **LONG)
    kept, long = old.raw(), old.raw(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n")
    eventually(lambda: any(r.target == "/long" for r in up.requests))
    new = line.next()
    new.signal(signal.SIGSTOP)
    kept.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert kept.reply().status == 200
    new.signal(signal.SIGCONT)
    said(old, "does not say what it allows")
    eventually(lambda: new.request().status == 200, what="one of two places: the other one's request has ended")
    may_end.set()
    assert long.reply().status == 200
    assert old.wait() == 0


def test_three_in_a_row_keep_one_bound(line, upstream):
    up = Held(upstream("a"))
    first = line.first(guarded(up.up, maxParallelRequests=2, maxConnections=2, maxPendingRequests=0), **LONG)
    crowd = Crowd(first).send(1)
    kept = first.raw(b"GET / HTTP/1.1\r\nHost: a\r\n")  # begun, or it would have to come soon
    up.wait(1)
    second = line.next()
    third = line.next()
    crowd.send(1)
    up.wait(2)
    assert is_told(third.request())
    kept.send(b"\r\n")
    assert kept.reply().status == 503, "asked of the third by way of the second"
    up.let(1)
    eventually(lambda: len(crowd.replies) == 1)
    eventually(lambda: connections(third) <= 1 or len(crowd.replies) == 2)
    up.let(3)
    assert crowd.statuses() == [200] * 2
    assert Crowd(third).send(2).statuses() == [200] * 2
    assert first.wait() == 0 and second.wait() == 0 and up.most == 2


BOUNDS = [{"maxConnections": 7, "maxPendingRequests": 1024}, {"maxParallelRequests": 7},
          {"maxConnections": 7, "maxParallelRequests": 7, "maxPendingRequests": 1024}]
BOUND_IDS = ["connections", "requests", "both"]


class Insistent:
    """Clients that ask again and again, some by a connection that they keep: how they were answered."""

    def __init__(self, gw, n):
        self.gw, self.statuses, self._is_over = gw, [], threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(i % 2 == 0,), daemon=True) for i in range(n)]
        for thread in self._threads:
            thread.start()

    def _run(self, keeps):
        raw = None
        while not self._is_over.is_set():
            raw = raw or self.gw.raw()
            raw.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
            reply = raw.reply()
            self.statuses.append(reply.status)
            if not keeps or reply.get("connection") == "close":
                raw.sock.close()
                raw = None

    def wait(self, n):
        before = self.statuses.count(200)
        eventually(lambda: self.statuses.count(200) > before + n, 60, "answers")

    def stop(self):
        self._is_over.set()
        for thread in self._threads:
            thread.join(60 * FACTOR)
            assert not thread.is_alive(), "an answer never came"


def hold_a_bound(line, up, bounds, n_clients, n_takeovers, **more):
    """How many the backend had at once at most, before each takeover and after the last; and all statuses."""
    gw = line.first(world(backend("a", up.up, **more), route("r", rule("a")), breaker(**bounds)), args=["--workers", "4"],
                    **LONG)
    crowd, most = Insistent(gw, n_clients), []
    for n in range(n_takeovers + 1):
        crowd.wait(100)
        most.append(up.most)
        up.most = 0
        if n < n_takeovers:
            line.next(["--workers", "4"])
    crowd.stop()
    assert [gw.wait() for gw in line.all[:-1]] == [0] * n_takeovers
    return [*most, max(up.most, most[-1])], set(crowd.statuses)


@pytest.mark.parametrize("protocol", ["h1", "h2"])
@pytest.mark.parametrize("bounds", BOUNDS, ids=BOUND_IDS)
def test_a_bound_is_exact_and_reached_over_takeovers_under_load(line, upstream, http2_upstream, protocol, bounds):
    up = Held((upstream if protocol == "h1" else http2_upstream)("a"), seconds=0.02)
    most, statuses = hold_a_bound(line, up, bounds, 40, 3, **(H2C if protocol == "h2" else {}))
    # Whose connection would be there is refused. Who waits for one is not, whichever process it waits in.
    waits = "maxConnections" in bounds and (protocol == "h1" or "maxParallelRequests" not in bounds)
    assert statuses == ({200} if waits else {200, 503})
    if protocol == "h1" or "maxParallelRequests" in bounds:  # else streams share connections
        assert set(most) == {7}


# ---- health ----

def test_an_ejected_endpoint_stays_ejected(line, upstream):
    good, bad = upstream("good"), upstream("bad")
    failing(bad)
    first = line.first(world(backend("a", good, bad), route("r", rule("a")),
                             policy(healthCheck=outlier(consecutive5XxErrors=2))), args=["--workers", "2"])
    answers(first, 20)
    n = len(bad.requests)
    for _ in range(2):
        new = line.next()
        only(new, "good", 20)
        assert health_of(new, bad) == "ejected"
    assert len(bad.requests) == n


def test_who_is_ejected_comes_back_when_its_time_is_over(line, upstream):
    good, bad = upstream("good"), upstream("bad")
    state = failing(bad)
    first = line.first(world(backend("a", good, bad), route("r", rule("a")),
                             policy(healthCheck=outlier(consecutive5XxErrors=2, baseEjectionTime="4s"))))
    answers(first, 20)
    assert health_of(first, bad) == "ejected"
    new = line.next()
    assert health_of(new, bad) == "ejected"
    state["status"] = 200
    wait_health(new, bad, "healthy")
    assert set(answers(new, 20)) == {"good", "bad"}


def test_who_fails_its_probes_is_out_of_use_from_the_first_request_on(line, upstream):
    good, bad = upstream("good"), upstream("bad")
    Sick(good)
    sick = Sick(bad, 500)
    check = {"active": http_check("60s", healthy=2), "panicThreshold": 0}  # each process probes once
    first = line.first(world(backend("a", good, bad), route("r", rule("a")), policy(healthCheck=check)))
    wait_health(first, bad, "unhealthy")
    sick.status = 200  # the first probe of one who knows nothing would decide
    new = line.next()
    only(new, "good", 20)
    eventually(lambda: new.metric("tollgate_health_checks_total", backend="Backend/play/a", result="ok") == 2)
    only(new, "good", 20)
    assert health_of(new, bad) == "unhealthy"


def test_what_nobody_asks_for_any_more_is_forgotten(line, upstream):
    good, bad = upstream("good"), upstream("bad")
    failing(bad)
    objects = backend("a", good, bad), route("r", rule("a"))
    first = line.first(world(*objects, policy(healthCheck=outlier(consecutive5XxErrors=2))))
    answers(first, 20)
    assert health_of(first, bad) == "ejected"
    first.write("world.yaml", world(*objects))  # read by the next one; whether by this one too is no matter
    new = line.next()
    assert set(answers(new, 20)) == {"good", 500}
