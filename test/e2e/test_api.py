"""sockleak.h: what a program asks of the library, and a program that asks without it."""

import shutil
import socket
import subprocess

import harness
import ladder
import pytest

SOURCE = harness.ROOT / "test" / "victims" / "named.c"
SIZE = 72  # of struct sockleak_totals


@pytest.fixture(params=["c", "c++"])
def named(request, start, tmp_path):
    """A function that starts the example of docs/api.md, as C or as C++, with three connections and a log stream."""
    program = harness.victim("named")
    if request.param == "c++":
        if not shutil.which("g++"):
            pytest.skip("no g++")
        program = tmp_path / "named"
        subprocess.run(["g++", "-x", "c++", "-Wall", "-Wextra", "-Werror", "-I", harness.ROOT / "include", SOURCE, "-o", program],
                       check=True)

    def start_named(port, **more):
        running = start([program, port, 3], **more)
        running.ready()
        return running

    return start_named


def answers(program):
    program.tell("")
    return program.line()


def test_example_without_the_library(named, peer):
    program = named(peer.port, library=False)
    assert answers(program) == "not known"
    assert program.end() == 0


def test_example(named, peer):
    program = named(peer.port)
    for far in [peer.accept()[0] for _ in range(4)]:
        far.close()
    wanted = "open 4, in CLOSE_WAIT 4, stuck 3"
    harness.wait_until(lambda: answers(program) == wanted, wanted)
    snapshot = program.snapshot()
    assert snapshot["trigger"] == "command" and snapshot["verdict"] == "UNKNOWN"
    names = sorted((s["name"], s["intended"]) for s in snapshot["sockets"])
    assert names == [("db-pool", False)] * 3 + [("log-stream", True)]
    sites = {s["name"]: s for s in snapshot["sites"] if s["open"]}
    assert (sites["db-pool"]["stuck"], sites["db-pool"]["intended"], sites["db-pool"]["verdict"]) == (3, 0, "unknown")
    assert (sites["log-stream"]["stuck"], sites["log-stream"]["intended"], sites["log-stream"]["verdict"]) == (0, 1, "ok")
    assert "native, db-pool  3 stuck" in program.text() and "; intended 1" in program.text()
    assert program.end() == 0


def test_example_is_in_the_document():
    code = "".join(f"    {line}\n" if line else "\n" for line in SOURCE.read_text().splitlines())
    assert code in (harness.ROOT / "docs" / "api.md").read_text()


def totals(program, size=SIZE):
    return list(map(int, program.ask(f"totals {size}")))


def test_nothing_before_the_first_socket(puppet, peer):
    program = puppet()
    assert totals(program)[:2] == [-1, SIZE]
    assert program.ask("report 1000") == ["-1"]
    assert program.ask("name 0 x") == ["-1"] and program.ask("intend 0") == ["-1"]
    ladder.connect(program, peer)
    assert program.ask("report 30000") == ["1"]
    assert program.snapshot()["totals"]["open"] == 1


def test_totals_are_those_of_a_report(puppet, peer):
    program = puppet()
    leaks = [ladder.leak(program, peer) for _ in range(5)]
    program.ask(f"close {leaks[0].fd}")
    program.ask(f"dup {leaks[1].fd}")
    harness.wait_until(lambda: totals(program) == [0, SIZE, 5, 1, 4, 4, 4, 0], lambda: totals(program))
    of_report = program.report()["totals"]
    assert [of_report[k] for k in ("opened", "closed", "open", "close_wait", "stuck", "retracted")] == [5, 1, 4, 4, 4, 0]
    # An older program knows less, and what lies behind is not touched; a newer one asks for more than there is.
    assert totals(program, SIZE - 24) == [0, SIZE - 24, 5, 1, 4, 4, 4711, 0]
    assert totals(program, SIZE + 800)[:2] == [0, SIZE]
    assert totals(program, 7)[:2] == [-1, 7]


