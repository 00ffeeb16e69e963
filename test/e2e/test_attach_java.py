"""The incident, met while it is under way: a JVM that was started plainly leaks, and is attached to."""

import subprocess

import attach
import cli
import harness
import pytest
import services

RUNS = "alone"  # requests at a pace, a hundred visits meanwhile (scripts/check-all)

OPTIONS = "deadline=1s interval=250ms grace=500ms"


@pytest.fixture
def web(start, networks, tmp_path):
    network = networks()
    services.start_nginx(start, network, tmp_path / "nginx", services.web_config(tmp_path / "nginx", "1s"), library=False)
    return network


def start_client(start, web, mode, requests, pause_ms, java=None):
    words = services.java("LeakyClient", f"http://{services.PLACE}/", requests, pause_ms, mode)
    return start([java or words[0], *words[1:]], network=web, library=False)


def close_wait(program, web):
    return cli.states_of(program.pid, web).get("CLOSE_WAIT", 0)


def leaking_line(mode):
    lines = (services.JAVA / "LeakyClient.java").read_text().splitlines()
    (number,) = [n for n, line in enumerate(lines, 1) if line.endswith(f"// LEAK {mode}")]
    return number


@pytest.mark.parametrize("java", attach.JAVAS.values(), ids=[f"jdk{major}" for major in attach.JAVAS])
def test_the_leak_is_blamed_and_ended_without_a_restart(start, web, tmp_path, java):
    requests = 260
    program = start_client(start, web, "main", requests, 40, java)
    harness.wait_until(lambda: close_wait(program, web) >= 10, "the leak to show")

    hint = cli.output("report", program.pid)
    assert f"sockleak attach {program.pid}" in hint
    text = cli.output("attach", "-o", f"{OPTIONS} dir={tmp_path}/ctl", program.pid)
    assert text.startswith(f"attached to java LeakyClient, pid {program.pid}, in ")
    at_once = cli.parsed("report", program.pid)
    assert at_once["mode"] == "attach" and at_once["totals"]["adopted"] >= 10

    blamed = {}

    def is_blamed():
        blamed.update(cli.parsed("report", program.pid))
        return blamed["verdict"] == "LEAK" and any(site["stuck"] and site["kind"] == "java" for site in blamed["sites"])

    harness.wait_until(is_blamed, lambda: f"the blame; {blamed.get('totals')} {blamed.get('verdict')}")
    (site,) = [site for site in blamed["sites"] if site["kind"] == "java" and site["stuck"]]
    assert site["blame"] == f"LeakyClient.fetch(LeakyClient.java:{leaking_line('main')})"
    assert "opened before attach" in cli.output("report", program.pid) or blamed["totals"]["adopted"] >= 10

    assert program.line() == f"done {requests} failed 0", program.stderr()
    assert "action from report to shutdown" in cli.output("set", program.pid, "action=shutdown")
    harness.wait_until(lambda: close_wait(program, web) == 0, lambda: f"the action; {cli.output('report', program.pid)}")
    after = cli.parsed("report", program.pid)
    assert after["totals"]["adopted"] >= 10 and after["totals"]["reclaimed"]["shutdown"] >= requests - 20
    assert program.end() == 0


def test_the_command_may_be_killed_at_any_moment(start, web, tmp_path):
    """Sixty times, a little later each time. The VM goes on, prints no stacks, and is attached to by the next command."""
    program = start_client(start, web, "clean", 0, 0)
    assert program.line() == "done 0 failed 0"
    for n in range(60):
        words = [cli.SOCKLEAK, "attach", "-o", f"dir={tmp_path}/ctl", str(program.pid)]
        command = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            command.wait(n * 0.0005)
        except subprocess.TimeoutExpired:
            command.kill()
            command.wait()
    cli.run("attach", program.pid)
    assert cli.parsed("report", program.pid)["mode"] == "attach"
    assert program.end() == 0
    assert [line for line in iter(program.line, None) if "thread dump" in line] == []
    harness.pathlib.Path(f"/tmp/.attach_pid{program.pid}").unlink(missing_ok=True)


