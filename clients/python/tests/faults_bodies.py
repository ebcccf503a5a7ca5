"""Faults of the sections 7 to 9, as those in faults.py."""
from ferry.conform.answers import digest_of

from .faults import breaks_on, changes, data_frame, fault, hears, md5, passes_over
from .wrong import Frame, Wrong, frame

# Section 7.
passes_over("numbers-rise", up=lambda self, one: one.kind == "request" and _number(one) <= self.last)
passes_over("numbers-in-flight", up=lambda self, one: one.kind == "request" and _number(one) <= self.last)
passes_over("numbers-one-count", up=lambda self, one: one.kind in ("request", "complete") and _number(one) <= self.last)
passes_over("stray-frames", up=lambda self, one: one.kind in ("end", "grant"))
passes_over("cancel", up=lambda self, one: one.kind == "cancel", silent_behind="cancel ")
breaks_on("numbers-gaps", lambda self, one, message: one.kind == "request" and message["id"] >= 2**31)
breaks_on("cancel-nothing", lambda self, one, message: one.kind == "cancel" and message["id"] == 77)
breaks_on("late-frames", lambda self, one, message: one.kind == "grant")
breaks_on("complete-fails", lambda self, one, message: one.kind == "complete" and message["word"] == b"\xff\xfe")
breaks_on("expand-hard", lambda self, one, message: one.kind == "expand" and message["pattern"] == "\\")
changes("in-flight", "hello", lambda message: message["limits"].update(requests=63))
changes("in-flight", "hello", lambda message: message["limits"].update(requests=65))
changes("unknown-verb", "fail", lambda message: message.update(kind="not_found", code=2005))
changes("unknown-verb", "fail", lambda message: message.update(code=2001))
changes("unknown-verb", "fail", lambda message: message.update(kind="unreachable", code=2022))
changes("path-vectors", "fail", lambda message: message.update(kind="not_found", code=2005), when=lambda self, m: m["kind"] == "bad_path")
changes("path-jail", "fail", lambda message: message.update(kind="not_found", code=2005), when=lambda self, m: m["kind"] == "denied")
changes("path-form", "fail", lambda message: message.update(kind="not_found", code=2005), when=lambda self, m: m["kind"] == "bad_path")
changes("request-unknown-keys", "begin", lambda message: message.update(id=9999))
changes("problems", "done", lambda message: message.update(problems=0))
changes("rows", "rows", lambda message: message["rows"] and message["rows"][-1].pop())
changes("rows", "rows", lambda message: message.update(columns=message["columns"] + message["columns"][:1]))
changes("rows", "rows", lambda message: message.pop("columns"))
changes("rows", "rows", lambda message: message.update(rows=[[value and {"a": 1} for value in row] for row in message["rows"]]))
changes("rows", "rows", lambda message: message["rows"].pop() if message["rows"] else None)
changes("working-folder", "done", lambda message: message.update(cwd="/"))
changes("complete", "rows", lambda message: message.update(rows=[[row[0].rstrip("/")] for row in message["rows"]]))
changes("expand", "rows", lambda message: message.update(rows=[["/" + row[0]] for row in message["rows"]]))
hears("expand", "expand", lambda message: message.update(pattern=message["pattern"].replace("!", "")))
hears("path-bytes", "request", lambda message: message["args"].update({"as": "cafe\u0301"}) if message["args"].get("as") == "caf\u00e9" else None)


def _number(one):
    return (one.message or {}).get("id", 0)


class Answering(Wrong):
    """Answers requests that `is_bad` is true of with `done`, and tells the server nothing of them."""

    def is_bad(self, message):
        return False

    def up(self, one):
        message = one.message or {}
        if one.kind == "request" and self.is_bad(message):
            self.reply("done", id=message["id"])
            return []
        return [one]


def does(check, is_bad):
    fault(check)(type(f"does_{check}", (Answering,), {"is_bad": lambda self, message: is_bad(message)}))


does("arguments", lambda message: message["verb"] == "rm" and not message["args"])
does("arguments", lambda message: "ferry-conform" in message["args"])
does("arguments-deep", lambda message: isinstance(message["args"], dict) and len(message["args"]) == 256)
does("path-new-name", lambda message: message["args"].get("as") == "..")


@fault("pipelining")
class AnswersTwice(Wrong):
    def down(self, one):
        return [one, one] if one.kind == "done" else [one]


