"""WebSocket from clients of HTTP/2 (RFC 8441): an extended CONNECT becomes an upgrade of HTTP/1.1, and 101 a 200."""
import base64
import hashlib
import socket
import struct
import threading

import pytest

from play.deadline import FACTOR, eventually
from play.http2 import Http2
from play.manifests import backend, path, route, rule, world
from play.memory import anonymous_kib, is_sanitized
from play.upstream import Answer

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept(request, connection, more=""):
    key = request.get("sec-websocket-key")
    assert len(base64.b64decode(key, validate=True)) == 16
    value = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
    connection.send(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    f"Sec-WebSocket-Accept: {value}\r\n{more}\r\n".encode())


def echo(request, connection):
    accept(request, connection, "Sec-WebSocket-Protocol: chat\r\n")
    while connection.buffer or connection.recv():
        data, connection.buffer = connection.buffer, b""
        connection.send(data.upper())
    connection.send(b"bye")
    connection.close()


@pytest.fixture
def front(gateway, upstream):
    up = upstream("a")
    up.script = echo
    return gateway(world(backend("a", up), route("r", rule("a", matches=[path("/ws")])))), up


def connect(client, target="/ws", **more):
    more = {"protocol": "websocket", "headers": [("sec-websocket-version", "13"), ("sec-websocket-protocol", "chat")], **more}
    return client.headers(target, "CONNECT", end=False, **more)


def test_a_tunnel_carries_bytes_both_ways_and_ends_in_halves(front):
    gw, up = front
    with Http2(gw.port()) as client:
        client.until(lambda: client.h2.remote_settings.enable_connect_protocol == 1)
        stream = connect(client)
        entry = client.streams[stream]
        client.data(stream, b"early ")  # before the tunnel is open: it waits
        client.until(lambda: entry["body"] == b"EARLY ")
        assert dict(entry["headers"])[":status"] == "200"
        names = {name for name, _ in entry["headers"]}
        assert not names & {"sec-websocket-accept", "upgrade", "connection", "transfer-encoding"}
        assert dict(entry["headers"])["sec-websocket-protocol"] == "chat"
        client.data(stream, b"later")
        client.until(lambda: entry["body"] == b"EARLY LATER")
        assert client.request("/nowhere").status == 404, "other streams go on"
        client.data(stream, b" end", end=True)
        client.until(lambda: entry["end"])
        assert entry["body"] == b"EARLY LATER ENDbye", "the backend is heard out"
    assert (up.last.method, up.last.target, up.last.version) == ("GET", "/ws", "HTTP/1.1")
    assert up.last.get("upgrade") == "websocket" and up.last.get("sec-websocket-version") == "13"
    record = gw.wait_log(lambda r: r["response_code"] == 101)
    assert record["protocol"] == "HTTP/2" and record["bytes_received"] == len("early later end")
    eventually(lambda: gw.metric("tollgate_exchanges_active") == 0)


@pytest.mark.parametrize("answer", [
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",
])
def test_an_answer_that_is_no_agreement_opens_nothing(front, answer):
    gw, up = front
    up.script = lambda _, connection: connection.send(answer.encode())
    with Http2(gw.port()) as client:
        assert client.reply(connect(client)).status == 502


def test_a_refusal_of_the_backend_is_an_answer(front):
    gw, up = front
    up.script = lambda *_: Answer(status=403, body=b"no")
    with Http2(gw.port()) as client:
        reply = client.reply(connect(client))
        assert (reply.status, reply.body) == (403, b"no")


@pytest.mark.parametrize("fields, status", [({"protocol": "connect-udp"}, 405), ({"target": "/%2f"}, 400), ({"host": "a:b"}, 400)])
def test_other_tunnels_are_refused(front, fields, status):
    gw, up = front
    with Http2(gw.port()) as client:
        assert client.reply(connect(client, **fields)).status == status
    assert up.requests == []


def test_a_tunnel_moves_at_the_pace_of_its_readers(front):
    gw, up = front
    go_on = threading.Event()
    seen = []

    def script(request, connection):
        accept(request, connection)
        go_on.wait(60)
        while sum(map(len, seen)) < 16 << 20 and connection.recv():
            seen.append(connection.buffer)
            connection.buffer = b""
        connection.send(b"all")
        connection.close()
    up.script = script
    before = anonymous_kib(gw)
    with Http2(gw.port()) as client:
        stream = connect(client)
        entry = client.streams[stream]
        client.until(lambda: entry["headers"])
        sent = 0
        while client.h2.local_flow_control_window(stream) > 0:
            n = min(16384, client.h2.local_flow_control_window(stream))
            client.h2.send_data(stream, bytes(n))
            sent += n
            client.flush()
            if client.h2.local_flow_control_window(stream) == 0:
                client.request("/nowhere")
        assert sent < 12 << 20
        if not is_sanitized(gw):
            assert anonymous_kib(gw) - before < 4096
        go_on.set()
        client.data(stream, bytes((16 << 20) - sent))
        client.until(lambda: entry["end"])
        assert entry["body"] == b"all"


def test_a_reset_on_either_side_is_one_on_the_other(front):
    gw, up = front
    ended = threading.Event()

    def script(request, connection):
        accept(request, connection)
        while connection.recv():
            if b"reset" in connection.buffer:
                connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.sock.close()  # no FIN before
                return None
        ended.set()
    up.script = script
    with Http2(gw.port()) as client:
        stream = connect(client)
        client.until(lambda: client.streams[stream]["headers"])
        client.h2.reset_stream(stream, 8)
        client.flush()
        assert ended.wait(20 * FACTOR)
        stream = connect(client)
        client.until(lambda: client.streams[stream]["headers"])
        client.data(stream, b"reset")
        client.until(lambda: client.streams[stream]["reset"] is not None)
        assert client.streams[stream]["reset"] == 8
    eventually(lambda: gw.metric("tollgate_exchanges_active") == 0)
