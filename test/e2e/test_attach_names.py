"""Functions of the program's own that are called as libc's are: they are none of ours, bound already or not."""

import shutil

import cli
import harness
import pytest

LIBRARY = harness.victim("so_own_names.so")


@pytest.mark.parametrize("is_bound", [False, True])
def test_a_function_of_the_programs_own(start, tmp_path, is_bound):
    deep = tmp_path / "deep.so"
    shutil.copy(LIBRARY, deep)
    program = start([harness.victim("own_names"), LIBRARY, deep], library=False)
    program.ready()

    def look():
        (fd,) = program.ask("dup 1")
        assert program.ask(f"close {fd}") == ["0", "1"], "the library's close() is the program's"
        assert program.ask("own four seven") == ["9"], "the library's send() is its own"

    if is_bound:
        look()
    cli.output("attach", program.pid)
    look()
    cli.output("detach", program.pid)
    look()
    assert program.end() == 0
