"""The ladder: its rungs, who is spared and why, what is counted and written down, and regret."""

import socket
import time

import harness
import ladder
import pytest

TLS12_CLOSE_NOTIFY = bytes.fromhex("150303001a") + bytes(26)  # 31 bytes
TLS13_CLOSE_NOTIFY = bytes.fromhex("1703030013") + bytes(19)  # 24 bytes


# ---- the rungs ----


@pytest.mark.parametrize("action", ["shutdown", "neutralize", "close"])
def test_rungs_in_order_and_none_above_the_action(puppet, peer, action):
    program = puppet(options=ladder.options(action))
    first = ladder.leak(program, peer)
    program.event(ladder.TOP[action], fd=first.fd)
    second = ladder.wait_for_another(program, peer, ladder.TOP[action])
    program.ask("nop")
    wanted = ["stuck", *ladder.RUNGS[: ladder.RUNGS.index(ladder.TOP[action]) + 1]]
    cookies = list(dict.fromkeys(event["cookie"] for event in program.events()))
    events = [event for event in program.events() if event["cookie"] == cookies[0]]
    assert [event["event"] for event in events] == wanted
    for leak in (first, second):
        assert leak.sees_fin()
        assert leak.sees_no_reset()
    # One grace between two rungs, to the precision of a printed time.
    rungs = [event for event in events if event["event"] in ladder.RUNGS]
    for lower, upper in zip(rungs, rungs[1:]):
        assert (ladder.time_of(upper) - ladder.time_of(lower)).total_seconds() >= 0.28
    assert rungs[0]["quiet_ms"] >= 300

    snapshot = program.report()
    assert snapshot["totals"]["regretted"] == 0
    expected = {
        "shutdown": {"shutdown": 2},
        "neutralize": {"shutdown": 2, "neutralized": 2},
        "close": {"shutdown": 2, "neutralized": 2, "closed": 2},
    }
    assert ladder.reclaimed(snapshot) == expected[action]
    assert snapshot["reclaim"]["action"] == action
    assert snapshot["reclaim"]["stopped"] is False
    assert snapshot["reclaim"]["dry_run"] is False
    (site,) = snapshot["sites"]
    assert site["reclaimed"] == 2


@pytest.mark.parametrize("action", ["shutdown", "neutralize", "close"])
def test_what_the_host_has_back(puppet, peer, action):
    """The port from shutdown on, the number only from close."""
    program = puppet(options=ladder.options(action))
    leak = ladder.leak(program, peer)
    assert not ladder.is_port_free(leak.local)
    program.event(ladder.TOP[action], fd=leak.fd)
    harness.wait_until(lambda: ladder.is_port_free(leak.local), f"the port of {leak.local}")
    number = program.number("kind unix")
    assert (number == leak.fd) == (action == "close")
    program.ask(f"close {number}")
    assert program.number("open /dev/null") == number
    program.ask(f"close {number}")
    snapshot = program.report()
    assert snapshot["totals"]["regretted"] == 0
    assert snapshot["totals"]["reclaimed"]["absorbed"] == 0


@pytest.mark.parametrize("action", ["shutdown", "neutralize", "close"])
def test_a_late_close_succeeds_and_gives_the_number_back(puppet, peer, action):
    program = puppet(options=ladder.options(action))
    leak = ladder.leak(program, peer)
    program.event(ladder.TOP[action], fd=leak.fd)
    assert program.number(f"close {leak.fd}") == 0
    assert program.number("kind unix") == leak.fd
    snapshot = program.report()
    assert snapshot["totals"]["regretted"] == 0
    assert snapshot["totals"]["reclaimed"]["absorbed"] == (1 if action == "close" else 0)


def test_each_late_close_after_the_last_rung_is_absorbed_once(puppet, peer):
    program = puppet(options=ladder.options("close"))
    leak = ladder.leak(program, peer)
    program.event("closed", fd=leak.fd)
    assert program.number(f"close {leak.fd}") == 0
    assert program.ask_error(f"close {leak.fd}") == ["EBADF"]
    assert program.report()["totals"]["reclaimed"]["absorbed"] == 1


