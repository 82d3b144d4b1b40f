"""Exactness: every request makes one record, whatever its end; what providers tell is taken as they tell it,
what they do not tell is estimated near the truth; and budgets agree with the records to the token."""
import asyncio
import json
import re
import signal
import threading

import pytest

from play import exact
from play.deadline import eventually
from play.exact import CHAT, Exchange, ModelServer, content_of
from play.gateway import as_text, tollgate
from play.manifests import (ENVOY_API, ai_backend, ai_route, ai_rule, backend, client_policy, local_provider, model,
                            security_policy, target, thing, world)
from play.ports import free_port
from play.upstream import Answer

COSTS = [("llm_total_token", "TotalToken")]
BUDGET = 1_000_000_000
# An estimate is worth its 25 % from this many tokens on (at 2 to 6 bytes a token its standard deviation
# there is 5.6 %); of shorter streams it is off by some tokens.
N_LONG, SLACK_TOKENS = 40, 8


def token_limit(requests, key="llm_total_token", number=0, **more):
    """A budget of tokens, of the answers' real usage."""
    usage = {"from": "Metadata", "metadata": {"namespace": "io.envoy.ai_gateway", "key": key}}
    return {"limit": {"requests": requests, "unit": "Year"}, "shared": True,
            "cost": {"request": {"from": "Number", "number": number}, "response": usage}, **more}


def budget(*rules, name="budget"):
    return thing(ENVOY_API, "BackendTrafficPolicy", name,
                 {"targetRefs": [target("Gateway", "front")], "rateLimit": {"global": {"rules": list(rules)}}})


def one_model(up, *more, costs=COSTS, **spec):
    return world(backend("b", up), ai_backend("b", **spec), ai_route("ai", ai_rule("b", matches=[model("m")]), costs=costs), *more)


def number_of(record):
    found = re.search(r"\?n=(\d+)", record["x-envoy-origin-path"])
    return int(found[1]) if found else None


def play(gateway, n_requests, n_at_once, seed):
    """Runs it, and answers gateway, exchanges by number, and records by number."""
    exchanges = {}
    started = []

    async def run():
        exchanges.update({n: Exchange(seed, n) for n in range(n_requests)})
        server = ModelServer(exchanges)
        await server.start()
        started.append(gateway(one_model(server.port, budget(token_limit(BUDGET)))))
        gw = started[0]
        await exact.play(exchanges.values(), gw.port(), n_at_once)
        await asyncio.to_thread(eventually, lambda: gw.metric("tollgate_exchanges_active") == 0, 30)
        # What is left of the budget, told to a last request that reserves a known part of it.
        body = {"model": "m", "messages": [], "max_tokens": 1}
        reply = await asyncio.to_thread(gw.request, f"{CHAT}?n={n_requests}", json=body)
        return int(reply.get("x-ratelimit-remaining")) + len(json.dumps(body)) // 4 + 1

    remaining = asyncio.run(run())
    gw = started[0]
    lines = eventually(lambda: len(gw.log()) > n_requests and gw.log(), 30, "all records")
    records = [record for record in lines if number_of(record) != n_requests]
    assert gw.metric("tollgate_access_log_dropped_lines_total") == 0
    return gw, exchanges, records, remaining


def check_one(x, record):
    """The record of one exchange against what its two ends know."""
    source, seen = record["tokens_source"], x.seen
    if not seen.is_asked:
        assert (source, record["tokens_total"]) == (None, None), "it never came to a model"
        return
    assert source in ("provider", "estimated"), "nothing that a model worked on is free"
    assert record["tokens_total"] == record["tokens_in"] + record["tokens_out"]
    if seen.is_finished and seen.is_complete and x.usage != "silent":
        assert (source, record["tokens_in"], record["tokens_out"]) == ("provider", x.tokens_in, x.tokens_out)
        return
    passed = content_of(seen.prefix)
    n_least, n_most = x.tokens_within(x.expected_content()), x.tokens_within(passed)
    if source == "provider":  # told so far, and nothing came after it
        assert record["tokens_in"] == x.tokens_in and n_least <= record["tokens_out"] <= n_most
        return
    assert n_least * 0.75 - SLACK_TOKENS <= record["tokens_out"] <= n_most * 1.25 + SLACK_TOKENS
    if n_least >= N_LONG:
        assert n_least * 0.75 <= record["tokens_out"] <= n_most * 1.25


