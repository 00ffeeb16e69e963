"""What people would use instead, on the same program in the same run, as ratios of its time."""

import contextlib
import pathlib
import subprocess
import tempfile
import time

import rig

GROUP = "others"


@contextlib.contextmanager
def tracing(port):
    """A bpf program on the tracepoint of TCP states, attached; the program that is measured knows nothing of it."""
    bpftrace = rig.need_tool("bpftrace")
    script = 'tracepoint:sock:inet_sock_set_state { @[args->newstate] = count(); } BEGIN { printf("ready\\n"); }'
    with rig.program([bpftrace, "-e", script], cpu=rig.THEIRS) as tracer:
        lines = iter(tracer.process.stdout.readline, "")
        if "ready\n" not in lines:
            raise rig.Missing("bpftrace does not run here")
        yield


def measure(plan):
    n = plan.of(150, 50)
    with rig.peer("close") as (_, port), tempfile.TemporaryDirectory(dir=rig.folder()) as place:
        victim = [rig.BENCH / "calls", "mix"]
        out = pathlib.Path(place, "out")

        def with_words(*words, times=1, variant="alone"):
            def once():
                return rig.number([*words, *victim, n * times, port], variant)
            return once
        def traced():
            with tracing(port):
                return rig.number([*victim, n * 5, port])
        tools = {
            "sockleak": with_words(times=5, variant="with"),
            "bpftrace, inet_sock_set_state": traced,
            "trickle (preloads itself)": lambda: with_words(rig.need_tool("trickle"), "-s", "-d", "10000000", "-u", "10000000")(),
            "strace -f -e trace=network": lambda: with_words(rig.need_tool("strace"), "-f", "-e", "trace=network", "-o", out)(),
            "strace -f -k -e trace=network,close": lambda: with_words(rig.need_tool("strace"), "-f", "-k", "-e",
                                                              "trace=network,close", "-o", out)(),
            "valgrind --track-fds=yes": lambda: with_words(rig.need_tool("valgrind"), "-q", "--track-fds=yes", f"--log-file={out}")(),
        }
        usable = {"alone": with_words(times=5)}
        for name, once in tools.items():
            try:
                once()
            except rig.Missing as missing:
                yield rig.Row(GROUP, name, "times as long", None, note=f"not measured: {missing}")
                continue
            except (RuntimeError, ValueError, subprocess.SubprocessError) as error:
                yield rig.Row(GROUP, name, "times as long", None, note=f"not measured: {str(error)[:120]}")
                continue
            usable[name] = once
        series = rig.interleave(usable, plan.of(5, 1))
    for name in usable:
        if name != "alone":
            row = rig.ratio(GROUP, name, "µs", {"alone": series["alone"], "with": series[name]}, scale=1e-3)
            row.unit = "times as long"
            yield row
