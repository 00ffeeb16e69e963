"""Detaching where nobody listens at a control socket: the library's own function, called by the way that attach takes."""

import os
import subprocess

import attach
import cli
import harness
import pytest
from test_power import NOTHING, leak, traces, traces_of

OPTIONS = "deadline=1s interval=250ms grace=100ms probe=off"


def start_puppet(start):
    program = start("puppet", library=False)
    program.ready()
    return program


def numbers(program):
    return [int(name) for name in os.listdir(f"/proc/{program.pid}/fd")]


def test_without_a_control_socket(start, peer):
    program = start_puppet(start)
    before = numbers(program)
    for _ in range(3):
        cli.output("attach", "-o", f"{OPTIONS} control=off", program.pid)
        leak(program, peer, 2)
        text = cli.output("detach", program.pid)
        assert f"pid {program.pid}: its calls lead to libc again; its thread {program.pid} was held for " in text
        assert traces(program) == NOTHING
    done = cli.refusal("detach", program.pid, code=cli.NO_LIBRARY)
    assert "not attached" in done and "detached" in done
    left = numbers(program)
    assert len([fd for fd in left if fd < 1024]) == len(before) + 6
    # The stack walker keeps one pipe for good.
    assert len([fd for fd in left if fd >= 1024]) in (0, 2)
    # By the control socket again, where there is one.
    cli.output("attach", "-o", OPTIONS, program.pid)
    assert cli.parsed("detach", "--json", program.pid)["entries"] > 8
    assert program.end() == 0


def test_as_json(start):
    program = start_puppet(start)
    cli.output("attach", "-o", "control=off", program.pid)
    done = cli.parsed("detach", program.pid)
    assert (done["detached"], done["pid"], done["way"]) == (True, program.pid, "ptrace") and done["held_us"] > 0
    assert [done[key] for key in ("objects", "entries", "unwritable", "ended")] == [None] * 4


def test_a_forked_child_that_has_no_thread_of_ours(start, peer):
    program = start_puppet(start)
    cli.output("attach", "-o", OPTIONS, program.pid)
    leak(program, peer, 1)
    child = program.number("become")
    assert traces_of(child)[0] == 0
    assert "lead to libc again" in cli.output("detach", child)
    # It can be attached to again, and its parent is as it was.
    cli.output("attach", "-o", OPTIONS, child)
    leak(program, peer, 1)
    assert cli.parsed("report", child)["totals"]["open"] == 2
    assert cli.parsed("report", program.pid)["totals"]["open"] == 1
    cli.output("detach", child)
    cli.output("detach", program.pid)
    assert traces_of(child) == traces(program) == NOTHING


def test_a_child_that_was_left_out_can_be_attached_to(start, peer):
    program = start_puppet(start)
    cli.output("attach", "-o", f"{OPTIONS} children=off", program.pid)
    child = program.number("become")
    cli.output("attach", "-o", OPTIONS, child)
    leak(program, peer, 1)
    snapshot = cli.parsed("report", child)
    assert (snapshot["mode"], snapshot["totals"]["open"], snapshot["totals"]["adopted"]) == ("attach", 1, 0)


def test_it_stays_while_it_keeps_harm_from_the_program(start, peer):
    program = start_puppet(start)
    cli.output("attach", "-o", f"{OPTIONS} control=off action=shutdown", program.pid)
    (fd,) = leak(program, peer, 1)
    # The kernel's word: from CLOSE_WAIT it goes on to CLOSE when it is shut down.
    harness.wait_until(lambda: not cli.states_of(program.pid).get("CLOSE_WAIT"), "the shutdown")
    line = cli.refusal("detach", program.pid, code=cli.USAGE)
    assert "SIGPIPE" in line and "--force" in line
    # It has not let go: its threads are back, and a write raises nothing.
    harness.wait_until(lambda: traces(program)[0] > 0, "our threads")
    cli.output("detach", "--force", program.pid)
    assert traces(program) == NOTHING
    assert program.ask(f"close {fd}") == ["0"]


@pytest.mark.parametrize("java", attach.JAVAS.values(), ids=[f"jdk{major}" for major in attach.JAVAS])
def test_a_java_vm_is_asked_by_its_own_means(start, java):
    program = attach.start_java(start, java=java)
    for _ in range(2):
        cli.output("attach", "-o", "control=off", program.pid)
        harness.wait_until(lambda: traces(program)[0] > 0, "our threads")
        done = cli.parsed("detach", program.pid)
        assert (done["detached"], done["way"], done["held_us"]) == (True, "jvm", None)
        assert traces(program)[0] == 0
    assert "not attached" in cli.refusal("detach", program.pid, code=cli.NO_LIBRARY)


def test_a_child_forked_while_its_parent_moves(start):
    """Each one can be attached to and detached, whatever its parent was at when it was forked."""
    program = start([harness.victim("late_forks"), harness.LIBRARY, 200], library=False)
    assert program.line().startswith("ok "), program.stderr()


LOADING = """
#include <stdlib.h>
#include <unistd.h>
static int is_loaded;
__attribute__((constructor)) static void load(void)
{
	char byte = 0;
	if (write(atoi(getenv("LOADING")), &byte, 1) == 1 && read(atoi(getenv("GO")), &byte, 1) == 1)
		is_loaded = 1;
}
int unw_backtrace(void **frames, int size)
{
	if (!is_loaded)
		abort();
	return frames && size ? 0 : -1;
}
"""


def test_a_child_forked_while_libunwind_is_loaded(start, tmp_path):
    """The loader takes it for loaded in the child, and it is not: there it must not be called."""
    (tmp_path / "unwind.c").write_text(LOADING)
    gcc = [harness.need_tool("gcc"), "-shared", "-fPIC", "-o", tmp_path / "libunwind.so.8", tmp_path / "unwind.c"]
    subprocess.run(gcc, check=True)
    program = start(
        [harness.victim("late_fork_once"), harness.LIBRARY],
        library=False,
        env={"LD_LIBRARY_PATH": str(tmp_path), "ATTACH_OPTIONS": "control=off"},
    )
    assert program.line() == "ok 0 0", program.stderr()
    assert "forked while libunwind" in program.stderr()
