"""requests: a session for each request, never closed."""

import sys
import time

import requests

kept = []


def fetch(url):
    session = requests.Session()
    kept.append(session)
    return session.get(url).text  # LEAK


for _ in range(1000):
    fetch(sys.argv[1])
    time.sleep(0.1)
