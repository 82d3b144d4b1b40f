"""Which rule takes a request, and what its filters do to it (Gateway API HTTPRoute)."""
import collections

import pytest

from play.manifests import (backend, gateway_class, header, http_listener, path, route, rule,
                            service, thing, to, world, ENVOY_API)


def answered_by(reply):
    assert reply.status == 200, reply
    return reply.json["upstream"]


@pytest.fixture
def trio(upstream):
    """Three backends a, b, c and their manifests."""
    ups = {name: upstream(name) for name in "abc"}
    return ups, [backend(name, up) for name, up in ups.items()]


def test_precedence_exact_then_longest_prefix_then_method_headers_query(gateway, trio):
    _, backends = trio
    gw = gateway(world(*backends, route(
        "r",
        rule("a", matches=[path("/")]),
        rule("b", matches=[path("/foo")]),
        rule("c", matches=[path("/foo/bar", "Exact")]),
        rule("a", matches=[{**path("/m"), "method": "POST"}]),
        rule("b", matches=[path("/m")]),
        rule("b", matches=[{**path("/h"), "headers": [header("x-one", "1")]}]),
        rule("c", matches=[{**path("/h"), "headers": [header("x-one", "1"), header("x-two", "2")]}]),
        rule("b", matches=[{**path("/q"), "queryParams": [{"name": "k", "value": "v"}]}]),
        rule("c", matches=[path("/q")]),
    )))
    cases = [("/", "GET", (), "a"), ("/foo", "GET", (), "b"), ("/foo/x", "GET", (), "b"),
             ("/foo/bar", "GET", (), "c"), ("/foo/bar/", "GET", (), "b"), ("/foobar", "GET", (), "a"),
             ("/foo:predict", "GET", (), "a"),
             ("/m", "POST", (), "a"), ("/m", "GET", (), "b"),
             ("/h", "GET", [("x-one", "1")], "b"), ("/h", "GET", (), "a"),
             ("/h", "GET", [("X-Two", "2"), ("X-One", "1")], "c"),
             ("/q?k=v", "GET", (), "b"), ("/q?k=w", "GET", (), "c"), ("/q?x=1&k=v", "GET", (), "b")]
    for target, method, headers, expected in cases:
        assert answered_by(gw.request(target, method, headers=headers)) == expected, (target, method)


def test_a_regular_expression_matches_in_full(gateway, trio):
    _, backends = trio
    gw = gateway(world(*backends, route(
        "r", rule("a", matches=[path("/")]),
        rule("b", matches=[path("/v[12]/models/[a-z-]+", "RegularExpression")]))))
    assert answered_by(gw.request("/v1/models/iris")) == "b"
    assert answered_by(gw.request("/v1/models/iris/more")) == "a"
    assert answered_by(gw.request("/x/v1/models/iris")) == "a"


def test_a_pattern_that_takes_too_long_refuses(gateway, trio):
    _, backends = trio
    gw = gateway(world(*backends, route("r", rule("a", matches=[path("/")]), rule(
        "b", matches=[{"headers": [header("x-evil", "(a|aa|a?a)+[xy]", "RegularExpression")]}]))))
    reply = gw.request("/", headers=[("x-evil", "a" * 200)])
    assert (reply.status, reply.code) == (500, "match_limit")


@pytest.mark.parametrize("target,seen", [
    ("/foo/./x", "/foo/x"), ("/foo/../foo/x", "/foo/x"), ("//foo///x", "/foo/x"), ("/%66oo/x", "/foo/x"),
    ("/foo/%2e%2e/foo/x", "/foo/x"), ("/foo/a%3Apredict", "/foo/a:predict"), ("/foo/a%20b", "/foo/a%20b"),
    ("/foo/x;v=1", "/foo/x;v=1"), ("/foo/x?a=/../b", "/foo/x?a=/../b")])
