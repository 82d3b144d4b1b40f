"""A refusal has one code, one sentence and one detail wherever it is told: in the client's answer, on the live page, and in what
`explain` says of the request, of a running gateway and of files. Every refusal that an explanation can come to is met here; why it
cannot come to the others stands in NOT_EXPLAINED."""
import json
import re
import time
import urllib.parse

import pytest

from play.deadline import eventually
from play.gateway import ROOT, tollgate
from play.live import Live, is_shown
from play.manifests import (ENVOY_API, ai_backend, ai_route, ai_rule, backend, client_policy, header, http_listener,
                            https_listener, local_provider, model, path, provider, route, rule, secret, security_policy, target, thing,
                            tls_secret, world)
from play.passwords import basic, htpasswd
from play.ports import free_port
from test_grpc_models import INFER, SERVICE, field, framed, infer
from test_layers import guard

# By their names in src/gateway/refusal.h.
NOT_EXPLAINED = {
    # What it writes by itself, so that nothing can be wrong with it.
    "BAD_REQUEST": "a head that ends midway", "BAD_REQUEST_LINE": "its method and version are valid",
    "BAD_VERSION": "its version is", "BAD_FRAMING": "its length is that of its content",
    "BAD_CHUNK": "its content has a length", "URI_TOO_LONG": "what is longer is no question",
    # What becomes of the moment, the connection or the process, not of the request.
    "REQUEST_TIMEOUT": "it arrives at once", "TOKEN_FAILURES": "what an address did before is not looked at",
    "CREDENTIAL_FAILURES": "what an address did before is not looked at", "HASH_QUEUE_FULL": "nobody else is before it",
    "DRAINING": "that the process ends is not of the request", "OVERLOADED": "how much else goes on is not looked at",
    "INTERNAL": "the environment fails",
    # What others would say, who are not asked.
    "EXT_AUTH_DENIED": "authorizers agree", "EXT_AUTH_FAILED": "authorizers agree",
    "UPSTREAM_CONNECT": "nobody connects", "UPSTREAM_CONNECT_TIMEOUT": "nobody connects",
    "UPSTREAM_OVERFLOW": "its breaker is told, not asked for a place", "UPSTREAM_ROOM": "nobody connects",
    "UPSTREAM_RESET": "no backend answers", "UPSTREAM_UPGRADE": "no backend's protocol is heard",
    "UPSTREAM_BAD_ANSWER": "no backend answers", "UPSTREAM_TIMEOUT": "no backend answers", "STREAM_DURATION": "no backend answers",
}
MET = set()  # codes

CALL = [("content-type", "application/grpc")]
FORM = [("content-type", "multipart/form-data; boundary=b")]
JSON_TYPE = [("content-type", "application/json")]


def traffic(name, **spec):
    """A BackendTrafficPolicy of the route of that name."""
    return thing(ENVOY_API, "BackendTrafficPolicy", f"of-{name}", {"targetRefs": [target("HTTPRoute", name)], **spec})


