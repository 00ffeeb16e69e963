"""The command by itself: verbs, help, the table of options, and reports from files."""

import json
import os
import re

import cli
import harness
import pytest

VERBS = ["run", "list", "report", "top", "set", "off", "reap", "doctor", "diff", "options"]


def test_help_lists_the_verbs():
    text = cli.output("help")
    assert text == cli.output("--help")
    assert set(VERBS) <= set(re.findall(r"^  ([a-z]+) ", text, re.MULTILINE))


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_help(verb):
    text = cli.output("help", verb)
    assert text.startswith(f"Usage: sockleak {verb} ") and text == cli.output(verb, "--help")
    assert all(len(line) <= 80 for line in text.splitlines())


@pytest.mark.parametrize("verb", VERBS)
def test_a_wrong_option_takes_one_line(verb):
    line = cli.refusal(verb, "--no-such", code=cli.USAGE)
    assert line == f"sockleak: {verb}: no option '--no-such'; see 'sockleak help {verb}'"
    assert cli.refusal(verb, "-Q", code=cli.USAGE).startswith(f"sockleak: {verb}: no option '-Q';")
    assert cli.output(verb, "-h") == cli.output("help", verb)


def test_options_that_are_nearly_right():
    """Named, with what was meant; shortened ones are taken, as argp does."""
    for words, said in (
        (("report", "--jsn"), "no option '--jsn'; did you mean '--json'?"),
        (("report", "--json=1"), "option '--json' takes no argument"),
        (("report", "--format"), "option '--format' needs an argument"),
        (("report", "1", "-f"), "option '-f' needs an argument"),
        (("set", "--unit"), "option '--unit' needs an argument"),
        (("list", "--a=1", "--e"), "option '--a' takes no argument"),
        (("doctor", "-jQ"), "no option '-Q'"),
        (("reap", "--in=3"), "option '--in' takes no argument"),
        (("reap", "--u"), "option '--u' may mean 2"),
        (("diff", "one"), "two files are needed: the earlier snapshot, the later one"),
        (("diff", "-", "-"), "only one of them can be stdin"),
    ):
        line = cli.refusal(*words, code=cli.USAGE)
        assert line == f"sockleak: {words[0]}: {said}; see 'sockleak help {words[0]}'"
    assert cli.output("options", "--js") == cli.output("options", "-j")
    cli.run("run", "sh", "-c", "exit $#", "--", "--no-such", "-Q", code=2)


def test_version():
    assert re.fullmatch(r"sockleak \d+\.\d+\.\d+\n", cli.output("--version"))


def test_no_verb_is_a_usage_error():
    assert cli.run(code=cli.USAGE).stderr.startswith("Usage: sockleak VERB")


def test_unknown_verb_suggests_the_nearest():
    assert "did you mean 'list'?" in cli.refusal("lits", code=cli.USAGE)
    assert "did you mean 'report'?" in cli.refusal("rep", code=cli.USAGE)
    assert "'sockleak help' lists them" in cli.refusal("frobnicate", code=cli.USAGE)
    assert "no verb" in cli.refusal("help", "frobnicate", code=cli.USAGE)


def test_options_are_those_of_the_library(start):
    program = start(["/bin/true"], options={"help": 1})
    program.wait()
    # The library's lines are the same, after its own heading.
    table = [line for line in cli.output("options").splitlines() if re.match(r"  [a-z_]+ ", line)]
    assert len(table) > 30
    assert all(line in program.stderr() for line in table)
    rows = cli.parsed("options")
    assert [row["key"] for row in rows] == [line.split()[0] for line in table[1:]]
    deadline = next(row for row in rows if row["key"] == "deadline")
    assert (deadline["default"], deadline["allowed"], deadline["type"]) == ("60s", "100ms..24h", "duration")


@pytest.fixture
def leaking(puppet, peer):
    program = puppet()
    cli.close_wait(program, peer, 12)
    program.report_until(lambda s: s["totals"]["stuck"] == 12, "twelve to be stuck")
    return program


def test_report_of_a_file_is_the_librarys(puppet, peer):
    """But for native frames, which the command names (test_symbols.py)."""
    leaking = puppet(options={"stacks": "none"})
    cli.close_wait(leaking, peer, 12)
    leaking.report_until(lambda s: s["totals"]["stuck"] == 12, "twelve to be stuck")
    text = cli.output("report", leaking.json_path).rstrip("\n")
    assert leaking.text().rstrip("\n").endswith(text), text
    assert json.loads(cli.output("report", leaking.json_path, "--json")) == leaking.snapshot()
    assert cli.output("report", leaking.json_path, "--format=json") == leaking.json_path.read_text()
    assert cli.output("report", "-", stdin=leaking.json_path.read_text()).rstrip("\n") == text


