"""Which protocols a BackendTrafficPolicy lets requests upgrade to: WebSocket without a word, else what it lists."""
import pytest

from play.gateway import as_text, tollgate
from play.http2 import Http2
from play.manifests import ENVOY_API, backend, route, rule, target, thing, world
from play.websocket import proof

KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
H2C = {"appProtocols": ["gateway.envoyproxy.io/h2c"]}


def traffic(**spec):
    return thing(ENVOY_API, "BackendTrafficPolicy", "traffic", {"targetRefs": [target("Gateway", "front")], **spec})


def listed(*types):
    return {"httpUpgrade": [{"type": kind} for kind in types]}


def ask(kind, begin=b"GET /up HTTP/1.1", more=b""):
    return begin + b"\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: " + kind.encode() + b"\r\n" + more + b"\r\n"


def shout(request, connection):
    """Agrees to whatever it is asked for, and answers every byte in capitals."""
    kind = request.get("upgrade")
    if not kind:
        return shout.plain(request, connection)
    agreed = f"Sec-WebSocket-Accept: {proof(request.get('sec-websocket-key'))}\r\n" if kind == "websocket" else ""
    connection.send(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: {kind}\r\nConnection: Upgrade\r\n{agreed}\r\n".encode())
    while connection.buffer or connection.recv():
        data, connection.buffer = connection.buffer, b""
        connection.send(data.upper())
    return None


@pytest.fixture
def policed(gateway, upstream):
    def start(**spec):
        up = upstream("a")
        shout.plain = up.script
        up.script = shout
        return gateway(world(backend("a", up), route("r", rule("a")), *([traffic(**spec)] if spec else []))), up
    return start


def is_a_tunnel(raw, kind):
    status, headers = raw.head()
    assert (status, dict(headers)["upgrade"]) == (101, kind)
    raw.send(b"hello")
    return raw.exactly(5) == b"HELLO"


@pytest.mark.parametrize("begin, more", [(b"GET /up HTTP/1.1", b""), (b"POST /up HTTP/1.1", b"Content-Length: 0\r\n")])
def test_what_is_listed_is_taken_in_any_case(policed, begin, more):
    gw, up = policed(**listed("websocket", "SPDY/3.1"))
    for kind in ("spdy/3.1", "SPDY/3.1"):
        with gw.raw(ask(kind, begin, more)) as raw:
            assert is_a_tunnel(raw, kind)
        assert up.last.get("connection").lower() == "upgrade"
    with gw.raw(ask("websocket", more=KEY)) as raw:
        assert is_a_tunnel(raw, "websocket")


@pytest.mark.parametrize("spec, websocket", [
    ({}, True), (listed("websocket"), True), (listed("spdy/3.1"), False), ({"requestBuffer": {"limit": "1Ki"}}, False)])
def test_a_websocket_is_refused_where_it_is_not_meant(policed, spec, websocket):
    gw, up = policed(**spec)
    with gw.raw(ask("websocket", more=KEY)) as raw:
        if websocket:
            assert is_a_tunnel(raw, "websocket")
        else:
            reply = raw.reply()
            assert (reply.status, reply.code) == (403, "upgrade_not_allowed")
            assert not up.requests
    with Http2(gw.port()) as client:
        stream = client.headers("/up", "CONNECT", protocol="websocket", headers=[("sec-websocket-version", "13")], end=False)
        if not websocket:
            assert client.reply(stream).status == 403
            assert not up.requests


def test_others_are_not_heard(policed):
    for spec in ({}, listed("websocket")):
        gw, up = policed(**spec)
        with gw.raw(ask("spdy/3.1")) as raw:
            assert raw.reply().json["upstream"] == "a"
        assert up.last.get("upgrade") is None and up.last.get("connection") is None


def test_an_answer_that_agrees_to_something_else_opens_nothing(policed):
    gw, up = policed(**listed("spdy/3.1", "websocket"))

    def other(_request, connection):
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")
        connection.recv()
    up.script = other
    for kind in ("spdy/3.1", "websocket"):
        with gw.raw(ask(kind, more=KEY)) as raw:
            reply = raw.reply()
            assert (reply.status, reply.code) == (502, "upstream_bad_answer")


def test_a_backend_of_http2_is_asked_by_an_extended_connect(gateway, http2_upstream):
    from play.http2_upstream import SETTINGS
    up = http2_upstream("a", settings={SETTINGS.ENABLE_CONNECT_PROTOCOL: 1})

    def tunnel(stream):
        assert (stream.get(":method"), stream.get(":protocol")) == ("CONNECT", "spdy/3.1")
        stream.head()
        stream.wait(lambda: stream.body == b"hello")
        stream.data(b"HELLO")
    up.on_head = tunnel
    gw = gateway(world(backend("a", up, **H2C), route("r", rule("a")), traffic(**listed("spdy/3.1"))))
    with gw.raw(ask("spdy/3.1")) as raw:
        assert is_a_tunnel(raw, "spdy/3.1")


@pytest.mark.parametrize("kind", ["CONNECT", "connect-udp", "h2c", "TLS/1.3", "HTTP/2.0"])
def test_what_would_pass_unseen_is_not_taken_and_named(gateway, upstream, tmp_path, kind):
    file = tmp_path / "m.yaml"
    made = lambda a: world(backend("a", a), route("r", rule("a")), traffic(**listed(kind)))
    file.write_text(as_text(made(1)), encoding="utf-8")
    assert f"upgrades to {kind} are not taken" in tollgate("check", "-f", file).stdout
    up = upstream("a")
    gw = gateway(made(up))
    with gw.raw(ask(kind)) as raw:
        assert raw.reply().status == 200
    assert up.last.get("upgrade") is None


def test_what_is_listed_is_not_named(tmp_path):
    file = tmp_path / "m.yaml"
    file.write_text(as_text(world(backend("a", 1), route("r", rule("a")), traffic(**listed("websocket", "spdy/3.1")))), encoding="utf-8")
    said = tollgate("check", "-f", file).stdout
    assert "0 errors" in said and "0 warnings" in said, said
