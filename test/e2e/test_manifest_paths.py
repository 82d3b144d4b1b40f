"""Paths, hosts and methods that manifests state: one spelling, whole filters, and the rule that was meant."""
import pytest

from play.deadline import eventually
from play.manifests import (backend, config_map, header, path, route, rule, security_policy, service, target,
                            thing, to, world)
from play.ports import free_port
from play.upstream import Answer

ENVOY = "gateway.envoyproxy.io/v1alpha1"
FILTER = {"group": "gateway.envoyproxy.io", "kind": "HTTPRouteFilter", "name": "filter"}


def route_filter(**spec):
    return thing(ENVOY, "HTTPRouteFilter", "filter", spec)


def by_filter(*more, ref="a", **spec):
    return world(*more, route_filter(**spec),
                 route("r", rule(ref, filters=[{"type": "ExtensionRef", "extensionRef": FILTER}])))


@pytest.mark.parametrize("written, kind, asked", [
    ("/%7Eme", "Exact", "/~me"), ("/x%3Ay", "PathPrefix", "/x:y/z"), ("/a%2Db", "PathPrefix", "/a-b"),
])
def test_a_path_of_a_match_is_read_like_that_of_a_request(gateway, upstream, written, kind, asked):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a", matches=[path(written, kind)]))))
    assert gw.request(asked).status == 200
    assert gw.request("/else").status == 404


def test_a_path_of_an_authorization_rule_is_read_like_that_of_a_request(gateway, upstream):
    deny = {"action": "Deny", "principal": {"clientCIDRs": ["0.0.0.0/0"]}, "operation": {"path": {"type": "PathPrefix", "value": "/x%3Ay"}}}
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")),
                       security_policy("s", target("HTTPRoute", "r"),
                                       authorization={"defaultAction": "Allow", "rules": [deny]})))
    assert gw.request("/x:y").status == 403
    assert gw.request("/x").status == 200


