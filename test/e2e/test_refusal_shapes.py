"""Refusals in the shape of the API that was called, whatever refuses and whether the listener has AI routes:
clients of KServe and of Triton show the string under "error", those of OpenAI and Anthropic read an object."""
import json

import pytest

from play.deadline import eventually
from play.manifests import (ENVOY_API, ai_backend, ai_route, ai_rule, backend, http_listener, path, provider, route,
                            rule, security_policy, target, thing, world)
from play.ports import free_port
from play.upstream import Answer

JSON_TYPE = [("content-type", "application/json")]
V1, V2 = "/v1/models/m:predict", "/v2/models/m/infer"
CALLS = {V1: {"instances": [[1, 2]]}, V2: {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}}
ROWS = {V1: {"predictions": [0]}, V2: {"outputs": [{"name": "y", "shape": [1], "datatype": "FP32", "data": [0]}]}}
both = pytest.mark.parametrize("where", [V1, V2], ids=["V1 predict", "V2 infer"])


def of_model(where, name):
    return where.replace("/models/m", f"/models/{name}")


def refused(reply, status, code, message=None):
    """The message under "error", the code beside it, and nothing else."""
    document = reply.json
    assert (reply.status, document.get("code")) == (status, code), document
    assert set(document) == {"error", "code"} and isinstance(document["error"], str) and document["error"]
    assert message is None or document["error"] == message
    assert reply.get("content-type") == "application/json"


@pytest.fixture
def models(upstream):
    """A server that answers both protocols with one row."""
    up = upstream("models")
    up.script = lambda request, _: Answer(headers=JSON_TYPE, body=json.dumps(ROWS[request.target]).encode())
    return up


def plain(up, *more):
    return world(backend("a", up), route("r", rule("a", matches=[path("/v1/models"), path("/v2")])), *more)


def ai(up, *more):
    made = ai_route("ai", ai_rule("a"), costs=[("rows", "TotalToken")])
    return world(backend("a", up), ai_backend("a"), made, *more)


KINDS = {"HTTPRoute": (plain, "r"), "AIGatewayRoute": (ai, "ai")}
every_kind = pytest.mark.parametrize("kind", KINDS)


def limits(*rules):
    return thing(ENVOY_API, "BackendTrafficPolicy", "limits", {
        "targetRefs": [target("Gateway", "front")], "rateLimit": {"global": {"rules": list(rules)}}})


@both
@every_kind
def test_429_of_a_limit_on_requests(gateway, models, kind, where):
    gw = gateway(KINDS[kind][0](models, limits({"limit": {"requests": 1, "unit": "Year"}, "shared": True})))
    assert gw.request(where, json=CALLS[where]).json == ROWS[where]
    reply = gw.request(where, json=CALLS[where])
    refused(reply, 429, "rate_limited", "A limit on requests or tokens is reached; try again later.")
    assert int(reply.get("retry-after")) >= 1 and reply.get("x-ratelimit-remaining") == "0"
    assert len(models.requests) == 1


@both
def test_429_of_a_budget_of_rows(gateway, models, where):
    cost = {"request": {"from": "Number", "number": 0},
            "response": {"from": "Metadata", "metadata": {"namespace": "io.envoy.ai_gateway", "key": "rows"}}}
    gw = gateway(ai(models, limits({"limit": {"requests": 2, "unit": "Year"}, "shared": True, "cost": cost})))
    assert gw.request(where, json=CALLS[where]).status == 200
    gw.wait_log(lambda r: r["model"] == "m")
    refused(gw.request(where, json=CALLS[where]), 429, "rate_limited")


@both
@every_kind
def test_401_403_and_503_of_a_token(gateway, models, issuer, kind, where):
    """Also by a method that no endpoint has, and of a model's name that cannot be."""
    who = issuer()
    who.mode = "down"
    make, name = KINDS[kind]
    gw = gateway(make(models, backend("keys", who), security_policy(
        "jwt", target("HTTPRoute", name), jwt={"providers": [provider(who)]},
        authorization={"defaultAction": "Deny", "rules": [{"action": "Allow", "principal": {"jwt": {
            "provider": "provider", "claims": [{"name": "tenant", "values": ["tenant-b"]}]}}}]})))
    refused(gw.request(where, json=CALLS[where], token=who.token("tenant-b")), 503, "keys_unavailable")
    who.mode = "ok"
    eventually(lambda: gw.request(where, json=CALLS[where], token=who.token("tenant-b")).status == 200, 30, "the keys")
    n = len(models.requests)
    missing = gw.request(where, json=CALLS[where])
    refused(missing, 401, "token_missing", "A bearer token is required.")
    assert missing.get("www-authenticate").startswith("Bearer")
    refused(gw.request(where, json=CALLS[where], token=who.token("tenant-a")), 403, "forbidden",
            "This caller may not use this route.")
    if kind == "HTTPRoute":
        refused(gw.request(where), 401, "token_missing")
        refused(gw.request("/v2/health/ready"), 401, "token_missing")
    refused(gw.request(of_model(where, "%ff"), "POST"), 400, "bad_path")
    assert len(models.requests) == n


