"""Traces: the context of callers, spans of requests and attempts, what is traced, and collectors of all sorts."""
import json
import time

import pytest

from play.client import Raw
from play.collector import CLIENT, SERVER, Collector
from play.deadline import FACTOR, eventually
from play.gateway import tollgate
from play.http2 import Http2
from play.manifests import (ENVOY_API, ai_backend, ai_route, ai_rule, backend, config_map, gateway, gateway_class, http_listener, model, path,
                            route, rule, service, target, thing, to, world)
from play.ports import free_port
from play.upstream import Answer
from test_ai_usage import COSTS, JSON_TYPE, answer, openai_usage

CHAT = "/v1/chat/completions"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = PARENT[:-1] + "0"
TRACE, CALLER = PARENT[3:35], PARENT[36:52]


@pytest.fixture
def collector():
    """collector() starts one."""
    started = []

    def start(**more):
        started.append(Collector(**more))
        return started[-1]

    yield start
    for made in started:
        made.stop()


def tracing(*refs, provider=None, **more):
    return {"provider": {"type": "OpenTelemetry", "backendRefs": list(refs) or [to("collector")], **(provider or {})}, **more}


def traced(*objects, spec=None, telemetry=None):
    """A world whose gateway has tracing, unless `telemetry` says otherwise."""
    proxy = thing(ENVOY_API, "EnvoyProxy", "proxy", {"telemetry": telemetry or {"tracing": spec or tracing()}})
    infra = {"parametersRef": {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "proxy"}}
    return [gateway_class(), gateway(infrastructure=infra), proxy, *objects]


def simple(up, collector, *more, spec=None, telemetry=None):
    return traced(backend("b", up), backend("collector", collector), route("r", rule("b")), *more, spec=spec,
                  telemetry=telemetry)


def items(gw, outcome, signal_name="traces"):
    return gw.metric("tollgate_telemetry_items_total", signal=signal_name, outcome=outcome)


# ---- context ----


def test_a_request_begins_a_trace_and_its_backend_learns_of_it(gateway, upstream, collector):
    up, got = upstream(), collector()
    gw = gateway(simple(up, got))

    assert gw.request("/some/path?key=secret").status == 200

    told = up.last.all("traceparent")
    got.wait_spans(2)
    (server,), (client,) = got.of_kind(SERVER), got.of_kind(CLIENT)
    assert told == [f"00-{server.trace}-{client.id}-01"]
    assert server.parent is None and client.parent == server.id and client.trace == server.trace
    assert server.start <= client.start <= client.end <= server.end
    assert not server.has_failed and not client.has_failed and not server.is_parent_remote
    assert server.resource["service.name"] == "front.play"
    assert server["http.request.method"] == "GET" and server["url.path"] == "/some/path"
    assert server["http.response.status_code"] == 200 and server["http.route"].startswith("httproute/play/r")
    assert server.name == f"GET {server['http.route']}" and server["url.scheme"] == "http"
    assert server["server.address"] == "localhost" and server["client.address"] == "127.0.0.1"
    assert server["network.peer.address"] == "127.0.0.1" and server["network.peer.port"] > 0
    assert server["network.protocol.version"] == "1.1" and server["tollgate.request_id"] == up.last.get("x-request-id")
    assert client.name == "GET" and client["server.address"] == "127.0.0.1" and client["server.port"] == up.port
    assert client["tollgate.backend"] == "Backend/play/b" and client["http.response.status_code"] == 200
    assert "secret" not in repr(got.spans)
    assert eventually(lambda: items(gw, "taken") == 2, 5)


def test_a_sound_trace_goes_on_with_its_state(gateway, upstream, collector):
    up, got = upstream(), collector()
    gw = gateway(simple(up, got))

    gw.request(headers=[("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")])

    server, = [s for s in got.wait_spans(2) if s.kind == SERVER]
    client, = got.of_kind(CLIENT)
    assert server.trace == TRACE and server.parent == CALLER and server.is_parent_remote and server.state == "a=1, b=2"
    assert up.last.all("traceparent") == [f"00-{TRACE}-{client.id}-01"] and up.last.all("tracestate") == ["a=1, b=2"]
    assert not client.is_parent_remote


