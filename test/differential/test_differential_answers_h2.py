"""The same answers by HTTP/2, byte for byte the same frames, to Tollgate, HAProxy and nginx (its module for gRPC, the only
one of it that speaks HTTP/2 to backends): who takes them to a client of HTTP/1, and with which content. Named cases, and
every byte at every kind of place. Every difference is explained in DIFFERENCES, and everything that is explained there
still differs."""
import asyncio
import collections
import dataclasses
import fnmatch
import typing

import pytest

import answer_subjects
import subjects
from play import frames as f
from play.gateway import Gateway
from play.manifests import backend, path, route, rule, world

PEERS = ("nginx", "haproxy")
H2C = {"appProtocols": ["gateway.envoyproxy.io/h2c"]}
OK = (":status", "200")
STOLEN = b"stolen"


@dataclasses.dataclass(frozen=True)
class Vector:
    """`make(stream)`: the frames that answer it."""
    name: str
    make: typing.Callable
    asked: str = "get"
    ends: bool = False
    late: bytes = b""

    @property
    def data(self):
        return self.make(1)


def head(*fields, end=True):
    return lambda s: f.headers(s, *fields, end=end)


def whole(*fields, content=b"hello", status=OK):
    return lambda s: f.headers(s, status, *fields, end=False) + f.data(s, content, end=True)


def trailers(*fields, end=True):
    return lambda s: f.headers(s, OK, end=False) + f.data(s, b"hello") + f.headers(s, *fields, end=end)


def joined(*parts):
    return lambda s: b"".join(part(s) for part in parts)


def next_stream(part, by=2):
    return lambda s: part(s + by)


def content(data, end=True):
    return lambda s: f.data(s, data, end=end)


