"""The history of configurations: what served is kept, compared without its secrets, and written back under load."""
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import stat
import subprocess
import threading

import pytest

from play.deadline import FACTOR, eventually
from play.gateway import PROGRAM, as_text, tollgate
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
    start.worlds, start.ups = worlds, ups
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
    newest = revisions(state)[0]["revision"]
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
    assert {r["id"] for r in listed if r["revision"] > newest} == {older["id"]}


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


# ---- what may go wrong on the way back ----

def two(kept, state):
    """Two revisions, of a and of b, and a file beside that came with the second; nothing runs any more."""
    gw = kept()
    gw.write("world.yaml", kept.worlds("b"))
    gw.write("second.yaml", route("second", rule("b", matches=[path("/second")])))
    gw.reload()
    eventually(lambda: any(name.endswith("second.yaml") for name in revisions(state)[0]["files"]), 15)
    gw.stop()
    return gw, revisions(state)[0]["revision"]


def rights(file):
    about = os.stat(file)
    return stat.S_IMODE(about.st_mode), about.st_uid, about.st_gid


def test_a_file_that_is_gone_comes_back_as_it_was(kept, state):
    """Else the gateway's user could not read what somebody else writes for it."""
    gw = kept()
    file, beside = gw.manifests / "extra.yaml", gw.folder / "extra.new"
    beside.write_text(as_text([backend("b", kept.ups["b"]), route("extra", rule("b", matches=[path("/extra")]))]))
    beside.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(beside, 12345, 54321)
    before = rights(beside)
    beside.rename(file)
    gw.reload()
    eventually(lambda: str(file) in revisions(state)[0]["files"], 15)
    was = revisions(state)[0]["revision"]
    file.unlink()
    gw.reload()
    eventually(lambda: str(file) not in revisions(state)[0]["files"], 15)
    assert gw.request("/extra").body == b"a"
    said = tollgate("rollback", was, "--state-folder", state)
    assert said.returncode == 0 and f"create {file}\n" in said.stdout
    assert rights(file) == before
    eventually(lambda: gw.request("/extra").body == b"b", what="the route that came back")


def test_who_ended_midway_stands_in_nobodys_way(kept, state):
    gw, last = two(kept, state)
    (gw.manifests / ".world.yaml.rollback").write_text("half of someth")
    said = tollgate("rollback", last - 1, "--force", "--state-folder", state)
    assert said.returncode == 0, said.stderr
    assert sorted(file.name for file in gw.manifests.iterdir()) == ["world.yaml"]
    assert "name: a\n" in files(gw)["world.yaml"]


