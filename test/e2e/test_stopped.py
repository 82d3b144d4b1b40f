"""A process that is stopped and continued, as on a suspended machine: what came meanwhile counts as come in time,
and what did not come is a failure as ever."""
import os
import signal
import threading
import time

from play.manifests import backend, client_policy, path, route, rule, world
from play.upstream import Answer

LIMIT_S, STOPPED_S, MANY = 2, 3, 300


def stopped(gw, meanwhile):
    """Stops the process for longer than every time limit of the play, and does something at the beginning."""
    gw.signal(signal.SIGSTOP)
    os.waitid(os.P_PID, gw.process.pid, os.WSTOPPED | os.WNOWAIT)
    try:
        meanwhile()
        time.sleep(STOPPED_S)  # the play is about time that passes
    finally:
        gw.signal(signal.SIGCONT)


def test_answers_and_bodies_that_came_while_the_process_was_stopped_are_no_timeouts(gateway, upstream):
    slow, hang, go, is_over = upstream("slow"), upstream("hang"), threading.Event(), threading.Event()

    def later(_request, _connection):
        go.wait(60)
        return Answer(body=b"late" * 5000)
    slow.script = later
    hang.script = lambda *_: is_over.wait(60) and None
    limited = {"timeouts": {"backendRequest": f"{LIMIT_S}s"}}
    gw = gateway(world(backend("slow", slow), backend("hang", hang), backend("body", upstream("body")),
                       route("r", rule("slow", matches=[path("/slow")], **limited),
                             rule("hang", matches=[path("/hang")], **limited),
                             rule("body", matches=[path("/body")])),
                       client_policy("c", timeout={"http": {"requestReceivedTimeout": f"{LIMIT_S}s"}})))
    waiting = [gw.raw(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(MANY)]
    failing = gw.raw(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
    sending = [gw.raw(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\nx") for _ in range(20)]
    slow.wait_for(MANY)
    hang.wait_for(1)

    def arrive():
        go.set()
        for raw in sending:
            threading.Thread(target=raw.send, args=(b"x" * 199999,), daemon=True).start()
    stopped(gw, arrive)
    assert [raw.reply().status for raw in waiting] == [200] * MANY
    assert [raw.reply().status for raw in sending] == [200] * len(sending)
    assert failing.reply().status == 504
    assert gw.request("/body").status == 200
    is_over.set()
