"""Certificates of clients: who is let in, on which host, after which reload, with which ticket, and what backends
learn of them."""
import base64
import hashlib
import http.client
import socket
import ssl
import urllib.parse

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from play.authorizer import Authorizer
from play.certs import Authority, fingerprint
from play.deadline import FACTOR
from play.gateway import tollgate
from play.manifests import (backend, client_policy, config_map, header, http_listener, https_listener, path, route, rule,
                            secret, security_policy, target, tls_secret, to, world)

UPN = "1.3.6.1.4.1.311.20.2.3"
REFUSED = (ssl.SSLError, ConnectionError, http.client.BadStatusLine)
HEADER = "x-forwarded-client-cert"
END = "-----END CERTIFICATE-----\n"


def asking(*refs, **more):
    return {"clientValidation": {"caCertificateRefs": list(refs or [CA]), **more}}


CA = {"kind": "ConfigMap", "name": "ca"}


@pytest.fixture
def theirs():
    """The authority of clients."""
    return Authority("their authority")


@pytest.fixture
def own(tmp_path, theirs):
    """own(names..., of=authority): a file with a client's certificate and key."""
    def make(*names, of=theirs, days=2):
        cert, key = of.leaf(*(names or ("web",)), days=days)
        file = tmp_path / f"own-{len(list(tmp_path.glob('own-*')))}.pem"
        file.write_text(cert + key)
        return file
    return make


def serving(up, authority, theirs, *more, listeners=None, **policy):
    return world(backend("a", up), route("r", rule("a")), tls_secret("cert", authority.leaf("one.test", "two.test")),
                 config_map("ca", **{"ca.crt": theirs.pem}), client_policy("clients", **{"tls": asking(), **policy}), *more,
                 listeners=listeners or [https_listener()])


def ask(gw, context, host="one.test", **more):
    return gw.request("/", port=443, tls=context, host=host, **more)


VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])


# ---- who is let in ----

@VERSIONS
def test_a_certificate_is_required(gateway, upstream, authority, theirs, own, version):
    up = upstream("a")
    gw = gateway(serving(up, authority, theirs))
    assert ask(gw, authority.client(own(), maximum_version=version)).status == 200
    for stranger in (None, own(of=authority), own(of=Authority("their authority"))):
        with pytest.raises(REFUSED):
            ask(gw, authority.client(stranger, maximum_version=version))
    assert len(up.requests) == 1


@pytest.mark.parametrize("how", [{"mode": "VerifyIfGiven"}, {"optional": True}], ids=["mode", "older form"])
def test_a_certificate_may_be_optional_and_is_never_a_strange_one(gateway, upstream, authority, theirs, own, how):
    up = upstream("a")
    gw = gateway(serving(up, authority, theirs, tls=asking(**how),
                         headers={"xForwardedClientCert": {"mode": "SanitizeSet", "certDetailsToAdd": ["Subject"]}}))
    assert ask(gw, authority.client(), headers=[(HEADER, "Hash=0")]).status == 200
    assert up.last.all(HEADER) == []
    assert ask(gw, authority.client(own())).status == 200
    assert 'Subject="CN=web"' in up.last.get(HEADER)
    with pytest.raises(REFUSED):
        ask(gw, authority.client(own(of=authority)))


TELLING = {"xForwardedClientCert": {"mode": "SanitizeSet", "certDetailsToAdd": ["Subject"]}}


