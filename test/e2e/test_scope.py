"""Where the library is not to work: nothing of it is there. And the shells of an image, which work as ever."""

import os
import signal
import subprocess

import harness
import pytest

NOISY = {"exit_report": 1, "every": "1s", "help": 1, "nonsense": 1}


def status_line(pid, name):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(line.split()[1] for line in file if line.startswith(name))


def is_handled(pid):
    return bool(int(status_line(pid, "SigCgt"), 16) >> (signal.SIGUSR1 - 1) & 1)


def numbers(pid):
    return [int(fd) for fd in os.listdir(f"/proc/{pid}/fd")]


def is_dormant(program):
    """No handler, no thread, no number of ours."""
    return status_line(program.pid, "Threads") == "1" and not is_handled(program.pid) and max(numbers(program.pid)) < 100


def has_object(pid, name="libsockleak"):
    with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
        return name in file.read()


@pytest.mark.parametrize("options", [{"enabled": 0}, {"programs": "java,*.exe"}], ids=["enabled", "programs"])
def test_dormant_in_silence(puppet, peer, options):
    """Whatever else is asked for: no file, no word. A sandbox and a full table make no difference."""
    program = puppet(options={**options, "every": "1s", "exit_report": 1, "action": "close"}, nofile=20)
    program.ask(f"connect 127.0.0.1 {peer.port} 3")
    program.ask_error(f"connect 127.0.0.1 {peer.port} 30")
    assert has_object(program.pid) and is_dormant(program)
    assert program.end() == 0
    assert program.stderr() == ""
    assert [path.name for path in program.directory.iterdir()] == ["stderr.txt"]


@pytest.mark.parametrize("glob", ["puppet", "pup*", "*", "[o-q]uppet", "java,pu?pet"])
def test_names_that_fit(puppet, peer, glob):
    program = puppet(options={"programs": glob})
    program.ask(f"connect 127.0.0.1 {peer.port}")
    assert is_handled(program.pid)
    assert program.report()["totals"]["open"] == 1


def test_without_sockets_there_is_the_handler_alone(puppet):
    program = puppet(options={"exit_report": 1, "every": "1s"})
    program.ask("open /dev/null")
    program.ask("kind unix")
    program.ask("kind udp")
    assert is_handled(program.pid)
    assert status_line(program.pid, "Threads") == "1" and max(numbers(program.pid)) < 100
    assert program.end() == 0
    assert [path.name for path in program.directory.iterdir()] == ["stderr.txt"]


# ---- programs that run with the rights of others ----


@pytest.fixture
def other():
    user = harness.OtherUser()
    if os.statvfs(user.directory).f_flag & os.ST_NOSUID:
        user.close()
        raise harness.Forbidden("rights of another user on this file system (nosuid)")
    yield user
    user.close()


def set_user_id(path):
    os.chown(path, 1, 1)
    path.chmod(0o4755)


def file_capabilities(path):
    setcap = harness.need_tool("setcap")
    done = subprocess.run([setcap, "cap_net_bind_service+ep", path], capture_output=True, text=True, check=False)
    if done.returncode:
        raise harness.Forbidden(f"file capabilities: {done.stderr.strip()}")


RIGHTS = pytest.mark.parametrize("give_rights", [set_user_id, file_capabilities])


def is_secure(pid):
    """AT_SECURE (getauxval(3)), in the process itself."""
    with open(f"/proc/{pid}/auxv", "rb") as file:
        words = [int.from_bytes(chunk, "little") for chunk in iter(lambda: file.read(8), b"")]
    return dict(zip(words[::2], words[1::2]))[23] == 1


def is_left_alone(program, peer):
    program.ready()
    assert is_secure(program.pid)
    program.ask(f"connect 127.0.0.1 {peer.port} 3")
    assert is_dormant(program)
    program.send_signal()
    assert program.wait() == -signal.SIGUSR1
    assert program.stderr() == ""
    assert [path.name for path in program.directory.iterdir()] == ["stderr.txt"]


