"""Bad input to the AI endpoints, from clients and from providers: each has a stable answer, memory stays
bounded, and nothing that a model worked on is free because of it."""
import gzip
import json
import threading
import zlib

import pytest

from play.deadline import eventually
from play.manifests import (ENVOY_API, ai_backend, ai_route, ai_rule, backend, model, target, thing, world)
from play.memory import anonymous_kib, is_sanitized
from play.threads import Threads
from play.upstream import Answer

CHAT = "/v1/chat/completions"
JSON_TYPE = [("content-type", "application/json")]
EVENTS_TYPE = [("content-type", "text/event-stream")]
MIB = 1024 * 1024
BUDGET = 1_000_000_000


def budget(limit=BUDGET):
    cost = {"request": {"from": "Number", "number": 0},
            "response": {"from": "Metadata", "metadata": {"namespace": "io.envoy.ai_gateway", "key": "cost"}}}
    return thing(ENVOY_API, "BackendTrafficPolicy", "budget", {
        "targetRefs": [target("Gateway", "front")],
        "rateLimit": {"global": {"rules": [{"limit": {"requests": limit, "unit": "Year"}, "shared": True, "cost": cost}]}}})


def one_model(up, cost=None, limit=BUDGET, **spec):
    route = ai_route("ai", ai_rule("b", matches=[model("m")]))
    route["spec"]["llmRequestCosts"] = [{"metadataKey": "cost", **(cost or {"type": "TotalToken"})}]
    return world(backend("b", up), ai_backend("b", **spec), route, budget(limit))


def chat(**more):
    return {"model": "m", "messages": [{"role": "user", "content": "hello"}], **more}


def remaining(gw):
    """What is left of the budget, asked with a request that never reaches a model's answer."""
    body = json.dumps(chat(max_tokens=1)).encode()
    reply = gw.request(CHAT, body=body, headers=[*JSON_TYPE, ("x-probe", "1")])
    return int(reply.get("x-ratelimit-remaining")) + len(body) // 4 + 1


# ---- requests ----

NUMBERS = [("1e400", "invalid_value"), ("-1", "invalid_value"), ("1.5", "invalid_value"), ("99999999999999999999", "invalid_value"),
           ("2147483648", "invalid_value"), ("\"5\"", "invalid_type"), ("true", "invalid_type"), ("+1", "invalid_json"),
           ("NaN", "invalid_json"), ("{}", "invalid_type")]


@pytest.mark.parametrize("number, code", NUMBERS)
@pytest.mark.parametrize("where, field", [(CHAT, "max_tokens"), (CHAT, "max_completion_tokens"), (CHAT, "n"), ("/v1/completions", "max_tokens"),
                                          ("/v1/responses", "max_output_tokens"), ("/v1/messages", "max_tokens")])
def test_numbers_out_of_range_are_refused(bad_requests, number, code, where, field):
    gw, up = bad_requests
    body = b'{"model":"m","messages":[],"prompt":"x","input":"x","%s":%s}' % (field.encode(), number.encode())
    if where == "/v1/responses":
        body = body.replace(b'"prompt":"x",', b"")
    reply = gw.request(where, body=body, headers=JSON_TYPE)
    assert reply.status == 400
    if where == "/v1/messages":
        assert reply.json["type"] == "error" and reply.json["error"]["type"] == "invalid_request_error"
    else:
        assert (reply.code, reply.json["error"]["type"]) == (code, "invalid_request_error")
    assert not up.requests


@pytest.mark.parametrize("where", ["/v1/messages", "/v1/embeddings", "/v1/rerank", "/v1/models/m:predict", "/v2/models/m/infer"])
@pytest.mark.parametrize("body", [b"", b"no", b"[]", b'{"a":"\xff"}', b'{"a":' + b"[" * 100_000, b'{"a":1}' * 2, b"\x00" * 10, b'"model"'],
                         ids=["empty", "no json", "array", "no UTF-8", "depth", "twice", "zeros", "text"])
