"""What the end-to-end tests share: programs under the library, their reports, and private networks.

A test starts a program with start(), waits for its "ready", gives it commands with ask(), and takes
reports with report(): SIGUSR1, then the JSON file, checked against docs/snapshot.schema.json.
Nothing here sleeps in the hope that something has happened: wait_until() looks for a condition
until it holds or time runs out.
"""

import contextlib
import functools
import json
import os
import pathlib
import queue
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

import jsonschema
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIBRARY = pathlib.Path(os.environ.get("SOCKLEAK_LIB", ROOT / "build" / "libsockleak.so")).resolve()
BUILD = pathlib.Path(os.environ.get("SOCKLEAK_BUILD", ROOT / "build")).resolve()
SCHEMA = ROOT / "docs" / "snapshot.schema.json"
WAY = os.environ.get("SOCKLEAK_WAY", "preload")  # how the library comes into programs: preload, attach
PATIENCE_S = 30.0  # how long a condition may take on a loaded machine before the test fails


def victim(name):
    """Path of a compiled program of test/victims."""
    return str(BUILD / "victims" / name)


def wait_until(condition, what, patience_s=PATIENCE_S, every_s=0.01):
    """Return the first true value of condition(), or fail."""
    end = time.monotonic() + patience_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            said = what() if callable(what) else what
            raise AssertionError(f"waited {patience_s:g} s in vain for {said}")
        time.sleep(every_s)


@functools.lru_cache(maxsize=None)
def schema_validator():
    schema = json.loads(SCHEMA.read_text())
    cls = jsonschema.validators.validator_for(schema)
    cls.check_schema(schema)
    return cls(schema)


def check_snapshot(snapshot):
    """The schema, and what a schema cannot say."""
    errors = sorted(schema_validator().iter_errors(snapshot), key=lambda e: list(e.path))
    assert not errors, "; ".join(f"{list(e.path)}: {e.message}" for e in errors[:5])
    totals = snapshot["totals"]
    assert totals["stuck"] <= totals["close_wait"] + totals["by_state"].get("CLOSE", 0)
    assert totals["close_wait"] == totals["by_state"].get("CLOSE_WAIT", 0)
    worst = [(-s["stuck"], -s["close_wait"], -s["open"]) for s in snapshot["sites"]]
    assert worst == sorted(worst), "sites are not sorted worst first"
    worst = [(-p["stuck"], -p["close_wait"], -p["open"]) for p in snapshot["peers"]]
    assert worst == sorted(worst), "peers are not sorted worst first"
    for site in snapshot["sites"]:
        assert site["stuck"] <= site["open"] <= site["opened"], site


