"""The layers besides the token: API keys, basic credentials, external authorizers; of routes and in front
of Backends, alone and all together."""
import threading

import pytest

from play.client import Raw
from play.deadline import eventually
from play.gateway import tollgate, as_text
from play.manifests import (ENVOY_API, backend, local_provider, path, route, rule, secret, security_policy, target,
                            thing, to, world)
from play.passwords import basic, hashed, htpasswd
from play.ports import free_port
from play.upstream import Answer

ROUTE = target("HTTPRoute", "r")
PARAMS_AND_COOKIES = [{"headers": ["x-api-key"]}, {"params": ["key"]}, {"cookies": ["session"]}]


def refused(reply, status, code, challenge=None):
    assert (reply.status, reply.code) == (status, code), reply
    if challenge:
        assert reply.get("www-authenticate", "").startswith(challenge)


def guard(name, *backends, **checks):
    """A founding-form BackendSecurityPolicy."""
    return thing(ENVOY_API, "BackendSecurityPolicy", name, {
        "targetRefs": [target("Backend", each) for each in backends], **checks})


def auth(header, *values):
    return [(header, value) for value in values]


# ---- API keys ----

def keyed(up, *more, keys=None, extract=None, **policy):
    spec = {"credentialRefs": [{"name": "keys"}], "extractFrom": extract or PARAMS_AND_COOKIES,
            "forwardClientIDHeader": "X-Client", **policy}
    return world(backend("a", up), route("r", rule("a")), security_policy("p", ROUTE, apiKeyAuth=spec),
                 secret("keys", **(keys or {"alice": "key-of-alice", "bob": "key-of-bob"})), *more)


@pytest.mark.parametrize("path_, headers", [
    ("/", [("x-api-key", "key-of-alice")]), ("/?key=key-of-alice&b=2", []), ("/?b=2&key=key%2Dof-alice", []),
    ("/", [("cookie", "a=1; session=key-of-alice; b=2")])])
def test_an_api_key_names_its_client_and_stays_here(gateway, upstream, path_, headers):
    up = upstream("a")
    gw = gateway(keyed(up))
    assert gw.request(path_, headers=[*headers, ("x-client", "root")]).status == 200
    assert up.last.all("x-client") == ["alice"]
    assert b"of-alice" not in up.last.head
    assert up.last.target == ("/?b=2" if "?" in path_ else "/")
    assert up.last.get("cookie") == ("a=1; b=2" if headers and headers[0][0] == "cookie" else None)


def test_without_a_good_api_key_nothing_passes(gateway, upstream):
    up = upstream("a")
    gw = gateway(keyed(up))
    cases = [
        ("/", [], "api_key_missing"),
        ("/?key=", [("x-api-key", "")], "api_key_missing"),
        ("/", auth("authorization", "Bearer key-of-alice"), "api_key_missing"),
        ("/", auth("x-api-key", "key-of-carol"), "api_key_invalid"),
        ("/", auth("x-api-key", "key-of-alic"), "api_key_invalid"),
        ("/", auth("x-api-key", "KEY-OF-ALICE"), "api_key_invalid"),
        ("/", auth("x-api-key", "key-of-alice", "key-of-bob"), "api_key_invalid"),
        ("/?key=key-of-alice&key=key-of-alice", [], "api_key_invalid"),
        ("/?key=key-of-alice", auth("x-api-key", "wrong"), "api_key_invalid"),
        ("/", auth("cookie", "session=key-of-alice; session=x"), "api_key_invalid"),
    ]
    for where, headers, code in cases:
        refused(gw.request(where, headers=headers), 401, code, "ApiKey")
    assert not up.requests
    assert gw.metric("tollgate_credentials_total", kind="api_key", result="refused") == 7


def test_a_key_in_authorization_may_stand_behind_bearer(gateway, upstream):
    up = upstream("a")
    gw = gateway(keyed(up, extract=[{"headers": ["Authorization"]}]))
    for value in ("Bearer key-of-bob", "key-of-bob"):
        assert gw.request("/", headers=auth("authorization", value)).status == 200
        assert up.last.get("authorization") is None


