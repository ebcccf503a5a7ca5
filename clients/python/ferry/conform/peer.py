"""A connection that can say anything, and that holds every frame it hears to the rules that always hold."""
import select
import socket
import ssl
import struct
import time

import msgpack

from .. import tls, wire
from ..errors import FerryError, ProtocolError
from .answers import Answers
from .trouble import Broken

# What this side announces, unless a check wants otherwise: everything that version 1 has.
LIMITS = {"control": wire.CONTROL, "data": wire.DATA, "depth": wire.DEPTH, "requests": wire.REQUESTS, "window": wire.WINDOW}
AGENT = "ferry-conform/0.1.0"
CONNECT_SECONDS = 10
# How long a server has for breaking a connection before it is asked whether it has.
QUIET_SECONDS = 0.1
SHOWN_BYTES, SHOWN_FRAMES = 96, 6


class Frame:
    """A frame that came: `kind` by name, `number` as a byte, `message` as decoded; `id` of its request, or None."""

    def __init__(self, number, kind, payload, message):
        self.number, self.kind, self.payload, self.message = number, kind, payload, message
        self.id = message.get("id") if isinstance(message, dict) else message[0] if isinstance(message, tuple) else None

    def __str__(self):
        name = self.kind or "optional"
        return f"{name} (0x{self.number:02x}, {len(self.payload)} bytes) {_told(self.message)}"


