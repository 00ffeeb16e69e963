"""OpenMetrics: read by a checker of our own, written from the specification, by Prometheus' client and by promtool."""

import importlib.util
import re
import subprocess

import harness
import pytest
import snapshots

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"({NAME})\{{({LABEL}(?:,{LABEL})*)\}} (-?\d+(?:\.\d+)?)")
SUFFIX = {"counter": "_total", "info": "_info"}


def check(text):
    """{family: {labels: value}}, or an assertion. What the text format 1.0.0 demands of what we write."""
    assert text.endswith("# EOF\n") and text.count("# EOF") == 1 and "\r" not in text
    families, current = {}, None
    types, units, helps = {}, {}, {}
    for line in text.split("\n")[:-2]:
        if line.startswith("# "):
            _, what, name, rest = line.split(" ", 3)
            table = {"TYPE": types, "UNIT": units, "HELP": helps}[what]
            assert name not in table, f"{what} of {name} twice"
            assert what != "TYPE" or name not in families
            table[name] = rest
            if what == "TYPE":
                families[name], current = {}, name
            assert name == current, f"{what} of {name} within {current}"
            assert not families[name], f"{what} behind the samples of {name}"
            if what == "UNIT":
                assert name.endswith(f"_{rest}")
            continue
        match = SAMPLE.fullmatch(line)
        assert match, f"no sample: {line!r}"
        name, labels, value = match.groups()
        assert name == current + SUFFIX.get(types[current], ""), f"{name} within {current}"
        pairs = re.findall(LABEL, labels)
        keys = [pair.partition("=")[0] for pair in pairs]
        assert len(set(keys)) == len(keys)
        key = frozenset(pairs)
        assert key not in families[current], f"twice: {line}"
        families[current][key] = float(value)
        if types[current] == "counter":
            assert float(value) >= 0
        if types[current] == "stateset":
            assert current in keys and value in ("0", "1")
        if types[current] == "info":
            assert value == "1"
    assert set(families) == set(types) == set(helps)
    return families


def labelled(family, label):
    return {re.search(f'{label}="((?:[^"\\\\]|\\\\.)*)"', " ".join(labels))[1]: value
            for labels, value in family.items()}


SNAPSHOTS = [snapshots.incident(1500), snapshots.incident(1500, spread=20), snapshots.hostile()]


@pytest.mark.parametrize("snapshot", SNAPSHOTS, ids=["incident", "many sites", "hostile"])
def test_by_our_checker(snapshot):
    families = check(snapshots.render(snapshot, "openmetrics").decode())
    totals = snapshot["totals"]
    assert list(families["sockleak_stuck"].values()) == [totals["stuck"]]
    assert list(families["sockleak_tcp_opened"].values()) == [totals["opened"]]
    assert labelled(families["sockleak_tcp_sockets"], "state") == totals["by_state"]
    assert labelled(families["sockleak_verdict"], "sockleak_verdict")[snapshot["verdict"]] == 1
    assert sum(families["sockleak_verdict"].values()) == 1
    for family, whole in (("sockleak_peer_stuck", "stuck"), ("sockleak_site_open", "open"),
                          ("sockleak_site_close_wait", "close_wait")):
        assert sum(families[family].values()) == totals[whole], family
        assert len(families[family]) <= 11


def test_by_prometheus_client():
    if not importlib.util.find_spec("prometheus_client"):
        raise harness.Forbidden("no prometheus_client (Debian: python3-prometheus-client)")
    from prometheus_client.openmetrics.parser import text_string_to_metric_families
    for snapshot in SNAPSHOTS:
        text = snapshots.render(snapshot, "openmetrics").decode()
        families = {family.name: family for family in text_string_to_metric_families(text)}
        assert set(families) == set(check(text))
        assert families["sockleak_verdict"].type == "stateset"
        assert families["sockleak_process"].samples[0].labels["program"] == snapshot["process"]["name"].replace(
            "\u202e", "\\xe2\\x80\\xae")


def test_by_promtool(tmp_path):
    """`promtool check metrics` reads the older format only; what takes in OpenMetrics wants times in every sample."""
    promtool = harness.need_tool("promtool")
    for number, snapshot in enumerate(SNAPSHOTS):
        text = snapshots.render(snapshot, "openmetrics").decode()
        samples = sum(map(len, check(text).values()))
        file, blocks = tmp_path / f"metrics{number}", tmp_path / f"blocks{number}"
        file.write_text(re.sub(r"^(\w.*)$", r"\1 1795327387", text, flags=re.MULTILINE))
        done = subprocess.run([promtool, "tsdb", "create-blocks-from", "openmetrics", file, blocks],
                              capture_output=True, text=True, timeout=4 * harness.PATIENCE_S)
        assert done.returncode == 0, done.stdout + done.stderr
        listed = subprocess.run([promtool, "tsdb", "list", blocks], capture_output=True, text=True,
                                timeout=4 * harness.PATIENCE_S, check=True).stdout.splitlines()
        series = listed[0].split("  ")
        assert "NUM SERIES" in listed[0] and listed[1].split()[4] == str(samples), (series, listed)


def test_the_whole_host(puppet, peer):
    programs = [puppet(), puppet()]
    for program in programs:
        program.ask(f"connect 127.0.0.1 {peer.port}")
        peer.accept()[0].close()
    pids = {str(program.pid) for program in programs}

    def counted():
        families = check(snapshots.command("list", "--format", "openmetrics").decode())
        return {pid: n for pid, n in labelled(families["sockleak_close_wait"], "pid").items() if pid in pids}

    harness.wait_until(lambda: counted() == dict.fromkeys(pids, 1), "one CLOSE_WAIT of each")
    snapshots.command("list", "--format", "xml", code=2)
