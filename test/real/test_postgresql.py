"""PostgreSQL: a process for each connection, parallel workers, SIGUSR1 many times a second, and each way to end."""

import pathlib
import re
import shutil
import signal

import harness
import pytest
import real
from postgresql import INITDB, AsPostgres, template, tool

PLACE = "127.0.0.1:5432"
CONFIG = """\
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 40
fsync = off
log_connections = on
log_min_messages = warning
deadlock_timeout = 100ms
parallel_setup_cost = 0
parallel_tuple_cost = 0
min_parallel_table_scan_size = 0
max_parallel_workers_per_gather = 2
"""
# Both by a look now and then, and not by a time that a busy machine may exceed.
UNTIL_BOTH = """SELECT pg_advisory_xact_lock(pg_backend_pid());
DO $$ BEGIN WHILE (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory') < 2 LOOP PERFORM pg_sleep(0.01); END LOOP; END $$;"""
UNTIL_THE_FILE = """DO $$ BEGIN WHILE (pg_stat_file('go', true)).size IS NULL LOOP PERFORM pg_sleep(0.01); END LOOP; END $$;
SELECT 'done'"""
SQL = """\
CREATE TABLE numbers (n int PRIMARY KEY, words text);
INSERT INTO numbers SELECT n, repeat(md5(n::text), 3) FROM generate_series(1, 20000) n;
ANALYZE numbers;
SELECT count(*), sum(n), min(words), max(words) FROM numbers WHERE n % 3 = 0;
EXPLAIN (COSTS OFF) SELECT count(*) FROM numbers WHERE words LIKE '%ab%';
SELECT count(*) FROM numbers WHERE words LIKE '%ab%';
SELECT n, lag(n) OVER (ORDER BY n), ntile(4) OVER (ORDER BY n) FROM numbers LIMIT 5;
WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 100) SELECT sum(n) FROM t;
SELECT 1 / 0;
BEGIN;
SAVEPOINT a;
INSERT INTO numbers VALUES (1, 'twice');
ROLLBACK TO a;
DELETE FROM numbers WHERE n > 19990;
COMMIT;
SELECT count(*) FROM numbers;
DO $$ BEGIN RAISE NOTICE 'noticed'; PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN RAISE WARNING 'caught'; END $$;
CREATE FUNCTION twice(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN n * 2; END $$;
SELECT twice(21);
COPY (SELECT n FROM numbers ORDER BY n LIMIT 5) TO STDOUT;
CREATE INDEX ON numbers (words);
VACUUM numbers;
DECLARE c CURSOR WITH HOLD FOR SELECT n FROM numbers ORDER BY n;
FETCH 3 FROM c;
CLOSE c;
SELECT pg_advisory_lock(1), pg_advisory_unlock(1);
LISTEN news;
NOTIFY news, 'hello';
SELECT lo_create(4242), lo_unlink(4242);
SELECT sum(n) FROM (SELECT n FROM generate_series(1, 200000) n ORDER BY random()) shuffled;
SELECT no_such_column FROM numbers;
"""


