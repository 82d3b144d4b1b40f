"""The PROXY protocol towards backends: whose address their connections begin with, and that no other client's request
ever goes there."""
import threading

import pytest

from play.deadline import eventually
from play.health import http_check
from play.http2 import Http2
from play.manifests import (ENVOY_API, backend, client_policy, config_map, path, route, rule, target, thing, to, world)
from play.proxied import ProxiedHttp2Upstream, ProxiedUpstream
from play.upstream import Answer

ASK = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
H2C = {"appProtocols": ["gateway.envoyproxy.io/h2c"]}
CLIENT = "203.0.113.9"


def traffic(version="V2", **spec):
    return thing(ENVOY_API, "BackendTrafficPolicy", "traffic",
                 {"targetRefs": [target("Gateway", "front")], "proxyProtocol": {"version": version}, **spec})


@pytest.fixture
def proxied():
    """proxied(is_h2): a backend that expects a PROXY header; `who`: (header, what the request says of its client)."""
    started = []

    def start(is_h2=False, **more):
        up = (ProxiedHttp2Upstream if is_h2 else ProxiedUpstream)("a", **more)
        up.who = []

        def answer(request, connection):
            up.who.append((up.header_of(connection), request.get("x-who")))
            return Answer(body=b"served")

        def answer_stream(stream):
            up.who.append((up.header_of(stream.connection), stream.get("x-who")))
            stream.answer(body=b"served")
        up.script = answer_stream if is_h2 else answer
        started.append(up)
        return up
    yield start
    for up in started:
        up.stop()
        assert not [told for told in up.told.values() if told[0] == "fault"], up.told


def name_of(sock):
    return "{}:{}".format(*sock.getsockname())


def ask(sock):
    return b"GET / HTTP/1.1\r\nHost: a.test\r\nX-Who: %s\r\n\r\n" % name_of(sock).encode()


def is_right(up, version=2):
    """Every request came behind the header of the client that sent it."""
    assert up.who and all(told[:2] == (version, who) for told, who in up.who), up.who
    return True


@pytest.mark.parametrize("is_h2", [False, True])
@pytest.mark.parametrize("version", ["V1", "V2"])
def test_a_connection_begins_with_its_clients_address(gateway, proxied, version, is_h2):
    up = proxied(is_h2)
    gw = gateway(world(backend("a", up, **(H2C if is_h2 else {})), route("r", rule("a")), traffic(version)))
    with gw.raw() as raw:
        raw.send(ask(raw.sock) * 2)
        assert (raw.reply().body, raw.reply().body) == (b"served", b"served")
        told = {(int(version[1]), name_of(raw.sock), f"127.0.0.1:{gw.port()}")}
    assert set(up.told.values()) == told and is_right(up, int(version[1]))


def test_it_stands_before_tls(gateway, proxied, authority, tmp_path):
    up = proxied(tls=authority.server(tmp_path, "inner.test"))
    tls = {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}], "sni": "inner.test"}
    gw = gateway(world(backend("a", up, tls=tls), config_map("ca", **{"ca.crt": authority.pem}), route("r", rule("a")), traffic()))
    with gw.raw() as raw:
        raw.send(ask(raw.sock))
        assert raw.reply().body == b"served"
    assert is_right(up)


def test_clients_never_share_a_connection_and_each_keeps_its_own(gateway, proxied):
    up = proxied()
    gw = gateway(world(backend("a", up), route("r", rule("a")), traffic()), args=("--workers", "1"))
    with gw.raw() as one, gw.raw() as two:
        for raw in (one, two, one, one, two):
            raw.send(ask(raw.sock))
            assert raw.reply().body == b"served"
    assert is_right(up) and len(up.who) == 5
    assert up.n_connections == 2


def test_nor_do_they_share_one_of_http2(gateway, proxied):
    up, go = proxied(is_h2=True), threading.Event()
    answer = up.script

    def script(stream):
        go.wait(20)
        answer(stream)
    up.script = script
    gw = gateway(world(backend("a", up, **H2C), route("r", rule("a")), traffic()), args=("--workers", "1"))
    with Http2(gw.port()) as one, Http2(gw.port()) as two:
        asked = [(client, client.headers(headers=[("x-who", name_of(client.sock))])) for client in (one, two, one, two, one)]
        up.wait_for(5)
        go.set()
        for client, stream in asked:
            assert client.reply(stream).body == b"served"
    assert is_right(up) and len(up.who) == 5
    assert len(up.connections) == 2, "the streams of one client share"


