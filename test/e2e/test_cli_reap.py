"""`sockleak reap`: from outside, by the rules of the ladder; through the library where it can."""

import ctypes
import os
import re
import signal
import socket
import subprocess
import time

import cli
import harness
import pytest

NOW = "--older-than=0s"


@pytest.fixture
def bare(start):
    """A function that starts a puppet without the library, which ignores SIGPIPE."""

    def start_bare(sigpipe="ignore", **more):
        program = start("puppet", library=False, **more)
        program.ready()
        program.ask(f"sigpipe {sigpipe}")
        return program

    return start_bare


def reap(program, *words, **more):
    (done,) = cli.parsed("reap", program.pid, NOW, *words, **more)
    assert done["pid"] == program.pid and done["way"] == "outside"
    because = {reason: n for reason, n in done["skipped_because"].items() if n}
    assert sum(because.values()) == done["skipped"]
    return done["reaped"], because


def count_close_wait(program, network=None):
    return cli.states_of(program.pid, network).get("CLOSE_WAIT", 0)


def test_outbound_connections_are_ended(bare, peer):
    program = bare()
    fds = cli.close_wait(program, peer, 6)
    alive = program.number(f"connect 127.0.0.1 {peer.port}")
    far, _ = peer.accept()
    listener = program.ask("listen 127.0.0.1")[0]
    assert reap(program) == (6, {})
    harness.wait_until(lambda: count_close_wait(program) == 0, "all to be ended")
    states = cli.states_of(program.pid)
    assert states["ESTABLISHED"] == 1 and states["LISTEN"] == 1
    far.sendall(b"still here")
    assert program.number(f"read {alive}") == 10
    for fd in fds:  # the numbers are the program's still
        assert program.number(f"read {fd}") == 0
        program.ask(f"close {fd}")
    program.ask(f"close {listener}")


def test_text_says_which_way_and_what(bare, peer):
    program = bare()
    cli.close_wait(program, peer, 3)
    text = cli.output("reap", program.pid)
    assert text == f"process {program.pid} (puppet): from outside: shut down 0, skipped 3 (younger 3)\n"
    text = cli.output("reap", program.pid, NOW, "--dry-run")
    assert text == f"process {program.pid} (puppet): from outside: would shut down 3, skipped 0\n"
    assert count_close_wait(program) == 3
    text = cli.output("reap", program.pid, NOW)
    told = r"process \d+ \(puppet\): from outside: shut down 3, probed 3, of which 0 ended by that, skipped 0\n"
    assert re.fullmatch(told, text), text


def test_rules_choose_the_peer(bare, peer):
    program, other = bare(), harness.Peer()
    cli.close_wait(program, peer, 2)
    program.number(f"connect 127.0.0.1 {other.port}")
    other.accept()[0].close()
    harness.wait_until(lambda: count_close_wait(program) == 3, "the FINs")
    assert reap(program, f"--peer=127.0.0.0/8:{other.port}") == (1, {"other-peer": 2})
    assert reap(program, "--peer=10.0.0.0/8") == (0, {"other-peer": 2})
    other.close()


def test_data_that_waits_is_spared(bare, peer):
    program = bare()
    program.number(f"connect 127.0.0.1 {peer.port}")
    far, _ = peer.accept()
    far.sendall(b"an answer")
    far.close()
    program.number(f"connect 127.0.0.1 {peer.port}")
    far, _ = peer.accept()
    far.sendall(bytes.fromhex("150303001a") + bytes(26))  # a lone close_notify of TLS 1.2
    far.close()
    harness.wait_until(lambda: count_close_wait(program) == 2, "the FINs")
    assert reap(program) == (1, {"unread-data": 1})


def test_data_that_goes_is_spared(bare, peer):
    """A half-close in use: the peer has closed its half and reads slowly."""
    program = bare()
    fd = program.number(f"connect 127.0.0.1 {peer.port}")
    far, _ = peer.accept()
    far.shutdown(socket.SHUT_WR)
    harness.wait_until(lambda: count_close_wait(program) == 1, "the FIN")
    for _ in range(200):  # more than the buffers hold: it blocks in one of them
        program.tell(f"write {fd} 60000")
    unsent = lambda: cli.parsed("report", program.pid)["sockets"][0]["unsent_bytes"] > 100000
    harness.wait_until(unsent, "the buffers to fill")
    assert reap(program) == (0, {"unsent-data": 1})


