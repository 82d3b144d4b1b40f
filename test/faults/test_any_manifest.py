"""Any manifest changes, ten times a second, of every kind and every part of it that is enforced: no request fails, no stream
breaks, memory does not grow; and what was counted or found before is so afterwards: a budget, places at a backend that has
no more, an endpoint that is ejected."""
import random
import time

from play.crowd import Held
from play.deadline import FACTOR, eventually
from play.halves import Halves
from play.health import Sick, failing, health_of, http_check, outlier, policy
from play.manifests import (ENVOY_API, ai_backend, ai_route, ai_rule, backend, client_policy, config_map, http_listener, model,
                            path, route, rule, secret, security_policy, target, thing, world)
from play.memory import anonymous_kib, is_sanitized
from play.upstream import Answer
from test_flapping_files import GROWTH_KIB, PER_SECOND, Load

BUDGET = 1_000_000_000
FILTER = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-flap", "value": "1"}]}}
HASH = {"type": "ConsistentHash", "consistentHash": {"type": "SourceIP", "tableSize": 251}}
# What may be there or not, or be one or the other, of each kind of object and each part: the first ones are of the policy of
# what is asked all the time, "client" is the ClientTrafficPolicy, "other" is how the backends with something to remember are
# spoken to.
KNOBS = {
    "loadBalancer": [None, {"type": "RoundRobin"}, {"type": "Random"}, HASH, {"type": "LeastRequest", "slowStart": {"window": "5s"}}],
    "timeout": [None, {"http": {"requestTimeout": "60s", "connectionIdleTimeout": "30s"}}, {"tcp": {"connectTimeout": "9s"}}],
    "retry": [None, {"numRetries": 1}, {"numRetries": 2, "retryOn": {"httpStatusCodes": [503]}}],
    "circuitBreaker": [None, {"maxConnections": 9000}, {"maxParallelRequests": 9000, "maxPendingRequests": 9}],
    "compressor": [None, [{"type": "Gzip"}], [{"type": "Brotli"}, {"type": "Zstd"}]],
    "tcpKeepalive": [None, {"idleTime": "60s"}], "connection": [None, {"bufferLimit": "16Ki"}, {"socketBufferLimit": "64Ki"}],
    "requestBuffer": [None, {"limit": "1Mi"}], "faultInjection": [None, {"delay": {"fixedDelay": "1ms", "percentage": 50}}],
    "responseOverride": [None, [{"match": {"statusCodes": [{"type": "Value", "value": 599}]}, "response": {"statusCode": 598}}]],
    "useClientProtocol": [None, True],
    "client.headers": [None, {"enableEnvoyHeaders": True}, {"requestID": "Disable"}],
    "client.path": [None, {"disableMergeSlashes": True}, {"escapedSlashesAction": "UnescapeAndForward"}],
    "client.timeout": [None, {"http": {"idleTimeout": "300s", "requestReceivedTimeout": "200s"}}],
    "client.connection": [None, {"connectionLimit": {"value": 5000}}, {"bufferLimit": "32Ki"}],
    "client.clientIPDetection": [None, {"xForwardedFor": {"numTrustedHops": 1}}, {"directSourceIP": {}}],
    "client.tcpKeepalive": [None, {"idleTime": "60s"}], "client.http1": [None, {"preserveHeaderCase": True}],
    "client.http2": [None, {"maxConcurrentStreams": 50}], "client.healthCheck": [None, {"path": "/well"}],
    "other.tcpKeepalive": [None, {"idleTime": "60s"}], "other.connection": [None, {"bufferLimit": "16Ki"}],
    "endpoints": [1, 2, 3], "filters": [[], [FILTER]], "timeouts": [None, {"request": "90s"}], "listeners": [1, 2],
    "keys": [None, "one", "two"], "text": ["", "x"], "routes": [0, 1, 2], "models": [0, 1, 2], "guarded": [0, 1], "copies": [0, 1],
}

TRAFFIC = list(KNOBS)[:list(KNOBS).index("useClientProtocol") + 1]


class Flapping:
    def __init__(self, ups, held, sick):
        self.ups, self.held, self.sick = ups, held, sick
        self.now = {name: values[0] for name, values in KNOBS.items()}

    def turn(self, rng):
        name = rng.choice(list(KNOBS))
        self.now[name] = rng.choice([value for value in KNOBS[name] if value != self.now[name]])

    def _part(self, prefix):
        return {name.removeprefix(prefix): value for name, value in self.now.items()
                if value is not None and name.startswith(prefix) and ("." in name) == bool(prefix)}

    def manifests(self):
        now, kept = self.now, self._part("")
        spec = {name: kept[name] for name in kept if name in TRAFFIC}
        made = [
            backend("a", *self.ups[:now["endpoints"]]), backend("held", self.held), backend("flock", *self.sick),
            route("r", rule("a", matches=[path("/kept")], filters=now["filters"] + now["copies"] * [
                {"type": "RequestMirror", "requestMirror": {"backendRef": {
                    "group": "gateway.envoyproxy.io", "kind": "Backend", "name": "flock"}}}],
                **({"timeouts": now["timeouts"]} if now["timeouts"] else {}))),
            thing(ENVOY_API, "BackendTrafficPolicy", "p", {"targetRefs": [target("HTTPRoute", "r")], **spec, "rateLimit": {
                "global": {"rules": [{"limit": {"requests": BUDGET, "unit": "Year"}, "shared": True}]}}}),
            client_policy("c", **self._part("client.")),
            route("held", rule("held", matches=[path("/held")])),
            policy("h", "held", circuitBreaker={"maxParallelRequests": 2}, **self._part("other.")),
            route("flock", rule("flock", matches=[path("/flock")])),
            policy("f", "flock", healthCheck={"active": http_check("600s"), **outlier(consecutive5XxErrors=2)},
                   **self._part("other.")),
            *[route(f"more-{i}", rule("a", matches=[path(f"/more-{i}")])) for i in range(now["routes"])],
            config_map("text", value=now["text"])]
        if now["keys"]:
            auth = {"credentialRefs": [{"name": "keys"}], "extractFrom": [{"headers": ["x-key"]}]}
            made += [secret("keys", client=now["keys"]), route("secret", rule("a", matches=[path("/secret")])),
                     security_policy("s", target("HTTPRoute", "secret"), apiKeyAuth=auth)]
        if now["models"]:
            made += [ai_backend("a"), ai_route("ai", *[ai_rule("a", matches=[model(f"m{i}")]) for i in range(now["models"])])]
        if now["guarded"]:
            made.append(security_policy("d", target("HTTPRoute", "held"), cors={"allowOrigins": ["https://a.test"]}))
        return world(*made, listeners=[http_listener(), http_listener("other", 81)][:now["listeners"]])


