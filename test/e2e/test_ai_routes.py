"""AI routes: the model is read from the body, the route is chosen by it, and the backend gets the request
in its own words."""
import json
import threading

import pytest

from play.authorizer import Authorizer
from play.deadline import eventually
from play.manifests import (ENVOY_API, ai_backend, ai_route, ai_rule, backend, client_policy, credentials, header,
                            local_provider, model, path, route, rule, secret, security_policy, target, thing, to, world)
from play.passwords import basic, htpasswd
from play.ports import free_port
from play.upstream import Answer

CHAT = "/v1/chat/completions"
JSON_TYPE = [("content-type", "application/json")]
EVENTS_TYPE = [("content-type", "text/event-stream")]
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


def chat(name="m", **more):
    return {"model": name, "messages": [{"role": "user", "content": "hello"}], **more}


def completion(request, _connection):
    """A model that answers as OpenAI does, streamed when asked to."""
    asked = json.loads(request.body)
    if not asked.get("stream"):
        answer = {"id": "c", "object": "chat.completion", "created": 1, "model": asked["model"], "usage": USAGE,
                  "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}]}
        return Answer(headers=JSON_TYPE, body=json.dumps(answer).encode())
    frames = [chunk({"role": "assistant", "content": ""}), chunk({"content": "hi"}), chunk({"content": " there"})]
    if asked.get("stream_options", {}).get("include_usage"):
        frames.append(frame({"id": "c", "object": "chat.completion.chunk", "choices": [], "usage": USAGE}))
    return Answer(headers=EVENTS_TYPE, chunks=[*frames, b"data: [DONE]\n\n"])


def frame(document):
    return f"data: {json.dumps(document)}\n\n".encode()


def chunk(delta):
    return frame({"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}]})


@pytest.fixture
def model_server(upstream):
    def start(name="m", script=completion):
        made = upstream(name)
        made.script = script
        return made
    return start


COSTS = [("llm_input_token", "InputToken"), ("llm_output_token", "OutputToken"), ("llm_total_token", "TotalToken")]


def one_model(up, *more, **spec):
    return world(backend("b", up), ai_backend("b", **spec),
                 ai_route("ai", ai_rule("b", matches=[model("m")]), costs=COSTS), *more)


# ---- routing by model ----

def test_the_model_in_the_body_chooses_the_route(gateway, model_server):
    one, two = model_server("one"), model_server("two")
    gw = gateway(world(backend("one", one), backend("two", two), ai_backend("one"), ai_backend("two"),
                       ai_route("ai", ai_rule("one", matches=[model("m-1")]), ai_rule("two", matches=[model("m-2")]))))
    assert gw.request(CHAT, json=chat("m-1")).status == 200
    assert gw.request(CHAT, json=chat("m-2")).status == 200
    assert (len(one.requests), len(two.requests)) == (1, 1)
    assert json.loads(two.last.body) == chat("m-2")
    assert two.last.get("x-ai-eg-model") == "m-2"


def test_a_client_cannot_name_the_model_in_a_header(gateway, model_server):
    one, two = model_server("one"), model_server("two")
    gw = gateway(world(backend("one", one), backend("two", two), ai_backend("one"), ai_backend("two"),
                       ai_route("ai", ai_rule("one", matches=[model("m-1")]), ai_rule("two", matches=[model("m-2")]))))
    assert gw.request(CHAT, json=chat("m-1"), headers=[("x-ai-eg-model", "m-2")]).status == 200
    assert (len(one.requests), len(two.requests)) == (1, 0)


@pytest.mark.parametrize("where, is_anthropic", [(CHAT, False), ("/v1/messages", True)])
def test_a_model_that_nobody_serves_is_404_in_the_shape_of_the_api(gateway, model_server, where, is_anthropic):
    gw = gateway(one_model(model_server()))
    reply = gw.request(where, json=chat("other", max_tokens=5))
    assert reply.status == 404
    if is_anthropic:
        assert reply.json["type"] == "error" and reply.json["error"]["type"] == "not_found_error"
    else:
        assert reply.code == "model_not_found"


def test_what_is_no_ai_endpoint_is_left_to_http_routes(gateway, model_server, upstream):
    plain = upstream("plain")
    gw = gateway(one_model(model_server(), backend("plain", plain), route("r", rule("plain", matches=[path("/")]))))
    assert gw.request("/v1/chat", json=chat()).json["upstream"] == "plain"
    assert gw.request(CHAT, json=chat()).json["object"] == "chat.completion"


def test_an_http_route_with_a_longer_path_takes_the_request_and_it_is_metered_all_the_same(gateway, model_server):
    own = model_server("own")
    gw = gateway(one_model(model_server(), backend("own", own), route("r", rule("own", matches=[path(CHAT)]))))
    assert gw.request(CHAT, json=chat()).status == 200
    assert len(own.requests) == 1
    record = gw.wait_log(lambda r: r.get("model") == "m")
    assert (record["tokens_in"], record["tokens_out"], record["tokens_total"]) == (7, 5, 12)


# ---- the body ----

BAD_BODIES = [
    ("not json", b"hello", "invalid_json"),
    ("no object", b"[1]", "invalid_type"),
    ("cut off", b'{"model":"m","messages":[', "invalid_json"),
    ("empty", b"", "invalid_json"),
    ("model missing", json.dumps({"messages": []}).encode(), "missing_required_parameter"),
    ("model of a wrong type", json.dumps({"model": 1, "messages": []}).encode(), "invalid_type"),
    ("messages missing", json.dumps({"model": "m"}).encode(), "missing_required_parameter"),
    ("messages of a wrong type", json.dumps({"model": "m", "messages": "x"}).encode(), "invalid_type"),
    ("model twice", b'{"model":"m","messages":[],"model":"m"}', "duplicate_parameter"),
    ("model with escapes", b'{"mod\\u0065l":"m","messages":[]}', "invalid_parameter_name"),
    ("too deep", b'{"model":"m","messages":' + b"[" * 100000 + b"]" * 100000 + b"}", "invalid_json"),
    ("not UTF-8", b'{"model":"m","messages":["\xff"]}', "invalid_json"),
    ("more behind it", b'{"model":"m","messages":[]} {}', "invalid_json"),
]


@pytest.mark.parametrize("body, code", [case[1:] for case in BAD_BODIES], ids=[case[0] for case in BAD_BODIES])
def test_a_bad_body_is_refused_with_its_reason(gateway, model_server, body, code):
    up = model_server()
    gw = gateway(one_model(up))
    reply = gw.request(CHAT, "POST", body=body, headers=JSON_TYPE)
    assert (reply.status, reply.code) == (400, code)
    assert reply.json["error"]["type"] == "invalid_request_error"
    assert not up.requests


def test_a_number_out_of_range_is_refused(gateway, model_server):
    reply = gateway(one_model(model_server())).request(CHAT, json=chat(max_tokens=-1))
    assert (reply.status, reply.code, reply.json["error"]["param"]) == (400, "invalid_value", "max_tokens")


def test_a_compressed_body_is_refused(gateway, model_server):
    gw = gateway(one_model(model_server()))
    reply = gw.request(CHAT, "POST", body=b"\x1f\x8b", headers=[*JSON_TYPE, ("content-encoding", "gzip")])
    assert (reply.status, reply.code) == (415, "unsupported_content_encoding")


def form(boundary="b", fields=(("model", "m"),)):
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in fields]
    file = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n\0\1RIFF\r\n'
    return (file + "".join(parts) + f"--{boundary}--\r\n").encode()


def test_a_form_names_its_model(gateway, model_server):
    def transcript(*_):
        return Answer(headers=JSON_TYPE, body=b'{"text":"hello","usage":{"input_tokens":9,"output_tokens":2,"total_tokens":11}}')
    up = model_server("m", transcript)
    gw = gateway(world(backend("b", up), ai_backend("b"), ai_route(
        "ai", ai_rule({"name": "b", "modelNameOverride": "own"}, matches=[model("m")]), costs=COSTS)))
    where, kind = "/v1/audio/transcriptions", [("content-type", "multipart/form-data; boundary=b")]
    assert gw.request(where, "POST", body=form(), headers=kind).status == 200
    assert up.last.body == form(fields=(("model", "own"),))
    assert gw.wait_log(lambda r: r.get("model") == "m")["tokens_total"] == 11
    for body, headers in ((form(), [("content-type", "multipart/form-data")]), (form()[:-6], kind), (form(fields=()), kind),
                          (form(fields=(("model", "m"), ("model", "m"))), kind)):
        reply = gw.request(where, "POST", body=body, headers=headers)
        assert (reply.status, reply.code) == (400, "invalid_form")


def test_the_refusal_names_the_field(gateway, model_server):
    gw = gateway(one_model(model_server()))
    assert gw.request(CHAT, json={"model": "m"}).json["error"]["param"] == "messages"
    assert gw.request("/v1/embeddings", json={"model": "m"}).json["error"]["param"] == "input"


@pytest.mark.parametrize("n_bytes", [33_000, 900_000, 3_000_000])
@pytest.mark.parametrize("is_model_first", [True, False])
def test_bodies_of_any_size_pass_whole(gateway, model_server, n_bytes, is_model_first):
    up = model_server()
    gw = gateway(one_model(up))
    messages = {"messages": [{"role": "user", "content": "x" * n_bytes}]}
    document = {"model": "m", **messages} if is_model_first else {**messages, "model": "m"}
    assert gw.request(CHAT, json=document).status == 200
    assert json.loads(up.last.body) == document


def test_a_long_body_streams_once_its_model_is_known_and_a_late_violation_ends_it(gateway, upstream):
    up = upstream()
    seen = threading.Event()
    up.on_head = lambda *_: seen.set()
    gw = gateway(one_model(up))
    begin = b'{"model":"m","messages":["' + b"x" * 1_500_000
    with gw.raw(b"POST %s HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n" % CHAT.encode()) as raw:
        raw.send(b"%x\r\n%s\r\n" % (len(begin), begin))
        assert seen.wait(10), "the backend should see the head before the body is complete"
        end = b'"],"model":"n"}'
        raw.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(end), end))
        reply = raw.reply()
    assert (reply.status, reply.code) == (400, "duplicate_parameter")
    assert not up.requests, "the backend must not get a complete request"


