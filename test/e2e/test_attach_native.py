"""`sockleak attach` on programs of glibc at work: a hundred visits harm nothing, and what leaks is named and ended without a restart."""

import json
import statistics

import cli
import harness
import pytest
from test_inject_harm import assert_left_alone, at_work, finish  # noqa: F401
from test_power import NOTHING, leak, traces

RUNS = "alone"  # busy threads, and what they get done meanwhile (scripts/check-all)

VISITS = 100
OPTIONS = "deadline=1s interval=250ms grace=100ms probe=off"


@pytest.mark.parametrize("way", ["registers", "wakeups", "signals", "crowd 64"])
def test_a_hundred_visits(at_work, way):  # noqa: F811
    program = at_work(*way.split())
    held = []
    memory = []
    for _ in range(VISITS):
        done = json.loads(cli.output("attach", "--json", program.pid))
        assert (done["result"], done["way"], done["answers"]) == ("attached", "ptrace", True)
        held.append(done["held_us"])
        cli.output("detach", program.pid)
        memory.append(inject_rss_kib(program.pid))
    print(f"{way}: held for {statistics.median(held) / 1000:.2f} ms, at worst {max(held) / 1000:.2f} ms")
    assert_left_alone(program)
    harness.wait_until(lambda: traces(program)[0] == 0, "our threads to be gone")
    # What the first visits need is kept for the next ones, and no more is taken.
    assert memory[-1] - memory[VISITS // 2] < 256, memory
    assert finish(program) > 0


def inject_rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon"))


def test_the_leak_is_named_and_ended_without_a_restart(start, peer):
    program = start("puppet", library=False)
    program.ready()
    before = leak(program, peer, 12)
    assert f"sockleak attach {program.pid}" in cli.output("report", program.pid)
    text = cli.output("attach", "-o", OPTIONS, program.pid)
    assert text.startswith(f"attached to puppet, pid {program.pid}, in ") and " was held for " in text
    after = leak(program, peer, 15)
    found = {}

    def is_leak():
        found.update(cli.parsed("report", program.pid))
        if found["verdict"] != "LEAK" and found["totals"]["stuck"] >= len(before + after):
            leak(program, peer, 1)  # one after the other, beside those that lie there
        return found["verdict"] == "LEAK"

    harness.wait_until(is_leak, lambda: f"the verdict; {found.get('verdict')} {found.get('totals')}")
    seen = [site for site in found["sites"] if not site["unseen"] and site["stuck"]]
    adopted = [site for site in found["sites"] if site["unseen"] == "opened before attach"]
    assert [site["stuck"] for site in adopted] == [12]
    # The line, by the debug information that the command reads.
    assert {site["blame"].split(" ")[0] for site in seen} == {"do_connect"}
    assert "commands.h:" in seen[0]["blame"]
    stuck = found["totals"]["stuck"]
    cli.output("set", program.pid, "action=shutdown", "max_rate=0")

    def are_ended():
        found.update(cli.parsed("report", program.pid))
        return found["totals"]["reclaimed"]["shutdown"] >= stuck

    harness.wait_until(are_ended, lambda: f"all to be shut down; {found['totals']['reclaimed']}")
    assert all(program.ask(f"read {fd}") == ["0"] for fd in before)


def test_a_process_without_a_socket_is_left_as_it_was(start):
    program = start("puppet", library=False)
    program.ready()
    cli.output("attach", program.pid)
    report = cli.parsed("report", program.pid)
    assert (report["mode"], report["totals"]["opened"]) == ("attach", 0)
    cli.output("detach", program.pid)
    harness.wait_until(lambda: traces(program) == NOTHING, lambda: traces(program))
