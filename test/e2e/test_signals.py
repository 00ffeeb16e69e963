"""The report signal, and the program's own signals."""

import os
import signal

import harness
import pytest

WAYS = "both"


def test_a_program_asks_and_sees_its_own_disposition(puppet, peer):
    program = puppet()
    program.ask(f"connect 127.0.0.1 {peer.port}")
    program.report()
    assert program.ask("disposition USR1") == ["default"]
    assert program.ask("handle USR1 sigaction own") == ["default"]
    assert program.ask("disposition USR1") == ["own"]
    assert program.ask("handle USR1 sigaction own") == ["own"]


@pytest.mark.parametrize("how", ["sigaction", "signal", "sysv_signal"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_auto_steps_aside_for_a_handler(puppet, peer, how, when):
    """Installed before the first socket, or after reports were already taken."""
    program = puppet()
    if when == "after":
        program.ask(f"connect 127.0.0.1 {peer.port}")
        program.report()
    assert program.ask(f"handle USR1 {how} own") == ["default"]
    if when == "before":
        program.ask(f"connect 127.0.0.1 {peer.port}")
    before = program.json_identity()
    program.send_signal()
    harness.wait_until(lambda: program.number("handled") == 1, "the program's handler")
    program.ask(f"handle USR1 {how} own")  # again: said once all the same
    harness.wait_until(lambda: program.stderr_lines("SIGUSR1"), "a line that says so")
    program.ask("nop")
    assert len(program.stderr_lines("SIGUSR1")) == 1
    program.send_signal()
    harness.wait_until(lambda: program.number("handled") == 2, "the program's handler again")
    assert program.end() == 0
    assert program.json_identity() == before


def test_auto_steps_aside_for_ignoring(puppet, peer):
    program = puppet()
    program.ask(f"connect 127.0.0.1 {peer.port}")
    program.report()
    before = program.json_identity()
    assert program.ask("handle USR1 signal ignored") == ["default"]
    assert program.ask("disposition USR1") == ["ignored"]
    for _ in range(5):
        program.send_signal()
    assert program.ask("nop") == []
    harness.wait_until(lambda: program.stderr_lines("SIGUSR1"), "a line that says so")
    program.ask("nop")
    assert len(program.stderr_lines("SIGUSR1")) == 1
    assert program.end() == 0
    assert program.json_identity() == before


def test_auto_leaves_an_inherited_ignore_alone(start, peer):
    """Ignored by the parent, as nohup does with SIGHUP: children would die of it otherwise."""
    program = start("puppet", wrap=["env", "--ignore-signal=USR1"])
    program.ready()
    program.ask(f"connect 127.0.0.1 {peer.port}")
    assert program.ask("disposition USR1") == ["ignored"]
    program.send_signal()
    assert program.ask("nop") == []
    child = program.number("fork")
    os.kill(child, signal.SIGUSR1)
    os.kill(child, signal.SIGTERM)
    assert program.ask(f"wait {child}") == ["signal", str(int(signal.SIGTERM))]
    assert program.json_identity() is None


NAMED = [("USR1", signal.SIGUSR1), ("USR2", signal.SIGUSR2), ("RTMIN+3", signal.SIGRTMIN + 3)]


@pytest.mark.parametrize("name, signo", NAMED, ids=[name for name, _ in NAMED])
def test_a_named_signal_is_chained(puppet, peer, name, signo):
    """Both happen: the report, and the program's handler, whichever came first."""
    program = puppet(options={"signal": name})
    program.ask(f"connect 127.0.0.1 {peer.port}")
    assert program.report(signo)["trigger"] == "signal"
    assert program.ask(f"disposition {name}") == ["default"]
    assert program.ask(f"handle {name} sigaction own") == ["default"]
    assert program.ask(f"disposition {name}") == ["own"]
    for count in (1, 2):
        program.report(signo)
        harness.wait_until(lambda: program.number("handled") == count, "the program's handler")
    assert program.ask(f"handle {name} signal default") == ["own"]
    assert program.ask(f"disposition {name}") == ["default"]
    program.report(signo)
    assert program.number("handled") == 2


@pytest.mark.parametrize("options", [{"signal": "none"}, {"signal": "USR2"}], ids=["none", "other"])
def test_a_signal_that_is_not_ours_kills_as_before(puppet, peer, options):
    program = puppet(options=options)
    program.ask(f"connect 127.0.0.1 {peer.port}")
    program.send_signal(signal.SIGUSR1)
    assert program.wait() == -signal.SIGUSR1


def test_a_forked_child_dies_of_it_as_before(puppet, peer):
    program = puppet()
    program.ask(f"connect 127.0.0.1 {peer.port}")
    program.report()
    child = program.number("fork")
    os.kill(child, signal.SIGUSR1)
    assert program.ask(f"wait {child}") == ["signal", str(int(signal.SIGUSR1))]
    for _ in range(20):
        child = program.number("fork USR1")
        assert program.ask(f"wait {child}") == ["signal", str(int(signal.SIGUSR1))]
    program.report()  # the parent still answers


@pytest.mark.preloaded
def test_without_sockets_it_says_so_in_one_line(puppet):
    program = puppet(options={"report": "stderr"})
    program.send_signal()
    (line,) = harness.wait_until(program.stderr_lines, "one line on stderr")
    assert "sockleak" in line and "socket" in line
    assert program.ask("nop") == []
    tasks = os.listdir(f"/proc/{program.pid}/task")
    assert len(tasks) == 1, "a process that opens no socket has no thread of ours"
    assert program.end() == 0


def test_own_thread_blocks_every_signal(puppet, peer):
    """A signal for the process must never land on the library's thread."""
    program = puppet()
    program.ask(f"connect 127.0.0.1 {peer.port}")
    program.report()
    tasks = [t for t in os.listdir(f"/proc/{program.pid}/task") if int(t) != program.pid]
    assert tasks
    for task in tasks:
        with open(f"/proc/{program.pid}/task/{task}/status", encoding="ascii") as file:
            blocked = next(int(l.split()[1], 16) for l in file if l.startswith("SigBlk"))
        with open(f"/proc/{program.pid}/task/{task}/comm", encoding="ascii") as file:
            assert file.read().startswith("sockleak")
        cannot = {signal.SIGKILL, signal.SIGSTOP}
        # 32 and 33 are libc's own.
        wanted = [s for s in signal.valid_signals() if s not in cannot and s not in (32, 33)]
        assert all(blocked >> (s - 1) & 1 for s in wanted)
