"""Node.js, libuv, Python, redis and nginx under the ladder: what each sees when it comes back late, and
that the healthy are left alone."""

import os
import signal

import harness
import pytest
import services

RUNS = "alone"  # runtimes are held to a pace (scripts/check-all)

QUICK = {"deadline": "300ms", "deadline_in": "300ms", "grace": "300ms", "interval": "100ms"}
RUNGS = ("shutdown", "neutralize")
ALL_RUNGS = (*RUNGS, "close")  # where what the program does late cannot hit a number that is another's by then
EVENT = {"shutdown": "shutdown", "neutralize": "neutralized", "close": "closed"}
SIGNAL = signal.SIGRTMIN + 5  # Node.js takes SIGUSR1 for itself
ACTIONS = ("probed", "shutdown", "neutralized", "closed")


def script(name):
    return harness.ROOT / "test" / "victims" / name


def options(action, **more):
    return {**QUICK, "action": action, "signal": "RTMIN+5", "max_output": "1000m", **more}


def wait_for_rung(program, rung, count=1):
    harness.wait_until(
        lambda: len(program.events(EVENT[rung])) >= count,
        lambda: f"{count} x {EVENT[rung]}: {program.events()}; {program.stderr()}",
    )


def wait_for_words(program, command, words):
    """Ask until all these words are among the answer's."""
    last = []

    def look():
        last[:] = program.ask(command)
        return set(words) <= set(last)

    harness.wait_until(look, lambda: f"{words} in the answer to {command}: {last}")
    return list(last)


def connections(program, peer, command, count):
    """[(number, other end)]"""
    made = []
    for _ in range(count):
        number = program.number(command.format(port=peer.port))
        made.append((number, peer.accept()[0]))
    return made


def end_all(made):
    for _, far in made:
        far.close()


def assert_is_quiet(program, turn=lambda: None):
    """It sleeps: half a second of its life costs next to nothing."""
    spent = services.cpu_ms(program.pid)
    others = program.report(SIGNAL)["process"]["uptime_ms"]

    def later():
        turn()
        return program.report(SIGNAL)["process"]["uptime_ms"] > others + 500

    harness.wait_until(later, "half a second")
    assert services.cpu_ms(program.pid) - spent < 300, "it spins"


def regretted(program):
    return program.report(SIGNAL)["totals"]["regretted"]


def wait_for_regret(program):
    program.event("regretted")
    harness.wait_until(lambda: regretted(program) == 1, "the regret in the totals")


# ---- Node.js ----


@pytest.fixture
def node(start):
    def start_node(action):
        program = start([harness.need_tool("node"), script("late_use.js")], options=options(action))
        program.ready()
        return program

    return start_node


@pytest.mark.parametrize("rung", ALL_RUNGS)
def test_node_uses_sockets_late(node, peer, rung):
    program = node(rung)
    reading = connections(program, peer, "connect {port}", 4)
    end_all(reading)
    for number, _ in reading:
        wait_for_words(program, f"events {number}", ["end"])
    wait_for_rung(program, rung, 4)
    assert_is_quiet(program)

    end, destroy, write, idle = (number for number, _ in reading)
    program.ask(f"end {end}")
    assert wait_for_words(program, f"events {end}", ["finish", "close"]) == ["end", "finish", "close"]
    program.ask(f"destroy {destroy}")
    assert wait_for_words(program, f"events {destroy}", ["close"]) == ["end", "close"]
    assert regretted(program) == 0
    program.ask(f"write {write}")
    error = "EBADF" if rung == "close" else "EPIPE"
    assert f"error:{error}" in wait_for_words(program, f"events {write}", ["close"])
    wait_for_regret(program)
    assert program.ask(f"events {idle}") == ["end"]
    assert program.end() == 0, program.stderr()


def test_node_ends_a_socket_between_the_rungs(start, peer):
    """end() when it is shut down already; neutralize would come next."""
    argv = [harness.need_tool("node"), script("late_use.js")]
    program = start(argv, options=options("neutralize", grace="1s"))
    program.ready()
    made = connections(program, peer, "connect {port}", 3)
    end_all(made)
    wait_for_rung(program, "shutdown", 3)
    for number, _ in made:
        program.ask(f"end {number}")
        wait_for_words(program, f"events {number}", ["finish", "close"])
    harness.wait_until(lambda: len(program.events("app_reacted")) == 3, "three reactions")
    assert program.events("neutralized") == []
    assert program.end() == 0


def wait_for_last_word(program, count):
    """Until for so many connections the ladder has come to its end: neutralized, or spared from that."""

    def look():
        events = program.events("neutralized") + program.events("skipped")
        return len({event["cookie"] for event in events}) >= count

    harness.wait_until(look, lambda: f"the end of the ladder: {program.events()}")