def test_a_late_close_hits_what_has_the_number_now(puppet, peer):
    """The documented danger of action=close: the close is made for real."""
    program = puppet(options=ladder.options("close", deadline="500ms"))
    leak = ladder.leak(program, peer)
    program.event("closed", fd=leak.fd)
    live = ladder.connect(program, peer)
    assert live.fd == leak.fd
    assert program.number(f"close {leak.fd}") == 0
    assert live.sees_fin()
    assert program.report()["totals"]["reclaimed"]["absorbed"] == 0


def test_a_late_close_with_a_file_on_the_number(puppet, peer):
    """open() is not hooked: only the real close knows that the number is taken again."""
    program = puppet(options=ladder.options("close"))
    leak = ladder.leak(program, peer)
    program.event("closed", fd=leak.fd)
    assert program.number("open /dev/null") == leak.fd
    # The file's own close, or the late one: which is which nobody knows, and each is due once.
    assert program.number(f"close {leak.fd}") == 0
    program.tell(f"close {leak.fd}")
    absorbed = 1 if program.line() == "ok 0" else 0
    assert program.ask_error(f"close {leak.fd}") == ["EBADF"]
    assert program.report()["totals"]["reclaimed"]["absorbed"] == absorbed


@pytest.mark.parametrize("action", ["shutdown", "neutralize"])
@pytest.mark.parametrize("cloexec", [0, 1])
@pytest.mark.parametrize("nonblock", [0, 1])
def test_flags_stay_as_they_were(puppet, peer, action, cloexec, nonblock):
    program = puppet(options=ladder.options(action))
    leak = ladder.leak(program, peer)
    other = ladder.leak(program, peer)
    program.ask(f"setflags {leak.fd} {cloexec} {nonblock}")
    program.ask(f"setflags {other.fd} {1 - cloexec} {1 - nonblock}")
    for fd in (leak.fd, other.fd):
        program.event(ladder.TOP[action], fd=fd)
    assert program.ask(f"flags {leak.fd}") == [str(cloexec), str(nonblock)]
    assert program.ask(f"flags {other.fd}") == [str(1 - cloexec), str(1 - nonblock)]
    # Two dead numbers share nothing that the program can see.
    program.ask(f"setflags {leak.fd} {1 - cloexec} {1 - nonblock}")
    assert program.ask(f"flags {leak.fd}") == [str(1 - cloexec), str(1 - nonblock)]
    assert program.ask(f"flags {other.fd}") == [str(1 - cloexec), str(1 - nonblock)]
    assert program.number(f"read {leak.fd}") == program.number(f"read {other.fd}") == 0


def test_a_program_that_reacts(puppet, peer):
    """Woken by the shutdown it closes: counted, and nothing more is done."""
    program = puppet(options=ladder.options("neutralize", grace="10s"))
    leak = ladder.leak(program, peer)
    program.event("shutdown", fd=leak.fd)
    assert program.number(f"close {leak.fd}") == 0
    program.event("app_reacted", fd=leak.fd)
    assert ladder.reclaimed(program.report()) == {"shutdown": 1, "app_reacted": 1}
    assert leak.sees_fin() and leak.sees_no_reset()


def test_a_program_that_closes_before_is_not_touched(puppet, peer):
    program = puppet(options=ladder.options("neutralize", deadline="1s"))
    leak = ladder.leak(program, peer)
    ladder.await_fin(program, leak.fd)
    assert program.number(f"close {leak.fd}") == 0
    kept = ladder.leak(program, peer)  # on the same number: the account begins anew
    assert kept.fd == leak.fd
    event = program.event("shutdown", fd=kept.fd)
    assert len(program.events("shutdown")) == 1
    assert event["quiet_ms"] >= 1000


@pytest.mark.parametrize("death", ["rst", "orderly"])
def test_a_dead_connection_is_neutralized_at_once(puppet, peer, death):
    """There is nothing to shut down: the fd is all that is left."""
    program = puppet(options=ladder.options("neutralize"))
    leak = ladder.connect(program, peer)
    if death == "rst":
        harness.reset(leak.far)
        harness.wait_until(
            lambda: "ECONNRESET" in try_read(program, leak.fd), "the program to see the reset"
        )
    else:
        program.ask(f"shutdown {leak.fd}")
        assert leak.sees_fin()
        leak.far.shutdown(socket.SHUT_WR)
    event = program.event("neutralized", fd=leak.fd)
    assert event["cause"] == "dead-but-open"
    assert program.events("shutdown") == []
    if death == "orderly":
        assert leak.sees_no_reset()
    assert program.number(f"read {leak.fd}") == 0
    assert program.number(f"close {leak.fd}") == 0
    assert program.report()["totals"]["regretted"] == 0


