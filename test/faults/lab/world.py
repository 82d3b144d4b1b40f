"""A backend and its clients, dozens at once, in which every request has a number and everything about it is drawn from the
seed and that number: so that client, backend and access log can be reconciled, one by one. Both run in one event loop, in
a thread of its own; who disturbs them says so by `disturb` and `calm`."""
import asyncio
import dataclasses
import functools
import json
import random
import re
import socket
import struct
import threading

from play.deadline import FACTOR
from play.health import HEALTH
from play.threads import failures_of

LINGERED_CHUNKS = 50  # a proxy may have made an answer thousands of them
HANG_S = 40  # longer than any time limit of the routes
LINGER_RESET = struct.pack("ii", 1, 0)
PATTERN = bytes(range(256)) * 1024
KINDS = {"get": 25, "post": 17, "stream": 13, "guarded": 12, "forged": 6, "nowhere": 5, "leaves": 8, "lingers": 4,
         "moody": 6, "flock": 5, "named": 4}
# Which of them reach a backend, and what else may be the answer to them.
FORWARDED = {"get", "post", "stream", "guarded", "leaves", "lingers", "moody", "flock", "named"}
ELSEWHERE = {"nowhere", "flock", "named"}  # by a route of their own
DENIED = {"forged": 401, "nowhere": 404}
REFUSALS = (500, 502, 503, 504)
N_RETRIES = 2  # by the policy of what is moody
TRIES = 3 + N_RETRIES  # of one request at most
MOODY = b'{"error":"moody"}'


class Draw:
    """What a request is, and what its answer should be."""

    def __init__(self, seed, number):
        rng = random.Random(f"{seed}/{number}")
        self.number = number
        self.kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
        self.is_direct = rng.random() < 0.6 or self.kind in ELSEWHERE
        self.size = rng.choice((0, 10, 1000, 20000, 150000))
        self.shift = rng.randrange(256)
        self.is_chunked = self.kind in ("stream", "lingers") or rng.random() < 0.3
        self.pause_s = rng.choice((0, 0, 0.01, 0.1)) if self.kind == "stream" else 0
        self.cut = rng.random()
        self.keeps = rng.random() < 0.7
        self.moods = [503 if self.kind == "moody" and rng.random() < 0.5 else 200 for _ in range(TRIES)]

    @property
    def body(self):
        return PATTERN[self.shift:self.shift + self.size]

    @property
    def path(self):
        where = self.kind if self.kind in ELSEWHERE else "direct" if self.is_direct else "faulty"
        how = {"guarded": "-guarded", "forged": "-guarded", "moody": "-moody"}.get(self.kind, "")
        return f"/{where}{how}/{self.kind}?n={self.number}"

    def request(self, tokens):
        lines = [f"{'POST' if self.kind == 'post' else 'GET'} {self.path} HTTP/1.1", "Host: a.test"]
        if self.kind in tokens:
            lines.append(f"Authorization: Bearer {tokens[self.kind]}")
        if self.kind == "post":
            lines.append(f"Content-Length: {self.size}")
        if not self.keeps:
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode() + (self.body if self.kind == "post" else b"")


@dataclasses.dataclass
class Outcome:
    draw: Draw
    status: int = 0
    is_whole: bool = False
    is_right: bool = False
    is_calm: bool = False  # nothing harsh went on from its connection's beginning to its end
    is_over: bool = False  # it did not hang

    @property
    def is_served(self):
        return self.status == 200 and self.is_whole and self.is_right


