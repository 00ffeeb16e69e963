"""SOCKLEAK_OPTIONS, good and bad: the program always runs on."""

import os
import re
import signal
import subprocess

import harness
import pytest

OPTION_KEYS = (
    "enabled programs deadline action side deadline_in probe grace dry_run rescue rescue_after "
    "raise_nofile only never max_rate interval signal every warn_at exit_report report json events "
    "max_output mode detail argv stacks depth app keepalive help"
).split()

BAD = [
    "nonsense=1",
    "deadline=banana",
    "deadline=-5s",
    "deadline=99999999999999999999h",
    "interval=1",
    "depth=0",
    "depth=99999",
    "signal=KILL",
    "signal=RTMIN+99",
    "mode=9999",
    "detail=maybe",
    "stacks=",
    "max_output=-1",
    "=5",
    "deadline",
]


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_pair_is_one_line_and_the_default_stays(puppet, peer, bad):
    """The key and the value, or that the key is unknown; what stands beside it is still read."""
    standard = {"deadline": None, "interval": None, "detail": None}
    good = puppet(options=standard)
    program = puppet(options={**standard, "warn_at": f"7 {bad}"})
    reports = []
    for each in (good, program):
        each.ask(f"connect 127.0.0.1 {peer.port}")
        reports.append(each.report()["options"])
    (line,) = program.stderr().splitlines()
    assert line.startswith("sockleak:")
    key, _, value = bad.partition("=")
    assert key in line
    assert value in line or "unknown" in line
    assert good.stderr() == ""
    assert key == "nonsense" or reports[0].get(key) == reports[1].get(key)
    assert str(reports[1]["warn_at"]) == "7"


@pytest.mark.parametrize("bad", ["never=10.0.0.0/33", "never:127.0.0.1", "dryrun=1", "dry_run=yes"])
def test_in_doubt_nothing_is_touched(puppet, peer, bad):
    """What was perhaps to hold actions back was not understood: they are off, and that is said."""
    program = puppet(options={"action": "shutdown", "rescue": "on", "app": f"x {bad}"})
    program.ask(f"connect 127.0.0.1 {peer.port}")
    options = program.report()["options"]
    assert (options["action"], options["rescue"]) == ("report", "off")
    first, second = program.stderr().splitlines()
    assert bad.partition("=")[0] in first
    assert "action=report" in second


def test_a_comma_goes_on_with_a_list(puppet, peer):
    program = puppet(options={"never": "10.0.0.0/8,:443", "action": "shutdown"})
    program.ask(f"connect 127.0.0.1 {peer.port}")
    options = program.report()["options"]
    assert (options["never"], options["action"]) == ("10.0.0.0/8,:443", "shutdown")
    assert program.stderr() == ""


def test_rubbish(puppet, peer):
    rubbish = " ".join(["=", "====", ",,,", "\x1b[31mred=1", "a" * 5000 + "=1", "é=ü", "%n%s=%n"])
    program = puppet(options={"app": rubbish})
    program.ask(f"connect 127.0.0.1 {peer.port}")
    program.report()
    said = program.stderr()
    assert "\x1b" not in said, "what came from outside is escaped"
    assert 0 < len(said.splitlines()) <= 10
    assert program.end() == 0


def test_a_very_long_list_of_bad_pairs(puppet, peer):
    program = puppet(options={"app": " ".join(f"x{n}=1" for n in range(2000))})
    program.ask(f"connect 127.0.0.1 {peer.port}")
    program.report()
    assert program.end() == 0


def test_help_prints_the_table_and_the_program_runs_on(puppet, peer):
    program = puppet(options={"help": 1})
    program.ask(f"connect 127.0.0.1 {peer.port}")
    program.report()
    table = program.stderr()
    for key in OPTION_KEYS:
        assert re.search(rf"^\s*{key}\b", table, re.MULTILINE), key
    assert all(len(line) <= 100 for line in table.splitlines())
    assert program.end() == 0


def test_the_report_says_what_is_in_effect(puppet, peer):
    program = puppet(options={"deadline": "2m", "interval": "auto", "depth": 17})
    program.ask(f"connect 127.0.0.1 {peer.port}")
    options = program.report()["options"]
    assert set(OPTION_KEYS) - {"help"} <= set(options)
    assert re.fullmatch(r"2m|120s|120000(ms)?", str(options["deadline"]))
    assert str(options["depth"]) == "17"


