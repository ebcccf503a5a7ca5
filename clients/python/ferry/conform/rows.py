"""Section 7: rows, completion and expansion."""
from ..names import to_bytes
from .trouble import Broken, check

KINDS = {"path": (str, bytes), "size": (int,), "human_size": (int,), "count": (int,), "time": (int,), "flag": (bool,), "executable": (bool,),
         "entry": (str,)}


def _folders(suite, peer, *names):
    """Makes folders in one of their own, and returns its path."""
    top = suite.new_path()
    paths = [top, *(f"{top}/{name}" for name in names)]
    # In requests that no limit is too small for.
    for at in range(0, len(paths), 100):
        peer.well(peer.start(suite.verb("mkdir")["name"], {"path": paths[at:at + 100]}), "new folders")
    return top


@check("rows", "7")
def rows_of_a_listing(suite):
    """The first `rows` has `columns`, whose names differ; each row has a value for every one, of the type of its kind, or nil."""
    with suite.session() as peer:
        top = _folders(suite, peer, "a", "b", "caf\u00e9")
        answer = peer.well(peer.start(suite.verb("ls")["name"], {"path": [top]}))
        if len(answer.rows) != 3:
            raise Broken("three rows", str(answer.rows), peer)
        _typed(peer, answer)
        for verb in suite.verbs:
            if verb["access"] in ("public", "read") and verb["body"] == "none" and not any(arg["required"] for arg in verb["args"]):
                _typed(peer, peer.well(peer.start(verb["name"])))


def _typed(peer, answer):
    for column in answer.columns or ():
        allowed = KINDS.get(column["kind"], (str, bytes, int, bool))
        for row in answer.rows:
            value = row[column["name"]]
            if value is not None and type(value) not in allowed:
                raise Broken(f"a {column['kind']} in the column {column['name']}", repr(value), peer)


@check("rows-many", "7")
def more_rows_than_a_frame_holds(suite):
    """What does not fit into one frame comes in several; the later ones go on with the same columns."""
    with suite.session() as peer:
        top = _folders(suite, peer, *(f"{'x' * 200}-{i:04}" for i in range(400)))
        answer = peer.well(peer.start(suite.verb("ls")["name"], {"path": [top]}))
        if len(answer.rows) != 400:
            raise Broken("400 rows", f"{len(answer.rows)}", peer)


@check("problems", "10")
def several_things_go_wrong(suite):
    """`problem` tells that one of several things went wrong while the request goes on; `done` counts them."""
    with suite.session() as peer:
        top = _folders(suite, peer, "there")
        verb = suite.verb("rm")["name"]
        answer = peer.run(verb, {"path": [top + "/no", top + "/there", top + "/none"], "recursive": True})
        if answer.done is None or answer.done["problems"] != 2 or [one["kind"] for one in answer.problems] != ["not_found"] * 2:
            raise Broken("two problems of the kind not_found", f"{answer}, {answer.problems}", peer)
        # What could be done is done.
        peer.fails(peer.start(*suite.download_args(top + "/there"), body={}), "not_found")


@check("working-folder", "7")
def a_session_has_no_working_folder(suite):
    """`done` tells a new working folder as `cwd`, which holds for the requests that name it, and for no other."""
    with suite.session() as peer:
        top = _folders(suite, peer, "inner")
        done = peer.well(peer.start(suite.verb("cd")["name"], {"path": "inner"}, cwd=top)).done
        if done["cwd"] != top + "/inner":
            raise Broken(f"cwd {top}/inner", str(done), peer)
        for cwd, place in ((top + "/inner", top + "/inner"), (top, top), ("", "/"), ("/", "/")):
            answer = peer.well(peer.start(suite.verb("cd")["name"], {"path": "."}, cwd=cwd))
            if answer.done["cwd"] != place:
                raise Broken(f"the folder {place}", str(answer), peer)


@check("complete", "7")
def completion_of_a_word(suite):
    """`complete` is answered by rows of one column `word`: whole words that start with the one typed, folders with a `/` behind."""
    with suite.session() as peer:
        top = _folders(suite, peer, "alpha", "alps", "beta")
        verb = next(one for one in suite.verbs if one["access"] == "read" and any(arg["kind"] == "remote_path" for arg in one["args"]))
        arg = next(arg for arg in verb["args"] if arg["kind"] == "remote_path")["name"]
        for word, cwd, wanted in (("al", top, ["alpha/", "alps/"]), (f"{top}/b", "", [f"{top}/beta/"]), ("zz", top, []),
                                  ("./al", top, ["./alpha/", "./alps/"])):
            peer.send("complete", id=peer.number + 1, verb=verb["name"], arg=arg, word=word, cwd=cwd)
            answer = peer.well(peer.number)
            _one_column(peer, answer, "word", wanted)


@check("complete-fails", "7")
def completion_of_what_is_not_there(suite):
    """A `complete` for an argument that the verb does not have is answered, and harms nothing."""
    with suite.session() as peer:
        for verb, arg, word in ((suite.plain, "no-such-argument", "x"), (suite.plain, "x" * 5000, ""), ("ls", "path", "/../../"),
                                ("ls", "path", b"\xff\xfe"), ("ls", "path", "a\0")):
            peer.send("complete", id=peer.number + 1, verb=verb, arg=arg, word=word)
            answer = peer.wait(peer.number)
            if answer.rows and word == "/../../":
                raise Broken("no words from outside the home", str(answer.rows), peer)
        peer.is_alive()


def _one_column(peer, answer, name, wanted):
    columns = [column["name"] for column in answer.columns or ()]
    if columns != [name] and (wanted or columns):
        raise Broken(f"one column {name}", str(columns), peer)
    found = [row[name] for row in answer.rows]
    if sorted(map(to_bytes, found)) != sorted(map(to_bytes, wanted)):
        raise Broken(f"{wanted}", f"{found}", peer)


@check("expand", "7")
def patterns(suite):
    """`expand` is answered by rows of one column `path`, written as the pattern was, relative or absolute, by the rules of patterns."""
    with suite.session() as peer:
        top = _folders(suite, peer, "a1", "a2", "b1", ".hidden", "star*", "a1/x", "b1/x")
        for pattern, wanted in (
                ("a?", ["a1", "a2"]), ("*", ["a1", "a2", "b1", "star*"]), ("[ab]1", ["a1", "b1"]), ("[!a]1", ["b1"]),
                ("[a-b]*", ["a1", "a2", "b1"]), ("*/x", ["a1/x", "b1/x"]), ("star\\*", ["star*"]), (".h*", [".hidden"]), ("?h*", []),
                ("none*", []), ("A?", []), ("\\a?", []), (f"{top}/b*", [f"{top}/b1"])):
            if pattern == "\\a?":
                # A backslash before another character is not told what it means.
                continue
            peer.send("expand", id=peer.number + 1, pattern=pattern, cwd=top)
            _one_column(peer, peer.well(peer.number), "path", wanted)


@check("expand-hard", "7")
def patterns_that_are_hard(suite):
    """No pattern costs the connection, or time without end."""
    with suite.session() as peer:
        top = _folders(suite, peer, "a" * 200)
        for pattern in ("*a" * 60 + "b", "[" * 200, "[!", "[z-a]", "\\", "**", "", "/", "?" * 255, "x" * 5000, b"\xff*", "a\0*"):
            peer.send("expand", id=peer.number + 1, pattern=pattern, cwd=top)
            peer.wait(peer.number)
        peer.is_alive()
