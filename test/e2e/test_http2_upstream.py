"""HTTP/2 to backends: h2c by prior knowledge, h2 by ALPN; each request is a stream of a shared connection."""
import json
import signal
import socket
import threading

import h2.errors
import pytest

from play import frames
from play.deadline import FACTOR, eventually
from play.http2 import Http2
from play.http2_upstream import SETTINGS
from play.manifests import (ai_backend, ai_route, ai_rule, backend, model, path, route, rule, security_policy, service, target, thing, to,
                            world)
from play.threads import Threads
from play.upstream import Answer

CODES = h2.errors.ErrorCodes
H2C = {"appProtocols": ["gateway.envoyproxy.io/h2c"]}


def h2c(name, *upstreams, **spec):
    return backend(name, *upstreams, **H2C, **spec)


def traffic(**spec):
    return thing("gateway.envoyproxy.io/v1alpha1", "BackendTrafficPolicy", "traffic",
                 {"targetRefs": [target("Gateway", "front")], **spec})


@pytest.fixture
def plain(gateway, http2_upstream):
    """A gateway in front of one backend, which echoes, and that backend."""
    up = http2_upstream("a")
    return gateway(world(h2c("a", up), route("r", rule("a")))), up


def together(n, work):
    """work(i) in n threads at once; their results."""
    threads = Threads()
    for i in range(n):
        threads.go(work, i)
    return threads.join()


def test_a_request_is_a_stream_of_a_shared_connection(plain):
    gw, up = plain
    reply = gw.request("/one?q=1", host="Front.test", headers=[("X-A", "1"), ("Connection", "close, x-hop"), ("x-hop", "1")])
    assert reply.status == 200 and reply.json["target"] == "/one?q=1"
    assert (up.last.get(":authority"), up.last.get("x-a"), up.last.get(":method")) == ("Front.test", "1", "GET")
    assert not {"connection", "x-hop", "host", "transfer-encoding", "upgrade"} & {name for name, _ in up.last.fields}
    reply = gw.request("/post", json={"a": 1})
    assert json.loads(reply.json["body"]) == {"a": 1} and up.last.get("content-length") == "8"
    assert len(up.connections) <= len({r.connection.index for r in up.requests}) == len(up.connections)
    assert gw.request("/", method="HEAD").status == 200


@pytest.mark.parametrize("client", ["h1", "h2"])
def test_many_at_once_share_one_connection(gateway, http2_upstream, client):
    up = http2_upstream("a")
    gw = gateway(world(h2c("a", up), route("r", rule("a"))), args=["--workers", "1"])
    if client == "h1":
        replies = together(30, lambda i: gw.request(f"/{i}"))
    else:
        with Http2(gw.port()) as one:
            streams = [one.headers(f"/{i}") for i in range(30)]
            replies = [one.reply(s) for s in streams]
    assert [r.json["target"] for r in replies] == [f"/{i}" for i in range(30)]
    assert len(up.connections) == 1


def test_the_backends_limit_of_streams_is_kept(gateway, http2_upstream):
    """Streams above it open another connection."""
    up = http2_upstream("a", settings={SETTINGS.MAX_CONCURRENT_STREAMS: 3})
    go_on = threading.Event()

    def script(stream):
        go_on.wait(60)
        up.echo(stream)
    up.script = script
    gw = gateway(world(h2c("a", up), route("r", rule("a"))), args=["--workers", "1"])
    with Http2(gw.port()) as client:
        streams = [client.headers(f"/{i}") for i in range(10)]
        up.wait_for(10)
        go_on.set()
        assert [client.reply(s).status for s in streams] == [200] * 10
        assert up.max_open == 3 and len(up.connections) == 4
        n = len(up.connections)
        assert [client.reply(s).status for s in [client.headers(f"/{i}") for i in range(10)]] == [200] * 10
        assert len(up.connections) == n, "connections that are there are used"


def test_ours_is_the_policys(gateway, http2_upstream):
    up = http2_upstream("a")
    go_on = threading.Event()

    def script(stream):
        go_on.wait(60)
        up.echo(stream)
    up.script = script
    gw = gateway(world(h2c("a", up), route("r", rule("a")), traffic(http2={"maxConcurrentStreams": 2})), args=["--workers", "1"])
    with Http2(gw.port()) as client:
        streams = [client.headers(f"/{i}") for i in range(5)]
        up.wait_for(5)
        go_on.set()
        assert [client.reply(s).status for s in streams] == [200] * 5
    assert up.max_open == 2 and len(up.connections) == 3


def test_a_backend_that_takes_no_streams_is_not_reached(gateway, http2_upstream):
    gw = gateway(world(h2c("a", http2_upstream("a", settings={SETTINGS.MAX_CONCURRENT_STREAMS: 0})), route("r", rule("a"))))
    reply = gw.request()
    assert (reply.status, reply.code) == (503, "upstream_connect_failed")


# ---- all four: client and backend ----

