"""Headers that the gateway itself writes: rules may ask for them, clients may not bring them, and which rule
takes a request is judged with what the rule's own authentication leaves."""
import pytest

from play.manifests import (backend, client_policy, header, local_provider, path, route, rule, security_policy, target,
                            world)


def policy(issuer, *targets, name="jwt", **provider):
    claims = [{"claim": "tenant", "header": "x-tenant"}]
    return security_policy(name, *targets, jwt={"providers": [local_provider(issuer, claimToHeaders=claims, **provider)]})


def of_tenant(name):
    return {"headers": [header("x-tenant", name)]}


def answered_by(reply):
    assert reply.status == 200, reply.body
    return reply.json["upstream"]


@pytest.fixture
def by_tenant(gateway, upstream, issuer):
    """A rule for tenant-a's claim, and one for everybody else with a token."""
    ups = {name: upstream(name) for name in ("a", "rest")}
    who = issuer()
    gw = gateway(world(*(backend(name, up) for name, up in ups.items()),
                       route("r", rule("a", matches=[of_tenant("tenant-a")]), rule("rest")),
                       policy(who, target("HTTPRoute", "r"))))
    return gw, ups, who


def test_a_rule_asks_for_a_header_made_of_a_claim(by_tenant):
    gw, _, who = by_tenant
    assert answered_by(gw.request(token=who.token("tenant-a"))) == "a"
    assert answered_by(gw.request(token=who.token("tenant-b"))) == "rest"


def test_a_client_cannot_bring_it(by_tenant):
    gw, ups, who = by_tenant
    reply = gw.request(token=who.token("tenant-b"), headers=[("x-tenant", "tenant-a")])
    assert answered_by(reply) == "rest"
    assert ups["rest"].last.all("x-tenant") == ["tenant-b"]


def test_a_failed_authentication_leaves_no_claim_so_the_next_rule_refuses(by_tenant):
    gw, ups, who = by_tenant
    expired = who.token("tenant-a", exp=1)
    reply = gw.request(token=expired)
    assert (reply.status, reply.code) == (401, "token_expired")
    assert not ups["a"].requests and not ups["rest"].requests


def test_a_rule_that_needs_a_claim_is_no_match_without_it_and_an_open_rule_takes_the_request(gateway, upstream, issuer):
    ups = {name: upstream(name) for name in ("guarded", "open")}
    who = issuer()
    gw = gateway(world(*(backend(name, up) for name, up in ups.items()),
                       route("guarded", rule("guarded", matches=[{**path("/x"), **of_tenant("tenant-a")}])),
                       route("open", rule("open", matches=[path("/")])),
                       policy(who, target("HTTPRoute", "guarded"))))
    assert answered_by(gw.request("/x", token=who.token("tenant-a"))) == "guarded"
    assert answered_by(gw.request("/x", token=who.token("tenant-b"))) == "open"
    assert answered_by(gw.request("/x")) == "open"
    assert answered_by(gw.request("/x", headers=[("x-tenant", "tenant-a")])) == "open"


def test_a_rule_that_needs_no_claim_refuses_when_its_authentication_failed(gateway, upstream, issuer):
    ups = {name: upstream(name) for name in ("guarded", "open")}
    gw = gateway(world(*(backend(name, up) for name, up in ups.items()),
                       route("guarded", rule("guarded", matches=[path("/x")])),
                       route("open", rule("open", matches=[path("/")])),
                       policy(issuer(), target("HTTPRoute", "guarded"))))
    assert gw.request("/x").status == 401
    assert answered_by(gw.request("/y")) == "open"
    assert not ups["guarded"].requests


def test_each_rule_is_judged_with_its_own_authentication(gateway, upstream, issuer):
    ups = {name: upstream(name) for name in ("one", "two")}
    first, second = issuer("first"), issuer("second")
    gw = gateway(world(*(backend(name, up) for name, up in ups.items()),
                       route("one", rule("one", matches=[of_tenant("tenant-a")])),
                       route("two", rule("two", matches=[of_tenant("tenant-a")])),
                       policy(first, target("HTTPRoute", "one"), name="p1"),
                       policy(second, target("HTTPRoute", "two"), name="p2")))
    assert answered_by(gw.request(token=first.token("tenant-a"))) == "one"
    assert answered_by(gw.request(token=second.token("tenant-a"))) == "two"
    assert gw.request(token=issuer("third").token("tenant-a")).status == 401


def test_the_first_match_is_final_whatever_it_writes(gateway, upstream):
    """A rule that sets the header another rule asks for does not send the request there."""
    ups = {name: upstream(name) for name in ("first", "second")}
    sets = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-step", "value": "2"}]}}
    gw = gateway(world(*(backend(name, up) for name, up in ups.items()),
                       route("r", rule("first", filters=[sets]),
                             rule("second", matches=[{"headers": [header("x-step", "2")]}]))))
    assert answered_by(gw.request()) == "first"
    assert ups["first"].last.get("x-step") == "2" and not ups["second"].requests


@pytest.mark.parametrize("where", ["header", "trailer"])
def test_the_spelling_with_an_underscore_is_the_gateways_too(gateway, upstream, issuer, where):
    up, who = upstream("a"), issuer()
    gw = gateway(world(backend("a", up), route("r", rule("a")), policy(who, target("HTTPRoute", "r")),
                       client_policy("clients", headers={"withUnderscoresAction": "Allow"})))
    token = who.token("tenant-b")
    head = f"POST / HTTP/1.1\r\nHost: a.test\r\nAuthorization: Bearer {token}\r\nTransfer-Encoding: chunked\r\n"
    line = "x_tenant: tenant-a\r\nx_plain: 1\r\n"
    text = head + (line if where == "header" else "") + "\r\n1\r\na\r\n0\r\n" + (line if where == "trailer" else "") + "\r\n"
    with gw.raw(text.encode()) as raw:
        assert raw.reply().status == 200
    seen = up.last.headers if where == "header" else up.last.trailers
    assert ("x_plain", "1") in seen and "x_tenant" not in dict(seen)
    assert up.last.all("x-tenant") == ["tenant-b"]


def test_100_continue_comes_after_identification(gateway, upstream, issuer):
    up, who = upstream("a"), issuer()
    gw = gateway(world(backend("a", up), route("r", rule("a")), policy(who, target("HTTPRoute", "r"))))
    head = "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n"
    with gw.raw(f"{head}\r\n".encode()) as raw:
        assert raw.head()[0] == 401, "no body is asked of a stranger"
    with gw.raw(f"{head}Authorization: Bearer {who.token()}\r\n\r\n".encode()) as raw:
        assert raw.head()[0] == 100
        raw.send(b"body")
        assert raw.reply().status == 200
