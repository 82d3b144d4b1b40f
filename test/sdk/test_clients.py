"""The official clients of OpenAI and Anthropic, for Python and for Node, unchanged, against the gateway: whatever
the client speaks and whatever the model's provider speaks, the client sees answers and errors of its own API."""
import os
import re
import signal
import subprocess
import sys
import uuid

import pytest

from clients import ANTHROPIC, OPENAI
from model_servers import ARGUMENTS, TEXT, USAGE_IN, USAGE_OUT
from play.deadline import eventually
from play.gateway import BUILD, ROOT

PROVIDERS = ["openai", "azure", "anthropic"]
TOTAL = [USAGE_IN, USAGE_OUT, USAGE_IN + USAGE_OUT]
ALL = [*OPENAI, *ANTHROPIC]


def each(kinds):
    return pytest.mark.parametrize("kind", kinds, ids=lambda kind: kind.name)


providers = pytest.mark.parametrize("provider", PROVIDERS)


# ---- OpenAI's clients ----

@each(OPENAI)
@providers
def test_chat(town, kind, provider):
    assert town.client(kind).call("chat", f"m-{provider}") == {"text": TEXT, "finish": "stop", "usage": TOTAL}


@each(OPENAI)
@providers
def test_a_stream_shows_usage_only_to_who_asks(town, kind, provider):
    client = town.client(kind)
    assert client.call("chat_stream", f"m-{provider}") == {"text": TEXT, "finish": "stop", "usage": None}
    assert client.call("chat_stream_usage", f"m-{provider}") == {"text": TEXT, "finish": "stop", "usage": TOTAL}


@each(OPENAI)
@providers
@pytest.mark.parametrize("operation", ["tools", "tools_stream"])
def test_a_tool_is_called_and_its_result_told(town, kind, provider, operation):
    made = town.client(kind).call(operation, f"m-{provider}")
    assert made == {"name": "weather", "arguments": ARGUMENTS, "finish": "tool_calls", "text": "It is 7 degrees"}


@each(OPENAI)
@pytest.mark.parametrize("provider", ["openai", "azure"])
@pytest.mark.parametrize("operation", ["embeddings", "embeddings_by_default"])
def test_embeddings(town, kind, provider, operation):
    """The clients ask for base64 unless told otherwise, and decode it themselves."""
    made = town.client(kind).call(operation, f"m-{provider}")
    assert made == {"vectors": [[0.5, -0.25]] * 2, "tokens": USAGE_IN}


@each(OPENAI)
@pytest.mark.parametrize("provider", ["openai", "azure"])
@pytest.mark.parametrize("operation", ["responses", "responses_stream"])
def test_responses(town, kind, provider, operation):
    assert town.client(kind).call(operation, f"m-{provider}") == {"text": TEXT, "usage": TOTAL}


# ---- Anthropic's clients ----

@each(ANTHROPIC)
@providers
@pytest.mark.parametrize("operation", ["chat", "chat_stream"])
def test_messages(town, kind, provider, operation):
    made = town.client(kind).call(operation, f"m-{provider}")
    assert made == {"text": TEXT, "finish": "end_turn", "usage": [USAGE_IN, USAGE_OUT]}


@each(ANTHROPIC)
@providers
@pytest.mark.parametrize("operation", ["tools", "tools_stream"])
def test_a_tool_is_used_and_its_result_told(town, kind, provider, operation):
    made = town.client(kind).call(operation, f"m-{provider}")
    assert made == {"name": "weather", "arguments": ARGUMENTS, "finish": "tool_use", "text": "It is 7 degrees"}


@each(ANTHROPIC)
def test_the_other_base_url_of_messages(town, kind):
    client = kind(f"{town.gateway.url}/anthropic", town.issuer.token(), {})
    assert client.call("chat", "m-anthropic")["text"] == TEXT


# ---- all of them ----

@each(ALL)
def test_the_list_shows_what_the_caller_may_reach(town, kind):
    common = ["m-openai", "m-azure", "m-anthropic", "m-down"]
    assert town.client(kind).call("models") == {"ids": [*common, "m-private", "m-of-a", "m-small", "m-slow"]}
    assert town.client(kind, tenant="tenant-b").call("models") == {"ids": [*common, "m-small", "m-slow"]}


def test_the_provider_never_sees_the_callers_key(town):
    token = town.issuer.token()
    for kind in (OPENAI[0], ANTHROPIC[0]):
        for provider in PROVIDERS:
            assert "error" not in town.client(kind, key=token).call("chat", f"m-{provider}")
            assert token not in getattr(town, provider).last.head.decode()


def refusal(made):
    return made["error"], made["status"]


