"""A backend of flesh and blood: a small HTTP/1.1 server in threads that records what it got, byte for
byte where it matters, and does what its script says."""
import dataclasses
import json
import socket
import struct
import threading

from .deadline import FACTOR


@dataclasses.dataclass
class Request:
    method: str
    target: str
    version: str
    headers: list  # (lower-case name, value) in order
    head: bytes  # as it came
    connection: int  # which connection, counted from 0
    body: bytes = b""
    trailers: list = dataclasses.field(default_factory=list)
    tail: bytes = b""  # the trailers as they came

    @property
    def spelt(self):
        """Names of headers and trailers as they came."""
        lines = self.head.split(b"\r\n")[1:] + self.tail.split(b"\r\n")
        return [line.split(b":")[0].decode() for line in lines if b":" in line]

    def all(self, name):
        return [value for key, value in self.headers if key == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default


@dataclasses.dataclass
class Answer:
    status: int = 200
    headers: list = dataclasses.field(default_factory=list)
    body: bytes = b""
    chunks: list = None  # sent chunked, one by one, instead of `body`
    trailers: list = dataclasses.field(default_factory=list)
    close: bool = False


class Connection:
    """One accepted connection, as a script sees it."""

    def __init__(self, sock, index):
        self.sock = sock
        self.index = index
        self.buffer = b""

    def recv(self):
        try:
            data = self.sock.recv(65536)
        except OSError:
            data = b""
        self.buffer += data
        return bool(data)

    def read_until(self, mark):
        while mark not in self.buffer:
            if not self.recv():
                return None
        head, self.buffer = self.buffer.split(mark, 1)
        return head + mark

    def read_exactly(self, n):
        while len(self.buffer) < n:
            if not self.recv():
                return None
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def send(self, data):
        self.sock.sendall(data)

    def reset(self):
        """Ends the connection with a TCP reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()


def _headers(lines):
    pairs = (line.split(b":", 1) for line in lines if line)
    return [(name.decode("latin-1").lower(), value.decode("latin-1").strip()) for name, value in pairs]


class Upstream:
    """`script(request, connection)` answers an Answer, or None when it did the talking itself and the
    connection ends. `on_head(request, connection)` runs before the body is read; answering False ends
    the connection."""

    def __init__(self, name="upstream", tls=None, address="127.0.0.1", port=0):
        self.name = name
        self.requests = []
        self.n_connections = 0
        self.script = self.echo
        self.on_head = None
        self.probe_target = None  # requests for it are answered 200, and not recorded
        self._tls = tls
        self._changed = threading.Condition()
        self._open = []
        self._listener = socket.create_server((address, port), backlog=512)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def echo(self, request, _connection):
        body = {"upstream": self.name, "method": request.method, "target": request.target,
                "body": request.body.decode("latin-1")}
        return Answer(headers=[("content-type", "application/json")], body=json.dumps(body).encode())

    def wait_for(self, n, seconds=10):
        """The requests, once there are at least `n` complete ones."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.requests) >= n, seconds * FACTOR):
                raise AssertionError(f"{self.name}: {len(self.requests)} requests, waited for {n}")
            return list(self.requests)

    @property
    def last(self):
        return self.requests[-1]

    def reset_all(self):
        """Ends every open connection with a TCP reset."""
        for connection in list(self._open):
            try:
                connection.reset()
            except OSError:
                pass  # closed already

    def stop(self):
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        for connection in list(self._open):
            connection.close()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            index, self.n_connections = self.n_connections, self.n_connections + 1
            threading.Thread(target=self._serve, args=(sock, index), daemon=True).start()

    def _serve(self, sock, index):
        try:
            if self._tls:
                sock = self._tls.wrap_socket(sock, server_side=True)
        except OSError:
            sock.close()
            return
        connection = Connection(sock, index)
        self._open.append(connection)
        try:
            while self._serve_one(connection):
                pass
        except OSError:
            pass
        finally:
            connection.close()

    def _serve_one(self, connection):
        head = connection.read_until(b"\r\n\r\n")
        if head is None:
            return False
        lines = head[:-4].split(b"\r\n")
        method, target, version = lines[0].decode("latin-1").split(" ", 2)
        request = Request(method, target, version, _headers(lines[1:]), head, connection.index)
        if self.on_head and self.on_head(request, connection) is False:
            return False
        if request.get("expect", "").lower() == "100-continue":
            connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if not self._read_body(request, connection):
            return False
        if target == self.probe_target:
            self._send(request, Answer(), connection)
            return True
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
        answer = self.script(request, connection)
        if answer is None:
            return False
        self._send(request, answer, connection)
        return not answer.close

    @staticmethod
    def _read_body(request, connection):
        if request.get("transfer-encoding", "").lower() == "chunked":
            while True:
                line = connection.read_until(b"\r\n")
                if line is None:
                    return False
                size = int(line.split(b";")[0], 16)
                if size == 0:
                    break
                chunk = connection.read_exactly(size + 2)
                if chunk is None:
                    return False
                request.body += chunk[:-2]
            lines = []
            while (line := connection.read_until(b"\r\n")) not in (None, b"\r\n"):
                lines.append(line[:-2])
            request.trailers = _headers(lines)
            request.tail = b"\r\n".join(lines)
            return line is not None
        body = connection.read_exactly(int(request.get("content-length", "0")))
        request.body = body or b""
        return body is not None

    @staticmethod
    def _send(request, answer, connection):
        head = f"HTTP/1.1 {answer.status} Scripted\r\n"
        names = {name.lower() for name, _ in answer.headers}
        for name, value in answer.headers:
            head += f"{name}: {value}\r\n"
        has_body = answer.status not in (204, 304) and answer.status >= 200
        if answer.chunks is not None:
            head += "transfer-encoding: chunked\r\n"
        elif has_body and "content-length" not in names:
            head += f"content-length: {len(answer.body)}\r\n"
        if answer.close:
            head += "connection: close\r\n"
        connection.send(head.encode("latin-1") + b"\r\n")
        if request.method == "HEAD" or not has_body:
            return
        if answer.chunks is None:
            connection.send(answer.body)
            return
        for chunk in answer.chunks:
            connection.send(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        trailers = "".join(f"{name}: {value}\r\n" for name, value in answer.trailers)
        connection.send(b"0\r\n" + trailers.encode("latin-1") + b"\r\n")
