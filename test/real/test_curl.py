"""curl itself under the library: downloads of every kind, and how it fails."""

import re

import harness
import nginx
import pytest
import real

BASE = "http://127.0.0.1:8080"
FORMAT = "%{http_code} %{size_download} %{num_connects} %{num_redirects} %{url_effective} %{errormsg}\n"
MANY = 40


def in_no_time(text):
    return re.sub(r"after \d+ (ms|milliseconds with \d+)", "in time", text)


class Curl:
    """Runs curl into a directory of its own, and tells what is there then."""

    def __init__(self, scene):
        self.scene = scene
        self.shown = {}

    def __call__(self, name, *words):
        directory = self.scene.directory / name.replace(" ", "-")
        directory.mkdir()
        # In parallel it is a race which transfer finds a connection, and a progress meter is shown.
        shape = FORMAT.replace("%{num_connects}", "-") if "--parallel" in words else FORMAT
        argv = [harness.need_tool("curl"), "-q", "-sS", "--max-time", "60", "-w", shape, *words]
        done = self.scene.run(argv, watched=True, cwd=directory)
        files = {path.name: real.sha256(path.read_bytes()) for path in directory.iterdir()}
        lines, said = (in_no_time(text) for text in (done.stdout, done.stderr))
        said = re.findall(r"curl: .*", said)
        self.shown[name] = (done.status, sorted(lines.splitlines()), said, files)
        self.scene.check_end(done.program)


def downloads(scene):
    server = nginx.Nginx(scene, watched=False)
    sums = {name: server.file(name, size) for name, size in (("large.bin", 30_000_000), ("small.bin", 3000))}
    sums |= {f"part{n}": server.file(f"part{n}", 1000 * n) for n in range(MANY)}
    curl = Curl(scene)
    curl("large", "-O", f"{BASE}/large.bin")
    curl("slice", "-O", "-r", "1000-1999999", f"{BASE}/large.bin")
    curl("many", "-O", f"{BASE}/part[0-{MANY - 1}]")
    curl("parallel", "-O", "--parallel", "--parallel-max", "8", f"{BASE}/part[0-{MANY - 1}]")
    curl("each alone", "-O", "--no-keepalive", "-H", "Connection: close", f"{BASE}/part[0-9]")
    curl("proxied", "-O", f"{BASE}/proxy/large.bin")
    curl("ipv6", "-O", "http://[::1]:8080/small.bin")
    curl("name", "-O", "--resolve", "server.test:8080:127.0.0.1", "http://server.test:8080/small.bin")
    curl("moved", "-L", "-o", "word", f"{BASE}/moved")
    curl("around", "-L", "--max-redirs", "5", "-o", "word", f"{BASE}/around")
    curl("missing", "-f", "-o", "nothing", f"{BASE}/nothing")
    curl("refused", "-o", "nothing", "http://127.0.0.1:1/")
    curl("refused in parallel", "--parallel", "-o", "nothing", "http://127.0.0.1:1/", "-O", f"{BASE}/small.bin")
    curl("too slow", "-m", "0.5", "-o", "nothing", f"{BASE}/slow")
    curl("post", "-o", "nothing", "--data-binary", "x" * 50000, f"{BASE}/word")
    curl("http1.0", "-0", "-O", f"{BASE}/small.bin")
    for name in ("many", "parallel"):
        for n in range(MANY):
            assert curl.shown[name][3][f"part{n}"] == sums[f"part{n}"]
    for name, file in (("large", "large.bin"), ("proxied", "large.bin"), ("ipv6", "small.bin")):
        assert curl.shown[name][3][file] == sums[file]
    assert [curl.shown[name][0] for name in ("large", "refused", "too slow", "missing", "around")] == [0, 7, 28, 22, 47]
    return curl.shown


def by_tls(scene):
    server = nginx.Nginx(scene, watched=False, more=nginx.TLS)
    large = server.file("large.bin", 10_000_000)
    server.file("small.bin", 3000)
    curl = Curl(scene)
    trust = ["--cacert", server.directory / "certificate.pem"]
    url = "https://127.0.0.1:8443"
    curl("trusted", *trust, "-O", f"{url}/large.bin")
    curl("several", *trust, "-O", f"{url}/small.bin", "-O", f"{url}/large.bin")
    curl("parallel", *trust, "--parallel", "-O", f"{url}/small.bin", "-O", f"{url}/large.bin")
    curl("older", *trust, "--tls-max", "1.2", "-O", f"{url}/large.bin")
    curl("untrusted", "-O", f"{url}/small.bin")
    curl("plain to tls", "-o", "answer", "http://127.0.0.1:8443/")
    curl("tls to plain", "-o", "answer", "https://127.0.0.1:8080/")
    assert [curl.shown[name][0] for name in ("trusted", "untrusted", "tls to plain")] == [0, 60, 35]
    assert curl.shown["older"][3]["large.bin"] == large
    return curl.shown


@pytest.mark.parametrize("variant", real.VARIANTS)
@pytest.mark.parametrize("workload", [downloads, by_tls])
def test_curl(compare, workload, variant):
    compare(workload, variant)
