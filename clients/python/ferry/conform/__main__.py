"""`ferry-conform [USER@]HOST:PORT`: which rules of docs/PROTOCOL.md a server keeps."""
import argparse
import getpass
import json
import os
import sys
import time
import traceback

from ..client import parse_target
from ..errors import FerryError, ProtocolError
from ..names import printable
from .peer import SHOWN_FRAMES
from .suite import VECTORS, Suite
from .trouble import CHECKS, Broken, Skipped
# In the order of the sections, in which they are then run.
from . import transport, hello, frames, guard, logging_in, verbs, requests, names, rows  # noqa: F401
from . import taking_in, outgoing, streams, waiting  # noqa: F401

KEPT, BROKEN, USAGE, UNREACHABLE = 0, 1, 2, 8


def main(words=None):
    options = _parser().parse_args(words)
    chosen = _chosen(options)
    try:
        if options.list:
            for one in chosen:
                print(f"{one.name:<28} {one.section:>3}  {one.rule}{' (--late)' if one.late else ''}", flush=True)
            return KEPT
        user, host, port = parse_target(options.target)
        suite = Suite(host, port, user or getpass.getuser(), _password(), is_plain=options.plain, key=options.pin,
                      patience=options.patience, vectors=options.vectors)
        if not options.plain and options.pin is None:
            with suite.peer() as peer:
                print(f"ferry-conform: the server's key is {peer.key}; nothing was compared with it (--pin)", file=sys.stderr)
        return run(suite, chosen, _Reporter(options.json))
    except FerryError as error:
        print(f"ferry-conform: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN
    except OSError as error:
        print(f"ferry-conform: {options.target} cannot be reached: {error.strerror or error}", file=sys.stderr)
        return UNREACHABLE
    except KeyboardInterrupt:
        print("ferry-conform: stopped", file=sys.stderr)
        return 10


def run(suite, checks, reporter):
    """Runs the checks and returns the exit code. Without a login nothing is checked: FerryError or OSError."""
    started, broken = time.monotonic(), 0
    try:
        suite.set_up()
    except Skipped as trouble:
        print(f"ferry-conform: {printable(str(trouble), exact=False)}", file=sys.stderr)
        return USAGE
    except Broken as trouble:
        reporter.tell("set-up", trouble.section or "5", "A login, the catalogue and a folder, without which nothing is checked.", trouble)
        reporter.end(0, 1, 0, time.monotonic() - started)
        return BROKEN
    kept = skipped = 0
    try:
        for one in checks:
            trouble = _try(one, suite)
            reporter.tell(one.name, one.section, one.rule, trouble)
            kept, broken = kept + (trouble is None), broken + isinstance(trouble, Broken)
            skipped += isinstance(trouble, Skipped)
    finally:
        # Whoever stops it half-way has nothing to tidy up either.
        try:
            left = suite.tear_down()
        except (Broken, FerryError, OSError) as error:
            left = f"{suite.folder} may be still there: {error}"
        if left:
            print(f"ferry-conform: {printable(left, exact=False)}", file=sys.stderr)
    reporter.end(kept, broken, skipped, time.monotonic() - started)
    return BROKEN if broken else KEPT


def _try(one, suite):
    """None when the rule is kept, or what is in the way."""
    try:
        one.run(suite)
    except (Broken, Skipped) as trouble:
        return trouble
    except FerryError as error:
        return Broken("an answer", str(error))
    except OSError as error:
        return Broken("a connection", f"{error}")
    except Exception:
        # What nobody thought of is told, and the other checks go on.
        return Broken("no fault in the check itself", traceback.format_exc())
    return None


class _Reporter:
    """What is told, as lines for people or as JSON, one object a line."""

    def __init__(self, is_json):
        self._is_json = is_json

    def tell(self, name, section, rule, trouble):
        result = "kept" if trouble is None else "skipped" if isinstance(trouble, Skipped) else "broken"
        if not self._is_json:
            print(f"{result:<8} {name}" + (f": {printable(str(trouble), exact=False)}" if result == "skipped" else ""), flush=True)
            if result == "broken":
                self._told(section, rule, trouble)
            return
        told = {"check": name, "section": section, "result": result, "rule": rule}
        if result == "skipped":
            told["why"] = str(trouble)
        if result == "broken":
            peer = trouble.peer
            told.update(section=trouble.section or section, expected=trouble.expected, came=trouble.came,
                        sent=peer.said[-SHOWN_FRAMES:] if peer else [], heard=peer.heard if peer else [])
        print(json.dumps(told), flush=True)

    def _told(self, section, rule, trouble):
        peer = trouble.peer
        lines = [("rule", f"section {section}: {rule}")]
        if trouble.section and trouble.section != section:
            lines.append(("breaks", f"section {trouble.section}"))
        lines += [("sent", line) for line in (peer.said[-SHOWN_FRAMES:] if peer else [])]
        lines += [("heard", line) for line in (peer.heard if peer else [])]
        for word, text in [*lines, ("expected", trouble.expected), ("came", trouble.came)]:
            print(f"    {word:<9} {printable(text, lines=word == 'came', exact=False)}", flush=True)

    def end(self, kept, broken, skipped, seconds):
        if self._is_json:
            print(json.dumps({"kept": kept, "broken": broken, "skipped": skipped, "seconds": round(seconds, 1)}), flush=True)
        else:
            print(f"{kept} kept, {broken} broken, {skipped} skipped, in {seconds:.1f} s", flush=True)


def _chosen(options):
    names = [one.name for one in CHECKS]
    for name in options.only or ():
        if name not in names:
            _parser().error(f"there is no check {name}; --list shows them")
    if options.only:
        return [one for one in CHECKS if one.name in options.only]
    if not options.list and options.target is None:
        _parser().error("a server is needed: [USER@]HOST:PORT")
    return [one for one in CHECKS if options.late or options.list or not one.late]


def _password():
    if "FERRY_PASSWORD" in os.environ:
        return os.environ["FERRY_PASSWORD"]
    if sys.stdin.isatty():
        return getpass.getpass()
    raise ProtocolError("bad_request", "the password is wanted in FERRY_PASSWORD")


def _parser():
    parser = argparse.ArgumentParser(prog="ferry-conform", description="Holds a server to docs/PROTOCOL.md. The account may be filled "
                                     "with files in a folder of its own, which is removed at the end.",
                                     epilog="Exit codes: 0 all kept, 1 some broken, 2 usage, 3 login refused, 8 not reachable.")
    parser.add_argument("--pin", metavar="sha256:...", help="the server's key; any other is refused. Without it any key is taken, and told")
    parser.add_argument("--plain", action="store_true", help="without TLS")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--only", action="append", metavar="NAME", help="this check; may be given several times")
    parser.add_argument("--list", action="store_true", help="show all checks and the rules they are for")
    parser.add_argument("--late", action="store_true", help="also those that wait for a deadline to pass, some 40 s each")
    parser.add_argument("--patience", type=float, default=10, metavar="SECONDS", help="how long an answer is waited for (10)")
    parser.add_argument("--vectors", metavar="FOLDER", default=VECTORS, help="where docs/vectors is, when not beside this program")
    parser.add_argument("target", nargs="?", metavar="[USER@]HOST:PORT")
    return parser


if __name__ == "__main__":
    sys.exit(main())
