"""Who may pass: tokens, key sources, claims as headers, authorization, CORS, and deny by default."""
import json
import time

import pytest

from play.deadline import eventually
from play.issuer import Issuer, Key, b64
from play.manifests import (backend, config_map, local_provider, path, provider, route, rule, security_policy, target,
                            thing, to, world)
from play.upstream import Answer

CLAIMS = [{"claim": "sub", "header": "x-jwt-sub"}, {"claim": "tenant", "header": "x-tenant"}]
ROUTE = target("HTTPRoute", "r")


def guarded(up, keys, *more, policy=None, rules=None):
    """One route behind a token."""
    jwt = {"providers": [provider(keys, claimToHeaders=CLAIMS)]}
    return world(backend("a", up), backend("keys", keys), route("r", *(rules or [rule("a")])),
                 security_policy("p", ROUTE, jwt=jwt, **(policy or {})), *more)


@pytest.fixture
def scene(gateway, upstream, issuer):
    up, keys = upstream("a"), issuer()
    gw = gateway(guarded(up, keys))
    eventually(lambda: gw.request("/", token=keys.token()).status == 200, what="the keys")
    return gw, up, keys


def refused(reply, status, code):
    assert (reply.status, reply.code) == (status, code), reply
    assert reply.get("content-type") == "application/json"
    if status == 401:
        assert reply.get("www-authenticate", "").startswith("Bearer")


def test_a_good_token_passes_and_becomes_headers(scene):
    gw, up, keys = scene
    token = keys.token("tenant-b", sub="someone")
    assert gw.request("/", token=token).status == 200
    assert (up.last.get("x-jwt-sub"), up.last.get("x-tenant")) == ("someone", "tenant-b")
    assert up.last.get("authorization") == f"Bearer {token}"


def test_every_wrong_token_has_its_own_code(scene):
    gw, up, keys = scene
    now = int(time.time())
    good = keys.token()
    head, body, signature = good.split(".")
    other = Key(kid=keys.keys[0].kid)
    weak_claims = json.dumps(keys.claims())
    double = weak_claims[:-1] + ', "tenant": "tenant-c"}'
    cases = [
        (None, 401, "token_missing"),
        ("garbage", 401, "token_malformed"),
        ("a.b.c", 401, "token_malformed"),
        (f"{head}.{body}", 401, "token_malformed"),
        (f"{head}.{body}.{signature}=", 401, "token_bad_signature"),
        (good + "x" * 20000, 401, "token_too_large"),
        (keys.token(exp=now - 3600), 401, "token_expired"),
        (keys.token(nbf=now + 3600), 401, "token_not_yet_valid"),
        (keys.token(iss="someone else"), 401, "token_wrong_issuer"),
        (keys.unsigned(), 401, "token_bad_algorithm"),
        (keys.unsigned("None"), 401, "token_bad_algorithm"),
        (keys.confused(), 401, "token_bad_algorithm"),
        (keys.token(header={"alg": "PS256"}), 401, "token_bad_algorithm"),
        (keys.token(key=other), 401, "token_bad_signature"),
        (f"{head}.{body}.{b64(bytes(256))}", 401, "token_bad_signature"),
        (keys.token(header={"kid": "unknown"}), 401, "token_unknown_key"),
        (keys.token(key=other, header={"kid": "mine", "jwk": other.jwk()}), 401, "token_embedded_key"),
        (keys.token(key=other, header={"kid": "mine", "jku": "http://127.0.0.1:1/"}), 401, "token_embedded_key"),
        (keys.sign(json.dumps({"alg": "RS256", "kid": "key-1"}), double, keys.keys[0]), 401, "token_malformed"),
    ]
    n = len(up.requests)
    for token, status, code in cases:
        headers = [] if token is None else [("authorization", f"Bearer {token}")]
        reply = gw.request("/", headers=headers)
        assert (reply.status, reply.code) == (status, code), (code, token and token[:40])
        assert reply.get("www-authenticate", "").startswith("Bearer")
    assert len(up.requests) == n


def test_small_clock_differences_are_forgiven(scene):
    gw, _, keys = scene
    now = int(time.time())
    assert gw.request("/", token=keys.token(exp=now - 30)).status == 200
    assert gw.request("/", token=keys.token(nbf=now + 30)).status == 200


def test_a_remembered_token_expires_all_the_same(scene):
    gw, _, keys = scene
    token = keys.token(exp=int(time.time()) - 58)
    assert gw.request("/", token=token).status == 200
    eventually(lambda: gw.request("/", token=token).status == 401, 15, "the remembered token to expire")