class Pair:
    """A client and a backend, each of either protocol."""

    def __init__(self, gw, up, client, backend):
        self.gw, self.up, self.client, self.backend = gw, up, client, backend

    def exchange(self, path="/", body=None, trailers=(), headers=()):
        """A POST of unknown length, with trailers; (status, body, trailers)."""
        if self.client == "h2":
            with Http2(self.gw.port()) as client:
                stream = client.headers(path, "POST", headers=[("te", "trailers"), *headers], end=False)
                client.data(stream, body, end=not trailers)
                if trailers:
                    client.h2.send_headers(stream, list(trailers), end_stream=True)
                    client.flush()
                reply = client.reply(stream)
                return reply.status, reply.body, client.streams[stream]["trailers"] or []
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers)
        with self.gw.raw(head.encode() + b"\r\n") as raw:
            Threads().go(lambda: [raw.send(b"%x\r\n%s\r\n" % (len(body[i:i + 50000]), body[i:i + 50000]))
                                  for i in range(0, len(body), 50000)]).join()
            raw.send("0\r\n" + "".join(f"{n}: {v}\r\n" for n, v in trailers) + "\r\n")
            reply = raw.reply()
            return reply.status, reply.body, [(n[8:], v) for n, v in reply.headers if n.startswith("trailer:")]

    def answer_with(self, chunks, trailers=()):
        if self.backend == "h1":
            self.up.script = lambda *_: Answer(chunks=chunks, trailers=list(trailers))
            return

        def script(stream):
            stream.head()
            for chunk in chunks:
                stream.data(chunk)
            stream.tail(trailers) if trailers else stream.data(b"", end=True)
        self.up.script = script


@pytest.fixture(params=[(c, b) for c in ("h1", "h2") for b in ("h1", "h2")], ids=lambda p: f"{p[0]}-to-{p[1]}")
def pair(request, gateway, upstream, http2_upstream):
    client, kind = request.param
    up = upstream("a") if kind == "h1" else http2_upstream("a", settings={SETTINGS.INITIAL_WINDOW_SIZE: 3000})
    made = h2c("a", up) if kind == "h2" else backend("a", up)
    return Pair(gateway(world(made, route("r", rule("a")))), up, client, kind)


def test_content_and_trailers_pass_both_ways(pair):
    pair.answer_with([b"one ", b"two"], [("x-sum", "2")])
    status, body, trailers = pair.exchange(body=b"content", trailers=[("x-request-sum", "1")])
    assert (status, body, trailers) == (200, b"one two", [("x-sum", "2")])
    assert pair.up.last.body == b"content" and dict(pair.up.last.trailers) == {"x-request-sum": "1"}
    if pair.backend == "h2":
        assert pair.up.last.all("te") == ["trailers"]


def test_large_content_passes_both_ways(pair):
    sent, answered = bytes(range(256)) * 4096, bytes(reversed(range(256))) * 8192
    pair.answer_with([answered[i:i + 100_000] for i in range(0, len(answered), 100_000)])
    status, body, _ = pair.exchange(body=sent)
    assert status == 200 and body == answered and pair.up.last.body == sent


def test_an_answer_streams(pair):
    """Each piece arrives before the next one is made."""
    step = threading.Semaphore(0)

    def pieces():
        for i in range(5):
            assert step.acquire(timeout=30 * FACTOR)
            yield b"piece %d;" % i
    pair.answer_with(pieces())
    if pair.client == "h2":
        with Http2(pair.gw.port()) as client:
            stream = client.headers()
            for i in range(5):
                step.release()
                client.until(lambda: client.streams[stream]["body"].endswith(b"piece %d;" % i))  # noqa: B023
            assert client.reply(stream).body.count(b"piece") == 5
    else:
        with pair.gw.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") as raw:
            for i in range(5):
                step.release()
                raw.until(b"piece %d;" % i)
            raw.until(b"0\r\n\r\n")


def test_a_head_does_not_wait_for_content(pair):
    go_on = threading.Event()

    def content():
        assert go_on.wait(30 * FACTOR)
        yield b"content"
    pair.answer_with(content())
    if pair.client == "h2":
        with Http2(pair.gw.port()) as client:
            stream = client.headers()
            client.until(lambda: client.streams[stream]["headers"])
            go_on.set()
            assert client.reply(stream).body == b"content"
    else:
        with pair.gw.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") as raw:
            assert raw.head()[0] == 200
            go_on.set()
            raw.until(b"content")


def test_what_has_no_content(pair):
    for status in (200, 204, 304):
        if pair.backend == "h1":
            pair.up.script = lambda *_: Answer(status=status)  # noqa: B023
        else:
            pair.up.script = lambda stream: stream.head(status, end=True)  # noqa: B023
        if pair.client == "h2":
            with Http2(pair.gw.port()) as client:
                assert (client.request().status, client.request().body) == (status, b"")
        else:
            with pair.gw.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2) as raw:
                assert (raw.reply().status, raw.reply().status) == (status, status)


BODILESS = [("HEAD", 200), ("GET", 204), ("GET", 304)]


@pytest.mark.parametrize("method, status, fields", [
    *((*which, []) for which in BODILESS), ("HEAD", 200, [("content-length", "7")]), ("GET", 304, [("content-length", "7")])])
def test_what_cannot_have_content_may_end_by_an_empty_frame(gateway, http2_upstream, method, status, fields):
    """Head without END_STREAM, then DATA with it. The answer behind it shows that the client has not lost its place."""
    up = http2_upstream("a")

    def script(stream):
        if stream.target == "/next":
            return up.echo(stream)
        stream.head(status, fields)
        stream.data(b"", end=True)
    up.script = script
    gw = gateway(world(h2c("a", up), route("r", rule("a"))), args=["--workers", "1"])
    with gw.raw(f"{method} / HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()) as raw:
        head, _, rest = raw.rest().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status) and b"transfer-encoding" not in head.lower()
    assert (b"content-length: 7" in head.lower()) == bool(fields)
    assert rest.startswith(b"HTTP/1.1 200 ")
    with Http2(gw.port()) as client:
        stream = client.headers("/", method)
        assert (client.reply(stream).status, client.reply(stream).body) == (status, b"")


