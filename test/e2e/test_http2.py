"""HTTP/2 from clients: h2 by ALPN, h2c by prior knowledge; streams of one connection are requests like any other."""
import json
import signal
import ssl
import subprocess
import threading

import pytest

from play import frames
from play.certs import Authority
from play.deadline import FACTOR, eventually
from play.frames import Frames
from play.http2 import Http2
from play.manifests import backend, client_policy, config_map, https_listener, path, route, rule, tls_secret, world
from play.memory import anonymous_kib, is_sanitized
from play.upstream import Answer
from test_manifest_paths import FILTER, route_filter


@pytest.fixture
def plain(gateway, upstream):
    """A gateway in front of one backend, which echoes, and that backend."""
    up = upstream("a")
    return gateway(world(backend("a", up), route("r", rule("a")))), up


def test_requests_of_many_streams_reach_http_1_backends(plain):
    gw, up = plain
    with Http2(gw.port()) as client:
        first = client.request("/one?q=1", host="Front.test", headers=[("x-a", "1"), ("cookie", "a=1"), ("cookie", "b=2")])
        assert (first.status, first.json["target"]) == (200, "/one?q=1")
        seen = up.last
        assert (seen.get("host"), seen.get("x-a"), seen.all("cookie")) == ("Front.test", "1", ["a=1; b=2"])
        assert seen.all("x-forwarded-for") == ["127.0.0.1"] and seen.get("x-forwarded-proto") == "http"
        assert not [name for name, _ in seen.headers if name.startswith(":")]
        streams = [client.headers(f"/{n}") for n in range(50)]
        assert [client.reply(s).json["target"] for s in streams] == [f"/{n}" for n in range(50)]
        reply = client.request("/post", json={"a": 1})
        assert json.loads(reply.json["body"]) == {"a": 1} and up.last.get("content-length") == "8"
    record = gw.wait_log(lambda r: r["x-envoy-origin-path"] == "/post")
    assert record["protocol"] == "HTTP/2" and record["bytes_received"] == 8 and record["bytes_sent"] > 50
    assert gw.metric("tollgate_requests_total", response_code_class="2xx") == 52
    assert gw.request("/").status == 200
    assert gw.metric("tollgate_http2_connections_total") == 1


def test_a_connection_that_begins_in_a_drain_is_told(gateway, upstream):
    """It was open before, and had not said what it speaks."""
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a"))), drain=("0", "20"))
    with Frames(gw.port(), first=b"", greets=False) as client:
        eventually(lambda: gw.metric("tollgate_connections_active") >= 1)
        gw.signal(signal.SIGTERM)
        eventually(lambda: "draining" in gw.stderr())
        client.send(frames.PREFACE + frames.settings() + frames.request(1))
        assert client.outcome(1) == "200"
        client.until(lambda: client.goaway)
        assert client.goaway == "NO_ERROR"
    assert gw.wait() == 0


def test_output_of_just_its_bound_goes_on(gateway):
    """LIMIT_PIPE_HIGH_BYTES of frames that end with a frame: what comes behind waits for nobody."""
    spec = {"directResponse": {"statusCode": 200, "contentType": "text/plain", "body": {"type": "Inline", "inline": "b" * 1000}}}
    gw = gateway(world(route_filter(**spec), route("r", rule(filters=[{"type": "ExtensionRef", "extensionRef": FILTER}]))))
    windows = frames.settings((frames.INITIAL_WINDOW_SIZE, 1_000_000)) + frames.window_update(0, 10_000_000)
    requests = b"".join(frames.request(stream) for stream in range(1, 200, 2))

    def ends_of(first):
        """Where frames end in what is said to a hundred requests behind `first`."""
        with Frames(gw.port(), first=frames.PREFACE + windows) as client:
            client.until(lambda: client.n_frames[frames.SETTINGS] == 2)  # the answer to ours too
            before = client.frame_ends[-1]
            client.send(first + requests)
            client.until(lambda: all(client.stream(s).is_over for s in range(1, 200, 2)), 5)
            return [end - before for end in client.frame_ends if end > before]

    below = max(end for end in ends_of(b"") if end <= 65536)
    n_pings, n_settings = next((p, s) for p in range(60) for s in range(60) if 17 * p + 9 * s == 65536 - below)
    ends_of(frames.ping() * n_pings + frames.settings() * n_settings)


@pytest.mark.parametrize("alpn", [None, "http/1.1"])
def test_over_tls_alpn_alone_chooses_it(gateway, upstream, authority, alpn):
    """A preface that was not agreed on is no request of HTTP/1 (RFC 9113 3.2)."""
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a")), tls_secret("cert", authority.leaf("one.test")),
                       listeners=[https_listener()]))
    context = authority.client()
    if alpn:
        context.set_alpn_protocols([alpn])
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
    with gw.raw(preface, port=443, tls=context, server_name="one.test") as raw:
        assert raw.reply().status in (400, 505) and raw.is_closed()
    assert not up.requests


