"""Native frames by name: static and inlined functions, templates, from the live process, from a snapshot, stripped,
and never from another build."""

import json
import re
import shutil
import subprocess

import harness
import pytest
import snapshots

SOURCE = r"""
#include <arpa/inet.h>
#include <cstdio>
#include <functional>
#include <sys/socket.h>
#include <tuple>
#include <unistd.h>

namespace acme {
static inline __attribute__((always_inline)) int connected(int fd, sockaddr_in at)
{
	if (connect(fd, reinterpret_cast<sockaddr *>(&at), sizeof(at)))
		perror("connect");
	return fd;
}

static inline __attribute__((always_inline)) int opened(sockaddr_in at)
{
	return connected(socket(AF_INET, SOCK_STREAM, 0), at); // INLINED
}

template <class T> struct Pool {
	__attribute__((noinline)) int fetch(T at)
	{
		int fd = opened(at); // FETCH
		asm volatile("");
		return fd;
	}
};

static __attribute__((noinline)) int hidden(sockaddr_in at)
{
	Pool<sockaddr_in> pool;
	int fd = pool.fetch(at);
	asm volatile("");
	return fd;
}

/* socket() is called by a function of the standard library, which the compiler put into this one. */
static __attribute__((noinline)) int applied(sockaddr_in at)
{
	int fd = connected(std::apply(socket, std::make_tuple(AF_INET, int(SOCK_STREAM), 0)), at); // APPLIED
	asm volatile("");
	return fd;
}
} // namespace acme

int main(int, char **argv)
{
	sockaddr_in at{};
	at.sin_family = AF_INET;
	at.sin_port = htons(atoi(argv[1]));
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	std::function<int()> call = [&] {
		int fd = acme::hidden(at);
		asm volatile("");
		return fd;
	};
	for (int i = 0; i < 12; i++)
		call();
	acme::applied(at);
	puts("ready");
	fflush(stdout);
	char c;
	while (read(0, &c, 1) > 0)
		continue;
}
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("symbols")
    (folder / "client.cc").write_text("#include <cstdlib>\n" + SOURCE)
    subprocess.run([harness.need_tool("g++"), "-std=c++17", "-O2", "-g", "-Wl,--build-id", "-o", "client",
                    "client.cc"], cwd=folder, check=True)
    return folder


def line_of(built, mark):
    lines = (built / "client.cc").read_text().splitlines()
    return next(n for n, line in enumerate(lines, 1) if mark in line)


@pytest.fixture
def running(built, start, tmp_path, peer):
    """The client from a place of its own, with twelve leaked connections, and its snapshot in a file."""
    program = tmp_path / "client"
    shutil.copy(built / "client", program)
    started = start([str(program), str(peer.port)], options={"deadline": "100ms"})
    started.ready()
    for connection in [peer.accept()[0] for _ in range(13)]:
        connection.close()
    harness.wait_until(lambda: started.report()["totals"]["stuck"] == 13, "stuck connections")
    return started


def named(of):
    snapshot = json.loads(snapshots.command("report", "--json", of))
    harness.check_snapshot(snapshot)
    return snapshot["sites"]


def check_names(sites, built):
    site = next(s for s in sites if s["stuck"] == 12)
    functions = [f["function"] for f in site["frames"]]
    at = functions.index("acme::opened")
    assert functions[at:at + 3] == ["acme::opened", "acme::Pool<sockaddr_in>::fetch", "acme::hidden"]
    assert functions[at + 3].endswith("<lambda>::operator()")
    assert "main" in functions
    inlined, fetch = site["frames"][at], site["frames"][at + 1]
    assert inlined["line"] == line_of(built, "// INLINED") and inlined["file"].endswith("client.cc")
    assert fetch["line"] == line_of(built, "// FETCH")
    assert inlined["offset"] == fetch["offset"]
    assert site["blame"] == f"acme::opened (client.cc:{inlined['line']})"
    assert site["blame_where"] == f"client.cc:{inlined['line']}" and site["blame_frame"] == at
    assert any(f["role"] == "library" and "std::function" in f["function"] for f in site["frames"] if f["function"])


def test_live(running, built):
    check_names(named(running.pid), built)


def test_code_of_others_in_the_same_module_is_not_blamed(running, built):
    site = next(s for s in named(running.pid) if s["stuck"] == 1)
    frames = site["frames"]
    first = next(f for f in frames if (f["function"] or "").startswith("std::"))
    assert first["role"] == "library", first
    assert site["blame"] == f"acme::applied (client.cc:{line_of(built, '// APPLIED')})"
    assert frames[site["blame_frame"]]["offset"] == first["offset"], "inlined at the same call"


def test_from_a_snapshot_and_once_more(running, built, tmp_path):
    sites = named(running.json_path)
    check_names(sites, built)
    (tmp_path / "named.json").write_bytes(snapshots.command("report", "--json", running.json_path))
    assert named(tmp_path / "named.json") == sites
    assert b"acme::opened (client.cc:" in snapshots.command("report", "--format", "folded", running.json_path)


def test_stripped(running, built, tmp_path):
    """Nothing is invented; with its debug file beside it, everything is known again."""
    program = tmp_path / "client"
    program.rename(tmp_path / "old")
    subprocess.run(["strip", "-o", program, built / "client"], check=True)
    site = next(s for s in named(running.json_path) if s["stuck"] == 12)
    assert site["blame"].startswith("client+0x") and site["blame_where"] is None
    subprocess.run(["objcopy", "--only-keep-debug", built / "client", tmp_path / "client.debug"], check=True)
    subprocess.run(["objcopy", "--add-gnu-debuglink=client.debug", program], cwd=tmp_path, check=True)
    check_names(named(running.json_path), built)


def test_another_build_says_nothing(running, built, tmp_path):
    program = tmp_path / "client"
    program.rename(tmp_path / "old")
    subprocess.run(["g++", "-std=c++17", "-O1", "-g", "-Wl,--build-id", "-o", program, built / "client.cc"], check=True)
    for of in (running.json_path, running.pid):
        site = next(s for s in named(of) if s["stuck"] == 12)
        assert site["blame"].startswith("client+0x"), site["blame"]


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"\x7fELF\x02\x01\x01" + b"\xff" * 500])
def test_a_damaged_module_says_nothing(running, tmp_path, content):
    program = tmp_path / "client"
    program.rename(tmp_path / "old")
    program.write_bytes(content)
    site = next(s for s in named(running.json_path) if s["stuck"] == 12)
    assert site["blame"].startswith("client+0x")


RUST = """
use std::collections::HashMap;