@each(ALL)
def test_400_for_a_field_of_a_wrong_type(town, kind):
    made = town.client(kind).call("chat", 7)
    assert refusal(made) == ("BadRequestError", 400)
    assert made["type"] == "invalid_request_error"


@each(ALL)
@pytest.mark.parametrize("key", ["wrong", "a.b.c"])
def test_401_for_a_wrong_key(town, kind, key):
    made = town.client(kind, key=key).call("chat", "m-openai")
    assert refusal(made) == ("AuthenticationError", 401)
    assert made["type"] == "authentication_error"


@each(ALL)
def test_401_for_an_expired_key(town, kind):
    assert refusal(town.client(kind, key=town.issuer.token(exp=1)).call("chat", "m-openai")) == ("AuthenticationError", 401)


@each(ALL)
def test_403_for_a_model_of_another_tenant(town, kind):
    assert "error" not in town.client(kind).call("chat", "m-private")
    made = town.client(kind, tenant="tenant-b").call("chat", "m-private")
    assert refusal(made) == ("PermissionDeniedError", 403)
    assert made["type"] == "permission_error"


@each(ALL)
@pytest.mark.parametrize("tenant, name", [("tenant-a", "m-of-nobody"), ("tenant-b", "m-of-a")])
def test_404_for_a_model_that_no_route_serves(town, kind, tenant, name):
    made = town.client(kind, tenant=tenant).call("chat", name)
    assert refusal(made) == ("NotFoundError", 404)
    assert made["type"] == "not_found_error"
    if kind in OPENAI:
        assert made["code"] == "model_not_found"


@each(ALL)
@pytest.mark.parametrize("operation", ["chat", "chat_stream"])
def test_429_once_the_budget_is_used_up(town, kind, operation):
    client = town.client(kind, headers={"x-budget": uuid.uuid4().hex})
    assert client.call(operation, "m-small")["text"] == TEXT
    made = client.call(operation, "m-small")
    assert refusal(made) == ("RateLimitError", 429)
    assert made["type"] == "rate_limit_error" and int(made["retry_after"]) > 1


@each([OPENAI[0], ANTHROPIC[0]])
def test_a_client_that_retries_waits_as_it_is_told(town, kind):
    """One request a second: of three in a row, those refused come again after retry-after and pass."""
    client = town.client(kind)
    client.client = client.client.with_options(max_retries=5)
    before = town.gateway.metric("tollgate_limit_refusals_total", policy="BackendTrafficPolicy/play/slow")
    for _ in range(3):
        assert client.call("chat", "m-slow")["text"] == TEXT
    assert town.gateway.metric("tollgate_limit_refusals_total", policy="BackendTrafficPolicy/play/slow") > before


SERVER_ERRORS = ("InternalServerError", "ServiceUnavailableError", "OverloadedError", "GatewayTimeoutError")


@each(ALL)
@providers
@pytest.mark.parametrize("status", [400, 429, 500, 503])
@pytest.mark.parametrize("operation", ["chat", "chat_stream"])
def test_an_error_of_the_provider_is_one_of_the_clients_api(town, kind, provider, status, operation):
    made = town.client(kind).call(operation, f"m-{provider}", content=f"fail {status}")
    expected = {400: ("BadRequestError",), 429: ("RateLimitError",)}.get(status, SERVER_ERRORS)
    assert made["status"] == status and made["error"] in expected


@each(ALL)
def test_5xx_for_a_provider_that_is_down(town, kind):
    made = town.client(kind).call("chat", "m-down")
    assert made["status"] == 503 and made["error"] in SERVER_ERRORS


@each(ALL)
@providers
def test_a_stream_that_breaks_is_an_error_and_never_an_end(town, kind, provider):
    client = town.client(kind)
    try:
        made = client.call("chat_stream", f"m-{provider}", content="break")
    except Exception as error:  # the Python clients pass on what their HTTP library says
        assert re.search("Protocol|Read|Remote", type(error).__name__), error
        return
    assert "error" in made, made


# ---- the demo's own words ----

def test_the_lines_that_the_demo_prints_for_the_client():
    demo = subprocess.Popen([BUILD / "demo/tollgate-demo", "--port-offset=auto"], cwd=ROOT, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, start_new_session=True)
    try:
        lines = (line for line in demo.stdout if line.startswith("OPENAI_BASE_URL="))
        path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"

        def say(line):
            return subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60, check=False,
                                  env={**os.environ, "PATH": path})
        whole, streamed, models = (say(next(lines)) for _ in range(3))
        assert "You said: Hello" in whole.stdout and "total_tokens=22" in whole.stdout, whole
        assert "You said: Hello" in streamed.stdout and streamed.returncode == 0, streamed
        assert "'demo-chat'" in models.stdout, models
    finally:
        os.killpg(demo.pid, signal.SIGTERM)
        demo.wait(20)
        demo.stdout.close()
