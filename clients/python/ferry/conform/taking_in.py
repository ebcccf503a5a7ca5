"""Section 8: contents to the server."""
from .answers import digest_of
from .bodies import (MEBIBYTE, TIME, contents, fetch, is_absent, is_stored, is_there, open_upload, refused_at_once, send_body,
                     send_end, upload)
from .trouble import Broken, Skipped, check


@check("upload", "8")
def a_file_is_stored(suite):
    """1001: the client sends all of it; `done` has the file, with the time and the right to execute that were offered."""
    with suite.session() as peer:
        for algorithm, size in (("md5", 0), ("md5", 1), ("md5", 300_001), ("blake3", 70_000)):
            path, data = suite.new_path(), contents(size)
            answer = upload(suite, peer, path, data, algorithm, modified=TIME, executable=size == 1)
            file = answer.done["file"]
            if file["modified"] != TIME or file["executable"] != (size == 1):
                raise Broken(f"the time {TIME} and executable {size == 1}", str(file), peer)
            is_there(suite, peer, path, data)


@check("upload-begin-path", "8")
def begin_says_where(suite):
    """`begin.path`, when it is there, and `done.file.path` are absolute and the same place."""
    with suite.session() as peer:
        name = suite.new_path().rpartition("/")[2]
        verb, args = suite.upload_args(f"/{name}")
        del args[suite.by_role("in", "target")[1]["target"]["name"]]
        number = peer.start(verb, args, cwd=suite.folder, body={"size": 1, "fresh": True})
        begin = peer.wait(number, "begin").begin
        if begin is None or begin["path"] not in (None, f"{suite.folder}/{name}"):
            raise Broken(f"begin with {suite.folder}/{name}", str(peer.answers[number]), peer)
        send_body(peer, number, b"x")
        send_end(peer, number, b"x")
        is_stored(peer, number, f"{suite.folder}/{name}", b"x")


@check("upload-invisible", "8")
def nothing_is_seen_before_the_end(suite):
    """A file has its name only when size and digest were right, all in one step; what was there before is whole until then."""
    with suite.session() as peer:
        path, old, new = suite.new_path(), contents(1000, 2), contents(100_000, 3)
        number = open_upload(suite, peer, path, {"size": len(new), "fresh": True})
        send_body(peer, number, new)
        is_absent(suite, peer, path)
        peer.send("cancel", id=number)
        peer.fails(number)
        path = suite.new_path()
        upload(suite, peer, path, old)
        number = open_upload(suite, peer, path, {"size": len(new), "fresh": True})
        send_body(peer, number, new)
        is_there(suite, peer, path, old)
        send_end(peer, number, new)
        is_stored(peer, number, path, new)
        is_there(suite, peer, path, new)


@check("upload-digest", "8")
def other_bytes_than_announced(suite):
    """`digest_mismatch`: what came is thrown away, and nothing is seen of it; the connection goes on."""
    with suite.session() as peer:
        path, data = suite.new_path(), contents(200_000, 4)
        offer = {"size": len(data), "digest": "md5"}
        number = open_upload(suite, peer, path, offer)
        send_body(peer, number, data)
        send_end(peer, number, data, digest="md5:" + "0" * 32)
        peer.fails(number, "digest_mismatch")
        is_absent(suite, peer, path)
        number = open_upload(suite, peer, path, offer)
        if peer.answers[number].begin["code"] != 1001:
            raise Broken("1001, for nothing was kept", str(peer.answers[number].begin), peer)
        send_body(peer, number, data)
        send_end(peer, number, data, "blake3")
        peer.fails(number, "digest_mismatch", "bad_request")
        is_absent(suite, peer, path)


@check("upload-expected", "8")
def the_announced_digest_is_no_proof(suite):
    """`expected` helps to find what is there and proves nothing: contents that have another digest fail, or are stored as `end` says."""
    with suite.session() as peer:
        path, data = suite.new_path(), contents(5000, 5)
        number = open_upload(suite, peer, path, {"size": len(data), "expected": digest_of("md5", data + b"x"), "fresh": True})
        send_body(peer, number, data)
        send_end(peer, number, data)
        if peer.wait(number).done:
            is_there(suite, peer, path, data)
        else:
            peer.fails(number, "digest_mismatch")
            is_absent(suite, peer, path)
        path, other = suite.new_path(), contents(5000, 23)
        upload(suite, peer, path, other)
        # The digest of what is there does not make a file of other bytes the same one.
        number = open_upload(suite, peer, path, {"size": len(data), "expected": digest_of("md5", other), "fresh": True})
        send_body(peer, number, data)
        send_end(peer, number, data)
        if peer.wait(number).done:
            is_there(suite, peer, path, data)
        upload(suite, peer, suite.new_path(), data, expected=digest_of("md5", data))


