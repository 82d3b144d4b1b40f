"""Starting, refusing to start, draining and ending."""
import contextlib
import os
import signal
import socket
import threading

import pytest

from play import client
from play.deadline import eventually
from play.gateway import StartFailed, tollgate
from play.manifests import (backend, client_policy, http_listener, https_listener, path, route, rule,
                            world)
from play.ports import free_port


def small(up, *more):
    return world(backend("a", up), route("r", rule("a")), *more)


def test_a_port_in_use_ends_the_start(gateway, upstream):
    up, taken = upstream("a"), free_port()
    with socket.create_server(("0.0.0.0", taken)):
        with pytest.raises(StartFailed) as failed:
            gateway(small(up), port_map={80: taken})
    assert failed.value.code == 1 and str(taken) in failed.value.text


@pytest.mark.parametrize("text,said", [
    ("a: [b", "broken.yaml:1"), ("kind: \x00", "broken.yaml"), ("a: &x [*x]", "broken.yaml:1")])
def test_broken_yaml_ends_the_start(gateway, upstream, tmp_path, text, said):
    (tmp_path / "broken.yaml").write_text(text)
    with pytest.raises(StartFailed) as failed:
        gateway(small(upstream("a")), paths=[tmp_path / "broken.yaml"])
    assert failed.value.code == 1 and said in failed.value.text


def test_an_unreadable_path_ends_the_start(gateway, upstream, tmp_path):
    with pytest.raises(StartFailed) as failed:
        gateway(small(upstream("a")), paths=[tmp_path / "missing"])
    assert failed.value.code == 1 and "missing" in failed.value.text


def test_an_empty_folder_serves_nothing_and_says_so(gateway):
    gw = gateway(until="/healthz")
    assert gw.get_admin("/ready").status == 503
    assert gw.status()["objects"] == []


def test_strict_makes_dangling_references_fatal(gateway, upstream):
    manifests = world(route("r", rule({"name": "nowhere", "port": 80})))
    assert gateway(manifests).get_admin("/ready").status == 200
    with pytest.raises(StartFailed) as failed:
        gateway(manifests, args=["--strict"])
    assert failed.value.code == 1 and "nowhere" in failed.value.text


def test_a_bad_object_is_isolated_at_start(gateway, upstream):
    from play.manifests import path
    up = upstream("a")
    bad = route("bad", rule("a", matches=[path("/bad")]))
    bad["spec"]["rules"][0]["matches"][0]["path"]["type"] = "Wildcard"
    gw = gateway(small(up, bad))
    assert gw.request("/").status == 200
    broken = [made for made in gw.status()["objects"] if made["broken"]]
    assert [made["name"] for made in broken] == ["bad"]


def test_usage_errors():
    for args in (["run"], ["run", "--wrong"], ["walk"], ["run", "-f", ".", "--port-map", "x"],
                 ["docs", "nothing"], ["check"]):
        run = tollgate(*args)
        assert run.returncode == 2, args
        assert run.stderr or run.stdout
    assert "port-map" in tollgate("run", "-f", ".", "--port-mpa", "80=81").stderr
    assert tollgate("version").stdout.startswith("tollgate ")


def test_sigterm_drains_a_running_stream(gateway, upstream):
    up = upstream("a")
    go = threading.Event()

    def stream(_request, connection):
        connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        go.wait(60)
        connection.send(b"3\r\ntwo\r\n0\r\n\r\n")

    up.script = stream
    gw = gateway(small(up), drain=("0", "60"))
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") as raw, gw.raw() as idle:
        assert raw.head()[0] == 200 and raw.chunk() == b"one"
        gw.signal(signal.SIGTERM)
        assert idle.is_closed()
        eventually(lambda: _refuses(gw), what="no new connections")
        assert gw.get_admin("/ready").status == 503
        go.set()
        assert raw.chunk() == b"two" and raw.chunk() == b"" and raw.rest() == b""
    assert gw.wait() == 0


def _refuses(gw):
    try:
        gw.raw().sock.close()
    except OSError:
        return True
    return False


def test_the_drain_delay_is_not_ready_but_serves(gateway, upstream):
    gw = gateway(small(upstream("a")), drain=("3", "5"))
    gw.signal(signal.SIGTERM)
    eventually(lambda: gw.get_admin("/ready").status == 503)
    assert gw.request("/").status == 200
    assert gw.wait(20) == 0


def test_no_reload_opens_ports_on_the_way_out(gateway, upstream):
    up = upstream("a")
    go = threading.Event()
    up.script = lambda _r, _c: go.wait(60) and None
    gw = gateway(small(up), ports=[80, 81], drain=("0", "60"))
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"):
        up.wait_for(1)
        gw.signal(signal.SIGTERM)
        eventually(lambda: _refuses(gw), what="no new connections")
        gw.write("world.yaml", world(backend("a", up), route("r", rule("a")),
                                     listeners=[http_listener(), http_listener("second", 81)]))
        gw.signal(signal.SIGHUP)
        # A reload of so little takes milliseconds: it would show within these.
        for _ in range(20):
            assert gw.get_admin("/status").status == 200
        assert gw.n_reloads("ok") == 0 and gw.status()["generation"] == 1
        gw.signal(signal.SIGTERM)
        assert gw.wait(10) == 0
    go.set()


