"""Native code: which module, which offset, which function, which threads."""

import re
import subprocess

import harness
import pytest

COUNT = 20


@pytest.fixture
def snapshot(start, peer):
    program = start([harness.victim("blame"), peer.port, COUNT])
    program.ready()
    for _ in range(3 * COUNT - 3):
        peer.accept()[0].close()
    return program.report_until(
        lambda s: s["totals"]["stuck"] == 3 * COUNT - 3, "every connection to be stuck"
    )


def symbols():
    """{name: (first, behind)} of the victim's functions, from its symbol table."""
    nm = harness.need_tool("nm")
    done = subprocess.run(
        [nm, "-S", harness.victim("blame")], capture_output=True, text=True, check=True
    )
    table = {}
    for line in done.stdout.splitlines():
        words = line.split()
        if len(words) == 4 and words[2] in "Tt":
            table[words[3]] = (int(words[0], 16), int(words[0], 16) + int(words[1], 16))
    return table


def blamed(site):
    """The frame that the blame speaks of, by its offset."""
    match = re.fullmatch(r"blame\+0x([0-9a-f]+)", site["blame"])
    assert match, site["blame"]
    (frame,) = [
        f for f in site["frames"] if f["offset"] == int(match[1], 16) and f["role"] == "application"
    ]
    return frame


def test_each_leak_is_blamed_on_its_own_function(snapshot):
    """Worst first: 20 in an exported function, 19 in a static one, 18 on another thread."""
    table = symbols()
    places = ("blame_leak", "hidden_leak", "blame_leak_elsewhere")
    sites = [site for site in snapshot["sites"] if site["stuck"]]
    assert [site["stuck"] for site in sites] == [COUNT, COUNT - 1, COUNT - 2]
    for site, function in zip(sites, places):
        frame = blamed(site)
        first, behind = table[function]
        assert first <= frame["offset"] < behind, (site["blame"], function)
        assert frame["module"] == harness.victim("blame")
        assert site["kind"] == "native"
        assert site["verdict"] in ("leak", "burst"), "all at once: which of them, the time tells"
        assert site["opened"] == site["open"] == site["close_wait"] == site["stuck"]


def test_frames_are_named_where_the_module_exports_a_name(snapshot):
    sites = [site for site in snapshot["sites"] if site["stuck"]]
    assert blamed(sites[0])["function"] == "blame_leak"
    # A static function has no name that can be found in the process.
    assert blamed(sites[1])["function"] is None
    assert blamed(sites[2])["function"] == "blame_leak_elsewhere"
    functions = [frame["function"] for frame in sites[0]["frames"]]
    at = functions.index("blame_leak")
    assert functions[at + 1 : at + 3] == ["blame_handle_request", "main"]
    roles = {f["module"].rsplit("/")[-1]: f["role"] for f in sites[0]["frames"] if f["module"]}
    assert roles["libc.so.6"] == "runtime"
    assert "libsockleak.so" not in roles, "our own frames are no part of anybody's stack"


def test_build_ids_are_the_files(snapshot):
    readelf = harness.need_tool("readelf")
    done = subprocess.run(
        [readelf, "-n", harness.victim("blame")], capture_output=True, text=True, check=True
    )
    build_id = re.search(r"Build ID: ([0-9a-f]+)", done.stdout)
    site = snapshot["sites"][0]
    assert blamed(site)["build_id"] == (build_id and build_id[1])


def test_threads_are_named(snapshot):
    sites = [site for site in snapshot["sites"] if site["stuck"]]
    assert (sites[0]["threads"], sites[0]["thread_count"]) == (["blame"], 1)
    assert (sites[2]["threads"], sites[2]["thread_count"]) == (["other-thread"], 1)


@pytest.mark.parametrize("options", [{"stacks": "none"}, {"depth": 1}], ids=["none", "depth"])
def test_fewer_stacks(start, peer, options):
    program = start([harness.victim("blame"), peer.port, 5], options=options)
    program.ready()
    sites = [site for site in program.report()["sites"] if site["open"]]
    for site in sites:
        assert len(site["frames"]) <= options.get("depth", 0)
        assert options != {"stacks": "none"} or site["blame"] is None
    assert sum(site["open"] for site in sites) == 12
    assert program.end() == 0