def test_the_bound_of_held_bodies_is_the_listeners(gateway, upstream):
    up = upstream()
    seen = threading.Event()
    up.on_head = lambda *_: seen.set()
    gw = gateway(one_model(up, client_policy("small", connection={"bufferLimit": "64Ki"})))
    with gw.raw(b"POST %s HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n" % CHAT.encode()) as raw:
        begin = b'{"model":"m","messages":["' + b"x" * 100_000
        raw.send(b"%x\r\n%s\r\n" % (len(begin), begin))
        assert seen.wait(10)


def test_expect_continue_is_answered_before_the_body(gateway, model_server):
    up = model_server()
    gw = gateway(one_model(up))
    body = json.dumps(chat()).encode()
    with gw.raw(b"POST %s HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
                % (CHAT.encode(), len(body))) as raw:
        assert raw.head()[0] == 100
        raw.send(body)
        assert raw.reply().status == 200


# ---- what the backend gets ----

def test_the_backend_gets_its_own_model_name_and_the_changes_asked_for(gateway, model_server):
    up = model_server()
    gw = gateway(world(
        backend("b", up),
        ai_backend("b", headerMutation={"set": [{"name": "x-service", "value": "s"}], "remove": ["x-drop"]},
                   bodyMutation={"set": [{"path": "service_tier", "value": "\"flex\""}], "remove": ["user"]}),
        ai_route("ai", ai_rule({"name": "b", "modelNameOverride": "own-name",
                                "bodyMutation": {"set": [{"path": "seed", "value": "7"}]}}, matches=[model("m")]))))
    assert gw.request(CHAT, json=chat(user="u", temperature=0.5), headers=[("x-drop", "1")]).status == 200
    assert json.loads(up.last.body) == {**chat("own-name"), "temperature": 0.5, "seed": 7, "service_tier": "flex"}
    assert (up.last.get("x-service"), up.last.get("x-drop")) == ("s", None)


