"""Sections 7 and 10: numbers, many requests at once, arguments, cancelling."""
from .trouble import Broken, Skipped, check

NUMBERS = 2**32 - 1


def _asked(peer, verb, number):
    peer.send("request", id=number, verb=verb, args={})


@check("numbers-rise", "7")
def numbers_have_to_rise(suite):
    """Each number is larger than all before on this connection, and not 0; another breaks the connection."""
    for first, second in ((0, None), (5, 5), (5, 4), (NUMBERS, 1)):
        with suite.session() as peer:
            _asked(peer, suite.plain, first)
            if second is not None:
                peer.wait(first)
                _asked(peer, suite.plain, second)
            peer.expect_end("bad_request")


@check("numbers-in-flight", "7")
def a_number_that_is_in_flight(suite):
    """A number that is used again while its request is in flight breaks the connection."""
    with suite.session() as peer:
        number = _waiting(suite, peer)
        _asked(peer, suite.plain, number)
        peer.expect_end("bad_request")


@check("numbers-one-count", "7")
def one_count_for_all(suite):
    """`request`, `complete` and `expand` share one count."""
    with suite.session() as peer:
        peer.send("expand", id=7, pattern="*")
        peer.wait(7)
        _asked(peer, suite.plain, 7)
        peer.expect_end("bad_request")
    with suite.session() as peer:
        _asked(peer, suite.plain, 7)
        peer.wait(7)
        peer.send("complete", id=6, verb=suite.plain, arg="", word="")
        peer.expect_end("bad_request")


@check("numbers-gaps", "7")
def numbers_may_leave_gaps(suite):
    """Numbers may leave gaps, up to the largest."""
    with suite.session() as peer:
        for number in (3, 1000, 2**31, NUMBERS):
            _asked(peer, suite.plain, number)
            peer.well(number)


@check("pipelining", "7")
def requests_side_by_side(suite):
    """Requests run side by side; every one is answered by exactly one `done` or `fail` with its number."""
    with suite.session() as peer:
        count = min(32, peer.hello["limits"]["requests"])
        for number in range(1, count + 1):
            _asked(peer, suite.plain if number % 3 else "no-such-verb", number)
        for number in range(1, count + 1):
            peer.well(number) if number % 3 else peer.fails(number, "unknown_verb")
        peer.is_alive()


def _waiting(suite, peer, path=None):
    """The number of an upload that waits for its contents."""
    verb, args = suite.upload_args(path or suite.new_path())
    number = peer.start(verb, args, body={"size": 10, "digest": "md5", "fresh": True})
    if peer.wait(number, "begin").begin is None:
        raise Broken("begin", str(peer.answers[number]), peer)
    return number


@check("in-flight", "7")
def so_many_in_flight(suite):
    """As many requests as announced may be in flight; more fail with `busy`, and the others are not harmed."""
    with suite.session() as peer:
        most = peer.hello["limits"]["requests"]
        if most > 1024:
            raise Skipped(f"{most} requests are too many to try")
        verb = suite.upload_args("/x")[0]
        numbers = []
        for _ in range(most):
            numbers.append(peer.start(verb, suite.upload_args(suite.new_path())[1], body={"size": 1, "digest": "md5", "fresh": True}))
        for number in numbers:
            if peer.wait(number, "begin").is_over:
                raise Broken(f"{most} uploads side by side", str(peer.answers[number]), peer)
        peer.fails(peer.start(suite.plain), "busy")
        peer.send("cancel", id=numbers[0])
        peer.fails(numbers[0], "cancelled")
        peer.well(peer.start(suite.plain), "room for one more, where one was cancelled")
        for number in numbers[1:]:
            peer.send("cancel", id=number)
        for number in numbers[1:]:
            peer.fails(number, "cancelled")


@check("cancel", "7")
def a_request_is_cancelled(suite):
    """`cancel` stops a request, which is still answered: `fail` with `cancelled`, or whatever came first."""
    with suite.session() as peer:
        number = _waiting(suite, peer)
        peer.send("cancel", id=number)
        peer.fails(number, "cancelled")
        peer.well(peer.start(suite.plain))


@check("cancel-nothing", "7")
def cancelling_what_is_not_there(suite):
    """A cancel for a number that is not in flight is ignored: one that was answered, one that never was, and 0."""
    with suite.session() as peer:
        peer.well(peer.start(suite.plain))
        for number in (1, 2, 77, 0, NUMBERS):
            peer.send("cancel", id=number, later="x")
        peer.is_alive("a cancel of nothing is ignored")
        peer.well(peer.start(suite.plain), "the number 2 is not harmed by a cancel that came before it")


