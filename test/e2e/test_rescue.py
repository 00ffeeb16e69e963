"""A call is about to fail for want of ports or descriptors: what is freed for it, and what never is.

Ports: 100 of them in a private network, held by connections whose other side has closed.
"""

import os

import harness
import pytest
import services

WAYS = "both"
RUNS = "alone"  # a rescue has a moment, no more (scripts/check-all)

PORTS = 100
RESCUE_AFTER_MS = 300
RESCUE = {"action": "report", "rescue": "on", "rescue_after": f"{RESCUE_AFTER_MS}ms", "deadline": "10m"}


class Town:
    """A private network of 100 ports, and in it the other side of every connection: A and B."""

    def __init__(self, start, network):
        self.start = start
        self.network = network
        self.other = start([harness.victim("peer"), "127.0.0.1", "127.0.0.2"], library=False, network=network)
        ports = list(map(int, self.other.ready()))
        self.a, self.b = (f"127.0.0.{n} {port}" for n, port in enumerate(ports, 1))
        self.low = 20000 if min(ports) > 30000 else 40000
        assert not self.low <= max(ports) < self.low + PORTS
        network.narrow_ports(self.low, self.low + PORTS - 1)

    def caller(self, options=None, **more):
        program = self.start("caller", options={**RESCUE, **(options or {})}, network=self.network, **more)
        program.ready()
        return program

    def states(self, program, place=None):
        """{state: number} of the program's connections, to one place or all."""
        found = {}
        for state, _, far in harness.ss_sockets(program.pid, self.network):
            if place is None or far == place.replace(" ", ":"):
                found[state] = found.get(state, 0) + 1
        return found

    def locals_of(self, program, state):
        sockets = harness.ss_sockets(program.pid, self.network)
        return {local for found, local, _ in sockets if found == state}

    def leak(self, program, place, count=PORTS, how="connect"):
        """So many connections to a place that the other side closes, until each is seen quiet for rescue_after."""
        program.ask(f"{how} {place} {count}")
        self.close(place, count)
        return wait_until_quiet(program, self, place, count)

    def close(self, place, count):
        self.other.ask(f"close {'AB'.index('A' if place == self.a else 'B')} {count}")


def wait_until_quiet(program, town, place, count):
    """Until as many to the place are in CLOSE_WAIT, the youngest for longer than rescue_after; their local ends."""

    def look(snapshot):
        quiet = [
            s["quiet_ms"]
            for s in snapshot["sockets"]
            if s["state"] == "CLOSE_WAIT" and s["peer"] == place.replace(" ", ":")
        ]
        return len(quiet) >= count and min(quiet) > RESCUE_AFTER_MS

    program.report_until(look, f"{count} quiet connections to {place}")
    return town.locals_of(program, "CLOSE_WAIT")


@pytest.fixture
def town(start, networks):
    return Town(start, networks())


def test_without_a_rescue_the_call_fails(town):
    """What all others stand on: it really is the want of ports, and rescue=off leaves it so."""
    program = town.caller(options={"rescue": "off", "action": "shutdown"})
    town.leak(program, town.a)
    for _ in range(3):
        assert program.ask_error(f"connect {town.a}")[0] == "EADDRNOTAVAIL"
    assert town.states(program) == {"CLOSE_WAIT": PORTS}
    snapshot = program.report()
    assert snapshot["totals"]["rescued"] == 0
    assert program.events("rescue") == []
    plain = town.start("caller", library=False, network=town.network)
    plain.ready()
    plain.ask(f"connect {town.b} {PORTS}")
    town.close(town.b, PORTS)
    assert plain.ask_error(f"connect {town.b}")[0] == "EADDRNOTAVAIL"


def test_auto_is_on_where_there_is_an_action(town):
    options = {"rescue": "auto", "action": "report"}
    program = town.caller(options=options)
    town.leak(program, town.a)
    assert program.ask_error(f"connect {town.a}")[0] == "EADDRNOTAVAIL"
    program = town.caller(options={**options, "action": "neutralize"})
    town.leak(program, town.b)
    program.ask(f"connect {town.b}")
    assert program.report()["totals"]["rescued"] == 1


