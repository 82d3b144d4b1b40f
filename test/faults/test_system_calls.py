"""Every Nth system call of a kind fails, or does a single byte: sockets, connections, bytes, the loop's set, files. Every
request ends, either well or cleanly (the gateway's own answer, or a connection that closes); the process lives; and when
calls succeed again, so does everything, with no descriptor, connection or exchange left over."""
import errno
import os
import signal
import socket
import time

import pytest

from lab.failing_calls import SHORT
from play.client import Raw
from play.deadline import FACTOR, eventually
from play.manifests import backend, https_listener, path, route, rule, tls_secret, world
from play.upstream import Answer

BODY = bytes(range(256)) * 400  # more than a pipe holds
# kind: with what it may fail on a real machine
FAILURES = {
    "connect": (errno.ECONNREFUSED, errno.EADDRNOTAVAIL, errno.ENETUNREACH),
    "socket": (errno.EMFILE, errno.ENOBUFS),
    "accept": (errno.EMFILE, errno.ECONNABORTED, errno.ENOMEM, errno.EPERM),
    "send": (errno.ECONNRESET, errno.EPIPE, errno.ENOBUFS, errno.EINTR, errno.EAGAIN, SHORT),
    "recv": (errno.ECONNRESET, errno.ETIMEDOUT, errno.EINTR, errno.EAGAIN, SHORT),
    "epoll": (errno.ENOMEM, errno.ENOSPC),
    "write": (errno.ENOSPC, errno.EIO, errno.EINTR, SHORT),
}
HARMLESS = {errno.EINTR, errno.EAGAIN, SHORT}  # for bytes: the call is made again
CASES = [(kind, error) for kind, errors in FAILURES.items() for error in errors]
REQUESTS = (
    b"GET /plain HTTP/1.1\r\nHost: a.test\r\n\r\n",
    b"GET /chunks HTTP/1.1\r\nHost: a.test\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY,
    b"GET /last HTTP/1.1\r\nHost: a.test\r\n\r\n",
)


def name_of(case):
    return f"{case[0]}-{errno.errorcode[case[1]] if case[1] else 'short'}"


def answer(request, _connection):
    if request.target == "/echo":
        return Answer(body=request.body)
    if request.target == "/chunks":
        return Answer(chunks=[BODY[:1000], BODY[1000:90000], BODY[90000:]])
    return Answer(body=b"fine" * 100, close=request.target == "/last")


def expected(request):
    return BODY if b"/echo" in request[:20] or b"/chunks" in request[:20] else b"fine" * 100


def ask(port, tls, faults):
    """All requests, on one connection while it lasts; how each ended."""
    ends, raw = [], None
    for request in REQUESTS:
        try:
            raw = raw or Raw(port, tls=tls, server_name="a.test" if tls else None)
            raw.send(request)
        except OSError as error:
            if isinstance(error, socket.timeout):
                faults.append(f"{request[:20]}: connecting or sending hangs")
            # An answer may have come before the connection was closed.
        try:
            reply = raw.reply() if raw else None
        except socket.timeout:
            faults.append(f"{request[:20]}: hangs")
            reply = None
        except (OSError, AssertionError, ValueError):
            reply = None
        if reply is None:
            ends.append("closed")
        elif reply.status == 200 and reply.body == expected(request):
            ends.append("served")
        elif reply.status in (500, 502, 503, 504) and reply.code:
            ends.append("refused")
        else:
            faults.append(f"{request[:20]}: {reply.status} with {len(reply.body)} bytes")
        if reply is None or reply.get("connection") == "close":
            if raw:
                raw.sock.close()
            raw = None
    if raw:
        raw.sock.close()
    return ends


def n_descriptors(gw):
    return len(os.listdir(f"/proc/{gw.process.pid}/fd"))