def block(program, until, tmp_path):
    """The program's loop stands still until the condition holds: it has not seen what came meanwhile."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    program.tell(f"block {fifo}")
    end = os.open(fifo, os.O_WRONLY)  # waits for the program to be there
    until()
    os.write(end, b"x")
    os.close(end)
    assert program.line() == "ok"


def test_node_was_blocked_all_the_while(node, peer, tmp_path):
    """libuv believes that the registrations are as they were: it changes them by EPOLL_CTL_MOD, and aborts on an error.
    What the program does then ends as it does with any connection that its peer has closed."""
    program = node("neutralize")
    made = connections(program, peer, "connect {port}", 4)

    def until():
        end_all(made)
        wait_for_last_word(program, 4)

    block(program, until, tmp_path)
    end, destroy, write, idle = (number for number, _ in made)
    program.ask(f"end {end}")
    program.ask(f"destroy {destroy}")
    program.ask(f"write {write}")
    wait_for_words(program, f"events {destroy}", ["close"])
    wait_for_words(program, f"events {write}", ["close"])
    wait_for_words(program, f"events {end}", ["finish", "close"])
    assert_is_quiet(program)
    program.ask(f"destroy {idle}")
    assert program.end() == 0, program.stderr()


# ---- libuv ----

UV_READABLE, UV_WRITABLE, UV_DISCONNECT, UV_PRIORITIZED = 1, 2, 4, 8


@pytest.fixture
def uv(start):
    def start_uv(action, **more):
        program = start("uv_late", options=options(action, **more))
        program.ready()
        return program

    return start_uv


def assert_loop_rests(program):
    before = program.number("turns")
    assert_is_quiet(program)
    assert program.number("turns") < before + 20, "the loop spins"


@pytest.mark.parametrize("rung", ALL_RUNGS)
def test_libuv_streams_late(uv, peer, rung):
    """uv_shutdown(), uv_write() and uv_close() on streams that have read their end, were stopped, or never read. After a
    close not uv_read_start(): epoll_ctl() fails there, and libuv aborts."""
    program = uv(rung)
    is_closed = rung == "close"
    groups = [connections(program, peer, "open {port}", 3) for _ in range(3)]
    read, stopped, never = ([number for number, _ in group] for group in groups)
    for number in read + stopped:
        program.ask(f"start {number}")
    for number in stopped:
        program.ask(f"stop {number}")
    for group in groups:
        end_all(group)
    for number in read:
        wait_for_words(program, f"events {number}", ["read:EOF"])
    wait_for_rung(program, rung, 9)
    assert_loop_rests(program)
    for shut, end, again in (read, stopped, never):
        program.ask(f"shut {shut}")
        wait_for_words(program, f"events {shut}", ["shutdown:EBADF" if is_closed else "shutdown:ENOTCONN"])
        program.ask(f"end {end}")
        wait_for_words(program, f"events {end}", ["close:0"])
        if not is_closed:
            program.ask(f"start {again}")
            wait_for_words(program, f"events {again}", ["read:EOF"])
    assert regretted(program) == 0
    program.ask(f"send {read[2]}")
    wait_for_words(program, f"events {read[2]}", ["write:EBADF" if is_closed else "write:EPIPE"])
    wait_for_regret(program)
    for shut, _, again in (read, stopped, never):
        for number in (shut, again):
            program.ask(f"end {number}")
            wait_for_words(program, f"events {number}", ["close:0"])
    assert program.report(SIGNAL)["totals"]["open"] == 0
    assert program.end() == 0, program.stderr()


def test_libuv_was_blocked_all_the_while(uv, peer, tmp_path):
    """As with Node.js."""
    program = uv("neutralize")
    made = connections(program, peer, "open {port}", 4)
    for number, _ in made:
        program.ask(f"start {number}")

    def until():
        end_all(made)
        wait_for_last_word(program, 4)

    block(program, until, tmp_path)
    shut, end, stop, send = (number for number, _ in made)
    program.ask(f"shut {shut}")
    program.ask(f"end {end}")
    program.ask(f"stop {stop}")
    program.ask(f"send {send}")
    wait_for_words(program, f"events {end}", ["close:0"])
    wait_for_words(program, f"events {send}", ["write:EPIPE"])
    wait_for_words(program, f"events {shut}", ["shutdown:ENOTCONN"])
    assert_loop_rests(program)
    program.ask(f"end {stop}")
    wait_for_words(program, f"events {stop}", ["close:0"])
    assert program.end() == 0, program.stderr()


def test_libuv_watches_what_was_neutralized(uv, peer):
    """A level-triggered registration that is changed and removed late: epoll_ctl() fails where it is not there, and
    libuv calls abort(). Silent in CLOSE_WAIT (EPOLLPRI alone), without end after a shutdown."""
    program = uv("neutralize")
    made = connections(program, peer, f"poll {{port}} {UV_PRIORITIZED}", 4)
    changed, ended, both, last = (number for number, _ in made)
    end_all(made)
    wait_for_rung(program, "neutralize", 4)
    assert_loop_rests(program)
    program.ask(f"watch {changed} {UV_READABLE | UV_WRITABLE}")
    wait_for_words(program, f"events {changed}", ["poll:0"])
    program.ask(f"end {ended}")
    wait_for_words(program, f"events {ended}", ["close:0"])
    program.ask(f"watch {both} {UV_PRIORITIZED | UV_DISCONNECT}")
    program.ask(f"end {both}")
    wait_for_words(program, f"events {both}", ["close:0"])
    assert_loop_rests(program)
    program.ask(f"end {last}")
    program.ask(f"end {changed}")
    # The numbers are free, and libuv takes them anew.
    (again, far), = connections(program, peer, f"poll {{port}} {UV_READABLE}", 1)
    far.sendall(b"x")
    wait_for_words(program, f"events {again}", ["poll:0"])
    assert regretted(program) == 0
    assert program.end() == 0, program.stderr()


def test_libuv_is_spared_where_it_would_spin(uv, peer):
    """The same with action=shutdown: it cannot be followed by neutralize, so it is left alone."""
    program = uv("shutdown")
    ((number, far),) = connections(program, peer, f"poll {{port}} {UV_PRIORITIZED}", 1)
    far.close()
    program.event("skipped", reason="epoll")
    assert_loop_rests(program)
    assert program.events("shutdown") == []
    program.ask(f"end {number}")
    assert program.end() == 0


# ---- Python ----


@pytest.fixture
def python(start):
    def start_python(what, action, **more):
        program = start(["/usr/bin/python3", script("late_use.py"), what], options=options(action, **more))
        program.ready()
        return program

    return start_python


@pytest.mark.parametrize("rung", ALL_RUNGS)
def test_asyncio_late(python, peer, rung):
    program = python("asyncio", rung)
    made = connections(program, peer, "connect {port}", 5)
    end_all(made)
    for number, _ in made:
        wait_for_words(program, f"events {number}", ["eof"])
    wait_for_rung(program, rung, 5)
    assert_is_quiet(program)
    close, abort, write, finish, idle = (number for number, _ in made)
    # As on any socket that is no longer connected.
    assert program.ask_error(f"eof {finish}") == ["OSError"]
    program.ask(f"close {finish}")
    wait_for_words(program, f"events {finish}", ["lost"])
    program.ask(f"close {close}")
    assert wait_for_words(program, f"events {close}", ["lost"]) == ["eof", "lost"]
    program.ask(f"abort {abort}")
    assert wait_for_words(program, f"events {abort}", ["lost"]) == ["eof", "lost"]
    assert regretted(program) == 0
    program.ask(f"send {write}")
    assert wait_for_words(program, f"events {write}", ["lost:OSError" if rung == "close" else "lost:BrokenPipeError"])
    wait_for_regret(program)
    assert program.ask(f"events {idle}") == ["eof"]
    assert program.end() == 0, program.stderr()


def test_selectors_are_spared_where_they_would_spin(python, peer):
    """With action=shutdown: level-triggered, and nothing takes it out of the set."""
    program = python("selectors", "shutdown")
    ((number, far),) = connections(program, peer, "connect {port}", 1)
    program.ask(f"register {number} r")
    far.close()
    program.event("skipped", reason="epoll")
    assert f"{number}:1" in program.ask("select")
    assert program.number(f"read {number}") == 0
    program.ask(f"unregister {number}")
    # Out of the set it is nothing special.
    program.event("shutdown")
    program.ask(f"close {number}")
    assert program.end() == 0, program.stderr()


def test_node_is_spared_where_it_would_spin(node, peer, tmp_path):
    """With action=shutdown, while its loop stands still: it sees the end as ever."""
    program = node("shutdown")
    made = connections(program, peer, "connect {port}", 1)

    def until():
        end_all(made)
        program.event("skipped", reason="epoll")

    block(program, until, tmp_path)
    ((number, _),) = made
    wait_for_words(program, f"events {number}", ["end"])
    assert program.end() == 0, program.stderr()


def test_selectors_late(python, peer):
    """EpollSelector: registrations that the program has not looked at for long, changed and removed late."""
    program = python("selectors", "neutralize")
    made = connections(program, peer, "connect {port}", 5)
    live, far = made[-1]
    for number, _ in made:
        program.ask(f"register {number} r")
    end_all(made[:-1])
    wait_for_rung(program, "neutralize", 4)
    changed, removed, closed, asked = (number for number, _ in made[:-1])
    program.ask(f"modify {changed} rw")
    assert f"{changed}:3" in program.ask("select")
    assert program.number(f"read {changed}") == 0
    program.ask(f"modify {changed} r")
    program.ask(f"unregister {changed}")
    program.ask(f"unregister {removed}")
    program.ask(f"close {closed}")
    program.ask(f"unregister {asked}")
    program.ask(f"register {asked} r")
    assert f"{asked}:1" in program.ask("select")
    program.ask(f"unregister {asked}")
    assert program.ask("select") == []
    far.sendall(b"alive")
    harness.wait_until(lambda: program.ask("select") == [f"{live}:1"], "the live one")
    assert program.number(f"read {live}") == 5
    for number in (changed, removed, asked, live):
        program.ask(f"close {number}")
    snapshot = program.report(SIGNAL)
    assert snapshot["totals"]["open"] == 0 and snapshot["totals"]["regretted"] == 0
    assert program.end() == 0, program.stderr()


# ---- redis: client and server, idle and alive ----


def test_redis_is_left_alone(start, networks):
    network = networks()
    ladder = options("neutralize", side="both")
    server_argv = [harness.need_tool("redis-server"), "--port", 6379, "--bind", "127.0.0.1", "--save", ""]
    server = start(server_argv + ["--daemonize", "no"], options=ladder, network=network)
    harness.wait_until(
        lambda: "127.0.0.1:6379" in network.run("ss", "-tlnH") or not server.is_alive(), "redis"
    )
    cli = [harness.need_tool("redis-cli"), "-p", 6379]
    clients = [start(cli, options=ladder, network=network) for _ in range(8)]

    def ask(client, command):
        client.tell(command)
        return client.line()

    ids = [ask(client, "CLIENT ID") for client in clients]
    assert len(set(ids)) == len(clients)

    def idle_s():
        fields = network.run(*map(str, cli), "CLIENT", "LIST").splitlines()
        found = [dict(word.split("=", 1) for word in line.split()) for line in fields if line]
        return [int(one["idle"]) for one in found if one["id"] in ids]

    # Ten deadlines and graces of a connection on which nothing moves.
    harness.wait_until(lambda: len(idle_s()) == 8 and min(idle_s()) >= 3, "idle clients")
    assert [ask(client, "CLIENT ID") for client in clients] == ids, "a client had to connect again"
    assert ask(clients[0], "PING") == "PONG"
    clients[0].kill()  # the server closes its end by itself
    harness.wait_until(lambda: len(idle_s()) == 7, "the server to see the end")
    for program in (server, *clients):
        assert not [e for e in program.events() if e["event"] in ACTIONS], program.events()
    assert regretted(server) == 0
    for client in clients[1:]:
        assert client.end() == 0


# ---- nginx: a proxy under load ----

ORIGIN = "127.0.0.1:8081"
LOAD_S = 60 if services.IS_STRESS else 8


@pytest.mark.parametrize("action", [None, "shutdown", "neutralize"])
def test_nginx_loses_no_request(start, networks, tmp_path, action):
    """A proxy whose ladder has the shortest deadlines, on both sides: keep-alive, half-closed, slow and sudden clients."""
    network = networks()
    origin = start(["/usr/bin/python3", script("http_origin.py"), *ORIGIN.split(":")], library=False, network=network)
    origin.ready()
    config = (services.JAVA / "proxy.conf.in").read_text()
    for word, value in (("DIR", tmp_path), ("ORIGIN", ORIGIN), ("LISTEN", services.PLACE)):
        config = config.replace(f"@{word}@", str(value))
    ladder = {"action": action, "side": "both", "every": "1s", "interval": "50ms", "signal": "none"}
    ladder.update({name: "100ms" for name in ("deadline", "deadline_in", "grace", "rescue_after")})
    proxy = services.start_nginx(start, network, tmp_path, config, library=bool(action), options=ladder)
    argv = ["/usr/bin/python3", script("http_load.py"), *services.PLACE.split(":"), LOAD_S]
    load = start(argv, library=False, network=network)
    line = load.line(patience_s=LOAD_S + 60)
    done, failed, error = line.split()[1:]
    assert int(done) > 100 and failed == "0", (line, (tmp_path / "nginx.log").read_text()[-2000:])
    assert load.wait() == 0
    if action:
        paths = list(proxy.directory.glob("report.json.*"))
        opened = [harness.json.loads(path.read_text())["totals"] for path in paths]
        assert sum(totals["opened"] for totals in opened) > int(done) // 2, paths
        assert all(totals["regretted"] == 0 for totals in opened)
    proxy.popen.send_signal(signal.SIGTERM)
    assert proxy.wait() == 0