def test_one_path_for_matching_and_backend(gateway, trio, target, seen):
    ups, backends = trio
    gw = gateway(world(*backends, route("r", rule("a", matches=[path("/foo")]))))
    assert gw.request(target).status == 200
    assert ups["a"].last.target == seen


@pytest.mark.parametrize("target", ["/foo%2Fx", "/foo%5Cx", "/foo%00x", "/foo\\x", "/foo%zz", "/foo%2"])
def test_a_path_with_two_readings_is_refused(gateway, trio, target):
    ups, backends = trio
    gw = gateway(world(*backends, route("r", rule("a"))))
    reply = gw.request(target)
    assert (reply.status, reply.code) == (400, "bad_path")
    assert not ups["a"].requests


def test_hosts_and_listeners(gateway, trio):
    _, backends = trio
    gw = gateway([*world(
        *backends,
        route("exact", rule("a"), section="exact"), route("wild", rule("b"), section="wild"),
        route("named", rule("c"), hostnames=["only.other.test"], section="other"),
        listeners=[http_listener("exact", hostname="api.play.test"),
                   http_listener("wild", hostname="*.play.test"),
                   http_listener("other", hostname="*.other.test")])])
    assert answered_by(gw.request("/", host="api.play.test")) == "a"
    assert answered_by(gw.request("/", host="API.play.test:80")) == "a"
    assert answered_by(gw.request("/", host="x.y.play.test")) == "b"
    assert answered_by(gw.request("/", host="only.other.test")) == "c"
    reply = gw.request("/", host="else.other.test")
    assert (reply.status, reply.code) == (404, "route_not_found")
    reply = gw.request("/", host="unknown.test")
    assert (reply.status, reply.code) == (404, "host_not_found")


def test_the_more_specific_listener_never_falls_through(gateway, trio):
    _, backends = trio
    gw = gateway(world(*backends, route("exact", rule("a", matches=[path("/only")]), section="exact"),
                       route("any", rule("b"), section="any"),
                       listeners=[http_listener("exact", hostname="api.play.test"), http_listener("any")]))
    assert gw.request("/else", host="api.play.test").status == 404
    assert answered_by(gw.request("/else", host="other.test")) == "b"


def test_weights_split_and_the_invalid_share_answers_500(gateway, trio):
    _, backends = trio
    gw = gateway(world(*backends, route(
        "r", rule(to("a", 3), to("b", 1), matches=[path("/split")]),
        rule(to("a", 1), to("missing", 1), matches=[path("/half")]),
        rule(to("a", 0), to("b", 0), matches=[path("/zero")]))))
    counts = collections.Counter(answered_by(gw.request("/split")) for _ in range(80))
    assert 40 <= counts["a"] <= 75 and counts["a"] + counts["b"] == 80
    statuses = collections.Counter(gw.request("/half").status for _ in range(40))
    assert set(statuses) == {200, 500} and 5 <= statuses[500] <= 35
    reply = gw.request("/zero")
    assert (reply.status, reply.code) == (500, "no_backend")


def test_no_route_no_endpoint_no_backend(gateway, trio):
    _, backends = trio
    gw = gateway(world(
        *backends, thing("v1", "Service", "empty", {"ports": [{"name": "http", "port": 80}]}),
        {**thing("discovery.k8s.io/v1", "EndpointSlice", "empty-1",
                 metadata={"labels": {"kubernetes.io/service-name": "empty"}}),
         "addressType": "IPv4", "ports": [{"name": "http", "port": 1}], "endpoints": []},
        route("r", rule("a", matches=[path("/a")]), rule("missing", matches=[path("/missing")]),
              rule({"name": "empty", "port": 80}, matches=[path("/empty")]))))
    for target, status, code in [("/none", 404, "route_not_found"), ("/missing", 500, "no_backend"),
                                 ("/empty", 503, "no_healthy_upstream")]:
        reply = gw.request(target)
        assert (reply.status, reply.code) == (status, code), target
        assert reply.get("content-type") == "application/json"


