"""As a service: what a manager hears (systemd's protocol, at a socket of the test), below a parent and in the sandbox,
and the unit that is shipped."""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

from play.deadline import FACTOR
from play.gateway import PROGRAM, ROOT, Gateway
from play.manifests import backend, http_listener, route, rule, world
from play.ports import free_low_port

UNIT = ROOT / "packaging/systemd/tollgate.service"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
with_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")


class Manager:
    """Listens where a manager would."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("")  # a name that the kernel chooses, for every user
        self.socket.settimeout(20 * FACTOR)
        self.env = {"NOTIFY_SOCKET": "@" + self.socket.getsockname()[1:].decode()}

    def hear(self):
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())

    def hears_nothing_more(self):
        self.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            self.socket.recv(4096)


@pytest.fixture
def manager():
    made = Manager()
    yield made
    made.socket.close()


@pytest.fixture
def open_folder():
    """A folder that any user can read."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tollgate-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def small(up):
    return world(backend("a", up), route("r", rule("a")))


def life(gw, manager, up):
    """Ready with open ports, loading anew for better and worse, ending."""
    assert manager.hear() == {"READY": "1", "STATUS": "serving"}
    assert gw.request("/").status == 200
    gw.apply(small(up))
    assert manager.hear().keys() == {"RELOADING", "MONOTONIC_USEC"}
    ready = manager.hear()
    assert ready["READY"] == "1" and ready["STATUS"] == "generation 2 serves"
    gw.apply("kind: [", result="failed")
    assert manager.hear()["RELOADING"] == "1"
    ready = manager.hear()
    assert ready["READY"] == "1" and ready["STATUS"].startswith("kept generation 2: ")


@pytest.mark.parametrize("args", [["--no-supervisor"], ["--supervisor"]], ids=["alone", "below a parent"])
def test_a_manager_hears_of_each_state(gateway, upstream, manager, args):
    up = upstream("a")
    gw = gateway(small(up), args=args, env=manager.env)
    life(gw, manager, up)
    gw.signal(signal.SIGTERM)
    assert manager.hear() == {"STOPPING": "1"}
    assert gw.wait() == 0
    manager.hears_nothing_more()


@as_root
@pytest.mark.parametrize("args", [["--no-supervisor"], []], ids=["alone", "below a parent"])
def test_another_user_in_the_sandbox_tells_it_too(upstream, manager, open_folder, args):
    up = upstream("a")
    gw = Gateway(open_folder, small(up), args=["--user", "nobody", *args], env=manager.env).start()
    try:
        life(gw, manager, up)
    finally:
        gw.stop()
    assert manager.hear() == {"STOPPING": "1"}


def test_the_next_child_of_a_parent_is_ready_too(gateway, upstream, manager):
    gw = gateway(small(upstream("a")), args=["--supervisor"], env=manager.env)
    assert manager.hear()["READY"] == "1"
    child, = pathlib.Path(f"/proc/{gw.process.pid}/task/{gw.process.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGKILL)
    assert manager.hear()["READY"] == "1"


def test_who_cannot_start_is_not_ready(gateway, manager, tmp_path):
    run = subprocess.run([PROGRAM, "run", "-f", tmp_path / "nowhere", "--user", "root"] if os.geteuid() == 0 else
                         [PROGRAM, "run", "-f", tmp_path / "nowhere"],
                         env={**os.environ, **manager.env}, capture_output=True, check=False, timeout=60)
    assert run.returncode == 1
    manager.hears_nothing_more()


def test_a_manager_that_is_not_there_is_no_reason_not_to_serve(gateway, upstream):
    gw = gateway(small(upstream("a")), env={"NOTIFY_SOCKET": "/no/such/socket"})
    assert gw.request("/").status == 200 and "NOTIFY_SOCKET" in gw.stderr()


# ---- the unit ----

def settings(name):
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)


