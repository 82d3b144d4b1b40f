"""Connections that begin with the PROXY protocol: whose address counts, and what is no such beginning."""
import socket
import ssl
import struct
import time

import pytest

from play.deadline import FACTOR, eventually
from play.http2 import Http2
from play.manifests import (backend, client_policy, http_listener, https_listener, route, rule, security_policy, target,
                            tls_secret, world)

ASK = b"GET / HTTP/1.1\r\nHost: one.test\r\n\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
OFFICE = {"defaultAction": "Deny", "rules": [{"action": "Allow", "principal": {"clientCIDRs": ["203.0.113.0/24", "2001:db8::/32"]}}]}
V1 = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 80\r\n"


def v2(source="203.0.113.9", destination="192.0.2.1", command=0x21, more=b""):
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    ends = (socket.inet_pton(family, source) + socket.inet_pton(family, destination) + struct.pack("!HH", 4711, 80)) + more
    return SIGNATURE + bytes([command, 0x21 if ":" in source else 0x11]) + struct.pack("!H", len(ends)) + ends


LOCAL = SIGNATURE + b"\x20\0\0\0"


@pytest.fixture
def proxied(gateway, upstream):
    def start(*more, listeners=None, args=(), **spec):
        up = upstream("a")
        return gateway(world(backend("a", up), route("r", rule("a")), client_policy("clients", **(spec or {"proxyProtocol": {}})),
                             *more, listeners=listeners), args=args), up
    return start


@pytest.mark.parametrize("begin, address", [
    (V1, "203.0.113.9"), (b"PROXY TCP6 2001:db8::9 2001:db8::1 4711 80\r\n", "2001:db8::9"),
    (v2(), "203.0.113.9"), (v2("2001:db8::9", "2001:db8::1"), "2001:db8::9"), (v2(more=b"\x04\0\x03abc"), "203.0.113.9"),
    (LOCAL, "127.0.0.1"), (v2(command=0x20), "127.0.0.1"), (b"PROXY UNKNOWN\r\n", "127.0.0.1")])
def test_the_address_that_is_told_is_the_clients(proxied, begin, address):
    gw, up = proxied()
    with gw.raw(begin + ASK + ASK) as raw:
        assert (raw.reply().status, raw.reply().status) == (200, 200), "of the whole connection"
    assert [seen.get("x-forwarded-for") for seen in up.requests] == [address] * 2
    record = gw.wait_log(lambda r: r["response_code"] == 200)
    if address == "127.0.0.1":
        assert record["downstream_remote_address"].startswith("127.0.0.1:")
    else:
        assert record["downstream_remote_address"] == (f"[{address}]:4711" if ":" in address else f"{address}:4711")
        assert record["downstream_local_address"].endswith(":80")


def test_authorization_and_detection_go_by_it(proxied):
    gw, _ = proxied(security_policy("s", target("HTTPRoute", "r"), authorization=OFFICE))
    for begin, status in ((V1, 200), (v2(), 200), (v2("198.51.100.1"), 403), (LOCAL, 403)):
        with gw.raw(begin + ASK) as raw:
            assert raw.reply().status == status, begin
    forged = b"GET / HTTP/1.1\r\nHost: one.test\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n"
    with gw.raw(v2("198.51.100.1") + forged) as raw:
        assert raw.reply().status == 403, "a client's own word is none"


def test_trusted_networks_are_judged_by_it(proxied):
    gw, _ = proxied(security_policy("s", target("HTTPRoute", "r"), authorization=OFFICE), proxyProtocol={},
                    clientIPDetection={"xForwardedFor": {"trustedCIDRs": ["198.51.100.0/24"]}})
    ask = b"GET / HTTP/1.1\r\nHost: one.test\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n"
    for source, status in (("198.51.100.1", 200), ("192.0.2.77", 403)):
        with gw.raw(v2(source) + ask) as raw:
            assert raw.reply().status == status


@pytest.mark.parametrize("begin", [
    ASK, b"PROXY TCP4 203.0.113.9 192.0.2.1 4711\r\n", b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 80\n", b"PROXY " + b"x" * 200,
    V1.replace(b"TCP4", b"TCP6"), SIGNATURE + b"\x11\x11\0\x0c" + b"a" * 12, SIGNATURE + b"\x21\x31\0\xd8" + b"a" * 216,
    SIGNATURE + b"\x21\x11\xff\xff", v2(more=b"\x04\0\x09abc"), b"\x16\x03\x01\x02\x00\x01"])
def test_what_is_no_header_closes(proxied, begin):
    gw, up = proxied()
    with gw.raw(begin + ASK) as raw:
        assert raw.rest() == b""
    assert not up.requests
    assert gw.metric("tollgate_proxy_headers_refused_total", port="80") == 1
    eventually(lambda: gw.metric("tollgate_connections_active") == 0, what="its place to be free")


def test_the_older_form_demands_it_too(proxied):
    gw, up = proxied(enableProxyProtocol=True)
    with gw.raw(ASK) as raw:
        assert raw.rest() == b""
    with gw.raw(V1 + ASK) as raw:
        assert raw.reply().status == 200 and up.last.get("x-forwarded-for") == "203.0.113.9"


