"""The name server of a backend fails, in every way, or the calls to it do: the addresses that were known serve on, nobody
waits for a name, and when it answers again, its answers count."""
import errno
import time

import pytest

from lab.name_server import NameServer
from play.deadline import FACTOR, eventually
from play.manifests import ENVOY_API, backend, path, route, rule, thing, world
from play.others import Others

HOST = "model.example.test"
FAILURES = (errno.EMFILE, *[pytest.param(error, marks=pytest.mark.full)
                            for error in (errno.ENETUNREACH, errno.ECONNREFUSED, errno.EINTR, errno.EAGAIN)])


@pytest.fixture
def names(failing_calls):
    """A name server that the gateway's process asks."""
    server = NameServer()
    failing_calls.use_name_server(server.port)
    yield server
    server.stop()


@pytest.fixture
def named(gateway, upstream, failing_calls, names):
    """A gateway with a backend by name at /named, one by address at /fresh."""
    up = upstream("a")
    by_name = thing(ENVOY_API, "Backend", "b", {"endpoints": [{"fqdn": {"hostname": HOST, "port": up.port}}]})
    gw = gateway(world(backend("a", up), by_name, route("r", rule("a", matches=[path("/fresh")]), rule("b", matches=[path("/named")]))),
                 **failing_calls.more)
    eventually(lambda: gw.request("/named").status == 200, 15, "the name's first answer")
    return gw


def ask_while(named, others, names, n, is_over):
    """Requests until the server was asked `n` times more."""
    before = names.n_asked
    while not is_over(before + n):
        assert named.request("/named").status == 200, "the addresses that were known"
        others.come()
        time.sleep(0.02)  # its TTL of a second is what is waited for


@pytest.mark.parametrize("mode", ["servfail", *[pytest.param(mode, marks=pytest.mark.full)
                                               for mode in ("nxdomain", "silent", "garbage", "empty")]])
def test_a_name_server_in_trouble_changes_nothing(named, names, scale, mode):
    others = Others(named)
    names.mode = mode
    end = time.monotonic() + 60 * FACTOR
    ask_while(named, others, names, scale(1, 4), lambda n: names.n_asked >= n or time.monotonic() > end)
    others.come(5)
    others.check()
    assert time.monotonic() < end, "it is asked again"
    names.mode = "ok"
    before = names.n_asked
    eventually(lambda: names.n_asked > before, 30, "the next question")
    assert named.request("/named").status == 200


@pytest.mark.parametrize("error", FAILURES, ids=errno.errorcode.get)
def test_calls_of_the_resolver_that_fail_change_nothing(named, names, failing_calls, scale, error):
    others = Others(named)
    for every in scale((1,), (1, 2, 3)) if error not in (errno.EINTR, errno.EAGAIN) else (2, 3):
        struck = failing_calls.n_struck("datagram")
        failing_calls.arm("datagram", every, error)
        ask_while(named, others, names, 0, lambda _n, s=struck: failing_calls.n_struck("datagram") > s + 1)
        failing_calls.disarm()
    others.come(5)
    others.check()
    before = names.n_asked
    eventually(lambda: names.n_asked > before, 30, "the server to be asked again")
    assert named.request("/named").status == 200
