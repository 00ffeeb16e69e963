"""What the tests of the ladder share: fast options, leaks, and the order of events."""

import datetime
import socket

import harness

TLS12_CLOSE_NOTIFY = bytes.fromhex("150303001a") + bytes(26)  # 31 bytes
TLS13_CLOSE_NOTIFY = bytes.fromhex("1703030013") + bytes(19)  # 24 bytes
RUNGS = ("shutdown", "neutralized", "closed")
TOP = {"shutdown": "shutdown", "neutralize": "neutralized", "close": "closed"}


def options(action, **more):
    """A ladder that a test can wait for."""
    return {"action": action, "deadline": "300ms", "grace": "300ms", "interval": "50ms", **more}


class Leak:
    """A connection of the program whose other end is in the test."""

    def __init__(self, fd, far, local):
        self.fd = fd
        self.far = far
        self.local = local

    def sees_fin(self):
        """The other end reads to the end of file; an RST would be an error."""
        return self.far.recv(100) == b""

    def holds_port(self):
        """Does the program's end still stand in the kernel's table?"""
        return is_known(int(self.local.rsplit(":", 1)[1]), self.far.getsockname()[1])

    def sees_no_reset(self):
        return self.far.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


def connect(program, peer):
    """An open connection; the other end is in the test."""
    fd = program.number(f"connect 127.0.0.1 {peer.port}")
    return Leak(fd, *peer.accept())


def leak(program, peer):
    """A connection whose peer has sent its FIN and still reads, and which nobody looks at."""
    made = connect(program, peer)
    made.far.shutdown(socket.SHUT_WR)
    return made


def accepted(program):
    """An inbound connection: the program's end, and the client in the test."""
    listener, port = map(int, program.ask("listen 127.0.0.1"))
    client = socket.create_connection(("127.0.0.1", port), harness.PATIENCE_S)
    fd = program.number(f"accept {listener}")
    program.ask(f"close {listener}")
    local = "127.0.0.1:%d" % port
    return Leak(fd, client, local)


def await_fin(program, fd):
    """Until the FIN has come to the program's end; it stays unread."""
    program.ask(f"fin {fd}")


def time_of(event):
    return datetime.datetime.fromisoformat(event["time"].replace("Z", "+00:00"))


def kinds(program, fd):
    """What happened to a descriptor, in order."""
    return [event["event"] for event in program.events() if event.get("fd") == fd]


def reclaimed(snapshot):
    """What was done, without zeroes."""
    return {what: n for what, n in snapshot["totals"]["reclaimed"].items() if n}


def wait_for_another(program, peer, kind):
    """A second leak from start to `kind`: what was due for the first in that time has happened."""
    so_far = len(program.events())
    second = leak(program, peer)
    program.event(kind, after=so_far, fd=second.fd)
    return second


def is_known(local_port, remote_port):
    """Does the kernel keep an end of a connection from one IPv4 port to the other, in any state?"""
    wanted = (f":{local_port:04X}", f":{remote_port:04X}")
    with open("/proc/net/tcp", encoding="ascii") as lines:
        ends = [line.split()[1:3] for line in lines]
    return any(a.endswith(wanted[0]) and b.endswith(wanted[1]) for a, b in ends)


def leak_in(program):
    """An inbound connection whose end of file was read and ignored."""
    inbound = accepted(program)
    inbound.far.shutdown(socket.SHUT_WR)
    assert program.number(f"read {inbound.fd}") == 0
    return inbound


def start_asker(start, **more):
    program = start("asker", **more)
    program.ready()
    return program


def say(program, command):
    """The answer, whatever it is; or how the program ended."""
    program.tell(command)
    line = program.line()
    return line if line is not None else f"ended with {program.wait()}"
