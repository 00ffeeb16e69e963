"""The library in a process that ran before it: its doors in each object's table of addresses, and the way out again."""

import json
import pathlib
import shutil
import subprocess
import time

import control
import harness
import pytest
from test_power import NOTHING, leak, traces

PLAIN = "late_doors"
KINDS = [PLAIN, "late_doors_lazy", "late_doors_now", "late_doors_fixed", "late_doors_noplt"]
OPENER = harness.victim("so_late_open.so")


@pytest.fixture
def late(start, tmp_path):
    """A program that is not attached to yet: (program, its options)."""

    def start_late(kind=PLAIN, **options):
        folder = tmp_path / "program1"
        text = harness.options_text(folder, options)
        program = start(kind, library=False, env={"ATTACH_OPTIONS": text})
        program.ready()
        return program

    return start_late


def attach(program):
    """The result of the call; errno must be as it was."""
    result, is_kept = program.ask(f"attach {harness.LIBRARY}")
    assert is_kept == "1"
    return int(result)


def where(program):
    path = pathlib.Path(program.directory, "ctl", f"{control.name_of(program.pid)}.sock")
    harness.wait_until(path.exists, f"{path}; stderr: {program.stderr()}")
    return str(path)


def detach(program, words=""):
    answer = json.loads(control.ask(where(program), f"detach{words}"))
    harness.wait_until(lambda: traces(program) == NOTHING, lambda: f"nothing of ours: {traces(program)}")
    return answer


def sites_of(snapshot):
    """{why there is no stack, or the object of the line that is blamed: how many are open}"""
    return {s["unseen"] or object_of(s): s["open"] for s in snapshot["sites"] if s["open"]}


def object_of(site):
    return pathlib.Path(site["frames"][site["blame_frame"]]["module"]).name


@pytest.fixture(autouse=True)
def attached(monkeypatch):
    monkeypatch.setattr(harness, "WAY", "attach")


@pytest.mark.parametrize("kind", KINDS)
def test_what_opens_from_now_on_is_seen(late, peer, kind):
    program = late(kind)
    before = leak(program, peer, 3)
    assert traces(program) == NOTHING
    assert attach(program) == 0
    assert attach(program) == 1, "already"
    seen = leak(program, peer, 2)
    snapshot = program.report_until(lambda s: s["totals"]["close_wait"] == 5, "5 CLOSE_WAIT")
    assert sites_of(snapshot) == {"opened before attach": 3, kind: 2}
    assert snapshot["totals"]["adopted"] == 3 and snapshot["totals"]["dropped"] == 0
    adopted = [s for s in snapshot["sockets"] if s["fd"] in before]
    assert {s["peer"] for s in adopted} == {f"127.0.0.1:{peer.port}"}
    assert {s["direction"] for s in adopted} == {"out"}
    # By each way that the program has: a call, and the address of the function, which may be one of its own.
    program.ask(f"closeby {seen[0]}")
    program.ask(f"close {before[0]}")
    totals = program.report()["totals"]
    assert (totals["open"], totals["closed"]) == (3, 2)


def test_since_when_the_peer_has_closed_is_the_kernels_to_say(late, peer):
    """Of a connection that was not looked at before: not since it was adopted."""
    program = late()
    leak(program, peer, 3)
    closed = time.monotonic()
    harness.wait_until(lambda: time.monotonic() - closed > 1.5, "some time to pass")
    attach(program)
    attached = time.monotonic()
    snapshot = program.report_until(lambda s: s["totals"]["close_wait"] == 3, "3 CLOSE_WAIT")
    for entry in snapshot["sockets"]:
        # The kernel counts in ticks, of 10 ms at most.
        assert entry["close_wait_ms"] >= (attached - closed) * 1000 - 20, entry
        assert entry["close_wait_ms"] <= (time.monotonic() - closed) * 1000 + 1000, entry


@pytest.mark.parametrize("kind", KINDS)
def test_detached_nothing_of_ours_is_left(late, peer, kind):
    program = late(kind)
    attach(program)
    leak(program, peer, 2)
    program.report_until(lambda s: s["totals"]["close_wait"] == 2, "2 CLOSE_WAIT")
    done = detach(program)
    assert done["detached"] and done["entries"] >= 8 and done["objects"] >= 1
    assert (done["unwritable"], done["ended"]) == (0, 0)
    assert not pathlib.Path(program.directory, "ctl", f"{control.name_of(program.pid)}.sock").exists()
    # Taken and given back are the same entries, each time.
    for _ in range(3):
        assert attach(program) == 0
        assert detach(program)["entries"] == done["entries"]


