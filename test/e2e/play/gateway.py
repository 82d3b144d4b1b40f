"""The real binary, started on a folder of manifests and free ports, and stopped with a check that it
ended cleanly."""
import json
import os
import pathlib
import re
import signal
import subprocess

import yaml

from . import client
from .deadline import FACTOR, eventually
from .ports import free_port

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("TOLLGATE_BUILD", ROOT / "build"))
PROGRAM = BUILD / "src/app/tollgate"
SHIPPED = ROOT / "config/envoy-gateway"
REPORTS = re.compile(r"Sanitizer|runtime error:|Assertion|ASSERT|data race")


class StartFailed(Exception):
    def __init__(self, code, text):
        super().__init__(f"exit code {code}: {text}")
        self.code, self.text = code, text


def tollgate(*args, seconds=60, **more):
    """Runs a subcommand that ends by itself."""
    return subprocess.run([str(PROGRAM), *map(str, args)], capture_output=True, text=True, check=False,
                          timeout=seconds * FACTOR, **more)


def as_text(manifests):
    """Dicts, lists of them, YAML texts: one multi-document text."""
    if isinstance(manifests, str):
        return manifests
    if isinstance(manifests, dict):
        return yaml.safe_dump(manifests, sort_keys=False)
    return "---\n".join(as_text(part) for part in manifests)


def listener_ports(paths):
    ports = set()
    for path in paths:
        files = [path] if path.is_file() else sorted(path.rglob("*.y*ml"))
        for file in files:
            try:
                documents = list(yaml.safe_load_all(file.read_text()))
            except (yaml.YAMLError, UnicodeDecodeError, OSError):
                continue
            for document in documents:
                if isinstance(document, dict) and document.get("kind") == "Gateway":
                    for listener in document.get("spec", {}).get("listeners") or []:
                        ports.add(listener.get("port"))
    return sorted(port for port in ports if isinstance(port, int))


class Record(dict):
    """Of the access log. What is the gateway's own is left out where there is nothing to say."""
    OWN = {"tenant", "model", "jwt_sub", "model_served", "tokens_in", "tokens_cached", "tokens_out", "tokens_reasoning",
           "tokens_total", "tokens_source", "first_token_ms", "ai_service", "attempts", "grpc_status"}

    def __missing__(self, name):
        if name not in self.OWN:
            raise KeyError(name)


class Gateway:
    def __init__(self, folder, manifests=(), paths=(), args=(), env=None, ports=(), drain=("0", "10"), until="/ready", port_map=(), prefix=()):
        self.folder = folder
        self.manifests = folder / "manifests"
        self.manifests.mkdir(parents=True, exist_ok=True)
        if manifests:
            self.write("world.yaml", manifests)
        self.paths = [self.manifests, *map(pathlib.Path, paths)]
        self._map = {port: free_port() for port in {*listener_ports(self.paths), *ports}}
        self._map.update(port_map)
        self.admin_port = free_port()
        self._args = list(args)
        self._drain = drain
        self._until = until
        self._prefix = list(prefix)  # of the command: what it is run by
        self._env = env or {}
        self.process = None

    # ---- life ----

    def command(self):
        command = [*self._prefix, str(PROGRAM), "run"]
        for path in self.paths:
            command += ["-f", str(path)]
        for port, bound in self._map.items():
            command += ["--port-map", f"{port}={bound}"]
        if self._drain:
            command += ["--drain-delay", self._drain[0], "--drain-timeout", self._drain[1]]
        if "--workers" not in self._args:
            command += ["--workers", "2"]
        if os.geteuid() == 0 and "--user" not in self._args:
            command += ["--user", "root"]  # the tests' folders are root's alone
        return [*command, "--admin", f"127.0.0.1:{self.admin_port}", *self._args]

    def start(self):
        self._out = open(self.folder / "stdout", "wb")
        self._err = open(self.folder / "stderr", "wb")
        self.process = subprocess.Popen(self.command(), stdout=self._out, stderr=self._err,
                                        env={**os.environ, **self._env})
        eventually(self._is_up, 20, "the gateway to be ready")
        return self

    def _is_up(self):
        if self.process.poll() is not None:
            code, self.process = self.process.returncode, None
            raise StartFailed(code, self.stderr())
        try:
            return self.get_admin(self._until).status == 200
        except OSError:
            return False

    def signal(self, number):
        self.process.send_signal(number)

    def is_stopped(self):
        """By SIGSTOP: each thread of it, for they do not stop at once."""
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/stat")
        return all(stat.read_text().rpartition(")")[2].split()[0] == "T" for stat in tasks)

    def wait(self, seconds=20):
        return self.process.wait(seconds * FACTOR)

    def stop(self, expected=0):
        """Ends it, if it runs, and checks that it ended well."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
            try:
                self.wait()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"did not end after SIGTERM\n{self.stderr()[-4000:]}") from None
        code, self.process = self.process.returncode, None
        self._out.close()
        self._err.close()
        report = REPORTS.search(self.stderr())
        assert not report, self.stderr()[-8000:]
        assert code == expected, f"exit code {code}\n{self.stderr()[-4000:]}"

    # ---- configuration ----

    def write(self, name, manifests):
        """Puts a file in place at one stroke."""
        temporary = self.folder / f".{name}.new"
        temporary.write_text(as_text(manifests))
        temporary.rename(self.manifests / name)

    def n_reloads(self, result):
        return self.metric("tollgate_reloads_total", result=result)

    def apply(self, manifests, name="world.yaml", result="ok"):
        """Changes a file and waits until the watch has reloaded it (or refused to)."""
        before = self.n_reloads(result)
        self.write(name, manifests)
        eventually(lambda: self.n_reloads(result) > before, 15, f"a reload: {result}")

    def reload(self, result="ok"):
        before = self.n_reloads(result)
        self.signal(signal.SIGHUP)
        eventually(lambda: self.n_reloads(result) > before, 15, f"a reload: {result}")

    # ---- talking to it ----

    def port(self, number=80):
        return self._map[number]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port(80)}"

    @property
    def https_url(self):
        return f"https://127.0.0.1:{self.port(443)}"

    def request(self, path="/", method=None, port=80, **more):
        return client.request(self.port(port), path, method, **more)

    def raw(self, data=b"", port=80, **more):
        return client.Raw(self.port(port), data, **more)

    def get_admin(self, path, **more):
        return client.request(self.admin_port, path, host=f"127.0.0.1:{self.admin_port}", **more)

    def status(self):
        return self.get_admin("/status").json

    def metric(self, name, **labels):
        """The sum of the series that carry these labels."""
        total = 0.0
        for line in self.get_admin("/metrics").body.decode().splitlines():
            match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if match and match[1] == name:
                have = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or ""))
                if all(have.get(key) == value for key, value in labels.items()):
                    total += float(match[3])
        return total

    # ---- what it says ----

    def stderr(self):
        return (self.folder / "stderr").read_text(errors="replace")

    def log(self):
        """The access-log records so far."""
        records = []
        for line in (self.folder / "stdout").read_text(errors="replace").splitlines():
            if line.startswith("{") and line.endswith("}"):
                records.append(Record(json.loads(line)))
        return records

    def wait_log(self, check, what="an access-log record"):
        return eventually(lambda: next((r for r in self.log() if check(r)), None), 10, what)
