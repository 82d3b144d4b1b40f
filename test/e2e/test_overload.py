"""What gives way when memory or descriptors run short, and in which order: idle connections, then new requests and whoever
holds the most, then new connections. What runs goes on, and everything comes back by itself."""
import json
import threading
import time

import pytest

from play import frames as f
from play.client import Raw
from play.deadline import FACTOR, eventually
from play.frames import Frames
from play.manifests import ai_backend, ai_route, ai_rule, backend, client_policy, model, path, route, rule, world
from play.memory import anonymous_kib, is_sanitized
from play.upstream import Answer
from test_ai_edges import request_head
from test_ai_routes import chat, completion
from test_attacks_h2_floods import cpu_s

GET = b"GET /fresh HTTP/1.1\r\nHost: a\r\n\r\n"


def shed(gw, what):
    return gw.metric("tollgate_shed_total", what=what)


def level(gw):
    return gw.metric("tollgate_overload_level")


@pytest.fixture
def hoard(gateway, upstream):
    """hoard(limit, ...): a gateway with that limit of memory, its backend, and clients who ask for much and take none of it."""
    clients = []

    def start(limit, *objects, **more):
        up = upstream("a")
        up.script = lambda request, connection: (
            Answer(body=b"x" * 200_000) if request.target == "/much" else up.echo(request, connection))
        gw = gateway(world(backend("a", up), route("r", rule("a")), client_policy("clients", **more), *objects),
                     args=["--workers", "1", "--memory-limit", limit])
        if is_sanitized(gw):
            pytest.skip("a sanitizer's memory is not the gateway's")

        def come(n_streams=100):
            client = Frames(gw.port(), first=f.PREFACE + f.settings((f.INITIAL_WINDOW_SIZE, 0)))
            clients.append(client)
            client.send(b"".join(f.request(s, "/much") for s in range(1, 2 * n_streams, 2)))
        return gw, up, come

    yield start
    for client in clients:
        client.sock.close()


def test_who_holds_the_most_goes_when_memory_runs_short(hoard):
    """Streams whose window never opens keep what was answered: 9 MiB for 7 KB of requests. Without a limit that goes on."""
    gw, up, come = hoard("64Mi")
    assert gw.metric("tollgate_memory_limit_bytes") == 64 << 20
    idle = Raw(gw.port(), GET)
    assert idle.reply().status == 200
    n = 0
    while shed(gw, "largest_connection") == 0:
        assert n < 40, "it is not noticed"
        come()
        n += 1
        eventually(lambda: len(up.requests) >= 100 * n or shed(gw, "largest_connection"), 20, "requests, or an end of them")
        assert anonymous_kib(gw) < 80 << 10
    assert idle.is_closed(), "idle connections are the first"
    assert shed(gw, "idle_connection") >= 1
    eventually(lambda: level(gw) <= 1, 20, "memory to be there again")
    assert gw.request("/fresh").status == 200
    assert gw.process.poll() is None
    assert "memory: " in gw.stderr()


def test_a_body_that_is_kept_for_further_tries_is_held_against_nobody(hoard, upstream):
    """Its backend has it all, and thinks. It is more than what those hold who take nothing, and they go."""
    thinks, may_answer = upstream("m"), threading.Event()

    def think(request, connection):
        may_answer.wait(60 * FACTOR)
        return completion(request, connection)
    thinks.script = think
    gw, up, come = hoard("64Mi", backend("m", thinks), ai_backend("m"), ai_route("ai", ai_rule("m", matches=[model("m")])),
                         connection={"bufferLimit": "16Mi"})
    body = json.dumps(chat(padding="x" * 12_000_000)).encode()
    asks = Raw(gw.port(), request_head(body) + body)
    thinks.wait_for(1)
    n, n_streams = 0, 60  # of these a connection holds less than the body is long
    while shed(gw, "largest_connection") == 0:
        assert n < 40, "it is not noticed"
        come(n_streams)
        n += 1
        eventually(lambda: len(up.requests) >= n_streams * n or shed(gw, "largest_connection"), 20, "requests, or an end of them")  # noqa: B023
    may_answer.set()
    assert asks.reply().status == 200


def test_where_requests_are_refused_the_health_path_still_answers(hoard):
    """All replicas run short together: those who ask for health are not to take them out one after the other."""
    gw, up, come = hoard("64Mi", healthCheck={"path": "/healthz"})
    n, n_streams = 0, 6  # of these a connection holds less than what has it reset
    while level(gw) < 2:
        assert n < 120, "it is not noticed"
        come(n_streams)
        n += 1
        eventually(lambda: len(up.requests) >= n_streams * n or level(gw) == 2)  # noqa: B023
    assert gw.request("/fresh").status == 503
    assert gw.request("/healthz").status == 200
    assert gw.get_admin("/ready").status == 200
    assert level(gw) == 2


@pytest.mark.parametrize("n_files", [256])
def test_without_descriptors_idle_connections_make_room(gateway, upstream, n_files):
    """The oldest of them; nobody who comes is turned away, and nothing spins."""
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a"))), args=["--workers", "2"],
                 prefix=["prlimit", f"--nofile={n_files}:{n_files}", "--"])
    held = []
    for _ in range(2 * n_files):
        raw = Raw(gw.port(), GET)
        held.append(raw)
        assert raw.reply().status == 200
    assert shed(gw, "idle_connection") > 0
    assert gw.metric("tollgate_connections_active") <= (n_files - 64) / 2
    assert held[0].is_closed() and gw.request("/fresh").status == 200
    for raw in held:
        raw.sock.close()


def test_without_descriptors_and_idle_connections_others_wait(gateway, upstream):
    """All that are there have a request under way: who comes waits until one ends, at less than a tenth of a processor."""
    up = upstream("a")
    may_answer = threading.Event()

    def script(request, connection):
        assert request.target != "/slow" or may_answer.wait(60 * FACTOR)
        return up.echo(request, connection)
    up.script = script
    gw = gateway(world(backend("a", up), route("r", rule("a"))), args=["--workers", "1"],
                 prefix=["prlimit", "--nofile=256:256", "--"])
    n_max = (256 - 64) // 2
    running = [Raw(gw.port(), GET.replace(b"/fresh", b"/slow")) for _ in range(n_max)]
    eventually(lambda: gw.metric("tollgate_exchanges_active") == n_max)
    late = Raw(gw.port(), GET)
    before_s, started = cpu_s(gw), time.monotonic()
    eventually(lambda: time.monotonic() - started > 1)
    assert late.buffer == b"" and gw.metric("tollgate_connections_active") == n_max
    assert cpu_s(gw) - before_s < 0.1 * (time.monotonic() - started) + 0.05
    may_answer.set()
    assert late.reply().status == 200
    assert all(raw.reply().status == 200 for raw in running)
    for raw in [late, *running]:
        raw.sock.close()
