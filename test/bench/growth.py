"""How each cost grows, what that comes to at a million fds and on 64 cores, and the measured figure behind it."""

import table

MILLION = 1_000_000


def laws(rows):
    """(cost, how it grows, what was measured, at a million fds, on 64 cores), of what has been measured."""
    found = {(row.group, row.what): row.value for row in rows if row.value is not None}

    def law(group, what, cost, grows, unit, at_million, on_cores):
        value = found.get((group, what))
        if value is not None:
            yield cost, grows, f"{table.figure(value)} {unit}", at_million(value), on_cores

    no_lock = "the same: nothing that two sockets share is written"
    yield from law("data path", "recv() on a TCP socket", "a call of the data path", "constant", "instructions",
                   lambda v: f"the same {v:.0f} instructions", no_lock)
    yield from law("data path", "recv() on TCP sockets, 8 threads, an fd each", "the same, 8 threads", "constant", "ns a call",
                   lambda v: "the same", no_lock)
    yield from law("open and close", "for each native frame", "an open, by the depth of its stack", "linear in frames, up to depth=",
                   "ns a frame", lambda v: "the same", "a few counters are shared: one add each to a line that all cores want")
    yield from law("open and close", "socket + connect + close, 16 frames, 8 threads", "an open, 8 threads", "constant", "µs",
                   lambda v: "the same", "as above")
    yield from law("open and close", "for each Java frame", "an open on a Java thread", "linear in frames, up to depth=", "ns a frame",
                   lambda v: "the same", "as the JVM's own stack walks")
    yield from law("sweep", "for each socket, idle", "a sweep", "linear in fds", "ns a socket",
                   lambda v: f"{v:,.0f} ms, {v / 5000 * 100:.0f} % of a core at the default 5 s",
                   "one thread sweeps: of the machine a 64th of that share")
    yield from law("sweep", "for each socket, left by their peer", "a sweep of what was left", "linear in CLOSE_WAITs", "ns a socket",
                   lambda v: f"{v:,.0f} ms, {v / 5000 * 100:.0f} % of a core at the default 5 s", "as above")
    yield from law("memory", "for each fd", "memory", "linear in the highest fd", "bytes an fd",
                   lambda v: f"{v * MILLION / 2**20:,.0f} MiB", "the same")
    yield from law("memory", "for each site, 20 native frames", "memory", "linear in sites, 4,096 at most", "bytes a site",
                   lambda v: f"{v * 4096 / 2**20:.1f} MiB at 4,096 sites", "the same")
    yield from law("report", "for each socket, idle: json", "a report", "linear in fds, on the worker", "µs a socket",
                   lambda v: f"{v:,.1f} s", "the same: one thread, and nobody waits for it")
    yield from law("start-up", "/bin/true", "a start", "constant", "ms", lambda v: "the same", "the same")


def markdown(rows):
    yield "### Growth"
    yield ""
    yield "| cost | grows | measured | at a million fds | on 64 cores |"
    yield "|---|---|---|---|---|"
    for cells in laws(rows):
        yield "| " + " | ".join(cells) + " |"