def test_what_is_no_json_object_is_refused_at_every_endpoint(bad_requests, where, body):
    gw, up = bad_requests
    reply = gw.request(where, "POST", body=body, headers=JSON_TYPE)
    assert reply.status == 400 and reply.json
    assert not up.requests


FORM_TYPE = "multipart/form-data; boundary=b"
FORM = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--b--\r\n'


@pytest.mark.parametrize("kind, body", [
    ("multipart/form-data", FORM), ("multipart/form-data; boundary=", FORM), ("application/json", FORM), ("", FORM),
    (FORM_TYPE, b""), (FORM_TYPE, FORM.replace(b"--b--", b"")), (FORM_TYPE, FORM.replace(b'name="model"', b'name="other"')),
    (FORM_TYPE, FORM.replace(b"--b--\r\n", FORM)), (FORM_TYPE, b"--b\r\nX: " + b"x" * 10_000 + b"\r\n\r\n\r\n--b--\r\n"),
    (FORM_TYPE, FORM.replace(b"\r\nm\r\n", b"\r\n" + b"m" * 600 + b"\r\n")), (FORM_TYPE, json.dumps(chat()).encode())],
    ids=["no boundary", "empty boundary", "json type", "no type", "empty", "no end", "no model", "model twice", "long head", "long model", "json"])
def test_a_bad_form_is_refused(bad_requests, kind, body):
    gw, up = bad_requests
    reply = gw.request("/v1/audio/transcriptions", body=body, headers=[("content-type", kind)] if kind else [])
    assert (reply.status, reply.code) == (400, "invalid_form")
    assert not up.requests


def test_a_compressed_request_is_refused(bad_requests):
    gw, up = bad_requests
    reply = gw.request(CHAT, body=gzip.compress(json.dumps(chat()).encode()), headers=[*JSON_TYPE, ("content-encoding", "gzip")])
    assert (reply.status, reply.code) == (415, "unsupported_content_encoding")
    assert not up.requests


@pytest.fixture(scope="module")
def bad_requests(tmp_path_factory):
    """One gateway for all that never gets to a backend."""
    from play.gateway import Gateway
    from play.upstream import Upstream
    up = Upstream()
    gw = Gateway(tmp_path_factory.mktemp("gateway"), one_model(up)).start()
    yield gw, up
    gw.stop()
    up.stop()


# ---- long bodies ----

class Sink:
    """A backend that counts a body instead of keeping it."""

    def __init__(self, up):
        self.n_bytes = 0
        self.n_complete = 0
        up.on_head = self.on_head

    def on_head(self, request, connection):
        is_chunked = request.get("transfer-encoding") == "chunked"
        n_left = int(request.get("content-length", "0"))
        tail = b""
        while not (tail.endswith(b"0\r\n\r\n") if is_chunked else n_left <= 0):
            data = connection.buffer or connection.sock.recv(MIB)
            connection.buffer = b""
            if not data:
                return False
            self.n_bytes += len(data)
            n_left -= len(data)
            tail = (tail + data)[-5:]
        self.n_complete += 1
        answer = b'{"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}}'
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n"
                        b"content-length: %d\r\n\r\n%s" % (len(answer), answer))
        return False


MODEL_FIRST = (b'{"model":"m","messages":["', b'"]}')
MODEL_LAST = (b'{"messages":["', b'"],"model":"m"}')


def send_long(raw, parts, n_mib, is_chunked=False, peak=lambda: None):
    begin, end = parts
    length = b"Transfer-Encoding: chunked" if is_chunked else b"Content-Length: %d" % (len(begin) + n_mib * MIB + len(end))
    raw.send(b"POST %s HTTP/1.1\r\nHost: a.test\r\n%s\r\n\r\n" % (CHAT.encode(), length))
    block = b"x" * MIB
    for piece in (begin, *[block] * n_mib, end):
        raw.send(b"%x\r\n%s\r\n" % (len(piece), piece) if is_chunked else piece)
        peak()
    if is_chunked:
        raw.send(b"0\r\n\r\n")


