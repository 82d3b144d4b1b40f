"""The gateway is killed under load and started again: alone by whoever started it, or by its parent. It serves within a
second, every time, and with a parent nobody is refused who comes meanwhile."""
import os
import signal
import threading
import time

from play.client import Raw
from play.deadline import FACTOR, eventually
from play.manifests import backend, route, rule, world
from play.threads import Threads

GET = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"


class Load:
    """Clients that go on whatever happens, and count how their requests ended."""

    def __init__(self, port, n=4):
        self.ends, self.wrong, self._end, self._lock = {}, [], threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._ask, args=(port,)) for _ in range(n)]
        for thread in self._threads:
            thread.start()

    def _note(self, end):
        with self._lock:
            self.ends[end] = self.ends.get(end, 0) + 1

    def _ask(self, port):
        raw = None
        while not self._end.is_set():
            try:
                raw = raw or Raw(port)
            except ConnectionRefusedError:
                self._note("connection refused")
                self._end.wait(0.005)
                continue
            except ConnectionResetError:  # killed in the middle of it
                self._note("cut")
                continue
            try:
                raw.send(GET)
                reply = raw.reply()
                self._note(reply.status)
                if reply.status != 200:
                    self.wrong.append(reply)
            except (OSError, AssertionError):
                self._note("cut")
                raw.sock.close()
                raw = None
        if raw:
            raw.sock.close()

    def stop(self):
        self._end.set()
        for thread in self._threads:
            thread.join()
        assert not self.wrong, self.wrong[:3]


def seconds_to_serve(gw):
    """Until somebody who comes new is served."""
    started = time.monotonic()

    def is_served():
        try:
            return gw.request("/").status == 200
        except OSError:
            return False
    eventually(is_served, 20, "the gateway to serve again")
    return time.monotonic() - started


def test_killed_and_started_again_it_serves_within_a_second(gateway, upstream, scale):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a"))))
    load, took = Load(gw.port()), []
    for _ in range(scale(2, 10)):
        gw.process.kill()
        gw.process.wait()
        starting = Threads().go(gw.start)
        took.append(seconds_to_serve(gw))
        starting.join()
    load.stop()
    print(f"served after {', '.join(f'{s * 1000:.0f}' for s in took)} ms; requests: {load.ends}")
    assert max(took) < 1 * FACTOR
    assert load.ends[200] > 0


def child(gw):
    with open(f"/proc/{gw.process.pid}/task/{gw.process.pid}/children", encoding="ascii") as children:
        found = children.read().split()
    return int(found[0]) if len(found) == 1 else None


def test_a_child_that_is_killed_is_replaced_within_a_second_and_nobody_is_refused(gateway, upstream, scale):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a"))), args=["--supervisor"])
    load, took = Load(gw.port()), []
    for _ in range(scale(1, 3)):  # the pause before a restart doubles with each death in a row
        os.kill(child(gw), signal.SIGKILL)
        took.append(seconds_to_serve(gw))
        eventually(lambda: child(gw), 10, "the next child")
    load.stop()
    print(f"served after {', '.join(f'{s * 1000:.0f}' for s in took)} ms; requests: {load.ends}")
    assert max(took) < 1 * FACTOR
    assert "connection refused" not in load.ends, "the parent holds the sockets"