class Postgres:
    """A server of one's own, and its clients."""

    def __init__(self, scene):
        self.scene = scene
        self.network = AsPostgres(scene.network)
        self.data = scene.directory / "data"
        shutil.copytree(pathlib.Path(template().name, "data"), self.data)
        (self.data / "postgresql.conf").open("a").write(CONFIG)
        self.start()

    def start(self):
        words = [tool("postgres"), "-D", self.data]
        self.program = self.scene.start(words, network=self.network)
        self.scene.wait_for_listener(PLACE, self.program)
        ready = "SELECT NOT pg_is_in_recovery()"
        harness.wait_until(lambda: self.sql(ready).stdout == "t", lambda: self.program.stderr())

    def client(self, name, *words, **more):
        argv = [tool(name), "-h", "127.0.0.1", "-U", "postgres", *words]
        return self.scene.run(argv, watched=True, network=self.network, **more)

    def sql(self, text, *words):
        return self.client("psql", "-X", "-q", "-At", *words, "-c", text, "postgres")

    def session(self, text):
        """A client that is at work on something, and its end when asked for."""
        argv = [tool("psql"), "-h", "127.0.0.1", "-U", "postgres", "-X", "-At", "-c", text, "postgres"]
        return self.scene.start(argv, network=self.network)

    def wait_for_activity(self, condition, count=1):
        sql = f"SELECT count(*) FROM pg_stat_activity WHERE {condition}"
        all_of_it = lambda: self.sql("TABLE pg_stat_activity").stdout
        harness.wait_until(lambda: self.sql(sql).stdout == str(count), all_of_it)

    def stop(self, signo, shown):
        self.program.send_signal(signo)
        self.ended(signo, shown)

    def ended(self, signo, shown):
        shown[f"end by {signo.name}"] = self.program.wait()
        self.scene.check_end(self.program)

    def log_kinds(self):
        """Its log without who and when; connections that came while it started stand there by chance."""
        pattern = r"(WARNING|ERROR|FATAL|PANIC|DETAIL|HINT|STATEMENT|LOG|CONTEXT): "
        text = re.sub(r"^\S+ \S+ \S+ \[\d+\] ", "", real.without_ours(self.program.stderr()), flags=re.M)
        text = re.sub(r"tuple \(\d+,\d+\)|\(PID \d+\)|port=\d+|[Pp]rocess \d+|transaction \d+|-- N.*", "N", text)
        text = re.sub(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d \w+|[0-9A-F]+/[0-9A-F]+", "N", text)
        text = re.sub(r"\d+\.\d+ s|len \d+|\d+ kB|= *\d+", "N", text)
        passing = "the database system is |terminating connection due to admin|Consistent recovery state|"
        passing += "pg_is_in_recovery|redo |checkpoint "
        return [line for line in real.kinds_of_lines(text, pattern, "(?!)") if not re.search(passing, line)]

    def check_statistics(self):
        """The postmaster has accepted what its log and its statistics say."""
        if not self.scene.can_ask:
            return
        # Autovacuum and the like have no connection.
        self.wait_for_activity("backend_type = 'client backend'")
        self.scene.check_idle(self.program)
        snapshot = self.scene.snapshot(self.program)
        received = len(re.findall(r"connection received: host=", self.program.stderr()))
        assert real.connections(snapshot) == received


def ends(done):
    return done.status, done.stdout, done.stderr


def finish(program):
    """How a session ended: exit code, what it printed, what it complained of."""
    lines = []
    while (line := program.line()) is not None:
        lines.append(line)
    said = re.sub(r"process \d+|transaction \d+", "N", real.without_ours(program.stderr()))
    return program.wait(), lines, said


def initdb(scene):
    """A cluster made under the library: many processes, one after the other."""
    words = [tool("initdb"), "-D", scene.directory / "data", *INITDB]
    done = scene.run(words, watched=True, network=AsPostgres(scene.network))
    files = sorted(str(path.relative_to(scene.directory)) for path in (scene.directory / "data").rglob("*"))
    return {"done": real.struck(ends(done), str(scene.directory)), "files": files}


def statements(scene):
    """SQL of many kinds in one session; parallel workers; LISTEN and NOTIFY."""
    server = Postgres(scene)
    path = scene.directory / "script.sql"
    path.write_text(SQL)
    done = server.client("psql", "-X", "-a", "-f", path, "postgres")
    said = re.sub(r"PID \d+", "PID", done.stdout)
    assert "Workers Planned: 2" in said and 'Asynchronous notification "news"' in said
    shown = {"statements": (done.status, said.splitlines(), real.struck(done.stderr, str(scene.directory)))}
    server.check_statistics()
    server.stop(signal.SIGINT, shown)
    shown["log"] = server.log_kinds()
    return shown


def pgbench(scene):
    """Eight clients, kept and with a connection for each transaction."""
    server = Postgres(scene)
    done = server.client("pgbench", "-q", "-i", "-s", "1", "postgres")
    shown = {"made": (done.status, server.sql("SELECT count(*) FROM pgbench_accounts").all())}
    for name, words in {
        "kept": f"-t {100 * real.ROUNDS}",
        "a connection each": f"-C -t {15 * real.ROUNDS}",
        "prepared": f"-M prepared -S -t {200 * real.ROUNDS}",
    }.items():
        done = server.client("pgbench", "-c", "8", "-j", "2", "-n", *words.split(), "postgres")
        counts = re.findall(r"^number of .*", done.stdout, re.M)
        shown[name] = (done.status, counts, done.stderr)
        assert any("failed transactions: 0 " in line for line in counts), done.stdout
    shown["sums"] = server.sql(
        "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(bbalance) FROM pgbench_branches),"
        " (SELECT count(*) FROM pgbench_history)"
    ).all()
    server.check_statistics()
    server.stop(signal.SIGTERM, shown)
    shown["log"] = server.log_kinds()
    return shown


def interrupting(scene):
    """Cancelled, terminated, deadlocked, killed; a reload; and each way to shut down, with a client at work."""
    server = Postgres(scene)
    at_work = "query LIKE '%pg_sleep(600%' AND pid <> pg_backend_pid() AND state = 'active'"
    sleep = "SELECT pg_sleep(600)"
    shown = {}
    for call in ("pg_cancel_backend", "pg_terminate_backend"):
        client = server.session(sleep)
        server.wait_for_activity(at_work)
        shown[call] = server.sql(f"SELECT {call}(pid) FROM pg_stat_activity WHERE {at_work}").all()
        shown[call, "client"] = finish(client)
    shown["deadlock"] = deadlock(server)

    server.program.send_signal(signal.SIGHUP)
    harness.wait_until(lambda: "SIGHUP" in server.program.stderr(), "the reload")

    if scene.can_ask:
        client = server.session(sleep)
        server.wait_for_activity(at_work)
        snapshot = scene.snapshot(server.program)
        assert set(snapshot["totals"]["by_state"].values()) == {0, 1}, "only the listener is the postmaster's own"
        server.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {at_work}")
        finish(client)

    client = server.session(sleep)
    server.wait_for_activity(at_work)
    lost = int(server.sql(f"SELECT pid FROM pg_stat_activity WHERE {at_work}").stdout)
    assert lost in real.children_of(server.program.pid)
    harness.os.kill(lost, signal.SIGKILL)
    shown["killed"] = finish(client)
    harness.wait_until(lambda: server.sql("SELECT 1").status == 0, lambda: server.program.stderr())

    for signo in (signal.SIGINT, signal.SIGQUIT):
        client = server.session(sleep)
        server.wait_for_activity(at_work)
        server.stop(signo, shown)
        shown["client", signo] = finish(client)
        shown["log", signo] = server.log_kinds()
        server.start()

    client = server.session(UNTIL_THE_FILE)
    server.wait_for_activity("query LIKE '%pg_stat_file%' AND pid <> pg_backend_pid() AND state = 'active'")
    server.program.send_signal(signal.SIGTERM)  # waits for its client
    harness.wait_until(lambda: "received smart shutdown request" in server.program.stderr(), "its word on that")
    assert server.program.is_alive()
    (server.data / "go").touch()
    server.ended(signal.SIGTERM, shown)
    shown["client of a smart one"] = finish(client)
    shown["log"] = server.log_kinds()
    return shown


def deadlock(server):
    """Two transactions that wait for each other; one of them is the victim. Each goes on when the other has its row."""
    server.sql("CREATE TABLE t AS SELECT 1 AS n, 0 AS v UNION SELECT 2, 0")
    update = f"UPDATE t SET v = v + 1 WHERE n = {{}}; {UNTIL_BOTH} UPDATE t SET v = v + 1 WHERE n = {{}};"
    clients = [server.session("BEGIN; " + update.format(*order) + " COMMIT;") for order in ((1, 2), (2, 1))]
    done = sorted((status, "deadlock detected" in said) for status, _, said in map(finish, clients))
    assert [is_victim for _, is_victim in done].count(True) == 1, done
    return done, server.sql("SELECT sum(v) FROM t").stdout


@pytest.mark.parametrize("variant", real.VARIANTS)
@pytest.mark.parametrize("workload", [statements, pgbench, interrupting])
def test_postgresql(compare, workload, variant):
    compare(workload, variant)


@pytest.mark.parametrize("workload", [initdb, interrupting])
def test_postgresql_keeps_its_signals(compare, workload):
    compare(workload, "auto")


def test_postgresql_is_visited(compare):
    """Attached to and detached from, while it works."""
    compare(pgbench, real.VISITED)