# Where any byte may stand.
PLACES = {
    "in-name": lambda c: whole((b"x" + c + b"a", "b")),
    "name-begin": lambda c: whole((c + b"xa", "b")),
    "name-end": lambda c: whole((b"xa" + c, "b")),
    "in-value": lambda c: whole(("x-a", b"a" + c + b"b")),
    "value-begin": lambda c: whole(("x-a", c + b"b")),
    "value-end": lambda c: whole(("x-a", b"b" + c)),
    "in-status": lambda c: whole(status=(":status", b"2" + c + b"0")),
    "status-end": lambda c: whole(status=(":status", b"200" + c)),
    "status-last": lambda c: whole(status=(":status", b"20" + c)),
    "in-length": lambda c: whole(("content-length", c + b"5")),
    "length-end": lambda c: whole(("content-length", b"5" + c)),
    "in-trailer-name": lambda c: trailers((b"x" + c + b"a", "b")),
    "in-trailer-value": lambda c: trailers(("x-a", b"a" + c + b"b")),
}
EARLY = head((":status", "103"), ("link", "</a>"), end=False)
ANSWER = whole(("content-length", "6"), content=STOLEN)
PUSH = lambda s: f.frame(f.PUSH_PROMISE, f.END_HEADERS, s, b"\0\0\0\2" + f.block(*f.request_fields("/lane-0/again")))  # noqa: E731
NAMED = {
    "plain": whole(), "a length that is right": whole(("content-length", "5")), "trailers": trailers(("x-a", "1")),
    "an interim answer": joined(EARLY, whole()), "a 204": head((":status", "204")), "a 304": head((":status", "304")),
    "a 304 with a length": head((":status", "304"), ("content-length", "5")), "nothing in it": head(OK),
    "no status": whole(status=("x-a", "1")), "two statuses": whole(OK), "two that differ": whole((":status", "404")),
    "the status late": whole(OK, status=("x-a", "1")), "a path": whole((":path", "/")), "a method": whole((":method", "GET")),
    "an unknown pseudo-header": whole((":a", "1")), "a protocol": whole((":protocol", "websocket")),
    **{f"status {value!r}": whole(status=(":status", value)) for value in
       ("", "0", "20", "99", "099", "000", "600", "999", "1000", "2000", "0200", "+20", "-20", "2.0", "200 OK", "65736")},
    "a 101": whole(status=(":status", "101")), "a 101 without content": head((":status", "101"), end=False),
    "an interim answer that ends the stream": head((":status", "103")),
    "an interim answer with content": joined(EARLY, content(b"hello", end=False), whole()),
    "an interim answer with a length": joined(head((":status", "103"), ("content-length", "5"), end=False), whole()),
    "an interim answer with a length of zero": joined(head((":status", "103"), ("content-length", "0"), end=False), whole()),
    "interim answers by the hundred": joined(*[EARLY] * 300, whole()),
    "an interim answer alone": EARLY, "a head alone": head(OK, end=False),
    "content before the head": joined(content(b"hello", end=False), whole()), "content alone": content(b"hello"),
    "content of a 204": whole(status=(":status", "204")), "content of a 304": whole(status=(":status", "304")),
    "a 204 with a length": head((":status", "204"), ("content-length", "5")),
    "a 205 with content": whole(status=(":status", "205")),
    "a length that is too long": whole(("content-length", "6")), "a length that is too short": whole(("content-length", "3")),
    "a length and nothing": head(OK, ("content-length", "5")), "a length that is far too long": whole(("content-length", "9" * 40)),
    "lengths that agree": whole(("content-length", "5"), ("content-length", "5")),
    "lengths that differ": whole(("content-length", "5"), ("content-length", "6")),
    **{f"length {value!r}": whole(("content-length", value)) for value in
       ("5, 5", "+5", "-5", "0x5", "5.0", "", "18446744073709551621", "05")},
    **{f"{name}: {value}": whole((name, value)) for name, value in
       (("connection", "close"), ("connection", "keep-alive"), ("keep-alive", "timeout=5"), ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"), ("transfer-encoding", "identity"), ("upgrade", "h2c"), ("te", "trailers"), ("te", "gzip"),
        ("X-Upper", "1"), ("", "1"), ("content_length", "3"), ("transfer_encoding", "chunked"), ("x_a", "1"), ("host", "b"))},
    **{f"a trailer {name}: {value}": trailers((name, value)) for name, value in
       ((":status", "200"), ("connection", "close"), ("transfer-encoding", "chunked"), ("content-length", "5"), ("set-cookie", "a=b"),
        ("X-Upper", "1"), ("content_length", "3"))},
    "trailers that do not end it": trailers(("x-a", "1"), end=False),
    "trailers twice": joined(trailers(("x-a", "1"), end=False), head(("x-b", "1"))),
    "a second head": joined(head(OK, end=False), whole()), "a second head in content": joined(head(OK, end=False), content(b"he", end=False), whole()),
    "content behind the end": joined(whole(), content(STOLEN)), "an answer behind the end": joined(whole(), ANSWER),
    "an answer to the next stream": joined(whole(), next_stream(ANSWER)),
    "an answer to the next stream first": joined(next_stream(ANSWER), whole()),
    "an answer to an even stream": joined(next_stream(ANSWER, 1), whole()), "an answer to no stream": joined(lambda s: ANSWER(0), whole()),
    "a promise": joined(PUSH, whole()), "a promise and its answer": joined(PUSH, lambda s: ANSWER(2), whole()),
    "a reset behind the end": joined(whole(), f.reset), "a reset instead": f.reset,
    "a reset in content": joined(head(OK, end=False), content(b"he", end=False), f.reset),
    "a reset without a fault in content": joined(head(OK, end=False), content(b"he", end=False), lambda s: f.reset(s, 0)),
    "padding that is too long": joined(head(OK, end=False), lambda s: f.frame(f.DATA, f.PADDED | f.END_STREAM, s, b"\xffhello")),
    "padding": joined(head(OK, end=False), lambda s: f.padded(s, b"hello", 3, end=True)),
    "a head in two frames": lambda s: (f.frame(f.HEADERS, 0, s, f.block(OK)) + f.continuation(s, f.block(("x-a", "1")), is_last=True)
                                       + f.data(s, b"hello", end=True)),
    "a head with another frame in it": lambda s: (f.frame(f.HEADERS, 0, s, f.block(OK)) + f.data(s, b"hello")
                                                  + f.continuation(s, b"", is_last=True)),
    "a head that cannot be unpacked": lambda s: f.frame(f.HEADERS, f.END_HEADERS, s, f.indexed(200)),
}
OF_HEAD = {
    "of HEAD": head(OK), "of HEAD with a length": head(OK, ("content-length", "5")), "of HEAD with content": whole(),
    "of HEAD with a length and content": whole(("content-length", "5")),
}
# What every reader must take, and in the same way: no explanation of a difference may stand on these.
GOOD = {"plain", "a length that is right", "trailers", "a 204", "nothing in it", "of HEAD", "of HEAD with a length",
        "a head in two frames", "a 304", "a 304 with a length", "x_a: 1", "in-value:61", "in-name:61", "in-trailer-value:61"}
VECTORS = [*(Vector(f"{place}:{byte:02x}", make(bytes([byte]))) for place, make in PLACES.items() for byte in range(256)),
           *(Vector(name, make) for name, make in NAMED.items()),
           *(Vector(name, make, "head") for name, make in OF_HEAD.items())]

# What ends the whole process of a peer, by a fault of its own: not asked.
ENDS = {"haproxy": {"an interim answer with content", "content alone", "content before the head"}}

