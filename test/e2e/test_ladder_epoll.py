"""Registrations in epoll sets: none is left spinning, none outlives its number."""

import socket
import time

import harness
import ladder
import pytest

WAYS = "both"

IN, OUT, RDHUP = 0x1, 0x4, 0x2000
ONESHOT, EDGE = 1 << 30, 1 << 31


@pytest.mark.parametrize("how", ["idle", "edge", "spent"])
def test_the_trap_of_epoll_is_real(start, peer, how):
    """Without the library: a shutdown by another thread leaves a level-triggered registration spinning."""
    program = start([harness.victim("epoller"), peer.port, how], library=False)
    (fd,) = map(int, program.ready())
    far, _ = peer.accept()
    far.shutdown(socket.SHUT_WR)
    program.ask(f"fin {fd}")
    before = program.number("count")
    program.ask("shut")
    if how == "idle":
        harness.wait_until(lambda: program.number("count") > before + 10000, "the spinning loop")
    else:
        assert far.recv(10) == b""
        assert program.number("count") <= 2


@pytest.mark.parametrize(
    ("how", "action", "rung"),
    [
        ("idle", "shutdown", None),
        ("idle", "neutralize", "neutralized"),
        ("spent", "shutdown", "shutdown"),
        ("spent", "neutralize", "neutralized"),
    ],
)
def test_no_event_loop_is_left_spinning(start, peer, how, action, rung):
    argv = [harness.victim("epoller"), peer.port, how]
    program = start(argv, options=ladder.options(action, grace="5s" if how == "idle" else "300ms"))
    (fd,) = map(int, program.ready())
    far, _ = peer.accept()
    far.shutdown(socket.SHUT_WR)
    if rung:
        done = program.event(rung, fd=fd)
        assert far.recv(10) == b""
    else:
        program.event("skipped", fd=fd, reason="epoll")
        assert "shutdown" not in ladder.kinds(program, fd)
    if how == "idle" and rung:
        # At once, not a grace of 5 s later.
        shut = program.event("shutdown", fd=fd)
        assert (ladder.time_of(done) - ladder.time_of(shut)).total_seconds() < 2
    # Between two system calls of the worker, who may be held up there; a grace would be millions.
    calm_loop(program, allowed=100000 if how == "idle" and rung else 3)


def calm_loop(program, allowed):
    """It has returned a few times at most, and sleeps now: watched for half a second."""
    returns, _, _ = map(int, program.ask("count"))
    assert returns <= allowed
    time.sleep(0.5)
    later, _, _ = map(int, program.ask("count"))
    assert later == returns


def test_a_healthy_loop_wakes_and_closes(start, peer):
    argv = [harness.victim("epoller"), peer.port, "edge"]
    program = start(argv, options=ladder.options("neutralize", grace="10s"))
    (fd,) = map(int, program.ready())
    far, _ = peer.accept()
    far.shutdown(socket.SHUT_WR)
    program.event("app_reacted", fd=fd)
    assert ladder.kinds(program, fd) == ["stuck", "shutdown", "app_reacted"]
    assert far.recv(10) == b""
    assert program.report()["totals"]["reclaimed"]["app_reacted"] == 1
    calm_loop(program, allowed=3)


@pytest.mark.parametrize("events", [0, IN, IN | RDHUP, OUT], ids=["none", "in", "in+rdhup", "out"])
@pytest.mark.parametrize("action", ["shutdown", "neutralize", "close"])
def test_a_level_triggered_registration(start, peer, events, action):
    program = ladder.start_asker(start, options=ladder.options(action))
    ep = program.number("epoll create")
    leak = ladder.connect(program, peer)
    program.ask(f"epoll add {ep} {leak.fd} {events} 7")
    leak.far.shutdown(socket.SHUT_WR)
    if action == "shutdown":
        program.event("skipped", fd=leak.fd, reason="epoll")
        program.ask(f"call write {leak.fd}")
        assert leak.far.recv(1000) == bytes(100)
    else:
        program.event(ladder.TOP[action], fd=leak.fd)
        assert program.ask(f"epoll wait {ep} 200") == ["0"]
        if action == "neutralize":
            assert ladder.say(program, f"epoll mod {ep} {leak.fd} {IN} 8") == "ok 0"
            assert ladder.say(program, f"epoll del {ep} {leak.fd}") == "ok 0"
        assert program.ask(f"epoll wait {ep} 200") == ["0"]
    assert program.number(f"close {leak.fd}") == 0
    assert program.ask(f"epoll wait {ep} 200") == ["0"]


