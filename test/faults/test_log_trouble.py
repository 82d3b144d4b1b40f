"""An access log that cannot be written (its disk is full), or is not read (a pipe whose reader stands still): requests go
on at their pace, what is not written is counted, and nothing is counted twice; when it can be written again, it is."""
import errno
import json
import os
import signal
import time

import pytest

from lab.failing_calls import slow
from play.deadline import FACTOR, eventually
from play.manifests import ENVOY_API, backend, route, rule, thing, world
from play.others import Others

TEXT_BYTES = 8000
DROPPED = "tollgate_access_log_dropped_lines_total"


def logged(up, file):
    """Lines of TEXT_BYTES, so that a pipe and all behind it are full soon."""
    proxy = thing(ENVOY_API, "EnvoyProxy", "proxy", {"telemetry": {"accessLog": {"settings": [
        {"format": {"type": "Text", "text": "%REQ(X-TEXT)%\n"}, "sinks": [{"type": "File", "file": {"path": str(file)}}]}]}}})
    manifests = world(backend("a", up), route("r", rule("a")), proxy)
    manifests[0]["spec"]["parametersRef"] = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "proxy",
                                             "namespace": "play"}
    return manifests


def ask(gw, n, first=0):
    """Requests with numbers, on one connection."""
    with gw.raw() as raw:
        for i in range(first, first + n):
            raw.send(b"GET / HTTP/1.1\r\nHost: a.test\r\nX-Text: %06d%s\r\n\r\n" % (i, b"x" * (TEXT_BYTES - 6)))
            assert raw.reply().status == 200


def test_a_reader_that_stands_still_costs_lines_and_nothing_else(gateway, upstream, tmp_path, scale):
    fifo = tmp_path / "log"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    gw = gateway(logged(upstream("a"), fifo))
    others, n = Others(gw, "/"), scale(700, 3000)
    try:
        for i in range(0, n, 100):
            ask(gw, 100, i)
            others.come()
        n_others = -(-n // 100)
        eventually(lambda: gw.metric(DROPPED) > 0, 10, "lines to be dropped")
        others.check()
        # The reader goes on: what was kept comes, whole and in order, and each line was either kept or counted.
        seen, text = [], b""

        def read():
            nonlocal text
            try:
                text += os.read(reader, 1 << 20)
            except BlockingIOError:
                pass
            *lines, text = text.split(b"\n")
            seen.extend(lines)
            return len(seen) + gw.metric(DROPPED) >= n + n_others
        eventually(read, 20, "the lines that were kept")
        assert len(seen) + gw.metric(DROPPED) == n + n_others
        numbers = [line for line in seen if line != b"-"]
        assert all(len(line) == TEXT_BYTES for line in numbers), "no line is cut"
        ask(gw, 20, n)
        eventually(lambda: read() and seen[-1].startswith(b"%06d" % (n + 19)), 10, "the log to go on")
        print(f"{int(gw.metric(DROPPED))} of {n + n_others} lines were dropped while the reader stood still")
    finally:
        os.close(reader)


def test_a_full_disk_costs_lines_and_nothing_else(gateway, upstream, failing_calls, scale):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a"))), **failing_calls.more)
    others, n = Others(gw, "/"), scale(200, 2000)
    gw.request("/")
    eventually(lambda: len(gw.log()) == 1)
    failing_calls.arm("write", 1, errno.ENOSPC)
    ask(gw, n)
    others.come(5)
    others.check()
    eventually(lambda: gw.metric(DROPPED) == n + 5, 10, "every line to be counted as dropped")
    failing_calls.disarm()
    ask(gw, 50)
    eventually(lambda: len(gw.log()) + gw.metric(DROPPED) == 1 + n + 5 + 50, 10, "the log to go on")
    assert gw.metric(DROPPED) == n + 5, "nothing is dropped any longer"


def test_a_disk_that_does_not_answer_holds_up_neither_requests_nor_the_end(gateway, upstream, failing_calls, scale):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a"))), **failing_calls.more)
    others = Others(gw, "/")
    failing_calls.arm("write", 1, slow(60))
    ask(gw, scale(100, 2000))
    others.come(5)
    others.check()
    started = time.monotonic()
    gw.signal(signal.SIGTERM)
    assert gw.wait(10) == 0
    assert time.monotonic() - started < 5 * FACTOR, "lines that a dead disk does not take are given up"


def test_what_is_logged_before_an_end_is_written_whatever_the_wall_clock_says(gateway, upstream, failing_calls):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a"))), **failing_calls.more)
    failing_calls.step_wall_clock(-3600)
    failing_calls.arm("write", 1, slow(0.2))
    ask(gw, 50)
    gw.signal(signal.SIGTERM)
    assert gw.wait(10) == 0
    assert len(gw.log()) == 50


@pytest.mark.parametrize("is_short", [False, True], ids=["nothing more fits", "a part of a line fits"])
def test_a_disk_that_is_full_now_and_then_leaves_whole_lines(gateway, upstream, failing_calls, is_short, scale):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a"))), **failing_calls.more)
    n = scale(100, 1000)
    failing_calls.arm("write", 2, 0 if is_short else errno.ENOSPC)
    for i in range(n):
        assert gw.request(f"/{i}").status == 200
    eventually(lambda: count(gw)[0] + gw.metric(DROPPED) >= n, 10, "each line to be written or counted")
    failing_calls.disarm()
    whole, broken = count(gw)
    assert whole + gw.metric(DROPPED) == n and broken == 0
    assert not is_short or whole == n, "a part is followed by the rest"


def count(gw):
    """Lines that are records, and others."""
    lines = (gw.folder / "stdout").read_text(errors="replace").splitlines()
    whole = 0
    for line in lines:
        try:
            whole += isinstance(json.loads(line), dict)
        except ValueError:
            pass
    return whole, len(lines) - whole
