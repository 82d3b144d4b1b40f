"""Several Gateways and listeners: what they share, what falls alone, and where each listens."""
import pytest

from play.client import request
from play.grpc_server import GrpcClient, GrpcServer
from play.manifests import (ENVOY_API, backend, client_policy, gateway as gateway_object, grpc_route, https_listener,
                            local_provider, path, route, rule, security_policy, target, thing, tls_secret, world)


def condition(gw, name, about, kind, of="Gateway"):
    [found] = [o for o in gw.status()["objects"] if o["kind"] == of and o["name"] == name]
    [hit] = [c for c in found["conditions"] if c.get("about", "") == about and c["type"] == kind]
    return hit["status"], hit["reason"]


def addresses(gw, name):
    [found] = [o for o in gw.status()["objects"] if o["kind"] == "Gateway" and o["name"] == name]
    return [a["value"] for a in found["addresses"]]


@pytest.mark.parametrize("options", [
    {"tls.cipher_suites": "NO-SUCH-CIPHER"},
    {"tls.min_protocol_version": "TLSv1.3", "tls.max_protocol_version": "TLSv1.2"},
], ids=["cipher", "versions"])
def test_a_listener_whose_tls_cannot_be_had_falls_alone(gateway, upstream, authority, options):
    pair = authority.leaf("one.test", "two.test")
    gw = gateway(world(
        backend("a", upstream("a")), route("r", rule("a")), tls_secret("cert", pair),
        listeners=[https_listener("one", hostname="one.test"),
                   https_listener("two", hostname="two.test", options=options)]))
    assert gw.request("/", port=443, tls=authority.client(), host="one.test").status == 200
    assert condition(gw, "front", "one", "Programmed") == ("True", "Programmed")
    assert condition(gw, "front", "two", "Programmed")[0] == "False"
    assert condition(gw, "front", "", "Programmed")[0] == "True"


def test_gateways_of_one_address_share_its_ports(gateway, upstream):
    a, b = upstream("a"), upstream("b")
    gw = gateway(world(
        backend("a", a), backend("b", b), gateway_object("side"),
        route("ra", rule("a", matches=[path("/a")])),
        route("rb", rule("b", matches=[path("/b")]), parent="side")))
    assert gw.request("/a").json["upstream"] == "a"
    assert gw.request("/b").json["upstream"] == "b"
    assert gw.request("/c").status == 404
    assert condition(gw, "side", "http", "Programmed")[0] == "True"


def test_gateways_with_other_settings_for_one_host_conflict(gateway, upstream):
    old = {"metadata": {"creationTimestamp": "2020-01-01T00:00:00Z"}}
    side = {**gateway_object("side")}
    side["metadata"] = {**side["metadata"], **old["metadata"]}
    gw = gateway(world(
        backend("a", upstream("a")), backend("b", upstream("b")), side,
        route("ra", rule("a", matches=[path("/a")])),
        route("rb", rule("b", matches=[path("/b")]), parent="side"),
        client_policy("clients", headers={"withUnderscoresAction": "Allow"})))
    assert gw.request("/b").json["upstream"] == "b"
    assert gw.request("/a").status == 404, "the younger Gateway's listener is not opened"
    assert condition(gw, "front", "http", "Conflicted") == ("True", "HostnameConflict")
    assert condition(gw, "front", "", "Programmed")[0] == "False"


def test_http_and_https_cannot_share_a_port(gateway, upstream, authority):
    gw = gateway(world(
        backend("a", upstream("a")), route("r", rule("a")), tls_secret("cert", authority.leaf("one.test")),
        gateway_object("side", listeners=[https_listener("https", port=80)])))
    assert gw.request("/").status == 200
    assert condition(gw, "side", "https", "Conflicted") == ("True", "ProtocolConflict")


