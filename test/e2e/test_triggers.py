"""Reports and warnings that come by themselves: once each, no more."""

import harness
import pytest


def leak(program, peer, count):
    """count connections that the peer has closed."""
    program.ask(f"connect 127.0.0.1 {peer.port} {count}")
    for _ in range(count):
        peer.accept()[0].close()


def test_every(puppet, peer):
    program = puppet(options={"every": "1s"})
    program.ask(f"connect 127.0.0.1 {peer.port}")
    first = program.new_report("interval")
    identity = program.json_identity()
    harness.wait_until(lambda: program.json_identity() != identity, "the next report")
    second = program.new_report("interval")
    apart = second["process"]["uptime_ms"] - first["process"]["uptime_ms"]
    assert 700 <= apart < 1000 * harness.PATIENCE_S  # the first may have been held up; a sweep comes each 250 ms


def test_warn_at_a_number_and_each_doubling(puppet, peer):
    program = puppet(options={"warn_at": 20, "deadline": "500ms"})

    def warnings():
        return program.stderr_lines("sockleak:", "stuck")

    leak(program, peer, 19)
    program.report_until(lambda s: s["totals"]["stuck"] == 19, "19 stuck")
    assert not warnings()
    leak(program, peer, 6)
    harness.wait_until(warnings, "a warning at 20")
    program.report_until(lambda s: s["totals"]["stuck"] == 25, "25 stuck")
    leak(program, peer, 10)
    program.report_until(lambda s: s["totals"]["stuck"] == 35, "35 stuck")
    assert len(warnings()) == 1, "one warning from 20 to 39"
    leak(program, peer, 10)
    harness.wait_until(lambda: len(warnings()) == 2, "a warning at 40")
    program.report_until(lambda s: s["totals"]["stuck"] == 45, "45 stuck")
    assert len(warnings()) == 2


def test_warn_at_off(puppet, peer):
    program = puppet(options={"warn_at": "off", "deadline": "500ms"}, nofile=64)
    leak(program, peer, 55)
    program.report_until(lambda s: s["totals"]["stuck"] == 55, "55 stuck")
    assert program.stderr() == ""


def test_warning_when_descriptors_run_short(puppet, peer):
    """By default, at 50, 75 and 90 % of the limit."""
    program = puppet(nofile=100)
    program.ask(f"connect 127.0.0.1 {peer.port} 40")
    program.report()
    assert not program.stderr_lines("sockleak:")
    program.ask(f"connect 127.0.0.1 {peer.port} 15")
    (line,) = harness.wait_until(
        lambda: program.stderr_lines("sockleak:"), "a warning at 50 %", patience_s=45
    )
    assert "50 %" in line and "100" in line


@pytest.mark.parametrize("sockets", [0, 12])
def test_exit_report(puppet, peer, sockets):
    program = puppet(options={"exit_report": 1})
    if sockets:
        leak(program, peer, sockets)
        program.report_until(lambda s: s["totals"]["stuck"] == sockets, "stuck connections")
    assert program.end() == 0
    if not sockets:
        return  # nothing to report on; it must only end as it did before
    snapshot = program.snapshot()
    assert snapshot["trigger"] == "exit"
    assert snapshot["totals"]["stuck"] == sockets
    assert len(program.full_reports("exit")) == 1


def test_no_exit_report_unless_asked(puppet, peer):
    program = puppet()
    program.ask(f"connect 127.0.0.1 {peer.port}")
    assert program.end() == 0
    assert program.json_identity() is None
    assert program.text() == ""


def pressure_once(program, command, error, *, wanted):
    """The first failure makes one report, further ones none; the program sees the same error."""
    assert program.ask_error(command)[0] == error
    snapshot = program.new_report("pressure")
    for _ in range(3):
        assert program.ask_error(command)[0] == error
    program.report()  # what came before it in the line has been written by now
    assert len(program.full_reports("pressure")) == 1
    assert snapshot["verdict"] in ("LEAK", "UNKNOWN", "OK")
    text = "\n".join(program.full_reports("pressure")[0])
    for word in wanted:
        assert word in text
    return snapshot


def test_out_of_ports(start, networks):
    """The incident's own error, with 100 ports to the peer."""
    network = networks()
    other_side = start([harness.victim("peer"), "127.0.0.1"], library=False, network=network)
    (port,) = other_side.ready()
    low = 20000 if int(port) > 30000 else 40000
    network.narrow_ports(low, low + 99)
    program = start("puppet", network=network)
    program.ready()
    program.ask(f"connect 127.0.0.1 {port} 100")
    other_side.ask("close 0 100")
    snapshot = pressure_once(
        program,
        f"connect 127.0.0.1 {port}",
        "EADDRNOTAVAIL",
        wanted=["EADDRNOTAVAIL", f"127.0.0.1:{port}"],
    )
    assert (snapshot["limits"]["port_low"], snapshot["limits"]["port_high"]) == (low, low + 99)
    (place,) = [p for p in snapshot["peers"] if p["port"] == int(port)]
    assert place["open"] == place["close_wait"] == 100
    assert place["ports_left"] == 0


@pytest.mark.parametrize("limit", [64, 2048])
def test_out_of_descriptors(puppet, peer, limit):
    program = puppet(nofile=limit)
    error, _, opened = program.ask_error(f"connect 127.0.0.1 {peer.port} {limit}")
    assert error == "EMFILE"
    # The program's limit is as it was, and the numbers below 1,024 are all its own.
    assert int(opened) == limit - 3 if limit < 1024 else 1021 < int(opened) <= limit - 3
    snapshot = program.new_report("pressure")
    for _ in range(3):
        assert program.ask_error(f"connect 127.0.0.1 {peer.port}")[0] == "EMFILE"
    program.report()
    (text,) = program.full_reports("pressure")
    assert any("EMFILE" in line for line in text)
    assert snapshot["limits"]["nofile_soft"] == limit
    assert snapshot["totals"]["open"] == int(opened)
    assert program.ask("nop") == []


def test_max_output_holds_back_and_says_so(puppet, peer):
    limit = 20 * 1024
    program = puppet(options={"max_output": limit})
    leak(program, peer, 12)
    program.report()

    def held_back():
        program.send_signal()
        program.ask("nop")
        return program.stderr_lines("sockleak:", "held back")

    said = harness.wait_until(held_back, "a line about what is held back")
    for _ in range(20):
        program.send_signal()
        program.ask("nop")
    assert program.stderr_lines("sockleak:", "held back") == said and len(said) == 1
    written = len(program.text().encode()) + len(program.stderr().encode())
    assert written + program.json_path.stat().st_size <= limit + len(said[0]) + 1
    assert program.end() == 0
