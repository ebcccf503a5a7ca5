"""What comes for the requests of a connection, and the rules that hold for all of it (PROTOCOL.md, sections 6 to 10)."""
from .. import wire
from ..errors import KINDS
from ..files import new_hasher
from .trouble import Broken

CODES = {code: kind for kind, (code, _) in KINDS.items()}
MOST_GRANTED = 2**32 - 1


def digest_of(algorithm, data):
    """The text form of the digest of `data`."""
    hasher = new_hasher(algorithm)
    hasher.update(data)
    return f"{algorithm}:{hasher.hexdigest()}"


class Answer:
    """All that has come for one request."""

    def __init__(self, kind, message):
        self.kind, self.request = kind, message
        self.offer = message.get("body") or {}
        self.columns, self.layout, self.rows, self.problems, self.progress = None, None, [], [], []
        self.begin, self.end, self.done, self.fail = None, None, None, None
        # What was held before, and what came, of a body from the server; the sizes that moved and were granted, either way.
        self.held, self.contents, self.sent_bytes, self.granted_bytes = b"", bytearray(), 0, 0

    @property
    def is_over(self):
        return self.done is not None or self.fail is not None

    @property
    def algorithm(self):
        return self.offer.get("digest", "md5")

    def __str__(self):
        if self.fail:
            return f"fail {self.fail['kind']} ({self.fail['message']})"
        if self.done:
            return f"done {self.done}, {len(self.rows)} rows, begin {self.begin}"
        return f"no answer yet, begin {self.begin}"