@VERSIONS
@pytest.mark.parametrize("refs", [[CA], []], ids=["with authorities", "without"])
@pytest.mark.parametrize("mode", ["Request", "RequireAny"])
def test_an_unverified_certificate_is_let_in_where_it_may_be_and_says_nothing(
        gateway, upstream, authority, theirs, own, mode, refs, version):
    up = upstream("a")
    gw = gateway(serving(up, authority, theirs, tls={"clientValidation": {"mode": mode, "caCertificateRefs": refs}}, headers=TELLING))
    brought = [(HEADER, 'Hash=0;Subject="CN=web"')]
    for file, is_verified in ((own(), bool(refs)), (own(of=authority), False), (own(of=Authority("their authority")), False)):
        client = authority.client(file, maximum_version=version)
        assert ask(gw, client, headers=brought).status == 200
        assert [value.split(";")[1] for value in up.last.all(HEADER)] == (['Subject="CN=web"'] if is_verified else [])
        session, _ = connect(gw, client)
        assert connect(gw, client, session)[1] == is_verified, "what nobody verified is shown again"
        assert len(up.last.all(HEADER)) == is_verified
    if mode == "Request":
        assert ask(gw, authority.client(maximum_version=version), headers=brought).status == 200 and not up.last.all(HEADER)
    else:
        with pytest.raises(REFUSED):
            ask(gw, authority.client(maximum_version=version))
    assert "whatever certificate" in tollgate("check", "-f", gw.manifests).stdout


def test_a_host_that_wants_any_certificate_is_not_reached_without(gateway, upstream, authority, theirs, own):
    up = upstream("a")
    gw = gateway(world(backend("a", up), route("r", rule("a")), tls_secret("cert", authority.leaf("one.test", "two.test")),
                       client_policy("clients", section="two", tls={"clientValidation": {"mode": "RequireAny"}}),
                       listeners=[https_listener("one", hostname="one.test"), https_listener("two", hostname="two.test")]))
    assert ask(gw, authority.client(own()), "two.test", server_name="one.test").status == 421 and not up.requests
    assert ask(gw, authority.client(own()), "two.test").status == 200


@pytest.mark.parametrize("revokes", [False, True])
def test_what_is_revoked_or_of_another_name_says_nothing_where_it_is_let_in(gateway, upstream, authority, theirs, own, revokes):
    up, mine = upstream("a"), own("web")
    kept, tls = revoking(theirs.revocations(*([mine.read_text()] if revokes else [])))
    tls["clientValidation"].update(mode="Request", subjectAltNames={"dnsNames": [{"value": "web" if revokes else "db"}]})
    gw = gateway(serving(up, authority, theirs, kept, tls=tls, headers=TELLING))
    assert ask(gw, authority.client(mine)).status == 200 and up.last.all(HEADER) == []
    assert ask(gw, authority.client(own("web" if revokes else "db"))).status == 200 and len(up.last.all(HEADER)) == 1


def fronted(up, authority, theirs, *more, listeners=None, **frontend):
    made = world(backend("a", up), route("r", rule("a")), tls_secret("cert", authority.leaf("one.test", "two.test")),
                 config_map("ca", **{"ca.crt": theirs.pem}), *more, listeners=listeners or [https_listener()])
    made[1]["spec"]["tls"] = {"frontend": frontend}
    return made


def frontend(*refs, **more):
    return {"validation": {"caCertificateRefs": list(refs or [CA]), **more}}


def test_a_gateway_may_ask_for_certificates_itself(gateway, upstream, authority, theirs, own):
    up = upstream("a")
    gw = gateway(fronted(up, authority, theirs, default=frontend(), perPort=[
        {"port": 444, "tls": frontend(mode="AllowInsecureFallback")}, {"port": 445, "tls": {}}], listeners=[
            http_listener(), https_listener(), https_listener("falls", port=444), https_listener("open", port=445)]))
    strange, good = authority.client(own(of=authority)), authority.client(own())
    assert ask(gw, good).status == 200 and gw.request("/").status == 200
    for client in (authority.client(), strange):
        with pytest.raises(REFUSED):
            ask(gw, client)
        for port in (444, 445):
            assert gw.request("/", port=port, tls=client, host="one.test").status == 200
    said = tollgate("check", "-f", gw.manifests).stdout
    assert "AllowInsecureFallback" not in said and "whatever certificate" in said and "not enforced" not in said


