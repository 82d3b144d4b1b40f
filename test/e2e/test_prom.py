"""The dashboards and alerts against a real Prometheus that scrapes a gateway under traffic: every query of every
panel, and every rule, has data. Whether an alert fires when it should is for promtool's own tests of rules."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import urllib.parse
import urllib.request

import pytest
import yaml

from play.deadline import eventually
from play.gateway import SHIPPED
from play.grpc_server import GrpcClient
from play.health import http_check
from play.manifests import gateway as gateway_of
from play.manifests import (ENVOY_API, ai_backend, ai_route, ai_rule, backend, grpc_route, http_listener,
                            path, provider, route, rule, security_policy, target, thing, tls_secret, world)
from play.ports import free_port
from play.upstream import Answer

pytestmark = pytest.mark.prom
CONFIG = SHIPPED.parent
ALERTS = CONFIG / "prometheus" / "alerts.yaml"
CHAT = "/v1/chat/completions"
N_MODELS = 2100  # more than a histogram of one worker has series for
USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}


def tool(name):
    found = shutil.which(name)
    assert found, f"{name} is in Debian's package prometheus"
    return found


class Prometheus:
    """One that scrapes a gateway every two seconds, with the shipped rules."""

    def __init__(self, folder, gw):
        self.port, self.folder = free_port(), folder
        config = {"global": {"scrape_interval": "2s", "evaluation_interval": "2s"}, "rule_files": [str(ALERTS)],
                  "scrape_configs": [{"job_name": "tollgate", "static_configs": [{"targets": [f"127.0.0.1:{gw.admin_port}"]}]}]}
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        self.log = open(folder / "log", "wb")
        self.process = subprocess.Popen(
            [tool("prometheus"), f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address=127.0.0.1:{self.port}"], stdout=self.log, stderr=self.log, cwd=folder)
        eventually(self.is_ready, 60, "Prometheus")

    def get(self, where, **query):
        url = f"http://127.0.0.1:{self.port}{where}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=30) as reply:
            return json.load(reply)

    def is_ready(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=5) as reply:
                return reply.status == 200
        except OSError:
            return False

    def query(self, text):
        """Label sets with a number."""
        said = self.get("/api/v1/query", query=text)
        assert said["status"] == "success", said
        return [r["metric"] for r in said["data"]["result"] if r["value"][1] != "NaN"]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.log.close()


def model_script(request, _connection):
    """Chat, as a stream or a document, with its usage."""
    asked = json.loads(request.body)
    if asked["model"] == "broken":
        return Answer(status=500, body=b"{}")
    if not asked.get("stream"):
        made = {"model": "served", "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}}], "usage": USAGE}
        return Answer(headers=[("content-type", "application/json")], body=json.dumps(made).encode())
    events = [{"choices": [{"index": 0, "delta": {"content": word}}]} for word in ("one", "two", "three")]
    events.append({"choices": [], "usage": USAGE})
    return Answer(headers=[("content-type", "text/event-stream")],
                  chunks=[f"data: {json.dumps(event)}\n\n".encode() for event in events] + [b"data: [DONE]\n\n"])


def policy(name, of, kind="HTTPRoute", **spec):
    return thing(ENVOY_API, "BackendTrafficPolicy", name, {"targetRefs": [target(kind, of)], **spec})


class Town:
    """All that the dashboards show: models, tenants, limits, backends that are ill, calls of gRPC."""

    def __init__(self, gateway, upstream, issuer, server, authority):
        who = issuer()
        up = upstream("model")
        up.script = model_script
        shaky, closed = upstream("shaky"), free_port()
        shaky.script = lambda *_: Answer(status=503)
        tenant = {**provider(who), "claimToHeaders": [{"claim": "tenant", "header": "x-tenant"}]}
        budget = {"limit": {"requests": 1000000, "unit": "Year"}, "shared": True, "clientSelectors": [
            {"headers": [{"name": "x-tenant", "type": "Distinct"}]}]}
        none_left = {"limit": {"requests": 1, "unit": "Year"}, "shared": True, "clientSelectors": [
            {"headers": [{"name": "x-poor", "value": "1"}]}]}
        self.gw = gateway(world(
            backend("keys", who), backend("model", up), ai_backend("model"), ai_route("ai", ai_rule("model")),
            security_policy("jwt", target("HTTPRoute", "ai"), jwt={"providers": [tenant]}),
            policy("limits", "ai", rateLimit={"global": {"rules": [budget, none_left]}}),
            backend("shaky", shaky), route("shaky", rule("shaky", matches=[path("/shaky")])),
            policy("care", "shaky", retry={"numRetries": 1, "retryOn": {"httpStatusCodes": [503]}},
                   circuitBreaker={"maxParallelRequests": 10},
                   healthCheck={"active": http_check(interval="500ms"), "passive": {"consecutive5XxErrors": 3}}),
            backend("closed", closed), route("closed", rule("closed", matches=[path("/closed")])),
            backend("calls", server("calls")), gateway_of("phone", listeners=[http_listener("calls", 81)]),
            grpc_route("calls", rule("calls"), parent="phone"),
            tls_secret("certificate", authority.leaf("a.test"))), args=("--workers", "1"))
        self.token = who.token("tenant-a")
        eventually(lambda: self.ask().status == 200, what="the keys")

    def ask(self, model="m", body=(), **more):
        return self.gw.request(CHAT, json={"model": model, "messages": [], **dict(body)}, token=self.token, **more)

    def crowd(self):
        for n in range(N_MODELS):
            assert self.ask(f"model-{n}").status == 200

    def round(self):
        """One of everything."""
        gw = self.gw
        assert self.ask().status == self.ask(body={"stream": True}).status == 200
        assert self.ask(headers=[("x-poor", "1")]).status in (200, 429)
        assert self.ask("broken").status == 500
        assert gw.request(CHAT, json={"model": "m"}).status == 401
        assert gw.request("/shaky").status == 503
        assert gw.request("/closed").status == 503
        with GrpcClient(gw.port(81)) as client:
            assert client.call("/a.B/C", b"x") == b"calls:x"


@pytest.fixture
def town(gateway, upstream, issuer, server, authority):
    return Town(gateway, upstream, issuer, server, authority)


@pytest.fixture
def prometheus(town, tmp_path):
    folder = tmp_path / "prometheus"
    folder.mkdir()
    made = Prometheus(folder, town.gw)
    yield made
    made.stop()


def shipped_dashboard():
    for thing_ in yaml.safe_load_all((SHIPPED / "observability" / "telemetry-config.yaml").read_text()):
        if thing_["kind"] == "ConfigMap":
            return json.loads(thing_["data"]["ai-gateway.json"])
    return None


def queries(dashboard):
    """(title, query) of every panel, as Grafana would ask: its variables in place."""
    for panel in dashboard["panels"]:
        for asked in panel.get("targets", []):
            text = asked["expr"].replace("$__rate_interval", "1m").replace("$__range", "1h")
            text = text.replace("$job", "tollgate").replace("$instance", ".*")
            assert "$" not in text, text
            yield panel["title"], text


def judged(text):
    """What an alert compares with its threshold, of each of its parts."""
    parts = [part.strip() for part in re.split(r"\band on \(\w+\)", text)]
    found = [re.fullmatch(r"(?s)(.+?)\s*[<>]=?\s*[\d.]+", part) for part in parts]
    assert all(found), text
    return [match[1] for match in found]


def test_every_panel_and_rule_has_data(town, prometheus):
    town.crowd()
    dashboards = [shipped_dashboard(), *(json.loads(file.read_text()) for file in sorted((CONFIG / "grafana").glob("*.json")))]
    wanted = [query for dashboard in dashboards for query in queries(dashboard)]
    rules = [made for group in yaml.safe_load(ALERTS.read_text())["groups"] for made in group["rules"]]
    # What fires where nothing is has no data here: promtool's test alone has.
    wanted += [(made["alert"], part) for made in rules if not made["expr"].startswith("absent(") for part in judged(made["expr"])]
    assert len(dashboards) == 2 and len(wanted) > 60

    def missing():
        town.round()
        return [(title, text) for title, text in wanted if not prometheus.query(text)]
    left = []

    def is_done():
        left[:] = missing()
        return not left
    try:
        eventually(is_done, 60, "data")
    except AssertionError:
        target_ = prometheus.get("/api/v1/targets")["data"]["activeTargets"][0]
        raise AssertionError(f"{target_['health']} {target_['lastError']}; without data: " +
                             "\n".join(f"{title}: {text}" for title, text in left)) from None
    loaded = {made["name"] for group in prometheus.get("/api/v1/rules")["data"]["groups"] for made in group["rules"]}
    assert loaded == {made["alert"] for made in rules}
    healths = [made["health"] for group in prometheus.get("/api/v1/rules")["data"]["groups"] for made in group["rules"]]
    assert set(healths) == {"ok"}


def test_panels_lie_side_by_side_and_say_what_they_show():
    for file in (CONFIG / "grafana").glob("*.json"):
        panels = json.loads(file.read_text())["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        places = [(p["gridPos"]["x"], p["gridPos"]["y"], p["gridPos"]["w"], p["gridPos"]["h"]) for p in panels]
        for i, (x, y, w, h) in enumerate(places):
            assert 0 <= x and x + w <= 24
            for x2, y2, w2, h2 in places[i + 1:]:
                assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y, "two panels in one place"
        assert all(panel["type"] == "row" or panel["description"] for panel in panels)


@pytest.mark.parametrize("what", ["rules", "config"])
def test_promtool_takes_the_files(what):
    file = ALERTS if what == "rules" else CONFIG / "prometheus" / "prometheus.yaml"
    subprocess.run([tool("promtool"), "check", what, str(file)], check=True, timeout=60, capture_output=True)


def test_each_alert_fires_when_it_should_and_not_before(tmp_path):
    """prom_alerts.yaml has series for each alert; one without a test fails here."""
    tests = pathlib.Path(__file__).parent / "prom_alerts.yaml"
    said = yaml.safe_load(tests.read_text())
    tested = {case["alertname"] for test in said["tests"] for case in test["alert_rule_test"] if case["exp_alerts"]}
    quiet = {case["alertname"] for test in said["tests"] for case in test["alert_rule_test"] if not case["exp_alerts"]}
    alerts = {made["alert"]: made for group in yaml.safe_load(ALERTS.read_text())["groups"] for made in group["rules"]}
    assert tested == quiet == set(alerts)
    for case in (case for test in said["tests"] for case in test["alert_rule_test"]):
        for expected in case["exp_alerts"]:
            expected["exp_annotations"]["description"] = alerts[case["alertname"]]["annotations"]["description"]
    said["rule_files"] = [os.path.relpath(ALERTS, tmp_path)]
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(said))
    done = subprocess.run([tool("promtool"), "test", "rules", "tests.yaml"], cwd=tmp_path, timeout=60, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr
