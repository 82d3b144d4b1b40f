"""The history of configurations: what served is kept, compared without its secrets, and written back under load."""
import json
import os
import shutil
import stat
import threading

import pytest

from play.deadline import eventually
from play.gateway import tollgate
from play.manifests import backend, path, route, rule, secret, world
from play.upstream import Answer


@pytest.fixture
def state(tmp_path):
    folder = tmp_path / "state"
    folder.mkdir(mode=0o755)
    return folder


def revisions(state):
    said = tollgate("history", "-o", "json", "--state-folder", state)
    return json.loads(said.stdout) if said.returncode == 0 else []


def wait_revisions(state, n):
    return eventually(lambda: len(revisions(state)) == n and revisions(state), 15, f"{n} revisions")


def files(gw):
    return {file.name: file.read_text() for file in gw.manifests.iterdir()}


@pytest.fixture
def kept(gateway, upstream, state):
    """A gateway with a history, and two backends that say who they are."""
    ups = {name: upstream(name) for name in "ab"}
    for name, up in ups.items():
        up.script = lambda *_, name=name: Answer(body=name.encode())

    def worlds(name, *more):
        return world(backend(name, ups[name]), route("r", rule(name)), *more)

    def start(**more):
        gw = gateway(worlds("a"), args=("--state-folder", str(state)), **more)
        wait_revisions(state, 1)
        return gw
    start.worlds = worlds
    return start


def test_each_configuration_that_served_is_kept_once(kept, state):
    gw = kept(env={"TOLLGATE_CHANGE_BY": "ada", "TOLLGATE_CHANGE_REASON": "the first"})
    before = files(gw)
    gw.apply(kept.worlds("b"))
    wait_revisions(state, 2)
    gw.reload()  # the same again
    gw.apply("kind: [", name="broken.yaml", result="failed")
    (gw.manifests / "broken.yaml").unlink()
    gw.apply(kept.worlds("a"))
    listed = wait_revisions(state, 3)
    assert [r["revision"] for r in listed] == [3, 2, 1]
    assert [(r["cause"], r["who"], r["reason"]) for r in listed[2:]] == [("start", "ada", "the first")]
    assert listed[0]["cause"] == "files changed" and listed[0]["who"] == "root"
    assert listed[0]["id"] == listed[2]["id"] != listed[1]["id"]
    assert listed[0]["files"] == [str(gw.manifests / "world.yaml")]
    assert files(gw) == before
    table = tollgate("history", "--state-folder", state).stdout.splitlines()
    assert table[0].split() == ["REVISION", "ID", "TIME", "WHO", "CAUSE", "FILES", "REASON"] and len(table) == 4
    for folder, _, names in os.walk(state / "history"):
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
        assert all(stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode) == 0o600 for name in names)


def test_a_difference_names_objects_and_shows_no_secret(kept, state):
    gw = kept()
    gw.apply(kept.worlds("b", secret("s", token="s3cret-one")))
    wait_revisions(state, 2)
    gw.apply(kept.worlds("b", secret("s", token="s3cret-two")))
    wait_revisions(state, 3)
    said = tollgate("diff", "1", "2", "--state-folder", state)
    assert said.returncode == 0
    assert "--- HTTPRoute/play/r\n+++ HTTPRoute/play/r\n@@ " in said.stdout
    assert "+++ Secret/play/s" in said.stdout and "(none) Secret/play/s" in said.stdout
    assert "\n-    - group: gateway.envoyproxy.io\n" not in said.stdout and "\n-      name: a\n+      name: b\n" in said.stdout
    assert "4 objects differ between revision 1 and 2" in said.stderr
    said = tollgate("diff", "previous", "--state-folder", state)
    assert said.stdout == "Secret/play/s: values that are not shown differ\n"
    changed = secret("s", token="s3cret-three")
    changed["metadata"]["labels"] = {"note": "rotated"}
    gw.apply(kept.worlds("b", changed))
    wait_revisions(state, 4)
    said = tollgate("diff", "previous", "--state-folder", state)
    assert "+    note: rotated\n" in said.stdout and said.stdout.endswith("\nSecret/play/s: values that are not shown differ\n")
    assert "1 object differs" in said.stderr
    gw.apply(kept.worlds("b", {**changed, "metadata": {**changed["metadata"], "labels": {"note": "again"}}}))
    wait_revisions(state, 5)
    assert "not shown" not in tollgate("diff", "previous", "--state-folder", state).stdout
    for seen in (said, tollgate("diff", "1", "--state-folder", state)):
        assert "s3cret" not in seen.stdout + seen.stderr
        assert "czNjcmV0" not in seen.stdout, "nor as base64"


