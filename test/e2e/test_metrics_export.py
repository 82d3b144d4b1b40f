"""Metrics by OTLP to a collector: the very ones of /metrics, as totals or as differences."""
from play.deadline import eventually
from play.manifests import ENVOY_API, backend, gateway as gateway_object, gateway_class, route, rule, thing, to, world
from test_tracing import collector, items, silent  # noqa: F401 (a fixture)

REQUESTS, DURATION = "tollgate_requests_total", "tollgate_request_duration_seconds"


def sink(name="collector", **more):
    return {"type": "OpenTelemetry", "openTelemetry": {"backendRefs": [to(name)], **more}}


def measured(up, *collectors, sinks=None):
    proxy = thing(ENVOY_API, "EnvoyProxy", "proxy", {"telemetry": {"metrics": {"sinks": sinks or [sink()]}}})
    infra = {"parametersRef": {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "proxy"}}
    names = ["collector", "other"]
    return [gateway_class(), gateway_object(infrastructure=infra), proxy, backend("b", up), route("r", rule("b")),
            *(backend(name, got) for name, got in zip(names, collectors))]


def points(got, name):
    return [p for p in got.points if p.name == name]


def test_metrics_go_to_the_collector_as_they_are_on_the_page(gateway, upstream, collector):  # noqa: F811
    up, got = upstream(), collector()
    gw = gateway(measured(up, got))

    for _ in range(7):
        gw.request()

    eventually(lambda: 7 in got.values(REQUESTS, **{"response_code_class": "2xx"}), 20)
    last = [p for p in points(got, REQUESTS) if p.attributes["response_code_class"] == "2xx"][-1]
    assert last.kind == "sum" and not last.is_delta and last.unit == "{requests}"
    assert last.resource["service.name"] == "tollgate"
    times = points(got, DURATION)[-1]
    assert times.kind == "histogram" and times.unit == "s" and times.value == 7 and 0 < times.sum < 60
    memory = points(got, "process_resident_memory_bytes")[-1]
    assert memory.kind == "gauge" and memory.unit == "By" and memory.value > 1e6
    lines = gw.get_admin("/metrics").body.decode().splitlines()
    shown = {line.split()[2] for line in lines if line.startswith("# TYPE") and not line.endswith(" untyped")}
    assert shown == {p.name for p in got.points}
    assert eventually(lambda: items(gw, "taken", "metrics") > 0)


def test_differences_add_up_to_the_total(gateway, upstream, collector):  # noqa: F811
    up, got = upstream(), collector()
    gw = gateway(measured(up, got, sinks=[sink(reportCountersAsDeltas=True, reportHistogramsAsDeltas=True)]))

    for _ in range(5):
        gw.request()
    eventually(lambda: sum(got.values(REQUESTS)) == 5, 20)
    for _ in range(4):
        gw.request()
    gw.stop()  # and the last ones at the end

    assert sum(got.values(REQUESTS)) == 9 == sum(got.values(DURATION))
    told = points(got, REQUESTS)
    assert all(p.is_delta for p in told + points(got, DURATION)) and max(p.value for p in told) < 9
    assert all(a.time == b.start for a, b in zip(told, told[1:]))
    assert not any(p.is_delta for p in points(got, "process_resident_memory_bytes"))


def test_a_collector_that_was_silent_loses_no_difference_that_was_not_told(gateway, upstream, collector):  # noqa: F811
    up, got = upstream(), collector()
    gw = gateway(measured(up, got))
    eventually(lambda: got.points, 20)

    got.fault = silent
    n = len(got.requests)
    eventually(lambda: len(got.requests) > n, 20)
    for _ in range(3):
        assert gw.request().status == 200
    got.fault = None

    eventually(lambda: 3 in got.values(REQUESTS), 40)


def test_a_reload_goes_on_with_the_same_and_begins_with_another(gateway, upstream, collector):  # noqa: F811
    up, got, other = upstream(), collector(), collector()
    deltas = sink(reportCountersAsDeltas=True)
    gw = gateway(measured(up, got, sinks=[deltas]))
    gw.request()
    eventually(lambda: sum(got.values(REQUESTS)) == 1, 20)

    gw.apply(measured(up, got, other, sinks=[deltas, sink("other")]))
    gw.request()

    eventually(lambda: sum(got.values(REQUESTS)) == 2 and 2 in other.values(REQUESTS), 20)
    gw.apply(world(backend("b", up), route("r", rule("b"))))
    n = len(got.points)
    gw.request()
    gw.stop()
    assert len(got.points) == n
