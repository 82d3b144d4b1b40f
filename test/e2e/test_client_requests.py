"""What a ClientTrafficPolicy makes of requests: the gateway's own health, paths, headers, hosts."""
import pathlib
import signal
import socket
import time

import pytest

from play.deadline import FACTOR, eventually
from play.gateway import as_text, tollgate
from play.http2 import Http2
from play.manifests import (backend, client_policy, header, http_listener, https_listener, local_provider, path, route, rule, security_policy, target,
                            thing, tls_secret, world)
from play.upstream import Answer


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


def denied(where):
    return security_policy("s", target("HTTPRoute", "r"), authorization={"defaultAction": "Allow", "rules": [
        {"action": "Deny", "principal": {"clientCIDRs": ["0.0.0.0/0"]}, "operation": {"path": {"type": "Exact", "value": where}}}]})


def test_two_slashes_may_stay_for_matches_rules_and_backends_alike(gateway, upstream):
    one, other = upstream("one"), upstream("other")
    regex = {"path": {"type": "RegularExpression", "value": "/+b//c"}}
    gw = gateway(world(backend("one", one), backend("other", other), denied("/x//y"),
                       route("r", rule("one", matches=[path("/a"), regex]), rule("other")),
                       client_policy("clients", path={"disableMergeSlashes": True})))
    for asked, up, sent in (("/a//b", one, "/a//b"), ("//b//c?d=//", one, "//b//c?d=//"), ("/a/", one, "/a/"),
                            ("//a", other, "//a"), ("/b/c", other, "/b/c"), ("/a//../b", one, "/a/b"), ("//", other, "//"),
                            ("/%61//%7E", one, "/a//~"), ("http://a.test//b//c", one, "//b//c"), ("/x/y", other, "/x/y"),
                            ("/x///y", other, "/x///y")):
        assert gw.request(asked, host="a.test").status == 200, asked
        assert up.last.target == sent, asked
    seen = len(one.requests) + len(other.requests)
    for asked, status in (("/x//y", 403), ("/x//./y", 403), ("/a%2F/b", 400), ("/a//../../..", 400)):
        assert gw.request(asked).status == status, asked
    with Http2(gw.port()) as client:
        assert client.request("/a//b").status == 200 and client.request("/x//y").status == 403
    assert len(one.requests) + len(other.requests) == seen + 1 and one.last.target == "/a//b"


def test_listeners_of_one_port_have_their_own_word_on_two_slashes(gateway, upstream):
    up = upstream("a")
    keeps = client_policy("keeps", "keeps", path={"disableMergeSlashes": True, "escapedSlashesAction": "UnescapeAndForward"})
    names = ["keeps", "merges"]
    for order in (names, names[::-1]):
        gw = gateway(world(backend("a", up), route("r", rule("a")), keeps, denied("/x//y"),
                           listeners=[http_listener(name, hostname=f"{name}.test") for name in order]))
        for host, asked, status, sent in (
                ("keeps.test", "/a//b", 200, "/a//b"), ("merges.test", "/a//b", 200, "/a/b"),
                ("merges.test", "http://merges.test//a//b?c=//", 200, "/a/b?c=//"), ("merges.test", "/a//../b", 200, "/b"),
                ("keeps.test", "/a%2F%2fb", 200, "/a//b"), ("merges.test", "/a%2F%2Fb", 400, None),
                ("merges.test", "//..", 400, None), ("keeps.test", "/x//y", 403, None), ("keeps.test", "/x/y", 200, "/x/y"),
                ("merges.test", "/x//y", 403, None), ("merges.test", "/x/y", 403, None)):
            before = len(up.requests)
            assert gw.request(asked, host=host).status == status, (host, asked)
            assert (up.last.target if len(up.requests) > before else None) == sent, (host, asked)
        with Http2(gw.port()) as client:
            assert client.request("/a//b?c", host="merges.test").status == 200
        assert up.last.target == "/a/b?c"


