"""`sockleak run`: what can be preloaded is started, what cannot is told why, and what to do instead."""

import os
import shutil
import struct
import subprocess

import cli
import harness
import pytest

EMPTY = "int main(void) { return 0; }\n"


def test_the_program_runs_with_the_library():
    done = cli.run("run", "-o", "deadline=5s", "-o", "depth=7", "--", "sh", "-c",
                   'echo "$LD_PRELOAD|$SOCKLEAK_OPTIONS"; grep -c libsockleak /proc/self/maps >/dev/null && exit 7', code=7)
    assert done.stdout == f"{harness.LIBRARY}|deadline=5s depth=7\n" and done.stderr == ""


def test_variables_are_merged():
    env = {"LD_PRELOAD": "libm.so.6", "SOCKLEAK_OPTIONS": "deadline=9s warn_at=off"}
    text = cli.output("run", "-o", "deadline=5s", "sh", "-c", 'echo "$LD_PRELOAD|$SOCKLEAK_OPTIONS"', env=env)
    assert text == f"{harness.LIBRARY}:libm.so.6|deadline=9s warn_at=off deadline=5s\n"
    env = {"LD_PRELOAD": str(harness.LIBRARY), "SOCKLEAK_OPTIONS": ""}
    assert cli.output("run", "sh", "-c", "echo $LD_PRELOAD", env=env) == f"{harness.LIBRARY}\n"


def test_arguments_of_the_program_are_its_own():
    assert cli.output("run", "echo", "-o", "--help", "x") == "-o --help x\n"


@pytest.mark.parametrize("code", [0, 1, 77])
def test_exit_status_is_the_programs(code):
    cli.run("run", "--", "sh", "-c", f"exit {code}", code=code)


def test_death_by_signal_is_the_programs():
    done = subprocess.run([cli.SOCKLEAK, "run", "sh", "-c", "kill -9 $$"], check=False, timeout=30)
    assert done.returncode == -9


def test_bad_options_start_nothing(tmp_path):
    for options, said in (
        ("deadline=5", "deadline=5: no unit; allowed: 100ms..24h"),
        ("deadlin=5s", "unknown option 'deadlin'"),
        ("action=kill", "allowed: report, shutdown, neutralize, close"),
        ("only=example.org", "only=example.org"),
        ("deadline", "not key=value"),
    ):
        line = cli.refusal("run", "-o", options, "touch", tmp_path / "started", code=cli.USAGE)
        assert said in line, line
    assert not (tmp_path / "started").exists()
    assert "which command?" in cli.refusal("run", "-o", "deadline=5s", code=cli.USAGE)


def test_what_cannot_be_executed(tmp_path):
    assert "No such file" in cli.refusal("run", "no-such-program-here", code=cli.NOT_FOUND)
    assert "No such file" in cli.refusal("run", tmp_path / "nothing", code=cli.NOT_FOUND)
    plain = cli.write(tmp_path / "plain", "x")
    assert "Permission denied" in cli.refusal("run", plain, code=cli.CANNOT_RUN)
    assert "Permission denied" in cli.refusal("run", tmp_path, code=cli.CANNOT_RUN)


def compiled(compiler, source, path, *flags):
    done = subprocess.run([harness.need_tool(compiler), *flags, "-x", "c", "-", "-o", path], input=source, text=True,
                          capture_output=True, check=False)
    if done.returncode:
        raise harness.Forbidden(f"{compiler} {' '.join(flags)}: {done.stderr[:200]}")
    return path


def test_static_programs(tmp_path):
    path = compiled("gcc", EMPTY, tmp_path / "static", "-static")
    line = cli.refusal("run", path, code=cli.NO_LIBRARY)
    assert "linked statically" in line and "sockleak report PID" in line
    path = compiled("gcc", EMPTY, tmp_path / "static-pie", "-static-pie")
    assert "linked statically" in cli.refusal("run", path, code=cli.NO_LIBRARY)
    done = cli.run("run", "--anyway", path)
    assert "linked statically" in done.stderr


def test_musl_programs(tmp_path):
    path = compiled("musl-gcc", EMPTY, tmp_path / "musl")
    assert "uses musl" in cli.refusal("run", path, code=cli.NO_LIBRARY)


def test_go_programs(tmp_path):
    go = harness.need_tool("go")
    cli.write(tmp_path / "main.go", "package main\nfunc main() {}\n")
    env = {**os.environ, "CGO_ENABLED": "0", "GOCACHE": str(tmp_path / "cache"), "GO111MODULE": "off"}
    subprocess.run([go, "build", "-o", tmp_path / "go", tmp_path / "main.go"], env=env, check=True, timeout=60,
                   capture_output=True)
    assert "Go program without libc" in cli.refusal("run", tmp_path / "go", code=cli.NO_LIBRARY)


def elf_head(is_64, machine):
    """The head of a program with one segment, of type PT_LOAD."""
    ident = b"\x7fELF" + bytes([2 if is_64 else 1, 1, 1]) + bytes(9)
    if is_64:
        return ident + struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0) + bytes([1]) + bytes(55)
    return ident + struct.pack("<HHIIIIIHHHHHH", 2, machine, 1, 0, 52, 0, 0, 52, 32, 1, 0, 0, 0) + bytes([1]) + bytes(31)


def test_programs_of_another_class_or_machine(tmp_path):
    path = tmp_path / "other"
    for head, said in ((elf_head(False, 3), "a 32-bit program for i386"), (elf_head(True, 243), "for riscv"),
                       (elf_head(True, 4711), "for machine 4711")):
        path.write_bytes(head)
        path.chmod(0o755)
        line = cli.refusal("run", path, code=cli.NO_LIBRARY)
        assert said in line and "sockleak reap PID" in line