def test_byte_by_byte_it_is_the_same_and_nothing_of_what_follows_is_lost(proxied):
    for begin in (V1, v2(more=b"\x04\0\x03abc")):
        gw, up = proxied()
        with gw.raw() as raw:
            for byte in begin + ASK:
                raw.send(bytes([byte]))
            assert raw.reply().status == 200
        assert up.last.get("x-forwarded-for") == "203.0.113.9"


@pytest.mark.parametrize("begin", [b"", b"PROXY TCP4 203", SIGNATURE[:7], v2()[:20]])
def test_a_header_has_its_time_and_burns_none(proxied, begin):
    gw, _ = proxied(proxyProtocol={}, timeout={"tcp": {"connectionInspectionTimeout": "600ms"}})
    with gw.raw(begin) as raw:
        began, spent = time.monotonic(), _processor_s(gw)
        assert raw.is_closed()
        assert 0.5 < time.monotonic() - began < 10 * FACTOR
        assert _processor_s(gw) - spent < 0.3, "bytes that wait in the socket report again and again"
    assert gw.metric("tollgate_proxy_headers_refused_total") == 1


def _processor_s(gw):
    with open(f"/proc/{gw.process.pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


@pytest.mark.parametrize("ask", [ASK, b"P" + ASK[1:].replace(b"ET", b"ROPFIND", 1), b"PROX" + ASK[1:]])
def test_where_it_is_optional_the_first_bytes_tell(proxied, ask):
    gw, up = proxied(proxyProtocol={"optional": True})
    for pause in (False, True):
        with gw.raw() as raw:
            raw.send(ask[:3])
            if pause:  # until the gateway has looked at them
                eventually(lambda: gw.metric("tollgate_connections_active") == 1)
            raw.send(ask[3:])
            assert raw.reply().status == 200
    assert [seen.method + " " for seen in up.requests] == [ask.split(b"/")[0].decode()] * 2
    assert up.last.get("x-forwarded-for") == "127.0.0.1"
    with gw.raw(V1 + ask) as raw:
        assert raw.reply().status == 200 and up.last.get("x-forwarded-for") == "203.0.113.9"
    with gw.raw(b"PROXY TCP4 nonsense\r\n" + ask) as raw:
        assert raw.rest() == b"", "what begins as one has to be one"


def test_http2_by_prior_knowledge_comes_behind_it(proxied):
    gw, up = proxied(proxyProtocol={"optional": True})
    with Http2(gw.port(), preface=False) as client:
        client.sock.sendall(v2())
        client.h2.initiate_connection()
        client.flush()
        assert client.request().status == 200
    assert up.last.get("x-forwarded-for") == "203.0.113.9"
    with Http2(gw.port()) as client:  # "PR" is the beginning of both
        assert client.request().status == 200
    assert up.last.get("x-forwarded-for") == "127.0.0.1"


@pytest.mark.parametrize("optional", [False, True])
def test_it_comes_before_tls(proxied, authority, optional):
    gw, up = proxied(tls_secret("cert", authority.leaf("one.test")), listeners=[https_listener()],
                     proxyProtocol={"optional": optional})
    with gw.raw(v2(), port=443) as raw:
        raw.sock = authority.client().wrap_socket(raw.sock, server_hostname="one.test")
        raw.send(ASK)
        assert raw.reply().status == 200
    assert up.last.get("x-forwarded-for") == "203.0.113.9"
    if optional:
        assert gw.request(port=443, tls=authority.client(), host="one.test").status == 200
        assert up.last.get("x-forwarded-for") == "127.0.0.1"
        with gw.raw(b"PROXX" + ASK, port=443) as raw:
            assert raw.rest() == b"", "neither the one nor the other"
    else:
        with pytest.raises((ssl.SSLError, OSError)):
            gw.request(port=443, tls=authority.client(), host="one.test")


def test_who_waits_with_its_header_has_a_place_and_a_moment_in_a_drain(proxied):
    gw, _ = proxied(args=["--workers", "1"], proxyProtocol={}, connection={"connectionLimit": {"value": 2}})
    with gw.raw(V1[:5]) as first, gw.raw(V1[:5]) as second:
        eventually(lambda: gw.metric("tollgate_connections_active") == 2)
        with gw.raw(V1 + ASK) as third:
            assert third.rest() == b"", "there are two already"
        import signal
        gw.signal(signal.SIGTERM)
        eventually(lambda: gw.get_admin("/ready").status == 503)
        first.send(V1[5:] + ASK)
        reply = first.reply()
        assert (reply.status, reply.get("connection")) == (200, "close")
        assert second.is_closed()
    assert gw.wait() == 0


def test_a_reload_brings_it_to_new_connections(proxied, upstream):
    gw, up = proxied(proxyProtocol={"optional": True})
    with gw.raw(ASK) as old:
        assert old.reply().status == 200
        gw.apply(world(backend("a", up), route("r", rule("a")), client_policy("clients", proxyProtocol={})))
        with gw.raw(ASK) as raw:
            assert raw.rest() == b""
        old.send(ASK)
        assert old.reply().status == 200


def test_one_port_has_one_word_on_it(gateway, upstream):
    policy = client_policy("clients", proxyProtocol={})
    policy["spec"]["targetRefs"][0]["sectionName"] = "two"
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")), policy, listeners=[
        http_listener("one", hostname="one.test"), http_listener("two", hostname="two.test")]))
    texts = [d["text"] for d in gw.status()["diagnostics"] if d["code"] == "ineffective"]
    assert [text for text in texts if "proxyProtocol" in text], texts
