"""How many local ports are left to a destination: those of every process, in every state, are counted.

100 of them in a private network. That what the report says is so is tried each time, by as many calls of connect().
"""

import re
import sys

import cli
import harness
import pytest
import services

PORTS = 100

# A program whose connections come from the address that it is told, at a port of the kernel's choice for each destination.
FROM_ADDRESS = """
import socket, sys
kept = []
print("ready", flush=True)
for line in sys.stdin:
    source, address, port, count = line.split()
    for _ in range(int(count)):
        one = socket.socket()
        one.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        one.bind((source, 0))
        one.connect((address, int(port)))
        kept.append(one)
    print("ok", flush=True)
"""


class Town:
    """A private network of 100 ports, and in it the other side: A and B, which listen outside of them."""

    def __init__(self, start, network):
        self.start = start
        self.network = network
        self.set("tcp_tw_reuse", 0)
        self.other = start([harness.victim("peer"), "127.0.0.1", "127.0.0.2"], library=False, network=network)
        ports = list(map(int, self.other.ready()))
        self.a, self.b = (f"127.0.0.{n} {port}" for n, port in enumerate(ports, 1))
        self.low = 20000 if min(ports) > 30000 else 40000
        assert not self.low <= max(ports) < self.low + PORTS
        network.narrow_ports(self.low, self.low + PORTS - 1)

    def set(self, name, value):
        self.network.run("sysctl", "-q", "-w", f"net.ipv4.{name}={value}")

    def caller(self, options=None, **more):
        program = self.start("caller", options={"deadline": "10m", **(options or {})}, network=self.network, **more)
        program.ready()
        return program


def row_of(snapshot, place):
    address, port = place.split()
    return next(p for p in snapshot["peers"] if (p["address"], p["port"]) == (address, int(port)))


def connects_until_it_fails(program, place):
    program.tell(f"connect {place} {PORTS + 1}")
    words = program.line().split()
    assert words[:2] == ["error", "EADDRNOTAVAIL"] and words[2] == "opened", words
    return int(words[3])


@pytest.fixture
def town(start, networks):
    return Town(start, networks())


def time_waits(town, program, count):
    """So many connections of the program to A, which has none yet, that it closes first, and A then."""
    for _ in range(count):
        program.ask(f"close {program.number(f'connect {town.a}')}")
    town.other.ask(f"close 0 {count}")
    listed = lambda: town.network.run("ss", "-tanH", "state", "time-wait").splitlines()
    harness.wait_until(lambda: len(listed()) == count, "them to be in TIME_WAIT")


def test_what_others_have_is_not_left(town):
    """Connections of another process, and those that it closed: in TIME_WAIT they are nobody's, and no list of fds has them."""
    other = town.caller(library=False)
    time_waits(town, other, 20)
    other.ask(f"connect {town.a} 40")
    program = town.caller()
    program.ask(f"connect {town.a} 10")
    snapshot = program.report()
    place = row_of(snapshot, town.a)
    assert place["ports"] == {"exact": True, "source": "127.0.0.1", "sources": 1, "held": 10, "used": 70, "time_wait": 20}
    assert (place["open"], place["ports_left"]) == (10, 30)
    assert snapshot["limits"]["ports_not_counted"] is None and snapshot["limits"]["ports_taken"] == 0
    (taken,) = snapshot["elsewhere"]
    assert (taken["kind"], taken["count"], taken["limit"], taken["time_wait"]) == ("ports-taken", 60, 100, 20)
    assert taken["peer"] == town.a.replace(" ", ":") and taken["notable"]
    (text,) = program.full_reports("signal")
    assert "RUNS OUT  not foreseen; 30 of 100 ports left; fds" in "\n".join(text)
    assert f"  60 ports (of 100, 20 in TIME_WAIT) to {taken['peer']}: {taken['advice']}" in text
    assert connects_until_it_fails(program, town.a) == 30
    program.ask(f"connect {town.b} 1")
    names = lambda s: [p["address"] for p in s["peers"]]
    snapshot = program.report_until(lambda s: "127.0.0.2" in names(s), "a report that is not the one of that failure")
    assert row_of(snapshot, town.b)["ports_left"] == 99


def test_the_call_that_failed_has_its_reason(town):
    """Not one connection of this process, and yet none is left: the report that the failure brings says who has them."""
    other = town.caller(library=False)
    other.ask(f"connect {town.a} {PORTS}")
    program = town.caller(options={"rescue": "off"})
    assert program.ask_error(f"connect {town.a}")[0] == "EADDRNOTAVAIL"
    program.ask(f"connect {town.b}")  # the worker sees it at its next turn
    snapshot = program.new_report("pressure")
    place = row_of(snapshot, town.a)
    assert (place["open"], place["ports_left"], place["ports"]["held"], place["ports"]["used"]) == (0, 0, 0, 100)
    assert snapshot["verdict"] == "UNKNOWN"
    (taken,) = snapshot["elsewhere"]
    assert (taken["kind"], taken["count"], taken["limit"]) == ("ports-taken", 100, 100)
    text = "\n".join(program.full_reports("pressure")[0])
    assert f"RUNS OUT  now: EADDRNOTAVAIL connecting to {taken['peer']}; none of 100 ports left" in text


