"""A session with a server: log in, learn its verbs, call them."""
import ipaddress
import socket
import time
import warnings

from . import argon2, tls
from .catalog import Catalog, check_args
from .errors import DeadlinePassed, FerryError, ProtocolError
from .known import Known
from .link import CONNECT_SECONDS, LIMITS, LOGIN_SECONDS, Link, failure, lost
from .login import TOKEN, Login, saslprep
from .names import from_wire
from .transfer import Transfers
from .wire import check_hello

VERSION = "0.1.0"
AGENT = f"ferry-python/{VERSION}"
PORT = 7171
# How long the answer to `cancel` is waited for before the connection is given up.
CANCEL_SECONDS = 10
MOST_ROWS = 1_000_000
MOST_PROBLEMS = 1000


def parse_target(target):
    """User, host and port of `[USER@]HOST[:PORT]`; an IPv6 address stands in brackets."""
    user, _, place = target.rpartition("@")
    host, port = place, ""
    if place.startswith("["):
        host, bracket, behind = place[1:].partition("]")
        if not bracket or (behind and not behind.startswith(":")):
            raise FerryError("bad_request", f"{target} is no [USER@]HOST[:PORT]")
        port = behind[1:]
    elif place.count(":") == 1:
        host, _, port = place.partition(":")
    if not host or (port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536)):
        raise FerryError("bad_request", f"{target} is no [USER@]HOST[:PORT]")
    return user, host, int(port or PORT)


def connect(target, password=None, *, pin=None, known=None, accept_new=False, use_tls=True, allow_md5=True, save=None,
            use_saved=False, silence_seconds=60):
    """Logs in and returns a Client.

    The server's key must be `pin`, or what the file `known` has for this server; `accept_new=True` trusts a key never seen before and
    remembers it. `save` asks for a saved login of that label, `use_saved` logs in with one. `use_tls=False` is for loopback alone.
    """
    user, host, port = parse_target(target)
    if pin is not None and not use_tls:
        raise FerryError("bad_request", "without TLS there is no key that could be pinned")
    known = known if isinstance(known, Known) else Known(known)

    def once():
        return _connect(user, host, port, password, pin, known, accept_new, use_tls, allow_md5, save, use_saved, silence_seconds)
    slow_keys = argon2.slow_keys
    try:
        return once()
    except FerryError as error:
        # The key of the MD5 method took longer than the server waits; by now it is there.
        if argon2.slow_keys == slow_keys or error.kind not in ("timeout", "unreachable"):
            raise
    return once()


def _connect(user, host, port, password, pin, known, accept_new, use_tls, allow_md5, save, use_saved, silence_seconds):
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    started = time.monotonic()
    try:
        sock = socket.create_connection((host, port), timeout=CONNECT_SECONDS)
    except OSError as error:
        raise lost(f"{place} cannot be reached: {error.strerror or error}") from error
    try:
        channel, server = b"", "plain " + place
        if use_tls:
            try:
                sock, key, channel = tls.wrap(sock)
            except OSError as error:
                raise lost(f"{place} cannot be reached: {error.strerror or error}") from error
            known.check_key(place, key, pin, accept_new)
            server = key
        elif not ipaddress.ip_address(sock.getpeername()[0].partition("%")[0]).is_loopback:
            raise FerryError("denied", "without TLS only loopback addresses are allowed")
        link = Link(sock, silence_seconds)
        link.deadline = started + LOGIN_SECONDS
        client = Client(link)
        client._log_in(user, password, channel, server, known, allow_md5, save, use_saved)
        link.deadline = None
        return client
    except BaseException:
        sock.close()
        raise