def test_what_happened_meanwhile_is_not_mistaken(late, peer):
    program = late()
    attach(program)
    gone, replaced, kept = leak(program, peer, 3)
    program.report_until(lambda s: s["totals"]["close_wait"] == 3, "3 CLOSE_WAIT")
    detach(program)
    program.ask(f"close {gone}")
    program.ask(f"close {replaced}")
    (same_number,) = leak(program, peer, 1)
    assert same_number == gone
    (second,) = leak(program, peer, 1)
    assert second == replaced
    attach(program)
    snapshot = program.report_until(lambda s: s["totals"]["close_wait"] == 3, "3 CLOSE_WAIT")
    # The one that stayed is known by its cookie, with its line; the numbers that others have now are not.
    assert sites_of(snapshot) == {"opened before attach": 2, PLAIN: 1}
    by_fd = {s["fd"]: s["site"] for s in snapshot["sockets"]}
    unseen = {s["id"]: s["unseen"] for s in snapshot["sites"]}
    assert unseen[by_fd[kept]] is None
    assert unseen[by_fd[same_number]] == unseen[by_fd[second]] == "opened before attach"


def test_objects_that_are_loaded_later(late, peer, tmp_path):
    opener = tmp_path / "opener.so"
    shutil.copy(OPENER, opener)
    (tmp_path / "by_name").mkdir()
    shutil.copy(OPENER, tmp_path / "by_name" / "so_found_by_name.so")
    program = late()
    attach(program)
    assert program.ask("nop") == []
    program.ask(f"load {opener}")
    # At once: its first call is seen.
    program.number(f"by {opener} {peer.port}")
    peer.accept()[0].close()
    snapshot = program.report_until(lambda s: s["totals"]["close_wait"] == 1, "1 CLOSE_WAIT")
    assert sites_of(snapshot) == {opener.name: 1}
    # By a name that only the opener's own search path leads to: the loader must see that it is the opener who asks.
    assert program.ask(f"its {opener} so_found_by_name.so") == ["1"]
    assert program.ask(f"its {opener} so_nowhere.so") == ["0"]
    found = tmp_path / "by_name" / "so_found_by_name.so"
    with open(f"/proc/{program.pid}/maps", encoding="ascii") as maps:
        assert str(found) in maps.read()

    def is_seen():
        fd = program.number(f"by {found} {peer.port}")
        peer.accept()[0].close()
        return {s["fd"]: s["site"] for s in program.report()["sockets"]}[fd] > 2

    harness.wait_until(is_seen, "the object that was loaded behind our back to be taken")


def test_objects_come_and_go_while_we_do(late, peer, tmp_path):
    one, other = (shutil.copy(OPENER, tmp_path / f"churned{i}.so") for i in range(2))
    program = late()
    program.ask(f"churn {one} {other}")
    for _ in range(60):
        assert attach(program) == 0
        detach(program)
    assert int(program.ask("still")[0]) > 1000
    attach(program)
    leak(program, peer, 1)
    assert sites_of(program.report_until(lambda s: s["totals"]["open"] == 1, "1 open")) == {PLAIN: 1}


@pytest.mark.parametrize("action", ["shutdown", "neutralize", "close"])
def test_it_stays_while_it_keeps_harm_from_the_program(late, peer, action):
    program = late(action=action, grace="100ms", probe="off")
    attach(program)
    (fd,) = leak(program, peer, 1)
    done = {"shutdown": "shutdown", "neutralize": "neutralized", "close": "closed"}[action]
    program.report_until(lambda s: s["totals"]["reclaimed"][done] == 1, action)
    with pytest.raises(control.Refused) as refused:
        control.ask(where(program), "detach")
    assert refused.value.args[0] == "value" and "1 connection" in refused.value.args[1]
    assert program.ask(f"close {fd}") == ["0"]
    # The program has closed it: there is nothing more to keep.
    assert detach(program)["ended"] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_functions_in_a_table(late, peer, kind):
    """A program that keeps the addresses of functions in data calls them past the table that the loader fills."""
    program = late(kind)
    attach(program)
    for _ in range(2):
        program.number(f"table {peer.port}")
        peer.accept()[0].close()
        snapshot = program.report_until(lambda s: s["totals"]["close_wait"] == 1, "1 CLOSE_WAIT")
        assert sites_of(snapshot) == {kind: 1} and snapshot["totals"]["adopted"] == 0
        program.ask(f"close {snapshot['sockets'][0]['fd']}")
        detach(program)
        attach(program)


