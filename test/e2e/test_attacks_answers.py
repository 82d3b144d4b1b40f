"""Answers of a backend that is broken, hostile, or made to say what somebody else wants (response splitting, desync): one
reading or none, and whatever comes behind an answer reaches no other client. Each names the bound that stops it. Whole
classes of such oddities beside other readers stand in test/differential; what a client does to us in test_attacks.py."""
import os
import signal

import pytest

from play.deadline import eventually
from play.manifests import backend, route, rule, world
from play.upstream import Answer

OK = b"HTTP/1.1 200 OK\r\n"
STOLEN = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen"
FIVE = OK + b"Content-Length: 5\r\n\r\nhello"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
TWO_READINGS = b"0\r\n\r\n" + STOLEN
LENGTH = b"Content-Length: %d\r\n" % len(TWO_READINGS)


def answer(framing, content=TWO_READINGS, first=OK):
    return first + framing + b"\r\n" + content


FRAMING = "h1_framing_parse: one Content-Length of digits, or one Transfer-Encoding that is \"chunked\", never both"
LINES = "h1_head_find, h1_fields_parse: a line is name, colon, value, CR LF, and nothing else"
STATUS = "h1_status_line_parse: HTTP/1.0 or 1.1, three digits from 100 to 599, a reason without control characters"
INTERIM = "h1_interim_framing: no content, none announced, and none in HTTP/1.0"
ALIAS = "header_is_framing_alias: a framing header with an underscore passes nowhere"
CHUNKS = "h1_chunk_line, h1_chunk_end: hexadecimal size, extensions by the grammar, CR LF behind line and data"