def test_the_audience(gateway, upstream, issuer):
    up, keys = upstream("a"), issuer()
    manifests = guarded(up, keys)
    manifests[-1]["spec"]["jwt"]["providers"][0]["audiences"] = ["tenant-a", "other"]
    gw = gateway(manifests)
    eventually(lambda: gw.request("/", token=keys.token()).status == 200)
    assert gw.request("/", token=keys.token(aud=["x", "other"])).status == 200
    refused(gw.request("/", token=keys.token(aud="tenant-b")), 403, "token_wrong_audience")
    refused(gw.request("/", token=keys.token(aud=None)), 403, "token_wrong_audience")


@pytest.mark.parametrize("alg", ["RS256", "RS512", "PS256", "PS384", "ES256", "ES384", "ES512", "EdDSA"])
def test_algorithms(gateway, upstream, issuer, alg):
    up, keys = upstream("a"), issuer(keys=[Key(alg)])
    gw = gateway(world(backend("a", up), route("r", rule("a")),
                       security_policy("p", ROUTE, jwt={"providers": [local_provider(keys)]})))
    assert gw.request("/", token=keys.token()).status == 200
    assert gw.request("/", token=keys.token(header={"kid": None})).status == 200
    refused(gw.request("/", token=keys.token(key=Key(alg))), 401, "token_bad_signature")


def test_a_weak_rsa_key_is_no_key(gateway, upstream, issuer):
    up = upstream("a")
    keys = issuer(keys=[Key(kid="strong"), Key(kid="weak", bits=1024)])
    gw = gateway(guarded(up, keys))
    eventually(lambda: gw.request("/", token=keys.token()).status == 200)
    reply = gw.request("/", token=keys.token(key=keys.keys[1]))
    assert reply.status == 401 and reply.code in ("token_unknown_key", "token_bad_algorithm")


def test_no_keys_yet_is_503_and_only_for_this_route(gateway, upstream, issuer):
    up, keys = upstream("a"), issuer()
    keys.mode = "down"
    gw = gateway(guarded(up, keys, route("open", rule("a", matches=[path("/open")]))))
    reply = gw.request("/", token=keys.token())
    refused(reply, 503, "keys_unavailable")
    assert int(reply.get("retry-after")) >= 1
    assert gw.request("/open").status == 200
    keys.mode = "ok"
    eventually(lambda: gw.request("/", token=keys.token()).status == 200, 30, "the keys to come")


@pytest.mark.parametrize("mode", ["garbage", "error", "slow", "redirect"])
def test_a_key_source_that_misbehaves(gateway, upstream, issuer, mode):
    up, keys = upstream("a"), issuer()
    keys.mode = mode
    gw = gateway(guarded(up, keys))
    refused(gw.request("/", token=keys.token()), 503, "keys_unavailable")
    keys.mode = "ok"
    keys.release.set()
    eventually(lambda: gw.request("/", token=keys.token()).status == 200, 30, "the keys to come")
    assert not [r for r in keys.server.requests if r.target == "/elsewhere"]


@pytest.mark.parametrize("mode, n", [("error", 3), ("down", 3), ("garbage", 1)])
def test_a_round_of_fetches_has_the_retries_of_the_policy(gateway, upstream, issuer, mode, n):
    up, keys = upstream("a"), issuer()
    keys.mode = mode
    retry = {"numRetries": 2, "retryOn": {"triggers": ["5xx", "reset"]},
             "perRetry": {"backOff": {"baseInterval": "20ms", "maxInterval": "50ms"}}}
    source = {"backendSettings": {"retry": retry}, "failedRefetchDuration": "1h"}
    # Another set's pauses are told by the same clock, and each is longer than any within a round.
    other = {"backendSettings": {"retry": {"numRetries": 0}}, "failedRefetchDuration": "100ms"}
    gw = gateway(world(
        backend("a", up), backend("keys", keys), route("r", rule("a")),
        route("other", rule("a", matches=[path("/other")])),
        security_policy("p", ROUTE, jwt={"providers": [provider(keys, "rounds", remoteJWKS=source)]}),
        security_policy("q", target("HTTPRoute", "other"), jwt={"providers": [provider(keys, "other", remoteJWKS=other)]})))

    def key_set(name):
        [one] = [s for s in gw.status()["key_sets"] if s["provider"] == name]
        return one
    eventually(lambda: key_set("rounds")["fetches_failed"] == n, what="the round's last fetch")
    before = key_set("other")["fetches_failed"]
    eventually(lambda: key_set("other")["fetches_failed"] >= before + 2, what="a whole pause of the other set")
    rounds = key_set("rounds")
    assert (rounds["fetches_failed"], rounds["state"]) == (n, "retrying")
    refused(gw.request("/", token=keys.token()), 503, "keys_unavailable")


