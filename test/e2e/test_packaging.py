"""What stands in packaging/ beside the unit, and the recipes of docs/operations.md: tried as far as a machine without a
cluster and a container engine can."""
import base64
import getpass
import gzip
import json
import os
import re
import shlex
import ssl
import subprocess

import yaml

from play.deadline import eventually
from play.gateway import PROGRAM, ROOT, SHIPPED, tollgate
from play.manifests import ENVOY_API, backend, http_listener, https_listener, route, rule, thing, tls_secret, world

PACKAGING = ROOT / "packaging"
OPERATIONS = (ROOT / "docs/operations.md").read_text()
DOCKERFILE = (PACKAGING / "docker/Dockerfile").read_text()


# ---- the page ----

def commands_of_the_page():
    for block in re.findall(r"```sh\n(.*?)```", OPERATIONS, re.DOTALL):
        yield from block.splitlines()


def test_the_page_names_files_and_commands_that_are_there():
    for name in re.findall(r"\]\(\.\./([^)#]+)\)", OPERATIONS) + re.findall(r"(?<![\w/])packaging/[\w./-]+\w", OPERATIONS):
        assert (ROOT / name).exists(), name
    lines = [line for line in commands_of_the_page() if line.startswith("tollgate ")]
    assert len(lines) >= 4
    for line in lines:
        words = shlex.split(re.split("[|>]", line)[0])[1:]
        if words[0] == "rollback":  # understood, and not done to this machine's
            run = tollgate(*words, "--no-such-option", cwd=ROOT)
            assert run.returncode == 2 and "no-such-option" in run.stderr, (line, run.stderr)
            continue
        run = tollgate(*words, cwd=ROOT)
        assert run.returncode == 0, (line, run.stderr)


def test_what_the_page_tells_pipelines_is_so(tmp_path):
    codes = re.search(r"not: (`open-ai-route`.*?) and so on", OPERATIONS, re.DOTALL).group(1)
    sarif = json.loads(tollgate("check", "-f", SHIPPED, "--format", "sarif").stdout)
    rules = {rule["id"] for rule in sarif["runs"][0]["tool"]["driver"]["rules"]}
    assert set(re.findall("`([a-z-]+)`", codes)) <= rules


# ---- SARIF 2.1.0: what its schema requires, and what code hosts do ----

def test_sarif_is_what_others_read(tmp_path):
    (tmp_path / "odd name ü.yaml").write_text("kind: [\n")
    run = tollgate("check", "-f", SHIPPED, "-f", "odd name ü.yaml", "--format", "sarif", cwd=tmp_path)
    sarif = json.loads(run.stdout)
    assert sarif["version"] == "2.1.0" and sarif["$schema"].endswith("sarif-2.1.0.json")
    made, = sarif["runs"]
    driver = made["tool"]["driver"]
    assert driver["name"] == "tollgate" and driver["version"]
    rules = [rule["id"] for rule in driver["rules"]]
    assert len(rules) == len(set(rules)) and made["results"]
    for result in made["results"]:
        assert result["ruleId"] in rules and result["level"] in ("note", "warning", "error") and result["message"]["text"]
        for place in result["locations"] + result.get("relatedLocations", []):
            physical = place["physicalLocation"]
            assert re.fullmatch(r"(file:///)?[A-Za-z0-9._~/%-]+", physical["artifactLocation"]["uri"])
            assert physical.get("region", {"startLine": 1})["startLine"] >= 1 and physical.get("region", {"startColumn": 1})["startColumn"] >= 1
    assert {result["level"] for result in made["results"]} == {"note", "error"}
    assert any(p["physicalLocation"]["artifactLocation"]["uri"] == "odd%20name%20%C3%BC.yaml"
               for r in made["results"] for p in r["locations"])


# ---- rotation ----

def logged(up, file):
    proxy = thing(ENVOY_API, "EnvoyProxy", "proxy", {"telemetry": {"accessLog": {"settings": [
        {"format": {"type": "Text", "text": "%REQ(:PATH)%\n"}, "sinks": [{"type": "File", "file": {"path": str(file)}}]}]}}})
    manifests = world(backend("a", up), route("r", rule("a")), proxy)
    manifests[0]["spec"]["parametersRef"] = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "proxy", "namespace": "play"}
    return manifests


