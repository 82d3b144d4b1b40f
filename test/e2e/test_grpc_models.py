"""Calls of KServe's gRPC service, whose model stands in their message: read where something hangs on it, and refused where
it cannot be known."""

import grpc
import pytest

from play.deadline import eventually
from play.grpc_server import GrpcClient
from play.http2 import Http2
from play.manifests import (ENVOY_API, backend, grpc_route, header, local_provider, model, path, route, rule, security_policy,
                            target, thing, to, world)
from play.upstream import Answer
from test_check import check

SERVICE = "/inference.GRPCInferenceService/"
INFER = SERVICE + "ModelInfer"
H2C = {"appProtocols": ["gateway.envoyproxy.io/h2c"]}


def number(n):
    return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + number(n >> 7)


def field(n, value):
    return number(n << 3 | 2) + number(len(value)) + value


def infer(name, tensor=b"1234"):
    """ModelInferRequest: model_name, model_version, raw_input_contents."""
    return field(1, name.encode()) + field(2, b"7") + field(7, tensor)


def framed(message, flag=0):
    return bytes([flag]) + len(message).to_bytes(4, "big") + message


def method(service=None, name=None, kind=None):
    fields = {"type": kind, "service": service, "method": name}
    return {"method": {key: value for key, value in fields.items() if value}}


def limits(name, route_name, *rules):
    return thing(ENVOY_API, "BackendTrafficPolicy", name, {
        "targetRefs": [target("GRPCRoute", route_name)], "rateLimit": {"type": "Global", "global": {"rules": list(rules)}}})


def by_rule(name):
    return {"authorization": {"defaultAction": "Allow", "rules": [
        {"action": "Deny", "principal": {"headers": [{"name": name, "values": ["m-secret"]}]}}]}}


# Each asks for the model that a request names.
BY_MODEL = {
    "rule": by_rule("x-ai-eg-model"), "other name": by_rule("X-Model"),
    "authorizer": {"extAuth": {"http": {"backendRefs": [to("judge")]}, "headersToExtAuth": ["X-AI-EG-Model"]}},
}


def guarded(up, name="a", kind="GRPCRoute", **more):
    """Every call goes to `up`, and m-secret is denied."""
    made = (route if kind == "HTTPRoute" else grpc_route)("calls", rule(name), **more)
    return world(backend(name, up, **H2C), made, security_policy("p", target(kind, "calls"), **by_rule("x-ai-eg-model")))


@pytest.mark.parametrize("asks", BY_MODEL.values(), ids=BY_MODEL)
@pytest.mark.parametrize("kind", ["GRPCRoute", "HTTPRoute", "Gateway"])
def test_a_call_is_judged_by_its_model_as_a_request_of_http_is(gateway, server, upstream, asks, kind):
    made, up, judge = server("a"), upstream("v2"), upstream("judge")
    judge.script = lambda request, _: Answer(403 if request.get("x-ai-eg-model") == "m-secret" else 200)
    calls = (route if kind == "HTTPRoute" else grpc_route)("calls", rule("a"), hostnames=["calls.test"])
    places = [target("Gateway", "front")] if kind == "Gateway" else [target(kind, "calls"), target("HTTPRoute", "v2")]
    manifests = world(backend("a", made, **H2C), backend("v2", up), backend("judge", judge), calls,
                      route("v2", rule("v2"), hostnames=["v2.test"]), security_policy("p", *places, **asks))
    gw = gateway(manifests)
    assert [gw.request(f"/v2/models/{name}/infer", "POST", host="v2.test", body=b"{}").status
            for name in ("m-secret", "m-open")] == [403, 200]
    with GrpcClient(gw.port(), "calls.test") as client:
        for at in ("ModelInfer", "ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics"):
            assert client.refused(SERVICE + at, message=infer("m-secret"))[0] == "PERMISSION_DENIED", at
        record = gw.wait_log(lambda r: r["x-envoy-origin-path"] == INFER)
        assert (record["response_code"], record["model"]) == (403, "m-secret")
        forged = [("x-ai-eg-model", "m-open"), ("x-model", "m-open")]
        assert client.refused(INFER, message=infer("m-secret"), metadata=forged)[0] == "PERMISSION_DENIED"
        for at in ("ModelStreamInfer", "RepositoryModelLoad", "RepositoryModelUnload", "NotYetInvented", "modelInfer"):
            status, message = client.refused(SERVICE + at, message=infer("m-open"))
            assert status == "UNIMPLEMENTED" and "decides by the model" in message, at
        record = gw.wait_log(lambda r: r["x-envoy-origin-path"] == SERVICE + "ModelStreamInfer")
        assert record["response_code"] == 501 and record["response_code_details"].startswith("model_not_read")
        assert gw.request(INFER, "POST", host="calls.test", body=framed(infer("m-open"))).status in (404, 501), \
            "a server may take it for a call, whatever its content type"
        assert not made.calls
        assert client.call(INFER, infer("m-open")) == b"a:" + infer("m-open")
        assert client.call(SERVICE + "ServerLive", b"") == b"a:", "it asks for no model"
        assert client.call("/a.B/C") == b"a:hi", "other services name no models of this protocol"
        assert [at for at, _ in made.calls] == [INFER, SERVICE + "ServerLive", "/a.B/C"]
        gw.apply(manifests[:-1])
        eventually(lambda: client.passes(INFER, infer("m-secret")), what="the worker of this connection to know")
        for message in (infer("m-secret"), b"\x0a\xff", b""):
            assert client.call(INFER, message) == b"a:" + message, "without such a policy nobody looks"
        assert client.call(SERVICE + "ModelStreamInfer") == b"a:hi"


