"""PostgreSQL for tests: its programs, and a fresh cluster. It does not run as root: in a user namespace below that of the
private network, root goes by postgres's number."""

import functools
import pathlib
import pwd
import subprocess
import tempfile

import harness

INITDB = ["--auth=trust", "--username=postgres", "--no-sync", "--no-instructions", "--locale=C.UTF-8"]


class AsPostgres:
    """A private network, for programs that take themselves for postgres's."""

    def __init__(self, network):
        self.network = network
        try:
            self.user = pwd.getpwnam("postgres")
        except KeyError:
            raise harness.Forbidden("the user postgres") from None

    def prefix(self):
        map_to = [f"--map-user={self.user.pw_uid}", f"--map-group={self.user.pw_gid}"]
        return [*self.network.prefix(), "unshare", "--user", *map_to]

    def __getattr__(self, name):
        return getattr(self.network, name)


def tool(name):
    """A program of the newest PostgreSQL that is installed."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if not found:
        raise harness.Forbidden(f"PostgreSQL's {name}")
    return found[-1]


@functools.lru_cache(maxsize=None)
def template():
    """A fresh cluster, made once, without the library. The folder goes with the object."""
    folder = tempfile.TemporaryDirectory()
    network = harness.PrivateNetwork()
    words = [*AsPostgres(network).prefix(), tool("initdb"), "-D", f"{folder.name}/data", *INITDB]
    subprocess.run(words, check=True, capture_output=True, timeout=120)
    network.close()
    return folder
