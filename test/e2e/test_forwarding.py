"""What a backend learns of the client: only what the gateway knows itself, or was told by a proxy that a
policy trusts."""
import pytest

from play.manifests import (backend, client_policy, gateway as gateway_object, gateway_class, http_listener, path, route, rule, thing, to,
                            world)

LIES = [("x-forwarded-for", "9.9.9.9"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "evil.test"),
        ("x-forwarded-port", "444"), ("forwarded", "for=9.9.9.9"), ("via", "1.1 proxy")]


def seen_by(gateway, upstream, headers, *policies):
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a")), *policies))
    assert gw.request(host="front.test", headers=headers).status == 200
    return up.last


def test_of_a_strangers_forwarding_headers_only_the_list_is_kept_and_the_peer_stands_last(gateway, upstream):
    seen = seen_by(gateway, upstream, LIES)
    assert seen.all("x-forwarded-for") == ["9.9.9.9,127.0.0.1"]
    assert seen.all("x-forwarded-proto") == ["http"]
    for name in ("x-forwarded-host", "x-forwarded-port", "forwarded"):
        assert seen.get(name) is None, name
    assert seen.all("via") == ["1.1 proxy"], "Via is passed on as it is"
    assert seen.get("host") == "front.test"


def test_a_trusted_proxys_word_is_kept(gateway, upstream):
    trusted = client_policy("c", clientIPDetection={"xForwardedFor": {"trustedCIDRs": ["127.0.0.0/8"]}})
    seen = seen_by(gateway, upstream, LIES, trusted)
    assert seen.all("x-forwarded-proto") == ["https"]
    assert seen.all("x-forwarded-host") == ["evil.test"]
    assert seen.all("x-forwarded-for") == ["9.9.9.9,127.0.0.1"]


def test_a_backends_own_filters_are_only_for_it(gateway, upstream):
    one, two = upstream("one"), upstream("two")
    adds = [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-for", "value": "two"}]}}]
    gw = gateway(world(backend("one", one), backend("two", two), route("r", rule(to("one"), to("two", filters=adds)))))
    for _ in range(40):
        assert gw.request().status == 200
    assert one.requests and two.requests
    assert {r.get("x-for") for r in one.requests} == {None} and {r.get("x-for") for r in two.requests} == {"two"}


def test_an_endpoint_that_is_not_ready_gets_nothing(gateway, upstream):
    up, down = upstream("up"), upstream("down")
    slice_of = {**thing("discovery.k8s.io/v1", "EndpointSlice", "s-1",
                        metadata={"labels": {"kubernetes.io/service-name": "s"}}), "addressType": "IPv4"}
    service = thing("v1", "Service", "s", {"ports": [{"name": "http", "port": 80}]})

    def slices(*pairs):
        return [{**slice_of, "metadata": {**slice_of["metadata"], "name": f"s-{i}"},
                 "ports": [{"name": "http", "port": u.port}],
                 "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": ready}}]}
                for i, (u, ready) in enumerate(pairs)]

    gw = gateway(world(service, *slices((up, True), (down, False)), route("r", rule({"name": "s", "port": 80}))))
    for _ in range(20):
        assert gw.request().json["upstream"] == "up"
    assert not down.requests


def test_the_longer_wildcard_listener_serves_the_host(gateway, upstream):
    ups = {name: upstream(name) for name in ("short", "long")}
    listeners = [http_listener("short", hostname="*.test"), http_listener("long", hostname="*.more.test")]
    gw = gateway(world(*(backend(name, up) for name, up in ups.items()), *(route(name, rule(name), section=name) for name in ups),
                       listeners=listeners))
    assert gw.request(host="a.test").json["upstream"] == "short"
    assert gw.request(host="a.more.test").json["upstream"] == "long"
    assert gw.request(host="x.y.more.test").json["upstream"] == "long"
    assert gw.request(host="other.example").status == 404


@pytest.mark.parametrize("target, path_seen", [
    ("http://front.test/p?q=1", "/p?q=1"), ("http://other.test:8080/p", "/p")])
def test_an_absolute_target_names_host_and_path(gateway, upstream, target, path_seen):
    up = upstream("a")
    host = target.split("/")[2]
    gw = gateway(world(backend("a", up), route("r", rule("a", matches=[path("/p")]))))
    with gw.raw(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()) as raw:
        assert raw.reply().status == 200
    assert (up.last.target, up.last.get("host")) == (path_seen, host)
    with gw.raw(f"GET {target} HTTP/1.1\r\nHost: else.test\r\n\r\n".encode()) as raw:
        assert raw.reply().status == 400, "two hosts in one request"


def test_an_asterisk_is_for_options_and_reaches_no_route(gateway, upstream):
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a", matches=[path("/p")]))))
    with gw.raw(b"OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n") as raw:
        assert raw.reply().status == 404
    with gw.raw(b"GET * HTTP/1.1\r\nHost: a.test\r\n\r\n") as raw:
        assert raw.reply().status == 400
    assert not up.requests


def test_ports_under_1024_are_shifted_where_the_process_may_not_bind_them(upstream):
    """Without the privilege the gateway says where it listens; the number is the Gateway's plus 10000."""
    from play.ports import free_port
    number = free_port() % 1000 + 1  # the shifted one is checked by what start says, not by luck
    assert number < 1024
    manifests = [gateway_class(), gateway_object(listeners=[http_listener(port=number)])]
    import os
    import subprocess
    import tempfile
    from play.gateway import PROGRAM, as_text
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        with open(f"{folder}/world.yaml", "w", encoding="utf-8") as file:
            file.write(as_text(manifests))
        run = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"] if os.geteuid() == 0 else []
        process = subprocess.Popen([*run, PROGRAM, "run", "-f", folder, "--admin", "off"], stderr=subprocess.PIPE, text=True,
                                   stdout=subprocess.DEVNULL)
        try:
            said = ""
            for line in process.stderr:
                said += line
                if str(number + 10000) in line:
                    break
            assert str(number + 10000) in said, said
        finally:
            process.terminate()
            process.wait(10)
            process.stderr.close()
