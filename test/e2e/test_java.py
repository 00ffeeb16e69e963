"""An unmodified JVM that leaks: the report names the very line."""

import os
import re
import subprocess

import harness
import pytest

RUNS = "first"  # takes minutes (scripts/check-all)

JAVA = harness.ROOT / "test" / "java"
JARS = "httpclient httpcore commons-logging commons-codec".split()
IDLE_MS = 2000  # nginx's keepalive_timeout
PAUSE_MS = 300  # most requests are sent when the first connections lie there, closed by nginx
REQUESTS = 30
PLACE = "127.0.0.1:8080"  # nobody else is in a private network


@pytest.fixture
def web(start, networks, tmp_path):
    """An nginx in a private network that closes connections after 2 s of idleness; the network."""
    network = networks()
    config = (JAVA / "nginx.conf.in").read_text()
    for word, value in (("DIR", tmp_path), ("KEEPALIVE", f"{IDLE_MS}ms"), ("LISTEN", PLACE)):
        config = config.replace(f"@{word}@", str(value))
    path = tmp_path / "nginx.conf"
    path.write_text(config)
    nginx = harness.need_tool("nginx")
    program = start(
        [nginx, "-p", tmp_path, "-e", tmp_path / "nginx.log", "-c", path],
        library=False,
        network=network,
    )
    harness.wait_until(
        lambda: PLACE in network.run("ss", "-tlnH") or not program.is_alive(), "nginx to listen"
    )
    assert program.is_alive(), program.stderr()
    return network


def class_path():
    jars = [f"/usr/share/java/{name}.jar" for name in JARS]
    for jar in jars:
        if not os.path.exists(jar):
            raise harness.Forbidden(jar)
    return ":".join([str(harness.BUILD / "java"), *jars])


def run_client(start, web, mode, requests=REQUESTS, pause_ms=PAUSE_MS, **more):
    """A LeakyClient that has sent its requests and waits."""
    argv = [harness.need_tool("java"), "-cp", class_path(), "LeakyClient", f"http://{PLACE}/"]
    argv += [str(requests), str(pause_ms), mode]
    program = start(argv, network=web, **more)
    assert program.line() == f"done {requests} failed 0"
    return program


def leaking_line(mode):
    """Number of the line of LeakyClient.java that carries the comment LEAK and the mode."""
    lines = (JAVA / "LeakyClient.java").read_text().splitlines()
    (number,) = [n for n, line in enumerate(lines, 1) if line.endswith(f"// LEAK {mode}")]
    return number


METHODS = {
    "main": "fetch",
    "pool": "fetchInPool",
    "lambda": "fetchInLambda",
    "socket": "fetchBySocket",
    "channel": "fetchByChannel",
}


@pytest.mark.parametrize("mode", METHODS)
def test_the_blame_is_the_leaking_line(start, web, mode):
    program = run_client(start, web, mode)
    snapshot = program.report_until(
        lambda s: s["totals"]["stuck"] == REQUESTS and s["verdict"] != "UNKNOWN", "every connection to be stuck, and judged"
    )
    assert snapshot["verdict"] == "LEAK"
    assert snapshot["process"]["runtime"] == "jvm"
    guilty = [site for site in snapshot["sites"] if site["stuck"]]
    assert sum(site["stuck"] for site in guilty) == REQUESTS
    blame = rf"LeakyClient\.{METHODS[mode]}\(LeakyClient\.java:{leaking_line(mode)}\)"
    for site in guilty:
        assert site["kind"] == "java"
        assert re.fullmatch(blame, site["blame"]), site["blame"]
        assert_frames(site, mode)
    threads = {name for site in guilty for name in site["threads"]}
    if mode == "pool":
        assert threads <= {f"pool-1-thread-{n}" for n in range(1, 5)} and threads
    else:
        assert threads == {"main"}

    (place,) = [p for p in snapshot["peers"] if p["stuck"]]
    assert f"{place['address']}:{place['port']}" == PLACE
    assert place["close_wait"] == place["open"] == REQUESTS
    assert abs(place["idle_before_fin_ms_p50"] - IDLE_MS) < 500
    check_kernel_agrees(program, web, snapshot)
    text = "\n".join(program.full_reports("signal")[-1])
    assert f"(LeakyClient.java:{leaking_line(mode)})" in text
    assert "LeakyClient" in program.full_reports("signal")[-1][0]
    assert program.end() == 0


