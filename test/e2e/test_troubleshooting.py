"""docs/troubleshooting.md cannot drift: each command of the page is run against the shipped configuration and its
neighbours, in the state that its section tells of, and must print what the page shows."""
import json
import time

import pytest

from play.deadline import eventually
from play.gateway import PROGRAM, ROOT
from play.manifests import tls_secret
from play.page import Shell, blocks, fits
from play.upstream import Answer
from test_get import LINES
from test_shipped import IRIS, NAMESPACE, Town

PAGE = ROOT / "docs/troubleshooting.md"
SECTIONS = dict(blocks(PAGE))
PREDICT = "/v1/models/sklearn-iris:predict"
TENANTS = ("tenant-a", "tenant-b", "tenant-c")


class Scene:
    """The shipped configuration as it runs, and a shell of somebody who looks after it."""

    def __init__(self, tmp_path, gateway, upstream, issuer, authority):
        self.folder, self.gateway, self.authority = tmp_path / "desk", gateway, authority
        self.town = Town(upstream, issuer, authority)
        self.shell = Shell(self.folder, PROGRAM, ROOT / "config")
        for tenant in TENANTS:
            (self.folder / f"{tenant}.token").write_text(self.town.issuer.token(tenant))
        (self.folder / "state").mkdir()
        self.gw = None

    def start(self, has_keys=True):
        self.gw = self.gateway(self.town.overlay, paths=["config/envoy-gateway"], ports=[80, 443],
                               args=[*self.town.args, "--state-folder", str(self.folder / "state")],
                               prefix=["env", "-C", str(self.folder)])
        (self.folder / "access.log").symlink_to(self.gw.folder / "stdout")
        (self.folder / "neighbours").symlink_to(self.gw.manifests)
        self.shell.asks(f"127.0.0.1:{self.gw.admin_port}")
        self.shell.replaces("127.0.0.1:9901", f"127.0.0.1:{self.gw.admin_port}")
        self.shell.replaces("localhost:8080", f"localhost:{self.gw.port(80)}")
        self.shell.replaces("localhost:8443", f"localhost:{self.gw.port(443)}")
        self.shell.replaces("http://jwt-server.default.svc.cluster.local:8080", f"http://127.0.0.1:{self.town.issuer.port}")
        self.shell.replaces("neighbours", str(self.gw.manifests))
        self.shell.replaces("/var/lib/tollgate", str(self.folder / "state"))
        if has_keys:
            eventually(lambda: self.ask("/hello").status == 200, what="the keys")
        return self.gw

    def wait_log(self, words):
        eventually(lambda: words in (self.folder / "access.log").read_text(), what=f"{words} in the access log")

    def ask(self, target, tenant="tenant-a", **more):
        return self.gw.request(target, token=self.town.issuer.token(tenant), **more)


@pytest.fixture
def scene(tmp_path, gateway, upstream, issuer, authority):
    return Scene(tmp_path, gateway, upstream, issuer, authority)


# ---- what has happened, by section ----

def as_it_runs(scene):
    scene.start()


def request_was_refused(scene):
    scene.start()
    scene.ask(PREDICT, "tenant-b", json=IRIS)
    scene.wait_log(" 403 ")


def limit_is_used_up(scene):
    scene.start()
    eventually(lambda: time.time() % 60 < 40, 25, "a minute that lasts until all is said")
    eventually(lambda: scene.ask("/hello", "tenant-b").status == 429, what="the end of a limit")


def backend_is_ill(scene):
    scene.town.iris.probe_target = None
    scene.town.iris.script = lambda request, _: Answer(status=503, body=b"{}")
    gw = scene.start()
    eventually(lambda: gw.stderr().count(" is unhealthy") == 2, 30, "a Service and a Backend that are ill")


def keys_cannot_be_fetched(scene):
    scene.town.issuer.mode = "error"
    gw = scene.start(has_keys=False)
    eventually(lambda: gw.metric("tollgate_key_set_fetches_total", result="failed") >= 1, 30, "a try in vain")


