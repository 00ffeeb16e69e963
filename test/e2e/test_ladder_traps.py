"""The traps of the kernel, one by one: what a program sees of a connection that was acted on, and what must not be left
behind. Where a trap can be shown without the library, it is."""

import contextlib
import os
import signal
import socket
import time

import harness
import ladder
import pytest

IN, OUT, ERR, HUP, RDHUP = 0x1, 0x4, 0x8, 0x10, 0x2000
ONESHOT, EDGE = 1 << 30, 1 << 31
GONE = IN | OUT | HUP | RDHUP  # what poll() says of a connection that both sides have closed

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


def start_asker(start, **more):
    program = start("asker", **more)
    program.ready()
    return program


def say(program, command):
    """The answer, whatever it is; or how the program ended."""
    program.tell(command)
    line = program.line()
    return line if line is not None else f"ended with {program.wait()}"


# ---- what the program sees ----


@pytest.mark.parametrize("name", sorted(WRITES))
def test_the_trap_of_sigpipe_is_real(start, peer, name):
    """Without the library, after a shutdown by somebody else, each of these ends the program."""
    program = start_asker(start, library=False)
    leak = ladder.leak(program, peer)
    ladder.await_fin(program, leak.fd)
    assert say(program, f"call shutdown {leak.fd}") == "ok 0"
    assert say(program, f"call {name} {leak.fd}") == f"ended with {-signal.SIGPIPE}"


@pytest.mark.parametrize("action", ["shutdown", "neutralize"])
def test_every_call_on_a_connection_that_was_acted_on(start, peer, action):
    """One connection for each call, acted on before the first is made, SIGPIPE at its default."""
    program = start_asker(start, options=ladder.options(action, max_rate=0))
    program.ask(f"place {peer.port}")
    expected = {**READS, **WRITES, **OTHERS}
    if action == "neutralize":
        expected.update(REVIVALS)
    leaks = {name: ladder.leak(program, peer) for name in expected}
    bystander = ladder.leak(program, peer)
    for leak in (*leaks.values(), bystander):
        program.event(ladder.TOP[action], fd=leak.fd)
    found = {name: say(program, f"call {name} {leak.fd}") for name, leak in leaks.items()}
    wrong = {
        name: (answer, "not", expected[name])
        for name, answer in found.items()
        if not (answer + " ").startswith(expected[name].rstrip() + " ")
    }
    assert not wrong
    # None of this has reached another of them, nor the peer.
    assert say(program, f"call poll {bystander.fd}") == f"ok {GONE}"
    assert say(program, f"call read {bystander.fd}") == "ok 0"
    assert say(program, f"call getpeername {bystander.fd}") == "error ENOTCONN"
    assert say(program, f"call get-acceptconn {bystander.fd}") == "ok 0"
    for leak in leaks.values():
        assert leak.sees_fin() and leak.sees_no_reset()
        assert program.number(f"close {leak.fd}") == 0


@pytest.mark.parametrize("revival", ["connect", "connect-unspec", "bind", "listen", "fastopen"])
def test_a_neutralized_number_does_not_come_to_life(start, peer, revival):
    """Nor does any other, at whichever of the two the call is made, nor one that is neutralized later."""
    program = start_asker(start, options=ladder.options("neutralize"))
    program.ask(f"place {peer.port}")
    leaks = [ladder.leak(program, peer) for _ in range(3)]
    for leak in leaks:
        program.event("neutralized", fd=leak.fd)
    for _ in range(3):
        assert say(program, f"call {revival} {leaks[0].fd}").startswith("error")
        assert say(program, f"call listen {leaks[0].fd}").startswith("error")
    if revival != "fastopen":  # that one is an attempt to send, and regretted
        leaks.append(ladder.wait_for_another(program, peer, "neutralized"))
    for leak in leaks:
        assert say(program, f"call poll {leak.fd}") == f"ok {GONE}"
        assert say(program, f"call read {leak.fd}") == "ok 0"
        assert say(program, f"call write {leak.fd}") == "error EPIPE"
    peer.listener.settimeout(0.2)
    with pytest.raises(TimeoutError):
        peer.listener.accept()


@pytest.mark.parametrize("action", ["shutdown", "neutralize"])
def test_copies_of_an_acted_on_number_are_as_dead(start, peer, action):
    program = start_asker(start, options=ladder.options(action))
    leak = ladder.leak(program, peer)
    program.event(ladder.TOP[action], fd=leak.fd)
    copy = program.number(f"dup {leak.fd}")
    high = program.number(f"call F_DUPFD {leak.fd}")
    assert program.number(f"dup2 {leak.fd} 200") == 200
    for fd in (copy, high, 200):
        assert say(program, f"call write {fd}") == "error EPIPE"
        assert say(program, f"call splice {fd}") == "error EPIPE"
        assert say(program, f"call read {fd}") == "ok 0"
        assert say(program, f"call connect {fd}") == "error EISCONN"
        assert program.number(f"close {fd}") == 0
    assert say(program, f"call write {leak.fd}") == "error EPIPE"
    assert program.number(f"close {leak.fd}") == 0