@fault("rows-many")
class OtherColumnsBehindTheFirst(Wrong):
    def down(self, one):
        if one.kind == "rows" and "columns" not in one.message:
            return [one.with_message({**one.message, "rows": [row[:1] for row in one.message["rows"]]})]
        return [one]


# Section 8, to the server.
changes("upload", "done", lambda message: message.get("file") and message["file"].update(size=7))
changes("upload", "done", lambda message: message.get("file") and message["file"].update(modified=1))
changes("upload", "done", lambda message: message.get("file") and message["file"].update(digest=digest_of("blake3", b"")))
changes("upload", "begin", lambda message: message.update(offset=5))
changes("upload-begin-path", "begin", lambda message: message.update(path="/elsewhere"))
changes("upload-unknown-size", "done", lambda message: message.pop("file", None))
breaks_on("upload-empty-data", lambda self, one, message: one.kind == "data" and len(one.payload) == 4)
hears("resume-after-cancel", "request", lambda message: message.get("body") and message["body"].update(fresh=True))
hears("resume-after-cut", "request", lambda message: message.get("body") and message["body"].update(fresh=True))
hears("resume-other-file", "request", lambda message: message.get("body") and message["body"].pop("fresh", None))
hears("present", "request", lambda message: message.get("body") and message["body"].update(fresh=True))
changes("present", "begin", lambda message: message.update(code=1002), when=lambda self, m: m["code"] == 1003)
changes("resume-after-cancel", "begin", lambda message: message.update(prefix=digest_of("blake3", b"")), when=lambda self, m: m["code"] == 1002)
changes("resume-after-cut", "begin", lambda message: message.pop("prefix"), when=lambda self, m: m["code"] == 1002)
hears("eager", "request", lambda message: message.get("body") and message["body"].pop("eager", None))
hears("eager-refused", "request", lambda message: message["args"].pop("no_clobber", None))
hears("no-clobber", "request", lambda message: message["args"].pop("no_clobber", None))
changes("over-quota", "fail", lambda message: message.update(kind="disk_full", code=2012))
hears("there-by-size-and-time", "request", lambda message: message.get("body") and message["body"].pop("modified", None))
changes("upload-expected", "done", lambda message: message.get("file") and message["file"].update(digest=md5(b"")))
changes("folder", "done", lambda message: message.pop("file", None))
breaks_on("end-before-contents", lambda self, one, message: one.kind == "end" and _ended_before(self, message["id"]))
breaks_on("small-data-frames", lambda self, one, message: one.kind == "data" and _counted(self) > 1000)
breaks_on("eager-window", lambda self, one, message: one.kind == "data" and _counted(self) > 20)


def _ended_before(self, number):
    self.ends = getattr(self, "ends", [])
    self.ends.append(number)
    return self.ends.count(number) > 1


def _counted(self):
    self.count = getattr(self, "count", 0) + 1
    return self.count


@fault("upload-digest", "upload-size-lie", "upload-too-much", "upload-short")
class TakesAnything(Wrong):
    """Stores what came, whatever was announced of it."""

    def __init__(self):
        super().__init__()
        self.bodies, self.offers = {}, {}

    def up(self, one):
        message = one.message
        if one.kind == "request" and message.get("body", {}).get("size"):
            self.offers[message["id"]] = message["body"].pop("size")
            message["body"].pop("expected", None)
            message["body"]["fresh"] = True
            return [one.with_message(message)]
        if one.kind == "data":
            number = int.from_bytes(one.payload[:4], "big")
            self.bodies[number] = self.bodies.get(number, b"") + one.payload[4:]
        if one.kind == "end" and message["id"] in self.bodies:
            body = self.bodies[message["id"]]
            return [one.with_message({**message, "size": len(body), "digest": md5(body)})]
        return [one]


@fault("upload-invisible")
class ShowsTooEarly(Wrong):
    """Gives a file its name as soon as all bytes are there."""

    def __init__(self):
        super().__init__()
        self.sizes, self.bodies, self.held, self.ended = {}, {}, {}, set()
        self.waiting, self.later = None, []

    def up(self, one):
        if self.waiting is not None:
            self.later.append(one)
            return []
        message = one.message
        if one.kind == "request" and message.get("body", {}).get("size"):
            self.sizes[message["id"]] = message["body"]["size"]
        if one.kind == "data":
            number = int.from_bytes(one.payload[:4], "big")
            body = self.bodies[number] = self.bodies.get(number, b"") + one.payload[4:]
            if len(body) == self.sizes.get(number):
                # Nothing is asked before the file has its name.
                self.waiting = number
                return [one, frame("end", id=number, size=len(body), digest=md5(body))]
        if one.kind == "end":
            self.ended.add(message["id"])
            if message["id"] in self.held:
                self.replies.append(self.held.pop(message["id"]))
            return []
        return [one]

    def down(self, one):
        message = one.message
        if one.kind == "done" and message["id"] == self.waiting:
            self.waiting, later, self.later = None, self.later, []
            self.held[message["id"]] = one
            for held in later:
                self.released += self.up(held)
            return []
        return [one]


