"""Servers, JVMs and what the kernel counts in a private network: for tests with real programs."""

import os

import harness

JAVA = harness.ROOT / "test" / "java"
JARS = "httpclient httpcore commons-logging commons-codec".split()
PLACE = "127.0.0.1:8080"  # nobody else is in a private network
IS_STRESS = os.environ.get("SOCKLEAK_STRESS", "0") != "0"  # `make stress`: minutes, not seconds


def java(main, *words):
    """The words that run a class of test/java."""
    jars = [f"/usr/share/java/{name}.jar" for name in JARS]
    for jar in jars:
        if not os.path.exists(jar):
            raise harness.Forbidden(jar)
    path = ":".join([str(harness.BUILD / "java"), *jars])
    return [harness.need_tool("java"), "-Xshare:auto", "-cp", path, main, *map(str, words)]


def start_nginx(start, network, directory, config, place=PLACE, **more):
    """An nginx in the network, listening."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "nginx.conf"
    path.write_text(config)
    nginx = harness.need_tool("nginx")
    argv = [nginx, "-p", directory, "-e", directory / "nginx.log", "-c", path]
    program = start(argv, network=network, **more)
    is_listening = lambda: place in network.run("ss", "-tlnH") or not program.is_alive()
    harness.wait_until(is_listening, "nginx to listen")
    assert program.is_alive(), program.stderr()
    return program


def web_config(directory, keepalive, place=PLACE):
    """A server that answers "ok" and ends idle connections."""
    config = (JAVA / "nginx.conf.in").read_text()
    for word, value in (("DIR", directory), ("KEEPALIVE", keepalive), ("LISTEN", place)):
        config = config.replace(f"@{word}@", str(value))
    return config


def tcp_counter(network, name):
    """One number of /proc/net/snmp's Tcp line: of the whole network, both sides."""
    lines = [line.split() for line in network.run("cat", "/proc/net/snmp").splitlines()]
    names, values = [words[1:] for words in lines if words[0] == "Tcp:"]
    return int(dict(zip(names, values))[name])


def resets(network):
    """Connections that ended by RST, sent or received, on either side."""
    return tcp_counter(network, "OutRsts"), tcp_counter(network, "EstabResets")


def count_states(program, network=None):
    states = {}
    for state, _, _ in harness.ss_sockets(program.pid, network):
        states[state] = states.get(state, 0) + 1
    return states


def cpu_ms(pid):
    """Processor time of a process so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1000 // os.sysconf("SC_CLK_TCK")
