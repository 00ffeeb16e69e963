"""keepalive=SECONDS: on every TCP socket that the program has not set its own on, and what it ends."""

import harness
import pytest
import services

OURS = ["1", "20", "4", "5"]  # keepalive=20: SO_KEEPALIVE, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT
OPTIONS = {"action": "report", "keepalive": 20, "deadline": "10m", "interval": "100ms"}


def standard():
    """What the kernel gives a socket on which nobody has set anything."""
    names = ("time", "intvl", "probes")
    values = [open(f"/proc/sys/net/ipv4/tcp_keepalive_{n}", encoding="ascii").read() for n in names]
    return ["0", *(value.strip() for value in values)]


@pytest.fixture
def caller(start):
    def start_caller(**more):
        program = start("caller", options={**OPTIONS, **more.pop("options", {})}, **more)
        program.ready()
        return program

    return start_caller


def wait_for_options(program, fd, wanted):
    last = []

    def look():
        last[:] = program.ask(f"get {fd}")
        return last == wanted

    harness.wait_until(look, lambda: f"{wanted} at {fd}; it is {last}")


def test_each_tcp_socket_gets_it(caller, peer):
    program = caller()
    listener, port = program.ask("listen 127.0.0.1")
    out = program.number(f"connect 127.0.0.1 {peer.port}")
    program.number(f"connect 127.0.0.1 {port}")
    accepted = program.number(f"accept {listener}")
    fresh = program.number("socket")  # before it is connected
    v6 = program.number("socket 6")
    for fd in (out, accepted, fresh, v6):
        wait_for_options(program, fd, OURS)
    far, _ = peer.accept()
    far.sendall(b"x")
    assert program.number(f"read {out}") == 1
    assert program.end() == 0


def test_off_is_off(caller, peer):
    program = caller(options={"keepalive": "off", "action": "shutdown", "deadline": "300ms"})
    fd = program.number(f"connect 127.0.0.1 {peer.port}")
    leaked = program.number(f"connect 127.0.0.1 {peer.port}")
    peer.accept()
    peer.accept()[0].close()
    program.event("shutdown", fd=leaked)
    assert program.ask(f"get {fd}") == standard()


OWN = {
    "keepalive 1": lambda s: ["1", *s[1:]],
    "keepalive 0": lambda s: s,
    "idle 77": lambda s: ["0", "77", *s[2:]],
    "intvl 78": lambda s: [*s[:2], "78", s[3]],
    "cnt 3": lambda s: [*s[:3], "3"],
}


@pytest.mark.parametrize("own", OWN)
def test_the_programs_own_wins_before(caller, peer, own):
    """It sets one thing; the rest is as without us, for the program may have counted on that."""
    program = caller()
    fd = program.number(f"connect 127.0.0.1 {peer.port}")
    program.ask(f"set {fd} {own}")
    other = program.number(f"connect 127.0.0.1 {peer.port}")
    wait_for_options(program, other, OURS)
    assert program.ask(f"get {fd}") == OWN[own](standard())
    program.report()
    assert program.ask(f"get {fd}") == OWN[own](standard())


@pytest.mark.parametrize("own", OWN)
def test_the_programs_own_wins_after(caller, peer, own):
    program = caller()
    fd = program.number(f"connect 127.0.0.1 {peer.port}")
    wait_for_options(program, fd, OURS)
    program.ask(f"set {fd} {own}")
    assert program.ask(f"get {fd}") == OWN[own](standard())
    other = program.number(f"connect 127.0.0.1 {peer.port}")
    wait_for_options(program, other, OURS)
    program.report()
    assert program.ask(f"get {fd}") == OWN[own](standard()), "it was set again"


def test_all_of_its_own(caller, peer):
    program = caller()
    fds = [program.number(f"connect 127.0.0.1 {peer.port}") for _ in range(2)]
    wait_for_options(program, fds[1], OURS)
    for fd in fds:
        for words in ("keepalive 1", "idle 300", "intvl 60", "cnt 7"):
            program.ask(f"set {fd} {words}")
    program.report()
    for fd in fds:
        assert program.ask(f"get {fd}") == ["1", "300", "60", "7"]