def change(scene, was, by, result="ok"):
    """An edit of a file, which is there as a whole at once."""
    file = scene.folder / "config/envoy-gateway/policies/rate-limiting.yaml"
    beside = scene.folder / "edited"
    beside.write_text(file.read_text().replace(was, by, 1))
    before = scene.gw.n_reloads(result)
    beside.rename(file)
    eventually(lambda: scene.gw.n_reloads(result) > before, 15, f"a reload: {result}")


def reload_was_refused(scene):
    scene.start()
    change(scene, "requests: 100\n", "requests: a hundred\n", "failed")


def n_revisions(scene):
    said = scene.shell.run("tollgate history -o json --state-folder /var/lib/tollgate")
    return len(json.loads("\n".join(said))) if said and said[0].startswith("[") else 0


def limit_changed(scene):
    scene.start()
    eventually(lambda: n_revisions(scene) == 1, what="the first revision")
    change(scene, "requests: 100\n", "requests: 20\n")
    eventually(lambda: n_revisions(scene) == 2, what="the second revision")


def stream_was_cut(scene):
    def cut(_request, connection):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
                        b"7\r\ndata: a\r\n")
        connection.reset()
    scene.start()
    scene.town.fallback.script = cut
    scene.shell.run('curl -s -N -H "Authorization: Bearer $(cat tenant-a.token)" http://localhost:8080/stream')
    scene.wait_log("/stream ")


def certificate_ends(scene):
    ends = scene.authority.leaf("localhost", "gateway.test", days=0.01)
    scene.town.overlay[-1].update(tls_secret("ai-gateway-tls", ends), metadata=scene.town.overlay[-1]["metadata"])
    scene.start()


SCENES = {
    "A request was refused: why?": request_was_refused,
    "A tenant is at a limit: which, and until when?": limit_is_used_up,
    "A backend is ill": backend_is_ill,
    "Keys cannot be fetched": keys_cannot_be_fetched,
    "A reload was not taken": reload_was_refused,
    "What changed, and how to go back": limit_changed,
    "A stream was cut": stream_was_cut,
    "Certificates": certificate_ends,
}


@pytest.mark.parametrize("heading", SECTIONS)
def test_what_the_page_shows(scene, heading):
    SCENES.get(heading, as_it_runs)(scene)
    for command, shown in SECTIONS[heading]:
        said = scene.shell.run(command)
        assert fits(shown, said), f"$ {command}\nshown:\n" + "\n".join(shown) + "\nsaid:\n" + "\n".join(said)


# ---- the page, and its reader ----

def test_each_scene_has_its_section():
    assert set(SCENES) < set(SECTIONS)


def test_the_founding_steps_are_there():
    """Word for word but for the program's name; of placeholders, one that is meant."""
    commands = [command for steps in SECTIONS.values() for command, _ in steps]
    for line in LINES:
        assert f"tollgate {line}" in commands or line == f"get svc -n {NAMESPACE}", line
    assert "tollgate get svc -n tenant-a" in commands


SAID = ["a 1", "b 2026-11-27T11:39:15.646Z", "c 127.0.0.1:80", "d", "e"]


@pytest.mark.parametrize("shown, is_it", [
    (SAID, True), (["a 1", "..."], True), (["...", "e"], True), (["..."], True), (["...", "c 127.0.0.1:9", "...", "e"], True),
    (["a 1", "b 2001-01-01T00:00:00Z", "c 127.0.0.1:1", "...", "d", "e"], True), (["a ...", "...", "d", "e"], True),
    ([], False), (SAID[:4], False), (SAID[1:], False), (["a 2", "..."], False), (["...", "d"], False), ([*SAID, "f"], False),
    (["...", "a 1", "c 127.0.0.1:80", "..."], False), (["...", "d", "...", "b ...", "..."], False), (["b ...", "..."], False),
    (["a 1", "...", "a 1", "..."], False), ([*SAID[:4], "...", *SAID[3:]], False)])
def test_what_fits(shown, is_it):
    assert fits(shown, SAID) == is_it
