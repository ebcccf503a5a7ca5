"""Names are bytes. In Python they are `str`, with bytes that are not UTF-8 as lone surrogates (PEP 383), as `os.fsdecode` has them."""
import unicodedata

NAME_BYTES, PATH_BYTES = 255, 4096


def to_wire(name):
    """A name as the wire has it: `str` when it is UTF-8, otherwise bytes."""
    raw = to_bytes(name)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw


def to_bytes(name):
    return bytes(name) if isinstance(name, (bytes, bytearray)) else name.encode("utf-8", "surrogateescape")


def from_wire(name):
    return name if isinstance(name, str) else name.decode("utf-8", "surrogateescape")


def printable(text, lines=False, exact=True):
    """`text` with all that could lead a terminal or a reader astray written as an escape; `lines` keeps line ends and tabs.

    When it is `exact`, as for a name, a backslash is doubled, so that nothing else looks like an escape. What is written for people
    may have escapes of the server's in it already.
    """
    if isinstance(text, (bytes, bytearray)):
        text = text.decode("utf-8", "surrogateescape")
    kept = ("\n\t" if lines else "") + ("" if exact else "\\")
    return "".join(c if c in kept or _is_plain(c) else _escaped(c) for c in text)


def _is_plain(c):
    # Cc, Cf (bidirectional overrides among them), Cs, Co and Cn; and what ends a line or a paragraph.
    return c != "\\" and unicodedata.category(c)[0] != "C" and unicodedata.category(c) not in ("Zl", "Zp")


def _escaped(c):
    point = ord(c)
    if c == "\\":
        return "\\\\"
    if 0xDC80 <= point <= 0xDCFF:
        return f"\\x{point - 0xDC00:02x}"
    return f"\\x{point:02x}" if point < 0x80 else f"\\u{{{point:x}}}"


def resolve(cwd, path):
    """The place in the home that `path` means in the folder `cwd`; ValueError with the kind of failure otherwise."""
    raw = to_bytes(path)
    if b"\0" in raw:
        raise ValueError("bad_path")
    parts = []
    for part in (raw if raw.startswith(b"/") else to_bytes(cwd) + b"/" + raw).split(b"/"):
        if len(part) > NAME_BYTES:
            raise ValueError("bad_path")
        if part == b"..":
            if not parts:
                raise ValueError("denied")
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    place = b"/" + b"/".join(parts)
    if len(place) > PATH_BYTES:
        raise ValueError("bad_path")
    return from_wire(place)


def is_local_name(name):
    """Whether `name` may become a file's name on this machine."""
    raw = to_bytes(name)
    return 0 < len(raw) <= NAME_BYTES and raw not in (b".", b"..") and not any(c in raw for c in b"/\0") and "\\" not in name
