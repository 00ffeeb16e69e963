"""What the start of a program takes more, and what is in one that opens no socket."""

import os
import pathlib
import time

import rig

GROUP = "start-up"


def once(words, variant):
    environment = rig.environment(variant)
    start = time.perf_counter_ns()
    pid = os.posix_spawn(words[0], words, environment, file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
                                                                     (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0)])
    _, status = os.waitpid(pid, 0)
    if status != 0:
        raise RuntimeError(f"{words[0]} ended with {status}")
    return time.perf_counter_ns() - start


def threads(plan):
    with rig.program([rig.need_tool("cat")], "with") as program:
        program.tell("ok")
        program.answer("ok")
        count = len(list(pathlib.Path(f"/proc/{program.pid}/task").iterdir())) - 1
    yield rig.Row(GROUP, "threads in a program without a socket", "threads", count, budget="threads")


def measure(plan):
    cases = [
        ("/bin/true", ["/bin/true"], plan.of(300, 40)),
        ("python3 -c pass", ["/usr/bin/python3", "-Sc", "pass"], plan.of(60, 8)),
        ("java -version", [rig.need_tool("java"), "-Xshare:auto", "-version"], plan.of(20, 3)),
    ]
    for what, words, rounds in cases:
        series = rig.interleave({name: lambda name=name, words=words: once(words, name) for name in ("alone", "empty", "with")}, rounds)
        empty = rig.difference(GROUP, what, "ms", {"alone": series["alone"], "with": series["empty"]}, scale=1e-6).value
        yield rig.difference(GROUP, what, "ms", series, scale=1e-6, budget="start", note=f"any preloaded object {empty:.2f} ms")
    yield from threads(plan)
