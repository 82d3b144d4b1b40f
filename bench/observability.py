"""What it costs to be observed: metrics that are scraped each second, the default JSON access log to a file, and traces of
1 % of the requests to a collector on loopback, all at once beside nothing of it. Imported by bench/run;
`bench/run --cases observability` runs this part alone.

Subjects of a case differ in nothing but that, and the claim is the difference of the CPU per request, of pairs. Metrics
cannot be off: their counting is in every subject, so what is seen of them is what scrapes add. The CPU is metered until
the last line and the last span are out, and a run is void too when a line, a scrape or the spans are missing: what was
dropped costs nothing. `collector.py` is the collector.
"""
import json
import math
import os
import re
import statistics
import sys
import threading
import time
import urllib.request

from common import interval, verdict, wait_until_quiet
from process import Meter, Process, free_port, run_of

LIMIT_US = 1.5
SCRAPE_EVERY_S = 1
N_SCRAPES = 100  # of an idle gateway, for the CPU of one
SAMPLING_PERCENT = 1
DEVIATIONS = 6  # of a binomial: never by chance
SETTLE_S = 10  # at most, until lines and spans are out; the gateway sends spans each second
CASES = {"200B-c50": "plain", "chat-c50": "full"}  # and the manifest that it goes through
LOG, TRACES, SCRAPES = "log", "traces", "scrapes"
SUBJECTS = {"unobserved": frozenset(), "scraped": {SCRAPES}, "observed": {LOG, TRACES, SCRAPES}}
SUBJECTS_OF = {"200B-c50": ("unobserved", "scraped", "observed"), "chat-c50": ("unobserved", "observed")}
COUNTED = {"unobserved": frozenset(), "access log": {LOG}, "traces of 1 %": {TRACES}, "both": {LOG, TRACES}}


def get(port, path="/"):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=SETTLE_S) as answer:
        return answer.read().decode()


class Scraper(threading.Thread):
    """Reads /metrics each second, as Prometheus does, from the processor of the load generator."""

    def __init__(self, port):
        super().__init__()
        self.port, self.n, self.has_failed, self.is_over = port, 0, False, threading.Event()

    def run(self):
        os.sched_setaffinity(0, {1})  # of this thread alone
        due = time.monotonic()
        while not self.is_over.wait(max(0, due - time.monotonic())):
            due += SCRAPE_EVERY_S
            try:
                self.has_failed |= "tollgate_build_info" not in get(self.port, "/metrics")
            except OSError:
                self.has_failed = True
            self.n += 1

    def stop(self):
        self.is_over.set()
        self.join()


