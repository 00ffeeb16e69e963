"""The way into a running process, without preload: one thread is borrowed for a call of dlopen(), and goes on as if nothing
had been. A library of the tests is brought in, so that this is seen by itself."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

import harness
import inject
import pytest

# What wakes each of sleeper's ways to wait, and what it answers then; None: any signal would, or nothing.
WAYS = ["read", "readv", "recv", "recvmsg", "recv_with_timeout", "accept", "accept_with_timeout", "poll", "select"]
WAYS += ["epoll_wait", "sem_wait", "nanosleep", "sleep", "pause", "sigwait", "signalfd", "sigsuspend"]


@pytest.fixture
def sleeper(start):
    program = start("sleeper", library=False)
    program.ready()
    return program


def is_waiting(pid):
    """In a system call other than the read() of the next command."""
    text = pathlib.Path(f"/proc/{pid}/syscall").read_text().split()
    return text[0] != "running" and (text[0], int(text[1], 16) if len(text) > 2 else 0) != ("0", 0)


@pytest.mark.parametrize("way", ["nanosleep", "sleep", "poll"])
def test_a_wait_that_the_kernel_has_begun_again(sleeper, peer, way):
    """Stopped and continued, or borrowed before, it goes by another number."""
    fd = int(sleeper.ask(f"connect 127.0.0.1 {peer.port}")[0])
    sleeper.tell(f"sleep {way} {fd}")
    harness.wait_until(lambda: is_waiting(sleeper.pid), f"{way} to wait")
    os.kill(sleeper.pid, signal.SIGSTOP)
    harness.wait_until(lambda: inject.threads(sleeper.pid)[sleeper.pid][0] == "T", "the stop")
    os.kill(sleeper.pid, signal.SIGCONT)
    harness.wait_until(lambda: is_waiting(sleeper.pid), f"{way} to wait again")
    for _ in range(3):
        tid, _ = inject.bring_in(sleeper.pid)
        assert tid == sleeper.pid
    assert inject.threads(sleeper.pid)[tid][0] == "S"


def test_a_sleep_ends_when_it_was_to(start):
    seconds = 1.5
    begin = time.monotonic()
    program = start(["sleep", seconds], library=False)
    harness.wait_until(lambda: is_waiting(program.pid), "the sleep")
    for _ in range(3):
        inject.bring_in(program.pid)
    assert program.popen.wait(harness.PATIENCE_S) == 0
    assert time.monotonic() - begin >= seconds


@pytest.mark.parametrize("way", WAYS)
def test_a_thread_that_waits_is_borrowed_and_waits_on(sleeper, peer, tmp_path, way):
    said = tmp_path / "said"
    listener, port = map(int, sleeper.ask("listen 127.0.0.1"))
    if way.startswith("accept"):
        fd, peer_end = listener, None
    else:
        fd = int(sleeper.ask(f"connect 127.0.0.1 {peer.port}")[0])
        peer_end, _ = peer.accept()
    sleeper.tell(f"sleep {way} {fd}")
    harness.wait_until(lambda: is_waiting(sleeper.pid), f"{way} to wait")
    before = pathlib.Path(f"/proc/{sleeper.pid}/syscall").read_text().split()
    tid, _ = inject.bring_in(sleeper.pid, options=said)
    assert tid == sleeper.pid
    assert said.read_text() == f"{tid} {tid} 1 {said}\n"
    # It waits as before, with the same arguments, or in the kernel's own way to go on with what was begun.
    again = lambda: pathlib.Path(f"/proc/{sleeper.pid}/syscall").read_text().split()
    harness.wait_until(lambda: again() == before or (again()[0] == "219" and again()[-1] == before[-1]), again)
    assert inject.threads(sleeper.pid)[tid][0] == "S"
    if way in ("sem_wait", "nanosleep", "sleep", "pause"):
        return  # ended with the test; how it is woken is what test_inject_harm.py is about
    if way in ("sigwait", "signalfd", "sigsuspend"):
        os.kill(sleeper.pid, signal.SIGUSR1)
        assert sleeper.line() == f"ok {int(signal.SIGUSR1)}"
    elif peer_end:
        peer_end.sendall(b"x")
        assert sleeper.line() == "ok 1"
    else:
        with socket.create_connection(("127.0.0.1", port)):
            assert sleeper.line().startswith("ok")


def test_a_command_whose_parent_ignores_sigchld(sleeper):
    """The kernel tells such a one of no stop, unless it asks for it: it would keep the thread for as long as its patience lasts."""
    rows = inject.attempts(sleeper.pid, times=5, ahead=[harness.need_tool("env"), "--ignore-signal=CHLD"])
    assert all(row["error"] == 0 and 0 < row["stopped_us"] < 5_000_000 for row in rows), rows


def test_an_interrupt_while_the_call_waits_for_a_lock(start, tmp_path):
    """It need not wait for the lock, nor for the end of the command's patience; the thread makes the call when it can."""
    program = start([harness.victim("inject_victim"), "locked"], library=False)
    program.ready()
    assert program.line() == "in"
    said = tmp_path / "said"
    with (tmp_path / "stderr").open("w") as stderr:
        driver = subprocess.Popen(inject.words(program.pid, options=said), stdout=subprocess.DEVNULL, stderr=stderr)
    harness.wait_until(lambda: "no harm is done if this command is ended" in (tmp_path / "stderr").read_text(), "the wait")
    driver.send_signal(signal.SIGINT)
    assert driver.wait(20) == -signal.SIGINT
    assert not said.exists()
    os.kill(program.pid, signal.SIGUSR1)
    assert program.line() == "out"
    harness.wait_until(lambda: said.exists() and said.read_text(), "the call")
    inject.bring_in(program.pid)
    program.popen.terminate()
    assert program.line().startswith("ok")


