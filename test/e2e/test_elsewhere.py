"""What is not well with a program's connections and is no leak of its own: each seen for real, named, and never counted as stuck."""

import socket
import sys

import cli
import harness
import pytest

DEADLINE = {"deadline": "300ms", "interval": "250ms"}


def rows(snapshot, kind):
    return [row for row in snapshot["elsewhere"] if row["kind"] == kind]


def until(program, kind, count=1):
    """Take reports until there is a row of this kind with such a count; the report and the row."""
    fits = lambda s: [row for row in rows(s, kind) if row["count"] >= count]
    snapshot = program.report_until(fits, f"{count} {kind}")
    totals = snapshot["totals"]
    assert (totals["stuck"], totals["close_wait"], totals["dead"]) == (0, 0, 0)
    return snapshot, fits(snapshot)[0]


def line_with(program, row):
    """The line of the last full report that has its advice."""
    lines = [line for line in program.full_reports("signal")[-1] if line.endswith(": " + row["advice"])]
    assert len(lines) == 1 and len(lines[0]) <= 100, lines
    return lines[0].strip()


def clients(port, count):
    made = []
    for _ in range(count):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", port))
        made.append(one)
    return made


def test_a_server_that_stops_accepting(puppet):
    """Its backlog fills up to one more than the limit, and stays: the process is NOT_ACCEPTING, and nothing leaks."""
    program = puppet(options=DEADLINE)
    listener, port = map(int, program.ask("listen 127.0.0.1 4"))
    kept = clients(port, 5)
    snapshot = program.report_until(lambda s: s["verdict"] == "NOT_ACCEPTING", "the backlog to stay")
    (row,) = rows(snapshot, "not-accepted")
    assert (row["count"], row["limit"], row["local"]) == (5, 4, f"127.0.0.1:{port}")
    assert row["stalled"] and row["oldest_ms"] >= 300 and row["advice"] == "the program is not calling accept()"
    assert row["blame"].startswith("puppet+0x")
    assert snapshot["totals"]["backlog"] == 5 and snapshot["totals"]["stuck"] == 0
    line = line_with(program, row)
    assert line.startswith(f"5 wait at 127.0.0.1:{port} (limit 4, full), oldest "), line
    assert "\nNOT_ACCEPTING" in program.text()
    for _ in range(5):
        program.number(f"accept {listener}")
    program.report_until(lambda s: s["verdict"] == "OK" and s["elsewhere"] == [], "all to be accepted")
    assert kept


def test_it_is_warned_of_once(puppet):
    """Nobody asks for a report: one line, and another only after it has accepted again."""
    program = puppet(options={**DEADLINE, "report": "stderr"})
    listener, port = map(int, program.ask("listen 127.0.0.1 4"))
    kept = clients(port, 5)
    said = lambda: program.stderr_lines("not accepting: 5 connections wait at", f"127.0.0.1:{port} (limit 4)")
    (line,) = harness.wait_until(said, lambda: f"the warning; stderr: {program.stderr()}")
    assert line.endswith(": the program is not calling accept()")
    for _ in range(5):
        program.number(f"accept {listener}")
    harness.wait_until(lambda: program.report()["elsewhere"] == [], "all to be accepted")
    assert len(said()) == 1 and kept


def test_a_short_backlog_that_stays_is_enough(puppet):
    program = puppet(options=DEADLINE)
    _, port = map(int, program.ask("listen 127.0.0.1 64"))
    kept = clients(port, 2)
    snapshot = program.report_until(lambda s: s["verdict"] == "NOT_ACCEPTING", "the backlog to stay")
    assert (rows(snapshot, "not-accepted")[0]["count"], rows(snapshot, "not-accepted")[0]["limit"]) == (2, 64)
    assert kept


def test_a_server_that_accepts_slowly_is_accepting(puppet):
    """The backlog is never empty, and no connection waits for long: busy, not dead. By the sweeps as by the kernel's list."""
    program = puppet(options={"deadline": "2s", "interval": "250ms"})
    listener, port = map(int, program.ask("listen 127.0.0.1 64"))
    kept = clients(port, 3)
    for _ in range(40):
        kept += clients(port, 1)
        program.number(f"accept {listener}")
        snapshot = program.report()
        assert snapshot["verdict"] == "OK", snapshot["elsewhere"]
        assert snapshot["totals"]["backlog"] >= 2


