"""`ferry-conform` against a right server, and against one that breaks a rule, by every rule there is."""
import io
import json
import os
import socket
import ssl
import subprocess
import sys
import unittest
from contextlib import redirect_stdout
from unittest import mock

from ferry.conform.__main__ import KEPT, _Reporter, _try, run
from ferry.conform.suite import Suite
from ferry.conform.trouble import CHECKS, Broken

from . import faults_bodies  # noqa: F401: it registers its faults
from .faults import FAULTS, PATIENCE, SHORT_PATIENCE
from .support import PASSWORD, ServerCase
from .wrong import Proxy, Wrong
from .wrong_tls import TlsServer

# Checks that need TLS, behind which no proxy can change anything; `WrongTls` has their faults.
BEHIND_TLS = {"tls-version", "tls-alpn", "tls-tickets", "close-notify", "login-channel", "login-saved"}
ALL = bool(os.environ.get("FERRY_CONFORM_ALL"))


def by_name(name):
    return next(one for one in CHECKS if one.name == name)


class Conform(ServerCase):
    """The whole of it, as a person runs it."""

    @classmethod
    def set_up_accounts(cls):
        cls.server.add("alice", "--quota", "100MiB")
        cls.server.add("mia", "--auth", "md5")
        cls.server.add("rita", "--read-only")

    def conform(self, *words, password=PASSWORD):
        env = {**os.environ, "FERRY_PASSWORD": password}
        return subprocess.run([sys.executable, "-m", "ferry.conform", "--patience", str(PATIENCE), *words], env=env, capture_output=True, text=True, timeout=600)

    def test_a_right_server_keeps_every_rule(self):
        done = self.conform("--json", "--pin", self.server.key, f"alice@{self.server.address}")
        told = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([one for one in told if one.get("result") == "broken"], [], done.stderr)
        self.assertEqual([one["check"] for one in told if one.get("result") == "skipped"], ["login-plain"])
        self.assertEqual((done.returncode, told[-1]["kept"]), (0, len([one for one in CHECKS if not one.late]) - 1))
        session = self.connect()
        self.assertEqual(session.call("ls").rows, [])
        self.assertEqual(session.call("partials").rows, [])

    def test_an_account_of_the_md5_method(self):
        logins = [name for one in CHECKS if (name := one.name).startswith("login")]
        done = self.conform("--pin", self.server.key, *(word for name in logins for word in ("--only", name)), f"mia@{self.server.address}")
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_exit_codes(self):
        target = f"alice@{self.server.address}"
        self.assertEqual(self.conform("--only", "ping", target).returncode, 0)
        self.assertEqual(self.conform("--only", "ping", target, password="wrong").returncode, 3)
        self.assertEqual(self.conform("--only", "ping", "--pin", "sha256:" + "0" * 64, target).returncode, 3)
        self.assertEqual(self.conform("--only", "nothing", target).returncode, 2)
        self.assertEqual(self.conform().returncode, 2)
        self.assertEqual(self.conform("--only", "ping", f"rita@{self.server.address}").returncode, 2)
        with socket.create_server(("127.0.0.1", 0)) as closed:
            address = "127.0.0.1:%d" % closed.getsockname()[1]
        self.assertEqual(self.conform(f"alice@{address}").returncode, 8)
        self.assertEqual(self.conform("--plain", "--patience", "1", target).returncode, 1)

    def test_the_list_has_every_check_with_its_rule(self):
        lines = self.conform("--list").stdout.splitlines()
        self.assertEqual([line.split()[0] for line in lines], [one.name for one in CHECKS])
        self.assertTrue(all(len(line.split()) > 4 for line in lines))