def test_a_key_is_forwarded_where_the_policy_says_so(gateway, upstream):
    up = upstream("a")
    gw = gateway(keyed(up, sanitize=False))
    assert gw.request("/?key=key-of-bob").status == 200
    assert up.last.target == "/?key=key-of-bob"


def test_a_routes_own_header_goes_where_the_clients_key_stays(gateway, upstream):
    up = upstream("a")
    manifests = keyed(up)
    manifests[3]["spec"]["rules"][0]["filters"] = [{"type": "RequestHeaderModifier", "requestHeaderModifier": {
        "set": [{"name": "x-api-key", "value": "for-the-backend"}]}}]
    gw = gateway(manifests)
    assert gw.request("/", headers=auth("x-api-key", "key-of-bob")).status == 200
    assert up.last.all("x-api-key") == ["for-the-backend"]


def test_a_reload_replaces_the_keys(gateway, upstream):
    up = upstream("a")
    gw = gateway(keyed(up))
    old, new = auth("x-api-key", "key-of-alice"), auth("x-api-key", "fresh")
    assert gw.request("/", headers=old).status == 200
    gw.apply(keyed(up, keys={"alice": "fresh\n"}))
    refused(gw.request("/", headers=old), 401, "api_key_invalid")
    assert gw.request("/", headers=new).status == 200


# ---- basic ----

def named(up, *more, users=None, **policy):
    return world(backend("a", up), route("r", rule("a")), *more, users or htpasswd(alice="secret", bob="other"),
                 security_policy("p", ROUTE, basicAuth={
                     "users": {"name": "users"}, "forwardUsernameHeader": "x-user", **policy}))


@pytest.mark.parametrize("scheme", ["bcrypt", "sha256", "sha512", "sha1"])
def test_a_password_is_checked_once_and_stays_here(gateway, upstream, scheme):
    up = upstream("a")
    gw = gateway(named(up, users=htpasswd(scheme=scheme, alice="secret")), args=["--workers", "1"])
    for _ in range(5):
        assert gw.request("/", headers=[("authorization", basic("alice", "secret")), ("x-user", "root"),
                                        ("x-backend-authorization", "Basic eDp5")]).status == 200
        assert up.last.all("x-user") == ["alice"] and up.last.get("authorization") is None
        assert up.last.get("x-backend-authorization") is None
    assert gw.metric("tollgate_credentials_total", kind="basic", result="verified") == 1
    assert gw.metric("tollgate_credentials_total", kind="basic", result="remembered") == 4


def test_without_the_right_password_nothing_passes(gateway, upstream):
    up = upstream("a")
    gw = gateway(named(up))
    cases = [
        ([], "basic_missing"),
        (auth("authorization", "Bearer x"), "basic_missing"),
        (auth("authorization", "Basics x"), "basic_missing"),
        (auth("authorization", basic("alice", "Secret")), "basic_invalid"),
        (auth("authorization", basic("alice", "")), "basic_invalid"),
        (auth("authorization", basic("alice", "other")), "basic_invalid"),
        (auth("authorization", basic("nobody", "secret")), "basic_invalid"),
        (auth("authorization", basic("", "secret")), "basic_invalid"),
        (auth("authorization", basic("alice", "secret\0more")), "basic_invalid"),
        (auth("authorization", basic("alice", "x" * 600)), "basic_invalid"),
        (auth("authorization", basic("alice", "x" * 5000)), "basic_invalid"),
        (auth("authorization", "Basic"), "basic_invalid"),
        (auth("authorization", "Basic !!!!"), "basic_invalid"),
        (auth("authorization", "Basic YWxpY2U="), "basic_invalid"),
        (auth("authorization", basic("alice", "secret"), basic("alice", "secret")), "basic_invalid"),
    ]
    for headers, code in cases:
        refused(gw.request("/", headers=headers), 401, code, "Basic realm=")
    assert not up.requests


