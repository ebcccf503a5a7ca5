"""Section 6: the catalogue."""
import re

from .trouble import Broken, check

VERB, ARGUMENT = re.compile(r"[a-z][a-z0-9-]*"), re.compile(r"[a-z][a-z0-9_-]*")


@check("catalog", "6")
def the_catalogue_is_well_formed(suite):
    """Names have their form and stand once, every verb and argument is explained, a `choice` has choices, a `role` is taken once."""
    with suite.session() as peer:
        words = [word for verb in peer.verbs for word in (verb["name"], *verb["aliases"])]
        wrong = [word for word in words if not VERB.fullmatch(word) or len(word) > 64]
        _none(peer, "names of lower-case letters, digits and -, a letter first, 64 bytes at most", wrong)
        _none(peer, "names and aliases that stand once", [word for word in set(words) if words.count(word) > 1])
        _none(peer, "verbs that are explained", [verb["name"] for verb in peer.verbs if not verb["doc"].strip()])
        for verb in peer.verbs:
            _arguments(peer, verb)


def _arguments(peer, verb):
    args = verb["args"]
    names = [arg["name"] for arg in args]
    _none(peer, f"{verb['name']}: names of arguments", [name for name in names if not ARGUMENT.fullmatch(name) or len(name) > 64])
    shorts = [arg["short"] for arg in args if arg["short"] is not None]
    _none(peer, f"{verb['name']}: arguments and letters that stand once",
          [name for name in names + shorts if (names + shorts).count(name) > 1])
    _none(peer, f"{verb['name']}: one character as `short`", [short for short in shorts if len(short) != 1])
    _none(peer, f"{verb['name']}: choices for a choice", [arg["name"] for arg in args if arg["kind"] == "choice" and not arg["choices"]])
    roles = [arg["role"] for arg in args if arg["role"] != "plain"]
    _none(peer, f"{verb['name']}: a role once", [role for role in roles if roles.count(role) > 1])
    is_body = verb["body"] in ("in", "out")
    _none(peer, f"{verb['name']}: roles only where there is a body", [] if is_body else roles)
    _none(peer, f"{verb['name']}: flags that are options", [arg["name"] for arg in args if arg["kind"] == "flag" and not arg["option"]])
    words = [arg for arg in args if not arg["option"]]
    _none(peer, f"{verb['name']}: one repeated argument by place", [arg["name"] for arg in words if arg["repeated"]][1:])
    late = [arg["name"] for before, arg in zip(words, words[1:]) if arg["required"] and not before["required"]]
    _none(peer, f"{verb['name']}: required arguments before those that are not", late)


def _none(peer, expected, wrong):
    if wrong:
        raise Broken(expected, repr(wrong), peer)


@check("catalog-not-waited-for", "6")
def requests_before_the_catalogue(suite):
    """A client may send requests before the catalogue has come."""
    with suite.greeted() as peer:
        login = suite.login(peer)
        challenge = suite.challenge(peer, login)
        peer.send("answer", data=login.answer(challenge["mechanism"], challenge["data"]))
        # `welcome` has to be waited for: before it a request would break the connection.
        suite.welcome(peer, login)
        peer.well(peer.start(suite.plain))


@check("unknown-verb-why", "6")
def why_a_verb_is_not_there(suite):
    """A `complete` with an empty `arg` fails for a verb that is not in the catalogue, and runs nothing."""
    with suite.session() as peer:
        peer.send("complete", id=1, verb="no-such-verb", arg="", word="")
        peer.fails(1, "unknown_verb", "denied", "bad_request")


@check("aliases", "6")
def verbs_by_their_other_names(suite):
    """A verb is found by its aliases too."""
    with suite.session() as peer:
        for verb in peer.verbs:
            for alias in verb["aliases"]:
                answer = peer.run(alias, {"ferry-conform": 1})
                peer.fails(answer, "bad_request", "denied")
        peer.fails(peer.start("PWD"), "unknown_verb")
