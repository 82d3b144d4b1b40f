"""The known attacks on a front door that speaks HTTP/2, which would make of a request what it is not: each with the bound
that stops it, and a fresh client that is served within 100 ms meanwhile. Floods, hoards and slow peers stand in
test_attacks_h2_floods.py, ordinary use in test_http2.py, the attacks of HTTP/1 in test_attacks.py."""
import threading

import pytest

from play import frames as f
from play.deadline import FACTOR
from play.frames import Frames
from play.http2 import Http2
from play.manifests import backend, client_policy, local_provider, path, route, rule, security_policy, target, to, world
from play.others import Others
from play.upstream import Answer
from test_attacks import PATHS, SMUGGLED, front, targets  # pylint: disable=unused-import
from test_client_certificates import theirs, two_hosts  # pylint: disable=unused-import


# ---- downgrade to HTTP/1: nothing of a request becomes a second one, or a header that it does not have ----

# What breaks a line, or what is none of HTTP's characters.
BREAKS = {"CR": "\r", "LF": "\n", "CRLF and a header": "\r\nx-injected: 1", "NUL": "\0", "a control character": "\x01",
          "DEL": "\x7f", "two lines and a request": "\r\n\r\n" + SMUGGLED.decode().lower()}
BLANKS = {"a space": " ", "a tab": "\t"}

MALFORMED, BAD_HEADER = "reset PROTOCOL_ERROR", "400 bad_header"
CHARACTERS = "nghttp2_check_header_name and _value (RFC 9113 8.2.1), on_invalid_header: no character that HTTP/1 has not"
PSEUDO = "nghttp2_http_on_header (RFC 9113 8.3): each pseudo-header once, known, before the headers, not in trailers"
CONNECTION = "nghttp2_http_on_header (RFC 9113 8.2.2): nothing of a connection"
TARGET = "nghttp2_http_on_header, h2_request_end: a path, or the asterisk of OPTIONS"
HOST = "h2_request_host: one site, or twice the same; target_read_host: no more than a site"
LENGTH = "h2_take_length, nghttp2_http_on_data_chunk, nghttp2_http_on_remote_end_stream: one length, and content of it"
LATE = "header_is_forbidden_trailer: nothing in trailers that a head would have to say"
TUNNELS = "h2_request_end: websocket, and no other"
FORMAT = "h1_format_request: framed anew"


def get(*fields, **pseudo):
    return f.request(1, "/asked", *fields, **pseudo)


def only(*fields):
    return f.headers(1, *fields)


def post(content, *fields):
    return f.request(1, "/asked", *fields, method="POST", end=False) + content


def trailers(*fields):
    return post(f.data(1, b"body") + f.headers(1, *fields))


ASKED = f.request_fields("/asked")
METHOD, SCHEME, AUTHORITY, PATH = ASKED
BODY = f.data(1, b"body", end=True)
TUNNEL = ((":method", "CONNECT"), SCHEME, AUTHORITY, PATH)

# Where a character may stand: what is sent, what becomes of it.
NAMES = {
    "in a name": (lambda c: get((f"x{c}a", "b")), BAD_HEADER),
    "before a name": (lambda c: get((f"{c}x", "b")), BAD_HEADER),
    "behind a name": (lambda c: get((f"x{c}", "b")), BAD_HEADER),
    "in a trailer's name": (lambda c: trailers((f"x{c}a", "b")), MALFORMED),
}
EDGES = {
    "before a value": (lambda c: get(("x-a", f"{c}b")), BAD_HEADER),
    "behind a value": (lambda c: get(("x-a", f"b{c}")), BAD_HEADER),
    "behind a trailer's value": (lambda c: trailers(("x-a", f"b{c}")), MALFORMED),
    "behind a length": (lambda c: post(BODY, ("content-length", f"4{c}")), BAD_HEADER),
    "behind a cookie": (lambda c: get(("cookie", f"a=1{c}")), BAD_HEADER),
}
VALUES = {
    "in a value": (lambda c: get(("x-a", f"a{c}b")), BAD_HEADER),
    "in a cookie": (lambda c: get(("cookie", f"a={c}1")), BAD_HEADER),
    "in a trailer's value": (lambda c: trailers(("x-a", f"a{c}b")), MALFORMED),
}
OWN = {
    "in :path": (lambda c: only(METHOD, SCHEME, AUTHORITY, (":path", f"/as{c}ked")), MALFORMED),
    "in :method": (lambda c: only((":method", f"GE{c}T"), SCHEME, AUTHORITY, PATH), MALFORMED),
    "in :scheme": (lambda c: only(METHOD, (":scheme", f"ht{c}tp"), AUTHORITY, PATH), MALFORMED),
    "in :authority": (lambda c: only(METHOD, SCHEME, (":authority", f"a{c}.test"), PATH), MALFORMED),
    "in host": (lambda c: only(METHOD, SCHEME, PATH, ("host", f"a{c}.test")), MALFORMED),
}


