"""External authorization by gRPC: what an authorizer is asked, what follows from its answers, and from none."""
import time

import grpc
import pytest

from play.authorizer import CHECK, Authorizer, header, no, number, part, yes
from play.grpc_server import GrpcClient, GrpcServer, until_over
from play.manifests import backend, grpc_route, local_provider, path, route, rule, secret, security_policy, target, to, world

ROUTE = target("HTTPRoute", "r")


@pytest.fixture
def authorizer():
    made = Authorizer()
    yield made
    made.stop()


def guarded(authorizer, *more, ref=ROUTE, jwt=None, **spec):
    layers = {"extAuth": {"grpc": {"backendRefs": [to("authorizer")]}, **spec}, **({"jwt": jwt} if jwt else {})}
    return world(backend("authorizer", authorizer), *more, security_policy("p", ref, **layers))


@pytest.fixture
def open_world(gateway, upstream, authorizer):
    """A gateway whose route asks the authorizer, and the route's backend."""
    up = upstream("a")

    def start(**spec):
        return gateway(guarded(authorizer, backend("a", up), route("r", rule("a")), **spec)), up

    return start


def test_it_is_told_the_request(open_world, authorizer):
    gw, up = open_world(contextExtensions=[{"name": "realm", "value": "gold"}])
    assert gw.request("/x/%7Ey?q=1", "PUT", host="front.test:80", headers=[("X-A", "1"), ("x-a", "2"), ("authorization", "Bearer t")],
                      body=b"content").status == 200
    [asked] = authorizer.questions
    assert (asked["method"], asked["path"], asked["host"]) == ("PUT", "/x/~y?q=1", "front.test:80")
    assert (asked["scheme"], asked["protocol"], asked["source"]) == ("http", "HTTP/1.1", "127.0.0.1")
    assert asked["headers"]["x-a"] == "1, 2" and asked["headers"]["authorization"] == "Bearer t"
    assert asked["headers"][":path"] == "/x/~y?q=1" and asked["context"] == {"realm": "gold"}
    [(at, metadata)] = authorizer.calls
    assert at == CHECK and up.last.body == b"content"
    assert gw.metric("tollgate_external_authorizations_total", result="allowed") == 1


def test_it_is_told_only_the_headers_that_are_named(open_world, authorizer):
    gw, _ = open_world(headersToExtAuth=["X-A"])
    gw.request(headers=[("x-a", "1"), ("x-b", "2"), ("authorization", "Bearer t")])
    assert authorizer.questions[0]["headers"] == {"x-a": "1"}


def test_a_header_that_is_no_text_does_not_silence_it(open_world, authorizer):
    """A question that the authorizer cannot read would be no question: with failOpen the request would pass."""
    gw, up = open_world(failOpen=True)
    authorizer.answer = no(403)
    with gw.raw(b"GET / HTTP/1.1\r\nhost: x\r\nx-odd: n\xc3\xb6 \xff\xfe\r\n\r\n") as raw:
        assert raw.reply().status == 403
    assert authorizer.questions[0]["headers"]["x-odd"] == "n\u00f6 !!" and not up.requests


def test_a_yes_edits_request_and_answer(open_world, authorizer):
    authorizer.answer = yes(header("X-User", "alice"), header("x-more", "b", append=True), header("x-new", "n", append=True),
                            remove=["X-Gone"], answer=[header("set-cookie", "s=1")])
    gw, up = open_world()
    reply = gw.request(headers=[("x-user", "mallory"), ("x-more", "a"), ("x-gone", "1")])
    assert reply.status == 200 and reply.get("set-cookie") == "s=1"
    assert (up.last.all("x-user"), up.last.all("x-more"), up.last.all("x-new")) == (["alice"], ["a", "b"], ["n"])
    assert not up.last.all("x-gone")


def test_a_no_is_the_clients_answer(open_world, authorizer):
    authorizer.answer = no(401, header("www-authenticate", "Custom"), header("content-length", "999"), body="log in")
    gw, up = open_world()
    reply = gw.request()
    assert (reply.status, reply.body, reply.get("www-authenticate"), reply.get("content-length")) == (401, b"log in", "Custom", "6")
    authorizer.answer = part(1, number(1, 7))
    assert gw.request().status == 403, "a status alone is a no"
    authorizer.answer = no(200, body="welcome")
    assert gw.request().status == 403, "a no is no success"
    assert not up.requests
    assert gw.wait_log(lambda r: r["response_code"] == 401)["response_flags"] == "UAEX"
    assert gw.metric("tollgate_external_authorizations_total", result="denied") == 3


