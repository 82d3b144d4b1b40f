"""The same bytes of a backend to Tollgate, nginx, HAProxy and llhttp: who takes which answers, where they end, and whether
the connection serves another client. Every difference is explained in answer_differences.yaml, and everything that is
explained there still differs."""
import pytest

import answer_vectors
import judge
from answer_subjects import OWN, Seen, doubts_of, read_answer
from subjects import Outcome, versions

A, B = ("200", b"hello"), ("200", b"")


def outcome(end, *messages, said=""):
    return Outcome(messages, end, said)


# ---- the run ----

def test_there_are_thousands_of_cases(answers):
    assert len(answers.vectors) > 10000
    assert all(len(outcomes) == len(answers.vectors) for outcomes in answers.outcomes.values())


def test_what_every_reader_must_take_is_taken_alike(answers):
    for name, outcomes in answers.outcomes.items():
        for i, (vector, seen) in enumerate(zip(answers.vectors, outcomes)):
            if vector.is_good:
                assert seen.end == ("closed" if vector.ends else "reused"), (name, vector, str(seen))
                assert seen == answers.outcomes["tollgate"][i], (name, vector, str(seen))


def test_no_client_is_told_what_is_not_its_own(answers):
    assert not answers.thefts, answers.thefts[:5]


def test_what_the_gateway_passes_on_has_one_reading(answers):
    assert not answers.doubts, answers.doubts[:5]


def test_every_difference_is_explained(answers):
    unexplained, _ = judge.sort_out(answers.differences, judge.read_table(judge.ANSWER_TABLE))
    shown = "\n".join(map(str, unexplained[:40]))
    assert not unexplained, (f"{len(unexplained)} differences without a reason\n{shown}\n{judge.summary(unexplained)}\n"
                             f"The readers: {versions()}")


def test_everything_that_is_explained_still_differs(answers):
    _, unused = judge.sort_out(answers.differences, judge.read_table(judge.ANSWER_TABLE))
    shown = "\n".join(f"{row.kind} {part}: {row.why}" for row, part in sorted(unused, key=repr))
    assert not unused, f"{shown}\nThe readers: {versions()}"


def test_rows_of_the_table_are_well_formed():
    rows = judge.read_table(judge.ANSWER_TABLE)
    assert rows
    for row in rows:
        assert not list(row.faults()), row


# ---- what the run stands on ----

@pytest.mark.parametrize("ours, theirs, kind", [
    (outcome("reused", A), outcome("reused", A), None),
    (outcome("refused", said="cut"), outcome("refused", said="502"), None),
    (outcome("refused"), outcome("closed", A), "stricter"),
    (outcome("refused"), outcome("reused", A), "stricter"),
    (outcome("reused", A), outcome("refused"), "looser"),
    (outcome("closed", A), outcome("reused", A), "closes"),
    (outcome("reused", A), outcome("closed", A), "keeps"),
    (outcome("reused", A), outcome("reused", B), "boundaries"),
    (outcome("closed", A), outcome("closed", A, ("another's answer", b"x")), "closes"),
    (outcome("closed", A, ("another's answer", b"x")), outcome("closed", A), "keeps")])
def test_kinds_of_differences(ours, theirs, kind):
    assert judge.kind_of(ours, theirs) == kind


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("data, is_closed, is_to_head, told", [
    (OK + b"Content-Length: 5\r\n\r\nhello", False, False, (A, "")),
    (OK + b"Content-Length: 5\r\n\r\nhell", False, False, None),
    (OK + b"Content-Length: 5\r\n\r\nhell", True, False, (("", b""), "cut")),
    (OK + b"Content-Length: 5\r\n\r\n", False, True, (B, "")),
    (OK + b"Transfer-Encoding: chunked\r\n\r\n5;a\r\nhello\r\n0\r\nX: y\r\n\r\n", False, False, (A, "")),
    (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", False, False, None),
    (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", True, False, (("", b""), "cut")),
    (OK + b"\r\nhello", False, False, None),
    (OK + b"\r\nhello", True, False, (A, "")),
    (OK[:-2], False, False, None),
    (b"HTTP/1.1 103 x\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n", False, False, (B, "")),
    (b"HTTP/1.1 103 x\r\n\r\n", False, False, None),
    (b"HTTP/1.1 103 x\r\n\r\n", True, False, (("", b""), "silence")),
    (b"HTTP/1.1 101 x\r\n\r\nraw", True, False, (("101", b"raw"), "")),
    (b"HTTP/1.1 204 x\r\n\r\n", False, False, (("204", b""), "")),
    (b'HTTP/1.1 502 x\r\n\r\n{"error": "x", "code": "upstream_bad_answer"}', False, False, (("", b""), "upstream_bad_answer")),
    (b"HTTP/1.0 502 x\r\n\r\n<html>", True, False, (("", b""), "502")),
    (b"HTTP/1.1 2000 x\r\n\r\n", False, False, (("unreadable", b""), "")),
    (b"hello", False, False, (("unreadable", b""), "")),
    (b"HTTP", False, False, None),
    (b"HTTP", True, False, (("unreadable", b""), "")),
    (b"", True, False, (("", b""), "silence"))])
def test_answers_are_read_as_a_client_does(data, is_closed, is_to_head, told):
    seen = read_answer(data, is_closed, is_to_head)
    assert (seen and seen.told) == told


def test_what_can_be_read_in_two_ways_is_a_doubt():
    head = OK + b"Content-Length: 5\r\n"
    assert not list(doubts_of(Seen("200", b"hello", head=head + b"X: y\r\n\r\n")))
    for seen in (Seen("200", b"hello", head=head + b"Content-Length: 5\r\n\r\n"),
                 Seen("200", b"hello", head=head + b"Content_Length: 6\r\n\r\n"),
                 Seen("200", b"hello", head=head + b"X: a\nY: b\r\n\r\n"),
                 Seen("200", b"hello", head=head + b"\r\n", rest=b"HTTP/1.1 200 OK\r\n")):
        assert len(list(doubts_of(seen))) == 1, seen
    assert Seen("200", b"again").told == OWN != Seen("200", b"inner").told


def test_the_same_seed_makes_the_same_vectors():
    assert answer_vectors.make(7, 50) == answer_vectors.make(7, 50) != answer_vectors.make(8, 50)