def check_all(gw, exchanges, records, remaining):
    numbers = [number_of(record) for record in records]
    assert sorted(numbers) == sorted(exchanges), "one record for each request"
    by_number = dict(zip(numbers, records))
    for n, x in exchanges.items():
        try:
            check_one(x, by_number[n])
        except AssertionError as fault:
            raise AssertionError(f"request {n}: {fault}: {vars(x.seen)} {x.end} {x.usage} stream={x.is_stream} "
                                 f"gzip={x.wants_gzip} {by_number[n]}") from None
    finished = [x for x in exchanges.values() if x.seen.is_complete and x.usage != "silent"]
    told = [by_number[x.number] for x in finished]
    assert sum(r["tokens_total"] for r in told) == sum(x.tokens_in + x.tokens_out for x in finished)
    estimated = [x for n, x in exchanges.items() if by_number[n]["tokens_source"] == "estimated"]
    truth_out = sum(x.tokens_within(content_of(x.seen.prefix)) for x in estimated)
    truth_in = sum(x.tokens_in for x in estimated)
    assert sum(by_number[x.number]["tokens_out"] for x in estimated) == pytest.approx(truth_out, rel=0.05)
    assert sum(by_number[x.number]["tokens_in"] for x in estimated) == pytest.approx(truth_in, rel=0.05)
    spent = sum(record["tokens_total"] or 0 for record in records)
    assert remaining == BUDGET - spent, "the budget agrees with the records"
    for name, field in (("processed", "tokens_in"), ("generated", "tokens_out")):
        total = sum(record[field] or 0 for record in gw.log())
        assert gw.metric(f"ai_model_tokens_{name}") == gw.metric(f"ai_model_tokens_{name}_total") == total
    return {"requests": len(records), "told": len(told), "estimated": len(estimated),
            "estimate of output / truth": round(sum(by_number[x.number]["tokens_out"] for x in estimated) / truth_out, 4),
            "estimate of input / truth": round(sum(by_number[x.number]["tokens_in"] for x in estimated) / truth_in, 4)}


def test_records_and_budgets_are_exact_whatever_the_end(gateway):
    print(check_all(*play(gateway, 500, 32, "plain")))


@pytest.mark.exact
def test_ten_thousand_records_and_budgets_are_exact(gateway):
    print(check_all(*play(gateway, 10_000, 128, "exact")))


# ---- budgets ----

JSON_TYPE = [("content-type", "application/json")]


def chat(name="m", **more):
    return {"model": name, "messages": [{"role": "user", "content": "hello"}], **more}


def answers(n_in, n_out, gate=None):
    """A script that tells this usage, once the gate is open."""
    made = {"id": "c", "object": "chat.completion", "model": "m-2", "choices": [{"index": 0, "message": {
        "role": "assistant", "content": "hi"}}],
        "usage": {"prompt_tokens": n_in, "completion_tokens": n_out, "total_tokens": n_in + n_out}}

    def script(*_):
        assert gate is None or gate.wait(60)
        return Answer(headers=JSON_TYPE, body=json.dumps(made).encode())
    return script


def told(reply):
    return tuple(int(reply.get(f"x-ratelimit-{name}")) for name in ("limit", "remaining"))


