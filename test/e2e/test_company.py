"""Together with other preloaded libraries, before and behind, and with what compilers put into a program."""

import functools
import glob
import os
import re
import subprocess
import sys
import tempfile

import harness
import pytest
import test_java
from test_java import web  # noqa: F401 a fixture

RUNS = "first"  # takes minutes (scripts/check-all)

SCRIPT = harness.ROOT / "test" / "victims" / "company.py"
CLOSED, FORGOTTEN = 30, 12
ORDERS = ["before", "behind"]

# What is preloaded beside the library: a pattern of its file, and what it wants in its environment.
OTHERS = {
    "jemalloc": ("/usr/lib/*/libjemalloc.so.2", {}),
    "tcmalloc-minimal": ("/usr/lib/*/libtcmalloc_minimal.so.4", {}),
    "tcmalloc-sampling": ("/usr/lib/*/libtcmalloc.so.4", {"TCMALLOC_SAMPLE_PARAMETER": "4096"}),
    "tcmalloc-heap-profile": ("/usr/lib/*/libtcmalloc.so.4", {"HEAPPROFILE": "{0}/heap"}),
    "tcmalloc-debug": ("/usr/lib/*/libtcmalloc_debug.so.4", {}),
    "cpu-profile": ("/usr/lib/*/libprofiler.so.0", {"CPUPROFILE": "{0}/cpu"}),
    "keepalive": ("/usr/lib/libkeepalive.so*", {}),
    "faketime-shifted": ("/usr/lib/*/faketime/libfaketimeMT.so.1", {"FAKETIME": "+400d"}),
    "eatmydata": ("/usr/lib/*/libeatmydata.so.1", {}),
    "fakeroot": ("/usr/lib/*/libfakeroot/libfakeroot-sysv.so", {}),
    "lazy": (harness.victim("so_lazy.so"), {"SO_LAZY": "{0}/counts"}),
    "early": (harness.victim("so_early.so"), {}),
    "opening-malloc": (harness.victim("so_opening_malloc.so"), {}),
}
# These take libc's functions from libc itself, not from the next library in line: who stands behind them sees nothing.
PAST_US = {
    "torsocks": ("/usr/lib/*/torsocks/libtorsocks.so", {"TORSOCKS_CONF_FILE": "{0}/torsocks.conf"}),
    "socket-wrapper": ("/usr/lib/*/libsocket_wrapper.so", {"SOCKET_WRAPPER_DIR": "{0}"}),
}
OTHERS.update(PAST_US)
TORSOCKS = "TorAddress 127.0.0.1\nTorPort 9\nAllowInbound 1\nAllowOutboundLocalhost 1\n"


def other(name, directory):
    """Its file and environment; what it needs lies in the directory."""
    pattern, environment = OTHERS[name]
    found = glob.glob(pattern)
    if not found:
        raise harness.Forbidden(pattern)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "torsocks.conf").write_text(TORSOCKS)
    return found[0], {key: value.format(directory) for key, value in environment.items()}


def facts(snapshot):
    """What the company must not change."""
    totals = snapshot["totals"]
    counts = {key: totals[key] for key in ("opened", "closed", "open", "close_wait", "adopted", "dropped")}
    blames = sorted((site["blame"] or "", site["open"], site["opened"]) for site in snapshot["sites"])
    # The first socket of all may go without a stack: it waits a moment for the worker, and no longer.
    return counts, [blame for blame in blames if blame[1] > 1]


def run_script(start, directory, name=None, order=None, **more):
    """The script, its connections all forgotten and stuck; its words and its report."""
    places = {"before": "ahead", "behind": "beside"}
    if name:
        path, environment = other(name, directory)
        more = {places[order]: [path], "env": environment, **more}
    program = start([sys.executable, SCRIPT], options={"deadline": "300ms", "interval": "100ms"}, **more)
    words = program.ready()
    is_stuck = lambda s: s["totals"]["stuck"] >= FORGOTTEN and s["totals"]["closed"] >= 2 * CLOSED + FORGOTTEN
    snapshot = program.report_until(is_stuck, "all forgotten connections are stuck")
    return program, words, snapshot


