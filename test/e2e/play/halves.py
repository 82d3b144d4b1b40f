"""Answers in two halves, with whatever is played in between."""
import threading

from .deadline import FACTOR


class Halves:
    """The backend answers `at` with "one", and with "two" once that is let go; anything else as it did."""

    def __init__(self, up, at="/stream"):
        self._at, self._go, self._begun, script = at, threading.Event(), [], up.script

        def halves(request, connection):
            if request.target != at:
                return script(request, connection)
            connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
            self._go.wait(120 * FACTOR)
            connection.send(b"3\r\ntwo\r\n0\r\n\r\n")
            return None
        up.script = halves

    def begin(self, gw, n=1):
        """Clients who have the first half."""
        for _ in range(n):
            self.begin_on(gw.raw())
        return self

    def begin_on(self, raw):
        raw.send(b"GET %s HTTP/1.1\r\nHost: a.test\r\n\r\n" % self._at.encode())
        assert raw.head()[0] == 200 and raw.chunk() == b"one"
        self._begun.append(raw)

    def finish(self):
        """They get the second one, and then the end."""
        self._go.set()
        for raw in self._begun:
            assert raw.chunk() == b"two" and raw.chunk() == b""
            raw.sock.close()
