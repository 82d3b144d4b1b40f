"""The same requests by HTTP/2 to Tollgate, nginx and HAProxy, byte for byte the same frames: who takes them to a backend
of HTTP/1, and with which content. The vectors are those of test_attacks_h2.py, and every byte at every kind of place.
Every difference is explained in DIFFERENCES, and everything that is explained there still differs."""
import asyncio
import base64
import collections
import concurrent.futures
import fnmatch
import json
import threading

import pytest

import subjects
from play.frames import Frames
from play.gateway import Gateway
from play.manifests import backend, client_policy, route, rule, world
from test_attacks_h2 import AUTHORITY, BODY, DOWNGRADES, METHOD, PATH, SCHEME, get, only, post, trailers

PEERS = ("nginx", "haproxy")
IDLES_S = (1, 5)  # silence that counts as waiting for more: asked again, with more patience
AT_ONCE = 16

# Where any byte may stand.
PLACES = {
    "in-name": lambda c: get((b"x" + c + b"a", "b")),
    "name-begin": lambda c: get((c + b"xa", "b")),
    "name-end": lambda c: get((b"xa" + c, "b")),
    "in-value": lambda c: get(("x-a", b"a" + c + b"b")),
    "value-begin": lambda c: get(("x-a", c + b"b")),
    "value-end": lambda c: get(("x-a", b"b" + c)),
    "in-path": lambda c: only(METHOD, SCHEME, AUTHORITY, (":path", b"/as" + c + b"ked")),
    "in-query": lambda c: only(METHOD, SCHEME, AUTHORITY, (":path", b"/asked?a" + c + b"b")),
    "path-begin": lambda c: only(METHOD, SCHEME, AUTHORITY, (":path", c + b"/asked")),
    "in-method": lambda c: only((":method", b"GE" + c + b"T"), SCHEME, AUTHORITY, PATH),
    "in-scheme": lambda c: only(METHOD, (":scheme", b"ht" + c + b"tp"), AUTHORITY, PATH),
    "in-authority": lambda c: only(METHOD, SCHEME, (":authority", b"a" + c + b"b.test"), PATH),
    "in-host": lambda c: only(METHOD, SCHEME, PATH, ("host", b"a" + c + b"b.test")),
    "in-length": lambda c: post(BODY, ("content-length", c + b"4")),
    "length-end": lambda c: post(BODY, ("content-length", b"4" + c)),
    "in-cookie": lambda c: get(("cookie", b"a" + c + b"=1")),
    "in-te": lambda c: get(("te", b"trailers" + c)),
    "in-trailer-name": lambda c: trailers((b"x" + c + b"a", "b")),
    "in-trailer-value": lambda c: trailers(("x-a", b"a" + c + b"b")),
}
VECTORS = {**{f"{place}:{byte:02x}": make(bytes([byte])) for place, make in PLACES.items() for byte in range(256)},
           **{name: sent for name, (sent, _, _) in DOWNGRADES.items()}}

# (kind, peers, names): why. Kinds: "stricter", "looser": who refuses; "boundaries": both take it, and it is not the same.
# Made for nginx 1.22 and HAProxy 2.6 (Debian 12). Refusing is the safe side; of what is looser each has a reason why it is
# safe here.
DIFFERENCES = {
    ("looser", ("nginx",), ("a trailer", "trailer *", "in-trailer-name:*", "in-trailer-value:*")):
        "nginx takes no trailers at all. Here they pass, judged as headers are, to who may read them.",
    ("looser", ("haproxy",), ("trailer content-length", "trailer host")):
        "What only a head may say is left out of trailers (RFC 9110 6.5.1), as in HTTP/1; HAProxy refuses two of them.",
    ("looser", ("nginx",), ("a site by both names",)):
        "RFC 9113 8.3.1 has :authority and host name the same site, and names of sites have no case.",
    ("stricter", PEERS, ("in-value:*", "value-begin:*", "value-end:*", "a control character * value", "DEL * value",
                         "a space * value", "a tab * value", "* a cookie", "in-cookie:*")):
        "No value has control characters or blanks at its ends (RFC 9113 8.2.1, RFC 9110 5.5); the peers pass them on.",
    ("stricter", ("haproxy",), ("in-trailer-value:*",)): "The same in trailers.",
    ("stricter", ("nginx",), ("in-name:*", "name-begin:*", "name-end:*", "a name with an underscore")):
        "nginx leaves out headers whose names are no tokens and serves the rest; here the message is malformed.",
    ("stricter", ("haproxy",), ("in-name:5[af]", "name-begin:5[af]", "name-end:5[af]", "in-trailer-name:5[af]",
                                "a name with an underscore", "the same in trailers")):
        "An underscore is a matter of policy here, and refused unless it says otherwise; and Z is in upper case.",
    ("stricter", PEERS, ("in-path:*", "in-query:*", "the target /*")):
        "A target has the characters of RFC 3986 and whole escapes, and no fragment: it has one normal form.",
    ("stricter", ("haproxy",), ("the target [*]*",)):
        "The asterisk is OPTIONS' alone (RFC 9113 8.3.1), and no route takes it.",
    ("stricter", PEERS, ("in-authority:*", "in-host:*", "the site *", "a colon in :authority")):
        "A site is a name or address and a port, and nothing else: user names, lists and escapes have two readings.",
    ("stricter", ("haproxy",), ("two sites", "two ports", "a site twice by host", "an empty host", ":authority missing",
                                ":authority empty", "* in host")):
        "A request names one site, once or twice the same (RFC 9113 8.3.1).",
    ("stricter", PEERS, ("in-method:*",)): "Methods are of capitals and hyphens, as in HTTP/1.",
    ("stricter", ("haproxy",), ("in-length:*", "length-end:*", "* behind a length", "length '4, 4' of 4", "lengths that agree",
                                "a length and *")):
        "A length is one number, and content is as long (RFC 9113 8.1.1).",
    ("stricter", ("nginx",), ("in-te:*", "* in a head: *", "transfer-encoding and a request")):
        "Headers of a connection make a message malformed (RFC 9113 8.2.2); nginx leaves them out.",
    ("stricter", PEERS, ("expect",)): "An expectation that is not known is refused (RFC 9110 10.1.1).",
    ("stricter", ("nginx",), (":* late",)): "Pseudo-headers come before the headers (RFC 9113 8.3).",
    ("stricter", ("haproxy",), ("CONNECT", "a tunnel *")):
        "Nobody's tunnels but those to websocket pass here, and what their heads may say is RFC 8441's.",
}

