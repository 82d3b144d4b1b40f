"""Calls of gRPC whatever version of HTTP brings them: how they are refused, how long they may take, what is
recorded of them, and how GRPCRoutes stand beside HTTPRoutes. Calls end to end are in test_grpc_calls.py."""
import time

import pytest

from play.http2 import Http2
from play.manifests import (ENVOY_API, backend, grpc_route, local_provider, path, route, rule, security_policy, target,
                            thing, to, world)
from play.upstream import Answer

CALL = ("content-type", "application/grpc")
MESSAGE = b"\x00\x00\x00\x00\x02hi"


def traffic_policy(name, route_name, **spec):
    return thing(ENVOY_API, "BackendTrafficPolicy", name, {"targetRefs": [target("HTTPRoute", route_name)], **spec})


def call(gw, path="/a.B/C", headers=(), **more):
    return gw.request(path, "POST", headers=[CALL, *headers], body=MESSAGE, **more)


def told(reply):
    """The gRPC status of a head that is trailers too."""
    assert (reply.status, reply.body, reply.get("content-type")) == (200, b"", "application/grpc"), reply
    return int(reply.get("grpc-status"))


def test_a_refusal_is_told_as_a_status_of_grpc(gateway, upstream, issuer):
    keys = issuer()
    gw = gateway(world(
        backend("a", upstream("a")), route("closed", rule("a", matches=[path("/closed.S")])),
        route("open", rule("a", matches=[path("/open.S")]), rule(matches=[path("/none.S")])),
        security_policy("p", target("HTTPRoute", "closed"), jwt={"providers": [local_provider(keys)]},
                        authorization={"defaultAction": "Deny"})))
    reply = call(gw, "/nowhere.S/M")
    assert told(reply) == 12 and reply.get("grpc-message") == "No route matches this request."
    reply = call(gw, "/closed.S/M")
    assert told(reply) == 16 and reply.get("grpc-message") == "A bearer token is required."
    assert reply.get("www-authenticate").startswith("Bearer")
    assert told(call(gw, "/closed.S/M", token=keys.token("tenant-a"))) == 7
    assert told(call(gw, "/none.S/M")) == 14, "without a valid backend: UNAVAILABLE"
    assert told(gw.request("/nowhere.S/M", "POST", headers=[("content-type", "Application/gRPC+proto")], body=b"")) == 12
    for type_ in ("application/json", "application/grpc-web", "application/grpcx"):
        reply = gw.request("/nowhere.S/M", "POST", headers=[("content-type", type_)], body=b"")
        assert (reply.status, reply.code) == (404, "route_not_found"), "no call of gRPC"
    assert gw.request("/nowhere.S/M", headers=[CALL]).status == 404, "nor is a GET"


def test_a_head_that_is_trailers_too_has_no_length_in_http_2(gateway, http2_upstream):
    """The backend's and the gateway's own: to HTTP/1 alone it says that nothing follows."""
    up = http2_upstream("a")
    up.script = lambda stream: stream.answer(headers=[CALL, ("grpc-status", "7")])
    gw = gateway(world(backend("a", up), grpc_route("r", rule("a", matches=[{"method": {"service": "a.B"}}]))))
    for path_, status in (("/a.B/C", "7"), ("/nowhere.S/M", "12")):
        with Http2(gw.port()) as client:
            reply = client.reply(client.headers(path_, "POST", headers=[CALL, ("te", "trailers")], end=True))
        assert (reply.status, reply.get("grpc-status"), reply.get("content-length")) == (200, status, None)
        reply = call(gw, path_)
        assert (told(reply), reply.get("content-length")) == (int(status), "0")


def test_a_refusal_of_a_call_is_recorded_as_what_it_is(gateway, upstream):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a", matches=[path("/a.B")]))))
    call(gw, "/nowhere.S/M")
    record = gw.wait_log(lambda r: True)
    assert (record["response_code"], record["grpc_status"], record["response_flags"]) == (404, "Unimplemented", "NR")
    assert gw.metric("tollgate_requests_total", response_code_class="4xx") == 1
    assert gw.metric("tollgate_grpc_calls_total", grpc_status="UNIMPLEMENTED") == 1
    gw.request("/nowhere")
    assert gw.wait_log(lambda r: r["method"] == "GET")["grpc_status"] is None