@pytest.mark.parametrize("is_h2", [False, True])
def test_who_waits_for_a_connection_gets_one_of_its_own(gateway, proxied, is_h2):
    up, go = proxied(is_h2), threading.Semaphore(0)
    answer = up.script

    def script(*args):
        go.acquire()
        return answer(*args)
    up.script = script
    gw = gateway(world(backend("a", up, **(H2C if is_h2 else {})), route("r", rule("a")),
                       traffic(circuitBreaker={"maxConnections": 1})), args=("--workers", "1"))
    with gw.raw() as one, gw.raw() as two, gw.raw() as three:
        for raw in (one, two, three):
            raw.send(ask(raw.sock))
        up.wait_for(1)
        eventually(lambda: gw.metric("tollgate_circuit_breaker_pending", backend="Backend/play/a") == 2, what="two to wait")
        go.release(9)
        for raw in (one, two, three):
            assert raw.reply().body == b"served"
        two.send(ask(two.sock))  # what is unused is another's
        assert two.reply().body == b"served"
    assert is_right(up) and len(up.who) == 4


def test_the_address_is_that_of_a_header_of_the_clients_own(gateway, proxied):
    up = proxied()
    gw = gateway(world(backend("a", up), route("r", rule("a")), traffic(), client_policy("clients", proxyProtocol={})))
    for source, destination in ((CLIENT, "192.0.2.1"), ("2001:db8::9", "2001:db8::1")):
        family = "TCP6" if ":" in source else "TCP4"
        with gw.raw(f"PROXY {family} {source} {destination} 4711 80\r\n".encode() + ASK) as raw:
            assert raw.reply().body == b"served"
        assert (2, f"{source}:4711", f"{destination}:80") in up.told.values()


def test_no_header_of_a_request_changes_it(gateway, proxied):
    up = proxied()
    gw = gateway(world(backend("a", up), route("r", rule("a")), traffic("V1"),
                       client_policy("clients", clientIPDetection={"xForwardedFor": {"numTrustedHops": 1}})))
    with gw.raw() as raw:
        raw.send(ask(raw.sock)[:-2] + f"X-Forwarded-For: {CLIENT}, {CLIENT}\r\n\r\n".encode())
        assert raw.reply().body == b"served"
        assert is_right(up, 1)


def test_a_copy_is_none_of_the_policys(gateway, proxied, upstream):
    up, other = proxied(), upstream("b")
    copied = {"type": "RequestMirror", "requestMirror": {"backendRef": to("b")}}
    gw = gateway(world(backend("a", up), backend("b", other), route("r", rule("a", filters=[copied])), traffic()))
    with gw.raw() as raw:
        raw.send(ask(raw.sock))
        assert raw.reply().body == b"served"
        other.wait_for(1)
        assert is_right(up)


@pytest.mark.parametrize("kind", ["HTTP", "TCP"])
@pytest.mark.parametrize("version", ["V1", "V2"])
def test_probes_say_that_they_are_the_gateways_own(gateway, proxied, version, kind):
    up = proxied()
    check = http_check() if kind == "HTTP" else {**http_check(), "type": "TCP", "tcp": {}}
    if kind == "TCP":
        del check["http"]
    gw = gateway(world(backend("a", up), route("r", rule("a", matches=[path("/")])),
                       traffic(version, healthCheck={"active": check})))
    eventually(lambda: (int(version[1]), None, None) in up.told.values(), what="a probe")
    assert gw.status()


def test_retries_begin_with_it_too(gateway, proxied):
    up = proxied()
    answer = up.script

    def script(request, connection):
        if len(up.who) == 0:
            up.who.append((up.header_of(connection), request.get("x-who")))
            return None  # without an answer
        return answer(request, connection)
    up.script = script
    gw = gateway(world(backend("a", up), route("r", rule("a")), traffic(retry={"retryOn": {"triggers": ["reset"]}})))
    with gw.raw() as raw:
        raw.send(ask(raw.sock))
        assert raw.reply().body == b"served"
    assert is_right(up) and len(up.who) == 2
