"""The real servers of the corpus, all in one private network. Each ends a session that has been idle for a second or two,
and is started when the first case asks for it."""

import pathlib
import shutil
import subprocess
import threading

import harness
import postgresql
import services

HERE = pathlib.Path(__file__).resolve().parent
HOST = "127.0.0.1"
HTTP, HTTPS, REDIS, POSTGRESQL, MARIADB = 8080, 8443, 6379, 5432, 3306
BIG_BYTES = 100_000  # more than a client takes in one read, less than its kernel holds
HUGE_BYTES = 200_000  # more than Node.js takes before it hears that nobody wants it


class Servers:
    """What the cases talk to. Thread-safe."""

    def __init__(self, directory):
        self.directory = directory
        self.network = harness.PrivateNetwork()
        self.programs = []
        self.known = set()
        self.lock = threading.Lock()

    def close(self):
        for program in self.programs:
            program.kill()
        self.network.close()

    def need(self, kind):
        """Started now, or before."""
        with self.lock:
            if kind not in self.known:
                STARTS[kind](self)
                self.known.add(kind)

    def start(self, name, argv, port, network=None, **more):
        """A server without the library, listening."""
        program = harness.start(argv, self.directory / name, network=network or self.network, library=False, **more)
        self.programs.append(program)
        is_listening = lambda: f"{HOST}:{port}" in self.network.run("ss", "-tlnH") or not program.is_alive()
        harness.wait_until(is_listening, lambda: f"{name} to listen; {program.stderr()}")
        assert program.is_alive(), (name, program.popen.returncode, program.stderr())
        return program


def start_nginx(servers):
    directory = servers.directory / "nginx"
    directory.mkdir()
    (directory / "big").write_bytes(bytes(BIG_BYTES))
    (directory / "huge").write_bytes(bytes(HUGE_BYTES))
    subject = ["-subj", "/CN=corpus", "-days", "2", "-newkey", "rsa:2048", "-nodes"]
    keys = ["-keyout", directory / "key.pem", "-out", directory / "certificate.pem"]
    subprocess.run([harness.need_tool("openssl"), "req", "-x509", *subject, *keys], check=True, capture_output=True)
    config = (HERE / "nginx.conf.in").read_text()
    for word, value in (("DIR", directory), ("HTTPS", f"{HOST}:{HTTPS}"), ("HTTP", f"{HOST}:{HTTP}")):
        config = config.replace(f"@{word}@", str(value))
    services.start_nginx(lambda argv, **_: servers.start("nginx", argv, HTTP), servers.network, directory, config,
                         place=f"{HOST}:{HTTP}")


def start_redis(servers):
    settings = {"port": REDIS, "bind": HOST, "dir": "/tmp", "save": "", "timeout": 2}
    words = [word for key, value in settings.items() for word in (f"--{key}", value)]
    servers.start("redis", [harness.need_tool("redis-server"), *words], REDIS)


def start_postgresql(servers):
    data = servers.directory / "postgresql-data"
    shutil.copytree(pathlib.Path(postgresql.template().name, "data"), data)
    lines = [f"listen_addresses = '{HOST}'", f"port = {POSTGRESQL}", "unix_socket_directories = ''", "fsync = off",
             "idle_session_timeout = 1s"]
    (data / "postgresql.conf").open("a").write("\n".join(lines) + "\n")
    network = postgresql.AsPostgres(servers.network)
    servers.start("postgresql", [postgresql.tool("postgres"), "-D", data], POSTGRESQL, network=network)
    asked = [*network.prefix(), postgresql.tool("pg_isready"), "-q", "-h", HOST, "-p", str(POSTGRESQL)]
    harness.wait_until(lambda: subprocess.run(asked, check=False).returncode == 0, "PostgreSQL to be ready")


def start_mariadb(servers):
    data = servers.directory / "mariadb-data"
    network = servers.network
    common = ["--no-defaults", f"--datadir={data}"]
    install = [harness.need_tool("mariadb-install-db"), *common, "--auth-root-authentication-method=normal",
               "--skip-test-db"]
    # As root of its own user namespace it need not give itself up for another user.
    subprocess.run([*network.prefix(), *install, "--user=root"], check=True, capture_output=True, timeout=120)
    argv = [harness.need_tool("mariadbd"), *common, "--user=root", f"--bind-address={HOST}", f"--port={MARIADB}",
            f"--socket={data}/socket", "--wait-timeout=1", "--interactive-timeout=1", "--skip-log-bin",
            "--innodb-flush-log-at-trx-commit=0"]
    servers.start("mariadb", argv, MARIADB)
    sql = "CREATE DATABASE corpus; CREATE USER corpus@'%'; GRANT ALL ON corpus.* TO corpus@'%'"
    client = [*network.prefix(), harness.need_tool("mariadb"), "--no-defaults", f"--socket={data}/socket", "-u", "root",
              "-e", sql]
    subprocess.run(client, check=True, capture_output=True, timeout=harness.PATIENCE_S)


STARTS = {"nginx": start_nginx, "redis": start_redis, "postgresql": start_postgresql, "mariadb": start_mariadb}