class Client(Transfers):
    """One session. Not for several threads at once, and one request at a time. Use it in `with`, or close it."""

    def __init__(self, link):
        self._link = link
        self._catalog = Catalog()
        self._number = 0
        self._current = None
        self.server_limits = None
        self.user = None
        self.notice = None
        self.mechanism = None
        # The working folder: sent with every request, and changed by verbs such as `cd`.
        self.cwd = "/"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._link.close()

    # Login.

    def _log_in(self, user, password, channel, server, known, allow_md5, save, use_saved):
        self._link.send("hello", {"proto": 1, "agent": AGENT, "features": [], "required": [], "limits": LIMITS})
        hello = self._expect("hello")
        check_hello(hello)
        self.server_limits = hello["limits"]
        account = f"{user} at {server}"
        token = known.token(account) if use_saved else None
        if token is not None:
            try:
                self._try_login(Login(user, channel=channel, token=token), hello, True, None)
            except FerryError as error:
                if error.kind != "login_refused" or isinstance(error, ProtocolError) or not getattr(error, "by_server", False):
                    raise
                known.forget_token(account)
                if password is None:
                    raise
        if self.user is None:
            if password is None:
                raise FerryError("login_refused", "a login needs a password" + (", for nothing is saved" if use_saved else ""))
            login = Login(user, password, channel)
            welcome = self._try_login(login, hello, allow_md5 and not known.has_used_scram(account), save)
            if login.mechanism == login.opening:
                try:
                    known.used_scram(account)
                except FerryError as error:
                    warnings.warn(f"that this account logs in by SCRAM could not be remembered: {error}")
            if save is not None and welcome["token"] and channel:
                known.save_token(account, welcome["token"])
        if self.user not in (user, saslprep(user)):
            raise FerryError("login_refused", f"the server logged in {self.user}, and not {user}")

    def _try_login(self, login, hello, md5_allowed, save):
        if login.opening not in hello["mechanisms"]:
            raise FerryError("unsupported", f"the server does not know {login.opening}")
        self._link.send("login", {"mechanism": login.opening, "data": login.first()})
        challenge = self._expect("challenge")
        answer = login.answer(challenge["mechanism"], challenge["data"], md5_allowed)
        if save is not None and login.opening == TOKEN:
            save = None
        self._link.send("answer", {"data": answer, "save": save})
        welcome = self._expect("welcome")
        login.check_welcome(welcome["data"])
        self._link.logged_in = True
        self.user, self.notice, self.mechanism = welcome["user"], welcome["notice"], login.mechanism
        return welcome

    def _expect(self, kind):
        got, message = self._link.receive()
        if got == "fail":
            error = failure(message)
            error.by_server = True
            raise error
        if got != kind:
            raise ProtocolError("bad_request", f"a frame of kind {got}, where {kind} must come")
        return message

    # Verbs.

    @property
    def catalog(self):
        """The verbs that this user may run."""
        while not self._catalog.is_whole:
            self._idle_only()
            self._catalog.add(self._expect("catalog"))
        return self._catalog

    def find_verb(self, word):
        """What the catalogue has of a verb; otherwise the server is asked why it has nothing, and that is raised."""
        verb = self.catalog.find(word)
        if verb is None:
            for _ in self._ask("complete", {"verb": word, "arg": "", "word": ""}, None):
                pass
            raise FerryError("unknown_verb", f"no verb {word}")
        return verb

    def stream(self, word, args=None, *, deadline=None, progress=None, **more):
        """Starts a verb and returns its Rows, one dict each. `deadline` is in seconds; `progress(done, total, text)` is called as it
        goes on. Arguments may be keywords or the dict `args`."""
        verb = self.find_verb(word)
        if verb["body"] != "none":
            raise FerryError("bad_request", f"{verb['name']} moves contents: use send or receive")
        args = check_args(verb, {**(args or {}), **more})
        return self._ask("request", {"verb": verb["name"], "cwd": self.cwd, "args": args}, deadline, progress)

    def call(self, word, args=None, **more):
        """Runs a verb to its end and returns its Rows, with all rows in `rows`."""
        with self.stream(word, args, **more) as result:
            for row in result:
                if len(result.rows) >= MOST_ROWS:
                    raise FerryError("too_large", f"more than {MOST_ROWS} rows", "read them with stream")
                result.rows.append(row)
        return result

    def complete(self, word, arg, typed="", deadline=None):
        """Values that the server proposes for an argument."""
        return [row["word"] for row in self._ask("complete", {"verb": word, "arg": arg, "word": typed, "cwd": self.cwd}, deadline)]

    def expand(self, pattern, deadline=None):
        """Remote names that match a pattern of `*`, `?` and `[..]`."""
        return [from_wire(row["path"]) for row in self._ask("expand", {"pattern": pattern, "cwd": self.cwd}, deadline)]

    def _ask(self, kind, message, deadline, progress=None):
        return Rows(self, kind, message, deadline, progress)

    # What Rows and transfers are made of.

    def _start(self, kind, message, owner, deadline):
        self.catalog
        self._idle_only()
        self._number += 1
        self._link.deadline = None if deadline is None else time.monotonic() + deadline
        self._link.send(kind, {"id": self._number, **message})
        self._current = owner
        return self._number

    def _next(self):
        """The next frame of the request in flight. `fail` is raised, and `done` ends it."""
        try:
            kind, message = self._link.receive()
            number = message[0] if isinstance(message, tuple) else message.get("id")
            if number != self._number:
                raise ProtocolError("bad_request", f"a frame of kind {kind} for another request")
        except FerryError as error:
            if isinstance(error, DeadlinePassed):
                self._cancel()
            else:
                self.close()
            raise
        except BaseException:
            self._cancel()
            raise
        if kind in ("done", "fail"):
            self._ended()
        if kind == "fail":
            raise failure(message)
        if kind == "done" and message["cwd"] is not None:
            self.cwd = message["cwd"]
        return kind, message

    def _cancel(self):
        """Stops the request in flight, and returns when the server has said how it ended."""
        if self._current is None or not self._link.is_open:
            return
        self._link.deadline = time.monotonic() + CANCEL_SECONDS
        try:
            self._link.send("cancel", {"id": self._number})
            while self._link.receive()[0] not in ("done", "fail"):
                pass
            self._ended()
        except BaseException as error:
            self._ended()
            self.close()
            if not isinstance(error, FerryError):
                raise

    def _ended(self):
        self._current = None
        self._link.deadline = None

    def _idle_only(self):
        if not self._link.is_open:
            raise lost("the connection is closed")
        if self._current is not None:
            raise FerryError("busy", "another request is in flight: read it to its end, or close it")


