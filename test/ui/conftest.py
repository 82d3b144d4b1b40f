"""The live page in Debian's Chromium: a gateway whose world has something of everything, good and bad. Pictures go to
BUILD/ui, for eyes. The players are those of test/e2e."""
import importlib.util
import json
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

from browser import Browser  # noqa: E402
from play.gateway import BUILD  # noqa: E402
from play.manifests import (ENVOY_API, ai_backend, ai_route, ai_rule, backend, http_listener, https_listener,  # noqa: E402
                            local_provider, model, path, provider, route, rule, security_policy, target, thing,
                            tls_secret, world)
from play.ports import free_port  # noqa: E402
from play.upstream import Answer  # noqa: E402

_spec = importlib.util.spec_from_file_location("e2e_conftest", HERE.parent / "e2e/conftest.py")
_e2e = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_e2e)
gateway, upstream, issuer, authority = _e2e.gateway, _e2e.upstream, _e2e.issuer, _e2e.authority
pytest_configure = _e2e.pytest_configure

PICTURES = BUILD / "ui"
MARKUP = "<img src=x onerror=alert(1)><b>bold</b>"


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    made = Browser(tmp_path_factory.mktemp("browser"))
    yield made
    made.close()


@pytest.fixture
def page(browser):
    return browser.page()


def chat(request, _connection):
    asked = json.loads(request.body)
    usage = {"prompt_tokens": 900, "completion_tokens": 300, "total_tokens": 1200}
    made = {"id": "c", "object": "chat.completion", "created": 1, "model": asked["model"], "usage": usage,
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi!"}}]}
    return Answer(headers=[("content-type", "application/json")], body=json.dumps(made).encode())


def limit(requests, unit, *headers, response=None):
    cost = {"request": {"from": "Number", "number": 0 if response else 1}}
    if response:
        cost["response"] = {"from": "Metadata", "metadata": {"namespace": "io.envoy.ai_gateway", "key": response}}
    return {"limit": {"requests": requests, "unit": unit}, "shared": True, "cost": cost,
            "clientSelectors": [{"headers": [{"name": name, **more} for name, more in headers]}]}


class World:
    """A gateway with tenants, models, limits, backends that are well and sick, and objects that are not."""

    def __init__(self, gateway, upstream, issuer, authority):
        self.keys, up, model_server = issuer(), upstream("a"), upstream("model")
        model_server.script = chat
        bad = upstream("bad")
        bad.script = lambda _request, _connection: Answer(status=500)
        jwt = {**provider(self.keys), "claimToHeaders": [{"header": "x-tenant", "claim": "tenant"}]}
        distinct = ("x-tenant", {"type": "Distinct"})
        policy = {"targetRefs": [target("Gateway", "front")],
                  "circuitBreaker": {"maxConnections": 64},
                  "healthCheck": {"active": {"type": "TCP", "timeout": "1s", "interval": "1s", "unhealthyThreshold": 1,
                                             "healthyThreshold": 1, "tcp": {}}},
                  "rateLimit": {"global": {"rules": [
                      limit(10000, "Hour", distinct, response="llm_total_token"),
                      limit(1000, "Minute", distinct),
                      limit(5000, "Hour", ("x-tenant", {"type": "Exact", "value": "tenant-b"}), response="llm_total_token")]}}}
        self.gw = gateway(world(
            backend("orders", up, up), backend("half-sick", up, free_port()), backend("gone", free_port()),
            backend("failing", bad), backend("keys", self.keys.port), backend("chat", model_server), ai_backend("chat"),
            ai_route("assistants", ai_rule("chat", matches=[model("small"), model(MARKUP)]), costs=[("llm_total_token", "TotalToken")]),
            route("orders", rule("orders", matches=[path("/orders")]), rule("half-sick", matches=[path("/half")]),
                  rule("gone", matches=[path("/gone")]), rule("failing", matches=[path("/failing")])),
            route("lost", rule("orders"), parent="nowhere"),
            route("dangling", rule("not-there", matches=[path("/dangling")])),
            tls_secret("cert", authority.leaf("one.test")), thing(ENVOY_API, "BackendTrafficPolicy", "limits", policy),
            security_policy("tokens", target("Gateway", "front"), jwt={"providers": [jwt]}),
            listeners=[http_listener(), https_listener()]))
        self.url = f"http://127.0.0.1:{self.gw.admin_port}/"

    def ask(self, tenant="tenant-a", name="small"):
        return self.gw.request("/v1/chat/completions", json={"model": name, "messages": []}, token=self.keys.token(tenant))

    def live(self):
        """Some of everything."""
        for tenant, times in (("tenant-a", 6), ("tenant-b", 5), (MARKUP, 1)):
            for _ in range(times):
                self.ask(tenant)
        self.ask(MARKUP, MARKUP)
        token = self.keys.token("tenant-c")
        for at in ("/orders", "/orders/7", "/half", "/failing", "/gone", "/dangling", "/nowhere"):
            self.gw.request(at, token=token)
        for i in range(4):
            self.gw.request(f"/orders/{i}/of-whom-nobody-knows?secret=1")
        self.gw.request("/orders")
        self.gw.request("/orders", token="no.token.this")
        self.gw.request("/orders", headers=[("x_bad", "1")])


@pytest.fixture
def full_world(gateway, upstream, issuer, authority):
    return World(gateway, upstream, issuer, authority)