@pytest.fixture
def long_bodies(gateway, upstream):
    up = upstream()
    sink = Sink(up)
    gw = gateway(one_model(up), args=["--workers", "1"])
    gw.request(CHAT, json=chat())
    memory = {"before": anonymous_kib(gw), "peak": 0}

    def peak():
        memory["peak"] = max(memory["peak"], anonymous_kib(gw))
    sink.n_complete = 0
    return gw, sink, memory, peak


@pytest.mark.parametrize("is_chunked", [False, True])
def test_100_mb_pass_when_they_are_valid_and_are_not_held_once_the_model_is_known(long_bodies, is_chunked):
    gw, sink, memory, peak = long_bodies
    with gw.raw() as raw:
        send_long(raw, MODEL_FIRST, 100, is_chunked, peak)
        assert raw.reply().status == 200
    assert sink.n_complete == 1 and sink.n_bytes > 100 * MIB
    if not is_sanitized(gw):
        assert memory["peak"] - memory["before"] < 16 * 1024


def test_100_mb_with_the_model_at_the_end_are_held_and_given_back(long_bodies):
    gw, sink, memory, peak = long_bodies
    with gw.raw() as raw:
        send_long(raw, MODEL_LAST, 100, peak=peak)
        assert raw.reply().status == 200
    assert sink.n_complete == 1
    if not is_sanitized(gw):
        assert memory["peak"] - memory["before"] < 260 * 1024, "the buffer of one body that grows"
        eventually(lambda: anonymous_kib(gw) - memory["before"] < 16 * 1024, what="the memory back")
    assert gw.wait_log(lambda r: r["bytes_received"] > 100 * MIB)["tokens_total"] == 12


def send_unnamed(raw, n_mib):
    """The beginning of a long body that does not say its model."""
    raw.send(b"POST %s HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n" % (CHAT.encode(), 200 * MIB))
    raw.send(b'{"messages":["')
    try:
        for _ in range(n_mib):
            raw.send(b"x" * MIB)
    except OSError:
        pass  # refused meanwhile


def test_what_one_request_holds_is_bounded(long_bodies):
    with long_bodies[0].raw() as raw:
        send_unnamed(raw, 130)
        reply = raw.reply()
    assert (reply.status, reply.code) == (413, "request_too_large")


def test_what_all_requests_hold_is_bounded(long_bodies):
    gw, _, _, _ = long_bodies
    with gw.raw() as one, gw.raw() as two, gw.raw() as three:
        send_unnamed(one, 120)
        send_unnamed(two, 120)
        send_unnamed(three, 60)
        reply = three.reply()
        assert (reply.status, reply.code) == (503, "overloaded")
        assert gw.request(CHAT, json=chat()).status == 200, "a short one still passes"
    eventually(lambda: gw.metric("tollgate_exchanges_active") == 0)
    with gw.raw() as again:
        send_long(again, MODEL_LAST, 100)
        assert again.reply().status == 200, "what was held has been given back"


def is_read(port):
    """Nothing waits in a socket of this port, at either end. The table is no snapshot: bytes may move from a row that
    comes late to one that was read; not twice."""
    with open("/proc/net/tcp", encoding="ascii") as table:  # upstreams listen on IPv4
        rows = [line.split() for line in table][1:]
    ends = [row for row in rows if f":{port:04X}" in (row[1][-5:], row[2][-5:])]
    return sum(int(n, 16) for row in ends for n in row[4].split(":")) == 0