def test_damaged_programs_are_not_believed(tmp_path):
    """Cut anywhere, it is refused in one line, and no shell takes its bytes for commands."""
    real = open("/bin/true", "rb").read()
    path = tmp_path / "cut"
    for n in (4, 5, 18, 20, 63, 64, 100, 200, 700):
        path.write_bytes(real[:n])
        path.chmod(0o755)
        assert "a damaged program" in refused_in(tmp_path, "run", path), n
    path.write_bytes(real[:32] + b"\xff" * 8 + real[40:])  # where its segments are
    assert "a damaged program" in refused_in(tmp_path, "run", "--anyway", path)
    script = cli.write(tmp_path / "script", f"#!{path}\necho never\n")
    script.chmod(0o755)
    assert f"{path}: a damaged program" in refused_in(tmp_path, "run", script)
    assert f"{path}: a damaged program" in cli.run("doctor", path, code=cli.CANNOT_RUN).stdout


def refused_in(directory, *words):
    """The line of a refusal with 126; nothing came to lie in the directory, where the command was called."""
    before = sorted(os.listdir(directory))
    done = subprocess.run([cli.SOCKLEAK, *words], capture_output=True, text=True, check=False, timeout=30, cwd=directory)
    assert (done.returncode, done.stdout, sorted(os.listdir(directory))) == (cli.CANNOT_RUN, "", before), done
    assert done.stderr.count("\n") <= 2 and done.stderr.startswith("sockleak: "), done.stderr
    return done.stderr


def test_no_shell_runs_what_is_no_text(tmp_path):
    """A program for another machine, even with --anyway; and what is no program at all."""
    path = tmp_path / "other"
    for content in (elf_head(True, 243), b"\0asm\1\0\0\0\necho >junk", b"echo >junk \0\n", b"\xca\xfe\xba\xbe\0\0"):
        path.write_bytes(content)
        path.chmod(0o755)
        assert "Exec format error" in refused_in(tmp_path, "run", "--anyway", path)
    path.write_text("echo $0 $1; exit 4")
    assert cli.run("run", path, "word", code=4).stdout == f"{path} word\n"
    path.write_text("")
    cli.run("run", path)
    path.write_bytes(b"exit 5\n\0\0\0")  # an archive behind its script
    cli.run("run", path, code=5)


def test_scripts_are_judged_by_their_interpreter(tmp_path):
    static = compiled("gcc", EMPTY, tmp_path / "static", "-static")
    script = cli.write(tmp_path / "script", f"#!{static}\n")
    script.chmod(0o755)
    assert "linked statically" in cli.refusal("run", script, code=cli.NO_LIBRARY)
    script.write_text("#!/nowhere/at/all\n")
    line = cli.refusal("run", script, code=cli.NOT_FOUND)
    assert "its interpreter /nowhere/at/all" in line and str(script) in line
    script.write_text("#!/bin/sh\nexit 9\n")
    cli.run("run", script, code=9)
    script.write_text("#!/usr/bin/env -S sh -e\nexit 8\n")
    cli.run("run", script, code=8)
    script.write_text("exit 6\n")  # as execvp() does
    cli.run("run", script, code=6)
    script.write_text(f"#!{script}\n")
    assert "Too many levels" in cli.refusal("run", script, code=cli.CANNOT_RUN)


def test_set_user_id_programs():
    words = cli.as_plain_user(cli.SOCKLEAK)
    with cli.open_directory() as directory:
        path = f"{directory}/suid"
        shutil.copy("/bin/true", path)
        os.chmod(path, 0o4755)
        line = cli.refusal("run", path, code=cli.NO_LIBRARY, wrap=words)
        assert "set-user-ID" in line and "sudo sockleak run -- CMD" in line
        os.chmod(path, 0o2755)
        assert "set-group-ID" in cli.refusal("run", path, code=cli.NO_LIBRARY, wrap=words)
        cli.run("run", path)  # its owner's own


def test_programs_with_file_capabilities():
    words = cli.as_plain_user(cli.SOCKLEAK)
    setcap = harness.need_tool("setcap")
    with cli.open_directory() as directory:
        path = f"{directory}/capable"
        shutil.copy("/bin/true", path)
        done = subprocess.run([setcap, "cap_net_bind_service=ep", path], capture_output=True, text=True, check=False)
        if done.returncode:
            raise harness.Forbidden(f"file capabilities: {done.stderr}")
        line = cli.refusal("run", path, code=cli.NO_LIBRARY, wrap=words)
        assert "file capabilities" in line and "AmbientCapabilities" in line


def test_no_library_beside_the_command(tmp_path):
    alone = tmp_path / "sockleak"
    shutil.copy(cli.SOCKLEAK, alone)
    done = subprocess.run([alone, "run", "true"], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == cli.NO_LIBRARY and "make install" in done.stderr


def test_installed_library_is_found(tmp_path):
    for folder, file in (("bin", cli.SOCKLEAK), ("lib/sockleak", harness.LIBRARY)):
        (tmp_path / folder).mkdir(parents=True)
        shutil.copy(file, tmp_path / folder)
    done = subprocess.run([tmp_path / "bin/sockleak", "run", "sh", "-c", "echo $LD_PRELOAD"], capture_output=True,
                          text=True, check=True, timeout=30)
    assert done.stdout == f"{tmp_path}/lib/sockleak/libsockleak.so\n"