@functools.lru_cache(maxsize=None)
def alone():
    """The same with our library alone."""
    programs = []

    def start(argv, **more):
        programs.append(harness.start(argv, directory / "alone", **more))
        return programs[-1]

    with tempfile.TemporaryDirectory() as path:
        directory = harness.pathlib.Path(path)
        try:
            program, words, snapshot = run_script(start, directory)
            assert program.end() == 0
            assert program.stderr() == ""
        finally:
            for program in programs:
                program.kill()
    return words, facts(snapshot)


BOTH = {"jemalloc", "tcmalloc-minimal", "keepalive", "lazy", "early", "opening-malloc"}  # the others are much like these


@pytest.mark.parametrize(
    "name, order",
    [(name, order) for name in OTHERS for order in ORDERS if name not in PAST_US and (name in BOTH or order == "before")],
)
def test_http_in_company(start, tmp_path, name, order):
    program, words, snapshot = run_script(start, tmp_path / "other", name, order)
    counts, blames = facts(snapshot)
    assert words == alone()[0]
    if name == "opening-malloc":  # how often it was called nobody knows
        surplus = counts["opened"] - alone()[1][0]["opened"]
        assert surplus > 10
        counts["opened"] -= surplus
        counts["closed"] -= surplus
    elif name == "early":
        # Behind us its constructor runs before ours: what it left open is adopted.
        assert counts["adopted"] == (order == "behind")
        assert counts["opened"] == alone()[1][0]["opened"] + (1 if order == "behind" else 5)
        sites = [site["blame"] or "" for site in snapshot["sites"] if site["open"]]
        assert order == "behind" or any("so_early" in blame or not blame for blame in sites), sites
    if name != "early":
        assert counts == alone()[1][0]
        assert [blame[:2] for blame in blames] == [blame[:2] for blame in alone()[1][1]]
    assert program.end() == 0, program.stderr()
    if name == "lazy":
        text = (tmp_path / "other" / "counts").read_text()
        seen = dict(line.split() for line in text.splitlines())
        assert int(seen["socket"]) >= CLOSED + FORGOTTEN and int(seen["close"]) >= CLOSED, seen
    # The profilers say where they write.
    assert name.endswith("profile") or program.stderr() == ""


@pytest.mark.parametrize("order", ORDERS)
def test_time_that_stands_still(start, peer, order):
    """Ours goes on: it is not that of clock_gettime(). (Not with Python, which waits by that time for its own threads.)"""
    (path,) = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1") or [None]
    if not path:
        raise harness.Forbidden("libfaketime")
    places = {"before": "ahead", "behind": "beside"}
    environment = {"FAKETIME": "2020-01-01 00:00:00"}
    program = start([harness.victim("puppet")], env=environment, **{places[order]: [path]})
    program.ready()
    program.ask(f"connect 127.0.0.1 {peer.port} 3")
    for _ in range(3):
        peer.accept()[0].close()
    snapshot = program.report_until(lambda s: s["totals"]["stuck"] == 3, "three stuck")
    assert not snapshot["taken_at"].startswith("2020")
    assert program.end() == 0 and program.stderr() == ""


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", PAST_US)
def test_a_library_that_goes_past_us(start, tmp_path, name, order):
    """Nothing is noticed either way. Preloaded first, ours sees all; socket_wrapper's sockets are none of TCP in truth."""
    path, environment = other(name, tmp_path / "other")
    places = {"before": "ahead", "behind": "beside"}
    program = start([sys.executable, SCRIPT], env=environment, **{places[order]: [path]})
    assert program.ready() == alone()[0]
    if order == "behind":
        left = FORGOTTEN + 1 if name == "torsocks" else 0
        snapshot = program.report_until(lambda s: s["totals"]["open"] == left, f"{left} open")
        assert snapshot["totals"]["opened"] == alone()[1][0]["opened"]
    else:
        program.send_signal()
        harness.wait_until(lambda: program.stderr(), "a word about the signal")
        (line,) = program.stderr().splitlines()
        assert "no TCP socket" in line
    assert program.end() == 0