# What follows the first name, or stands in its place.
AMBIGUOUS = {
    "another name": infer("m-open") + field(1, b"m-secret"), "the same name": infer("m-open") + field(1, b"m-open"),
    "a number": infer("m-open") + b"\x08\x01", "a group": infer("m-open") + b"\x13\x0a\x01x\x14",
    "a long key": b"\x8a\x00\x06m-open", "a length cut off": infer("m-open") + b"\x12\x85",
    "too long a value": infer("m-open") + b"\x12\x09x", "no name": field(2, b"7"), "an empty name": field(1, b""),
    "no UTF-8": field(1, b"m\xc3("), "a line end": field(1, b"m\r\nx-tenant: b"), "a very long name": field(1, b"m" * 513),
}


def test_a_message_that_two_readers_could_read_differently_goes_nowhere(gateway, server):
    made = server("a")
    gw = gateway(guarded(made))
    with GrpcClient(gw.port()) as client:
        for what, message in AMBIGUOUS.items():
            assert client.refused(INFER, message=message)[0] == "INVALID_ARGUMENT", what
        assert client.refused(INFER, message=AMBIGUOUS["another name"])[1] == "The model's name is given twice."
        record = gw.wait_log(lambda r: r["x-envoy-origin-path"] == INFER)
        assert record["response_code"] == 400 and record["response_code_details"].startswith("bad_grpc_message")
        two = client.stream(INFER, [infer("m-open"), infer("m-secret")])
        with pytest.raises(grpc.RpcError):
            next(two)
        assert two.code() == grpc.StatusCode.INVALID_ARGUMENT and "more than its one" in two.details()
        assert client.call(INFER, infer("m-open")), "the connection lives on"
    assert len(made.calls) == 1


def told(client, content, content_type="application/grpc", step=None, more=()):
    """(HTTP's status, gRPC's, the body) of a call with this content, in DATA frames of `step` bytes."""
    step = step or max(len(content), 1)
    stream = client.headers(INFER, "POST", end=False, headers=[("content-type", content_type), ("te", "trailers"), *more])
    for at in range(0, len(content), step):
        client.data(stream, content[at:at + step])
    client.data(stream, b"", end=True)
    reply = client.reply(stream)
    trailers = client.streams[stream]["trailers"] or []
    return reply.status, reply.get("grpc-status") or dict(trailers).get("grpc-status"), reply.body


def test_content_that_is_not_one_plain_message_is_refused(gateway, server):
    made = server("a")
    gw = gateway(guarded(made))
    good = framed(infer("m-open"))
    with Http2(gw.port()) as client:
        for what, content, status in (
                ("compressed", framed(infer("m-open"), flag=1), "12"), ("another flag", framed(infer("m-open"), flag=2), "3"),
                ("nothing", b"", "3"), ("half a prefix", good[:3], "3"), ("cut off", good[:-1], "3"), ("more", good + b"\0", "3"),
                ("too large", b"\0\xff\xff\xff\xff" + infer("m-open"), "8")):
            assert told(client, content)[:2] == (200, status), what
        assert told(client, good, "application/grpc+json")[1] == "12", "another format has other names"
        assert told(client, good, more=[("content-encoding", "gzip")])[1] == "12"
        assert told(client, good, more=[("content-type", "application/grpc+json")])[1] not in ("0", None)
        empty = client.headers(INFER, "POST", headers=[("content-type", "application/grpc"), ("te", "trailers")])
        assert client.reply(empty).get("grpc-status") == "3"
        assert not made.calls
        assert told(client, good, "application/grpc+proto") == (200, "0", framed(b"a:" + infer("m-open")))
    with GrpcClient(gw.port()) as client:
        status, message = client.refused(INFER, message=infer("m-open", b"\0" * 4096), compression=grpc.Compression.Gzip)
        assert status == "UNIMPLEMENTED" and "compressed" in message


