"""Fallback of HTTPRoutes, priorities of AIGatewayRoutes, and weights, by the health of endpoints."""
import collections

import pytest
from play.deadline import eventually
from play.health import HEALTH, Sick, answers, failing, health_of, http_check, only, outlier, policy, wait_health
from play.manifests import ai_backend, ai_route, ai_rule, backend, path, route, rule, to, world
from play.ports import free_port

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def checks(panic=50, **more):
    return policy(healthCheck={"active": http_check(**more), "panicThreshold": panic})


def fallback_world(main, other, panic=50):
    return world(backend("main", *main), backend("other", *other, fallback=True),
                 route("r", rule("other", "main")), checks(panic))


def test_the_fallback_takes_over_and_returns(gateway, upstream):
    a, f = upstream("a"), upstream("f")
    sick, _ = Sick(a), Sick(f)
    gw = gateway(fallback_world([a], [f]))
    wait_health(gw, a, "healthy")
    only(gw, "a")
    sick.status = 500
    wait_health(gw, a, "unhealthy")
    only(gw, "f")
    sick.status = 200
    wait_health(gw, a, "healthy")
    only(gw, "a")


def test_the_fallback_takes_what_the_others_cannot(gateway, upstream):
    """Half of them are well: 1.4 times that share stays there, in no panic though fewer are well than its threshold."""
    a, b, f = upstream("a"), upstream("b"), upstream("f")
    Sick(a, 500), Sick(b), Sick(f)
    gw = gateway(fallback_world([a, b], [f], panic=60))
    wait_health(gw, a, "unhealthy")
    wait_health(gw, b, "healthy")
    wait_health(gw, f, "healthy")
    counts = answers(gw, 400)
    assert set(counts) == {"b", "f"}
    assert 220 <= counts["b"] <= 340, counts  # 280 are expected; 6 standard deviations


def test_nobody_is_well_anywhere(gateway, upstream):
    a, f = upstream("a"), upstream("f")
    Sick(a, 500), Sick(f, 500)
    gw = gateway(fallback_world([a], [f], panic=50))
    for up in (a, f):
        wait_health(gw, up, "unhealthy")
    assert set(answers(gw, 60)) == {"a", "f"}  # as many as there are of each
    gw.apply(fallback_world([a], [f], panic=0))
    eventually(lambda: gw.request("/").status == 503)
    assert set(answers(gw, 10)) == {503}


def test_without_health_checks_a_fallback_waits(gateway, upstream):
    """What fails for one request is no reason to leave the backends that are meant."""
    f = upstream("f")
    gw = gateway(world(backend("main", free_port()), backend("other", f, fallback=True), route("r", rule("main", "other"))))
    assert set(answers(gw, 20)) == {503} and not f.requests
    f2 = upstream("f2")
    gw.apply(world(backend("other", f2, fallback=True), route("r", rule("other"))))
    eventually(lambda: gw.request("/").status == 200)  # there are no others


def test_ejections_make_room_for_the_fallback(gateway, upstream):
    a, f = upstream("a"), upstream("f")
    state = failing(a)
    gw = gateway(world(backend("main", a), backend("other", f, fallback=True), route("r", rule("main", "other")),
                       policy(healthCheck=outlier(maxEjectionPercent=100, baseEjectionTime="300ms", interval="50ms"))))
    counts = answers(gw, 6)
    assert counts[500] >= 3 and counts["f"] >= 1, counts
    state["status"] = 200
    eventually(lambda: "a" in answers(gw, 5))


def test_a_backend_that_is_ill_gives_its_weight_away(gateway, upstream):
    a, b = upstream("a"), upstream("b")
    sick, _ = Sick(a), Sick(b)
    gw = gateway(world(backend("a", a), backend("b", b), route("r", rule(to("a", 9), to("b", 1))), checks(0)))
    wait_health(gw, a, "healthy")
    assert set(answers(gw, 100)) == {"a", "b"}
    sick.status = 500
    wait_health(gw, a, "unhealthy")
    only(gw, "b", 60)
    sick.status = 200
    wait_health(gw, a, "healthy")
    assert answers(gw, 100)["a"] > 60


