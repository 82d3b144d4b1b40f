"""Rate limits: whom a rule counts, how much it lets pass, and that a refused request costs nothing. Windows
are years or hours long, so that no test meets the end of one, except where the end is what it asks for."""
import threading
import time

import pytest

from play.deadline import eventually
from play.manifests import (ENVOY_API, backend, client_policy, http_listener, local_provider, path, route, rule,
                            security_policy, target, thing, world)
from play.upstream import Answer

UNITS = {"Second": 1, "Minute": 60, "Hour": 3600, "Day": 86400, "Week": 7 * 86400, "Month": 30 * 86400, "Year": 365 * 86400}


def policy(*rules, name="limits", at=("Gateway", "front"), scope="global", **spec):
    return thing(ENVOY_API, "BackendTrafficPolicy", name,
                 {"targetRefs": [target(*at)], "rateLimit": {scope: {"rules": list(rules)}}, **spec})


def limit(requests, *selectors, unit="Year", shared=True, **more):
    made = {"limit": {"requests": requests, "unit": unit}, "shared": shared, **more}
    return {**made, "clientSelectors": list(selectors)} if selectors else made


def by_header(name, value=None, kind="Exact", **more):
    return {"headers": [{"name": name, "type": kind, **({"value": value} if value is not None else {}), **more}]}


def number(request=None, response=None):
    parts = {"request": request, "response": response}
    return {name: {"from": "Number", "number": value} for name, value in parts.items() if value is not None}


@pytest.fixture
def limited(gateway, upstream):
    """limited(rules...): one route to one backend, with these limits."""
    def start(*rules, extra=(), **more):
        return gateway(world(backend("a", upstream("a")), route("r", rule("a")), policy(*rules, **more), *extra))
    return start


def statuses(gw, n, *headers, at="/", **more):
    return [gw.request(at, headers=list(headers), **more).status for _ in range(n)]


def told(reply):
    return tuple(int(reply.get(f"x-ratelimit-{name}")) for name in ("limit", "remaining"))


def test_a_refusal_says_when_to_come_again(limited):
    gw = limited(limit(2))
    first, second, third = (gw.request("/") for _ in range(3))
    assert (first.status, second.status, third.status) == (200, 200, 429)
    assert (told(first), told(second), told(third)) == ((2, 1), (2, 0), (2, 0))
    assert third.code == "rate_limited" and third.json["error"]["type"] == "rate_limit_error"
    assert 1 < int(third.get("retry-after")) <= UNITS["Year"]
    assert third.get("retry-after") == third.get("x-ratelimit-reset")
    assert first.get("retry-after") is None
    record = gw.wait_log(lambda r: r["response_code"] == 429)
    assert record["response_flags"] == "RL" and record["response_code_details"] == "rate_limited"
    assert gw.metric("tollgate_limit_refusals_total", policy="BackendTrafficPolicy/play/limits", rule="global/0") == 1
    assert "replica" in gw.stderr()
    assert any("replica" in made["text"] for made in gw.status()["diagnostics"])


@pytest.mark.parametrize("unit", UNITS)
def test_windows_end_at_multiples_of_their_unit(limited, unit):
    gw = limited(limit(1000, unit=unit))
    before = time.time()
    reset = int(gw.request("/").get("x-ratelimit-reset"))
    after = time.time()
    assert 1 <= reset <= UNITS[unit]
    expected = [UNITS[unit] - int(t) % UNITS[unit] for t in (before, after)]
    assert reset in range(min(expected) - 1, max(expected) + 2) or expected[1] > expected[0]


def test_a_window_ends(limited):
    gw = limited(limit(1, unit="Second"))
    eventually(lambda: [gw.request("/").status for _ in range(5)].count(429) > 0, what="a refusal")
    eventually(lambda: gw.request("/").status == 200, what="the next window")


def test_a_limit_of_zero_lets_nothing_pass(limited):
    gw = limited(limit(0))
    reply = gw.request("/")
    assert reply.status == 429 and told(reply) == (0, 0)


def test_a_limit_of_zero_on_a_known_cost_of_answers_lets_nothing_pass(limited):
    gw = limited(limit(0, cost=number(0, 5)))
    assert gw.request("/").status == 429


def test_each_distinct_value_has_its_own_count(limited):
    gw = limited(limit(2, by_header("x-user", kind="Distinct")))
    assert statuses(gw, 3, ("x-user", "a")) == [200, 200, 429]
    assert statuses(gw, 3, ("X-User", "b")) == [200, 200, 429]
    assert statuses(gw, 4) == [200] * 4, "an absent header leaves the rule out"
    assert gw.request("/").get("x-ratelimit-limit") is None


