"""Blame that holds, with real libraries: what stands between the application's line and the socket is looked through,
and where no line is the application's, the report says whose thread it is and to whom.

The programs are in test/blame; the lines to be blamed there end with "BLAME" and what they are called."""

import json
import os
import re
import socket
import subprocess
import threading

import harness
import pytest
import snapshots

RUNS = "alone"  # a first socket whose thread waits 50 ms for the worker in vain has no stack (scripts/check-all)

SOURCES = harness.ROOT / "test" / "blame"
COUNT = 12
HTTP = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nContent-Type: text/plain\r\n\r\nab"


class Web:
    """A server that answers each request with the beginning of a body, and closes all when it is told to."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self.place = f"127.0.0.1:{self.port}"
        self.connections = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._answer, args=[connection], daemon=True).start()

    @staticmethod
    def _answer(connection):
        try:
            if b"\r\n" in connection.recv(4096):
                connection.sendall(HTTP)
        except OSError:
            pass

    def close_all(self, count=0):
        """Once that many have come."""
        harness.wait_until(lambda: len(self.connections) >= count, f"{count} connections")
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.close()
        self.close_all()
        for connection in self.connections:
            connection.close()


@pytest.fixture
def web():
    server = Web()
    yield server
    server.close()


def blames(source):
    """What the source says that is to be blamed: {"LeakyClient.fetch(LeakyClient.java:11)", ...}."""
    lines = (SOURCES / source).read_text().splitlines()
    found = {}
    for number, line in enumerate(lines, 1):
        match = re.search(r"// BLAME (\S+)$", line)
        if match:
            sign = "(" if source.endswith(".java") else " ("
            found[match[1]] = f"{match[1]}{sign}{source}:{number})"
    return found


def jars(names):
    paths = [f"/usr/share/java/{name}.jar" for name in names]
    for path in paths:
        if not os.path.exists(path):
            raise harness.Forbidden(path)
    return paths


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    """A function that compiles one class; the words that run it."""
    folder = tmp_path_factory.mktemp("classes")

    def compile_one(name, libraries=()):
        path = ":".join([str(folder), *jars(libraries)])
        if not (folder / f"{name}.class").exists():
            argv = [harness.need_tool("javac"), "-g", "-cp", path, "-d", folder, SOURCES / f"{name}.java"]
            subprocess.run(argv, check=True, capture_output=True)
        return [harness.need_tool("java"), "-Xshare:auto", "-cp", path, name]

    return compile_one


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """A function that compiles one program with libraries; its path."""
    folder = tmp_path_factory.mktemp("programs")

    def compile_one(source, *flags):
        compiler = harness.need_tool("g++" if source.endswith(".cc") else "gcc")
        program = folder / source.partition(".")[0]
        argv = [compiler, "-O1", "-g", "-o", program, SOURCES / source, *flags]
        done = subprocess.run(argv, capture_output=True, text=True)
        if done.returncode and "No such file" in done.stderr:
            raise harness.Forbidden(done.stderr.splitlines()[0])
        assert done.returncode == 0, done.stderr
        return program

    return compile_one


def run(start, argv, web, *more, options=None, **others):
    program = start([*argv, web.port, *more], options={"deadline": "500ms", **(options or {})}, **others)
    program.ready()
    return program


def stuck_after_close(program, web, count):
    """The sites of a report in which so many are stuck, since the server has closed."""
    web.close_all(count)
    snapshot = program.report_until(lambda s: s["totals"]["stuck"] >= count, f"{count} stuck connections")
    return [site for site in snapshot["sites"] if site["stuck"]]


def to(sites, web):
    return [site for site in sites if site["peer"] == web.place]


def named(program):
    """The sites as the command names them."""
    snapshot = json.loads(snapshots.command("report", "--json", program.pid))
    harness.check_snapshot(snapshot)
    return snapshot["sites"]


# ---- Java ----


def test_what_stands_between_is_looked_through(start, classes, web):
    """Lambdas, method references, proxies, reflection, futures: each blame is the very line, by its source's name."""
    program = run(start, classes("Synchronous"), web)
    sites = to(program.report()["sites"], web)
    assert {site["blame"] for site in sites} == set(blames("Synchronous.java").values())
    made = [f for site in sites for f in site["frames"] if "$$Lambda" in (f["class"] or "") or "$Proxy" in (f["class"] or "")]
    assert {f["role"] for f in made} <= {"runtime"}
    assert made, "the VM shows what it has made"
    for site in sites:
        assert site["owner"] is None
        frame = site["frames"][site["blame_frame"]]
        assert frame["role"] == "application" and site["blame"].endswith(f":{frame['line']})")
    assert program.end() == 0


def test_app_does_not_pin_what_nobody_has_written(start, classes, web):
    program = run(start, classes("Synchronous"), web, options={"app": "Synchronous"})
    blamed = {site["blame"] for site in to(program.report()["sites"], web)}
    expected = blames("Synchronous.java")
    del expected["Synchronous$OpenedByReflection.open"]
    assert set(expected.values()) <= blamed
    assert not any("$$" in blame or "Proxy" in blame for blame in blamed)


