"""The source of the keys that verify tokens: down at the start, mute, slow, without end, talking nonsense, rotating; and
clients who come with thousands of tokens whose keys nobody knows. Nobody passes who should not, who should does again
without a restart, and the source is asked a bounded number of times, whatever clients do."""
import json
import threading
import time

import pytest

from lab.proxy import DEAF, Fault
from play.client import Raw
from play.deadline import eventually
from play.issuer import Key, b64
from play.manifests import backend, client_policy, path, provider, route, rule, security_policy, target, world
from play.threads import Threads
from play.upstream import Answer

PAUSE_S = 0.3  # after a fetch that failed, by the policy
REFETCH_S = 10  # between fetches that unknown keys ask for: KEY_FEED_REFETCH_US
ENDLESS = 8 << 20  # far beyond LIMIT_KEY_SET_BYTES


def guarded(up, keys, source):
    jwt = {"providers": [provider(keys, remoteJWKS={
        "failedRefetchDuration": f"{int(PAUSE_S * 1000)}ms", "backendSettings": {"retry": {"numRetries": 0}}})]}
    return world(backend("a", up), backend("keys", source), route("r", rule("a")),
                 route("open", rule("a", matches=[path("/open")])),
                 security_policy("p", target("HTTPRoute", "r"), jwt=jwt),
                 client_policy("hops", clientIPDetection={"xForwardedFor": {"numTrustedHops": 1}}))


def endless(_request, connection):
    connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
    piece = b'{"keys": [' + b" " * 65000
    for _ in range(ENDLESS // len(piece)):
        connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))


def too_many(issuer):
    keys = [{**issuer.keys[0].jwk(), "kid": f"key-{i}"} for i in range(5000)]
    return lambda _request, _connection: Answer(body=json.dumps({"keys": keys}).encode())


# name: what the source does, by its own script, its mode, or the proxy before it
TROUBLE = {
    "down": {"mode": "down"}, "error": {"mode": "error"}, "garbage": {"mode": "garbage"}, "redirect": {"mode": "redirect"},
    "endless": {"script": lambda _issuer: endless}, "too many keys": {"script": too_many},
    "mute": {"fault": Fault(DEAF)}, "half its answer": {"fault": Fault("half_open", 150)},
    "cut": {"fault": Fault("cut", 150)}, "reset": {"fault": Fault("reset", 150)}, "not HTTP": {"fault": Fault("garbage", 0)},
}


class Source:
    def __init__(self, issuer, proxy):
        self.keys, self.fault = issuer(keys=[Key("ES256")]), None
        self.usual = self.keys.server.script
        self.proxy = proxy(self.keys, lambda _number: self.fault)

    def trouble(self, mode="ok", script=None, fault=None):
        self.keys.mode, self.fault = mode, fault
        self.keys.server.script = script(self.keys) if script else self.usual
        self.keys.server.reset_all()

    @property
    def n_asked(self):
        return self.proxy.n_connections if self.fault else self.keys.n_fetches


IN_SHORT = ("down", "endless", "reset")  # the others wait for time limits, or are like these


@pytest.mark.parametrize("name", [name if name in IN_SHORT else pytest.param(name, marks=pytest.mark.full) for name in TROUBLE])
def test_in_trouble_from_the_start(gateway, upstream, issuer, proxy, scale, name):
    up, source = upstream("a"), Source(issuer, proxy)
    source.trouble(**TROUBLE[name])
    gw = gateway(guarded(up, source.keys, source.proxy))
    token = source.keys.token()
    started, n = time.monotonic(), 0
    while time.monotonic() - started < scale(0.5, 3):
        reply = gw.request("/", token=token)
        assert (reply.status, reply.code) == (503, "keys_unavailable")
        assert gw.request("/", token="a.b.c").status in (401, 503)
        assert gw.request("/").status in (401, 503)
        assert gw.request("/open").status == 200
        n += 3
    asked, took = source.n_asked, time.monotonic() - started
    assert 1 <= asked <= 2 + took / PAUSE_S, f"{asked} fetches in {took:.1f} s"
    assert all(r.target == "/open" for r in up.requests)
    source.trouble()
    source.proxy.release()
    # A fetch that hangs has its own time limit.
    eventually(lambda: gw.request("/", token=token).status == 200, 30, "the keys to come")
    print(f"{name}: {n} requests, {asked} fetches")