@pytest.fixture
def crowd(upstream):
    """A model whose eight answers, which do not end before it is let go, fill what a worker may hold but for some bytes."""
    held = upstream("held")
    gate, sent = threading.Event(), []

    def parts():
        yield b" " * (8 * MIB - 1)
        sent.append(True)
        assert gate.wait(60)
        yield b'{"usage":{"input_tokens":0,"output_tokens":1}}'  # more than 8 MiB: 502, and told to be as good as free
    held.script = lambda *_: Answer(headers=JSON_TYPE, chunks=parts())
    objects = [backend("held", held), ai_backend("held", schema="Anthropic"),
               ai_route("held", ai_rule("held", matches=[model("held")]))]
    threads, n = Threads(), 8

    def fill(gw):
        threads.go(gw.request, CHAT, json=chat(model="held"), n=n)
        eventually(lambda: len(sent) == n and is_read(held.port) and is_read(held.port), 30, "the answers to be held")

    def let_go():
        gate.set()
        threads.join()
    yield objects, fill, let_go
    let_go()


def test_an_answer_that_finds_no_room_to_be_translated_is_refused_and_paid(gateway, upstream, crowd):
    objects, fill, let_go = crowd
    text = "x" * (6 * MIB)
    up = upstream()
    up.script = lambda *_: Answer(headers=JSON_TYPE, body=json.dumps({
        "id": "i", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn", "usage": {"input_tokens": 7, "output_tokens": 5}}).encode())
    gw = gateway([*one_model(up, schema="Anthropic"), *objects], args=["--workers", "1"])
    replies = []

    def ask():
        replies.append(gw.request(CHAT, json=chat()))
        return replies[-1]
    assert ask().status == 200
    fill(gw)
    ask()
    assert (replies[-1].status, replies[-1].code, replies[-1].get("retry-after")) == (503, "overloaded", "1")
    assert text[:100].encode() not in replies[-1].body
    assert len(up.requests) == len(replies)
    let_go()
    text = "short"
    eventually(lambda: gw.metric("tollgate_exchanges_active") == 0)
    assert ask().json["choices"][0]["message"]["content"] == "short", "what was held has been given back"
    assert gw.wait_log(lambda r: r["response_code"] == 503)["tokens_source"] == "provider"
    told = int(ask().get("x-ratelimit-remaining"))
    reserved = BUDGET - 8 - 12 * (len(replies) - 1) - told
    assert 0 < reserved < 5000, "each was paid with what its provider told, and the last is still under way"
    eventually(lambda: gw.metric("tollgate_exchanges_active") == 0)
    assert gw.metric("ai_model_tokens_processed", model="m") == 7 * len(replies)
    assert gw.metric("ai_model_tokens_generated", model="m") == 5 * len(replies)


def test_a_stream_that_finds_no_room_is_passed_on_before_it_has_content(gateway, upstream, crowd):
    """With room, a stream that ends without content is held back, and another backend asked."""
    objects, fill, _ = crowd
    frame = b'data: {"choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n'
    first, second = upstream(), upstream()
    first.script = lambda *_: Answer(headers=EVENTS_TYPE, chunks=[frame])
    second.script = lambda *_: Answer(headers=JSON_TYPE, body=b"{}")
    refs = [{"name": "first", "priority": 0}, {"name": "second", "priority": 1}]
    gw = gateway(world(backend("first", first), backend("second", second), ai_backend("first"), ai_backend("second"),
                       ai_route("ai", ai_rule(*refs, matches=[model("m")])), *objects), args=["--workers", "1"])
    assert gw.request(CHAT, json=chat(stream=True)).body == b"{}" and len(second.requests) == 1
    fill(gw)
    assert gw.request(CHAT, json=chat(stream=True)).body == frame
    assert len(second.requests) == 1


def test_a_body_beyond_the_bound_is_refused(long_bodies):
    gw, sink, memory, peak = long_bodies
    with gw.raw(b"POST %s HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n" % (CHAT.encode(), 300 * MIB)) as raw:
        reply = raw.reply()
        assert (reply.status, reply.code) == (413, "request_too_large")
    with gw.raw() as raw:
        try:
            send_long(raw, MODEL_FIRST, 300, True, peak)
        except OSError:
            pass
        reply = raw.reply()
        assert (reply.status, reply.code) == (413, "request_too_large")
    assert sink.n_complete == 0
    if not is_sanitized(gw):
        assert memory["peak"] - memory["before"] < 16 * 1024
    record = gw.wait_log(lambda r: r["response_code"] == 413 and r["attempts"] == 1)
    assert record["tokens_in"] > 256 * MIB // 4 - MIB and record["tokens_source"] == "estimated", "the backend got most of it"


# ---- answers ----

def content(text):
    return b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % text


def document(usage, text="x" * 400):
    return b'{"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"%s"}}],"usage":%s}' % (text.encode(), usage)


STREAMS = {
    "garbage": [b"data: nonsense\n\n" * 10, b"data: {\"choices\":\n\n", b"data: [DONE]\n\n"],
    "no colons": [b"x" * 1000, b"\n\n", b"more\r\r\n\n"],
    "broken UTF-8": [content(b"\xff\xfe" * 50)],
    "no end": [content(b"x" * 400)],
    "no last line feed": [content(b"x" * 400)[:-2]],
    "cut in a frame": [content(b"x" * 400)[:200]],
    "bytes of zero": [b"\x00" * 2000],
    "duplicate members": [b'data: {"usage":{"completion_tokens":0},"usage":{"prompt_tokens":1,"completion_tokens":0}}\n\n' * 4],
    "a frame of 10 MB": [content(b"x" * 10 * MIB), b"data: [DONE]\n\n"],
    "a line without end": [b"data: " + b"x" * MIB, *[b"y" * MIB] * 20],
    "empty": [],
}


@pytest.mark.parametrize("asks_usage", [True, False])
@pytest.mark.parametrize("name", STREAMS)
def test_a_broken_stream_passes_is_bounded_and_is_not_free(gateway, upstream, name, asks_usage):
    chunks = STREAMS[name]
    up = upstream()
    up.script = lambda *_: Answer(headers=EVENTS_TYPE, chunks=chunks)
    gw = gateway(one_model(up))
    before, expected = anonymous_kib(gw), b"".join(chunks)
    ask = json.dumps(chat(stream=True, **({"stream_options": {"include_usage": True}} if asks_usage else {})))
    n_seen, peak = 0, 0
    with gw.raw(f"POST {CHAT} HTTP/1.1\r\nHost: a.test\r\nContent-Length: {len(ask)}\r\n\r\n{ask}") as raw:
        assert raw.head()[0] == 200
        while data := raw.chunk():
            assert expected[n_seen:n_seen + len(data)] == data, "the client gets what the provider said"
            n_seen += len(data)
            peak = max(peak, anonymous_kib(gw))
    assert n_seen == len(expected)
    record = gw.wait_log(lambda r: r["model"] == "m")
    assert record["tokens_source"] == "estimated" and record["tokens_in"] > 0
    if name == "empty":
        assert record["tokens_out"] == 0
    else:
        assert record["tokens_out"] >= len(expected) // 10
    assert remaining(gw) == BUDGET - record["tokens_total"]
    if not is_sanitized(gw):
        assert peak - before < 16 * 1024


COUNTS = {
    "negative": b'{"prompt_tokens":-5,"completion_tokens":-7,"total_tokens":-12}',
    "huge": b'{"prompt_tokens":1e300,"completion_tokens":99999999999999999999,"total_tokens":1e400}',
    "beyond the bound": b'{"prompt_tokens":1000000001,"completion_tokens":1000000001,"total_tokens":2000000002}',
    "fractional": b'{"prompt_tokens":0.5,"completion_tokens":1.5,"total_tokens":2.5}',
    "texts": b'{"prompt_tokens":"5","completion_tokens":"7"}',
    "zero": b'{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}',
    "null": b"null",
    "an array": b"[1,2,3]",
    "nested": b'{"prompt_tokens":{"a":1},"completion_tokens":[7]}',
    "twice": b'{"prompt_tokens":1,"completion_tokens":1,"completion_tokens":0}',
}


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("name", COUNTS)
def test_counts_that_are_none_are_replaced_by_an_estimate(gateway, upstream, name, is_stream):
    up = upstream()
    made = document(COUNTS[name])
    if is_stream:
        usage = b'data: {"choices":[],"usage":%s}\n\n' % COUNTS[name]
        up.script = lambda *_: Answer(headers=EVENTS_TYPE, chunks=[content(b"x" * 400), usage, b"data: [DONE]\n\n"])
    else:
        up.script = lambda *_: Answer(headers=JSON_TYPE, body=made)
    gw = gateway(one_model(up))
    assert gw.request(CHAT, json=chat(stream=is_stream)).status == 200
    record = gw.wait_log(lambda r: r["model"] == "m")
    assert record["tokens_source"] == "estimated"
    assert record["tokens_in"] == -(-len(up.last.body) // 4) or record["tokens_in"] > 0
    assert 100 <= record["tokens_out"] <= 200
    assert record["tokens_total"] == record["tokens_in"] + record["tokens_out"]
    assert remaining(gw) == BUDGET - record["tokens_total"]


def test_the_largest_counts_empty_a_budget_and_nothing_overflows(gateway, upstream):
    up = upstream()
    up.script = lambda *_: Answer(headers=JSON_TYPE, body=document(
        b'{"prompt_tokens":1000000000,"completion_tokens":1000000000,"total_tokens":1000000000}'))
    gw = gateway(one_model(up))
    assert gw.request(CHAT, json=chat()).status == 200
    eventually(lambda: gw.request(CHAT, json=chat()).status == 429, what="the budget to be empty")


def pack(text, kind):
    press = zlib.compressobj(9, wbits={"gzip": 31, "deflate": 15}[kind])
    return press.compress(text) + press.flush()


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("kind", [JSON_TYPE, EVENTS_TYPE])
def test_a_compressed_bomb_passes_unread_and_is_not_free(gateway, upstream, coding, kind):
    bomb = pack(bytes(50 * MIB), coding)
    up = upstream()
    up.script = lambda *_: Answer(headers=[*kind, ("content-encoding", coding)], body=bomb)
    gw = gateway(one_model(up))
    before = anonymous_kib(gw)
    reply = gw.request(CHAT, json=chat(), headers=[("accept-encoding", coding)])
    assert reply.status == 200 and reply.body == bomb
    record = gw.wait_log(lambda r: r["model"] == "m")
    assert record["tokens_source"] == "estimated" and record["tokens_out"] >= len(bomb) // 4
    if not is_sanitized(gw):
        assert anonymous_kib(gw) - before < 16 * 1024
    assert remaining(gw) == BUDGET - record["tokens_total"]


@pytest.mark.parametrize("headers, body", [
    ([*JSON_TYPE, ("content-encoding", "gzip")], b"this is no gzip" * 20),
    ([*JSON_TYPE, ("content-encoding", "gzip")], gzip.compress(document(b'{"prompt_tokens":1,"completion_tokens":1}'))[:-30]),
    ([*JSON_TYPE, ("content-encoding", "snappy")], b"whatever it is, " * 20),
    ([*JSON_TYPE, ("content-encoding", "gzip, gzip")], b"whatever it is, " * 20),
    ([("content-type", "text/html")], b"<html>" + b"busy, " * 50), (JSON_TYPE, b'"just a text, and a long one' * 10),
    (JSON_TYPE, b"[" * 100_000), ([], b"no type at all " * 20)],
    ids=["no gzip", "cut gzip", "unknown", "two codings", "html", "text", "depth", "no type"])
def test_an_answer_that_cannot_be_read_passes_and_is_not_free(gateway, upstream, headers, body):
    up = upstream()
    up.script = lambda *_: Answer(headers=headers, body=body)
    gw = gateway(one_model(up))
    reply = gw.request(CHAT, json=chat(), headers=[("accept-encoding", "gzip")])
    assert reply.status == 200 and reply.body == body
    record = gw.wait_log(lambda r: r["model"] == "m")
    assert record["tokens_source"] == "estimated" and record["tokens_in"] > 0
    assert record["tokens_out"] >= min(len(body) // 4, 25)
    assert remaining(gw) == BUDGET - record["tokens_total"]


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_a_request_that_the_provider_refuses_costs_nothing(gateway, upstream, status):
    up = upstream()
    up.script = lambda *_: Answer(status=status, headers=JSON_TYPE, body=b'{"error":{"message":"no","type":"x"}}')
    gw = gateway(one_model(up))
    assert gw.request(CHAT, json=chat()).status == status
    record = gw.wait_log(lambda r: r["model"] == "m")
    assert (record["tokens_total"], record["tokens_source"]) == (None, None)
    assert remaining(gw) == BUDGET


# ---- costs ----

@pytest.mark.parametrize("cel", ["input_tokens / (output_tokens - 5u)", "total_tokens % (output_tokens - 5u)", "output_tokens - input_tokens",
                                 "total_tokens * 18446744073709551615u", "uint(-1.0 * double(total_tokens))",
                                 "uint(1e300 * double(total_tokens))", "uint(double(total_tokens) / 0.0)"])
def test_a_cost_that_cannot_be_computed_is_all_tokens(gateway, upstream, cel):
    up = upstream()
    up.script = lambda *_: Answer(headers=JSON_TYPE, body=document(b'{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}'))
    gw = gateway(one_model(up, {"type": "CEL", "cel": cel}))
    assert gw.request(CHAT, json=chat()).status == 200
    gw.wait_log(lambda r: r["model"] == "m")
    assert remaining(gw) == BUDGET - 12


@pytest.mark.parametrize("cel, cost", [
    ("model == 'm' ? input_tokens + 3u * output_tokens : 0u", 22),
    ("backend == 'b.play' ? 30u : 0u", 30),
    ("route_name == 'play/ai' ? 40u : 0u", 40),
])
def test_a_cost_is_what_its_expression_says(gateway, upstream, cel, cost):
    up = upstream()
    up.script = lambda *_: Answer(headers=JSON_TYPE, body=document(b'{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}'))
    gw = gateway(one_model(up, {"type": "CEL", "cel": cel}))
    assert gw.request(CHAT, json=chat()).status == 200
    gw.wait_log(lambda r: r["model"] == "m")
    assert remaining(gw) == BUDGET - cost


def test_a_budget_of_zero_lets_nothing_pass(gateway, upstream):
    up = upstream()
    gw = gateway(one_model(up, limit=0))
    reply = gw.request(CHAT, json=chat())
    assert (reply.status, reply.code, reply.get("x-ratelimit-limit"), reply.get("x-ratelimit-remaining")) == (429, "rate_limited", "0", "0")
    assert not up.requests


def test_the_record_of_a_refused_body_names_the_model_that_was_asked_for(gateway, upstream):
    gw = gateway(one_model(upstream()))
    assert gw.request(CHAT, json={"model": "whatever"}).status == 400
    record = gw.wait_log(lambda r: r["response_code"] == 400)
    assert (record["model"], record["response_code_details"], record["tokens_total"]) == ("whatever", "missing_required_parameter", None)
    assert gw.request("/v1/models/asked:predict", body=b"{").status == 400
    assert gw.wait_log(lambda r: r["model"] == "asked")["response_code_details"] == "invalid_json"
    assert gw.metric("ai_model_requests_total") == 0, "a name that a client made up makes no series"
