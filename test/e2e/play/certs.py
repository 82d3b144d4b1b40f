"""Certificates made on the spot: an authority, and leaves signed by it."""
import datetime
import ipaddress
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject, issuer, key, days=2, serial=None):
    now = datetime.datetime.utcnow()
    return (x509.CertificateBuilder().subject_name(_name(subject)).issuer_name(_name(issuer))
            .public_key(key.public_key()).serial_number(serial or x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1) + min(datetime.timedelta(days=days), datetime.timedelta(0)))
            .not_valid_after(now + datetime.timedelta(days=days)))


def _key_pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption()).decode()


class Authority:
    def __init__(self, name="test authority", days=2, of=None):
        """of: the authority that vouches for this one; a root otherwise."""
        self.name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        above = of or self
        cert = (_builder(name, above.name, self._key, days)
                .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
                .sign(above._key, hashes.SHA256()))
        self._cert = cert
        self.pem = cert.public_bytes(serialization.Encoding.PEM).decode()

    def leaf(self, *names, days=2, serial=None):
        """(certificate, key) as PEM, for these DNS names, mail or IP addresses, URIs, or (oid, text) for other names.
        Less than 0 days: expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = []
        for name in names:
            if isinstance(name, tuple):
                text = name[1].encode()
                alternatives.append(x509.OtherName(x509.ObjectIdentifier(name[0]), bytes([12, len(text)]) + text))  # UTF8String
                continue
            if "://" in name:
                alternatives.append(x509.UniformResourceIdentifier(name))
                continue
            if "@" in name:
                alternatives.append(x509.RFC822Name(name))
                continue
            try:
                alternatives.append(x509.IPAddress(ipaddress.ip_address(name)))
            except ValueError:
                alternatives.append(x509.DNSName(name))
        cert = (_builder(names[0], self.name, key, days, serial)
                .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
                .sign(self._key, hashes.SHA256()))
        return cert.public_bytes(serialization.Encoding.PEM).decode(), _key_pem(key)

    def revocations(self, *pems, hours=24):
        """A list of revoked leaves of ours, as PEM, that holds for so long."""
        now = datetime.datetime.utcnow()
        builder = (x509.CertificateRevocationListBuilder().issuer_name(_name(self.name))
                   .last_update(now - datetime.timedelta(hours=48)).next_update(now + datetime.timedelta(hours=hours)))
        for pem in pems:
            serial = x509.load_pem_x509_certificate(pem.encode()).serial_number
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build())
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def ocsp(self, pem, hours=24, is_revoked=False):
        """A response about a leaf of ours, as DER, that holds for so long."""
        now = datetime.datetime.utcnow()
        status = ocsp.OCSPCertStatus.REVOKED if is_revoked else ocsp.OCSPCertStatus.GOOD
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=x509.load_pem_x509_certificate(pem.encode()), issuer=self._cert, algorithm=hashes.SHA1(),
            cert_status=status, this_update=now - datetime.timedelta(hours=48),
            next_update=now + datetime.timedelta(hours=hours), revocation_time=now if is_revoked else None,
            revocation_reason=None).responder_id(ocsp.OCSPResponderEncoding.HASH, self._cert)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def client(self, own=None, **limits):
        """What a client of this authority uses; own: a file with its certificate and key; limits:
        minimum_version and the like."""
        context = ssl.create_default_context(cadata=self.pem)
        if own:
            context.load_cert_chain(own)
        for name, value in limits.items():
            setattr(context, name, value)
        return context

    def server(self, folder, *names):
        """What a server with a leaf for these names uses."""
        cert, key = self.leaf(*names)
        (folder / "server.pem").write_text(cert + key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem")
        return context


def self_signed(name):
    """(certificate, key) as PEM, of a server that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    cert = (_builder(name, name, key, days=90)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .sign(key, hashes.SHA256()))
    return cert.public_bytes(serialization.Encoding.PEM).decode(), _key_pem(key)


def fingerprint(pem):
    """The DER form, to compare what a connection presented."""
    return ssl.PEM_cert_to_DER_cert(pem)
