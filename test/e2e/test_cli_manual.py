"""What comes with the command: man pages and completions say what it has, and work."""

import re
import subprocess

import cli
import harness
import pytest

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
    script = f'source {COMPLETION}/sockleak.fish; complete -C "sockleak re"; complete -C "sockleak report --ma"'
    done = subprocess.run([fish, "--no-config", "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["reap", "report", "--max-stuck"]


def test_zsh_can_read_it():
    zsh = harness.need_tool("zsh")
    subprocess.run([zsh, "-n", COMPLETION / "_sockleak"], check=True, timeout=30)
    assert (COMPLETION / "_sockleak").read_text().startswith("#compdef sockleak\n")
