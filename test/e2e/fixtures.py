"""Fixtures of all tests with real programs. A test that the machine cannot run is skipped, counted and
named at the end."""

import itertools
import signal

import harness
import pytest


def pytest_terminal_summary(terminalreporter):
    skipped = terminalreporter.stats.get("skipped", [])
    terminalreporter.section("not run on this machine")
    terminalreporter.write_line(f"{len(skipped)} skipped")
    for report in skipped:
        terminalreporter.write_line(f"  {report.nodeid}: {report.longrepr[2]}")


@pytest.fixture(scope="session", autouse=True)
def built():
    missing = [p for p in (harness.LIBRARY, harness.BUILD / "victims") if not p.exists()]
    if missing:
        pytest.exit(f"build it first: {', '.join(map(str, missing))} missing", returncode=2)


@pytest.fixture(scope="session", autouse=True)
def signals_of_the_terminal():
    """A run in the background, or under nohup(1), ignores them, and what it starts would too: exec(2) resets none but handlers."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@pytest.fixture
def start(tmp_path):
    """harness.start() into directories of the test's own; every program ends with the test."""
    programs = []
    names = itertools.count(1)

    def start_one(argv, **more):
        if isinstance(argv, str):
            argv = [harness.victim(argv)]
        program = harness.start(argv, tmp_path / f"program{next(names)}", **more)
        programs.append(program)
        return program

    yield start_one
    for program in programs:
        program.kill()


@pytest.fixture
def puppet(start):
    """A function that starts a puppet with options and waits until it is ready."""

    def start_puppet(**more):
        program = start("puppet", **more)
        program.ready()
        return program

    return start_puppet


@pytest.fixture
def peer():
    end = harness.Peer()
    yield end
    end.close()


@pytest.fixture
def networks():
    """A function that makes private networks; all end with the test."""
    made = []

    def make():
        network = harness.PrivateNetwork()
        made.append(network)
        return network

    yield make
    for network in made:
        network.close()
