"""`tollgate explain`, from files and of a running gateway: what it says of a request is what becomes of it. Each
request is explained first and sent then, and both must agree: status, code and sentence of a refusal, or the rule and
the backend of what goes on. That nothing is counted or sent by an explanation the same plays show."""
import concurrent.futures
import json
import re
import resource
import threading
import time
import urllib.parse

import pytest

from play import client
from play.deadline import FACTOR, eventually
from play.gateway import SHIPPED, as_text, tollgate
from play.live import Live, is_shown
from play.manifests import (ENVOY_API, ai_backend, ai_route, ai_rule, backend, client_policy, grpc_route, header, http_listener,
                            https_listener, local_provider, model, path, provider, route, rule, secret, security_policy,
                            target, thing, tls_secret, to, world)
from play.passwords import basic, hashed
from play.stranger import Stranger, ok
from play.upstream import Answer

JSON_TYPE = ("content-type", "application/json")


# ---- asking ----

def of_files(paths, request, *args, headers=(), body=None, token=None, ok=True):
    command = ["explain", "--format", "json", "--request", request, *args]
    for made in paths:
        command += ["-f", str(made)]
    for name, value in headers:
        command += ["-H", f"{name}: {value}"]
    if body is not None:
        command += ["--body", body]
    if token is not None:
        command += ["--token", token]
    run = tollgate(*command)
    if not ok:
        return run
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def of_gateway(gw, request, *, headers=(), body=None, token=None, origin=None):
    """By the admin port. Everything in headers: what may be a secret and what is none."""
    query = {"format": "json", **({"from": origin} if origin else {})}
    lines = [("X-Explain-Request", request), *[("X-Explain-Header", f"{n}: {v}") for n, v in headers]]
    if token is not None:
        lines.append(("X-Explain-Token", token))
    if body is not None:
        lines.append(("X-Explain-Body", body))
    reply = gw.get_admin("/explain?" + urllib.parse.urlencode(query), headers=lines)
    assert reply.status == 200, reply.body
    return reply.json


def sentence_of(reply):
    """The words of a refusal, in whichever API's shape."""
    error = reply.json["error"]
    return error if isinstance(error, str) else error["message"]


class Told:
    """A gateway whose answers are compared with what is said of them before."""

    def __init__(self, gw, upstreams=(), args=(), names=None):
        """names: where the log does not tell the backend, a word of each one's name, in the order of the upstreams."""
        self.gw, self.upstreams, self.args, self.names = gw, list(upstreams), list(args), names
        self.n = 0

    def n_requests(self):
        return sum(len(up.requests) for up in self.upstreams)

    def explained(self, url, method, **more):
        before = self.n_requests()
        live = of_gateway(self.gw, f"{method} {url}", **more)
        more.pop("origin", None)
        files = of_files(self.gw.paths, f"{method} {url}", *self.args, **more)
        assert self.n_requests() == before, "an explanation sends nothing"
        return live, files

    def check(self, target_="/", method=None, *, host="localhost", headers=(), body=None, token=None, port=80,
              files_agree=True, **more):
        self.n += 1
        mark = f"play-{self.n}"
        headers = [*headers, ("user-agent", mark)]
        method = method or ("GET" if body is None else "POST")
        scheme = "https" if port == 443 else "http"
        url = f"{scheme}://{host}{'' if port in (80, 443) else f':{port}'}{target_}"
        live, files = self.explained(url, method, headers=headers, body=body, token=token)
        before = [len(up.requests) for up in self.upstreams]
        reply = self.gw.request(target_, method, port=port, host=host, headers=headers, token=token,
                                body=None if body is None else body.encode(), **more)
        went_to = [i for i, up in enumerate(self.upstreams) if len(up.requests) > before[i]]
        record = None if self.names else self.record(mark, reply)
        for said in (live, files) if files_agree else (live,):
            self.compare(said, reply, record, went_to)
        if live["decision"]["outcome"] == "refused":
            self.compare_page(live["decision"])
        return live, reply

    def compare_page(self, decision):
        """What the live page has of it, as the last refusal, has the explanation's words."""
        def same(row):
            return (row["code"], row["status"], row["route"].replace("-", "", row["route"] == "-")) == (
                decision["code"], decision["status"], decision.get("rule", "")) and \
                is_shown(row["sentence"], decision["sentence"]) and is_shown(row["detail"], decision.get("detail", "")) and \
                row["tenant"] == decision.get("tenant", "") and row["model"] == decision.get("model", "")
        with Live(self.gw) as page:
            page.wait(lambda p: p["refusals"]["refusals"] and same(p["refusals"]["refusals"][0]), 5, decision)

    def record(self, mark, reply):
        """Of a head that could not be read nothing is logged but the status."""
        return self.gw.wait_log(lambda r: r["user-agent"] == mark
                                or not r["user-agent"] and r["response_code"] == reply.status)

    def compare(self, said, reply, record, went_to):
        decision = said["decision"]
        what = json.dumps(said["decision"])
        if decision["outcome"] == "sent to a backend":
            assert len(went_to) == 1, what
            usable = [b["name"] for b in said["backends"] if b["verdict"] in ("drawn", "may be used")]
            assert decision["backend"] in usable, what
            if record:
                assert record["route_name"] == decision["rule"], what
                assert record["upstream_cluster"] in usable, what
            else:
                assert self.names[went_to[0]] in decision["backend"], what
            return
        assert went_to == [], what
        assert decision["status"] == reply.status, what
        if decision["outcome"] == "refused":
            assert decision["code"] in reply.body.decode(), what
            assert decision["sentence"] == sentence_of(reply), what
        if "rule" in decision and record:
            assert record["route_name"] == decision["rule"], what
        won = [r["name"] for r in said.get("rules", []) if r["verdict"] == "won"]
        assert won == ([decision["rule"]] if "rule" in decision else []), what


@pytest.fixture
def told(gateway, upstream):
    """told(manifests of names -> upstreams): a gateway and its backends."""
    def start(make, names=("a", "b"), **more):
        ups = {name: upstream(name) for name in names}
        manifests = make(ups)
        return Told(gateway(manifests, **more), ups.values())
    return start


def verdict_of(said, name):
    return next(r for r in said["rules"] if r["name"].startswith(name))


# ---- routes ----

def routes(ups):
    return world(
        *[backend(name, up) for name, up in ups.items()],
        route("plain", rule("a", matches=[path("/a")]), rule("b", matches=[path("/a", "Exact")]),
              rule("b", matches=[path("/re/[0-9]+", "RegularExpression")])),
        route("conditions",
              rule("a", matches=[{**path("/c"), "headers": [header("x-one", "1")]}]),
              rule("b", matches=[{**path("/c"), "method": "PUT"}]),
              rule("b", matches=[{**path("/c"), "queryParams": [{"name": "q", "value": "1"}]},
                                 {**path("/c"), "headers": [header("x-two", "t.*", "RegularExpression")]}])),
        route("hosts", rule("a", matches=[path("/h")]), hostnames=["one.test", "*.wild.test"]),
        route("deeper", rule("b", matches=[path("/h")]), hostnames=["deep.wild.test"]),
        route("weights", rule(to("a", 3), to("b", 1), matches=[path("/w")])),
        route("none", rule(matches=[path("/none")])),
        route("away", rule(matches=[path("/away")], filters=[{
            "type": "RequestRedirect", "requestRedirect": {"hostname": "elsewhere.test", "statusCode": 301}}])),
        route("rewritten", rule("a", matches=[path("/old")], filters=[{
            "type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"}}}])))


