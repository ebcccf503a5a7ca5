"""A server of hello and login alone, behind TLS, that is right or wrong as it is told."""
import os
import socket
import ssl
import struct
import threading

import msgpack

from ferry import wire

from .wrong import frame

HELLO = {"proto": 1, "agent": "wrong", "mechanisms": ["SCRAM-SHA-256-PLUS"]}


class TlsServer:
    """Takes connections with the key of a real server's data folder. It lets everybody in, with a proof that is none."""

    def __init__(self, data, least=ssl.TLSVersion.TLSv1_3, names=("ferry/1",), tickets=0, notify=True):
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(os.path.join(data, "certificate.pem"), os.path.join(data, "key.pem"))
        self._context.minimum_version, self._context.num_tickets = least, tickets
        self._context.set_alpn_protocols(list(names))
        self._notify, self.errors = notify, []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._run, args=(sock,), daemon=True).start()

    def _run(self, sock):
        try:
            with self._context.wrap_socket(sock, server_side=True) as peer:
                self._talk(peer)
                if self._notify:
                    peer.unwrap()
        except OSError:
            # Clients that leave, and those that TLS keeps out.
            pass
        except Exception as error:
            self.errors.append(error)

    def _talk(self, peer):
        file = peer.makefile("rwb")
        file.write(bytes(frame("hello", **HELLO)))
        file.flush()
        while header := file.read(5):
            length, number = struct.unpack(">IB", header)
            message = msgpack.unpackb(file.read(length))
            kind = wire.FRAMES[number]
            if kind == "hello" and message["proto"] == 1:
                continue
            if kind == "hello":
                reply = frame("fail", id=0, code=2021, kind="unsupported", message="another version")
            elif kind == "login":
                nonce = message["data"].rpartition(b"r=")[2]
                reply = frame("challenge", data=b"r=" + nonce + b"x,s=AAAAAAAAAAA=,i=4096")
            else:
                reply = frame("welcome", data=b"v=AAAA", user="alice")
            file.write(bytes(reply))
            file.flush()
            if kind == "hello":
                return

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
