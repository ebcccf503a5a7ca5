"""What the checks share: connections to the server, its verbs, and a folder of their own."""
import json
import os
import secrets

from ..errors import FerryError, ProtocolError
from ..login import MD5, SCRAM, SCRAM_PLUS, Login
from .peer import Peer
from .trouble import Broken, Skipped

PREFIX = "ferry-conform-"
VECTORS = os.path.join(os.path.dirname(__file__), "vectors")


class CachedLogin(Login):
    """A login that makes the slow key of a password once for every salt and cost."""

    _keys = {}

    def _key(self, mechanism, match):
        place = (mechanism, self.password, self.token, match.groups()[1:])
        if place not in self._keys:
            self._keys[place] = super()._key(mechanism, match)
        return self._keys[place]


class Suite:
    """A server and an account. `folder` is where checks may leave files; it is removed at the end."""

    def __init__(self, host, port, user, password, is_plain=False, key=None, patience=10, vectors=None):
        self.host, self.port, self.user, self.password = host, port, user, password
        self.is_plain, self.key, self.patience = is_plain, key, patience
        self.vectors_folder = vectors or VECTORS
        self.verbs, self.folder, self._names = [], "/" + PREFIX + secrets.token_hex(4), 0

    # Connections.

    def peer(self, limits=None):
        """A connection on which nothing was said yet."""
        return Peer(self.host, self.port, self.is_plain, self.patience, self.key, limits)

    def greeted(self, limits=None):
        """A connection behind both hellos."""
        peer = self.peer(limits)
        try:
            peer.say_hello()
            peer.hear_hello()
        except BaseException:
            peer.close()
            raise
        return peer

    def session(self, limits=None, peer=None):
        """A connection that is logged in, with the catalogue behind it."""
        peer = peer or self.greeted(limits)
        try:
            self.log_in(peer)
            while not peer.has_catalog:
                peer.next("catalog")
            return peer
        except BaseException:
            peer.close()
            raise

    def login(self, peer, user=None, password=None, token=None):
        """The client's side of a login."""
        return CachedLogin(user or self.user, self.password if password is None else password, peer.channel, token)

    def log_in(self, peer, login=None, save=None):
        """From `login` to `welcome`, which is returned; FerryError when it is refused."""
        login = login or self.login(peer)
        challenge = self.challenge(peer, login)
        peer.send("answer", data=answer(peer, login, challenge), save=save)
        return self.welcome(peer, login)

    def challenge(self, peer, login, mechanism=None, data=None):
        """Sends `login` and returns the challenge; FerryError when it is refused."""
        peer.send("login", mechanism=mechanism or login.opening, data=data or login.first())
        frame = peer.next("challenge", "fail")
        if frame.kind == "fail":
            raise FerryError(frame.message["kind"], frame.message["message"], frame.message["hint"])
        return frame.message

    def welcome(self, peer, login):
        frame = peer.next("welcome", "fail")
        if frame.kind == "fail":
            raise FerryError(frame.message["kind"], frame.message["message"], frame.message["hint"])
        try:
            login.check_welcome(frame.message["data"])
        except FerryError:
            raise Broken("a proof of the server that fits the password", str(frame), peer, "5") from None
        peer.user = frame.message["user"]
        return frame.message

    # Verbs, files and vectors.

    def verb(self, name):
        """The verb of this name, which standard servers have."""
        for verb in self.verbs:
            if name == verb["name"] or name in verb["aliases"]:
                return verb
        raise Skipped(f"this account has no verb {name}")

    @property
    def plain(self):
        """The name of a verb that can be run by anybody as it is, and changes nothing."""
        for verb in sorted(self.verbs, key=lambda verb: verb["name"] != "pwd"):
            if verb["access"] in ("public", "read") and verb["body"] == "none" and not any(arg["required"] for arg in verb["args"]):
                return verb["name"]
        raise Skipped("there is no verb that needs no arguments")

    def by_role(self, body, *roles):
        """The name of a verb with such a body, and the names of its arguments of these roles."""
        for verb in sorted(self.verbs, key=lambda verb: verb["name"] not in ("upload", "download")):
            found = {arg["role"]: arg for arg in verb["args"]}
            if verb["body"] == body and all(role in found for role in roles):
                return verb["name"], {role: found[role] for role in roles}
        raise Skipped(f"there is no verb with a body {body} and arguments of the roles {', '.join(roles)}")

    def upload_args(self, path, **more):
        """Verb and arguments that store the file `path`; `more` are flags by role."""
        verb, roles = self.by_role("in", "source", "target", "rename", *more)
        folder, _, name = path.rpartition("/")
        return verb, {**_value(roles["source"], "local"), **_value(roles["target"], folder or "/"), **_value(roles["rename"], name),
                      **{roles[role]["name"]: value for role, value in more.items()}}

    def download_args(self, path, **more):
        """Verb and arguments that fetch `path`."""
        verb, roles = self.by_role("out", "source", *more)
        return verb, {**_value(roles["source"], path), **{roles[role]["name"]: value for role, value in more.items()}}

    def new_path(self):
        """A path in the folder that no check has used."""
        self._names += 1
        return f"{self.folder}/file-{self._names}"

    def vectors(self, name):
        try:
            with open(os.path.join(self.vectors_folder, name + ".json"), encoding="utf-8") as file:
                return json.load(file)["vectors"]
        except OSError as error:
            raise Skipped(f"the vectors are not there: {error}") from None

    # Before and behind the checks.

    def set_up(self):
        """Logs in, learns the verbs and makes the folder. Skipped when this account may not do what the checks do."""
        with self.session() as peer:
            self.verbs = peer.verbs
            answer = peer.run(self.verb("mkdir")["name"], {"path": [self.folder]})
            if answer.fail:
                raise Skipped(f"this account cannot make a folder: {answer}")

    def tear_down(self):
        """Removes the folder and what is left of uploads to it; returns what could not be removed."""
        with self.session() as peer:
            names = [verb["name"] for verb in peer.verbs]
            if "partials" in names:
                rows = peer.run("partials").rows
                left = [row["id"] for row in rows if str(row.get("path", "")).startswith(self.folder)]
                if left:
                    peer.run("partials", {"action": "rm", "id": left})
            answer = peer.run("rm", {"path": [self.folder], "recursive": True}) if "rm" in names else None
            return None if answer and answer.done else f"{self.folder} is still there: {answer or 'there is no verb rm'}"


def answer(peer, login, challenge):
    """The data of `answer`; Broken when the challenge is not one that a client may take."""
    try:
        return login.answer(challenge["mechanism"], challenge["data"])
    except (ProtocolError, FerryError) as error:
        raise Broken("a challenge as section 5 has it", f"{challenge}: {error}", peer, "5") from None


def _value(argument, value):
    return {argument["name"]: [value] if argument["repeated"] else value}


__all__ = ["MD5", "SCRAM", "SCRAM_PLUS", "Suite", "answer"]
