"""Answers in the place of others: which, of whom, and what of the one before stays."""
import pytest

from play.deadline import eventually
from play.http2 import Http2
from play.manifests import (ENVOY_API, backend, config_map, grpc_route, header, path, route, rule, security_policy, secret, target,
                            thing, world)
from play.ports import free_port
from play.upstream import Answer
from test_check import check


def override(response=None, codes=None, source=None, headers=None, redirect=None):
    match = {}
    if codes is not None:
        match["statusCodes"] = [{"type": "Range", "range": {"start": c[0], "end": c[1]}} if isinstance(c, tuple) else
                                {"type": "Value", "value": c} for c in codes]
    if headers is not None:
        match["responseHeaders"] = [{"name": name, "value": {"type": kind, "value": value}} for name, kind, value in headers]
    made = {"match": match, **({"source": source} if source else {})}
    return {**made, **({"redirect": redirect} if redirect else {"response": response or {}})}


def traffic(*overrides, kind="Gateway", name="front", **more):
    return thing(ENVOY_API, "BackendTrafficPolicy", "t", {"targetRefs": [target(kind, name)], "responseOverride": list(overrides), **more})


def page(text, **more):
    return {"contentType": "text/html", "body": {"type": "Inline", "inline": text}, **more}


def answering(status, **more):
    return lambda *_: Answer(status, **{"body": b"secret", "headers": [("x-mine", "1"), ("content-type", "text/x")], **more})


@pytest.fixture
def played(gateway, upstream):
    """played(*overrides): a gateway, and its backend, which answers 503."""
    def start(*overrides, **more):
        up = upstream("a")
        up.script = answering(503)
        return gateway(world(backend("a", up), backend("gone", free_port()),
                             route("r", rule("a"), rule("gone", matches=[path("/gone")])), traffic(*overrides, **more))), up
    return start


def test_an_answer_of_a_backend_is_replaced_whole(played):
    gw, up = played(override(page("sorry", statusCode=200, header={"set": [{"name": "x-new", "value": "2"}]}), [(500, 599)]))
    reply = gw.request("/")
    assert (reply.status, reply.body, reply.get("content-type"), reply.get("content-length")) == (200, b"sorry", "text/html", "5")
    assert (reply.get("x-new"), reply.get("x-mine")) == ("2", None)
    head = gw.request("/", "HEAD")
    assert (head.status, head.body, head.get("content-length")) == (200, b"", "5")
    with Http2(gw.port()) as one:
        reply = one.request("/")
        assert (reply.status, reply.body) == (200, b"sorry")
    up.script = answering(404)
    assert gw.request("/").body == b"secret"
    up.script = answering(200, body=b"x" * 100_000)
    assert gw.request("/").body == b"x" * 100_000
    assert gw.metric("tollgate_upstream_requests_total", response_code_class="5xx") == 3, "as the backend answered"
    record = gw.wait_log(lambda r: r["method"] == "GET" and r["response_code"] == 200)
    assert (record["response_flags"], record["upstream_host"]) == ("-", f"127.0.0.1:{up.port}")


def test_a_status_that_is_not_named_stays_with_what_belongs_to_it(played, upstream):
    gw, up = played(override(page("later"), [503, 401]), override(page("no", statusCode=403), [402]))
    up.script = answering(503, headers=[("retry-after", "7"), ("x-mine", "1")])
    reply = gw.request("/")
    assert (reply.status, reply.body, reply.get("retry-after"), reply.get("x-mine")) == (503, b"later", "7", None)
    up.script = answering(401, headers=[("www-authenticate", "Basic")])
    assert gw.request("/").get("www-authenticate") == "Basic"
    up.script = answering(402, headers=[("retry-after", "7")])
    reply = gw.request("/")
    assert (reply.status, reply.body, reply.get("retry-after")) == (403, b"no", None)


@pytest.mark.parametrize("source, of_backend, of_gateway", [(None, True, True), ("All", True, True), ("Backend", True, False),
                                                            ("Local", False, True)])
def test_whose_answers(played, source, of_backend, of_gateway):
    gw, _ = played(override(page("sorry"), [503], source))
    assert (gw.request("/").body == b"sorry") == of_backend
    reply = gw.request("/gone")
    assert (reply.status, reply.body == b"sorry") == (503, of_gateway)
    record = gw.wait_log(lambda r: r["path"] == "/gone" if "path" in r else r["x-envoy-origin-path"] == "/gone")
    assert record["response_flags"] == "UF", "what happened is still told to the operator"


