"""Section 8: contents from the server."""
from .answers import digest_of
from .bodies import TIME, contents, fetch, upload
from .trouble import Broken, check

# `begin` stands at 0 where all bytes are sent.
START, GO_ON, PRESENT = 1001, 1002, 1003


def _stored(suite, peer, size=200_000, **more):
    path, data = suite.new_path(), contents(size, 30)
    upload(suite, peer, path, data, **more)
    return path, data


def _has(peer, answer, code, data, offset=0):
    if answer.begin["code"] != code or answer.begin["offset"] != offset:
        raise Broken(f"{code} from {offset}", str(answer.begin), peer)
    if bytes(answer.contents) != data[offset:]:
        raise Broken(f"{len(data) - offset} bytes as they were stored", f"{len(answer.contents)} others", peer)


@check("download", "8")
def a_file_comes_back(suite):
    """The server sends `begin`, data, `end` and `done`; `end` has the digest of all bytes by the offer's algorithm."""
    with suite.session() as peer:
        for size, algorithm in ((0, "md5"), (1, "md5"), (200_000, "md5"), (200_000, "blake3"), (0, "blake3")):
            path, data = _stored(suite, peer, size, modified=TIME, executable=size == 1)
            answer = fetch(suite, peer, path, digest=algorithm)
            _has(peer, answer, START, data)
            begin = answer.begin
            if begin["size"] not in (None, size) or begin["modified"] not in (None, TIME) or begin["executable"] != (size == 1):
                raise Broken(f"the size {size}, the time {TIME} and executable {size == 1}", str(begin), peer)


@check("download-defaults", "8")
def an_offer_may_be_empty(suite):
    """Where nothing is offered, all of it comes, proven by MD5."""
    with suite.session() as peer:
        path, data = _stored(suite, peer)
        verb, args = suite.download_args(path)
        _has(peer, peer.well(peer.start(verb, args, body={})), START, data)


@check("download-resume", "8")
def a_download_goes_on(suite):
    """1002: the client's `prefix` was checked and is the server's too; contents go on at `offset`."""
    with suite.session() as peer:
        path, data = _stored(suite, peer)
        for offset in (1, 65536, 199_999):
            held = data[:offset]
            _has(peer, fetch(suite, peer, path, held, offset=offset, prefix=digest_of("blake3", held)), GO_ON, data, offset)


@check("download-present", "8")
def a_download_of_what_is_held(suite):
    """1003: what the client holds is all; `end` follows without contents."""
    with suite.session() as peer:
        path, data = _stored(suite, peer)
        _has(peer, fetch(suite, peer, path, data, offset=len(data), prefix=digest_of("blake3", data)), PRESENT, data, len(data))


@check("download-other", "8")
def a_download_of_another_file(suite):
    """1001 where `prefix` is not of the server's bytes, where there is none, and where more is held than there is."""
    with suite.session() as peer:
        path, data = _stored(suite, peer)
        for offer in ({"offset": 1000, "prefix": digest_of("blake3", data[:999] + b"x")},
                      {"offset": 1000, "prefix": digest_of("blake3", data[:1001])}, {"offset": 1000},
                      {"offset": len(data), "prefix": digest_of("blake3", bytes(len(data)))},
                      {"offset": len(data) + 1, "prefix": digest_of("blake3", data + b"x")},
                      {"offset": 2**64 - 1, "prefix": digest_of("blake3", data)}):
            _has(peer, fetch(suite, peer, path, **offer), START, data)


@check("download-md5-prefix", "8")
def an_md5_is_no_proof_of_a_prefix(suite):
    """A prefix is proven by BLAKE3 alone, even where the transfer is proven by MD5: with an MD5 in its place all of it comes, or nothing."""
    with suite.session() as peer:
        path, data = _stored(suite, peer)
        verb, args = suite.download_args(path)
        answer = peer.run(verb, args, body={"offset": 1000, "prefix": digest_of("md5", data[:1000])})
        if answer.done:
            _has(peer, answer, START, data)


@check("download-not-there", "8")
def what_cannot_be_fetched(suite):
    """What is not there is `not_found`, and a folder is no file; there is no `begin`, and the connection goes on."""
    with suite.session() as peer:
        for path, kinds in ((suite.folder + "/none", ["not_found"]), (suite.folder + "/none/x", ["not_found", "not_directory"]),
                            (suite.folder, ["is_directory"])):
            answer = peer.fails(peer.start(*suite.download_args(path), body={}), *kinds)
            if answer.begin is not None:
                raise Broken("fail without begin", str(answer), peer)
        peer.is_alive()


@check("download-cancel", "8")
def a_download_is_cancelled(suite):
    """A download that waits for grants is cancelled like any request."""
    with suite.session({"window": 1000}) as peer:
        path, _ = _stored(suite, peer)
        number = peer.start(*suite.download_args(path), body={})
        peer.wait(number, 1000)
        peer.send("cancel", id=number)
        peer.fails(number, "cancelled")
        peer.is_alive()


@check("tree", "8")
def a_tree_comes_as_a_manifest(suite):
    """A folder asked for with `recurse` is no body but rows: `path`, `kind`, `size`, `modified`, `executable`, folders before what
    is in them, and `done.file.path`."""
    with suite.session() as peer:
        top = suite.new_path()
        inner = top + "/b/inner"
        peer.well(peer.start(suite.verb("mkdir")["name"], {"path": [top, top + "/a", top + "/b", inner]}))
        upload(suite, peer, inner + "/file", b"abc", modified=TIME, executable=True)
        answer = peer.well(peer.start(*suite.download_args(top, recurse=True), body={}))
        wanted = {"path", "kind", "size", "modified", "executable"}
        names = {column["name"] for column in answer.columns or ()}
        if answer.begin is not None or not wanted <= names:
            raise Broken(f"rows with {sorted(wanted)}, and no begin", f"{answer}, columns {sorted(names)}", peer)
        if answer.done["file"] is None or answer.done["file"]["path"] != top:
            raise Broken(f"done with the folder {top}", str(answer.done), peer)
        paths = [row["path"] for row in answer.rows]
        if sorted(paths) != ["a", "b", "b/inner", "b/inner/file"] or paths.index("b") > paths.index("b/inner") \
                or paths.index("b/inner") > paths.index("b/inner/file"):
            raise Broken("each name once, folders first", str(paths), peer)
        file = answer.rows[paths.index("b/inner/file")]
        if (file["kind"], file["size"], file["modified"], file["executable"]) != ("file", 3, TIME, True):
            raise Broken("what was stored", str(file), peer)
        if answer.rows[paths.index("b")]["kind"] != "dir":
            raise Broken("a folder of kind dir", str(answer.rows), peer)
