"""The admin address: what it shows, to whom, and what it never shows."""
import json
import re

import pytest

from play import client
from play.deadline import eventually
from play.manifests import (backend, https_listener, http_listener, local_provider, route, rule,
                            security_policy, target, tls_secret, world)

STEPS = ["admit", "shortlist", "identify", "inspect", "route", "authorize", "limit", "upstream", "respond",
         "account", "log"]


@pytest.fixture
def gw(gateway, upstream):
    return gateway(world(backend("a", upstream("a")), route("r", rule("a"))))


def test_only_its_own_hosts_are_served(gw):
    port = gw.admin_port
    for host, status in [(f"127.0.0.1:{port}", 200), (f"localhost:{port}", 200), ("localhost", 200),
                         (f"evil.test:{port}", 421), ("evil.test", 421)]:
        assert client.request(port, "/status", host=host).status == status, host


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_but_reading(gw, method):
    assert gw.get_admin("/status", method=method).status == 405


def test_a_huge_body_is_refused(gw):
    port = gw.admin_port
    with client.Raw(port, f"GET /status HTTP/1.1\r\nHost: localhost:{port}\r\n"
                          "Content-Length: 1000000000\r\n\r\n".encode()) as raw:
        reply = raw.reply()
        assert reply.status == 413 and raw.is_closed()


def test_unknown_paths_and_garbage(gw):
    assert gw.get_admin("/nothing").status == 404
    with client.Raw(gw.admin_port, b"\0\1\2\3\r\n\r\n") as raw:
        assert b" 200 " not in raw.rest()
    with client.Raw(gw.admin_port, b"GET /" + b"a" * 100000) as raw:
        assert b" 200 " not in raw.rest()


def test_metrics_are_well_formed(gw):
    gw.request("/")
    gw.request("/", headers=[("x_bad", "1")])
    # An exchange is counted after its answer is out.
    eventually(lambda: gw.metric("tollgate_refusals_total", reason="underscore_in_header_name") == 1
               and gw.metric("tollgate_requests_total", response_code_class="2xx") == 1)
    reply = gw.get_admin("/metrics")
    assert reply.status == 200 and reply.get("content-type").startswith("text/plain; version=0.0.4")
    typed, seen = {}, set()
    for line in reply.body.decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in typed
            typed[name] = kind
        elif line and not line.startswith("#"):
            match = re.fullmatch(r'([a-z_]+)(\{([a-z_]+="(?:[^"\\]|\\.)*",?)*\})? [-+0-9.eEinfNa]+', line)
            assert match, line
            assert line.rsplit(" ", 1)[0] not in seen, line
            seen.add(line.rsplit(" ", 1)[0])
            assert re.sub(r"_(bucket|sum|count)$", "", match[1]) in typed or match[1] in typed, line
    for name in ("tollgate_requests_total", "tollgate_refusals_total", "tollgate_reloads_total",
                 "tollgate_upstream_requests_total", "tollgate_upstream_connections",
                 "tollgate_connections_accepted_total", "tollgate_connections_active",
                 "tollgate_exchanges_active", "tollgate_config_generation", "tollgate_build_info",
                 "tollgate_last_reload_successful", "tollgate_last_reload_timestamp_seconds", "tollgate_request_duration_seconds",
                 "tollgate_upstream_first_byte_seconds", "process_cpu_seconds_total",
                 "process_resident_memory_bytes", "process_virtual_memory_bytes", "process_open_fds",
                 "process_max_fds", "process_start_time_seconds"):
        assert name in typed, name


def test_status_shows_conditions(gw):
    status = gw.status()
    by_kind = {(made["kind"], made["name"]): made for made in status["objects"]}
    made = by_kind["HTTPRoute", "r"]
    assert {c["type"]: c["status"] for c in made["conditions"]} == {"Accepted": "True", "ResolvedRefs": "True"}
    assert made["line"] > 1 and made["file"].endswith("world.yaml")
    kinds = {c["type"]: c["status"] for c in by_kind["Gateway", "front"]["conditions"]}
    assert kinds["Accepted"] == "True" and kinds["Programmed"] == "True"


def test_config_shows_no_secret(gateway, upstream, issuer, authority):
    keys, pair = issuer(), authority.leaf("one.test")
    gw = gateway(world(
        backend("a", upstream("a")), route("r", rule("a")), tls_secret("cert", pair),
        security_policy("p", target("HTTPRoute", "r"), jwt={"providers": [local_provider(keys)]}),
        listeners=[http_listener(), https_listener()]))
    for page in ("/config", "/status"):
        reply = gw.get_admin(page)
        text = reply.body.decode()
        json.loads(text)
        assert "PRIVATE KEY" not in text and "".join(pair[1].split("\n")[1:3]) not in text
        assert keys.jwks()["keys"][0]["n"] not in text
    assert '"r"' in gw.get_admin("/config").body.decode() or "play/r" in gw.get_admin("/config").body.decode()


def test_keep_alive_and_head(gw):
    port = gw.admin_port
    ask = f"HEAD /ready HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode()
    with client.Raw(port, ask + ask) as raw:
        assert raw.reply(is_head=True).status == 200


def test_the_journey_has_these_steps():
    from play.gateway import tollgate
    text = tollgate("docs", "journey").stdout
    assert [step for step in STEPS if f"| {step} |" in text] == STEPS
