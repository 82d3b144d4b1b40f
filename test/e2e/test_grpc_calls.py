"""Calls of gRPC end to end: clients and servers of its own library, with GRPCRoutes between them."""
import collections
import queue
import signal
import time

import grpc
import pytest

from play.deadline import eventually
from play.grpc_server import GrpcClient, until_over
from play.http2 import Http2
from play.manifests import (ENVOY_API, backend, grpc_route, header, local_provider, path, route, rule, security_policy,
                            target, thing, tls_secret, to, world)
from test_tls import https_listener

INFER = "/inference.GRPCInferenceService/ModelInfer"


def method(service=None, name=None, kind=None):
    fields = {"type": kind, "service": service, "method": name}
    return {"method": {key: value for key, value in fields.items() if value}}


def traffic_policy(name, route_name, **spec):
    return thing(ENVOY_API, "BackendTrafficPolicy", name, {"targetRefs": [target("GRPCRoute", route_name)], **spec})


def test_a_library_reads_our_refusals(gateway, server):
    gw = gateway(world(backend("a", server("a")),
                       grpc_route("r", rule("a", matches=[method("a.B")]), rule(matches=[method("none.S")]))))
    with GrpcClient(gw.port()) as client:
        assert client.refused("/nowhere.S/M") == ("UNIMPLEMENTED", "No route matches this request.")
        assert client.refused("/none.S/M") == ("UNAVAILABLE", "No valid backend is configured for this route.")


def test_calls_pass_with_their_metadata_and_trailers(gateway, server):
    up = server("a")
    gw = gateway(world(backend("a", up), grpc_route("r", rule("a"))))
    with GrpcClient(gw.port(), "front.test") as client:
        assert client.call(INFER, b"tensor", metadata=[("x-one", "1")]) == b"a:tensor"
        call = client.stream("/a.B/C", [b"x", b"y"])
        assert list(call) == [b"a:x", b"a:y"]
        assert dict(call.trailing_metadata())["x-server"] == "a" and call.code() == grpc.StatusCode.OK
    path_, metadata = up.calls[0]
    assert path_ == INFER and metadata["x-one"] == "1" and "x-request-id" in metadata
    record = gw.wait_log(lambda r: r["x-envoy-origin-path"] == INFER)
    assert (record["protocol"], record["response_code"], record["grpc_status"]) == ("HTTP/2", 200, "OK")
    assert record["route_name"] == "grpcroute/play/r/rule/0"
    eventually(lambda: gw.metric("tollgate_grpc_calls_total", route="grpcroute/play/r/rule/0", grpc_status="OK") == 2)


def test_the_rule_of_a_call_by_service_method_headers_and_patterns(gateway, server):
    servers = {name: server(name) for name in "abcdefg"}
    gw = gateway(world(*(backend(name, up) for name, up in servers.items()), grpc_route(
        "r",
        rule("a"),
        rule("b", matches=[method("x.Y")]),
        rule("c", matches=[method("x.Y", "Get")]),
        rule("d", matches=[method(None, "Get")]),
        rule("e", matches=[{"headers": [header("x-tier", "gold")]}]),
        rule("f", matches=[method("re\\.(One|Two)", "Get.*", "RegularExpression")]),
        rule("g", matches=[{**method("x.Y", "Get"), "headers": [header("x-tier", "go.*", "RegularExpression")]}]))))
    gold = [("x-tier", "gold")]
    cases = [("/x.Y/Get", (), "c"), ("/x.Y/Put", (), "b"), ("/x.Yz/Put", (), "a"), ("/q.R/Get", (), "d"), ("/q.R/Put", (), "a"),
             ("/q.R/Put", gold, "e"), ("/x.Y/Put", gold, "b"), ("/x.Y/Get", gold, "g"), ("/q.R/Forget", (), "a"),
             ("/re.One/GetAll", (), "f"), ("/re.Three/GetAll", (), "a"), ("/re.One/Put", (), "a")]
    with GrpcClient(gw.port()) as client:
        for at, metadata, expected in cases:
            assert client.call(at, metadata=metadata) == expected.encode() + b":hi", (at, metadata)
    assert gw.request("/x.Y/Get").status == 404, "no call of gRPC"