@pytest.mark.parametrize("action", ["shutdown", "neutralize"])
def test_two_numbers_of_one_leaked_connection(start, peer, action):
    """Both are this process's: no reason to spare it. No write on either may kill the program."""
    program = start_asker(start, options=ladder.options(action))
    leak = ladder.connect(program, peer)
    copy = program.number(f"dup {leak.fd}")
    leak.far.shutdown(socket.SHUT_WR)
    harness.wait_until(
        lambda: {e["fd"] for e in program.events(ladder.TOP[action])} & {leak.fd, copy}, "an action"
    )
    ladder.wait_for_another(program, peer, ladder.TOP[action])
    assert leak.sees_fin() and leak.sees_no_reset()
    for fd in (leak.fd, copy):
        assert say(program, f"call write {fd}") == "error EPIPE"
        assert say(program, f"call sendfile {fd}") == "error EPIPE"
        assert program.number(f"close {fd}") == 0
    harness.wait_until(lambda: ladder.is_port_free(leak.local), "the port")


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
    program = start_asker(start, options=ladder.options(action))
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


# ---- epoll ----


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
    calm_loop(program, allowed=1000 if how == "idle" and rung else 3)


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
    program = start_asker(start, options=ladder.options(action))
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
            assert say(program, f"epoll mod {ep} {leak.fd} {IN} 8") == "ok 0"
            assert say(program, f"epoll del {ep} {leak.fd}") == "ok 0"
        assert program.ask(f"epoll wait {ep} 200") == ["0"]
    assert program.number(f"close {leak.fd}") == 0
    assert program.ask(f"epoll wait {ep} 200") == ["0"]


@pytest.mark.parametrize("action", ["shutdown", "neutralize"])
@pytest.mark.parametrize("events", [IN | RDHUP | EDGE, ONESHOT | IN], ids=["edge", "oneshot"])
def test_a_registration_that_cannot_spin(start, peer, events, action):
    program = start_asker(start, options=ladder.options(action))
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
    assert say(program, f"epoll mod {ep} {leak.fd} {events} 8") == "ok 0"
    assert say(program, f"epoll del {ep} {leak.fd}") == "ok 0"
    assert program.number(f"close {leak.fd}") == 0
    assert program.ask(f"epoll wait {ep} 200") == ["0"]


def test_a_oneshot_that_is_still_armed_spins_for_nobody(start, peer):
    """It fires once more at most: that the loop may see."""
    program = start_asker(start, options=ladder.options("shutdown"))
    ep = program.number("epoll create")
    leak = ladder.connect(program, peer)
    program.ask(f"epoll add {ep} {leak.fd} {ONESHOT} 7")
    leak.far.shutdown(socket.SHUT_WR)
    harness.wait_until(
        lambda: {"shutdown", "skipped"} & set(ladder.kinds(program, leak.fd)), "a decision"
    )
    program.ask(f"epoll wait {ep} 200")
    assert program.ask(f"epoll wait {ep} 200") == ["0"]


@pytest.mark.parametrize("ends_by", ["close", "dup2"])
def test_a_registration_made_late_ends_with_the_number(start, peer, ends_by):
    """What stands on the number is shared: epoll would keep it, and its data, beyond the close."""
    program = start_asker(start, options=ladder.options("neutralize"))
    leak, other = ladder.leak(program, peer), ladder.leak(program, peer)
    for each in (leak, other):
        program.event("neutralized", fd=each.fd)
    ep = program.number("epoll create")
    assert say(program, f"epoll add {ep} {leak.fd} {IN} 41") == "ok 0"
    program.ask(f"epoll wait {ep} 0")  # it may say that the connection hung up
    if ends_by == "close":
        assert program.number(f"close {leak.fd}") == 0
    else:
        live = ladder.connect(program, peer)
        assert program.number(f"dup2 {live.fd} {leak.fd}") == leak.fd
    assert program.ask(f"epoll wait {ep} 200") == ["0"]
    if ends_by == "dup2":
        assert say(program, f"epoll add {ep} {leak.fd} {IN} 42") == "ok 0"
        live.far.sendall(b"x")
        assert program.ask(f"epoll wait {ep} 10000") == ["1", "42:1"]
    assert say(program, f"call read {other.fd}") == "ok 0"


