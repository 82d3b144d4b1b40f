"""Fixtures of the end-to-end tests: the real gateway between real sockets. Everything that a test
starts is stopped after it, and a gateway must end with exit code 0 and without a sanitizer's report."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from play.certs import Authority  # noqa: E402
from play.gateway import Gateway  # noqa: E402
from play.http2_upstream import Http2Upstream  # noqa: E402
from play.issuer import Issuer  # noqa: E402
from play.name_server import NameServer  # noqa: E402
from play.takeover import Line  # noqa: E402
from play.upstream import Upstream  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also the tests that wait for timeouts of minutes")
    parser.addoption("--prom", action="store_true", help="also what runs Prometheus and its tools")
    parser.addoption("--testssl", action="store_true", help="also testssl.sh, which takes minutes")
    parser.addoption("--h2spec", action="store_true", help="also h2spec, which TOLLGATE_H2SPEC names")
    parser.addoption("--exact", action="store_true", help="also the plays of ten thousand requests")


def pytest_configure(config):
    # What fails in a thread, a backend's script say, fails the test (and play/threads.py tells where).
    config.addinivalue_line("filterwarnings", "error::pytest.PytestUnhandledThreadExceptionWarning")
    config.addinivalue_line("markers", "slow: waits for a timeout of a minute or more; only with --slow")
    config.addinivalue_line("markers", "prom: runs Prometheus or its tools; only with --prom")
    config.addinivalue_line("markers", "testssl: runs testssl.sh; only with --testssl")
    config.addinivalue_line("markers", "h2spec: runs h2spec; only with --h2spec")
    config.addinivalue_line("markers", "exact: a play of ten thousand requests; only with --exact")


def pytest_collection_modifyitems(config, items):
    for mark in ("slow", "exact", "prom", "testssl", "h2spec"):
        if not config.getoption(f"--{mark}"):
            config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker(mark)])
            items[:] = [item for item in items if not item.get_closest_marker(mark)]


@pytest.fixture
def gateway(tmp_path):
    """gateway(manifests, paths=..., args=...) starts one and returns it."""
    started = []

    def start(manifests=(), **more):
        folder = tmp_path / f"gateway-{len(started)}"
        folder.mkdir()
        made = Gateway(folder, manifests, **more)
        started.append(made)
        return made.start()

    yield start
    faults = []
    for made in started:
        try:
            made.stop()
        except AssertionError as fault:
            faults.append(str(fault))
    assert not faults, "\n".join(faults)


@pytest.fixture
def line(tmp_path):
    """line.first(manifests) starts a gateway, line.next() one that takes over from the last one."""
    made = Line(tmp_path)
    yield made
    faults = []
    for gw in reversed(made.all):  # who has been taken over ends by itself, or is made to
        try:
            gw.stop()
        except AssertionError as fault:
            faults.append(str(fault))
    assert not faults, "\n".join(faults)


@pytest.fixture
def upstream():
    """upstream(name) starts a backend."""
    started = []

    def start(name="upstream", tls=None):
        started.append(Upstream(name, tls))
        return started[-1]

    yield start
    for made in started:
        made.stop()


@pytest.fixture
def name_server():
    server = NameServer()
    yield server
    server.stop()


@pytest.fixture
def at():
    """at(address, port) starts a backend there."""
    started = []

    def start(address, port=0):
        started.append(Upstream(address, address=address, port=port))
        return started[-1]

    yield start
    for made in started:
        made.stop()


@pytest.fixture
def http2_upstream():
    """http2_upstream(name) starts a backend that speaks HTTP/2."""
    started = []

    def start(name="upstream", **more):
        started.append(Http2Upstream(name, **more))
        return started[-1]

    yield start
    for made in started:
        made.stop()
    assert not [fault for made in started for fault in made.faults]


@pytest.fixture
def server():
    """server(name) starts a server of gRPC."""
    from play.grpc_server import GrpcServer  # its library takes a while, and few tests need it

    started = []

    def start(name="server", credentials=None):
        started.append(GrpcServer(name, credentials))
        return started[-1]

    yield start
    for made in started:
        made.stop()


@pytest.fixture
def issuer():
    """issuer(name, keys) starts a token issuer with its key server."""
    started = []

    def start(name="inference-in-a-box", keys=None):
        started.append(Issuer(name, keys))
        return started[-1]

    yield start
    for made in started:
        made.stop()


@pytest.fixture(scope="session")
def authority():
    return Authority()