def test_tables_that_another_tool_has_opened(late, peer):
    """RELRO pages that are writable for good are told from those of an object that is being loaded: by time."""
    program = late("late_doors_now")
    program.ask("unprotect")
    attach(program)

    def is_seen():
        (fd,) = leak(program, peer, 1)
        return {s["fd"]: s["site"] for s in program.report()["sockets"]}[fd] > 2

    harness.wait_until(is_seen, "the tables to be taken")
    done = detach(program)
    assert done["entries"] >= 8 and done["unwritable"] == 0


def test_an_address_in_code_is_left_alone(late, peer, tmp_path):
    """DT_TEXTREL: what the loader wrote into code cannot be changed there while it runs."""
    source, found = tmp_path / "text.s", tmp_path / "text.so"
    source.write_text(".globl closer\ncloser:\n movabs $close, %rax\n jmp *%rax\n.p2align 3\n.quad close\n")
    gcc = [harness.need_tool("gcc"), "-shared", "-nostdlib", "-Wl,-z,notext", "-o", found, source]
    subprocess.run(gcc, check=True, capture_output=True)
    program = late()
    program.ask(f"load {found}")
    attach(program)
    leak(program, peer, 1)
    program.report_until(lambda s: s["totals"]["close_wait"] == 1, "1 CLOSE_WAIT")
    assert detach(program)["unwritable"] == 0


def test_it_can_be_told_to_go_all_the_same(late, peer):
    program = late(action="shutdown", grace="100ms", probe="off")
    attach(program)
    leak(program, peer, 1)
    program.report_until(lambda s: s["totals"]["reclaimed"]["shutdown"] == 1, "shutdown")
    assert detach(program, " force=1")["ended"] == 1


def test_options_are_read_anew_each_time(late, peer):
    program = late(deadline="7s")
    attach(program)
    leak(program, peer, 1)
    control.ask(where(program), "set deadline=9s for=1h")
    assert program.report()["options"]["deadline"] == "9s"
    detach(program)
    attach(program)
    assert program.report()["options"]["deadline"] == "7s"


def test_a_bad_request_changes_nothing(late):
    program = late()
    attach(program)
    for words in (" force", " now", " force=1 more"):
        with pytest.raises(control.Refused) as refused:
            control.ask(where(program), f"detach{words}")
        assert refused.value.args == ("value", "detach: force=1, or nothing")
    harness.wait_until(lambda: traces(program)[0] == 4, lambda: f"all of ours: {traces(program)}")


def test_preloaded_it_is_not_detached(puppet, peer, monkeypatch):
    monkeypatch.setattr(harness, "WAY", "preload")
    program = puppet()
    leak(program, peer, 1)
    with pytest.raises(control.Refused) as refused:
        control.ask(where(program), "detach")
    assert refused.value.args[0] == "value" and "preloaded" in refused.value.args[1]
    program.report()


def test_a_program_to_stay_out_of(late):
    program = late(programs="somebody_else")
    assert attach(program) == 4
    assert traces(program) == NOTHING


@pytest.mark.parametrize("sanitizer", ["address", "thread"])
def test_a_sanitizer_stands_in_front_of_libc(start, tmp_path, sanitizer):
    source = harness.ROOT / "test" / "victims" / "late_doors.c"
    program = tmp_path / "sanitized"
    gcc = [harness.need_tool("gcc"), f"-fsanitize={sanitizer}", f"-I{source.parent}", "-o", program, source]
    subprocess.run([*gcc, "-pthread"], check=True)
    # ThreadSanitizer wants its shadow memory where randomized addresses may lie.
    late = start(["setarch", "-R", program], library=False, env={"ASAN_OPTIONS": "detect_leaks=0"})
    late.ready()
    assert attach(late) == 8
    assert traces(late) == NOTHING
