"""Access logs: several loggers, which requests each takes, whose they are, and that no client can forge a line."""
import json
import re

import pytest

from play.deadline import eventually
from play.gateway import tollgate
from play.manifests import ENVOY_API, backend, gateway as front, gateway_class, http_listener, path, route, rule, thing
from play.upstream import Answer

PARAMETERS = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy"}


def proxy(*settings, name="proxy"):
    return thing(ENVOY_API, "EnvoyProxy", name, {"telemetry": {"accessLog": {"settings": list(settings)}}})


def text_log(file, text, **more):
    return {"format": {"type": "Text", "text": text}, "sinks": [{"type": "File", "file": {"path": str(file)}}], **more}


def json_log(file, fields, **more):
    return {"format": {"type": "JSON", "json": fields}, "sinks": [{"type": "File", "file": {"path": str(file)}}], **more}


def logged(up, *settings, **spec):
    """The proxy is the class's."""
    return [gateway_class(parametersRef={**PARAMETERS, "name": "proxy", "namespace": "play"}), front(**spec),
            proxy(*settings), backend("a", up), route("r", rule("a"))]


def lines(file):
    return file.read_bytes().decode("latin-1").splitlines() if file.exists() else []


@pytest.fixture
def file(tmp_path):
    return lambda name: tmp_path / name


def test_each_log_takes_what_one_of_its_matches_holds_for(gateway, upstream, file):
    up = upstream("a")
    line = "%REQ(:PATH)%\n"
    gw = gateway(logged(
        up, text_log(file("all"), line),
        text_log(file("wanted"), line, matches=["'x-envoy-logged' in request.headers"]),
        text_log(file("one-of"), line, matches=["request.headers['x-none'] == 'a'", "request.url_path.startsWith('/b')",
                                                "response.code == 404 && response.flags == 256"]),
        text_log(file("slow"), line, matches=["request.duration > duration('1h')"]),
        text_log(file("pattern"), line, type="Route", matches=["request.path.matches('^/[ab]$')"])))
    assert gw.request("/a").status == 200
    assert gw.request("/b", headers=[("X-Envoy-Logged", "1")]).status == 200
    assert gw.request("/c?x=1").status == 200
    eventually(lambda: lines(file("all")) == ["/a", "/b", "/c?x=1"])
    eventually(lambda: lines(file("wanted")) == ["/b"] == lines(file("one-of")))
    eventually(lambda: lines(file("pattern")) == ["/a", "/b"])
    assert not lines(file("slow"))


def test_matches_see_what_was_refused(gateway, upstream, file):
    manifests = logged(upstream("a"), text_log(file("errors"), "%RESPONSE_CODE% %REQ(:PATH)%\n",
                                               matches=["response.code >= 400 && response.flags == 256"]))
    manifests[-1]["spec"]["rules"][0]["matches"] = [path("/a")]
    gw = gateway(manifests)
    assert gw.request("/a").status == 200 and gw.request("/b").status == 404
    eventually(lambda: lines(file("errors")) == ["404 /b"])


def test_a_gateway_can_have_a_proxy_of_its_own(gateway, upstream, file):
    own = {"parametersRef": {**PARAMETERS, "name": "own"}}
    manifests = [gateway_class(parametersRef={**PARAMETERS, "name": "proxy", "namespace": "play"}),
                 front("front"), front("back", [http_listener(port=81)], infrastructure=own),
                 proxy(text_log(file("class"), "%REQ(:PATH)%\n")), proxy(text_log(file("own"), "own %REQ(:PATH)%\n"), name="own"),
                 backend("a", upstream("a")), route("r", rule("a")), route("s", rule("a"), parent="back")]
    gw = gateway(manifests)
    gw.request("/class")
    gw.request("/own", port=81)
    eventually(lambda: lines(file("class")) == ["/class"] and lines(file("own")) == ["own /own"])


def test_settings_for_connections_log_no_requests(gateway, upstream, file):
    gw = gateway(logged(upstream("a"), text_log(file("all"), "%REQ(:PATH)%\n"), text_log(file("none"), "x\n", type="Listener")))
    gw.request("/a")
    eventually(lambda: lines(file("all")) == ["/a"])
    assert not lines(file("none"))


