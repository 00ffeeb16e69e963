"""The ladder: its rungs, what the host has back, what is counted and written down."""

import socket

import harness
import ladder
import pytest
import services

WAYS = "both"


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
    leak = ladder.connect(program, peer)
    assert leak.holds_port()  # before the clock runs: on a host with many sockets their list takes longer than the deadline
    leak.far.shutdown(socket.SHUT_WR)
    program.event(ladder.TOP[action], fd=leak.fd)
    harness.wait_until(lambda: not leak.holds_port(), f"the port of {leak.local}")
    number = program.number("kind unix")
    assert (number == leak.fd) == (action == "close")
    program.ask(f"close {number}")
    assert program.number("open /dev/null") == number
    program.ask(f"close {number}")
    snapshot = program.report()
    assert snapshot["totals"]["regretted"] == 0
    assert snapshot["totals"]["reclaimed"]["absorbed"] == 0


def test_the_port_is_good_for_another_connection(puppet, start, networks):
    network = networks()
    far = start([harness.victim("peer"), "127.0.0.1"], library=False, network=network)
    (port,) = far.ready()
    network.narrow_ports(40000, 40000)
    program = puppet(options=ladder.options("shutdown", rescue="off"), network=network)
    fd = program.number(f"connect 127.0.0.1 {port}")
    harness.wait_until(lambda: far.ask("count") == ["1"], "the connection")
    assert program.ask_error(f"connect 127.0.0.1 {port}")[0] == "EADDRNOTAVAIL"
    far.ask("close 0 1")
    program.event("shutdown", fd=fd)
    assert program.number(f"connect 127.0.0.1 {port}") != fd


@pytest.mark.parametrize("action", ["shutdown", "neutralize", "close"])
def test_the_network_sees_no_reset(puppet, start, networks, action):
    """As the kernel counts them, on both sides, from the leak to the program's late close."""
    network = networks()
    far = start([harness.victim("peer"), "127.0.0.1"], library=False, network=network)
    (port,) = far.ready()
    program = puppet(options=ladder.options(action), network=network)
    before = services.resets(network)
    fds = [program.number(f"connect 127.0.0.1 {port}") for _ in range(4)]
    harness.wait_until(lambda: far.ask("count") == ["4"], "the connections")
    far.ask("close 0 4")
    for fd in fds:
        program.event(ladder.TOP[action], fd=fd)
    for fd in fds:
        assert program.number(f"close {fd}") == 0
    assert program.report()["totals"]["regretted"] == 0
    assert services.resets(network) == before


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
    harness.wait_until(lambda: not ladder.is_known(peer.port, port), "the far end to forget the connection")
    program.event("neutralized", fd=leak.fd)
    assert ladder.kinds(program, leak.fd)[:3] == ["stuck", "shutdown", "neutralized"]
    assert program.number(f"read {leak.fd}") == 0


def test_an_ipv6_connection(start):
    program = start("asker", options=ladder.options("neutralize"))
    program.ready()
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError as error:
        raise harness.Forbidden(f"listening at ::1: {error}") from None
    with listener:
        fd = program.number(f"connect ::1 {listener.getsockname()[1]}")
        far, _ = listener.accept()
        family = program.ask(f"call get-domain {fd}")
        far.shutdown(socket.SHUT_WR)
        program.event("neutralized", fd=fd)
        assert far.recv(10) == b""
        assert program.ask(f"call get-domain {fd}") == family == [str(int(socket.AF_INET6))]
        assert program.number(f"close {fd}") == 0


@pytest.mark.parametrize("action", ["shutdown", "neutralize", "close"])
def test_a_program_that_has_used_up_its_numbers(puppet, peer, action):
    """The ladder needs none of them; from the last rung on the program has some again."""
    program = puppet(options=ladder.options(action, max_rate=0), nofile=64)
    opened = int(program.ask_error(f"connect 127.0.0.1 {peer.port} 100")[-1])
    for _ in range(opened):
        peer.accept()[0].shutdown(socket.SHUT_WR)
    harness.wait_until(lambda: len(program.events(ladder.TOP[action])) == opened, "all")
    program.tell(f"connect 127.0.0.1 {peer.port}")
    line = program.line()
    assert line.startswith("ok" if action == "close" else "error EMFILE"), line
    assert len(program.events("shutdown")) == opened


def test_a_forked_child_has_a_ladder_of_its_own(puppet, peer):
    """What it opens itself it ends; what it shares with its parent it leaves open."""
    program = puppet(options=ladder.options("shutdown"))
    shared = ladder.leak(program, peer)
    child = program.number("become")
    mine = ladder.leak(program, peer)
    assert mine.sees_fin()
    program.ask(f"write {shared.fd} 5")
    assert shared.far.recv(10) == bytes(5)
    path = program.events_path.with_name(f"events.jsonl.{child}")
    harness.wait_until(lambda: path.exists() and '"shutdown"' in path.read_text(), "its own events")
    assert program.events("shutdown") == []


# ---- events ----


@pytest.mark.parametrize("how", ["write {} 1", "close {}"])
def test_a_late_use_is_retracted(puppet, peer, how):
    program = puppet(options=ladder.options("report"))
    leak = ladder.leak(program, peer)
    program.event("stuck", fd=leak.fd)
    program.ask(how.format(leak.fd))
    program.event("retracted", fd=leak.fd)
    assert ladder.kinds(program, leak.fd)[:2] == ["stuck", "retracted"]


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
