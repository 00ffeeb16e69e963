"""What the tests with real servers share: one workload, run without the library and under it.

A workload is a function of a Scene. It starts servers and clients in the scene's private network, and returns what it
saw of them, a dict of everything that is not a time: replies, counts, exit codes, error lines. conftest.compare() runs
it alone, then under the library, and the dicts must be equal. What only the library can say (its snapshots, held
against the server's own statistics) the workload checks through the scene, which does nothing of it where there is no
library.

REAL_ROUNDS multiplies the requests of all loads. REAL_LONG=1 runs the parts that take over a minute as well.
"""

import contextlib
import functools
import hashlib
import itertools
import os
import pathlib
import re
import signal
import socket
import subprocess

import company
import harness
from processes import children_of, command_line, is_there  # noqa: F401

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"  # the system's, whichever comes first in PATH
ROUNDS = int(os.environ.get("REAL_ROUNDS", "1"))
IS_LONG = os.environ.get("REAL_LONG", "0") != "0"
REPORT_SIGNAL = signal.SIGRTMIN + 5  # nginx, Node.js and PostgreSQL use SIGUSR1 for themselves
ACTIONS = ("shutdown", "neutralized", "closed")

COMMON = {"signal": "RTMIN+5", "interval": "50ms", "warn_at": "off", "max_output": "1000m", "exit_report": 1}
EAGER = {"deadline": "300ms", "deadline_in": "300ms", "grace": "300ms", "side": "both", "max_rate": 0}
VARIANTS = {
    "reporting": {**COMMON, "deadline": "100ms"},
    "armed": {**COMMON, **EAGER, "action": "neutralize"},
}
# Attached to and detached from again and again, all of it while the program works.
VISITED = "visited"
# With the report signal that is tried by default: a program that wants SIGUSR1 for itself must not notice.
AUTO = {**COMMON, **EAGER, "action": "neutralize", "signal": "auto"}


class Scene:
    """One run of a workload: where its files are, its network, what it has started."""

    def __init__(self, directory, variant, network):
        self.directory = directory
        self.options = {**VARIANTS, "auto": AUTO, "alone": None, VISITED: None}[variant]
        self.company = company.Company() if variant == VISITED else None
        self.network = network
        self.is_watched = self.options is not None
        self.can_ask = self.is_watched and self.options["signal"] != "auto"
        self.stack = contextlib.ExitStack()
        self.names = itertools.count(1)

    def start(self, argv, *, watched=True, options=None, network=None, **more):
        """A program of this run, under the library in a run that has it and unless it is a mere helper."""
        library = watched and self.is_watched
        directory = self.directory / f"program{next(self.names)}"
        files = {"json": "report.%p.json", "report": "report.%p.txt", "events": "events.%p.jsonl"}
        files = {key: directory / name for key, name in files.items()}  # of each process that it starts, too
        program = harness.start(
            argv,
            directory,
            library=library,
            options={**files, **(self.options or {}), **(options or {})},
            network=network or self.network,
            **more,
        )
        self.stack.callback(program.kill)
        if self.company and watched:
            self.company.programs.append(program)
        return program

    def run(self, argv, *, watched=False, patience_s=120, **more):
        """A program to its end: exit code, stdout, stderr. Under the library only where asked."""
        program = self.start(argv, watched=watched, **more)
        with contextlib.suppress(BrokenPipeError):
            program.popen.stdin.close()
        lines = []
        while (line := program.line(patience_s)) is not None:
            lines.append(line)
        status = program.wait(patience_s)
        return Done(status, "\n".join(lines), without_ours(program.stderr()), program)

    def waits_for_company(self):
        """Has nobody come yet, who should, and may still? Then there is to be more work."""
        return self.company is not None and self.company.may_yet_come()

    def wait_for_listener(self, place, program):
        """Until somebody listens at "127.0.0.1:80"."""
        is_there = lambda: place in self.network.run("ss", "-tlnH") or not program.is_alive()
        harness.wait_until(is_there, lambda: f"a listener at {place}; {program.stderr()}")
        assert program.is_alive(), (program.popen.returncode, program.stderr())

    @functools.cached_property
    def factory(self):
        """A program in the network that makes sockets for the test; our end of its line."""
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            argv = [*self.network.prefix(), PYTHON, HERE / "sockets_inside.py"]
            popen = subprocess.Popen([str(word) for word in argv], stdin=its)
        self.stack.callback(popen.wait, harness.PATIENCE_S)
        self.stack.callback(ours.close)
        ours.settimeout(harness.PATIENCE_S)
        return ours

    def connect(self, place):
        """A socket connected to "127.0.0.1:80", in the scene's network, or to a path."""
        place = str(place)
        words = place if "/" in place else " ".join(place.rsplit(":", 1))
        self.factory.send(words.encode())
        answer, fds, _, _ = socket.recv_fds(self.factory, 4096, 1)
        if not fds:
            raise ConnectionError(answer.decode())
        return socket.socket(fileno=fds[0])

    # ---- what the library says ----

    def snapshot(self, program, pid=None):
        """A report by signal, of the program or of one of its children."""
        pid = pid or program.pid
        return report(program, program.directory / f"report.{pid}.json", pid)

    def check_idle(self, program, *pids):
        """The server has nothing to do: what the library knows to be open is what ss shows, nobody is to blame, and
        nothing that lived was touched."""
        if not self.can_ask:
            return
        for pid in pids or (program.pid,):
            seen = {}

            def look(pid=pid):
                snapshot = self.snapshot(program, pid)
                states = {}
                for state, _, _ in harness.ss_sockets(pid, self.network):
                    states[state] = states.get(state, 0) + 1
                seen.update(known={k: n for k, n in snapshot["totals"]["by_state"].items() if n}, ss=states)
                # What its clients have closed it closes as well: not at once, where it has to wait for a processor.
                return seen["known"] == states and "CLOSE_WAIT" not in states and snapshot

            snapshot = harness.wait_until(look, lambda: f"agreement with ss: {seen}")
            check_healthy(snapshot)

    def check_end(self, program, has_tcp=True):
        """After the end: nothing that we did was regretted, and the last reports of all its processes are good."""
        if not self.is_watched:
            return
        for path in program.directory.glob("events.*"):
            assert '"regretted"' not in path.read_text(), path.read_text()[-2000:]
        paths = list(program.directory.glob("report.*.json"))
        assert paths or not has_tcp, "no report"
        for path in paths:
            check_healthy(harness.json.loads(path.read_text()))


