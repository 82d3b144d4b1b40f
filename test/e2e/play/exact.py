"""A model server and its clients, many at once, in which everything is drawn from a seed: so that what was
used is known without asking the gateway. Both run in one event loop and tell each other when bytes have
come through, so that a client leaves, or the server resets, at an exact byte and never by a timer."""
import asyncio
import bisect
import dataclasses
import itertools
import json
import random
import re
import socket
import struct
import zlib

from .deadline import FACTOR

CHAT = "/v1/chat/completions"
# What OpenAI's models count on top of a message's text.
PROMPT_OVERHEAD = 7
CONTENT = re.compile(rb'"content": "([a-z ]*)')


def words(rng, n_tokens):
    """Tokens of 2 to 6 bytes."""
    return ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz ", k=rng.randint(2, 6))) for _ in range(n_tokens)]


@dataclasses.dataclass
class Seen:
    """What the server and the client know afterwards."""
    is_asked: bool = False  # the whole request has come to the server
    is_finished: bool = False  # the whole answer was sent, and told its usage
    is_complete: bool = False  # the client has got it
    status: int = 0
    n_content: int = 0  # bytes of content that the client got
    prefix: bytes = b""  # of the answer, as far as it was sent, decompressed


class Exchange:
    """One request: whether it is streamed, compressed, how usage is told, and how it ends."""

    def __init__(self, seed, number):
        rng = random.Random(f"{seed}/{number}")
        self.number = number
        self.prompt = words(rng, rng.randint(50, 800))
        self.tokens = words(rng, rng.randint(1, 400))
        self.is_stream = rng.random() < 0.6
        self.wants_gzip = rng.random() < 0.4
        self.asks_usage = rng.random() < 0.3
        self.usage = rng.choices(["null", "cumulative", "last", "silent"], [4, 3, 3, 1])[0]
        end = rng.random()
        self.end = ("leaves early" if end < 0.03 else "leaves" if end < 0.5 else "reset" if end < 0.6 else "whole")
        self.cut = rng.random()
        self.is_cut_before_head = self.end in ("leaves", "reset") and rng.random() < 0.1
        self.frames = []
        left = list(self.tokens)
        while left:
            n = rng.randint(1, 4)
            self.frames.append(left[:n])
            left = left[n:]
        self.seen = Seen()
        self.has_sent = asyncio.Event()  # the server: all that it will send before the cut
        self.has_read = asyncio.Event()  # the client: all of that has come through

    # ---- what the mock counts ----

    @property
    def tokens_in(self):
        return len(self.prompt) + PROMPT_OVERHEAD

    @property
    def tokens_out(self):
        return len(self.tokens)

    def counts(self, n_out):
        return {"prompt_tokens": self.tokens_in, "completion_tokens": n_out, "total_tokens": self.tokens_in + n_out}

    def tokens_within(self, n_bytes):
        """How many tokens have begun within that much content."""
        begins = [0, *itertools.accumulate(len(token) for token in self.tokens)][:-1]
        return bisect.bisect_left(begins, n_bytes)

    # ---- the wire ----

    def body(self):
        asked = {"model": "m", "messages": [{"role": "user", "content": "".join(self.prompt)}]}
        if self.is_stream:
            asked["stream"] = True
            if self.asks_usage:
                asked["stream_options"] = {"include_usage": True}
        return json.dumps(asked).encode()

    def request(self):
        body = self.body()
        gzip = "accept-encoding: gzip\r\n" if self.wants_gzip else ""
        head = (f"POST {CHAT}?n={self.number} HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n"
                f"content-type: application/json\r\ncontent-length: {len(body)}\r\n{gzip}\r\n").encode()
        return head + (body[:int(self.cut * len(body))] if self.end == "leaves early" else body)

    def answer_frames(self, is_usage_asked):
        """The pieces of a streamed answer."""
        def chunk(delta, **more):
            made = {"id": "c", "object": "chat.completion.chunk", "model": "m-served",
                    "choices": [{"index": 0, "delta": delta, "finish_reason": None}], **more}
            return f"data: {json.dumps(made)}\n\n".encode()

        tells = is_usage_asked and self.usage != "silent"
        more = {"usage": None} if tells and self.usage == "null" else {}
        yield chunk({"role": "assistant", "content": ""}, **more)
        n_out = 0
        for tokens in self.frames:
            n_out += len(tokens)
            if tells and self.usage == "cumulative":
                more = {"usage": self.counts(n_out)}
            yield chunk({"content": "".join(tokens)}, **more)
        if tells:
            made = {"id": "c", "object": "chat.completion.chunk", "model": "m-served", "choices": [],
                    "usage": self.counts(self.tokens_out)}
            yield f"data: {json.dumps(made)}\n\n".encode()
        yield b"data: [DONE]\n\n"

    def answer_document(self):
        made = {"id": "c", "object": "chat.completion", "model": "m-served", "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "".join(self.tokens)}, "finish_reason": "stop"}]}
        if self.usage != "silent":
            made["usage"] = self.counts(self.tokens_out)
        return json.dumps(made).encode()

    def expected_content(self):
        """Bytes of content that come through, at the least: of a stream whole frames only."""
        text = self.seen.prefix
        if self.is_stream:
            text = text[:text.rfind(b"\n\n") + 2]
        return content_of(text)


def content_of(text):
    return sum(len(found) for found in CONTENT.findall(text))


def abort(writer):
    """Ends a connection with a TCP reset."""
    sock = writer.get_extra_info("socket")
    if sock.fileno() >= 0:  # else the other side was faster
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


# ---- the server ----

class ModelServer:
    def __init__(self, exchanges):
        self.exchanges = exchanges

    async def start(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        self.port = self.server.sockets[0].getsockname()[1]

    async def _serve(self, reader, writer):
        try:
            while await self._serve_one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _serve_one(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
        asked = json.loads(await reader.readexactly(length))
        x = self.exchanges.get(int(re.search(rb"n=(\d+)", head)[1]))
        if x is None:  # a question that is no part of the play
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
            return True
        x.seen.is_asked = True
        is_gzip = re.search(rb"(?i)accept-encoding: gzip", head) is not None
        return await self._answer(x, asked, is_gzip, reader, writer)

    async def _answer(self, x, asked, is_gzip, reader, writer):
        if x.is_stream:
            pieces = list(x.answer_frames(asked.get("stream_options", {}).get("include_usage", False)))
        else:
            pieces = [x.answer_document()]
        press = zlib.compressobj(wbits=31) if is_gzip else None
        if press:
            pieces = [press.compress(piece) + press.flush(zlib.Z_SYNC_FLUSH) for piece in pieces] + [press.flush()]
        n_all = sum(map(len, pieces))
        is_whole = x.end == "whole"
        n_left = n_all if is_whole else int(x.cut * n_all)
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {'text/event-stream' if x.is_stream else 'application/json'}\r\n"
        head += "content-encoding: gzip\r\n" if is_gzip else ""
        head += "transfer-encoding: chunked\r\n\r\n" if x.is_stream else f"content-length: {n_all}\r\n\r\n"
        if not x.is_cut_before_head:
            writer.write(head.encode())
            n_left = await self._send(x, pieces, n_left, writer)
        text = b"".join(pieces)[:0 if x.is_cut_before_head else n_all if is_whole else int(x.cut * n_all)]
        x.seen.prefix = zlib.decompressobj(wbits=31).decompress(text) if is_gzip else text
        if is_whole:
            if x.is_stream:
                writer.write(b"0\r\n\r\n")
            x.seen.is_finished = True
            await writer.drain()
            return True
        x.has_sent.set()
        if x.end == "reset":
            await x.has_read.wait()
            abort(writer)
        else:
            await reader.read()  # until the gateway lets go of it
        return False

    @staticmethod
    async def _send(x, pieces, n_left, writer):
        for piece in pieces:
            # The chunk is announced in full: the cut may lie anywhere in it.
            part = piece[:n_left]
            if not part:
                break
            writer.write((b"%x\r\n" % len(piece) if x.is_stream else b"") + part)
            if x.is_stream and len(part) == len(piece):
                writer.write(b"\r\n")
            n_left -= len(part)
            await writer.drain()
        return n_left


# ---- the clients ----

async def run_client(x, port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(x.request())
        await writer.drain()
        if x.end == "leaves early":
            return
        if x.is_cut_before_head:
            await x.has_sent.wait()
            x.has_read.set()
        if x.end == "leaves" and x.is_cut_before_head:
            return
        await read_answer(x, reader)
        x.seen.is_complete = x.end == "whole"
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        if x.end == "whole":
            writer.close()
        else:
            abort(writer)


async def read_answer(x, reader):
    """Reads until the end, or until all that the server sent before its cut is there."""
    head = await reader.readuntil(b"\r\n\r\n")
    x.seen.status = int(head.split(b" ")[1])
    is_chunked = b"chunked" in head.lower()
    unpress = zlib.decompressobj(wbits=31) if b"content-encoding: gzip" in head.lower() else None
    text, buffer = b"", b""
    while True:
        if x.has_sent.is_set() and x.seen.n_content >= x.expected_content():
            x.has_read.set()
            if x.end == "leaves":
                return
        data = await read_some(x, reader)
        if data is None:
            continue
        if not data:
            return
        buffer += data
        piece, buffer = (unchunk(buffer) if is_chunked else (buffer, b""))
        text += unpress.decompress(piece) if unpress else piece
        x.seen.n_content = content_of(text)


async def read_some(x, reader):
    """None: nothing came for a while; the server may have come to its cut meanwhile."""
    try:
        return await asyncio.wait_for(reader.read(65536), 0.05 if x.end != "whole" else None)
    except asyncio.TimeoutError:
        return None


def unchunk(buffer):
    out = b""
    while True:
        line, mark, rest = buffer.partition(b"\r\n")
        if not mark:
            return out, buffer
        n = int(line, 16)
        if len(rest) < n + 2:
            return out, buffer
        out, buffer = out + rest[:n], rest[n + 2:]


async def play(exchanges, port, n_at_once):
    gate = asyncio.Semaphore(n_at_once)

    async def one(x):
        async with gate:
            await asyncio.wait_for(run_client(x, port), 60 * FACTOR)

    await asyncio.gather(*(one(x) for x in exchanges))