def test_an_unknown_user_costs_a_hash_too(gateway, upstream):
    gw = gateway(named(upstream("a")))
    refused(gw.request("/", headers=auth("authorization", basic("nobody", "secret"))), 401, "basic_invalid")
    assert gw.metric("tollgate_credentials_total", kind="basic", result="refused") == 1


def test_a_changed_password_is_not_remembered(gateway, upstream):
    up = upstream("a")
    gw = gateway(named(up))
    old, new = auth("authorization", basic("alice", "secret")), auth("authorization", basic("alice", "new"))
    assert gw.request("/", headers=old).status == 200
    gw.apply(named(up, users=htpasswd(alice="new")))
    refused(gw.request("/", headers=old), 401, "basic_invalid")
    assert gw.request("/", headers=new).status == 200


def test_guessing_is_slowed_down_per_address(gateway, upstream):
    gw = gateway(named(upstream("a"), users=htpasswd(scheme="sha1", alice="secret")), args=["--workers", "1"])
    good = auth("authorization", basic("alice", "secret"))
    assert gw.request("/", headers=good).status == 200

    def guess(n):
        return gw.request("/", headers=auth("authorization", basic("alice", f"guess-{n}")))

    reply = next(r for r in map(guess, range(2000)) if r.status != 401)
    refused(reply, 429, "too_many_credential_failures")
    assert gw.request("/", headers=good).status == 200  # remembered: no victim of the guesser


def test_a_full_queue_refuses_and_clients_that_leave_make_room(gateway, upstream):
    gw = gateway(named(upstream("a"), users=htpasswd(rounds=4096, alice="secret")), args=["--workers", "1"])
    asking = []
    try:
        for n in range(100):
            asking.append(Raw(gw.port(), f"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: {basic('alice', str(n))}\r\n\r\n"))
        eventually(lambda: gw.metric("tollgate_refusals_total", reason="hash_queue_full") > 0)
        reply = asking[-1].reply()
        refused(reply, 503, "hash_queue_full")
        assert int(reply.get("retry-after")) >= 1
    finally:
        for raw in asking:
            raw.sock.close()
    eventually(lambda: gw.metric("tollgate_exchanges_active") == 0)
    assert gw.request("/", headers=auth("authorization", basic("alice", "secret"))).status == 200


# ---- in front of Backends ----

def test_a_backends_password_travels_beside_the_token(gateway, upstream, issuer):
    up, keys = upstream("a"), issuer()
    gw = gateway(world(
        backend("a", up), route("r", rule("a")), htpasswd(tenant_a="secret", tenant_b="other"),
        security_policy("p", ROUTE, jwt={"providers": [local_provider(keys)]}),
        guard("g", "a", basicAuth={"users": {"name": "users"}, "matchTenant": True})))

    def ask(user, password, header="x-backend-authorization", tenant="tenant-a"):
        return gw.request("/", token=keys.token(tenant), headers=auth(header, basic(user, password)))

    token = keys.token("tenant-a")
    refused(gw.request("/"), 401, "token_missing", "Bearer")
    refused(gw.request("/", token=token), 401, "basic_missing", "Basic")
    refused(ask("tenant-a", "wrong"), 401, "basic_invalid", "Basic")
    refused(ask("tenant-b", "other"), 403, "basic_tenant_mismatch")
    refused(ask("tenant-b", "wrong"), 403, "basic_tenant_mismatch")
    refused(gw.request("/", headers=auth("authorization", basic("tenant-a", "secret"))), 401, "token_missing")
    assert not up.requests
    assert ask("tenant-a", "secret").status == 200
    assert up.last.get("x-backend-authorization") is None
    assert up.last.get("authorization").startswith("Bearer ")
    assert ask("tenant-b", "other", tenant="tenant-b").status == 200


def test_the_credential_header_has_the_name_that_the_policy_gives_it(gateway, upstream):
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a")), htpasswd(alice="secret"), guard("g", "a", basicAuth={
        "users": {"name": "users"}, "credentialHeader": "X-Second", "forwardCredentials": True})))
    good = basic("alice", "secret")
    assert gw.request("/", headers=auth("x-second", good)).status == 200
    assert up.last.get("x-second") == good
    assert gw.request("/", headers=auth("authorization", good)).status == 200
    refused(gw.request("/", headers=auth("x-backend-authorization", good)), 401, "basic_missing")


