"""A reader of the live picture (/live): the event stream of the admin port, and its parts as they are known now."""
import json
import socket
import time
import urllib.parse

from . import client
from .deadline import FACTOR

PARTS = ["traffic", "backends", "limits", "usage", "refusals", "objects", "credentials"]


class Live:
    def __init__(self, gw, receive_bytes=None):
        self.sock = socket.socket()
        if receive_bytes:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.sock.settimeout(20 * FACTOR)
        self.sock.connect(("127.0.0.1", gw.admin_port))
        self.sock.sendall(f"GET /live HTTP/1.1\r\nHost: localhost:{gw.admin_port}\r\n\r\n".encode())
        self.text = b""  # all that came
        self.parts = {}
        self.order = []  # names of events
        self._read = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def more(self):
        """Reads on; false: the gateway has closed."""
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            data = b""
        self.text += data
        while (end := self.text.find(b"\n\n", self._read)) >= 0:
            event, self._read = self.text[self._read:end], end + 2
            for name in PARTS:
                mark = f"event: {name}\ndata: ".encode()
                if mark in event:
                    self.parts[name] = json.loads(event.split(mark)[1])
                    self.order.append(name)
        return bool(data)

    def wait(self, check, seconds=15, what=None):
        """Until `check` of the parts is true, which is returned."""
        end = time.monotonic() + seconds * FACTOR
        while True:
            value = len(self.parts) == len(PARTS) and check(self.parts)
            if value:
                return value
            assert time.monotonic() < end, f"not within {seconds} s: {what}\n{json.dumps(self.parts)[:4000]}"
            assert self.more(), "the stream has ended"

    def head(self):
        return self.text.split(b"\r\n\r\n")[0].decode()


def is_shown(text, whole):
    """Long texts are cut, with the sign of it."""
    return text == whole or text.endswith("…") and len(text.encode()) >= 60 and whole.startswith(text[:-1])


def explain_link(row):
    """The address that the page links a refusal to (page.js explainUrl); None: it has no link."""
    if not (row["host"] and row["port"] and row["path"].startswith("/")) or any(row[k].endswith("…") for k in ("method", "host", "path")):
        return None
    url = f"{'https' if row['tls'] else 'http'}://{row['host']}:{row['port']}{row['path']}"
    return "/explain?" + urllib.parse.urlencode({"request": f"{row['method']} {url}", "from": row["client"]})


def get(gw, path, **headers):
    return client.request(gw.admin_port, path, host=f"127.0.0.1:{gw.admin_port}", headers=list(headers.items()))
