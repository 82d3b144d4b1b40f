"""`tollgate get` and `describe`: the founding document's kubectl lines, of files and of a running gateway, and
what neither shows."""
import json
import os
import re
import shlex
import subprocess

import pytest
import yaml

from play.deadline import FACTOR, eventually
from play.gateway import PROGRAM, SHIPPED, as_text, tollgate
from play.manifests import (backend, path, route, rule, security_policy, service, target, thing, tls_secret, world)
from play.certs import Authority
from play.ports import free_port
from play.stranger import Stranger, ok

NS = "envoy-gateway-system"
# The lines of the founding document that look, word for word, and what tollgate says in kubectl's place.
FOUNDING = {
    "kubectl get gateway ai-inference-gateway -n envoy-gateway-system":
        r"NAME +CLASS +ADDRESS +PROGRAMMED +AGE\nai-inference-gateway +ai-gateway-class +\* +True +<unknown>\n",
    "kubectl get securitypolicy jwt-auth-policy -n envoy-gateway-system": r"NAME +STATUS +AGE\njwt-auth-policy +Accepted +<unknown>\n",
    "kubectl get backend -n envoy-gateway-system":
        r"NAME +STATUS +AGE\nistio-gateway-backend +Accepted .*\npytorch-resnet-backend .*\nremote-jwks .*\n"
        r"sklearn-iris-backend .*\n",
    "kubectl get backend remote-jwks -n envoy-gateway-system": r"NAME +STATUS +AGE\nremote-jwks +Accepted +<unknown>\n",
    "kubectl describe backendtrafficpolicy ai-gateway-traffic-policy -n envoy-gateway-system":
        r"Name: +ai-gateway-traffic-policy\nNamespace: +envoy-gateway-system\n(.*\n)*Kind: +BackendTrafficPolicy\n(.*\n)*"
        r"Spec:\n(.*\n)*    maxConnections: 100\n(.*\n)*Conditions:\n"
        r"  About +Type +Status +Reason +Message\n(.*\n)*  Gateway/envoy-gateway-system/ai-inference-gateway +Accepted +True ",
    "kubectl get backend <backend-name> -n envoy-gateway-system -o yaml":
        r"apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: Backend\n(.*\n)*status:\n(.*\n)*  conditions:\n  - type: Accepted\n"
        r"    status: \"True\"\n",
    "kubectl get svc -n <target-namespace>":
        r"NAME +TYPE +CLUSTER-IP +EXTERNAL-IP +PORT\(S\) +AGE\next-auth-service +ClusterIP +<none> +<none> +8080/TCP +<unknown>\n",
    "kubectl logs -l app=envoy-gateway -n envoy-gateway-system": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (info|warn) .*\n",
    "kubectl get gateway ai-inference-gateway -n envoy-gateway-system -o yaml":
        r"apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n(.*\n)*  gatewayClassName: ai-gateway-class\n(.*\n)*status:\n",
    "kubectl get httproute ai-inference-routes -n envoy-gateway-system -o yaml":
        r"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n(.*\n)*status:\n  parents:\n  - parentRef:\n(.*\n)*"
        r"    controllerName: gateway.envoyproxy.io/gatewayclass-controller\n",
}
# What its placeholders stand for: each backend there is, each namespace that one leads to or that has a Service.
BACKENDS = ["sklearn-iris-backend", "pytorch-resnet-backend", "istio-gateway-backend", "remote-jwks"]
ELSEWHERE = ["tenant-a", "tenant-c", "istio-system", "default"]


def filled(line, name=BACKENDS[0], namespace=NS):
    return line.replace("<backend-name>", name).replace("<target-namespace>", namespace)


LINES = [filled(line).removeprefix("kubectl ") for line in FOUNDING]


