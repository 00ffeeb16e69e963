"""An nginx with master and workers, for the tests of nginx itself and of its clients."""

import contextlib
import pathlib
import random
import re

import harness
import real

PLACE = "127.0.0.1:8080"
TLS = """
    server {
        listen 127.0.0.1:8443 ssl;
        ssl_certificate @DIR@/certificate.pem;
        ssl_certificate_key @DIR@/key.pem;
    }
"""


class Nginx:
    """The program, its files, and its master, which is another after a binary upgrade."""

    def __init__(self, scene, *, daemon="off", more="", **start):
        self.scene = scene
        self.directory = scene.directory / "nginx"
        (self.directory / "files").mkdir(parents=True)
        if more == TLS:
            make_certificate(self.directory)
        self.configure("first", daemon, more)
        argv = [harness.need_tool("nginx"), "-p", self.directory, "-e", self.directory / "error.log"]
        self.program = scene.start([*argv, "-c", self.directory / "nginx.conf"], **start)
        scene.stack.callback(self.kill)
        harness.wait_until(self.is_up, lambda: f"nginx; {self.program.stderr()}; {self.log()}")

    def is_up(self):
        assert self.program.popen.poll() in (None, 0), self.program.stderr()
        return self.pid() and len(self.workers()) == 2 and PLACE in self.scene.network.run("ss", "-tlnH")

    def kill(self):
        """What is still there: it may be no child of ours."""
        pid = self.pid()
        if pid and str(self.directory) in real.command_line(pid):
            for one in (pid, *self.workers(pid)):
                real.kill(one)

    def configure(self, word, daemon="off", more=""):
        """`word` is what /word answers."""
        text = (real.HERE / "nginx.conf.in").read_text().replace("@MORE@", more)
        for name, value in (("DIR", self.directory), ("WORD", word), ("DAEMON", daemon)):
            text = text.replace(f"@{name}@", str(value))
        (self.directory / "nginx.conf").write_text(text)

    def file(self, name, size):
        """A file that it serves; its checksum."""
        data = random.Random(name).randbytes(size)
        path = self.directory / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return real.sha256(data)

    def pid(self, name="nginx.pid"):
        with contextlib.suppress(FileNotFoundError):
            return int((self.directory / name).read_text() or 0)
        return 0

    def workers(self, pid=None):
        return real.children_of(pid or self.pid())

    def log(self):
        path = self.directory / "error.log"
        return path.read_text() if path.exists() else ""

    def log_kinds(self):
        """What the error log says, but for how many did so. SIGIO and SIGALRM are its own, now and then."""
        log = re.sub(r"^\S+ \S+ (\[.*?\]) [0-9#]+: ", r"\1 ", self.log().replace(str(self.directory), ""), flags=re.M)
        return real.kinds_of_lines(log, r"^\[(?!.*SIG(IO|ALRM))", r"(?<=process )\d+|(?<=from )\d+|\*\d+")


def make_certificate(directory):
    """A self-made one, for localhost and 127.0.0.1."""
    directory = pathlib.Path(directory)
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext".split()
    words += ["subjectAltName=DNS:localhost,IP:127.0.0.1"]
    words += ["-keyout", directory / "key.pem", "-out", directory / "certificate.pem"]
    harness.subprocess.run([harness.need_tool("openssl"), *words], check=True, capture_output=True, timeout=60)
