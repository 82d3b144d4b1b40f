"""A name server of flesh and blood, by UDP and TCP at one port: it says of any name what it has been told to say."""
import contextlib
import ipaddress
import socket
import struct
import threading

SERVFAIL, NXDOMAIN = 2, 3
A, AAAA = 1, 28
UDP_BYTES = 1232


class NameServer:
    """`addresses`, with `ttl`, of any name; or `rcode`; or nothing when `is_silent`. `n_asked`: questions for an address of
    IPv4, each once."""

    def __init__(self):
        self.addresses, self.ttl, self.rcode, self.is_silent, self.n_asked = [], 1, 0, False, 0
        while True:
            self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._udp.bind(("127.0.0.1", 0))
            self.port = self._udp.getsockname()[1]
            try:
                self._tcp = socket.create_server(("127.0.0.1", self.port), backlog=16)
                break
            except OSError:  # somebody has that port for TCP
                self._udp.close()
        self._threads = [threading.Thread(target=serve, daemon=True) for serve in (self._serve_udp, self._serve_tcp)]
        for thread in self._threads:
            thread.start()

    @property
    def args(self):
        return ["--dns-server", f"127.0.0.1:{self.port}"]

    def fail(self, rcode=0, is_silent=False):
        self.rcode, self.is_silent = rcode, is_silent
        self.addresses = []

    def stop(self):
        for sock in (self._udp, self._tcp):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(5)

    def _answer(self, question, room):
        end = 12
        while question[end]:
            end += question[end] + 1
        kind = struct.unpack_from(">H", question, end + 1)[0]
        addresses = [ipaddress.ip_address(a) for a in self.addresses]
        records = [b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, self.ttl, len(a.packed)) + a.packed for a in addresses
                   if kind == (A if a.version == 4 else AAAA)]
        is_cut = end + 5 + sum(map(len, records)) > room
        if kind == A and not is_cut:
            self.n_asked += 1
        if self.is_silent:
            return b""
        flags = 0x8180 | self.rcode | (0x200 if is_cut else 0)
        records = [] if is_cut or self.rcode else records
        return question[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0) + question[12:end + 5] + b"".join(records)

    def _serve_udp(self):
        with contextlib.suppress(OSError):
            while True:
                question, peer = self._udp.recvfrom(4096)
                if not question:
                    return
                answer = self._answer(question, UDP_BYTES)
                if answer:
                    self._udp.sendto(answer, peer)

    def _serve_tcp(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._tcp.accept()
                threading.Thread(target=self._serve_connection, args=(sock,), daemon=True).start()

    def _serve_connection(self, sock):
        with sock, contextlib.suppress(OSError), sock.makefile("rb") as stream:
            while len(head := stream.read(2)) == 2:
                answer = self._answer(stream.read(struct.unpack(">H", head)[0]), 65535)
                if answer:
                    sock.sendall(struct.pack(">H", len(answer)) + answer)
