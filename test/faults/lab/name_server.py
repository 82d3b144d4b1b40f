"""A name server with every switch that an experiment needs: it can have no such name, fail, be silent or talk nonsense."""
import socket
import struct
import threading

NXDOMAIN, SERVFAIL = 3, 2
TYPE_A = 1
TTL_S = 1


class NameServer:
    """Answers every question for an A record with `addresses`, and with no record any other."""

    def __init__(self, addresses=("127.0.0.1",)):
        self.addresses = list(addresses)
        self.mode = "ok"  # ok, nxdomain, servfail, silent, garbage, empty
        self.n_asked = 0
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self.port = self._sock.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self):
        """The thread wakes by a last datagram."""
        self.mode = "stop"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))

    def _serve(self):
        while True:
            query, peer = self._sock.recvfrom(4096)
            if self.mode == "stop":
                self._sock.close()
                return
            self.n_asked += 1
            if self.mode != "silent":
                self._sock.sendto(self.answer(query), peer)

    def answer(self, query):
        if self.mode == "garbage":
            return query[:2] + b"\xff" * 100
        end = query.index(b"\0", 12) + 5  # of the one question: name, type, class
        kind = struct.unpack_from(">H", query, end - 4)[0]
        found = self.addresses if self.mode == "ok" and kind == TYPE_A else []
        code = {"nxdomain": NXDOMAIN, "servfail": SERVFAIL}.get(self.mode, 0)
        head = query[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, len(found), 0, 0)
        records = b"".join(struct.pack(">HHHLH", 0xC00C, TYPE_A, 1, TTL_S, 4) + socket.inet_aton(a) for a in found)
        return head + query[12:end] + records