def test_a_limit_on_requests_tells_calls_when_to_come_again(gateway, upstream):
    limit = {"type": "Global", "global": {"rules": [{"limit": {"requests": 1, "unit": "Hour"}}]}}
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")),
                       traffic_policy("p", "r", rateLimit=limit)))
    assert call(gw).status == 200
    reply = call(gw)
    assert told(reply) == 14 and int(reply.get("retry-after")) > 0
    assert gw.wait_log(lambda r: r["response_code"] == 429)["grpc_status"] == "Unavailable"


def test_an_authorizers_no_is_told_as_a_status_of_grpc(gateway, upstream):
    authorizer, up = upstream("authorizer"), upstream("a")
    authorizer.script = lambda *_: Answer(401, [("x-why", "late")], "100% n\u00f6\n".encode())
    gw = gateway(world(backend("a", up), backend("authorizer", authorizer), route("r", rule("a")),
                       security_policy("p", target("HTTPRoute", "r"),
                                       extAuth={"http": {"backendRefs": [to("authorizer")]}})))
    reply = call(gw)
    assert told(reply) == 16 and reply.get("grpc-message") == "100%25 n%C3%B6%0A" and reply.get("x-why") == "late"
    assert gw.request().status == 401 and not up.requests
    authorizer.script = lambda *_: Answer(403, [], b"x" * 60000)
    assert told(reply := call(gw)) == 7 and reply.get("grpc-message") == "x" * 1024


@pytest.mark.parametrize("value", ["", "1", "S", "1s", "123456789S", "-1S", "1.5S", "1S, 2S", "1 S"])
def test_a_deadline_that_is_none_is_refused(gateway, upstream, value):
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a"))))
    reply = call(gw, headers=[("grpc-timeout", value)])
    assert told(reply) == 13 and "grpc-timeout" in reply.get("grpc-message")
    assert gw.wait_log(lambda r: True)["response_code_details"] == "bad_grpc_timeout"
    assert not up.requests
    assert gw.request(headers=[("grpc-timeout", value)]).status == 200, "of other requests it says nothing"


def test_a_deadline_given_twice_is_refused(gateway, upstream):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a"))))
    assert told(call(gw, headers=[("grpc-timeout", "9S"), ("grpc-timeout", "9S")])) == 13


def silent(_request, connection):
    connection.recv()


def test_a_caller_waits_no_longer_than_its_deadline(gateway, upstream):
    up = upstream("a")
    up.script = silent
    gw = gateway(world(backend("a", up), route("r", rule("a")),
                       route("slow", rule("a", matches=[path("/slow.S")], timeouts={"request": "60s"}))))
    for at in ("/a.B/C", "/slow.S/M"):
        begun = time.monotonic()
        assert told(call(gw, at, headers=[("grpc-timeout", "300m")])) == 4
        assert time.monotonic() - begun >= 0.3
    assert [r.get("grpc-timeout") for r in up.wait_for(2)] == ["300m", "300m"], "the backend knows it too"
    assert told(call(gw, headers=[("grpc-timeout", "0n")])) == 4
    assert len(up.requests) == 2, "a call whose time is over goes nowhere"
    record = gw.wait_log(lambda r: r["response_code_details"] == "upstream_timeout")
    assert (record["response_code"], record["grpc_status"]) == (504, "DeadlineExceeded")


def test_a_deadline_never_lengthens_the_routes_own(gateway, upstream):
    up = upstream("a")
    up.script = silent
    gw = gateway(world(backend("a", up), route("r", rule("a", timeouts={"request": "300ms"}))))
    begun = time.monotonic()
    assert told(call(gw, headers=[("grpc-timeout", "99999999H")])) == 4
    assert time.monotonic() - begun < 20


def trickle(request, connection):
    """An answer of gRPC that begins and does not end."""
    connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ntransfer-encoding: chunked\r\n\r\n"
                    b"7\r\n" + MESSAGE + b"\r\n")
    if request.target.startswith("/hold."):
        connection.recv()


def test_a_deadline_bounds_a_stream_too(gateway, upstream):
    """The policy's timeout ends at the first byte of a stream; the caller's own does not."""
    up = upstream("a")
    up.script = trickle
    gw = gateway(world(backend("a", up), route("r", rule("a")),
                       traffic_policy("p", "r", timeout={"http": {"requestTimeout": "100ms"}})))
    with gw.raw(b"POST /hold.S/M HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc\r\ngrpc-timeout: 400m\r\n"
                b"content-length: 0\r\n\r\n") as raw:
        begun = time.monotonic()
        reply = raw.reply()
    assert time.monotonic() - begun >= 0.3
    assert reply.body == MESSAGE and reply.get("trailer:grpc-status") == "4"
    assert gw.wait_log(lambda r: True)["grpc_status"] == "DeadlineExceeded"