def test_epoll_on_a_neutralized_number_as_a_loop_uses_it(start, peer):
    """ADD, MOD, DEL, and ADD again; DEL of what was registered before the action."""
    program = start_asker(start, options=ladder.options("neutralize"))
    ep = program.number("epoll create")
    leak = ladder.connect(program, peer)
    program.ask(f"epoll add {ep} {leak.fd} {IN | EDGE} 7")
    leak.far.shutdown(socket.SHUT_WR)
    program.event("neutralized", fd=leak.fd)
    for verb in ("mod", "del", "add", "mod", "del"):
        assert say(program, f"epoll {verb} {ep} {leak.fd} {IN} 9") == "ok 0", verb
    assert program.ask(f"epoll wait {ep} 200") == ["0"]


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


# ---- shared descriptions ----

HOLDERS = ["fork", "_Fork", "clone", "system", "popen"]


@pytest.mark.parametrize("how", HOLDERS)
@pytest.mark.parametrize("action", ["shutdown", "neutralize"])
def test_what_a_child_shares_is_not_shut_down(puppet, peer, how, action):
    program = puppet(options=ladder.options(action))
    leak = ladder.connect(program, peer)
    program.ask(f"hold {how} {leak.fd}")
    leak.far.shutdown(socket.SHUT_WR)
    if action == "shutdown":
        program.event("skipped", fd=leak.fd, reason="shared")
    else:
        program.event("neutralized", fd=leak.fd)
    assert "shutdown" not in ladder.kinds(program, leak.fd)
    program.ask("nudge")
    assert leak.far.recv(100) == b"child"
    program.ask("nudge")
    assert leak.far.recv(100) == b"child"
    # The mitigation is not lost for good: when the child has gone, so does what it held.
    program.ask("release")
    if action == "shutdown":
        program.event("shutdown", fd=leak.fd)
    assert leak.sees_fin() and leak.sees_no_reset()


@pytest.mark.parametrize("how", ["fork", "clone"])
def test_a_shared_one_in_an_epoll_set_is_left_alone(puppet, peer, how):
    """Its registration would survive the dup2, and nobody could take it out again."""
    program = puppet(options=ladder.options("neutralize"))
    leak = ladder.connect(program, peer)
    program.ask(f"watch {leak.fd}")
    program.ask(f"hold {how} {leak.fd}")
    leak.far.shutdown(socket.SHUT_WR)
    event = program.event("skipped", fd=leak.fd)
    assert event["reason"] in ("epoll", "shared")
    program.ask("nudge")
    assert leak.far.recv(100) == b"child"
    assert not {"shutdown", "neutralized"} & set(ladder.kinds(program, leak.fd))


def test_a_service_that_forks_now_and_then(puppet, peer):
    """Children come and go for as long as the connections leak; each connection is ended after all."""
    program = puppet(options=ladder.options("shutdown"))
    leaks = []
    for _ in range(5):
        leaks.append(ladder.leak(program, peer))
        program.ask(f"hold fork {leaks[-1].fd}")
        program.event("stuck", fd=leaks[-1].fd)
        program.ask("release")
    for leak in leaks:
        program.event("shutdown", fd=leak.fd)
        assert leak.sees_fin()


@pytest.fixture
def mailbox(tmp_path):
    """A Unix socket to which a program may pass a descriptor."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "mailbox"))
        listener.listen()
        listener.settimeout(harness.PATIENCE_S)
        yield listener


@pytest.mark.parametrize("action", ["shutdown", "neutralize"])
def test_what_was_passed_to_another_process(puppet, peer, mailbox, action):
    program = puppet(options=ladder.options(action))
    leak = ladder.connect(program, peer)
    program.ask(f"pass {leak.fd} {mailbox.getsockname()}")
    via, _ = mailbox.accept()
    _, (fd,), _, _ = socket.recv_fds(via, 1, 1)
    with socket.socket(fileno=fd) as received:
        leak.far.shutdown(socket.SHUT_WR)
        if action == "shutdown":
            program.event("skipped", fd=leak.fd, reason="shared")
        else:
            program.event("neutralized", fd=leak.fd)
        ladder.wait_for_another(program, peer, ladder.TOP[action])
        assert "shutdown" not in ladder.kinds(program, leak.fd)
        received.sendall(b"still here")
        assert leak.far.recv(100) == b"still here"
    # It may have been passed on from there, and nobody could know: here it is let go of at most.
    if action == "neutralize":
        assert leak.sees_fin()
    assert "shutdown" not in ladder.kinds(program, leak.fd)


def test_what_is_on_its_way_to_another_process(puppet, peer, mailbox):
    """Sent and not yet received: in no process's table, and still not ours alone."""
    program = puppet(options=ladder.options("shutdown"))
    leak = ladder.connect(program, peer)
    program.ask(f"pass {leak.fd} {mailbox.getsockname()}")
    leak.far.shutdown(socket.SHUT_WR)
    event = program.event("skipped", fd=leak.fd)
    assert event["reason"] in ("shared", "sharing-unknown")
    ladder.wait_for_another(program, peer, "shutdown")
    assert "shutdown" not in ladder.kinds(program, leak.fd)
    via, _ = mailbox.accept()
    _, (fd,), _, _ = socket.recv_fds(via, 1, 1)
    with socket.socket(fileno=fd) as received:
        received.sendall(b"still here")
        assert leak.far.recv(100) == b"still here"


