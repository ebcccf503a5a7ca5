"""Section 9: ping, and deadlines."""
import socket
import time

from .bodies import contents, open_upload, send_body, send_end, is_stored
from .trouble import Broken, Skipped, check

# What the page says, and as much again for a machine that is busy.
LATE = 2.0
FRAME_SECONDS, LOGIN_SECONDS = 30, 30


@check("ping", "9")
def pings_are_answered(suite):
    """`ping` of 0 to 8 bytes is answered with `pong` and the same bytes, in their order."""
    with suite.session() as peer:
        wanted = [bytes(range(size)) for size in range(9)] * 3
        for payload in wanted:
            peer.payload("ping", payload)
        for payload in wanted:
            frame = peer.next("pong")
            if frame.payload != payload:
                raise Broken(f"a pong with {payload.hex()}", str(frame), peer)


@check("pong", "9")
def a_pong_nobody_asked_for(suite):
    """A pong nobody asked for is ignored."""
    with suite.session() as peer:
        for payload in (b"", b"12345678", b"12345678"):
            peer.payload("pong", payload)
        peer.is_alive("a pong nobody asked for is ignored")


@check("ping-beside-bodies", "9")
def pings_beside_bodies(suite):
    """A ping is answered whatever bodies are doing."""
    with suite.session({"window": 1000}) as peer:
        path, data = suite.new_path(), contents(100_000, 60)
        number = open_upload(suite, peer, path, {"size": len(data), "fresh": True})
        send_body(peer, number, data[:50_000])
        peer.is_alive("a ping beside an upload")
        send_body(peer, number, data[50_000:])
        send_end(peer, number, data)
        is_stored(peer, number, path, data)
        number = peer.start(*suite.download_args(path), body={})
        peer.wait(number, 1000)
        peer.is_alive("a ping beside a download that waits")
        peer.send("cancel", id=number)
        peer.fails(number)


def _ends_in(suite, peer, seconds, what):
    started = time.monotonic()
    while peer.ended is None:
        if time.monotonic() - started > seconds * LATE:
            raise Broken(f"the end of the connection {seconds} s after {what}", f"nothing after {seconds * LATE} s", peer)
        peer.poll(1)


@check("late-login", "9", late=True)
def a_login_that_does_not_come(suite):
    """A connection without `welcome` is ended after 30 seconds."""
    with suite.greeted() as peer:
        _ends_in(suite, peer, LOGIN_SECONDS, "the connection without a login")


@check("late-frame", "9", late=True)
def a_frame_that_stops_half_way(suite):
    """A connection on which a frame stops half-way is ended after 30 seconds."""
    with suite.session() as peer:
        peer.raw(b"\0\0\0\x20\x10\x82", "the beginning of a request")
        _ends_in(suite, peer, FRAME_SECONDS, "half a frame")


@check("late-tls", "9", late=True)
def a_handshake_that_does_not_come(suite):
    """A connection without a TLS handshake is ended after 10 seconds."""
    if suite.is_plain:
        raise Skipped("there is no TLS here")

    with socket.create_connection((suite.host, suite.port), timeout=10 * LATE) as sock:
        try:
            if sock.recv(100):
                raise Broken("silence", "bytes before the handshake")
        except socket.timeout:
            raise Broken("the end of the connection after 10 s", "nothing") from None
        except ConnectionError:
            pass