def test_the_checks_of_every_backend_of_a_rule_are_required(gateway, upstream):
    a, b, sink = upstream("a"), upstream("b"), upstream("sink")
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": to("s")}}
    gw = gateway(world(
        backend("a", a), backend("b", b), backend("s", sink),
        route("r", rule(to("a", 1000), to("b", 0), matches=[path("/weights")]),
              rule("a", matches=[path("/mirror")], filters=[mirror]),
              rule("a", matches=[path("/open")])),
        htpasswd(alice="secret"), secret("keys", alice="key"),
        guard("one", "b", basicAuth={"users": {"name": "users"}}),
        guard("two", "b", "s", apiKeyAuth={"credentialRefs": [{"name": "keys"}],
                                           "extractFrom": [{"headers": ["x-api-key"]}]})))
    key, pair = ("x-api-key", "key"), ("authorization", basic("alice", "secret"))
    assert gw.request("/open").status == 200
    refused(gw.request("/weights"), 401, "api_key_missing")
    refused(gw.request("/weights", headers=[key]), 401, "basic_missing")
    refused(gw.request("/weights", headers=[pair]), 401, "api_key_missing")
    assert gw.request("/weights", headers=[key, pair]).status == 200
    refused(gw.request("/mirror"), 401, "api_key_missing")
    assert not sink.requests
    assert gw.request("/mirror", headers=[key]).status == 200
    assert b"x-api-key" not in sink.wait_for(1)[0].head


def test_the_same_check_twice_conflicts(tmp_path):
    file = tmp_path / "world.yaml"
    file.write_text(as_text(world(
        backend("a", 1), route("r", rule("a")), htpasswd(alice="secret"),
        guard("one", "a", basicAuth={"users": {"name": "users"}}),
        guard("two", "a", basicAuth={"users": {"name": "users"}}))))
    run = tollgate("check", "-f", file)
    assert run.returncode == 1 and "already has a BackendSecurityPolicy" in run.stdout


# ---- Secrets that are not there, or not as they should be ----

BROKEN = {
    "no Secret": ([], None, None),
    "no key": ([secret("users", other="x")], "basicAuth", r"has no key .htpasswd"),
    "no user": ([secret("users", **{".htpasswd": "# nobody\n"})], "basicAuth", "no user"),
    "unknown scheme": ([secret("users", **{".htpasswd": "alice:$apr1$abcdefgh$sEcReT\n"})], "basicAuth",
                       'line 1, user "alice": has a password hash of an unknown scheme'),
    "too costly": ([secret("users", **{".htpasswd": "alice:" + hashed("x").replace("$04$", "$13$") + "\n"})],
                   "basicAuth", "takes too long"),
    "a line without a colon": ([secret("users", **{".htpasswd": "sEcReT\n"})], "basicAuth", "line 1"),
    "an empty API key": ([secret("users", alice="")], "apiKeyAuth", 'client "alice"'),
    "one key of two": ([secret("users", alice="sEcReT", bob="sEcReT")], "apiKeyAuth", "same API key"),
    "no API key": ([secret("users")], "apiKeyAuth", "no API key"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_secret_that_will_not_do_makes_its_routes_refuse(gateway, upstream, tmp_path, name):
    objects, kind, sentence = BROKEN[name]
    spec = {"apiKeyAuth": {"credentialRefs": [{"name": "users"}], "extractFrom": [{"headers": ["x"]}]}} \
        if kind == "apiKeyAuth" else {"basicAuth": {"users": {"name": "users"}}}
    for guarded in (security_policy("p", ROUTE, **spec), guard("p", "a", **spec)):
        manifests = world(backend("a", upstream("a")), backend("b", upstream("b")), *objects, guarded,
                          route("r", rule("a")), route("open", rule("b", matches=[path("/open")])))
        file = tmp_path / "world.yaml"
        file.write_text(as_text(manifests))
        run = tollgate("check", "-f", file)
        assert sentence is None or (run.returncode == 1 and sentence in run.stdout), run.stdout
        assert "sEcReT" not in run.stdout and "$2b$" not in run.stdout
        gw = gateway(manifests)
        refused(gw.request("/"), 500, "security_not_enforced")
        assert gw.request("/open").status == 200


@pytest.mark.parametrize("spec", [
    {"basicAuth": {"users": {"name": "users"}, "forwardUsernameHeader": "Content-Length"}},
    {"apiKeyAuth": {"credentialRefs": [{"name": "keys"}], "extractFrom": [{"headers": ["x"]}],
                    "forwardClientIDHeader": "host"}},
    {"extAuth": {"http": {"backendRefs": [to("a")], "headersToBackend": ["Transfer-Encoding"]}}},
    {"extAuth": {"http": {"backendRefs": [to("a")], "headersToBackend": ["Content_Length"]}}},
    {"extAuth": {"http": {"backendRefs": [to("a")], "path": "/a b"}}}])
def test_a_header_that_frames_the_message_is_nobodys_to_write(gateway, upstream, spec):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")), htpasswd(alice="x"),
                       secret("keys", a="k"), security_policy("p", ROUTE, **spec)))
    refused(gw.request("/"), 500, "security_not_enforced")


