"""Logging in (PROTOCOL.md, section 5): SCRAM-SHA-256(-PLUS), FERRY-HMAC-MD5 and FERRY-TOKEN, as text in and text out."""
import base64
import binascii
import hashlib
import hmac
import re
import secrets
import stringprep
import unicodedata

from .argon2 import argon2id
from .errors import FerryError, ProtocolError

SCRAM, SCRAM_PLUS, MD5, TOKEN = "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "FERRY-HMAC-MD5", "FERRY-TOKEN"
NUMBER = r"(0|[1-9][0-9]{0,9})"
BASE64 = r"([A-Za-z0-9+/]+={0,2})"
# Printable ASCII without the comma.
NONCE = r"r=([\x21-\x2b\x2d-\x7e]{1,512})"
CHALLENGES = {
    SCRAM: re.compile(NONCE + ",s=" + BASE64 + ",i=" + NUMBER + r"(,(?!m=)[A-Za-z]=[^,]*)*"),
    MD5: re.compile(NONCE + ",s=" + BASE64 + ",k=" + NUMBER + ",t=" + NUMBER + ",l=" + NUMBER + r"(,(?!m=)[A-Za-z]=[^,]*)*"),
    TOKEN: re.compile(NONCE + r"(,(?!m=)[A-Za-z]=[^,]*)*"),
}
TOKEN_TEXT = re.compile(r"ferry-token-v1:([0-9a-f]{16}):([A-Za-z0-9_-]{43})")
OWN_NONCE_BYTES = 24
LEAST_NONCE, MOST_NONCE = 8, 256
LEAST_LONG_NONCE = 22
SALT_BYTES = (8, 64)
ITERATIONS = (4096, 10_000_000)
MEMORY_KIB, PASSES, LANES = (19456, 262144), (2, 16), (1, 4)


def refused(why):
    return FerryError("login_refused", why, "do not log in to this server before you know why")


def saslprep(text):
    """RFC 4013, for stored strings."""
    mapped = "".join(" " if stringprep.in_table_c12(c) else c for c in text if not stringprep.in_table_b1(c))
    out = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    forbidden = (stringprep.in_table_c12, stringprep.in_table_c21_c22, stringprep.in_table_c3, stringprep.in_table_c4,
                 stringprep.in_table_c5, stringprep.in_table_c6, stringprep.in_table_c7, stringprep.in_table_c8,
                 stringprep.in_table_c9, stringprep.in_table_a1)
    if any(table(c) for c in out for table in forbidden):
        raise FerryError("bad_request", "a name or password with a character that SASLprep forbids")
    if any(stringprep.in_table_d1(c) for c in out):
        if any(stringprep.in_table_d2(c) for c in out) or not (stringprep.in_table_d1(out[0]) and stringprep.in_table_d1(out[-1])):
            raise FerryError("bad_request", "a name or password that mixes directions of writing")
    return out


def parse_token(text):
    """Id and secret of a saved login."""
    text = text.strip()
    if text.startswith("ferry-token-v") and not text.startswith("ferry-token-v1:"):
        raise FerryError("unsupported", "a saved login of another version")
    match = TOKEN_TEXT.fullmatch(text)
    if not match:
        raise FerryError("bad_request", "this is no saved login")
    secret = base64.urlsafe_b64decode(match[2] + "=")
    if base64.urlsafe_b64encode(secret).rstrip(b"=").decode() != match[2]:
        raise FerryError("bad_request", "this is no saved login")
    return match[1], secret