def at_places(characters, *places):
    return {f"{what} {where}": (make(character), outcome, CHARACTERS) for what, character in characters.items()
            for them in places for where, (make, outcome) in them.items()}


# name: (what is sent, the outcome or all that reached the backend, the bound)
DOWNGRADES = {
    **at_places(BREAKS, NAMES, EDGES, VALUES, OWN),
    **at_places(BLANKS, NAMES, EDGES, OWN),
    **at_places({"a colon": ":"}, {where: NAMES[where] for where in ("in a name", "behind a name", "in a trailer's name")}),
    "a colon before a name": (get((":x", "b")), MALFORMED, PSEUDO),
    "a colon in :method": (only((":method", "GE:T"), *ASKED[1:]), MALFORMED, CHARACTERS),
    "a colon in :scheme": (only(METHOD, (":scheme", "ht:tp"), AUTHORITY, PATH), MALFORMED, CHARACTERS),
    "a colon in :authority": (get(authority="a:x"), "400 bad_host", HOST),
    "a colon in a value": (get(("x-a", ":a:")), "GET /asked|x-a: :a:", CHARACTERS),
    "blanks in a value": (get(("x-a", "a \t b")), "GET /asked|x-a: a \t b", CHARACTERS),
    "a whole request in :path": (only(METHOD, SCHEME, AUTHORITY, (":path", "/asked HTTP/1.1\r\nhost: b\r\n\r\nGET /smuggled")),
                                 MALFORMED, CHARACTERS),
    "a whole request in :method": (only((":method", "GET /smuggled HTTP/1.1\r\nx:"), *ASKED[1:]), MALFORMED, CHARACTERS),
    "no name": (get(("", "1")), BAD_HEADER, CHARACTERS),
    "a name in upper case": (get(("X-A", "1")), MALFORMED, CHARACTERS),
    "a length's name in upper case": (post(BODY, ("Content-Length", "9")), MALFORMED, CHARACTERS),
    "a trailer's name in upper case": (trailers(("X-A", "1")), MALFORMED, CHARACTERS),
    "a name with an underscore": (get(("x_tenant", "1")), "400 underscore_in_header_name", "h2_name_check"),
    "the same in trailers": (trailers(("x_tenant", "1")), MALFORMED, "h2_name_check"),
    # ---- of a connection ----
    **{f"{name} in {where}": (make((name, value)), MALFORMED, CONNECTION)
       for name, value in (("connection", "close"), ("connection", "x-a"), ("transfer-encoding", "chunked"),
                           ("transfer-encoding", "identity"), ("keep-alive", "timeout=9"), ("proxy-connection", "close"),
                           ("upgrade", "h2c"), ("te", "gzip"), ("te", "trailers, gzip"))
       for where, make in ((f"a head: {value}", get), (f"trailers: {value}", trailers))},
    "transfer-encoding and a request": (post(f.data(1, b"0\r\n\r\n" + SMUGGLED, end=True), ("transfer-encoding", "chunked")),
                                        MALFORMED, CONNECTION),
    "te: trailers": (get(("te", "trailers")), "GET /asked|connection: te|te: trailers", CONNECTION),
    "trailer": (get(("trailer", "x-a")), "GET /asked", FORMAT),
    "expect": (get(("expect", "200-ok")), "417 expectation_failed", "h2_request_own"),
    # ---- pseudo-headers ----
    **{f"{field[0]} {what}": (made, MALFORMED, PSEUDO) for field in ASKED for what, made in (
        ("twice", only(*ASKED, field)), ("missing", only(*(x for x in ASKED if x != field))),
        ("late", only(*(x for x in ASKED if x != field), ("x-a", "1"), field)), ("in trailers", trailers(field)),
        ("empty", only(*((x[0], "" if x == field else x[1]) for x in ASKED))))},
    ":status": (only(*ASKED, (":status", "200")), MALFORMED, PSEUDO),
    ":status in trailers": (trailers((":status", "200")), MALFORMED, PSEUDO),
    "an unknown one": (only(*ASKED, (":x", "1")), MALFORMED, PSEUDO),
    "CONNECT": (only((":method", "CONNECT"), AUTHORITY), "405 method_not_allowed", "h2_request_end"),
    "CONNECT with a path": (only((":method", "CONNECT"), SCHEME, AUTHORITY, PATH), MALFORMED, PSEUDO),
    # ---- tunnels (RFC 8441) ----
    **{f"a tunnel for {protocol!r}": (only(*TUNNEL, (":protocol", protocol)), outcome, TUNNELS)
       for protocol, outcome in (("h2c", "405 method_not_allowed"), ("websocket, h2c", "405 method_not_allowed"),
                                 ("", MALFORMED), ("websocket ", MALFORMED), ("websocket\r\nx-a: 1", MALFORMED))},
    "a tunnel by GET": (only(*ASKED, (":protocol", "websocket")), MALFORMED, TUNNELS),
    "a tunnel without a path": (only(*TUNNEL[:3], (":protocol", "websocket")), MALFORMED, TUNNELS),
    "a tunnel of two protocols": (only(*TUNNEL, (":protocol", "websocket"), (":protocol", "websocket")), MALFORMED, PSEUDO),
    "a tunnel's protocol behind a header": (only(*TUNNEL, ("x-a", "1"), (":protocol", "websocket")), MALFORMED, PSEUDO),
    "a tunnel with an upgrade": (only(*TUNNEL, (":protocol", "websocket"), ("upgrade", "h2c")), MALFORMED, CONNECTION),
    "a tunnel with a length": (only(*TUNNEL, (":protocol", "websocket"), ("content-length", "9")), MALFORMED, LENGTH),
    # ---- the target ----
    **{f"the target {path}": (only(METHOD, SCHEME, AUTHORITY, (":path", path)), outcome, TARGET)
       for path, outcome in (("http://a.test/asked", MALFORMED), ("http://b.test/", MALFORMED), ("*", MALFORMED),
                             ("asked", MALFORMED), ("?x", MALFORMED), ("\\x", MALFORMED), ("/a#b", "400 bad_target"),
                             ("/\xe9", "400 bad_target"), ("//b.test/x", "GET /b.test/x"))},
    "the target * of OPTIONS": (only((":method", "OPTIONS"), SCHEME, AUTHORITY, (":path", "*")), "404 route_not_found", TARGET),
    # ---- the site ----
    **{f"the site {site}": (get(authority=site), outcome, HOST)
       for site, outcome in (("u@a.test", "400 bad_host"), ("u:p@a.test", "400 bad_host"), ("a.test:x", "400 bad_host"),
                             ("a.test:99999", "400 bad_host"), ("a.test,b", "400 bad_host"), ("%61.test", "400 bad_host"),
                             ("a.test/", MALFORMED), ("a.test?x", MALFORMED), ("a.test#x", MALFORMED), ("a\\b", MALFORMED))},
    "two sites": (get(("host", "b.test")), "400 bad_host", HOST),
    "two ports": (get(("host", "a.test:81")), "400 bad_host", HOST),
    "a site twice by host": (get(("host", "a.test"), ("host", "a.test")), MALFORMED, HOST),
    "a site by both names": (get(("host", "A.test")), "GET /asked", HOST),
    "a site by host alone": (only(METHOD, SCHEME, PATH, ("host", "a.test")), "GET /asked", HOST),
    "an empty host": (only(METHOD, SCHEME, PATH, ("host", "")), MALFORMED, HOST),
    # ---- lengths ----
    **{f"length {value!r} of 4": (post(BODY, ("content-length", value)), MALFORMED, LENGTH)
       for value in ("3", "5", "+4", "-4", "0x4", "4, 4", "", "18446744073709551620", "9223372036854775808")},
    "lengths that agree": (post(BODY, ("content-length", "4"), ("content-length", "4")), MALFORMED, LENGTH),
    "lengths that differ": (post(BODY, ("content-length", "4"), ("content-length", "5")), MALFORMED, LENGTH),
    "a length and no content": (get(("content-length", "4")), MALFORMED, LENGTH),
    "a length and a request behind it": (post(f.data(1, b"body" + SMUGGLED, end=True), ("content-length", "4")), MALFORMED,
                                         LENGTH),
    "a length and trailers before it": (post(f.data(1, b"bo") + f.headers(1, ("x-a", "1")), ("content-length", "4")),
                                        MALFORMED, LENGTH),
    "a length that is right": (post(BODY, ("content-length", "4")), "POST /asked|content-length: 4|body", FORMAT),
    "no length": (post(f.data(1, SMUGGLED, end=True)), "POST /asked|transfer-encoding: chunked|" + SMUGGLED.decode(), FORMAT),
    # ---- trailers ----
    **{f"trailer {name}": (trailers((name, "4")), "POST /asked|transfer-encoding: chunked|body", LATE)
       for name in ("content-length", "host", "authorization", "cookie", "content-type", "x-forwarded-for", "expect")},
    "a trailer": (trailers(("x-a", "4")), "POST /asked|transfer-encoding: chunked|body|x-a: 4", LATE),
    "trailers that do not end": (post(f.data(1, b"body") + f.headers(1, ("x-a", "1"), end=False) + f.data(1, end=True)),
                                 MALFORMED, "nghttp2_http_on_trailer_headers"),
}


