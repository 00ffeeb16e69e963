"""Fixtures of the end-to-end tests."""

import harness
from fixtures import *  # noqa: F403


def pytest_configure(config):
    config.addinivalue_line("markers", "preloaded: of a library that was there before the program; left out where it is attached")


def pytest_collection_modifyitems(config, items):
    if harness.WAY == "attach":
        left_out = [item for item in items if item.get_closest_marker("preloaded")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
