"""The live picture of the admin port: what it tells, how little of it, to whom, and what it never tells."""
import datetime
import json
import signal
import time

import pytest

from play import client
from play.deadline import FACTOR, eventually
from play.live import PARTS, Live, explain_link
from play.manifests import (ENVOY_API, ai_backend, ai_route, ai_rule, backend, client_policy, credentials, https_listener, http_listener,
                            local_provider, model, path, provider, route, rule, secret, security_policy, target, thing,
                            tls_secret, world)
from play.passwords import htpasswd
from play.ports import free_port
from play.upstream import Answer

SECOND_BYTES = 20000


def limits(*rules):
    return thing(ENVOY_API, "BackendTrafficPolicy", "limits",
                 {"targetRefs": [target("Gateway", "front")], "rateLimit": {"global": {"rules": list(rules)}}})


def chat(request, _connection):
    asked = json.loads(request.body)
    made = {"id": "c", "object": "chat.completion", "created": 1, "model": asked["model"],
            "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi!"}}]}
    return Answer(headers=[("content-type", "application/json")], body=json.dumps(made).encode())


@pytest.fixture
def gw(gateway, upstream):
    return gateway(world(backend("a", upstream("a")), route("r", rule("a"))))


def test_the_whole_picture_then_what_changes(gw):
    with Live(gw) as live:
        live.wait(lambda p: True)
        assert live.order[:len(PARTS)] == PARTS and "text/event-stream" in live.head()
        for _ in range(5):
            assert gw.request("/").status == 200
        traffic = live.wait(lambda p: p["traffic"].get("requests_ever") == 5 and p["traffic"])
        assert traffic["ok"] == 5 and traffic["ready"] and traffic["duration"]["n"] == 5
        assert [r["route"] for r in traffic["routes"]] == ["httproute/play/r/rule/0"]
        made = live.wait(lambda p: p["backends"]["backends"][0].get("answers") == 5 and p["backends"]["backends"][0])
        assert made["backend"] == "Backend/play/a" and made["endpoints"] == 1 and made["sick"] == 0
        before = live.order.count("objects")
        gw.apply(world(backend("a", free_port()), route("r", rule("a")), route("lost", rule("a"), parent="nowhere")))
        objects = live.wait(lambda p: p["objects"]["generation"] == 2 and p["objects"])
        assert live.order.count("objects") == before + 1
        assert any(o["name"] == "lost" and o["reason"] == "NoMatchingParent" for o in objects["troubles"])
        tree = [(o["depth"], o["kind"], o["name"]) for o in objects["tree"]]
        assert objects["tree"][0]["says"] == "Accepted, Programmed"
        gw.apply("nonsense: [", name="broken.yaml", result="failed")
        live.wait(lambda p: p["traffic"]["last_reload"].startswith("kept generation 2: "))
        assert tree == [(0, "Gateway", "front"), (1, "Listener", "http"), (2, "HTTPRoute", "r"), (3, "", "Backend/play/a")]


def test_the_tree_has_what_is_attached_to_each(gateway, upstream, issuer):
    keys = issuer()
    gw = gateway(world(
        backend("a", upstream("a")), ai_backend("s", "a"),
        ai_route("ai", ai_rule("s", matches=[model("m")]), ai_rule("s", matches=[model("n")])), route("r", rule("a")),
        client_policy("c"), security_policy("p", target("Gateway", "front"), jwt={"providers": [local_provider(keys)]}),
        thing(ENVOY_API, "BackendTrafficPolicy", "t", {"targetRefs": [target("HTTPRoute", "r")], "timeout": {"http": {"requestTimeout": "9s"}}}),
        thing(ENVOY_API, "BackendSecurityPolicy", "g", {"targetRefs": [target("Backend", "a")], "basicAuth": {"users": {"name": "users"}}}),
        htpasswd(alice="secret"), credentials("key", "APIKey", "apiKey", "k", "s"), secret("k", apiKey="hunter2")))
    with Live(gw) as live:
        tree = live.wait(lambda p: p["objects"]["tree"])
        assert "hunter2" not in live.text.decode()
    assert all(row["well"] for row in tree)
    assert all(row["says"].startswith("Accepted") for row in tree if row["kind"] not in ("Listener", "AIServiceBackend"))
    lines = ["  " * row["depth"] + f"{row['kind']} {row['name']}".strip() for row in tree]
    guarded = ["Backend/play/a", "  BackendSecurityPolicy g"]
    assert lines[:4] == ["Gateway front", "  ClientTrafficPolicy c", "  SecurityPolicy p", "  Listener http"]
    plain = ["    HTTPRoute r", "      BackendTrafficPolicy t", *["      " + line for line in guarded]]
    of_models = ["    AIGatewayRoute ai", "      AIServiceBackend s", "        BackendSecurityPolicy key",
                 *["        " + line for line in guarded]]
    assert lines[4:] in (plain + of_models, of_models + plain), lines