OWN_HEADERS = ("x-request-id", "x-forwarded-for", "x-forwarded-proto")


def came(request):
    """All of a request but what every one has."""
    method, path, _ = request.head.decode("latin-1").split("\r\n")[0].split(" ")
    lines = [line for line in request.head.decode("latin-1").split("\r\n")[1:-2]
             if not line.startswith(OWN_HEADERS) and line != "host: a.test"]
    content = [request.body.decode("latin-1")] if request.body else []
    return "|".join([f"{method} {path}", *lines, *content, *(f"{name}: {value}" for name, value in request.trailers)])


def test_nothing_of_http2_becomes_what_it_is_not_in_http1(front):
    """The third column of DOWNGRADES names the bound."""
    gw, up, others = front
    seen = {}
    for i, (name, (sent, _, _)) in enumerate(DOWNGRADES.items()):
        with Frames(gw.port()) as client:
            client.send(sent)
            outcome = client.outcome(1)
            if i % 20 == 0:
                others.come()
            if outcome == MALFORMED:
                assert client.ends() == "PROTOCOL_ERROR", name
            else:
                client.send(f.request(5, "/next"))
                assert client.outcome(5) == "200", name
        requests = [request for request in up.requests if request.target not in ("/fresh", "/next")]
        assert len(requests) == (outcome == "200"), (name, [request.head for request in requests])
        seen[name] = came(requests[0]) if requests else outcome
        up.requests.clear()
    assert seen == {name: outcome for name, (_, outcome, _) in DOWNGRADES.items()}
    others.check()


