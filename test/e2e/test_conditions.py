"""What /status says of an object is what becomes of it, also where only compiling finds its fault."""
from play.manifests import (ENVOY_API, backend, gateway as front, gateway_class, path, route, rule, security_policy,
                            target, thing, to, world)

ROUTE = target("HTTPRoute", "r")


def accepted(gw, kind, name):
    """Whether an object is broken, and (status, reason, message) of its Accepted conditions but for its listeners'."""
    [made] = [o for o in gw.status()["objects"] if (o["kind"], o["name"]) == (kind, name)]
    own = [c for c in made["conditions"] if c["type"] == "Accepted" and not (kind == "Gateway" and "about" in c)]
    return made["broken"], [(c["status"], c["reason"], c["message"]) for c in own]


def test_a_route_whose_rule_cannot_be_compiled_is_not_accepted(gateway, upstream):
    up = upstream("a")
    bad = rule("a", matches=[path("/late")], filters=[{"type": "RequestHeaderModifier", "requestHeaderModifier": {
        "set": [{"name": "content-length", "value": "1"}]}}])
    gw = gateway(world(backend("a", up), route("r", rule("a", matches=[path("/early")]), bad),
                       route("s", rule("a", matches=[path("/s")]))))
    is_broken, [(status, reason, message)] = accepted(gw, "HTTPRoute", "r")
    assert (is_broken, status, reason) == (True, "False", "UnsupportedValue") and "content-length" in message
    assert accepted(gw, "HTTPRoute", "s") == (False, [("True", "Accepted", "")])
    for at in ("/early", "/late"):
        reply = gw.request(at)
        assert (reply.status, reply.code) == (500, "route_misconfigured"), "the whole object is isolated"
    assert gw.request("/s").status == 200 and len(up.requests) == 1


def test_a_policy_whose_keys_are_none_is_not_accepted(gateway, upstream):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")), security_policy("p", ROUTE, jwt={
        "providers": [{"name": "x", "localJWKS": {"type": "Inline", "inline": "not a key set"}}]})))
    is_broken, [(status, reason, message)] = accepted(gw, "SecurityPolicy", "p")
    assert (is_broken, status, reason) == (True, "False", "Invalid") and "Key Set" in message
    assert gw.request().code == "security_not_enforced"


def test_a_policy_that_is_not_enforced_yet_says_so(gateway, upstream):
    gw = gateway(world(
        backend("a", upstream("a")), route("r", rule("a", matches=[path("/r")])), route("s", rule("a", matches=[path("/s")])),
        security_policy("p", ROUTE, extAuth={"grpc": {"backendRefs": [to("a")]}, "bodyToExtAuth": {"maxRequestBytes": 1}}),
        security_policy("q", target("HTTPRoute", "s"), authorization={"defaultAction": "Allow"})))
    is_broken, [(status, reason, message)] = accepted(gw, "SecurityPolicy", "p")
    assert (is_broken, status, reason) == (False, "False", "Invalid")
    assert "extAuth.bodyToExtAuth is not enforced yet" in message
    assert accepted(gw, "SecurityPolicy", "q") == (False, [("True", "Accepted", "")])
    assert (gw.request("/r").status, gw.request("/s").status) == (500, 200)


def test_an_envoy_proxy_whose_log_cannot_be_written_leaves_the_default_log(gateway, upstream, tmp_path):
    settings = [{"format": {"type": "Text", "text": "%START_TIME%\n"},
                 "sinks": [{"type": "File", "file": {"path": str(tmp_path / "good.log")}}]},
                {"format": {"type": "Text", "text": "%NO_SUCH_OPERATOR%\n"},
                 "sinks": [{"type": "File", "file": {"path": str(tmp_path / "bad.log")}}]}]
    proxy = thing(ENVOY_API, "EnvoyProxy", "p", {"telemetry": {"accessLog": {"settings": settings}}})
    ref = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "p", "namespace": "play"}
    gw = gateway([gateway_class(parametersRef=ref), front(), proxy, backend("a", upstream("a")), route("r", rule("a"))])
    is_broken, [(status, reason, message)] = accepted(gw, "EnvoyProxy", "p")
    assert (is_broken, status, reason) == (True, "False", "Invalid") and "NO_SUCH_OPERATOR" in message
    assert accepted(gw, "GatewayClass", "play-class")[1][0][:2] == ("False", "InvalidParameters")
    assert accepted(gw, "Gateway", "front")[1][0][0] == "True"
    assert gw.request("/seen").status == 200
    assert gw.wait_log(lambda r: "/seen" in r.get("x-envoy-origin-path", ""))


def test_parameters_of_a_gateway_that_do_not_decode(gateway, upstream):
    proxy = thing(ENVOY_API, "EnvoyProxy", "p", {"telemetry": {"accessLog": {"disable": "maybe"}}})
    infra = {"parametersRef": {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "p"}}
    gw = gateway([gateway_class(), front(infrastructure=infra), proxy, backend("a", upstream("a")), route("r", rule("a"))])
    [condition] = accepted(gw, "Gateway", "front")[1]
    assert condition[:2] == ("False", "InvalidParameters")
    assert gw.request("/seen").status == 200
    assert gw.wait_log(lambda r: "/seen" in r.get("x-envoy-origin-path", ""))
