"""backendSettings of authorizers and key sets: what a BackendTrafficPolicy says of connections, bounds and health holds for
them, too."""
import json
import threading
import time

import pytest

from play.deadline import eventually
from play.gateway import as_text, tollgate
from play.health import HEALTH, Sick, http_check, wait_health
from play.manifests import backend, provider, route, rule, security_policy, target, to, world
from play.proxied import ProxiedUpstream
from play.upstream import Answer
from test_backend_connections import timer_to

ROUTE = target("HTTPRoute", "r")
ALL = {"tcpKeepalive": {"idleTime": "100s"}, "connection": {"bufferLimit": "1Mi"}, "proxyProtocol": {"version": "V2"},
       "circuitBreaker": {"maxConnections": 9}, "dns": {"respectDnsTtl": True}, "http2": {"maxConcurrentStreams": 9},
       "healthCheck": {"active": http_check()},
       "timeout": {"tcp": {"connectTimeout": "1s"}, "http": {"connectionIdleTimeout": "1m", "maxConnectionDuration": "1h"}}}


def guarded(up, *authorizers, **settings):
    return world(backend("a", up), backend("authorizer", *authorizers), route("r", rule("a")), security_policy(
        "p", ROUTE, extAuth={"http": {"backendRefs": [to("authorizer")], "backendSettings": settings}}))


def verified(up, source, keys, **settings):
    return world(backend("a", up), backend("keys", source), route("r", rule("a")), security_policy(
        "p", ROUTE, jwt={"providers": [provider(keys, remoteJWKS={"backendSettings": settings})]}))


@pytest.fixture
def proxied():
    started = []

    def start():
        started.append(ProxiedUpstream("a"))
        return started[-1]
    yield start
    for up in started:
        up.stop()
        assert not [told for told in up.told.values() if told[0] == "fault"], up.told


# ---- authorizers ----

def test_calls_to_an_authorizer_are_bounded(gateway, upstream):
    up, authorizer, go = upstream("a"), upstream("authorizer"), threading.Event()
    authorizer.script = lambda *_: go.wait(20) and Answer()
    gw = gateway(guarded(up, authorizer, circuitBreaker={"maxParallelRequests": 1}))
    first = []
    thread = threading.Thread(target=lambda: first.append(gw.request().status))
    thread.start()
    authorizer.wait_for(1)
    reply = gw.request()
    assert (reply.status, reply.code) == (403, "ext_auth_failed"), "at once, and no is the answer of what cannot be asked"
    go.set()
    thread.join()
    assert first == [200] and len(authorizer.requests) == 1
    assert gw.metric("tollgate_circuit_breaker_overflows_total", backend="Backend/play/authorizer", bound="requests") == 1


def test_connections_to_an_authorizer_are_as_its_settings_say(gateway, upstream):
    up, authorizer = upstream("a"), upstream("authorizer")
    gw = gateway(guarded(up, authorizer, tcpKeepalive={"idleTime": "100s"},
                         timeout={"http": {"connectionIdleTimeout": "400ms"}}), args=("--workers", "1"))
    assert (gw.request().status, gw.request().status) == (200, 200)
    assert authorizer.n_connections == 1
    eventually(lambda: timer_to(authorizer.port)[0] == 2, what="keep-alive")
    assert 50 <= timer_to(authorizer.port)[1] <= 101
    assert timer_to(up.port)[0] != 2, "which is the authorizer's alone"
    time.sleep(0.5)
    assert gw.request().status == 200 and authorizer.n_connections == 2


def test_the_proxy_protocol_tells_an_authorizer_that_it_is_the_gateway_who_asks(gateway, upstream, proxied):
    up, authorizer = upstream("a"), proxied()
    gw = gateway(guarded(up, authorizer, proxyProtocol={"version": "V1"}), args=("--workers", "1"))
    for _ in range(3):
        assert gw.request().status == 200
    assert list(authorizer.told.values()) == [(1, None, None)], "one connection for all"
    assert len(authorizer.requests) == 3


def test_an_authorizer_that_is_ill_is_not_asked(gateway, upstream):
    up, ill, well = upstream("a"), upstream("ill"), upstream("well")
    Sick(ill, 500)
    Sick(well)
    gw = gateway(guarded(up, ill, well, healthCheck={"active": http_check(), "panicThreshold": 0}))
    wait_health(gw, ill, "unhealthy")
    n = len([r for r in ill.requests if r.target != HEALTH])
    for _ in range(12):
        assert gw.request().status == 200
    assert len([r for r in ill.requests if r.target != HEALTH]) == n
    assert len([r for r in well.requests if r.target != HEALTH]) >= 12


# ---- key sets ----

def test_a_fetch_of_keys_is_as_its_settings_say(gateway, upstream, issuer, proxied):
    up, keys, source = upstream("a"), issuer(), proxied()
    source.script = lambda *_: Answer(body=json.dumps(keys.jwks()).encode())
    gw = gateway(verified(up, source, keys, proxyProtocol={"version": "V2"}, healthCheck={"active": http_check()}))
    eventually(lambda: gw.request(token=keys.token()).status == 200, what="the keys")
    eventually(lambda: any(r.target == HEALTH for r in source.requests), what="a probe")
    assert set(source.told.values()) == {(2, None, None)}


def test_a_fetch_of_keys_is_bounded(gateway, upstream, issuer):
    up, keys = upstream("a"), issuer()
    gw = gateway(verified(up, keys, keys, circuitBreaker={"maxConnections": 0}))
    eventually(lambda: gw.status()["key_sets"][0]["fetches_failed"] > 0, what="a fetch to be refused")
    assert gw.request(token=keys.token()).status == 503
    assert keys.server.n_connections == 0
    gw.apply(verified(up, keys, keys, circuitBreaker={"maxConnections": 1}))
    eventually(lambda: gw.request(token=keys.token()).status == 200, what="the keys")


# ---- what is said ----

@pytest.mark.parametrize("more, named", [
    ({}, []), ({"retry": {"numRetries": 1}}, ["backendSettings.retry"]),
    ({"timeout": {"http": {"requestTimeout": "1s"}}}, ["backendSettings.timeout.http"])])
def test_what_of_an_authorizers_settings_is_not_enforced_is_named(tmp_path, more, named):
    file = tmp_path / "m.yaml"
    file.write_text(as_text(guarded(1, 2, **{**ALL, **more})), encoding="utf-8")
    said = tollgate("check", "-f", file).stdout
    assert "0 errors" in said and f"{len(named)} warning" in said, said
    assert all(name in said for name in named), said


@pytest.mark.parametrize("http, is_named", [
    ({"requestTimeout": "1s", "maxConnectionDuration": "1h", "connectionIdleTimeout": "1m"}, False),
    ({"maxStreamDuration": "1h"}, True), ({"streamIdleTimeout": "1h"}, True)])
def test_what_of_a_key_sets_settings_is_not_enforced_is_named(tmp_path, issuer, http, is_named):
    file = tmp_path / "m.yaml"
    file.write_text(as_text(verified(1, 2, issuer(), **{**ALL, "timeout": {"http": http}})), encoding="utf-8")
    said = tollgate("check", "-f", file).stdout
    assert "0 errors" in said and f"{int(is_named)} warning" in said, said