@check("upload-short", "8")
def missing_bytes(suite):
    """`offset_mismatch`: bytes are missing at `end`; there is no file, and what is there stays and is gone on with."""
    with suite.session() as peer:
        path, data = suite.new_path(), contents(300_000, 6)
        number = open_upload(suite, peer, path, {"size": len(data)})
        send_body(peer, number, data[:-1000])
        send_end(peer, number, data)
        peer.fails(number, "offset_mismatch")
        is_absent(suite, peer, path)
        _goes_on(suite, peer, path, data, len(data) - 1000)


@check("upload-size-lie", "8")
def an_end_of_another_size(suite):
    """An `end` whose size is not that of the request, or not that of what came, fails the request, and there is no file."""
    with suite.session() as peer:
        for size, lie in ((1000, 999), (1000, 1001), (1000, 2**64 - 1), (None, 999), (None, 1001)):
            path, data = suite.new_path(), contents(1000, 7)
            number = open_upload(suite, peer, path, {"size": size, "fresh": True} if size else {"fresh": True})
            send_body(peer, number, data)
            send_end(peer, number, data, size=lie)
            peer.fails(number, "offset_mismatch", "digest_mismatch", "bad_request", "too_large")
            is_absent(suite, peer, path)


@check("upload-too-much", "8")
def more_than_the_announced_size(suite):
    """More contents than `size` fail the request; there is no file, and the connection goes on."""
    with suite.session() as peer:
        path, data = suite.new_path(), contents(1001, 8)
        number = open_upload(suite, peer, path, {"size": 1000, "fresh": True})
        send_body(peer, number, data)
        send_end(peer, number, data)
        peer.fails(number, "offset_mismatch", "digest_mismatch", "bad_request", "too_large")
        is_absent(suite, peer, path)
        peer.is_alive()


@check("upload-unknown-size", "8")
def a_stream_of_unknown_size(suite):
    """Without `size` the contents end where `end` says so."""
    with suite.session() as peer:
        for size in (0, 150_000):
            path, data = suite.new_path(), contents(size, 9)
            number = open_upload(suite, peer, path, {"digest": "md5"})
            send_body(peer, number, data)
            send_end(peer, number, data)
            is_stored(peer, number, path, data)
            is_there(suite, peer, path, data)


@check("upload-empty-data", "8")
def empty_data_frames(suite):
    """An empty data frame means nothing."""
    with suite.session() as peer:
        path, data = suite.new_path(), contents(100, 10)
        number = open_upload(suite, peer, path, {"size": 100, "fresh": True})
        for part in (b"", data[:50], b"", b"", data[50:], b""):
            peer.data(number, part)
        send_end(peer, number, data)
        is_stored(peer, number, path, data)


def _goes_on(suite, peer, path, data, most, is_proven=True):
    """The upload taken up again by 1002, and finished."""
    number = open_upload(suite, peer, path, {"size": len(data)})
    begin = peer.answers[number].begin
    if begin["code"] != 1002 or not 0 < begin["offset"] <= most:
        raise Broken(f"1002 and an offset up to {most}", str(begin), peer)
    prefix = digest_of("blake3", data[:begin["offset"]])
    if begin["prefix"] != prefix:
        raise Broken(f"BLAKE3 of the first {begin['offset']} bytes, {prefix}", str(begin), peer)
    send_body(peer, number, data[begin["offset"]:])
    send_end(peer, number, data)
    is_stored(peer, number, path, data)
    is_there(suite, peer, path, data)


@check("resume-after-cancel", "8")
def a_cancelled_upload_goes_on(suite):
    """What came before a `cancel` stays, and the same request takes it up: 1002, with BLAKE3 of what is there as `prefix`."""
    with suite.session() as peer:
        path, data = suite.new_path(), contents(MEBIBYTE, 11)
        number = open_upload(suite, peer, path, {"size": len(data)})
        send_body(peer, number, data[:700_000])
        peer.send("cancel", id=number)
        peer.fails(number, "cancelled")
        is_absent(suite, peer, path)
        _goes_on(suite, peer, path, data, 700_000)


