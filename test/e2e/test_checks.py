"""The checks of `make check` can fail: each one sees a bad example made for it."""
import os
import pathlib
import shutil
import subprocess

import harness
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"
LINK = ["-shared", "-fPIC", "-Wl,-z,now", "-Wl,-z,relro", "-Wl,-z,nodelete", "-Wl,--as-needed"]

HOOKS = """\
/* SL_HOOK(ret, fail, name, (params), (args)) */
SL_HOOK(int, -1, first, (int a, int b), (a, b))
SL_HOOK(void *, NULL, second, (void (*f)(int, int)), (f))
"""
TESTS = """\
static void test_hook_first(void **state)
{
}
static void test_hook_second(void **state)
{
}
const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_hook_first),
	cmocka_unit_test_setup(test_hook_second, setup),
};
"""
EXPORT = '__attribute__((visibility("default")))'
CODE = f"{EXPORT} int first(int a, int b) {{ return a + b; }}\n{EXPORT} void *second(void) {{ return 0; }}\n"


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def run(script, *arguments):
    """Exit code and output of a check script."""
    done = subprocess.run(
        [SCRIPTS / script, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    return done.returncode, done.stdout


def test_a_table_that_names_no_test(tmp_path):
    rows = (
        ("| pipes | as without | `fds::pipes` |", True),
        ("| pipes | as without | `test_it.py::test_it` `hooks_it::works` |", True),
        ("| pipes | as without | `fds::pipe` |", False),
        ("| pipes | as without | `test_it.py::test_i` |", False),
        ("| pipes | as without | by hand |", False),
    )
    write(tmp_path, {
        "test/transparent/fds.c": "\tCASE(pipes),\n",
        "test/unit/hooks_it.c": "cmocka_unit_test(works),\n",
        "test/e2e/test_it.py": "def test_it(start):\n",
    })
    for row, is_good in rows:
        table = f"| what | outcome | test |\n|---|---|---|\n{row}\n"
        write(tmp_path, {"docs/compatibility.md": table})
        output = run("check-docs", tmp_path)[1]
        assert ("compatibility.md:3" not in output) == is_good, output


def test_a_table_that_expects_something_else_of_the_corpus(tmp_path):
    shutil.copytree(ROOT / "test" / "corpus", tmp_path / "test" / "corpus")
    document = (ROOT / "docs" / "diagnosis.md").read_text()
    rows = [line for line in document.splitlines() if line.startswith("| socket-forgotten |")]
    for old, new, said in (
        ("", "", ""),
        ("`ForgottenSocket.get(", "`ForgottenSocket.put(", "the row of socket-forgotten"),
        (rows[0] + "\n", "", "the row of socket-forgotten"),
        ("| socket-forgotten |", "| forgotten |", "forgotten: no such case"),
    ):
        write(tmp_path, {"docs/diagnosis.md": document.replace(old, new, 1)})
        output = run("check-docs", tmp_path)[1]
        assert said in output and bool(said) == ("docs/diagnosis.md" in output), output


def compile_object(root, code, *options):
    source, target = root / "object.c", root / "object.so"
    source.write_text(code)
    command = ["gcc", "-O1", "-fvisibility=hidden", source, "-o", target, *LINK, *options]
    subprocess.run(command, check=True, timeout=60)
    return target


# ---- check-layers ----


def test_layers_accepts_includes_that_point_down(tmp_path):
    files = {
        "src/preload.c": '#include "hooks/a.h"\n#include <stdio.h>\n',
        "src/hooks/a.h": '#include "base/b.h"\n#include "sockleak.h"\n',
        "src/cli/top.c": '#include "report/r.h"\n',
        "src/report/r.h": '#include "watch/w.h"\n',
        "src/watch/w.h": "",
        "src/base/b.h": "",
    }
    write(tmp_path, files)
    assert run("check-layers", tmp_path)[0] == 0


@pytest.mark.parametrize(
    ("file", "include", "said"),
    [
        ("src/base/up.c", "hooks/a.h", 'base lies below "hooks/a.h"'),
        ("src/ledger/up.h", "stack/s.h", 'ledger lies below "stack/s.h"'),
        ("src/watch/up.c", "report/r.h", 'watch lies below "report/r.h"'),
        ("src/cli/verb.c", "hooks/a.h", 'cli lies below "hooks/a.h"'),
        ("src/hooks/near.c", "a.h", "not a path relative to src/"),
        ("src/other/new.c", "base/b.h", "no such layer: other"),
        ("src/main.c", "base/b.h", "only attach, preload, start"),
    ],
)
def test_layers_refuses(tmp_path, file, include, said):
    files = dict.fromkeys(["src/hooks/a.h", "src/stack/s.h", "src/report/r.h", "src/base/b.h"], "")
    write(tmp_path, {**files, file: f'\n#include "{include}"\n'})
    code, output = run("check-layers", tmp_path)
    assert code == 1
    assert file in output and said in output


def test_layers_refuses_an_empty_tree(tmp_path):
    (tmp_path / "src").mkdir()
    assert run("check-layers", tmp_path)[0] == 1


# ---- check-hooks ----


def test_hooks_accepts_a_test_for_each_row(tmp_path):
    write(tmp_path, {"src/hooks/hooks.def": HOOKS, "test/unit/hooks_all.c": TESTS})
    assert run("check-hooks", tmp_path)[0] == 0


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        (TESTS.replace("test_hook_second", "test_hook_third"), "second: no test_hook_second()"),
        (TESTS.replace("	cmocka_unit_test(test_hook_first),\n", ""), "first: test_hook_first() is never"),
        (TESTS.replace("	cmocka_unit_test(test", "	// cmocka_unit_test(test"), "first: test_hook_first() is"),
        ("", "first: no test_hook_first()"),
    ],
    ids=["misnamed", "unregistered", "commented out", "none"],
)
def test_hooks_refuses(tmp_path, tests, said):
    write(tmp_path, {"src/hooks/hooks.def": HOOKS, "test/unit/hooks_all.c": tests})
    code, output = run("check-hooks", tmp_path)
    assert code == 1
    assert said in output


