"""Programs in confined places: seccomp filters, limits, no /proc, nothing that can be written to.

Each does what it does without the library, word by word, and ends the same way.
"""

import contextlib
import functools
import os
import re
import resource
import shutil
import signal
import subprocess
import sys

import harness
import pytest

VICTIM = harness.victim("sandboxed")
WORKS = "talk signals forks threads files ranges out_of_fds returns earlier main_exits filters_again".split()
ACTIONS = ["kill_process", "kill_thread", "trap", "errno"]


@functools.lru_cache(maxsize=None)
def calls_of(when, work):
    """The system calls that this work needs without the library, as strace sees them."""
    strace = harness.need_tool("strace")
    words = [strace, "-f", "-qq", "-o", "/dev/stdout", VICTIM, "-", "-", when, work]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    if "sysinfo(" not in done.stdout:
        raise harness.Forbidden(f"strace: {done.stderr}")
    lines = done.stdout.partition("sysinfo(")[2].splitlines()
    calls = {m.group(1) for line in lines if (m := re.match(r"\d+ +(?:<\.\.\. )?(\w+)[( ]", line))}
    # Where a lock is taken, or memory asked for, it is a matter of luck whether the kernel is called.
    return sorted(calls | {"futex", "brk", "mmap", "munmap", "madvise"} if work not in ("talk", "returns") else calls)


