"""What each thing may cost. Nothing else in here judges."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Budget:
    limit: float
    unit: str
    text: str
    is_least: bool = False  # the value must be at least this

    def is_met(self, value):
        # As precise as the table tells it.
        return round(value, 3) >= self.limit if self.is_least else round(value, 3) <= self.limit


BUDGETS = {
    "tracked": Budget(30, "instructions", "read, write, send, recv on a tracked socket, above libc's own call"),
    "untracked": Budget(15, "instructions", "the same on an fd that is not tracked"),
    "open": Budget(1.5, "µs", "socket + connect + close, native, 16 frames deep, more than without"),
    "open-java": Budget(15, "µs", "the same on a Java thread, 20 Java frames deep"),
    "throughput": Budget(0.99, "ratio", "throughput on connections that are kept, with the library over without",
                         is_least=True),
    "sweep": Budget(1.1, "ratio", "a sweep of an idle socket, over poll()'s own price"),
    "worker": Budget(1.0, "%", "of one core for 15,000 sockets, at default options"),
    "memory-fd": Budget(64, "bytes", "for each fd in use"),
    "memory-site": Budget(4096, "bytes", "for each site"),
    "memory-rest": Budget(2.0, "MiB", "resident otherwise"),
    "start": Budget(1.0, "ms", "more at the start of a process that opens no socket"),
    "threads": Budget(0, "threads", "in a process that opens no socket"),
    "report": Budget(250, "ms", "for a report of 15,000 sockets"),
}


def judge(rows):
    for row in rows:
        if row.budget:
            row.met = BUDGETS[row.budget].is_met(row.value)
