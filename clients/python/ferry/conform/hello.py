"""Section 4: hello."""
from .answers import check_limits
from .peer import LIMITS
from .trouble import Broken, check


@check("hello-fields", "4")
def hello_says_what_it_must(suite):
    """The server's `hello` has `proto` 1, limits that are not below the least, and ways to log in."""
    with suite.peer() as peer:
        hello = peer.hear_hello()
        wrong = check_limits(hello)
        if hello["proto"] != 1:
            raise Broken("proto 1", str(hello), peer)
        if wrong:
            raise Broken(wrong, str(hello), peer, "2")
        wanted = "SCRAM-SHA-256" if suite.is_plain else "SCRAM-SHA-256-PLUS"
        if wanted not in hello["mechanisms"]:
            raise Broken(f"the mechanism {wanted}", str(hello["mechanisms"]), peer, "5")
        other = "SCRAM-SHA-256-PLUS" if suite.is_plain else "SCRAM-SHA-256"
        if other in hello["mechanisms"]:
            raise Broken(f"no mechanism {other} on such a connection", str(hello["mechanisms"]), peer, "5")


def _refused(suite, **fields):
    with suite.peer() as peer:
        peer.say_hello(**fields)
        peer.hear_hello()
        peer.expect_end("unsupported", wants_word=True)


@check("hello-version", "4")
def another_version_is_refused(suite):
    """Another `proto` is answered with `fail`, `id` 0, `unsupported`, and the end."""
    for proto in (0, 2, 2**32 - 1):
        _refused(suite, proto=proto)


@check("hello-required", "4")
def an_unknown_requirement_is_refused(suite):
    """A name in `required` that the server does not know is answered with `fail`, `id` 0, `unsupported`, and the end."""
    _refused(suite, required=["telepathy"])


@check("hello-limits", "2")
def too_small_limits_are_refused(suite):
    """A hello that takes less than every side must is refused with `unsupported`."""
    for name, value in (("control", 65535), ("data", 262143), ("depth", 15), ("requests", 0), ("window", 0)):
        _refused(suite, limits={**LIMITS, name: value})


def _accepted(suite, **fields):
    with suite.peer() as peer:
        peer.say_hello(**fields)
        peer.hear_hello()
        suite.session(peer=peer)


@check("hello-least", "2")
def the_least_limits_are_accepted(suite):
    """A side that takes as little as it may is talked to, and so is one that leaves all defaults out."""
    _accepted(suite, limits={"control": 65536, "data": 262144, "depth": 16, "requests": 1, "window": 1})
    _accepted(suite, limits=None, features=None, required=None)
    _accepted(suite, agent="")


@check("hello-features", "4")
def unknown_features_are_ignored(suite):
    """An unknown name in `features` is ignored."""
    _accepted(suite, features=["telepathy", "zip"])


@check("hello-unknown-keys", "3")
def unknown_keys_are_ignored(suite):
    """A key that is not known is ignored, in `hello` and in its limits."""
    _accepted(suite, colour="blue", nested=[{"a": [1, None, 1.5, b"\xff"]}], limits={**LIMITS, "smell": 7, "deeper": {"x": True}})


@check("hello-twice", "2")
def a_second_hello_breaks(suite):
    """`hello` is sent once: a second one ends the connection, before the login and behind it."""
    with suite.greeted() as peer:
        peer.say_hello()
        peer.expect_end("bad_request")
    with suite.session() as peer:
        peer.say_hello()
        peer.expect_end("bad_request")


@check("hello-first", "2")
def nothing_comes_before_hello(suite):
    """`hello` is the first frame of each side; a `login` in its place ends the connection."""
    with suite.peer() as peer:
        peer.hear_hello()
        login = suite.login(peer)
        peer.send("login", mechanism=login.opening, data=login.first())
        peer.expect_end("bad_request")
