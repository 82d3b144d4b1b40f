"""HTTP/2 by hand: frames and header blocks byte for byte, for what no library would send; and what came back for them,
stream by stream. play/http2.py is the client that means no harm."""
import collections
import json
import select
import socket
import struct
import time

import hpack

from .deadline import FACTOR

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, HAS_PRIORITY = 1, 1, 4, 8, 32
HEADER_TABLE_SIZE, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 1, 3, 4, 5
CODES = ("NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
         "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM")
CANCEL = CODES.index("CANCEL")
FRAME_MAX = 16384  # that a peer takes unless it says otherwise
WINDOW = 65535  # of a connection, and of a stream that SETTINGS say nothing of


# ---- frames ----

def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def settings(*pairs, ack=False):
    return frame(SETTINGS, ACK if ack else 0, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def ping(ack=False):
    return frame(PING, ACK if ack else 0, 0, b"12345678")


def reset(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def priority(stream, on=0, weight=16):
    return frame(PRIORITY, 0, stream, struct.pack(">IB", on, weight))


def data(stream, content=b"", end=False):
    return frame(DATA, END_STREAM if end else 0, stream, content)


def padded(stream, content, n_padding, end=False):
    return frame(DATA, PADDED | (END_STREAM if end else 0), stream, bytes([n_padding]) + content + bytes(n_padding))


# ---- header blocks (RFC 7541): literals that change no table, so that a connection has no memory ----

def integer(value, bits, pattern=0):
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([pattern | value])
    out, value = [pattern | limit], value - limit
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes([*out, value])


def raw(text):
    return text if isinstance(text, bytes) else text.encode("latin-1")


def string(text):
    return integer(len(raw(text)), 7) + raw(text)


def literal(name, value):
    return b"\x00" + string(name) + string(value)


def remembered(name, value):
    """With an entry in the table, to be named by `indexed(62)` and on."""
    return b"\x40" + string(name) + string(value)


def indexed(index):
    return integer(index, 7, 0x80)


def table_size(n):
    return integer(n, 5, 0x20)


def block(*fields):
    return b"".join(field if isinstance(field, bytes) else literal(*field) for field in fields)


def request_fields(target="/", method="GET", authority="a.test", scheme="http"):
    fields = ((":method", method), (":scheme", scheme), (":authority", authority), (":path", target))
    return [field for field in fields if field[1] is not None]


def headers(stream, *fields, end=True, is_whole=True):
    return frame(HEADERS, (END_STREAM if end else 0) | (END_HEADERS if is_whole else 0), stream, block(*fields))


def request(stream, target="/", *fields, end=True, **pseudo):
    return headers(stream, *request_fields(target, **pseudo), *fields, end=end)


def continuation(stream, payload=b"", is_last=False):
    return frame(CONTINUATION, END_HEADERS if is_last else 0, stream, payload)


# ---- a connection ----

class Stream:
    def __init__(self):
        self.status = None
        self.headers = []
        self.body = b""
        self.trailers = None
        self.is_ended = False
        self.reset = None  # the name of its code

    @property
    def is_over(self):
        return self.is_ended or self.reset is not None

    @property
    def code(self):
        """The stable code of a refusal."""
        return json.loads(self.body)["error"]["code"]


class Frames:
    """Sends what it is told to, takes what comes, and answers nothing but SETTINGS and PING: no window is ever opened
    unasked."""

    def __init__(self, port, first=PREFACE + settings(), receive_bytes=None, acks=True, greets=True):
        """`greets`: waits for the other side's SETTINGS, so that no answer to them comes between what is sent later."""
        self.sock = socket.socket()
        if receive_bytes:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.sock.settimeout(20 * FACTOR)
        self.sock.connect(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.streams = {}
        self.goaway = None  # the name of its code
        self.is_closed = False
        self.n_frames = [0] * 256  # that came, by type
        self.frame_ends = [0]  # where each frame that came ended, in bytes
        self.windows = collections.Counter()  # what WINDOW_UPDATEs have added, by stream
        self._acks = acks
        self._decoder = hpack.Decoder()
        self._buffer = b""
        self._owed = b""  # answers, until what is being sent has been sent: nothing comes between its frames
        self.send(first)
        if greets:
            self.until(lambda: self.n_frames[SETTINGS])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def stream(self, stream):
        return self.streams.setdefault(stream, Stream())

    def _ready(self, seconds, events=select.POLLIN):
        """(may be read, may be written), within that time; any number of sockets may be open (select() knows 1024)."""
        poll = select.poll()
        poll.register(self.sock, events)
        found = dict(poll.poll(seconds * 1000)).get(self.sock.fileno(), 0)
        return bool(found & ~select.POLLOUT), bool(found & ~select.POLLIN)

    def send(self, *frames):
        """False: the connection has ended meanwhile. What comes is taken meanwhile, so that neither side waits for the
        other."""
        left = memoryview(b"".join(frames))
        while left and not self.is_closed:
            reads, writes = self._ready(20 * FACTOR, select.POLLIN | select.POLLOUT)
            assert reads or writes, "the gateway takes nothing"
            if reads:
                self._take()
            if writes and not self.is_closed:
                try:
                    left = left[self.sock.send(left[:65536], socket.MSG_DONTWAIT):]
                except BlockingIOError:
                    pass
                except OSError:
                    self._drain()
        self._answer()
        return not self.is_closed

    def _answer(self):
        owed, self._owed = self._owed, b""
        if owed:
            self.send(owed)

    def push(self, data, limit, seconds=1):
        """Sends without reading; how many bytes were taken until the limit, the end, or none for a while."""
        n = 0
        while n < limit and self._ready(seconds * FACTOR, select.POLLOUT)[1]:
            try:
                n += self.sock.send(data[n % len(data):][:65536], socket.MSG_DONTWAIT)
            except OSError:
                break
        return n

    def take(self):
        """One read."""
        self._take()
        self._answer()

    def _take(self):
        try:
            got = self.sock.recv(65536)
        except ConnectionResetError:
            got = b""
        self.is_closed |= not got
        self._buffer += got
        while len(self._buffer) >= 9:
            n = int.from_bytes(self._buffer[:3], "big")
            if len(self._buffer) < 9 + n:
                break
            kind, flags, stream = struct.unpack(">BBI", self._buffer[3:9])
            payload, self._buffer = self._buffer[9:9 + n], self._buffer[9 + n:]
            self.frame_ends.append(self.frame_ends[-1] + 9 + n)
            self._on_frame(kind, flags, stream, payload)

    def _drain(self):
        """The other side has ended; what it said before is still to be read."""
        while not self.is_closed:
            self._take()

    def _on_frame(self, kind, flags, stream, payload):
        self.n_frames[kind] += 1
        if kind == GOAWAY:
            self.goaway = CODES[struct.unpack(">I", payload[4:8])[0]]
        elif kind == SETTINGS and not flags & ACK and self._acks:
            self._owed += settings(ack=True)
        elif kind == PING and not flags & ACK and self._acks:
            self._owed += frame(PING, ACK, 0, payload)
        elif kind == WINDOW_UPDATE:
            self.windows[stream] += struct.unpack(">I", payload)[0]
        elif kind == RST_STREAM:
            self.stream(stream).reset = CODES[struct.unpack(">I", payload)[0]]
        elif kind == HEADERS:
            assert flags & END_HEADERS, "no answer here is that long"
            self._on_headers(self.stream(stream), self._decoder.decode(payload))
        elif kind == DATA:
            self.stream(stream).body += payload
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            self.stream(stream).is_ended = True

    @staticmethod
    def _on_headers(stream, fields):
        status = int(dict(fields).get(":status", 0))
        if stream.status is not None:
            stream.trailers = fields
        elif status >= 200:
            stream.status, stream.headers = status, fields

    def look(self):
        """Takes what is there."""
        while not self.is_closed and self._ready(0)[0]:
            self.take()

    def until(self, is_true, seconds=20):
        """Takes what comes until it is so; the end of the connection is one too."""
        end = time.monotonic() + seconds * FACTOR
        while not is_true() and not self.is_closed:
            left = end - time.monotonic()
            assert left > 0, "not in time"
            if self._ready(left)[0]:
                self.take()

    def ends(self, seconds=20):
        """How the connection ended."""
        self.until(lambda: self.is_closed, seconds)
        return self.goaway or "closed"

    def outcome(self, stream, seconds=20):
        """Of a stream: "200", "400 bad_header", "reset PROTOCOL_ERROR", "goaway PROTOCOL_ERROR", "closed"."""
        s = self.stream(stream)
        self.until(lambda: s.is_over or (self.goaway or "NO_ERROR") != "NO_ERROR", seconds)
        if s.status is not None and s.is_ended:
            return f"{s.status}" if s.status < 400 else f"{s.status} {s.code}"
        if s.reset is not None:
            return f"reset {s.reset}"
        return f"goaway {self.goaway}" if self.goaway else "closed"
