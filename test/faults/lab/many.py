"""Hundreds of clients and a backend in one event loop, in a thread of its own: each request has a number, and whatever is
counted is counted exactly: how many the backend has in hand and how many connections, at most; which numbers it has seen,
and how often; what each client was told."""
import asyncio
import collections
import re
import threading

from play.deadline import FACTOR
from play.threads import failures_of

HANG_S = 60


class Most:
    """How many there are, and were at most."""

    def __init__(self):
        self.now = self.most = 0

    def __enter__(self):
        self.now += 1
        self.most = max(self.most, self.now)

    def __exit__(self, *_):
        self.now -= 1


class Many:
    """`script(number, nth)` says what the nth sight of a number is answered with. An answer takes `seconds`, or, while the
    gate is shut, until it is opened."""

    def __init__(self, script=lambda number, nth: 200, seconds=0.005):
        self.script, self.seconds = script, seconds
        self.asked, self.again, self.connections = Most(), Most(), Most()  # again: seen before
        self.seen, self.answered = collections.Counter(), collections.Counter()
        self.told = collections.Counter()  # status: how many clients were told so
        self.statuses = {}  # number: what its client was told
        self._n = 0
        self._loop = asyncio.new_event_loop()
        self._gate = None
        self._running, self._failures = [], failures_of(self._loop)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024))
        self.port = self._server.sockets[0].getsockname()[1]

    # ---- from other threads ----

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(HANG_S * FACTOR)

    def shut(self):
        self._gate = asyncio.Event()

    def open(self):
        gate, self._gate = self._gate, None
        self._loop.call_soon_threadsafe(gate.set)

    def begin(self, port, n_clients, n_each=1):
        """Clients who come at once, each on a connection that it keeps."""
        numbers = [range(self._n + i * n_each, self._n + (i + 1) * n_each) for i in range(n_clients)]
        self._n += n_clients * n_each
        self._running.append(asyncio.run_coroutine_threadsafe(self._crowd(port, numbers), self._loop))

    def end(self):
        """All who came have been told something; a failure of one of them is the caller's."""
        running, self._running = self._running, []
        for crowd in running:
            crowd.result(HANG_S * FACTOR)
        if self._failures:
            raise self._failures[0]

    def run(self, *args):
        self.begin(*args)
        self.end()

    def stop(self):
        async def close():
            self._server.close()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._call(close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # ---- its thread ----

    async def _serve(self, reader, writer):
        with self.connections:
            try:
                while True:
                    await self._answer(await reader.readuntil(b"\r\n\r\n"), writer)
            except (OSError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

    async def _answer(self, head, writer):
        number = int(re.search(rb"n=(\d+)", head)[1])
        self.seen[number] += 1
        nth, gate = self.seen[number], self._gate
        status = self.script(number, nth)
        with self.asked, self.again if nth > 1 else Most():
            await (gate.wait() if gate else asyncio.sleep(self.seconds))
        self.answered[status] += 1
        writer.write(b"HTTP/1.1 %d Scripted\r\ncontent-length: 2\r\n\r\nok" % status)
        await writer.drain()

    async def _crowd(self, port, numbers):
        await asyncio.gather(*(self._client(port, mine) for mine in numbers))

    async def _client(self, port, numbers):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in numbers:
            writer.write(b"GET /?n=%d HTTP/1.1\r\nHost: a.test\r\n\r\n" % number)
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(re.search(rb"(?i)content-length: (\d+)", head)[1]))
            status = int(head.split(b" ")[1])
            self.statuses[number] = status
            self.told[status] += 1
        writer.close()