# name: (what the backend says, the bound): no answer at all, 502.
REFUSED = {
    "a length and chunks": (answer(LENGTH + CHUNKED), FRAMING),
    "chunks and a length": (answer(CHUNKED + b"Content-Length: 4\r\n"), FRAMING),
    "chunks in 1.0": (answer(CHUNKED, first=b"HTTP/1.0 200 OK\r\n"), FRAMING),
    "two codings": (answer(CHUNKED + b"Transfer-Encoding: cow\r\n"), FRAMING),
    "a list of codings": (answer(b"Transfer-Encoding: chunked, identity\r\n"), FRAMING),
    "almost chunked": (answer(LENGTH + b"Transfer-Encoding: xchunked\r\n"), FRAMING),
    "chunked behind a tab": (answer(b"Transfer-Encoding:\tchunked\r\n"), "h1_has_tab"),
    "lengths that differ": (answer(LENGTH + b"Content-Length: 0\r\n"), FRAMING),
    "lengths that agree": (answer(LENGTH + LENGTH), FRAMING),
    "a list of lengths": (answer(b"Content-Length: 5, 5\r\n"), FRAMING),
    "a length with a plus": (answer(b"Content-Length: +5\r\n"), FRAMING),
    "a length with a minus": (answer(b"Content-Length: -1\r\n"), FRAMING),
    "a length in hexadecimal": (answer(b"Content-Length: 0x5\r\n"), FRAMING),
    "a length that wraps": (answer(b"Content-Length: 18446744073709551621\r\n"), FRAMING),
    "a length before a tab": (answer(b"Content-Length: 5\t\r\n"), "h1_has_tab"),
    "a length by an underscore": (answer(b"Content_Length: 5\r\n" + LENGTH), ALIAS),
    "a coding by an underscore": (answer(LENGTH + b"Transfer_Encoding: chunked\r\n"), ALIAS),
    "a space before the colon": (answer(LENGTH + b"Transfer-Encoding : chunked\r\n"), LINES),
    "a coding in a folded line": (answer(LENGTH + b"X: a\r\n Transfer-Encoding: chunked\r\n"), LINES),
    "a coding behind a bare LF": (answer(LENGTH + b"X: a\nTransfer-Encoding: chunked\r\n"), LINES),
    "a coding behind a bare CR": (answer(LENGTH + b"X: a\rTransfer-Encoding: chunked\r\n"), LINES),
    "a NUL in a value": (answer(LENGTH + b"X: a\0b\r\n"), LINES),
    "a control character in a value": (answer(LENGTH + b"X: a\x1bb\r\n"), LINES),
    "a head that ends by bare LF": (OK + LENGTH[:-2] + b"\n\n" + TWO_READINGS, LINES),
    "a bare CR in the reason": (answer(LENGTH, first=b"HTTP/1.1 200 OK\rX: y\r\n"), STATUS),
    "a control character in the reason": (answer(LENGTH, first=b"HTTP/1.1 200 \x1b[31mOK\r\n"), STATUS),
    "a status of two digits": (answer(LENGTH, first=b"HTTP/1.1 99 OK\r\n"), STATUS),
    "a status of four digits": (answer(LENGTH, first=b"HTTP/1.1 1000 OK\r\n"), STATUS),
    "a status that wraps to 200": (answer(LENGTH, first=b"HTTP/1.1 65736 OK\r\n"), STATUS),
    "no status line": (b"<html>hello</html>\r\n\r\n", STATUS),
    "an empty line first": (b"\r\n" + FIVE, STATUS),
    "HTTP/2.0": (answer(LENGTH, first=b"HTTP/2.0 200 OK\r\n"), STATUS),
    "another protocol": (b"220 mail.test ESMTP\r\n", STATUS),
    "a 204 with chunks": (answer(CHUNKED, first=b"HTTP/1.1 204 x\r\n"), "h1_response_framing"),
    "an interim answer with a length": (b"HTTP/1.1 103 x\r\nContent-Length: 5\r\n\r\n" + FIVE, INTERIM),
    "an interim answer with chunks": (b"HTTP/1.1 103 x\r\n" + CHUNKED + b"\r\n" + FIVE, INTERIM),
    "an interim answer with content": (b"HTTP/1.1 103 x\r\n\r\nhello" + FIVE, STATUS),
    "an interim answer in 1.0": (b"HTTP/1.0 100 Continue\r\n\r\n" + FIVE, INTERIM),
    "interim answers without end": (b"HTTP/1.1 103 x\r\n\r\n" * 100 + FIVE, "LIMIT_INTERIM_HEADS"),
    "a 101 that nobody asked for": (b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n" + STOLEN,
                                    "attempt_may_accept_head"),
    "too many headers": (answer(b"X: y\r\n" * 200 + LENGTH), "LIMIT_HEADER_COUNT"),
    "a head that is too large": (answer(b"X: " + b"y" * 70000 + b"\r\n" + LENGTH), "LIMIT_HEAD_BYTES"),
}
# The head has gone to the client: what follows is cut.
CUT = {
    "a size with a prefix": b"0x5\r\nhello\r\n0\r\n\r\n",
    "a size that wraps": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "a size line by bare LF": b"5\nhello\r\n0\r\n\r\n",
    "an extension that ends by bare LF": b"5;a\nhello\r\n30\r\n" + TWO_READINGS + b"\r\n0\r\n\r\n",
    "data that spills over its size": b"5\r\nhelloXX30\r\n" + TWO_READINGS + b"\r\n0\r\n\r\n",
    "data behind which bare LF stands": b"5\r\nhello\n0\r\n\r\n",
    "a trailer that ends by bare LF": b"5\r\nhello\r\n0\r\nX: y\n\n" + STOLEN,
    "a folded trailer": b"5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n",
}
# name: (how it is asked, what the backend says, the status, the bound): an answer, and the last one on its connection.
LAST = {
    "two answers": ("GET", FIVE + STOLEN, 200, "attempt_complete: nothing stands behind an answer"),
    "two answers, the first in chunks": ("GET", answer(CHUNKED) + STOLEN, 200, "attempt_complete"),
    "half of a second answer": ("GET", FIVE + STOLEN[:20], 200, "attempt_complete"),
    "an empty line behind": ("GET", FIVE + b"\r\n", 200, "attempt_complete"),
    "content of a 204": ("GET", b"HTTP/1.1 204 x\r\n\r\n" + STOLEN, 204, "h1_response_framing"),
    "a 204 with a length": ("GET", b"HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n", 204, "h1_response_framing"),
    "content of a 304": ("GET", answer(LENGTH, first=b"HTTP/1.1 304 x\r\n"), 304, "h1_response_framing"),
    "content of an answer to HEAD": ("HEAD", answer(LENGTH), 200, "h1_expect_response_to"),
    "chunks of an answer to HEAD": ("HEAD", answer(CHUNKED), 200, "h1_expect_response_to"),
    "an interim answer that says close": (
        "GET", b"HTTP/1.1 100 Continue\r\nConnection: close\r\n\r\n" + FIVE, 200, "h1_interim_framing"),
    "a 1.0 that does not say keep-alive": ("GET", FIVE.replace(b"1.1", b"1.0"), 200, "h1_response_parse"),
}


