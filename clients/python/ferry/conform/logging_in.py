"""Section 5: the login."""
import base64
import re

from ..errors import FerryError
from ..login import MD5, SCRAM, SCRAM_PLUS
from .suite import answer
from .trouble import Broken, Skipped, check

OTHER_NAME = "ferry-conform-nobody"
NOBODYS_TOKEN = "ferry-token-v1:" + "0" * 16 + ":" + "A" * 43


def _refused(suite, peer, login, data=None, challenge=None, kinds=("login_refused",)):
    """The whole of a login that has to be refused; the text of the refusal."""
    try:
        challenge = challenge or suite.challenge(peer, login)
        peer.send("answer", data=data or answer(peer, login, challenge))
        suite.welcome(peer, login)
    except FerryError as error:
        if error.kind not in kinds:
            raise Broken("fail, id 0, " + " or ".join(kinds), str(error), peer) from None
        return error.message
    raise Broken("fail, id 0, login_refused", "a welcome", peer)


def _opening_refused(suite, data, mechanism=None):
    """A `login` that has to fail: at once, or when it is answered as well as can be."""
    with suite.greeted() as peer:
        login = suite.login(peer)
        text = data(login) if callable(data) else data
        peer.send("login", mechanism=mechanism or login.opening, data=text)
        frame = peer.step()
        if frame is None or frame.kind == "fail" and frame.id == 0:
            return
        if frame.kind != "challenge":
            raise Broken("fail, id 0, or the end", str(frame), peer)
        # Whoever lets the opening pass must refuse the answer.
        login.bare = text.decode("utf-8", "replace").split(",", 2)[2]
        login.header = text.decode("utf-8", "replace")[:-len(login.bare)]
        peer.send("answer", data=answer(peer, login, frame.message))
        frame = peer.step()
        if frame is not None and frame.kind != "fail":
            raise Broken("fail, id 0, or the end", str(frame), peer)


@check("login", "5")
def the_right_password(suite):
    """The right password logs in by the mechanism that the account has; the server proves that it knows it; `user` is the name."""
    with suite.greeted() as peer:
        login = suite.login(peer)
        welcome = suite.log_in(peer, login)
        if welcome["user"] != suite.user:
            raise Broken(f"the user {suite.user}", welcome["user"], peer)
        if login.mechanism != MD5 and login.mechanism != (SCRAM if suite.is_plain else SCRAM_PLUS):
            raise Broken("a mechanism for such a connection", login.mechanism, peer)


@check("login-nonce", "5")
def the_server_adds_a_nonce(suite):
    """The server's nonce is the client's with something behind it, and another one every time."""
    seen = set()
    for _ in range(3):
        with suite.greeted() as peer:
            login = suite.login(peer)
            login.nonce = "abcdefghijklmnopqrstuvwxyz"
            login.bare = re.sub(",r=.*", ",r=" + login.nonce, login.bare)
            challenge = suite.challenge(peer, login)["data"].decode("utf-8", "replace")
            nonce = challenge.split(",")[0]
            if not nonce.startswith("r=" + login.nonce) or nonce in seen:
                raise Broken("another nonce that starts with the client's", challenge, peer)
            seen.add(nonce)


@check("login-token-nonce", "5")
def the_token_challenge_is_known_before(suite):
    """When the server's hello has a `nonce`, the challenge to a first login by a token is `r=`, the client's nonce and that one."""
    seen = set()
    for _ in range(2):
        with suite.greeted() as peer:
            said = peer.hello["nonce"]
            if said is None:
                raise Skipped("the server's hello has no nonce")
            if said in seen:
                raise Broken("another nonce for every connection", str(peer.hello), peer, "4")
            seen.add(said)
            # An id that is nobody's is challenged like any other.
            login = suite.login(peer, token=NOBODYS_TOKEN)
            challenge = suite.challenge(peer, login)["data"].decode("utf-8", "replace")
            if challenge != "r=" + login.nonce + said:
                raise Broken(f"the challenge r={login.nonce}{said}", challenge, peer)


@check("login-wrong-password", "5")
def a_wrong_password(suite):
    """A login that fails is answered with `fail`, `id` 0, `login_refused`; the client may then try again on this connection."""
    with suite.greeted() as peer:
        _refused(suite, peer, suite.login(peer, password=suite.password + "x"))
        suite.session(peer=peer)


