"""The command and the library itself: servers under load are attached to and detached from again and again. Not one request is lost, no
process ends, and it is said for how long a thread was held.

REAL_VISITS: how often each process is visited, 3. `make stress` does it a hundred times.
"""

import collections
import os
import pathlib
import re
import statistics

import company
import harness
import loads
import nginx
import pytest
import real
import test_inject
from postgresql import tool
from test_postgresql import Postgres

VISITS = int(os.environ.get("REAL_VISITS", "3"))
LENGTH = min(VISITS, 20)  # of a load, which is begun again for as long as the visits take
PLACE = test_inject.PLACE
TRIES = 5  # of one visit: a thread that is not at a safe point for five seconds


class Load:
    """Clients that ask for a number of things, begun again for as long as they are wanted. Each time they get all."""

    def __init__(self, start, check):
        self.start, self.check = start, check
        self.times = 0
        self.program = None

    def keep_up(self):
        if self.program and not self.program.is_alive():
            self.end()
        if not self.program:
            self.program = self.start()

    def end(self):
        program, self.program = self.program, None
        self.check(program)
        self.times += 1


class Visits:
    """Who was visited, how often, and for how long one of its threads was held; by what it is."""

    def __init__(self, loads_):
        self.loads = loads_
        self.guest = company.Company()  # no thread of its own here: it is told whom to visit
        self.held_us = collections.defaultdict(list)

    def come(self, pid, name):
        """True: it came in. A process may have ended meanwhile; it is for the caller to know whether it might."""
        for load in self.loads:
            load.keep_up()
        before = self.guest.attached
        self.guest.held_us.clear()
        self.guest.visit(pid)
        self.held_us[name] += [held for rows in self.guest.held_us.values() for held in rows]
        return self.guest.attached > before

    def must_come(self, pid, name):
        for _ in range(TRIES):
            if self.come(pid, name):
                return
        pytest.fail(f"{name} {pid} could not be visited: {self.guest.put_off[-1:]}")

    def leave(self):
        for load in self.loads:
            load.end()
        assert not self.guest.wrong, self.guest.wrong[:3]
        times = " and ".join(str(load.times) for load in self.loads)
        lines = [f"load average {os.getloadavg()[0]:.1f}; the clients ran {times} times; put off {len(self.guest.put_off)} times"]
        for name, held in sorted(self.held_us.items()):
            median, worst = statistics.median(held) / 1000, max(held) / 1000
            lines.append(f"{name}: {len(held)} visits, held for {median:.1f} ms, at worst {worst:.1f} ms")
        print(*lines, sep="\n")


def ab(scene, requests, *flags):
    return Load(lambda: loads.start_ab(scene, PLACE, "/", requests, *flags), lambda program: loads.check_ab(program, requests))


def visit_often(loads_, pids):
    visits = Visits(loads_)
    for _ in range(VISITS):
        for name, pid in pids.items():
            visits.must_come(pid, name)
    visits.leave()
    assert all(real.is_there(pid) for pid in pids.values()), pids


def nginx_workers(scene):
    server = nginx.Nginx(scene)
    (server.directory / "files" / "index.html").write_bytes(b"hello")
    workers = server.workers()
    pids = {"nginx, master": server.pid(), **{f"nginx, worker {n}": pid for n, pid in enumerate(workers, 1)}}
    visit_often([ab(scene, 1000 * LENGTH, "-k"), ab(scene, 250 * LENGTH)], pids)
    assert server.workers() == workers
    assert not [line for line in server.log().splitlines() if "[alert]" in line or "[crit]" in line]


def redis(scene):
    argv = [harness.need_tool("redis-server"), "--save", "", "--port", "8080", "--bind", "127.0.0.1", "--dir", scene.directory]
    server = scene.start(argv)
    scene.wait_for_listener(PLACE, server)
    words = ["-p", "8080", "-q", "-c", "32", "-t", "set,get,lrange_100", "-n", 1000 * LENGTH * real.ROUNDS]

    def check(program):
        assert program.wait() == 0 and program.stderr() == "", program.stderr()

    load = Load(lambda: scene.start([harness.need_tool("redis-benchmark"), *words], watched=False), check)
    visit_often([load], {"redis": server.pid})


def node(scene):
    server = scene.start([harness.need_tool("node"), "-e", test_inject.NODE])
    scene.wait_for_listener(PLACE, server)
    visit_often([ab(scene, 500 * LENGTH, "-k"), ab(scene, 100 * LENGTH)], {"Node.js": server.pid})
    assert server.is_alive() and server.stderr() == ""


def python(scene):
    server = scene.start([real.PYTHON, "-c", test_inject.PYTHON])
    scene.wait_for_listener(PLACE, server)
    visit_often([ab(scene, 100 * LENGTH, "-k"), ab(scene, 50 * LENGTH)], {"Python, a thread for each connection": server.pid})
    assert server.is_alive() and server.stderr() == ""


def postgresql_name(pid):
    words = real.command_line(pid).strip()
    if not words.startswith("postgres: "):
        return None  # not yet, or no more
    if words.startswith("postgres: postgres "):
        return "PostgreSQL, a backend"
    return "PostgreSQL, " + words.removeprefix("postgres: ")


def pgbench(server, transactions, *words):
    """The same count of transactions of each of four clients."""
    argv = [tool("pgbench"), "-h", "127.0.0.1", "-U", "postgres", "-c", "4", "-j", "1", "-n", *words, "-t"]

    def check(program):
        lines = []
        while (line := program.line(120)) is not None:
            lines.append(line)
        said = "\n".join(lines)
        assert program.wait() == 0 and program.stderr() == "", program.stderr()
        number = 4 * transactions * real.ROUNDS
        assert f"actually processed: {number}/{number}" in said and "failed transactions: 0 " in said, said

    argv += [transactions * real.ROUNDS, "postgres"]
    return Load(lambda: server.scene.start(argv, watched=False, network=server.network), check)


def postgresql(scene):
    """The postmaster, what it keeps, and whom it forks for a connection; some of those end before one is there."""
    server = Postgres(scene)
    done = server.client("pgbench", "-q", "-i", "-s", "1", "postgres")
    assert done.status == 0, done.stderr
    kept = {pid: postgresql_name(pid) for pid in real.children_of(server.program.pid)}
    kept = {pid: name for pid, name in kept.items() if name and re.search("walwriter|launcher|checkpointer|background", name)}
    assert len(kept) == 5, kept
    kept[server.program.pid] = "PostgreSQL, the postmaster"
    visits = Visits([pgbench(server, 25 * LENGTH), pgbench(server, 3 * LENGTH, "-C")])
    for _ in range(VISITS):
        for pid, name in kept.items():
            visits.must_come(pid, name)
            for backend in real.children_of(server.program.pid):
                if postgresql_name(backend) == "PostgreSQL, a backend" and visits.come(backend, "PostgreSQL, a backend"):
                    break
    visits.leave()
    assert all(real.is_there(pid) for pid in kept), kept
    # Whoever asks a server that is only starting whether it is there is told that by a FATAL of its log.
    said = [line for line in server.program.stderr().splitlines() if "the database system is starting up" not in line]
    assert not [line for line in said if re.search("PANIC|FATAL|was terminated|exited with", line)], said
    assert "t" == server.sql(
        "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(bbalance) FROM pgbench_branches)"
    ).stdout


@pytest.mark.parametrize("server", [nginx_workers, redis, node, python, postgresql])
def test_visits(server, tmp_path):
    assert pathlib.Path(company.COMMAND).exists()
    real.run(server, tmp_path, "alone")
