"""`sockleak attach` and `detach` where there is nothing to do, or nothing that can be done: one line, and the right exit code."""

import os
import re
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


def test_a_preload_that_the_loader_has_dropped(start, tmp_path):
    """LD_PRELOAD names a library that was not to be had when the program began: this one has come later."""
    program = start("puppet", library=False, env={"LD_PRELOAD": str(tmp_path / "libsockleak.so")})
    program.ready()
    for options in ("control=on", "control=off"):
        assert "attached to" in cli.output("attach", "-o", options, program.pid)
        assert "attached already" in cli.run("attach", program.pid).stderr
        assert "lead to libc again" in cli.output("detach", program.pid)
    assert program.end() == 0


def test_another_version_is_refused(start, tmp_path):
    """The library that is mapped is not the one that lies beside the command."""
    program = attach.start_java(start)
    first = attach.Kit(tmp_path / "first")
    first.attach(program.pid, "-o", "control=off")
    second = attach.Kit(tmp_path / "second", library=harness.LIBRARY)
    line = second.refusal("attach", program.pid, code=cli.NO_LIBRARY)
    assert "another libsockleak.so" in line and "version unknown" in line and "version 1." in line
    assert len(set(re.findall(r"build ([0-9a-f]{12})", line))) == 2
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
    program = start("static", library=False)
    program.ready()
    assert "static" in cli.refusal("attach", program.pid, code=cli.NO_LIBRARY)
    (finding,) = [row for row in cli.parsed("doctor", program.pid) if row["check"] == "attach"]
    assert "not possible" in finding["detail"] and "static" in finding["detail"]


def test_a_program_without_a_vm(start, peer):
    """From outside first; then it is attached to, and what it opens has a line."""
    program = start("puppet", library=False)
    program.ready()
    (finding,) = [row for row in cli.parsed("doctor", program.pid) if row["check"] == "attach"]
    assert finding["advice"] == f"sockleak attach {program.pid}"
    fds = cli.close_wait(program, peer, 3)
    found = cli.parsed("attach", "-o", "deadline=1s interval=250ms", program.pid)
    assert (found["way"], found["result"], found["answers"]) == ("ptrace", "attached", True) and found["held_us"] > 0
    fds += cli.close_wait(program, peer, 2)
    seen = cli.parsed("report", program.pid)
    assert seen["mode"] == "attach" and seen["totals"]["adopted"] == 3 and seen["totals"]["opened"] >= 2
    done = cli.output("detach", program.pid)
    assert "lead to libc again" in done
    for fd in fds:
        program.ask(f"close {fd}")
    text = cli.output("attach", "-o", "deadline=1s", program.pid)
    assert "was held for" in text.splitlines()[0]
    assert program.end() == 0


def test_no_descriptor_is_left(start, peer):
    """The leak has come to its end: what helps is said, and helps."""
    limit = ["prlimit", "--nofile=64:640"]
    program = start("puppet", library=False, wrap=limit)
    program.ready()
    with pytest.raises(AssertionError, match="EMFILE"):
        program.ask(f"connect 127.0.0.1 {peer.port} 100")
    line = cli.refusal("attach", program.pid, code=cli.DENIED)
    assert "no descriptor left" in line and f"prlimit --nofile=N: --pid {program.pid}" in line
    assert "libsockleak" not in harness.pathlib.Path(f"/proc/{program.pid}/maps").read_text()
    subprocess.run(["prlimit", "--nofile=65:", "--pid", str(program.pid)], check=True)
    cli.output("attach", program.pid)
    subprocess.run(["prlimit", "--nofile=640:", "--pid", str(program.pid)], check=True)
    cli.output("detach", program.pid)
    assert program.end() == 0


def test_a_traced_process(start):
    program = start("puppet", library=False)
    program.ready()
    holder = start([harness.victim("holder"), program.pid], library=False)
    assert holder.line() == "held"
    line = cli.refusal("attach", program.pid, code=cli.DENIED)
    assert "traced" in line and str(holder.pid) in line
    assert holder.end() == 0


def test_what_would_do_it_has_the_options_and_is_no_other_verb(start):
    program = start([harness.victim("inject_victim"), "filtered"], library=False)
    program.ready()
    assert program.line() == "in"
    line = cli.refusal("attach", "-o", "deadline=9s", program.pid, code=cli.DENIED)
    assert line.endswith(f"this would be: sockleak attach -o deadline=9s {program.pid} --force")
    (finding,) = [row for row in cli.parsed("doctor", program.pid) if row["check"] == "attach"]
    assert finding["detail"].endswith(f"this would be: sockleak attach {program.pid} --force")
    assert "attached to" in cli.output("attach", "-o", "deadline=9s", program.pid, "--force")


def test_another_user(start):
    program = start("puppet", library=False)
    program.ready()
    line = cli.refusal("attach", program.pid, code=cli.DENIED, wrap=cli.as_plain_user(cli.SOCKLEAK))
    assert line.endswith(f"this would be: sudo sockleak attach {program.pid}")


def test_a_zombie():
    child = subprocess.Popen([sys.executable, "-c", ""])
    is_zombie = lambda: "State:\tZ" in harness.pathlib.Path(f"/proc/{child.pid}/status").read_text()
    harness.wait_until(is_zombie, "the end")
    assert "zombie" in cli.refusal("attach", child.pid, code=cli.NO_PROCESS)
    child.wait()


LARGE = """
import mmap, sys
memory = mmap.mmap(-1, 512 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory.madvise(mmap.MADV_NOHUGEPAGE)
for at in range(0, len(memory), mmap.PAGESIZE):
    memory[at] = 1
print(flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("words", ["attach", "detach", "report", "reap", "doctor", "set action=report"])
def test_a_process_that_is_ending(words):
    """Its memory is being given back, which takes a while: nothing is mapped, and it is no zombie yet."""

    def is_asked_while_it_ends():
        with subprocess.Popen([sys.executable, "-c", LARGE], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            child.stdout.readline()
            maps = harness.pathlib.Path(f"/proc/{child.pid}/maps")
            child.kill()
            while maps.read_text():
                pass
            verb, *more = words.split()
            line = cli.refusal(verb, child.pid, *more, code=cli.NO_PROCESS)
            assert line.startswith((f"sockleak: no process {child.pid}", f"sockleak: process {child.pid} has ended"))
            return "State:\tZ" not in harness.pathlib.Path(f"/proc/{child.pid}/status").read_text()

    harness.wait_until(is_asked_while_it_ends, "an answer before the end")


def test_a_process_whose_first_thread_has_ended(start):
    program = start("main_gone", library=False)
    program.ready()
    is_gone = lambda: "State:\tZ" in harness.pathlib.Path(f"/proc/{program.pid}/status").read_text()
    harness.wait_until(is_gone, "its first thread to end")
    assert "first thread has ended" in cli.refusal("attach", program.pid, code=cli.NO_LIBRARY)


def test_itself():
    done = subprocess.run(["sh", "-c", f'exec {cli.SOCKLEAK} attach $$'], capture_output=True, text=True, check=False)
    assert done.returncode == cli.USAGE and "this command itself" in done.stderr
