"""Section 7: places. What `path` means in a folder."""
from ..names import to_bytes
from .bodies import refused_at_once, send_end
from .trouble import Broken, check


def _value(value):
    return bytes.fromhex(value["$bin"]) if isinstance(value, dict) else value


@check("path-vectors", "7")
def vectors_of_names(suite):
    """Every path of docs/vectors/names.json leads where it says, or is refused as it says."""
    with suite.session() as peer:
        for vector in suite.vectors("names"):
            verb, args = suite.download_args(_value(vector["path"]))
            answer = peer.run(verb, args, cwd=_value(vector["cwd"]), body={})
            if "reject" in vector:
                peer.fails(answer, vector["reject"])
            elif answer.fail and answer.fail["kind"] in ("denied", "bad_path") and _value(vector["accept"]) != "/":
                raise Broken(f"{vector['accept']!r}, whether it is there or not", str(answer), peer)


@check("path-jail", "7")
def nothing_leads_out_of_the_home(suite):
    """`..` above the home is `denied`, wherever it stands: in a source, a working folder, a target, a new name, a pattern."""
    with suite.session() as peer:
        for path in ("..", "/..", "../x", "a/../../b", "/a/../../../etc/passwd"):
            peer.fails(peer.start(*suite.download_args(path), body={}), "denied")
        # Whether a working folder is looked at at all by a verb that needs none is the server's; a path in it is.
        verb, args = suite.download_args("x")
        peer.fails(peer.start(verb, args, cwd="/../..", body={}), "denied", "bad_path", "bad_request")
        verb, args = suite.upload_args("/../ferry-conform-escaped")
        refused_at_once(peer, verb, args, {"size": 0}, "denied")
        peer.send("expand", id=peer.number + 1, pattern="../*")
        answer = peer.wait(peer.number)
        if answer.rows:
            raise Broken("no names from outside the home", str(answer.rows[:3]), peer)


@check("path-form", "7")
def names_that_cannot_be(suite):
    """A name has 1 to 255 bytes, no NUL, no `/`; a path at most 4096: what is not so is `bad_path`."""
    with suite.session() as peer:
        for path in ("a\0b", "x" * 256, b"\xff" * 256, "/" + "/".join(["abc"] * 1025)):
            peer.fails(peer.start(*suite.download_args(path), body={}), "bad_path")
            verb, args = suite.upload_args(suite.folder + "/x")
            roles = suite.by_role("in", "rename", "target")[1]
            args[roles["target"]["name"]] = path
            refused_at_once(peer, verb, args, {"size": 0}, "bad_path")


@check("path-new-name", "8")
def a_new_name_is_one_name(suite):
    """`rename` is a name: one with a `/` in it leads nowhere else than below the target, or is refused; `..` is refused."""
    with suite.session() as peer:
        roles = suite.by_role("in", "source", "target", "rename")[1]
        for name in ("..", ".", "../../x", "/"):
            verb, args = suite.upload_args(suite.folder + "/x")
            args[roles["rename"]["name"]] = name
            number = peer.start(verb, args, body={"size": 0, "eager": True})
            send_end(peer, number, b"")
            peer.fails(number)


@check("path-bytes", "3")
def names_are_bytes(suite):
    """Names are bytes, and nothing is normalised: what is stored under one is told as it was, and other forms of it are other names."""
    with suite.session() as peer:
        empty = "md5:d41d8cd98f00b204e9800998ecf8427e"
        composed, decomposed, raw = "caf\u00e9", "cafe\u0301", b"caf\xe9"
        for name in (composed, decomposed, raw):
            path = to_bytes(suite.folder) + b"/" + to_bytes(name)
            verb, args = suite.upload_args(suite.folder + "/x")
            roles = suite.by_role("in", "rename")[1]
            args[roles["rename"]["name"]] = name
            number = peer.start(verb, args, body={"size": 0, "eager": True})
            peer.send("end", id=number, size=0, digest=empty)
            file = peer.well(number).done["file"]
            if file is None or to_bytes(file["path"]) != path:
                raise Broken(f"a file at {path!r}", str(file), peer)
        peer.send("expand", id=peer.number + 1, pattern=suite.folder + "/caf*")
        found = sorted(to_bytes(row["path"]).rpartition(b"/")[2] for row in peer.well(peer.number).rows)
        if found != sorted(to_bytes(name) for name in (composed, decomposed, raw)):
            raise Broken("three names", repr(found), peer)
