"""Password files made on the spot, and the header that carries a pair (RFC 7617)."""
import base64
import crypt
import hashlib

from .manifests import secret

METHODS = {"bcrypt": crypt.METHOD_BLOWFISH, "sha256": crypt.METHOD_SHA256, "sha512": crypt.METHOD_SHA512}


def hashed(password, scheme="bcrypt", rounds=None):
    if scheme == "sha1":
        return "{SHA}" + base64.b64encode(hashlib.sha1(password.encode()).digest()).decode()
    rounds = rounds or (16 if scheme == "bcrypt" else 1000)
    return crypt.crypt(password, crypt.mksalt(METHODS[scheme], rounds=rounds))


def htpasswd(name="users", scheme="bcrypt", rounds=None, **users):
    """A Secret with one line per user; '_' in a name stands for '-'."""
    lines = [f"{user.replace('_', '-')}:{hashed(password, scheme, rounds)}\n" for user, password in users.items()]
    return secret(name, **{".htpasswd": "".join(lines)})


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
