"""Connections' bytes for every reader of HTTP/1: each oddity of twists.py alone in whole requests, every edit of one
byte at every kind of place, and several oddities at once, drawn from a seed. Behind each request stands a plain one that
asks to close, so that a reader who lost the boundary shows it.

A vector's tags say what is odd about it: the table of differences (differences.yaml) speaks of tags."""
import dataclasses
import random

import twists

HOST = b"Host: a.test\r\n"
INNER = b"GET /inner HTTP/1.1\r\nHost: a.test\r\n\r\n"
END = b"GET /end HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
CHUNKED_LINE = b"Transfer-Encoding: chunked\r\n"
CHUNKED = b"5\r\nhello\r\n0\r\n\r\n"
# For a reader of lengths one content, for a reader of chunks an empty one and a request behind it.
TWO_READINGS = b"0\r\n\r\n" + INNER

BYTES = {
    "nul": b"\0", "control": b"\x01", "tab": b"\t", "lf": b"\n", "vertical-tab": b"\x0b", "form-feed": b"\x0c",
    "cr": b"\r", "crlf": b"\r\n", "space": b" ", "quote": b'"', "parenthesis": b"(", "plus": b"+", "comma": b",",
    "minus": b"-", "slash": b"/", "digit": b"1", "colon": b":", "semicolon": b";", "letter": b"z",
    "underscore": b"_", "backslash": b"\\", "percent": b"%", "del": b"\x7f", "high": b"\xe9",
}


@dataclasses.dataclass(frozen=True)
class Vector:
    tags: tuple
    data: bytes

    @property
    def name(self):
        return " + ".join(self.tags)

    @property
    def is_good(self):
        return all(tag.startswith("good-") for tag in self.tags)


def get(lines=HOST, first=b"GET /m HTTP/1.1\r\n"):
    return first + lines + b"\r\n"


def post(framing, content, lines=HOST):
    return b"POST /m HTTP/1.1\r\n" + lines + framing + b"\r\n" + content


def length_line(n):
    return b"Content-Length: %d\r\n" % n


# ---- one oddity, in every surrounding that gives it a meaning of its own ----

def lengths():
    for name, line in twists.LENGTHS.items():
        yield (name,), post(line, b"hello")
        yield (name, "beside-a-length"), post(length_line(5) + line, b"hello")
        yield (name, "beside-a-length"), post(line + length_line(5), b"hello")
        yield (name, "beside-chunked"), post(line + CHUNKED_LINE, TWO_READINGS)
        yield (name, "beside-chunked"), post(CHUNKED_LINE + line, TWO_READINGS)


def codings():
    whole = length_line(len(TWO_READINGS))
    for name, line in twists.CODINGS.items():
        yield (name,), post(line, CHUNKED)
        yield (name, "content-of-two-readings"), post(line, TWO_READINGS)
        yield (name, "beside-a-length"), post(whole + line, TWO_READINGS)
        yield (name, "beside-a-length"), post(line + whole, TWO_READINGS)
        yield (name, "beside-a-short-length"), post(line + length_line(3), CHUNKED)
        yield (name, "beside-chunked"), post(CHUNKED_LINE + line, CHUNKED)
        yield (name, "beside-chunked"), post(line + CHUNKED_LINE, CHUNKED)
        yield (name, "http-1.0"), post(line, CHUNKED).replace(b"HTTP/1.1", b"HTTP/1.0", 1)


def lines():
    for name, line in twists.LINES.items():
        yield (name,), get(HOST + line)
        yield (name, "first-line"), get(line + HOST)
        yield (name, "with-content"), post(length_line(5) + line, b"hello")
        yield (name, "with-chunks"), post(line + CHUNKED_LINE, CHUNKED)
    for name, line in twists.HOSTS.items():
        yield (name,), get(line)
        yield (name, "with-content"), post(length_line(5), b"hello", lines=line)
        yield (name, "http-1.0"), get(line, first=b"GET /m HTTP/1.0\r\n")


