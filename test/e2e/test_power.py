"""On and off: while the program runs, and in what it starts."""

import contextlib
import os
import signal

import harness
import pytest

CAUGHT = 1 << (signal.SIGUSR1 - 1)


def traces(program):
    return traces_of(program.pid)


def traces_of(pid):
    """(threads of ours, is SIGUSR1 caught, numbers of ours that are sockets)."""
    folder = f"/proc/{pid}"
    names = []
    for task in os.listdir(f"{folder}/task"):
        # One that has ended since it was listed is none.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(
            f"{folder}/task/{task}/comm", encoding="ascii"
        ) as file:
            names.append(file.read().strip())
    with open(f"{folder}/status", encoding="ascii") as file:
        caught = next(int(line.split()[1], 16) for line in file if line.startswith("SigCgt"))
    sockets = []
    for fd in os.listdir(f"{folder}/fd"):
        with contextlib.suppress(FileNotFoundError):  # given up since it was listed
            if int(fd) >= 1000 and os.readlink(f"{folder}/fd/{fd}").startswith("socket:"):
                sockets.append(fd)
    ours = sum(name.startswith("sockleak") for name in names)
    return ours, bool(caught & CAUGHT), len(sockets)


NOTHING = (0, False, 0)


def leak(program, peer, count):
    fds = [program.number(f"connect 127.0.0.1 {peer.port}") for _ in range(count)]
    for _ in range(count):
        peer.accept()[0].close()
    return fds


def test_off_and_on_again(puppet, peer):
    program = puppet(options={"action": "neutralize", "deadline": "1h"})
    before = leak(program, peer, 3)
    program.report()
    harness.wait_until(lambda: traces(program)[:2] == (4, True), lambda: f"all of ours: {traces(program)}")
    assert traces(program)[2] > 0
    assert program.ask("enable 0") == ["1"]
    assert traces(program) == NOTHING
    assert program.ask("enable 0") == ["0"]
    unseen = leak(program, peer, 2)
    program.ask(f"close {before[0]}")
    assert program.ask("disposition USR1") == ["default"]
    assert traces(program) == NOTHING
    assert program.ask("enable 1") == ["0"]
    assert program.ask("enable 1") == ["1"]
    seen = leak(program, peer, 1)
    snapshot = program.report_until(lambda s: s["totals"]["close_wait"] == 5, "5 CLOSE_WAIT")
    totals = snapshot["totals"]
    assert (totals["opened"], totals["closed"], totals["adopted"]) == (6, 1, 2)
    assert {s["fd"] for s in snapshot["sockets"]} == {*before[1:], *unseen, *seen}
    assert program.end() == 0


def test_off_it_dies_of_the_signal_as_it_would(puppet, peer):
    program = puppet()
    leak(program, peer, 1)
    program.ask("enable 0")
    program.send_signal()
    assert program.wait() == -signal.SIGUSR1


def test_off_before_the_first_socket(puppet, peer):
    program = puppet()
    assert traces(program) == (0, True, 0)
    assert program.ask("enable 0") == ["1"]
    leak(program, peer, 2)
    assert traces(program) == NOTHING
    assert program.ask("enable 1") == ["0"]
    leak(program, peer, 1)
    snapshot = program.report_until(lambda s: s["totals"]["close_wait"] == 3, "3 CLOSE_WAIT")
    assert snapshot["totals"]["adopted"] == 2
    assert program.end() == 0


@pytest.mark.parametrize("action", ["shutdown", "neutralize", "close"])
def test_what_was_ended_stays_ended(puppet, peer, action):
    """Switched off, a number that was acted on is still the program's to close, and to use anew."""
    quick = {"action": action, "deadline": "200ms", "grace": "100ms", "interval": "50ms"}
    program = puppet(options=quick)
    (fd,) = leak(program, peer, 1)
    program.event({"shutdown": "shutdown", "neutralize": "neutralized", "close": "closed"}[action])
    program.ask("enable 0")
    assert traces(program) == NOTHING
    if action != "close":
        assert program.ask_error(f"write {fd} 5") == ["EPIPE"]  # and no SIGPIPE
        program.ask(f"close {fd}")
    again = program.number(f"connect 127.0.0.1 {peer.port}")
    far, _ = peer.accept()
    assert again == fd
    program.ask(f"write {again} 5")
    assert far.recv(10) == bytes(5)
    program.ask("enable 1")
    program.ask(f"write {again} 5")
    assert far.recv(10) == bytes(5)
    assert program.end() == 0


def test_a_process_that_was_left_out_cannot_be_switched(puppet):
    for options in ({"enabled": 0}, {"programs": "java,nginx"}):
        program = puppet(options=options)
        assert program.ask("enable 1") == ["-1"]
        assert traces(program) == NOTHING
        assert program.end() == 0


def test_without_the_library_there_is_nothing_to_ask(puppet):
    program = puppet(library=False)
    assert program.ask("enable 0") == ["none"]


# ---- children=off ----


def test_a_forked_child_is_left_alone(puppet, peer):
    program = puppet(options={"children": "off", "action": "neutralize", "signal": "USR1"})
    leak(program, peer, 1)
    harness.wait_until(lambda: traces(program)[:2] == (4, True), lambda: f"all of ours: {traces(program)}")
    child = program.number("fork")
    try:
        harness.wait_until(lambda: traces_of(child) == NOTHING, "nothing of ours in it")
    finally:
        os.kill(child, signal.SIGUSR1)
    assert program.ask(f"wait {child}") == ["signal", str(int(signal.SIGUSR1))]
    program.report()
    assert program.end() == 0


@pytest.mark.parametrize("children", ["off", "on"])
def test_what_an_instrumented_program_executes(start, peer, children):
    shell = start(
        ["sh", "-c", '"$0"; exit $?', harness.victim("puppet")], options={"children": children}
    )
    shell.ready()
    assert len(leak(shell, peer, 1)) == 1
    assert shell.ask("enable 1") == ["-1" if children == "off" else "1"]
    assert shell.end() == 0


def test_a_wrapper_that_is_out_of_scope_has_no_children(start, peer):
    """programs= leaves the shell out: what it starts was started by no instrumented process."""
    shell = start(
        ["sh", "-c", '"$0"; exit $?', harness.victim("puppet")],
        options={"children": "off", "programs": "puppet"},
    )
    shell.ready()
    leak(shell, peer, 1)
    assert shell.ask("enable 1") == ["1"]
    assert shell.end() == 0


def test_a_program_that_becomes_another_is_its_own_child_no_more(start, peer):
    shell = start(["sh", "-c", 'exec "$0"', harness.victim("puppet")], options={"children": "off"})
    shell.ready()
    leak(shell, peer, 1)
    assert shell.ask("enable 1") == ["1"]
    assert shell.end() == 0
