"""ClientTrafficPolicy: whose address, whose request id, which header names, how long a head may take."""
import time

import pytest

from play.client import request
from play.deadline import eventually
from play.manifests import backend, client_policy, http_listener, route, rule, security_policy, target, world

OFFICE = {"defaultAction": "Deny", "rules": [{"action": "Allow", "principal": {"clientCIDRs": ["203.0.113.0/24"]}}]}


def policed(up, *more, **spec):
    return world(backend("a", up), route("r", rule("a")), client_policy("clients", **spec), *more)


def allowed(gw, forwarded=None, name="x-forwarded-for", **more):
    headers = [(name, forwarded)] if forwarded else []
    return request(gw.port(), "/", headers=headers, **more).status == 200


def test_trusted_hops_tell_the_client(gateway, upstream):
    gw = gateway(policed(upstream("a"), security_policy("s", target("HTTPRoute", "r"), authorization=OFFICE),
                         clientIPDetection={"xForwardedFor": {"numTrustedHops": 2}}))
    assert allowed(gw, "203.0.113.9, 198.51.100.1")
    assert not allowed(gw, "203.0.113.9, 192.0.2.7, 198.51.100.1"), "what lies before the trusted hops is a client's word"
    assert not allowed(gw)


def test_trusted_networks_tell_the_client(gateway, upstream):
    gw = gateway(policed(upstream("a"), security_policy("s", target("HTTPRoute", "r"), authorization=OFFICE),
                         clientIPDetection={"xForwardedFor": {"trustedCIDRs": ["127.0.0.0/8", "198.51.100.0/24"]}}))
    assert allowed(gw, "203.0.113.9, 198.51.100.1")
    assert not allowed(gw, "203.0.113.9, 192.0.2.7, 198.51.100.1")


@pytest.mark.parametrize("omits, given, passed", [
    (False, None, "127.0.0.1"), (False, "203.0.113.9", "203.0.113.9,127.0.0.1"),
    (True, None, None), (True, "203.0.113.9", "203.0.113.9")])
def test_the_gateways_peer_may_stay_out_of_x_forwarded_for(gateway, upstream, omits, given, passed):
    up = upstream("a")
    gw = gateway(policed(up, clientIPDetection={"xForwardedFor": {"numTrustedHops": 1, "disableXForwardedForAppend": omits}}))
    assert gw.request("/", headers=[("x-forwarded-for", given)] if given else []).status == 200
    assert up.last.get("x-forwarded-for") == passed


def test_without_a_policy_nobody_is_trusted(gateway, upstream):
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a")),
                       security_policy("s", target("HTTPRoute", "r"), authorization=OFFICE)))
    assert not allowed(gw, "203.0.113.9")


def test_a_header_of_its_own_tells_the_client_and_may_be_required(gateway, upstream):
    gw = gateway(policed(upstream("a"), security_policy("s", target("HTTPRoute", "r"), authorization=OFFICE),
                         clientIPDetection={"customHeader": {"name": "X-Real-Ip", "failClosed": True}}))
    assert allowed(gw, "203.0.113.9", name="x-real-ip")
    assert not allowed(gw, "192.0.2.7", name="x-real-ip")
    assert not allowed(gw, "203.0.113.9"), "X-Forwarded-For does not count"


@pytest.mark.parametrize("spec, given, passed", [
    ({}, "mine", "made"),
    ({"requestID": "Generate"}, "mine", "made"),
    ({"requestID": "PreserveOrGenerate"}, "mine", "mine"),
    ({"requestID": "PreserveOrGenerate"}, None, "made"),
    ({"requestID": "Preserve"}, "mine", "mine"),
    ({"requestID": "Preserve"}, None, None),
    ({"requestID": "Disable"}, "mine", None),
    ({"requestID": "Disable"}, None, None),
    ({"preserveXRequestID": True}, "mine", "mine"),
])
def test_whose_request_id(gateway, upstream, spec, given, passed):
    up = upstream("a")
    gw = gateway(policed(up, headers=spec))
    assert gw.request("/", headers=[("x-request-id", given)] if given else []).status == 200
    seen = up.last.get("x-request-id")
    assert len(seen) == 36 if passed == "made" else seen == passed