@pytest.mark.parametrize("method, status", BODILESS)
def test_content_where_none_can_be_is_malformed(gateway, http2_upstream, method, status):
    up = http2_upstream("a")

    def script(stream):
        if stream.target == "/next":
            return up.echo(stream)
        stream.head(status)
        stream.data(b"secret")
    up.script = script
    gw = gateway(world(h2c("a", up), route("r", rule("a"))), args=["--workers", "1"])
    with gw.raw(f"{method} / HTTP/1.1\r\nHost: a\r\n\r\n".encode()) as raw:
        head, _, rest = raw.rest().partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 %d " % status, b"HTTP/1.1 502 ")) and b"secret" not in rest
    eventually(lambda: up.connections[0].streams[1].reset_code == CODES.PROTOCOL_ERROR)
    assert gw.request("/next").status == 200 and len(up.connections) == 1


# ---- back-pressure ----

def test_an_upload_waits_for_the_backends_window(gateway, http2_upstream):
    """One stream's window is shut: its client waits, and a neighbour on the same connection does not."""
    up = http2_upstream("a")

    def on_head(stream):
        if stream.target == "/shut":
            stream.reads = False
            stream.wait(lambda: stream.ungranted >= 65535)
            shut.set()
            go_on.wait(60)
            stream.grant()
        stream.wait(lambda: stream.is_complete)
        up.echo(stream) if len(stream.body) < 100_000 else stream.answer(body=str(len(stream.body)).encode())
    shut, go_on = threading.Event(), threading.Event()
    up.on_head = on_head
    gw = gateway(world(h2c("a", up), route("r", rule("a"))), args=["--workers", "1"])
    body = b"x" * (4 << 20)
    with Http2(gw.port()) as client:
        stream = client.headers("/shut", "POST", end=False)
        sent = 0
        while client.h2.local_flow_control_window(stream) > 0:
            n = min(16384, client.h2.local_flow_control_window(stream))
            client.h2.send_data(stream, body[sent:sent + n])
            sent += n
            client.flush()
            if client.h2.local_flow_control_window(stream) == 0:
                assert client.request("/open").status == 200
        assert shut.wait(20 * FACTOR) and sent < 1 << 20, "what is held is bounded"
        assert client.request("/open", body=b"y" * 50_000).json["body"] == "y" * 50_000
        go_on.set()
        client.data(stream, body[sent:], end=True)
        assert client.reply(stream).body == str(len(body)).encode()
    assert len(up.connections) == 1


@pytest.mark.parametrize("kind", ["plain", "AI"])
def test_an_answer_moves_at_its_clients_pace(gateway, http2_upstream, kind):
    """What is held of it is bounded, however long it is and whoever else is served meanwhile."""
    up = http2_upstream("a")
    whole = 16 << 20
    up.script = lambda stream: stream.answer(body=b"z" * whole) if stream.method == "POST" else up.echo(stream)
    gw = gateway(world(h2c("a", up), ai_backend("a"), ai_route("ai", ai_rule("a", matches=[model("m")])), route("r", rule("a"))),
                 args=["--workers", "1"])
    with Http2(gw.port()) as slow:
        slow.reads = False
        body = b'{"model": "m", "messages": []}'
        target = "/v1/chat/completions" if kind == "AI" else "/big"
        stream = slow.headers(target, "POST", end=False, headers=[("content-type", "application/json")])
        slow.data(stream, body, end=True)
        slow.until(lambda: len(slow.streams[stream]["body"]) == 65535)
        for _ in range(50):
            assert gw.request("/small").json["target"] == "/small"
        sent = up.connections[0].streams[1]
        assert sent.n_sent < 1 << 20
        slow.reads = True
        slow.h2.increment_flow_control_window(1 << 25)
        slow.h2.increment_flow_control_window(1 << 25, stream)
        slow.flush()
        assert len(slow.reply(stream).body) == whole


def test_a_client_that_does_not_read_stalls_nobody_else(gateway, http2_upstream):
    """More such streams than fit the connection's window, and a neighbour on the same connection."""
    up = http2_upstream("a")
    up.script = lambda stream: stream.answer(body=b"z" * (1 << 20)) if stream.target == "/big" else up.echo(stream)
    gw = gateway(world(h2c("a", up), route("r", rule("a"))), args=["--workers", "1"])
    with Http2(gw.port()) as slow:
        slow.reads = False
        streams = [slow.headers("/big") for _ in range(30)]
        slow.until(lambda: sum(len(slow.streams[s]["body"]) for s in streams) == 65535)
        up.wait_for(30)
        # Each has sent its window, which nobody takes.
        connection = up.connections[0]
        eventually(lambda: all(connection.h2.local_flow_control_window(s) == 0 for s in list(connection.streams)[:30]))
        eventually(lambda: connection.h2.outbound_flow_control_window > 0)
        for _ in range(5):
            assert gw.request("/small").json["target"] == "/small"
        slow.reads = True
        slow.h2.increment_flow_control_window(1 << 26)
        for s in streams:
            slow.h2.increment_flow_control_window(1 << 22, s)
        slow.flush()
        assert {len(slow.reply(s).body) for s in streams} == {1 << 20}
    assert len(up.connections) == 1


def test_windows_are_the_policys(gateway, http2_upstream):
    up = http2_upstream("a")
    gw = gateway(world(h2c("a", up), route("r", rule("a")), traffic(http2={
        "initialStreamWindowSize": "128Ki", "initialConnectionWindowSize": "3Mi"})))
    assert gw.request().status == 200
    connection = up.connections[0]
    assert connection.h2.remote_settings[SETTINGS.INITIAL_WINDOW_SIZE] == 128 << 10
    assert 2 << 20 < connection.h2.outbound_flow_control_window <= 3 << 20