def test_a_copy_that_was_passed_and_closed_here(puppet, peer, mailbox):
    """The usual way: the sender closes its number at once, and there is nothing left to act on."""
    program = puppet(options=ladder.options("neutralize"))
    leak = ladder.connect(program, peer)
    program.ask(f"pass {leak.fd} {mailbox.getsockname()}")
    program.ask(f"close {leak.fd}")
    leak.far.shutdown(socket.SHUT_WR)
    second = ladder.wait_for_another(program, peer, "neutralized")
    assert {e["fd"] for e in program.events()} == {second.fd}
    via, _ = mailbox.accept()
    _, (fd,), _, _ = socket.recv_fds(via, 1, 1)
    with socket.socket(fileno=fd) as received:
        received.sendall(b"still here")
        assert leak.far.recv(100) == b"still here"


@pytest.mark.parametrize("gap_ms", [60, 1500], ids=["answers slowly", "computes"])
@pytest.mark.parametrize("action", ["shutdown", "neutralize"])
def test_a_preforking_server(start, gap_ms, action):
    """The parent has read the end of file and keeps its copy; the child answers, slowly or late."""
    count = 40 if gap_ms < 1000 else 3
    more = {"side": "both", "deadline_in": "300ms"}
    argv = [harness.victim("prefork"), count, gap_ms]
    program = start(argv, options=ladder.options(action, **more))
    port = int(program.ready()[0])
    clients = []
    for _ in range(6):
        client = socket.create_connection(("127.0.0.1", port), harness.PATIENCE_S)
        client.sendall(b"request")
        client.shutdown(socket.SHUT_WR)
        clients.append(client)
    answer = bytes(i % 251 for i in range(count))
    for client in clients:
        got = b""
        while len(got) < count:
            more_bytes = client.recv(1000)
            assert more_bytes, f"cut after {len(got)} of {count} bytes; {program.events()}"
            got += more_bytes
        assert got == answer
    assert [program.line() for _ in clients] == ["sent"] * len(clients)
    assert program.ask("nop") == []


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


def test_a_stream_past_the_hooks_where_sigpipe_is_ignored(puppet, peer):
    program = puppet(options=ladder.options("neutralize"))
    program.ask("sigpipe ignored")
    leak = ladder.connect(program, peer)
    program.ask(f"stream {leak.fd}")
    leak.far.shutdown(socket.SHUT_WR)
    program.event("neutralized", fd=leak.fd)
    assert leak.sees_fin()
    assert program.ask_error("print") == ["EPIPE"]


# ---- identity ----


@pytest.mark.parametrize("reached", ["shutdown", "neutralized"])
def test_a_number_that_went_to_another_connection_behind_our_back(start, peer, reached):
    """By a system call that no hook sees. Nothing more is done to it, and it works as it should."""
    program = start_asker(start, options=ladder.options("neutralize", grace="1s"))
    leak = ladder.leak(program, peer)
    program.event(reached, fd=leak.fd)
    live = ladder.connect(program, peer)
    assert program.number(f"rawdup2 {live.fd} {leak.fd}") == leak.fd
    program.ask(f"rawclose {live.fd}")
    so_far = len(program.events())
    ladder.wait_for_another(program, peer, "neutralized")
    for call in WRITES:
        assert say(program, f"call {call} {leak.fd}") != "error EPIPE", call
        assert live.far.recv(1000)
    live.far.sendall(b"x")
    assert program.number(f"call read {leak.fd}") == 1
    assert leak.fd not in [e.get("fd") for e in program.events()[so_far:] if e["event"] in ladder.RUNGS]
    assert program.report()["totals"]["regretted"] == 0


@pytest.mark.parametrize("reached", ["shutdown", "neutralized"])
def test_a_number_that_went_to_a_file_behind_our_back(start, peer, reached):
    program = start_asker(start, options=ladder.options("neutralize", grace="1s"))
    leak = ladder.leak(program, peer)
    program.event(reached, fd=leak.fd)
    program.ask(f"rawclose {leak.fd}")
    assert program.number("open /dev/null") == leak.fd
    for call in ("write", "writev", "sendfile", "splice", "dprintf"):
        assert say(program, f"call {call} {leak.fd}").startswith("ok"), call
    so_far = len(program.events())
    ladder.wait_for_another(program, peer, "neutralized")
    for call in ("write", "writev", "sendfile", "splice", "dprintf"):
        assert say(program, f"call {call} {leak.fd}").startswith("ok"), call
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
