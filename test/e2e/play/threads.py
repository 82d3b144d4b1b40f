"""Threads of a play: what fails in one of them fails the play, also where nobody waits for it (conftest.py). The same for
tasks of a loop."""
import threading
import time

from .deadline import FACTOR


class Threads:
    """`go` starts them, `join` waits for all and raises what the first of them that failed had raised; what they returned
    is in `results`, in the order in which they were started."""

    def __init__(self):
        self.results = []
        self._threads, self._failures = [], []

    def go(self, call, *args, n=1, **more):
        for _ in range(n):
            at = len(self.results)
            self.results.append(None)
            thread = threading.Thread(target=self._run, args=(at, call, args, more), daemon=True)
            self._threads.append(thread)
            thread.start()
        return self

    def _run(self, at, call, args, more):
        try:
            self.results[at] = call(*args, **more)
        except BaseException as failure:  # noqa: B902 (raised in `join` too)
            self._failures.append(failure)
            raise

    def is_running(self):
        return any(thread.is_alive() for thread in self._threads)

    def join(self, seconds=60):
        """The results. One that hangs is a failure too, of those that have ended the later one."""
        end = time.monotonic() + seconds * FACTOR
        for thread in self._threads:
            thread.join(max(0, end - time.monotonic()))
        if self._failures:
            raise self._failures[0]
        assert not self.is_running(), f"a thread has not ended after {seconds * FACTOR:g} s"
        return self.results


def failures_of(loop):
    """What fails from now on in tasks of the loop that nobody awaits (servers' connections are such), as it comes."""
    failures = []
    loop.set_exception_handler(lambda _loop, context: failures.append(
        context.get("exception") or AssertionError(context["message"])))
    return failures