# ---- connections that end, streams that are refused ----

def test_running_streams_survive_a_goaway_and_new_ones_go_elsewhere(gateway, http2_upstream):
    up = http2_upstream("a")
    go_on = threading.Event()

    def script(stream):
        if stream.target == "/held":
            go_on.wait(60)
        up.echo(stream)
    up.script = script
    gw = gateway(world(h2c("a", up), route("r", rule("a"))), args=["--workers", "1"])
    with Http2(gw.port()) as client:
        held = client.headers("/held")
        up.wait_for(1)
        up.connections[0].go_away(1)
        eventually(lambda: client.request("/new").status == 200 and len(up.connections) == 2)
        go_on.set()
        assert client.reply(held).json["target"] == "/held"
    up.until(lambda: up.connections[0].is_closed)
    assert [r.connection.index for r in up.requests if r.target == "/held"] == [0]


def test_a_connection_that_is_allowed_nothing_any_more_is_replaced(gateway, http2_upstream):
    up = http2_upstream("a")

    def script(stream):
        if stream.connection.index == 0:
            with stream.connection.changed:
                stream.connection.h2.update_settings({SETTINGS.MAX_CONCURRENT_STREAMS: 0})
                stream.connection.flush()
        up.echo(stream)
    up.script = script
    gw = gateway(world(h2c("a", up), route("r", rule("a"))), args=["--workers", "1"])
    assert gw.request().status == 200
    up.until(lambda: up.connections[0].is_closed)
    assert gw.request().status == 200 and len(up.connections) == 2


def test_what_a_goaway_leaves_out_is_repeated(gateway, http2_upstream):
    """Streams above the last one were not processed: a POST too goes to another connection."""
    up = http2_upstream("a")

    def on_head(stream):
        if stream.connection.index == 0:
            stream.connection.go_away(0)
        else:
            stream.wait(lambda: stream.is_complete)
            up.echo(stream)
    up.on_head = on_head
    gw = gateway(world(h2c("a", up), route("r", rule("a"))), args=["--workers", "1"])
    assert gw.request("/x", method="POST", body=b"").status == 200
    assert len(up.connections) == 2


@pytest.mark.parametrize("end", ["goaway", "fin", "reset"])
def test_what_has_not_gone_out_when_a_connection_ends_is_repeated(gateway, http2_upstream, end):
    """Both are there when the gateway looks: a request, and behind it the end of the connection that it was given to. A
    POST too: nobody has seen it."""
    up = http2_upstream("a")
    gw = gateway(world(h2c("a", up), route("r", rule("a"))), args=["--workers", "1"])
    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
    for n in range(5):
        with gw.raw(post) as raw:
            assert raw.reply().status == 200
            connection = up.last.connection
            gw.signal(signal.SIGSTOP)
            try:
                eventually(gw.is_stopped)
                raw.send(post)
                if end == "goaway":
                    connection.go_away(up.last.number)
                else:
                    connection.close(resets=end == "reset")
                    up.until(lambda: connection.is_closed)  # noqa: B023
            finally:
                gw.signal(signal.SIGCONT)
            assert raw.reply().status == 200
            assert len(up.requests) == 2 * n + 2 and up.last.connection is not connection


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_refused_stream_is_repeated(gateway, http2_upstream, method):
    up = http2_upstream("a")
    n_refused = []

    def on_head(stream):
        if len(n_refused) < 2:
            n_refused.append(stream)
            stream.reset(CODES.REFUSED_STREAM)
        else:
            up.echo(stream)
    up.on_head = on_head
    gw = gateway(world(h2c("a", up), route("r", rule("a"))), args=["--workers", "1"])
    assert gw.request("/x", method=method).status == 200
    assert len(n_refused) == 2 and len(up.connections) == 1, "there is nothing wrong with the connection"
    eventually(lambda: gw.metric("tollgate_requests_total", response_code_class="2xx") == 1)


