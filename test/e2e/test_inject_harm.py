"""Nothing is lost by it and nothing is spoilt: registers, signals, sleeps, work in progress; and whenever the command is killed, the
thread that it had borrowed finishes by itself."""

import pathlib
import random
import signal
import statistics
import subprocess
import time

import harness
import inject
import pytest

RUNS = "alone"  # busy threads, and what they get done meanwhile (scripts/check-all)

ROUNDS = 100


@pytest.fixture
def at_work(start):
    """A function that starts inject_victim at one kind of work."""

    def start_work(*words):
        program = start([harness.victim("inject_victim"), *map(str, words)], library=False)
        program.ready()
        return program

    return start_work


def finish(program):
    """It ends itself, says how much it did, and found no fault."""
    program.popen.terminate()
    line = program.line()
    assert line is not None and line.startswith("ok"), (line, program.stderr())
    program.popen.wait(harness.PATIENCE_S)
    assert (program.popen.returncode, program.stderr()) == (0, "")
    return int(line.split()[1])


def need_avx():
    if " avx " not in pathlib.Path("/proc/cpuinfo").read_text():
        raise harness.Forbidden("a processor with AVX")


def bring_in_often(program, times=ROUNDS):
    rows = inject.attempts(program.pid, options="/dev/null", times=times)
    assert [row["error"] for row in rows] == [0] * times, rows
    assert sorted({row["result"] for row in rows}) == [0, 1]
    held = [row["stopped_us"] for row in rows]
    print(f"held for {statistics.median(held):g} us, at worst {max(held)} us; threads: {len({r['tid'] for r in rows})}")
    return rows


def assert_left_alone(program):
    """Nobody traces it, none of its own threads is stopped or has all signals blocked; at once, or where the command was
    killed once the thread has found its way by itself."""

    def is_alone():
        states = inject.threads(program.pid).values()
        assert all(state in "RSD" and tracer == "0" for state, _, tracer in states), states
        closed = [blocked for _, blocked, _ in states if int(blocked, 16).bit_count() > 20]
        return len(closed) <= 1  # the thread that the library started during the call

    harness.wait_until(is_alone, lambda: inject.threads(program.pid), patience_s=5)


@pytest.mark.parametrize("way", ["registers", "wakeups", "signals", "signals 1"])
def test_under_work_that_is_checked(at_work, way):
    if way == "registers":
        need_avx()
    program = at_work(*way.split())
    bring_in_often(program)
    assert_left_alone(program)
    assert finish(program) > 0


def test_a_thread_that_is_always_in_malloc(at_work):
    """It is followed until it comes out to write; never is a call made from inside of the allocator."""
    program = at_work("malloc", 2000)
    bring_in_often(program, 30)
    assert finish(program) > 0


def test_a_thread_that_never_comes_out_of_malloc(at_work):
    program = at_work("malloc")
    one = inject.attempt(program.pid, code=inject.DENIED)
    assert one["error"] < 0 and "no thread came to a point" in one["text"], one
    assert not inject.mapped(program.pid)
    assert_left_alone(program)
    assert finish(program) > 0


def test_threads_that_may_not_be_borrowed_are_left_out(at_work):
    """In a handler, or on a stack that a program made for a coroutine: the one that waits for a condition is taken instead."""
    program = at_work("mixed", 9)
    for _ in range(5):
        assert program.line() == "in"
    harness.wait_until(lambda: len(inject.threads(program.pid)) == 10, "its threads")
    tid, _ = inject.bring_in(program.pid)
    assert tid == program.pid
    assert finish(program) > 0


@pytest.mark.parametrize("interrupted", [2, 3, 4], ids=["select", "read", "sigprocmask"])
def test_one_that_lives_in_a_handler(at_work, interrupted):
    """Where the handler came into a wait, or was let in, nobody holds a lock: the program may be had, and both calls go on as they
    would have."""
    program = at_work("handler", interrupted)
    assert program.line() == "in"
    bring_in_often(program, 20)
    program.send_signal(signal.SIGUSR1)
    assert program.line() == "out"
    assert_left_alone(program)
    assert finish(program) > 0


def test_what_a_handler_has_left(at_work):
    """It looks like a handler's frame that is alive, and lies among the variables of a function that is."""
    program = at_work("leftover")
    assert program.line() == "in"
    bring_in_often(program, 20)
    program.send_signal(signal.SIGUSR1)
    assert_left_alone(program)
    assert finish(program) > 0