def test_what_a_pattern_makes_of_a_path_with_two_slashes_keeps_them(gateway, upstream):
    up = upstream("a")
    rewrite = thing("gateway.envoyproxy.io/v1alpha1", "HTTPRouteFilter", "f", {"urlRewrite": {"path": {
        "type": "ReplaceRegexMatch", "replaceRegexMatch": {"pattern": "^/a", "substitution": "/new"}}}})
    use = {"type": "ExtensionRef", "extensionRef": {"group": "gateway.envoyproxy.io", "kind": "HTTPRouteFilter", "name": "f"}}
    for spec, sent in (({}, "/new/b"), ({"disableMergeSlashes": True}, "/new//b")):
        gw = gateway(world(backend("a", up), route("r", rule("a", filters=[use])), rewrite, client_policy("clients", path=spec)))
        assert gw.request("/a//b").status == 200 and up.last.target == sent


def test_a_limit_counts_the_path_as_its_listener_reads_it(gateway, upstream):
    limit = thing("gateway.envoyproxy.io/v1alpha1", "BackendTrafficPolicy", "t", {
        "targetRefs": [target("HTTPRoute", "r")], "rateLimit": {"type": "Local", "local": {"rules": [
            {"clientSelectors": [{"path": {"type": "Exact", "value": "/x//y"}}], "limit": {"requests": 1, "unit": "Hour"}}]}}})
    keeps = client_policy("keeps", "keeps", path={"disableMergeSlashes": True})
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")), keeps, limit,
                       listeners=[http_listener(name, hostname=f"{name}.test") for name in ("keeps", "merges")]),
                 args=["--workers", "1"])
    asked = [("keeps.test", "/x/y", 200), ("keeps.test", "/x//y", 200), ("keeps.test", "/x//y", 429), ("keeps.test", "/x/y", 200),
             ("merges.test", "/x/y", 429), ("merges.test", "/x//y", 429), ("merges.test", "/x", 200)]
    assert [(host, where, gw.request(where, host=host).status) for host, where, _ in asked] == asked


def test_a_redirect_without_a_host_never_names_one(policed):
    gw, _ = policed(path={"disableMergeSlashes": True, "escapedSlashesAction": "UnescapeAndRedirect"})
    with gw.raw(b"GET /%2Fevil.test/ HTTP/1.0\r\n\r\n") as raw:
        reply = raw.reply()
    assert (reply.status, reply.get("location")) == (307, "/.//evil.test/")


# ---- hosts, trailers, sockets ----

def ask_without_host(gw, more=b"", tls=None, **where):
    with gw.raw(b"GET /x HTTP/1.0\r\n" + more + b"\r\n", tls=tls, **where) as raw:
        return raw.reply()


@pytest.mark.parametrize("uses", [None, False, True])
def test_a_request_without_a_host_may_get_the_listeners(gateway, upstream, uses):
    up = upstream("a")
    policy = client_policy("clients", http1={"http10": {} if uses is None else {"useDefaultHost": uses}})
    gw = gateway(world(backend("a", up), route("r", rule("a")), policy, listeners=[http_listener(hostname="one.test")]))
    assert ask_without_host(gw).status == (200 if uses else 404)
    assert [r.get("host") for r in up.requests] == (["one.test"] if uses else [])
    assert ask_without_host(gw, b"Host: two.test\r\n").status == 404, "one that is named is not replaced"
    with gw.raw(b"GET /x HTTP/1.1\r\n\r\n") as raw:
        assert raw.reply().status == 400, "HTTP/1.1 has to name one"
    with gw.raw(b"GET /x HTTP/1.1\r\nHost:\r\n\r\n") as raw:
        assert raw.reply().status in (400, 404), "and to give it a name"