def try_read(program, fd):
    program.tell(f"read {fd}")
    return program.line()


def test_a_peer_that_has_forgotten_the_connection(puppet, peer):
    """It answers our FIN with RST. The error that this leaves is none that the program had before."""
    program = puppet(options=ladder.options("neutralize", deadline="3s"))
    leak = ladder.connect(program, peer)
    leak.far.setsockopt(socket.IPPROTO_TCP, socket.TCP_LINGER2, 1)
    port = leak.far.getpeername()[1]
    leak.far.close()
    harness.wait_until(lambda: not knows(peer.port, port), "the far end to forget the connection")
    program.event("neutralized", fd=leak.fd)
    assert ladder.kinds(program, leak.fd)[:3] == ["stuck", "shutdown", "neutralized"]
    assert program.number(f"read {leak.fd}") == 0


def knows(local_port, remote_port):
    """Does the kernel still keep this end, in any state?"""
    wanted = (f":{local_port:04X}", f":{remote_port:04X}")
    with open("/proc/net/tcp", encoding="ascii") as lines:
        ends = [line.split()[1:3] for line in lines]
    return any(a.endswith(wanted[0]) and b.endswith(wanted[1]) for a, b in ends)


# ---- events ----


def test_what_an_event_says(start, peer):
    program = start("asker", options=ladder.options("neutralize"))
    program.ready()
    leak = ladder.leak(program, peer)
    (cookie,) = program.ask(f"cookie {leak.fd}")
    program.event("neutralized", fd=leak.fd)
    events = program.events()
    assert [e["event"] for e in events] == ["stuck", "shutdown", "neutralized"]
    snapshot = program.report()
    (site,) = snapshot["sites"]
    for event in events:
        assert event["cookie"] == cookie
        assert event["peer"] == {"direction": "out", "address": "127.0.0.1", "port": peer.port}
        assert event["site"] == site["id"]
        assert event["blame"] == site["blame"]
    assert all(event["quiet_ms"] >= 300 for event in events[:2])
    assert [event["cause"] for event in events[:2]] == ["never-looked"] * 2
    times = [ladder.time_of(event) for event in events]
    assert times == sorted(times)


def test_what_the_socket_list_says(puppet, peer):
    program = puppet(options=ladder.options("shutdown"))
    leak = ladder.leak(program, peer)
    open_one = ladder.connect(program, peer)
    program.event("shutdown", fd=leak.fd)
    by_fd = {entry["fd"]: entry for entry in program.report()["sockets"]}
    assert by_fd[leak.fd]["rung"] == "shutdown"
    assert by_fd[open_one.fd]["rung"] in (None, "none")


def test_dry_run_says_each_rung_once_and_does_nothing(puppet, peer):
    program = puppet(options=ladder.options("close", dry_run=1))
    leak = ladder.leak(program, peer)
    program.event("closed", fd=leak.fd)
    second = ladder.wait_for_another(program, peer, "closed")
    assert ladder.kinds(program, leak.fd) == ["stuck", "shutdown", "neutralized", "closed"]
    decided = [e for e in program.events() if e["event"] in ladder.RUNGS]
    assert all(event["dry_run"] is True for event in decided)
    snapshot = program.report()
    assert snapshot["reclaim"]["dry_run"] is True
    done = ladder.reclaimed(snapshot)
    assert not {"shutdown", "neutralized", "closed"} & set(done), done
    assert snapshot["totals"]["close_wait"] == snapshot["totals"]["stuck"] == 2
    # Both still work in the direction that is left.
    for each in (leak, second):
        program.ask(f"write {each.fd} 10")
        assert each.far.recv(100) == bytes(10)
    assert program.report()["totals"]["regretted"] == 0


# ---- who is spared ----


