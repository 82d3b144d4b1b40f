"""The fault laboratory: experiments that harm the gateway's neighbours, its machine or itself, and count what comes of it.
In `make test` each has a short form; `make test-faults` plays them in full. The players are those of test/e2e; what does
the harm is in lab/. An experiment is a file: what is harmed, and what must hold meanwhile and afterwards."""
import dataclasses
import importlib.util
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

from lab.failing_calls import FailingCalls  # noqa: E402
from lab.many import Many  # noqa: E402
from lab.proxy import Proxy  # noqa: E402

_spec = importlib.util.spec_from_file_location("e2e_conftest", HERE.parent / "e2e/conftest.py")
_e2e = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_e2e)
gateway, line, upstream, issuer, authority = _e2e.gateway, _e2e.line, _e2e.upstream, _e2e.issuer, _e2e.authority

SEED, MINUTES, SHORT_MINUTES, CONNECTIONS, SHORT_CONNECTIONS = 1, 2.0, 0.15, 10000, 400


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="the experiments in full, not in their short forms")
    parser.addoption("--fault-seed", type=int, default=SEED, help=f"what is drawn is drawn from this; {SEED} unless given")
    parser.addoption("--minutes", type=float, help=f"how long the mixed run goes on; {MINUTES:g} in full unless given")
    parser.addoption("--connections", type=int, help=f"how many stand idle; {CONNECTIONS} in full unless given")


def pytest_configure(config):
    config.addinivalue_line("filterwarnings", "error::pytest.PytestUnhandledThreadExceptionWarning")
    config.addinivalue_line("markers", "full: an experiment without a short form; only with --full")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--full"):
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("full")])
        items[:] = [item for item in items if not item.get_closest_marker("full")]


@dataclasses.dataclass(frozen=True)
class Scale:
    is_full: bool
    seed: int
    minutes: float
    connections: int

    def __call__(self, short, full):
        return full if self.is_full else short


@pytest.fixture
def scale(request):
    """scale(short, full): the number that counts in this run."""
    option = request.config.getoption
    is_full = option("--full")
    return Scale(is_full, option("--fault-seed"), option("--minutes") or (MINUTES if is_full else SHORT_MINUTES),
                 option("--connections") or (CONNECTIONS if is_full else SHORT_CONNECTIONS))


@pytest.fixture
def proxy():
    """proxy(upstream or port, plan) stands before a backend."""
    started = []

    def start(to, *plan):
        started.append(Proxy(getattr(to, "port", to), *plan))
        return started[-1]

    yield start
    for made in started:
        made.stop()


@pytest.fixture
def many():
    """many(script): hundreds of clients and their backend, counted exactly."""
    made = []

    def start(*args, **more):
        made.append(Many(*args, **more))
        return made[-1]

    yield start
    for one in made:
        one.stop()


@pytest.fixture
def failing_calls(tmp_path):
    """For a gateway of this test: gateway(manifests, **failing_calls.more)."""
    return FailingCalls(tmp_path)
