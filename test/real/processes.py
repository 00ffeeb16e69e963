"""What /proc tells of running programs."""

import contextlib
import os
import pathlib


def is_there(pid):
    """Neither gone nor a zombie."""
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def command_line(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def children_of(pid):
    """Those that its first thread made."""
    with contextlib.suppress(OSError):
        return [int(word) for word in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def program(pid):
    """Which program it runs, and where that lies: another once it has begun anew. None while it is being started, or has ended."""
    with contextlib.suppress(OSError):
        maps = pathlib.Path(f"/proc/{pid}/maps").read_text()
        if "/libc.so.6" in maps and command_line(pid):
            return os.readlink(f"/proc/{pid}/exe"), maps.split("-", 1)[0]
    return None


def age_s(pid):
    """Since it was started; 0: it is not there."""
    with contextlib.suppress(OSError):
        ticks = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
        up_s = float(pathlib.Path("/proc/uptime").read_text().split()[0])
        return up_s - ticks / os.sysconf("SC_CLK_TCK")
    return 0
