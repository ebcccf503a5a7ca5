"""Faults, and the check that has to find each: servers that are right but for one thing."""
import hashlib
import struct

from ferry import wire

from .wrong import Wrong, frame

EARLY = {"request", "cancel", "complete", "expand", "data", "end", "grant", "ping", "pong"}
FROM_SERVER = {"challenge", "welcome", "catalog", "begin", "rows", "problem", "progress", "done", "fail"}
# How long a check waits for what a right server says, and for what is kept back: there nothing comes, however long it waits.
PATIENCE, SHORT_PATIENCE = 60, 1
FAULTS = []


def fault(*checks, silent_behind=None):
    """Registers a class of Wrong that each of these checks has to find. One that keeps a frame back is found by silence, and silence behind
    what the check sends in `silent_behind`, "" for nothing at all: a machine that is slow elsewhere is not the fault."""
    def register(kind):
        FAULTS.append((kind, checks, silent_behind))
        return kind
    return register


def passes_over(check, *, up=None, header=None, silent_behind=None):
    """A server that takes no notice of what it has to refuse: frames that `up` is true of, or headers that `header` is true of."""
    class Deaf(Wrong):
        def __init__(self):
            super().__init__()
            self.last, self.seen = 0, set()

        def header(self, length, number):
            return not (header and header(self, length, number))

        def up(self, one):
            if up and up(self, one):
                return []
            message = one.message or {}
            if one.kind in ("request", "complete", "expand") and isinstance(message.get("id"), int):
                self.last = max(self.last, message["id"])
            self.seen.add(one.kind)
            return [one]
    Deaf.__name__ = f"passes_over_{check}"
    fault(check, silent_behind=silent_behind)(Deaf)


def breaks_on(check, up):
    """A server that breaks the connection where it has to go on."""
    class Touchy(Wrong):
        def up(self, one):
            if up(self, one, one.message or {}):
                self.leave()
                return []
            return [one]
    Touchy.__name__ = f"breaks_on_{check}"
    fault(check)(Touchy)


def changes(check, kind, change, when=lambda self, message: True):
    """A server that says `kind` otherwise: `change` gets the message and changes it."""
    class Changed(Wrong):
        def up(self, one):
            self.asked = getattr(self, "asked", {})
            message = one.message or {}
            if one.kind in ("request", "complete", "expand"):
                self.asked[message.get("id")] = message
            return [one]

        def down(self, one):
            message = one.message
            if one.kind == kind and message is not None and when(self, message):
                change(message)
                return [one.with_message(message)]
            return [one]
    Changed.__name__ = f"changes_{kind}_{check}"
    fault(check)(Changed)


def hears(check, kind, change):
    """A server that takes what the client says for something else."""
    class Misheard(Wrong):
        def up(self, one):
            message = one.message
            if one.kind == kind and message is not None:
                change(message)
                return [one.with_message(message)]
            return [one]
    Misheard.__name__ = f"hears_{kind}_{check}"
    fault(check)(Misheard)


def _is_bad(one, *words):
    """Whether the guard or the decoder says one of these words of a frame."""
    if one.kind in (None, "data", "grant", "ping", "pong"):
        return False
    try:
        wire.decode(one.kind, one.payload)
    except (wire.ProtocolError, UnicodeError) as error:
        return not words or any(word in str(error) for word in words)
    return False


# Section 2.
passes_over("unknown-kinds", up=lambda self, one: one.kind is None and one.number < 0x80)
passes_over("wrong-side", up=lambda self, one: one.kind in FROM_SERVER)
passes_over("wrong-time", up=lambda self, one: not self.is_logged_in and one.kind in EARLY)
passes_over("wrong-time", up=lambda self, one: self.is_logged_in and one.kind in ("login", "answer"))
passes_over("limit-before-login", header=lambda self, length, number: not self.is_logged_in and length < 5000)
passes_over("limit-control", header=lambda self, length, number: length == wire.CONTROL + 1)
passes_over("limit-data", header=lambda self, length, number: number == 0x40)
passes_over("limit-data", up=lambda self, one: one.kind == "data" and len(one.payload) < 4)
passes_over("limit-by-header", header=lambda self, length, number: length == 2**32 - 1)
passes_over("frame-vectors", up=lambda self, one: one.kind == "grant" and len(one.payload) == 7)
breaks_on("optional-kinds", lambda self, one, message: one.number == 0xFF and self.is_logged_in)
breaks_on("optional-kinds", lambda self, one, message: one.number == 0xC3 and not self.is_logged_in)
changes("fail-word", "fail", lambda message: message.update(code=2999, kind="internal"), when=lambda self, m: m["id"] == 0)

