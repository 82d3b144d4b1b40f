"""What a ClientTrafficPolicy says of HTTP/2: windows, streams, malformed messages, PINGs; and the times of its streams."""
import select
import threading
import time

import pytest
from h2.settings import SettingCodes

from play.deadline import FACTOR, eventually
from play.gateway import as_text, tollgate
from play.http2 import Http2
from play.manifests import backend, client_policy, route, rule, world
from play.upstream import Answer


@pytest.fixture
def policed(gateway, upstream):
    def start(**spec):
        up = upstream("a")
        return gateway(world(backend("a", up), route("r", rule("a")), client_policy("clients", **spec))), up
    return start


def announced(client):
    client.until(lambda: client.h2.remote_settings.max_concurrent_streams < 2**31)
    return client.h2.remote_settings


def test_windows_and_streams_are_as_the_policy_says(policed):
    gw, up = policed(http2={"initialStreamWindowSize": "128Ki", "initialConnectionWindowSize": "256Ki", "maxConcurrentStreams": 3})
    with Http2(gw.port()) as client:
        settings = announced(client)
        assert (settings.initial_window_size, settings.max_concurrent_streams) == (128 << 10, 3)
        client.until(lambda: client.h2.outbound_flow_control_window == 256 << 10)
        for _ in range(3):
            client.headers(method="POST", end=False)
        client.h2.remote_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 100  # a client that does not obey
        client.h2.remote_settings.acknowledge()
        client.headers()
        client.until(lambda: client.goaways)
        assert client.goaways[0][1] == 1
    assert not up.requests
    eventually(lambda: gw.metric("tollgate_exchanges_active") == 0)


def test_without_a_policy_windows_and_streams_are_the_documented_ones(policed):
    gw, _ = policed()
    with Http2(gw.port()) as client:
        settings = announced(client)
        assert (settings.initial_window_size, settings.max_concurrent_streams) == (64 << 10, 100)
        client.until(lambda: client.h2.outbound_flow_control_window == 1 << 20)


def test_what_is_asked_beyond_bounds_or_not_enforced_is_named(policed, tmp_path):
    asked = {"initialStreamWindowSize": "1Gi", "initialConnectionWindowSize": "1Gi", "maxConcurrentStreams": 5000,
             "connectionKeepalive": {"interval": "10s", "timeout": "1s", "idleInterval": "5s", "intervalJitter": 10}}
    gw, up = policed(http2=asked)
    file = tmp_path / "world.yaml"
    file.write_text(as_text(world(backend("a", up), route("r", rule("a")), client_policy("clients", http2=asked))))
    said = tollgate("check", "-f", file).stdout
    for key in ("initialStreamWindowSize: more than 16777216", "initialConnectionWindowSize: more than 67108864",
                "maxConcurrentStreams: more than 1000", "idleInterval"):
        assert key in said, said
    assert "4 warnings" in said, said
    with Http2(gw.port()) as client:
        settings = announced(client)
        assert (settings.initial_window_size, settings.max_concurrent_streams) == (16 << 20, 1000)


@pytest.mark.parametrize("key", ["initialStreamWindowSize", "initialConnectionWindowSize"])
@pytest.mark.parametrize("value", ["64k", "2Gi"])
def test_a_window_out_of_range_is_an_error(tmp_path, key, value):
    file = tmp_path / "world.yaml"
    file.write_text(as_text(world(backend("a", 8080), route("r", rule("a")), client_policy("clients", http2={key: value}))))
    run = tollgate("check", "-f", file)
    assert run.returncode != 0 and f"{key}: must be between 65535 and 2147483647" in run.stdout, run.stdout


@pytest.mark.parametrize("action, ends", [(None, True), ("TerminateConnection", True), ("TerminateStream", False)])
def test_a_malformed_message_ends_what_the_policy_says(policed, action, ends):
    gw, up = policed(http2={"onInvalidMessage": action} if action else {})
    with Http2(gw.port()) as client:
        stream = client.headers(headers=[("connection", "close")])
        client.until(lambda: client.streams[stream]["reset"] is not None or client.goaways or client.is_closed)
        if ends:
            client.until(lambda: client.goaways)
            assert client.goaways[-1][1] == 1
        else:
            assert client.streams[stream]["reset"] == 1 and client.request().status == 200
    assert len(up.requests) == (0 if ends else 1)


# ---- times ----

def test_a_slow_head_is_408(policed):
    gw, _ = policed(timeout={"http": {"requestHeadersReceivedTimeout": "300ms"}})
    with Http2(gw.port()) as client:
        assert client.request().status == 200
        stream = client.headers(end=False, flush=False)
        client.h2.data_to_send()
        # The same head, but for END_HEADERS: a CONTINUATION is due.
        client.sock.sendall(b"\x00\x00\x05\x01\x01" + stream.to_bytes(4, "big") + b"\x82\x86\x84\x00\x01")
        began = time.monotonic()
        reply = client.reply(stream)
        assert reply.status == 408 and 0.25 < time.monotonic() - began < 5 * FACTOR
        assert gw.request().status == 200
    assert gw.wait_log(lambda r: r["response_code"] == 408)["protocol"] == "HTTP/2"