class Faults(ServerCase):
    flags = ("--no-tls",)

    @classmethod
    def set_up_accounts(cls):
        cls.server.add("alice", "--quota", "100MiB")

    def setUp(self):
        super().setUp()
        host, port = self.server.address.split(":")
        self.suite = Suite(host, int(port), "alice", PASSWORD, is_plain=True, patience=PATIENCE)
        self.suite.set_up()
        self.addCleanup(self.suite.tear_down)

    def behind(self, fault, checks, patience):
        """What the checks say of the server behind this fault."""
        proxy, port = Proxy(self.server.address, fault), self.suite.port
        try:
            self.suite.port, self.suite.patience = proxy.port, patience
            return {one.name: _try(one, self.suite) for one in checks}
        finally:
            self.assertEqual(proxy.errors, [])
            self.suite.port, self.suite.patience = port, PATIENCE
            proxy.close()

    def test_a_proxy_that_changes_nothing_is_right(self):
        result = self.behind(Wrong, [one for one in CHECKS if not one.late], PATIENCE)
        self.assertEqual({name: trouble for name, trouble in result.items() if isinstance(trouble, Broken)}, {})

    def test_every_fault_is_found_by_the_check_that_is_for_it(self):
        for fault, names, silent_behind in FAULTS:
            for name in names:
                with self.subTest(fault=fault.__name__, check=name):
                    patience = PATIENCE if silent_behind is None else SHORT_PATIENCE
                    trouble = self.behind(fault, [by_name(name)], patience)[name]
                    self.assertIsInstance(trouble, Broken)
                    self.assertNotIn("Traceback", trouble.came)
                    self.assertTrue(trouble.expected)
                    if silent_behind is not None:
                        self.assertEqual((trouble.expected, trouble.came), ("a frame", f"nothing for {patience} s"))
                        last = trouble.peer.said[-1] if trouble.peer.said else ""
                        self.assertTrue(last.startswith(silent_behind) and bool(last) == bool(silent_behind), last)

    def test_every_check_has_a_fault(self):
        found = {name for _, names, _ in FAULTS for name in names}
        self.assertEqual({one.name for one in CHECKS if not one.late} - found, BEHIND_TLS)

    @unittest.skipUnless(ALL, "FERRY_CONFORM_ALL=1 runs every check against every fault, in some ten minutes")
    def test_who_else_finds_a_fault(self):
        for fault, names, silent_behind in FAULTS:
            patience = 5 if silent_behind is None else SHORT_PATIENCE
            result = self.behind(fault, [one for one in CHECKS if not one.late], patience)
            others = [name for name, trouble in result.items() if isinstance(trouble, Broken) and name not in names]
            print(f"{fault.__name__:<40} {' '.join(names)} | {len(others)} others: {' '.join(others[:8])}", file=sys.stderr)

    def test_what_is_told_of_a_broken_rule(self):
        out = io.StringIO()
        fault = next(fault for fault, names, _ in FAULTS if names == ("hello-version",))
        proxy = Proxy(self.server.address, fault)
        self.addCleanup(proxy.close)
        suite = Suite("127.0.0.1", proxy.port, "alice", PASSWORD, is_plain=True, patience=PATIENCE)
        with redirect_stdout(out):
            code = run(suite, [by_name("hello-version"), by_name("ping")], _Reporter(False))
        self.assertEqual(code, 1)
        text = out.getvalue()
        for part in ("broken   hello-version", "rule      section 4: Another `proto`", "sent      hello {'proto': 0",
                     "expected  the end of the connection", "kept     ping", "1 kept, 1 broken, 0 skipped"):
            self.assertIn(part, text)
        self.assertNotEqual(code, KEPT)


class WrongTls(ServerCase):
    """A server that is wrong about TLS, and one that is wrong behind it."""

    def suite(self, port):
        suite = Suite("127.0.0.1", port, "alice", PASSWORD, patience=PATIENCE)
        suite.verbs = [{"name": "logins", "aliases": []}]
        return suite

    def broken(self, name, **how):
        server = TlsServer(self.server.data, **how)
        self.addCleanup(server.close)
        trouble = _try(by_name(name), self.suite(server.port))
        self.assertEqual(server.errors, [])
        return trouble

    def test_what_is_wrong_about_tls_is_found(self):
        for name, how in (("tls-version", {"least": ssl.TLSVersion.TLSv1_2}), ("tls-alpn", {"names": ["other"]}),
                          ("tls-tickets", {"tickets": 2}), ("close-notify", {"notify": False}), ("login-channel", {})):
            with self.subTest(name):
                if name != "login-channel":
                    self.assertIsNone(self.broken(name))
                trouble = self.broken(name, **how)
                self.assertIsInstance(trouble, Broken)
                self.assertNotIn("Traceback", trouble.came)

    def test_saved_logins_that_are_wrong_are_found(self):
        port, real = int(self.server.address.rpartition(":")[2]), Suite.log_in
        changes = {"a token of another form": lambda by_token, welcome: welcome.update(token="ferry-token-v1:x"),
                   "another user": lambda by_token, welcome: welcome.update(user="bob") if by_token else None,
                   "a saved login by a saved login": lambda by_token, welcome: welcome.update(token="x") if by_token else None}
        for name, change in changes.items():
            def log_in(suite, peer, login=None, save=None):
                welcome = dict(real(suite, peer, login, save))
                if save:
                    change(login.token is not None, welcome)
                return welcome
            with self.subTest(name), mock.patch.object(Suite, "log_in", log_in):
                self.assertIsInstance(_try(by_name("login-saved"), self.suite(port)), Broken)


if __name__ == "__main__":
    unittest.main()