# ---- external authorization ----

def external(up, authorizer, *more, http=None, **spec):
    return world(backend("a", up), backend("authorizer", authorizer), route("r", rule("a")), *more,
                 security_policy("p", ROUTE, extAuth={"http": {"backendRefs": [to("authorizer")], **(http or {})},
                                                      **spec}))


def allow(*headers):
    return lambda request, connection: Answer(headers=list(headers), body=b"ok")


@pytest.mark.parametrize("spec, timeout_ms", [({}, 10_000), ({"timeout": "250ms"}, 250)])
def test_an_authorizer_has_ten_seconds_unless_the_policy_says_otherwise(gateway, upstream, spec, timeout_ms):
    gw = gateway(external(upstream("a"), upstream("authorizer"), **spec))
    text = gw.get_admin("/config").body.decode().replace(" ", "")
    assert f'"timeout_ms":{timeout_ms}' in text[text.index('"kind":"external"'):].split("}")[0]


def test_the_authorizer_sees_the_head_and_never_the_body(gateway, upstream):
    up, authorizer = upstream("a"), upstream("authorizer")
    gw = gateway(external(up, authorizer, headersToExtAuth=["X-Model", "x-seen"]))
    reply = gw.request("/some/path?q=1", "POST", host="app.test", body=b"the body", headers=[
        ("authorization", "Bearer t"), ("x-seen", "1"), ("x-seen", "2"), ("x-other", "3"), ("cookie", "c=1")])
    assert reply.status == 200 and up.last.body == b"the body"
    seen = authorizer.last
    assert (seen.method, seen.target, seen.get("host"), seen.body) == ("POST", "/some/path?q=1", "app.test", b"")
    assert (seen.get("authorization"), seen.all("x-seen")) == ("Bearer t", ["1", "2"])
    assert {name for name, _ in seen.headers} == {"host", "authorization", "x-seen", "content-length"}
    assert seen.get("content-length") == "0"
    assert gw.metric("tollgate_external_authorizations_total", result="allowed") == 1


@pytest.mark.parametrize("http, target_", [
    ({"path": "/check"}, "/check/x?q=1"), ({"pathOverride": "/fixed"}, "/fixed"), ({"path": "check"}, "/check/x?q=1")])
def test_the_path_of_the_question(gateway, upstream, http, target_):
    up, authorizer = upstream("a"), upstream("authorizer")
    gw = gateway(external(up, authorizer, http=http))
    assert gw.request("/x?q=1").status == 200
    assert authorizer.last.target == target_ and up.last.target == "/x?q=1"


