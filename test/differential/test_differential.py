"""The same bytes to Tollgate, nginx, HAProxy and llhttp: who takes which messages, and where they end. Every
difference is explained in differences.yaml, and everything that is explained there still differs."""
import pytest

import judge
import vectors
from subjects import Outcome, read_answers, versions

A, B, END = ("POST", b"hello"), ("POST", b""), ("GET", b"")


def outcome(end, *messages, said=""):
    return Outcome(messages, end, said)


# ---- the run ----

def test_there_are_thousands_of_cases(run):
    assert len(run.vectors) > 10000
    assert all(len(outcomes) == len(run.vectors) for outcomes in run.outcomes.values())


def test_what_every_reader_must_take_is_taken_alike(run):
    for name, outcomes in run.outcomes.items():
        for vector, seen in zip(run.vectors, outcomes):
            if vector.is_good:
                assert seen.end == "closed" and seen.messages[-1] == END, (name, vector, str(seen))
                assert seen == run.outcomes["tollgate"][run.vectors.index(vector)], (name, vector, str(seen))


def test_what_the_gateway_passes_on_has_one_reading(run):
    assert not run.doubts, run.doubts[:5]


def test_every_difference_is_explained(run):
    unexplained, _ = judge.sort_out(run.differences, judge.read_table())
    shown = "\n".join(map(str, unexplained[:40]))
    assert not unexplained, (f"{len(unexplained)} differences without a reason\n{shown}\n{judge.summary(unexplained)}\n"
                             f"The readers: {versions()}")


def test_everything_that_is_explained_still_differs(run):
    _, unused = judge.sort_out(run.differences, judge.read_table())
    shown = "\n".join(f"{row.kind} {part}: {row.why}" for row, part in sorted(unused, key=repr))
    assert not unused, f"{shown}\nThe readers: {versions()}"


def test_rows_of_the_table_are_well_formed():
    rows = judge.read_table()
    assert rows
    for row in rows:
        assert not list(row.faults()), row


# ---- what the run stands on ----

@pytest.mark.parametrize("ours, theirs, kind", [
    (outcome("closed", A, END), outcome("closed", A, END), None),
    (outcome("refused", said="bad_header"), outcome("refused", said="400"), None),
    (outcome("refused"), outcome("closed", A, END), "stricter"),
    (outcome("refused", A), outcome("refused", A, B), "stricter"),
    (outcome("refused"), outcome("waits"), "stricter"),
    (outcome("closed", A, END), outcome("refused"), "looser"),
    (outcome("closed", A, END), outcome("refused", A), "looser"),
    (outcome("refused", A), outcome("refused"), "looser"),
    (outcome("waits", A), outcome("refused"), "looser"),
    (outcome("waits"), outcome("refused"), "later"),
    (outcome("closed", A), outcome("closed", A, END), "closes"),
    (outcome("closed", A, END), outcome("closed", A), "keeps"),
    (outcome("closed", A, END), outcome("waits"), "boundaries"),
    (outcome("waits"), outcome("closed", A, END), "boundaries"),
    (outcome("closed", A, END), outcome("closed", B, END), "boundaries"),
    (outcome("closed", A, END), outcome("refused", B), "boundaries"),
    (outcome("refused", A), outcome("closed", B, END), "boundaries")])
def test_kinds_of_differences(ours, theirs, kind):
    assert judge.kind_of(ours, theirs) == kind


def test_answers_tell_the_outcome():
    seen = b"HTTP/1.1 200 OK\r\nX-Seen: WyJQT1NUIiwgIjY4Il0=\r\nContent-Length: 0\r\n%s\r\n"
    refusal = b'HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n{"error":"x","code":"bad_header"}'
    message = ("POST", b"h")
    assert read_answers(seen % b"" + seen % b"Connection: close\r\n", True) == outcome("closed", message, message)
    assert read_answers(b"HTTP/1.1 100 Continue\r\n\r\n" + seen % b"", False) == outcome("waits", message)
    told = read_answers(seen % b"" + refusal, True)
    assert told == outcome("refused", message) and told.said == "bad_header"
    assert read_answers(seen % b"", True) == outcome("refused", message)
    assert read_answers(b"", True) == outcome("refused") and read_answers(b"", False) == outcome("waits")


def test_a_row_explains_its_own_kind_peer_tag_and_refusal_only():
    odd, good = vectors.Vector(("size-plus", "with-chunks"), b""), vectors.Vector(("good-chunk",), b"")
    row = judge.Row("stricter", ("nginx",), ("size-*",), "a reason of five whole words", ("bad_chunk",))

    def differs(vector=odd, peer="nginx", kind="stricter", said="bad_chunk"):
        return judge.Difference(vector, peer, kind, outcome("refused", said=said), outcome("waits"))

    assert judge.sort_out([differs()], [row]) == ([], set())
    for other in (differs(vector=good), differs(peer="haproxy"), differs(kind="looser"), differs(said="bad_header"),
                  differs(vector=vectors.Vector(("data-spill",), b""))):
        assert judge.sort_out([other], [row]) == ([other], {(row, ("nginx", "size-*", "bad_chunk"))})


def test_the_same_seed_makes_the_same_vectors():
    assert vectors.make(7, 50) == vectors.make(7, 50) != vectors.make(8, 50)
