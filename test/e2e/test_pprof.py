"""The pprof profile: decoded by protobuf's own library against the messages as pprof documents them, and by pprof."""

import collections
import gzip
import importlib.util
import os
import subprocess

import harness
import pytest
import snapshots

# Fields of profile.proto (github.com/google/pprof) by number. Texts are indexes into string_table, whose first is "".
MESSAGES = """
syntax = "proto3";
package sockleak.test;

message Profile {
  repeated ValueType sample_type = 1;
  repeated Sample sample = 2;
  repeated Mapping mapping = 3;
  repeated Location location = 4;
  repeated Function function = 5;
  repeated string string_table = 6;
  int64 drop_frames = 7;
  int64 keep_frames = 8;
  int64 time_nanos = 9;
  int64 duration_nanos = 10;
  ValueType period_type = 11;
  int64 period = 12;
  repeated int64 comment = 13;
  int64 default_sample_type = 14;
}
message ValueType { int64 type = 1; int64 unit = 2; }
message Sample { repeated uint64 location_id = 1; repeated int64 value = 2; repeated Label label = 3; }
message Label { int64 key = 1; int64 str = 2; int64 num = 3; int64 num_unit = 4; }
message Mapping {
  uint64 id = 1; uint64 memory_start = 2; uint64 memory_limit = 3; uint64 file_offset = 4;
  int64 filename = 5; int64 build_id = 6;
  bool has_functions = 7; bool has_filenames = 8; bool has_line_numbers = 9; bool has_inline_frames = 10;
}
message Location { uint64 id = 1; uint64 mapping_id = 2; uint64 address = 3; repeated Line line = 4; bool is_folded = 5; }
message Line { uint64 function_id = 1; int64 line = 2; }
message Function { uint64 id = 1; int64 name = 2; int64 system_name = 3; int64 filename = 4; int64 start_line = 5; }
"""
VALUES = ("open", "close_wait", "stuck")


@pytest.fixture(scope="module")
def decode(tmp_path_factory):
    """A function from a gzipped profile to its message, checked for what the format demands of every profile."""
    folder = tmp_path_factory.mktemp("pprof")
    protoc = harness.need_tool("protoc")
    if not importlib.util.find_spec("google.protobuf"):
        raise harness.Forbidden("no protobuf for Python (Debian: python3-protobuf)")
    (folder / "profile.proto").write_text(MESSAGES)
    subprocess.run([protoc, f"-I{folder}", f"--python_out={folder}", "profile.proto"], cwd=folder, check=True)
    spec = importlib.util.spec_from_file_location("profile_pb2", folder / "profile_pb2.py")
    messages = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(messages)

    def decode_one(packed):
        profile = messages.Profile()
        data = gzip.decompress(packed)
        assert profile.ParseFromString(data) == len(data)
        check(profile)
        return profile

    return decode_one


def check(profile):
    texts = profile.string_table
    assert texts[0] == "" and len(set(texts)) == len(texts)
    for table in (profile.mapping, profile.location, profile.function):
        assert [row.id for row in table] == list(range(1, len(table) + 1))
    for location in profile.location:
        assert location.mapping_id <= len(profile.mapping)
        if location.mapping_id:
            mapping = profile.mapping[location.mapping_id - 1]
            assert mapping.memory_start <= location.address < mapping.memory_limit
        assert len(location.line) == 1 and 1 <= location.line[0].function_id <= len(profile.function)
    for function in profile.function:
        assert texts[function.name] and function.filename < len(texts)
    for sample in profile.sample:
        assert len(sample.value) == len(profile.sample_type) == 3 and any(sample.value)
        assert sample.location_id and all(1 <= id <= len(profile.location) for id in sample.location_id)
        keys = [texts[label.key] for label in sample.label]
        assert len(set(keys)) == len(keys) and all(texts[label.str] for label in sample.label)
    assert texts[profile.default_sample_type] in VALUES


def stack_of(profile, sample):
    texts = profile.string_table
    lines = [profile.location[id - 1].line[0] for id in sample.location_id]
    return [(texts[profile.function[line.function_id - 1].name], line.line) for line in lines]


