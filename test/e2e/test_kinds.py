"""What is counted, as what, and how often."""

import os
import socket

import harness


def test_kinds_are_counted_and_never_judged(puppet, peer):
    program = puppet()
    for kind, count in (("udp", 2), ("unix", 3), ("netlink", 1), ("pair", 1)):
        for _ in range(count):
            program.ask(f"kind {kind}")
    program.ask(f"connect 127.0.0.1 {peer.port}")
    peer.accept()[0].close()
    snapshot = program.report_until(lambda s: s["totals"]["stuck"] == 1, "the one TCP connection")
    totals = snapshot["totals"]
    by_kind = {kind: count for kind, count in totals["by_kind"].items() if count}
    assert by_kind == {"tcp": 1, "udp": 2, "unix": 5, "netlink": 1}
    assert totals["open"] == totals["opened"] == 1, "connections are TCP"
    assert {s: n for s, n in totals["by_state"].items() if n} == {"CLOSE_WAIT": 1}
    assert len(snapshot["sockets"]) == 1


def test_a_fresh_socket_is_no_dead_connection(puppet):
    """State CLOSE, and never connected; and one whose connect() was refused."""
    program = puppet()
    program.ask("kind tcp")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening: refuses
        port = unused.getsockname()[1]
        assert program.ask_error(f"connect 127.0.0.1 {port}")[0] == "ECONNREFUSED"
    first = program.report()
    # Time enough to be stuck, were it a suspect.
    later = program.report_until(
        lambda s: s["process"]["uptime_ms"] > first["process"]["uptime_ms"] + 1500, "1.5 s"
    )
    assert later["totals"]["stuck"] == 0
    assert later["totals"]["by_state"] == {"CLOSE": 1} | {
        k: 0 for k in later["totals"]["by_state"] if k != "CLOSE"
    }
    assert later["verdict"] == "OK"


def test_backlog_belongs_to_the_listener(puppet):
    program = puppet()
    fd, port = map(int, program.ask("listen 127.0.0.1 10"))
    waiting = [socket.create_connection(("127.0.0.1", port), harness.PATIENCE_S) for _ in range(4)]
    snapshot = program.report()
    assert snapshot["totals"]["backlog"] == 4
    (listener,) = snapshot["listeners"]
    assert (listener["fd"], listener["backlog"], listener["limit"]) == (fd, 4, 10)
    assert listener["local"] == f"127.0.0.1:{port}"
    for connection in waiting:
        connection.close()
    # They are still waiting, closed by their peers: the program has no fd to close, so no site is
    # to blame.
    again = program.report()
    assert again["totals"]["backlog"] == 4
    assert again["totals"]["close_wait"] == again["totals"]["stuck"] == 0
    for _ in waiting:
        program.ask(f"accept {fd}")
    stuck = program.report_until(lambda s: s["totals"]["stuck"] == 4, "the accepted ones")
    assert stuck["totals"]["backlog"] == 0


def test_copies_are_one_connection(puppet, peer):
    program = puppet()
    fd = program.number(f"connect 127.0.0.1 {peer.port}")
    copy = program.number(f"dup {fd}")
    program.ask(f"dup2 {fd} 100")
    peer.accept()[0].close()
    snapshot = program.report_until(lambda s: s["totals"]["stuck"], "a stuck connection")
    totals = snapshot["totals"]
    assert totals["open"] == totals["close_wait"] == totals["stuck"] == totals["opened"] == 1
    assert totals["by_state"]["CLOSE_WAIT"] == 1
    assert snapshot["peers"][0]["open"] == snapshot["sites"][0]["open"] == 1

    program.ask(f"close {fd}")
    program.ask(f"close {copy}")
    totals = program.report()["totals"]
    assert (totals["open"], totals["closed"], totals["stuck"]) == (1, 0, 1)
    program.ask("close 100")
    totals = program.report()["totals"]
    assert (totals["open"], totals["closed"], totals["stuck"]) == (0, 1, 0)


def test_dup2_over_a_connection_closes_it(puppet, peer):
    program = puppet()
    fd = program.number(f"connect 127.0.0.1 {peer.port}")
    far, _ = peer.accept()
    program.ask(f"dup2 0 {fd}")
    assert far.recv(1) == b""
    totals = program.report()["totals"]
    assert (totals["opened"], totals["open"], totals["closed"]) == (1, 0, 1)
    # A copy that fails closes nothing.
    fd = program.number(f"connect 127.0.0.1 {peer.port}")
    assert program.ask_error(f"dup2 999 {fd}") == ["EBADF"]
    totals = program.report()["totals"]
    assert (totals["opened"], totals["open"], totals["closed"]) == (2, 1, 1)


