"""A program with many connections, for what is measured of sweeps, memory and reports."""

import contextlib

import rig

SIZES = (1000, 5000, 15000)
QUICK_SIZES = (500, 3000)
INTERVAL_S = 0.25
WORKER = "sockleak"  # the name of its thread


@contextlib.contextmanager
def crowd(n, variant="with", options="", sites=1, cpu=rig.OURS, prefix=()):
    """A program with so many connections, and the other side of them."""
    with rig.peer("hold") as (other, port):
        with rig.program([*prefix, rig.BENCH / "crowd", port, n, sites], variant, options, cpu) as program:
            program.ready()
            yield program, other
