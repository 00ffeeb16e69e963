"""sockets_inside - makes connections in the network that it runs in, for a test that lives in another one.

It speaks on the Unix socket that is its standard input: a line `HOST PORT` or a path comes in, the connected socket
goes back (SCM_RIGHTS), or a line with the error.
"""

import socket
import sys


def connect(words):
    if len(words) == 1:
        made = socket.socket(socket.AF_UNIX)
        made.connect(words[0])
        return made
    return socket.create_connection((words[0], int(words[1])), 30)


def main():
    test = socket.socket(fileno=0)
    while line := test.recv(4096):
        try:
            with connect(line.decode().split()) as made:
                made.settimeout(None)
                socket.send_fds(test, [b"ok"], [made.fileno()])
        except OSError as error:
            test.send(str(error).encode())


if __name__ == "__main__":
    sys.exit(main())