ROUTED = [
    ("/a", "GET", {}), ("/a/x", "GET", {}), ("/ax", "GET", {}), ("/re/12", "GET", {}), ("/re/x", "GET", {}),
    ("/c", "GET", {}), ("/c", "GET", {"headers": [("x-one", "1")]}), ("/c", "GET", {"headers": [("x-one", "2")]}),
    ("/c", "PUT", {}), ("/c?q=1", "GET", {}), ("/c?q=2", "GET", {}), ("/c", "GET", {"headers": [("x-two", "tt")]}),
    ("/c?q=1", "PUT", {"headers": [("x-one", "1")]}), ("/h", "GET", {"host": "one.test"}),
    ("/h", "GET", {"host": "x.wild.test"}), ("/h", "GET", {"host": "deep.wild.test"}), ("/a", "GET", {"host": "one.test"}),
    ("/h", "GET", {}), ("/w", "GET", {}), ("/none", "GET", {}), ("/away", "GET", {}), ("/old/x?y=1", "GET", {}),
    ("/%zz", "GET", {}), ("/a%00", "GET", {}), ("/b/../a", "GET", {}), ("//a", "GET", {}), ("/a%2Fb", "GET", {}),
    ("/a", "GET", {"headers": [("x_bad", "1")]}), ("/a", "POST", {"body": "hello"}), ("/a", "CONNECT", {}),
    ("/a", "GET", {"headers": [("connection", "x-forwarded-for"), ("expect", "nonsense")]}), ("/c", "OPTIONS", {}),
]


def test_routes_are_told_as_they_are_taken(told):
    play = told(routes)
    for target_, method, more in ROUTED:
        play.check(target_, method, **more)


def test_why_each_rule_lost(told):
    play = told(routes)
    said, _ = play.check("/c", "GET", headers=[("x-one", "2")])
    assert said["decision"]["code"] == "route_not_found"
    by = {r["name"].removeprefix("httproute/play/"): (r["verdict"], r.get("why", "")) for r in said["rules"]}
    assert by["conditions/rule/0"] == ("lost by header", "header x-one is to be 1, and is 2")
    assert by["conditions/rule/1"][0] == "lost by method"
    assert by["conditions/rule/2"] == ("lost by query", "query parameter q is to be 1, and there is none")
    assert by["plain/rule/0"] == ("lost by path", "its path is PathPrefix /a")
    assert by["plain/rule/2"] == ("lost by path", "its path is RegularExpression /re/[0-9]+")
    assert by["hosts/rule/0"][0] == "lost by hostname" and "one.test, *.wild.test" in by["hosts/rule/0"][1]
    said, _ = play.check("/c?q=2", "GET")
    assert verdict_of(said, "httproute/play/conditions/rule/2")["why"] == "query parameter q is to be 1, and is 2"
    said, _ = play.check("/c", "GET", headers=[("x-one", "1"), ("x-two", "u")])
    lost = verdict_of(said, "httproute/play/conditions/rule/2")
    assert lost["verdict"] == "lost by query", "of its two matches the one that came nearest"
    said, _ = play.check("/a", "GET")
    assert verdict_of(said, "httproute/play/plain/rule/1")["verdict"] == "won"
    lost = verdict_of(said, "httproute/play/plain/rule/0")
    assert lost["verdict"] == "lost by precedence" and "exact path" in lost["why"]
    said, _ = play.check("/h", "GET", host="deep.wild.test")
    assert verdict_of(said, "httproute/play/deeper")["verdict"] == "won"
    assert verdict_of(said, "httproute/play/hosts")["verdict"] == "lost by hostname"


def test_places_are_those_of_the_files(told):
    play = told(routes)
    said, _ = play.check("/old/x")
    lines = (play.gw.manifests / "world.yaml").read_text().splitlines()
    won = verdict_of(said, "httproute/play/rewritten")
    file, _, line = won["at"].rpartition(":")
    assert file.endswith("world.yaml")
    assert "matches" in "".join(lines[int(line) - 1:int(line) + 8]), won["at"]
    assert said["request_to_the_backend"]["path"] == "/new/x"
    listener = said["listener"]["at"].rpartition(":")[2]
    assert "http" in lines[int(listener) - 1]


# ---- who calls ----

def guarded(issuer, ups):
    rules = [
        {"name": "no-writers", "action": "Deny", "principal": {"clientCIDRs": ["203.0.113.0/24"]}},
        {"name": "tenants", "action": "Allow", "operation": {"methods": ["GET", "POST"]},
         "principal": {"jwt": {"provider": "provider", "claims": [{"name": "tenant", "values": ["tenant-a"]}]}}},
        {"name": "scoped", "action": "Allow",
         "principal": {"jwt": {"provider": "provider", "scopes": ["admin"]}}},
        {"name": "by-header", "action": "Allow",
         "principal": {"headers": [{"name": "x-pass", "values": ["yes"]}]}},
    ]
    return world(
        *[backend(name, up) for name, up in ups.items()],
        route("guarded", rule("a", matches=[path("/g")]), rule("b", matches=[{
            **path("/g"), "headers": [header("x-tenant", "tenant-b")]}])),
        route("open", rule("b", matches=[path("/open")])),
        security_policy("p", target("HTTPRoute", "guarded"),
                        jwt={"providers": [local_provider(issuer, claimToHeaders=[
                            {"claim": "tenant", "header": "x-tenant"}])]},
                        authorization={"defaultAction": "Deny", "rules": rules}))


def test_tokens_and_rules_are_told_as_they_are_judged(told, issuer):
    keys, strange = issuer(), issuer("elsewhere")
    play = told(lambda ups: guarded(keys, ups))
    far = "".join(["a" * 40] * 500)
    tokens = {
        "good": keys.token("tenant-a"), "of another tenant": keys.token("tenant-b"),
        "scoped": keys.token("tenant-c", scope="read admin"), "unscoped": keys.token("tenant-c", scope="read"),
        "expired": keys.token(exp=int(time.time()) - 600), "not yet": keys.token(nbf=int(time.time()) + 600),
        "of another issuer": strange.token(), "unsigned": keys.unsigned(), "garbage": "garbage", "dots": "a.b.c",
        "huge": far, "with its own key": keys.token(header={"jwk": {}}), "confused": keys.confused(),
        "cut": keys.token()[:-8] + "AAAAAAAA", "without a tenant": keys.token(tenant=None, aud="x"),
        "with a list for a tenant": keys.token(**{"tenant": ["tenant-a"], "aud": "x", "sub": "s"}),
    }
    for name, token in tokens.items():
        for headers in ([], [("x-pass", "yes")]):
            said, reply = play.check("/g/x", token=token, headers=headers)
            assert token not in json.dumps(said), name
            signature = token.rpartition(".")[2]
            assert len(signature) < 12 or signature not in json.dumps(said), name
    play.check("/g/x")
    play.check("/open")
    play.check("/open", token=tokens["garbage"])
    play.check("/g/x", "DELETE", token=tokens["good"])
    said, _ = play.check("/g/x", token=tokens["of another tenant"])
    assert said["decision"]["code"] == "forbidden" and said["decision"]["rule"].endswith("guarded/rule/1")
    by = {r["name"]: r for r in said["authorization"]["rules"]}
    assert by["no-writers"]["verdict"] == "does not match" and "127.0.0.1" in by["no-writers"]["why"]
    assert by["tenants"]["why"] == "claim tenant is tenant-b, and the rule is for tenant-a"
    assert by["scoped"]["why"] == "the token has no scope admin"
    assert by["by-header"]["why"] == "header x-pass is absent, and the rule is for yes"
    assert said["authorization"]["decided_by"] == "defaultAction"
    assert verdict_of(said, "httproute/play/guarded/rule/0")["verdict"] == "lost by precedence"
    lines = (play.gw.manifests / "world.yaml").read_text().splitlines()
    for name, made in by.items():
        assert f"name: {name}" in lines[int(made["at"].rpartition(":")[2]) - 1], made["at"]
    claims = {c["name"]: c for c in said["claims"]}
    assert claims["tenant"]["value"] == "tenant-b" and "header x-tenant" in claims["tenant"]["used_for"]


