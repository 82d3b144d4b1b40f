"""TLS on both sides: names, certificates, versions, resumption, ends, and backends that must prove themselves."""
import os
import queue
import signal
import socket
import ssl
import subprocess

import pytest
from cryptography import x509

from play.certs import Authority, fingerprint
from play.deadline import FACTOR
from play.gateway import tollgate
from play.manifests import (backend, config_map, https_listener, path, route, rule, service, thing,
                            tls_secret, world)


def presented(gw, context, name, port=443):
    with gw.raw(port=port, tls=context, server_name=name) as raw:
        return raw.sock.getpeercert(binary_form=True)


def https_world(up, authority, *more, names=("one.test",), options=None):
    return world(backend("a", up), route("r", rule("a")), tls_secret("cert", authority.leaf(*names)), *more,
                 listeners=[https_listener(options=options)])


def test_a_request_over_https(gateway, upstream, authority):
    up = upstream("a")
    gw = gateway(https_world(up, authority))
    reply = gw.request("/", port=443, tls=authority.client(), host="one.test")
    assert reply.status == 200 and up.last.get("x-forwarded-proto") == "https"


def test_the_server_name_chooses_listener_and_certificate(gateway, upstream, authority):
    a, b = upstream("a"), upstream("b")
    pairs = {name: authority.leaf(name) for name in ("one.test", "*.two.test")}
    gw = gateway(world(
        backend("a", a), backend("b", b), route("ra", rule("a"), section="one"),
        route("rb", rule("b"), section="two"), tls_secret("cert-1", pairs["one.test"]),
        tls_secret("cert-2", pairs["*.two.test"]),
        listeners=[https_listener("one", hostname="one.test", secrets=["cert-1"]),
                   https_listener("two", hostname="*.two.test", secrets=["cert-2"],
                                  options={"tls.min_protocol_version": "TLSv1.3"})]))
    client = authority.client()
    assert presented(gw, client, "one.test") == fingerprint(pairs["one.test"][0])
    assert presented(gw, client, "x.two.test") == fingerprint(pairs["*.two.test"][0])
    assert gw.request("/", port=443, tls=client, host="x.two.test").json["upstream"] == "b"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        presented(gw, client, "unknown.test")
    reply = gw.request("/", port=443, tls=client, host="x.two.test", server_name="one.test")
    assert (reply.status, reply.code) == (421, "misdirected_request")


def test_a_certificate_is_replaced_on_reload(gateway, upstream, authority):
    up = upstream("a")
    gw = gateway(https_world(up, authority))
    first = presented(gw, authority.client(), "one.test")
    pair = authority.leaf("one.test")
    with gw.raw(port=443, tls=authority.client(), server_name="one.test") as raw:
        gw.apply(world(backend("a", up), route("r", rule("a")), tls_secret("cert", pair),
                       listeners=[https_listener()]))
        assert presented(gw, authority.client(), "one.test") == fingerprint(pair[0]) != first
        raw.send(b"GET / HTTP/1.1\r\nHost: one.test\r\n\r\n")
        assert raw.reply().status == 200


def test_versions_and_ciphers_are_honoured(gateway, upstream, authority):
    up = upstream("a")
    gw = gateway(https_world(up, authority, options={
        "tls.min_protocol_version": "TLSv1.2", "tls.max_protocol_version": "TLSv1.2",
        "tls.cipher_suites": "ECDHE-ECDSA-AES128-GCM-SHA256"}))
    with gw.raw(port=443, tls=authority.client(), server_name="one.test") as raw:
        assert raw.sock.version() == "TLSv1.2"
        assert raw.sock.cipher()[0] == "ECDHE-ECDSA-AES128-GCM-SHA256"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        presented(gw, authority.client(minimum_version=ssl.TLSVersion.TLSv1_3), "one.test")
    chacha = authority.client()
    chacha.set_ciphers("ECDHE-ECDSA-CHACHA20-POLY1305")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        presented(gw, chacha, "one.test")


def test_suites_that_http_2_forbids_are_warned_of_and_speak_http_1_1(gateway, upstream, authority):
    weak = {"tls.cipher_suites": "ECDHE-ECDSA-AES128-SHA256,ECDHE-ECDSA-AES128-GCM-SHA256", "tls.max_protocol_version": "TLSv1.2"}
    gw = gateway(https_world(upstream("a"), authority, options=weak))
    assert "agreed on over them (RFC 9113 9.2.2): ECDHE-ECDSA-AES128-SHA256\n" in gw.stderr()
    for suite, protocol in (("ECDHE-ECDSA-AES128-SHA256", "http/1.1"), ("ECDHE-ECDSA-AES128-GCM-SHA256", "h2")):
        context = authority.client()
        context.set_ciphers(suite)
        context.set_alpn_protocols(["h2", "http/1.1"])
        with gw.raw(port=443, tls=context, server_name="one.test") as raw:
            assert (raw.sock.cipher()[0], raw.sock.selected_alpn_protocol()) == (suite, protocol)