@pytest.mark.parametrize(
    "table",
    ["", "/* nothing */\n", "SL_HOOK(int, -1)\n", "SL_HOOK(int, -1, first, (int a\n", HOOKS + HOOKS],
    ids=["empty", "comment", "short", "open", "twice"],
)
def test_hooks_refuses_a_table_that_it_cannot_read(tmp_path, table):
    write(tmp_path, {"src/hooks/hooks.def": table, "test/unit/hooks_all.c": TESTS})
    assert run("check-hooks", tmp_path)[0] == 1


# ---- check-exports ----


@pytest.fixture
def table(tmp_path):
    write(tmp_path, {"src/hooks/hooks.def": HOOKS})
    return tmp_path


def test_exports_accepts_hooks_and_public_api(table):
    header = "/* sockleak_old() is gone */\nint sockleak_report(int fd);\n"
    write(table, {"include/sockleak.h": header})
    path = compile_object(table, CODE + f"{EXPORT} int sockleak_report(int fd) {{ return fd; }}\n")
    code, output = run("check-exports", table, path)
    assert code == 0, output


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (CODE + f"{EXPORT} int helper;\n", "helper: exported, in none"),
        (CODE.replace("second", "other"), "second: in hooks.def, sockleak.h or attach.h, not exported"),
        (CODE + f"{EXPORT} void sockleak_report(void) {{}}\n", "sockleak_report: exported, in none"),
    ],
)
def test_exports_refuses(table, code, said):
    result, output = run("check-exports", table, compile_object(table, code))
    assert result == 1
    assert said in output


def test_exports_refuses_a_missing_object(table):
    assert run("check-exports", table, table / "absent.so")[0] == 1


# ---- check-object ----


def test_object_accepts_a_harmless_one(tmp_path):
    calls_libc = f"int getpid(void);\n{EXPORT} int third(void) {{ return getpid(); }}\n"
    code, output = run("check-object", compile_object(tmp_path, CODE + calls_libc))
    assert code == 0, output


