"""docs/quick-start.md, followed line by line: what it says to type works, and what it says to see is seen."""
import json

import pytest

from play.deadline import eventually
from play.gateway import tollgate
from play.quick_start import CONFIG, KEY, Reader, blocks, commands


@pytest.fixture
def reader(tmp_path, authority, upstream):
    return Reader(tmp_path, authority, upstream)


def test_the_page_shows_the_manifest_as_it_is():
    assert blocks("yaml") == [(CONFIG / "openai.yaml").read_text()]
    assert len((CONFIG / "openai.yaml").read_text().splitlines()) <= 55


def test_check_finds_nothing_wrong():
    run = tollgate("check", "-f", CONFIG)
    assert run.returncode == 0 and run.stdout.splitlines()[-1].startswith("0 errors, 0 warnings"), run.stdout


def test_every_step_of_the_page(reader, gateway):
    make, mkdir, sed, run, chat, models, copy_limit, chat_again = commands()
    assert (make, run) == ("make\n", "build/src/app/tollgate run -f my-gateway\n")
    reader.do(mkdir)
    reader.do(sed)
    gw = reader.run_gateway(gateway)

    answer = json.loads(reader.do(chat))
    assert answer["choices"][0]["message"]["content"] == "Hi!" and answer["usage"]["total_tokens"] == 12
    asked = reader.openai.last
    assert (asked.target, asked.get("host")) == ("/v1/chat/completions", "api.openai.com")
    assert asked.get("authorization") == f"Bearer {KEY}"
    assert [one["id"] for one in json.loads(reader.do(models))["data"]] == ["gpt-4o-mini"]

    record = gw.wait_log(lambda r: r.get("model") == "gpt-4o-mini")
    assert (record["tokens_in"], record["tokens_out"], record["tokens_total"]) == (9, 3, 12)
    assert record["tokens_source"] == "provider"

    reader.tokens = [9000, 1000]
    reader.do(copy_limit)
    passed = eventually(lambda: next((text for text in [reader.do(chat_again)] if "x-ratelimit" in text), None),
                        what="the limit")
    assert " 200 " in passed.splitlines()[0] and "x-ratelimit-limit: 10000" in passed
    refused = eventually(lambda: next((text for text in [reader.do(chat_again)] if " 429 " in text.splitlines()[0]), None))
    assert "retry-after: " in refused and "x-ratelimit-remaining: 0" in refused and '"rate_limited"' in refused


def test_a_model_that_is_not_named_is_404(reader, gateway):
    for command in commands()[1:3]:
        reader.do(command)
    reply = reader.run_gateway(gateway).request("/v1/chat/completions", port=8080, json={"model": "other", "messages": []})
    assert (reply.status, reply.code) == (404, "model_not_found")