class Gateway:
    """A gateway that is observed in some ways, or in none."""

    def __init__(self, bench, name, case, ways, collector, prefix=(), options=()):
        self.bench, self.case, self.ways, self.collector = bench, case, ways, collector
        self.key = f"{name.replace(' ', '-')}-{CASES[case]}"
        port, self.admin = free_port(), free_port()
        folder = bench.folder / f"observability-{port}"
        folder.mkdir()
        self.log = folder / "access.log"
        (folder / "manifests").mkdir()
        (folder / "manifests/m.yaml").write_text(self.manifest(port))
        command = [*prefix, *run_of(bench.tollgate, *options), "-f", folder / "manifests", "--workers", "1", "--log-level", "error",
                   "--admin", f"127.0.0.1:{self.admin}"]
        self.process = Process(self.key, command, port, 0, folder / "gateway.log")
        bench.started.append(self.process)
        bench.running[self.key] = self.process

    def manifest(self, port):
        """Of the main table, with the telemetry of these ways."""
        backend = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "collector"}
        telemetry = {"accessLog": {"settings": [{"sinks": [{"type": "File", "file": {"path": str(self.log)}}]}]}
                     if LOG in self.ways else {"disable": True}}
        if TRACES in self.ways:
            telemetry["tracing"] = {"samplingRate": SAMPLING_PERCENT, "provider": {"type": "OpenTelemetry", "backendRefs": [backend]}}
        api = "gateway.envoyproxy.io/v1alpha1"
        added = [{"apiVersion": api, "kind": "EnvoyProxy", "metadata": {"name": "bench"}, "spec": {"telemetry": telemetry}},
                 {"apiVersion": api, "kind": "Backend", "metadata": {"name": "collector"},
                  "spec": {"endpoints": [{"ip": {"address": "127.0.0.1", "port": self.collector.port}}]}}]
        text = (self.bench.root / f"bench/manifests/{CASES[self.case]}.yaml").read_text().split("---\n")
        text = [document for document in text if "\nkind: EnvoyProxy\n" not in document]
        for name, value in (("BACKEND_PORT", self.bench.backend.port), ("PORT", port), ("KEYS", self.bench.keys)):
            text = [document.replace(name, str(value)) for document in text]
        return "---\n".join([*text, *(json.dumps(document) + "\n" for document in added)])

    def metric(self, pattern):
        """The sum of the series that match."""
        return sum(map(float, re.findall(rf"^{pattern} (\S+)$", get(self.admin, "/metrics"), re.M)))

    def n_lost(self):
        """Lines and spans that were lost, as the gateway itself says."""
        return self.metric("tollgate_access_log_dropped_lines_total") + \
            self.metric(r'tollgate_telemetry_items_total\{(?=.*signal="traces")(?!.*outcome="taken").*\}')

    def n_lines(self):
        with open(self.log, "rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))

    def settle(self, n_requests, n_traces_before):
        """Waits for a line of each request and for the spans of the share that is traced; tells what is missing."""
        wanted = n_requests * SAMPLING_PERCENT / 100
        chance = DEVIATIONS * math.sqrt(wanted)
        deadline = time.monotonic() + SETTLE_S
        now = before = None
        while time.monotonic() < deadline:
            before, now = now, (self.n_lines() if LOG in self.ways else n_requests,
                                int(get(self.collector.port)) - n_traces_before if TRACES in self.ways else wanted)
            if now == before and now[0] >= n_requests and now[1] >= wanted - chance:
                break
            time.sleep(1.5 * SCRAPE_EVERY_S)  # spans wait for a second at most
        missing = [] if now[0] >= n_requests else [f"{n_requests - now[0]} of {n_requests} lines missing"]
        return missing if abs(now[1] - wanted) <= chance else [*missing, f"{now[1]} traces of {n_requests} requests"]

    def run(self):
        """One run; None when it is void."""
        n_traces, n_lost = int(get(self.collector.port)), self.n_lost()
        if LOG in self.ways:
            os.truncate(self.log, 0)
        scraper = Scraper(self.admin) if SCRAPES in self.ways else None
        meter = Meter(self.process)
        if scraper:
            scraper.start()
        try:
            row = self.bench.load(self.key, self.case, self.bench.args.seconds, self.bench.args.warmup)
        finally:
            if scraper:
                scraper.stop()
        faults = self.settle(row["requests"], n_traces) if row else ["a request failed"]
        used = meter.read()
        if scraper and (scraper.has_failed or scraper.n < self.bench.args.seconds // SCRAPE_EVERY_S):
            faults.append("a scrape failed")
        if not used:
            faults.append("a process has ended")
        elif n_lost != self.n_lost():
            faults.append(f"{self.n_lost() - n_lost:.0f} lines and spans lost")
        if faults:
            print(f"{self.key}: void: {', '.join(faults)}", file=sys.stderr)
            return None
        row["cpu_us"], row["sched_us"] = (seconds * 1e6 / row["requests"] for seconds in used)
        return row

    def scrape_us(self):
        """CPU of one scrape, of the series that the load has left."""
        meter = Meter(self.process)
        for _ in range(N_SCRAPES):
            size = len(get(self.admin, "/metrics"))
        used = meter.read()
        return (used[1] * 1e6 / N_SCRAPES, size) if used else None

    def stop(self):
        self.bench.running.pop(self.key)
        self.process.stop()


def measure(bench, gateways):
    samples = {key: [] for key in gateways}
    for round_number in range(bench.args.pairs):
        for key in list(gateways)[:: -1 if round_number % 2 else 1]:
            wait_until_quiet()
            samples[key].append(gateways[key].run())
    return samples, sum(row is None for rows in samples.values() for row in rows)


def added(samples, case, subject):
    """Microseconds of CPU that it adds, of each pair."""
    pairs = zip(samples[case, subject], samples[case, "unobserved"])
    return interval([a["cpu_us"] - b["cpu_us"] for a, b in pairs if a and b])


def table(samples, n_void):
    lines = ["", "| observability | case | req/s | p99 us | CPU us/req | schedstat | added CPU us/req (95 %) |", "|---|---|--:|--:|--:|--:|---|"]
    rows = []
    for (case, subject), found in samples.items():
        good = [row for row in found if row]
        if not good:
            lines.append(f"| {subject} | {case} | every run was void | | | | |")
            continue
        rate, p99, cpu, sched = (statistics.median(values) for values in zip(*(
            (row["measured"] / row["seconds"], row["p99_us"], row["cpu_us"], row["sched_us"]) for row in good)))
        difference = None if subject == "unobserved" else added(samples, case, subject)
        text = f"{difference[0]:.2f} ({difference[1]:.2f}-{difference[2]:.2f})" if difference else ""
        lines.append(f"| {subject} | {case} | {rate:.0f} | {p99:.0f} | {cpu:.2f} | {sched:.2f} | {text} |")
        rows.append({"subject": subject, "case": f"observability-{case}", "requests_per_second": round(rate, 1), "p99_us": p99,
                     "cpu_us_per_request": round(cpu, 2), "schedstat_us_per_request": round(sched, 2),
                     "added_us_per_request": round(difference[0], 3) if difference else 0, "runs": len(good)})
    return [*lines, f"\n{n_void} void runs (a request failed; a line, a span or a scrape was missing)."], rows


def bars(samples):
    lines = ["", "| bar | limit | measured (95 %) | |", "|---|--:|---|---|"]
    for case, manifest in CASES.items():
        text = f"metrics scraped, JSON access log and traces of {SAMPLING_PERCENT} %, added CPU us/req, {manifest}, {case}"
        found = added(samples, case, "observed")
        if found:
            lines.append(f"| {text} | {LIMIT_US:.2f} | {found[0]:.2f} ({found[1]:.2f}-{found[2]:.2f}) | {verdict(found[1], LIMIT_US)} |")
        else:
            lines.append(f"| {text} | {LIMIT_US:.2f} | every run of a pair was void | **missed** |")
    return lines


def scrape_line(gateway):
    found = gateway.scrape_us()
    return ["", f"A scrape of the idle gateway, {found[1] / 1024:.0f} KiB: {found[0]:.0f} us of CPU."] if found else []


def count_once(bench, case, name, ways, collector, n):
    """User-space instructions of a process that serves n requests, all its threads, start and end included."""
    out = bench.folder / f"callgrind.observability.{free_port()}"
    gateway = Gateway(bench, name, case, ways, collector, ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"], ["--no-sandbox"])
    row = bench.load(gateway.key, case, 0, 0, requests=n, connections=8)
    gateway.stop()
    found = re.search(r"^(?:summary|totals): (\d+)", out.read_text(), re.M) if out.exists() else None
    return (row["requests"], int(found[1])) if row and found else None


def counts(bench, collector):
    """Counting is repeatable where timing is not; which requests are traced is drawn, so that share varies a little."""
    lines = ["", "| observability | case | instructions/request (user space) |", "|---|---|--:|"]
    for case in CASES:
        for name, ways in COUNTED.items():
            few, many = (count_once(bench, case, name, ways, collector, n) for n in (2000, 6000))
            each = round((many[1] - few[1]) / (many[0] - few[0])) if few and many else "-"
            lines.append(f"| {name} | {case} | {each} |")
    return lines


def measure_observability(bench, subjects):
    if "tollgate" not in subjects:
        return [], []
    port = free_port()
    collector = Process("collector", [sys.executable, bench.root / "bench/collector.py", port], port, 1, bench.folder / "collector.log")
    bench.started.append(collector)
    gateways = {(case, subject): Gateway(bench, subject, case, SUBJECTS[subject], collector)
                for case, case_subjects in SUBJECTS_OF.items() for subject in case_subjects}
    samples, n_void = measure(bench, gateways)
    lines, rows = table(samples, n_void)
    lines += scrape_line(gateways["200B-c50", "scraped"]) + bars(samples)
    for gateway in gateways.values():
        gateway.stop()
    if not bench.args.no_extras:
        lines += counts(bench, collector)
    collector.stop()
    return lines, rows
