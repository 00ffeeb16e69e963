"""Attach to Java VMs by their own protocol: every JDK of the machine, and every way in which one says no. What is loaded is a stand-in
for the library."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading

import attach
import cli
import harness
import pytest
import services

OPTIONS = "deadline=30s control=off"
QUIT = re.compile(r"pidfd_send_signal\(\d+, SIGQUIT")


@pytest.fixture
def kit(tmp_path):
    return attach.Kit(tmp_path / "kit")


@pytest.fixture(params=sorted(attach.JAVAS))
def any_java(request):
    return attach.JAVAS[request.param]


def traced(kit, tmp_path, *words, code):
    """The same as refusal(), and not one SIGQUIT was sent."""
    trace = tmp_path / "trace"
    strace = [harness.need_tool("strace"), "-f", "-e", "trace=pidfd_send_signal,kill,tgkill", "-o", trace]
    line = kit.refusal(*words, code=code, wrap=strace)
    assert "SIGQUIT" not in trace.read_text()
    return line


def test_the_vm_loads_it(start, kit, any_java):
    program = attach.start_java(start, java=any_java)
    done = kit.run("attach", "-o", OPTIONS, program.pid)
    first, *steps = done.stdout.splitlines()
    assert re.fullmatch(rf"attached to java LeakyClient, pid {program.pid}, in \d+ ms", first)
    assert [step.split() for step in steps] == [
        ["sockleak", "report", str(program.pid)],
        ["sockleak", "set", str(program.pid), "action=shutdown", "for=2h"],
        ["sockleak", "detach", str(program.pid)],
    ]
    assert attach.calls(program) == [f"vm: [{OPTIONS}]"]
    assert attach.left_behind(program) == []
    assert harness.pathlib.Path(f"/tmp/.java_pid{program.pid}").is_socket()
    # Its listener is there now: no signal is needed any more.
    trace = kit.directory / "trace"
    kit.run("attach", "-o", OPTIONS, program.pid, wrap=[harness.need_tool("strace"), "-o", trace])
    assert not QUIT.search(trace.read_text())
    assert len(attach.calls(program)) == 2
    assert program.end() == 0


def test_the_warning_of_new_vms_is_said_first(start, kit):
    for major, java in attach.JAVAS.items():
        program = attach.start_java(start, java=java)
        notes = kit.run("attach", "-o", OPTIONS, program.pid).stderr
        assert ("will print a warning" in notes) == (major >= 21), notes
        assert ("WARNING: A JVM TI agent has been loaded dynamically" in program.stderr()) == (major >= 21)


def test_json(start, kit):
    program = attach.start_java(start)
    found = harness.json.loads(kit.attach(program.pid, "-o", OPTIONS, "--json"))
    took_ms = found.pop("took_ms")
    assert 0 <= took_ms < 20000
    assert found == {"pid": program.pid, "name": "java LeakyClient", "result": "attached", "way": "jvm",
                     "library": str(kit.library), "copied": False, "held_us": None, "answers": False}


def test_options_of_the_environment_are_not_passed_on(start, kit):
    program = attach.start_java(start)
    kit.attach(program.pid, "-o", "control=off", env={"SOCKLEAK_OPTIONS": "deadline=99s"})
    assert attach.calls(program) == ["vm: [control=off]"]


@pytest.mark.parametrize("result, code, words", [
    (1, cli.FINE, "attached already"), (2, cli.FINE, "was preloaded"), (3, cli.NO_LIBRARY, "not glibc"),
    (99, cli.NO_LIBRARY, "has not started")])
def test_what_the_library_answers(start, kit, any_java, result, code, words):
    program = attach.start_java(start, java=any_java, env={"AGENT_RESULT": str(result)})
    done = kit.run("attach", program.pid, code=code)
    assert done.stdout == "" and words in done.stderr.splitlines()[-1]
    if code == cli.FINE: # other options are not to be had that way
        line = kit.run("attach", "-o", "deadline=9s", program.pid, code=cli.USAGE).stderr.splitlines()[-1]
        assert f"sockleak set {program.pid} deadline=9s" in line


# What it was told, by each way in which a VM is told something: (options of java, environment).
NO_ATTACH = "-XX:+DisableAttachMechanism"
NO_LOADING = "-XX:-EnableDynamicAgentLoading"


@pytest.mark.parametrize("counters", ["-XX:+UsePerfData", "-XX:-UsePerfData"])
@pytest.mark.parametrize("flag", [NO_ATTACH, NO_LOADING])
@pytest.mark.parametrize("way", ["command", "tool", "jdk", "last", "argfile", "flags", "options_file"])
def test_a_vm_that_must_not_be_attached_to_is_left_alone(start, kit, tmp_path, counters, flag, way):
    opposite = flag[:4] + ("-" if flag[4] == "+" else "+") + flag[5:]
    options, env, source = [counters, flag], {}, "its command line"
    if way == "tool":
        options, env, source = [counters], {"JAVA_TOOL_OPTIONS": flag}, "JAVA_TOOL_OPTIONS"
    elif way == "jdk":
        options, env, source = [counters], {"JDK_JAVA_OPTIONS": f'"{flag}"'}, "JDK_JAVA_OPTIONS"
    elif way == "last":
        options, env, source = [counters, opposite], {"_JAVA_OPTIONS": flag}, "_JAVA_OPTIONS"
    elif way == "argfile":
        file = cli.write(tmp_path / "args", f'# {opposite}\n"{flag}"\n')
        options, source = [counters, f"@{file}"], f"@{file}"[:60]
    elif way == "flags":
        file = cli.write(tmp_path / "flags", flag.removeprefix("-XX:") + "\n")
        options, source = [counters, f"-XX:Flags={file}"], "its file of flags"
    elif way == "options_file":
        file = cli.write(tmp_path / "options", flag + "\n")
        options, source = [counters, f"-XX:VMOptionsFile={file}"], str(file)[:60]
    program = attach.start_java(start, *options, env=env)
    line = traced(kit, tmp_path, "attach", program.pid, code=cli.NO_LIBRARY)
    assert flag in line and f"by {source}" in line and "sockleak run -- CMD" in line, line
    assert attach.calls(program) == []
    assert program.end() == 0


def test_doctor_and_report_say_whether_it_can_be_done(start):
    for options, status, said in (((), "ok", "possible, by its Java VM"), ((NO_ATTACH,), "note", "lets nobody attach")):
        program = attach.start_java(start, *options)
        (finding,) = [row for row in cli.parsed("doctor", program.pid) if row["check"] == "attach"]
        assert finding["status"] == status and said in finding["detail"], finding
        assert finding["advice"] == (f"sockleak attach {program.pid}" if status == "ok" else None)


def test_the_last_word_counts(start, kit):
    program = attach.start_java(start, NO_ATTACH, NO_LOADING, env={
        "_JAVA_OPTIONS": "-XX:-DisableAttachMechanism -XX:+EnableDynamicAgentLoading"})
    kit.attach(program.pid, "-o", OPTIONS)
    assert attach.calls(program) == [f"vm: [{OPTIONS}]"]


def test_words_of_the_program_are_not_the_vms(start, kit):
    words = services.java("LeakyClient", "http://127.0.0.1:1/", 0, 0, "clean", NO_ATTACH, NO_LOADING)
    program = start([words[0], "-XX:-UsePerfData", *words[1:]], library=False)
    assert program.line() == "done 0 failed 0"
    kit.attach(program.pid, "-o", OPTIONS)
    assert len(attach.calls(program)) == 1


def wait_for_listener(pid):
    jcmd = harness.need_tool("jcmd")
    subprocess.run([jcmd, str(pid), "VM.version"], check=True, capture_output=True, timeout=harness.PATIENCE_S)


def test_a_vm_that_listens_is_asked(start, kit, tmp_path, any_java):
    """Its own word counts, whatever else is read."""
    program = attach.start_java(start, NO_LOADING, java=any_java)
    wait_for_listener(program.pid)
    line = traced(kit, tmp_path, "attach", program.pid, code=cli.NO_LIBRARY)
    assert NO_LOADING in line and "takes no agent" in line


def test_fewer_signals(start, kit, tmp_path):
    """-Xrs: SIGQUIT would be its end. But such a VM listens from the start."""
    program = attach.start_java(start, "-Xrs")
    path = harness.pathlib.Path(f"/tmp/.java_pid{program.pid}")
    harness.wait_until(path.is_socket, "the socket")
    kit.attach(program.pid, "-o", OPTIONS)
    path.unlink()  # as something that cleans /tmp does
    line = traced(kit, tmp_path, "attach", program.pid, code=cli.NO_LIBRARY)
    assert "SIGQUIT" in line, line
    assert program.end() == 0


def test_a_vm_that_does_not_catch_the_signal_yet(start, kit, tmp_path):
    """-XX:-UsePerfData hides nothing of it: the mask of caught signals is the kernel's."""
    program = attach.start_java(start, "-XX:+ReduceSignalUsage", "-XX:-UsePerfData")
    path = harness.pathlib.Path(f"/tmp/.java_pid{program.pid}")
    harness.wait_until(path.is_socket, "the socket")
    path.unlink()
    assert "ReduceSignalUsage" in traced(kit, tmp_path, "attach", program.pid, code=cli.NO_LIBRARY)
    assert program.is_alive()


