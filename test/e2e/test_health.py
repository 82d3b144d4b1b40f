"""Health of endpoints: probes by HTTP and TCP, one prober a backend, panic, ejection by answers, and what of it outlives
reloads."""
import collections
import socket
import threading

import pytest
from play.crowd import Crowd
from play.deadline import FACTOR, eventually
from play.health import HEALTH, Sick, answers, failing, health_of, http_check, only, outlier, policy, wait_health
from play.manifests import backend, config_map, path, route, rule, world
from play.ports import free_port
from play.upstream import Answer


def plain_world(*ups, check=None, panic=0, **more):
    checks = {"active": check or http_check(), "panicThreshold": panic, **more}
    return world(backend("b", *ups), route("r", rule("b")), policy(healthCheck=checks))


def test_an_endpoint_flaps_and_every_worker_sees_it(gateway, upstream):
    a, b = upstream("a"), upstream("b")
    sick = Sick(a, 500)
    Sick(b)
    gw = gateway(plain_world(a, b), args=["--workers", "4"])
    for _ in range(2):
        wait_health(gw, a, "unhealthy")
        only(gw, "b", 40)
        sick.status = 200
        wait_health(gw, a, "healthy")
        eventually(lambda: set(answers(gw, 10)) == {"a", "b"}, 10, "both to have requests")
        sick.status = 500
    assert gw.metric("tollgate_health_checks_total", backend="Backend/play/b", result="ok") > 0
    assert gw.metric("tollgate_health_checks_total", backend="Backend/play/b", result="status") > 0
    wait_health(gw, a, "unhealthy")
    assert gw.metric("tollgate_endpoint_healthy", endpoint=f"127.0.0.1:{a.port}") == 0
    assert gw.metric("tollgate_endpoint_healthy", endpoint=f"127.0.0.1:{b.port}") == 1
    assert "is unhealthy: status" in gw.stderr()


def test_an_endpoint_is_probed_by_one_prober_whatever_sends_to_it(gateway, upstream):
    """Rules, policies, clusters and workers: several of each. While one probe is under way there is no other, and each
    has a connection of its own."""
    a = upstream("a")
    sick = Sick(a)
    first, end = threading.Event(), threading.Event()

    def held(request, connection):
        if request.target == HEALTH:
            first.set()
            end.wait(30 * FACTOR)
        return sick.answer(request, connection)

    a.script = held
    objects = [backend("b", a)]
    for n in range(4):
        objects.append(route(f"r{n}", rule("b", matches=[path(f"/{n}")]), rule("b", matches=[path(f"/x{n}")])))
        objects.append(policy(f"p{n}", f"r{n}", healthCheck={"active": {**http_check("50ms"), "timeout": "60s"}},
                              http2={"maxConcurrentStreams": 10 + n}))
    gw = gateway(world(*objects), args=["--workers", "4"])
    assert first.wait(10 * FACTOR)
    for n in range(40):
        assert gw.request(f"/{n % 4}").status == 200
    gw.reload()
    assert len(a.requests) - 40 == 1
    end.set()
    eventually(lambda: len(sick.probes) >= 5)
    connections = [probe.connection for probe in sick.probes]
    assert len(set(connections)) == len(connections)
    probe = sick.probes[0]
    assert probe.method == "GET" and probe.get("host") == f"127.0.0.1:{a.port}" and probe.get("user-agent") == "tollgate"
    assert gw.metric("tollgate_health_checks_total") == pytest.approx(len(sick.probes), abs=1)


