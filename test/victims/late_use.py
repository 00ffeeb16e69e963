"""late_use - a Python program that keeps sockets after their end and uses them late.

`late_use.py asyncio|selectors` prints "ready" and obeys one command a line; connections have numbers,
from 0. asyncio: transports whose protocol keeps its own half open. selectors: an EpollSelector, which is
level-triggered, that the program looks at only when told to.

  connect PORT              asyncio: reading. selectors: not registered
  events N                  asyncio: what the protocol was told so far
  send N, eof N, close N    eof: write_eof() or shutdown(SHUT_WR)
  abort N                   asyncio
  register N WHAT, modify N WHAT, unregister N      selectors: r, w, rw
  select                    selectors: what is ready now: "N:EVENTS ..."
  read N                    selectors: number of bytes
  nop
"""

import asyncio
import selectors
import socket
import sys


class Kept(asyncio.Protocol):
    def __init__(self):
        self.events = []
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.events.append(f"data:{len(data)}")

    def eof_received(self):
        self.events.append("eof")
        return True  # the transport stays open

    def connection_lost(self, exc):
        self.events.append(f"lost:{type(exc).__name__}" if exc else "lost")


class Loop:
    """Under asyncio."""

    def __init__(self):
        self.all = []

    async def obey(self, verb, *words):
        if verb == "connect":
            loop = asyncio.get_running_loop()
            _, kept = await loop.create_connection(Kept, "127.0.0.1", int(words[0]))
            self.all.append(kept)
            return str(len(self.all) - 1)
        if verb == "nop":
            return ""
        kept = self.all[int(words[0])]
        if verb == "events":
            return " ".join(kept.events)
        if verb == "send":
            kept.transport.write(b"x")
        else:
            {"eof": kept.transport.write_eof, "close": kept.transport.close, "abort": kept.transport.abort}[verb]()
        return ""

    async def run(self):
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        say("ready")
        while line := await reader.readline():
            try:
                say(f"ok {await self.obey(*line.decode().split())}".rstrip())
            except OSError as error:
                say(f"error {type(error).__name__}")
        for kept in self.all:
            kept.transport.abort()


class Selecting:
    """With a selector, by hand."""

    def __init__(self):
        self.all = []
        self.selector = selectors.EpollSelector()

    def obey(self, verb, *words):
        if verb == "connect":
            self.all.append(socket.create_connection(("127.0.0.1", int(words[0]))))
            return str(len(self.all) - 1)
        if verb == "select":
            ready = self.selector.select(0)
            return " ".join(f"{key.data}:{events}" for key, events in ready)
        if verb == "nop":
            return ""
        number = int(words[0])
        one = self.all[number]
        wanted = (selectors.EVENT_READ if "r" in words[-1] else 0) | (selectors.EVENT_WRITE if "w" in words[-1] else 0)
        if verb == "register":
            self.selector.register(one, wanted, number)
        elif verb == "modify":
            self.selector.modify(one, wanted, number)
        elif verb == "unregister":
            self.selector.unregister(one)
        elif verb == "read":
            return str(len(one.recv(65536)))
        elif verb == "send":
            return str(one.send(b"x"))
        elif verb == "eof":
            one.shutdown(socket.SHUT_WR)
        elif verb == "close":
            one.close()
        return ""

    def run(self):
        say("ready")
        for line in sys.stdin:
            try:
                say(f"ok {self.obey(*line.split())}".rstrip())
            except OSError as error:
                say(f"error {type(error).__name__}")


def say(line):
    print(line, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "asyncio":
        asyncio.run(Loop().run())
    else:
        Selecting().run()
