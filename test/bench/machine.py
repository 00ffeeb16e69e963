"""What it was measured on."""

import os
import pathlib
import platform
import re
import shutil
import subprocess

import rig


def first_line(*words):
    if shutil.which(words[0]) is None:
        return "not there"
    done = subprocess.run(words, capture_output=True, text=True, timeout=rig.PATIENCE_S)
    return ((done.stdout or done.stderr).splitlines() or ["?"])[0].strip()


def load():
    return [round(value, 2) for value in os.getloadavg()]


def describe():
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", cpuinfo, re.MULTILINE)
    system = re.search(r'^PRETTY_NAME="(.*)"$', pathlib.Path("/etc/os-release").read_text(), re.MULTILINE)
    memory = re.search(r"^MemTotal: +(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.MULTILINE)
    return {
        "processor": model.group(1) if model else platform.machine(),
        "cpus": len(rig.CPUS),
        "is_virtual": bool(re.search(r"^flags.*\bhypervisor\b", cpuinfo, re.MULTILINE)),
        "memory_gib": round(int(memory.group(1)) / 2**20, 1),
        "kernel": platform.release(),
        "system": system.group(1) if system else "?",
        "libc": " ".join(platform.libc_ver()),
        "compiler": first_line(os.environ.get("CC", "cc"), "--version"),
        "java": first_line("java", "-version"),
        "revision": first_line("git", "-C", str(rig.ROOT), "describe", "--always", "--dirty"),
    }