class Program:
    """A running program, its lines, and the files that the library writes for it."""

    def __init__(self, popen, directory, stderr_path):
        self.popen = popen
        self.pid = popen.pid
        self.directory = directory
        self.stderr_path = stderr_path
        self.json_path = directory / "report.json"
        self.text_path = directory / "report.txt"
        self.events_path = directory / "events.jsonl"
        self.lines = queue.Queue()
        threading.Thread(target=self._read_lines, daemon=True).start()

    def _read_lines(self):
        with self.popen.stdout as stdout:
            for line in stdout:
                self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def line(self, patience_s=PATIENCE_S):
        """The next line of its stdout, or None at the end."""
        try:
            return self.lines.get(timeout=patience_s)
        except queue.Empty:
            raise AssertionError(
                f"{self.popen.args} said nothing for {patience_s:g} s; stderr: {self.stderr()}"
            ) from None

    def ready(self):
        """Wait for "ready ..."; the words behind it."""
        line = self.line()
        assert line is not None and line.startswith("ready"), (line, self.stderr())
        return line.split()[1:]

    def tell(self, command):
        self.popen.stdin.write(command + "\n")
        self.popen.stdin.flush()

    def ask(self, command, patience_s=PATIENCE_S):
        """Give a command; the words behind the "ok" of its answer."""
        self.tell(command)
        line = self.line(patience_s)
        assert line is not None and line.startswith("ok"), (command, line, self.stderr())
        return line.split()[1:]

    def number(self, command):
        return int(self.ask(command)[0])

    def ask_error(self, command):
        """Give a command that must fail; the words behind "error"."""
        self.tell(command)
        line = self.line()
        assert line is not None and line.startswith("error"), (command, line)
        return line.split()[1:]

    def stderr(self):
        return self.stderr_path.read_text(errors="replace") if self.stderr_path else ""

    def stderr_lines(self, *needles):
        """Lines of stderr that contain every needle, case ignored."""
        return [
            line
            for line in self.stderr().splitlines()
            if all(needle.lower() in line.lower() for needle in needles)
        ]

    def text(self):
        return self.text_path.read_text(errors="replace") if self.text_path.exists() else ""

    def full_reports(self, trigger=None):
        """The text reports so far, each as its lines; or those of one trigger. The one line of
        a healthy process is not among them."""
        starts = [m.start() for m in re.finditer(r"^sockleak ", self.text(), re.MULTILINE)]
        texts = [self.text()[a:b].splitlines() for a, b in zip(starts, starts[1:] + [None])]
        with_head = [(re.search(r"  \(([a-z]+)\)$", lines[0]), lines) for lines in texts]
        return [lines for head, lines in with_head if head and trigger in (None, head.group(1))]

    def events(self, kind=None):
        """The audit trail so far, or its lines of one kind; a line that is not yet whole is left out,
        and so are those of programs that this one started."""
        text = self.events_path.read_text() if self.events_path.exists() else ""
        events = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
        return [e for e in events if e["pid"] == self.pid and kind in (None, e["event"])]

    def event(self, kind, *, after=0, **members):
        """Wait for an event of this kind with these members, not among the first `after`; that one."""

        def look():
            fitting = [e for e in self.events()[after:] if {"event": kind, **members}.items() <= e.items()]
            return fitting or not self.is_alive()

        said = lambda: f"{kind} {members}; events: {self.events()[-20:]}; stderr: {self.stderr()}"
        found = wait_until(look, said)
        assert found is not True, (said(), self.popen.returncode)
        return found[0]

    def is_alive(self):
        return self.popen.poll() is None

    def send_signal(self, signo=signal.SIGUSR1):
        os.kill(self.pid, signo)

    def json_identity(self):
        """Changes with each report: the file is replaced, never rewritten."""
        try:
            info = self.json_path.stat()
        except FileNotFoundError:
            return None
        return (info.st_ino, info.st_mtime_ns)

    def snapshot(self):
        """The JSON report as it lies there, checked."""
        snapshot = json.loads(self.json_path.read_text())
        check_snapshot(snapshot)
        assert snapshot["process"]["pid"] == self.pid
        assert snapshot["mode"] == WAY
        return snapshot

    def report(self, signo=signal.SIGUSR1):
        """Ask for a report by signal and wait for it."""
        before = self.json_identity()
        self.send_signal(signo)
        wait_until(
            lambda: self.json_identity() != before or not self.is_alive(),
            lambda: f"a report of {self.popen.args}; stderr: {self.stderr()}",
        )
        assert self.is_alive(), (self.popen.returncode, self.stderr())
        return self.snapshot()

    def report_after_many(self):
        """Behind a storm of requests: the report that comes first may be of one of them, begun before. The next was begun
        when that was written."""
        self.report()
        return self.report()

    def report_until(self, condition, what, patience_s=PATIENCE_S):
        """Take reports until condition(snapshot) holds; that snapshot."""
        last = {}

        def look():
            last.update(self.report())
            return condition(last)

        wait_until(look, lambda: f"{what}; last totals: {last.get('totals')}", patience_s)
        return last

    def new_report(self, trigger):
        """Wait for a JSON report of this trigger that nobody asked for."""

        def look():
            return self.json_path.exists() and self.snapshot()["trigger"] == trigger

        wait_until(look, lambda: f"a report by {trigger}; stderr: {self.stderr()}")
        return self.snapshot()

    def end(self, patience_s=PATIENCE_S):
        """End of input; the exit status."""
        with contextlib.suppress(BrokenPipeError):
            self.popen.stdin.close()
        return self.popen.wait(patience_s)

    def wait(self, patience_s=PATIENCE_S):
        return self.popen.wait(patience_s)

    def kill(self):
        if self.is_alive():
            self.popen.kill()
        self.popen.wait(PATIENCE_S)
        with contextlib.suppress(OSError):
            self.popen.stdin.close()


def options_text(directory, options):
    """SOCKLEAK_OPTIONS: reports into the directory, fast, with what the test asks for on top, and the
    audit trail where there is an action. A value of None leaves the option out, a list repeats it."""
    merged = {
        "report": directory / "report.txt",
        "json": directory / "report.json",
        "deadline": "1s",
        "interval": "250ms",
        "detail": 1,
        "dir": directory / "ctl",
    }
    if "action" in options:
        merged["events"] = directory / "events.jsonl"
    merged.update(options)
    lists = {key: value if isinstance(value, list) else [value] for key, value in merged.items()}
    return " ".join(f"{k}={v}" for k, values in lists.items() for v in values if v is not None)