def test_headers_of_a_yes_are_copied_removed_and_claims_left_alone(gateway, upstream, issuer):
    up, authorizer, keys = upstream("a"), upstream("authorizer"), issuer()
    manifests = external(up, authorizer, http={"headersToBackend": [
        "X-Tenant", "x-scope", "x-gone", "authorization"]}, headersToExtAuth=["x-tenant"])
    manifests[-1]["spec"]["jwt"] = {"providers": [local_provider(
        keys, claimToHeaders=[{"claim": "tenant", "header": "x-tenant"}])]}
    gw = gateway(manifests)
    authorizer.script = allow(("X-Tenant", "tenant-z"), ("X-Scope", "read"), ("x-scope", "write"), ("x-else", "1"),
                              ("authorization", "Bearer of the authorizer"))
    assert gw.request("/", token=keys.token("tenant-a"), headers=[("x-gone", "mine"), ("x-scope", "all")]).status == 200
    assert authorizer.last.get("x-tenant") == "tenant-a"
    assert (up.last.all("x-tenant"), up.last.all("x-scope")) == (["tenant-a"], ["read", "write"])
    assert up.last.get("x-gone") is None and up.last.get("x-else") is None
    assert up.last.all("authorization") == ["Bearer of the authorizer"]
    authorizer.script = allow()
    assert gw.request("/", token=keys.token("tenant-a")).status == 200
    assert up.last.get("authorization") is None and up.last.all("x-tenant") == ["tenant-a"]


@pytest.mark.parametrize("status", [302, 401, 403, 404, 500])
def test_a_no_is_the_clients_answer(gateway, upstream, status):
    up, authorizer = upstream("a"), upstream("authorizer")
    authorizer.script = lambda request, connection: Answer(status, [
        ("content-type", "text/plain"), ("location", "http://127.0.0.1:1/login"), ("www-authenticate", "Custom")],
        b"no, because")
    gw = gateway(external(up, authorizer, failOpen=True))
    reply = gw.request("/")
    assert (reply.status, reply.body, reply.get("content-type")) == (status, b"no, because", "text/plain")
    assert (reply.get("location"), reply.get("www-authenticate")) == ("http://127.0.0.1:1/login", "Custom")
    assert gw.request("/", "HEAD").status == status
    assert not up.requests and len(authorizer.requests) == 2
    record = gw.wait_log(lambda r: r.get("response_code") == status)
    assert (record["response_code_details"], record["response_flags"]) == ("ext_auth_denied", "UAEX")


def hang(_request, connection):
    while connection.recv():
        pass


def interim_for_ever(_request, connection):
    while True:
        connection.send(b"HTTP/1.1 102 Processing\r\n\r\n")


def too_much(status):
    return lambda request, connection: Answer(status, chunks=[b"x" * 65536] * 160)


def garbage(_request, connection):
    connection.send(b"hello\r\n\r\n")