@pytest.mark.parametrize("has_tls", [False, True])
def test_an_https_key_set_never_comes_in_clear_text(gateway, upstream, issuer, authority, tmp_path, has_tls):
    keys = issuer()
    source = upstream("keys", tls=authority.server(tmp_path, "keys.test") if has_tls else None)
    source.script = lambda request, connection: Answer(body=json.dumps(keys.jwks()).encode())
    tls = {"tls": {"sni": "keys.test", "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}]}}
    gw = gateway(world(
        backend("a", upstream("a")), backend("keys", source, **(tls if has_tls else {})), route("r", rule("a")),
        config_map("ca", **{"ca.crt": authority.pem}), security_policy("p", ROUTE, jwt={"providers": [provider(
            keys, remoteJWKS={"uri": "https://keys.test/keys"})]})))
    if has_tls:
        eventually(lambda: gw.request("/", token=keys.token()).status == 200, what="the keys")
        return
    refused(gw.request("/", token=keys.token()), 500, "security_not_enforced")
    assert not source.requests and source.n_connections == 0
    [made] = [o for o in gw.status()["objects"] if o["kind"] == "SecurityPolicy"]
    assert made["broken"] and made["conditions"][0]["status"] == "False"
    assert "clear text" in made["conditions"][0]["message"]


def test_a_key_source_whose_backend_cannot_be_used_refuses_and_says_so(gateway, upstream, issuer):
    keys = issuer()
    tls = {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "comes-later"}]}
    gw = gateway(world(backend("a", upstream("a")), backend("keys", keys, tls=tls), route("r", rule("a"), rule("a", matches=[path("/x")])),
                       security_policy("p", ROUTE, jwt={"providers": [provider(keys)]})))
    refused(gw.request("/", token=keys.token()), 500, "security_not_enforced")
    [made] = [o for o in gw.status()["objects"] if o["kind"] == "SecurityPolicy"]
    assert [(c["status"], c["reason"]) for c in made["conditions"]] == [("False", "Invalid")]
    said = [d for d in gw.status()["diagnostics"] if "cannot be fetched" in d["text"]]
    assert len(said) == 1 and said[0]["severity"] == "warning"


def test_rotation_an_unknown_kid_fetches_once(scene):
    gw, _, keys = scene
    fetches = keys.n_fetches
    keys.keys.insert(0, Key(kid="key-2"))
    eventually(lambda: gw.request("/", token=keys.token()).status == 200, 20, "the new key")
    assert gw.request("/", token=keys.token(key=keys.keys[1])).status == 200
    for n in range(20):
        gw.request("/", token=keys.token(header={"kid": f"guess-{n}"}))
    assert keys.n_fetches - fetches <= 3


def test_last_good_keys_are_kept_while_the_source_is_down(scene):
    gw, _, keys = scene
    keys.mode = "down"
    gw.reload()
    assert gw.request("/", token=keys.token(sub="fresh")).status == 200


def test_guessing_is_slowed_down_per_address(scene):
    gw, _, keys = scene
    codes = set()
    for n in range(4000):  # far more than are forgiven meanwhile, however slow the machine is
        reply = gw.request("/", token=f"{n}.b.c")
        codes.add(reply.status)
        if reply.status == 429:
            refused(reply, 429, "too_many_token_failures")
            break
    assert 429 in codes


@pytest.mark.parametrize("headers", [
    [("x-tenant", "tenant-c")], [("X-TENANT", "tenant-c")], [("x-jwt-sub", "root")], [("x-ai-eg-model", "m")],
    [("x-ai-eg-anything", "m")], [("x-model", "m")]])
def test_late_headers_of_the_client_are_removed(scene, headers):
    gw, up, keys = scene
    token = keys.token("tenant-a", sub="me")
    assert gw.request("/", token=token, headers=headers).status == 200
    assert up.last.all("x-tenant") == ["tenant-a"] and up.last.all("x-jwt-sub") == ["me"]
    assert not up.last.all("x-ai-eg-model") and not up.last.all("x-ai-eg-anything") and not up.last.all("x-model")


