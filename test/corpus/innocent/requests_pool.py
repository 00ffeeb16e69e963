"""requests: one session and its pool, idle for longer than the server keeps connections; urllib3 looks at a connection
before it uses it again. Each line of standard input is a round of 20 requests at once."""

import concurrent.futures
import sys
import threading

import requests

SIZE = 20
session = requests.Session()
session.mount("http://", requests.adapters.HTTPAdapter(pool_connections=1, pool_maxsize=SIZE))
all_there = threading.Barrier(SIZE)


def fetch(url):
    with session.get(url, stream=True) as response:  # POOL
        all_there.wait()  # nobody gives a connection back before each has one
        return response.text


with concurrent.futures.ThreadPoolExecutor(SIZE) as threads:
    for _ in sys.stdin:
        assert list(threads.map(fetch, [sys.argv[1]] * SIZE)) == ["ok\n"] * SIZE
        print("ok", flush=True)
