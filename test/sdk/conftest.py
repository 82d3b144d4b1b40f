"""One gateway for the whole suite, before stand-ins of three providers; the players are those of test/e2e."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "e2e"))

from play.gateway import Gateway  # noqa: E402
from play.issuer import Issuer  # noqa: E402
from play.manifests import (ENVOY_API, ai_backend, ai_route, ai_rule, backend, credentials, header, local_provider,  # noqa: E402
                            model, secret, security_policy, target, thing, world)
from play.ports import free_port  # noqa: E402
from play.upstream import Upstream  # noqa: E402

import model_servers  # noqa: E402

COSTS = [("llm_total_token", "TotalToken")]
SMALL_BUDGET = 10  # tokens: less than one answer


def start_upstream(script):
    made = Upstream("provider")
    made.script = script
    return made


def limits(name, rule):
    return thing(ENVOY_API, "BackendTrafficPolicy", name,
                 {"targetRefs": [target("HTTPRoute", name)], "rateLimit": {"type": "Global", "global": {"rules": [rule]}}})


def budget(name, tokens):
    """A limit on tokens for every value of x-budget, so that each test has its own."""
    used = {"from": "Metadata", "metadata": {"namespace": "io.envoy.ai_gateway", "key": "llm_total_token"}}
    return limits(name, {"clientSelectors": [{"headers": [{"name": "x-budget", "type": "Distinct"}]}],
                         "limit": {"requests": tokens, "unit": "Year"}, "shared": True,
                         "cost": {"request": {"from": "Number", "number": 0}, "response": used}})


def key_policy(issuer, *routes):
    """A token as the API key, where each of the clients puts it; m-private is not for tenant-b."""
    provider = local_provider(issuer, claimToHeaders=[{"claim": "tenant", "header": "x-tenant"}], extractFrom={
        "headers": [{"name": "authorization", "valuePrefix": "Bearer "}, {"name": "x-api-key"}]})
    deny = {"action": "Deny", "principal": {
        "jwt": {"provider": "provider", "claims": [{"name": "tenant", "values": ["tenant-b"]}]},
        "headers": [{"name": "x-ai-eg-model", "values": ["m-private"]}]}}
    return security_policy("keys", *(target("HTTPRoute", name) for name in routes), jwt={"providers": [provider]},
                           authorization={"defaultAction": "Allow", "rules": [deny]})


class Town:
    """The gateway and what it needs. Models are called m-<provider>."""

    def __init__(self, folder):
        self.issuer = Issuer()
        self.openai = start_upstream(model_servers.Openai())
        self.azure = start_upstream(model_servers.Openai())
        self.anthropic = start_upstream(model_servers.Anthropic())
        self.gateway = Gateway(folder, self.manifests()).start()

    def manifests(self):
        azure = {"name": "AzureOpenAI", "version": "2025-01-01-preview"}
        return world(
            backend("openai", self.openai), backend("azure", self.azure), backend("anthropic", self.anthropic),
            backend("down", free_port()),
            ai_backend("openai"), ai_backend("azure", schema=azure), ai_backend("anthropic", schema="Anthropic"),
            ai_backend("down"),
            credentials("openai-key", "APIKey", "apiKey", "openai-key", "openai", "down"), secret("openai-key", apiKey="openai-key"),
            credentials("azure-key", "AzureAPIKey", "azureAPIKey", "azure-key", "azure"), secret("azure-key", apiKey="azure-key"),
            credentials("anthropic-key", "AnthropicAPIKey", "anthropicAPIKey", "anthropic-key", "anthropic"),
            secret("anthropic-key", apiKey="anthropic-key"),
            ai_route("ai", *(ai_rule(name, matches=[model(f"m-{name}")]) for name in ("openai", "azure", "anthropic", "down")),
                     ai_rule("openai", matches=[model("m-private")]),
                     ai_rule("openai", matches=[{"headers": [header("x-ai-eg-model", "m-of-a"), header("x-tenant", "tenant-a")]}]),
                     costs=COSTS),
            ai_route("small", ai_rule("openai", matches=[model("m-small")]), costs=COSTS),
            budget("small", SMALL_BUDGET),
            ai_route("slow", ai_rule("openai", matches=[model("m-slow")]), costs=COSTS),
            limits("slow", {"limit": {"requests": 1, "unit": "Second"}, "shared": True}),
            key_policy(self.issuer, "ai", "small", "slow"))

    def client(self, kind, tenant="tenant-a", key=None, headers=None):
        return kind(self.gateway.url, key or self.issuer.token(tenant), headers or {})

    def stop(self):
        try:
            self.gateway.stop()
        finally:
            for made in (self.issuer, self.openai, self.azure, self.anthropic):
                made.stop()


@pytest.fixture(scope="session")
def town(tmp_path_factory):
    made = Town(tmp_path_factory.mktemp("town"))
    yield made
    made.stop()
