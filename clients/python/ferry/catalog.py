"""The verbs that a server offers (PROTOCOL.md, section 6), and arguments checked against them."""
import re

from .errors import FerryError, ProtocolError
from .names import to_wire

VERB_NAME = re.compile(r"[a-z][a-z0-9-]*")
ARGUMENT_NAME = re.compile(r"[a-z][a-z0-9_-]*")
MOST_FRAMES, MOST_VERBS, NAME_BYTES, MOST_WORDS, MOST_ARGUMENTS, MOST_CHOICES = 256, 4096, 64, 64, 256, 256
INTEGERS = (-2**63, 2**64 - 1)


class Catalog:
    """Verbs by name and alias; `verbs` has each once."""

    def __init__(self):
        self.verbs = {}
        self._by_word = {}
        self._frames = 0
        self.is_whole = False

    def add(self, message):
        self._frames += 1
        if self.is_whole:
            raise ProtocolError("bad_request", "a catalogue behind the last one")
        if self._frames > MOST_FRAMES or len(self.verbs) + len(message["verbs"]) > MOST_VERBS:
            raise ProtocolError("too_large", "a catalogue that does not end")
        for verb in message["verbs"]:
            _check(verb)
            if verb["name"] in self.verbs:
                raise ProtocolError("bad_request", "a verb stands twice in the catalogue")
            self.verbs[verb["name"]] = verb
        self.is_whole = message["last"]
        if self.is_whole:
            for verb in self.verbs.values():
                for alias in verb["aliases"]:
                    self._by_word.setdefault(alias, verb)
            self._by_word.update(self.verbs)

    def find(self, word):
        return self._by_word.get(word)


def _check(verb):
    words = [verb["name"], *verb["aliases"]]
    arguments = [argument["name"] for argument in verb["args"]]
    if (not all(VERB_NAME.fullmatch(word) and len(word) <= NAME_BYTES for word in words)
            or not all(ARGUMENT_NAME.fullmatch(name) and len(name) <= NAME_BYTES for name in arguments)):
        raise ProtocolError("bad_request", "a catalogue with a name of another form")
    if len(set(arguments)) != len(arguments):
        raise ProtocolError("bad_request", "a verb with two arguments of one name")
    if (len(arguments) > MOST_ARGUMENTS or max(len(verb["aliases"]), len(verb["examples"])) > MOST_WORDS
            or any(len(argument["choices"]) > MOST_CHOICES for argument in verb["args"])):
        raise ProtocolError("too_large", f"the verb {verb['name']} has too much of something")


def check_args(verb, given):
    """`given` as the wire has it, or `bad_request` before anything is sent. What is None or False is left out."""
    known = {argument["name"]: argument for argument in verb["args"]}
    args = {}
    for name, value in given.items():
        argument = known.get(name) or known.get(name.replace("_", "-"))
        if argument is None:
            raise _bad(verb, f"takes no {name}; it takes {', '.join(known) or 'nothing'}")
        if value is None or (argument["kind"] == "flag" and value is False):
            continue
        if argument["repeated"]:
            values = list(value) if isinstance(value, (list, tuple)) else [value]
            if values:
                args[argument["name"]] = [_checked(verb, argument, one) for one in values]
        else:
            args[argument["name"]] = _checked(verb, argument, value)
    for argument in verb["args"]:
        if argument["required"] and argument["name"] not in args:
            raise _bad(verb, f"needs {argument['name']}: {argument['doc']}")
    return args


def _checked(verb, argument, value):
    kind, name = argument["kind"], argument["name"]
    if kind == "flag":
        if isinstance(value, bool):
            return value
    elif kind in ("integer", "size"):
        low, high = INTEGERS if kind == "integer" else (0, INTEGERS[1])
        if type(value) is int and low <= value <= high:
            return value
    elif kind in ("remote_path", "local_path"):
        if isinstance(value, (str, bytes)):
            return to_wire(value)
    elif isinstance(value, str):
        if kind != "choice" or value in argument["choices"]:
            return value
        raise _bad(verb, f"takes as {name} one of {', '.join(argument['choices'])}")
    raise _bad(verb, f"takes as {name} a {kind.replace('_', ' ')}")


def _bad(verb, why):
    return FerryError("bad_request", f"{verb['name']} {why}")


def parse_words(verb, words):
    """Arguments by name from the words of a command line. Of several positional values, a repeated argument takes all but those
    that the arguments behind it need; one behind it that is not required gets a value when at least two are left."""
    positional = [a for a in verb["args"] if not a["option"] and a["kind"] != "flag"]
    options = {"--" + a["name"].replace("_", "-"): a for a in verb["args"] if a["option"] or a["kind"] == "flag"}
    options.update({"-" + a["short"]: a for a in verb["args"] if a["short"]})
    args, values, rest = {}, [], list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            values += rest
            break
        if not word.startswith("-") or word == "-":
            values.append(word)
            continue
        word, has_value, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if not word.startswith("--") and len(word) > 2:
            rest.insert(0, "-" + word[2:])
            word = word[:2]
        argument = options.get(word)
        if argument is None:
            raise _bad(verb, f"has no option {word}")
        if argument["kind"] == "flag":
            args[argument["name"]] = True
            continue
        if not has_value:
            if not rest:
                raise _bad(verb, f"needs a value for {word}")
            value = rest.pop(0)
        _put(verb, argument, args, value)
    for i, argument in enumerate(positional):
        behind = positional[i + 1:]
        count = min(1, len(values))
        if argument["repeated"]:
            spare = sum(1 for a in behind if a["required"])
            if not spare and behind and len(values) >= 2:
                spare = 1
            count = max(len(values) - spare, 0)
        for value in values[:count]:
            _put(verb, argument, args, value)
        values = values[count:]
    if values:
        raise _bad(verb, f"takes no {values[0]}")
    return args


def _put(verb, argument, args, value):
    if argument["kind"] in ("integer", "size"):
        try:
            value = int(value)
        except ValueError:
            raise _bad(verb, f"takes as {argument['name']} a number") from None
    if argument["repeated"]:
        args.setdefault(argument["name"], []).append(value)
    else:
        args[argument["name"]] = value