def test_behind_cglib(start, classes, web):
    # CGLIB defines its classes by reflection in java.lang.
    argv = classes("BehindCglib", ["cglib", "asm"])
    program = run(start, [argv[0], "--add-opens=java.base/java.lang=ALL-UNNAMED", *argv[1:]], web)
    (site,) = to(program.report()["sites"], web)
    assert site["blame"] == blames("BehindCglib.java")["BehindCglib.open"]
    roles = {f["role"] for f in site["frames"] if "$$" in (f["class"] or "")}
    assert roles == {"runtime"}, "the classes that CGLIB has made are in the stack"


ASYNC = {
    "AsyncApache": (["httpasyncclient", "httpcore", "httpcore-nio", "httpclient", "commons-logging"],
                    "httpasyncclient", r"I/O dispatcher|pool-\d+-thread"),
    "AsyncJetty": (["jetty9-client", "jetty9-http", "jetty9-io", "jetty9-util", "slf4j-api"], "Jetty client", r"HttpClient@|main"),
}


@pytest.mark.parametrize("name", ASYNC)
def test_an_async_client_s_own_thread(start, classes, web, name):
    libraries, owner, thread = ASYNC[name]
    program = run(start, classes(name, libraries), web, COUNT)
    sites = stuck_after_close(program, web, COUNT)
    check_unblamed(sites, web, owner, thread)
    check_said(program, web, owner, f"look where the client of {owner} is created and closed")
    assert program.end() == 0


def check_unblamed(sites, web, owner, thread):
    for site in sites:
        assert site["blame"] is None and site["blame_frame"] is None, site["blame"]
        assert site["owner"] == owner
        assert site["peer"] == web.place
        assert all(re.search(thread, name) for name in site["threads"]), site["threads"]
        assert not [f["text"] for f in site["frames"] if f["role"] == "application"]


def check_said(program, web, owner, fix):
    """WHERE and FIX, in the library's own report and in the command's."""
    for text in ("\n".join(program.full_reports("signal")[-1]), snapshots.command("report", program.pid).decode()):
        (where,) = re.findall(r"^WHERE .*$", text, re.MULTILINE)
        assert re.fullmatch(rf'WHERE +no frame of the application: thread ".*" (and \d+ more )?of {owner}(, to {web.place})?  \d+ %',
                            where), where
        (said,) = re.findall(r"^FIX .*$", text, re.MULTILINE)
        assert fix in said, said
        assert f", to {web.place}" in text and max(map(len, text.splitlines()[:10])) <= 100


def test_the_jdk_s_client(start, classes, web):
    """Its workers open the connections; that they belong to java.net.http is all that the stack tells."""
    program = run(start, classes("AsyncJdk"), web, COUNT)
    check_unblamed(stuck_after_close(program, web, COUNT), web, "java.net.http", r"HttpClient-\d+-Worker-")
    check_said(program, web, "java.net.http", "look where the client of java.net.http is created and closed")


def test_netty(start, classes, web):
    """A channel is opened where it is asked for, whatever thread connects it."""
    libraries = [f"netty-{part}" for part in ("buffer", "common", "resolver", "transport")]
    program = run(start, classes("AsyncNetty", libraries), web, COUNT)
    sites = stuck_after_close(program, web, COUNT)
    assert {site["blame"] for site in sites} == set(blames("AsyncNetty.java").values())
    assert {site["peer"] for site in sites} == {web.place}


def test_okhttp(start, classes, web):
    """A call that is waited for is blamed on who waits; what OkHttp's own threads open is nobody's line."""
    program = run(start, classes("AsyncOkHttp", ["okhttp", "okio"]), web, COUNT)
    sites = stuck_after_close(program, web, COUNT)
    blamed = [site for site in sites if site["blame"]]
    assert {site["blame"] for site in blamed} == set(blames("AsyncOkHttp.java").values())
    assert sum(site["stuck"] for site in blamed) == COUNT // 2
    check_unblamed([site for site in sites if not site["blame"]], web, "OkHttp", "OkHttp ")


# ---- native code ----


def test_header_only_asio(start, compiled, web):
    """All of it is in the program itself: the command knows it by its namespace."""
    program = run(start, [compiled("asio.cc", "-pthread")], web, COUNT)
    stuck_after_close(program, web, COUNT)
    sites = [site for site in named(program) if site["stuck"]]
    assert sum(site["stuck"] for site in sites) == COUNT
    assert {site["blame"] for site in sites} == set(blames("asio.cc").values())
    for site in sites:
        inner = site["frames"][: site["blame_frame"]]
        assert {f["role"] for f in inner} <= {"library", "runtime"}
        assert any("boost::asio" in (f["function"] or "") for f in inner)