fn main() {
    let mut words: HashMap<String, Vec<u64>> = HashMap::new();
    for i in 0..std::env::args().count() as u64 {
        words.entry(format!("{}", i)).or_default().push(i);
    }
    let mut all: Vec<_> = words.values().flatten().map(|x| x * 2).collect();
    all.sort_by(|a, b| b.cmp(a));
    std::thread::spawn(move || println!("{:?}", all)).join().unwrap();
}
"""


def compiled(compiler, folder):
    """An optimized program with debug information."""
    tool = harness.need_tool(compiler)
    if compiler == "rustc":
        (folder / "client.rs").write_text(RUST)
        words = [tool, "-g", "-O", "-C", "link-arg=-Wl,--build-id", "-o", "client", "client.rs"]
    else:
        (folder / "client.cc").write_text("#include <cstdlib>\n" + SOURCE)
        words = [tool, "-std=c++17", "-O2", "-g", "-Wl,--build-id", "-o", "client", "client.cc"]
    subprocess.run(words, cwd=folder, check=True, capture_output=True)
    return folder / "client"


def code_of(program, parts):
    """So many addresses, all over its code."""
    listed = subprocess.run(["readelf", "-SW", program], capture_output=True, text=True, check=True).stdout
    begin, n = (int(word, 16) for word in re.search(r" \.text +PROGBITS +(\w+) +\w+ +(\w+)", listed).groups())
    return [begin + n * i // parts for i in range(parts)]


def lines_by_llvm(program, addresses):
    """For each address the lines in the source, those of inlined functions first; 0: not known. (addr2line of binutils loses what
    is inlined at some addresses of clang's programs.)"""
    words = [harness.need_tool("llvm-symbolizer"), "-a", "--output-style=GNU", "-e", program, *map(hex, addresses)]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    parts = [part.splitlines()[2::2] for part in re.split(r"^0x", said, flags=re.MULTILINE)[1:]]
    return [[int(re.search(r":(\d+)", line).group(1)) for line in part if line] for part in parts]


@pytest.mark.parametrize("compiler", ["g++", "clang++", "rustc"])
def test_inlined_functions_as_llvm_knows_them(tmp_path, compiler):
    """Many addresses of one program, a site each; among them all kinds of entries that a compiler writes."""
    program = compiled(compiler, tmp_path)
    addresses = code_of(program, 400)
    notes = subprocess.run(["readelf", "-n", program], capture_output=True, text=True, check=True).stdout
    build_id = re.search(r"Build ID: (\w+)", notes).group(1)
    snapshot = snapshots.incident(500, detail=False, spread=len(addresses) // 5, check=False)
    for site, address in zip(snapshot["sites"], addresses):
        site.update(kind="native", frames=[snapshots.native_frame("application", None, str(program), address, build_id)])
    (tmp_path / "snapshot.json").write_text(json.dumps(snapshot))
    of = {site["frames"][0]["offset"]: site["frames"] for site in named(tmp_path / "snapshot.json")}
    compared = 0
    for address, known in zip(addresses, lines_by_llvm(program, addresses)):
        found = [frame["line"] or 0 for frame in of[address]]
        if len(known) <= 16 and 0 not in known and found[0]:  # line 0: the compiler's own code
            assert found == known, (hex(address), of[address])
            compared += 1
    assert compared > len(addresses) // 10
