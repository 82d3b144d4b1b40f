"""The command line as people meet it: help, the manual, completion as the shells themselves do it, colour, and errors
that name the next step."""
import getpass
import os
import pty
import re
import select
import shlex
import socket
import subprocess
import time

import pytest

from play.deadline import FACTOR
from play.gateway import PROGRAM, ROOT, as_text, tollgate
from play.manifests import backend, route, rule, world

COMMANDS = re.findall(r"^  ([a-z]+) ", tollgate("--help").stdout.split("examples:")[0], re.MULTILINE)


def test_there_are_commands():
    assert {"run", "check", "docs", "completion", "version", "help"} <= set(COMMANDS)


@pytest.mark.parametrize("args", [(), ("help",), ("--help",), ("-h",)])
def test_the_help_fits_a_screen(args):
    run = tollgate(*args)
    lines = run.stdout.splitlines()
    assert run.returncode == 0 and not run.stderr and len(lines) <= 24 and max(map(len, lines)) <= 80


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_its_help_with_examples(command):
    run = tollgate(command, "--help")
    assert run.returncode == 0 and "examples:\n" in run.stdout and max(map(len, run.stdout.splitlines())) <= 80
    assert tollgate("help", command).stdout == run.stdout
    assert f"usage: tollgate {command}" in run.stdout or command == "help"


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_are_lines_that_the_program_understands(command):
    """Each is parsed as a shell would pass it, and asks for help besides, so that nothing starts."""
    lines = re.findall(r"^  (?:source <\()?(tollgate [^|>)\n]*)", tollgate(command, "--help").stdout.split("examples:")[1], re.MULTILINE)
    assert lines
    for line in lines:
        words = shlex.split(line)[1:]
        run = tollgate(*words, "--no-such-option")
        assert run.returncode == 2 and "no-such-option" in run.stderr, (line, run.stderr)


@pytest.mark.parametrize("args, says", [
    (("chek", "-f", "x"), ["unknown command chek; did you mean check?", "See tollgate --help."]),
    (("check", "-f", "x", "--formt", "json"), ["did you mean --format?", "See tollgate check --help."]),
    (("run", "-f", "x", "--format", "json"), ["--format is not for this command but for: check", "See tollgate run --help."]),
    (("check", "x"), ["unexpected argument x; did you mean -f x?"]),
    (("check",), ["no manifests: give -f PATH"]),
    (("docs", "limit"), ["no page named limit; there are: config", "See tollgate docs --help."]),
    (("completion", "csh"), ["no completion for csh, but for: bash zsh fish", "See tollgate completion --help."]),
])
def test_a_wrong_line_is_told_the_next_step(args, says):
    run = tollgate(*args)
    assert run.returncode == 2 and not run.stdout
    assert all(word in run.stderr for word in says), run.stderr


# ---- the manual ----

@pytest.fixture
def manual(tmp_path):
    file = tmp_path / "tollgate.1"
    file.write_text(tollgate("docs", "man").stdout)
    return file


def test_the_manual_is_clean(manual):
    lint = subprocess.run(["mandoc", "-Tlint", manual], capture_output=True, text=True, check=False)
    assert lint.returncode == 0 and not lint.stdout and not lint.stderr, lint.stdout


def test_the_manual_says_what_the_help_says(manual):
    shown = subprocess.run(["mandoc", "-Tascii", "-O", "width=200", manual], capture_output=True, text=True, check=True).stdout
    shown = re.sub(".\b", "", shown)
    for command in COMMANDS:
        assert f"tollgate {command}" in shown
        for option in re.findall(r"^  (?:-., )?(--?[a-z-]+)", tollgate(command, "--help").stdout, re.MULTILINE):
            assert re.search(rf"^ +(-., )?{option}\b", shown, re.MULTILINE), option


# ---- completion ----

@pytest.fixture(scope="session")
def scripts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("completion")
    (folder / "bin").mkdir()
    (folder / "bin/tollgate").symlink_to(PROGRAM)
    for shell in ("bash", "zsh", "fish"):
        (folder / shell).write_text(tollgate("completion", shell).stdout)
    (folder / "manifests").mkdir()
    return folder


