"""`run --takeover`: a new process takes the ports of a running one, and nobody who comes or stays notices."""
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading

import pytest

from play.deadline import eventually
from play.gateway import StartFailed, as_text
from play.manifests import (backend, http_listener, https_listener, provider, route, rule, security_policy, target, tls_secret,
                            world)
from play.name_server import SERVFAIL
from play.takeover import COMMIT, GO, GRANT, HELLO, READY, RECORDS, REFUSED, SOCKET, STATE_END, WELCOME
from play.takeover import Crowd, Line, Tap, said, streaming
from play.threads import Threads
from play.upstream import Answer
from test_limits import limit, number, policy
from test_metering import CHAT, answers, budget, chat, one_model, token_limit, told
from test_privilege import child, free_low_port, has_given_up
from test_reload import Load


def small(up, *more):
    return world(backend("a", up), route("r", rule("a")), *more)


def test_no_client_is_refused_in_ten_takeovers(line, upstream):
    gw = line.first(small(upstream("a")), args=["--workers", "2"])
    crowd = Crowd(gw)
    for n_workers in (2, 3, 1, 4, 2, 1, 3, 2, 4, 2):  # sockets are shared out, or more are opened
        before, old = crowd.n_served, line.all[-1]
        line.next(["--workers", str(n_workers)])
        assert old.wait() == 0
        eventually(lambda: crowd.n_served > before + 30, what="clients served by the next one")
    crowd.stop()
    assert not crowd.faults, crowd.faults[:5]
    assert len([gw for gw in line.all if gw.process.poll() is None]) == 1


def test_key_sets_and_addresses_go_over_while_their_sources_are_down(line, upstream, issuer, name_server):
    """A service that went on without its issuer and its name server goes on in the next process, too."""
    up, keys = upstream("a"), issuer()
    name_server.addresses = ["127.0.0.1"]
    named = backend("a")
    named["spec"]["endpoints"] = [{"fqdn": {"hostname": "models.example", "port": up.port}}]
    gw = line.first(world(named, backend("keys", keys), route("r", rule("a")),
                          security_policy("s", target("HTTPRoute", "r"), jwt={"providers": [provider(keys)]})), args=name_server.args)
    token = keys.token()
    eventually(lambda: gw.request("/", token=token).status == 200)
    keys.mode = "error"
    name_server.fail(SERVFAIL)
    for _ in range(2):  # from the one that fetched them, and from the one that was told
        n_fetches, n_asked = keys.n_fetches, name_server.n_asked
        new = line.next(name_server.args)
        assert [new.request("/", token=token).status for _ in range(3)] == [200] * 3
        eventually(lambda: keys.n_fetches > n_fetches and name_server.n_asked > n_asked)  # noqa: B023 (neither answers)
        assert new.request("/", token=token).status == 200
        assert new.request("/", token=issuer().token()).status == 401
        assert gw.wait() == 0
        gw = new


def test_clients_that_keep_their_connection_are_told_to_come_again(line, upstream):
    gw = line.first(small(upstream("a")))
    idle = gw.raw(b"GET /kept HTTP/1.1\r\nHost: a\r\n\r\n")
    assert idle.reply().get("connection") is None
    load = Load(gw.port(), 8)  # half of them keep theirs
    for _ in range(5):
        before = load.n_answers
        line.next()
        eventually(lambda: load.n_answers > before + 50, what="clients served by the next one")
        assert load.faults == []
    load.stop()
    assert idle.is_closed()
    assert [gw.wait() for gw in line.all[:-1]] == [0] * 5


