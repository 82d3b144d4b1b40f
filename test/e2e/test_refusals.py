"""Refusals that no other play meets: a missing address, a backend that never accepts, broken rules."""
import contextlib
import socket
import time

from play.manifests import (backend, client_policy, path, route, rule, target, thing, world, ENVOY_API)
from play.ports import free_port


def refused(reply, status, code):
    assert (reply.status, reply.code) == (status, code), reply


def test_a_client_address_that_must_come_in_a_header(gateway, upstream):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")), client_policy(
        "edge", clientIPDetection={"customHeader": {"name": "x-client", "failClosed": True}})))
    refused(gw.request("/"), 403, "client_address_missing")
    refused(gw.request("/", headers=[("x-client", "nobody")]), 403, "client_address_missing")
    assert gw.request("/", headers=[("x-client", "192.0.2.7")]).status == 200
    assert gw.wait_log(lambda r: "192.0.2.7" in str(r.get("downstream_remote_address", "")))


@contextlib.contextmanager
def full_backlog():
    """A port whose queue is full: the kernel drops what knocks."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            knock = stack.enter_context(socket.socket())
            knock.setblocking(False)
            knock.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def test_a_backend_that_does_not_accept_in_time(gateway):
    with full_backlog() as port:
        gw = gateway(world(backend("a", port), route("r", rule("a")), thing(
            ENVOY_API, "BackendTrafficPolicy", "quick", {
                "targetRefs": [target("HTTPRoute", "r")], "timeout": {"tcp": {"connectTimeout": "300ms"}}})))
        started = time.monotonic()
        refused(gw.request("/"), 504, "upstream_connect_timeout")
        assert time.monotonic() - started >= 0.25


def test_a_route_with_an_error_refuses_and_the_others_serve(gateway, upstream):
    bad = route("bad", rule("a", matches=[path("/bad")], filters=[{"type": "Unheard"}]))
    gw = gateway(world(backend("a", upstream("a")), bad, route("r", rule("a", matches=[path("/good")]))))
    refused(gw.request("/bad"), 500, "route_misconfigured")
    assert gw.request("/good").status == 200


def test_a_rewrite_that_gives_no_path(gateway, upstream):
    up = upstream("a")
    gw = gateway(world(
        backend("a", up),
        route("r", rule("a", filters=[{"type": "ExtensionRef", "extensionRef": {
            "group": "gateway.envoyproxy.io", "kind": "HTTPRouteFilter", "name": "odd"}}])),
        thing(ENVOY_API, "HTTPRouteFilter", "odd", {"urlRewrite": {"path": {
            "type": "ReplaceRegexMatch",
            "replaceRegexMatch": {"pattern": "^/(.*)$", "substitution": "\\1"}}}})))
    refused(gw.request("/path"), 500, "rewrite_failed")
    assert gw.request("//path").status in (200, 500)
    assert not [r for r in up.requests if not r.target.startswith("/")]


def test_a_head_that_ends_midway(gateway, upstream):
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a"))))
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a") as raw:
        raw.sock.shutdown(socket.SHUT_WR)
        text = raw.rest()
        assert text == b"" or (text.startswith(b"HTTP/1.1 400 ") and b'"bad_request"' in text)
    assert not up.requests


def test_the_log_says_what_happened_upstream(gateway, upstream):
    up = upstream("a")
    gw = gateway(world(backend("a", up), backend("gone", free_port()),
                       route("r", rule("a", matches=[path("/a")]), rule("gone", matches=[path("/gone")]))))
    assert gw.request("/a").status == 200 and gw.request("/gone").status == 503
    record = gw.wait_log(lambda r: r["x-envoy-origin-path"] == "/a")
    assert record["upstream_host"] == f"127.0.0.1:{up.port}"
    assert record["upstream_local_address"].startswith("127.0.0.1:")
    assert not record["upstream_transport_failure_reason"]
    record = gw.wait_log(lambda r: r["x-envoy-origin-path"] == "/gone")
    assert record["upstream_transport_failure_reason"] == "Connection refused"