@pytest.mark.parametrize("kind, field, name, value", [
    ("APIKey", "apiKey", "authorization", "Bearer the-key"),
    ("AnthropicAPIKey", "anthropicAPIKey", "x-api-key", "the-key"),
    ("AzureAPIKey", "azureAPIKey", "api-key", "the-key")])
def test_the_backend_gets_the_gateways_credential_and_never_the_clients(gateway, model_server, kind, field, name, value):
    up = model_server()
    gw = gateway(one_model(up, credentials("c", kind, field, "s", "b"), secret("s", apiKey="the-key\n")))
    assert gw.request(CHAT, json=chat(), token="of-the-client").status == 200
    assert up.last.all(name) == [value]
    assert "of-the-client" not in up.last.head.decode()
    assert "the-key" not in gw.get_admin("/config").body.decode()


def test_without_its_credential_a_backend_is_not_called(gateway, model_server):
    up = model_server()
    gw = gateway(one_model(up, credentials("c", "APIKey", "apiKey", "missing", "b")))
    assert gw.request(CHAT, json=chat()).status == 500
    assert not up.requests


def test_an_azure_backend_is_called_by_its_deployment(gateway, model_server):
    up = model_server()
    gw = gateway(one_model(up, schema={"name": "AzureOpenAI", "version": "2025-01-01-preview"}))
    assert gw.request(CHAT, json=chat()).status == 200
    assert up.last.target == "/openai/deployments/m/chat/completions?api-version=2025-01-01-preview"


