"""The other side of test/harness/failing_calls.c: which system calls of a gateway fail, how often they did, and by how
much its wall clock is wrong."""
import mmap
import os
import struct

from play.gateway import BUILD

LIBRARY = BUILD / "test/harness/failing_calls.so"
# In the order of `enum kind` there.
KINDS = ("connect", "datagram", "socket", "accept", "send", "recv", "epoll", "open", "read", "write")
HEAD = struct.Struct("=qQ")  # wall_step_us, name_server_port
ROW = struct.Struct("=IiQQ")  # every, error, n_calls, n_struck
SHORT = 0  # instead of an errno: one byte only is done


def slow(seconds):
    """Instead of an errno: the call takes so long."""
    return -int(seconds * 1000)


class FailingCalls:
    """`more` is what a Gateway is started with; then `arm` and `disarm` at any time."""

    def __init__(self, folder):
        path = folder / "failing-calls"
        path.write_bytes(bytes(HEAD.size + ROW.size * len(KINDS)))
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        names = folder / "resolv.conf"
        names.write_text("nameserver 127.0.0.1\n")
        # A sanitizer's runtime asks to be the first library; that this one comes before it does no harm.
        options = ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0")))
        self.more = {"env": {"LD_PRELOAD": str(LIBRARY), "TOLLGATE_FAULTS": str(path), "TOLLGATE_FAULTS_NAMES": str(names),
                             "ASAN_OPTIONS": options},
                     "args": ["--no-sandbox"]}

    def _at(self, kind):
        return HEAD.size + ROW.size * KINDS.index(kind)

    def arm(self, kind, every, error):
        """From now on every `every`th call of that kind, counted from here, fails with `error`."""
        struct.pack_into("=Q", self._map, self._at(kind) + 8, 0)
        struct.pack_into("=i", self._map, self._at(kind) + 4, error)
        struct.pack_into("=I", self._map, self._at(kind), every)

    def disarm(self):
        for kind in KINDS:
            struct.pack_into("=I", self._map, self._at(kind), 0)

    def n_calls(self, kind):
        return ROW.unpack_from(self._map, self._at(kind))[2]

    def n_struck(self, kind):
        return ROW.unpack_from(self._map, self._at(kind))[3]

    def step_wall_clock(self, seconds):
        struct.pack_into("=q", self._map, 0, int(seconds * 1_000_000))

    def use_name_server(self, port):
        """Queries of names go to this port, whatever the system's servers are."""
        struct.pack_into("=Q", self._map, 8, port)
