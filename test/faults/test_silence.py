"""A backend that accepts and never reads, never answers, or falls silent in its answer: the configured time ends it within
a tenth, and requests to others do not notice. A client that reads a byte a second of a stream that could be fast: its
backend waits, nothing piles up, and again nobody else notices."""
import contextlib
import math
import random
import socket
import threading
import time

from lab.proxy import DEAF, Fault
from play.client import Raw
from play.deadline import FACTOR, eventually
from play.manifests import ENVOY_API, backend, path, route, rule, target, thing, world
from play.memory import anonymous_kib, is_sanitized
from play.others import Others
from play.upstream import Answer

TOLERANCE = 0.1  # of the configured time; more only as tests may take longer as a whole
AT_ONCE = 3


def timeouts(name, at_route, **timeout):
    return thing(ENVOY_API, "BackendTrafficPolicy", name, {"targetRefs": [target("HTTPRoute", at_route)], "timeout": timeout})


@contextlib.contextmanager
def full_backlog():
    """A port where connections stay half made."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(8):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def ask(port, at, upload, seen):
    """Seconds, status and whether it came whole."""
    started = time.monotonic()
    with Raw(port) as raw:
        if upload:
            raw.send(b"POST %s HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n" % (at.encode(), upload))
            threading.Thread(target=fill, args=(raw, upload), daemon=True).start()
        else:
            raw.send(b"GET %s HTTP/1.1\r\nHost: a.test\r\n\r\n" % at.encode())
        status, fields = raw.head()
        fields, is_whole = dict(fields), True
        try:
            raw.exactly(int(fields["content-length"]))
        except AssertionError:
            is_whole = False
        seen.append((time.monotonic() - started, status, is_whole))


def fill(raw, n):
    try:
        raw.send(b"x" * n)
    except OSError:
        pass  # answered before all was read


# path: (status, whole, bytes of content); each is silent in its own way and has its own kind of time
SILENT = {
    "/connect": (504, True, 0),
    "/never-answers": (504, True, 0),
    "/never-reads": (504, True, 30_000_000),
    "/policy": (504, True, 0),
    "/total": (504, True, 0),
    "/in-its-head": (504, True, 0),
    "/in-its-body": (200, False, 0),
}


def ask_all(gw, others):
    """The seconds that each kind of silence took, the shortest first, while others come."""
    seen = {at: [] for at in SILENT}
    threads = [threading.Thread(target=ask, args=(gw.port(), at, upload, seen[at]))
               for at, (_, _, upload) in SILENT.items() for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        others.come()
    for thread in threads:
        thread.join()
    for at, (status, is_whole, _) in SILENT.items():
        assert [(came[1], came[2]) for came in seen[at]] == [(status, is_whole)] * AT_ONCE, at
    return {at: sorted(came[0] for came in came_at) for at, came_at in seen.items()}


def test_silence_ends_by_the_configured_time_and_others_do_not_notice(gateway, upstream, proxy, scale):
    wait_s = scale(1, 3)
    text = f"{wait_s}s"
    up = upstream("a")
    up.script = lambda _request, _connection: Answer(body=b"x" * 1000)
    deaf = proxy(up, lambda _number: Fault(DEAF))
    mute = {"/in-its-head": proxy(up, lambda _number: Fault("half_open", 20)),
            "/in-its-body": proxy(up, lambda _number: Fault("half_open", 200))}
    with full_backlog() as full:
        gw = gateway(world(
            backend("ok", up), backend("deaf", deaf), backend("full", full),
            *[backend(at[1:], behind) for at, behind in mute.items()],
            route("ok", rule("ok", matches=[path("/fresh")])),
            route("connect", rule("full", matches=[path("/connect")])), timeouts("c", "connect", tcp={"connectTimeout": text}),
            route("policy", rule("deaf", matches=[path("/policy")])), timeouts("p", "policy", http={"requestTimeout": text}),
            route("total", rule("deaf", matches=[path("/total")], timeouts={"request": text})),
            route("deaf", *[rule("deaf", matches=[path(at)], timeouts={"backendRequest": text})
                            for at in ("/never-answers", "/never-reads")]),
            route("mute", *[rule(at[1:], matches=[path(at)], timeouts={"backendRequest": text}) for at in mute])))
        others, fastest = Others(gw), {}
        # A busy machine may make all of them late, once; a time that is not kept is late each time.
        for _ in range(3):
            for at, took in ask_all(gw, others).items():
                assert took[0] > wait_s * 0.99, f"{at} ended early: {took}"
                fastest[at] = min(took[0], fastest.get(at, took[0]))
            if max(fastest.values()) < wait_s * (1 + TOLERANCE * FACTOR):
                break
    others.check()
    late = {at: took for at, took in fastest.items() if took >= wait_s * (1 + TOLERANCE * FACTOR)}
    assert not late, f"of {wait_s} s: {late}"
    eventually(lambda: gw.metric("tollgate_exchanges_active") == 0, 10, "all to be over")


# ---- a client that hardly reads ----

N_WARM, N_LEAST = 50, 500
STREAM_KIB = 512  # a pipe, what was read beyond it, and what goes out; without a bound it would be megabytes
SLOWEST = 0.02  # of all requests: those around and above the 99th percentile
SIGMAS = 4  # of chance: one run in thirty thousand
TIMES = 1.5  # a difference that is none in practice is no failure, however sure


class ByTurns:
    """Requests to two gateways by turns, so that whatever this machine is busy with meets both: one of them has slow
    readers, the other has not."""

    def __init__(self, *gateways):
        self._raws = [gw.raw() for gw in gateways]
        self.took = [[] for _ in gateways]
        self._n = 0

    def ask(self):
        self._n += 1
        order = list(zip(self._raws, self.took))
        for raw, took in order[::1 if self._n % 2 else -1]:
            started = time.monotonic()
            raw.send(b"GET /fresh HTTP/1.1\r\nHost: a.test\r\n\r\n")
            assert raw.reply().status == 200
            took.append((time.monotonic() - started) * 1000)

    def close(self):
        for raw in self._raws:
            raw.sock.close()


def p99(took):
    return sorted(took)[len(took) * 99 // 100]


def is_slower(these, those):
    """Are the slowest of both these, more often than by chance, and by as much as to matter?"""
    k = int((len(these) + len(those)) * SLOWEST)
    slowest = sorted([(ms, 1) for ms in these] + [(ms, 0) for ms in those], reverse=True)[:k]
    n = sum(is_of_these for _, is_of_these in slowest)
    return n > k / 2 + SIGMAS * math.sqrt(k) / 2 and p99(these) > TIMES * p99(those)


def test_the_judgement_of_slower_ones_is_fair():
    """Noise that meets both, rare and huge or frequent, is none; one request in thirty that is held up is."""
    rng = random.Random(1)
    for noise in (0, 0.005, 0.05):
        both = [[rng.gauss(1, 0.1) + (100 * rng.random() if rng.random() < noise else 0) for _ in range(2000)] for _ in range(2)]
        assert not is_slower(*both) and not is_slower(*both[::-1])
        held_up = [ms + (3 if i % 30 == 0 else 0) for i, ms in enumerate(both[0])]
        assert is_slower(held_up, both[1]) or noise == 0.05, "more noise than that hides it"
        assert not is_slower(both[1], held_up)


def test_a_client_that_reads_a_byte_a_second_slows_its_backend_alone(gateway, upstream, scale):
    up, fast, n_sent, is_over = upstream("a"), upstream("fast"), [0] * 8, threading.Event()
    event = b"data: " + b"x" * 1000 + b"\n\n"
    piece = b"%x\r\n%s\r\n" % (len(event), event) * 16

    def flow(_request, connection):
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        while not is_over.is_set():
            connection.send(piece)
            n_sent[connection.index] += len(piece)

    fast.script = flow
    manifests = world(backend("a", up), backend("fast", fast), route("r", rule("a", matches=[path("/fresh")])),
                      route("s", rule("fast", matches=[path("/stream")])))
    gw = gateway(manifests)
    by_turns = ByTurns(gw, gateway(manifests))
    for _ in range(N_WARM):
        by_turns.ask()
    by_turns.took = [[], []]
    held = anonymous_kib(gw)
    readers = [socket.socket() for _ in n_sent]
    for sock in readers:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.settimeout(20 * FACTOR)
        sock.connect(("127.0.0.1", gw.port()))
        sock.sendall(b"GET /stream HTTP/1.1\r\nHost: a.test\r\n\r\n")
    try:
        for _ in range(scale(2, 15)):
            next_byte = time.monotonic() + 1
            for sock in readers:
                assert sock.recv(1), "the stream goes on"
            while time.monotonic() < next_byte or len(by_turns.took[0]) < N_LEAST:
                by_turns.ask()
        grown = anonymous_kib(gw) - held
        assert all(0 < n < 64_000_000 for n in n_sent), f"the backend is not slowed: {n_sent}"
        assert is_sanitized(gw) or grown < STREAM_KIB * len(readers), f"{grown} KiB for {len(readers)} streams"
    finally:
        is_over.set()
        for sock in readers:
            sock.close()
        by_turns.close()
    beside, alone = by_turns.took
    print(f"p99 of {len(beside)} each: {p99(beside):.2f} ms beside slow readers, {p99(alone):.2f} ms without; {grown} KiB; "
          f"the backend sent {max(n_sent)} bytes at most")
    assert not is_slower(beside, alone), f"p99 {p99(beside):.1f} ms, without slow readers {p99(alone):.1f} ms"