@pytest.mark.parametrize(
    ("call", "options", "said"),
    [
        ("extern void exit(int); {f} exit(1); {e}", (), "imports exit, which ends the process"),
        ("extern void abort(void); {f} abort(); {e}", (), "imports abort, which ends the process"),
        ("#include <assert.h>\n{f} assert(x); {e}", (), "imports __assert_fail"),
        ("#include <stdlib.h>\n{f} p = malloc(x); {e}", (), "imports malloc, which allocates"),
        ("#include <stdlib.h>\n{f} free(p); {e}", (), "imports free, which allocates"),
        ("#include <string.h>\n{f} p = strdup(p); {e}", (), "imports strdup, which allocates"),
        ("#include <stdio.h>\n{f} printf(p, x); {e}", (), "imports printf, which is stdio"),
        ("#include <stdio.h>\n{f} p = fopen(p, p); {e}", (), "imports fopen, which is stdio"),
        ("#include <stdio.h>\n{f} fputs(p, stderr); {e}", (), "imports stderr, which is stdio"),
        ("#include <time.h>\n{f} p = localtime(p); {e}", (), "imports localtime, which depends"),
        ("{f} {e}", ("-Wl,--no-as-needed", "-lm"), "NEEDED libm.so.6"),
        ("__thread int t; {f} p = (void *)&t; {e}", ("-fvisibility=default",), "__tls_get_addr"),
        (EXPORT + " void _Unwind_Resume(void *q) {{ p = q; }} {f} {e}", (), "exports _Unwind_Resume"),
        ("{f} {e}", ("-Wl,-z,lazy",), "not linked with -z now"),
        ("{f} {e}", ("-Wl,-z,norelro",), "not linked with -z relro"),
        ("{f} {e}", ("-Wl,-z,execstack",), "wants an executable stack"),
    ],
    ids=lambda value: value if isinstance(value, str) and "{" not in value else "",
)
def test_object_refuses(tmp_path, call, options, said):
    head = "void *volatile p; int volatile x;\n"
    body = call.format(f=f"{EXPORT} void first(void) {{", e="}")
    path = compile_object(tmp_path, head + "void first(void);\n" + body + "\n", "-fno-builtin", "-w", *options)
    code, output = run("check-object", path)
    assert code == 1
    assert said in output


def test_object_refuses_one_that_can_be_unloaded(tmp_path):
    source, path = tmp_path / "object.c", tmp_path / "object.so"
    source.write_text(CODE)
    command = ["gcc", "-shared", "-fPIC", "-Wl,-z,now", source, "-o", path]
    subprocess.run(command, check=True, timeout=60)
    code, output = run("check-object", path)
    assert code == 1
    assert "not linked with -z nodelete" in output


# ---- lint ----

C_FUNCTION = "int sl_f(int *p);\nint sl_f(int *p)\n{{\n\t{};\n}}\n"


@pytest.mark.parametrize(
    ("file", "text", "tool"),
    [
        ("src/base/bad.c", "int  sl_bad( void ){return 0;}\n", "clang-format"),
        ("src/base/bad.c", C_FUNCTION.format("int x = *p;\n\n\treturn p ? x : 0"), "cppcheck"),
        ("src/base/bad.c", C_FUNCTION.format("p = 0;\n\treturn *p"), "clang-tidy"),
        ("scripts/bad", "#!/bin/bash\nrm -rf $1/*\n", "shellcheck"),
        ("scripts/good", "#!/bin/bash\necho\n", None),
    ],
    ids=["clang-format", "cppcheck", "clang-tidy", "shellcheck", "none"],
)
def test_lint_refuses(tmp_path, file, text, tool):
    good = {
        "src/base/good.c": C_FUNCTION.format("return *p"),
        "include/x.h": "",
        "test/x.h": "",
        ".ci/run": "#!/bin/bash\n",
    }
    write(tmp_path, {**good, "scripts/good": "#!/bin/bash\necho\n", file: text})
    for name in (".clang-format", ".clang-tidy"):
        shutil.copy(ROOT / name, tmp_path)
    code, output = run("lint", tmp_path)
    assert code == (1 if tool else 0), output
    assert tool is None or f"{tool}: FAILED" in output


# ---- check-all ----


