"""memcached with four threads: the text protocol over TCP and a Unix socket, and its own ends."""

import signal

import harness
import loads
import pytest
import real

PLACE = "127.0.0.1:11211"
CONNECTIONS = 200
ONE_BY_ONE = """\
set key 0 0 5|hello
get key
gets key
add key 0 0 1|x
add other 0 0 2|xy
replace other 7 0 3|abc
append key 0 0 1|!
prepend key 0 0 1|>
get key other missing
cas key 0 0 3 1|new
set number 0 0 2|41
incr number 1
incr number 18446744073709551615
decr number 100
incr key 1
touch key 1000
delete other
delete other
set large 0 0 2000000|
get number
flush_all
get number
no such command
version
"""


class Memcached(loads.Client):
    """A connection that speaks the text protocol."""

    def ask(self, command):
        """A command and, behind "|", its data; all lines of the reply."""
        words, _, data = command.partition("|")
        has_data = "|" in command
        size = int(words.split()[4]) if has_data else 0
        self.send(words + "\r\n" + (data.ljust(size, "#") + "\r\n" if has_data else ""))
        lines = [self.line()]
        while lines[0].startswith(("VALUE", "STAT")) and lines[-1] != "END":
            lines.append(self.line())
        return lines

    def stats(self):
        return dict(line.split(" ", 2)[1:] for line in self.ask("stats")[:-1])


def start_memcached(scene, *words, place=None):
    argv = [harness.need_tool("memcached"), "-u", "root", "-t", "4", "-c", "1000", *words]
    program = scene.start(argv)
    if place:
        scene.wait_for_listener(place, program)
    return program


def end(scene, program, signo, shown, has_tcp=True):
    program.send_signal(signo)
    shown["end"] = program.wait()
    shown["output"] = real.without_ours(program.stderr())
    scene.check_end(program, has_tcp)
    return shown


def over_tcp(scene):
    program = start_memcached(scene, "-l", "127.0.0.1", "-p", "11211", "-U", "0", place=PLACE)
    first = Memcached(scene, PLACE)
    shown = {command: first.ask(command) for command in ONE_BY_ONE.splitlines()}
    clients = [Memcached(scene, PLACE) for _ in range(CONNECTIONS)]
    for n, client in enumerate(clients):
        client.send(f"set key{n} 0 0 {n + 1}\r\n{'v' * (n + 1)}\r\n")
    shown["sets"] = {client.line() for client in clients}
    for turn in range(20 * real.ROUNDS):
        for n, client in enumerate(clients):
            client.send(f"get key{(n + turn) % CONNECTIONS}\r\n")
        for n, client in enumerate(clients):
            size = (n + turn) % CONNECTIONS + 1
            assert client.read(len(f"VALUE key{size - 1} 0 {size}\r\n") + size + 7).endswith(b"\r\nEND\r\n")
    for client in clients[::2]:
        client.send("quit\r\n")
        assert client.line() == ""
    for client in clients:
        client.close()
    names = "cmd_get cmd_set get_hits get_misses total_connections curr_connections curr_items threads".split()
    harness.wait_until(
        lambda: first.stats()["curr_connections"] == "1",
        lambda: f"the clients to be gone: {first.stats()}",
    )
    stats = first.stats()
    shown["stats"] = {name: stats[name] for name in names}
    if scene.can_ask:
        scene.check_idle(program)
        # It counts its listener as one of its connections.
        assert real.connections(scene.snapshot(program)) == int(stats["total_connections"]) - 1 == CONNECTIONS + 1
    return end(scene, program, signal.SIGTERM, shown)


def over_unix(scene):
    """No TCP at all: there is nothing to watch."""
    path = scene.directory / "socket"
    program = start_memcached(scene, "-s", path)
    harness.wait_until(path.exists, "its socket")
    client = harness.wait_until(lambda: try_connect(scene, path), "a connection")
    shown = {command: client.ask(command) for command in ONE_BY_ONE.splitlines()}
    shown["threads"] = real.threads(program.pid)
    client.close()
    return end(scene, program, signal.SIGINT, shown, has_tcp=False)


def try_connect(scene, path):
    try:
        return Memcached(scene, path)
    except ConnectionError:
        return None


def by_its_signal(scene):
    """SIGUSR1 means a graceful end to it, and so it does with the library."""
    program = start_memcached(scene, "-l", "127.0.0.1", "-p", "11211", "-U", "0", place=PLACE)
    client = Memcached(scene, PLACE)
    shown = {"set": client.ask("set key 0 0 1|x")}
    return end(scene, program, signal.SIGUSR1, shown)


@pytest.mark.parametrize("variant", real.VARIANTS)
@pytest.mark.parametrize("workload", [over_tcp, over_unix])
def test_memcached(compare, workload, variant):
    compare(workload, variant)


def test_memcached_keeps_its_signal(compare):
    compare(by_its_signal, "auto")


def test_memcached_is_visited(compare):
    """Attached to and detached from, while it works."""
    compare(over_tcp, real.VISITED)