def connect_in(program):
    """A client of the program: its own socket, and the program's fd of it."""
    listener, port = program.ask("listen 127.0.0.1")
    client = socket.create_connection(("127.0.0.1", port))
    return client, program.number(f"accept {listener}")


def test_inbound_connections_are_asked_for_and_probed(bare):
    """A client that half-closed and waits for its answer acknowledges the probe: it keeps its connection."""
    program = bare()
    client, fd = connect_in(program)
    client.shutdown(socket.SHUT_WR)
    harness.wait_until(lambda: count_close_wait(program) == 1, "the FIN")
    assert reap(program) == (0, {"inbound": 1})
    assert reap(program, "--inbound") == (0, {"end-unread": 1})
    assert program.number(f"read {fd}") == 0
    (done,) = cli.parsed("reap", program.pid, NOW, "--inbound")
    assert (done["reaped"], done["probed"], done["skipped_because"]["peer-waits"]) == (0, 1, 1)
    program.ask(f"write {fd} 5")
    assert client.recv(10) != b"", "the answer"
    client.close()


def test_a_peer_that_was_not_asked_in_time_is_not_silent(bare):
    """The kernel's timer comes later than the wait for an answer ends."""
    program = bare()
    client, fd = connect_in(program)
    client.shutdown(socket.SHUT_WR)
    assert program.number(f"read {fd}") == 0
    began = time.monotonic()
    harness.wait_until(lambda: time.monotonic() - began > 0.1, "the FIN to be older than a tick")
    late = {"LD_PRELOAD": str(harness.victim("so_late_probe.so"))}
    (done,) = cli.parsed("reap", program.pid, NOW, "--inbound", env=late)
    assert (done["reaped"], done["probed"], done["skipped_because"]["peer-waits"]) == (0, 1, 1)
    program.ask(f"write {fd} 5")
    assert client.recv(10) != b"", "the answer"
    client.close()


def test_the_probe_leaves_no_trace(bare):
    """The program's own keepalive settings are as they were."""
    program = bare()
    client, fd = connect_in(program)
    client.shutdown(socket.SHUT_WR)
    assert program.number(f"read {fd}") == 0
    before = settings_of(program, fd)
    (done,) = cli.parsed("reap", program.pid, NOW, "--inbound")
    assert done["probed"] == 1 and settings_of(program, fd) == before
    client.close()


def test_interrupted_amid_a_probe_it_leaves_no_trace(bare, networks):
    """The peer's host is gone: the probe waits for a second. Ctrl-C ends the command, and no probe is sent for ever."""
    network = networks()
    program = bare(network=network)
    listener, port = program.ask("listen 127.0.0.1")
    fd = program.number(f"connect 127.0.0.1 {port}")
    far = program.number(f"accept {listener}")
    program.ask(f"write {far} 5")
    program.ask(f"close {far}")
    assert program.number(f"read {fd}") == 5
    harness.wait_until(lambda: count_close_wait(program, network) == 1, "the FIN")
    network.run("ip", "link", "set", "lo", "down")
    before = settings_of(program, fd)
    command = subprocess.Popen([cli.SOCKLEAK, "reap", str(program.pid), NOW], stdout=subprocess.PIPE)
    harness.wait_until(lambda: settings_of(program, fd) != before, "the probe")
    command.send_signal(signal.SIGINT)
    command.communicate(timeout=harness.PATIENCE_S)
    assert command.returncode == -signal.SIGINT and settings_of(program, fd) == before


