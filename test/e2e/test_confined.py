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
WORKS = "talk signals forks threads files ranges out_of_fds returns earlier main_exits filters_again".split()
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
    said = [line for line in done.stderr.splitlines() if not line.startswith("sockleak: ")]
    return done.returncode, done.stdout, said


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
@pytest.mark.parametrize("work", ["talk", "threads", "forks", "returns", "earlier", "filters_again"])
def test_a_filter_on_all_threads(tmp_path, work, action, when):
    compare(tmp_path, "tsync", action, when, work, "exit_report=1")


def start_waiting(start, how, when="later", action="kill_process", **more):
    # A signal handler comes back by rt_sigreturn(). Where that is forbidden the signal ends the program, as it would without us.
    argv = [VICTIM, how, action, when, "waits", *calls_of(when, "waits"), "rt_sigreturn"]
    program = start(argv, **more)
    for line in iter(program.line, "ready 0 "):
        assert line is not None, (program.wait(), program.stderr())
    return program


def threads_of(program):
    tasks = f"/proc/{program.pid}/task"
    return sorted(harness.pathlib.Path(tasks, tid, "comm").read_text().strip() for tid in os.listdir(tasks))


def test_a_sandboxed_program_reports_by_signal(start):
    """The handler makes no call behind the filter: the worker sees at its next turn what is wanted."""
    program = start_waiting(start, "syscall")
    for _ in range(2):
        snapshot = program.report()
        assert (snapshot["totals"]["opened"], snapshot["totals"]["open"]) == (3, 1)
    assert program.end() == 0
    assert program.stderr() == ""


def test_a_filter_on_all_threads_ends_ours(start):
    """And that is said, for no report comes any more; the signal is harmless."""
    program = start_waiting(start, "tsync")
    assert threads_of(program) == ["sandboxed"]
    for _ in range(3):
        program.send_signal()
    assert program.end() == 0
    (line,) = program.stderr().splitlines()
    assert "seccomp" in line and "no reports" in line


def test_a_filter_that_is_refused_changes_nothing(start):
    """Questions whether the kernel has filters, and bad ones: the worker goes on."""
    program = start("bad_filter")
    program.ready()
    assert program.report()["totals"]["open"] == 1
    assert "sockleak" in threads_of(program)
    assert program.end() == 0
