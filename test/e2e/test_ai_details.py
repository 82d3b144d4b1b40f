"""Details of AI routes that hold besides one another: credentials, shares, costs of each kind, compressed answers,
other endpoints under an HTTPRoute."""
import base64
import json

import pytest

from play.gateway import as_text, tollgate
from play.manifests import (ENVOY_API, ai_backend, ai_route, ai_rule, backend, credentials, model, path, route, rule,
                            secret, target, thing, world)
from play.passwords import basic, htpasswd
from play.ports import free_port
from play.upstream import Answer

CHAT = "/v1/chat/completions"
JSON_TYPE = [("content-type", "application/json")]
USAGE = {"prompt_tokens": 70, "completion_tokens": 50, "total_tokens": 120,
         "prompt_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 20},
         "completion_tokens_details": {"reasoning_tokens": 10}}


def chat(name="m", **more):
    return {"model": name, "messages": [{"role": "user", "content": "hello"}], **more}


def answer(document, **more):
    return Answer(headers=JSON_TYPE, body=json.dumps(document).encode(), **more)


def completion(usage):
    return answer({"id": "c", "object": "chat.completion", "model": "m", "usage": usage, "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}]})


@pytest.fixture
def model_server(upstream):
    def start(name="m", said=None):
        made = upstream(name)
        made.script = lambda *_: said or completion(USAGE)
        return made
    return start


def one_model(up, *more, costs=(), schema="OpenAI"):
    return world(backend("b", up), ai_backend("b", schema=schema),
                 ai_route("ai", ai_rule("b", matches=[model("m")]), costs=costs), *more)


def budget(limit, key):
    return thing(ENVOY_API, "BackendTrafficPolicy", "budget", {
        "targetRefs": [target("Gateway", "front")], "rateLimit": {"global": {"rules": [{
            "limit": {"requests": limit, "unit": "Year"}, "cost": {
                "request": {"from": "Number", "number": 0},
                "response": {"from": "Metadata", "metadata": {"namespace": "io.envoy.ai_gateway", "key": key}}}}]}}})


# ---- what a backend gets ----

@pytest.mark.parametrize("kind, field", [("APIKey", "apiKey"), ("AnthropicAPIKey", "anthropicAPIKey"), ("AzureAPIKey", "azureAPIKey")])
def test_a_secret_without_the_key_calls_no_backend(gateway, model_server, kind, field):
    up = model_server()
    gw = gateway(one_model(up, credentials("c", kind, field, "s", "b"), secret("s", other="the-key")))
    assert gw.request(CHAT, json=chat(), token="of-the-client").status == 500
    assert not up.requests


def test_the_model_reaches_the_backend_in_both_headers_and_never_a_clients_word(gateway, model_server):
    up = model_server()
    gw = gateway(one_model(up))
    assert gw.request(CHAT, json=chat(), headers=[("x-model", "other"), ("x-ai-eg-model", "other")]).status == 200
    assert (up.last.all("x-model"), up.last.all("x-ai-eg-model")) == (["m"], ["m"])


def test_weights_share_the_requests(gateway, model_server):
    """240 of 3:1 within four standard deviations (6.7 of 60)."""
    three, one = model_server("three"), model_server("one")
    gw = gateway(world(backend("three", three), backend("one", one), ai_backend("three"), ai_backend("one"),
                       ai_route("ai", ai_rule({"name": "three", "weight": 3}, {"name": "one", "weight": 1}))))
    for _ in range(240):
        assert gw.request(CHAT, json=chat()).status == 200
    assert len(three.requests) + len(one.requests) == 240
    assert 33 <= len(one.requests) <= 87


def test_the_checks_of_a_later_priority_hold_for_the_whole_rule(gateway, model_server):
    """It may be called, so nobody comes in who may not call it."""
    first, second = model_server("first"), model_server("second")
    gw = gateway(world(
        backend("first", first), backend("second", second), ai_backend("first"), ai_backend("second"),
        ai_route("ai", ai_rule({"name": "first", "priority": 0}, {"name": "second", "priority": 1}, matches=[model("m")])),
        htpasswd(alice="secret"),
        thing(ENVOY_API, "BackendSecurityPolicy", "g", {"targetRefs": [target("Backend", "second")],
                                                        "basicAuth": {"users": {"name": "users"}}})))
    reply = gw.request(CHAT, json=chat())
    assert (reply.status, reply.code) == (401, "basic_missing")
    assert not first.requests and not second.requests
    good = [("authorization", basic("alice", "secret"))]
    assert gw.request(CHAT, json=chat(), headers=good).status == 200
    assert (len(first.requests), len(second.requests)) == (1, 0)
    first.script = lambda *_: Answer(status=503)
    assert gw.request(CHAT, json=chat(), headers=good).status == 200
    assert (len(first.requests), len(second.requests)) == (2, 1)


# ---- costs ----

@pytest.mark.parametrize("kind, cost", [("InputToken", 70), ("CachedInputToken", 30), ("CacheCreationInputToken", 20),
                                        ("OutputToken", 50), ("ReasoningToken", 10), ("TotalToken", 120)])
def test_a_budget_is_charged_with_the_kind_of_token_that_its_cost_counts(gateway, model_server, kind, cost):
    gw = gateway(one_model(model_server(), budget(1_000_000, "k"), costs=[("k", kind)]))
    ask = chat(max_tokens=1)
    before = int(gw.request(CHAT, json=ask).get("x-ratelimit-remaining"))
    gw.wait_log(lambda r: r["model"] == "m")
    after = int(gw.request(CHAT, json=ask).get("x-ratelimit-remaining"))
    assert before - after == cost, "both have the same reserved for the answer to come"


def test_a_cost_knows_an_http_routes_backend_by_the_same_spelling(gateway, model_server):
    cost = {"metadataKey": "k", "type": "CEL", "cel": "backend == 'own.play' && route_name == 'play/r' ? 30u : 0u"}
    manifests = one_model(model_server(), backend("own", model_server("own")), route("r", rule("own", matches=[path(CHAT)])),
                          budget(1_000_000, "k"), costs=[("k", "CEL")])
    next(m for m in manifests if m["kind"] == "AIGatewayRoute")["spec"]["llmRequestCosts"] = [cost]
    gw = gateway(manifests)
    before = int(gw.request(CHAT, json=chat(max_tokens=1)).get("x-ratelimit-remaining"))
    gw.wait_log(lambda r: r["model"] == "m")
    assert before - int(gw.request(CHAT, json=chat(max_tokens=1)).get("x-ratelimit-remaining")) == 30


def test_a_budget_that_is_used_up_is_told_in_the_shape_of_messages(gateway, model_server):
    message = {"id": "msg", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "hi"}],
               "stop_reason": "end_turn", "usage": {"input_tokens": 7, "output_tokens": 5}}
    gw = gateway(one_model(model_server(said=answer(message)), budget(10, "k"), costs=[("k", "TotalToken")], schema="Anthropic"))
    ask = {**chat(), "max_tokens": 1}
    assert gw.request("/v1/messages", json=ask).status == 200
    gw.wait_log(lambda r: r["model"] == "m")
    reply = gw.request("/v1/messages", json=ask)
    assert reply.status == 429
    assert (reply.json["type"], reply.json["error"]["type"]) == ("error", "rate_limit_error")
    assert int(reply.get("retry-after")) >= 1 and reply.get("x-ratelimit-reset")