def test_a_stream_that_breaks_ends_with_a_status(gateway, upstream):
    up = upstream("a")
    up.script = trickle
    gw = gateway(world(backend("a", up), route("r", rule("a"))))
    with gw.raw(b"POST /cut.S/M HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc\r\ncontent-length: 0\r\n\r\n") as raw:
        reply = raw.reply()
    assert reply.body == MESSAGE
    assert reply.get("trailer:grpc-status") == "14"
    assert reply.get("trailer:grpc-message") == "The backend closed the connection."
    # To a request that is no call the answer is cut such that it is noticed.
    with gw.raw(b"POST /cut.S/M HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n") as raw:
        raw.head()
        assert not raw.rest().endswith(b"0\r\n\r\n")


def test_the_status_of_an_answer_is_recorded(gateway, upstream):
    up = upstream("a")
    answers = {
        "/trailers.S/M": (b"7\r\n" + MESSAGE + b"\r\n0\r\ngrpc-status: 5\r\n\r\n", "chunked", "", "NotFound", 5),
        "/head.S/M": (b"0\r\n\r\n", "chunked", "grpc-status: 9\r\n", "FailedPrecondition", 9),
        "/well.S/M": (b"7\r\n" + MESSAGE + b"\r\n0\r\ngrpc-status: 0\r\n\r\n", "chunked", "", "OK", 0),
        "/untold.S/M": (b"7\r\n" + MESSAGE + b"\r\n0\r\n\r\n", "chunked", "", "Unknown", 2),
        "/odd.S/M": (b"0\r\ngrpc-status: 77\r\n\r\n", "chunked", "", 77, 77),
        "/wrong.S/M": (b"0\r\ngrpc-status: x\r\n\r\n", "chunked", "", "Unknown", 2),
    }

    def script(request, connection):
        body, coding, more, _, _ = answers[request.target]
        connection.send(f"HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ntransfer-encoding: {coding}\r\n"
                        f"{more}\r\n".encode() + body)

    up.script = script
    gw = gateway(world(backend("a", up), route("r", rule("a"))))
    for at, (_, _, _, name, _) in answers.items():
        call(gw, at)
        record = gw.wait_log(lambda r, at=at: r["x-envoy-origin-path"] == at)
        assert (record["response_code"], record["grpc_status"]) == (200, name), at
    assert gw.metric("tollgate_grpc_calls_total", route="httproute/play/r/rule/0", grpc_status="other") == 1
    assert gw.metric("tollgate_grpc_calls_total", route="httproute/play/r/rule/0", grpc_status="NOT_FOUND") == 1


def test_of_two_kinds_that_share_a_host_the_older_route_stands(gateway, upstream):
    up = upstream("a")
    old = {"creationTimestamp": "2024-01-01T00:00:00Z"}
    gw = gateway(world(backend("a", up), route("r", rule("a"), hostnames=["a.test"]),
                       grpc_route("calls", rule("a"), hostnames=["*.test"], metadata=old),
                       route("s", rule("a"), hostnames=["b.example"])))
    [lost] = [o for o in gw.status()["objects"] if o["kind"] == "HTTPRoute" and o["name"] == "r"]
    [condition] = [c for c in lost["conditions"] if c["type"] == "Accepted"]
    assert (condition["status"], condition["reason"]) == ("False", "Conflicted")
    assert gw.request(host="a.test").status == 404, "its place is the GRPCRoute's, which takes calls only"
    assert gw.request(host="b.example").status == 200


def test_a_filter_that_is_not_enforced_is_named_and_its_rule_refuses(gateway, upstream):
    ref = {"group": "gateway.envoyproxy.io", "kind": "HTTPRouteFilter", "name": "f"}
    gw = gateway(world(backend("a", upstream("a")),
                       thing(ENVOY_API, "HTTPRouteFilter", "f", {"directResponse": {"statusCode": 200}}),
                       grpc_route("calls", rule("a", filters=[{"type": "ExtensionRef", "extensionRef": ref}]))))
    assert "ExtensionRef are not enforced in a GRPCRoute" in gw.stderr()
    reply = call(gw)
    assert told(reply) == 2 and "configuration" in reply.get("grpc-message")
