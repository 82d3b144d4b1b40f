"""The configuration's files are written in pieces, cut off, emptied, deleted, replaced and put back, ten times a second:
what is no configuration changes nothing, no request fails meanwhile, and memory does not grow."""
import json
import random
import signal
import threading
import time

import pytest

from play.client import Raw
from play.deadline import eventually
from play.halves import Halves
from play.manifests import backend, path, route, rule, world
from play.memory import anonymous_kib, is_sanitized

GET = b"GET /kept HTTP/1.1\r\nHost: a.test\r\n\r\n"
PER_SECOND = 10
GROWTH_KIB = 8192  # between the halves of a run; snapshots that stay would show


def generation(up, n):
    """What every generation serves, and what only this one does."""
    return world(backend("a", up), route("r", rule("a", matches=[path("/kept")])),
                 route("n", rule("a", matches=[path(f"/new-{n}")])))


def as_one(manifests):
    """One list in JSON: cut anywhere it is no document, while a series of YAML documents may be a smaller one."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})


class Load:
    """Clients that ask without a pause, each on a connection that it keeps, and forgive nothing."""

    def __init__(self, port, n):
        self.n_answers, self.faults, self._end = 0, [], threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(port,)) for _ in range(n)]
        for thread in self._threads:
            thread.start()

    def _ask(self, port):
        try:
            with Raw(port) as raw:
                while not self._end.is_set():
                    raw.send(GET)
                    reply = raw.reply()
                    if reply.status != 200:
                        self.faults.append((reply.status, reply.body))
                    self.n_answers += 1
        except (OSError, AssertionError) as fault:
            self.faults.append(repr(fault))

    def stop(self):
        self._end.set()
        for thread in self._threads:
            thread.join()
        assert not self.faults, self.faults[:5]
        assert self.n_answers > 0


def cut_off(target, text, rng):
    target.write_text(text[:rng.randrange(len(text))])


def emptied(target, _text, _rng):
    target.write_text("")


def deleted(target, _text, _rng):
    target.unlink(missing_ok=True)


def garbage(target, _text, rng):
    target.write_bytes(rng.randbytes(500))


def in_pieces(target, text, rng):
    at = rng.randrange(len(text))
    with open(target, "w", encoding="utf-8") as file:
        file.write(text[:at])
        file.flush()
        file.write(text[at:])


def renamed(target, text, _rng):
    new = target.with_name(".new")
    new.write_text(text)
    new.rename(target)


HARM = [cut_off, emptied, deleted, garbage]


@pytest.mark.parametrize("harm", HARM, ids=lambda harm: harm.__name__)
def test_what_is_no_configuration_changes_nothing(gateway, upstream, scale, harm):
    up, rng = upstream("a"), random.Random(scale.seed)
    gw = gateway(as_one(generation(up, 1)), ports=[80])
    target, text = gw.manifests / "world.yaml", as_one(generation(up, 1))
    for _ in range(scale(4, 60) if harm in (cut_off, garbage) else 2):
        before = gw.n_reloads("failed")
        harm(target, text, rng)
        gw.signal(signal.SIGHUP)
        eventually(lambda b=before: gw.n_reloads("failed") > b, 15, "a reload that is refused")
        reply = gw.request("/kept")
        assert reply.status == 200, f"{reply.status} with {target.read_bytes() if target.exists() else 'no file'}"
    assert gw.status()["last_reload"].startswith("kept generation 1")
    gw.apply(generation(up, 2))
    assert gw.request("/new-2").status == 200


class Flapping:
    """Harm and repair by turns; `n_whole` counts what could have been taken."""

    def __init__(self, gw, up, seed):
        self.gw, self.up, self.rng, self.n, self.n_whole = gw, up, random.Random(seed), 1, 0

    def turn(self):
        self.n += 1
        way = self.rng.choice([*HARM, in_pieces, renamed])
        way(self.gw.manifests / "world.yaml", as_one(generation(self.up, self.n)), self.rng)
        self.n_whole += way in (in_pieces, renamed)


def test_files_that_change_ten_times_a_second_fail_no_request(gateway, upstream, scale):
    up = upstream("a")
    streams = Halves(up, "/kept/stream")
    gw = gateway(as_one(generation(up, 1)), ports=[80])
    streams.begin(gw, scale(50, 500))
    flapping, load = Flapping(gw, up, scale.seed), Load(gw.port(), scale(2, 4))
    held = []
    started = time.monotonic()
    for i in range(scale(4, 60) * PER_SECOND):
        flapping.turn()
        next_turn = started + (i + 1) / PER_SECOND
        while (left := next_turn - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))  # ten times a second is what is played
        held.append(anonymous_kib(gw))
    load.stop()
    streams.finish()
    gw.apply(generation(up, 0))
    assert gw.request("/new-0").status == 200
    half = len(held) // 2
    grown = max(held[half:]) - max(held[:half])
    print(f"{flapping.n - 1} changes, {gw.n_reloads('ok'):.0f} reloads and {gw.n_reloads('failed'):.0f} refused, "
          f"{load.n_answers} requests, memory {held[0]} to {max(held)} KiB, {grown:+d} KiB in the second half")
    assert gw.n_reloads("ok") > 1 and gw.n_reloads("failed") > 1
    assert is_sanitized(gw) or grown < GROWTH_KIB