def test_of_200_requests_at_once_exactly_as_many_pass_as_the_budget_has_room_for(gateway, upstream):
    body = json.dumps(chat(max_tokens=50)).encode()
    n_in = len(body) // 4
    up, gate = upstream(), threading.Event()
    up.script = answers(n_in, 50, gate)
    gw = gateway(one_model(up, budget(token_limit(20 * (n_in + 50)))), args=["--workers", "2"])
    clients = [gw.raw() for _ in range(200)]
    for client in clients:
        client.send(b"POST %s HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n%s" % (CHAT.encode(), len(body), body))
    up.wait_for(20)
    gate.set()
    replies = [client.reply() for client in clients]
    statuses = [reply.status for reply in replies]
    assert (statuses.count(200), statuses.count(429), len(up.requests)) == (20, 180, 20)
    reply = gw.request(CHAT, json=chat())
    assert (reply.status, reply.code, told(reply)) == (429, "rate_limited", (20 * (n_in + 50), 0))
    assert int(reply.get("retry-after")) > 1
    records = eventually(lambda: len(gw.log()) > 200 and gw.log())
    assert sum(record["tokens_total"] or 0 for record in records) == 20 * (n_in + 50)
    for client in clients:
        client.sock.close()


def costless(up, n_costs):
    """Two routes under one budget of tokens: `paid`, and `other`, whose costs know no total."""
    other = [("llm_output_token", "OutputToken")][:n_costs]
    return world(backend("b", up), ai_backend("b"), ai_route("paid", ai_rule("b", matches=[model("m")]), costs=COSTS),
                 ai_route("other", ai_rule("b", matches=[model("n")]), costs=other), budget(token_limit(100)))


def test_a_route_without_costs_is_not_free(gateway, upstream):
    up = upstream()
    reply = {"model": "n", "choices": [], "usage": {"prompt_tokens": 30, "completion_tokens": 10, "total_tokens": 40}}
    up.script = lambda *_: Answer(headers=[("content-type", "application/json")], body=json.dumps(reply).encode())
    gw = gateway(costless(up, 0))
    ask = {"model": "n", "messages": [], "max_tokens": 1}
    assert [gw.request(CHAT, json=ask).status for _ in range(2)] == [200, 200]
    # An answer is settled behind its last byte.
    eventually(lambda: gw.request(CHAT, json=ask).status == 429)
    assert gw.request(CHAT, json={**ask, "model": "m"}).status == 429


def test_a_limit_that_counts_a_cost_which_a_route_does_not_have_is_told(tmp_path):
    file = tmp_path / "world.yaml"
    for n_costs, is_told in ((0, False), (1, True)):
        file.write_text(as_text(costless(free_port(), n_costs)))
        said = tollgate("check", "-f", file).stdout
        assert said.count('warning: AIGatewayRoute/play/other: llmRequestCosts has no "llm_total_token"') == is_told


def test_a_request_that_allows_more_than_the_budget_passes_alone(gateway, upstream):
    """What others hold or have used must leave room; what it reserves itself may be more than all of the
    budget: else no request without a small max_tokens could ever pass. The overshoot is one request's."""
    up, gate = upstream(), threading.Event()
    gw = gateway(one_model(up, budget(token_limit(10_000, clientSelectors=[{"headers": [
        {"name": "x-counted", "value": "1"}]}]))))
    up.script = answers(10, 9000)
    for _ in range(20):
        assert gw.request(CHAT, json=chat()).status == 200
    eventually(lambda: gw.metric("tollgate_exchanges_active") == 0)  # now an answer of 4 * 9000 is expected
    up.script = answers(10, 700, gate)
    counted = [("x-counted", "1")]
    with gw.raw() as first:
        body = json.dumps(chat(max_tokens=32_000)).encode()
        first.send(b"POST %s HTTP/1.1\r\nHost: a.test\r\nX-Counted: 1\r\nContent-Length: %d\r\n\r\n%s"
                   % (CHAT.encode(), len(body), body))
        up.wait_for(21)
        second = gw.request(CHAT, json=chat(max_tokens=32_000), headers=counted)
        assert (second.status, second.get("retry-after"), told(second)) == (429, "1", (10_000, 0))
        gate.set()
        assert first.reply().status == 200
    eventually(lambda: gw.metric("tollgate_exchanges_active") == 0)
    third = gw.request(CHAT, json=chat(max_tokens=1), headers=counted)
    assert third.status == 200 and told(third)[1] == 10_000 - 710 - len(json.dumps(chat(max_tokens=1))) // 4 - 1


