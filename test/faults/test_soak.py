"""All of it mixed at random, for as long as --minutes says: a backend whose connections break, that is moody (half of its
answers are 503, and a policy tries again) or ill in parts, a proxy that harms some, files that flap, clocks that step, a
process that stands still, keys and names that are lost, system calls that fail, crowds that are idle or slow with their
heads, want of descriptors. (A process that is killed takes its counts with it: test_restart.py.) Clients, backend, metrics and access log must agree about every request, memory and descriptors stay flat,
what is done in calm is done well, and a sanitizer's runtime has nothing to say (TOLLGATE_BUILD names the build)."""
import collections
import errno
import json
import os
import random
import resource
import signal
import socket
import time

from lab import proxy as proxies
from lab.name_server import NameServer
from lab.world import DENIED, FORWARDED, N_RETRIES, TRIES, World, judge, reconcile
from play.deadline import FACTOR, eventually
from play.health import http_check, policy
from play.issuer import Key
from play.manifests import ENVOY_API, backend, path, provider, route, rule, security_policy, target, thing, world as world_of
from play.memory import anonymous_kib, is_sanitized

N_CLIENTS, PER_SECOND = 24, 150
FAULTY_SHARE, FAULTY_BYTES = 0.2, 300000
GROWTH_KIB = 12288  # between the second and the last quarter
SPARE = 10  # descriptors that are left in want of them
CALLS = [("connect", errno.ECONNREFUSED), ("connect", errno.ENETUNREACH), ("socket", errno.EMFILE), ("accept", errno.EMFILE),
         ("accept", errno.ECONNABORTED), ("send", errno.ECONNRESET), ("send", errno.ENOBUFS), ("send", 0), ("recv", errno.ECONNRESET),
         ("recv", errno.ETIMEDOUT), ("recv", 0), ("epoll", errno.ENOMEM), ("open", errno.EMFILE), ("open", errno.EIO),
         ("read", errno.EIO), ("write", errno.ENOSPC), ("write", 0)]


