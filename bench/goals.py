"""The goals: for each row what is asked of us, as a claim over the medians of one run."""
from dataclasses import dataclass
from typing import Callable

from link import ROUND_TRIP
from peers import PEERS, is_limit


@dataclass
class Verdict:
    """What was reached, and how that is to the limit: above 1 is missed, None was not measured."""

    got: str
    share: float | None

    @property
    def met(self):
        return None if self.share is None else self.share <= 1


NOTHING = Verdict("not measured", None)


class Medians:
    """The medians of one row's operation, by name."""

    def __init__(self, values):
        self.values = values

    def get(self, op, name):
        return self.values.get((op, name), {}).get("value")

    def extra(self, op, name, key):
        """Another figure of the same runs."""
        return self.values.get((op, name), {}).get(key)

    def best(self, op, among, lowest=True):
        """The best value of some peers, and whose it is."""
        there = [(value["value"], name) for (at, name), value in self.values.items() if at == op and name in among]
        return (min(there) if lowest else max(there)) if there else (None, None)


def ratio(got, against, limit, text, below=True):
    """Our figure in terms of another one: below the limit, or above it where more is better."""
    if got is None or not against:
        return NOTHING
    share = got / against / limit
    return Verdict(f"{got / against:.2f} x {text}", share if below else 1 / share)


def at_most(got, limit, unit):
    """A figure that is judged by itself."""
    return NOTHING if got is None else Verdict(f"{got:.3g} {unit}", got / limit)


def products(claim):
    """The names of the peers, limits left out, of which something is true."""
    return {name for name, one in PEERS.items() if not is_limit(name) and claim(one)}


ENCRYPTED = products(lambda one: one.encrypted)
OPEN = products(lambda one: one.encrypted and not one.verified)
PROVEN = products(lambda one: one.encrypted and one.verified)


@dataclass
class Goal:
    """One claim about one operation of one row."""

    row: str
    op: str
    text: str
    judge: Callable
    # Which of our figures it is about.
    ours: str = "ferry"


GOALS = []


def goal(row, ops, text, judge, ours="ferry"):
    """Adds a goal for each of some operations."""
    for op in ops:
        GOALS.append(Goal(row, op, text, lambda m, op=op: judge(m, op), ours))


def against_best(among, limit, lowest=True):
    """Judges us by the best of some peers."""
    def judge(m, op):
        best, name = m.best(op, among, lowest)
        return ratio(m.get(op, "ferry"), best, limit, name, below=lowest)
    return judge


def against(other, limit, ours="ferry", below=True):
    """Judges us by one other figure of the same operation."""
    return lambda m, op: ratio(m.get(op, ours), m.get(op, other), limit, other, below)


BOTH = ("up", "down")
goal("F1", BOTH, "at most 0.95 x the best of them", against_best(ENCRYPTED, 0.95))
goal("F1", BOTH, "at most 1.35 x md5sum alone", against("md5sum", 1.35))
goal("F2", BOTH, "at most 1.1 x the fastest that does not verify", against_best(OPEN, 1.1))
goal("F2", BOTH, "less than half of any that does", against_best(PROVEN, 0.5))
goal("F3", BOTH, "at most 0.9 x rsync's daemon", against("rsyncd", 0.9))
goal("F4", BOTH, "relaxed: at least 1.2 x rsync", against("rsync-ssh", 1.2, "ferry-relaxed", below=False), "ferry-relaxed")
goal("F4", ("on disk, up",), "strict: at least 0.5 x relaxed", against("ferry-disk-relaxed", 0.5, "ferry-disk", below=False), "ferry-disk")
goal("F4", ("on disk, up",), "strict: at least 5 x an fsync for each", against("fsync-loop", 5, "ferry-disk", below=False), "ferry-disk")
goal("F5", ("one",), "saved login: at most nginx's time", against("nginx-tls", 1.0))
goal("F5", ("many",), "saved login: at least nginx's sessions/s", against("nginx-tls", 1.0, below=False))


def slow_hash(m, op):
    """What a login by password costs beyond a saved one, without the client's own CPU for its hash."""
    beyond = [(m.get(op, name), m.extra(op, name, "client_ms")) for name in ("ferry, password", "ferry")]
    if any(None in pair for pair in beyond):
        return NOTHING
    password, saved = (wall - cpu for wall, cpu in beyond)
    return at_most(password - saved, 10, "ms")


goal("F5", ("one",), "login by password: the client's hash and at most 10 ms", slow_hash, "ferry, password")
goal("F5", ("one",), "login by password: at most 1 ms of the server's CPU",
     lambda m, op: at_most(m.extra(op, "ferry, password", "server_ms"), 1, "ms"), "ferry, password")
goal("F6", ("list",), "at most 1.0 x vsftpd TLS", against_best(("vsftpd-tls-curl", "vsftpd-tls-lftp"), 1.0))
goal("F6", ("first row",), "at most 50 ms", lambda m, op: at_most(m.get(op, "ferry"), 50, "ms"))
goal("F6", ("server grows",), "at most 4 MiB", lambda m, op: at_most(m.get(op, "ferry"), 4, "MiB"))
goal("F7", ("idle",), "with TLS: at most 32 KiB", lambda m, op: at_most(m.get(op, "ferry"), 32, "KiB"))
goal("F7", ("idle",), "without: at most 16 KiB", lambda m, op: at_most(m.get(op, "ferry-plain"), 16, "KiB"), "ferry-plain")
goal("F8", ("1 in flight",), "at least 1.0 x redis GET", against("redis", 1.0, below=False))
goal("F8", ("16 in flight",), "at least 0.25 x redis PING", against("redis", 0.25, below=False))
goal("F8", ("in process",), "below 1 us", lambda m, op: at_most(m.get(op, "ferry"), 1, "us"))
goal("F9", ("same source",), "at most 8 MiB sent twice", lambda m, op: at_most(m.get(op, "ferry"), 8, "MiB"))
goal("F9", ("same source", "changed source"), "never a corrupt result", lambda m, op: never_corrupt(m.extra(op, "ferry", "verdicts")))
goal("F10", ("big up", "big down"), "at most 1.1 x the limit", against("limit-tls", 1.1))
goal("F10", ("files up", "files down"), "at most 1.0 s", lambda m, op: at_most(m.get(op, "ferry"), 1, "s"))
goal("F10", ("session",), "at most 4 round trips", lambda m, op: at_most(trips(m.get(op, "ferry")), 4, "round trips"))
goal("F11", ("restart",), "at most 1 s", lambda m, op: at_most(m.get(op, "ferry"), 1, "s"))
goal("F12", BOTH, "at most 4 MiB", lambda m, op: at_most(m.get(op, "ferry"), 4, "MiB"))
goal("F12", ("empty server",), "at most 12 MiB in all", lambda m, op: at_most(m.get(op, "ferry"), 12, "MiB"))


def trips(value_ms):
    """Whole round trips: the rest is what both sides do."""
    return None if value_ms is None else value_ms // (1000 * ROUND_TRIP)


def never_corrupt(verdicts):
    """What came of every try: `right`, `refused` or `corrupt`."""
    return Verdict(", ".join(sorted(verdicts)), float("inf") if "corrupt" in verdicts else 0) if verdicts else NOTHING