def test_live_streams_end_in_the_old_process_though_it_is_told_to_end(line, upstream):
    up = upstream("a")
    go = streaming(up)
    old = line.first(small(up), drain=("0", "60"))
    streams = [old.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(50)]
    assert all(raw.head()[0] == 200 and raw.chunk() == b"one" for raw in streams)
    new = line.next()
    old.signal(signal.SIGTERM)
    said(old, "finishing what is left here")
    up.script = up.echo
    assert new.request("/").status == 200
    assert old.process.poll() is None
    go.set()
    for raw in streams:
        assert raw.chunk() == b"two" and raw.chunk() == b"" and raw.rest() == b""
    assert old.wait() == 0
    said(new, "which was taken over, has ended")


def test_the_next_ones_admin_port_and_status_are_the_new_ones(line, upstream):
    up = upstream("a")
    go = streaming(up)
    old = line.first(small(up), drain=("0", "60"))
    with old.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") as raw:
        raw.head()
        started = old.metric("process_start_time_seconds")
        new = line.next()
        assert all(new.metric("process_start_time_seconds") > started for _ in range(5))
        assert new.get_admin("/ready").status == 200
        go.set()
        raw.rest()
    assert old.wait() == 0


# ---- budgets ----

def test_what_was_used_before_is_known_after(line, upstream):
    gw = line.first(small(upstream("a"), policy(limit(5))))
    assert [gw.request("/").status for _ in range(3)] == [200] * 3
    new = line.next()
    assert [told(new.request("/"))[1] for _ in range(2)] == [1, 0]
    newest = line.next()
    assert newest.request("/").status == 429


def test_what_each_distinct_value_used_is_known_after(line, upstream):
    by_user = {"headers": [{"name": "x-user", "type": "Distinct"}]}
    gw = line.first(small(upstream("a"), policy(limit(100, by_user))))
    users = [f"user-{i}" for i in range(300)]
    for i, user in enumerate(users):
        for _ in range(1 + i % 2):
            assert gw.request("/", headers=[("x-user", user)]).status == 200
    new = line.next()
    left = [told(new.request("/", headers=[("x-user", user)]))[1] for user in users]
    assert left == [98 - i % 2 for i in range(len(users))]


def test_who_came_before_the_takeover_is_judged_by_what_was_spent_after_it(line, upstream):
    up = upstream("a")
    old = line.first(small(up, policy(limit(40))), drain=("0", "60"))
    waiting = [old.raw() for _ in range(20)]
    ask = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    waiting[0].send(ask)
    assert told(waiting[0].reply()) == (40, 39)
    half = [old.raw(ask[:20]) for _ in range(5)]
    new = line.next()
    assert [new.request("/").status for _ in range(35)] == [200] * 35
    for raw in waiting[1:]:
        raw.send(ask)
    for raw in half:
        raw.send(ask[20:])
    replies = [raw.reply() for raw in waiting[1:] + half]
    assert [reply.status for reply in replies].count(200) == 4 and len(up.requests) == 40
    assert {told(reply)[1] for reply in replies if reply.status == 429} == {0}
    assert old.wait() == 0
    assert new.request("/").status == 429


def test_of_a_crowd_exactly_as_many_pass_as_the_limit_allows_though_it_meets_takeovers(line, upstream):
    up = upstream("a")
    gw = line.first(small(up, policy(limit(1200))), args=["--workers", "2"])
    is_over, refused = threading.Event(), []

    def ask():
        while not is_over.is_set():
            if gw.request("/").status == 429:
                refused.append(429)
    crowd = Threads().go(ask, n=12)
    for n in range(5):
        up.wait_for(min(200 * (n + 1), 1200))
        line.next(["--workers", str(1 + n % 3)])
    up.wait_for(1200)
    before = len(refused)
    eventually(lambda: len(refused) > before + 50, what="requests that come too late")
    is_over.set()
    crowd.join()
    assert len(up.requests) == 1200


BUDGET, N_IN, N_OUT = 100_000, 10, 700


class Ask:
    """A call of a model that hangs, by way of one gateway."""

    def __init__(self, gw, max_tokens=1000):
        body = json.dumps(chat(max_tokens=max_tokens)).encode()
        self.raw = gw.raw(b"POST %s HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n%s"
                          % (CHAT.encode(), len(body), body))
        self.reserved = len(body) // 4 + max_tokens

    def end(self):
        assert self.raw.reply().status == 200
        self.raw.sock.close()