class SomeFailed(FerryError):
    """A request that ended, but some of its items failed: `result.problems`. The kind is that of the first."""

    def __init__(self, result, count):
        first = result.problems[0] if result.problems else FerryError("internal", "the server did not say which")
        super().__init__(first.kind, first.message, first.hint, first.path)
        self.result = result
        self.count = count
        self.exit_code = 11


class Rows:
    """What a request gives: an iterator of rows, and when they have ended `text`, `file`, `problems`.

    Leaving its `with` early cancels the request.
    """

    def __init__(self, client, kind, message, deadline, progress):
        self._client = client
        self._progress = progress
        self.columns = None
        self.layout = "table"
        self.rows = []
        self.text = None
        self.file = None
        self.problems = []
        self.is_finished = False
        self._waiting = iter(())
        self._number = client._start(kind, message, self, deadline)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if not self.is_finished:
            self.is_finished = True
            self._waiting = iter(())
            if self._client._current is self:
                self._client._cancel()

    def __iter__(self):
        return self

    def __next__(self):
        while True:
            for row in self._waiting:
                return row
            if self.is_finished:
                raise StopIteration
            self._take()

    def _take(self):
        try:
            kind, message = self._client._next()
        except BaseException:
            self.is_finished = True
            raise
        if kind == "rows":
            self._waiting = iter(self._as_dicts(message))
        elif kind == "problem":
            if len(self.problems) < MOST_PROBLEMS:
                self.problems.append(failure(message))
        elif kind == "progress":
            if self._progress:
                self._progress(message["done"], message["total"], message["text"])
        elif kind == "done":
            self.is_finished = True
            self.text, self.file = message["text"], message["file"]
            if message["problems"]:
                raise SomeFailed(self, message["problems"])
        else:
            self.is_finished = True
            self._client.close()
            raise ProtocolError("bad_request", f"a frame of kind {kind} in a request without contents")

    def _as_dicts(self, message):
        if message["columns"] is not None:
            self.columns, self.layout = message["columns"], message["layout"]
        if self.columns is None:
            self._broken("rows before their columns")
        names = [column["name"] for column in self.columns]
        if len(set(names)) != len(names):
            self._broken("two columns of one name")
        out = []
        for row in message["rows"]:
            if len(row) != len(names):
                self._broken("a row of another length than its columns")
            out.append({column["name"]: from_wire(value) if column["kind"] == "path" and isinstance(value, bytes) else value
                        for column, value in zip(self.columns, row)})
        return out

    def _broken(self, why):
        self.is_finished = True
        self._client._ended()
        self._client.close()
        raise ProtocolError("bad_request", why)
