"""The control socket: where it lives, what it answers, whom, and that no client holds anybody up."""

import datetime
import os
import pathlib
import signal
import socket
import stat
import subprocess
import threading

import control
import harness
import pytest


@pytest.fixture
def asked(puppet, peer, tmp_path):
    """A function that starts a puppet with one leaked connection and a control socket in a directory of the test's; it and the
    socket's address."""

    def start_one(**more):
        options = {"dir": tmp_path / "ctl", **more.pop("options", {})}
        program = puppet(options=options, **more)
        program.ask(f"connect 127.0.0.1 {peer.port}")
        peer.accept()[0].close()
        address = control.places(program.pid, tmp_path / "ctl")[0]
        harness.wait_until(lambda: answers(address), f"the control socket {address}")
        return program, address

    return start_one


def test_what_it_answers(asked):
    program, address = asked()
    version = control.ask_json(address, "version")
    assert version["pid"] == program.pid and version["protocol"] == 1 and version["enabled"] is True
    snapshot = control.ask_json(address, "snapshot json")
    harness.check_snapshot(snapshot)
    began, known = (datetime.datetime.fromisoformat(at["started_at"].replace("Z", "+00:00"))
                    for at in (version, snapshot["process"]))
    assert abs((began - known).total_seconds()) <= 1, (version, snapshot["process"])
    assert snapshot["trigger"] == "command" and snapshot["process"]["pid"] == program.pid
    assert snapshot["totals"]["open"] == 1
    text = control.ask(address, "snapshot text").decode()
    assert text.startswith("sockleak ")
    assert len(control.ask(address, "snapshot short")) <= len(text)
    assert not program.json_path.exists(), "a client's report is the client's alone"
    assert program.end() == 0


REFUSED = [
    ("sockleak/2 version\n", "version"),
    ("\n", "version"),
    ("GET / HTTP/1.1\r\n", "version"),
    ("sockleak/1\n", "usage"),
    ("sockleak/1 nonsense\n", "usage"),
    ("sockleak/1 snapshot\n", "usage"),
    ("sockleak/1 snapshot xml\n", "usage"),
    ("sockleak/1 set\n", "value"),
    ("sockleak/1 set deadline=1d\n", "value"),
    ("sockleak/1 set deadline=60s for=never\n", "value"),
    ("sockleak/1 set signal=USR2\n", "value"),
    ("sockleak/1 set nonsense=1\n", "value"),
    ("sockleak/1 set enabled=0 deadline=2s\n", "value"),
    ("sockleak/1 set deadline=2s action\n", "value"),
    ("sockleak/1 version" + " " * 5000 + "\n", "usage"),
]


@pytest.mark.parametrize("line, code", REFUSED)
def test_what_it_refuses(asked, line, code):
    program, address = asked()
    before = control.ask_json(address, "snapshot json")["options"]
    with control.connect(address) as client:
        client.sendall(line.encode())
        with pytest.raises(control.Refused) as refused:
            control.read_answer(client)
    assert refused.value.args[0] == code and len(refused.value.args[1]) > 10
    assert control.ask_json(address, "snapshot json")["options"] == before
    assert program.end() == 0


def test_options_change_and_are_events(asked):
    program, address = asked(options={"action": "report", "never": "10.0.0.0/8"})
    reply = control.ask_json(address, "set deadline=2s never=127.0.0.2,:443 max_rate=7 dry=1")
    assert reply["dry"] and {c["key"] for c in reply["changed"]} == {"deadline", "never", "max_rate"}
    assert control.ask_json(address, "snapshot json")["options"]["deadline"] == "1s"
    reply = control.ask_json(address, "set deadline=2s never=127.0.0.2,:443 max_rate=7")
    assert reply["for_ms"] is None and not reply["dry"]
    assert {"key": "never", "old": "10.0.0.0/8", "new": "127.0.0.2,:443"} in reply["changed"]
    options = control.ask_json(address, "snapshot json")["options"]
    assert (options["deadline"], options["max_rate"]) == ("2s", "7")
    assert options["never"] == "127.0.0.2,:443"
    assert control.ask_json(address, "set never=none")["changed"][0]["new"] == ""
    event = program.event("set", key="deadline")
    assert (event["old"], event["new"], event["uid"]) == ("1s", "2s", os.getuid())
    assert program.end() == 0


