"""Against a real server: FERRYD=path/to/ferryd python3 -m unittest discover."""
import hashlib
import io
import os
import random
import subprocess
import sys
import time
import unittest
from unittest import mock

import ferry
from ferry import argon2, files
from ferry.login import MD5, SCRAM, SCRAM_PLUS, TOKEN

from .support import PASSWORD, Cut, ServerCase

MEBIBYTE = 1 << 20


def contents(size, seed=1):
    return random.Random(seed).randbytes(size)


class LoggingIn(ServerCase):
    @classmethod
    def set_up_accounts(cls):
        for name, flags in (("alice", ()), ("mia", ("--auth", "md5")), ("rita", ("--read-only",)), ("dora", ("--deny", "mkdir"))):
            cls.server.add(name, *flags)

    def test_right_password_by_scram_bound_to_the_channel(self):
        session = self.connect()
        self.assertEqual((session.user, session.mechanism), ("alice", SCRAM_PLUS))

    def test_md5_method(self):
        session = self.connect("mia")
        self.assertEqual((session.user, session.mechanism), ("mia", MD5))
        self.assertEqual(session.call("pwd").rows, [{"path": "/"}])

    def test_a_key_that_takes_longer_than_a_login_may_is_made_once(self):
        def slow(*costs):
            time.sleep(3)
            return real(*costs) or in_python(*costs)
        real, in_python = argon2._by_library, argon2.in_python
        argon2._last.clear()
        with mock.patch("ferry.client.LOGIN_SECONDS", 2.5), mock.patch.object(argon2, "_by_package", lambda *_: None), \
                mock.patch.object(argon2, "_by_library", lambda *_: None), mock.patch.object(argon2, "in_python", slow):
            made = argon2.slow_keys
            self.assertEqual(self.connect("mia").mechanism, MD5)
            self.assertEqual(argon2.slow_keys, made + 1)

    def test_md5_method_is_refused_where_it_may_not_be(self):
        self.fails("login_refused", self.connect, "mia", allow_md5=False)
        ferry.Known(self.known).used_scram(f"mia at {self.server.key}")
        self.fails("login_refused", self.connect, "mia")

    def test_wrong_password_and_unknown_user_are_told_alike(self):
        wrong = self.fails("login_refused", self.connect, password="wrong")
        unknown = self.fails("login_refused", self.connect, "nobody")
        self.assertEqual(wrong.message, unknown.message)
        self.fails("login_refused", self.connect, "mia", "wrong")

    def test_unknown_key_is_refused_until_it_is_accepted(self):
        error = self.fails("login_refused", self.connect, pin=None)
        self.assertIsInstance(error, ferry.KeyRefused)
        self.assertEqual((error.fingerprint, error.changed), (self.server.key, False))
        self.connect(pin=None, accept_new=True)
        self.connect(pin=None)

    def test_another_key_than_the_pin_or_the_known_one_is_refused(self):
        wrong = "sha256:" + "0" * 64
        self.assertTrue(self.fails("login_refused", self.connect, pin=wrong).changed)
        ferry.Known(self.known).check_key(self.server.address, wrong, accept_new=True)
        self.assertTrue(self.fails("login_refused", self.connect, pin=None).changed)
        self.assertTrue(self.fails("login_refused", self.connect, pin=None, accept_new=True).changed)

    def test_a_password_is_never_sent_to_a_key_that_is_not_trusted(self):
        sent = []
        real = ferry.client.Link
        try:
            ferry.client.Link = lambda *a: sent.append(a) or real(*a)
            self.fails("login_refused", self.connect, pin=None)
        finally:
            ferry.client.Link = real
        self.assertEqual(sent, [])

    def test_saved_login(self):
        self.connect(save="tests")
        session = self.connect(password=None, use_saved=True)
        self.assertEqual((session.user, session.mechanism), ("alice", TOKEN))
        saved = session.call("logins").rows
        session.call("logins", action="rm", id=[row["id"] for row in saved])
        self.fails("login_refused", self.connect, password=None, use_saved=True)
        self.assertIsNone(ferry.Known(self.known).token(f"alice at {self.server.key}"))
        # Forgotten by now; with a password it goes on.
        self.assertEqual(self.connect(use_saved=True).mechanism, SCRAM_PLUS)

    def test_saved_login_that_was_refused_gives_way_to_the_password(self):
        known = ferry.Known(self.known)
        known.save_token(f"alice at {self.server.key}", "ferry-token-v1:0a01020304050607:ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8")
        self.assertEqual(self.connect(use_saved=True).mechanism, SCRAM_PLUS)
        self.assertIsNone(known.token(f"alice at {self.server.key}"))

    def test_a_user_without_rights(self):
        session = self.connect("rita")
        self.assertNotIn("mkdir", session.catalog.verbs)
        self.fails("denied", session.call, "mkdir", path="x")
        self.fails("denied", session.upload, self.file("f", b"abc"))
        self.assertEqual(session.call("ls").rows, [])
        self.fails("unknown_verb", self.connect("dora").call, "mkdir", path="x")

    def test_a_plain_connection_to_a_server_with_tls_fails(self):
        # Its alert is read as the header of an enormous frame.
        self.assertIsInstance(self.fails("too_large", self.connect, pin=None, use_tls=False), ferry.ProtocolError)
        self.fails("bad_request", self.connect, use_tls=False)


