"""A backend that accepts and never reads, never answers, or falls silent in its answer: the configured time ends it within
a tenth, and requests to others do not notice. A client that reads a byte a second of a stream that could be fast: its
backend waits, nothing piles up, and again nobody else notices."""
import contextlib
import math
import random
import socket
import statistics
import threading
import time

from lab.proxy import DEAF, Fault
from play.client import Raw
from play.deadline import FACTOR, eventually
from play.manifests import ENVOY_API, backend, path, route, rule, target, thing, world
from play.memory import anonymous_kib, is_sanitized
from play.others import Others
from play.threads import Threads
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
    threads = Threads()
    for at, (_, _, upload) in SILENT.items():
        threads.go(ask, gw.port(), at, upload, seen[at], n=AT_ONCE)
    while threads.is_running():
        others.come()
    threads.join()
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

N_READERS, N_WARM = 8, 50
STREAM_KIB = 512  # a pipe, what was read beyond it, and what goes out; without a bound it would be megabytes
BLOCK_S = 0.1  # what this machine is busy with comes and goes: each tenth of a second is judged by itself
TIMES = 1.5  # less is no difference
SIGMAS = 4  # of chance: one run in thirty thousand


class ByTurns:
    """Requests to two gateways by turns: their milliseconds, in blocks."""

    def __init__(self, *gateways):
        self._raws = [gw.raw() for gw in gateways]
        for _ in range(N_WARM):
            self._ask([[], []], 0)

    def _ask(self, took, n):
        for raw, seen in list(zip(self._raws, took))[::-1 if n % 2 else 1]:
            started = time.monotonic()
            raw.send(b"GET /fresh HTTP/1.1\r\nHost: a.test\r\n\r\n")
            assert raw.reply().status == 200
            seen.append((time.monotonic() - started) * 1000)

    def block(self):
        took, n, end = ([], []), 0, time.monotonic() + BLOCK_S * FACTOR
        while time.monotonic() < end or n < 20:
            self._ask(took, n)
            n += 1
        return took

    def close(self):
        for raw in self._raws:
            raw.sock.close()


def p99(took):
    return sorted(took)[len(took) * 99 // 100]


def is_slower(blocks):
    """(beside, alone) of each: are there more of them in which the first is slower than such in which the second is, by more
    than chance?"""
    worse = sum(p99(beside) > TIMES * p99(alone) for beside, alone in blocks)
    better = sum(p99(alone) > TIMES * p99(beside) for beside, alone in blocks)
    return worse - better > SIGMAS * math.sqrt(worse + better)


def test_the_judgement_of_slower_ones_is_fair():
    """Noise is none, however much of it there is, and if it meets one of the two for long; one request in thirty that is
    held up is."""
    rng = random.Random(1)

    def took(noise, held_up=0):
        return [rng.gauss(1, 0.1) + (100 * rng.random() if rng.random() < noise else 0) + (held_up if i % 30 == 0 else 0)
                for i in range(200)]
    for noise in (0, 0.002, 0.05):
        assert not is_slower([(took(noise), took(noise)) for _ in range(40)])
        assert not is_slower([(took(noise + (i < 10) / 10), took(noise)) for i in range(40)])
        assert not is_slower([(took(noise), took(noise, 3)) for _ in range(40)])
        assert is_slower([(took(noise, 3), took(noise)) for _ in range(40)]) or noise == 0.05, "more noise than that hides it"


def stands_still(sent):
    before = dict(sent)
    time.sleep(0.2)  # a fast stream would have sent megabytes
    return len(before) == N_READERS and sent == before


@contextlib.contextmanager
def slow_readers(gw, sent):
    """They have asked, and all that there is room for has been sent."""
    sent.clear()
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(socket.socket()) for _ in range(N_READERS)]
        for sock in readers:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            sock.settimeout(20 * FACTOR)
            sock.connect(("127.0.0.1", gw.port()))
            sock.sendall(b"GET /stream HTTP/1.1\r\nHost: a.test\r\n\r\n")
        eventually(lambda: stands_still(sent), 20, "what there is room for to have been sent")
        yield readers
    eventually(lambda: gw.metric("tollgate_exchanges_active") == 0, 10, "their streams to end")


def test_a_client_that_reads_a_byte_a_second_slows_its_backend_alone(gateway, upstream, scale):
    """Others are asked by way of two gateways that are the same, by turns; which of them has the slow readers changes too,
    so that it does not matter if this machine has less time for one of them."""
    up, fast, sent, is_over = upstream("a"), upstream("fast"), {}, threading.Event()
    event = b"data: " + b"x" * 1000 + b"\n\n"
    piece = b"%x\r\n%s\r\n" % (len(event), event) * 16

    def flow(_request, connection):
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        while not is_over.is_set():
            connection.send(piece)
            sent[connection.index] = sent.get(connection.index, 0) + len(piece)

    fast.script = flow
    # Streams are measured, and not the lines of those who come fresh.
    silent = thing(ENVOY_API, "EnvoyProxy", "silent", {"telemetry": {"accessLog": {"disable": True}}})
    manifests = world(backend("a", up), backend("fast", fast), route("r", rule("a", matches=[path("/fresh")])),
                      route("s", rule("fast", matches=[path("/stream")])), silent)
    manifests[0]["spec"]["parametersRef"] = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "silent",
                                             "namespace": "play"}
    gws, blocks, most_sent, most_grown = [gateway(manifests) for _ in range(2)], [], 0, 0
    by_turns = ByTurns(*gws)
    try:
        for i in range(scale(4, 20)):
            gw = gws[i % 2]
            before = anonymous_kib(gw)
            with slow_readers(gw, sent) as readers:
                end = time.monotonic() + 1
                for sock in readers:
                    assert sock.recv(1), "the stream goes on"
                while time.monotonic() < end:
                    took = by_turns.block()
                    blocks.append(took[::-1 if i % 2 else 1])
                most_grown = max(most_grown, anonymous_kib(gw) - before)
                most_sent = max(most_sent, *sent.values())
    finally:
        is_over.set()
        by_turns.close()
    assert most_sent < 64_000_000, f"the backend is not slowed: {most_sent} bytes"
    assert is_sanitized(gws[0]) or most_grown < STREAM_KIB * N_READERS, f"{most_grown} KiB for {N_READERS} streams"
    told = [statistics.median(p99(block[i]) for block in blocks) for i in range(2)]
    print(f"p99 of {len(blocks)} blocks: {told[0]:.2f} ms beside slow readers, {told[1]:.2f} ms without; {most_grown} KiB; "
          f"the backend sent {most_sent} bytes at most")
    assert not is_slower(blocks), f"p99 {told[0]:.2f} ms, without slow readers {told[1]:.2f} ms"