# ---- answers ----

# An answer with a usage of 7, 5 and 12, as `brotli` and `zstd` compress it.
PACKED = {
    "br": "G+MAABwHdnPOjyB4Vy0rhaG0BG0z9euCCmILBquGMdm29K3T18UyQMx2PFDc124y6S6L+i6ZBjK3dG4BCmQY+v1YrYOZAS7xl2PZhmMOHYwkBhr2StUa"
          "AdEm69sWkxqCPGFXJoE/hGtzDSDkZ231+cfe89zX+abs+dLdsRaT1igqZZZa",
    "zstd": "KLUv/STkzQQAcgkdGIDNAwTRz2ZGRpz8BosnmJCEwBsUjSOyl1VFDNF9f7GLGZOh/uSp7EqjXQypqoXO5J/9071Dd8ex61KrLTfOnWm/z3bHNXEcTsjs"
            "YsJqO/Ey4VLHauv8YLNdWKrsgIy8tNzFdjZ8jlT2C945b1fbf/wovVQNADY3BYB3tl39Ej3YZLVQwk5boY+fVRUsmVnFWyoQP5hP6Oaaew==",
}


@pytest.mark.parametrize("coding", PACKED)
def test_usage_is_read_in_answers_of_every_coding(gateway, model_server, coding):
    packed = base64.b64decode(PACKED[coding])
    said = Answer(headers=[*JSON_TYPE, ("content-encoding", coding)], body=packed)
    gw = gateway(one_model(model_server(said=said)))
    reply = gw.request(CHAT, json=chat(), headers=[("accept-encoding", coding)])
    assert (reply.status, reply.get("content-encoding"), reply.body) == (200, coding, packed)
    record = gw.wait_log(lambda r: r["model"] == "m")
    assert (record["tokens_in"], record["tokens_out"], record["tokens_source"]) == (7, 5, "provider")