def test_hosts_weights_filters_and_invalid_backends(gateway, server):
    a, b, copy = server("a"), server("b"), server("copy")
    change = [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-set", "value": "1"}], "remove": ["x-gone"]}},
              {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"add": [{"name": "x-added", "value": "2"}]}},
              {"type": "RequestMirror", "requestMirror": {"backendRef": to("copy")}}]
    gw = gateway(world(backend("a", a), backend("b", b), backend("copy", copy),
                       grpc_route("one", rule(to("a", 3), to("b", 1)), hostnames=["one.test"]),
                       grpc_route("two", rule("a", filters=change), hostnames=["*.two.test"]),
                       grpc_route("half", rule(to("a", 1), to("missing", 1)), hostnames=["half.test"])))
    with GrpcClient(gw.port(), "one.test") as client:
        count = collections.Counter(client.call() for _ in range(80))
        assert set(count) == {b"a:hi", b"b:hi"} and count[b"a:hi"] > count[b"b:hi"]
    with GrpcClient(gw.port(), "x.two.test") as client:
        call = client.stream("/a.B/C", [b"x"], metadata=[("x-gone", "0")])
        assert list(call) == [b"a:x"] and dict(call.initial_metadata())["x-added"] == "2"
    assert a.calls[-1][1]["x-set"] == "1" and "x-gone" not in a.calls[-1][1]
    assert eventually(lambda: copy.calls and copy.calls[0], 10, "the copy")[1]["x-set"] == "1"
    with GrpcClient(gw.port(), "half.test") as client:
        outcomes = collections.Counter()
        for _ in range(60):
            try:
                outcomes[client.call()] += 1
            except grpc.RpcError as error:
                outcomes[error.code().name] += 1
    assert set(outcomes) == {b"a:hi", "UNAVAILABLE"} and outcomes["UNAVAILABLE"] >= 10
    with GrpcClient(gw.port(), "three.test") as client:
        assert client.refused()[0] == "UNIMPLEMENTED"


def test_policies_guard_a_grpc_route(gateway, server, issuer):
    keys = issuer()
    limit = {"type": "Global", "global": {"rules": [{"limit": {"requests": 2, "unit": "Hour"}}]}}
    gw = gateway(world(backend("a", server("a")), grpc_route("r", rule("a")),
                       security_policy("p", target("GRPCRoute", "r"), jwt={"providers": [local_provider(keys)]}),
                       traffic_policy("q", "r", rateLimit=limit)))
    token = [("authorization", f"Bearer {keys.token('tenant-a')}")]
    with GrpcClient(gw.port()) as client:
        assert client.refused() == ("UNAUTHENTICATED", "A bearer token is required.")
        assert [client.call(metadata=token) for _ in range(2)] == [b"a:hi"] * 2
        assert client.refused(metadata=token)[0] == "UNAVAILABLE"
    assert gw.wait_log(lambda r: r["grpc_status"] == "OK")["tenant"] == "tenant-a"


