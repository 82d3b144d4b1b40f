"""Health checks: policies that ask for them, backends that are ill, and what is seen of it."""
import collections

from .deadline import eventually
from .manifests import ENVOY_API, target, thing
from .upstream import Answer

HEALTH = "/health-of-it"


def policy(name="health", of="r", kind="HTTPRoute", **spec):
    return thing(ENVOY_API, "BackendTrafficPolicy", name, {"targetRefs": [target(kind, of)], **spec})


def http_check(interval="100ms", unhealthy=1, healthy=1, **more):
    return {"type": "HTTP", "timeout": "2s", "interval": interval, "unhealthyThreshold": unhealthy,
            "healthyThreshold": healthy, "http": {"path": HEALTH, **more}}


class Sick:
    """Makes an Upstream answer its probes, and nothing else, with a status that may change."""

    def __init__(self, up, status=200, body=b"", headers=()):
        self.status, self.body, self.headers = status, body, list(headers)
        self.probes = []
        self._script = up.script
        self.up = up
        up.script = self.answer

    def answer(self, request, connection):
        if request.target.split("?")[0] != HEALTH:
            return self._script(request, connection)
        self.probes.append(request)
        return Answer(status=self.status, body=self.body, headers=self.headers)


def health_of(gw, up):
    """What /status says of an endpoint."""
    address = f"127.0.0.1:{up.port}"
    found = {e.get("health") for c in gw.status()["clusters"] for e in c["endpoints"] if e["address"] == address}
    assert len(found) == 1, found
    return found.pop()


def wait_health(gw, up, *wanted):
    eventually(lambda: health_of(gw, up) in wanted, 15, f"{up.name} to be {wanted}")


def answers(gw, n=12, where="/"):
    """By whom so many requests are answered, each on a connection of its own so that all workers have some."""
    counts = collections.Counter()
    for _ in range(n):
        reply = gw.request(where)
        counts[reply.json["upstream"] if reply.status == 200 and b"upstream" in reply.body else reply.status] += 1
    return counts


def only(gw, name, n=24, where="/"):
    assert set(answers(gw, n, where)) == {name}


def outlier(**more):
    return {"passive": {"interval": "100ms", "baseEjectionTime": "600s", "consecutive5XxErrors": 3, "maxEjectionPercent": 50,
                        **more}, "panicThreshold": 0}


def failing(up, status=500):
    """Answers with `status` until told otherwise."""
    state = {"status": status}
    up.script = lambda r, c: Answer(status=state["status"]) if state["status"] != 200 else up.echo(r, c)
    return state
