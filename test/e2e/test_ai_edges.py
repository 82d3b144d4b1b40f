"""AI requests where two things meet: a fallback and a long body, a hold and a filter, a reload and a wait."""
import json
import threading
import time

import pytest

from play import frames
from play.deadline import FACTOR, eventually
from play.http2 import Http2
from play.manifests import (ENVOY_API, ai_backend, ai_route, ai_rule, backend, client_policy, model, path, route, rule,
                            security_policy, target, thing, to, world)
from play.ports import free_port
from play.upstream import Answer
from test_ai_routes import CHAT, COSTS, EVENTS_TYPE, JSON_TYPE, chat, chunk, completion, frame, one_model

LONG = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 2_000_000}]}).encode()


@pytest.fixture
def model_server(upstream):
    def start(name="m", script=completion):
        made = upstream(name)
        made.script = script
        return made
    return start


def two(first, second, *more, ref=None, **spec):
    """Backends of two priorities; `ref` and `spec` are the second's."""
    return world(backend("first", first), backend("second", second), ai_backend("first"), ai_backend("second", **spec),
                 ai_route("ai", ai_rule({"name": "first", "priority": 0}, {"name": "second", "priority": 1, **(ref or {})},
                                        matches=[model("m")]), costs=COSTS), *more)


def post(gw, body, where=CHAT, headers=()):
    return gw.request(where, "POST", body=body, headers=[*JSON_TYPE, *headers])


def asking(authorizer):
    """An authorizer in front of the AIGatewayRoute `ai`."""
    return [backend("judge", authorizer),
            security_policy("judged", target("HTTPRoute", "ai"), extAuth={"http": {"backendRefs": [to("judge")]}})]


class Slow:
    """A script that answers when it may."""

    def __init__(self, answer=None):
        self.is_asked, self.may_answer, self.answer = threading.Event(), threading.Event(), answer or Answer()

    def __call__(self, *_):
        self.is_asked.set()
        self.may_answer.wait(20)
        return self.answer


def request_head(body, where=CHAT, method="POST"):
    return b"%s %s HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n" % (method.encode(), where.encode(), len(body))


# ---- holding and changing ----

@pytest.mark.parametrize("where", [CHAT, "/v1/messages"])
def test_what_was_held_is_told_once(gateway, model_server, where):
    gw = gateway(two(model_server("first"), model_server("second")))
    text = gw.request(where, json=chat(stream=True, max_tokens=10)).body
    assert text.count(b'"hi"') == 1 and text.count(b"there") == 1
    assert text.count(b"event: message_start") == (1 if where == "/v1/messages" else 0)


def test_an_error_behind_held_content_ends_the_answer_at_once(gateway, model_server):
    may_end = threading.Event()

    def failing(_request, connection):
        text = chunk({"content": "some words"}) + frame({"error": {"message": "busy now", "type": "server_error"}})
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        connection.send(b"%x\r\n%s\r\n" % (len(text), text))
        may_end.wait(20)
    gw = gateway(two(model_server("first", failing), model_server("second")))
    reply = gw.request("/v1/messages", json=chat(stream=True, max_tokens=4))
    assert b"some words" in reply.body and b"event: error" in reply.body, "while the backend still holds on"
    may_end.set()


def test_a_stream_that_says_nothing_is_no_answer(gateway, model_server):
    first = model_server("first", lambda *_: Answer(headers=EVENTS_TYPE, chunks=[]))
    gw = gateway(two(first, model_server("second")))
    assert b"hi" in gw.request(CHAT, json=chat(stream=True)).body


def test_an_answer_without_content_is_framed_as_one(gateway, model_server):
    def script(request, connection):
        return Answer(status=204, headers=EVENTS_TYPE) if json.loads(request.body).get("stream") else completion(request, connection)
    gw = gateway(one_model(model_server("m", script)))
    first, second = (json.dumps(chat(stream=stream)).encode() for stream in (True, False))
    with gw.raw(request_head(first) + first) as raw:
        status, headers = raw.head()
        assert status == 204 and "transfer-encoding" not in dict(headers)
        raw.send(request_head(second) + second)
        assert raw.reply().status == 200, "no byte of the first answer stands in the second"


# ---- bodies ----


