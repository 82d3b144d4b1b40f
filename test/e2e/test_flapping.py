"""A configuration that changes ten times a second, and a process that is killed: what stays as it was."""
import signal
import time

from play.deadline import FACTOR, eventually
from play.halves import Halves
from play.manifests import backend, path, route, rule, world
from play.takeover import Line
from test_limits import limit, policy, told
from test_reload import GET, Load

FLAPPING_S, STREAMS = 4, 50


def changing(up, n):
    """Each time another route; every tenth time a file that cannot be read."""
    made = world(backend("a", up), route("r", rule("a", matches=[path("/kept"), path("/stream")])),
                 route("n", rule("a", matches=[path(f"/new-{n}")])), policy(limit(1_000_000), at=("HTTPRoute", "r")))
    return "kind: [broken" if n % 10 == 9 else made


def test_a_configuration_that_changes_ten_times_a_second_fails_no_request_and_breaks_no_stream(gateway, upstream):
    up = upstream("a")
    streams = Halves(up)
    gw = gateway(changing(up, 0))
    streams.begin(gw, STREAMS)
    load = Load(gw.port())
    end, n = time.monotonic() + FLAPPING_S, 0
    while time.monotonic() < end:
        n += 1
        gw.write("world.yaml", changing(up, n))
        time.sleep(0.1)  # ten times a second is what the play is about
    gw.apply(changing(up, 1000))
    load.stop()
    streams.finish()
    assert gw.n_reloads("ok") >= 5 and gw.n_reloads("failed") >= 1
    reply = gw.raw(GET).reply()
    assert told(reply)[1] == 1_000_000 - STREAMS - load.n_answers - 1, "every request is counted, once"


def test_a_killed_process_serves_again_within_a_second(tmp_path, upstream):
    line = Line(tmp_path)
    gw = line.first(world(backend("a", upstream("a")), route("r", rule("a"))))
    crowd = [gw.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(100)]
    assert all(raw.reply().status == 200 for raw in crowd)
    gw.signal(signal.SIGKILL)
    gw.wait()
    begin = time.monotonic()
    again = line.next(is_anew=True)
    eventually(lambda: again.request("/").status == 200, 1)
    assert time.monotonic() - begin < FACTOR
    for raw in crowd:
        raw.sock.close()
    again.stop()
    gw.stop(-signal.SIGKILL)
