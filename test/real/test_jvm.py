"""A JVM that serves HTTP, starts children and is a client of itself, under load, collections and thread dumps."""

import re
import signal
import urllib.parse

import harness
import loads
import pytest
import real
import services

PLACE = "127.0.0.1:8080"


def start_server(scene, nodelay="true"):
    """Without nodelay each answer of several parts takes 40 ms, and a load takes its time at no cost."""
    java, *words = services.java("WorkServer", 8080)
    program = scene.start([java, f"-Dsun.net.httpserver.nodelay={nodelay}", *words])
    program.ready()
    return program


def get(scene, path):
    client = loads.Client(scene, PLACE)
    client.send(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
    answer = client.read(-1)
    client.close()
    head, body = answer.split(b"\r\n\r\n", 1)
    return head.split(b"\r\n")[0].decode(), len(body), real.sha256(body)


def opens(scene):
    """Connections that came about in the network, and so in the server, from which side ever."""
    return services.tcp_counter(scene.network, "PassiveOpens")


def last_lines(program):
    """Its output to the end, and its exit code."""
    lines = []
    while (line := program.line()) is not None:
        lines += [line] if line else []  # behind a thread dump
    return lines, program.wait()


def serving(scene):
    """Each kind of request, once and kept. What the kernel counts is what the library counts."""
    program = start_server(scene)
    body = scene.directory / "body"
    body.write_bytes(b"0123456789" * 5000)
    get(scene, "/echo")
    before = opens(scene), real.connections(scene.snapshot(program)) if scene.can_ask else 0
    shown = {
        "once": loads.ab(scene, PLACE, "/echo", 500),
        "kept": loads.ab(scene, PLACE, "/echo", 3000, "-k"),
        "post": loads.ab(scene, PLACE, "/echo", 400, "-k", "-p", body, "-T", "text/plain"),
        "big": loads.ab(scene, PLACE, "/big?1000000,1", 60, at_once=8),
        "run": loads.ab(scene, PLACE, "/run?hello", 60, at_once=8),
    }
    while scene.waits_for_company():
        assert loads.ab(scene, PLACE, "/echo", 500) == shown["once"]
    for path in ("/big?3000000,7", "/run?" + urllib.parse.quote("a text"), "/nothing"):
        shown[path] = get(scene, path)
    if scene.can_ask:
        assert real.connections(scene.snapshot(program)) - before[1] == opens(scene) - before[0]
        scene.check_idle(program)
    program.popen.stdin.close()
    shown["end"] = last_lines(program)
    scene.check_end(program)
    return shown


def own_clients(scene):
    """HttpClient with its pool, and NIO on both sides, in the same process."""
    program = start_server(scene)
    shown = {}
    for command in ("clients 300", "channels 100 30", "channels 20 200", "clients 100"):
        shown[command] = program.ask(command, 60)
    scene.check_idle(program)
    shown["stop"] = program.ask("stop")
    scene.check_idle(program)
    program.popen.stdin.close()
    shown["end"] = last_lines(program)
    scene.check_end(program)
    return shown


def disturbed(scene):
    """Collections, jcmd and SIGQUIT under load; then SIGTERM."""
    program = start_server(scene, nodelay="false")
    load = loads.start_ab(scene, PLACE, "/big?20000,1", 2000, "-k")
    shown = {"gc": [get(scene, "/gc") for _ in range(4)]}
    assert load.is_alive(), "the load was over too soon"
    jcmd = [harness.need_tool("jcmd"), program.pid]
    for command, sign in (("Thread.print", '"main"'), ("VM.version", "JDK"), ("GC.run", "executed")):
        done = scene.run([*jcmd, command])
        shown[command] = done.status, sign in done.stdout, done.stderr
    program.send_signal(signal.SIGQUIT)
    lines = []
    while not lines or "class space" not in lines[-1]:
        lines.append(program.line())
    names = [re.sub(r"\d+", "N", line.split('"')[1]) for line in lines if line.startswith('"')]
    # Threads of the collector and compiler come and go.
    shown["threads"] = sorted({name for name in names if not re.search("GN? |GC|C[N12] Comp|Sweeper|Attach", name)})
    shown["load"] = loads.end_ab(load)
    shown["run"] = loads.ab(scene, PLACE, "/run?hello", 30, at_once=8)
    scene.check_idle(program)
    program.send_signal(signal.SIGTERM)
    shown["end"] = last_lines(program)
    assert shown["end"] == (["the shutdown hook ran"], 143)
    scene.check_end(program)
    return shown


@pytest.mark.parametrize("variant", real.VARIANTS)
@pytest.mark.parametrize("workload", [serving, own_clients, disturbed])
def test_jvm(compare, workload, variant):
    compare(workload, variant)


def test_jvm_is_visited(compare):
    """Attached to and detached from, while it works."""
    compare(serving, real.VISITED)
