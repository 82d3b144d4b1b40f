"""`tollgate check` on what is valid and yet not as it seems. Each piece of advice and its correct twin stand in
src/gateway/advice/advice_test.c; here: that check and the start say it, and only where it is due."""
import json
import re
import ssl

import pytest

from play.gateway import ROOT, SHIPPED, as_text, tollgate
from play.manifests import (ai_backend, ai_route, ai_rule, backend, gateway as gateway_of, gateway_class, http_listener, https_listener, path,
                            route, rule, tls_secret, world)

ADVICE = {"prefix-without-predict", "health-path", "client-chosen-count", "unshared-limit", "open-ai-route", "cut-streams",
          "overlap", "certificate-expiry"}


def findings(*paths):
    run = tollgate("check", *[word for path in paths for word in ("-f", path)], "--format", "json")
    return json.loads(run.stdout)["diagnostics"]


def check(folder, manifests):
    file = folder / "world.yaml"
    file.write_text(as_text(manifests))
    return findings(file)


def test_the_shipped_manifests_have_advice_that_is_true():
    """No model server of KServe has /health, which the founding document asks for; the rest of it is as it should be."""
    found = findings(SHIPPED)
    assert [(d["code"], d["severity"]) for d in found if d["code"] in ADVICE] == [("health-path", "note")], found
    assert [d["path"] for d in found if "retriable-status-codes" in d["text"]] == ["spec.retry.retryOn.httpStatusCodes"]


def test_the_quick_start_has_none():
    """Its Gateway listens on loopback alone: nobody else can use the key."""
    assert not [d for d in findings(ROOT / "config/quick-start") if d["code"] in ADVICE]


@pytest.mark.parametrize("addresses, due", [
    (["127.0.0.1"], False), (["::1"], False), (["127.0.0.1", "127.0.0.9"], False), ([], True), (["127.0.0.1", "192.0.2.1"], True)])
def test_an_open_ai_route_is_named_where_others_reach_it(tmp_path, addresses, due):
    front = gateway_of(addresses=[{"type": "IPAddress", "value": address} for address in addresses])
    found = check(tmp_path, [gateway_class(), front, backend("b", 81), ai_backend("s", "b"), ai_route("r", ai_rule("s"))])
    named = [d for d in found if d["code"] == "open-ai-route"]
    assert bool(named) == due, found
    assert not due or ("AIGatewayRoute/play/r" in named[0]["object"] and named[0]["place"]["line"] > 1 and named[0]["hint"])


def test_a_certificate_that_has_expired_is_named_at_start_and_served(gateway, upstream, authority):
    pair = authority.leaf("a.test", days=-1)
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")), tls_secret("cert", pair),
                       listeners=[http_listener(), https_listener()]))
    assert re.search(r"Secret/play/cert.*CN=a\.test expired on", gw.stderr()), gw.stderr()
    assert gw.request("/").status == 200
    with pytest.raises(ssl.SSLError, match="expired"):  # clients judge it by themselves
        gw.request("/", port=443, tls=authority.client(), host="a.test")


def test_a_route_that_gets_no_request_is_named_with_the_one_that_does(tmp_path):
    found = check(tmp_path, world(backend("a", 81), route("first", rule("a", matches=[path("/x")])),
                                  route("second", rule("a", matches=[path("/x")]))))
    named, = [d for d in found if d["code"] == "overlap"]
    assert named["severity"] == "warning" and named["object"] == "HTTPRoute/play/second" and "HTTPRoute/play/first" in named["text"]
    assert named["other"]["line"] < named["place"]["line"]
