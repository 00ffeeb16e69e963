"""A batch job: 60 connections to redis at once, from sockets of its own, held until the whole batch is done and then all
closed. Each line of standard input opens a batch, or ends the one that is open."""

import socket
import sys

batch = []


def ask(host, port):
    connection = socket.create_connection((host, port))  # BURST
    connection.sendall(b"INCR visits\r\n")
    assert connection.recv(64).startswith(b":")
    return connection


for _ in sys.stdin:
    if batch:
        for one in batch:
            one.close()
        batch = []
    else:
        batch = [ask(sys.argv[1], int(sys.argv[2])) for _ in range(60)]
    print("ok", flush=True)