def test_every_gateway_gets_an_address_of_the_pool(gateway, upstream):
    gw = gateway(world(
        backend("a", upstream("a")), backend("b", upstream("b")), gateway_object("side"),
        route("ra", rule("a")), route("rb", rule("b"), parent="side")),
        args=["--address-pool", "127.0.8.0/24"])
    [front], [side] = addresses(gw, "front"), addresses(gw, "side")
    assert front != side and front.startswith("127.0.8.") and side.startswith("127.0.8.")
    assert request(gw.port(), "/", address=front).json["upstream"] == "a"
    assert request(gw.port(), "/", address=side).json["upstream"] == "b"


def test_a_pool_that_is_empty_is_said(gateway, upstream):
    gw = gateway(world(
        backend("a", upstream("a")), gateway_object("side"), gateway_object("third"), route("ra", rule("a"))),
        args=["--address-pool", "127.0.8.4/30"])
    served = [name for name in ("front", "side", "third") if addresses(gw, name)]
    assert len(served) == 2
    [left] = {"front", "side", "third"} - set(served)
    assert condition(gw, left, "http", "Programmed") == ("False", "AddressNotAssigned")
    assert "no address of --address-pool is left" in gw.stderr()


def test_addresses_of_the_spec_are_honoured(gateway, upstream):
    gw = gateway([*world(backend("a", upstream("a")), route("ra", rule("a")))[:1],
                  gateway_object("front", addresses=[{"value": "127.0.0.2"}, {"type": "IPAddress", "value": "127.0.0.3"}]),
                  *world(backend("a", upstream("a")), route("ra", rule("a")))[2:]])
    assert addresses(gw, "front") == ["127.0.0.2", "127.0.0.3"]
    for address in ("127.0.0.2", "127.0.0.3"):
        assert request(gw.port(), "/", address=address).status == 200
    with pytest.raises(ConnectionRefusedError):
        request(gw.port(), "/", address="127.0.0.1")


def test_an_address_that_is_no_ip_address_is_named(gateway, upstream):
    gw = gateway([*world()[:1], gateway_object("front", addresses=[{"value": "127.0.0.2"}, {"type": "Hostname", "value": "a.test"}]),
                  backend("a", upstream("a")), route("ra", rule("a"))])
    assert addresses(gw, "front") == ["127.0.0.2"]
    assert "only IPAddress is supported" in gw.stderr()


def of_both(name, *rules, **more):
    """A route that both Gateways attach."""
    made = route(name, *rules, **more)
    made["spec"]["parentRefs"] = [{"name": "front"}, {"name": "side"}]
    return made


@pytest.mark.parametrize("targets, status", [
    (["side"], 500), (["front"], 500), (["front", "side"], 200),
], ids=["younger", "older", "both"])
def test_a_route_of_gateways_that_share_a_port_is_guarded_by_both_or_refuses(gateway, upstream, issuer, targets, status):
    keys = issuer()
    jwt = {"providers": [local_provider(keys)]}
    gw = gateway(world(
        backend("a", upstream("a")), gateway_object("side"),
        of_both("r", rule("a", matches=[path("/r")])), of_both("own", rule("a", matches=[path("/own")])),
        security_policy("guard", *[target("Gateway", name) for name in targets], jwt=jwt),
        security_policy("own", target("HTTPRoute", "own"), jwt=jwt)))
    assert (gw.request("/r", token=keys.token()).status, gw.request("/own", token=keys.token()).status) == (status, 200)
    assert gw.request("/r").status in (401, status) and gw.request("/own").status == 401
    assert ("with other SecurityPolicies for 1 of its rules: they refuse" in gw.stderr()) == (status == 500)


def test_other_traffic_policies_of_the_younger_gateway_are_said_not_to_apply(gateway, upstream):
    timeout = {"timeout": {"http": {"requestTimeout": "9s"}}}
    gw = gateway(world(
        backend("a", upstream("a")), gateway_object("side"), of_both("r", rule("a")),
        thing(ENVOY_API, "BackendTrafficPolicy", "slow", {"targetRefs": [target("Gateway", "side")], **timeout})))
    assert gw.request("/").status == 200
    assert "with other BackendTrafficPolicies for 1 of its rules: those of the first Gateway apply" in gw.stderr()


@pytest.fixture
def calls_server():
    server = GrpcServer()
    yield server
    server.stop()