def test_a_long_distinct_value_has_its_own_count_too(limited):
    gw = limited(limit(1, by_header("x-user", kind="Distinct")))
    assert statuses(gw, 2, ("x-user", "a" * 5000)) == [200, 429]
    assert statuses(gw, 2, ("x-user", "a" * 4999)) == [200, 429]


def test_a_tenant_is_counted_by_its_verified_claim(gateway, upstream, issuer):
    issued = issuer()
    provider = {**local_provider(issued), "claimToHeaders": [{"claim": "tenant", "header": "x-tenant"}]}
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")),
                       security_policy("s", target("HTTPRoute", "r"), jwt={"providers": [provider]}),
                       policy(limit(2, by_header("x-tenant", kind="Distinct")))))
    tokens = {name: issued.token(name) for name in ("tenant-a", "tenant-b")}
    forged = [("x-tenant", "tenant-z")]
    assert [gw.request("/", token=tokens["tenant-a"], headers=forged).status for _ in range(3)] == [200, 200, 429]
    assert [gw.request("/", token=tokens["tenant-b"], headers=forged).status for _ in range(3)] == [200, 200, 429]
    assert gw.request("/").status == 401, "who is not known is not counted"


def test_a_tenant_is_counted_by_the_header_that_its_route_sets(gateway, upstream):
    def sets(tenant):
        return [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-tenant", "value": tenant}]}}]

    gw = gateway(world(backend("a", upstream("a")),
                       route("r", rule("a", matches=[path("/a")], filters=sets("tenant-a")),
                             rule("a", matches=[path("/b")], filters=sets("tenant-b"))),
                       policy(limit(2, by_header("x-tenant", "tenant-a")))))
    assert statuses(gw, 3, ("x-tenant", "tenant-z"), at="/a") == [200, 200, 429]
    assert statuses(gw, 3, ("x-tenant", "tenant-a"), at="/b") == [200, 200, 200]


def test_patterns_match_in_full(limited):
    gw = limited(limit(2, by_header("authorization", "Bearer .*", "RegularExpression")))
    assert statuses(gw, 3, ("authorization", "Bearer x.y.z")) == [200, 200, 429]
    assert statuses(gw, 3, ("authorization", "Basic Bearer x")) == [200, 200, 200]


def test_a_pattern_that_takes_too_long_refuses(limited):
    gw = limited(limit(2, by_header("x-a", "(a|aa)+[bd]", "RegularExpression")))
    reply = gw.request("/", headers=[("x-a", "a" * 40 + "c")])
    assert (reply.status, reply.code) == (500, "match_limit")


def test_an_inverted_part_holds_for_everybody_else(limited):
    gw = limited(limit(2, by_header("x-role", "admin", invert=True)))
    assert statuses(gw, 4, ("x-role", "admin")) == [200] * 4
    assert statuses(gw, 2, ("x-role", "user")) == [200, 200]
    assert statuses(gw, 1) == [429], "silence is not being the admin"


@pytest.mark.parametrize("selector, counted, free", [
    ({"methods": [{"value": "POST"}, {"value": "PUT"}]}, ("PUT", "/"), ("GET", "/")),
    ({"methods": [{"value": "GET", "invert": True}]}, ("DELETE", "/"), ("GET", "/")),
    ({"path": {"type": "PathPrefix", "value": "/v1"}}, ("GET", "/v1/x"), ("GET", "/v10")),
    ({"path": {"type": "Exact", "value": "/v1"}}, ("GET", "/./v1"), ("GET", "/v1/x")),
    ({"path": {"type": "RegularExpression", "value": "/v[12]/.*"}}, ("GET", "/v2/x"), ("GET", "/v3/x")),
    ({"path": {"type": "PathPrefix", "value": "/free", "invert": True}}, ("GET", "/x"), ("GET", "/free/x")),
    ({"queryParams": [{"name": "user", "value": "a b"}]}, ("GET", "/?user=a%20b"), ("GET", "/?user=c")),
    ({"queryParams": [{"name": "user", "type": "Distinct"}]}, ("GET", "/?user=a"), ("GET", "/?other=a")),
    ({"sourceCIDR": {"value": "127.0.0.0/8"}, "methods": [{"value": "GET"}]}, ("GET", "/"), ("PUT", "/")),
    ({"sourceCIDR": {"value": "10.0.0.0/8", "invert": True}, "methods": [{"value": "GET"}]}, ("GET", "/"), ("PUT", "/")),
    ({"headers": [{"name": "x-a", "value": "1"}, {"name": "x-b", "type": "Distinct"}]}, ("GET", "/"), None)])
def test_a_rule_counts_what_all_its_parts_hold_for(limited, selector, counted, free):
    gw = limited(limit(2, selector))
    headers = [("x-a", "1"), ("x-b", "2")]
    method, at = counted
    assert [gw.request(at, method, headers=headers).status for _ in range(3)] == [200, 200, 429]
    method, at = free or counted
    assert [gw.request(at, method, headers=headers if free else headers[1:]).status for _ in range(3)] == [200] * 3


def test_all_selectors_of_a_rule_must_hold(limited):
    gw = limited(limit(1, by_header("x-a", "1"), by_header("x-b", "1")))
    assert statuses(gw, 3, ("x-a", "1")) == [200] * 3
    assert statuses(gw, 2, ("x-a", "1"), ("x-b", "1")) == [200, 429]


def test_each_client_address_has_its_own_count(limited):
    gw = limited(limit(1, {"sourceCIDR": {"type": "Distinct", "value": "0.0.0.0/0"}}),
                 extra=[client_policy("c", clientIPDetection={"xForwardedFor": {"numTrustedHops": 1}})])
    for client in ("10.0.0.1", "10.0.0.2"):
        assert statuses(gw, 2, ("x-forwarded-for", client)) == [200, 429]
    assert statuses(gw, 2, ("x-forwarded-for", "2001:db8::1")) == [200, 200], "no address of the range"


def test_a_refused_request_consumes_nothing_anywhere(limited):
    gw = limited(limit(100), limit(1, by_header("x-user", kind="Distinct")), limit(50, by_header("x-user", "a")))
    assert statuses(gw, 11, ("x-user", "a")) == [200] + [429] * 10
    assert told(gw.request("/")) == (100, 98)
    assert told(gw.request("/", headers=[("x-user", "b")])) == (1, 0)


def test_the_rule_that_leaves_least_is_told(limited):
    gw = limited(limit(100), limit(10, unit="Hour"), limit(10))
    reply = gw.request("/")
    assert told(reply) == (10, 9)
    assert int(reply.get("x-ratelimit-reset")) > UNITS["Hour"], "of two the one that takes longer"


def test_headers_of_a_backends_own_limits_give_way(gateway, upstream):
    up = upstream("a")
    up.script = lambda *_: Answer(headers=[("x-ratelimit-limit", "7"), ("x-ratelimit-remaining", "6")])
    gw = gateway(world(backend("a", up), route("r", rule("a", matches=[path("/r")])),
                       route("free", rule("a")), policy(limit(2), at=("HTTPRoute", "r"))))
    assert told(gw.request("/r")) == (2, 1)
    assert told(gw.request("/")) == (7, 6)


def test_headers_can_be_disabled(limited):
    gw = limited(limit(1), extra=[client_policy("c", headers={"disableRateLimitHeaders": True})])
    replies = [gw.request("/") for _ in range(2)]
    assert [reply.status for reply in replies] == [200, 429]
    assert not any(reply.get("x-ratelimit-limit") for reply in replies)
    assert int(replies[1].get("retry-after")) > 1


def test_a_rule_can_keep_quiet_or_only_count(limited):
    gw = limited(limit(1, by_header("x-a", "1"), xRateLimitHeaders="Off"), limit(1, shadowMode=True))
    assert statuses(gw, 3) == [200] * 3, "a shadow never refuses"
    reply = gw.request("/", headers=[("x-a", "1")])
    assert reply.status == 200 and reply.get("x-ratelimit-limit") is None
    assert statuses(gw, 1, ("x-a", "1")) == [429]


def test_a_shared_limit_is_one_count_and_another_is_one_per_rule(gateway, upstream):
    def serve(shared):
        return gateway(world(backend("a", upstream("a")),
                             route("r", rule("a", matches=[path("/1")]), rule("a", matches=[path("/2")])),
                             route("s", {**rule("a", matches=[path("/3")]), "name": "named"}),
                             policy(limit(2, shared=shared))))

    gw = serve(True)
    assert [gw.request(at).status for at in ("/1", "/2", "/3", "/1")] == [200, 200, 429, 429]
    gw = serve(False)
    for at in ("/1", "/2", "/3"):
        assert statuses(gw, 3, at=at) == [200, 200, 429]


def test_a_request_counts_once_whichever_listener_it_came_by(gateway, upstream):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")),
                       policy(limit(3), limit(4, shared=False)),
                       listeners=[http_listener("one", 80), http_listener("two", 8080)]))
    assert [gw.request("/", port=port).status for port in (80, 8080, 80, 8080)] == [200, 200, 200, 429]


