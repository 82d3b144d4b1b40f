"""The known attacks on a front door that speaks HTTP/2, each with the bound that stops it, and a fresh client that is
served within 100 ms meanwhile. Frames are made by hand where no well-behaved library would send them."""
import socket
import time

import pytest
from hpack import Encoder
from hyperframe.frame import (ContinuationFrame, DataFrame, GoAwayFrame, HeadersFrame, PingFrame, PriorityFrame, RstStreamFrame,
                              SettingsFrame, WindowUpdateFrame)

from play.deadline import FACTOR, eventually
from play.http2 import Http2
from play.manifests import backend, client_policy, path, route, rule, world
from play.memory import anonymous_kib, is_sanitized
from play.others import Others
from play.upstream import Answer

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SettingsFrame(0).serialize()
GET = [(":method", "GET"), (":scheme", "http"), (":authority", "a.test"), (":path", "/attack")]
POST = [(":method", "POST"), *GET[1:]]
CALM = 11  # ENHANCE_YOUR_CALM


def headers(stream, fields, *flags):
    """A head whose fields no compression remembers."""
    frame = HeadersFrame(stream, b"".join(Encoder()._encode_literal(n.encode(), v.encode(), b"\x00", False) for n, v in fields))
    frame.flags.add("END_HEADERS")
    for flag in flags:
        frame.flags.add(flag)
    return frame.serialize()


def data(stream, content=b"", end=False):
    frame = DataFrame(stream, content)
    if end:
        frame.flags.add("END_STREAM")
    return frame.serialize()


@pytest.fixture
def front(gateway, upstream):
    """A gateway, its backend, and others. Malformed messages end their stream alone, so that each is seen."""
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a")), client_policy("clients", http2={"onInvalidMessage": "TerminateStream"})))
    return gw, up, Others(gw)


def unsent(client):
    """A stream of which the client believes that it has opened it; the first of its connection."""
    stream = client.headers(flush=False)
    client.h2.data_to_send()
    client.h2.encoder = Encoder()
    return stream


def attacked(up):
    return [request for request in up.requests if request.target != "/fresh"]


# ---- injection on the way down to HTTP/1 ----

MALFORMED = "nghttp2: RFC 9113 8.2.1, a stream error"
REFUSED = "h2.c, on_invalid_header: what is no header makes the message faulty"
JUDGED = "h2_head.c: as HTTP/1"
INJECTIONS = {
    "a line end in a value": ([*GET, ("x", "a\r\nx-injected: 1")], REFUSED),
    "a bare CR in a value": ([*GET, ("x", "a\rb")], REFUSED),
    "a bare LF in a value": ([*GET, ("x", "a\nb")], REFUSED),
    "a NUL in a value": ([*GET, ("x", "a\0b")], REFUSED),
    "a whole request in a value": ([*GET, ("x", "a\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a")], REFUSED),
    "a colon in a name": ([*GET, ("x: y", "1")], REFUSED),
    "a space in a name": ([*GET, ("x y", "1")], REFUSED),
    "a line end in a name": ([*GET, ("x: 1\r\ny", "1")], REFUSED),
    "an upper-case name": ([*GET, ("X-A", "1")], MALFORMED),
    "an empty name": ([*GET, ("", "1")], REFUSED),
    "a line end in the path": ([*GET[:3], (":path", "/ HTTP/1.1\r\nHost: b\r\n\r\nGET /smuggled")], MALFORMED),
    "a space in the path": ([*GET[:3], (":path", "/ HTTP/1.1")], MALFORMED),
    "a fragment in the path": ([*GET[:3], (":path", "/a#b")], JUDGED),
    "an absolute path": ([*GET[:3], (":path", "http://b.test/")], MALFORMED),
    "an empty path": ([*GET[:3], (":path", "")], MALFORMED),
    "a line end in the method": ([(":method", "GET / HTTP/1.1\r\nx: "), *GET[1:]], MALFORMED),
    "a space in the method": ([(":method", "GET /smuggled"), *GET[1:]], MALFORMED),
    "a method in lower case": ([(":method", "get"), *GET[1:]], JUDGED),
    "a line end in the host": ([*GET[:2], (":authority", "a.test\r\nx: 1"), GET[3]], MALFORMED),
    "credentials in the host": ([*GET[:2], (":authority", "user@a.test"), GET[3]], JUDGED),
    "a path in the host": ([*GET[:2], (":authority", "a.test/b"), GET[3]], MALFORMED),
    "two hosts": ([*GET, ("host", "b.test")], JUDGED),
    "Host twice": ([*GET, ("host", "a.test"), ("host", "a.test")], MALFORMED),
    "a pseudo-header behind a header": ([*GET[:3], ("x", "1"), GET[3]], MALFORMED),
    "a pseudo-header twice": ([*GET, (":path", "/b")], MALFORMED),
    "an answer's pseudo-header": ([*GET, (":status", "200")], MALFORMED),
    "Transfer-Encoding": ([*GET, ("transfer-encoding", "chunked")], MALFORMED),
    "Connection": ([*GET, ("connection", "x-tenant")], MALFORMED),
    "Upgrade": ([*GET, ("upgrade", "h2c")], MALFORMED),
    "TE but trailers": ([*GET, ("te", "gzip")], MALFORMED),
    "two lengths": ([*GET, ("content-length", "0"), ("content-length", "5")], MALFORMED),
    "a length with a sign": ([*GET, ("content-length", "+0")], MALFORMED),
    "a length that wraps": ([*GET, ("content-length", "18446744073709551616")], MALFORMED),
}