def rotation(tmp_path, logs, pid):
    """The shipped rules, for logs of this user and a gateway of this process."""
    config = (PACKAGING / "logrotate/tollgate").read_text()
    asked = '"$(systemctl show --property MainPID --value tollgate.service)"'
    assert asked in config and "su tollgate tollgate" in config
    here = tmp_path / "logrotate.conf"
    here.write_text(config.replace("/var/log/tollgate", str(logs)).replace(asked, str(pid)).replace(
        "su tollgate tollgate", f"su {getpass.getuser()} {subprocess.check_output(['id', '-gn'], text=True).strip()}"))
    here.chmod(0o600)
    return ["logrotate", "--force", "--verbose", "--state", tmp_path / "state", here]


def test_logrotate_signals_nobody_where_no_gateway_runs(tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir(mode=0o700)
    (logs / "access.log").write_text("/\n")
    done = subprocess.run(rotation(tmp_path, logs, 0), capture_output=True, text=True, check=False, start_new_session=True)
    assert done.returncode == 0 and "error" not in done.stderr.lower(), done.stderr
    assert (logs / "access.log.1").read_text() == "/\n"


def test_logrotate_rotates_without_losing_a_line(gateway, upstream, tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir(mode=0o700)
    log = logs / "access.log"
    gw = gateway(logged(upstream("a"), log))
    command = rotation(tmp_path, logs, gw.process.pid)
    for turn in range(3):
        gw.request(f"/{turn}")
        eventually(lambda: log.exists() and log.read_text() == f"/{turn}\n", what="the line in the file of this turn")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0 and "error" not in done.stderr.lower(), done.stderr
        eventually(log.exists, what="the file made anew")
    assert (logs / "access.log.1").read_text() == "/2\n"
    assert [gzip.decompress((logs / f"access.log.{n}.gz").read_bytes()) for n in (2, 3)] == [b"/1\n", b"/0\n"]


# ---- renewal ----

def renew(file, folder, pair, names=("fullchain.pem", "privkey.pem")):
    folder.mkdir(exist_ok=True)
    for name, pem in zip(names, pair):
        (folder / name).write_text(pem)
    return subprocess.run([PACKAGING / "acme/tollgate-secret", "play", "cert", file], env={**os.environ, "RENEWED_LINEAGE": str(folder)},
                          capture_output=True, text=True, check=False)


def served(gw):
    """The serial number of the certificate of a handshake."""
    pem = ssl.get_server_certificate(("127.0.0.1", gw.port(443)))
    return subprocess.run(["openssl", "x509", "-noout", "-serial"], input=pem, capture_output=True, text=True, check=True).stdout


def serial(pair):
    return subprocess.run(["openssl", "x509", "-noout", "-serial"], input=pair[0], capture_output=True, text=True, check=True).stdout


def test_a_renewed_certificate_is_served_and_connections_go_on(gateway, upstream, authority, tmp_path):
    first, second, third = (authority.leaf("a.test") for _ in range(3))
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")), listeners=[http_listener(), https_listener()]))
    file = gw.manifests / "cert.yaml"
    assert renew(file, tmp_path / "live", first).returncode == 0
    eventually(lambda: gw.n_reloads("ok") >= 1)
    assert file.stat().st_mode & 0o777 == 0o640 and served(gw) == serial(first)
    file.chmod(0o600)
    with gw.raw(port=80) as open_one:
        assert renew(file, tmp_path / "live", second).returncode == 0
        eventually(lambda: served(gw) == serial(second), what="the renewed certificate")
        assert file.stat().st_mode & 0o777 == 0o600, "whose it was stays"
        open_one.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert open_one.head()[0] == 200
    assert renew(file, tmp_path / "mounted", third, ("tls.crt", "tls.key")).returncode == 0
    eventually(lambda: served(gw) == serial(third), what="the certificate of a mounted Secret")
    assert [f.name for f in gw.manifests.iterdir() if f.name.startswith("cert")] == ["cert.yaml"]


def test_a_renewal_that_has_no_files_leaves_the_old_one(authority, tmp_path):
    file = tmp_path / "cert.yaml"
    assert renew(file, tmp_path / "live", authority.leaf("a.test")).returncode == 0
    before = file.read_bytes()
    (tmp_path / "live/privkey.pem").unlink()
    run = subprocess.run([PACKAGING / "acme/tollgate-secret", "play", "cert", file], env={**os.environ, "RENEWED_LINEAGE": str(tmp_path / "live")},
                         capture_output=True, text=True, check=False)
    assert run.returncode != 0 and "privkey.pem" in run.stderr and file.read_bytes() == before
    assert sorted(f.name for f in tmp_path.iterdir()) == ["cert.yaml", "live"]
    assert subprocess.run([PACKAGING / "acme/tollgate-secret"], capture_output=True, check=False).returncode == 2


def test_a_secret_of_cert_manager_is_taken_as_kubectl_prints_it(authority, tmp_path):
    secret = tls_secret("cert", authority.leaf("a.test"))
    text = {key: base64.b64encode(value.encode()).decode() for key, value in secret.pop("stringData", {}).items()}
    secret["data"] = {**secret.get("data", {}), **text}
    secret["metadata"].update(
        annotations={"cert-manager.io/certificate-name": "ai-gateway", "cert-manager.io/alt-names": "a.test",
                     "kubectl.kubernetes.io/last-applied-configuration": "{}"},
        labels={"controller.cert-manager.io/fao": "true"}, creationTimestamp="2026-05-01T10:00:00Z", resourceVersion="123456",
        uid="0e6f2a5e-6f3c-4c0e-9f43-0f5e8f5d4a11",
        managedFields=[{"apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {".": {}}}, "manager": "cert-manager",
                        "operation": "Update", "time": "2026-05-01T10:00:00Z"}])
    (tmp_path / "world.yaml").write_text("---\n".join(yaml.safe_dump(m) for m in [
        *world(backend("a", 81), route("r", rule("a")), listeners=[https_listener()]), secret]))
    run = tollgate("check", "-f", tmp_path, "--fail-on", "note", "--strict")
    assert run.returncode == 0, run.stdout


# ---- the container, which no engine of ours has built ----

def test_the_image_has_what_the_program_links():
    """By the packages of this machine, which is a Debian 12 too; a sanitizer's runtime is not in the image's build."""
    stage = DOCKERFILE.split("FROM debian:12-slim\n")[1]
    installed = set(re.findall(r"^        ([a-z0-9.+-]+) \\$", stage, re.MULTILINE))
    linked = subprocess.run(["ldd", PROGRAM], capture_output=True, text=True, check=True).stdout
    needed = set()
    for library in re.findall(r"=> (\S+)", linked):
        if re.search("asan|ubsan|tsan|gcc_s|stdc", library):
            continue
        owner = subprocess.run(["dpkg-query", "-S", library], capture_output=True, text=True, check=False)
        if owner.returncode != 0:  # a path of before /usr was merged, or after
            owner = subprocess.run(["dpkg-query", "-S", library.removeprefix("/usr") if library.startswith("/usr") else "/usr" + library],
                                   capture_output=True, text=True, check=True)
        needed.add(owner.stdout.split(":")[0])
    assert needed - {"libc6"} == installed - {"ca-certificates"}


def test_the_image_starts_as_nobody_what_the_program_understands():
    user = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)[-1]
    assert int(user[0]) > 0 and int(user[1]) > 0
    entry, command = (json.loads(re.search(rf"^{word} (\[.*\])$", DOCKERFILE, re.MULTILINE).group(1)) for word in ("ENTRYPOINT", "CMD"))
    run = tollgate(*command, "--no-such-option")
    assert entry == ["/usr/local/bin/tollgate"] and "unknown option --no-such-option" in run.stderr
    assert "--no-supervisor" in command
    for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE):
        assert all((ROOT / source).exists() for source in sources.split())
    assert "nobody has built the image here" in DOCKERFILE


