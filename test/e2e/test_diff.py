"""sockleak diff, and every format of report, as one would use them."""

import json

import cli
import harness
import pytest
import snapshots


@pytest.fixture
def pair(tmp_path):
    before, after = snapshots.incident(800), snapshots.incident(1500)
    before["taken_at"] = "2026-11-22T05:33:07Z"
    (tmp_path / "a.json").write_text(json.dumps(before))
    (tmp_path / "b.json").write_text(json.dumps(after))
    return tmp_path / "a.json", tmp_path / "b.json"


def test_growth(pair):
    text = snapshots.command("diff", *pair).decode()
    before, after = (json.loads(file.read_text()) for file in pair)
    assert "30min later. The same process." in text
    growth = after["totals"]["stuck"] - before["totals"]["stuck"]
    totals = [line.split() for line in text.splitlines() if line.startswith("  stuck ")][0]
    assert totals[1:4] == [str(before["totals"]["stuck"]), str(after["totals"]["stuck"]), f"+{growth}"]
    sites = text.partition("SITES")[2].partition("PEERS")[0].splitlines()
    assert sites[2].endswith("grew  com.acme.scribe.upload.StorageGateway.put(StorageGateway.java:118)")
    assert "grew  172.21.191.100:8080" in text
    parsed = json.loads(snapshots.command("diff", "--json", *pair))
    assert parsed["schema"] == "sockleak-diff/1" and parsed["same_process"] and parsed["elapsed_ms"] == 1_800_000
    assert parsed["totals"]["stuck"]["growth"] == growth
    grown = [row["stuck"]["growth"] for row in parsed["sites"]]
    assert grown == sorted(grown, reverse=True) and sum(grown) == growth


def test_stdin_is_one_of_them(pair):
    assert b"later" in snapshots.command("diff", pair[0], "-", stdin=pair[1].read_bytes())
    snapshots.command("diff", "-", "-", code=2)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema":"sockleak-snapshot/9"}', b'{"schema":"other/1"}',
                                     b"\xff\xfe"])
def test_what_is_no_snapshot_is_refused(pair, content):
    pair[1].write_bytes(content)
    assert snapshots.command("diff", *pair, code=2) == b""
    assert snapshots.command("diff", *reversed(pair), code=2) == b""


def test_usage(pair, tmp_path):
    snapshots.command("diff", pair[0], code=2)
    snapshots.command("diff", *pair, pair[0], code=2)
    snapshots.command("diff", pair[0], tmp_path / "missing.json", code=2)


FORMATS = ["text", "short", "json", "html", "folded", "pprof", "openmetrics"]


def test_fifteen_thousand_sockets(tmp_path):
    """That they render, whatever the time on a loaded machine: that is a matter of measurement."""
    (tmp_path / "big.json").write_text(json.dumps(snapshots.incident(15000, check=False)))
    for form in FORMATS:
        assert snapshots.command("report", "--format", form, "-o", tmp_path / form, tmp_path / "big.json") == b""
        size = (tmp_path / form).stat().st_size
        assert size > 500 and (form == "json" or size < 500_000), (form, size)


def test_value_chooses_the_connections(tmp_path):
    path = tmp_path / "snapshot.json"
    snapshot = snapshots.incident(200, check=False)
    path.write_text(json.dumps(snapshot))
    for value in ("stuck", "close_wait", "open"):
        folded = cli.output("report", path, "--format", "folded", "--value", value)
        assert sum(int(line.rpartition(" ")[2]) for line in folded.splitlines()) == snapshot["totals"][value]
        page = cli.output("report", path, "--format", "html", "--value", value)
        assert f'aria-pressed="true">{"CLOSE_WAIT" if value == "close_wait" else value} <b>' in page
    assert cli.output("report", path, "--format", "folded") == cli.output("report", path, "-f", "folded", "--value=stuck")
    said = cli.refusal("report", path, "--value=open", code=cli.USAGE)
    assert "--value is for html, folded and pprof; text shows every count" in said
    assert "no value 'all': stuck|close_wait|open|auto" in cli.refusal("report", path, "--value=all", code=cli.USAGE)


def test_a_live_process_in_every_format(puppet, peer, tmp_path):
    program = puppet(options={"deadline": "100ms", "detail": 1})
    cli.leak(program, peer, 12)
    cli.judged(program)
    program.report()
    program.json_path.unlink()
    for form in FORMATS:
        shown = snapshots.command("report", "--format", form, program.pid)
        assert shown, form
        if form == "folded":
            stacks = [line.rpartition(b" ") for line in shown.splitlines()]
            assert sum(int(count) for _, _, count in stacks) == 12
            assert all(stack.startswith(b"puppet;") for stack, _, _ in stacks)
        if form == "html":
            assert b"<strong>LEAK</strong>" in shown and f"127.0.0.1:{peer.port}".encode() in shown
        if form == "openmetrics":
            assert f'sockleak_stuck{{program="puppet",pid="{program.pid}"}} 12\n'.encode() in shown
