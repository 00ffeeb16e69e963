"""How long a report takes, and whether the program is held up by it."""

import statistics
import subprocess
import time

import crowds
import rig

GROUP = "report"


def reports(plan, sizes):
    """How long the command waits, and how long a thread of the program was not served meanwhile."""
    points = []
    for n in sizes:
        with crowds.crowd(n, cpu=rig.ANY) as (program, other):
            price = float(program.ask("info")[0]) * n / 1e6
            for state in ("idle", "left by their peer"):
                if state != "idle":
                    other.ask("close")
                took, gaps, quiet = {"text": [], "json": []}, [], []
                for _ in range(plan.of(7, 1)):
                    for form in took:
                        program.tell("gap 600")
                        words = [rig.BUILD / "sockleak", "report", f"--format={form}", str(program.pid)]
                        start = time.monotonic()
                        subprocess.run(words, env={**rig.environment("alone"), "SOCKLEAK_OPTIONS": f"dir={rig.folder()}"},
                                       check=True, stdout=subprocess.DEVNULL, timeout=rig.PATIENCE_S)
                        took[form].append((time.monotonic() - start) * 1e3)
                        gaps.append(float(program.answer("ok")[0]))
                    quiet.append(float(program.ask("gap 600")[0]))
                points += [(n, statistics.median(took["json"]))] if state == "idle" else []
                for form, values in took.items():
                    budget = "report" if n == max(sizes) else None
                    yield rig.Row(GROUP, f"{n} sockets, {state}: {form}", "ms", statistics.median(values), rig.quartiles(values),
                                  floor=price, budget=budget, note=f"TCP_INFO of each alone takes {price:.0f} ms")
                yield rig.Row(GROUP, f"{n} sockets, {state}: longest pause of the program", "µs", statistics.median(gaps),
                              rig.quartiles(gaps), alone=statistics.median(quiet),
                              note=f"{statistics.median(quiet):,.0f} µs in as long a time without a report")
    per_fd, rest = rig.slope(points)
    yield rig.Row(GROUP, "for each socket, idle: json", "µs", per_fd * 1e3, note=f"and {rest:.0f} ms for a report of none")


def measure(plan):
    yield from reports(plan, plan.of(crowds.SIZES, crowds.QUICK_SIZES))
