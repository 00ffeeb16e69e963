"""How much stack the hooks take: never more than is promised, however deep the program is and however much of it is kept.

`for d in 1 64 256; do for f in 1 64 256; do LD_PRELOAD=build/libsockleak.so SOCKLEAK_OPTIONS=depth=$d
build/victims/stack_use $f; done; done` prints what docs/compatibility.md says.
"""

import re
import subprocess

import harness
import pytest

ROOM = re.search(
    r"SL_ROOM_BYTES \((\d+)u << 10\)", (harness.ROOT / "src/stack/room.h").read_text()
)
SIGNAL_BYTES = 3584  # what is left of the room for a signal that comes meanwhile: its frame with AVX-512
PLAIN_BYTES = 1024  # a hook that walks no stack
WALKING = {"socket", "accept"}


def used(frames, **environment):
    """Call -> bytes, the first time and later, of which the larger."""
    environment = [f"{name}={value}" for name, value in environment.items()]
    argv = ["env", *environment, harness.victim("stack_use"), str(frames)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    return {name: max(int(first), int(later)) for name, first, later in lines}


@pytest.mark.parametrize("frames", [1, 64, 256])
@pytest.mark.parametrize("depth", [1, 64, 256])
def test_hooks_take_little_stack(depth, frames):
    bare = used(frames)
    under = used(frames, LD_PRELOAD=harness.LIBRARY, SOCKLEAK_OPTIONS=f"depth={depth}")
    assert set(under) == set(bare) and WALKING < set(bare)
    more = {name: under[name] - bare[name] for name in bare}
    for name, n in more.items():
        assert n <= (int(ROOM[1]) * 1024 - SIGNAL_BYTES if name in WALKING else PLAIN_BYTES), more
    assert more["socket"] > PLAIN_BYTES, "no stack was walked"
