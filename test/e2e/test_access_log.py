"""Access logs: several loggers, which requests each takes, whose they are, and that no client can forge a line."""
import contextlib
import hashlib
import json
import os
import pathlib
import re
import signal
import ssl
import struct
import time

import pytest

from play.certs import Authority, fingerprint
from play.deadline import eventually
from play.gateway import as_text, tollgate
from play.manifests import (ENVOY_API, ai_backend, ai_route, ai_rule, backend, client_policy, config_map, gateway as front, gateway_class, http_listener,
                            https_listener, model, path, route, rule, thing, tls_secret)
from play.upstream import Answer
from test_ai_usage import CHAT, answer, openai_usage

DROPPED = "tollgate_access_log_dropped_lines_total"
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


@pytest.fixture
def theirs():
    """The authority of clients."""
    return Authority("their authority")


@pytest.fixture
def own(tmp_path, theirs):
    """own(): a file with a client's certificate and key."""
    def make():
        cert, key = theirs.leaf("web")
        (tmp_path / "own.pem").write_text(cert + key)
        return tmp_path / "own.pem"
    return make


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
    eventually(lambda: sorted(lines(file("all"))) == ["/a", "/b", "/c?x=1"])  # of several workers
    eventually(lambda: lines(file("wanted")) == ["/b"] == lines(file("one-of")))
    eventually(lambda: sorted(lines(file("pattern"))) == ["/a", "/b"])
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


def test_connections_are_logged_at_their_end(gateway, upstream, file):
    up = upstream("a")
    gw = gateway(logged(up, text_log(file("requests"), "%REQ(:PATH)%\n", type="Route"), json_log(file("connections"), {
        name: f"%{name}%" for name in ("REQ(:PATH)", "RESPONSE_CODE", "BYTES_RECEIVED", "BYTES_SENT", "DURATION", "PROTOCOL", "CONNECTION_ID",
                                       "DOWNSTREAM_REMOTE_PORT", "FILTER_CHAIN_NAME", "RESPONSE_FLAGS", "RESPONSE_DURATION", "ACCESS_LOG_TYPE")},
        type="Listener", matches=["source.port > 0 && !has(response.code)"])))
    sent = b"GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n"
    with gw.raw() as raw:
        port = raw.sock.getsockname()[1]
        replies = []
        for _ in range(2):
            raw.send(sent)
            replies.append(raw.reply())
        assert [reply.status for reply in replies] == [200, 200]
        eventually(lambda: lines(file("requests")) == ["/a", "/a"])
        assert not lines(file("connections"))
    eventually(lambda: len(lines(file("connections"))) == 1)
    record = json.loads(lines(file("connections"))[0])
    assert record["REQ(:PATH)"] is None and record["PROTOCOL"] is None and record["RESPONSE_DURATION"] is None
    assert record["ACCESS_LOG_TYPE"] is None and record["RESPONSE_CODE"] == 0 and record["RESPONSE_FLAGS"] == "-"
    assert record["BYTES_RECEIVED"] == 2 * len(sent) and record["BYTES_SENT"] > 2 * len(replies[0].body) + 100
    assert record["DOWNSTREAM_REMOTE_PORT"] == port and record["CONNECTION_ID"] > 0 and record["FILTER_CHAIN_NAME"] == "play/front/http"


def test_a_connection_that_no_listener_takes_is_logged(gateway, upstream, file, authority):
    """By logs of no type too: there will be no request of it."""
    up = upstream("a")
    line = "%REQUESTED_SERVER_NAME% %RESPONSE_FLAGS% %REQ(:PATH)% %RESPONSE_CODE_DETAILS%\n"
    gw = gateway([*logged(up, text_log(file("all"), line), text_log(file("route"), line, type="Route"),
                          text_log(file("listener"), "%REQUESTED_SERVER_NAME% %RESPONSE_FLAGS% \"%DOWNSTREAM_TRANSPORT_FAILURE_REASON%\"\n",
                                   type="Listener"),
                          listeners=[https_listener(hostname="one.test")]),
                  tls_secret("cert", authority.leaf("one.test"))])
    assert gw.request("/a", port=443, tls=authority.client(), host="one.test").status == 200
    with pytest.raises((ssl.SSLError, ConnectionError)):
        gw.request("/b", port=443, tls=authority.client(), host="two.test")
    with gw.raw(b"GET / HTTP/1.1\r\n\r\n", port=443) as raw:
        raw.rest()
    eventually(lambda: sorted(lines(file("all"))) == ["one.test - /a via_upstream", "two.test NR - filter_chain_not_found"])
    eventually(lambda: sorted(lines(file("listener"))) == [
        '- - "TLS handshake failed"', 'one.test - "-"', 'two.test NR "no listener has this name"'])
    assert lines(file("route")) == ["one.test - /a via_upstream"]