def start(
    argv,
    directory,
    *,
    options=None,
    library=True,
    network=None,
    wrap=(),
    nofile=None,
    stderr="file",
    beside=(),
    ahead=(),
    env=None,
    **popen_args,
):
    """Start argv with the library preloaded into it alone, and not into what wraps it.

    options: a dict, see options_text(). network: a PrivateNetwork. wrap: words in front. nofile:
    soft limit of open files. stderr: "file", None (closed) or a descriptor. beside: more objects
    to preload; ahead: in front of the library.
    """
    directory.mkdir(parents=True, exist_ok=True)
    words = list(wrap)
    if network:
        words += network.prefix()
    if nofile:
        words += ["prlimit", f"--nofile={nofile}:"]
    if library:
        settings = options_text(directory, options or {})
        came = LIBRARY if WAY == "preload" else BUILD / "victims" / "so_gate.so"
        preload = ":".join(map(str, [*ahead, came, *beside]))
        words += ["env", f"LD_PRELOAD={preload}"]
        if WAY == "preload":
            words += [f"SOCKLEAK_OPTIONS={settings}"]
        else:
            os.mkfifo(directory / "gate")
            words += [f"ATTACH_GATE={directory / 'gate'}"]
    words += [str(word) for word in argv]
    stderr_path = None
    if stderr == "file":
        stderr_path = directory / "stderr.txt"
    elif stderr is None:
        words = ["sh", "-c", 'exec "$@" 2>&-', "sh"] + words
    with open(stderr_path, "wb") if stderr_path else contextlib.nullcontext() as stderr_file:
        popen = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr_file if stderr_path else stderr,
            text=True,
            env={**os.environ, **(env or {})},
            **popen_args,
        )
    program = Program(popen, directory, stderr_path)
    if library and WAY == "attach":
        attach_at_gate(program, settings)
    return program


