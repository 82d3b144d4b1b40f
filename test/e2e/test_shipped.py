"""The shipped manifests on real traffic: each tenant may use its own model, and only that."""
import re
import shutil

import pytest

from play.deadline import eventually
from play.gateway import SHIPPED, tollgate
from play.manifests import service, tls_secret
from play.upstream import Answer

NAMESPACE = "envoy-gateway-system"
IRIS = {"instances": [[5.1, 3.5, 1.4, 0.2]]}
STEPS = ["gateway/gatewayclass.yaml", "gateway/ai-gateway.yaml", "backends/backends.yaml",
         "backends/ai-service-backends.yaml", "security/reference-grants.yaml", "security/jwt-security-policy.yaml",
         "security/backend-security-policy.yaml", "routing/httproute.yaml", "policies/rate-limiting.yaml",
         "observability/telemetry-config.yaml"]


class Town:
    """The neighbours of the shipped manifests: two models, the fallback, the issuer."""

    def __init__(self, upstream, issuer, authority):
        self.iris, self.resnet, self.fallback = upstream("iris"), upstream("resnet"), upstream("fallback")
        self.iris.script = self.predict
        for up in (self.iris, self.resnet, self.fallback):
            up.probe_target = "/health"
        self.issuer = issuer()
        self.authority = authority
        self.overlay = [
            *service("sklearn-iris-predictor-default", 80, self.iris.port, "tenant-a"),
            *service("pytorch-resnet-predictor-default", 80, self.resnet.port, "tenant-c"),
            *service("istio-ingressgateway", 80, self.fallback.port, "istio-system"),
            {**tls_secret("ai-gateway-tls", authority.leaf("localhost", "gateway.test")),
             "metadata": {"name": "ai-gateway-tls", "namespace": NAMESPACE}}]
        self.args = ["--resolve", "jwt-server.default.svc.cluster.local:8080="
                     f"127.0.0.1:{self.issuer.port}"]

    @staticmethod
    def predict(request, _connection):
        if request.method != "POST":
            return Answer(status=405, body=b"{}")
        return Answer(headers=[("content-type", "application/json")], body=b'{"predictions": [0]}')


@pytest.fixture
def town(upstream, issuer, authority):
    return Town(upstream, issuer, authority)


@pytest.fixture
def served(town, gateway):
    gw = gateway(town.overlay, paths=[SHIPPED], args=town.args)
    eventually(lambda: gw.request("/x", token=town.issuer.token()).status == 200, what="the keys")
    return gw, town


def test_predict_for_the_tenant_of_the_model(served):
    gw, town = served
    reply = gw.request("/v1/models/sklearn-iris:predict", json=IRIS, token=town.issuer.token("tenant-a"))
    assert (reply.status, reply.json) == (200, {"predictions": [0]})
    seen = town.iris.last
    assert seen.target == "/v1/models/sklearn-iris:predict"
    assert (seen.get("x-tenant"), seen.get("x-gateway")) == ("tenant-a", "ai-gateway")
    assert (seen.get("x-jwt-tenant"), seen.get("x-jwt-sub")) == ("tenant-a", "user-of-tenant-a")
    assert seen.get("x-ai-eg-model") == "sklearn-iris"


def test_the_limit_that_leaves_least_is_the_tenants(served):
    gw, town = served
    for tenant in ("tenant-a", "tenant-b"):
        replies = [gw.request("/x", token=town.issuer.token(tenant)) for _ in range(2)]
        assert all(reply.get("x-ratelimit-limit") == "100" for reply in replies)
        left = [int(reply.get("x-ratelimit-remaining")) for reply in replies]
        assert left[1] < left[0] < 100 or left[1] == 99, "of this minute, or the next"


def test_predict_over_https(served):
    gw, town = served
    reply = gw.request("/v1/models/sklearn-iris:predict", json=IRIS, token=town.issuer.token(), port=443,
                       tls=town.authority.client(), host="localhost")
    assert reply.status == 200