def test_probes_ask_as_the_policy_says(gateway, upstream):
    a = upstream("a")
    sick = Sick(a)
    check = http_check(method="HEAD", hostname="probe.example")
    check["http"]["path"] = HEALTH + "?deep=1"
    gateway(plain_world(a, check=check))
    eventually(lambda: sick.probes)
    assert (sick.probes[0].method, sick.probes[0].target, sick.probes[0].get("host")) == (
        "HEAD", HEALTH + "?deep=1", "probe.example")


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_probes_leave_no_connection_behind(gateway, upstream, http2_upstream, protocol):
    """Though the backend would keep them: none but that of a probe under way is open."""
    up = upstream("a") if protocol == "h1" else http2_upstream("a")
    more = {} if protocol == "h1" else {"appProtocols": ["gateway.envoyproxy.io/h2c"]}
    gw = gateway(world(backend("b", up, **more), route("r", rule("b")), policy(healthCheck={"active": http_check("10ms")})))
    eventually(lambda: gw.metric("tollgate_health_checks_total", result="ok") >= 20)
    assert gw.metric("tollgate_upstream_connections", backend="Backend/play/b") <= 1


@pytest.mark.parametrize("status, verdict", [(200, "unhealthy"), (201, "healthy"), (204, "healthy"), (500, "unhealthy"), (302, "unhealthy")])
def test_statuses_are_expected_or_not(gateway, upstream, status, verdict):
    a = upstream("a")
    Sick(a, status)
    gw = gateway(plain_world(a, check=http_check(expectedStatuses=[201, 204])))
    wait_health(gw, a, "healthy", "unhealthy")
    assert health_of(gw, a) == verdict


def test_thresholds_count_failures_that_may_be_forgiven(gateway, upstream):
    """A retriable status counts to the threshold, another one that was not expected decides at once."""
    a = upstream("a")
    sick = Sick(a)
    gw = gateway(plain_world(a, check=http_check("20ms", unhealthy=4, healthy=3, retriableStatuses=[503])))
    wait_health(gw, a, "healthy")
    script = iter([503, 503, 503, 200, 503, 503, 503, 503, 200, 200, 503, 200, 200, 200])
    seen = []

    def answer(request, _connection):
        seen.append(health_of(gw, a))
        return Answer(status=next(script, 200))

    sick.answer = answer
    a.script = lambda r, c: answer(r, c) if r.target == HEALTH else a.echo(r, c)
    eventually(lambda: len(seen) >= 15, 20)
    h, u = "healthy", "unhealthy"
    assert seen[:15] == [h] * 8 + [u] * 6 + [h]


def test_what_an_answer_must_contain(gateway, upstream):
    a, b = upstream("a"), upstream("b")
    Sick(a, body=b"x" * 5000 + b"all is well" + b"y" * 100000)
    Sick(b, body=b"all is lost")
    gw = gateway(plain_world(a, b, check=http_check(expectedResponse={"type": "Text", "text": "is well"})))
    wait_health(gw, b, "unhealthy")
    wait_health(gw, a, "healthy")
    only(gw, "a")


def test_an_endpoint_that_does_not_answer_its_probe_in_time(gateway, upstream):
    a, b = upstream("a"), upstream("b")
    Sick(b)
    end = threading.Event()
    inner = a.script

    def silent(request, connection):
        if request.target == HEALTH:
            end.wait(30 * FACTOR)
        return inner(request, connection)

    a.script = silent
    check = {**http_check(), "timeout": "200ms"}
    gw = gateway(plain_world(a, b, check=check))
    wait_health(gw, a, "unhealthy")
    only(gw, "b")
    assert gw.metric("tollgate_health_checks_total", result="timeout") > 0
    end.set()


def test_nobody_listens_and_then_somebody_does(gateway, upstream):
    a = upstream("a")
    Sick(a)
    port = free_port()
    gw = gateway(world(backend("b", a, port), route("r", rule("b")),
                       policy(healthCheck={"active": http_check(), "panicThreshold": 0})))
    eventually(lambda: gw.metric("tollgate_endpoint_healthy", endpoint=f"127.0.0.1:{port}") == 0
               and gw.metric("tollgate_health_checks_total", result="failed") > 0)
    only(gw, "a")


