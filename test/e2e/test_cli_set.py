"""`sockleak set` and `off`; and whom the command trusts at a control socket."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys

import cli
import control
import harness
import pytest
import services


def options_of(program):
    return cli.parsed("report", program.pid)["options"]


@pytest.fixture
def other_user():
    user = harness.OtherUser()
    yield user
    user.close()


@pytest.fixture
def leaking(puppet, peer):
    program = puppet(options={"deadline": "60s", "never": "10.0.0.0/8"})
    cli.close_wait(program, peer, 3)
    return program


def test_an_action_is_switched_on_for_a_while(leaking):
    text = cli.output("set", leaking.pid, "action=shutdown", "deadline=500ms")
    assert f"process {leaking.pid} (puppet): changed " in text
    assert "action from report to shutdown" in text and "deadline from 60s to 500ms" in text
    assert "for 4h0m, then as before" in text and "A restart forgets it." in text
    lasting = text.splitlines()[-1]
    assert 'SOCKLEAK_OPTIONS="' in lasting and "action=shutdown" in lasting and "deadline=60s" not in lasting
    assert "never=10.0.0.0/8" in lasting
    harness.wait_until(lambda: not cli.states_of(leaking.pid).get("CLOSE_WAIT"), "the action")
    assert options_of(leaking)["action"] == "shutdown"


def test_for_and_forever(leaking):
    (told,) = cli.parsed("set", leaking.pid, "action=shutdown", "for=2h")
    assert (told["pid"], told["for_ms"], told["dry_run"]) == (leaking.pid, 7200000, False)
    assert told["changed"] == [{"key": "action", "old": "report", "new": "shutdown"}]
    assert "until the process ends" in cli.output("set", leaking.pid, "action=neutralize", "for=forever")
    (told,) = cli.parsed("set", leaking.pid, "warn_at=off")
    assert told["for_ms"] is None


def test_lists_are_replaced_and_emptied(leaking):
    text = cli.output("set", leaking.pid, "never=none")
    assert "never from 10.0.0.0/8 to none" in text and "never=" not in text.splitlines()[-1]
    assert options_of(leaking)["never"] == ""


def test_dry_run_changes_nothing(leaking):
    assert "would change action from report to shutdown" in cli.output("set", "-n", leaking.pid, "action=shutdown")
    assert options_of(leaking)["action"] == "report"


def test_off_and_on(leaking):
    assert "changed enabled from 1 to 0" in cli.output("off", leaking.pid)
    done = cli.run("report", leaking.pid, "--json")
    assert "switched off" in done.stderr and json.loads(done.stdout)["no_sites"] == "its library did not answer"
    assert "changed enabled from 0 to 1" in cli.output("set", leaking.pid, "enabled=1")
    assert cli.parsed("report", leaking.pid)["mode"] == "preload"
    assert "would change enabled from 1 to 0; for 1.0s, then as before" in cli.output("off", "-n", leaking.pid, "for=1s")
    assert cli.parsed("report", leaking.pid)["mode"] == "preload"
    assert "changed enabled from 1 to 0; for 1.0s, then as before" in cli.output("off", leaking.pid, "for=1s")
    harness.wait_until(lambda: cli.parsed("report", leaking.pid)["mode"] == "preload", "the library to be on again")


def test_mistakes_never_reach_the_process(leaking):
    for words, said in (
        (["action=kill"], "allowed: report, shutdown, neutralize, close"),
        (["acton=shutdown"], "unknown option 'acton'"),
        (["depth=5"], "cannot be changed while the program runs"),
        (["action=shutdown", "for=2"], "a duration with its unit"),
        (["shutdown"], "neither a process id nor key=value"),
        ([], "which option?"),
        (["deadline=1s warn_at=off"], "holds no space"),
    ):
        assert said in cli.refusal("set", leaking.pid, *words, code=cli.USAGE)
    assert "which process?" in cli.refusal("set", "action=shutdown", code=cli.USAGE)
    assert "off takes no option but for=" in cli.refusal("off", leaking.pid, "action=report", code=cli.USAGE)
    assert "not both" in cli.refusal("off", leaking.pid, "--exe=x", code=cli.USAGE)
    assert options_of(leaking)["action"] == "report"


def test_processes_that_cannot_be_asked(start, leaking):
    bare = start("puppet", library=False)
    bare.ready()
    line = cli.refusal("set", bare.pid, "action=shutdown", code=cli.NO_LIBRARY)
    assert "does not have the library" in line and f"sockleak reap {bare.pid}" in line
    deaf = start("puppet", options={"control": "off"})
    deaf.ready()
    assert "no control socket" in cli.refusal("set", deaf.pid, "action=shutdown", code=cli.NO_LIBRARY)
    words = cli.as_plain_user(cli.SOCKLEAK)
    line = cli.refusal("set", leaking.pid, "action=shutdown", "for=2h", code=cli.DENIED, wrap=words)
    assert line.endswith(f"sudo sockleak set {leaking.pid} action=shutdown for=2h")
    free = next(pid for pid in range(4_000_000, 1, -1) if not os.path.exists(f"/proc/{pid}"))
    assert f"no process {free}" in cli.refusal("off", free, code=cli.NO_PROCESS)


def test_selectors(start, peer, tmp_path):
    """Several at once, under a name that no other test has."""
    name = f"chosen{os.getpid()}"
    shutil.copy(harness.victim("puppet"), tmp_path / name)
    programs = []
    for _ in range(2):
        programs.append(start([tmp_path / name]))
        programs[-1].ready()
        programs[-1].number(f"connect 127.0.0.1 {peer.port}")
        cli.await_control_socket(programs[-1])
    bare = start([tmp_path / name], library=False)
    bare.ready()
    done = cli.run("set", "--exe", name, "action=shutdown")
    assert "2 processes would be changed; nothing was done: add --yes" in done.stderr
    assert "1 more does not have the library, and is left out" in done.stderr
    assert sorted(line.split()[0] for line in done.stdout.splitlines()) == sorted(str(p.pid) for p in programs)
    assert [options_of(p)["action"] for p in programs] == ["report", "report"]
    told = cli.parsed("set", "--exe", f"{tmp_path}/chosen*", "action=shutdown", "--yes")
    assert sorted(row["pid"] for row in told) == sorted(p.pid for p in programs)
    assert [options_of(p)["action"] for p in programs] == ["shutdown", "shutdown"]
    assert "no process with the library" in cli.refusal("off", "--exe", "nobody-has-this", code=cli.NO_PROCESS)
    for program in programs:
        program.kill()
    line = cli.refusal("set", "--exe", name, "action=shutdown", "--yes", code=cli.NO_LIBRARY)
    assert "no process with the library is selected, but 1 without it: 'sockleak reap'" in line


@pytest.fixture
def control_groups():
    """A function that makes a control group below a slice of the test's, as systemd would for a unit; all end with the test."""
    mounts = [line.split() for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()]
    roots = [words[1] for words in mounts if words[2] == "cgroup2" or "name=systemd" in words[3].split(",")]
    made = []

    def make(path):
        for root in roots:
            group = pathlib.Path(root) / path
            with contextlib.suppress(OSError):
                group.mkdir(parents=True)
                made.append(group)
                return group
        raise harness.Forbidden("a control group")

    yield make
    for group in made:
        harness.wait_until(lambda: not (group / "cgroup.procs").read_text(), f"the end of all in {group}")
        group.rmdir()
        group.parent.rmdir()