def test_two_at_once_leave_one_of_both_whole(kept, state):
    gw = kept()
    for name in ("one", "two"):
        for n in range(10):
            if name == "two":
                (gw.manifests / f"one-{n}.yaml").unlink()
            gw.write(f"{name}-{n}.yaml", route(f"{name}-{n}", rule("a", matches=[path(f"/{name}-{n}")])))
        gw.write("world.yaml", kept.worlds("a") if name == "one" else kept.worlds("b"))
        gw.write("last.yaml", route("last", rule("a", matches=[path(f"/{name}")])))
        gw.reload()
        eventually(lambda name=name: gw.request(f"/{name}").status in (200, 500), 15)
        eventually(lambda name=name: sum(f"/{name}-" in file for file in revisions(state)[0]["files"]) == 10 and
                   len(revisions(state)[0]["files"]) == 12, 15)
        if name == "one":
            ids, contents, to = [revisions(state)[0]["id"]], [files(gw)], [revisions(state)[0]["revision"]]
    ids, contents, to = [*ids, revisions(state)[0]["id"]], [*contents, files(gw)], [*to, revisions(state)[0]["revision"]]
    for _ in range(8):
        both = [subprocess.Popen([PROGRAM, "rollback", str(n), "--force", "--state-folder", state],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for n in to]
        assert [process.wait(30 * FACTOR) for process in both] == [0, 0]
        assert files(gw) in contents
    eventually(lambda: revisions(state)[0]["id"] == ids[contents.index(files(gw))], 15, "what stands there serves")
    assert {r["id"] for r in revisions(state) if r["revision"] > to[1]} <= set(ids), "and no mixture ever did"


def test_one_rollback_after_another_leaves_nothing_of_the_first(kept, state):
    """Before a gateway has loaded what the first one wrote, or where none runs."""
    gw, last = two(kept, state)
    after = files(gw)
    gw.start()
    (gw.manifests / "second.yaml").unlink()
    gw.write("third.yaml", route("third", rule("b", matches=[path("/third")])))
    gw.reload()
    eventually(lambda: any(name.endswith("third.yaml") for name in revisions(state)[0]["files"]), 15)
    gw.stop()
    assert tollgate("rollback", last, "--state-folder", state).returncode == 0
    assert files(gw) == after
    for to, has in ((last + 1, {"world.yaml", "third.yaml"}), (last - 1, {"world.yaml"}), (last, {"world.yaml", "second.yaml"})):
        to = next(r["revision"] for r in revisions(state) if r["revision"] >= to) if to > last else to
        said = tollgate("rollback", to, "--state-folder", state)
        assert said.returncode == 0 and "is not of either" not in said.stderr, said.stderr
        assert files(gw).keys() == has
    # An edit of what the last one wrote is one all the same; once it has served, it is none any more.
    (gw.manifests / "second.yaml").write_text(after["second.yaml"] + "# an edit\n")
    said = tollgate("rollback", last - 1, "--state-folder", state)
    assert said.returncode == 1 and "--force" in said.stderr
    (gw.manifests / "second.yaml").write_text(after["second.yaml"])
    (gw.manifests / "third.yaml").write_text("# what was taken away, written anew\n")
    said = tollgate("rollback", last - 1, "--state-folder", state)
    assert said.returncode == 1 and "third.yaml: it is not what served last" in said.stderr
    (gw.manifests / "third.yaml").unlink()
    (gw.manifests / "second.yaml").write_text(after["second.yaml"] + "# an edit\n")
    gw.start()
    eventually(lambda: revisions(state)[0]["revision"] > last + 1, 15)
    assert tollgate("rollback", last - 1, "--state-folder", state).returncode == 0
    assert files(gw).keys() == {"world.yaml"}


def test_two_names_of_one_file_are_one_file(kept, state):
    gw = kept()
    notes, again = gw.manifests / "notes.yaml", gw.manifests / "again.yaml"
    notes.write_text("# one\n")
    again.symlink_to("notes.yaml")
    gw.reload()
    eventually(lambda: len(revisions(state)[0]["files"]) == 3, 15)
    was = revisions(state)[0]["revision"]
    notes.write_text("# two\n")
    gw.reload()
    eventually(lambda: revisions(state)[0]["revision"] > was, 15)
    said = tollgate("rollback", was, "--state-folder", state)
    assert said.returncode == 0, said.stderr
    assert notes.read_text() == "# one\n" and again.is_symlink()


def test_what_cannot_be_written_whole_changes_nothing(kept, state):
    """The folder of one file is gone: the other is not written either."""
    gw = kept()
    folder = gw.manifests / "zone"
    folder.mkdir()
    (folder / "extra.yaml").write_text(as_text(route("extra", rule("a", matches=[path("/extra")]))))
    gw.reload()
    eventually(lambda: str(folder / "extra.yaml") in revisions(state)[0]["files"], 15)
    was = revisions(state)[0]["revision"]
    shutil.rmtree(folder)
    gw.write("world.yaml", kept.worlds("b"))
    gw.reload()
    eventually(lambda: revisions(state)[0]["revision"] > was and len(revisions(state)[0]["files"]) == 1, 15)
    before = files(gw)
    said = tollgate("rollback", was, "--state-folder", state)
    assert said.returncode == 1 and str(folder) in said.stderr and "nothing is changed" in said.stderr and not said.stdout
    assert files(gw) == before, "and nothing lies beside it"


def test_a_folder_in_the_place_of_a_file_is_told_before_anything_is_changed(kept, state):
    gw, last = two(kept, state)
    (gw.manifests / "second.yaml").unlink()
    (gw.manifests / "second.yaml").mkdir()
    before = (gw.manifests / "world.yaml").read_text()
    for revision in (last - 1, last):  # to be removed, to be written
        (gw.manifests / "world.yaml").write_text(before + "# an edit\n")
        said = tollgate("rollback", revision, "--force", "--state-folder", state)
        assert said.returncode == 1 and "second.yaml: Is a directory; nothing is changed" in said.stderr, said.stderr
        assert (gw.manifests / "world.yaml").read_text() == before + "# an edit\n"
        assert len(list(gw.manifests.iterdir())) == 2


def test_what_no_revision_has_is_named(kept, state):
    """It is loaded with what comes back, and may be what is wrong."""
    gw, last = two(kept, state)
    (gw.manifests / "broken.yaml").write_text("kind: [")
    (gw.manifests / "notes.txt").write_text("none of ours")
    (gw.manifests / ".hidden.yaml").write_text("so too")
    said = tollgate("rollback", last - 1, "--dry-run", "--state-folder", state)
    assert said.returncode == 0
    assert said.stderr.splitlines()[:-1] == [
        f"{gw.manifests}/broken.yaml is not of either revision, and stays: a gateway that reads its folder loads it too"]


def test_an_edit_while_it_waits_is_not_lost(kept, state):
    """What is looked at before the lock is there may have been written by who held it."""
    gw, last = two(kept, state)
    with open(state / "history" / "lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with subprocess.Popen([PROGRAM, "rollback", str(last - 1), "--state-folder", state], stderr=subprocess.PIPE, text=True) as process:
            assert "waiting for who writes there now" in process.stderr.readline()
            edit = files(gw)["world.yaml"] + "# of another rollback, say\n"
            (gw.manifests / "world.yaml").write_text(edit)
            fcntl.flock(lock, fcntl.LOCK_UN)
            said = process.communicate(timeout=30 * FACTOR)[1]
        assert process.returncode == 1 and "an edit would be lost" in said
        assert files(gw)["world.yaml"] == edit and "second.yaml" in files(gw)


def test_a_lock_that_nobody_gives_back_is_told(kept, state):
    gw, last = two(kept, state)
    before = files(gw)
    with open(state / "history" / "lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = tollgate("rollback", last - 1, "--state-folder", state)
    assert said.returncode == 1 and "nothing is changed, try again" in said.stderr
    assert files(gw) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another user's history to go back by")
def test_another_users_history_writes_where_the_caller_lets_it(kept, state, tmp_path):
    """Who holds the gateway's process can write any record: root's hands do not follow it everywhere."""
    gw, last = two(kept, state)
    for folder, _, entries in os.walk(state / "history"):
        for name in [folder, *(os.path.join(folder, entry) for entry in entries)]:
            os.chown(name, 12345, 12345)
    record = state / "history" / "records" / str(last - 1)
    asked = ["rollback", last - 1, "--state-folder", state]
    said = tollgate(*asked)
    assert said.returncode == 1 and "kept by another user (12345)" in said.stderr and "-f PATH" in said.stderr
    assert tollgate(*asked, "--dry-run").returncode == 0
    # A record of whoever holds the process: one file more, elsewhere, and reached by ".." too.
    evil = tmp_path / "evil.yaml"
    kept_record = record.read_bytes()
    for aim in (str(evil), f"{gw.manifests}/../../{evil.relative_to(gw.manifests.parent.parent)}"):
        forged = json.loads(kept_record)
        content = b"# anything\n"
        digest = hashlib.sha256(content).hexdigest()
        (state / "history" / "blobs" / digest).write_bytes(content)
        forged["files"] = sorted([*forged["files"], {"path": aim, "sha256": digest, "bytes": len(content)}], key=lambda f: f["path"].encode())
        forged["id"] = hashlib.sha256(b"".join(f["path"].encode() + b"\0" + f["sha256"].encode() for f in forged["files"])).hexdigest()
        record.write_text(json.dumps(forged))
        before = files(gw)
        said = tollgate(*asked, "-f", gw.manifests)
        assert said.returncode == 1 and f"{evil}: it stands beyond what -f names" in said.stderr, said.stderr
        assert files(gw) == before and not evil.exists()
    # A link below the folder leads out of it as well.
    record.write_bytes(kept_record)
    elsewhere = tmp_path / "elsewhere.yaml"
    shutil.move(gw.manifests / "world.yaml", elsewhere)
    (gw.manifests / "world.yaml").symlink_to(elsewhere)
    said = tollgate(*asked, "-f", gw.manifests)
    assert said.returncode == 1 and f"{elsewhere}: it stands beyond" in said.stderr
    assert tollgate(*asked, "-f", gw.manifests, "-f", elsewhere).returncode == 0
    assert {(state / "history" / name).stat().st_uid for name in os.listdir(state / "history")} == {12345}, "its owner's still"
    assert "name: a\n" in elsewhere.read_text() and (gw.manifests / "world.yaml").is_symlink()
    assert not (gw.manifests / "second.yaml").exists()
    # What was gone is the caller's own, whoever the record says that it was.
    forged = json.loads((state / "history" / "records" / str(last)).read_text())
    for file in forged["files"]:
        file.update(mode="0666", uid=12345, gid=12346)
    (state / "history" / "records" / str(last)).write_text(json.dumps(forged))
    said = tollgate("rollback", last, "--force", "--state-folder", state, "-f", gw.manifests, "-f", elsewhere)
    assert said.returncode == 0, said.stderr
    assert rights(gw.manifests / "second.yaml") == (0o644, 0, 12346)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts it as another user")
@pytest.mark.parametrize("mode, says", [(0o700, "give it to that user"), (0o777, "with mode 700")])
def test_a_state_folder_that_does_not_do_is_told_with_the_way_out(tmp_path, mode, says):
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(mode)
    for above in folder.parents:
        if above != pathlib.Path("/") and not above.stat().st_mode & 0o001:
            above.chmod(above.stat().st_mode | 0o011)  # for this user to come by
    said = tollgate("run", "-f", tmp_path, "--admin", "off", "--user", "nobody", "--no-supervisor", "--state-folder", folder)
    assert said.returncode == 1 and says in said.stderr, said.stderr