def test_panic_uses_all_and_without_it_nothing_is(gateway, upstream):
    a, b = upstream("a"), upstream("b")
    both = [Sick(a, 500), Sick(b, 500)]
    gw = gateway(plain_world(a, b, panic=50))
    for up in (a, b):
        wait_health(gw, up, "unhealthy")
    assert set(answers(gw, 40)) == {"a", "b"}
    both[0].status = 200
    wait_health(gw, a, "healthy")
    only(gw, "a")  # half of them is not less than half
    gw.apply(plain_world(a, b, panic=51))
    eventually(lambda: set(answers(gw, 20)) == {"a", "b"})
    both[0].status = 500
    wait_health(gw, a, "unhealthy")
    gw.apply(plain_world(a, b, panic=0))
    eventually(lambda: gw.request("/").status == 503)
    reply = gw.request("/")
    assert reply.status == 503 and reply.code == "no_healthy_upstream"
    gw.wait_log(lambda r: r["response_code"] == 503 and r["response_flags"] == "UH")


def test_health_outlives_reloads_and_goes_with_its_policy(gateway, upstream):
    """The last verdict stays while the endpoint's next probe never ends."""
    a, b = upstream("a"), upstream("b")
    sick = Sick(a, 500)
    Sick(b)
    gw = gateway(plain_world(a, b))
    wait_health(gw, a, "unhealthy")
    end = threading.Event()
    held = threading.Event()
    inner = a.script

    def hold(request, connection):
        if request.target == HEALTH:
            held.set()
            end.wait(30 * FACTOR)
        return inner(request, connection)

    sick.status = 200
    a.script = hold
    check = {**http_check(), "timeout": "60s"}
    gw.apply(plain_world(a, b, check=check))
    assert held.wait(10 * FACTOR)
    other = upstream("other")
    Sick(other)
    gw.apply(plain_world(other, a, b, check=check))  # another address beside it
    assert health_of(gw, a) == "unhealthy"
    wait_health(gw, other, "healthy")
    assert set(answers(gw, 30)) == {"b", "other"}
    gw.apply(world(backend("b", a, b), route("r", rule("b"))))
    eventually(lambda: set(answers(gw, 10)) == {"a", "b"})
    assert health_of(gw, a) is None
    end.set()


def test_probes_speak_the_backends_http2(gateway, http2_upstream):
    up = http2_upstream("a")
    verdict = {"status": 200}
    paths = []

    def script(stream):
        paths.append((stream.target, stream.get(":authority")))
        stream.answer(verdict["status"] if stream.target == HEALTH else 200, body=b'{"upstream": "a"}')

    up.script = script
    gw = gateway(world(backend("b", up, appProtocols=["gateway.envoyproxy.io/h2c"]), route("r", rule("b")),
                       policy(healthCheck={"active": http_check(), "panicThreshold": 0})))
    wait_health(gw, up, "healthy")
    assert gw.request("/").status == 200
    verdict["status"] = 503
    wait_health(gw, up, "unhealthy")
    assert gw.request("/").status == 503
    verdict["status"] = 200
    wait_health(gw, up, "healthy")
    assert gw.request("/").status == 200
    assert (HEALTH, f"127.0.0.1:{up.port}") in paths