def test_without_options_it_is_called_with_none(sleeper):
    inject.bring_in(sleeper.pid)
    assert inject.mapped(sleeper.pid)
    assert sleeper.ask("listen 127.0.0.1")


def test_again_it_is_the_same_object(sleeper, tmp_path):
    said = tmp_path / "said"
    rows = inject.attempts(sleeper.pid, options=said, times=20)
    assert [row["result"] for row in rows] == [0] + [1] * 19
    assert [line.split()[2] for line in said.read_text().splitlines()] == [str(i) for i in range(1, 21)]
    assert sleeper.ask("listen 127.0.0.1")


def test_what_the_loader_says_is_passed_on(sleeper):
    one = inject.attempt(sleeper.pid, library="/nowhere/libnone.so", code=inject.NO_LIBRARY)
    assert (one["error"], one["result"]) == (0, -1)
    assert one["text"] == "/nowhere/libnone.so: cannot open shared object file: No such file or directory"
    assert not any(tracer != "0" for _, _, tracer in inject.threads(sleeper.pid).values())
    assert sleeper.ask("listen 127.0.0.1")


def test_a_library_without_the_function_is_told(sleeper):
    one = inject.attempt(sleeper.pid, library=harness.victim("so_ctor.so"), code=inject.NO_LIBRARY)
    assert (one["error"], one["result"]) == (0, -1)
    assert "undefined symbol: sockleak_attach" in one["text"]


def test_no_byte_of_code_is_left_behind(sleeper):
    """What was written behind the code of an object is taken away again."""

    def code():
        with open(f"/proc/{sleeper.pid}/mem", "rb") as memory:
            found = {}
            for line in open(f"/proc/{sleeper.pid}/maps"):
                words = line.split()
                if "x" in words[1] and words[-1].startswith("/") and "so_attached" not in words[-1]:
                    begin, end = (int(part, 16) for part in words[0].split("-"))
                    memory.seek(begin)
                    found[words[-1]] = memory.read(end - begin)
            return found

    before = code()
    assert before
    inject.bring_in(sleeper.pid)
    after = code()
    assert {path: after[path] for path in before} == before


def test_python_and_node(start, tmp_path):
    programs = [[sys.executable, "-c", "print('ready', flush=True); input(); print('ok', flush=True)"]]
    if shutil.which("node"):
        programs.append(
            ["node", "-e", "console.log('ready'); process.stdin.on('data', () => { console.log('ok'); process.exit(0); })"]
        )
    for argv in programs:
        program = start(argv, library=False)
        program.ready()
        inject.bring_in(program.pid, options=tmp_path / "said")
        program.tell("x")
        assert program.line() == "ok"
        program.popen.wait(harness.PATIENCE_S)
        assert program.popen.returncode == 0


def test_a_process_whose_first_thread_has_ended(start):
    program = start("main_gone", library=False)
    program.ready()
    harness.wait_until(
        lambda: "State:\tZ" in pathlib.Path(f"/proc/{program.pid}/status").read_text(), "its end"
    )
    tid, _ = inject.bring_in(program.pid)
    assert tid != program.pid


def test_a_name_that_is_deleted_by_now(tmp_path, start):
    """The files of a running program may be gone: it is read from memory."""
    copy = tmp_path / "program"
    shutil.copy(harness.victim("sleeper"), copy)
    program = start([copy], library=False)
    program.ready()
    copy.unlink()
    inject.bring_in(program.pid)
    assert program.ask("listen 127.0.0.1")