def is_untouched(program):
    """No thread, no handler, no descriptor of the library's."""
    tasks = os.listdir(f"/proc/{program.pid}/task")
    with open(f"/proc/{program.pid}/status", encoding="ascii") as file:
        caught = next(int(line.split()[1], 16) for line in file if line.startswith("SigCgt"))
    own = [fd for fd in map(int, os.listdir(f"/proc/{program.pid}/fd")) if fd >= 1024]
    return len(tasks) == 1 and not caught >> (signal.SIGUSR1 - 1) & 1 and not own


@pytest.mark.parametrize(
    "options", [{"enabled": 0}, {"programs": "java*"}], ids=["enabled", "programs"]
)
def test_dormant(puppet, peer, options):
    program = puppet(options=options)
    program.ask(f"connect 127.0.0.1 {peer.port} 3")
    peer.accept()
    assert program.ask("disposition USR1") == ["default"]
    assert is_untouched(program)
    program.send_signal()
    assert program.wait() == -signal.SIGUSR1, "it dies of the signal as it would without us"
    assert program.stderr() == "" and program.text() == ""


def test_programs_names_this_one(puppet, peer):
    program = puppet(options={"programs": "java* programs=pup?et"})
    program.ask(f"connect 127.0.0.1 {peer.port}")
    assert program.report()["totals"]["open"] == 1


@pytest.mark.parametrize("option", ["report", "json"])
@pytest.mark.parametrize("path", ["missing/folder/file", "."])
def test_a_path_that_cannot_be_written_is_said_once(puppet, peer, tmp_path, option, path):
    bad = tmp_path / path
    program = puppet(options={option: bad})
    program.ask(f"connect 127.0.0.1 {peer.port}")
    # The other sink tells when a report is done.
    for count in range(1, 4):
        if option == "report":
            program.report()
        else:
            program.send_signal()
            harness.wait_until(lambda: program.text().count("sockleak") >= count, "a text report")
    (line,) = program.stderr().splitlines()
    assert line.startswith("sockleak:") and str(bad) in line
    assert program.end() == 0


FULL_DISK = """
mount -t tmpfs -o size=16k none "$0" || exit
head -c 100k /dev/zero > "$0/rest" 2>/dev/null
exec "$@"
"""


@pytest.mark.parametrize("option", ["report", "json"])
def test_a_full_disk_is_said_once(start, peer, tmp_path, option):
    disk = tmp_path / "disk"
    disk.mkdir()
    wrap = harness.can_mount() + ["sh", "-c", FULL_DISK, str(disk)]
    program = start("puppet", wrap=wrap, options={option: disk / "file"})
    program.ready()
    program.ask(f"connect 127.0.0.1 {peer.port}")
    for count in range(1, 4):
        if option == "report":
            program.report()
        else:
            program.send_signal()
            harness.wait_until(lambda: program.text().count("sockleak") >= count, "a text report")
    (line,) = program.stderr().splitlines()
    assert line.startswith("sockleak:") and str(disk) in line
    left = os.listdir(f"/proc/{program.pid}/root{disk}")
    assert set(left) <= {"rest", "file"}, "no half-written file stays behind"
    assert program.end() == 0


def test_dev_full(puppet, peer):
    program = puppet(options={"report": "/dev/full"})
    program.ask(f"connect 127.0.0.1 {peer.port}")
    program.report()
    program.report()
    (line,) = program.stderr().splitlines()
    assert "/dev/full" in line


def test_files_have_the_mode_and_the_names_asked_for(puppet, peer, tmp_path):
    options = {"mode": "0640", "report": tmp_path / "%e.%p.txt", "json": tmp_path / "%h.%p.json"}
    program = puppet(options=options)
    program.ask(f"connect 127.0.0.1 {peer.port}")
    program.json_path = tmp_path / f"{os.uname().nodename}.{program.pid}.json"
    program.text_path = tmp_path / f"puppet.{program.pid}.txt"
    program.report()
    harness.wait_until(program.text, "the text report")
    for path in (program.json_path, program.text_path):
        assert path.stat().st_mode & 0o7777 == 0o640