def test_switched_off_it_knows_nothing(puppet, peer):
    program = puppet()
    fd = ladder.leak(program, peer).fd
    assert program.ask("report 30000") == ["1"]
    program.ask("enable 0")
    assert program.ask("report 1000") == ["-1"] and totals(program)[0] == -1
    assert program.ask(f"name {fd} x") == ["-1"] and program.ask(f"intend {fd}") == ["-1"]
    program.ask("enable 1")
    assert program.ask(f"name {fd} x") == ["0"]
    assert program.ask("report 30000") == ["1"]
    assert [s["name"] for s in program.snapshot()["sockets"]] == ["x"]


def test_a_report_that_nobody_waits_for(puppet, peer):
    program = puppet()
    ladder.connect(program, peer)
    assert program.ask("report 0") == ["0"]
    assert program.new_report("command")["totals"]["open"] == 1


def test_left_out_by_enabled(puppet, peer):
    program = puppet(options={"enabled": 0})
    fd = ladder.connect(program, peer).fd
    assert totals(program)[0] == -1
    for command in ("report 100", f"name {fd} x", f"intend {fd}"):
        assert program.ask(command) == ["-1"]


def test_a_name_ends_with_its_connection(puppet, peer):
    program = puppet()
    first = ladder.connect(program, peer)
    assert program.ask(f"name {first.fd} db-pool") == ["0"]
    copy = program.number(f"dup {first.fd}")
    program.ask(f"close {first.fd}")
    second = ladder.connect(program, peer)
    assert second.fd == first.fd
    names = {s["fd"]: s["name"] for s in program.report()["sockets"]}
    assert names == {copy: "db-pool", second.fd: None}
    assert [s["name"] for s in program.report()["sites"] if s["open"] == 2] == [None]
    assert program.ask(f"name {second.fd} db-pool") == ["0"]
    assert [s["name"] for s in program.report()["sites"] if s["open"] == 2] == ["db-pool"]
    assert program.ask(f"name {copy}") == ["0"]
    assert {s["fd"]: s["name"] for s in program.report()["sockets"]} == {copy: None, second.fd: "db-pool"}
    assert program.ask("name 999 x") == ["-1"] and program.ask("name -1 x") == ["-1"]
    unix = program.number("kind unix")
    assert program.ask(f"intend {unix}") == ["-1"]


@pytest.mark.parametrize("action", ["shutdown", "neutralize", "close"])
def test_what_is_intended_is_left_alone(puppet, peer, action):
    program = puppet(options=ladder.options(action))
    spared, other = ladder.connect(program, peer), ladder.connect(program, peer)
    copy = program.number(f"dup {spared.fd}")
    assert program.ask(f"intend {copy}") == ["0"]
    for leak in (spared, other):
        leak.far.shutdown(socket.SHUT_WR)
    program.event(ladder.TOP[action], fd=other.fd)
    fd = program.event("skipped", reason="intended")["fd"]
    assert fd in (spared.fd, copy)
    program.ask(f"write {spared.fd} 1")
    assert spared.far.recv(10) == bytes(1)
    # The number that a closed one had is another connection's.
    program.ask(f"close {spared.fd}")
    program.ask(f"close {copy}")
    next_one = ladder.leak(program, peer)
    assert next_one.fd in (spared.fd, copy)
    program.event(ladder.TOP[action], fd=next_one.fd)
    assert [event["fd"] for event in program.events("skipped") if event["reason"] == "intended"] == [fd]


def test_a_dozen_intended_are_no_leak(puppet, peer):
    program = puppet(options={"deadline": "300ms"})
    leaks = [ladder.leak(program, peer)]
    program.report_until(lambda s: s["totals"]["stuck"] == 1, "the first to be stuck")
    leaks += [ladder.leak(program, peer) for _ in range(11)]
    program.report_until(lambda s: s["verdict"] == "LEAK", "the verdict on 12 that are stuck")
    for leak in leaks:
        assert program.ask(f"intend {leak.fd}") == ["0"]
    found = program.report_until(lambda s: s["totals"]["stuck"] == 0, "none stuck")
    assert (found["verdict"], found["totals"]["close_wait"], found["totals"]["retracted"]) == ("OK", 12, 12)
    assert found["sites"][0]["intended"] == 12
