"""A library is brought into servers under load a hundred times: not one request is lost, and nobody is held for long."""

import pathlib
import statistics

import harness
import inject
import loads
import nginx
import pytest
import real

TIMES = 100 * real.ROUNDS
PLACE = "127.0.0.1:8080"
NODE = "require('http').createServer((q, r) => r.end('hello')).listen(8080, '127.0.0.1')"
PYTHON = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.send_header("Connection", "close" if self.close_connection else "keep-alive")
        self.end_headers()
        self.wfile.write(b"hello")
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer.request_queue_size = 128
http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Handler).serve_forever()
"""


def under(load, name, pid):
    """Bring it in again and again while the load goes on, and what the load then says."""
    held, first = [], None
    while load.is_alive() or len(held) < TIMES:
        for row in inject.attempts(pid, options="/dev/null", times=10):
            assert row["error"] == 0 and row["result"] in (0, 1), row
            held.append(row["stopped_us"])
        first = first or held[0]
    print(f"{name}: {len(held)} times, held {first} us the first time, median {statistics.median(held):g}, worst {max(held)}")


def under_ab(scene, name, pid, requests, *flags):
    load = loads.start_ab(scene, PLACE, "/", requests, *flags)
    under(load, name, pid)
    loads.check_ab(load, requests)


def nginx_worker(scene):
    server = nginx.Nginx(scene)
    (server.directory / "files" / "index.html").write_bytes(b"hello")
    workers = server.workers()
    under_ab(scene, "nginx", workers[0], 60000, "-k")
    under_ab(scene, "nginx, each on a connection of its own", workers[1], 20000)
    assert server.workers() == workers
    assert not [line for line in server.log().splitlines() if "[alert]" in line or "[crit]" in line]


def redis(scene):
    argv = [harness.need_tool("redis-server"), "--save", "", "--port", "8080", "--bind", "127.0.0.1", "--dir", scene.directory]
    server = scene.start(argv)
    scene.wait_for_listener(PLACE, server)
    words = ["-p", "8080", "-q", "-c", "32", "-t", "set,get,lrange_100", "-n", 100000 * real.ROUNDS]
    load = scene.start([harness.need_tool("redis-benchmark"), *words])
    under(load, "redis", server.pid)
    assert load.wait() == 0 and load.stderr() == ""
    assert server.is_alive()


def node(scene):
    server = scene.start([harness.need_tool("node"), "-e", NODE])
    scene.wait_for_listener(PLACE, server)
    under_ab(scene, "node", server.pid, 40000, "-k")
    assert server.is_alive() and server.stderr() == ""


def python(scene):
    server = scene.start([real.PYTHON, "-c", PYTHON])
    scene.wait_for_listener(PLACE, server)
    under_ab(scene, "python", server.pid, 4000)
    assert server.is_alive() and server.stderr() == ""


@pytest.mark.parametrize("workload", [nginx_worker, redis, node, python])
def test_under_load(workload, tmp_path):
    if not all(pathlib.Path(path).exists() for path in (inject.ATTACHED, inject.words(1)[0])):
        pytest.skip("build-e2e has the library that is brought in")
    real.run(workload, tmp_path, "alone")