@pytest.mark.parametrize("spec", [{"type": "Local", "local": {"rules": [limit(2)]}}, {"local": {"rules": [limit(2)]}},
                                  {"type": "Global", "global": {"rules": [limit(2)]}, "local": {"rules": [limit(1)]}},
                                  {"global": {"rules": [limit(3)]}, "local": {"rules": [limit(2)]}}])
def test_local_and_global_limits_hold(gateway, upstream, spec):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")),
                       thing(ENVOY_API, "BackendTrafficPolicy", "t", {"targetRefs": [target("Gateway", "front")], "rateLimit": spec})))
    assert statuses(gw, 3) == [200, 200, 429]


def test_two_equal_rules_are_two_counts(limited):
    gw = limited(limit(5), limit(3))
    assert statuses(gw, 4) == [200] * 3 + [429]


def test_the_more_specific_policy_takes_the_place_of_the_other(gateway, upstream):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a", matches=[path("/r")])), route("s", rule("a")),
                       policy(limit(2)), policy(limit(4), name="own", at=("HTTPRoute", "r")),
                       thing(ENVOY_API, "BackendTrafficPolicy", "merged", {
                           "targetRefs": [target("HTTPRoute", "s")], "mergeType": "StrategicMerge",
                           "timeout": {"http": {"requestTimeout": "10s"}}})))
    assert statuses(gw, 5, at="/r") == [200] * 4 + [429]
    assert statuses(gw, 3, at="/s") == [200, 200, 429], "merging keeps the parent's limits"


