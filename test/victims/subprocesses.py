"""Starts programs in every way that Python's subprocess knows, among threads that open sockets, and prints what came of it."""

import os
import signal
import socket
import subprocess
import sys
import threading

is_over = threading.Event()
wrong = []


def connect_all_the_time():
    while not is_over.is_set():
        with socket.create_server(("127.0.0.1", 0)) as server:
            with socket.create_connection(server.getsockname()) as near, server.accept()[0] as far:
                near.sendall(b"x")
                if far.recv(1) != b"x":
                    wrong.append("a byte")


LISTING = "import os; print([fd for fd in range(64) if os.path.exists(f'/proc/self/fd/{fd}')])"


def run(*argv, **more):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, **more)
    stderr = [line for line in done.stderr.splitlines() if not line.startswith("sockleak")]
    print(argv[-1][:40], done.returncode, done.stdout.split(), stderr)


def run_all(far):
    python = [sys.executable, "-S", "-E", "-c"]
    for close_fds in (True, False):
        run("true", close_fds=close_fds)
        run("sh", "-c", "echo out; echo err >&2; exit 3", close_fds=close_fds)
        run("sh", "-c", "kill -TERM $$", close_fds=close_fds)
        run("cat", input="through a pipe", close_fds=close_fds)
        run("sh", "-c", "pwd", cwd="/", close_fds=close_fds)
        run("sh", "-c", "echo $ONE", env={**os.environ, "ONE": "1"}, close_fds=close_fds)
        run("sh", "-c", "exit 4", start_new_session=True, close_fds=close_fds)
        run("sh", "-c", "exit 5", preexec_fn=os.getpid, close_fds=close_fds)
        run("sh", "-c", "umask", umask=0o77, close_fds=close_fds)
        run("exit 6", shell=True, close_fds=close_fds)
    run(*python, LISTING)
    # Ours is passed on, and written to by the child.
    run(*python, "import os; print(os.write(9, b'child'))", pass_fds=(far,))
    for name in ("/nonexistent", "/etc/passwd"):
        try:
            subprocess.run([name], check=False)
        except OSError as error:
            print(name, error.errno)
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.send_signal(signal.SIGKILL)
    print(child.communicate()[0], child.returncode)
    print(os.system("exit 7"), os.waitstatus_to_exitcode(os.system("kill -HUP $$")))
    print(os.popen("echo by popen").read())
    pid = os.posix_spawnp("sh", ["sh", "-c", "exit 8"], os.environ)
    print(os.waitpid(pid, 0)[1])


def main():
    server = socket.create_server(("127.0.0.1", 0))
    near = socket.create_connection(server.getsockname())
    os.dup2(server.accept()[0].detach(), 9)
    threads = [threading.Thread(target=connect_all_the_time) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        run_all(9)
        print(near.recv(5))
    is_over.set()
    for thread in threads:
        thread.join()
    near.sendall(b"still there")
    print(os.read(9, 20), wrong)


if __name__ == "__main__":
    main()