def test_old_versions_are_refused_by_default(gateway, upstream, authority):
    gw = gateway(https_world(upstream("a"), authority))
    old = authority.client()
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        presented(gw, old, "one.test")


def test_sessions_resume_on_their_own_listener_only(gateway, upstream, authority):
    up = upstream("a")
    gw = gateway(world(
        backend("a", up), route("r", rule("a")), tls_secret("cert", authority.leaf("one.test", "two.test")),
        listeners=[https_listener("one", hostname="one.test"),
                   https_listener("two", hostname="two.test",
                                  options={"tls.cipher_suites": "ECDHE-ECDSA-AES256-GCM-SHA384"})]))
    client = authority.client(maximum_version=ssl.TLSVersion.TLSv1_2)

    def connect(name, session):
        import socket
        plain = socket.create_connection(("127.0.0.1", gw.port(443)), timeout=20)
        with client.wrap_socket(plain, server_hostname=name, session=session) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % name.encode())
            assert sock.recv(12) == b"HTTP/1.1 200"
            return sock.session, sock.session_reused

    session, _ = connect("one.test", None)
    # A ticket belongs to a worker's listener of this name; the other listener must not take it.
    assert any(connect("one.test", session)[1] for _ in range(20))
    assert not any(connect("two.test", session)[1] for _ in range(10))


def test_the_server_name_chooses_among_a_listeners_certificates(gateway, upstream, authority):
    pairs = {name: authority.leaf(name) for name in ("one.test", "two.test", "*.wild.test")}
    gw = gateway(world(
        backend("a", upstream("a")), route("r", rule("a")),
        *(tls_secret(f"cert-{i}", pair) for i, pair in enumerate(pairs.values())),
        listeners=[https_listener(secrets=["cert-0", "cert-1", "cert-2"])]))
    client = authority.client()
    client.check_hostname = False
    for asked, given in (("one.test", "one.test"), ("two.test", "two.test"), ("x.wild.test", "*.wild.test"),
                         ("unknown.test", "one.test"), (None, "one.test")):
        assert presented(gw, client, asked) == fingerprint(pairs[given][0]), asked
    assert gw.request("/", port=443, tls=client, host="two.test", server_name="one.test").status == 200


def stapled(gw, version):
    """What OpenSSL's client says of the OCSP response it got."""
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{gw.port(443)}", "-servername", "one.test",
                           "-status", f"-tls{version}"], input="", capture_output=True, text=True, check=False,
                          timeout=30 * FACTOR)
    return done.stdout


def namesakes_ocsp(pem):
    """About a certificate with the same number, of another authority."""
    other = Authority("another authority")
    return other.ocsp(other.leaf("one.test", serial=x509.load_pem_x509_certificate(pem.encode()).serial_number)[0])


def staples(authority, pair, kind):
    return {"good": lambda: authority.ocsp(pair[0]),
            "outdated": lambda: authority.ocsp(pair[0], hours=-1),
            "revoked": lambda: authority.ocsp(pair[0], is_revoked=True),
            "another's": lambda: authority.ocsp(authority.leaf("one.test")[0]),
            "another issuer's": lambda: namesakes_ocsp(pair[0]),
            "garbage": lambda: b"\x30\x03abc",
            "more behind it": lambda: authority.ocsp(pair[0]) + b"\0",
            "too long": lambda: b"\x30\x82\x7f\xff" + bytes(0x7fff)}[kind]()


@pytest.mark.parametrize("kind", ["good", "outdated", "revoked", "another's", "another issuer's", "garbage", "more behind it",
                                  "too long"])
def test_an_ocsp_response_is_stapled_while_it_holds(gateway, upstream, authority, kind):
    pair = authority.leaf("one.test")
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")),
                       tls_secret("cert", pair, staples(authority, pair, kind)), listeners=[https_listener()]))
    for version in ("1_2", "1_3"):
        said = stapled(gw, version)
        assert ("Cert Status: good" in said) == (kind == "good"), said
        assert ("OCSP response: no response sent" in said) == (kind != "good"), said
    assert gw.request("/", port=443, tls=authority.client(), host="one.test").status == 200
    found = tollgate("check", "-f", gw.manifests).stdout
    assert ("tls.ocsp-staple is not stapled" in found) == (kind not in ("good", "outdated")), found


def test_plain_http_on_the_tls_port_and_the_reverse(gateway, upstream, authority):
    gw = gateway(https_world(upstream("a"), authority))
    with gw.raw(b"GET / HTTP/1.1\r\nHost: one.test\r\n\r\n", port=443) as raw:
        assert b"200" not in raw.rest()[:12]


def test_a_missing_secret_leaves_the_rest_serving(gateway, upstream, authority):
    up = upstream("a")
    from play.manifests import http_listener
    manifests = world(backend("a", up), route("r", rule("a")),
                      listeners=[http_listener(), https_listener(secrets=["missing"])])
    gw = gateway(manifests)
    assert gw.request("/").status == 200
    with pytest.raises(OSError):
        presented(gw, authority.client(), "one.test")
    gw.apply([*manifests, tls_secret("missing", authority.leaf("one.test"))])
    assert gw.request("/", port=443, tls=authority.client(), host="one.test").status == 200


