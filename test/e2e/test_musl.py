"""Programs of another libc: the object loads, every door passes through, and nothing of ours is there.

An image built on musl whose environment preloads the library must not die of it, its shell first. The programs are
those of the other tests, built by musl-gcc, and run by musl's own loader.
"""

import os
import signal
import subprocess

import harness
import pytest
import test_transparent

# What the sources take from glibc alone, in musl's words; the kernel's headers are those of the machine.
FLAGS = ["-O1", "-std=gnu11", "-pthread", f"-I{harness.ROOT}/include", "-Dstrerrorname_np=strerror", "-Dsysv_signal=signal"]
FLAGS += ["-idirafter", "/usr/include", "-idirafter", "/usr/include/x86_64-linux-gnu"]
LOADER = "/lib/ld-musl-x86_64.so.1"


@pytest.fixture(scope="session")
def musl(tmp_path_factory):
    """A function that builds a source file against musl; the program's path."""
    directory = tmp_path_factory.mktemp("musl")

    def build(source):
        compiler = harness.need_tool("musl-gcc")
        path = directory / source.stem
        if not path.exists():
            words = [compiler, *FLAGS, "-o", path, source]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        return str(path)

    return build


@pytest.fixture
def victim(musl):
    return lambda name: musl(harness.ROOT / "test" / "victims" / f"{name}.c")


def run(words, library, options="exit_report=1", **environment):
    """What a program does with the library or without."""
    if library:
        environment["LD_PRELOAD"] = str(harness.LIBRARY)
        environment["SOCKLEAK_OPTIONS"] = options
    environment = {**os.environ, **environment}
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        timeout=harness.PATIENCE_S,
        env=environment,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


SCRIPTS = [
    "exit 7",
    "say a b c; say $?; exit 3",
    "nothing-of-that-name; exit $?",
    "say through a pipe | cat; exit $?",
    "SELF exit_5; SELF say; exit $?",
    "SELF kill; exit $?",
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_shell_works(victim, script):
    """Its own commands, pipes, programs of this libc and of the other."""
    shell = victim("little_shell")
    inner = {"exit_5": "exit 5", "kill": "kill -9 0"}
    words = [inner.get(word, word) for word in script.split()]
    script = " ".join(words).replace("SELF", shell)
    without = run([shell, script], library=False)
    assert run([shell, script], library=True) == without
    assert without[0] in (0, 1, 3, 5, 7, 127)


@pytest.mark.parametrize("how", ["direct", "option", "variable"])
def test_by_the_loader_itself(victim, how):
    """`ld-musl PROGRAM` and its --preload."""
    harness.need_tool(LOADER)
    shell = [victim("little_shell"), "say here; exit 4"]
    words = [LOADER, "--preload", str(harness.LIBRARY), *shell] if how == "option" else [LOADER, *shell]
    if how == "direct":
        words = shell
    status, said, complained = run(words, library=how != "option")
    assert (status, said, complained) == (4, "here\n", "")


def status_line(pid, name):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(line.split()[1] for line in file if line.startswith(name))


def test_nothing_of_ours_is_there(start, victim, peer):
    """The object is mapped, and that is all: no thread, handler, descriptor, file or word."""
    program = start([victim("puppet")], options={"report": "stderr", "every": "1s", "action": "close"})
    program.ready()
    program.ask(f"connect 127.0.0.1 {peer.port} 3")
    peer.accept()[0].close()
    with open(f"/proc/{program.pid}/maps", encoding="ascii") as file:
        maps = file.read()
    assert "libsockleak" in maps and "x86_64-linux-musl/libc.so" in maps
    assert "libc.so.6" not in maps
    assert status_line(program.pid, "Threads") == "1"
    assert int(status_line(program.pid, "SigCgt"), 16) >> (signal.SIGUSR1 - 1) & 1 == 0
    assert all(int(fd) < 100 for fd in os.listdir(f"/proc/{program.pid}/fd"))
    program.send_signal()
    assert program.wait() == -signal.SIGUSR1
    assert program.stderr() == ""
    assert not program.json_path.exists() and not program.text_path.exists()


@pytest.mark.parametrize("name", ["fork_storm", "own_numbers", "main_gone"])
def test_threads_forks_and_descriptors(start, victim, name):
    """Programs that judge for themselves."""
    program = start([victim(name)])
    program.ready()
    if name == "main_gone":
        program.ask("go on")
        assert program.line() == "exit"
    else:
        assert program.line().startswith("ok"), program.stderr()
    assert program.wait() == 0
    assert program.stderr() == ""


def test_signals_and_sockets(start, victim):
    program = start([victim("storm")])
    program.ready()
    for _ in range(100):
        program.send_signal(signal.SIGUSR2)
        assert program.line() == "u"
    rounds, failures, alarms, user_signals = map(int, program.ask("stop"))
    assert (failures, user_signals) == (0, 100) and alarms > 0 and rounds > 0
    assert program.end() == 0 and program.stderr() == ""


@pytest.mark.parametrize("when", ["first", "later"])
def test_a_filter(start, victim, when):
    program = start([victim("late_filter"), when])
    assert program.line() == "ok", program.stderr()
    assert program.wait() == 0


def test_names_that_musl_lacks(victim):
    """A program that asks for closefrom() or close_range() by name finds ours: they work."""
    said = run([victim("asked_names")], library=True)
    assert said == (0, "closefrom: closed\nclose_range: closed\nfcntl64: none or right\n", "")


# The suites that need nothing of glibc's own, as far as they are there.
SUITES = "exec passing past sockets".split()
CASES = [pair for pair in test_transparent.CASES if pair[0] in SUITES]


@pytest.mark.parametrize("program, case", CASES)
def test_nothing_differs(tmp_path, musl, program, case):
    """The cases of the transparent suite: the same words, errors and descriptors."""
    path = musl(harness.ROOT / "test" / "transparent" / f"{program}.c")
    without = test_transparent.run(path, case, tmp_path / "alone", None)
    under = test_transparent.run(path, case, tmp_path / "under", test_transparent.VARIANTS["armed"])
    assert without.told
    assert under.seen() == without.seen()
    assert not under.said and [p.name for p in (tmp_path / "under").iterdir()] == ["told"]