def test_it_is_not_repeated_for_ever_nor_when_its_content_is_gone(gateway, http2_upstream):
    up = http2_upstream("a")
    up.on_head = lambda stream: stream.reset(CODES.REFUSED_STREAM)
    gw = gateway(world(h2c("a", up), route("r", rule("a"))))
    reply = gw.request("/x")
    assert (reply.status, reply.code) == (502, "upstream_reset")
    assert sum(len(c.streams) for c in up.connections) == 3

    def after_content(stream):
        stream.wait(lambda: stream.body)
        stream.reset(CODES.REFUSED_STREAM)
    up.on_head = after_content
    with gw.raw(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf ") as raw:
        assert raw.reply().status == 502
    assert sum(len(c.streams) for c in up.connections) == 4


def test_content_that_is_held_goes_out_again(gateway, http2_upstream):
    """Of an AI request the body is whole before a backend is chosen."""
    up = http2_upstream("a")
    refused = []

    def on_head(stream):
        stream.wait(lambda: stream.is_complete)
        if not refused:
            refused.append(stream)
            stream.reset(CODES.REFUSED_STREAM)
        else:
            stream.answer(headers=[("content-type", "application/json")], body=b'{"model": "m", "choices": []}')
    up.on_head = on_head
    gw = gateway(world(h2c("a", up), ai_backend("a"), ai_route("r", ai_rule("a", matches=[model("m")]))))
    reply = gw.request("/v1/chat/completions", json={"model": "m", "messages": []})
    assert reply.status == 200 and refused[0].body == up.last.body != b""


@pytest.mark.parametrize("client", ["h1", "h2"])
def test_a_stream_that_is_reset_in_the_middle_is_cut_off(gateway, http2_upstream, client):
    up = http2_upstream("a")

    def script(stream):
        if stream.target == "/whole":
            return up.echo(stream)
        stream.head()
        stream.data(b"half")
        go_on.wait(60)
        return stream.reset()
    go_on = threading.Event()
    up.script = script
    gw = gateway(world(h2c("a", up), route("r", rule("a"))), args=["--workers", "1"])
    if client == "h2":
        with Http2(gw.port()) as one:
            stream = one.headers("/cut")
            entry = one.streams[stream]
            one.until(lambda: entry["body"] == b"half")
            go_on.set()
            one.until(lambda: entry["end"] or entry["reset"] is not None)
            assert not entry["end"] and entry["reset"] != 0
    else:
        with gw.raw(b"GET /cut HTTP/1.1\r\nHost: a\r\n\r\n") as raw:
            raw.until(b"half")
            go_on.set()
            assert b"0\r\n\r\n" not in raw.rest()
    record = gw.wait_log(lambda r: r["x-envoy-origin-path"] == "/cut")
    assert record["response_flags"] == "UC"
    assert gw.request("/whole").status == 200 and len(up.connections) == 1


def test_a_stream_that_is_reset_before_an_answer_is_a_refusal(gateway, http2_upstream):
    up = http2_upstream("a")
    up.on_head = lambda stream: stream.reset() if stream.target == "/cut" else up.echo(stream)
    gw = gateway(world(h2c("a", up), route("r", rule("a"))), args=["--workers", "1"])
    assert gw.request("/").status == 200
    reply = gw.request("/cut")
    assert (reply.status, reply.code) == (502, "upstream_reset")
    assert len(up.connections) == 1 and len(up.connections[0].streams) == 2, "the backend has said no: not repeated"


def test_a_backend_that_is_killed(gateway, http2_upstream):
    up = http2_upstream("a")
    up.script = lambda stream: None if stream.target == "/held" else up.echo(stream)
    gw = gateway(world(h2c("a", up), route("r", rule("a"))), args=["--workers", "1"])
    with Http2(gw.port()) as client:
        streams = [client.headers("/held", "POST") for _ in range(20)]
        up.wait_for(20)
        up.connections[0].close(resets=True)
        assert [client.reply(s).status for s in streams] == [502] * 20
        assert client.request("/").status == 200
    eventually(lambda: gw.metric("tollgate_exchanges_active") == 0)


def test_a_backend_that_takes_nothing_does_not_hold_up_the_end(gateway):
    """Its stream is reset, and the reset does not get out: it goes with the connection."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        gw = gateway(world(h2c("a", listener.getsockname()[1]), route("r", rule("a"))), args=["--workers", "1"], drain=("0", "1"))
        with gw.raw(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n") as client:
            backend_end, _ = listener.accept()
            windows = frames.settings((frames.INITIAL_WINDOW_SIZE, 50_000_000)) + frames.window_update(0, 50_000_000)
            backend_end.sendall(windows)
            client.sock.settimeout(1 * FACTOR)
            with pytest.raises(TimeoutError):
                client.sock.sendall(bytes(50_000_000))
            gw.signal(signal.SIGTERM)
            assert gw.wait() == 0
        backend_end.close()


def test_a_client_that_leaves_resets_its_stream_alone(gateway, http2_upstream):
    up = http2_upstream("a")
    seen = []

    def script(stream):
        if stream.target == "/left":
            seen.append(stream)
            stream.wait(lambda: stream.reset_code is not None)
            left.set()
        else:
            up.echo(stream)
    left = threading.Event()
    up.script = script
    gw = gateway(world(h2c("a", up), route("r", rule("a"))), args=["--workers", "1"])
    with gw.raw(b"GET /left HTTP/1.1\r\nHost: a\r\n\r\n"):
        up.wait_for(1)
    assert left.wait(20 * FACTOR) and seen[0].reset_code == CODES.CANCEL
    assert gw.request("/").status == 200 and len(up.connections) == 1


@pytest.mark.parametrize("has_begun", [False, True], ids=["early", "late"])
def test_who_leaves_again_and_again_ends_nobody_elses_request(gateway, http2_upstream, has_begun):
    """LIMIT_H2_RESETS: the backend ends a connection by the 250th reset, as Envoy does; it comes to no such number."""
    up = http2_upstream("a")
    up.resets_max = 250
    go_on = threading.Event()

    def script(stream):
        if stream.target == "/held":
            go_on.wait(60 * FACTOR)
        elif stream.target == "/left":
            if has_begun:
                stream.head()
            return
        up.echo(stream)
    up.script = script
    gw = gateway(world(h2c("a", up), route("r", rule("a"))), args=["--workers", "1"])
    with Http2(gw.port()) as patient:
        held = patient.headers("/held", "POST")
        up.wait_for(1)
        for n in range(0, 600, 50):
            with Http2(gw.port()) as client:
                streams = [client.headers("/left", "POST") for _ in range(50)]
                up.wait_for(n + 51)
                if has_begun:
                    client.until(lambda: all(client.streams[s]["headers"] for s in streams))  # noqa: B023
            eventually(lambda: sum(c.n_resets for c in up.connections) == n + 50)  # noqa: B023
        assert 100 <= max(c.n_resets for c in up.connections) < 200
        eventually(lambda: sum(not c.is_closed for c in up.connections) <= 2, what="worn connections end when they are idle")
        go_on.set()
        assert patient.reply(held).status == 200
    assert gw.request("/").status == 200


def test_an_early_answer_ends_the_upload(gateway, http2_upstream):
    up = http2_upstream("a")
    up.on_head = lambda stream: stream.answer(status=413)
    gw = gateway(world(h2c("a", up), route("r", rule("a"))), args=["--workers", "1"])
    with gw.raw(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nhalf") as raw:
        assert raw.reply().status == 413
    eventually(lambda: up.connections[0].streams[1].reset_code == CODES.CANCEL)


# ---- backends that are no good ----

def http1_server(up):
    """One that does not know HTTP/2."""
    up.script = lambda *_: Answer(status=400, close=True)


def test_a_backend_of_http_1_is_not_reached_by_http_2(gateway, upstream):
    up = upstream("a")
    http1_server(up)
    gw = gateway(world(h2c("a", up), route("r", rule("a"))))
    reply = gw.request("/", method="POST", body=b"secret")
    assert (reply.status, reply.code) == (503, "upstream_connect_failed")
    assert not [r for r in up.requests if r.method == "POST"]


def test_one_that_says_nothing_is_given_up(gateway, http2_upstream):
    """The settings are a part of connecting."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        gw = gateway(world(h2c("a", mute.getsockname()[1]), route("r", rule("a")),
                           traffic(timeout={"tcp": {"connectTimeout": "200ms"}})))
        replies = together(5, lambda _: gw.request())
        assert [(r.status, r.code) for r in replies] == [(504, "upstream_connect_timeout")] * 5


