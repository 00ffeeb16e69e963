"""Why a connection is stuck: one connection for each cause, all in one program."""

import socket

import harness

TLS12_CLOSE_NOTIFY = bytes.fromhex("150303001a") + bytes(26)  # 31 bytes
TLS13_CLOSE_NOTIFY = bytes.fromhex("1703030013") + bytes(19)  # 24 bytes


def test_causes(puppet, peer):
    program = puppet()
    expected = {}

    def connect(cause, state="CLOSE_WAIT"):
        fd = program.number(f"connect 127.0.0.1 {peer.port}")
        far, name = peer.accept()
        expected[name] = (state, cause)
        return fd, far

    fd, far = connect("eof-ignored")
    far.close()
    assert program.number(f"read {fd}") == 0

    fd, far = connect("eof-ignored")
    far.sendall(b"bye")
    far.close()
    assert program.number(f"read {fd}") == 3
    assert program.number(f"read {fd}") == 0

    _, far = connect("never-looked")
    far.close()

    _, far = connect("unread-data")
    far.sendall(b"x" * 100)
    far.close()

    for goodbye in (TLS12_CLOSE_NOTIFY, TLS13_CLOSE_NOTIFY):
        _, far = connect("never-looked")
        far.sendall(goodbye)
        far.close()

    # As long as a close_notify, and not one.
    for data in (b"x" * 31, b"x" * 24):
        _, far = connect("unread-data")
        far.sendall(data)
        far.close()

    _, far = connect("dead-but-open", "CLOSE")
    harness.reset(far)

    _, far = connect("dead-but-open", "CLOSE")
    far.shutdown(socket.SHUT_WR)
    program.report_until(lambda s: s["totals"]["by_state"].get("CLOSE_WAIT", 0) >= 8, "the FINs")
    harness.reset(far)

    connect(None, "ESTABLISHED")

    suspects = sum(cause is not None for _, cause in expected.values())
    snapshot = program.report_until(
        lambda s: s["totals"]["stuck"] == suspects, f"{suspects} stuck connections"
    )
    found = {
        name: (entry["state"], entry["cause"])
        for name, entry in harness.sockets_by_local(snapshot).items()
        if name in expected
    }
    assert found == expected
    totals = snapshot["totals"]
    assert totals["close_wait"] == totals["by_state"]["CLOSE_WAIT"] == suspects - 2
    assert totals["by_state"]["CLOSE"] == 2
    counted = {}
    for _, cause in expected.values():
        if cause:
            counted[cause] = counted.get(cause, 0) + 1
    assert harness.sum_causes(snapshot) == counted

    by_fd = {entry["fd"]: entry for entry in snapshot["sockets"]}
    assert by_fd[fd]["eof_seen"] is True
    assert sum(entry["eof_seen"] for entry in snapshot["sockets"]) == 2
    unread = [e["unread_bytes"] for e in snapshot["sockets"] if e["cause"] == "unread-data"]
    assert sorted(unread) == [24, 31, 100]
    assert program.end() == 0


def test_fin_times_are_the_kernels(puppet, peer):
    """A connection that was idle before its FIN."""
    program = puppet(options={"interval": "5s"})
    fd = program.number(f"connect 127.0.0.1 {peer.port}")
    far, name = peer.accept()
    program.ask(f"write {fd} 1")
    assert far.recv(1) == b"\0"
    far.sendall(b"x")
    assert program.number(f"read {fd}") == 1
    # The idle time is the thing measured: wait until the kernel itself calls it a second.
    harness.wait_until(lambda: idle_ms(far) >= 1000, "a second of idleness")
    far.close()
    snapshot = program.report_until(lambda s: s["totals"]["stuck"] == 1, "a stuck connection")
    entry = harness.sockets_by_local(snapshot)[name]
    (place,) = snapshot["peers"]
    assert 1000 <= place["idle_before_fin_ms_p50"] < 1500
    assert 1000 <= entry["close_wait_ms"] < 1000 * harness.PATIENCE_S
    # The kernel's clock ticks in up to 10 ms, ours in 1 ms.
    known = entry["close_wait_ms"] + place["idle_before_fin_ms_p50"]
    assert entry["age_ms"] >= known - 20


def idle_ms(connection):
    """Milliseconds since data last came in, as TCP_INFO has it."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return int.from_bytes(info[52:56], "little")  # tcpi_last_data_recv
