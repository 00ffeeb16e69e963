"""What the measurements share: programs with the library and without, in turn, and what their differences come to.

A measurement gives rows. Everything that is compared runs in one go, interleaved, each round in another order, so that
what the machine does meanwhile falls on all alike; what is told is the median of the paired differences or ratios, and
the middle half of them as the spread.
"""

import contextlib
import dataclasses
import functools
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build")).resolve()
BENCH = BUILD / "bench"
PATIENCE_S = 60
CPUS = sorted(os.sched_getaffinity(0))
# What is measured, and what stands on the other side of its connections: apart, where there are two.
OURS, THEIRS = CPUS[0], CPUS[-1]
ANY = ",".join(map(str, CPUS))

PRELOADS = {
    "alone": None,
    "empty": BENCH / "nothing.so",  # any object
    "floor": BENCH / "idle_thread.so",  # any library with a thread of its own
    "with": BUILD / "libsockleak.so",
}


class Missing(Exception):
    """What the machine lacks for a measurement: that one is left out, and the reason told."""


def need_tool(name):
    found = shutil.which(name)
    if found is None:
        raise Missing(f"{name} is not installed")
    return found


@dataclasses.dataclass
class Row:
    """One line of the table. `value` is judged by the budget of that name (budgets.py)."""

    group: str
    what: str
    unit: str
    value: float
    spread: tuple = None
    alone: float = None
    floor: float = None
    preloaded: float = None
    budget: str = None
    note: str = ""
    met: bool = None
    measurement: str = ""  # the file that measured it
    load: float = None  # the machine's, when that began


@dataclasses.dataclass
class Plan:
    """How much of everything."""

    quick: bool

    def of(self, usual, quick):
        return quick if self.quick else usual


def environment(variant, options=""):
    made = {name: value for name, value in os.environ.items() if not name.startswith(("LD_PRELOAD", "SOCKLEAK_"))}
    if PRELOADS[variant]:
        made["LD_PRELOAD"] = str(PRELOADS[variant])
    if variant == "with":
        made["SOCKLEAK_OPTIONS"] = f"dir={folder()} report=/dev/null {options}".strip()
    return made


@functools.lru_cache(maxsize=None)
def folder():
    """Where everything of this run lies; taken away by scripts/bench."""
    return pathlib.Path(tempfile.mkdtemp(prefix="sockleak-bench-"))


def pinned(cpu, words):
    return ["taskset", "-c", str(cpu), *map(str, words)]


def run(words, variant="alone", options="", cpu=OURS, env=None):
    """Standard output of a program that must succeed."""
    done = subprocess.run(pinned(cpu, words), env=env or environment(variant, options), capture_output=True,
                          text=True, timeout=PATIENCE_S)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, words))} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout


def number(words, *args, **more):
    return float(run(words, *args, **more))


class Program:
    """A program that says "ready", and answers lines with "ok ..."."""

    def __init__(self, words, variant="alone", options="", cpu=OURS):
        self.words = words
        self.process = subprocess.Popen(
            pinned(cpu, words), env=environment(variant, options), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True)
        self.pid = self.process.pid

    def answer(self, expected):
        line = self.process.stdout.readline()
        if not line.startswith(expected):
            raise RuntimeError(f"{self.words[0]}: {line.strip() or 'ended'!r}, not {expected!r}")
        return line.split()[1:]

    def ready(self):
        return self.answer("ready")

    def tell(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def ask(self, line):
        self.tell(line)
        return self.answer("ok")

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@contextlib.contextmanager
def program(*args, **more):
    started = Program(*args, **more)
    try:
        yield started
    finally:
        started.end()


@contextlib.contextmanager
def peer(mode):
    """The other side: its Program, and its port as a word."""
    with program([BENCH / "peer", mode], cpu=THEIRS) as started:
        yield started, started.ready()[0]


def wait_until(condition, what):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"waited in vain for {what}")
        time.sleep(0.005)


def interleave(measures, rounds):
    """{name: callable giving a number}: {name: a number for each round}."""
    names = list(measures)
    series = {name: [] for name in names}
    for turn in range(rounds):
        for name in names[turn % len(names):] + names[:turn % len(names)]:
            series[name].append(measures[name]())
    return series


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def _medians(series, scale):
    told = {"alone": "alone", "floor": "floor", "with": "preloaded"}
    return {told[name]: statistics.median(values) * scale for name, values in series.items() if name in told}


def difference(group, what, unit, series, base="alone", scale=1.0, **more):
    """How much more it is with the library than at the base, in the row's unit."""
    values = [(b - a) * scale for a, b in zip(series[base], series["with"])]
    return Row(group, what, unit, statistics.median(values), quartiles(values), **_medians(series, scale), **more)


def ratio(group, what, unit, series, base="alone", scale=1.0, **more):
    """Throughput with the library over that at the base; `unit` is that of the medians beside it."""
    values = [b / a for a, b in zip(series[base], series["with"])]
    return Row(group, what, f"ratio of {unit}", statistics.median(values), quartiles(values),
               **_medians(series, scale), **more)


def slope(points):
    """Least squares through (n, value): the growth for one more, and what is there at none."""
    mean_n = statistics.mean(n for n, _ in points)
    mean_v = statistics.mean(v for _, v in points)
    grows = sum((n - mean_n) * (v - mean_v) for n, v in points) / sum((n - mean_n) ** 2 for n, _ in points)
    return grows, mean_v - grows * mean_n


def callgrind(words, variant):
    """Instructions of the first thread between two marks of the program: {mark: instructions}."""
    need_tool("valgrind")
    with tempfile.TemporaryDirectory(dir=folder()) as place:
        run(["valgrind", "-q", "--tool=callgrind", "--separate-threads=yes", f"--callgrind-out-file={place}/out",
             *words], variant)
        counts = {}
        for path in pathlib.Path(place).glob("out.*-01"):
            text = path.read_text()
            mark = re.search(r"^desc: Trigger: Client Request: (.*)$", text, re.MULTILINE)
            if mark:
                counts[mark.group(1)] = int(re.search(r"^totals: (\d+)", text, re.MULTILINE).group(1))
    if not counts:
        raise Missing("the programs were built without valgrind/callgrind.h")
    return counts


def cpu_ns(pid, thread=None):
    """Processor time of a process so far, or of its threads of that name."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that ended
            if thread is None or (task / "comm").read_text().strip() == thread:
                total += int((task / "schedstat").read_text().split()[0])
    return total


def memory_bytes(pid):
    """What the process holds of memory alone."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(kib) for kib in re.findall(r"^Private_(?:Clean|Dirty): +(\d+) kB", text, re.MULTILINE)) * 1024
