"""The processes of a run: subjects and backends, each pinned to a processor, and the CPU that one uses with all its
children (Tollgate and nginx may serve in a child)."""
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def fill(template, target, **values):
    text = template.read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace(key, str(value))
    target.write_text(text, encoding="utf-8")
    return target


def run_of(binary, *options):
    """`binary run`; as root it stays root, for the bench's folders are its own. An earlier build has no such options."""
    # A command has its own help since they are many; before, one page had all.
    known = "".join(subprocess.run([binary, *words, "--help"], capture_output=True, text=True, check=False).stdout
                    for words in ([], ["run"]))
    if os.geteuid() == 0:
        options = ["--user", "root", *options]
    return [binary, "run", *(options if "--user" in known else [])]


def children(pid):
    found = set()
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found |= {int(child) for child in task.read_text().split()}
        except OSError:
            pass  # the thread has ended
    return found


def schedstat_seconds(pid):
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            total += int(task.read_text().split()[0])
        except OSError:
            pass  # the thread has ended
    return total / 1e9


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


class Process:
    """A subject or the backend, pinned, stopped by its own id."""

    def __init__(self, name, command, port, cpu, log):
        self.name, self.port = name, port
        with open(log, "ab") as out:
            self.process = subprocess.Popen(["taskset", "-c", str(cpu), *map(str, command)], stdout=out, stderr=out)
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.02)
        sys.exit(f"bench: {name} does not start; see {log}:\n{pathlib.Path(log).read_text(errors='replace')[-2000:]}")

    @property
    def pid(self):
        return self.process.pid

    def tree(self):
        found, new = set(), {self.pid}
        while new:
            found |= new
            new = set().union(*map(children, new)) - found
        return frozenset(found)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def start(bench, name, command_of):
    """A subject of one part of the benchmark, on a port of its own."""
    port = free_port()
    process = Process(name, command_of(port), port, 0, bench.folder / f"{name}.log")
    bench.started.append(process)
    return process


class Meter:
    """What a process and its children use from now until `read`: (seconds by ticks, by schedstat), or None when other
    processes are there than were (a child was restarted: what the former one used is not known)."""

    def __init__(self, process):
        self.process, self.pids = process, process.tree()
        self.before = self.sums()

    def sums(self):
        try:
            return sum(map(cpu_seconds, self.pids)), sum(map(schedstat_seconds, self.pids))
        except OSError:
            return None  # one of them has ended

    def read(self):
        after = self.sums()
        if self.before is None or after is None or self.process.tree() != self.pids:
            return None
        return after[0] - self.before[0], after[1] - self.before[1]
