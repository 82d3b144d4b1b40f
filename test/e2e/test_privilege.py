"""The parent that holds sockets and restarts, the user that the gateway becomes, and its sandbox."""
import os
import pathlib
import pwd
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

import pytest

from play.deadline import eventually
from play.gateway import PROGRAM, Gateway, StartFailed, as_text, tollgate
from play.manifests import ENVOY_API, backend, http_listener, route, rule, security_policy, target, thing, world
from play.ports import free_low_port, free_port

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up being root")
SUPERVISED = ["--supervisor"]


def small(up, *more, **kinds):
    return world(backend("a", up), route("r", rule("a")), *more, **kinds)


def children(pid):
    return [int(child) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()]


def child(gw):
    found = children(gw.process.pid)
    return found[0] if len(found) == 1 else None


def status(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def is_running(pid):
    try:
        return status(pid)["State"][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def answers(gw, status=200, **more):
    try:
        return gw.request("/", **more).status == status
    except OSError:
        return False


def is_refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=3).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        pass
    return False


def has_sandbox():
    """Not in a build with a sanitizer, whose runtime needs what the sandbox takes away."""
    return b"__asan_init" not in (text := PROGRAM.read_bytes()) and b"__tsan_init" not in text


# ---- the parent ----


def test_a_reload_and_a_drain_go_through_the_parent(gateway, upstream):
    up, go = upstream("a"), threading.Event()

    def stream(_request, connection):
        connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        go.wait(60)
        connection.send(b"3\r\ntwo\r\n0\r\n\r\n")

    up.script = stream
    gw = gateway(small(up), args=SUPERVISED, drain=("0", "60"))
    pid = child(gw)
    assert pid and os.getpgid(pid) == pid, "a terminal's Ctrl-C comes through the parent alone"
    gw.reload()
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") as raw:
        assert raw.head()[0] == 200 and raw.chunk() == b"one"
        gw.signal(signal.SIGTERM)
        eventually(lambda: is_refused(gw.port()), what="no new connections, though the parent holds the sockets")
        assert gw.process.poll() is None and is_running(pid)
        go.set()
        assert raw.chunk() == b"two" and raw.chunk() == b"" and raw.rest() == b""
    assert gw.wait() == 0 and not is_running(pid)


def test_ctrl_c_drains_and_a_second_one_ends_at_once(gateway, upstream):
    up, release = upstream("a"), threading.Event()
    up.script = lambda _r, _c: release.wait(60) and None
    gw = gateway(small(up), args=SUPERVISED, drain=("600", "600"))
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"):
        up.wait_for(1)
        gw.signal(signal.SIGINT)
        eventually(lambda: "draining: no new connections" in gw.stderr())
        assert gw.process.poll() is None and "second signal" not in gw.stderr()
        gw.signal(signal.SIGINT)
        assert gw.wait(5) == 0
    release.set()


def test_a_child_that_dies_is_started_again_with_back_off(gateway, upstream):
    gw = gateway(small(upstream("a")), args=SUPERVISED)
    pids = [child(gw)]
    for delay in (100, 200, 400):
        os.kill(pids[-1], signal.SIGKILL)
        eventually(lambda: f"started again in {delay} ms" in gw.stderr(), what="the restart to be told")
        eventually(lambda: answers(gw), what="the next child")
        pids.append(child(gw))
    assert len(set(pids)) == 4
    assert gw.stderr().count("was ended by signal 9") == 3
    gw.reload()


def test_who_connects_while_no_child_is_there_is_served_by_the_next(gateway, upstream):
    gw = gateway(small(upstream("a")), args=SUPERVISED)
    gw.signal(signal.SIGSTOP)  # the parent notices the death only when it goes on
    os.waitid(os.P_PID, gw.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    os.kill(child(gw), signal.SIGKILL)
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") as raw:
        gw.signal(signal.SIGCONT)
        assert raw.reply().status == 200


def test_the_next_child_serves_what_the_files_say_then(gateway, upstream):
    up = upstream("a")
    gw = gateway(small(up, listeners=[http_listener(), http_listener("two", 81)]), ports=[80, 81, 82], args=SUPERVISED)
    assert answers(gw, port=81)
    gw.signal(signal.SIGSTOP)
    os.waitid(os.P_PID, gw.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    os.kill(child(gw), signal.SIGKILL)
    gw.write("world.yaml", small(up, listeners=[http_listener(), http_listener("three", 82)]))
    gw.signal(signal.SIGCONT)
    eventually(lambda: answers(gw, port=82))
    assert answers(gw)
    eventually(lambda: is_refused(gw.port(81)), what="the port that is served no more")


def test_a_reload_opens_and_closes_ports_through_the_parent(gateway, upstream):
    up = upstream("a")
    gw = gateway(small(up), ports=[80, 81], args=SUPERVISED)
    gw.apply(small(up, listeners=[http_listener(), http_listener("two", 81)]))
    assert answers(gw) and answers(gw, port=81)
    gw.apply(small(up))
    eventually(lambda: is_refused(gw.port(81)))
    gw.apply(small(up, listeners=[http_listener(), http_listener("two", 81)]))
    assert answers(gw, port=81)


def test_what_cannot_start_ends_the_parent_too(gateway, upstream):
    up, taken = upstream("a"), free_port()
    with socket.create_server(("0.0.0.0", taken)):
        with pytest.raises(StartFailed) as failed:
            gateway(small(up), port_map={80: taken}, args=SUPERVISED)
    assert failed.value.code == 1 and str(taken) in failed.value.text and "again" not in failed.value.text


def test_a_restart_that_fails_is_tried_again(gateway, upstream):
    up = upstream("a")
    gw = gateway(small(up), args=SUPERVISED)
    gw.write("world.yaml", "a: [b")
    os.kill(child(gw), signal.SIGKILL)
    eventually(lambda: "started again in 200 ms" in gw.stderr(), what="the second attempt")
    gw.write("world.yaml", small(up))
    eventually(lambda: answers(gw), 15)


def test_the_next_child_reads_also_files_that_a_reload_refused(gateway, upstream):
    up = upstream("a")
    gw = gateway(small(up), args=SUPERVISED)
    guard = security_policy("guard", target("HTTPRuote", "r"), authorization={"defaultAction": "Deny"})
    gw.apply(small(up, guard), result="failed")
    assert answers(gw), "the configuration from before"
    os.kill(child(gw), signal.SIGKILL)
    eventually(lambda: answers(gw, 500), 15, what="what the guard may have meant refuses")


def test_a_start_for_want_of_descriptors_lets_go_of_the_sockets(gateway, upstream):
    gw = gateway(small(upstream("a")), args=SUPERVISED)
    parent = gw.process.pid
    gw.signal(signal.SIGSTOP)
    os.waitid(os.P_PID, parent, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    held = [int(fd.name) for fd in pathlib.Path(f"/proc/{parent}/fd").iterdir()
            if fd.is_symlink() and os.readlink(fd).startswith("socket:")]
    soft, hard = resource.prlimit(parent, resource.RLIMIT_NOFILE)
    # The channel to the child is the lowest, a listening socket the next: one number is free, a start takes two.
    resource.prlimit(parent, resource.RLIMIT_NOFILE, (sorted(held)[1], hard))
    os.kill(child(gw), signal.SIGKILL)
    gw.signal(signal.SIGCONT)
    eventually(lambda: "cannot start the gateway" in gw.stderr() and "Too many open files" in gw.stderr())
    eventually(lambda: is_refused(gw.port()), what="no port that nobody serves")
    resource.prlimit(parent, resource.RLIMIT_NOFILE, (soft, hard))
    eventually(lambda: answers(gw), 15, what="the next child")


def test_an_end_while_it_waits_to_restart(gateway, upstream):
    gw = gateway(small(upstream("a")), args=SUPERVISED)
    gw.write("world.yaml", "a: [b")
    os.kill(child(gw), signal.SIGKILL)
    eventually(lambda: "started again in 800 ms" in gw.stderr())
    gw.signal(signal.SIGTERM)
    assert gw.wait() in (0, 1)
    gw.stop(expected=gw.process.returncode)


def test_the_end_of_the_parent_ends_the_child(gateway, upstream):
    gw = gateway(small(upstream("a")), args=SUPERVISED)
    pid = child(gw)
    gw.process.kill()
    gw.process.wait()
    eventually(lambda: not is_running(pid))
    assert is_refused(gw.port())
    gw.stop(expected=-signal.SIGKILL)


def test_a_variable_that_names_no_parent_ends_the_start(gateway, upstream):
    with pytest.raises(StartFailed) as failed:
        gateway(small(upstream("a")), env={"TOLLGATE_BROKER_FD": "0"})
    assert failed.value.code == 1 and "TOLLGATE_BROKER_FD" in failed.value.text


# ---- the user ----


@pytest.fixture
def open_gateway(upstream):
    """A gateway whose folder everybody may read; its log folder is the user's."""
    started, folders = [], []

    def start(user, **more):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tollgate-test-"))
        folders.append(folder)
        folder.chmod(0o755)
        more["args"] = ["--user", user, *more.get("args", [])]
        started.append(Gateway(folder, **more))
        return started[-1].start()

    yield start
    for made in started:
        made.stop()
    for folder in folders:
        shutil.rmtree(folder)


def has_given_up(pid, user, capabilities):
    said = status(pid)
    uid = str(pwd.getpwnam(user).pw_uid)
    assert said["Uid"].split() == [uid] * 4 and said["Gid"].split() == [str(pwd.getpwnam(user).pw_gid)] * 4
    assert set(said["Groups"].split()) <= {str(pwd.getpwnam(user).pw_gid)} and said["NoNewPrivs"] == "1"
    assert int(said["CapPrm"], 16) == int(said["CapEff"], 16) == capabilities and int(said["CapInh"], 16) == 0
    assert said["Seccomp"] == ("2" if has_sandbox() else "0")


@as_root
def test_started_as_root_it_becomes_another_user_and_low_ports_are_the_parents(open_gateway, upstream):
    up, low, lower = upstream("a"), free_low_port(), None
    gw = open_gateway("nobody", manifests=small(up), port_map={80: low}, ports=[81])
    pid = child(gw)
    has_given_up(pid, "nobody", 0)
    assert os.stat(f"/proc/{pid}/environ").st_uid == 0, "what may not be dumped is not its user's in /proc"
    kept = int(status(gw.process.pid)["CapPrm"], 16)
    assert kept == 1 << 10 | 1 << 6 | 1 << 7 | 1 << 5, "NET_BIND_SERVICE, SETGID, SETUID, KILL"
    assert status(gw.process.pid)["NoNewPrivs"] == "1"
    assert gw.port() == low < 1024 and answers(gw)
    lower = free_low_port()
    assert lower != low
    gw._map[lower] = lower
    gw.apply(small(up, listeners=[http_listener(), http_listener("low", lower)]))
    assert answers(gw, port=lower), "a low port after the privileges are gone"
    gw.apply(small(up))
    eventually(lambda: is_refused(lower))
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: answers(gw) and child(gw) not in (None, pid))
    has_given_up(child(gw), "nobody", 0)


@as_root
def test_without_the_parent_one_capability_is_kept(open_gateway, upstream):
    up, low = upstream("a"), free_low_port()
    gw = open_gateway("nobody", manifests=small(up), port_map={80: low}, args=["--no-supervisor"])
    assert not children(gw.process.pid)
    has_given_up(gw.process.pid, "nobody", 1 << 10)
    assert answers(gw)


@as_root
def test_files_that_the_user_may_not_read_end_the_start(open_gateway, upstream):
    with pytest.raises(StartFailed) as failed:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tollgate-test-"))
        try:
            (folder / "a.yaml").write_text("")
            open_gateway("nobody", manifests=small(upstream("a")), paths=[folder])
        finally:
            shutil.rmtree(folder)
    assert failed.value.code == 1
    assert "runs as user nobody (--user)" in failed.value.text and "Permission denied to user 65534: give" in failed.value.text


def test_a_user_that_cannot_be_had_ends_the_start(tmp_path):
    said = tollgate("run", "-f", tmp_path, "--user", "no-such-user")
    assert said.returncode == 1 and "there is no user no-such-user" in said.stderr
    if os.geteuid() == 0:
        said = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", PROGRAM, "run", "-f", "/", "--user", "root"],
                              capture_output=True, text=True, check=False, timeout=60)
        assert said.returncode == 1 and "only root may become user root" in said.stderr


# ---- what a process keeps ----


def test_no_core_is_written_unless_asked_for(gateway, upstream):
    for args, limit in ([[], "0"], [["--core-dumps"], None]):
        gw = gateway(small(upstream("a")), args=args)
        core = next(line.split()[4] for line in pathlib.Path(f"/proc/{gw.process.pid}/limits").read_text().splitlines()
                    if line.startswith("Max core file size"))
        own = next(line.split()[4] for line in pathlib.Path("/proc/self/limits").read_text().splitlines()
                   if line.startswith("Max core file size"))
        assert core == (limit or own)


@pytest.mark.skipif(not has_sandbox(), reason="a sanitizer's runtime needs what the sandbox takes away")
def test_the_sandbox_is_on_unless_asked_otherwise(gateway, upstream):
    for args, seccomp in ([[], "2"], [SUPERVISED, "2"], [["--no-sandbox"], "0"]):
        gw = gateway(small(upstream("a")), args=args)
        for task in pathlib.Path(f"/proc/{child(gw) or gw.process.pid}/task").iterdir():
            assert status(task.name)["Seccomp"] == seccomp, f"{args} {(task / 'comm').read_text()}"
        assert answers(gw)


def logging_to(file):
    return thing(ENVOY_API, "EnvoyProxy", "proxy", {"telemetry": {"accessLog": {"settings": [
        {"format": {"type": "Text", "text": "%RESPONSE_CODE%\n"}, "sinks": [{"type": "File", "file": {"path": str(file)}}]}]}}})


def logged(up, file):
    manifests = small(up, logging_to(file))
    manifests[0]["spec"]["parametersRef"] = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "proxy",
                                             "namespace": "play"}
    return manifests


@pytest.mark.skipif(not has_sandbox(), reason="a sanitizer's runtime needs what the sandbox takes away")
def test_logs_go_to_the_folders_of_the_start_and_those_that_are_named(gateway, upstream, tmp_path):
    up = upstream("a")
    folders = [tmp_path / name for name in ("first", "named", "other")]
    for folder in folders:
        folder.mkdir()
    (folders[0] / "log").touch()  # from an earlier run
    gw = gateway(logged(up, folders[0] / "log"), args=["--log-folder", folders[1]])
    gw.request("/")
    eventually(lambda: (folders[0] / "log").read_text() == "200\n")
    os.rename(folders[0] / "log", folders[0] / "old")
    gw.signal(signal.SIGUSR1)
    eventually((folders[0] / "log").exists, what="the log of the start, made anew")
    gw.apply(logged(up, folders[1] / "log"))
    gw.request("/")
    eventually(lambda: (folders[1] / "log").read_text() == "200\n")
    gw.apply(logged(up, folders[2] / "log"))
    assert answers(gw) and not (folders[2] / "log").exists()


def test_a_log_folder_that_is_not_there_is_named(gateway, upstream, tmp_path):
    gw = gateway(small(upstream("a")), args=["--log-folder", tmp_path / "absent"])
    assert f"--log-folder {tmp_path}/absent: no log can be written there: No such file or directory" in gw.stderr()


def test_a_reload_reads_what_was_put_in_place_of_a_file_or_a_link(gateway, upstream, tmp_path):
    one, two = upstream("one"), upstream("two")
    for name, up in (("v1", one), ("v2", two)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "world.yaml").write_text(as_text(small(up)))
    (tmp_path / "now").symlink_to("v1")
    gw = gateway(paths=[tmp_path / "now"], ports=[80])
    assert answers(gw) and one.requests and not two.requests
    (tmp_path / "next").symlink_to("v2")
    before = gw.n_reloads("ok")
    (tmp_path / "next").rename(tmp_path / "now")
    gw.signal(signal.SIGHUP)
    eventually(lambda: gw.n_reloads("ok") > before, 15)
    assert answers(gw)
    eventually(lambda: two.requests)
