"""Whom the ladder spares, and what it asks before: sides, rules, rates, unread data, the probe."""

import socket
import time

import harness
import ladder
import pytest

WAYS = "both"
RUNS = "first"  # takes minutes (scripts/check-all)


@pytest.mark.parametrize("side", ["out", "in", "both"])
def test_side(puppet, peer, side):
    more = {"side": side, "deadline_in": "300ms", "probe": "off"}
    program = puppet(options=ladder.options("shutdown", **more))
    leaks = {"out": ladder.leak(program, peer), "in": ladder.leak_in(program)}
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
    ignored, outbound = ladder.leak_in(program), ladder.leak(program, peer)
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


@pytest.mark.preloaded  # `attach` refuses it
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


LATE_S = 0.15  # of the first event, in relation to the last: they are timed when all that is asked before an action was asked


def test_max_rate(puppet, peer):
    count, rate = 20, 5
    program = puppet(options=ladder.options("shutdown", max_rate=rate))
    leaks = [ladder.leak(program, peer) for _ in range(count)]
    harness.wait_until(lambda: len(program.events("shutdown")) == count, "all shut down")
    times = [ladder.time_of(event) for event in program.events("shutdown")]
    # At most one second's worth at once, then `rate` a second.
    for first in range(count):
        for last in range(first + rate, count):
            spent = (times[last] - times[first]).total_seconds()
            assert spent >= (last - first - rate) / rate - LATE_S
    assert (times[-1] - times[0]).total_seconds() >= (count - rate) / rate - LATE_S
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


@pytest.mark.parametrize("goodbye", [ladder.TLS12_CLOSE_NOTIFY, ladder.TLS13_CLOSE_NOTIFY], ids=["1.2", "1.3"])
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
    program = start("asker", options=ladder.options("shutdown", deadline="2s"))  # the read comes before it
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
    assert ladder.is_known(port, peer.port)
    harness.wait_until(lambda: not ladder.is_known(peer.port, port), "the far end to forget the connection")
    program.event("probed", fd=leak.fd)
    snapshot = program.report_until(
        lambda s: s["totals"]["reclaimed"]["ended_by_probe"] == 1, "the answer to the probe"
    )
    assert snapshot["totals"]["reclaimed"]["shutdown"] == 0
    assert not ladder.is_known(port, peer.port)


def test_a_client_that_waits_is_asked_and_spared(puppet):
    """An inbound peer that acknowledges the probe may be waiting for an answer."""
    more = {"side": "in", "deadline_in": "300ms"}
    program = puppet(options=ladder.options("close", **more))
    inbound = ladder.leak_in(program)
    program.event("skipped", fd=inbound.fd, reason="peer-waits")
    assert ladder.kinds(program, inbound.fd) == ["stuck", "probed", "skipped"]
    program.ask(f"write {inbound.fd} 7")
    assert inbound.far.recv(10) == bytes(7)