def test_a_loader_that_is_slow_takes_no_number(start):
    """The thread that waits for the worker's start does so for a moment only: what is opened after that lies among no program's numbers."""
    program = start("first_numbers", beside=[harness.victim("so_slow_dlopen.so")])
    strays, rounds = map(int, program.line().split()[1:])
    assert strays == 0 and rounds > 100
    assert program.wait() == 0 and program.stderr() == ""


def redis(start, network, directory, name=None, order=None):
    """A redis that has had a benchmark, and has one idle client: its facts, and what the client was told."""
    more = {}
    if name:
        path, environment = other(name, directory)
        more = {{"before": "ahead", "behind": "beside"}[order]: [path], "env": environment}
    argv = [harness.need_tool("redis-server"), "--port", 6379, "--bind", "127.0.0.1", "--save", ""]
    server = start(argv, network=network, cwd=directory, **more)
    is_listening = lambda: "127.0.0.1:6379" in network.run("ss", "-tlnH") or not server.is_alive()
    harness.wait_until(is_listening, "redis to listen")
    benchmark = [harness.need_tool("redis-benchmark"), "-q", "-n", "500", "-c", "10", "-t", "set"]
    assert "requests per second" in network.run(*benchmark)
    said = network.run(harness.need_tool("redis-cli"), "GET", "key:__rand_int__")
    done = lambda s: s["totals"]["open"] == 1
    snapshot = server.report_until(done, "all clients are gone")
    server.send_signal(15)
    assert server.wait() == 0
    return said, facts(snapshot)


def test_redis_in_company(start, networks, tmp_path):
    network = networks()
    alone_saw = redis(start, network, tmp_path)
    for name in ("tcmalloc-minimal", "keepalive", "lazy"):
        for order in ORDERS:
            saw = redis(start, network, tmp_path, name, order)
            assert saw == alone_saw, (name, order)


# ---- what a compiler puts into a program, or leaves out ----


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """A function that builds a victim's source in another way; the program's path."""
    directory = tmp_path_factory.mktemp("built")

    def build(compiler, flags, source="puppet.c"):
        path = directory / re.sub(r"\W", "", f"{compiler}{flags}{source}")
        source = harness.ROOT / "test" / "victims" / source
        words = [harness.need_tool(compiler), "-O1", "-g", "-std=gnu11", f"-I{harness.ROOT}/include"]
        words += [*flags.split(), "-o", str(path)]
        if not path.exists():
            done = subprocess.run([*words, str(source)], capture_output=True, text=True, check=False)
            if "cannot find" in done.stderr:  # a runtime library
                raise harness.Forbidden(f"{compiler} {flags}: {done.stderr[-200:]}")
            assert done.returncode == 0, done.stderr
        return str(path)

    return build


def ask_around(program, peer):
    """Connections, a fork and a signal's disposition; what the program said."""
    said = [program.ready()]
    for command in (f"connect 127.0.0.1 {peer.port} 3", "kind udp", "disposition USR1"):
        said.append(program.ask(command))
    for _ in range(3):
        peer.accept()[0].close()
    child = program.number("fork USR1")
    said.append(program.ask(f"wait {child}"))
    return said


def works_as_without(start, peer, argv, *, is_ours, said=(), **more):
    """The same with the library and without; where it is there it reports."""
    without = start(argv, library=False, env=more.get("env"))
    expected = ask_around(without, peer)
    assert without.end() == 0, without.stderr()
    program = start(argv, options={"deadline": "300ms", "interval": "100ms"}, **more)
    assert ask_around(program, peer) == expected
    if is_ours:
        snapshot = program.report_until(lambda s: s["totals"]["stuck"] == 3, "three stuck")
        assert snapshot["totals"]["adopted"] == snapshot["totals"]["dropped"] == 0
    assert program.end() == 0, program.stderr()
    lines = program.stderr().splitlines()
    assert len(lines) == len(said) and all(word in line for word, line in zip(said, lines)), lines


RUNTIME = ["sanitizer's runtime"]


