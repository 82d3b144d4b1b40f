"""A line of gateways that take over from each other, and a taker of our own that says whatever it likes."""
import os
import select
import socket
import struct
import threading

from .deadline import FACTOR, eventually
from .gateway import Gateway, StartFailed

SERVES = "accepts nothing any more: this one serves"
HELLO, WELCOME, REFUSED, READY, SOCKET, RECORDS, STATE_END, COMMIT, GO = range(1, 10)
GRANT = 13


class Successor(Gateway):
    """The same manifests, ports and socket as the one `before`; up when it has taken over."""

    def __init__(self, folder, before, args=(), door=None):
        super().__init__(folder, paths=before.paths, args=[*args, "--takeover", str(door or before.door)])
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

    def next(self, args=(), is_anew=False, tap=None):
        """is_anew: nobody is there any more to take over from."""
        gw = Successor(self._folder(), self.all[-1], args, tap and tap.path)
        if tap:
            tap.gw = gw
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

    def say(self, kind, content=b"", version=3, fds=()):
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


class Tap:
    """Stands between a gateway and its successor, and kills that one in front of a message: `at(side, kind, n)` says
    which, of "old" or "new", as the `n`th of all. The message, and what follows, is never heard."""

    def __init__(self, door, at):
        self._door, self._at, self.gw, self.n_passed, self.has_killed = door, at, None, 0, False
        self._is_over = False  # who has taken over lives on
        self.path = door.with_name(f"tap{len(list(door.parent.glob('tap*')))}")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        with self._listener, self._listener.accept()[0] as new, \
                socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as old:
            old.connect(str(self._door))
            sides = {old.fileno(): (old, new, "old"), new.fileno(): (new, old, "new")}
            poll = select.poll()  # any number of sockets may be open (select() knows 1024)
            for side in sides:
                poll.register(side, select.POLLIN)
            while True:
                for side, _ in poll.poll():
                    if not self._pass(*sides[side]):
                        return

    def _pass(self, side, other, name):
        try:
            data, fds, _, _ = socket.recv_fds(side, 1 << 17, 2)
        except ConnectionResetError:
            return False
        kind = struct.unpack("<H", data[6:8])[0] if data else 0
        self.has_killed = bool(data) and not self._is_over and self._at(name, kind, self.n_passed)
        self._is_over = kind == GO or self._is_over
        if self.has_killed:
            eventually(lambda: self.gw.process).kill()  # it may be faster than who started it
        elif data:
            socket.send_fds(other, [data], fds)
            self.n_passed += 1
        for fd in fds:
            os.close(fd)
        return bool(data) and not self.has_killed

    def wait(self):
        self._thread.join(20 * FACTOR)
        assert self.has_killed


def said(gw, text):
    eventually(lambda: text in gw.stderr(), what=f"{text!r} in {gw.stderr()[-2000:]}")


class Crowd:
    """Clients that connect, ask and go, again and again."""

    def __init__(self, gw, n=8):
        self.gw, self.n_served, self.faults = gw, 0, []
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(n)]
        for thread in self._threads:
            thread.start()

    def _run(self):
        while not self._is_over.is_set():
            try:
                status = self.gw.request("/").status
                if status != 200:
                    self.faults.append(status)
                self.n_served += 1
            except Exception as fault:  # whatever it is, a client has noticed
                self.faults.append(repr(fault))

    def stop(self):
        self._is_over.set()
        for thread in self._threads:
            thread.join()


def streaming(up, seconds=60):
    """A backend that streams `one`, and `two` when the event is set."""
    go = threading.Event()

    def stream(_request, connection):
        connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        go.wait(seconds)
        connection.send(b"3\r\ntwo\r\n0\r\n\r\n")
    up.script = stream
    return go
