"""A backend that dies before its head, in its head, in a body, in a stream: at every byte of its answer, in order (FIN), by
a reset, or with garbage for last words. What must hold: no answer looks whole that is not, a stream that was cut has no
clean end, the gateway's own answer is 502 or 503, and what a backend may have begun to do is not done twice."""
import random

import pytest

from lab.proxy import LATE, Fault
from play.client import Raw
from play.deadline import eventually
from play.http2 import Http2
from play.manifests import ai_backend, ai_route, ai_rule, backend, model, path, route, rule, world
from play.threads import Threads
from play.upstream import Answer

EVENTS = [b'data: {"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"%d"}}]}\n\n' % i
          for i in range(3)] + [b"data: [DONE]\n\n"]
CHAT = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"hello"}]}'
# name: (method, path, content, the answer)
SHAPES = {
    "length": ("GET", "/length", None, Answer(body=b"0123456789" * 12)),
    "length to POST": ("POST", "/length", b"x" * 100, Answer(body=b"0123456789" * 12)),
    "chunks": ("GET", "/chunks", None, Answer(chunks=[b"abc" * 20, b"d" * 40, b"e"])),
    "events": ("POST", "/events", b"y" * 10, Answer(headers=[("content-type", "text/event-stream")], chunks=EVENTS)),
    "chat": ("POST", "/v1/chat/completions", CHAT, Answer(headers=[("content-type", "text/event-stream")], chunks=EVENTS)),
}


class Scene:
    """A gateway, a proxy before its backend, and the fault that the next connection meets."""

    def __init__(self, gateway, upstream, proxy, shape, **more):
        self.method, self.path, self.content, self.answer = SHAPES[shape]
        self.up = upstream("a")
        self.up.script = lambda _request, _connection: self.answer
        self.fault = None
        self.proxy = proxy(self.up, lambda _number: self.fault)
        self.gw = gateway(world(
            backend("a", self.proxy), ai_backend("a"), ai_route("ai", ai_rule("a", matches=[model("m")])),
            route("r", rule("a", matches=[path("/length"), path("/chunks"), path("/events")]))), **more)
        self.body = self.answer.body or b"".join(self.answer.chunks)
        assert self.ask() == (200, self.body, True)
        self.up.reset_all()
        eventually(lambda: self.gw.metric("tollgate_upstream_connections") == 0, 10, "the connection to be let go")
        self.n_answer = self.proxy.n_answer_bytes
        self.n_head = len(b"".join(self.wire()).split(b"\r\n\r\n", 1)[0]) + 4

    def wire(self):
        """The answer as the backend sends it."""
        sent = []
        request = type("Asked", (), {"method": self.method})
        self.up._send(request, self.answer, type("Sink", (), {"send": sent.append}))
        return sent

    def ask(self, http2=False):
        """(status, the content that came, whether it came whole)."""
        headers = [("content-type", "application/json")]
        if http2:
            return self._ask_http2(headers)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        length = f"content-length: {len(self.content)}\r\n" if self.content is not None else ""
        head = f"{self.method} {self.path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n{lines}{length}\r\n"
        with Raw(self.gw.port(), head.encode() + (self.content or b"")) as raw:
            status, fields = raw.head()
            return (status, *read_content(raw, dict(fields)))

    def _ask_http2(self, headers):
        with Http2(self.gw.port()) as client:
            stream = client.headers(self.path, self.method, headers=headers, end=self.content is None)
            if self.content is not None:
                client.data(stream, self.content, end=True)
            entry = client.streams[stream]
            client.until(lambda: entry["end"] or entry["reset"] is not None)
            return int(dict(entry["headers"] or [(":status", "0")])[":status"]), bytes(entry["body"]), entry["end"]


def read_content(raw, fields):
    body = b""
    try:
        if "content-length" in fields:
            n = int(fields["content-length"])
            while len(raw.buffer) < n and raw._more():
                pass
            return raw.buffer[:n], len(raw.buffer) >= n
        while data := raw.chunk():
            body += data
        return body, True
    except (AssertionError, ValueError):
        return body, False


