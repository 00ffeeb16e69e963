"""socket(), connect(), close(): in time by the depth of the stack, in system calls, and on a Java thread."""

import re
import subprocess

import rig

GROUP = "open and close"
CALLS = rig.BENCH / "calls"


def native(plan):
    n = plan.of(3000, 800)
    by_depth = []
    with rig.peer("close") as (_, port):
        def once(variant, kind):
            times = 10 if kind.startswith("refused") else 1
            return rig.number([CALLS, "time", kind, 1, "one", n * times, port], variant)
        for kind, what, budget in (
                ("refused:8", "socket + connect + close, 8 frames deep", None),
                ("refused:16", "the same, 16 frames", "open"),
                ("refused:64", "the same, 64 frames", None),
                ("open:16", "the same over loopback, 16 frames", None),
                ("fresh:24", "the same over loopback, 24 frames, a new stack each", None),
                ("accept", "accept + close", None)):
            series = rig.interleave({name: lambda name=name, kind=kind: once(name, kind)
                                     for name in ("alone", "floor", "with")}, plan.of(15, 3))
            # A thread of one's own is part of the price here: it is the library that starts it.
            row = rig.difference(GROUP, what, "µs", series, scale=1e-3, budget=budget)
            if budget:
                row.note = f"{rig.difference(GROUP, what, 'µs', series, base='floor', scale=1e-3).value:.2f} µs over the floor"
            yield row
            if kind.startswith("refused:"):
                by_depth.append((int(kind[8:]), row.value))
        yield rig.Row(GROUP, "for each native frame", "ns", rig.slope(by_depth)[0] * 1e3)
        for threads in (2, 8):
            def shared(variant, threads=threads):
                return rig.number([CALLS, "time", "open:16", threads, "many", n // threads, port], variant, cpu=rig.ANY)
            series = rig.interleave({name: lambda name=name, shared=shared: shared(name) for name in ("floor", "with")},
                                    plan.of(9, 3))
            yield rig.difference(GROUP, f"socket + connect + close, 16 frames, {threads} threads", "µs", series, base="floor",
                                 scale=1e-3)


def system_calls(plan):
    """What strace counts in the program's own thread, for one more open."""
    strace = rig.need_tool("strace")
    with rig.peer("close") as (_, port):
        def calls(variant, n):
            preload = [f"-ELD_PRELOAD={rig.PRELOADS[variant]}"] if rig.PRELOADS[variant] else []
            options = rig.environment(variant).get("SOCKLEAK_OPTIONS", "")
            done = subprocess.run(
                [strace, "-qq", *preload, f"-ESOCKLEAK_OPTIONS={options}", CALLS, "time", "open:16", "1", "one", str(n), port],
                env=rig.environment("alone"), capture_output=True, text=True, timeout=rig.PATIENCE_S)
            return [line.split("(")[0] for line in done.stderr.splitlines() if re.match(r"\w+\(", line)]
        extra = {}
        for variant in ("alone", "with"):
            few, many = calls(variant, 50), calls(variant, 150)
            for name in set(many):
                extra.setdefault(name, {})[variant] = (many.count(name) - few.count(name)) / 100
    more = {name: round(by.get("with", 0) - by.get("alone", 0), 1) for name, by in extra.items()}
    more = {name: count for name, count in more.items() if count}
    note = ", ".join(f"{count:g} {name}" for name, count in sorted(more.items()))
    yield rig.Row(GROUP, "socket + connect + close: system calls more", "calls", sum(more.values()), note=note)


def java(plan):
    """In a JVM that is warm; each round asks a JVM with the library and one without, side by side."""
    command = [rig.need_tool("java"), "-Xshare:auto", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", rig.BENCH / "java", "Opener"]
    n = plan.of(1000, 400)
    by_depth = []
    cases = [(20, "known", "open-java"), (20, "fresh", None)]
    if not plan.quick:
        cases += [(10, "known", None), (40, "known", None), (60, "known", None)]
    with rig.peer("close") as (_, port):
        for depth, kind, budget in sorted(cases, key=lambda case: (case[1] != "known", case[0])):
            jvms = {name: rig.Program([*command, port, depth, kind], name) for name in ("alone", "floor", "with")}
            try:
                for jvm in jvms.values():
                    jvm.ready()
                    jvm.ask(n)
                    if kind == "known":
                        jvm.ask(n)
                # No more new stacks than there is room for.
                count = n if kind == "known" else 300
                series = rig.interleave({name: lambda jvm=jvm, count=count: float(jvm.ask(count)[1]) for name, jvm in jvms.items()},
                                        plan.of(9, 3))
            finally:
                for jvm in jvms.values():
                    jvm.end()
            what = f"open, connect, close on a Java thread, {depth} Java frames" + (", a new stack each" if kind == "fresh" else "")
            row = rig.difference(GROUP, what, "µs", series, scale=1e-3, budget=budget)
            yield row
            if kind == "known":
                by_depth.append((depth, row.value))
    if len(by_depth) > 1:
        yield rig.Row(GROUP, "for each Java frame", "ns", rig.slope(by_depth)[0] * 1e3)


def measure(plan):
    yield from native(plan)
    yield from system_calls(plan)
    yield from java(plan)