def test_direction(puppet, peer):
    program = puppet()
    program.ask(f"connect 127.0.0.1 {peer.port} 2")
    listener, port = map(int, program.ask("listen 127.0.0.1 16"))
    with socket.create_connection(("127.0.0.1", port), harness.PATIENCE_S):
        program.ask(f"accept {listener}")
        snapshot = program.report()
        places = {p["direction"]: (p["address"], p["port"], p["open"]) for p in snapshot["peers"]}
        assert places == {"out": ("127.0.0.1", peer.port, 2), "in": ("127.0.0.1", port, 1)}
        listed = {e["fd"]: e["direction"] for e in snapshot["sockets"] if e["state"] != "LISTEN"}
        assert sorted(listed.values()) == ["in", "out", "out"]
        sites = {s["direction"] for s in snapshot["sites"] if s["open"] and s["blame"]}
        assert {"in", "out"} <= sites


def inherited_connections(count):
    """(ours, theirs): connected pairs; theirs are to be inherited."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = [socket.create_connection(listener.getsockname()) for _ in range(count)]
        ours = [listener.accept()[0] for _ in range(count)]
    return ours, theirs


def test_inherited_sockets_are_adopted(start):
    """Opened by a parent without the library, and used here after exec."""
    ours, theirs = inherited_connections(3)
    program = start("puppet", pass_fds=[end.fileno() for end in theirs])
    names = ["%s:%d" % end.getsockname() for end in theirs]
    program.ready()
    for end in theirs:
        end.close()
    ours[0].close()
    snapshot = program.report_until(lambda s: s["totals"]["stuck"] == 1, "the closed one")
    totals = snapshot["totals"]
    assert totals["adopted"] == 3
    assert totals["close_wait"] == 1
    assert totals["by_state"]["ESTABLISHED"] == 2
    assert names[0] in harness.sockets_by_local(snapshot)
    adopted = sum(site["stuck"] for site in snapshot["sites"] if site["blame"])
    assert adopted == 0, "nobody saw the adopted one opened: no line of code may be blamed"
    for end in ours[1:]:
        end.close()


def test_raw_system_calls_are_adopted_and_forgotten(puppet, peer):
    program = puppet()
    program.ask("kind tcp")  # seen opened: from now on the library watches
    fd = program.number(f"rawconnect 127.0.0.1 {peer.port}")
    far, name = peer.accept()
    snapshot = program.report_until(lambda s: s["totals"]["adopted"] == 1, "the adoption")
    assert harness.sockets_by_local(snapshot)[name]["fd"] == fd
    far.close()
    program.report_until(lambda s: s["totals"]["stuck"] == 1, "the raw connection")
    program.ask(f"rawclose {fd}")
    totals = program.report_until(lambda s: s["totals"]["stuck"] == 0, "the raw close")["totals"]
    assert totals["close_wait"] == 0
    assert totals["by_kind"]["tcp"] == 1


def test_a_number_is_not_an_identity(puppet, peer):
    """Closed past the library, and the number taken again: the new connection inherits nothing."""
    program = puppet()
    fd = program.number(f"connect 127.0.0.1 {peer.port}")
    peer.accept()[0].close()
    program.report_until(lambda s: s["totals"]["stuck"] == 1, "the first connection")
    program.ask(f"rawclose {fd}")
    again = program.number(f"rawconnect 127.0.0.1 {peer.port}")
    _, name = peer.accept()
    if again != fd:
        program.ask(f"rawdup2 {again} {fd}")
        program.ask(f"rawclose {again}")
    snapshot = program.report_until(
        lambda s: name in harness.sockets_by_local(s), "the second connection"
    )
    assert snapshot["totals"]["stuck"] == 0
    entry = harness.sockets_by_local(snapshot)[name]
    assert (entry["fd"], entry["state"], entry["cause"]) == (fd, "ESTABLISHED", None)


def test_no_socket_of_the_process_is_missing(puppet, peer):
    """The report lists what /proc lists, and none of the library's own."""
    program = puppet()
    program.ask(f"connect 127.0.0.1 {peer.port} 5")
    program.ask("kind pair")
    totals = program.report()["totals"]
    folder = f"/proc/{program.pid}/fd"
    links = {int(fd): os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder)}
    low = [fd for fd, link in links.items() if fd < 1024 and link.startswith("socket:")]
    assert sum(totals["by_kind"].values()) == len(low) == 7, links
