"""What is remembered between logins: keys of servers, accounts that have logged in by SCRAM, and saved logins."""
import json
import os
import tempfile

from .errors import FerryError, KeyRefused


def default_path():
    if os.environ.get("FERRY_PYTHON_KNOWN"):
        return os.environ["FERRY_PYTHON_KNOWN"]
    folder = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return os.path.join(folder, "ferry-python", "known.json")


class Known:
    """The file of what is known. It holds saved logins, so nobody else may read it."""

    def __init__(self, path=None):
        self.path = os.fspath(path or default_path())

    def check_key(self, place, key, pin=None, accept_new=False):
        """Returns when `key` is trusted for `place`, and raises KeyRefused otherwise. A pin outranks what is known."""
        if pin is not None:
            if key != pin:
                raise KeyRefused(f"{place} has the key {key}, and not the one that was asked for",
                                 "this may be another server: ask whoever runs it", key, True)
            return
        known = self._load()["keys"].get(place)
        if known is None:
            if not accept_new:
                raise KeyRefused(f"{place} has the key {key}, which is not known here",
                                 "compare it with what the server printed at its start, then give it as pin", key, False)
            self._change(lambda state: state["keys"].__setitem__(place, key))
        elif known != key:
            raise KeyRefused(f"the key of {place} has changed: it was {known} and is {key}",
                             f"this may be another server; if the change is meant, remove it from {self.path}", key, True)

    def has_used_scram(self, account):
        return account in self._load()["scram"]

    def used_scram(self, account):
        if not self.has_used_scram(account):
            self._change(lambda state: state["scram"].append(account))

    def token(self, account):
        return self._load()["tokens"].get(account)

    def save_token(self, account, token):
        self._change(lambda state: state["tokens"].__setitem__(account, token))

    def forget_token(self, account):
        self._change(lambda state: state["tokens"].pop(account, None))

    def _load(self):
        try:
            with open(self.path, encoding="utf-8") as file:
                state = json.load(file)
        except FileNotFoundError:
            state = {}
        except (OSError, ValueError) as error:
            raise self._unusable(error) from error
        kinds = {"keys": dict, "scram": list, "tokens": dict}
        if not isinstance(state, dict) or any(not isinstance(state.setdefault(k, t()), t) for k, t in kinds.items()):
            raise self._unusable("it has another form")
        return state

    def _change(self, change):
        state = self._load()
        change(state)
        folder = os.path.dirname(self.path) or "."
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            # mkstemp makes it for its owner alone.
            handle, name = tempfile.mkstemp(prefix=".known", dir=folder)
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(state, file, indent=1)
                os.replace(name, self.path)
            except BaseException:
                os.unlink(name)
                raise
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, why):
        return FerryError("internal", f"{self.path} cannot be used: {why}")
