"""TLS by hand: records that a library would never send, behind an ordinary handshake whose keys it has told (RFC 5246 6.3,
RFC 8446 7). Only suites of AES-GCM."""
import hashlib
import hmac
import socket
import ssl
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .deadline import FACTOR

ALERT, HANDSHAKE, CONTENT = 21, 22, 23
KEY_UPDATE = b"\x18\0\0\1"  # and whether one is wanted back
CLIENT_HELLO = b"\x01\0\0\0"


def _prf(secret, label, seed, n):
    seed, a, out = label + seed, label + seed, b""
    while len(out) < n:
        a = hmac.digest(secret, a, hashlib.sha256)
        out += hmac.digest(secret, a + seed, hashlib.sha256)
    return out[:n]


def _expand(secret, label, n):
    """HKDF-Expand-Label, of one block."""
    label = b"tls13 " + label
    info = struct.pack(">HB", n, len(label)) + label + b"\0\1"
    return hmac.digest(secret, info, hashlib.sha384 if len(secret) == 48 else hashlib.sha256)[:n]


class Records:
    """A connection whose handshake is done, and what it would send next, record by record."""

    def __init__(self, port, authority, folder, version, server_name="one.test"):
        context = authority.client()
        context.minimum_version = context.maximum_version = version
        context.set_ciphers("ECDHE+AESGCM+AES128")
        log = folder / "keys"
        context.keylog_filename = str(log)
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=20 * FACTOR)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._is_13 = version == ssl.TLSVersion.TLSv1_3
        came = self._shake_hands(context, server_name)
        keys = {line.split()[0]: [bytes.fromhex(word) for word in line.split()[1:]] for line in log.read_text().splitlines()
                if not line.startswith("#")}
        log.unlink()
        if self._is_13:
            self._secret = keys["CLIENT_TRAFFIC_SECRET_0"][1]
            self._begin()
        else:
            client_random, master = keys["CLIENT_RANDOM"]
            block = _prf(master, b"key expansion", came[11:43] + client_random, 40)  # the hello's random comes first
            self._key, self._iv, self._n = AESGCM(block[:16]), block[32:36], 1  # Finished was the first

    def _shake_hands(self, context, server_name):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname=server_name)
        came = b""
        while True:
            try:
                tls.do_handshake()
                self.sock.sendall(outgoing.read())
                return came
            except ssl.SSLWantReadError:
                self.sock.sendall(outgoing.read())
                data = self.sock.recv(65536)
                came += data
                incoming.write(data)

    def _begin(self):
        self._key = AESGCM(_expand(self._secret, b"key", 32 if len(self._secret) == 48 else 16))
        self._iv, self._n = _expand(self._secret, b"iv", 12), 0

    def record(self, kind, content):
        n, self._n = self._n, self._n + 1
        if self._is_13:
            nonce = bytes(a ^ b for a, b in zip(self._iv, n.to_bytes(12, "big")))
            head = struct.pack(">BHH", CONTENT, 0x303, len(content) + 1 + 16)
            return head + self._key.encrypt(nonce, content + bytes([kind]), head)
        explicit = n.to_bytes(8, "big")
        said = struct.pack(">QBHH", n, kind, 0x303, len(content))
        return struct.pack(">BHH", kind, 0x303, 8 + len(content) + 16) + explicit + self._key.encrypt(self._iv + explicit, content, said)

    def key_update(self, asks):
        record = self.record(HANDSHAKE, KEY_UPDATE + bytes([asks]))
        self._secret = _expand(self._secret, b"traffic upd", len(self._secret))
        self._begin()
        return record