def test_a_vm_that_is_only_starting(start, kit):
    """From the moment that its library is mapped: it has no handler yet, and must not die of us."""
    words = services.java("LeakyClient", "http://127.0.0.1:1/", 0, 0, "clean")
    codes = set()
    for _ in range(12):
        program = start(words, library=False)
        maps = harness.pathlib.Path(f"/proc/{program.pid}/maps")
        harness.wait_until(lambda maps=maps: "libjvm.so" in maps.read_text(), "the VM", every_s=0.0002)
        done = subprocess.run([kit.command, "attach", "-o", OPTIONS, str(program.pid)], capture_output=True, text=True,
                              check=False, timeout=harness.PATIENCE_S)
        codes.add(done.returncode)
        assert done.returncode == 0 or "does not catch SIGQUIT" in done.stderr, done
        assert program.line() == "done 0 failed 0"
        assert program.end() == 0
        assert program.line() is None
    assert codes <= {cli.FINE, cli.NO_LIBRARY}


def remove_once_it_is_there(path):
    while True:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
            return


def test_a_socket_that_is_taken_away_at_once(start, kit, any_java):
    """So does a VM that starts with its own, if it was asked just before: it takes it for an earlier VM's, and has to be asked again."""
    trace, asked = kit.directory / "trace", 0
    strace = [harness.need_tool("strace"), "-f", "-e", "trace=pidfd_send_signal", "-o", trace]
    for _ in range(10):  # where the command comes first, there is nothing to be seen
        program = attach.start_java(start, java=any_java)
        path = harness.pathlib.Path(f"/tmp/.java_pid{program.pid}")
        remover = threading.Thread(target=remove_once_it_is_there, args=(path,))
        remover.start()
        kit.run("attach", "-o", OPTIONS, program.pid, wrap=strace)
        remover.join()
        assert attach.calls(program)[-1] == f"vm: [{OPTIONS}]"
        assert program.end() == 0
        assert program.line() is None  # no stacks were printed
        asked = len(QUIT.findall(trace.read_text()))
        if asked > 1:
            break
    assert asked == 2


