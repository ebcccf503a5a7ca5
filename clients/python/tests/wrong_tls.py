"""A server of hello and login alone, behind TLS, that is right or wrong as it is told."""
import os
import ssl
import struct

import msgpack

from ferry import wire

from .wrong import Listener, frame

HELLO = {"proto": 1, "agent": "wrong", "mechanisms": ["SCRAM-SHA-256-PLUS"]}


class TlsServer(Listener):
    """Takes connections with the key of a real server's data folder. It lets everybody in, with a proof that is none."""

    def __init__(self, data, least=ssl.TLSVersion.TLSv1_3, names=("ferry/1",), tickets=0, notify=True):
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(os.path.join(data, "certificate.pem"), os.path.join(data, "key.pem"))
        self._context.minimum_version, self._context.num_tickets = least, tickets
        self._context.set_alpn_protocols(list(names))
        self._notify = notify
        super().__init__()

    def serve(self, here):
        with self._context.wrap_socket(here, server_side=True) as peer:
            self._talk(peer)
            if self._notify:
                peer.unwrap()

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
