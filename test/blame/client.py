"""client.py PORT COUNT: connections by requests and by http.client that are never closed."""
import http.client
import sys

import requests

port, count = map(int, sys.argv[1:])
kept = []
for _ in range(count // 2):
    session = requests.Session()
    kept.append((session, session.get(f"http://127.0.0.1:{port}/", stream=True)))
for _ in range(count // 2):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.connect()
    kept.append(connection)
print("ready", flush=True)
sys.stdin.read()