def test_the_address_that_is_asked_about(told, issuer):
    keys = issuer()
    play = told(lambda ups: guarded(keys, ups))
    said = of_gateway(play.gw, "GET http://localhost/g/x", token=keys.token(), origin="203.0.113.9")
    assert said["decision"]["detail"] == "no-writers" and said["client"] == "203.0.113.9"
    said = of_files(play.gw.paths, "GET http://localhost/g/x", "--from", "203.0.113.9", token=keys.token())
    assert said["decision"]["detail"] == "no-writers"


def test_keys_that_are_not_at_hand(told, issuer):
    keys = issuer()
    play = told(lambda ups: world(
        *[backend(name, up) for name, up in ups.items()], backend("keys", keys.port), route("r", rule("a")),
        security_policy("p", target("HTTPRoute", "r"), jwt={"providers": [provider(keys)]})))
    eventually(lambda: play.gw.request("/", token=keys.token()).status == 200, what="the keys")

    def n_fetches():
        """Once what control has begun is there: it turns, and the issuer takes its connections in their order."""
        play.gw.get_admin("/ready")
        play.gw.get_admin("/ready")
        client.request(keys.port, "/barrier")
        return len([r for r in keys.server.requests if r.target != "/barrier"])

    before = n_fetches()
    said, _ = play.check("/", token=keys.token())
    assert said["decision"]["assuming"] == []
    forged = keys.token()[:-8] + "AAAAAAAA"
    said, _ = play.check("/", token=forged, files_agree=False)
    assert said["decision"]["code"] == "token_bad_signature"
    said = of_files(play.gw.paths, "GET http://localhost/", token=forged)
    assert said["decision"]["outcome"] == "sent to a backend", "as far as it can be known"
    assert "signature" in said["decision"]["assuming"][0]["name"]
    assert said["authentication"][1]["keys"] == "not fetched"
    said = of_gateway(play.gw, "GET http://localhost/", token=keys.token(header={"kid": "unknown"}))
    assert said["decision"]["code"] == "token_unknown_key"
    assert n_fetches() == before, "an explanation asks for no keys"
    assert play.gw.metric("tollgate_tokens_total", result="refused") == 1, "and counts nothing: the forged one was sent once"


def test_keys_that_cannot_be_had(told, issuer):
    keys = issuer()
    keys.mode = "error"
    play = told(lambda ups: world(
        *[backend(name, up) for name, up in ups.items()], backend("keys", keys.port), route("r", rule("a")),
        security_policy("p", target("HTTPRoute", "r"), jwt={"providers": [provider(keys)]})))
    eventually(lambda: keys.n_fetches > 0, what="a fetch")
    said, reply = play.check("/", token=keys.token(), files_agree=False)
    assert (reply.status, said["decision"]["code"]) == (503, "keys_unavailable")
    assert said["authentication"][1]["keys"] == "not fetched"
    eventually(lambda: of_gateway(play.gw, "GET http://localhost/")["authentication"][1].get("last_error"), what="why not")


def test_layers_are_told_in_their_order(told):
    users = f"alice:{hashed('wonder', 'sha1')}\nbob:{hashed('builder', 'sha512')}\n"
    play = told(lambda ups: world(
        *[backend(name, up) for name, up in ups.items()],
        route("keyed", rule("a", matches=[path("/k")])), route("basic", rule("b", matches=[path("/b")])),
        secret("keys", alice="key-of-alice-1234"), secret("users", **{".htpasswd": users}),
        security_policy("k", target("HTTPRoute", "keyed"), apiKeyAuth={
            "credentialRefs": [{"name": "keys"}], "extractFrom": [{"headers": ["x-api-key"]}, {"params": ["key"]}]}),
        security_policy("b", target("HTTPRoute", "basic"), basicAuth={"users": {"name": "users"}})))

    def pair(user, password):
        return [("authorization", basic(user, password))]

    for headers in ([], [("x-api-key", "key-of-alice-1234")], [("x-api-key", "key-of-nobody-99")]):
        said, _ = play.check("/k", headers=headers)
        assert "key-of" not in json.dumps(said)
    said, _ = play.check("/k?key=key-of-alice-1234")
    assert "key-of" not in json.dumps(said) and "redacted" in said["request"]
    assert said["layers"][0]["verdict"] == "passed" and said["layers"][0]["at"].rpartition(":")[2].isdigit()
    for headers in (pair("alice", "wonder"), pair("alice", "wrong")):
        said, _ = play.check("/b", headers=headers)
        assert "wonder" not in json.dumps(said) and headers[0][1] not in json.dumps(said)
    play.check("/b")
    play.check("/b", headers=[("authorization", "Basic %%%")])
    # A slow hash: from files it is computed, by the admin port it is not.
    said, _ = play.check("/b", headers=pair("bob", "builder"))
    said = of_gateway(play.gw, "GET http://localhost/b", headers=pair("bob", "wrong"))
    assert said["decision"]["outcome"] == "sent to a backend" and "password" in said["decision"]["assuming"][0]["name"]
    said = of_files(play.gw.paths, "GET http://localhost/b", headers=pair("bob", "wrong"))
    assert said["decision"]["code"] == "basic_invalid"


def test_an_authorizer_would_be_asked(told):
    play = told(lambda ups: world(
        backend("a", ups["a"]), backend("b", ups["b"]), route("r", rule("a")),
        security_policy("p", target("HTTPRoute", "r"), extAuth={"http": {"backendRefs": [to("b")]}})))
    said, files = play.explained("http://localhost/", "GET")
    for one in (said, files):
        assert one["decision"]["outcome"] == "sent to a backend"
        assert "authorizers agree" in one["decision"]["assuming"][0]["name"]
        assert one["layers"][0]["verdict"] == "would be asked"


# ---- limits ----

def limited(ups):
    def of(*rules):
        return {"type": "Global", "global": {"rules": list(rules)}}
    return world(
        *[backend(name, up) for name, up in ups.items()], route("r", rule("a", matches=[path("/l")])),
        thing(ENVOY_API, "BackendTrafficPolicy", "t", {"targetRefs": [target("HTTPRoute", "r")], "rateLimit": of(
            {"clientSelectors": [{"headers": [{"name": "x-user", "type": "Distinct"}]}], "limit": {"requests": 3, "unit": "Hour"}},
            {"clientSelectors": [{"headers": [{"name": "x-class", "value": "poor"}]}], "limit": {"requests": 1, "unit": "Hour"}},
            {"limit": {"requests": 100, "unit": "Hour"}})}))