def assert_frames(site, mode):
    """The whole path, in words, with the right roles."""
    frame = site["frames"][site["blame_frame"]]
    assert frame["text"].endswith(f"(LeakyClient.java:{leaking_line(mode)})")
    is_lambda = re.fullmatch(r"lambda\$fetchInLambda\$\d+", frame["method"])
    assert is_lambda if mode == "lambda" else frame["method"] == METHODS[mode]
    assert frame["role"] == "application"
    assert frame["class"] == "LeakyClient"
    assert (frame["file"], frame["line"]) == ("LeakyClient.java", leaking_line(mode))
    roles = {(f["class"] or "").split("$")[0]: f["role"] for f in site["frames"]}
    if mode == "socket":
        assert roles["java.net.Socket"] == "runtime"
    elif mode == "channel":
        assert roles["java.nio.channels.SocketChannel"] == "runtime"
    else:
        assert roles["org.apache.http.impl.client.CloseableHttpClient"] == "library"


def check_kernel_agrees(program, web, snapshot):
    sockets = harness.ss_sockets(program.pid, web)
    states = {}
    for state, _, _ in sockets:
        states[state] = states.get(state, 0) + 1
    assert {k: n for k, n in snapshot["totals"]["by_state"].items() if n} == states


def test_a_client_that_closes_is_clean(start, web):
    program = run_client(start, web, "clean", requests=200, pause_ms=0)
    snapshot = program.report_until(lambda s: s["totals"]["open"] == 0, "every socket closed")
    totals = snapshot["totals"]
    assert totals["close_wait"] == totals["stuck"] == totals["retracted"] == 0
    assert totals["opened"] == totals["closed"] >= 200
    assert program.end() == 0


def test_app_pins_the_blame(start, web):
    options = {"app": "org.apache.http.impl.conn."}
    program = run_client(start, web, "main", requests=12, options=options)
    snapshot = program.report()
    (blame,) = {s["blame"] for s in snapshot["sites"] if s["open"] and s["kind"] == "java"}
    assert blame.startswith("org.apache.http.impl.conn.")


def test_native_stacks_on_request(start, web):
    program = run_client(start, web, "main", requests=12, options={"stacks": "native"})
    snapshot = program.report()
    assert {site["kind"] for site in snapshot["sites"] if site["open"]} == {"native"}
    assert program.end() == 0


def test_return_addresses_do_not_tell_java_stacks_apart(start):
    """Why JVMTI is asked at each open (docs/performance.md): interpreted, two methods are one and the same native stack."""
    argv = [harness.need_tool("java"), "-Xint", "-cp", harness.BUILD / "java", "TwoPlaces", "20"]
    opened = {}
    for stacks in ("auto", "native"):
        program = start(argv, options={"stacks": stacks})
        assert program.line() == "ready"
        opened[stacks] = sorted(site["opened"] for site in program.report()["sites"] if site["opened"] >= 20)
        assert program.end() == 0
    assert opened == {"auto": [20, 20], "native": [40]}


def test_a_jvm_without_jvmti(start, web):
    """Native stacks instead, and everything else as ever."""
    beside = [harness.victim("so_nojvmti.so")]
    program = run_client(start, web, "main", requests=12, beside=beside)
    snapshot = program.report_until(lambda s: s["totals"]["stuck"] == 12, "12 stuck connections")
    guilty = [site for site in snapshot["sites"] if site["stuck"]]
    assert {site["kind"] for site in guilty} == {"native"}
    assert snapshot["process"]["runtime"] == "jvm"
    assert snapshot["peers"][0]["stuck"] == 12
    assert program.end() == 0


def test_jcmd_is_safe(start, web):
    """The attach listener accepts on a Java thread that is not in native state, inside libjvm."""
    jcmd = harness.need_tool("jcmd")
    program = run_client(start, web, "main", requests=12)
    for command, expected in (("VM.version", "JDK"), ("Thread.print", '"main"')) * 3:
        done = subprocess.run(
            web.prefix() + [jcmd, str(program.pid), command],
            capture_output=True,
            text=True,
            timeout=harness.PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0 and expected in done.stdout, done.stdout + done.stderr
        program.report()
    snapshot = program.report_until(lambda s: s["totals"]["stuck"] == 12, "12 stuck connections")
    assert snapshot["verdict"] != "OK"
    assert program.end() == 0


def test_out_of_ports_as_on_the_day(start, web):
    """The outage itself: the JVM's own error, and one report by itself that names line and peer."""
    web.narrow_ports(40000, 40099)
    argv = [harness.need_tool("java"), "-cp", class_path(), "LeakyClient", f"http://{PLACE}/"]
    program = start(argv + ["110", "0", "main"], network=web)
    seen = [program.line(), program.line()]
    assert "Cannot assign requested address" in seen[0], seen
    assert seen[1] == "done 100 failed 10"
    snapshot = program.new_report("pressure")
    program.report()
    assert len(program.full_reports("pressure")) == 1
    (place,) = [p for p in snapshot["peers"] if p["port"] == 8080]
    assert place["ports_left"] == 0
    text = "\n".join(program.full_reports("pressure")[0])
    assert "EADDRNOTAVAIL" in text and PLACE in text
    assert program.end() == 0