def labels_of(profile, sample):
    return {profile.string_table[label.key]: profile.string_table[label.str] for label in sample.label}


def sums(profile, label=None):
    """The three values, in all or by a label."""
    by = collections.defaultdict(lambda: [0, 0, 0])
    for sample in profile.sample:
        key = labels_of(profile, sample).get(label)
        by[key] = [a + b for a, b in zip(by[key], sample.value)]
    return dict(by)


@pytest.mark.parametrize("detail", [True, False], ids=["detail", "no detail"])
def test_sums_and_stacks(decode, detail):
    snapshot = snapshots.incident(1500, detail=detail)
    profile = decode(snapshots.render(snapshot, "pprof"))
    texts = profile.string_table
    assert [(texts[t.type], texts[t.unit]) for t in profile.sample_type] == [(v, "count") for v in VALUES]
    assert texts[profile.default_sample_type] == "stuck"
    assert profile.time_nanos == 1795327387 * 10**9
    totals = snapshot["totals"]
    assert sums(profile) == {None: [totals[v] for v in VALUES]}
    by_stack = collections.Counter()
    for sample in profile.sample:
        by_stack[tuple(stack_of(profile, sample))] += sample.value[2]
    for site in snapshot["sites"]:
        stack = tuple((f"{f['class']}.{f['method']}", f["line"] or 0) for f in site["frames"])
        assert by_stack[stack] == site["stuck"], site["blame"]
    assert not profile.mapping


def test_labels(decode):
    snapshot = snapshots.incident(1500)
    profile = decode(snapshots.render(snapshot, "pprof"))
    peers = {f"[{p['address']}]:{p['port']}" if ":" in p["address"] else f"{p['address']}:{p['port']}":
             [p[v] for v in VALUES] for p in snapshot["peers"]}
    assert sums(profile, "peer") == peers
    assert sums(profile, "cause")["never-looked"] == [snapshot["totals"]["close_wait"]] * 2 + [snapshot["totals"]["stuck"]]
    assert set(sums(profile, "thread")) == {f"upload-{i}" for i in range(1, 9)}
    assert set(sums(profile, "direction")) == {"out"}
    assert set(sums(profile, "verdict")) <= {"leak", "unknown", "ok"}


def test_without_detail_what_all_have_in_common_is_labelled(decode):
    snapshot = snapshots.incident(1500, detail=False)
    profile = decode(snapshots.render(snapshot, "pprof"))
    assert set(sums(profile, "peer")) == {None} and set(sums(profile, "thread")) == {None}
    assert sums(profile, "cause")["never-looked"][1] == snapshot["totals"]["close_wait"]


def test_native_and_hostile(decode):
    snapshot = snapshots.hostile()
    profile = decode(snapshots.render(snapshot, "pprof"))
    texts = profile.string_table
    (mapping,) = profile.mapping
    assert texts[mapping.build_id] == "51657f818beb1ae70372216a99b7412b8a100a20"
    assert texts[mapping.filename].endswith("/lib;x.so") and mapping.has_functions and not mapping.has_filenames
    (location,) = [row for row in profile.location if row.mapping_id]
    assert location.address == 0x1234
    assert all("\u202e" not in text and "\n" not in text for text in texts)


def test_pprof_reads_it(tmp_path):
    go = harness.need_tool("go")
    file = tmp_path / "profile.pb.gz"
    snapshot = snapshots.incident(1500)
    file.write_bytes(snapshots.render(snapshot, "pprof"))
    done = subprocess.run([go, "tool", "pprof", "-top", "-sample_index=stuck", "-nodecount=100", file],
                          capture_output=True, text=True, timeout=4 * harness.PATIENCE_S,
                          env={**os.environ, "HOME": str(tmp_path), "TZ": "UTC", "GOFLAGS": "-mod=mod"})
    if done.returncode != 0 and "no such tool" in done.stderr:
        raise harness.Forbidden("go has no pprof here")
    assert done.returncode == 0, done.stderr
    total = snapshot["totals"]["stuck"]
    assert "Type: stuck" in done.stdout
    assert f"{total}   100%" in done.stdout, done.stdout
    assert "com.acme.scribe.upload.StorageGateway.put" in done.stdout