class Peer(Answers):
    """One connection. Nothing is said on it but what is asked for, and `pong`."""

    def __init__(self, host, port, is_plain=False, patience=10, key=None, limits=None):
        super().__init__()
        self.patience = patience
        self.limits = {**LIMITS, **(limits or {})}
        self.logged_in, self.hello, self.user, self.ended = False, None, None, None
        self.said, self.heard = [], []
        self._buffer = bytearray()
        self.channel, self.key, self.had_notify = b"", "", None
        sock = socket.create_connection((host, port), timeout=max(CONNECT_SECONDS, patience))
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if not is_plain:
                sock, self.key, self.channel = tls.wrap(sock)
                sock.suppress_ragged_eofs = False
                if key and key != self.key:
                    raise FerryError("login_refused", f"the server has the key {self.key}, and not {key}")
        except BaseException:
            sock.close()
            raise
        self._sock = sock

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Leaves as the protocol wants it: with `close_notify`, whose answer is not waited for."""
        try:
            self._sock.settimeout(0)
            if isinstance(self._sock, ssl.SSLSocket):
                self._sock.unwrap()
        except (OSError, ValueError):
            pass
        self._sock.close()

    @property
    def tls_session(self):
        """What OpenSSL keeps for coming again, or None."""
        return self._sock.session if isinstance(self._sock, ssl.SSLSocket) else None

    def cut(self):
        """Ends the connection as a broken line does."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock = self._sock
        if isinstance(sock, ssl.SSLSocket):
            sock = socket.socket(fileno=sock.detach())
        sock.close()

    # Saying.

    def raw(self, data, told=""):
        """Bytes as they are. A server that has gone is no failure here: whoever listens will find out."""
        self.said.append(f"{told or 'bytes'}: {_hex(data)}")
        if self.ended is not None:
            return
        view, until = memoryview(bytes(data)), time.monotonic() + self.patience
        try:
            while view:
                # What comes meanwhile is taken in, or two sides that only write would wait for each other.
                readable, writable, _ = select.select([self._sock], [self._sock], [], max(0.0, until - time.monotonic()))
                if readable or self._pending():
                    self._fill(0)
                    if self.ended is not None:
                        return
                if writable:
                    self._sock.settimeout(max(0.01, until - time.monotonic()))
                    view = view[self._sock.send(view[:65536]):]
                elif time.monotonic() >= until:
                    raise Broken("that what is sent is read", f"nothing taken for {self.patience} s", self)
        except (ConnectionError, ssl.SSLError, socket.timeout):
            self._drain()

    def payload(self, number, payload, told=""):
        """A frame of any kind with any payload."""
        number = wire.NUMBERS[number] if isinstance(number, str) else number
        name = wire.FRAMES.get(number, f"0x{number:02x}")
        self.raw(struct.pack(">IB", len(payload), number) + payload, told or name)

    def send(self, kind, **fields):
        """A map frame; fields that are None are left out. Requests are remembered, so that their answers are expected."""
        message = {name: value for name, value in fields.items() if value is not None}
        self.payload(kind, msgpack.packb(message, use_bin_type=True), f"{kind} {_told(message)}")
        if kind in ("request", "complete", "expand"):
            self.asked(kind, message)

    def data(self, number, contents):
        self.payload("data", struct.pack(">I", number) + contents, f"data of request {number}, {len(contents)} bytes")
        self.sent_data(number, contents)

    def grant(self, number, size):
        self.payload("grant", struct.pack(">II", number, size), f"grant of {size} bytes to request {number}")
        self.granted(number, size)

    def say_hello(self, **fields):
        """The first frame, with whatever fields are wanted in place of the usual ones."""
        self.send("hello", **{"proto": 1, "agent": AGENT, "features": [], "required": [], "limits": self.limits, **fields})

    # Listening.

    def step(self, seconds=None):
        """Takes in one frame and returns it; None when the connection has ended. Silence of `seconds` is broken patience."""
        frame = self.poll(self.patience if seconds is None else seconds)
        if frame is None and self.ended is None:
            raise Broken("a frame", f"nothing for {self.patience if seconds is None else seconds} s", self)
        return frame

    def poll(self, seconds):
        """The next frame, or None when none comes within `seconds` or the connection has ended."""
        until = time.monotonic() + seconds
        while True:
            frame = self._take()
            if frame is not None:
                if frame.kind == "ping":
                    self.payload("pong", frame.payload)
                    continue
                return frame
            if self.ended is not None or not self._fill(max(0.0, until - time.monotonic())):
                return None

    def next(self, *kinds):
        """The next frame, which has to be of one of these kinds; those that are optional and unknown are passed over."""
        while True:
            frame = self.step()
            if frame is None:
                raise Broken(" or ".join(kinds), f"the end of the connection ({self.ended})", self)
            if frame.kind in kinds:
                return frame
            if frame.kind is not None:
                raise Broken(" or ".join(kinds), str(frame), self)

    def hear_hello(self):
        self.hello = self.next("hello").message
        return self.hello

    def expect_end(self, kind=None, wants_word=False):
        """The connection has to end: with `fail`, `id` 0, of one of these kinds if any is said, and nothing else but answers that
        were under way. Where nothing happens the server is asked something, and may not answer."""
        kinds = (kind,) if isinstance(kind, str) else kind
        word, is_asked, until = None, False, time.monotonic() + self.patience
        while True:
            frame = self.poll(QUIET_SECONDS if not is_asked else max(0.0, until - time.monotonic()))
            if frame is None and self.ended is not None:
                break
            if frame is None:
                if is_asked:
                    raise Broken("the end of the connection", f"nothing for {self.patience} s", self)
                is_asked = True
                self._probe()
            elif word is not None and frame.id not in self.answers:
                raise Broken("nothing behind a fail with id 0", str(frame), self, "10")
            elif frame.kind == "fail" and frame.id == 0:
                word = frame.message
                if kinds and word["kind"] not in kinds:
                    raise Broken(f"fail, id 0, {' or '.join(kinds)}", str(frame), self)
            elif frame.kind in ("pong", "challenge", "welcome", "hello") or (frame.kind == "fail" and not self.logged_in):
                raise Broken("the end of the connection", f"{frame}: the server goes on", self)
        if wants_word and word is None:
            raise Broken(f"fail, id 0, {' or '.join(kinds)}", f"the end without a word ({self.ended})", self)
        return word

    def _probe(self):
        if self.logged_in:
            self.payload("ping", b"there?")
        elif self.hello is not None or self.said:
            name = "p=tls-exporter,," if self.channel else "n,,"
            mechanism = "SCRAM-SHA-256-PLUS" if self.channel else "SCRAM-SHA-256"
            self.send("login", mechanism=mechanism, data=f"{name}n=nobody,r=0123456789abcdefghij".encode())

    def _pending(self):
        return bool(isinstance(self._sock, ssl.SSLSocket) and self._sock.pending())

    def _drain(self):
        while self.ended is None and self._fill(self.patience):
            pass

    def _fill(self, seconds):
        """Reads what there is; False when nothing came in time."""
        try:
            if not self._pending() and not select.select([self._sock], [], [], seconds)[0]:
                return False
            self._sock.settimeout(self.patience)
            more = self._sock.recv(1 << 20)
        except (ssl.SSLWantReadError, socket.timeout):
            return True
        except ssl.SSLEOFError:
            self.ended, self.had_notify = "closed without close_notify", False
            return True
        except (OSError, ValueError) as error:
            self.ended = f"broken: {getattr(error, 'strerror', None) or error}"
            return True
        if not more:
            self.ended, self.had_notify = "closed", isinstance(self._sock, ssl.SSLSocket)
        self._buffer += more
        return True

    def _take(self):
        if len(self._buffer) < 5:
            if self._buffer and self.ended is not None and self.ended.startswith("closed"):
                raise Broken("an end between two frames", f"an end behind {bytes(self._buffer).hex()}", self, "1")
            return None
        length, number = struct.unpack(">IB", self._buffer[:5])
        try:
            kind = wire.check_header(length, number, self.logged_in, self.limits["data"])
        except ProtocolError as error:
            raise Broken("a frame that the protocol allows", f"{bytes(self._buffer[:5]).hex()}, {error.message}", self, "2") from None
        if len(self._buffer) < 5 + length:
            return None
        payload = bytes(self._buffer[5:5 + length])
        del self._buffer[:5 + length]
        try:
            message = self._decode(kind, payload)
        except (ProtocolError, UnicodeError) as error:
            self.heard.append(f"0x{number:02x}: {_hex(payload)}")
            raise Broken("a message that the protocol allows", f"{kind} {_hex(payload)}, {error}", self, "3") from None
        frame = Frame(number, kind, payload, message)
        self.heard.append(f"{frame}: {_hex(payload)}")
        del self.heard[:-SHOWN_FRAMES]
        if kind in wire.FROM_CLIENT:
            raise Broken("a frame that a server may send", str(frame), self, "2")
        if kind == "welcome":
            self.logged_in = True
        self.came(frame)
        return frame

    def _decode(self, kind, payload):
        if kind == "data":
            return wire.read_data(payload)
        if kind == "grant":
            return wire.read_grant(payload)
        if kind in (None, "ping", "pong"):
            return payload
        return wire.decode(kind, payload)


def _hex(data):
    data = bytes(data)
    return data.hex() if len(data) <= SHOWN_BYTES else f"{data[:SHOWN_BYTES].hex()}.. ({len(data)} bytes)"


def _told(message):
    if isinstance(message, tuple):
        message = f"request {message[0]}, {message[1] if isinstance(message[1], int) else len(message[1])} bytes"
    text = repr(message)
    return text if len(text) <= 4 * SHOWN_BYTES else text[:4 * SHOWN_BYTES] + ".."
