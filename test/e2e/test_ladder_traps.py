"""The traps of the kernel: what a program sees of a connection that was acted on. Where a trap can be shown without the
library, it is."""

import contextlib
import os
import signal
import socket
import time

import harness
import ladder
import pytest

WAYS = "both"

# What poll() says of a connection that both sides have closed: IN, OUT, HUP and RDHUP.
GONE = 0x2015

READS = {name: "ok 0" for name in ("read", "readv", "recv", "recvfrom", "recvmsg", "recvmmsg")}
WRITES = {
    name: "error EPIPE"
    for name in (
        "write __write writev send __send sendto sendmsg sendmmsg sendfile sendfile64 splice dprintf __dprintf_chk"
    ).split()
}
OTHERS = {
    "poll": f"ok {GONE}",
    "select": "ok 2",
    "ioctl": "ok 0",
    "getpeername": "error ENOTCONN",
    "shutdown": "error ENOTCONN",
    "getsockname": "ok 0",
    "connect": "error EISCONN",
    "listen": "error EINVAL",
    "accept": "error EINVAL",
    "fdatasync": "error EINVAL",
    "set-nodelay": "ok 0",
    "set-keepalive": "ok 0",
    "set-rcvbuf": "ok 0",
    "get-type": "ok 1",
    "get-error": "ok 0",
    "get-acceptconn": "ok 0",
    "dup": "ok ",
    "F_DUPFD": "ok ",
}
# Here the kernel lets a closed connection begin anew. Neutralized fds share what they stand on: they may not.
REVIVALS = {"connect-unspec": "error ", "bind": "error EINVAL", "fastopen": "error "}


@pytest.mark.parametrize("name", sorted(WRITES))
def test_the_trap_of_sigpipe_is_real(start, peer, name):
    """Without the library, after a shutdown by somebody else, each of these ends the program."""
    program = ladder.start_asker(start, library=False)
    leak = ladder.leak(program, peer)
    ladder.await_fin(program, leak.fd)
    assert ladder.say(program, f"call shutdown {leak.fd}") == "ok 0"
    assert ladder.say(program, f"call {name} {leak.fd}") == f"ended with {-signal.SIGPIPE}"


@pytest.mark.parametrize("name", sorted(WRITES))
def test_a_sigpipe_that_is_the_programs_own_is_raised(start, peer, name):
    """It shut the connection down itself: what it would die of without the library it dies of."""
    program = ladder.start_asker(start, options=ladder.options("neutralize", deadline="10s"))
    leak = ladder.leak(program, peer)
    ladder.await_fin(program, leak.fd)
    assert ladder.say(program, f"call shutdown {leak.fd}") == "ok 0"
    program.report()
    assert ladder.say(program, f"call {name} {leak.fd}") == f"ended with {-signal.SIGPIPE}"


@pytest.mark.parametrize("action", ["shutdown", "neutralize"])
def test_every_call_on_a_connection_that_was_acted_on(start, peer, action):
    """One connection for each call, acted on before the first is made, SIGPIPE at its default."""
    program = ladder.start_asker(start, options=ladder.options(action, max_rate=0))
    program.ask(f"place {peer.port}")
    expected = {**READS, **WRITES, **OTHERS}
    if action == "neutralize":
        expected.update(REVIVALS)
    leaks = {name: ladder.leak(program, peer) for name in expected}
    bystander = ladder.leak(program, peer)
    for leak in (*leaks.values(), bystander):
        program.event(ladder.TOP[action], fd=leak.fd)
    found = {name: ladder.say(program, f"call {name} {leak.fd}") for name, leak in leaks.items()}
    wrong = {
        name: (answer, "not", expected[name])
        for name, answer in found.items()
        if not (answer + " ").startswith(expected[name].rstrip() + " ")
    }
    assert not wrong
    # None of this has reached another of them, nor the peer.
    assert ladder.say(program, f"call poll {bystander.fd}") == f"ok {GONE}"
    assert ladder.say(program, f"call read {bystander.fd}") == "ok 0"
    assert ladder.say(program, f"call getpeername {bystander.fd}") == "error ENOTCONN"
    assert ladder.say(program, f"call get-acceptconn {bystander.fd}") == "ok 0"
    for leak in leaks.values():
        assert leak.sees_fin() and leak.sees_no_reset()
        assert program.number(f"close {leak.fd}") == 0