class Soak:
    """The disturber: each method with a name of DISTURBANCES does one thing to one of the others."""

    def __init__(self, gateway, world, proxy, keys, names, clock, rng):
        self.world, self.proxy, self.keys, self.names, self.clock, self.rng = world, proxy, keys, names, clock, rng
        self.n = 0
        self.manifests = lambda n: json.dumps({"apiVersion": "v1", "kind": "List", "items": self._objects(n)})
        self.gw = gateway(self.manifests(0), ports=[80], **clock.more)
        self.counts = collections.Counter()

    def _objects(self, n):
        rules = {where: [path(f"/{where}")] for where in ("direct", "faulty")}
        guarded, moody = ({where: [path(f"/{where}-{how}")] for where in rules} for how in ("guarded", "moody"))
        named = thing(ENVOY_API, "Backend", "named", {"endpoints": [{"fqdn": {"hostname": "soak.test", "port": self.world.port}}]})
        times = {"request": "20s", "backendRequest": "6s"}
        return world_of(
            backend("direct", self.world.port), backend("faulty", self.proxy), backend("keys", self.keys), named,
            backend("flock", self.world.port, self.world.second_port),
            route("open", *[rule(where, matches=matches, timeouts=times) for where, matches in rules.items()]),
            route("guarded", *[rule(where, matches=matches, timeouts=times) for where, matches in guarded.items()]),
            route("moody", *[rule(where, matches=matches, timeouts=times) for where, matches in moody.items()]),
            policy("m", "moody", retry={"numRetries": N_RETRIES, "retryOn": {"httpStatusCodes": [503]}, "perRetry": {
                "backOff": {"baseInterval": "1ms", "maxInterval": "20ms"}}}),
            route("flock", rule("flock", matches=[path("/flock")], timeouts=times)),
            policy("f", "flock", healthCheck={"active": http_check(), "panicThreshold": 0}),
            route("named", rule("named", matches=[path("/named")], timeouts=times)),
            route("generation", rule("direct", matches=[path(f"/generation-{n}")])),
            security_policy("p", target("HTTPRoute", "guarded"), jwt={"providers": [
                provider(self.keys, remoteJWKS={"cacheDuration": "1s", "failedRefetchDuration": "500ms"})]}))

    def wait(self, seconds):
        """The next disturbance may come: what stands in the seconds between is what is played."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))

    def is_well(self):
        return self.gw.metric("tollgate_endpoint_healthy") == (1 if self.world.is_ill else 2)

    def calm(self):
        """A connection that was harmed may be told a little later than the harm, and probes too."""
        self.wait(0.2)
        eventually(self.is_well, 10, "the endpoints to be well again")
        self.world.calm()

    # ---- what may harm nobody ----

    def files_flap(self):
        target_file = self.gw.manifests / "world.yaml"
        for _ in range(self.rng.randint(1, 5)):
            self.n += 1
            text = self.manifests(self.n)
            way = self.rng.randrange(5)
            if way == 0:
                target_file.write_text(text[:self.rng.randrange(len(text))])
            elif way == 1:
                target_file.unlink(missing_ok=True)
            elif way == 2:
                target_file.write_bytes(self.rng.randbytes(200))
            else:
                self.gw.write("world.yaml", text)
            self.wait(0.1)

    def reload_and_reopen(self):
        self.gw.signal(signal.SIGHUP)
        self.gw.signal(signal.SIGUSR1)

    def clock_steps(self):
        self.clock.step_wall_clock(self.rng.choice((-1200, -1, 0, 1, 1200)))

    def keys_are_lost(self):
        self.keys.mode = self.rng.choice(("down", "garbage", "error", "redirect"))
        self.wait(0.5)
        self.keys.mode = "ok"

    def a_crowd_stands_idle(self):
        crowd = [socket.create_connection(("127.0.0.1", self.gw.port()), timeout=20 * FACTOR) for _ in range(100)]
        self.wait(0.3)
        for sock in crowd:
            sock.close()

    def heads_come_slowly(self):
        crowd = [socket.create_connection(("127.0.0.1", self.gw.port()), timeout=20 * FACTOR) for _ in range(50)]
        for byte in b"GET /x HT":
            for sock in crowd:
                sock.sendall(bytes([byte]))
            self.wait(0.05)
        for sock in crowd:
            sock.close()

    def names_are_lost(self):
        self.names.mode = self.rng.choice(("nxdomain", "servfail", "silent", "garbage", "empty"))
        self.wait(1.2)  # longer than an answer's time
        self.names.mode = "ok"

    def the_process_stands_still(self):
        self.gw.signal(signal.SIGSTOP)
        self.wait(self.rng.choice((0.3, 1.2)))
        self.gw.signal(signal.SIGCONT)

    def an_endpoint_is_ill(self):
        self.world.is_ill = True
        eventually(self.is_well, 10, "its illness to be known")
        self.wait(0.2)  # what was on its way there is there
        n = self.world.n_at_second
        self.wait(0.5)
        assert self.world.n_at_second == n, "an endpoint that is known to be ill gets requests"
        self.world.is_ill = False
        eventually(self.is_well, 10, "its recovery to be known")

    def half_open_ones_end(self):
        self.proxy.release()

    # ---- what may ----

    def the_backend_ends_its_connections(self):
        self.world.disturb()
        self.world.reset_backend()
        self.calm()

    def calls_fail(self):
        kind, error = self.rng.choice(CALLS)
        self.world.disturb()
        self.clock.arm(kind, self.rng.choice((2, 3, 7, 19)), error)
        self.wait(self.rng.choice((0.2, 0.5)))
        self.clock.disarm()
        self.counts[f"{kind} fails"] += 1
        self.calm()

    def descriptors_are_used_up(self):
        pid = self.gw.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        self.world.disturb()
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (n_descriptors(self.gw) + SPARE, before[1]))
        crowd = [socket.create_connection(("127.0.0.1", self.gw.port()), timeout=20 * FACTOR) for _ in range(4 * SPARE)]
        self.wait(0.4)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        for sock in crowd:
            sock.close()
        self.wait(0.2)
        self.calm()

    DISTURBANCES = {files_flap: 5, reload_and_reopen: 2, clock_steps: 4, keys_are_lost: 2, names_are_lost: 2,
                    a_crowd_stands_idle: 2, heads_come_slowly: 2, the_process_stands_still: 2, an_endpoint_is_ill: 2,
                    half_open_ones_end: 2, the_backend_ends_its_connections: 2, calls_fail: 6, descriptors_are_used_up: 1}

    def disturb(self):
        chosen = self.rng.choices(list(self.DISTURBANCES), list(self.DISTURBANCES.values()))[0]
        self.counts[chosen.__name__] += 1
        chosen(self)
        self.wait(self.rng.choice((0.1, 0.3, 0.6)))

    def end(self):
        """Everything is as it should be again."""
        self.clock.disarm()
        self.clock.step_wall_clock(0)
        self.keys.mode = self.names.mode = "ok"
        self.proxy.plan = lambda _number: None
        self.proxy.release()


def n_descriptors(gw):
    return len(os.listdir(f"/proc/{gw.process.pid}/fd"))


def records_of(gw):
    """Lines that are records, and how many are not."""
    records, n_broken = [], 0
    with open(gw.folder / "stdout", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                records.append({key: value for key, value in json.loads(line).items()
                                if key in ("x-envoy-origin-path", "response_code", "attempts")})
            except ValueError:
                n_broken += 1
    return records, n_broken


def test_everything_at_once(gateway, issuer, proxy, failing_calls, scale):
    rng = random.Random(scale.seed)
    keys = issuer("iss", keys=[Key("ES256")])
    world = World(scale.seed, {"guarded": keys.token(exp=int(time.time()) + 86400, nbf=int(time.time()) - 86400),
                               "forged": keys.token(key=Key("ES256", keys.keys[0].kid))})
    names = NameServer()
    failing_calls.use_name_server(names.port)
    world.start(N_CLIENTS, PER_SECOND)
    try:
        soak = Soak(gateway, world, proxy(world, proxies.seeded(scale.seed, FAULTY_SHARE, FAULTY_BYTES)), keys, names,
                    failing_calls, rng)
        gw = soak.gw
        eventually(lambda: gw.metric("tollgate_key_set_keys") == 1, 10, "the keys")
        eventually(lambda: gw.metric("tollgate_name_lookups_total", result="ok") >= 1 and soak.is_well(), 10, "names and health")
        base, held = n_descriptors(gw), []
        world.go(gw.port())
        end = time.monotonic() + scale.minutes * 60
        while time.monotonic() < end:
            soak.disturb()
            held.append(anonymous_kib(gw))
            assert gw.process.poll() is None, gw.stderr()[-4000:]
            wrong = [(o.draw.path, judge(o)) for o in world.outcomes[-2000:] if o.is_over and judge(o)]
            assert not wrong, f"--fault-seed {scale.seed}: {wrong[:5]} after {dict(soak.counts)}"
    finally:
        if "soak" in locals():
            soak.end()
            world.calm = world.disturb = lambda: None
        world.stop()
        names.stop()
    check(gw, world, soak, scale, base, held)


def check(gw, world, soak, scale, base, held):
    eventually(lambda: gw.metric("tollgate_exchanges_active") == 0, 20, "every exchange to end")
    soak.keys.server.reset_all()
    eventually(lambda: n_descriptors(gw) <= base + 2, 20, f"descriptors to be given back, {base} at first")
    n_dropped = int(gw.metric("tollgate_access_log_dropped_lines_total"))
    n_counted = int(gw.metric("tollgate_requests_total"))
    eventually(lambda: len(records_of(gw)[0]) + gw.metric("tollgate_access_log_dropped_lines_total") >= n_counted, 20,
               "the last lines of the log")
    records, n_broken = records_of(gw)
    assert n_broken == 0, "lines that are no records"
    assert len(records) + n_dropped == n_counted, "each request is counted, and logged or counted as dropped"
    for n in range(2, 6):
        counted = gw.metric("tollgate_requests_total", response_code_class=f"{n}xx")
        n_logged = sum((record["response_code"] or 0) // 100 == n for record in records)
        assert 0 <= counted - n_logged <= n_dropped, f"{n}xx: {counted} counted, {n_logged} logged"
    n_attempts = sum(record["attempts"] or 0 for record in records)
    n_answered = int(sum(gw.metric("tollgate_upstream_requests_total", backend=f"Backend/play/{where}")
                         for where in ("direct", "faulty", "flock", "named")))
    n_seen = sum(world.seen.values())
    faults = reconcile(world, records, n_dropped)
    ends = collections.Counter("served" if o.is_served else f"{o.status}" if o.is_whole else "cut" for o in world.outcomes)
    print(f"seed {scale.seed}, {scale.minutes:g} min: {len(world.outcomes)} requests, {dict(ends)}; "
          f"{n_counted} counted, {len(records)} logged, {n_dropped} dropped; {n_attempts} attempts logged, {n_seen} seen by "
          f"the backend, {n_answered} answered; memory {held[0]} to {max(held)} KiB, now {held[-1]}; {dict(soak.counts)}")
    assert not faults, f"--fault-seed {scale.seed}: {len(faults)} faults: {faults[:5]}"
    n_served = sum(o.is_served and o.draw.kind not in DENIED for o in world.outcomes)
    assert n_served <= n_answered <= n_attempts + TRIES * n_dropped and n_seen <= n_attempts + TRIES * n_dropped
    calm = [o for o in world.outcomes if o.is_calm and o.draw.is_direct and o.draw.kind in FORWARDED - {"leaves", "lingers"}]
    n_moody = sum(o.draw.kind == "moody" and world.seen.get(o.draw.number, 0) > 1 for o in world.outcomes)
    assert n_moody > 0 and world.n_at_second > 0, "some were tried again, and the second endpoint had some"
    print(f"{len(calm)} requests began and ended in calm, on connections that did")
    assert len(calm) > len(world.outcomes) // 50, "there was calm to judge"
    quarter = len(held) // 4
    if quarter and not is_sanitized(gw):
        grown = max(held[3 * quarter:]) - max(held[quarter:2 * quarter])
        assert grown < GROWTH_KIB, f"memory grew by {grown} KiB: {held[::max(1, len(held) // 20)]}"
