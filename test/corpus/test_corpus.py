"""Programs that leak through real libraries against real servers, and programs that do not: what one report says of each,
by the default options. CORPUS_TABLE=write puts what was said into docs/diagnosis.md; else it must stand there."""

import os

import cases
import harness
import pytest
import results

DOCUMENT = harness.ROOT / "docs" / "diagnosis.md"
SAID = {}


@pytest.mark.parametrize("case", cases.CASES, ids=lambda case: case.name)
def test_case(case, runs):
    outcome = runs.outcome(case)
    SAID[case.name] = results.summary(case, outcome)
    found = results.differences(case, outcome)
    if case.fails and not found:
        pytest.fail(f"the report is right: take {case.fails!r} out of the row of {case.name}")
    if case.fails:
        pytest.xfail(f"{case.fails}: {'; '.join(found)}")
    assert not found, outcome


def test_the_corpus_is_large_enough():
    assert sum(case.is_guilty for case in cases.CASES) >= 16
    assert sum(not case.is_guilty for case in cases.CASES) >= 6
    assert len({case.source for case in cases.CASES}) == len({case.name for case in cases.CASES}) == len(cases.CASES)


def test_the_table_says_what_was_said():
    if len(SAID) < len(cases.CASES):
        pytest.skip("not all cases were run")
    document = DOCUMENT.read_text()
    fresh = results.with_table(document, results.table(SAID))
    if os.environ.get("CORPUS_TABLE") == "write":
        DOCUMENT.write_text(fresh)
    else:
        assert document == fresh, "docs/diagnosis.md: run `make corpus-table`"
