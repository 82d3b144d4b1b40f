"""Names of backends: looked up again by their TTL while requests go on, and what a name server's failures leave of them."""
import threading

import pytest

from play.deadline import FACTOR, eventually
from play.health import Sick, http_check, policy
from play.manifests import ENVOY_API, path, route, rule, target, thing, world
from play.name_server import NXDOMAIN, SERVFAIL
from play.others import Others
from play.upstream import Answer
from test_reload import Load

TARGET = "/kept"  # what Load asks for


def named(port, *more):
    """A Backend by the name b.test."""
    spec = {"endpoints": [{"fqdn": {"hostname": "b.test", "port": port}}]}
    return world(thing(ENVOY_API, "Backend", "b", spec), route("r", rule("b", matches=[path("/")])), *more)


def test_addresses_change_without_a_failed_request(gateway, name_server, at):
    old = at("127.0.0.2")
    new = at("127.0.0.3", old.port)
    name_server.addresses = ["127.0.0.2"]
    gw = gateway(named(old.port), args=name_server.args)
    load = Load(gw.port())
    eventually(lambda: old.requests, 10, "a request at the old address")
    name_server.addresses = ["127.0.0.2", "127.0.0.3"]
    eventually(lambda: new.requests, 10, "a request at the new address too")
    name_server.addresses = ["127.0.0.3"]
    n_asked = name_server.n_asked
    eventually(lambda: name_server.n_asked >= n_asked + 2, 10, "the answer to be known")
    n_old, n_new = len(old.requests), len(new.requests)
    eventually(lambda: len(new.requests) > n_new + 20)
    load.stop()
    assert len(old.requests) == n_old, "the old address is not asked any more"


FAILURES = {"NXDOMAIN": ({"rcode": NXDOMAIN}, "not_found"), "SERVFAIL": ({"rcode": SERVFAIL}, "server_failure"),
            "silence": ({"is_silent": True}, "timeout"), "no address": ({}, "not_found")}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failing_name_server_takes_no_backend_away(gateway, name_server, at, name):
    failure, result = FAILURES[name]
    up = at("127.0.0.2")
    name_server.addresses = ["127.0.0.2"]
    gw = gateway(named(up.port), args=name_server.args)
    others = Others(gw, TARGET)
    others.come()
    load = Load(gw.port(), 1)
    name_server.fail(**failure)
    n_asked = name_server.n_asked
    eventually(lambda: name_server.n_asked >= n_asked + 2, 20, "two more questions")
    others.check_all(20)
    load.stop()
    eventually(lambda: gw.metric("tollgate_name_lookups_total", backend="Backend/play/b", result=result) > 0)


def test_a_name_may_come_later(gateway, name_server, at):
    up = at("127.0.0.2")
    name_server.fail(NXDOMAIN)
    gw = gateway(named(up.port), args=name_server.args)
    reply = gw.request("/")
    assert (reply.status, reply.code) == (503, "no_healthy_upstream")
    name_server.rcode, name_server.addresses = 0, ["127.0.0.2"]
    eventually(lambda: gw.request("/").status == 200, 20, "the name to be asked for again")


def test_a_thousand_addresses_are_all_used(gateway, name_server, at):
    """By TCP, since so many fit in no packet; up to a bound."""
    up, asked = at("0.0.0.0"), set()

    def script(request, connection):
        asked.add(connection.sock.getsockname()[0])
        return up.echo(request, connection)
    up.script = script
    name_server.addresses, name_server.ttl = [f"127.1.{n // 250}.{n % 250 + 1}" for n in range(1100)], 300
    gw = gateway(named(up.port), args=[*name_server.args, "--workers", "1"])
    for _ in range(200):
        assert gw.request("/").status == 200
    assert len(asked) > 150 and asked <= set(name_server.addresses)
    assert gw.metric("tollgate_name_addresses_dropped_total") == 1100 - 1024, "LIMIT_NAME_ADDRESSES"


def test_an_address_that_stays_keeps_its_health(gateway, name_server, at):
    """Its probes are held, so that only what was known before can be known."""
    ill = at("127.0.0.2")
    other = at("127.0.0.3", ill.port)
    held, end = threading.Event(), threading.Event()
    sick, well = Sick(ill, 500), Sick(other)
    name_server.addresses = ["127.0.0.2"]
    gw = gateway(named(ill.port, policy(healthCheck={"active": {**http_check(), "timeout": "60s"}, "panicThreshold": 0})),
                 args=name_server.args)

    def verdicts():
        return {e["address"]: e.get("health") for c in gw.status()["clusters"] for e in c["endpoints"]}

    eventually(lambda: verdicts() == {f"127.0.0.2:{ill.port}": "unhealthy"}, 10)
    assert gw.request("/").status == 503

    def hold(_request, _connection):
        held.set()
        end.wait(30 * FACTOR)
        return Answer()

    sick.answer = ill.script = hold
    assert held.wait(10 * FACTOR)
    name_server.addresses = ["127.0.0.3", "127.0.0.2"]
    eventually(lambda: verdicts() == {f"127.0.0.2:{ill.port}": "unhealthy", f"127.0.0.3:{ill.port}": "healthy"}, 10)
    for _ in range(20):
        assert gw.request("/").json["upstream"] == "127.0.0.3"
    assert well.probes
    name_server.addresses = ["127.0.0.3"]
    eventually(lambda: len(verdicts()) == 1, 10)
    eventually(lambda: gw.metric("tollgate_endpoint_healthy") == 1)
    end.set()


def test_a_policy_says_how_often_and_which_family(gateway, name_server, at):
    up = at("127.0.0.2")
    name_server.addresses, name_server.ttl = ["::2", "127.0.0.2"], 300
    lookups = thing(ENVOY_API, "BackendTrafficPolicy", "p", {
        "targetRefs": [target("HTTPRoute", "r")],
        "dns": {"respectDnsTtl": False, "dnsRefreshRate": "200ms", "lookupFamily": "IPv4Preferred"}})
    gw = gateway(named(up.port, lookups), args=name_server.args)
    for _ in range(10):
        assert gw.request("/").status == 200, "nobody is at ::2"
    n_asked = name_server.n_asked
    eventually(lambda: name_server.n_asked >= n_asked + 3, 10, "questions long before the TTL")


def test_a_reload_during_an_outage_keeps_the_addresses_though_it_speaks_otherwise(gateway, name_server, at):
    """Other lookups make another cluster of the backend: what the former knew is still good."""
    up = at("127.0.0.2")
    name_server.addresses = ["127.0.0.2"]

    def of(seconds):
        spec = {"targetRefs": [target("Gateway", "front")], "dns": {"respectDnsTtl": False, "dnsRefreshRate": f"{seconds}s"}}
        return named(up.port, thing(ENVOY_API, "BackendTrafficPolicy", "p", spec))

    gw = gateway(of(1), args=name_server.args)
    eventually(lambda: gw.request("/").status == 200)
    name_server.fail(SERVFAIL)
    eventually(lambda: gw.metric("tollgate_name_lookups_total", result="server_failure") > 0)
    gw.apply(of(2))
    for _ in range(3):
        n = gw.metric("tollgate_name_lookups_total", result="server_failure")
        assert gw.request("/").status == 200
        eventually(lambda: gw.metric("tollgate_name_lookups_total", result="server_failure") > n)  # noqa: B023
    assert gw.request("/").status == 200
