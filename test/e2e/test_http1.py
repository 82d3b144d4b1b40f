"""HTTP/1.1 on both sides: framing, connections, streaming, and what is refused (RFC 9112)."""
import hashlib
import os
import threading

import pytest

from play.deadline import eventually
from play.manifests import backend, client_policy, route, rule, world
from play.upstream import Answer

GET = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"


@pytest.fixture
def pair(gateway, upstream):
    """A gateway with one backend behind one rule."""
    up = upstream("a")
    return gateway(world(backend("a", up), route("r", rule("a")))), up


def test_keep_alive_on_both_sides(pair):
    gw, up = pair
    with gw.raw() as raw:
        for n in range(5):
            raw.send(GET)
            assert raw.reply().status == 200, n
    assert len(up.requests) == 5 and up.n_connections == 1


def test_pipelined_requests_are_answered_in_order(pair):
    gw, _ = pair
    with gw.raw(b"".join(b"GET /%d HTTP/1.1\r\nHost: a.test\r\n\r\n" % n for n in range(10))) as raw:
        assert [raw.reply().json["target"] for _ in range(10)] == [f"/{n}" for n in range(10)]


def test_head_has_the_length_and_no_body(pair):
    gw, _ = pair
    with gw.raw(b"HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n" + GET) as raw:
        reply = raw.reply(is_head=True)
        assert reply.status == 200 and int(reply.get("content-length")) > 0
        assert raw.reply().json["method"] == "GET"


def test_http_1_0_closes_unless_asked(pair):
    gw, _ = pair
    with gw.raw(b"GET / HTTP/1.0\r\nHost: a.test\r\n\r\n") as raw:
        assert raw.reply().status == 200 and raw.is_closed()


def test_a_chunked_answer_reaches_an_http_1_0_client_unchunked(pair):
    gw, up = pair
    up.script = lambda _r, _c: Answer(chunks=[b"one", b"two"])
    with gw.raw(b"GET / HTTP/1.0\r\nHost: a.test\r\n\r\n") as raw:
        status, headers = raw.head()
        assert status == 200 and "transfer-encoding" not in dict(headers) and raw.rest() == b"onetwo"


def test_connection_close_is_obeyed(pair):
    gw, _ = pair
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n") as raw:
        reply = raw.reply()
        assert reply.get("connection") == "close" and raw.is_closed()


def test_100_continue(pair):
    gw, up = pair
    with gw.raw(b"POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n") as raw:
        assert raw.head()[0] == 100
        raw.send(b"body")
        assert raw.reply().status == 200
    assert up.last.body == b"body"


def test_chunked_both_ways_with_trailers(pair):
    gw, up = pair
    up.script = lambda _r, _c: Answer(chunks=[b"a" * 10, b"b" * 70000], trailers=[("x-sum", "42")])
    with gw.raw(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n"
                b"Trailer: x-check\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-Check: ok\r\n\r\n") as raw:
        reply = raw.reply()
    assert reply.body == b"a" * 10 + b"b" * 70000
    assert up.last.body == b"hello world"
    assert reply.get("trailer:x-sum") == "42" and ("x-check", "ok") in up.last.trailers


def test_big_bodies_both_ways(pair):
    gw, up = pair
    data = os.urandom(8 << 20)
    up.script = lambda request, _c: Answer(body=request.body[::-1])
    assert hashlib.sha256(gw.request("/", body=data).body).digest() == hashlib.sha256(data[::-1]).digest()


def test_a_request_whose_last_bytes_had_to_wait_is_complete_all_the_same(pair):
    """The backend reads late, so the last piece of the content meets a full pipe; its end is told nevertheless,
    and the connection serves the next request."""
    gw, up = pair
    up.script = lambda request, _c: Answer(body=b"%d" % len(request.body))
    late = threading.Event()
    up.on_head = lambda *_: late.wait(0.05) or None  # never set: the pipe fills meanwhile
    with gw.raw() as raw:
        for n_bytes in range(4_000_000, 5_000_000, 130_000):
            raw.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n" % n_bytes + b"x" * n_bytes)
            assert raw.reply().body == b"%d" % n_bytes
    assert up.n_connections == 1


def test_an_answer_nobody_reads_does_not_fill_memory(pair):
    gw, up = pair
    sent = [0]
    block = b"x" * 65536

    def endless(_request, connection):
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 4294967296\r\n\r\n")
        connection.sock.settimeout(1.5)
        while True:
            connection.send(block)
            sent[0] += len(block)

    up.script = endless
    before = gw.metric("process_resident_memory_bytes")
    with gw.raw(GET) as raw:
        raw.head()
        eventually(lambda: sent[0] > 1 << 20, what="the backend to fill the buffers")
        last = -1
        while last != sent[0]:
            last = sent[0]
            threading.Event().wait(0.5)
        assert sent[0] < 64 << 20  # socket buffers of the kernel, and our 64 KiB
        assert gw.metric("process_resident_memory_bytes") - before < 16 << 20


