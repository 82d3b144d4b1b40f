"""A backend that speaks HTTP/2 (python3-h2 keeps its frames): records requests, answers as its script says, stream by
stream in threads, and can do what a backend should not."""
import json
import socket
import struct
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from .deadline import FACTOR

SETTINGS = h2.settings.SettingCodes


class Stream:
    """One request, and how to answer it."""

    def __init__(self, connection, number):
        self.connection = connection
        self.number = number
        self.fields = []
        self.body = b""
        self.trailers = []
        self.is_complete = False
        self.reset_code = None  # of the gateway's reset
        self.reads = connection.upstream.reads  # grants its window
        self.ungranted = 0
        self.n_sent = 0

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    def all(self, name):
        return [value for key, value in self.fields if key == name]

    @property
    def method(self):
        return self.get(":method")

    @property
    def target(self):
        return self.get(":path")

    def wait(self, is_true, seconds=20):
        c = self.connection
        with c.changed:
            assert c.changed.wait_for(lambda: is_true() or c.is_closed or self.reset_code is not None, seconds * FACTOR), "waited in vain"
            if not is_true():
                raise OSError("the gateway has left")

    def grant(self):
        """Reads from now on, and what it has left unread too."""
        with self.connection.changed:
            self.reads = True
            if self.ungranted:
                self.connection.h2.acknowledge_received_data(self.ungranted, self.number)
                self.ungranted = 0
            self.connection.flush()

    def head(self, status=200, headers=(), end=False):
        with self.connection.changed:
            self.connection.h2.send_headers(self.number, [(":status", str(status)), *headers], end_stream=end)
            self.connection.flush()

    def data(self, data, end=False):
        """As windows allow."""
        c = self.connection
        while data or end:
            with c.changed:
                assert c.changed.wait_for(lambda: c.is_closed or self.reset_code is not None or not data or
                                          c.h2.local_flow_control_window(self.number) > 0, 60 * FACTOR), "no window"
                if c.is_closed or self.reset_code is not None:
                    raise OSError("the gateway has left")
                n = min(len(data), c.h2.local_flow_control_window(self.number), c.h2.max_outbound_frame_size)
                c.h2.send_data(self.number, data[:n], end_stream=end and n == len(data))
                self.n_sent += n
                data = data[n:]
                c.flush()
                if not data:
                    return

    def tail(self, trailers):
        with self.connection.changed:
            self.connection.h2.send_headers(self.number, list(trailers), end_stream=True)
            self.connection.flush()

    def answer(self, status=200, headers=(), body=b"", trailers=()):
        self.head(status, headers, end=not body and not trailers)
        if body:
            self.data(body, end=not trailers)
        if trailers:
            self.tail(trailers)

    def reset(self, code=h2.errors.ErrorCodes.INTERNAL_ERROR):
        with self.connection.changed:
            self.connection.h2.reset_stream(self.number, code)
            self.connection.flush()


