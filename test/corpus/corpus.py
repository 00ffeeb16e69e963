"""How a case of the corpus is run: its server, its program under the library, and reports by `sockleak report PID` until
the condition holds that all cases of its kind share. Options and waits are the same for all."""

import concurrent.futures
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shlex

import cases
import cli
import harness
import servers

# The defaults, thirty times as fast, for all alike.
DEADLINE_MS, DEADLINE_IN_MS = 2000, 20_000
OPTIONS = {name: None for name in ("report", "json", "interval", "detail", "dir")}
OPTIONS |= {"deadline": f"{DEADLINE_MS}ms", "deadline_in": f"{DEADLINE_IN_MS}ms"}
ENOUGH_STUCK = 20
# How long the oldest must have been there: till there is no doubt that it is a leak. Inbound a client may wait for an answer.
SHOWN_OUT_MS, SHOWN_IN_MS = 9 * DEADLINE_MS, 9 * DEADLINE_IN_MS // 4
SOAKED_MS = 10 * DEADLINE_MS  # how long an innocent program without rounds is watched
ROUNDS = 4
PATIENCE_S = 120
EVERY_S = 0.25  # between two reports
AT_ONCE = 3 * (os.cpu_count() or 1)
PYTHON = "/usr/bin/python3"  # the system's, which has the packages
JARS = (cases.HERE / "jars").read_text().split()


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What the report says of the process, of its worst site, and of all that have something stuck."""

    process: str
    verdict: str
    blames: tuple
    causes: tuple
    readers: tuple  # that met the ends of file which were ignored
    deaths: tuple
    owners: tuple
    peers: tuple
    threads: tuple
    idle_ms: int | None  # of the worst peer
    lead: dict  # the labelled lines of the text, by their labels
    accused: str  # by what report of the case somebody was first called LEAK


class Runs:
    """All cases, a few at a time; those that take long are begun first."""

    def __init__(self, chosen, directory):
        self.directory = directory
        self.servers = servers.Servers(directory)
        self.programs = []
        self.pool = concurrent.futures.ThreadPoolExecutor(AT_ONCE)
        takes_long = lambda case: bool(case.client) + bool(case.rounds)
        ordered = sorted(chosen, key=takes_long, reverse=True)
        self.futures = {case.name: self.pool.submit(self._run, case) for case in ordered}

    def outcome(self, case):
        return self.futures[case.name].result()

    def close(self):
        """Cases that still run fail at once: their programs are gone."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        for program in list(self.programs):
            program.kill()
        self.pool.shutdown()
        self.servers.close()

    def _run(self, case):
        for kind in servers.STARTS:
            if kind in case.server:
                self.servers.need(kind)
        port = 9000 + cases.CASES.index(case)
        words = {**cases.WORDS, "port": port}
        arguments = shlex.split(case.arguments.format(**words))
        with contextlib.ExitStack() as stack:
            program = harness.start([*command(case), *arguments], self.directory / case.name, options=OPTIONS,
                                    network=self.servers.network)
            stack.callback(program.kill)
            self.programs.append(program)
            if case.client:
                wait = lambda: f":{port} " in self.servers.network.run("ss", "-tlnH") or not program.is_alive()
                harness.wait_until(wait, "the program to listen")
                client = harness.start(["sh", "-c", repeated(case.client.format(**words))],
                                       self.directory / f"{case.name}-client", network=self.servers.network, library=False)
                stack.callback(client.kill)
            watch = Watch(case, program, self.servers.network)
            snapshot = watch.leak() if case.is_guilty else watch.rounds() if case.rounds else watch.soak()
        path = cli.write(self.directory / f"{case.name}.json", json.dumps(snapshot))
        return outcome(snapshot, cli.output("report", "--short", path), watch.accused)


def repeated(script):
    """The script 600 times, 10 times a second at most: it ends by itself if nobody does it."""
    return f"for i in $(seq 600); do {script}\nsleep 0.1; done"


def command(case):
    kind = pathlib.Path(case.source).suffix
    if kind == ".java":
        jars = [f"/usr/share/java/{name}.jar" for name in JARS]
        path = ":".join([str(harness.BUILD / "corpus" / "java"), *jars])
        return [harness.need_tool("java"), "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", path, case.path.stem]
    if kind in (".c", ".cc"):
        return [harness.BUILD / "corpus" / case.path.stem]
    return [PYTHON if kind == ".py" else harness.need_tool("node"), case.path]