@check("login-unknown-user", "5")
def unknown_users_look_alike(suite):
    """A name that is no account is carried on with to the end, with a salt that stays the same; the text is the same for all."""
    texts, salts = [], []
    for _ in range(2):
        with suite.greeted() as peer:
            login = suite.login(peer, user=OTHER_NAME)
            challenge = suite.challenge(peer, login)
            salts.append([part for part in challenge["data"].split(b",") if not part.startswith(b"r=")])
            texts.append(_refused(suite, peer, login, challenge=challenge))
            login = suite.login(peer, password=suite.password + "x")
            challenge = suite.challenge(peer, login)
            if not login.answer(challenge["mechanism"], challenge["data"]) or login.mechanism != MD5:
                known = [part for part in challenge["data"].split(b",") if not part.startswith(b"r=")]
                if [len(part) for part in known] != [len(part) for part in salts[0]] or known[1:] != salts[0][1:]:
                    raise Broken(f"a challenge of the form {salts[0]}", str(known), peer)
            texts.append(_refused(suite, peer, login, challenge=challenge))
    if salts[0] != salts[1]:
        raise Broken(f"the same salt again, {salts[0]}", str(salts[1]))
    if len(set(texts)) != 1:
        raise Broken("one text for all", str(texts))


@check("login-three", "5")
def three_logins(suite):
    """Three logins may fail on a connection; the third ends it."""
    with suite.greeted() as peer:
        for turn in range(3):
            _refused(suite, peer, suite.login(peer, user=OTHER_NAME))
        peer.ended or peer.expect_end()


@check("login-replay", "5")
def an_answer_counts_once(suite):
    """An answer that was good for one challenge is none for another."""
    with suite.greeted() as peer:
        first = suite.login(peer)
        old = answer(peer, first, suite.challenge(peer, first))
    with suite.greeted() as peer:
        second = suite.login(peer)
        second.nonce, second.bare = first.nonce, first.bare
        challenge = suite.challenge(peer, second)
        _refused(suite, peer, second, data=old, challenge=challenge)
    with suite.greeted() as peer:
        login = suite.login(peer)
        challenge = suite.challenge(peer, login)
        good = answer(peer, login, challenge)
        _refused(suite, peer, login, data=re.sub(rb"r=[^,]*", b"r=" + first.nonce.encode(), good), challenge=challenge)


@check("login-proof", "5")
def a_proof_is_checked(suite):
    """A proof of which a bit is other, one that is cut short, and one that is not there, are refused."""
    def changed(good, how):
        head, _, proof = good.partition(b",p=")
        raw = bytearray(base64.b64decode(proof))
        if how == "bit":
            raw[0] ^= 1
        return head + {"bit": b",p=" + base64.b64encode(raw), "short": b",p=" + base64.b64encode(raw[:-1]), "none": b"",
                       "empty": b",p="}[how]
    for how in ("bit", "short", "none", "empty"):
        with suite.greeted() as peer:
            login = suite.login(peer)
            challenge = suite.challenge(peer, login)
            # What has not the form of an answer may be told as such.
            kinds = ("login_refused",) if how == "bit" else ("login_refused", "bad_request")
            _refused(suite, peer, login, changed(answer(peer, login, challenge), how), challenge, kinds)


@check("login-channel", "5")
def a_login_is_bound_to_the_channel(suite):
    """Over TLS a login is bound to the connection, and what is bound to another, or to none, is refused."""
    if suite.is_plain:
        raise Skipped("there is no TLS here")
    with suite.greeted() as peer:
        login = suite.login(peer)
        login.channel = bytes(32)
        _refused(suite, peer, login)
    with suite.greeted() as peer:
        login = suite.login(peer)
        challenge = suite.challenge(peer, login)
        login.header, login.channel = "n,,", b""
        _refused(suite, peer, login, challenge=challenge)
    for header, mechanism in (("n,,", SCRAM_PLUS), ("y,,", SCRAM_PLUS), ("n,,", SCRAM), ("p=tls-unique,,", SCRAM_PLUS)):
        _opening_refused(suite, lambda login: (header + login.bare).encode(), mechanism)