def attach_at_gate(program, settings):
    """Before its main(), where it waits for a byte of a FIFO (so_gate.c)."""
    gate = program.directory / "gate"
    waits = lambda: read_of(program.pid, "syscall").startswith("0 ") and str(gate) in links_of(program.pid)
    wait_until(lambda: waits() or not program.is_alive(), lambda: f"{program.popen.args} to wait; {program.stderr()}")
    done = subprocess.run([LIBRARY.with_name("sockleak"), "attach", "-o", settings, str(program.pid)], capture_output=True, text=True,
                          timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, (done.stderr, program.stderr())
    with open(gate, "w", encoding="ascii") as file:
        file.write(".")
    gate.unlink()


def read_of(pid, name):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/{name}").read_text()
    return ""


def links_of(pid):
    """Where its descriptors lead."""
    with contextlib.suppress(OSError):
        return [os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd")]
    return []


class Forbidden(pytest.skip.Exception):
    """The machine does not allow what a test needs; the text says what. Wherever in a test it comes up, the test is skipped."""

    def __init__(self, what):
        super().__init__(f"forbidden here: {what}")


class PrivateNetwork:
    """A network namespace of our own, with nothing but a loopback interface.

    For root it needs no user namespace, in which a program may not look at the fds of younger processes outside: while
    other programs of root come and go, the library could not tell whether they share a connection, and would spare it."""

    def __init__(self):
        self.is_root = os.geteuid() == 0
        script = "ip link set lo up && echo up && exec cat"
        self.holder = subprocess.Popen(
            ["unshare", "-n" if self.is_root else "-rn", "sh", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if self.holder.stdout.readline() != "up\n":
            self.close()
            raise Forbidden(f"a private network namespace: {self.holder.stderr.read().strip()}")

    def prefix(self):
        """Words that run a command in here, under its own pid."""
        target = f"--target={self.holder.pid}"
        user = [] if self.is_root else ["--user", "--preserve-credentials"]
        return ["nsenter", target, "--net", *user]

    def run(self, *argv):
        words = self.prefix() + list(argv)
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=PATIENCE_S, check=True
        )
        return done.stdout

    def narrow_ports(self, low, high):
        """From now on connections come from these ports. Listeners should be there already."""
        self.run("sysctl", "-q", "-w", f"net.ipv4.ip_local_port_range={low} {high}")

    def port_range(self):
        return tuple(map(int, self.run("cat", "/proc/sys/net/ipv4/ip_local_port_range").split()))

    def close(self):
        self.holder.stdin.close()
        self.holder.wait(PATIENCE_S)


class OtherUser:
    """A uid that nobody has, and a directory whose files it may read and execute; for a test that is root."""

    def __init__(self):
        if os.geteuid() != 0:
            raise Forbidden("another uid: the tests do not run as root")
        self.uid = 60000 + os.getpid() % 5000
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="sockleak-test-"))
        self.directory.chmod(0o755)

    def prefix(self):
        """Words that run a command as this user."""
        return [need_tool("setpriv"), f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups"]

    def copy(self, path, name=None):
        target = self.directory / (name or pathlib.Path(path).name)
        shutil.copy(path, target)
        target.chmod(0o755)
        return target

    def close(self):
        shutil.rmtree(self.directory)


def can_mount():
    """Words that give a command a mount namespace of its own; raises Forbidden."""
    words = ["unshare", "-rm"]
    done = subprocess.run(words + ["true"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Forbidden(f"a private mount namespace: {done.stderr.strip()}")
    return words


@contextlib.contextmanager
def frozen(pid):
    """The process in a cgroup (version 2) that is frozen, until the end of a with statement; raises Forbidden."""
    mounts = [line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
    roots = [pathlib.Path(words[1]) for words in mounts if words[2] == "cgroup2"]
    group = roots[0] / f"sockleak-test-{os.getpid()}" if roots else None
    try:
        if not group:
            raise OSError("none is mounted")
        group.mkdir()
    except OSError as error:
        raise Forbidden(f"a cgroup to freeze: {error}") from None
    try:
        try:
            (group / "cgroup.procs").write_text(str(pid))
            (group / "cgroup.freeze").write_text("1")
        except OSError as error:
            raise Forbidden(f"to freeze a cgroup: {error}") from None
        wait_until(lambda: "frozen 1" in (group / "cgroup.events").read_text(), "the cgroup to freeze")
        yield
    finally:  # it goes on where nothing is frozen
        (roots[0] / "cgroup.procs").write_text(str(pid))
        group.rmdir()


# The names that ss uses, as netstat writes them.
SS_STATES = {
    "ESTAB": "ESTABLISHED",
    "SYN-SENT": "SYN_SENT",
    "SYN-RECV": "SYN_RECV",
    "FIN-WAIT-1": "FIN_WAIT1",
    "FIN-WAIT-2": "FIN_WAIT2",
    "TIME-WAIT": "TIME_WAIT",
    "UNCONN": "CLOSE",
    "CLOSE-WAIT": "CLOSE_WAIT",
    "LAST-ACK": "LAST_ACK",
    "LISTEN": "LISTEN",
    "CLOSING": "CLOSING",
}


def ss_sockets(pid, network=None):
    """[(state, local, peer)] of the TCP sockets that ss gives to pid; v4-mapped shown as IPv4."""
    words = (network.prefix() if network else []) + ["ss", "-tanpH"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    found = []
    for line in done.stdout.splitlines():
        if f"pid={pid}," not in line:
            continue
        state, _, _, local, peer = line.split()[:5]
        local, peer = (re.sub(r"\[::ffff:([0-9.]+)\]", r"\1", end) for end in (local, peer))
        found.append((SS_STATES[state], local, peer))
    return found


class Peer:
    """The other side of a victim's connections, in the test itself: one listener on 127.0.0.1."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = self.listener.getsockname()[1]
        self.connections = []

    def accept(self):
        """One connection, and its local end as the victim's own report names it."""
        self.listener.settimeout(PATIENCE_S)
        connection, address = self.listener.accept()
        connection.settimeout(PATIENCE_S)
        self.connections.append(connection)
        return connection, f"{address[0]}:{address[1]}"

    def close(self):
        for connection in self.connections:
            connection.close()
        self.listener.close()


def reset(connection):
    """End a connection by RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def sockets_by_local(snapshot):
    return {entry["local"]: entry for entry in snapshot["sockets"]}


def sum_causes(snapshot):
    """Causes over all sites, without zeroes."""
    total = {}
    for site in snapshot["sites"]:
        for cause, count in site["causes"].items():
            if count:
                total[cause] = total.get(cause, 0) + count
    return total


def need_tool(name):
    """Path of a program of the machine; raises Forbidden."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if not path:
        raise Forbidden(f"the program {name}")
    return path


def hard_nofile():
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]
