"""Half of the answers are 503, and a policy tries again: what the backend gets beyond the requests of clients is at most the
budget's share of them; clients, backend, metrics and access log agree about every single one."""
import random

from play.deadline import eventually
from play.manifests import ENVOY_API, backend, route, rule, target, thing, world

N_RETRIES = 3


def half_of(seed):
    """The same for the same seed, whatever the order in which they come."""
    return lambda number, nth: 503 if random.Random(f"{seed}/{number}/{nth}").random() < 0.5 else 200


def retried(up, percent):
    budget = {"retryBudget": {"percent": {"numerator": percent}, "minRetryConcurrency": 0}}
    return world(backend("a", up), route("r", rule("a")), thing(ENVOY_API, "BackendTrafficPolicy", "p", {
        "targetRefs": [target("Gateway", "front")], "retry": {
            "numRetries": N_RETRIES, "perRetry": {"backOff": {"baseInterval": "1ms", "maxInterval": "1ms"}}},
        "circuitBreaker": {"maxParallelRequests": 10_000, "maxPendingRequests": 10_000, **budget}}))


def test_amplification_is_bounded_by_the_budget(gateway, many, scale):
    n_clients, n_each, percent = scale(60, 400), scale(10, 50), 20
    n, up = n_clients * n_each, many(half_of(scale.seed), seconds=0.02)
    gw = gateway(retried(up, percent), args=["--workers", "4"])
    up.run(gw.port(), n_clients, n_each)
    eventually(lambda: gw.metric("tollgate_exchanges_active") == 0)

    def retries(outcome):
        return gw.metric("tollgate_upstream_retries_total", outcome=outcome)
    n_seen, made = sum(up.seen.values()), retries("succeeded") + retries("failed")
    print(f"{n} requests, {n_seen} at the backend ({n_seen / n:.3f} times), {up.told[503]} told 503")
    assert n < n_seen <= n * (1 + percent / 100), f"{n_seen} for {n} requests"
    assert n_seen == n + made and len(up.seen) == n and max(up.seen.values()) <= 1 + N_RETRIES
    assert up.told[200] + up.told[503] == n == gw.metric("tollgate_requests_total")
    assert up.told[200] == up.answered[200] == gw.metric("tollgate_upstream_requests_total", response_code_class="2xx")
    assert up.answered[503] == gw.metric("tollgate_upstream_requests_total", response_code_class="5xx")
    assert up.told[503] == retries("overflow") + retries("exhausted") and retries("overflow") > 0
    # One by one: who was told 503 had 503 from the last try that was made for it.
    script = half_of(scale.seed)
    wrong = [number for number, status in up.statuses.items() if status != script(number, up.seen[number])]
    assert not wrong, f"--fault-seed {scale.seed}: {wrong[:5]}"
    records = eventually(lambda: len(found := gw.log()) + gw.metric("tollgate_access_log_dropped_lines_total") >= n and found)
    n_dropped = gw.metric("tollgate_access_log_dropped_lines_total")
    n_logged = sum(record["attempts"] for record in records)
    assert n_seen - (1 + N_RETRIES) * n_dropped <= n_logged <= n_seen
