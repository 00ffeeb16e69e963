"""`sockleak top` on a real terminal."""

import json
import os
import shutil
import signal

import cli
import harness
import pytest
import terminal


@pytest.fixture
def top(tmp_path):
    """A function that starts `sockleak top` with these arguments."""
    open_ones = []

    def start_top(*words, env=None, **more):
        env = {"LC_ALL": "C.UTF-8", **(env or {})}
        argv = [cli.SOCKLEAK, "top", "--interval=200ms", *words]
        open_ones.append(terminal.Terminal(argv, cwd=tmp_path, env=env, **more))
        return open_ones[-1]

    yield start_top
    for one in open_ones:
        one.close()


@pytest.fixture
def leaking(puppet, peer):
    """Three stuck to one peer, and five in use to another."""
    program = puppet(options={"deadline": "300ms"})
    program.quiet = harness.Peer()
    cli.close_wait(program, peer, 3)
    program.held = []
    for _ in range(5):
        program.number(f"connect 127.0.0.1 {program.quiet.port}")
        program.held.append(program.quiet.accept()[0])
    yield program
    program.quiet.close()


def first_row(lines):
    return next(line for line in lines if line.startswith(">"))


def last_row(screen, rows):
    lines = screen.screen().splitlines()
    return lines[-1] if len(lines) == rows else ""


def options_of(program):
    return cli.parsed("report", program.pid)["options"]


def test_totals_and_tables(top, leaking, peer):
    screen = top(leaking.pid)
    lines = screen.until("open 8  CLOSE_WAIT 3", "stuck 3", "ports left 28", "fds", "[Peers 2]", "action=report")
    assert lines[0].startswith(f"puppet  pid {leaking.pid}  up ") and "3 of 3 CLOSE_WAIT stuck" in lines[1]
    assert f"127.0.0.1:{peer.port}" in first_row(lines)
    screen.until("CLOSE_WAIT ███")  # time goes on by itself
    screen.keys("s", "s")
    lines = screen.until("sorted by open")
    assert f"127.0.0.1:{leaking.quiet.port}" in first_row(lines)
    screen.keys("Down")
    harness.wait_until(lambda: f"127.0.0.1:{peer.port}" in first_row(screen.screen().splitlines()), screen.screen)
    screen.keys("p")
    screen.until("paused: p goes on")
    for connection in leaking.held:
        connection.close()
    harness.wait_until(lambda: cli.states_of(leaking.pid).get("CLOSE_WAIT") == 8, "five more")
    screen.until("CLOSE_WAIT 3")
    screen.keys("r")
    screen.until("CLOSE_WAIT 8")
    screen.keys("?")
    screen.until("save what is shown, as JSON", "any key goes back")
    screen.keys("x", "q")
    screen.restored(0)


def test_the_stack_of_a_site(top, leaking):
    screen = top(leaking.pid)
    screen.until("[Peers 2]")
    screen.keys("Enter")
    screen.until("Tab shows them")
    screen.keys("Tab")
    assert "do_connect (commands.h:" in first_row(screen.until("[Sites 1]", "do_connect"))
    screen.keys("Enter")
    lines = screen.until("stack, the innermost call first:", "cause    never-looked", "threads  puppet")
    assert any(line.startswith("  > do_connect (commands.h:") for line in lines)
    assert any(line.startswith("    main (puppet.c:") for line in lines)
    screen.resize(60, 10)
    screen.until("blame    do_connect", "p pause  ? help", absent=["main (puppet.c"])
    screen.keys("Down", "Down", "Down", "NPage")
    screen.until("main (puppet.c")
    screen.keys("Escape")
    screen.until("[Sites 1]")


def test_an_action_is_changed_after_a_question(top, leaking):
    screen = top(leaking.pid)
    screen.until("action=report")
    screen.keys("a")
    screen.until("Which action?", "c  close", "dangerous")
    screen.keys("s")
    screen.until("frees their ports", "for=2h: then as before",
                 f"Set action=shutdown for=2h in process {leaking.pid}? y/N")
    screen.keys("Enter")  # is not y
    screen.until("Tab table", "action=report")
    assert options_of(leaking)["action"] == "report"
    screen.keys("a", "s", "y")
    screen.until("changed action from report to shutdown; for 2h0m, then as before", "action=shutdown")
    assert options_of(leaking)["action"] == "shutdown"
    screen.keys("Down")
    screen.until("CLOSE_WAIT 0", "ended by us")
    screen.keys("a", "r", "y")
    screen.until("from shutdown to report; until the process ends", "action=report")
    assert options_of(leaking)["action"] == "report"


def test_a_report_is_saved(top, leaking, tmp_path):
    screen = top(leaking.pid)
    screen.until("stuck 3")
    screen.keys("w")
    screen.until(f"Save as JSON to: sockleak-{leaking.pid}-")
    screen.keys("C-u")
    screen.type("mü.jsonx")
    screen.keys("BSpace")
    screen.until("Save as JSON to: mü.json_")
    screen.keys("Enter")
    screen.until("saved what is shown: mü.json")
    snapshot = json.loads((tmp_path / "mü.json").read_text())
    harness.check_snapshot(snapshot)
    assert (snapshot["process"]["pid"], snapshot["totals"]["stuck"]) == (leaking.pid, 3)
    assert "3 of 3 CLOSE_WAIT stuck" in cli.output("report", tmp_path / "mü.json")
    before = (tmp_path / "mü.json").stat().st_ino
    screen.keys("w", "C-u")
    screen.type("mü.json")
    screen.keys("Enter")
    screen.until("Replace it? y/N")
    screen.keys("n")
    screen.until("Tab table")
    assert (tmp_path / "mü.json").stat().st_ino == before
    screen.keys("w", "C-u")
    screen.type("nowhere/x")
    screen.keys("Enter")
    screen.until("nowhere/x: No such file or directory")