def test_a_prefix_is_the_backends_own(gateway, model_server):
    up = model_server()
    gw = gateway(one_model(up, schema={"name": "OpenAI", "prefix": "/api/v3"}))
    assert gw.request(CHAT, json=chat()).status == 200
    assert up.last.target == "/api/v3/chat/completions"


# ---- other APIs ----

def test_what_another_api_cannot_say_is_refused_with_its_place(gateway, model_server):
    up = model_server()
    gw = gateway(one_model(up, schema="Anthropic"))
    reply = gw.request(CHAT, json=chat(n=2))
    assert (reply.status, reply.code, reply.json["error"]["param"]) == (400, "unsupported_parameter", "n")
    assert not up.requests


@pytest.mark.parametrize("schema, more", [
    ("AWSBedrock", ()), ("AWSAnthropic", ()), ("GCPVertexAI", ()), ("GCPAnthropic", ()),
    ("AWSBedrock", [credentials("aws", "AWSCredentials", "awsCredentials", "aws", "b")])])
def test_a_schema_that_is_not_spoken_is_501(gateway, model_server, schema, more):
    up = model_server()
    if more:
        more[0]["spec"]["awsCredentials"] = {"region": "us-east-1"}
    gw = gateway(one_model(up, *more, schema=schema))
    reply = gw.request(CHAT, json=chat())
    assert (reply.status, reply.code) == (501, "unsupported_endpoint")
    assert reply.json["error"]["message"] == "The backend's API schema is not supported yet."
    assert not up.requests and f"schema.name: {schema} is not spoken yet" in gw.stderr()


def test_only_the_share_of_an_inference_pool_is_refused(gateway, model_server):
    pool = {"name": "p", "group": "inference.networking.k8s.io", "kind": "InferencePool"}
    gw = gateway(world(backend("b", model_server()), ai_backend("b"), ai_route(
        "ai", ai_rule(pool, matches=[model("m")]), ai_rule("b", matches=[model("n")]),
        ai_rule(pool, {"name": "b", "priority": 1}, matches=[model("o")]))))
    reply = gw.request(CHAT, json=chat())
    assert (reply.status, reply.code) == (501, "unsupported_endpoint")
    assert reply.json["error"]["message"] == "The backend is of a kind that is not supported."
    assert [gw.request(CHAT, json=chat(name)).status for name in "no"] == [200, 200]
    assert gw.stderr().count("InferencePool is known to the API but not supported here") == 2