def test_a_policys_word_on_certificates_goes_before_the_gateways(gateway, upstream, authority, theirs, own):
    others = Authority("others")
    policy = client_policy("clients", tls=asking({"kind": "ConfigMap", "name": "others"}))
    gw = gateway(fronted(upstream("a"), authority, theirs, config_map("others", **{"ca.crt": others.pem}), policy,
                         default=frontend()))
    assert ask(gw, authority.client(own(of=others))).status == 200
    with pytest.raises(REFUSED):
        ask(gw, authority.client(own()))


@pytest.mark.parametrize("ref", [{"kind": "ConfigMap", "name": "gone"}, {"kind": "ConfigMap", "name": "empty"}])
def test_a_gateway_whose_authority_is_missing_refuses(gateway, upstream, authority, theirs, own, ref):
    up = upstream("a")
    gw = gateway(fronted(up, authority, theirs, config_map("empty", other="x"), default=frontend(CA, ref)))
    for client in (authority.client(own()), authority.client()):
        assert ask(gw, client).status == 500
    assert not up.requests


def test_authorities_come_from_several_secrets_and_config_maps(gateway, upstream, authority, theirs, own):
    more = Authority("more")
    gw = gateway(serving(upstream("a"), authority, theirs, secret("more", **{"ca.crt": more.pem}),
                         tls=asking(CA, {"name": "more"})))
    assert ask(gw, authority.client(own())).status == 200
    assert ask(gw, authority.client(own(of=more))).status == 200
    with pytest.raises(REFUSED):
        ask(gw, authority.client(own(of=authority)))


def test_an_authority_that_is_none_closes_its_listener_alone(gateway, upstream, authority, theirs, own):
    gw = gateway(serving(
        upstream("a"), authority, theirs, config_map("bad", **{"ca.crt": "hello"}),
        client_policy("bad", section="two", tls=asking({"kind": "ConfigMap", "name": "bad"})),
        listeners=[https_listener("one", hostname="one.test"), https_listener("two", hostname="two.test")]))
    client = authority.client(own())
    assert ask(gw, client).status == 200
    with pytest.raises(REFUSED):
        ask(gw, client, "two.test")


def revoking(text, **more):
    return config_map("revoked", **{"ca.crl": text}), asking(crl={
        "refs": [{"kind": "ConfigMap", "name": "revoked"}], **more})


@VERSIONS
def test_a_revoked_certificate_is_refused_with_a_ticket_too(gateway, upstream, authority, theirs, own, version):
    up, good, bad = upstream("a"), own("good"), own("bad")
    clients = {file: authority.client(file, maximum_version=version) for file in (good, bad)}
    before, tls = revoking(theirs.revocations())
    after, _ = revoking(theirs.revocations(bad.read_text()))
    gw = gateway(serving(up, authority, theirs, before, tls=tls))
    sessions = {file: connect(gw, client)[0] for file, client in clients.items()}
    assert all(connect(gw, clients[file], session)[1] for file, session in sessions.items())
    gw.apply(serving(up, authority, theirs, after, tls=tls))
    assert connect(gw, clients[good])
    for session in (None, sessions[bad]):
        with pytest.raises(REFUSED):
            connect(gw, clients[bad], session)


@pytest.mark.parametrize("is_leaf_only", [False, True], ids=["the whole chain", "the leaf"])
def test_which_certificates_of_a_chain_are_looked_up(gateway, upstream, authority, theirs, own, is_leaf_only):
    """Each needs a list of who signed it; the leaf alone, where only that is looked up."""
    between = Authority("between", of=theirs)
    good, bad = own("good", of=between), own("bad", of=between)
    for file in (good, bad):
        file.write_text(file.read_text() + between.pem)
    up, more = upstream("a"), {"onlyVerifyLeafCertificate": True} if is_leaf_only else {}
    leaf, none_of_its = between.revocations(bad.read_text()), theirs.revocations()

    def made(*lists):
        kept, tls = revoking("".join(lists), **more)
        return serving(up, authority, theirs, kept, tls=tls)

    def is_served(file):
        try:
            return ask(gw, authority.client(file)).status == 200
        except REFUSED:
            return False
    gw = gateway(made(leaf))
    assert (is_served(good), is_served(bad)) == (is_leaf_only, False), "no list of the root"
    gw.apply(made(leaf, none_of_its))
    assert (is_served(good), is_served(bad)) == (True, False)
    gw.apply(made(leaf, theirs.revocations(between.pem)))
    assert (is_served(good), is_served(bad)) == (is_leaf_only, False), "what signed the leaf is revoked"
    gw.apply(made(none_of_its))
    assert (is_served(good), is_served(bad)) == (False, False), "no list of who signed the leaf"


