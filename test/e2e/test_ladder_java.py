"""JVMs under the ladder and the rescue: the outage that does not come, and what Java sees at each rung."""

import re

import harness
import pytest
import services

RUNS = "alone"  # a JVM is held to a pace (scripts/check-all)

URL = f"http://{services.PLACE}/"
PER_SECOND = 30
PORTS = (40000, 40099)
# A port is held while the server keeps the connection (1 s), then until the connection is stuck, a sweep finds it and
# the probe is sent, and another finds it answered: 250 ms each, or 500 ms with the rest that the worker takes after
# looking at the fds of all processes. 30 a second hold 30 x (1 + 0.3 + 0.5 + 0.5) = 69 of the 100 ports. What is left is
# for a machine that is busy with something else.
LADDER = {"action": "shutdown", "deadline": "300ms", "rescue": "off", "interval": None, "detail": None}
RESCUE = {
    "action": "report",
    "deadline": "10m",
    "rescue": "on",
    "rescue_after": "500ms",
    "interval": None,
    "detail": None,
}
REQUESTS = 6000 if services.IS_STRESS else 600


@pytest.fixture
def web(start, networks, tmp_path):
    """A private network with 100 ports and an nginx that ends connections after 1 s of idleness."""
    network = networks()
    config = services.web_config(tmp_path, "1s")
    services.start_nginx(start, network, tmp_path, config, library=False)
    network.narrow_ports(*PORTS)
    return network


def run_client(start, web, requests, **more):
    """Start it, and wait for its last line; what it said before that."""
    argv = services.java("RateClient", URL, requests, PER_SECOND)
    program = start(argv, network=web, nofile=harness.hard_nofile(), **more)
    lines = [program.line(patience_s=harness.PATIENCE_S + requests / PER_SECOND * 2)]
    while not lines[-1].startswith("done "):
        lines.append(program.line())
    return program, lines


def test_without_help_it_fails_after_100(start, web):
    for more in ({"library": False}, {"options": {"action": "report"}}):
        program, lines = run_client(start, web, 120, **more)
        assert "Cannot assign requested address" in lines[0] and "(20 times)" in lines[0], lines
        assert lines[1:] == ["done 100 failed 20"]
        assert program.end() == 0


@pytest.mark.parametrize("options", [LADDER, RESCUE], ids=["ladder", "rescue"])
def test_not_one_request_fails(start, web, options):
    before = services.resets(web)
    program, lines = run_client(start, web, REQUESTS, options=options)
    assert lines == [f"done {REQUESTS} failed 0"], program.stderr()
    assert services.resets(web) == before, "the server saw a reset"
    totals = program.report()["totals"]
    freed = totals["reclaimed"]["shutdown"] + totals["reclaimed"]["ended_by_probe"]
    assert freed >= REQUESTS - 100
    assert totals["regretted"] == totals["reclaimed"]["closed"] == 0
    assert totals["reclaimed"]["neutralized"] == 0
    assert (totals["rescued"] > 0) == (options is RESCUE)
    assert totals["dropped"] == 0
    assert len(program.full_reports("pressure")) <= 1 + REQUESTS // PER_SECOND // 60
    assert not [e for e in program.events("shutdown") if e["rescue"] != (options is RESCUE)]
    used = [int(n) for n in re.findall(r"ports are in use \((\d+)\)", program.stderr())]
    assert all(n <= 100 for n in used), "ports that are free are counted as taken"
    blames = {e["blame"] for e in program.events("shutdown")}
    assert all(re.fullmatch(r"RateClient\.fetch\(RateClient\.java:\d+\)", b) for b in blames), blames
    assert program.end() == 0


# ---- what Java sees at each rung ----

QUICK = {"deadline": "300ms", "deadline_in": "300ms", "grace": "300ms", "interval": "100ms"}
RUNGS = ("shutdown", "neutralize")
EVENT = {"shutdown": "shutdown", "neutralize": "neutralized"}
KINDS = ("socket", "channel")


@pytest.fixture
def user(start):
    def start_user(action, **options):
        program = start(services.java("SocketUser"), options={**QUICK, "action": action, **options})
        program.ready()
        return program

    return start_user