@pytest.mark.parametrize("flags", ["-Wl,-z,now -fno-plt", "-Wl,-z,lazy", "-no-pie", "-fsanitize=undefined"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_linked_in_other_ways(start, peer, built, compiler, flags):
    works_as_without(start, peer, [built(compiler, flags)], is_ours=True)


@pytest.mark.parametrize("flags", ["-static", "-static-pie"])
def test_a_static_program(start, peer, built, flags):
    works_as_without(start, peer, [built("gcc", flags)], is_ours=False)


def test_a_program_without_libc(built):
    path = built("gcc", "-static -nostdlib -ffreestanding -fno-stack-protector", "no_libc.c")
    done = subprocess.run(["env", f"LD_PRELOAD={harness.LIBRARY}", path], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, b"socket\n", b"")


@pytest.mark.parametrize("sanitizer", ["address", "thread", "leak"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_a_sanitizer(start, peer, built, compiler, sanitizer):
    """With its runtime in the program itself, or in front of us; that there are no native stacks is said."""
    path = built(compiler, f"-fsanitize={sanitizer}")
    linked = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
    runtime = re.findall(rf"=> (\S*/lib{sanitizer[0]}san\.so\S*)", linked)
    # TSan asks for its memory at fixed addresses, which some kernels put other things at.
    wrap = ["setarch", "-R"] if sanitizer == "thread" else []
    works_as_without(start, peer, [path], is_ours=True, said=RUNTIME, ahead=runtime, wrap=wrap)


def test_asan_behind_us(start, peer, built):
    """It refuses to start unless its own runtime is first, or it is told not to look."""
    path = built("gcc", "-fsanitize=address")
    program = start([path])
    assert program.line() is None
    assert program.wait() != 0 and "ASan runtime does not come first" in program.stderr()
    environment = {"ASAN_OPTIONS": "verify_asan_link_order=0"}
    works_as_without(start, peer, [path], is_ours=True, said=RUNTIME, env=environment)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_tsan_sees_no_race_in_us(start, built, compiler):
    """What is shared inside the library is shared by atomics, and by no function that it watches."""
    path = built(compiler, "-fsanitize=thread", "storm.c")
    linked = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
    runtime = re.findall(r"=> (\S*/libtsan\.so\S*)", linked)
    program = start([path], ahead=runtime, wrap=["setarch", "-R"])
    program.ready()
    for _ in range(5):
        program.report()
    _, failures, _, _ = map(int, program.ask("stop"))
    assert failures == 0
    assert program.end() == 0
    assert "WARNING" not in program.stderr(), program.stderr()


def test_go(tmp_path):
    """Linked with libc, and so with us: its sockets are raw system calls, nothing is seen, nothing is harmed."""
    go = harness.need_tool("go")
    path, source = tmp_path / "forgetful", harness.ROOT / "test" / "victims" / "forgetful.go"
    environment = {**os.environ, "CGO_ENABLED": "1", "GOCACHE": str(tmp_path / "cache"), "GO111MODULE": "off"}
    subprocess.run([go, "build", "-o", path, source], env=environment, check=True, timeout=120)
    done = subprocess.run(
        ["env", f"LD_PRELOAD={harness.LIBRARY}", "SOCKLEAK_OPTIONS=exit_report=1", path],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=harness.PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "ready 12\n", "")


@pytest.mark.parametrize("name, order", [("jemalloc", "before"), ("tcmalloc-minimal", "behind"), ("keepalive", "before")])
def test_java_in_company(start, web, tmp_path, name, order):
    """The line of Java that leaks is found as ever."""
    path, environment = other(name, tmp_path / "other")
    places = {"before": "ahead", "behind": "beside"}
    more = {places[order]: [path], "env": environment}
    program = test_java.run_client(start, web, "socket", **more)
    stuck = lambda s: s["totals"]["stuck"] == test_java.REQUESTS
    snapshot = program.report_until(stuck, "all connections stuck")
    assert snapshot["sites"][0]["opened"] == snapshot["sites"][0]["stuck"] == test_java.REQUESTS
    line = test_java.leaking_line("socket")
    assert f"(LeakyClient.java:{line})" in snapshot["sites"][0]["blame"]
    assert program.stderr_lines("sockleak") == []