@pytest.mark.parametrize("fields, is_answered", [
    ([("X-Upper", "1")], False), ([("connection", "close")], False), ([("transfer-encoding", "chunked")], False),
    ([("content-length", "5"), ("content-length", "6")], False), ([("a b", "1")], False), ([("x", "a\nb")], False),
    ([("x-ok", "1")], True)])
def test_heads_are_judged_as_those_of_http_1(gateway, http2_upstream, fields, is_answered):
    up = http2_upstream("a")
    up.script = lambda stream: stream.answer(headers=fields) if stream.target == "/bad" else up.echo(stream)
    gw = gateway(world(h2c("a", up), route("r", rule("a"))), args=["--workers", "1"])
    reply = gw.request("/bad")
    if is_answered:
        assert reply.status == 200 and reply.get("x-ok") == "1"
    else:
        assert (reply.status, reply.code) == (502, "upstream_bad_answer")
    assert gw.request("/").status == 200 and len(up.connections) == 1


def test_a_malformed_answer_ends_the_connection_if_the_policy_says_so(gateway, http2_upstream):
    up = http2_upstream("a")
    up.script = lambda stream: stream.answer(headers=[("X-Upper", "1")]) if stream.target == "/bad" else up.echo(stream)
    gw = gateway(world(h2c("a", up), route("r", rule("a")), traffic(http2={"onInvalidMessage": "TerminateConnection"})), args=["--workers", "1"])
    reply = gw.request("/bad")
    assert (reply.status, reply.code) == (502, "upstream_bad_answer")
    up.until(lambda: up.connections[0].is_closed)
    assert gw.request("/").status == 200 and len(up.connections) == 2


def test_interim_heads_are_bounded(gateway, http2_upstream):
    up = http2_upstream("a")

    def script(stream):
        for _ in range(16 if stream.target == "/few" else 17):
            stream.head(103, [("link", "</x>")])
        stream.answer(body=b"done")
    up.script = script
    gw = gateway(world(h2c("a", up), route("r", rule("a"))))
    assert gw.request("/few").body == b"done"
    reply = gw.request("/many")
    assert (reply.status, reply.code) == (502, "upstream_bad_answer")


def raw_frames(stream, frames):
    with stream.connection.changed:
        stream.connection.sock.sendall(frames)


FLOODS = {"ping": b"\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678", "settings": b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
          "priority": b"\x00\x00\x05\x02\x00\x00\x00\x00\x01\x00\x00\x00\x00\x10", "window": b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x01",
          "empty": b"\x00\x00\x00\x00\x00\x00\x00\x00\x01"}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_backend_that_floods_loses_its_connection(gateway, http2_upstream, flood):
    """LIMIT_H2_GLITCHES, from the other side."""
    up, good = http2_upstream("a"), http2_upstream("b")

    def script(stream):
        stream.head()
        while not stream.connection.is_closed:
            raw_frames(stream, FLOODS[flood] * 200)
    up.script = script
    gw = gateway(world(h2c("a", up), h2c("b", good), route("r", rule("a", matches=[path("/flood")]), rule("b"))))
    with gw.raw(b"GET /flood HTTP/1.1\r\nHost: a\r\n\r\n") as raw:
        assert raw.head()[0] == 200
        assert b"0\r\n\r\n" not in raw.rest()
    up.until(lambda: up.connections[0].is_closed)
    assert gw.request("/").status == 200
    eventually(lambda: gw.metric("tollgate_exchanges_active") == 0)


def test_a_backend_that_has_died_without_a_word_is_noticed(gateway, http2_upstream):
    """By a PING that is not answered; the others of the connection learn it too."""
    up = http2_upstream("a")
    up.script = lambda stream: setattr(up, "is_deaf", True) if stream.target == "/last" else None
    gw = gateway(world(h2c("a", up), route("r", rule("a")),
                       traffic(http2={"connectionKeepalive": {"interval": "400ms", "timeout": "200ms"}})), args=["--workers", "1"])
    with Http2(gw.port()) as client:
        streams = [client.headers(f"/{i}", "POST") for i in range(3)]
        up.wait_for(3)
        streams.append(client.headers("/last", "POST"))
        assert [client.reply(s).status for s in streams] == [502] * 4
        up.is_deaf = False
        up.script = up.echo
        assert client.request("/").status == 200
    assert len(up.connections) == 2


