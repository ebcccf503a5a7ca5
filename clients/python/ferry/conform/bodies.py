"""What the checks of section 8 share: contents sent and fetched by hand."""
import random

from .answers import digest_of
from .trouble import Broken

MEBIBYTE = 1 << 20
# 2026-01-02 03:04:05.000000000 UTC, in nanoseconds.
TIME = 1767323045_000_000_000


def contents(size, seed=1):
    """Bytes that are the same in every run."""
    return random.Random(seed).randbytes(size)


def open_upload(suite, peer, path, offer, flags=None):
    """Sends an upload's request and returns its number, behind its `begin`."""
    verb, args = suite.upload_args(path, **(flags or {}))
    number = peer.start(verb, args, body=offer)
    answer = peer.wait(number, "begin")
    if answer.begin is None:
        raise Broken("begin", str(answer), peer)
    return number


def refused_at_once(peer, verb, args, offer, *kinds, **more):
    """A request with contents that has to fail before its `begin`."""
    number = peer.start(verb, args, body=offer, **more)
    answer = peer.wait(number, "begin")
    if answer.begin is not None:
        raise Broken(f"fail {' or '.join(kinds)} before begin", str(answer), peer)
    return peer.fails(answer, *kinds)


def send_body(peer, number, data, chunk=65536):
    """Sends contents within the server's window."""
    answer = peer.answers[number]
    chunk = min(chunk, peer.hello["limits"]["data"])
    at = 0
    while at < len(data) and not answer.is_over:
        left = peer.hello["limits"]["window"] + answer.granted_bytes - answer.sent_bytes
        if left <= 0:
            if peer.step() is None:
                raise Broken("a grant, for a window is full", f"the end of the connection ({peer.ended})", peer)
            continue
        part = data[at:at + min(chunk, left)]
        peer.data(number, part)
        at += len(part)


def send_end(peer, number, data, algorithm="md5", size=None, digest=None):
    peer.send("end", id=number, size=len(data) if size is None else size, digest=digest or digest_of(algorithm, data))


def upload(suite, peer, path, data, algorithm="md5", flags=None, **offer):
    """A whole upload; the answer, which has to be `done`."""
    number = open_upload(suite, peer, path, {"digest": algorithm, "size": len(data), **offer}, flags)
    begin = peer.answers[number].begin
    if begin["code"] != 1001:
        raise Broken("begin with 1001, for nothing of it is there", str(begin), peer)
    send_body(peer, number, data)
    send_end(peer, number, data, algorithm)
    return is_stored(peer, number, path, data, algorithm)


def is_stored(peer, number, path, data, algorithm="md5"):
    """The answer to an upload, which has to tell of this file."""
    answer = peer.well(number, "the file is stored: done")
    file = answer.done["file"]
    if file is None or file["path"] != path or file["size"] != len(data):
        raise Broken(f"done with the file {path} of {len(data)} bytes", str(answer.done), peer)
    # Behind a `begin` it is by the algorithm of the offer, and without one by BLAKE3.
    wanted = digest_of(algorithm if answer.begin else "blake3", data)
    if file["digest"] not in (None, wanted):
        raise Broken(f"the digest of the file, {wanted}", file["digest"], peer)
    return answer


def fetch(suite, peer, path, held=b"", **offer):
    """A whole download; the answer, whose contents the rules that always hold have compared with `end`."""
    verb, args = suite.download_args(path)
    number = peer.start(verb, args, body={"digest": "md5", **offer})
    peer.answers[number].held = held
    answer = peer.well(number, "the file comes: done")
    if answer.begin is None or answer.end is None:
        raise Broken("begin and end", str(answer), peer)
    return answer


def is_there(suite, peer, path, data):
    """The file has to be there, with these bytes."""
    answer = fetch(suite, peer, path)
    if bytes(answer.contents) != data:
        raise Broken(f"the {len(data)} bytes that were stored", f"{len(answer.contents)} others", peer)


def is_absent(suite, peer, path):
    """No file of this name may be there."""
    peer.fails(peer.start(*suite.download_args(path), body={}), "not_found")