@pytest.mark.parametrize("headers", [
    [("traceparent", PARENT.upper())],
    [("traceparent", PARENT), ("traceparent", PARENT)],
    [("traceparent", PARENT + "-more")],
    [("traceparent", "ff" + PARENT[2:])],
    [("traceparent", PARENT.replace(TRACE, "0" * 32))],
    [],
])
def test_a_trace_that_is_none_is_begun_anew_without_its_state(gateway, upstream, collector, headers):
    up, got = upstream(), collector()
    gw = gateway(simple(up, got))

    gw.request(headers=[*headers, ("tracestate", "a=1")])

    server, = [s for s in got.wait_spans(2) if s.kind == SERVER]
    assert server.trace != TRACE and server.parent is None and server.state is None
    assert up.last.get("tracestate") is None
    assert [t[3:35] for t in up.last.all("traceparent")] == [server.trace]


def test_a_state_that_is_malformed_goes_no_further_and_the_trace_does(gateway, upstream, collector):
    up, got = upstream(), collector()
    gw = gateway(simple(up, got))

    gw.request(headers=[("traceparent", PARENT), ("tracestate", "a=1,no member")])

    assert got.wait_spans(2)[0].trace == TRACE
    assert up.last.get("tracestate") is None


def test_without_tracing_the_headers_pass_as_they_came(gateway, upstream):
    up = upstream()
    gw = gateway(world(backend("b", up), route("r", rule("b"))))

    gw.request(headers=[("traceparent", "whatever"), ("tracestate", "no member")])

    assert up.last.all("traceparent") == ["whatever"] and up.last.all("tracestate") == ["no member"]


# ---- what is traced ----


