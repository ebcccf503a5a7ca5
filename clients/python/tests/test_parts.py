"""The parts that need no server: BLAKE3, Argon2id, names, arguments, what is known."""
import os
import stat
import tempfile
import unittest

from ferry import FerryError, KeyRefused, Known, ProtocolError, parse_target, printable
from ferry.argon2 import in_python
from ferry.blake3_py import blake3
from ferry.catalog import check_args, parse_words
from ferry.names import from_wire, is_local_name, to_wire
from ferry.tls import exporter, fingerprint
from ferry.wire import FIELDS

# From BLAKE3's own test_vectors.json: length of the input, first 32 bytes of the hash.
BLAKE3 = {
    0: "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    1: "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
    1023: "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11",
    1024: "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
    1025: "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444",
    2048: "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a",
    2049: "5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030",
    3072: "b98cb0ff3623be03326b373de6b9095218513e64f1ee2edd2525c7ad1e5cffd2",
    3073: "7124b49501012f81cc7f11ca069ec9226cecb8a2c850cfe644e327d22d3e1cd3",
    4096: "015094013f57a5277b59d8475c0501042c0b642e531b0a1c8f58d2163229e969",
    5120: "9cadc15fed8b5d854562b26a9536d9707cadeda9b143978f319ab34230535833",
    6144: "3e2e5b74e048f3add6d21faab3f83aa44d3b2278afb83b80b3c35164ebeca205",
    7168: "61da957ec2499a95d6b8023e2b0e604ec7f6b50e80a9678b89d2628e99ada77a",
    31744: "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47",
    102400: "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085",
}


