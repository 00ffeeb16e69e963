"""read, write, send, recv: in instructions, and in time with several threads on one fd and on many."""

import statistics

import rig

GROUP = "data path"
CALLS = ("send", "recv", "write", "read")
COUNTED = 300


def instructions(plan):
    """Each call, above the same one with an idle second thread: libc counts references once there are two."""
    counts = {name: rig.callgrind([rig.BENCH / "calls", "count", COUNTED], name) for name in ("floor", "with")}
    for call in CALLS:
        for mark, budget, where in ((call, "tracked", "TCP socket"), (call + "-", "untracked", "pipe")):
            floor, preloaded = (counts[name][mark] / COUNTED for name in ("floor", "with"))
            yield rig.Row(GROUP, f"{call}() on a {where}", "instructions", preloaded - floor, floor=floor,
                          preloaded=preloaded, budget=budget)


def time(plan, kind, threads, sharing, n):
    def once(variant):
        cpu = rig.ANY if threads > 1 else rig.OURS
        return rig.number([rig.BENCH / "calls", "time", kind, threads, sharing, n // threads], variant, cpu=cpu)
    variants = ("alone", "floor", "with") if threads == 1 else ("floor", "with")
    return rig.interleave({name: lambda name=name: once(name) for name in variants}, plan.of(15, 3))


def times(plan):
    n = plan.of(200000, 40000)
    series = time(plan, "getpid", 1, "one", n)
    yield rig.Row(GROUP, "getpid(), for comparison: the least that a system call can be", "ns", statistics.median(series["alone"]),
                  rig.quartiles(series["alone"]))
    for kind, what in (("recv", "recv() on a TCP socket"), ("read-", "read() on a pipe")):
        series = time(plan, kind, 1, "one", n)
        yield rig.difference(GROUP, f"{what}, 1 thread", "ns", series, base="floor")
    series = time(plan, "exchange", 1, "one", n // 10)
    yield rig.difference(GROUP, "send() and recv() of a byte over loopback", "ns", series, base="floor")
    for threads in (2, 8):
        for sharing, where in (("one", "one fd"), ("many", "an fd each")):
            series = time(plan, "recv", threads, sharing, n)
            yield rig.difference(GROUP, f"recv() on TCP sockets, {threads} threads, {where}", "ns", series,
                                 base="floor")


def measure(plan):
    yield from instructions(plan)
    yield from times(plan)