def test_probes_follow_the_current_protocol_though_a_stream_is_left_of_the_former(gateway, upstream):
    """One that speaks HTTP/1 alone, of which a reload says HTTP/2: what requests do fails, and so do its probes."""
    a = upstream("a")
    go = threading.Event()
    sick = Sick(a)
    inner = a.script

    def script(request, connection):
        if request.target != "/stream":
            return inner(request, connection)
        connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        go.wait(30 * FACTOR)
        connection.send(b"0\r\n\r\n")
        return None

    a.script = script
    a.on_head = lambda request, _connection: request.method != "PRI"  # the preface of HTTP/2

    def of(**more):
        return world(backend("a", a, **more), route("r", rule("a")),
                     policy(healthCheck={"active": http_check(), "panicThreshold": 0}))

    gw = gateway(of())
    wait_health(gw, a, "healthy")
    with gw.raw("GET /stream HTTP/1.1\r\nhost: x\r\n\r\n") as raw:
        raw.until(b"one")
        gw.apply(of(appProtocols=["gateway.envoyproxy.io/h2c"]))
        wait_health(gw, a, "unhealthy")
        gw.apply(of())  # and back: the cluster that the stream has kept
        wait_health(gw, a, "healthy")
        n = len(sick.probes)
        eventually(lambda: len(sick.probes) > n + 2)
        go.set()
        raw.until(b"0\r\n\r\n")


class Talker:
    """A TCP service: answers `reply` to what ends with a line break; counts what it got."""

    def __init__(self, reply):
        self.reply, self.got, self.name = reply, [], "talker"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with sock:
                try:
                    data = sock.recv(100)
                    self.got.append(data)
                    if data:
                        sock.sendall(self.reply)
                except OSError:
                    pass

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def tcp_check(**tcp):
    return {"type": "TCP", "timeout": "2s", "interval": "100ms", "unhealthyThreshold": 1, "tcp": tcp}


def test_probes_by_tcp_send_and_expect(gateway):
    good, bad = Talker(b"+PONG\r\n"), Talker(b"-ERR\r\n")
    gw = gateway(plain_world(good, bad, check=tcp_check(send={"type": "Text", "text": "PING\n"},
                                                        receive={"type": "Binary", "binary": "K1BPTkc="})))
    wait_health(gw, good, "healthy")
    wait_health(gw, bad, "unhealthy")
    assert good.got[0] == b"PING\n"
    good.close()
    wait_health(gw, good, "unhealthy")
    bad.close()


def test_probes_by_tcp_may_only_connect(gateway, upstream):
    a = upstream("a")
    gw = gateway(plain_world(a, check=tcp_check()))
    wait_health(gw, a, "healthy")
    a.stop()
    wait_health(gw, a, "unhealthy")


def test_a_port_beside_the_endpoints_is_asked(gateway, upstream):
    a, probe = upstream("a"), upstream("probe")
    Sick(probe, 500)
    gw = gateway(plain_world(a, check={**http_check(), "overrides": {"port": probe.port}}))
    wait_health(gw, a, "unhealthy")
    assert probe.requests and not a.requests


def test_of_two_policies_the_older_one_probes_and_the_other_is_told(gateway, upstream):
    a = upstream("a")
    sick = Sick(a)
    young = policy("young", "r1", healthCheck={"active": http_check(method="OPTIONS")})
    old = policy("old", "r2", healthCheck={"active": http_check(method="HEAD")})
    young["metadata"]["creationTimestamp"] = "2025-02-02T00:00:00Z"
    old["metadata"]["creationTimestamp"] = "2025-01-01T00:00:00Z"
    gw = gateway(world(backend("b", a), route("r1", rule("b", matches=[path("/1")])),
                       route("r2", rule("b", matches=[path("/2")])), young, old))
    eventually(lambda: len(sick.probes) >= 3)
    assert {probe.method for probe in sick.probes} == {"HEAD"}
    told = [d for d in gw.status()["diagnostics"] if "healthCheck asks something else" in d["text"]]
    assert len(told) == 1 and told[0]["object"] == "BackendTrafficPolicy/play/young"


# ---- ejection by answers ----

def outlier_world(*ups, **more):
    return world(backend("b", *ups), route("r", rule("b")), policy(healthCheck=outlier(**more)))