@pytest.mark.parametrize("revival", ["connect", "connect-unspec", "bind", "listen", "fastopen"])
def test_a_neutralized_number_does_not_come_to_life(start, peer, revival):
    """Nor does any other, at whichever of the two the call is made, nor one that is neutralized later."""
    program = ladder.start_asker(start, options=ladder.options("neutralize"))
    program.ask(f"place {peer.port}")
    leaks = [ladder.leak(program, peer) for _ in range(3)]
    for leak in leaks:
        program.event("neutralized", fd=leak.fd)
    for _ in range(3):
        assert ladder.say(program, f"call {revival} {leaks[0].fd}").startswith("error")
        assert ladder.say(program, f"call listen {leaks[0].fd}").startswith("error")
    if revival != "fastopen":  # that one is an attempt to send, and regretted
        leaks.append(ladder.wait_for_another(program, peer, "neutralized"))
    for leak in leaks:
        assert ladder.say(program, f"call poll {leak.fd}") == f"ok {GONE}"
        assert ladder.say(program, f"call read {leak.fd}") == "ok 0"
        assert ladder.say(program, f"call write {leak.fd}") == "error EPIPE"
    peer.listener.settimeout(0.2)
    with pytest.raises(TimeoutError):
        peer.listener.accept()


@pytest.mark.parametrize("action", ["shutdown", "neutralize"])
def test_copies_of_an_acted_on_number_are_as_dead(start, peer, action):
    program = ladder.start_asker(start, options=ladder.options(action))
    leak = ladder.leak(program, peer)
    program.event(ladder.TOP[action], fd=leak.fd)
    copy = program.number(f"dup {leak.fd}")
    high = program.number(f"call F_DUPFD {leak.fd}")
    assert program.number(f"dup2 {leak.fd} 200") == 200
    for fd in (copy, high, 200):
        assert ladder.say(program, f"call write {fd}") == "error EPIPE"
        assert ladder.say(program, f"call splice {fd}") == "error EPIPE"
        assert ladder.say(program, f"call read {fd}") == "ok 0"
        assert ladder.say(program, f"call connect {fd}") == "error EISCONN"
        assert program.number(f"close {fd}") == 0
    assert ladder.say(program, f"call write {leak.fd}") == "error EPIPE"
    assert program.number(f"close {leak.fd}") == 0


@pytest.mark.parametrize("action", ["shutdown", "neutralize"])
def test_two_numbers_of_one_leaked_connection(start, peer, action):
    """Both are this process's: no reason to spare it. No write on either may kill the program."""
    program = ladder.start_asker(start, options=ladder.options(action))
    leak = ladder.connect(program, peer)
    copy = program.number(f"dup {leak.fd}")
    leak.far.shutdown(socket.SHUT_WR)
    harness.wait_until(
        lambda: {e["fd"] for e in program.events(ladder.TOP[action])} & {leak.fd, copy}, "an action"
    )
    ladder.wait_for_another(program, peer, ladder.TOP[action])
    assert leak.sees_fin() and leak.sees_no_reset()
    for fd in (leak.fd, copy):
        assert ladder.say(program, f"call write {fd}") == "error EPIPE"
        assert ladder.say(program, f"call sendfile {fd}") == "error EPIPE"
        assert program.number(f"close {fd}") == 0
    harness.wait_until(lambda: not leak.holds_port(), "the port")


@pytest.mark.parametrize("action", ["shutdown", "neutralize"])
def test_a_child_born_later_is_not_killed_either(puppet, peer, action):
    program = puppet(options=ladder.options(action))
    leak = ladder.leak(program, peer)
    program.event(ladder.TOP[action], fd=leak.fd)
    child = program.number(f"hold fork {leak.fd}")
    program.ask("nudge")
    assert program.ask(f"wait {child}") == ["exit", "0"]


