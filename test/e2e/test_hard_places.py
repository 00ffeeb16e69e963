"""Programs that make it hard: storms of signals, the loader's lock, descriptors all closed."""

import fcntl
import os
import select
import signal
import time

import harness
import pytest

WAYS = "both"


def test_a_storm_of_signals_and_sockets(start):
    """A thousand SIGUSR1 in a second while 8 threads open and close sockets."""
    program = start("storm", options={"max_output": "1000m", "detail": 0})
    program.ready()
    begun = time.monotonic()
    for number in range(1, 1001):
        program.send_signal()
        if number % 10 == 0:
            program.send_signal(signal.SIGUSR2)
            assert program.line() == "u", "the program's own signal was lost"
        pause = begun + number / 1000 - time.monotonic()
        if pause > 0:
            time.sleep(pause)  # the pace of the storm, not a wait for anything
    rounds, failures, alarms, user_signals = map(int, program.ask("stop"))
    assert failures == 0
    assert user_signals == 100
    assert alarms > 100
    assert rounds > 1000
    totals = program.report_after_many()["totals"]
    assert totals["open"] == totals["dropped"] == totals["adopted"] == 0
    # Two ends a round, and the listener: none missed, none counted twice.
    assert totals["opened"] == totals["closed"] == 2 * rounds + 1
    assert totals["by_kind"]["tcp"] == totals["by_kind"]["unix"] == 0
    assert program.end() == 0


@pytest.mark.parametrize("when", ["first", "later"])
def test_a_constructor_that_waits_for_socket_in_a_thread(start, when):
    program = start([harness.victim("ctor"), when, harness.victim("so_ctor.so")])
    assert program.ready() == ["3"]
    assert program.report()["totals"]["opened"] == (3 if when == "first" else 4)
    assert program.end() == 0


@pytest.mark.parametrize("how", ["loop", "closefrom", "range"])
def test_a_program_that_closes_everything(start, peer, how):
    """stderr too: its number is then free for a socket, and nothing of ours may go there."""
    argv = [harness.victim("closeall"), how, peer.port]
    program = start(argv, nofile=4096, options={"report": "stderr"})
    far, _ = peer.accept()
    stream = far.makefile("rw")
    word, closed = stream.readline().split()
    assert word == "ready"
    # It had 0, 1, 2 and two sockets; descriptors of the library are not among them.
    assert int(closed) == (5 if how == "loop" else 0)

    def ask(command):
        stream.write(command + "\n")
        stream.flush()
        assert stream.readline() == "ok\n"

    ask("nop")
    totals = program.report()["totals"]
    assert (totals["opened"], totals["closed"], totals["open"]) == (3, 2, 1)
    ask("open 4")
    totals = program.report()["totals"]
    assert (totals["opened"], totals["closed"], totals["open"]) == (7, 2, 5)
    ask("nop")
    assert program.stderr() == ""
    stream.close()
    far.close()
    assert program.end() == 0


def test_stderr_closed_from_the_start(start, peer):
    """The first descriptor that the program opens becomes number 2: the program's alone."""
    complaint = {"nonsense": 1} if harness.WAY == "preload" else {}  # `attach` refuses it
    program = start("puppet", stderr=None, options={"report": "stderr", **complaint})
    program.ready()
    assert program.number(f"connect 127.0.0.1 {peer.port}") == 2
    far, _ = peer.accept()
    program.report()
    program.report()
    program.ask("write 2 5")
    far.settimeout(harness.PATIENCE_S)
    assert far.recv(100) == bytes(5)
    assert program.end() == 0
    assert far.recv(100) == b""


@pytest.fixture
def full_pipe():
    """The write end of a pipe that nobody reads and that takes nothing more."""
    read_end, write_end = os.pipe()
    flags = fcntl.fcntl(write_end, fcntl.F_GETFL)
    fcntl.fcntl(write_end, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    for size in (4096, 1):
        try:
            while True:
                os.write(write_end, b"x" * size)
        except BlockingIOError:
            pass
    fcntl.fcntl(write_end, fcntl.F_SETFL, flags)  # for the program a write would block
    yield write_end
    os.close(read_end)
    os.close(write_end)


@pytest.mark.parametrize("sockets", [0, 1])
def test_a_stderr_that_nobody_reads_blocks_nothing(start, peer, full_pipe, sockets):
    program = start("puppet", stderr=full_pipe, options={"report": "stderr", "every": "1s"})
    program.ready()
    if sockets:
        program.ask(f"connect 127.0.0.1 {peer.port}")
        for _ in range(3):
            program.report()
    else:
        for _ in range(3):
            program.send_signal()
            assert program.ask("nop", patience_s=5) == []
    assert program.ask("nop", patience_s=5) == []
    assert os.get_blocking(full_pipe), "the program's own stderr was switched to non-blocking"
    assert pipe_is_full(full_pipe), "the pipe had room: this run has shown nothing"
    assert program.end(patience_s=10) == 0


def pipe_is_full(write_end):
    waiting = select.poll()
    waiting.register(write_end, select.POLLOUT)
    return not waiting.poll(0)


def test_a_forked_child_has_files_of_its_own(puppet, peer):
    """No two processes share a file: a child that reports adds its pid."""
    program = puppet(options={"every": "1s", "exit_report": 1})
    program.ask(f"connect 127.0.0.1 {peer.port}")
    child = program.number("fork")
    try:
        for _ in range(5):
            program.report()  # checks that the pid in the file is the parent's
    finally:
        os.kill(child, 15)
    assert program.ask(f"wait {child}") == ["signal", "15"]