def request_lines():
    for name, line in twists.REQUEST_LINES.items():
        yield (name,), get(first=line)
        yield (name, "with-content"), line + HOST + length_line(5) + b"\r\nhello"


def chunks():
    for name, content in twists.CHUNKS.items():
        yield (name,), post(CHUNKED_LINE, content)


def framing():
    """The classics that need no odd line at all."""
    both = [length_line(len(TWO_READINGS)) + CHUNKED_LINE, CHUNKED_LINE + length_line(len(TWO_READINGS))]
    for line in both:
        yield ("length-and-chunked",), post(line, TWO_READINGS)
        yield ("length-and-chunked", "http-1.0"), post(line, TWO_READINGS).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    yield ("length-and-chunked",), post(length_line(4) + CHUNKED_LINE, b"2a\r\n" + TWO_READINGS + b"\r\n0\r\n\r\n")
    yield ("chunked-in-1.0",), post(CHUNKED_LINE, CHUNKED).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    yield ("length-in-1.0-kept-alive",), post(
        length_line(5) + b"Connection: keep-alive\r\n", b"hello").replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    yield ("length-in-1.0",), post(length_line(5), b"hello").replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    yield ("no-length-with-content",), post(b"", b"hello")
    yield ("no-length-with-request",), post(b"", INNER)
    yield ("length-too-long",), post(length_line(5000), b"hello")
    yield ("length-too-short",), post(length_line(3), b"hello")
    for method in (b"GET", b"DELETE", b"OPTIONS", b"TRACE"):
        tag = "content-of-" + method.decode().lower()
        yield (tag,), post(length_line(5), b"hello").replace(b"POST", method, 1)
        yield (tag,), post(CHUNKED_LINE, CHUNKED).replace(b"POST", method, 1)
    yield ("close-and-more",), get(HOST + b"Connection: close\r\n") + get()
    yield ("close-among-options",), get(HOST + b"Connection: x, Close ,y\r\n") + get()


def good():
    for name, line in twists.GOOD_LINES.items():
        yield (name,), get(HOST + line)
        yield (name,), get(line + HOST)
        yield (name,), post(length_line(5) + line, b"hello")
        yield (name,), post(line + CHUNKED_LINE, CHUNKED)
    for name, content in twists.GOOD_CHUNKS.items():
        yield (name,), post(CHUNKED_LINE, content)
        yield (name,), post(CHUNKED_LINE, content) + post(CHUNKED_LINE, content)
    for name, line in {"good-length": length_line(len(TWO_READINGS)), "good-length-spaces": b"Content-Length:   42  \r\n",
                       "good-length-zeros": b"Content-Length: 00042\r\n", "good-length-case": b"CONTENT-length:42\r\n",
                       }.items():
        yield (name,), post(line, TWO_READINGS)
        yield (name,), post(line, TWO_READINGS) + get()
    for name, line in {"good-coding-case": b"TRANSFER-ENCODING: Chunked\r\n",
                       "good-coding-spaces": b"Transfer-Encoding:  chunked  \r\n"}.items():
        yield (name,), post(line, CHUNKED)
    yield ("good-pipeline",), get() + post(length_line(5), b"hello") + post(CHUNKED_LINE, CHUNKED) + get()
    yield ("good-empty-line-before",), b"\r\n" + get()
    yield ("good-absolute-target",), get(first=b"GET http://a.test/m HTTP/1.1\r\n")
    yield ("good-absolute-target",), get(first=b"GET HTTP://a.test/m HTTP/1.1\r\n")
    yield ("good-query",), get(first=b"GET /m?a=/../b&c=%2f HTTP/1.1\r\n")
    yield ("good-host-port",), get(b"Host: a.test:8080\r\n")
    yield ("good-host-case",), get(b"HOST:A.test\r\n")
    yield ("good-host-ipv6",), get(b"Host: [::1]:80\r\n")


# ---- two at once ----

