"""Threads for which the kernel keeps something else than for their process, and processes in another's memory: what they are asked to do
would be done elsewhere, or would be their end."""

import harness
import inject
import pytest


@pytest.fixture
def odd(start):
    """A function: (program, the id of its odd thread), which waits for a byte."""

    def start_odd(how):
        program = start([harness.victim("odd_threads"), how], library=False)
        word, tid = program.line().split()
        assert word == "ready"
        return program, int(tid)

    return start_odd


def assert_alive(program):
    program.popen.stdin.write("\n")
    program.popen.stdin.flush()
    assert program.line() == "alive", program.stderr()


@pytest.mark.parametrize("how, words", [("strict", "strict mode"), ("filter", "seccomp filter of its own")])
def test_a_thread_in_a_sandbox(odd, how, words):
    program, tid = odd(how)
    one = inject.refused(program.pid, inject.DENIED, words, f"thread {tid} of process {program.pid}")
    assert one["stopped_us"] == 0
    assert not inject.mapped(program.pid)
    assert_alive(program)


def test_by_force_it_is_another_thread_that_calls(odd):
    program, _ = odd("filter")
    assert inject.bring_in(program.pid, force=True)[0] == program.pid
    assert_alive(program)


def test_a_thread_with_its_own_descriptors(odd):
    """It waits as one that is asked first does; what it started would see its descriptors, not those of the process."""
    program, tid = odd("files")
    rows = inject.attempts(program.pid, times=5)
    assert all(row["error"] == 0 and row["tid"] != tid for row in rows), rows
    assert_alive(program)


def test_a_process_in_its_parents_memory(odd):
    """What was changed for it would stay with its parent, for ever half done."""
    program, child = odd("vfork")
    inject.refused(child, inject.DENIED, f"process {child} shares its memory with process {program.pid}", "vfork")
    assert not inject.mapped(program.pid)
    assert_alive(program)