def left(gw, up):
    """What the budget has left, by the word of an answer: with what that one reserves itself, and it is 2 dearer
    afterwards."""
    script, up.script = up.script, answers(1, 1)
    ask = chat(max_tokens=1)
    reply = gw.request(CHAT, json=ask)
    up.script = script
    assert reply.status == 200
    return told(reply)[1] + len(json.dumps(ask)) // 4 + 1


def settled(gw):
    eventually(lambda: gw.metric("tollgate_exchanges_active") == 0)


def test_a_call_that_ends_in_the_old_process_is_charged_in_the_new_one(line, upstream):
    up, gate = upstream(), threading.Event()
    old = line.first(one_model(up, budget(token_limit(BUDGET))), drain=("0", "60"))
    up.script = answers(N_IN, N_OUT, gate)
    calls = [Ask(old) for _ in range(5)]
    up.wait_for(5)
    new = line.next()
    assert left(new, up) == BUDGET - sum(call.reserved for call in calls)
    settled(new)
    gate.set()
    for call in calls:
        call.end()
    assert old.wait() == 0
    said(new, "which was taken over, has ended")
    assert left(new, up) == BUDGET - 2 - 5 * (N_IN + N_OUT)


def test_three_in_a_row_know_what_the_first_one_spends(line, upstream):
    up, gate = upstream(), threading.Event()
    first = line.first(one_model(up, budget(token_limit(BUDGET))), drain=("0", "60"))
    up.script = answers(N_IN, N_OUT, gate)
    call = Ask(first)
    up.wait_for(1)
    second = line.next()
    third = line.next()
    assert left(third, up) == BUDGET - call.reserved
    settled(third)
    assert second.process.poll() is None, "it passes on what the first one says"
    gate.set()
    call.end()
    assert first.wait() == 0 and second.wait() == 0
    assert left(third, up) == BUDGET - 2 - (N_IN + N_OUT)


def test_what_a_killed_process_had_reserved_is_free_again(line, upstream):
    up, gate = upstream(), threading.Event()
    old = line.first(one_model(up, budget(token_limit(BUDGET))), drain=("0", "60"))
    up.script = answers(N_IN, N_OUT, gate)
    call = Ask(old)
    up.wait_for(1)
    new = line.next()
    old.signal(signal.SIGKILL)
    old.wait()
    said(new, "which was taken over, has ended")
    assert left(new, up) == BUDGET
    gate.set()
    call.raw.sock.close()
    old.stop(-signal.SIGKILL)


def test_what_the_drain_timeout_cuts_is_charged_in_the_new_one(line, upstream):
    up = upstream("a")
    go = streaming(up)
    old = line.first(small(up, policy(limit(100, cost=number(0, 5)))), drain=("0", "1"))
    with old.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") as raw:
        assert raw.head()[0] == 200 and raw.chunk() == b"one"
        up.script = up.echo
        new = line.next()
        assert old.wait() == 0
    said(new, "which was taken over, has ended")
    assert told(new.request("/"))[1] == 100 - 5 - 5, "what the old one says last, and what this one reserves"
    go.set()


def test_averages_of_models_are_known_after(line, upstream):
    up = upstream()
    old = line.first(one_model(up, budget(token_limit(BUDGET))))
    up.script = answers(1, 100)
    ask = chat()
    for _ in range(20):
        assert old.request(CHAT, json=ask).status == 200
    settled(old)
    new = line.next()
    assert told(new.request(CHAT, json=ask))[1] == BUDGET - 20 * 101 - len(json.dumps(ask)) // 4 - 4 * 100


