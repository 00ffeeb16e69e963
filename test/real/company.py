"""Somebody who attaches to running programs and detaches again, for as long as they have work to do."""

import collections
import json
import statistics
import subprocess
import threading
import time

import harness
import processes

COMMAND = str(harness.BUILD / "sockleak")
FINE, NO_PROCESS = 0, 3
LOOK_S = 0.02
# Between two visits of one process: a visit begins an epoll_wait() anew, with all of its timeout, and clocks of a second must come to their end.
PAUSE_S = 1.2
FIRST_VISIT_S = 60
GROWN_UP_S = 1.0  # a Java VM that has just begun cannot be asked yet


class Company(threading.Thread):
    """Goes round among the programs that it is given, and among what they have started."""

    def __init__(self):
        super().__init__(daemon=True)
        self.began = time.monotonic()
        self.is_over = threading.Event()
        self.programs = []
        self.left_at = {}
        self.held_us = collections.defaultdict(list)  # by the name of the program
        self.attached = 0
        self.put_off = []
        self.wrong = []

    def run(self):
        while not self.is_over.is_set():
            for program in list(self.programs):
                for pid in [program.pid, *descendants(program.pid)]:
                    if self.is_time_for(pid) and not self.is_over.is_set():
                        self.visit(pid)
                        self.left_at[pid] = time.monotonic()
            time.sleep(LOOK_S)

    def is_time_for(self, pid):
        if time.monotonic() - self.left_at.get(pid, 0) < PAUSE_S:
            return False
        found = processes.program(pid)
        return found and (not found[0].endswith("/java") or processes.age_s(pid) > GROWN_UP_S)

    def say(self, *words):
        """None: the process has ended meanwhile, or become another program."""
        pid = int(words[-1])
        before = processes.program(pid)
        done = subprocess.run([COMMAND, *words], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode == FINE:
            return done.stdout
        # Nothing was done: no thread was at a safe point, as in a server that was in a handler a moment ago.
        if "this may be tried again" in done.stderr:
            self.put_off.append(done.stderr)
            return None
        if done.returncode != NO_PROCESS and before and processes.program(pid) == before:
            self.wrong.append((words, done.returncode, done.stderr, processes.command_line(pid)))
        return None

    def visit(self, pid):
        text = self.say("attach", "--json", str(pid))
        if text is None:
            return
        answer = json.loads(text)
        if answer["held_us"] is not None:
            self.held_us[answer["name"].split()[0]].append(answer["held_us"])
        self.attached += 1
        self.say("detach", str(pid))

    def may_yet_come(self):
        """Nothing was attached to yet, though all went well and the time is not over."""
        return not self.attached and not self.wrong and time.monotonic() - self.began < FIRST_VISIT_S

    def leave(self):
        """All of it went well, and often enough."""
        self.is_over.set()
        self.join(120)
        assert not self.wrong, self.wrong[:3]
        return self.attached

    def times(self):
        """{name: (how often, median, worst)} of the time that a thread was held, in ms."""
        return {
            name: (len(held), statistics.median(held) / 1000, max(held) / 1000)
            for name, held in self.held_us.items()
        }


def descendants(pid):
    found = processes.children_of(pid)
    for child in found:
        found += descendants(child)
    return found
