"""TLS handshakes per CPU second, Tollgate beside nginx, with the same certificate (ECDSA P-256): full and resumed by ticket,
with TLS 1.3 and 1.2. Imported by bench/run; `bench/run --cases tls` runs this part alone.

Each connection is one handshake and one request of 200 B that is relayed, with Connection: close; `handshake_load.c` says
what it fixes of the algorithms and when a connection has failed. The CPU is that of the whole connection, so the shares of
accepting, relaying and closing are in it, alike for both.
"""
import base64
import itertools
import json
import re
import statistics
import subprocess

from common import interval, verdict_at_least, wait_until_quiet
from process import Meter, free_port, start

CLIENTS = 16
VERSIONS, KINDS = ("1.3", "1.2"), ("full", "resumed")
SUBJECTS = ("nginx", "tollgate")
LEAST = 0.95
COUNTED = (40, 160)  # connections


def make_certificate(folder):
    """Its files; openssl does the cryptography."""
    certificate, key = folder / "tls.crt", folder / "tls.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=bench.local", "-addext", "subjectAltName=DNS:bench.local", "-out", certificate, "-keyout", key],
                   check=True, capture_output=True)
    return certificate, key


def run_once(bench, process, version, kind):
    """One run; None when a connection failed."""
    command = ["taskset", "-c", "1", bench.build / "bench/handshake_load", process.port, CLIENTS, bench.args.seconds,
               bench.folder / "tls.request", 200, version, kind]
    meter = Meter(process)
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=bench.args.seconds + 60)
    used = meter.read()
    if done.returncode != 0 or used is None:
        return None
    row = json.loads(done.stdout)
    row["cpu_us"], row["sched_us"] = (seconds * 1e6 / row["connections"] for seconds in used)
    return row


def measure(bench, processes):
    """{(version, kind, subject): rows}, and the number of void runs."""
    samples = {key: [] for key in itertools.product(VERSIONS, KINDS, processes)}
    for round_number in range(bench.args.pairs):
        for version, kind in itertools.product(VERSIONS, KINDS):
            for subject in list(processes)[:: -1 if round_number % 2 else 1]:
                wait_until_quiet()
                samples[version, kind, subject].append(run_once(bench, processes[subject], version, kind))
    return samples, sum(row is None for rows in samples.values() for row in rows)


def ratios(samples, version, kind):
    """Of handshakes per CPU second, so nginx's CPU of one over ours."""
    pairs = zip(samples[version, kind, "nginx"], samples[version, kind, "tollgate"])
    return [nginx["cpu_us"] / ours["cpu_us"] for nginx, ours in pairs if nginx and ours]


def bars(samples):
    lines = ["", "| bar | at least | measured (95 %) | |", "|---|--:|---|---|"]
    for version, kind in itertools.product(VERSIONS, KINDS):
        found = interval(ratios(samples, version, kind))
        text = f"TLS {version}, {kind} handshakes per CPU second vs nginx"
        if found:
            lines.append(f"| {text} | {LEAST} | {found[0]:.3f} ({found[1]:.3f}-{found[2]:.3f}) | {verdict_at_least(found[2], LEAST)} |")
        else:
            lines.append(f"| {text} | {LEAST} | every run of a pair was void | **missed** |")
    return lines


def count_once(bench, command_of, version, kind, n):
    """User-space instructions of a process that serves n connections, its start and end included; None when one failed."""
    out = bench.folder / f"callgrind.tls.{free_port()}"
    process = start(bench, "counted-tls", lambda port: ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}",
                                                        *command_of(port, "--no-sandbox")])
    command = [bench.build / "bench/handshake_load", process.port, 4, 0, bench.folder / "tls.request", 200, version, kind, n]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=120)
    process.stop()
    found = re.search(r"^(?:summary|totals): (\d+)", out.read_text(), re.M) if out.exists() else None
    return int(found[1]) if done.returncode == 0 and found else None


def instructions(bench, command_of, version, kind):
    """Of one connection: the difference of two counts, so that start-up drops out. What is void is counted again."""
    few, many = (next(filter(None, (count_once(bench, command_of, version, kind, n) for _ in range(3))), None) for n in COUNTED)
    return round((many - few) / (COUNTED[1] - COUNTED[0])) if few and many else None


def counts(bench, commands):
    """Counting is repeatable where timing is not."""
    lines = ["", f"| TLS | handshake | {' | '.join(f'{s}: instructions each' for s in commands)} |", f"|---|---|{'--:|' * len(commands)}"]
    for version, kind in itertools.product(VERSIONS, KINDS):
        counted = [instructions(bench, command_of, version, kind) for command_of in commands.values()]
        lines.append(f"| {version} | {kind} | {' | '.join(str(n or '-') for n in counted)} |")
    return lines


def measure_tls(bench, subjects):
    files = make_certificate(bench.folder)
    (bench.folder / "tls.request").write_bytes(
        b"GET /200 HTTP/1.1\r\nHost: bench.local\r\nUser-Agent: bench\r\nAccept: */*\r\nConnection: close\r\n\r\n")
    certificate, key = (base64.b64encode(file.read_bytes()).decode() for file in files)
    commands = {
        "nginx": lambda port, *_: bench.nginx("nginx-tls", port),
        "tollgate": lambda port, *options: bench.tollgate_command(bench.tollgate, "tls", port, *options, CERTIFICATE=certificate,
                                                                  PRIVATE_PEM=key),
    }
    commands = {s: commands[s] for s in SUBJECTS if s in subjects}
    processes = {s: start(bench, f"{s}-tls", command_of) for s, command_of in commands.items()}
    samples, n_void = measure(bench, processes)
    for process in processes.values():
        process.stop()
    lines = ["", "| TLS | handshake | subject | connections/s | handshake p50 us | p99 us | CPU us each | schedstat |",
             "|---|---|---|--:|--:|--:|--:|--:|"]
    rows = []
    for (version, kind, subject), found in samples.items():
        good = [row for row in found if row]
        if not good:
            lines.append(f"| {version} | {kind} | {subject} | every run was void | | | | |")
            continue
        rate, p50, p99, cpu, sched = (statistics.median(values) for values in zip(*(
            (r["connections"] / r["seconds"], r["p50_us"], r["p99_us"], r["cpu_us"], r["sched_us"]) for r in good)))
        lines.append(f"| {version} | {kind} | {subject} | {rate:.0f} | {p50:.0f} | {p99:.0f} | {cpu:.1f} | {sched:.1f} |")
        rows.append({"subject": subject, "case": f"tls-{version}-{kind}", "connections": CLIENTS, "connections_per_second": round(rate, 1),
                     "p50_us": p50, "p99_us": p99, "cpu_us_per_connection": round(cpu, 2), "schedstat_us_per_connection": round(sched, 2),
                     "runs": len(good)})
    lines.append(f"\n{n_void} void runs (a connection failed).")
    if set(SUBJECTS) <= set(processes):
        lines += bars(samples)
    if not bench.args.no_extras:
        lines += counts(bench, commands)
    return lines, rows
