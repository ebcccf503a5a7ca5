"""What goes wrong: one exception, told apart by `kind`, from the closed list of the protocol (PROTOCOL.md, section 10)."""
from .names import printable

# kind: (number, exit code)
KINDS = {
    "bad_request": (2001, 2), "unknown_verb": (2002, 2), "login_refused": (2003, 3), "denied": (2004, 5), "not_found": (2005, 4),
    "exists": (2006, 9), "not_directory": (2007, 1), "is_directory": (2008, 2), "not_empty": (2009, 9), "bad_path": (2010, 2),
    "over_quota": (2011, 6), "disk_full": (2012, 6), "digest_mismatch": (2013, 7), "offset_mismatch": (2014, 7),
    "changed": (2015, 7), "lease_lost": (2016, 9), "too_large": (2017, 1), "busy": (2018, 9), "cancelled": (2019, 10),
    "timeout": (2020, 8), "unsupported": (2021, 1), "unreachable": (2022, 8), "internal": (2999, 1),
}


class FerryError(Exception):
    """A request, a login or a connection that failed. As text it is safe to print."""

    def __init__(self, kind, message, hint=None, path=None):
        super().__init__(kind, message)
        self.kind = kind if kind in KINDS else "internal"
        self.message = message
        self.hint = hint
        self.path = path
        self.exit_code = KINDS[self.kind][1]

    def __str__(self):
        text = f"{self.kind}: {printable(self.message, exact=False)}"
        return f"{text} ({printable(self.hint, exact=False)})" if self.hint else text


class ProtocolError(FerryError):
    """The other side cannot be understood; the connection is of no more use."""

    def __init__(self, kind, message):
        super().__init__(kind, message)
        self.exit_code = 12


class DeadlinePassed(FerryError):
    """The caller's own deadline."""

    def __init__(self):
        super().__init__("timeout", "the deadline has passed")


class KeyRefused(FerryError):
    """The server's key is not trusted. `fingerprint` is the key that was shown, `changed` whether another one is known."""

    def __init__(self, message, hint, fingerprint, changed):
        super().__init__("login_refused", message, hint)
        self.fingerprint = fingerprint
        self.changed = changed
