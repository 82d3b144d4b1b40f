"""Many requests at once, and a backend that holds them."""
import threading
import time

from play.deadline import FACTOR
from play.http2_upstream import Http2Upstream
from play.threads import Threads
from play.upstream import Answer


class Held:
    """A backend, of either protocol, that answers when it is let, and knows how many it has at once."""

    def __init__(self, up, seconds=0):
        self.up = up
        self.may_answer = threading.Semaphore(0)
        self.seconds = seconds
        self.n, self.most = 0, 0
        self._changed = threading.Condition()
        up.script = self._stream if isinstance(up, Http2Upstream) else self._request
        self.is_h2 = isinstance(up, Http2Upstream)

    def _hold(self):
        with self._changed:
            self.n += 1
            self.most = max(self.most, self.n)
            self._changed.notify_all()
        if self.seconds:
            time.sleep(self.seconds)
        else:
            self.may_answer.acquire()
        with self._changed:
            self.n -= 1
            self._changed.notify_all()

    def _request(self, _request, _connection):
        self._hold()
        return Answer(body=b"held")

    def _stream(self, stream):
        self._hold()
        stream.answer(body=b"held")

    def wait(self, n):
        with self._changed:
            assert self._changed.wait_for(lambda: self.n == n, 20 * FACTOR), f"{self.n} at once, waited for {n}"

    def let(self, n):
        for _ in range(n):
            self.may_answer.release()


class Crowd:
    """Requests in threads of their own; their replies as they come."""

    def __init__(self, gw):
        self.gw = gw
        self.replies = []
        self._threads = Threads()

    def send(self, n=1, at="/", **more):
        self._threads.go(self._one, at, n=n, **more)
        return self

    def _one(self, at, **more):
        self.replies.append((at, self.gw.request(at, **more)))

    def statuses(self):
        self._threads.join()
        return sorted(reply.status for _, reply in self.replies)
