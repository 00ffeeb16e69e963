"""Descriptions that another process has too: never shut down, at most let go of."""

import socket

import harness
import ladder
import pytest

WAYS = "both"

HOLDERS = ["fork", "_Fork", "clone", "system", "popen"]


@pytest.mark.parametrize("how", HOLDERS)
@pytest.mark.parametrize("action", ["shutdown", "neutralize"])
def test_what_a_child_shares_is_not_shut_down(puppet, peer, how, action):
    # Not in the shell: once the parent has let go, a ladder there would find the connection its own, and quiet.
    program = puppet(options=ladder.options(action, programs="puppet"))
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