@pytest.mark.parametrize("action", ["shutdown", "neutralize"])
@pytest.mark.parametrize("events", [IN | RDHUP | EDGE, ONESHOT | IN], ids=["edge", "oneshot"])
def test_a_registration_that_cannot_spin(start, peer, events, action):
    program = ladder.start_asker(start, options=ladder.options(action))
    ep = program.number("epoll create")
    leak = ladder.connect(program, peer)
    program.ask(f"epoll add {ep} {leak.fd} {events} 7")
    leak.far.shutdown(socket.SHUT_WR)
    # A one-shot is used up by the FIN.
    assert program.ask(f"epoll wait {ep} 10000")[0] == "1"
    program.event(ladder.TOP[action], fd=leak.fd)
    for _ in range(2):
        program.ask(f"epoll wait {ep} 0")
    assert program.ask(f"epoll wait {ep} 200") == ["0"]
    assert ladder.say(program, f"epoll mod {ep} {leak.fd} {events} 8") == "ok 0"
    assert ladder.say(program, f"epoll del {ep} {leak.fd}") == "ok 0"
    assert program.number(f"close {leak.fd}") == 0
    assert program.ask(f"epoll wait {ep} 200") == ["0"]


def test_a_oneshot_that_is_still_armed_spins_for_nobody(start, peer):
    """It fires once more at most: that the loop may see."""
    program = ladder.start_asker(start, options=ladder.options("shutdown"))
    ep = program.number("epoll create")
    leak = ladder.connect(program, peer)
    program.ask(f"epoll add {ep} {leak.fd} {ONESHOT} 7")
    leak.far.shutdown(socket.SHUT_WR)
    harness.wait_until(
        lambda: {"shutdown", "skipped"} & set(ladder.kinds(program, leak.fd)), "a decision"
    )
    program.ask(f"epoll wait {ep} 200")
    assert program.ask(f"epoll wait {ep} 200") == ["0"]


ENDS = ["close", "close_range", "syscall", "dup3", "fclose", "dup2"]


@pytest.mark.parametrize("ends_by", ENDS)
def test_a_registration_made_late_ends_with_the_number(start, peer, ends_by):
    """What stands on the number is shared: epoll would keep it, and its data, beyond the close."""
    program = ladder.start_asker(start, options=ladder.options("neutralize"))
    leak, other = ladder.leak(program, peer), ladder.leak(program, peer)
    for each in (leak, other):
        program.event("neutralized", fd=each.fd)
    ep = program.number("epoll create")
    assert ladder.say(program, f"epoll add {ep} {leak.fd} {IN} 41") == "ok 0"
    program.ask(f"epoll wait {ep} 0")  # it may say that the connection hung up
    if ends_by != "dup2":
        assert program.number(f"end {ends_by} {leak.fd}") == 0
    else:
        live = ladder.connect(program, peer)
        assert program.number(f"dup2 {live.fd} {leak.fd}") == leak.fd
    assert program.ask(f"epoll wait {ep} 200") == ["0"]
    if ends_by == "dup2":
        assert ladder.say(program, f"epoll add {ep} {leak.fd} {IN} 42") == "ok 0"
        live.far.sendall(b"x")
        assert program.ask(f"epoll wait {ep} 10000") == ["1", "42:1"]
    assert ladder.say(program, f"call read {other.fd}") == "ok 0"


@pytest.mark.parametrize("action", ["shutdown", "neutralize"])
def test_a_registration_whose_number_is_gone(start, peer, action):
    """Made under a copy that was closed since: it stands for as long as the connection does."""
    program = ladder.start_asker(start, options=ladder.options(action))
    ep = program.number("epoll create")
    leak = ladder.connect(program, peer)
    copy = program.number(f"dup {leak.fd}")
    program.ask(f"epoll add {ep} {copy} 0 7")
    assert program.number(f"close {copy}") == 0
    leak.far.shutdown(socket.SHUT_WR)
    if action == "shutdown":
        program.event("skipped", fd=leak.fd, reason="epoll")
    else:
        program.event("neutralized", fd=leak.fd)
    assert program.ask(f"epoll wait {ep} 200") == ["0"]


def test_epoll_on_a_neutralized_number_as_a_loop_uses_it(start, peer):
    """ADD, MOD, DEL, and ADD again; DEL of what was registered before the action."""
    program = ladder.start_asker(start, options=ladder.options("neutralize"))
    ep = program.number("epoll create")
    leak = ladder.connect(program, peer)
    program.ask(f"epoll add {ep} {leak.fd} {IN | EDGE} 7")
    leak.far.shutdown(socket.SHUT_WR)
    program.event("neutralized", fd=leak.fd)
    for verb in ("mod", "del", "add", "mod", "del"):
        assert ladder.say(program, f"epoll {verb} {ep} {leak.fd} {IN} 9") == "ok 0", verb
    assert program.ask(f"epoll wait {ep} 200") == ["0"]