def test_units_and_control_groups(start, peer, control_groups):
    """There is no systemd here; but where a unit's processes are is told by /proc/PID/cgroup all the same."""
    name = f"sockleak{os.getpid()}"
    group = control_groups(f"{name}.slice/{name}.service")
    programs = [start("puppet"), start("puppet")]
    for program in programs:
        program.ready()
        program.number(f"connect 127.0.0.1 {peer.port}")
        cli.await_control_socket(program)
    (group / "cgroup.procs").write_text(str(programs[0].pid))
    path = next(line.split(":", 2)[2] for line in pathlib.Path(f"/proc/{programs[0].pid}/cgroup").read_text().splitlines()
                if name in line)
    for words in (["--unit", name], ["--unit", f"{name}.service"], ["--unit", f"{name}.slice"], ["--cgroup", path],
                  ["--cgroup", os.path.dirname(path)], ["--unit", name, "--exe", "pup*"]):
        done = cli.run("set", *words, "action=shutdown")
        assert [line.split()[0] for line in done.stdout.splitlines()] == [str(programs[0].pid)], words
    (told,) = cli.parsed("set", "--unit", name, "action=shutdown", "--yes")
    assert told["pid"] == programs[0].pid and options_of(programs[1])["action"] == "report"
    for words in (["--unit", name[:-1]], ["--cgroup", path[:-1]], ["--unit", name, "--exe", "nobody"]):
        assert "no process" in cli.refusal("off", *words, "--yes", code=cli.NO_PROCESS)
    (row,) = cli.parsed("reap", "--unit", name, "--older-than=1h", "--yes")
    assert row["pid"] == programs[0].pid and row["way"] == "library"
    for program in programs:
        program.kill()