def test_a_sleep_is_as_long_as_it_was(at_work):
    """Interrupted many times, it ends when it would have; it is not begun anew each time."""
    program = at_work("deadline", 3000)
    inject.attempts(program.pid, times=20)
    # The last ones may find it at its end.
    line = program.line()
    assert line.startswith("ok") and 3000 <= int(line.split()[1]) < 4500, line


def test_many_busy_threads(at_work):
    program = at_work("crowd", 64)
    bring_in_often(program)
    assert_left_alone(program)
    assert finish(program) > 1000


@pytest.mark.parametrize("way", ["crowd 8", "registers", "wakeups 1", "signals"])
def test_a_command_that_is_killed_at_any_moment(at_work, way, tmp_path):
    """SIGKILL at random moments of its work: the program goes on each time, and the library comes in afterwards."""
    if way == "registers":
        need_avx()
    program = at_work(*way.split())
    dice = random.Random(4711)
    inject.bring_in(program.pid)
    for _ in range(50):
        driver = subprocess.Popen(
            inject.words(program.pid, options="/dev/null", times=1000), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        driver.stdout.readline()
        end = time.monotonic() + dice.uniform(0, 0.02)
        while time.monotonic() < end:
            pass
        driver.kill()
        driver.communicate()
        assert program.is_alive(), program.stderr()
        assert all(state[2] == "0" for state in inject.threads(program.pid).values())
    said = tmp_path / "said"
    inject.bring_in(program.pid, options=said)
    assert said.exists()
    assert_left_alone(program)
    assert finish(program) > 0


def test_a_command_that_is_killed_at_its_first_try(at_work):
    """The same while the object is loaded for the first time."""
    dice = random.Random(815)
    for _ in range(30):
        program = at_work("crowd", 2)
        driver = subprocess.Popen(inject.words(program.pid), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        end = time.monotonic() + dice.uniform(0, 0.03)
        while time.monotonic() < end:
            pass
        driver.kill()
        driver.communicate()
        finish(program)


def test_signals_of_the_terminal_wait_for_the_end(at_work):
    """SIGINT and SIGTERM end the command where it holds nobody."""
    program = at_work("crowd", 2)
    for number in (signal.SIGINT, signal.SIGTERM):
        driver = subprocess.Popen(
            inject.words(program.pid, options="/dev/null", times=1000), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        driver.stdout.readline()
        driver.send_signal(number)
        driver.communicate()
        assert driver.returncode == -number
        assert program.is_alive()
    assert finish(program) > 0


def test_one_that_becomes_another_program(at_work):
    """It comes in, or is told to have become another; it is never told to be of a kind that cannot be helped."""
    program = at_work("becoming", 0)
    for _ in range(100):
        done = subprocess.run(inject.words(program.pid), capture_output=True, text=True, timeout=60)
        assert done.returncode in (inject.FINE, inject.NO_PROCESS) and done.stderr == "", done
        assert program.is_alive()
    program.popen.terminate()
    program.popen.wait(harness.PATIENCE_S)


def test_two_commands_at_once(at_work):
    """One at a time borrows a thread; nothing is mixed up."""
    program = at_work("crowd", 8)
    drivers = [
        subprocess.Popen(inject.words(program.pid, options="/dev/null", times=50), stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for driver in drivers:
        out, _ = driver.communicate(timeout=120)
        assert '"result": 1' in out or driver.returncode == inject.DENIED, out
    inject.bring_in(program.pid)
    assert_left_alone(program)
    assert finish(program) > 0


def test_a_stop_in_the_middle_is_kept(at_work):
    """SIGSTOP that comes during the call: the call ends, the process stays stopped until it is told to go on."""
    program = at_work("crowd", 4)
    for _ in range(20):
        driver = subprocess.Popen(
            inject.words(program.pid, options="/dev/null", times=3), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        program.popen.send_signal(signal.SIGSTOP)
        harness.wait_until(
            lambda: driver.poll() is not None or all(s[0] in "Tt" for s in inject.threads(program.pid).values()),
            "the stop",
        )
        program.popen.send_signal(signal.SIGCONT)
        out, err = driver.communicate(timeout=60)
        assert driver.returncode in (inject.FINE, inject.DENIED), (out, err)
    assert finish(program) > 0
