"""A connection whose peer has closed its half, and which the program still uses or is about to: never cut, whatever the
ladder may do. The deadlines here are far shorter than the silence, and every byte is verified."""

import signal
import socket
import time

import harness
import ladder
import pytest
import services

RUNS = "first"  # takes minutes (scripts/check-all)
WAYS = "both"

ACTIONS = {"shutdown", "neutralized", "closed"}
SHORT = {"side": "both", "deadline": "600ms", "deadline_in": "600ms"}


def pattern(start, n):
    return bytes(i % 251 for i in range(start, start + n))


class Exchange:
    """An answerer under the library, and the other side, which has asked and half-closed."""

    def __init__(self, start, peer, direction, **more):
        argv = [harness.victim("answerer")]
        options = ladder.options("close", **{**SHORT, **more})
        if direction == "out":
            self.program = start([*argv, peer.port], options=options)
            self.program.ready()
            self.far, _ = peer.accept()
        else:
            self.program = start(argv, options=options)
            to = ("127.0.0.1", int(self.program.ready()[0]))
            self.far = socket.create_connection(to, harness.PATIENCE_S)
        self.far.settimeout(harness.PATIENCE_S)
        self.far.sendall(b"request")
        self.far.shutdown(socket.SHUT_WR)
        assert self.program.number("read") == 7
        self.received = 0

    def receive(self, n):
        """The next n bytes of the answer, each as it must be."""
        while n:
            got = self.far.recv(min(n, 1 << 20))
            assert got, f"cut at byte {self.received}; {self.program.events()}"
            assert got == pattern(self.received, len(got)), f"wrong after byte {self.received}"
            self.received += len(got)
            n -= len(got)

    def finish(self):
        """The answer ends where the program ends it, and nothing was done on the way."""
        assert not ACTIONS & {event["event"] for event in self.program.events()}
        assert self.program.number("end") == 0
        assert self.far.recv(1) == b""
        snapshot = self.program.report()
        assert snapshot["totals"]["regretted"] == 0
        assert not {"shutdown", "neutralized", "closed"} & set(ladder.reclaimed(snapshot))


@pytest.mark.parametrize("direction", ["in", "out"])
@pytest.mark.parametrize("how", ["drip", "stream"])
@pytest.mark.parametrize("sigpipe", ["default", "ignored"])
def test_an_answer_byte_by_byte(start, peer, direction, how, sigpipe):
    """By write(), and by stdio, which no hook sees; a byte each quarter of the deadline."""
    exchange = Exchange(start, peer, direction)
    if sigpipe == "ignored":
        exchange.program.ask("ignore")
    exchange.program.tell(f"{how} 20 150")
    exchange.receive(20)
    assert exchange.program.line() == "ok"
    exchange.finish()


@pytest.mark.parametrize(("how", "sigpipe"), [("drip", "default"), ("stream", "default"), ("stream", "ignored")])
def test_an_answer_that_is_computed_first(start, peer, how, sigpipe):
    """Silence of four deadlines before each byte. The client waits, and says so when it is probed. (Where a FILE writes
    past the hooks and SIGPIPE would end the program, it is not even asked.)"""
    exchange = Exchange(start, peer, "in")
    if sigpipe == "ignored":
        exchange.program.ask("ignore")
    exchange.program.tell(f"{how} 3 2400")
    for _ in range(3):
        exchange.receive(1)
    assert exchange.program.line() == "ok"
    is_asked = (how, sigpipe) != ("stream", "default")
    reasons = {event["reason"] for event in exchange.program.events("skipped")}
    assert ("peer-waits" if is_asked else "stdio") in reasons
    assert bool(exchange.program.events("probed")) == is_asked
    exchange.program.tell("block 100000")
    exchange.receive(100000)
    exchange.program.line()
    exchange.finish()