def test_a_request_must_come_in_within_its_time(policed):
    gw, _ = policed(timeout={"http": {"requestReceivedTimeout": "500ms"}})
    with Http2(gw.port()) as client:
        stream = client.headers(method="POST", end=False)
        entry = client.streams[stream]
        client.sock.settimeout(0.05)
        while not entry["end"]:  # a byte now and then does not help
            if not entry["headers"] and entry["reset"] is None:
                client.data(stream, b"x")
            try:
                client.read()
            except TimeoutError:
                pass
        assert dict(entry["headers"])[":status"] == "408"
        client.sock.settimeout(20 * FACTOR)
        assert client.request().status == 200, "only its stream ends"


def test_the_backends_time_is_not_the_clients(gateway, upstream):
    up = upstream("a")
    up.script = lambda *_: time.sleep(1) or Answer(body=b"late")
    gw = gateway(world(backend("a", up), route("r", rule("a")),
                       client_policy("clients", timeout={"http": {"requestReceivedTimeout": "300ms"}})))
    with Http2(gw.port()) as client:
        assert client.request(body=b"all of it").body == b"late"


def test_an_idle_connection_is_told_and_closed(policed):
    gw, _ = policed(timeout={"http": {"idleTimeout": "300ms"}})
    with Http2(gw.port()) as client:
        assert client.request().status == 200
        client.until(lambda: client.goaways)
        client.until(lambda: len(client.goaways) == 2)
        assert client.goaways == [(2**31 - 1, 0), (1, 0)]
        while not client.is_closed:
            client.read()


def test_a_stream_keeps_its_connection(policed):
    gw, up = policed(timeout={"http": {"idleTimeout": "200ms"}})
    go_on = threading.Event()
    up.script = lambda *_: go_on.wait(60) and Answer(body=b"late")
    with Http2(gw.port()) as client:
        stream = client.headers()
        client.sock.settimeout(0.6)
        with pytest.raises(TimeoutError):
            while True:
                client.read()
        assert client.goaways == []
        go_on.set()
        client.sock.settimeout(20 * FACTOR)
        assert client.reply(stream).body == b"late"


@pytest.mark.parametrize("is_idle", [False, True])
def test_a_peer_that_answers_no_ping_is_closed(policed, is_idle):
    gw, up = policed(http2={"connectionKeepalive": {"interval": "300ms", "timeout": "200ms"}})
    begun, ended = threading.Event(), threading.Event()

    def script(_, connection):
        begun.set()
        while connection.recv():
            pass
        ended.set()
    up.script = script
    with Http2(gw.port()) as client, Http2(gw.port()) as alive:
        if not is_idle:
            client.headers()
            assert begun.wait(20 * FACTOR)
        pings = []
        client.sock.settimeout(20 * FACTOR)
        while True:  # by hand: h2 would answer
            data = client.sock.recv(65536)
            if not data:
                break
            pings.append(data)
            alive.sock.settimeout(0.01)
            try:
                alive.read()
            except TimeoutError:
                pass
        assert any(data[3:5] == b"\x06\x00" for data in pings), "it was asked before"
        alive.sock.settimeout(20 * FACTOR)
        assert not alive.is_closed
        if not is_idle:
            assert ended.wait(20 * FACTOR)
    eventually(lambda: gw.metric("tollgate_exchanges_active") == 0)


def first_pings(port, n, seconds):
    """When each of n silent connections gets its first PING, after it was opened."""
    clients = [Http2(port) for _ in range(n)]
    began, came = time.monotonic(), {}
    try:
        while len(came) < n and time.monotonic() - began < seconds:
            for sock in select.select([c.sock for c in clients], [], [], 0.2)[0]:
                data = sock.recv(65536)
                if b"\x00\x00\x08\x06\x00" in data:
                    came.setdefault(sock, time.monotonic() - began)
                if not data or sock in came:
                    clients = [c for c in clients if c.sock is not sock]
    finally:
        for sock in [*came, *[c.sock for c in clients]]:
            sock.close()
    return sorted(came.values())


def test_pings_may_be_spread_over_time(policed):
    gw, _ = policed(http2={"connectionKeepalive": {"interval": "1s", "timeout": "900ms", "intervalJitter": 100}})
    came = first_pings(gw.port(), 16, 20 * FACTOR)
    assert len(came) == 16 and came[0] > 0.9
    assert came[-1] - came[0] > 0.3, "at random, between one second and two"


@pytest.mark.slow
def test_an_answer_that_nobody_takes_ends_after_a_minute(gateway, upstream):
    up = upstream("a")
    up.script = lambda *_: Answer(body=b"x" * 60000)
    gw = gateway(world(backend("a", up), route("r", rule("a"))))
    with Http2(gw.port(), window=0, seconds=90) as client:
        stream = client.headers()
        entry = client.streams[stream]
        began = time.monotonic()
        client.until(lambda: entry["reset"] is not None)
        assert entry["reset"] == 8 and time.monotonic() - began > 55


@pytest.mark.slow
def test_a_connection_that_takes_nothing_ends_after_a_minute(gateway, upstream):
    up = upstream("a")
    up.script = lambda *_: Answer(body=b"x" * (16 << 20))
    gw = gateway(world(backend("a", up), route("r", rule("a"))))
    with Http2(gw.port(), window=2**31 - 1) as client:
        client.h2.increment_flow_control_window(2**31 - 1 - 65535)
        client.headers()
        up.wait_for(1)
        assert gw.metric("tollgate_exchanges_active") == 1
        eventually(lambda: gw.metric("tollgate_exchanges_active") == 0, seconds=90)
        with pytest.raises(ConnectionResetError):
            while True:
                assert client.sock.recv(1 << 20), "what was not taken must not look complete"