def test_event_loops(start, compiled, web):
    """The callback is to blame, not the loop around it, nor the loop's function within."""
    program = run(start, [compiled("loops.c", "-luv", "-levent")], web)
    stuck_after_close(program, web, 2)
    assert {site["blame"] for site in to(named(program), web)} == set(blames("loops.c").values())


def test_clients_in_c(start, compiled, web):
    program = run(start, [compiled("clients.c", "-lcurl", "-lhiredis")], web)
    stuck_after_close(program, web, 2)
    assert {site["blame"] for site in to(named(program), web)} == set(blames("clients.c").values())


def test_a_static_client(start, compiled, web):
    """The functions within libcurl are the program's own by their names; by who calls them they are libcurl's."""
    folder = "/usr/lib/x86_64-linux-gnu"
    if not os.path.exists(f"{folder}/libcurl.a") or not os.path.exists(f"{folder}/libcurl.so.4"):
        raise harness.Forbidden("libcurl.a")
    needed = subprocess.run([harness.need_tool("objdump"), "-p", f"{folder}/libcurl.so.4"], capture_output=True, text=True, check=True)
    libraries = [f"-l:{name}" for name in re.findall(r"NEEDED +(\S+)", needed.stdout)]
    program = run(start, [compiled("clients.c", "-l:libcurl.a", "-l:libhiredis.a", *libraries)], web)
    stuck_after_close(program, web, 2)
    sites = to(named(program), web)
    assert {site["blame"] for site in sites} == set(blames("clients.c").values())
    (curl,) = [site for site in sites if "by_curl" in site["blame"]]
    inner = curl["frames"][: curl["blame_frame"]]
    assert any(f["function"] == "cf_tcp_connect" for f in inner) and {f["role"] for f in inner} <= {"library", "runtime"}


# ---- interpreters ----


def test_python_is_not_blamed(start, web):
    python = "/usr/bin/python3"
    if subprocess.run([python, "-c", "import requests"], capture_output=True).returncode:
        raise harness.Forbidden("python3-requests")
    program = run(start, [python, SOURCES / "client.py"], web, COUNT)
    sites = stuck_after_close(program, web, COUNT)
    check_unblamed(sites, web, "Python", "python3")
    check_said(program, web, "Python", "Python 3.12 or later names its functions with -X perf")


NODE_PERF = ["--perf-basic-prof", "--interpreted-frames-native-stack"]


@pytest.fixture
def node(start, web, tmp_path):
    """A function that runs test/blame/loop.js and waits until its connections are stuck. Node.js leaves its map behind,
    and a log where it runs."""
    maps = []

    def run_node(*flags):
        program = run(start, [harness.need_tool("node"), *flags, SOURCES / "loop.js"], web, COUNT,
                      options={"signal": "RTMIN+3"}, cwd=tmp_path)
        maps.append(f"/tmp/perf-{program.pid}.map")
        web.close_all(COUNT)
        harness.wait_until(lambda: sum(s["stuck"] for s in named(program)) == COUNT, "stuck connections")
        return program

    yield run_node
    for path in maps:
        if os.path.exists(path):
            os.unlink(path)


def fix_of(program):
    (said,) = re.findall(r"^FIX .*$", snapshots.command("report", program.pid).decode(), re.MULTILINE)
    return said


def test_node_is_not_blamed(node, web):
    program = node()
    check_unblamed([s for s in named(program) if s["stuck"]], web, "Node.js", "node")
    assert f"look for what calls {web.place}; JavaScript has names with node --perf-basic-prof" in fix_of(program)


def test_javascript_by_name(node, web):
    """Its frames have names; a connection is opened by Node.js itself, on a later tick, a listener by its caller."""
    program = node(*NODE_PERF)
    sites = named(program)
    check_unblamed([s for s in sites if s["stuck"]], web, "Node.js", "node")
    frames = [f for s in sites if s["stuck"] for f in s["frames"] if f["file"] == "node:net"]
    assert {f["role"] for f in frames} == {"runtime"}
    assert any(f["function"] == "internalConnect" and f["text"].startswith("internalConnect (node:net:") for f in frames)
    assert f"look for what calls {web.place}: Node.js connects on a later tick" in fix_of(program)
    (listener,) = [s for s in sites if s["open"] and not s["stuck"]]
    assert listener["blame"] == blames("loop.js")["serve"]
    frame = listener["frames"][listener["blame_frame"]]
    assert (frame["function"], frame["file"], frame["module"]) == ("serve", str(SOURCES / "loop.js"), None)
    assert b";internalConnect (node:net:" in snapshots.command("report", "--format", "folded", program.pid)


@pytest.mark.parametrize("harm", ["others can write", "a link"])
def test_a_map_that_others_could_have_written_is_not_read(node, harm, tmp_path):
    program = node(*NODE_PERF)
    path = f"/tmp/perf-{program.pid}.map"
    if harm == "a link":
        os.rename(path, tmp_path / "map")
        os.symlink(tmp_path / "map", path)
    else:
        os.chmod(path, 0o666)
    assert not [f for s in named(program) for f in s["frames"] if f["file"] == "node:net"]