HEADERS = [("x-kind", "Exact", "maintenance now"), ("x-kind", "Prefix", "main"), ("x-kind", "Suffix", " now"),
           ("x-kind", "RegularExpression", "m.*w")]


@pytest.mark.parametrize("condition", HEADERS, ids=[kind for _, kind, _ in HEADERS])
def test_by_headers_and_by_status_and_headers(played, condition):
    gw, up = played(override(page("both"), [200], headers=[condition, ("x-mine", "Exact", "1")]),
                    override(page("headers"), headers=[condition]))
    up.script = answering(200, headers=[("x-kind", "maintenance now"), ("x-mine", "1")])
    assert gw.request("/").body == b"both", "the first that matches"
    up.script = answering(200, headers=[("x-kind", "maintenance now"), ("x-mine", "2")])
    assert gw.request("/").body == b"headers"
    up.script = answering(200, headers=[("x-kind", "now maintenance"), ("x-mine", "1")])
    assert gw.request("/").body == b"secret"


def test_a_body_from_a_config_map(gateway, upstream):
    up = upstream("a")
    up.script = answering(500)
    there = page("", body={"type": "ValueRef", "valueRef": {"group": "", "kind": "ConfigMap", "name": "pages"}})
    objects = [backend("a", up), route("r", rule("a")), traffic(override(there, [500]))]
    gw = gateway(world(*objects, config_map("pages", **{"a": "other", "response.body": "from the map"})))
    assert gw.request("/").body == b"from the map"
    gw.apply(world(*objects))
    reply = gw.request("/")
    assert (reply.status, reply.code) == (500, "route_misconfigured"), "what it was to hide must not be told"


def test_a_client_is_sent_elsewhere_instead(played):
    gw, _ = played(override(codes=[503], redirect={"scheme": "https", "hostname": "other.test", "port": 8443, "statusCode": 301,
                                                   "path": {"type": "ReplaceFullPath", "replaceFullPath": "/sorry"}}))
    reply = gw.request("/a/b?c")
    assert (reply.status, reply.get("location"), reply.body) == (301, "https://other.test:8443/sorry?c", b"")
    gw, _ = played(override(codes=[503], redirect={"hostname": "other.test"}))
    reply = gw.request("/a")
    assert (reply.status, reply.get("location")) == (302, "http://other.test/a")


def test_refusals_before_and_after_the_route(gateway, upstream):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a", matches=[path("/r")])), secret("keys", alice="k"),
                       security_policy("s", target("HTTPRoute", "r"), apiKeyAuth={
                           "credentialRefs": [{"name": "keys"}], "extractFrom": [{"headers": ["x-api-key"]}]}),
                       traffic(override(page("sign in"), [401]), override(page("nothing"), [404]))))
    reply = gw.request("/r")
    assert (reply.status, reply.get("www-authenticate", "").split()[0]) == (401, "ApiKey")
    assert gw.request("/elsewhere").status == 404
    assert gw.request("/r", headers=[("x-api-key", "k")]).status == 200


def test_a_call_of_grpc_is_told_in_its_own_way(gateway, http2_upstream):
    up = http2_upstream("a")
    up.script = lambda stream: stream.answer(503, [("content-type", "text/plain")], b"secret")
    gw = gateway(world(backend("a", up), grpc_route("r", rule("a")),
                       traffic(override(page("closed", statusCode=403), [503]), name="r", kind="GRPCRoute")))
    with Http2(gw.port()) as one:
        reply = one.request("/a.B/C", "POST", body=b"\0\0\0\0\0", headers=[("content-type", "application/grpc"), ("te", "trailers")])
    assert (reply.status, reply.get("grpc-status"), reply.get("grpc-message"), reply.body) == (200, "7", "closed", b"")


def test_retries_come_first(played):
    gw, up = played(override(page("sorry"), [503]), retry={"numRetries": 2, "perRetry": {"backOff": {"baseInterval": "1ms"}}})
    assert gw.request("/").body == b"sorry"
    assert len(up.requests) == 3


def test_a_status_without_content_has_none(played):
    gw, _ = played(override(page("text", statusCode=204), [503]))
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\nGET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n") as raw:
        text = raw.rest()
    assert text.count(b"HTTP/1.1 204") == 2 and b"text" not in text and b"content-length" not in text.lower()


def test_it_is_no_longer_named_as_missing(tmp_path):
    run = check(tmp_path, world(backend("a", 1), route("r", rule("a")), traffic(override(page("x"), [503]))))
    assert run.returncode == 0 and "responseOverride" not in run.stdout