def test_events_pass_at_once(pair):
    gw, up = pair
    go = threading.Event()

    def events(_request, connection):
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                        b"transfer-encoding: chunked\r\n\r\n8\r\ndata: 1\n\r\n")
        go.wait(20)
        connection.send(b"8\r\ndata: 2\n\r\n0\r\n\r\n")
        return None

    up.script = events
    with gw.raw(GET) as raw:
        assert raw.head()[0] == 200 and raw.chunk() == b"data: 1\n"
        go.set()
        assert raw.chunk() == b"data: 2\n" and raw.chunk() == b""


def test_the_request_streams_while_the_answer_comes(pair):
    gw, up = pair

    def duplex(_request, connection):
        connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(2):
            size = int(connection.read_until(b"\r\n"), 16)
            data = connection.read_exactly(size + 2)[:-2]
            connection.send(b"%x\r\n%s\r\n" % (size, data.upper()))
        connection.read_until(b"0\r\n\r\n")
        connection.send(b"0\r\n\r\n")
        return False

    up.on_head = duplex
    with gw.raw(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n") as raw:
        assert raw.head()[0] == 200
        for word in (b"one", b"three"):
            raw.send(b"%x\r\n%s\r\n" % (len(word), word))
            assert raw.chunk() == word.upper()
        raw.send(b"0\r\n\r\n")
        assert raw.chunk() == b""


def test_websocket_upgrade(pair):
    gw, up = pair

    def talk(request, connection):
        assert request.get("upgrade").lower() == "websocket"
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                        b"Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhi")
        while connection.buffer or connection.recv():
            data, connection.buffer = connection.buffer, b""
            connection.send(data.upper())
        return None

    up.script = talk
    with gw.raw(b"GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n") as raw:
        status, headers = raw.head()
        assert status == 101 and dict(headers)["upgrade"].lower() == "websocket"
        assert raw.exactly(2) == b"hi"
        raw.send(b"\x81\x00abc")
        assert raw.exactly(5) == b"\x81\x00ABC"


def test_other_upgrades_are_not_passed_on(pair):
    gw, up = pair
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n") as raw:
        assert raw.reply().status == 200
    assert up.last.get("upgrade") is None and up.last.get("http2-settings") is None


def test_hop_by_hop_headers_stay(pair):
    gw, up = pair
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n"
                b"Proxy-Connection: keep-alive\r\nTE: gzip\r\nX-Stays: 1\r\n\r\n") as raw:
        assert raw.reply().status == 200
    for name in ("x-hop", "keep-alive", "proxy-connection", "te"):
        assert up.last.get(name) is None, name
    assert up.last.get("x-stays") == "1"


def test_a_204_and_a_304_have_no_body(pair):
    gw, up = pair
    for status in (204, 304):
        up.script = lambda _r, _c, s=status: Answer(status=s)
        with gw.raw(GET + GET) as raw:
            assert raw.reply().status == status and raw.reply().status == status


def test_interim_answers_before_the_final_one(pair):
    gw, up = pair

    def early(_request, connection):
        connection.send(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
                        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        return None

    up.script = early
    with gw.raw(GET) as raw:
        reply = raw.reply()
        if reply.status == 103:
            reply = raw.reply()
        assert (reply.status, reply.body) == (200, b"ok")


@pytest.mark.parametrize("answer,code", [
    (b"nonsense\r\n\r\n", "upstream_bad_answer"),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx", "upstream_bad_answer"),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", "upstream_bad_answer"),
    (b"", "upstream_reset")])
def test_what_a_backend_may_not_answer(pair, answer, code):
    gw, up = pair

    def wrong(_request, connection):
        connection.send(answer)
        return None

    up.script = wrong
    reply = gw.request("/", body=b"x")
    assert (reply.status, reply.code) == (502, code)


def test_an_answer_cut_short_is_visibly_cut(pair):
    gw, up = pair
    up.script = lambda _r, c: c.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort")
    with gw.raw(GET) as raw:
        assert raw.head()[0] == 200 and raw.rest() == b"short"
    up.script = lambda _r, c: c.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nshort\r\n")
    with gw.raw(GET) as raw:
        assert raw.head()[0] == 200 and b"0\r\n\r\n" not in raw.rest()


def test_a_backend_that_is_not_there(gateway, upstream):
    up = upstream("gone")
    up.stop()
    gw = gateway(world(backend("gone", up), route("r", rule("gone"))))
    reply = gw.request("/")
    assert (reply.status, reply.code) == (503, "upstream_connect_failed")


def test_a_request_timeout(gateway, upstream):
    up = upstream("slow")
    release = threading.Event()

    def wait(_request, _connection):
        release.wait(30)

    up.script = wait
    gw = gateway(world(backend("slow", up), route("r", rule("slow", timeouts={"request": "200ms"}))))
    reply = gw.request("/")
    release.set()
    assert (reply.status, reply.code) == (504, "upstream_timeout")


def test_a_client_that_leaves_frees_the_backend(pair):
    gw, up = pair
    left = threading.Event()

    def wait(_request, connection):
        if not connection.recv():
            left.set()

    up.script = wait
    with gw.raw(GET):
        up.wait_for(1)
    assert left.wait(20)


