"""Further tries by a policy: what is tried again and what never is, with which content, how often and when."""
import json
import threading
import time

import h2.errors
import pytest

from play.deadline import FACTOR, eventually
from play.http2 import Http2
from play.manifests import (ENVOY_API, ai_backend, ai_route, ai_rule, backend, grpc_route, model, path, route, rule, target, thing,
                            world)
from play.ports import free_port
from play.threads import Threads
from play.upstream import Answer
from test_ai_routes import CHAT, COSTS, JSON_TYPE, chat, completion

H2C = {"appProtocols": ["gateway.envoyproxy.io/h2c"]}
MIB = 1 << 20
SOON = {"backOff": {"baseInterval": "1ms", "maxInterval": "2ms"}}


def traffic(kind="Gateway", name="front", on=None, codes=None, breaker=None, pause=SOON, try_time=None, timeout=None, **more):
    retry = {"perRetry": {**(pause or {}), **({"timeout": try_time} if try_time else {})}, **more}
    asked = {**({"triggers": on} if on else {}), **({"httpStatusCodes": codes} if codes else {})}
    if asked:
        retry["retryOn"] = asked
    spec = {"targetRefs": [target(kind, name)], "retry": retry}
    if breaker:
        spec["circuitBreaker"] = breaker
    if timeout:
        spec["timeout"] = {"http": {"requestTimeout": timeout}}
    return thing(ENVOY_API, "BackendTrafficPolicy", f"{kind.lower()}-{name}", spec)


def at_first(n, failure, then=None):
    """The first n requests fail so; `then`, or the echo, answers the others."""
    seen = []

    def script(request, connection):
        seen.append(request)
        if len(seen) <= n:
            return failure(request, connection)
        return then(request, connection) if then else Answer(body=request.body, headers=[("x-said", request.method)])
    return script


def status(code, **more):
    return lambda *_: Answer(code, **more)


def reset(_request, connection):
    connection.reset()


def silence(may_end):
    def script(*_):
        may_end.wait(20)
    return script


def retries(gw, **labels):
    return gw.metric("tollgate_upstream_retries_total", **labels)


# ---- what is tried again ----

NAMED = [
    ({"on": ["5xx"]}, status(500), "GET"), ({"on": ["5xx"]}, status(500), "POST"), ({"on": ["5xx"]}, reset, "GET"),
    ({"on": ["gateway-error"]}, status(502), "POST"), ({"on": ["gateway-error"]}, status(504), "GET"),
    ({"on": ["retriable-4xx"]}, status(409), "POST"), ({"on": ["reset"]}, reset, "GET"), ({"on": ["reset"]}, reset, "PUT"),
    ({"on": ["reset"]}, reset, "DELETE"), ({"on": ["retriable-status-codes"]}, status(503), "POST"),
    ({"codes": [418]}, status(418), "POST"), ({"on": ["reset"], "codes": [500]}, status(500), "POST"),
    ({}, status(503), "POST"), ({"on": ["gateway-error"]}, lambda _r, c: c.send(b"no HTTP\r\n\r\n"), "GET"),
]


@pytest.mark.parametrize("named, failure, method", NAMED, ids=lambda v: v if isinstance(v, str) else None)
def test_what_a_policy_names_is_tried_again(gateway, upstream, named, failure, method):
    up = upstream("a")
    up.script = at_first(2, failure)
    gw = gateway(world(backend("a", up), route("r", rule("a")), traffic(**named)))
    reply = gw.request("/x?y", method, body=b"content" if method in ("POST", "PUT") else None)
    assert (reply.status, reply.get("x-said"), len(up.requests)) == (200, method, 3)
    assert len({(r.target, r.method, r.body, r.get("x-request-id")) for r in up.requests}) == 1
    record = gw.wait_log(lambda r: r["attempts"] == 3)
    assert (record["response_code"], record["response_flags"]) == (200, "-")
    assert (retries(gw, outcome="failed"), retries(gw, outcome="succeeded"), retries(gw)) == (1, 1, 2)


