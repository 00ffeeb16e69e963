"""What the corpus shows, as a table for docs/diagnosis.md.

usage: results.py [ROOT]     check that the table there has the rows, and the expectations, of cases.py

Nothing that changes from run to run stands in the table: no count, no time, no address of code.
"""

import pathlib
import re
import sys

import cases

BEGIN, END = "<!-- corpus: begin -->", "<!-- corpus: end -->"
HEAD = ["case", "program", "library", "server", "blame", "cause", "peer closes", "verdict", "the report said"]


def differences(case, outcome):
    """In what the report and the row differ, in words that stay the same from run to run."""
    found = []

    def compare(name, said, expected):
        found.extend(f"{name} {code(value)}" for value in said if value not in expected)
        if not said:
            found.append(f"no {name}")

    if not case.is_guilty and outcome.accused:
        found.append("called LEAK at times")
    compare("verdict", [outcome.verdict], [case.verdict])
    compare("process", [outcome.process], case.process)
    if case.verdict == "ok":
        return found
    compare("blame", outcome.blames, [case.blame_text])
    where = outcome.lead.get("WHERE", "")
    if not where.startswith(case.blame_text or "no frame of the application: thread"):
        found.append(f"WHERE {where}")
    compare("cause", outcome.causes, [case.cause])
    if case.cause == cases.EOF_IGNORED:
        compare("reader", outcome.readers, [case.reader_text])
    if case.death:
        compare("death", outcome.deaths, [case.death])
    if case.owner:
        compare("frames of", outcome.owners, [case.owner])
        compare("peer", outcome.peers, [case.peer])
        compare("thread", outcome.threads, [name for name in outcome.threads if name.startswith(case.thread)])
    if case.idle and not 900 * case.idle[0] <= (outcome.idle_ms or 0) <= case.idle[1]:
        found.append("idle for " + ("?" if outcome.idle_ms is None else f"{outcome.idle_ms / 1000:.0f} s"))
    return found


def code(value):
    """As it stands in a cell."""
    if value is None:
        return "none"
    return "`" + re.sub(r"0x[0-9a-f]+", "0x...", str(value)) + "`"


def expected_cells(case):
    """All of a row but what the report said."""
    blame = code(case.blame_text) if case.blame else f"none of its own, {case.owner}" if case.owner else "-"
    process = "" if case.verdict == "ok" else f", {' or '.join(case.process)}"
    verdict = f"{case.verdict}{process}"
    cause = case.cause or "-"
    if case.reader:
        cause += f", by {code(case.reader_text)}"
    if case.death:
        cause += f", {case.death}"
    idle = f"after {case.idle[0]} s idle" if case.idle and case.verdict != "ok" else "-"
    program = f"`{case.path.relative_to(cases.HERE)}`"
    return [case.name, program, case.library, case.server, blame, cause, idle, verdict]


def row(case, said):
    return "| " + " | ".join([*expected_cells(case), said]) + " |"


def table(said):
    """The table of what was said, by case."""
    lines = [f"| {' | '.join(HEAD)} |", "|" + "---|" * len(HEAD)]
    lines += [row(case, said[case.name]) for case in cases.CASES]
    return "\n".join(lines)


def summary(case, outcome):
    return "; ".join(differences(case, outcome)) or "the same"


def parts(document):
    """What stands before the table, it, and what stands behind it."""
    before, rest = document.split(BEGIN + "\n")
    inside, behind = rest.split("\n" + END)
    return before, inside, behind


def with_table(document, text):
    before, _, behind = parts(document)
    return f"{before}{BEGIN}\n{text}\n{END}{behind}"


def offences(document):
    """Rows that are not those of cases.py."""
    lines = parts(document)[1].splitlines()[2:]
    known = {line.split(" | ")[0].removeprefix("| "): line for line in lines}
    for case in cases.CASES:
        line = known.pop(case.name, "")
        if not line.startswith(row(case, "").removesuffix(" |").rstrip()):
            yield f"docs/diagnosis.md: the row of {case.name} is not what test/corpus/cases.py expects: run `make corpus-table`"
    for name in known:
        yield f"docs/diagnosis.md: {name}: no such case"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else cases.HERE.parents[1])
    found = list(offences((root / "docs" / "diagnosis.md").read_text()))
    print("\n".join(found) or f"corpus: {len(cases.CASES)} rows are as expected of the cases")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
