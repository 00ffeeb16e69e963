"""What is held of memory, by the number of sockets and of sites."""

import shutil
import subprocess
import time

import crowds
import rig

GROUP = "memory"


PAGE_SLOTS = 64  # fds whose slots fill a page


def fixed():
    """The prefix under which addresses are the same each time: which pages of a table are touched depends on them."""
    words = ["setarch", "-R"]
    return words if shutil.which("setarch") and subprocess.run([*words, "true"], stderr=subprocess.DEVNULL).returncode == 0 else []


def sockets(plan, sizes, port):
    points, prefix = [], fixed()
    # Memory comes in pages: sizes that are whole pages apart differ by what is held for their fds, and not by what is left of a page.
    sizes = [n - (n - sizes[0]) % PAGE_SLOTS for n in sizes]
    for n in sizes:
        def held(variant, n=n):
            # A warning would take memory once, not for each fd.
            with crowds.crowd_at(port, n, variant, "interval=250ms warn_at=off", prefix=prefix) as program:
                time.sleep(3 * crowds.INTERVAL_S)  # the worker's tables
                return rig.memory_bytes(program.pid)
        series = rig.interleave({name: lambda name=name, held=held: held(name) for name in ("alone", "with")}, plan.of(5, 1))
        row = rig.difference(GROUP, f"{n} sockets, one site", "MiB", series, scale=2**-20)
        points.append((n, row.value * 2**20))
        yield row
    per_fd, rest = rig.slope(points)
    yield rig.Row(GROUP, "for each fd", "bytes", per_fd, budget="memory-fd")
    yield rig.Row(GROUP, "otherwise", "MiB", rest / 2**20, budget="memory-rest")


def sites():
    points = []
    for n in (1, 1000, 4000):
        with crowds.crowd(4000, "with", sites=n) as (program, _):
            points.append((n, rig.memory_bytes(program.pid)))
    per_site, _ = rig.slope(points)
    yield rig.Row(GROUP, "for each site, 20 native frames", "bytes", per_site, budget="memory-site")


def measure(plan):
    with rig.peer("hold") as (_, port):  # one for all: a peer's address decides on a page, too
        yield from sockets(plan, plan.of(crowds.SIZES, crowds.QUICK_SIZES), port)
    yield from sites()
