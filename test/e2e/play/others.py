"""That others are served while somebody means harm: what a client that has just come waits for its answer."""
import statistics
import time

from .deadline import FACTOR

FRESH_S = 0.1


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

    def check(self):
        """The median, since one of them may meet a moment in which this machine has no time for anybody."""
        assert len(self._took) >= 5, "too few to tell"
        median = statistics.median(self._took)
        assert median < FRESH_S * FACTOR, f"a fresh client waits {median * 1000:.0f} ms"
