"""A real server for the tests, a proxy that cuts connections, and a peer that says what it is told to."""
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

import ferry

FERRYD = os.environ.get("FERRYD", "")
PASSWORD = "correct horse"


class Server:
    """`ferryd` on a free port of loopback, with a data folder of its own."""

    def __init__(self, *flags):
        self.folder = tempfile.mkdtemp(prefix="ferry-python-")
        self.env = {**os.environ, "FERRY_ALLOW_ROOT": "true"}
        self.flags = flags
        self.process = None

    def start(self):
        self.log = open(os.path.join(self.folder, "log"), "wb")
        self.process = subprocess.Popen([FERRYD, "serve", "--listen", "127.0.0.1:0", "--data", self.data, *self.flags],
                                        stdout=subprocess.PIPE, stderr=self.log, env=self.env, text=True)
        listening = self.process.stdout.readline().split()
        assert listening[:2] == ["listening", "on"], pathlib.Path(self.log.name).read_text()
        self.address = listening[2]
        key = "" if "--no-tls" in self.flags else self.process.stdout.readline().split()[1]
        self.key = key
        return self

    @property
    def data(self):
        return os.path.join(self.folder, "data")

    def add(self, name, *flags):
        subprocess.run([FERRYD, "user", "add", name, "--password-stdin", "--data", self.data, *flags], input=PASSWORD + "\n",
                       text=True, check=True, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.process.stdout.close()
        self.log.close()
        shutil.rmtree(self.folder)


class Cut:
    """A proxy in front of `address` that ends the connection when `size` bytes have gone in one direction."""

    def __init__(self, address, up=None, down=None):
        host, _, port = address.rpartition(":")
        self._server = (host, int(port))
        self._left = {"up": up, "down": down}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self):
        here, _ = self._listener.accept()
        there = socket.create_connection(self._server)
        pumps = [threading.Thread(target=self._pump, args=(a, b, way), daemon=True)
                 for a, b, way in ((here, there, "up"), (there, here, "down"))]
        for pump in pumps:
            pump.start()
        for pump in pumps:
            pump.join()
        here.close()
        there.close()

    def _pump(self, source, sink, way):
        try:
            while True:
                data = source.recv(16384)
                if self._left[way] is not None:
                    data = data[:self._left[way]]
                    self._left[way] -= len(data)
                if not data:
                    break
                sink.sendall(data)
        except OSError:
            pass
        for one in (source, sink):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self._listener.close()
        self._threads[0].join(10)


class ServerCase(unittest.TestCase):
    """Tests against a real server, which needs its binary: FERRYD=path/to/ferryd."""

    flags = ()

    @classmethod
    def setUpClass(cls):
        if not FERRYD:
            why = f"SKIPPED, {cls.__module__}.{cls.__name__}: it needs a server; set FERRYD to the path of the ferryd binary"
            print(why, file=sys.stderr)
            raise unittest.SkipTest(why)
        cls.server = Server(*cls.flags)
        cls.addClassCleanup(lambda: cls.server.process and cls.server.stop())
        cls.set_up_accounts()
        cls.server.start()

    @classmethod
    def set_up_accounts(cls):
        cls.server.add("alice")

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="ferry-python-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.known = os.path.join(self.folder, "known.json")

    def connect(self, user="alice", password=PASSWORD, address=None, **more):
        more = {"pin": self.server.key or None, "known": self.known, **more}
        session = ferry.connect(f"{user}@{address or self.server.address}", password, **more)
        self.addCleanup(session.close)
        return session

    def file(self, name, contents):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(contents)
        return path

    def fails(self, kind, call, *args, **more):
        with self.assertRaises(ferry.FerryError) as caught:
            call(*args, **more)
        self.assertEqual(caught.exception.kind, kind, caught.exception)
        return caught.exception
