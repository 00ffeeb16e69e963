"""Live connections at full speed beside leaks, with a ladder that is far too eager: nothing live is ever touched."""

import harness
import ladder
import pytest

RUNS = "alone"  # takes all processors, and counts what it gets done (scripts/check-all)
WAYS = "both"

SECONDS = 5


@pytest.mark.parametrize("action", ["shutdown", "neutralize", "close"])
def test_torture(start, action):
    """With action=close no leaked number is touched again: a late close is then the program's own danger."""
    options = {"deadline": "100ms", "interval": "50ms", "grace": "100ms", "max_rate": 0, "detail": 0}
    argv = [harness.victim("torture"), SECONDS, "never" if action == "close" else "late"]
    program = start(argv, options=ladder.options(action, **options), nofile=harness.hard_nofile())
    program.ready()
    line = program.line(patience_s=60)
    assert line is not None, (program.wait(), program.stderr())
    words = line.split()
    assert words[0] == "ok", line
    numbers = dict(zip(words[1::2], map(int, words[2::2])))
    totals = program.report()["totals"]
    assert numbers["rounds"] > 500 and numbers["leaked"] > 500
    assert numbers["excused"] * 20 < numbers["rounds"], "the machine was too slow to show anything"
    assert totals["regretted"] <= numbers["excused"] and totals["dropped"] == 0
    done = totals["reclaimed"]
    assert done["shutdown"] > 20
    assert (done["neutralized"] > 0) == (action != "shutdown")
    assert (done["closed"] > 0) == (action == "close")
    assert program.report()["reclaim"]["stopped"] is False
    assert program.end() == 0