def leak_in(program):
    """An inbound connection whose end of file was read and ignored."""
    inbound = ladder.accepted(program)
    inbound.far.shutdown(socket.SHUT_WR)
    assert program.number(f"read {inbound.fd}") == 0
    return inbound


@pytest.mark.parametrize("side", ["out", "in", "both"])
def test_side(puppet, peer, side):
    more = {"side": side, "deadline_in": "300ms", "probe": "off"}
    program = puppet(options=ladder.options("shutdown", **more))
    leaks = {"out": ladder.leak(program, peer), "in": leak_in(program)}
    for direction, leak in leaks.items():
        if side in (direction, "both"):
            program.event("shutdown", fd=leak.fd)
            assert leak.sees_fin()
        else:
            program.event("skipped", fd=leak.fd, reason="side")
            program.ask(f"write {leak.fd} 1")
            assert leak.far.recv(10) == bytes(1)


def test_inbound_needs_the_cause_and_the_longer_deadline(puppet, peer):
    more = {"side": "both", "deadline_in": "2s", "probe": "off"}
    program = puppet(options=ladder.options("shutdown", **more))
    unread = ladder.accepted(program)
    unread.far.shutdown(socket.SHUT_WR)
    ignored, outbound = leak_in(program), ladder.leak(program, peer)
    program.event("skipped", fd=unread.fd, reason="cause")
    assert program.event("shutdown", fd=ignored.fd)["quiet_ms"] >= 2000
    assert program.event("shutdown", fd=outbound.fd)["quiet_ms"] < 2000
    assert len(program.events("shutdown")) == 2


@pytest.fixture
def destinations():
    """Listeners at several addresses, by a letter each."""
    places = {"a": ("127.0.0.1", 4), "b": ("127.0.0.1", 4), "c": ("127.0.0.2", 4), "d": ("::1", 6)}
    listeners = {}
    for letter, (host, version) in places.items():
        family = socket.AF_INET6 if version == 6 else socket.AF_INET
        try:
            listeners[letter] = socket.create_server((host, 0), family=family)
        except OSError as error:
            raise harness.Forbidden(f"listening at {host}: {error}") from None
    yield listeners
    for listener in listeners.values():
        listener.close()


RULES = [
    ({"never": "127.0.0.0/8"}, "d"),
    ({"never": "127.0.0.2"}, "abd"),
    ({"never": ":{a}"}, "bcmd"),
    ({"never": "127.0.0.1:{a}"}, "bcmd"),
    ({"never": "127.0.0.0/30:{c}"}, "abd"),
    ({"never": "::1"}, "abcm"),
    ({"never": "[::/64]:{d}"}, "abcm"),
    ({"never": "[::1/128]:{a}"}, "abcmd"),
    ({"only": "127.0.0.0/8"}, "abcm"),
    ({"only": "127.0.0.2/32"}, "cm"),
    ({"only": ["127.0.0.1:{a}", "::1"]}, "ad"),
    ({"only": ":{b}", "never": "127.0.0.1"}, ""),
    ({"only": "127.0.0.0/8", "never": [":{a}", ":{c}"]}, "b"),
]


@pytest.mark.parametrize(("rules", "acted_on"), RULES, ids=lambda value: str(value) or "none")
def test_only_and_never(puppet, destinations, rules, acted_on):
    """m is a v4-mapped connection to c; to an IPv4 rule it is what it is on the wire."""
    ports = {letter: each.getsockname()[1] for letter, each in destinations.items()}
    options = {}
    for key, value in rules.items():
        values = value if isinstance(value, list) else [value]
        options[key] = [each.format(**ports) for each in values]
    program = puppet(options=ladder.options("shutdown", **options))
    hosts = {"a": "127.0.0.1", "b": "127.0.0.1", "c": "127.0.0.2", "d": "::1", "m": "::ffff:127.0.0.2"}
    fds, far_ends = {}, []
    for letter, host in hosts.items():
        target = "c" if letter == "m" else letter
        fds[letter] = program.number(f"connect {host} {ports[target]}")
        far, _ = destinations[target].accept()
        far.shutdown(socket.SHUT_WR)
        far_ends.append(far)
    for letter, fd in fds.items():
        if letter in acted_on:
            program.event("shutdown", fd=fd)
        else:
            program.event("skipped", fd=fd, reason="rule")
    assert len(program.events("shutdown")) == len(acted_on)