def unknown(keys, i):
    """A token that nobody signed, by a key that nobody knows."""
    head = b64(json.dumps({"alg": "ES256", "typ": "JWT", "kid": f"kid-{i}"}).encode())
    return f"{head}.{b64(json.dumps(keys.claims()).encode())}.{b64(bytes(64))}"


def storm(port, keys, n, n_at_once):
    """Requests with as many unknown keys, as fast as they are answered; how often each status came."""
    seen, lock = {}, threading.Lock()

    def come(first):
        # Each from an address of its own: who fails again and again at one is told 429 before anybody looks.
        blob = "".join(f"GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 10.1.{i >> 8}.{i & 255}\r\n"
                       f"Authorization: Bearer {unknown(keys, i)}\r\n\r\n" for i in range(first, n, n_at_once)).encode()
        with Raw(port) as raw:
            sender = Threads().go(raw.send, blob)
            for _ in range(first, n, n_at_once):
                status = raw.reply().status
                with lock:
                    seen[status] = seen.get(status, 0) + 1
            sender.join()

    threads = Threads()
    for i in range(n_at_once):
        threads.go(come, i)
    threads.join()
    return seen


def test_thousands_of_unknown_keys_make_few_fetches_and_a_rotation_is_noticed(gateway, upstream, issuer, proxy, scale):
    up, source = upstream("a"), Source(issuer, proxy)
    gw = gateway(guarded(up, source.keys, source.proxy))
    token = source.keys.token()
    eventually(lambda: gw.request("/", token=token).status == 200, what="the keys")
    before, up_before = source.keys.n_fetches, len(up.requests)
    started, n = time.monotonic(), scale(2000, 10000)
    for _ in range(scale(1, 3)):
        seen = storm(gw.port(), source.keys, n, 4)
        assert seen == {401: n}, "nobody passes"
        assert gw.request("/", token=token).status == 200, "who should does"
        up_before += 1
    took = time.monotonic() - started
    assert len(up.requests) == up_before
    n_asked = source.keys.n_fetches - before
    assert n_asked <= 1 + took / REFETCH_S, f"{n_asked} fetches in {took:.1f} s"
    print(f"{scale(1, 3) * n} unknown keys in {took:.1f} s, {n_asked} fetches")
    # The source rotates: the old key is gone, the new one is learned at the next fetch that is allowed.
    fresh = Key("ES256", "key-2")
    source.keys.keys = [fresh]
    rotated = source.keys.token(key=fresh)
    if scale.is_full:
        eventually(lambda: gw.request("/", token=rotated).status == 200, 2 * REFETCH_S, "the rotated key")
        assert gw.request("/", token=token).status == 401, "the key that is gone"
        assert source.keys.n_fetches - before <= 3 + (time.monotonic() - started) / REFETCH_S


def test_trouble_after_a_good_start_harms_nobody(gateway, upstream, issuer, proxy, scale):
    up, source = upstream("a"), Source(issuer, proxy)
    manifests = guarded(up, source.keys, source.proxy)
    manifests[-2]["spec"]["jwt"]["providers"][0]["remoteJWKS"]["cacheDuration"] = "200ms"
    gw = gateway(manifests)
    token, forged = source.keys.token(), source.keys.token(key=Key("ES256", source.keys.keys[0].kid))
    eventually(lambda: gw.request("/", token=token).status == 200, what="the keys")
    for name in TROUBLE if scale.is_full else IN_SHORT:
        source.trouble(**TROUBLE[name])
        before = source.n_asked
        eventually(lambda b=before: source.n_asked > b, 10, "a fetch that fails")
        for _ in range(20):
            assert gw.request("/", token=token).status == 200, f"{name}: the last good keys serve"
            assert gw.request("/", token=forged).status == 401, name
        source.trouble()
        source.proxy.release()