def test_a_name_of_a_handshake_forges_no_line(gateway, upstream, file, authority):
    gw = gateway([*logged(upstream("a"), text_log(file("text"), "\"%REQUESTED_SERVER_NAME%\"\n"),
                          json_log(file("json"), {"a": "%REQUESTED_SERVER_NAME%"}), listeners=[https_listener(hostname="one.test")]),
                  tls_secret("cert", authority.leaf("one.test"))])
    name = b'a"\n{"a":\x01\x80\xff\\'
    with gw.raw(client_hello(name), port=443) as raw:
        raw.rest()
    eventually(lambda: lines(file("json")))
    text = eventually(lambda: file("text").read_bytes())
    assert text == b'"a\\"\\x0a{\\"a\\":\\x01\\x80\\xff\\\\"\n'
    assert file("json").read_bytes().count(b"\n") == 1
    assert json.loads(file("json").read_bytes())["a"].startswith('a"\n{"a":\x01')


def client_hello(name):
    """A handshake that asks for whatever bytes as its host."""
    server_name = struct.pack(">HHHBH", 0, len(name) + 5, len(name) + 3, 0, len(name)) + name
    versions, groups = struct.pack(">HHBH", 43, 3, 2, 0x0304), struct.pack(">HHHH", 10, 4, 2, 29)
    signatures = struct.pack(">HHHH", 13, 4, 2, 0x0403)
    key = struct.pack(">HHHHH", 51, 38, 36, 29, 32) + b"\x09" * 32
    extensions = server_name + versions + groups + signatures + key
    body = struct.pack(">H", 0x0303) + b"\x07" * 32 + b"\x00" + struct.pack(">HH", 2, 0x1301) + b"\x01\x00"
    body += struct.pack(">H", len(extensions)) + extensions
    hello = b"\x01" + struct.pack(">I", len(body))[1:] + body
    return b"\x16\x03\x01" + struct.pack(">H", len(hello)) + hello


