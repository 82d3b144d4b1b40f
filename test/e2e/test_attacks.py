"""The known attacks on a front door that speaks HTTP/1, each with the bound that stops it, and a fresh client that is
served within 100 ms meanwhile. Those of HTTP/2 stand in test_attacks_h2.py
and test_attacks_h2_floods.py. What a single malformed head gets for an answer stands in test_http1.py, how far a
client can fill memory in test_hostile.py, and whole classes of oddities beside other servers in test/differential."""
import itertools
import select
import socket
import ssl
import threading
import time

import pytest

from play.deadline import FACTOR, eventually
from play.manifests import (backend, client_policy, http_listener, https_listener, path, route, rule, security_policy, target,
                            tls_secret, to, world)
from play.memory import anonymous_kib, is_sanitized
from play.others import Others
from play.upstream import Answer

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n"
# For a reader of lengths one content; for a reader of chunks an empty one, and a request behind it.
TWO_READINGS = b"0\r\n\r\n" + SMUGGLED
LENGTH = b"Content-Length: %d\r\n" % len(TWO_READINGS)
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def post(framing, content=TWO_READINGS, version=b"1.1"):
    return b"POST / HTTP/" + version + b"\r\nHost: a.test\r\n" + framing + b"\r\n" + content


# ---- request smuggling: one reading or none ----

FRAMING = "h1_framing_parse: one Content-Length of digits, or one Transfer-Encoding that is \"chunked\", never both"
LINES = "h1_head_find, h1_fields_parse: a line is name, colon, value, CR LF, and nothing else"
CHUNKS = "h1_chunk_line, h1_chunk_end: hexadecimal size, extensions by the grammar, CR LF behind line and data"
NAMES = "h1_name_parse: a header name with an underscore is refused unless the policy allows it"