def test_start_says_what_is_served_where_and_what_is_not(gateway, upstream):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")),
                       listeners=[http_listener(), https_listener(secrets=["absent"])]))
    said = gw.stderr()
    assert f"listener play/front/http (HTTP, port 80) is served on *:{gw.port()}" in said
    assert "listener https of Gateway/play/front is not served: InvalidCertificateRef: " in said
    assert "(tollgate check says where)" in said
    assert "configuration: 0 errors" in said


@contextlib.contextmanager
def draining(gateway, upstream, seconds):
    """A gateway that was told to end while a request is with its backend, and that request's connection."""
    up = upstream("a")
    release = threading.Event()
    up.script = lambda _r, _c: release.wait(60) and None
    gw = gateway(small(up), drain=("0", seconds))
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") as raw:
        up.wait_for(1)
        gw.signal(signal.SIGTERM)
        yield gw, raw
    release.set()


def test_a_long_drain_says_how_far_it_is(gateway, upstream):
    with draining(gateway, upstream, "600") as (gw, _):
        eventually(lambda: "still draining: 1 connection is open, 59" in gw.stderr(), 20)
        gw.signal(signal.SIGTERM)
        assert gw.wait() == 0


def test_a_drain_ends_by_its_timeout(gateway, upstream):
    with draining(gateway, upstream, "1") as (gw, raw):
        reply = raw.reply()
        assert (reply.status, reply.code, reply.get("connection")) == (503, "draining", "close")
        assert gw.wait() == 0


def test_a_second_signal_ends_at_once(gateway, upstream):
    with draining(gateway, upstream, "600") as (gw, _):
        eventually(lambda: gw.get_admin("/ready").status == 503)
        gw.signal(signal.SIGTERM)
        assert gw.wait(5) == 0


def test_the_probe_port_shows_three_endpoints_only(gateway, upstream):
    probe = free_port()
    gateway(small(upstream("a")), args=["--probe", f"127.0.0.1:{probe}"])
    for target, status in [("/ready", 200), ("/healthz", 200), ("/metrics", 200), ("/status", 404),
                           ("/config", 404), ("/", 404)]:
        assert client.request(probe, target, host=f"127.0.0.1:{probe}").status == status, target


def test_requests_on_ipv6(gateway, upstream):
    gw = gateway(small(upstream("a")))
    assert client.request(gw.port(), "/", host="[::1]", address="::1").status == 200


def test_a_connection_limit(gateway, upstream):
    gw = gateway(small(upstream("a"), client_policy("few", connection={"connectionLimit": {"value": 2}})),
                 args=["--workers", "1"])
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") as one, gw.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") as two:
        assert one.reply().status == 200 and two.reply().status == 200
        with gw.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") as three:
            assert b" 200 " not in three.rest()
    eventually(lambda: not _refuses(gw) and _answers(gw))


def _answers(gw):
    try:
        return gw.request("/").status == 200
    except OSError:
        return False


def test_usr1_reopens_the_access_log(gateway, upstream, tmp_path):
    from play.manifests import ENVOY_API, thing
    log = tmp_path / "access.log"
    proxy = thing(ENVOY_API, "EnvoyProxy", "proxy", {"telemetry": {"accessLog": {"settings": [
        {"format": {"type": "Text", "text": "%REQ(:METHOD)% %RESPONSE_CODE%\n"},
         "sinks": [{"type": "File", "file": {"path": str(log)}}]}]}}})
    manifests = small(upstream("a"), proxy)
    manifests[0]["spec"]["parametersRef"] = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy",
                                             "name": "proxy", "namespace": "play"}
    gw = gateway(manifests)
    gw.request("/")
    eventually(lambda: log.exists() and log.read_text() == "GET 200\n")
    os.rename(log, tmp_path / "old.log")
    gw.signal(signal.SIGUSR1)
    eventually(log.exists, what="the reopened log")
    gw.request("/", body=b"x")
    eventually(lambda: log.read_text() == "POST 200\n")


def test_two_listener_ports_that_would_share_a_port_are_refused(gateway, upstream):
    shared = free_port()
    with pytest.raises(StartFailed) as failed:
        gateway(world(backend("a", upstream("a")), route("r", rule("a")),
                      listeners=[http_listener(), http_listener("two", 81)]),
                port_map=[(80, shared), (81, shared)])
    assert failed.value.code == 1 and "would both be served" in failed.value.text


def test_who_waits_for_a_head_learns_of_the_end_though_the_worker_is_busy(gateway, upstream):
    hang, flow, is_over = upstream("hang"), upstream("flow"), threading.Event()
    hang.script = lambda *_: is_over.wait(30) and None

    def flowing(_request, connection):
        connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while not is_over.wait(0.0005):
            connection.send(b"5\r\nabcde\r\n")
    flow.script = flowing
    gw = gateway(world(backend("hang", hang), backend("flow", flow),
                       route("r", rule("hang", matches=[path("/hang")]), rule("flow", matches=[path("/flow")]))),
                 args=["--workers", "1"], drain=("0", "1"))
    streams = [gw.raw(b"GET /flow HTTP/1.1\r\nHost: a.test\r\n\r\n") for _ in range(20)]
    for stream in streams:
        threading.Thread(target=stream.rest, daemon=True).start()
    waiting = [gw.raw(b"GET /hang HTTP/1.1\r\nHost: a.test\r\n\r\n") for _ in range(40)]
    hang.wait_for(40)
    gw.signal(signal.SIGTERM)
    gw.wait()
    assert [raw.reply().status for raw in waiting] == [503] * 40
    is_over.set()
