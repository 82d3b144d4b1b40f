"""Endpoints that fall ill and get well again, in every combination, some of them all at once, while clients come without a
pause: where enough are well the ill ones get nothing; where they are not all are used (panic), or, if the policy wants no
panic, nobody; and nobody is refused meanwhile who could have been served."""
import random
import threading

from play.client import Raw
from play.deadline import eventually
from play.health import Sick, failing, health_of, http_check, outlier, policy
from play.manifests import backend, path, route, rule, world
from play.threads import Threads

N_ENDPOINTS, PANIC_PERCENT, N_EACH = 4, 50, 80
GET = b"GET /%s HTTP/1.1\r\nHost: a.test\r\n\r\n"


class Scene:
    """Two rules with the same endpoints: of "panics" all are used where too few are well, of "strict" never."""

    def __init__(self, gateway, upstream):
        self.ups = [upstream(f"e{i}") for i in range(N_ENDPOINTS)]
        self.sick = [Sick(up) for up in self.ups]
        self.gw = gateway(world(
            backend("panics", *self.ups), backend("strict", *self.ups),
            *[route(name, rule(name, matches=[path(f"/{name}")])) for name in ("panics", "strict")],
            policy("p", "panics", healthCheck={"active": http_check(), "panicThreshold": PANIC_PERCENT}),
            policy("s", "strict", healthCheck={"active": http_check(), "panicThreshold": 0})), args=["--workers", "4"])

    def make(self, ill):
        """Those of the set are ill from now on, the others well, and the gateway knows."""
        for i, sick in enumerate(self.sick):
            sick.status = 500 if i in ill else 200
        wanted = {f"127.0.0.1:{up.port}": "unhealthy" if i in ill else "healthy" for i, up in enumerate(self.ups)}
        eventually(lambda: [{e["address"]: e["health"] for e in c["endpoints"]} for c in self.gw.status()["clusters"]] ==
                   [wanted] * 2, 15, f"{ill} to be known for ill")

    def ask(self, where):
        """(statuses, which endpoints answered), of clients on all workers at once."""
        statuses, by = [], set()

        def one():
            with Raw(self.gw.port()) as raw:
                for _ in range(N_EACH // 8):
                    raw.send(GET % where.encode())
                    reply = raw.reply()
                    statuses.append(reply.status)
                    if reply.status == 200:
                        by.add(int(reply.json["upstream"][1:]))
                    else:
                        assert reply.code == "no_healthy_upstream"
        Threads().go(one, n=8).join()
        return set(statuses), by


def combinations(scale):
    """All well, all ill, one and all but one; and some of the others."""
    rng = random.Random(scale.seed)
    drawn = [set(rng.sample(range(N_ENDPOINTS), rng.randrange(N_ENDPOINTS + 1))) for _ in range(scale(2, 40))]
    return [{0}, {0, 1, 2}, set(range(N_ENDPOINTS)), set(), *drawn]


def test_ill_ones_get_nothing_but_in_panic(gateway, upstream, scale):
    scene, everyone = Scene(gateway, upstream), set(range(N_ENDPOINTS))
    for ill in combinations(scale):
        scene.make(ill)
        well = everyone - ill
        statuses, by = scene.ask("panics")
        assert statuses == {200}, f"{ill} are ill"
        is_panic = len(well) * 100 < PANIC_PERCENT * N_ENDPOINTS
        assert by == (everyone if is_panic else well), f"{ill} are ill: {by} answered"
        statuses, by = scene.ask("strict")
        assert (statuses, by) == (({200}, well) if well else ({503}, set())), f"{ill} are ill"


def test_flapping_endpoints_fail_nobody(gateway, upstream, scale):
    """One of them is always well. Probes flap without a rest, and what is answered is always well."""
    scene, rng, is_over = Scene(gateway, upstream), random.Random(scale.seed), threading.Event()
    scene.make(set())
    statuses = []

    def come(where):
        with Raw(scene.gw.port()) as raw:
            while not is_over.is_set():
                raw.send(GET % where)
                statuses.append(raw.reply().status)
    load = Threads().go(come, b"panics", n=2).go(come, b"strict", n=2)
    try:
        for _ in range(scale(10, 120)):
            one = rng.randrange(1, N_ENDPOINTS)
            scene.sick[one].status = 700 - scene.sick[one].status  # 200 and 500 by turns
            n = len(scene.sick[one].probes)
            eventually(lambda one=one, n=n: len(scene.sick[one].probes) > n, 10, "a probe of it")
    finally:
        is_over.set()
        load.join()
    assert set(statuses) == {200}
    print(f"{len(statuses)} requests, {sum(len(sick.probes) for sick in scene.sick)} probes")


def test_ejected_ones_get_nothing_and_never_too_many_are(gateway, upstream, scale):
    """By their answers; half of them at most."""
    ups = [upstream(f"e{i}") for i in range(N_ENDPOINTS)]
    states = [failing(up, 200) for up in ups]
    gw = gateway(world(backend("b", *ups), route("r", rule("b")), policy(healthCheck=outlier(
        consecutive5XxErrors=2, baseEjectionTime="600s", maxEjectionPercent=50))), args=["--workers", "4"])
    rng = random.Random(scale.seed)
    for n_ejected, one in enumerate(rng.sample(range(N_ENDPOINTS), 2), 1):
        states[one]["status"] = 500
        eventually(lambda one=one: gw.request("/") and health_of(gw, ups[one]) == "ejected", 15, "its ejection")
        states[one]["status"] = 200
        eventually(lambda: gw.metric("tollgate_exchanges_active") == 0)
        before = [len(up.requests) for up in ups]
        assert {gw.request("/").status for _ in range(N_EACH)} == {200}
        got = [len(up.requests) - n for up, n in zip(ups, before)]
        assert [got[i] == 0 for i in range(N_ENDPOINTS)] == [health_of(gw, up) == "ejected" for up in ups]
        assert sum(n == 0 for n in got) == n_ejected and sum(got) == N_EACH
    # A third one may not be ejected: it goes on to get its share, whatever it answers.
    third = next(i for i, up in enumerate(ups) if health_of(gw, up) == "healthy")
    states[third]["status"] = 500
    statuses = [gw.request("/").status for _ in range(N_EACH)]
    assert 500 in statuses and 200 in statuses and health_of(gw, ups[third]) == "healthy"
