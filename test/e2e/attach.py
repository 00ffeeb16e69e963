"""Processes that were started without the library, and the command beside a stand-in for it."""

import os
import pathlib
import re
import shutil
import subprocess

import cli
import harness
import services

STAND_IN = harness.BUILD / "victims" / "so_agent.so"


def javas():
    """The JVMs of this machine: {major version: path of java}."""
    found = {}
    homes = [pathlib.Path("/usr/bin/java"), *sorted(pathlib.Path("/usr/lib/jvm").glob("*/bin/java"))]
    for java in homes:
        release = java.resolve().parents[1] / "release" if java.exists() else None
        text = release.read_text() if release and release.exists() else ""
        version = re.search(r'JAVA_VERSION="(?:1\.)?(\d+)', text)
        if version:
            found.setdefault(int(version.group(1)), str(java))
    return found


JAVAS = javas()


def java_of(major):
    if major not in JAVAS:
        raise harness.Forbidden(f"a JDK {major}")
    return JAVAS[major]


def start_java(start, *options, java=None, **more):
    """A JVM without the library that has opened nothing and waits for the end of its input."""
    words = services.java("LeakyClient", "http://127.0.0.1:1/", 0, 0, "clean")
    program = start([java or words[0], *options, *words[1:]], library=False, **more)
    assert program.line() == "done 0 failed 0", program.stderr()
    return program


class Kit:
    """The command, and beside it what it takes for the library: a stand-in that only says that it was called."""

    def __init__(self, directory, library=STAND_IN):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.command = self.directory / "sockleak"
        self.library = self.directory / "libsockleak.so"
        shutil.copy(cli.SOCKLEAK, self.command)
        shutil.copy(library, self.library)
        for path in (self.command, self.library):
            path.chmod(0o755)

    def run(self, *words, code=0, wrap=(), env=None):
        done = subprocess.run([*map(str, wrap), self.command, *map(str, words)], capture_output=True, text=True,
                              check=False, timeout=2 * harness.PATIENCE_S, env={**os.environ, **(env or {})})
        assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
        return done

    def attach(self, pid, *words, **more):
        """It must work; what it says on stdout."""
        return self.run("attach", *words, pid, **more).stdout

    def refusal(self, *words, code, **more):
        done = self.run(*words, code=code, **more)
        lines = done.stderr.splitlines()
        assert done.stdout == "" and len(lines) == 1 and lines[0].startswith("sockleak: "), (done.stdout, done.stderr)
        return lines[0]


def calls(program):
    """How the stand-in was called: ["vm: [deadline=30s]"]."""
    return re.findall(r"^agent by (.*)$", program.stderr(), re.MULTILINE)


def left_behind(program, root="/"):
    """What an attempt has left in the folders of the process."""
    folders = [os.path.join(root, "tmp"), os.path.join(root, "var/tmp"), os.path.join(root, "dev/shm"),
               os.path.join(root, "run"), f"/proc/{program.pid}/cwd"]
    names = [name for folder in folders if os.path.isdir(folder) for name in os.listdir(folder)]
    return [name for name in names if name.startswith((f".attach_pid{program.pid}", "libsockleak.so"))]