@RIGHTS
def test_a_path_is_ignored_by_the_loader(start, peer, other, give_rights):
    path, library = other.copy(harness.victim("puppet")), other.copy(harness.LIBRARY)
    give_rights(path)
    environment = {"LD_PRELOAD": str(library), "SOCKLEAK_OPTIONS": "help=1 exit_report=1 report=stderr"}
    program = start([*other.prefix(), "env", *(f"{k}={v}" for k, v in environment.items()), path], library=False)
    program.ready()
    assert not has_object(program.pid)
    program.ask(f"connect 127.0.0.1 {peer.port} 3")
    assert is_dormant(program)
    assert program.end() == 0 and program.stderr() == ""


# In a mount namespace of its own: an object that the loader trusts becomes ours.
TRUSTED = 'mount --bind "$0" "$1" && shift && exec "$@"'


@RIGHTS
def test_from_a_trusted_directory_it_stays_dormant(start, peer, other, give_rights):
    """The object has to have the set-user-ID bit for that (ld.so(8)); the variable is not the owner's."""
    place = next(iter(harness.pathlib.Path("/usr/lib").glob("*-linux-gnu/libmemusage.so")), None)
    if not place:
        raise harness.Forbidden("libmemusage.so, to mount over")
    path, library = other.copy(harness.victim("puppet")), other.copy(harness.LIBRARY)
    library.chmod(0o4755)
    give_rights(path)
    words = ["unshare", "-m", "--propagation", "private", "sh", "-c", TRUSTED, library, place, *other.prefix()]
    if subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        raise harness.Forbidden("a private mount namespace with a bind mount")
    options = " ".join(f"{key}={value}" for key, value in NOISY.items())
    environment = ["env", f"LD_PRELOAD={place.name}", f"SOCKLEAK_OPTIONS={options} report=stderr"]
    program = start([*words, *environment, path], library=False)
    harness.wait_until(lambda: has_object(program.pid, place.name) or not program.is_alive(), "the object")
    is_left_alone(program, peer)


def test_the_same_without_those_rights_is_at_work(start, peer, other):
    """So that the two above can fail."""
    path, library = other.copy(harness.victim("puppet")), other.copy(harness.LIBRARY)
    program = start([*other.prefix(), "env", f"LD_PRELOAD={library}", path], library=False)
    program.ready()
    program.ask(f"connect 127.0.0.1 {peer.port}")
    assert has_object(program.pid) and not is_secure(program.pid) and not is_dormant(program)
    assert program.end() == 0


# ---- shells ----

SCRIPTS = [
    "exit 7",
    "echo a b | tr a-z A-Z; exit 3",
    "x=$(echo inner; exit 4); echo \"$x $?\"; (exit 5); exit $?",
    "trap 'echo got it' USR1; kill -USR1 $$; exit 6",
    "kill -USR1 $$; echo not reached",
    "exec 3>&1; echo to three >&3; exec 3>&-; echo gone >&3 || exit 8",
    "cat </dev/null & wait $!; exec sh -c 'exit 9'",
]


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_a_shell(shell):
    words = [harness.need_tool(shell), *(["sh"] if shell == "busybox" else []), "-c"]
    for script in SCRIPTS:
        runs = []
        for library in (False, True):
            more = [f"LD_PRELOAD={harness.LIBRARY}", "SOCKLEAK_OPTIONS=exit_report=1"] if library else []
            runs.append(
                subprocess.run(
                    ["env", *more, *words, script], capture_output=True, text=True, timeout=60, check=False
                )
            )
        without, under = ((run.returncode, run.stdout, run.stderr) for run in runs)
        # A signal that would end a shell without sockets brings a word instead: the report is what it is for.
        if "not reached" in script and shell != "busybox":
            assert without[0] == -signal.SIGUSR1 and under[:2] == (0, "not reached\n"), (without, under)
        else:
            assert under == without, script