def test_time_wait_that_is_reused_is_left(town):
    """tcp_tw_reuse=2, the kernel's own choice: on the loopback a port in TIME_WAIT for a second is given out again."""
    town.set("tcp_tw_reuse", 2)
    other = town.caller(library=False)
    time_waits(town, other, 20)
    program = town.caller()
    program.ask(f"connect {town.a} 10")
    snapshot = program.report_until(lambda s: row_of(s, town.a)["ports_left"] == 90, "TIME_WAITs older than a second")
    assert row_of(snapshot, town.a)["ports"]["used"] == 30
    assert connects_until_it_fails(program, town.a) == 90


def test_listeners_bound_sockets_and_reserved_ports(town):
    """Those are given to nobody, whatever the destination."""
    town.set("ip_local_reserved_ports", f"{town.low}-{town.low + 9},1,{town.low + 50}")
    other = town.caller(library=False)
    for port in (20, 21, 50):  # the last one is reserved anyway
        other.ask(f"bind 127.0.0.3 {town.low + port}")
    listener = town.start([harness.victim("peer"), "127.0.0.4"], library=False, network=town.network).ready()[0]
    taken = len({town.low + 20, town.low + 21, int(listener)})
    program = town.caller()
    program.ask(f"connect {town.a} 5")
    snapshot = program.report()
    assert (snapshot["limits"]["ports_reserved"], snapshot["limits"]["ports_taken"]) == (11, taken)
    assert row_of(snapshot, town.a)["ports_left"] == 100 - 11 - taken - 5
    assert connects_until_it_fails(program, town.a) == 84 - taken


def test_ports_are_those_of_a_local_address(town):
    """From another address the same ports are there once more."""
    speaker = town.start([sys.executable, "-c", FROM_ADDRESS], library=False, network=town.network)
    speaker.ready()
    speaker.ask(f"127.0.0.5 {town.a} 70")
    program = town.start([sys.executable, "-c", FROM_ADDRESS], network=town.network, options={"deadline": "10m"})
    program.ready()
    program.ask(f"127.0.0.6 {town.a} 10")
    program.ask(f"127.0.0.7 {town.a} 30")
    place = row_of(program.report(), town.a)
    assert place["open"] == 40
    assert place["ports"] == {"exact": True, "source": "127.0.0.7", "sources": 2, "held": 30, "used": 30, "time_wait": 0}
    assert place["ports_left"] == 70
    program.ask(f"127.0.0.7 {town.a} 70")
    program.tell(f"127.0.0.7 {town.a} 1")
    assert program.line() is None and "Cannot assign requested address" in program.stderr()


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_mapped_addresses_are_the_same_ports(town, family):
    """A JVM's sockets are IPv6, and their peers v4-mapped; they take the ports of the same destination."""
    other = town.caller(library=False)
    program = town.caller()
    mapped = f"::ffff:{town.a}"
    other.ask(f"connect {mapped if family == 'v4' else town.a} 25")
    program.ask(f"connect {town.a if family == 'v4' else mapped} 25")
    place = row_of(program.report(), town.a)
    assert (place["ports"]["held"], place["ports"]["used"], place["ports_left"]) == (25, 50, 50)


def test_where_it_may_not_be_read_it_is_at_most(town):
    """No netlink for this service: unknown is not none, and the report says so."""
    other = town.caller(library=False)
    other.ask(f"connect {town.a} 60")
    wrap = [*town.network.prefix(), harness.victim("no_netlink"), "/usr/bin/env"]
    program = town.start("caller", options={"deadline": "10m"}, wrap=wrap)
    program.ready()
    program.ask(f"connect {town.a} 10")
    snapshot = program.report()
    place = row_of(snapshot, town.a)
    assert place["ports"] == {"exact": False, "source": "127.0.0.1", "sources": 1, "held": 10, "used": None,
                              "time_wait": None}
    assert place["ports_left"] == 90
    assert snapshot["limits"]["ports_not_counted"] == "sock_diag is not available"
    assert snapshot["limits"]["ports_taken"] is None and snapshot["elsewhere"] == []


def test_none_of_it_is_among_the_programs_descriptors(town):
    program = town.caller()
    program.ask(f"connect {town.a} 10")
    before = harness.ss_sockets(program.pid, town.network)
    for _ in range(3):
        program.report()
    assert len(harness.ss_sockets(program.pid, town.network)) == len(before)
    with_netlink = town.network.run("cat", "/proc/net/netlink").splitlines()[1:]
    assert {line.split()[2] for line in with_netlink if line.split()[1] == "4"} <= {"0"}  # the kernel's own
    assert program.number(f"connect {town.a}") == 13  # the lowest free number