def typed(folder, line, *more):
    """The line with tollgate in kubectl's place, as a shell has it; `more` behind it."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin/tollgate").unlink(missing_ok=True)
    (folder / "bin/tollgate").symlink_to(PROGRAM)
    words = " ".join([line.replace("kubectl", "tollgate", 1), *map(str, more)])
    return subprocess.run(["sh", "-c", words], env={"PATH": f"{folder}/bin:{os.environ['PATH']}"}, capture_output=True, text=True,
                          timeout=20 * FACTOR, check=False)


def founding_lines_work(folder, *more, has_log):
    for line, pattern in FOUNDING.items():
        if not has_log and " logs " in line:
            continue
        for name in BACKENDS if "<backend-name>" in line else BACKENDS[:1]:
            made = typed(folder, filled(line, name), *more)
            assert (made.returncode, made.stderr) == (0, "") and re.match(pattern, made.stdout), (line, name, made)
            assert "<backend-name>" not in line or f"\n  name: {name}\n" in made.stdout
    for namespace in ELSEWHERE:  # no Service of theirs stands in a file: that is said, and why it need not
        made = typed(folder, filled("kubectl get svc -n <target-namespace>", namespace=namespace), *more)
        assert (made.returncode, made.stdout) == (0, "") and made.stderr.startswith(
            f"No resources found in {namespace} namespace.\n") and "\nServices that routes name and no file gives are reached" in made.stderr, made


def run(line, *where):
    return tollgate(*shlex.split(line), *where)


def test_the_founding_lines_of_files(tmp_path):
    """But for logs, which files do not have."""
    founding_lines_work(tmp_path, "-f", SHIPPED, has_log=False)


@pytest.fixture
def shipped(gateway):
    return gateway(paths=[SHIPPED])


def admin(gw):
    return "--admin", f"127.0.0.1:{gw.admin_port}"


def test_the_founding_lines_of_a_running_gateway(shipped, tmp_path):
    founding_lines_work(tmp_path, *admin(shipped), has_log=True)


def test_the_document_is_the_manifest_with_a_status(shipped):
    [written] = [d for file in SHIPPED.rglob("*.yaml") for d in yaml.safe_load_all(file.read_text())
                 if (d["kind"], d["metadata"]["name"]) == ("HTTPRoute", "ai-inference-routes")]
    for output, read in (("yaml", yaml.safe_load), ("json", json.loads)):
        for where in (("-f", SHIPPED), admin(shipped)):
            shown = read(run(f"get httproute ai-inference-routes -n {NS} -o {output}", *where).stdout)
            status = shown.pop("status")
            assert shown == written
            [parent] = status["parents"]
            assert parent["parentRef"] == {"group": "gateway.networking.k8s.io", "kind": "Gateway",
                                           "name": "ai-inference-gateway", "namespace": NS}
            assert [(c["type"], c["status"]) for c in parent["conditions"]] == [("Accepted", "True"), ("ResolvedRefs", "True")]


def files(folder, *objects):
    file = folder / "world.yaml"
    file.write_text(as_text(list(objects)))
    return "-f", file


WORLD = world(backend("a", 8080), route("r", rule("a"), hostnames=["a.test", "*.b.test"]),
              security_policy("p", target("HTTPRoute", "r"), cors={"allowOrigins": ["https://a.test"]}))


@pytest.mark.parametrize("kind", ["httproute", "httproutes", "HTTPRoute", "HTTPROUTES", "httproutes.gateway.networking.k8s.io",
                                  "httproutes.v1.gateway.networking.k8s.io"])
def test_kinds_by_all_their_names(tmp_path, kind):
    made = run(f"get {kind} -n play", *files(tmp_path, *WORLD))
    assert made.stdout == ('NAME   HOSTNAMES               AGE\n'
                           'r      ["a.test","*.b.test"]   <unknown>\n')


def test_the_forms_of_kubectl(tmp_path):
    where = files(tmp_path, *WORLD)
    one = run("get gateway front -n play", *where).stdout
    for same in ("get gateway/front -n play", "get gtw front --namespace play", "get gtw front --namespace=play",
                 "get gtw front -nplay", "get gtw front -n=play", "get -n play gateway front"):
        assert run(same, *where).stdout == one, same
    assert run("get gtw front -n play -oyaml", *where).stdout == run("get gtw front -n play --output=yaml", *where).stdout
    assert run("get gateway,backend -n play -o name", *where).stdout == (
        "gateway.gateway.networking.k8s.io/front\nbackend.gateway.envoyproxy.io/a\n")
    assert run("get gateway/front backend/a -n play --no-headers", *where).stdout.split() == [
        "gateway.gateway.networking.k8s.io/front", "play-class", "*", "True", "<unknown>",
        "backend.gateway.envoyproxy.io/a", "Accepted", "<unknown>"]
    assert run("get gc", *where).stdout.split("\n")[1].split() == [
        "play-class", "gateway.envoyproxy.io/gatewayclass-controller", "True", "<unknown>"]
    assert run("get backends -A", *where).stdout == ("NAMESPACE   NAME   STATUS     AGE\n"
                                                     "play        a      Accepted   <unknown>\n")


def test_wide_says_the_status_and_the_place(tmp_path):
    where = files(tmp_path, *WORLD[:-2], route("r", rule("a"), rule("b")))
    heads, line = run("get httproute -n play -o wide", *where).stdout.splitlines()
    assert heads.split() == ["NAME", "HOSTNAMES", "AGE", "STATUS", "FILE"]
    assert line.split() == ["r", "<unknown>", "BackendNotFound", f"{where[1]}:{line.rsplit(':', 1)[1]}"]


def test_lists_are_documents_too(tmp_path):
    where = files(tmp_path, *WORLD, backend("b", 8081))
    made = yaml.safe_load(run("get backend -n play -o yaml", *where).stdout)
    assert (made["kind"], made["apiVersion"], [o["metadata"]["name"] for o in made["items"]]) == ("List", "v1", ["a", "b"])
    assert made == json.loads(run("get backend -n play -o json", *where).stdout)
    for output in ("yaml", "json"):
        made = run(f"get backend -n elsewhere -o {output}", *where)
        assert yaml.safe_load(made.stdout)["items"] == [] and made.returncode == 0


def test_an_age_where_the_manifest_has_one(tmp_path):
    made = thing("v1", "ConfigMap", "c", metadata={"creationTimestamp": "2020-01-01T00:00:00Z"}, data={"a": "b"})
    [_, line] = run("get cm -n play", *files(tmp_path, made)).stdout.splitlines()
    assert re.fullmatch(r"c +1 +\d+y(\d+d)?", line)


NOT_THERE = {
    "get gateway fron -n play": r'tollgate: gateways\.gateway\.networking\.k8s\.io "fron" not found in namespace play; did you mean "front"\?\n',
    "get gateway front": r'.*not found in namespace default; there is one in namespace play \(-n play\)\n',
    "get gateway zzz -n play": r'.*"zzz" not found in namespace play\n',
    "get gateway front zzz -n play": r'.*"zzz" not found in namespace play\n',
    "describe gateway zzz -n play": r'.*"zzz" not found in namespace play\n',
    "get gateway 'a&name=front\r\n' -n play": r'.*"a&name=front\?\?" not found in namespace play\n',
    "get gateway-api zzz -n play": r'tollgate: none of 6 kinds has "zzz"\n',
    "get backendsecuritypolicy zzz -n play": r'tollgate: backendsecuritypolicies\.gateway\.envoyproxy\.io "zzz" not found.*\n',
    "get gatewya": r'tollgate: there is no kind "gatewya" here; did you mean "gateways"\?\n',
    "get pods": r'tollgate: there is no kind "pods" here; tollgate get all -A shows what there is\n',
    "get gateway,pods -n play": r'tollgate: there is no kind "pods" here.*\n',
    "get gateway/front backend -n play": r'tollgate: "backend" is no KIND/NAME, as the others are\n',
    "get gatewayclass zzz": r'.*gatewayclasses\.gateway\.networking\.k8s\.io "zzz" not found\n',
}


@pytest.mark.parametrize("line", NOT_THERE)
def test_what_is_not_there(tmp_path, line):
    made = run(line, *files(tmp_path, *WORLD))
    assert made.returncode == 1 and re.fullmatch(NOT_THERE[line], made.stderr), made
    assert bool(made.stdout) == (line in ("get gateway front zzz -n play", "get gateway/front backend -n play"))


def test_what_is_not_there_in_a_running_gateway(gateway):
    gw = gateway(WORLD)
    for line, pattern in NOT_THERE.items():
        made = run(line, *admin(gw))
        assert made.returncode == 1 and re.fullmatch(pattern, made.stderr), made


def test_nothing_is_no_fault(tmp_path):
    where = files(tmp_path, *WORLD)
    made = run("get gateways", *where)
    assert (made.returncode, made.stdout, made.stderr) == (0, "", (
        "No resources found in default namespace.\n"
        "There is 1 in other namespaces, the first in play: -n NAMESPACE, or -A for all.\n"))
    made = run("get svc -n tenant-a", *where)
    assert (made.returncode, made.stdout) == (0, "") and made.stderr.startswith(
        "No resources found in tenant-a namespace.\nServices that routes name and no file gives are reached by their names")
    made = run("get secrets -A", *where)
    assert (made.returncode, made.stderr) == (0, "No resources found\n")


@pytest.mark.parametrize("line", ["get", "describe", "get gtw -o xml", "get gtw -n Upper", "get gtw -n", "describe gtw x -o yaml",
                                  "get gtw --follow"])
def test_usage_is_2(line):
    made = run(line)
    assert made.returncode == 2 and made.stderr.startswith("tollgate: ")


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "bad.yaml").write_text("a: [")
    made = run("get all -A", "-f", tmp_path)
    assert made.returncode == 1 and re.match(r"tollgate: the manifests cannot be read: .*bad\.yaml:\d", made.stderr)


def test_a_route_with_faults_says_so(tmp_path):
    bad = route("r", rule("a", filters=[{"type": "RequestHeaderModifier", "requestHeaderModifier": {
        "set": [{"name": "content-length", "value": "1"}]}}]))
    where = files(tmp_path, *WORLD[:3], bad)
    made = run("describe httproute r -n play", *where).stdout
    assert re.search(r"^Conditions:\n  About .*\n  -+ .*\n  Gateway/play/front +Accepted +False +UnsupportedValue +.*content-length",
                     made, re.M), made
    assert re.search(r"^Findings:\n(.*\n)*  error +.*world\.yaml:\d+ +.*content-length", made, re.M), made


def test_a_backend_of_a_running_gateway_says_where_it_leads(gateway, upstream):
    up = upstream("a")
    up.probe_target = "/health"
    dead = free_port()
    probed = thing("gateway.envoyproxy.io/v1alpha1", "BackendTrafficPolicy", "t", {
        "targetRefs": [target("HTTPRoute", "r")], "healthCheck": {"active": {
            "type": "HTTP", "interval": "100ms", "timeout": "1s", "unhealthyThreshold": 1, "healthyThreshold": 1, "http": {
                "path": "/health"}}}})
    gone = thing("gateway.envoyproxy.io/v1alpha1", "Backend", "gone", {"endpoints": [
        {"fqdn": {"hostname": "gone.test", "port": 80}}]})
    gw = gateway(world(backend("a", up, dead), backend("unused", up), gone, *service("s", 80, up.port), probed,
                       route("r", rule("a"), rule("gone", matches=[path("/gone")]),
                             rule({"name": "s", "port": 80}, matches=[path("/s")]))),
                 args=["--dns-server", f"127.0.0.1:{free_port()}"])

    def endpoints(what):
        return yaml.safe_load(run(f"get {what} -n play -o yaml", *admin(gw)).stdout)["status"]["endpoints"]

    eventually(lambda: [e["health"] for e in endpoints("backend a")] == ["healthy", "unhealthy"], what="the probes")
    assert endpoints("backend a") == [{"address": f"127.0.0.1:{up.port}", "health": "healthy", "inFlight": 0},
                                      {"address": f"127.0.0.1:{dead}", "health": "unhealthy", "inFlight": 0}]
    assert endpoints("backend unused") == []
    assert [e["address"] for e in endpoints("svc s")] == [f"127.0.0.1:{up.port}"]
    [made] = endpoints("backend gone")
    assert made["host"] == "gone.test:80" and made["state"] in ("pending", "failed")
    made = run("describe backend a -n play", *admin(gw)).stdout
    assert re.search(rf"^Endpoints:\n  Address +Health +In flight +Name\n.*\n  127.0.0.1:{up.port} +healthy +0\n"
                     rf"  127.0.0.1:{dead} +unhealthy +0\n", made, re.M), made
    assert "endpoints:\n  -" not in run("get backend a -n play -o yaml", "-f", gw.manifests).stdout.split("status:")[1]


# ---- secrets ----

SECRET = "hunter2"
HIDDEN = [
    thing("v1", "Secret", "s", stringData={"password": SECRET}, metadata={"annotations": {
        "kubectl.kubernetes.io/last-applied-configuration": json.dumps({"stringData": {"password": SECRET}})}}),
    thing("v1", "Secret", "misspelt", strngData={"a": SECRET}),
    route("r", rule("a", matches=[{"headers": [{"name": "x-api-key", "value": SECRET}]}], filters=[{
        "type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "authorization", "value": f"Basic {SECRET}"}]}}])),
    thing("gateway.envoyproxy.io/v1alpha1", "EnvoyProxy", "e", {"telemetry": {"tracing": {"provider": {
        "backendRefs": [{"name": "otel", "port": 4317}], "openTelemetry": {"headers": [{"name": "x-plain", "value": SECRET}]}}}}}),
]


@pytest.mark.parametrize("output", ["yaml", "json", "wide"])
def test_no_secret_is_shown(gateway, output):
    key = Authority().leaf("a.test")
    gw = gateway([*WORLD[:3], *HIDDEN, tls_secret("cert", key)])
    for where in (("-f", gw.manifests), admin(gw)):
        made = run(f"get all -A -o {output}", *where)
        assert made.returncode == 0 and "misspelt" in made.stdout
        assert SECRET not in made.stdout + made.stderr and "PRIVATE KEY" not in made.stdout
        assert "LS0t" not in made.stdout, "base64 of -----"
        assert output == "wide" or made.stdout.count("(redacted)") >= 7
    for where in (("-f", gw.manifests), admin(gw)):
        made = run("describe all -A", *where)
        assert made.returncode == 0 and SECRET not in made.stdout and "(redacted)" in made.stdout
    shown = yaml.safe_load(run("get secret s -n play -o yaml", *admin(gw)).stdout)
    assert shown["stringData"] == {"password": "(redacted)"} and shown["metadata"]["name"] == "s"


# ---- logs ----

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z "


def test_the_founding_line_of_logs(shipped):
    made = run(f"logs -l app=envoy-gateway -n {NS}", *admin(shipped))
    assert (made.returncode, made.stderr) == (0, "")
    assert re.search(rf"^{STAMP}info admin on http://127\.0\.0\.1:{shipped.admin_port}/$", made.stdout, re.M)
    assert made.stdout == shipped.stderr(), "what it says on standard error, and no access log"
    assert shipped.get_admin("/logs").body.decode() == made.stdout


def test_the_last_lines_of_the_log(gateway):
    gw = gateway(WORLD)
    lines = gw.stderr().splitlines(keepends=True)
    assert len(lines) > 3
    for n in (0, 1, 3, 1000):
        assert run(f"logs --tail {n}", *admin(gw)).stdout == "".join(lines[len(lines) - min(n, len(lines)):])


@pytest.mark.parametrize("selector,is_meant", [
    ("app=envoy-gateway", True), ("app.kubernetes.io/name=envoy,app.kubernetes.io/component=proxy", True),
    ("control-plane=envoy-gateway", True), ("gateway.envoyproxy.io/owning-gateway-name=front", True),
    ("gateway.envoyproxy.io/owning-gateway-namespace=play,gateway.envoyproxy.io/owning-gateway-name=front", True),
    ("gateway.envoyproxy.io/owning-gateway-name=other", False), ("app=my-model", False), ("app!=envoy-gateway", False)])
def test_whose_logs(gateway, selector, is_meant):
    gw = gateway(WORLD)
    made = run(f"logs -n play -l {selector}", *admin(gw))
    assert made.returncode == 0 and bool(made.stdout) == is_meant
    assert made.stderr.startswith("" if is_meant else "No resources found in play namespace.\nThese are the logs of the gateway alone.")


def test_logs_are_followed(gateway, upstream):
    gw = gateway(WORLD)
    with subprocess.Popen([PROGRAM, "logs", "-f", *admin(gw)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as follower:
        before = gw.stderr()
        assert follower.stdout.read(len(before)) == before
        gw.apply(world(backend("b", upstream("b")), route("r", rule("b"))))
        said = [line for line in gw.stderr()[len(before):].splitlines(keepends=True)]
        assert said and [follower.stdout.readline() for _ in said] == said, "each once, in order"
        gw.stop()
        rest, error = follower.communicate(timeout=60)
        assert follower.returncode == 1 and "no gateway answers" in error
        assert gw.stderr().startswith(before + "".join(said) + rest)


LOGS = {
    "no numbers": (b"garbage\n", "tells no log (200)"),
    "one number": (b"7\n", "tells no log (200)"),
    "a page": (b"", "tells no log (200)"),
}


@pytest.mark.parametrize("name", LOGS)
def test_a_stranger_s_log(name):
    body, why = LOGS[name]
    stranger = Stranger(ok(body))
    try:
        made = run("logs", "--admin", f"127.0.0.1:{stranger.port}")
    finally:
        stranger.close()
    assert made.returncode == 1 and why in made.stderr and made.stdout == ""


def test_a_stranger_s_log_moves_no_cursor():
    stranger = Stranger(ok(b"9 5\na\x1b[2J\n\nb\xc2\x9b\n"))
    try:
        made = run("logs", "--admin", f"127.0.0.1:{stranger.port}")
    finally:
        stranger.close()
    assert made.stdout == "a?[2J\n\nb?\n" and made.stderr == "5 bytes of the log were gone before they were read\n"


@pytest.mark.parametrize("selector", ["app in (a)", "=a", "a=b,"])
def test_selectors_that_are_none(gateway, selector):
    made = run(f"logs -l '{selector}'", *admin(gateway(WORLD)))
    assert made.returncode == 1 and made.stderr.startswith(f"tollgate: -l {selector}: expected KEY=VALUE")


# ---- a gateway that is none ----

OBJECT = b'{"object":{"apiVersion":"gateway.envoyproxy.io/v1alpha1","kind":"Backend","metadata":{"name":"%b"}%b}}\n'
MIB = b"x" * (1 << 20)
STRANGE = {
    "no HTTP": (b"SSH-2.0-OpenSSH\r\n", "is no gateway's admin port"),
    "nothing": (b"", "closed the connection before its answer was whole"),
    "cut": (ok(b"{", 100), "closed the connection before its answer was whole"),
    "another server": (b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nno\x1b[2J!\x07\n", "refused (404): no?[2J!?"),
    "another page": (ok(b"<html>"), "the list of objects cannot be read"),
    "half an object": (ok(b'{"object":{"apiVersion":"v1","kind":"Secret"}}\n'), "the list of objects cannot be read"),
    "too large": ([b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n", *[MIB] * 40], "its answer is too large"),
    "too large in chunks": ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                             *[b"100000\r\n" + MIB + b"\r\n"] * 40], "its answer is too large"),
    "a head without end": ([b"HTTP/1.1 200 OK\r\na: ", *[MIB] * 4], "is no gateway's admin port"),
    "deep": (ok(b'{"object":' + b"[" * 5000 + b"]" * 5000 + b"}"), "the list of objects cannot be read"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_stranger_at_the_admin_port(name):
    answer, why = STRANGE[name]
    stranger = Stranger(answer)
    try:
        made = run("get backends", "--admin", f"127.0.0.1:{stranger.port}")
    finally:
        stranger.close()
    assert made.returncode == 1 and made.stdout == "" and why in made.stderr, made
    assert "\x1b" not in made.stderr
    assert stranger.requests[0].startswith(b"GET /objects?group=gateway.envoyproxy.io&kind=Backend&namespace=default HTTP/1.1\r\n"
                                           b"host: 127.0.0.1:")


@pytest.mark.parametrize("output", ["table", "wide", "yaml", "json", "name"])
def test_what_a_stranger_says_moves_no_cursor(output):
    spec = b',"spec":{"a":"\\u001b[2J\\u009b2J\xc2\x9b","b\\u0007":["x\\r\\ny"]},"status":{"conditions":[' \
           b'{"type":"Accepted","status":"True","reason":"\\u001b]0;x\\u0007"}]}'
    stranger = Stranger(ok(OBJECT % (b"a\\u001b[2J&name=b", spec)))
    try:
        for line in (f"get backends -o {output}", "describe backends"):
            made = run(line, "--admin", f"127.0.0.1:{stranger.port}")
            text = made.stdout + made.stderr
            assert "a" in made.stdout and not re.search(r"[\x00-\x09\x0b-\x1f\x7f\x80-\x9f]", text), text
        assert all(b"name=" not in request and b"\x1b" not in request for request in stranger.requests), "nor asks for more"
    finally:
        stranger.close()


class Fickle(Stranger):
    """Answers the first connection, and closes the others."""

    @property
    def answer(self):
        return self.first if len(self.requests) == 1 else b""

    @answer.setter
    def answer(self, value):
        self.first = value


def test_a_gateway_that_ends_while_it_is_asked():
    stranger = Fickle(ok(OBJECT % (b"a", b"")))
    try:
        made = run("describe backends", "--admin", f"127.0.0.1:{stranger.port}")
    finally:
        stranger.close()
    assert made.returncode == 1 and "closed the connection before its answer was whole" in made.stderr, made
    assert made.stdout.startswith("Name:         a\n"), "what is known of it is shown all the same"


def test_nobody_there():
    port = free_port()
    made = run("get gateways", "--admin", f"127.0.0.1:{port}")
    assert made.returncode == 1 and made.stderr == (
        f"tollgate: no gateway answers at 127.0.0.1:{port}: Connection refused; --admin ADDR:PORT says where one does, "
        "-f PATH reads files\n")
    assert run("get gateways", "--admin", "off").returncode == 1


# ---- the endpoint ----

def test_objects_of_the_admin_port(gateway, upstream):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a", matches=[path("/")]))))
    port = gw.admin_port
    [line] = gw.get_admin("/objects?kind=Backend").body.splitlines()
    assert json.loads(line)["object"]["metadata"]["name"] == "a"
    assert gw.get_admin("/objects", method="POST").status == 405
    from play import client
    assert client.request(port, "/objects", host="evil.test").status == 421
    gw.apply(world(backend("b", upstream("b")), route("r", rule("b"))))
    assert run("get backends -n play -o name", *admin(gw)).stdout == "backend.gateway.envoyproxy.io/b\n"