def test_underscores_cannot_spell_a_late_header(scene):
    gw, _, keys = scene
    refused(gw.request("/", token=keys.token(), headers=[("x_tenant", "c")]), 400, "underscore_in_header_name")


def test_connection_cannot_remove_a_late_header(scene):
    gw, _, keys = scene
    reply = gw.request("/", token=keys.token(), headers=[("connection", "x-tenant")])
    refused(reply, 400, "bad_connection_header")


def test_trailers_cannot_bring_a_late_header(scene):
    gw, up, keys = scene
    with gw.raw(f"POST / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {keys.token()}\r\n"
                "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Tenant: tenant-c\r\n\r\n") as raw:
        raw.reply()
    if up.last.method == "POST":
        assert not [name for name, _ in up.last.trailers if name == "x-tenant"]


def test_a_claim_cannot_break_out_of_its_header(scene):
    gw, up, keys = scene
    reply = gw.request("/", token=keys.token(sub="a\r\nx-evil: 1"))
    if reply.status == 200:
        assert up.last.get("x-evil") is None
        assert b"\r\nx-evil" not in up.last.head
    else:
        assert reply.status in (401, 403)


def test_authorization_first_match_wins_and_the_default_denies(gateway, upstream, issuer):
    up, keys = upstream("a"), issuer()

    def principal(**claims):
        return {"jwt": {"provider": "provider", "claims": [
            {"name": name, "values": values, **({"valueType": "StringArray"} if name == "groups" else {})}
            for name, values in claims.items()]}}

    rules = [{"name": "no", "action": "Deny", "principal": principal(tenant=["tenant-b"])},
             {"name": "yes", "action": "Allow", "principal": principal(tenant=["tenant-a", "tenant-b"])},
             {"name": "team", "action": "Allow", "principal": principal(groups=["ops"])}]
    gw = gateway(guarded(up, keys, policy={"authorization": {"defaultAction": "Deny", "rules": rules}}))
    eventually(lambda: gw.request("/", token=keys.token("tenant-a")).status == 200)
    refused(gw.request("/", token=keys.token("tenant-b")), 403, "forbidden")
    refused(gw.request("/", token=keys.token("tenant-c")), 403, "forbidden")
    assert gw.request("/", token=keys.token("tenant-c", groups=["dev", "ops"])).status == 200


def test_authorization_by_address(gateway, upstream):
    up = upstream("a")

    def policy(cidr):
        return security_policy("p", ROUTE, authorization={"defaultAction": "Deny", "rules": [
            {"action": "Allow", "principal": {"clientCIDRs": [cidr]}}]})

    gw = gateway(world(backend("a", up), route("r", rule("a")), policy("127.0.0.0/8")))
    assert gw.request("/").status == 200
    gw.apply(world(backend("a", up), route("r", rule("a")), policy("10.0.0.0/8")))
    refused(gw.request("/"), 403, "forbidden")


def test_authorization_by_an_inverted_path(gateway, upstream):
    up = upstream("a")
    anyone = {"clientCIDRs": ["0.0.0.0/0"]}
    rules = [{"action": "Deny", "principal": anyone,
              "operation": {"path": {"type": "PathPrefix", "value": "/public", "invert": True}}},
             {"action": "Allow", "principal": anyone}]
    gw = gateway(world(backend("a", up), route("r", rule("a")), security_policy(
        "p", ROUTE, authorization={"defaultAction": "Deny", "rules": rules})))
    for at in ("/public", "/public/x", "/x/../public"):
        assert gw.request(at).status == 200, at
    n = len(up.requests)
    for at in ("/", "/secret", "/publicity", "/public/../secret"):
        refused(gw.request(at), 403, "forbidden")
    assert len(up.requests) == n


def test_cors_preflight_passes_and_refusals_carry_it(gateway, upstream, issuer):
    up, keys = upstream("a"), issuer()
    gw = gateway(guarded(up, keys, policy={"cors": {
        "allowOrigins": ["https://app.test"], "allowMethods": ["GET", "POST"],
        "allowHeaders": ["authorization"], "exposeHeaders": ["x-seen"], "maxAge": "10m"}}))
    origin = ("origin", "https://app.test")
    reply = gw.request("/", "OPTIONS", headers=[origin, ("access-control-request-method", "POST")])
    assert reply.status in (200, 204) and reply.get("access-control-allow-origin") == "https://app.test"
    assert "POST" in reply.get("access-control-allow-methods") and reply.get("access-control-max-age") == "600"
    assert not up.requests
    reply = gw.request("/", headers=[origin])
    refused(reply, 401, "token_missing")
    assert reply.get("access-control-allow-origin") == "https://app.test"
    reply = gw.request("/", headers=[("origin", "https://evil.test")])
    assert reply.get("access-control-allow-origin") is None


