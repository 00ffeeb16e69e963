"""`sockleak report PID` and `list`: processes with the library, through it, and any other from outside."""

import json
import os
import re
import shutil
import subprocess

import cli
import harness
import pytest
import services
import snapshots

RUNS = "alone"  # looks at all processes of the machine (scripts/check-all)


@pytest.fixture
def bare(start):
    """A function that starts a puppet without the library."""

    def start_bare(**more):
        program = start("puppet", library=False, **more)
        program.ready()
        return program

    return start_bare


def external(pid, **more):
    snapshot = cli.parsed("report", pid, **more)
    harness.schema_validator().validate(snapshot)
    assert (snapshot["mode"], snapshot["sites"], snapshot["trigger"]) == ("external", None, "command")
    assert snapshot["process"]["pid"] == pid
    return snapshot


def assert_as_ss(snapshot, network=None):
    states = {k: v for k, v in snapshot["totals"]["by_state"].items() if v}
    assert states == cli.states_of(snapshot["process"]["pid"], network)


def test_with_the_library_it_is_the_librarys_report(puppet, peer):
    program = puppet(options={"detail": 0})
    cli.leak(program, peer, 11)
    snapshot = cli.judged(program)
    harness.check_snapshot(snapshot)
    assert (snapshot["mode"], snapshot["trigger"], snapshot["verdict"]) == ("preload", "command", "LEAK")
    assert re.fullmatch(r"do_connect \(commands\.h:\d+\)", snapshot["sites"][0]["blame"])
    text = cli.run("report", program.pid)
    assert text.stderr == "" and "\nLEAK" in text.stdout and "(command)" in text.stdout
    cli.run("report", "--check", "--short", program.pid, code=cli.FOUND)
    row = row_of(program.pid)
    assert (row["seen"], row["instrumented"], row["stuck"], row["verdict"]) == ("library", True, 11, "LEAK")
    assert row["blame"] == snapshot["sites"][0]["blame"]


def test_without_it_states_peers_ports_and_fds(bare, peer):
    program = bare()
    _, port = map(int, program.ask("listen 127.0.0.1"))
    fds = cli.close_wait(program, peer, 5)
    for _ in range(3):
        program.number(f"connect 127.0.0.1 {peer.port}")
        peer.accept()
    twin = program.number(f"dup {fds[0]}")
    snapshot = external(program.pid)
    assert_as_ss(snapshot)
    assert snapshot["no_sites"] and snapshot["options"] == {}
    assert snapshot["process"]["name"] == "puppet" and snapshot["process"]["runtime"] == "native"
    totals, limits = snapshot["totals"], snapshot["limits"]
    assert (totals["open"], totals["adopted"], totals["close_wait"], totals["stuck"]) == (9, 9, 5, 0)
    assert limits["nofile_used"] == len(os.listdir(f"/proc/{program.pid}/fd"))
    low, high = map(int, open("/proc/sys/net/ipv4/ip_local_port_range").read().split())
    assert (limits["port_low"], limits["port_high"]) == (low, high)
    (row,) = snapshot["peers"]
    assert (row["direction"], row["address"], row["port"]) == ("out", "127.0.0.1", peer.port)
    assert (row["open"], row["close_wait"], row["established"]) == (8, 5, 3)
    assert row["ports"]["exact"] and row["ports"]["held"] == row["ports"]["used"] == 8
    assert row["ports_left"] == high - low + 1 - limits["ports_taken"] - limits["ports_reserved"] - 8
    sockets = {s["fd"]: s for s in snapshot["sockets"]}
    assert sockets[fds[0]]["shared"] and twin not in sockets and not sockets[fds[1]]["shared"]
    assert len({s["cookie"] for s in sockets.values()}) == 9
    assert all(s["site"] is None for s in sockets.values())
    assert f"127.0.0.1:{port}" in {s["local"] for s in sockets.values() if s["state"] == "LISTEN"}


def test_directions_from_outside(bare, peer):
    program = bare()
    listener, port = map(int, program.ask("listen 127.0.0.1"))
    client = harness.socket.create_connection(("127.0.0.1", port))
    program.number(f"accept {listener}")
    program.number(f"connect 127.0.0.1 {peer.port}")
    peer.accept()
    rows = {(r["direction"], r["port"]) for r in external(program.pid)["peers"]}
    client.close()
    assert rows == {("in", port), ("out", peer.port)}