def test_an_answer_computed_for_long_without_a_byte(start, peer):
    """Nothing is read, nothing sent, from the first sweep to the last: for a minute and more under stress, which is longer
    than a peer that only closed would wait (tcp_fin_timeout)."""
    exchange = Exchange(start, peer, "in", deadline="200ms", deadline_in="200ms", grace="100ms")
    computed_ms = 70_000 if services.IS_STRESS else 8_000
    exchange.far.settimeout(harness.PATIENCE_S + computed_ms / 1000)
    exchange.program.tell(f"drip 1 {computed_ms}")
    exchange.receive(1)
    assert exchange.program.line() == "ok"
    exchange.finish()


@pytest.mark.parametrize("direction", ["in", "out"])
@pytest.mark.parametrize("reader", ["stalled", "slow"])
def test_a_reader_that_is_slower_than_the_deadline(start, peer, direction, reader):
    """The program is blocked in send(), its peer's window is closed, or opens a little now and then."""
    total = 20_000_000
    # Reports come by themselves: a signal would end the send() early.
    exchange = Exchange(start, peer, direction, every="1s")
    exchange.program.tell(f"block {total}")
    left = total

    def blocked_for_long():
        nonlocal left
        if reader == "slow":
            exchange.receive(1000)
            left -= 1000
        if not exchange.program.json_path.exists():
            return False
        sockets = exchange.program.snapshot()["sockets"]
        return any((s["close_wait_ms"] or 0) > 3000 and s["unsent_bytes"] for s in sockets)

    harness.wait_until(blocked_for_long, "3 s of CLOSE_WAIT with bytes unsent")
    exchange.receive(left)
    assert exchange.program.line() == f"ok {total}"
    exchange.finish()


def test_nothing_is_cut_at_the_thaw(puppet, peer):
    """SIGSTOP for longer than the deadline. FINs that came just before and meanwhile are new to the program."""
    more = {"side": "both", "deadline": "3s", "deadline_in": "3s", "interval": "250ms", "probe": "off"}
    program = puppet(options=ladder.options("close", **more))
    before, meanwhile = ladder.connect(program, peer), ladder.connect(program, peer)
    inbound = ladder.accepted(program)
    program.report()
    before.far.shutdown(socket.SHUT_WR)
    inbound.far.shutdown(socket.SHUT_WR)
    ladder.await_fin(program, before.fd)
    assert program.number(f"read {inbound.fd}") == 0
    program.send_signal(signal.SIGSTOP)
    meanwhile.far.shutdown(socket.SHUT_WR)
    time.sleep(5)  # the thing tested: a stop of more than the deadline
    program.send_signal(signal.SIGCONT)
    time.sleep(1)  # and a program that takes a third of the deadline to come to itself
    snapshot = program.report()
    by_fd = {entry["fd"]: entry for entry in snapshot["sockets"]}
    for leak in (before, meanwhile, inbound):
        program.ask(f"write {leak.fd} 1000")
        assert receive(leak.far, 1000) == bytes(1000)
        # Reports keep wall time.
        assert by_fd[leak.fd]["close_wait_ms"] >= 4500
    assert not ACTIONS & {event["event"] for event in program.events()}
    # The clock goes on: what stays quiet now is ended after all.
    for leak in (before, meanwhile, inbound):
        program.event("shutdown", fd=leak.fd)
        assert leak.sees_fin()
    assert snapshot["totals"]["regretted"] == 0


def receive(far, n):
    got = b""
    while len(got) < n:
        more = far.recv(n - len(got))
        assert more, f"cut after {len(got)} of {n} bytes"
        got += more
    return got


def test_many_short_stops(puppet, peer):
    """Each adds two intervals at most to what counts for actions."""
    more = {"deadline": "3s", "interval": "100ms"}
    program = puppet(options=ladder.options("neutralize", **more))
    leak = ladder.leak(program, peer)
    ladder.await_fin(program, leak.fd)
    for _ in range(4):
        program.send_signal(signal.SIGSTOP)
        time.sleep(1)
        program.send_signal(signal.SIGCONT)
        program.ask("nop")
    program.ask(f"write {leak.fd} 10")
    assert receive(leak.far, 10) == bytes(10)
    assert not ACTIONS & {event["event"] for event in program.events()}
    program.event("neutralized", fd=leak.fd)
