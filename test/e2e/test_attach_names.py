"""Programs that have functions of libc's names, or more than one libc: what is taken over is what they call."""

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


@pytest.mark.parametrize("how", ["read", "namespace"])
def test_more_than_one_libc(start, peer, how):
    program = start([harness.victim("libcs"), how], library=False)
    program.ready()
    cli.output("attach", "-o", "deadline=1s interval=250ms", program.pid)
    (fd,) = cli.close_wait(program, peer, 1)
    snapshot = cli.parsed("report", program.pid)
    (blame,) = [site["blame"] for site in snapshot["sites"] if site["close_wait"]]
    assert blame.startswith("do_connect (commands.h:")
    cli.output("detach", program.pid)
    program.ask(f"close {fd}")
    assert program.end() == 0
