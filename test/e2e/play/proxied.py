"""Backends whose connections begin with the PROXY protocol, by either version, before anything else (TLS too)."""
import socket
import struct

from .http2_upstream import Http2Upstream
from .upstream import Upstream

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def _exactly(sock, n):
    data = b""
    while len(data) < n:
        more = sock.recv(n - len(data))
        if not more:
            raise OSError("it ended before its header")
        data += more
    return data


def read_header(sock):
    """(version, "203.0.113.9:4711", "192.0.2.1:80"), or (version, None, None) of a connection of the sender's own. Not a
    byte of what follows is taken."""
    begin = _exactly(sock, 12)
    if begin == SIGNATURE:
        command, family, n = struct.unpack("!BBH", _exactly(sock, 4))
        ends = _exactly(sock, n)
        if command == 0x20:
            assert (family, n) == (0, 0)
            return 2, None, None
        assert (command, family, n) in ((0x21, 0x11, 12), (0x21, 0x21, 36)), (command, family, n)
        ip = 4 if family == 0x11 else 16
        texts = [socket.inet_ntop(socket.AF_INET if ip == 4 else socket.AF_INET6, ends[i * ip:i * ip + ip]) for i in (0, 1)]
        ports = struct.unpack("!HH", ends[2 * ip:])
        return 2, *(f"{text}:{port}" for text, port in zip(texts, ports))
    while not begin.endswith(b"\r\n"):
        assert len(begin) < 107, begin
        begin += _exactly(sock, 1)
    words = begin[:-2].decode().split(" ")
    assert words[0] == "PROXY", begin
    if words[1:] == ["UNKNOWN"]:
        return 1, None, None
    assert words[1] in ("TCP4", "TCP6") and len(words) == 6, begin
    return 1, f"{words[2]}:{words[4]}", f"{words[3]}:{words[5]}"


class _Proxied:
    """`told`: the header of each connection, by its other end: ("127.0.0.1", port) of the gateway."""

    def __init__(self, *args, **more):
        self.told = {}
        super().__init__(*args, **more)

    def _serve(self, sock, *rest):
        try:
            self.told[sock.getpeername()] = read_header(sock)
        except (OSError, AssertionError) as fault:
            self.told[id(sock)] = ("fault", str(fault), None)
            sock.close()
            return
        super()._serve(sock, *rest)

    def header_of(self, connection):
        return self.told[connection.sock.getpeername()]


class ProxiedUpstream(_Proxied, Upstream):
    pass


class ProxiedHttp2Upstream(_Proxied, Http2Upstream):
    pass