@pytest.mark.parametrize("text", [
    lambda theirs: theirs.revocations(hours=-1), lambda theirs: Authority("other").revocations()],
    ids=["outdated", "of another authority"])
def test_without_a_list_that_holds_nobody_is_let_in(gateway, upstream, authority, theirs, own, text):
    kept, tls = revoking(text(theirs))
    gw = gateway(serving(upstream("a"), authority, theirs, kept, tls=tls))
    with pytest.raises(REFUSED):
        ask(gw, authority.client(own()))


def digests(file):
    """(base64 of the key's SHA-256, hex of the certificate's)."""
    pem = file.read_text().split("-----BEGIN PRIVATE")[0]
    key = x509.load_pem_x509_certificate(pem.encode()).public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(key).digest()).decode(), hashlib.sha256(fingerprint(pem)).hexdigest()


@VERSIONS
@pytest.mark.parametrize("asked, good, bad", [
    ({"dnsNames": [{"value": "Web.test"}]}, ["web.test"], ["web.test.evil", "xweb.test", "*.test", "other"]),
    ({"dnsNames": [{"type": "Suffix", "value": ".team-a.test"}]}, ["x.TEAM-A.test"], ["team-a.test", "x.team-a.test.evil"]),
    ({"uris": [{"type": "Prefix", "value": "spiffe://a/ns/"}]}, ["spiffe://a/ns/b"], ["spiffe://b/ns/", "SPIFFE://a/ns/b"]),
    ({"emailAddresses": [{"value": "a@b.test"}]}, ["a@b.test"], ["c@b.test"]),
    ({"ipAddresses": [{"value": "2001:DB8:0::1"}]}, ["2001:db8::1"], ["2001:db8::2", "192.0.2.1"]),
    ({"ipAddresses": [{"value": "192.0.2.1"}], "dnsNames": [{"value": "a.test"}]}, ["192.0.2.1", "a.test"], ["192.0.2.2", "b.test"]),
    ({"uris": [{"type": "RegularExpression", "value": "spiffe://a/ns/[a-z]+/sa/x"}]}, ["spiffe://a/ns/b/sa/x"],
     ["spiffe://a/ns/b/sa/xy", "xspiffe://a/ns/b/sa/x", "spiffe://a/ns/B/sa/x"]),
    ({"dnsNames": [{"type": "RegularExpression", "value": "(a|b)\\.test"}]}, ["b.test"], ["c.test", "a.test.evil"]),
    ({"dnsNames": [{"type": "RegularExpression", "value": "(a+)+b"}]}, ["aab"], ["a" * 40 + "c"]),  # beyond the match limit
    ({"otherNames": [{"oid": UPN, "type": "Suffix", "value": "@corp.test"}]}, [(UPN, "me@corp.test")],
     [(UPN, "me@corp.test.evil"), ("1.3.6.1.4.1.311.20.2.4", "me@corp.test"), "me@corp.test"]),
    ({"otherNames": [{"oid": UPN, "type": "RegularExpression", "value": "[a-z]+@corp\\.test"}]}, [(UPN, "me@corp.test")],
     [(UPN, "me2@corp.test")]),
])
def test_only_certificates_with_one_of_the_names_are_let_in(gateway, upstream, authority, theirs, own, version, asked, good, bad):
    gw = gateway(serving(upstream("a"), authority, theirs, tls=asking(subjectAltNames=asked)))
    for name in good:
        assert ask(gw, authority.client(own("first.test", name), maximum_version=version)).status == 200, name
    for name in bad:
        with pytest.raises(REFUSED):
            ask(gw, authority.client(own("first.test", name), maximum_version=version))