class Calling(ServerCase):
    def test_verbs_are_called_by_name_and_give_dicts(self):
        session = self.connect()
        self.assertEqual(session.call("whoami").rows[0]["user"], "alice")
        self.assertEqual(session.call("quota").rows[0]["reserved"], 0)
        session.call("mkdir", path=["/calls/a", "/calls/b"], parents=True)
        self.assertEqual([(row["name"], row["kind"]) for row in session.call("dir", path="/calls", long=True).rows],
                         [("a", "dir"), ("b", "dir")])
        session.call("cd", path="calls")
        self.assertEqual((session.cwd, session.call("pwd").rows), ("/calls", [{"path": "/calls"}]))
        self.assertEqual(session.expand("*"), ["a", "b"])
        self.assertEqual(session.complete("ls", "path", "/ca"), ["/calls/"])
        self.assertIn("mkdir", session.call("help").text or str(session.call("help").rows))

    def test_a_name_that_is_not_utf8(self):
        session = self.connect()
        session.call("mkdir", path=b"/caf\xe9")
        self.assertIn("caf\udce9", [row["name"] for row in session.call("ls", path="/").rows])
        session.call("rmdir", path="/caf\udce9")

    def test_failures_have_their_kinds(self):
        session = self.connect()
        self.fails("unknown_verb", session.call, "nonsense")
        self.fails("bad_request", session.call, "ls", nope=1)
        error = self.fails("not_found", session.call, "rm", path=["/no", "/none"])
        self.assertIsInstance(error, ferry.SomeFailed)
        self.assertEqual((error.count, len(error.result.problems), error.exit_code), (2, 2, 11))
        self.fails("denied", session.call, "cd", path="/..")
        self.assertEqual(session.call("pwd").rows, [{"path": "/"}])

    def test_rows_stream_and_can_be_left(self):
        session = self.connect()
        session.call("mkdir", path=[f"/many/{i:04}" for i in range(1500)], parents=True)
        with session.stream("ls", path="/many") as rows:
            self.assertEqual(next(rows)["name"], "0000")
            self.fails("busy", session.call, "pwd")
        self.assertEqual(len(session.call("ls", path="/many").rows), 1500)

    def test_a_deadline_ends_a_request_and_not_the_session(self):
        session = self.connect()
        self.fails("timeout", session.call, "whoami", deadline=0.0)
        session = self.connect()
        self.assertEqual(session.call("whoami", deadline=30).rows[0]["user"], "alice")

    def test_command_line(self):
        env = {**os.environ, "FERRY_PASSWORD": PASSWORD, "FERRY_PYTHON_KNOWN": self.known}
        target = f"alice@{self.server.address}"

        def run(*words):
            return subprocess.run([sys.executable, "-m", "ferry", *words], env=env, capture_output=True, timeout=60)
        self.assertEqual(run("call", target, "pwd").returncode, 3)
        self.assertEqual(run("call", "--accept-new", target, "pwd").stdout, b'{"path": "/"}\n')
        path = self.file("hello.txt", b"hello")
        self.assertEqual(run("upload", target, path, "--as", "cli.txt").returncode, 0)
        self.assertEqual(run("call", target, "cat", "cli.txt").stdout, b"hello")
        self.assertEqual(run("download", target, "cli.txt", self.folder).returncode, 0)
        with open(os.path.join(self.folder, "cli.txt"), "rb") as file:
            self.assertEqual(file.read(), b"hello")
        self.assertEqual(run("download", target, "nothing", self.folder).returncode, 4)
        self.assertEqual(run("call", target, "rm", "no1", "no2").returncode, 11)


