"""A token issuer with every switch a test needs: its key server can be down, slow or talk nonsense,
keys can rotate, and tokens can be wrong in any way."""
import base64
import hashlib
import hmac
import json
import threading
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from .upstream import Answer, Upstream

PATH = "/.well-known/jwks.json"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value, n_bytes=None):
    return b64(value.to_bytes(n_bytes or (value.bit_length() + 7) // 8, "big"))


class Key:
    """One signing key: alg RS256 (and RS/PS), ES256 or EdDSA."""

    def __init__(self, alg="RS256", kid="key-1", bits=2048):
        self.alg, self.kid = alg, kid
        if alg == "EdDSA":
            self.private = ed25519.Ed25519PrivateKey.generate()
        elif alg.startswith("ES"):
            self.private = ec.generate_private_key(
                {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}[alg]())
        else:
            self.private = rsa.generate_private_key(65537, bits)

    @property
    def public_pem(self):
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def jwk(self):
        public = self.private.public_key()
        common = {"kid": self.kid, "use": "sig", "alg": self.alg}
        if self.alg == "EdDSA":
            raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            return {**common, "kty": "OKP", "crv": "Ed25519", "x": b64(raw)}
        numbers = public.public_numbers()
        if self.alg.startswith("ES"):
            size = (public.curve.key_size + 7) // 8
            return {**common, "kty": "EC", "crv": f"P-{public.curve.key_size}",
                    "x": _number(numbers.x, size), "y": _number(numbers.y, size)}
        return {**common, "kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}

    def sign(self, data, alg=None):
        alg = alg or self.alg
        if alg == "EdDSA":
            return self.private.sign(data)
        digest = getattr(hashes, "SHA" + alg[2:])()
        if alg.startswith("ES"):
            size = (self.private.curve.key_size + 7) // 8
            r, s = utils.decode_dss_signature(self.private.sign(data, ec.ECDSA(digest)))
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")
        if alg.startswith("PS"):
            pad = padding.PSS(padding.MGF1(digest), digest.digest_size)
        else:
            pad = padding.PKCS1v15()
        return self.private.sign(data, pad, digest)


class Issuer:
    def __init__(self, name="inference-in-a-box", keys=None):
        self.name = name
        self.keys = keys or [Key()]
        self.mode = "ok"  # ok, down, garbage, error, redirect, slow (waits for `release`)
        self.release = threading.Event()
        self.server = Upstream("issuer")
        self.server.script = self._serve
        self.port = self.server.port

    def _serve(self, request, connection):
        if self.mode == "down":
            connection.reset()
            return None
        if self.mode == "slow":
            self.release.wait(60)
        if self.mode == "redirect":
            return Answer(status=302, headers=[("location", "/elsewhere")])
        if self.mode == "error":
            return Answer(status=500, body=b"broken")
        if self.mode == "garbage":
            return Answer(body=b'{"keys": [{"kty": "RSA", "n": 12}')
        if request.target != PATH:
            return Answer(status=404)
        return Answer(headers=[("content-type", "application/json")],
                      body=json.dumps(self.jwks()).encode())

    def jwks(self):
        return {"keys": [key.jwk() for key in self.keys]}

    @property
    def n_fetches(self):
        return len(self.server.requests)

    def stop(self):
        self.release.set()
        self.server.stop()

    def claims(self, tenant="tenant-a", **changes):
        now = int(time.time())
        claims = {"iss": self.name, "sub": f"user-of-{tenant}", "tenant": tenant, "aud": tenant,
                  "iat": now, "exp": now + 3600, **changes}
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, tenant="tenant-a", key=None, header=None, **changes):
        """A token of that tenant; keyword arguments change claims, None leaves one out."""
        key = key or self.keys[0]
        fields = {"alg": key.alg, "typ": "JWT", "kid": key.kid, **(header or {})}
        fields = {name: value for name, value in fields.items() if value is not None}
        return self.sign(json.dumps(fields), json.dumps(self.claims(tenant, **changes)), key)

    @staticmethod
    def sign(header_text, claims_text, key):
        data = f"{b64(header_text.encode())}.{b64(claims_text.encode())}"
        alg = json.loads(header_text).get("alg")
        return f"{data}.{b64(key.sign(data.encode(), alg if alg != key.alg else None))}"

    def unsigned(self, alg="none"):
        return (f"{b64(json.dumps({'alg': alg, 'typ': 'JWT'}).encode())}."
                f"{b64(json.dumps(self.claims()).encode())}.")

    def confused(self):
        """HS256 with the public key as the shared secret."""
        header = {"alg": "HS256", "typ": "JWT", "kid": self.keys[0].kid}
        data = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(self.claims()).encode())}"
        mac = hmac.new(self.keys[0].public_pem, data.encode(), hashlib.sha256).digest()
        return f"{data}.{b64(mac)}"