def test_a_program_that_writes_over_its_environment(start, networks, tmp_path):
    """nginx puts its title there, over dir= too: the folder is found by the thread that serves, the options are asked for."""
    network = networks()
    config = services.web_config(tmp_path, "2s").replace("master_process off;", "")
    program = services.start_nginx(start, network, tmp_path, config, options={"deadline": "7s", "report": None})
    title = lambda: b"SOCKLEAK" not in pathlib.Path(f"/proc/{program.pid}/environ").read_bytes()
    harness.wait_until(title, "its title")
    text = harness.wait_until(lambda: said(program, "never=10.0.0.0/8"), "its control socket")
    lasting = text.splitlines()[-1]
    assert "deadline=7s" in lasting and "never=10.0.0.0/8" in lasting and f"dir={program.directory}/ctl" in lasting
    assert "grace=" not in lasting and "enabled" not in lasting
    assert cli.parsed("report", program.pid)["mode"] == "preload"
    program.send_signal(signal.SIGTERM)  # its worker ends with it
    assert program.wait() == 0


def said(program, *words):
    done = subprocess.run([cli.SOCKLEAK, "set", str(program.pid), *words], capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout


def test_a_container_is_reached_from_its_host(puppet, peer):
    """Its own mounts, pids and users: the socket is looked for below its root, under its pid there."""
    wrap = [harness.need_tool("unshare"), "-rpf", "--mount-proc", "--kill-child"]
    program = puppet(wrap=wrap)
    program.number(f"connect 127.0.0.1 {peer.port}")
    inner = harness.wait_until(lambda: child_of(program.pid), "the first process of the namespace")
    harness.wait_until(lambda: cli.parsed("report", inner)["mode"] == "preload", "its control socket")
    snapshot = cli.parsed("report", inner)
    assert snapshot["process"]["pid"] == inner and snapshot["totals"]["open"] == 1
    assert "action from report to shutdown" in cli.output("set", inner, "action=shutdown")


def test_a_rootless_container_is_reached_from_its_host(other_user, peer):
    """In there the host's root has no uid, and the overflow uid is nobody's friend: the command asks as the process's own user."""
    library, victim = other_user.copy(harness.LIBRARY), other_user.copy(harness.victim("puppet"))
    runtime = other_user.directory / "run"
    runtime.mkdir()
    runtime.chmod(0o777)
    wrap = [*other_user.prefix(), harness.need_tool("unshare"), "-r"]
    settings = [f"LD_PRELOAD={library}", f"SOCKLEAK_OPTIONS=dir={runtime}/ctl deadline=1s", victim]
    program = harness.start(["env", *settings], other_user.directory / "log", wrap=wrap, library=False)
    try:
        program.ready()
        program.number(f"connect 127.0.0.1 {peer.port}")
        harness.wait_until(lambda: cli.parsed("report", program.pid)["mode"] == "preload", "its control socket")
        assert list(runtime.glob("ctl/*.sock"))
        assert "action from report to shutdown" in cli.output("set", program.pid, "action=shutdown")
    finally:
        program.kill()


def child_of(pid):
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else None


# ---- whom it trusts ----

OK = "sockleak/1 ok\n"


def body(text):
    return f"{len(text)}\n{text}0\n"


@pytest.fixture
def fake(start, tmp_path):
    """A function that starts a process which looks instrumented; its control socket is the test's."""

    def start_fake(*more, folder=None, mode=0o700):
        runtime = tmp_path / "runtime"
        folder = folder or runtime / "sockleak"
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(mode)
        script = harness.ROOT / "test/victims/fake_control.py"
        program = start([sys.executable, script, tmp_path, folder, *more], library=False,
                        env={"XDG_RUNTIME_DIR": str(runtime), "SOCKLEAK_OPTIONS": ""})
        program.ready()
        return program

    return start_fake


def asked(program, answer, *words, code):
    """What the command says to this answer, and what it asked."""
    program.tell(repr(answer))
    done = cli.run(*words, code=code)
    return done, program.line()


CHANGED = OK + body('{"changed":[{"key":"action","old":"report","new":"shutdown"}],"for_ms":1000}')


def test_what_is_asked(fake):
    program = fake()
    done, request = asked(program, CHANGED, "set", program.pid, "action=shutdown", code=cli.FINE)
    assert request == "got sockleak/1 set action=shutdown for=4h" and "for 1.0s" in done.stdout
    _, request = asked(program, CHANGED, "set", program.pid, "warn_at=off", "for=forever", code=cli.FINE)
    assert request == "got sockleak/1 set warn_at=off for=forever"
    _, request = asked(program, CHANGED, "off", program.pid, code=cli.FINE)
    assert request == "got sockleak/1 off"
    _, request = asked(program, CHANGED, "off", "-n", program.pid, "for=10m", code=cli.FINE)
    assert request == "got sockleak/1 off for=10m dry=1"
    answer = OK + body('{"reaped":7,"skipped":2}')
    done, request = asked(program, answer, "reap", program.pid, "--peer=:80", code=cli.FINE)
    assert request == "got sockleak/1 reap older_than=60000ms peer=:80"
    assert done.stdout == f"process {program.pid} ({pathlib.Path(sys.executable).resolve().name}): through its library: ended 7, skipped 2\n"
    answer = OK + body('{"reaped":7,"skipped":3,"probed":5,"ended_by_probe":4,"skipped_because":{"side":1,"epoll":2}}')
    done, _ = asked(program, answer, "reap", program.pid, code=cli.FINE)
    assert done.stdout.endswith("ended 7, probed 5, of which 4 ended by that, skipped 3 (side 1, epoll 2)\n")
    done, request = asked(program, answer, "reap", program.pid, "--inbound", "--dry-run", "--json", code=cli.FINE)
    assert request.endswith(" inbound=1 dry_run=1") and json.loads(done.stdout)[0]["way"] == "library"


def test_refusals_of_the_server(fake):
    program = fake()
    for answer, code, said in (
        ("sockleak/1 error value action=x: no\n", cli.USAGE, "action=x: no"),
        ("sockleak/1 error usage no such request\n", cli.USAGE, "no such request"),
        ("sockleak/1 error busy it ends\n", cli.NO_LIBRARY, "it ends"),
        ("sockleak/1 error denied no\n", cli.DENIED, "not permitted"),
        ("sockleak/2 ok\n", cli.NO_LIBRARY, "does not answer as it should"),
        ("HTTP/1.1 200 OK\n", cli.NO_LIBRARY, "does not answer as it should"),
        ("", cli.NO_LIBRARY, "does not answer as it should"),
        (OK + "abc\n", cli.NO_LIBRARY, "does not answer as it should"),
        (OK + "100\nshort", cli.NO_LIBRARY, "does not answer as it should"),
        (OK + "99999999999\n", cli.NO_LIBRARY, "too large"),
        (OK + body("hello"), cli.NO_LIBRARY, "not understood"),
        (OK + body('{"changed":7}'), cli.NO_LIBRARY, "not understood"),
    ):
        done, _ = asked(program, answer, "set", program.pid, "action=shutdown", code=code)
        assert said in done.stderr and len(done.stderr.splitlines()) == 1, (answer, done.stderr)


def test_names_that_would_move_the_cursor_are_escaped(fake):
    program = fake()
    done, _ = asked(program, "sockleak/1 error value \x1b[2J\n", "set", program.pid, "action=shutdown", code=cli.USAGE)
    assert "\x1b" not in done.stderr and "\\x1b" in done.stderr


def test_a_server_that_hangs_is_given_up(fake):
    program = fake()
    done, _ = asked(program, "hang", "set", program.pid, "action=shutdown", code=cli.NO_LIBRARY)
    assert "does not answer in time" in done.stderr


def test_a_server_whose_queue_is_full_is_given_up(fake, tmp_path):
    """As that of a process which is stopped, after a monitor has asked it for a while: connect() itself would wait."""
    program = fake()
    address = str(tmp_path / "runtime/sockleak" / f"{control.name_of(program.pid)}.sock")
    waiting = []
    with pytest.raises(BlockingIOError):
        while True:
            client = socket.socket(socket.AF_UNIX)
            waiting.append(client)
            client.setblocking(False)
            client.connect(address)
    assert "does not answer in time" in cli.refusal("set", program.pid, "action=shutdown", code=cli.NO_LIBRARY)
    assert json.loads(cli.output("report", program.pid, "--json"))["mode"] == "external"
    for client in waiting:
        client.close()


def test_a_half_written_answer_is_seen_from_outside(fake):
    program = fake()
    done, _ = asked(program, OK + body('{"schema":"sockleak-sn'), "report", program.pid, "--json", code=cli.FINE)
    assert json.loads(done.stdout)["mode"] == "external" and "half-written" in done.stderr


def test_the_doctor_tells_of_another_version(fake):
    program = fake()
    done, request = asked(program, OK + body('{"version":"0.9.7"}'), "doctor", program.pid, "--json", code=cli.FINE)
    found = next(row for row in json.loads(done.stdout) if row["check"] == "control")
    assert request == "got sockleak/1 version" and found["status"] == "note" and "of version 0.9.7; this is " in found["detail"]


def test_an_abstract_socket_is_found(fake):
    program = fake("abstract")
    _, request = asked(program, CHANGED, "set", program.pid, "action=shutdown", code=cli.FINE)
    assert request.startswith("got ")


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o710, 0o1700])
def test_a_folder_that_others_see_into_is_not_used(fake, mode):
    program = fake(mode=mode)
    assert "no control socket" in cli.refusal("set", program.pid, "action=shutdown", code=cli.NO_LIBRARY)


