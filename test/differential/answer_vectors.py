"""What a backend answers on one connection, for every reader of answers: each oddity of twists.py alone in whole answers,
every edit of one byte at every kind of place, answers that end too early at every byte, and several oddities at once,
drawn from a seed. Behind each answer another request is made: a reader who lost the boundary, or who uses a connection
again that it should not, shows it there.

A vector's tags say what is odd about it: the table of differences (answer_differences.yaml) speaks of tags."""
import dataclasses
import random

import twists
from vectors import CHUNKED, CHUNKED_LINE, chunk_pieces, edits_of, length_line, line_pieces

OK = b"HTTP/1.1 200 OK\r\n"
SERVER = b"Server: a\r\n"
# A second answer on the same connection, which must reach nobody.
INNER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ninner"
# For a reader of lengths one content, for a reader of chunks an empty one and an answer behind it.
TWO_READINGS = b"0\r\n\r\n" + INNER


@dataclasses.dataclass(frozen=True)
class AnswerVector:
    """`asked`: by which kind of request (answer_subjects.REQUESTS). `data` comes when its head is there; then the
    connection `ends` at once, or when nothing has come of it; `late` comes when the client has its answer, and before the
    next request."""
    tags: tuple
    data: bytes
    asked: str = "get"
    ends: bool = False
    late: bytes = b""

    @property
    def name(self):
        return " + ".join(self.tags)

    @property
    def is_good(self):
        return all(tag.startswith("good-") for tag in self.tags)


def answer(framing, content, first=OK):
    return first + SERVER + framing + b"\r\n" + content


FIVE = answer(length_line(5), b"hello")


def both_ends(tags, data, **more):
    """Left open, and closed at once."""
    yield tags, data, more
    yield (*tags, "then-closed"), data, {"ends": True, **more}


# ---- one oddity, in every surrounding that gives it a meaning of its own ----

def lengths():
    for name, line in twists.LENGTHS.items():
        yield from both_ends((name,), answer(line, b"hello"))
        yield (name, "beside-a-length"), answer(length_line(5) + line, b"hello"), {}
        yield (name, "beside-a-length"), answer(line + length_line(5), b"hello"), {}
        yield (name, "beside-chunked"), answer(line + CHUNKED_LINE, TWO_READINGS), {}
        yield (name, "beside-chunked"), answer(CHUNKED_LINE + line, TWO_READINGS), {}
        yield (name, "of-head"), answer(line, b""), {"asked": "head"}
        yield (name, "of-304"), answer(line, b"", first=b"HTTP/1.1 304 Not Modified\r\n"), {}


def codings():
    whole = length_line(len(TWO_READINGS))
    for name, line in twists.CODINGS.items():
        yield from both_ends((name,), answer(line, CHUNKED))
        yield (name, "content-of-two-readings"), answer(line, TWO_READINGS), {"ends": True}
        yield (name, "beside-a-length"), answer(whole + line, TWO_READINGS), {}
        yield (name, "beside-a-length"), answer(line + whole, TWO_READINGS), {}
        yield (name, "beside-a-short-length"), answer(line + length_line(3), CHUNKED), {}
        yield (name, "beside-chunked"), answer(CHUNKED_LINE + line, CHUNKED), {}
        yield (name, "beside-chunked"), answer(line + CHUNKED_LINE, CHUNKED), {}
        yield from both_ends((name, "http-1.0"), answer(line, CHUNKED, first=b"HTTP/1.0 200 OK\r\n"))


def lines():
    for name, line in twists.LINES.items():
        yield (name,), answer(length_line(5) + line, b"hello"), {}
        yield (name, "first-line"), OK + line + length_line(5) + b"\r\nhello", {}
        yield (name, "with-chunks"), answer(line + CHUNKED_LINE, CHUNKED), {}
        yield (name, "of-204"), answer(line, b"", first=b"HTTP/1.1 204 No Content\r\n"), {}


