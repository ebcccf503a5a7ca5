"""Section 2: headers, kinds and their limits."""
import struct

import msgpack

from .. import wire
from .trouble import Broken, check

FROM_SERVER = ("challenge", "welcome", "catalog", "begin", "rows", "problem", "progress", "done", "fail")


def _header(length, number):
    return struct.pack(">IB", length, number)


def _breaks(suite, connect, kind, *frames):
    """Each of these ends a connection of its own."""
    for told, data in frames:
        with connect() as peer:
            peer.raw(data, told)
            peer.expect_end(kind)


@check("optional-kinds", "2")
def optional_kinds_are_dropped(suite):
    """Kinds from 0x80 on are optional: whoever does not know one reads its payload and drops it, before the login and behind it."""
    with suite.greeted() as peer:
        for number in (0x80, 0xC3, 0xFF):
            peer.payload(number, b"")
            peer.payload(number, b"\xc1" * 100)
        peer.payload(0x90, bytes(wire.EARLY_CONTROL))
        suite.session(peer=peer)
        peer.payload(0x80, b"\xff\xfe")
        peer.payload(0xFF, bytes(peer.hello["limits"]["control"]))
        peer.is_alive("an unknown optional frame is dropped")


@check("unknown-kinds", "2")
def unknown_kinds_break(suite):
    """Any other unknown kind ends the connection, before the login and behind it."""
    for connect in (suite.greeted, suite.session):
        _breaks(suite, connect, "bad_request", *((f"kind 0x{number:02x}", _header(1, number) + b"\x80")
                                                 for number in (0x00, 0x07, 0x14, 0x33, 0x45, 0x7F)))


@check("wrong-side", "2")
def kinds_of_the_server_break(suite):
    """A kind from the wrong side ends the connection."""
    for name in FROM_SERVER:
        with suite.session() as peer:
            peer.payload(name, msgpack.packb({"id": 1}))
            peer.expect_end("bad_request")


@check("wrong-time", "2")
def kinds_at_the_wrong_time_break(suite):
    """What is for after the login ends the connection before it, and the other way round."""
    request = msgpack.packb({"id": 1, "verb": "pwd"})
    _breaks(suite, suite.greeted, "denied", ("request", _header(len(request), 0x10) + request))
    early = [(name, _header(len(payload), wire.NUMBERS[name]) + payload) for name, payload in (
        ("cancel", msgpack.packb({"id": 1})), ("ping", b""), ("pong", b""),
        ("complete", msgpack.packb({"id": 1, "verb": "ls", "arg": "path", "word": ""})),
        ("expand", msgpack.packb({"id": 1, "pattern": "*"})), ("data", b"\0\0\0\1abc"), ("grant", bytes(8)),
        ("end", msgpack.packb({"id": 1, "size": 0, "digest": "md5:" + "0" * 32})))]
    _breaks(suite, suite.greeted, "bad_request", *early)
    with suite.session() as peer:
        login = suite.login(peer)
        peer.send("login", mechanism=login.opening, data=login.first())
        peer.expect_end("bad_request")
    with suite.session() as peer:
        peer.send("answer", data=b"x")
        peer.expect_end("bad_request")


@check("limit-before-login", "2")
def small_frames_before_the_login(suite):
    """Before the login a map or optional frame has 4096 bytes at most; the header of a longer one ends the connection."""
    _breaks(suite, suite.greeted, "too_large", *((f"header of kind 0x{number:02x}", _header(4097, number)) for number in (2, 4, 0x80, 0xFF)))
    with suite.greeted() as peer:
        login = suite.login(peer)
        padded = {"mechanism": login.opening, "data": login.first(), "pad": ""}
        padded["pad"] = "x" * (4096 - len(msgpack.packb(padded, use_bin_type=True)) - 2)
        payload = msgpack.packb(padded, use_bin_type=True)
        assert len(payload) == 4096
        peer.payload("login", payload)
        peer.next("challenge")


@check("limit-control", "2")
def announced_control_frames(suite):
    """Behind the login a map frame may be as long as the server announced; the header of a longer one ends the connection."""
    with suite.session() as peer:
        limit = peer.hello["limits"]["control"]
        message = {"id": 1, "verb": suite.plain, "args": {}, "pad": ""}
        empty = len(msgpack.packb(message))
        message["pad"] = "x" * (limit - empty - (2 if limit - empty - 2 < 65536 else 4))
        payload = msgpack.packb(message)
        assert len(payload) <= limit
        peer.payload("request", payload, f"request of {len(payload)} bytes")
        peer.asked("request", message)
        peer.well(1, "a request of the announced length is answered")
    _breaks(suite, suite.session, "too_large", *((f"header of kind 0x{number:02x}", _header(limit + 1, number))
                                                 for number in (0x10, 0x11, 0x13, 0x41, 0x80, 0xFF)))


@check("limit-data", "2")
def announced_data_frames(suite):
    """The header of a data frame with more contents than announced ends the connection."""
    with suite.session() as peer:
        limit = peer.hello["limits"]["data"]
        peer.raw(_header(4 + limit + 1, 0x40), "header of data")
        peer.expect_end("too_large")
    _breaks(suite, suite.session, "bad_request", ("data without a request", _header(3, 0x40) + bytes(3)))


@check("limit-by-header", "2")
def limits_are_checked_before_the_payload(suite):
    """A limit is checked by the header alone, before the payload is read or room made for it: 4 GiB are refused at once."""
    _breaks(suite, suite.greeted, "too_large", *((f"kind 0x{n:02x}", _header(2**32 - 1, n)) for n in (0x02, 0xFF)))
    _breaks(suite, suite.session, "too_large", *((f"kind 0x{n:02x}", _header(2**32 - 1, n)) for n in (0x10, 0x40, 0x42, 0x43, 0x99)))


@check("frame-vectors", "2")
def vectors_of_frames(suite):
    """Every rejected frame of docs/vectors/frames.json ends the connection, and accepted optional ones do not."""
    for vector in suite.vectors("frames"):
        connect = suite.session if vector["stage"] == "logged_in" else suite.greeted
        if "reject" in vector:
            _breaks(suite, connect, vector["reject"], (vector["name"], bytes.fromhex(vector["hex"])))
        elif vector["accept"].get("kind") is None:
            with connect() as peer:
                frame = bytes.fromhex(vector["hex"])
                peer.raw(frame + bytes(5 + vector["accept"]["len"] - len(frame)), vector["name"])
                suite.session(peer=peer) if not peer.logged_in else peer.is_alive(vector["name"])


@check("fail-word", "10")
def a_broken_frame_is_told(suite):
    """A broken frame is answered with `fail`, `id` 0, and the kind of what is wrong; then the connection ends."""
    for told, data, kind in (("a kind that is not known", _header(0, 0x07), "bad_request"),
                             ("a frame that is too long", _header(2**32 - 1, 0x10), "too_large"),
                             ("an array", _header(1, 0x10) + b"\x90", "bad_request")):
        with suite.session() as peer:
            peer.raw(data, told)
            word = peer.expect_end(kind, wants_word=True)
            if not word["message"]:
                raise Broken("a message for people", str(word), peer)