def test_a_refusal_is_told_in_the_words_of_its_answer(gateway, upstream, issuer):
    keys = issuer()
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")),
                       security_policy("p", target("HTTPRoute", "r"), jwt={"providers": [local_provider(keys)]})))
    token = keys.token(exp=int(time.time()) - 3600)
    with Live(gw) as live:
        for _ in range(2):
            reply = gw.request("/some/path?key=hunter2", token=token, headers=[("x-api-key", "hunter3")])
            assert reply.status == 401
        rows = live.wait(lambda p: p["refusals"]["refusals_ever"] == 2 and p["refusals"]["refusals"])
        assert sum(r["times"] for r in rows) == 2
        assert rows[0]["code"] == reply.code == "token_expired" and rows[0]["sentence"] == reply.json["error"]["message"]
        assert (rows[0]["status"], rows[0]["method"], rows[0]["path"]) == (401, "GET", "/some/path")
        reasons = live.wait(lambda p: p["traffic"]["reasons"])
        assert reasons[0]["code"] == "token_expired" and reasons[0]["sentence"] == rows[0]["sentence"]
        told = live.text.decode()
        assert "hunter2" not in told and "hunter3" not in told and token not in told


def test_a_refusal_is_linked_to_its_explanation(gateway, upstream, issuer):
    keys = issuer()
    gw = gateway(world(
        backend("a", upstream("a")), route("r", rule("a", matches=[path("/r")])),
        route("bad", rule("a", matches=[path("/bad")], filters=[{"type": "Unheard"}]), hostnames=["*.test"]),
        security_policy("p", target("HTTPRoute", "r"), jwt={"providers": [local_provider(keys)]}, authorization={
            "defaultAction": "Allow", "rules": [{"name": "far", "action": "Deny", "principal": {"clientCIDRs": ["127.0.0.0/8"]}}]})))
    token = keys.token()
    assert gw.request("/bad/%41b", host="One.test:81", headers=[("x-api-key", "hunter2")]).status == 500
    assert gw.request("/r/x?access_token=hunter2", token=token).code == "forbidden"
    assert gw.request(f"/none/{token}").code == "route_not_found"
    assert gw.request("/" + "x" * 500).code == "route_not_found"
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n") as raw:
        assert b"bad_host" in raw.rest()
    with Live(gw) as live:
        rows = live.wait(lambda p: len(p["refusals"]["refusals"]) == 5 and p["refusals"]["refusals"])
        assert "hunter" not in live.text.decode() and token not in live.text.decode()
    unread, longest, hidden, known, broken = rows
    assert [explain_link(row) for row in (unread, longest, hidden)] == [None, None, None]
    assert hidden["path"] == "redacted" and longest["path"].endswith("x…")
    assert explain_link(broken) == "/explain?request=GET+http%3A%2F%2Fone.test%3A80%2Fbad%2FAb&from=127.0.0.1"
    said = gw.get_admin(explain_link(broken) + "&format=json").json["decision"]
    for member in ("code", "status", "sentence", "detail"):
        assert said[member] == broken[member], member
    assert said["rule"] == broken["route"] and broken["detail"] == "a filter has an error"
    # Whoever it was, its token is not kept: what it says without one is told.
    assert (known["code"], known["detail"]) == ("forbidden", "far")
    said = gw.get_admin(explain_link(known) + "&format=json").json
    assert said["decision"]["code"] == "token_missing" and said["client"] == "127.0.0.1"