@pytest.mark.parametrize("action, status, passed", [
    (None, 400, None), ("RejectRequest", 400, None), ("Allow", 200, "1"), ("DropHeader", 200, None),
])
def test_header_names_with_an_underscore(gateway, upstream, action, status, passed):
    up = upstream("a")
    gw = gateway(policed(up, headers={"withUnderscoresAction": action} if action else {}))
    assert gw.request("/", headers=[("x_plain", "1"), ("x-other", "2")]).status == status
    if status == 200:
        assert (up.last.get("x_plain"), up.last.get("x-other")) == (passed, "2")
    trailers = (b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTrailer: x_plain\r\n\r\n"
                b"1\r\na\r\n0\r\nx_plain: 1\r\nx-end: 2\r\n\r\n")
    with gw.raw(trailers) as raw:
        assert raw.reply().status == status


def test_listeners_of_one_port_keep_their_own_word_on_underscores(gateway, upstream):
    up = upstream("a")
    policy = client_policy("clients", headers={"withUnderscoresAction": "Allow"})
    policy["spec"]["targetRefs"][0]["sectionName"] = "allows"
    for order in ((0, 1), (1, 0)):
        listeners = [http_listener("allows", hostname="allows.test"), http_listener("refuses", hostname="refuses.test")]
        gw = gateway(world(backend("a", up), route("r", rule("a")), policy,
                           listeners=[listeners[i] for i in order]))
        assert gw.request("/", host="allows.test", headers=[("x_plain", "1")]).status == 200
        assert up.last.get("x_plain") == "1"
        reply = gw.request("/", host="refuses.test", headers=[("x_plain", "1")])
        assert (reply.status, reply.code) == (400, "underscore_in_header_name")
        assert gw.request("/", host="refuses.test").status == 200


def test_what_a_port_can_have_of_one_listener_only_is_named(gateway, upstream):
    policy = client_policy("clients", timeout={"http": {"idleTimeout": "30s", "requestHeadersReceivedTimeout": "3s",
                                                    "requestReceivedTimeout": "9s"}},
                           headers={"maxRequestHeaderLimit": "8Ki"}, connection={"connectionLimit": {"value": 7}})
    policy["spec"]["targetRefs"][0]["sectionName"] = "two"
    listeners = [http_listener("one", hostname="one.test"), http_listener("two", hostname="two.test"),
                 http_listener("other", port=81)]
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")), policy, listeners=listeners))
    texts = [d["text"] for d in gw.status()["diagnostics"] if d["code"] == "ineffective"]
    assert len(texts) == 5 and all('listener "two"' in text and 'listener "one"' in text for text in texts)
    for key in ("idleTimeout", "requestHeadersReceivedTimeout", "requestReceivedTimeout", "maxRequestHeaderLimit", "connectionLimit"):
        assert [text for text in texts if key in text], key


def test_the_policy_says_how_long_a_head_may_take(gateway, upstream):
    gw = gateway(policed(upstream("a"), timeout={"http": {"requestHeadersReceivedTimeout": "300ms"}}))
    started = time.monotonic()
    with gw.raw(b"GET / HTTP/1.1\r\n") as raw:
        assert raw.reply().status == 408
    assert 0.25 < time.monotonic() - started < 10


def test_a_connection_from_before_a_reload_reads_underscores_no_longer(gateway, upstream):
    up = upstream("a")
    allows, plain = {"headers": {"withUnderscoresAction": "Allow"}}, {}
    gw = gateway(policed(up, **allows), args=["--workers", "1"])
    ask = b"GET / HTTP/1.1\r\nHost: a.test\r\nx_plain: 1\r\n\r\n"
    trailers = (b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"1\r\na\r\n0\r\nx_plain: 1\r\nx-end: 2\r\n\r\n")
    with gw.raw(ask) as one, gw.raw(ask) as two:
        assert (one.reply().status, two.reply().status) == (200, 200)
        gw.apply(policed(up, **plain))
        eventually(lambda: gw.request("/", headers=[("x_plain", "1")]).status == 400, what="the new rules")
        one.send(ask)
        assert one.reply().status == 400
        two.send(trailers)
        assert two.reply().status == 200
        assert ("x_plain", "1") not in up.last.trailers