def test_an_action_for_a_time(asked):
    """Switched on while the program runs: it acts; when the time is over it is as before."""
    program, address = asked(options={"deadline": "200ms", "interval": "50ms", "events": None})
    control.ask(address, f"set events={program.events_path}")
    assert control.ask_json(address, "set action=shutdown dry=1")["for_ms"] == 4 * 3600 * 1000
    reply = control.ask_json(address, "set action=shutdown for=1500ms")
    assert reply["for_ms"] == 1500
    program.event("shutdown")
    program.event("reverted", key="action", old="shutdown", new="report")
    assert control.ask_json(address, "snapshot json")["options"]["action"] == "report"
    assert control.ask_json(address, "set action=shutdown for=forever")["for_ms"] is None
    assert control.ask_json(address, "snapshot json")["options"]["action"] == "shutdown"
    assert program.end() == 0


def test_an_action_that_goes_further_ends_too(asked):
    """No word on how long: four hours, also where a lesser action is on already, or was in words only."""
    program, address = asked(options={"action": "report", "deadline": "1h"})
    hours = lambda words: (control.ask_json(address, f"set {words}")["for_ms"] or 0) / 3600000
    assert hours("action=shutdown for=forever") == 0
    assert hours("action=neutralize") == 4
    assert hours("grace=1s") == 0
    assert hours("dry_run=1") == 0
    assert hours("dry_run=0") == 4
    assert hours("action=report rescue=on") == 4
    assert hours("action=report rescue=off") == 0
    assert program.end() == 0


def leak_inbound(program):
    """A client that the program has accepted, gone: an inbound connection in CLOSE_WAIT. The program's number of it."""
    listener, port = map(int, program.ask("listen 127.0.0.1"))
    with socket.create_connection(("127.0.0.1", port)):
        pass
    return program.number(f"accept {listener}")


def test_reap_says_why_it_spares(asked, peer):
    """Inbound ones are left unless they are asked for; then the ladder's own rules are what counts."""
    program, address = asked(options={"deadline": "1h", "action": "report"})
    fd = leak_inbound(program)
    program.ask(f"connect 127.0.0.1 {peer.port}")
    far, _ = peer.accept()
    far.sendall(b"an answer")
    far.close()
    settled = lambda: control.ask_json(address, "snapshot json")["totals"]["close_wait"] == 3
    harness.wait_until(settled, "three connections in CLOSE_WAIT")
    done = control.ask_json(address, "reap older_than=0ms dry_run=1")
    assert (done["reaped"], done["skipped"], done["skipped_because"]) == (2, 1, {"inbound": 1})
    done = control.ask_json(address, "reap older_than=0ms inbound=1 peer=127.0.0.1")
    assert (done["reaped"], done["skipped"], done["skipped_because"]) == (2, 1, {"cause": 1})
    assert program.number(f"read {fd}") == 0
    done = control.ask_json(address, "reap older_than=0ms inbound=1")  # its peer is in FIN_WAIT2, and acknowledges
    assert (done["reaped"], done["probed"], done["skipped_because"]) == (0, 1, {"peer-waits": 1})
    options = control.ask_json(address, "snapshot json")["options"]
    assert (options["side"], options["deadline_in"], options["max_rate"]) == ("out", "10m", "100")
    assert program.end() == 0


def test_a_child_that_is_forked_during_a_reap(asked, peer, tmp_path):
    """What the reap allows for a moment is its parent's: the child's options are as before."""
    program, address = asked(options={"deadline": "1h", "action": "report", "interval": "1s"})
    leak_inbound(program)  # spared, so that the reap takes as long as it waits
    waits = lambda: control.ask_json(address, "snapshot json")["totals"]["close_wait"] == 2
    harness.wait_until(waits, "two connections in CLOSE_WAIT")
    before = control.ask_json(address, "snapshot json")["options"]
    asking = threading.Thread(target=control.ask, args=(address, "reap older_than=1h"))
    asking.start()
    program.event("set", key="reap")
    child = program.number("become")
    program.ask(f"connect 127.0.0.1 {peer.port}")
    own = control.places(child, tmp_path / "ctl")[0]
    harness.wait_until(lambda: answers(own), "the control socket of the child")
    assert control.ask_json(own, "snapshot json")["options"] == before
    asking.join()
    assert program.end() == 0


def leak_more(program, peer, count):
    fds = [program.number(f"connect 127.0.0.1 {peer.port}") for _ in range(count)]
    for _ in range(count):
        peer.accept()[0].close()
    return fds