class Answers:
    """The part of a Peer that knows which requests there are."""

    def __init__(self):
        self.answers, self.number, self.verbs, self.has_catalog = {}, 0, [], False

    def asked(self, kind, message):
        """Remembers a request, if its number can be one."""
        number = message.get("id")
        if isinstance(number, int) and number not in self.answers:
            self.answers[number] = Answer(kind, message)
            self.number = max(self.number, number)

    def sent_data(self, number, contents):
        if number in self.answers:
            self.answers[number].sent_bytes += len(contents)

    def granted(self, number, size):
        if number in self.answers:
            self.answers[number].granted_bytes += size

    # Asking.

    def start(self, verb, args=None, cwd="", body=None, **more):
        """Sends a request and returns its number."""
        self.send("request", id=self.number + 1, verb=verb, cwd=cwd, body=body, args=args or {}, **more)
        return self.number

    def wait(self, number, until="over"):
        """Takes in frames until the request is over, or has its `begin` or contents of that size; grants what comes."""
        answer = self.answers[number]
        while not answer.is_over:
            if until == "begin" and answer.begin is not None or isinstance(until, int) and len(answer.contents) >= until:
                break
            frame = self.step()
            if frame is None:
                raise Broken(f"an answer to request {number}", f"the end of the connection ({self.ended})", self)
            if frame.kind == "fail" and frame.id == 0:
                raise Broken(f"an answer to request {number}", f"{frame}: the connection ends", self)
            if frame.kind == "data" and until != "begin" and not isinstance(until, int) and frame.message[1]:
                self.grant(frame.id, len(frame.message[1]))
        return answer

    def run(self, verb, args=None, **more):
        """A request from its start to its end."""
        return self.wait(self.start(verb, args, **more))

    def well(self, number_or_answer, what="done"):
        """The answer, which has to be `done`."""
        answer = self.wait(number_or_answer) if isinstance(number_or_answer, int) else number_or_answer
        if answer.done is None:
            raise Broken(what, str(answer), self)
        return answer

    def fails(self, number_or_answer, *kinds):
        """The answer, which has to be `fail` of one of these kinds, or of any."""
        answer = self.wait(number_or_answer) if isinstance(number_or_answer, int) else number_or_answer
        if answer.fail is None or kinds and answer.fail["kind"] not in kinds:
            raise Broken("fail " + " or ".join(kinds), str(answer), self)
        return answer

    def is_alive(self, why="the connection goes on"):
        """Asks something, which has to be answered: so everything before has been read and the connection is whole."""
        self.payload("ping", b"alive")
        while True:
            frame = self.step()
            if frame is None or frame.kind == "fail" and frame.id == 0:
                raise Broken(f"{why}: a pong", f"{frame or 'the end of the connection'} ({self.ended})", self)
            if frame.kind == "pong" and frame.payload == b"alive":
                return

    # What always holds.

    def came(self, frame):
        """Holds a frame to what came before it, and keeps it."""
        kind, message = frame.kind, frame.message
        if kind in ("fail", "problem"):
            self._check_kind(frame)
        if kind == "catalog":
            self._wrong_if(self.has_catalog, "no catalog behind the last one", frame, "6")
            self.verbs += message["verbs"]
            self.has_catalog = message["last"]
        if kind not in ("rows", "progress", "problem", "done", "fail", "begin", "data", "end", "grant") or kind == "fail" and not frame.id:
            return
        answer = self.answers.get(frame.id)
        self._wrong_if(answer is None, "only answers to requests that were made", frame, "7")
        self._wrong_if(answer.is_over, f"nothing more for request {frame.id}, which is answered", frame, "7")
        getattr(self, "_" + kind)(answer, message, frame)

    def _wrong_if(self, is_wrong, expected, frame, section):
        if is_wrong:
            raise Broken(expected, str(frame), self, section)

    def _check_kind(self, frame):
        code, kind = frame.message["code"], frame.message["kind"]
        raw = KINDS.get(kind)
        self._wrong_if(kind == "unreachable" and frame.id != 0, "unreachable with id 0 alone", frame, "10")
        # `internal` is also what an unknown kind reads as, whose code is unknown as well.
        is_right = raw[0] == code or kind == "internal" and code not in CODES
        self._wrong_if(not is_right, f"the number {raw[0]} for {kind}", frame, "10")

    def _rows(self, answer, message, frame):
        columns = message["columns"]
        if columns is not None:
            names = [column["name"] for column in columns]
            self._wrong_if(len(set(names)) != len(names), "columns of different names", frame, "7")
            answer.columns, answer.layout = columns, message["layout"]
        self._wrong_if(answer.columns is None, "columns with the first rows", frame, "7")
        for row in message["rows"]:
            self._wrong_if(len(row) != len(answer.columns), f"{len(answer.columns)} values in a row, one a column", frame, "7")
            answer.rows.append({column["name"]: value for column, value in zip(answer.columns, row)})

    def _progress(self, answer, message, frame):
        answer.progress.append(message)

    def _problem(self, answer, message, frame):
        answer.problems.append(message)

    def _done(self, answer, message, frame):
        self._wrong_if(message["problems"] != len(answer.problems), f"a count of {len(answer.problems)} problems", frame, "7")
        is_out = answer.begin is not None and self.is_out(answer)
        self._wrong_if(is_out and answer.end is None, "end before done, where there was a begin", frame, "8")
        answer.done = message

    def _fail(self, answer, message, frame):
        answer.fail = message

    def is_out(self, answer):
        verb = self.verb(answer.request.get("verb"))
        return verb is not None and verb["body"] == "out"

    def verb(self, word):
        return next((verb for verb in self.verbs if word == verb["name"] or word in verb["aliases"]), None)

    def _begin(self, answer, message, frame):
        code, offset, prefix = message["code"], message["offset"], message["prefix"]
        self._wrong_if(answer.begin is not None, "one begin a request", frame, "8")
        self._wrong_if(code not in (1001, 1002, 1003), "a code of 1001, 1002 or 1003", frame, "8")
        self._wrong_if(code == 1001 and offset != 0, "offset 0 with 1001", frame, "8")
        is_proven = prefix is not None and prefix.startswith("blake3:")
        self._wrong_if(code != 1001 and not is_proven, f"a BLAKE3 prefix with {code}", frame, "8")
        if self.is_out(answer) and code != 1001:
            same = (answer.offer.get("offset"), answer.offer.get("prefix")) == (offset, prefix)
            self._wrong_if(not same, "the offset and prefix that were offered", frame, "8")
        answer.begin = message

    def _data(self, answer, message, frame):
        begin, contents = answer.begin, message[1]
        self._wrong_if(begin is None or not self.is_out(answer), "data only behind the begin of a body to the client", frame, "8")
        self._wrong_if(answer.end is not None, "no data behind end", frame, "8")
        answer.contents += contents
        open_bytes = self.limits["window"] + answer.granted_bytes - len(answer.contents)
        self._wrong_if(open_bytes < 0, f"no more than the window of {self.limits['window']} and what was granted", frame, "8")
        size = begin["size"]
        too_many = size is not None and begin["offset"] + len(answer.contents) > size
        self._wrong_if(too_many, f"no more than the {size} bytes of begin", frame, "8")

    def _end(self, answer, message, frame):
        self._wrong_if(answer.begin is None or not self.is_out(answer), "end only behind the begin of a body to the client", frame, "8")
        self._wrong_if(answer.end is not None, "one end a body", frame, "8")
        begin = answer.begin
        whole = answer.held[:begin["offset"]] + bytes(answer.contents)
        self._wrong_if(message["size"] != len(whole), f"a size of {len(whole)}, all bytes from the first one", frame, "8")
        self._wrong_if(begin["size"] not in (None, len(whole)), f"as many bytes as begin says, {begin['size']}", frame, "8")
        proof = digest_of(answer.algorithm, whole)
        self._wrong_if(message["digest"] != proof, f"the digest of all bytes, {proof}", frame, "8")
        answer.end = message

    def _grant(self, answer, message, frame):
        self._wrong_if(self.is_out(answer) or not answer.offer, "grants only for contents from the client", frame, "8")
        answer.granted_bytes += message[1]
        self._wrong_if(answer.granted_bytes > answer.sent_bytes, f"grants of what was taken in, {answer.sent_bytes} at most", frame, "8")


def check_limits(hello):
    """The reason why these announced limits cannot be, or None."""
    limits = hello["limits"]
    for name, least in (("control", wire.LEAST_CONTROL), ("data", wire.LEAST_DATA), ("depth", wire.LEAST_DEPTH), ("requests", 1),
                        ("window", 1)):
        if limits[name] < least:
            return f"{name} of at least {least}, and not {limits[name]}"
    return None