def test_tickets_of_tls_sessions_are_taken_by_the_next_one(line, upstream, authority):
    pair = authority.leaf("one.test")
    old = line.first(world(backend("a", upstream("a")), route("r", rule("a")), tls_secret("cert", pair),
                           listeners=[https_listener(hostname="one.test")]))
    client = authority.client()
    client.maximum_version = ssl.TLSVersion.TLSv1_2

    def connect(session=None):
        with socket.create_connection(("127.0.0.1", old.port(443))) as plain, \
                client.wrap_socket(plain, server_hostname="one.test", session=session) as sock:
            return sock.session, sock.session_reused
    session, _ = connect()
    assert connect(session)[1]
    line.next()
    assert connect(session)[1]


def text(value):
    return struct.pack("<I", len(value)) + value


def test_a_grant_that_nobody_waits_for_goes_back_and_nonsense_ends_the_listening(line, upstream):
    up = upstream("a")
    go = streaming(up)
    gw = line.first(small(up), drain=("0", "60"))
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") as raw, line.taker() as taker:
        assert raw.head()[0] == 200 and raw.chunk() == b"one"
        have_state(taker)
        taker.say(COMMIT)
        taker.hear_until(GO)
        for backend_name in (b"Backend/play/a", b"Backend/play/unknown"):
            taker.say(GRANT, text(backend_name) + text(b"192.0.2.1:80") + struct.pack("<III", 1, 1, 1))
            back = b"".join(text(b"places") + text(text(backend_name) + text(address) + struct.pack("<Ii", kind, -1))
                            for address, kind in ((b"", 0), (b"192.0.2.1:80", 3)))
            heard = b""
            while len(heard) < len(back):
                heard += taker.hear_until(RECORDS)[-1][1]
            assert heard == back
        taker.say(GRANT, b"nonsense")
        said(gw, "grants what nobody understands")
        go.set()
        assert raw.chunk() == b"two" and raw.chunk() == b""
    assert gw.wait() == 0


# ---- takeovers that come to nothing ----

def die_at_once(_taker):
    pass


def die_greeted(taker):
    taker.say_hello()
    assert taker.hear()[0] == WELCOME


def die_amid_the_state(taker):
    die_greeted(taker)
    taker.say(READY)
    taker.hear_until(SOCKET)


def have_state(taker):
    die_greeted(taker)
    taker.say(READY)
    return taker.hear_until(STATE_END)


def die_before_commit(taker):
    assert RECORDS in [kind for kind, _ in have_state(taker)]


def say_garbage(taker):
    taker.sock.send(os.urandom(40))
    assert taker.is_hung_up()


def say_too_much(taker):
    taker.say(HELLO, b"x" * 60_000)
    assert taker.is_hung_up()


def say_nothing(taker):
    taker.sock.send(b"TGTO")
    assert taker.is_hung_up()


def commit_out_of_place(taker):
    die_greeted(taker)
    taker.say(COMMIT)
    assert taker.is_hung_up()


def commit_with_a_stranger_kind(taker):
    die_before_commit(taker)
    taker.say(77)
    assert taker.is_hung_up() or taker.hear_until(GO) is None


def greet_without_a_channel(taker):
    taker.say(HELLO)
    assert taker.is_hung_up()


def send_what_has_no_place_there(taker):
    die_greeted(taker)
    taker.say(READY, fds=[0])
    assert taker.is_hung_up()


def send_many_channels(taker):
    taker.say(HELLO, fds=[0, 1, 2])
    taker.hear()  # the first is taken for the channel, and nobody is asked yet


def be_of_another_release(taker):
    taker.say(HELLO, version=4)
    kind, why = taker.hear()
    assert kind == REFUSED and b"version 3" in why
    assert taker.is_hung_up()


FAILURES = [die_at_once, die_greeted, die_amid_the_state, die_before_commit, say_garbage, say_too_much, say_nothing,
            commit_out_of_place, commit_with_a_stranger_kind, greet_without_a_channel, send_what_has_no_place_there,
            send_many_channels, be_of_another_release]