def test_a_slow_head_is_408(gateway, upstream):
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a")), client_policy(
        "slow", timeout={"http": {"requestReceivedTimeout": "300ms", "idleTimeout": "5s"}},
        headers={})))
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a") as raw:
        reply = raw.reply()
        assert (reply.status, reply.code) == (408, "request_timeout") and raw.is_closed()


BAD = {
    "two lengths": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400, "bad_framing"),
    "list of lengths": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\nab", 400, "bad_framing"),
    "signed length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na", 400, "bad_framing"),
    "huge length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400, "bad_framing"),
    "length and chunked": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "bad_framing"),
    "xchunked": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400, "bad_framing"),
    "chunked not last": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400, "bad_framing"),
    "chunked twice": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "bad_framing"),
    "chunked in 1.0": (b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "bad_framing"),
    "obs-fold": (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400, "bad_header"),
    "space before colon": (b"GET / HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n", 400, "bad_header"),
    "bare CR": (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400, "bad_header"),
    "bare LF": (b"GET / HTTP/1.1\nHost: a\n\n", 400, None),
    "NUL": (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400, "bad_header"),
    "empty name": (b"GET / HTTP/1.1\r\nHost: a\r\n: a\r\n\r\n", 400, "bad_header"),
    "underscore": (b"GET / HTTP/1.1\r\nHost: a\r\nx_tenant: a\r\n\r\n", 400, "underscore_in_header_name"),
    "big head": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 70000 + b"\r\n\r\n", 431, "head_too_large"),
    "many headers": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 200 + b"\r\n", 431, "too_many_headers"),
    "long target": (b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "uri_too_long"),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400, "bad_host"),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "bad_host"),
    "bad host": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "bad_host"),
    "user in host": (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, "bad_host"),
    "connect": (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 405, "method_not_allowed"),
    "bad method": (b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request_line"),
    "two spaces": (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, None),
    "no slash": (b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_target"),
    "fragment": (b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, None),
    "version 2.0": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "http_version_not_supported"),
    "version 1.2x": (b"GET / HTTP/1.2x\r\nHost: a\r\n\r\n", 400, None),
    "garbage": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, None),
    "expectation": (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: the-unexpected\r\n\r\n", 417, "expectation_failed"),
    "connection names host": (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n", 400, "bad_connection_header"),
    "connection names authorization": (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: authorization\r\n\r\n", 400, "bad_connection_header"),
    "connection names length": (b"POST / HTTP/1.1\r\nHost: a\r\nConnection: content-length\r\nContent-Length: 0\r\n\r\n", 400, "bad_connection_header"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_head_is_refused_and_the_connection_closed(pair, name):
    gw, up = pair
    data, status, code = BAD[name]
    with gw.raw(data) as raw:
        reply = raw.reply()
        assert reply.status == status and reply.get("connection") == "close"
        assert reply.code == (code or reply.code)
        assert raw.rest() == b""
    assert not up.requests


@pytest.mark.parametrize("chunks", [b"zz\r\n", b"-1\r\nx\r\n", b"5\nhello\n0\n\n", b"3\r\nhello\r\n0\r\n\r\n",
                                    b"ffffffffffffffffff\r\n", b"1;" + b"x" * 2000 + b"\r\na\r\n0\r\n\r\n"])
def test_bad_chunks_are_refused(pair, chunks):
    gw, up = pair
    with gw.raw(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks) as raw:
        reply = raw.reply()
        assert (reply.status, reply.code) == (400, "bad_chunk") and raw.rest() == b""
    assert not up.requests


def test_absolute_form_and_asterisk(pair):
    gw, up = pair
    with gw.raw(b"GET http://b.test/x?y=1 HTTP/1.1\r\nHost: a.test\r\n\r\n") as raw:
        reply = raw.reply()
        if reply.status == 200:  # RFC 9112 3.2.2: the target's authority is the host
            assert (up.last.target, up.last.get("host")) == ("/x?y=1", "b.test")
        else:
            assert reply.status == 400
    with gw.raw(b"OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n") as raw:
        assert raw.reply().status in (200, 204, 400, 404)


def dripping(connection, n=20):
    connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    try:
        for _ in range(n):
            connection.send(b"1\r\nx\r\n")
            threading.Event().wait(0.1)
        connection.send(b"0\r\n\r\n")
    except OSError:
        pass


def test_the_time_of_a_backend_request_is_that_of_the_whole_answer(gateway, upstream):
    up = upstream("a")
    up.script = lambda _r, c: dripping(c)
    gw = gateway(world(backend("a", up), route("r", rule("a", timeouts={"backendRequest": "300ms"}))))
    with gw.raw(GET) as raw:
        assert raw.head()[0] == 200
        assert not raw.rest().endswith(b"0\r\n\r\n"), "cut off, and visibly so"


def test_a_client_certificate_header_of_a_client_is_removed(pair):
    gw, up = pair
    assert gw.request(headers=[("x-forwarded-client-cert", "Hash=0")]).status == 200
    assert up.last.all("x-forwarded-client-cert") == []