class Transferring(ServerCase):
    @classmethod
    def set_up_accounts(cls):
        cls.server.add("alice")
        cls.server.add("quinn", "--quota", "1MiB")

    def read(self, path):
        with open(path, "rb") as file:
            return file.read()

    def test_round_trip(self):
        session, data = self.connect(), contents(3 * MEBIBYTE + 17)
        path, seen = self.file("round", data), []
        os.chmod(path, 0o755)
        sent = session.upload(path, progress=lambda *a: seen.append(a))
        self.assertEqual((sent.code, sent.moved, sent.path), (1001, len(data), "/round"))
        self.assertEqual(sent.digest, "md5:" + hashlib.md5(data).hexdigest())
        self.assertEqual((seen[0], seen[-1]), ((0, len(data)), (len(data), len(data))))
        for digest in ("md5", "blake3"):
            got = session.download("round", self.folder, rename="back-" + digest, digest=digest)
            self.assertEqual((got.code, got.moved), (1001, len(data)))
            self.assertEqual(self.read(got.path), data)
            self.assertEqual(os.stat(got.path).st_mtime_ns, os.stat(path).st_mtime_ns)
            self.assertTrue(os.access(got.path, os.X_OK))
        self.assertEqual([name for name in os.listdir(self.folder) if name.endswith("-part")], [])

    def test_empty_file_and_stream(self):
        session = self.connect()
        session.upload(self.file("empty", b""))
        self.assertEqual(self.read(session.download("empty", self.folder, rename="e").path), b"")
        sent = session.upload(io.BytesIO(contents(500_000)), rename="streamed")
        self.assertEqual((sent.code, sent.size), (1001, 500_000))
        out = io.BytesIO()
        session.receive("cat", target=out, args={"path": ["streamed", "empty"]})
        self.assertEqual(out.getvalue(), contents(500_000))

    def test_a_file_whose_name_is_not_utf8(self):
        session, raw = self.connect(), os.fsencode(self.folder) + b"/caf\xe9"
        with open(raw, "wb") as file:
            file.write(b"x")
        self.assertEqual(session.upload(raw).path, "/caf\udce9")
        os.unlink(raw)
        self.assertEqual(os.fsencode(session.download("caf\udce9", self.folder).path), raw)
        self.assertEqual(self.read(raw), b"x")

    def test_same_file_there_is_1003_both_ways(self):
        session, data = self.connect(), contents(700_001, 3)
        path = self.file("same", data)
        session.upload(path)
        sent = session.upload(path)
        self.assertEqual((sent.code, sent.offset, sent.moved), (1003, len(data), 0))
        got = session.download("same", self.folder)
        self.assertEqual((got.code, got.offset, got.moved), (1003, len(data), 0))
        self.assertEqual(self.read(path), data)

    def test_same_size_and_other_bytes_is_sent_again(self):
        session, first, second = self.connect(), contents(400_000, 4), contents(400_000, 5)
        path = self.file("other", first)
        session.upload(path)
        facts = os.stat(path)
        path = self.file("other", second)
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        session.upload(path)
        self.assertEqual(self.read(session.download("other", self.folder, rename="x").path), second)

    def test_upload_cut_in_the_middle_goes_on_with_1002(self):
        data = contents(6 * MEBIBYTE, 6)
        path = self.file("cut-up", data)
        cut = Cut(self.server.address, up=4 * MEBIBYTE)
        self.addCleanup(cut.close)
        self.fails("unreachable", self.connect(address=cut.address).upload, path)
        session = self.connect()
        self.assertEqual(session.expand("/cut-up"), [])
        self.assertIn("/cut-up", [row["path"] for row in session.call("partials").rows])
        sent = session.upload(path)
        self.assertEqual(sent.code, 1002)
        self.assertGreater(sent.offset, MEBIBYTE)
        self.assertEqual((sent.offset + sent.moved, sent.size), (len(data), len(data)))
        self.assertEqual(session.call("md5", path="/cut-up").rows[0]["md5"], hashlib.md5(data).hexdigest())
        self.assertNotIn("/cut-up", [row["path"] for row in session.call("partials").rows])

    def test_upload_is_started_anew_when_the_file_is_another_by_now(self):
        first, second = contents(6 * MEBIBYTE, 7), contents(6 * MEBIBYTE, 8)
        path = self.file("anew", first)
        facts = os.stat(path)
        cut = Cut(self.server.address, up=4 * MEBIBYTE)
        self.addCleanup(cut.close)
        self.fails("unreachable", self.connect(address=cut.address).upload, path)
        self.file("anew", second)
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        session = self.connect()
        sent = session.upload(path)
        self.assertEqual((sent.code, sent.moved), (1001, len(second)))
        self.assertEqual(session.call("md5", path="/anew").rows[0]["md5"], hashlib.md5(second).hexdigest())

    def test_download_cut_in_the_middle_goes_on_with_1002(self):
        data = contents(6 * MEBIBYTE, 9)
        self.connect().upload(self.file("cut-down", data))
        target = os.path.join(self.folder, "down")
        cut = Cut(self.server.address, down=4 * MEBIBYTE)
        self.addCleanup(cut.close)
        self.fails("unreachable", self.connect(address=cut.address).download, "cut-down", target)
        self.assertFalse(os.path.exists(target))
        self.assertGreater(os.path.getsize(target + ".ferry-part"), MEBIBYTE)
        got = self.connect().download("cut-down", target)
        self.assertEqual(got.code, 1002)
        self.assertGreater(got.offset, MEBIBYTE)
        self.assertEqual(self.read(target), data)
        self.assertFalse(os.path.exists(target + ".ferry-part"))

    def test_download_starts_anew_when_the_part_is_of_another_file(self):
        session, data = self.connect(), contents(300_000, 10)
        session.upload(self.file("whole", data))
        self.file("w.ferry-part", contents(100_000, 11))
        got = session.download("whole", os.path.join(self.folder, "w"))
        self.assertEqual((got.code, self.read(got.path)), (1001, data))

    def test_download_goes_on_from_a_file_that_has_grown(self):
        session, data = self.connect(), contents(300_000, 12)
        session.upload(self.file("log", data))
        self.file("copy", data[:200_000])
        got = session.download("log", os.path.join(self.folder, "copy"))
        self.assertEqual((got.code, got.offset, self.read(got.path)), (1002, 200_000, data))

    def test_over_quota_is_refused_before_bytes_are_sent(self):
        session, sent = self.connect("quinn"), []
        session._link.send_data = lambda *a: sent.append(a)
        self.fails("over_quota", session.upload, self.file("big", bytes(2 * MEBIBYTE)))
        self.assertEqual(sent, [])
        self.assertEqual(session.call("quota").rows[0]["used"], 0)

    def test_stream_over_quota_fails_half_way_and_the_session_goes_on(self):
        session = self.connect("quinn")
        self.fails("over_quota", session.upload, io.BytesIO(bytes(9 * MEBIBYTE)), rename="endless")
        self.assertEqual(session.call("pwd").rows, [{"path": "/"}])

    def test_no_clobber_leaves_alone_what_is_there(self):
        session = self.connect()
        path = self.file("kept", b"first")
        session.upload(path)
        self.fails("exists", session.upload, self.file("kept", b"second"), no_clobber=True)
        self.fails("exists", session.download, "kept", self.folder, no_clobber=True)
        self.assertEqual(self.read(path), b"second")

    def test_a_file_that_changes_while_it_is_sent_is_not_acknowledged(self):
        session, path = self.connect(), self.file("moving", contents(2 * MEBIBYTE))

        def touch(done, total):
            if done == 0:
                os.utime(path, ns=(1, 1))
        self.fails("changed", session.upload, path, progress=touch)
        self.assertEqual(session.expand("/moving"), [])

    def test_what_the_caller_raises_cancels_and_the_session_goes_on(self):
        session, path = self.connect(), self.file("stopped", contents(3 * MEBIBYTE))

        def stop(done, total):
            if done > MEBIBYTE:
                raise KeyboardInterrupt
        with self.assertRaises(KeyboardInterrupt):
            session.upload(path, progress=stop)
        self.assertEqual(session.upload(path).code, 1002)
        with self.assertRaises(KeyboardInterrupt):
            session.download("stopped", os.path.join(self.folder, "half"), progress=stop)
        self.assertEqual(session.download("stopped", os.path.join(self.folder, "half")).code, 1002)

    def test_what_cannot_be_fetched(self):
        session = self.connect()
        session.call("mkdir", path="/folder")
        self.fails("is_directory", session.download, "/folder", os.path.join(self.folder, "f"))
        self.fails("not_found", session.download, "/none", self.folder)
        self.fails("bad_path", session.download, "/", self.folder)
        self.fails("unsupported", session.download, "/folder", self.folder, args={"recursive": True})
        self.assertEqual(os.listdir(self.folder), ["known.json"])

    def test_no_more_is_taken_than_the_caller_wants(self):
        session = self.connect()
        session.upload(self.file("large", bytes(200_000)))
        self.fails("too_large", session.download, "large", os.path.join(self.folder, "l"), max_size=100_000)
        self.assertEqual(session.call("pwd").rows, [{"path": "/"}])


