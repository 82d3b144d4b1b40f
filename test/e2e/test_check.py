"""`tollgate check`: what is wrong, where exactly, and what was probably meant."""
import json
import re

import pytest

from play.gateway import SHIPPED, as_text, tollgate
from play.manifests import (backend, client_policy, http_listener, https_listener, path, route, rule,
                            security_policy, target, tls_secret, world, thing)
from play.certs import Authority

GOOD = world(backend("a", 8080), route("r", rule("a")))


def check(folder, manifests, *args):
    file = folder / "world.yaml"
    file.write_text(as_text(manifests))
    return tollgate("check", "-f", file, *args)


def test_clean_is_0(tmp_path):
    run = check(tmp_path, GOOD)
    assert run.returncode == 0, run.stdout
    assert run.stdout.splitlines()[-1].startswith("0 errors, 0 warnings")


def altered(change):
    manifests = json.loads(json.dumps(GOOD))
    change(manifests)
    return manifests


CASES = {
    "unknown field": (lambda m: m[3]["spec"].update(ruels=[]), r"unknown.*ruels.*rules"),
    "wrong type": (lambda m: m[1]["spec"]["listeners"][0].update(port="eighty"), r"port.*whole number"),
    "out of range": (lambda m: m[1]["spec"]["listeners"][0].update(port=70000), r"port"),
    "wrong word": (lambda m: m[3]["spec"]["rules"][0].update(matches=[path("/", "Prefix")]), r"PathPrefix"),
    "missing backend": (lambda m: m[3]["spec"]["rules"][0]["backendRefs"][0].update(name="aa"), r"aa"),
    "missing field": (lambda m: m[1]["spec"].pop("gatewayClassName"), r"gatewayClassName"),
    "unknown kind of backend": (lambda m: m[3]["spec"]["rules"][0]["backendRefs"][0].update(kind="Bucket"), r"Bucket"),
    "bad pattern": (lambda m: m[3]["spec"]["rules"][0].update(matches=[path("/(", "RegularExpression")]), r"not a valid pattern"),
    "bad hostname": (lambda m: m[3]["spec"].update(hostnames=["a..b"]), r"hostnames"),
    "same listener twice": (lambda m: m[1]["spec"]["listeners"].append(http_listener()), r"listener"),
    "same object twice": (lambda m: m.append(route("r", rule("a", matches=[path("/x")]))), r"HTTPRoute"),
    "grant missing": (lambda m: m[3]["spec"]["rules"][0].update(backendRefs=[
        {"name": "far", "namespace": "elsewhere", "port": 80}]), r"ReferenceGrant"),
}


def key_set(**settings):
    return thing("gateway.envoyproxy.io/v1alpha1", "SecurityPolicy", "p", {
        "targetRefs": [target("HTTPRoute", "r")], "jwt": {"providers": [{"name": "p", "remoteJWKS": {
            "uri": "http://keys.test/keys", **settings}}]}})


def traffic(**settings):
    return thing("gateway.envoyproxy.io/v1alpha1", "BackendTrafficPolicy", "t", {"targetRefs": [target("HTTPRoute", "r")], **settings})


def tls_of_service(name, port):
    return thing("gateway.networking.k8s.io/v1", "BackendTLSPolicy", "tls", {
        "targetRefs": [{"group": "", "kind": "Service", "name": name, **({"sectionName": port} if port else {})}],
        "validation": {"hostname": "a.test", "wellKnownCACertificates": "System"}})