@pytest.mark.parametrize("older, kept", [("guarded", "HTTPRoute"), ("open", "GRPCRoute")])
def test_of_two_kinds_on_gateways_that_share_a_host_the_older_route_stands(gateway, calls_server, issuer, older, kept):
    """Else the content type would choose the Gateway, and with it the guard."""
    old = {"creationTimestamp": "2024-01-01T00:00:00Z"}

    def age(name):
        return old if name == older else None

    gw = gateway(world(
        backend("a", calls_server), gateway_object("side"),
        route("guarded", rule("a"), metadata=age("guarded")),
        grpc_route("open", rule("a", matches=[{"method": {"service": "a.B"}}]), parent="side", metadata=age("open")),
        security_policy("p", target("HTTPRoute", "guarded"), jwt={"providers": [local_provider(issuer())]})))
    lost, name, parent = ("GRPCRoute", "open", "side") if kept == "HTTPRoute" else ("HTTPRoute", "guarded", "front")
    assert condition(gw, name, f"Gateway/play/{parent}", "Accepted", of=lost) == ("False", "Conflicted")
    assert f"{lost}/play/{name}" in gw.stderr() and "shares a host with" in gw.stderr()
    plain = gw.request("/a.B/C", "POST", body=b"x")
    with GrpcClient(gw.port()) as client:
        if kept == "HTTPRoute":
            assert plain.status == 401 and client.refused()[0] == "UNAUTHENTICATED", "both are the guarded route's"
            assert not calls_server.calls
        else:
            assert plain.status == 404 and client.call() == b"server:hi"


def test_a_route_keeps_its_place_where_the_gateways_do_not_share_an_address(gateway, upstream):
    gw = gateway([*world()[:1], gateway_object("front", addresses=[{"value": "127.0.0.2"}]),
                  gateway_object("side", addresses=[{"value": "127.0.0.3"}]), backend("a", upstream("a")),
                  route("r", rule("a")), grpc_route("calls", rule("a"), parent="side")])
    assert condition(gw, "r", "Gateway/play/front", "Accepted", of="HTTPRoute")[0] == "True"
    assert condition(gw, "calls", "Gateway/play/side", "Accepted", of="GRPCRoute")[0] == "True"
    assert request(gw.port(), "/", address="127.0.0.2").status == 200


@pytest.mark.parametrize("front, side, listed", [
    (["127.0.0.2"], ["::ffff:127.0.0.2"], ["127.0.0.2"]), (["::1"], ["0:0:0:0:0:0:0:1"], ["::1"]),
    (["127.0.0.2"], ["::ffff:7f00:2", "127.0.0.2"], ["127.0.0.2"]), ([], ["::"], None),
], ids=["mapped", "long", "twice", "wildcard"])
def test_two_spellings_of_one_address_are_one_port(gateway, upstream, front, side, listed):
    asked = {"front": [{"value": value} for value in front], "side": [{"value": value} for value in side]}
    gw = gateway([
        *world()[:1], gateway_object("front", addresses=asked["front"]), gateway_object("side", addresses=asked["side"]),
        backend("a", upstream("a")), backend("b", upstream("b")),
        route("ra", rule("a", matches=[path("/a")])), route("rb", rule("b", matches=[path("/b")]), parent="side")])
    assert addresses(gw, "side") == addresses(gw, "front")
    if listed:
        assert addresses(gw, "side") == listed
    for at in ("/a", "/b") * 8:
        assert request(gw.port(), at, address=listed[0] if listed else "127.0.0.1").status == 200


def test_an_address_that_a_gateway_asks_for_is_not_drawn_for_another(gateway, upstream):
    objects = [backend("a", upstream("a")), route("r", rule("a"))]
    gw = gateway(world(*objects), args=["--address-pool", "127.0.8.0/24"])
    [drawn] = addresses(gw, "front")
    gw.apply(world(gateway_object("side", addresses=[{"value": drawn}]), *objects))
    assert addresses(gw, "side") == [drawn]
    assert addresses(gw, "front") != [drawn]