def start_embedder(start, *options):
    """A program with a VM in it, whose options nobody can read."""
    home = harness.pathlib.Path(services.java("x")[0]).resolve().parents[1]
    words = [word if word == "own-quit" else word[::-1] for word in options]
    program = start([harness.victim("embedder"), home / "lib/server/libjvm.so", *words], library=False)
    program.ready()
    return program


def test_a_program_with_a_vm_in_it(start, kit):
    program = start_embedder(start)
    assert "attached to embedder, pid " in kit.attach(program.pid, "-o", OPTIONS)
    assert attach.calls(program) == [f"vm: [{OPTIONS}]"]


def test_a_vm_says_no_by_itself(start, kit):
    """What it was told is not to be read anywhere."""
    program = start_embedder(start, "-XX:-UsePerfData", NO_LOADING)
    line = kit.refusal("attach", program.pid, code=cli.NO_LIBRARY)
    assert "its VM says: Dynamic agent loading is not enabled" in line
    assert attach.left_behind(program) == []


def test_options_of_an_embedded_vm_are_known_by_its_counters(start, kit, tmp_path):
    program = start_embedder(start, NO_ATTACH)
    assert NO_ATTACH in traced(kit, tmp_path, "attach", program.pid, code=cli.NO_LIBRARY)


@pytest.mark.parametrize("objects, words", [(["libjvm.so", "libj9vm29.so"], "OpenJ9"), (["libjvm.so"], "is not HotSpot")])
def test_a_vm_that_is_not_hotspot(start, kit, tmp_path, objects, words):
    """Known by its objects, before anything is sent: SIGQUIT would end this one."""
    for name in objects:
        shutil.copy(attach.STAND_IN, tmp_path / name)
    text = "import ctypes, sys\nfor path in sys.argv[1:]: ctypes.CDLL(path)\nprint('in', flush=True)\nsys.stdin.read()"
    program = start([sys.executable, "-c", text, *(tmp_path / name for name in objects)], library=False)
    assert program.line() == "in"
    assert words in kit.refusal("attach", program.pid, code=cli.NO_LIBRARY)
    assert attach.left_behind(program) == []
    assert program.end() == 0


