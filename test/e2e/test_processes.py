"""Children of an instrumented program, each with reports of its own; runtimes that start programs; and what a report signal that is
really delivered does to a program: just what the documents say."""

import json
import os
import queue
import signal
import sys

import harness
import pytest
import services
import test_transparent

WAYS = "both"

VICTIMS = harness.ROOT / "test" / "victims"
REPORT_BY_NAME = signal.SIGRTMIN + 5


def has_report_of(path, pid):
    """A JSON report lies there, and it is of this process."""
    return path.exists() and json.loads(path.read_text())["process"]["pid"] == pid


# ---- files ----


@pytest.mark.parametrize("has_pid", [False, True], ids=["plain", "pid"])
def test_a_forked_child_reports_to_files_of_its_own(puppet, peer, tmp_path, has_pid):
    mark = ".%p" if has_pid else ""
    names = {"json": f"report{mark}.json", "report": f"report{mark}.txt"}
    options = {key: tmp_path / name for key, name in names.items()}
    program = puppet(options={"signal": "RTMIN+5", **options})
    program.ask(f"connect 127.0.0.1 {peer.port}")

    def path_of(key, pid):
        text = str(options[key])
        if has_pid:
            text = text.replace("%p", str(pid))
        elif pid != program.pid:
            text += f".{pid}"
        return harness.pathlib.Path(text)

    os.kill(program.pid, REPORT_BY_NAME)
    harness.wait_until(lambda: has_report_of(path_of("json", program.pid), program.pid), "the parent's report")
    child = program.number("become")
    program.ask(f"connect 127.0.0.1 {peer.port}")
    os.kill(child, REPORT_BY_NAME)
    harness.wait_until(lambda: has_report_of(path_of("json", child), child), "the child's report")
    snapshot = json.loads(path_of("json", child).read_text())
    harness.check_snapshot(snapshot)
    assert snapshot["totals"]["open"] == 2, "what it inherited, and its own"
    assert f"pid {child} " in path_of("report", child).read_text()
    before = json.loads(path_of("json", program.pid).read_text())
    os.kill(program.pid, REPORT_BY_NAME)
    harness.wait_until(
        lambda: json.loads(path_of("json", program.pid).read_text()) != before, "the parent's second report"
    )
    after = json.loads(path_of("json", program.pid).read_text())
    assert (after["process"]["pid"], after["totals"]["open"]) == (program.pid, 1)
    assert len(list(tmp_path.glob("report*"))) == 4
    assert program.end() == 0


def test_each_forked_child_writes_its_exit_report(tmp_path):
    """exit() in twenty children, while threads of their parent open sockets."""
    directory = tmp_path / "run"
    settings = "exit_report=1 json={0}/report-%p.json report={0}/report.txt"
    outcome = test_transparent.run("forks", "children_that_exit_while_threads_connect", directory, settings)
    assert outcome.told[0] == "fine: 20 of 20, wrong: 0"
    reports = [json.loads(path.read_text()) for path in directory.glob("report-*.json")]
    pids = {report["process"]["pid"] for report in reports}
    texts = {path.name for path in directory.glob("report.txt*")}
    assert len(pids) == len(reports) == 21
    assert len(texts) == 21 and sum(f"report.txt.{pid}" in texts for pid in pids) == 20
    for report in reports:
        harness.check_snapshot(report)
        assert report["trigger"] == "exit"


# ---- programs that start programs ----


def outputs(start, argv, **more):
    """What it prints with the library, and without."""
    for library in (True, False):
        program = start(argv, library=library, options={"deadline": "100ms"}, **more)
        lines = []
        while (line := program.line(90)) is not None:
            lines.append(line)
        assert program.wait() == 0, program.stderr()
        if library and not program.full_reports():
            assert not program.stderr(), program.stderr()
        yield lines


def test_pythons_subprocess(start):
    under, alone = outputs(start, [sys.executable, VICTIMS / "subprocesses.py"])
    assert len(alone) > 60
    assert under == alone