class Connection:
    def __init__(self, upstream, sock, index):
        self.upstream = upstream
        self.sock = sock
        self.index = index
        self.changed = threading.Condition(threading.RLock())
        self.streams = {}
        self.is_closed = False
        self.is_killed = False
        self.n_pings = 0
        self.n_resets = 0
        self.goaway = None
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8",
                                                                       validate_outbound_headers=False,
                                                                       normalize_outbound_headers=False))

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.sock.sendall(data)

    def go_away(self, last):
        """No streams after `last`; those up to it go on."""
        with self.changed:
            self.sock.sendall(struct.pack(">I", 8)[1:] + b"\x07\x00" + struct.pack(">III", 0, last, 0))

    def close(self, resets=False):
        if resets:
            self.is_killed = True
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.sock.shutdown(socket.SHUT_RD)  # who waits in recv holds it open, and would until something comes
        elif not self.is_killed:
            try:
                self.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.sock.close()

    def serve(self):
        with self.changed:
            # In force from the first frame on, not once they are acknowledged.
            self.h2.local_settings = h2.settings.Settings(client=False, initial_values=self.upstream.settings)
            self.h2.initiate_connection()
            self.flush()
        while True:
            data = self.sock.recv(65536)
            if not data:
                return
            if self.upstream.is_deaf:
                continue
            with self.changed:
                for event in self.h2.receive_data(data):
                    self._take(event)
                self.flush()
                self.changed.notify_all()

    def _take(self, event):
        stream = self.streams.get(getattr(event, "stream_id", None) or 0)
        if isinstance(event, h2.events.RequestReceived):
            stream = self.streams[event.stream_id] = Stream(self, event.stream_id)
            stream.fields = event.headers
            self.upstream.opened(stream)
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = event
        elif isinstance(event, h2.events.PingReceived):
            self.n_pings += 1
        elif stream is None:
            pass
        elif isinstance(event, h2.events.DataReceived):
            stream.body += event.data
            if stream.reads and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            else:
                # Its own window alone stays shut.
                self.h2.increment_flow_control_window(event.flow_controlled_length or 1)
                stream.ungranted += event.flow_controlled_length
        elif isinstance(event, h2.events.TrailersReceived):
            stream.trailers = event.headers
        elif isinstance(event, h2.events.StreamEnded):
            stream.is_complete = True
            self.upstream.completed(stream)
        elif isinstance(event, h2.events.StreamReset):
            stream.reset_code = event.error_code
            self.n_resets += 1
            if self.n_resets >= self.upstream.resets_max:
                self.h2.close_connection(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
                self.flush()
                self.close()


class Http2Upstream:
    """`script(stream)` runs in a thread of its own when a request is complete; where there is an `on_head(stream)`, that
    runs instead, as soon as there is a head."""

    def __init__(self, name="upstream", tls=None, settings=None):
        self.name = name
        self.settings = {SETTINGS.MAX_CONCURRENT_STREAMS: 100, **(settings or {})}
        self.script = self.echo
        self.on_head = None
        self.reads = True
        self.is_deaf = False  # reads and does not hear
        self.resets_max = 1 << 30  # of one connection, which is ended then
        self.connections = []
        self.requests = []
        self.max_open = 0  # streams of one connection at once
        self.faults = []
        self._tls = tls
        self._changed = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def echo(self, stream):
        body = {"upstream": self.name, "method": stream.method, "target": stream.target, "body": stream.body.decode("latin-1")}
        stream.answer(headers=[("content-type", "application/json")], body=json.dumps(body).encode())

    @property
    def last(self):
        return self.requests[-1]

    def wait_for(self, n, seconds=20):
        """The requests, once there are at least `n` complete ones."""
        return self.until(lambda: len(self.requests) >= n and list(self.requests), seconds)

    def until(self, is_true, seconds=20):
        with self._changed:
            assert self._changed.wait_for(is_true, seconds * FACTOR), f"{self.name}: waited in vain"
            return is_true()

    def stop(self):
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        for connection in list(self.connections):
            connection.close()

    def opened(self, stream):
        self.max_open = max(self.max_open, stream.connection.h2.open_inbound_streams)
        if self.on_head:
            threading.Thread(target=self._run, args=(self.on_head, stream), daemon=True).start()

    def completed(self, stream):
        with self._changed:
            self.requests.append(stream)
            self._changed.notify_all()
        if not self.on_head:
            threading.Thread(target=self._run, args=(self.script, stream), daemon=True).start()

    def _run(self, script, stream):
        try:
            script(stream)
        except (OSError, h2.exceptions.ProtocolError):
            pass  # the gateway has left, as some plays want it to
        except AssertionError as fault:
            self.faults.append(fault)
            stream.connection.close()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        try:
            if self._tls:
                sock = self._tls.wrap_socket(sock, server_side=True)
        except OSError:
            sock.close()
            return
        connection = Connection(self, sock, len(self.connections))
        with self._changed:
            self.connections.append(connection)
            self._changed.notify_all()
        try:
            connection.serve()
        except (OSError, h2.exceptions.ProtocolError):
            pass
        finally:
            with connection.changed:
                connection.is_closed = True
                connection.changed.notify_all()
            with self._changed:
                self._changed.notify_all()
            connection.close()