# name: (what is sent, the refusal, the bound)
SMUGGLING = {
    "CL.TE": (post(LENGTH + CHUNKED), "bad_framing", FRAMING),
    "TE.CL": (post(CHUNKED + b"Content-Length: 4\r\n", b"2d\r\n" + TWO_READINGS + b"\r\n0\r\n\r\n"), "bad_framing", FRAMING),
    "CL.TE in 1.0": (post(LENGTH + CHUNKED, version=b"1.0"), "bad_framing", FRAMING),
    "TE in 1.0": (post(CHUNKED, version=b"1.0"), "bad_framing", FRAMING),
    "TE.TE, the second unknown": (post(CHUNKED + b"Transfer-Encoding: cow\r\n"), "bad_framing", FRAMING),
    "TE.TE, the first unknown": (post(b"Transfer-Encoding: identity\r\n" + CHUNKED), "bad_framing", FRAMING),
    "TE.TE in a list": (post(b"Transfer-Encoding: chunked, identity\r\n"), "bad_framing", FRAMING),
    "TE almost chunked": (post(LENGTH + b"Transfer-Encoding: xchunked\r\n"), "bad_framing", FRAMING),
    "TE quoted": (post(LENGTH + b'Transfer-Encoding: "chunked"\r\n'), "bad_framing", FRAMING),
    "TE behind a vertical tab": (post(LENGTH + b"Transfer-Encoding: \x0bchunked\r\n"), "bad_header", LINES),
    "TE with a space before its colon": (post(LENGTH + b"Transfer-Encoding : chunked\r\n"), "bad_header", LINES),
    "TE indented, a fold of the line before": (post(LENGTH + b" Transfer-Encoding: chunked\r\n"), "bad_header", LINES),
    "TE in a folded line": (post(LENGTH + b"Transfer-Encoding:\r\n chunked\r\n"), "bad_header", LINES),
    "TE behind a bare LF": (post(LENGTH + b"X: a\nTransfer-Encoding: chunked\r\n"), "bad_header", LINES),
    "TE behind a bare CR": (post(LENGTH + b"X: a\rTransfer-Encoding: chunked\r\n"), "bad_header", LINES),
    "TE behind a NUL": (post(LENGTH + b"X: a\0\r\nTransfer-Encoding: chunked\r\n"), "bad_header", LINES),
    "TE by an underscore": (post(LENGTH + b"Transfer_Encoding: chunked\r\n"), "underscore_in_header_name", NAMES),
    "a head that ends by bare LF": (b"GET / HTTP/1.1\r\nHost: a.test\r\nX: a\n\n" + SMUGGLED, "bad_header", LINES),
    "a request behind a bare LF": (b"GET / HTTP/1.1\r\nHost: a.test\r\nX: a\r\n\n" + SMUGGLED, "bad_header", LINES),
    "lengths that differ": (post(LENGTH + b"Content-Length: 0\r\n"), "bad_framing", FRAMING),
    "lengths that agree": (post(LENGTH + LENGTH), "bad_framing", FRAMING),
    "lengths in a list": (post(b"Content-Length: %d, 0\r\n" % len(TWO_READINGS)), "bad_framing", FRAMING),
    "a length with a plus": (post(b"Content-Length: +%d\r\n" % len(TWO_READINGS)), "bad_framing", FRAMING),
    "a length with a minus": (post(b"Content-Length: -1\r\n", SMUGGLED), "bad_framing", FRAMING),
    "a length in hexadecimal": (post(b"Content-Length: 0x2d\r\n"), "bad_framing", FRAMING),
    "a length that wraps to zero": (post(b"Content-Length: 18446744073709551616\r\n", SMUGGLED), "bad_framing", FRAMING),
    "a length that Connection hides": (post(b"Connection: content-length\r\n" + LENGTH), "bad_connection_header",
                                       "h1_connection_apply: no framing header is hop-by-hop"),
    "an extension that ends by bare LF": (
        post(CHUNKED, b"2;a\nxx\r\n2d\r\n" + TWO_READINGS + b"\r\n0\r\n\r\n"), "bad_chunk", CHUNKS),
    "an extension with a bare CR": (post(CHUNKED, b"2;a\rb\r\nxx\r\n0\r\n\r\n" + SMUGGLED), "bad_chunk", CHUNKS),
    "an extension with a request in its quotes": (
        post(CHUNKED, b'2;a="\r\nxx\r\n0\r\n\r\n' + SMUGGLED + b'"\r\n0\r\n\r\n'), "bad_chunk", CHUNKS),
    "an extension without end": (post(CHUNKED, b"2;" + b"x" * 2000), "bad_chunk", "LIMIT_CHUNK_LINE_BYTES"),
    "data that spills over its size": (
        post(CHUNKED, b"2\r\nxxXX2d\r\n" + TWO_READINGS + b"\r\n0\r\n\r\n"), "bad_chunk", CHUNKS),
    "a size with a prefix": (post(CHUNKED, b"0x2\r\nxx\r\n0\r\n\r\n" + SMUGGLED), "bad_chunk", CHUNKS),
    "a size that wraps": (post(CHUNKED, b"10000000000000000\r\n\r\n" + SMUGGLED), "bad_chunk", CHUNKS),
    "a trailer that ends by bare LF": (post(CHUNKED, b"0\r\nX: a\n\n" + SMUGGLED), "bad_chunk",
                                       "h1_trailers_find: the same lines as in a head"),
}


@pytest.fixture
def front(gateway, upstream):
    """A gateway, its backend, and others."""
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a"))))
    return gw, up, Others(gw)


def targets(up):
    return [request.target for request in up.requests if request.target != "/fresh"]


@pytest.mark.parametrize("name", SMUGGLING)
def test_a_request_with_two_readings_is_none(front, name):
    """The third column of SMUGGLING names the bound."""
    gw, up, others = front
    data, code, bound = SMUGGLING[name]
    with gw.raw(data) as raw:
        others.come(5)
        reply = raw.reply()
        assert (reply.status, reply.code, reply.get("connection")) == (400, code, "close"), bound
        assert raw.rest() == b"", "one answer, and no other"
        assert targets(up) == []
    others.check()


