"""Two ways to talk to the gateway: ordinary requests, and raw bytes for what no library would send."""
import dataclasses
import json as json_module
import http.client
import socket

from .deadline import FACTOR


@dataclasses.dataclass
class Reply:
    status: int
    headers: list  # (lower-case name, value)
    body: bytes
    version: str = "HTTP/1.1"

    def all(self, name):
        return [value for key, value in self.headers if key == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    @property
    def json(self):
        return json_module.loads(self.body)

    @property
    def code(self):
        """The stable code of a refusal."""
        document = self.json
        error = document["error"]
        return document["code"] if isinstance(error, str) else error["code"]  # KServe's error is the message alone


def request(port, path="/", method=None, host="localhost", headers=(), body=None, json=None, token=None,
            tls=None, server_name=None, address="127.0.0.1"):
    """One request on a connection of its own."""
    if json is not None:
        body = json_module.dumps(json).encode()
        headers = [*headers, ("content-type", "application/json")]
    if token is not None:
        headers = [*headers, ("authorization", f"Bearer {token}")]
    connection = http.client.HTTPConnection(address, port, timeout=20 * FACTOR)
    connection.connect()
    if tls:
        connection.sock = tls.wrap_socket(connection.sock, server_hostname=server_name or host)
    try:
        connection.putrequest(method or ("GET" if body is None else "POST"), path, skip_host=True,
                              skip_accept_encoding=True)
        connection.putheader("Host", host)
        for name, value in headers:
            connection.putheader(name, value)
        if body is not None and not any(name.lower() == "transfer-encoding" for name, _ in headers):
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return Reply(answer.status, [(k.lower(), v) for k, v in answer.getheaders()], answer.read(),
                     "HTTP/1.0" if answer.version == 10 else "HTTP/1.1")
    finally:
        connection.close()


class Raw:
    """A connection for exact bytes."""

    def __init__(self, port, data=b"", tls=None, server_name=None, seconds=20):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=seconds * FACTOR)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname=server_name)
        self.buffer = b""
        if data:
            self.send(data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def _more(self):
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            data = b""
        self.buffer += data
        return bool(data)

    def until(self, mark):
        while mark not in self.buffer:
            if not self._more():
                raise AssertionError(f"closed before {mark!r}: {self.buffer!r}")
        head, self.buffer = self.buffer.split(mark, 1)
        return head + mark

    def exactly(self, n):
        while len(self.buffer) < n:
            if not self._more():
                raise AssertionError(f"closed after {len(self.buffer)} of {n} bytes")
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def head(self):
        """(status, headers) of the next response head, interim ones included."""
        lines = self.until(b"\r\n\r\n")[:-4].decode("latin-1").split("\r\n")
        headers = [(name.lower(), value.strip()) for name, value in
                   (line.split(":", 1) for line in lines[1:])]
        return int(lines[0].split(" ")[1]), headers

    def chunk(self):
        size = int(self.until(b"\r\n").split(b";")[0], 16)
        data = self.exactly(size)
        if size > 0:
            self.until(b"\r\n")
        else:
            self.trailers = self._trailers()
        return data

    def _trailers(self):
        trailers = []
        while (line := self.until(b"\r\n")) != b"\r\n":
            name, value = line.decode("latin-1").split(":", 1)
            trailers.append(("trailer:" + name.lower(), value.strip()))
        return trailers

    def reply(self, is_head=False):
        """The next whole response."""
        status, headers = self.head()
        fields = dict(headers)
        body = b""
        if is_head or status in (204, 304) or status < 200:
            pass
        elif fields.get("transfer-encoding") == "chunked":
            while data := self.chunk():
                body += data
            headers += self.trailers
        elif "content-length" in fields:
            body = self.exactly(int(fields["content-length"]))
        else:
            body = self.rest()
        return Reply(status, headers, body)

    def rest(self):
        """Everything until the other side closes."""
        while self._more():
            pass
        data, self.buffer = self.buffer, b""
        return data

    def is_closed(self):
        """Whether the gateway closes now (waits for it; data that still comes is a no)."""
        return not self.buffer and not self._more()
