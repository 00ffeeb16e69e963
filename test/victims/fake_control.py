"""A process that looks as if it had the library, and answers at its control socket what the test tells it.

usage: fake_control.py DIRECTORY FOLDER [abstract|unbound]

It has mapped DIRECTORY/libsockleak.so, any file of that name, and serves FOLDER/PID.START.sock. "ready", then for each request
the line of it; before that, each line of its standard input is the answer to the next request, as a Python string literal:
"hang" answers nothing at all.
"""
import ast
import mmap
import os
import socket
import sys


def main():
    directory, folder, *more = sys.argv[1:]
    path = os.path.join(directory, "libsockleak.so")
    with open(path, "w+b") as file:
        file.write(bytes(4096))
        file.flush()
        held = mmap.mmap(file.fileno(), 4096)
    stat = open("/proc/self/stat", encoding="ascii").read()
    start = stat.rpartition(")")[2].split()[19]
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    if more == ["abstract"]:
        server.bind(f"\0sockleak/{os.geteuid()}/{os.getpid()}.{start}")
    else:
        os.makedirs(folder, exist_ok=True)
        server.bind(os.path.join(folder, f"{os.getpid()}.{start}.sock"))
    server.listen(8)
    print("ready", flush=True)
    kept = [held]
    for line in sys.stdin:
        answer = ast.literal_eval(line)
        client, _ = server.accept()
        request = client.makefile("r").readline()
        print(f"got {request.strip()}", flush=True)
        if answer == "hang":
            kept.append(client)
            continue
        try:
            client.sendall(answer.encode())
        except OSError:
            pass
        client.close()


main()