def test_limits_are_looked_at_and_not_taken(told):
    play = told(limited)
    headers = [("x-user", "u1")]
    lines = (play.gw.manifests / "world.yaml").read_text().splitlines()
    said = of_gateway(play.gw, "GET http://localhost/l", headers=headers)
    places = [int(one["at"].rpartition(":")[2]) for one in said["limits"]]
    assert "x-user" in "".join(lines[places[0]:places[1] - 1]) and "x-class" in "".join(lines[places[1]:places[2] - 1])
    for left in (3, 2, 1):
        for _ in range(5):  # asking as often as one likes
            said = of_gateway(play.gw, "GET http://localhost/l", headers=headers)
            of_user = said["limits"][0]
            assert (of_user["verdict"], of_user["left"], of_user["cost"], of_user["key"]) == ("room", left, 1, "x-user=u1")
            assert said["limits"][1]["verdict"] == "not counted"
            assert said["limits"][1]["why"] == "header x-class is not as it counts"
            assert said["limits"][2]["left"] == 97 + left
        play.check("/l", headers=headers)
    said, reply = play.check("/l", headers=headers, files_agree=False)
    assert (reply.status, said["decision"]["code"]) == (429, "rate_limited")
    assert said["limits"][0]["verdict"] == "used up" and "global/0" in said["decision"]["detail"]
    assert abs(said["decision"]["retry_after_s"] - int(reply.get("retry-after"))) <= 1
    said, _ = play.check("/l", headers=[("x-user", "u2")])
    assert said["limits"][0]["left"] == 3 and said["limits"][0]["key"] == "x-user=u2"
    play.check("/l", headers=[("x-class", "poor")])
    play.check("/l", headers=[("x-class", "poor")], files_agree=False)
    assert play.gw.metric("tollgate_limit_refusals_total") == 2, "of what was sent, not of what was asked"


def test_a_limit_s_key_has_the_words_of_the_live_page(told, issuer):
    keys = issuer()
    by_tenant = {"clientSelectors": [{"sourceCIDR": {"value": "127.0.0.0/8", "type": "Distinct"},
                                      "headers": [{"name": "x-tenant", "type": "Distinct"}]}],
                 "limit": {"requests": 3, "unit": "Hour"}}
    by_word = {"clientSelectors": [{"queryParams": [{"name": "key", "type": "Distinct"}, {"name": "q", "type": "Distinct"}]}],
               "limit": {"requests": 3, "unit": "Hour"}}
    play = told(lambda ups: world(
        *[backend(name, up) for name, up in ups.items()], route("r", rule("a")),
        security_policy("p", target("HTTPRoute", "r"), jwt={"providers": [local_provider(keys, claimToHeaders=[
            {"claim": "tenant", "header": "x-tenant"}])]}),
        thing(ENVOY_API, "BackendTrafficPolicy", "t", {"targetRefs": [target("HTTPRoute", "r")], "rateLimit": {
            "type": "Global", "global": {"rules": [by_tenant, by_word]}}})))
    said, _ = play.check("/?key=hunter2&q=%41", token=keys.token("tenant-a"))
    assert [one["key"] for one in said["limits"]] == ["client=127.0.0.1,x-tenant=tenant-a", "key=(hidden),q=A"]
    assert "hunter2" not in json.dumps(said)
    with Live(play.gw) as live:
        rows = live.wait(lambda p: len(p["limits"]["limits"]) == 2 and p["limits"]["limits"])
    assert {row["who"] for row in rows} == {"client=127.0.0.1,x-tenant=tenant-a", "key=(hidden),q=(hidden)"}
    said, _ = play.check("/?q=" + "x" * 300 + "&key=" + "y" * 300, token=keys.token("tenant-a"))
    assert said["limits"][1]["key"] == "key=(hidden),q=(long)"


def test_seconds_are_read_as_such(told):
    play = told(limited)
    for _ in range(3):
        play.gw.request("/l", headers=[("x-user", "u1")])
    said = of_command(play.gw, "GET http://localhost/l", headers=[("x-user", "u1")], form="text")
    assert re.search(r"^  retry after: \d+s$", said, re.M) and re.search(r"; left 0; reset \d+s; counted ", said), said


def test_traffic_goes_on_while_it_is_asked(told):
    """Thousands of explanations beside requests: the limit is as exact as ever, and nobody waits."""
    play = told(lambda ups: world(
        *[backend(name, up) for name, up in ups.items()], route("r", rule("a")),
        thing(ENVOY_API, "BackendTrafficPolicy", "t", {"targetRefs": [target("HTTPRoute", "r")], "rateLimit": {
            "type": "Global", "global": {"rules": [{"limit": {"requests": 150, "unit": "Hour"}}]}}})))
    asked = []
    is_over = threading.Event()

    def ask():
        while not is_over.is_set():
            asked.append(of_gateway(play.gw, "GET http://localhost/")["decision"]["outcome"])

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()
    try:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            statuses = list(pool.map(lambda _: play.gw.request("/").status, range(200)))
        play.gw.reload()
    finally:
        is_over.set()
        for asker in askers:
            asker.join()
    assert statuses.count(200) == 150 and statuses.count(429) == 50
    assert "sent to a backend" in asked and len(play.upstreams[0].requests) == 150


# ---- backends ----

def test_a_backend_that_is_ill_is_told(told, upstream):
    probed = {"healthCheck": {"active": {"type": "HTTP", "http": {"path": "/health"}, "interval": "0.1s", "timeout": "1s",
                                         "unhealthyThreshold": 1, "healthyThreshold": 1}, "panicThreshold": 0}}
    play = told(lambda ups: world(
        *[backend(name, up) for name, up in ups.items()],
        route("r", rule("a", matches=[path("/a")]), rule(to("a"), to("b"), matches=[path("/ab")])),
        thing(ENVOY_API, "BackendTrafficPolicy", "t", {
            "targetRefs": [target("HTTPRoute", "r")], **probed,
            "circuitBreaker": {"maxConnections": 7, "maxParallelRequests": 5},
            "retry": {"numRetries": 4, "retryOn": {"triggers": ["5xx"], "httpStatusCodes": [429]}},
            "timeout": {"http": {"requestTimeout": "7s"}}})))
    ill = play.upstreams[0]

    def script(request, _connection):
        return Answer(status=500 if request.target == "/health" else 200)

    for up in play.upstreams:
        up.probe_target = "/health"
    said, _ = play.check("/a")
    assert said["backends"][0]["requests"] == "0 of 5" and said["backends"][0]["connections"].endswith("of 7")
    assert said["retries"] == {"at_most": 4, "on": "5xx,429"}
    assert said["timeouts"]["request_by_policy"] == "7s"
    ill.probe_target = None
    ill.script = script
    eventually(lambda: "fails its probes" in json.dumps(of_gateway(play.gw, "GET http://localhost/a")["backends"]),
               what="a probe that fails")
    ill.probe_target, kept = "/health", ill.script
    said = of_gateway(play.gw, "GET http://localhost/a")
    assert (said["decision"]["status"], said["decision"]["code"]) == (503, "no_healthy_upstream")
    assert said["backends"][0]["verdict"] == "may not be used"
    reply = play.gw.request("/a")
    assert (reply.status, reply.code, sentence_of(reply)) == (503, "no_healthy_upstream", said["decision"]["sentence"])
    said = of_gateway(play.gw, "GET http://localhost/ab")
    assert said["decision"]["backend"] == "Backend/play/b"
    ill.probe_target = None
    ill.script = kept