def status_lines():
    for name, line in twists.STATUS_LINES.items():
        yield from both_ends((name,), answer(length_line(5), b"hello", first=line))
        yield (name, "with-chunks"), answer(CHUNKED_LINE, CHUNKED, first=line), {}


def chunks():
    for name, content in twists.CHUNKS.items():
        yield from both_ends((name,), answer(CHUNKED_LINE, content))


# ---- what needs no odd line at all ----

def framing():
    both = [length_line(len(TWO_READINGS)) + CHUNKED_LINE, CHUNKED_LINE + length_line(len(TWO_READINGS))]
    for line in both:
        yield ("length-and-chunked",), answer(line, TWO_READINGS), {}
        yield ("length-and-chunked", "http-1.0"), answer(line, TWO_READINGS, first=b"HTTP/1.0 200 OK\r\n"), {}
    for kept in (b"", b"Connection: keep-alive\r\n"):
        yield from both_ends(("chunked-in-1.0",), answer(kept + CHUNKED_LINE, CHUNKED, first=b"HTTP/1.0 200 OK\r\n"))
    yield from both_ends(("no-length-kept-alive",), answer(b"Connection: keep-alive\r\n", b"hello"))
    yield ("no-length",), answer(b"", b"hello"), {}
    yield from both_ends(("length-too-long",), answer(length_line(6), b"hello"))
    yield ("length-too-short",), answer(length_line(3), b"hello"), {}
    yield ("length-zero-with-content",), answer(length_line(0), b"hello"), {}
    yield ("close-and-more",), answer(b"Connection: close\r\n" + length_line(5), b"hello" + INNER), {}
    yield ("close-among-options",), answer(b"Connection: x, Close ,y\r\n" + length_line(5), b"hello"), {}
    yield ("close-and-keep-alive",), answer(b"Connection: close, keep-alive\r\n" + length_line(5), b"hello"), {}
    yield ("close-by-proxy-connection",), answer(b"Proxy-Connection: close\r\n" + length_line(5), b"hello"), {}


def interims():
    """1xx in rows before the answer."""
    for tag, head in {
            "interim-100": b"HTTP/1.1 100 Continue\r\n\r\n", "interim-102": b"HTTP/1.1 102 Processing\r\n\r\n",
            "interim-103": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", "interim-199": b"HTTP/1.1 199 x\r\n\r\n",
            "interim-five": b"HTTP/1.1 103 x\r\n\r\n" * 5, "interim-hundreds": b"HTTP/1.1 103 x\r\n\r\n" * 300,
            "interim-in-1.0": b"HTTP/1.0 100 Continue\r\n\r\n",
            "interim-with-close": b"HTTP/1.1 100 Continue\r\nConnection: close\r\n\r\n",
            "interim-with-length": b"HTTP/1.1 103 x\r\nContent-Length: 5\r\n\r\nhello",
            "interim-with-length-alone": b"HTTP/1.1 103 x\r\nContent-Length: 5\r\n\r\n",
            "interim-with-length-zero": b"HTTP/1.1 103 x\r\nContent-Length: 0\r\n\r\n",
            "interim-with-chunks": b"HTTP/1.1 103 x\r\n" + CHUNKED_LINE + b"\r\n" + CHUNKED,
            "interim-with-content": b"HTTP/1.1 103 x\r\n\r\nhello",
            "interim-with-odd-line": b"HTTP/1.1 103 x\r\nX Odd: 1\r\n\r\n"}.items():
        for asked in ("get", "head", "unfinished"):
            content = b"" if asked == "head" else b"hello"
            yield (tag, f"of-{asked}"), head + answer(length_line(5), content), {"asked": asked}
        yield from both_ends((tag, "alone"), head)