def test_limits_tell_whom_they_count_and_hide_what_clients_choose(gateway, upstream):
    by_key = {"limit": {"requests": 4, "unit": "Hour"}, "shared": True,
              "clientSelectors": [{"headers": [{"name": "x-api-key", "type": "Distinct"}]}]}
    fixed = {"limit": {"requests": 9, "unit": "Hour"}, "shared": True,
             "clientSelectors": [{"headers": [{"name": "x-secret", "type": "Exact", "value": "hunter2"}]}]}
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")), limits(by_key, fixed)))
    with Live(gw) as live:
        for _ in range(5):
            status = gw.request("/", headers=[("x-api-key", "hunter3"), ("x-secret", "hunter2")]).status
        assert status == 429
        rows = live.wait(lambda p: len(p["limits"]["limits"]) == 2 and p["limits"]["limits"][0]["used"] == 4 and p["limits"]["limits"])
        first, second = rows
        assert (first["who"], first["limit"], first["unit"]) == ("x-api-key=(hidden)", 4, "requests")
        assert first["resets_at_s"] % 3600 == 0 and 0 < first["resets_at_s"] - time.time() <= 3601
        assert (second["who"], second["scope"], second["used"]) == ("", "x-secret=(hidden)", 4)
        refused = live.wait(lambda p: p["refusals"]["refusals"])
        assert refused[0]["detail"].startswith("BackendTrafficPolicy/play/limits global/0")
        assert "hunter" not in live.text.decode()


def test_models_by_their_tenants(gateway, upstream, issuer):
    keys, up = issuer(), upstream("a")
    up.script = chat
    made = {"providers": [{**local_provider(keys), "claimToHeaders": [{"header": "x-tenant", "claim": "tenant"}]}]}
    gw = gateway(world(backend("b", up), ai_backend("b"), ai_route("ai", ai_rule("b", matches=[model("m")])),
                       security_policy("p", target("Gateway", "front"), jwt=made)))
    with Live(gw) as live:
        for tenant, times in (("one", 1), ("two", 3)):
            for _ in range(times):
                reply = gw.request("/v1/chat/completions", json={"model": "m", "messages": []}, token=keys.token(tenant=tenant))
                assert reply.status == 200, reply.body
        usage = live.wait(lambda p: sum(u["requests_ever"] for u in p["usage"]["usage"]) == 4 and p["usage"]["usage"])
        assert [(u["tenant"], u["model"], u["tokens_in_ever"], u["tokens_out_ever"]) for u in usage] == \
            [("two", "m", 27, 9), ("one", "m", 9, 3)]
        first = live.wait(lambda p: p["traffic"].get("first_token", {}).get("n") and p["traffic"]["first_token"])
        assert first["p50_us"] > 0
        assert live.parts["traffic"]["tokens_in"] <= 36
        # A token where a model's name is expected is not shown to who watches.
        token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UifQ.c2ln"
        reply = gw.request("/v1/chat/completions", json={"model": token, "messages": []}, token=keys.token("one"))
        assert reply.code == "model_not_found"
        row, = live.wait(lambda p: p["refusals"]["refusals"])
        assert (row["code"], row["model"]) == ("model_not_found", "redacted")
        assert token not in live.text.decode()


def test_sick_endpoints_are_named(gateway, upstream):
    probes = thing(ENVOY_API, "BackendTrafficPolicy", "health", {
        "targetRefs": [target("Gateway", "front")],
        "healthCheck": {"active": {"type": "TCP", "timeout": "1s", "interval": "1s", "unhealthyThreshold": 1,
                                   "healthyThreshold": 1, "tcp": {}}}})
    dead = free_port()
    gw = gateway(world(backend("a", upstream("a"), dead), route("r", rule("a")), probes))
    with Live(gw) as live:
        made = live.wait(lambda p: p["backends"]["backends"][0]["sick"] and p["backends"]["backends"][0])
        assert (made["endpoints"], made["sick"], made["watched"]) == (2, 1, True)
        assert made["sick_ones"] == [{"address": f"127.0.0.1:{dead}", "health": "unhealthy"}]


def test_key_sets_and_certificates_with_their_ends(gateway, upstream, issuer, authority):
    keys, pair = issuer(), authority.leaf("one.test")
    gw = gateway(world(
        backend("a", upstream("a")), backend("keys", keys.port), route("r", rule("a")), tls_secret("cert", pair),
        security_policy("p", target("HTTPRoute", "r"), jwt={"providers": [provider(keys)]}),
        listeners=[http_listener(), https_listener()]))
    with Live(gw) as live:
        made = live.wait(lambda p: p["credentials"]["key_sets"][0]["keys"] and p["credentials"])
        assert made["key_sets"][0]["provider"] == "provider"
        assert abs(made["key_sets"][0]["fetched_s"] - time.time()) < 60 * FACTOR
        certificate, = made["certificates"]["list"]
        assert (certificate["namespace"], certificate["name"]) == ("play", "cert")
        from cryptography import x509
        ends = x509.load_pem_x509_certificate(pair[0].encode()).not_valid_after.replace(tzinfo=datetime.timezone.utc)
        assert certificate["until_s"] == ends.timestamp()
        told = live.text.decode()
        assert "PRIVATE KEY" not in told and "BEGIN" not in told and "".join(pair[1].split("\n")[1:3]) not in told