@fault("resume-lies")
class BelievesTheRest(Wrong):
    """Takes the digest of the bytes that came for one of all bytes."""

    def down(self, one):
        message = one.message
        if one.kind == "fail" and message["kind"] == "digest_mismatch":
            return [frame("done", id=message["id"])]
        return [one]


@fault("lease")
class BothMayWrite(Wrong):
    def down(self, one):
        message = one.message
        if one.kind == "fail" and message["kind"] == "lease_lost":
            return [frame("done", id=message["id"])]
        return [one]


@fault("over-quota", "no-clobber")
class BeginsBeforeItRefuses(Wrong):
    def down(self, one):
        message = one.message
        if one.kind == "fail" and message["kind"] in ("over_quota", "exists"):
            return [frame("begin", id=message["id"], code=1001, offset=0), one]
        return [one]


# Section 8, from the server.
class _Spoils(Wrong):
    def down(self, one):
        if one.kind == "data" and len(one.payload) > 4:
            one.payload = one.payload[:-1] + bytes([one.payload[-1] ^ 1])
        return [one]


fault("download", "download-defaults", "data-limit", "bodies-side-by-side")(_Spoils)
changes("download", "end", lambda message: message.update(size=message["size"] + 1))
changes("download", "begin", lambda message: message.update(executable=True))
changes("download-defaults", "end", lambda message: message.update(digest=digest_of("blake3", b"")))
hears("download-resume", "request", lambda message: message.get("body") and message["body"].pop("offset", None))
hears("download-present", "request", lambda message: message.get("body") and message["body"].pop("offset", None))
changes("download-other", "begin", lambda message: message.update(code=1002, offset=1000), when=lambda self, m: "size" in m)
changes("download-md5-prefix", "begin", lambda message: message.update(code=1002, offset=1000), when=lambda self, m: "size" in m)
changes("download-not-there", "fail", lambda message: message.update(kind="internal", code=2999))
changes("download-cancel", "fail", lambda message: message.update(kind="internal", code=2999))
changes("tree", "rows", lambda message: message["rows"].reverse())
changes("tree", "rows", lambda message: message["rows"].pop())
changes("tree", "done", lambda message: message.pop("file", None))
hears("window", "hello", lambda message: message["limits"].update(window=1 << 21))


@fault("data-limit")
class LongDataFrames(Wrong):
    held = b""

    def down(self, one):
        if one.kind == "data":
            self.held += one.payload[4:]
            if len(self.held) < 500_000:
                return []
        if one.kind in ("data", "end") and self.held:
            number = int.from_bytes(one.payload[:4], "big") if one.kind == "data" else one.message["id"]
            held, self.held = self.held, b""
            return [Frame(0x40, data_frame(number, held)[5:])] + ([one] if one.kind == "end" else [])
        return [one]


passes_over("grant-overflow", up=lambda self, one: one.kind == "grant" and _counted(self) > 1)


@fault("grants", silent_behind="data ")
class GrantsNothing(Wrong):
    def down(self, one):
        return [] if one.kind == "grant" else [one]


@fault("grants")
class GrantsTwice(Wrong):
    def down(self, one):
        return [one, one] if one.kind == "grant" else [one]


@fault("download")
class GoesOnBehindTheEnd(Wrong):
    def down(self, one):
        if one.kind == "end":
            return [one, Frame(0x40, data_frame(one.message["id"], b"x")[5:])]
        return [one]


# Section 9.
@fault("ping")
class PongsWithOtherBytes(Wrong):
    def down(self, one):
        if one.kind == "pong" and len(one.payload) == 8:
            one.payload = bytes(8)
        return [one]


breaks_on("pong", lambda self, one, message: one.kind == "pong")


@fault("ping-beside-bodies", silent_behind="ping")
class NoPongBesideABody(Wrong):
    is_open = False

    def down(self, one):
        self.is_open = self.is_open or one.kind == "begin"
        return [] if one.kind == "pong" and self.is_open else [one]
