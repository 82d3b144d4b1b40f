"""Circuit breakers and limits under 4 workers and 400 connections: a backend that counts sees never more than the bound, and
as many as the bound; nobody is lost between client, gateway and backend."""
from play.deadline import eventually
from play.manifests import ENVOY_API, backend, route, rule, target, thing, world

N_CLIENTS = 400
BACKEND = "Backend/play/a"


def bounded(up, retry=None, **bounds):
    spec = {"targetRefs": [target("Gateway", "front")], "circuitBreaker": bounds, **({"retry": retry} if retry else {})}
    return world(backend("a", up), route("r", rule("a")), thing(ENVOY_API, "BackendTrafficPolicy", "p", spec))


def overflows(gw, bound):
    return gw.metric("tollgate_circuit_breaker_overflows_total", backend=BACKEND, bound=bound)


def check_counts(gw, up, n):
    """What clients were told, what the backend has seen and answered, what metrics and the log say."""
    eventually(lambda: gw.metric("tollgate_exchanges_active") == 0)
    assert sum(up.told.values()) == len(up.statuses) == n
    assert up.answered[200] == up.told[200] and sum(up.answered.values()) == sum(up.seen.values())
    eventually(lambda: gw.metric("tollgate_requests_total") == n)  # the last answers are counted once they are sent
    assert gw.metric("tollgate_requests_total", response_code_class="2xx") == up.told[200]
    assert gw.metric("tollgate_requests_total", response_code_class="5xx") == up.told[503] == n - up.told[200]
    assert gw.metric("tollgate_upstream_requests_total", backend=BACKEND) == sum(up.seen.values())
    for gauge in ("requests", "pending"):
        eventually(lambda gauge=gauge: gw.metric(f"tollgate_circuit_breaker_{gauge}") == 0)


def test_requests(gateway, many, scale):
    """Beyond the bound they are refused at once: while nobody is answered, exactly the others."""
    n, up = 40, many()
    gw = gateway(bounded(up, maxParallelRequests=n), args=["--workers", "4"])
    up.shut()
    up.begin(gw.port(), N_CLIENTS)
    eventually(lambda: up.told[503] == N_CLIENTS - n and up.asked.now == n, 20)
    up.open()
    up.end()
    assert up.told == {200: n, 503: N_CLIENTS - n}
    n_each = scale(2, 50)
    up.run(gw.port(), N_CLIENTS, n_each)
    assert up.asked.most == n
    check_counts(gw, up, N_CLIENTS * (1 + n_each))
    assert overflows(gw, "requests") == up.told[503] and up.told[200] >= 2 * n


def test_connections_and_those_who_wait_for_one(gateway, many, scale):
    n, n_pending, up = 16, 100, many()
    gw = gateway(bounded(up, maxConnections=n, maxPendingRequests=n_pending), args=["--workers", "4"])
    up.shut()
    up.begin(gw.port(), N_CLIENTS)
    eventually(lambda: up.told[503] == N_CLIENTS - n - n_pending and up.asked.now == n, 20)
    assert up.connections.now == n
    assert gw.metric("tollgate_circuit_breaker_pending", backend=BACKEND) == n_pending
    up.open()
    up.end()
    assert up.told == {200: n + n_pending, 503: N_CLIENTS - n - n_pending}
    n_each = scale(2, 50)
    up.run(gw.port(), N_CLIENTS, n_each)
    assert up.asked.most == up.connections.most == n
    check_counts(gw, up, N_CLIENTS * (1 + n_each))
    assert overflows(gw, "pending") == up.told[503]


def test_nobody_is_refused_where_all_may_wait(gateway, many, scale):
    n, up = 16, many(seconds=0.001)
    gw = gateway(bounded(up, maxConnections=n, maxPendingRequests=N_CLIENTS), args=["--workers", "4"])
    n_each = scale(2, 25)
    up.run(gw.port(), N_CLIENTS, n_each)
    assert up.told == {200: N_CLIENTS * n_each} and up.connections.most == up.asked.most == n
    check_counts(gw, up, N_CLIENTS * n_each)


def test_retries(gateway, many, scale):
    """Each request fails once. Those that are not tried again are told what the first try was."""
    n, up = 12, many(lambda number, nth: 503 if nth == 1 else 200)
    gw = gateway(bounded(up, retry={"numRetries": 1, "perRetry": {"backOff": {"baseInterval": "1ms", "maxInterval": "1ms"}}},
                         maxParallelRetries=n, maxParallelRequests=N_CLIENTS), args=["--workers", "4"])

    def made():
        return sum(gw.metric("tollgate_upstream_retries_total", outcome=outcome) for outcome in ("succeeded", "failed"))
    n_each = scale(3, 50)
    up.run(gw.port(), N_CLIENTS, n_each)
    assert up.again.most == n
    assert sum(up.seen.values()) == N_CLIENTS * n_each + made()
    assert set(up.seen.values()) <= {1, 2} and len(up.seen) == N_CLIENTS * n_each
    assert up.told[200] == made() and up.told[503] == overflows(gw, "retries") == gw.metric(
        "tollgate_upstream_retries_total", outcome="overflow")
    assert all(up.seen[number] == (2 if status == 200 else 1) for number, status in up.statuses.items())
    check_counts(gw, up, N_CLIENTS * n_each)


def limited(up, n):
    return world(backend("a", up), route("r", rule("a")), thing(ENVOY_API, "BackendTrafficPolicy", "p", {
        "targetRefs": [target("Gateway", "front")], "rateLimit": {"global": {"rules": [
            {"limit": {"requests": n, "unit": "Year"}, "shared": True}]}}}))


def test_limits(gateway, many, scale):
    """Exactly as many pass as may: of those who come at once, and again when the limit is raised, over all their requests."""
    n, n_each, up = 40, scale(3, 50), many()
    gw = gateway(limited(up, n), args=["--workers", "4"])
    up.shut()
    up.begin(gw.port(), N_CLIENTS)
    eventually(lambda: up.told[429] == N_CLIENTS - n and up.asked.now == n, 20)
    up.open()
    up.end()
    assert up.told == {200: n, 429: N_CLIENTS - n}
    more = N_CLIENTS * n_each // 2
    gw.apply(limited(up, n + more))
    up.run(gw.port(), N_CLIENTS, n_each)
    n_all = N_CLIENTS * (1 + n_each)
    assert up.told == {200: n + more, 429: n_all - n - more}
    assert up.answered[200] == len(up.seen) == sum(up.seen.values()) == n + more, "who is refused has not been there"
    eventually(lambda: gw.metric("tollgate_requests_total") == n_all)
    assert gw.metric("tollgate_requests_total", response_code_class="4xx") == up.told[429]
