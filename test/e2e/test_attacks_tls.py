"""Attacks below HTTP: records of TLS that bring nothing and cost much, each with the bound that stops it, and a fresh client
that is served within 100 ms meanwhile."""
import ssl
import time

import pytest

from play.deadline import FACTOR
from play.manifests import backend, http_listener, https_listener, route, rule, tls_secret, world
from play.others import FRESH_S
from play.records import ALERT, CLIENT_HELLO, CONTENT, HANDSHAKE, Records

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
HEAD = b"GET / HTTP/1.1\r\nHost: one.test\r\nX: "
COUNTED = "LIMIT_TLS_IDLE_RECORDS, tls_on_record"


def updates_and_bytes(records):
    return b"".join(b"".join(records.key_update(True) for _ in range(20)) + records.record(CONTENT, HEAD[i:i + 1])
                    for i in range(30))


# name: (the version, a batch of the flood, the bound)
FLOODS = {
    "updates of keys": (V13, lambda r: b"".join(r.key_update(False) for _ in range(500)), COUNTED),
    "updates of keys, each wanted back": (V13, lambda r: b"".join(r.key_update(True) for _ in range(500)), COUNTED),
    "updates of keys, and a byte of a head now and then": (V13, updates_and_bytes, COUNTED),
    "renegotiations": (V12, lambda r: b"".join(r.record(HANDSHAKE, CLIENT_HELLO) for _ in range(500)), COUNTED),
    "alerts that only warn": (V12, lambda r: b"".join(r.record(ALERT, b"\x01\x5a") for _ in range(500)), "OpenSSL: 5 of them"),
    "records of nothing": (V12, lambda r: b"".join(r.record(CONTENT, b"") for _ in range(500)), "OpenSSL: 32 of them"),
    "records of nothing, in 1.3": (V13, lambda r: b"".join(r.record(CONTENT, b"") for _ in range(500)), "OpenSSL: 32 of them"),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_of_records_ends_its_connection(gateway, upstream, authority, tmp_path, name):
    """The third column of FLOODS names the bound. All of a flood lies at the one worker's door at once; whoever comes then
    would wait until it is through, so here it is the longest wait that counts."""
    version, make, bound = FLOODS[name]
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")), tls_secret("cert", authority.leaf("one.test")),
                       listeners=[http_listener(), https_listener()]), args=["--workers", "1"])
    assert gw.request("/fresh").status == 200
    floods = []
    for _ in range(4):
        records = Records(gw.port(443), authority, tmp_path, version)
        floods.append((records.sock, b"".join(make(records) for _ in range(10))))
    for sock, flood in floods:
        sock.setblocking(False)
        sock.send(flood)
    took = []
    for _ in range(10):
        started = time.monotonic()
        assert gw.request("/fresh").status == 200
        took.append(time.monotonic() - started)
    assert sorted(took)[-2] < FRESH_S * FACTOR and max(took) < 5 * FRESH_S * FACTOR, (took, bound)
    for sock, _ in floods:
        sock.settimeout(5 * FACTOR)  # the time of a head would end it too, later
        try:
            while sock.recv(65536):
                pass
        except ConnectionResetError:
            pass
        sock.close()
    assert gw.metric("tollgate_connections_active") <= 1, bound
