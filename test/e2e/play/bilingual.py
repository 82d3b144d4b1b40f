"""A backend that speaks HTTP/1.1 and HTTP/2 on one port: by their first bytes, over TLS by ALPN."""
import socket
import threading

from .http2_upstream import Http2Upstream
from .upstream import Upstream


class Bilingual:
    """`spoken`: what each request came by, "h1" or "h2", in the order of their coming."""

    def __init__(self, name="upstream", tls=None):
        self.spoken = []
        self._h1, self._h2 = Upstream(name), Http2Upstream(name)
        self._h1.script = self._noting("h1", self._h1.script)
        self._h2.script = self._noting("h2", self._h2.script)
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _noting(self, protocol, script):
        def noted(*args):
            self.spoken.append(protocol)
            return script(*args)
        return noted

    def stop(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._h1.stop()
        self._h2.stop()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        try:
            if self._tls:
                sock = self._tls.wrap_socket(sock, server_side=True)
                is_h2 = sock.selected_alpn_protocol() == "h2"
            else:
                is_h2 = sock.recv(3, socket.MSG_PEEK | socket.MSG_WAITALL) == b"PRI"
        except OSError:
            sock.close()
            return
        if is_h2:
            self._h2._serve(sock)
        else:
            self._h1._serve(sock, 0)