@with_systemd
def test_the_unit_is_understood_and_takes_away_what_it_can(tmp_path):
    copy = tmp_path / "tollgate.service"
    copy.write_text(UNIT.read_text().replace("/usr/local/bin/tollgate", str(PROGRAM)).replace("Documentation=man:tollgate(1)\n", ""))
    verified = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    assert verified.returncode == 0 and str(copy) not in verified.stderr, verified.stderr
    judged = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--threshold=16", copy],
                            capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stdout


def system_calls(names):
    """Those of a set of systemd's, with what it includes."""
    calls = set()
    for name in names:
        if name.startswith("@"):
            shown = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True).stdout
            calls |= system_calls(re.findall(r"^    ([@a-z0-9_-]+)$", shown, re.MULTILINE))
        else:
            calls.add(name)
    return calls


@with_systemd
def test_the_unit_leaves_the_gateway_what_its_sandbox_does():
    allowed = set()
    for line in settings("SystemCallFilter"):
        if line.startswith("~"):
            allowed -= system_calls(line[1:].split())
        else:
            allowed |= system_calls(line.split())
    source = (ROOT / "src/app/syscall_filter.c").read_text().split("filter_deadly[]")
    needed = set(re.findall(r"SCMP_SYS\((\w+)\)", source[0])) | set(re.findall(r"{SCMP_SYS\((\w+)\)", source[1]))
    assert len(needed) > 80 and needed <= allowed, needed - allowed
    # Landlock and the filter themselves; its own start.
    assert {"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "seccomp", "prctl", "execve"} <= allowed
    assert not {"mount", "ptrace", "bpf", "reboot", "init_module", "setuid"} & allowed


def test_the_unit_starts_it_anew_for_ever_but_for_a_wrong_command_line():
    assert settings("Restart") == ["on-failure"] and settings("StartLimitIntervalSec") == ["0"]
    assert settings("RestartPreventExitStatus") == ["2"]
    assert subprocess.run([PROGRAM, "run"], capture_output=True, check=False).returncode == 2


def test_the_unit_starts_what_the_program_understands():
    command, = settings("ExecStart")
    run = subprocess.run([PROGRAM, *command.split()[1:], "--no-such-option"], capture_output=True, text=True, check=False)
    assert run.returncode == 2 and "unknown option --no-such-option" in run.stderr, run.stderr
    stop_s = int(settings("TimeoutStopSec")[0].removesuffix("s"))
    shown = subprocess.run([PROGRAM, "run", "--help"], capture_output=True, text=True, check=True).stdout
    assert stop_s > sum(int(s) for s in re.findall(r"--drain-\w+ S .*\((\d+)\)", shown)) > 0


@as_root
def test_it_serves_as_the_unit_leaves_it(upstream, manager, open_folder):
    """A user with one right, no /proc but processes, no new privileges: low ports and IPv6 are served."""
    up, low = upstream("a"), free_low_port()
    bare = ("mount -t proc -o subset=pid proc /proc && exec setpriv --reuid nobody --regid nogroup --clear-groups "
            "--inh-caps -all,+net_bind_service --ambient-caps -all,+net_bind_service --bounding-set -all,+net_bind_service "
            "--no-new-privs \"$@\"")
    prefix = ["unshare", "--mount", "sh", "-c", bare, "sh"]
    gw = Gateway(open_folder, world(backend("a", up), route("r", rule("a")), listeners=[http_listener(port=low)]),
                 port_map={low: low}, prefix=prefix, env=manager.env, args=["--no-supervisor", "--user", "nobody"]).start()
    try:
        assert manager.hear()["READY"] == "1"
        assert gw.request("/", port=low).status == 200
        if pathlib.Path("/proc/net/if_inet6").exists() and socket.has_ipv6:
            with socket.create_connection(("::1", low), timeout=10 * FACTOR) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                assert client.recv(100).startswith(b"HTTP/1.1 200")
    finally:
        gw.stop()
