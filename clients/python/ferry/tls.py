"""TLS 1.3 to a server that is known by its key and not by a certificate authority; and the bytes that bind a login to it.

Python's `ssl` has no exporter (RFC 8446, section 7.5). What it has is `keylog_filename`, and OpenSSL writes EXPORTER_SECRET there,
from which the exporter is two steps of HKDF. The "file" is a pipe of this process, so no secret touches a disk.
"""
import hashlib
import hmac
import os
import ssl

from .errors import FerryError, ProtocolError

ALPN = "ferry/1"
LABEL = b"EXPORTER-Channel-Binding"
BINDING_BYTES = 32
KEYLOG_BYTES = 65536


def wrap(sock):
    """The encrypted socket, the fingerprint of the server's key, and the 32 bytes of the channel. Nothing is trusted yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Some versions of Python take an end without `close_notify` for a right one unless they are told otherwise.
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    # No authority vouches for the key: the caller compares its fingerprint. That the server has the key is checked all the same.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols([ALPN])
    readable, writable = os.pipe()
    try:
        try:
            context.keylog_filename = f"/dev/fd/{writable}"
        except (OSError, AttributeError) as error:
            raise FerryError("unsupported", "this Python cannot bind a login to TLS: it needs /dev/fd and OpenSSL 1.1.1") from error
        try:
            wrapped = context.wrap_socket(sock)
        except ssl.SSLError as error:
            raise ProtocolError("unsupported", f"no TLS 1.3 with this server: {error.reason or error}") from error
        context.keylog_filename = None
        os.close(writable)
        writable = None
        log = os.read(readable, KEYLOG_BYTES)
    finally:
        os.close(readable)
        if writable is not None:
            os.close(writable)
    try:
        if wrapped.selected_alpn_protocol() != ALPN:
            raise ProtocolError("unsupported", "the server does not speak this protocol")
        return wrapped, fingerprint(wrapped.getpeercert(binary_form=True)), exporter(log, wrapped.cipher()[0])
    except BaseException:
        wrapped.close()
        raise


def exporter(log, cipher):
    """TLS-Exporter(LABEL, "", 32) from what OpenSSL has logged."""
    secrets = [line.split()[2] for line in log.splitlines() if line.startswith(b"EXPORTER_SECRET ")]
    if len(secrets) != 1:
        raise FerryError("unsupported", "this Python's OpenSSL does not tell the secret that a login is bound to")
    hash_name = "sha384" if cipher.endswith("SHA384") else "sha256"
    nothing = hashlib.new(hash_name).digest()
    derived = _expand_label(hash_name, bytes.fromhex(secrets[0].decode()), LABEL, nothing, len(nothing))
    return _expand_label(hash_name, derived, b"exporter", nothing, BINDING_BYTES)


def _expand_label(hash_name, secret, label, context, size):
    label = b"tls13 " + label
    info = size.to_bytes(2, "big") + bytes([len(label)]) + label + bytes([len(context)]) + context
    # One block of HKDF-Expand is enough: `size` is never more than a hash.
    return hmac.new(secret, info + b"\1", hash_name).digest()[:size]


def fingerprint(certificate):
    """SHA-256 of the SubjectPublicKeyInfo of a certificate in DER."""
    return "sha256:" + hashlib.sha256(_public_key_info(certificate or b"")).hexdigest()


def _public_key_info(certificate):
    try:
        _, body, _ = _der(certificate, 0, 0x30)
        _, at, end = _der(certificate, body, 0x30)
        if certificate[at] == 0xA0:
            at = _der(certificate, at, 0xA0)[2]
        # Serial number, signature, issuer, validity, subject.
        for tag in (0x02, 0x30, 0x30, 0x30, 0x30):
            at = _der(certificate, at, tag)[2]
        start, _, stop = _der(certificate, at, 0x30)
        if stop > end:
            raise ValueError
        return certificate[start:stop]
    except (IndexError, ValueError):
        raise ProtocolError("bad_request", "the server's certificate cannot be read") from None


def _der(data, at, tag):
    """Where the element at `at` starts, where its contents start, and where it ends."""
    if data[at] != tag:
        raise ValueError
    length, inner = data[at + 1], at + 2
    if length >= 0x80:
        width = length & 0x7F
        if not 1 <= width <= 4:
            raise ValueError
        length, inner = int.from_bytes(data[inner:inner + width], "big"), inner + width
    if inner + length > len(data):
        raise ValueError
    return at, inner, inner + length