class World:
    def __init__(self, seed, tokens):
        self.seed, self.tokens = seed, tokens
        self.outcomes = []
        self.seen = {}  # number: how often the backend got the whole request
        self.is_ill = False  # its second endpoint, as its probes are told
        self.n_at_second = 0
        self.epoch, self._n_harsh = 0, 0
        self._number = 0
        self._open = set()
        self._ready, self._end = threading.Event(), threading.Event()
        self._faults = []

    # ---- from other threads ----

    def start(self, n_clients, per_second):
        self._pause_s = n_clients / per_second
        self._thread = threading.Thread(target=self._run, args=(n_clients,))
        self._thread.start()
        assert self._ready.wait(10 * FACTOR)

    def go(self, port):
        self._port = port
        self._loop.call_soon_threadsafe(self._go.set)

    def stop(self):
        """The clients finish what they began, if they were let go at all."""
        self._end.set()
        self._loop.call_soon_threadsafe(self._go.set)
        self._thread.join()
        if self._faults:
            raise self._faults[0]

    def disturb(self):
        """From now on requests may fail."""
        self._n_harsh += 1
        self.epoch += 1

    def calm(self):
        self._n_harsh -= 1
        self.epoch += 1

    def reset_backend(self):
        """Every connection to the backend ends."""
        self._loop.call_soon_threadsafe(self._reset)

    # ---- its thread ----

    def _run(self, n_clients):
        try:
            asyncio.run(self._play(n_clients))
        except BaseException as fault:  # noqa: B902 (told in `stop`)
            self._faults.append(fault)
            self._ready.set()

    async def _play(self, n_clients):
        self._loop, self._go = asyncio.get_running_loop(), asyncio.Event()
        self._faults = failures_of(self._loop)
        servers = [await asyncio.start_server(functools.partial(self._serve, is_second), "127.0.0.1", 0, backlog=1024)
                   for is_second in (False, True)]
        self.port, self.second_port = (server.sockets[0].getsockname()[1] for server in servers)
        self._ready.set()
        await self._go.wait()
        await asyncio.gather(*(self._client() for _ in range(n_clients)))
        for server in servers:
            server.close()
        self._reset()

    def _reset(self):
        for writer in list(self._open):
            abort(writer)

    # ---- the backend ----

    async def _serve(self, is_second, reader, writer):
        self._open.add(writer)
        try:
            while await self._serve_one(is_second, reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _serve_one(self, is_second, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        if HEALTH.encode() in head:
            writer.write(b"HTTP/1.1 %d Probed\r\ncontent-length: 0\r\n\r\n" % (503 if is_second and self.is_ill else 200))
            await writer.drain()
            return True
        draw = Draw(self.seed, int(re.search(rb"n=(\d+)", head)[1]))
        if length := re.search(rb"(?i)\ncontent-length: (\d+)", head):
            body = await reader.readexactly(int(length[1]))
            assert body == draw.body, "what came is what was sent"
        self.n_at_second += is_second
        nth = self.seen[draw.number] = self.seen.get(draw.number, 0) + 1
        if nth <= TRIES and draw.moods[nth - 1] != 200:
            writer.write(b"HTTP/1.1 503 Moody\r\ncontent-length: %d\r\n\r\n" % len(MOODY) + MOODY)
        elif not draw.is_chunked:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % draw.size + draw.body)
        else:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            step = max(1, draw.size // 10)
            for at in range(0, draw.size, step):
                piece = draw.body[at:at + step]
                writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                await writer.drain()
                if draw.pause_s:
                    await asyncio.sleep(draw.pause_s)
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    # ---- the clients ----

    async def _client(self):
        kept, began = None, 0
        while not self._end.is_set():
            self._number += 1
            draw = Draw(self.seed, self._number)
            outcome = Outcome(draw)
            self.outcomes.append(outcome)
            if kept is None:
                began = self.epoch if self._n_harsh == 0 else -1
            try:
                kept = await asyncio.wait_for(self._exchange(outcome, kept), HANG_S * FACTOR)
                outcome.is_over = True
            except asyncio.TimeoutError:
                kept = None
            outcome.is_calm = began == self.epoch
            await asyncio.sleep(self._pause_s)
        if kept:
            kept[1].close()

    async def _exchange(self, outcome, kept):
        """The connection, if it is kept."""
        writer = None
        try:
            reader, writer = kept or await asyncio.open_connection("127.0.0.1", self._port)
            writer.write(outcome.draw.request(self.tokens))
            await writer.drain()
            if outcome.draw.kind == "leaves":
                await reader.read(int(outcome.draw.cut * 2000) + 1)
                abort(writer)
                return None
            keeps = await self._read(outcome, reader)
            if keeps and outcome.draw.keeps:
                return reader, writer
        except (OSError, asyncio.IncompleteReadError, ValueError):
            pass
        if writer:
            writer.close()
        return None

    async def _read(self, outcome, reader):
        head = await reader.readuntil(b"\r\n\r\n")
        outcome.status = int(head.split(b" ")[1])
        lower, body, n_chunks = head.lower(), b"", 0
        if b"transfer-encoding: chunked" in lower:
            while size := int(await reader.readuntil(b"\r\n"), 16):
                body += (await reader.readexactly(size + 2))[:-2]
                n_chunks += 1
                if outcome.draw.kind == "lingers" and n_chunks <= LINGERED_CHUNKS:
                    await asyncio.sleep(0.02)
            await reader.readexactly(2)
        else:
            body = await reader.readexactly(int(re.search(rb"content-length: (\d+)", lower)[1]))
        outcome.is_whole = True
        outcome.is_right = body == outcome.draw.body if outcome.status == 200 else "error" in json.loads(body)
        return b"connection: close" not in lower


def abort(writer):
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
    writer.transport.abort()


# ---- what must agree ----

def judge(outcome):
    """What is wrong with one outcome by itself, or None."""
    draw = outcome.draw
    if not outcome.is_over:
        return "hangs"
    if outcome.is_whole and not outcome.is_right:
        return f"{outcome.status} with a content that nobody sent"
    if draw.kind in DENIED:
        if outcome.status not in (0, DENIED[draw.kind], *REFUSALS):
            return f"{outcome.status} for what is denied"
        return f"{outcome.status} in calm" if outcome.is_calm and outcome.status != DENIED[draw.kind] else None
    if draw.kind == "leaves":
        return None
    if outcome.status not in (0, 200, *REFUSALS):
        return f"{outcome.status}, which nobody said"
    is_told = draw.kind == "moody" and outcome.status == 503 and outcome.is_whole
    if outcome.is_calm and draw.is_direct and not outcome.is_served and not is_told:
        return f"{outcome.status}{'' if outcome.is_whole else ', cut,'} in calm"
    return None


def reconcile(world, records, n_dropped):
    """What client, backend and access log do not agree on. `n_dropped` lines of the log may be missing."""
    logged, faults, n_missing = {}, [], 0
    for record in records:
        if found := re.search(r"n=(\d+)", record["x-envoy-origin-path"] or ""):
            logged.setdefault(int(found[1]), []).append(record)
    for outcome in world.outcomes:
        draw = outcome.draw
        n_seen, mine = world.seen.get(draw.number, 0), logged.get(draw.number, [])
        codes = [record["response_code"] for record in mine]
        if wrong := judge(outcome):
            faults.append((draw.path, wrong))
        if draw.kind not in FORWARDED and n_seen:
            faults.append((draw.path, "a backend has seen what is denied"))
        if n_seen > (1 if draw.kind == "post" else TRIES if draw.kind == "moody" else 3):
            faults.append((draw.path, f"sent {n_seen} times"))
        if outcome.is_calm and draw.is_direct and draw.kind == "moody" and outcome.status != draw.moods[n_seen - 1]:
            faults.append((draw.path, f"{outcome.status}, though the last of {n_seen} tries was answered otherwise"))
        if outcome.status == 200 and not n_seen:
            faults.append((draw.path, "an answer that no backend gave"))
        if len(mine) > 1 or outcome.is_whole and codes not in ([], [outcome.status]):
            faults.append((draw.path, f"the client got {outcome.status}, the log says {codes}"))
        n_missing += not mine and (outcome.is_whole or n_seen > 0)
        if mine and sum(record["attempts"] or 0 for record in mine) < n_seen:
            faults.append((draw.path, f"{n_seen} at the backend, the log says {mine[0]['attempts']}"))
    if n_missing > n_dropped:
        faults.append(("the log", f"{n_missing} records are missing, {n_dropped} were dropped"))
    return faults