def test_what_claims_say_no_authorizer_changes(gateway, upstream, authorizer, issuer):
    up, keys = upstream("a"), issuer()
    authorizer.answer = yes(header("x-tenant", "tenant-b"), header("x-ai-eg-model", "m"), header("x-other", "1"),
                            header("x-forwarded-client-cert", "Hash=00"), header("x-client", "other"), remove=["x-tenant"])
    claims = [{"claim": "tenant", "header": "x-tenant"}]
    elsewhere = security_policy("q", target("HTTPRoute", "other"), apiKeyAuth={
        "credentialRefs": [{"name": "keys"}], "extractFrom": [{"headers": ["x-api-key"]}], "forwardClientIDHeader": "x-client"})
    gw = gateway(guarded(authorizer, backend("a", up), route("r", rule("a")), secret("keys", app="key"),
                         route("other", rule("a", matches=[path("/other")])), elsewhere,
                         jwt={"providers": [local_provider(keys, claimToHeaders=claims)]}))
    assert gw.request().status == 401 and not authorizer.questions, "strangers do not reach it"
    assert gw.request(token=keys.token("tenant-a")).status == 200
    assert authorizer.questions[0]["headers"]["x-tenant"] == "tenant-a"
    assert up.last.all("x-tenant") == ["tenant-a"] and up.last.get("x-other") == "1"
    assert not any(up.last.all(name) for name in ("x-ai-eg-model", "x-forwarded-client-cert", "x-client"))


@pytest.mark.parametrize("edit", [header("content-length", "1"), header("host", "x"), header(":path", "/"), header("x", "a\r\nb: c")])
def test_a_yes_that_would_write_what_frames_a_message_is_a_no(open_world, authorizer, edit):
    authorizer.answer = yes(edit)
    gw, up = open_world(failOpen=True)
    assert gw.request().status == 403 and not up.requests


def test_a_yes_that_changes_the_query_is_a_no(open_world, authorizer):
    authorizer.answer = yes(more=part(7, part(1, "q") + part(2, "1")))
    gw, up = open_world()
    assert gw.request("/?q=2").status == 403 and not up.requests


def refuse(context):
    context.abort(grpc.StatusCode.INTERNAL, "oops")


@pytest.mark.parametrize("answer", [b"", b"\x0a\x05", b"no protobuf \xff", refuse])
def test_what_is_no_answer_does_not_let_pass(open_world, authorizer, answer):
    authorizer.answer = answer
    gw, up = open_world(statusOnError=503)
    assert gw.request().status == 503 and not up.requests
    assert gw.metric("tollgate_external_authorizations_total", result="failed") == 1


def test_a_yes_whose_call_fails_is_none_and_a_no_stays_one(open_world, authorizer):
    def answer_and_fail(requests, context):
        next(requests)
        yield authorizer.answer
        context.abort(grpc.StatusCode.INTERNAL, "oops")

    authorizer.scripts[CHECK] = answer_and_fail
    gw, up = open_world(statusOnError=503)
    assert gw.request().status == 503 and not up.requests
    authorizer.answer = no(401)
    assert gw.request().status == 401


def test_a_dead_authorizer_fails_closed_or_open_as_asked(open_world, authorizer):
    authorizer.stop()
    gw, up = open_world()
    reply = gw.request()
    assert (reply.status, reply.code) == (403, "ext_auth_failed") and not up.requests
    gw, up = open_world(failOpen=True)
    assert gw.request().status == 200


def test_a_silent_authorizer_is_waited_for_as_long_as_its_timeout(open_world, authorizer):
    def silent(context):
        until_over(context)
        return yes()

    authorizer.answer = silent
    gw, up = open_world(timeout="500ms")
    begun = time.monotonic()
    assert gw.request().status == 403 and not up.requests
    assert 0.4 <= time.monotonic() - begun < 15
    assert authorizer.ended.acquire(timeout=20), "its call ended"


def test_an_answer_that_is_too_long_does_not_let_pass(open_world, authorizer):
    authorizer.answer = yes(*(header("x", "y" * 1000) for _ in range(70)))
    gw, up = open_world()
    assert gw.request().status == 403 and not up.requests


def test_calls_of_grpc_are_guarded_too(gateway, authorizer):
    up = GrpcServer("a")
    gw = gateway(guarded(authorizer, backend("a", up), grpc_route("r", rule("a")), ref=target("GRPCRoute", "r")))
    with GrpcClient(gw.port()) as client:
        assert client.call("/a.B/C") == b"a:hi"
        authorizer.answer = no(401, body="log in")
        assert client.refused("/a.B/C") == ("UNAUTHENTICATED", "log in")
    assert authorizer.questions[0]["protocol"] == "HTTP/2" and authorizer.questions[0]["path"] == "/a.B/C"
    assert [at for at, _ in up.calls] == ["/a.B/C"]
    up.stop()


def test_many_questions_share_a_connection(gateway, upstream, authorizer):
    up = upstream("a")
    gw = gateway(guarded(authorizer, backend("a", up), route("r", rule("a", matches=[path("/")]))))
    assert [gw.request(f"/{n}").status for n in range(40)] == [200] * 40
    assert [q["path"] for q in authorizer.questions] == [f"/{n}" for n in range(40)]
    assert gw.metric("tollgate_upstream_connections", backend="Backend/play/authorizer") <= 4