def test_a_breaker_that_is_full_is_told(told):
    play = told(lambda ups: world(
        *[backend(name, up) for name, up in ups.items()], route("r", rule("a")),
        thing(ENVOY_API, "BackendTrafficPolicy", "t", {"targetRefs": [target("HTTPRoute", "r")], "circuitBreaker": {
            "maxParallelRequests": 1}})))
    is_over = threading.Event()

    def hold(_request, _connection):
        is_over.wait(60)
        return Answer()

    play.upstreams[0].script = hold
    assert of_gateway(play.gw, "GET http://localhost/")["decision"]["assuming"] == []
    try:
        with play.gw.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") as first:
            eventually(lambda: len(play.upstreams[0].requests) == 1, what="a request that is under way")
            said = of_gateway(play.gw, "GET http://localhost/")
            assert said["backends"][0]["requests"] == "1 of 1"
            assert "circuit breaker" in said["decision"]["assuming"][0]["name"]
            assert play.gw.request("/").code == "upstream_overflow"
            is_over.set()
            assert first.reply().status == 200
    finally:
        is_over.set()
    eventually(lambda: of_gateway(play.gw, "GET http://localhost/")["decision"]["assuming"] == [], what="room")


# ---- AI ----

CHAT = {"model": "m1", "messages": [{"role": "user", "content": "hi"}]}


def models(ups):
    return world(
        *[backend(name, up) for name, up in ups.items()], ai_backend("a"), ai_backend("b", schema="Anthropic"),
        ai_route("ai", ai_rule(to_ai("a"), matches=[model("m1")]), ai_rule(to_ai("b"), matches=[model("m2")])),
        route("rest", rule("b", matches=[path("/rest")])))


def to_ai(name):
    return {"name": name}


BODIES = [
    json.dumps(CHAT), json.dumps({**CHAT, "model": "m2", "max_tokens": 5}), json.dumps({**CHAT, "model": "m3"}),
    json.dumps({"messages": []}), "{", "[]", json.dumps({**CHAT, "model": 7}), '{"model":"m1","model":"m2"}',
    json.dumps({**CHAT, "n": 3, "model": "m2"}), "",
]


def test_models_are_told_as_they_are_routed(told):
    play = told(models)
    for body in BODIES:
        play.check("/v1/chat/completions", "POST", body=body, headers=[JSON_TYPE])
    play.check("/v1/chat/completions", "GET")
    play.check("/v1/embeddings", "POST", body=json.dumps({"model": "m2", "input": "x"}), headers=[JSON_TYPE])
    play.check("/v1/chat/completions", "POST", body=json.dumps(CHAT), headers=[JSON_TYPE, ("content-encoding", "gzip")])
    play.check("/rest", "POST", body="{")
    said, _ = play.check("/v1/chat/completions", "POST", body=json.dumps(CHAT), headers=[JSON_TYPE])
    lost = verdict_of(said, "aigatewayroute/play/ai/rule/1")
    assert lost["verdict"] == "lost by model" and "is to be m2, and is m1" in lost["why"]
    said, _ = play.check("/rest", "GET")
    assert verdict_of(said, "aigatewayroute/play/ai/rule/0")["verdict"] == "lost by endpoint"


# ---- ports and hosts ----

def test_listeners_and_tls(gateway, upstream, authority):
    up = upstream("a")
    gw = gateway(world(
        backend("a", up), route("r", rule("a")), tls_secret("cert", authority.leaf("one.test", "two.test")),
        listeners=[http_listener(hostname="*.test"), https_listener(hostname="one.test"),
                   http_listener("odd", 8080)]))
    play = Told(gw, [up])
    play.check("/", host="x.test")
    play.check("/", host="other.org")
    said, _ = play.check("/", host="other.org", port=8080)
    assert said["listener"]["name"] == "play/front/odd" and said["listener"]["port"] == 8080
    said, _ = play.check("/", host="one.test", port=443, tls=authority.client())
    assert said["listener"]["protocol"] == "HTTPS"
    said = of_gateway(gw, f"GET http://other.org:{gw.port(8080)}/")
    assert said["listener"]["name"] == "play/front/odd", "by the port that it is bound to"
    run = of_files(gw.paths, "GET http://x.test:1/", ok=False)
    assert run.returncode == 1 and "HTTP on 8080" in run.stderr and "--port-map" in run.stderr
    said = of_files(gw.paths, "GET http://other.org:18080/", "--port-map", "8080=18080")
    assert said["listener"]["name"] == "play/front/odd"
    reply = gw.get_admin("/explain", headers=[("x-explain-request", "GET http://x.test:1/")])
    assert reply.status == 404 and b"HTTP on 8080" in reply.body


def test_client_policies_hold(told):
    play = told(lambda ups: world(
        *[backend(name, up) for name, up in ups.items()], route("r", rule("a")),
        client_policy("c", headers={"withUnderscoresAction": "Allow"}, healthCheck={"path": "/alive"},
                      clientIPDetection={"customHeader": {"name": "x-real-ip", "failClosed": True}})))
    play.check("/")
    play.check("/alive")
    said, _ = play.check("/", headers=[("x-real-ip", "203.0.113.1"), ("x_under", "1")])
    assert any(p["name"] == "ClientTrafficPolicy/play/c" for p in said["policies"])


def test_faults_and_direct_answers(told):
    play = told(lambda ups: world(
        *[backend(name, up) for name, up in ups.items()],
        route("fault", rule("a", matches=[path("/f")])),
        route("direct", rule(matches=[path("/d")], filters=[{"type": "ExtensionRef", "extensionRef": {
            "group": "gateway.envoyproxy.io", "kind": "HTTPRouteFilter", "name": "words"}}])),
        thing(ENVOY_API, "HTTPRouteFilter", "words", {"directResponse": {
            "statusCode": 418, "contentType": "text/plain", "body": {"type": "Inline", "inline": "short and stout"}}}),
        thing(ENVOY_API, "BackendTrafficPolicy", "t", {
            "targetRefs": [target("HTTPRoute", "fault")],
            "faultInjection": {"delay": {"fixedDelay": "10ms", "percentage": 100}, "abort": {"httpStatus": 503, "percentage": 100}}})))
    said, _ = play.check("/f")
    assert said["decision"]["code"] == "fault_injected"
    said, _ = play.check("/d")
    assert said["answer"]["status"] == 418 and said["answer"]["body"] == "short and stout"


def test_preflights_buffers_and_calls(told):
    cors = {"type": "CORS", "cors": {"allowOrigins": ["https://one.test"], "allowMethods": ["PUT"], "maxAge": 5}}
    play = told(lambda ups: world(
        *[backend(name, up) for name, up in ups.items()],
        route("cors", rule("a", matches=[path("/c")], filters=[cors]), hostnames=["localhost"]),
        route("held", rule("a", matches=[path("/held")]), hostnames=["localhost"]),
        grpc_route("calls", rule("b", matches=[{"method": {"service": "pkg.Service", "method": "Do"}}]),
                   hostnames=["calls.test"]),
        thing(ENVOY_API, "BackendTrafficPolicy", "t", {"targetRefs": [target("HTTPRoute", "held")],
                                                       "requestBuffer": {"limit": "1Ki"}})),
        names=("a", "b"))
    for origin in ("https://one.test", "https://two.test"):
        asked = [("origin", origin), ("access-control-request-method", "PUT")]
        said, reply = play.check("/c", "OPTIONS", headers=asked)
        assert said["decision"]["outcome"] == "answered by the gateway", said["decision"]
        told_headers = {h["name"] for h in said["answer"]["headers"]} - {"date"}
        assert told_headers <= {name for name, _ in reply.headers}
    play.check("/held", "POST", body="x" * 1000)
    said, _ = play.check("/held", "POST", body="x" * 1025)
    assert said["decision"]["code"] == "request_too_large"
    said, _ = play.check("/pkg.Service/Do", "POST", host="calls.test", body="x", headers=[JSON_TYPE])
    assert verdict_of(said, "grpcroute/play/calls")["verdict"] == "lost by grpc"
    said = of_gateway(play.gw, "POST http://calls.test/pkg.Service/Do", headers=[("content-type", "application/grpc")])
    assert said["decision"]["rule"] == "grpcroute/play/calls/rule/0"
    said = of_gateway(play.gw, "POST http://calls.test/pkg.Service/Else", headers=[("content-type", "application/grpc")])
    assert said["decision"]["code"] == "route_not_found" and {"name": "grpc-status", "value": "12"} in said["answer"]["headers"]


