"""A server that lies, floods or says nothing: the client refuses, in bounded time and space, and sends no secret."""
import base64
import hashlib
import os
import socket
import tempfile
import threading
import unittest
from unittest import mock

import ferry
from ferry import link, wire
from ferry.client import Client
from ferry.link import Link
from ferry.login import MD5, SCRAM, Login

PASSWORD = "pencil"
FOREVER = 20


def msg(name, /, **fields):
    return wire.encode(name, fields)


def verb(name, body="none", *args):
    return {"name": name, "doc": "", "access": "read", "body": body, "args": list(args)}


def role(name, part, kind="remote_path"):
    return {"name": name, "doc": "", "kind": kind, "role": part}


CATALOG = msg("catalog", last=True, verbs=[
    verb("ls"), verb("upload", "in", role("local", "source", "local_path"), role("remote", "target")),
    verb("download", "out", role("remote", "source"))])
COLUMNS = [{"name": "name", "kind": "path"}]


def data(number, contents):
    return wire.frame("data", number.to_bytes(4, "big") + contents)


def md5(contents):
    return "md5:" + hashlib.md5(contents).hexdigest()


class Peer:
    """Says `script` at once, keeps what it hears, and then hangs up, or stays silent."""

    def __init__(self, sock, script, hangs_up=True):
        self.heard = bytearray()
        self._sock, self._script, self._hangs_up = sock, script, hangs_up
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        listener = threading.Thread(target=self._listen, daemon=True)
        listener.start()
        try:
            self._sock.sendall(self._script)
            if self._hangs_up:
                self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        listener.join(FOREVER)
        self._sock.close()

    def _listen(self):
        try:
            while True:
                more = self._sock.recv(65536)
                if not more:
                    return
                self.heard += more
        except OSError:
            pass

    def join(self):
        self._thread.join(FOREVER)
        return bytes(self.heard)


