"""A real terminal, tmux, with one command in it: keys in, what stands on the screen out."""

import os
import pathlib
import shlex
import shutil
import subprocess
import tempfile

import harness


class Terminal:
    """The command runs in a shell that prints BEFORE, then `EXIT code` and the terminal's settings, and stays."""

    def __init__(self, argv, *, columns=80, rows=24, cwd="/", env=None):
        self.tmux = harness.need_tool("tmux")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sl-tmux-"))  # a short path: of a socket
        words = " ".join(shlex.quote(str(word)) for word in argv)
        settings = " ".join(f"{key}={shlex.quote(value)}" for key, value in (env or {}).items())
        script = f"echo BEFORE; {settings} {words}; echo EXIT $?; stty -a; exec sleep 1000"
        try:
            self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), "-c", str(cwd),
                       f"exec sh -c {shlex.quote(script)}")
        except subprocess.SubprocessError:
            self.close()
            raise

    def _tmux(self, *words):
        env = {**os.environ, "LC_ALL": "C.UTF-8"}
        done = subprocess.run([self.tmux, "-S", self.folder / "s", *words], capture_output=True, text=True, check=True,
                              timeout=harness.PATIENCE_S, env=env)
        return done.stdout

    def screen(self):
        return self._tmux("capture-pane", "-p")

    def until(self, *needles, absent=()):
        """Wait until the screen shows all of these, and none of those; its lines."""

        def look():
            text = self.screen()
            return all(n in text for n in needles) and not any(n in text for n in absent) and text

        return harness.wait_until(look, lambda: f"{needles} without {absent}:\n{self.screen()}").splitlines()

    def keys(self, *names):
        """As tmux names them: Enter, Down, PPage, C-u, letters."""
        self._tmux("send-keys", *names)

    def type(self, text):
        self._tmux("send-keys", "-l", text)

    def resize(self, columns, rows):
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def pid(self):
        """Of the command."""
        shell = self._tmux("display-message", "-p", "#{pane_pid}").strip()
        children = pathlib.Path(f"/proc/{shell}/task/{shell}/children")
        return int(harness.wait_until(lambda: children.read_text().split(), "the command")[0])

    def restored(self, code):
        """The command has ended with this code, and the terminal is as it was before."""
        lines = self.until("BEFORE", f"EXIT {code}", "isig")
        settings = " ".join(lines)
        assert " echo " in settings and " icanon " in settings, lines
        assert self._tmux("display-message", "-p", "#{alternate_on} #{cursor_flag}").split() == ["0", "1"]
        return lines

    def close(self):
        subprocess.run([self.tmux, "-S", self.folder / "s", "kill-server"], capture_output=True, check=False,
                       timeout=harness.PATIENCE_S)
        shutil.rmtree(self.folder, ignore_errors=True)