@pytest.mark.parametrize("name", INJECTIONS)
def test_what_http_1_could_not_carry_reaches_no_backend(front, name):
    """The second column of INJECTIONS names the bound."""
    gw, up, others = front
    fields, bound = INJECTIONS[name]
    with Http2(gw.port()) as client:
        stream = unsent(client)
        client.sock.sendall(headers(stream, fields, "END_STREAM"))
        entry = client.streams[stream]
        client.until(lambda: entry["end"] or entry["reset"] is not None)
        status = dict(entry["headers"])[":status"] if entry["headers"] else None
        assert (entry["reset"], status) == ((1, None) if bound == MALFORMED else (None, "400")), bound
        others.come(5)
        assert client.request("/fresh").status == 200, "the connection goes on"
    assert attacked(up) == [], bound
    others.check()


@pytest.mark.parametrize("length, contents", [(5, [b"hello and more"]), (5, [b"he"]), (3, [b"GET /smuggled HTTP/1.1\r\n\r\n"])])
def test_a_length_that_lies_resets_the_stream(front, length, contents):
    """nghttp2 counts (RFC 9113 8.1.1); what went to the backend before is cut off, never completed."""
    gw, up, others = front
    with Http2(gw.port()) as client:
        stream = client.headers("/attack", "POST", headers=[("content-length", str(length))], end=False)
        for at, content in enumerate(contents):
            client.sock.sendall(data(stream, content, at == len(contents) - 1))
        client.until(lambda: client.streams[stream]["reset"] is not None)
        assert client.streams[stream]["reset"] == 1
        others.come(5)
        assert client.request("/fresh").status == 200
    assert attacked(up) == []
    others.check()


@pytest.mark.parametrize("target, seen", [("//a", "/a"), ("/x/../a", "/a"), ("/./a", "/a"), ("/%61", "/a"), ("/a;b", "/a;b")])
def test_the_path_that_is_judged_is_the_one_that_is_sent(front, target, seen):
    """path_normalize, as for HTTP/1."""
    gw, up, _ = front
    with Http2(gw.port()) as client:
        assert client.request(target).status == 200
    assert up.last.target == seen


# ---- floods ----

def flood_rapid_reset(n):  # CVE-2023-44487
    return headers(2 * n + 1, GET, "END_STREAM") + RstStreamFrame(2 * n + 1, 8).serialize()


def flood_made_you_reset_by_window(n):  # CVE-2025-8671
    return headers(2 * n + 1, POST) + WindowUpdateFrame(2 * n + 1, 2**31 - 1).serialize()


def flood_made_you_reset_by_length(n):
    return headers(2 * n + 1, [*POST, ("content-length", "1")]) + data(2 * n + 1, b"ab", True)


def flood_made_you_reset_by_head(n):
    return headers(2 * n + 1, [*GET, ("connection", "close")], "END_STREAM")


def flood_settings(_):  # CVE-2019-9515
    return SettingsFrame(0, {4: 65535}).serialize()


def flood_ping(_):  # CVE-2019-9512
    return PingFrame(0, b"12345678").serialize()


def flood_priority(n):  # CVE-2019-9513
    return PriorityFrame(2 * (n % 1000) + 1, depends_on=0, stream_weight=n % 255).serialize()


def flood_empty_data(n):  # CVE-2019-9518
    return (headers(1, POST) if n == 0 else b"") + data(1)


def flood_window_of_a_byte(_):
    return WindowUpdateFrame(0, 1).serialize()


def flood_goaway(_):
    return GoAwayFrame(0, 0, 0).serialize()


def flood_continuation(n):  # CVE-2024-27316 and its kin
    if n == 0:
        return HeadersFrame(1, b"").serialize()
    return ContinuationFrame(1, b"").serialize()


def flood_continuation_with_fields(n):
    block = Encoder()._encode_literal(b"x-%d" % n, b"v" * 1000, b"\x00", False)
    return (HeadersFrame(1, block) if n == 0 else ContinuationFrame(1, block)).serialize()


