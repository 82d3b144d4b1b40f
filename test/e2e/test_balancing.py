"""loadBalancer of BackendTrafficPolicy: which endpoint of a backend a request goes to."""
import collections

from play.deadline import eventually
from play.health import Sick, http_check, policy, wait_health
from play.manifests import backend, path, route, rule, world

ALONE = ["--workers", "1"]


def balanced(name="balanced", of="r", kind="HTTPRoute", **spec):
    return policy(name, of, kind, loadBalancer=spec)


def answered(gw, n, where="/", **more):
    """By whom, in order."""
    replies = [gw.request(where, **more) for _ in range(n)]
    assert {reply.status for reply in replies} == {200}
    return [reply.json["upstream"] for reply in replies]


# ---- kinds ----

def test_round_robin_gives_each_endpoint_the_same(gateway, upstream):
    ups = [upstream(name) for name in "abc"]
    gw = gateway(world(backend("b", *ups), route("r", rule("b")), balanced(type="RoundRobin")), args=ALONE)
    got = answered(gw, 30)
    assert all(len(set(got[i:i + 3])) == 3 for i in range(28)), got


def test_round_robin_over_those_that_are_well(gateway, upstream):
    ups = [upstream(name) for name in "abcd"]
    Sick(ups[1], 500)
    for up in (ups[0], *ups[2:]):
        Sick(up)
    gw = gateway(world(backend("b", *ups), route("r", rule("b")),
                       policy(loadBalancer={"type": "RoundRobin"}, healthCheck={"active": http_check(), "panicThreshold": 0})),
                 args=ALONE)
    wait_health(gw, ups[1], "unhealthy")
    assert collections.Counter(answered(gw, 30)) == {"a": 10, "c": 10, "d": 10}


def test_rules_choose_each_by_its_own_policy(gateway, upstream):
    """Of one backend, by one pool of connections: the turns of one rule are not the other's."""
    ups = [upstream(name) for name in "abc"]
    gw = gateway(world(backend("b", *ups), route("r", rule("b", matches=[path("/turn")])),
                       route("s", rule("b", matches=[path("/any")])),
                       balanced(type="RoundRobin"), balanced("other", "s", type="Random")), args=ALONE)
    turns, draws = [], []
    for _ in range(60):
        turns += answered(gw, 1, "/turn")
        draws += answered(gw, 1, "/any")
    assert collections.Counter(turns) == {"a": 20, "b": 20, "c": 20}
    # In turn would be the one of 10**28 orders that are drawn so.
    assert set(draws) == {"a", "b", "c"} and any(len(set(draws[i:i + 3])) < 3 for i in range(58)), draws


def test_a_policy_changes_how_without_changing_connections(gateway, upstream):
    ups = [upstream(name) for name in "abc"]
    objects = [backend("b", *ups), route("r", rule("b"))]
    gw = gateway(world(*objects, balanced(type="Random")), args=ALONE)
    eventually(lambda: len(set(answered(gw, 8))) == 3)
    connections = [up.n_connections for up in ups]
    gw.apply(world(*objects, balanced(type="RoundRobin")))
    assert collections.Counter(answered(gw, 30)) == {"a": 10, "b": 10, "c": 10}
    assert [up.n_connections for up in ups] == connections
