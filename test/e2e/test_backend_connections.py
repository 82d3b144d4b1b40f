"""What a BackendTrafficPolicy says of connections to backends: keep-alive of TCP, buffers, age, and the longest time of
the streams on them."""
import pathlib
import socket
import threading
import time

import grpc
import pytest

from play.bilingual import Bilingual
from play.deadline import FACTOR, eventually
from play.gateway import as_text, tollgate
from play.grpc_server import GrpcClient
from play.http2 import Http2
from play.http2_upstream import SETTINGS
from play.manifests import (ENVOY_API, backend, client_policy, config_map, grpc_route, route, rule, service, target, thing, world)
from play.upstream import Answer, Upstream
from play.websocket import KEY, proof

ASK = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
H2C = {"appProtocols": ["gateway.envoyproxy.io/h2c"]}


def traffic(**spec):
    return thing(ENVOY_API, "BackendTrafficPolicy", "traffic", {"targetRefs": [target("Gateway", "front")], **spec})


@pytest.fixture
def policed(gateway, upstream, http2_upstream):
    """policed(**spec): a gateway in front of one backend with that policy, and the backend."""
    def start(*more, is_h2=False, args=("--workers", "1"), **spec):
        up = (http2_upstream if is_h2 else upstream)("a")
        return gateway(world(backend("a", up, **(H2C if is_h2 else {})), route("r", rule("a")), traffic(**spec), *more),
                       args=args), up
    return start


def warned(folder, **spec):
    file = folder / "m.yaml"
    file.write_text(as_text(world(backend("a", 1), route("r", rule("a")), traffic(**spec))), encoding="utf-8")
    return tollgate("check", "-f", file).stdout


# ---- sockets ----

def timer_to(port):
    """(kind, seconds) of the kernel's timer at the end that is connected to `port`; 2: keep-alive."""
    for line in pathlib.Path("/proc/net/tcp").read_text(encoding="ascii").splitlines():
        fields = line.split()
        if fields[2].endswith(f":{port:04X}") and fields[3] == "01":  # open
            kind, when = fields[5].split(":")
            return int(kind), int(when, 16) / 100
    return 1, 0


def n_open(port):
    """Connections to `port`."""
    lines = pathlib.Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()
    return sum(fields[2].endswith(f":{port:04X}") and fields[3] == "01" for fields in map(str.split, lines))


@pytest.mark.parametrize("keepalive, kind, least, most", [
    (None, 0, 0, 0), ({"idleTime": "100s"}, 2, 50, 101), ({"probes": 3}, 2, 3600, 1e9)])
def test_idle_backends_may_be_probed(policed, keepalive, kind, least, most):
    gw, up = policed(**({} if keepalive is None else {"tcpKeepalive": keepalive}))
    assert gw.request().status == 200
    eventually(lambda: timer_to(up.port)[0] in (0, 2), what="what was sent to be acknowledged")
    told, seconds = timer_to(up.port)
    assert told == kind and least <= seconds <= most


def test_rules_that_differ_in_it_share_no_connections(gateway, upstream):
    up = upstream("a")
    policy = traffic(tcpKeepalive={"idleTime": "100s"})
    policy["spec"]["targetRefs"] = [target("HTTPRoute", "two")]
    gw = gateway(world(backend("a", up), route("one", rule("a"), hostnames=["one.test"]),
                       route("two", rule("a"), hostnames=["two.test"]), policy), args=("--workers", "1"))
    for host in ("one.test", "two.test", "one.test", "two.test"):
        assert gw.request(host=host).status == 200
    assert up.n_connections == 2