@pytest.mark.parametrize("action", ["report", "neutralize"])
def test_reap(asked, peer, action):
    """What is quiet for long enough is shut down, once; what action= allows on top comes as ever."""
    program, address = asked(options={"deadline": "1h", "action": action, "grace": "1h"})
    leak_more(program, peer, 4)
    settled = lambda: control.ask_json(address, "snapshot json")["totals"]["close_wait"] == 5
    harness.wait_until(settled, "five connections in CLOSE_WAIT")
    assert control.ask_json(address, "reap older_than=1h")["reaped"] == 0
    dry = control.ask_json(address, "reap older_than=100ms dry_run=1")
    assert (dry["reaped"], dry["dry_run"]) == (5, True)
    totals = control.ask_json(address, "snapshot json")["totals"]
    assert totals["close_wait"] == 5 and not any(totals["reclaimed"].values())
    elsewhere = control.ask_json(address, "reap older_than=100ms peer=10.0.0.0/8")
    assert elsewhere["reaped"] == 0
    done = control.ask_json(address, "reap older_than=100ms peer=127.0.0.1")
    assert (done["reaped"], done["skipped"], done["dry_run"]) == (5, 0, False)
    snapshot = control.ask_json(address, "snapshot json")
    assert snapshot["totals"]["close_wait"] == 0
    options = snapshot["options"]
    assert (options["action"], options["deadline"], options["interval"]) == (action, "60m", "250ms") or (
        options["action"],
        options["deadline"],
    ) == (action, "1h")
    assert options["only"] == "" and options["dry_run"] == "0"
    harness.wait_until(lambda: len(program.events("set")) >= 4, "the last event to be written")
    assert len(program.events("set")) == 4
    assert program.end() == 0


def test_a_time_that_ends_during_a_reap(asked):
    """What was changed for a time is as before all the same."""
    program, address = asked(options={"deadline": "1h", "action": "report"})
    listener, port = map(int, program.ask("listen 127.0.0.1"))
    with socket.create_connection(("127.0.0.1", port)):
        pass
    program.ask(f"accept {listener}")  # inbound: spared, so that the reap takes as long as it waits
    waits = lambda: control.ask_json(address, "snapshot json")["totals"]["close_wait"] == 2
    harness.wait_until(waits, "two connections in CLOSE_WAIT")
    usual = control.ask_json(address, "snapshot json")["options"]["deadline"]
    control.ask(address, "set deadline=10m for=1s")
    assert control.ask_json(address, "reap older_than=100ms")["skipped"] == 1
    program.event("reverted", key="deadline", new=usual)
    assert control.ask_json(address, "snapshot json")["options"]["deadline"] == usual
    assert program.end() == 0


def test_reap_spares_what_the_ladder_spares(asked, peer):
    program, address = asked(options={"deadline": "1h", "action": "report", "only": f":{peer.port}"})
    with pytest.raises(control.Refused) as refused:
        control.ask(address, "reap peer=127.0.0.1")
    assert refused.value.args[0] == "value" and "only" in refused.value.args[1]
    control.ask(address, f"set only=none never=:{peer.port}")
    done = control.ask_json(address, "reap older_than=100ms")
    assert done["reaped"] == 0
    assert control.ask_json(address, "snapshot json")["totals"]["close_wait"] == 1
    for words in ("older_than=x", "older_than=25h", "peer=nowhere", "peer=:80,action=close", "force=1"):
        with pytest.raises(control.Refused):
            control.ask(address, f"reap {words}")
    assert program.end() == 0


def test_a_pretence_is_no_action(asked):
    """dry_run= switched off: what was done in words is done then, from the first rung on."""
    program, address = asked(
        options={"deadline": "200ms", "grace": "100ms", "interval": "50ms", "action": "neutralize", "dry_run": 1}
    )
    program.event("neutralized", dry_run=True)
    control.ask(address, "set dry_run=0")
    program.event("shutdown", dry_run=False)
    program.event("neutralized", dry_run=False)
    assert program.end() == 0


def test_off_and_on(asked, peer):
    program, address = asked(options={"action": "neutralize", "deadline": "1h"})
    assert control.ask_json(address, "off")["changed"] == [{"key": "enabled", "old": "1", "new": "0"}]
    names = {
        open(f"/proc/{program.pid}/task/{t}/comm", encoding="ascii").read().strip()
        for t in os.listdir(f"/proc/{program.pid}/task")
    }
    assert {n for n in names if n.startswith("sockleak")} == {"sockleak", "sockleak-ctl"}
    for request in ("snapshot json", "set deadline=2s"):
        with pytest.raises(control.Refused) as refused:
            control.ask(address, request)
        assert refused.value.args[0] == "busy"
    assert control.ask_json(address, "off")["changed"][0]["old"] == "0"
    program.ask(f"connect 127.0.0.1 {peer.port}")
    control.ask(address, "set enabled=1")
    assert control.ask_json(address, "snapshot json")["totals"]["open"] == 2
    harness.wait_until(lambda: len(program.events("set")) >= 2, "the last event to be written")
    assert [e["new"] for e in program.events("set")] == ["0", "1"]
    assert program.end() == 0