class Hashes(unittest.TestCase):
    def test_blake3_has_the_published_values(self):
        for size, value in BLAKE3.items():
            data = (bytes(range(251)) * (size // 251 + 1))[:size]
            self.assertEqual(blake3(data).hexdigest(), value, size)

    def test_blake3_does_not_depend_on_how_it_is_fed(self):
        data = bytes(range(256)) * 9000
        whole, pieces = blake3(data), blake3()
        for at in range(0, len(data), 70001):
            pieces.update(data[at:at + 70001])
        copy = pieces.copy()
        self.assertEqual(pieces.hexdigest(), whole.hexdigest())
        copy.update(b"x")
        self.assertEqual(copy.hexdigest(), blake3(data + b"x").hexdigest())

    def test_argon2id_has_the_published_values(self):
        # From the tests of the reference implementation, version 0x13.
        for lanes, value in ((1, "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe"),
                             (2, "6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037")):
            self.assertEqual(in_python(b"password", b"somesalt", 256, 2, lanes).hex(), value)


class Exporter(unittest.TestCase):
    def test_it_is_what_openssl_exports(self):
        # Secrets that OpenSSL logged, and what its own exporter (s_server -keymatexport) printed for the same connections.
        for cipher, secret, exported in (
                ("TLS_CHACHA20_POLY1305_SHA256", "2a7c2ca9e8bd5241036b18fedc5d2865f60b0f2ef14977fe3ad7fa6a57b9b9ba",
                 "172c980b5aeeb1953fd65e7bfffd25587aeb08e74dd66e3c138372c1bc7832ba"),
                ("TLS_AES_256_GCM_SHA384",
                 "d3608ced3470861f60b26224c5d87048138c0d8f351161cf22f9b5a155b4a5884bd88800c224ace0d1b77700bd6a8de0",
                 "159d7ab6fc9c1f9df04ee8f18242a5f10af57e881a6e28cb6b28fe5d133b9f20")):
            log = f"# a line\nCLIENT_TRAFFIC_SECRET_0 00 11\nEXPORTER_SECRET 00 {secret}\n".encode()
            self.assertEqual(exporter(log, cipher).hex(), exported)
        with self.assertRaises(FerryError):
            exporter(b"", cipher)

    def test_a_certificate_that_is_none(self):
        for wrong in (b"", b"\x30", b"\x30\x03\x30\x01", b"\x30\x84\xff\xff\xff\xff", b"\x30\x80" * 50):
            with self.assertRaises(ProtocolError):
                fingerprint(wrong)


class Names(unittest.TestCase):
    def test_names_go_there_and_back(self):
        for raw in (b"plain", "é".encode(), b"caf\xe9", b"\xff\xfe"):
            name = from_wire(raw)
            self.assertEqual(to_wire(name), raw.decode() if raw in (b"plain", "é".encode()) else raw)

    def test_printable_leaves_nothing_that_moves_a_terminal(self):
        self.assertEqual(printable("a\x1b[2J\x07\u202egnp\u2066\u2028\x9b\x7f\ud800é"),
                         "a\\x1b[2J\\x07\\u{202e}gnp\\u{2066}\\u{2028}\\u{9b}\\x7f\\u{d800}é")
        self.assertEqual(printable("a\\x1b"), "a\\\\x1b")
        self.assertEqual(printable("a\nb"), "a\\x0ab")
        self.assertEqual(printable("a\nb\r", lines=True), "a\nb\\x0d")
        self.assertEqual(printable(from_wire(b"caf\xe9")), "caf\\xe9")
        self.assertEqual(str(FerryError("denied", "\x1b[1mno a\\x07", "\x1b")), "denied: \\x1b[1mno a\\x07 (\\x1b)")

    def test_local_names(self):
        for name in ("", ".", "..", "a/b", "/", "a\0", "x" * 256, "a\\b"):
            self.assertFalse(is_local_name(name), name)
        self.assertTrue(is_local_name("..."))

    def test_targets(self):
        self.assertEqual(parse_target("al@host"), ("al", "host", 7171))
        self.assertEqual(parse_target("a@b@host:1"), ("a@b", "host", 1))
        self.assertEqual(parse_target("[::1]:9"), ("", "::1", 9))
        for wrong in ("", "a@", "h:0", "h:x", "h:70000", "[::1", "[::1]x"):
            with self.assertRaises(FerryError, msg=wrong):
                parse_target(wrong)


def argument(name, kind, **more):
    return {**{field: default for field, (_, default) in FIELDS["argument"].items()}, "name": name, "doc": "", "kind": kind, **more}


class Arguments(unittest.TestCase):
    verb = {"name": "x", "args": [
        argument("from", "remote_path", repeated=True, required=True), argument("to", "remote_path", required=True),
        argument("sort_by", "choice", choices=["name", "size"], option=True, short="s"), argument("times", "integer", option=True),
        argument("long", "flag", option=True, short="l")]}

    def test_arguments_are_checked(self):
        self.assertEqual(check_args(self.verb, {"from": "a", "to": b"\xff", "long": False, "times": None}), {"from": ["a"], "to": b"\xff"})
        for wrong in ({"to": "b"}, {"from": ["a"], "to": ["b"]}, {"from": "a", "to": "b", "times": "3"}, {"from": [], "to": "b"},
                      {"from": "a", "to": "b", "sort_by": "colour"}, {"from": "a", "to": "b", "nope": 1},
                      {"from": "a", "to": "b", "times": True}, {"from": "a", "to": "b", "long": 1}):
            with self.assertRaises(FerryError, msg=wrong) as caught:
                check_args(self.verb, wrong)
            self.assertEqual(caught.exception.kind, "bad_request")

    def test_words_become_arguments(self):
        self.assertEqual(parse_words(self.verb, ["a", "-ls", "size", "b", "--times=3", "--", "-c"]),
                         {"from": ["a", "b"], "to": "-c", "long": True, "sort_by": "size", "times": 3})
        with self.assertRaises(FerryError):
            parse_words(self.verb, ["-z"])


class WhatIsKnown(unittest.TestCase):
    def test_keys_are_never_trusted_silently(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "sub", "known.json")
            with self.assertRaises(KeyRefused) as caught:
                Known(path).check_key("h:1", "sha256:aa")
            self.assertFalse(caught.exception.changed)
            self.assertFalse(os.path.exists(path))
            Known(path).check_key("h:1", "sha256:aa", accept_new=True)
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
            Known(path).check_key("h:1", "sha256:aa")
            for more in ({}, {"accept_new": True}, {"pin": "sha256:aa"}, {"pin": ""}):
                with self.assertRaises(KeyRefused) as caught:
                    Known(path).check_key("h:1", "sha256:bb", **more)
                self.assertTrue(caught.exception.changed)

    def test_a_broken_file_is_an_error(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "known.json")
            for text in ("[]", "{", '{"keys": []}'):
                with open(path, "w") as file:
                    file.write(text)
                with self.assertRaises(FerryError):
                    Known(path).check_key("h:1", "sha256:aa", accept_new=True)


if __name__ == "__main__":
    unittest.main()
