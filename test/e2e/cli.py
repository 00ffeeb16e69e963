"""The command `sockleak` in the tests: runs it and looks at its exit code and its lines."""

import json
import os
import pathlib
import subprocess
import tempfile

import harness

SOCKLEAK = harness.BUILD / "sockleak"
APART_MS = 300  # more than a quarter of the deadline that the tests use: what opens then has one lying behind it
FINE, FOUND, USAGE, NO_PROCESS, DENIED, NO_LIBRARY, CANNOT_RUN, NOT_FOUND = 0, 1, 2, 3, 4, 5, 126, 127
NOBODY = 65534


def run(*words, code=FINE, wrap=(), env=None, stdin=None):
    """Run it; the exit code must be this. The finished process, with its text."""
    done = subprocess.run([*map(str, wrap), SOCKLEAK, *map(str, words)], capture_output=True, text=True, check=False,
                          timeout=harness.PATIENCE_S, env={**os.environ, **(env or {})}, input=stdin)
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    return done


def output(*words, **more):
    return run(*words, **more).stdout


def parsed(*words, **more):
    """Its --json."""
    return json.loads(output(*words, "--json", **more))


def refusal(*words, code, **more):
    """It must refuse: nothing on stdout, one clear line, which is returned."""
    done = run(*words, code=code, **more)
    assert done.stdout == "", done.stdout
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("sockleak: "), lines
    return lines[0]


def as_nobody():
    """Words that run a command as another user; raises Forbidden."""
    if os.geteuid() != 0:
        raise harness.Forbidden("running as another user, without being root")
    return [harness.need_tool("setpriv"), f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


def as_plain_user(path):
    """The same, where that user can reach the file; raises Forbidden."""
    words = as_nobody()
    if subprocess.run([*words, "test", "-x", path], check=False).returncode != 0:
        raise harness.Forbidden(f"{path} for another user")
    return words


def open_directory():
    """A directory that every user can look into; to be used in a with statement."""
    directory = tempfile.TemporaryDirectory()  # pylint: disable=consider-using-with
    os.chmod(directory.name, 0o755)
    return directory


def await_control_socket(program):
    """It comes with the first TCP socket, made by a thread of its own: a moment later."""
    harness.wait_until(lambda: parsed("report", program.pid)["mode"] == "preload", "its control socket")


def close_wait(program, peer, count):
    """The program's fds of that many connections that the peer has closed."""
    fds = []
    for _ in range(count):
        fds.append(program.number(f"connect 127.0.0.1 {peer.port}"))
        connection, _ = peer.accept()
        connection.close()
    states = lambda: [state for state, _, _ in harness.ss_sockets(program.pid)]
    harness.wait_until(lambda: states().count("CLOSE_WAIT") >= count, states)
    return fds


def leak(program, peer, count):
    """The same as close_wait(), the way a leak does it: most are opened while one lies there for long."""
    fds = close_wait(program, peer, 1)
    last = lambda: parsed("report", program.pid)["sites"][0]["oldest_close_wait_ms"] or 0
    harness.wait_until(lambda: last() > APART_MS, "the first to lie there")
    return fds + close_wait(program, peer, count - 1)


def judged(program, verdict="LEAK"):
    """The report of a process that has this verdict."""
    found = {}

    def is_judged():
        found.update(parsed("report", program.pid))
        return found["verdict"] == verdict

    harness.wait_until(is_judged, lambda: f"{verdict}, which is {found.get('verdict')}")
    return found


def states_of(pid, network=None):
    found = {}
    for state, _, _ in harness.ss_sockets(pid, network):
        found[state] = found.get(state, 0) + 1
    return found


def write(path, text):
    pathlib.Path(path).write_text(text)
    return path