# (kind, peers, names): why. Kinds: "stricter", "looser": who refuses; "boundaries": both take it, and it is not the same.
# Made for nginx 1.22 and HAProxy 2.6 (Debian 12). Refusing is the safe side; of what is looser each has a reason why it is
# safe here.
DIFFERENCES = {
    ("looser", ("nginx",), ("an interim answer",)):
        "nginx 1.22 knows no interim answers. Here the answer is the one behind it (RFC 9113 8.1).",
    ("looser", ("nginx",), ("content behind the end", "an answer behind the end", "an answer to the next stream",
                            "a reset behind the end")):
        "The answer is whole before the fault, which ends its connection. nginx takes back what it has not passed on yet.",
    ("looser", ("haproxy",), ("a trailer content-length: 5",)):
        "What only a head may say is left out of trailers (RFC 9110 6.5.1); HAProxy refuses it.",
    ("boundaries", ("haproxy",), ("padding",)):
        "HAProxy 2.6 has no answer for the next client on a connection where a frame of content was padded.",
    ("stricter", PEERS, ("in-value:*", "value-begin:*", "value-end:*", "in-trailer-value:*")):
        "No value has control characters or blanks at its ends (RFC 9113 8.2.1, RFC 9110 5.5); the peers pass them on.",
    ("stricter", ("nginx",), ("in-name:*", "name-begin:*", "name-end:*", "in-trailer-name:*")):
        "Names are tokens (RFC 9113 8.2.1); nginx passes on whatever has no control characters and capitals.",
    ("stricter", ("haproxy",), ("in-name:5a", "name-begin:5a", "name-end:5a", "in-trailer-name:5a")):
        "Names are in lower case (RFC 9113 8.2.1), Z too.",
    ("stricter", PEERS, ("content_length: 3", "transfer_encoding: chunked", "a trailer content_length: 3")):
        "To who reads an underscore as a hyphen these frame the message: they pass in no direction.",
    ("stricter", PEERS, ("status '600'", "status '999'")): "A status is from 100 to 599 (RFC 9110 15).",
    ("stricter", PEERS, ("a 204 with a length", "lengths that agree", "length '5, 5'", "in-length:*", "length-end:*")):
        "A length is one number, content is as long, and a 204 has none (RFC 9113 8.1.1, RFC 9110 8.6).",
    ("stricter", ("nginx",), ("a length and nothing", "a length that is far too long", "length '[+-]5'", "length '0x5'", "length '5.0'",
                              "length ''", "length '18446744073709551621'")):
        "A length is one number, and content is as long. nginx leaves out what it cannot read, and lengths of no content.",
    ("stricter", ("haproxy",), ("an interim answer with a length*",)): "An interim answer has no length (RFC 9110 8.6).",
    ("stricter", ("haproxy",), ("interim answers by the hundred",)): "Interim answers are counted (LIMIT_INTERIM_HEADS).",
    ("stricter", ("haproxy",), ("a protocol",)): "An answer has one pseudo-header, its status (RFC 9113 8.3.2).",
    ("stricter", PEERS, ("te: gzip",)): "Of headers of a connection TE alone may stand here, with trailers (RFC 9113 8.2.2).",
    ("stricter", ("nginx",), ("connection: *", "keep-alive: *", "proxy-connection: *", "transfer-encoding: *", "upgrade: *",
                              "a trailer connection: *", "a trailer transfer-encoding: *")):
        "Headers of a connection make an answer malformed (RFC 9113 8.2.2); nginx leaves them out.",
}


class H2Player(answer_subjects.Player):
    """The backend of one lane, by HTTP/2."""

    async def leave(self):
        await super().leave()
        self._n_asked = 0

    async def open(self):
        await super().open()
        self._n_asked = 0

    async def _serve_all(self, reader, writer):
        is_played = False
        await reader.readexactly(len(f.PREFACE))
        writer.write(f.settings())
        while True:
            start = await reader.readexactly(9)
            await reader.readexactly(int.from_bytes(start[:3], "big"))
            kind, flags, stream = start[3], start[4], int.from_bytes(start[5:], "big")
            if kind in (f.SETTINGS, f.PING) and not flags & f.ACK:
                writer.write(f.settings(ack=True) if kind == f.SETTINGS else f.ping(ack=True))
            elif kind == f.HEADERS:
                self._n_asked += 1
                if self._n_asked > 1:
                    self.is_reused = is_played
                    writer.write(f.headers(stream, OK, ("content-length", "5"), end=False) + f.data(stream, b"again", end=True))
                    continue
                is_played, self._played = True, writer
                writer.write(self.vector.make(stream))