@pytest.mark.parametrize(("rule", "spared_port"), [("never", 40000), ("only", 40001)])
def test_a_rule_for_the_local_port(puppet, networks, start, rule, spared_port):
    network = networks()
    far = start([harness.victim("peer"), "127.0.0.1"], library=False, network=network)
    (port,) = far.ready()
    network.narrow_ports(40000, 40001)
    options = ladder.options("shutdown", **{rule: "local:40000"})
    program = puppet(options=options, network=network)
    program.ask(f"connect 127.0.0.1 {port} 2")
    harness.wait_until(lambda: far.ask("count") == ["2"], "both connections")
    far.ask("close 0 2")
    spared = program.event("skipped", reason="rule")
    done = program.event("shutdown")
    by_fd = {entry["fd"]: entry for entry in program.report()["sockets"]}
    assert by_fd[spared["fd"]]["local"] == f"127.0.0.1:{spared_port}"
    assert done["fd"] != spared["fd"]


@pytest.mark.parametrize("bad", ["never=10.0.0.0/33", "only=example.org", "never=127.0.0.1:http"])
def test_a_rule_that_cannot_be_read_disarms(puppet, peer, bad):
    """Whom it would have spared is not known: nobody is touched, and it is said."""
    key, value = bad.split("=")
    program = puppet(options=ladder.options("neutralize", **{key: value}))
    assert program.stderr_lines(key, value)
    assert program.stderr_lines("action=report")
    leak = ladder.leak(program, peer)
    program.event("stuck", fd=leak.fd)
    second = ladder.leak(program, peer)
    program.event("stuck", fd=second.fd)
    snapshot = program.report()
    assert snapshot["options"]["action"] == snapshot["reclaim"]["action"] == "report"
    assert ladder.reclaimed(snapshot) == {}
    assert ladder.kinds(program, leak.fd) == ["stuck"]
    program.ask(f"write {leak.fd} 1")
    assert leak.far.recv(10) == bytes(1)


def test_oldest_first(puppet, peer):
    """All are due at one sweep; the order of their FINs decides, not that of their numbers."""
    more = {"interval": "2s", "deadline": "100ms", "max_rate": 2}
    program = puppet(options=ladder.options("shutdown", **more))
    leaks = [ladder.connect(program, peer) for _ in range(8)]
    program.report()  # they are known by now
    order = [leaks[i] for i in (5, 2, 7, 0, 3, 6, 1, 4)]
    for leak in order:
        leak.far.shutdown(socket.SHUT_WR)
        time.sleep(0.02)  # the distance of the FINs, not a wait for anything
    program.event("shutdown", fd=order[-1].fd)
    assert [e["fd"] for e in program.events("shutdown")] == [leak.fd for leak in order]


def test_max_rate(puppet, peer):
    count, rate = 20, 5
    program = puppet(options=ladder.options("shutdown", max_rate=rate))
    leaks = [ladder.leak(program, peer) for _ in range(count)]
    harness.wait_until(lambda: len(program.events("shutdown")) == count, "all shut down")
    times = [ladder.time_of(event) for event in program.events("shutdown")]
    # At most one second's worth at once, then `rate` a second. Printed times may be whole milliseconds.
    for first in range(count):
        for last in range(first + rate, count):
            spent = (times[last] - times[first]).total_seconds()
            assert spent >= (last - first - rate) / rate - 0.05
    assert (times[-1] - times[0]).total_seconds() >= (count - rate) / rate - 0.05
    assert all(leak.sees_fin() for leak in leaks)


def test_no_rate_limit(puppet, peer):
    program = puppet(options=ladder.options("shutdown", max_rate=0, interval="1s", deadline="100ms"))
    fd = program.number(f"connect 127.0.0.1 {peer.port} 400")
    for _ in range(400):
        peer.accept()[0].close()
    harness.wait_until(lambda: len(program.events("shutdown")) == 400, "all shut down")
    times = [ladder.time_of(event) for event in program.events("shutdown")]
    assert (times[-1] - times[0]).total_seconds() < 3.5  # 100 a second would take four
    assert program.number("kind tcp") == fd + 1