def test_merged_limits_are_the_parents_own_count(gateway, upstream):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a", matches=[path("/r")])), route("s", rule("a")),
                       policy(limit(3)),
                       thing(ENVOY_API, "BackendTrafficPolicy", "merged", {
                           "targetRefs": [target("HTTPRoute", "r")], "mergeType": "StrategicMerge",
                           "timeout": {"http": {"requestTimeout": "10s"}}})))
    assert [gw.request(at).status for at in ("/r", "/s", "/r", "/s")] == [200, 200, 200, 429]


def test_counts_survive_a_reload(gateway, upstream):
    up = upstream("a")

    def manifests(n, *rules, **more):
        return world(backend("a", up), route("r", rule("a")), route("n", rule("a", matches=[path(f"/new-{n}")])),
                     policy(*rules, **more))

    gw = gateway(manifests(0, limit(3), limit(2, by_header("x-user", kind="Distinct"))))
    assert statuses(gw, 2, ("x-user", "a")) == [200, 200]
    gw.apply(manifests(1, limit(3), limit(2, by_header("x-user", kind="Distinct"))))
    eventually(lambda: told(gw.request("/new-1", headers=[("x-user", "a")]))[0] == 2, what="the new configuration")
    assert statuses(gw, 2) == [200, 429]
    gw.apply(manifests(2, limit(5), limit(2, by_header("x-user", kind="Distinct"))))
    eventually(lambda: told(gw.request("/", headers=[("x-user", "a")])) == (2, 0), what="the new configuration")
    assert statuses(gw, 3) == [200, 200, 429], "a limit that is raised does not forget"
    one_more = [limit(7, by_header("x-new", kind="Distinct")), limit(5)]
    gw.apply(manifests(3, *one_more))
    eventually(lambda: gw.request("/new-3").status == 429, what="the same count behind another rule")
    gw.apply(manifests(4, limit(5, by_header("x-other", "1", invert=True))))
    eventually(lambda: gw.request("/").status == 200, what="another rule, with a count of its own")


@pytest.mark.parametrize("cost", [None, number(0, 5), number(1, 4)])
def test_of_200_requests_at_once_exactly_20_pass(gateway, upstream, cost):
    up = upstream("a")
    gate = threading.Event()
    up.script = lambda *_: gate.wait(60) and Answer()
    more = {"cost": cost} if cost else {}
    gw = gateway(world(backend("a", up), route("r", rule("a")),
                       policy(limit(100000), limit(100 if cost else 20, **more), limit(100000, by_header("x-a", kind="Distinct")))),
                 args=["--workers", "2"])
    clients = [gw.raw() for _ in range(200)]
    for index, client in enumerate(clients):
        client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\nx-a: %d\r\n\r\n" % index)
    up.wait_for(20)
    gate.set()
    answers = [client.reply().status for client in clients]
    assert (answers.count(200), answers.count(429)) == (20, 180)
    assert len(up.requests) == 20
    assert gw.request("/").status == 429
    for client in clients:
        client.sock.close()


