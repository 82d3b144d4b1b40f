"""TLS of a ClientTrafficPolicy beyond versions and ciphers: key exchange, signatures, protocols, sessions."""
import socket
import ssl
import subprocess

import pytest

from play.deadline import FACTOR
from play.gateway import as_text, tollgate
from play.http2 import Http2
from play.manifests import backend, client_policy, config_map, http_listener, https_listener, route, rule, tls_secret, world


@pytest.fixture
def secure(gateway, upstream, authority):
    def start(**tls):
        return gateway(world(backend("a", upstream("a")), route("r", rule("a")), tls_secret("cert", authority.leaf("one.test")),
                             client_policy("clients", tls=tls), listeners=[https_listener()]))
    return start


def agreed(gw, *options):
    """What a client with these options and the gateway agree on; empty: no handshake."""
    run = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{gw.port(443)}", "-servername", "one.test", *options],
                         input=b"", capture_output=True, timeout=30, check=False)
    text = run.stdout.decode()
    return text if "Cipher is (NONE)" not in text and run.returncode == 0 else ""


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_groups_are_as_the_policy_says(secure, version):
    gw = secure(ecdhCurves=["P-384", "X25519"])
    assert "P-384, 384 bits" in agreed(gw, version, "-groups", "P-256:P-384") or "secp384r1" in agreed(gw, version, "-groups", "P-256:P-384")
    assert "X25519" in agreed(gw, version, "-groups", "X25519:P-256")
    assert not agreed(gw, version, "-groups", "P-256:P-521")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_signatures_are_as_the_policy_says(secure, authority, version):
    fitting, other = ("ecdsa_secp256r1_sha256", "rsa_pss_rsae_sha256")
    probe = agreed(secure(), version)
    if "Peer signature type: RSA" in probe:
        fitting, other = other, fitting
    gw = secure(signatureAlgorithms=[fitting])
    assert agreed(gw, version)
    assert not agreed(gw, version, "-sigalgs", other)
    assert not agreed(secure(signatureAlgorithms=[other]), version), "the certificate has none of that kind"


def test_protocols_are_offered_as_the_policy_says(secure, authority):
    for names, h2, both in ((None, "h2", "h2"), (["http/1.1"], None, "http/1.1"), (["http/1.1", "h2"], "h2", "http/1.1"),
                            (["h2"], "h2", "h2")):
        gw = secure(**({"alpnProtocols": names} if names else {}))
        for offered, expected in ((["h2"], h2), (["h2", "http/1.1"], both)):
            context = authority.client()
            context.set_alpn_protocols(offered)
            if expected is None:
                with pytest.raises((ssl.SSLError, OSError)):
                    gw.raw(port=443, tls=context, server_name="one.test")
                continue
            with gw.raw(port=443, tls=context, server_name="one.test") as raw:
                assert raw.sock.selected_alpn_protocol() == expected
        assert gw.request(port=443, tls=authority.client(), host="one.test").status == 200, "without ALPN it is HTTP/1"
    with Http2(gw.port(443), tls=authority.client(), server_name="one.test") as client:
        assert client.request(host="one.test", scheme="https").status == 200


def test_listeners_of_one_port_keep_their_own(gateway, upstream, authority):
    policy = client_policy("clients", tls={"alpnProtocols": ["http/1.1"], "ecdhCurves": ["P-384"]})
    policy["spec"]["targetRefs"][0]["sectionName"] = "two"
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")), policy, tls_secret("cert", authority.leaf("one.test", "two.test")),
                       listeners=[https_listener("one", hostname="one.test"), https_listener("two", hostname="two.test")]))
    for name, expected in (("one.test", "h2"), ("two.test", "http/1.1")):
        context = authority.client()
        context.set_alpn_protocols(["h2", "http/1.1"])
        with gw.raw(port=443, tls=context, server_name=name) as raw:
            assert raw.sock.selected_alpn_protocol() == expected
    curve = authority.client()
    curve.set_ecdh_curve("prime256v1")
    assert gw.request(port=443, tls=curve, host="one.test").status == 200
    with pytest.raises((ssl.SSLError, OSError)):
        gw.request(port=443, tls=curve, host="two.test")
    with gw.raw(port=443, tls=authority.client(), server_name="one.test") as raw:
        raw.send(b"GET / HTTP/1.1\r\nHost: two.test\r\n\r\n")
        assert raw.reply().status == 421, "no way around by another host's connection"


@pytest.mark.parametrize("tls, said", [
    ({"ecdhCurves": ["P-384", "P-999"]}, "ECDH"), ({"signatureAlgorithms": ["rot13"]}, "signature"),
    ({"alpnProtocols": ["h3"]}, "application protocols")])
def test_what_openssl_does_not_know_opens_no_listener(gateway, upstream, authority, tls, said):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")), tls_secret("cert", authority.leaf("one.test")),
                       client_policy("clients", tls=tls), listeners=[http_listener(), https_listener()]))
    assert said in gw.stderr() and "cannot be set up" in gw.stderr()
    assert gw.request().status == 200
    with pytest.raises(OSError):
        gw.raw(port=443)


def test_clients_without_tickets_resume_where_the_policy_remembers(gateway, upstream, authority):
    up = upstream("a")
    made = [backend("a", up), route("r", rule("a")), tls_secret("cert", authority.leaf("one.test"))]
    stateful = {"session": {"resumption": {"stateful": {}}}}
    client = authority.client(maximum_version=ssl.TLSVersion.TLSv1_2)
    client.options |= ssl.OP_NO_TICKET

    def connect(gw, session=None, port=443):
        plain = socket.create_connection(("127.0.0.1", gw.port(port)), timeout=20 * FACTOR)
        with client.wrap_socket(plain, server_hostname="one.test", session=session) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: one.test\r\n\r\n")
            assert sock.recv(12) == b"HTTP/1.1 200"
            return sock.session, sock.session_reused

    listeners = [https_listener(), https_listener("other", port=444)]
    gw = gateway(world(*made, client_policy("clients", tls=stateful), listeners=listeners), args=["--workers", "4"])
    session, _ = connect(gw)
    assert all(connect(gw, session)[1] for _ in range(8)), "at every worker"
    assert not connect(gw, session, port=444)[1], "nowhere else"
    gw.apply(world(*made, client_policy("clients", tls=stateful), config_map("unrelated", x="y"), listeners=listeners))
    assert connect(gw, session)[1], "over a reload"
    gw.apply(world(*made, client_policy("clients", tls={"session": {"resumption": {"stateless": {}}}}), listeners=listeners))
    assert not connect(gw, session)[1]
    assert not connect(gw, connect(gw)[0])[1]


@pytest.mark.parametrize("spec, told", [({}, "https"), ({"scheme": "Preserve"}, "https"), ({"scheme": "MatchBackend"}, "http")])
def test_which_scheme_backends_are_told(gateway, http2_upstream, authority, spec, told):
    up = http2_upstream("a")
    gw = gateway(world(backend("a", up, appProtocols=["gateway.envoyproxy.io/h2c"]), route("r", rule("a")),
                       tls_secret("cert", authority.leaf("one.test")), client_policy("clients", **spec), listeners=[https_listener()]))
    assert gw.request(port=443, tls=authority.client(), host="one.test").status == 200
    assert up.last.get(":scheme") == told and up.last.get("x-forwarded-proto") == "https"
