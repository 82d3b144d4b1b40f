"""The readers that are compared, and what each made of a connection's bytes: an Outcome.

A proxy is asked over its socket. Its backend (Recorder) reads strictly and answers, in a header, what has reached
it; so the client sees in the proxy's answers which messages were passed on, with which content, in which order.
Node's parser is asked in a process of its own (llhttp.js)."""
import asyncio
import base64
import dataclasses
import json
import pathlib
import re
import socket
import subprocess

from play.deadline import FACTOR, eventually
from play.ports import free_port

FOLDER = pathlib.Path(__file__).parent
# Silence that counts as waiting for more. Whatever hangs on it is asked again, with more patience and alone.
IDLE_S = 0.7 * FACTOR
PATIENT_IDLE_S = 3 * FACTOR
SILENCE = "silence"
CONNECTIONS = 48  # at a time

RESPONSE = re.compile(rb"HTTP/1\.[01] (\d{3})[^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n")
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*(?=\r\n)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*(?=\r\n)", re.IGNORECASE)
# A framing header, or what somebody may take for one.
FRAMING = re.compile(rb"\r\n[\0- _]*(?:content[\0- _-]length|transfer[\0- _-]encoding)[\0- _]*:", re.IGNORECASE)
BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n|\n[ \t]|\0")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """`messages`: (method, content) of each that was taken, in order. `end`: "refused"; "closed", in order after
    a last one; or "waits", for more of the next one. `said`: the status or error that refused."""
    messages: tuple
    end: str
    said: str = dataclasses.field(default="", compare=False)

    @property
    def is_silent(self):
        return self.end == "waits" or self.said == SILENCE

    def __str__(self):
        taken = " ".join(f"{method}:{content[:60]!r}" for method, content in self.messages)
        return f"[{taken}] {self.end}{' ' + self.said if self.said else ''}"


class Recorder:
    """The backend. `doubts` collects what a proxy has passed on that could be read in two ways."""

    def __init__(self):
        self.doubts = []

    async def start(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self):
        self._server.close()

    async def _serve(self, reader, writer):
        try:
            await self._serve_one(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass  # the proxy refused midway, and left
        finally:
            writer.close()

    async def _serve_one(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        method = head.split(b" ", 1)[0].decode("latin-1")
        body = await self._body(reader, head)
        seen = base64.b64encode(json.dumps([method, body.hex()]).encode())
        writer.write(b"HTTP/1.1 200 OK\r\nx-seen: " + seen + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.write_eof()
        more = await reader.read(1 << 16)
        if more:
            self.doubts.append(("bytes behind the message", head + body + more))

    async def _body(self, reader, head):
        lengths, codings = LENGTH.findall(head), CHUNKED.findall(head)
        if len(lengths) + len(codings) > 1 or len(FRAMING.findall(head)) != len(lengths) + len(codings):
            self.doubts.append(("more than one framing", head))
        if BARE.search(head):
            self.doubts.append(("a bare CR, LF or NUL, or a fold", head))
        if not codings:
            return await reader.readexactly(int(lengths[0]) if lengths else 0)
        body = b""
        while True:
            line = await reader.readuntil(b"\r\n")
            size = int(re.fullmatch(rb"([0-9a-fA-F]{1,16})\r\n", line)[1], 16)
            if size == 0:
                break
            chunk = await reader.readexactly(size + 2)
            body += chunk[:-2]
        while await reader.readuntil(b"\r\n") != b"\r\n":
            pass
        return body


class Asker(asyncio.Protocol):
    def __init__(self):
        self.data = b""
        self.changed = asyncio.Event()
        self.is_closed = False

    def data_received(self, data):
        self.data += data
        self.changed.set()

    def eof_received(self):
        self.is_closed = True
        self.changed.set()

    def connection_lost(self, _):
        self.eof_received()


def read_answers(data, is_closed):
    """The outcome that a proxy's answers tell."""
    messages, said, is_last = [], "", False
    for match in RESPONSE.finditer(data):
        status, head = match[1].decode(), b"\r\n" + match[2]
        seen = re.search(rb"\r\nx-seen: ([^\r\n]*)", head, re.IGNORECASE)
        if status.startswith("1"):
            continue
        if not seen:
            code = re.search(rb'"code":\s*"(\w+)"', data[match.end():])
            return Outcome(tuple(messages), "refused", code[1].decode() if code else status)
        method, body = json.loads(base64.b64decode(seen[1]))
        messages.append((method, bytes.fromhex(body)))
        is_last = re.search(rb"\r\nconnection:[ \t]*close", head, re.IGNORECASE) is not None
    if not is_closed:
        return Outcome(tuple(messages), "waits")
    if data and not data.startswith(b"HTTP/1"):
        return Outcome((("HTTP/0.9", b""),), "closed")
    if is_last:
        return Outcome(tuple(messages), "closed")
    return Outcome(tuple(messages), "refused", SILENCE)