def test_a_servers_own_status_passes(gateway, server):
    def fail(_requests, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not 100% n\u00f6w")
        yield b""

    def late(_requests, context):
        yield b"first"
        context.abort(grpc.StatusCode.DATA_LOSS, "second is gone")

    up = server("a")
    up.scripts = {"/a.B/Fail": fail, "/a.B/Late": late}
    gw = gateway(world(backend("a", up), grpc_route("r", rule("a"))))
    with GrpcClient(gw.port()) as client:
        assert client.refused("/a.B/Fail") == ("FAILED_PRECONDITION", "not 100% n\u00f6w")
        call = client.stream("/a.B/Late", [b"x"])
        assert next(call) == b"first"
        with pytest.raises(grpc.RpcError):
            next(call)
        assert (call.code(), call.details()) == (grpc.StatusCode.DATA_LOSS, "second is gone")
    for at, status in (("/a.B/Fail", "FailedPrecondition"), ("/a.B/Late", "DataLoss")):
        assert gw.wait_log(lambda r, at=at: r["x-envoy-origin-path"] == at)["grpc_status"] == status


def conversation(messages):
    """An iterator that waits for what is put."""
    while (message := messages.get()) is not None:
        yield message


def test_a_stream_goes_both_ways_at_once(gateway, server):
    """An answer's head and messages come before the request is complete; each message is answered at once."""
    gw = gateway(world(backend("a", server("a")), grpc_route("r", rule("a"))))
    said = queue.Queue()
    with GrpcClient(gw.port()) as client:
        call = client.stream("/a.B/Talk", conversation(said))
        for n in range(50):
            said.put(b"%d" % n)
            assert next(call) == b"a:%d" % n
        said.put(b"x" * (1 << 20))
        assert next(call) == b"a:" + b"x" * (1 << 20)
        said.put(None)
        assert list(call) == [] and call.code() == grpc.StatusCode.OK


def test_a_server_may_answer_before_it_has_heard_all(gateway, server):
    def early(_requests, context):
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "enough")
        yield b""

    up = server("a")
    up.scripts["/a.B/Early"] = early
    gw = gateway(world(backend("a", up), grpc_route("r", rule("a"))))
    said = queue.Queue()
    said.put(b"first")
    with GrpcClient(gw.port()) as client:
        call = client.stream("/a.B/Early", conversation(said))
        with pytest.raises(grpc.RpcError):
            next(call)
        assert (call.code(), call.details()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "enough")
        said.put(None)
        assert client.call() == b"a:hi", "the connection lives on"


def test_a_callers_deadline_ends_the_servers_work(gateway, server):
    up = server("a")
    seen = queue.Queue()

    def hold(requests, context):
        seen.put(context.time_remaining())
        for _ in requests:
            pass
        until_over(context)
        yield b""

    up.scripts["/a.B/Hold"] = hold
    gw = gateway(world(backend("a", up), grpc_route("r", rule("a"))))
    with Http2(gw.port()) as client:  # a client that does not watch its own deadline
        stream = client.headers("/a.B/Hold", "POST", headers=[("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", "700m")])
        reply = client.reply(stream)
        assert (reply.status, reply.get("grpc-status"), reply.body) == (200, "4", b"")
    assert 0 < seen.get(timeout=20) <= 0.7, "the server knows the deadline"
    assert up.ended.acquire(timeout=20), "its call ended"
    assert gw.wait_log(lambda r: True)["grpc_status"] == "DeadlineExceeded"


def test_a_caller_who_leaves_ends_the_servers_work(gateway, server):
    up = server("a")
    begun = queue.Queue()

    def hold(_requests, context):
        yield b"begun"
        begun.put(1)
        until_over(context)

    up.scripts["/a.B/Hold"] = hold
    gw = gateway(world(backend("a", up), grpc_route("r", rule("a"))))
    said = queue.Queue()
    with GrpcClient(gw.port()) as client:
        call = client.stream("/a.B/Hold", conversation(said))
        assert next(call) == b"begun" and begun.get(timeout=20)
        call.cancel()
        assert up.ended.acquire(timeout=20), "its call ended"
        said.put(None)
    assert gw.wait_log(lambda r: r["response_flags"] == "DC")["grpc_status"] is None
    assert gw.metric("tollgate_grpc_calls_total", grpc_status="none") == 1


def test_a_stream_in_which_nothing_moves_ends_and_one_that_moves_goes_on(gateway, server):
    up = server("a")

    def tick(requests, context):
        for _ in range(8):
            time.sleep(0.3)
            yield b"tick"

    up.scripts["/a.B/Tick"] = tick
    gw = gateway(world(backend("a", up), grpc_route("r", rule("a")),
                       traffic_policy("p", "r", timeout={"http": {"streamIdleTimeout": "1s"}})))
    listening, talking, mute = queue.Queue(), queue.Queue(), queue.Queue()
    with GrpcClient(gw.port()) as client:
        call = client.stream("/a.B/Tick", conversation(listening))
        assert list(call) == [b"tick"] * 8, "the caller says nothing for longer than the idle time; the server does"
        talk = client.stream("/a.B/Talk", conversation(talking))
        talking.put(b"x")
        assert next(talk) == b"a:x"
        for call, message in ((talk, "The backend did not answer in time."),
                              (client.stream("/a.B/Talk", conversation(mute)), "The request did not arrive in time.")):
            with pytest.raises(grpc.RpcError):
                next(call)
            assert (call.code(), call.details()) == (grpc.StatusCode.DEADLINE_EXCEEDED, message)
        for said in (listening, talking, mute):
            said.put(None)


