"""The rows as people read them, and as programs do."""

import dataclasses
import json

from budgets import BUDGETS

SCHEMA = "sockleak-bench/1"


def figure(value):
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}".rstrip("0").rstrip(".")


def outcome(row):
    """`30 at most: met`."""
    if row.met is None:
        return ""
    budget = BUDGETS[row.budget]
    return f"{'met' if row.met else 'MISSED'} ({'>=' if budget.is_least else '<='} {budget.limit:g})"


def spread(row):
    return "" if row.spread is None else f"{figure(row.spread[0])} .. {figure(row.spread[1])}"


def line(row):
    return (f"  {row.what[:66]:<66} {figure(row.value):>9} {row.unit[:22]:<22} {spread(row):>20}  {outcome(row)}"
            f"{'  ' if row.note else ''}{row.note}").rstrip()


def summary(rows):
    judged = [row for row in rows if row.met is not None]
    missed = [row for row in judged if not row.met]
    return f"{len(judged) - len(missed)} of {len(judged)} figures with a budget meet it" + "".join(
        f"\nMISSED: {row.group}: {row.what}: {figure(row.value)} {row.unit}, {outcome(row)}" for row in missed)


def write_json(path, rows, machine, plan):
    budgets = {name: dataclasses.asdict(budget) for name, budget in BUDGETS.items()}
    path.write_text(json.dumps({"schema": SCHEMA, "quick": plan.quick, "machine": machine, "budgets": budgets,
                                "rows": [dataclasses.asdict(row) for row in rows]}, indent=1) + "\n")


def markdown(rows, machine):
    """What stands between the marks of docs/performance.md."""
    virtual = ", a virtual machine" if machine["is_virtual"] else ""
    yield f"Measured on {machine['cpus']} processors of {machine['processor']}{virtual}, {machine['memory_gib']} GiB, {machine['system']},"
    yield f"Linux {machine['kernel']}, {machine['libc']}; {machine['compiler']}; {machine['java']}."
    yield f"Revision {machine['revision']}."
    yield ""
    yield "Times are of that machine and of no other; ratios, instructions, system calls and bytes travel better."
    for group in dict.fromkeys(row.group for row in rows):
        yield ""
        yield f"### {group[0].upper()}{group[1:]}"
        yield ""
        loads = sorted({row.load for row in rows if row.group == group})
        yield f"Load average when it began: {', '.join(map(str, loads))}."
        yield ""
        yield "| what | with the library | middle half | alone | floor | with | budget | |"
        yield "|---|---|---|---|---|---|---|---|"
        for row in rows:
            if row.group == group:
                cells = (row.what, f"{figure(row.value)} {row.unit}" if row.value is not None else "", spread(row), figure(row.alone), figure(row.floor),
                         figure(row.preloaded), outcome(row), row.note)
                yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