def check_all(root, *groups, lint=None):
    """check-all of a tree of its own, where "building" makes test/unit/test_one.c executable."""
    shutil.copytree(SCRIPTS, root / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    recipe = "install -D -m 755 test/unit/test_one.c build/unit/test_one"
    write(root, {"Makefile": f"build-unit:\n\t{recipe}\nbuild-e2e:\n\tmkdir -p build\nbuild-asan:\n\tsh build-asan.sh\n"})
    if lint:
        (root / "scripts/lint").write_text(lint)
    ours = ("BUILD", "TSAN_TESTS")
    done = subprocess.run(
        [root / "scripts/check-all", *groups],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        env={name: value for name, value in os.environ.items() if name not in ours},
    )
    return done.returncode, done.stdout.splitlines()


CMOCKA_GOOD = """\
#!/bin/sh
echo '[==========] Running 3 test(s).'
echo '[       OK ] a'
echo '[==========] 3 test(s) run.'
echo '[  PASSED  ] 3 test(s).'
"""
CMOCKA_BAD = """\
#!/bin/sh
echo '[==========] Running 4 test(s).'
echo '[  FAILED  ] a'
echo '[==========] 4 test(s) run.'
echo '[  PASSED  ] 1 test(s).'
echo '[  SKIPPED ] 1 test(s), listed below:'
echo '[  SKIPPED ] s'
echo '[  FAILED  ] 2 test(s), listed below:'
echo '[  FAILED  ] a'
echo '[  FAILED  ] b'
exit 2
"""


@pytest.mark.parametrize(
    ("program", "code", "last"),
    [
        (CMOCKA_GOOD, 0, "3 passed, 0 failed"),
        (CMOCKA_BAD, 1, "1 passed, 2 failed, 1 skipped"),
        (CMOCKA_GOOD + "kill -SEGV $$\n", 1, "3 passed, 1 failed"),
        (CMOCKA_GOOD + "exit 1\n", 1, "3 passed, 1 failed"),
        ("#!/bin/sh\nexit 0\n", 1, "0 passed, 1 failed"),
    ],
    ids=["good", "bad", "crash", "exit code", "no test"],
)
def test_check_all_counts(tmp_path, program, code, last):
    write(tmp_path, {"test/unit/test_one.c": program})
    result, lines = check_all(tmp_path, "unit")
    assert (result, lines[-1]) == (code, last), lines


def test_check_all_counts_every_group_after_a_failure(tmp_path):
    bad = {"src/base/up.c": '#include "hooks/a.h"\n', "src/hooks/a.h": ""}
    write(tmp_path, {"test/unit/test_one.c": CMOCKA_GOOD, **bad})
    result, lines = check_all(tmp_path, "layers", "unit")
    assert (result, lines[-1]) == (1, "3 passed, 1 failed"), lines
    assert "FAILED: check-layers" in lines


def test_check_all_fails_where_nothing_is_built(tmp_path):
    write(tmp_path, {"test/unit/test_one.c": CMOCKA_GOOD})
    result, lines = check_all(tmp_path, "tsan")  # the Makefile has no such target
    assert (result, lines[-1]) == (1, "0 passed, 1 failed"), lines


PYTEST_GOOD = """\
import pytest
@pytest.mark.parametrize("n", range(3))
def test_it(n, tmp_path):
    assert len(str(tmp_path)) < 50
def test_not_here():
    pytest.skip("not here")
"""


@pytest.mark.parametrize(
    ("other", "code", "last"),
    [
        ("def test_it(): pass\n", 0, "4 passed, 0 failed, 1 skipped"),
        ("def test_it(): pass\ndef test_that(): assert False\n", 1, "4 passed, 1 failed, 1 skipped"),
        ("import pytest\n@pytest.fixture\ndef x(): assert False\ndef test_it(x): pass\n", 1, "3 passed, 1 failed, 1 skipped"),
        ("def test_it(: pass\n", 1, "3 passed, 1 failed, 1 skipped"),
        ("import os\ndef test_it(): os._exit(0)\n", 1, "3 passed, 1 failed, 1 skipped"),
        ("import os, signal\ndef test_it(): os.kill(os.getpid(), signal.SIGKILL)\n", 1, "3 passed, 1 failed, 1 skipped"),
        ("", 1, "3 passed, 1 failed, 1 skipped"),
    ],
    ids=["good", "bad", "fixture", "no python", "left early", "killed", "no test"],
)
@pytest.mark.parametrize("mark", ["", 'RUNS = "alone"\n'], ids=["beside", "alone"])
def test_check_all_counts_files_that_run_beside_each_other(tmp_path, other, code, last, mark):
    write(tmp_path, {"test/e2e/test_one.py": PYTEST_GOOD, "test/e2e/test_other.py": mark + other})
    result, lines = check_all(tmp_path, "e2e")
    assert (result, lines[-1]) == (code, last), lines


def test_check_all_keeps_no_count_of_an_earlier_run(tmp_path):
    write(tmp_path, {"test/e2e/test_one.py": PYTEST_GOOD})
    assert check_all(tmp_path, "e2e")[1][-1] == "3 passed, 0 failed, 1 skipped"
    write(tmp_path, {"test/e2e/test_one.py": "import os\nos._exit(0)\n"})
    shutil.rmtree(tmp_path / "scripts")
    result, lines = check_all(tmp_path, "e2e")
    assert (result, lines[-1]) == (1, "0 passed, 1 failed"), lines


def test_check_all_runs_alone_what_minds(tmp_path):
    """Each says when it began and when it ended."""
    body = """\
import pathlib, time
def test_it():
    began = time.monotonic()
    time.sleep(0.5)
    pathlib.Path({0!r}).write_text(f"{{began}} {{time.monotonic()}}")
"""
    marks = {"one": "", "two": "", "three": 'RUNS = "alone"  # why\n', "four": 'RUNS = "alone"\n'}
    for name, mark in marks.items():
        write(tmp_path, {f"test/e2e/test_{name}.py": mark + body.format(str(tmp_path / name))})
    result, lines = check_all(tmp_path, "e2e")
    assert (result, lines[-1]) == (0, "4 passed, 0 failed"), lines
    spans = {name: tuple(map(float, (tmp_path / name).read_text().split())) for name in marks}
    overlap = lambda a, b: spans[a][0] < spans[b][1] and spans[b][0] < spans[a][1]
    assert not overlap("three", "four")
    assert min(spans["three"][0], spans["four"][0]) > max(spans["one"][1], spans["two"][1])


def test_check_all_runs_both_ways_what_asks_for_it(tmp_path):
    body = """\
import os, pathlib
def test_it():
    with open({0!r}, "a") as file:
        file.write(os.environ["SOCKLEAK_WAY"] + "\\n")
def test_attached(): assert os.environ["SOCKLEAK_WAY"] != "attach"
"""
    write(tmp_path, {"test/e2e/test_one.py": 'WAYS = "both"\n' + body.format(str(tmp_path / "one"))})
    write(tmp_path, {"test/e2e/test_other.py": body.format(str(tmp_path / "other"))})
    result, lines = check_all(tmp_path, "e2e")
    assert (result, lines[-1]) == (1, "5 passed, 1 failed"), lines
    assert "FAILED: test.e2e.test_one.test_attached (attach)" in lines
    assert sorted((tmp_path / "one").read_text().split()) == ["attach", "preload"]
    assert (tmp_path / "other").read_text() == "preload\n"


LINT = "#!/bin/sh\necho linted\nexit {}\n"


@pytest.mark.parametrize(("lint", "asan", "failed"), [(0, 0, 0), (1, 0, 1), (0, 1, 1)], ids=["good", "lint", "build"])
def test_check_all_counts_what_ran_beside_the_tests(tmp_path, lint, asan, failed):
    write(tmp_path, {"test/e2e/test_one.py": PYTEST_GOOD, "test/unit/test_one.c": CMOCKA_GOOD, "build-asan.sh": (
        f"install -D -m 755 test/unit/test_one.c build/asan/test_one; echo compiled; exit {asan}")})
    result, lines = check_all(tmp_path, "asan", "lint", "e2e", lint=LINT.format(lint))
    passed = 3 + 3 + (lint == 0)
    assert (result, lines[-1]) == (int(failed > 0), f"{passed} passed, {failed} failed, 1 skipped"), lines
    assert lines.count("linted") == lines.count("compiled") == 1


# ---- make install ----


def make(*words):
    command = ["make", "-s", "-C", ROOT, f"BUILD={harness.BUILD}", *words]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    subprocess.run(command, check=True, timeout=300, env=environment, capture_output=True)


def test_install_replaces_by_rename_and_uninstall_leaves_no_file(tmp_path):
    make("install", f"DESTDIR={tmp_path}", "PREFIX=/opt")
    library = tmp_path / "opt/lib/sockleak/libsockleak.so"
    assert library.read_bytes() == harness.LIBRARY.read_bytes()
    with library.open("rb") as mapped:
        make("install", f"DESTDIR={tmp_path}", "PREFIX=/opt")
        assert os.fstat(mapped.fileno()).st_nlink == 0  # the old object is whole, for those that run on it
    assert not [path for path in tmp_path.rglob(".*")]
    make("uninstall", f"DESTDIR={tmp_path}", "PREFIX=/opt")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not (tmp_path / "opt/lib/sockleak").exists()
