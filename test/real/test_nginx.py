"""nginx with a master and two workers: load, reload, reopen, binary upgrade, proxying, and its ends."""

import re
import signal

import harness
import loads
import pytest
import real
from nginx import PLACE, Nginx

TERM, QUIT, HUP, USR1, USR2, WINCH = (
    signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH
)  # fmt: skip


def signal_to(pid, signo):
    harness.os.kill(pid, signo)


def get(scene, path, place=PLACE, headers=""):
    """Status line and body of one request on a connection of its own."""
    client = loads.Client(scene, place)
    client.send(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\r\n")
    answer = client.read(-1)
    client.close()
    head, body = answer.split(b"\r\n\r\n", 1)
    return head.split(b"\r\n")[0].decode(), body


def status(scene):
    """The three sums of stub_status: accepts, handled, requests."""
    _, body = get(scene, "/status")
    return tuple(map(int, re.search(rb"^ (\d+) (\d+) (\d+) $", body, re.M).groups()))


def check_accepts(scene, nginx):
    """Its workers together have accepted what the library has seen them accept. (A master that has forked itself
    opens no socket any more, and has nobody who reports.)"""
    if not scene.can_ask:
        return
    scene.check_idle(nginx.program, *nginx.workers())
    accepts, _, _ = status(scene)
    seen = sum(real.connections(scene.snapshot(nginx.program, pid)) for pid in nginx.workers())
    assert seen == accepts


def end(scene, nginx, signo, shown):
    nginx.program.send_signal(signo)
    shown["end"] = nginx.program.wait()
    shown["log"] = nginx.log_kinds()
    assert "exited on signal" not in nginx.log()
    scene.check_end(nginx.program)
    return shown


def serving(scene):
    """Connections kept and not, small answers and large, alone and as a proxy."""
    nginx = Nginx(scene)
    large = nginx.file("large.bin", 20_000_000)
    nginx.file("small.bin", 3000)
    shown = {
        "once": loads.ab(scene, PLACE, "/word", 3000),
        "kept": loads.ab(scene, PLACE, "/word", 10000, "-k"),
        "files": loads.ab(scene, PLACE, "/large.bin", 30, at_once=4),
    }
    check_accepts(scene, nginx)
    shown |= {
        "proxy": loads.ab(scene, PLACE, "/proxy/word", 1500),
        "proxy kept": loads.ab(scene, PLACE, "/proxy/small.bin", 3000, "-k"),
        "missing": loads.ab(scene, PLACE, "/proxy/nothing", 200, "-k"),
    }
    for path in ("/large.bin", "/proxy/large.bin"):
        line, body = get(scene, path)
        shown[path] = (line, real.sha256(body) == large)
    line, body = get(scene, "/large.bin", headers="Range: bytes=1000000-1999999\r\n")
    shown["range"] = (line, len(body), real.sha256(body))
    accepts, handled, _ = status(scene)
    shown["handled"] = accepts == handled
    lines = (nginx.directory / "access.log").read_text().splitlines()
    shown["logged"] = len([line for line in lines if "/status" not in line])
    scene.check_idle(nginx.program, nginx.pid(), *nginx.workers())
    return end(scene, nginx, QUIT, shown)


def replace_workers(nginx, load):
    """A reload, to its end: the old workers are gone. Did it come while the load lasted?"""
    before = set(nginx.workers())
    signal_to(nginx.pid(), HUP)
    is_done = lambda: len(nginx.workers()) == 2 and not before & set(nginx.workers())
    harness.wait_until(is_done, lambda: f"new workers; {nginx.log()}")
    return load.is_alive()


def reloading(scene):
    """SIGHUP under load, each time with another answer of the same length."""
    nginx = Nginx(scene)
    load = loads.start_ab(scene, PLACE, "/word", 8000)
    in_time, shown = 0, {}
    for word in ("ninth", "fifth", "third"):
        nginx.configure(word)
        in_time += replace_workers(nginx, load)
        shown[word] = get(scene, "/word")
    assert in_time, "the load was over before the first reload"
    shown["load"] = loads.end_ab(load)
    (nginx.directory / "nginx.conf").write_text("nonsense;")
    signal_to(nginx.pid(), HUP)
    harness.wait_until(lambda: "nonsense" in nginx.log(), "a complaint")
    shown["still"] = get(scene, "/word")
    return end(scene, nginx, TERM, shown)


def under_wrk(scene):
    """wrk, some seconds of all that two cores give, kept alive, and a connection each with a reload in its midst. (A reload ends those that
    are kept, which wrk calls errors.)"""
    nginx = Nginx(scene)
    shown = {}
    for name, header in (("kept", "X-Nothing: 0"), ("once", "Connection: close")):
        load = scene.start(
            [harness.need_tool("wrk"), "-t2", "-c40", f"-d{2 * real.ROUNDS}s", "-H", header, f"http://{PLACE}/word"],
            watched=False,
        )
        if name == "once":
            assert replace_workers(nginx, load)
        lines = []
        while (line := load.line(120)) is not None:
            lines.append(line.strip())
        requests = int(re.search(r"^(\d+) requests in", "\n".join(lines), re.M).group(1))
        bad = [line for line in lines if line.startswith(("Socket errors", "Non-2xx"))]
        shown[name] = (requests > 500, bad, load.wait())
    return end(scene, nginx, QUIT, shown)


def reopening(scene):
    """SIGUSR1: what comes later stands in a new file, in all workers."""
    nginx = Nginx(scene)
    shown = {"before": loads.ab(scene, PLACE, "/word", 300)}
    log, kept = nginx.directory / "access.log", nginx.directory / "access.log.1"
    log.rename(kept)
    signal_to(nginx.pid(), USR1)
    pids = (nginx.pid(), *nginx.workers())

    def has_reopened():
        return all(str(log) in real.open_files(pid) and str(kept) not in real.open_files(pid) for pid in pids)

    harness.wait_until(has_reopened, "a new log")
    shown["after"] = loads.ab(scene, PLACE, "/word", 200)
    shown["lines"] = [len(path.read_text().splitlines()) for path in (kept, log)]
    shown["same"] = (nginx.pid(), *nginx.workers()) == pids
    check_accepts(scene, nginx)
    return end(scene, nginx, QUIT, shown)


def upgrading(scene):
    """SIGUSR2 under load: the new binary takes the listeners over, the old one goes. The library is in both."""
    nginx = Nginx(scene, daemon="on")  # else it declines
    old = nginx.pid()
    load = loads.start_ab(scene, PLACE, "/word", 8000)
    signal_to(old, USR2)
    is_up = lambda: nginx.pid("nginx.pid.oldbin") == old and nginx.pid() != old and len(nginx.workers()) == 2
    harness.wait_until(is_up, lambda: f"the new master; {nginx.log()}")
    new = nginx.pid()
    signal_to(old, WINCH)
    harness.wait_until(lambda: nginx.workers(old) == [new], "the end of the old workers")
    assert load.is_alive(), "the load was over before the upgrade"
    shown = {"both": get(scene, "/word"), "parent": nginx.program.wait()}
    signal_to(old, QUIT)
    harness.wait_until(lambda: not nginx.pid("nginx.pid.oldbin") and not real.is_there(old), "the old one's end")
    shown["load"] = loads.end_ab(load)
    shown["new"] = get(scene, "/word")
    assert [real.is_preloaded(pid) for pid in (new, *nginx.workers())] == [scene.is_watched] * 3
    if scene.can_ask:
        scene.check_idle(nginx.program, *nginx.workers())
    return end_alone(scene, nginx, QUIT, shown)


def end_alone(scene, nginx, signo, shown):
    """As end(), of a master that is no child of ours."""
    pid = nginx.pid()
    signal_to(pid, signo)
    harness.wait_until(lambda: not real.is_there(pid) and not nginx.pid(), "its end")
    shown["log"] = nginx.log_kinds()
    assert "exited on signal" not in nginx.log()
    scene.check_end(nginx.program)
    return shown


def daemon(scene):
    """It goes into the background by itself; the first process ends with 0."""
    nginx = Nginx(scene, daemon="on")
    shown = {"parent": nginx.program.wait(), "once": loads.ab(scene, PLACE, "/word", 500)}
    check_accepts(scene, nginx)
    shown["proxy"] = loads.ab(scene, PLACE, "/proxy/word", 300)
    return end_alone(scene, nginx, TERM, shown)


def losing_workers(scene):
    """Workers that end in each way are replaced."""
    nginx = Nginx(scene)
    shown = {}
    for signo in (TERM, signal.SIGKILL, signal.SIGSEGV):
        before = set(nginx.workers())
        lost = min(before)
        signal_to(lost, signo)
        wanted = 1 if signo == TERM else 2
        gone = lambda: lost not in nginx.workers() and len(nginx.workers()) >= wanted
        harness.wait_until(gone, lambda: f"another worker after {signo}: {nginx.workers()} {nginx.log()}")
        shown[signo] = get(scene, "/word")
    nginx.program.send_signal(QUIT)
    shown["end"] = nginx.program.wait()
    shown["log"] = nginx.log_kinds()
    return shown


WORKLOADS = [serving, reloading, under_wrk, reopening, upgrading, daemon, losing_workers]


@pytest.mark.parametrize("variant", real.VARIANTS)
@pytest.mark.parametrize("workload", WORKLOADS)
def test_nginx(compare, workload, variant):
    compare(workload, variant)


@pytest.mark.parametrize("workload", [serving, reloading, under_wrk, reopening, losing_workers])
def test_nginx_is_visited(compare, workload):
    """Those in which it does not leave us behind at once."""
    compare(workload, real.VISITED)


@pytest.mark.parametrize("workload", [reopening, upgrading])
def test_nginx_keeps_its_signals(compare, workload):
    """It wants SIGUSR1 for itself: we step aside."""
    compare(workload, "auto")