def test_an_invalid_backend_keeps_its_share(gateway, upstream):
    a, b = upstream("a"), upstream("b")
    Sick(a, 500), Sick(b)
    gw = gateway(world(backend("a", a), backend("b", b), route("r", rule(to("a", 1), to("b", 1), to("absent", 2))), checks(0)))
    wait_health(gw, a, "unhealthy")
    counts = answers(gw, 200)
    assert set(counts) == {"b", 500} and 60 <= counts[500], counts


def ai_world(first, second, *more, panic=50):
    refs = [{"name": "first", "priority": 0}, {"name": "second", "priority": 1}]
    return world(backend("first", *first), backend("second", *second), ai_backend("first"), ai_backend("second"),
                 ai_route("ai", ai_rule(*refs)), *more,
                 policy(of="front", kind="Gateway", healthCheck={"active": http_check(), "panicThreshold": panic}))


def chats(gw, n=12):
    counts = collections.Counter()
    for _ in range(n):
        reply = gw.request("/v1/chat/completions", json=CHAT)
        counts[reply.json["upstream"] if reply.status == 200 else reply.status] += 1
    return counts


def test_a_priority_where_nobody_is_well_is_left_out(gateway, upstream):
    a, b = upstream("a"), upstream("b")
    sick_a, sick_b = Sick(a), Sick(b)
    gw = gateway(ai_world([a], [b]))
    wait_health(gw, a, "healthy")
    assert set(chats(gw)) == {"a"}
    sick_a.status = 500
    wait_health(gw, a, "unhealthy")
    n = len([r for r in a.requests if r.target != HEALTH])
    assert set(chats(gw)) == {"b"}
    assert len([r for r in a.requests if r.target != HEALTH]) == n
    sick_b.status = 500
    wait_health(gw, b, "unhealthy")
    assert set(chats(gw)) == {"a"}  # nobody is well: as if all were
    sick_b.status = 200
    wait_health(gw, b, "healthy")
    assert set(chats(gw)) == {"b"}


def test_a_priority_that_fails_goes_on_to_the_next_in_health_or_not(gateway, upstream):
    """Decision 11 holds beside it."""
    a, b = upstream("a"), upstream("b")
    Sick(a), Sick(b, 500)
    gw = gateway(ai_world([a], [b]))
    wait_health(gw, b, "unhealthy")
    a.script = lambda r, c: a.echo(r, c) if r.target == HEALTH else None
    assert set(chats(gw)) == {"b"}


@pytest.mark.parametrize("panic, found", [(50, {"a", "b"}), (0, {"b"})])
def test_one_of_a_priority_that_is_well_does_not_panic_beside_another(gateway, upstream, panic, found):
    """With a single priority it would: three of four are ill."""
    a, b, c = upstream("a"), upstream("b"), upstream("c")
    Sick(a, 500), Sick(b), Sick(c)
    ill = [a, *[upstream("a") for _ in range(2)]]
    for up in ill[1:]:
        Sick(up, 500)
    gw = gateway(ai_world([*ill, b], [c], panic=panic))
    for up in ill:
        wait_health(gw, up, "unhealthy")
    wait_health(gw, b, "healthy")
    assert set(chats(gw, 40)) == {"b"}
    single = world(backend("first", *ill, b), ai_backend("first"), ai_route("ai", ai_rule({"name": "first"})),
                   policy(of="front", kind="Gateway", healthCheck={"active": http_check(), "panicThreshold": panic}))
    gw.apply(single)
    for up in ill:
        assert health_of(gw, up) == "unhealthy"
    assert set(chats(gw, 60)) == found


def test_fallback_of_a_backend_in_an_ai_route_comes_behind_its_priority(gateway, upstream):
    a, f, b = upstream("a"), upstream("f"), upstream("b")
    objects = [backend("first", a), backend("second", b), backend("behind", f, fallback=True),
               *[ai_backend(name) for name in ("first", "second", "behind")],
               ai_route("ai", ai_rule({"name": "second", "priority": 1}, {"name": "behind", "priority": 0},
                                      {"name": "first", "priority": 0}))]
    gw = gateway(world(*objects))
    assert set(chats(gw)) == {"a"}
    a.stop()
    assert set(chats(gw)) == {"f"}
    f.stop()
    assert set(chats(gw)) == {"b"}
