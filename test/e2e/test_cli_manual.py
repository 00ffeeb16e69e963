"""What comes with the command: man pages and completions say what it has, and work."""

import os
import re
import subprocess

import cli
import harness
import pytest
import terminal

MAN = harness.BUILD / "man"
COMPLETION = harness.ROOT / "src/cli/completion"
VERBS = re.findall(r"^  ([a-z]+) ", cli.output("help"), re.MULTILINE)


def options_of(verb):
    """The long options that its help names."""
    found = re.findall(r"--([a-z-]+)", cli.output("help", verb))
    return set(found) - {"help", "usage", "version"} - {"no-such"}


@pytest.mark.parametrize("verb", VERBS)
def test_the_manual_and_completions_name_every_option(verb):
    manual = (MAN / "sockleak.1").read_text()
    assert f".Cm {verb}\n" in manual and f".Ss {verb}\n" in manual
    listed = {name: (COMPLETION / name).read_text() for name in ("sockleak.bash", "_sockleak", "sockleak.fish")}
    assert all(re.search(rf"\b{verb}\b", text) for text in listed.values())
    for option in options_of(verb):
        assert re.search(rf"(Fl|,) (Fl )?-{option}\b", manual), option
        assert f"--{option}" in listed["sockleak.bash"] and f"--{option}" in listed["_sockleak"], option
        assert f"-l {option}" in listed["sockleak.fish"], option


def test_the_manual_of_the_library_has_every_option():
    text = (MAN / "libsockleak.7").read_text()
    keys = re.findall(r"^\.It Cm ([a-z_]+) Ns = Ns Ar value$", text, re.MULTILINE)
    assert keys == [row["key"] for row in cli.parsed("options")]


def test_the_manual_of_snapshots_has_every_member():
    text = (MAN / "sockleak-snapshot.5").read_text()
    for member in harness.json.loads(harness.SCHEMA.read_text())["properties"]:
        assert re.search(rf"\b{member}\b", text), member


@pytest.mark.parametrize("page", ["sockleak.1", "libsockleak.7", "sockleak-snapshot.5"])
def test_man_pages_are_well_formed(page):
    done = subprocess.run([harness.need_tool("mandoc"), "-W", "warning", "-T", "lint", MAN / page], capture_output=True,
                          text=True, check=False, timeout=30)
    bad = [line for line in done.stdout.splitlines() if ": STYLE: " not in line]
    assert bad == []
    text = subprocess.run([harness.need_tool("mandoc"), "-T", "utf8", MAN / page], capture_output=True, text=True,
                          check=True, timeout=30).stdout
    assert "NAME" in text.replace("\b", "") or "N\bNA\bA" in text


def complete_bash(*words):
    script = (
        f'source "{COMPLETION}/sockleak.bash"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _sockleak; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    env = {"PATH": f"{harness.BUILD}:/usr/bin:/bin"}
    done = subprocess.run(["bash", "-c", script, "bash", *words], capture_output=True, text=True, check=True, env=env,
                          timeout=30)
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes(tmp_path):
    assert complete_bash("sockleak", "re") == ["report", "reap"]
    assert complete_bash("sockleak", "report", "--ma") == ["--max-stuck"]
    assert complete_bash("sockleak", "report", "--format", "j") == ["json"]
    assert complete_bash("sockleak", "set", "1", "dead") == ["deadline=", "deadline_in="]
    assert str(harness.os.getpid()) in complete_bash("sockleak", "report", str(harness.os.getpid()))
    file = cli.write(tmp_path / "snapshot.json", "")
    assert complete_bash("sockleak", "report", str(tmp_path / "snap")) == [str(file)]


def test_fish_completes():
    fish = harness.need_tool("fish")
    asked = {"sockleak re": ["reap", "report"], "sockleak report --ma": ["--max-stuck"], "sockleak help to": ["top"],
             "sockleak report --value=st": ["--value=stuck"], "sockleak set 1 deadline_": ["deadline_in="],
             "sockleak list -f op": ["openmetrics"]}
    script = f"source {COMPLETION}/sockleak.fish; " + "; echo .; ".join(f'complete -C "{words}"' for words in asked)
    env = {**os.environ, "PATH": f"{harness.BUILD}:/usr/bin:/bin"}
    done = subprocess.run([fish, "--no-config", "-c", script], capture_output=True, text=True, check=True, timeout=30,
                          env=env)
    found = [[line.split("\t")[0] for line in part.splitlines()] for part in done.stdout.split(".\n")]
    assert found == list(asked.values())


START = {
    "bash": "PS1='% '; bind 'set show-all-if-ambiguous on'; source {completion}/sockleak.bash; echo READY\n",
    "zsh": "PS1='%% '; fpath=({completion} $fpath); autoload -U compinit; compinit -u -D; setopt no_list_ambiguous; print READY\n",
}


@pytest.fixture(params=["bash", "zsh"])
def shell(request, tmp_path):
    """An interactive shell in a terminal, and its name. In its folder lies one file, snapshot.json."""
    program = harness.need_tool(request.param)
    for name in (".bashrc", ".zshrc"):
        cli.write(tmp_path / name, START[request.param].format(completion=COMPLETION))
    cli.write(tmp_path / "snapshot.json", "")
    words = {"bash": [program, "--rcfile", tmp_path / ".bashrc", "-i"], "zsh": [program, "-i"]}[request.param]
    in_it = terminal.Terminal(words, columns=120, rows=50, cwd=tmp_path, env={
        "ZDOTDIR": str(tmp_path), "PATH": f"{harness.BUILD}:/usr/bin:/bin"})
    in_it.until("READY")
    yield in_it
    in_it.close()


def test_shells_complete_on_a_terminal(shell):
    """Typed, with the Tab key, in the shell itself."""
    for typed, becomes in (
        ("sockleak repo", "% sockleak report"),
        ("sockleak report --format=j", "--format=json"),
        ("sockleak report --format fold", "--format folded"),
        ("sockleak report --value=clo", "--value=close_wait"),
        ("sockleak report snap", "report snapshot.json"),
        ("sockleak set 1 deadline_", "1 deadline_in="),
        ("sockleak set --exe 'x*' act", "'x*' action="),
        ("sockleak run -o deadline_", "-o deadline_in="),
        ("sockleak run -- ls snap", "ls snapshot.json"),
        ("sockleak help dif", "help diff"),
    ):
        shell.type(typed)
        shell.keys("Tab")
        shell.until(becomes)
        shell.keys("C-u", "C-l")
        shell.until("%", absent=["sockleak"])
    shell.type("sockleak re")
    shell.keys("Tab", "Tab")
    shell.until("reap", "report")