class Front:
    """A gateway of one worker, and a backend that says `data` to /asked and then listens on."""

    def __init__(self, gateway, upstream):
        self.up = upstream("a")
        self.data = b""
        self.heard = []  # what came on the connection of /asked afterwards
        self.up.script = self.script
        self.gw = gateway(world(backend("a", self.up), route("r", rule("a"))), args=["--workers", "1"])

    def script(self, request, connection):
        if request.target != "/asked":
            return self.up.echo(request, connection)
        connection.send(self.data)
        while connection.recv():
            pass
        self.heard.append(connection.buffer)
        return None

    def ask(self, data, method="GET"):
        self.data = data
        return self.gw.raw(f"{method} /asked HTTP/1.1\r\nHost: a.test\r\n\r\n".encode())

    def check_next(self):
        """Another client has its own answer, and the connection of /asked serves nobody any more."""
        assert self.gw.request("/next").json["target"] == "/next"
        eventually(lambda: self.heard == [b""], 10, "its connection to be closed, unused")


@pytest.fixture
def front(gateway, upstream):
    return Front(gateway, upstream)


def test_a_good_answer_is_passed_on_and_its_connection_used_again(gateway, upstream):
    """Or what is said below of connections would say nothing."""
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a"))), args=["--workers", "1"])
    assert [gw.request(f"/{i}").json["target"] for i in range(3)] == ["/0", "/1", "/2"]
    assert up.n_connections == 1