class Scene:
    """A gateway and who asks it."""

    def __init__(self, gw, folder, host="a.test"):
        self.gw, self.folder, self.host = gw, folder, host

    def ask_gateway(self, request, headers, body):
        lines = [("X-Explain-Request", request.encode().decode("latin-1")), *[("X-Explain-Header", f"{n}: {v}") for n, v in headers]]
        if body is not None:
            lines.append(("X-Explain-Body-Encoded", urllib.parse.quote(body, safe="")))
        reply = self.gw.get_admin("/explain?format=json", headers=lines)
        assert reply.status == 200, reply.body
        return reply.json["decision"]

    def ask_files(self, request, headers, body):
        args = ["--request", request]
        for name, value in headers:
            args += ["-H", f"{name}: {value}"]
        if body is not None:
            (self.folder / "body").write_bytes(body)
            args += ["--body", f"@{self.folder}/body"]
        run = tollgate("explain", "--format", "json", *args, *[word for p in self.gw.paths for word in ("-f", p)])
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout)["decision"]

    def send(self, at, method, headers, body, host, port, **more):
        """(status, code, sentence), of calls of gRPC only the sentence."""
        reply = self.gw.request(at, method, headers=headers, body=body, host=host, port=port, **more)
        return self.words(reply)

    @staticmethod
    def words(reply):
        if reply.get("grpc-message"):
            return None, None, urllib.parse.unquote(reply.get("grpc-message"))
        error = reply.json["error"]
        return reply.status, reply.code, error if isinstance(error, str) else error["message"]

    def page(self, code):
        """The last refusal, as the live page has it."""
        with Live(self.gw) as live:
            return live.wait(lambda p: (row := next(iter(p["refusals"]["refusals"]), None)) and row["code"] == code and row, 5, code)

    def refused(self, code, at="/ok", method=None, *, headers=(), body=None, token=None, host=None, port=80, where="both",
                raw=None, asked=None, detail=None, **more):
        """raw: the bytes of the request, where no client sends such ones. asked: headers of the question, where they differ from
        those that are sent. where: whether the running gateway or the files alone can tell."""
        MET.add(code)
        host = host or self.host
        method = method or ("GET" if body is None else "POST")
        if token:
            headers = [*headers, ("authorization", f"Bearer {token}")]
        url = f"{'https' if port == 443 else 'http'}://{more.get('server_name') or host}:{port}{at}"
        told = []
        for asks, place in ((self.ask_gateway, "live"), (self.ask_files, "files")):
            if where in ("both", place):
                told.append(asks(f"{method} {url}", headers if asked is None else asked, body))
        if raw:
            with self.gw.raw(raw) as connection:
                status, got, sentence = self.words(connection.reply())
        else:
            status, got, sentence = self.send(at, method, headers, body, host, port, **more)
        assert got in (code, None), got
        row = self.page(code)
        for decision in told:
            said = json.dumps([decision, row])
            assert (decision["outcome"], decision["code"], decision["sentence"]) == ("refused", code, sentence), said
            assert row["status"] == decision["status"] and status in (row["status"], None), said
            assert is_shown(row["sentence"], sentence) and is_shown(row["detail"], decision.get("detail", "")), said
            assert detail is None or decision["detail"] == detail, said


@pytest.fixture
def scene(gateway, tmp_path):
    return lambda manifests, **more: Scene(gateway(manifests), tmp_path, **more)