def test_reports_come_while_the_program_is_out_of_descriptors(town):
    program = town.caller(nofile=60)
    program.ask(f"connect {town.a} 40")
    program.tell(f"connect {town.a} 60")
    assert program.line().split()[1] == "EMFILE"
    snapshot = program.report()
    place = row_of(snapshot, town.a)
    assert place["ports"]["exact"] and place["ports"]["used"] == place["open"]
    assert snapshot["limits"]["nofile_hard"] == harness.hard_nofile()
    assert services.count_states(program, town.network)["ESTABLISHED"] == place["open"]


def test_a_warning_counts_what_others_have(town):
    """Before the program has ten connections of its own: 60 of 100 ports are gone, and the line says who has them."""
    other = town.caller(library=False)
    other.ask(f"connect {town.a} 50")
    program = town.caller(options={"report": "stderr", "interval": "250ms"})
    program.ask(f"connect {town.a} 10")
    place = town.a.replace(" ", ":")
    said = lambda: program.stderr_lines(f"sockleak: to {place}: ")
    (line,) = harness.wait_until(said, lambda: f"the warning; stderr: {program.stderr()}")
    numbers = re.search(r"50 % of 100 ports are in use \((\d+), (\d+) of them not by this process\)", line)
    assert int(numbers[1]) in range(50, 61) and int(numbers[2]) in range(50, 61), line
    assert place_left(program, town.a) == 40
    assert len(said()) == 1


def place_left(program, place):
    return row_of(program.report(), place)["ports_left"]


@pytest.mark.parametrize("how", ["report", "confined"])
def test_from_outside_the_same_is_counted(town, how, tmp_path):
    """A process without the library: by the command, which enters its network; as well as from within."""
    other = town.caller(library=False)
    other.ask(f"bind 127.0.0.3 {town.low + 99}")
    town.set("ip_local_reserved_ports", f"{town.low + 98}")
    time_waits(town, other, 20)
    other.ask(f"connect {town.a} 40")
    program = town.caller(library=False)
    program.ask(f"connect {town.a} 10")
    wrap = ["strace", "-f", "-qq", "-o", tmp_path / "strace", "-e", "trace=pidfd_getfd", "-e", "inject=pidfd_getfd:error=EPERM"]
    if how == "confined":
        harness.need_tool("strace")
    snapshot = cli.parsed("report", program.pid, wrap=wrap if how == "confined" else ())
    place = row_of(snapshot, town.a)
    assert place["ports"] == {"exact": True, "source": "127.0.0.1", "sources": 1, "held": 10, "used": 70, "time_wait": 20}
    assert (place["ports_left"], snapshot["limits"]["ports_taken"], snapshot["limits"]["ports_reserved"]) == (28, 1, 1)
    assert snapshot["limits"]["nofile_hard"] == harness.hard_nofile()
    (taken,) = snapshot["elsewhere"]
    assert (taken["kind"], taken["count"], taken["limit"], taken["time_wait"]) == ("ports-taken", 60, 99, 20)
    text = cli.output("report", program.pid)
    assert "RUNS OUT  not foreseen; 28 of 99 ports left; fds" in text
    assert f"  60 ports (of 99, 20 in TIME_WAIT) to {town.a.replace(' ', ':')}: {taken['advice']}\n" in text
    assert connects_until_it_fails(program, town.a) == 28


# A program that leaks four connections a second, and is in no hurry.
STEADY = """
import socket, sys, time
address, port = sys.argv[1], int(sys.argv[2])
kept = [socket.create_connection((address, port))]
print("ready", flush=True)
while True:
    kept.append(socket.create_connection((address, port)))
    time.sleep(0.25)
"""


def test_the_time_that_is_left_has_a_spread(town):
    """At first only "so long or more" can be said; after four samples, ten seconds apart, from when to when."""
    town.network.narrow_ports(town.low, town.low + 999)
    program = town.start([sys.executable, "-c", STEADY, *town.a.split()], network=town.network,
                         options={"deadline": "10m", "interval": "1s", "warn_at": "off", "max_output": "1000m"})
    program.ready()
    held = lambda s: row_of(s, town.a)["ports"]["held"]
    when = lambda s: [row_of(s, town.a)[name] for name in ("exhausted_in_ms_min", "exhausted_in_ms", "exhausted_in_ms_max")]
    young = program.report_until(lambda s: held(s) >= 60 and when(s)[1], "a first slope")
    earliest, likely, latest = when(young)
    assert latest is None and earliest == likely // 2
    assert "RUNS OUT" not in program.text()  # one line of a healthy process: nothing is sure yet
    older = program.report_until(lambda s: when(s)[2] and held(s) > 100, "a spread", patience_s=90)
    earliest, likely, latest = when(older)
    left = row_of(older, town.a)["ports_left"]
    assert earliest <= likely <= latest
    assert left * 200 < likely < left * 400  # 250 ms each, on a machine that may be busy
    lines = [line for line in program.full_reports("signal")[-1] if line.startswith("RUNS OUT")]
    assert re.match(rf"RUNS OUT  of ports in (about \S+|\S+ to \S+) \({left} of 1000 left\); fds ", lines[0]), lines