def test_a_message_is_read_however_it_is_cut(gateway, server):
    made = server("a")
    gw = gateway(guarded(made))
    with Http2(gw.port()) as client:
        assert told(client, framed(infer("m-open")), step=1) == (200, "0", framed(b"a:" + infer("m-open")))
        assert told(client, framed(infer("m-secret")), step=1)[:2] == (200, "7")
        assert told(client, framed(AMBIGUOUS["another name"]), step=1)[:2] == (200, "3")
    assert len(made.calls) == 1


def test_a_long_message_is_walked_to_its_end(gateway, server):
    made, heard = server("a"), []
    tensor = bytes(range(256)) * 8192  # 2 MiB

    def hear(requests, _):
        for request in requests:
            heard.append(request)
            yield b"heard"

    made.scripts[INFER] = hear
    gw = gateway(guarded(made))
    with GrpcClient(gw.port()) as client:
        assert client.call(INFER, infer("m-open", tensor)) == b"heard" and heard == [infer("m-open", tensor)]
        assert client.refused(INFER, message=infer("m-secret", tensor))[0] == "PERMISSION_DENIED"
        for message, status in ((infer("m-open", tensor) + field(1, b"m-secret"), "INVALID_ARGUMENT"),
                                (field(7, tensor) + field(1, b"m-secret"), "PERMISSION_DENIED"),
                                (field(7, infer("m-secret", tensor)), "INVALID_ARGUMENT")):
            assert client.refused(INFER, message=message)[0] == status
        assert len(heard) == 1, "no such message has reached the server whole"
        assert client.call(INFER, field(7, tensor) + field(1, b"m-open")) == b"heard"


def test_a_callers_deadline_holds_while_its_message_is_awaited(gateway, server):
    made = server("a")
    gw = gateway(guarded(made))
    with Http2(gw.port()) as client:
        stream = client.headers(INFER, "POST", end=False, headers=[
            ("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", "700m")])
        client.data(stream, framed(infer("m-open"))[:9])
        assert client.reply(stream).get("grpc-status") == "4"
    assert not made.calls


def test_rules_take_calls_by_model(gateway, server):
    """The first two name a model each; the third takes what is left."""
    a, b, c = server("a"), server("b"), server("c")

    def missing(_requests, context):
        context.abort(grpc.StatusCode.NOT_FOUND, "no such model")
        yield b""

    a.scripts[INFER] = c.scripts[INFER] = missing
    gw = gateway(world(*(backend(up.name, up) for up in (a, b, c)),
                       grpc_route("r", rule("a", matches=[{**method("inference.GRPCInferenceService", "ModelInfer"), **model("m-a")}]),
                                  rule("b", matches=[model("m-b")]), rule("c"))))
    with GrpcClient(gw.port()) as client:
        assert client.refused(INFER, message=infer("m-a"))[0] == "NOT_FOUND"
        del a.scripts[INFER]
        assert [client.call(INFER, infer(name))[:2] for name in ("m-a", "m-b")] == [b"a:", b"b:"]
        assert client.refused(INFER, message=infer("m-invented")) == ("NOT_FOUND", "no such model")
        record = gw.wait_log(lambda r: r["route_name"] == "grpcroute/play/r/rule/0" and r["grpc_status"] == "OK")
        assert record["model"] == "m-a"
        assert a.calls[0][1]["x-ai-eg-model"] == "m-a", "the backend is told"
        assert client.refused(SERVICE + "ModelStreamInfer", message=infer("m-a"))[0] == "UNIMPLEMENTED", \
            "another rule may not take what may be meant for one of the two"
        assert client.call(SERVICE + "ServerLive", b"") == b"c:" and client.call("/a.B/C") == b"c:hi"
    # What a rule names is no invention, whatever becomes of it.
    for name, count in (("m-a", 2), ("m-b", 1), ("other", 1), ("m-invented", 0)):
        assert gw.metric("ai_model_requests_total", model=name) == count, name


def test_one_rule_of_many_that_a_claim_tells_apart_may_ask_for_the_model(gateway, server, issuer):
    keys, made = issuer(), server("a")
    jwt = {"providers": [local_provider(keys, claimToHeaders=[{"claim": "tenant", "header": "x-tenant"}])]}
    tenants = [f"tenant-{letter}" for letter in "abcdefghij"]
    gw = gateway(world(backend("a", made),
                       grpc_route("r", *(rule("a", name=name, matches=[{"headers": [header("x-tenant", name)]}]) for name in tenants)),
                       security_policy("all", target("GRPCRoute", "r"), jwt=jwt),
                       security_policy("last", target("GRPCRoute", "r", tenants[-1]), jwt=jwt, **by_rule("x-ai-eg-model"))))

    def token(name):
        return [("authorization", f"Bearer {keys.token(name)}")]

    with GrpcClient(gw.port()) as client:
        assert client.call(INFER, infer("m-open"), metadata=token(tenants[-1]))
        assert client.refused(INFER, message=infer("m-secret"), metadata=token(tenants[-1]))[0] == "PERMISSION_DENIED"
        assert client.call(INFER, infer("m-secret"), metadata=token(tenants[0]))
    assert len(made.calls) == 2