@check("login-plain", "5")
def no_binding_without_tls(suite):
    """Without TLS the header is `n,,` or `y,,`; anything else is refused."""
    if not suite.is_plain:
        raise Skipped("there is TLS here")
    for header, mechanism in (("p=tls-exporter,,", SCRAM), ("x,,", SCRAM), ("p=tls-exporter,,", SCRAM_PLUS)):
        _opening_refused(suite, lambda login: (header + login.bare).encode(), mechanism)


@check("login-form", "5")
def messages_of_another_form(suite):
    """No authorization identity, no `m=`, attributes in their order, a nonce of 8 to 256 characters: anything else is refused."""
    def header(login):
        return login.header[:-1]
    for data in (lambda login: (header(login) + f"a={OTHER_NAME}," + login.bare).encode(),
                 lambda login: (login.header + "m=x," + login.bare).encode(),
                 lambda login: (login.header + ",".join(reversed(login.bare.split(",")))).encode(),
                 lambda login: (login.header + login.bare.split(",r=")[0] + ",r=" + "x" * 7).encode(),
                 lambda login: (login.header + login.bare.split(",r=")[0] + ",r=" + "x" * 257).encode(),
                 b"", b"\xff\xfe", b"n", lambda login: login.header.encode()):
        try:
            _opening_refused(suite, data)
        except IndexError:
            raise Broken("fail, id 0, or the end", "a challenge for what is no login") from None


@check("login-mechanism", "5")
def mechanisms_that_are_not_offered(suite):
    """A mechanism that the server has not offered is not begun with."""
    for name in ("PLAIN", "SCRAM-SHA-1", "", MD5):
        with suite.greeted() as peer:
            login = suite.login(peer)
            if name in peer.hello["mechanisms"]:
                continue
            peer.send("login", mechanism=name, data=login.first())
            frame = peer.step()
            if frame is not None and not (frame.kind == "fail" and frame.id == 0):
                raise Broken("fail, id 0, or the end", str(frame), peer)


@check("login-unknown-keys", "3")
def unknown_keys_in_a_login(suite):
    """A key that is not known is ignored in `login` and `answer`."""
    with suite.greeted() as peer:
        login = suite.login(peer)
        peer.send("login", mechanism=login.opening, data=login.first(), later=[1])
        challenge = peer.next("challenge").message
        peer.send("answer", data=answer(peer, login, challenge), later={"a": None})
        suite.welcome(peer, login)


@check("answer-first", "5")
def an_answer_to_nothing(suite):
    """An `answer` without a challenge is no login."""
    with suite.greeted() as peer:
        peer.send("answer", data=b"c=biws,r=abcdefgh,p=AAAA")
        frame = peer.step()
        if frame is not None and not (frame.kind == "fail" and frame.id == 0):
            raise Broken("fail, id 0, or the end", str(frame), peer)


@check("login-saved", "5")
def saved_logins(suite):
    """Over TLS a login by password gives a saved login when it is asked for, which logs in as the same user, and nothing else does."""
    if suite.is_plain:
        raise Skipped("there is no TLS here")
    verb = suite.verb("logins")["name"]
    with suite.greeted() as peer:
        login = suite.login(peer)
        token = suite.log_in(peer, login, save="ferry-conform")["token"]
        if token is None:
            raise Skipped("the server gives no saved login")
    if not re.fullmatch(r"ferry-token-v1:[0-9a-f]{16}:[A-Za-z0-9_-]{43}", token):
        raise Broken("ferry-token-v1:ID:SECRET", token, peer)
    name = token.split(":")[1]
    try:
        with suite.greeted() as peer:
            welcome = suite.log_in(peer, suite.login(peer, token=token), save="again")
            if welcome["user"] != suite.user or welcome["token"] is not None:
                raise Broken(f"the user {suite.user}, and no saved login by a saved login", str(welcome), peer)
        with suite.greeted() as peer:
            other = token[:-43] + ("A" if token[-43] != "A" else "B") + token[-42:]
            _refused(suite, peer, suite.login(peer, token=other))
            _refused(suite, peer, suite.login(peer, token=token.replace(name, "0" * 16)))
    finally:
        with suite.session() as peer:
            peer.run(verb, {"action": "rm", "id": [name]})
    with suite.greeted() as peer:
        _refused(suite, peer, suite.login(peer, token=token))
