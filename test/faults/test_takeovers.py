"""Takeovers in a row, under load, with streams that outlive several of them, and successors that are killed at any moment:
nobody is refused, nothing breaks, memory does not grow, and every process that is done ends well."""
import random
import signal
import threading

import pytest

from play.deadline import eventually
from play.gateway import StartFailed
from play.manifests import backend, path, route, rule, world
from play.memory import anonymous_kib, is_sanitized
from play.takeover import Crowd, Tap, streaming
from play.crowd import Held
from test_breakers import breaker
from test_takeover_backends import BOUND_IDS, BOUNDS, Insistent, hold_a_bound

GROWTH_KIB = 4096  # from one successor to a later one
STREAM = b"GET /stream HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
LONG = {"drain": ("0", "600")}


def plain(up, streams):
    return world(backend("a", up), backend("s", streams), route("r", rule("a")),
                 route("t", rule("s", matches=[path("/stream")])))


def open_streams(gw, n):
    opened = [gw.raw(STREAM) for _ in range(n)]
    for raw in opened:
        assert raw.head()[0] == 200 and raw.chunk() == b"one"
    return opened


@pytest.mark.parametrize("args", [[], ["--supervisor"]], ids=["alone", "supervised"])
def test_ten_in_a_row_with_streams_that_live_through_all_of_them(line, upstream, scale, args):
    n_takeovers, n_streams = scale(4, 10), scale(40, 500)
    up, stream_up = upstream("a"), upstream("s")
    go = streaming(stream_up, 600)
    gw = line.first(plain(up, stream_up), args=args, **LONG)
    streams = open_streams(gw, n_streams // 2)
    crowd, held = Crowd(gw, 6), []
    for _ in range(n_takeovers):
        served, new = crowd.n_served, line.next(args)
        streams += open_streams(new, n_streams // 2 // n_takeovers)
        eventually(lambda: crowd.n_served > served + scale(50, 300), 60, "clients served by the next one")
        if not args:  # a parent's own memory says nothing
            held.append(anonymous_kib(new))
    assert all(old.process.poll() is None for old in line.all), "each has streams, or hears of those of others"
    of_first = anonymous_kib(line.all[0])
    go.set()
    for raw in streams:
        assert raw.chunk() == b"two" and raw.chunk() == b"" and raw.rest() == b""
    crowd.stop()
    assert not crowd.faults, crowd.faults[:5]
    assert [old.wait(60) for old in line.all[:-1]] == [0] * n_takeovers
    print(f"{n_takeovers} takeovers, {len(streams)} streams, {crowd.n_served} requests; memory of each successor: {held} KiB, "
          f"of the first one at its end {of_first}")
    assert args or is_sanitized(line.all[-1]) or max(held) - held[0] < GROWTH_KIB, held


@pytest.mark.parametrize("bounds", BOUNDS, ids=BOUND_IDS)
def test_a_breaker_is_exact_over_takeovers_whatever_comes(line, upstream, scale, bounds):
    most, statuses = hold_a_bound(line, Held(upstream("a"), seconds=0.02), bounds, scale(40, 400), scale(2, 10))
    print(f"at once, before each takeover and after the last: {most}; {statuses}")
    assert set(most) == {7} and statuses <= ({200} if "maxConnections" in bounds else {200, 503})


def test_places_come_back_whatever_comes_between(line, upstream, scale):
    """Takeovers, successors that stand still while they are asked, and reloads that rename the backend, or speak to it in
    another way, with more clients than places all the time, some of whom leave while they wait: nobody is forgotten, and in
    the end no place is missing, though every process still has a stream."""
    up, stream_up, dice, args = Held(upstream("a"), seconds=0.02), upstream("s"), random.Random(scale.seed), ["--workers", "4"]
    go = streaming(stream_up, 600)

    def manifests(name, **more):
        bounds = breaker(("HTTPRoute", "r"), maxConnections=2, maxParallelRequests=20, maxPendingRequests=60)
        bounds["spec"].update(more)
        return world(backend(name, up.up), backend("s", stream_up), route("r", rule(name)),
                     route("t", rule("s", matches=[path("/stream")])), bounds)
    streams = open_streams(line.first(manifests("a"), args=args, **LONG), 1)
    crowd, n = Insistent(line.all[0], 24), {}
    for _ in range(scale(12, 60)):
        current = line.all[-1]
        what = dice.choice(["takeover", "standstill", "as before", "renamed", "other settings"])
        n[what] = n.get(what, 0) + 1
        if what == "takeover":
            leaving = [current.raw() for _ in range(4)]
            streams += open_streams(line.next(args), 1)
            for raw in leaving:
                raw.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
                raw.sock.close()
        elif what == "standstill":
            current.signal(signal.SIGSTOP)
            threading.Event().wait(dice.choice((0.1, 0.7)))  # more than what is waited for an answer
            current.signal(signal.SIGCONT)
        else:
            current.write("world.yaml", manifests("b" if what == "renamed" else "a", **(
                {"tcpKeepalive": {"idleTime": "60s"}} if what == "other settings" else {})))
        crowd.wait(10)
    crowd.stop()
    assert set(crowd.statuses) == {200}
    assert all(gw.process.poll() is None for gw in line.all)
    for gauge in ("requests", "pending", "retries"):
        eventually(lambda gauge=gauge: line.all[-1].metric(f"tollgate_circuit_breaker_{gauge}") == 0, 10, f"{gauge} left over")
    assert [line.all[-1].request("/").status for _ in range(2)] == [200] * 2
    go.set()
    for raw in streams:
        assert raw.chunk() == b"two" and raw.chunk() == b"" and raw.rest() == b""
    assert [old.wait(60) for old in line.all[:-1]] == [0] * (len(line.all) - 1)
    print(f"--fault-seed {scale.seed}: {n}, {len(crowd.statuses)} requests")


def test_a_successor_that_is_killed_at_any_moment_harms_nobody(line, upstream, scale):
    """Before COMMIT is heard the old one goes on as if nothing had been; after it the old one finishes, and the next start
    is anew. In front of which message it is killed is drawn."""
    up, stream_up = upstream("a"), upstream("s")
    go = streaming(stream_up, 600)
    dice = random.Random(scale.seed)
    line.first(plain(up, stream_up), **LONG)
    streams, n = open_streams(line.all[0], 5), {"early": 0, "late": 0, "whole": 0}
    for _ in range(scale(8, 60)):
        current, which = line.all[-1], dice.randrange(14)
        before = current.stderr().count("wanted to take over, but")
        tap = Tap(line.door, lambda _side, _kind, nth, which=which: nth == which)
        try:
            line.next(tap=tap)
            n["whole"] += 1
        except StartFailed:
            tap.wait()
            eventually(lambda: current.stderr().count("wanted to take over, but") > before or
                       "it is told no more" in current.stderr(), 20, "the old one to notice")
            is_late = "it is told no more" in current.stderr()
            n["late" if is_late else "early"] += 1
            if is_late:
                line.next(is_anew=True)
        for _ in range(5):
            assert line.all[-1].request("/").status == 200
        streams += open_streams(line.all[-1], 1)
    go.set()
    for raw in streams:
        assert raw.chunk() == b"two" and raw.chunk() == b"" and raw.rest() == b""
    assert [old.wait(60) for old in line.all[:-1]] == [0] * (len(line.all) - 1)
    print(f"--fault-seed {scale.seed}: killed before its COMMIT was heard {n['early']} times, after it {n['late']} times; "
          f"{n['whole']} takeovers came through")