CONTENTS = {
    "of a length": b"GET / HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
    "of a chunk": post(CHUNKED, b"%x;a=\"b c\"\r\n" % len(SMUGGLED) + SMUGGLED + b"\r\n0\r\n\r\n"),
    "of chunks of a byte": post(CHUNKED, b"".join(b"1\r\n%c\r\n" % c for c in SMUGGLED) + b"0\r\n\r\n"),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_a_request_inside_content_stays_content(front, name):
    """h1_body_next counts; h1_format_request frames what is passed on anew, from body and length alone."""
    gw, up, others = front
    with gw.raw(CONTENTS[name] + b"GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n") as raw:
        assert raw.reply().status == 200 and raw.reply().json["target"] == "/next"
        others.come(5)
    assert targets(up) == ["/", "/next"]
    assert [r.body for r in up.requests if r.target == "/"] == [SMUGGLED]
    others.check()


# ---- slowloris ----

def drip(raws, pieces, others, seconds):
    """Sends a piece on each connection, and the next, until the gateway has ended all; what came on each."""
    got = {raw.sock: b"" for raw in raws}
    is_open = set(got)
    end = time.monotonic() + seconds * FACTOR
    while is_open:
        assert time.monotonic() < end, f"{len(is_open)} of {len(raws)} go on"
        piece = next(pieces)
        for sock in is_open:
            try:
                sock.send(piece)
            except OSError:
                pass  # it has ended, and the answer is still to be read
        for sock in select.select(list(is_open), [], [], 0.05)[0]:
            try:
                data = sock.recv(65536)
            except ConnectionResetError:
                data = b""
            got[sock] += data
            if not data:
                is_open.discard(sock)
        others.come()
    return list(got.values())


def are_408(answers):
    return all(answer.startswith(b"HTTP/1.1 408 ") and b"request_timeout" in answer for answer in answers)


N_SLOW = 60


def test_slow_heads_end_by_their_time(gateway, upstream):
    """requestHeadersReceivedTimeout, 15 s unless given: it counts from the first byte, and no further byte extends it."""
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a")),
                       client_policy("c", timeout={"http": {"requestHeadersReceivedTimeout": "700ms"}})))
    others = Others(gw)
    raws = [gw.raw(b"GET /slow HTTP/1.1\r\nHost: a.test\r\nX: ") for _ in range(N_SLOW)]
    answers = drip(raws, itertools.repeat(b"x"), others, 10)
    assert are_408(answers) and targets(up) == []
    others.check()
    eventually(lambda: gw.metric("tollgate_connections_active") == 0, 10, "the connections to be closed")


@pytest.mark.parametrize("framing, piece", [
    (b"Content-Length: 1000000", b"x"), (b"Transfer-Encoding: chunked", b"1\r\nx\r\n"),
    (b"Transfer-Encoding: chunked", b"1;xxxx\r\nx\r\n")])
def test_slow_bodies_end_by_their_time(gateway, upstream, framing, piece):
    """requestReceivedTimeout: of the whole request, whatever comes meanwhile. (Silence ends it after a minute anyway:
    test_hostile.py.)"""
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a")),
                       client_policy("c", timeout={"http": {"requestReceivedTimeout": "700ms"}})))
    others = Others(gw)
    raws = [gw.raw(b"POST /slow HTTP/1.1\r\nHost: a.test\r\n" + framing + b"\r\n\r\n" + piece) for _ in range(N_SLOW)]
    answers = drip(raws, itertools.repeat(piece), others, 10)
    assert are_408(answers) and targets(up) == []
    others.check()
    eventually(lambda: gw.metric("tollgate_connections_active") == 0, 10, "the connections to be closed")


def client_hello(context):
    """The first bytes of a handshake."""
    out = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="one.test").do_handshake()
    return out.read()


