"""The wall clock is stepped, by an hour and back, again and again. Timers do not notice, no request fails; what is said in
wall time (exp and nbf of tokens) follows it; and a budget does not begin anew for a clock that goes back and forth."""
import threading
import time

from play.deadline import FACTOR
from play.issuer import Key
from play.manifests import (ENVOY_API, backend, local_provider, path, route, rule, security_policy, target, thing, world)
from play.upstream import Answer

HOUR = 3600
BUDGET = 3  # requests an hour
WAIT_S = 1.5


def limit():
    return thing(ENVOY_API, "BackendTrafficPolicy", "limit", {
        "targetRefs": [target("HTTPRoute", "limited")],
        "rateLimit": {"global": {"rules": [{"limit": {"requests": BUDGET, "unit": "Hour"}}]}}})


class Scene:
    def __init__(self, gateway, upstream, issuer, failing_calls):
        self.up, self.keys, self.clock = upstream("a"), issuer("iss", keys=[Key("ES256")]), failing_calls
        self.up.script = self.answer
        self.gw = gateway(world(
            backend("a", self.up), route("open", rule("a", matches=[path("/fresh")])),
            route("waits", rule("a", matches=[path("/waits")], timeouts={"request": f"{WAIT_S * 4:g}s"})),
            route("ends", rule("a", matches=[path("/ends")], timeouts={"request": f"{WAIT_S:g}s"})),
            route("guarded", rule("a", matches=[path("/guarded")])), route("limited", rule("a", matches=[path("/limited")])),
            security_policy("p", target("HTTPRoute", "guarded"), jwt={"providers": [local_provider(self.keys)]}), limit()),
            **failing_calls.more)
        self.go = threading.Event()

    def answer(self, request, connection):
        if request.target in ("/waits", "/ends"):
            self.go.wait(30)
        return Answer(body=b"fine")

    def status(self, at, **more):
        return self.gw.request(at, **more).status


def test_timers_do_not_notice_and_no_request_fails(gateway, upstream, issuer, failing_calls, scale):
    scene = Scene(gateway, upstream, issuer, failing_calls)
    gw, clock = scene.gw, failing_calls
    get = b"GET %s HTTP/1.1\r\nHost: a.test\r\n\r\n"
    with gw.raw(get % b"/waits") as waits, gw.raw(get % b"/ends") as ends, gw.raw(get % b"/fresh") as kept:
        started = time.monotonic()
        assert kept.reply().status == 200
        scene.up.wait_for(3)
        n = 0
        while time.monotonic() - started < WAIT_S * 0.9:
            clock.step_wall_clock((HOUR, 0, -HOUR, 24 * HOUR)[n % 4])
            n += 1
            assert scene.status("/fresh") == 200
            kept.send(get % b"/fresh")
            assert kept.reply().status == 200, "idle connections stay"
        assert ends.reply().status == 504
        assert WAIT_S * 0.99 < time.monotonic() - started < WAIT_S * (1 + 0.1 * FACTOR) + 0.1, "the route's own time"
        scene.go.set()
        assert waits.reply().status == 200
    print(f"{n} steps of the wall clock")
    record = gw.wait_log(lambda r: "/ends" in str(r))
    assert abs(record["duration"] - WAIT_S * 1000) < WAIT_S * 1000 * 0.2 * FACTOR, "durations are no differences of wall time"


def test_tokens_follow_the_wall_clock(gateway, upstream, issuer, failing_calls):
    scene = Scene(gateway, upstream, issuer, failing_calls)
    now = int(time.time())
    token = scene.keys.token(exp=now + HOUR // 2, nbf=now - HOUR // 2, iat=now)

    def came():
        reply = scene.gw.request("/guarded", token=token)
        return reply.status if reply.status == 200 else reply.code

    for step, expected in ((0, 200), (HOUR, "token_expired"), (0, 200), (-HOUR, "token_not_yet_valid"), (0, 200)):
        failing_calls.step_wall_clock(step)
        assert came() == expected, f"the clock stepped by {step} s"


def test_a_budget_does_not_begin_anew_for_a_clock_that_goes_back_and_forth(gateway, upstream, issuer, failing_calls, scale):
    scene = Scene(gateway, upstream, issuer, failing_calls)
    n_passed = 0
    for _ in range(scale(5, 50)):
        for step in (0, HOUR, -HOUR):
            failing_calls.step_wall_clock(step)
            n_passed += sum(scene.status("/limited") == 200 for _ in range(2 * BUDGET))
    # The hour of the start and the one that begins an hour later; that of an hour ago is over.
    assert n_passed <= 2 * BUDGET
    print(f"{n_passed} requests passed a budget of {BUDGET} an hour")
