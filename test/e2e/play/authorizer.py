"""An authorizer by gRPC (Envoy's envoy.service.auth.v3.Authorization/Check). Messages are written and read field by
field, for no package of Debian has their definitions."""
from play.grpc_server import GrpcServer

CHECK = "/envoy.service.auth.v3.Authorization/Check"


def number(field, value):
    """A number with its field's."""
    out = b""
    for rest in (field << 3, value):
        while rest >= 0x80:
            out, rest = out + bytes([rest & 0x7F | 0x80]), rest >> 7
        out += bytes([rest])
    return out


def part(field, content):
    """A text or a message with its field's number."""
    content = content.encode() if isinstance(content, str) else content
    return number(field, len(content)).replace(bytes([field << 3]), bytes([field << 3 | 2]), 1) + content


def fields(message):
    """{number: [values]}"""
    found, at = {}, 0

    def take():
        nonlocal at
        value = shift = 0
        while True:
            byte, at, = message[at], at + 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key, value = take(), take()
        if key & 7 == 2:
            value, at = message[at:at + value], at + value
        found.setdefault(key >> 3, []).append(value)
    return found


def entries(items):
    """A map."""
    return {pair.get(1, [b""])[0].decode(): pair.get(2, [b""])[0].decode() for pair in map(fields, items)}


def header(name, value, append=None):
    option = part(1, part(1, name) + part(2, value))
    return option + (part(2, number(1, 1) if append else b"") if append is not None else b"")


def yes(*headers, remove=(), answer=(), **more):
    ok = b"".join(part(2, h) for h in headers) + b"".join(part(5, n) for n in remove) + b"".join(part(6, h) for h in answer)
    return part(1, b"") + part(3, ok + more.get("more", b""))


def no(status=403, *headers, body=""):
    return part(1, number(1, 7)) + part(2, part(1, number(1, status)) + b"".join(part(2, h) for h in headers) + part(3, body))


class Authorizer(GrpcServer):
    """Answers every question with `answer`, bytes, or what that returns when it is called with the context."""

    def __init__(self):
        super().__init__("authorizer")
        self.answer = yes()
        self.questions = []  # {"method", "path", "host", "headers", ...} of each
        self.scripts[CHECK] = self.check

    def check(self, requests, context):
        for message in requests:
            attributes = fields(fields(message)[1][0])
            http = fields(fields(attributes[4][0])[2][0])
            names = {2: "method", 4: "path", 5: "host", 6: "scheme", 10: "protocol"}
            asked = {name: http[n][0].decode() for n, name in names.items() if n in http}
            asked["headers"] = entries(http.get(3, []))
            asked["context"] = entries(attributes.get(10, []))
            asked["source"] = fields(fields(fields(attributes[1][0])[1][0])[1][0])[2][0].decode()
            asked["principal"] = fields(attributes[1][0]).get(4, [b""])[0].decode()
            self.questions.append(asked)
            yield self.answer(context) if callable(self.answer) else self.answer