def switches():
    """101, asked for and not."""
    connection, protocol, accept = (b"Connection: Upgrade\r\n", b"Upgrade: websocket\r\n",
                                    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")
    whole = connection + protocol + accept
    for tag, framed in {
            "switch": whole, "switch-case": whole.replace(b"websocket", b"WebSocket"), "switch-nothing-told": b"",
            "switch-no-accept": connection + protocol, "switch-wrong-accept": whole.replace(b"s3pP", b"S3Pp"),
            "switch-two-accepts": whole + accept.replace(b"s3pP", b"S3Pp"),
            "switch-no-connection": protocol + accept, "switch-no-protocol": connection + accept,
            "switch-empty-protocol": connection + accept + b"Upgrade:\r\n",
            "switch-other-protocol": connection + accept + b"Upgrade: h2c\r\n",
            "switch-two-protocols": connection + accept + b"Upgrade: websocket, h2c\r\n",
            "switch-two-lines": whole + b"Upgrade: h2c\r\n", "switch-close": whole + b"Connection: close\r\n",
            "switch-with-length": whole + length_line(5), "switch-with-length-zero": whole + length_line(0),
            "switch-with-chunks": whole + CHUNKED_LINE}.items():
        head = b"HTTP/1.1 101 Switching Protocols\r\n" + framed + b"\r\n"
        for asked in ("upgrade", "get", "unfinished"):
            yield (tag, f"of-{asked}"), head + INNER, {"asked": asked, "ends": True}
    for tag, head in {"switch-in-1.0": b"HTTP/1.0 101 x\r\n", "switch-behind-100": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 x\r\n",
                      "switch-with-200": b"HTTP/1.1 200 OK\r\n"}.items():
        yield (tag, "of-upgrade"), head + whole + b"\r\n" + INNER, {"asked": "upgrade", "ends": True}
    yield ("switch-with-200", "of-upgrade"), answer(whole + length_line(5), b"hello"), {"asked": "upgrade"}


def no_contents():
    """Answers that have no content whatever they say: to HEAD, 204 and 304."""
    for tag, asked, first in (("of-head", "head", OK), ("of-204", "get", b"HTTP/1.1 204 No Content\r\n"),
                              ("of-205", "get", b"HTTP/1.1 205 Reset Content\r\n"),
                              ("of-304", "get", b"HTTP/1.1 304 Not Modified\r\n")):
        for name, framed, content in (
                ("plain", b"", b""), ("plain-with-content", b"", b"hello"), ("plain-with-answer", b"", INNER),
                ("length", length_line(5), b""), ("length-with-content", length_line(5), b"hello"),
                ("length-with-answer", length_line(len(INNER)), INNER), ("length-zero", length_line(0), b""),
                ("chunked", CHUNKED_LINE, b""), ("chunked-with-content", CHUNKED_LINE, CHUNKED),
                ("chunked-with-answer", CHUNKED_LINE, TWO_READINGS),
                ("both", length_line(5) + CHUNKED_LINE, b""), ("close", b"Connection: close\r\n", b"")):
            yield from both_ends((f"no-content-{name}", tag), answer(framed, content, first=first), asked=asked)
            if content:
                head = answer(framed, b"", first=first)
                yield (f"no-content-{name}", tag, "late"), head, {"asked": asked, "late": content}


def desyncs():
    """More than one answer to one request, and answers to requests that have not been made."""
    chunked = answer(CHUNKED_LINE, CHUNKED)
    for tag, more in {"second-answer": INNER, "second-of-204": b"HTTP/1.1 204 x\r\n\r\n", "empty-line": b"\r\n",
                      "lf": b"\n", "byte": b"x", "nul": b"\0", "interim": b"HTTP/1.1 100 Continue\r\n\r\n",
                      "timeout": b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                      "half-a-head": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"}.items():
        for first in (FIVE, chunked, answer(length_line(0), b"")):
            yield (f"behind-{tag}",), first + more, {}
            yield (f"behind-{tag}", "late"), first, {"late": more}
    for asked in ("unfinished",):
        yield ("early",), FIVE, {"asked": asked}
        yield ("early",), chunked, {"asked": asked}
        yield ("early",), answer(b"Connection: close\r\n" + length_line(5), b"hello"), {"asked": asked}
        yield ("early", "then-closed"), FIVE, {"asked": asked, "ends": True}
        yield ("early", "behind-second-answer"), FIVE + INNER, {"asked": asked}


def cuts():
    """The connection ends at every byte of an answer."""
    kinds = {
        "cut-with-length": (FIVE, "get"), "cut-with-chunks": (answer(CHUNKED_LINE, b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n"), "get"),
        "cut-without-length": (answer(b"", b"hello"), "get"), "cut-of-head": (answer(length_line(5), b""), "head"),
        "cut-behind-100": (b"HTTP/1.1 100 Continue\r\n\r\n" + FIVE, "get")}
    for tag, (data, asked) in kinds.items():
        begins = data.find(b"\r\n\r\n", data.find(b"Server")) + 4
        for n in range(len(data)):
            place = "head" if n < begins else "content"
            yield (f"{tag}-in-{place}",), data[:n], {"asked": asked, "ends": True}


def floods():
    """Heads without a reasonable end."""
    for n in (100, 150, 1000):
        yield (f"head-of-{n}-lines",), answer(b"X-Odd: 1\r\n" * n + length_line(5), b"hello"), {}
    for n in (2000, 30000, 100000):
        yield (f"line-of-{n}-bytes",), answer(b"X-Odd: " + b"x" * n + b"\r\n" + length_line(5), b"hello"), {}
        yield (f"name-of-{n}-bytes",), answer(b"x" * n + b": 1\r\n" + length_line(5), b"hello"), {}
    yield from both_ends(("head-without-end",), OK + b"X-Odd: 1\r\n" * 100000)
    yield from both_ends(("line-without-end",), OK + b"X-Odd: " + b"x" * 1000000)
    yield from both_ends(("status-line-without-end",), b"HTTP/1.1 200 " + b"x" * 1000000)
    yield from both_ends(("trailers-without-end",), answer(CHUNKED_LINE, b"5\r\nhello\r\n0\r\n" + b"X-Odd: 1\r\n" * 100000))
    yield from both_ends(("extension-without-end",), answer(CHUNKED_LINE, b"5;" + b"x" * 1000000))
    yield from both_ends(("chunk-size-without-end",), answer(CHUNKED_LINE, b"0" * 1000000))
    yield from both_ends(("no-http",), b"220 mail.test ESMTP\r\n")
    yield from both_ends(("http-0.9",), b"<html>hello</html>")
    yield from both_ends(("nothing",), b"")


# ---- what every reader must take, and in the same way ----

def good():
    for name, line in twists.GOOD_LINES.items():
        yield (name,), answer(length_line(5) + line, b"hello"), {}
        yield (name,), answer(line + CHUNKED_LINE, CHUNKED), {}
    for name, content in twists.GOOD_CHUNKS.items():
        yield (name,), answer(CHUNKED_LINE, content), {}
    for name, line in {"good-length": length_line(len(TWO_READINGS)), "good-length-spaces": b"Content-Length:   48  \r\n",
                       "good-length-zeros": b"Content-Length: 00048\r\n", "good-length-case": b"CONTENT-length:48\r\n",
                       }.items():
        yield (name,), answer(line, TWO_READINGS), {}
    for name, line in {"good-coding-case": b"TRANSFER-ENCODING: Chunked\r\n",
                       "good-coding-spaces": b"Transfer-Encoding:  chunked  \r\n"}.items():
        yield (name,), answer(line, CHUNKED), {}
    yield ("good-empty",), answer(length_line(0), b""), {}
    yield ("good-until-close",), answer(b"", TWO_READINGS), {"ends": True}
    yield ("good-until-close-in-1.0",), answer(b"", b"hello", first=b"HTTP/1.0 200 OK\r\n"), {"ends": True}
    yield ("good-then-closed",), FIVE, {"ends": True}
    yield ("good-close",), answer(length_line(5) + b"Connection: close\r\n", b"hello"), {"ends": True}
    yield ("good-reason-empty",), answer(length_line(5), b"hello", first=b"HTTP/1.1 200 \r\n"), {}
    yield ("good-reason-of-words",), answer(length_line(5), b"hello", first=b"HTTP/1.1 200 A-1 (b): c, d\r\n"), {}
    yield ("good-reason-high",), answer(length_line(5), b"hello", first=b"HTTP/1.1 200 \xc3\xa9\r\n"), {}
    for status in (201, 299, 400, 404, 429, 599):
        yield ("good-status",), answer(length_line(5), b"hello", first=b"HTTP/1.1 %d x\r\n" % status), {}
    yield ("good-head",), answer(length_line(5), b""), {"asked": "head"}
    yield ("good-204",), answer(b"", b"", first=b"HTTP/1.1 204 No Content\r\n"), {}
    yield ("good-304",), answer(b"", b"", first=b"HTTP/1.1 304 Not Modified\r\n"), {}


# ---- two at once ----

def pairs(rng, n):
    """An odd line or status line in an answer whose framing or chunks are odd too."""
    framings = [((name,), line, b"hello") for name, line in twists.LENGTHS.items()]
    framings += [((name,), line, CHUNKED) for name, line in twists.CODINGS.items()]
    framings += [((name,), CHUNKED_LINE, content) for name, content in twists.CHUNKS.items()]
    starts = [((), OK)] * 3 * len(twists.STATUS_LINES) + [((name,), line) for name, line in twists.STATUS_LINES.items()]
    odd = list(twists.LINES.items())
    for _ in range(n):
        tags, line, content = rng.choice(framings)
        start_tags, first = rng.choice(starts)
        name, other = rng.choice(odd)
        together = [line, other]
        rng.shuffle(together)
        yield (*tags, *start_tags, name), answer(b"".join(together), content, first=first), {"ends": rng.random() < 0.5}


# ---- edits ----

def head_pieces(*framed, version=b"HTTP/1.1", status=b"200"):
    return [("version", version), ("first-space", b" "), ("status", status), ("second-space", b" "), ("reason", b"All fine"),
            ("line-end", b"\r\n"), *framed, *line_pieces("header", b"X-Even", b"two words"), ("head-end", b"\r\n")]


def edit_bases():
    """(tags of its own, the pieces of an answer, how it is played)"""
    length = line_pieces("length", b"Content-Length", b"48")
    coding = line_pieces("coding", b"Transfer-Encoding", b"chunked")
    last = [("last-size", b"0"), ("last-size-end", b"\r\n")]
    end = [("chunked-end", b"\r\n")]
    return [
        ((), head_pieces(*length) + [("content", TWO_READINGS)], {}),
        ((), head_pieces(*coding) + chunk_pieces(INNER) + last + end, {}),
        ((), head_pieces(*coding) + chunk_pieces(b"hello", b";a=b") + last + line_pieces("trailer", b"X-Odd", b"one") + end, {}),
        (("length-and-chunked",), head_pieces(*length, *coding) + chunk_pieces(INNER) + last + end, {}),
        (("of-204",), head_pieces(status=b"204"), {}),
    ]


def edits():
    for tags, pieces, more in edit_bases():
        for tag, data in edits_of(pieces):
            yield (tag, *tags), data, more


def make(seed, n_pairs):
    """All vectors, each way to answer once."""
    rng = random.Random(seed)
    made = {}
    for source in (good(), framing(), interims(), switches(), no_contents(), desyncs(), cuts(), floods(), lengths(), codings(),
                   lines(), status_lines(), chunks(), edits(), pairs(rng, n_pairs)):
        for tags, data, more in source:
            vector = AnswerVector(tuple(sorted(tags)), data, **more)
            made.setdefault((data, vector.asked, vector.ends, vector.late), vector)
    return list(made.values())