@pytest.fixture
def deaf():
    """A port whose connections nobody reads, with little room."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_what_may_wait_for_a_backend_is_bounded(gateway, deaf):
    taken = {}
    for name, connection in (("little", {"socketBufferLimit": "8Ki", "bufferLimit": "16Ki"}),
                             ("more", {"socketBufferLimit": "8Ki", "bufferLimit": "2Mi"}),
                             ("sockets", {"bufferLimit": "16Ki"})):
        gw = gateway(world(backend("a", deaf), route("r", rule("a")), traffic(connection=connection),
                           client_policy("clients", connection={"socketBufferLimit": "8Ki"})), args=("--workers", "1"))
        with gw.raw() as raw:
            raw.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            raw.send(b"PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 50000000\r\n\r\n")
            raw.sock.settimeout(FACTOR)
            n = 0
            try:
                while n < 50_000_000:
                    n += raw.sock.send(b"x" * 1000)
            except TimeoutError:
                pass
            taken[name] = n
    assert taken["little"] < 1_000_000, taken
    assert 1_500_000 < taken["more"] - taken["little"] < 3_000_000, taken
    assert taken["sockets"] > taken["little"] + 100_000, taken


# ---- age ----

def test_an_old_connection_takes_no_further_request(policed):
    gw, up = policed(timeout={"http": {"maxConnectionDuration": "400ms"}})
    for _ in range(3):
        assert gw.request().status == 200
    assert up.n_connections == 1
    time.sleep(0.5)
    assert gw.request().status == 200
    assert up.n_connections == 2


def test_its_age_cuts_nothing_off(policed):
    go = threading.Event()

    def slow(_request, _connection):
        go.wait(20)
        return Answer(body=b"whole")
    gw, up = policed(timeout={"http": {"maxConnectionDuration": "200ms"}})
    up.script = slow
    with gw.raw(ASK + ASK) as raw:
        up.wait_for(1)
        time.sleep(0.3)
        go.set()
        assert raw.reply().body == b"whole"
        assert raw.reply().body == b"whole"
    assert up.n_connections == 2, "it ends with the answer that was under way"


def test_an_old_connection_of_http2_finishes_its_streams(policed):
    gw, up = policed(is_h2=True, timeout={"http": {"maxConnectionDuration": "300ms"}})
    go = threading.Event()

    def script(stream):
        if stream.target == "/long":
            go.wait(20)
        stream.answer(body=b"whole")
    up.script = script
    with Http2(gw.port()) as client:
        long = client.headers(path="/long")
        up.wait_for(1)
        assert gw.request("/").status == 200
        assert len(up.connections) == 1, "it is shared"
        time.sleep(0.4)
        assert gw.request("/").status == 200
        assert len(up.connections) == 2, "but not by what comes later"
        go.set()
        assert client.reply(long).body == b"whole"
        eventually(lambda: n_open(up.port) == 0, what="both to end, which are old and unused")


# ---- streams ----

@pytest.fixture
def half(policed):
    """half(kind, **http): a gateway whose backend answers "one" in a content of that kind, and nothing more for a while."""
    go = threading.Event()

    def start(kind, **http):
        def script(_request, connection):
            connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: " + kind + b"\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
            go.wait(1)
            connection.send(b"3\r\ntwo\r\n0\r\n\r\n")
        gw, up = policed(timeout={"http": http})
        up.script = script
        return gw
    yield start
    go.set()


@pytest.mark.parametrize("kind, limit, is_whole", [
    (b"text/event-stream", "400ms", False), (b"text/event-stream", "0s", True), (b"application/json", "400ms", True)])
def test_a_stream_has_a_longest_time_and_what_is_none_has_not(half, kind, limit, is_whole):
    gw = half(kind, maxStreamDuration=limit)
    with gw.raw(ASK) as raw:
        began = time.monotonic()
        assert raw.head()[0] == 200 and raw.chunk() == b"one"
        if is_whole:
            assert raw.chunk() == b"two" and raw.chunk() == b""
        else:
            with pytest.raises((OSError, AssertionError)):  # a reset: never a clean end
                assert raw.rest() == b"3\r\ntwo\r\n0\r\n\r\n"
            assert 0.3 < time.monotonic() - began < 0.95 * FACTOR
    if not is_whole:
        assert gw.wait_log(lambda r: r["response_flags"] == "DT")


def test_a_websocket_has_a_longest_time(policed):
    def script(_request, connection):
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        b"Sec-WebSocket-Accept: " + proof().encode() + b"\r\n\r\nhi")
        connection.recv()
    gw, up = policed(timeout={"http": {"maxStreamDuration": "400ms"}})
    up.script = script
    with gw.raw(b"GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Key: " + KEY.encode() + b"\r\nSec-WebSocket-Version: 13\r\n\r\n") as raw:
        assert raw.head()[0] == 101
        began = time.monotonic()
        assert raw.exactly(2) == b"hi"
        assert raw.is_closed()
        assert 0.3 < time.monotonic() - began < 10 * FACTOR


def test_a_call_of_grpc_has_a_longest_time_before_its_answer_begins_too(gateway, http2_upstream):
    up, go = http2_upstream("a"), threading.Event()
    up.on_head = lambda stream: go.wait(20)
    gw = gateway(world(backend("a", up, **H2C), grpc_route("r", rule("a")),
                       traffic(timeout={"http": {"maxStreamDuration": "400ms"}})))
    with GrpcClient(gw.port()) as client:
        began = time.monotonic()
        with pytest.raises(grpc.RpcError) as told:
            client.call("/a.B/C")
        assert told.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert 0.35 < time.monotonic() - began < 10 * FACTOR
    go.set()


# ---- what is said ----

def test_what_is_enforced_is_not_named_and_what_is_not_is(tmp_path):
    said = warned(tmp_path, tcpKeepalive={"probes": 3}, connection={"socketBufferLimit": "8Ki", "bufferLimit": "1Mi"},
                  timeout={"http": {"maxConnectionDuration": "1h", "maxStreamDuration": "1h"}})
    assert "0 errors" in said and "0 warnings" in said, said
    said = warned(tmp_path, connection={"socketBufferLimit": "1Gi", "bufferLimit": "17Mi"})
    assert said.count("more than 16777216 bytes is not given") == 2, said


# ---- the client's protocol ----

@pytest.fixture
def bilingual():
    started = []

    def start(**more):
        started.append(Bilingual("a", **more))
        return started[-1]
    yield start
    for up in started:
        up.stop()


def by_both(gw, up):
    """What the backend is spoken to in, for a client of HTTP/1.1 and one of HTTP/2, twice."""
    del up.spoken[:]
    for _ in range(2):
        assert gw.request().json["upstream"] == "a"
        with Http2(gw.port()) as client:
            assert client.request().json["upstream"] == "a"
    return up.spoken


@pytest.mark.parametrize("follows", [True, False])
@pytest.mark.parametrize("spoken, spec", [("h1", {}), ("h2", H2C)])
def test_a_backend_is_spoken_to_as_its_client_speaks(gateway, bilingual, follows, spoken, spec):
    up = bilingual()
    gw = gateway(world(backend("a", up, **spec), route("r", rule("a")), traffic(useClientProtocol=follows)))
    assert by_both(gw, up) == (["h1", "h2"] * 2 if follows else [spoken] * 4)


def test_so_is_one_over_tls_whatever_it_would_choose(gateway, bilingual, authority, tmp_path):
    context = authority.server(tmp_path, "inner.test")
    context.set_alpn_protocols(["h2", "http/1.1"])
    up = bilingual(tls=context)
    tls = {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}], "sni": "inner.test"}
    made = [backend("a", up, tls=tls), config_map("ca", **{"ca.crt": authority.pem}), route("r", rule("a"))]
    gw = gateway(world(*made, traffic(useClientProtocol=True)))
    assert by_both(gw, up) == ["h1", "h2"] * 2
    gw.apply(world(*made, traffic()))
    assert by_both(gw, up) == ["h2"] * 4


def test_so_are_services_and_names_and_their_retries(gateway, bilingual):
    up = bilingual()
    named = thing(ENVOY_API, "Backend", "b", {"endpoints": [{"fqdn": {"hostname": "localhost", "port": up.port}}]})
    policy = traffic(useClientProtocol=True, retry={"numRetries": 2}, circuitBreaker={"maxConnections": 4},
                     healthCheck={"passive": {}})
    gw = gateway(world(named, *service("s", 80, up.port), policy, route("one", rule("b"), hostnames=["one.test"]),
                       route("two", rule({"name": "s", "port": 80}), hostnames=["two.test"])))
    for host in ("one.test", "two.test"):
        assert gw.request(host=host).status == 200
        with Http2(gw.port()) as client:
            assert client.request(host=host).status == 200
    assert up.spoken == ["h1", "h2"] * 2


# ---- ahead of need ----

def preconnect(percent):
    return {"connection": {"preconnect": {"perEndpointPercent": percent}}}


@pytest.fixture
def crowd():
    """crowd(gw, n) sends n requests that are not answered yet; statuses() of all, once they may be."""
    threads, replies = [], []

    def send(gw, n=1):
        for _ in range(n):
            threads.append(threading.Thread(target=lambda: replies.append(gw.request().status), daemon=True))
            threads[-1].start()

    def statuses():
        for thread in threads:
            thread.join(20 * FACTOR)
        return replies
    send.statuses, send.replies = statuses, replies
    return send


@pytest.fixture(params=[False, True], ids=["h1", "h2"])
def held(request, policed, http2_upstream):
    """held(**spec): a gateway whose backend answers when it is let; it speaks HTTP/1.1, or HTTP/2 with a stream a
    connection."""
    go = threading.Event()

    def start(**spec):
        gw, up = policed(is_h2=request.param, **spec)
        plain = up.script
        if request.param:
            up.settings[SETTINGS.MAX_CONCURRENT_STREAMS] = 1

        def script(*args):
            go.wait(20)
            return plain(*args)
        up.script = script
        return gw, up, go
    yield start
    go.set()


@pytest.mark.parametrize("spec, n_connections", [
    ({}, 2), (preconnect(100), 2), (preconnect(200), 4), (preconnect(150), 3),
    ({**preconnect(300), "circuitBreaker": {"maxConnections": 3}}, 3)])
def test_connections_are_opened_ahead_of_need(held, crowd, spec, n_connections):
    gw, up, go = held(**spec)
    for n in (1, 2):
        crowd(gw)
        up.wait_for(n)
    eventually(lambda: n_open(up.port) == n_connections, what=f"{n_connections} connections")
    go.set()
    assert crowd.statuses() == [200, 200]
    for _ in range(n_connections):
        assert gw.request().status == 200
    assert n_open(up.port) == n_connections, "what is there is enough for one at a time"


class Gated(Upstream):
    """`gates[n]` is to be opened before its connection n shakes hands."""

    def __init__(self, *args):
        self.gates = [threading.Event() for _ in range(8)]
        super().__init__(*args)

    def _serve(self, sock, index):
        self.gates[index].wait(20)
        super()._serve(sock, index)


def test_who_comes_next_waits_for_the_one_that_is_being_opened(gateway, authority, tmp_path, crowd):
    up = Gated("a", authority.server(tmp_path, "inner.test"))
    tls = {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}], "sni": "inner.test",
           "alpnProtocols": ["http/1.1"]}
    gw = gateway(world(backend("a", up, tls=tls), config_map("ca", **{"ca.crt": authority.pem}), route("r", rule("a")),
                       traffic(**preconnect(200))), args=("--workers", "1"))
    crowd(gw)
    eventually(lambda: up.n_connections == 2, what="one, and one ahead of need")
    crowd(gw)
    eventually(lambda: up.n_connections == 4, what="the same of two")
    up.gates[1].set()
    eventually(lambda: crowd.replies == [200], what="the second request to have had what was ahead of need")
    for gate in up.gates:
        gate.set()
    assert crowd.statuses() == [200, 200]
    up.stop()


def test_what_cannot_be_opened_ahead_of_need_is_named(tmp_path):
    assert "0 warnings" in warned(tmp_path, **preconnect(200))
    assert "predictivePercent" in warned(tmp_path, connection={"preconnect": {"predictivePercent": 200}})
    assert "ahead of need" in warned(tmp_path, **preconnect(200), proxyProtocol={"version": "V2"})


# ---- is it still there? ----

def first_pinged(after="300ms", **more):
    return {"http2": {"connectionKeepalive": {"idleInterval": after, "timeout": "500ms", **more}}}


def test_a_stream_after_a_silence_begins_with_a_ping(policed):
    gw, up = policed(is_h2=True, **first_pinged())
    for n in (0, 1, 2):
        assert gw.request().status == 200
        assert gw.request().status == 200
        assert [c.n_pings for c in up.connections] == [n], "once, after each silence"
        time.sleep(0.4)


def test_so_a_backend_that_has_gone_meanwhile_is_noticed_soon(policed):
    gw, up = policed(is_h2=True, **first_pinged())
    assert gw.request().status == 200
    up.connections[0].h2.receive_data = lambda _: []  # reads, and does not hear
    time.sleep(0.4)
    began = time.monotonic()
    assert gw.request().status == 200
    assert time.monotonic() - began < 15 * FACTOR, "without a PING it would be a minute"
    assert len(up.connections) == 2
