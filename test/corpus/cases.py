"""The table of the corpus: each program, the library it goes through, the server it talks to, and what an expert would say
of it. One row is one case; nothing of a row changes how the program is observed.

A guilty program leaks until it is ended. An innocent one must never be called LEAK, in no report at all; besides, the
last report is held against the row.
"""

import dataclasses
import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent

EOF_IGNORED, NEVER_LOOKED, UNREAD_DATA, DEAD = "eof-ignored", "never-looked", "unread-data", "dead-but-open"

# Where the servers are, as the programs are told.
WORDS = {
    "web": "http://127.0.0.1:8080/",
    "big": "http://127.0.0.1:8080/big",
    "huge": "http://127.0.0.1:8080/huge",
    "tls": "https://127.0.0.1:8443/",
    "http": "127.0.0.1 8080",
    "redis": "127.0.0.1 6379",
    "jdbc_postgresql": "jdbc:postgresql://127.0.0.1:5432/postgres?user=postgres",
    "libpq": "host=127.0.0.1\\ port=5432\\ user=postgres\\ dbname=postgres",
    "jdbc_mariadb": "jdbc:mariadb://127.0.0.1:3306/corpus?user=corpus",
}


# Each server: where it is, after how many seconds it ends an idle session, and the most that this may look like, ms: redis looks about
# once a second, and a loaded machine is late with the last data or with the FIN. How mariadb's RST came about cannot be seen from
# the other side.
SERVERS = {
    "nginx": ("127.0.0.1:8080", (1, 1500)),
    "nginx over TLS": ("127.0.0.1:8443", (1, 1500)),
    "redis": ("127.0.0.1:6379", (2, 4500)),
    "postgresql": ("127.0.0.1:5432", (1, 1500)),
    "mariadb": ("127.0.0.1:3306", None),
}


@dataclasses.dataclass(frozen=True)
class Case:
    """One row."""

    name: str
    library: str
    server: str
    source: str
    arguments: str  # with WORDS in braces, and {port}: one of its own
    # Class.method or function; its line carries LEAK, POOL, SLOW or BURST in a comment. None: no frame is the program's, as in
    # a client that connects on a thread of its own, or behind an interpreter that does not say where it is.
    blame: str | None
    cause: str | None
    verdict: str  # of the worst site; where it is "ok" blame and cause do not matter
    process: tuple  # the words that are right for the process
    owner: str | None = None  # where there is no blame: whose frames they are
    thread: str | None = None  # and how the names of the threads begin
    # eof-ignored: the innermost of its functions where the end was read; its line carries EOF. None: a thread of the library's.
    reader: str | None = None
    death: str | None = None  # dead-but-open: how it died
    client: str | None = None  # of a server: a command that is repeated
    rounds: int | None = None  # it waits for a line before each of its rounds, and leaves so many suspects behind each
    is_batch: bool = False  # a round opens all, the next closes all
    fails: str = ""  # why the report does not say all of this today

    @property
    def is_guilty(self):
        return self.verdict == "leak"

    @property
    def path(self):
        return HERE / ("guilty" if self.is_guilty else "innocent") / self.source

    def frame(self, function, *marks):
        """A function as the report writes it, with the line that ends in a comment with one of the marks."""
        if not function:
            return None
        marked = re.compile(rf"(//|/\*|#) ({'|'.join(marks)})( \*/)?$")
        (line,) = [n for n, text in enumerate(self.path.read_text().splitlines(), 1) if marked.search(text)]
        space = "" if self.source.endswith(".java") else " "
        return f"{function}{space}({self.source}:{line})"

    @property
    def blame_text(self):
        return self.frame(self.blame, "LEAK", "POOL", "SLOW", "BURST")

    @property
    def reader_text(self):
        return self.frame(self.reader, "EOF")

    @property
    def peer(self):
        """Who ends the connections of the worst site, `127.0.0.1:80`; None: many clients do."""
        return SERVERS.get(self.server.split(", ")[0], (None, None))[0]

    @property
    def idle(self):
        """After how many seconds, and at most how many milliseconds it may look like, if the report can know it."""
        return SERVERS.get(self.server.split(", ")[0], (None, None))[1]


def leak(name, library, server, source, arguments, blame, cause, **more):
    return Case(name, library, server, source, arguments, blame, cause, "leak", ("LEAK",), **more)



