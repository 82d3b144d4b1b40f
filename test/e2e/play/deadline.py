"""Waiting for something to become true, with a deadline and never by luck."""
import os
import time

FACTOR = float(os.environ.get("TOLLGATE_TEST_TIMEOUT_FACTOR", "1"))


def eventually(check, seconds=10.0, what=None):
    """Calls `check` until it answers something true, which is returned; fails after the deadline."""
    end = time.monotonic() + seconds * FACTOR
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds * FACTOR:g} s: {what or check}")
        time.sleep(0.01)