def test_dead_but_open_and_unread_from_outside(bare, peer):
    program = bare()
    program.number(f"connect 127.0.0.1 {peer.port}")
    harness.reset(peer.accept()[0])
    program.number(f"connect 127.0.0.1 {peer.port}")
    far, _ = peer.accept()
    far.sendall(b"x" * 100)
    far.close()
    harness.wait_until(lambda: cli.states_of(program.pid).get("CLOSE_WAIT") == 1, "the FIN")
    snapshot = external(program.pid)
    assert snapshot["totals"]["dead"] == 1
    causes = {s["state"]: (s["cause"], s["unread_bytes"]) for s in snapshot["sockets"]}
    assert causes == {"CLOSE": ("dead-but-open", 0), "CLOSE_WAIT": ("unread-data", 100)}


def test_causes_from_outside(bare, peer):
    """Whether a program has read the end is known to the kernel alone, and to its list of sockets."""
    program = bare()
    ignored, unlooked = cli.close_wait(program, peer, 2)
    assert program.number(f"read {ignored}") == 0
    causes = {s["fd"]: (s["cause"], s["eof_seen"]) for s in external(program.pid)["sockets"]}
    assert causes == {ignored: ("eof-ignored", True), unlooked: ("never-looked", False)}


def test_by_sock_diag_where_fds_may_not_be_copied(bare, peer, tmp_path):
    """pidfd_getfd() is forbidden to the command, as Docker's filter does."""
    program = bare()
    program.ask("listen 127.0.0.1")
    fds = cli.close_wait(program, peer, 4)
    copied = external(program.pid)
    wrap = [harness.need_tool("strace"), "-f", "-qq", "-o", tmp_path / "strace", "-e", "trace=pidfd_getfd", "-e",
            "inject=pidfd_getfd:error=EPERM"]
    looked_up = external(program.pid, wrap=wrap)
    assert "EPERM" in (tmp_path / "strace").read_text()
    assert_as_ss(looked_up)
    for snapshot in (copied, looked_up):
        snapshot["times"] = [s.pop("close_wait_ms") for s in snapshot["sockets"]] + [
            s.pop("quiet_ms") for s in snapshot["sockets"]]
        snapshot["sockets"].sort(key=lambda s: s["fd"])
        for row in snapshot["peers"]:  # listeners of the machine come and go
            row["ports_left"] += snapshot["limits"]["ports_taken"]
    assert looked_up["sockets"] == copied["sockets"] and len(fds) == 4
    assert looked_up["peers"] == copied["peers"]


def test_in_another_network_namespace(bare, networks):
    network = networks()
    network.run("sysctl", "-q", "-w", "net.ipv4.ip_local_port_range=40000 40099")
    program = bare(network=network)
    _, port = map(int, program.ask("listen 127.0.0.1"))
    program.number(f"connect 127.0.0.1 {port}")
    snapshot = external(program.pid)
    assert_as_ss(snapshot, network)
    assert (snapshot["limits"]["port_low"], snapshot["limits"]["port_high"]) == (40000, 40099)


def test_stuck_after_a_minute_without_waiting_for_it(bare, peer):
    """The FIN's age is the kernel's: what it says is what the report says."""
    program = bare()
    cli.close_wait(program, peer, 2)
    snapshot = external(program.pid)
    ages = [s["close_wait_ms"] for s in snapshot["sockets"]]
    assert all(0 <= age < harness.PATIENCE_S * 1000 for age in ages), ages
    assert snapshot["totals"]["began_after_ms"] is not None


def test_text_from_outside(bare, peer):
    program = bare()
    cli.close_wait(program, peer, 10)
    text = cli.output("report", program.pid)
    assert "\nUNKNOWN: 10 open, 10 CLOSE_WAIT" in text
    assert "WHERE     not known: the library is not in this process" in text
    assert all(len(line) <= 100 for line in text.splitlines()[:11])


def test_refusals(bare):
    program = bare()
    free = next(pid for pid in range(4_000_000, 1, -1) if not os.path.exists(f"/proc/{pid}"))
    assert cli.refusal("report", free, code=cli.NO_PROCESS) == f"sockleak: no process {free}"
    line = cli.refusal("report", program.pid, code=cli.DENIED, wrap=cli.as_plain_user(cli.SOCKLEAK))
    assert line.endswith(f"this would be: sudo sockleak report {program.pid}")
    for none in ("0", "99999999999999"):
        assert cli.refusal("report", none, code=cli.NO_PROCESS) == f"sockleak: no process {none}"


