"""What is held against a row can fail: each answer that is not the row's is seen, and the table stays as it is from run to run."""

import dataclasses

import cases
import corpus
import pytest
import results

ROWS = {case.name: case for case in cases.CASES}


def right(name):
    """The outcome that the row expects."""
    case = ROWS[name]
    where = case.blame_text or f'no frame of the application: thread "{case.thread}1" of {case.owner}'
    return corpus.Outcome(
        process=case.process[0], verdict=case.verdict, blames=(case.blame_text,), causes=(case.cause,),
        readers=(case.reader_text,), deaths=(case.death,), owners=(case.owner,), peers=(case.peer,),
        threads=(f"{case.thread}1",), idle_ms=case.idle and 1000 * case.idle[0], lead={"WHERE": f"{where}  92 %"},
        accused="LEAK after 13000 ms" if case.is_guilty else "")


@pytest.mark.parametrize("name", ROWS)
def test_what_is_right(name):
    assert results.differences(ROWS[name], right(name)) == []


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [
        ("socket-forgotten", {"verdict": "pool"}, "verdict `pool`"),
        ("socket-forgotten", {"process": "UNKNOWN"}, "process `UNKNOWN`"),
        ("socket-forgotten", {"blames": ()}, "no blame"),
        ("socket-forgotten", {"blames": (None,)}, "blame none"),
        ("socket-forgotten", {"blames": ("python3.11+0x5d8259",)}, "blame `python3.11+0x...`"),
        ("socket-forgotten", {"causes": (cases.NEVER_LOOKED, cases.UNREAD_DATA)}, "cause `unread-data`"),
        ("socket-forgotten", {"idle_ms": 4}, "idle for 0 s"),
        ("socket-forgotten", {"idle_ms": None}, "idle for ?"),
        ("socket-forgotten", {"lead": {"WHERE": "main"}}, "WHERE main"),
        ("epoll-eof-ignored", {"readers": ()}, "no reader"),
        ("epoll-eof-ignored", {"readers": ("main (epoll_ignores_eof.c:60)",)}, "reader `main (epoll_ignores_eof.c:60)`"),
        ("jdbc-mariadb", {"deaths": ("timeout",)}, "death `timeout`"),
        ("jetty-unread", {"owners": (None,)}, "frames of none"),
        ("jetty-unread", {"peers": ("127.0.0.1:1",)}, "peer `127.0.0.1:1`"),
        ("jetty-unread", {"threads": ("main",)}, "thread `main`"),
        ("batch", {"accused": "LEAK after 3000 ms"}, "called LEAK at times"),
        ("node-keepalive", {"accused": "LEAK after 3000 ms"}, "called LEAK at times"),
        ("node-keepalive", {"verdict": "unknown"}, "verdict `unknown`"),
    ],
)
def test_what_is_wrong(name, wrong, said):
    assert results.differences(ROWS[name], dataclasses.replace(right(name), **wrong)) == [said]


def test_the_table_of_a_document():
    said = {case.name: "the same" for case in cases.CASES}
    document = results.with_table(f"before\n{results.BEGIN}\n\n{results.END}\nbehind\n", results.table(said))
    assert document.startswith("before\n") and document.endswith("\nbehind\n")
    assert not list(results.offences(document))
    assert results.with_table(document, results.table(said)) == document