class Done:
    """How a program ended."""

    def __init__(self, status, stdout, stderr, program):
        self.status = status
        self.stdout = stdout
        self.stderr = stderr
        self.program = program

    def all(self):
        return (self.status, self.stdout, self.stderr)


def run(workload, directory, variant):
    """What a workload shows, alone or under the library."""
    directory.mkdir(parents=True, exist_ok=True)
    network = harness.PrivateNetwork()
    scene = Scene(directory, variant, network)
    with contextlib.closing(network), scene.stack:
        if not scene.company:
            return workload(scene)
        scene.company.start()
        shown = workload(scene)
        assert scene.company.leave() > 0
        print(variant, getattr(workload, "__name__", workload), scene.company.times())
        return shown


def check_healthy(snapshot):
    totals = snapshot["totals"]
    assert snapshot["verdict"] == "OK", totals
    assert totals["stuck"] == totals["dropped"] == totals["regretted"] == 0, totals
    assert not [site for site in snapshot["sites"] if site["verdict"] == "leak"]
    assert snapshot["reclaim"]["stopped"] is False


def report(program, path, pid):
    """Ask a process for its report and wait for it."""

    def identity():
        try:
            info = path.stat()
        except FileNotFoundError:
            return None
        return (info.st_ino, info.st_mtime_ns)

    before = identity()
    os.kill(pid, REPORT_SIGNAL)
    harness.wait_until(
        lambda: identity() != before or not is_there(pid), lambda: f"a report of {pid}; {program.stderr()}"
    )
    assert is_there(pid), program.stderr()
    snapshot = harness.json.loads(path.read_text())
    harness.check_snapshot(snapshot)
    assert snapshot["process"]["pid"] == pid
    return snapshot


def kill(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def threads(pid):
    """The names of its threads, sorted."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return sorted((task / "comm").read_text().strip() for task in tasks)


def open_files(pid):
    """Where its descriptors lead."""
    links = []
    for path in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            links.append(os.readlink(path))
    return links


def connections(snapshot):
    """How many it has had since the start: all TCP sockets but its listeners."""
    return snapshot["totals"]["opened"] - snapshot["totals"]["by_state"]["LISTEN"]


def is_preloaded(pid):
    return "libsockleak" in pathlib.Path(f"/proc/{pid}/maps").read_text()


def without_ours(text):
    """What a program said on stderr, without the library's lines."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("sockleak"))


def struck(value, word):
    """The value without a word, in all its strings."""
    if isinstance(value, str):
        return value.replace(word, "")
    return type(value)(struck(part, word) for part in value) if isinstance(value, (list, tuple)) else value


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def kinds_of_lines(text, pattern=".", drop=r"\d+"):
    """The distinct lines that match, with what changes from run to run struck out."""
    found = {re.sub(drop, "N", line.strip()) for line in text.splitlines() if re.search(pattern, line)}
    return sorted(line for line in found if not line.startswith("sockleak"))