class Impatient(ServerCase):
    """A server that gives up a body that has not moved for a second."""

    @classmethod
    def set_up_accounts(cls):
        cls.server.add("alice")
        with open(os.path.join(cls.server.data, "ferryd.toml"), "w") as file:
            file.write("[limits]\nstall-seconds = 1\n")

    def test_a_prefix_that_takes_too_long_is_proven_at_the_second_try(self):
        def slow(*args):
            calls.append(args)
            time.sleep(2.5)
            return real(*args)
        session, path, calls, real = self.connect(), self.file("slow", contents(100_000)), [], files.hash_prefix
        session.upload(path)
        with mock.patch.object(files, "hash_prefix", slow):
            self.fails("timeout", session.upload, path)
            with mock.patch("ferry.transfer.SLOW_PREFIX_SECONDS", 1):
                calls.clear()
                self.assertEqual(session.upload(path).code, 1003)
        self.assertEqual(len(calls), 1)

    def test_an_upload_that_rests_too_long_fails_and_is_gone_on_with(self):
        def rest(done, total):
            if done > MEBIBYTE and not rested:
                rested.append(time.sleep(2.5))
        session, path, rested = self.connect(), self.file("resting", contents(6 * MEBIBYTE)), []
        self.fails("timeout", session.upload, path, progress=rest)
        self.assertEqual(session.upload(path).code, 1002)


class WithoutTls(ServerCase):
    flags = ("--no-tls",)

    @classmethod
    def set_up_accounts(cls):
        cls.server.add("alice")
        cls.server.add("mia", "--auth", "md5")

    def test_both_methods_and_a_transfer(self):
        self.assertEqual(self.connect("mia", use_tls=False).mechanism, MD5)
        session = self.connect(use_tls=False)
        self.assertEqual(session.mechanism, SCRAM)
        session.upload(self.file("f", contents(MEBIBYTE)))
        self.assertEqual(session.download("f", self.folder, rename="g").size, MEBIBYTE)
        self.fails("login_refused", self.connect, password="wrong", use_tls=False)

    def test_tls_to_a_server_without_it_fails(self):
        self.assertIsInstance(self.fails("unsupported", self.connect, pin="sha256:" + "0" * 64), ferry.ProtocolError)


if __name__ == "__main__":
    unittest.main()
