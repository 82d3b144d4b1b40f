"""Comments that keep a silent event stream alive: between events, of streams that ask for it, and of no others."""
import json
import threading

import pytest

from play.http2 import Http2
from play.manifests import ai_backend, ai_route, ai_rule, backend, model, path, route, rule, world
from play.upstream import Answer
from test_ai_routes import CHAT, COSTS, USAGE, chat, chunk, frame
from test_check import check

ASKED = {"annotations": {"tollgate/event-stream-keep-alive": "1s"}}
EVENTS = [("content-type", "text/event-stream")]
COMMENT = b": keep-alive\n\n"


def pausing(before, after, may_go_on, headers=EVENTS):
    """Sends `before`, is silent until it may go on, and sends `after`."""
    def script(*_):
        def chunks():
            if before:
                yield before
            may_go_on.wait(60)
            yield after
        return Answer(headers=headers, chunks=chunks())
    return script


class Stream:
    """A client that reads chunks of one answer as they come."""

    def __init__(self, gw, where="/"):
        self.raw = gw.raw(b"GET %s HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n" % where.encode())
        assert self.raw.head()[0] == 200
        self.content = b""

    def until(self, n_comments):
        while self.content.count(COMMENT) < n_comments:
            self.content += self.raw.chunk()
        return self

    def rest(self):
        while piece := self.raw.chunk():
            self.content += piece
        return self.content


@pytest.fixture
def served(gateway, upstream):
    """served({path: script}, ...): a gateway whose routes ask for comments, and one that does not, at /plain."""
    def start(scripts):
        up = upstream("a")
        up.script = lambda request, connection: scripts[request.target](request, connection)
        return gateway(world(backend("a", up), route("r", rule("a"), metadata=ASKED), route("p", rule("a", matches=[path("/plain")]))))
    return start


@pytest.mark.parametrize("before", [b"", b"data: one\n\n", b"data: one\r\n\r\n", b"event: x\ndata: one\r\n\n", b": said\n\n"])
def test_between_events(served, before):
    may_go_on = threading.Event()
    gw = served({"/": pausing(before, b"data: two\n\n", may_go_on)})
    stream = Stream(gw).until(2)
    may_go_on.set()
    assert stream.rest() == before + COMMENT * 2 + b"data: two\n\n"


def test_nowhere_else(served):
    """Streams that were silent for longer than one that got two comments got none."""
    may_go_on = threading.Event()
    silent = {
        "/in-an-event": pausing(b"data: one\n\ndata: tw", b"o\n\n", may_go_on),
        "/after-a-line": pausing(b"data: one\n", b"\n", may_go_on),
        "/compressed": pausing(b"\x1f\x8b\n\n", b"x", may_go_on, [*EVENTS, ("content-encoding", "gzip")]),
        "/json": pausing(b"{\n\n", b"}", may_go_on, [("content-type", "application/json")]),
        "/plain": pausing(b"data: one\n\n", b"data: two\n\n", may_go_on),
    }
    gw = served({**silent, "/": pausing(b"data: one\n\n", b"data: two\n\n", may_go_on)})
    others = [Stream(gw, where) for where in silent]
    Stream(gw).until(2)
    may_go_on.set()
    assert all(COMMENT not in other.rest() for other in others)


def test_over_http2(served):
    may_go_on = threading.Event()
    gw = served({"/": pausing(b"data: one\n\n", b"data: two\n\n", may_go_on)})
    with Http2(gw.port()) as one:
        stream = one.headers("/")
        one.until(lambda: one.streams[stream]["body"].count(COMMENT) == 2)
        may_go_on.set()
        assert one.reply(stream).body == b"data: one\n\n" + COMMENT * 2 + b"data: two\n\n"


def test_a_metered_stream_stays_exact(gateway, upstream):
    up, may_go_on = upstream("a"), threading.Event()
    usage = frame({"id": "c", "object": "chat.completion.chunk", "choices": [], "usage": USAGE})
    up.script = pausing(chunk({"content": "hi"}), chunk({"content": " there"}) + usage + b"data: [DONE]\n\n", may_go_on)
    there = ai_route("ai", ai_rule("a", matches=[model("m")]), costs=COSTS)
    there["metadata"].update(ASKED)
    gw = gateway(world(backend("a", up), ai_backend("a"), there))
    with Http2(gw.port()) as one:
        stream = one.headers(CHAT, "POST", headers=[("content-type", "application/json")], end=False)
        one.data(stream, json.dumps(chat(stream=True)).encode(), end=True)
        one.until(lambda: one.streams[stream]["body"].count(COMMENT) == 1)
        may_go_on.set()
        body = one.reply(stream).body
    assert body.endswith(b"data: [DONE]\n\n") and b"usage" not in body and b" there" in body
    record = gw.wait_log(lambda r: r["tokens_total"])
    assert (record["tokens_total"], record["tokens_source"]) == (12, "provider")


def test_a_client_that_leaves_a_silent_stream_is_forgotten(served):
    may_go_on = threading.Event()
    gw = served({"/": pausing(b"data: one\n\n", b"data: two\n\n", may_go_on)})
    Stream(gw).until(1).raw.sock.close()
    assert gw.wait_log(lambda r: r["response_flags"] == "DC")["response_code"] == 200
    may_go_on.set()


@pytest.mark.parametrize("value, is_named", [("1s", False), ("10ms", True), ("often", True)])
def test_what_is_no_duration_is_named(tmp_path, value, is_named):
    there = route("r", rule("a"), metadata={"annotations": {"tollgate/event-stream-keep-alive": value}})
    run = check(tmp_path, world(backend("a", 1), there))
    assert run.returncode == 0 and ("event-stream-keep-alive: expected a duration" in run.stdout) == is_named
