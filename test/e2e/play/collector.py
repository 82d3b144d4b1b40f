"""A collector of OpenTelemetry: takes spans and metrics by OTLP over HTTP in its JSON encoding, and is strict about them. What
is not as the protocol says fails the play, also in its own thread."""
import dataclasses
import json
import re
import time

from .deadline import eventually
from .upstream import Answer, Upstream

SERVER, CLIENT = 2, 3
SPAN_KEYS = {"traceId", "spanId", "parentSpanId", "traceState", "flags", "name", "kind", "startTimeUnixNano",
             "endTimeUnixNano", "attributes", "status"}
ITEMS_MAX = 512
BODY_MAX = 1 << 20


def is_id(text, digits):
    return bool(re.fullmatch(f"[0-9a-f]{{{digits}}}", text)) and set(text) != {"0"}


def attributes(items):
    """A dict of Python values; numbers of 64 bits come as strings."""
    made = {}
    for item in items:
        assert set(item) == {"key", "value"} and item["key"] and item["key"] not in made, item
        (kind, value), = item["value"].items()
        if kind == "intValue":
            assert isinstance(value, str) and re.fullmatch(r"-?\d+", value), item
            value = int(value)
        else:
            assert (kind, type(value)) in (("stringValue", str), ("boolValue", bool)), item
        assert value != "", item
        made[item["key"]] = value
    return made


def nanoseconds(text):
    assert isinstance(text, str) and re.fullmatch(r"\d{19}", text), text
    return int(text)


@dataclasses.dataclass
class Span:
    trace: str
    id: str
    parent: str
    state: str
    name: str
    kind: int
    start: int
    end: int
    attributes: dict
    has_failed: bool
    is_parent_remote: bool
    resource: dict

    def __getitem__(self, key):
        return self.attributes[key]

    def get(self, key, default=None):
        return self.attributes.get(key, default)


def read_span(item, resource):
    assert set(item) <= SPAN_KEYS, item
    assert is_id(item["traceId"], 32) and is_id(item["spanId"], 16), item
    assert "parentSpanId" not in item or is_id(item["parentSpanId"], 16), item
    assert item["kind"] in (SERVER, CLIENT) and item["name"], item
    assert item.get("status", {"code": 2}) == {"code": 2}, item
    assert item["flags"] & 0x101 == 0x101 and item["flags"] <= 0x3ff, item
    start, end = nanoseconds(item["startTimeUnixNano"]), nanoseconds(item["endTimeUnixNano"])
    assert start <= end and abs(time.time_ns() - end) < 300e9, item
    return Span(item["traceId"], item["spanId"], item.get("parentSpanId"), item.get("traceState"), item["name"], item["kind"],
                start, end, attributes(item["attributes"]), "status" in item, bool(item["flags"] & 0x200), resource)


@dataclasses.dataclass
class Point:
    name: str
    unit: str
    kind: str
    is_delta: bool
    attributes: dict
    start: int
    time: int
    value: float  # of a histogram: its count
    sum: float
    resource: dict


def is_instance(text):
    return bool(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text))


def read_metric(metric, resource):
    (kind,) = set(metric) - {"name", "description", "unit"}
    data = metric[kind]
    assert metric["name"] and metric["description"] and metric["unit"] and data["dataPoints"], metric
    assert set(data) == {"gauge": {"dataPoints"}, "histogram": {"dataPoints", "aggregationTemporality"},
                         "sum": {"dataPoints", "aggregationTemporality", "isMonotonic"}}[kind], metric
    assert data.get("isMonotonic", True) is True and data.get("aggregationTemporality", 2) in (1, 2)
    for point in data["dataPoints"]:
        start = nanoseconds(point["startTimeUnixNano"]) if kind != "gauge" else 0
        now = nanoseconds(point["timeUnixNano"])
        assert start <= now and abs(time.time_ns() - now) < 60e9
        if kind == "histogram":
            value, total = int(point["count"]), point["sum"]
            counts = [int(n) for n in point["bucketCounts"]]
            assert sum(counts) == value and len(counts) == len(point["explicitBounds"]) + 1
            assert point["explicitBounds"] == sorted(point["explicitBounds"])
        else:
            value, total = float(point["asDouble"]), None
        yield Point(metric["name"], metric["unit"], kind, data.get("aggregationTemporality") == 1,
                    attributes(point["attributes"]), start, now, value, total, resource)


class Collector(Upstream):
    """`fault(request, connection)` answers instead of the collector, as a script does, until it is None again."""

    def __init__(self, name="collector", tls=None):
        super().__init__(name, tls)
        self.spans = []
        self.n_exports = 0
        self.points = []  # of metrics
        self.fault = None
        self.script = self.take

    def take(self, request, connection):
        if self.fault:
            return self.fault(request, connection)
        assert request.method == "POST" and request.get("content-type") == "application/json", request
        assert len(request.body) <= BODY_MAX
        document = json.loads(request.body.decode("utf-8"))
        if request.target == "/v1/traces":
            self.take_traces(document)
        else:
            assert request.target == "/v1/metrics", request.target
            self.take_metrics(document)
        self.n_exports += 1
        return Answer(headers=[("content-type", "application/json")], body=b"{}")

    def take_traces(self, document):
        assert set(document) == {"resourceSpans"}
        n = 0
        for resource in document["resourceSpans"]:
            assert set(resource) == {"resource", "scopeSpans"}
            told = attributes(resource["resource"]["attributes"])
            assert told["service.name"]
            for scope in resource["scopeSpans"]:
                assert scope["scope"]["name"] == "tollgate" and scope["scope"]["version"]
                self.spans += [read_span(item, told) for item in scope["spans"]]
                n += len(scope["spans"])
        assert 0 < n <= ITEMS_MAX
        ids = [span.id for span in self.spans]
        assert len(ids) == len(set(ids)), "a span came twice"

    def take_metrics(self, document):
        """Each point: (resource, name, kind, temporality, attributes, point)."""
        assert set(document) == {"resourceMetrics"}
        for resource in document["resourceMetrics"]:
            told = attributes(resource["resource"]["attributes"])
            assert is_instance(told["service.instance.id"])
            for scope in resource["scopeMetrics"]:
                assert scope["scope"]["name"] == "tollgate"
                self.points += [point for metric in scope["metrics"] for point in read_metric(metric, told)]

    def values(self, name, **labels):
        """Of the points of that metric with these labels, in the order in which they came."""
        return [p.value for p in self.points if p.name == name and labels.items() <= p.attributes.items()]

    def of_kind(self, kind):
        return [span for span in self.spans if span.kind == kind]

    def wait_spans(self, n, kind=None, seconds=15):
        """All of them (of the kind), once there are at least `n`."""
        eventually(lambda: len(self.of_kind(kind) if kind else self.spans) >= n, seconds, f"{n} spans")
        return self.of_kind(kind) if kind else list(self.spans)