def message(request, _connection):
    asked = json.loads(request.body)
    usage = {"input_tokens": 5, "cache_read_input_tokens": 2, "output_tokens": 5}
    if not asked.get("stream"):
        return Answer(headers=JSON_TYPE, body=json.dumps({
            "id": "msg", "type": "message", "role": "assistant", "model": asked["model"], "stop_reason": "end_turn",
            "content": [{"type": "text", "text": "hi"}], "usage": usage}).encode())
    events = [
        {"type": "message_start", "message": {"id": "msg", "type": "message", "role": "assistant", "content": [],
                                              "model": asked["model"], "usage": {**usage, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"}]
    return Answer(headers=EVENTS_TYPE, chunks=[f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events])


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_is_answered_by_an_anthropic_backend(gateway, model_server, stream):
    up = model_server("m", message)
    gw = gateway(one_model(up, credentials("c", "AnthropicAPIKey", "anthropicAPIKey", "s", "b"), secret("s", apiKey="k"),
                           schema="Anthropic"))
    reply = gw.request(CHAT, json=chat(stream=stream))
    assert reply.status == 200
    assert up.last.target == "/v1/messages" and up.last.get("anthropic-version") and up.last.get("x-api-key") == "k"
    assert json.loads(up.last.body)["max_tokens"] > 0
    if stream:
        frames = [json.loads(f[6:]) for f in reply.body.decode().split("\n\n") if f.startswith("data: {")]
        assert "".join(c["delta"].get("content") or "" for f in frames for c in f["choices"]) == "hi"
        assert reply.body.rstrip().endswith(b"data: [DONE]") and b"usage" not in reply.body
    else:
        assert reply.json["choices"][0]["message"]["content"] == "hi"
        assert reply.json["usage"]["prompt_tokens"] == 7
    record = gw.wait_log(lambda r: r.get("model") == "m")
    assert (record["tokens_in"], record["tokens_cached"], record["tokens_out"]) == (7, 2, 5)
    assert record["tokens_source"] == "provider"


def test_an_error_of_another_api_arrives_in_the_clients_shape(gateway, model_server):
    def busy(*_):
        return Answer(status=529, headers=JSON_TYPE,
                      body=b'{"type":"error","error":{"type":"overloaded_error","message":"try later"}}')
    gw = gateway(one_model(model_server("m", busy), schema="Anthropic"))
    reply = gw.request(CHAT, json=chat())
    assert reply.status == 529 and reply.json["error"]["message"] == "try later"


# ---- priorities ----

def priorities(first, second):
    return world(backend("first", first), backend("second", second), ai_backend("first"), ai_backend("second"),
                 ai_route("ai", ai_rule({"name": "first", "priority": 0}, {"name": "second", "priority": 1},
                                        matches=[model("m")])))


def error_event(_request, _connection):
    return Answer(headers=EVENTS_TYPE, chunks=[chunk({"role": "assistant"}),
                                               frame({"error": {"message": "busy now", "type": "server_error"}})])


def broken_stream(_request, connection):
    connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    first = chunk({"role": "assistant"})
    connection.send(b"%x\r\n%s\r\n" % (len(first), first))
    connection.reset()


def broken_document(_request, connection):
    connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{\"id\":\"c-1\",")
    connection.reset()


FAILURES = {
    "503": lambda *_: Answer(status=503),
    "429": lambda *_: Answer(status=429),
    "an error event before content": error_event,
    "a stream cut before content": broken_stream,
    "a document that is an error": lambda *_: Answer(headers=JSON_TYPE, body=b'{"error":{"message":"busy now"}}'),
    "a document cut before content": broken_document,
    "a reset": lambda _request, connection: connection.reset(),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
@pytest.mark.parametrize("stream", [False, True])
def test_what_fails_before_content_is_tried_at_the_next_priority(gateway, model_server, failure, stream):
    first, second = model_server("first", failure), model_server("second")
    gw = gateway(priorities(first, second))
    reply = gw.request(CHAT, json=chat(stream=stream))
    assert reply.status == 200
    assert b"hi" in reply.body and b"busy now" not in reply.body
    assert (len(first.requests), len(second.requests)) == (1, 1)
    assert first.last.body == second.last.body


def test_a_priority_that_is_not_there_is_passed_over(gateway, model_server):
    second = model_server("second")
    gw = gateway(priorities(free_port(), second))
    assert gw.request(CHAT, json=chat()).status == 200
    assert len(second.requests) == 1


def test_an_answer_that_was_given_up_is_not_paid_where_nobody_takes_its_place(gateway, model_server):
    def overloaded(*_):
        return Answer(headers=EVENTS_TYPE, chunks=[frame({"error": {"message": "overloaded"}})])
    refs = [{"name": "first", "priority": 0}, {"name": "gone", "priority": 1}]
    gw = gateway(world(backend("first", model_server("first", overloaded)), ai_backend("first"),
                       ai_route("ai", ai_rule(*refs, matches=[model("m")]), costs=COSTS)))
    reply = gw.request(CHAT, json=chat(stream=True))
    record = gw.wait_log(lambda r: r.get("model") == "m")
    assert (reply.status, record["tokens_total"]) == (500, None)


def test_what_fails_after_content_is_not_tried_again(gateway, model_server):
    def broken(_request, connection):
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        first = chunk({"content": "some words"})
        connection.send(b"%x\r\n%s\r\n" % (len(first), first))
        connection.reset()
    first, second = model_server("first", broken), model_server("second")
    gw = gateway(priorities(first, second))
    with gw.raw(b"POST %s HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n%s" % (
            CHAT.encode(), len(json.dumps(chat(stream=True))), json.dumps(chat(stream=True)).encode())) as raw:
        text = raw.rest()
    assert b"some words" in text and not text.endswith(b"0\r\n\r\n"), "a cut stream must not look whole"
    assert not second.requests


def test_the_last_priority_s_error_is_the_answer(gateway, model_server):
    first, second = model_server("first", FAILURES["503"]), model_server("second", FAILURES["429"])
    gw = gateway(priorities(first, second))
    assert gw.request(CHAT, json=chat()).status == 429


# ---- usage ----

def test_usage_is_in_the_log_streamed_or_not(gateway, model_server):
    gw = gateway(one_model(model_server()))
    for stream in (False, True):
        assert gw.request(f"{CHAT}?stream={stream}", json=chat(stream=stream)).status == 200
    records = eventually(lambda: len(gw.log()) >= 2 and gw.log())
    assert [(r["tokens_in"], r["tokens_out"], r["tokens_total"]) for r in records] == [(7, 5, 12)] * 2


def test_usage_is_asked_for_and_taken_out_again(gateway, model_server):
    up = model_server()
    gw = gateway(one_model(up))
    reply = gw.request(CHAT, json=chat(stream=True))
    assert json.loads(up.last.body)["stream_options"] == {"include_usage": True}
    assert b"hi" in reply.body and b"[DONE]" in reply.body and b"usage" not in reply.body
    reply = gw.request(CHAT, json=chat(stream=True, stream_options={"include_usage": True}))
    assert b'"total_tokens": 12' in reply.body, "who asked for it gets it"


def test_usage_is_asked_for_where_a_route_is_paid_by_the_costs_of_another(gateway, model_server):
    up = model_server()
    gw = gateway(world(backend("b", up), ai_backend("b"), ai_route("paid", ai_rule("b", matches=[model("m")]), costs=COSTS),
                       ai_route("other", ai_rule("b", matches=[model("n")]))))
    reply = gw.request(CHAT, json=chat("n", stream=True))
    assert json.loads(up.last.body)["stream_options"] == {"include_usage": True}
    assert b"[DONE]" in reply.body and b"usage" not in reply.body
    record = gw.wait_log(lambda r: r["model"] == "n")
    assert (record["tokens_in"], record["tokens_out"], record["tokens_source"]) == (7, 5, "provider")


def test_a_client_that_leaves_has_used_what_passed(gateway, model_server):
    sent, leave = threading.Event(), threading.Event()

    def endless(_request, _connection):
        def chunks():
            for _ in range(40):
                yield chunk({"content": "four" * 4})
            sent.set()
            leave.wait(10)
            while True:
                yield chunk({"content": "x"})
        return Answer(headers=EVENTS_TYPE, chunks=chunks())
    gw = gateway(one_model(model_server("m", endless)))
    body = json.dumps(chat(stream=True)).encode()
    with gw.raw(b"POST %s HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n%s" % (CHAT.encode(), len(body), body)) as raw:
        assert sent.wait(10)
        for _ in range(40):
            raw.until(b"four" * 4)  # a whole frame's
    leave.set()
    record = gw.wait_log(lambda r: r.get("model") == "m")
    assert record["tokens_out"] >= 40 * 16 // 4 and record["tokens_in"] > 0
    assert record["tokens_source"] == "estimated"


@pytest.mark.parametrize("where, asked, reply, rows", [
    ("/v1/models/m:predict", {"instances": [[1], [2], [3]]}, {"predictions": [0, 1]}, (3, 2)),
    ("/v1/models/m:predict", {"inputs": [[1], [2], [3]]}, {"outputs": [[0], [1]]}, (3, 2)),
    ("/v2/models/m/infer", {"inputs": [{"name": "flag", "shape": [1]}, {"name": "i", "shape": [300, 2]}]},
     {"outputs": [{"name": "flag", "shape": []}, {"name": "o", "shape": [299]}]}, (300, 299))])
def test_kserve_predictions_are_counted_by_rows(gateway, model_server, where, asked, reply, rows):
    gw = gateway(one_model(model_server("m", lambda *_: Answer(headers=JSON_TYPE, body=json.dumps(reply).encode()))))
    assert gw.request(where, json=asked).status == 200
    record = gw.wait_log(lambda r: r.get("model") == "m")
    assert (record["tokens_in"], record["tokens_out"]) == rows


@pytest.mark.parametrize("name, own, element", [
    ("llama3:8b", "own", "own"), ("m", "org/own", "org%2Fown"), ("m", "llama3:8b", "llama3:8b"), ("m", "..", None)])
def test_a_model_in_a_path_is_replaced_where_it_was_read(gateway, model_server, name, own, element):
    up = model_server("m", lambda *_: Answer(headers=JSON_TYPE, body=b'{"predictions":[0]}'))
    gw = gateway(world(backend("b", up), ai_backend("b"),
                       ai_route("ai", ai_rule({"name": "b", "modelNameOverride": own}, matches=[model(name)]))))
    reply = gw.request(f"/v1/models/{name}:predict", json={"instances": [1]})
    if element:
        assert (reply.status, up.last.target) == (200, f"/v1/models/{element}:predict")
    else:
        assert reply.status == 500 and not up.requests


# ---- the list of models ----

def test_a_caller_sees_the_models_that_it_may_reach(gateway, model_server, issuer):
    who = issuer()
    refs = ai_rule("b", matches=[{"headers": [header("x-tenant", "tenant-a"), header("x-ai-eg-model", "a-model")]},
                                 {"headers": [header("x-ai-eg-model", "shared")]},
                                 {"headers": [header("x-ai-eg-model", "denied")]}], modelsOwnedBy="us")
    policy = security_policy(
        "jwt", target("HTTPRoute", "ai"),
        jwt={"providers": [local_provider(who, claimToHeaders=[{"claim": "tenant", "header": "x-tenant"}])]},
        authorization={"defaultAction": "Allow", "rules": [
            {"action": "Deny", "principal": {"jwt": {"provider": "provider", "claims": [
                {"name": "iss", "values": [who.name]}]},
                "headers": [{"name": "x-ai-eg-model", "values": ["denied"]}]}}]})
    gw = gateway(world(backend("b", model_server()), ai_backend("b"), ai_route("ai", refs), policy))
    lists = {tenant: gw.request("/v1/models", token=who.token(tenant)).json for tenant in ("tenant-a", "tenant-b")}
    assert [m["id"] for m in lists["tenant-a"]["data"]] == ["a-model", "shared"]
    assert [m["id"] for m in lists["tenant-b"]["data"]] == ["shared"]
    assert lists["tenant-b"]["object"] == "list" and lists["tenant-b"]["data"][0]["owned_by"] == "us"
    assert gw.request("/v1/models").status == 401


def tenants_only(who, name="x-tenant"):
    """Allows tenant-a, told by the header that its claim becomes."""
    return security_policy(
        "jwt", target("HTTPRoute", "ai"),
        jwt={"providers": [local_provider(who, claimToHeaders=[{"claim": "tenant", "header": name}])]},
        authorization={"defaultAction": "Deny", "rules": [{"action": "Allow", "principal": {
            "jwt": {"provider": "provider", "claims": [{"name": "iss", "values": [who.name]}]},
            "headers": [{"name": name, "values": ["tenant-a"]}]}}]})


def listed(gw, **asked):
    reply = gw.request("/v1/models", **asked)
    return sorted(m["id"] for m in reply.json["data"]) if reply.status == 200 else reply.status


def test_the_list_is_judged_by_claims_where_a_rule_took_it_too(gateway, model_server, issuer):
    who = issuer()
    gw = gateway(world(backend("b", model_server()), ai_backend("b"),
                       ai_route("ai", ai_rule("b", matches=[model("m")]), ai_rule("b")), tenants_only(who)))
    assert gw.request(CHAT, json=chat(), token=who.token("tenant-a")).status == 200
    assert listed(gw, token=who.token("tenant-a")) == ["m"]
    assert listed(gw, token=who.token("tenant-b")) == 403


def test_claims_of_the_rule_that_took_the_list_are_no_others(gateway, model_server, issuer):
    """x-tenant comes from the claim of one route's tokens; the other route, without a token, believes it."""
    who = issuer()
    believes = security_policy("believes", target("HTTPRoute", "other"), authorization={
        "defaultAction": "Deny", "rules": [{"action": "Allow", "principal": {
            "headers": [{"name": "x-tenant", "values": ["tenant-a"]}]}}]})
    gw = gateway(world(backend("b", model_server()), ai_backend("b"),
                       ai_route("ai", ai_rule("b", matches=[model("m")]), ai_rule("b")), tenants_only(who),
                       ai_route("other", ai_rule("b", matches=[model("n")])), believes))
    assert gw.request(CHAT, json=chat("n"), token=who.token("tenant-a")).status == 403
    assert listed(gw, token=who.token("tenant-a")) == ["m"]


KEYED = {"credentialRefs": [{"name": "keys"}], "extractFrom": [{"headers": ["x-api-key"]}, {"params": ["key"]}],
         "forwardClientIDHeader": "x-client"}


def test_models_behind_an_api_key_are_listed_to_whom_has_it(gateway, model_server):
    named = {"defaultAction": "Deny", "rules": [{"action": "Allow", "principal": {
        "headers": [{"name": "x-client", "values": ["alice"]}, {"name": "x-ai-eg-model", "values": ["m"]}]}}]}
    gw = gateway(world(
        backend("b", model_server()), ai_backend("b"), secret("keys", alice="sesame", bob="open"),
        ai_route("ai", ai_rule("b", matches=[model("m"), model("denied")])), ai_route("free", ai_rule("b", matches=[model("n")])),
        security_policy("k", target("HTTPRoute", "ai"), apiKeyAuth=KEYED, authorization=named)))
    for key, models in ((None, ["n"]), ("wrong", ["n"]), ("open", ["n"]), ("sesame", ["m", "n"])):
        headers = [("x-api-key", key)] if key else []
        assert listed(gw, headers=headers) == models, key
        chats = [gw.request(CHAT, json=chat(name), headers=headers).status for name in ("m", "denied", "n")]
        assert [status == 200 for status in chats] == [name in models for name in ("m", "denied", "n")]
    assert gw.request("/v1/models?key=sesame").json["data"][0]["id"] == "m"
    assert listed(gw, headers=[("x-api-key", "sesame"), ("x-client", "alice")]) == ["m", "n"]
    assert listed(gw, headers=[("x-api-key", "open"), ("x-client", "alice")]) == ["n"]


@pytest.mark.parametrize("scheme, at_once", [("bcrypt", False), ("sha1", True)])
def test_models_behind_a_password_are_listed_once_it_is_known_to_be_right(gateway, model_server, scheme, at_once):
    gw = gateway(one_model(model_server(), htpasswd(scheme=scheme, alice="secret"), thing(
        ENVOY_API, "BackendSecurityPolicy", "g", {"targetRefs": [target("Backend", "b")],
                                                  "basicAuth": {"users": {"name": "users"}}})),
                 args=["--workers", "1"])
    right, wrong = ([("authorization", basic("alice", word))] for word in ("secret", "guess"))
    assert listed(gw) == listed(gw, headers=wrong) == []
    assert listed(gw, headers=right) == (["m"] if at_once else [])
    assert gw.request(CHAT, json=chat(), headers=right).status == 200
    assert listed(gw, headers=right) == ["m"]
    assert listed(gw, headers=wrong) == []


@pytest.mark.parametrize("told", [[], ["x-ai-eg-model"]])
def test_models_behind_an_authorizer_are_listed_where_the_list_passes_it_too(gateway, model_server, upstream, told):
    authz = upstream("authz")
    authz.script = lambda request, _: Answer(status=200 if request.get("authorization") else 403)
    asks = {"http": {"backendRefs": [to("authz")], "path": "/check"}, "headersToExtAuth": told}
    objects = [backend("b", model_server()), ai_backend("b"), backend("authz", authz),
               ai_route("ai", ai_rule("b", matches=[model("m")])),
               security_policy("x", target("HTTPRoute", "ai"), target("HTTPRoute", "all"), extAuth=asks)]
    gw = gateway(world(*objects))
    assert listed(gw, headers=[("authorization", "yes")]) == []
    gw = gateway(world(*objects, ai_route("all", ai_rule("b"))))
    assert listed(gw, headers=[("authorization", "yes")]) == ([] if told else ["m"])
    assert listed(gw) == 403


def listed_by_grpc(gateway, model_server, authorizer, one, other):
    """What is listed where `one` guards the models and `other` the rule that takes the list."""
    return listed(gateway(world(
        backend("authorizer", authorizer), backend("b", model_server()), ai_backend("b"),
        ai_route("ai", ai_rule("b", matches=[model("m")])), ai_route("all", ai_rule("b")),
        security_policy("one", target("HTTPRoute", "ai"), extAuth={"grpc": {"backendRefs": [to("authorizer")]}, **one}),
        security_policy("other", target("HTTPRoute", "all"), extAuth={"grpc": {"backendRefs": [to("authorizer")]}, **other}))))


@pytest.fixture
def authorizer():
    made = Authorizer()
    yield made
    made.stop()


def test_what_an_authorizer_by_grpc_said_of_the_list_is_no_word_on_a_model(gateway, model_server, authorizer):
    """It is told all headers, the model's too, unless some are named."""
    for names, models in ([], []), (["x-ai-eg-model"], []), (["x-a"], ["m"]):
        spec = {"headersToExtAuth": names} if names else {}
        assert listed_by_grpc(gateway, model_server, authorizer, spec, spec) == models, names
        assert authorizer.questions


def test_an_authorizer_by_grpc_that_is_asked_in_another_context_has_said_nothing(gateway, model_server, authorizer):
    def asked(*contexts):
        return {"headersToExtAuth": ["x-a"], "contextExtensions": [{"name": n, "value": v} for n, v in contexts]}
    gold = ("realm", "gold")
    for other, models in (asked(gold), ["m"]), (asked(("realm", "open")), []), (asked(("real", "gold")), []), (asked(), []):
        assert listed_by_grpc(gateway, model_server, authorizer, asked(gold), other) == models, other


def test_a_list_is_no_faster_way_to_guess_a_password(gateway, model_server):
    gw = gateway(one_model(model_server(), htpasswd(scheme="sha1", alice="secret"), security_policy(
        "p", target("HTTPRoute", "ai"), basicAuth={"users": {"name": "users"}})), args=["--workers", "1"])
    ask = "GET /v1/models HTTP/1.1\r\nHost: a.test\r\nAuthorization: {}\r\n\r\n"
    guess, right = (ask.format(basic("alice", word)).encode() for word in ("guess", "secret"))

    def all_at_once():
        """More failures than an address may have in a second, within one."""
        with gw.raw(guess * 101 + right) as raw:
            replies = [raw.reply() for _ in range(102)]
        return replies[-1].json["data"] == []
    eventually(all_at_once, 10, "the right password is not judged either")
