"""What an operator's Prometheus gets: limits by whom they are counted for, and nothing that a client chose."""
import contextlib
import http.client
import re
import shutil
import subprocess
import time

import pytest

from play.deadline import eventually
from play.manifests import (ENVOY_API, ai_backend, ai_route, ai_rule, backend, local_provider, provider, route, rule, security_policy,
                            target, thing, tls_secret, world)
from test_ai_usage import CHAT, COSTS, answer, openai_usage

USED, ALLOWED, VALUES = (f"tollgate_limit_{name}" for name in ("used", "allowed", "values"))
POLICY = "BackendTrafficPolicy/play/limits"


def limits(*rules, at=("Gateway", "front")):
    return thing(ENVOY_API, "BackendTrafficPolicy", "limits",
                 {"targetRefs": [target(*at)], "rateLimit": {"global": {"rules": list(rules)}}})


def distinct(*names, requests=10, shared=True):
    return {"limit": {"requests": requests, "unit": "Year"}, "shared": shared,
            "clientSelectors": [{"headers": [{"name": name, "type": "Distinct"} for name in names]}]}


def test_a_limit_shows_what_each_verified_tenant_has_used(gateway, upstream, issuer):
    issued = issuer()
    claims = {**local_provider(issued), "claimToHeaders": [{"claim": "tenant", "header": "x-tenant"}]}
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")),
                       security_policy("s", target("HTTPRoute", "r"), jwt={"providers": [claims]}),
                       limits(distinct("x-tenant", requests=2))))
    tokens = {name: issued.token(name) for name in ("tenant-a", "tenant-b")}
    assert [gw.request("/", token=tokens["tenant-a"]).status for _ in range(3)] == [200, 200, 429]
    assert gw.request("/", token=tokens["tenant-b"]).status == 200
    rule_labels = {"policy": POLICY, "rule": "global/0", "route": "-"}
    assert gw.metric(ALLOWED, **rule_labels) == gw.metric(ALLOWED) == 2
    assert gw.metric(VALUES, **rule_labels) == 2
    assert gw.metric(USED, **rule_labels, key="x-tenant=tenant-a") == 2
    assert gw.metric(USED, **rule_labels, key="x-tenant=tenant-b") == 1
    assert gw.metric("tollgate_limit_reserved") == 0


def test_what_a_client_writes_itself_is_not_shown(gateway, upstream):
    """A header that anybody may choose may hold a secret, and there may be as many as there are requests."""
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")), limits(distinct("authorization", "x-user"))))
    for n in range(3):
        assert gw.request("/", headers=[("authorization", f"Bearer s3cret-{n}"), ("x-user", f"somebody-{n}")]).status == 200
    page = gw.get_admin("/metrics").body.decode()
    assert "s3cret" not in page and "somebody" not in page
    assert gw.metric(USED, key="authorization=(hidden),x-user=(hidden)") == gw.metric(USED) == 3
    assert gw.metric(VALUES) == 3


def test_routes_that_do_not_share_a_limit_show_it_each(gateway, upstream):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")),
                       limits({"limit": {"requests": 5, "unit": "Year"}, "shared": False}, at=("HTTPRoute", "r"))))
    assert gw.request("/").status == 200
    assert gw.metric(USED, policy=POLICY, rule="global/0", route="httproute/play/r/rule/0", key="-") == 1


def test_a_crowd_of_values_is_shown_by_its_latest(gateway, upstream, issuer):
    issued = issuer()
    claims = {**local_provider(issued), "claimToHeaders": [{"claim": "tenant", "header": "x-tenant"}]}
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")),
                       security_policy("s", target("HTTPRoute", "r"), jwt={"providers": [claims]}),
                       limits(distinct("x-tenant"))))
    for n in range(120):
        assert gw.request("/", token=issued.token(f"tenant-{n}")).status == 200
    lines = [line for line in gw.get_admin("/metrics").body.decode().splitlines() if line.startswith(USED + "{")]
    assert len(lines) == 100
    assert gw.metric(VALUES) == 120
    assert gw.metric(USED, key="x-tenant=tenant-119") == 1 and gw.metric(USED, key="x-tenant=tenant-0") == 0


def test_certificates_say_until_when_they_are_valid(gateway, upstream, authority):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")), tls_secret("cert", authority.leaf("a.test"))))
    until = gw.metric("tollgate_certificate_expiry_timestamp_seconds", certificate="play/cert")
    assert until > time.time()


