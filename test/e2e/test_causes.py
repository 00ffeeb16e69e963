"""Why a connection is stuck: each cause seen, with the line that ignored the end of file, how it died, how much waits."""

import re
import socket
import struct

import harness
import ladder


def socket_of(snapshot, fd):
    (row,) = [row for row in snapshot["sockets"] if row["fd"] == fd]
    return row


def site_of(snapshot, site):
    (row,) = [row for row in snapshot["sites"] if row["id"] == site]
    return row


def ignore_end(program, peer):
    """A connection whose end of file the program reads, and ignores."""
    made = ladder.leak(program, peer)
    assert program.number(f"read {made.fd}") == 0
    return made


def ignore_end_seen(program, peer):
    """A report, and the fd of a connection whose end was read at a line that is known. A stack is given up where the worker is in
    the loader's tables at that moment, so more than one may be needed."""
    for _ in range(10):
        made = ignore_end(program, peer)
        found = program.report_until(lambda s: socket_of(s, made.fd)["cause"] == "eof-ignored", "it to be seen")
        if socket_of(found, made.fd)["eof_site"] is not None:
            return found, made.fd
    raise AssertionError("ten ends of file were ignored, and the line of none is known")


def test_the_line_that_ignores_the_end_of_file(puppet, peer):
    program = puppet()
    first = ignore_end(program, peer)
    seen = program.report_until(lambda s: socket_of(s, first.fd)["cause"] == "eof-ignored", "the first to be seen")
    # Nobody knew that this site ignores them; from now on it is looked at.
    assert socket_of(seen, first.fd)["eof_site"] is None
    found, fd = ignore_end_seen(program, peer)
    reader = socket_of(found, fd)["eof_site"]
    found, fd = ignore_end_seen(program, peer)
    assert socket_of(found, fd)["eof_site"] == reader
    opener = site_of(found, socket_of(found, fd)["site"])
    assert opener["eof_site"] == reader and opener["causes"]["eof-ignored"] >= 3
    # A site of its own, which opened nothing: it stands behind all that did.
    where = site_of(found, reader)
    assert (where["opened"], where["open"], where["verdict"]) == (0, 0, "ok")
    assert found["sites"][-1]["id"] == reader
    assert any("puppet" in (frame["module"] or "") for frame in where["frames"])
    program.report_until(lambda s: s["totals"]["stuck"] >= 3, "three stuck")
    text = "\n".join(program.full_reports("signal")[-1])
    assert re.search(r"^  eof at   puppet\+0x[0-9a-f]+$", text, re.M)


def test_a_program_that_closes_is_not_looked_at(puppet, peer):
    """What is closed when its end is read costs no stack: its site never comes to notice."""
    program = puppet()
    for _ in range(5):
        made = ignore_end(program, peer)
        program.ask(f"close {made.fd}")
    kept = ladder.connect(program, peer)
    found = program.report_until(lambda s: s["totals"]["open"] == 1, "the rest to be closed")
    assert all(site["eof_site"] is None for site in found["sites"])
    kept.far.close()


def test_how_much_waits_unread(puppet, peer):
    program = puppet()
    made = ladder.connect(program, peer)
    made.far.sendall(bytes(300))
    made.far.shutdown(socket.SHUT_WR)
    found = program.report_until(lambda s: s["totals"]["stuck"] == 1, "it to be stuck")
    row = socket_of(found, made.fd)
    assert (row["cause"], row["unread_bytes"], row["death"]) == ("unread-data", 300, None)
    assert found["sites"][0]["unread_bytes"] == 300
    assert "unread-data 1 (300 bytes)" in "\n".join(program.full_reports("signal")[-1])


def test_how_it_died(puppet, peer):
    program = puppet()
    made = ladder.connect(program, peer)
    made.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    made.far.close()
    found = program.report_until(lambda s: s["totals"]["stuck"] == 1, "it to be stuck")
    row = socket_of(found, made.fd)
    assert (row["cause"], row["death"], row["state"]) == ("dead-but-open", "rst", "CLOSE")
    assert found["sites"][0]["deaths"] == {"rst": 1, "timeout": 0, "keepalive": 0, "orderly": 0}
    assert "dead-but-open 1 (rst 1)" in "\n".join(program.full_reports("signal")[-1])


def test_the_last_use(puppet, peer):
    program = puppet(options={"interval": "100ms"})
    idle, read, written = [ladder.connect(program, peer) for _ in range(3)]
    program.report_until(lambda s: (socket_of(s, idle.fd)["age_ms"] or 0) > 2000, "two seconds to pass")
    read.far.sendall(b"x")
    assert program.number(f"read {read.fd} 1") == 1
    assert program.number(f"write {written.fd} 1") == 1
    found = program.report_until(
        lambda s: socket_of(s, written.fd)["last_call"] == "write" and socket_of(s, read.fd)["last_call"] == "read",
        "both calls to be seen",
    )
    for made in (read, written):
        assert socket_of(found, made.fd)["last_use_ms"] < socket_of(found, made.fd)["age_ms"] - 1500
    assert socket_of(found, idle.fd)["last_call"] is None
    unused = socket_of(found, idle.fd)["last_use_ms"]
    assert unused is None or unused > 1900
    assert harness.schema_validator().validate(found) is None
