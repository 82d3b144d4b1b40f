"""Event streams through the same subjects: what a proxy adds to the first frame, what a frame costs it, and whether
thousands of streams at once stay in time. Imported by bench/run; `bench/run --cases streams` runs this part alone.

Subjects: direct, the peers, Tollgate relaying the stream as it is (`plain`), and with everything on (`full`: usage is
asked for, read, and taken out again). Each measure runs all subjects next to each other, several times.
"""
import json
import pathlib
import re
import statistics
import subprocess
import threading
import time

from common import interval, verdict, wait_until_quiet
from process import Meter

SUBJECTS = ("direct", "nginx_unbuffered", "haproxy_nodelay", "tollgate", "tollgate_full")
# name: (streams, seconds, frames, interval in us)
FIRST = ("first", 20, 3, 4, 5000)
FRAMES = ("frames", 400, 6, 200, 20000)
CROWD = ("crowd", 2000, 6, 200, 20000)
NAMES = {"direct": ("direct", "plain"), "nginx_unbuffered": ("nginx_unbuffered", "plain"), "haproxy_nodelay": ("haproxy", "plain"),
         "tollgate": ("tollgate", "plain"), "tollgate_full": ("tollgate", "full")}


def request_file(bench, frames, interval_us):
    path = bench.folder / f"stream-{frames}-{interval_us}.request"
    chat = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "Tell me of gateways. " * 90}]}
    body = json.dumps(chat, separators=(",", ":")).encode()
    path.write_bytes((f"POST /v1/chat/completions HTTP/1.1\r\nHost: bench.local\r\nUser-Agent: bench\r\nAccept: */*\r\n"
                      f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nx-frames: {frames}\r\n"
                      f"x-interval-us: {interval_us}\r\nAuthorization: Bearer {bench.token}\r\n\r\n").encode() + body)
    return path


class Memory(threading.Thread):
    """The most anonymous memory (KiB) of a process while a run lasts."""

    def __init__(self, pid):
        super().__init__()
        self.status = pathlib.Path(f"/proc/{pid}/status")
        self.before = self.read()
        self.most = self.before
        self.is_over = threading.Event()
        self.start()

    def read(self):
        return int(re.search(r"RssAnon:\s+(\d+)", self.status.read_text())[1])

    def run(self):
        while not self.is_over.wait(0.25):
            self.most = max(self.most, self.read())

    def stop(self):
        self.is_over.set()
        self.join()
        return self.most - self.before


def run_once(bench, subject, measure):
    """One run; None when a stream failed."""
    _, streams, seconds, frames, interval_us = measure
    process = bench.running[subject]
    command = ["taskset", "-c", "1", bench.build / "bench/stream_load", process.port, streams, seconds,
               request_file(bench, frames, interval_us), frames, interval_us]
    memory = Memory(process.pid)
    meter = Meter(process)
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False,
                              timeout=seconds + frames * interval_us / 1e6 + 60)
    except subprocess.TimeoutExpired:
        done = None
    used = meter.read()
    grown = memory.stop()
    if done is None or done.returncode != 0 or used is None:
        return None
    row = json.loads(done.stdout)
    row.update(cpu_us_per_frame=used[1] * 1e6 / max(row["frames"], 1), kib_per_stream=grown / streams)
    return row


def measure_all(bench, subjects, measure, pairs):
    """{subject: rows}, and the number of void runs."""
    samples, n_void = {subject: [] for subject in subjects}, 0
    for _ in range(pairs):
        for subject in subjects:
            wait_until_quiet()
            row = run_once(bench, subject, measure)
            n_void += row is None
            samples[subject].append(row)
    return samples, n_void


def median(rows, key):
    good = [row[key] for row in rows if row]
    return statistics.median(good) if good else float("nan")


def rounds(samples, *subjects):
    """Rows of these subjects that were measured next to each other."""
    return [rows for rows in zip(*(samples[s] for s in subjects)) if all(rows)]


def first_bar(samples):
    """Of the time that HAProxy adds to the direct one."""
    return [(full["first_p50_us"] - direct["first_p50_us"]) / max(haproxy["first_p50_us"] - direct["first_p50_us"], 1)
            for full, haproxy, direct in rounds(samples, "tollgate_full", "haproxy_nodelay", "direct")]