@pytest.fixture
def forgetful(networks):
    """A network whose kernel forgets a closed connection after 1 s."""
    network = networks()
    network.run("sysctl", "-q", "-w", "net.ipv4.tcp_fin_timeout=1")
    return network


def start_peer(start, network):
    other = start([harness.victim("peer"), "127.0.0.1"], library=False, network=network)
    return other, f"127.0.0.1 {other.ready()[0]}"


def test_a_forgotten_close_wait_ends(caller, start, forgetful):
    """The peer has closed and forgotten: its kernel answers the probe with RST. Nothing was cut."""
    other, place = start_peer(start, forgetful)
    program = caller(options={"keepalive": 1}, network=forgetful)
    program.ask(f"connect {place} 3")
    own = program.number(f"connect {place}")
    program.ask(f"set {own} keepalive 0")
    live = program.number(f"connect {place}")
    other.ask("close 0 4")
    snapshot = program.report_until(
        lambda s: s["totals"]["reclaimed"]["ended_by_keepalive"] == 3, "three that the kernel ended"
    )
    assert services.count_states(program, forgetful) == {"CLOSE_WAIT": 1, "ESTABLISHED": 1}
    harness.wait_until(lambda: len(program.events("keepalive")) >= 3, "their events, which are written behind the report")
    assert len(program.events("keepalive")) == 3
    assert {e["fd"] for e in program.events("keepalive")} == {3, 4, 5}
    done = snapshot["totals"]["reclaimed"]
    assert done["probed"] == done["shutdown"] == done["neutralized"] == done["closed"] == 0
    assert snapshot["totals"]["by_state"]["CLOSE"] == 3
    assert harness.sum_causes(snapshot).get("dead-but-open", 0) <= 3
    assert program.number(f"write {live}") == 10
    for fd in (3, 4, 5, own):
        program.ask(f"close {fd}")
    assert program.end() == 0


def test_a_peer_that_waits_is_not_ended(caller, start, networks):
    """A half-closed client that goes on waiting acknowledges each probe."""
    network = networks()
    client = start("caller", library=False, network=network)
    client.ready()
    program = caller(options={"keepalive": 1, "action": "report"}, network=network)
    listener, port = program.ask("listen 127.0.0.1")
    fd = client.number(f"connect 127.0.0.1 {port}")
    accepted = program.number(f"accept {listener}")
    client.ask(f"shut {fd}")
    wait_for_options(program, accepted, ["1", "1", "1", "5"])
    # Longer than idle + count x interval: a peer that did not answer would be given up by then.
    program.report_until(lambda s: quiet_ms(s, accepted) > 8000, "eight quiet seconds")
    assert program.number(f"write {accepted}") == 10
    assert client.number(f"read {fd}") == 10
    assert program.report()["totals"]["reclaimed"]["ended_by_keepalive"] == 0


def quiet_ms(snapshot, fd):
    return next(s["close_wait_ms"] or 0 for s in snapshot["sockets"] if s["fd"] == fd)


def test_a_half_open_connection_ends(caller, start, networks):
    """The other side is gone without a word: the network is down. The program is told as ever."""
    network = networks()
    other, place = start_peer(start, network)
    program = caller(options={"keepalive": 1}, network=network)
    fd = program.number(f"connect {place}")
    wait_for_options(program, fd, ["1", "1", "1", "5"])
    network.run("ip", "link", "set", "lo", "down")
    program.report_until(
        lambda s: s["totals"]["reclaimed"]["ended_by_keepalive"] == 1, "the end of the connection"
    )
    assert program.event("keepalive")["fd"] == fd
    assert program.ask_error(f"read {fd}")[0] == "ETIMEDOUT"
    assert other.is_alive()
    assert program.end() == 0


def test_a_reset_is_not_counted_as_ours(caller, peer):
    program = caller(options={"keepalive": 1})
    fd = program.number(f"connect 127.0.0.1 {peer.port}")
    far, _ = peer.accept()
    wait_for_options(program, fd, ["1", "1", "1", "5"])
    harness.reset(far)
    program.report_until(lambda s: s["totals"]["by_state"].get("CLOSE") == 1, "the reset")
    assert program.report()["totals"]["reclaimed"]["ended_by_keepalive"] == 0
    assert program.events("keepalive") == []
    assert program.ask_error(f"read {fd}")[0] == "ECONNRESET"
