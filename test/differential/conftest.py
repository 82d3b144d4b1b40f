"""One run of all vectors past all readers; the players are those of test/e2e."""
import asyncio
import itertools
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

from play.gateway import Gateway  # noqa: E402
from play.manifests import backend, path, route, rule, world  # noqa: E402

import answer_subjects  # noqa: E402
import answer_vectors  # noqa: E402
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
    """What came of requests: `doubts` of what the gateway passed on, and `differences` from every peer."""
    table = judge.TABLE

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
        self.doubts = self._recorders[0].doubts

    def _start(self, folder, started):
        manifests = world(backend("a", self._recorders[0].port), route("r", rule("a")))
        gateway = Gateway(folder / "gateway", manifests).start()
        started.append(subjects.Proxy("tollgate", gateway.port(), gateway.stop))
        for name, recorder in zip(PEERS, self._recorders[1:]):
            (folder / name).mkdir()
            started.append(subjects.start_peer(name, folder / name, recorder.port))
        started.append(subjects.Llhttp())

    @staticmethod
    def _is_doubtful(difference):
        """A busy machine may make anybody silent for a moment."""
        return difference.ours.is_silent or difference.theirs.is_silent

    async def _compare(self, readers):
        for reader in readers:
            self.outcomes[reader.name] = await reader.ask(self.vectors)
        await self._confirm(readers)
        self.differences = [difference for reader in readers[1:] for difference in self._differences(reader)]

    def _differences(self, reader):
        return judge.compare(self.vectors, self.outcomes["tollgate"], self.outcomes[reader.name], reader.name)

    async def _confirm(self, readers):
        """What may hang on how busy the machine was is asked again."""
        rows = judge.read_table(self.table)
        for reader in readers[1:]:
            doubtful = {d.vector for d in judge.sort_out(self._differences(reader), rows)[0] if self._is_doubtful(d)}
            again = [i for i, vector in enumerate(self.vectors) if vector in doubtful][:MAX_CONFIRMED]
            for asked in (readers[0], reader):
                for i, outcome in zip(again, await asked.ask([self.vectors[i] for i in again], is_patient=True)):
                    self.outcomes[asked.name][i] = outcome


class AnswerRun(Run):
    """What came of answers; besides, `thefts`: what clients of the gateway were told that was another's."""
    table = judge.ANSWER_TABLE

    async def _play(self, folder):
        lanes = [[answer_subjects.Player() for _ in range(answer_subjects.N_LANES)] for _ in range(1 + len(PEERS))]
        for player in itertools.chain(*lanes):
            await player.open()
        started = []
        try:
            self._start_before(folder, lanes, started)
            await self._compare(started)
        finally:
            for subject in (*started, *itertools.chain(*lanes)):
                subject.stop()
        self.doubts, self.thefts = started[0].doubts, started[0].thefts

    @staticmethod
    def _start_before(folder, lanes, started):
        manifests = world(*[backend(f"lane-{i}", player.port) for i, player in enumerate(lanes[0])],
                          *[route(f"lane-{i}", rule(f"lane-{i}", matches=[path(f"/lane-{i}")])) for i in range(len(lanes[0]))])
        # One worker: they do not share their connections to backends.
        gateway = Gateway(folder / "gateway", manifests, args=["--workers", "1"]).start()
        started.append(answer_subjects.AnswerProxy("tollgate", lanes[0], gateway.port(), gateway.stop))
        for name, players in zip(PEERS, lanes[1:]):
            (folder / name).mkdir()
            started.append(answer_subjects.start_peer(name, folder / name, players))
        started.append(answer_subjects.AnswerLlhttp())

    @staticmethod
    def _is_doubtful(difference):
        """And whether a connection was used again hangs on when its end was seen."""
        return True


@pytest.fixture(scope="session")
def run(request, tmp_path_factory):
    made = vectors.make(request.config.getoption("--seed"), request.config.getoption("--pairs"))
    return Run(tmp_path_factory.mktemp("differential"), made)


@pytest.fixture(scope="session")
def answers(request, tmp_path_factory):
    made = answer_vectors.make(request.config.getoption("--seed"), request.config.getoption("--pairs"))
    return AnswerRun(tmp_path_factory.mktemp("answers"), made)