def test_content_beyond_its_length_does_not_reach_the_backend(front):
    """nghttp2_http_on_data_chunk: the frame that goes beyond is refused before any of it is passed on; the backend's
    connection is not used again."""
    gw, up, _ = front
    may_answer = threading.Event()
    up.script = lambda request, c: may_answer.wait(60) and up.echo(request, c)
    with Frames(gw.port()) as client:
        client.send(f.request(1, "/asked", ("content-length", "4"), method="POST", end=False) + f.data(1, b"body"))
        up.wait_for(1)
        client.send(f.data(1, SMUGGLED, end=True))
        assert client.outcome(1) == MALFORMED and client.ends() == "PROTOCOL_ERROR"
    may_answer.set()
    assert gw.request("/next").status == 200
    assert targets(up) == ["/asked", "/next"] and up.requests[0].body == b"body"


def test_a_request_that_ends_below_its_length_is_none(front):
    """nghttp2_http_on_remote_end_stream; h2_reset: the backend's connection ends within the message."""
    gw, up, _ = front
    begun, got, ended = threading.Event(), [], threading.Event()

    def on_head(request, connection):
        if request.target != "/asked":
            return True
        begun.set()
        while connection.recv():
            pass
        got.append(connection.buffer)
        ended.set()
        return False

    up.on_head = on_head
    with Frames(gw.port()) as client:
        client.send(f.request(1, "/asked", ("content-length", "400"), method="POST", end=False) + f.data(1, b"GET "))
        assert begun.wait(20 * FACTOR)
        client.send(f.data(1, b"/smuggled", end=True))
        assert client.outcome(1) == MALFORMED and ended.wait(20 * FACTOR)
    assert gw.request("/next").status == 200
    assert targets(up) == ["/next"] and b"GET /smuggled".startswith(got[0])