class Login:
    """One login. `channel` are the 32 exported bytes, or b"" without TLS; `token` is a saved login in place of name and password."""

    def __init__(self, user="", password="", channel=b"", token=None, nonce=None):
        self.channel = channel
        self.token = token
        self.password = password
        self.nonce = nonce or base64.b64encode(secrets.token_bytes(OWN_NONCE_BYTES)).decode()
        self.header = "p=tls-exporter,," if channel else "n,,"
        if token:
            self.opening = TOKEN
            name = parse_token(token)[0]
        else:
            self.opening = SCRAM_PLUS if channel else SCRAM
            name = saslprep(user).replace("=", "=3D").replace(",", "=2C")
            if not name:
                raise FerryError("bad_request", "a login needs a name")
        self.bare = f"n={name},r={self.nonce}"
        # The mechanism that the challenge asked for, once it has come.
        self.mechanism = None
        self._proof = None

    def first(self):
        return (self.header + self.bare).encode()

    def answer(self, mechanism, challenge, md5_allowed=True):
        """What answers `challenge`; `mechanism` is the one that the server names, or None."""
        mechanism = mechanism or self.opening
        if mechanism != self.opening and not (mechanism == MD5 and not self.token):
            raise refused("the server asks for another way to log in than it may")
        if mechanism == MD5 and not md5_allowed:
            raise refused("the server asks for the MD5 method, but this account has logged in by SCRAM before")
        try:
            challenge = challenge.decode("utf-8")
        except UnicodeDecodeError:
            raise ProtocolError("bad_request", "a challenge that is no text") from None
        match = CHALLENGES[SCRAM if mechanism == SCRAM_PLUS else mechanism].fullmatch(challenge)
        if not match:
            raise ProtocolError("bad_request", "a challenge of another form")
        self._check_nonce(match[1], mechanism)
        binding = base64.b64encode(self.header.encode() + self.channel).decode()
        closing = f"c={binding},r={match[1]}"
        label, algorithm, key = self._key(mechanism, match)
        text = f"{label}{self.bare},{challenge},{closing}".encode()

        def mac(k, message):
            return hmac.new(k, message, algorithm).digest()
        client_key, server_key = mac(key, b"Client Key"), mac(key, b"Server Key")
        signature = mac(_hash(algorithm, client_key), text)
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        self._proof = mac(server_key, text)
        self.mechanism = mechanism
        return f"{closing},p={base64.b64encode(proof).decode()}".encode()

    def check_welcome(self, data):
        """Whether the server knows the password too."""
        match = re.fullmatch(rb"v=([A-Za-z0-9+/]+={0,2})(,.*)?", data, re.S)
        if self._proof is None or not match or not hmac.compare_digest(match[1], base64.b64encode(self._proof)):
            raise refused("the server could not prove that it knows this account")

    def _check_nonce(self, nonce, mechanism):
        added = len(nonce) - len(self.nonce)
        least = 1 if mechanism in (SCRAM, SCRAM_PLUS) else LEAST_LONG_NONCE
        if not nonce.startswith(self.nonce) or added < least or added > MOST_NONCE:
            raise refused("the server answered with another nonce")

    def _key(self, mechanism, match):
        if mechanism == TOKEN:
            return "FERRY-TOKEN,", "sha256", hmac.new(parse_token(self.token)[1], b"FERRY-TOKEN", "sha256").digest()
        salt = _base64(match[2])
        _within("salt", len(salt), SALT_BYTES)
        password = saslprep(self.password).encode()
        if mechanism == MD5:
            costs = [int(match[i]) for i in (3, 4, 5)]
            if costs[2] == 0:
                raise ProtocolError("bad_request", "a challenge of another form")
            for what, cost, bounds in zip(("memory", "passes", "lanes"), costs, (MEMORY_KIB, PASSES, LANES)):
                _within(what, cost, bounds)
            return "FERRY-HMAC-MD5,", "md5", argon2id(password, salt, *costs)
        iterations = int(match[3])
        _within("iterations", iterations, ITERATIONS)
        return "", "sha256", hashlib.pbkdf2_hmac("sha256", password, salt, iterations)


def _hash(algorithm, data):
    return hashlib.new(algorithm, data, usedforsecurity=False).digest()


def _within(what, value, bounds):
    if not bounds[0] <= value <= bounds[1]:
        raise refused(f"the server asks for {what} {value}, which is out of bounds")


def _base64(text):
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ProtocolError("bad_request", "a challenge of another form") from None
