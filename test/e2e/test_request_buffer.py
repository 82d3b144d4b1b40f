"""requestBuffer: content is held until it is whole, and no longer than the policy says."""
import json

import h2.exceptions
import pytest

from play.deadline import eventually
from play.http2 import Http2
from play.manifests import (ENVOY_API, ai_backend, ai_route, ai_rule, backend, model, path, route, rule, target, thing, to, world)
from play.upstream import Answer
from test_ai_routes import CHAT, chat, completion
from test_check import check

KIB = 1024


def buffered(limit, kind="Gateway", name="front", **more):
    return thing(ENVOY_API, "BackendTrafficPolicy", "t", {"targetRefs": [target(kind, name)], "requestBuffer": {"limit": limit}, **more})


@pytest.fixture
def served(gateway, upstream):
    def start(limit="1Mi", **more):
        up = upstream("a")
        up.script = lambda request, _: Answer(body=str(len(request.body)).encode())
        return gateway(world(backend("a", up), route("r", rule("a")), buffered(limit, **more))), up
    return start


def test_a_backend_sees_a_request_when_it_is_whole(served):
    gw, up = served()
    heads = []
    up.on_head = lambda request, _: heads.append(request)
    with gw.raw(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n") as raw:
        for _ in range(5):
            raw.send(b"%x\r\n%s\r\n" % (100 * KIB, b"x" * 100 * KIB))
        with gw.raw(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n") as other:
            assert other.rest().endswith(b"0"), "which waits for nobody"
        assert len(heads) == 1
        raw.send(b"0\r\n\r\n")
        assert raw.reply().body == str(500 * KIB).encode()
    assert (up.last.get("content-length"), up.last.get("transfer-encoding")) == (str(500 * KIB), None)


@pytest.mark.parametrize("client", ["h1", "h1 chunked", "h2"])
@pytest.mark.parametrize("size, status", [(0, 200), (1, 200), (200 * KIB, 200), (200 * KIB + 1, 413), (900 * KIB, 413)])
def test_content_up_to_the_limit(served, client, size, status):
    gw, up = served("200Ki")
    if client == "h2":
        with Http2(gw.port()) as one:
            stream = one.headers("/", "POST", end=False)
            try:
                one.data(stream, b"x" * size, end=True)
            except h2.exceptions.StreamClosedError:
                pass  # refused meanwhile
            reply = one.reply(stream)
    elif client == "h1":
        reply = gw.request("/", "POST", body=b"x" * size)
    else:
        with gw.raw(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n") as raw:
            for at in range(0, size, 50 * KIB):
                part = b"x" * min(50 * KIB, size - at)
                try:
                    raw.send(b"%x\r\n%s\r\n" % (len(part), part))
                except OSError:
                    break  # refused meanwhile
            else:
                raw.send(b"0\r\nx-trailer: t\r\n\r\n")
            reply = raw.reply()
    assert reply.status == status
    if status == 200:
        assert reply.body == str(size).encode()
        assert up.last.trailers == ([("x-trailer", "t")] if client == "h1 chunked" else [])
    else:
        assert reply.code == "request_too_large" and not up.requests


def test_a_client_that_waits_to_be_asked_is_asked(served):
    gw, _ = served()
    with gw.raw(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n") as raw:
        assert raw.head()[0] == 100
        raw.send(b"hello")
        assert raw.reply().body == b"5"


def test_a_client_that_leaves_takes_its_content_along(served):
    gw, up = served()
    for _ in range(3):
        with gw.raw(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 500000\r\n\r\n" + b"x" * 300_000):
            eventually(lambda: gw.metric("tollgate_exchanges_active") == 1)
        eventually(lambda: gw.metric("tollgate_exchanges_active") == 0)
    assert not up.requests and gw.request("/", "POST", body=b"x" * 500_000).status == 200


def test_retries_and_mirrors_have_it_too(gateway, upstream):
    up, copy, seen = upstream("a"), upstream("copy"), []

    def script(request, _connection):
        seen.append(request.body)
        return Answer(200 if len(seen) > 1 else 503)
    up.script = script
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": to("copy")}}
    gw = gateway(world(backend("a", up), backend("copy", copy), route("r", rule("a", filters=[mirror])),
                       buffered("1Mi", retry={"perRetry": {"backOff": {"baseInterval": "1ms"}}})))
    body = bytes(range(256)) * 2000
    assert gw.request("/", "POST", body=body).status == 200
    assert seen == [body, body] and copy.wait_for(1)[0].body == body


def test_the_gate_holds_what_it_reads(gateway, upstream):
    up = upstream("a")
    up.script = completion
    gw = gateway(world(backend("a", up), ai_backend("a"), ai_route("ai", ai_rule("a", matches=[model("m")])),
                       buffered("3Mi", "HTTPRoute", "ai")))
    long = chat()
    long["messages"][0]["content"] = "x" * 2_500_000
    assert gw.request(CHAT, json=long).status == 200
    assert up.last.get("content-length") == str(len(json.dumps(long))), "whole, where it would have been sent as it comes"
    long["messages"][0]["content"] = "x" * 3_500_000
    with gw.raw(b"POST %s HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3500100\r\n\r\n" % CHAT.encode() + json.dumps(long).encode()[:1_200_000]) as raw:
        assert raw.reply().status == 413
    assert len(up.requests) == 1


def test_a_redirect_waits_for_nothing(gateway, upstream):
    gw = gateway(world(backend("a", upstream("a")), buffered("1Mi"), route("r", rule(matches=[path("/r")], filters=[
        {"type": "RequestRedirect", "requestRedirect": {"hostname": "other.test"}}]))))
    with gw.raw(b"POST /r HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\n") as raw:
        assert raw.reply().status == 302


@pytest.mark.parametrize("limit, said", [("0", "more than nothing"), ("1Gi", "at most 33554432 are held"), ("32Mi", None)])
def test_limits_that_cannot_be(tmp_path, limit, said):
    run = check(tmp_path, world(backend("a", 1), route("r", rule("a")), buffered(limit)))
    assert run.returncode == (1 if limit == "0" else 0)
    assert (said in run.stdout) if said else ("requestBuffer" not in run.stdout)