CASES = [
    leak("httpclient3-per-request", "Apache HttpClient 3.1", "nginx", "ClientPerRequest31.java", "{web}",
         "ClientPerRequest31.fetch", NEVER_LOOKED),
    leak("httpclient4-per-request", "Apache HttpClient 4.5", "nginx", "ClientPerRequest45.java", "{web}",
         "ClientPerRequest45.fetch", NEVER_LOOKED),
    leak("httpclient5-per-request", "Apache HttpClient 5.2", "nginx", "ClientPerRequest5.java", "{web}",
         "ClientPerRequest5.fetch", NEVER_LOOKED),
    leak("httpasyncclient-suspended", "Apache HttpAsyncClient 4.1", "nginx", "SuspendedAsync.java", "{big}",
         None, UNREAD_DATA, owner="httpasyncclient", thread="pool-"),
    leak("netty-half-closure", "Netty 4.1", "nginx", "HalfClosureNetty.java", "{http}",
         "HalfClosureNetty.fetch", EOF_IGNORED),
    leak("jetty-unread", "Jetty 9 client", "nginx", "UnreadJetty.java", "{big}",
         None, UNREAD_DATA, owner="Jetty client", thread="HttpClient@"),
    leak("okhttp-unclosed", "OkHttp 3.13", "nginx", "UnclosedOkHttp.java", "{big}", "UnclosedOkHttp.fetch", UNREAD_DATA),
    leak("jdk-httpclient-unread", "java.net.http", "nginx", "UnreadJdkClient.java", "{big}",
         "UnreadJdkClient.fetch", UNREAD_DATA),
    leak("urlconnection-unread", "HttpURLConnection", "nginx", "UnreadUrlConnection.java", "{big}",
         "UnreadUrlConnection.fetch", UNREAD_DATA),
    leak("socketchannel-cancelled", "SocketChannel", "nginx", "CancelledKey.java", "{http}",
         "CancelledKey.connect", EOF_IGNORED, reader="CancelledKey.read"),
    leak("socket-forgotten", "java.net.Socket", "redis", "ForgottenSocket.java", "{redis}",
         "ForgottenSocket.get", NEVER_LOOKED),
    # The server says why it ends the session: the driver has not read it.
    leak("jdbc-postgresql", "PostgreSQL JDBC 42.5", "postgresql", "ForgottenPostgresql.java", "{jdbc_postgresql}",
         "ForgottenPostgresql.query", UNREAD_DATA),
    # This server resets an idle session: there is no CLOSE_WAIT, and the descriptor leaks all the same.
    leak("jdbc-mariadb", "MariaDB JDBC 2.7", "mariadb", "ForgottenMariaDb.java", "{jdbc_mariadb}",
         "ForgottenMariaDb.open", DEAD, death="rst"),
    leak("libcurl-per-request", "libcurl", "nginx", "curl_handles.c", "{web}", "fetch", NEVER_LOOKED),
    leak("libcurl-tls", "libcurl, OpenSSL", "nginx over TLS", "curl_copies_tls.c", "{tls}", "fetch", NEVER_LOOKED),
    leak("hiredis-per-command", "hiredis", "redis", "hiredis_contexts.c", "{redis}", "dial", NEVER_LOOKED),
    leak("libuv-stopped", "libuv", "nginx", "uv_stopped.c", "{http}", "fetch", EOF_IGNORED, reader="main"),
    leak("libevent-disabled", "libevent", "nginx", "libevent_disabled.c", "{http}", "fetch", EOF_IGNORED,
         reader="main"),
    leak("asio-kept", "Asio", "nginx", "asio_sessions.cc", "{http}", "fetch", EOF_IGNORED, reader="main"),
    leak("libpq-unfinished", "libpq", "postgresql", "pq_connections.c", "{libpq}", "query", UNREAD_DATA),
    # Before 3.12 Python does not say which of its functions is where.
    leak("requests-per-request", "Python requests", "nginx", "requests_sessions.py", "{web}",
         None, NEVER_LOOKED, owner="Python", thread="python3"),
    leak("http.client-unclosed", "Python http.client", "nginx", "http_client.py", "{http}",
         None, NEVER_LOOKED, owner="Python", thread="python3"),
    # It connects when the function that asked for it has returned.
    leak("node-unconsumed", "Node.js http", "nginx", "unconsumed.js", "{huge}",
         None, UNREAD_DATA, owner="Node.js", thread="node"),
    leak("epoll-eof-ignored", "C, epoll server", "curl", "epoll_ignores_eof.c", "{port}", "take_clients", EOF_IGNORED,
         reader="serve", client="curl -s -o /dev/null http://127.0.0.1:{port}/"),
    leak("proxy-one-direction", "C, proxy", "nginx, curl", "forgetful_proxy.c", "{port} 8080", "dial", EOF_IGNORED,
         reader="copy", client="curl -s -o /dev/null http://127.0.0.1:{port}/"),

    Case("httpclient4-pool", "Apache HttpClient 4.5", "nginx", "HttpPool.java", "{web}", "HttpPool.fetch", NEVER_LOOKED,
         "pool", ("POOL",), rounds=20),
    Case("hikaricp-pool", "HikariCP 2.7, PostgreSQL JDBC 42.5", "postgresql", "HikariPool.java", "{jdbc_postgresql}",
         None, UNREAD_DATA, "pool", ("POOL",), owner="HikariCP", thread="HikariPool-1", rounds=12),
    Case("requests-pool", "Python requests", "nginx", "requests_pool.py", "{web}", None, NEVER_LOOKED,
         "pool", ("POOL",), owner="Python", thread="python3", rounds=20),
    Case("libcurl-pool", "libcurl", "nginx", "curl_multi.c", "{web}", "drive", NEVER_LOOKED, "pool", ("POOL",), rounds=20),
    Case("batch", "Python socket", "redis", "batch.py", "{redis}", None, NEVER_LOOKED, "burst", ("BURST",), owner="Python",
         thread="python3", rounds=60, is_batch=True),
    Case("closed-late", "Apache HttpClient 4.5", "nginx", "ReapedClients.java", "{web}", "ReapedClients.fetch", NEVER_LOOKED,
         "slow", ("OK",)),
    Case("answered-late", "C, threads", "socat", "late_answer.c", "{port}", "main", EOF_IGNORED, "slow", ("OK",),
         reader="answer", client="echo question | socat -t 20 - TCP:127.0.0.1:{port} >/dev/null &"),
    Case("half-close-in-use", "C, threads", "socat", "feed.c", "{port}", None, None, "ok", ("OK",),
         client="echo news | socat -t 20 - TCP:127.0.0.1:{port} >/dev/null &"),
    Case("node-keepalive", "Node.js http", "nginx", "keepalive.js", "{web}", None, None, "ok", ("OK",)),
    Case("epoll-closes", "C, epoll server", "curl", "epoll_closes.c", "{port}", None, None, "ok", ("OK",),
         client="curl -s -o /dev/null http://127.0.0.1:{port}/"),
]