def test_whoever_fails_to_take_over_leaves_no_trace(line, upstream):
    up = upstream("a")
    go = streaming(up)
    gw = line.first(small(up, policy(limit(1000))), drain=("0", "60"))
    raw = gw.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert raw.head()[0] == 200 and raw.chunk() == b"one"
    up.script = up.echo
    gw.request("/")
    for n, fail in enumerate(FAILURES, 1):
        with line.taker() as taker:
            fail(taker)
        eventually(lambda: gw.stderr().count("wanted to take over, but") == n, what=f"the end of {fail.__name__}")
        reply = gw.request("/")
        assert reply.status == 200 and told(reply)[1] == 1000 - 2 - n, fail.__name__
    go.set()
    assert raw.chunk() == b"two" and raw.chunk() == b""
    raw.sock.close()
    new = line.next()
    assert told(new.request("/"))[1] == 1000 - 2 - len(FAILURES) - 1
    assert gw.wait() == 0


def test_a_new_process_that_cannot_start_leaves_the_old_one_as_it_was(line, upstream):
    gw = line.first(small(upstream("a")))
    gw.write("more.yaml", world(backend("b", 1), route("s", rule({"name": "nowhere", "port": 80}))))
    with pytest.raises(StartFailed) as failed:
        line.next(["--strict"])
    assert failed.value.code == 1 and "nowhere" in failed.value.text
    assert gw.request("/").status == 200


PHASES = [("new", HELLO), ("old", WELCOME), ("new", READY), ("old", SOCKET), ("old", RECORDS), ("old", STATE_END),
          ("new", COMMIT)]


def test_a_successor_that_is_killed_before_its_commit_is_heard_leaves_the_old_one_serving(line, upstream):
    up = upstream("a")
    go = streaming(up)
    gw = line.first(small(up, policy(limit(1_000_000))), drain=("0", "60"))
    raw = gw.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert raw.head()[0] == 200 and raw.chunk() == b"one"
    up.script = up.echo
    crowd = Crowd(gw, 3)
    for n, phase in enumerate(PHASES, 1):
        tap = Tap(line.door, lambda side, kind, _n, phase=phase: (side, kind) == phase)
        with pytest.raises(StartFailed) as failed:
            line.next(tap=tap)
        assert failed.value.code == -signal.SIGKILL, f"{phase}: {failed.value.text}"
        tap.wait()
        eventually(lambda: gw.stderr().count("wanted to take over, but") == n, what=f"the end of the one killed at {phase}")
        served = crowd.n_served
        eventually(lambda: crowd.n_served > served + 10, what="clients of the old one")
    new = line.next()
    crowd.stop()
    assert not crowd.faults, crowd.faults[:5]
    go.set()
    assert raw.chunk() == b"two" and raw.chunk() == b""
    raw.sock.close()
    assert gw.wait() == 0 and new.request("/").status == 200


def test_a_successor_that_is_killed_after_its_commit_is_started_again(line, upstream):
    up = upstream("a")
    go = streaming(up)
    old = line.first(small(up), drain=("0", "60"))
    raw = old.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert raw.head()[0] == 200 and raw.chunk() == b"one"
    up.script = up.echo
    tap = Tap(line.door, lambda side, kind, _n: (side, kind) == ("old", GO))
    with pytest.raises(StartFailed):
        line.next(tap=tap)
    tap.wait()
    said(old, "which took over, has ended: it is told no more")
    assert line.next(is_anew=True).request("/").status == 200
    go.set()
    assert raw.chunk() == b"two" and raw.chunk() == b""
    raw.sock.close()
    assert old.wait() == 0