def test_windows_of_every_size(top, leaking):
    screen = top(leaking.pid)
    screen.until("[Peers 2]")
    for columns, rows in ((100, 30), (60, 10), (200, 50), (60, 11)):
        screen.resize(columns, rows)
        harness.wait_until(lambda: last_row(screen, rows).startswith("Tab table"), screen.screen)
        lines = screen.until("open 8  CLOSE_WAIT 3", "[Peers 2]", ">")
        assert len(lines) == rows and all(len(line) <= columns for line in lines)
    screen.resize(20, 4)
    screen.until("too small: 60x10")
    screen.resize(1, 1)
    screen.resize(80, 24)
    screen.until("Tab table", "[Peers 2]")
    screen.keys("q")
    screen.restored(0)


def test_the_list_opens_a_process(top, leaking):
    screen = top(columns=110)
    screen.until("Processes with the library: ", f" {leaking.pid} ")

    def chosen():
        """Its row, once that is the chosen one. Those of other tests come and go meanwhile, above it and below."""
        lines = screen.screen().splitlines()
        at = next((n for n, line in enumerate(lines) if line.startswith(">")), 0)
        its = next((n for n, line in enumerate(lines) if f" {leaking.pid} " in line), len(lines))
        if at and at != its:
            screen.keys("Down" if its > at else "Up")
        return at == its and lines[at]

    row = harness.wait_until(chosen, screen.screen, every_s=0.3)
    assert "puppet" in row and "do_connect" in row and row.split()[2:4] == ["3", "8"]
    screen.keys("Enter")
    screen.until(f"pid {leaking.pid}", "[Peers 2]", "q back")
    screen.keys("q")
    screen.until("Processes with the library: ")
    screen.keys("q")
    screen.restored(0)


def test_a_process_that_ends_leaves_its_last_picture(top, leaking):
    screen = top(leaking.pid)
    screen.until("stuck 3")
    leaking.kill()
    screen.until(f"process {leaking.pid} has ended", "stuck 3", "[Peers 2]")
    screen.keys("a")
    screen.until("no action: the process has ended")
    screen.keys("Tab", "Enter")
    screen.until("do_connect")
    screen.keys("q", "q")
    screen.restored(0)


def test_a_process_without_the_library(top, start, peer):
    program = start("puppet", library=False)
    program.ready()
    cli.close_wait(program, peer, 2)
    screen = top(program.pid)
    screen.until("mode external", "open 2  CLOSE_WAIT 2", f"127.0.0.1:{peer.port}")
    screen.keys("Tab")
    screen.until("the library is not in this process")
    screen.keys("a")
    screen.until("no action: the library is not in this process; 'sockleak reap PID'")
    screen.keys("q")
    screen.restored(0)


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_signals_put_the_terminal_back(top, leaking, signo):
    screen = top(leaking.pid)
    screen.until("[Peers 2]")
    if signo == signal.SIGTERM:
        screen.keys("a")  # amid a question
        screen.until("Which action?")
    os.kill(screen.pid(), signo)
    screen.restored(128 + signo)


def test_it_ends_with_its_terminal(top, leaking):
    screen = top(leaking.pid)
    screen.until("[Peers 2]")
    pid = screen.pid()
    screen.close()
    harness.wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "its end")


def test_names_do_not_move_the_cursor_and_plain_locales_work(top, start, peer, tmp_path):
    path = tmp_path / "ev\x1b[2Jil\u00e9"
    shutil.copy(harness.victim("puppet"), path)
    program = start([path])
    program.ready()
    cli.close_wait(program, peer, 1)
    screen = top(program.pid)
    assert screen.until("[Peers 1]")[0].startswith("ev\\x1b[2Jil\u00e9  pid")
    plain = top(program.pid, env={"LC_ALL": "C"})
    lines = plain.until("[Peers 1]")
    assert lines[0].startswith("ev\\x1b[2Jil?  pid") and "\n".join(lines).isascii()


def test_refusals(top, leaking):
    line = cli.refusal("top", leaking.pid, code=cli.USAGE)
    assert line == "sockleak: top needs a terminal; for a script: sockleak report PID --json"
    assert "sockleak list --json" in cli.refusal("top", code=cli.USAGE)
    for words, said in ((["x"], "one process id is taken"), ([1, 2], "one process id"), (["--interval=5"], "unit"),
                        (["--interval=1ms"], "100ms at least")):
        assert said in cli.refusal("top", *words, code=cli.USAGE)
    free = next(pid for pid in range(4_000_000, 1, -1) if not os.path.exists(f"/proc/{pid}"))
    top(free).until(f"sockleak: no process {free}", "EXIT 3")
    for name in ("nonsense", "dumb"):
        top(leaking.pid, env={"TERM": name}).until(f"the terminal '{name}' is not known", "EXIT 2")
