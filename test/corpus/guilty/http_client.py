"""http.client: the response is read to its end, the connection not closed."""

import http.client
import sys
import time

kept = []


def fetch(host, port):
    connection = http.client.HTTPConnection(host, port)
    kept.append(connection)
    connection.request("GET", "/")  # LEAK
    return connection.getresponse().read()


for _ in range(1000):
    fetch(sys.argv[1], int(sys.argv[2]))
    time.sleep(0.1)