def test_without_the_kernels_list_the_sweeps_tell(start):
    program = start("puppet", options=DEADLINE, wrap=[harness.victim("no_netlink"), "/usr/bin/env"])
    program.ready()
    listener, port = map(int, program.ask("listen 127.0.0.1 4"))
    kept = clients(port, 3)
    snapshot = program.report_until(lambda s: s["verdict"] == "NOT_ACCEPTING", "the backlog to stay")
    assert rows(snapshot, "not-accepted")[0]["oldest_ms"] >= 300
    program.number(f"accept {listener}")
    assert program.report()["verdict"] == "OK"
    assert kept


def test_a_peer_that_does_not_close_its_half(puppet, peer):
    program = puppet(options=DEADLINE)
    for _ in range(12):
        fd = program.number(f"connect 127.0.0.1 {peer.port}")
        peer.accept()
        program.ask(f"shutdown {fd}")
    snapshot, row = until(program, "fin-wait2", 12)
    assert (row["peer"], row["at_peer"], row["notable"]) == (f"127.0.0.1:{peer.port}", 12, True)
    assert row["oldest_ms"] >= 300 and row["blame"].startswith("puppet+0x")
    assert snapshot["verdict"] == "OK"
    line = line_with(program, row)
    assert line.startswith("12 in FIN_WAIT2, oldest ") and f" to {row['peer']}: " in line


def test_a_peer_that_still_sends_is_no_such(puppet, peer):
    """A half-close in use: what it sends is what was asked for."""
    program = puppet(options={"deadline": "5s"})
    fd = program.number(f"connect 127.0.0.1 {peer.port}")
    connection, _ = peer.accept()
    program.ask(f"shutdown {fd}")
    for _ in range(5):
        connection.send(b"more")
        assert program.report()["elsewhere"] == []


def test_silent_and_without_keepalive(puppet, peer):
    """Thirty deadlines of silence. Where the program has set SO_KEEPALIVE it will find out by itself."""
    program = puppet(options={"deadline": "100ms"})
    for _ in range(3):
        program.number(f"connect 127.0.0.1 {peer.port}")
        peer.accept()
    snapshot, row = until(program, "half-open", 3)
    assert (row["count"], row["notable"], row["peer"]) == (3, False, f"127.0.0.1:{peer.port}")
    assert row["oldest_ms"] >= 3000 and "keepalive=60" in row["advice"]
    assert snapshot["verdict"] == "OK"
    kept = puppet(options={"deadline": "100ms", "keepalive": "60"})
    kept.number(f"connect 127.0.0.1 {peer.port}")
    peer.accept()
    kept.report_until(lambda s: s["sockets"][0]["age_ms"] > 4000, "four seconds of silence")
    assert rows(kept.report(), "half-open") == []


def test_sockets_that_are_never_connected(puppet):
    program = puppet(options=DEADLINE)
    for _ in range(11):
        program.number("kind tcp")
    snapshot, row = until(program, "never-connected", 11)
    assert (row["peer"], row["at_site"], row["notable"]) == (None, 11, True)
    assert row["blame"].startswith("puppet+0x")
    line = line_with(program, row)
    assert line.startswith("11 never connected, oldest ") and ", by " in line
    assert snapshot["verdict"] == "OK" and snapshot["totals"]["by_state"]["CLOSE"] == 11
    (named,) = rows(cli.parsed("report", program.pid), "never-connected")
    assert named["blame"].startswith("do_kind (puppet.c:"), named
    assert "  11 never connected, oldest " in cli.output("report", program.pid)


def test_a_failed_connect_whose_socket_is_left(start):
    """Refused, and forgotten: no connection ever was, so it is neither in CLOSE_WAIT nor dead, and the fd is gone all the same."""
    script = (
        "import socket, sys\n"
        "probe = socket.create_server(('127.0.0.1', 0)); port = probe.getsockname()[1]; probe.close()\n"
        "kept = []\n"
        "for _ in range(10):\n"
        "    one = socket.socket(); one.connect_ex(('127.0.0.1', port)); kept.append(one)\n"
        "print('ready', port, flush=True)\n"
        "sys.stdin.read()\n"
    )
    program = start([sys.executable, "-c", script], options=DEADLINE)
    (port,) = program.ready()
    _, row = until(program, "connect-failed", 10)
    assert (row["peer"], row["at_peer"], row["notable"]) == (f"127.0.0.1:{port}", 10, True)