def test_a_refusal_has_the_whole_command(bare):
    """That would be permitted: as it was typed, for a shell."""
    program = bare()
    words = cli.as_plain_user(cli.SOCKLEAK)
    output = "it's.html"
    line = cli.refusal("report", "-f", "html", program.pid, "-o", output, code=cli.DENIED, wrap=words)
    assert line.endswith(f"would be: sudo sockleak report -f html {program.pid} -o 'it'\\''s.html'"), line
    line = cli.refusal("doctor", program.pid, "--json", code=cli.DENIED, wrap=words)
    assert line == f"sockleak: process {program.pid}: not permitted; this would be: sudo sockleak doctor {program.pid} --json"
    with cli.open_directory() as directory:
        mine, other = cli.write(f"{directory}/mine.json", "{}"), cli.write(f"{directory}/other.json", "{}")
        os.chmod(mine, 0o600)
        line = cli.refusal("diff", mine, other, code=cli.DENIED, wrap=words)
        assert line == f"sockleak: {mine}: not permitted; this would be: sudo sockleak diff {mine} {other}"
        good = cli.write(f"{directory}/good.json", json.dumps(snapshots.incident(20, check=False)))
        line = cli.refusal("report", good, "-o", f"{directory}/out", code=cli.DENIED, wrap=words)
        assert line.endswith(f"/out: not permitted; this would be: sudo sockleak report {good} -o {directory}/out")


def test_a_wrapper_points_at_its_child(start, peer, tmp_path):
    inner = f"sh -c '{harness.victim('puppet')}; exit'"
    shell = start(["sh", "-c", f"{inner}; exit"], library=False)
    shell.ready()
    shell.number(f"connect 127.0.0.1 {peer.port}")
    peer.accept()[0].close()
    child = shell.pid
    for _ in range(2):
        child = int(open(f"/proc/{child}/task/{child}/children").read())
    harness.wait_until(lambda: cli.states_of(child).get("CLOSE_WAIT"), "the FIN")
    done = cli.run("report", shell.pid)
    assert f"its child {child} (puppet) has 1 in CLOSE_WAIT: sockleak report {child}" in done.stderr


def test_control_off_is_seen_from_outside(puppet, peer):
    program = puppet(options={"control": "off"})
    cli.close_wait(program, peer, 3)
    done = cli.run("report", program.pid, "--json")
    snapshot = json.loads(done.stdout)
    assert snapshot["mode"] == "external" and snapshot["totals"]["close_wait"] == 3
    assert "no control socket" in done.stderr
    assert row_of(program.pid)["seen"] == "outside"


def row_of(pid, *words):
    return {row["pid"]: row for row in cli.parsed("list", *words)}.get(pid)


def test_list(puppet, bare, peer):
    with_it, without, healthy = puppet(), bare(), bare()
    cli.close_wait(with_it, peer, 2)
    cli.close_wait(without, peer, 3)
    assert row_of(without.pid) is None and row_of(healthy.pid, "--all") is None
    row = row_of(with_it.pid)
    assert (row["name"], row["open"], row["close_wait"], row["instrumented"]) == ("puppet", 2, 2, True)
    row = row_of(without.pid, "--all")
    assert (row["close_wait"], row["instrumented"], row["blame"], row["seen"]) == (3, False, None, "outside")
    table = cli.output("list", "--all").splitlines()
    assert table[0].split() == ["PID", "NAME", "UP", "OPEN", "CLOSE_WAIT", "STUCK", "LIBRARY", "WORST", "BLAME"]
    cells = {line.split()[0]: line.split() for line in table[1:]}
    assert cells[str(without.pid)][1] == "puppet" and cells[str(without.pid)][3:] == ["3", "3", "0", "no", "-"]


def test_list_expect(start, tmp_path):
    """Under a name that no other test has."""
    name = f"expected{os.getpid()}"
    shutil.copy(harness.victim("puppet"), tmp_path / name)
    assert "no process is named" in cli.run("list", "--expect", name, code=cli.NO_PROCESS).stderr
    start([tmp_path / name]).ready()
    cli.run("list", "--expect", f"{name}*")
    bare = start([tmp_path / name], library=False)
    bare.ready()
    done = cli.run("list", "--expect", name, code=cli.FOUND)
    assert f"process {bare.pid} ({name}) does not have the library" in done.stderr
    assert "for one process" in cli.refusal("list", "4242", code=cli.USAGE)


