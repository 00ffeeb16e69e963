"""The benchmarks' own arithmetic, and what they refuse; nothing is measured here."""

import json
import subprocess
import sys

import harness
import pytest

sys.path.append(str(harness.ROOT / "test" / "bench"))

import budgets  # noqa: E402
import growth  # noqa: E402
import rig  # noqa: E402
import table  # noqa: E402


def test_unknown_group_is_refused():
    done = subprocess.run([harness.ROOT / "scripts" / "bench", "sweep"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("bench: error: no group 'sweep': data_path, ")


def test_each_round_runs_all_in_another_order():
    order = []
    names = ("alone", "floor", "with")
    series = rig.interleave({name: lambda name=name: order.append(name) or len(order) for name in names}, 3)
    assert order == [*names, "floor", "with", "alone", "with", "alone", "floor"]
    assert series == {"alone": [1, 6, 8], "floor": [2, 4, 9], "with": [3, 5, 7]}


def test_differences_and_ratios_are_of_pairs():
    series = {"alone": [100, 200, 400], "with": [101, 203, 402]}
    row = rig.difference("g", "w", "µs", series, scale=1e-3)
    assert row.value == pytest.approx(0.002)
    assert (row.alone, row.preloaded) == (pytest.approx(0.2), pytest.approx(0.203))
    assert rig.ratio("g", "w", "x/s", series).value == pytest.approx(1.01)
    assert rig.slope([(1, 5), (2, 7), (3, 9)]) == (pytest.approx(2), pytest.approx(3))


def test_budgets_say_met_or_missed():
    rows = [rig.Row("g", "w", "ratio", value, budget=name) for name, value in
            (("throughput", 0.99), ("throughput", 0.98), ("tracked", 30), ("tracked", 31))] + [rig.Row("g", "w", "ns", 1)]
    budgets.judge(rows)
    assert [row.met for row in rows] == [True, False, True, False, None]
    assert [table.outcome(row) for row in rows[:2]] == ["met (>= 0.99)", "MISSED (>= 0.99)"]
    assert table.summary(rows).splitlines()[0] == "2 of 4 figures with a budget meet it"


def test_growth_is_told_in_the_units_of_its_figure():
    [law] = growth.laws([rig.Row("sweep", "for each socket, idle", "ns", 584.0)])
    assert law[3] == "584 ms, 12 % of a core at the default 5 s"


def test_json_holds_rows_and_budgets(tmp_path):
    row = rig.Row("sweep", "a", "ns", 1.5, (1, 2), budget="sweep", measurement="sweeps", load=0.5)
    table.write_json(tmp_path / "bench.json", [row], {"processor": "x"}, rig.Plan(quick=True))
    written = json.loads((tmp_path / "bench.json").read_text())
    assert written["schema"] == "sockleak-bench/1" and written["quick"] is True
    assert rig.Row(**written["rows"][0]).value == 1.5
    assert written["budgets"]["tracked"]["limit"] == 30
