"""Objects whose table of parts was moved out of the first page, as llvm-bolt does: their stacks are whole."""

import pathlib
import struct
import subprocess

import harness
from test_power import leak

PAGE = 4096
LOAD, NOTE, PHDR = 1, 4, 6
READ = 4
ROW = struct.Struct("<IIQQQQQQ")  # type, flags, offset, vaddr, paddr, filesz, memsz, align; elf(5)
SOURCE = """
#include <sys/socket.h>
__attribute__((noinline)) static int inner(volatile int *at) { int fd = socket(AF_INET, SOCK_STREAM, 0); *at = fd; return fd; }
int open_one(unsigned port) { volatile int at = (int)port; int fd = inner(&at); return fd + at * 0; }
"""


def move_table(original, copy, is_program):
    """To the end of the file, and in a program into a part of its own, made of a note: at the same distance in memory."""
    content = bytearray(original.read_bytes())
    (begin,) = struct.unpack_from("<Q", content, 32)
    (size, count) = struct.unpack_from("<HH", content, 54)
    assert size == ROW.size
    rows = [list(ROW.unpack_from(content, begin + i * size)) for i in range(count)]
    last = max([len(content), *(row[3] + row[6] for row in rows if row[0] == LOAD)])
    place, n = (last + PAGE - 1) // PAGE * PAGE, count * size
    if is_program:
        note = max(i for i, row in enumerate(rows) if row[0] == NOTE)
        assert note > max(i for i, row in enumerate(rows) if row[0] == LOAD), "they are in order"
        rows[note] = [LOAD, READ, place, place, place, n, n, PAGE]
        for row in rows:
            if row[0] == PHDR:
                row[2:7] = [place, place, place, n, n]
    content[begin : begin + n] = b"\xff" * n
    content += bytes(place - len(content)) + b"".join(ROW.pack(*row) for row in rows)
    struct.pack_into("<Q", content, 32, place)
    copy.write_bytes(content)
    copy.chmod(0o755)
    return copy


def frames_of(program, fd):
    """Where the stack of that connection leads through: [(object, offset)]."""
    snapshot = program.report_until(lambda s: any(row["fd"] == fd for row in s["sockets"]), f"fd {fd}")
    (socket,) = [row for row in snapshot["sockets"] if row["fd"] == fd]
    (site,) = [row for row in snapshot["sites"] if row["id"] == socket["site"]]
    return [(pathlib.Path(frame["module"]).name, frame["offset"]) for frame in site["frames"]]


def test_a_program(start, peer, tmp_path):
    seen = []
    original = pathlib.Path(harness.victim("puppet"))
    for file in (original, move_table(original, tmp_path / "puppet", True)):
        program = start([file], options={"detail": 1})
        program.ready()
        (fd,) = leak(program, peer, 1)
        seen.append(frames_of(program, fd))
        assert program.end() == 0
    whole, moved = seen
    assert moved == whole and len(whole) > 4
    assert [name for name, _ in whole].count("puppet") > 3, whole


def test_a_library(start, tmp_path):
    whole = tmp_path / "whole.so"
    (tmp_path / "object.c").write_text(SOURCE)
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", whole, tmp_path / "object.c"], check=True)
    program = start("late_doors", options={"detail": 1})
    program.ready()
    seen = []
    for file in (whole, move_table(whole, tmp_path / "moved.so", False)):
        program.ask(f"load {file}")
        (fd,) = program.ask(f"by {file} 0")
        seen.append(frames_of(program, int(fd)))
    of_objects = [[offset for name, offset in frames if name in ("whole.so", "moved.so")] for frames in seen]
    assert of_objects[0] == of_objects[1] and len(of_objects[0]) == 2
    assert len(seen[0]) == len(seen[1]) > 4
    assert program.end() == 0
