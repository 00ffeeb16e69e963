"""Python: http.server, subprocess, multiprocessing, asyncio; and CPython's own tests of what touches sockets,
processes and signals."""

import functools
import signal
import xml.etree.ElementTree as ElementTree

import harness
import loads
import pytest
import real
import services

PLACE = "127.0.0.1:8080"
WORK = real.HERE / "python_work.py"


def serving(scene):
    program = scene.start([real.PYTHON, WORK, "serve", "8080"])
    program.ready()
    before = services.tcp_counter(scene.network, "PassiveOpens")
    body = scene.directory / "body"
    body.write_bytes(b"0123456789" * 3000)
    shown = {
        "once": loads.ab(scene, PLACE, "/100", 300),
        "kept": loads.ab(scene, PLACE, "/100", 800, "-k", at_once=10),
        "post": loads.ab(scene, PLACE, "/", 100, "-p", body, "-T", "text/plain"),
        "big": loads.ab(scene, PLACE, "/2000000", 30, at_once=5),
        "run": loads.ab(scene, PLACE, "/run", 40, at_once=6),
        "wrong": loads.ab(scene, PLACE, "/x", 20),
    }
    if scene.can_ask:
        scene.check_idle(program)
        opens = services.tcp_counter(scene.network, "PassiveOpens") - before
        assert real.connections(scene.snapshot(program)) == opens
    program.send_signal(signal.SIGTERM)
    shown["end"] = program.line(), program.wait()
    scene.check_end(program)
    return shown


def work(*words, scene):
    done = scene.run([real.PYTHON, WORK, *words], watched=True)
    scene.check_end(done.program)
    assert done.status == 0, done.all()
    return {"done": done.all()}


@functools.lru_cache(maxsize=None)
def workload(*words):
    """The same function for the same words: what it shows alone is kept."""
    return functools.partial(lambda scene: work(*words, scene=scene))


METHODS = ("fork", "spawn", "forkserver")
WAYS = [("subprocess",), ("prefork",), ("asyncio", "500"), *(("pools", method) for method in METHODS)]


@pytest.mark.parametrize("variant", real.VARIANTS)
def test_http_server(compare, variant):
    compare(serving, variant)


@pytest.mark.parametrize("variant", real.VARIANTS)
@pytest.mark.parametrize("words", WAYS, ids=" ".join)
def test_python(compare, words, variant):
    compare(workload(*words), variant)


# ---- CPython's own ----

QUICK = "test_select test_epoll test_fork1 test_posix test_socketserver test_asyncore test_urllib2_localnet"
LONG = """\
test_socket test_subprocess test_signal test_selectors test_poll test_wait3 test_wait4 test_asyncio
test_threading test_httplib test_httpservers test_ftplib test_poplib test_smtplib test_imaplib test_telnetlib
test_asynchat test_xmlrpc test_threadsignals test_fcntl test_pty test_openpty test_popen test_eintr
test_logging test_wsgiref test_os test_ssl test_io test_faulthandler test_concurrent_futures
test_multiprocessing_fork test_multiprocessing_spawn test_multiprocessing_forkserver
test_multiprocessing_main_handling"""
MODULES = QUICK.split() + (LONG.split() if real.IS_LONG else [])
NOT_HERE = "*VSOCK*"  # in a virtual machine its accept() waits for ever


@functools.lru_cache(maxsize=None)
def suite(module):
    """A module of CPython's tests: how each of them ended."""

    def run(scene):
        results = scene.directory / "results.xml"
        words = ["-m", "test", "-u", "network", "-i", NOT_HERE, "--junit-xml", results, module]
        done = scene.run([real.PYTHON, *words], watched=True, patience_s=900, cwd=scene.directory)
        if "No module named" in done.stdout + done.stderr:
            raise harness.Forbidden("CPython's test suite (libpython3.11-testsuite)")
        ends = {}
        for case in ElementTree.parse(results).iter("testcase"):
            ends[case.get("name")] = sorted(child.tag for child in case if child.tag in ("failure", "error", "skipped"))
        assert ends, done.all()
        return {"status": done.status, "ends": ends}

    return run


@pytest.mark.parametrize("variant", real.VARIANTS)
@pytest.mark.parametrize("module", MODULES)
def test_cpython(compare, module, variant):
    compare(suite(module), variant)


def test_python_is_visited(compare):
    """Attached to and detached from, while it works."""
    compare(serving, real.VISITED)