def test_an_endpoint_is_ejected_after_so_many_5xx_in_a_row(gateway, upstream):
    a, b = upstream("a"), upstream("b")
    failing(a)
    gw = gateway(outlier_world(a, b))
    counts = answers(gw, 60)
    assert counts[500] == 3 == len(a.requests) and counts["b"] == 57
    assert health_of(gw, a) == "ejected" and health_of(gw, b) == "healthy"
    assert gw.metric("tollgate_ejections_total", backend="Backend/play/b") == 1
    assert gw.metric("tollgate_endpoint_healthy", endpoint=f"127.0.0.1:{a.port}") == 0
    gw.reload()
    gw.apply(world(backend("b", a, b), route("r", rule("b", matches=[path("/")])), route("x", rule("b", matches=[path("/x")])),
                   policy(healthCheck=outlier(consecutive5XxErrors=4))))
    assert health_of(gw, a) == "ejected"
    only(gw, "b")
    gw.apply(world(backend("b", a, b), route("r", rule("b"))))
    eventually(lambda: 500 in answers(gw, 5))


def test_a_good_answer_between_them_ends_the_row(gateway, upstream):
    a, b = upstream("a"), upstream("b")
    turn = iter([500, 500, 200] * 200)
    a.script = lambda r, c: Answer(status=s) if (s := next(turn)) != 200 else a.echo(r, c)
    gw = gateway(outlier_world(a, b))
    counts = answers(gw, 90)
    assert counts[500] > 3 and counts["a"] > 0
    assert health_of(gw, a) == "healthy"


def test_an_ejection_ends_and_the_next_one_is_longer(gateway, upstream):
    a, b = upstream("a"), upstream("b")
    state = failing(a)
    gw = gateway(outlier_world(a, b, baseEjectionTime="300ms", interval="50ms"))

    def eject():
        eventually(lambda: answers(gw, 5) and health_of(gw, a) == "ejected", what="an ejection")

    eject()
    state["status"] = 200
    eventually(lambda: "a" in answers(gw, 5), what="a to be back")
    state["status"] = 500
    eject()
    assert gw.metric("tollgate_ejections_total") == 2


def test_not_more_are_ejected_than_may_be(gateway, upstream):
    """Three of four fail, half may go: the third one stays in use."""
    ups = [upstream(name) for name in "abcd"]
    for up in ups[:3]:
        failing(up)
    gw = gateway(outlier_world(*ups))
    answers(gw, 120)
    verdicts = collections.Counter(health_of(gw, up) for up in ups)
    assert verdicts == {"ejected": 2, "healthy": 2}
    assert gw.metric("tollgate_ejections_total") == 2
    assert answers(gw, 40)[500] > 0


@pytest.mark.parametrize("one, verdict", [(False, "healthy"), (True, "ejected")])
def test_one_may_always_be_ejected_where_the_policy_says_so(gateway, upstream, one, verdict):
    a, b = upstream("a"), upstream("b")
    failing(a)
    gw = gateway(outlier_world(a, b, maxEjectionPercent=10, alwaysEjectOneEndpoint=one))
    answers(gw, 40)
    assert health_of(gw, a) == verdict


def test_gateway_errors_count_by_themselves(gateway, upstream):
    a, b, c = upstream("a"), upstream("b"), upstream("c")
    failing(a, 502)
    failing(b, 500)
    gw = gateway(outlier_world(a, b, c, consecutive5XxErrors=0, consecutiveGatewayErrors=2))
    counts = answers(gw, 90)
    assert counts[502] == 2 and counts[500] > 3
    assert (health_of(gw, a), health_of(gw, b)) == ("ejected", "healthy")


@pytest.mark.parametrize("split, n", [(False, 3), (True, 2)])
def test_connections_that_fail_count_as_5xx_or_by_themselves(gateway, upstream, split, n):
    """Nobody listens on the other port: a request there goes on to `a`, so that none fails."""
    a = upstream("a")
    port = free_port()
    gw = gateway(world(backend("b", a, port), route("r", rule("b")),
                       policy(healthCheck=outlier(splitExternalLocalOriginErrors=split, consecutiveLocalOriginFailures=2))))
    address = f"127.0.0.1:{port}"
    for _ in range(200):
        assert gw.request("/").status == 200
        if gw.metric("tollgate_endpoint_healthy", endpoint=address) == 0:
            break
    assert gw.metric("tollgate_endpoint_healthy", endpoint=address) == 0
    assert gw.metric("tollgate_upstream_failures_total", reason="connect_failed") == n
    assert "b" not in answers(gw, 20)