def test_javas_process_builder(start):
    under, alone = outputs(start, services.java("ProcessRunner", 5))
    assert alone[-1] == "wrong 0" and len(alone) == 36
    assert under == alone


# ---- a signal that is named ----

SHARED_CASES = [name for program, name in test_transparent.CASES if program == "dispositions"]
# They count on dying of it, or open their sockets late: reports by that signal are all that differs.
NOT_SHARED = {
    "forked_children_have_their_own",
    "untouched_children_have_nothing_set",
    "installed_before_sockets",
}


@pytest.mark.parametrize("name", ["USR1", "USR2", "RTMIN+5"])
@pytest.mark.parametrize("case", [case for case in SHARED_CASES if case not in NOT_SHARED])
def test_a_shared_signal_is_told_as_the_programs_own(tmp_path, case, name):
    without = test_transparent.alone("dispositions", case)
    settings = f"signal={name} report={{0}}/report.txt"
    under = test_transparent.run("dispositions", case, tmp_path / "under", settings)
    assert under.seen() == without.seen(), under.said


# ---- a report signal that is delivered ----


def is_asleep(program):
    """In a call of its own: not where it reads its next command."""
    with open(f"/proc/{program.pid}/task/{program.pid}/syscall", encoding="ascii") as file:
        words = file.read().split()
    return words[0] not in ("running", "-1") and words[:2] != ["0", "0x0"]


def sleeper(start, how, peer, **more):
    """A program without a handler of its own, asleep in that call; and the way to wake it."""
    program = start("sleeper", **more)
    program.ready()
    fd = program.number(f"connect 127.0.0.1 {peer.port}")
    wake = lambda: peer.accept()[0].sendall(b"here")
    if how.startswith("accept"):
        fd, port = map(int, program.ask("listen 127.0.0.1"))
        wake = lambda: peer.connections.append(harness.socket.create_connection(("127.0.0.1", port)))
    program.tell(f"sleep {how} {fd}")
    harness.wait_until(lambda: is_asleep(program), f"it to sleep in {how}")
    return program, wake


GO_ON = ["read", "readv", "recv", "recvmsg", "accept", "sem_wait"]
SAY_EINTR = [
    *["poll", "select", "epoll_wait", "nanosleep", "sleep", "pause"],
    *["recv_with_timeout", "accept_with_timeout"],
]


@pytest.mark.parametrize("how", GO_ON)
def test_a_report_signal_leaves_a_call_asleep(start, peer, how):
    program, wake = sleeper(start, how, peer)
    for _ in range(3):
        program.report()
    harness.wait_until(lambda: is_asleep(program), f"it to sleep in {how} again")
    with pytest.raises(queue.Empty):
        program.lines.get_nowait()
    if how != "sem_wait":
        wake()
        assert program.line().startswith("ok")


@pytest.mark.parametrize("how", SAY_EINTR)
def test_a_report_signal_interrupts(start, peer, how):
    """As any signal that is handled does (signal(7)), whatever SA_RESTART says; documented."""
    program, _ = sleeper(start, how, peer)
    program.send_signal()
    assert program.line() == "error EINTR"
    assert program.report()["trigger"] == "signal"
    guide = (harness.ROOT / "docs" / "incident-guide.md").read_text()
    assert f"`{how.replace('_with_timeout', '')}()`" in guide


@pytest.mark.parametrize("how", ["sigwait", "signalfd"])
def test_who_waits_for_sigusr1_gets_it(start, peer, how):
    """Not we: it is blocked. Another signal brings the report."""
    program, _ = sleeper(start, how, peer)
    program.send_signal()
    assert program.line() == f"ok {int(signal.SIGUSR1)}"
    assert program.json_identity() is None
    program, _ = sleeper(start, how, peer, options={"signal": "RTMIN+5"})
    assert program.report(REPORT_BY_NAME)["trigger"] == "signal"
    program.send_signal()
    assert program.line() == f"ok {int(signal.SIGUSR1)}"
    guide = (harness.ROOT / "docs" / "incident-guide.md").read_text()
    assert f"`{how}()`" in guide
