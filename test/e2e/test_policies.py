"""Which policy holds, what it says about time, and authorization beyond the tenant."""
import threading
import time

import pytest

from play.deadline import eventually
from play.manifests import (ENVOY_API, backend, config_map, https_listener, local_provider, path, route, rule, secret,
                            security_policy, service, target, thing, tls_secret, to, world)
from play.upstream import Answer


def traffic_policy(name, *targets, **spec):
    return thing(ENVOY_API, "BackendTrafficPolicy", name, {"targetRefs": list(targets), **spec})


def slowly(content_type, pause):
    """Answers whose second half comes when `pause` is set, or a second later."""
    def script(_request, _connection):
        def chunks():
            yield b"first"
            pause.wait(1)
            yield b"second"
        return Answer(headers=[("content-type", content_type)], chunks=chunks())
    return script


@pytest.mark.parametrize("content_type, is_whole", [
    ("text/event-stream", True), ("application/x-ndjson", True), ("application/json", False)])
def test_the_policys_request_timeout_lets_streams_go_on(gateway, upstream, content_type, is_whole):
    up, pause = upstream("a"), threading.Event()
    up.script = slowly(content_type, pause)
    gw = gateway(world(backend("a", up), route("r", rule("a")),
                       traffic_policy("t", target("HTTPRoute", "r"), timeout={"http": {"requestTimeout": "300ms"}})))
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n") as raw:
        text = raw.rest()
    assert (b"second" in text) == is_whole
    assert text.endswith(b"0\r\n\r\n") == is_whole, "a cut answer must not look whole"


def test_the_routes_timeout_is_total_for_streams_too(gateway, upstream):
    up = upstream("a")
    up.script = slowly("text/event-stream", threading.Event())
    gw = gateway(world(backend("a", up), route("r", rule("a", timeouts={"request": "300ms"}))))
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n") as raw:
        assert b"second" not in raw.rest()


def test_a_silent_stream_ends_after_its_idle_time(gateway, upstream):
    up = upstream("a")
    up.script = slowly("text/event-stream", threading.Event())
    gw = gateway(world(backend("a", up), route("r", rule("a")),
                       traffic_policy("t", target("Gateway", "front"), timeout={"http": {"streamIdleTimeout": "300ms"}})))
    started = time.monotonic()
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n") as raw:
        assert b"second" not in raw.rest()
    assert time.monotonic() - started > 0.25


def test_a_traffic_policy_with_an_error_refuses_what_it_covers(gateway, upstream):
    up = upstream("a")
    gw = gateway(world(
        backend("a", up), route("r", rule("a", matches=[path("/r")])), route("s", rule("a", matches=[path("/s")])),
        route("t", rule("a", matches=[path("/t")])),
        traffic_policy("bad", target("HTTPRoute", "r"), timeout={"http": {"requestTimeout": "soon"}}),
        traffic_policy("parent", target("Gateway", "front"), circuitBreaker={"maxConnections": "lots"}),
        traffic_policy("merged", target("HTTPRoute", "s"), mergeType="StrategicMerge"),
        traffic_policy("whole", target("HTTPRoute", "t"), timeout={"http": {"requestTimeout": "9s"}})))
    for at in ("/r", "/s"):
        reply = gw.request(at)
        assert (reply.status, reply.code) == (500, "route_misconfigured"), at
    assert gw.request("/t").status == 200
    assert len(up.requests) == 1
    rules = gw.get_admin("/config").body.decode()
    assert "its BackendTrafficPolicy has an error" in rules


def operation(*methods, action="Deny"):
    return {"action": action, "principal": {"clientCIDRs": ["0.0.0.0/0"]}, "operation": {"methods": list(methods)}}


def authorization(*rules, default="Allow"):
    return {"defaultAction": default, "rules": list(rules)}


def test_the_more_specific_policy_wins_as_a_whole(gateway, upstream):
    gw = gateway(world(
        backend("a", upstream("a")), route("r", rule("a", matches=[path("/r")])),
        route("other", {**rule("a", matches=[path("/other/named")]), "name": "named"}, rule("a", matches=[path("/other")])),
        security_policy("all", target("Gateway", "front"), authorization=authorization(operation("GET"))),
        security_policy("route", target("HTTPRoute", "r"), authorization=authorization(operation("PUT"))),
        security_policy("named", target("HTTPRoute", "other", "named"), authorization=authorization(operation("POST")))))
    assert (gw.request("/r").status, gw.request("/r", "PUT").status) == (200, 403)
    assert (gw.request("/other").status, gw.request("/other", "PUT").status) == (403, 200)
    assert (gw.request("/other/named").status, gw.request("/other/named", "POST", body=b"").status) == (200, 403)


def test_a_policy_that_merges_keeps_what_its_parent_says(gateway, upstream):
    up = upstream("a")
    up.script = slowly("application/json", threading.Event())
    gw = gateway(world(
        backend("a", up), route("r", rule("a", matches=[path("/merged")])), route("s", rule("a", matches=[path("/whole")])),
        traffic_policy("all", target("Gateway", "front"), timeout={"http": {"requestTimeout": "300ms"}}),
        traffic_policy("merged", target("HTTPRoute", "r"), mergeType="StrategicMerge", timeout={"tcp": {"connectTimeout": "5s"}}),
        traffic_policy("whole", target("HTTPRoute", "s"), timeout={"tcp": {"connectTimeout": "5s"}})))
    for at, is_whole in (("/merged", False), ("/whole", True)):
        with gw.raw(b"GET %s HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n" % at.encode()) as raw:
            assert (b"second" in raw.rest()) == is_whole, at


