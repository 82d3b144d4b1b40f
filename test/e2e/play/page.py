"""Pages of the documentation that show commands with their outputs, as blocks of ```console: a line that begins with "$ " is
a command (a backslash goes on with it), what follows is what it prints. "..." stands for lines left out or, at the end of a
line, for the rest of it. Where times, ports and the like stand, what differs from run to run is not compared."""
import os
import re
import shutil
import subprocess

from .deadline import FACTOR

# What differs from run to run, and what stands for it. In this order: what a row matches, no later one sees.
CHANGING = [
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
    (r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", "TIME"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "UUID"),
    (r"(127\.0\.0\.1|localhost|\*):\d+", r"\1:PORT"),
    (r"\b[0-9a-f]{12}\b", "ID"),
    (r"\b\d+(\.\d+)?(ms|us|s)\b", "SPAN"),
    (r'(HTTP/[\d.]+" \d+ \S+) \d+ \d+ \d+ ', r"\1 N N N "),
    (r"(ID +TIME +)\S+", r"\1WHO"),
    (r"\b((?:retry-after|x-ratelimit-reset|x-ratelimit-remaining|left|reset|retry after):? )\d+", r"\1N"),
    (r"\b(date: |notAfter=|until ).*", r"\1TIME"),
    (r"(_bytes|_seconds|_generation)((?:\{.*\})?) [\d.e+]+$", r"\1\2 N"),
    (r"   +", "   "),
]


def blocks(page):
    """The page's headings with the commands below each, in order: [(heading, [(command, lines)])]."""
    made = []
    for part in re.split(r"^#+ ", page.read_text(), flags=re.M)[1:]:
        steps = []
        for block in re.findall(r"^```console\n(.*?)^```$", part, re.M | re.S):
            for step in re.split(r"^\$ ", block, flags=re.M)[1:]:
                command, output = re.fullmatch(r"((?:[^\n]*\\\n)*[^\n]*\n)(.*)", step, re.S).groups()
                steps.append((command.strip(), output.splitlines()))
        if steps:
            made.append((part.splitlines()[0], steps))
    return made


def normal(line):
    for pattern, word in CHANGING:
        line = re.sub(pattern, word, line)
    return line.rstrip()


def line_fits(shown, said):
    if shown.endswith(" ..."):
        return normal(said).startswith(normal(shown.removesuffix(" ...")))
    return normal(shown) == normal(said)


def lines_fit(shown, said):
    return len(shown) == len(said) and all(map(line_fits, shown, said))


def fits(shown, said):
    """Whether the lines said are those shown, where "..." is any number of them."""
    parts = [[]]
    for line in shown:
        if line.strip() == "...":
            parts.append([])
        else:
            parts[-1].append(line)
    first, last = parts[0], parts[-1]
    if len(parts) == 1:
        return lines_fit(first, said)
    end = len(said) - len(last)
    if len(first) > end or not lines_fit(first, said[:len(first)]) or not lines_fit(last, said[end:]):
        return False
    at = len(first)
    for part in parts[1:-1]:  # each where it stands first
        found = next((n for n in range(at, end - len(part) + 1) if lines_fit(part, said[n:n + len(part)])), None)
        if found is None:
            return False
        at = found + len(part)
    return True


class Shell:
    """Where the commands of a page run: a folder that has what they name, and a tollgate that asks the gateway meant."""

    def __init__(self, folder, program, config):
        self.folder = folder
        (folder / "bin").mkdir(parents=True)
        shutil.copytree(config, folder / "config")
        self.program, self.words = program, []

    def asks(self, admin):
        script = self.folder / "bin/tollgate"
        script.write_text("#!/bin/sh\n"
                          "case \" $* \" in\n"
                          f"*' -f '*|*' --state-folder '*) exec {self.program} \"$@\";;\n"
                          f"*) exec {self.program} \"$@\" --admin {admin};;\n"
                          "esac\n")
        script.chmod(0o755)

    def replaces(self, word, by):
        """In commands `by` stands for the page's `word`, and in outputs the other way round."""
        self.words.append((word, by))

    def run(self, command):
        for word, by in self.words:
            command = command.replace(word, by)
        done = subprocess.run(["sh", "-c", command], cwd=self.folder, text=True, timeout=20 * FACTOR, check=False,
                              env={"PATH": f"{self.folder}/bin:{os.environ['PATH']}"}, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, errors="replace")
        said = done.stdout.replace("\r", "").replace(f"{self.folder}/", "")
        for word, by in self.words:
            said = said.replace(by, word)
        return said.splitlines()