def test_the_printed_curl_is_a_get_and_gets_the_models_own_405(served):
    gw, town = served
    assert gw.request("/v1/models/sklearn-iris:predict", token=town.issuer.token()).status == 405


@pytest.mark.parametrize("target", [
    "/v1/models/sklearn-iris:predict", "/v1/models/sklearn-iris%3Apredict", "/v2/models/sklearn-iris/infer",
    "/v1/models/sklearn-iris:explain", "/v1/models/sklearn-iris", "//v1/models/./sklearn-iris:predict",
    "/v1/models/x/../sklearn-iris:predict", "/v1/models/sklearn%2diris:predict", "/v2/models/sklearn-iris",
    "/v2/models/sklearn-iris/versions/1/infer"])
def test_another_tenants_model_is_forbidden_however_spelled(served, target):
    gw, town = served
    for tenant in ("tenant-b", "tenant-c"):
        reply = gw.request(target, json=IRIS, token=town.issuer.token(tenant),
                           headers=[("x-tenant", "tenant-a"), ("x-ai-eg-model", "other")])
        assert (reply.status, reply.code) == (403, "forbidden"), tenant
        assert isinstance(reply.json["error"], str), "KServe's shape"
    assert not town.iris.requests


def test_resnet_belongs_to_tenant_c(served):
    gw, town = served
    token = town.issuer.token
    assert gw.request("/v2/models/pytorch-resnet/infer", json={}, token=token("tenant-c")).status == 200
    assert town.resnet.last.get("x-tenant") == "tenant-c"
    for tenant in ("tenant-a", "tenant-b"):
        assert gw.request("/v2/models/pytorch-resnet/infer", json={}, token=token(tenant)).status == 403


def test_without_a_token_nothing_passes(served):
    gw, town = served
    n = len(town.fallback.requests)
    for target in ("/v1/models/sklearn-iris:predict", "/anything/else", "/"):
        reply = gw.request(target)
        assert (reply.status, reply.code) == (401, "token_missing")
        assert reply.get("www-authenticate").startswith("Bearer")
    assert not town.iris.requests and len(town.fallback.requests) == n


def test_an_unknown_tenant_is_forbidden(served):
    gw, town = served
    assert gw.request("/anything", token=town.issuer.token("tenant-x")).status == 403
    assert gw.request("/anything", token=town.issuer.token(tenant=None)).status == 403


def test_anything_else_reaches_the_fallback(served):
    gw, town = served
    assert gw.request("/anything/else", token=town.issuer.token("tenant-b")).status == 200
    assert town.fallback.last.get("x-forwarded-by") == "ai-gateway"
    assert town.fallback.last.target == "/anything/else"


CHAT = "/v1/chat/completions"


def test_a_chat_completion_for_any_model_goes_where_the_ai_route_says(served):
    gw, town = served
    n = len(town.fallback.requests)
    reply = gw.request(CHAT, json={"model": "x", "messages": []}, token=town.issuer.token())
    assert reply.status == 200
    assert len(town.fallback.requests) == n + 1 and town.fallback.last.get("x-ai-eg-model") == "x"
    assert town.fallback.last.get("authorization") is None, "the caller's token stays in the gateway"


def test_another_tenants_model_is_forbidden_on_the_chat_endpoint_too(served):
    gw, town = served
    for tenant in ("tenant-b", "tenant-c"):
        reply = gw.request(CHAT, json={"model": "sklearn-iris", "messages": []}, token=town.issuer.token(tenant))
        assert (reply.status, reply.code) == (403, "forbidden"), tenant
    assert not town.iris.requests


def test_check_finds_no_error():
    run = tollgate("check", "-f", SHIPPED)
    assert run.returncode == 0, run.stdout
    assert run.stdout.splitlines()[-1].startswith("0 errors")