def test_nothing_is_copied(told):
    mirrored = {"type": "RequestMirror", "requestMirror": {"backendRef": to("b")}}
    play = told(lambda ups: world(
        *[backend(name, up) for name, up in ups.items()], route("r", rule("a", filters=[mirrored])),
        thing(ENVOY_API, "BackendTrafficPolicy", "t", {"targetRefs": [target("HTTPRoute", "r")],
                                                       "requestBuffer": {"limit": "1Ki"}})))
    for _ in range(3):
        play.explained("http://localhost/asked", "GET")
        play.explained("http://localhost/asked", "POST", body="all of it")
    assert play.gw.request("/sent", body=b"all of it").status == 200
    assert play.upstreams[1].wait_for(1)[0].target == "/sent", "the first copy is that of the request that was sent"


def test_chance_is_told(told):
    play = told(lambda ups: world(
        *[backend(name, up) for name, up in ups.items()],
        route("r", rule(to("a", 3), to("missing", 1))), route("one", rule("a", matches=[path("/one")])),
        thing(ENVOY_API, "BackendTrafficPolicy", "t", {
            "targetRefs": [target("HTTPRoute", "one")], "faultInjection": {"abort": {"httpStatus": 503, "percentage": 30}}})))
    seen = set()
    for _ in range(200):
        said = of_gateway(play.gw, "GET http://localhost/")
        assert any("draw by weight" in a["name"] for a in said["decision"]["assuming"])
        seen.add((said["decision"].get("code"), said["decision"]["backend"]))
        if len(seen) == 2:
            break
    assert seen == {(None, "Backend/play/a"), ("no_backend", "-")}, "what is not there has no name"
    shares = {b["name"]: (b["share"], b["verdict"]) for b in said["backends"]}
    assert shares["-"] == ("25 %", "may not be used") and shares["Backend/play/a"][0] == "75 %"
    said = of_gateway(play.gw, "GET http://localhost/one")
    for _ in range(20):
        said = of_gateway(play.gw, "GET http://localhost/one")
        assert said["decision"]["outcome"] == "sent to a backend"
        assert "a part of the requests" in said["decision"]["assuming"][0]["name"]


# ---- the shipped configuration ----

def test_the_shipped_configuration(gateway, upstream, issuer, authority):
    from test_shipped import Town
    town = Town(upstream, issuer, authority)
    gw = gateway(town.overlay, paths=[SHIPPED], args=town.args)
    eventually(lambda: gw.request("/x", token=town.issuer.token()).status == 200, what="the keys")
    play = Told(gw, [town.iris, town.resnet, town.fallback], town.args, ["iris", "resnet", "istio"])
    iris = json.dumps({"instances": [[5.1, 3.5, 1.4, 0.2]]})
    for target_, body in [("/v1/models/sklearn-iris:predict", iris), ("/v1/models/pytorch-resnet:predict", iris),
                          ("/v2/models/sklearn-iris/infer", iris), ("/v1/models", None), ("/x", None),
                          ("/v1/chat/completions", json.dumps(CHAT)), ("/v1/models/x/../sklearn-iris:predict", iris)]:
        for tenant in ("tenant-a", "tenant-b", "tenant-c", "tenant-z", None):
            token = town.issuer.token(tenant) if tenant else None
            play.check(target_, body=body, token=token)
    said, _ = play.check("/v1/models/sklearn-iris:predict", body=iris, headers=[("authorization", "Token of-nobody-1")])
    lost = verdict_of(said, "httproute/envoy-gateway-system/ai-inference-routes/rule/0")
    assert lost["why"] == "header authorization is to be like (redacted), and is (redacted)"
    assert "of-nobody-1" not in json.dumps(said)
    said, _ = play.check("/v1/models/sklearn-iris:predict", body=iris, token=town.issuer.token("tenant-b"))
    assert said["decision"]["detail"] == "sklearn-iris-belongs-to-tenant-a"
    assert said["policies"][0]["at"].rpartition(":")[0].endswith("security/jwt-security-policy.yaml")
    said, _ = play.check("/v1/chat/completions", body=json.dumps({**CHAT, "model": "sklearn-iris"}),
                         token=town.issuer.token("tenant-a"))
    of_backends = [p for p in said["policies"] if p["name"].startswith("BackendSecurityPolicy/")]
    assert {p["name"].rpartition("/")[2] for p in of_backends} == {"model-backend-security", "api-key-security"}
    assert all("backend-security-policy.yaml:" in p["at"] and p["why"] == "to Backend/envoy-gateway-system/sklearn-iris-backend"
               for p in of_backends)


# ---- text, words, bad input ----

def test_text_says_the_same(told):
    play = told(routes)
    run = tollgate("explain", "-f", play.gw.manifests, "--request", "GET http://localhost/a")
    assert run.returncode == 0 and run.stdout.startswith("request: GET http://localhost/a\n")
    assert "  outcome: sent to a backend\n" in run.stdout
    assert "lost by precedence: an exact path goes before" in run.stdout
    text = play.gw.get_admin("/explain?request=" + urllib.parse.quote("GET http://localhost/none")).body.decode()
    assert "  code: no_backend\n" in text and "  sentence: No valid backend is configured for this route.\n" in text
    run = tollgate("explain", "-f", play.gw.manifests, "--request", "GET http://localhost/a", "-H", "x-one: \x1b[31mred")
    assert "\x1b" not in run.stdout


BAD_WORDS = {
    "no request": ([], "nothing to explain"),
    "no URL": (["--request", "POST"], "must begin with http://"),
    "three words": (["--request", "GET http://h/ HTTP/1.1"], "a method and a URL"),
    "a bad method": (["--request", "G(T http://h/"], "a method and a URL"),
    "no host": (["--request", "GET http:///x"], "no valid host"),
    "a bad port": (["--request", "GET http://h:99999/"], "no valid host"),
    "user and password": (["--request", "GET http://u:p@h/"], "no valid host"),
    "two lines": (["--request", "GET http://h/\r\nx: y"], "one line"),
    "a header without a colon": (["--request", "GET http://h/", "-H", "nocolon"], "'Name: value'"),
    "a header without a name": (["--request", "GET http://h/", "-H", ": x"], "'Name: value'"),
    "a header of two lines": (["--request", "GET http://h/", "-H", "authorization: secret\nb: c"], "line end"),
    "a length of one's own": (["--request", "GET http://h/", "-H", "content-length: 5"], "written by itself"),
    "an empty token": (["--request", "GET http://h/", "--token", ""], "token is empty"),
    "a token with blanks": (["--request", "GET http://h/", "--token", "sec ret"], "blank"),
    "a token that cannot be read": (["--request", "GET http://h/", "--token", "@/nonexistent/token"], "No such file"),
    "a body that cannot be read": (["--request", "GET http://h/", "--body", "@/nonexistent/body"], "No such file"),
    "a body that is a folder": (["--request", "GET http://h/", "--body", "@/"], "directory"),
    "no address": (["--request", "GET http://h/", "--from", "nowhere"], "an IP address"),
    "SARIF": (["--request", "GET http://h/", "--format", "sarif"], "text or json"),
    "too many headers": (["--request", "GET http://h/"] + ["-H", "authorization: secret"] * 129, "more than 128"),
}