NOT_HEEDED = {
    "the second backend of a key set": (lambda m: m.append(key_set(backendRefs=[
        {"name": "a", "group": "gateway.envoyproxy.io", "kind": "Backend"}] * 2)), r"backendRefs: .*only the first"),
    "priorities of a key set": (lambda m: m.append(key_set(backendSettings={
        "retry": {"numAttemptsPerPriority": 2}})), r"numAttemptsPerPriority"),
    "idle times of a key set": (lambda m: m.append(key_set(backendSettings={
        "timeout": {"http": {"streamIdleTimeout": "1s"}}})), r"only requestTimeout"),
    "a Service of a protocol that sounds like HTTP/2": (lambda m: m.append(thing("v1", "Service", "s", {
        "ports": [{"port": 80, "appProtocol": "grpc-web"}]})), r"appProtocol: not known"),
    "a Service of another protocol": (lambda m: m.append(thing("v1", "Service", "s", {
        "ports": [{"port": 80, "appProtocol": "example.com/foo"}]})), r"appProtocol: not known"),
    "a Service of HTTPS without TLS": (lambda m: m.append(thing("v1", "Service", "s", {
        "ports": [{"port": 443, "appProtocol": "https"}]})), r"s: spec\.ports\[0\]\.appProtocol: .*in clear text"),
    "a Service of WebSocket over TLS without TLS": (lambda m: m.append(thing("v1", "Service", "s", {
        "ports": [{"port": 443, "appProtocol": "kubernetes.io/wss"}]})), r"in clear text"),
    "a Service of HTTPS with TLS at another port": (lambda m: m.extend([thing("v1", "Service", "s", {"ports": [
        {"name": "a", "port": 80, "appProtocol": "https"}, {"name": "b", "port": 81}]}), tls_of_service("s", "b")]), r"in clear text"),
    "a Backend of WebSocket over TLS without TLS": (lambda m: m[2]["spec"].update(
        appProtocols=["gateway.envoyproxy.io/wss"]), r"a: spec\.appProtocols: .*in clear text"),
    "jitter of PINGs": (lambda m: m.append(traffic(http2={"connectionKeepalive": {"interval": "1s", "intervalJitter": 10}})),
                        r": spec\.http2\.connectionKeepalive\.intervalJitter: .*not enforced yet"),
    "windows beyond the bound": (lambda m: m.append(traffic(http2={"initialStreamWindowSize": "1Gi"})), r": spec\.http2\.initialStreamWindowSize: more than"),
    "windows of a key set beyond the bound": (
        lambda m: m.append(key_set(backendSettings={"http2": {"initialStreamWindowSize": "1Gi"}})),
        r"backendSettings\.http2\.initialStreamWindowSize: more than"),
    "events of an access log": (lambda m: m.append(thing("gateway.envoyproxy.io/v1alpha1", "EnvoyProxy", "e", {
        "telemetry": {"accessLog": {"settings": [{"type": "Upstream", "sinks": [
            {"type": "File", "file": {"path": "/dev/stdout"}}]}]}}})), r"settings\[0\]\.type: not enforced yet"),
    "names of a Backend's addresses": (lambda m: m[2]["spec"].update(
        tls={"insecureSkipVerify": True, "autoSNIFromEndpointHostname": True}, endpoints=[
            {"hostname": f"{n}.test", "ip": {"address": "127.0.0.1", "port": n}} for n in (1, 2)]),
        r"autoSNIFromEndpointHostname: not enforced where"),
    "a protocol of a Backend": (lambda m: m[2]["spec"].update(tls={"insecureSkipVerify": True, "alpnProtocols": ["h2", "http/1.0"]}),
                                r"alpnProtocols: http/1.0 is not spoken"),
    "names by URI": (lambda m: m.append(thing("gateway.networking.k8s.io/v1", "BackendTLSPolicy", "t", {
        "targetRefs": [{"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "a"}],
        "validation": {"hostname": "a.test", "wellKnownCACertificates": "System",
                       "subjectAltNames": [{"type": "URI", "uri": "spiffe://a"}]}})), r"names by URI are not enforced"),
}


@pytest.mark.parametrize("name", NOT_HEEDED)
def test_what_is_not_heeded_is_named(tmp_path, name):
    change, pattern = NOT_HEEDED[name]
    run = check(tmp_path, altered(change), "--fail-on", "warning")
    assert run.returncode == 1 and run.stdout.splitlines()[-1].startswith("0 errors"), run.stdout
    assert [line for line in run.stdout.splitlines() if re.search(pattern, line)], run.stdout


def excluding(*rules, default="Allow"):
    """A policy whose rules are (action, path, whether every path but that one)."""
    return security_policy("p", target("HTTPRoute", "r"), authorization={"defaultAction": default, "rules": [
        {"action": action, "principal": {"clientCIDRs": ["::/0"]}, **({"operation": {"path": {
            "type": "PathPrefix", "value": value, "invert": inverted}}} if value else {"operation": {"methods": ["GET"]}})}
        for action, value, inverted in rules]})


@pytest.mark.parametrize("policy, noted", [
    (excluding(("Deny", "/a", False)), [0]),
    (excluding(("Deny", None, False), ("Deny", "/a", False)), [1]),
    (excluding(("Deny", "/a", False), ("Deny", "/b", False), ("Allow", None, False), default="Deny"), [0, 1]),
    (excluding(("Allow", "/a", True), default="Deny"), [0]),
    (excluding(("Allow", "/a", False), ("Deny", "/b", False), default="Deny"), []),
    (excluding(("Deny", "/a", True)), []),
])
def test_rules_that_exclude_paths_are_noted(tmp_path, policy, noted):
    """A backend may know more spellings of a path than stand in the rule."""
    run = check(tmp_path, altered(lambda m: m.append(policy)))
    assert run.returncode == 0, run.stdout
    assert [int(i) for i in re.findall(r"note: .*spec\.authorization\.rules\[(\d)\]\.operation\.path: excludes", run.stdout)] == noted, run.stdout


@pytest.mark.parametrize("change", [
    lambda m: m.append(thing("v1", "Service", "s", {"ports": [
        {"name": "a", "port": 80, "appProtocol": "kubernetes.io/ws"}, {"name": "b", "port": 81, "appProtocol": "http"}]})),
    lambda m: m.extend([thing("v1", "Service", "s", {"ports": [{"name": "a", "port": 80, "appProtocol": "https"}]}),
                        tls_of_service("s", "a")]),
    lambda m: m.extend([thing("v1", "Service", "s", {"ports": [{"name": "a", "port": 80, "appProtocol": "kubernetes.io/wss"}]}),
                        tls_of_service("s", None)]),
    lambda m: m[2]["spec"].update(appProtocols=["gateway.envoyproxy.io/ws"]),
    lambda m: m[2]["spec"].update(appProtocols=["gateway.envoyproxy.io/wss"], tls={"insecureSkipVerify": True}),
    lambda m: m[2]["spec"].update(tls={"insecureSkipVerify": True, "minVersion": "1.2", "maxVersion": "1.3", "ecdhCurves": ["X25519"],
                                       "signatureAlgorithms": ["ECDSA+SHA256"], "autoSNIFromEndpointHostname": True}),
    lambda m: m.append(thing("v1", "Service", "s", {"ports": [
        {"name": "a", "port": 80, "appProtocol": "kubernetes.io/h2c"}, {"name": "b", "port": 81, "appProtocol": "grpc"}]})),
    lambda m: m[2]["spec"].update(appProtocols=["gateway.envoyproxy.io/h2c"]),
    lambda m: m.append(traffic(http2={"initialStreamWindowSize": "64Ki", "initialConnectionWindowSize": "1Mi", "maxConcurrentStreams": 10,
                                      "connectionKeepalive": {"interval": "2s", "timeout": "1s", "idleInterval": "1s"}})),
    lambda m: m.append(key_set(backendSettings={"retry": {"numRetries": 3, "retryOn": {"triggers": ["5xx", "reset"]}},
                                               "timeout": {"tcp": {"connectTimeout": "1s"}}})),
])
def test_what_is_heeded_is_not_warned_of(tmp_path, change):
    run = check(tmp_path, altered(change), "--fail-on", "warning")
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("name", CASES)
def test_an_error_is_named_with_its_place(tmp_path, name):
    change, pattern = CASES[name]
    run = check(tmp_path, altered(change))
    assert run.returncode == 1, run.stdout
    lines = [line for line in run.stdout.splitlines() if re.search(pattern, line)]
    assert lines, run.stdout
    assert re.match(r".*world\.yaml:\d+:\d+: ", lines[0]), lines[0]


def test_a_duplicate_key_is_an_error(tmp_path):
    run = check(tmp_path, "kind: Gateway\nkind: Gateway\n")
    assert run.returncode == 1 and "world.yaml:2:1" in run.stdout


def test_a_certificate_and_key_that_do_not_match(tmp_path):
    authority = Authority()
    pair = (authority.leaf("a.test")[0], authority.leaf("a.test")[1])
    run = check(tmp_path, [*world(backend("a", 1), route("r", rule("a")), listeners=[https_listener()]),
                           tls_secret("cert", pair)])
    assert "cert" in run.stdout and "tls.key" in run.stdout and run.returncode == 1 and "PRIVATE" not in run.stdout


# ---- costs of an AIGatewayRoute: an expression is refused at its own column ----

def cost_route(*costs, n_listeners=1):
    """An AIGatewayRoute whose first cost stands on line 1 of its file."""
    text = "spec: {llmRequestCosts: [" + ", ".join(costs) + """],
  parentRefs: [{name: front, kind: Gateway, group: gateway.networking.k8s.io}],
  rules: [{backendRefs: [{name: ai}]}]}
apiVersion: aigateway.envoyproxy.io/v1alpha1
kind: AIGatewayRoute
metadata: {name: costly, namespace: play}
"""
    listeners = [http_listener(f"l{n}", 80 + n) for n in range(n_listeners)]
    service = thing("aigateway.envoyproxy.io/v1alpha1", "AIServiceBackend", "ai", {
        "schema": {"name": "OpenAI"},
        "backendRef": {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "a"}})
    return [text, *world(backend("a", 8080), service, listeners=listeners)]


COST = "{metadataKey: k, type: CEL, cel: "
COSTS = {
    "mixed types": (COST + "input_tokens * 2}", "input_tokens ", r"\* cannot take uint and int"),
    "unknown variable": (COST + "'1u + tokens'}", "'1u + ", "there is no variable tokens"),
    "escapes before it": (COST + r'"model == \"é\" ? 1 : x"}', r'"model == \"é\" ? 1 : ', "no variable x"),
    "quotes before it": (COST + "'model == ''m'' ? 1 : x'}", "'model == ''m'' ? 1 : ", "no variable x"),
    "syntax": (COST + "(1 + 2u}", "(1 ", r"\+ cannot take int and uint"),
    "result": (COST + "input_tokens > 3u}", "", "a cost is an int or uint, but this is a bool"),
    "empty": (COST + '""}', '"', "expected a value"),
    "key given twice": ("{metadataKey: k, type: InputToken}, {metadataKey: k, type: OutputToken}", None,
                        "two costs have the key k"),
}


@pytest.mark.parametrize("name", COSTS)
def test_a_cost_that_cannot_be_computed_is_named_with_its_column(tmp_path, name):
    cost, before, pattern = COSTS[name]
    run = check(tmp_path, cost_route(cost, n_listeners=2))
    lines = [line for line in run.stdout.splitlines() if re.search(pattern, line)]
    assert run.returncode == 1 and len(lines) == 1, run.stdout
    assert "AIGatewayRoute/play/costly" in lines[0]
    if before is None:
        assert re.match(r".*world\.yaml:1:\d+: ", lines[0]), lines[0]
    else:
        column = len("spec: {llmRequestCosts: [" + COST + before) + 1
        assert f"world.yaml:1:{column}: " in lines[0] and "spec.llmRequestCosts[0].cel" in lines[0]


def test_a_cost_in_a_block_is_named_with_its_line(tmp_path):
    text = """spec:
  llmRequestCosts:
  - metadataKey: k
    type: CEL
    cel: |
      model == 'm' ? input_tokens
        : output
  parentRefs: [{name: front, kind: Gateway, group: gateway.networking.k8s.io}]
  rules: [{backendRefs: [{name: ai}]}]
apiVersion: aigateway.envoyproxy.io/v1alpha1
kind: AIGatewayRoute
metadata: {name: costly, namespace: play}
"""
    run = check(tmp_path, [text, *cost_route()[1:]])
    assert "world.yaml:5:10: " in run.stdout, run.stdout
    assert "line 2, column 5 of the expression" in run.stdout


def test_costs_that_can_be_computed_are_no_errors(tmp_path):
    run = check(tmp_path, cost_route("{metadataKey: a, type: TotalToken}",
                                     "{metadataKey: b, type: CEL, cel: \"input_tokens + 3u * output_tokens\"}"))
    assert run.returncode == 0, run.stdout


def test_severities_decide_the_exit_code(tmp_path):
    manifests = world(route("r", rule({"name": "elsewhere", "port": 80})))
    assert check(tmp_path, manifests).returncode == 0
    assert check(tmp_path, manifests, "--fail-on", "note").returncode == 1
    assert check(tmp_path, manifests, "--strict").returncode == 1


def test_json_and_sarif(tmp_path):
    manifests = altered(CASES["unknown field"][0])
    found = json.loads(check(tmp_path, manifests, "--format", "json").stdout)
    assert found["errors"] >= 1
    first = next(d for d in found["diagnostics"] if d["severity"] == "error")
    assert first["place"]["file"].endswith("world.yaml") and first["place"]["line"] > 1
    sarif = json.loads(check(tmp_path, manifests, "--format", "sarif").stdout)
    assert sarif["version"] == "2.1.0"
    run, = sarif["runs"]
    rules = {rule["id"]: rule for rule in run["tool"]["driver"]["rules"]}
    assert all(rule["shortDescription"]["text"] and rule["help"]["text"] for rule in rules.values())
    for result in run["results"]:
        assert result["ruleId"] in rules and result["locations"], result
    assert {result["ruleId"] for result in run["results"]} == {d["code"] for d in found["diagnostics"]}


def test_all_errors_at_once(tmp_path):
    manifests = altered(lambda m: (CASES["unknown field"][0](m), CASES["wrong type"][0](m)))
    run = check(tmp_path, manifests)
    assert "ruels" in run.stdout and "whole number" in run.stdout


def test_workloads_are_not_errors(tmp_path):
    run = check(tmp_path, [*GOOD, thing("apps/v1", "Deployment", "d", {"replicas": 1})])
    assert run.returncode == 0 and "Deployment" in run.stdout


def test_what_is_not_enforced_yet_is_named():
    run = tollgate("check", "-f", SHIPPED)
    assert run.returncode == 0
    for word in ("BackendSecurityPolicy",):
        assert word in run.stdout, word


def bomb():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for n in range(1, 12):
        lines.append(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]")
    return "\n".join(lines)


@pytest.mark.parametrize("text", [bomb(), "[" * 10000, "{" * 5000, "a: " + "x" * 100000 + "\n" * 10,
                                  "\xff\xfe", "%YAML 9.9\n---\n", "--- !!python/object:os.system x\n", "\t\n"])
def test_hostile_yaml_is_answered_quickly(tmp_path, text):
    file = tmp_path / "hostile.yaml"
    file.write_bytes(text.encode("latin-1"))
    run = tollgate("check", "-f", file, seconds=10)
    assert run.returncode in (0, 1), run.stderr
    assert "hostile.yaml" in run.stdout or run.returncode == 0


def test_a_file_of_a_gigabyte_is_refused_unread(tmp_path):
    file = tmp_path / "huge.yaml"
    with open(file, "wb") as out:
        out.truncate(1 << 30)
    run = tollgate("check", "-f", file, seconds=10)
    assert run.returncode == 1 and "huge.yaml" in run.stdout


def test_a_missing_path_is_an_error(tmp_path):
    run = tollgate("check", "-f", tmp_path / "nowhere")
    assert run.returncode == 1 and "nowhere" in run.stdout + run.stderr


@pytest.mark.parametrize("page,words", [
    ("config", ["HTTPRoute", "parentRefs"]), ("metrics", ["ai_model_requests_total"]),
    ("refusals", ["token_expired"]), ("journey", ["shortlist"]), ("limits", ["HEAD_BYTES"]),
    ("access-log", ["%START_TIME%", "request.headers"])])
def test_the_reference_prints(page, words):
    run = tollgate("docs", page)
    assert run.returncode == 0 and all(word in run.stdout for word in words)


@pytest.mark.parametrize("tls, named", [
    ({"clientValidation": {"mode": "RequireAny"}}, r"note: .*clientValidation\.mode: .*whatever certificate"),
    ({"clientValidation": {"mode": "Request"}}, r"note: .*clientValidation\.mode: .*or without one"),
    ({"minVersion": "1.1"}, r"warning: .*minVersion: .*1\.2 is the lowest"),
], ids=["RequireAny", "Request", "minVersion"])
def test_what_is_less_than_it_seems_of_a_clients_tls_is_named(tmp_path, tls, named):
    run = check(tmp_path, world(client_policy("c", tls=tls)))
    assert re.search(named, run.stdout), run.stdout


@pytest.mark.parametrize("setting, named", [
    ({"mode": "ForwardOnly"}, "as Sanitize$"), ({"mode": "AlwaysForwardOnly"}, "as Sanitize$"),
    ({"mode": "AppendForward"}, "as SanitizeSet$")],
    ids=["ForwardOnly", "AlwaysForwardOnly", "AppendForward"])
def test_what_is_not_told_of_a_clients_certificate_is_named(tmp_path, setting, named):
    run = check(tmp_path, world(client_policy("c", headers={"xForwardedClientCert": setting})))
    assert re.search("warning.*xForwardedClientCert.*" + named, run.stdout, re.MULTILINE), run.stdout


@pytest.mark.parametrize("version", ["TLSv1_3", "1.4", "TLSv1.1", "TLSv1.3 "])
def test_a_tls_version_that_is_not_understood_is_an_error(tmp_path, version):
    listener = https_listener("https", options={"tls.min_protocol_version": version})
    run = check(tmp_path, world(backend("a", 8080), route("r", rule("a")),
                                tls_secret("cert", Authority().leaf("a.test")), listeners=[listener]))
    assert run.returncode == 1 and "is not a TLS version" in run.stdout, run.stdout


def test_a_cipher_that_is_not_known_is_named_with_its_listener(tmp_path):
    listener = https_listener("https", options={"tls.cipher_suites": "NO-SUCH-CIPHER"})
    run = check(tmp_path, world(backend("a", 8080), route("r", rule("a")),
                                tls_secret("cert", Authority().leaf("a.test")), listeners=[listener]))
    assert run.returncode == 1 and 'listener "https"' in run.stdout and "NO-SUCH-CIPHER" in run.stdout, run.stdout


def test_a_rewritten_path_begins_with_a_slash(tmp_path):
    rewrite = {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplaceFullPath", "replaceFullPath": "nope"}}}
    run = check(tmp_path, world(backend("a", 8080), route("r", rule("a", filters=[rewrite]))))
    assert run.returncode == 1 and "begins with" in run.stdout, run.stdout


@pytest.mark.parametrize("name", ["content-length", "Transfer-Encoding", "connection", "host"])
def test_a_claim_may_not_write_a_framing_header(tmp_path, name):
    jwt = {"providers": [{"name": "p", "localJWKS": {"inline": '{"keys":[]}'},
                          "claimToHeaders": [{"claim": "x", "header": name}]}]}
    run = check(tmp_path, world(backend("a", 8080), route("r", rule("a")),
                                security_policy("s", target("HTTPRoute", "r"), jwt=jwt)))
    assert run.returncode == 1 and "cannot be written from a claim" in run.stdout, run.stdout
