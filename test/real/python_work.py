"""python_work - what Python programs do with sockets and children; each way prints what it saw.

    python_work.py serve PORT         http.server with a thread for each connection; SIGTERM ends it in good order
    python_work.py subprocess         children with and without close_fds, with a listener in hand
    python_work.py pools METHOD       multiprocessing by fork, spawn or forkserver, which pass a connection on
    python_work.py asyncio COUNT      a server and COUNT clients at once, in one loop
    python_work.py prefork            children that accept on an inherited listener, and one that has a connection
"""

import asyncio
import concurrent.futures
import http.server
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if not self.close_connection:
            self.send_header("Connection", "keep-alive")  # else a client of HTTP/1.0 waits for the end
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/run":
            self.answer(subprocess.run(["cat"], input=b"by cat", capture_output=True, check=True).stdout)
        else:
            self.answer(b"x" * int(self.path[1:]))

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, format, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 1024


def serve(port):
    server = Server(("127.0.0.1", int(port)), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    signal.signal(signal.SIGTERM, lambda *_: server.shutdown())
    print("ready", flush=True)
    while thread.is_alive():
        thread.join(0.1)
    server.server_close()
    print("closed", flush=True)


LIST = """
import os
fds = [n for n in os.listdir("/proc/self/fd") if n > "2"]
print(sorted(os.readlink(f"/proc/self/fd/{n}").split(":")[0] for n in fds if os.path.exists(f"/proc/self/fd/{n}")))
"""
WAYS = (
    {"close_fds": True},
    {"close_fds": False},
    {"start_new_session": True},
    {"preexec_fn": lambda: os.nice(1)},
    {"cwd": "/", "close_fds": False},
    {"restore_signals": False},
)


def subprocesses():
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        server, _ = listener.accept()
        server.set_inheritable(True)
        with server:
            for words in (*WAYS, {"pass_fds": [client.fileno()]}):
                argv = [sys.executable, "-c", LIST]
                done = subprocess.run(argv, capture_output=True, text=True, check=False, **words)
                print(sorted(words), done.returncode, done.stdout.count("socket"), done.stderr, flush=True)
            for words in (["false"], ["sh", "-c", "kill -9 $$"], ["sh", "-c", "kill -USR2 $$"]):
                print(words, subprocess.run(words, check=False).returncode, flush=True)
            print(subprocess.getoutput("echo shell; echo error >&2"), os.system("exit 7"), flush=True)
            print(os.popen("echo popen").read(), flush=True)
            with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as cat:
                print(len(cat.communicate(b"x" * 1000000)[0]), flush=True)
            slow = subprocess.Popen(["sleep", "600"])
            try:
                slow.wait(0.05)
            except subprocess.TimeoutExpired:
                slow.terminate()
            print(slow.wait(), os.posix_spawn("/bin/true", ["true"], os.environ) > 0, os.wait()[1], flush=True)
            server.sendall(b"still there")
            print(client.recv(100), flush=True)


def answer_one(connection):
    """In a child: the connection came through a pipe, or by fork."""
    with connection:
        while data := connection.recv(1000):
            connection.sendall(data.upper())


def square(n):
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        with listener.accept()[0] as server:
            client.sendall(b"%d" % (n * n))
            return int(server.recv(100))


def pools(method):
    context = multiprocessing.get_context(method)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for n in range(3):
            client = socket.create_connection(listener.getsockname())
            server, _ = listener.accept()
            child = context.Process(target=answer_one, args=(server,))
            child.start()
            server.close()
            client.sendall(b"word%d" % n)
            print(client.recv(100), flush=True)
            client.shutdown(socket.SHUT_WR)  # a forked child has it as well
            child.join()
            print(child.exitcode, client.recv(100), flush=True)
            client.close()
    with context.Pool(3) as pool:
        print(sum(pool.map(square, range(50))), flush=True)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as executor:
        print(list(executor.map(square, range(10))), flush=True)


async def talk(port, n):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for turn in range(5):
        writer.write(b"%d %d\n" % (n, turn))
        assert await reader.readline() == b"%d %d\n" % (n, turn)
    if n % 3 == 0:
        writer.write_eof()
        assert await reader.read() == b"bye\n"
    writer.close()
    await writer.wait_closed()
    return n


async def echo(reader, writer):
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    try:
        writer.write(b"bye\n")
        writer.close()
        await writer.wait_closed()
    except ConnectionError:
        pass


async def loop(count):
    server = await asyncio.start_server(echo, "127.0.0.1", 0, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    print(sum(await asyncio.gather(*(talk(port, n) for n in range(count)))), flush=True)
    child = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    print((await child.communicate(b"by cat"))[0], child.returncode, flush=True)
    shell = await asyncio.create_subprocess_shell("kill -9 $$")
    print(await shell.wait(), flush=True)
    try:
        await asyncio.open_connection("127.0.0.1", 1)
    except ConnectionRefusedError as error:
        print(error, flush=True)
    server.close()
    await server.wait_closed()


def prefork():
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        children = []
        for _ in range(3):
            if (child := os.fork()) == 0:
                for _ in range(20):
                    with listener.accept()[0] as server:
                        answer = server.recv(100)
                        server.sendall(answer)
                os._exit(0)
            children.append(child)
        good = 0
        for n in range(60):
            with socket.create_connection(listener.getsockname()) as client:
                client.sendall(b"%d" % n)
                good += client.recv(100) == b"%d" % n
        print(good, [os.waitpid(child, 0)[1] for child in children], flush=True)
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        if (child := os.fork()) == 0:
            client.close()
            answer_one(server)
            os._exit(5)
        server.close()
        client.sendall(b"inherited")
        print(client.recv(100), flush=True)
        client.shutdown(socket.SHUT_WR)
        print(client.recv(100), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        client.close()


if __name__ == "__main__":
    way, *rest = sys.argv[1:]
    if way == "asyncio":
        asyncio.run(loop(int(rest[0])))
    else:
        {"serve": serve, "subprocess": subprocesses, "pools": pools, "prefork": prefork}[way](*rest)
