"""Usage in the record, of every endpoint and in the shapes that providers answer in."""
import gzip
import json
import struct
import zlib

import pytest

from play.manifests import ai_backend, ai_route, ai_rule, backend, model, world
from play.upstream import Answer

JSON_TYPE = [("content-type", "application/json")]
EVENTS_TYPE = [("content-type", "text/event-stream")]
COSTS = [("llm_total_token", "TotalToken")]
CHAT = "/v1/chat/completions"


def one_model(up, *more, match="m", schema="OpenAI", **ref):
    return world(backend("b", up), ai_backend("b", schema=schema),
                 ai_route("ai", ai_rule({"name": "b", **ref}, matches=[model(match)]), costs=COSTS), *more)


def schema_of(where):
    return "Anthropic" if where.endswith("/messages") else "OpenAI"


def answer(document, headers=JSON_TYPE):
    return Answer(headers=headers, body=document if isinstance(document, bytes) else json.dumps(document).encode())


def events(*documents, named=False, done=True):
    frames = [(f"event: {d['type']}\n" if named else "") + f"data: {json.dumps(d)}\n\n" for d in documents]
    return Answer(headers=EVENTS_TYPE, chunks=[f.encode() for f in frames] + ([b"data: [DONE]\n\n"] if done else []))


def openai_usage(n_in, n_out, **more):
    return {"usage": {"prompt_tokens": n_in, "completion_tokens": n_out, "total_tokens": n_in + n_out, **more}}


def response_usage(n_in, n_out, cached=0, reasoning=0):
    return {"usage": {"input_tokens": n_in, "input_tokens_details": {"cached_tokens": cached}, "output_tokens": n_out,
                      "output_tokens_details": {"reasoning_tokens": reasoning}, "total_tokens": n_in + n_out}}


RESPONSE = {"id": "resp_1", "object": "response", "created_at": 1741476777, "status": "completed", "error": None,
            "model": "m-served", "output": [{"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
                                             "content": [{"type": "output_text", "text": "Hi there!", "annotations": []}]}]}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m-served",
           "content": [{"type": "text", "text": "Hello!"}], "stop_reason": "end_turn", "stop_sequence": None,
           "usage": {"input_tokens": 10, "cache_creation_input_tokens": 100, "cache_read_input_tokens": 1000, "output_tokens": 25}}
MESSAGE_EVENTS = [
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None, "usage": {
        "input_tokens": 10, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 15}},
    {"type": "message_stop"}]
RESPONSE_EVENTS = [
    {"type": "response.created", "sequence_number": 0, "response": {**RESPONSE, "status": "in_progress", "output": [], "usage": None}},
    {"type": "response.output_text.delta", "sequence_number": 1, "item_id": "msg_1", "output_index": 0, "content_index": 0,
     "delta": "Hi there!"},
    {"type": "response.output_text.done", "sequence_number": 2, "item_id": "msg_1", "output_index": 0, "content_index": 0,
     "text": "Hi there!"},
    {"type": "response.completed", "sequence_number": 3, "response": {**RESPONSE, **response_usage(36, 87, 3, 64)}}]