def test_the_call_succeeds_and_all_is_counted(town):
    program = town.caller()
    before = services.resets(town.network)
    held = town.leak(program, town.a)
    fd = program.number(f"connect {town.a}")
    states = town.states(program)
    taken = PORTS - states["CLOSE_WAIT"]
    assert states == {"ESTABLISHED": 1, "CLOSE_WAIT": PORTS - taken} and taken >= 1
    assert town.locals_of(program, "CLOSE_WAIT") < held
    assert program.number(f"write {fd}") == 10

    rescue = program.event("rescue")
    address, port = town.a.split()
    assert rescue["peer"] == {"direction": "out", "address": address, "port": int(port)}
    assert rescue["count"] == taken
    ended = [e for e in program.events("shutdown") if e["rescue"]]
    assert len(ended) == taken == len({e["cookie"] for e in ended})
    assert all(e["quiet_ms"] >= RESCUE_AFTER_MS for e in ended)
    snapshot = program.report()
    totals = snapshot["totals"]
    assert totals["rescued"] == 1 and totals["regretted"] == 0
    assert totals["reclaimed"]["shutdown"] == taken
    assert totals["reclaimed"]["neutralized"] == totals["reclaimed"]["closed"] == 0
    assert sum(s["rung"] == "shutdown" for s in snapshot["sockets"]) == taken
    assert services.resets(town.network) == before, "the other side saw a reset"
    assert program.end() == 0


def test_again_and_again_until_none_is_left(town):
    """Each of 100 gives way for a live one; then all ports are held by live ones, and the truth is told."""
    program = town.caller()
    town.leak(program, town.a)
    program.ask(f"connect {town.a} {PORTS}")
    assert town.states(program) == {"ESTABLISHED": PORTS}
    assert program.ask_error(f"connect {town.a}")[0] == "EADDRNOTAVAIL"
    assert town.states(program) == {"ESTABLISHED": PORTS}
    assert program.report()["totals"]["reclaimed"]["shutdown"] == PORTS
    for fd in (3, 50, 102):  # of those that were ended, as the program finds them: at their end
        assert program.number(f"read {fd}") == 0
        program.ask(f"close {fd}")
    assert program.report()["totals"]["reclaimed"]["app_reacted"] >= 1
    assert program.end() == 0