@pytest.mark.parametrize("names", [{"otherNames": [{"oid": "userPrincipalName", "value": "x"}]}, {},
                                   {"uris": [{"type": "RegularExpression", "value": "("}]}])
def test_names_that_are_none_refuse_all(gateway, upstream, authority, theirs, own, names):
    up = upstream("a")
    gw = gateway(serving(up, authority, theirs, tls=asking(subjectAltNames=names)))
    assert ask(gw, authority.client(own())).status == 500 and not up.requests


@VERSIONS
def test_a_ticket_from_before_the_names_does_not_pass_them(gateway, upstream, authority, theirs, own, version):
    up = upstream("a")
    gw = gateway(serving(up, authority, theirs))
    client = authority.client(own("other.test"), maximum_version=version)
    session, _ = connect(gw, client)
    assert connect(gw, client, session)[1]
    gw.apply(serving(up, authority, theirs, tls=asking(subjectAltNames={"dnsNames": [{"value": "web.test"}]})))
    with pytest.raises(REFUSED):
        connect(gw, client, session)


@VERSIONS
def test_an_expired_certificate_may_be_let_in_and_its_authority_may_not(gateway, upstream, authority, own, version):
    theirs, gone = Authority("their authority"), Authority("gone", days=-1)
    old, of_gone = own("web.test", of=theirs, days=-1), own("web.test", of=gone)
    revoked = own("web.test", of=theirs, days=-1)
    both = config_map("gone", **{"ca.crt": gone.pem})
    kept, tls = revoking(theirs.revocations(revoked.read_text()) + gone.revocations())
    for allows in (False, True):
        rule_ = {**tls, "clientValidation": {**tls["clientValidation"], "allowExpiredCertificate": allows, "caCertificateRefs": [
            CA, {"kind": "ConfigMap", "name": "gone"}]}}
        gw = gateway(serving(upstream("a"), authority, theirs, both, kept, tls=rule_))
        client = authority.client(old, maximum_version=version)
        assert connect(gw, authority.client(own(of=theirs), maximum_version=version))
        if allows:
            session, _ = connect(gw, client)
            assert connect(gw, client, session)[1], "with a ticket too"
        else:
            with pytest.raises(REFUSED):
                connect(gw, client)
        for other in (of_gone, revoked):
            with pytest.raises(REFUSED):
                connect(gw, authority.client(other, maximum_version=version))


@VERSIONS
@pytest.mark.parametrize("how", ["key", "certificate", "colons", "either"])
def test_only_pinned_certificates_are_let_in(gateway, upstream, authority, theirs, own, how, version):
    good, other = own("good"), own("other")
    key, certificate = digests(good)
    colons = ":".join(certificate[i:i + 2] for i in range(0, 64, 2)).upper()
    pins = {"key": {"spkiHashes": [key]}, "certificate": {"certificateHashes": [certificate]},
            "colons": {"certificateHashes": [colons]},
            "either": {"spkiHashes": [key], "certificateHashes": ["0" * 64]}}[how]
    gw = gateway(serving(upstream("a"), authority, theirs, tls=asking(**pins)))
    assert ask(gw, authority.client(good, maximum_version=version)).status == 200
    with pytest.raises(REFUSED):
        ask(gw, authority.client(other, maximum_version=version))


def test_plain_listeners_of_the_policy_are_named(gateway, upstream, authority, theirs, own):
    up = upstream("a")
    gw = gateway(serving(up, authority, theirs, listeners=[http_listener(), https_listener()]))
    assert gw.request("/").status == 200
    assert 'listener "http" has no TLS' in tollgate("check", "-f", gw.manifests).stdout


# ---- no way around ----