@both
@pytest.mark.parametrize("body, code", [
    (b"{", "invalid_json"), (b"[]", "invalid_type"), (b'{"inputs":[],"inputs":[]}', "duplicate_parameter")])
def test_400_of_a_body(gateway, models, where, body, code):
    gw = gateway(ai(models))
    refused(gw.request(where, body=body, headers=JSON_TYPE), 400, code)
    refused(gw.request(where, body=body, headers=[*JSON_TYPE, ("content-encoding", "gzip")]), 415,
            "unsupported_content_encoding")
    assert not models.requests


@both
def test_a_head_that_is_refused_before_any_route(gateway, models, where):
    """As far as the head was read: in what is no request line nobody's API was called."""
    gw = gateway(plain(models))
    refused(gw.request(where, json=CALLS[where], headers=[("x_tenant", "a")]), 400, "underscore_in_header_name")
    refused(gw.request(where, json=CALLS[where], headers=[("expect", "tea")]), 417, "expectation_failed")
    refused(gw.request(of_model(where, "org%2fm"), json=CALLS[where]), 400, "bad_path")
    for head, code in ((b"POST %s HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" % where.encode(), "bad_host"),
                       (b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n" % where.encode(), "bad_framing")):
        with gw.raw(head) as raw:
            refused(raw.reply(), 400, code)
    with gw.raw(b"POST %s HTTP/3.0\r\nHost: a\r\n\r\n" % where.encode()) as raw:
        refused(raw.reply(), 505, "http_version_not_supported")
    with gw.raw(b"%s\r\n\r\n" % where.encode()) as raw:
        assert raw.reply().json["error"]["code"] == "bad_request_line"
    assert not models.requests


@both
def test_404_and_failures_of_the_backend(gateway, where):
    gone = world(backend("gone", free_port()), route("r", rule("gone", matches=[path(where, "Exact")])),
                 listeners=[http_listener(hostname="a.test")])
    gw = gateway(gone)
    refused(gw.request(where, json=CALLS[where], host="a.test"), 503, "upstream_connect_failed")
    refused(gw.request(of_model(where, "n"), json=CALLS[where], host="a.test"), 404,
            "route_not_found", "No route matches this request.")
    refused(gw.request(where, json=CALLS[where], host="b.test"), 404, "host_not_found")


def test_a_backend_of_another_schema_is_501(gateway, models):
    gw = gateway(world(backend("a", models), ai_backend("a", schema="Anthropic"), ai_route("ai", ai_rule("a"))))
    refused(gw.request(V2, json=CALLS[V2]), 501, "unsupported_endpoint")


def test_what_the_model_itself_answers_stays_as_it_is(gateway, models):
    said = b'{"error": {"of": "its own"}}'
    models.script = lambda *_: Answer(status=422, headers=JSON_TYPE, body=said)
    for make in (plain, ai):
        reply = gateway(make(models)).request(V1, json=CALLS[V1])
        assert (reply.status, reply.body) == (422, said)


@pytest.mark.parametrize("method, headers, status, kind", [
    ("GET", (), 404, "not_found_error"), ("POST", (("x_tenant", "a"),), 400, "invalid_request_error")])
def test_anthropics_paths_keep_their_shape_whatever_refuses(gateway, models, method, headers, status, kind):
    gw = gateway(plain(models))
    reply = gw.request("/v1/messages", method, body=b"{}" if method == "POST" else None, headers=headers)
    assert (reply.status, reply.json["type"], reply.json["error"]["type"]) == (status, "error", kind)


def test_other_paths_get_the_object_that_openais_clients_read(gateway, models):
    gw = gateway(plain(models))
    for where in ("/v1/chat/completions", "/v1/models-of-mine", "/"):
        reply = gw.request(where)
        assert (reply.status, reply.json["error"]["code"], reply.json["error"]["param"]) == (404, "route_not_found", None)