def test_the_most_specific_policy_wins_as_a_whole(gateway, upstream):
    up = upstream("a")
    allow, deny = {"defaultAction": "Allow"}, {"defaultAction": "Deny"}
    named = [rule("a", matches=[path("/one")], name="one"), rule("a", matches=[path("/two")], name="two")]
    gw = gateway(world(
        backend("a", up), route("r", *named), route("other", rule("a", matches=[path("/other")])),
        security_policy("gateway", target("Gateway", "front"), authorization=deny),
        security_policy("route", ROUTE, authorization=allow),
        security_policy("rule", target("HTTPRoute", "r", "two"), authorization=deny)))
    assert gw.request("/one").status == 200
    refused(gw.request("/two"), 403, "forbidden")
    refused(gw.request("/other"), 403, "forbidden")


def test_a_broken_or_unenforced_policy_refuses(gateway, upstream):
    up = upstream("a")
    gw = gateway(world(
        backend("a", up), route("r", rule("a", matches=[path("/broken")])),
        route("basic", rule("a", matches=[path("/basic")])), route("open", rule("a", matches=[path("/open")])),
        security_policy("p", ROUTE, jwt={"providers": [{"name": "x", "issuer": "y", "localJWKS": {
            "type": "Inline", "inline": "not a key set"}}]}),
        security_policy("q", target("HTTPRoute", "basic"), basicAuth={"users": {"name": "missing"}})))
    refused(gw.request("/broken"), 500, "security_not_enforced")
    refused(gw.request("/basic"), 500, "security_not_enforced")
    assert gw.request("/open").status == 200


def test_extract_from_headers_cookies_and_params(gateway, upstream, issuer):
    up, keys = upstream("a"), issuer()
    extract = {"headers": [{"name": "x-token", "valuePrefix": "T "}], "cookies": ["session"], "params": ["jwt"]}
    gw = gateway(world(backend("a", up), route("r", rule("a")), security_policy(
        "p", ROUTE, jwt={"providers": [local_provider(keys, extractFrom=extract)]})))
    token = keys.token()
    assert gw.request("/", headers=[("x-token", f"T {token}")]).status == 200
    assert gw.request("/", headers=[("cookie", f"a=b; session={token}")]).status == 200
    assert gw.request(f"/?jwt={token}").status == 200
    refused(gw.request("/", token=token), 401, "token_missing")


def test_providers_are_alternatives(gateway, upstream, issuer):
    up, one, two = upstream("a"), issuer("one"), issuer("two", [Key("ES256", "two-1")])
    gw = gateway(world(backend("a", up), route("r", rule("a")), security_policy("p", ROUTE, jwt={
        "providers": [local_provider(one, "one"), local_provider(two, "two")]})))
    assert gw.request("/", token=one.token()).status == 200
    assert gw.request("/", token=two.token()).status == 200
    assert gw.request("/", token=Issuer.token(one, key=two.keys[0])).status == 401


def test_no_token_reaches_the_log(scene):
    gw, _, keys = scene
    token = keys.token()
    gw.request(f"/logged?access_token={token}", token=token)
    gw.wait_log(lambda r: "/logged" in r.get("x-envoy-origin-path", ""))
    text = (gw.folder / "stdout").read_text() + gw.stderr()
    assert token not in text and token.split(".")[2] not in text


# ---- a guard that is lost must not open anything ----

DENY = {"authorization": {"defaultAction": "Deny"}}

