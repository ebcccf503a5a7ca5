"""docs/vectors against this client: what must be read is read, what must be refused is refused."""
import base64
import hashlib
import json
import pathlib
import unittest

import msgpack

from ferry import wire
from ferry.blake3_py import blake3
from ferry.errors import FerryError, ProtocolError
from ferry.login import MD5, TOKEN, Login, parse_token
from ferry.names import resolve, to_bytes

VECTORS = pathlib.Path(__file__).resolve().parents[3] / "docs" / "vectors"


def vectors(name):
    with open(VECTORS / name, encoding="utf-8") as file:
        found = json.load(file)["vectors"]
    assert found, name
    return found


def plain(value):
    """A value of the vectors as Python has it."""
    if isinstance(value, dict):
        return bytes.fromhex(value["$bin"]) if list(value) == ["$bin"] else {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, list) else value


class Vectors(unittest.TestCase):
    def refuses(self, vector, call):
        with self.assertRaises(FerryError) as caught:
            call()
        self.assertEqual(caught.exception.kind, vector["reject"])

    def test_frames(self):
        for vector in vectors("frames.json"):
            with self.subTest(vector["name"]):
                if "reject" in vector:
                    self.refuses(vector, lambda: self.read_frame(vector))
                    continue
                kind, length, payload = self.read_frame(vector)
                accept = vector["accept"]
                self.assertEqual(kind, accept["kind"])
                if "len" in accept:
                    self.assertEqual(length, accept["len"])
                elif kind == "data":
                    self.assertEqual(payload, (accept["id"], bytes.fromhex(accept["contents"])))
                elif kind == "grant":
                    self.assertEqual(payload, (accept["id"], accept["bytes"]))
                else:
                    self.assertEqual(payload, bytes.fromhex(accept["payload"]))

    def read_frame(self, vector):
        raw = bytes.fromhex(vector["hex"])
        length = int.from_bytes(raw[:4], "big")
        kind = wire.check_header(length, raw[4], vector["stage"] == "logged_in")
        payload = raw[5:]
        if kind == "data" and len(payload) == length:
            payload = wire.read_data(payload)
        elif kind == "grant":
            payload = wire.read_grant(payload)
        return kind, length, payload

    def test_guard(self):
        for vector in vectors("guard.json"):
            with self.subTest(vector["name"]):
                raw = bytes.fromhex(vector["hex"]) if "hex" in vector else (
                    bytes.fromhex(vector["prefix"]) + bytes.fromhex(vector["repeat"]) * vector["times"]
                    + bytes.fromhex(vector["suffix"]))
                if "reject" in vector:
                    self.refuses(vector, lambda: wire.guard(raw))
                    continue
                wire.guard(raw)
                if vector["accept"] is not True:
                    self.assertEqual(msgpack.unpackb(raw, raw=False), plain(vector["accept"]))

    def test_messages(self):
        for vector in vectors("messages.json"):
            with self.subTest(vector["name"]):
                raw, name = bytes.fromhex(vector["hex"]), vector["message"]
                if "reject" in vector:
                    self.refuses(vector, lambda: wire.decode(name, raw[5:]))
                    continue
                self.assertEqual(wire.check_header(int.from_bytes(raw[:4], "big"), raw[4], True), name)
                found, accept = wire.decode(name, raw[5:]), plain(vector["accept"])
                self.same(name, found, accept)
                if vector.get("canonical"):
                    self.assertEqual(wire.encode(name, accept).hex(), vector["hex"])
                if "check" in vector:
                    with self.assertRaises(ProtocolError) as caught:
                        wire.check_hello(found)
                    self.assertEqual(caught.exception.kind, vector["check"])

    def same(self, message, found, accept):
        """What is not in `accept` has its default in `found`."""
        for field, value in found.items():
            form, default = wire.FIELDS[message][field]
            if field not in accept:
                self.assertIn(value, (default, [] if field == "columns" else default), field)
                continue
            one = form[0] if isinstance(form, list) else form
            if one in wire.FIELDS:
                for mine, theirs in zip(value, accept[field]) if isinstance(form, list) else [(value, accept[field])]:
                    self.same(one, mine, theirs)
                if isinstance(form, list):
                    self.assertEqual(len(value), len(accept[field]))
            elif form == "name":
                self.assertEqual(to_bytes(value), to_bytes(accept[field]))
            else:
                self.assertEqual(value, accept[field], field)
        self.assertLessEqual(set(accept), set(found))

    def test_login_exchanges(self):
        count = 0
        for name in ("login.json", "login_plus.json", "login_md5.json", "login_token.json"):
            for vector in vectors(name):
                if vector["step"] != "exchange":
                    continue
                with self.subTest(f"{name}: {vector['name']}"):
                    count += 1
                    first = vector.get("login") or vector["client_first"]
                    login = Login(vector.get("user", ""), vector.get("password", ""), bytes.fromhex(vector.get("channel", "")),
                                  vector.get("token"), nonce=first.rpartition("r=")[2])
                    self.assertEqual(login.first().decode(), first)
                    mechanism = MD5 if vector.get("mechanism") == MD5 else None
                    self.assertEqual(login.answer(mechanism, vector["challenge"].encode()).decode(), vector["answer"])
                    login.check_welcome(vector["welcome"].encode())
                    with self.assertRaises(FerryError):
                        login.check_welcome(b"v=" + base64.b64encode(bytes(32)))
        self.assertGreater(count, 8)

    def test_login_challenges(self):
        count = 0
        for name in ("login.json", "login_plus.json", "login_md5.json", "login_token.json"):
            for vector in vectors(name):
                if vector["step"] != "challenge":
                    continue
                with self.subTest(f"{name}: {vector['name']}"):
                    count += 1
                    login = Login("user", "pencil", bytes.fromhex(vector.get("channel", "")), vector.get("token"))
                    challenge = vector["text"].replace("{nonce}", login.nonce).encode()

                    def answer():
                        return login.answer(vector.get("mechanism"), challenge)
                    if "reject" in vector:
                        self.refuses(vector, answer)
                    else:
                        answer()
        self.assertGreater(count, 20)

    def test_tokens(self):
        for vector in vectors("login_token.json"):
            if vector["step"] == "token":
                with self.subTest(vector["name"]):
                    if "reject" in vector:
                        self.refuses(vector, lambda: parse_token(vector["text"]))
                    else:
                        self.assertEqual(parse_token(vector["text"])[0], vector["accept"])

    def test_names(self):
        for vector in vectors("names.json"):
            with self.subTest(vector["name"]):
                def place():
                    try:
                        return resolve(plain(vector["cwd"]), plain(vector["path"]))
                    except ValueError as error:
                        raise FerryError(error.args[0], "") from None
                if "reject" in vector:
                    self.refuses(vector, place)
                else:
                    self.assertEqual(to_bytes(place()), to_bytes(plain(vector["accept"])))

    def test_digests(self):
        for vector in vectors("digests.json"):
            with self.subTest(vector["name"]):
                self.assertEqual(bool(wire.DIGEST.fullmatch(vector["text"])), "accept" in vector)
                if "of" in vector:
                    contents = bytes.fromhex(vector["of"])
                    mine = hashlib.md5(contents) if vector["text"].startswith("md5") else blake3(contents)
                    self.assertEqual(vector["text"].partition(":")[2], mine.hexdigest())

    def test_all_files_of_vectors_are_read(self):
        self.assertEqual({path.name for path in VECTORS.glob("*.json")},
                         {"frames.json", "guard.json", "messages.json", "login.json", "login_plus.json", "login_md5.json",
                          "login_token.json", "names.json", "digests.json"})
        self.assertEqual(TOKEN, "FERRY-TOKEN")


if __name__ == "__main__":
    unittest.main()