# ---- last words ----

class LastWords:
    """A TLS client that can say its last bytes and that it says no more (close_notify) in one piece, as
    no socket of a library does, and goes on reading."""

    def __init__(self, gw, context):
        self.sock = socket.create_connection(("127.0.0.1", gw.port(443)), timeout=20 * FACTOR)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname="one.test")
        self._wait_for(self._tls.do_handshake)

    def _wait_for(self, call):
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                self.flush()
                self._in.write(self.sock.recv(65536))
            finally:
                self.flush()

    def flush(self):
        if self._out.pending:
            self.sock.sendall(self._out.read())

    def read_until(self, mark):
        data = b""
        while mark not in data:
            data += self._wait_for(lambda: self._tls.read(65536))
        return data

    def send(self, data):
        self._tls.write(data)
        self.flush()

    def send_last(self, data):
        self._tls.write(data)
        with pytest.raises(ssl.SSLWantReadError):
            self._tls.unwrap()
        self.flush()

    def rest(self):
        """What the gateway says until its own close_notify."""
        data = b""
        try:
            while more := self._wait_for(lambda: self._tls.read(65536)):
                data += more
        except ssl.SSLZeroReturnError:
            pass
        return data


def say_at_once(gw, clients, last):
    """All of it is there when the worker looks next: all but one of the connections are told of while others wait."""
    gw.signal(signal.SIGSTOP)
    os.waitid(os.P_PID, gw.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    for client in clients:
        client.send_last(last)
    gw.signal(signal.SIGCONT)


def test_who_ends_its_side_with_its_request_has_the_answer_though_the_worker_is_busy(gateway, upstream, authority):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a", matches=[path("/only")])),
                       tls_secret("cert", authority.leaf("one.test")), listeners=[https_listener()]),
                 args=["--workers", "1"])
    clients = [LastWords(gw, authority.client()) for _ in range(10)]
    say_at_once(gw, clients, b"GET /x HTTP/1.1\r\nHost: one.test\r\n\r\n")
    for client in clients:
        head, body = client.rest().split(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 404 ") and b"content-length: %d" % len(body) in head.lower()
        client.sock.close()


def test_the_last_words_of_a_tunnel_are_passed_on_though_the_worker_is_busy(gateway, upstream, authority):
    up, heard = upstream("a"), queue.Queue()

    def tunnel(_request, connection):
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
                        b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
        while connection.recv():
            pass
        heard.put(connection.buffer)
    up.script = tunnel
    gw = gateway(https_world(up, authority), args=["--workers", "1"])
    clients = [LastWords(gw, authority.client()) for _ in range(10)]
    for client in clients:
        client.send(b"GET / HTTP/1.1\r\nHost: one.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
                    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
    say_at_once(gw, clients, b"farewell")
    assert [heard.get(timeout=20 * FACTOR) for _ in clients] == [b"farewell"] * len(clients)
    for client in clients:
        client.sock.close()


# ---- backends ----

def tls_policy(name, hostname="inner.test", ca="ca", kind="Service", group=""):
    return thing("gateway.networking.k8s.io/v1alpha3", "BackendTLSPolicy", name, {
        "targetRefs": [{"group": group, "kind": kind, "name": "inner"}],
        "validation": {"hostname": hostname,
                       "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": ca}]}})


@pytest.fixture
def inner(upstream, authority, tmp_path):
    return upstream("inner", tls=authority.server(tmp_path, "inner.test"))


def test_a_backend_tls_policy_verifies(gateway, inner, authority):
    gw = gateway(world(*service("inner", 443, inner.port), config_map("ca", **{"ca.crt": authority.pem}),
                       tls_policy("p"), route("r", rule({"name": "inner", "port": 443}))))
    assert gw.request("/").json["upstream"] == "inner"


@pytest.mark.parametrize("wrong", ["name", "authority"])
def test_a_backend_that_cannot_prove_itself_gets_nothing(gateway, inner, authority, wrong):
    ca = Authority("another").pem if wrong == "authority" else authority.pem
    hostname = "else.test" if wrong == "name" else "inner.test"
    gw = gateway(world(*service("inner", 443, inner.port), config_map("ca", **{"ca.crt": ca}),
                       tls_policy("p", hostname), route("r", rule({"name": "inner", "port": 443}))))
    assert gw.request("/").status in (502, 503)
    assert not inner.requests


def test_a_backend_tls_policy_without_its_authority_refuses(gateway, inner):
    gw = gateway(world(*service("inner", 443, inner.port), tls_policy("p"),
                       route("r", rule({"name": "inner", "port": 443}))))
    assert gw.request("/").status == 500
    assert not inner.requests


def test_tls_of_a_backend_object(gateway, inner, authority):
    tls = {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}], "sni": "inner.test"}
    gw = gateway(world(backend("inner", inner, tls=tls), config_map("ca", **{"ca.crt": authority.pem}),
                       route("r", rule("inner", matches=[path("/")]))))
    assert gw.request("/").json["upstream"] == "inner"
