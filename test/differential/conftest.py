"""One run of all vectors past all readers; the players are those of test/e2e."""
import asyncio
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

from play.gateway import Gateway  # noqa: E402
from play.manifests import backend, route, rule, world  # noqa: E402

import judge  # noqa: E402
import subjects  # noqa: E402
import vectors  # noqa: E402

SEED, PAIRS = 1, 2000
PEERS = ["nginx", "haproxy"]
MAX_CONFIRMED = 10  # more of them are no accident, and would take too long


def pytest_addoption(parser):
    parser.addoption("--seed", type=int, default=SEED, help=f"of the cases with several oddities; {SEED} unless given")
    parser.addoption("--pairs", type=int, default=PAIRS, help=f"how many of them; {PAIRS} unless given")


class Run:
    """What came of it: `doubts` of what the gateway passed on, and `differences` from every peer."""

    def __init__(self, folder, made):
        self.vectors = made
        self.outcomes = {}
        asyncio.run(self._play(folder))

    async def _play(self, folder):
        self._recorders = [subjects.Recorder() for _ in range(1 + len(PEERS))]
        for recorder in self._recorders:
            await recorder.start()
        started = []
        try:
            self._start(folder, started)
            await self._compare(started)
        finally:
            for subject in started:
                subject.stop()
            for recorder in self._recorders:
                recorder.stop()

    def _start(self, folder, started):
        manifests = world(backend("a", self._recorders[0].port), route("r", rule("a")))
        gateway = Gateway(folder / "gateway", manifests).start()
        started.append(subjects.Proxy("tollgate", gateway.port(), gateway.stop))
        for name, recorder in zip(PEERS, self._recorders[1:]):
            (folder / name).mkdir()
            started.append(subjects.start_peer(name, folder / name, recorder.port))
        started.append(subjects.Llhttp())

    async def _compare(self, readers):
        datas = [vector.data for vector in self.vectors]
        for reader in readers:
            self.outcomes[reader.name] = await reader.ask(datas)
        await self._confirm(readers)
        ours = self.outcomes["tollgate"]
        self.differences = [difference for reader in readers[1:] for difference in
                            judge.compare(self.vectors, ours, self.outcomes[reader.name], reader.name)]
        self.doubts = self._recorders[0].doubts

    async def _confirm(self, readers):
        """A busy machine may make anybody silent for a moment: differences that hang on silence are asked again."""
        rows = judge.read_table()
        for reader in readers[1:]:
            ours, theirs = self.outcomes["tollgate"], self.outcomes[reader.name]
            differences = judge.compare(self.vectors, ours, theirs, reader.name)
            doubtful = {d.vector for d in judge.sort_out(differences, rows)[0] if d.ours.is_silent or d.theirs.is_silent}
            again = [i for i, vector in enumerate(self.vectors) if vector in doubtful][:MAX_CONFIRMED]
            datas = [self.vectors[i].data for i in again]
            for asked in (readers[0], reader):
                for i, outcome in zip(again, await asked.ask(datas, is_patient=True)):
                    self.outcomes[asked.name][i] = outcome


@pytest.fixture(scope="session")
def run(request, tmp_path_factory):
    made = vectors.make(request.config.getoption("--seed"), request.config.getoption("--pairs"))
    return Run(tmp_path_factory.mktemp("differential"), made)
