"""loadBalancer of BackendTrafficPolicy: which endpoint of a backend a request goes to."""
import collections
import re
import threading
import time

import pytest

from play.deadline import FACTOR, eventually
from play.gateway import as_text, tollgate
from play.health import Sick, failing, http_check, policy, wait_health
from play.manifests import (ENVOY_API, ai_backend, ai_route, ai_rule, backend, client_policy, local_provider, path, route, rule,
                            security_policy, target, thing, to, world)
from play.ports import free_port

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


# ---- keys ----

def keyed(name="balanced", of="r", kind="HTTPRoute", table=None, **source):
    made = {"type": {"header": "Header", "headers": "Headers", "cookie": "Cookie", "queryParams": "QueryParams"}[next(iter(source))]
            if source else "SourceIP", **source, **({"tableSize": table} if table else {})}
    return balanced(name, of, kind, type="ConsistentHash", consistentHash=made)


def homes(gw, keys, where="/", **more):
    """Which endpoint each key's request is answered by."""
    return {key: answered(gw, 1, where, headers=[("x-user", key)], **more)[0] for key in keys}


BY_USER = {"header": {"name": "X-User"}}
USERS = [f"user-{i}" for i in range(60)]


def test_a_key_goes_to_one_endpoint_whoever_takes_it(gateway, upstream):
    """All workers, after a reload that changes everything else, and another process."""
    ups = [upstream(name) for name in "abcd"]
    objects = [backend("b", *ups), keyed(**BY_USER)]
    gw = gateway(world(*objects, route("r", rule("b"))), args=["--workers", "3"])
    first = homes(gw, USERS)
    counts = collections.Counter(first.values())
    assert set(counts) == set("abcd") and max(counts.values()) < 30, counts
    for _ in range(3):
        assert homes(gw, USERS) == first
    gw.apply(world(*objects, route("r", rule("b", name="renamed"))))
    assert homes(gw, USERS) == first
    other = gateway(world(*objects, route("r", rule("b"))), args=ALONE)
    assert homes(other, USERS) == first
    # Without the key: anywhere.
    assert len(set(answered(gw, 40))) == 4


def test_keys_of_one_that_is_ill_go_elsewhere_and_come_back(gateway, upstream):
    ups = {name: upstream(name) for name in "abcd"}
    sick = {name: Sick(up) for name, up in ups.items()}
    gw = gateway(world(backend("b", *ups.values()), route("r", rule("b")),
                       policy(loadBalancer={"type": "ConsistentHash", "consistentHash": {"type": "Header", **BY_USER}},
                              healthCheck={"active": http_check(), "panicThreshold": 0})), args=["--workers", "2"])
    for up in ups.values():
        wait_health(gw, up, "healthy")
    first = homes(gw, USERS)
    for name, up in ups.items():
        sick[name].status = 500
        wait_health(gw, up, "unhealthy")
        ill = homes(gw, USERS)
        assert {key for key in USERS if ill[key] != first[key]} == {key for key in USERS if first[key] == name}
        assert homes(gw, USERS) == ill
        sick[name].status = 200
        wait_health(gw, up, "healthy")
        assert homes(gw, USERS) == first


def test_few_keys_move_when_an_endpoint_is_added(gateway, upstream):
    ups = [upstream(name) for name in "abcde"]
    gw = gateway(world(backend("b", *ups[:4]), route("r", rule("b")), keyed(**BY_USER)), args=ALONE)
    first = homes(gw, USERS)
    gw.apply(world(backend("b", *ups), route("r", rule("b")), keyed(**BY_USER)))
    grown = homes(gw, USERS)
    moved = [key for key in USERS if grown[key] != first[key]]
    assert 0 < len(moved) <= 2 * len(USERS) / 5, moved
    assert sum(grown[key] == "e" for key in moved) >= len(moved) / 2
    gw.apply(world(backend("b", *ups[:4]), route("r", rule("b")), keyed(table=101, **BY_USER)))
    by_another_table = homes(gw, USERS)
    assert homes(gw, USERS) == by_another_table
    gw.apply(world(backend("b", *reversed(ups[:4])), route("r", rule("b")), keyed(**BY_USER)))
    assert homes(gw, USERS) == first