def test_report_says_where_it_cannot_be_attached_to(start, web):
    words = services.java("LeakyClient", f"http://{services.PLACE}/", 12, 1, "main")
    program = start([words[0], "-XX:+DisableAttachMechanism", *words[1:]], network=web, library=False)
    assert program.line() == "done 12 failed 0"
    harness.wait_until(lambda: close_wait(program, web) == 12, "the leak to show")
    notes = cli.run("report", program.pid).stderr
    assert "cannot be attached to: process" in notes and "lets nobody attach" in notes


def test_attached_and_detached_under_load(start, web, tmp_path):
    """A hundred times, and not one request is lost; jcmd is at work beside."""
    requests, rounds = 3000, 100
    program = start_client(start, web, "clean", requests, 1)
    harness.wait_until(lambda: services.tcp_counter(web, "ActiveOpens") > 5, "the first requests")
    took_ms = []
    for n in range(rounds):
        took_ms.append(cli.parsed("attach", "-o", f"{OPTIONS} dir={tmp_path}/ctl", program.pid)["took_ms"])
        assert cli.parsed("report", program.pid)["mode"] == "attach"
        if n % 25 == 0:
            subprocess.run([harness.need_tool("jcmd"), str(program.pid), "VM.version"], check=True, capture_output=True,
                           timeout=harness.PATIENCE_S)
        done = cli.output("detach", program.pid)
        assert done.startswith(f"detached from java LeakyClient, pid {program.pid}: ") and " lead to libc again" in done
        assert "not attached" in cli.refusal("detach", program.pid, code=cli.NO_LIBRARY)
    print(f"attach: median {sorted(took_ms)[rounds // 2]} ms, worst {max(took_ms)} ms")
    assert program.line(4 * harness.PATIENCE_S) == f"done {requests} failed 0", program.stderr()
    assert program.end() == 0


def test_no_descriptor_is_left(start, web, tmp_path):
    """Told beforehand, not after ten seconds; after a word to the kernel it is attached to."""
    words = services.java("LeakyClient", f"http://{services.PLACE}/", 200, 1, "socket")
    program = start([words[0], "-XX:-MaxFDLimit", *words[1:]], network=web, library=False, wrap=["prlimit", "--nofile=150:600"])
    assert "Too many open files" in program.line() and program.line().startswith("done ")
    line = cli.refusal("attach", program.pid, code=cli.DENIED)
    assert "descriptors left" in line and f"prlimit --nofile=N: --pid {program.pid}" in line
    subprocess.run([harness.need_tool("prlimit"), "--nofile=600:", "--pid", str(program.pid)], check=True)
    assert cli.parsed("attach", "-o", f"{OPTIONS} dir={tmp_path}/ctl", program.pid)["answers"]
    assert cli.parsed("report", program.pid)["totals"]["adopted"] > 50


def test_already_attached(start, web, tmp_path):
    program = start_client(start, web, "clean", 0, 0)
    assert program.line() == "done 0 failed 0"
    cli.run("attach", "-o", f"dir={tmp_path}/ctl", program.pid)
    again = cli.run("attach", program.pid)
    assert again.stdout == "" and "attached already" in again.stderr
    line = cli.refusal("attach", "-o", "deadline=7s", program.pid, code=cli.USAGE)
    assert f"sockleak set {program.pid} deadline=7s" in line
    gone = cli.parsed("detach", program.pid)
    assert gone["detached"] is True and gone["pid"] == program.pid and gone["entries"] >= gone["objects"] > 0
    # Other options, this time.
    cli.run("attach", "-o", f"dir={tmp_path}/ctl deadline=7s", program.pid)
    assert cli.parsed("report", program.pid)["options"]["deadline"] == "7s"


def test_without_a_control_socket(start, web):
    program = start_client(start, web, "clean", 0, 0)
    assert program.line() == "done 0 failed 0"
    found = cli.parsed("attach", "-o", "control=off", program.pid)
    assert found["result"] == "attached" and found["answers"] is False


def test_detach_of_a_preloaded_process(puppet, peer):
    program = puppet()
    program.number(f"connect 127.0.0.1 {peer.port}")
    peer.accept()
    cli.await_control_socket(program)
    line = cli.refusal("detach", program.pid, code=cli.USAGE)
    assert f"sockleak off {program.pid}" in line