def test_a_server_that_dies_midway_is_told_as_unavailable(gateway, server):
    up = server("a")

    def dies(_requests, context):
        yield b"first"
        up.stop()
        until_over(context)

    up.scripts["/a.B/Dies"] = dies
    gw = gateway(world(backend("a", up), grpc_route("r", rule("a"))))
    with GrpcClient(gw.port()) as client:
        call = client.stream("/a.B/Dies", [b"x"])
        assert next(call) == b"first"
        with pytest.raises(grpc.RpcError):
            next(call)
        assert call.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        assert client.refused("/a.B/C")[0] == "UNAVAILABLE", "nobody listens there any more"


def test_tls_on_both_sides(gateway, server, authority):
    pair = authority.leaf("one.test")
    up = server("a", grpc.ssl_server_credentials([(pair[1].encode(), pair[0].encode())]))
    tls = thing("gateway.networking.k8s.io/v1", "BackendTLSPolicy", "tls", {
        "targetRefs": [{"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "a"}],
        "validation": {"hostname": "one.test", "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}]}})
    gw = gateway(world(backend("a", up), tls, thing("v1", "ConfigMap", "ca", data={"ca.crt": authority.pem}),
                       tls_secret("cert", pair), grpc_route("r", rule("a")), listeners=[https_listener()]))
    credentials = grpc.ssl_channel_credentials(authority.pem.encode())
    options = [("grpc.ssl_target_name_override", "one.test")]
    with GrpcClient(gw.port(443), "one.test", credentials, options) as client:
        assert client.call(INFER, b"t") == b"a:t"


def test_an_http_route_carries_calls_to_backends_that_speak_http_2(gateway, server):
    up = server("a")
    gw = gateway(world(backend("a", up, appProtocols=["gateway.envoyproxy.io/h2c"]), route("r", rule("a", matches=[path("/a.B")]))))
    with GrpcClient(gw.port()) as client:
        assert client.call("/a.B/C") == b"a:hi"
        assert client.refused("/b.B/C")[0] == "UNIMPLEMENTED"


def test_a_stream_outlives_a_reload_and_a_drain_tells_it_to_try_elsewhere(gateway, server):
    manifests = world(backend("a", server("a")), backend("b", server("b")), grpc_route("r", rule("a")))
    gw = gateway(manifests, drain=("0", "1"))
    said = queue.Queue()
    with GrpcClient(gw.port()) as client:
        call = client.stream("/a.B/Talk", conversation(said))
        said.put(b"1")
        assert next(call) == b"a:1"
        gw.apply([*manifests[:-1], grpc_route("r", rule("b"))])
        said.put(b"2")
        assert next(call) == b"a:2" and client.call() == b"b:hi"
        gw.signal(signal.SIGTERM)
        with pytest.raises(grpc.RpcError):
            next(call)
        assert (call.code(), call.details()) == (grpc.StatusCode.UNAVAILABLE, "The gateway is shutting down.")
        said.put(None)
    assert gw.wait() == 0


@pytest.mark.slow
def test_a_caller_may_think_for_longer_than_a_minute(gateway, server):
    """Before the answer begins and after, by the defaults."""
    gw = gateway(world(backend("a", server("a")), grpc_route("r", rule("a"))))
    said = queue.Queue()
    with GrpcClient(gw.port()) as client:
        call = client.stream("/a.B/Talk", conversation(said), seconds=300)
        for message in (b"1", b"2"):
            time.sleep(70)
            said.put(message)
            assert next(call) == b"a:" + message
        said.put(None)
        assert list(call) == []
