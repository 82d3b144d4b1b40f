"""How many connections a ClientTrafficPolicy lets in, and how long each may live, serve and be silent."""
import signal
import ssl
import threading
import time

import pytest

from play.client import Raw
from play.deadline import FACTOR, eventually
from play.http2 import Http2
from play.manifests import (ENVOY_API, backend, client_policy, http_listener, https_listener, route, rule, target, tls_secret,
                            thing, world)
from play.threads import Threads
from play.upstream import Answer

ASK = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"


@pytest.fixture
def policed(gateway, upstream):
    def start(args=(), script=None, **spec):
        up = upstream("a")
        if script:
            up.script = script
        return gateway(world(backend("a", up), route("r", rule("a")), client_policy("clients", **spec)), args=args), up
    return start


def limited(**limit):
    return {"connection": {"connectionLimit": limit}}


def _is_served(raw):
    try:
        raw.send(ASK)
        return raw.reply().status == 200
    except (OSError, AssertionError, IndexError, ValueError):
        return False


def test_a_limit_holds_among_workers_and_every_place_can_be_had(policed):
    gw, _ = policed(args=["--workers", "4"], **limited(value=6))
    for _ in range(5):
        served, together = [], threading.Barrier(24)

        def come():
            together.wait()
            raw = Raw(gw.port())
            served.append((_is_served(raw), raw))
        Threads().go(come, n=24).join()
        assert sum(is_served for is_served, _ in served) == 6
        for _, raw in served:
            raw.sock.close()
        eventually(lambda: gw.metric("tollgate_connections_active") == 0, what="the places to be free")


def test_a_connection_beyond_the_limit_is_closed_after_its_delay(policed):
    gw, up = policed(args=["--workers", "1"], **limited(value=1, closeDelay="700ms"))
    with gw.raw(ASK) as first:
        assert first.reply().status == 200
        began = time.monotonic()
        with gw.raw(ASK) as second:
            assert second.is_closed()
        assert 0.6 < time.monotonic() - began < 10 * FACTOR
        assert len(up.requests) == 1, "it is not served meanwhile"
        assert gw.metric("tollgate_connections_active") == 1, "and has no place"


def test_a_drain_waits_for_no_delay(policed):
    gw, _ = policed(args=["--workers", "1"], **limited(value=1, closeDelay="1h"))
    with gw.raw(ASK) as first, gw.raw(ASK) as second:
        assert first.reply().status == 200
        gw.stop()
        assert second.is_closed()


def test_a_connection_serves_so_many_requests(policed):
    gw, _ = policed(**limited(maxRequestsPerConnection=2))
    with gw.raw(ASK + ASK + ASK) as raw:
        one, two = raw.reply(), raw.reply()
        assert (one.status, one.get("connection")) == (200, None)
        assert (two.status, two.get("connection")) == (200, "close")
        assert raw.is_closed()


def test_a_connection_of_http2_serves_so_many_requests(policed):
    gw, _ = policed(**limited(maxRequestsPerConnection=2))
    with Http2(gw.port()) as client:
        assert client.request().status == 200
        assert not client.goaways
        assert client.request().status == 200
        client.until(lambda: len(client.goaways) == 2)
        while not client.is_closed:
            client.read()


def test_an_old_connection_takes_no_further_request(policed):
    gw, _ = policed(**limited(maxConnectionDuration="400ms"))
    with gw.raw(ASK) as raw:
        assert raw.reply().get("connection") is None
        with Http2(gw.port()) as client:  # only now: whichever worker accepts it, the other one is older
            assert client.request().status == 200
            client.until(lambda: len(client.goaways) == 2)
            while not client.is_closed:
                client.read()
        raw.send(ASK)
        reply = raw.reply()
        assert (reply.status, reply.get("connection")) == (200, "close"), "what comes is answered"
        assert raw.is_closed()


def test_the_age_of_a_connection_cuts_nothing_off(policed):
    go = threading.Event()

    def slow(_request, _connection):
        go.wait(20)
        return Answer(body=b"whole")
    gw, up = policed(script=slow, **limited(maxConnectionDuration="200ms"))
    with Http2(gw.port()) as client:
        stream = client.headers()
        up.wait_for(1)
        client.until(lambda: client.goaways)
        go.set()
        assert client.reply(stream).body == b"whole"


