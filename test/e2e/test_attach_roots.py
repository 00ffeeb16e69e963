"""Attach to Java VMs that see another file system than the command does: the library is copied to where they see it, and taken away
again. With a stand-in for the library."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import tempfile

import attach
import cli
import harness
import pytest
import services

OPTIONS = "control=off"
COPY = r"{}/libsockleak\.so\.\d+"

# A root of its own: the system's programs, and folders that are empty. ROOT, then how it becomes the root, then the command.
MAKE_ROOT = """
set -e
root=$1; enter=$2; shift 2
[ $enter = chroot ] || mount --bind "$root" "$root"
mkdir -p "$root"/usr "$root"/etc "$root"/proc "$root"/tmp "$root"/var/tmp "$root"/dev/shm "$root"/run "$root"/app "$root"/old
for name in bin lib lib64; do ln -sfn usr/$name "$root"/$name; done
mount --bind /usr "$root"/usr
mount --bind /etc "$root"/etc
mount --bind "$APP" "$root"/app
for name in null zero random urandom; do touch "$root"/dev/$name; mount --bind /dev/$name "$root"/dev/$name; done
mount -t proc proc "$root"/proc 2>/dev/null || mount --rbind /proc "$root"/proc
for place in $PLACES; do mount -t tmpfs -o mode=1777,${place#*:} none "$root"${place%%:*}; done
[ -z "$LINK" ] || { rmdir "$root"/tmp && ln -s "$LINK" "$root"/tmp; }
if [ $enter = pivot ]; then
    cd "$root"; pivot_root . old; cd /; umount -l old; exec "$@"
fi
exec chroot "$root" "$@"
"""
ALL_PLACES = ("/tmp", "/var/tmp", "/dev/shm", "/run")


class Rooted:
    """A JVM in a root of its own."""

    def __init__(self, start, root, enter, *, wrap=("unshare", "-m"), places=None, link="", prefix=()):
        harness.need_tool("unshare")
        java = os.path.realpath(harness.need_tool("java"))
        self.root = pathlib.Path(root)
        self.root.mkdir(parents=True, exist_ok=True)
        path = ":".join(["/app", *(f"/usr/share/java/{name}.jar" for name in services.JARS)])
        argv = [java, "-cp", path, "LeakyClient", "http://127.0.0.1:1/", "0", "0", "clean"]
        env = {"APP": str(harness.BUILD / "java"), "LINK": link,
               "PLACES": " ".join(f"{place}:{flags}" for place, flags in (places or {}).items())}
        script = ["sh", "-c", MAKE_ROOT, "sh", self.root, enter]
        self.program = start(argv, library=False, wrap=[*wrap, *map(str, script), *prefix], env=env, cwd="/")
        first = self.program.line()
        if first is None and "ermitted" in self.program.stderr():
            raise harness.Forbidden(f"a root of its own: {self.program.stderr().strip()}")
        assert first == "done 0 failed 0", self.program.stderr()
        self.pid = self._java_pid(self.program.pid)

    def _java_pid(self, pid):
        """It, or the child that it waits for."""
        while pathlib.Path(f"/proc/{pid}/comm").read_text().strip() != "java":
            (pid,) = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(pid)

    def left_behind(self):
        found = []
        for place in ALL_PLACES:
            with os.scandir(f"/proc/{self.pid}/root{place}") as entries:
                found += [e.path for e in entries if e.name.startswith((".attach_pid", "libsockleak.so"))]
        return found


def attach_to(kit, rooted, place="/tmp"):
    """The copy that was loaded and is gone."""
    found = harness.json.loads(kit.attach(rooted.pid, "-o", OPTIONS, "--json"))
    assert found["copied"] and re.fullmatch(COPY.format(place), found["library"]), found
    assert rooted.left_behind() == []
    return found["library"]


@pytest.fixture
def kit(tmp_path):
    return attach.Kit(tmp_path / "kit")


@pytest.mark.parametrize("enter", ["chroot", "pivot"])
@pytest.mark.parametrize("wrap", [("unshare", "-m"), ("unshare", "-mpf", "--kill-child")], ids=["same_pids", "own_pids"])
def test_a_root_that_does_not_show_the_library(start, kit, tmp_path, enter, wrap):
    rooted = Rooted(start, tmp_path / "root", enter, wrap=wrap)
    library = attach_to(kit, rooted)
    # Once more: the loader knows it by that path, though the file is gone.
    again = harness.json.loads(kit.attach(rooted.pid, "-o", OPTIONS, "--json"))
    assert (again["library"], again["copied"]) == (library, False)
    assert attach.calls(rooted.program) == [f"vm: [{OPTIONS}]"] * 2
    maps = pathlib.Path(f"/proc/{rooted.pid}/maps").read_text()
    assert len({line.split(maxsplit=5)[5] for line in maps.splitlines() if "libsockleak.so" in line}) == 1
    # And another build is known as another, though there is no file to compare.
    other = attach.Kit(tmp_path / "other", library=harness.LIBRARY)
    assert "another libsockleak.so" in other.refusal("attach", rooted.pid, code=cli.NO_LIBRARY)


def test_a_user_namespace(start, kit, tmp_path):
    harness.can_mount()
    rooted = Rooted(start, tmp_path / "root", "pivot", wrap=("unshare", "-rmpf", "--kill-child"))
    attach_to(kit, rooted)
    assert attach.calls(rooted.program) == [f"vm: [{OPTIONS}]"]


def test_a_user_namespace_whose_ids_are_others(start, kit):
    """A rootless container: its root is a plain user here."""
    other = harness.OtherUser()
    try:
        root = other.directory / "root"
        root.mkdir()
        os.chown(root, other.uid, other.uid)
        rooted = Rooted(start, root, "pivot", wrap=(*other.prefix(), "unshare", "-rmpf", "--kill-child"))
        assert os.stat(f"/proc/{rooted.pid}").st_uid == other.uid
        attach_to(kit, rooted)
        assert attach.calls(rooted.program) == [f"vm: [{OPTIONS}]"]
    finally:
        other.close()


def test_folders_that_do_not_run_programs(start, kit, tmp_path):
    rooted = Rooted(start, tmp_path / "root", "pivot", places={"/tmp": "noexec", "/var/tmp": "ro", "/dev/shm": "exec"})
    attach_to(kit, rooted, place="/dev/shm")
    assert len(attach.calls(rooted.program)) == 1


def test_no_folder_takes_it(start, kit, tmp_path):
    rooted = Rooted(start, tmp_path / "root", "pivot", places={"/tmp": "noexec", "/var/tmp": "noexec", "/dev/shm": "noexec",
                                                               "/run": "ro"})
    line = kit.refusal("attach", rooted.pid, code=cli.DENIED)
    assert "does not see" in line and "/dev/shm" in line
    assert rooted.left_behind() == [] and attach.calls(rooted.program) == []


def test_no_link_leads_out_of_its_root(start, kit, tmp_path):
    """Its /tmp is a link to a folder that exists in our root as well: nothing is looked for or put there."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as outside:
        (tmp_path / "root" / outside.lstrip("/")).mkdir(parents=True)
        rooted = Rooted(start, tmp_path / "root", "chroot", link=outside)
        attach_to(kit, rooted, place="/var/tmp")
        assert os.listdir(outside) == []
    assert len(attach.calls(rooted.program)) == 1


def test_a_library_that_its_user_cannot_read(start, tmp_path):
    other = harness.OtherUser()
    try:
        kit = attach.Kit(tmp_path / "kit")
        kit.library.chmod(0o700)
        rooted = Rooted(start, other.directory / "root", "pivot", places={"/tmp": "exec"}, prefix=other.prefix())
        attach_to(kit, rooted)
        assert attach.calls(rooted.program) == [f"vm: [{OPTIONS}]"]
    finally:
        other.close()


def test_a_library_that_only_a_group_of_ours_can_read(start):
    """As in /root of mode 0750: what root's further groups open is shut for the process."""
    other = harness.OtherUser()
    try:
        kit = attach.Kit(other.directory / "kit")
        kit.directory.chmod(0o750)
        program = start([other.copy(harness.victim("sleeper"))], library=False, wrap=other.prefix())
        program.ready()
        groups = [harness.need_tool("setpriv"), "--groups=0"]
        found = harness.json.loads(kit.attach(program.pid, "-o", OPTIONS, "--json", wrap=groups))
        assert found["copied"] and attach.calls(program) != []
        assert attach.left_behind(program) == []
    finally:
        other.close()


def copies():
    """What lies in a place where anybody may: {path: (owner, mode)}"""
    found = {}
    for path in pathlib.Path("/tmp").glob("libsockleak.so.*"):
        with contextlib.suppress(FileNotFoundError):
            info = path.stat()
            found[path] = (info.st_uid, info.st_mode & 0o7777)
    return found


def test_its_user_cannot_change_the_copy(start, tmp_path):
    """A process may have more rights than its user: what it loads must not be its user's to write."""
    other = harness.OtherUser()
    try:
        kit = attach.Kit(tmp_path / "kit")
        kit.library.chmod(0o700)
        # No point is safe for as long as its handler runs: the copy lies there for some seconds.
        program = start([other.copy(harness.victim("inject_victim")), "handler"], library=False, wrap=other.prefix())
        program.ready()
        assert program.line() == "in"
        before = copies()
        command = subprocess.Popen([kit.command, "attach", str(program.pid)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        new = lambda: [seen for path, seen in copies().items() if path not in before and seen[1] != 0o600]
        harness.wait_until(new, "a copy")
        assert new() == [(0, 0o555)]
        os.kill(program.pid, signal.SIGUSR1)
        assert program.line() == "out"
        out, err = command.communicate(timeout=harness.PATIENCE_S)
        assert command.returncode == 0, (out, err)
        assert new() == [] and attach.calls(program) != []
    finally:
        other.close()


@pytest.mark.parametrize("wrap", [("unshare", "-mpf", "--kill-child"), ("unshare", "-rmpf", "--kill-child")],
                         ids=["root", "user_namespace"])
def test_the_library_itself_in_a_container(start, tmp_path, wrap):
    """Attached to from the host, asked, detached, and attached to again, each time by the object that is there."""
    rooted = Rooted(start, tmp_path / "root", "pivot", wrap=wrap)
    libraries = set()
    for deadline in ("7s", "8s"):
        found = cli.parsed("attach", "-o", f"deadline={deadline}", rooted.pid)
        assert (found["result"], found["answers"]) == ("attached", True)
        libraries.add(found["library"])
        snapshot = cli.parsed("report", rooted.pid)
        assert (snapshot["mode"], snapshot["options"]["deadline"]) == ("attach", deadline)
        assert rooted.left_behind() == []
        row = next(row for row in cli.parsed("doctor", rooted.pid) if row["check"] == "instrumented")
        assert re.search(r"libsockleak\.so\.\d+ \(deleted\)$", row["detail"]), row
        assert cli.parsed("detach", rooted.pid)["entries"] > 0
    assert len(libraries) == 1 and re.fullmatch(COPY.format("/tmp"), libraries.pop())
    assert rooted.program.end() == 0