@pytest.mark.parametrize("source, one, same, other", [
    ({"headers": [{"name": "x-a"}, {"name": "x-b"}]}, {"headers": [("x-a", "{}"), ("x-b", "2")]},
     {"headers": [("X-B", "2"), ("X-A", "{}")]}, {"headers": [("x-a", "{}"), ("x-b", "3")]}),
    ({"header": {"name": "x-a"}}, {"headers": [("x-a", "{}"), ("x-a", "2")]}, {"headers": [("x-a", "{}, 2")]},
     {"headers": [("x-a", "{}")]}),
    ({"header": {"name": ":authority"}}, {"host": "{}.test"}, {"host": "{}.test", "headers": [("x-a", "1")]},
     {"host": "{}.example"}),
    ({"headers": [{"name": ":path"}, {"name": ":method"}]}, {"where": "/a/../{}?b"}, {"where": "/{}?b", "host": "x"},
     {"where": "/{}?c"}),
    ({"cookie": {"name": "c"}}, {"headers": [("cookie", "a=1; c={}; b=2")]}, {"headers": [("cookie", "c=\"{}\"")]},
     {"headers": [("cookie", "C={}; c=1{}")]}),
    ({"queryParams": [{"name": "q"}, {"name": "r"}]}, {"where": "/?q={}&r=1"}, {"where": "/other?x=1&r=1&%71={}&q=2"},
     {"where": "/?q={}&r=2"}),
], ids=["headers", "a list", "host", "path", "cookie", "query"])
def test_what_is_hashed(gateway, upstream, source, one, same, other):
    def filled(request, i):
        made = {k: v.format(i, i) if isinstance(v, str) else [(n, x.format(i, i)) for n, x in v] for k, v in request.items()}
        return answered(gw, 1, made.pop("where", "/"), **made)[0]
    ups = [upstream(name) for name in "abcdef"]
    gw = gateway(world(backend("b", *ups), route("r", rule("b")), keyed(**source)), args=ALONE)
    ones = [filled(one, i) for i in range(20)]
    assert len(set(ones)) > 2, ones
    assert [filled(same, i) for i in range(20)] == ones
    assert [filled(other, i) for i in range(20)] != ones


def test_a_clients_address_as_it_was_detected(gateway, upstream):
    ups = [upstream(name) for name in "abcdef"]
    gw = gateway(world(backend("b", *ups), route("r", rule("b")), keyed(),
                       client_policy("p", clientIPDetection={"xForwardedFor": {"numTrustedHops": 1}})), args=["--workers", "2"])

    def home(address):
        return answered(gw, 1, headers=[("x-forwarded-for", address)])[0]
    first = [home(f"192.0.2.{i}") for i in range(20)]
    assert len(set(first)) > 2
    assert [home(f"10.1.1.1, 192.0.2.{i}") for i in range(20)] == first
    assert len(set(answered(gw, 12))) == 1


def test_a_claim_of_the_callers_token(gateway, upstream, issuer):
    ups, alice = [upstream(name) for name in "abcdef"], issuer()
    gw = gateway(world(backend("b", *ups), route("r", rule("b")), keyed(header={"name": "x-sub"}),
                       security_policy("s", target("HTTPRoute", "r"), jwt={"providers": [
                           local_provider(alice, claimToHeaders=[{"claim": "sub", "header": "x-sub"}])]})), args=ALONE)
    first = [set(answered(gw, 3, token=alice.token(sub=f"user-{i}"))) for i in range(12)]
    assert all(len(home) == 1 for home in first) and len(set.union(*first)) > 2
    assert set(answered(gw, 6, token=alice.token(sub="user-0"), headers=[("x-sub", "user-1")])) == first[0]


# ---- cookies ----

def test_a_cookie_is_made_once_and_stuck_to(gateway, upstream):
    ups = [upstream(name) for name in "abcdef"]
    gw = gateway(world(backend("b", *ups), route("r", rule("b")),
                       keyed(cookie={"name": "stick", "ttl": "90s", "attributes": {"SameSite": "Strict", "Secure": ""}})),
                 args=["--workers", "3"])
    met = set()
    for _ in range(12):
        reply = gw.request()
        made, = reply.all("set-cookie")
        value, *rest = made.split("; ")
        assert re.fullmatch("stick=[0-9a-f]{16}", value), made
        assert sorted(rest) == ["HttpOnly", "Max-Age=90", "SameSite=Strict", "Secure"]
        home = reply.json["upstream"]
        met.add(home)
        for _ in range(3):
            again = gw.request(headers=[("cookie", f"other=1; {value}")])
            assert again.json["upstream"] == home and not again.all("set-cookie")
    assert len(met) > 2
    # One that is empty is none.
    assert gw.request(headers=[("cookie", "stick=")]).all("set-cookie")