def begin_long_body(gw, up, n_seen):
    """A chunked request whose model is known, released to the backend before its end."""
    raw = gw.raw(b"POST %s HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n" % CHAT.encode())
    send_chunk(raw, b'{"model":"m","max_tokens":1,"messages":["' + b"x" * 70_000)
    eventually(lambda: up.n_heads >= n_seen, what="the backend to see the head")
    return raw


def send_chunk(raw, data):
    raw.send(b"%x\r\n%s\r\n" % (len(data), data))


@pytest.fixture
def long_bodies(gateway, upstream):
    """long_bodies(budget): a gateway that releases bodies from 64 KiB on, and its backend."""
    def start(limit):
        up = upstream()
        up.n_heads = 0

        def on_head(*_):
            up.n_heads += 1
        up.on_head = on_head
        up.script = answers(10, 20)
        return gateway(one_model(up, budget(token_limit(limit)), client_policy("small", connection={"bufferLimit": "64Ki"}))), up
    return start


def test_a_body_that_grows_beyond_its_reservation_is_aborted_when_the_budget_is_used_meanwhile(long_bodies):
    gw, up = long_bodies(20_000)
    gate = threading.Event()
    up.script = answers(15_000, 10_000, gate)
    body = json.dumps(chat()).encode()
    with gw.raw(b"POST %s HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n%s"
                % (CHAT.encode(), len(body), body)) as other:
        up.wait_for(1)
        with begin_long_body(gw, up, 2) as raw:
            send_chunk(raw, b"y" * 10_000)
            gate.set()
            assert other.reply().status == 200
            eventually(lambda: gw.metric("tollgate_exchanges_active") == 1, what="its cost to be settled")
            send_chunk(raw, b"z" * 10_000)
            reply = raw.reply()
        assert (reply.status, reply.code, told(reply)) == (429, "rate_limited", (20_000, 0))
        assert int(reply.get("retry-after")) > 1
    assert len(up.requests) == 1, "the backend never got the whole of it"
    record = gw.wait_log(lambda r: r["response_code"] == 429)
    assert (record["response_flags"], record["tokens_source"]) == ("RL", "estimated")
    assert record["tokens_in"] >= 80_000 // 4, "what the backend got is charged"
    assert gw.metric("tollgate_limit_refusals_total", policy="BackendTrafficPolicy/play/budget", rule="global/0") == 1


def test_long_bodies_at_once_top_their_reservations_up(long_bodies):
    gw, up = long_bodies(40_000)
    with begin_long_body(gw, up, 1) as one, begin_long_body(gw, up, 2) as two:
        for _ in range(10):
            send_chunk(one, b"y" * 12_000)
        asked = []

        def is_refused():
            asked.append(gw.request(CHAT, json=chat()).status)
            return asked[-1] == 429
        eventually(is_refused, what="the larger reservation")
        send_chunk(two, b"y" * 100)
        refused = two.reply()
        assert (refused.status, refused.code, refused.get("retry-after")) == (429, "rate_limited", "1")
        send_chunk(one, b'"]}')
        one.send(b"0\r\n\r\n")
        assert one.reply().status == 200
    eventually(lambda: len(gw.log()) == len(asked) + 2, what="a record of each request")
    spent = sum(record["tokens_total"] or 0 for record in gw.log())
    reply = gw.request(CHAT, json=chat(max_tokens=1))
    assert told(reply)[1] == 40_000 - spent - len(json.dumps(chat(max_tokens=1))) // 4 - 1


def test_a_body_that_says_its_length_is_reserved_at_once(long_bodies):
    gw, up = long_bodies(20_000)
    gate = threading.Event()
    up.script = answers(10, 20, gate)
    body = json.dumps(chat(max_tokens=1, user="x" * 100_000)).encode()
    with gw.raw(b"POST %s HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n%s"
                % (CHAT.encode(), len(body), body[:70_000])) as raw:
        eventually(lambda: up.n_heads == 1)
        reply = gw.request(CHAT, json=chat())
        assert (reply.status, reply.get("retry-after")) == (429, "1")
        raw.send(body[70_000:])
        gate.set()
        assert raw.reply().status == 200


