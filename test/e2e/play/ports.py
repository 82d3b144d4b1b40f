"""Ports of our own: each is locked for the life of this process, so that tests that run side by side
never take the same one between asking for it and binding it. They lie below the range from which the
kernel serves `bind(0)` and outgoing connections."""
import fcntl
import os
import pathlib
import socket
import tempfile

import pytest

FIRST, LAST = 21000, 31999
_held = []


def free_port():
    folder = pathlib.Path(tempfile.gettempdir()) / f"tollgate-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    span = LAST - FIRST + 1
    start = os.getpid() * 37 % span
    for step in range(span):
        port = FIRST + (start + step) % span
        lock = open(folder / str(port), "w")  # held until the process ends
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket(socket.AF_INET6) as probe:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                probe.bind(("::", port))
        except OSError:
            lock.close()
            continue
        _held.append(lock)
        return port
    raise RuntimeError("no free port")


def free_low_port():
    for step in range(400):  # tests that run side by side begin elsewhere
        port = 600 + (os.getpid() * 37 + step) % 400
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))
                return port
            except OSError:
                continue
    pytest.skip("no port below 1024 is free")
