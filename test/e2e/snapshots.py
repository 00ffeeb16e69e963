"""Snapshots made up for the tests of the command: the incident at any size, and hostile names.

Every sum over sites, peers, states and sockets is right, as in one that the library writes.
"""

import collections
import copy
import datetime
import json
import os
import random
import subprocess

import cli
import harness

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\">'\"&amp;--><!-- ]]>`${1}` \u202e"

JAVA_STACK = [
    ("runtime", "sun.nio.ch.Net", "connect0", None, None),
    ("runtime", "sun.nio.ch.NioSocketImpl", "connect", "NioSocketImpl.java", 592),
    ("runtime", "java.net.SocksSocketImpl", "connect", "SocksSocketImpl.java", 327),
    ("runtime", "java.net.Socket", "connect", "Socket.java", 633),
    ("library", "org.apache.http.conn.socket.PlainConnectionSocketFactory", "connectSocket",
     "PlainConnectionSocketFactory.java", 75),
    ("library", "org.apache.http.impl.conn.DefaultHttpClientConnectionOperator", "connect",
     "DefaultHttpClientConnectionOperator.java", 142),
    ("library", "org.apache.http.impl.execchain.MainClientExec", "establishRoute", "MainClientExec.java", 401),
    ("library", "org.apache.http.impl.client.CloseableHttpClient", "execute", "CloseableHttpClient.java", 108),
]
TOP_OF_STACK = [
    ("application", "com.acme.scribe.Worker", "run", "Worker.java", 48),
    ("runtime", "java.util.concurrent.ThreadPoolExecutor", "runWorker", "ThreadPoolExecutor.java", 1136),
    ("runtime", "java.lang.Thread", "run", "Thread.java", 840),
]
# class, method, line, share of the connections, how many of them are in CLOSE_WAIT, peer
CULPRITS = [
    ("com.acme.scribe.upload.StorageGateway", "put", 118, 0.74, 0.92, ("172.21.191.100", 8080, 15000)),
    ("com.acme.scribe.flow.FlowControl", "acquire", 77, 0.13, 0.55, ("172.21.161.12", 28769, 30000)),
    ("com.acme.scribe.upload.StorageGateway", "probe", 164, 0.06, 0.30, ("172.21.191.100", 8080, 15000)),
    ("com.acme.scribe.auth.TokenCache", "refresh", 41, 0.04, 0.05, ("10.8.0.4", 443, 60000)),
    ("com.acme.scribe.metrics.Push", "flush", 29, 0.03, 0.0, ("2001:db8::17", 4317, None)),
]


def frame(role, name, method, file, line):
    where = f"{file}:{line}" if file else "Native Method"
    return {"text": f"{name}.{method}({where})", "role": role, "class": name, "method": method, "function": None,
            "file": file, "line": line, "module": None, "build_id": None, "offset": None}


def native_frame(role, function, module, offset, build_id="51657f818beb1ae70372216a99b7412b8a100a20"):
    name = module.rpartition("/")[2]
    text = f"{function}+0x14 ({name})" if function else f"{name}+0x{offset:x}"
    return {"text": text, "role": role, "class": None, "method": None, "function": function, "file": None,
            "line": None, "module": module, "build_id": build_id, "offset": offset}


def stack_of(name, method, line):
    file = name.rpartition(".")[2] + ".java"
    return [frame(*row) for row in (*JAVA_STACK, ("application", name, method, file, line), *TOP_OF_STACK)]


def sockets_of(site, peer, n, in_close_wait, random_of):
    """n sockets of a site, the first in_close_wait of them in CLOSE_WAIT, most since long."""
    address, port, _ = peer
    shown = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    for i in range(n):
        age = int(1000 + 7_200_000 * random_of.random() ** 1.5)
        is_waiting = i < in_close_wait
        quiet = age if is_waiting else None
        yield {"fd": 0, "cookie": "0", "direction": "out", "state": "CLOSE_WAIT" if is_waiting else "ESTABLISHED",
               "local": f"172.21.0.9:{32768 + i % 28000}", "peer": shown, "site": site, "age_ms": age + 15000,
               "close_wait_ms": quiet, "quiet_ms": quiet, "cause": "never-looked" if is_waiting else None,
               "unread_bytes": 0 if is_waiting else None, "unsent_bytes": 0 if is_waiting else None,
               "eof_seen": False, "eof_site": None, "thread": f"upload-{i % 8 + 1}", "shared": False, "name": None,
               "intended": False, "rung": None}


def is_stuck(socket):
    return socket["state"] == "CLOSE_WAIT" and socket["quiet_ms"] >= 60000


