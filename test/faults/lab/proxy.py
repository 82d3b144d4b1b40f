"""A proxy that harms what passes through it, at an exact byte and never by the clock. It stands between the gateway and a
backend (or a client and the gateway); which fault a connection meets is decided by a function of its number, or drawn
from a seed."""
import asyncio
import dataclasses
import random
import socket
import struct
import threading

GARBAGE = b"\0\xff\r\n\r\nHTTP/9 \xfe: garbage\n" * 4
PIECE = 65536
LINGER_RESET = struct.pack("ii", 1, 0)

# What happens when `after` bytes of answers have passed and the next one comes:
KINDS = (
    "cut",        # both sides are closed in order (FIN)
    "reset",      # both sides are reset
    "half_open",  # nothing passes any longer in either direction, and nobody is told, until `release`
    "garbage",    # bytes that are no HTTP come instead, then the end
    "drip",       # it goes on byte by byte
)
# And before any byte:
DEAF = "deaf"      # accepted, and nothing is ever read or sent, until `release`
LATE = "late"      # the same until `release`, then served


@dataclasses.dataclass(frozen=True)
class Fault:
    kind: str
    after: int = 0


def draw(rng, share, longest, kinds=KINDS):
    """A fault in `share` of the connections, at a byte up to `longest`."""
    return Fault(rng.choice(kinds), rng.randrange(longest)) if rng.random() < share else None


class Proxy:
    """`plan(number)` answers the Fault that this connection meets, or None. It runs in a thread of its own."""

    def __init__(self, port_to, plan=lambda _number: None):
        self.plan = plan
        self.n_connections = 0
        self.n_struck = 0
        self.n_answer_bytes = 0  # that came from behind it
        self._to = port_to
        self._loop = asyncio.new_event_loop()
        self._tasks = set()
        self._released = asyncio.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # ---- from other threads ----

    def release(self):
        """Those that stand half open, or wait, go on to their end; later ones stand until the next release."""
        self._loop.call_soon_threadsafe(self._release)

    def stop(self):
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join()

    # ---- its thread ----

    def _release(self):
        self._released.set()
        self._released = asyncio.Event()

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._end = asyncio.Event()
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self):
        accepting = self._loop.create_task(self._accept())
        await self._end.wait()
        for task in [accepting, *self._tasks]:
            task.cancel()
        await asyncio.gather(accepting, *self._tasks, return_exceptions=True)
        self._listener.close()

    async def _accept(self):
        while True:
            sock, _ = await self._loop.sock_accept(self._listener)
            fault = self.plan(self.n_connections)
            self.n_connections += 1
            task = self._loop.create_task(self._connection(sock, fault))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connection(self, front, fault):
        front.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = None
        try:
            if fault and fault.kind in (DEAF, LATE):
                self.n_struck += 1
                await self._released.wait()
                if fault.kind == DEAF:
                    return
                fault = None
            back = socket.socket()
            back.setblocking(False)
            back.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.sock_connect(back, ("127.0.0.1", self._to))
            await self._pass(front, back, fault)
        except OSError:
            pass
        finally:
            for sock in (front, back):
                if sock:
                    sock.close()

    async def _pass(self, front, back, fault):
        forth = self._loop.create_task(self._forth(front, back))
        try:
            await self._answers(front, back, fault, forth)
        finally:
            forth.cancel()
            await asyncio.gather(forth, return_exceptions=True)

    async def _forth(self, front, back):
        """Requests pass unharmed; their end is told on."""
        try:
            while data := await self._loop.sock_recv(front, PIECE):
                await self._loop.sock_sendall(back, data)
        except OSError:
            pass
        try:
            back.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    async def _answers(self, front, back, fault, forth):
        left = fault.after if fault else None
        step = PIECE
        while True:
            data = await self._loop.sock_recv(back, step if not left else min(step, left))
            if not data:
                return
            self.n_answer_bytes += len(data)
            if left == 0:
                left = None
                self.n_struck += 1
                if fault.kind != "drip":
                    await self._strike(front, back, fault, forth)
                    return
                step = 1
                for i in range(len(data)):
                    await self._loop.sock_sendall(front, data[i:i + 1])
                continue
            left = left - len(data) if left is not None else None
            await self._loop.sock_sendall(front, data)

    async def _strike(self, front, back, fault, forth):
        if fault.kind == "half_open":
            forth.cancel()
            await self._released.wait()
        elif fault.kind == "garbage":
            await self._loop.sock_sendall(front, GARBAGE)
        elif fault.kind == "reset":
            for sock in (front, back):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)


def seeded(seed, share, longest, kinds=KINDS):
    """A plan: the same faults for the same seed, whatever the order of connections."""
    return lambda number: draw(random.Random(f"{seed}/{number}"), share, longest, kinds)
