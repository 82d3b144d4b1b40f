"""An HTTP/2 client on one connection (python3-h2 keeps its frames): many streams, exact control of windows and resets."""
import json as json_module
import socket

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

from play.client import Reply
from play.deadline import FACTOR


class Http2:
    def __init__(self, port, tls=None, server_name=None, seconds=20, window=None, preface=True):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=seconds * FACTOR)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            tls.set_alpn_protocols(["h2"])
            self.sock = tls.wrap_socket(self.sock, server_hostname=server_name)
            assert self.sock.selected_alpn_protocol() == "h2"
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding="utf-8", validate_outbound_headers=False, normalize_outbound_headers=False))
        self.reads = True  # grants windows for what comes
        self.streams = {}  # id: {"headers", "body", "trailers", "end", "reset", "interim"}
        self.goaways = []  # (last stream, code) of each
        self.buffered = b""
        self.is_closed = False
        if preface:
            self.h2.initiate_connection()
            if window is not None:
                self.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
            self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def flush(self):
        self.sock.sendall(self.h2.data_to_send())

    def headers(self, path="/", method="GET", host="localhost", headers=(), end=True, scheme="http", token=None, protocol=None, flush=True):
        """Opens a stream; its id."""
        stream = self.h2.get_next_available_stream_id()
        if token is not None:
            headers = [*headers, ("authorization", f"Bearer {token}")]
        fields = [(":method", method), (":scheme", scheme), (":authority", host), (":path", path), (":protocol", protocol),
                  *headers]
        self.h2.send_headers(stream, [(n, v) for n, v in fields if v is not None], end_stream=end)
        self.streams[stream] = {"headers": None, "body": bytearray(), "trailers": None, "end": False, "reset": None, "interim": []}
        if flush:
            self.flush()
        return stream

    def data(self, stream, data, end=False):
        """Waits for windows as it must."""
        rest = memoryview(data)
        while True:
            n = min(len(rest), self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if rest and n == 0:
                if self.streams[stream]["reset"] is not None:
                    raise h2.exceptions.StreamClosedError(stream)
                self.read()
                continue
            self.h2.send_data(stream, bytes(rest[:n]), end_stream=end and n == len(rest))
            rest = rest[n:]
            self.flush()
            if not rest:
                return

    def read(self):
        """One read's events."""
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            self.is_closed = True
            return
        for event in self.h2.receive_data(self._without_goaway(data)):
            self._take(event)
        self.flush()

    def _without_goaway(self, data):
        """h2 takes GOAWAY for the end of everything; here streams go on behind it. Whole frames of the rest."""
        self.buffered += data
        kept = b""
        while len(self.buffered) >= 9 + (n := int.from_bytes(self.buffered[:3], "big")):
            frame, self.buffered = self.buffered[:9 + n], self.buffered[9 + n:]
            if frame[3] == 7:
                self.goaways.append((int.from_bytes(frame[9:13], "big"), int.from_bytes(frame[13:17], "big")))
            else:
                kept += frame
            if len(self.buffered) < 9:
                break
        return kept

    def _take(self, event):
        entry = self.streams.get(getattr(event, "stream_id", None) or 0)
        if entry is None:
            pass
        elif isinstance(event, h2.events.InformationalResponseReceived):
            entry["interim"].append(dict(event.headers))
        elif isinstance(event, h2.events.ResponseReceived):
            entry["headers"] = event.headers
        elif isinstance(event, h2.events.DataReceived):
            entry["body"] += event.data
            if self.reads and event.flow_controlled_length and not entry["end"]:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            entry["trailers"] = event.headers
        elif isinstance(event, h2.events.StreamEnded):
            entry["end"] = True
        elif isinstance(event, h2.events.StreamReset):
            entry["reset"] = event.error_code

    def until(self, is_true):
        while not is_true():
            assert not self.is_closed, "closed by the gateway"
            self.read()

    def reply(self, stream):
        """The whole answer of a stream."""
        entry = self.streams[stream]
        self.until(lambda: entry["end"] or entry["reset"] is not None)
        assert entry["end"], f"reset with {entry['reset']}"
        fields = [(name.lower(), value) for name, value in entry["headers"]]
        return Reply(int(dict(fields)[":status"]), [f for f in fields if not f[0].startswith(":")], bytes(entry["body"]), "HTTP/2")

    def request(self, path="/", method=None, body=None, json=None, headers=(), **more):
        if json is not None:
            body = json_module.dumps(json).encode()
            headers = [*headers, ("content-type", "application/json")]
        if body is not None:
            headers = [*headers, ("content-length", str(len(body)))]
        stream = self.headers(path, method or ("GET" if body is None else "POST"), headers=headers, end=body is None, **more)
        if body is not None:
            self.data(stream, body, end=True)
        return self.reply(stream)