@pytest.mark.parametrize("first", [free_port, lambda: None], ids=["refuses", "is not there"])
def test_after_a_fallback_a_long_body_is_changed_all_the_same(gateway, model_server, first):
    second, port = model_server("second"), first()
    manifests = [made for made in two(port or 1, second, ref={"modelNameOverride": "own"})
                 if port or made["metadata"]["name"] != "first"]
    gw = gateway(manifests)
    assert post(gw, LONG).status == 200
    assert json.loads(second.last.body)["model"] == "own"


def test_a_body_of_any_length_gets_its_other_model_name(gateway, model_server):
    up = model_server()
    gw = gateway(world(backend("b", up), ai_backend("b"),
                       ai_route("ai", ai_rule({"name": "b", "modelNameOverride": "own"}, matches=[model("m")]))))
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 40_000_000}]}).encode()
    assert post(gw, body).status == 200
    assert up.last.body == body.replace(b'"model": "m"', b'"model": "own"', 1)


@pytest.mark.parametrize("schema, ref", [("OpenAI", {"modelNameOverride": "own"}), ("Anthropic", {})])
def test_a_body_that_ends_while_a_layer_waits_is_changed_all_the_same(gateway, model_server, upstream, schema, ref):
    up, judge = model_server(), upstream("judge")
    judge.script = slow = Slow()
    gw = gateway(world(backend("b", up), ai_backend("b", schema=schema),
                       ai_route("ai", ai_rule({"name": "b", **ref}, matches=[model("m")])),
                       client_policy("small", connection={"bufferLimit": "32Ki"}), *asking(judge)))
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 50_000}]}).encode()
    with gw.raw(request_head(body) + body) as raw:
        assert slow.is_asked.wait(10)
        slow.may_answer.set()
        raw.reply()
    seen = json.loads(up.last.body)
    assert seen["model"] == ("own" if ref else "m")
    assert ("max_tokens" in seen) == (schema == "Anthropic")


def test_what_one_backend_lacks_is_not_said_of_the_next(gateway, model_server):
    gw = gateway(world(backend("first", model_server()), backend("second", free_port()), ai_backend("first", schema="Anthropic"),
                       ai_backend("second"), ai_route("ai", ai_rule({"name": "first", "priority": 0}, {"name": "second", "priority": 1},
                                                                    matches=[model("m")]))))
    reply = gw.request(CHAT, json=chat(n=3))
    assert (reply.status, reply.code, reply.json["error"]["param"]) == (503, "upstream_connect_failed", None)


def test_a_body_that_must_be_whole_is_bounded(gateway, model_server):
    up = model_server()
    gw = gateway(one_model(up, schema="Anthropic"), args=["--workers", "1"])
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 40_000_000}]}).encode()
    with gw.raw(request_head(body) + body[:2_000_000]) as raw:
        reply = raw.reply()
    assert (reply.status, reply.code) == (413, "request_too_large")
    assert not up.requests


@pytest.mark.parametrize("n_bytes", [100, 300_000])
def test_a_mirror_gets_the_whole_body(gateway, model_server, upstream, n_bytes):
    own, mirror = model_server("own"), upstream("mirror")
    copies = {"type": "RequestMirror", "requestMirror": {"backendRef": to("mirror")}}
    gw = gateway(one_model(model_server(), backend("own", own), backend("mirror", mirror),
                           route("r", rule("own", matches=[path(CHAT)], filters=[copies])),
                           client_policy("small", connection={"bufferLimit": "32Ki"})))
    body = json.dumps(chat(padding="x" * n_bytes)).encode()
    with gw.raw(b"POST %s HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
                % (CHAT.encode(), len(body), body)) as raw:
        assert raw.reply().status == 200
    assert mirror.wait_for(1)[0].body == body