# ---- the NetworkPolicy ----

def test_the_network_policy_lets_through_what_the_shipped_manifests_need_and_no_more():
    policy = yaml.safe_load((PACKAGING / "kubernetes/networkpolicy.yaml").read_text())
    assert (policy["apiVersion"], policy["kind"]) == ("networking.k8s.io/v1", "NetworkPolicy")
    spec = policy["spec"]
    assert spec.keys() == {"podSelector", "policyTypes", "ingress", "egress"} and spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["podSelector"]["matchLabels"]
    reached = {policy["metadata"]["namespace"]}
    for row in spec["egress"]:
        assert row["to"] and row["ports"], "neither everywhere nor every port"
        for peer in row["to"]:
            assert peer.keys() <= {"namespaceSelector", "podSelector"} and all(peer.values())
            for selector in peer.values():
                reached.update(selector.get("matchLabels", {}).values())
                for expression in selector.get("matchExpressions", []):
                    assert expression["operator"] == "In"
                    reached.update(expression["values"])
    text = "".join(file.read_text() for file in SHIPPED.rglob("*.yaml"))
    named = set(re.findall(r"\.([a-z0-9-]+)\.svc\.cluster\.local", text))
    assert len(named) >= 4 and named <= reached
    exposed = {int(port) for port in re.search(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE).group(1).split()}
    assert {port["port"] for row in spec["ingress"] for port in row["ports"]} == exposed
    run = tollgate("check", "-f", PACKAGING / "kubernetes", "--fail-on", "warning")
    assert run.returncode == 0 and "NetworkPolicy" in run.stdout, "passed over, beside manifests"