# Section 3.
passes_over("guard-vectors", up=lambda self, one: _is_bad(one, "bytes behind"))
passes_over("guard-vectors", up=lambda self, one: _is_bad(one, "twice"))
passes_over("guard-vectors", up=lambda self, one: _is_bad(one, "extension"))
passes_over("depth", up=lambda self, one: _is_bad(one, "too deep"))
passes_over("map-keys", up=lambda self, one: _is_bad(one, "too many keys"))
passes_over("message-vectors", up=lambda self, one: self.is_logged_in and _is_bad(one, "of another type"))
passes_over("types", up=lambda self, one: self.is_logged_in and _is_bad(one, "of another type"))
breaks_on("guard-accepts", lambda self, one, message: b"\xcb\x3f\xf8" in one.payload)
breaks_on("request-vectors", lambda self, one, message: one.kind == "request" and one.payload[:1] == b"\x84" and b"\xcf\0\0\0" in one.payload)
breaks_on("nil-is-absent", lambda self, one, message: one.kind == "request" and "body" in message and message["body"] is None)
breaks_on("integers", lambda self, one, message: one.payload[:1] == b"\xdf" and b"\xd3" in one.payload)
breaks_on("arguments-deep", lambda self, one, message: one.kind == "request" and any(
    isinstance(value, float) for value in dict(message.get("args", {}) if isinstance(message.get("args"), dict) else {}).values()))
breaks_on("request-unknown-keys", lambda self, one, message: one.kind == "expand" and "why" in message)
breaks_on("login-unknown-keys", lambda self, one, message: one.kind == "answer" and "later" in message)

# Section 4.
hears("hello-version", "hello", lambda message: message.update(proto=1))
hears("hello-required", "hello", lambda message: message.update(required=[]))
hears("hello-limits", "hello", lambda message: message.update(limits={**message.get("limits", {}), "window": 1 << 21}))
changes("hello-fields", "hello", lambda message: message.update(mechanisms=["PLAIN"]))
changes("hello-fields", "hello", lambda message: message.update(limits={**message["limits"], "data": 65536}))
changes("hello-fields", "hello", lambda message: message.update(proto=2))
breaks_on("hello-unknown-keys", lambda self, one, message: one.kind == "hello" and "smell" in message.get("limits", {}))
breaks_on("hello-features", lambda self, one, message: one.kind == "hello" and bool(message.get("features")))
breaks_on("hello-least", lambda self, one, message: one.kind == "hello" and message.get("limits", {}).get("window") == 1)
passes_over("hello-twice", up=lambda self, one: one.kind == "hello" and "hello" in self.seen)


@fault("hello-first")
class TakesALoginForHello(Wrong):
    has_hello = False

    def up(self, one):
        first = [] if self.has_hello or one.kind == "hello" else [frame("hello", proto=1, agent="x")]
        self.has_hello = True
        return [*first, one]


@fault("hello-at-once", silent_behind="")
class WaitsForHello(Wrong):
    def down(self, one):
        return [] if one.kind == "hello" else [one]


# Section 5.
def _refuses(check, change, when=lambda self, message: True):
    changes(check, "fail", change, when=lambda self, message: message["id"] == 0 and when(self, message))


changes("login", "welcome", lambda message: message.update(data=b"v=" + b"A" * 43 + b"="))
changes("login", "welcome", lambda message: message.update(user="somebody"))
changes("login-nonce", "challenge", lambda message: message.update(data=b"r=x" + message["data"][3:]))
changes("login-nonce", "challenge", lambda message: message.update(
    data=b"r=abcdefghijklmnopqrstuvwxyzSAME," + message["data"].partition(b",")[2]))
changes("login-token-nonce", "challenge", lambda message: message.update(data=message["data"] + b"x"))
changes("login-token-nonce", "hello", lambda message: message.update(nonce="abcdefghijklmnopqrstuvwxyz"))
_refuses("login-wrong-password", lambda message: message.update(kind="denied", code=2004))


@fault("login-wrong-password")
class OneLoginAndNoMore(Wrong):
    def down(self, one):
        if one.kind == "fail" and one.message["id"] == 0:
            self.is_over = True
            self.replies.append(one)
            return []
        return [one]


@fault("login-unknown-user")
class TellsUnknownUsers(Wrong):
    is_known = True

    def up(self, one):
        if one.kind == "login":
            self.is_known = b"n=ferry-conform-nobody" not in (one.message or {}).get("data", b"")
        return [one]

    def down(self, one):
        if one.kind == "fail" and not self.is_known:
            return [one.with_message({**one.message, "message": "there is nobody of that name"})]
        return [one]


