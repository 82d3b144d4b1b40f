"""That others are served while somebody means harm: what a client that has just come waits for its answer."""
import contextlib
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time

try:
    from .deadline import FACTOR
except ImportError:  # the attackers, a program
    from deadline import FACTOR

FRESH_S = 0.1
STALL_S = 2  # beyond a lost SYN, which is sent again after one


class Others:
    """Clients that come while an attack goes on, one at each call; `check` judges how long they waited."""

    def __init__(self, gw, path="/fresh"):
        self._gw = gw
        self._path = path
        self._took = []

    def come(self, n=1):
        for _ in range(n):
            started = time.monotonic()
            assert self._gw.request(self._path).status == 200
            self._took.append(time.monotonic() - started)

    def check_all(self, n):
        """`n` more, of whom all but a tenth are served in time."""
        before = len(self._took)
        self.come(n)
        took = sorted(self._took[before:])
        slow = took[n - 1 - n // 10]
        assert took[-1] < STALL_S * FACTOR, f"one of them waits {took[-1] * 1000:.0f} ms"
        assert slow < FRESH_S * FACTOR, f"a tenth of fresh clients wait {slow * 1000:.0f} ms or more"

    def check(self):
        """The median, since one of them may meet a moment in which this machine has no time for anybody. But they come one
        after the other: whoever keeps the gateway busy for seconds keeps but one of them waiting, for as long."""
        assert len(self._took) >= 5, "too few to tell"
        assert max(self._took) < STALL_S * FACTOR, f"one of {len(self._took)} waits {max(self._took) * 1000:.0f} ms"
        median = statistics.median(self._took)
        assert median < FRESH_S * FACTOR, f"a fresh client waits {median * 1000:.0f} ms"


@contextlib.contextmanager
def attackers(port, flood, n=4):
    """`n` of them send `flood`, wait for the end of their connection, and come again. They are a process of their own: it
    is the gateway's time that they are to use, not that of whoever measures."""
    command = [sys.executable, __file__, str(port), str(n)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            process.stdin.write(flood)
            process.stdin.close()
            assert process.stdout.read(1) == b"!", "no attack"
            yield
        finally:
            process.kill()


def attack(port, flood):
    is_first = True
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=20 * FACTOR) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(flood)
            if is_first:
                os.write(1, b"!")
                is_first = False
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass


def main():
    port, n = map(int, sys.argv[1:])
    flood = sys.stdin.buffer.read()
    for _ in range(n):
        threading.Thread(target=attack, args=(port, flood), daemon=True).start()
    signal.pause()


if __name__ == "__main__":
    main()