def test_a_service_by_its_endpoint_slice(gateway, upstream):
    up = upstream("service")
    gw = gateway(world(*service("model", 80, up.port), route("r", rule({"name": "model", "port": 80}))))
    assert answered_by(gw.request("/", host="client.test")) == "service"
    assert up.last.get("host") == "client.test"


def test_header_modifiers_both_ways(gateway, trio):
    ups, backends = trio
    gw = gateway(world(*backends, route("r", rule("a", filters=[
        {"type": "RequestHeaderModifier", "requestHeaderModifier": {
            "set": [{"name": "x-set", "value": "new"}], "add": [{"name": "x-add", "value": "2"}],
            "remove": ["x-gone"]}},
        {"type": "ResponseHeaderModifier", "responseHeaderModifier": {
            "set": [{"name": "server", "value": "play"}], "remove": ["content-type"]}}]))))
    reply = gw.request("/", headers=[("x-set", "old"), ("x-add", "1"), ("X-Gone", "1")])
    assert reply.get("server") == "play" and reply.get("content-type") is None
    seen = ups["a"].last
    assert seen.all("x-set") == ["new"] and seen.get("x-gone") is None
    assert ",".join(seen.all("x-add")).replace(" ", "") == "1,2"


def test_redirects(gateway, trio):
    _, backends = trio

    def redirect(at, **spec):
        return rule(matches=[path(at)], filters=[{"type": "RequestRedirect", "requestRedirect": spec}])

    gw = gateway(world(*backends, route(
        "r", redirect("/host", hostname="else.test", statusCode=301),
        redirect("/scheme", scheme="https", hostname="else.test"),
        redirect("/prefix", path={"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"}),
        redirect("/full", path={"type": "ReplaceFullPath", "replaceFullPath": "/there"}, port=8443))))
    reply = gw.request("/host/x?q=1", host="a.test")
    assert reply.status == 301 and reply.get("location").endswith("else.test:80/host/x?q=1") \
        or reply.get("location") == "http://else.test/host/x?q=1"
    reply = gw.request("/scheme", host="a.test")
    assert reply.status == 302 and reply.get("location") == "https://else.test/scheme"
    assert gw.request("/prefix/x", host="a.test").get("location").endswith("/new/x")
    assert gw.request("/full/x", host="a.test").get("location") == "http://a.test:8443/there"


def test_rewrites(gateway, trio):
    ups, backends = trio
    gw = gateway(world(*backends, route(
        "r",
        rule("a", matches=[path("/old")], filters=[{"type": "URLRewrite", "urlRewrite": {
            "hostname": "inner.test", "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"}}}]),
        rule("a", matches=[path("/full")], filters=[{"type": "URLRewrite", "urlRewrite": {
            "path": {"type": "ReplaceFullPath", "replaceFullPath": "/one"}}}]),
        rule("a", matches=[path("/rx")], filters=[{"type": "ExtensionRef", "extensionRef": {
            "group": "gateway.envoyproxy.io", "kind": "HTTPRouteFilter", "name": "rx"}}])),
        thing(ENVOY_API, "HTTPRouteFilter", "rx", {"urlRewrite": {"path": {
            "type": "ReplaceRegexMatch",
            "replaceRegexMatch": {"pattern": "^/rx/([a-z]+)/(.*)$", "substitution": "/\\2/\\1"}}}})))
    assert gw.request("/old/x?q=1").status == 200
    assert (ups["a"].last.target, ups["a"].last.get("host")) == ("/new/x?q=1", "inner.test")
    assert gw.request("/old").status == 200 and ups["a"].last.target == "/new"
    assert gw.request("/full/x?q=2").status == 200 and ups["a"].last.target == "/one?q=2"
    assert gw.request("/rx/ab/cd").status == 200 and ups["a"].last.target == "/cd/ab"