def test_the_one_route_with_a_host_says_the_default(gateway, upstream):
    up, other = upstream("a"), upstream("other")
    http10 = client_policy("clients", http1={"http10": {"useDefaultHost": True}})
    both = [backend("a", up), backend("other", other)]
    gw = gateway(world(*both, http10, route("r", rule("a"), hostnames=["a.test"]), route("any", rule("other")),
                       route("wild", rule("other"), hostnames=["*.b.test"])))
    assert ask_without_host(gw).status == 200 and up.last.get("host") == "a.test" and not other.requests
    for names in (["*.a.test"], ["a.test", "b.test"]):
        gw = gateway(world(*both, http10, route("r", rule("a"), hostnames=names), route("any", rule("other"))))
        assert ask_without_host(gw).status == 500 and "useDefaultHost" in gw.stderr(), names
    gw = gateway(world(*both, http10, route("r", rule("a"), hostnames=["a.test"]), route("s", rule("a"), hostnames=["b.test"])))
    assert gw.request(host="a.test").status == 500, "the policy is not valid"


def test_over_tls_the_handshake_says_whose_default_host(gateway, upstream, authority):
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a")), tls_secret("cert", authority.leaf("one.test", "two.test")),
                       client_policy("clients", http1={"http10": {"useDefaultHost": True}}),
                       listeners=[https_listener(name, hostname=f"{name}.test") for name in ("one", "two")]))
    for name in ("two.test", "one.test"):
        assert ask_without_host(gw, port=443, tls=authority.client(), server_name=name).status == 200
        assert up.last.get("host") == name


def test_on_a_plain_port_the_first_listeners_default_host_holds(gateway, upstream):
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a")), client_policy("clients", http1={"http10": {"useDefaultHost": True}}),
                       listeners=[http_listener(name, hostname=f"{name}.test") for name in ("one", "two")]))
    assert ask_without_host(gw).status == 200 and up.last.get("host") == "one.test"
    assert [d for d in gw.status()["diagnostics"] if "useDefaultHost" in d["text"] and 'listener "two"' in d["text"]]


@pytest.mark.parametrize("strips", [False, True])
def test_a_final_dot_of_a_host_may_stay_out(policed, strips):
    gw, up = policed(headers={"host": {"stripTrailingHostDot": strips}}, listeners=[http_listener(hostname="a.test")])
    for asked, without in (("A.test.", "A.test"), ("a.test.:8080", "a.test:8080"), ("a.test", "a.test"), ("a.test:80", "a.test:80")):
        assert gw.request("/", host=asked).status == 200
        assert up.last.get("host") == (without if strips else asked)
        with Http2(gw.port()) as client:
            assert client.request("/", host=asked).status == 200
        assert up.last.get("host") == (without if strips else asked)