def bash(scripts, line):
    """What the completion function makes of a line, split at = as readline does."""
    words = [word for part in line.split(" ") for word in re.split("(=)", part) if word or not part]
    quoted = " ".join(shlex.quote(word) for word in words)
    text = f"source {scripts}/bash\nCOMP_WORDS=({quoted})\nCOMP_CWORD={len(words) - 1}\n_tollgate\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
    run = subprocess.run(["bash", "--norc", "-euc", text], capture_output=True, text=True, check=False, cwd=scripts)
    assert run.returncode == 0 and not run.stderr, run.stderr
    return run.stdout.split()


def fish(scripts, line):
    run = subprocess.run(["fish", "--no-config", "-c", f"source {scripts}/fish; complete -C {shlex.quote(line)}"],
                         capture_output=True, text=True, check=False, cwd=scripts, env={**os.environ, "HOME": str(scripts)})
    assert run.returncode == 0 and not run.stderr, run.stderr
    return [entry.split("\t")[0] for entry in run.stdout.splitlines()]


@pytest.mark.parametrize("shell", [bash, fish])
@pytest.mark.parametrize("line, offered, withheld", [
    ("tollgate ", {"run", "check", "docs", "completion"}, {"--port-map"}),
    ("tollgate ru", {"run"}, {"check"}),
    ("tollgate run --po", {"--port-map"}, {"--probe"}),
    ("tollgate check --", {"--format", "--fail-on", "--strict", "--help"}, {"--port-map"}),
    ("tollgate check --format ", {"text", "json", "sarif"}, {"--strict"}),
    ("tollgate check --format=s", {"sarif"}, {"text"}),
    ("tollgate run -f ", {"manifests"}, {"--workers"}),
    ("tollgate run --file", {"--filename"}, {"--format"}),
    ("tollgate check --filename ", {"manifests"}, {"--strict"}),
    ("tollgate docs -f ", set(), {"manifests"}),
    ("tollgate run -f bin mani", {"manifests"}, {"--workers"}),
    ("tollgate docs re", {"refusals"}, {"limits"}),
    ("tollgate help ", {"run", "check"}, {"--format"}),
    ("tollgate completion ", {"bash", "zsh", "fish"}, {"run"}),
    ("tollgate get ga", {"gateways", "gatewayclasses"}, {"all", "backends"}),
    ("tollgate describe ", {"httproutes", "aigatewayroutes"}, {"all"}),
    ("tollgate rollback ", {"previous", "latest"}, {"--force"}),
    ("tollgate rollback previous -f ", {"manifests"}, {"--force"}),
])
def test_completion_offers_what_fits(scripts, shell, line, offered, withheld):
    given = {re.sub(r"^--[a-z-]+=", "", word).rstrip("/") for word in shell(scripts, line)}
    assert offered <= given, given
    assert not withheld & given, given


class Zsh:
    """An interactive zsh on a terminal of ours, which completes as for anybody."""

    def __init__(self, scripts):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(scripts)
            os.execvpe("zsh", ["zsh", "-f", "-i"], {**os.environ, "TERM": "vt100", "PS1": "> ", "HOME": str(scripts),
                                                    "PATH": f"{scripts}/bin:{os.environ['PATH']}"})
        self.expect("> ")
        self.send(f"autoload -Uz compinit; compinit -D -u; source {scripts}/zsh; print re''ady\n")
        self.expect("ready")

    def send(self, text):
        os.write(self.fd, text.encode())

    def expect(self, pattern, seconds=20):
        got, end = "", time.monotonic() + seconds * FACTOR
        while not re.search(pattern, got):
            ready, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
            assert ready, f"no {pattern} in {got!r}"
            got += os.read(self.fd, 4096).decode(errors="replace")
            got = re.sub("\x1b\\[[0-9;?]*[A-Za-z]|\x00", "", got)  # what a terminal shows of it
        return got

    def close(self):
        os.close(self.fd)  # its terminal is gone: it ends
        os.waitpid(self.pid, 0)