LOST = {
    "a section that is not there": lambda: [security_policy("p", target("HTTPRoute", "r", "typo"), **DENY)],
    "given twice": lambda: [security_policy("p", target("HTTPRoute", "elsewhere"), **DENY),
                            security_policy("p", ROUTE, **DENY)],
    "a version that is not served": lambda: [{**security_policy("p", ROUTE, **DENY),
                                              "apiVersion": "gateway.envoyproxy.io/v1alpha2"}],
    "no name": lambda: [{**security_policy("p", ROUTE, **DENY), "metadata": {"namespace": "play"}}],
    "a misspelt kind": lambda: [security_policy("p", {**ROUTE, "kind": "httproute"}, **DENY)],
    "a misspelt policy": lambda: [{**security_policy("p", ROUTE, **DENY), "kind": "SecurityPolcy"}],
    "a misspelt API group": lambda: [{**security_policy("p", ROUTE, **DENY),
                                      "apiVersion": "gateway.envoyproxy.oi/v1alpha1"}],
    "a kind that is no target": lambda: [security_policy("p", {"group": "", "kind": "Service", "name": "s"}, **DENY)],
    "no target": lambda: [security_policy("p", **DENY)],
    "no group": lambda: [security_policy("p", {"kind": "HTTPRoute", "name": "r"}, **DENY)],
    "an unserved BackendTLSPolicy": lambda: [thing("gateway.networking.k8s.io/v1beta1", "BackendTLSPolicy", "t", {
        "targetRefs": [{"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "a"}],
        "validation": {"hostname": "a.test", "wellKnownCACertificates": "System"}})],
}


@pytest.mark.parametrize("name", LOST)
def test_a_guard_that_cannot_be_attached_refuses(gateway, upstream, name):
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a", name="one")), *LOST[name]()))
    assert (gw.request().status, len(up.requests)) == (500, 0)


def test_a_reload_that_loses_a_guard_is_refused(gateway, upstream):
    def guarded(rule_name):
        return world(backend("a", up), route("r", rule("a", name=rule_name)),
                     security_policy("p", target("HTTPRoute", "r", "one"), **DENY))

    up = upstream("a")
    gw = gateway(guarded("one"))
    assert gw.request().status == 403
    gw.apply(guarded("renamed"), result="failed")
    assert (gw.request().status, len(up.requests)) == (403, 0)


def test_header_names_of_policies_may_be_written_in_any_case(gateway, upstream, issuer):
    up, iss = upstream("a"), issuer("iss")
    providers = [{**local_provider(iss), "claimToHeaders": [{"claim": "tenant", "header": "X-Tenant"}],
                  "extractFrom": {"headers": [{"name": "X-Token"}]}}]
    gw = gateway(world(
        backend("a", up), route("r", rule("a")),
        security_policy("p", ROUTE, jwt={"providers": providers}, authorization={
            "defaultAction": "Allow", "rules": [{"action": "Deny", "principal": {
                "headers": [{"name": "X-TENANT", "values": ["tenant-b"]}]}}]})))

    def ask(tenant):
        return gw.request(headers=[("X-Token", iss.token(tenant)), ("x-tenant", "tenant-a")]).status

    assert ask("tenant-a") == 200 and up.last.all("x-tenant") == ["tenant-a"]
    assert ask("tenant-b") == 403


def test_a_mirror_to_a_guarded_backend_refuses(gateway, upstream):
    sink = upstream("sink")
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {
        "group": "gateway.envoyproxy.io", "kind": "Backend", "name": "s"}}}
    gw = gateway(world(
        backend("a", upstream("a")), backend("s", sink), route("r", rule("a", filters=[mirror])),
        thing("gateway.envoyproxy.io/v1alpha1", "BackendSecurityPolicy", "guard", {
            "targetRefs": [{"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "s"}],
            "basicAuth": {"users": {"name": "missing"}}})))
    assert (gw.request().status, len(sink.requests)) == (500, 0)


def test_a_changed_timeout_of_a_key_source_keeps_the_keys(scene):
    gw, up, keys = scene
    keys.mode = "down"
    changed = guarded(up, keys)
    [policy] = [made for made in changed if made["kind"] == "SecurityPolicy"]
    policy["spec"]["jwt"]["providers"][0]["remoteJWKS"]["cacheDuration"] = "99s"
    fetches = keys.n_fetches
    gw.apply(changed)
    assert gw.request("/", token=keys.token(sub="fresh")).status == 200
    eventually(lambda: keys.n_fetches > fetches, what="a fetch by the new rules")


def test_a_request_that_waited_for_keys_is_mirrored(gateway, upstream, issuer):
    up, copy, keys = upstream("a"), upstream("copy"), issuer()
    keys.mode = "slow"
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": to("copy")}}
    gw = gateway(guarded(up, keys, backend("copy", copy), rules=[rule("a", filters=[mirror])]))
    with gw.raw(f"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {keys.token()}\r\n\r\n") as raw:
        eventually(lambda: gw.metric("tollgate_exchanges_active") == 1, what="the request to wait")
        keys.mode = "ok"
        keys.release.set()
        assert raw.reply().status == 200
    copy.wait_for(1)
