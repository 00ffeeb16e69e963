"""Fixtures of the corpus; see corpus.py."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

import corpus  # noqa: E402
import harness  # noqa: E402
import pytest  # noqa: E402
from fixtures import pytest_terminal_summary  # noqa: E402,F401


@pytest.fixture(scope="session", autouse=True)
def built():
    missing = [p for p in (harness.LIBRARY, harness.BUILD / "corpus") if not p.exists()]
    if missing:
        pytest.exit(f"build it first: {', '.join(map(str, missing))} missing", returncode=2)


@pytest.fixture(scope="session")
def runs(request, tmp_path_factory):
    """The running of all cases that were chosen, a few at a time: runs.outcome(case) waits for one."""
    chosen = {item.callspec.params["case"].name: item.callspec.params["case"]
              for item in request.session.items if hasattr(item, "callspec") and "case" in item.callspec.params}
    running = corpus.Runs(list(chosen.values()), tmp_path_factory.mktemp("corpus"))
    yield running
    running.close()