def test_one_that_is_only_slow_is_not_given_up(gateway, http2_upstream):
    up = http2_upstream("a")

    def script(stream):
        stream.wait(lambda: stream.connection.n_pings >= 3)
        up.echo(stream)
    up.script = script
    gw = gateway(world(h2c("a", up), route("r", rule("a")),
                       traffic(http2={"connectionKeepalive": {"interval": "100ms", "timeout": "90ms"}})))
    assert gw.request("/").status == 200


# ---- which protocol ----

def tls_backend(name, up, **spec):
    return backend(name, up, tls={"insecureSkipVerify": True, "sni": "a.test"}, **spec)


@pytest.mark.parametrize("offers, version", [(["h2", "http/1.1"], "h2"), (["h2"], "h2"), (["http/1.1"], "h1"), (None, "h1")])
def test_over_tls_the_backend_chooses(gateway, upstream, http2_upstream, authority, tmp_path, offers, version):
    context = authority.server(tmp_path, "a.test")
    if offers:
        context.set_alpn_protocols(offers)
    up = (http2_upstream if version == "h2" else upstream)("a", tls=context)
    gw = gateway(world(tls_backend("a", up), route("r", rule("a"))), args=["--workers", "1"])
    replies = together(10, lambda i: gw.request(f"/{i}", json={"a": i}))
    assert [r.json["target"] for r in replies] == [f"/{i}" for i in range(10)]
    if version == "h2":
        assert len(up.connections) == 1
        before = gw.request("/again").status
        assert before == 200 and len(up.connections) == 1


@pytest.mark.parametrize("offered, version", [(["http/1.1"], "h1"), (["h2", "http/1.1"], "h2"), (["h2"], "h2"), (["http/1.0"], "h1")])
def test_what_is_offered_is_the_backends_to_say(gateway, upstream, http2_upstream, authority, tmp_path, offered, version):
    context = authority.server(tmp_path, "a.test")
    context.set_alpn_protocols(["h2", "http/1.1"])
    up = (http2_upstream if version == "h2" else upstream)("a", tls=context)
    gw = gateway(world(backend("a", up, tls={"insecureSkipVerify": True, "sni": "a.test", "alpnProtocols": offered}), route("r", rule("a"))))
    assert gw.request("/x").json["target"] == "/x"


def test_where_h2_is_all_that_is_offered_nothing_else_is_spoken(gateway, upstream, authority, tmp_path):
    up = upstream("a", tls=authority.server(tmp_path, "a.test"))
    gw = gateway(world(backend("a", up, tls={"insecureSkipVerify": True, "sni": "a.test", "alpnProtocols": ["h2"]}), route("r", rule("a"))))
    assert gw.request().status == 503 and not up.requests


@pytest.mark.parametrize("offers", [["http/1.1"], None])
def test_where_http_2_is_asked_for_nothing_else_is_spoken(gateway, upstream, authority, tmp_path, offers):
    context = authority.server(tmp_path, "a.test")
    if offers:
        context.set_alpn_protocols(offers)
    up = upstream("a", tls=context)
    gw = gateway(world(tls_backend("a", up, **H2C), route("r", rule("a"))))
    reply = gw.request()
    assert (reply.status, reply.code) == (503, "upstream_connect_failed") and not up.requests


def test_where_it_is_asked_for_over_tls_it_is_spoken(gateway, http2_upstream, authority, tmp_path):
    context = authority.server(tmp_path, "a.test")
    context.set_alpn_protocols(["http/1.1", "h2"])
    up = http2_upstream("a", tls=context)
    gw = gateway(world(tls_backend("a", up, **H2C), route("r", rule("a"))))
    assert gw.request().status == 200


@pytest.mark.parametrize("protocol, is_http2", [("kubernetes.io/h2c", True), ("grpc", True), ("http", False)])
def test_a_service_says_it_by_its_port(gateway, upstream, http2_upstream, protocol, is_http2):
    up = (http2_upstream if is_http2 else upstream)("a")
    made, slices = service("s", 80, up.port)
    made["spec"]["ports"][0]["appProtocol"] = protocol
    gw = gateway(world(made, slices, route("r", rule({"name": "s", "port": 80}))))
    assert gw.request("/x").json["target"] == "/x"