class H2Proxy(answer_subjects.AnswerProxy):
    def _judge(self, vector, seen, told, is_reused):
        """Whether a connection goes on is each one's own affair: it has streams, and none is another's."""
        outcome = super()._judge(vector, seen, told, is_reused)
        return dataclasses.replace(outcome, end="taken") if outcome.end in ("reused", "closed") else outcome


def kind_of(ours, theirs):
    if ours == theirs:
        return None
    if ours.end != "taken":
        return None if theirs.end != "taken" else "stricter"
    return "looser" if theirs.end != "taken" else "boundaries"


class Run:
    def __init__(self, folder):
        self.outcomes = {}
        self.thefts = []
        asyncio.run(self._play(folder))

    async def _play(self, folder):
        for name in ("tollgate", *PEERS):
            players = [H2Player() for _ in range(answer_subjects.N_LANES)]
            for player in players:
                await player.open()
            proxy = self._start(name, folder / name, players)
            try:
                vectors = [vector for vector in VECTORS if vector.name not in ENDS.get(name, ())]
                self.outcomes[name] = dict(zip(vectors, await proxy.ask(vectors)))
                await self._confirm(name, proxy)
            finally:
                for started in (proxy, *players):
                    started.stop()
            if name == "tollgate":
                self.thefts = proxy.thefts
                self.doubts = proxy.doubts

    async def _confirm(self, name, proxy):
        """A busy machine may make anybody silent for a moment."""
        again = [difference[2] for difference, _, _ in self.differences([name])
                 if not any(explains(row, difference) for row in DIFFERENCES)][:10]
        vectors = [vector for vector in VECTORS if vector.name in again]
        self.outcomes[name].update(zip(vectors, await proxy.ask(vectors, is_patient=True)))

    @staticmethod
    def _start(name, folder, players):
        if name != "tollgate":
            folder.mkdir()
            port, stop = (peer := answer_subjects.start_peer(name, folder, players, is_http2=True)).port, peer.stop
            return H2Proxy(name, players, port, stop)
        manifests = world(*[backend(f"lane-{i}", player.port, **H2C) for i, player in enumerate(players)],
                          *[route(f"lane-{i}", rule(f"lane-{i}", matches=[path(f"/lane-{i}")])) for i in range(len(players))])
        gateway = Gateway(folder, manifests, args=["--workers", "1"]).start()
        return H2Proxy(name, players, gateway.port(), gateway.stop)

    def differences(self, peers=PEERS):
        for peer in peers:
            for vector, theirs in self.outcomes[peer].items():
                ours = self.outcomes["tollgate"][vector]
                if kind := kind_of(ours, theirs):
                    yield (kind, peer, vector.name), ours, theirs


def explains(row, difference):
    kind, peers, names = row
    return (kind == difference[0] and difference[1] in peers and difference[2] not in GOOD
            and any(fnmatch.fnmatchcase(difference[2], name) for name in names))


@pytest.fixture(scope="module", name="by_h2")
def run_by_h2(tmp_path_factory):
    return Run(tmp_path_factory.mktemp("answers-h2"))


def test_there_are_thousands_of_them(by_h2):
    assert len(VECTORS) > 3000 and len({vector.name for vector in VECTORS}) == len(VECTORS)
    for name, outcomes in by_h2.outcomes.items():
        for vector, outcome in outcomes.items():
            assert vector.name not in GOOD or outcome == by_h2.outcomes["tollgate"][vector] and outcome.end == "taken", (
                name, vector.name, str(outcome))


def test_no_client_is_told_by_h2_what_is_not_its_own(by_h2):
    assert not by_h2.thefts, by_h2.thefts[:5]


def test_what_the_gateway_passes_on_from_h2_has_one_reading(by_h2):
    assert not by_h2.doubts, by_h2.doubts[:5]


def test_every_difference_by_h2_is_explained(by_h2):
    unexplained = [(difference, str(ours), str(theirs)) for difference, ours, theirs in by_h2.differences()
                   if not any(explains(row, difference) for row in DIFFERENCES)]
    kinds = collections.Counter((kind, peer) for (kind, peer, _), _, _ in unexplained)
    assert not unexplained, "\n".join(map(str, unexplained[:200])) + f"\n{kinds}; the readers: {subjects.versions()}"


def test_everything_that_is_explained_by_h2_still_differs(by_h2):
    differences = [difference for difference, _, _ in by_h2.differences()]
    unused = [(kind, peer, name) for kind, peers, names in DIFFERENCES for peer in peers for name in names
              if not any(explains((kind, (peer,), (name,)), difference) for difference in differences)]
    assert not unused, f"{unused}; the readers: {subjects.versions()}"