def test_a_second_has_its_bound_with_hundreds_of_routes_and_backends(gateway, upstream):
    up = upstream("a")
    names = [f"a-rather-long-name-of-something-{i}" for i in range(300)]
    gw = gateway(world(*(backend(name, up) for name in names),
                       *(route(name, rule(name, matches=[{"path": {"type": "PathPrefix", "value": f"/{name}"}}])) for name in names)))
    with Live(gw) as live:
        began = time.monotonic()
        live.wait(lambda p: True)
        for name in names:
            gw.request(f"/{name}")
        live.wait(lambda p: p["traffic"].get("requests_ever") == len(names))
        live.wait(lambda p: live.order.count("traffic") >= 6)
        # The first comes at once, one for each second behind it.
        assert len(live.text) <= SECOND_BYTES * live.order.count("traffic")
        assert live.order.count("traffic") <= time.monotonic() - began + 2
        backends, objects = live.parts["backends"], live.parts["objects"]
        assert 5 < len(backends["backends"]) < len(names) == len(backends["backends"]) + backends["backends_more"]
        # A Gateway, its listener, the routes with a backend each.
        assert len(objects["tree"]) + objects["tree_more"] >= 2 + len(names)


def test_who_never_reads_is_dropped(gw):
    with Live(gw, receive_bytes=2048) as lazy, Live(gw) as live:
        live.wait(lambda p: True)
        assert n_admin_sockets(gw) >= 2
        began = time.monotonic()
        while n_admin_sockets(gw) >= 2:
            for i in range(32):  # as many refusals as are shown: there is much to tell
                gw.request(f"/{time.monotonic()}/{i}", headers=[("x_bad", "1")])
            assert live.more() and time.monotonic() - began < 120 * FACTOR
        assert time.monotonic() - began > 5, "a moment of rest is allowed"
        while lazy.more():
            pass
        assert len(lazy.text) < 200_000
        count = live.order.count("traffic")
        live.wait(lambda p: live.order.count("traffic") > count + 1)


def n_admin_sockets(gw):
    """Established connections of the admin port, as the kernel has them on the gateway's side."""
    rows = [line.split() for line in open("/proc/net/tcp", encoding="ascii")][1:]
    return sum(row[1].endswith(f":{gw.admin_port:04X}") and row[3] == "01" for row in rows)


def test_other_sites_learn_nothing(gw):
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)):
        for path in ("/", "/status", "/metrics", "/page.js"):
            reply = client.request(gw.admin_port, path, host=f"localhost:{gw.admin_port}", headers=[("Sec-Fetch-Site", site)])
            assert reply.status == status, (site, path)
    assert client.request(gw.admin_port, "/live", host="evil.test").status == 421
    assert client.request(gw.admin_port, "/live", "POST", host="localhost").status == 405
    reply = gw.get_admin("/")
    policy = reply.get("content-security-policy")
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert reply.get("x-frame-options") == "DENY" and reply.get("access-control-allow-origin") is None


def test_a_page_that_is_open_does_not_keep_the_gateway(gw):
    with Live(gw) as live:
        live.wait(lambda p: True)
        gw.signal(signal.SIGTERM)
        assert gw.wait() == 0
        while live.more():
            pass


def test_drain_is_told(gateway, upstream):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a"))), drain=("3", "10"))
    with Live(gw) as live:
        live.wait(lambda p: True)
        gw.signal(signal.SIGTERM)
        traffic = live.wait(lambda p: p["traffic"]["draining"] and p["traffic"])
        assert not traffic["ready"] and traffic["not_ready_because"]
        eventually(lambda: not live.more(), 20)


def test_a_process_that_is_taken_over_lets_the_page_go(line, upstream):
    gw = line.first(world(backend("a", upstream("a")), route("r", rule("a"))))
    with Live(gw) as live:
        started = live.wait(lambda p: p["traffic"]["started_ms"])
        later = line.next()
        while live.more():  # the old one ends, whatever it has open for its own operator
            pass
        with Live(later) as again:
            again.wait(lambda p: p["traffic"]["started_ms"] > started)