def test_nothing_is_reserved_while_a_body_is_waited_for(gateway, model_server):
    limit = {"clientSelectors": [], "limit": {"requests": 2000, "unit": "Year"}, "shared": True, "cost": {
        "request": {"from": "Number", "number": 0},
        "response": {"from": "Metadata", "metadata": {"namespace": "io.envoy.ai_gateway", "key": "llm_total_token"}}}}
    policy = thing(ENVOY_API, "BackendTrafficPolicy", "budget", {
        "targetRefs": [target("Gateway", "front")], "rateLimit": {"type": "Global", "global": {"rules": [limit]}}})
    gw = gateway(one_model(model_server(), policy))
    slow = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": "x" * 2_000_000}]}).encode()
    with gw.raw(request_head(slow) + slow[:1_200_000]) as raw:
        for _ in range(3):
            assert gw.request(CHAT, json=chat()).status == 200, "a body that does not come holds no budget"
        raw.send(slow[1_200_000:])
        assert raw.reply().status == 200, "alone it may overshoot (docs/compatibility.md)"


def test_trailers_that_begin_while_an_answer_is_held(gateway, http2_upstream, model_server):
    """What is held goes out after a while; the head's memory is shut then, and the trailers go on."""
    def on_head(stream):
        stream.wait(lambda: stream.is_complete)
        stream.head(headers=EVENTS_TYPE)
        stream.data(b": wait\n\n")
        stream.connection.sock.sendall(frames.headers(stream.number, ("x-0", "0"), is_whole=False))
        assert has_head.wait(20 * FACTOR)
        fields = [(f"x-{i}", str(i)) for i in range(1, 100)]
        stream.connection.sock.sendall(frames.continuation(stream.number, frames.block(*fields), is_last=True))
    has_head = threading.Event()
    first = http2_upstream("first")
    first.on_head = on_head
    gw = gateway(world(backend("first", first, appProtocols=["gateway.envoyproxy.io/h2c"]), backend("second", model_server()),
                       ai_backend("first"), ai_backend("second"),
                       ai_route("ai", ai_rule({"name": "first", "priority": 0}, {"name": "second", "priority": 1},
                                              matches=[model("m")]))), args=["--workers", "1"])
    with Http2(gw.port()) as client:
        stream = client.headers(CHAT, "POST", headers=[*JSON_TYPE, ("te", "trailers")], end=False)
        client.data(stream, json.dumps(chat()).encode(), end=True)
        client.until(lambda: client.streams[stream]["headers"])
        has_head.set()
        client.reply(stream)
        assert client.streams[stream]["trailers"] == [(f"x-{i}", str(i)) for i in range(100)]


# ---- times ----

def test_a_head_without_content_is_held_for_two_seconds_at_most(gateway, model_server):
    def silent():
        assert may_speak.wait(20 * FACTOR)
        yield from completion_frames
    may_speak = threading.Event()
    completion_frames = [b'data: {"choices":[{"index":0,"delta":{"content":"late"}}]}\n\n', b"data: [DONE]\n\n"]
    first = model_server("first", lambda *_: Answer(headers=EVENTS_TYPE, chunks=silent()))
    gw = gateway(two(first, model_server("second")))
    with gw.raw(request_head(body := json.dumps(chat(stream=True)).encode()) + body) as raw:
        assert raw.head()[0] == 200
        may_speak.set()
        assert b"late" in raw.until(b"[DONE]")


def test_the_time_of_one_attempt_is_not_that_of_the_next(gateway, model_server):
    def later(request, connection):
        time.sleep(0.6)
        return completion(request, connection)
    first, second = model_server("first", lambda *_: Answer(status=503)), model_server("second", later)
    gw = gateway(world(backend("first", first), backend("second", second), ai_backend("first", timeouts={"backendRequest": "300ms"}),
                       ai_backend("second"), ai_route("ai", ai_rule({"name": "first", "priority": 0}, {"name": "second", "priority": 1},
                                                                    matches=[model("m")]))))
    assert gw.request(CHAT, json=chat()).status == 200


def test_a_body_that_took_longer_than_the_routes_time_reaches_no_backend(gateway, model_server):
    up = model_server()
    gw = gateway(world(backend("b", up), ai_backend("b"),
                       ai_route("ai", ai_rule("b", matches=[model("m")], timeouts={"request": "300ms"}))))
    body = json.dumps(chat()).encode()
    started = time.monotonic()
    with gw.raw(request_head(body) + body[:10]) as raw:
        eventually(lambda: time.monotonic() - started > 0.4)
        raw.send(body[10:])
        assert raw.reply().status == 504
    assert not up.requests and up.n_connections == 0


# ---- reloads ----