def test_requests_of_one_connection_are_told_one_cookie(gateway, upstream):
    ups = [upstream(name) for name in "abcdef"]
    gw = gateway(world(backend("b", *ups), route("r", rule("b")), keyed(cookie={"name": "stick", "ttl": "0s"})), args=ALONE)
    with gw.raw() as raw:
        replies = []
        for _ in range(3):
            raw.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
            replies.append(raw.reply())
    cookies = {reply.get("set-cookie") for reply in replies}
    assert len(cookies) == 1 and len({reply.json["upstream"] for reply in replies}) == 1
    assert cookies.pop().endswith("; HttpOnly") and "Max-Age" not in replies[0].get("set-cookie")


def test_no_cookie_is_made_unless_it_has_a_life_nor_in_answers_of_the_gateway(gateway, upstream):
    a = upstream("a")
    gw = gateway(world(backend("b", a), backend("gone", free_port()),
                       route("r", rule("b", matches=[path("/")]), rule("gone", matches=[path("/gone")])),
                       route("s", rule("b", matches=[path("/plain")])),
                       keyed(cookie={"name": "stick", "ttl": "1h"}), keyed("plain", "s", cookie={"name": "stick"})), args=ALONE)
    assert gw.request("/").all("set-cookie")
    assert not gw.request("/plain").all("set-cookie")
    refused = gw.request("/gone")
    assert refused.status == 503 and not refused.all("set-cookie")


# ---- beside other things that choose ----

def test_a_key_sticks_to_one_of_several_backends_by_weight(gateway, upstream):
    ups = [upstream(name) for name in "abc"]
    backends = [backend(up.name, up) for up in ups]

    def refs(*weights):
        return route("r", rule(*[to(up.name, weight) for up, weight in zip(ups, weights)]))
    gw = gateway(world(*backends, refs(2, 1, 1), keyed(**BY_USER)), args=["--workers", "2"])
    users = [f"user-{i}" for i in range(200)]
    first = homes(gw, users)
    counts = collections.Counter(first.values())
    assert 70 < counts["a"] < 130 and 25 < counts["b"] < 75, counts
    assert homes(gw, users) == first
    gw.apply(world(*backends, refs(2, 1, 0), keyed(**BY_USER)))
    assert all(home == first[user] or first[user] == "c" for user, home in homes(gw, users).items())


def test_a_key_that_is_tried_again_goes_on_in_its_own_order(gateway, upstream):
    """Each try of one request to another endpoint, and the same ones each time."""
    ups = {name: upstream(name) for name in "abcd"}
    states = {name: failing(up, 503) for name, up in ups.items()}
    gw = gateway(world(backend("b", *ups.values()), route("r", rule("b")),
                       policy(loadBalancer={"type": "ConsistentHash", "consistentHash": {"type": "Header", **BY_USER}},
                              retry={"numRetries": 2, "perRetry": {"backOff": {"baseInterval": "1ms"}}})), args=["--workers", "2"])
    orders = {}
    for turn in range(3):
        for user in USERS[:8]:
            seen = {name: len(up.requests) for name, up in ups.items()}
            assert gw.request(headers=[("x-user", user)]).status == 503
            tried = {name for name, up in ups.items() if len(up.requests) > seen[name]}
            assert len(tried) == 3 and sum(len(up.requests) - seen[name] for name, up in ups.items()) == 3
            assert orders.setdefault(user, tried) == tried
    for state in states.values():
        state["status"] = 200
    assert all(home in orders[user] for user, home in homes(gw, USERS[:8]).items())


def test_a_connection_that_was_closed_meanwhile_is_no_reason_to_leave(gateway, upstream):
    ups = {name: upstream(name) for name in "abcd"}
    gw = gateway(world(backend("b", *ups.values()), route("r", rule("b")), keyed(**BY_USER)), args=ALONE)
    home = answered(gw, 1, headers=[("x-user", "me")])[0]
    up = ups[home]

    used = {0}

    def close_what_is_reused(request, connection):
        if connection.index in used:
            connection.reset()
            return None
        used.add(connection.index)
        return up.echo(request, connection)
    up.script = close_what_is_reused
    assert answered(gw, 4, headers=[("x-user", "me")]) == [home] * 4


