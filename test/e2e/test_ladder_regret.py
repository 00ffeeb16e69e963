"""Regret: after an action the program used the connection after all."""

import socket

import ladder
import pytest

WAYS = "both"


def test_one_regret_exempts_its_site(puppet, peer):
    program = puppet(options=ladder.options("shutdown"))
    leak = ladder.leak(program, peer)
    program.event("shutdown", fd=leak.fd)
    assert program.ask_error(f"write {leak.fd} 10") == ["EPIPE"]
    event = program.event("regretted", fd=leak.fd)
    assert event["rung"] == "shutdown"
    second = ladder.leak(program, peer)
    program.event("skipped", fd=second.fd, reason="regret")
    # Another site is no worse for it.
    program.ask(f"rawconnect 127.0.0.1 {peer.port}")
    other, _ = peer.accept()
    other.shutdown(socket.SHUT_WR)
    assert other.recv(10) == b""
    snapshot = program.report()
    assert snapshot["totals"]["regretted"] == 1
    assert sorted(site["regretted"] for site in snapshot["sites"]) == [0, 1]
    assert snapshot["reclaim"]["stopped"] is False
    program.ask(f"write {second.fd} 1")
    assert second.far.recv(10) == bytes(1)


@pytest.mark.parametrize("action", ["shutdown", "neutralize"])
def test_three_regrets_stop_the_ladder(puppet, peer, action):
    program = puppet(options=ladder.options(action))
    leaks = [ladder.leak(program, peer) for _ in range(3)]
    for leak in leaks:
        program.event(ladder.TOP[action], fd=leak.fd)
    for leak in leaks:
        assert program.ask_error(f"write {leak.fd} 10") == ["EPIPE"]
        event = program.event("regretted", fd=leak.fd)
        assert event["rung"] == action
    program.event("stopped")
    snapshot = program.report()
    assert snapshot["totals"]["regretted"] == 3
    assert snapshot["reclaim"]["stopped"] is True
    assert snapshot["reclaim"]["action"] == "report"
    assert program.stderr_lines("regret", "action=report")
    # A site of its own, so it is not the exemption that spares this one.
    fd = program.number(f"rawconnect 127.0.0.1 {peer.port}")
    other, _ = peer.accept()
    other.shutdown(socket.SHUT_WR)
    program.event("stuck", fd=fd)
    second = ladder.leak(program, peer)
    program.event("stuck", fd=second.fd)
    assert "shutdown" not in ladder.kinds(program, fd)
    program.ask(f"write {fd} 1")
    assert other.recv(10) == bytes(1)
    assert len(program.events("stopped")) == 1


def test_one_connection_is_regretted_once(puppet, peer):
    program = puppet(options=ladder.options("neutralize"))
    leak = ladder.leak(program, peer)
    program.event("neutralized", fd=leak.fd)
    for _ in range(5):
        assert program.ask_error(f"write {leak.fd} 10") == ["EPIPE"]
    program.event("regretted", fd=leak.fd)
    snapshot = program.report()
    assert snapshot["totals"]["regretted"] == 1
    assert snapshot["reclaim"]["stopped"] is False


def test_to_send_on_what_was_closed_is_a_regret(puppet, peer):
    """As long as nobody has the number: then it says EBADF, and that is our doing."""
    program = puppet(options=ladder.options("close"))
    first, second = ladder.leak(program, peer), ladder.leak(program, peer)
    for leak in (first, second):
        program.event("closed", fd=leak.fd)
    goodbye = ladder.TLS12_CLOSE_NOTIFY.hex()
    assert program.ask_error(f"writehex {second.fd} {goodbye}") == ["EBADF"]
    assert program.ask_error(f"write {first.fd} 10") == ["EBADF"]
    event = program.event("regretted")
    assert (event["fd"], event["rung"], event["peer"]["port"]) == (first.fd, "close", peer.port)
    for leak in (first, second):
        assert program.number(f"close {leak.fd}") == 0
    snapshot = program.report()
    assert snapshot["totals"]["regretted"] == 1
    assert [site["regretted"] for site in snapshot["sites"]] == [1]
    assert snapshot["totals"]["reclaimed"]["absorbed"] == 2


@pytest.mark.parametrize("action", ["shutdown", "neutralize"])
@pytest.mark.parametrize("goodbye", [ladder.TLS12_CLOSE_NOTIFY, ladder.TLS13_CLOSE_NOTIFY], ids=["1.2", "1.3"])
def test_a_goodbye_before_a_late_close_is_no_regret(puppet, peer, action, goodbye):
    """What TLS libraries do when the program closes after all."""
    program = puppet(options=ladder.options(action))
    leak = ladder.leak(program, peer)
    program.event(ladder.TOP[action], fd=leak.fd)
    program.tell(f"writehex {leak.fd} {goodbye.hex()}")
    program.line()  # it may fail or not: the program does not care
    assert program.number(f"close {leak.fd}") == 0
    ladder.wait_for_another(program, peer, ladder.TOP[action])
    snapshot = program.report()
    assert snapshot["totals"]["regretted"] == 0
    assert program.events("regretted") == []


@pytest.mark.parametrize("bytes_sent", [b"x" * 24, b"x" * 31], ids=["24", "31"])
def test_what_only_looks_as_long_as_a_goodbye_is_a_regret(puppet, peer, bytes_sent):
    program = puppet(options=ladder.options("shutdown"))
    leak = ladder.leak(program, peer)
    program.event("shutdown", fd=leak.fd)
    assert program.ask_error(f"writehex {leak.fd} {bytes_sent.hex()}") == ["EPIPE"]
    program.ask(f"close {leak.fd}")
    program.event("regretted", fd=leak.fd)


def test_reading_the_end_late_is_no_regret(puppet, peer):
    program = puppet(options=ladder.options("neutralize"))
    leak = ladder.leak(program, peer)
    program.event("neutralized", fd=leak.fd)
    assert program.number(f"read {leak.fd}") == 0
    ladder.wait_for_another(program, peer, "neutralized")
    assert program.report()["totals"]["regretted"] == 0
