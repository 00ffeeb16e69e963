"""The incident in the words of the command: start, find, report, stop the bleeding, keep the report."""

import json

import cli
import harness
import services

REQUESTS = 20


def test_the_incident_in_six_commands(start, networks, tmp_path):
    network = networks()
    services.start_nginx(start, network, tmp_path / "nginx", services.web_config(tmp_path / "nginx", "1s"), library=False)
    # sockleak run: the JVM becomes the process that was started.
    options = f"deadline=1s interval=250ms grace=500ms dir={tmp_path}/ctl"
    java = start([cli.SOCKLEAK, "run", "-o", options, "--",
                  *services.java("LeakyClient", f"http://{services.PLACE}/", REQUESTS, 200, "main")], network=network,
                 library=False)
    assert java.line() == f"done {REQUESTS} failed 0", java.stderr()
    stuck = lambda: cli.parsed("report", java.pid)["totals"]["stuck"] == REQUESTS
    harness.wait_until(stuck, "all to be stuck")
    cli.judged(java)

    row = {row["pid"]: row for row in cli.parsed("list")}[java.pid]
    assert (row["name"], row["stuck"], row["verdict"]) == ("java LeakyClient", REQUESTS, "LEAK")
    assert row["blame"].startswith("LeakyClient.fetch(LeakyClient.java:")

    text = cli.run("report", java.pid, "--check", "--short", code=cli.FOUND).stdout
    assert "LEAK" in text and f"{REQUESTS} of {REQUESTS} CLOSE_WAIT stuck" in text
    assert f"sockleak set {java.pid} action=shutdown for=2h" in text  # what it says is what one does:
    assert "action from report to shutdown" in cli.output("set", java.pid, "action=shutdown", "for=2h")
    harness.wait_until(lambda: not cli.states_of(java.pid, network).get("CLOSE_WAIT"), "the action")

    ticket = tmp_path / "ticket.json"
    cli.run("report", java.pid, "--json", "-o", ticket)
    snapshot = json.loads(ticket.read_text())
    harness.check_snapshot(snapshot)
    assert snapshot["totals"]["reclaimed"]["shutdown"] == REQUESTS
    assert f"shut down {REQUESTS}" in cli.output("report", ticket)
    assert java.is_alive()


def test_nginx_is_started_by_run(start, networks, tmp_path):
    """Its master holds the listener, its worker the connections; the command sees both."""
    network = networks()
    directory = tmp_path / "nginx"
    directory.mkdir()
    config = cli.write(directory / "nginx.conf", services.web_config(directory, "60s"))
    nginx = start([cli.SOCKLEAK, "run", "-o", f"dir={tmp_path}/ctl", "--", harness.need_tool("nginx"), "-p", directory, "-e",
                   directory / "log", "-c", config], network=network, library=False)
    is_listening = lambda: services.PLACE in network.run("ss", "-tlnH") or not nginx.is_alive()
    harness.wait_until(is_listening, nginx.stderr)
    assert nginx.is_alive(), nginx.stderr()
    snapshot = cli.parsed("report", nginx.pid)
    assert (snapshot["mode"], snapshot["process"]["name"], snapshot["verdict"]) == ("preload", "nginx", "OK")
    assert snapshot["totals"]["by_state"]["LISTEN"] >= 1