def test_list_of_another_user_shows_only_theirs(puppet):
    program = puppet()
    words = cli.as_plain_user(cli.SOCKLEAK)
    assert program.pid not in {row["pid"] for row in cli.parsed("list", "--all", wrap=words)}


def test_list_says_what_it_may_not_see():
    """One's own process that has made itself invisible: the command that would be permitted, as it was typed."""
    words = cli.as_plain_user(cli.SOCKLEAK)
    script = "import ctypes; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0); print('ready', flush=True); input()"
    with subprocess.Popen([*words, "/usr/bin/python3", "-c", script], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as hidden:  # 4: PR_SET_DUMPABLE
        assert hidden.stdout.readline() == b"ready\n"
        done = cli.run("list", "--all", "--expect", "no-such*", "--json", code=cli.NO_PROCESS, wrap=words)
        hidden.kill()
    line = next(line for line in done.stderr.splitlines() if "ours to see" in line)
    assert line.endswith("; this would be: sudo sockleak list --all --expect 'no-such*' --json"), line


@pytest.fixture(scope="module")
def leaky(tmp_path_factory):
    """A JVM without the library that leaks to an nginx, in a private network: (pid, network, reports of nginx)."""
    directory = tmp_path_factory.mktemp("leaky")
    network = harness.PrivateNetwork()
    programs = []

    def start_one(argv, **more):
        programs.append(harness.start(argv, directory / f"program{len(programs)}", **more))
        return programs[-1]

    try:
        nginx = services.start_nginx(start_one, network, directory / "nginx",
                                     services.web_config(directory / "nginx", "1s"), library=False)
        java = start_one(services.java("LeakyClient", f"http://{services.PLACE}/", 25, 0, "main"), network=network,
                         library=False)
        assert java.line() == "done 25 failed 0", java.stderr()
        closed = lambda: cli.states_of(java.pid, network).get("CLOSE_WAIT") == 25
        harness.wait_until(closed, "nginx to close")
        yield java, nginx, network
    finally:
        for program in programs:
            program.kill()
        network.close()


def test_a_jvm_and_nginx_from_outside(leaky):
    java, nginx, network = leaky
    snapshot = external(java.pid)
    assert_as_ss(snapshot, network)
    assert snapshot["process"]["name"] == "java LeakyClient" and snapshot["process"]["runtime"] == "jvm"
    peer = snapshot["peers"][0]
    assert (peer["address"], peer["port"], peer["direction"], peer["close_wait"]) == ("127.0.0.1", 8080, "out", 25)
    assert 900 <= peer["idle_before_fin_ms_p50"] < 5000, "the idle timeout of nginx"
    assert_as_ss(external(nginx.pid), network)
    assert row_of(java.pid, "--all")["close_wait"] == 25


def test_reap_a_jvm_from_outside(leaky):
    """Nothing is injected, and the ports are free. After the report: it changes what that sees."""
    java, _, network = leaky
    (dry,) = cli.parsed("reap", java.pid, "--older-than=0s", "--dry-run")
    assert (dry["way"], dry["reaped"], dry["skipped"], dry["dry_run"]) == ("outside", 25, 0, True)
    (done,) = cli.parsed("reap", java.pid, "--older-than=0s")
    assert done["reaped"] == 25 and done["skipped"] == 0
    left = lambda: cli.states_of(java.pid, network)
    harness.wait_until(lambda: not left().get("CLOSE_WAIT"), left)
    assert java.is_alive() and external(java.pid)["totals"]["dead"] == 25
    used = network.run("ss", "-tanH", "state", "close-wait").splitlines()
    assert used == []


def test_many_sockets_are_reported_in_time(bare, peer):
    """What a leak of thousands looks like: one pass, no quadratic work."""
    program = bare(nofile=4096)
    for _ in range(1500):
        program.tell(f"connect 127.0.0.1 {peer.port}")
        peer.accept()[0].close()
    for _ in range(1500):
        assert program.line().startswith("ok")
    harness.wait_until(lambda: external(program.pid)["totals"]["close_wait"] == 1500, "all to be closed")
    assert len(external(program.pid)["sockets"]) == 1500


def test_standard_output_that_is_full():
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([cli.SOCKLEAK, "options"], stdout=full, stderr=subprocess.PIPE, text=True, check=False,
                              timeout=30)
    assert done.returncode == cli.USAGE and "cannot write" in done.stderr