def judge(scene, fault, came):
    """What is wrong with what came, or None."""
    status, body, is_whole = came
    at = fault.after
    if status in (502, 503):
        return None if is_whole else "the refusal was cut"
    if status != 200:
        return "a status that nobody gave"
    if at < scene.n_head:
        return "an answer without a whole head"
    if fault.kind == "garbage":
        # Within a length or a chunk nobody can tell it from content; what the backend never sent stays unsent.
        return "a clean end behind garbage" if is_whole and b"[DONE]" in body else None
    if is_whole:
        return "a cut answer looks whole"
    return None if scene.body.startswith(body) else "content that the backend did not send"


def cuts(scene, scale, rng):
    edges = {0, 1, scene.n_head - 1, scene.n_head, scene.n_head + 1, scene.n_answer - 3, scene.n_answer - 1}
    return range(scene.n_answer) if scale.is_full else sorted({*edges, *rng.sample(range(scene.n_answer), 4)})


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
def test_an_answer_that_ends_at_any_byte(gateway, upstream, proxy, scale, shape, http2):
    scene, rng = Scene(gateway, upstream, proxy, shape), random.Random(f"{scale.seed}/{shape}/{http2}")
    faults, n_asked = [], 0
    before = len(scene.up.requests)
    for at in cuts(scene, scale, rng):
        for kind in ("cut", "reset", "garbage"):
            scene.fault = Fault(kind, at)
            came = scene.ask(http2=http2)
            n_asked += 1
            if wrong := judge(scene, scene.fault, came):
                faults.append((wrong, scene.fault, came))
    assert not faults, f"{len(faults)} of {n_asked}, the first: {faults[0]}"
    assert len(scene.up.requests) - before == n_asked, "once each: a connection of its own, and a request that was sent"
    scene.fault = None
    assert scene.ask() == (200, scene.body, True)
    eventually(lambda: scene.gw.metric("tollgate_exchanges_active") == 0, 10, "every exchange to end")


@pytest.mark.parametrize("shape", SHAPES)
def test_an_answer_that_comes_late_and_byte_by_byte_is_whole(gateway, upstream, proxy, shape):
    scene = Scene(gateway, upstream, proxy, shape)
    for http2 in (False, True):
        scene.fault = Fault("drip", 1)
        assert scene.ask(http2=http2) == (200, scene.body, True)
        scene.up.reset_all()
        eventually(lambda: scene.gw.metric("tollgate_upstream_connections") == 0, 10, "the connection to be let go")
    scene.fault, n_struck = Fault(LATE), scene.proxy.n_struck
    waiting = Threads().go(scene.ask)
    eventually(lambda: scene.proxy.n_struck > n_struck, 10, "a connection that nobody looks at yet")
    scene.proxy.release()
    assert waiting.join() == [(200, scene.body, True)]


@pytest.mark.parametrize("shape, n_bytes, status, n_seen", [
    ("length", 0, 200, 2), ("chunks", 0, 200, 2), ("length", 1, 200, 2), ("length to POST", 0, 502, 1), ("chat", 0, 502, 1)])
@pytest.mark.parametrize("kind", ["cut", "reset"])
def test_a_kept_connection_that_ends_before_the_next_answer(gateway, upstream, proxy, kind, shape, n_bytes, status, n_seen):
    """It may have ended before the request came: a method without effect and without content is repeated on a new
    connection, while no whole head has come. No other."""
    scene = Scene(gateway, upstream, proxy, shape, args=["--workers", "1"])
    base = scene.proxy.n_connections
    scene.proxy.plan = lambda number: Fault(kind, scene.n_answer + n_bytes) if number == base else None
    assert scene.ask() == (200, scene.body, True)
    scene.up.requests.clear()
    came = scene.ask()
    assert (came[0], came[2], len(scene.up.requests)) == (status, True, n_seen)
    assert scene.proxy.n_struck == 1


def test_a_backend_that_is_gone_is_503(gateway, upstream):
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a"))))
    assert gw.request("/").status == 200
    up.stop()
    reply = gw.request("/", body=b"x")
    assert (reply.status, reply.code) in ((502, "upstream_reset"), (503, "upstream_connect_failed"))
    reply = gw.request("/", body=b"x")
    assert (reply.status, reply.code) == (503, "upstream_connect_failed")