NOT_NAMED = [
    ({"on": ["5xx"]}, reset, "POST", 502), ({"on": ["reset", "5xx", "gateway-error"]}, reset, "PATCH", 502),
    ({"on": ["gateway-error"]}, status(500), "GET", 500), ({"on": ["connect-failure"]}, reset, "GET", 502),
    ({"on": ["retriable-4xx"]}, status(429), "GET", 429), ({"codes": [418], "on": ["reset"]}, status(503), "GET", 503),
    ({"on": ["reset"]}, status(503), "GET", 503), ({"on": ["reset-before-request"]}, reset, "GET", 502),
    ({}, status(500), "GET", 500), ({}, reset, "POST", 502), ({"numRetries": 0}, status(503), "GET", 503),
]


@pytest.mark.parametrize("named, failure, method, said", NOT_NAMED, ids=lambda v: str(v) if isinstance(v, (str, int)) else None)
def test_what_it_does_not_name_is_not(gateway, upstream, named, failure, method, said):
    up = upstream("a")
    up.script = at_first(1, failure)
    gw = gateway(world(backend("a", up), route("r", rule("a")), traffic(**named)))
    reply = gw.request("/", method, body=b"content" if method in ("POST", "PATCH") else None)
    assert (reply.status, len(up.requests)) == (said, 1)
    assert retries(gw, outcome="succeeded") + retries(gw, outcome="failed") == 0


def test_an_answer_that_has_begun_is_never_tried_again(gateway, upstream):
    def broken(_request, connection):
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
        connection.reset()
    up = upstream("a")
    up.script = at_first(1, broken)
    gw = gateway(world(backend("a", up), route("r", rule("a")), traffic(on=["5xx", "reset"])))
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n") as raw:
        assert raw.rest().endswith(b"half")
    assert len(up.requests) == 1 and retries(gw) == 0


def test_connections_that_fail_are_tried_again_and_then_told(gateway):
    gw = gateway(world(backend("a", free_port()), route("r", rule("a")), traffic(on=["connect-failure"], numRetries=4)))
    reply = gw.request("/", "POST", body=b"x")
    assert (reply.status, reply.code) == (503, "upstream_connect_failed")
    record = gw.wait_log(lambda r: r["attempts"] == 5)
    assert record["response_flags"] == "UF,URX"
    assert (retries(gw, reason="connect_failure", outcome="failed"), retries(gw, outcome="exhausted"), retries(gw)) == (4, 1, 5)


@pytest.mark.parametrize("named", [{"on": ["refused-stream"]}, {"on": ["5xx"]}, {}])
def test_a_refused_stream_is_tried_again_with_all_of_its_content(gateway, http2_upstream, named):
    up, seen = http2_upstream("a"), []

    def refuse(stream):
        seen.append(stream)
        if len(seen) <= 2:
            stream.reset(h2.errors.ErrorCodes.REFUSED_STREAM)
        else:
            up.echo(stream)
    up.script = refuse
    gw = gateway(world(backend("a", up, **H2C), route("r", rule("a")), traffic(**named)))
    reply = gw.request("/", "POST", body=b"x" * 50_000)
    assert (reply.status, len(reply.json["body"])) == (200, 50_000)
    assert [len(s.body) for s in seen] == [50_000] * 3
    assert retries(gw, reason="refused_stream") == 2


# ---- content ----