def test_a_cost_of_0_asks_for_room_and_takes_nothing(limited):
    gw = limited(limit(2, by_header("x-a", "0"), cost=number(0)), limit(2, by_header("x-a", "1"), cost=number(2)),
                 limit(2, by_header("x-a", "2"), cost=number(3)))
    assert statuses(gw, 5, ("x-a", "0")) == [200] * 5
    assert statuses(gw, 2, ("x-a", "1")) == [200, 429]
    assert statuses(gw, 1, ("x-a", "2")) == [429]


def test_what_is_reserved_stands_in_the_way_only_until_it_is_settled(gateway, upstream):
    up = upstream("a")
    gate = threading.Event()
    up.script = lambda *_: gate.wait(60) and Answer()
    gw = gateway(world(backend("a", up), route("r", rule("a")), policy(limit(10, cost=number(0, 10)))))
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n") as first:
        up.wait_for(1)
        reply = gw.request("/")
        assert (reply.status, reply.get("retry-after"), told(reply)) == (429, "1", (10, 0))
        gate.set()
        assert first.reply().status == 200
    eventually(lambda: int(gw.request("/").get("retry-after")) > 1, what="the cost")


@pytest.mark.parametrize("end", ["client leaves", "upstream resets", "timeout", "no backend", "answer breaks"])
def test_every_end_settles_once(gateway, upstream, end):
    up = upstream("a")
    gate = threading.Event()
    rules = [rule("a", timeouts={"request": "300ms"})] if end == "timeout" else [rule("a")]

    def script(_request, connection):
        if end == "upstream resets":
            connection.reset()
        elif end == "answer breaks":
            connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        else:
            gate.wait(60)
        return None

    up.script = script
    if end == "no backend":
        rules = [rule()]
    gw = gateway(world(backend("a", up), route("r", *rules), policy(limit(10, cost=number(0, 4)))))
    for n in range(3):
        with gw.raw(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n") as raw:
            if end == "client leaves":
                up.wait_for(n + 1)
            else:
                raw.rest()
    eventually(lambda: gw.metric("tollgate_exchanges_active") == 0, what="the end of all")
    reply = gw.request("/")
    assert reply.status == 429 and told(reply) == (10, 0)
    assert int(reply.get("retry-after")) > 1, "nothing is reserved any more"
    gate.set()


def test_a_request_outlives_the_limit_that_it_came_in_under(gateway, upstream):
    up = upstream("a")
    gate = threading.Event()
    up.script = lambda *_: gate.wait(60) and Answer()
    parts = [backend("a", up), route("r", rule("a"))]
    guarded = world(*parts, policy(limit(10, cost=number(0, 4)), limit(9, by_header("x-a", kind="Distinct"), cost=number(1, 1),
                                                                       shared=False)))
    gw = gateway(guarded)
    clients = [gw.raw(b"GET / HTTP/1.1\r\nHost: a.test\r\nx-a: 1\r\n\r\n") for _ in range(3)]
    up.wait_for(3)
    assert gw.request("/").status == 429
    gw.apply(world(*parts))
    gate.set()
    assert [client.reply().status for client in clients] == [200] * 3
    assert gw.request("/").status == 200
    gw.apply(guarded)
    eventually(lambda: gw.request("/").get("x-ratelimit-limit") == "10", what="the limit again")
    for client in clients:
        client.sock.close()


def test_usage_of_what_is_no_model_costs_nothing(limited):
    usage = {"from": "Metadata", "metadata": {"namespace": "io.envoy.ai_gateway", "key": "llm_total_token"}}
    gw = limited(limit(2, cost={**number(0), "response": usage}))
    assert statuses(gw, 5) == [200] * 5
    assert told(gw.request("/")) == (2, 2)


def test_a_limit_that_cannot_be_enforced_refuses_its_routes(gateway, upstream):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a", matches=[path("/r")])), route("s", rule("a")),
                       policy(limit(2, {"path": {"type": "Exact", "value": "/a%2Fb"}}), at=("HTTPRoute", "r"))))
    reply = gw.request("/r")
    assert (reply.status, reply.code) == (500, "route_misconfigured")
    assert gw.request("/").status == 200


def test_redirects_count_and_refusals_before_do_not(gateway, upstream):
    redirect = [{"type": "RequestRedirect", "requestRedirect": {"hostname": "b.test"}}]
    gw = gateway(world(backend("a", upstream("a")), route("r", {"filters": redirect, "matches": [path("/r")]}), policy(limit(2))))
    assert statuses(gw, 3) == [404] * 3
    assert statuses(gw, 3, at="/r") == [302, 302, 429]
