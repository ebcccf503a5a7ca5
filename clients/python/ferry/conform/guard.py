"""Section 3: what is checked before a map frame is decoded, and the types of its fields."""
import msgpack

from .. import wire
from .trouble import Broken, check

FROM_CLIENT = ("hello", "login", "answer", "request", "cancel", "complete", "expand", "end")


def _bytes(vector):
    if "hex" in vector:
        return bytes.fromhex(vector["hex"])
    return bytes.fromhex(vector["prefix"]) + bytes.fromhex(vector["repeat"]) * vector["times"] + bytes.fromhex(vector["suffix"])


@check("guard-vectors", "3")
def vectors_of_the_guard(suite):
    """Every rejected payload of docs/vectors/guard.json ends the connection, as `login` before the login or as `request` behind it."""
    for place, vector in enumerate(vector for vector in suite.vectors("guard") if "reject" in vector):
        payload = _bytes(vector)
        # Half of them at either time, so that all of it takes no longer than it must; long ones can only come late.
        is_late = len(payload) > wire.EARLY_CONTROL or place % 2
        with suite.session() if is_late else suite.greeted() as peer:
            peer.payload("request" if is_late else "login", payload, vector["name"])
            peer.expect_end(vector["reject"])


@check("guard-accepts", "3")
def what_the_guard_lets_pass(suite):
    """Every accepted payload of docs/vectors/guard.json is no harm as the value of a key that is not known."""
    with suite.session() as peer:
        for vector in suite.vectors("guard"):
            payload = _bytes(vector)
            if "accept" not in vector or len(payload) > 65000 or "depth 16" in vector["name"]:
                continue
            number = peer.number + 1
            known = msgpack.packb({"id": number, "verb": suite.plain})
            peer.payload("request", b"\x83" + known[1:] + b"\xa6later!" + payload, vector["name"])
            peer.asked("request", {"id": number, "verb": suite.plain})
            peer.well(number, f"{vector['name']}: the request is answered")


def _nested(inner, depth, is_map):
    for _ in range(depth):
        inner = {"a": inner} if is_map else [inner]
    return inner


@check("depth", "3")
def depth_of_messages(suite):
    """A message may be 16 deep, itself included, also in what nobody knows; one of 17 ends the connection with `too_large`."""
    for is_map in (True, False):
        with suite.session() as peer:
            number = peer.start(suite.plain, later=_nested(1, 15, is_map))
            peer.well(number, "a request of depth 16 is answered")
            peer.start(suite.plain, later=_nested(1, 16, is_map))
            peer.expect_end("too_large")


@check("map-keys", "3")
def keys_of_a_map(suite):
    """A map may have 256 keys; one more ends the connection with `too_large`."""
    with suite.session() as peer:
        peer.well(peer.start(suite.plain, **{f"k{i}": None if i < 0 else i for i in range(252)}), "256 keys are accepted")
        peer.start(suite.plain, later={str(i): i for i in range(257)})
        peer.expect_end("too_large")


@check("message-vectors", "3")
def vectors_of_messages(suite):
    """Every message of docs/vectors/messages.json that a client may send ends the connection or does not, as the vector says."""
    for vector in suite.vectors("messages"):
        frame = bytes.fromhex(vector["hex"])
        if vector["message"] not in FROM_CLIENT or "reject" not in vector and "check" not in vector:
            continue
        connect = {"hello": suite.peer, "login": suite.greeted, "answer": suite.greeted}.get(vector["message"], suite.session)
        with connect() as peer:
            if vector["message"] == "answer":
                suite.challenge(peer, suite.login(peer))
            peer.raw(frame, vector["name"])
            if vector["message"] == "hello":
                peer.hear_hello()
            peer.expect_end(vector.get("reject") or vector["check"])
    for vector in suite.vectors("messages"):
        if vector["message"] == "hello" and "accept" in vector and "check" not in vector and "server" not in vector["name"]:
            with suite.peer() as peer:
                peer.raw(bytes.fromhex(vector["hex"]), vector["name"])
                peer.hear_hello()
                suite.session(peer=peer)


@check("request-vectors", "3")
def vectors_of_requests(suite):
    """Every accepted request of docs/vectors/messages.json is answered, by itself and whatever its arguments are."""
    for vector in suite.vectors("messages"):
        if vector["message"] not in ("request", "complete", "expand") or "accept" not in vector:
            continue
        with suite.session() as peer:
            message = msgpack.unpackb(bytes.fromhex(vector["hex"])[5:], raw=False, strict_map_key=False)
            if message.get("body", {}).get("folder") or message["verb" if "verb" in message else "id"] == "upload":
                # It would leave a file in the home of the account.
                continue
            peer.raw(bytes.fromhex(vector["hex"]), vector["name"])
            peer.asked(vector["message"], message)
            peer.wait(message["id"])


@check("types", "3")
def fields_of_another_type(suite):
    """A field that is missing and has no default, or of another type, ends the connection; in `args` it fails its request alone."""
    digest = "md5:" + "0" * 32
    for kind, fields in (("request", {"id": "1", "verb": "pwd"}), ("request", {"id": 1, "verb": ["pwd"]}),
                         ("request", {"id": 1, "verb": "pwd", "body": "none"}),
                         ("request", {"id": 1.0, "verb": "pwd"}), ("request", {"id": -1, "verb": "pwd"}),
                         ("request", {"id": 1, "verb": "pwd", "body": {"fresh": 1}}), ("request", {"id": 1}),
                         ("request", {"id": 1, "verb": "pwd", "body": {"prefix": "blake3:00"}}), ("cancel", {"id": True}),
                         ("expand", {"id": 1, "pattern": 7}), ("complete", {"id": 1, "verb": "ls", "arg": "path", "word": False}),
                         ("end", {"id": 1, "size": -1, "digest": digest}), ("end", {"id": 1, "size": 0, "digest": digest.upper()})):
        with suite.session() as peer:
            peer.send(kind, **fields)
            peer.expect_end("bad_request")


@check("nil-is-absent", "3")
def nil_reads_as_left_out(suite):
    """Nil in a field whose default is none reads as left out."""
    with suite.session() as peer:
        known = msgpack.packb({"id": 1, "verb": suite.plain, "body": None})
        peer.payload("request", known)
        peer.asked("request", {"id": 1, "verb": suite.plain})
        peer.well(1, "a request with `body` nil is answered")


@check("integers", "3")
def any_width_of_an_integer(suite):
    """Any width of an integer or a length is accepted."""
    with suite.session() as peer:
        name = suite.plain.encode()
        for number, form in enumerate((b"\xcc%c", b"\xcd\0%c", b"\xce\0\0\0%c", b"\xcf" + bytes(7) + b"%c", b"\xd0%c", b"\xd1\0%c",
                                       b"\xd2\0\0\0%c", b"\xd3" + bytes(7) + b"%c"), 1):
            verb = b"\xdb" + len(name).to_bytes(4, "big") + name
            peer.payload("request", b"\xdf\0\0\0\2\xda\0\2id" + form % number + b"\xd9\4verb" + verb)
            peer.asked("request", {"id": number, "verb": suite.plain})
            if peer.wait(number).done is None:
                raise Broken("done", str(peer.answers[number]), peer)