def test_off_for_a_time(asked, peer):
    program, address = asked(options={"action": "report"})
    assert control.ask_json(address, "off dry=1")["dry"] is True
    assert control.ask_json(address, "snapshot json")["totals"]["open"] == 1
    with pytest.raises(control.Refused) as refused:
        control.ask(address, "off deadline=2s")
    assert refused.value.args[0] == "value"
    reply = control.ask_json(address, "off for=2s")
    assert (reply["changed"], reply["for_ms"]) == ([{"key": "enabled", "old": "1", "new": "0"}], 2000)
    with pytest.raises(control.Refused):
        control.ask(address, "snapshot json")
    program.ask(f"connect 127.0.0.1 {peer.port}")
    program.event("reverted", key="enabled", old="0", new="1")
    assert control.ask_json(address, "snapshot json")["totals"]["open"] == 2
    control.ask(address, "off for=1h")
    control.ask(address, "set enabled=1")
    before = len(program.events())
    assert control.ask_json(address, "set enabled=0 for=100ms")["for_ms"] == 100
    program.event("reverted", after=before, key="enabled", new="1")
    assert program.end() == 0


def are_stopped(pid):
    states = [path.read_text().rsplit(")", 1)[1].split()[0] for path in pathlib.Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(states) == {"T"}


def test_who_has_given_up_is_not_served(asked):
    """A process that was stopped changes nothing for those who were told meanwhile that it does not answer."""
    program, address = asked()
    program.send_signal(signal.SIGSTOP)
    harness.wait_until(lambda: are_stopped(program.pid), "all of its threads to stop")
    with control.connect(address) as client:
        client.sendall(b"sockleak/1 set warn_at=77\n")
    with control.connect(address) as half:
        half.sendall(b"sockleak/1 set max_rate=77\n")
        half.shutdown(socket.SHUT_WR)  # it has said all, and listens
        program.send_signal(signal.SIGCONT)
        assert b'"new":"77"' in control.read_answer(half)
    options = control.ask_json(address, "snapshot json")["options"]
    assert (options["warn_at"], options["max_rate"]) == ("auto", "77")
    assert program.end() == 0


def test_it_is_gone_with_the_process(asked):
    program, address = asked()
    info = os.lstat(address)
    assert stat.S_ISSOCK(info.st_mode) and stat.S_IMODE(info.st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(address)).st_mode) == 0o700
    assert program.end() == 0
    assert not os.path.exists(address)


def test_the_names_of_the_dead_are_removed(asked):
    program, address = asked()
    program.kill()
    assert os.path.exists(address)
    directory = os.path.dirname(address)
    open(f"{directory}/notes.txt", "w", encoding="ascii").close()
    other, _ = asked()
    assert sorted(os.listdir(directory)) == [f"{control.name_of(other.pid)}.sock", "notes.txt"]
    assert other.end() == 0


def test_a_living_name_of_another_namespace_stays(asked, tmp_path):
    """Pids collide where namespaces share a directory: who answers is alive."""
    (tmp_path / "ctl").mkdir(mode=0o700)
    foreign = str(tmp_path / "ctl" / "999999.12345.sock")
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(foreign)
        living.listen()
        program, _ = asked()
        assert os.path.exists(foreign)
        assert program.end() == 0


def test_a_directory_that_is_not_ours_is_not_used(puppet, peer, tmp_path):
    tmp_path.chmod(0o700)
    open_one, link, file = (tmp_path / name for name in ("open", "link", "file"))
    open_one.mkdir(mode=0o755)
    link.symlink_to(tmp_path)
    file.write_text("")
    for place in (open_one, link, file):
        program = puppet(options={"dir": place})
        program.ask(f"connect 127.0.0.1 {peer.port}")
        peer.accept()
        anywhere = control.places(program.pid)
        harness.wait_until(lambda: any(map(os.path.exists, anywhere)), f"one of {anywhere}")
        assert not os.path.exists(control.places(program.pid, place)[0])
        assert program.end() == 0


def test_an_abstract_socket_where_there_is_no_directory(start, peer):
    places = [os.path.dirname(place) for place in control.places(os.getpid())]
    cover = " && ".join(f"mkdir -p -m 700 {p} && mount -t tmpfs -o ro,mode=755 none {p}" for p in places)
    hide = f'{cover} && exec "$@"'
    program = start(
        "puppet",
        wrap=harness.can_mount() + ["sh", "-c", hide, "sh"],
        options={"report": None, "json": None, "dir": None},
    )
    program.ready()
    program.ask(f"connect 127.0.0.1 {peer.port}")
    ending = f"/{control.name_of(program.pid)}"

    def find():
        with open("/proc/net/unix", encoding="utf-8", errors="replace") as file:
            names = [line.split()[-1] for line in file]
        return [n for n in names if n.startswith("@sockleak/") and n.endswith(ending)]

    (name,) = harness.wait_until(find, "an abstract socket")
    assert control.ask_json("\0" + name[1:], "version")["pid"] == program.pid
    assert program.end() == 0