def wait_for_rung(program, rung, count=1):
    harness.wait_until(
        lambda: len(program.events(EVENT[rung])) >= count,
        lambda: f"{count} x {EVENT[rung]}: {program.events()}; {program.stderr()}",
    )


def connect(program, peer, kind):
    """A connection of the program's: its number there, and the other end."""
    number = program.number(f"{kind} {peer.port}")
    far, _ = peer.accept()
    return number, far


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("kind", KINDS)
def test_blocking_io(user, peer, kind, rung):
    program = user(rung)
    read, write, finish, close = (connect(program, peer, kind) for _ in range(4))
    for _, far in (read, write, finish, close):
        far.close()
    wait_for_rung(program, rung, 4)
    assert program.ask(f"read {read[0]}") == ["-1"]
    assert program.ask(f"read {read[0]}") == ["-1"]
    program.ask(f"finish {finish[0]}")
    assert program.report()["totals"]["regretted"] == 0
    error = program.ask_error(f"send {write[0]}")
    assert error[0] in ("SocketException", "IOException") and "Broken" in error, error
    program.event("regretted")
    for number, _ in (read, write, finish, close):
        program.ask(f"close {number}")
    snapshot = program.report()
    assert snapshot["totals"]["open"] == 0 and snapshot["totals"]["regretted"] == 1
    # The numbers are the program's again, and carry a live connection.
    number, far = connect(program, peer, kind)
    far.sendall(b"hello")
    assert program.ask(f"read {number}") == ["5"]
    program.ask(f"send {number}")
    assert far.recv(1) == b"x"
    assert program.end() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_blocked_reader_is_never_acted_on(user, peer, kind):
    """A live connection, idle for ten deadlines."""
    program = user("neutralize", side="both")
    number, far = connect(program, peer, kind)
    program.ask(f"begin {number}")
    leaked, leaked_far = connect(program, peer, kind)
    leaked_far.close()
    wait_for_rung(program, "neutralize")
    far.sendall(b"late")
    assert program.ask(f"await {number}") == ["4"]
    far.close()
    program.ask(f"begin {number}")
    assert program.ask(f"await {number}") == ["-1"]
    assert len(program.events("shutdown")) == 1
    program.ask(f"close {leaked}")
    assert program.end() == 0


@pytest.mark.parametrize("rung", RUNGS)
def test_a_selector(user, peer, rung):
    """NIO's epoll set is level-triggered. A key at its end, of no interest any more, and forgotten."""
    program = user(rung)
    number, far = connect(program, peer, "channel")
    other, other_far = connect(program, peer, "channel")
    cancelled, cancelled_far = connect(program, peer, "channel")
    for one in (number, other, cancelled):
        program.ask(f"register {one} r")
    far.sendall(b"abc")
    harness.wait_until(lambda: program.ask(f"seen {number}") == ["1", "3"], "the data")
    program.ask(f"cancel {cancelled}")
    far.close()
    cancelled_far.close()
    harness.wait_until(lambda: program.ask(f"seen {number}") == ["1", "-1"], "the end")
    wait_for_rung(program, rung, 2)

    before = program.number("selects")
    spent = services.cpu_ms(program.pid)
    other_far.sendall(b"live")
    harness.wait_until(lambda: program.ask(f"seen {other}") == ["1", "4"], "the live one")
    assert program.number("selects") <= before + 2, "the selector spins"

    # Late interest: what a closed connection shows, once.
    program.ask(f"interest {number} rw")
    harness.wait_until(lambda: program.ask(f"seen {number}")[0] in "45", "that it is ready")
    program.ask(f"cancel {number}")
    other_far.sendall(b"again")
    harness.wait_until(lambda: program.ask(f"seen {other}") == ["1", "5"], "the live one")
    assert program.number("selects") <= before + 8, "the selector spins"
    assert services.cpu_ms(program.pid) - spent < 5000
    for one in (number, cancelled, other):
        program.ask(f"close {one}")
    totals = program.report_until(lambda s: s["totals"]["open"] == 0, "all closed")["totals"]
    assert totals["regretted"] == 0
    assert program.end() == 0


