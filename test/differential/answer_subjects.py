"""The readers of answers that are compared, and what each made of a backend's bytes: an Outcome.

A proxy is played in lanes. Each has a backend of its own (Player) and is used by one vector at a time, so that what stands
in a proxy's pool for it comes from that vector alone. A client asks; the backend answers with the vector's bytes; then
another client asks, and the backend sees whether that request comes on the same connection. What this second client is
told must be its own answer. Node's parser is asked in a process of its own (llhttp.js)."""
import asyncio
import contextlib
import dataclasses
import json
import re
import subprocess

from play.deadline import FACTOR
from subjects import BARE, FOLDER, SILENCE, Asker, Outcome, start

# Silence that counts as waiting for more: then the backend ends the connection, and the reader says what it made of that.
# Whatever is not explained is asked again, with more patience and alone.
IDLE_S = 0.5 * FACTOR
PATIENT_IDLE_S = 3 * FACTOR
GONE_S = 5 * FACTOR
N_LANES = 48

REQUESTS = {
    "get": b"GET /LANE/play HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "head": b"HEAD /LANE/play HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "upgrade": (b"GET /LANE/play HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"),
    "unfinished": b"POST /LANE/play HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nhalf!",
}
AGAIN = b"GET /LANE/again HTTP/1.1\r\nHost: a.test\r\n\r\n"
AGAIN_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nagain"
OWN = (("200", b"again"), "")  # what the second client must be told

# What a proxy says when it refuses an answer; no vector has one of these.
REFUSALS = ("500", "502", "503", "504")
HEAD = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?\r\n((?:[^\r\n]+\r\n)*)\r\n")
NO_HEAD = re.compile(rb"(?!HTTP/1\.[01] \d{3}(?: [^\r\n]*)?\r\n)[^\n]*\n|(?!H)")
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*(?=\r\n)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*(?=\r\n)", re.IGNORECASE)
# A framing header, or what somebody may take for one.
FRAMING = re.compile(rb"\r\n(?:content[- _]length|transfer[- _]encoding)[\0- ]*:", re.IGNORECASE)
CHUNK = re.compile(rb"([0-9a-fA-F]{1,16})(?:;[^\r\n]*)?\r\n")
TRAILERS = re.compile(rb"(?:[^\r\n]+\r\n)*\r\n")


@dataclasses.dataclass
class Seen:
    """An answer as a client sees it; `said`: why it is none."""
    status: str
    content: bytes = b""
    said: str = ""
    rest: bytes = b""
    head: bytes = b""

    @property
    def told(self):
        return ((self.status, self.content), self.said)


def read_chunks(data):
    """(content, where it ends), or None before it is complete."""
    content, at = b"", 0
    while size := CHUNK.match(data, at):
        at, n = size.end(), int(size[1], 16)
        if n == 0:
            end = TRAILERS.match(data, at)
            return (content, end.end()) if end else None
        content += data[at:at + n]
        if data[at + n:at + n + 2] != b"\r\n":
            return None
        at += n + 2
    return None


def read_answer(data, is_closed, is_to_head):
    """What a client sees, or None before it is there."""
    at = 0
    while (match := HEAD.match(data, at)) and match[1].startswith(b"1") and match[1] != b"101":
        at = match.end()
    if not match:
        if data[at:] and (is_closed or NO_HEAD.match(data, at)):
            return Seen("unreadable")
        return Seen("", said=SILENCE) if is_closed else None
    status, fields, data = match[1].decode(), b"\r\n" + match[2], data[match.end():]
    if status in REFUSALS:
        code = re.search(rb'"code":\s*"(\w+)"', data)
        if not code and not is_closed and (status != "502" or b'"error"' in data):
            return None
        return Seen("", said=code[1].decode() if code else status)
    seen = Seen(status, head=match[0])
    if is_to_head or status in ("204", "304"):
        seen.rest = data
        return seen
    length = LENGTH.search(fields)
    if status != "101" and CHUNKED.search(fields):
        chunks = read_chunks(data)
        if chunks:
            seen.content, seen.rest = chunks[0], data[chunks[1]:]
            return seen
    elif status != "101" and length:
        if len(data) >= int(length[1]):
            seen.content, seen.rest = data[:int(length[1])], data[int(length[1]):]
            return seen
    elif is_closed:
        seen.content = data
        return seen
    return Seen("", said="cut") if is_closed else None


def doubts_of(seen):
    """What in an answer that a proxy passed on could be read in two ways."""
    lengths, codings = LENGTH.findall(seen.head), CHUNKED.findall(seen.head)
    if len(lengths) + len(codings) > 1 or len(FRAMING.findall(seen.head)) != len(lengths) + len(codings):
        yield "more than one framing", seen.head
    if BARE.search(seen.head):
        yield "a bare CR, LF or NUL, or a fold", seen.head
    if seen.rest and seen.status != "101":
        yield "bytes behind the answer", seen.head + seen.content + seen.rest