@check("resume-after-cut", "8")
def a_broken_upload_goes_on(suite):
    """What came before the connection broke stays and is gone on with by 1002 on another one."""
    path, data = suite.new_path(), contents(3 * MEBIBYTE, 12)
    peer = suite.session()
    number = open_upload(suite, peer, path, {"size": len(data)})
    answer = peer.answers[number]
    send_body(peer, number, data[:5 * MEBIBYTE // 2])
    # A grant tells that something was taken in; without one, there would be nothing to keep.
    while not answer.granted_bytes:
        peer.step()
    peer.cut()
    with suite.session() as peer:
        is_absent(suite, peer, path)
        _goes_on(suite, peer, path, data, 5 * MEBIBYTE // 2)


@check("resume-other-file", "8")
def another_file_starts_anew(suite):
    """A client whose bytes are not those of `prefix` cancels and asks again with `fresh`: the answer is 1001."""
    with suite.session() as peer:
        path, data, other = suite.new_path(), contents(MEBIBYTE, 13), contents(MEBIBYTE, 14)
        number = open_upload(suite, peer, path, {"size": len(data)})
        send_body(peer, number, data[:500_000])
        peer.send("cancel", id=number)
        peer.fails(number, "cancelled")
        upload(suite, peer, path, other, fresh=True)
        is_there(suite, peer, path, other)


@check("resume-lies", "8")
def the_whole_is_proven(suite):
    """A client that goes on with bytes of another file gets `digest_mismatch`: `end` proves all bytes, from the first one."""
    with suite.session() as peer:
        path, data, other = suite.new_path(), contents(MEBIBYTE, 15), contents(MEBIBYTE, 16)
        number = open_upload(suite, peer, path, {"size": len(data)})
        send_body(peer, number, data[:500_000])
        peer.send("cancel", id=number)
        peer.fails(number, "cancelled")
        number = open_upload(suite, peer, path, {"size": len(data)})
        offset = peer.answers[number].begin["offset"]
        send_body(peer, number, other[offset:])
        send_end(peer, number, other)
        if offset:
            peer.fails(number, "digest_mismatch")
            is_absent(suite, peer, path)


@check("present", "8")
def the_same_file_is_there(suite):
    """1003: all is there already, proven by `prefix`; `end` alone is sent, and `done` has the file."""
    with suite.session() as peer:
        path, data = suite.new_path(), contents(400_000, 17)
        upload(suite, peer, path, data, modified=TIME)
        number = open_upload(suite, peer, path, {"size": len(data), "modified": TIME, "expected": digest_of("md5", data)})
        begin = peer.answers[number].begin
        if begin["code"] != 1003 or begin["offset"] != len(data) or begin["prefix"] != digest_of("blake3", data):
            raise Broken(f"1003, the offset {len(data)} and BLAKE3 of the file", str(begin), peer)
        send_end(peer, number, data)
        is_stored(peer, number, path, data)
        upload(suite, peer, path, data, fresh=True)


@check("eager", "8")
def contents_follow_at_once(suite):
    """An eager client sends request, data and `end` without waiting; many of them side by side are all stored."""
    with suite.session() as peer:
        files = [(suite.new_path(), contents(i * 37, i)) for i in range(min(20, peer.hello["limits"]["requests"]))]
        numbers = []
        for path, data in files:
            verb, args = suite.upload_args(path)
            numbers.append(peer.start(verb, args, body={"size": len(data), "eager": True}))
            peer.data(numbers[-1], data)
            send_end(peer, numbers[-1], data)
        for number, (path, data) in zip(numbers, files):
            answer = is_stored(peer, number, path, data)
            if answer.begin is not None and answer.begin["code"] != 1001:
                raise Broken("1001", str(answer.begin), peer)
        is_there(suite, peer, *files[-1])


@check("eager-refused", "8")
def eager_contents_that_are_refused(suite):
    """A server that refuses an eager request drops what is under way, and nothing else is harmed."""
    with suite.session() as peer:
        path, data = suite.new_path(), contents(50_000, 18)
        upload(suite, peer, path, data)
        verb, args = suite.upload_args(path, no_clobber=True)
        number = peer.start(verb, args, body={"size": 3, "eager": True})
        peer.data(number, b"abc")
        send_end(peer, number, b"abc")
        peer.fails(number, "exists")
        number = peer.start("no-such-verb", {}, body={"size": 3, "eager": True})
        peer.data(number, b"abc")
        send_end(peer, number, b"abc")
        peer.fails(number, "unknown_verb")
        peer.is_alive()
        is_there(suite, peer, path, data)


@check("no-clobber", "8")
def what_is_there_is_left_alone(suite):
    """With the argument of role `no_clobber` a file that is there is left alone: `exists`, before a byte is sent."""
    with suite.session() as peer:
        path, data = suite.new_path(), contents(100, 19)
        verb, args = suite.upload_args(path, no_clobber=True)
        upload(suite, peer, path, data, flags={"no_clobber": True})
        refused_at_once(peer, verb, args, {"size": 5}, "exists")
        is_there(suite, peer, path, data)


@check("over-quota", "8")
def the_quota_is_kept(suite):
    """What the quota does not allow fails with `over_quota` at once, before `begin`; the connection goes on."""
    with suite.session() as peer:
        row = (peer.well(peer.start(suite.verb("quota")["name"])).rows or [{}])[0]
        if row.get("free") is None:
            raise Skipped("this account has no quota")
        for size in (row["free"] + 1, 2**63, 2**64 - 1):
            verb, args = suite.upload_args(suite.new_path())
            refused_at_once(peer, verb, args, {"size": size}, "over_quota")
        used = peer.well(peer.start(suite.verb("quota")["name"])).rows[0]
        if used["reserved"] > row["reserved"]:
            raise Broken("nothing reserved for what was refused", str(used), peer)


@check("end-before-contents", "8")
def end_is_the_end(suite):
    """What comes behind `end` for its request, another `end` too, never makes it succeed twice, nor harms the file."""
    with suite.session() as peer:
        path, data = suite.new_path(), contents(1000, 20)
        number = open_upload(suite, peer, path, {"size": len(data), "fresh": True})
        send_body(peer, number, data)
        send_end(peer, number, data)
        is_stored(peer, number, path, data)
        send_end(peer, number, data)
        peer.data(number, b"late")
        peer.is_alive("end and data of an answered request are ignored")
        is_there(suite, peer, path, data)


@check("lease", "8")
def the_newer_connection_takes_over(suite):
    """Whoever opens an unfinished upload anew takes it over; the older request fails with `lease_lost`."""
    path, data = suite.new_path(), contents(MEBIBYTE, 21)
    with suite.session() as older, suite.session() as newer:
        first = open_upload(suite, older, path, {"size": len(data)})
        send_body(older, first, data[:300_000])
        older.is_alive()
        number = open_upload(suite, newer, path, {"size": len(data)})
        offset = newer.answers[number].begin["offset"]
        send_body(older, first, data[300_000:])
        send_end(older, first, data)
        older.fails(first, "lease_lost")
        send_body(newer, number, data[offset:])
        send_end(newer, number, data)
        is_stored(newer, number, path, data)


@check("there-by-size-and-time", "8")
def a_tree_that_is_there(suite):
    """With the argument of role `recurse` a file of the offered size, time and `executable` is taken for the same: no `begin`."""
    with suite.session() as peer:
        path, data = suite.new_path(), contents(2000, 22)
        upload(suite, peer, path, data, modified=TIME)
        verb, args = suite.upload_args(path, recurse=True)
        answer = peer.wait(peer.start(verb, args, body={"size": len(data), "modified": TIME}), "begin")
        if answer.done is None or answer.begin is not None:
            raise Broken("done without begin", str(answer), peer)
        upload(suite, peer, path, data[:-1], flags={"recurse": True}, modified=TIME)


@check("folder", "8")
def a_folder_of_a_tree(suite):
    """A request with `folder` makes one: there is no `begin`, and `done.file.path` says where it is."""
    with suite.session() as peer:
        path = suite.new_path()
        verb, args = suite.upload_args(path, recurse=True)
        for _ in range(2):
            answer = peer.well(peer.start(verb, args, body={"folder": True}))
            if answer.begin is not None or answer.done["file"] is None:
                raise Broken("done with the folder, and no begin", str(answer), peer)
        inner = answer.done["file"]["path"] + "/inner"
        upload(suite, peer, inner, b"abc", flags={"recurse": True})
        if bytes(fetch(suite, peer, inner).contents) != b"abc":
            raise Broken("the file in the folder", "others", peer)
