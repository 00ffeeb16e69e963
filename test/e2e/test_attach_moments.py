"""Attaching and detaching at awkward moments: calls in flight, an option on its way back, a program that forks, starts another, closes
everything, changes its user, or ends."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys

import cli
import harness
import pytest
from test_power import NOTHING, leak, traces, traces_of

OPTIONS = "deadline=1s interval=250ms grace=100ms probe=off"


@pytest.fixture
def program(start):
    one = start("puppet", library=False)
    one.ready()
    return one


def attach(program, options=OPTIONS, pid=None):
    return cli.output("attach", "-o", options, pid or program.pid)


def in_system_call(pid, number):
    return pathlib.Path(f"/proc/{pid}/syscall").read_text().split()[0] == str(number)


READ, CLOCK_NANOSLEEP = 0, 230


@pytest.mark.parametrize("again", [False, True], ids=["detached", "and_attached_again"])
def test_an_accept_that_waits_meanwhile(program, again):
    attach(program)
    listener, port = map(int, program.ask("listen 127.0.0.1"))
    program.tell(f"accept {listener}")
    harness.wait_until(lambda: not in_system_call(program.pid, READ), "the accept")
    cli.output("detach", program.pid)
    if again:
        attach(program)
    with socket.create_connection(("127.0.0.1", port)) as client:
        word, fd = program.line().split()[:2]
        assert word == "ok" and int(fd) > listener
        if not again:
            attach(program)
        snapshot = cli.parsed("report", program.pid)
        states = {name: n for name, n in snapshot["totals"]["by_state"].items() if n}
        assert states == {"ESTABLISHED": 1, "LISTEN": 1}
        client.shutdown(socket.SHUT_RDWR)
    harness.wait_until(lambda: cli.parsed("report", program.pid)["totals"]["close_wait"] == 1, "the FIN to be seen")
    assert program.ask(f"close {fd}") == ["0"]
    harness.wait_until(lambda: cli.parsed("report", program.pid)["totals"]["open"] == 1, "the end to be seen")


def test_an_option_on_its_way_back(program, peer):
    """What was to be put back later is forgotten with the rest."""
    attach(program)
    leak(program, peer, 1)
    cli.output("set", program.pid, "action=shutdown", "for=1h", "never=:1")
    cli.output("set", program.pid, "deadline=9s", "for=300ms")
    cli.output("detach", program.pid)
    attach(program, "deadline=7s interval=250ms")
    # Longer than what was to be put back.
    before = cli.parsed("report", program.pid)["process"]["uptime_ms"]
    harness.wait_until(lambda: cli.parsed("report", program.pid)["process"]["uptime_ms"] > before + 500, "half a second")
    options = cli.parsed("report", program.pid)["options"]
    assert (options["deadline"], options["action"]) == ("7s", "report")


@pytest.mark.parametrize("is_attached", [True, False], ids=["attached", "detached"])
def test_the_report_at_the_end_is_of_who_is_there(program, peer, tmp_path, is_attached):
    report = tmp_path / "end.json"
    attach(program, f"{OPTIONS} exit_report=1 json={report}")
    leak(program, peer, 1)
    if not is_attached:
        cli.output("detach", program.pid)
    assert program.end() == 0
    assert report.exists() == is_attached
    if is_attached:
        assert json.loads(report.read_text())["trigger"] == "exit"


def test_a_child_forked_while_attached_and_the_parent_detached(program, peer):
    attach(program)
    leak(program, peer, 1)
    child = program.number("become")
    cli.output("detach", program.pid)
    assert traces(program) == NOTHING
    leak(program, peer, 1)  # the child's
    assert cli.parsed("report", child)["totals"]["open"] == 2
    assert cli.parsed("detach", child)["detached"] is True
    harness.wait_until(lambda: traces_of(child) == NOTHING, "nothing of ours")


def test_a_child_forked_after_the_end_is_attached_to_by_itself(program, peer):
    attach(program)
    leak(program, peer, 1)
    cli.output("detach", program.pid)
    child = program.number("become")
    attach(program, pid=child)
    leak(program, peer, 1)
    snapshot = cli.parsed("report", child)
    assert snapshot["process"]["pid"] == child and snapshot["totals"]["open"] == 2
    assert traces(program) == NOTHING


@pytest.mark.parametrize("is_detached", [True, False], ids=["by_itself", "with_its_parent"])
def test_the_report_signal_in_a_forked_child(program, peer, tmp_path, is_detached):
    """It has the default back, as a forked child of any program of ours; one that is attached to by itself reports."""
    attach(program)
    leak(program, peer, 1)
    child = program.number("become")
    assert not traces_of(child)[1]
    if is_detached:
        cli.output("detach", child)
        report = tmp_path / f"report.{child}.json"
        attach(program, f"{OPTIONS} json={tmp_path}/report.%p.json", pid=child)
        assert traces_of(child)[1]
        os.kill(child, signal.SIGUSR1)
        harness.wait_until(report.exists, "the report")
        assert program.ask("nop") == [], "it lives"


def test_every_descriptor_closed_past_the_doors(program, peer):
    """As a daemon does that tidies up by close_range() of its own: ours among them."""
    attach(program)
    leak(program, peer, 2)
    high = [int(fd) for fd in os.listdir(f"/proc/{program.pid}/fd") if int(fd) >= 1000]
    for fd in high:
        program.ask(f"rawclose {fd}")
    fds = leak(program, peer, 2)
    assert cli.parsed("report", program.pid)["totals"]["open"] == 4
    cli.output("detach", program.pid)
    attach(program)
    harness.wait_until(lambda: cli.parsed("report", program.pid)["totals"]["close_wait"] == 4, "all four")
    for fd in fds:
        assert program.ask(f"close {fd}") == ["0"]
    assert program.end() == 0


def test_a_signal_of_the_programs_own_meanwhile(program, peer):
    """Auto takes SIGUSR1 while it is at default; what the program installs while we are gone is its own."""
    attach(program)
    leak(program, peer, 1)
    assert traces(program)[1]
    cli.output("detach", program.pid)
    assert program.ask("handle USR1 sigaction own") == ["default"]
    attach(program)
    os.kill(program.pid, signal.SIGUSR1)
    harness.wait_until(lambda: int(program.ask("handled")[0]) == 1, "the program's handler")


def test_detaching_while_a_reap_is_under_way(program, peer):
    attach(program, "deadline=1h")
    leak(program, peer, 5)
    reaper = subprocess.Popen(
        [cli.SOCKLEAK, "reap", "--older-than", "0s", str(program.pid)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    done = subprocess.run([cli.SOCKLEAK, "detach", "--force", str(program.pid)], capture_output=True, text=True)
    said, _ = reaper.communicate(timeout=60)
    assert done.returncode == 0, (done.stderr, said)
    harness.wait_until(lambda: traces(program) == NOTHING, "nothing of ours")
    attach(program)
    assert program.ask("nop") == []


def test_a_program_that_changes_its_user(start, peer):
    """setuid() reaches each thread, ours too; what it may not open any more it does without."""
    if os.geteuid() != 0:
        raise harness.Forbidden("root, to be somebody else afterwards")
    text = (
        "import os, socket, sys\n"
        "kept = []\n"
        "for line in sys.stdin:\n"
        "    if line.startswith('user'): os.setgid(12345); os.setuid(12345)\n"
        "    else: kept.append(socket.create_connection(('127.0.0.1', int(line))))\n"
        "    print('ok', flush=True)\n"
    )
    program = start([sys.executable, "-c", text], library=False)

    def tell(words):
        program.tell(str(words))
        assert program.line() == "ok", program.stderr()

    tell(peer.port)
    attach(program)
    assert cli.parsed("report", program.pid)["totals"]["open"] == 1
    tell("user")
    tell(peer.port)
    assert cli.parsed("report", program.pid)["totals"]["open"] == 2
    for _ in range(2):
        assert "lead to libc again" in cli.output("detach", program.pid)
        assert traces(program) == NOTHING
        attach(program)
    assert cli.parsed("report", program.pid)["totals"]["open"] == 2


def test_a_program_that_may_have_no_more_threads(start, peer):
    """Nobody would look or answer: all is undone, and later it can be done."""
    other = harness.OtherUser()
    try:
        puppet = other.copy(harness.victim("puppet"))
        program = start([puppet], library=False, wrap=[*other.prefix(), "prlimit", "--nproc=1:100"])
        program.ready()
        for _ in range(2):
            assert "no thread could be started in it" in cli.refusal("attach", program.pid, code=cli.NO_LIBRARY)
            assert traces(program) == NOTHING
            assert "not attached" in cli.refusal("detach", program.pid, code=cli.NO_LIBRARY)
        subprocess.run([*other.prefix(), "prlimit", "--nproc=100:", "--pid", str(program.pid)], check=True)
        attach(program)
        cli.close_wait(program, peer, 1)
        assert cli.parsed("report", program.pid)["totals"]["opened"] == 1
        cli.output("detach", program.pid)
        assert program.end() == 0
    finally:
        other.close()


def test_a_program_that_becomes_another(start):
    """exec: the library is gone with the old program, and the new one is attached to like any other."""
    program = start(["sh", "-c", "echo ready; read line; exec sleep 60"], library=False)
    program.ready()
    attach(program)
    program.tell("go")
    harness.wait_until(lambda: in_system_call(program.pid, CLOCK_NANOSLEEP), "the sleep")
    assert "not attached" in cli.refusal("detach", program.pid, code=cli.NO_LIBRARY)
    for _ in range(2):
        attach(program)
        cli.output("detach", program.pid)


def test_a_program_that_becomes_a_daemon(start):
    """Attached to, it forks twice and closes all it has; who asked goes, and the daemon has the library."""
    text = (
        "import os, socket, sys, threading\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "if os.fork(): os._exit(0)\n"
        "os.setsid()\n"
        "pid = os.fork()\n"
        "if pid: os._exit(0)\n"
        "out = os.dup(1)\n"
        "os.closerange(3, out); os.closerange(out + 1, 4096)\n"
        "client = socket.create_server(('127.0.0.1', 0))\n"
        "os.write(out, b'%d\\n' % os.getpid())\n"
        "os.close(out)\n"
        "threading.Event().wait(60)\n"
    )
    program = start([sys.executable, "-c", text], library=False)
    program.ready()
    attach(program)
    program.tell("go")
    daemon = int(program.line())
    try:
        harness.wait_until(lambda: traces_of(daemon)[0] > 0, "our threads in the daemon")
        snapshot = cli.parsed("report", daemon)
        assert (snapshot["mode"], snapshot["totals"]["by_state"]["LISTEN"]) == ("attach", 1)
        assert cli.parsed("detach", daemon)["detached"] is True
        harness.wait_until(lambda: traces_of(daemon) == NOTHING, "nothing of ours")
    finally:
        os.kill(daemon, signal.SIGKILL)