@check("stray-frames", "7")
def frames_of_no_request(suite):
    """`data`, `end` and `grant` for a number that was never used break the connection."""
    for kind in ("data", "end", "grant"):
        with suite.session() as peer:
            peer.well(peer.start(suite.plain))
            _stray(peer, kind, 2)
            peer.expect_end("bad_request")


@check("late-frames", "7")
def frames_of_answered_requests(suite):
    """Frames for a request that has been answered are ignored, for they were under way."""
    with suite.session() as peer:
        peer.well(peer.start(suite.plain))
        number = _waiting(suite, peer)
        peer.send("cancel", id=number)
        peer.fails(number)
        for answered in (1, number):
            for kind in ("data", "end", "grant", "cancel"):
                _stray(peer, kind, answered)
        peer.is_alive("frames of an answered request are ignored")


def _stray(peer, kind, number):
    if kind == "data":
        peer.payload("data", number.to_bytes(4, "big") + b"abc")
    elif kind == "grant":
        peer.payload("grant", number.to_bytes(4, "big") + b"\0\0\0\1")
    elif kind == "end":
        peer.send("end", id=number, size=3, digest="md5:900150983cd24fb0d6963f7d28e17f72")
    else:
        peer.send("cancel", id=number)


@check("unknown-verb", "7")
def an_unknown_verb(suite):
    """A verb that is not there fails with `unknown_verb`, whatever its arguments, and the connection goes on."""
    with suite.session() as peer:
        for name, args in (("no-such-verb", {}), ("", {}), ("no-such-verb", {"x": 1}), ("x" * 3000, {}), ("\x1b[2J", {})):
            answer = peer.fails(peer.start(name, args), "unknown_verb")
            if answer.fail["code"] != 2002:
                raise Broken("the number 2002", str(answer.fail), peer, "10")
        peer.well(peer.start(suite.plain))


@check("arguments", "7")
def wrong_arguments(suite):
    """A missing, unknown or wrong argument fails the request with `bad_request`; a failed request never costs the connection."""
    with suite.session() as peer:
        peer.fails(peer.start(suite.plain, {"ferry-conform": True}), "bad_request")
        for verb in suite.verbs:
            if verb["access"] == "admin":
                continue
            needed = [arg for arg in verb["args"] if arg["required"]]
            if needed:
                peer.fails(peer.start(verb["name"], {}), "bad_request", "denied")
            for arg in verb["args"]:
                given = {one["name"]: ["x"] if one["repeated"] else "x" for one in needed}
                given[arg["name"]] = {"a": 1.5}
                body = {"size": 0} if verb["body"] != "none" else None
                peer.fails(peer.start(verb["name"], given, body=body), "bad_request", "denied")
        peer.well(peer.start(suite.plain))


@check("arguments-deep", "3")
def arguments_of_every_kind(suite):
    """What is in `args` concerns its request alone, however odd: the connection goes on."""
    with suite.session() as peer:
        for args in ({"": None}, {"a": [[[[[[[[1]]]]]]]]}, {"x" * 60000: 1}, {"a": b"\xff" * 60000}, {"a": [None] * 50000},
                     {"a": 1.5}, {"\ud7ff": "\u202e"}, {f"k{i}": i for i in range(256)}):
            peer.fails(peer.start(suite.plain, args), "bad_request")
        for args in ([1], "x", 7):
            peer.fails(peer.start(suite.plain, args), "bad_request")


@check("request-unknown-keys", "3")
def unknown_keys_in_requests(suite):
    """A key that is not known is ignored, in a request, in its offer, and in `expand`."""
    with suite.session() as peer:
        peer.well(peer.start(suite.plain, later=[{"a": b"\xff"}], columns=3))
        peer.send("expand", id=2, pattern="no-such-*", later=None)
        peer.send("expand", id=3, pattern="no-such-*", why="later")
        peer.well(2)
        peer.well(3)
        verb, args = suite.upload_args(suite.new_path())
        number = peer.start(verb, args, body={"size": 1, "later": {"colour": "blue"}, "fresh": True})
        if peer.wait(number, "begin").begin is None:
            raise Broken("begin", str(peer.answers[number]), peer)
        peer.send("cancel", id=number)
        peer.fails(number)
