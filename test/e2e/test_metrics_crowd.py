"""More tenants and models than any table holds, through the whole gateway: tokens, limits, usage, metrics, log and collectors.
What is beyond a table is counted as `other`, memory stays as it is, and nobody who was there before notices."""
import contextlib
import json
import re
import socket
import threading
import time

import pytest

from play.client import Raw
from play.deadline import FACTOR, eventually
from play.issuer import Issuer, Key
from play.manifests import (ENVOY_API, ai_backend, ai_route, ai_rule, backend, gateway as gateway_object, gateway_class, local_provider,
                            security_policy, target, thing, to)
from play.memory import anonymous_kib, is_sanitized
from test_tracing import collector  # noqa: F401 (a fixture)

SERIES, HISTOGRAMS, DISTINCT = 8192, 2048, 65536
CHAT = "/v1/chat/completions"
AT_ONCE = 64
OVERFLOW = "tollgate_metrics_overflow_total"


class Model:
    """A server that knows every model, as fast as Python is."""

    def __init__(self):
        body = json.dumps({"model": "served", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2,
                                                                       "total_tokens": 5}}).encode()
        self._answer = (f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n").encode() + body
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        held = b""
        with sock:
            while data := sock.recv(65536):
                held += data
                while (end := held.find(b"\r\n\r\n")) >= 0:
                    n = end + 4 + int(re.search(rb"(?i)content-length: (\d+)", held[:end + 2])[1])
                    if len(held) < n:
                        break
                    held = held[n:]
                    sock.sendall(self._answer)

    def stop(self):
        self._listener.close()


@pytest.fixture
def served():
    made = Model()
    yield made
    made.stop()


@pytest.fixture
def issued():
    made = Issuer(keys=[Key("EdDSA")])
    yield made
    made.stop()


def world(served, issued, got, sinks=()):
    """Everything that has a table of tenants or models: a verified tenant, limits by it, usage, metrics."""
    telemetry = {"tracing": {"samplingRate": 1, "provider": {"type": "OpenTelemetry", "backendRefs": [to("collector")]}},
                 "metrics": {"sinks": list(sinks)}}
    infra = {"parametersRef": {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "proxy"}}
    claims = {**local_provider(issued), "claimToHeaders": [{"claim": "tenant", "header": "x-tenant"}]}
    by_tenant = {"limit": {"requests": 1000000, "unit": "Year"}, "shared": True,
                 "clientSelectors": [{"headers": [{"name": "x-tenant", "type": "Distinct"}]}],
                 "cost": {"request": {"from": "Number", "number": 0},
                          "response": {"from": "Metadata", "metadata": {"namespace": "io.envoy.ai_gateway", "key": "llm_total_token"}}}}
    return [gateway_class(), gateway_object(infrastructure=infra), thing(ENVOY_API, "EnvoyProxy", "proxy", {"telemetry": telemetry}),
            backend("b", served), ai_backend("b"), backend("collector", got),
            ai_route("ai", ai_rule("b"), costs=[("llm_total_token", "TotalToken")]),
            security_policy("s", target("Gateway", "front"), jwt={"providers": [claims]}),
            thing(ENVOY_API, "BackendTrafficPolicy", "limits", {"targetRefs": [target("Gateway", "front")],
                                                                "rateLimit": {"global": {"rules": [by_tenant]}}})]


class Crowd:
    """Requests of tenant N for model N, on one connection."""

    def __init__(self, gw, issued):
        self.gw, self.issued = gw, issued

    def request(self, n):
        body = f'{{"model": "model-{n}", "messages": [{{"role": "user", "content": "Hi"}}]}}'
        return (f"POST {CHAT} HTTP/1.1\r\nhost: a.test\r\nauthorization: Bearer {self.issued.token(f'tenant-{n}')}\r\n"
                f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}").encode()

    def come(self, first, last):
        """Statuses, and how many of each."""
        seen = {}
        with self.gw.raw() as raw:
            for at in range(first, last, AT_ONCE):
                part = range(at, min(at + AT_ONCE, last))
                raw.send(b"".join(map(self.request, part)))
                for _ in part:
                    status = raw.reply().status
                    seen[status] = seen.get(status, 0) + 1
        return seen


class Page:
    """What a scrape shows, read once: it is long."""

    def __init__(self, gw):
        self.series = {}
        for line in gw.get_admin("/metrics").body.decode().splitlines():
            if not line.startswith("#") and "_bucket{" not in line:
                name, _, rest = line.partition("{") if "{" in line else line.partition(" ")
                labels, _, value = rest.rpartition("} ")
                self.series.setdefault(name, {})[labels] = float(value)

    def n(self, name):
        return len(self.series.get(name, {}))

    def sum(self, name, labels=""):
        return sum(value for key, value in self.series.get(name, {}).items() if labels in key)

    def overflow(self, name):
        return self.sum(OVERFLOW, f'metric="{name}"')


class Told:
    """What a collector was told so far, added up as it comes."""

    def __init__(self, got):
        self.got, self.at, self.sums, self.labels = got, 0, {}, {}

    def look(self):
        new = self.got.points[self.at:]
        self.at += len(new)
        for p in new:
            self.sums[p.name] = self.sums.get(p.name, 0) + p.value
            self.labels.setdefault(p.name, set()).add(tuple(p.attributes.values()))
        return self


SINK = {"type": "OpenTelemetry", "openTelemetry": {"backendRefs": [to("collector")], "reportCountersAsDeltas": True,
                                                   "reportHistogramsAsDeltas": True}}


def play(gateway, served, issued, collector, n, n_more):  # noqa: F811
    """n fill every table but that of limits, n_more come after that."""
    got = collector()
    gw = gateway(world(served, issued, got), args=("--workers", "1"))
    crowd = Crowd(gw, issued)
    assert crowd.come(0, n) == {200: n}
    held = anonymous_kib(gw)
    started = time.monotonic()
    seen = crowd.come(n, n + n_more)
    grown_kib = anonymous_kib(gw) - held
    print(f"{n_more / (time.monotonic() - started):.0f} requests a second, {held} KiB and {grown_kib} more")
    return gw, crowd, got, seen, grown_kib


def check_tables(page, n):
    """Each request is counted once, and what is beyond a table under `other`."""
    for name in ("ai_model_requests_total", "ai_model_tokens_generated_total", "ai_model_tokens_processed_total"):
        assert page.n(name) == SERIES + 1 and page.overflow(name) == n - SERIES, name
    for name in ("ai_model_request_duration_seconds", "gen_ai_server_request_duration_seconds"):
        assert page.n(f"{name}_count") == HISTOGRAMS + 1 and page.overflow(name) == n - HISTOGRAMS, name
        assert page.sum(f"{name}_count") == n, name
    assert page.sum("ai_model_requests_total", 'tenant="other",model="other",response_code="200"') == n - SERIES
    assert page.sum("ai_model_requests_total", 'tenant="tenant-7",model="model-7"') == 1
    assert page.sum("ai_model_requests_total") == n == page.sum("tollgate_requests_total")
    assert page.sum("ai_model_tokens_generated_total") == 2 * n and page.sum("ai_model_tokens_processed_total") == 3 * n


def test_more_tenants_and_models_than_any_table_holds(gateway, served, issued, collector):  # noqa: F811
    n, n_more = SERIES + 100, 1500
    gw, crowd, got, seen, grown_kib = play(gateway, served, issued, collector, n, n_more)
    n_all = n + n_more
    assert seen == {200: n_more}
    assert is_sanitized(gw) or grown_kib < 2048, "only the limit, which counts each tenant, has more to keep"
    eventually(lambda: len(gw.log()) == n_all)
    page = Page(gw)
    check_tables(page, n_all)
    assert page.sum("tollgate_limit_values") == n_all
    assert page.sum("tollgate_limit_used", f'key="x-tenant=tenant-{n_all - 1}"') == 5
    assert page.sum("tollgate_access_log_dropped_lines_total") == 0
    # Who was there before is still counted by name, and a scrape does not take the gateway's breath.
    assert crowd.come(7, 8) == {200: 1}
    started = time.monotonic()
    page = Page(gw)
    assert time.monotonic() - started < 2 * FACTOR
    assert page.sum("ai_model_requests_total", 'tenant="tenant-7",model="model-7"') == 2
    # Who asks for the page again and again and takes nothing of it neither fills the memory nor shuts others out.
    held = anonymous_kib(gw)
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(Raw(gw.admin_port, f"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:{gw.admin_port}\r\n\r\n".encode()))
        assert Page(gw).sum("ai_model_requests_total") == n_all + 1
        grown_kib = anonymous_kib(gw) - held
    print(f"{grown_kib} KiB more for 20 pages that nobody reads")
    assert is_sanitized(gw) or grown_kib < 128 * 1024
    # All of it reaches a collector, too, the last metrics of a long page as well as the first.
    gw.apply(world(served, issued, got, sinks=[SINK]))
    told = Told(got)
    eventually(lambda: told.look().sums.get("gen_ai_client_token_usage") == 2 * (n_all + 1), 40)
    eventually(lambda: told.look().labels.get("process_start_time_seconds"), 20)
    assert told.sums["ai_model_requests_total"] == n_all + 1
    assert len(told.labels["ai_model_tokens_generated_total"]) == SERIES + 1
    assert gw.metric("tollgate_telemetry_items_total", signal="metrics", outcome="overflowed") == 0


@pytest.mark.slow
def test_a_hundred_thousand(gateway, served, issued, collector):  # noqa: F811
    """Here the limit's own table is full, too: whom it cannot count it refuses."""
    n, n_more = DISTINCT, 100000 - DISTINCT
    gw, crowd, _, seen, grown_kib = play(gateway, served, issued, collector, n, n_more)
    assert seen == {429: n_more}
    assert is_sanitized(gw) or grown_kib < 2048
    assert crowd.come(5, 6) == {200: 1}, "who was counted before is served"
    page = Page(gw)
    assert page.sum("tollgate_limit_values") == DISTINCT and page.sum("tollgate_refusals_total") == n_more
    assert page.sum("ai_model_requests_total") == n + n_more + 1
    assert page.n("ai_model_requests_total") <= 2 * SERIES