def test_whatever_changes_fails_nobody_and_forgets_nothing(gateway, upstream, scale):
    ups, rng = [upstream(name) for name in "abc"], random.Random(scale.seed)
    streams, held, good, bad = Halves(ups[0], "/kept/stream"), upstream("held"), upstream("good"), upstream("bad")
    held_streams = Halves(held, "/held")
    Sick(good)
    state = failing(bad)
    Sick(bad)
    flapping = Flapping(ups, held, [good, bad])
    gw = gateway(flapping.manifests(), ports=[80, 81], args=["--workers", "4"])
    streams.begin(gw, scale(50, 500))
    held_streams.begin(gw, 2)
    eventually(lambda: gw.request("/flock") and health_of(gw, bad) == "ejected", 15, "its ejection")
    state["status"] = 200
    load, known, n = Load(gw.port(), scale(2, 4)), [], 0
    started = time.monotonic()
    for i in range(scale(6, 60) * PER_SECOND):
        flapping.turn(rng)
        gw.write("world.yaml", flapping.manifests())
        while (left := started + (i + 1) / PER_SECOND - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))  # ten times a second is what is played
        if i % PER_SECOND == 0:
            known.append(anonymous_kib(gw))
            assert gw.request("/held").status == 503, "two are under way, of two"
            assert gw.request("/flock").json["upstream"] == "good"
            n += 1
    load.stop()
    flapping.now.update({name: values[0] for name, values in KNOBS.items()}, routes=9)
    gw.write("world.yaml", flapping.manifests())
    eventually(lambda: gw.request("/more-8").status == 200, 15, "the last one to be taken")
    reply = gw.request("/kept")
    assert int(reply.get("x-ratelimit-remaining")) == BUDGET - scale(50, 500) - load.n_answers - 1, "each counted, once"
    streams.finish()
    held_streams.finish()
    held.script = lambda _request, _connection: Answer(body=b"fine")
    eventually(lambda: gw.metric("tollgate_circuit_breaker_requests", backend="Backend/play/held") == 0)
    assert gw.request("/held").status == 200
    assert health_of(gw, bad) == "ejected" and gw.n_reloads("failed") == 0
    half = len(known) // 2
    grown = max(known[half:]) - max(known[:half])
    print(f"{scale(6, 60) * PER_SECOND} changes, {gw.n_reloads('ok'):.0f} reloads, {load.n_answers} requests, memory {known[0]} to "
          f"{max(known)} KiB, {grown:+d} KiB in the second half; the held ones were counted {n} times")
    assert gw.n_reloads("ok") > 5
    assert is_sanitized(gw) or grown < GROWTH_KIB


# As many requests as connections, or more: who cannot go on waits.
NARROW = {"maxConnections": 1, "maxParallelRequests": 1}
WIDER = [{"maxConnections": n, "maxParallelRequests": n + more} for n in (2, 3, 5) for more in (0, 0, 3)] + [
    {"maxConnections": 2}, {"perEndpoint": {"maxConnections": 3}}, None]
NARROW_EVERY = 20  # changes, which are more than a request has time for


def test_bounds_that_change_all_the_time_make_nobody_wait_in_vain(gateway, upstream, scale):
    """Who waits by narrow ones has its turn among those who come under wider ones, who never end."""
    up, rng = Held(upstream("a"), seconds=0.01), random.Random(scale.seed)

    def manifests(bounds):
        breaker = {"circuitBreaker": {**bounds, "maxPendingRequests": 900}} if bounds else {}
        return world(backend("a", up.up), route("r", rule("a")),
                     policy("p", "r", timeout={"http": {"requestTimeout": f"{1500 * FACTOR:.0f}ms"}}, **breaker))
    gw = gateway(manifests(NARROW), args=["--workers", "4"])
    load, started, n_waited = Load(gw.port(), 12), time.monotonic(), 0
    for i in range(scale(6, 60) * PER_SECOND):
        gw.write("world.yaml", manifests(rng.choice(WIDER) if i % NARROW_EVERY else NARROW))
        n_waited += gw.metric("tollgate_circuit_breaker_pending", backend="Backend/play/a") > 0
        while (left := started + (i + 1) / PER_SECOND - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))
    load.stop()
    assert gw.n_reloads("failed") == 0 and n_waited > 0
    eventually(lambda: gw.metric("tollgate_circuit_breaker_requests", backend="Backend/play/a") == 0)
    print(f"{gw.n_reloads('ok'):.0f} reloads, {load.n_answers} requests, somebody waited at {n_waited} of them")
