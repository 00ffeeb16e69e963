"""The demonstration does what it says, and says so."""
import os
import subprocess

import harness


def test_demo_names_the_leaking_line_and_holds():
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
    assert "\033" not in done.stdout  # colours are for terminals
    first, second = done.stdout.split("\n4. The second act")
    assert first.count("Cannot assign requested address (20 times)") == 2
    assert "(signal)" in first
    assert "\nRight: all 100 stuck connections come from" in first
    assert "done 240 failed 0" in second and "Cannot assign" not in second
    assert "(signal)" in second and "(pressure)" not in second
    assert "neutralized 240" in second
    assert second.splitlines()[-1].startswith("Held: all 240 requests succeeded")
