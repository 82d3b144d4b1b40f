"""A security feature that cannot be enforced makes its routes refuse: 500, and nothing reaches a backend."""
import pytest

from play.manifests import (ENVOY_API, backend, client_policy, config_map, gateway, gateway_class, https_listener, path,
                            route, rule, secret, security_policy, target, thing, tls_secret, to, world)

ROUTE = target("HTTPRoute", "r")
ALLOW = {"principal": {"clientCIDRs": ["0.0.0.0/0"]}, "action": "Allow"}


def unenforced(name="p", **spec):
    return security_policy(name, ROUTE, **spec)


POLICIES = {
    "OpenID Connect": lambda: unenforced(oidc={"provider": {"issuer": "https://idp.test"}, "clientID": "x",
                                               "clientSecret": {"name": "s"}}),
    "CSRF": lambda: unenforced(csrf={}),
    "an expression": lambda: unenforced(authorization={"defaultAction": "Allow", "rules": [
        {**ALLOW, "action": "Deny", "cel": "request.path == '/'"}]}),
    "places of clients": lambda: unenforced(authorization={"defaultAction": "Allow", "rules": [
        {"action": "Deny", "principal": {"clientIPGeoLocations": [{"country": "XX"}]}}]}),
    "an authorizer with the body": lambda: unenforced(extAuth={"grpc": {"backendRefs": [to("a")]}, "bodyToExtAuth": {}}),
}


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_with_a_feature_that_is_not_enforced_refuses(gateway, upstream, name):
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a", matches=[path("/")])),
                       route("open", rule("a", matches=[path("/open")])), POLICIES[name]()))
    reply = gw.request("/x")
    assert reply.status == 500, reply.body
    assert not up.requests
    assert gw.request("/open").status == 200


def listener_world(authority, up, *more, **spec):
    return [gateway_class(), gateway(listeners=[https_listener()], **spec), backend("a", up), route("r", rule("a")),
            tls_secret("cert", authority.leaf("localhost")), *more]


@pytest.mark.parametrize("asks", [
    {"spkiHashes": ["x"]}, {"certificateHashes": ["x"]}, {"subjectAltNames": {"dnsNames": [{"type": "RegularExpression", "value": "a("}]}},
    {"subjectAltNames": {}}, {"subjectAltNames": {"otherNames": [{"oid": "one", "value": "a"}], "dnsNames": [{"value": "a.test"}]}},
    {"crl": {"refs": [{"name": "ca"}]}}, {"crl": {"refs": [{"name": "none"}]}}, {"mode": "Request", "caCertificateRefs": [{"name": "none"}]},
    {"mode": "RequireAny", "crl": {"refs": [{"name": "none"}]}},
], ids=str)
def test_client_certificates_that_are_not_judged_as_asked_refuse(gateway, upstream, authority, asks):
    up = upstream("a")
    clients = client_policy("c", tls={"clientValidation": {"caCertificateRefs": [{"name": "ca"}], **asks}})
    gw = gateway(listener_world(authority, up, clients, secret("ca", **{"ca.crt": authority.pem})))
    assert gw.request(port=443, tls=authority.client()).status == 500
    assert not up.requests


@pytest.mark.parametrize("keeper", [None, {}, {"ca.crt": ""}], ids=["missing", "without", "empty"])
def test_client_certificates_whose_authority_is_missing_refuse(gateway, upstream, authority, keeper):
    up = upstream("a")
    clients = client_policy("c", tls={"clientValidation": {"caCertificateRefs": [{"kind": "ConfigMap", "name": "ca"}]}})
    more = [] if keeper is None else [config_map("ca", other="x", **keeper)]
    gw = gateway(listener_world(authority, up, clients, *more))
    assert gw.request(port=443, tls=authority.client()).status == 500
    assert not up.requests


def test_client_certificates_without_any_authority_refuse(gateway, upstream, authority):
    up = upstream("a")
    gw = gateway(listener_world(authority, up, client_policy("c", tls={"clientValidation": {}})))
    assert gw.request(port=443, tls=authority.client()).status == 500
    assert not up.requests


def test_a_client_policy_with_an_error_refuses(gateway, upstream):
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a")), client_policy("c", timeout={"http": {"idleTimeout": 5}})))
    assert gw.request().status == 500
    assert not up.requests


def test_an_external_auth_filter_refuses(gateway, upstream):
    up = upstream("a")
    asks = {"type": "ExternalAuth", "externalAuth": {"protocol": "HTTP", "backendRef": to("a")}}
    gw = gateway(world(backend("a", up), route("r", rule("a", filters=[asks]))))
    assert gw.request().status == 500
    assert not up.requests


def test_a_guard_of_one_of_several_backends_guards_the_rule(gateway, upstream):
    one, two = upstream("one"), upstream("two")
    guard = thing(ENVOY_API, "BackendSecurityPolicy", "guard", {
        "targetRefs": [target("Backend", "two")], "basicAuth": {"users": {"name": "missing"}}})
    gw = gateway(world(backend("one", one), backend("two", two),
                       route("r", rule(to("one", 99), to("two", 1))), guard))
    assert {gw.request().status for _ in range(20)} == {500}
    assert not one.requests and not two.requests


def test_a_missing_grant_refuses_at_run(gateway, upstream):
    up = upstream("a")
    far = {**backend("far", up), "metadata": {"name": "far", "namespace": "elsewhere"}}
    gw = gateway(world(far, route("r", rule(to("far", namespace="elsewhere")))))
    assert gw.request().status == 500
    assert not up.requests
