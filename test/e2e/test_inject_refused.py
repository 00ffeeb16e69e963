"""Who cannot be helped is told in a sentence, before anything is touched, and with the exit code of the contract."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import harness
import inject
import pytest

LOOP = "#include <unistd.h>\nint main(void) { if (write(1, \"ready\\n\", 6) != 6) return 1; for (;;) pause(); }\n"

# Without a libc, which there is seldom one of for 32 bits.
LOOP_32 = """
static int call(int number, int a, const void *b, int c)
{
	int result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
	return result;
}

void _start(void)
{
	call(4, 1, "ready\\n", 6);
	for (;;)
		call(29, 0, 0, 0);
}
"""

GO = """package main

import "os"

func main() {
	println("ready")
	os.Stdin.Read(make([]byte, 1))
}
"""


@pytest.fixture
def compiled(tmp_path, start):
    """A function that compiles a program which says "ready" and waits, and starts it; skipped where that cannot be done."""

    def compile_one(compiler, *flags, source=LOOP):
        path = tmp_path / "program"
        (tmp_path / "program.c").write_text(source)
        done = subprocess.run(
            [harness.need_tool(compiler), *flags, "-o", path, tmp_path / "program.c"], capture_output=True, text=True
        )
        if done.returncode:
            pytest.skip(f"{compiler} {' '.join(flags)}: {done.stderr.strip().splitlines()[-1]}")
        program = start([path], library=False)
        program.ready()
        return program

    return compile_one


@pytest.fixture
def sleeper(start):
    program = start("sleeper", library=False)
    program.ready()
    return program


def test_no_such_process():
    child = subprocess.Popen(["true"])
    child.wait()
    inject.refused(child.pid, inject.NO_PROCESS, f"no process {child.pid}")


def test_a_zombie():
    child = subprocess.Popen(["true"])
    harness.wait_until(lambda: "State:\tZ" in pathlib.Path(f"/proc/{child.pid}/status").read_text(), "its end")
    inject.refused(child.pid, inject.NO_PROCESS, "zombie")
    child.wait()


def test_a_thread_is_no_process(start):
    program = start("main_gone", library=False)
    program.ready()
    (other,) = [tid for tid in inject.threads(program.pid) if tid != program.pid]
    inject.refused(other, inject.NO_PROCESS, f"no process {other}")


def test_a_thread_of_the_kernel():
    if not pathlib.Path("/proc/2/comm").exists() or pathlib.Path("/proc/2/comm").read_text() != "kthreadd\n":
        pytest.skip("no threads of the kernel are seen here")
    inject.refused(2, inject.NO_LIBRARY, "a thread of the kernel")


def test_static(compiled):
    program = compiled("gcc", "-static")
    inject.refused(program.pid, inject.NO_LIBRARY, "linked statically", f"sockleak report {program.pid}")


def test_musl(compiled):
    program = compiled("musl-gcc")
    inject.refused(program.pid, inject.NO_LIBRARY, "uses musl", f"sockleak report {program.pid}")


def test_32_bit(compiled):
    program = compiled("gcc", "-m32", "-nostdlib", "-static", "-ffreestanding", "-fno-pic", "-no-pie", source=LOOP_32)
    inject.refused(program.pid, inject.NO_LIBRARY, "32-bit program for i386")


def test_go(tmp_path, start):
    source = tmp_path / "main.go"
    source.write_text(GO)
    done = subprocess.run(
        [harness.need_tool("go"), "build", "-o", tmp_path / "program", source],
        capture_output=True,
        text=True,
        env={**os.environ, "GOFLAGS": "", "GO111MODULE": "off", "GOCACHE": str(tmp_path / "cache"), "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    program = start([tmp_path / "program"], library=False)
    harness.wait_until(lambda: "ready" in program.stderr(), program.stderr)
    inject.refused(program.pid, inject.NO_LIBRARY, "a Go program", f"sockleak report {program.pid}")


def test_traced_already(sleeper):
    tracer = subprocess.Popen(
        [harness.need_tool("strace"), "-qq", "-o", "/dev/null", "-p", str(sleeper.pid)], stderr=subprocess.DEVNULL
    )
    try:
        harness.wait_until(lambda: inject.threads(sleeper.pid)[sleeper.pid][2] == str(tracer.pid), "strace")
        inject.refused(
            sleeper.pid, inject.DENIED, f"traced already, by strace (pid {tracer.pid})", f"sockleak attach {sleeper.pid}"
        )
    finally:
        tracer.terminate()
        tracer.wait()
    inject.bring_in(sleeper.pid)


def test_stopped(sleeper):
    os.kill(sleeper.pid, signal.SIGSTOP)
    harness.wait_until(lambda: inject.threads(sleeper.pid)[sleeper.pid][0] == "T", "the stop")
    inject.refused(sleeper.pid, inject.DENIED, f"kill -CONT {sleeper.pid}", f"sockleak attach {sleeper.pid}")
    assert inject.threads(sleeper.pid)[sleeper.pid][0] == "T"
    os.kill(sleeper.pid, signal.SIGCONT)
    inject.bring_in(sleeper.pid)


def test_frozen(sleeper):
    """The call would be begun, and made by itself whenever the process is let go on."""
    with harness.frozen(sleeper.pid):
        one = inject.refused(sleeper.pid, inject.DENIED, "frozen by its cgroup", f"sockleak attach {sleeper.pid}")
        assert one["stopped_us"] == 0
    assert sleeper.ask("listen 127.0.0.1") and not inject.mapped(sleeper.pid)
    inject.bring_in(sleeper.pid)


def as_nobody():
    if os.geteuid() != 0:
        pytest.skip("only root becomes somebody else")
    return [harness.need_tool("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups"]


def test_another_user(sleeper, tmp_path):
    if not os.access(harness.victim("inject_driver"), os.X_OK):
        pytest.skip("the driver is out of reach")
    ahead = as_nobody()
    reach = subprocess.run([*ahead, "test", "-x", harness.victim("inject_driver")])
    if reach.returncode:
        pytest.skip("the build is not for everybody to read")
    inject.refused(sleeper.pid, inject.DENIED, f"sudo sockleak attach {sleeper.pid}", ahead=ahead)


def test_root_without_the_capability(start):
    ahead = as_nobody()
    program = start(harness.victim("sleeper"), library=False, wrap=ahead)
    program.ready()
    without = [harness.need_tool("setpriv"), "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"]
    inject.refused(program.pid, inject.DENIED, "CAP_SYS_PTRACE is missing", f"process {program.pid}", ahead=without)


def test_a_filter_of_its_own(start):
    program = start([harness.victim("inject_victim"), "filtered"], library=False)
    program.ready()
    assert program.line() == "in"
    one = inject.refused(program.pid, inject.DENIED, "seccomp filter of its own", f"attach {program.pid} --force")
    assert one["stopped_us"] == 0 and one["tid"] == 0
    inject.bring_in(program.pid, force=True)
    program.popen.terminate()
    assert program.line().startswith("ok")


# A filter that lets everything pass, and then the words behind it.
WITH_FILTER = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None)
rule = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7FFF0000))
rules = ctypes.create_string_buffer(struct.pack("HP", 1, ctypes.addressof(rule)))
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, rules):
    sys.exit("no filter")
os.execvp(sys.argv[1], sys.argv[1:])
"""

