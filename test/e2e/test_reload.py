"""The configuration changes under traffic: no request fails, and a bad file changes nothing."""
import json
import threading

from play.client import Raw
from play.deadline import eventually
from play.manifests import backend, path, route, rule, world

GET = b"GET /kept HTTP/1.1\r\nHost: a.test\r\n\r\n"


class Load:
    """Clients that ask without a pause until `stop`, and remember what went wrong."""

    def __init__(self, port, n=4):
        self.n_answers, self.faults, self._end = 0, [], threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(port, i % 2 == 0)) for i in range(n)]
        for thread in self._threads:
            thread.start()

    def _ask(self, port, keeps):
        raw = None
        while not self._end.is_set():
            try:
                raw = raw or Raw(port)
                raw.send(GET)
                reply = raw.reply()
                if reply.status != 200:
                    self.faults.append(f"{reply.status} {reply.body[:200]}")
                self.n_answers += 1
                if not keeps or reply.get("connection") == "close":
                    raw.sock.close()
                    raw = None
            except (OSError, AssertionError) as fault:
                self.faults.append(repr(fault))
                return

    def stop(self):
        self._end.set()
        for thread in self._threads:
            thread.join()
        assert not self.faults, self.faults[:5]
        assert self.n_answers > 0


def generation(up, n):
    return world(backend("a", up), route("r", rule("a", matches=[path("/kept")])),
                 route("n", rule("a", matches=[path(f"/new-{n}")])))


def test_reloads_under_load_fail_no_request(gateway, upstream):
    up = upstream("a")
    gw = gateway(generation(up, 0))
    load = Load(gw.port())
    for n in range(1, 11):
        if n % 2:
            gw.apply(generation(up, n))
        else:
            gw.write("world.yaml", generation(up, n))
            gw.reload()
        eventually(lambda n=n: gw.request(f"/new-{n}").status == 200, 5, "the new route")
        assert gw.request(f"/new-{n - 1}").status == 404
    load.stop()


def test_a_bad_file_keeps_the_old_configuration(gateway, upstream):
    up = upstream("a")
    gw = gateway(generation(up, 1))
    load = Load(gw.port(), 2)
    assert gw.metric("tollgate_last_reload_successful") == 1
    gw.apply("kind: [broken", name="bad.yaml", result="failed")
    assert gw.metric("tollgate_last_reload_successful") == 0
    assert gw.request("/new-1").status == 200
    gw.apply(generation(up, 2), result="failed")
    assert gw.request("/new-1").status == 200 and gw.request("/new-2").status == 404
    assert "bad.yaml:1" in gw.stderr()
    gw.apply(route("fine", rule("a", matches=[path("/fine")])), name="bad.yaml")
    assert gw.request("/fine").status == 200 and gw.request("/new-2").status == 200
    assert gw.metric("tollgate_last_reload_successful") == 1
    load.stop()


def test_an_object_with_an_error_keeps_the_old_configuration(gateway, upstream):
    up = upstream("a")
    gw = gateway(generation(up, 1))
    wrong = generation(up, 2)
    wrong[-1]["spec"]["ruels"] = []
    gw.apply(wrong, result="failed")
    assert "rules" in gw.stderr() and gw.request("/new-1").status == 200


def test_a_symlink_swap_as_kubernetes_does_it(gateway, upstream, tmp_path):
    from play.gateway import as_text
    up = upstream("a")
    mount = tmp_path / "mount"
    mount.mkdir()
    for n in (1, 2):
        (mount / f"..v{n}").mkdir()
        (mount / f"..v{n}" / "world.yaml").write_text(as_text(generation(up, n)))
    (mount / "..data").symlink_to("..v1")
    (mount / "world.yaml").symlink_to("..data/world.yaml")
    gw = gateway(paths=[mount], ports=[80])
    assert gw.request("/new-1").status == 200
    (mount / "..next").symlink_to("..v2")
    (mount / "..next").rename(mount / "..data")
    eventually(lambda: gw.request("/new-2").status == 200, 15, "the swapped files")