class LoggedIn(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="ferry-python-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def session(self, *script, hangs_up=True, catalog=CATALOG, **more):
        mine, theirs = socket.socketpair()
        with mock.patch.object(socket.socket, "setsockopt"):
            client = Client(Link(mine, **more))
        client._link.logged_in = True
        client.server_limits = dict(link.LIMITS)
        self.peer = Peer(theirs, catalog + b"".join(script), hangs_up)
        self.addCleanup(self.peer.join)
        self.addCleanup(client.close)
        return client

    def breaks(self, kind, call, *args, **more):
        with self.assertRaises(ferry.FerryError) as caught:
            call(*args, **more)
        self.assertEqual(caught.exception.kind, kind, caught.exception)
        return caught.exception

    def test_what_breaks_a_request(self):
        deep = b"\x83\xa2id\x01\xa7columns\x91\x82\xa4name\xa1n\xa4kind\xa1k\xa4rows" + b"\x91" * 40 + b"\xc0"
        for name, kind, script in (
                ("rows before columns", "bad_request", msg("rows", id=1, rows=[["a"]])),
                ("a short row", "bad_request", msg("rows", id=1, columns=COLUMNS, rows=[[]])),
                ("columns twice", "bad_request", msg("rows", id=1, columns=COLUMNS * 2, rows=[])),
                ("another request", "bad_request", msg("rows", id=2, columns=COLUMNS, rows=[])),
                ("contents where there are none", "bad_request", data(1, b"abc")),
                ("begin where there is no body", "bad_request", msg("begin", id=1, code=1001, offset=0)),
                ("an unknown kind", "bad_request", b"\0\0\0\0\x33"),
                ("a client's kind", "bad_request", msg("request", id=1, verb="x")),
                ("hello again", "bad_request", msg("hello", proto=1, agent="x")),
                ("a catalogue in the middle", "bad_request", CATALOG),
                ("too deep", "too_large", wire.frame("rows", deep)),
                ("a frame of 4 GiB", "too_large", b"\xff\xff\xff\xff\x21"),
                ("an optional frame of 4 GiB", "too_large", b"\xff\xff\xff\xff\x99"),
                ("a data frame that is larger than what was said", "too_large", b"\x00\x04\x00\x05\x40"),
                ("an ending of the session", "timeout", msg("fail", id=0, code=2020, kind="timeout", message="idle")),
                ("nothing", "unreachable", b""),
                ("half a frame", "unreachable", b"\0\0\0\x09\x21\x81")):
            with self.subTest(name):
                client = self.session(script)
                self.breaks(kind, client.call, "ls")
                self.breaks("unreachable", client.call, "ls")

    def test_optional_frames_pongs_and_pings_are_no_harm(self):
        ping = wire.frame("ping", b"are you")
        client = self.session(b"\0\0\0\3\x80abc", wire.frame("pong", b"x"), ping, msg("rows", id=1, columns=COLUMNS, rows=[[b"\xe9"]]),
                              msg("done", id=1))
        self.assertEqual(client.call("ls").rows, [{"name": "\udce9"}])
        client.close()
        self.assertIn(wire.frame("pong", b"are you"), self.peer.join())

    def test_problems_without_end_are_counted_and_not_kept(self):
        problem = msg("problem", id=1, code=2005, kind="not_found", message="x" * 100)
        client = self.session(problem * 3000, msg("done", id=1, problems=3000))
        error = self.breaks("not_found", client.call, "ls")
        self.assertEqual((error.count, len(error.result.problems)), (3000, 1000))

    def test_catalogues_that_cannot_be(self):
        for name, kind, catalog in (
                ("endless", "too_large", msg("catalog", last=False, verbs=[]) * 300),
                ("a name that moves the terminal", "bad_request", msg("catalog", last=True, verbs=[verb("\x1b[2J")])),
                ("an argument with a bad name", "bad_request", msg("catalog", last=True, verbs=[verb("x", "none", role("A b", "plain"))])),
                ("a verb twice", "bad_request", msg("catalog", last=True, verbs=[verb("x"), verb("x")])),
                ("too many aliases", "too_large", msg("catalog", last=True, verbs=[{**verb("x"), "aliases": ["y"] * 65}])),
                ("a long name", "bad_request", msg("catalog", last=True, verbs=[verb("x" * 65)]))):
            with self.subTest(name):
                self.breaks(kind, self.session(catalog=catalog).call, "ls")

    def test_a_silent_server_is_asked_and_then_left(self):
        with mock.patch.object(link, "PING_SECONDS", 0.1):
            client = self.session(hangs_up=False, silence_seconds=0.4)
            self.breaks("unreachable", client.call, "ls")
        self.assertIn(wire.frame("ping", b"ferry"), self.peer.join())

    def test_a_deadline_holds_against_a_server_that_only_pings(self):
        client = self.session(wire.frame("ping", b"") * 10, hangs_up=False)
        with mock.patch("ferry.client.CANCEL_SECONDS", 0.2):
            self.breaks("timeout", client.call, "ls", deadline=0.3)

    def test_a_deadline_cancels_and_the_session_goes_on(self):
        mine, theirs = socket.socketpair()
        with mock.patch.object(socket.socket, "setsockopt"):
            client = Client(Link(mine))
        self.addCleanup(client.close)
        self.addCleanup(theirs.close)
        client._link.logged_in, client.server_limits = True, dict(link.LIMITS)

        def serve():
            theirs.sendall(CATALOG)
            theirs.recv(1000)
            self.assertEqual(theirs.recv(1000), msg("cancel", id=1))
            theirs.sendall(msg("fail", id=1, code=2019, kind="cancelled", message="stopped"))
            theirs.recv(1000)
            theirs.sendall(msg("done", id=2, text="here"))
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        self.breaks("timeout", client.call, "ls", deadline=0.2)
        self.assertEqual(client.call("ls").text, "here")
        thread.join(FOREVER)

    def test_downloads_that_cannot_be(self):
        good = msg("begin", id=1, code=1001, offset=0, size=3, path="/../../etc/passwd")
        end = msg("end", id=1, size=3, digest=md5(b"abc"))
        for name, kind, script in (
                ("an unknown code", "bad_request", msg("begin", id=1, code=1004, offset=0)),
                ("1001 in the middle", "bad_request", msg("begin", id=1, code=1001, offset=5, size=9)),
                ("1002 without an offer", "bad_request",
                 msg("begin", id=1, code=1002, offset=3, size=9, prefix="blake3:" + "0" * 64)),
                ("1003 without a prefix", "bad_request", msg("begin", id=1, code=1003, offset=3, size=3)),
                ("contents before begin", "bad_request", data(1, b"abc")),
                ("more than announced", "too_large", good + data(1, b"abcd")),
                ("other bytes", "digest_mismatch", good + data(1, b"abX") + end + msg("done", id=1)),
                ("too few bytes", "digest_mismatch", good + data(1, b"ab") + end + msg("fail", id=1, code=2019, kind="cancelled", message="")),
                ("a proof by another digest", "digest_mismatch",
                 good + data(1, b"abc") + msg("end", id=1, size=3, digest="blake3:" + "0" * 64) + msg("done", id=1)),
                ("no done", "unreachable", good + data(1, b"abc") + end),
                ("no contents", "unsupported", msg("done", id=1))):
            with self.subTest(name):
                target = os.path.join(self.folder, "target")
                with mock.patch("ferry.client.CANCEL_SECONDS", 1):
                    self.breaks(kind, self.session(script).download, "f", target)
                self.assertFalse(os.path.exists(target))
                if os.path.exists(target + ".ferry-part"):
                    os.unlink(target + ".ferry-part")

    def test_the_server_does_not_choose_local_names(self):
        script = (msg("begin", id=1, code=1001, offset=0, size=3, path="/../../x\x1b", modified=2**63 - 1),
                  data(1, b"abc"), msg("end", id=1, size=3, digest=md5(b"abc")), msg("done", id=1))
        got = self.session(*script).download("dir/name", self.folder)
        self.assertEqual(got.path, os.path.join(self.folder, "name"))
        self.assertEqual(os.listdir(self.folder), ["name"])

    def test_a_part_that_is_a_link_is_not_followed(self):
        os.symlink(os.path.join(self.folder, "elsewhere"), os.path.join(self.folder, "t.ferry-part"))
        with self.assertRaises(OSError):
            self.session().download("f", os.path.join(self.folder, "t"))
        self.assertFalse(os.path.exists(os.path.join(self.folder, "elsewhere")))

    def test_uploads_that_cannot_be(self):
        path = os.path.join(self.folder, "f")
        with open(path, "wb") as file:
            file.write(b"abc")
        good = msg("begin", id=1, code=1001, offset=0)
        file = {"path": "/f", "size": 3, "modified": 0}
        prefix = "blake3:" + "0" * 64
        for name, kind, script in (
                ("beyond the end", "bad_request", msg("begin", id=1, code=1002, offset=4, prefix=prefix)),
                ("1003 for less", "bad_request", msg("begin", id=1, code=1003, offset=2, prefix=prefix)),
                ("no prefix", "bad_request", msg("begin", id=1, code=1002, offset=2)),
                ("done without begin", "bad_request", msg("done", id=1, file=file)),
                ("done without a file", "bad_request", good + msg("done", id=1)),
                ("done before the end", "bad_request", good + msg("done", id=1, file=file)),
                ("too much granted", "bad_request", good + wire.frame("grant", b"\0\0\0\1\xff\xff\xff\xff")),
                ("contents to an uploader", "bad_request", good + data(1, b"x")),
                ("a prefix that is never right", "bad_request",
                 msg("begin", id=1, code=1002, offset=2, prefix=prefix) + msg("fail", id=1, code=2019, kind="cancelled", message="")
                 + msg("begin", id=2, code=1002, offset=2, prefix=prefix) + msg("fail", id=2, code=2019, kind="cancelled", message=""))):
            with self.subTest(name):
                self.breaks(kind, self.session(script).upload, path)

    def test_what_was_sent_must_be_what_the_server_says_it_has(self):
        path = os.path.join(self.folder, "empty")
        with open(path, "wb"):
            pass
        good = msg("begin", id=1, code=1001, offset=0)
        file = {"path": "/empty", "size": 0, "modified": 0, "digest": md5(b"")}
        self.assertEqual(self.session(good, msg("done", id=1, file=file)).upload(path).file["path"], "/empty")
        for kind, wrong in (("bad_request", {"size": 1}), ("digest_mismatch", {"digest": md5(b"x")})):
            self.breaks(kind, self.session(good, msg("done", id=1, file={**file, **wrong})).upload, path)
        self.breaks("bad_request", self.session(good, msg("done", id=1)).upload, path)

    def test_a_failure_stops_an_upload(self):
        path = os.path.join(self.folder, "big")
        with open(path, "wb") as file:
            file.truncate(50 * 1048576)
        fail = msg("fail", id=1, code=2012, kind="disk_full", message="full")
        client = self.session(msg("begin", id=1, code=1001, offset=0), fail, msg("done", id=2, text="alive"), hangs_up=False)
        self.breaks("disk_full", client.upload, path)
        self.assertEqual(client.call("ls").text, "alive")
        client.close()
        self.assertLess(len(self.peer.join()), 3 * 1048576)


class BeforeLogin(unittest.TestCase):
    HELLO = msg("hello", proto=1, agent="x", mechanisms=[SCRAM])

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="ferry-python-")
        self.addCleanup(folder.cleanup)
        self.known = ferry.Known(os.path.join(folder.name, "known.json"))

    def serve(self, hello, challenge=None, welcome=None):
        """A server of one connection: `challenge` and `welcome` are made from what the client said."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        self.heard = []

        def run():
            sock, _ = listener.accept()
            sock.settimeout(FOREVER)
            with sock:
                try:
                    sock.sendall(hello)
                    self.frame(sock)
                    nonce = wire.decode("login", self.frame(sock))["data"].decode().rpartition("r=")[2]
                    if challenge:
                        text = challenge(nonce)
                        sock.sendall(msg("challenge", **text))
                        self.heard.append(self.frame(sock))
                        sock.sendall(welcome(nonce, text["data"]))
                    sock.recv(1)
                except (OSError, EOFError):
                    pass
        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        self.address = "127.0.0.1:%d" % listener.getsockname()[1]
        return self.address

    @staticmethod
    def frame(sock):
        def read(size):
            got = b""
            while len(got) < size:
                more = sock.recv(size - len(got))
                if not more:
                    raise EOFError
                got += more
            return got
        return read(int.from_bytes(read(5)[:4], "big"))

    def refused(self, kind, *script):
        with self.assertRaises(ferry.FerryError) as caught:
            ferry.connect("user@" + self.serve(*script), PASSWORD, known=self.known, use_tls=False)
        self.assertEqual(caught.exception.kind, kind, caught.exception)
        self.thread.join(FOREVER)
        return caught.exception

    @staticmethod
    def honest(nonce):
        return {"data": f"r={nonce}server,s=c2FsdHNhbHQ=,i=4096".encode()}

    @staticmethod
    def proof(nonce, challenge):
        twin = Login("user", PASSWORD, nonce=nonce)
        twin.answer(None, challenge)
        return b"v=" + base64.b64encode(twin._proof)

    def test_an_honest_server_is_let_in(self):
        def welcome(nonce, challenge):
            return msg("welcome", data=self.proof(nonce, challenge), user="user") + CATALOG
        session = ferry.connect("user@" + self.serve(self.HELLO, self.honest, welcome), PASSWORD, known=self.known, use_tls=False)
        self.assertEqual(sorted(session.catalog.verbs), ["download", "ls", "upload"])
        session.close()

    def test_hellos_that_cannot_be(self):
        for kind, hello in (("unsupported", msg("hello", proto=2, agent="x")), ("unsupported", msg("hello", proto=1, agent="x")),
                            ("unsupported", msg("hello", proto=1, agent="x", required=["telepathy"])),
                            ("unsupported", msg("hello", proto=1, agent="x", limits={"window": 0})),
                            ("bad_request", wire.frame("ping", b"")), ("bad_request", CATALOG), ("too_large", b"\0\0\x10\x01\x01"),
                            ("busy", msg("fail", id=0, code=2018, kind="busy", message="full")), ("bad_request", msg("welcome", data=b"", user="x"))):
            with self.subTest(hello):
                self.refused(kind, hello)

    def test_nothing_is_answered_to_a_challenge_that_weakens_the_login(self):
        for text in (b"r=%b,s=c2FsdHNhbHQ=,i=4096", b"r=other,s=c2FsdHNhbHQ=,i=4096", b"r=%bx,s=c2FsdHNhbHQ=,i=4095",
                     b"r=%bx,s=c2FsdHNhbHQ=,i=10000001", b"r=%bx,s=c2FsdA==,i=4096"):
            with self.subTest(text):
                self.refused("login_refused", self.HELLO, lambda nonce: {"data": text.replace(b"%b", nonce.encode())}, None)
                self.assertEqual(self.heard, [])

    def test_nothing_is_answered_to_md5_after_a_login_by_scram(self):
        def challenge(nonce):
            return {"mechanism": MD5, "data": f"r={nonce}{'x' * 22},s=c2FsdHNhbHQ=,k=19456,t=2,l=1".encode()}
        address = self.serve(self.HELLO, challenge, None)
        self.known.used_scram("user at plain " + address)
        with self.assertRaises(ferry.FerryError) as caught:
            ferry.connect("user@" + address, PASSWORD, known=self.known, use_tls=False)
        self.assertEqual(caught.exception.kind, "login_refused")
        self.thread.join(FOREVER)
        self.assertEqual(self.heard, [])

    def test_a_server_that_does_not_know_the_password_is_left(self):
        self.refused("login_refused", self.HELLO, self.honest, lambda *_: msg("welcome", data=b"v=" + b"A" * 43 + b"=", user="user"))
        self.refused("login_refused", self.HELLO, self.honest, lambda *_: msg("welcome", data=b"", user="user"))

    def test_a_welcome_to_somebody_else_is_left(self):
        self.refused("login_refused", self.HELLO, self.honest, lambda *a: msg("welcome", data=self.proof(*a), user="other"))

    def test_a_server_that_says_nothing_is_left(self):
        with mock.patch("ferry.client.LOGIN_SECONDS", 0.3):
            self.refused("timeout", b"")

    def test_what_the_server_says_is_escaped(self):
        error = self.refused("busy", msg("fail", id=0, code=2018, kind="busy", message="\x1b]0;owned\x07", hint="\u202e"))
        self.assertEqual(str(error), "busy: \\x1b]0;owned\\x07 (\\u{202e})")


if __name__ == "__main__":
    unittest.main()
