"""Argon2id (RFC 9106), 32 bytes, for accounts of the MD5 method: by libargon2 or argon2-cffi where they are, in Python otherwise.

In Python it takes some ten seconds, of the thirty that a server allows for a login; so the last key is kept for a second try.
"""
import ctypes
import ctypes.util
import hashlib
import struct
import sys
from array import array

MASK = 0xFFFFFFFFFFFFFFFF
LOW = 0xFFFFFFFF
VERSION, TYPE_ID, KEY_BYTES, SYNC_POINTS = 0x13, 2, 32, 4
# The key that was made last, and how many were made in Python.
_last = {}
slow_keys = 0


def argon2id(password, salt, memory_kib, passes, lanes):
    """The key of `password`; `memory_kib`, `passes` and `lanes` were checked by the caller."""
    global slow_keys
    given = (hashlib.sha256(password).digest(), salt, memory_kib, passes, lanes)
    if given not in _last:
        key = _by_package(password, salt, memory_kib, passes, lanes) or _by_library(password, salt, memory_kib, passes, lanes)
        if key is None:
            key = in_python(password, salt, memory_kib, passes, lanes)
            slow_keys += 1
        _last.clear()
        _last[given] = key
    return _last[given]


def _by_package(password, salt, memory_kib, passes, lanes):
    try:
        from argon2.low_level import Type, hash_secret_raw
    except ImportError:
        return None
    return hash_secret_raw(password, salt, passes, memory_kib, lanes, KEY_BYTES, Type.ID)


def _by_library(password, salt, memory_kib, passes, lanes):
    name = ctypes.util.find_library("argon2")
    if not name:
        return None
    try:
        call = ctypes.CDLL(name).argon2id_hash_raw
    except (OSError, AttributeError):
        return None
    u32, size, text = ctypes.c_uint32, ctypes.c_size_t, ctypes.c_char_p
    call.argtypes, call.restype = (u32, u32, u32, text, size, text, size, text, size), ctypes.c_int
    key = ctypes.create_string_buffer(KEY_BYTES)
    failed = call(passes, memory_kib, lanes, password, len(password), salt, len(salt), key, KEY_BYTES)
    return None if failed else key.raw


def in_python(password, salt, memory_kib, passes, lanes):
    """The same by the book (RFC 9106, section 3.2)."""
    first = hashlib.blake2b(struct.pack("<6I", lanes, KEY_BYTES, memory_kib, passes, VERSION, TYPE_ID)
                            + _sized(password) + _sized(salt) + _sized(b"") + _sized(b"")).digest()
    per_lane = memory_kib // (SYNC_POINTS * lanes) * SYNC_POINTS
    segment = per_lane // SYNC_POINTS
    memory = [[None] * per_lane for _ in range(lanes)]
    for lane in range(lanes):
        for i in range(2):
            memory[lane][i] = _long_hash(first + struct.pack("<2I", i, lane), 1024)
    for turn in range(passes):
        for part in range(SYNC_POINTS):
            for lane in range(lanes):
                _fill(memory, turn, part, lane, lanes, per_lane, segment, passes)
    last = 0
    for lane in range(lanes):
        last ^= int.from_bytes(memory[lane][-1], "little")
    return _long_hash(last.to_bytes(1024, "little"), KEY_BYTES)


def _fill(memory, turn, part, lane, lanes, per_lane, segment, passes):
    blind = turn == 0 and part < 2
    addresses = ()
    for i in range(segment):
        if blind and i % 128 == 0:
            seed = struct.pack("<7Q", turn, lane, part, lanes * per_lane, passes, TYPE_ID, i // 128 + 1).ljust(1024, b"\0")
            addresses = _words(_mix(bytes(1024), _mix(bytes(1024), seed)))
        at = part * segment + i
        if turn == 0 and at < 2:
            continue
        before = memory[lane][at - 1]
        pick = addresses[i % 128] if blind else int.from_bytes(before[:8], "little")
        j1, other = pick & LOW, (pick >> 32) % lanes
        if turn == 0 and part == 0:
            other = lane
        # The blocks that may be looked at: what is finished of the lane, without the block just before.
        if turn == 0:
            area = at - 1 if other == lane else part * segment - (1 if i == 0 else 0)
            start = 0
        else:
            area = per_lane - segment + (i - 1 if other == lane else (-1 if i == 0 else 0))
            start = (part + 1) * segment % per_lane
        place = area - 1 - (area * (j1 * j1 >> 32) >> 32)
        block = _mix(before, memory[other][(start + place) % per_lane])
        if turn:
            block = _xor(block, memory[lane][at])
        memory[lane][at] = block


def _sized(data):
    return struct.pack("<I", len(data)) + data


def _long_hash(data, size):
    data = struct.pack("<I", size) + data
    if size <= 64:
        return hashlib.blake2b(data, digest_size=size).digest()
    out, value = b"", hashlib.blake2b(data).digest()
    while size - len(out) > 64:
        out += value[:32]
        left = size - len(out)
        value = hashlib.blake2b(value, digest_size=min(64, left)).digest()
    return out + value


def _xor(a, b):
    return (int.from_bytes(a, "little") ^ int.from_bytes(b, "little")).to_bytes(1024, "little")


def _words(block):
    words = array("Q", block)
    if sys.byteorder == "big":
        words.byteswap()
    return words


# The words of the sixteen rounds of one block: its rows, then its columns.
_ROUNDS = ([tuple(range(16 * i, 16 * i + 16)) for i in range(8)]
           + [tuple(2 * i + 16 * j + k for j in range(8) for k in range(2)) for i in range(8)])
_LINES = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
          (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
_QUARTERS = [tuple(words[i] for i in line) for words in _ROUNDS for line in _LINES]


def _mix(x, y):
    r = _xor(x, y)
    v = _words(r).tolist()
    for a, b, c, d in _QUARTERS:
        va, vb, vc, vd = v[a], v[b], v[c], v[d]
        va = (va + vb + 2 * (va & LOW) * (vb & LOW)) & MASK
        vd ^= va
        vd = vd >> 32 | (vd & LOW) << 32
        vc = (vc + vd + 2 * (vc & LOW) * (vd & LOW)) & MASK
        vb ^= vc
        vb = vb >> 24 | (vb & 0xFFFFFF) << 40
        va = (va + vb + 2 * (va & LOW) * (vb & LOW)) & MASK
        vd ^= va
        vd = vd >> 16 | (vd & 0xFFFF) << 48
        vc = (vc + vd + 2 * (vc & LOW) * (vd & LOW)) & MASK
        vb ^= vc
        vb = vb >> 63 | (vb << 1) & MASK
        v[a], v[b], v[c], v[d] = va, vb, vc, vd
    words = array("Q", v)
    if sys.byteorder == "big":
        words.byteswap()
    return _xor(words.tobytes(), r)