# A plain user's process and the command, both inside; the first process there is root's. USER DRIVER LIBRARY
IN_A_CONTAINER = """
user="setpriv --reuid=$1 --regid=$1 --clear-groups"
$user sleep 300 &
until [ "$(cat /proc/$!/comm)" = sleep ]; do :; done
$user "$2" $! "$3"
exit $?
"""


def test_a_filter_that_the_whole_container_has():
    """Its first process has it too, and need not be ours to look at closely."""
    other = harness.OtherUser()
    try:
        driver, library = other.copy(harness.victim("inject_driver")), other.copy(inject.ATTACHED)
        inside = ["sh", "-c", IN_A_CONTAINER, "sh", other.uid, driver, library]
        done = subprocess.run(
            [harness.need_tool("unshare"), "-pf", "--kill-child", "--mount-proc"]
            + [sys.executable, "-c", WITH_FILTER, *map(str, inside)],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (inject.FINE, ""), (done.stdout, done.stderr)
        assert '"error": 0, "result": 0' in done.stdout
    finally:
        other.close()


@pytest.mark.parametrize("interrupted", ["kill", "malloc"])
def test_only_in_a_handler(start, interrupted):
    """What it interrupted may hold any lock: no thread is to be had, nothing is changed, and later it may be had."""
    program = start([harness.victim("inject_victim"), "handler", ["kill", "malloc"].index(interrupted)], library=False)
    program.ready()
    assert program.line() == "in"
    one = inject.attempt(program.pid, code=inject.DENIED)
    assert one["error"] < 0 and "nothing was changed" in one["text"] and "in a signal handler" in one["text"], one
    assert not inject.mapped(program.pid)
    os.kill(program.pid, signal.SIGUSR1)
    assert program.line() == "out"
    inject.bring_in(program.pid)
    program.popen.terminate()
    assert program.line().startswith("ok")


def test_one_that_ends_meanwhile():
    """Whenever it dies, the command says so, and says nothing else."""
    for delay in range(40):
        child = subprocess.Popen([harness.victim("sleeper")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert child.stdout.readline().startswith("ready")
        driver = subprocess.Popen(inject.words(child.pid), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + delay * 0.0005
        while time.monotonic() < end:
            pass
        child.kill()
        out, err = driver.communicate(timeout=60)
        child.wait()
        child.stdin.close()
        child.stdout.close()
        assert driver.returncode in (inject.FINE, inject.NO_PROCESS) and err == "", (driver.returncode, out, err)
        if driver.returncode:
            assert re.search(r"zombie|has ended|no process|ended, or became", out), out
