"""redis-server: commands of every kind, children that save, replication, and redis-benchmark."""

import re
import signal

import harness
import loads
import pytest
import real

PLACE = "127.0.0.1:6379"


def start_redis(scene, name="redis", port=6379, **options):
    directory = scene.directory / name
    directory.mkdir(exist_ok=True)
    settings = {
        "port": port,
        "bind": "127.0.0.1",
        "dir": directory,
        "logfile": directory / "log",
        "save": "",
        "enable-debug-command": "yes",
        **options,
    }
    words = [word for key, value in settings.items() for word in (f"--{key}", value)]
    program = scene.start([harness.need_tool("redis-server"), *words])
    scene.wait_for_listener(f"127.0.0.1:{port}", program)
    program.log = directory / "log"
    return program


class Redis(loads.Client):
    """One connection that speaks RESP."""

    def __init__(self, scene, port=6379):
        super().__init__(scene, f"127.0.0.1:{port}")

    def say(self, *words):
        words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.send(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))

    def reply(self):
        line = self.line()
        kind, rest = line[:1], line[1:]
        if kind == "$":
            return None if rest == "-1" else self.read(int(rest) + 2)[:-2].decode(errors="backslashreplace")
        if kind == "*":
            return None if rest == "-1" else [self.reply() for _ in range(int(rest))]
        return int(rest) if kind == ":" else line

    def ask(self, *words):
        self.say(*words)
        return self.reply()

    def info(self, section="everything"):
        pairs = (line.split(":", 1) for line in self.ask("INFO", section).splitlines() if ":" in line)
        return dict(pairs)


def log_kinds(program):
    """What the log says, without processes, times and sizes. Where a child reports first is a race."""
    lines = re.sub(r"^\d+:[A-Z] .*?\d\d\.\d+ ", "", program.log.read_text(), flags=re.M)
    return real.kinds_of_lines(lines, r"^[*#-]", r"\b[0-9a-f]{40}\b|(?<!by signal )\b\d+")


def end_by_command(client, program, *words):
    client.say("SHUTDOWN", *words)
    assert client.line() == ""
    client.close()
    return program.wait()


def check_statistics(scene, program, client, listeners=1):
    """redis counts its clients as the library counts its connections."""
    if not scene.can_ask:
        return
    scene.check_idle(program)
    info, snapshot = client.info(), scene.snapshot(program)
    assert real.connections(snapshot) == int(info["total_connections_received"])
    by_state = snapshot["totals"]["by_state"]
    assert by_state["ESTABLISHED"] == int(info["connected_clients"])
    assert by_state["LISTEN"] == listeners


SCRIPT = """\
PING
SET key value
GET key
SET counter 41
INCR counter
INCRBY counter -2
APPEND key more
GETRANGE key 2 5
LPUSH list a b c
RPUSH list d
LRANGE list 0 -1
HSET hash one 1 two 2
HGETALL hash
ZADD scores 1 x 3 y 2 z
ZRANGE scores 0 -1 WITHSCORES
SADD set m
SISMEMBER set m
PFADD log a b c
PFCOUNT log
XADD stream 1-1 field value
XRANGE stream - +
SETEX gone 100 soon
TTL missing
EVAL "return {KEYS[1], ARGV[1], redis.call('GET', KEYS[1])}" 1 key argument
EVAL "return redis.call('NO SUCH COMMAND')" 0
SCRIPT LOAD "return 7"
MULTI
INCR counter
LPOP list
EXEC
MULTI
SET key other
DISCARD
GET key
CONFIG GET maxmemory-policy
CONFIG SET maxmemory-policy allkeys-lru
CONFIG GET maxmemory-policy
CONFIG SET timeout 100
CONFIG SET no-such-thing 1
OBJECT ENCODING counter
GET list
NOSUCH command
DBSIZE
"""