WEBSOCKET = (b"GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
             b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")


def test_an_upgrade_is_refused_where_the_backend_takes_none(plain):
    gw, up = plain
    with gw.raw(WEBSOCKET) as raw:
        reply = raw.reply()
    assert (reply.status, reply.code) == (501, "upgrade_unsupported")
    assert not up.requests and gw.request().status == 200


@pytest.fixture
def tunnels(gateway, http2_upstream):
    """A backend that takes extended CONNECT, and gives back what it gets in upper case, and then a last word."""
    up = http2_upstream("a", settings={SETTINGS.ENABLE_CONNECT_PROTOCOL: 1})

    def on_head(stream):
        if stream.target == "/no":
            return stream.answer(status=403, body=b"no")
        if stream.target == "/plain":
            stream.wait(lambda: stream.is_complete)
            return up.echo(stream)
        stream.head(200, [("sec-websocket-protocol", "chat")])
        n = 0
        while not stream.is_complete:
            stream.wait(lambda: len(stream.body) > n or stream.is_complete)  # noqa: B023
            piece, n = stream.body[n:], len(stream.body)
            if piece:
                stream.data(piece.upper())
        return stream.data(b"bye", end=True)
    up.on_head = on_head
    return gateway(world(h2c("a", up), route("r", rule("a"))), args=["--workers", "1"]), up


def test_an_upgrade_is_an_extended_connect_where_the_backend_takes_such(tunnels):
    gw, up = tunnels
    with gw.raw(WEBSOCKET) as raw:
        status, headers = raw.head()
        fields = dict(headers)
        assert (status, fields["upgrade"].lower(), fields["sec-websocket-protocol"]) == (101, "websocket", "chat")
        assert fields["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert not {"content-length", "transfer-encoding"} & set(fields)
        for word in (b"one", b"two"):
            raw.send(word)
            assert raw.exactly(3) == word.upper()
        assert gw.request("/plain").status == 200, "on the same connection"
    assert len(up.connections) == 1
    seen = up.connections[0].streams[1]
    assert (seen.method, seen.get(":protocol"), seen.target, seen.get(":authority")) == ("CONNECT", "websocket", "/ws", "a.test")
    assert seen.get("sec-websocket-version") == "13"
    assert not {"sec-websocket-key", "upgrade", "connection", "content-length"} & {name for name, _ in seen.fields}


def test_from_a_client_of_http_2_to_a_backend_of_http_2(tunnels):
    gw, up = tunnels
    with Http2(gw.port()) as client:
        client.until(lambda: client.h2.remote_settings.enable_connect_protocol == 1)
        stream = client.headers("/ws", "CONNECT", end=False, protocol="websocket", headers=[("sec-websocket-version", "13")])
        entry = client.streams[stream]
        client.data(stream, b"early ")
        client.until(lambda: entry["body"] == b"EARLY ")
        assert dict(entry["headers"])[":status"] == "200" and "sec-websocket-accept" not in dict(entry["headers"])
        client.data(stream, b"last", end=True)
        client.until(lambda: entry["end"])
        assert entry["body"] == b"EARLY LASTbye"
        assert "sec-websocket-key" not in {name for name, _ in up.connections[0].streams[1].fields}


def test_a_no_to_an_extended_connect_is_an_answer(tunnels):
    gw, _ = tunnels
    with gw.raw(WEBSOCKET.replace(b"/ws", b"/no")) as raw:
        reply = raw.reply()
    assert (reply.status, reply.body) == (403, b"no")


def test_a_tunnel_ends_with_its_client(tunnels):
    gw, up = tunnels
    with gw.raw(WEBSOCKET) as raw:
        assert raw.head()[0] == 101
    eventually(lambda: up.connections[0].streams[1].reset_code is not None or up.connections[0].streams[1].is_complete)
    eventually(lambda: gw.metric("tollgate_exchanges_active") == 0)


def test_where_the_protocol_is_negotiated_an_upgrade_gets_http_1(gateway, upstream, http2_upstream, authority, tmp_path):
    """The backend would choose HTTP/2, and is offered HTTP/1.1 alone."""
    context = authority.server(tmp_path, "a.test")
    context.set_alpn_protocols(["h2", "http/1.1"])
    chosen = []

    def script(request, connection):
        chosen.append(connection.sock.selected_alpn_protocol())
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhi")
        while connection.recv():
            pass
    up = upstream("a", tls=context)
    up.script = script
    gw = gateway(world(tls_backend("a", up), route("r", rule("a"))))
    with gw.raw(WEBSOCKET) as raw:
        assert raw.head()[0] == 101 and raw.exactly(2) == b"hi"
    assert chosen == ["http/1.1"]


# ---- who asks besides ----

def test_keys_and_authorizers_are_asked_over_it(gateway, upstream, http2_upstream, issuer):
    up, keys, authorizer = http2_upstream("a"), http2_upstream("keys"), http2_upstream("authorizer")
    who = issuer()
    keys.script = lambda stream: stream.answer(headers=[("content-type", "application/json")], body=json.dumps(who.jwks()).encode())
    verdicts = [CODES.REFUSED_STREAM, 200, 403]

    def verdict(stream):
        what = verdicts.pop(0)
        stream.reset(what) if isinstance(what, CODES) else stream.answer(status=what, body=b"verdict")
    authorizer.script = verdict
    provider = {"name": "p", "issuer": who.name, "remoteJWKS": {"uri": f"http://127.0.0.1:{keys.port}/keys", "backendRefs": [
        {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "keys", "port": keys.port}]}}
    gw = gateway(world(h2c("a", up), h2c("keys", keys), h2c("authorizer", authorizer), route("r", rule("a")),
                       security_policy("s", target("HTTPRoute", "r"), jwt={"providers": [provider]},
                                       extAuth={"http": {"backendRefs": [to("authorizer")]}})))
    assert gw.request(token=who.token()).status == 200 and not verdicts[1:]
    reply = gw.request(token=who.token())
    assert (reply.status, reply.body) == (403, b"verdict")
    assert keys.last.target == "/keys" and len(up.requests) == 1


def test_copies_go_over_it(gateway, upstream, http2_upstream):
    up, copy = upstream("a"), http2_upstream("copy")
    gw = gateway(world(backend("a", up), h2c("copy", copy), route("r", rule("a", filters=[
        {"type": "RequestMirror", "requestMirror": {"backendRef": to("copy")}}]))))
    assert gw.request("/x", body=b"content").status == 200
    assert copy.wait_for(1)[0].body == b"content"