def pairs(rng, n):
    """An odd line in a request whose framing or chunks are odd too."""
    framings = [((name,), line, b"hello") for name, line in twists.LENGTHS.items()]
    framings += [((name,), line, CHUNKED) for name, line in twists.CODINGS.items()]
    framings += [((name,), CHUNKED_LINE, content) for name, content in twists.CHUNKS.items()]
    hosts = [((), HOST)] * 3 + [((name,), line) for name, line in twists.HOSTS.items()]
    odd = list(twists.LINES.items())
    for _ in range(n):
        tags, line, content = rng.choice(framings)
        host_tags, host = rng.choice(hosts)
        name, other = rng.choice(odd)
        together = [line, other]
        rng.shuffle(together)
        yield (*tags, *host_tags, name), post(b"".join(together), content, lines=host)


# ---- edits ----

def line_pieces(region, name, value):
    return [(f"{region}-name", name), (f"{region}-colon", b":"), (f"{region}-space", b" "),
            (f"{region}-value", value), (f"{region}-end", b"\r\n")]


def head_pieces(method, *framing, version=b"HTTP/1.1"):
    return [("method", method), ("first-space", b" "), ("target", b"/m"), ("second-space", b" "), ("version", version),
            ("line-end", b"\r\n"), *line_pieces("host", b"Host", b"a.test"), *framing,
            *line_pieces("header", b"X-Even", b"two words"), ("head-end", b"\r\n")]


def chunk_pieces(data, extension=b""):
    return [("size", b"%x" % len(data)), *([("extension", extension)] if extension else []), ("size-end", b"\r\n"),
            ("data", data), ("data-end", b"\r\n")]


def edit_bases():
    """(tags of its own, the pieces of a request)"""
    length = line_pieces("length", b"Content-Length", b"42")
    coding = line_pieces("coding", b"Transfer-Encoding", b"chunked")
    last = [("last-size", b"0"), ("last-size-end", b"\r\n")]
    end = [("chunked-end", b"\r\n")]
    return [
        ((), head_pieces(b"GET")),
        ((), head_pieces(b"POST", *length) + [("content", INNER + b"fives")]),
        ((), head_pieces(b"POST", *coding) + chunk_pieces(INNER) + last + end),
        ((), head_pieces(b"POST", *coding) + chunk_pieces(b"hello", b";a=b") + chunk_pieces(b"world", b';a="b c"') + last
         + line_pieces("trailer", b"X-Odd", b"one") + end),
        (("length-and-chunked",), head_pieces(b"POST", *length, *coding) + chunk_pieces(INNER) + last + end),
    ]


def edits_of(pieces):
    """Every single edit: (tag, the new bytes)."""
    for i, (region, piece) in enumerate(pieces):
        before = b"".join(data for _, data in pieces[:i])
        behind = b"".join(data for _, data in pieces[i + 1:])

        def made(new, before=before, behind=behind):
            return before + new + behind

        yield f"drop:{region}", made(b"")
        yield f"double:{region}", made(piece + piece)
        yield f"cut:{region}", made(piece[:-1])
        middle = len(piece) // 2
        for name, byte in BYTES.items():
            yield f"before:{region}:{name}", made(byte + piece)
            yield f"behind:{region}:{name}", made(piece + byte)
            yield f"inside:{region}:{name}", made(piece[:middle] + byte + piece[middle:])
            yield f"instead:{region}:{name}", made(piece[:middle] + byte + piece[middle + 1:])


def edits():
    for tags, pieces in edit_bases():
        for tag, data in edits_of(pieces):
            yield (tag, *tags), data


def make(seed, n_pairs):
    """All vectors, each bytes once."""
    rng = random.Random(seed)
    made = {}
    for source in (good(), framing(), lengths(), codings(), lines(), request_lines(), chunks(),
                   edits(), pairs(rng, n_pairs)):
        for tags, data in source:
            made.setdefault(data + END, Vector(tuple(sorted(tags)), data + END))
    return list(made.values())