def test_slow_handshakes_end_by_their_time(gateway, upstream, authority):
    """requestHeadersReceivedTimeout: it counts from the connection on, and bytes of a handshake do not extend it."""
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a")), tls_secret("cert", authority.leaf("one.test")),
                       client_policy("c", timeout={"http": {"requestHeadersReceivedTimeout": "700ms"}}),
                       listeners=[http_listener(), https_listener()]))
    others = Others(gw)
    hello = client_hello(authority.client())
    started = time.monotonic()
    raws = [gw.raw(hello[:1], port=443) for _ in range(N_SLOW)]
    rest = itertools.chain((hello[i:i + 1] for i in range(1, len(hello) - 1)), itertools.repeat(b""))
    answers = drip(raws, rest, others, 10)
    assert time.monotonic() - started > 0.6 and set(answers) == {b""} and targets(up) == []
    others.check()
    eventually(lambda: gw.metric("tollgate_connections_active") == 0, 10, "the connections to be closed")
    with gw.raw(port=443, tls=authority.client(), server_name="one.test") as raw:
        raw.send(b"GET / HTTP/1.1\r\nHost: one.test\r\n\r\n")
        assert raw.reply().status == 200


def test_slow_chunk_lines_are_short(front):
    """LIMIT_CHUNK_LINE_BYTES: what is kept of a chunk line that does not end, however slowly it comes."""
    gw, up, others = front
    with gw.raw(post(CHUNKED, b"1;")) as raw:
        for _ in range(200):
            raw.send(b"xxxxxxxx")
            if select.select([raw.sock], [], [], 0)[0]:
                break
        others.come(5)
        assert raw.reply().code == "bad_chunk" and targets(up) == []
    others.check()


def test_a_backend_that_reads_late_does_not_use_up_the_requests_time(gateway, upstream):
    """requestReceivedTimeout is the client's: what its backend takes is not counted."""
    up, never, size = upstream("a"), threading.Event(), 30_000_000

    def read_late(_request, connection):
        never.wait(1.5)
        left = size - len(connection.buffer)
        while left > 0 and (data := connection.sock.recv(1 << 20)):
            left -= len(data)
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        return left > 0

    up.on_head = read_late
    gw = gateway(world(backend("a", up), route("r", rule("a")),
                       client_policy("c", timeout={"http": {"requestReceivedTimeout": "1s"}})))
    assert gw.request("/", body=b"x" * size).status == 200


# ---- slow readers ----

def test_readers_with_small_windows_hold_a_pipe_each(gateway, upstream):
    """LIMIT_PIPE_HIGH_BYTES: what is held of an answer that its client does not take; its backend waits."""
    up = upstream("a")
    answer = Answer(body=b"x" * 8_000_000)
    up.script = lambda request, _c: Answer(body=b"ok") if request.target == "/fresh" else answer
    gw = gateway(world(backend("a", up), route("r", rule("a"))))
    others = Others(gw)
    others.come()
    before = anonymous_kib(gw)
    readers = [socket.socket() for _ in range(40)]
    for sock in readers:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.settimeout(20 * FACTOR)
        sock.connect(("127.0.0.1", gw.port()))
        sock.sendall(b"GET /big HTTP/1.1\r\nHost: a.test\r\n\r\n")
    for _ in range(10):
        for sock in readers:
            assert sock.recv(1), "the answer goes on"
        others.come()
    if not is_sanitized(gw):
        assert anonymous_kib(gw) - before < 16384, "320 MB are on their way"
    others.check()
    for sock in readers:
        sock.close()
    eventually(lambda: gw.metric("tollgate_connections_active") == 0, 10, "the connections to be closed")


# ---- path confusion: the path that is authorized is the path that the backend receives ----