@pytest.mark.parametrize("passes", [None, True, False])
def test_trailers_may_stay_out(policed, passes):
    gw, up = policed(http1={} if passes is None else {"enableTrailers": passes})
    up.script = lambda _r, connection: connection.send(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx-end: 2\r\n\r\n")
    with gw.raw(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n"
                b"1\r\na\r\n0\r\nx-begin: 1\r\n\r\n") as raw:
        reply = raw.reply()
        assert (reply.status, reply.body) == (200, b"a")
    there = passes is not False
    assert (("x-begin", "1") in up.last.trailers) == there
    assert (("trailer:x-end", "2") in reply.headers) == there


ASK = (b"POST /x HTTP/1.1\r\nHOST: a.test\r\nX-Own: 1\r\nx-fOO: 2\r\nplain: 3\r\nX-Gone: 4\r\nX-Tenant: me\r\n"
       b"Transfer-Encoding: chunked\r\nTE: trailers\r\n\r\n1\r\na\r\n0\r\nX-End: 5\r\n\r\n")
TELL = (b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nX-Answer: 1\r\nServer: S\r\n\r\n1\r\na\r\n0\r\nX-Last: 2\r\n\r\n")


def spelt(gw, up, asked=ASK):
    """Names of headers and trailers as the backend and the client got them."""
    told = []
    up.script = lambda _r, connection: connection.send(TELL)
    with gw.raw(asked) as raw:
        while not b"".join(told).endswith(b"2\r\n\r\n"):
            told.append(raw.sock.recv(65536))
            assert told[-1]
    text = b"".join(told).decode()
    return up.last.spelt, [line.split(":")[0] for line in text.split("\r\n") if ": " in line]


@pytest.mark.parametrize("keeps", [None, False, True])
def test_header_names_may_stay_as_they_are_spelt(gateway, upstream, issuer, keeps):
    up, who = upstream("a"), issuer()
    edit = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-foo", "value": "9"}], "remove": ["x-gone"]}}
    gw = gateway(world(backend("a", up), route("r", rule("a", filters=[edit])), client_policy(
        "clients", http1={} if keeps is None else {"preserveHeaderCase": keeps}), security_policy(
            "p", target("HTTPRoute", "r"), jwt={"providers": [
                {**local_provider(who), "claimToHeaders": [{"claim": "tenant", "header": "x-tenant"}]}]})))
    authorized = ASK.replace(b"X-Own", b"AUTHORIZATION: Bearer " + who.token("tenant-a").encode() + b"\r\nX-Own")
    names, told = spelt(gw, up, authorized)
    wanted = ["HOST", "AUTHORIZATION", "X-Own", "x-fOO", "plain", "Transfer-Encoding", "X-End"]
    assert set(n if keeps else n.lower() for n in wanted) <= set(names) and up.last.get("x-foo") == "9"
    assert "x-gone" not in [n.lower() for n in names]
    assert "x-tenant" in names and up.last.get("x-tenant") == "tenant-a", "whom the gateway names is its own to spell"
    wanted = ["Transfer-Encoding", "X-Answer", "Server", "X-Last"]
    assert set(n if keeps else n.lower() for n in wanted) <= set(told)
    with Http2(gw.port()) as client:
        reply = client.request("/", headers=[("authorization", f"Bearer {who.token('tenant-a')}")])
        assert reply.get("x-answer") == "1"
    assert "host" in up.last.spelt, "HTTP/2 has no capitals"


def test_listeners_of_one_port_have_their_own_word_on_spellings(gateway, upstream):
    up = upstream("a")
    keeps = client_policy("keeps", "keeps", http1={"preserveHeaderCase": True})
    gw = gateway(world(backend("a", up), route("r", rule("a")), keeps,
                       listeners=[http_listener(name, hostname=f"{name}.test") for name in ("forgets", "keeps")]))
    for host in ("forgets", "keeps", "forgets"):
        names, told = spelt(gw, up, ASK.replace(b"a.test", host.encode() + b".test"))
        assert [n in names + told for n in ("X-Own", "X-End", "X-Answer", "X-Last")] == [host == "keeps"] * 4


def test_a_copy_for_a_mirror_is_spelt_alike(gateway, upstream):
    up, other = upstream("a"), upstream("other")
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {
        "group": "gateway.envoyproxy.io", "kind": "Backend", "name": "other"}}}
    gw = gateway(world(backend("a", up), backend("other", other), route("r", rule("a", filters=[mirror])),
                       client_policy("clients", http1={"preserveHeaderCase": True})))
    assert gw.request(headers=[("X-Own", "1")]).status == 200
    eventually(lambda: other.requests, what="the copy")
    assert "X-Own" in other.last.spelt