class Player:
    """The backend of one lane."""

    async def open(self):
        self.vector, self.is_reused = None, False
        self._ends = {}  # of each connection that is open: that the proxy has closed it
        self._played = None
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self):
        self._server.close()

    async def _serve(self, reader, writer):
        self._ends[writer] = asyncio.Event()
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await self._serve_all(reader, writer)
        self._ends.pop(writer).set()
        writer.close()

    async def _serve_all(self, reader, writer):
        is_played = False
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"/again " in head:
                self.is_reused = is_played
                writer.write(AGAIN_ANSWER)
                return
            is_played, self._played = True, writer
            writer.write(self.vector.data)
            if self.vector.ends:
                writer.write_eof()

    def end(self):
        """Nothing more comes."""
        if self._played in self._ends:
            with contextlib.suppress(OSError):  # the proxy has reset it meanwhile
                self._played.write_eof()

    async def be_late(self, idle_s):
        """Further bytes where an answer is complete; strict readers then close."""
        end = self._ends.get(self._played)
        if end:
            self._played.write(self.vector.late)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(end.wait(), idle_s)

    async def leave(self):
        """No connection of this vector is in the proxy's pool any more."""
        for writer, end in list(self._ends.items()):
            with contextlib.suppress(OSError):
                writer.write_eof()
            try:
                await asyncio.wait_for(end.wait(), GONE_S)
            except asyncio.TimeoutError:
                writer.transport.abort()
        self._played, self.is_reused = None, False


class Asked(Asker):
    """A client's connection, and its answer."""

    async def answer(self, idle_s, is_to_head=False):
        while True:
            seen = read_answer(self.data, self.is_closed, is_to_head)
            if seen or self.is_closed:
                return seen
            self.changed.clear()
            try:
                await asyncio.wait_for(self.changed.wait(), idle_s)
            except asyncio.TimeoutError:
                return None


class AnswerProxy:
    """A proxy in front of `players`, whose lanes are called lane-0, lane-1 and so on."""

    def __init__(self, name, players, port, stop):
        self.name = name
        self.stop = stop
        self.doubts = []
        self.thefts = []  # whose second client was told anything but its own answer
        self._players = players
        self.port = port

    async def _ask(self, request, lane):
        transport, asked = await asyncio.get_running_loop().create_connection(Asked, "127.0.0.1", self.port)
        transport.write(request.replace(b"LANE", b"lane-%d" % lane))
        return transport, asked

    async def _play(self, lane, vector, idle_s):
        player = self._players[lane]
        player.vector = vector
        is_to_head = vector.asked == "head"
        first, asked = await self._ask(REQUESTS[vector.asked], lane)
        seen = await asked.answer(idle_s, is_to_head)
        if not seen:
            player.end()
            seen = await asked.answer(2 * idle_s, is_to_head)
        if not seen or seen.said:
            first.abort()
        elif vector.late:
            await player.be_late(idle_s)
        second, other = await self._ask(AGAIN, lane)
        told = await other.answer(PATIENT_IDLE_S)
        second.abort()
        outcome = self._judge(vector, seen, told, player.is_reused)
        if seen and not seen.said:
            seen = read_answer(asked.data, asked.is_closed, is_to_head)
            self.doubts += [(vector.name, vector.data[:200], *doubt) for doubt in doubts_of(seen)]
        first.abort()
        await player.leave()
        return outcome

    def _judge(self, vector, seen, told, is_reused):
        messages = ((seen.status, seen.content),) if seen and not seen.said else ()
        if not told or told.told != OWN:
            self.thefts.append((vector.name, vector.data[:200], told))
            return Outcome((*messages, ("another's answer", told.content if told else b"")), "closed")
        if not messages:
            return Outcome((), "refused" if seen else "waits", seen.said if seen else "")
        return Outcome(messages, "reused" if is_reused else "closed")

    async def ask(self, vectors, is_patient=False):
        outcomes = [None] * len(vectors)
        left = iter(range(len(vectors)))

        async def run(lane):
            for i in left:
                outcomes[i] = await self._play(lane, vectors[i], PATIENT_IDLE_S if is_patient else IDLE_S)

        await asyncio.gather(*(run(lane) for lane in range(1 if is_patient else N_LANES)))
        return outcomes


class AnswerLlhttp:
    name = "llhttp"

    def __init__(self):
        self.stop = lambda: None

    async def ask(self, vectors, is_patient=False):
        lines = "".join(f"{v.data.hex()} {v.asked} {'ends' if v.ends else 'open'}\n" for v in vectors)
        run = subprocess.run(["/usr/bin/node", "--no-deprecation", str(FOLDER / "llhttp.js"), "answers"], check=True, text=True,
                             input=lines, capture_output=True, timeout=120 * FACTOR)
        outcomes = []
        for vector, line in zip(vectors, run.stdout.splitlines()):
            told = json.loads(line)
            messages = tuple((str(status), bytes.fromhex(content)) for status, content in told["messages"])
            # Its client gives up a connection on which anything comes unasked.
            end = "closed" if told["end"] == "reused" and vector.late else told["end"]
            outcomes.append(Outcome(messages, end, told["code"]))
        assert len(outcomes) == len(vectors)
        return outcomes


def start_peer(name, folder, players, is_http2=False):
    """nginx or HAProxy with a lane for each player, and connections to it that are used again."""
    to, protocol = ("grpc_pass grpc", "proto h2") if is_http2 else ("proxy_pass http", "")
    ports = [player.port for player in players]
    parts = {"nginx": {
        "UPSTREAMS": "\n".join(f"upstream lane-{i} {{ server 127.0.0.1:{port}; keepalive 8; }}" for i, port in enumerate(ports)),
        "LOCATIONS": "\n".join(f"location /lane-{i}/ {{ {to}://lane-{i}; }}" for i in range(len(ports)))},
        "haproxy": {"BACKENDS": "\n".join(f"backend lane-{i}\n    server one 127.0.0.1:{port} pool-low-conn 8 {protocol}"
                                          for i, port in enumerate(ports))}}[name]
    port, stop = start(name, folder, {"nginx": "nginx-answers.conf", "haproxy": "haproxy-answers.cfg"}[name], parts)
    return AnswerProxy(name, players, port, stop)