def by_worst(rows):
    return sorted(rows, key=lambda row: (-row["stuck"], -row["close_wait"], -row["open"]))


def site_of(number, culprit, sockets):
    name, method, line, _, _, _ = culprit
    frames = stack_of(name, method, line)
    waiting = [s["close_wait_ms"] for s in sockets if s["state"] == "CLOSE_WAIT"]
    stuck = sum(map(is_stuck, sockets))
    causes = dict.fromkeys(("eof-ignored", "never-looked", "unread-data", "dead-but-open"), 0)
    causes["never-looked"] = len(waiting)
    blame = frames[len(JAVA_STACK)]
    return {"id": number, "kind": "java", "direction": "out",
            "verdict": "leak" if stuck >= 10 else "unknown" if stuck or len(waiting) >= 10 else "ok",
            "blame": blame["text"], "blame_where": f"{blame['file']}:{line}", "blame_frame": len(JAVA_STACK),
            "owner": None, "peer": f"{culprit[5][0]}:{culprit[5][1]}",
            "opened": len(sockets) * 9 // 8, "closed": len(sockets) // 8, "open": len(sockets),
            "close_wait": len(waiting), "stuck": stuck, "retracted": 0, "regretted": 0, "reclaimed": 0,
            "intended": 0, "name": None,
            "oldest_close_wait_ms": max(waiting, default=None), "causes": causes, "piled": max(stuck - 1, 0),
            "growth_per_min": len(waiting) // 120, "open_growth_per_min": len(waiting) // 120, "half_life_ms": None,
            "late_ms_p50": None,
            "threads": [f"upload-{i}" for i in range(1, 9)], "thread_count": 24, "frames": frames,
            "frames_cut": False}