def _timer_of(local_port):
    """(kind, seconds) of the kernel's timer for the gateway's end; 2: keep-alive."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in pathlib.Path(table).read_text(encoding="ascii").splitlines():
            fields = line.split()
            if fields[2].endswith(f":{local_port:04X}") and fields[3] == "01":  # open
                kind, when = fields[5].split(":")
                return int(kind), int(when, 16) / 100
    return 1, 0


def test_idle_clients_may_be_probed(policed):
    ask = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
    for keepalive, expected in ((None, (0, 0, 0)), ({"idleTime": "100s"}, (2, 50, 101)), ({}, (2, 3600, 1e9))):
        gw, _ = policed(**({} if keepalive is None else {"tcpKeepalive": keepalive}))
        with gw.raw(ask) as raw:
            assert raw.reply().status == 200
            port = raw.sock.getsockname()[1]
            eventually(lambda: _timer_of(port)[0] in (0, 2), what="what was sent to be acknowledged")
            kind, seconds = _timer_of(port)
            assert kind == expected[0] and expected[1] <= seconds <= expected[2]


@pytest.mark.parametrize("more, less", [
    ({}, {"socketBufferLimit": "8Ki"}), ({"socketBufferLimit": "8Ki"}, {"socketBufferLimit": "8Ki", "bufferLimit": "4Ki"})],
    ids=["of the socket", "of the gateway"])
def test_buffers_of_connections_may_be_small(gateway, upstream, more, less):
    up = upstream("a")
    up.script = lambda *_: time.sleep(10)

    def taken(gw):
        with gw.raw() as raw:
            raw.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            raw.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
            raw.sock.settimeout(0.5 * FACTOR)
            n = 0
            try:
                while n < 50_000_000:  # pipelined, and not read until the first is answered
                    n += raw.sock.send(b"x" * 1000)
            except TimeoutError:
                pass
        return n

    gws = [gateway(world(backend("a", up), route("r", rule("a")), client_policy("clients", connection=connection)))
           for connection in (more, less)]
    # A bound is looked at after each read: how much one of them brings depends on who comes to run when.
    least = [min(taken(gw) for _ in range(3)) for gw in gws]
    assert least[1] < least[0] - 40_000, least


def test_all_passes_through_small_buffers(gateway, upstream, authority):
    up = upstream("a")
    body = bytes(range(256)) * 2000
    up.script = lambda r, _: Answer(body=r.body)
    gw = gateway(world(backend("a", up), route("r", rule("a")), tls_secret("cert", authority.leaf("a.test")),
                       client_policy("clients", connection={"bufferLimit": 1}), listeners=[http_listener(), https_listener()]))
    for where in ({}, {"port": 443, "tls": authority.client()}):
        reply = gw.request("/", method="POST", host="a.test", body=body, headers=[("x-long", "y" * 20000)], **where)
        assert (reply.status, reply.body == body) == (200, True)
    with Http2(gw.port()) as client:
        reply = client.request("/", method="POST", body=body)
        assert (reply.status, reply.body == body) == (200, True)


def test_fields_that_are_not_enforced_are_named_and_others_are_not(tmp_path):
    said = warned(tmp_path, tcpKeepalive={"probes": 3}, http1={"http10": {}, "enableTrailers": True, "preserveHeaderCase": True,
                                   "disableSafeMaxConnectionDuration": True, "ignoredUpgradeTypes": [{"value": "TLS/1.0"}]},
                  path={"disableMergeSlashes": True},
                  connection={"bufferLimit": "8Ki", "socketBufferLimit": "8Ki", "maxAcceptPerSocketEvent": 1},
                  headers={"host": {"stripTrailingHostDot": True}, "enableEnvoyHeaders": True}, healthCheck={"path": "/healthz"},
                  proxyProtocol={"optional": True}, timeout={"tcp": {"tlsHandshakeTimeout": "5s"}})
    assert "0 errors" in said and "0 warnings" in said, said
    said = warned(tmp_path, timeout={"tcp": {"idleTimeout": "5s"}}, http3={}, grpc={"enableWeb": True})
    for key in ("idleTimeout", "http3", "grpc"):
        assert key in said, said


UPGRADE = (b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n"
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")


@pytest.mark.parametrize("match, ignored", [
    (None, False), ({"value": "websocket"}, True), ({"type": "Prefix", "value": "TLS/"}, False), ({"type": "Prefix", "value": "Web"}, True),
    ({"type": "Suffix", "value": "socket"}, True), ({"type": "RegularExpression", "value": "web.*|tls"}, True),
    ({"type": "RegularExpression", "value": "web"}, False)])
def test_upgrades_may_be_passed_over(policed, match, ignored):
    gw, up = policed(http1={"ignoredUpgradeTypes": [match]} if match else {})
    with gw.raw(UPGRADE) as raw:
        assert raw.reply().status == 200
    assert up.last.get("upgrade") == (None if ignored else "WebSocket") and up.last.get("sec-websocket-version") == "13"


def test_an_old_connection_may_end_without_another_request(policed):
    gw, _ = policed(connection={"connectionLimit": {"value": 100, "maxConnectionDuration": "300ms"}},
                    http1={"disableSafeMaxConnectionDuration": True})
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n") as raw:
        assert raw.reply().status == 200
        raw.sock.settimeout(60)
        assert raw.sock.recv(1) == b"", "long before it has been idle for five minutes"


# ---- x-envoy headers ----

@pytest.mark.parametrize("tells", [None, False, True])
def test_backends_and_clients_may_be_told_what_envoy_would_tell(gateway, upstream, tells):
    up = upstream("a")
    up.script = lambda *_: time.sleep(0.05) or Answer(headers=[("x-envoy-upstream-service-time", "0"), ("x-envoy-other", "1")])
    rewrite = {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"}}}
    gw = gateway(world(backend("a", up), client_policy("clients", headers={} if tells is None else {"enableEnvoyHeaders": tells}), route(
        "r", rule("a", matches=[path("/old")], filters=[rewrite], timeouts={"request": "60s"}),
        rule("a", matches=[path("/try")], timeouts={"request": "60s", "backendRequest": "2s"}), rule("a"))))
    brought = [("x-envoy-original-path", "/admin"), ("x-envoy-expected-rq-timeout-ms", "1"), ("x-envoy-retry-on", "5xx")]
    for where, original, left in (("/old/x?y=1", "/old/x?y=1", (30_000, 60_000)), ("/try", None, (2000, 2000)), ("/", None, None)):
        reply = gw.request(where, headers=brought)
        assert reply.status == 200
        told = {name: value for name, value in up.last.headers if name.startswith("x-envoy-")}
        if not tells:
            assert told == dict(brought) and reply.get("x-envoy-upstream-service-time") == "0"
            continue
        assert told.pop("x-envoy-original-path", None) == original
        expected = told.pop("x-envoy-expected-rq-timeout-ms", None)
        assert left[0] <= int(expected) <= left[1] if left else expected is None
        assert not told, "nothing of a client's"
        assert reply.all("x-envoy-upstream-service-time") != ["0"] and 50 <= int(reply.get("x-envoy-upstream-service-time")) < 60_000
        assert reply.get("x-envoy-other") == "1"
    assert gw.request(headers=[("Connection", "x-envoy-original-path")]).status == (400 if tells else 200)


def test_what_was_dropped_says_so(gateway, upstream):
    def limit(name, kind):
        return thing("gateway.envoyproxy.io/v1alpha1", "BackendTrafficPolicy", name, {
            "targetRefs": [target("HTTPRoute", name)], "rateLimit": {"type": kind, kind.lower(): {"rules": [
                {"limit": {"requests": 1, "unit": "Hour"}}]}}})

    def full(name):
        return thing("gateway.envoyproxy.io/v1alpha1", "BackendTrafficPolicy", name, {
            "targetRefs": [target("HTTPRoute", name)], "circuitBreaker": {"maxParallelRequests": 0}})

    up = upstream("a")
    for tells in (False, True):
        gw = gateway(world(backend("a", up), client_policy("clients", headers={"enableEnvoyHeaders": tells}),
                           *[route(name, rule("a", matches=[path(f"/{name}")])) for name in ("global", "local", "full")],
                           limit("global", "Global"), limit("local", "Local"), full("full")))
        for name, status, header_ in (("global", 429, "x-envoy-ratelimited"), ("local", 429, None), ("full", 503, "x-envoy-overloaded")):
            gw.request(f"/{name}")
            reply = gw.request(f"/{name}")
            assert reply.status == status
            told = [pair for pair in reply.headers if pair[0].lower().startswith("x-envoy-")]
            assert told == ([(header_, "true")] if tells and header_ else []), name


# ---- edits of headers ----

EDIT = {"set": [{"name": "X-Set", "value": "new"}], "add": [{"name": "x-add", "value": "two"}],
        "addIfAbsent": [{"name": "x-add", "value": "no"}, {"name": "x-absent", "value": "1"}],
        "remove": ["x-gone"], "removeOnMatch": [{"type": "Prefix", "value": "X-Secret-"}, {"type": "RegularExpression", "value": "x-[0-9]+"}]}
OLD = [("x-set", "old"), ("x-add", "one"), ("x-gone", "1"), ("x-secret-a", "1"), ("x-12", "1"), ("x-12a", "1")]
NEW = {"x-set": "new", "x-absent": "1", "x-12a": "1"}


def test_requests_are_edited_before_anything_is_read_of_them(policed):
    gw, up = policed(headers={"earlyRequestHeaders": EDIT})
    assert gw.request(headers=OLD).status == 200
    assert {name: up.last.get(name) for name in NEW} == NEW
    assert ",".join(up.last.all("x-add")).replace(" ", "") == "one,two"
    assert not [name for name in ("x-gone", "x-secret-a", "x-12") if up.last.all(name)]
    with Http2(gw.port()) as client:
        assert client.request(headers=OLD).status == 200
    assert up.last.get("x-set") == "new" and not up.last.all("x-gone")


def test_routes_and_addresses_go_by_the_edited_request(gateway, upstream):
    one, two = upstream("one"), upstream("two")
    gw = gateway(world(backend("one", one), backend("two", two),
                       route("r", rule("one", matches=[{"headers": [header("x-kind", "made")]}]), rule("two")),
                       client_policy("clients", headers={"earlyRequestHeaders": {
                           "addIfAbsent": [{"name": "x-kind", "value": "made"}], "remove": ["x-forwarded-for"]}},
                           clientIPDetection={"xForwardedFor": {"numTrustedHops": 1}})))
    assert gw.request().json["upstream"] == "one"
    assert gw.request(headers=[("x-kind", "other"), ("x-forwarded-for", "203.0.113.9")]).json["upstream"] == "two"
    assert two.last.get("x-forwarded-for") == "127.0.0.1"


def test_all_answers_are_edited_at_the_very_end(policed):
    gw, up = policed(headers={"lateResponseHeaders": EDIT}, healthCheck={"path": "/healthz"})
    up.script = lambda *_: Answer(headers=OLD, body=b"x")
    reply = gw.request()
    assert {name: reply.get(name) for name in NEW} == NEW
    assert ",".join(reply.all("x-add")).replace(" ", "") == "one,two"
    assert not [name for name in ("x-gone", "x-secret-a", "x-12") if reply.all(name)]
    assert gw.request("/healthz").get("x-set") == "new", "the gateway's own"
    assert gw.request("/a%2Fb").get("x-set") is None, "of no listener yet"
    with Http2(gw.port()) as client:
        assert client.request().get("x-set") == "new"


@pytest.mark.parametrize("edit", [
    {"set": [{"name": "X-Tenant", "value": "tenant-a"}]}, {"add": [{"name": "x-ai-eg-model", "value": "m"}]},
    {"addIfAbsent": [{"name": "x-forwarded-client-cert", "value": "By=me"}]}, {"addIfAbsent": [{"name": "x_tenant", "value": "a"}]},
    {"set": [{"name": "Host", "value": "b.test"}]}, {"add": [{"name": "content-length", "value": "1"}]},
    {"removeOnMatch": [{"type": "RegularExpression", "value": "x-("}]}])
def test_what_the_gateway_verifies_or_frames_is_no_policys_to_write(policed, issuer, edit):
    claims = [{"claim": "tenant", "header": "x-tenant"}]
    gw, up = policed(security_policy("p", target("HTTPRoute", "r"), jwt={"providers": [
        local_provider(who := issuer(), claimToHeaders=claims)]}), headers={"earlyRequestHeaders": edit})
    assert gw.request(token=who.token("tenant-b")).status == 500, "its routes refuse"
    assert not up.requests and "clients" in gw.stderr()
