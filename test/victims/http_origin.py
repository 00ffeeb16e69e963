"""http_origin - a web server that ends idle connections soon and answers as slowly as it is asked to.

`http_origin.py HOST PORT` prints "ready"; GET /?ms=N&bytes=M waits N ms, then sends M bytes in four parts.
"""

import http.server
import sys
import time
import urllib.parse


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 0.4

    def do_GET(self):
        asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        size, wait_s = int(asked["bytes"]), int(asked["ms"]) / 1000
        time.sleep(wait_s / 2)
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        for part in range(4):
            self.wfile.write(b"%d" % part * (size // 4))
            self.wfile.flush()
            time.sleep(wait_s / 8)

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


if __name__ == "__main__":
    server = Server((sys.argv[1], int(sys.argv[2])), Handler)
    print("ready", flush=True)
    server.serve_forever()
