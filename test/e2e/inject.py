"""Brings a small library into a running program, and says how it went: what the tests of the way in share."""

import json
import pathlib
import subprocess

import harness

ATTACHED = harness.victim("so_attached.so")
FINE, USAGE, NO_PROCESS, DENIED, NO_LIBRARY = 0, 2, 3, 4, 5


def words(pid, *, library=ATTACHED, options=None, times=1, force=False):
    said = [] if options is None else [str(options)]
    if times != 1 or force:
        said = [*(said or ["/dev/null"]), str(times)]
    return [harness.victim("inject_driver"), str(pid), str(library), *said, *(["force"] if force else [])]


def attempts(pid, *, code=FINE, ahead=(), **more):
    """All attempts, as the driver tells of them; the last ends with this code, and stderr has not a word."""
    done = subprocess.run([*ahead, *words(pid, **more)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (code, ""), (done.returncode, done.stdout, done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines()]


def attempt(pid, **more):
    (one,) = attempts(pid, **more)
    return one


def bring_in(pid, **more):
    """It must come in; the thread that was borrowed, and for how long in microseconds."""
    one = attempt(pid, **more)
    assert (one["error"], one["text"]) == (0, "") and one["result"] in (0, 1), one
    assert one["stopped_us"] > 0
    return one["tid"], one["stopped_us"]


def refused(pid, code, *needles, **more):
    """It must be refused with this exit code, in one sentence that has these words."""
    one = attempt(pid, code=code, **more)
    assert one["error"] < 0 and one["result"] == -1, one
    assert "\n" not in one["text"] and len(one["text"]) < 500
    for needle in needles:
        assert needle in one["text"], (needle, one["text"])
    return one


def threads(pid):
    """Each thread's state, blocked signals and tracer, by tid."""
    found = {}
    for path in (pathlib.Path("/proc") / str(pid) / "task").iterdir():
        status = dict(
            line.split(":\t", 1) for line in (path / "status").read_text().splitlines() if ":\t" in line
        )
        found[int(path.name)] = (status["State"][0], status["SigBlk"], status["TracerPid"])
    return found


def mapped(pid, name="so_attached.so"):
    return name in (pathlib.Path("/proc") / str(pid) / "maps").read_text()