def test_a_key_whose_endpoint_has_no_room_goes_to_its_next(gateway, upstream):
    ups = [upstream(name) for name in "abcd"]
    held = {}
    may_answer = threading.Event()

    def hold(up):
        def script(request, connection):
            if request.get("x-hold"):
                held[up.name] = True
                may_answer.wait(20 * FACTOR)
            return up.echo(request, connection)
        up.script = script
    for up in ups:
        hold(up)
    gw = gateway(world(backend("b", *ups), route("r", rule("b")),
                       policy(loadBalancer={"type": "ConsistentHash", "consistentHash": {"type": "Header", **BY_USER}},
                              circuitBreaker={"perEndpoint": {"maxConnections": 1}})), args=ALONE)
    home = answered(gw, 1, headers=[("x-user", "me")])[0]
    holder = threading.Thread(target=lambda: gw.request(headers=[("x-user", "me"), ("x-hold", "1")]))
    holder.start()
    eventually(lambda: home in held)
    nexts = set()
    for user in USERS[:12]:  # whose connections are there, too
        answered(gw, 1, headers=[("x-user", user)])
        nexts |= set(answered(gw, 1, headers=[("x-user", "me")]))
    assert len(nexts) == 1 and home not in nexts
    may_answer.set()
    holder.join(20 * FACTOR)
    assert answered(gw, 3, headers=[("x-user", "me")]) == [home] * 3


def by_user(**more):
    return policy(loadBalancer={"type": "ConsistentHash", "consistentHash": {"type": "Header", **BY_USER}}, **more)


def test_a_key_stays_at_its_priority(gateway, upstream):
    """A fallback takes what the others cannot: of some keys all, of the others nothing."""
    mains, other = [upstream(name) for name in "abcd"], upstream("f")
    sick = [Sick(up) for up in (*mains, other)]
    gw = gateway(world(backend("main", *mains), backend("other", other, fallback=True), route("r", rule("main", "other")),
                       by_user(healthCheck={"active": http_check(), "panicThreshold": 0})), args=["--workers", "2"])
    for up in (*mains, other):
        wait_health(gw, up, "healthy")
    first = homes(gw, USERS)
    assert set(first.values()) == set("abcd")
    for one, up in zip(sick[:2], mains):
        one.status = 500
        wait_health(gw, up, "unhealthy")
    half = homes(gw, USERS)
    assert homes(gw, USERS) == half
    assert set(half.values()) == set("cdf") and sum(home == "f" for home in half.values()) < 36, half  # 18 are expected
    assert all(half[key] in (first[key], "f") for key in USERS if first[key] in "cd")
    for one, up in zip(sick[:2], mains):
        one.status = 200
        wait_health(gw, up, "healthy")
    assert homes(gw, USERS) == first


def test_all_that_are_ill_are_used_in_panic_and_keys_are_where_they_were(gateway, upstream):
    ups = [upstream(name) for name in "abcd"]
    sick = [Sick(up) for up in ups]
    gw = gateway(world(backend("b", *ups), route("r", rule("b")),
                       by_user(healthCheck={"active": http_check(), "panicThreshold": 50})), args=["--workers", "2"])
    first = homes(gw, USERS)
    for one, up in zip(sick[:3], ups):
        one.status = 500
        wait_health(gw, up, "unhealthy")
    assert homes(gw, USERS) == first


def test_keys_when_a_names_addresses_change(gateway, name_server, at):
    addresses = [f"127.0.0.{i}" for i in range(2, 7)]
    ups = [at(addresses[0])]
    ups += [at(address, ups[0].port) for address in addresses[1:]]
    name_server.addresses = addresses[:4]
    named = thing(ENVOY_API, "Backend", "b", {"endpoints": [{"fqdn": {"hostname": "b.test", "port": ups[0].port}}]})
    gw = gateway(world(named, route("r", rule("b")), keyed(**BY_USER)), args=[*name_server.args, "--workers", "2"])
    first = homes(gw, USERS)
    assert set(first.values()) == set(addresses[:4])
    name_server.addresses = addresses[1:4]

    def are_without_one():
        got = homes(gw, USERS)
        return got if addresses[0] not in got.values() else None
    eventually(are_without_one, 10, "the address to be gone")
    fewer = homes(gw, USERS)
    moved = [key for key in USERS if fewer[key] != first[key]]
    assert {key for key in USERS if first[key] == addresses[0]} <= set(moved) and len(moved) <= 2 * len(USERS) / 4
    name_server.addresses = [*reversed(addresses[:4])]
    eventually(lambda: homes(gw, USERS) == first, 10, "all keys to be back")


