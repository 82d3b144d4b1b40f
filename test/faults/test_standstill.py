"""The process stands still for half a minute, as on a machine that is suspended, and goes on: nothing that was there
meanwhile counts as late, no endpoint is blamed, and no storm of failures follows. (test/e2e/test_stopped.py: time limits that
passed meanwhile.)"""
import os
import signal
import threading
import time

from play.client import Raw
from play.deadline import FACTOR, eventually
from play.halves import Halves
from play.health import Sick, health_of, http_check, outlier, policy, wait_health
from play.manifests import backend, path, route, rule, world
from play.threads import Threads

PATIENCE_S = 90  # of clients
GET = b"GET /kept HTTP/1.1\r\nHost: a.test\r\n\r\n"


def test_who_was_there_before_is_served_afterwards(gateway, upstream, scale):
    up, is_over, n_answers = upstream("a"), threading.Event(), [0]
    Sick(up)
    streams = Halves(up, "/kept/stream")
    gw = gateway(world(backend("a", up), route("r", rule("a", matches=[path("/kept")])),
                       policy(healthCheck={"active": http_check(), **outlier(consecutive5XxErrors=1, maxEjectionPercent=100)})),
                 args=["--workers", "4"])
    wait_health(gw, up, "healthy")
    streams.begin(gw, 20)

    def come():
        with Raw(gw.port(), seconds=PATIENCE_S) as raw:
            while not is_over.is_set():
                raw.send(GET)
                assert raw.reply().status == 200
                n_answers[0] += 1
    load = Threads().go(come, n=8)
    for _ in range(2):
        n = n_answers[0]
        eventually(lambda n=n: n_answers[0] > n + 100, 20, "clients to be served")
        gw.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, gw.process.pid, os.WSTOPPED | os.WNOWAIT)
        late = gw.raw(GET, seconds=PATIENCE_S)  # who comes meanwhile
        time.sleep(scale(1.5, 30) * FACTOR)  # it is what is played
        gw.signal(signal.SIGCONT)
        assert late.reply().status == 200
        late.sock.close()
    n = n_answers[0]
    eventually(lambda: n_answers[0] > n + 100, 20, "clients to be served")
    is_over.set()
    load.join()
    streams.finish()
    assert health_of(gw, up) == "healthy" and gw.metric("tollgate_ejections_total") == 0
    assert gw.metric("tollgate_refusals_total") == 0 and gw.metric("tollgate_upstream_failures_total") == 0
    assert gw.metric("tollgate_health_checks_total", result="timeout") <= 2, "of those that it was stopped in"
