"""Fixtures of the tests with real servers; see real.py."""

import itertools
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

import harness  # noqa: E402
import pytest  # noqa: E402
import real  # noqa: E402
from fixtures import *  # noqa: E402,F403


@pytest.fixture(scope="session", autouse=True)
def built():
    if not harness.LIBRARY.exists():
        pytest.exit(f"build it first: {harness.LIBRARY} missing", returncode=2)


@pytest.fixture(scope="session")
def alone(tmp_path_factory):
    """A function that gives what a workload shows without the library; it runs once in a session."""
    known = {}

    def look(workload):
        if workload not in known:
            known[workload] = real.run(workload, tmp_path_factory.mktemp("alone"), "alone")
        return known[workload]

    return look


@pytest.fixture
def compare(alone, tmp_path):
    """A function that runs a workload under the library, and holds what it shows against the same without."""
    numbers = itertools.count(1)

    def compare_one(workload, variant):
        without = alone(workload)
        under = real.run(workload, tmp_path / f"under{next(numbers)}", variant)
        assert under.keys() == without.keys()
        for name, shown in under.items():
            assert shown == without[name], f"{name} differs"

    return compare_one