@pytest.mark.parametrize("has_tls", [False, True], ids=["plain", "TLS"])
def test_every_nth_call_fails_and_each_request_ends(gateway, upstream, authority, failing_calls, scale, has_tls):
    up = upstream("a")
    up.script = answer
    secure = {"listeners": [https_listener()]} if has_tls else {}
    gw = gateway(world(backend("a", up), route("r", rule("a")), tls_secret("cert", authority.leaf("a.test")), **secure),
                 **failing_calls.more)
    port, tls = gw.port(443 if has_tls else 80), authority.client() if has_tls else None
    faults, seen = [], {}
    ask(port, tls, faults)
    assert not faults
    base = n_descriptors(gw)
    for case in CASES:
        kind, error = case
        for every in scale((3,), (2, 3, 5, 7, 11)):
            struck = failing_calls.n_struck(kind)
            failing_calls.arm(kind, every, error)
            # Lines of the log are written many at once: it may be a while before it is their turn.
            ends, n_rounds, end = [], 0, time.monotonic() + 10 * FACTOR
            while n_rounds < scale(2, 6) or failing_calls.n_struck(kind) == struck and time.monotonic() < end:
                ends += ask(port, tls, faults)
                n_rounds += 1
            failing_calls.disarm()
            seen[name_of(case)] = seen.get(name_of(case), []) + ends
            assert gw.process.poll() is None, f"{name_of(case)}: {gw.stderr()[-2000:]}"
            assert not faults, f"{name_of(case)}, every {every}: {faults}"
            assert failing_calls.n_struck(kind) > struck, f"{name_of(case)}: never came to it"
            if kind == "write" or kind in ("send", "recv") and error in HARMLESS:
                assert set(ends) == {"served"}, f"{name_of(case)}, every {every}: {ends}"
            assert ask(port, tls, faults) == ["served"] * len(REQUESTS), f"behind {name_of(case)}, every {every}"
    assert any("refused" in ends or "closed" in ends for ends in seen.values())
    for name, ends in seen.items():
        print(f"{name}: {', '.join(f'{ends.count(end)} {end}' for end in ('served', 'refused', 'closed'))}")
    eventually(lambda: gw.metric("tollgate_connections_active") == 0, 10, "the connections to be closed")
    assert gw.metric("tollgate_exchanges_active") == 0
    up.stop()
    eventually(lambda: n_descriptors(gw) <= base, 10 * FACTOR, f"more than {base} descriptors are left open")


# ---- files ----

@pytest.mark.parametrize("kind, error", [("open", errno.EMFILE), ("open", errno.ENOENT), ("open", errno.EIO), ("read", errno.EIO),
                                         ("read", errno.EINTR), ("read", SHORT)],
                         ids=["no descriptor", "gone", "cannot be opened", "cannot be read", "interrupted", "short"])
def test_files_that_cannot_be_read_change_nothing(gateway, upstream, failing_calls, kind, error):
    up = upstream("a")

    def manifests(n):
        return world(backend("a", up), route("r", rule("a", matches=[path(f"/{n}")])))

    def n_reloads():
        return gw.n_reloads("ok") + gw.n_reloads("failed")

    gw = gateway(manifests(1), **failing_calls.more)
    before = n_descriptors(gw)
    for every in (2, 3) if error in HARMLESS else (1, 2):  # a call that is made again for ever would never end
        n = n_reloads()
        failing_calls.arm(kind, every, error)
        gw.write("world.yaml", manifests(2))
        gw.signal(signal.SIGHUP)
        eventually(lambda n=n: n_reloads() > n, 15, "a reload")
        is_new = gw.request("/2").status == 200
        assert is_new or error not in HARMLESS, "a call that is made again does no harm"
        assert is_new or gw.request("/1").status == 200, "the last good configuration serves"
        assert every > 1 or not is_new, "what could not be read does not serve"
        failing_calls.disarm()
        gw.apply(manifests(2))
        gw.apply(manifests(1))
        assert gw.request("/1").status == 200 and gw.request("/2").status == 404
    eventually(lambda: n_descriptors(gw) <= before + 2, 10, "the descriptors to be given back")