def test_a_request_and_its_answer_have_a_longest_time(policed):
    go = threading.Event()

    def slow(request, connection):
        if request.target == "/stream":
            connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        go.wait(20)
    gw, _ = policed(script=slow, timeout={"http": {"requestReceivedTimeout": "1h"}}, **limited(maxStreamDuration="400ms"))
    with gw.raw(ASK) as raw:
        began = time.monotonic()
        reply = raw.reply()
        assert (reply.status, reply.code) == (504, "stream_duration")
        assert 0.35 < time.monotonic() - began < 10 * FACTOR
    with gw.raw(b"GET /stream HTTP/1.1\r\nHost: a.test\r\n\r\n") as raw:
        assert raw.head()[0] == 200 and raw.chunk() == b"one"
        with pytest.raises((OSError, AssertionError)):  # a reset: never a clean end
            assert raw.rest() == b"0\r\n\r\n"
    with gw.raw(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\nhalf") as raw:
        reply = raw.reply()
        assert (reply.status, reply.code) == (408, "request_timeout"), "it is the client who was slow"
    with Http2(gw.port()) as client:
        assert client.request().status == 504
        assert not client.goaways, "the stream ends, not its connection"
    assert gw.wait_log(lambda r: r["response_code"] == 504)["response_flags"] == "DT"
    go.set()


def test_what_differs_of_connections_on_one_port_is_named(gateway, upstream):
    policy = client_policy("clients", **limited(value=7, maxRequestsPerConnection=3))
    policy["spec"]["targetRefs"][0]["sectionName"] = "two"
    listeners = [http_listener("one", hostname="one.test"), http_listener("two", hostname="two.test")]
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")), policy, listeners=listeners))
    texts = [d["text"] for d in gw.status()["diagnostics"] if d["code"] == "ineffective"]
    assert [text for text in texts if "connection.connectionLimit" in text], texts


# ---- silence ----

def half_an_answer(go):
    def script(_request, connection):
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
        go.wait(20)
    return script


def test_silence_inside_a_request_or_an_answer_has_its_time(policed):
    go = threading.Event()
    gw, _ = policed(script=half_an_answer(go), timeout={"http": {"streamIdleTimeout": "400ms"}})
    began = time.monotonic()
    with gw.raw(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\nhalf") as raw:
        assert raw.reply().status == 408
    assert 0.35 < time.monotonic() - began < 10 * FACTOR
    with Http2(gw.port()) as client:
        assert client.reply(client.headers(method="POST", end=False)).status == 408
    began = time.monotonic()
    with gw.raw(ASK) as raw:
        assert raw.head()[0] == 200 and raw.rest() == b"half"
    assert 0.35 < time.monotonic() - began < 10 * FACTOR
    go.set()


def test_of_silent_answers_a_backend_traffic_policy_has_the_last_word(gateway, upstream):
    go, up = threading.Event(), upstream("a")
    up.script = half_an_answer(go)
    gw = gateway(world(backend("a", up), route("r", rule("a")),
                       client_policy("clients", timeout={"http": {"streamIdleTimeout": "1h"}}),
                       thing(ENVOY_API, "BackendTrafficPolicy", "t", {"targetRefs": [target("HTTPRoute", "r")],
                                                                      "timeout": {"http": {"streamIdleTimeout": "300ms"}}})))
    with gw.raw(ASK) as raw:
        assert raw.head()[0] == 200 and raw.rest() == b"half"
    go.set()


# ---- handshakes ----

@pytest.fixture
def secure(gateway, upstream, authority):
    def start(**tcp):
        return gateway(world(backend("a", upstream("a")), route("r", rule("a")), tls_secret("cert", authority.leaf("one.test")),
                             client_policy("clients", timeout={"tcp": tcp}), listeners=[https_listener()]))
    return start


def first_message(authority):
    """The client's hello, and what would have gone on with it."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    half = authority.client().wrap_bio(incoming, outgoing, server_hostname="one.test")
    with pytest.raises(ssl.SSLWantReadError):
        half.do_handshake()
    return half, incoming, outgoing


def test_the_first_message_of_tls_has_its_time(secure, authority):
    gw = secure(connectionInspectionTimeout="300ms", tlsHandshakeTimeout="1h")
    began = time.monotonic()
    half, incoming, outgoing = first_message(authority)
    hello = outgoing.read()
    with gw.raw(port=443) as silent, gw.raw(hello[:5], port=443) as cut, gw.raw(hello, port=443) as whole:
        assert silent.is_closed() and cut.is_closed()
        assert 0.25 < time.monotonic() - began < 10 * FACTOR
        while True:  # whoever has said its name in time goes on
            try:
                half.do_handshake()
                break
            except ssl.SSLWantReadError:
                whole.send(outgoing.read())
                incoming.write(whole.sock.recv(65536))
        whole.send(outgoing.read())
        half.write(b"GET / HTTP/1.1\r\nHost: one.test\r\n\r\n")
        whole.send(outgoing.read())
        assert whole.sock.recv(65536)


def test_a_handshake_has_its_time(secure, authority):
    gw = secure(connectionInspectionTimeout="1h", tlsHandshakeTimeout="300ms")
    began = time.monotonic()
    _, _, outgoing = first_message(authority)
    with gw.raw(outgoing.read(), port=443) as stalled, gw.raw(port=443) as silent:
        stalled.rest()
        assert silent.is_closed()
    assert 0.25 < time.monotonic() - began < 10 * FACTOR
    assert gw.request(port=443, tls=authority.client(), host="one.test").status == 200


def test_a_drain_waits_for_no_handshake(gateway, upstream, authority):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")), tls_secret("cert", authority.leaf("one.test")),
                       client_policy("clients", timeout={"tcp": {"tlsHandshakeTimeout": "1h", "connectionInspectionTimeout": "1h"}}),
                       listeners=[https_listener()]), drain=("0", "600"))
    _, _, outgoing = first_message(authority)
    with gw.raw(outgoing.read(), port=443) as stalled:
        assert stalled.sock.recv(1), "the gateway has answered"
        gw.signal(signal.SIGTERM)
        assert gw.wait(15) == 0
