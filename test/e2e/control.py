"""A client of the control socket, by the letter of docs/control.md."""

import json
import os
import pathlib
import socket


def start_time(pid):
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[19]


def name_of(pid):
    return f"{pid}.{start_time(pid)}"


def places(pid, directory=None):
    """Where its socket may be, in the order in which the library looks."""
    uid = os.stat(f"/proc/{pid}").st_uid
    found = [directory] if directory else []
    found += ["/run/sockleak", f"/tmp/sockleak-{uid}"]
    return [f"{place}/{name_of(pid)}.sock" for place in found]


class Refused(Exception):
    """The code and the words of an error."""


def connect(address, patience_s=30):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(patience_s)
    try:
        client.connect(address)
    except BaseException:
        client.close()
        raise
    return client


def read_answer(client):
    """The bytes of an answer; Refused."""
    with client.makefile("rb") as stream:
        head = stream.readline().decode()
        words = head.split(maxsplit=3)
        if words[:2] != ["sockleak/1", "ok"]:
            assert words[:2] == ["sockleak/1", "error"], head
            raise Refused(words[2], words[3].strip())
        body = b""
        while True:
            length = int(stream.readline())
            if length == 0:
                return body
            chunk = stream.read(length)
            assert len(chunk) == length
            body += chunk


def ask(address, request):
    with connect(address) as client:
        client.sendall(f"sockleak/1 {request}\n".encode())
        return read_answer(client)


def ask_json(address, request):
    return json.loads(ask(address, request))