def test_no_reload_comes_between(line, upstream):
    up = upstream("a")
    gw = line.first(small(up))
    with line.taker() as taker:
        have_state(taker)
        gw.write("world.yaml", world(backend("a", up), route("r", rule("a")),
                                     listeners=[http_listener(), http_listener("second", 81)]))
        gw.signal(signal.SIGHUP)
        # A reload of so little takes milliseconds: it would show within these.
        for _ in range(20):
            assert gw.status()["generation"] == 1
    eventually(lambda: gw.status()["generation"] > 1, what="the reload, after the failure")


def test_one_at_a_time(line, upstream):
    gw = line.first(small(upstream("a")))
    with line.taker() as first:
        die_greeted(first)
        with line.taker() as second:
            kind, why = second.hear()
            assert kind == REFUSED and b"another process" in why
        with pytest.raises(StartFailed) as failed:
            line.next()
        assert "another process is about to take over" in failed.value.text
    said(gw, "wanted to take over, but")
    line.next()


def test_who_takes_over_and_dies_does_not_bring_the_old_one_down(line, upstream):
    up = upstream("a")
    go = streaming(up)
    old = line.first(small(up), drain=("0", "60"))
    with old.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") as raw:
        assert raw.head()[0] == 200 and raw.chunk() == b"one"
        new = line.next()
        new.signal(signal.SIGKILL)
        new.wait()
        said(old, "which took over, has ended: it is told no more")
        go.set()
        assert raw.chunk() == b"two" and raw.chunk() == b""
    assert old.wait() == 0
    new.stop(-signal.SIGKILL)
    line.all.remove(new)
    # What is left of the socket is in nobody's way.
    up.script = up.echo
    again = line.next(is_anew=True)
    said(again, "nobody to take over from")
    assert again.request("/").status == 200


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")
def test_another_user_is_not_listened_to(line, upstream):
    gw = line.first(small(upstream("a")))
    assert os.stat(line.door).st_mode & 0o777 == 0o600
    os.chmod(line.door, 0o666)
    for folder in (line.door.parent, *line.door.parent.parents):
        if not os.stat(folder).st_mode & 0o001:
            os.chmod(folder, os.stat(folder).st_mode | 0o011)
    stranger = ("import os, socket; os.setgid(65534); os.setuid(65534)\n"
                f"s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect({str(line.door)!r})\n"
                "s.settimeout(20); print(s.recv(100))")
    run = subprocess.run([sys.executable, "-c", stranger], capture_output=True, text=True, check=False, timeout=60)
    assert run.stdout == "b''\n" or "ConnectionResetError" in run.stderr, run
    assert "as another user: refused" in gw.stderr()
    line.next()


def test_what_stands_at_the_path_and_is_no_socket_stays(line, upstream):
    line.door.write_text("mine")
    with pytest.raises(StartFailed) as failed:
        line.first(small(upstream("a")))
    line.all.clear()
    assert "is no socket" in failed.value.text and line.door.read_text() == "mine"


# ---- below a parent ----

SUPERVISED = ["--supervisor"]
IN_TURN = [(SUPERVISED, SUPERVISED), (SUPERVISED, ["--no-supervisor"]), (["--no-supervisor"], SUPERVISED)]


def has_ended(old):
    """The old one and its child, with exit code 0, and nobody has started it again."""
    assert old.wait() == 0
    assert "is started again" not in old.stderr()


@pytest.mark.parametrize("before, after", IN_TURN, ids=["both", "old", "new"])
def test_no_client_is_refused_below_a_parent(line, upstream, before, after):
    gw = line.first(small(upstream("a")), args=[*before, "--workers", "2"])
    crowd = Crowd(gw)
    for n in range(4):
        served, old = crowd.n_served, line.all[-1]
        line.next([*(before if n % 2 else after), "--workers", str(1 + n % 3)])
        has_ended(old)
        eventually(lambda: crowd.n_served > served + 30, what="clients served by the next one")
    crowd.stop()
    assert not crowd.faults, crowd.faults[:5]


