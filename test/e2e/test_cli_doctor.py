"""`sockleak doctor`: what it finds is so."""

import os
import subprocess

import cli
import harness


def findings(*words, **more):
    rows = cli.parsed("doctor", *words, **more)
    assert all(set(row) == {"check", "status", "detail", "advice"} for row in rows)
    assert all(row["status"] in ("ok", "note", "bad") for row in rows)
    assert all(row["advice"] for row in rows if row["status"] == "bad")
    return rows


def find(rows, check):
    return next(row for row in rows if row["check"] == check)


def test_the_host():
    rows = findings()
    assert find(rows, "kernel")["detail"] == os.uname().release
    assert find(rows, "library")["detail"] == str(harness.LIBRARY)
    low, high = open("/proc/sys/net/ipv4/ip_local_port_range").read().split()
    assert find(rows, "ports")["detail"].startswith(f"{low} to {high}, ")
    fin = open("/proc/sys/net/ipv4/tcp_fin_timeout").read().strip()
    assert any(f"tcp_fin_timeout = {fin}:" in row["detail"] for row in rows)
    text = cli.output("doctor")
    assert [line.split()[1] for line in text.splitlines() if line[0] != " "][:3] == ["kernel", "library", "libunwind"]


def test_an_instrumented_process(puppet, peer):
    program = puppet()
    program.number(f"connect 127.0.0.1 {peer.port}")
    cli.await_control_socket(program)
    rows = findings(program.pid)
    assert find(rows, "instrumented")["status"] == "ok"
    assert find(rows, "control")["detail"] == "its control socket answers"
    assert find(rows, "sockets")["detail"].startswith("1 TCP open, 0 in CLOSE_WAIT")
    if "/libunwind.so." in open(f"/proc/{program.pid}/maps").read():
        assert [row["detail"] for row in rows if row["check"] == "libunwind"][1] == "in the process: native stacks are walked"


def test_a_process_where_it_is_switched_off(puppet, peer):
    program = puppet()
    program.number(f"connect 127.0.0.1 {peer.port}")
    cli.await_control_socket(program)
    cli.run("off", program.pid)
    found = find(findings(program.pid), "enabled")
    assert found["status"] == "note" and found["advice"] == f"sockleak set {program.pid} enabled=1"
    cli.run("set", program.pid, "enabled=1")
    assert not any(row["check"] == "enabled" for row in findings(program.pid))


def test_a_process_without_a_socket_yet(puppet):
    """The library is there, and its control socket comes with the first TCP socket."""
    program = puppet()
    found = find(findings(program.pid), "control")
    assert found["status"] == "note" and "no TCP socket yet" in found["detail"]


def test_a_process_without_the_library(start):
    program = start("puppet", library=False)
    program.ready()
    rows = findings(program.pid)
    assert find(rows, "instrumented")["status"] == "note"
    assert "sockleak run" in find(rows, "instrumented")["advice"]
    assert find(rows, "preload")["status"] == "ok"


def test_a_process_that_has_dropped_it(tmp_path, start):
    """A static one: LD_PRELOAD names it in vain."""
    source = "#include <unistd.h>\nint main(void) { char c; write(1, \"ready\\n\", 6); return (int)read(0, &c, 1); }\n"
    done = subprocess.run([harness.need_tool("gcc"), "-static", "-w", "-x", "c", "-", "-o", tmp_path / "static"],
                          input=source, text=True, capture_output=True, check=False)
    if done.returncode:
        raise harness.Forbidden(f"a static program: {done.stderr[:200]}")
    program = start([tmp_path / "static"])
    program.ready()
    rows = findings(program.pid)
    assert find(rows, "instrumented") ["status"] == "bad" and "LD_PRELOAD names it" in find(rows, "instrumented")["detail"]
    assert "linked statically" in find(rows, "preload")["advice"]


def test_fds_near_their_end(start):
    program = start("puppet", library=False, nofile=8)
    program.ready()
    for _ in range(3):
        program.number("open /dev/null")
    rows = [row for row in findings(program.pid) if row["check"] == "fds"]
    assert rows[-1]["status"] == "bad" and rows[-1]["detail"].endswith("of 8 in use")


def test_ports_near_their_end(start, networks):
    network = networks()
    program = start("puppet", library=False, network=network)
    program.ready()
    _, port = program.ask("listen 127.0.0.1 100")
    network.narrow_ports(40000, 40019)
    program.ask(f"connect 127.0.0.1 {port} 15")
    bad = [row for row in findings(program.pid) if row["status"] == "bad"]
    assert [row["detail"] for row in bad] == [f"15 of 20 are used for 127.0.0.1:{port}"]


def test_commands(tmp_path):
    assert find(findings("true"), "preload")["detail"].endswith("/true can be preloaded")
    rows = findings("no-such-program-here", code=cli.NOT_FOUND)
    assert find(rows, "preload")["status"] == "bad"
    path = cli.write(tmp_path / "plain", "")
    findings(path, code=cli.CANNOT_RUN)


def test_refusals():
    free = next(pid for pid in range(4_000_000, 1, -1) if not os.path.exists(f"/proc/{pid}"))
    assert cli.refusal("doctor", free, code=cli.NO_PROCESS) == f"sockleak: no process {free}"
