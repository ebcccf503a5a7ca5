"""Frames and messages (PROTOCOL.md, sections 2 to 8): bytes in, values out, and nothing of the other side's taken on trust."""
import re
import struct

import msgpack

from .errors import KINDS, ProtocolError
from .names import from_wire, to_wire

FRAMES = {
    0x01: "hello", 0x02: "login", 0x03: "challenge", 0x04: "answer", 0x05: "welcome", 0x06: "catalog", 0x10: "request",
    0x11: "cancel", 0x12: "complete", 0x13: "expand", 0x20: "begin", 0x21: "rows", 0x22: "problem", 0x23: "progress",
    0x24: "done", 0x25: "fail", 0x40: "data", 0x41: "end", 0x42: "grant", 0x43: "ping", 0x44: "pong",
}
NUMBERS = {name: number for number, name in FRAMES.items()}
BEFORE_LOGIN = {"hello", "login", "challenge", "answer", "welcome", "fail"}
FROM_CLIENT = {"login", "answer", "request", "cancel", "complete", "expand"}

EARLY_CONTROL = 4096
CONTROL, DATA, DEPTH, REQUESTS, WINDOW = 65536, 1048576, 16, 64, 2097152
LEAST_CONTROL, LEAST_DATA, LEAST_DEPTH = 65536, 262144, 16
MAP_KEYS = 256
PING_BYTES = 8

DIGEST = re.compile(r"md5:[0-9a-f]{32}|blake3:[0-9a-f]{64}")
VERSION = re.compile(r"[0-9a-f]{32}")
NO_VERSION = "0" * 32
NEEDED = object()


def check_header(length, number, logged_in, data_limit=DATA):
    """The kind of a frame, None for an optional one that is not known; called before room is made for its payload."""
    kind = FRAMES.get(number)
    if kind is None and number < 0x80:
        raise ProtocolError("bad_request", f"a frame of unknown kind 0x{number:02x}")
    limit = CONTROL if logged_in else EARLY_CONTROL
    if kind == "data":
        limit = 4 + data_limit
    elif kind in ("ping", "pong", "grant"):
        limit = PING_BYTES
    if length > limit:
        raise ProtocolError("too_large", f"a frame of {length} bytes, where {limit} are the most")
    if kind and not logged_in and kind not in BEFORE_LOGIN:
        raise ProtocolError("bad_request", f"a frame of kind {kind} before the login")
    return kind


def frame(kind, payload):
    return struct.pack(">IB", len(payload), NUMBERS[kind]) + payload


def read_data(payload):
    """Request and contents of a `data` frame."""
    if len(payload) < 4:
        raise ProtocolError("bad_request", "a data frame without a request")
    return int.from_bytes(payload[:4], "big"), payload[4:]


def read_grant(payload):
    if len(payload) != 8:
        raise ProtocolError("bad_request", "a grant that has not 8 bytes")
    return struct.unpack(">II", payload)


