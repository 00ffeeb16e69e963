"""`sockleak attach` and `detach` where there is nothing to do, or nothing that can be done: one line, and the right exit code."""

import os
import subprocess
import sys

import attach
import cli
import harness
import pytest

NONE = 2**22 + 1  # above the largest pid


def test_bad_arguments():
    assert "which process?" in cli.refusal("attach", code=cli.USAGE)
    assert "not a process id" in cli.refusal("attach", "nginx", code=cli.USAGE)
    assert "one PID only" in cli.refusal("attach", "1", "2", code=cli.USAGE)
    assert "which process?" in cli.refusal("detach", code=cli.USAGE)
    assert "no process" in cli.refusal("attach", NONE, code=cli.NO_PROCESS)
    assert "no process" in cli.refusal("detach", NONE, code=cli.NO_PROCESS)


def test_options_are_checked_before_anything_else(start):
    program = attach.start_java(start)
    for wrong in ("deadline=fast", "dedline=30s"):
        line = cli.refusal("attach", "-o", wrong, program.pid, code=cli.USAGE)
        assert wrong.split("=")[0] in line
    assert not os.path.exists(f"/tmp/.java_pid{program.pid}")


def test_a_process_that_was_preloaded(puppet):
    program = puppet()
    done = cli.run("attach", program.pid)
    assert done.stdout == "" and "was preloaded" in done.stderr and f"sockleak report {program.pid}" in done.stderr
    line = cli.refusal("attach", "-o", "deadline=9s action=shutdown", program.pid, code=cli.USAGE)
    assert f"sockleak set {program.pid} deadline=9s action=shutdown" in line


def test_another_version_is_refused(start, tmp_path):
    """The library that is mapped is not the one that lies beside the command."""
    program = attach.start_java(start)
    first = attach.Kit(tmp_path / "first")
    first.attach(program.pid, "-o", "control=off")
    second = attach.Kit(tmp_path / "second", library=harness.LIBRARY)
    line = second.refusal("attach", program.pid, code=cli.NO_LIBRARY)
    assert "another libsockleak.so" in line and "version unknown" in line and "version 1." in line
    # Replaced on disk, as by an upgrade: it is the mapped one that counts.
    first.library.unlink()
    attach.shutil.copy(harness.LIBRARY, first.library)
    assert "another libsockleak.so" in first.refusal("attach", program.pid, code=cli.NO_LIBRARY)
    first.library.unlink()
    attach.shutil.copy(attach.STAND_IN, first.library)
    first.attach(program.pid, "-o", "control=off")  # by the same words, the same object
    assert len(attach.calls(program)) == 2


def test_detach_of_what_was_never_attached(start):
    program = attach.start_java(start)
    assert "not attached" in cli.refusal("detach", program.pid, code=cli.NO_LIBRARY)


def test_a_static_program(start):
    program = start([harness.victim("no_libc")], library=False)
    assert program.is_alive() or pytest.skip("it ends by itself")
    line = cli.refusal("attach", program.pid, code=cli.NO_LIBRARY)
    assert "static" in line or "libc" in line


def test_a_zombie():
    child = subprocess.Popen([sys.executable, "-c", ""])
    is_zombie = lambda: "State:\tZ" in harness.pathlib.Path(f"/proc/{child.pid}/status").read_text()
    harness.wait_until(is_zombie, "the end")
    assert "zombie" in cli.refusal("attach", child.pid, code=cli.NO_PROCESS)
    child.wait()


def test_itself():
    done = subprocess.run(["sh", "-c", f'exec {cli.SOCKLEAK} attach $$'], capture_output=True, text=True, check=False)
    assert done.returncode == cli.USAGE and "this command itself" in done.stderr
