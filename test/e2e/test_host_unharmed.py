"""What the host must never notice: its numbers, limits, stacks, signals, filters, forks and its end.

Each program judges for itself and ends with 0 only if all was as it should be; each runs with
the library and without it, so that what it asks for is known to be fair.
"""

import queue
import signal

import harness
import pytest

RUNS = "alone"  # storms, and what they bring in a given time (scripts/check-all)


@pytest.fixture(params=[True, False], ids=["with", "without"])
def library(request):
    return request.param


def last_line(program, ask_for_reports):
    """The line behind "ready"; until it comes, a request for a report every 2 ms if so wished."""
    requests = 0
    while ask_for_reports:
        try:
            line = program.lines.get(timeout=0.002)
            assert requests > 50, "hardly a report was asked for"
            return line
        except queue.Empty:
            assert requests < 15000, f"no end of {program.popen.args}: {program.stderr()}"
            program.send_signal()
            requests += 1
    return program.line()


def numbers_of(program, line):
    """The numbers behind "ok"; anything else fails."""
    assert line is not None and line.startswith("ok"), (line, program.stderr())
    return list(map(int, line.split()[1:]))


@pytest.mark.parametrize("depth", [None, 256], ids=["default", "deepest"])
def test_a_handler_on_a_small_stack_opens_a_socket(start, library, depth):
    for when in ("first", "later"):
        argv = [harness.victim("small_stack"), when]
        program = start(argv, library=library, options={"depth": depth})
        size, fd = numbers_of(program, program.line())
        assert size >= 2048 and fd >= 3
        assert program.wait() == 0


def test_numbers_belong_to_the_program(start, library):
    program = start("own_numbers", library=library, options={"max_output": "1000m"})
    program.ready()
    _, stray, opens = numbers_of(program, last_line(program, library))
    assert stray == 0 and opens > 100
    assert program.wait() == 0


def test_children_of_a_busy_process_do_not_hang(start, library):
    program = start("fork_storm", library=library)
    program.ready()
    forks, sockets = numbers_of(program, program.line())
    assert forks > 20 and sockets > 100
    assert program.wait() == 0


def test_the_process_ends_with_its_last_thread(start, library):
    program = start("main_gone", library=library)
    program.ready()
    if library:
        assert program.report()["totals"]["open"] == 1
    program.ask("go on")
    assert program.line() == "exit"
    assert program.wait() == 0


def test_the_limit_holds_and_stays(start, library):
    program = start("limit_kept", library=library, options={"max_output": "1000m"})
    program.ready()
    (looks,) = numbers_of(program, last_line(program, library))
    assert looks > 1000
    assert program.wait() == 0


def test_a_handler_sets_itself_again_during_fork(start, library):
    options = {"signal": "USR1", "max_output": "1000m"}
    program = start("handler_forks", library=library, options=options)
    program.ready()
    forks, signals = numbers_of(program, program.line())
    assert forks > 20 and signals > 100
    assert program.wait() == 0
    if library:
        assert program.json_path.exists(), "the signals that were chosen brought no report"


def test_a_filter_that_comes_late(start, library):
    for when in ("first", "later"):
        program = start([harness.victim("late_filter"), when], library=library)
        assert program.line() == "ok", (program.wait(), program.stderr())
        assert program.wait() == 0
    program = start([harness.victim("late_filter"), "bite"], library=library)
    assert program.line() is None
    assert program.wait() == -signal.SIGSYS


def test_raw_calls_took_the_numbers(start, library):
    """The library's own numbers are the program's now: neither read, nor closed, nor hidden."""
    program = start("raw_numbers", library=library, nofile=4096)
    program.ready()
    if library:
        program.report()
        program.report()
    assert program.number("look") == 11
    assert program.wait() == 0


def test_no_socket_is_adopted_that_was_seen(start, library):
    program = start("false_adoptions", library=library, options={"max_output": "1000m"})
    program.ready()
    (sockets,) = numbers_of(program, last_line(program, library))
    assert sockets > 1000
    if library:
        totals = program.report_after_many()["totals"]
        assert totals["adopted"] == totals["dropped"] == 0
        assert totals["opened"] == sockets
        assert totals["open"] == 1
    assert program.end() == 0