def test_limits_count_calls_by_model(gateway, server):
    by_name = {"limit": {"requests": 2, "unit": "Hour"},
               "clientSelectors": [{"headers": [{"name": "x-ai-eg-model", "type": "Distinct"}]}]}
    gw = gateway(world(backend("a", server("a")), grpc_route("r", rule("a")), limits("t", "r", by_name)))
    with GrpcClient(gw.port()) as client:
        for name in ("m-a", "m-b"):
            assert [client.call(INFER, infer(name))[:2] for _ in range(2)] == [b"a:"] * 2
            assert client.refused(INFER, message=infer(name))[0] == "UNAVAILABLE", name
        assert client.call(SERVICE + "ServerLive", b"") == b"a:"
    assert gw.metric("ai_model_requests_total", model="m-a", response_code="200") == 2


def test_a_call_that_a_rewrite_makes_is_judged_as_the_backend_gets_it(gateway, server):
    made = server("a")

    def onto(kind, value):
        return [{"type": "URLRewrite", "urlRewrite": {"path": {"type": kind, kind[0].lower() + kind[1:]: value}}}]

    gw = gateway(world(backend("a", made, **H2C),
                       route("r", rule("a", matches=[path("/x")], filters=onto("ReplacePrefixMatch", SERVICE[:-1])),
                             rule("a", matches=[path("/y")], filters=onto("ReplacePrefixMatch", "/a.B")),
                             rule("a", matches=[path(SERVICE + "ServerLive")], filters=onto("ReplaceFullPath", INFER)),
                             rule("a", matches=[path(SERVICE[:-1])], filters=onto("ReplacePrefixMatch", SERVICE[:-1]))),
                       security_policy("p", target("HTTPRoute", "r"), **by_rule("x-ai-eg-model"))))
    with GrpcClient(gw.port()) as client:
        assert client.refused("/x/ModelInfer", message=infer("m-open"))[0] == "UNIMPLEMENTED"
        assert client.refused(SERVICE + "ServerLive", message=infer("m-secret"))[0] == "UNIMPLEMENTED"
        assert client.refused(INFER, message=infer("m-secret"))[0] == "PERMISSION_DENIED" and not made.calls
        assert client.call("/y/C") == b"a:hi"
        assert client.call(INFER, infer("m-open")), "the same call, written anew"


def test_what_does_not_hold_for_calls_by_model_or_tokens_is_named(tmp_path):
    def limit(**more):
        return {"limit": {"requests": 1, "unit": "Hour"}, **more}

    tokens = {"response": {"from": "Metadata", "metadata": {"namespace": "io.envoy.ai_gateway", "key": "total"}}}
    by_name = [{"headers": [{"name": "X-AI-EG-Model", "type": "Distinct"}]}]

    def named(rule_, matches, asks):
        manifests = world(backend("a", 8080), grpc_route("r", rule("a", matches=matches), rule("a", matches=matches)),
                          limits("t", "r", rule_), security_policy("p", target("GRPCRoute", "r"), **asks))
        lines = check(tmp_path, manifests).stdout.splitlines()
        return [sum(text in line and "GRPCRoute/play/r" in line for line in lines)
                for text in ("is not metered", "the model is read in no call", "that stream messages")]

    service = "inference.GRPCInferenceService"
    infer_ = [method(service, "ModelInfer"), method(service, "ServerLive")]
    assert named(limit(), infer_, by_rule("x-tenant")) == [0, 0, 0]
    assert named(limit(cost=tokens), infer_, by_rule("x-tenant")) == [1, 0, 0]
    assert named(limit(clientSelectors=by_name), infer_, by_rule("x-model")) == [0, 0, 0], "of all its calls the model is read"
    for matches in None, [method(service)], [method("a.B")], [*infer_, method(service, "ModelStreamInfer")]:
        assert named(limit(clientSelectors=by_name), matches, by_rule("x-tenant")) == [0, 1, 0], matches
    for matches in None, [method(service)], [method(name="ModelInfer")], [method("inference[.].*", kind="RegularExpression")]:
        assert named(limit(), matches, by_rule("x-model")) == [0, 0, 1], matches
    assert named(limit(), [model("m-a")], by_rule("x-tenant")) == [0, 0, 1], "a match asks too"
    assert named(limit(), [method("a.B")], by_rule("x-model")) == [0, 0, 0], "it has no such call"
