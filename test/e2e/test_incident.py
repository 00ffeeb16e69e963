"""The incident: a program that never closes. Every number of the report is what the kernel says."""

import collections

import harness
import pytest

RUNS = "alone"  # the kernel's list of sockets must come within its 100 ms (scripts/check-all)

PLACES = ("127.0.0.1", "127.0.0.2", "127.0.0.3")

# For each place: opened by the victim, closed by the peer.
SMALL = ((40, 30), (25, 25), (12, 0))
# 12,719 CLOSE_WAIT and 2,037 ESTABLISHED, as on the day.
FULL = ((12900, 11641), (1608, 1078), (248, 0))


def kernel_view(sockets):
    """What ss says, in the report's own words."""
    states = collections.Counter(state for state, _, _ in sockets)
    peers = collections.defaultdict(collections.Counter)
    for state, _, far in sockets:
        peers[far][state] += 1
    return dict(states), peers


def run_incident(start, networks, numbers):
    network = networks()
    opened = [n for n, _ in numbers]
    closed = [n for _, n in numbers]
    needed = sum(opened) + 100
    if needed > harness.hard_nofile():
        raise harness.Forbidden(f"{needed} open files; the hard limit is {harness.hard_nofile()}")

    other_side = start([harness.victim("peer"), *PLACES], library=False, network=network)
    ports = other_side.ready()
    triples = [w for triple in zip(PLACES, ports, map(str, opened)) for w in triple]
    victim = start(
        [harness.victim("closewait"), *triples],
        network=network,
        nofile=harness.hard_nofile() if needed > 1000 else None,
        options={"max_output": "1000m"},  # with every socket listed, a report has megabytes
    )
    victim.ready()
    for place, count in enumerate(closed):
        other_side.ask(f"close {place} {count}")

    def sockets_when_closed():
        sockets = harness.ss_sockets(victim.pid, network)
        done = sum(state == "CLOSE_WAIT" for state, _, _ in sockets) == sum(closed)
        return sockets if done else None

    harness.wait_until(sockets_when_closed, "the kernel to see every FIN")
    snapshot = victim.report_until(
        lambda s: s["totals"]["stuck"] >= sum(closed)
        and (s["verdict"] == "LEAK" or sum(closed) < 1000)
        and all(p["ports"]["exact"] for p in s["peers"]),  # the kernel's list came in time
        "every CLOSE_WAIT to be stuck, and every port to be counted",
    )
    sockets = harness.ss_sockets(victim.pid, network)
    return network, victim, snapshot, sockets, dict(zip(PLACES, map(int, ports)))


@pytest.mark.parametrize("numbers", [SMALL, FULL], ids=["small", "full"])
def test_every_number_is_what_ss_says(start, networks, numbers):
    network, victim, snapshot, sockets, ports = run_incident(start, networks, numbers)
    states, by_peer = kernel_view(sockets)
    totals = snapshot["totals"]
    opened = sum(n for n, _ in numbers)
    closed = sum(n for _, n in numbers)

    assert states == {"CLOSE_WAIT": closed, "ESTABLISHED": opened - closed}
    assert {k: n for k, n in totals["by_state"].items() if n} == states
    assert totals["open"] == len(sockets) == opened
    assert totals["opened"] == opened
    assert totals["closed"] == 0
    assert totals["close_wait"] == totals["stuck"] == closed
    assert totals["adopted"] == totals["dropped"] == totals["retracted"] == 0
    # All at once: only so many cannot be a pool's.
    assert snapshot["verdict"] == ("LEAK" if closed > 1000 else "BURST")
    assert snapshot["trigger"] == "signal"
    assert snapshot["mode"] == "preload"

    assert len(snapshot["peers"]) == len(PLACES)
    for entry in snapshot["peers"]:
        seen = by_peer[f"{entry['address']}:{entry['port']}"]
        assert entry["port"] == ports[entry["address"]]
        assert entry["direction"] == "out"
        assert entry["open"] == sum(seen.values())
        assert entry["established"] == seen["ESTABLISHED"]
        assert entry["close_wait"] == entry["stuck"] == seen["CLOSE_WAIT"]

    assert sum(site["open"] for site in snapshot["sites"]) == opened
    assert sum(site["stuck"] for site in snapshot["sites"]) == closed
    assert harness.sum_causes(snapshot) == {"never-looked": closed}

    listed = collections.Counter((s["state"], s["local"], s["peer"]) for s in snapshot["sockets"])
    assert listed == collections.Counter(sockets)
    assert len({s["cookie"] for s in snapshot["sockets"]}) == opened

    check_limits(victim, snapshot, network)
    check_text(victim, snapshot)
    assert victim.ask("nop") == []
    assert victim.end() == 0


def check_limits(victim, snapshot, network):
    """The limits are those of /proc."""
    limits = snapshot["limits"]
    with open(f"/proc/{victim.pid}/limits", encoding="ascii") as file:
        soft = next(line.split()[3] for line in file if line.startswith("Max open files"))
    low, high = network.port_range()
    assert limits["nofile_soft"] == int(soft)
    assert (limits["port_low"], limits["port_high"]) == (low, high)
    assert limits["nofile_used"] >= snapshot["totals"]["open"] + 3
    for entry in snapshot["peers"]:
        assert entry["ports"]["exact"] and entry["ports"]["used"] == entry["ports"]["held"] == entry["open"]
        assert entry["ports_left"] == high - low + 1 - limits["ports_taken"] - entry["open"]


def check_text(victim, snapshot):
    """The eight lines, their labels in order, and the same numbers."""
    totals = snapshot["totals"]
    lines = victim.full_reports("signal")[-1]
    assert all(len(line) <= 100 for line in lines)
    at = next(i for i, line in enumerate(lines) if line.startswith(snapshot["verdict"]))
    assert f"{totals['stuck']} of {totals['close_wait']} CLOSE_WAIT stuck" in lines[at]
    labels = [line.split("  ")[0] for line in lines[at + 1 : at + 8]]
    assert labels == ["WHERE", "TO", "RUNS OUT", "DONE", "NOT SEEN", "NOW", "FIX"]
    rest = [line.split() for line in lines[at + 8 :]]
    for state, count in totals["by_state"].items():
        if count:
            assert any(state in words and str(count) in words for words in rest), state
    for entry in snapshot["peers"]:
        name = f"{entry['address']}:{entry['port']}"
        row = next(words for words in rest if name in words)
        for key in ("open", "close_wait", "stuck"):
            assert str(entry[key]) in row, (key, row)