def test_an_ai_route_and_its_model(gateway, upstream):
    """Among backends of one priority, and by what the gateway itself has read."""
    ups = [upstream(name) for name in "abc"]
    names = [up.name for up in ups]
    gw = gateway(world(*[backend(up.name, up) for up in ups], *[ai_backend(name) for name in names],
                       ai_route("ai", ai_rule(*names)),
                       keyed("k", "front", "Gateway", header={"name": "x-ai-eg-model"})), args=["--workers", "2"])

    def home(i):
        reply = gw.request("/v1/chat/completions", json={"model": f"m{i}", "messages": [{"role": "user", "content": "hi"}]})
        assert reply.status == 200, reply.body
        return reply.json["upstream"]
    first = [home(i) for i in range(12)]
    assert len(set(first)) > 1
    assert [home(i) for i in range(12)] == first


# ---- slow start ----

WINDOW = 2


def grown(since):
    """No more than that share of a full one can an endpoint have that is new since then."""
    return max(0.1, min(1.0, (time.monotonic() - since) / WINDOW))


def is_slow(gw, name, n_others, since):
    got = collections.Counter(answered(gw, 80))
    most = grown(since)
    assert got[name] <= 80 * most / (n_others + most) + 2, (got, most)
    return got


def is_even(gw, names):
    """Once all are as old as the window: a round robin again."""
    eventually(lambda: collections.Counter(answered(gw, len(names) * 4)) == {name: 4 for name in names}, 10)


def test_a_new_endpoint_has_less_at_first(gateway, upstream):
    """What others have is not forgotten by the reload that brings it."""
    ups = [upstream(name) for name in "abcd"]
    slow = balanced(type="RoundRobin", slowStart={"window": f"{WINDOW}s"})
    began = time.monotonic()
    gw = gateway(world(backend("b", *ups[:3]), route("r", rule("b")), slow), args=ALONE)
    eventually(lambda: time.monotonic() - began > WINDOW + 1)
    is_even(gw, "abc")
    since = time.monotonic()
    gw.apply(world(backend("b", *ups), route("r", rule("b")), slow))
    got = is_slow(gw, "d", 3, since)
    assert max(got[name] for name in "abc") - min(got[name] for name in "abc") <= 2, got
    is_even(gw, "abcd")


def test_so_has_one_that_is_well_again(gateway, upstream):
    ups = [upstream(name) for name in "abc"]
    sick = [Sick(up) for up in ups][2]
    gw = gateway(world(backend("b", *ups), route("r", rule("b")),
                       policy(loadBalancer={"type": "LeastRequest", "slowStart": {"window": f"{WINDOW}s"}},
                              healthCheck={"active": http_check(), "panicThreshold": 0})), args=["--workers", "2"])
    began = time.monotonic()
    eventually(lambda: time.monotonic() - began > WINDOW)
    sick.status = 500
    wait_health(gw, ups[2], "unhealthy")
    assert set(answered(gw, 20)) == {"a", "b"}
    since = time.monotonic()
    sick.status = 200
    wait_health(gw, ups[2], "healthy")
    got = collections.Counter(answered(gw, 100))
    most = grown(since)
    # By chance: more than three deviations beyond what it may have is no chance.
    mean = 100 * most / (2 + most)
    assert got["c"] <= mean + 3.5 * mean ** 0.5, (got, most)
    eventually(lambda: time.monotonic() - since > WINDOW)
    assert collections.Counter(answered(gw, 100))["c"] >= 12


# ---- what check says ----

def test_what_is_not_enforced_is_named(tmp_path):
    hash_it = {"type": "ConsistentHash", "consistentHash": {"type": "Cookie", "cookie": {"name": "c", "ttl": "1h"}}}
    whole = world(backend("b", 8001), route("r", rule("b")), policy(loadBalancer=hash_it))
    (tmp_path / "whole.yaml").write_text(as_text(whole))
    assert "loadBalancer" not in tollgate("check", "-f", str(tmp_path / "whole.yaml")).stdout
    more = {**hash_it, "zoneAware": {"preferLocal": {}}, "endpointOverride": {"extractFrom": [{"header": "x"}]}}
    (tmp_path / "whole.yaml").write_text(as_text(world(backend("b", 8001), route("r", rule("b")), policy(loadBalancer=more))))
    told = tollgate("check", "-f", str(tmp_path / "whole.yaml")).stdout
    assert "loadBalancer.zoneAware" in told and "loadBalancer.endpointOverride" in told