def test_the_access_log_names_tenant_and_model(town, gateway, tmp_path):
    folder = tmp_path / "config"
    shutil.copytree(SHIPPED, folder)
    (folder / "observability/telemetry-config.yaml").unlink()  # the JSON default instead of its text
    gw = gateway(town.overlay, paths=[folder], args=town.args)
    token = town.issuer.token()
    eventually(lambda: gw.request("/x", token=token).status == 200)
    gw.request("/v1/models/sklearn-iris:predict", json=IRIS, token=token)
    record = gw.wait_log(lambda r: "predict" in r.get("x-envoy-origin-path", ""))
    assert (record["tenant"], record["model"], record["response_code"]) == ("tenant-a", "sklearn-iris", 200)
    eventually(lambda: gw.metric("ai_model_requests_total", tenant="tenant-a", model="sklearn-iris",
                                 response_code="200") == 1)
    assert gw.metric("ai_model_request_duration_seconds_count", tenant="tenant-a") == 1


def conditions(gw, kind, name):
    for made in gw.status()["objects"]:
        if (made["kind"], made["name"]) == (kind, name):
            return {c["type"]: (c["status"], c["reason"]) for c in made["conditions"]}
    return None


def test_the_text_log_of_the_shipped_telemetry_resolves_model_and_subject(served):
    gw, town = served
    gw.request("/v1/models/sklearn-iris:predict", json=IRIS, token=town.issuer.token())
    line = eventually(lambda: next((text for text in (gw.folder / "stdout").read_text().splitlines()
                                    if ":predict" in text), None))
    assert 'tenant="tenant-a" model="sklearn-iris" jwt_sub="user-of-tenant-a"' in line
    assert re.search(r'"POST /v1/models/sklearn-iris:predict HTTP/1.1" 200 -', line)


# ---- the document's deployment order, file by file ----

def missing(gw):
    return sorted({lack["object"] for lack in gw.status()["missing"]})


AI_ROUTE = f"AIGatewayRoute/{NAMESPACE}/ai-inference-gateway"
POLICY = f"SecurityPolicy/{NAMESPACE}/jwt-auth-policy"
GUARD = f"BackendSecurityPolicy/{NAMESPACE}/model-backend-security"
CLASS = "GatewayClass/ai-gateway-class"


def test_the_deployment_order_file_by_file(town, gateway):
    """After each file: what is complete serves, and /status names what is missing."""
    gw = gateway(town.overlay, args=town.args, ports=[80, 443], until="/healthz")
    token = town.issuer.token()

    def deploy(name):
        before = gw.n_reloads("ok")
        shutil.copy(SHIPPED / name, gw.manifests / name.replace("/", "-"))
        eventually(lambda: gw.n_reloads("ok") > before, 15)

    def predict(who=token):
        return gw.request("/v1/models/sklearn-iris:predict", json=IRIS, token=who).status

    expected = {  # what a prediction gets, and which objects lack something
        "gateway/gatewayclass.yaml": (None, [CLASS]),
        "gateway/ai-gateway.yaml": (500, [AI_ROUTE, CLASS]),  # a rule without its backend
        "backends/backends.yaml": (500, [AI_ROUTE, CLASS]),
        "backends/ai-service-backends.yaml": (200, [CLASS]),
        "security/reference-grants.yaml": (200, [CLASS]),
        "security/jwt-security-policy.yaml": (200, [CLASS, POLICY]),  # its HTTPRoute is not there yet
        "security/backend-security-policy.yaml": (500, [GUARD, CLASS, POLICY]),  # a Secret that nobody ships
        "routing/httproute.yaml": (200, [GUARD, CLASS]),
        "policies/rate-limiting.yaml": (200, [GUARD, CLASS]),
        "observability/telemetry-config.yaml": (200, [GUARD]),
    }
    assert gw.get_admin("/ready").status == 503
    for name in STEPS:
        deploy(name)
        status, lacks = expected[name]
        assert missing(gw) == sorted(lacks), name
        if status is not None:
            eventually(lambda: predict() == status, what=f"{status} after {name}")
    assert gw.request("/anything").status == 401
    assert gw.request("/anything", token=token).status == 200