def check_share(gw, got, low, high, n=300, headers=()):
    """Of n requests between these parts are traced."""
    before = len(got.of_kind(SERVER))
    done = gw.metric("tollgate_requests_total")
    with Raw(gw.port()) as raw:
        for _ in range(n):
            raw.send("GET / HTTP/1.1\r\nhost: localhost\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers) + "\r\n")
            raw.reply()
    eventually(lambda: gw.metric("tollgate_requests_total") >= done + n)
    eventually(lambda: len(got.of_kind(SERVER)) - before >= low * n, 20, "spans")
    settled(got)
    assert len(got.of_kind(SERVER)) - before <= high * n


def settled(got):
    """All spans that were made have come: none for longer than they wait to be sent."""
    last = {"n": -1, "at": time.monotonic()}

    def check():
        n = len(got.spans)
        if n != last["n"]:
            last.update(n=n, at=time.monotonic())
        return time.monotonic() - last["at"] > 2.5
    eventually(check, 20)


def test_a_share_of_requests_is_traced_and_a_caller_does_not_decide(gateway, upstream, collector):
    up, got = upstream(), collector()
    gw = gateway(simple(up, got, spec=tracing(samplingRate=20)))

    check_share(gw, got, 0.08, 0.34)
    # Who asks for it has the same share, and what is not traced goes on as it came.
    check_share(gw, got, 0.08, 0.34, headers=[("traceparent", PARENT)])
    kept = [r for r in up.requests if r.get("traceparent") == PARENT]
    assert 0.6 < len(kept) / 300 < 0.95
    check_share(gw, got, 0, 0, headers=[("traceparent", UNSAMPLED)])


def test_clients_may_ask_for_the_share_that_is_given_to_them(gateway, upstream, collector):
    up, got = upstream(), collector()
    gw = gateway(simple(up, got, spec=tracing(samplingRate=0, clientSamplingFraction={"numerator": 1, "denominator": 2})))

    check_share(gw, got, 0, 0, n=100)
    check_share(gw, got, 0.35, 0.65, headers=[("traceparent", PARENT)])
    check_share(gw, got, 0.35, 0.65, headers=[("x-client-trace-id", "1")])


def test_of_everything_an_overall_share_is_left(gateway, upstream, collector):
    up, got = upstream(), collector()
    gw = gateway(simple(up, got, spec=tracing(samplingFraction={"numerator": 1, "denominator": 2},
                                              overallSamplingFraction={"numerator": 40})))

    check_share(gw, got, 0.1, 0.31)


# ---- spans ----


def test_a_call_of_a_model_says_what_was_asked_and_used(gateway, upstream, collector):
    up, got = upstream(), collector()
    up.script = lambda *_: answer({"model": "m-served", "choices": [], **openai_usage(7, 5)})
    gw = gateway(traced(backend("b", up), ai_backend("b"), backend("collector", got),
                        ai_route("ai", ai_rule("b", matches=[model("m")]), costs=COSTS)))

    gw.request(CHAT, json={"model": "m", "messages": [{"role": "user", "content": "a secret question"}]})

    got.wait_spans(2)
    (server,), (client,) = got.of_kind(SERVER), got.of_kind(CLIENT)
    assert client.name == "chat m"
    for span in (server, client):
        assert span["gen_ai.operation.name"] == "chat" and span["gen_ai.provider.name"] == "openai"
        assert span["gen_ai.request.model"] == "m" and span["gen_ai.response.model"] == "m-served"
        assert span["gen_ai.usage.input_tokens"] == 7 and span["gen_ai.usage.output_tokens"] == 5
        assert span["tollgate.usage.is_estimated"] is False
    assert "question" not in repr(got.spans)


def test_a_fallback_to_another_provider_is_an_attempt_of_its_own(gateway, upstream, collector):
    first, second, got = upstream("first"), upstream("second"), collector()
    first.script = lambda *_: Answer(500, body=b'{"error": {"message": "no"}, "model": "m-ill"}', headers=JSON_TYPE)
    second.script = lambda *_: answer({"type": "message", "role": "assistant", "model": "m-served", "stop_reason": "end_turn",
                                       "content": [{"type": "text", "text": "Hi"}],
                                       "usage": {"input_tokens": 7, "output_tokens": 5}})
    gw = gateway(traced(backend("first", first), backend("second", second), ai_backend("first"),
                        ai_backend("second", schema="Anthropic"), backend("collector", got),
                        ai_route("ai", ai_rule("first", {"name": "second", "priority": 1}, matches=[model("m")]), costs=COSTS)))

    assert gw.request(CHAT, json={"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}).status == 200

    got.wait_spans(3)
    (server,), (ill, well) = got.of_kind(SERVER), got.of_kind(CLIENT)
    assert ill["error.type"] == "500" and ill["gen_ai.provider.name"] == "openai" and ill.has_failed
    assert "gen_ai.usage.output_tokens" not in ill.attributes and "gen_ai.response.model" not in ill.attributes
    assert "error.type" not in well.attributes and well["gen_ai.provider.name"] == "anthropic"
    assert well["gen_ai.usage.output_tokens"] == server["gen_ai.usage.output_tokens"] == 5
    assert well["gen_ai.response.model"] == "m-served" and server["tollgate.backend"] == well["tollgate.backend"]
    assert [r.get("traceparent")[36:52] for r in (first.last, second.last)] == [ill.id, well.id]


def retries(n):
    return thing(ENVOY_API, "BackendTrafficPolicy", "again", {
        "targetRefs": [target("Gateway", "front")],
        "retry": {"numRetries": n, "retryOn": {"httpStatusCodes": [503]},
                  "perRetry": {"backOff": {"baseInterval": "1ms", "maxInterval": "2ms"}}}})


def test_each_attempt_has_a_span_and_tells_its_backend_so(gateway, upstream, collector):
    up, got = upstream(), collector()
    up.script = lambda *_: Answer(503 if len(up.requests) < 3 else 200)
    gw = gateway(simple(up, got, retries(3)))

    assert gw.request().status == 200

    clients = [s for s in got.wait_spans(4) if s.kind == CLIENT]
    server, = got.of_kind(SERVER)
    assert [r.get("traceparent") for r in up.requests] == [f"00-{server.trace}-{c.id}-01" for c in clients]
    assert [c["http.response.status_code"] for c in clients] == [503, 503, 200]
    assert [c.get("error.type") for c in clients] == ["503", "503", None]
    assert [c.has_failed for c in clients] == [True, True, False]
    assert [c.get("http.request.resend_count") for c in clients] == [None, 1, 2]
    assert all(c.parent == server.id for c in clients)
    assert all(a.end <= b.start for a, b in zip(clients, clients[1:]))
    assert not server.has_failed


def test_an_attempt_that_reaches_nobody_says_why(gateway, upstream, collector):
    got = collector()
    gw = gateway(simple(free_port(), got))

    assert gw.request().status == 503

    got.wait_spans(2)
    eventually(lambda: got.of_kind(SERVER))
    server, = got.of_kind(SERVER)
    assert server.has_failed and server["error.type"] == server["tollgate.refusal"] == "upstream_connect_failed"
    assert {c["error.type"] for c in got.of_kind(CLIENT)} == {"connect_failed"}
    assert all(c.has_failed and "http.response.status_code" not in c.attributes for c in got.of_kind(CLIENT))


def test_a_refusal_has_a_span_of_its_own_that_is_no_fault_of_the_server(gateway, upstream, collector):
    up, got = upstream(), collector()
    gw = gateway(traced(backend("b", up), backend("collector", got), route("r", rule("b", matches=[path("/here")]))))

    assert gw.request("/elsewhere", method="PURGE").status == 404

    span, = got.wait_spans(1)
    assert span.kind == SERVER and span["tollgate.refusal"] == "route_not_found" and not span.has_failed
    assert span.name == "HTTP" and span["http.request.method"] == "_OTHER"
    assert span["http.request.method_original"] == "PURGE" and "http.route" not in span.attributes


def test_credentials_are_in_no_span(gateway, upstream, collector):
    up, got = upstream(), collector()
    jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJzZWNyZXQifQ.c2lnbmF0dXJlLXNlY3JldA"
    names = {"server": "%REQ(AUTHORIZATION)% of %REQ(X-OTHER)%", "client": "to %UPSTREAM_CLUSTER%"}
    tags = {"auth": {"type": "RequestHeader", "requestHeader": {"name": "Authorization"}},
            "other": {"type": "RequestHeader", "requestHeader": {"name": "x-other", "defaultValue": "none"}}}
    gw = gateway(simple(up, got, spec=tracing(spanName=names, customTags=tags, tags={"cookie": "%REQ(COOKIE)%"})))

    gw.request(f"/a/{jwt}", headers=[("authorization", f"Bearer {jwt}"), ("x-other", jwt), ("cookie", f"session={jwt}"),
                                     ("user-agent", jwt)])

    spans = got.wait_spans(2)
    assert "eyJ" not in repr(spans)
    assert {s["auth"] for s in spans} == {s["other"] for s in spans} == {s["cookie"] for s in spans} == {"redacted"}
    assert [s.name for s in spans if s.kind == CLIENT] == ["to Backend/play/b"]


def test_tags_come_from_the_manifest_the_environment_and_headers(gateway, upstream, collector):
    up, got = upstream(), collector()
    tags = {"literal": {"type": "Literal", "literal": {"value": "as it is"}},
            "environment": {"type": "Environment", "environment": {"name": "PLAY_TAG"}},
            "absent": {"type": "Environment", "environment": {"name": "PLAY_NONE", "defaultValue": "else"}},
            "header": {"type": "RequestHeader", "requestHeader": {"name": "X-Tag", "defaultValue": "none"}},
            "secret": {"type": "Environment", "environment": {"name": "PLAY_API_TOKEN"}},
            "nothing": {"type": "RequestHeader", "requestHeader": {"name": "X-Nothing"}}}
    gw = gateway(simple(up, got, spec=tracing(customTags=tags, tags={"method": "%REQ(:METHOD)%", "gone": "%REQ(X-GONE)%"},
                                              spanName={"server": "in %REQ(X-TAG)%", "client": "out %ROUTE_NAME%"})),
                 env={"PLAY_TAG": "of the process", "PLAY_API_TOKEN": "a credential"})

    gw.request(headers=[("x-tag", 'a "quoted"\tvalue')])

    spans = got.wait_spans(2)
    for span in spans:
        assert span["literal"] == "as it is" and span["environment"] == "of the process" and span["absent"] == "else"
        assert span["header"] == 'a "quoted"\tvalue' and span["method"] == "GET"
        assert span["secret"] == "redacted"
        assert "nothing" not in span.attributes and "gone" not in span.attributes
    assert {s.name.split()[0] for s in spans} == {"in", "out"}
    gw.request()
    assert {s["header"] for s in got.wait_spans(4)[2:]} == {"none"}


def test_a_client_that_leaves_is_an_error_of_both_spans(gateway, upstream, collector):
    up, got = upstream(), collector()
    up.script = silent
    gw = gateway(simple(up, got))

    with Raw(gw.port(), "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"):
        up.wait_for(1)

    got.wait_spans(2)
    (server,), (client,) = got.of_kind(SERVER), got.of_kind(CLIENT)
    assert server["error.type"] == "client_disconnected" and server.has_failed
    assert client["error.type"] == "cancelled" and client.has_failed
    assert "http.response.status_code" not in {**server.attributes, **client.attributes}


def test_an_answer_that_breaks_off_is_an_error_of_both_spans(gateway, upstream, collector):
    up, got = upstream(), collector()

    def broken(_request, connection):
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort")
    up.script = broken
    gw = gateway(simple(up, got))

    with Raw(gw.port(), "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n") as raw:
        assert raw.head()[0] == 200
        raw.rest()

    got.wait_spans(2)
    (server,), (client,) = got.of_kind(SERVER), got.of_kind(CLIENT)
    assert client["error.type"] == "reset_midway" and client.has_failed and client["http.response.status_code"] == 200
    assert server["error.type"] == server["tollgate.refusal"] and server.has_failed


def test_clients_and_backends_of_http2_are_traced_alike(gateway, http2_upstream, collector):
    up, got = http2_upstream(), collector()
    h2c = backend("b", up, appProtocols=["gateway.envoyproxy.io/h2c"])
    gw = gateway(traced(h2c, backend("collector", got), route("r", rule("b"))))

    with Http2(gw.port()) as client:
        assert client.request("/two", headers=[("traceparent", PARENT)]).status == 200

    got.wait_spans(2)
    (server,), (attempt,) = got.of_kind(SERVER), got.of_kind(CLIENT)
    assert server["network.protocol.version"] == "2" and server.trace == TRACE and server.parent == CALLER
    assert up.last.get("traceparent") == f"00-{TRACE}-{attempt.id}-01"


# ---- collectors ----


def test_spans_go_in_batches(gateway, upstream, collector):
    up, got = upstream(), collector()
    gw = gateway(simple(up, got))

    with Raw(gw.port()) as raw:
        for _ in range(700):
            raw.send("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
            raw.reply()

    spans = got.wait_spans(1400)
    assert len(spans) == 1400 and got.n_exports <= 30
    assert len({s.trace for s in spans}) == 700
    by_id = {s.id: s for s in spans}
    assert all(by_id[s.parent].kind == SERVER and by_id[s.parent].trace == s.trace for s in spans if s.kind == CLIENT)


def test_a_collector_that_says_later_is_asked_later(gateway, upstream, collector):
    up, got = upstream(), collector()
    times = []

    def busy(*_):
        times.append(time.monotonic())
        if len(times) == 2:
            got.fault = None
        return Answer(503, headers=[("retry-after", "2")])
    got.fault = busy
    gw = gateway(simple(up, got))

    gw.request()

    assert len(got.wait_spans(2)) == 2
    assert times[1] - times[0] > 1.9 and eventually(lambda: items(gw, "taken") == 2, 5)
    assert items(gw, "failed") == 0 and "cannot be sent" in gw.stderr() and "status 503" in gw.stderr()


@pytest.mark.parametrize("fault", [
    lambda *_: Answer(400, body=b"no"),
    lambda *_: Answer(500),
    lambda *_: Answer(302, headers=[("location", "http://127.0.0.1:1/")]),
])
def test_what_a_collector_refuses_is_dropped_and_counted(gateway, upstream, collector, fault):
    up, got = upstream(), collector()
    got.fault = fault
    gw = gateway(simple(up, got))

    gw.request()

    assert eventually(lambda: items(gw, "failed") == 2, 10)
    assert len(got.requests) == 1 and items(gw, "taken") == 0


def test_what_a_collector_rejects_of_an_export_is_counted(gateway, upstream, collector):
    up, got = upstream(), collector()
    got.fault = lambda *_: Answer(body=b'{"partialSuccess": {"rejectedSpans": "1", "errorMessage": "no"}}')
    gw = gateway(simple(up, got))

    gw.request()

    assert eventually(lambda: items(gw, "rejected") == 1, 10)
    assert items(gw, "taken") == 1


def garbage(_request, connection):
    connection.send(b"\x00\x01 this is no HTTP\r\n\r\n")


def endless(_request, connection):
    connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    for _ in range(64):
        connection.send(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")


def silent(_request, connection):
    connection.recv()


@pytest.mark.parametrize("fault", [garbage, endless, silent, None])
def test_no_collector_costs_a_request_anything(gateway, upstream, collector, fault):
    up, got = upstream(), collector()
    got.fault = fault
    if fault is None:
        got.stop()
    gw = gateway(simple(up, got))

    for _ in range(5):
        began = time.monotonic()
        assert gw.request().status == 200
        assert time.monotonic() - began < 5
    eventually(lambda: got.requests or fault is None)
    assert gw.request().status == 200
    if fault is endless:
        assert eventually(lambda: items(gw, "taken") > 0)


def test_what_waits_for_a_silent_collector_is_bounded_and_counted(gateway, upstream, collector):
    up, got = upstream(), collector()
    got.fault = silent
    tags = {f"tag{i}": {"type": "Literal", "literal": {"value": "x" * 500}} for i in range(60)}
    gw = gateway(simple(up, got, spec=tracing(customTags=tags)))

    with Raw(gw.port()) as raw:
        for i in range(400):
            raw.send("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert raw.reply().status == 200
            if i % 20 == 0 and items(gw, "overflowed") > 0:
                break
    assert eventually(lambda: items(gw, "overflowed") > 0)


def test_a_changed_collector_gets_what_comes_then(gateway, upstream, collector):
    up, first, second = upstream(), collector(), collector()

    def elsewhere(**more):
        return traced(backend("b", up), backend("second", second), route("r", rule("b")), spec=tracing(to("second"), **more))
    gw = gateway(simple(up, first))
    gw.request("/one")
    gw.apply(elsewhere())
    gw.request("/two")

    assert {s["url.path"] for s in second.wait_spans(2) if s.kind == SERVER} == {"/two"}
    assert {s["url.path"] for s in first.wait_spans(2) if s.kind == SERVER} == {"/one"}
    gw.apply(world(backend("b", up), route("r", rule("b"))))
    gw.request("/three")
    assert up.last.get("traceparent") is None
    gw.apply(elsewhere(samplingRate=0))
    gw.request("/four")
    assert up.last.get("traceparent") is None
    gw.apply(elsewhere())
    gw.request("/five")
    assert {s["url.path"] for s in second.wait_spans(4) if s.kind == SERVER} == {"/two", "/five"}


def test_who_is_named_no_more_and_does_not_answer_is_soon_forgotten(gateway, upstream, collector):
    up, got = upstream(), collector()
    got.fault = lambda *_: Answer(503, headers=[("retry-after", "1")])
    gw = gateway(simple(up, got))
    gw.request()
    eventually(lambda: got.requests)

    gw.apply(world(backend("b", up), route("r", rule("b"))))

    assert eventually(lambda: items(gw, "failed") == 2, 10)
    assert len(got.requests) < 5  # LIMIT_EXPORT_TRIES


def test_at_the_end_what_waits_is_sent(gateway, upstream, collector):
    up, got = upstream(), collector()
    gw = gateway(simple(up, got))

    for _ in range(20):
        gw.request()
    gw.stop()

    assert len(got.spans) == 40


def test_who_is_taken_over_sends_what_waits(line, upstream, collector):
    up, got = upstream(), collector()
    first = line.first(simple(up, got))
    for _ in range(10):
        first.request("/one")
    line.next()
    assert first.wait() == 0

    assert len(got.spans) >= 20
    line.all[-1].request("/two")
    assert {s["url.path"] for s in got.wait_spans(11, SERVER)} == {"/one", "/two"}


def test_the_end_does_not_wait_for_a_collector_that_is_silent(gateway, upstream, collector):
    up, got = upstream(), collector()
    got.fault = silent
    gw = gateway(simple(up, got), drain=("0", "30"))

    gw.request()
    began = time.monotonic()
    gw.stop()

    assert time.monotonic() - began < 9 * FACTOR  # LIMIT_EXPORT_FLUSH_S, not the time of a try


def test_a_collector_may_be_named_by_host_and_port_and_gets_headers_and_attributes(gateway, upstream, collector):
    up, got = upstream(), collector()
    provider = {"host": "127.0.0.1", "port": got.port, "serviceName": "the service", "openTelemetry": {
        "headers": [{"name": "X-Key", "value": "a key"}], "resourceAttributes": {"deployment.environment": "play"}}}
    gw = gateway(traced(backend("b", up), route("r", rule("b")), spec={"provider": provider}))

    gw.request()

    span = got.wait_spans(2)[0]
    assert span.resource["service.name"] == "the service" and span.resource["deployment.environment"] == "play"
    assert got.last.get("x-key") == "a key" and got.last.get("host") == f"127.0.0.1:{got.port}"
    assert "a key" not in gw.get_admin("/status").body.decode() + gw.stderr()


@pytest.mark.parametrize("name", ["collector.play", "other.play"])
def test_a_collector_behind_tls_is_verified(gateway, upstream, collector, authority, tmp_path, name):
    up = upstream()
    got = collector(tls=authority.server(tmp_path, name))
    policy = thing("gateway.networking.k8s.io/v1", "BackendTLSPolicy", "collector", {
        "targetRefs": [{"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "collector"}],
        "validation": {"hostname": "collector.play", "caCertificateRefs": [
            {"group": "", "kind": "ConfigMap", "name": "ca"}]}})
    gw = gateway(simple(up, got, policy, config_map("ca", **{"ca.crt": authority.pem})))

    assert gw.request().status == 200

    if name == "collector.play":
        assert len(got.wait_spans(2)) == 2
    else:
        assert eventually(lambda: "cannot be sent" in gw.stderr())
        assert not got.requests


def test_a_collector_may_speak_http2(gateway, upstream, http2_upstream):
    up, got = upstream(), http2_upstream()
    h2c = backend("collector", got, appProtocols=["gateway.envoyproxy.io/h2c"])
    gw = gateway(traced(backend("b", up), h2c, route("r", rule("b"))))

    gw.request()

    assert eventually(lambda: items(gw, "taken") == 2, 10)
    assert got.last.get(":path") == "/v1/traces" and len(json.loads(got.last.body)["resourceSpans"]) == 1


def test_a_service_may_be_the_collector(gateway, upstream, collector):
    up, got = upstream(), collector()
    ref = {"name": "otel", "port": 4318}
    gw = gateway(traced(backend("b", up), *service("otel", 4318, got.port), route("r", rule("b")), spec=tracing(ref)))

    gw.request()

    assert len(got.wait_spans(2)) == 2 and got.last.get("host") == "otel.play.svc.cluster.local:4318"


# ---- check ----


def found(tmp_path, manifests):
    file = tmp_path / "world.yaml"
    file.write_text("---\n".join(json.dumps(m) + "\n" for m in manifests))
    return tollgate("check", "-f", file).stdout


def test_check_names_a_port_of_grpc_and_what_is_not_enforced(tmp_path):
    base = [gateway_class(), gateway(infrastructure={"parametersRef": {
        "group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "proxy"}})]
    spec = {"provider": {"host": "otel.example", "port": 4317}}

    text = found(tmp_path, [*base, thing(ENVOY_API, "EnvoyProxy", "proxy", {"telemetry": {"tracing": spec}})])

    assert "port 4317" in text and "4318" in text
    spec = {"provider": {"type": "Zipkin", "host": "zipkin.example", "port": 9411}}
    text = found(tmp_path, [*base, thing(ENVOY_API, "EnvoyProxy", "proxy", {"telemetry": {"tracing": spec}})])
    assert "only OpenTelemetry is supported" in text


FORMATS = {
    "spanName.server": ('          server: "a \\"b\\" %NOBODY%"', "NOBODY"),
    "spanName.client": ("          client: x %REQ()%", "REQ()"),
    "tags": ('          my.tag: "%PROTOCOL% %NOBODY%"', "NOBODY"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_wrong_format_is_told_at_its_column_whether_anybody_attaches_its_proxy_or_not(tmp_path, name):
    line, at = FORMATS[name]
    file = tmp_path / "proxy.yaml"
    file.write_text("apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyProxy\nmetadata: {name: p, namespace: n}\nspec:\n"
                    "  telemetry:\n    tracing:\n      provider: {host: otel.example}\n"
                    f"      {name.split('.')[0]}:\n{line}\n")
    run = tollgate("check", "-f", file)
    assert run.returncode == 1
    assert f"proxy.yaml:9:{line.index(at) + 1}: EnvoyProxy/n/p: tracing: " in run.stdout, run.stdout


def test_a_proxy_with_a_wrong_format_has_no_part_in_any_listener(gateway, upstream, collector, tmp_path):
    """Its traces, its log and its metrics are the defaults', whichever listener is compiled first."""
    up, got, log = upstream(), collector(), tmp_path / "log"
    telemetry = {"tracing": tracing(spanName={"server": "%NOBODY%", "client": "x"}),
                 "accessLog": {"settings": [{"format": {"type": "Text", "text": "x"}, "sinks": [
                     {"type": "File", "file": {"path": str(log)}}]}]}}
    manifests = simple(up, got, telemetry=telemetry)
    manifests[1]["spec"]["listeners"] = [http_listener(), http_listener("second", 81)]
    gw = gateway(manifests)
    for port in (80, 81):
        assert gw.request("/seen", port=port).status == 200
    eventually(lambda: len(gw.log()) == 2)
    assert not log.exists() and not got.requests
