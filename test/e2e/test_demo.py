"""The demonstration does what it says, and says so."""
import os
import subprocess

import harness


def test_demo_names_its_own_leaking_line():
    harness.PrivateNetwork().close()  # a skip where namespaces are forbidden
    done = subprocess.run(
        [harness.ROOT / "scripts" / "run-demo"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        env={**os.environ, "BUILD": str(harness.BUILD)},
    )
    assert done.returncode == 0, done.stdout
    assert "Cannot assign requested address (20 times)" in done.stdout
    assert "(signal)" in done.stdout
    assert "\033" not in done.stdout  # colours are for terminals
    assert done.stdout.splitlines()[-1].startswith("Right: all 100 stuck connections come from")
