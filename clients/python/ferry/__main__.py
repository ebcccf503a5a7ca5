"""`python3 -m ferry upload|download|call`: a small command line.

Rows go to standard output as JSON, one a line; what is for people goes to standard error.
"""
import argparse
import getpass
import json
import os
import sys
import time

from . import FerryError, SomeFailed, connect, parse_target, printable
from .catalog import parse_words


def main(words=None):
    options = _parser().parse_args(words)
    try:
        return _run(options)
    except FerryError as error:
        _say(f"ferry: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        _say("ferry: stopped; run it again to go on")
        return 10
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        _say(f"ferry: {printable(str(error.filename or ''))}: {error.strerror or error}")
        return 1


def _run(options):
    user, host, port = parse_target(options.target)
    target = f"{user or getpass.getuser()}@{'[' + host + ']' if ':' in host else host}:{port}"
    with connect(target, _password(options), pin=options.pin, known=options.known, accept_new=options.accept_new,
                 use_tls=not options.no_tls, save=options.save, use_saved=options.saved) as session:
        if session.notice:
            _say(printable(session.notice, exact=False))
        return options.run(session, options)


def _upload(session, options):
    more = {"no_clobber": options.no_clobber, "digest": options.digest, "rename": options.rename, "deadline": options.deadline}
    source = sys.stdin.buffer if options.source == "-" else options.source
    _told(session.upload(source, options.destination, progress=_Bar(), **more))
    return 0


def _download(session, options):
    target = sys.stdout.buffer if options.rename == "-" else options.destination
    rename = None if options.rename == "-" else options.rename
    done = session.download(options.source, target, rename=rename, no_clobber=options.no_clobber, digest=options.digest,
                            deadline=options.deadline, progress=_Bar())
    sys.stdout.flush()
    _told(done)
    return 0


def _call(session, options):
    verb = session.find_verb(options.verb)
    args = parse_words(verb, options.words)
    if verb["body"] == "out":
        session.receive(options.verb, target=sys.stdout.buffer, args=args, deadline=options.deadline)
        sys.stdout.flush()
        return 0
    with session.stream(options.verb, args, deadline=options.deadline) as rows:
        try:
            for row in rows:
                print(json.dumps({name: _json(value) for name, value in row.items()}))
        except SomeFailed as error:
            for problem in rows.problems:
                _say(f"ferry: {problem}")
            return error.exit_code
        if rows.text:
            # Without a terminal it is for a program, which wants it as it is.
            sys.stdout.write(printable(rows.text, lines=True, exact=False) if sys.stdout.isatty() else rows.text)
    return 0


def _json(value):
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def _told(done):
    what = {1001: "from the beginning", 1002: f"went on from {done.offset}", 1003: "is there already"}.get(done.code, "")
    _say(f"{printable(done.path or '-')}: {done.size} bytes, {done.moved} moved, {what}, {done.digest}")


def _password(options):
    if options.password_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if "FERRY_PASSWORD" in os.environ:
        return os.environ["FERRY_PASSWORD"]
    return None if options.saved or not sys.stdin.isatty() else getpass.getpass()


def _say(text):
    print(text, file=sys.stderr)


class _Bar:
    """How far a transfer is, on a terminal, five times a second at most."""

    def __init__(self):
        self._next = 0

    def __call__(self, done, total):
        now = time.monotonic()
        if sys.stderr.isatty() and (now >= self._next or done == total):
            self._next = now + 0.2
            share = f" {100 * done // total}%" if total else ""
            print(f"\r\x1b[K{done} bytes{share}", end="\n" if done == total else "", file=sys.stderr, flush=True)


def _parser():
    parser = argparse.ArgumentParser(prog="ferry", description="Moves files to and from a Ferry server, and calls its verbs.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, run, about in (("upload", _upload, "send a file"), ("download", _download, "fetch a file"),
                             ("call", _call, "run a verb")):
        command = commands.add_parser(name, help=about)
        command.set_defaults(run=run)
        command.add_argument("--pin", metavar="sha256:...", help="accept this server key and no other")
        command.add_argument("--accept-new", action="store_true", help="trust a server key never seen before, and remember it")
        command.add_argument("--known", metavar="FILE", help="where keys and saved logins are kept")
        command.add_argument("--password-stdin", action="store_true", help="the password is a line of standard input")
        command.add_argument("--no-tls", action="store_true", help="no encryption; only to a loopback address")
        command.add_argument("--save", metavar="LABEL", help="ask for a saved login")
        command.add_argument("--saved", action="store_true", help="use the saved login")
        command.add_argument("--deadline", type=float, metavar="SECONDS", help="give up after so long")
        command.add_argument("target", metavar="[USER@]HOST[:PORT]")
        if name == "call":
            command.add_argument("verb")
            command.add_argument("words", nargs=argparse.REMAINDER, metavar="ARG")
        else:
            command.add_argument("source")
            command.add_argument("destination", nargs="?")
            command.add_argument("--as", dest="rename", metavar="NAME")
            command.add_argument("--no-clobber", action="store_true")
            command.add_argument("--digest", choices=("md5", "blake3"), default="md5")
    return parser


if __name__ == "__main__":
    sys.exit(main())
