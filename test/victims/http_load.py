"""http_load - clients that ask a web server for all it is worth, each in its own way, and count what they lose.

`http_load.py HOST PORT SECONDS` asks as http_origin.py answers, checks each answer byte by byte, and prints
"ok REQUESTS FAILED ERROR". The ways: one connection for all requests, with pauses; one for each; half-closed once
the request is out, which is legal; and slow to read.
"""

import http.client
import random
import socket
import sys
import threading
import time

WAYS = ("kept", "kept", "once", "once", "half", "slow")


class Load:
    def __init__(self, host, port, seconds):
        self.place = (host, port)
        self.end = time.monotonic() + seconds
        self.lock = threading.Lock()
        self.done = 0
        self.errors = []

    def ask(self, way, random_source, connection):
        size = random_source.choice((4, 400, 200000)) if way != "slow" else 1000000
        path = f"/?ms={random_source.choice((0, 0, 0, 200, 1200))}&bytes={size}"
        if way in ("half", "slow"):
            body = self.ask_raw(path, way)
        else:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200, answer.status
        assert body == b"".join(b"%d" % n * (size // 4) for n in range(4)), f"{len(body)} of {size} bytes"

    def ask_raw(self, path, way):
        with socket.create_connection(self.place, 30) as raw:
            raw.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
            if way == "half":
                raw.shutdown(socket.SHUT_WR)
            answer = b""
            while part := raw.recv(65536):
                answer += part
                if way == "slow":
                    time.sleep(0.02)
        head, body = answer.split(b"\r\n\r\n", 1)
        assert b" 200 " in head.split(b"\r\n")[0], head
        return body

    def run(self, way, seed):
        random_source = random.Random(seed)
        connection = http.client.HTTPConnection(*self.place, timeout=30)
        while time.monotonic() < self.end:
            try:
                self.ask(way, random_source, connection)
                with self.lock:
                    self.done += 1
            except Exception as error:  # whatever it is, the request is lost
                connection.close()
                with self.lock:
                    self.errors.append(f"{way}:{type(error).__name__}:{error}")
            if way == "once":
                connection.close()
            elif way == "kept":
                time.sleep(random_source.choice((0, 0, 0.3, 0.7)))
        connection.close()


if __name__ == "__main__":
    load = Load(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
    threads = [threading.Thread(target=load.run, args=(way, n)) for n, way in enumerate(WAYS * 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first = load.errors[0].replace(" ", "_") if load.errors else "-"
    print("ok", load.done, len(load.errors), first, flush=True)