class Proxy:
    def __init__(self, name, port, stop):
        self.name = name
        self.port = port
        self.stop = stop

    async def _ask_one(self, data, idle_s):
        transport, asker = await asyncio.get_running_loop().create_connection(Asker, "127.0.0.1", self.port)
        transport.write(data)
        while not asker.is_closed:
            asker.changed.clear()
            try:
                await asyncio.wait_for(asker.changed.wait(), idle_s)
            except asyncio.TimeoutError:
                break
        transport.abort()
        return read_answers(asker.data, asker.is_closed)

    async def ask(self, vectors, is_patient=False):
        limit = asyncio.Semaphore(1 if is_patient else CONNECTIONS)

        async def one(data):
            async with limit:
                return await self._ask_one(data, PATIENT_IDLE_S if is_patient else IDLE_S)

        return await asyncio.gather(*(one(vector.data) for vector in vectors))


class Llhttp:
    name = "llhttp"

    def __init__(self):
        self.stop = lambda: None

    async def ask(self, vectors, is_patient=False):
        run = subprocess.run(["/usr/bin/node", "--no-deprecation", str(FOLDER / "llhttp.js")], check=True, text=True,
                             input="".join(vector.data.hex() + "\n" for vector in vectors), capture_output=True, timeout=120 * FACTOR)
        outcomes = []
        for line in run.stdout.splitlines():
            told = json.loads(line)
            messages = tuple((method, bytes.fromhex(body)) for method, _, body in told["messages"])
            outcomes.append(Outcome(messages, told["end"], told["code"]))
        assert len(outcomes) == len(vectors)
        return outcomes


def versions():
    """Of the peers, for whoever has others than those that the table was made for."""
    commands = [["/usr/sbin/nginx", "-v"], ["/usr/sbin/haproxy", "-v"],
                ["/usr/bin/node", "-p", "'llhttp ' + process.versions.llhttp"]]
    runs = [subprocess.run(command, check=True, capture_output=True, text=True) for command in commands]
    return ", ".join((run.stdout or run.stderr).splitlines()[0] for run in runs)


def start(name, folder, file, parts):
    """nginx or HAProxy on a configuration of this folder with `parts` put in; (its port, how to stop it)."""
    port = free_port()
    text = (FOLDER / file).read_text()
    for key, value in {**parts, "PORT": port, "FOLDER": folder}.items():
        text = text.replace(key, str(value))
    config = folder / file
    config.write_text(text)
    command = {"nginx": ["/usr/sbin/nginx", "-p", str(folder), "-e", str(folder / "nginx.log"), "-c", str(config)],
               "haproxy": ["/usr/sbin/haproxy", "-q", "-db", "-f", str(config)]}[name]
    with open(folder / f"{name}.out", "wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)

    def stop():
        process.terminate()
        process.wait(20 * FACTOR)

    def is_up():
        assert process.poll() is None, (folder / f"{name}.out").read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except ConnectionRefusedError:
            return False
        return True

    eventually(is_up, 20, f"{name} to listen")
    return port, stop


def start_peer(name, folder, backend_port, is_http2=False):
    """nginx or HAProxy; HTTP/2 without TLS, or HTTP/1."""
    protocol = {"nginx": "http2", "haproxy": "proto h2"}[name] if is_http2 else ""
    file = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg"}[name]
    return Proxy(name, *start(name, folder, file, {"BACKEND_PORT": backend_port, "PROTOCOL": protocol}))