def test_report_short_and_top(leaking):
    short = cli.output("report", "--short", leaking.json_path)
    assert len(short.splitlines()) <= 40 and "\nWHERE " in short
    done = cli.run("report", "--top=0", "--json", leaking.json_path)
    assert json.loads(done.stdout)["sites"] == [] and "0 of " in done.stderr


def test_report_check_and_max_stuck(leaking, tmp_path):
    cli.run("report", "--max-stuck=11", leaking.json_path, code=cli.FOUND)
    cli.run("report", "--max-stuck=12", "--check", leaking.json_path, code=cli.FINE)
    snapshot = leaking.snapshot()
    for verdict in ("LEAK", "OK", "POOL", "BURST", "UNKNOWN", "NOT_ACCEPTING"):
        snapshot["verdict"] = verdict
        path = cli.write(tmp_path / "judged.json", json.dumps(snapshot))
        cli.run("report", "--check", path, code=cli.FOUND if verdict == "LEAK" else cli.FINE)


def test_report_into_a_file(leaking, tmp_path):
    path = tmp_path / "out.txt"
    assert cli.output("report", "-o", path, leaking.json_path) == ""
    assert path.read_text() == cli.output("report", leaking.json_path)
    assert [p.name for p in tmp_path.glob("out*")] == ["out.txt"]
    line = cli.refusal("report", "-o", tmp_path / "nowhere/out", leaking.json_path, code=cli.USAGE)
    assert "No such file" in line


def test_report_into_what_is_no_file(leaking, tmp_path):
    """It stays what it is: -o /dev/null of root must not make a file of it for everybody."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(pipe) as reader:
        cli.run("report", "--short", "-o", path, leaking.json_path)
        assert path.is_fifo() and reader.read() == cli.output("report", "--short", leaking.json_path)
    assert [p.name for p in tmp_path.glob("pipe*")] == ["pipe"]


def test_report_refuses_what_is_no_snapshot(leaking, tmp_path):
    whole = leaking.json_path.read_text()
    for name, text, said in (
        ("half", whole[: len(whole) // 2], "half-written or cut off"),
        ("empty", "", "half-written or cut off"),
        ("no", "hello", "not JSON"),
        ("other", '{"schema":"x/1"}', "no sockleak snapshot"),
        ("array", "[]", "no sockleak snapshot"),
        ("future", whole.replace("sockleak-snapshot/1", "sockleak-snapshot/9"), "this command reads"),
        ("typed", whole.replace('"stuck":12', '"stuck":"many"', 1), "totals.stuck: is no whole number"),
    ):
        path = cli.write(tmp_path / name, text)
        assert said in cli.refusal("report", path, code=cli.USAGE), name
    assert "No such file" in cli.refusal("report", tmp_path / "nothing", code=cli.USAGE)
    assert "no format 'pdf'" in cli.refusal("report", "-f", "pdf", leaking.json_path, code=cli.USAGE)
    assert "which PID or FILE" in cli.refusal("report", code=cli.USAGE)
    assert "a number" in cli.refusal("report", "--top=x", leaking.json_path, code=cli.USAGE)


def test_report_of_a_newer_version_is_shown_and_said(leaking, tmp_path):
    newer = leaking.json_path.read_text().replace('"version":"', '"version":"9', 1)
    done = cli.run("report", cli.write(tmp_path / "newer", newer))
    assert "newer than this command" in done.stderr and done.stdout.startswith("sockleak 9")


def test_report_of_an_older_version_is_shown_and_said(leaking, tmp_path):
    older = re.sub('"version":"[^"]*"', '"version":"0.9.7"', leaking.json_path.read_text(), count=1)
    done = cli.run("report", cli.write(tmp_path / "older", older))
    assert "written by version 0.9.7, older than this command" in done.stderr and done.stdout.startswith("sockleak 0.9.7")
    assert cli.run("report", leaking.json_path).stderr == ""


def test_report_of_a_file_that_is_not_ours():
    words = cli.as_plain_user(cli.SOCKLEAK)
    with cli.open_directory() as directory:
        path = cli.write(f"{directory}/secret.json", "{}")
        harness.pathlib.Path(path).chmod(0o600)
        line = cli.refusal("report", path, code=cli.DENIED, wrap=words)
    assert f"sudo sockleak report {path}" in line