def two_hosts(up, authority, theirs):
    """one.test asks nobody, two.test asks for a certificate."""
    return [*world(backend("a", up), route("r", rule("a")), tls_secret("cert", authority.leaf("one.test", "two.test")),
                   config_map("ca", **{"ca.crt": theirs.pem}), client_policy("clients", section="two", tls=asking()),
                   listeners=[https_listener("one", hostname="one.test"), https_listener("two", hostname="two.test")])]


def test_a_host_that_asks_is_not_reached_by_the_name_of_one_that_does_not(gateway, upstream, authority, theirs, own):
    up = upstream("a")
    gw = gateway(two_hosts(up, authority, theirs))
    for client in (authority.client(), authority.client(own())):
        reply = ask(gw, client, "two.test", server_name="one.test")
        assert (reply.status, reply.code) == (421, "misdirected_request")
    with pytest.raises(REFUSED):
        ask(gw, authority.client(), "two.test")
    assert not up.requests
    assert ask(gw, authority.client(own()), "two.test").status == 200
    assert ask(gw, authority.client(), "one.test").status == 200


def test_a_connection_from_before_the_rule_does_not_pass_it(gateway, upstream, authority, theirs, own):
    up = upstream("a")
    request = b"GET / HTTP/1.1\r\nHost: one.test\r\n\r\n"
    gw = gateway(serving(up, authority, theirs, tls={"minVersion": "1.2"}))
    with gw.raw(request, port=443, tls=authority.client(), server_name="one.test") as raw:
        assert raw.reply().status == 200
        gw.apply(serving(up, authority, theirs))
        raw.send(request)
        assert raw.reply().status == 421 and raw.is_closed()
    assert len(up.requests) == 1


def connect(gw, context, session=None, host="one.test", port=443):
    """One request; (session, was it resumed)."""
    plain = socket.create_connection(("127.0.0.1", gw.port(port)), timeout=20 * FACTOR)
    with context.wrap_socket(plain, server_hostname=host, session=session) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % host.encode())
        head = sock.recv(12)
        if not head:
            raise ConnectionError("closed")
        assert head == b"HTTP/1.1 200"
        return sock.session, sock.session_reused


@VERSIONS
def test_a_ticket_is_no_certificate(gateway, upstream, authority, theirs, own, version):
    """Not that of a listener which asks for none, nor that of one with other authorities."""
    up, others = upstream("a"), Authority("other authority")
    gw = gateway(serving(
        up, authority, theirs, config_map("others", **{"ca.crt": others.pem}),
        client_policy("others", section="others", tls=asking({"kind": "ConfigMap", "name": "others"})),
        client_policy("open", section="open", tls={"minVersion": "1.2"}),
        listeners=[https_listener("theirs"), https_listener("others", port=444), https_listener("open", port=445)]))
    bare = authority.client(maximum_version=version)
    session, _ = connect(gw, bare, port=445)
    assert connect(gw, bare, session, port=445)[1], "it is worth something where it was made"
    for port in (443, 444):
        with pytest.raises(REFUSED):
            connect(gw, bare, session, port=port)
    known = authority.client(own(), maximum_version=version)
    session, _ = connect(gw, known)
    assert connect(gw, known, session)[1]
    with pytest.raises(REFUSED):
        connect(gw, known, session, port=444)
    assert not connect(gw, known, session, port=445)[1]
    assert len(up.requests) == 5


@VERSIONS
def test_a_ticket_outlives_a_reload_that_leaves_its_rule(gateway, upstream, authority, theirs, own, version):
    up, others = upstream("a"), Authority("other authority")
    made = serving(up, authority, theirs)
    gw = gateway(made, args=["--workers", "4"])
    client = authority.client(own(), maximum_version=version)
    session, _ = connect(gw, client)
    gw.apply([*made, config_map("unrelated", x="y")])
    assert all(connect(gw, client, session)[1] for _ in range(8)), "at every worker"
    gw.apply([o if o.get("metadata", {}).get("name") != "ca" else config_map("ca", **{"ca.crt": others.pem}) for o in made])
    with pytest.raises(REFUSED):
        connect(gw, client, session)