def test_a_link_in_the_way_is_not_followed(puppet, peer, tmp_path):
    """A report path in a shared folder must not let others aim our writes."""
    target = tmp_path / "precious"
    target.write_text("mine\n")
    link = tmp_path / "link"
    link.symlink_to(target)
    program = puppet(options={"report": link})
    program.ask(f"connect 127.0.0.1 {peer.port}")
    program.report()
    program.report()
    assert target.read_text() == "mine\n"
    assert program.stderr_lines("sockleak:", str(link))


def test_argv_is_short_unless_asked(start, peer):
    """Command lines carry passwords."""
    for argv, secret in (("short", False), ("full", True)):
        program = start([harness.victim("puppet"), "--password=hunter2"], options={"argv": argv})
        program.ready()
        program.ask(f"connect 127.0.0.1 {peer.port}")
        shown = program.report()["process"]["argv"]
        assert shown[0] == harness.victim("puppet")
        assert ("--password=hunter2" in shown) is secret
        assert ("hunter2" in program.json_path.read_text()) is secret


def test_without_libunwind(start, peer):
    """Said once; no native stacks; everything else as ever."""
    found = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=False).stdout
    paths = re.findall(r"libunwind\.so\.8 .*=> (\S+)", found)
    if not paths:
        raise harness.Forbidden("libunwind.so.8, to be hidden")
    script = f"mount --bind /dev/null {os.path.realpath(paths[0])} && exec \"$@\""
    program = start("puppet", wrap=harness.can_mount() + ["sh", "-c", script, "sh"])
    program.ready()
    program.ask(f"connect 127.0.0.1 {peer.port} 12")
    for _ in range(12):
        peer.accept()[0].close()
    snapshot = program.report_until(lambda s: s["totals"]["stuck"] == 12, "12 stuck connections")
    assert len(program.stderr_lines("libunwind")) == 1
    assert all(site["blame"] is None and not site["frames"] for site in snapshot["sites"])
    assert snapshot["peers"][0]["stuck"] == 12
    assert program.end() == 0


def test_two_programs_with_one_path_do_not_share_the_file(puppet, peer, tmp_path):
    """A program that an instrumented one starts has its options. The first that writes keeps the path."""
    shared = tmp_path / "report.json"
    first, second = (puppet(options={"json": shared}) for _ in range(2))
    for program in (first, second):
        program.ask(f"connect 127.0.0.1 {peer.port}")
    first.json_path = shared
    second.json_path = tmp_path / f"report.json.{second.pid}"
    for program in (first, second, first):
        assert program.report()["process"]["pid"] == program.pid


@pytest.mark.parametrize("key, name", [("report", "report.txt"), ("events", "events.jsonl")])
def test_a_file_that_is_appended_to_belongs_to_one_process(puppet, peer, tmp_path, key, name):
    """Of two the second has a file of its own; who comes when the first has ended goes on in its file."""
    shared = tmp_path / name
    own = {"report": "pid {0} ", "events": '"pid":{0},'}[key]

    def start_one():
        program = puppet(options={key: shared, "action": "shutdown", "dry_run": 1})
        program.ask(f"connect 127.0.0.1 {peer.port} 10")
        for _ in range(10):
            peer.accept()[0].close()
        program.report_until(lambda s: s["totals"]["stuck"] == 10, "10 stuck connections")
        return program

    def holds(path, program):
        return path.exists() and own.format(program.pid) in path.read_text()

    first, second = start_one(), start_one()
    harness.wait_until(lambda: holds(shared, first), "the first one's file")
    aside = tmp_path / f"{name}.{second.pid}"
    harness.wait_until(lambda: holds(aside, second), "the second one's file")
    assert not holds(shared, second) and not holds(aside, first)
    assert first.end() == 0
    third = start_one()
    harness.wait_until(lambda: holds(shared, third), "the first one's file")
    assert not (tmp_path / f"{name}.{third.pid}").exists()
    rotated = shared.rename(tmp_path / "rotated")
    third.ask(f"connect 127.0.0.1 {peer.port} 10")
    for _ in range(10):
        peer.accept()[0].close()
    third.report_until(lambda s: s["totals"]["stuck"] == 20, "20 stuck connections")
    harness.wait_until(lambda: holds(shared, third), "the new file")
    assert rotated.exists() and holds(rotated, third)