def run(words, library, directory, options="", timeout=harness.PATIENCE_S):
    settings = f"json={directory}/report.json report={directory}/report.txt interval=250ms {options}"
    environment = [f"LD_PRELOAD={harness.LIBRARY}", f"SOCKLEAK_OPTIONS={settings}"]
    done = subprocess.run(
        ["env", *(environment if library else []), *map(str, words)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if not line.startswith("sockleak: ")]
    return done.returncode, done.stdout, said


@functools.lru_cache(maxsize=None)
def alone(*words):
    without = run(words, False, None)
    assert without[0] == 0 and without[1].endswith("done 0 \n"), without
    return without


def compare(directory, how, action, when, work, options=""):
    words = [VICTIM, how, action, when, work, *calls_of(when, work)]
    without = alone(*words)
    assert run(words, True, directory, options) == without


@pytest.mark.parametrize("action", ["report", "close"])
@pytest.mark.parametrize("when", ["first", "later"])
@pytest.mark.parametrize("work", WORKS)
def test_a_filter_that_kills(tmp_path, work, when, action):
    """No system call of ours after it, whatever the program goes on to do."""
    options = f"action={action} exit_report=1 deadline=100ms warn_at=5"
    compare(tmp_path, "syscall", "kill_process", when, work, options)


@pytest.mark.parametrize("when", ["first", "later"])
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("how", ["prctl", "libseccomp"])
def test_other_filters(tmp_path, how, action, when):
    compare(tmp_path, how, action, when, "talk")


@pytest.mark.parametrize("when", ["first", "later"])
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("work", ["talk", "threads", "forks", "returns", "earlier", "filters_again"])
def test_a_filter_on_all_threads(tmp_path, work, action, when):
    compare(tmp_path, "tsync", action, when, work, "exit_report=1")


def start_waiting(start, how, when="later", action="kill_process", **more):
    # A signal handler comes back by rt_sigreturn(). Where that is forbidden the signal ends the program, as it would without us.
    argv = [VICTIM, how, action, when, "waits", *calls_of(when, "waits"), "rt_sigreturn"]
    program = start(argv, **more)
    for line in iter(program.line, "ready 0 "):
        assert line is not None, (program.wait(), program.stderr())
    return program


def threads_of(program):
    tasks, names = f"/proc/{program.pid}/task", []
    for tid in os.listdir(tasks):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # ended since it was listed
            names.append(harness.pathlib.Path(tasks, tid, "comm").read_text().strip())
    return sorted(names)


def test_a_sandboxed_program_reports_by_signal(start):
    """The handler makes no call behind the filter: the worker sees at its next turn what is wanted."""
    program = start_waiting(start, "syscall")
    for _ in range(2):
        snapshot = program.report()
        assert (snapshot["totals"]["opened"], snapshot["totals"]["open"]) == (3, 1)
        # What was opened before it has its names.
        stacks = [site["frames"] for site in snapshot["sites"] if site["kind"] == "native"]
        assert stacks and all(stack and stack[-1]["module"].endswith("/sandboxed") for stack in stacks), snapshot["sites"]
    assert program.end() == 0
    assert program.stderr() == ""


def test_a_filter_on_all_threads_ends_ours(start):
    """And that is said, for no report comes any more; the signal is harmless."""
    program = start_waiting(start, "tsync")
    # Such a thread is listed for a moment when who waits for its end has been told already.
    harness.wait_until(lambda: threads_of(program) == ["sandboxed"], lambda: f"the end of ours: {threads_of(program)}")
    for _ in range(3):
        program.send_signal()
    assert program.end() == 0
    (line,) = program.stderr().splitlines()
    assert "seccomp" in line and "no reports" in line


def test_a_filter_while_our_threads_hold_a_lock_of_libc(tmp_path):
    """The worker names a function, for which it takes the loader's lock, as the filter comes: exit() would wait for it, in futex()."""
    words = [harness.victim("slow_loader"), harness.victim("so_slow_start.so")]
    assert run(words, True, tmp_path) == (0, "done\n", [])


def test_a_filter_that_is_refused_changes_nothing(start):
    """Questions whether the kernel has filters, and bad ones: the worker goes on."""
    program = start("bad_filter")
    program.ready()
    assert program.report()["totals"]["open"] == 1
    assert "sockleak" in threads_of(program)
    assert program.end() == 0


# ---- limits ----

SCRIPT = ["listen 127.0.0.1", "kind tcp", "kind udp", "open /dev/null", "disposition USR1", "fork USR1", "nop"]
REPORTS = "report={0}/r.txt json={0}/r.json exit_report=1 interval=250ms "


def play(directory, library, wrap=(), script=SCRIPT, options="", program=None, preload=harness.LIBRARY):
    """What a puppet answers to the script, and how it ends. Ports and pids are left out."""
    directory.mkdir(exist_ok=True)
    words = [*wrap, "env"]
    if library:
        words += [f"LD_PRELOAD={preload}", "SOCKLEAK_OPTIONS=" + REPORTS.format(directory) + options]
    done = subprocess.run(
        [*map(str, words), str(program or harness.victim("puppet"))],
        input="".join(line + "\n" for line in script),
        capture_output=True,
        text=True,
        timeout=harness.PATIENCE_S,
        check=False,
    )
    answers = [re.sub(r"\d{3,}", "N", line) for line in done.stdout.splitlines()]
    return done.returncode, answers, done.stderr.splitlines()


def same(tmp_path, **more):
    """The same answers and end with the library; what it said itself."""
    without = play(tmp_path / "alone", False, **more)
    under = play(tmp_path / "under", True, **more)
    assert under[:2] == without[:2], (under, without)
    assert without[0] == 0 and without[1][0] == "ready", without
    said = [line for line in under[2] if line.startswith("sockleak: ")]
    assert [line for line in under[2] if line not in said] == without[2]
    return said


def prlimit(*words):
    return [harness.need_tool("prlimit"), *(f"--{word}" for word in words)]


# 2.6 MiB the puppet needs alone, 1.9 MiB more our object: less than that no program could start.
@pytest.mark.parametrize("mib", [5, 6, 7, 10, 40, 100])
def test_little_address_space(tmp_path, mib):
    said = same(tmp_path, wrap=prlimit(f"as={mib << 20}"))
    assert len(said) <= 2


@pytest.mark.parametrize("kib", [2200, 2600, 3000, 5000])
def test_little_data(tmp_path, kib):
    assert len(same(tmp_path, wrap=prlimit(f"data={kib << 10}"))) <= 2


@pytest.mark.parametrize("stack", ["131072", "unlimited"])
def test_stacks_small_and_unlimited(tmp_path, stack):
    assert same(tmp_path, wrap=prlimit(f"stack={stack}:{stack}")) == []
    assert (tmp_path / "under" / "r.json").exists()


@pytest.mark.parametrize("arenas, most_mib", [("", 68), ("MALLOC_ARENA_MAX=1", 4)])
def test_the_program_has_the_rest_of_the_address_space(arenas, most_mib):
    """Ours are 1.5 MiB of stacks, and the 64 MiB that glibc's malloc() reserves for a second thread: the worker makes threads too."""

    def pieces(library):
        words = ["env", *arenas.split(), *([f"LD_PRELOAD={harness.LIBRARY}"] if library else [])]
        done = subprocess.run(
            [*words, harness.victim("room"), "300"], capture_output=True, text=True, check=True
        )
        return int(done.stdout.split()[1])

    missing_mib = (pieces(False) - pieces(True)) * 64 // 1024
    assert 0 < missing_mib <= most_mib


def test_memory_that_runs_out_later(puppet, peer):
    """From some moment on the kernel gives no more, to our threads neither: the program does what needs none."""
    program = puppet()
    program.ask(f"connect 127.0.0.1 {peer.port} 3")
    program.report()
    resource.prlimit(program.pid, resource.RLIMIT_AS, (1 << 20, 1 << 20))
    for n in range(20):
        program.send_signal()
        program.ask(f"connect 127.0.0.1 {peer.port} 40")
        assert program.ask("kind udp")
    assert len(program.stderr().splitlines()) <= 2
    assert program.end() == 0


def test_no_thread_can_be_had(tmp_path):
    """RLIMIT_NPROC, as a user whom it binds. One process of this uid there is already: the puppet itself."""
    other = harness.OtherUser()
    try:
        (other.directory / "under").mkdir()
        os.chown(other.directory / "under", other.uid, other.uid)
        wrap = [*other.prefix(), *prlimit("nproc=1:1")]
        script = [line for line in SCRIPT if not line.startswith("fork")]
        puppet, library = other.copy(harness.victim("puppet")), other.copy(harness.LIBRARY)
        said = same(other.directory, wrap=wrap, script=script, program=puppet, preload=library)
        assert said == [] and not (other.directory / "under" / "r.json").exists()
    finally:
        other.close()


def test_a_full_quota_of_a_file_raises_no_signal(start, peer):
    """RLIMIT_FSIZE 0: SIGXFSZ is the writer's, and ours has it blocked."""
    program = start("puppet", wrap=prlimit("fsize=0:0"), stderr=subprocess.DEVNULL)
    program.ready()
    program.ask(f"connect 127.0.0.1 {peer.port} 3")
    for _ in range(3):
        program.send_signal()
        program.ask("nop")
    harness.wait_until(lambda: program.text_path.exists(), "a try to write")
    assert program.text() == ""
    assert program.ask("handled") == ["0"]
    assert program.end() == 0
    # The program's own write still raises it.
    for library in (False, True):
        other = start("puppet", wrap=prlimit("fsize=0:0"), stderr=subprocess.DEVNULL, library=library)
        other.ready()
        fd = other.number(f"open {program.text_path}")
        other.tell(f"writehex {fd} 41")
        assert other.wait() == -signal.SIGXFSZ


def test_the_processor_time_runs_out(tmp_path):
    """SIGXCPU finds the program's thread, not one of ours."""
    burn = "import socket; s = socket.socket()\nwhile True: pass"
    ends = []
    for library in (False, True):
        words = ["env", *([f"LD_PRELOAD={harness.LIBRARY}"] if library else []), sys.executable, "-c", burn]
        done = subprocess.run([*prlimit("cpu=1:3"), *words], capture_output=True, check=False, timeout=60)
        ends.append((done.returncode, done.stderr))
    assert ends[0] == ends[1] == (-signal.SIGXCPU, b"")


@pytest.mark.parametrize("n", [4, 6, 8, 20])
def test_few_descriptors(tmp_path, n):
    """The hard limit too: numbers of our own are not to be had, or lie among those few."""
    script = [*SCRIPT, "kind pair", *["kind tcp"] * n, "close 3", "kind udp", "fork USR1"]
    said = same(tmp_path, wrap=prlimit(f"nofile={n}:{n}"), script=script, options="warn_at=off")
    assert len(said) <= 1


@pytest.mark.parametrize("when", ["first", "later"])
def test_no_descriptor_at_all(puppet, peer, when):
    """The limit is lowered to what is in use while the program runs: it can open nothing, and neither can we."""
    program = puppet(options={"warn_at": "off"})
    if when == "later":
        program.ask(f"connect 127.0.0.1 {peer.port}")
    resource.prlimit(program.pid, resource.RLIMIT_NOFILE, (3, 3))
    for _ in range(3):
        assert program.ask_error("kind tcp")[0] == "EMFILE"
        assert program.ask_error("open /dev/null")[0] == "EMFILE"
        program.send_signal()
    assert program.ask("nop") == []
    assert program.report()["totals"]["open"] == (when == "later")
    assert program.end() == 0


@pytest.fixture
def cgroup():
    """A memory cgroup of 24 MiB, version 1 or 2: the words that put a command into it."""
    root = harness.pathlib.Path("/sys/fs/cgroup")
    version_1 = root / "memory" / "memory.limit_in_bytes"
    where = (root / "memory" if version_1.exists() else root) / f"sockleak-test-{os.getpid()}"
    try:
        where.mkdir()
    except OSError as error:
        raise harness.Forbidden(f"a memory cgroup: {error}") from None
    try:
        limit = where / ("memory.limit_in_bytes" if version_1.exists() else "memory.max")
        limit.write_text(str(24 << 20))
        yield ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', where]
    except OSError as error:
        raise harness.Forbidden(f"a limit in a memory cgroup: {error}") from None
    finally:
        where.rmdir()


def test_a_memory_cgroup(tmp_path, cgroup):
    assert same(tmp_path, wrap=cgroup) == []
    assert (tmp_path / "under" / "r.json").exists()


# ---- file systems ----

# In a mount namespace of its own; $0 is the test's directory.
NO_PROC = 'mount -t tmpfs none /proc && exec "$@"'
NO_TMP = 'mount -t tmpfs none /dev && mount -t tmpfs -o ro none /run && exec "$@"'
READ_ONLY = 'mount -o bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
ROOT = """
root="$0/root"
mkdir "$root" && mount -t tmpfs none "$root" && mkdir "$root/usr" "$root/under" "$root/alone" || exit 90
for folder in bin lib lib64; do ln -s "usr/$folder" "$root/$folder" || exit 90; done
cp "$0/puppet" "$0/libsockleak.so" "$root" || exit 90
mount --bind /usr "$root/usr" || exit 90
exec chroot "$root" "$@"
"""


def private(script, directory):
    return [*harness.can_mount(), "sh", "-c", script, directory]


def test_without_proc(tmp_path):
    assert same(tmp_path, wrap=private(NO_PROC, tmp_path)) == []
    assert (tmp_path / "under" / "r.json").exists()


def test_in_a_bare_root(tmp_path):
    """chroot, with /usr alone: no /proc, /dev, /tmp, /run."""
    shutil.copy(harness.victim("puppet"), tmp_path)
    shutil.copy(harness.LIBRARY, tmp_path)
    words = private(ROOT, tmp_path)
    answers = []
    for library in (False, True):
        (tmp_path / "root").exists() and (tmp_path / "root").rmdir()
        more = ["LD_PRELOAD=/libsockleak.so", "SOCKLEAK_OPTIONS=exit_report=1 json=/r.json"] if library else []
        done = subprocess.run(
            [*map(str, words), "/usr/bin/env", *more, "/puppet"],
            input="".join(line + "\n" for line in SCRIPT),
            capture_output=True,
            text=True,
            timeout=harness.PATIENCE_S,
            check=False,
        )
        said = [line for line in done.stderr.splitlines() if not line.startswith("sockleak")]
        answers.append((done.returncode, [re.sub(r"\d{3,}", "N", a) for a in done.stdout.splitlines()], said))
    assert answers[0] == answers[1]
    assert answers[0][0] == 0 and answers[0][1][0] == "ready"


def test_no_devices_and_no_tmp(tmp_path):
    script = [line for line in SCRIPT if "/dev" not in line]
    assert same(tmp_path, wrap=private(NO_TMP, tmp_path), script=script) == []


def test_a_read_only_file_system(tmp_path):
    """One line for each file, at the end and not at each report."""
    said = same(tmp_path, wrap=private(READ_ONLY, tmp_path))
    assert len(said) == 2
    assert any("r.txt" in line for line in said) and any("r.json" in line for line in said)


# ---- a filter that was there before the program ----


# What the library may ask of the kernel beyond what any program with a loader asks, as docs/architecture.md says: at its start,
# for its threads and their files, for reports, and for actions.
START = "fstat getpid geteuid getdents64 getsockopt madvise mmap munmap rt_sigaction readlinkat getppid"
THREADS = "clone clone3 rseq set_robust_list mprotect prctl futex rt_sigprocmask exit gettid close_range restart_syscall"
STACKS = "pipe2 mincore sigaltstack fcntl prlimit64 dup3"
REPORT = (
    "clock_gettime ppoll getsockname getpeername ioctl uname openat read write pwritev2 sendto rt_sigpending"
    " rt_sigtimedwait rt_sigreturn fchmod flock ftruncate lseek newfstatat renameat2 unlinkat close kill tgkill"
)
ACTIONS = "socket shutdown setsockopt recvfrom epoll_ctl"
CONTROL = "accept4 bind connect fchmodat listen mkdirat signalfd4"
NEEDS = " ".join((START, THREADS, STACKS, REPORT, ACTIONS, CONTROL)).split()


@functools.lru_cache(maxsize=None)
def calls_from_the_start(script):
    """All system calls of a puppet that obeys the script, from its execve() on, and those of env(1)."""
    words = [harness.need_tool("strace"), "-f", "-qq", "-o", "/dev/stderr", "/usr/bin/env", harness.victim("puppet")]
    lines = "".join(line + "\n" for line in script)
    done = subprocess.run(words, input=lines, capture_output=True, text=True, timeout=60, check=False)
    calls = {m.group(1) for line in done.stderr.splitlines() if (m := re.match(r"\d+ +(?:<\.\.\. )?(\w+)[( ]", line))}
    if "openat" not in calls:
        raise harness.Forbidden(f"strace: {done.stderr[-200:]}")
    return sorted(calls | {"futex"})


def confined(action, calls):
    return [harness.victim("confine"), action, *calls, "--", "/usr/bin/env"]


@pytest.mark.parametrize("script", [SCRIPT[:4], SCRIPT], ids=["alone", "forks"])
def test_a_filter_from_before_that_refuses(tmp_path, script):
    """What ours is refused it does without: no thread, no report, and the program goes on."""
    assert len(same(tmp_path, wrap=confined("errno", calls_from_the_start(tuple(script))), script=script)) <= 1


def test_a_filter_from_before_that_kills(tmp_path):
    """It has to allow what the library needs as well."""
    calls = sorted({*calls_from_the_start(tuple(SCRIPT)), *NEEDS})
    assert same(tmp_path, wrap=confined("kill", calls)) == []
    assert (tmp_path / "under" / "r.json").exists()
    sources = [p for p in (harness.ROOT / "src").rglob("*.[ch]") if p.parent.name != "cli"]
    known = set(re.findall(r"SYS_([a-z]\w+)", "".join(p.read_text() for p in sources)))
    assert known - set(NEEDS) <= {"seccomp", "unshare"}, f"not in the list: {known - set(NEEDS)}"