def test_what_is_of_neither_protocol_is_closed_without_a_word(plain):
    """RFC 9113 3.4, on a port that speaks both: first line whole or in parts. What HTTP/1 could have meant gets its 400."""
    gw, up = plain
    for line in (b"INVALID CONNECTION PREFACE\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"):
        for cut in (0, 4, len(line) - 1):
            with gw.raw(line[:cut]) as raw:
                raw.send(line[cut:])
                assert raw.rest() == b"", (line, cut)
    record = gw.wait_log(lambda r: r["response_code"] == 400)
    assert record["bytes_sent"] == 0 and record["response_flags"] == "DPE"
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") as raw:
        assert raw.reply().status == 200
        raw.send(b"INVALID CONNECTION PREFACE\r\n\r\n")
        assert raw.reply().code == "bad_request_line" and raw.is_closed()
    for line in (b"GET /\r\n\r\n", b"GET a HTTP/1.\r\n\r\n", b"BREW / TEA\r\n\r\n"):
        with gw.raw(line) as raw:
            assert raw.reply().code == "bad_request_line" and raw.is_closed()
    assert len(up.requests) == 1


def test_alpn_chooses_it(gateway, upstream, authority, tmp_path):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")), tls_secret("cert", authority.leaf("one.test")),
                       listeners=[https_listener()]))
    with Http2(gw.port(443), tls=authority.client(), server_name="one.test") as client:
        assert client.request("/", host="one.test", scheme="https").status == 200
    one = authority.client()
    one.set_alpn_protocols(["http/1.1"])
    with gw.raw(port=443, tls=one, server_name="one.test") as raw:
        assert raw.sock.selected_alpn_protocol() == "http/1.1"
        raw.send(b"GET / HTTP/1.1\r\nHost: one.test\r\n\r\n")
        assert raw.reply().status == 200


def test_each_stream_carries_its_connections_certificate(gateway, upstream, authority, tmp_path):
    up = upstream("a")
    theirs = Authority("their authority")
    own = tmp_path / "own.pem"
    own.write_text("".join(theirs.leaf("web")))
    gw = gateway(world(
        backend("a", up), route("r", rule("a")), tls_secret("cert", authority.leaf("one.test")), config_map("ca", **{"ca.crt": theirs.pem}),
        client_policy("clients", tls={"clientValidation": {"caCertificateRefs": [{"kind": "ConfigMap", "name": "ca"}]}},
                      headers={"xForwardedClientCert": {"mode": "SanitizeSet", "certDetailsToAdd": ["DNS"]}}),
        listeners=[https_listener()]))
    with Http2(gw.port(443), tls=authority.client(own), server_name="one.test") as client:
        for _ in range(2):
            forged = [("x-forwarded-client-cert", "DNS=other")]
            assert client.request("/", host="one.test", scheme="https", headers=forged).status == 200
            assert len(up.last.all("x-forwarded-client-cert")) == 1
            assert "DNS=web" in up.last.get("x-forwarded-client-cert") and "other" not in up.last.get("x-forwarded-client-cert")
    with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
        with Http2(gw.port(443), tls=authority.client(), server_name="one.test") as client:
            client.request("/", host="one.test", scheme="https")
    assert len(up.requests) == 2


def test_a_host_of_another_rule_is_misdirected(gateway, upstream, authority):
    """A connection is not reused for a host whose listener asks for a certificate (RFC 9113 9.1.2): 421, and it goes on."""
    up = upstream("a")
    theirs = Authority("their authority")
    gw = gateway(world(
        backend("a", up), route("r", rule("a")), tls_secret("cert", authority.leaf("one.test", "two.test")),
        config_map("ca", **{"ca.crt": theirs.pem}),
        client_policy("clients", "two", tls={"clientValidation": {"caCertificateRefs": [{"kind": "ConfigMap", "name": "ca"}]}}),
        listeners=[https_listener(name="one", hostname="one.test"), https_listener(name="two", hostname="two.test")]))
    with Http2(gw.port(443), tls=authority.client(), server_name="one.test") as client:
        assert client.request("/", host="two.test", scheme="https").status == 421
        assert client.request("/", host="one.test", scheme="https").status == 200
    assert len(up.requests) == 1