@pytest.mark.parametrize("words", BAD_WORDS, ids=str)
def test_what_is_no_request_is_refused(tmp_path, words):
    file = tmp_path / "world.yaml"
    file.write_text(as_text(world(backend("a", 8080), route("r", rule("a")))))
    args, expected = BAD_WORDS[words]
    run = tollgate("explain", "-f", file, *args)
    assert run.returncode == 2, run.stdout
    assert expected in run.stderr and "secret" not in run.stderr and "sec ret" not in run.stderr


def test_a_body_that_is_too_large(tmp_path):
    file, body = tmp_path / "world.yaml", tmp_path / "body"
    file.write_text(as_text(world(backend("a", 8080), route("r", rule("a")))))
    body.write_bytes(b"x" * (1048576 + 1))
    run = tollgate("explain", "-f", file, "--request", "POST http://h/", "--body", f"@{body}")
    assert run.returncode == 2 and "too large" in run.stderr
    body.write_bytes(b"x" * 1048576)
    run = tollgate("explain", "-f", file, "--request", "POST http://h/", "--body", f"@{body}")
    assert run.returncode == 0 and "sent to a backend" in run.stdout
    token = tmp_path / "token"
    token.write_text("a.b.c\n")
    run = tollgate("explain", "-f", file, "--request", "GET http://h/", "--token", f"@{token}")
    assert run.returncode == 0 and "a.b.c" not in run.stdout


def test_manifests_that_cannot_be_read(tmp_path):
    file = tmp_path / "world.yaml"
    file.write_text("a: [")
    run = tollgate("explain", "-f", file, "--request", "GET http://h/")
    assert run.returncode == 1 and "tollgate check" in run.stderr


BAD_ASKING = {
    "/explain": "nothing to explain",
    "/explain?request=POST": "must begin with http://",
    "/explain?request=GET%20http://h/&reqest=x": "unknown parameter",
    "/explain?request=GET%20http://h/&format=sarif": "text or json",
    "/explain?request=GET%20http://h/&from=nowhere": "no IP address",
    "/explain?request=GET%20http://h/&header=nocolon": "'Name: value'",
    "/explain?request=GET%20http://h/&header=Authorization:%20Bearer%20secret": "X-Explain-Header",
    "/explain?request=GET%20http://h/&header=x-api-key:secret": "X-Explain-Header",
    "/explain?request=GET%20http://h/&header=x:eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UifQ.c2ln": "X-Explain-Header",
    "/explain?request=GET%20http://h/%3Faccess_token=secret": "X-Explain-Request",
}


def test_the_admin_port_takes_no_secret_in_a_url(told):
    play = told(routes)
    for target_, words in BAD_ASKING.items():
        reply = play.gw.get_admin(target_)
        assert reply.status == 400 and words in reply.body.decode(), (target_, reply.body)
        assert b"secret" not in reply.body
    assert play.gw.get_admin("/explain?request=GET%20http://h/", method="POST").status == 405
    assert client.request(play.gw.admin_port, "/explain?request=GET%20http://h/", host="evil.test").status == 421
    assert play.gw.get_admin("/explain?request=GET%20http://localhost/&header=x-one:%201").status == 200
    assert "secret" not in play.gw.stderr()


# ---- how long it takes ----

EXPLAIN_S = 0.05  # what the gateway may take, and files beyond their loading


def five_thousand(folder, issuer, up, n_routes, n_rules):
    """A file of rules behind a token, an authorization and limits; of every second route for another host."""
    rules = [{"action": "Allow", "principal": {"jwt": {"provider": "provider", "claims": [{"name": "tenant", "values": ["tenant-a"]}]}}}]
    made = world(
        backend("a", up),
        *[route(f"r{i}", *[rule("a", matches=[path(f"/{i}/{k}")]) for k in range(n_rules)],
                hostnames=["many.test"] if i % 2 else None) for i in range(n_routes)],
        security_policy("p", target("Gateway", "front"), jwt={"providers": [local_provider(issuer)]},
                        authorization={"defaultAction": "Deny", "rules": rules}),
        thing(ENVOY_API, "BackendTrafficPolicy", "t", {"targetRefs": [target("Gateway", "front")], "rateLimit": {
            "type": "Global", "global": {"rules": [{"limit": {"requests": 100, "unit": "Hour"}}]}}}))
    file = folder / "thousands.yaml"
    file.write_text("\n---\n".join(map(json.dumps, made)))
    return file