def commands(scene):
    """By redis-cli, which is itself under the library, and by hand where a reply has to wait for somebody."""
    program = start_redis(scene)
    shown = {}
    script = scene.directory / "commands"
    script.write_text(SCRIPT)
    cli = harness.need_tool("redis-cli")
    done = scene.run(["sh", "-c", f'exec {cli} -p 6379 < "$0"', script], watched=True)
    shown["cli"] = done.all()
    one, two, third = (Redis(scene) for _ in range(3))

    shown["subscribe"] = one.ask("SUBSCRIBE", "channel")
    shown["publish"] = two.ask("PUBLISH", "channel", "hello")
    shown["message"] = one.reply()
    one.say("UNSUBSCRIBE")
    shown["unsubscribe"] = one.reply()

    one.say("BLPOP", "queue", 0)
    harness.wait_until(lambda: two.info("clients")["blocked_clients"] == "1", "a client that waits")
    shown["push"] = two.ask("RPUSH", "queue", "item")
    shown["pop"] = one.reply()
    shown["pop in time"] = one.ask("BLPOP", "queue", "0.05")

    number = third.ask("CLIENT", "ID")
    shown["kill"] = one.ask("CLIENT", "KILL", "ID", number)
    shown["killed"] = third.line()
    third.close()
    one.say("BLPOP", "queue", 0)
    harness.wait_until(lambda: two.info("clients")["blocked_clients"] == "1", "a client that waits")
    one.close()
    harness.wait_until(lambda: two.info("clients")["blocked_clients"] == "0", "the client that left")
    shown["counts"] = [two.info()[name] for name in ("total_connections_received", "connected_clients")]
    check_statistics(scene, program, two)
    shown["end"] = end_by_command(two, program)
    shown["log"] = log_kinds(program)
    shown["output"] = real.without_ours(program.stderr())
    scene.check_end(program)
    return shown


BENCHMARKS = {
    "plain": "-t ping,set,get,incr,lpush,lrange_100,mset -n 3000 -c 20",
    "pipelined": "-t set,get,incr,lpush -n 20000 -c 50 -P 16",
    "a connection each": "-t set,get -n 1500 -c 20 -k 0",
    "threads": "-t set,get -n 5000 -c 20 --threads 2",
}


def benchmark(scene):
    program = start_redis(scene)
    client = Redis(scene)
    shown = {}
    for name, words in BENCHMARKS.items():
        words = re.sub(r"-n (\d+)", lambda m: f"-n {int(m[1]) * real.ROUNDS}", words).split()
        done = scene.run([harness.need_tool("redis-benchmark"), "--csv", "-p", "6379", *words], watched=True)
        tests = [line.split(",")[0] for line in done.stdout.splitlines()]
        shown[name] = (done.status, tests, real.kinds_of_lines(done.stderr))
        calls = client.info()
        shown[name, "calls"] = {
            key: re.match(r"calls=(\d+)", value)[1]
            for key, value in calls.items()
            if key in ("cmdstat_set", "cmdstat_get", "cmdstat_incr", "cmdstat_lpush", "cmdstat_ping")
        }
        check_statistics(scene, program, client)
    shown["errors"] = client.info()["total_error_replies"]
    shown["end"] = end_by_command(client, program)
    shown["log"] = log_kinds(program)
    scene.check_end(program)
    return shown


def fill(client, count):
    client.ask("DEBUG", "POPULATE", count)


def wait_for_info(client, **wanted):
    look = lambda: wanted.items() <= client.info().items()
    harness.wait_until(look, lambda: f"{wanted}; {client.info('persistence')}")