def test_curl_speaks_it(plain):
    gw, _ = plain
    made = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "-w", "\n%{http_version}", "-d", "hello",
                           f"http://127.0.0.1:{gw.port()}/x"], capture_output=True, text=True, check=True, timeout=20 * FACTOR)
    body, version = made.stdout.rsplit("\n", 1)
    assert version == "2" and json.loads(body)["body"] == "hello"


@pytest.mark.parametrize("cut", [1, 3, 17, 23])
def test_the_preface_may_come_in_pieces(plain, cut):
    gw, _ = plain
    with Http2(gw.port(), preface=False) as client:
        client.h2.initiate_connection()
        data = client.h2.data_to_send()
        client.sock.sendall(data[:cut])
        assert gw.request().status == 200  # by then it has been read
        client.sock.sendall(data[cut:])
        assert client.request().status == 200


def test_a_long_body_moves_at_the_backends_pace_and_others_pass_it(gateway, upstream):
    slow, quick = upstream("slow"), upstream("quick")
    go_on = threading.Event()
    slow.on_head = lambda request, connection: go_on.wait(60)
    gw = gateway(world(backend("slow", slow), backend("quick", quick), route("r", rule("slow", matches=[path("/slow")]), rule("quick"))))
    body = b"x" * (16 << 20)
    with Http2(gw.port()) as client:
        stream = client.headers("/slow", "POST", end=False)
        sent = 0
        # As much as windows allow: the rest waits for the backend.
        while client.h2.local_flow_control_window(stream) > 0:
            n = min(16384, client.h2.local_flow_control_window(stream))
            client.h2.send_data(stream, body[sent:sent + n])
            sent += n
            client.flush()
            if client.h2.local_flow_control_window(stream) == 0:
                assert client.request("/quick").json["upstream"] == "quick"
        assert sent < 12 << 20, "the buffers of this machine's sockets, and no more"
        go_on.set()
        client.data(stream, body[sent:], end=True)
        reply = client.reply(stream)
    assert reply.status == 200 and len(slow.last.body) == len(body)


def test_an_answer_moves_at_the_clients_pace(gateway, upstream):
    up = upstream("a")
    body = bytes(range(256)) * (128 << 10)
    sent = []

    def script(_, connection):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        for at in range(0, len(body), 1 << 20):
            connection.send(body[at:at + (1 << 20)])
            sent.append(at)
    up.script = script
    gw = gateway(world(backend("a", up), route("r", rule("a"))))
    before = anonymous_kib(gw)
    with Http2(gw.port()) as client:
        client.reads = False
        stream = client.headers()
        entry = client.streams[stream]
        client.until(lambda: len(entry["body"]) == 65535)
        # Others are not held up but for the connection's window, which the client opens.
        client.h2.increment_flow_control_window(1 << 20)
        client.h2.increment_flow_control_window(1 << 20, stream)
        client.flush()
        client.until(lambda: len(entry["body"]) >= 65535 + (1 << 20))
        assert len(sent) < 16, "the backend waits, but for the buffers of this machine's sockets"
        if not is_sanitized(gw):
            assert anonymous_kib(gw) - before < 4096
        client.reads = True
        client.h2.increment_flow_control_window(1 << 26)
        client.h2.increment_flow_control_window(1 << 26, stream)
        client.flush()
        assert client.reply(stream).body == body


def test_trailers_and_interim_answers_pass(gateway, upstream):
    up = upstream("a")
    up.script = lambda *_: Answer(chunks=[b"hello"], trailers=[("x-sum", "1")])
    gw = gateway(world(backend("a", up), route("r", rule("a"))))
    with Http2(gw.port()) as client:
        stream = client.headers("/", "POST", headers=[("expect", "100-continue"), ("te", "trailers")], end=False)
        client.until(lambda: client.streams[stream]["interim"])
        client.h2.send_data(stream, b"body")
        client.h2.send_headers(stream, [("x-request-sum", "2")], end_stream=True)
        client.flush()
        assert client.reply(stream).body == b"hello"
        assert client.streams[stream]["trailers"] == [("x-sum", "1")]
    assert up.last.body == b"body" and dict(up.last.trailers).get("x-request-sum") == "2"


def test_refusals_are_answers_on_their_stream(plain):
    gw, up = plain
    with Http2(gw.port()) as client:
        for fields, status in (({"path": "/%2f"}, 400), ({"host": "a:b"}, 400), ({"headers": [("x_y", "1")]}, 400),
                               ({"headers": [("host", "other")]}, 400), ({"method": "CONNECT", "path": None, "scheme": None}, 405),
                               ({"headers": [("a" * 100, "v" * 700) for _ in range(100)]}, 431)):
            assert client.reply(client.headers(**fields)).status == status, fields
        assert client.request().status == 200, "the connection goes on"
    assert len(up.requests) == 1


