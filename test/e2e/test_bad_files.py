"""Whatever is wrong in a file: at start it is named and isolated or ends the start, at a reload the old
configuration goes on serving."""
import json
import re

import pytest

from play.gateway import StartFailed
from play.manifests import ENVOY_API, backend, http_listener, https_listener, path, route, rule, target, thing, tls_secret, world

ALIAS_BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(ord('b') + i)}: &{chr(ord('b') + i)} [{','.join(['*' + chr(ord('a') + i)] * 9)}]\n" for i in range(9))


def scene(up, generation=1, listeners=None):
    return world(backend("a", up), route("r", rule("a", matches=[path(f"/{generation}")])), listeners=listeners)


def sparse(path_of_file, n_bytes):
    with open(path_of_file, "wb") as file:
        file.truncate(n_bytes)


# ---- at a reload ----

def twice(up):
    return [*scene(up, 2), route("r", rule("a", matches=[path("/other")]))]


def duplicate_listener(up):
    return scene(up, 2, [http_listener(), http_listener()])


def mismatched(up, authority):
    cert, _ = authority.leaf("localhost")
    _, key = authority.leaf("localhost")
    return [*scene(up, 2, [http_listener(), https_listener()]), tls_secret("cert", (cert, key))]


def wrong_type(up):
    made = json.loads(json.dumps(scene(up, 2)))
    made[1]["spec"]["listeners"][0]["port"] = "eighty"
    return made


RELOADS = {
    "an object given twice": lambda up, _: twice(up),
    "a listener given twice": lambda up, _: duplicate_listener(up),
    "certificate and key that do not match": mismatched,
    "a wrong type": lambda up, _: wrong_type(up),
    "broken YAML": lambda up, _: "a: [b",
    "an alias bomb": lambda up, _: ALIAS_BOMB,
}


@pytest.mark.parametrize("name", RELOADS)
def test_a_reload_from_a_bad_file_keeps_the_old_configuration(gateway, upstream, authority, name):
    up = upstream("a")
    gw = gateway(scene(up), ports=[443])
    gw.apply(RELOADS[name](up, authority), result="failed")
    assert gw.request("/1").status == 200 and gw.request("/2").status == 404
    assert gw.status()["generation"] == 1 and gw.status()["last_reload"].startswith("kept generation 1")
    gw.apply(scene(up, 2))
    assert gw.request("/2").status == 200


def test_a_reload_from_a_file_that_is_too_large_keeps_the_old_configuration(gateway, upstream):
    up = upstream("a")
    gw = gateway(scene(up))
    sparse(gw.manifests / "large.yaml", 1 << 30)
    gw.reload(result="failed")
    assert gw.request("/1").status == 200
    assert "large.yaml" in gw.status()["last_reload"]


def test_a_reload_from_a_dangling_link_keeps_the_old_configuration(gateway, upstream):
    gw = gateway(scene(upstream("a")))
    (gw.manifests / "gone.yaml").symlink_to(gw.folder / "not-there.yaml")
    gw.reload(result="failed")
    assert gw.request("/1").status == 200
    assert "gone.yaml" in gw.status()["last_reload"]


# ---- at start ----

def test_a_file_that_is_too_large_ends_the_start(gateway, upstream, tmp_path):
    sparse(tmp_path / "large.yaml", 1 << 30)
    with pytest.raises(StartFailed) as failed:
        gateway(scene(upstream("a")), paths=[tmp_path / "large.yaml"])
    assert failed.value.code == 1 and "large.yaml" in failed.value.text


def test_an_alias_bomb_ends_the_start(gateway, upstream, tmp_path):
    (tmp_path / "bomb.yaml").write_text(ALIAS_BOMB)
    with pytest.raises(StartFailed) as failed:
        gateway(scene(upstream("a")), paths=[tmp_path / "bomb.yaml"])
    assert failed.value.code == 1 and "bomb.yaml" in failed.value.text


def test_at_start_a_certificate_that_does_not_match_leaves_the_rest_serving(gateway, upstream, authority):
    up = upstream("a")
    cert, _ = authority.leaf("localhost")
    _, key = authority.leaf("localhost")
    gw = gateway([*scene(up, 1, [http_listener(), https_listener()]), tls_secret("cert", (cert, key))])
    assert gw.request("/1").status == 200
    with pytest.raises(OSError):
        gw.request("/1", port=443, tls=authority.client())


def test_at_start_a_listener_given_twice_is_isolated_with_its_gateway(gateway, upstream):
    up = upstream("a")
    other = [{**made, "metadata": {**made["metadata"], "name": "other"}} for made in
             scene(up, 1, [http_listener(port=81), http_listener(port=81)])[1:2]]
    gw = gateway([*scene(up), *other])
    assert gw.request("/1").status == 200
    assert re.search(r"world\.yaml:\d+:\d+: Gateway/play/other: .*listener", gw.stderr())


def test_start_names_what_is_read_and_not_enforced(gateway, upstream):
    gw = gateway([*scene(upstream("a")), thing(ENVOY_API, "BackendTrafficPolicy", "small", {
        "targetRefs": [target("Gateway", "front")], "compressor": [{"type": "Brotli", "brotli": {"inputBlockBits": 20}}]})])
    assert "spec.compressor[0].brotli.inputBlockBits" in gw.stderr() and "not enforced" in gw.stderr()