# ---- what backends learn ----

def test_the_header_is_as_envoy_writes_it(gateway, upstream, authority, theirs, own):
    up = upstream("a")
    mine = own("web", "spiffe://a.test/web", "db")
    gw = gateway(serving(up, authority, theirs, headers={"xForwardedClientCert": {
        "mode": "SanitizeSet", "certDetailsToAdd": ["Subject", "URI", "DNS", "Cert"]}}))
    assert ask(gw, authority.client(mine), headers=[(HEADER, "Hash=0;Subject=\"CN=root\"")]).status == 200
    der = fingerprint(mine.read_text().split("-----BEGIN PRIVATE")[0])
    lines = base64.encodebytes(der).decode().replace("\n", "")
    pem = "-----BEGIN CERTIFICATE-----\n" + "".join(lines[i:i + 64] + "\n" for i in range(0, len(lines), 64)) + \
        "-----END CERTIFICATE-----\n"
    for plain, escaped in (("\n", "%0A"), (" ", "%20"), ("+", "%2B"), ("/", "%2F"), ("=", "%3D")):
        pem = pem.replace(plain, escaped)
    assert up.last.all(HEADER) == [
        f'Hash={hashlib.sha256(der).hexdigest()};Cert="{pem}";Subject="CN=web";URI=spiffe://a.test/web;DNS=web;DNS=db']


def test_the_chain_is_told_up_to_its_root(gateway, upstream, authority, theirs, own):
    up, between = upstream("a"), Authority("between", of=theirs)
    far = own(of=between)
    far.write_text(far.read_text() + between.pem)
    gw = gateway(serving(up, authority, theirs, headers={"xForwardedClientCert": {
        "mode": "SanitizeSet", "certDetailsToAdd": ["Chain", "Cert"]}}))
    client = authority.client(own())
    session, _ = connect(gw, client)
    assert connect(gw, client, session)[1]
    for asked in up.requests:
        _, cert, chain = asked.get(HEADER).split(";")
        assert cert.removeprefix("Cert=") == chain.removeprefix("Chain=") and "BEGIN%20CERTIFICATE" in chain
    assert ask(gw, authority.client(far)).status == 200
    _, cert, chain = up.last.get(HEADER).split(";")
    told = urllib.parse.unquote(chain.removeprefix("Chain=").strip('"'))
    assert [fingerprint(pem + END) for pem in told.split(END)[:-1]] == [
        fingerprint(pem) for pem in (far.read_text().split("-----BEGIN PRIVATE")[0], between.pem)]
    assert len(up.requests) == 3


@pytest.mark.parametrize("names, principal", [
    (("web", "spiffe://a.test/web", "db"), "spiffe://a.test/web"), (("web", "db"), "web")])
def test_an_authorizer_by_grpc_learns_whose_certificate_it_is(gateway, upstream, authority, theirs, own, names, principal):
    authorizer = Authorizer()
    try:
        gw = gateway(serving(upstream("a"), authority, theirs, backend("authorizer", authorizer), security_policy(
            "p", target("HTTPRoute", "r"), extAuth={"grpc": {"backendRefs": [to("authorizer")]}})))
        assert ask(gw, authority.client(own(*names))).status == 200
        assert [asked["principal"] for asked in authorizer.questions] == [principal]
    finally:
        authorizer.stop()


@pytest.mark.parametrize("setting", [None, "Sanitize", "ForwardOnly", "AlwaysForwardOnly"])
def test_nothing_is_told_and_nothing_passed_on_unless_asked(gateway, upstream, authority, theirs, own, setting):
    up = upstream("a")
    headers = {"withUnderscoresAction": "Allow", **({"xForwardedClientCert": {"mode": setting}} if setting else {})}
    gw = gateway(serving(up, authority, theirs, headers=headers))
    brought = [(HEADER, "Hash=0"), ("X_Forwarded_Client_Cert", "Hash=1"), ("X-Forwarded_Client-Cert", "Hash=2")]
    assert ask(gw, authority.client(own()), headers=brought).status == 200
    assert not [name for name, _ in up.last.headers if name.lower().replace("_", "-") == HEADER]