def heads_and_routes(scene, upstream, authority):
    unread = {"type": "ExtensionRef", "extensionRef": {"group": "gateway.envoyproxy.io", "kind": "HTTPRouteFilter", "name": "odd"}}
    dead, up = free_port(), upstream("a")
    pairs = {name: authority.leaf(name) for name in ("one.test", "two.test")}
    it = scene(world(
        backend("a", up), backend("dead", dead),
        route("r", rule("a", matches=[path("/ok")]), rule(matches=[path("/none")]),
              rule("a", matches=[{**path("/evil"), "headers": [header("x-evil", "(a|aa|a?a)+[xy]", "RegularExpression")]}]),
              rule("a", matches=[path("/rewritten")], filters=[unread])),
        route("bad", rule("a", matches=[path("/bad")], filters=[{"type": "Unheard"}])),
        route("guarded", rule("a", matches=[path("/guarded")])), backend("kept", up), route("kept", rule("kept", matches=[path("/kept")])),
        guard("g", "kept", basicAuth={"users": {"name": "missing"}}),
        backend("unsafe", up, tls={"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "missing"}]}),
        route("unsafe", rule("unsafe", matches=[path("/unsafe")])),
        security_policy("q", target("HTTPRoute", "guarded"), basicAuth={"users": {"name": "missing"}}),
        route("upgraded", rule("a", matches=[path("/up")])), traffic("upgraded", httpUpgrade=[{"type": "spdy/3.1"}]),
        route("limited", rule("a", matches=[path("/limited")])),
        traffic("limited", rateLimit={"type": "Global", "global": {"rules": [{"limit": {"requests": 1, "unit": "Year"}}]}}),
        route("held", rule("a", matches=[path("/held")])), traffic("held", requestBuffer={"limit": "1Ki"}),
        route("fault", rule("a", matches=[path("/fault")])), traffic("fault", faultInjection={"abort": {"httpStatus": 503, "percentage": 100}}),
        route("ill", rule("dead", matches=[path("/ill")])),
        traffic("ill", healthCheck={"panicThreshold": 0, "active": {"type": "TCP", "tcp": {}, "interval": "0.1s", "timeout": "1s",
                                                                    "unhealthyThreshold": 1, "healthyThreshold": 1}}),
        thing(ENVOY_API, "HTTPRouteFilter", "odd", {"urlRewrite": {"path": {
            "type": "ReplaceRegexMatch", "replaceRegexMatch": {"pattern": "^/(.*)$", "substitution": "\\1"}}}}),
        client_policy("edge", section="edge", clientIPDetection={"customHeader": {"name": "x-client", "failClosed": True}}),
        tls_secret("cert-1", pairs["one.test"]), tls_secret("cert-2", pairs["two.test"]),
        listeners=[http_listener(hostname="*.test"), http_listener("edge", 8080),
                   https_listener("one", hostname="one.test", secrets=["cert-1"]),
                   https_listener("two", hostname="two.test", secrets=["cert-2"], options={"tls.min_protocol_version": "TLSv1.3"})]))
    it.refused("bad_header", where="files", headers=[("x-odd", "a\x01b")])
    it.refused("underscore_in_header_name", headers=[("x_bad", "1")])
    it.refused("bad_target", "/é", raw="GET /é HTTP/1.1\r\nHost: a.test\r\n\r\n".encode())
    it.refused("bad_path", "/%zz")
    it.refused("bad_host", asked=[("Host", "a.test"), ("Host", "b.test")], headers=[("Host", "b.test")])
    it.refused("bad_connection_header", headers=[("connection", "authorization")])
    it.refused("method_not_allowed", method="CONNECT")
    it.refused("expectation_failed", headers=[("expect", "tea")])
    it.refused("head_too_large", where="files", headers=[("x-one", "1" * 40000), ("x-two", "2" * 40000)])
    it.refused("too_many_headers", where="files", headers=[(f"x-{i}", "1") for i in range(128)])
    it.refused("misdirected_request", port=443, host="two.test", server_name="one.test", tls=authority.client(),
               asked=[("host", "two.test")])
    it.refused("host_not_found", host="other.org")
    it.refused("route_not_found", "/nowhere")
    it.refused("client_address_missing", port=8080)
    it.refused("bad_grpc_timeout", headers=[*CALL, ("grpc-timeout", "soon")], body=b"")
    it.refused("upgrade_not_allowed", "/up", headers=[
        ("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="), ("sec-websocket-version", "13")])
    it.refused("match_limit", "/evil", headers=[("x-evil", "a" * 200)])
    it.refused("rewrite_failed", "/rewritten")
    it.refused("no_backend", "/none")
    it.refused("route_misconfigured", "/bad", detail="a filter has an error")
    it.refused("security_not_enforced", "/guarded", detail="the policy has an error")
    it.refused("security_not_enforced", "/kept", detail="a check in front of one of its backends has an error")
    it.refused("security_not_enforced", "/unsafe", detail="a security policy of the backend is not enforced")
    it.refused("fault_injected", "/fault")
    it.refused("request_too_large", "/held", body=b"x" * 1025)
    assert it.gw.request("/limited", host="a.test").status == 200
    it.refused("rate_limited", "/limited", where="live", detail="BackendTrafficPolicy/play/of-limited global/0")
    eventually(lambda: it.ask_gateway("GET http://a.test/ill", [], None).get("code"), what="a probe that fails")
    it.refused("no_healthy_upstream", "/ill", where="live")


def callers(scene, upstream, issuer):
    keys, strange, away = issuer(), issuer("elsewhere"), issuer("away")
    away.mode = "error"
    rules = {"defaultAction": "Deny", "rules": [{"name": "no-b", "action": "Deny", "principal": {"jwt": {
        "provider": "provider", "claims": [{"name": "tenant", "values": ["tenant-b"]}]}}}, {"action": "Allow", "principal": {
            "jwt": {"provider": "provider", "claims": [{"name": "tenant", "values": ["tenant-a"]}]}}}]}
    it = scene(world(
        backend("a", upstream("a")), backend("keys", away.port), backend("kept", upstream("kept")),
        route("r", rule("a", matches=[path("/ok")])), route("away", rule("a", matches=[path("/away")])),
        route("keyed", rule("a", matches=[path("/keyed")])), route("kept", rule("kept", matches=[path("/kept")])),
        security_policy("p", target("HTTPRoute", "r"), authorization=rules, jwt={"providers": [
            local_provider(keys, audiences=["tenant-a", "tenant-b", "tenant-c"])]}),
        security_policy("q", target("HTTPRoute", "away"), jwt={"providers": [provider(away)]}),
        security_policy("k", target("HTTPRoute", "keyed"), apiKeyAuth={
            "credentialRefs": [{"name": "api-keys"}], "extractFrom": [{"headers": ["x-api-key"]}]}),
        secret("api-keys", alice="key-of-alice-1234"), htpasswd(scheme="sha1", tenant_a="secret", tenant_b="other"),
        security_policy("b", target("HTTPRoute", "kept"), jwt={"providers": [local_provider(keys)]}),
        guard("g", "kept", basicAuth={"users": {"name": "users"}, "matchTenant": True})))
    it.refused("token_missing")
    it.refused("token_malformed", token="garbage")
    it.refused("token_too_large", token="a" * 20000)
    it.refused("token_bad_algorithm", token=keys.confused())
    it.refused("token_embedded_key", token=keys.token(header={"jwk": {}}))
    it.refused("token_unknown_key", token=keys.token(header={"kid": "unknown"}))
    it.refused("token_bad_signature", token=keys.token()[:-8] + "AAAAAAAA")
    it.refused("token_expired", token=keys.token(exp=int(time.time()) - 600))
    it.refused("token_not_yet_valid", token=keys.token(nbf=int(time.time()) + 600))
    it.refused("token_wrong_issuer", token=strange.token(key=keys.keys[0]))
    it.refused("token_wrong_audience", token=keys.token(aud="others"))
    it.refused("forbidden", token=keys.token("tenant-b"), detail="no-b")
    it.refused("forbidden", token=keys.token("tenant-c"), detail="default")
    eventually(lambda: away.n_fetches > 0, what="a fetch in vain")
    it.refused("keys_unavailable", "/away", token=away.token(), where="live")
    it.refused("api_key_missing", "/keyed", detail="SecurityPolicy/play/k")
    it.refused("api_key_invalid", "/keyed", headers=[("x-api-key", "key-of-nobody-99")])
    good = keys.token("tenant-a")
    it.refused("basic_missing", "/kept", token=good, detail="BackendSecurityPolicy/play/g")
    it.refused("basic_invalid", "/kept", token=good, headers=[("x-backend-authorization", basic("tenant-a", "wrong"))])
    it.refused("basic_tenant_mismatch", "/kept", token=good, headers=[("x-backend-authorization", basic("tenant-b", "other"))])


def bodies(scene, upstream):
    chat = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    it = scene(world(
        backend("a", upstream("a")), ai_backend("a"), ai_backend("other", "a", schema="Anthropic"),
        ai_backend("unspoken", "a", schema="AWSBedrock"),
        ai_route("ai", ai_rule("a", matches=[model("m")]), ai_rule("other", matches=[model("n")]),
                 ai_rule("unspoken", matches=[model("o")]))))

    def refused(code, body, at="/v1/chat/completions", headers=tuple(JSON_TYPE), **more):
        it.refused(code, at, body=body if isinstance(body, bytes) else json.dumps(body).encode(), headers=list(headers), **more)
    refused("model_not_found", {**chat, "model": "none"})
    refused("invalid_json", b"{")
    refused("invalid_type", {**chat, "model": 7})
    refused("invalid_value", {**chat, "max_tokens": -1})
    refused("missing_required_parameter", {"messages": []})
    refused("duplicate_parameter", b'{"model":"m","model":"n","messages":[]}')
    refused("invalid_parameter_name", b'{"mod\\u0065l":"m","messages":[]}')
    refused("invalid_form", b"--b\r\nno end", "/v1/audio/transcriptions", FORM)
    refused("unsupported_parameter", {**chat, "model": "n", "n": 2})
    refused("unsupported_content_encoding", chat, headers=[*JSON_TYPE, ("content-encoding", "gzip")])
    refused("unsupported_endpoint", {**chat, "model": "o"})


def calls(scene, upstream):
    rules = {"defaultAction": "Allow", "rules": [{"action": "Deny", "principal": {"headers": [
        {"name": "x-ai-eg-model", "values": ["m-secret"]}]}}]}
    it = scene(world(backend("a", upstream("a"), appProtocols=["gateway.envoyproxy.io/h2c"]), route("r", rule("a")),
                     security_policy("p", target("HTTPRoute", "r"), authorization=rules)))
    it.refused("model_not_read", SERVICE + "ModelStreamInfer", headers=CALL, body=framed(infer("m-open")))
    it.refused("bad_grpc_message", INFER, headers=CALL, body=framed(infer("m-open") + field(1, b"m-secret")))
    it.refused("forbidden", INFER, headers=CALL, body=framed(infer("m-secret")), detail="default")


def test_every_refusal_that_can_be_explained_is_told_in_the_same_words(scene, upstream, issuer, authority):
    heads_and_routes(scene, upstream, authority)
    callers(scene, upstream, issuer)
    bodies(scene, upstream)
    calls(scene, upstream)
    rows = re.findall(r'X\((\w+),\s*\d+,\s*"(\w+)"', (ROOT / "src/gateway/refusal.h").read_text())
    assert len(rows) > 60
    for name, code in rows:
        assert (code in MET) != (name in NOT_EXPLAINED), f"{name}: met, or why not"
