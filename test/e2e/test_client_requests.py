"""What a ClientTrafficPolicy makes of requests: the gateway's own health, paths, headers, hosts."""
import signal

import pytest

from play.deadline import eventually
from play.gateway import as_text, tollgate
from play.http2 import Http2
from play.manifests import (backend, client_policy, http_listener, local_provider, path, route, rule, security_policy, target,
                            world)


@pytest.fixture
def policed(gateway, upstream):
    def start(*more, args=(), drain=("0", "10"), listeners=None, **spec):
        up = upstream("a")
        return gateway(world(backend("a", up), route("r", rule("a")), client_policy("clients", **spec), *more,
                             listeners=listeners), args=args, drain=drain), up
    return start


def warned(tmp_path, **spec):
    file = tmp_path / "world.yaml"
    file.write_text(as_text(world(backend("a", 8080), route("r", rule("a")), client_policy("clients", **spec))))
    return tollgate("check", "-f", file).stdout


# ---- health ----

def test_the_gateway_answers_for_its_own_health_before_it_asks_who_it_is(policed, issuer):
    gw, up = policed(security_policy("p", target("HTTPRoute", "r"), jwt={"providers": [local_provider(issuer())]}),
                     healthCheck={"path": "/healthz"}, listeners=[http_listener(hostname="a.test")])
    for host in ("a.test", "10.0.0.1"):  # who stands before it knows no name
        reply = gw.request("/healthz", host=host)
        assert (reply.status, reply.body) == (200, b"ok\n")
    assert gw.request("/healthz", method="HEAD", host="a.test").status == 200
    assert gw.request("//./health%7A", host="a.test").status == 200, "by the one form of a path"
    for asked in ({"path": "/healthz/"}, {"path": "/healthz?x"}, {"path": "/Healthz"}, {"path": "/healthz", "method": "DELETE"},
                  {"path": "/"}):
        assert gw.request(host="a.test", **asked).status == 401, asked
    assert gw.request("/healthz/", host="10.0.0.1").status == 404
    assert not up.requests
    with Http2(gw.port()) as client:
        assert client.request("/healthz", host="10.0.0.1").status == 200


def test_a_gateway_on_its_way_out_says_so_and_serves(policed):
    gw, _ = policed(drain=("60", "60"), healthCheck={"path": "/healthz"})
    assert gw.request("/healthz").status == 200
    gw.signal(signal.SIGTERM)
    eventually(lambda: gw.request("/healthz").status == 503, what="the health check to fail")
    assert gw.request("/healthz").code == "draining"
    assert gw.request("/").status == 200
    gw.signal(signal.SIGTERM)
    assert gw.wait() == 0


def test_listeners_of_one_port_have_health_paths_of_their_own(gateway, upstream):
    policy = client_policy("clients", healthCheck={"path": "/healthz"})
    policy["spec"]["targetRefs"][0]["sectionName"] = "two"
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a", matches=[path("/x")])), policy, listeners=[
        http_listener("one", hostname="one.test"), http_listener("two", hostname="two.test")]))
    assert [gw.request("/healthz", host=host).status for host in ("one.test", "two.test", "10.0.0.1")] == [404, 200, 404]


def test_a_health_path_that_no_request_has_is_an_error(tmp_path):
    assert "no request has the path" in warned(tmp_path, healthCheck={"path": "/a%2Fb"})


# ---- paths ----

def test_listeners_of_one_port_have_their_own_word_on_escaped_slashes(gateway, upstream):
    up = upstream("a")
    policies = [client_policy(name, name, path={"escapedSlashesAction": action})
                for name, action in (("forwards", "UnescapeAndForward"), ("redirects", "UnescapeAndRedirect"))]
    names = ["refuses", "forwards", "redirects"]
    for order in (names, names[::-1]):
        gw = gateway(world(backend("a", up), route("r", rule("a")), *policies,
                           listeners=[http_listener(name, hostname=f"{name}.test") for name in order]))
        assert gw.request("/a%2Fb", host="forwards.test").status == 200 and up.last.target == "/a/b"
        reply = gw.request("/a%2Fb?x=%2F", host="refuses.test")
        assert (reply.status, reply.code) == (400, "bad_path")
        reply = gw.request("/%2Fevil.test%2F?x=%2F", host="redirects.test", method="POST")
        assert (reply.status, reply.get("location")) == (307, "http://redirects.test/evil.test/?x=%2F")
        with Http2(gw.port()) as client:
            assert client.request("/a%2Fb", host="refuses.test").status == 400
            assert client.request("/a%2Fb", host="forwards.test").status == 200


def test_what_would_be_two_paths_is_not_kept(tmp_path):
    assert "escapedSlashesAction" in warned(tmp_path, path={"escapedSlashesAction": "KeepUnchanged"})
    assert "escapedSlashesAction" not in warned(tmp_path, path={"escapedSlashesAction": "UnescapeAndForward"})