def test_an_older_one_is_restored_under_load(kept, state):
    """Many requests meanwhile, and many files: none fails, and none sees a mixture of two revisions."""
    gw = kept()
    parts = [(f"part-{n}.yaml", route(f"part-{n}", rule("a", matches=[path(f"/part-{n}")]))) for n in range(20)]
    for name, made in parts:
        gw.write(name, made)
    gw.reload()
    eventually(lambda: gw.request("/part-19").status == 200)
    older = eventually(lambda: len(revisions(state)) > 1 and revisions(state)[0], 15)
    for n, (name, _) in enumerate(parts):
        gw.write(name, route(f"part-{n}", rule("b", matches=[path(f"/part-{n}")])))
    gw.write("world.yaml", kept.worlds("b"))
    gw.write("new.yaml", route("new", rule("b", matches=[path("/new")])))
    gw.reload()
    eventually(lambda: gw.request("/new").body == b"b")
    eventually(lambda: str(gw.manifests / "new.yaml") in revisions(state)[0]["files"], 15)
    stop, seen = threading.Event(), []

    def load():
        n = 0
        while not stop.is_set():
            reply = gw.request(f"/part-{n % 20}")
            seen.append((reply.status, reply.body))
            n += 1
    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    n_before = gw.metric("tollgate_config_generation")
    said = tollgate("rollback", older["revision"], "--state-folder", state)
    assert said.returncode == 0, said.stderr
    eventually(lambda: gw.request("/part-0").body == b"a" and gw.request("/new").body != b"b", 15)
    eventually(lambda: len(seen) > 200)
    stop.set()
    for thread in threads:
        thread.join()
    assert {status for status, _ in seen} == {200}
    assert not (gw.manifests / "new.yaml").exists()
    listed = eventually(lambda: revisions(state)[0]["id"] == older["id"] and revisions(state), 15, "the same id again")
    assert listed[0]["revision"] > older["revision"]
    assert gw.metric("tollgate_config_generation") > n_before
    # What served meanwhile was the one or the other.
    assert len({r["id"] for r in listed if r["revision"] > listed[0]["revision"] - 1}) == 1


def test_nothing_is_lost_by_going_back(kept, state):
    gw = kept()
    gw.apply(kept.worlds("b"))
    wait_revisions(state, 2)
    was = files(gw)
    gw.stop()
    edit = was["world.yaml"] + "# an edit that nobody has loaded\n"
    (gw.manifests / "world.yaml").write_text(edit)
    said = tollgate("rollback", "1", "--state-folder", state)
    assert said.returncode == 1 and "an edit would be lost" in said.stderr and "--force" in said.stderr
    assert files(gw)["world.yaml"] == edit
    said = tollgate("rollback", "1", "--dry-run", "--force", "--state-folder", state)
    assert said.returncode == 0 and said.stdout == f"write {gw.manifests}/world.yaml\n"
    assert files(gw)["world.yaml"] == edit
    os.chmod(gw.manifests / "world.yaml", 0o640)
    assert tollgate("rollback", "1", "--force", "--state-folder", state).returncode == 0
    assert files(gw) != was and "name: a\n" in files(gw)["world.yaml"]
    assert stat.S_IMODE(os.stat(gw.manifests / "world.yaml").st_mode) == 0o640


def test_what_would_not_serve_is_not_written(kept, state):
    """Kept contents that are damaged, or gone, are never given to a gateway."""
    gw = kept()
    gw.apply(kept.worlds("b"))
    wait_revisions(state, 2)
    before = files(gw)
    blobs = state / "history" / "blobs"
    for file in blobs.iterdir():
        file.write_bytes(b"kind: Nonsense\n")
    said = tollgate("rollback", "1", "--state-folder", state)
    assert said.returncode == 1 and "not what was kept" in said.stderr
    assert tollgate("diff", "1", "--state-folder", state).returncode == 1
    for file in blobs.iterdir():
        file.unlink()
    said = tollgate("rollback", "1", "--state-folder", state)
    assert said.returncode == 1 and "gone" in said.stderr
    assert files(gw) == before and gw.request("/").body == b"b"


def test_where_no_history_is(state, tmp_path):
    said = tollgate("history")
    assert said.returncode == 1 and "--state-folder PATH is needed" in said.stderr
    said = tollgate("history", "--state-folder", state)
    assert said.returncode == 1 and "there is no history" in said.stderr
    (state / "history").mkdir(mode=0o755)
    said = tollgate("history", "--state-folder", state)
    assert said.returncode == 1 and "cannot be trusted" in said.stderr
    said = tollgate("diff", "--state-folder", state)
    assert said.returncode == 2
    said = tollgate("run", "-f", tmp_path, "--state-folder", tmp_path / "nowhere", "--admin", "off", "--user", "root")
    assert said.returncode == 1 and "there is no such folder" in said.stderr


def test_what_cannot_be_kept_serves_all_the_same(kept, state):
    gw = kept()
    shutil.rmtree(state / "history" / "blobs")
    gw.apply(kept.worlds("b"))
    assert gw.request("/").body == b"b"
    eventually(lambda: "this configuration is not kept" in gw.stderr())
    gw.apply(kept.worlds("a"))
    assert gw.request("/").body == b"a"
