"""What an open adds of system calls, once its stack is known: counted, not timed."""

import collections
import re
import subprocess

import harness
import pytest

FEW, MANY = 50, 150


def calls(tmp_path, n, words, library):
    """System calls by name, of the thread that opens."""
    trace = tmp_path / "trace"
    env = [f"-ELD_PRELOAD={harness.LIBRARY}", f"-ESOCKLEAK_OPTIONS=dir={tmp_path}"] if library else []
    strace = [harness.need_tool("strace"), "-f", "-o", trace, *env, harness.victim("opener"), str(n), *words]
    done = subprocess.run(strace, capture_output=True, text=True, timeout=60)
    if "ptrace" in done.stderr:
        raise harness.Forbidden("ptrace")
    assert done.returncode == 0, done.stderr
    made = [match.groups() for match in re.finditer(r"^(\d+) +(\w+)\(", trace.read_text(), re.MULTILINE)]
    [opener] = {tid for tid, name in made if name == "socket" and sum(m == (tid, "connect") for m in made) >= n}
    return collections.Counter(name for tid, name in made if tid == opener)


def for_each(tmp_path, words, library):
    """... for one more open."""
    few, many = (calls(tmp_path, n, words, library) for n in (FEW, MANY))
    each = {name: (many[name] - few[name]) / (MANY - FEW) for name in many}
    return {name: round(count, 1) for name, count in each.items() if round(count, 1)}


@pytest.mark.parametrize("words", [[], ["thread"]], ids=["first_thread", "second_thread"])
def test_an_open_asks_for_the_pid_and_for_nothing_else(tmp_path, words):
    bare = for_each(tmp_path, words, False)
    under = for_each(tmp_path, words, True)
    assert bare == {"socket": 1, "connect": 1, "close": 1}
    more = {name: count - bare.get(name, 0) for name, count in under.items() if count != bare.get(name)}
    assert more == {"getpid": 2}  # before the socket() and before the close(): a child of vfork() runs in its parent's memory