def test_a_folder_of_another_user_is_not_used(fake, tmp_path):
    cli.as_nobody()
    program = fake()
    os.chown(tmp_path / "runtime/sockleak", cli.NOBODY, cli.NOBODY)
    assert "no control socket" in cli.refusal("set", program.pid, "action=shutdown", code=cli.NO_LIBRARY)


def test_links_are_not_followed(fake, tmp_path):
    """Neither the folder nor the name may be one: they could lead out of the root of the process."""
    (tmp_path / "real").mkdir()
    program = fake(folder=tmp_path / "real")
    runtime = tmp_path / "runtime"
    runtime.mkdir(exist_ok=True)
    (runtime / "sockleak").symlink_to(tmp_path / "real")
    assert "no control socket" in cli.refusal("set", program.pid, "action=shutdown", code=cli.NO_LIBRARY)
    (runtime / "sockleak").unlink()
    (runtime / "sockleak").mkdir(mode=0o700)
    name = f"{control.name_of(program.pid)}.sock"
    (runtime / "sockleak" / name).symlink_to(tmp_path / "real" / name)
    assert "no control socket" in cli.refusal("set", program.pid, "action=shutdown", code=cli.NO_LIBRARY)


def test_another_process_at_the_socket_is_not_believed(fake, tmp_path):
    """One that has the name of the other's socket."""
    liar, asked_for = fake(), fake(folder=tmp_path / "elsewhere")
    folder = tmp_path / "runtime/sockleak"
    os.link(folder / f"{control.name_of(liar.pid)}.sock", folder / f"{control.name_of(asked_for.pid)}.sock")
    line = cli.refusal("set", asked_for.pid, "action=shutdown", code=cli.NO_LIBRARY)
    assert "another process answers" in line