@pytest.mark.parametrize("action", ["shutdown", "neutralize"])
def test_a_number_used_anew_is_a_live_one(start, peer, action):
    """After a late close nothing of the old account hangs on the number."""
    program = ladder.start_asker(start, options=ladder.options(action))
    leak = ladder.leak(program, peer)
    program.event(ladder.TOP[action], fd=leak.fd)
    assert program.number(f"close {leak.fd}") == 0
    live = ladder.connect(program, peer)
    assert live.fd == leak.fd
    assert program.number(f"call write {live.fd}") == 100
    assert live.far.recv(1000) == bytes(100)
    live.far.sendall(b"x" * 10)
    assert program.number(f"call read {live.fd}") == 10
    # And by dup2() over it, with no close in between.
    second = ladder.leak(program, peer)
    program.event(ladder.TOP[action], fd=second.fd)
    assert program.number(f"dup2 {live.fd} {second.fd}") == second.fd
    assert program.number(f"close {live.fd}") == 0
    assert program.number(f"call write {second.fd}") == 100
    assert len(live.far.recv(1000)) == 100
    assert program.report()["totals"]["regretted"] == 0


def test_the_two_step_close_of_the_jdk(puppet, peer):
    """dup2(marker, fd) is its real end, close(fd) follows."""
    program = puppet(options=ladder.options("neutralize"))
    marker = program.number("kind unix")
    leak = ladder.leak(program, peer)
    program.event("neutralized", fd=leak.fd)
    assert program.number(f"dup2 {marker} {leak.fd}") == leak.fd
    assert program.number(f"close {leak.fd}") == 0
    live = ladder.connect(program, peer)
    assert live.fd == leak.fd
    program.ask(f"write {live.fd} 5")
    assert live.far.recv(10) == bytes(5)
    totals = program.report()["totals"]
    assert totals["regretted"] == 0
    assert totals["open"] == 1
    assert totals["by_kind"]["unix"] == 1


# ---- lingering ----


def test_a_lingering_close_does_not_hold_the_worker(puppet, start, networks):
    """The peer's host is gone, our FIN is never acknowledged: dup2() would wait 4 s for it."""
    network = networks()
    far = start([harness.victim("peer"), "127.0.0.1"], library=False, network=network)
    (port,) = far.ready()
    program = puppet(options=ladder.options("neutralize", deadline="1s"), network=network)
    fd = program.number(f"connect 127.0.0.1 {port}")
    program.ask(f"linger {fd} 4")
    harness.wait_until(lambda: far.ask("count") == ["1"], "the connection")
    far.ask("close 0 1")
    ladder.await_fin(program, fd)
    network.run("ip", "link", "set", "lo", "down")
    slowest = 0
    while not program.events("neutralized"):
        begun = time.monotonic()
        program.report()
        slowest = max(slowest, time.monotonic() - begun)
    begun = time.monotonic()
    program.report()
    assert max(slowest, time.monotonic() - begun) < 2
    shut, dead = program.event("shutdown", fd=fd), program.event("neutralized", fd=fd)
    assert (ladder.time_of(dead) - ladder.time_of(shut)).total_seconds() < 3
    assert program.number(f"close {fd}") == 0


def test_the_trap_of_lingering_is_real(puppet, start, networks):
    network = networks()
    far = start([harness.victim("peer"), "127.0.0.1"], library=False, network=network)
    (port,) = far.ready()
    program = puppet(library=False, network=network)
    fd = program.number(f"connect 127.0.0.1 {port}")
    marker = program.number("kind unix")
    program.ask(f"linger {fd} 4")
    harness.wait_until(lambda: far.ask("count") == ["1"], "the connection")
    far.ask("close 0 1")
    ladder.await_fin(program, fd)
    network.run("ip", "link", "set", "lo", "down")
    program.ask(f"shutdown {fd}")
    begun = time.monotonic()
    program.ask(f"dup2 {marker} {fd}")
    assert time.monotonic() - begun > 3


# ---- stdio ----