def test_control_off(puppet, peer, tmp_path):
    program = puppet(options={"dir": tmp_path / "ctl", "control": "off"})
    program.ask(f"connect 127.0.0.1 {peer.port}")
    program.report()
    assert not (tmp_path / "ctl").exists()
    assert program.end() == 0


def test_it_answers_when_no_descriptor_is_left(asked):
    program, address = asked(nofile=64)
    while True:
        program.tell("open /dev/null")
        line = program.line()
        if line == "error EMFILE":
            break
        assert line.startswith("ok"), line
    assert control.ask_json(address, "snapshot json")["limits"]["nofile_used"] == 64
    assert program.end() == 0


def test_slow_clients_hold_nobody_up(asked, peer):
    """Some say nothing, some read nothing: the sweep goes on, and the next client is served within seconds."""
    program, address = asked(options={"detail": 1})
    silent = [control.connect(address) for _ in range(3)]
    half = control.connect(address)
    half.sendall(b"sockleak/1 vers")
    deaf = control.connect(address)
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    deaf.sendall(b"sockleak/1 snapshot json\n")
    for _ in range(3):
        program.report()
    assert control.ask_json(address, "version")["pid"] == program.pid
    for client in (*silent, half, deaf):
        client.close()
    assert program.end() == 0


def test_many_clients_and_a_storm(asked):
    program, address = asked(options={"max_output": "1000m"})
    failures = []

    def ask_often():
        try:
            for _ in range(20):
                harness.check_snapshot(control.ask_json(address, "snapshot json"))
        except Exception as error:  # pylint: disable=broad-except
            failures.append(error)

    threads = [threading.Thread(target=ask_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        program.report()
    for thread in threads:
        thread.join()
    assert not failures
    assert program.end() == 0


@pytest.mark.skipif(os.getuid() != 0, reason="takes root, to be another user")
def test_another_user_is_denied(asked, tmp_path):
    program, address = asked()
    for directory in (os.path.dirname(address), tmp_path, *list(tmp_path.parents)[:3]):
        os.chmod(directory, 0o755)  # the socket's own check is what is left
    os.chmod(address, 0o666)
    code = (
        "import contextlib,socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
        "with contextlib.suppress(BrokenPipeError):\n"  # it may have been refused already
        "    len(sys.argv) > 2 and s.sendall(b'sockleak/1 version\\n')\n"
        "sys.stdout.write(s.makefile().readline())"
    )
    for uid, more in ((1234, ["ask"]), (65534, ["ask"]), (1234, [])):  # the last says nothing, and holds nobody up
        words = ["setpriv", f"--reuid={uid}", "--clear-groups", "/usr/bin/python3", "-c", code, address, *more]
        done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
        assert done.stdout.startswith("sockleak/1 error denied "), (done.stdout, done.stderr)
    assert control.ask_json(address, "version")["pid"] == program.pid
    assert program.end() == 0


def test_a_forked_child_has_its_own(asked, peer):
    program, address = asked()
    child = program.number("fork")
    try:
        assert control.ask_json(address, "version")["pid"] == program.pid
    finally:
        os.kill(child, signal.SIGTERM)
    program.ask(f"wait {child}")
    assert control.ask_json(address, "version")["pid"] == program.pid
    assert os.path.exists(address)
    assert program.end() == 0


def test_a_program_that_becomes_another(start, peer, tmp_path):
    """The same pid and start time: the new program takes the name over."""
    first = harness.victim("becomer")
    program = start([first, peer.port, harness.victim("puppet")], options={"dir": tmp_path / "ctl"})
    assert program.line() == "open"
    address = control.places(program.pid, tmp_path / "ctl")[0]
    harness.wait_until(lambda: os.path.exists(address), "the control socket")
    program.tell("go on")
    program.ready()
    program.ask(f"connect 127.0.0.1 {peer.port}")
    harness.wait_until(lambda: answers(address), "an answer of the new program")
    assert control.ask_json(address, "version")["pid"] == program.pid
    assert program.end() == 0
    assert not os.path.exists(address)


def answers(address):
    try:
        return control.ask(address, "version")
    except OSError:
        return None