def test_no_answer_in_time_counts_as_a_failure(gateway, upstream):
    a, b = upstream("a"), upstream("b")
    end = threading.Event()
    a.script = lambda r, c: [end.wait(30 * FACTOR)] and None
    gw = gateway(world(backend("b", a, b), route("r", rule("b", timeouts={"request": "150ms"})),
                       policy(healthCheck=outlier(consecutive5XxErrors=2))))
    counts = answers(gw, 30)
    assert counts[504] == 2 and counts["b"] == 28
    assert health_of(gw, a) == "ejected"
    end.set()


def test_what_a_caller_chooses_ejects_nobody(gateway, upstream):
    """Its own deadline, and the time that it takes to send its content."""
    a = upstream("a")
    end = threading.Event()
    a.script = lambda r, c: [end.wait(30 * FACTOR)] and None
    gw = gateway(world(backend("b", a), route("r", rule("b", timeouts={"request": "300ms"})),
                       policy(healthCheck=outlier(consecutive5XxErrors=1, maxEjectionPercent=100))))
    reply = gw.request("/s/M", "POST", body=b"\0\0\0\0\0",
                       headers=[("content-type", "application/grpc"), ("grpc-timeout", "50m")])
    assert reply.get("grpc-status") == "4" and len(a.requests) == 1
    with gw.raw("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf") as raw:
        assert raw.reply().status in (408, 504)
    assert a.n_connections == 2
    assert health_of(gw, a) == "healthy"
    assert gw.request("/").status == 504
    assert health_of(gw, a) == "ejected"
    end.set()


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_a_client_that_sends_slowly_ejects_nobody_though_the_backend_gives_up(gateway, upstream, http2_upstream, protocol):
    """It closes (HTTP/1) or resets (HTTP/2) what it has waited for; where all was sent, that is a failure."""
    if protocol == "h1":
        a = upstream("a")
        a.on_head = lambda request, _c: request.method != "POST"
        a.script = lambda request, connection: connection.reset() if request.target == "/bad" else a.echo(request, connection)
        more = {}
    else:
        a = http2_upstream("a")
        a.on_head = lambda stream: stream.reset() if stream.method == "POST" or stream.target == "/bad" else stream.answer(200)
        more = {"appProtocols": ["gateway.envoyproxy.io/h2c"]}
    gw = gateway(world(backend("b", a, **more), route("r", rule("b")),
                       policy(healthCheck=outlier(consecutive5XxErrors=1, maxEjectionPercent=100))))
    for _ in range(3):
        with gw.raw(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf") as raw:
            assert raw.reply().status in (502, 503)
    assert health_of(gw, a) == "healthy" and gw.request("/").status == 200
    assert gw.request("/bad").status in (502, 503)
    assert health_of(gw, a) == "ejected"


def test_a_share_of_failures_ejects(gateway, upstream):
    """A third of the answers of one fails, never two in a row; six endpoints have had enough requests."""
    ups = [upstream("a"), *[upstream("b") for _ in range(5)]]
    turn = iter([500, 200, 200] * 10000)
    ups[0].script = lambda r, c: Answer(status=s) if (s := next(turn)) != 200 else ups[0].echo(r, c)
    more = {"consecutive5XxErrors": 0, "failurePercentageThreshold": 25}
    gw = gateway(outlier_world(*ups, interval="600s", **more))
    while min(len(up.requests) for up in ups) < 60:
        answers(gw, 20)
    assert all(health_of(gw, up) == "healthy" for up in ups)
    gw.apply(outlier_world(*ups, interval="100ms", **more))  # the interval begins anew, the counts stay
    wait_health(gw, ups[0], "ejected")
    assert [health_of(gw, up) for up in ups[1:]] == ["healthy"] * 5


def test_a_good_probe_ends_an_ejection(gateway, upstream):
    a, b = upstream("a"), upstream("b")
    sick, _ = Sick(a), Sick(b)
    state = {"status": 500}
    sick._script = lambda r, c: Answer(status=state["status"]) if state["status"] != 200 else a.echo(r, c)
    checks = {**outlier(), "active": {**http_check("600s"), "initialJitter": "0s"}}
    gw = gateway(world(backend("b", a, b), route("r", rule("b")), policy(healthCheck=checks)))
    wait_health(gw, a, "healthy")
    answers(gw, 30)
    assert health_of(gw, a) == "ejected"
    state["status"] = 200
    checks["active"]["interval"] = "100ms"
    gw.apply(world(backend("b", a, b), route("r", rule("b")), policy(healthCheck=checks)))
    wait_health(gw, a, "healthy")
    eventually(lambda: "a" in answers(gw, 5))


def test_probes_speak_the_backends_tls(gateway, upstream, authority, tmp_path):
    """And verify it: a certificate of another name is a failure."""
    good, bad = upstream("good", tls=authority.server(tmp_path, "b.test")), upstream("bad", tls=authority.server(tmp_path, "c.test"))
    sick = Sick(good)
    Sick(bad)
    tls = {"sni": "b.test", "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}]}
    gw = gateway(world(backend("b", good, bad, tls=tls), config_map("ca", **{"ca.crt": authority.pem}), route("r", rule("b")),
                       policy(healthCheck={"active": http_check(), "panicThreshold": 0})))
    wait_health(gw, good, "healthy")
    wait_health(gw, bad, "unhealthy")
    only(gw, "good")
    assert sick.probes[0].get("host") == "b.test" and not bad.requests


def test_who_waits_is_not_served_by_a_connection_to_an_ejected_endpoint(gateway, upstream):
    """One connection may be: the ejected endpoint's ends, and the next goes where all is well."""
    ill, well = upstream("ill"), upstream("well")
    for _ in range(8):  # until the first request has gone to the ill one
        may_answer = threading.Event()
        for up, status in ((ill, 500), (well, 200)):
            up.script = lambda _r, _c, status=status: (may_answer.wait(20 * FACTOR), Answer(status=status))[1]  # noqa: B023
        gw = gateway(world(backend("a", ill, well), route("r", rule("a")),
                           policy(healthCheck=outlier(consecutive5XxErrors=1), circuitBreaker={"maxConnections": 1})),
                     args=["--workers", "1"])
        crowd = Crowd(gw).send(8)
        eventually(lambda: gw.metric("tollgate_circuit_breaker_pending", backend="Backend/play/a") == 7)  # noqa: B023
        may_answer.set()
        statuses = crowd.statuses()
        if ill.requests:
            break
        gw.stop()
    assert len(ill.requests) == 1 and statuses == [200] * 7 + [500]


def test_an_upgrade_that_a_backend_does_not_take_is_not_held_against_it(gateway, http2_upstream):
    up = http2_upstream("a")
    gw = gateway(world(backend("a", up, appProtocols=["gateway.envoyproxy.io/h2c"]), route("r", rule("a")),
                       policy(healthCheck=outlier(consecutive5XxErrors=1, consecutiveLocalOriginFailures=1,
                                                  maxEjectionPercent=100))))
    for _ in range(3):
        with gw.raw(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    b"Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n") as raw:
            assert raw.reply().code == "upgrade_unsupported"
    assert health_of(gw, up) == "healthy" or health_of(gw, up) == "unknown"
    assert gw.metric("tollgate_ejections_total") == 0 and gw.request().status == 200