def settings_of(program, fd):
    """SO_KEEPALIVE and TCP_KEEPIDLE of another process's socket, through a copy: pidfd_getfd(2)."""
    pidfd = os.pidfd_open(program.pid)
    try:
        with socket.socket(fileno=ctypes.CDLL(None).syscall(438, pidfd, fd, 0)) as copy:
            return copy.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), copy.getsockopt(
                socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
    finally:
        os.close(pidfd)


def test_a_peer_that_has_forgotten_is_ended_by_the_probe(bare, networks):
    """Its FIN_WAIT2 has run out: it answers RST, and nothing is cut."""
    network = networks()
    network.run("sysctl", "-q", "-w", "net.ipv4.tcp_fin_timeout=1")
    server, client = bare(network=network), bare(network=network)
    listener, port = server.ask("listen 127.0.0.1")
    fd = client.number(f"connect 127.0.0.1 {port}")
    far = server.number(f"accept {listener}")
    server.ask(f"write {far} 8")
    server.ask(f"close {far}")
    harness.wait_until(lambda: count_close_wait(client, network) == 1, "the FIN")
    assert client.number(f"read {fd}") == 8
    sockets = lambda: network.run("ss", "-tanH")
    harness.wait_until(lambda: "FIN-WAIT" not in sockets(), sockets)
    (done,) = cli.parsed("reap", client.pid, NOW)
    assert (done["probed"], done["ended_by_probe"], done["reaped"], done["shut_down"]) == (1, 1, 1, 0)
    assert client.number(f"read {fd}") == 0 or client.is_alive()


def test_what_another_process_shares_is_spared(bare, peer):
    program = bare()
    cli.close_wait(program, peer, 1)
    child = program.number("fork")
    assert reap(program) == (0, {"shared": 1})
    assert harness.wait_until(lambda: child, "the child")
    assert count_close_wait(program) == 1


def test_a_process_whose_first_thread_has_ended_shares_too(bare, peer):
    program = bare()
    (fd,) = cli.close_wait(program, peer, 1)
    child = program.number(f"hold thread {fd}")
    harness.wait_until(lambda: os.listdir(f"/proc/{child}/fd") == [], "the end of its first thread")
    assert reap(program) == (0, {"shared": 1})
    assert count_close_wait(program) == 1


def test_sigpipe_at_its_default_is_not_risked(bare, peer):
    program = bare(sigpipe="default")
    assert cli.output("reap", program.pid, NOW).endswith("shut down 0, skipped 0\n")  # nothing to risk
    fd = cli.close_wait(program, peer, 1)[0]
    line = cli.refusal("reap", program.pid, NOW, code=cli.DENIED)
    assert "SIGPIPE" in line and line.endswith(f"sockleak reap {program.pid} --older-than=0ms --force")
    assert count_close_wait(program) == 1
    assert reap(program, "--force") == (1, {})
    program.ask(f"close {fd}")


def test_selectors_only_count_without_yes(start, peer, tmp_path):
    """Under a name that no other test has."""
    name = f"reaped{os.getpid()}"
    path = tmp_path / name
    path.write_bytes(open(harness.victim("puppet"), "rb").read())
    path.chmod(0o755)
    programs = []
    for _ in range(2):
        programs.append(start([path], library=False))
        programs[-1].ready()
        programs[-1].ask("sigpipe ignore")
        cli.close_wait(programs[-1], peer, 2)
    done = cli.run("reap", "--exe", name, NOW)
    assert done.stdout.count("would shut down 2") == 2
    assert done.stderr == "sockleak: 4 connections would be ended in 2 of 2 processes; nothing was done: add --yes to do it\n"
    assert [count_close_wait(p) for p in programs] == [2, 2]
    rows = cli.parsed("reap", "--exe", f"{tmp_path}/*", NOW, "--yes")
    assert sorted(row["pid"] for row in rows) == sorted(p.pid for p in programs)
    assert all(row["reaped"] == 2 for row in rows)
    assert cli.run("reap", "--exe", name, NOW).stderr == "sockleak: nothing would be ended in any of 2 processes\n"
    assert "no process is selected" in cli.refusal("reap", "--exe", "nobody-has-this", code=cli.NO_PROCESS)


def test_static_and_go_programs_are_served(tmp_path, start, peer):
    """Nothing could be preloaded into this one."""
    source = harness.ROOT / "test/victims/puppet.c"
    done = subprocess.run([harness.need_tool("gcc"), "-static", "-I", harness.ROOT / "include", "-o", tmp_path / "static",
                           source, "-pthread", "-w"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise harness.Forbidden(f"a static program: {done.stderr[:200]}")
    program = start([tmp_path / "static"], library=False)
    program.ready()
    program.ask("sigpipe ignore")
    cli.close_wait(program, peer, 4)
    assert reap(program) == (4, {})


def test_refusals(bare):
    program = bare()
    words = cli.as_plain_user(cli.SOCKLEAK)
    line = cli.refusal("reap", program.pid, "--peer=:80", code=cli.DENIED, wrap=words)
    assert line.endswith(f"sudo sockleak reap {program.pid} --older-than=60000ms --peer=:80")
    assert "a duration with its unit" in cli.refusal("reap", program.pid, "--older-than=5", code=cli.USAGE)
    assert "--peer=host" in cli.refusal("reap", program.pid, "--peer=host", code=cli.USAGE)
    assert "which process?" in cli.refusal("reap", code=cli.USAGE)
    assert "no process id" in cli.refusal("reap", "puppet", code=cli.USAGE)
    assert "not both" in cli.refusal("reap", program.pid, "--exe=puppet", "--yes", code=cli.USAGE)
    assert "not both" in cli.refusal("reap", program.pid, "--all", "--yes", code=cli.USAGE)
    free = next(pid for pid in range(4_000_000, 1, -1) if not os.path.exists(f"/proc/{pid}"))
    assert f"no process {free}" in cli.refusal("reap", free, code=cli.NO_PROCESS)


def test_where_copies_are_forbidden_it_says_so(bare, peer, tmp_path):
    program = bare()
    cli.close_wait(program, peer, 1)
    wrap = [harness.need_tool("strace"), "-f", "-qq", "-o", tmp_path / "strace", "-e", "trace=pidfd_getfd", "-e",
            "inject=pidfd_getfd:error=EPERM"]
    line = cli.refusal("reap", program.pid, NOW, code=cli.DENIED, wrap=wrap)
    assert "not permitted" in line and count_close_wait(program) == 1


def test_through_the_library_where_it_is(puppet, peer):
    program = puppet(options={"deadline": "1h"})
    cli.close_wait(program, peer, 4)
    harness.wait_until(lambda: program.report()["totals"]["close_wait"] == 4, "4 CLOSE_WAIT")
    age = "--older-than=100ms"
    (dry,) = cli.parsed("reap", program.pid, age, "--dry-run")
    assert (dry["way"], dry["reaped"], dry["dry_run"]) == ("library", 4, True)
    assert program.report()["totals"]["close_wait"] == 4
    text = cli.run("reap", program.pid, age).stdout
    assert f"process {program.pid} (puppet): through its library: ended 4, skipped 0" in text
    totals = program.report()["totals"]
    assert totals["close_wait"] == 0 and totals["reclaimed"]["shutdown"] == 4
    assert program.end() == 0


def test_a_dry_run_that_is_in_force_is_said(puppet, peer):
    program = puppet(options={"deadline": "1h", "action": "shutdown", "dry_run": 1})
    cli.close_wait(program, peer, 2)
    harness.wait_until(lambda: program.report()["totals"]["close_wait"] == 2, "2 CLOSE_WAIT")
    text = cli.output("reap", program.pid, "--older-than=100ms")
    assert text.endswith("through its library: would end 2, skipped 0; dry_run=1 is in force there\n"), text
    assert count_close_wait(program) == 2


def test_inbound_ones_are_asked_for(puppet):
    """Through the library as from outside: only with --inbound."""
    program = puppet(options={"deadline": "1h"})
    client, fd = connect_in(program)
    client.close()
    harness.wait_until(lambda: program.report()["totals"]["close_wait"] == 1, "CLOSE_WAIT")
    assert cli.output("reap", program.pid, NOW).endswith("ended 0, skipped 1 (inbound 1)\n")
    assert cli.output("reap", program.pid, NOW, "--inbound").endswith("ended 0, skipped 1 (cause 1)\n")
    assert program.number(f"read {fd}") == 0
    text = cli.output("reap", program.pid, NOW, "--inbound")
    assert text.endswith("ended 0, probed 1, of which 0 ended by that, skipped 1 (peer-waits 1)\n"), text


def test_where_the_library_is_switched_off_it_goes_from_outside(puppet, peer):
    program = puppet()
    program.ask("sigpipe ignore")
    cli.close_wait(program, peer, 2)
    cli.run("off", program.pid)
    done = cli.run("reap", program.pid, NOW)
    assert "switched off" in done.stderr and "from outside: shut down 2" in done.stdout