def test_a_mirror_gets_a_copy_and_its_answer_is_ignored(gateway, trio):
    ups, backends = trio
    ups["b"].script = lambda _r, c: c.reset()
    gw = gateway(world(*backends, route("r", rule("a", filters=[
        {"type": "RequestMirror", "requestMirror": {"backendRef": to("b")}}]))))
    assert answered_by(gw.request("/m", body=b"hello")) == "a"
    copy = ups["b"].wait_for(1)[0]
    assert (copy.target, copy.body) == ("/m", b"hello")


def test_a_direct_response(gateway, trio):
    _, backends = trio
    gw = gateway(world(*backends, route("r", rule(matches=[path("/teapot")], filters=[
        {"type": "ExtensionRef", "extensionRef": {"group": "gateway.envoyproxy.io",
                                                  "kind": "HTTPRouteFilter", "name": "pot"}}])),
        thing(ENVOY_API, "HTTPRouteFilter", "pot", {"directResponse": {
            "statusCode": 418, "contentType": "text/plain",
            "body": {"type": "Inline", "inline": "short and stout"}}})))
    reply = gw.request("/teapot")
    assert (reply.status, reply.body, reply.get("content-type")) == (418, b"short and stout", "text/plain")


def test_a_direct_response_has_its_headers(gateway, trio):
    _, backends = trio
    edit = {"set": [{"name": "X-Set", "value": "1"}, {"name": "content-type", "value": "text/tea"}],
            "add": [{"name": "x-add", "value": "2"}],
            "addIfAbsent": [{"name": "x-set", "value": "no"}, {"name": "x-new", "value": "3"}]}

    def answer(name, **more):
        return thing(ENVOY_API, "HTTPRouteFilter", name, {"directResponse": {
            "body": {"type": "Inline", "inline": "tea"}, **more}})

    def answered(name):
        return rule(matches=[path(f"/{name}")], filters=[{"type": "ExtensionRef", "extensionRef": {
            "group": "gateway.envoyproxy.io", "kind": "HTTPRouteFilter", "name": name}}])

    gw = gateway(world(*backends, route("r", answered("pot")), route("s", answered("bad")), answer("pot", header=edit),
                       answer("bad", header={"set": [{"name": "content-length", "value": "1"}]})))
    reply = gw.request("/pot")
    assert (reply.status, reply.body) == (200, b"tea")
    assert [reply.all(name) for name in ("x-set", "content-type", "x-add", "x-new", "content-length")] == [
        ["1"], ["text/tea"], ["2"], ["3"], ["3"]]
    assert gw.request("/bad").status == 500
    [made] = [o for o in gw.status()["objects"] if o["name"] == "bad"]
    assert made["broken"] and made["conditions"][0]["status"] == "False"


def test_an_older_route_wins_then_the_name(gateway, trio):
    _, backends = trio

    def aged(name, ref, year):
        return route(name, rule(ref), metadata={"creationTimestamp": f"{year}-01-01T00:00:00Z"})

    gw = gateway(world(*backends, aged("z", "a", 2020), aged("b", "b", 2021), aged("a", "c", 2021)))
    assert answered_by(gw.request("/")) == "a"


def test_forwarding_headers(gateway, trio):
    ups, backends = trio
    gw = gateway(world(*backends, route("r", rule("a"))))
    gw.request("/", host="front.test", headers=[("x-forwarded-for", "9.9.9.9"), ("x-forwarded-proto", "https")])
    seen = ups["a"].last
    assert "9.9.9.9" not in seen.get("x-forwarded-for", "") or seen.get("x-forwarded-for").endswith("127.0.0.1")
    assert seen.get("x-forwarded-proto") == "http"
    assert len(seen.get("x-request-id")) == 36
    assert seen.get("host") == "front.test"


def test_a_gateway_class_of_another_controller_is_left_alone(gateway):
    foreign = gateway_class()
    foreign["spec"]["controllerName"] = "example.com/other"
    gw = gateway([foreign, world()[1]], until="/healthz")
    with pytest.raises(OSError):
        gw.request("/")