def test_zsh_completes(scripts):
    zsh = Zsh(scripts)
    try:
        for typed, becomes in [("tollgate comp", "completion "), ("tollgate run --port", "--port-map="),
                               ("tollgate check --format s", "sarif"), ("tollgate check --format=j", "json"),
                               ("tollgate docs ref", "refusals"), ("tollgate run -f mani", "manifests"),
                               ("tollgate help ver", "version"), ("tollgate get grpcr", "grpcroutes "),
                               ("tollgate rollback pre", "previous ")]:
            zsh.send(typed + "\t")
            zsh.expect(re.escape(becomes))
            zsh.send("\x15\n")
            zsh.expect("> ")
        zsh.send("tollgate check --\t")
        listed = zsh.expect(r"(?s)--format.*--strict")
        assert "--port-map" not in listed and "how findings are printed" in listed
    finally:
        zsh.close()


# ---- colour ----

def on_a_terminal(args, env):
    """What the program writes to a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([str(PROGRAM), *map(str, args)], stdout=theirs, stderr=theirs, env={**os.environ, **env}) as process:
        os.close(theirs)
        said = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # its other end is closed
                break
            if not part:
                break
            said += part
    os.close(ours)
    assert process.returncode in (0, 1)
    return said.decode()


def test_colour_is_for_terminals_whose_user_wants_it(tmp_path):
    file = tmp_path / "world.yaml"
    file.write_text(as_text(world(backend("a", 1), route("r", rule({"name": "elsewhere", "port": 80})))))
    args = ["check", "-f", file]
    assert "\x1b[36m" in on_a_terminal(args, {"NO_COLOR": ""})
    assert "\x1b" not in on_a_terminal(args, {"NO_COLOR": "1"})
    assert "\x1b" not in on_a_terminal([*args, "--format", "json"], {"NO_COLOR": ""})
    assert "\x1b" not in tollgate(*args).stdout


def test_the_packages_of_these_tests_are_listed():
    listed = (ROOT / "tools/packages.txt").read_text().split()
    assert {"zsh", "fish", "mandoc"} <= set(listed)


def test_what_is_not_there_is_told_with_the_way_out(tmp_path):
    (tmp_path / "world.yaml").write_text(as_text(world(backend("a", 1), route("r", rule("a")))))
    run = ["run", "-f", tmp_path, "--admin", "off", "--no-supervisor", "--user", "root" if os.geteuid() == 0 else getpass.getuser()]
    for args, says in [((*run, "--takeover", tmp_path / "no/socket"), "there is no such folder: make it"),
                       ((*run, "--takeover", tmp_path), "what stands there is no socket: give another path"),
                       ((*run, "--state-folder", tmp_path / "no"), "there is no such folder: make it"),
                       ((*run, "--state-folder", tmp_path / "world.yaml"), "it is no folder, or a link"),
                       (("history", "--state-folder", tmp_path / "world.yaml"), "it is no folder, or a link"),
                       (("logs", "--admin", "127.0.0.1:1"), "; --admin ADDR:PORT says where one does")]:
        said = tollgate(*args)
        assert said.returncode == 1 and says in said.stderr, (args, said.stderr)


def test_a_port_that_is_taken_is_told_with_the_way_out(tmp_path):
    (tmp_path / "world.yaml").write_text(as_text(world(backend("a", 1), route("r", rule("a")))))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        args = ["run", "-f", tmp_path, "--user", "root" if os.geteuid() == 0 else getpass.getuser()]
        run = tollgate(*args, "--admin", "off", "--port-map", f"80={port}")
        assert run.returncode == 1 and "in use by another program (--port-map 80=PORT serves it elsewhere)" in run.stderr
        run = tollgate(*args, "--admin", f"127.0.0.1:{port}", "--port-map", f"80={port}")
        assert run.returncode == 1 and f"--admin 127.0.0.1:{port}: the port is in use by another program (give another port, or off)" in run.stderr
