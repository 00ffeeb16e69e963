"""Programs in confined places: seccomp filters, limits, no /proc, nothing that can be written to.

Each does what it does without the library, word by word, and ends the same way.
"""

import functools
import os
import re
import subprocess

import harness
import pytest

VICTIM = harness.victim("sandboxed")
WORKS = "talk signals forks threads files ranges out_of_fds returns earlier main_exits".split()
ACTIONS = ["kill_process", "kill_thread", "trap", "errno"]


@functools.lru_cache(maxsize=None)
def calls_of(when, work):
    """The system calls that this work needs without the library, as strace sees them."""
    strace = harness.need_tool("strace")
    words = [strace, "-f", "-qq", "-o", "/dev/stdout", VICTIM, "-", "-", when, work]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    if "sysinfo(" not in done.stdout:
        raise harness.Forbidden(f"strace: {done.stderr}")
    lines = done.stdout.partition("sysinfo(")[2].splitlines()
    calls = {m.group(1) for line in lines if (m := re.match(r"\d+ +(?:<\.\.\. )?(\w+)[( ]", line))}
    # Where a lock is taken, or memory asked for, it is a matter of luck whether the kernel is called.
    return sorted(calls | {"futex", "brk", "mmap", "munmap", "madvise"} if work not in ("talk", "returns") else calls)


def run(words, library, directory, options="", timeout=harness.PATIENCE_S):
    settings = f"json={directory}/report.json report={directory}/report.txt interval=250ms {options}"
    environment = [f"LD_PRELOAD={harness.LIBRARY}", f"SOCKLEAK_OPTIONS={settings}"]
    done = subprocess.run(
        ["env", *(environment if library else []), *map(str, words)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@functools.lru_cache(maxsize=None)
def alone(*words):
    without = run(words, False, None)
    assert without[0] == 0 and without[1].endswith("done 0 \n"), without
    return without


def compare(directory, how, action, when, work, options=""):
    words = [VICTIM, how, action, when, work, *calls_of(when, work)]
    without = alone(*words)
    assert run(words, True, directory, options) == without


@pytest.mark.parametrize("action", ["report", "close"])
@pytest.mark.parametrize("when", ["first", "later"])
@pytest.mark.parametrize("work", WORKS)
def test_a_filter_that_kills(tmp_path, work, when, action):
    """No system call of ours after it, whatever the program goes on to do."""
    options = f"action={action} exit_report=1 deadline=100ms warn_at=5"
    compare(tmp_path, "syscall", "kill_process", when, work, options)


@pytest.mark.parametrize("when", ["first", "later"])
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("how", ["prctl", "libseccomp"])
def test_other_filters(tmp_path, how, action, when):
    compare(tmp_path, how, action, when, "talk")


@pytest.mark.parametrize("when", ["first", "later"])
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("work", ["talk", "threads", "forks", "returns", "earlier"])
def test_a_filter_on_all_threads(tmp_path, work, action, when):
    compare(tmp_path, "tsync", action, when, work, "exit_report=1")