@pytest.mark.parametrize("value", ["/a?b=c", "/a/../../b", "/a/%2F"])
def test_a_rewrite_to_a_path_that_no_request_has_refuses(gateway, upstream, value):
    rewrite = {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplaceFullPath", "replaceFullPath": value}}}
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a", filters=[rewrite]))))
    assert gw.request("/").status == 500


def test_the_host_is_rewritten_to_the_backends(gateway, upstream):
    up = upstream("a")
    named = thing(ENVOY, "Backend", "a", {"endpoints": [{"fqdn": {"hostname": "model.example.test", "port": 80}}]})
    gw = gateway(by_filter(named, urlRewrite={"hostname": {"type": "Backend"}}),
                 args=["--resolve", f"model.example.test:80=127.0.0.1:{up.port}"])
    assert gw.request("/", host="front.test").status == 200
    assert up.last.get("host") == "model.example.test"
    assert up.last.get("x-forwarded-host") == "front.test"


def test_a_direct_response_is_the_rules_answer(gateway):
    mods = {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": "x-who", "value": "rule"}]}}
    spec = {"directResponse": {"statusCode": 418, "contentType": "text/x-tea",
                               "body": {"type": "ValueRef", "valueRef": {"group": "", "kind": "ConfigMap", "name": "tea"}}}}
    gw = gateway(world(config_map("tea", first="short and stout"), route_filter(**spec),
                       route("r", rule(filters=[{"type": "ExtensionRef", "extensionRef": FILTER}, mods]))))
    reply = gw.request("/")
    assert (reply.status, reply.body, reply.get("content-type")) == (418, b"short and stout", "text/x-tea")
    assert reply.get("x-who") == "rule"


def test_a_preflight_meets_the_rule_of_the_request_to_come(gateway, upstream):
    def cors(origin):
        return {"type": "CORS", "cors": {"allowOrigins": [origin], "allowMethods": ["POST"], "allowHeaders": ["x-key"]}}

    gw = gateway(world(
        backend("a", upstream("a")),
        route("r", rule("a", matches=[{"method": "POST", **path("/p")}], filters=[cors("https://post.test")]),
              rule("a", matches=[{"headers": [header("x-key", "1")], **path("/p")}], filters=[cors("https://key.test")]),
              rule("a", matches=[path("/open")]))))

    def preflight(origin, method, at="/p", names=()):
        return gw.request(at, "OPTIONS", headers=[("origin", origin), ("access-control-request-method", method),
                                                  *[("access-control-request-headers", n) for n in names]])

    for origin, method, names in (("https://post.test", "POST", ()), ("https://key.test", "PUT", ["x-one, X-Key"])):
        reply = preflight(origin, method, names=names)
        assert reply.status == 204 and reply.get("access-control-allow-origin") == origin
    assert preflight("https://post.test", "DELETE", names=["x-key"]).status == 403, "only the rule by header is in question"
    assert preflight("https://key.test", "PUT").status == 404, "the request to come has no x-key: no rule is in question"
    assert preflight("https://post.test", "POST", "/open").status == 200, "no rule has a policy: the backend answers"
    assert preflight("https://post.test", "POST", "/none").status == 404


def test_mirrors_get_the_request_as_the_backend_does(gateway, upstream):
    a, copy = upstream("a"), upstream("copy")
    filters = [{"type": "RequestMirror", "requestMirror": {"backendRef": to("copy")}},
               {"type": "URLRewrite", "urlRewrite": {"hostname": "inner.test",
                                                     "path": {"type": "ReplaceFullPath", "replaceFullPath": "/new"}}}]
    gw = gateway(world(backend("a", a), backend("copy", copy), route("r", rule("a", filters=filters))))
    assert gw.request("/old").status == 200
    copy.wait_for(1)
    assert (copy.last.target, copy.last.get("host")) == ("/new", "inner.test") == (a.last.target, a.last.get("host"))


def test_all_addresses_of_a_key_source_are_used(gateway, upstream, issuer):
    issued = issuer()
    keys = backend("keys", free_port(), issued.port)
    jwt = {"providers": [{"name": "p", "issuer": issued.name, "remoteJWKS": {
        "uri": f"http://keys.test:{issued.port}/.well-known/jwks.json",
        "backendRefs": [{"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "keys"}],
        "backendSettings": {"retry": {"numRetries": 3, "perRetry": {"backOff": {"baseInterval": "20ms"}}}}}}]}
    gw = gateway(world(backend("a", upstream("a")), keys, route("r", rule("a")),
                       security_policy("s", target("HTTPRoute", "r"), jwt=jwt)))
    eventually(lambda: gw.request("/", token=issued.token()).status == 200, 10, "keys from the address that answers")


def test_a_service_port_without_its_name_in_the_slice_has_no_endpoint(gateway, upstream):
    up = upstream("a")
    made, slice_ = service("svc", 80, up.port)
    made["spec"]["ports"].append({"name": "private", "port": 81, "targetPort": 81})
    refs = [{"name": "svc", "port": 80}, {"name": "svc", "port": 81}]
    gw = gateway(world(made, slice_, route("r", rule(refs[0], matches=[path("/a")]), rule(refs[1], matches=[path("/b")]))))
    assert gw.request("/a").status == 200
    assert gw.request("/b").status == 503


def test_a_head_that_tells_no_listener_is_logged_all_the_same(gateway, upstream):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a"))))
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n") as raw:
        assert raw.reply().status == 400
    gw.wait_log(lambda record: record["response_code_details"] == "bad_host", "the refusal")


def test_a_connection_that_http_1_0_asked_to_keep_says_so(gateway, upstream):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a"))))
    with gw.raw(b"GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n") as raw:
        assert raw.reply().get("connection") == "keep-alive"
        raw.send(b"GET / HTTP/1.0\r\nHost: a.test\r\n\r\n")
        assert raw.reply().get("connection") == "close"


def test_invented_models_make_no_series(gateway, upstream):
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a", matches=[path("/v1/models/known")]),
                                               rule("a", matches=[path("/v1/models/missing")]), rule("a"))),
                 args=["--workers", "1"])
    up.script = lambda _request, _connection: Answer(status=404, body=b"no such model")
    for name in ("missing", "x1", "x2"):
        assert gw.request(f"/v1/models/{name}").status == 404
    eventually(lambda: gw.metric("ai_model_requests_total", model="other", response_code="404") == 2, 10, "both counted")
    assert gw.metric("ai_model_requests_total", model="missing", response_code="404") == 1
    assert not gw.metric("ai_model_requests_total", model="x1")


def test_a_pattern_at_its_limit_refuses_only_what_it_may_take(gateway, upstream):
    query = {"type": "RegularExpression", "name": "q", "value": "(a+)+[bc]"}
    gw = gateway(world(backend("a", upstream("a")), route(
        "r", rule("a", matches=[{"headers": [header("x-key", "1")], "queryParams": [query]}]), rule("a"))))
    costly = "/?q=" + "a" * 60
    assert gw.request(costly).status == 200, "the header excludes the rule before its pattern is tried"
    reply = gw.request(costly, headers=[("x-key", "1")])
    assert (reply.status, reply.code) == (500, "match_limit")


def test_the_only_port_needs_a_name_on_one_side_at_most(gateway, upstream):
    up = upstream("a")
    made, slice_ = service("svc", 80, up.port)
    del made["spec"]["ports"][0]["name"]
    gw = gateway(world(made, slice_, route("r", rule({"name": "svc", "port": 80}))))
    assert gw.request("/").status == 200


def test_a_broken_route_refuses_on_every_spelling_of_its_paths(gateway, upstream):
    gw = gateway(world(
        backend("a", upstream("a")), route("fallback", rule("a")),
        route("r", rule("a", matches=[{**path("/a"), "headers": [header("x", "[", "RegularExpression")]}]),
              rule("a", matches=[path("/x%3Ay")]), rule("a", matches=[path("/%2F")]))))
    assert gw.request("/else").status == 200
    assert gw.request("/x:y").status == 500, "not the fallback's"


def test_a_mirror_gets_nothing_that_one_backend_is_given(gateway, upstream):
    a, copy = upstream("a"), upstream("copy")

    def sets(name):
        return {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": name, "value": "1"}]}}

    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": to("copy")}}
    gw = gateway(world(backend("a", a), backend("copy", copy), route(
        "r", rule(to("a", filters=[sets("x-backend-key")]), filters=[mirror, sets("x-rule")]))))
    assert gw.request("/").status == 200
    copy.wait_for(1)
    assert (a.last.get("x-rule"), a.last.get("x-backend-key")) == ("1", "1")
    assert (copy.last.get("x-rule"), copy.last.get("x-backend-key")) == ("1", None)