def middle(values):
    return sorted(values)[len(values) // 2]


@pytest.mark.parametrize("n_routes, n_rules", [(500, 10), (5000, 1)])
def test_five_thousand_rules_are_explained_in_time(gateway, upstream, issuer, tmp_path, n_routes, n_rules):
    keys = issuer()
    gw = gateway(paths=[five_thousand(tmp_path, keys, upstream("a"), n_routes, n_rules)])
    last, token = f"{n_routes - 2}/{n_rules - 1}", keys.token("tenant-a")
    for host, outcome in (("localhost", "sent to a backend"), ("many.test", "refused")):
        spans = []
        for _ in range(7):
            begun = time.monotonic()
            said = of_gateway(gw, f"GET http://{host}/{last}/x", token=token)
            spans.append(time.monotonic() - begun)
        assert said["decision"]["outcome"] == outcome
        assert said["rules_considered"] == 5000 and len(said["rules"]) == 100 and said["rules_not_listed"] == 4900
        print(f"explain over {n_routes} routes of {n_rules}, {host}:", [f"{span * 1000:.1f} ms" for span in spans])
        assert middle(spans) < EXPLAIN_S * FACTOR, spans
    assert said["decision"]["code"] == "route_not_found"


def processor_time(*words):
    """What a command takes of the processor, which others do not lengthen; and its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = tollgate(*words)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, run


@pytest.mark.parametrize("n_routes, n_rules", [(500, 10), (5000, 1)])
def test_files_of_five_thousand_rules_take_little_more_than_their_loading(tmp_path, issuer, n_routes, n_rules):
    keys = issuer()
    file = five_thousand(tmp_path, keys, 8080, n_routes, n_rules)
    asked = ("explain", "-f", file, "--format", "json", "--token", keys.token("tenant-a"), "--request")
    loading, explaining = [], []
    for _ in range(5):
        spent, run = processor_time(*asked, "GET http://localhost:1/")
        assert run.returncode == 1 and "nothing listens for HTTP on port 1" in run.stderr, "loaded, and nothing to explain"
        loading.append(spent)
        spent, run = processor_time(*asked, f"GET http://localhost/{n_routes - 2}/{n_rules - 1}")
        explaining.append(spent)
        said = json.loads(run.stdout)
        assert said["decision"]["rule"] == f"httproute/play/r{n_routes - 2}/rule/{n_rules - 1}" and said["rules_considered"] == 5000
    print(f"{n_routes} routes of {n_rules}: loading {middle(loading) * 1000:.0f} ms, and explaining {middle(explaining) * 1000:.0f} ms")
    assert middle(explaining) - middle(loading) < EXPLAIN_S * FACTOR, (loading, explaining)


# ---- the command, of a running gateway ----

def of_command(gw, request, *args, headers=(), body=None, token=None, form="json"):
    """By `tollgate explain` without files."""
    command = ["explain", "--admin", f"127.0.0.1:{gw.admin_port}", "--format", form, "--request", request, *args]
    for name, value in headers:
        command += ["-H", f"{name}: {value}"]
    for option, value in (("--body", body), ("--token", token)):
        command += [option, value] if value is not None else []
    run = tollgate(*command)
    assert (run.returncode, run.stderr) == (0, ""), run
    return json.loads(run.stdout) if form == "json" else run.stdout


def undated(said):
    """Two explanations are not of the same second."""
    for made in said.get("answer", {}).get("headers", []):
        made["value"] = "" if made["name"] == "date" else made["value"]
    return said


# A target, a method, and what else is asked: words that only a header carries, bodies of any bytes. Not what is drawn by chance.
ASKED = [*[asked for asked in ROUTED if asked[0] != "/w"],
         ("/a", "POST", {"body": '{\n  "model": "x + y %41",\n\t"n": 1 }\r\n'}), ("/a", "POST", {"body": ""}),
         ("/a?x=%2B&y=a+b#z", "GET", {"headers": [("x-one", " b  c "), ("x-two", ""), ("x-one", "é;,\"'")]})]


def test_the_command_says_of_a_running_gateway_what_its_port_says(told):
    play = told(routes)
    for target_, method, more in ASKED:
        more = {"host": "localhost", **more}
        request = f"{method} http://{more.pop('host')}{target_}"
        said = undated(of_command(play.gw, request, **more))
        assert said == undated(of_files(play.gw.paths, request, **more)), request
        if "\n" not in more.get("body", ""):  # which the port's plain header does not take
            assert said == undated(of_gateway(play.gw, request, **more)), request
    assert play.n_requests() == 0
    text = tollgate("explain", "-f", play.gw.manifests, "--request", "GET http://localhost/c", "-H", "x-one: 2").stdout
    assert of_command(play.gw, "GET http://localhost/c", headers=[("x-one", "2")], form="text") == text


def test_the_command_takes_credentials_and_content_along(told, issuer):
    keys = issuer()
    play = told(lambda ups: guarded(keys, ups))
    token = keys.token("tenant-b")
    said = undated(of_command(play.gw, "GET http://localhost/g/x", token=token))
    assert said == undated(of_gateway(play.gw, "GET http://localhost/g/x", token=token))
    assert said["decision"]["code"] == "forbidden" and said["decision"]["tenant"] == "tenant-b"
    for origin in ("203.0.113.9", "2001:db8::9"):
        said = of_command(play.gw, "GET http://localhost/g/x", "--from", origin, token=keys.token())
        assert said["client"] == origin == of_gateway(play.gw, "GET http://localhost/", origin=origin)["client"]
    assert token not in play.gw.stderr() + (play.gw.folder / "stdout").read_text()


def test_the_model_of_a_body_of_many_lines(told):
    play = told(lambda ups: world(
        *[backend(name, up) for name, up in ups.items()], *[ai_backend(name) for name in ups],
        ai_route("r", ai_rule("a", matches=[model("one")]), ai_rule("b", matches=[model("two")]))))
    for name, winner in (("one", "a"), ("two", "b")):
        body = json.dumps({"messages": [{"role": "user", "content": "x\n+%20"}], "model": name}, indent=2)
        said = of_command(play.gw, "POST http://localhost/v1/chat/completions", headers=[JSON_TYPE], body=body)
        assert (said["decision"]["model"], said["decision"]["backend"].rpartition("/")[2]) == (name, winner), said["decision"]


def test_the_command_knows_the_live_counts(told):
    play = told(limited)
    headers = [("x-user", "u1")]
    for left in (3, 2, 1):
        assert of_command(play.gw, "GET http://localhost/l", headers=headers)["limits"][0]["left"] == left
        assert of_files(play.gw.paths, "GET http://localhost/l", headers=headers)["limits"][0]["left"] == 3
        play.gw.request("/l", headers=headers)
    said = of_command(play.gw, "GET http://localhost/l", headers=headers)
    assert said["decision"]["code"] == "rate_limited" and said["decision"]["retry_after_s"] > 0


def refused(gw, *args):
    run = tollgate("explain", "--admin", f"127.0.0.1:{gw.admin_port}", *args)
    assert run.stdout == ""
    return run.returncode, run.stderr


def test_what_a_running_gateway_cannot_be_asked(told):
    play = told(routes)
    request = ("--request", "POST http://localhost/a")
    code, why = refused(play.gw, "--request", "GET http://localhost:81/")
    assert code == 1 and "refused (404): nothing listens for HTTP on port 81" in why
    code, why = refused(play.gw, *request, "-H", "x: \x1b[31m")
    assert code == 2 and "control character" in why and "\x1b" not in why
    code, why = refused(play.gw, *request, "--body", "x" * 65536)
    assert code == 2 and "more than a running gateway can be asked about (65536)" in why
    assert of_command(play.gw, request[1], body="x" * 64000)["decision"]["outcome"] == "sent to a backend"
    code, why = refused(play.gw, *request, "--port-map", "80=81")
    assert code == 2 and "are for files" in why
    code, why = refused(play.gw, *request, "--admin", "off")
    assert code == 1 and "nobody to ask" in why
    play.gw.stop()
    code, why = refused(play.gw, *request)
    assert code == 1 and "no gateway answers at 127.0.0.1:" in why and "-f PATH reads files" in why


STRANGE = {
    "another page": (ok(b"<html>"), 1, "tells no explanation"),
    "another document": (ok(b'{"requests":1}'), 1, "tells no explanation"),
    "nothing": (ok(b""), 1, "tells no explanation"),
    "a refusal": (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nno\x1b[2J!\x07\n", 1, "refused (403): no?[2J!?"),
    "a question that is none": (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nno\n", 2, "refused (400): no"),
    "no HTTP": (b"SSH-2.0-OpenSSH\r\n", 1, "is no gateway's admin port"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_stranger_s_explanation(name):
    answer, code, why = STRANGE[name]
    stranger = Stranger(answer)
    try:
        made = refused(stranger, "--request", "GET http://h/")
    finally:
        stranger.close()
    assert made[0] == code and why in made[1] and "\x1b" not in made[1]


@pytest.mark.parametrize("form, head", [("text", b"request: "), ("json", b'{"request":"')])
def test_a_stranger_s_explanation_moves_no_cursor(form, head):
    stranger = Stranger(ok(head + b"a\x1b[2J\xc2\x9b\n  b\r\x07c"))
    try:
        run = tollgate("explain", "--admin", f"127.0.0.1:{stranger.port}", "--request", "GET http://h/x", "--format", form,
                       "--token", "t.o.k")
    finally:
        stranger.close()
    assert run.returncode == 0 and run.stdout == head.decode() + "a?[2J?\n  b??c\n"
    [asked] = stranger.requests
    assert asked.startswith(b"GET /explain?format=%b&from=127.0.0.1 HTTP/1.1\r\n" % form.encode())
    assert b"\r\nx-explain-request: GET http://h/x\r\nx-explain-header: authorization: Bearer t.o.k\r\n" in asked