class Watch:
    """Reports on one program."""

    def __init__(self, case, program, network):
        self.case = case
        self.program = program
        self.network = network
        self.accused = ""

    def report(self):
        assert self.program.is_alive(), (self.program.popen.returncode, self.program.stderr())
        # In there: from outside a user namespace its processes are somebody else's.
        snapshot = cli.parsed("report", self.program.pid, wrap=self.network.prefix())
        guilty = [site["blame"] for site in snapshot["sites"] or () if site["verdict"] == "leak"]
        if (snapshot["verdict"] == "LEAK" or guilty) and not self.accused:
            self.accused = f"{snapshot['verdict']} after {snapshot['process']['uptime_ms']} ms: {guilty}"
        return snapshot

    def until(self, condition, what):
        seen = [{}]

        def look():
            seen[0] = self.report()
            return seen[0]["mode"] == "preload" and condition(seen[0])  # before it has begun there is no library in it

        said = lambda: f"{what}; totals: {seen[0].get('totals')}; stderr: {self.program.stderr()}"
        harness.wait_until(look, said, PATIENCE_S, EVERY_S)
        return seen[0]

    def leak(self):
        def is_shown(snapshot):
            totals, worst = snapshot["totals"], snapshot["sites"][0] if snapshot["sites"] else None
            if totals["stuck"] < ENOUGH_STUCK:
                return False
            return totals["oldest_stuck_ms"] >= (SHOWN_IN_MS if worst["direction"] == "in" else SHOWN_OUT_MS)

        return self.until(is_shown, f"{ENOUGH_STUCK} to be stuck, the oldest long enough")

    def soak(self):
        return self.until(lambda s: s["process"]["uptime_ms"] >= SOAKED_MS, "a while")

    def rounds(self):
        """A pool's round uses what the one before has left; after each, all of it is stuck. A batch is opened, held and closed;
        of it the first is judged: later ones have a habit."""
        count = self.case.rounds
        reports = []
        for _ in range(ROUNDS):
            self.turn()
            reports.append(self.until(lambda s: s["totals"]["stuck"] >= count, f"{count} to be stuck"))
            if self.case.is_batch:
                self.turn()
                self.until(lambda s: s["totals"]["open"] == 0, "the end of the batch")
        return reports[0 if self.case.is_batch else -1]

    def turn(self):
        self.program.ask("")


def outcome(snapshot, text, accused):
    harness.check_snapshot(snapshot)
    sites, peers = snapshot["sites"], snapshot["peers"]
    # A stack that could not be had is said to be none: one in twenty, at most.
    without = sum(site["stuck"] for site in sites if not site["frames"])
    stuck = [site for site in sites if site["stuck"] and (site["frames"] or 20 * without > snapshot["totals"]["stuck"])]
    by_id = {site["id"]: site for site in sites}
    distinct = lambda values: tuple(dict.fromkeys(values))
    # Those that are not stuck may have been closed a moment ago, and not been read yet: what they have come to is not known.
    young = lambda site: sum(site["causes"].values()) - site["stuck"]
    return Outcome(
        process=snapshot["verdict"],
        verdict=sites[0]["verdict"] if sites else "ok",
        blames=distinct(site["blame"] for site in stuck),
        causes=distinct(cause for site in stuck for cause, count in site["causes"].items() if count > young(site)),
        readers=distinct(by_id[site["eof_site"]]["blame"] for site in stuck if site["eof_site"] is not None),
        deaths=distinct(death for site in stuck for death, count in site["deaths"].items() if count),
        owners=distinct(site.get("owner") for site in stuck),
        peers=distinct(site.get("peer") for site in stuck),
        threads=distinct(name for site in stuck for name in site["threads"]),
        idle_ms=peers[0]["idle_before_fin_ms_p50"] if peers else None,
        lead=dict(re.findall(r"^([A-Z]+(?: [A-Z]+)?) {2,}(.*)$", text, re.MULTILINE)),
        accused=accused,
    )
