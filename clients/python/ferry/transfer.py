"""Uploads and downloads (PROTOCOL.md, section 8): resumed where they stopped, and proven before they count."""
import hmac
import os
from dataclasses import dataclass
from typing import Optional

from .catalog import check_args
from .errors import DeadlinePassed, FerryError, ProtocolError
from .files import GO_ON, PRESENT, READ_BYTES, START, Incoming, Outgoing, Stream, facts, local_target
from .link import LIMITS, failure

MOST_GRANTED = 2**32 - 1
# A server gives a body up that does not move for 60 s; who needed this long for a prefix may be too late, and may try again.
SLOW_PREFIX_SECONDS = 30


@dataclass
class Transfer:
    """How a transfer went. `code` is 1001, 1002 or 1003, or None when the server had nothing to say of contents."""

    path: Optional[str] = None
    size: int = 0
    code: Optional[int] = None
    offset: int = 0
    moved: int = 0
    digest: Optional[str] = None
    file: Optional[dict] = None


class _Differs(Exception):
    """What the server holds is not the beginning of the file."""


class Transfers:
    """The part of a Client that moves contents."""

    def upload(self, source, target=None, **more):
        """Sends a file, as `send` does with the verb `upload`."""
        return self.send("upload", source, target, **more)

    def download(self, source, target=None, **more):
        """Fetches a file, as `receive` does with the verb `download`."""
        return self.receive("download", source, target, **more)

    def send(self, word, source, target=None, *, rename=None, no_clobber=False, fresh=False, digest="md5", progress=None,
             deadline=None, args=None):
        """Sends a file by any verb that takes contents. `source` is a path, or an open binary file, which is sent as a stream and
        needs `rename`. `target` is the remote folder or name. `progress(done, total)` is called as bytes move."""
        verb = self._transfer_verb(word, "in", args)
        file, is_own = (source, False) if hasattr(source, "read") else (open(source, "rb", buffering=0), True)
        try:
            before = facts(file) if is_own else None
            if before is None and rename is None:
                raise FerryError("bad_request", "a stream needs a name")
            name = "-" if before is None else os.path.basename(os.path.abspath(os.fsencode(os.fspath(source))))
            given = _by_roles(verb, {"source": name, "target": target, "rename": rename, "no_clobber": no_clobber or None}, args)
            outgoing = Outgoing(file, before, digest, progress)
            # A stream cannot be read twice, so nothing that the server holds can be compared with it.
            fresh, is_second = fresh or before is None, False
            while True:
                offer = {"digest": digest, "fresh": fresh, **outgoing.facts}
                try:
                    return self._send_once(verb, given, offer, outgoing, deadline)
                except _Differs:
                    if fresh:
                        raise ProtocolError("bad_request", "the server goes on with what it was told to throw away") from None
                    fresh = True
                except FerryError as error:
                    is_late = error.kind == "timeout" and outgoing.prefix_seconds >= SLOW_PREFIX_SECONDS
                    if not is_late or is_second or isinstance(error, DeadlinePassed) or not self._link.is_open:
                        raise
                    # The prefix is known by now.
                    is_second = True
        finally:
            if is_own:
                file.close()

    def _send_once(self, verb, given, offer, outgoing, deadline):
        size = outgoing.size
        number = self._start("request", {"verb": verb["name"], "cwd": self.cwd, "body": offer, "args": given}, outgoing, deadline)
        try:
            problems = []
            kind, begin = self._beside_body(problems)
            if kind != "begin":
                raise ProtocolError("bad_request", f"a frame of kind {kind} in place of begin")
            code, offset = begin["code"], begin["offset"]
            _check_begin(begin, size)
            if code == START:
                hasher = outgoing.rewind()
            else:
                prefix, hasher = outgoing.prefix(offset)
                if not hmac.compare_digest(prefix, begin["prefix"]):
                    self._cancel()
                    raise _Differs
            position, moved = self._send_body(number, outgoing, hasher, offset, problems)
            proof = f"{outgoing.algorithm}:{hasher.hexdigest()}"
            if not outgoing.is_unchanged(position):
                self._cancel()
                raise FerryError("changed", "the file changed while it was sent", "send it again")
            self._link.send("end", {"id": number, "size": position, "digest": proof})
            kind = "grant"
            while kind == "grant":
                kind, done = self._beside_body(problems)
            file = done.get("file") if kind == "done" else None
            if file is None or file["size"] != position:
                raise ProtocolError("bad_request", "the server does not say that it has the file")
            if file["digest"] and file["digest"].startswith(outgoing.algorithm + ":") and file["digest"] != proof:
                raise FerryError("digest_mismatch", "the server has other bytes than were sent")
            if problems:
                raise problems[0]
            return Transfer(file["path"], position, code, offset, moved, proof, file)
        except BaseException as error:
            self._give_up(error)
            raise

    def _send_body(self, number, outgoing, hasher, offset, problems):
        credit, position, moved = self.server_limits["window"], offset, 0
        most = min(READ_BYTES, self.server_limits["data"])
        outgoing.tell(position)
        while outgoing.size is None or position < outgoing.size:
            while credit == 0 or self._link.ready():
                kind, message = self._beside_body(problems)
                if kind != "grant":
                    raise ProtocolError("bad_request", f"a frame of kind {kind} in the middle of a body")
                credit += message[1]
                if credit > MOST_GRANTED:
                    raise ProtocolError("bad_request", "more granted than can be")
            left = most if outgoing.size is None else outgoing.size - position
            contents = outgoing.file.read(min(most, credit, left))
            if not contents:
                break
            self._link.send_data(number, contents)
            hasher.update(contents)
            credit, position, moved = credit - len(contents), position + len(contents), moved + len(contents)
            outgoing.tell(position)
        return position, moved

    def receive(self, word, source=None, target=None, *, rename=None, no_clobber=False, digest="md5", progress=None, deadline=None,
                max_size=None, args=None):
        """Fetches contents by any verb that gives them. `target` is a local folder or name, or an open binary file, which gets the
        bytes before they are proven. A file appears under its name whole and proven, or not at all; what came before a break is kept
        beside it and gone on with. `max_size` is the most that is taken."""
        verb = self._transfer_verb(word, "out", args)
        given = _by_roles(verb, {"source": source}, args)
        if hasattr(target, "write"):
            return self._receive_once(verb, given, Stream(target, digest), progress, deadline, max_size)
        final = local_target(self.cwd, source, target, rename)
        if no_clobber and os.path.lexists(final):
            raise FerryError("exists", "a file of that name is here already", path=final)
        with Incoming(final, digest, no_clobber) as incoming:
            return self._receive_once(verb, given, incoming, progress, deadline, max_size)

    def _receive_once(self, verb, given, incoming, progress, deadline, max_size):
        offer = {"digest": incoming.algorithm, **incoming.offer()}
        number = self._start("request", {"verb": verb["name"], "cwd": self.cwd, "body": offer, "args": given}, incoming, deadline)
        try:
            problems = []
            kind, begin = self._beside_body(problems)
            if kind == "done":
                raise problems[0] if problems else FerryError("unsupported", "the server gave no contents")
            if kind != "begin":
                raise ProtocolError("bad_request", f"a frame of kind {kind} in place of begin")
            _check_begin(begin, begin["size"])
            if begin["code"] != START and (begin["offset"], begin["prefix"]) != (offer.get("offset"), offer.get("prefix")):
                raise ProtocolError("bad_request", "the server goes on with what is not here")
            most = begin["size"] if max_size is None or begin["size"] is None else min(max_size, begin["size"])
            most = max_size if most is None else most
            if max_size is not None and (begin["size"] or 0) > max_size:
                raise FerryError("too_large", f"the file has {begin['size']} bytes, and {max_size} are the most")
            incoming.begin(begin["code"], begin["offset"])
            position = self._receive_body(number, incoming, begin, most, progress, problems)
            kind, done = self._beside_body(problems)
            if kind != "done":
                raise ProtocolError("bad_request", f"a frame of kind {kind} behind the end of a body")
        except BaseException as error:
            self._give_up(error)
            raise
        if problems:
            raise problems[0]
        path = incoming.finish(begin)
        return Transfer(path, position, begin["code"], begin["offset"], position - begin["offset"], incoming.proof(), done["file"])

    def _receive_body(self, number, incoming, begin, most, progress, problems):
        # What comes is taken in at once, and the next frame is read only then: no window that the server ignores can fill anything.
        position, taken = begin["offset"], 0
        while True:
            if progress:
                progress(position, begin["size"])
            kind, message = self._beside_body(problems)
            if kind == "end":
                break
            if kind != "data":
                raise ProtocolError("bad_request", f"a frame of kind {kind} in the middle of a body")
            contents = message[1]
            position += len(contents)
            if most is not None and position > most:
                raise ProtocolError("too_large", "more sent than was announced")
            incoming.write(contents)
            taken += len(contents)
            if taken >= LIMITS["window"] // 4:
                self._link.grant(number, taken)
                taken = 0
        if message["size"] != position or (begin["size"] is not None and begin["size"] != position):
            raise FerryError("digest_mismatch", f"{message['size']} bytes were announced, and {position} came")
        if not hmac.compare_digest(message["digest"], incoming.proof()):
            incoming.throw_away()
            raise FerryError("digest_mismatch", "what came is not what the server has", "fetch it again")
        return position

    def _transfer_verb(self, word, body, args):
        verb = self.find_verb(word)
        if verb["body"] != body:
            raise FerryError("bad_request", f"{verb['name']} does not {'take' if body == 'in' else 'give'} contents")
        if any((args or {}).get(argument["name"]) for argument in verb["args"] if argument["role"] == "recurse"):
            raise FerryError("unsupported", "this client moves files one by one, and no folders")
        return verb

    def _beside_body(self, problems):
        """The next frame that is neither progress nor a problem."""
        while True:
            kind, message = self._next()
            if kind == "problem":
                problems.append(failure(message))
                del problems[16:]
            elif kind == "done" and message["problems"] and not problems:
                problems.append(FerryError("internal", "the server counts problems, and did not say which"))
            if kind not in ("problem", "progress"):
                return kind, message

    def _give_up(self, error):
        """After a failure in the middle of a body: the server is told, or left when it cannot be understood."""
        if isinstance(error, ProtocolError):
            self._ended()
            self.close()
        else:
            self._cancel()


def _by_roles(verb, values, args):
    given = dict(args or {})
    for argument in verb["args"]:
        value = values.get(argument["role"])
        if value is not None and argument["name"] not in given:
            given[argument["name"]] = value
    unused = [role for role, value in values.items() if value is not None
              and role not in [argument["role"] for argument in verb["args"]] and role in ("target", "rename")]
    if unused:
        raise FerryError("bad_request", f"{verb['name']} takes no {unused[0]}")
    return check_args(verb, given)


def _check_begin(begin, size):
    code, offset = begin["code"], begin["offset"]
    if code not in (START, GO_ON, PRESENT):
        raise ProtocolError("bad_request", f"a transfer with the code {code}")
    wrong = offset != 0 if code == START else begin["prefix"] is None or not begin["prefix"].startswith("blake3:")
    if size is not None:
        wrong = wrong or offset > size or (code == PRESENT and offset != size)
    elif code != START:
        wrong = True
    if wrong:
        raise ProtocolError("bad_request", f"a transfer with the code {code} from {offset}, which cannot be")