Taken = collections.namedtuple("Taken", "method body")
REFUSED, WAITS = "refused", "waits"


def ask(port, sent):
    outcome = WAITS
    for idle_s in IDLES_S:
        if outcome == WAITS:
            outcome = ask_once(port, sent, idle_s)
    return outcome


def ask_once(port, sent, idle_s):
    with Frames(port, greets=False) as client:
        client.send(sent)
        stream = client.stream(1)
        try:
            client.until(lambda: stream.is_over or (client.goaway or "NO_ERROR") != "NO_ERROR", idle_s)
        except AssertionError:
            return WAITS
        seen = dict(stream.headers).get("x-seen")
        return Taken(*json.loads(base64.b64decode(seen))) if seen and stream.is_ended else REFUSED


def kind_of(ours, theirs):
    if ours == theirs:
        return None
    if ours == REFUSED:
        return "stricter"
    return "looser" if theirs == REFUSED else "boundaries"


class Run:
    def __init__(self, folder):
        self.outcomes = {}
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        self.recorders = {name: subjects.Recorder() for name in ("tollgate", *PEERS)}
        for recorder in self.recorders.values():
            asyncio.run_coroutine_threadsafe(recorder.start(), loop).result(20)
        stops = []
        try:
            for name, port, stop in self._start(folder):
                stops.append(stop)
                with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
                    outcomes = pool.map(lambda sent, port=port: ask(port, sent), VECTORS.values())
                    self.outcomes[name] = dict(zip(VECTORS, outcomes))
        finally:
            for stop in stops:
                stop()
            asyncio.run_coroutine_threadsafe(self._end(), loop).result(20)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    async def _end(self):
        for recorder in self.recorders.values():
            recorder.stop()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _start(self, folder):
        manifests = world(backend("a", self.recorders["tollgate"].port), route("r", rule("a")),
                          client_policy("c", http2={"onInvalidMessage": "TerminateStream"}))
        gateway = Gateway(folder / "gateway", manifests).start()
        yield "tollgate", gateway.port(), gateway.stop
        for name in PEERS:
            (folder / name).mkdir()
            peer = subjects.start_peer(name, folder / name, self.recorders[name].port, is_http2=True)
            yield name, peer.port, peer.stop

    def differences(self):
        for name in VECTORS:
            for peer in PEERS:
                ours, theirs = self.outcomes["tollgate"][name], self.outcomes[peer][name]
                if kind := kind_of(ours, theirs):
                    yield (kind, peer, name), ours, theirs


@pytest.fixture(scope="module", name="by_h2")
def run_by_h2(tmp_path_factory):
    return Run(tmp_path_factory.mktemp("differential-h2"))


def explains(row, difference):
    kind, peers, names = row
    return (kind == difference[0] and difference[1] in peers
            and any(fnmatch.fnmatchcase(difference[2], name) for name in names))


def test_there_are_thousands_of_them(by_h2):
    assert len(VECTORS) > 5000
    for name, outcomes in by_h2.outcomes.items():
        assert outcomes["in-value:61"] == Taken("GET", "") and outcomes["a length that is right"] == Taken("POST", b"body".hex()), name


def test_what_the_gateway_passes_on_by_http1_has_one_reading(by_h2):
    assert not by_h2.recorders["tollgate"].doubts, by_h2.recorders["tollgate"].doubts[:5]


def test_every_difference_by_h2_is_explained(by_h2):
    unexplained = [(difference, str(ours), str(theirs)) for difference, ours, theirs in by_h2.differences()
                   if not any(explains(row, difference) for row in DIFFERENCES)]
    assert not unexplained, "\n".join(map(str, unexplained[:100])) + f"\n{len(unexplained)}; the readers: {subjects.versions()}"


def test_everything_that_is_explained_by_h2_still_differs(by_h2):
    differences = [difference for difference, _, _ in by_h2.differences()]
    unused = [(kind, peers, name) for kind, peers, names in DIFFERENCES for name in names
              if not any(explains((kind, peers, (name,)), difference) for difference in differences)]
    assert not unused, f"{unused}; the readers: {subjects.versions()}"
