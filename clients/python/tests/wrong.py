"""A server that breaks one rule: a proxy in front of a right one, without TLS, that changes what is said on the way."""
import select
import socket
import struct
import threading

import msgpack

from ferry import wire

UP, DOWN = "up", "down"


class Frame:
    """A frame on its way. `message` is its map, or None; a fault may change it, or `payload`."""

    def __init__(self, number, payload):
        self.number, self.payload = number, payload
        self.kind = wire.FRAMES.get(number)

    @property
    def message(self):
        if self.kind in ("data", "grant", "ping", "pong", None):
            return None
        try:
            wire.guard(self.payload)
            return msgpack.unpackb(self.payload, raw=False, strict_map_key=False)
        except Exception:
            return None

    def with_message(self, message):
        self.payload = msgpack.packb(message, use_bin_type=True)
        return self

    def __bytes__(self):
        return struct.pack(">IB", len(self.payload), self.number) + self.payload


def frame(name, /, **fields):
    return Frame(wire.NUMBERS[name], msgpack.packb(fields, use_bin_type=True))


class Wrong:
    """A fault, made for every connection; by itself it changes nothing. `up` and `down` return what goes on of a frame."""

    def __init__(self):
        self.replies, self.is_logged_in, self.is_over = [], False, False
        # What was held back of what the client said, and is told the server now.
        self.released = []
        # Whether the client is not told when the server ends the connection.
        self.hides_end = False

    def reply(self, name, /, **fields):
        """Says something in the server's place."""
        self.replies.append(frame(name, **fields))

    def leave(self, kind="bad_request", code=2001):
        """Ends the connection in the server's place."""
        self.reply("fail", id=0, code=code, kind=kind, message="no")
        self.is_over = True

    def header(self, length, number):
        """Whether a frame of the client that is too long is told to the server; otherwise it is as if it were nothing."""
        return True

    def up(self, one):
        return [one]

    def down(self, one):
        return [one]


class Listener:
    """Takes connections on a free port of loopback and hands each to `serve` of who inherits it, on a thread of its own."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.errors = []
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while True:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._run, args=(here,), daemon=True).start()

    def _run(self, here):
        try:
            with here:
                self.serve(here)
        except OSError:
            # Clients that leave, and those that TLS keeps out.
            pass
        except Exception as error:
            # A fault that has a fault of its own would be found for what it is not.
            self.errors.append(error)

    def close(self):
        # A listener that somebody waits at is woken by `shutdown` alone.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


class Proxy(Listener):
    """Takes connections for `address` and lets `fault` at their frames."""

    def __init__(self, address, fault=Wrong):
        host, _, port = address.rpartition(":")
        self._server, self._fault = (host, int(port)), fault
        super().__init__()

    def serve(self, here):
        with socket.create_connection(self._server) as there:
            for one in (here, there):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _Pair(here, there, self._fault()).run()


class _Pair:
    """One connection and the one that it stands for."""

    def __init__(self, here, there, fault):
        self.here, self.there, self.fault = here, there, fault
        self.buffers = {UP: bytearray(), DOWN: bytearray()}
        # Ways on which a frame came that has no end; what follows goes on as it is.
        self.raw = set()

    def run(self):
        is_gone = False
        while not self.fault.is_over:
            readable = select.select([self.here] if is_gone else [self.here, self.there], [], [], 60)[0]
            if not readable:
                return
            for source in readable:
                try:
                    more = source.recv(1 << 18)
                except ConnectionError:
                    more = b""
                if not more and source is self.there and self.fault.hides_end:
                    is_gone = True
                    continue
                if not more:
                    return
                way = UP if source is self.here else DOWN
                self.buffers[way] += more
                out = self._take(way)
                if out and not (way == UP and is_gone):
                    (self.there if way == UP else self.here).sendall(out)
                if self.fault.released:
                    released, self.fault.released = self.fault.released, []
                    self.there.sendall(b"".join(bytes(one) for one in released))
                if self.fault.replies:
                    replies, self.fault.replies = self.fault.replies, []
                    self.here.sendall(b"".join(bytes(one) for one in replies))

    def _take(self, way):
        buffer, out = self.buffers[way], bytearray()
        while buffer and way not in self.raw:
            if len(buffer) < 5:
                break
            length, number = struct.unpack(">IB", buffer[:5])
            limit = wire.CONTROL if self.fault.is_logged_in or way == DOWN else wire.EARLY_CONTROL
            limit = {0x40: wire.DATA + 4, 0x42: 8, 0x43: 8, 0x44: 8}.get(number, limit)
            if length > limit and way == UP:
                if self.fault.header(length, number):
                    self.raw.add(way)
                else:
                    del buffer[:5]
                continue
            if len(buffer) < 5 + length:
                break
            one = Frame(number, bytes(buffer[5:5 + length]))
            del buffer[:5 + length]
            if way == DOWN and one.kind == "welcome":
                self.fault.is_logged_in = True
            for changed in (self.fault.up if way == UP else self.fault.down)(one):
                out += bytes(changed)
        if way in self.raw:
            out += buffer
            buffer.clear()
        return out
