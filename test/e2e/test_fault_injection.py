"""Failures on purpose: delays and refusals of a share of the requests."""
import time

import pytest

from play.deadline import eventually
from play.http2 import Http2
from play.manifests import (ENVOY_API, ai_backend, ai_route, ai_rule, backend, grpc_route, model, path, route, rule, secret,
                            security_policy, target, thing, world)
from test_ai_routes import CHAT, COSTS, chat, completion
from test_check import check


def faults(kind="Gateway", name="front", delay=None, abort=None, **more):
    spec = {**({"delay": delay} if delay else {}), **({"abort": abort} if abort else {})}
    return thing(ENVOY_API, "BackendTrafficPolicy", "t", {"targetRefs": [target(kind, name)], "faultInjection": spec, **more})


def test_a_share_of_requests_is_refused(gateway, upstream):
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a")), faults(abort={"httpStatus": 418, "percentage": 30})))
    statuses = [gw.request("/").status for _ in range(400)]
    n = statuses.count(418)
    assert set(statuses) == {200, 418} and 60 < n < 190, n  # 120 expected, some six deviations
    assert len(up.requests) == 400 - n
    assert gw.metric("tollgate_refusals_total", reason="fault_injected") == n
    records = eventually(lambda: len(gw.log()) == 400 and gw.log())
    assert sum(r["response_flags"] == "FI" for r in records) == n


def test_all_of_them_with_a_stable_code(gateway, upstream):
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a"), rule("a", matches=[path("/r")])), secret("keys", alice="k"),
                       security_policy("s", target("HTTPRoute", "r"), apiKeyAuth={
                           "credentialRefs": [{"name": "keys"}], "extractFrom": [{"headers": ["x-api-key"]}]}),
                       faults(abort={"httpStatus": 503})))
    assert gw.request("/").status == 401, "who may not come in is told so first"
    reply = gw.request("/", "POST", body=b"content", headers=[("x-api-key", "k")])
    assert (reply.status, reply.code, reply.get("retry-after")) == (503, "fault_injected", "1")
    assert not up.requests


@pytest.mark.parametrize("abort, told, status", [({"grpcStatus": 8}, "8", 429), ({"httpStatus": 401}, "16", 401)])
def test_a_call_of_grpc_is_refused_as_it_says(gateway, http2_upstream, abort, told, status):
    gw = gateway(world(backend("a", http2_upstream("a")), grpc_route("r", rule("a")), faults("GRPCRoute", "r", abort=abort)))
    with Http2(gw.port()) as one:
        reply = one.request("/a.B/C", "POST", body=b"\0\0\0\0\0", headers=[("content-type", "application/grpc"), ("te", "trailers")])
    assert (reply.status, reply.get("grpc-status")) == (200, told)
    assert gw.wait_log(lambda r: r["response_flags"] == "FI")["response_code"] == status


def test_a_delay_comes_before_the_backend(gateway, upstream):
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a"), rule("a", matches=[path("/timed")], timeouts={"request": "200ms"})),
                       faults(delay={"fixedDelay": "400ms"})))
    started = time.monotonic()
    reply = gw.request("/", "POST", body=b"x" * 200_000)
    assert (reply.status, len(up.last.body)) == (200, 200_000) and time.monotonic() - started >= 0.4
    assert gw.wait_log(lambda r: r["response_code"] == 200)["response_flags"] == "DI"
    reply = gw.request("/timed")
    assert (reply.status, reply.code) == (504, "upstream_timeout"), "the whole request's time runs on"
    assert gw.wait_log(lambda r: r["response_code"] == 504)["response_flags"] == "UT,DI"
    assert len(up.requests) == 1


def test_a_delayed_client_that_leaves_is_forgotten(gateway, upstream):
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a")), faults(delay={"fixedDelay": "1000s"}, abort={"httpStatus": 500})))
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"):
        eventually(lambda: gw.metric("tollgate_exchanges_active") == 1)
    eventually(lambda: gw.metric("tollgate_exchanges_active") == 0)
    assert gw.wait_log(lambda r: r["response_flags"] == "DC,DI")["response_code"] == 0 and not up.requests


def test_what_is_refused_on_purpose_costs_no_tokens(gateway, upstream):
    up = upstream("a")
    up.script = completion
    gw = gateway(world(backend("a", up), ai_backend("a"), ai_route("ai", ai_rule("a", matches=[model("m")]), costs=COSTS),
                       faults("HTTPRoute", "ai", abort={"httpStatus": 529, "percentage": 50}, delay={"fixedDelay": "1ms"})))
    replies = [gw.request(CHAT, json=chat()) for _ in range(40)]
    n = sum(r.status == 200 for r in replies)
    assert 0 < n < 40 and len(up.requests) == n
    assert all("error" in r.json for r in replies if r.status == 529), "in the shape of the caller's API"
    records = eventually(lambda: len(gw.log()) == 40 and gw.log())
    assert sum(r["tokens_total"] or 0 for r in records) == 12 * n


def test_it_is_no_longer_named_as_missing(tmp_path):
    run = check(tmp_path, world(backend("a", 1), route("r", rule("a")), faults(abort={"httpStatus": 500})))
    assert run.returncode == 0 and "faultInjection" not in run.stdout
