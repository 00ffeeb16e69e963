"""What a sweep costs, by the number and state of the sockets, and what the worker uses in a minute."""

import statistics
import time

import crowds
import rig

GROUP = "sweep"


def worker_ns(program, sweeps, between=None):
    """Of a processor, for one sweep."""
    time.sleep(2 * crowds.INTERVAL_S)  # what came with the start
    before, begin = rig.cpu_ns(program.pid, crowds.WORKER), time.monotonic()
    for _ in range(sweeps):
        if between:
            between()
        time.sleep(crowds.INTERVAL_S)  # this is what is measured: so many intervals
    took = time.monotonic() - begin
    return (rig.cpu_ns(program.pid, crowds.WORKER) - before) / (took / crowds.INTERVAL_S)


def poll_ns(program):
    return float(program.ask("poll 1")[0])


def sweep(plan, sizes):
    """Of sockets that are idle, busy (a byte out before each sweep), and left by their peer."""
    sweeps = plan.of(12, 4)
    points = {"idle": [], "busy": [], "left by their peer": []}
    polled = []
    for n in sizes:
        with crowds.crowd(n, options=f"interval={int(crowds.INTERVAL_S * 1000)}ms") as (program, other):
            # poll()'s own price, in the same process and as often as a sweep asks: what lies in no cache is the same then.
            prices = []
            points["idle"].append((n, worker_ns(program, 2 * sweeps, lambda prices=prices, program=program: prices.append(poll_ns(program)))))
            polled.append((n, statistics.median(prices) * n))
            points["busy"].append((n, worker_ns(program, sweeps, lambda program=program: program.ask("busy"))))
            other.ask("close")
            points["left by their peer"].append((n, worker_ns(program, sweeps)))
    n, price = polled[-1]
    price /= n
    yield rig.Row(GROUP, "poll() alone, for each socket", "ns", price)
    for state, found in points.items():
        per_fd, _ = rig.slope(found)
        for n, ns in found:
            yield rig.Row(GROUP, f"{n} sockets, {state}: one sweep", "ms", ns / 1e6)
        yield rig.Row(GROUP, f"for each socket, {state}", "ns", per_fd)
        is_idle = state == "idle"
        each = found[-1][1] / n
        yield rig.Row(GROUP, f"a socket, {state}, over poll()'s own price", "ratio", each / price, floor=price, preloaded=each,
                      budget="sweep" if is_idle else None,
                      note=f"{each:.0f} ns a socket, all of a sweep of {n} shared out, beside poll()'s {price:.0f} ns")


def minute(plan, n):
    seconds = plan.of(60, 3)
    with crowds.crowd(n) as (program, _):
        time.sleep(1)
        before = rig.cpu_ns(program.pid, crowds.WORKER)
        time.sleep(seconds)
        share = (rig.cpu_ns(program.pid, crowds.WORKER) - before) / (seconds * 1e9) * 100
    yield rig.Row(GROUP, f"worker of {n} idle sockets, default options, {seconds} s", "% of a core", share, budget="worker")


def measure(plan):
    sizes = plan.of(crowds.SIZES, crowds.QUICK_SIZES)
    yield from sweep(plan, sizes)
    yield from minute(plan, max(sizes))