@pytest.mark.parametrize("name", REFUSED)
def test_an_answer_with_two_readings_is_none(front, name):
    data, bound = REFUSED[name]
    with front.ask(data) as raw:
        reply = raw.reply()
        assert (reply.status, reply.code) == (502, "upstream_bad_answer"), bound
        raw.send(b"GET /mine HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert raw.reply().json["target"] == "/mine", "the client's connection is none the worse"
    front.check_next()


@pytest.mark.parametrize("name", CUT)
def test_content_with_two_readings_is_cut(front, name):
    with front.ask(answer(CHUNKED, CUT[name])) as raw:
        seen = raw.rest()
        assert not seen.endswith(b"\r\n0\r\n\r\n") and b"stolen" not in seen, CHUNKS
    front.check_next()


@pytest.mark.parametrize("name", LAST)
def test_what_stands_behind_an_answer_reaches_nobody(front, name):
    method, data, status, bound = LAST[name]
    with front.ask(data, method) as raw:
        reply = raw.reply(is_head=method == "HEAD")
        assert reply.status == status and b"stolen" not in reply.body, bound
        raw.send(b"GET /mine HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert raw.reply().json["target"] == "/mine"
    front.check_next()


def test_an_answer_before_the_request_is_whole_is_the_last_one(front):
    """attempt_complete: what is left of the request must not become one."""
    front.data = FIVE
    front.up.on_head = lambda request, connection: request.target == "/next" or front.script(request, connection) is not None
    with front.gw.raw(b"POST /asked HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n") as raw:
        reply = raw.reply()
        assert (reply.status, reply.body) == (200, b"hello")
        eventually(lambda: front.heard, 10, "the connection to be closed")
        assert b"GET" not in front.heard[0] and b"0\r\n\r\n" not in front.heard[0]
    assert front.gw.request("/next").json["target"] == "/next"


@pytest.mark.parametrize("is_answer_first", [True, False])
@pytest.mark.parametrize("late", [STOLEN, b"x", b"\r\n", b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"])
@pytest.mark.parametrize("request_bytes, status", [
    (b"GET /mine HTTP/1.1\r\nHost: a.test\r\n\r\n", 200),
    (b"POST /mine HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello", 502)])
def test_an_answer_that_is_there_before_its_request_is_for_nobody(gateway, upstream, late, request_bytes, status, is_answer_first):
    """conn.is_unsent: a connection is read once more before it is used again. Here both have come at once."""
    up, connections = upstream("a"), []

    def script(request, connection):
        connections.append(connection)
        return up.echo(request, connection)

    up.script = script
    gw = gateway(world(backend("a", up), route("r", rule("a"))), args=["--workers", "1"])
    with gw.raw(b"GET /first HTTP/1.1\r\nHost: a.test\r\n\r\n") as raw:
        assert raw.reply().json["target"] == "/first"
        gw.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, gw.process.pid, os.WSTOPPED | os.WNOWAIT)
        eventually(gw.is_stopped, 10, "every thread to be stopped")
        sends = [(raw, request_bytes), (connections[0], late)]
        for sender, data in reversed(sends) if is_answer_first else sends:
            sender.send(data)
        gw.signal(signal.SIGCONT)
        reply = raw.reply()
        assert reply.status == status
        if status == 200:
            assert reply.json["target"] == "/mine", "asked anew"
        else:
            assert reply.code == "upstream_reset", "its content is not there any more"
    assert gw.request("/next").json["target"] == "/next"
    assert [request.target for request in up.requests if request.connection == 0] == ["/first"]


WEBSOCKET = (b"GET /asked HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
             b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
AGREED = (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
          b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")


@pytest.mark.parametrize("data", [
    b"HTTP/1.1 101 x\r\n\r\n", AGREED.replace(b"Connection: Upgrade\r\n", b""), AGREED.replace(b"Upgrade: websocket\r\n", b""),
    AGREED.replace(b"websocket", b"h2c"), AGREED.replace(b"websocket", b"websocket, h2c"), AGREED.replace(b"s3pP", b"S3Pp"),
    AGREED.replace(b"Sec-WebSocket-Accept", b"X-Accept"), AGREED.replace(b"1.1", b"1.0")])
def test_what_only_looks_like_an_agreement_opens_no_tunnel(front, data):
    """websocket_is_sound: a backend that has not read the key would read what the client says next as requests."""
    front.data = data
    with front.gw.raw(WEBSOCKET) as raw:
        reply = raw.reply()
        assert (reply.status, reply.code) == (502, "upstream_bad_answer")
    front.check_next()


def test_an_agreement_opens_a_tunnel(front):
    front.data = AGREED + b"hi"
    with front.gw.raw(WEBSOCKET) as raw:
        assert raw.head()[0] == 101 and raw.exactly(2) == b"hi"
        raw.send(b"GET /inner HTTP/1.1\r\n\r\n")
    eventually(lambda: front.heard == [b"GET /inner HTTP/1.1\r\n\r\n"], 10, "the bytes to be passed on")


def test_an_early_end_is_never_a_whole_answer(gateway, upstream):
    """h1_eof: at every byte of the three kinds of answers; only one without length ends there."""
    up = upstream("a")
    kinds = {"length": FIVE, "chunks": answer(CHUNKED, b"5\r\nhello\r\n0\r\nX: y\r\n\r\n"), "close": answer(b"", b"hello")}

    def script(request, connection):
        kind, n = request.target[1:].split("?")
        connection.send(kinds[kind][:int(n)])

    up.script = script
    gw = gateway(world(backend("a", up), route("r", rule("a"))))
    for kind, data in kinds.items():
        begins = data.index(b"\r\n\r\n") + 4
        for n in range(len(data)):
            with gw.raw(f"GET /{kind}?{n} HTTP/1.1\r\nHost: a.test\r\n\r\n".encode()) as raw:
                seen = raw.until(b"\r\n\r\n")
                if n < begins:
                    assert seen.startswith(b"HTTP/1.1 502 "), (kind, n)
                    continue
                assert seen.startswith(b"HTTP/1.1 200 "), (kind, n)
                rest = raw.rest()
                if kind == "close":
                    assert rest == data[begins:n], n
                else:
                    assert len(rest) < 5 if kind == "length" else not rest.endswith(b"0\r\n\r\n"), (kind, n, rest)
