"""`sockleak top` in the incident itself, on a terminal of 80 columns and 24 rows: a JVM that leaks, and 15,000 sockets."""

import json
import re
import time

import cli
import harness
import pytest
import services
import terminal

RUNS = "alone"  # fifteen thousand sockets, and a screen that keeps up with them (scripts/check-all)

REQUESTS = 5000 if services.IS_STRESS else 300
MANY = 15000
KEY_S = 1.0  # how long a key may take; a loaded machine has three times as long


@pytest.fixture
def top(tmp_path):
    """A function that starts `sockleak top` in such a terminal."""
    open_ones = []

    def start_top(*words):
        open_ones.append(terminal.Terminal([cli.SOCKLEAK, "top", *words], cwd=tmp_path, env={"LC_ALL": "C.UTF-8"}))
        return open_ones[-1]

    yield start_top
    for one in open_ones:
        one.close()


@pytest.fixture
def leaking(start, networks, tmp_path):
    """A JVM all of whose connections the server has closed."""
    network = networks()
    services.start_nginx(start, network, tmp_path, services.web_config(tmp_path, "1s"), library=False)
    argv = services.java("LeakyClient", f"http://{services.PLACE}/", REQUESTS, 0, "main")
    program = start(argv, network=network, nofile=harness.hard_nofile(), options={"deadline": "500ms", "max_rate": 0})
    assert program.line() == f"done {REQUESTS} failed 0"
    program.report_until(lambda s: s["totals"]["stuck"] == REQUESTS, "every connection to be stuck")
    return program


def fits(lines, columns, rows):
    return len(lines) == rows and all(len(line) <= columns for line in lines)


def test_a_leaking_jvm(top, leaking, tmp_path):
    """From the first look to the end of the process, as one would at 3 a.m."""
    where = "(LeakyClient.java:"
    screen = top(leaking.pid, "--interval=300ms")
    lines = screen.until("[Peers 1]", services.PLACE, "action=report", "q quit")
    assert lines[0].startswith(f"java LeakyClient  pid {leaking.pid}  up ") and fits(lines, 80, 24)
    assert f"{REQUESTS} of {REQUESTS} CLOSE_WAIT stuck" in lines[1]
    assert f"open {REQUESTS}  CLOSE_WAIT {REQUESTS}" in lines[2] and "ports left" in lines[2]
    screen.keys("s", "Tab")
    lines = screen.until("sorted by stuck", where)  # each table has an order of its own
    assert where in next(line for line in lines if line.startswith(">"))
    screen.keys("Enter")
    lines = screen.until("blame    LeakyClient.fetch(LeakyClient.java:", "threads  main", f"never-looked {REQUESTS}",
                         "sun.nio.ch.Net.socket0(Native Method)")
    assert fits(lines, 80, 24)
    screen.keys("End")
    lines = screen.until("LeakyClient.main(LeakyClient.java:")
    assert any(line.startswith("  > LeakyClient.fetch") for line in lines), lines
    for columns, rows in ((60, 10), (132, 43), (80, 24)):
        screen.resize(columns, rows)
        harness.wait_until(lambda: "q back" in screen.screen().splitlines()[-1:][0], screen.screen)
        assert fits(screen.screen().splitlines(), columns, rows)
    screen.keys("q", "w", "C-u")
    screen.type("ticket.json")
    screen.keys("Enter")
    screen.until("saved what is shown: ticket.json")
    snapshot = json.loads((tmp_path / "ticket.json").read_text())
    harness.check_snapshot(snapshot)
    assert snapshot["totals"]["stuck"] == REQUESTS and where in snapshot["sites"][0]["blame"]
    screen.keys("a", "s")
    screen.until(f"Set action=shutdown for=2h in process {leaking.pid}? y/N")
    screen.keys("y")
    screen.until("changed action from report to shutdown; for 2h0m, then as before", "action=shutdown")
    screen.keys("Tab")
    screen.until("CLOSE_WAIT 0", f"{REQUESTS} ended by us")
    leaking.kill()
    lines = screen.until(f"process {leaking.pid} has ended", "action=shutdown")
    assert lines[0].startswith("java LeakyClient") and f"open {REQUESTS}  CLOSE_WAIT 0" in lines[2]
    screen.keys("q")
    screen.restored(0)


@pytest.fixture
def crowded(start, networks):
    """15,000 that the peer has closed, in a program that is quick to open them."""
    if MANY + 100 > harness.hard_nofile():
        raise harness.Forbidden(f"{MANY + 100} open files; the hard limit is {harness.hard_nofile()}")
    network = networks()
    far = start([harness.victim("peer"), "127.0.0.1"], library=False, network=network)
    (port,) = far.ready()
    program = start([harness.victim("closewait"), "127.0.0.1", port, str(MANY)], network=network,
                    nofile=harness.hard_nofile(), options={"detail": None, "report": None, "json": None})
    program.ready()
    far.ask(f"close 0 {MANY}")
    far.kill()
    return program


def clock(lines):
    return re.search(r"\d\d:\d\d:\d\d$", lines[0]).group()


def test_fifteen_thousand_sockets(top, crowded):
    """Pictures follow each other, keys are obeyed at once, and a process that takes its time to die leaves the last one."""
    screen = top(crowded.pid)
    lines = screen.until(f"open {MANY}  CLOSE_WAIT {MANY}", f"stuck {MANY}", "[Peers 1]")
    first = clock(lines)
    from_s = time.monotonic()
    harness.wait_until(lambda: clock(screen.screen().splitlines()) != first, "the next picture")
    assert time.monotonic() - from_s < 2 + 6 * KEY_S  # --interval; where a picture takes long, three times that
    took_s = []
    for key, shows in (("Tab", "[Sites"), ("Enter", "blame"), ("q", "[Sites"), ("s", "sorted by CLOSE_WAIT"), ("?", "any key"),
                       ("x", "[Sites"), ("a", "Which action?"), ("x", "[Sites"), ("r", "[Sites"), ("Tab", "[Peers")):
        from_s = time.monotonic()
        screen.keys(key)
        screen.until(shows)
        took_s.append(time.monotonic() - from_s)
    assert sorted(took_s)[len(took_s) // 2] < KEY_S and max(took_s) < 3 * KEY_S, took_s
    crowded.popen.kill()
    lines = screen.until(f"process {crowded.pid} has ended")
    assert f"open {MANY}  CLOSE_WAIT {MANY}" in lines[2] and "action=report" in lines[0], lines
    screen.keys("q")
    screen.restored(0)