def test_a_client_can_neither_unname_the_header_nor_trail_it(gateway, upstream, authority, theirs, own):
    up = upstream("a")
    gw = gateway(serving(up, authority, theirs, headers={"xForwardedClientCert": {"mode": "SanitizeSet"}}))
    client = authority.client(own())
    assert ask(gw, client, headers=[("Connection", HEADER)]).status == 400
    with gw.raw(port=443, tls=client, server_name="one.test") as raw:
        raw.send(f"POST / HTTP/1.1\r\nHost: one.test\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n"
                 f"1\r\nx\r\n0\r\n{HEADER}: Hash=0\r\nx-other: 1\r\n\r\n")
        assert raw.reply().status == 200
    assert len(up.last.all(HEADER)) == 1 and up.last.get(HEADER).startswith("Hash=") and "Hash=0" != up.last.get(HEADER)
    assert HEADER not in str(getattr(up.last, "trailers", ""))


def test_routes_see_the_verified_header_only(gateway, upstream, authority, theirs, own):
    a, b = upstream("a"), upstream("b")
    matched = {**path("/"), "headers": [header(HEADER, ".*CN=web.*", "RegularExpression")]}
    gw = gateway(serving(a, authority, theirs, backend("b", b), route("special", rule("b", matches=[matched])),
                         tls=asking(optional=True),
                         headers={"xForwardedClientCert": {"mode": "SanitizeSet", "certDetailsToAdd": ["Subject"]}}))
    assert ask(gw, authority.client(own())).json["upstream"] == "b"
    assert ask(gw, authority.client(), headers=[(HEADER, 'Subject="CN=web"')]).json["upstream"] == "a"


# ---- versions and ciphers of the policy ----

def test_the_policy_says_versions_and_ciphers_before_the_listener(gateway, upstream, authority, theirs):
    gw = gateway(serving(
        upstream("a"), authority, theirs, tls={"minVersion": "1.2", "maxVersion": "1.2",
                                               "ciphers": ["ECDHE-ECDSA-AES256-GCM-SHA384"]},
        listeners=[https_listener(options={"tls.min_protocol_version": "TLSv1.3",
                                           "tls.cipher_suites": "ECDHE-ECDSA-AES128-GCM-SHA256"})]))
    with gw.raw(port=443, tls=authority.client(), server_name="one.test") as raw:
        assert (raw.sock.version(), raw.sock.cipher()[0]) == ("TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384")


def test_a_policy_never_lowers_below_1_2(gateway, upstream, authority, theirs):
    gw = gateway(serving(upstream("a"), authority, theirs, tls={"minVersion": "1.0"}))
    assert ask(gw, authority.client(maximum_version=ssl.TLSVersion.TLSv1_2)).status == 200
    old = authority.client()
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(REFUSED):
        ask(gw, old)


def test_a_policy_whose_lowest_version_is_above_the_highest_refuses(gateway, upstream, authority, theirs):
    up = upstream("a")
    gw = gateway(serving(up, authority, theirs, tls={"minVersion": "1.3", "maxVersion": "1.2"}))
    assert ask(gw, authority.client()).status == 500
    assert not up.requests


def test_a_policy_with_a_cipher_that_is_not_known_closes_its_listener_alone(gateway, upstream, authority, theirs):
    gw = gateway(serving(
        upstream("a"), authority, theirs, tls={"minVersion": "1.2"}, listeners=[
            https_listener("one", hostname="one.test"), https_listener("two", hostname="two.test")]) +
        [client_policy("bad", section="two", tls={"ciphers": ["NO-SUCH-CIPHER"]})])
    assert ask(gw, authority.client()).status == 200
    with pytest.raises(REFUSED):
        ask(gw, authority.client(), "two.test")