# ---- under an HTTPRoute ----

FORM = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n' \
       b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--b--\r\n'
UNDER_ROUTES = {
    "/v1/audio/transcriptions": {"text": "hello", "usage": {"type": "tokens", "input_tokens": 7, "output_tokens": 5, "total_tokens": 12}},
    "/v1/messages": {"type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "hi"}],
                     "stop_reason": "end_turn", "usage": {"input_tokens": 7, "output_tokens": 5}},
    "/v1/responses": {"object": "response", "status": "completed", "model": "m", "output": [],
                      "usage": {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12}},
}


@pytest.mark.parametrize("where", UNDER_ROUTES)
def test_what_an_http_route_takes_is_metered_at_every_endpoint(gateway, model_server, where):
    own = model_server("own", answer(UNDER_ROUTES[where]))
    other = model_server()
    gw = gateway(one_model(other, backend("own", own), route("r", rule("own", matches=[path(where)])),
                           budget(1_000_000, "k"), costs=[("k", "TotalToken")]))
    asked = {"/v1/audio/transcriptions": {"body": FORM, "headers": [("content-type", "multipart/form-data; boundary=b")]},
             "/v1/messages": {"json": {**chat(), "max_tokens": 5}},
             "/v1/responses": {"json": {"model": "m", "input": "hello", "max_output_tokens": 5}}}[where]
    before = int(gw.request(where, "POST", **asked).get("x-ratelimit-remaining"))
    record = gw.wait_log(lambda r: r["model"] == "m")
    assert (record["tokens_in"], record["tokens_out"], record["tokens_source"]) == (7, 5, "provider")
    assert before - int(gw.request(where, "POST", **asked).get("x-ratelimit-remaining")) == 12
    assert len(own.requests) == 2 and not other.requests


# ---- manifests ----

def test_check_notes_an_older_form_and_accepts_it(tmp_path):
    manifests = one_model(free_port())
    spec = manifests[-1]["spec"]
    spec.pop("parentRefs")
    spec.update(schema={"name": "OpenAI"}, targetRefs=[target("Gateway", "front")])
    file = tmp_path / "world.yaml"
    file.write_text(as_text(manifests))
    run = tollgate("check", "-f", file)
    assert run.returncode == 0, run.stdout
    notes = [line for line in run.stdout.splitlines() if "an older form, accepted" in line]
    assert len(notes) == 2 and all(" note: AIGatewayRoute/play/ai: " in line for line in notes)
    assert "spec.schema" in notes[0] + notes[1] and "spec.targetRefs" in notes[0] + notes[1]