def test_keys_that_cannot_be_fetched_are_told_once(gateway, upstream, issuer):
    """Once in the log, whatever the number of tries, and once that it is over."""
    who = issuer()
    who.mode = "error"
    gw = gateway(world(backend("keys", who), backend("a", upstream("a")), route("r", rule("a")),
                       security_policy("s", target("HTTPRoute", "r"), jwt={"providers": [provider(who)]})))
    failed = {"provider": "provider", "result": "failed"}
    eventually(lambda: gw.metric("tollgate_key_set_fetches_total", **failed) >= 2, 30)
    assert gw.stderr().count("keys of provider provider cannot be fetched") == 1
    who.mode = "ok"
    eventually(lambda: "keys of provider provider are fetched again" in gw.stderr(), 60)


def test_each_worker_says_how_busy_it_is(gateway, upstream):
    """One connection keeps one worker busy: its processor time grows with its requests."""
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a"))), args=("--workers", "2"))
    cpu = "tollgate_worker_cpu_seconds_total"
    before = [gw.metric(cpu, worker=n) for n in ("0", "1")]
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", gw.port(80), timeout=60)) as c:
        for _ in range(300):
            c.request("GET", "/")
            answer = c.getresponse()
            answer.read()
            assert answer.status == 200
        assert sum(gw.metric("tollgate_worker_connections_active", worker=n) for n in ("0", "1")) == 1
    after = [gw.metric(cpu, worker=n) for n in ("0", "1")]
    assert max(b - a for a, b in zip(before, after)) > 0.002
    assert gw.metric("process_cpu_seconds_total") >= sum(after) * 0.9


@pytest.mark.prom
def test_promtool_finds_nothing_to_say(gateway, upstream, issuer):
    """Names, types, units and help of all that a gateway under traffic shows."""
    promtool = shutil.which("promtool")
    assert promtool, "of Debian's package prometheus"
    issued = issuer()
    claims = {**local_provider(issued), "claimToHeaders": [{"claim": "tenant", "header": "x-tenant"}]}
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a")),
                       security_policy("s", target("HTTPRoute", "r"), jwt={"providers": [claims]}),
                       limits(distinct("x-tenant"))))
    assert gw.request("/", token=issued.token("tenant-a")).status == 200
    assert gw.request("/").status == 401
    eventually(lambda: gw.metric("tollgate_requests_total") == 2)
    said = subprocess.run([promtool, "check", "metrics"], input=gw.get_admin("/metrics").body, capture_output=True, timeout=60, check=False)
    assert (said.returncode, said.stdout, said.stderr) == (0, b"", b"")


ODD = ['a"b\\c{d="e"},f g', "x" * 300, "a} 1\\n"]  # what a model's name may hold


@pytest.mark.parametrize("name", ODD)
def test_the_names_of_models_and_tenants_break_no_page_and_no_line(gateway, upstream, issuer, name):
    """Whatever a body or a claim can say: it is one label of one line, cut where it is too long."""
    up, issued, tenant = upstream("a"), issuer(), name + " \u00e9\u2028"
    up.script = lambda *_: answer({"model": name, "choices": [], **openai_usage(7, 5)})
    claims = {**local_provider(issued), "claimToHeaders": [{"claim": "tenant", "header": "x-tenant"}]}
    gw = gateway(world(backend("a", up), ai_backend("a"), ai_route("ai", ai_rule("a"), costs=COSTS),
                       security_policy("s", target("Gateway", "front"), jwt={"providers": [claims]})))
    body = {"model": name, "messages": [{"role": "user", "content": "Hi"}]}
    assert gw.request(CHAT, json=body, token=issued.token(tenant)).status == 200

    def label(text):
        return text.encode()[:128].decode().replace("\\", "\\\\").replace('"', '\\"').replace("\u2028", "?")
    labels = {"model": label(name), "tenant": label(tenant)}
    assert eventually(lambda: gw.metric("ai_model_requests_total", response_code="200", **labels)) == 1
    assert gw.metric("gen_ai_client_token_usage_count", gen_ai_request_model=label(name)) == 2
    for line in gw.get_admin("/metrics").body.decode().split("\n")[:-1]:
        assert re.fullmatch(r'#.*|\w+(\{(\w+="([^"\\]|\\["\\n])*",?)*\})? [0-9.e+-]+', line), line
    record = gw.wait_log(lambda r: r["response_code"] == 200)
    assert record["model"] == record["model_served"] == name and record["tenant"] == tenant