def send(gw, client, body, chunked):
    if client == "h2":
        with Http2(gw.port()) as one:
            return one.request("/", "POST", body=body)
    if chunked:
        with gw.raw(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n") as raw:
            for i in range(0, len(body), 30_000):
                part = body[i:i + 30_000]
                raw.send(b"%x\r\n%s\r\n" % (len(part), part))
            raw.send(b"0\r\nx-trailer: t\r\n\r\n")
            return raw.reply()
    return gw.request("/", "POST", body=body)


def pattern(n):
    return bytes(i * 7 % 251 for i in range(min(n, 65_521))) * (n // 65_521 + 1)


@pytest.mark.parametrize("size", [0, 1, 100_000, MIB, MIB + 1, 3 * MIB])
@pytest.mark.parametrize("client, chunked", [("h1", False), ("h1", True), ("h2", False)])
def test_content_is_sent_again_byte_for_byte_up_to_a_mebibyte(gateway, upstream, size, client, chunked):
    up = upstream("a")
    up.script = at_first(2, status(503, body=b"busy"), status(200, body=b"fine"))
    gw = gateway(world(backend("a", up), route("r", rule("a")), traffic()))
    body = pattern(size)[:size]
    reply = send(gw, client, body, chunked)
    if size <= MIB:
        assert (reply.status, reply.body, len(up.requests)) == (200, b"fine", 3)
    else:
        assert (reply.status, reply.body, len(up.requests)) == (503, b"busy", 1)
        assert (retries(gw, outcome="unreplayable"), retries(gw)) == (1, 1)
    assert all(r.body == body for r in up.requests)
    assert all(r.trailers == ([("x-trailer", "t")] if chunked else []) for r in up.requests)


@pytest.mark.parametrize("size", [0, 1, 100_000, MIB, MIB + 1])
def test_content_is_sent_again_over_http2(gateway, http2_upstream, size):
    up, seen = http2_upstream("a"), []

    def script(stream):
        seen.append(stream.body)
        stream.answer(503 if len(seen) <= 2 else 200)
    up.script = script
    gw = gateway(world(backend("a", up, **H2C), route("r", rule("a")), traffic()))
    body = pattern(size)[:size]
    assert send(gw, "h2", body, False).status == (200 if size <= MIB else 503)
    assert seen == [body] * (3 if size <= MIB else 1)
    assert len(up.connections) == 1, "whose streams have answered"


def test_an_answer_before_the_content_is_complete_is_tried_again_with_the_rest(gateway, upstream):
    up, heads = upstream("a"), []

    def refuse_early(request, connection):
        heads.append(request)
        if len(heads) > 1:
            return True
        connection.read_exactly(4)
        connection.send(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n")
        return connection.recv() and False
    up.on_head = refuse_early
    gw = gateway(world(backend("a", up), route("r", rule("a")), traffic()))
    with gw.raw(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nabcd") as raw:
        eventually(lambda: len(heads) == 2)
        raw.send(b"efghij")
        assert raw.reply().status == 200
    assert up.last.body == b"abcdefghij"


# ---- time ----

def test_a_try_that_takes_too_long_is_followed_by_another(gateway, upstream):
    up, may_end = upstream("a"), threading.Event()
    up.script = at_first(1, silence(may_end))
    gw = gateway(world(backend("a", up), route("r", rule("a")), traffic(on=["5xx"], try_time="200ms")))
    assert gw.request("/").status == 200
    assert retries(gw, reason="timeout", outcome="succeeded") == 1
    up.script = at_first(1, silence(may_end))
    reply = gw.request("/", "POST", body=b"x")
    assert (reply.status, reply.code, len(up.requests)) == (504, "upstream_timeout", 3)
    may_end.set()


def test_the_time_of_a_try_ends_with_the_head(gateway, upstream):
    def slowly(_request, _connection):
        def chunks():
            yield b"a"
            time.sleep(0.5 * FACTOR)
            yield b"b"
        return Answer(chunks=chunks())
    up = upstream("a")
    up.script = slowly
    whole = rule("a", matches=[path("/whole")], timeouts={"backendRequest": f"{int(400 * FACTOR)}ms"})
    gw = gateway(world(backend("a", up), route("r", rule("a"), whole), traffic(on=["5xx"], try_time=f"{int(200 * FACTOR)}ms")))
    assert gw.request("/").body == b"ab"
    with gw.raw(b"GET /whole HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n") as raw:
        text = raw.rest()
    assert b"1\r\na" in text and not text.endswith(b"0\r\n\r\n"), "the route's own is of the whole answer"


def test_the_whole_requests_time_runs_on_during_a_pause(gateway, upstream):
    up = upstream("a")
    up.script = status(503)
    pause = {"backOff": {"baseInterval": "100s", "maxInterval": "100s"}}
    gw = gateway(world(backend("a", up), route("r", rule("a", timeouts={"request": "300ms"})), traffic(pause=pause)))
    started = time.monotonic()
    replies = [gw.request("/") for _ in range(3)]  # a pause drawn under 0.3 s is one in 300
    assert (504, "upstream_timeout") in [(r.status, r.code) for r in replies]
    assert time.monotonic() - started < 5 * FACTOR
    assert retries(gw, outcome="cancelled") >= 1


def test_a_routes_backoff_is_the_least_pause(gateway, upstream):
    up, times = upstream("a"), []

    def script(*_):
        times.append(time.monotonic())
        return Answer(500)
    up.script = script
    gw = gateway(world(backend("a", up), route("r", rule("a", retry={"codes": [500], "attempts": 3, "backoff": "150ms"})),
                       traffic(codes=[404], numRetries=1)))
    assert gw.request("/").status == 500
    assert len(times) == 4 and min(b - a for a, b in zip(times, times[1:])) >= 0.149
    up.script = at_first(1, reset)
    assert gw.request("/").status == 200, "a connection that ends without an answer is retried too"
    up.script = at_first(1, status(404))
    assert gw.request("/").status == 404, "the route's word takes the place of the policy's"


def test_a_client_that_leaves_during_a_pause_leaves_nothing_behind(gateway, upstream):
    up = upstream("a")
    up.script = status(503)
    pause = {"backOff": {"baseInterval": "1000s", "maxInterval": "1000s"}}
    other = rule("a", matches=[path("/other")], timeouts={"request": "200ms"})
    gw = gateway(world(backend("a", up), route("r", rule("a"), other), traffic(pause=pause, breaker={"maxParallelRetries": 1})))

    def is_taken():
        """Whether the one retry that may be is waiting: else one of this request's is, until its time is over."""
        return gw.request("/other").status == 503

    def waiting():
        """A client whose retry waits; None where the other's was there first."""
        raw = gw.raw(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc")
        if is_taken():
            return raw
        raw.sock.close()
        return None

    for _ in range(2):
        with eventually(waiting):
            n_cancelled = retries(gw, outcome="cancelled")
        eventually(lambda: retries(gw, outcome="cancelled") == n_cancelled + 1)
        assert retries(gw, outcome="overflow") >= 1 and not is_taken()
    n_left = eventually(lambda: (n := sum(r["response_flags"] == "DC" for r in gw.log())) >= 2 and n)
    assert all(r["attempts"] <= 1 for r in gw.log()), "it came to no second try"
    assert n_left + retries(gw, outcome="overflow") >= len([r for r in up.requests if r.target == "/"])


def test_a_reload_during_a_pause_changes_nothing_for_it(gateway, upstream):
    up = upstream("a")
    up.script = at_first(1, status(503))
    pause = {"backOff": {"baseInterval": "2s", "maxInterval": "2s"}}
    there = [backend("a", up), route("r", rule("a", retry={"codes": [503], "backoff": "1s"}))]
    gw = gateway(world(*there, traffic(pause=pause)))
    with gw.raw(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc") as raw:
        up.wait_for(1)
        gw.apply(world(backend("b", up), route("other", rule("b", matches=[path("/other")]))))
        assert raw.rest().endswith(b"abc")
    assert [r.body for r in up.requests] == [b"abc"] * 2


# ---- where ----

def test_another_endpoint_is_preferred(gateway, upstream):
    bad, good = upstream("bad"), upstream("good")
    bad.script = status(503)
    gw = gateway(world(backend("a", bad, good), backend("b", bad), backend("c", good),
                       route("r", rule("a"), rule("b", "c", matches=[path("/two")])), traffic(numRetries=1)))
    for _ in range(30):
        assert gw.request("/").status == 200
    assert len(bad.requests) + len(good.requests) > 30, "both had some"
    n = sum(gw.request("/two").status == 200 for _ in range(40))
    assert n >= 36, "drawn by weight five times, until it is another one"


def test_connections_of_answers_that_were_given_up_serve_again(gateway, upstream):
    up = upstream("a")
    up.script = at_first(40, status(503, body=b"x" * 3000), status(200))
    gw = gateway(world(backend("a", up), route("r", rule("a")), traffic(numRetries=1, pause={
        "backOff": {"baseInterval": "60ms", "maxInterval": "60ms"}})), args=["--workers", "1"])
    for _ in range(20):
        assert gw.request("/").status == 503
    assert len(up.requests) == 40 and up.n_connections < 12, up.n_connections


# ---- how often ----

@pytest.mark.parametrize("breaker", [None, {"retryBudget": {"percent": {"numerator": 20}, "minRetryConcurrency": 0}},
                                     {"retryBudget": {"percent": {"numerator": 50}, "minRetryConcurrency": 0}}])
def test_a_failing_upstream_gets_no_more_than_its_requests_and_the_budget(gateway, upstream, breaker):
    """Half of the answers are 503. Requests of clients, of the upstream and of /metrics are reconciled."""
    n_clients, n_each = 20, 25
    up, lock, count = upstream("a"), threading.Lock(), [0]

    def half(*_):
        with lock:
            count[0] += 1
            fails = count[0] % 2 == 0
        time.sleep(0.02)
        return Answer(503 if fails else 200)
    up.script = half
    gw = gateway(world(backend("a", up), route("r", rule("a")), traffic(breaker=breaker, numRetries=3, pause=None)))
    replies, n = [], n_clients * n_each

    def one():
        for _ in range(n_each):
            replies.append(gw.request("/").status)
    Threads().go(one, n=n_clients).join()
    eventually(lambda: gw.metric("tollgate_requests_total") == n)
    made = retries(gw, outcome="succeeded") + retries(gw, outcome="failed")
    assert len(replies) == n and len(up.requests) == n + made
    assert gw.metric("tollgate_upstream_requests_total", response_code_class="5xx") == len(up.requests) // 2
    assert gw.metric("tollgate_upstream_requests_total") == len(up.requests)
    assert replies.count(503) == retries(gw, outcome="overflow") + retries(gw, outcome="exhausted")
    assert replies.count(200) == gw.metric("tollgate_upstream_requests_total", response_code_class="2xx")
    if breaker:
        share = breaker["retryBudget"]["percent"]["numerator"] / 100
        assert 0 < made <= share * n, made
        n_overflown = retries(gw, outcome="overflow")
        assert n_overflown > 0
        eventually(lambda: sum(r["response_flags"] == "UO" for r in gw.log()) == n_overflown)
    else:
        assert retries(gw, outcome="overflow") == 0 and replies.count(503) < n / 8


def test_the_last_answer_is_told_when_no_try_is_left(gateway, upstream):
    up = upstream("a")
    up.script = status(503, body=b"busy", headers=[("x-mine", "1")])
    gw = gateway(world(backend("a", up), route("r", rule("a")), traffic(numRetries=2)))
    reply = gw.request("/")
    assert (reply.status, reply.body, reply.get("x-mine"), len(up.requests)) == (503, b"busy", "1", 3)
    record = gw.wait_log(lambda r: r["attempts"] == 3)
    assert (record["response_flags"], record["response_code_details"]) == ("URX", "via_upstream")


# ---- gRPC ----

@pytest.mark.parametrize("named, told, is_retried", [
    ({}, "14", True), ({"on": ["unavailable"]}, "14", True), ({"on": ["cancelled"]}, "1", True),
    ({"on": ["deadline-exceeded"]}, "4", True), ({"on": ["internal"]}, "13", True), ({"on": ["resource-exhausted"]}, "8", True),
    ({}, "1", True), ({}, "13", False), ({"on": ["internal"]}, "14", False), ({"on": ["5xx"]}, "14", False)])
def test_calls_are_tried_again_by_the_status_of_an_answer_without_messages(gateway, http2_upstream, named, told, is_retried):
    up, seen = http2_upstream("a"), []
    call = [("content-type", "application/grpc")]

    def script(stream):
        seen.append(stream.body)
        if len(seen) == 1:
            stream.head(200, [*call, ("grpc-status", told)], end=True)
        else:
            stream.answer(200, call, b"\0\0\0\0\0", [("grpc-status", "0")])
    up.script = script
    gw = gateway(world(backend("a", up), grpc_route("r", rule("a")), traffic(**named)))
    with Http2(gw.port()) as one:
        reply = one.request("/a.B/C", "POST", body=b"\0\0\0\0\1x", headers=[("content-type", "application/grpc"), ("te", "trailers")])
    assert seen == [b"\0\0\0\0\1x"] * (2 if is_retried else 1)
    assert reply.get("grpc-status") == (None if is_retried else told)


# ---- AI requests ----

def ai_world(*backends, refs=None, policy=None, limit=None):
    """One model behind these (name, upstream), and what its tokens may cost."""
    objects = [o for name, up in backends for o in (backend(name, up), ai_backend(name))]
    refs = refs or [{"name": name, "priority": i} for i, (name, _) in enumerate(backends)]
    objects.append(ai_route("ai", ai_rule(*refs, matches=[model("m")]), costs=COSTS))
    policy = policy or traffic("HTTPRoute", "ai")
    if limit:
        cost = {"request": {"from": "Number", "number": 0},
                "response": {"from": "Metadata", "metadata": {"namespace": "io.envoy.ai_gateway", "key": "llm_total_token"}}}
        policy["spec"]["rateLimit"] = {"type": "Global", "global": {"rules": [
            {"limit": {"requests": limit, "unit": "Year"}, "shared": True, "cost": cost}]}}
    return world(*objects, policy)


@pytest.mark.parametrize("limit, sixth", [(60, 429), (61, 200)])
@pytest.mark.parametrize("stream", [False, True])
def test_only_the_try_that_answered_is_charged(gateway, upstream, stream, limit, sixth):
    up = upstream("a")
    expensive = json.dumps({"error": {"message": "busy"}, "usage": {"prompt_tokens": 900, "completion_tokens": 900}}).encode()
    busy = status(503, headers=JSON_TYPE, body=expensive)
    # One worker settles a request before it reads the next.
    gw = gateway(ai_world(("a", up), policy=traffic("HTTPRoute", "ai", codes=[503]), limit=limit), args=["--workers", "1"])
    up.script = at_first(2, busy, status(503))
    assert gw.request(CHAT, json=chat(stream=stream)).status == 503, "what was given up costs nothing"
    for _ in range(5):  # 12 tokens each
        up.script = at_first(2, busy, completion)
        assert gw.request(CHAT, json=chat(stream=stream)).status == 200
    assert len({r.body for r in up.requests}) == 1, "each try has the same content"
    assert gw.request(CHAT, json=chat(stream=stream)).status == sixth
    records = eventually(lambda: len(gw.log()) == 7 and gw.log())
    assert [(r["attempts"], r["tokens_total"]) for r in records[:6]] == [(3, None)] + [(3, 12)] * 5
    paid = sum(r["tokens_total"] or 0 for r in records)
    assert gw.metric("ai_model_tokens_processed_total") + gw.metric("ai_model_tokens_generated_total") == paid


def test_no_try_that_was_refused_is_charged(gateway, http2_upstream):
    up = http2_upstream("a")
    up.script = lambda stream: stream.reset(h2.errors.ErrorCodes.REFUSED_STREAM)
    objects = ai_world(("a", up), policy=traffic("HTTPRoute", "ai"))
    next(o for o in objects if o["kind"] == "Backend")["spec"].update(H2C)
    gw = gateway(objects)
    assert gw.request(CHAT, json=chat()).status == 502
    record = gw.wait_log(lambda r: r["attempts"] == 3)
    assert (record["tokens_total"], record["response_flags"]) == (None, "UC,URX")


PRIORITIES = [
    # numRetries, numAttemptsPerPriority: tries of each priority until all have failed
    (3, None, (4, 1, 1)), (0, None, (1, 1, 1)), (3, 1, (1, 1, 2)), (2, 2, (2, 1, 1)), (5, 2, (2, 2, 2)), (1, 1, (1, 1, 1)),
]


@pytest.mark.parametrize("n_retries, n_each, tries", PRIORITIES)
def test_retries_come_first_and_then_the_next_priority(gateway, upstream, n_retries, n_each, tries):
    ups = [upstream(name) for name in "abc"]
    for up in ups:
        up.script = status(503)
    more = {"numAttemptsPerPriority": n_each} if n_each else {}
    gw = gateway(ai_world(*zip("abc", ups), policy=traffic("HTTPRoute", "ai", codes=[503], numRetries=n_retries, **more)))
    assert gw.request(CHAT, json=chat()).status == 503
    assert tuple(len(up.requests) for up in ups) == tries
    ups[2].script = completion
    assert gw.request(CHAT, json=chat()).status == 200, "whatever fails, the last one answers"


def test_what_a_policy_does_not_name_still_goes_to_the_next_priority(gateway, upstream):
    first, second = upstream("first"), upstream("second")
    first.script, second.script = status(429), completion
    gw = gateway(ai_world(("first", first), ("second", second), policy=traffic("HTTPRoute", "ai", codes=[503])))
    assert gw.request(CHAT, json=chat()).status == 200
    assert (len(first.requests), len(second.requests), retries(gw)) == (1, 1, 0)
    first.script = reset
    assert gw.request(CHAT, json=chat()).status == 200
    assert (len(first.requests), len(second.requests), retries(gw)) == (2, 2, 0), "a POST, after its bytes"


def test_the_time_of_a_try_ends_with_the_head_of_an_answer_that_is_held(gateway, upstream):
    """While there is a next priority an answer is held until it has content; its head has come in time."""
    def later(_request, _connection):
        def frames():
            time.sleep(0.6 * FACTOR)
            yield b'data: {"choices":[{"index":0,"delta":{"content":"late"}}]}\n\n'
            yield b"data: [DONE]\n\n"
        return Answer(headers=[("content-type", "text/event-stream")], chunks=frames())
    first, second = upstream("first"), upstream("second")
    first.script, second.script = later, completion
    gw = gateway(ai_world(("first", first), ("second", second),
                          policy=traffic("HTTPRoute", "ai", on=["5xx"], try_time=f"{int(200 * FACTOR)}ms")))
    reply = gw.request(CHAT, json=chat(stream=True))
    assert reply.status == 200 and b"late" in reply.body
    assert (len(first.requests), len(second.requests)) == (1, 0)


def test_a_long_prompt_that_is_sent_as_it_comes_is_not_tried_again(gateway, upstream):
    up, has_come = upstream("a"), threading.Event()
    up.on_head = lambda *_: has_come.set()
    up.script = status(503)
    gw = gateway(ai_world(("a", up)))
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 2_000_000}]}).encode()
    with gw.raw(b"POST %s HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n" % (CHAT.encode(), len(body))) as raw:
        raw.send(body[:1_500_000])
        assert has_come.wait(20 * FACTOR)
        raw.send(body[1_500_000:])
        assert raw.reply().status == 503
    assert (len(up.requests), retries(gw, outcome="unreplayable"), retries(gw)) == (1, 1, 1)
