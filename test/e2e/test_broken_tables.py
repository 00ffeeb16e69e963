"""Objects whose unwind tables are broken, as packers and strippers leave them: the program runs well without those, so it must with us."""

import pathlib
import random
import subprocess

import harness
import pytest

SOURCE = """
#include <sys/socket.h>
__attribute__((noinline)) static int inner(volatile int *at) { int fd = socket(AF_INET, SOCK_STREAM, 0); *at = fd; return fd; }
__attribute__((noinline)) static int middle(volatile int *at) { volatile char room[300]; room[*at & 1] = 1; int fd = inner(at); return fd + room[2] * 0; }
int open_one(unsigned port) { volatile int at = (int)port; volatile char room[40]; room[at & 1] = 1; int fd = middle(&at); return fd + room[2] * 0; }
"""
COPIES = 60


def tables_of(path):
    """Where they lie in the file: [(offset, bytes)]."""
    text = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True, check=True).stdout
    rows = [line.replace("[ ", "[").split() for line in text.splitlines()]
    return [(int(row[4], 16), int(row[5], 16)) for row in rows if len(row) > 5 and row[1] in (".eh_frame", ".eh_frame_hdr")]


# With a distance between its parts, of pages that nobody may read; and with frame pointers, by which libunwind goes on.
@pytest.mark.parametrize("flags", [["-Wl,-z,max-page-size=0x200000", "-Wl,-z,separate-code"], ["-fno-omit-frame-pointer"]],
                         ids=["apart", "by_frame_pointer"])
def test_they_are_not_followed(start, tmp_path, flags):
    whole = tmp_path / "whole.so"
    (tmp_path / "object.c").write_text(SOURCE)
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", *flags, "-o", whole, tmp_path / "object.c"], check=True)
    tables, dice = tables_of(whole), random.Random(7)
    assert len(tables) == 2
    program = start("late_doors")
    program.ready()
    for i in range(COPIES):
        content = bytearray(whole.read_bytes())
        for _ in range(dice.choice([1, 2, 4, 20])):
            offset, n = dice.choice(tables)
            content[offset + dice.randrange(n)] = dice.choice([0, 255, 0x80, 0x7F, dice.randrange(256)])
        broken = pathlib.Path(tmp_path, f"broken{i}.so")
        broken.write_bytes(content)
        program.ask(f"load {broken}")
        (fd,) = program.ask(f"by {broken} {i}")
        program.ask(f"close {fd}")
    assert program.end() == 0