@fault("login-unknown-user")
class AnotherSaltEveryTime(TellsUnknownUsers):
    made = 0

    def down(self, one):
        if one.kind == "challenge" and not self.is_known:
            AnotherSaltEveryTime.made += 1
            nonce, salt, count = one.message["data"].split(b",")
            return [one.with_message({"data": b",".join((nonce, b"s=" + b"%04d" % self.made * 4 + b"AAAAAA==", count))})]
        return [one]


@fault("login-three")
class LetsGuessOn(Wrong):
    failed = 0

    def up(self, one):
        if one.kind == "login" and self.failed == 3:
            self.reply("challenge", data=b"r=0123456789abcdefghijx,s=AAAAAAAAAAA=,i=4096")
            return []
        return [one]

    def down(self, one):
        if one.kind != "fail":
            return [one]
        self.failed += 1
        if self.failed < 3:
            return [one]
        # The server goes now; whoever is in front of it does not.
        self.replies.append(one)
        self.hides_end = True
        return []


class Welcoming(Wrong):
    """Lets everybody in whose `is_bad` is true, as well as it can without a password."""

    asked = False

    def is_bad(self, one, message):
        return False

    def up(self, one):
        message = one.message or {}
        if one.kind == "login" and self.is_bad(one, message):
            nonce = message.get("data", b"").rpartition(b"r=")[2][:300]
            self.reply("challenge", data=b"r=" + nonce + b"x,s=AAAAAAAAAAA=,i=4096")
            self.asked = True
            return []
        if one.kind == "answer" and (self.asked or self.is_bad(one, message)):
            self.reply("welcome", data=b"v=AAAA", user="alice")
            return []
        return [one]


def lets_in(check, is_bad):
    fault(check)(type(f"lets_in_{check}", (Welcoming,), {"is_bad": lambda self, one, message: is_bad(self, one, message)}))


lets_in("login-replay", lambda self, one, message: one.kind == "answer")
lets_in("login-proof", lambda self, one, message: one.kind == "answer" and b",p=" not in message["data"])
lets_in("login-proof", lambda self, one, message: one.kind == "answer")
lets_in("login-plain", lambda self, one, message: one.kind == "login" and message["data"].startswith(b"x,,"))
lets_in("login-form", lambda self, one, message: one.kind == "login" and b",a=" in message["data"])
lets_in("login-form", lambda self, one, message: one.kind == "login" and message["data"].endswith(b"r=" + b"x" * 7))
lets_in("login-form", lambda self, one, message: one.kind == "login" and message["data"] == b"")
lets_in("login-mechanism", lambda self, one, message: one.kind == "login" and message["mechanism"] == "PLAIN")
lets_in("answer-first", lambda self, one, message: one.kind == "answer" and not self.asked)


# Section 6.
def _verbs(check, change):
    def changed(message):
        for verb in message["verbs"]:
            if verb["name"] == "partials":
                change(verb)
    changes(check, "catalog", changed)


_verbs("catalog", lambda verb: verb.update(name="Partials"))
_verbs("catalog", lambda verb: verb.update(aliases=["ls"]))
_verbs("catalog", lambda verb: verb.update(doc=" "))
_verbs("catalog", lambda verb: verb["args"][0].update(choices=[]))
_verbs("catalog", lambda verb: verb["args"].append(verb["args"][0]))
_verbs("catalog", lambda verb: verb["args"][0].update(short="xy"))
_verbs("catalog", lambda verb: verb["args"][0].update(role="source"))
_verbs("catalog", lambda verb: verb["args"][0].update(repeated=True))
_verbs("catalog", lambda verb: verb["args"][1].update(required=True))
changes("unknown-verb-why", "fail", lambda message: message.update(kind="internal", code=2999))
hears("aliases", "request", lambda message: message.update(verb="x") if message["verb"] == "get" else None)


@fault("catalog-not-waited-for")
class NotBeforeTheCatalogue(Wrong):
    def up(self, one):
        if one.kind == "request":
            self.reply("fail", id=one.message["id"], code=2018, kind="busy", message="wait")
            return []
        return [one]

    def down(self, one):
        return [] if one.kind == "catalog" else [one]


def md5(data):
    return "md5:" + hashlib.md5(data).hexdigest()


def data_frame(number, contents):
    return struct.pack(">IBI", 4 + len(contents), 0x40, number) + contents
