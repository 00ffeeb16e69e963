"""Many connections: what a sweep costs, what they take of memory, how long a report takes, and what the worker uses in a minute."""

import contextlib
import statistics
import subprocess
import time

import rig

SIZES = (1000, 5000, 15000)
INTERVAL_S = 0.25
WORKER = "sockleak"  # the name of its thread


@contextlib.contextmanager
def crowd(n, variant="with", options="", sites=1, cpu=rig.OURS):
    """A program with so many connections, and the other side of them."""
    with rig.peer("hold") as (other, port):
        with rig.program([rig.BENCH / "crowd", port, n, sites], variant, options, cpu) as program:
            program.ready()
            yield program, other


def worker_ns(program, sweeps, between=None):
    """Of a processor, for one sweep."""
    time.sleep(2 * INTERVAL_S)  # what came with the start
    before, begin = rig.cpu_ns(program.pid, WORKER), time.monotonic()
    for _ in range(sweeps):
        if between:
            between()
        time.sleep(INTERVAL_S)  # this is what is measured: so many intervals
    took = time.monotonic() - begin
    return (rig.cpu_ns(program.pid, WORKER) - before) / (took / INTERVAL_S)


def poll_ns(program, times):
    """poll()'s own price for a socket, asked as seldom as a sweep asks: in no cache then."""
    prices = []
    for _ in range(times):
        time.sleep(INTERVAL_S)
        prices.append(float(program.ask("poll 1")[0]))
    return statistics.median(prices)


def sweep(plan, sizes):
    """Of sockets that are idle, busy (a byte out before each sweep), and left by their peer."""
    group = "sweep"
    sweeps = plan.of(12, 4)
    points = {"idle": [], "busy": [], "left by their peer": []}
    polled = []
    for n in sizes:
        with crowd(n, options=f"interval={int(INTERVAL_S * 1000)}ms") as (program, other):
            points["idle"].append((n, worker_ns(program, sweeps)))
            points["busy"].append((n, worker_ns(program, sweeps, lambda: program.ask("busy"))))
            other.ask("close")
            points["left by their peer"].append((n, worker_ns(program, sweeps)))
        with crowd(n, "floor") as (program, _):
            polled.append((n, poll_ns(program, sweeps) * n))
    price, _ = rig.slope(polled)
    yield rig.Row(group, "poll() alone, for each socket", "ns", price)
    for state, found in points.items():
        per_fd, rest = rig.slope(found)
        for n, ns in found:
            yield rig.Row(group, f"{n} sockets, {state}: one sweep", "ms", ns / 1e6)
        yield rig.Row(group, f"for each socket, {state}", "ns", per_fd)
        is_idle = state == "idle"
        yield rig.Row(group, f"a socket, {state}, over poll()'s own price", "ratio", per_fd / price, floor=price, preloaded=per_fd,
                      budget="sweep" if is_idle else None,
                      note=f"{per_fd:.0f} ns a socket beside poll()'s {price:.0f} ns, and {rest / 1e3:.0f} µs for a sweep of none")


def minute(plan, n):
    seconds = plan.of(60, 5)
    with crowd(n) as (program, _):
        time.sleep(1)
        before = rig.cpu_ns(program.pid, WORKER)
        time.sleep(seconds)
        share = (rig.cpu_ns(program.pid, WORKER) - before) / (seconds * 1e9) * 100
    yield rig.Row("sweep", f"worker of {n} idle sockets, default options, {seconds} s", "% of a core", share, budget="worker")


def memory(plan, sizes):
    group = "memory"
    points = []
    for n in sizes:
        held = {}
        for variant in ("alone", "with"):
            with crowd(n, variant, "interval=250ms") as (program, _):
                time.sleep(3 * INTERVAL_S)  # the worker's tables
                held[variant] = rig.memory_bytes(program.pid)
        points.append((n, held["with"] - held["alone"]))
        yield rig.Row(group, f"{n} sockets, one site", "MiB", points[-1][1] / 2**20, alone=held["alone"] / 2**20, preloaded=held["with"] / 2**20)
    per_fd, rest = rig.slope(points)
    yield rig.Row(group, "for each fd", "bytes", per_fd, budget="memory-fd")
    yield rig.Row(group, "otherwise", "MiB", rest / 2**20, budget="memory-rest")
    points = []
    for sites in (1, 1000, 4000):
        with crowd(4000, "with", sites=sites) as (program, _):
            points.append((sites, rig.memory_bytes(program.pid)))
    per_site, _ = rig.slope(points)
    yield rig.Row(group, "for each site, 20 native frames", "bytes", per_site, budget="memory-site")


def reports(plan, sizes):
    """How long the command waits, and how long a thread of the program was not served meanwhile."""
    group = "report"
    points = []
    for n in sizes:
        with crowd(n, cpu=rig.ANY) as (program, other):
            price = float(program.ask("info")[0]) * n / 1e6
            for state in ("idle", "left by their peer"):
                if state != "idle":
                    other.ask("close")
                took, gaps, quiet = {"text": [], "json": []}, [], []
                for _ in range(plan.of(7, 3)):
                    for form in took:
                        program.tell("gap 600")
                        words = [rig.BUILD / "sockleak", "report", f"--format={form}", str(program.pid)]
                        start = time.monotonic()
                        subprocess.run(words, env={**rig.environment("alone"), "SOCKLEAK_OPTIONS": f"dir={rig.folder()}"},
                                       check=True, stdout=subprocess.DEVNULL, timeout=rig.PATIENCE_S)
                        took[form].append((time.monotonic() - start) * 1e3)
                        gaps.append(float(program._answer("ok")[0]))
                    quiet.append(float(program.ask("gap 600")[0]))
                points += [(n, statistics.median(took["json"]))] if state == "idle" else []
                for form, values in took.items():
                    budget = "report" if n == max(sizes) else None
                    yield rig.Row(group, f"{n} sockets, {state}: {form}", "ms", statistics.median(values), rig.quartiles(values),
                                  floor=price, budget=budget, note=f"TCP_INFO of each alone takes {price:.0f} ms")
                yield rig.Row(group, f"{n} sockets, {state}: longest pause of the program", "µs", statistics.median(gaps),
                              rig.quartiles(gaps), alone=statistics.median(quiet), note=f"{statistics.median(quiet):,.0f} µs in as long a time without a report")
    per_fd, rest = rig.slope(points)
    yield rig.Row(group, "for each socket, idle: json", "µs", per_fd * 1e3, note=f"and {rest:.0f} ms for a report of none")


def measure(plan):
    sizes = plan.of(SIZES, (500, 3000))
    yield from sweep(plan, sizes)
    yield from memory(plan, sizes)
    yield from reports(plan, sizes)
    yield from minute(plan, max(sizes))
