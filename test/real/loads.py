"""Clients that ask servers for a bounded number of things, and what came of it."""

import re

import harness
import real


def ab(scene, place, path, requests, *flags, at_once=20, **more):
    """ApacheBench: exit code and everything it counts. Answers of unequal length count as failed."""
    argv = [harness.need_tool("ab"), "-q", "-n", requests * real.ROUNDS, "-c", at_once, "-s", "60", *flags]
    return read_ab(scene.run([*argv, f"http://{place}{path}"], **more))


def start_ab(scene, place, path, requests, *flags, at_once=20):
    argv = [harness.need_tool("ab"), "-q", "-n", requests * real.ROUNDS, "-c", at_once, "-s", "60", *flags]
    return scene.start([*argv, f"http://{place}{path}"], watched=False)


def read_ab(done):
    names = "Complete requests|Failed requests|Non-2xx responses|Write errors"
    counts = dict(re.findall(rf"^({names}): +(\d+)", done.stdout, re.M))
    counts.update(status=done.status, stderr=done.stderr)
    return counts


def end_ab(program):
    """The same of one that was started."""
    lines = []
    while (line := program.line(120)) is not None:
        lines.append(line)
    return read_ab(real.Done(program.wait(), "\n".join(lines), program.stderr(), program))


def check_ab(program, requests):
    """All of them were answered, and well."""
    counts = end_ab(program)
    assert (counts["status"], counts["Complete requests"]) == (0, str(requests * real.ROUNDS)), counts
    assert counts["Failed requests"] == "0" and "Non-2xx responses" not in counts, counts
    assert "Write errors" not in counts, counts


class Client:
    """A connection to "127.0.0.1:80" in the scene's network."""

    def __init__(self, scene, place):
        self.socket = scene.connect(place)
        self.socket.settimeout(harness.PATIENCE_S)
        self.stream = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def line(self):
        return self.stream.readline().rstrip(b"\r\n").decode(errors="backslashreplace")

    def read(self, length):
        return self.stream.read(length)

    def close(self):
        self.stream.close()
        self.socket.close()
