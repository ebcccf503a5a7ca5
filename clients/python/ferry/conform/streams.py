"""Section 8: flow control."""
from .answers import digest_of
from .bodies import MEBIBYTE, contents, fetch, is_stored, is_there, open_upload, send_body, send_end, upload
from .trouble import Broken, check


def _stored(suite, size):
    path, data = suite.new_path(), contents(size, 40)
    with suite.session() as peer:
        upload(suite, peer, path, data)
    return path, data


@check("window", "8")
def a_window_is_kept(suite):
    """A sender has as many bytes of a body under way as the receiver's window, and no more before a grant."""
    path, data = _stored(suite, 300_000)
    for window in (1, 1000, 65536):
        with suite.session({"window": window}) as peer:
            number = peer.start(*suite.download_args(path), body={})
            answer = peer.wait(number, window)
            # More than the window would be told by the rules that always hold: so all that is to do is to give it time to come.
            for _ in range(3):
                peer.is_alive()
            peer.well(peer.start(suite.plain), "a request beside a body that waits")
            for size in (1, 10, 500):
                peer.grant(number, size)
                peer.wait(number, window + answer.granted_bytes)
            peer.grant(number, len(data))
            if bytes(peer.well(number).contents) != data:
                raise Broken("the bytes that were stored", "others", peer)


@check("data-limit", "2")
def data_frames_within_the_limit(suite):
    """A sender keeps to the other side's limits: no data frame has more contents than announced."""
    path, data = _stored(suite, MEBIBYTE)
    with suite.session({"data": 262144}) as peer:
        if bytes(fetch(suite, peer, path).contents) != data:
            raise Broken("the bytes that were stored", "others", peer)


@check("grants", "8")
def what_is_taken_in_is_granted(suite):
    """A receiver grants what it has taken in, at the latest when that is half a window, and never more than came."""
    with suite.session() as peer:
        window = peer.hello["limits"]["window"]
        size = 2 * window + window // 2
        if size > 16 * MEBIBYTE:
            size = 0
        path, data = suite.new_path(), contents(size, 41)
        number = open_upload(suite, peer, path, {"size": len(data), "fresh": True})
        send_body(peer, number, data)
        answer = peer.answers[number]
        while answer.granted_bytes < size - window // 2 - 1:
            if peer.step() is None:
                raise Broken("grants for all but half a window", f"{answer.granted_bytes} of {size} granted, and the end", peer)
        send_end(peer, number, data)
        is_stored(peer, number, path, data)


@check("small-data-frames", "8")
def many_small_frames(suite):
    """Contents may come in many small frames, within 16384 that wait."""
    with suite.session() as peer:
        path, data = suite.new_path(), contents(3000, 42)
        number = open_upload(suite, peer, path, {"size": len(data), "fresh": True})
        for at in range(len(data)):
            peer.data(number, data[at:at + 1])
        send_end(peer, number, data)
        is_stored(peer, number, path, data)


@check("grant-overflow", "8")
def grants_without_end(suite):
    """Grants that leave more than 2^32 - 1 bytes open break the connection."""
    # Much more than can be on the way to a client that does not read, so that the second grant meets a body that is not through.
    path, _ = _stored(suite, 12 * MEBIBYTE)
    with suite.session({"window": 1000}) as peer:
        number = peer.start(*suite.download_args(path), body={})
        peer.wait(number, 1000)
        grant = b"\0\0\0\x08\x42" + number.to_bytes(4, "big") + b"\xff\xff\xff\xff"
        peer.raw(grant + grant, "two grants of 4 GiB less one")
        peer.granted(number, 2**33)
        peer.expect_end("bad_request")


@check("bodies-side-by-side", "8")
def bodies_do_not_hold_each_other_up(suite):
    """Other requests are not held up by a body that waits, and bodies side by side are not mixed."""
    path, data = _stored(suite, 200_000)
    with suite.session({"window": 4096}) as peer:
        waiting = peer.start(*suite.download_args(path), body={})
        peer.wait(waiting, 4096)
        paths = [suite.new_path() for _ in range(4)]
        bodies = [contents(100_000 + i, 50 + i) for i in range(4)]
        numbers = [open_upload(suite, peer, one, {"size": len(body), "fresh": True}) for one, body in zip(paths, bodies)]
        for at in range(0, 100_004, 10_000):
            for number, body in zip(numbers, bodies):
                send_body(peer, number, body[at:at + 10_000])
        for number, body, one in zip(numbers, bodies, paths):
            send_end(peer, number, body)
            is_stored(peer, number, one, body)
            is_there(suite, peer, one, body)
        if len(peer.answers[waiting].contents) != 4096:
            raise Broken("a body that waits for its grant", f"{len(peer.answers[waiting].contents)} bytes", peer)
        peer.grant(waiting, len(data))
        if bytes(peer.well(waiting).contents) != data:
            raise Broken("the bytes that were stored", "others", peer)


@check("eager-window", "8")
def a_window_of_eager_contents(suite):
    """An eager client may send one window at once."""
    with suite.session() as peer:
        size = min(peer.hello["limits"]["window"], 4 * MEBIBYTE)
        path, data = suite.new_path(), contents(size, 43)
        verb, args = suite.upload_args(path)
        number = peer.start(verb, args, body={"size": size, "eager": True, "expected": digest_of("md5", data)})
        send_body(peer, number, data)
        send_end(peer, number, data)
        is_stored(peer, number, path, data)