# What is asked for: the status of the refusal, or what passes as it is, byte for byte. /secret is forbidden.
PATHS = {
    "/secret": 403, "/secret/": 403, "/secret/x": 403, "/secret?x": 403, "/secret//x": 403, "/secret/.": 403,
    "//secret": 403, "///secret": 403, "/./secret": 403, "/././/secret": 403, "/x/../secret": 403, "/x/y/../../secret": 403,
    "/%2e/secret": 403, "/x/%2e%2e/secret": 403, "/x/.%2E/secret": 403, "/x/%2e./secret": 403,
    "/%73ecret": 403, "/secre%74": 403, "/%73%65%63%72%65%74/x": 403, "/x;/../secret": 403, "/;/../secret": 403,
    "http://a.test/secret": 403, "http://a.test//secret": 403, "HTTP://A.TEST/x/../secret": 403,
    "http://a.test/%73ecret": 403,
    "/%2fsecret": 400, "/x%2f..%2fsecret": 400, "/x/..%2fsecret": 400, "/x/..%2Fsecret": 400, "/secret%2fx": 400,
    "/x/..%5csecret": 400, "/\\secret": 400, "/x/..\\secret": 400, "/secret%00": 400, "/secret%00.html": 400,
    "/x/..;/secret": 400, "/..;/secret": 400, "/x/..;a=b/secret": 400, "/.;/secret": 400, "/x/%2e%2e;/secret": 400,
    "/x/..%3b/secret": 400, "/../secret": 400, "/%2e%2e/secret": 400, "/secret#": 400, "/secret%": 400, "/secret%zz": 400,
    "/secret%2": 400, "http://b.test/secret": 400, "http://a.test@b.test/secret": 400, "https://a.test/secret": 400,
    "secret": 400, "/secret\x7f": 400, "/\xe9/../secret": 400,
    "/SECRET": "/SECRET", "/%53ecret": "/Secret", "/secret;a=b": "/secret;a=b", "/secret;/x": "/secret;/x",
    "/secret%3ba": "/secret%3Ba", "/secret%20": "/secret%20", "/secrets": "/secrets", "/secret.": "/secret.",
    "/secret%2ex": "/secret.x", "/secret:x": "/secret:x", "/secret%3ax": "/secret:x", "/x/secret": "/x/secret",
    "/x/%252e%252e/secret": "/x/%252e%252e/secret", "/x%252fsecret": "/x%252fsecret", "/x?/../secret": "/x?/../secret",
    "/x?%2f..%2fsecret": "/x?%2f..%2fsecret", "http://a.test?/secret": "/?/secret", "/...;/secret": "/...;/secret",
    "/secret%E2%81%84x": "/secret%E2%81%84x", "/x//../y": "/y", "/secret/../x": "/x", "/a/./b//c/%2e%2e/d": "/a/b/d",
}


def test_the_path_that_is_authorized_is_the_one_that_the_backend_gets(gateway, upstream):
    """path_normalize, in h1_target_parse: one form, before anybody judges it, or 400."""
    up, authorizer = upstream("a"), upstream("authorizer")
    deny = {"action": "Deny", "principal": {"clientCIDRs": ["0.0.0.0/0"]}, "operation": {"path": path("/secret")["path"]}}
    gw = gateway(world(backend("a", up), backend("authorizer", authorizer), route("r", rule("a")), security_policy(
        "p", target("HTTPRoute", "r"), authorization={"defaultAction": "Allow", "rules": [deny]},
        extAuth={"http": {"backendRefs": [to("authorizer")]}})))
    others = Others(gw)
    seen = {}
    for asked in PATHS:
        with gw.raw(f"GET {asked} HTTP/1.1\r\nHost: a.test\r\n\r\n") as raw:
            others.come()
            status = raw.reply().status
        came = targets(up)
        # What was allowed is what arrives, and what was refused does not.
        assert came == targets(authorizer) or status == 403, asked
        seen[asked] = came[0] if status == 200 and len(came) == 1 else status if not came else (status, came)
        up.requests.clear()
        authorizer.requests.clear()
    assert seen == PATHS
    others.check()