FAULTS = {"hanging": hang, "1xx for ever": interim_for_ever, "10 MB": too_much(200), "garbage": garbage,
          "switching": lambda r, c: c.send(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
          "reset": lambda r, c: c.reset()}


@pytest.mark.parametrize("fault", [*FAULTS, "down"])
def test_an_authorizer_that_gives_no_answer(gateway, upstream, fault):
    up, authorizer = upstream("a"), upstream("authorizer")
    authorizer.script = FAULTS.get(fault)
    at = free_port() if fault == "down" else authorizer
    gw = gateway(external(up, at, timeout="500ms"))
    refused(gw.request("/"), 403, "ext_auth_failed")
    assert not up.requests
    assert gw.metric("tollgate_external_authorizations_total", result="failed") == 1
    gw.apply(external(up, at, timeout="500ms", statusOnError=503))
    refused(gw.request("/"), 503, "ext_auth_failed")
    gw.apply(external(up, at, timeout="500ms", failOpen=True))
    assert gw.request("/").status == 200 and len(up.requests) == 1


@pytest.mark.parametrize("script", [
    too_much(403), lambda r, c: c.send(b"HTTP/1.1 403 No\r\ncontent-length: 10\r\n\r\nhalf")])
def test_a_no_that_breaks_off_stays_a_no(gateway, upstream, script):
    up, authorizer = upstream("a"), upstream("authorizer")
    authorizer.script = script
    gw = gateway(external(up, authorizer, failOpen=True))
    refused(gw.request("/"), 403, "ext_auth_denied")
    assert not up.requests


def test_the_timeout_of_the_route_counts_while_the_authorizer_thinks(gateway, upstream):
    up, authorizer = upstream("a"), upstream("authorizer")
    authorizer.script = hang
    manifests = external(up, authorizer, failOpen=True)
    manifests[4]["spec"]["rules"][0]["timeouts"] = {"request": "300ms"}
    gw = gateway(manifests)
    refused(gw.request("/"), 504, "upstream_timeout")
    assert not up.requests


def test_a_client_that_leaves_takes_its_question_back(gateway, upstream):
    up, authorizer = upstream("a"), upstream("authorizer")
    left = threading.Event()

    def watch(_request, connection):
        hang(_request, connection)
        left.set()

    authorizer.script = watch
    gw = gateway(external(up, authorizer))
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"):
        authorizer.wait_for(1)
    assert left.wait(10)
    eventually(lambda: gw.metric("tollgate_exchanges_active") == 0)
    assert not up.requests


def test_an_authorizer_that_closes_idle_connections(gateway, upstream):
    up, authorizer = upstream("a"), upstream("authorizer")
    authorizer.script = lambda r, c: c.send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    gw = gateway(external(up, authorizer))
    for _ in range(20):
        assert gw.request("/").status == 200


def test_an_authorizer_that_is_asked_with_the_body_is_not_enforced(gateway, upstream):
    up = upstream("a")
    for spec in ({"http": {"backendRefs": [to("a")]}, "bodyToExtAuth": {"maxRequestBytes": 1}},
                 {"grpc": {"backendRefs": [to("a")]}, "bodyToExtAuth": {"maxRequestBytes": 1}}):
        gw = gateway(world(backend("a", up), route("r", rule("a")), security_policy("p", ROUTE, extAuth=spec)))
        refused(gw.request("/"), 500, "security_not_enforced")
    assert not up.requests


# ---- all together ----

def everything(up, authorizer, keys):
    return world(
        backend("a", up), backend("authorizer", authorizer), route("r", rule("a")),
        secret("keys", app="key-of-the-app"), htpasswd(tenant_a="pa", tenant_b="pb"),
        security_policy(
            "p", ROUTE,
            jwt={"providers": [local_provider(keys, claimToHeaders=[{"claim": "tenant", "header": "x-tenant"}])]},
            apiKeyAuth={"credentialRefs": [{"name": "keys"}], "extractFrom": [{"headers": ["x-api-key"]}],
                        "forwardClientIDHeader": "x-client"},
            authorization={"defaultAction": "Deny", "rules": [{"action": "Allow", "principal": {
                "jwt": {"provider": "provider", "claims": [{"name": "tenant", "values": ["tenant-a"]}]}}}]}),
        guard("passwords", "a", basicAuth={"users": {"name": "users"}, "matchTenant": True,
                                           "forwardUsernameHeader": "x-user"}),
        guard("authorizer", "a", extAuth={"http": {"backendRefs": [to("authorizer")], "headersToBackend": ["x-plan"]},
                                          "headersToExtAuth": ["x-tenant", "x-user", "x-client"]}))


def test_all_layers_are_required_and_in_their_order(gateway, upstream, issuer):
    up, authorizer, keys = upstream("a"), upstream("authorizer"), issuer()
    authorizer.script = allow(("x-plan", "gold"))
    gw = gateway(everything(up, authorizer, keys))
    token, other = keys.token("tenant-a"), keys.token("tenant-b")
    key = ("x-api-key", "key-of-the-app")
    pair, pair_b = (("x-backend-authorization", basic(f"tenant-{t}", f"p{t}")) for t in "ab")
    refused(gw.request("/", headers=[key, pair]), 401, "token_missing", "Bearer")
    refused(gw.request("/", token=token, headers=[pair]), 401, "api_key_missing", "ApiKey")
    refused(gw.request("/", token=token, headers=[key]), 401, "basic_missing", "Basic")
    refused(gw.request("/", token=other, headers=[key, pair]), 403, "basic_tenant_mismatch")
    refused(gw.request("/", token=other, headers=[key, pair_b]), 403, "forbidden")
    assert not authorizer.requests
    assert gw.request("/", token=token, headers=[key, pair]).status == 200
    seen = authorizer.last
    assert (seen.get("x-tenant"), seen.get("x-user"), seen.get("x-client")) == ("tenant-a", "tenant-a", "app")
    assert seen.get("x-api-key") is None and seen.get("x-backend-authorization") is None
    assert (up.last.get("x-plan"), up.last.get("x-client"), up.last.get("x-user")) == ("gold", "app", "tenant-a")
    assert up.last.get("x-api-key") is None and up.last.get("x-backend-authorization") is None
    authorizer.script = lambda request, connection: Answer(403, body=b"not you")
    assert gw.request("/", token=token, headers=[key, pair]).body == b"not you"
    assert len(up.requests) == 1


def test_no_credential_reaches_log_or_config(gateway, upstream, issuer):
    up, authorizer, keys = upstream("a"), upstream("authorizer"), issuer()
    manifests = everything(up, authorizer, keys)
    manifests[7]["spec"]["apiKeyAuth"]["extractFrom"] = [{"headers": ["x-k"]}, {"params": ["k"]}]
    gw = gateway(manifests)
    pair = basic("tenant-a", "pa")
    for key in ("key-of-the-app", "key-of-nobody"):
        headers = [("x-backend-authorization", pair)]
        gw.request(f"/seen?k={key}&b=2", token=keys.token(), headers=headers)
        gw.request("/seen", token=keys.token(), headers=[*headers, ("x-k", key)])
    gw.request("/seen?k=key-of-the-app")
    eventually(lambda: len(gw.log()) >= 5)
    text = gw.get_admin("/config").body.decode() + gw.stderr() + (gw.folder / "stdout").read_text() + str(gw.status())
    for word in ("key-of-the-app", "key-of-nobody", pair.split()[1], "$2b$"):
        assert word not in text, word
    assert "k=redacted&b=2" in text
    assert '"kind":"basic"' in gw.get_admin("/config").body.decode().replace(" ", "")


def test_layers_hold_through_reloads_while_requests_wait(gateway, upstream):
    up, authorizer = upstream("a"), upstream("authorizer")
    go = threading.Event()

    def wait(_request, _connection):
        go.wait(20)
        return Answer(body=b"ok")

    authorizer.script = wait
    manifests = external(up, authorizer)
    gw = gateway(manifests)
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") as raw:
        authorizer.wait_for(1)
        for n in range(3):
            gw.apply([*manifests, route(f"more-{n}", rule("a", matches=[path(f"/more-{n}")]))])
        go.set()
        assert raw.reply().status == 200


def test_an_ai_route_asks_for_the_checks_of_its_backends(gateway, upstream):
    up = upstream("a")
    ai = "aigateway.envoyproxy.io/v1alpha1"
    gw = gateway(world(
        backend("a", up), htpasswd(alice="secret"), guard("g", "a", basicAuth={"users": {"name": "users"}}),
        thing(ai, "AIServiceBackend", "s", {"schema": {"name": "OpenAI"}, "backendRef": to("a")}),
        thing(ai, "AIGatewayRoute", "ai", {"parentRefs": [{"name": "front"}], "rules": [
            {"backendRefs": [{"name": "s"}]}]})))
    good = auth("authorization", basic("alice", "secret"))
    refused(gw.request("/v1/models/m:predict", json={"instances": []}), 401, "basic_missing")
    assert gw.request("/v1/models/m:predict", json={"instances": []}, headers=good).status in (200, 501)
