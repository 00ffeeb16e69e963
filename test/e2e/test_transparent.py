"""Programs that tell everything they observe, with the library and without: not one word may differ.

A case of test/transparent/*.c runs alone, then under the library: reporting only, armed (all that an action needs is in
place and nothing is due), and switched off. What it told, its output and its end are compared. Where the library
was at work its own last report is held against the descriptors that the case itself found open.
"""

import functools
import json
import re
import struct
import subprocess
import tempfile

import harness
import pytest

RUNS = "first"  # takes minutes (scripts/check-all)

SOURCES = sorted(
    source
    for source in (harness.ROOT / "test" / "transparent").glob("*.c*")
    if not source.name.startswith("so_")
)
CASES = [
    (source.stem, name)
    for source in SOURCES
    for name in re.findall(r"\bCASE\((\w+)\)", source.read_text())
]
WATCHED = "detail=1 exit_report=1 interval=50ms json={0}/report.json report={0}/report.txt dir={0}/ctl"
VARIANTS = {
    "reporting": WATCHED + " deadline=100ms",
    "armed": WATCHED + " deadline=1h action=close probe=on rescue=on events={0}/events.jsonl",
    "off": "enabled=0",
}
PATIENCE_S = 60


class Outcome:
    """What one run showed."""

    def __init__(self, directory, done):
        path = directory / "told"
        data = path.read_bytes() if path.exists() else bytes(4)
        (used,) = struct.unpack_from("I", data)
        self.told = data[4 : 4 + used].decode(errors="backslashreplace").splitlines()
        self.status = done.returncode
        self.stdout = done.stdout
        lines = done.stderr.splitlines(keepends=True)
        self.stderr = "".join(line for line in lines if not line.startswith("sockleak"))
        self.said = [line for line in lines if line.startswith("sockleak")]

    def seen(self):
        return (self.told, self.status, self.stdout, self.stderr)

    def tcp_fds(self):
        """The TCP sockets that the case found open at its end; None: it ended otherwise."""
        last = self.told[-1] if self.told else ""
        if not last.startswith("open at the end:"):
            return None
        return {int(fd) for fd in re.findall(r" (\d+):tcp", last)}

    def connections(self):
        """How many TCP sockets these are: copies count once."""
        return len(re.findall(r" \d+:tcp(?!=)", self.told[-1]))


def run(program, case, directory, library):
    directory.mkdir()
    environment = []
    if library:
        settings = library.format(directory)
        environment = [f"LD_PRELOAD={harness.LIBRARY}", f"SOCKLEAK_OPTIONS={settings}"]
    argv = [harness.BUILD / "transparent" / program, case, directory / "told"]
    done = subprocess.run(
        ["env", *environment, *argv],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="backslashreplace",
        timeout=PATIENCE_S,
        check=False,
    )
    return Outcome(directory, done)


@functools.lru_cache(maxsize=None)
def alone(program, case):
    """The same case without the library, once for all variants."""
    with tempfile.TemporaryDirectory() as directory:
        outcome = run(program, case, harness.pathlib.Path(directory, "alone"), None)
    assert outcome.told, f"{program} {case} tells nothing: {outcome.stderr}"
    assert not outcome.said
    assert outcome.status not in (2, 3), outcome.stderr
    return outcome


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("program, case", CASES)
def test_nothing_differs(tmp_path, program, case, variant):
    without = alone(program, case)
    under = run(program, case, tmp_path / "under", VARIANTS[variant])
    assert under.seen() == without.seen(), under.said
    report = tmp_path / "under" / "report.json"
    if variant == "off":
        assert not under.said and sorted(p.name for p in report.parent.iterdir()) == ["told"]
    elif under.tcp_fds() or (under.tcp_fds() is not None and report.exists()):
        snapshot = json.loads(report.read_text())
        harness.check_snapshot(snapshot)
        assert {entry["fd"] for entry in snapshot["sockets"]} == under.tcp_fds()
        assert len({entry["cookie"] for entry in snapshot["sockets"]}) == under.connections()
        assert snapshot["totals"]["open"] == under.connections()
        assert snapshot["totals"]["dropped"] == 0


def test_there_are_cases():
    assert len(CASES) == len(set(CASES)) > 0
    for source in SOURCES:
        assert any(source.stem == program for program, _ in CASES), f"{source}: no case"
