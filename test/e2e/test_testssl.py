"""testssl.sh on a listener as it is by default: what others would say of it. With `make test-testssl` only."""
import json
import subprocess

import pytest

from play.certs import self_signed
from play.deadline import FACTOR
from play.manifests import backend, https_listener, route, rule, tls_secret, world
from play.upstream import Answer

pytestmark = pytest.mark.testssl

SEVERE = ("MEDIUM", "HIGH", "CRITICAL", "FATAL")
# What is wrong with any self-signed certificate: nobody vouches for it, and nobody could revoke it.
OF_SELF_SIGNED = ("cert_chain_of_trust", "cert_trust", "cert_revocation")
# What each part of a scan finds, by which a part that did not run is seen.
PARTS = {"SSLv2", "TLS1", "TLS1_2", "TLS1_3", "PFS", "ALPN", "cert_signatureAlgorithm", "heartbleed", "ROBOT",
         "secure_client_renego", "DROWN", "BEAST", "LUCKY13", "RC4"}
# Headers are the backend's to send, and the backend of this play does.
HEADERS = [("strict-transport-security", "max-age=31536000"), ("x-frame-options", "DENY"),
           ("x-content-type-options", "nosniff"), ("content-security-policy", "default-src 'none'")]


def findings(port, folder, *options):
    out = folder / "findings.json"
    done = subprocess.run(["testssl", "--warnings", "batch", "--color", "0", "--nodns", "none", "--jsonfile", str(out),
                           *options, f"one.test:{port}"], capture_output=True, text=True, check=False,
                          timeout=1200 * FACTOR)
    assert out.exists(), done.stdout + done.stderr
    return json.loads(out.read_text())


def severe(found):
    return [f for f in found if f["severity"] in SEVERE and f["id"].split(" ")[0] not in OF_SELF_SIGNED]


def test_nothing_is_found_above_low(gateway, upstream, tmp_path):
    up = upstream("a")
    up.script = lambda _request, _connection: Answer(headers=HEADERS)
    gw = gateway(world(backend("a", up), route("r", rule("a")), tls_secret("cert", self_signed("one.test")),
                       listeners=[https_listener()]))
    found = findings(gw.port(443), tmp_path, "--ip", "127.0.0.1")
    for finding in found:
        if finding["severity"] not in ("OK", "INFO"):
            print(finding["severity"], finding["id"], finding["finding"])
    assert PARTS <= {f["id"].split(" ")[0] for f in found}
    assert not severe(found)