# Plain forms of MessagePack behind the first byte: bytes of a number, and bytes of a length.
_FIXED = {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
_LENGTHS = {0xC4: (1, "bin"), 0xC5: (2, "bin"), 0xC6: (4, "bin"), 0xD9: (1, "str"), 0xDA: (2, "str"), 0xDB: (4, "str"),
            0xDC: (2, "array"), 0xDD: (4, "array"), 0xDE: (2, "map"), 0xDF: (4, "map")}


def guard(data):
    """Checks one payload before anything decodes it (section 3)."""
    data, at, size = bytes(data), 0, len(data)
    # One entry for every open array and map: what is left in it, and for a map the keys so far.
    # The outermost stands for the payload itself.
    stack = [[1, None, False]]
    while True:
        while stack and stack[-1][0] == 0:
            stack.pop()
        if not stack:
            break
        top = stack[-1]
        top[0] -= 1
        keys, is_key = top[1], False
        if keys is not None:
            is_key = top[2]
            top[2] = not is_key
        if at >= size:
            raise ProtocolError("bad_request", "a message stops half-way")
        byte = data[at]
        at += 1
        shape, count = "plain", 0
        if byte < 0x80 or byte >= 0xE0:
            pass
        elif byte < 0x90:
            shape, count = "map", byte & 0x0F
        elif byte < 0xA0:
            shape, count = "array", byte & 0x0F
        elif byte < 0xC0:
            shape, count = "str", byte & 0x1F
        elif byte in _FIXED:
            at += _FIXED[byte]
            if at > size:
                raise ProtocolError("bad_request", "a number stops half-way")
        elif byte in _LENGTHS:
            width, shape = _LENGTHS[byte]
            if at + width > size:
                raise ProtocolError("bad_request", "a length stops half-way")
            count = int.from_bytes(data[at:at + width], "big")
            at += width
        else:
            raise ProtocolError("bad_request", "an extension type, or a byte that is never used")
        if len(stack) == 1 and shape != "map":
            raise ProtocolError("bad_request", "a message that is no map")
        if is_key and shape != "str":
            raise ProtocolError("bad_request", "a key that is no string")
        if shape in ("str", "bin"):
            raw = data[at:at + count]
            if len(raw) < count:
                raise ProtocolError("bad_request", "a length beyond the frame")
            at += count
            if shape == "str":
                try:
                    raw.decode("utf-8")
                except UnicodeDecodeError:
                    raise ProtocolError("bad_request", "a string that is not UTF-8") from None
            if is_key:
                if raw in keys:
                    raise ProtocolError("bad_request", "a key stands twice in one map")
                keys.add(raw)
        elif shape in ("map", "array"):
            if len(stack) > DEPTH:
                raise ProtocolError("too_large", "nested too deep")
            if shape == "map":
                if count > MAP_KEYS:
                    raise ProtocolError("too_large", "a map of too many keys")
                count *= 2
            if count > size - at:
                raise ProtocolError("bad_request", "a length beyond the frame")
            stack.append([count, set() if shape == "map" else None, shape == "map"])
    if at != size:
        raise ProtocolError("bad_request", "bytes behind the message")


# field: (type, default)
FIELDS = {
    "hello": {"proto": ("u32", NEEDED), "agent": ("str", NEEDED), "features": (["str"], []), "required": (["str"], []),
              "limits": ("limits", {}), "mechanisms": (["str"], []), "nonce": ("str", None)},
    "limits": {"control": ("u32", CONTROL), "data": ("u32", DATA), "depth": ("u32", DEPTH), "requests": ("u32", REQUESTS),
               "window": ("u32", WINDOW)},
    "login": {"mechanism": ("str", NEEDED), "data": ("bin", NEEDED)},
    "challenge": {"mechanism": ("str", None), "data": ("bin", NEEDED)},
    "answer": {"data": ("bin", NEEDED), "save": ("str", None)},
    "welcome": {"data": ("bin", NEEDED), "user": ("str", NEEDED), "notice": ("str", None), "token": ("str", None)},
    "catalog": {"verbs": (["verb"], NEEDED), "last": ("bool", NEEDED)},
    "verb": {"name": ("str", NEEDED), "aliases": (["str"], []), "doc": ("str", NEEDED), "args": (["argument"], []),
             "access": ("str", NEEDED), "body": ("str", "none"), "since": ("str", ""), "makes": ("str", ""), "examples": (["pair"], []),
             "crate": ("str", ""), "version": ("str", "")},
    "argument": {"name": ("str", NEEDED), "doc": ("str", NEEDED), "kind": ("str", NEEDED), "choices": (["str"], []),
                 "required": ("bool", False), "repeated": ("bool", False), "option": ("bool", False), "short": ("str", None),
                 "role": ("str", "plain"), "dynamic": ("bool", False)},
    "request": {"id": ("u32", NEEDED), "verb": ("str", NEEDED), "cwd": ("name", ""), "body": ("offer", None),
                "args": ("map", {})},
    "offer": {"size": ("u64", None), "modified": ("i64", None), "executable": ("bool", False), "digest": ("algorithm", "md5"),
              "expected": ("digest", None), "fresh": ("bool", False), "eager": ("bool", False), "folder": ("bool", False),
              "offset": ("u64", None), "prefix": ("digest", None)},
    "cancel": {"id": ("u32", NEEDED)},
    "complete": {"id": ("u32", NEEDED), "verb": ("str", NEEDED), "arg": ("str", NEEDED), "word": ("name", NEEDED),
                 "cwd": ("name", "")},
    "expand": {"id": ("u32", NEEDED), "pattern": ("name", NEEDED), "cwd": ("name", "")},
    "begin": {"id": ("u32", NEEDED), "code": ("u16", NEEDED), "offset": ("u64", NEEDED), "prefix": ("digest", None),
              "upload": ("str", None), "path": ("name", None), "size": ("u64", None), "modified": ("i64", None),
              "executable": ("bool", False), "version": ("version", None)},
    "rows": {"id": ("u32", NEEDED), "columns": (["column"], None), "layout": ("str", "table"), "rows": (["row"], NEEDED)},
    "column": {"name": ("str", NEEDED), "kind": ("str", NEEDED), "hidden": ("bool", False)},
    "problem": {"id": ("u32", NEEDED), "code": ("u16", NEEDED), "kind": ("str", NEEDED), "message": ("str", NEEDED),
                "hint": ("str", None), "path": ("name", None)},
    "progress": {"id": ("u32", NEEDED), "done": ("u64", NEEDED), "total": ("u64", None), "text": ("str", "")},
    "done": {"id": ("u32", NEEDED), "text": ("str", None), "cwd": ("name", None), "file": ("file", None),
             "problems": ("u64", 0)},
    "file": {"path": ("name", NEEDED), "size": ("u64", NEEDED), "modified": ("i64", NEEDED), "executable": ("bool", False),
             "digest": ("digest", None), "version": ("version", NO_VERSION)},
    "end": {"id": ("u32", NEEDED), "size": ("u64", NEEDED), "digest": ("digest", NEEDED)},
}
FIELDS["fail"] = FIELDS["problem"]
# Lists of words that may grow: what is not in them reads as the last.
OPEN_WORDS = {
    ("verb", "access"): ("public", "read", "write", "admin"), ("verb", "body"): ("in", "out", "none"),
    ("argument", "kind"): ("flag", "integer", "size", "remote_path", "local_path", "choice", "text"),
    ("argument", "role"): ("source", "target", "rename", "recurse", "no_clobber", "checksum", "plain"),
    ("column", "kind"): ("path", "size", "human_size", "count", "time", "flag", "entry", "executable", "text"),
    ("rows", "layout"): ("list", "record", "table"), ("problem", "kind"): tuple(KINDS), ("fail", "kind"): tuple(KINDS),
}
_RANGES = {"u16": (0, 2**16 - 1), "u32": (0, 2**32 - 1), "u64": (0, 2**64 - 1), "i64": (-2**63, 2**63 - 1)}
_PLAIN = {"str": str, "bool": bool, "bin": bytes, "map": dict}


def _typed(kind, value, where):
    if isinstance(kind, list):
        if isinstance(value, list):
            return [_typed(kind[0], one, where) for one in value]
    elif kind in _RANGES:
        low, high = _RANGES[kind]
        if type(value) is int and low <= value <= high:
            return value
    elif kind in _PLAIN:
        if isinstance(value, _PLAIN[kind]):
            return value
    elif kind == "name":
        if isinstance(value, (str, bytes)):
            return from_wire(value)
    elif kind == "digest":
        if isinstance(value, str) and DIGEST.fullmatch(value):
            return value
    elif kind == "version":
        if isinstance(value, str) and VERSION.fullmatch(value):
            return value
    elif kind == "algorithm":
        if value in ("md5", "blake3"):
            return value
    elif kind == "pair":
        if isinstance(value, list) and len(value) == 2 and all(isinstance(one, str) for one in value):
            return value
    elif kind == "row":
        if isinstance(value, list) and all(one is None or type(one) in (bool, int, str, bytes) for one in value):
            return value
    elif isinstance(value, dict):
        return _fields(kind, value)
    raise ProtocolError("bad_request", f"{where} is of another type")


def _fields(kind, found):
    message = {}
    for field, (form, default) in FIELDS[kind].items():
        value = found.get(field, NEEDED)
        if value is NEEDED or (value is None and default is None):
            if default is NEEDED:
                raise ProtocolError("bad_request", f"{kind} without {field}")
            value = _fields("limits", {}) if form == "limits" else default
            message[field] = list(value) if isinstance(value, list) else dict(value) if isinstance(value, dict) else value
            continue
        value = _typed(form, value, f"{kind}.{field}")
        words = OPEN_WORDS.get((kind, field))
        message[field] = words[-1] if words and value not in words else value
    return message


def decode(kind, payload):
    """The message in a map frame: known fields only, with their defaults."""
    guard(payload)
    return _fields(kind, msgpack.unpackb(payload, raw=False, strict_map_key=False))


def encode(kind, message):
    """The frame of a message; what is None is left out, and names are `str` or bytes as they need."""
    return frame(kind, msgpack.packb(_packed(kind, message), use_bin_type=True))


def _packed(kind, message):
    fields, out = FIELDS[kind], {}
    for field, value in message.items():
        if value is None:
            continue
        form = fields[field][0]
        if form == "name":
            value = to_wire(value)
        elif isinstance(form, str) and form in FIELDS:
            value = _packed(form, value)
        out[field] = value
    return out


def check_hello(hello):
    """Whether one can talk to whoever says this."""
    if hello["proto"] != 1:
        raise ProtocolError("unsupported", f"the other side speaks version {hello['proto']} of the protocol")
    if hello["required"]:
        raise ProtocolError("unsupported", "the other side wants what this one cannot do")
    limits = hello["limits"]
    if (limits["control"] < LEAST_CONTROL or limits["data"] < LEAST_DATA or limits["depth"] < LEAST_DEPTH
            or limits["requests"] < 1 or limits["window"] < 1):
        raise ProtocolError("unsupported", "the other side takes too little")