@pytest.mark.parametrize("action", ["neutralize", "close"])
def test_unread_data_stays_readable(puppet, peer, action):
    program = puppet(options=ladder.options(action))
    leak = ladder.connect(program, peer)
    leak.far.sendall(b"x" * 60000)
    leak.far.shutdown(socket.SHUT_WR)
    program.event("shutdown", fd=leak.fd)
    program.event("skipped", fd=leak.fd, reason="unread-data", rung="neutralize")
    assert leak.sees_fin() and leak.sees_no_reset()
    ladder.wait_for_another(program, peer, ladder.TOP[action])
    got = 0
    while got < 60000:
        n = program.number(f"read {leak.fd}")
        assert n > 0
        got += n
    assert program.number(f"read {leak.fd}") == 0
    assert program.report()["totals"]["regretted"] == 0
    # What held it back is gone: it may go on.
    program.event("neutralized", fd=leak.fd)


@pytest.mark.parametrize("goodbye", [TLS12_CLOSE_NOTIFY, TLS13_CLOSE_NOTIFY], ids=["1.2", "1.3"])
def test_a_lone_close_notify_is_no_unread_data(puppet, peer, goodbye):
    program = puppet(options=ladder.options("neutralize"))
    leak = ladder.connect(program, peer)
    leak.far.sendall(goodbye)
    leak.far.shutdown(socket.SHUT_WR)
    program.event("neutralized", fd=leak.fd)
    assert program.number(f"read {leak.fd}") == 0


def test_a_pending_error_is_kept_for_the_program(puppet, peer):
    program = puppet(options=ladder.options("neutralize"))
    leak = ladder.connect(program, peer)
    harness.reset(leak.far)
    program.event("skipped", fd=leak.fd, reason="error-pending")
    ladder.wait_for_another(program, peer, "neutralized")
    assert ladder.kinds(program, leak.fd) == ["stuck", "skipped"]
    assert program.ask_error(f"read {leak.fd}") == ["ECONNRESET"]
    program.event("neutralized", fd=leak.fd)


@pytest.mark.parametrize("action", ["shutdown", "close"])
def test_an_adopted_connection_is_at_most_shut_down(puppet, peer, action):
    program = puppet(options=ladder.options(action))
    program.ask("kind tcp")  # starts the worker
    fd = program.number(f"rawconnect 127.0.0.1 {peer.port}")
    leak = ladder.Leak(fd, *peer.accept())
    leak.far.shutdown(socket.SHUT_WR)
    program.event("shutdown", fd=fd)
    assert leak.sees_fin()
    if action == "close":
        program.event("skipped", fd=fd, reason="adopted", rung="neutralize")
        ladder.wait_for_another(program, peer, "closed")
    assert "neutralized" not in ladder.kinds(program, fd)
    assert program.number(f"close {fd}") == 0


def test_a_listener_and_an_open_connection_are_never_touched(puppet, peer):
    program = puppet(options=ladder.options("close", side="both", deadline_in="300ms"))
    listener, port = map(int, program.ask("listen 127.0.0.1"))
    program.ask("kind udp")
    program.ask("kind unix")
    live = ladder.connect(program, peer)
    inbound = socket.create_connection(("127.0.0.1", port), harness.PATIENCE_S)
    accepted = program.number(f"accept {listener}")
    leak = ladder.leak(program, peer)
    program.event("closed", fd=leak.fd)
    ladder.wait_for_another(program, peer, "closed")
    assert {e["fd"] for e in program.events() if "fd" in e}.isdisjoint({listener, live.fd, accepted})
    for fd, far in ((live.fd, live.far), (accepted, inbound)):
        program.ask(f"write {fd} 3")
        assert far.recv(10) == bytes(3)
    assert socket.create_connection(("127.0.0.1", port), harness.PATIENCE_S)


def test_a_skip_is_said_once(puppet, peer):
    program = puppet(options=ladder.options("shutdown", never="127.0.0.0/8"))
    leak = ladder.leak(program, peer)
    program.event("skipped", fd=leak.fd, reason="rule")
    for _ in range(10):
        program.report()
    second = ladder.leak(program, peer)
    program.event("skipped", fd=second.fd, reason="rule")
    assert ladder.kinds(program, leak.fd) == ["stuck", "skipped"]