def behind_a_firewall(network):
    """A network whose far end takes in what it is sent, and says nothing."""
    network.run("ip", "link", "add", "near", "type", "veth", "peer", "name", "far")
    for words in ("link set near up", "link set far up", "addr add 192.0.2.1/24 dev near",
                  "neigh add 192.0.2.77 lladdr 02:00:00:00:00:77 dev near nud permanent"):
        network.run("ip", *words.split())
    return "192.0.2.77", 443


@pytest.mark.parametrize("where", ["firewall", "full backlog"])
def test_a_destination_that_does_not_answer(start, networks, where):
    """SYN after SYN, and no answer. A listener whose backlog is full drops them as well."""
    network, kept = None, []
    if where == "firewall":
        network = networks()
        address, port = behind_a_firewall(network)
    else:
        kept.append(socket.create_server(("127.0.0.1", 0), backlog=0))
        address, port = kept[0].getsockname()
        kept += clients(port, 1)
    script = (
        "import socket, sys\n"
        "kept = []\n"
        "for _ in range(3):\n"
        f"    one = socket.socket(); one.setblocking(False); one.connect_ex(('{address}', {port})); kept.append(one)\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    program = start([sys.executable, "-c", script], network=network, options=DEADLINE)
    program.ready()
    snapshot, row = until(program, "connecting", 3)
    assert (row["peer"], row["at_peer"], row["notable"]) == (f"{address}:{port}", 3, True)
    assert snapshot["totals"]["by_state"]["SYN_SENT"] == 3
    line = line_with(program, row)
    assert line.startswith("3 in SYN_SENT, oldest ") and f" to {address}:{port}: no answer" in line


def test_a_few_of_them_leave_a_process_healthy(puppet):
    """One unconnected socket is nobody's business: one line, and the JSON has it."""
    program = puppet(options=DEADLINE)
    program.number("kind tcp")
    snapshot, row = until(program, "never-connected")
    assert row["notable"] is False and snapshot["verdict"] == "OK"
    assert all("\n" not in line for line in program.text().splitlines()) and "NO LEAK" not in program.text()


def test_what_is_meant_to_be_so_is_left_out(puppet):
    program = puppet(options=DEADLINE)
    fd = program.number("kind tcp")
    assert program.ask(f"intend {fd}") == ["0"]
    program.number("kind tcp")
    _, row = until(program, "never-connected")
    assert row["count"] == 1


def leak(program, peer, count):
    for _ in range(count):
        program.number(f"connect 127.0.0.1 {peer.port}")
        connection, _ = peer.accept()
        connection.close()


@pytest.mark.parametrize("leaks", [0, 12])
def test_a_leak_is_worse_than_a_backlog(puppet, peer, leaks):
    program = puppet(options=DEADLINE)
    _, port = map(int, program.ask("listen 127.0.0.1 4"))
    kept = clients(port, 2)
    if leaks:  # the first must lie there for long before the others are opened: a pool would have met it
        leak(program, peer, 2)
        program.report_until(lambda s: (s["totals"]["oldest_stuck_ms"] or 0) > 2000, "two that lie there")
        leak(program, peer, leaks)
    wanted = "LEAK" if leaks else "NOT_ACCEPTING"
    snapshot = program.report_until(lambda s: s["verdict"] == wanted and rows(s, "not-accepted"), wanted)
    assert snapshot["totals"]["stuck"] == (leaks and leaks + 2) and kept


def test_from_outside_a_server_that_stops_accepting(start):
    """The kernel's list tells since when the oldest waits, so one look is enough: full, and for ten seconds."""
    program = start("puppet", library=False)
    program.ready()
    _, port = map(int, program.ask("listen 127.0.0.1 4"))
    kept = clients(port, 5)
    for _ in range(10):
        program.number("kind tcp")
    snapshot = cli.parsed("report", program.pid)
    assert snapshot["verdict"] == "OK"
    full, unused = snapshot["elsewhere"]
    assert (full["kind"], full["count"], full["limit"], full["stalled"]) == ("not-accepted", 5, 4, False)
    assert "turned away" in full["advice"]
    assert (unused["kind"], unused["count"], unused["oldest_ms"], unused["notable"]) == ("never-connected", 10, None, True)

    def look():
        found = cli.parsed("report", program.pid)
        return found["verdict"] == "NOT_ACCEPTING" and found

    snapshot = harness.wait_until(look, "ten seconds without an accept()")
    assert snapshot["elsewhere"][0]["oldest_ms"] >= 10000 and snapshot["elsewhere"][0]["stalled"]
    assert snapshot["sites"] is None and snapshot["elsewhere"][0]["site"] is None
    assert "the program is not calling accept()" in cli.output("report", program.pid)
    assert kept