def predictions(gateway, upstream, limit, n_rows, gate):
    """A gateway with a budget of rows that releases bodies from 64 KiB on, before all rows are known."""
    up = upstream()

    def script(*_):
        assert gate.wait(60)
        return Answer(headers=JSON_TYPE, body=json.dumps({"predictions": [0] * n_rows}).encode())
    up.script = script
    return gateway(one_model(up, budget(token_limit(limit)), client_policy("small", connection={"bufferLimit": "64Ki"}))), up


@pytest.mark.parametrize("is_chunked", [False, True], ids=["with its length", "chunked"])
@pytest.mark.parametrize("version", ["v1", "v1 columns", "v2"])
def test_of_long_predictions_at_once_those_pass_that_the_budget_has_rows_for(gateway, upstream, is_chunked, version):
    """All have begun before the rows of any are known. A budget lets the last one pass that finds it not yet used
    up; chunked bodies that grow at the same time may get in each other's way."""
    n_rows, gate = 20_000, threading.Event()
    gw, up = predictions(gateway, upstream, 30_000, n_rows, gate)
    if version == "v1":
        where, body = "/v1/models/m:predict", b'{"instances":[%s]}' % b",".join([b"[1.5,2]"] * n_rows)
    elif version == "v1 columns":
        where, body = "/v1/models/m:predict", b'{"inputs":{"a":[%s],"b":[%s]}}' % (
            b",".join([b"1"] * n_rows), b",".join([b"[1.5,2]"] * n_rows))
    else:
        where, body = "/v2/models/m/infer", b'{"inputs":[{"name":"x","shape":[%d,1],"datatype":"FP32","data":[%s]}]}' % (
            n_rows, b",".join([b"1.5"] * n_rows))
    assert len(body) > 70_000
    framing = b"Transfer-Encoding: chunked" if is_chunked else b"Content-Length: %d" % len(body)
    clients = [gw.raw(b"POST %s HTTP/1.1\r\nHost: a.test\r\n%s\r\n\r\n" % (where.encode(), framing)) for _ in range(5)]
    for client in clients:
        if is_chunked:
            send_chunk(client, body[:70_000])
            send_chunk(client, body[70_000:])
            client.send(b"0\r\n\r\n")
        else:
            client.send(body)
    least = 1 if is_chunked else 2
    eventually(lambda: least <= gw.metric("tollgate_exchanges_active") <= 2 and gw.metric("tollgate_exchanges_active") == len(up.requests),
               what="those without room to be refused")
    gate.set()
    statuses = [client.reply().status for client in clients]
    assert (statuses.count(200), statuses.count(429)) == (len(up.requests), 5 - len(up.requests))
    for client in clients:
        client.sock.close()


# ---- ends ----

def endless(_request, _connection):
    """A stream that says something and then nothing more."""
    def chunks():
        yield b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % (b"x" * 400)
        threading.Event().wait(30)
    return Answer(headers=[("content-type", "text/event-stream")], chunks=chunks())


def ask_stream(gw):
    body = json.dumps(chat(stream=True)).encode()
    return gw.raw(b"POST %s HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n%s" % (CHAT.encode(), len(body), body))


@pytest.mark.parametrize("end, flag", [("client leaves", "DC"), ("upstream resets", "UC"), ("request timeout", "UT"),
                                       ("idle timeout", "UT"), ("drained", "DC")])