# ---- the probe ----


def test_a_probe_goes_before_where_the_program_read_last(start, peer):
    program = start("asker", options=ladder.options("shutdown"))
    program.ready()
    read, written, untouched = (ladder.connect(program, peer) for _ in range(3))
    before = [program.ask(f"call {name} {read.fd}") for name in KEEPALIVE]
    program.ask(f"call write {written.fd}")
    for leak in (read, written, untouched):
        leak.far.shutdown(socket.SHUT_WR)
        ladder.await_fin(program, leak.fd)
    assert program.number(f"call read {read.fd}") == 0
    for leak in (read, written, untouched):
        program.event("shutdown", fd=leak.fd)
    assert ladder.kinds(program, read.fd) == ["stuck", "probed", "shutdown"]
    assert ladder.kinds(program, written.fd) == ["stuck", "shutdown"]
    assert ladder.kinds(program, untouched.fd) == ["stuck", "shutdown"]
    assert [program.ask(f"call {name} {read.fd}") for name in KEEPALIVE] == before
    assert ladder.reclaimed(program.report()) == {"probed": 1, "shutdown": 3}


KEEPALIVE = ["get-keepalive", "get-keepidle", "get-keepintvl", "get-keepcnt"]


@pytest.mark.parametrize("probe", ["on", "off"])
def test_a_probe_before_all_or_none(puppet, peer, probe):
    program = puppet(options=ladder.options("shutdown", probe=probe))
    read, untouched = (ladder.connect(program, peer) for _ in range(2))
    for leak in (read, untouched):
        leak.far.shutdown(socket.SHUT_WR)
    assert program.number(f"read {read.fd}") == 0
    for leak in (read, untouched):
        program.event("shutdown", fd=leak.fd)
        assert ("probed" in ladder.kinds(program, leak.fd)) == (probe == "on")


def test_a_probe_ends_what_the_peer_has_forgotten(puppet, peer):
    """Nothing is cut: the peer says itself that there is no such connection."""
    program = puppet(options=ladder.options("shutdown", deadline="3s"))
    leak = ladder.connect(program, peer)
    leak.far.setsockopt(socket.IPPROTO_TCP, socket.TCP_LINGER2, 1)
    port = leak.far.getpeername()[1]
    leak.far.close()
    assert program.number(f"read {leak.fd}") == 0
    harness.wait_until(lambda: not knows(peer.port, port), "the far end to forget the connection")
    program.event("probed", fd=leak.fd)
    snapshot = program.report_until(
        lambda s: s["totals"]["reclaimed"]["ended_by_probe"] == 1, "the answer to the probe"
    )
    assert snapshot["totals"]["reclaimed"]["shutdown"] == 0
    assert ladder.is_port_free(leak.local)


def test_a_client_that_waits_is_asked_and_spared(puppet):
    """An inbound peer that acknowledges the probe may be waiting for an answer."""
    more = {"side": "in", "deadline_in": "300ms"}
    program = puppet(options=ladder.options("close", **more))
    inbound = leak_in(program)
    program.event("skipped", fd=inbound.fd, reason="peer-waits")
    assert ladder.kinds(program, inbound.fd) == ["stuck", "probed", "skipped"]
    program.ask(f"write {inbound.fd} 7")
    assert inbound.far.recv(10) == bytes(7)


# ---- regret ----


def test_one_regret_exempts_its_site(puppet, peer):
    program = puppet(options=ladder.options("shutdown"))
    leak = ladder.leak(program, peer)
    program.event("shutdown", fd=leak.fd)
    assert program.ask_error(f"write {leak.fd} 10") == ["EPIPE"]
    event = program.event("regretted", fd=leak.fd)
    assert event["rung"] == "shutdown"
    second = ladder.leak(program, peer)
    program.event("skipped", fd=second.fd, reason="regret")
    # Another site is no worse for it.
    program.ask(f"rawconnect 127.0.0.1 {peer.port}")
    other, _ = peer.accept()
    other.shutdown(socket.SHUT_WR)
    assert other.recv(10) == b""
    snapshot = program.report()
    assert snapshot["totals"]["regretted"] == 1
    assert sorted(site["regretted"] for site in snapshot["sites"]) == [0, 1]
    assert snapshot["reclaim"]["stopped"] is False
    program.ask(f"write {second.fd} 1")
    assert second.far.recv(10) == bytes(1)


