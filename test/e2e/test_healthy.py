"""Programs without fault: nothing is ever called stuck."""

import socket

import harness
import pytest


def test_clean_client_has_nothing_stuck(start):
    rounds = 3000
    program = start([harness.victim("clean"), rounds], options={"every": "1s"})
    program.ready()
    snapshot = program.report()
    totals = snapshot["totals"]
    # A connection has two ends in this program, and there was one listener.
    assert totals["opened"] == totals["closed"] == 2 * rounds + 1
    assert totals["open"] == totals["close_wait"] == totals["stuck"] == 0
    assert totals["adopted"] == totals["dropped"] == 0
    assert snapshot["verdict"] == "OK"
    assert sum(site["opened"] for site in snapshot["sites"]) == 2 * rounds + 1
    assert sum(site["closed"] for site in snapshot["sites"]) == 2 * rounds + 1
    assert program.end() == 0


def test_a_healthy_process_gets_one_line(puppet, peer):
    program = puppet(options={"report": "stderr"})
    program.ask(f"connect 127.0.0.1 {peer.port}")
    program.report()
    said = harness.wait_until(lambda: program.stderr_lines("sockleak"), "the report on stderr")
    assert len(program.stderr().splitlines()) == len(said) == 1
    assert "OK" in said[0]


class Client:
    """Sends a request with its FIN, then reads what the server still has to say."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), harness.PATIENCE_S)
        self.socket.sendall(b"request")
        self.socket.shutdown(socket.SHUT_WR)
        self.stream = self.socket.makefile("rb")

    def read_lines(self, count):
        for _ in range(count):
            assert self.stream.readline().endswith(b"answer\n")


@pytest.mark.parametrize("mode", ["hooks", "stdio", "raw"])
def test_half_close_in_use_is_never_stuck(start, mode):
    """With a deadline of 1 s, through 3 s of an answer that comes every 100 ms."""
    program = start([harness.victim("halfclose"), mode])
    client = Client(int(program.ready()[0]))
    assert program.line() == "eof"
    for _ in range(15):
        client.read_lines(2)
        snapshot = program.report()
        (entry,) = [s for s in snapshot["sockets"] if s["state"] == "CLOSE_WAIT"]
        assert snapshot["totals"]["stuck"] == 0
        assert entry["direction"] == "in"
        assert entry["eof_seen"] is True
        assert entry["quiet_ms"] < 1000
    assert entry["close_wait_ms"] >= 2500
    program.ask("stop")
    snapshot = program.report_until(lambda s: s["totals"]["stuck"] == 1, "the end of the answer")
    assert harness.sum_causes(snapshot) == {"eof-ignored": 1}


def test_an_answer_that_waits_for_its_reader_is_not_stuck(start):
    """The client's window is closed, the rest is unsent, and the client still answers probes."""
    program = start([harness.victim("halfclose"), "stalled"])
    client = Client(int(program.ready()[0]))
    assert program.line() == "eof"
    old_enough = program.report_until(
        lambda s: any((e["close_wait_ms"] or 0) > 3000 for e in s["sockets"]), "3 s of CLOSE_WAIT"
    )
    (entry,) = [e for e in old_enough["sockets"] if e["state"] == "CLOSE_WAIT"]
    assert entry["unsent_bytes"] > 0
    assert old_enough["totals"]["stuck"] == 0
    client.socket.close()


def test_a_late_close_is_retracted(puppet, peer):
    """Stuck, and then closed by the program after all: counted, never hidden."""
    program = puppet()
    kept = program.number(f"connect 127.0.0.1 {peer.port}")
    peer.accept()[0].close()
    program.report_until(lambda s: s["totals"]["stuck"] == 1, "a stuck connection")
    program.ask(f"close {kept}")
    totals = program.report()["totals"]
    assert totals["retracted"] == 1
    assert totals["stuck"] == totals["open"] == 0