def test_whatever_ends_a_stream_it_is_recorded_once_with_what_passed(gateway, upstream, end, flag):
    up = upstream()

    def script(request, connection):
        if end != "upstream resets":
            return endless(request, connection)
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        text = b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % (b"x" * 400)
        connection.send(b"%x\r\n%s\r\n" % (len(text), text))
        connection.read_until(b"the client has read")
        return None
    up.script = script
    more = [budget(token_limit(BUDGET))]
    if end == "idle timeout":
        more[0]["spec"]["timeout"] = {"http": {"streamIdleTimeout": "300ms"}}
    made = one_model(up, *more)
    if end == "request timeout":
        next(o for o in made if o["kind"] == "AIGatewayRoute")["spec"]["rules"][0]["timeouts"] = {"request": "500ms"}
    gw = gateway(made, drain=("0", "1"))
    with ask_stream(gw) as raw:
        raw.until(b"x" * 400)
        if end == "upstream resets":
            up.reset_all()
        if end == "drained":
            gw.signal(signal.SIGTERM)
        if end != "client leaves":
            assert not raw.rest().endswith(b"0\r\n\r\n"), "a cut stream must not look whole"
    if end == "drained":
        gw.wait()
    gw.wait_log(lambda r: r["model"] == "m")
    records = [r for r in gw.log() if r["model"] == "m"]
    assert len(records) == 1
    assert (records[0]["response_flags"], records[0]["response_code"]) == (flag, 200)
    assert (records[0]["tokens_out"], records[0]["tokens_source"]) == (100, "estimated")


def test_of_a_long_body_only_what_came_is_charged(long_bodies):
    gw, up = long_bodies(BUDGET)
    body = json.dumps(chat(max_tokens=1, user="x" * 1_000_000)).encode()
    with gw.raw(b"POST %s HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n%s" % (CHAT.encode(), len(body), body[:100_000])):
        eventually(lambda: up.n_heads == 1)
    record = gw.wait_log(lambda r: r["model"] == "m")
    assert (record["response_flags"], record["tokens_source"]) == ("DC", "estimated")
    assert 65_536 // 4 <= record["tokens_in"] <= 100_000 // 4