def saving(scene):
    """Children save while clients write; one is killed by SIGUSR1, as redis does when it has no use for it any more."""
    program = start_redis(scene, appendonly="yes", appendfsync="no")
    client = Redis(scene)
    fill(client, 5000)
    shown = {"digest": client.ask("DEBUG", "DIGEST")}
    for command, busy in (("BGSAVE", "rdb_bgsave_in_progress"), ("BGREWRITEAOF", "aof_rewrite_in_progress")):
        shown[command] = client.ask(command)
        scene.run([harness.need_tool("redis-benchmark"), *"-p 6379 -q -n 500 -t set".split()])
        wait_for_info(client, **{busy: "0"})
        info = client.info()
        shown[command, "status"] = info["rdb_last_bgsave_status"], info["aof_last_bgrewrite_status"]
    client.ask("CONFIG", "SET", "rdb-key-save-delay", 1000)
    shown["slow"] = client.ask("BGSAVE")
    (child,) = harness.wait_until(lambda: real.children_of(program.pid), "a child that saves")
    # It takes that name when it has its own handler of the signal, which tells of it.
    harness.wait_until(lambda: "redis-rdb-bgsave" in real.command_line(child), lambda: f"a name: {real.command_line(child)}")
    shown["flush"] = client.ask("FLUSHALL")  # kills it
    harness.wait_until(lambda: not real.children_of(program.pid), "the end of the child")
    wait_for_info(client, rdb_bgsave_in_progress="0")
    shown["killed"] = client.info()["rdb_last_bgsave_status"]
    client.ask("CONFIG", "SET", "rdb-key-save-delay", 0)
    fill(client, 300)
    shown["save"] = client.ask("SAVE")
    shown["digest later"] = client.ask("DEBUG", "DIGEST")
    check_statistics(scene, program, client)
    client.close()
    program.send_signal(signal.SIGTERM)
    shown["end"] = program.wait()
    shown["log"] = log_kinds(program)
    scene.check_end(program)

    again = start_redis(scene)
    client = Redis(scene)
    shown["loaded"] = client.ask("DEBUG", "DIGEST"), client.ask("DBSIZE")
    shown["end again"] = end_by_command(client, again, "NOSAVE")
    return shown


def replication(scene):
    """Two instances under the library, the link cut and mended, and the replica promoted."""
    master = start_redis(scene, "master", **{"repl-diskless-sync-delay": 0})
    replica = start_redis(scene, "replica", 6380)
    one, two = Redis(scene), Redis(scene, 6380)
    fill(one, 2000)
    shown = {"replicaof": two.ask("REPLICAOF", "127.0.0.1", 6379)}
    wait_for_info(two, master_link_status="up")
    shown["set"] = one.ask("SET", "key", "value")
    shown["wait"] = one.ask("WAIT", 1, 10000)
    shown["get"] = two.ask("GET", "key")
    shown["read only"] = two.ask("SET", "key", "other")
    shown["cut"] = one.ask("CLIENT", "KILL", "TYPE", "replica")
    one.ask("SET", "key", "later")
    wait_for_info(one, sync_partial_ok="1", connected_slaves="1")
    wait_for_info(two, master_link_status="up")
    shown["wait again"] = one.ask("WAIT", 1, 10000)
    shown["get again"] = two.ask("GET", "key")
    shown["same"] = one.ask("DEBUG", "DIGEST") == two.ask("DEBUG", "DIGEST")
    shown["full syncs"] = one.info()["sync_full"], one.info()["sync_partial_ok"]
    scene.check_idle(master)
    scene.check_idle(replica)
    shown["promote"] = two.ask("REPLICAOF", "NO", "ONE")
    shown["write"] = two.ask("SET", "key", "mine")
    shown["end"] = end_by_command(one, master), end_by_command(two, replica, "NOSAVE")
    shown["log"] = log_kinds(master), log_kinds(replica)
    scene.check_end(master)
    scene.check_end(replica)
    return shown


@pytest.mark.parametrize("variant", real.VARIANTS)
@pytest.mark.parametrize("workload", [commands, benchmark, saving, replication])
def test_redis(compare, workload, variant):
    compare(workload, variant)


def test_redis_kills_its_children_with_our_signal(compare):
    """The report signal is SIGUSR1 in the server, and kills the child that saves."""
    compare(saving, "auto")


def test_redis_is_visited(compare):
    """Attached to and detached from, while it works."""
    compare(benchmark, real.VISITED)
