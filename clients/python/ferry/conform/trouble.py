"""What a check can end with besides being kept, and the list of all checks."""


class Broken(Exception):
    """The server did otherwise. `peer` has what was said before; `section` is where the rule stands, when it is not the check's own."""

    def __init__(self, expected, came, peer=None, section=None):
        super().__init__(f"expected {expected}; came {came}")
        self.expected, self.came, self.peer, self.section = expected, came, peer, section


class Skipped(Exception):
    """The check cannot be made with this server or account; as text, why."""


class Check:
    """A rule and how it is tried. `late` are those that wait for a deadline, and run only when asked for."""

    def __init__(self, name, section, run, late):
        self.name, self.section, self.run, self.late = name, section, run, late
        self.rule = " ".join((run.__doc__ or "").split())


CHECKS = []


def check(name, section, late=False):
    """Registers a function of one argument, the Suite, as the check `name` of a section of PROTOCOL.md."""
    def register(run):
        assert run.__doc__ and name not in [one.name for one in CHECKS], name
        CHECKS.append(Check(name, section, run, late))
        return run
    return register
