"""A connection: frames out and in, with deadlines, and nothing but what the protocol allows at that time."""
import select
import socket
import struct
import time

from . import wire
from .errors import DeadlinePassed, FerryError, ProtocolError

CONNECT_SECONDS = 10
LOGIN_SECONDS = 30
STALL_SECONDS = 30
# After so long a silence the other side is asked whether it is there.
PING_SECONDS = 20
READ_BYTES = 65536
WRITE_BYTES = 16384
# What this side takes; a window is small enough to be held in memory.
LIMITS = {"control": wire.CONTROL, "data": wire.LEAST_DATA, "depth": wire.DEPTH, "requests": wire.REQUESTS, "window": 1048576}


def lost(why):
    return FerryError("unreachable", why, "run it again; transfers go on where they stopped")


class Link:
    """Frames over a socket. `logged_in` is set by whoever has received `welcome`."""

    def __init__(self, sock, silence_seconds=60):
        self._sock = sock
        self._buffer = bytearray()
        self.logged_in = False
        self.silence_seconds = silence_seconds
        # A moment of time.monotonic() at which whatever is being waited for fails with `timeout`; None is never.
        self.deadline = None
        self._is_dying = False
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self):
        if self._sock is not None:
            sock, self._sock = self._sock, None
            try:
                # Tells the other side that nothing more comes; its answer is not waited for.
                sock.settimeout(0)
                if hasattr(sock, "unwrap"):
                    sock.unwrap()
            except (OSError, ValueError):
                pass
            sock.close()

    @property
    def is_open(self):
        return self._sock is not None

    def send(self, kind, message):
        self._write(wire.encode(kind, message))

    def send_data(self, number, contents):
        self._write(struct.pack(">IBI", 4 + len(contents), wire.NUMBERS["data"], number) + contents)

    def grant(self, number, size):
        self._write(wire.frame("grant", struct.pack(">II", number, size)))

    def ready(self):
        """Whether something has come; never waits."""
        if self._sock is None:
            raise lost("the connection is closed")
        if self._buffer or (hasattr(self._sock, "pending") and self._sock.pending()):
            return True
        return bool(select.select([self._sock], [], [], 0)[0])

    def receive(self):
        """The next frame that is not for the link itself: its kind, and a message, or the contents of a binary frame."""
        while True:
            self._wait(5)
            length, number = struct.unpack(">IB", self._buffer[:5])
            kind = wire.check_header(length, number, self.logged_in, LIMITS["data"])
            if kind in wire.FROM_CLIENT:
                raise ProtocolError("bad_request", f"a frame of kind {kind} from a server")
            self._wait(5 + length)
            payload = bytes(self._buffer[5:5 + length])
            del self._buffer[:5 + length]
            if kind == "ping":
                self._write(wire.frame("pong", payload))
            elif kind == "data":
                return kind, wire.read_data(payload)
            elif kind == "grant":
                return kind, wire.read_grant(payload)
            elif kind is not None and kind != "pong":
                message = wire.decode(kind, payload)
                if kind == "fail" and message["id"] == 0 and not (message["kind"] == "login_refused" and not self.logged_in):
                    raise failure(message)
                return kind, message

    def _wait(self, size):
        """Reads until the buffer has `size` bytes."""
        heard, asked = time.monotonic(), False
        while len(self._buffer) < size:
            now = time.monotonic()
            half_way = bool(self._buffer)
            silence = STALL_SECONDS if half_way else self.silence_seconds
            left = heard + silence - now
            if self.deadline is not None:
                if now >= self.deadline:
                    raise DeadlinePassed
                left = min(left, self.deadline - now)
            if left <= 0:
                raise lost(f"the server said nothing for {silence} seconds")
            if self.logged_in and not half_way and not asked:
                if now >= heard + PING_SECONDS:
                    self._write(wire.frame("ping", b"ferry"))
                    asked = True
                else:
                    left = min(left, heard + PING_SECONDS - now)
            more = self._read(max(left, 0.001))
            if more is not None:
                self._buffer += more
                heard, asked = time.monotonic(), False

    def _read(self, seconds):
        if self._sock is None:
            raise lost("the connection is closed")
        self._sock.settimeout(seconds)
        try:
            more = self._sock.recv(READ_BYTES)
        except socket.timeout:
            return None
        except OSError as error:
            raise lost(f"the connection broke: {error.strerror or error}") from error
        if not more:
            raise lost("the server closed the connection")
        return more

    def _write(self, data):
        if self._sock is None:
            raise lost("the connection is closed")
        view = memoryview(data)
        try:
            while view:
                left = STALL_SECONDS if self.deadline is None else self.deadline - time.monotonic()
                if left <= 0:
                    raise DeadlinePassed
                self._sock.settimeout(min(STALL_SECONDS, left))
                view = view[self._sock.send(view[:WRITE_BYTES]):]
        except OSError as error:
            # What the server said before it closed is worth more than that it has closed.
            said = self._last_words()
            self.close()
            raise said or lost(f"the connection broke: {error.strerror or error}") from error
        except BaseException:
            # Half a frame may be under way: nothing can follow it.
            self.close()
            raise

    def _last_words(self):
        if self._is_dying:
            return None
        self._is_dying = True
        try:
            for _ in range(64):
                if not self.ready():
                    return None
                self.deadline = time.monotonic() + 1
                kind, message = self.receive()
                if kind == "fail":
                    return failure(message)
        except FerryError as error:
            return error if error.kind != "unreachable" else None
        except (OSError, ValueError):
            return None
        return None


def failure(message):
    return FerryError(message["kind"], message["message"], message["hint"], message["path"])