@pytest.mark.parametrize("rung", RUNGS)
def test_close_of_a_registered_channel(user, peer, rung):
    """Such a close() ends in two steps: shutdown at once, the number when the key is gone."""
    program = user(rung)
    numbers = []
    for _ in range(3):
        number, far = connect(program, peer, "channel")
        program.ask(f"register {number} r")
        far.close()
        harness.wait_until(lambda n=number: program.ask(f"seen {n}") == ["1", "-1"], "the end")
        numbers.append(number)
    wait_for_rung(program, rung, 3)
    for number in numbers:
        program.ask(f"close {number}")
    totals = program.report_until(lambda s: s["totals"]["open"] == 0, "all closed")["totals"]
    assert totals["opened"] == totals["closed"]
    assert totals["regretted"] == 0
    assert program.end() == 0


@pytest.fixture
def short_memory(networks):
    """A network whose kernel forgets a closed connection after 1 s, instead of 60."""
    network = networks()
    network.run("sysctl", "-q", "-w", "net.ipv4.tcp_fin_timeout=1")
    return network


@pytest.mark.parametrize("deadline_in", ["300ms", "3s"])
def test_a_server_that_leaks(start, short_memory, deadline_in):
    """Inbound: only once the client's kernel has forgotten the connection, for until then it may wait for an answer."""
    options = {**QUICK, "action": "neutralize", "side": "both", "deadline_in": deadline_in}
    program = start(services.java("SocketUser"), options=options, network=short_memory)
    program.ready()
    listener, port = program.ask("listen")
    client = start("caller", library=False, network=short_memory)
    client.ready()
    fds = [client.number(f"connect 127.0.0.1 {port}") for _ in range(3)]
    gone, unread, live = [program.number(f"accept {listener}") for _ in fds]
    client.ask(f"write {fds[1]}")
    client.ask(f"close {fds[0]}")
    client.ask(f"close {fds[1]}")
    assert program.ask(f"read {gone}") == ["-1"]
    program.event("neutralized")
    totals = program.report()["totals"]
    done = totals["reclaimed"]
    assert (done["ended_by_probe"], done["shutdown"], done["neutralized"]) == (1, 0, 1)
    assert totals["by_state"]["ESTABLISHED"] == totals["by_state"]["CLOSE_WAIT"] == 1
    # The one with data that nobody has read is not touched, nor the live one.
    assert program.ask(f"read {unread}") == ["10"]
    client.ask(f"write {fds[2]}")
    assert program.ask(f"read {live}") == ["10"]
    assert program.ask(f"read {gone}") == ["-1"]
    for number in (gone, unread, live):
        program.ask(f"close {number}")
    assert program.report()["totals"]["regretted"] == 0
    assert program.end() == 0


# ---- a pool that comes back to a connection late ----


@pytest.mark.parametrize("rung", [None, *RUNGS])
@pytest.mark.parametrize("how", ["blind", "validate"])
def test_a_pool_comes_back(start, networks, tmp_path, how, rung):
    """It gets a plain IOException, as from any connection that the server has closed, and tries again."""
    network = networks()
    services.start_nginx(start, network, tmp_path, services.web_config(tmp_path, "1s"), library=False)
    argv = services.java("PoolClient", URL, 2, how)
    program = start(argv, network=network, library=bool(rung), options={**QUICK, "action": rung or "report"})
    program.ready()
    assert program.ask("") == ["2", "0", "-"]
    if rung:
        wait_for_rung(program, rung, 2)
    else:
        harness.wait_until(
            lambda: services.count_states(program, network) == {"CLOSE_WAIT": 2}, "the server's close"
        )
    done, failed, errors = program.ask("")
    assert (done, failed) == ("2", "0"), errors
    if how == "validate":
        assert errors == "-"
    elif rung:
        assert set(errors.split("|")) <= {"SocketException:Broken_pipe_(Write_failed)", "SocketException:Broken_pipe"}
    else:
        assert "NoHttpResponseException" in errors or "SocketException" in errors
    if rung:
        regretted = 2 if how == "blind" else 0
        totals = program.report_until(
            lambda s: s["totals"]["regretted"] == regretted, f"{regretted} regretted"
        )["totals"]
        assert totals["open"] == 2 and totals["by_state"].get("ESTABLISHED") == 2
        harness.wait_until(lambda: len(program.events("regretted")) >= regretted, "events, which are written behind the report")
        assert len(program.events("regretted")) == regretted
        assert program.report()["reclaim"]["stopped"] is False
    assert program.end() == 0