def test_an_early_answer_ends_the_request(gateway, upstream):
    """The answer is complete while content still comes: it is thrown away, and the stream reset without an error."""
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a", matches=[path("/here")]))))
    with Http2(gw.port()) as client:
        stream = client.headers("/nowhere", "POST", end=False)
        client.data(stream, b"x" * 1000)
        assert client.reply(stream).status == 404
        client.until(lambda: client.streams[stream]["reset"] is not None)
        assert client.streams[stream]["reset"] == 0
        assert client.request("/here").status == 200
    eventually(lambda: gw.metric("tollgate_exchanges_active") == 0)


def test_content_that_nobody_wants_any_more_does_not_close_the_connections_window(gateway, upstream):
    """More of it than that window, by streams that were answered early and by such as were reset while it waited."""
    up = upstream("a")
    go_on = threading.Event()
    up.on_head = lambda request, _: request.target != "/stalled" or (go_on.wait(60) and False)
    gw = gateway(world(backend("a", up), route("r", rule("a", matches=[path("/here"), path("/stalled")]))))
    with Http2(gw.port()) as client:
        for _ in range(40):
            stream = client.headers("/nowhere", "POST", end=False)
            client.h2.send_data(stream, b"x" * 16000)
            client.h2.send_data(stream, b"x" * 16000)
            client.flush()
            assert client.reply(stream).status == 404
        for _ in range(40):
            stream = client.headers("/stalled", "POST", end=False)
            client.data(stream, b"x" * 60000)
            client.h2.reset_stream(stream, 8)
            client.flush()
        assert client.request("/here", body=b"x" * (1 << 20)).status == 200
        # It is opened again when half of it has been used.
        client.until(lambda: client.h2.outbound_flow_control_window >= 500 << 10)
    go_on.set()
    eventually(lambda: gw.metric("tollgate_exchanges_active") == 0)


def test_a_reset_stops_the_backends_work(gateway, upstream):
    up = upstream("a")
    begun, ended = threading.Event(), threading.Event()

    def script(_, connection):
        begun.set()
        while connection.recv():
            pass
        ended.set()
    up.script = script
    gw = gateway(world(backend("a", up), route("r", rule("a"))))
    with Http2(gw.port()) as client:
        stream = client.headers()
        assert begun.wait(20 * FACTOR)
        client.h2.reset_stream(stream, 8)
        client.flush()
        assert ended.wait(20 * FACTOR)
        record = gw.wait_log(lambda r: r["response_flags"] == "DC")
        assert record["response_code"] == 0
        eventually(lambda: gw.metric("tollgate_exchanges_active") == 0)


def test_a_backend_that_breaks_off_resets_the_stream(gateway, upstream):
    up = upstream("a")

    def script(_, connection):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        connection.reset()
    up.script = script
    gw = gateway(world(backend("a", up), route("r", rule("a"))))
    with Http2(gw.port()) as client:
        stream = client.headers()
        entry = client.streams[stream]
        client.until(lambda: entry["end"] or entry["reset"] is not None)
        assert entry["reset"] not in (None, 0) and not entry["end"]
        assert client.h2 and not client.is_closed


def test_streams_of_a_closed_connection_end(gateway, upstream):
    up = upstream("a")
    up.script = lambda request, connection: connection.recv() and None or None
    gw = gateway(world(backend("a", up), route("r", rule("a"))))
    with Http2(gw.port()) as client:
        for _ in range(20):
            client.headers()
        up.wait_for(20)
    eventually(lambda: gw.metric("tollgate_exchanges_active") == 0)
    eventually(lambda: gw.metric("tollgate_connections_active") <= 1)


def test_a_drain_ends_an_idle_connection(plain):
    gw, _ = plain
    with Http2(gw.port()) as client:
        assert client.request().status == 200
        gw.signal(signal.SIGTERM)
        while not client.is_closed:
            client.read()
        assert client.goaways == [(2**31 - 1, 0), (1, 0)]
    assert gw.wait() == 0


def test_a_drain_lets_streams_finish(gateway, upstream):
    up = upstream("a")
    go_on = threading.Event()
    up.script = lambda *_: go_on.wait(60) and Answer(body=b"late")
    gw = gateway(world(backend("a", up), route("r", rule("a"))))
    with Http2(gw.port()) as client:
        stream = client.headers()
        up.wait_for(1)
        gw.signal(signal.SIGTERM)
        client.until(lambda: len(client.goaways) == 2)
        # Of the first one nobody can know what was on its way; the second says what was taken.
        assert client.goaways == [(2**31 - 1, 0), (stream, 0)]
        go_on.set()
        assert client.reply(stream).body == b"late"
    assert gw.wait() == 0