WRONG = {
    "operator of a text": ({"format": {"type": "Text", "text": "[%START_TIME%] %NOPE%"}}, 'text: "[%START_TIME%] %', "unknown operator: NOPE"),
    "operator in JSON": ({"format": {"type": "JSON", "json": {"a": "%PROTOCOL%", "bb": "x %NOPE%"}}}, 'bb: "x %', "unknown operator: NOPE"),
    "operator of Envoy's": ({"format": {"type": "Text", "text": "x %CEL(request.id)%"}}, 'text: "x %', "operator that is not supported here: CEL"),
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


def test_a_format_or_sink_of_another_kind_is_named(tmp_path):
    sinks = [{"type": "File", "file": {"path": "/dev/stdout"}},
             {"type": "OpenTelemetry", "openTelemetry": {"host": "otel.example", "port": 4318}},
             {"type": "ALS", "als": {"type": "HTTP", "backendRefs": [{"name": "als", "port": 9000}]}}]
    file = tmp_path / "proxy.yaml"
    file.write_text(as_text(proxy({"sinks": sinks})))
    run = tollgate("check", "-f", file)
    assert run.returncode == 0
    for name in ("sinks[1].openTelemetry", "sinks[2].als"):
        assert re.search(rf"warning.*spec\.telemetry\.accessLog\.settings\[0\]\.{re.escape(name)}", run.stdout), run.stdout
    file.write_text(as_text(proxy({"format": {"type": "XML", "xml": "x"}, "sinks": sinks[:1]})))
    run = tollgate("check", "-f", file)
    assert run.returncode == 1 and "settings[0].format.type" in run.stdout and "Text" in run.stdout and "JSON" in run.stdout


def test_telemetry_of_single_routes_is_named(tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text(as_text(thing(ENVOY_API, "BackendTrafficPolicy", "p", {
        "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "r"}],
        "telemetry": {"tracing": {"samplingFraction": {"numerator": 1}}}})))
    assert re.search(r"warning.*BackendTrafficPolicy/play/p.*spec\.telemetry", tollgate("check", "-f", file).stdout)


def test_metadata_that_never_has_a_value_is_named(tmp_path):
    """That of other filters, and costs that no route has."""
    fields = {name: f"%DYNAMIC_METADATA({name})%" for name in (
        "io.envoy.ai_gateway:llm_total_token", "io.envoy.ai_gateway:backend_name", "tollgate:tenant", "io.envoy.ai_gateway:mcp_method",
        "envoy.filters.http.rbac:shadow")}
    file = tmp_path / "world.yaml"
    file.write_text(as_text([proxy({"format": {"type": "JSON", "json": fields}, "sinks": [{"type": "File", "file": {}}]}),
                             ai_route("ai", ai_rule("b"), costs=[("llm_total_token", "TotalToken")])]))
    said = tollgate("check", "-f", file).stdout
    assert "io.envoy.ai_gateway:mcp_method has no value here: it is no metadataKey of an AIGatewayRoute's llmRequestCosts" in said, said
    assert "envoy.filters.http.rbac:shadow has no value here" in said
    assert said.count("has no value here") == 2


def test_the_fields_of_the_ai_gateways_documents_have_values(gateway, upstream, file):
    """Envoy AI Gateway, "Access Logs With AI/LLM Metadata"."""
    up = upstream("b")
    up.script = lambda *_: answer({"model": "served", "choices": [], **openai_usage(7, 5)})
    fields = {"genai_model_name": "%REQ(X-AI-EG-MODEL)%", **{f"genai_{name}": f"%DYNAMIC_METADATA(io.envoy.ai_gateway:{key})%" for name, key in {
        "model_name_override": "model_name_override", "backend_name": "backend_name", "tokens_total": "llm_total_token",
        "tokens_input": "llm_input_token", "tokens_output": "llm_output_token"}.items()}}
    gw = gateway([*logged(up, json_log(file("log"), fields))[:3], backend("b", up), ai_backend("b"), ai_route(
        "ai", ai_rule({"name": "b", "modelNameOverride": "m-2"}, matches=[model("m-1")]), ai_rule("b", matches=[model("m-3")]),
        costs=[("llm_input_token", "InputToken"), ("llm_output_token", "OutputToken"), ("llm_total_token", "TotalToken")])])
    for name in ("m-1", "m-3"):
        assert gw.request(CHAT, json={"model": name, "messages": [{"role": "user", "content": "Hi"}]}).status == 200
    eventually(lambda: len(lines(file("log"))) == 2)
    tokens = {"genai_tokens_total": 12, "genai_tokens_input": 7, "genai_tokens_output": 5, "genai_backend_name": "play/b"}
    assert sorted((json.loads(line) for line in lines(file("log"))), key=lambda r: r["genai_model_name"]) == [
        {"genai_model_name": "m-1", "genai_model_name_override": "m-2", **tokens},
        {"genai_model_name": "m-3", "genai_model_name_override": None, **tokens}]


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


def test_a_log_that_cannot_be_written_is_told_and_the_others_are_written(gateway, upstream, file):
    gw = gateway(logged(upstream("a"), text_log("/proc/nowhere/log", "x\n"), text_log(file("all"), "%REQ(:PATH)%\n")))
    gw.request("/a")
    eventually(lambda: lines(file("all")) == ["/a"])
    assert gw.stderr().count("access log /proc/nowhere/log cannot be written: No such file or directory; its lines are dropped") == 1
    eventually(lambda: gw.metric(DROPPED) == 1)


@pytest.mark.parametrize("how", ["by itself", "SIGUSR1"])
def test_a_log_that_can_be_written_later_is(gateway, upstream, file, how):
    fifo = file("late")  # nobody reads it yet
    os.mkfifo(fifo)
    gw = gateway(logged(upstream("a"), text_log(fifo, "%REQ(:PATH)%\n")))
    gw.request("/lost")
    assert f"access log {fifo} cannot be written: No such device or address" in gw.stderr()
    eventually(lambda: gw.metric(DROPPED) == 1)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        n = 0
        if how == "SIGUSR1":
            gw.signal(signal.SIGUSR1)

        def is_written():
            nonlocal n
            n += 1
            gw.request(f"/{n}")
            return f"access log {fifo} is written again" in gw.stderr()
        eventually(is_written, 20)
        gw.request("/last")
        seen = b""

        def is_all_written_or_counted():
            nonlocal seen
            with contextlib.suppress(BlockingIOError):
                seen += os.read(reader, 65536)
            return gw.metric(DROPPED) + seen.count(b"\n") == n + 2
        eventually(is_all_written_or_counted)
        assert b"/last\n" in seen
    finally:
        os.close(reader)


def test_a_log_that_no_configuration_names_any_more_is_let_go(gateway, upstream, file):
    up = upstream("a")
    gw = gateway(logged(up, text_log(file("first"), "%REQ(:PATH)%\n")))
    gw.request("/a")
    gw.apply(logged(up, text_log(file("second"), "%REQ(:PATH)%\n")))
    eventually(lambda: str(file("first")) not in open_files(gw))
    assert str(file("second")) in open_files(gw) and lines(file("first")) == ["/a"]
    file("first").unlink()
    file("second").unlink()
    gw.signal(signal.SIGUSR1)
    eventually(file("second").exists)
    assert not file("first").exists()


def open_files(gw):
    names = []
    for fd in pathlib.Path(f"/proc/{gw.process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            names.append(os.readlink(fd))
    return names


def test_a_log_whose_file_cannot_be_made_again_goes_on_and_is_told(gateway, upstream, tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    gw = gateway(logged(upstream("a"), text_log(folder / "log", "%REQ(:PATH)%\n")))
    gw.request("/a")
    eventually(lambda: lines(folder / "log") == ["/a"])
    os.rename(folder, tmp_path / "moved")
    gw.signal(signal.SIGUSR1)
    eventually(lambda: f"access log {folder}/log cannot be written under its name: No such file or directory" in gw.stderr())
    gw.request("/b")
    eventually(lambda: lines(tmp_path / "moved" / "log") == ["/a", "/b"])


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
        assert "\u2028" in record["REQ(X-EVIL)"] and len(file(name).read_text("utf-8").splitlines()) == 1, "for who ends lines there, too"


def test_no_client_hides_a_request_by_what_it_says_of_itself(gateway, upstream, file):
    """Escapes make six bytes of one: the line would be longer than one may be. Everything else stands."""
    gw = gateway([*logged(upstream("a"), text_log(file("text"), "%REQ(USER-AGENT)% %REQ(:PATH)% %RESPONSE_CODE%\n"),
                          {"sinks": [{"type": "File", "file": {"path": str(file("json"))}}]})])
    for n in (100, 25000, 60000):
        with gw.raw() as raw:
            raw.send(b"GET /%d HTTP/1.1\r\nHost: a.test\r\nUser-Agent: %s\r\n\r\n" % (n, b"\x80" * n))
            assert raw.reply().status == 200
    eventually(lambda: len(lines(file("json"))) == 3 == len(lines(file("text"))))
    records = [json.loads(line) for line in lines(file("json"))]
    assert sorted((r["x-envoy-origin-path"], r["response_code"], r["upstream_cluster"]) for r in records) == [
        (f"/{n}", 200, "Backend/play/a") for n in (100, 25000, 60000)]
    assert sorted(line.split(" ")[1:] for line in lines(file("text"))) == [[f"/{n}", "200"] for n in (100, 25000, 60000)]
    assert all(len(line) < 131072 for name in ("json", "text") for line in lines(file(name)))
    assert gw.metric(DROPPED) == 0


# ---- what an operator says of a real request ----

def numbers(record, *names):
    assert all(isinstance(record[name], int) for name in names), record
    return [record[name] for name in names]


def test_times_are_in_the_order_of_events(gateway, upstream, file):
    up = upstream("a")

    def slowly(request, connection):
        time.sleep(0.03)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
        time.sleep(0.03)
        connection.send(b"56789")
        return None
    up.script = slowly
    points = ["DS_RX_END", "US_TX_BEG", "US_TX_END", "US_RX_BEG", "DS_TX_BEG", "US_RX_END", "DS_TX_END"]
    fields = {point: f"%COMMON_DURATION(DS_RX_BEG:{point}:us)%" for point in points}
    fields |= {name: f"%{name}%" for name in ("DURATION", "REQUEST_DURATION", "REQUEST_TX_DURATION", "RESPONSE_DURATION",
                                              "RESPONSE_TX_DURATION", "UPSTREAM_CONNECTION_POOL_READY_DURATION", "BYTES_SENT",
                                              "BYTES_RECEIVED")}
    gw = gateway(logged(up, json_log(file("log"), fields), json_log(file("slow"), fields, matches=[
        "response.backend_latency > duration('55ms') && request.size == 4 && response.size == 10"])))
    with gw.raw(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nab") as raw:
        eventually(lambda: gw.metric("tollgate_exchanges_active") == 1, what="its beginning to be read")
        time.sleep(0.03)
        raw.send(b"cd")
        assert raw.reply().status == 200
    eventually(lambda: len(lines(file("slow"))) == 1)
    record = json.loads(lines(file("log"))[0])
    received, begun, sent, answered, told, ended, over = numbers(record, *points)
    assert 30000 <= received <= sent <= answered <= told <= ended <= over and begun <= sent
    assert answered >= sent + 30000 - 5000 and ended >= sent + 60000 - 5000
    assert record["DURATION"] == over // 1000 and record["REQUEST_DURATION"] == received // 1000
    assert record["RESPONSE_DURATION"] == answered // 1000 and record["REQUEST_TX_DURATION"] == sent // 1000
    assert record["RESPONSE_TX_DURATION"] >= 10 and record["UPSTREAM_CONNECTION_POOL_READY_DURATION"] < 1000
    assert (record["BYTES_SENT"], record["BYTES_RECEIVED"]) == (10, 4)


def test_a_refused_request_has_no_times_of_an_endpoint(gateway, upstream, file):
    manifests = logged(upstream("a"), json_log(file("log"), {
        name: f"%{name}%" for name in ("RESPONSE_DURATION", "UPSTREAM_CONNECTION_POOL_READY_DURATION", "UPSTREAM_PROTOCOL",
                                       "UPSTREAM_REMOTE_PORT", "REQUEST_DURATION", "RESPONSE_FLAGS_LONG")}))
    manifests[-1]["spec"]["rules"][0]["matches"] = [path("/a")]
    gw = gateway(manifests)
    assert gw.request("/b").status == 404
    record = json.loads(eventually(lambda: lines(file("log")))[0])
    assert isinstance(record.pop("REQUEST_DURATION"), int) and record.pop("RESPONSE_FLAGS_LONG") == "NoRouteFound"
    assert set(record.values()) == {None}


def test_connections_are_told_apart(gateway, upstream, file):
    up = upstream("a")
    gw = gateway(logged(up, text_log(file("log"), "%CONNECTION_ID% %DOWNSTREAM_REMOTE_PORT% %DOWNSTREAM_LOCAL_PORT% "
                                     "%UPSTREAM_REMOTE_PORT% %UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_TLS_VERSION% %FILTER_CHAIN_NAME%\n")))
    for _ in range(2):
        with gw.raw() as raw:
            for _ in range(2):
                raw.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
                assert raw.reply().status == 200
    eventually(lambda: len(lines(file("log"))) == 4)
    rows = [line.split() for line in lines(file("log"))]
    assert rows[0][:2] == rows[1][:2] and rows[2][:2] == rows[3][:2]
    assert rows[0][0] != rows[2][0] and rows[0][1] != rows[2][1]
    assert {tuple(row[2:]) for row in rows} == {(str(gw.port(80)), str(up.port), "127.0.0.1", "-", "play/front/http")}


def test_sizes_of_headers_are_counted(gateway, upstream, file):
    up = upstream("a")
    gw = gateway(logged(up, text_log(file("log"), "%REQUEST_HEADERS_BYTES% %RESPONSE_HEADERS_BYTES% %RESPONSE_TRAILERS_BYTES%\n")))
    gw.request("/")
    gw.request("/", headers=[("x-more", "a" * 94)])
    up.script = lambda *_: Answer(headers=[("x-more", "a" * 94)], chunks=[b"a"], trailers=[("x-last", "b" * 14)])
    gw.request("/", headers=[("x-more", "a" * 194)])
    eventually(lambda: len(lines(file("log"))) == 3)
    first, more, last = sorted([int(n) for n in line.split()] for line in lines(file("log")))
    assert more[0] == first[0] + 100 and last[0] == first[0] + 200 and more[1:] == first[1:] and last[2] == 20 and first[2] == 0
    assert 40 < first[0] < 400 and 40 < first[1] < 400 and last[1] > 100


def test_tls_of_both_sides_is_told(gateway, upstream, http2_upstream, file, authority, own, theirs):
    up, h2 = upstream("a"), http2_upstream("b")
    names = ["DOWNSTREAM_TLS_VERSION", "DOWNSTREAM_TLS_CIPHER", "DOWNSTREAM_PEER_SUBJECT", "DOWNSTREAM_PEER_DNS_SAN",
             "DOWNSTREAM_PEER_FINGERPRINT_256", "REQUESTED_SERVER_NAME", "UPSTREAM_PROTOCOL", "UPSTREAM_TLS_VERSION", "PROTOCOL"]
    manifests = logged(
        up, json_log(file("log"), {name: f"%{name}%" for name in names}),
        text_log(file("mtls"), "%REQ(:PATH)%\n", matches=[
            "connection.mtls && connection.dns_san_peer_certificate == 'web' && connection.tls_version == 'TLSv1.3'"]),
        listeners=[https_listener()])
    manifests[-1]["spec"]["rules"] = [rule("b", matches=[path("/b")]), rule("a")]
    gw = gateway([*manifests, backend("b", h2, appProtocols=["gateway.envoyproxy.io/h2c"]),
                  tls_secret("cert", authority.leaf("one.test")), config_map("ca", **{"ca.crt": theirs.pem}),
                  client_policy("clients", tls={"clientValidation": {"caCertificateRefs": [{"kind": "ConfigMap", "name": "ca"}],
                                                                     "optional": True}})])
    certificate = own()
    assert gw.request("/a", port=443, tls=authority.client(certificate), host="one.test").status == 200
    assert gw.request("/b", port=443, tls=authority.client(), host="one.test").status == 200
    eventually(lambda: len(lines(file("log"))) == 2)
    first, second = sorted((json.loads(line) for line in lines(file("log"))), key=lambda r: r["UPSTREAM_PROTOCOL"])
    assert first["DOWNSTREAM_TLS_VERSION"] == "TLSv1.3" and first["DOWNSTREAM_TLS_CIPHER"].startswith("TLS_")
    assert "CN=web" in first["DOWNSTREAM_PEER_SUBJECT"] and first["DOWNSTREAM_PEER_DNS_SAN"] == "web"
    assert first["DOWNSTREAM_PEER_FINGERPRINT_256"] == hashlib.sha256(
        fingerprint(certificate.read_text().split("-----BEGIN PRIVATE")[0])).hexdigest()
    assert first["REQUESTED_SERVER_NAME"] == "one.test" and first["UPSTREAM_PROTOCOL"] == "HTTP/1.1"
    assert second["UPSTREAM_PROTOCOL"] == "HTTP/2" and second["DOWNSTREAM_PEER_SUBJECT"] is None
    assert second["UPSTREAM_TLS_VERSION"] is None and second["PROTOCOL"] == "HTTP/1.1"
    eventually(lambda: lines(file("mtls")) == ["/a"])


def test_tls_to_a_backend_is_told(gateway, upstream, file, tmp_path, authority):
    up = upstream("a", tls=authority.server(tmp_path, "backend.test"))
    gw = gateway([*logged(up, text_log(file("log"), "%UPSTREAM_TLS_VERSION% %UPSTREAM_TLS_CIPHER%\n",
                                       matches=["upstream.tls_version.startsWith('TLSv1.')"]))[:3],
                  backend("a", up, tls={"insecureSkipVerify": True}), route("r", rule("a"))])
    assert gw.request("/").status == 200
    eventually(lambda: len(lines(file("log"))) == 1)
    assert re.fullmatch(r"TLSv1\.[23] [A-Z0-9_-]+", lines(file("log"))[0])