FLOODS = {name[6:]: make for name, make in list(globals().items()) if name.startswith("flood_")}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_its_connection_and_nobody_elses(front, name):
    """LIMIT_H2_GLITCHES for what moves no request, h2_continuations_max for the frames of one head."""
    gw, up, others = front
    before = anonymous_kib(gw)
    with Http2(gw.port()) as other, socket.create_connection(("127.0.0.1", gw.port())) as sock:
        sock.settimeout(20 * FACTOR)
        assert other.request("/fresh").status == 200
        sock.sendall(PREFACE)
        n_sent, said = 0, b""
        try:
            while n_sent < 20000 and not said:
                sock.sendall(b"".join(FLOODS[name](n_sent + i) for i in range(50)))
                n_sent += 50
                if n_sent % 500 == 0:
                    others.come()
                sock.settimeout(0.001)
                try:
                    while piece := sock.recv(65536):
                        said = piece if b"\x07\x00\x00\x00\x00\x00" in piece else b""
                    said = said or b"closed"
                except TimeoutError:
                    pass
                sock.settimeout(20 * FACTOR)
        except (BrokenPipeError, ConnectionResetError):
            said = b"closed"
        assert said, "nothing stops it"
        if not is_sanitized(gw):
            assert anonymous_kib(gw) - before < 8192
        others.come(5)
        assert other.request("/fresh").status == 200
    others.check()
    eventually(lambda: gw.metric("tollgate_exchanges_active") == 0)
    # A GOAWAY ends its connection by itself.
    assert gw.metric("tollgate_http2_floods_total") == (0 if name == "goaway" else 1)


def test_a_bomb_of_compression_is_counted_as_it_unpacks(front):
    """LIMIT_HEAD_BYTES counts what comes out; the field that is repeated costs a byte each on the wire."""
    gw, up, others = front
    before = anonymous_kib(gw)
    with Http2(gw.port()) as client:
        stream = unsent(client)
        block = client.h2.encoder.encode([*GET, ("x", "v" * 4000)])
        frame = HeadersFrame(stream, block + b"\xbe" * 12000)
        frame.flags |= {"END_HEADERS", "END_STREAM"}
        client.sock.sendall(frame.serialize())
        others.come(5)
        assert client.reply(stream).status == 431
        assert client.request("/fresh").status == 200
        if not is_sanitized(gw):
            assert anonymous_kib(gw) - before < 2048
    assert attacked(up) == []
    others.check()


# ---- windows ----

def test_a_reader_of_single_bytes_holds_nothing_but_its_stream(front):
    """The answer waits at its backend: LIMIT_PIPE_HIGH_BYTES; windows opened by a byte are counted."""
    gw, up, others = front
    up.script = lambda request, _: Answer(body=b"ok" if request.target == "/fresh" else b"x" * (64 << 20))
    before = anonymous_kib(gw)
    with Http2(gw.port(), window=1) as client:
        streams = [client.headers("/attack") for _ in range(20)]
        for _ in range(20):
            for stream in streams:
                client.h2.increment_flow_control_window(1, stream)
            client.flush()
            others.come()
        if not is_sanitized(gw):
            assert anonymous_kib(gw) - before < 20 * 512
        assert not client.is_closed
    others.check()
    eventually(lambda: gw.metric("tollgate_exchanges_active") == 0)


def test_windows_that_never_open_hold_little(gateway, upstream):
    """Streams are bounded (LIMIT_H2_STREAMS), and so is what waits for each; a minute later they end (test_http2_policy)."""
    up = upstream("a")
    up.script = lambda request, _: Answer(body=b"ok" if request.target == "/fresh" else b"x" * 60000)
    gw = gateway(world(backend("a", up), route("r", rule("a"))))
    others = Others(gw)
    before = anonymous_kib(gw)
    clients = [Http2(gw.port(), window=0) for _ in range(5)]
    for client in clients:
        for _ in range(100):
            client.headers("/attack")
    eventually(lambda: len(attacked(up)) == 500, seconds=30)
    others.come(10)
    if not is_sanitized(gw):
        assert anonymous_kib(gw) - before < 500 * 128
    for client in clients:
        client.sock.close()
    others.check()
    eventually(lambda: gw.metric("tollgate_exchanges_active") == 0)


# ---- slowness ----

def test_a_head_by_the_byte_does_not_buy_time(gateway, upstream):
    """requestHeadersReceivedTimeout counts from the head's first byte; there is no second one meanwhile."""
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a", matches=[path("/")])),
                       client_policy("clients", timeout={"http": {"requestHeadersReceivedTimeout": "1s"}})))
    others = Others(gw)
    block = b"".join(Encoder()._encode_literal(n.encode(), v.encode(), b"\x00", False) for n, v in [*GET, ("x", "v" * 5000)])
    frame = HeadersFrame(1, block)
    frame.flags |= {"END_HEADERS", "END_STREAM"}
    raw = frame.serialize()
    with socket.create_connection(("127.0.0.1", gw.port()), timeout=20 * FACTOR) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(PREFACE + raw[:100])
        began, said, at = time.monotonic(), b"", 100
        while b"\x01\x04\x00\x00\x00\x01" not in said:  # HEADERS of stream 1, the answer
            sock.sendall(raw[at:at + 1])
            at += 1
            others.come()
            sock.settimeout(0.02)
            try:
                said += sock.recv(65536)
            except TimeoutError:
                pass
            assert at < len(raw) and time.monotonic() - began < 15 * FACTOR
        assert time.monotonic() - began > 0.9
    others.check()
    assert gw.wait_log(lambda r: r["response_code"] == 408)["protocol"] == "HTTP/2"