def test_what_is_sent_for_a_tunnel_that_is_not_open_reaches_nobody(front):
    """websocket_is_sound, stream_may_deliver: a backend that answers anything but its agreement has opened none."""
    gw, up, _ = front
    for status in (200, 204, 101):
        up.script = lambda request, c: Answer(status=status) if request.target == "/asked" else up.echo(request, c)
        with Frames(gw.port()) as client:
            client.send(f.headers(1, *TUNNEL, (":protocol", "websocket"), end=False) + f.data(1, SMUGGLED))
            assert client.outcome(1) == "502 upstream_bad_answer", status
            client.send(f.data(1, SMUGGLED) + f.request(3, "/next"))
            assert client.outcome(3) == "200"
        assert targets(up) == ["/asked", "/next"] and up.requests[0].body == b""
        up.requests.clear()


@pytest.mark.parametrize("upgrade", [b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
                                     b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
                                     b"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
                                     b"Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n"])
def test_no_backend_is_asked_for_h2c(front, upgrade):
    """h1_request.c: an upgrade is to websocket. One to h2c would be a tunnel that nobody judges (h2c smuggling)."""
    gw, up, _ = front
    with gw.raw(b"GET /asked HTTP/1.1\r\nHost: a.test\r\n" + upgrade + b"\r\n" + f.PREFACE) as raw:
        assert raw.reply().status == 200
        assert raw.reply().status == 505, "the preface is a request like another, and of no version that is served"
    assert targets(up) == ["/asked"] and came(up.requests[0]) == "GET /asked"


def test_a_host_that_asks_for_a_certificate_is_not_reached_over_another_hosts_connection(gateway, upstream, authority, theirs):
    """step_admit.c: the rule is of the handshake, and each stream's host is judged by it (RFC 9113 9.1.2)."""
    up = upstream("a")
    gw = gateway(two_hosts(up, authority, theirs))
    with Http2(gw.port(443), tls=authority.client(), server_name="one.test") as client:
        for host, status in (("one.test", 200), ("two.test", 421), ("TWO.test:443", 421), ("one.test", 200)):
            assert client.request("/", host=host, scheme="https").status == status
    assert {request.get("host") for request in up.requests} == {"one.test"}


@pytest.mark.parametrize("more, outcome", [(b"", "200"), (b":status: 500\r\n", "reset INTERNAL_ERROR"),
                                           (b"x y: 1\r\n", "reset INTERNAL_ERROR")])