def test_a_policy_finds_its_routes_by_label(gateway, upstream):
    policy = thing(ENVOY_API, "SecurityPolicy", "s", {
        "targetSelectors": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "matchLabels": {"guarded": "yes"}}],
        "authorization": authorization(default="Deny")})
    gw = gateway(world(backend("a", upstream("a")), policy,
                       route("r", rule("a", matches=[path("/r")]), metadata={"labels": {"guarded": "yes"}}),
                       route("s", rule("a", matches=[path("/s")]))))
    assert (gw.request("/r").status, gw.request("/s").status) == (403, 200)


def test_scopes_and_nested_claims_decide(gateway, upstream, issuer):
    issued = issuer()
    rules = [{"action": "Allow", "principal": {"jwt": {"provider": "provider", **what}}} for what in (
        {"scopes": ["predict", "read"]},
        {"claims": [{"name": "realm.roles", "valueType": "StringArray", "values": ["admin", "owner"]}]})]
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")),
                       security_policy("s", target("HTTPRoute", "r"), jwt={"providers": [local_provider(issued)]},
                                       authorization=authorization(*rules, default="Deny"))))

    def status(**claims):
        return gw.request("/", token=issued.token(**claims)).status

    assert status(scope="read predict other") == 200
    assert status(scope="read") == 403, "all scopes are needed"
    assert status(realm={"roles": ["user", "owner"]}) == 200
    assert status(realm={"roles": ["user"]}) == 403
    assert status(realm={"roles": "owner"}) == 403, "a string is no list"


@pytest.mark.parametrize("share, n", [({"percent": 0}, 0), ({"percent": 100}, 5),
                                      ({"fraction": {"numerator": 0, "denominator": 7}}, 0),
                                      ({"fraction": {"numerator": 7, "denominator": 7}}, 5)])
def test_a_share_of_the_requests_is_mirrored(gateway, upstream, share, n):
    a, copy, marker = upstream("a"), upstream("copy"), upstream("marker")
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": to("copy"), **share}}
    gw = gateway(world(backend("a", a), backend("copy", copy), backend("marker", marker),
                       route("r", rule("a", filters=[mirror]))))
    for _ in range(5):
        assert gw.request("/").status == 200
    if n:
        copy.wait_for(n)
    assert len(copy.requests) == n


def test_a_services_ports_and_names_are_found(gateway, upstream):
    a, b, outside = upstream("a"), upstream("b"), upstream("outside")
    made, slice_ = service("svc", 80, a.port)
    made["spec"]["ports"].append({"name": "second", "port": 81, "targetPort": b.port})
    slice_["ports"].append({"name": "second", "port": b.port})
    external = thing("v1", "Service", "ext", {"type": "ExternalName", "externalName": "models.example.test"})
    refs = {"/a": ("svc", 80), "/b": ("svc", 81), "/c": ("ext", 8080), "/d": ("elsewhere", 80)}
    gw = gateway(world(made, slice_, external,
                       route("r", *(rule({"name": name, "port": port}, matches=[path(at)])
                                    for at, (name, port) in refs.items()))),
                 args=["--cluster-domain", "corp.test",
                       "--resolve", f"models.example.test:8080=127.0.0.1:{outside.port}",
                       "--resolve", f"elsewhere.play.svc.corp.test:80=127.0.0.1:{outside.port}"])
    answers = [gw.request(at).json["upstream"] for at in refs]
    assert answers == ["a", "b", "outside", "outside"]


def test_no_secret_shows_on_the_admin_port(gateway, upstream, authority, issuer):
    pair = authority.leaf("one.test")
    htpasswd = "user:$2y$10$abcdefghijklmnopqrstuuVeryNotAHashButSecretText12345678"
    gw = gateway(world(
        backend("a", upstream("a")), route("r", rule("a")), tls_secret("cert", pair),
        secret("users", **{".htpasswd": htpasswd}), config_map("plain", note="not secret"),
        security_policy("s", target("HTTPRoute", "r"), jwt={"providers": [local_provider(issuer())]}),
        listeners=[https_listener()]))
    key_line = pair[1].splitlines()[2]
    for page in ("/config", "/status", "/metrics"):
        text = gw.get_admin(page).body.decode()
        assert key_line not in text and "VeryNotAHash" not in text and "PRIVATE KEY" not in text, page
    assert "VeryNotAHash" not in gw.stderr() and key_line not in gw.stderr()


def test_a_connection_that_was_idle_too_long_is_not_used_again(gateway, upstream):
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a")), traffic_policy(
        "p", target("HTTPRoute", "r"), timeout={"http": {"connectionIdleTimeout": "1ms"}})), args=["--workers", "1"])
    eventually(lambda: gw.request("/").status == 200 and up.n_connections >= 4, 4, "a connection for nearly every request")
