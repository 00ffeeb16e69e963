"""Node.js: HTTP on both sides, children of every kind, a cluster that hands connections over, threads, the
inspector."""

import re
import signal

import harness
import loads
import pytest
import real
import services

PLACE = "127.0.0.1:8080"
COMMANDS = ("agent 500", "each 200", "children", "workers 2", "slow 20", "agent 100")


def start_node(scene, mode, *flags):
    program = scene.start([harness.need_tool("node"), *flags, real.HERE / "node_work.js", mode, "8080"])
    program.ready()
    return program


def last_lines(program):
    lines = []
    while (line := program.line()) is not None:
        lines.append(line)
    return lines, program.wait(), real.without_ours(program.stderr())


def serving(scene):
    """A server under ab, which then asks itself, starts children and threads; stopped in good order."""
    program = start_node(scene, "serve")
    before = services.tcp_counter(scene.network, "PassiveOpens")
    body = scene.directory / "body"
    body.write_bytes(b"0123456789" * 3000)
    shown = {
        "once": loads.ab(scene, PLACE, "/", 1500),
        "kept": loads.ab(scene, PLACE, "/", 4000, "-k"),
        "post": loads.ab(scene, PLACE, "/", 300, "-k", "-p", body, "-T", "text/plain"),
        "stream": loads.ab(scene, PLACE, "/stream", 100),
        "late": loads.ab(scene, PLACE, "/late", 100, "-k"),
    }
    if scene.can_ask:
        scene.check_idle(program)
        opens = services.tcp_counter(scene.network, "PassiveOpens") - before
        assert real.connections(scene.snapshot(program)) == opens
    for number, command in enumerate(COMMANDS):
        shown[command, number] = program.ask(command, 60)
    assert shown["agent 500", 0] == ["500"]
    scene.check_idle(program)
    shown["stop"] = program.ask("stop")
    program.popen.stdin.close()
    shown["end"] = last_lines(program)
    scene.check_end(program)
    return shown


def handing_over(scene):
    """A cluster: the primary accepts, and sends each connection to a worker over a Unix socket. One worker is killed.
    (The workers open no socket of their own, and nobody in there reports.)"""
    program = start_node(scene, "cluster")
    assert len(real.children_of(program.pid)) == 2
    shown = {"once": loads.ab(scene, PLACE, "/", 1000), "kept": loads.ab(scene, PLACE, "/big?bytes=50000", 1000, "-k")}
    scene.check_idle(program)
    shown["lose"] = sorted([program.ask("lose"), program.line().split()])
    shown["again"] = loads.ab(scene, PLACE, "/", 500)
    scene.check_idle(program)
    shown["stop"] = program.ask("stop")
    shown["end"] = last_lines(program)
    scene.check_end(program)
    return shown


def inspected(scene):
    """SIGUSR1 starts the inspector, which answers; SIGTERM is the program's own."""
    program = start_node(scene, "serve", "--inspect-port=127.0.0.1:9229")
    said = lambda: "Debugger listening" in program.stderr()
    assert not said()
    program.send_signal(signal.SIGUSR1)
    harness.wait_until(lambda: said() or not program.is_alive(), lambda: f"the inspector; {program.stderr()}")
    client = loads.Client(scene, "127.0.0.1:9229")
    client.send("GET /json/version HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
    shown = {"inspector": client.line()}
    client.close()
    shown["once"] = loads.ab(scene, PLACE, "/", 200)
    shown["commands"] = program.ask("agent 50"), program.ask("children")
    scene.check_idle(program)
    program.send_signal(signal.SIGUSR2)
    harness.wait_until(lambda: program.ask("signals") == ["2"], "its own signal, and that of a child")
    program.send_signal(signal.SIGTERM)
    lines, status, text = last_lines(program)
    shown["end"] = [line for line in lines if line], status, re.sub(r"ws://\S+", "ADDRESS", text)
    scene.check_end(program)
    return shown


@pytest.mark.parametrize("variant", real.VARIANTS)
@pytest.mark.parametrize("workload", [serving, handing_over, inspected])
def test_node(compare, workload, variant):
    compare(workload, variant)


def test_node_keeps_its_signal(compare):
    """It wants SIGUSR1 for itself: we step aside."""
    compare(inspected, "auto")


def test_node_is_visited(compare):
    """Attached to and detached from, while it works."""
    compare(serving, real.VISITED)