def test_live_streams_end_below_the_old_parent(line, upstream):
    up = upstream("a")
    go = streaming(up)
    old = line.first(small(up), args=SUPERVISED, drain=("0", "60"))
    streams = [old.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(20)]
    assert all(raw.head()[0] == 200 and raw.chunk() == b"one" for raw in streams)
    new = line.next(SUPERVISED)
    up.script = up.echo
    assert new.request("/").status == 200 and old.process.poll() is None
    go.set()
    for raw in streams:
        assert raw.chunk() == b"two" and raw.chunk() == b"" and raw.rest() == b""
    has_ended(old)


def test_what_a_parent_was_handed_outlives_its_child(line, upstream):
    line.first(small(upstream("a")), args=SUPERVISED)
    new = line.next(SUPERVISED)
    assert line.all[0].wait() == 0
    pid = child(new)
    new.signal(signal.SIGSTOP)  # the parent notices the death only when it goes on
    os.waitid(os.P_PID, new.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    os.kill(pid, signal.SIGKILL)
    waiting = [new.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(12)]  # some at each socket
    new.signal(signal.SIGCONT)
    assert [raw.reply().status for raw in waiting] == [200] * 12
    said(new, "nobody to take over from")
    line.next(SUPERVISED)
    assert new.wait() == 0


def test_a_child_that_was_taken_over_is_not_started_again(line, upstream):
    up = upstream("a")
    go = streaming(up)
    old = line.first(small(up), args=SUPERVISED, drain=("0", "60"))
    with old.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") as raw:
        assert raw.head()[0] == 200
        new = line.next(SUPERVISED)
        os.kill(child(old), signal.SIGKILL)
        assert old.wait() == 1
    go.set()
    said(new, "which was taken over, has ended")
    assert "is started again" not in old.stderr() and "another process is about to" not in new.stderr()
    up.script = up.echo
    assert new.request("/").status == 200
    old.stop(1)


@pytest.mark.parametrize("args", [[], SUPERVISED], ids=["alone", "supervised"])
def test_who_cannot_open_a_port_closes_none_of_the_old_ones(line, upstream, args):
    up = upstream("a")
    gw = line.first(small(up), args=args, ports=[81])
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", gw.port(81)))
        taken.listen()
        wanted = world(backend("a", up), route("r", rule("a")), listeners=[http_listener(), http_listener("two", 81)])
        other = line.folder / "more"
        other.mkdir()
        (other / "world.yaml").write_text(as_text(wanted))
        was, gw.paths = gw.paths, [other]
        with pytest.raises(StartFailed) as failed:
            line.next(args)
        gw.paths = was
        assert "in use" in failed.value.text
    for _ in range(10):
        assert gw.request("/").status == 200 and gw.get_admin("/ready").status == 200


@pytest.mark.parametrize("moment", ["WELCOME", "STATE_END"])
def test_below_a_parent_too_whoever_fails_leaves_no_trace(line, upstream, moment):
    gw = line.first(small(upstream("a")), args=SUPERVISED)
    with line.taker() as taker:
        (die_greeted if moment == "WELCOME" else die_before_commit)(taker)
    said(gw, "wanted to take over, but")
    assert gw.request("/").status == 200
    line.next(SUPERVISED)
    has_ended(gw)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give that up")
def test_low_ports_go_from_parent_to_parent(upstream):
    """As another user, in the sandbox, without the right to bind."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tollgate-test-"))
    folder.chmod(0o755)
    shutil.chown(folder, "nobody")
    line, user = Line(folder), ["--user", "nobody"]
    try:
        old = line.first(small(upstream("a")), args=user, port_map={80: free_low_port()})
        pid = child(line.next(user))
        new = line.all[-1]
        has_ended(old)
        assert new.port() < 1024 and new.request("/").status == 200
        has_given_up(pid, "nobody", 0)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: child(new) not in (None, pid), what="the next child")
        assert new.request("/").status == 200
    finally:
        for gw in line.all:
            gw.stop()
        shutil.rmtree(folder)
