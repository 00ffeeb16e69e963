"""A server and its clients in one process: answers that are read and closed, and connections that are forgotten.

Says what came of it, then waits for its input to end. It knows nothing of what is preloaded into it.
"""

import http.client
import http.server
import socketserver
import sys
import threading
import urllib.request

CLOSED, FORGOTTEN = 30, 12


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 0.2  # then the server closes

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.path)))
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64


def forget(port, n):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", f"/forgotten/{n}")
    return connection, len(connection.getresponse().read())


def main():
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    total = 0
    for n in range(CLOSED):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/closed/{n}") as answer:
            total += len(answer.read())
    forgotten = [forget(port, n) for n in range(FORGOTTEN)]
    total += sum(length for _, length in forgotten)
    print("ready", CLOSED, len(forgotten), total, flush=True)
    sys.stdin.read()
    server.shutdown()


main()