def test_a_reload_while_the_body_comes(gateway, model_server):
    up = model_server()
    gw = gateway(one_model(up), args=["--workers", "1"])
    body = json.dumps(chat()).encode()
    with gw.raw(request_head(body) + body[:10]) as raw:
        eventually(lambda: gw.metric("tollgate_exchanges_active") == 1)
        gw.apply(one_model(up, route("r", rule("b", matches=[path("/other")]))))
        raw.send(body[10:])
        assert raw.reply().status == 200


def test_a_reload_while_the_list_of_models_waits_for_an_authorizer(gateway, model_server, upstream):
    up, judge = model_server(), upstream("judge")
    judge.script = slow = Slow()

    def manifests(*more):
        return world(backend("b", up), ai_backend("b"), ai_route("ai", ai_rule("b", matches=[model("m")]), ai_rule("b")),
                     *asking(judge), *more)
    gw = gateway(manifests(), args=["--workers", "1"])
    with gw.raw(b"GET /v1/models HTTP/1.1\r\nHost: a.test\r\n\r\n") as raw:
        assert slow.is_asked.wait(10)
        gw.apply(manifests(route("r", rule("b", matches=[path("/other")]))))
        slow.may_answer.set()
        assert raw.reply().status == 200


# ---- the gate ----

def streamed(n):
    return json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": "x" * n}]}).encode()


@pytest.mark.parametrize("schema", ["OpenAI", "Anthropic"])
@pytest.mark.parametrize("tail", [b" ", b',"model":"other"}'], ids=["never closed", "model twice"])
def test_a_long_body_that_is_bad_after_its_model_reaches_no_backend(gateway, model_server, schema, tail):
    up = model_server()
    gw = gateway(one_model(up, schema=schema))
    body = streamed(2_000_000)[:-1] + tail
    with gw.raw(request_head(body) + body) as raw:
        assert raw.reply().status == 400
    assert not up.requests and up.n_connections == 0


@pytest.mark.parametrize("ref", [{}, {"modelNameOverride": "own"}])
@pytest.mark.parametrize("pieces", [(50_000,), (40_000, 5_000, 5_500)], ids=["its end", "more of it"])
def test_what_comes_while_the_backend_connects_is_sent_too(gateway, model_server, pieces, ref):
    up = model_server()
    gw = gateway(world(backend("b", up), ai_backend("b"), ai_route("ai", ai_rule({"name": "b", **ref}, matches=[model("m")])),
                       client_policy("small", connection={"bufferLimit": "32Ki"})))
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * (sum(pieces) - 200)}]}).encode()
    chunks, at = b"", 0
    for n in (*pieces[:-1], len(body)):
        if body[at:at + n]:
            chunks += b"%x\r\n%s\r\n" % (len(body[at:at + n]), body[at:at + n])
        at += n
    with gw.raw(b"POST %s HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n%s0\r\n\r\n" % (CHAT.encode(), chunks)) as raw:
        assert raw.reply().status == 200
    assert up.last.body == body.replace(b'"m"', b'"own"', 1 if ref else 0)


def test_json_in_another_charset_is_refused(gateway, model_server):
    up = model_server()
    gw = gateway(one_model(up))
    body = b'{"model":"m","messages":[],"user":"+ACI-,+ACI-model+ACI-:+ACI-expensive"}'
    assert gw.request(CHAT, "POST", body=body, headers=[("content-type", "application/json; charset=utf-7")]).status == 415
    assert gw.request(CHAT, json=chat(), headers=[]).status == 200
    assert post(gw, b'{"model":"m","messages":[]}', headers=[("content-type", "application/json")]).status == 400, "two of them"
    assert len(up.requests) == 1


def test_json_that_calls_itself_a_form_is_passed_on_as_json(gateway, model_server):
    up = model_server()
    gw = gateway(world(backend("b", up), ai_backend("b"), ai_route("ai", ai_rule("b", matches=[model("m")]))))
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "&model=expensive&"}]}).encode()
    for kind in ("application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded; charset=utf-8"):
        assert gw.request(CHAT, "POST", body=body, headers=[("content-type", kind)]).status == 200
        assert up.last.body == body and up.last.all("content-type") == ["application/json"]