def test_a_stream_past_the_hooks_is_spared_where_sigpipe_would_kill(puppet, peer):
    program = puppet(options=ladder.options("neutralize"))
    leak = ladder.connect(program, peer)
    program.ask(f"stream {leak.fd}")
    leak.far.shutdown(socket.SHUT_WR)
    program.event("skipped", fd=leak.fd, reason="stdio")
    ladder.wait_for_another(program, peer, "neutralized")
    assert not {"shutdown", "neutralized"} & set(ladder.kinds(program, leak.fd))
    program.ask("print")
    assert leak.far.recv(100) == b"printed\n"


@pytest.mark.parametrize("action", ["shutdown", "neutralize"])
def test_a_stream_past_the_hooks_where_sigpipe_is_ignored(puppet, peer, action):
    program = puppet(options=ladder.options(action))
    program.ask("sigpipe ignored")
    leak = ladder.connect(program, peer)
    program.ask(f"stream {leak.fd}")
    leak.far.shutdown(socket.SHUT_WR)
    program.event(ladder.TOP[action], fd=leak.fd)
    assert leak.sees_fin()
    assert program.ask_error("print") == ["EPIPE"]


# ---- identity ----


@pytest.mark.parametrize("reached", ["shutdown", "neutralized"])
def test_a_number_that_went_to_another_connection_behind_our_back(start, peer, reached):
    """By a system call that no hook sees. Nothing more is done to it, and it works as it should."""
    program = ladder.start_asker(start, options=ladder.options("neutralize", grace="1s"))
    leak = ladder.leak(program, peer)
    program.event(reached, fd=leak.fd)
    live = ladder.connect(program, peer)
    assert program.number(f"rawdup2 {live.fd} {leak.fd}") == leak.fd
    program.ask(f"rawclose {live.fd}")
    so_far = len(program.events())
    ladder.wait_for_another(program, peer, "neutralized")
    for call in WRITES:
        assert ladder.say(program, f"call {call} {leak.fd}") != "error EPIPE", call
        assert live.far.recv(1000)
    live.far.sendall(b"x")
    assert program.number(f"call read {leak.fd}") == 1
    assert leak.fd not in [e.get("fd") for e in program.events()[so_far:] if e["event"] in ladder.RUNGS]
    assert program.report()["totals"]["regretted"] == 0


@pytest.mark.parametrize("reached", ["shutdown", "neutralized"])
def test_a_number_that_went_to_a_file_behind_our_back(start, peer, reached):
    program = ladder.start_asker(start, options=ladder.options("neutralize", grace="1s"))
    leak = ladder.leak(program, peer)
    program.event(reached, fd=leak.fd)
    program.ask(f"rawclose {leak.fd}")
    assert program.number("open /dev/null") == leak.fd
    for call in ("write", "writev", "sendfile", "splice", "dprintf"):
        assert ladder.say(program, f"call {call} {leak.fd}").startswith("ok"), call
    so_far = len(program.events())
    ladder.wait_for_another(program, peer, "neutralized")
    for call in ("write", "writev", "sendfile", "splice", "dprintf"):
        assert ladder.say(program, f"call {call} {leak.fd}").startswith("ok"), call
    assert leak.fd not in [e.get("fd") for e in program.events()[so_far:] if e["event"] in ladder.RUNGS]
    assert program.number(f"close {leak.fd}") == 0
    assert program.report()["totals"]["regretted"] == 0


def test_none_of_it_shows_among_the_programs_numbers(puppet, peer):
    """No number below 1,024 is ours, and what is ours cannot be closed."""
    program = puppet(options=ladder.options("neutralize"))
    leak = ladder.leak(program, peer)
    program.event("neutralized", fd=leak.fd)
    before = sorted(map(int, os.listdir(f"/proc/{program.pid}/fd")))
    ours = [fd for fd in before if fd > leak.fd]
    assert all(fd >= 1024 for fd in ours)
    for fd in ours:
        with contextlib.suppress(AssertionError):
            program.ask_error(f"close {fd}")
    ladder.wait_for_another(program, peer, "neutralized")
    assert program.number(f"read {leak.fd}") == 0