def test_streams_outlive_reloads(gateway, upstream):
    up = upstream("a")
    go = threading.Event()

    def stream(_request, connection):
        connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        go.wait(60)
        connection.send(b"3\r\ntwo\r\n0\r\n\r\n")

    gw = gateway(generation(up, 0))
    up.script = stream
    streams = [gw.raw(GET) for _ in range(500)]
    for raw in streams:
        assert raw.head()[0] == 200 and raw.chunk() == b"one"
    before = gw.metric("process_resident_memory_bytes")
    up.script = up.echo
    for n in range(1, 21):
        gw.write("world.yaml", generation(up, n))
        gw.reload()
    assert gw.metric("process_resident_memory_bytes") - before < 64 << 20
    go.set()
    for raw in streams:
        assert raw.chunk() == b"two" and raw.chunk() == b""
        raw.sock.close()


def test_a_listener_comes_and_goes(gateway, upstream):
    from play.manifests import http_listener
    up = upstream("a")
    parts = (backend("a", up), route("r", rule("a")))
    gw = gateway(world(*parts), ports=[80, 81])
    gw.apply(world(*parts, listeners=[http_listener(), http_listener("second", 81)]))
    assert gw.request("/", port=81).status == 200
    gw.apply(world(*parts))
    eventually(lambda: _is_refused(gw, 81), 10, "the second port to close")
    assert gw.request("/").status == 200


def _is_refused(gw, port):
    try:
        gw.request("/", port=port)
    except OSError:
        return True
    return False


def test_an_unchanged_reload_keeps_the_upstream_connections(gateway, upstream):
    up = upstream("a")
    gw = gateway(generation(up, 1), args=["--workers", "1"])
    gw.request("/kept")
    gw.reload()
    gw.request("/kept")
    assert up.n_connections == 1


def test_status_says_why_a_reload_was_refused(gateway, upstream):
    up = upstream("a")
    gw = gateway(generation(up, 1))
    wrong = generation(up, 2)
    wrong[-1]["spec"]["ruels"] = []
    gw.apply(wrong, result="failed")
    status = gw.status()
    assert "world.yaml:" in status["last_reload"] and "ruels" in status["last_reload"]
    assert status["last_reload"].startswith("kept generation 1") and status["generation"] == 1
    assert status["reloads"]["failed"] == 1 and status["reloads"]["ok"] == 0


def test_a_strict_reload_forgives_nothing(gateway, upstream):
    up = upstream("a")
    gw = gateway(generation(up, 1), args=["--strict"])
    dangling = [*generation(up, 2), route("lost", rule("nowhere", matches=[path("/lost")]))]
    gw.apply(dangling, result="failed")
    assert gw.request("/new-1").status == 200 and gw.request("/new-2").status == 404
    assert "nowhere" in gw.status()["last_reload"]


def test_what_is_incomplete_reloads_and_names_what_is_missing(gateway, upstream):
    up = upstream("a")
    gw = gateway(generation(up, 1))
    gw.apply([*generation(up, 2), route("lost", rule("nowhere", matches=[path("/lost")]))])
    assert gw.request("/new-2").status == 200 and gw.request("/lost").status == 500
    missing = gw.status()["missing"]
    assert any("nowhere" in lack["text"] and lack["object"] == "HTTPRoute/play/lost" for lack in missing)


def test_five_thousand_routes_swap_under_load(gateway, upstream):
    up = upstream("a")
    many = [json.dumps(route(f"m{i}", rule("a", matches=[path(f"/m{i}")]))) + "\n" for i in range(5000)]
    gw = gateway([generation(up, 0), *many])
    load = Load(gw.port())
    for n in (1, 2):
        gw.apply([generation(up, n), *many])
        with gw.raw(b"GET /new-%d HTTP/1.1\r\nHost: a.test\r\n\r\n" % n) as raw:
            assert raw.reply().status == 200, "all workers serve the snapshot once the reload is counted"
    assert gw.request("/m4999").status == 200 and gw.request("/new-1").status == 404
    load.stop()
