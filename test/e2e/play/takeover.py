"""A line of gateways that take over from each other, and a taker of our own that says whatever it likes."""
import os
import socket
import struct

from .deadline import FACTOR, eventually
from .gateway import Gateway, StartFailed

SERVES = "accepts nothing any more: this one serves"
HELLO, WELCOME, REFUSED, READY, SOCKET, RECORDS, STATE_END, COMMIT, GO = range(1, 10)


class Successor(Gateway):
    """The same manifests, ports and socket as the one `before`; up when it has taken over."""

    def __init__(self, folder, before, args=()):
        super().__init__(folder, paths=before.paths, args=[*args, "--takeover", str(before.door)])
        self.paths = before.paths
        self.manifests = before.manifests
        self._map, self.admin_port, self.door = before._map, before.admin_port, before.door

    def _is_up(self):
        if self.is_anew:
            return super()._is_up()
        if self.process.poll() is not None:
            code, self.process = self.process.returncode, None
            raise StartFailed(code, self.stderr())
        return SERVES in self.stderr()


class Line:
    """line.first(manifests) starts a gateway that can be taken over, line.next() one that does."""

    def __init__(self, folder):
        self.folder = folder
        self.door = folder / "door"
        self.all = []

    def first(self, manifests, args=(), **more):
        gw = Gateway(self._folder(), manifests, args=[*args, "--takeover", str(self.door)], **more)
        gw.door = self.door
        self.all.append(gw)
        return gw.start()

    def next(self, args=(), is_anew=False):
        """is_anew: nobody is there any more to take over from."""
        gw = Successor(self._folder(), self.all[-1], args)
        gw.is_anew, gw._drain = is_anew, self.all[-1]._drain
        gw.start()  # of a start that fails nothing is left
        self.all.append(gw)
        return gw

    def _folder(self):
        made = self.folder / f"line-{len(list(self.folder.glob('line-*')))}"
        made.mkdir()
        return made

    def taker(self):
        return Taker(self.door)


class Taker:
    def __init__(self, door):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(20 * FACTOR)
        self.sock.connect(str(door))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def say(self, kind, content=b"", version=2, fds=()):
        socket.send_fds(self.sock, [b"TGTO" + struct.pack("<HH", version, kind) + content], fds)

    def say_hello(self):
        """With one end of the channel by which it is asked."""
        self.asked, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.say(HELLO, fds=[theirs.fileno()])
        theirs.close()

    def hear(self):
        """(kind, content) of the next message, or None; what comes along with it is closed."""
        data, descriptors, _, _ = socket.recv_fds(self.sock, 1 << 17, 4)
        for fd in descriptors:
            os.close(fd)
        return (struct.unpack("<H", data[6:8])[0], data[8:]) if data else None

    def hear_until(self, kind):
        heard = []
        while (message := self.hear()) is not None:
            heard.append(message)
            if message[0] == kind:
                return heard
        raise AssertionError(f"hung up before {kind}: {[k for k, _ in heard]}")

    def is_hung_up(self):
        try:
            return self.hear() is None
        except ConnectionResetError:
            return True


def said(gw, text):
    eventually(lambda: text in gw.stderr(), what=f"{text!r} in {gw.stderr()[-2000:]}")
