"""TLS to Backends: key exchange, signatures and names as their `tls` says."""
import pytest

from play.manifests import ENVOY_API, backend, config_map, route, rule, thing, world


@pytest.fixture
def secure(gateway, upstream, authority, tmp_path):
    """secure(**tls): a gateway and a backend that knows P-256 alone, has an ECDSA certificate, and notes what it is asked for."""
    def start(endpoints=None, **tls):
        context = authority.server(tmp_path, "inner.test", "localhost")
        context.set_ecdh_curve("prime256v1")
        up = upstream("a", tls=context)
        up.asked = []
        context.sni_callback = lambda _sock, name, _context: up.asked.append(name)
        roots = {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}]}
        a = (thing(ENVOY_API, "Backend", "a", {"endpoints": endpoints(up.port), "tls": {**roots, **tls}}) if endpoints
             else backend("a", up, tls={**roots, "sni": "inner.test", **tls}))
        return gateway(world(a, config_map("ca", **{"ca.crt": authority.pem}), route("r", rule("a")))), up
    return start


@pytest.mark.parametrize("tls, status", [
    ({"ecdhCurves": ["P-256"]}, 200), ({"ecdhCurves": ["X25519", "P-256"]}, 200), ({"ecdhCurves": ["P-384", "X25519"]}, 503),
    ({"ecdhCurves": ["P-999"]}, 500), ({"signatureAlgorithms": ["rot13"]}, 500),
    ({"signatureAlgorithms": ["ecdsa_secp256r1_sha256"]}, 200), ({"signatureAlgorithms": ["rsa_pss_rsae_sha256"]}, 503)])
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_handshake_is_as_the_backend_says(secure, tls, status, version):
    gw, up = secure(minVersion=version, maxVersion=version, **tls)
    assert gw.request().status == status
    assert len(up.requests) == (status == 200)


def by_name(port):
    return [{"fqdn": {"hostname": "localhost", "port": port}}]


def by_address(port):
    return [{"hostname": "inner.test", "ip": {"address": "127.0.0.1", "port": port}}]


@pytest.mark.parametrize("endpoints, name", [(by_name, "localhost"), (by_address, "inner.test")])
def test_each_endpoints_own_name_is_asked_for(secure, endpoints, name):
    gw, up = secure(endpoints, autoSNIFromEndpointHostname=True)
    assert gw.request().status == 200
    assert set(up.asked) == {name}