def test_a_signal_that_is_the_programs_own(start, kit, tmp_path):
    """As in PostgreSQL with a VM in it: the signal has a handler, which is not the VM's."""
    program = start_embedder(start, "-XX:-UsePerfData", "-Xrs", "own-quit")
    path = harness.pathlib.Path(f"/tmp/.java_pid{program.pid}")
    harness.wait_until(path.is_socket, "the socket")
    kit.attach(program.pid, "-o", OPTIONS)
    path.unlink()
    line = traced(kit, tmp_path, "attach", program.pid, code=cli.NO_LIBRARY)
    assert "SIGQUIT is caught, but not by its VM" in line
    program.popen.stdin.close()
    assert program.line() == "quits 0"


def test_what_an_earlier_process_left_is_no_listener(start, kit):
    program = attach.start_java(start)
    path = f"/tmp/.java_pid{program.pid}"
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as stale:
        stale.bind(path)
    kit.attach(program.pid, "-o", OPTIONS)
    assert len(attach.calls(program)) == 1


def test_another_process_at_its_socket(start, kit):
    program = attach.start_java(start)
    path = f"/tmp/.java_pid{program.pid}"
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as other:
        other.bind(path)
        other.listen()
        assert "another process answers" in kit.refusal("attach", program.pid, code=cli.DENIED)
    os.unlink(path)
    assert attach.calls(program) == []


def test_a_link_in_place_of_the_socket(start, kit, tmp_path):
    program = attach.start_java(start)
    path = harness.pathlib.Path(f"/tmp/.java_pid{program.pid}")
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as other:
        other.bind(str(tmp_path / "other"))
        other.listen()
        path.symlink_to(tmp_path / "other")
        kit.attach(program.pid, "-o", OPTIONS)  # the VM puts its own there
        other.settimeout(0)
        with pytest.raises(BlockingIOError):
            other.accept()
    assert len(attach.calls(program)) == 1


def test_a_foreign_file_in_the_way(start, kit):
    """The VM would say no to it, and print all its stacks: the file of root is not taken for its own."""
    other = harness.OtherUser()
    try:
        program = attach.start_java(start)
        path = harness.pathlib.Path(f"/tmp/.attach_pid{program.pid}")
        path.touch()
        os.chown(path, other.uid, other.uid)
        kit.attach(program.pid, "-o", OPTIONS)  # by the working directory
        assert path.exists() and path.stat().st_uid == other.uid
        path.unlink()
    finally:
        other.close()


@pytest.fixture
def held(start, kit):
    """A function that starts a JVM whose signals nobody takes, and an attempt to attach to it that waits; both, and who holds it."""
    programs = []

    def start_held():
        program = attach.start_java(start)
        tasks = harness.pathlib.Path(f"/proc/{program.pid}/task")
        (dispatcher,) = [task.name for task in tasks.iterdir() if (task / "comm").read_text().startswith("Signal Dis")]
        holder = start([harness.victim("holder"), dispatcher], library=False)
        assert holder.line() == "held"
        words = [kit.command, "attach", "-o", OPTIONS, str(program.pid)]
        command = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        programs.append(command)
        harness.wait_until(lambda: attach.left_behind(program), "the file")
        return program, command, holder

    yield start_held
    for command in programs:
        command.kill()
        command.communicate()


@pytest.mark.parametrize("signo", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_an_interrupt_leaves_nothing_behind(held, signo):
    program, command, holder = held()
    command.send_signal(signo)
    assert command.wait(harness.PATIENCE_S) == -signo
    assert attach.left_behind(program) == []
    assert holder.end() == 0 and program.is_alive() and attach.calls(program) == []


def test_a_vm_that_does_not_answer(held):
    program, command, holder = held()
    _, said = command.communicate(timeout=harness.PATIENCE_S)
    assert command.returncode == cli.NO_LIBRARY and "has not opened its attach socket within 10 s" in said
    assert attach.left_behind(program) == []
    assert holder.end() == 0 and program.is_alive()


def test_a_vm_that_answers_late(held):
    """It takes its signal while the command waits still."""
    program, command, holder = held()
    assert holder.end() == 0
    said, _ = command.communicate(timeout=harness.PATIENCE_S)
    assert command.returncode == 0 and said.startswith("attached to"), said
    assert attach.left_behind(program) == [] and len(attach.calls(program)) == 1


def test_a_vm_that_ends_meanwhile(held):
    program, command, holder = held()
    program.popen.kill()
    holder.kill()  # who holds a thread has to let it end
    program.wait()
    _, said = command.communicate(timeout=harness.PATIENCE_S)
    assert command.returncode == cli.NO_PROCESS and f"process {program.pid} has ended meanwhile" in said
    assert [name for name in os.listdir("/tmp") if name == f".attach_pid{program.pid}"] == []


def test_many_at_once(start, kit):
    """One of them wakes it; nobody makes it print its stacks, and all are served."""
    program = attach.start_java(start)
    words = [kit.command, "attach", "-o", OPTIONS, str(program.pid)]
    commands = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(8)]
    for command in commands:
        said = command.communicate(timeout=harness.PATIENCE_S)
        assert command.returncode == 0, said
    assert len(attach.calls(program)) == 8 and attach.left_behind(program) == []


