"""Servers and clients that everybody knows: throughput with the library over that without, and what a request takes of a processor."""

import contextlib
import pathlib
import re
import socket
import statistics
import tempfile

import rig

GROUP = "servers"
VARIANTS = ("alone", "floor", "with")


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def is_listening(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


class Server:
    """One server of each variant, loaded in turn; what a request costs it is told by the kernel's account of its processes."""

    def __init__(self, start, load, plan, seconds):
        self.start, self.load, self.plan, self.seconds = start, load, plan, seconds

    def series(self):
        """Requests a second, and processor nanoseconds for one of them."""
        rates, costs = ({name: [] for name in VARIANTS} for _ in range(2))
        # New processes now and then: how one lies in memory is luck that would stay with it.
        for _ in range(self.plan.of(3, 1)):
            with contextlib.ExitStack() as stack:
                servers = {name: stack.enter_context(self.start(name)) for name in VARIANTS}
                for _, port in servers.values() if not self.plan.quick else ():
                    self.load(port, 0.1)

                def once(name, servers=servers):
                    pid, port = servers[name]
                    before = rig.cpu_ns(pid)
                    rate, done = self.load(port, self.seconds)
                    costs[name].append((rig.cpu_ns(pid) - before) / done)
                    return rate
                got = rig.interleave({name: lambda name=name: once(name) for name in VARIANTS}, self.plan.of(7, 1))
            for name in VARIANTS:
                rates[name] += got[name]
        return rates, costs


def rows(what, unit, server, is_kept):
    rates, costs = server.series()
    more = rig.difference(GROUP, f"{what}: processor time of a request", "µs", costs, scale=1e-3)
    if is_kept:
        floor = statistics.median(b / a for a, b in zip(rates["floor"], rates["with"]))
        yield rig.ratio(GROUP, what, unit, rates, budget="throughput", note=f"{floor:.3f} over the floor")
    else:
        yield rig.ratio(GROUP, what, unit, rates)
    yield more


@contextlib.contextmanager
def redis(variant):
    port = free_port()
    with rig.program([rig.need_tool("redis-server"), "--port", port, "--save", "", "--appendonly", "no", "--dir",
                      rig.folder(), "--logfile", "/dev/null", "--tcp-backlog", 511], variant) as server:
        rig.wait_until(lambda: is_listening(port), "redis")
        yield server.pid, port


def redis_load(*flags, expected):
    def load(port, seconds):
        n = max(200, int(expected * seconds))
        words = [rig.need_tool("redis-benchmark"), "-p", port, "-n", n, "--csv", *flags]
        text = rig.run(words, cpu=rig.THEIRS)
        rates = [float(line.split(",")[1].strip('"')) for line in text.splitlines() if not line.startswith('"test"')]
        return statistics.harmonic_mean(rates), n * len(rates)
    return load


@contextlib.contextmanager
def nginx(variant):
    """One worker process, as pinned."""
    port = free_port()
    with tempfile.TemporaryDirectory(dir=rig.folder()) as place:
        config = pathlib.Path(place, "nginx.conf")
        temp = "".join(f"{name}_temp_path {place}/{name}; " for name in
                       ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        config.write_text(f"""daemon off; master_process off; pid {place}/pid; error_log /dev/null; worker_processes 1;
events {{ worker_connections 4096; }}
http {{ {temp} access_log off; keepalive_requests 100000000; reset_timedout_connection on;
server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 "ok"; }} }} }}
""")
        with rig.program([rig.need_tool("nginx"), "-p", place, "-e", "/dev/null", "-c", config], variant) as server:
            rig.wait_until(lambda: is_listening(port), "nginx")
            yield server.pid, port


def wrk_load(*flags):
    def load(port, seconds):
        # wrk counts whole seconds only.
        text = rig.run([rig.need_tool("wrk"), "-t1", "-c16", f"-d{max(1, round(seconds))}s", *flags,
                        f"http://127.0.0.1:{port}/"], cpu=rig.THEIRS)
        return (float(re.search(r"Requests/sec: +([\d.]+)", text).group(1)),
                int(re.search(r"(\d+) requests in", text).group(1)))
    return load


@contextlib.contextmanager
def echo(variant):
    with rig.program([rig.need_tool("java"), "-Xshare:auto", "-XX:+UseSerialGC", "-cp", rig.BENCH / "java",
                      "EchoServer"], variant) as server:
        port = server.ready()[0]
        rig.run([rig.BENCH / "load", port, 8, 1.5, "kept"], cpu=rig.THEIRS)
        yield server.pid, port


def echo_load(port, seconds):
    rate = rig.number([rig.BENCH / "load", port, 8, seconds, "kept"], cpu=rig.THEIRS)
    return rate, rate * seconds


def requester(plan):
    """A JVM that asks for something, a connection for each request: what that costs the client."""
    command = [rig.need_tool("java"), "-Xshare:auto", "-XX:+UseSerialGC", "-cp", rig.BENCH / "java", "Requester"]
    n = plan.of(1500, 500)
    with rig.peer("answer") as (_, port):
        jvms = {name: rig.Program([*command, port], name) for name in VARIANTS}
        try:
            costs = {name: [] for name in VARIANTS}
            for jvm in jvms.values():
                jvm.ready()
                for _ in range(plan.of(3, 1)):
                    jvm.ask(1000)

            def once(name):
                before = rig.cpu_ns(jvms[name].pid)
                took = float(jvms[name].ask(n)[0])
                costs[name].append((rig.cpu_ns(jvms[name].pid) - before) / n)
                return took
            took = rig.interleave({name: lambda name=name: once(name) for name in VARIANTS}, plan.of(11, 2))
        finally:
            for jvm in jvms.values():
                jvm.end()
    rates = {name: [1e9 / ns for ns in values] for name, values in took.items()}
    what = "JVM client, a connection a request"
    yield rig.ratio(GROUP, what, "requests/s", rates)
    yield rig.difference(GROUP, f"{what}: time of a request", "µs", took, scale=1e-3)
    yield rig.difference(GROUP, f"{what}: processor time of a request", "µs", costs, scale=1e-3, budget="open-java")


def measure(plan):
    seconds = plan.of(0.5, 0.25)
    commands = ("-t", "get,set", "-c", "20")
    cases = [
        ("redis, GET and SET", "requests/s", redis, redis_load(*commands, expected=25000), True),
        ("redis, 16 commands in a pipeline", "requests/s", redis, redis_load(*commands, "-P", "16", expected=200000), True),
        ("redis, a connection a request", "requests/s", redis, redis_load("-t", "get", "-c", "20", "-k", "0", expected=8000), False),
        ("nginx, kept alive", "requests/s", nginx, wrk_load(), True),
        ("nginx, a connection a request", "requests/s", nginx, wrk_load("-H", "Connection: close"), False),
        ("JVM echo server, kept alive", "exchanges/s", echo, echo_load, True),
    ]
    for what, unit, start, load, is_kept in cases:
        yield from rows(what, unit, Server(start, load, plan, seconds), is_kept)
    yield from requester(plan)