def peer_of(peer, sockets):
    address, port, idle = peer
    waiting = sum(s["state"] == "CLOSE_WAIT" for s in sockets)
    return {"direction": "out", "address": address, "port": port, "open": len(sockets), "close_wait": waiting,
            "stuck": sum(map(is_stuck, sockets)), "established": len(sockets) - waiting,
            "growth_per_min": waiting // 120, "idle_before_fin_ms_p50": idle if waiting else None,
            "idle_before_fin_ms_p10": idle if waiting else None, "idle_before_fin_ms_p90": idle if waiting else None,
            "idle_before_fin_count": waiting,
            "ports_left": max(28232 - len(sockets), 0),
            "exhausted_in_ms": max(28232 - len(sockets), 0) * 60000 // (waiting // 120) if waiting >= 120 else None}


def incident(sockets=15000, detail=True, spread=1, check=True):
    """The incident with so many sockets; `spread` multiplies the sites, each with a line of its own; `check` holds it
    against the schema, which takes seconds for many."""
    random_of = random.Random(4711)
    culprits = [(name, method, line + copy, share / spread, waiting, peer)
                for copy in range(spread) for name, method, line, share, waiting, peer in CULPRITS]
    rows, by_site, by_peer = [], {}, collections.defaultdict(list)
    for number, culprit in enumerate(culprits, start=3):
        n = round(sockets * culprit[3])
        of_site = list(sockets_of(number, culprit[5], n, round(n * culprit[4]), random_of))
        by_site[number] = site_of(number, culprit, of_site)
        by_peer[culprit[5]] += of_site
        rows += of_site
    for at, row in enumerate(rows):
        row["fd"], row["cookie"] = at + 40, str(2**63 + at)
    waiting = sum(row["state"] == "CLOSE_WAIT" for row in rows)
    stuck = sum(map(is_stuck, rows))
    taken = datetime.datetime(2026, 11, 22, 6, 3, 7, tzinfo=datetime.timezone.utc)
    states = dict.fromkeys(("ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE",
                            "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING"), 0)
    states.update(ESTABLISHED=len(rows) - waiting, CLOSE_WAIT=waiting)
    snapshot = {
        "schema": "sockleak-snapshot/1", "version": "1.0.0", "verdict": "LEAK" if stuck >= 10 else "OK",
        "mode": "preload", "trigger": "signal", "pressure": None, "taken_at": f"{taken:%Y-%m-%dT%H:%M:%SZ}",
        "process": {"pid": 4242, "exe": "/usr/lib/jvm/java-17/bin/java", "name": "java scribe.jar",
                    "argv": ["java", "-jar", "scribe.jar"], "started_at": "2026-11-22T03:50:07Z",
                    "uptime_ms": 7_980_000, "hostname": "web-17", "runtime": "jvm"},
        "options": {"deadline": "60s", "action": "report", "detail": "1" if detail else "0"},
        "reclaim": {"action": "report", "stopped": False, "dry_run": False},
        "totals": {
            "opened": len(rows) * 9 // 8, "closed": len(rows) // 8, "open": len(rows), "close_wait": waiting,
            "stuck": stuck, "retracted": 3, "regretted": 0, "rescued": 0, "adopted": 2, "dropped": 0, "backlog": 0,
            "dead": 0, "dead_stuck": 0,
            "oldest_stuck_ms": max((row["quiet_ms"] for row in rows if is_stuck(row)), default=None),
            "began_after_ms": 480000, "growth_per_min": waiting // 115, "held_back_bytes": 0, "by_state": states,
            "by_kind": {"tcp": len(rows), "udp": 2, "unix": 3, "netlink": 0, "other": 0},
            "reclaimed": dict.fromkeys(("probed", "shutdown", "neutralized", "closed", "app_reacted",
                                        "ended_by_probe", "ended_by_keepalive", "absorbed"), 0)},
        "limits": {"nofile_soft": 100000, "nofile_used": len(rows) + 60, "fds_exhausted_in_ms": 48_600_000,
                   "port_low": 32768, "port_high": 60999},
        "peers": by_worst(peer_of(peer, of_peer) for peer, of_peer in by_peer.items()),
        "sites": by_worst(by_site.values()), "sites_cut": 0, "listeners": [],
    }
    if detail:
        snapshot["sockets"] = rows
    complete(snapshot)
    if check:
        harness.check_snapshot(snapshot)
    return snapshot


SCHEMA = json.loads(harness.SCHEMA.read_text())


def resolved(schema):
    """The schemas that a value may follow, references looked up."""
    while "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    return [part for choice in schema.get("anyOf", []) for part in resolved(choice)] or [schema]


def nothing(schemas):
    """What says the least: null where it may be."""
    types = [kind for schema in schemas for kind in (
        [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", []))]
    if "null" in types or any(None in schema.get("enum", []) for schema in schemas):
        return None
    if any("enum" in schema for schema in schemas):
        return next(schema["enum"][0] for schema in schemas if "enum" in schema)
    return {"integer": 0, "number": 0, "boolean": False, "array": [], "object": {}}.get(types[0] if types else "", "")


def complete(value, schema=None):
    """Fill in, in place, the members that the schema wants and nobody here knows of: it grows."""
    for part in resolved(schema or SCHEMA):
        if isinstance(value, dict) and "object" in part.get("type", []):
            schema_of = lambda member, of=part: of.get("properties", {}).get(member, of.get("additionalProperties"))
            for member in part.get("required", []):
                if member not in value and isinstance(schema_of(member), dict):
                    value[member] = nothing(resolved(schema_of(member)))
            for member, inner in value.items():
                if isinstance(schema_of(member), dict):
                    complete(inner, schema_of(member))
        if isinstance(value, list) and "items" in part:
            for inner in value:
                complete(inner, part["items"])
    return value


def hostile():
    """A small incident in which every string tries to leave its place; some that the library would not write."""
    snapshot = copy.deepcopy(incident(400))
    process, site = snapshot["process"], snapshot["sites"][0]
    process.update(name=HOSTILE, exe=f"/opt/{HOSTILE}", hostname=HOSTILE, argv=["java", HOSTILE, ""])
    snapshot["pressure"] = f"EADDRNOTAVAIL connecting to {HOSTILE}"
    snapshot["options"]["app"] = HOSTILE
    snapshot["options"][HOSTILE] = HOSTILE
    site.update(blame=HOSTILE, blame_where=HOSTILE, threads=[HOSTILE, "a\nb"], blame_frame=0)
    site["frames"] = [native_frame("application", HOSTILE, f"/opt/{HOSTILE}/lib;x.so", 0x1234),
                      frame("library", HOSTILE, HOSTILE, HOSTILE, 7)]
    snapshot["peers"][0]["address"] = HOSTILE
    snapshot["listeners"] = [{"local": HOSTILE, "fd": 9, "backlog": 3, "limit": 50}]
    for socket in snapshot["sockets"]:
        socket.update(thread=HOSTILE, peer=HOSTILE, local=HOSTILE)
    return snapshot


def command(*arguments, stdin=b"", code=0):
    """Run the command; its stdout. Its exit code must be this one."""
    done = subprocess.run([cli.SOCKLEAK, *map(str, arguments)], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=harness.PATIENCE_S, env={**os.environ, "TZ": "UTC"})
    assert done.returncode == code, (arguments, done.returncode, done.stderr)
    return done.stdout


def render(snapshot, form):
    """A snapshot in a format, from stdin."""
    return command("report", "--format", form, "-", stdin=json.dumps(snapshot).encode())
