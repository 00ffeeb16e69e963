"""A program with many connections, for what is measured of sweeps, memory and reports."""

import contextlib

import rig

SIZES = (1000, 5000, 15000)
QUICK_SIZES = (500, 3000)
INTERVAL_S = 0.25
WORKER = "sockleak"  # the name of its thread


@contextlib.contextmanager
def crowd(n, variant="with", options="", sites=1, cpu=rig.OURS):
    """A program with so many connections, and the other side of them."""
    with rig.peer("hold") as (other, port):
        with crowd_at(port, n, variant, options, sites, cpu) as program:
            yield program, other


@contextlib.contextmanager
def crowd_at(port, n, variant="with", options="", sites=1, cpu=rig.OURS, prefix=()):
    """The program alone; the other side is there already."""
    with rig.program([*prefix, rig.BENCH / "crowd", port, n, sites], variant, options, cpu) as program:
        program.ready()
        yield program