WRONG = {
    "operator of a text": ({"format": {"type": "Text", "text": "[%START_TIME%] %NOPE%"}}, 'text: "[%START_TIME%] %', "unknown operator: NOPE"),
    "operator in JSON": ({"format": {"type": "JSON", "json": {"a": "%PROTOCOL%", "bb": "x %NOPE%"}}}, 'bb: "x %', "unknown operator: NOPE"),
    "argument": ({"format": {"type": "Text", "text": "%REQ()%"}}, 'text: "%', "needs an argument"),
    "attribute": ({"matches": ["true", "response.code > 1 && request.nope == 'a'"]}, '- "response.code > 1 && ', "there is no variable request.nope"),
    "syntax": ({"matches": ["response.code >"]}, '- "response.code >', "expected a value"),
    "no condition": ({"matches": ["response.code"]}, '- "', "a match is a bool"),
    "pattern": ({"matches": ["request.path.matches('[')"]}, '- "request.path.matches(', "not a regular expression"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_at_its_column(tmp_path, name):
    setting, before, words = WRONG[name]
    file = tmp_path / "proxy.yaml"
    file.write_text("apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyProxy\nmetadata: {name: p, namespace: n}\nspec:\n"
                    "  telemetry:\n    accessLog:\n      settings:\n      - sinks: [{type: File, file: {path: /dev/stdout}}]\n"
                    + block(setting))
    at = next((n, line.index(before) + len(before) + 1) for n, line in enumerate(file.read_text().splitlines(), 1)
              if before in line)
    run = tollgate("check", "-f", file)
    assert run.returncode == 1
    assert re.search(rf"proxy\.yaml:{at[0]}:{at[1]}: EnvoyProxy/n/p: .*{re.escape(words)}", run.stdout), run.stdout


def block(setting):
    """As YAML with each text in double quotes on a line of its own."""
    text = ""
    for match in setting.get("matches", []):
        text = text or "        matches:\n"
        text += f'        - "{match}"\n'
    if "format" in setting:
        kind, value = setting["format"]["type"], setting["format"].get("text")
        text += f"        format:\n          type: {kind}\n"
        text += f'          text: "{value}"\n' if value else "          json:\n" + "".join(
            f'            {key}: "{part}"\n' for key, part in setting["format"]["json"].items())
    return text


def test_a_proxy_with_a_wrong_match_leaves_the_default_log(gateway, upstream, file):
    gw = gateway(logged(upstream("a"), text_log(file("all"), "x\n", matches=["request.nope"])))
    gw.request("/seen")
    assert gw.wait_log(lambda r: "/seen" in r.get("x-envoy-origin-path", ""))
    assert not lines(file("all"))


def test_a_log_that_cannot_be_written_is_told_and_the_others_are_written(gateway, upstream, file, tmp_path):
    gw = gateway(logged(upstream("a"), text_log("/proc/nowhere/log", "x\n"), text_log(file("all"), "%REQ(:PATH)%\n")))
    gw.request("/a")
    eventually(lambda: lines(file("all")) == ["/a"])
    assert "access log /proc/nowhere/log cannot be written" in gw.stderr()


# Every operator that carries bytes of a client, or of a backend.
CARRIERS = ["REQ(X-EVIL)", "REQ(X-NONE?X-EVIL)", "REQ(USER-AGENT)", "REQ(X-FORWARDED-FOR)", "REQ(X-REQUEST-ID)", "REQ(:PATH)",
            "REQ(X-ENVOY-ORIGINAL-PATH?:PATH)", "REQ_WITHOUT_QUERY(X-EVIL)", "REQ(X-EVIL):20", "RESP(X-EVIL)", "RESP(SERVER)"]
EVIL = b'a"b\\c\tq\x80\xff\xc3\xa9\xe2\x80\xa8 %REQ(:PATH)% {"status":1} $(x) \xc2\x85 end'


def test_no_bytes_of_a_client_forge_a_line(gateway, upstream, file):
    up = upstream("a")
    up.script = lambda request, _: Answer(headers=[(name, EVIL.decode("latin-1")) for name in ("X-Evil", "Server")])
    gw = gateway(logged(up, text_log(file("text"), " ".join(f'"%{c}%"' for c in CARRIERS) + "\n"),
                        json_log(file("json"), {c: f"%{c}%" for c in CARRIERS}),
                        json_log(file("mixed"), {c: f"<%{c}%>" for c in CARRIERS})))
    with gw.raw() as raw:
        raw.send(b"GET /p%22%0a?q=%22%00 HTTP/1.1\r\nHost: a.test\r\n" + b"".join(
            b"%s: %s\r\n" % (name, EVIL) for name in (b"X-Evil", b"User-Agent", b"X-Forwarded-For", b"X-Request-Id")) + b"\r\n")
        assert raw.reply().status == 200
    eventually(lambda: file("mixed").exists() and file("mixed").read_bytes().endswith(b"\n"))
    for name in ("text", "json", "mixed"):
        eventually(lambda: file(name).read_bytes().endswith(b"\n"))
        whole = file(name).read_bytes()
        assert whole.count(b"\n") == 1 and not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", whole), whole
    # Text: as many unescaped quotes as the format has.
    text = file("text").read_text("ascii")
    assert len(re.findall(r'(?<!\\)(?:\\\\)*"', text)) == 2 * len(CARRIERS)
    assert r'a\"b\\c\x09q\x80\xff' in text
    for name in ("json", "mixed"):
        record = json.loads(file(name).read_bytes().decode("utf-8"))
        assert list(record) == CARRIERS
        assert 'a"b\\c\tq' in record["REQ(X-EVIL)"] and '{"status":1}' in record["RESP(X-EVIL)"]