def test_only_the_destination_that_ran_out(town):
    program = town.caller()
    town.leak(program, town.b, PORTS // 2)  # the older ones: of no use for A
    town.leak(program, town.a)
    program.ask(f"connect {town.a} 20")
    assert town.states(program, town.b) == {"CLOSE_WAIT": PORTS // 2}
    assert town.states(program, town.a)["ESTABLISHED"] == 20


def test_connections_elsewhere_are_of_no_use(town):
    """All ports to A are in use by live connections: B's dead ones stay."""
    program = town.caller()
    town.leak(program, town.b, PORTS)
    program.ask(f"connect {town.a} {PORTS}")
    assert program.ask_error(f"connect {town.a}")[0] == "EADDRNOTAVAIL"
    assert town.states(program, town.b) == {"CLOSE_WAIT": PORTS}
    assert town.states(program, town.a) == {"ESTABLISHED": PORTS}
    assert program.report()["totals"]["rescued"] == 0


def test_the_oldest_go_first(town):
    program = town.caller()
    program.ask(f"connect {town.a} {PORTS}")
    town.close(town.a, PORTS // 2)
    older = wait_until_quiet(program, town, town.a, PORTS // 2)
    town.close(town.a, PORTS // 2)
    everyone = wait_until_quiet(program, town, town.a, PORTS)
    assert len(older) == PORTS // 2 and len(everyone) == PORTS
    while older & town.locals_of(program, "CLOSE_WAIT"):
        taken = everyone - town.locals_of(program, "CLOSE_WAIT")
        assert taken <= older
        program.ask(f"connect {town.a} 10")
    assert len(town.locals_of(program, "CLOSE_WAIT")) <= PORTS // 2


def test_not_the_young(town):
    """Quiet, but not for rescue_after."""
    program = town.caller(options={"rescue_after": "10m"})
    town.leak(program, town.a)
    assert program.ask_error(f"connect {town.a}")[0] == "EADDRNOTAVAIL"
    assert town.states(program) == {"CLOSE_WAIT": PORTS}


@pytest.mark.parametrize("rule", ["never", "only"])
def test_not_where_a_rule_forbids_it(town, rule):
    value = town.a.replace(" ", ":") if rule == "never" else "127.0.0.2/32"
    program = town.caller(options={rule: value})
    town.leak(program, town.a)
    assert program.ask_error(f"connect {town.a}")[0] == "EADDRNOTAVAIL"
    assert town.states(program) == {"CLOSE_WAIT": PORTS}
    town.leak(program, town.b)
    program.ask(f"connect {town.b}")


def test_one_local_port_is_never_taken(town):
    program = town.caller(options={"never": f"local:{town.low + 7}"})
    town.leak(program, town.a)
    program.ask(f"connect {town.a} {PORTS - 1}")
    assert program.ask_error(f"connect {town.a}")[0] == "EADDRNOTAVAIL"
    assert town.locals_of(program, "CLOSE_WAIT") == {f"127.0.0.1:{town.low + 7}"}


def test_dry_run_does_nothing(town):
    program = town.caller(options={"dry_run": 1})
    town.leak(program, town.a)
    assert program.ask_error(f"connect {town.a}")[0] == "EADDRNOTAVAIL"
    assert town.states(program) == {"CLOSE_WAIT": PORTS}
    assert program.report()["totals"]["reclaimed"]["shutdown"] == 0


SPARED, FREE = PORTS - 5, 5


def assert_only_the_free_are_taken(town, program, place):
    """Five connects succeed, the sixth does not; the others are as they were."""
    program.ask(f"connect {place} {FREE}")
    assert program.ask_error(f"connect {place}")[0] == "EADDRNOTAVAIL"
    assert town.states(program, place) == {"CLOSE_WAIT": SPARED, "ESTABLISHED": FREE}
    assert program.report()["totals"]["reclaimed"]["shutdown"] == FREE


def test_not_those_with_unread_data(start, networks):
    network = networks()
    other = start("caller", library=False, network=network)
    other.ready()
    listener, port = other.ask("listen 127.0.0.1")
    place = f"127.0.0.1 {port}"
    town = Town(start, network)
    program = town.caller()
    program.ask(f"connect {place} {PORTS}")
    for number in range(PORTS):
        fd = other.number(f"accept {listener}")
        if number < SPARED:
            other.ask(f"write {fd}")
        other.ask(f"close {fd}")
    wait_until_quiet(program, town, place, PORTS)
    assert_only_the_free_are_taken(town, program, place)
    assert program.number("read 3") == 10
    assert program.number("read 3") == 0


def test_not_where_a_registration_would_spin(town):
    """Level-triggered without EPOLLIN: silent in CLOSE_WAIT, EPOLLHUP without end after a shutdown."""
    program = town.caller()
    program.ask(f"connect {town.a} {PORTS}")
    for fd in range(3, 3 + SPARED):
        program.ask(f"watch {fd} level pri")
    town.close(town.a, PORTS)
    wait_until_quiet(program, town, town.a, PORTS)
    assert_only_the_free_are_taken(town, program, town.a)


def test_edge_triggered_ones_may_go(town):
    program = town.caller()
    program.ask(f"connect {town.a} {PORTS}")
    for fd in range(3, 3 + PORTS):
        program.ask(f"watch {fd} edge in")
    town.close(town.a, PORTS)
    wait_until_quiet(program, town, town.a, PORTS)
    program.ask(f"connect {town.a} 10")
    assert town.states(program)["ESTABLISHED"] == 10


def test_not_what_a_child_has_too_but_after_it_again(town):
    program = town.caller()
    program.ask(f"connect {town.a} {SPARED}")
    child = program.number("fork")
    program.ask(f"connect {town.a} {FREE}")
    town.close(town.a, PORTS)
    wait_until_quiet(program, town, town.a, PORTS)
    assert_only_the_free_are_taken(town, program, town.a)
    program.ask(f"reap {child}")

    def succeeds():
        program.tell(f"connect {town.a}")
        return program.line().startswith("ok")

    harness.wait_until(succeeds, "a rescue once the child is gone")


def test_where_nothing_is_held_the_error_passes_at_once(town):
    """IPv6 is off: the same error, and nothing to be done. Nobody waits for the worker."""
    town.network.run("sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=1")
    program = town.caller()
    town.leak(program, town.a, 20)
    error, waits = program.ask("fail 200 ::1 80")
    assert error == "EADDRNOTAVAIL"
    assert int(waits) < 20, f"200 calls, {waits} waits"
    assert town.states(program) == {"CLOSE_WAIT": 20}
    assert program.report()["totals"]["rescued"] == 0
    assert program.events("rescue") == []


@pytest.mark.parametrize("how", ["boundconnect", "connect"])
def test_bind_to_any_port(town, how):
    """bind() to port 0 says EADDRINUSE when all are taken, whoever holds them."""
    program = town.caller()
    town.leak(program, town.a, how=how)
    fd = program.number("bind 127.0.0.1")
    assert town.states(program)["CLOSE_WAIT"] < PORTS
    assert program.report()["totals"]["rescued"] == 1
    program.ask(f"close {fd}")
    program.ask(f"boundconnect {town.a} 10")
    assert town.states(program)["ESTABLISHED"] == 10


def test_bind_to_a_port_in_use_is_no_matter_of_ours(town):
    program = town.caller()
    town.leak(program, town.a)
    assert program.ask_error(f"bind 127.0.0.1 {town.a.split()[1]}")[0] == "EADDRINUSE"
    assert program.ask_error(f"bind 127.0.0.1 {town.low}")[0] == "EADDRINUSE"
    assert program.ask_error("bind 10.1.2.3 0")[0] == "EADDRNOTAVAIL"
    assert town.states(program) == {"CLOSE_WAIT": PORTS}
    assert program.report()["totals"]["rescued"] == 0


def test_a_connect_that_does_not_block(town):
    program = town.caller()
    town.leak(program, town.a)
    fds = [program.number(f"begin {town.a}") for _ in range(20)]
    for fd in fds:
        program.ask(f"finish {fd}")
        assert program.number(f"write {fd}") == 10
    assert town.states(program)["ESTABLISHED"] == 20


def test_many_threads_run_out_at_once(town):
    program = town.caller()
    town.leak(program, town.a)
    done, error = program.ask(f"crowd 8 10 {town.a}")
    assert (int(done), error) == (80, "-")
    assert town.states(program)["ESTABLISHED"] == 80
    assert program.report()["totals"]["regretted"] == 0
    # More than there are: each call ends, with the error that is true.
    done, error = program.ask(f"crowd 8 10 {town.a}")
    assert (int(done), error) == (20, "EADDRNOTAVAIL")


def test_a_regret_ends_the_rescues_of_its_site(town):
    program = town.caller()
    town.leak(program, town.a)
    program.ask(f"connect {town.a}")
    fd = program.event("shutdown", rescue=True)["fd"]
    assert program.ask_error(f"write {fd}")[0] == "EPIPE"
    program.event("regretted", fd=fd)
    left = town.states(program)["CLOSE_WAIT"]
    # What is free already may be used; no other of that site is taken.
    program.ask_error(f"connect {town.a} {PORTS}")
    assert town.states(program)["CLOSE_WAIT"] == left
    assert program.report()["totals"]["regretted"] == 1


def test_one_report_for_many_calls(town):
    program = town.caller(options={"rescue": "off"})
    town.leak(program, town.a)
    for _ in range(20):
        assert program.ask_error(f"connect {town.a}")[0] == "EADDRNOTAVAIL"
    program.new_report("pressure")
    program.report()
    assert len(program.full_reports("pressure")) == 1
    assert program.event("pressure")["error"] == "EADDRNOTAVAIL"


# ---- out of descriptors ----


def one_line(program):
    """The one line of stderr that says so, however many calls fail."""
    (line,) = harness.wait_until(
        lambda: program.stderr_lines("sockleak:", "EMFILE"), "a line about EMFILE"
    )
    return line


def test_raise_nofile(town):
    program = town.caller(options={"raise_nofile": 400}, nofile=200)
    assert program.ask("nofile")[0] == "200"
    program.ask("connect " + town.a + " 90")
    program.ask("fill")  # open() is not ours: it meets the limit
    program.number("socket")
    assert program.ask("nofile")[0] == "400"
    program.ask("fill")
    assert program.ask_error("socket")[0] == "EMFILE"
    assert program.ask("nofile")[0] == "400", "once, and no further"


def test_raise_nofile_ends_at_the_hard_limit(town):
    program = town.caller(options={"raise_nofile": 400}, wrap=["prlimit", "--nofile=200:300"])
    program.ask("fill")
    program.number("socket")
    assert program.ask("nofile") == ["300", "300"]


def test_raise_nofile_of_an_accept(town):
    program = town.caller(options={"raise_nofile": 400}, nofile=200)
    listener, port = program.ask("listen 127.0.0.1")
    program.ask(f"connect 127.0.0.1 {port}")
    program.ask("fill")
    program.number(f"accept {listener}")
    assert program.ask("nofile")[0] == "400"


def test_the_limit_is_left_alone_unless_asked(town):
    program = town.caller(options={"action": "neutralize", "deadline": "500ms", "grace": "10m"}, nofile=200)
    town.leak(program, town.a, 50)
    program.report_until(lambda s: s["totals"]["reclaimed"]["shutdown"] == 50, "50 shut down")
    program.ask("fill")
    for _ in range(20):
        assert program.ask_error("socket")[0] == "EMFILE"
    assert program.ask("nofile")[0] == "200"
    one_line(program)
    snapshot = program.report()  # with no descriptor left
    # With a limit this low the one number that actions need lies below it, and is not the program's.
    assert snapshot["limits"]["nofile_used"] == 199
    assert snapshot["totals"]["reclaimed"]["closed"] == 0
    assert len(program.stderr_lines("sockleak:", "EMFILE")) == 1
    assert len(os.listdir(f"/proc/{program.pid}/fd")) >= 200


def test_action_close_gives_numbers_back(town):
    """What is ended already, and only that. Being level-triggered it is neutralized at once; close is ten minutes off."""
    options = {"action": "close", "deadline": "500ms", "grace": "10m"}
    program = town.caller(options=options, nofile=200)
    program.ask(f"connect {town.a} 90")
    live = program.number(f"connect {town.b}")
    for fd in range(3, 53):
        program.ask(f"watch {fd} level pri")
    town.close(town.a, 50)
    program.report_until(lambda s: s["totals"]["reclaimed"]["neutralized"] == 50, "50 neutralized")
    program.ask("fill")
    got = [program.number("socket") for _ in range(10)]
    assert set(got) <= set(range(3, 53)), "numbers of connections that were ended"
    snapshot = program.report()
    assert 10 <= snapshot["totals"]["reclaimed"]["closed"] <= 50
    assert town.states(program, town.a) == {"ESTABLISHED": 40}
    assert program.number(f"write {live}") == 10
    # The program knows nothing of it: what it closes now is its own new socket, or nothing.
    closed = program.events("closed")
    gone = [e["fd"] for e in closed if e["fd"] not in got]
    if gone:
        program.ask(f"close {gone[0]}")
        assert program.report()["totals"]["reclaimed"]["absorbed"] == 1