def test_a_vm_of_another_user(start, tmp_path):
    """Root attaches as that user; that user as itself; anybody else is told how."""
    words = cli.as_nobody()
    other = harness.OtherUser()
    try:
        kit = attach.Kit(other.directory / "kit")
        os.chmod(kit.directory, 0o755)
        java = other.directory / "java"
        shutil.copytree(harness.BUILD / "java", java)
        for path in [java, *java.rglob("*")]:
            path.chmod(0o755)
        jars = services.java("LeakyClient")[3].split(":", 1)[1]
        argv = [harness.need_tool("java"), "-cp", f"{java}:{jars}", "LeakyClient", "http://127.0.0.1:1/", "0", "0", "clean"]
        # With a /tmp that all may write to, and this directory in it.
        script = ('mount --bind "$1" /mnt && mount -t tmpfs -o mode=1777 none /tmp && mkdir "$1" && mount --bind /mnt "$1" && '
                  'shift && exec "$@"')
        mounts = ["unshare", "-m", "sh", "-c", script, "sh", other.directory]
        program = start(argv, library=False, wrap=[*map(str, mounts), *other.prefix()], cwd="/")
        assert program.line() == "done 0 failed 0", program.stderr()
        line = kit.refusal("attach", program.pid, code=cli.DENIED, wrap=words)
        assert line.endswith(f"this would be: sudo -u '#{other.uid}' -g '#{other.uid}' sockleak attach {program.pid}"), line
        kit.attach(program.pid, "-o", OPTIONS)
        kit.attach(program.pid, "-o", OPTIONS, wrap=other.prefix())
        assert len(attach.calls(program)) == 2
    finally:
        other.close()


def test_a_stopped_vm_and_a_zombie(start, kit):
    program = attach.start_java(start)
    os.kill(program.pid, signal.SIGSTOP)
    harness.wait_until(lambda: "State:\tT" in harness.pathlib.Path(f"/proc/{program.pid}/status").read_text(), "the stop")
    line = kit.refusal("attach", program.pid, code=cli.DENIED)
    assert "is stopped" in line and f"kill -CONT {program.pid}" in line
    os.kill(program.pid, signal.SIGKILL)
    status = harness.pathlib.Path(f"/proc/{program.pid}/status")
    harness.wait_until(lambda: "State:\tZ" in status.read_text() and "Threads:\t1\n" in status.read_text(), "the end")
    assert "zombie" in kit.refusal("attach", program.pid, code=cli.NO_PROCESS)


def test_a_frozen_vm(start, kit):
    """A signal would wait for it, and have it print its stacks when nobody asks any more."""
    program = attach.start_java(start)
    with harness.frozen(program.pid):
        assert "frozen by its cgroup" in kit.refusal("attach", program.pid, code=cli.DENIED)
    assert attach.left_behind(program) == [] and program.end() == 0
    assert not [line for line in iter(program.line, None) if "Full thread dump" in line]


def test_beside_jcmd(start, kit, any_java):
    """Both speak to one listener, one after the other."""
    program = attach.start_java(start, java=any_java)
    jcmd = harness.need_tool("jcmd")
    kit.attach(program.pid, "-o", OPTIONS)  # four jcmds that all have to wake it would make it print its stacks, with us or without
    others = [subprocess.Popen([jcmd, str(program.pid), "Thread.print"], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for _ in range(9):
        kit.attach(program.pid, "-o", OPTIONS)
    for other in others:
        text, _ = other.communicate(timeout=harness.PATIENCE_S)
        assert other.returncode == 0 and '"main"' in text
    assert len(attach.calls(program)) == 10
    assert program.end() == 0
    lines = iter(program.line, None)
    assert not [line for line in lines if "Full thread dump" in line]


def test_options_that_are_too_long_for_a_vm(start, kit):
    program = attach.start_java(start)
    long = " ".join(["control=off", *(f"{key}=/tmp/{'x' * 350}" for key in ("report", "json", "events"))])
    line = kit.refusal("attach", "-o", long, program.pid, code=cli.USAGE)
    assert "1024 bytes" in line and "sockleak set" in line
    assert attach.calls(program) == []