@pytest.mark.parametrize("action", ["shutdown", "neutralize"])
def test_three_regrets_stop_the_ladder(puppet, peer, action):
    program = puppet(options=ladder.options(action))
    leaks = [ladder.leak(program, peer) for _ in range(3)]
    for leak in leaks:
        program.event(ladder.TOP[action], fd=leak.fd)
    for leak in leaks:
        assert program.ask_error(f"write {leak.fd} 10") == ["EPIPE"]
        event = program.event("regretted", fd=leak.fd)
        assert event["rung"] == action
    program.event("stopped")
    snapshot = program.report()
    assert snapshot["totals"]["regretted"] == 3
    assert snapshot["reclaim"]["stopped"] is True
    assert snapshot["reclaim"]["action"] == "report"
    assert program.stderr_lines("regret", "action=report")
    # A site of its own, so it is not the exemption that spares this one.
    fd = program.number(f"rawconnect 127.0.0.1 {peer.port}")
    other, _ = peer.accept()
    other.shutdown(socket.SHUT_WR)
    program.event("stuck", fd=fd)
    second = ladder.leak(program, peer)
    program.event("stuck", fd=second.fd)
    assert "shutdown" not in ladder.kinds(program, fd)
    program.ask(f"write {fd} 1")
    assert other.recv(10) == bytes(1)
    assert len(program.events("stopped")) == 1


def test_one_connection_is_regretted_once(puppet, peer):
    program = puppet(options=ladder.options("neutralize"))
    leak = ladder.leak(program, peer)
    program.event("neutralized", fd=leak.fd)
    for _ in range(5):
        assert program.ask_error(f"write {leak.fd} 10") == ["EPIPE"]
    program.event("regretted", fd=leak.fd)
    snapshot = program.report()
    assert snapshot["totals"]["regretted"] == 1
    assert snapshot["reclaim"]["stopped"] is False


@pytest.mark.parametrize("action", ["shutdown", "neutralize"])
@pytest.mark.parametrize("goodbye", [TLS12_CLOSE_NOTIFY, TLS13_CLOSE_NOTIFY], ids=["1.2", "1.3"])
def test_a_goodbye_before_a_late_close_is_no_regret(puppet, peer, action, goodbye):
    """What TLS libraries do when the program closes after all."""
    program = puppet(options=ladder.options(action))
    leak = ladder.leak(program, peer)
    program.event(ladder.TOP[action], fd=leak.fd)
    program.tell(f"writehex {leak.fd} {goodbye.hex()}")
    program.line()  # it may fail or not: the program does not care
    assert program.number(f"close {leak.fd}") == 0
    ladder.wait_for_another(program, peer, ladder.TOP[action])
    snapshot = program.report()
    assert snapshot["totals"]["regretted"] == 0
    assert program.events("regretted") == []


@pytest.mark.parametrize("bytes_sent", [b"x" * 24, b"x" * 31], ids=["24", "31"])
def test_what_only_looks_as_long_as_a_goodbye_is_a_regret(puppet, peer, bytes_sent):
    program = puppet(options=ladder.options("shutdown"))
    leak = ladder.leak(program, peer)
    program.event("shutdown", fd=leak.fd)
    assert program.ask_error(f"writehex {leak.fd} {bytes_sent.hex()}") == ["EPIPE"]
    program.ask(f"close {leak.fd}")
    program.event("regretted", fd=leak.fd)


def test_reading_the_end_late_is_no_regret(puppet, peer):
    program = puppet(options=ladder.options("neutralize"))
    leak = ladder.leak(program, peer)
    program.event("neutralized", fd=leak.fd)
    assert program.number(f"read {leak.fd}") == 0
    ladder.wait_for_another(program, peer, "neutralized")
    assert program.report()["totals"]["regretted"] == 0