@pytest.mark.parametrize("how", ["a violation", "the budget"])
def test_a_body_that_goes_wrong_under_an_early_answer_ends_both(long_bodies, how):
    """The answer's head is out: what follows can only be cut off."""
    gw, up = long_bodies(20_000)
    gate, seen = threading.Event(), threading.Event()

    def on_head(request, connection):
        up.n_heads += 1
        if request.get("transfer-encoding") != "chunked":
            return True
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{")
        seen.set()
        while connection.recv():
            pass
        return False
    up.on_head = on_head
    up.script = answers(15_000, 10_000, gate)
    body = json.dumps(chat()).encode()
    with gw.raw(b"POST %s HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n%s" % (CHAT.encode(), len(body), body)) as other:
        up.wait_for(1)
        with begin_long_body(gw, up, 2) as raw:
            raw.until(b"{")
            gate.set()
            assert other.reply().status == 200
            eventually(lambda: gw.metric("tollgate_exchanges_active") == 1, what="its cost to be settled")
            send_chunk(raw, b'"],"model":"n"' if how == "a violation" else b"y" * 10_000)
            assert len(raw.rest()) < 999
    record = gw.wait_log(lambda r: r["response_code_details"] == ("duplicate_parameter" if how == "a violation" else "rate_limited"))
    assert record["response_code"] == 200 and record["tokens_source"] == "estimated" and record["tokens_in"] >= 70_000 // 4
    eventually(lambda: gw.metric("tollgate_exchanges_active") == 0)


# ---- one record ----

def test_a_record_says_who_asked_for_what_and_who_answered(gateway, upstream, issuer):
    who = issuer()
    bad, good = upstream("bad"), upstream("good")
    bad.script, good.script = (lambda *_: Answer(status=503)), answers(7, 5)
    gw = gateway(world(backend("bad", bad), backend("good", good), ai_backend("bad"), ai_backend("good"),
                       ai_route("ai", ai_rule({"name": "bad", "priority": 0}, {"name": "good", "priority": 1},
                                              matches=[model("m")]), costs=COSTS),
                       budget(token_limit(20)),
                       security_policy("jwt", target("HTTPRoute", "ai"), jwt={"providers": [local_provider(
                           who, claimToHeaders=[{"claim": "tenant", "header": "x-tenant"}])]})))
    token = who.token("tenant-a")
    assert gw.request(CHAT, json=chat(max_tokens=1), token=token).status == 200
    record = gw.wait_log(lambda r: r["response_code"] == 200)
    assert {name: record[name] for name in ("tenant", "model", "model_served", "ai_service", "attempts", "tokens_in", "tokens_out",
                                            "tokens_total", "tokens_source")} == {
        "tenant": "tenant-a", "model": "m", "model_served": "m-2", "ai_service": "play/good", "attempts": 2, "tokens_in": 7,
        "tokens_out": 5, "tokens_total": 12, "tokens_source": "provider"}
    assert "good" in record["upstream_cluster"] and "ai" in record["route_name"]
    assert record["upstream_host"] == f"127.0.0.1:{good.port}"
    assert 0 <= record["first_token_ms"] <= record["duration"]
    labels = {"tenant": "tenant-a", "model": "m"}
    assert gw.metric("ai_model_tokens_processed", **labels) == gw.metric("ai_model_tokens_processed_total", **labels) == 7
    assert gw.metric("ai_model_tokens_generated", **labels) == gw.metric("ai_model_tokens_generated_total", **labels) == 5
    for kind, n, bound in (("input", 7, "16"), ("output", 5, "16")):
        gen_ai = {"gen_ai_operation_name": "chat", "gen_ai_provider_name": "openai", "gen_ai_request_model": "m",
                  "gen_ai_token_type": kind}
        assert gw.metric("gen_ai_client_token_usage_sum", **gen_ai) == n
        assert [gw.metric("gen_ai_client_token_usage_bucket", le=le, **gen_ai) for le in ("4", bound)] == [0, 1]
    assert gw.metric("gen_ai_server_time_to_first_token_seconds_count", gen_ai_request_model="m") == 1

    gen_ai = {"gen_ai_operation_name": "chat", "gen_ai_provider_name": "openai", "gen_ai_request_model": "m"}
    duration = "gen_ai_server_request_duration_seconds_count"
    assert gw.metric(duration, **gen_ai, error_type="-") == gw.metric(duration) == 1
    # A document has no pace.
    assert gw.metric("gen_ai_server_time_per_output_token_seconds_count") == 0
    assert gw.request(CHAT, json=chat(max_tokens=1), token=token).status == 200
    assert gw.request(CHAT, json=chat(), token=token).status == 429
    eventually(lambda: gw.metric(duration, **gen_ai, error_type="429") == 1)
    refused = gw.wait_log(lambda r: r["response_code"] == 429)
    assert {name: refused[name] for name in ("tenant", "model", "response_code_details", "attempts", "ai_service", "model_served",
                                             "tokens_in", "tokens_out", "tokens_total", "tokens_source")} == {
        "tenant": "tenant-a", "model": "m", "response_code_details": "rate_limited", "attempts": 0, "ai_service": None,
        "model_served": None, "tokens_in": None, "tokens_out": None, "tokens_total": None, "tokens_source": None}


def test_a_streams_first_token_is_timed_when_it_comes(gateway, upstream):
    up, gate = upstream(), threading.Event()

    def script(*_):
        def chunks():
            yield b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
            assert gate.wait(60)
            yield b'data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
            yield b"data: [DONE]\n\n"
        return Answer(headers=[("content-type", "text/event-stream")], chunks=chunks())
    up.script = script
    gw = gateway(one_model(up))
    threading.Timer(0.3, gate.set).start()
    assert gw.request(CHAT, json=chat(stream=True)).status == 200
    record = gw.wait_log(lambda r: r["model"] == "m")
    assert 250 <= record["first_token_ms"] <= record["duration"]
    assert gw.metric("gen_ai_server_time_to_first_token_seconds_bucket", le="0.25") == 0
    assert gw.metric("gen_ai_server_time_to_first_token_seconds_count") == 1


def test_the_pace_of_a_stream_is_that_of_the_tokens_after_the_first(gateway, upstream):
    """Three tokens, the last of them 0.6 s behind the first: 0.3 s each, and not the wait for the first one."""
    up, gates = upstream(), [threading.Event(), threading.Event()]

    def script(*_):
        def chunks():
            assert gates[0].wait(60)
            yield b'data: {"choices":[{"index":0,"delta":{"content":"one"}}]}\n\n'
            assert gates[1].wait(60)
            yield b'data: {"choices":[{"index":0,"delta":{"content":" two three"}}]}\n\n'
            yield b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":3,"total_tokens":4}}\n\n'
            yield b"data: [DONE]\n\n"
        return Answer(headers=[("content-type", "text/event-stream")], chunks=chunks())
    up.script = script
    gw = gateway(one_model(up))
    threading.Timer(0.9, gates[0].set).start()
    threading.Timer(1.5, gates[1].set).start()
    assert gw.request(CHAT, json=chat(stream=True)).status == 200
    eventually(lambda: gw.metric("gen_ai_server_time_per_output_token_seconds_count") == 1)
    assert gw.metric("gen_ai_server_time_per_output_token_seconds_bucket", le="0.2") == 0
    pace = gw.metric("gen_ai_server_time_per_output_token_seconds_sum", gen_ai_operation_name="chat")
    record = gw.wait_log(lambda r: r["model"] == "m")
    assert abs(pace * 1000 - (record["duration"] - record["first_token_ms"]) / 2) < 2


def test_the_series_of_a_hundred_models_are_kept_apart(gateway, upstream):
    """A worker remembers the series of fewer: where two share a place each finds the other's."""
    names = [f"model-{n}" for n in range(100)]
    up = upstream("a")
    up.script = answers(7, 5)
    gw = gateway(world(backend("a", up), ai_backend("a"), ai_route("ai", ai_rule("a"))))
    for name in names + names:
        assert gw.request(CHAT, json=chat(name)).status == 200
    eventually(lambda: gw.metric("tollgate_exchanges_active") == 0)
    for name in names:
        assert gw.metric("ai_model_tokens_processed", model=name) == 2 * 7
        assert gw.metric("gen_ai_client_token_usage_count", gen_ai_request_model=name, gen_ai_token_type="output") == 2


def test_every_attempt_counts_for_the_backend_that_it_was_made_at(gateway, upstream):
    """The first answers well, then says that it failed before any content; the second cannot be reached."""
    error = b'event: error\ndata: {"error":{"message":"overloaded"}}\n\n'
    first = upstream("first")
    first.script = lambda *_: Answer(headers=[("content-type", "text/event-stream")], chunks=[error])
    gw = gateway(world(backend("first", first), backend("second", free_port()), ai_backend("first"), ai_backend("second"),
                       ai_route("ai", ai_rule({"name": "first", "priority": 0}, {"name": "second", "priority": 1},
                                              matches=[model("m")]))))
    assert gw.request(CHAT, json=chat(stream=True)).status == 503
    record = gw.wait_log(lambda r: r["response_code"] == 503)
    assert "second" in record["upstream_cluster"] and record["x-envoy-upstream-service-time"] is None
    assert record["attempts"] >= 2
    first_name, second_name = (record["upstream_cluster"].replace("second", name) for name in ("first", "second"))
    assert gw.metric("tollgate_upstream_requests_total", backend=first_name, response_code_class="2xx") == 1
    assert gw.metric("tollgate_upstream_failures_total", backend=first_name, reason="error_answer") == 1
    assert gw.metric("tollgate_upstream_first_byte_seconds_count", backend=first_name) == 1
    assert gw.metric("tollgate_upstream_first_byte_seconds_sum", backend=first_name) < 60
    assert gw.metric("tollgate_upstream_failures_total", backend=second_name, reason="connect_failed") == record["attempts"] - 1
    assert gw.metric("tollgate_upstream_requests_total", backend=second_name) == 0