def test_nothing_of_a_backends_connection_reaches_a_client_of_http2(front, more, outcome):
    """h2_put_headers, h1_connection_apply: in HTTP/2 such an answer would be malformed (RFC 9113 8.2)."""
    gw, up, _ = front

    def script(_request, connection):
        connection.send(b"HTTP/1.1 200 OK\r\nX-Upper: 1\r\nConnection: keep-alive, x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\n"
                        b"Proxy-Connection: keep-alive\r\nUpgrade: h2c\r\nTrailer: x-sum\r\nTE: trailers\r\n"
                        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
                        b"0\r\nX-Sum: 1\r\nConnection: close\r\nContent-Length: 9\r\n" + more + b"\r\n")

    up.script = script
    with Frames(gw.port()) as client:
        client.send(f.request(1, "/asked"))
        assert client.outcome(1) == outcome
        names = [name for name, _ in client.stream(1).headers]
        assert "x-upper" in names and not {"connection", "x-hop", "keep-alive", "proxy-connection", "upgrade", "te",
                                           "transfer-encoding"} & set(names)
        assert all(name == name.lower() for name in names)
        assert client.stream(1).trailers == (None if more else [("x-sum", "1")])


def test_late_headers_come_from_nobody_else(gateway, upstream, issuer):
    """step_admit.c, policy/name_set.c: at admission, and in trailers too (pump.c)."""
    up, who = upstream("a"), issuer()
    claims = [{"claim": "tenant", "header": "x-tenant"}]
    gw = gateway(world(backend("a", up), route("r", rule("a")), client_policy("c", headers={"withUnderscoresAction": "Allow"}),
                       security_policy("jwt", target("HTTPRoute", "r"),
                                       jwt={"providers": [local_provider(who, claimToHeaders=claims)]})))
    token = ("authorization", "Bearer " + who.token("tenant-b"))
    spellings = [(name, "tenant-a") for name in ("x-tenant", "x_tenant")]
    with Frames(gw.port()) as client:
        client.send(f.request(1, "/head", token, *spellings))
        client.send(f.request(3, "/trailers", token, method="POST", end=False) + f.data(3, b"body") +
                    f.headers(3, *spellings, ("x-a", "1")))
        assert (client.outcome(1), client.outcome(3)) == ("200", "200")
    for request in up.wait_for(2):
        values = [value for name, value in request.headers + request.trailers if name.replace("_", "-") == "x-tenant"]
        assert values == ["tenant-b"], request.target
        assert [name for name, _ in request.trailers] == (["x-a"] if request.target == "/trailers" else [])


def test_the_path_that_is_authorized_is_the_one_that_the_backend_gets(gateway, upstream):
    """path_normalize, in h2_request_end: one form, before anybody judges it, or 400. An absolute target is malformed."""
    up, authorizer = upstream("a"), upstream("authorizer")
    deny = {"action": "Deny", "principal": {"clientCIDRs": ["0.0.0.0/0"]}, "operation": {"path": path("/secret")["path"]}}
    gw = gateway(world(backend("a", up), backend("authorizer", authorizer), route("r", rule("a")), security_policy(
        "p", target("HTTPRoute", "r"), authorization={"defaultAction": "Allow", "rules": [deny]},
        extAuth={"http": {"backendRefs": [to("authorizer")]}})))
    others = Others(gw)
    seen = {}
    for i, asked in enumerate(PATHS):
        with Frames(gw.port()) as client:
            client.send(f.request(1, asked))
            if i % 10 == 0:
                others.come()
            outcome = client.outcome(1)
        assert targets(up) == targets(authorizer) or outcome.startswith("403"), asked
        status = 400 if outcome == MALFORMED else int(outcome.split()[0])
        seen[asked] = targets(up)[0] if status == 200 and len(targets(up)) == 1 else status if not targets(up) else targets(up)
        up.requests.clear()
        authorizer.requests.clear()
    assert seen == {asked: became if asked.startswith("/") else 400 for asked, became in PATHS.items()}
    others.check()