ASK_CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
ASK_MESSAGES = {**ASK_CHAT, "max_tokens": 100}
ASK_SPEECH = {"model": "m", "input": "The quick brown fox", "voice": "alloy"}
ASK_RERANK = {"model": "m", "query": "q", "documents": ["a", "b"]}
SPEECH_TOKENS = -(-len(json.dumps(ASK_SPEECH)) // 4)
RERANK_TOKENS = -(-len(json.dumps(ASK_RERANK)) // 4)

# endpoint, request, answer, (in, cached, out, reasoning, total), source
SHAPES = {
    "chat": (CHAT, ASK_CHAT, answer({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m-served", "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "hi", "refusal": None, "annotations": []},
             "logprobs": None, "finish_reason": "stop"}],
        **openai_usage(19, 10, prompt_tokens_details={"cached_tokens": 8, "audio_tokens": 0},
                       completion_tokens_details={"reasoning_tokens": 4, "audio_tokens": 0})}), (19, 8, 10, 4, 29), "provider"),
    "completions": ("/v1/completions", {"model": "m", "prompt": "Say"}, answer({
        "id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m-served", "choices": [
            {"text": "\n\nThis", "index": 0, "logprobs": None, "finish_reason": "length"}], **openai_usage(5, 7)}),
        (5, None, 7, None, 12), "provider"),
    "embeddings": ("/v1/embeddings", {"model": "m", "input": "text"}, answer({
        "object": "list", "data": [{"object": "embedding", "embedding": [0.0023, -0.0093], "index": 0}], "model": "m-served",
        "usage": {"prompt_tokens": 8, "total_tokens": 8}}), (8, None, 0, None, 8), "provider"),
    "responses": ("/v1/responses", {"model": "m", "input": "text"}, answer({**RESPONSE, **response_usage(36, 87, 3, 64)}),
                  (36, 3, 87, 64, 123), "provider"),
    "responses stream": ("/v1/responses", {"model": "m", "input": "text", "stream": True},
                         events(*RESPONSE_EVENTS, named=True, done=False), (36, 3, 87, 64, 123), "provider"),
    "images": ("/v1/images/generations", {"model": "m", "prompt": "a cat"}, answer({
        "created": 1713833628, "data": [{"b64_json": "iVBORw0KGgo" * 2000}],
        "usage": {"total_tokens": 100, "input_tokens": 50, "output_tokens": 50,
                  "input_tokens_details": {"text_tokens": 10, "image_tokens": 40}}}), (50, None, 50, None, 100), "provider"),
    "speech": ("/v1/audio/speech", ASK_SPEECH, answer(b"ID3" + bytes(range(256)) * 100, [("content-type", "audio/mpeg")]),
               (SPEECH_TOKENS, None, 0, None, SPEECH_TOKENS), "estimated"),
    "speech stream": ("/v1/audio/speech", {**ASK_SPEECH, "stream_format": "sse"}, events(
        {"type": "speech.audio.delta", "audio": "SUQz" * 500}, {"type": "speech.audio.delta", "audio": "BAAA"},
        {"type": "speech.audio.done", "usage": {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}}, done=False),
        (14, None, 101, None, 115), "provider"),
    "rerank": ("/v1/rerank", ASK_RERANK, answer({
        "model": "m-served", "results": [{"index": 0, "relevance_score": 0.9}], "usage": {"total_tokens": 15}}),
        (15, None, 0, None, 15), "provider"),
    "cohere rerank": ("/cohere/v2/rerank", ASK_RERANK, answer({
        "id": "1", "results": [{"index": 0, "relevance_score": 0.9}],
        "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}}),
        (RERANK_TOKENS, None, 0, None, RERANK_TOKENS), "estimated"),
    "cohere rerank with tokens": ("/cohere/v2/rerank", ASK_RERANK, answer({
        "id": "1", "results": [], "meta": {"billed_units": {"search_units": 1}, "tokens": {"input_tokens": 17, "output_tokens": 3}}}),
        (17, None, 3, None, 20), "provider"),
    "messages": ("/v1/messages", ASK_MESSAGES, answer(MESSAGE), (1110, 1000, 25, None, 1135), "provider"),
    "anthropic messages": ("/anthropic/v1/messages", ASK_MESSAGES, answer(MESSAGE), (1110, 1000, 25, None, 1135), "provider"),
    "messages stream": ("/v1/messages", {**ASK_MESSAGES, "stream": True}, events(*MESSAGE_EVENTS, named=True, done=False),
                        (10, 0, 15, None, 25), "provider"),
    "KServe V1": ("/v1/models/m:predict", {"instances": [[1, 2], [3, 4], [5, 6]]}, answer({"predictions": [0, 1, 2]}),
                  (3, None, 3, None, 6), "provider"),
    "KServe V1, columns": ("/v1/models/m:predict", {"inputs": {"a": [1, 2, 3], "b": [[4, 0], [5, 0], [6, 0]]}},
                           answer({"outputs": {"class": [0, 1, 2], "score": [0.5, 0.5, 0.25]}}), (3, None, 3, None, 6), "provider"),
    "KServe V1, one column": ("/v1/models/m:predict", {"inputs": [[1, 2], [3, 4]]}, answer({"outputs": [0, 1]}),
                              (2, None, 2, None, 4), "provider"),
    "KServe V1, a scalar": ("/v1/models/m:predict", {"inputs": 7}, answer({"outputs": [0]}), (1, None, 1, None, 2), "provider"),
    "KServe V1 explain": ("/v1/models/m:explain", {"instances": [[1, 2]]}, answer({"explanations": [{"a": 1}]}),
                          (1, None, 1, None, 2), "provider"),
    "KServe V2": ("/v2/models/m/infer", {"inputs": [{"name": "x", "shape": [4, 3], "datatype": "FP32", "data": [0] * 12}]},
                  answer({"model_name": "m-served", "outputs": [
                      {"name": "y", "shape": [4, 1], "datatype": "INT64", "data": [0, 1, 2, 0]}]}), (4, None, 4, None, 8), "provider"),
    "KServe V2 of a version": ("/v2/models/m/versions/2/infer", {"inputs": [
        {"name": "x", "shape": [2], "datatype": "FP32", "data": [0, 1]}]}, answer({"model_name": "m-served", "outputs": [
            {"name": "y", "shape": [2], "datatype": "INT64", "data": [0, 1]}]}), (2, None, 2, None, 4), "provider"),
    "KServe generate": ("/v2/models/m/generate", {"text_input": "hello", "parameters": {"max_tokens": 5}},
                        answer({"model_name": "m-served", "text_output": "hello there all"}), None, "estimated"),
    "KServe generate_stream": ("/v2/models/m/generate_stream", {"text_input": "hello"}, events(
        {"model_name": "m-served", "text_output": "hello"}, {"model_name": "m-served", "text_output": " you"}, done=False),
        None, "estimated"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_usage_is_read_in_the_shape_of_the_endpoint(gateway, upstream, name):
    where, asked, reply, usage, source = SHAPES[name]
    up = upstream()
    up.script = lambda *_: reply
    gw = gateway(one_model(up, schema=schema_of(where)))
    got = gw.request(where, json=asked)
    assert got.status == 200 and got.body == (reply.body or b"".join(reply.chunks)), "what passes is not touched"
    assert json.loads(up.last.body) == asked
    record = gw.wait_log(lambda r: r["model"] == "m")
    assert record["tokens_source"] == source
    counts = tuple(record[f"tokens_{what}"] for what in ("in", "cached", "out", "reasoning", "total"))
    if usage is None:
        assert counts[0] > 0 and counts[2] > 0 and counts[4] == counts[0] + counts[2]
    else:
        assert counts == usage
    assert record["model_served"] == ("m-served" if b"m-served" in got.body else None)
    assert gw.metric("ai_model_tokens_processed", model="m") == counts[0]
    assert gw.metric("ai_model_tokens_generated", model="m") == counts[2]


@pytest.mark.parametrize("schema, where, asked, reply, usage", [
    ("OpenAI", "/v1/messages", ASK_MESSAGES, SHAPES["chat"][2], (19, 8, 10, 4, 29)),
    ("Anthropic", CHAT, ASK_CHAT, SHAPES["messages"][2], (1110, 1000, 25, None, 1135)),
    ("Anthropic", CHAT, {**ASK_CHAT, "stream": True}, SHAPES["messages stream"][2], (10, 0, 15, None, 25))])
def test_usage_of_a_translated_answer_is_the_providers(gateway, upstream, schema, where, asked, reply, usage):
    up = upstream()
    up.script = lambda *_: reply
    gw = gateway(one_model(up, schema=schema))
    assert gw.request(where, json=asked).status == 200
    record = gw.wait_log(lambda r: r["model"] == "m")
    assert tuple(record[f"tokens_{what}"] for what in ("in", "cached", "out", "reasoning", "total")) == usage
    assert (record["tokens_source"], record["model_served"]) == ("provider", "m-served")


@pytest.mark.parametrize("where, asked, status, code", [
    ("/v1/embeddings", {"model": "m", "input": "x"}, 501, "unsupported_endpoint"),
    (CHAT, {**ASK_CHAT, "n": 2}, 400, "unsupported_parameter")])
def test_what_the_providers_api_cannot_say_is_refused_before_it_is_asked(gateway, upstream, where, asked, status, code):
    up = upstream()
    gw = gateway(one_model(up, schema="Anthropic"))
    reply = gw.request(where, json=asked)
    assert (reply.status, reply.code) == (status, code)
    record = gw.wait_log(lambda r: r["model"] == "m")
    assert (record["response_code"], record["response_code_details"], record["tokens_total"]) == (status, code, None)
    assert not up.requests


@pytest.mark.parametrize("name", ["chat", "responses stream", "messages", "KServe V2"])
def test_a_compressed_answer_is_read_and_passed_as_it_is(gateway, upstream, name):
    where, asked, reply, usage, source = SHAPES[name]
    packed = gzip.compress(reply.body or b"".join(reply.chunks))
    up = upstream()
    up.script = lambda *_: Answer(headers=[*reply.headers, ("content-encoding", "gzip")], body=packed)
    gw = gateway(one_model(up, schema=schema_of(where)))
    got = gw.request(where, json=asked, headers=[("accept-encoding", "gzip")])
    assert (got.status, got.get("content-encoding"), got.body) == (200, "gzip", packed)
    record = gw.wait_log(lambda r: r["model"] == "m")
    assert tuple(record[f"tokens_{what}"] for what in ("in", "cached", "out", "reasoning", "total")) == usage
    assert record["tokens_source"] == source


@pytest.mark.parametrize("text, least", [("word " * 40_000, 50_000), ("", 0)], ids=["much was read", "nothing was"])
def test_an_answer_whose_compression_breaks_costs_what_was_read_or_came(gateway, upstream, text, least):
    """Text compresses far below its own size: what the client could read of it is not free."""
    garbage = bytes(range(256)) * 40
    packer = zlib.compressobj(wbits=31)
    packed = b""
    if text:
        packed = packer.compress(json.dumps({"choices": [{"message": {"content": text}}]}).encode()[:-4])
        packed += packer.flush(zlib.Z_FULL_FLUSH)
    up = upstream()
    up.script = lambda *_: Answer(headers=[("content-type", "application/json"), ("content-encoding", "gzip")],
                                  body=packed + garbage)
    gw = gateway(one_model(up))
    assert gw.request("/v1/chat/completions", json={"model": "m", "messages": []},
                      headers=[("accept-encoding", "gzip")]).body == packed + garbage
    record = gw.wait_log(lambda r: r["model"] == "m")
    assert record["tokens_source"] == "estimated"
    assert record["tokens_out"] >= max(least, len(packed + garbage) // 4)


# ---- forms ----

BOUNDARY = "----play"


def form(*parts, end="--"):
    """Parts: (name, value) or (name, value, file name)."""
    body = b""
    for name, value, *file in parts:
        named = f'; filename="{file[0]}"' if file else ""
        body += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'.encode() + value + b"\r\n"
    return body + f"--{BOUNDARY}{end}\r\n".encode()


FORM_TYPE = [("content-type", f"multipart/form-data; boundary={BOUNDARY}")]
AUDIO = bytes(range(256)) * 40
TRANSCRIPT = answer({"text": "hello world", "usage": {
    "type": "tokens", "input_tokens": 14, "input_token_details": {"text_tokens": 10, "audio_tokens": 4},
    "output_tokens": 45, "total_tokens": 59}})


@pytest.mark.parametrize("where", ["/v1/audio/transcriptions", "/v1/audio/translations"])
@pytest.mark.parametrize("is_model_first", [True, False])
def test_a_form_is_routed_by_its_model_and_metered(gateway, upstream, where, is_model_first):
    up, other = upstream("a"), upstream("other")
    up.script = lambda *_: TRANSCRIPT
    gw = gateway(world(backend("a", up), backend("other", other), ai_backend("a"), ai_backend("other"),
                       ai_route("ai", ai_rule("a", matches=[model("whisper")]), ai_rule("other", matches=[model("else")]), costs=COSTS)))
    parts = [("file", AUDIO, "a.wav"), ("model", b"whisper")]
    body = form(*(reversed(parts) if is_model_first else parts))
    assert gw.request(where, body=body, headers=FORM_TYPE).body == TRANSCRIPT.body
    assert up.last.body == body and not other.requests
    record = gw.wait_log(lambda r: r["model"] == "whisper")
    assert (record["tokens_in"], record["tokens_out"], record["tokens_source"]) == (14, 45, "provider")
    assert gw.request(where, body=form(("model", b"nobody's")), headers=FORM_TYPE).status == 404


def test_a_recording_is_no_text_where_the_provider_counts_nothing(gateway, upstream):
    """A second of audio has about ten tokens, not four thousand."""
    up = upstream()
    up.script = lambda *_: answer({"text": "hello world, it is me", "usage": {"type": "duration", "seconds": 63}})
    gw = gateway(one_model(up))
    assert gw.request("/v1/audio/transcriptions", body=form(("file", bytes(1_000_000), "a.mp3"), ("model", b"m")),
                      headers=FORM_TYPE).status == 200
    record = gw.wait_log(lambda r: r["model"] == "m")
    assert (record["tokens_source"], record["tokens_in"]) == ("estimated", 1_000_000 // 1600)
    assert 5 <= record["tokens_out"] <= 7


@pytest.mark.parametrize("n_bytes", [10_000, 3_000_000])
def test_the_backends_own_model_name_stands_in_the_form(gateway, upstream, n_bytes):
    up = upstream()
    up.script = lambda *_: TRANSCRIPT
    gw = gateway(one_model(up, modelNameOverride="whisper-large"))
    parts = [("file", b"\x00\xff" * (n_bytes // 2), "a.wav"), ("model", b"m"), ("language", b"en")]
    assert gw.request("/v1/audio/transcriptions", body=form(*parts), headers=FORM_TYPE).status == 200
    assert up.last.body == form(parts[0], ("model", b"whisper-large"), parts[2])
    assert int(up.last.get("content-length")) == len(up.last.body)


# ---- KServe ----

def test_tensors_may_follow_the_json_as_bytes(gateway, upstream):
    """The Open Inference Protocol's binary tensor data, both ways."""
    ask = json.dumps({"inputs": [{"name": "x", "shape": [3, 2], "datatype": "FP32", "parameters": {"binary_data_size": 24}}]}).encode()
    say = json.dumps({"model_name": "m-served", "outputs": [
        {"name": "y", "shape": [3], "datatype": "FP32", "parameters": {"binary_data_size": 12}}]}).encode()
    tensor = struct.pack("<6f", *range(6))
    up = upstream()
    up.script = lambda *_: Answer(headers=[("content-type", "application/octet-stream"),
                                           ("inference-header-content-length", str(len(say)))], body=say + tensor[:12])
    gw = gateway(one_model(up))
    reply = gw.request("/v2/models/m/infer", body=ask + tensor, headers=[
        ("content-type", "application/octet-stream"), ("inference-header-content-length", str(len(ask)))])
    assert reply.status == 200 and reply.body == say + tensor[:12]
    assert up.last.body == ask + tensor and up.last.get("inference-header-content-length") == str(len(ask))
    record = gw.wait_log(lambda r: r["model"] == "m")
    assert (record["tokens_in"], record["tokens_out"]) == (3, 3)


@pytest.mark.parametrize("length", ["x", "-1", "9999", "3"])
def test_a_length_of_the_json_that_is_wrong_is_refused(gateway, upstream, length):
    up = upstream()
    gw = gateway(one_model(up))
    ask = json.dumps({"inputs": [{"name": "x", "shape": [3, 2], "datatype": "FP32"}]}).encode()
    reply = gw.request("/v2/models/m/infer", body=ask, headers=[("inference-header-content-length", length)])
    assert reply.status == 400 and not up.requests


def test_elsewhere_such_a_length_means_nothing(gateway, upstream):
    up = upstream()
    gw = gateway(one_model(up))
    ask = json.dumps(ASK_CHAT).encode()
    length = [("inference-header-content-length", str(len(ask)))]
    assert gw.request(CHAT, body=ask + ask, headers=length).code == "invalid_json"
    assert gw.request(CHAT, body=ask, headers=length).status == 200 and len(up.requests) == 1


@pytest.mark.parametrize("where", ["/v1/models/m", "/v2/models/m", "/v2/models/m/ready", "/v2/models/m/versions/3/ready"])
def test_questions_about_a_model_pass_and_cost_nothing(gateway, upstream, where):
    up = upstream()
    gw = gateway(one_model(up))
    assert gw.request(where).status == 200
    assert up.last.target == where
    record = gw.wait_log(lambda r: r["model"] == "m")
    assert (record["tokens_total"], record["tokens_source"]) == (None, None)


def test_a_model_in_a_kserve_path_gets_the_backends_own_name(gateway, upstream):
    up = upstream()
    gw = gateway(one_model(up, modelNameOverride="m-2"))
    assert gw.request("/v2/models/m/versions/3/infer", json={"inputs": [
        {"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}).status == 200
    assert up.last.target == "/v2/models/m-2/versions/3/infer"