def frame_bar(samples):
    return [full["cpu_us_per_frame"] - plain["cpu_us_per_frame"] for full, plain in rounds(samples, "tollgate_full", "tollgate")]


def late_shares(samples, subject):
    """By round: one that the machine disturbed says nothing of the others."""
    return [row["late"] / max(row["frames"], 1) for row in samples[subject] if row]


def bars(first, frames, crowd):
    lines = ["", "| streams | limit | measured (95 %) | |", "|---|--:|---|---|"]
    for text, limit, values, digits in (
            ("added time to the first frame, everything on, vs HAProxy's", 1.5, first_bar(first), 2),
            ("CPU per frame, everything on, over plain relaying, us", 2.0, frame_bar(frames), 2)):
        found = interval(values)
        if found:
            lines.append(f"| {text} | {limit:.1f} | {found[0]:.{digits}f} ({found[1]:.{digits}f}-{found[2]:.{digits}f}) | "
                         f"{verdict(found[1], limit)} |")
    n = CROWD[1]
    shares = {subject: late_shares(crowd, subject) for subject in crowd}
    if shares["direct"] and shares["tollgate_full"]:
        allowed = 1.2 * statistics.median(shares["direct"])
        share = interval(shares["tollgate_full"])
        lines.append(f"| {n} streams, 20 ms a frame: late frames (over 60 ms), 1.2 of the direct run's | {allowed:.4%} | "
                     f"{share[0]:.4%} ({share[1]:.4%}-{share[2]:.4%}) | {verdict(share[1], allowed)} |")
        # Only the first crowd of a process grows its memory.
        each = max(row["kib_per_stream"] for row in crowd["tollgate_full"] if row)
        lines.append(f"| memory of each of {n} streams, everything on, KiB | 24 | {each:.1f} | {verdict(each, 24)} |")
    return lines


def rows_of(samples, measure):
    found = []
    for subject, rows in samples.items():
        name, case = NAMES[subject]
        if any(rows):
            found.append({"subject": name, "case": case, "shape": measure[0], "streams": measure[1], "interval_us": measure[4],
                          **{key: round(median(rows, key), 3) for key in
                             ("first_p50_us", "first_p99_us", "cpu_us_per_frame", "kib_per_stream")},
                          "frames": sum(r["frames"] for r in rows if r), "late": sum(r["late"] for r in rows if r)})
    return found


def measure_streams(bench, subjects, pairs):
    """Lines for the table, rows for results.json. The crowd is measured as often as requests are, the others at most thrice."""
    subjects = [s for s in SUBJECTS if s.removesuffix("_nodelay") in subjects]
    for subject in subjects:
        bench.start(subject)
    lines = ["", "| streams | subject | case | first p50 us | first p99 us | CPU us/frame | KiB/stream | frames | late |",
             "|---|---|---|--:|--:|--:|--:|--:|--:|"]
    found, rows, n_void = {}, [], 0
    # The crowd comes first: what it adds to memory is seen only in a process that had none before.
    for measure in (CROWD, FRAMES, FIRST):
        found[measure[0]], void = measure_all(bench, subjects, measure, pairs if measure is CROWD else min(pairs, 3))
        n_void += void
        rows += rows_of(found[measure[0]], measure)
        time.sleep(0.5)
    for row in rows:
        lines.append(f"| {row['shape']}: {row['streams']} at {row['interval_us'] / 1000:g} ms | {row['subject']} | {row['case']} | "
                     f"{row['first_p50_us']:.0f} | {row['first_p99_us']:.0f} | {row['cpu_us_per_frame']:.2f} | "
                     f"{row['kib_per_stream']:.1f} | {row['frames']} | {row['late']} |")
    lines.append(f"\n{n_void} void runs (a stream failed).")
    if {"direct", "haproxy_nodelay", "tollgate", "tollgate_full"} <= set(subjects):
        lines += bars(found["first"], found["frames"], found["crowd"])
    return lines, rows
