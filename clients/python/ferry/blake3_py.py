"""BLAKE3 (plain hash, 32 bytes) in Python, many chunks at a time.

Python's integers have no bound, so one of them holds the same word of many chunks side by side, each in a lane of 64 bits: an
addition of such integers adds in all lanes at once. That is some twenty times faster than one chunk after the other.
"""
import sys
from array import array

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8
BLOCK_BYTES, CHUNK_BYTES = 64, 1024
# Chunks that are hashed side by side: a power of two, so that they are a whole subtree.
BATCH_CHUNKS = 1024
# Where G works: four columns, then four diagonals.
LINES = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
         (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))


def _ones(lanes):
    return int.from_bytes(b"\1\0\0\0\0\0\0\0" * lanes, "little")


def _compress(value, words, counter, length, flags, ones):
    """One compression in every lane; `length` and `flags` are the same in all, everything else is one integer of lanes."""
    mask = ones * 0xFFFFFFFF
    high = (counter >> 32) & mask
    v = list(value) + [ones * iv for iv in IV[:4]] + [counter & mask, high, ones * length, ones * flags]
    m = list(words)
    for turn in range(7):
        if turn:
            m = [m[i] for i in PERMUTATION]
        for i, (a, b, c, d) in enumerate(LINES):
            va, vb, vc, vd = v[a], v[b], v[c], v[d]
            va = (va + vb + m[2 * i]) & mask
            vd ^= va
            vd = (vd >> 16 | vd << 16) & mask
            vc = (vc + vd) & mask
            vb ^= vc
            vb = (vb >> 12 | vb << 20) & mask
            va = (va + vb + m[2 * i + 1]) & mask
            vd ^= va
            vd = (vd >> 8 | vd << 24) & mask
            vc = (vc + vd) & mask
            vb ^= vc
            vb = (vb >> 7 | vb << 25) & mask
            v[a], v[b], v[c], v[d] = va, vb, vc, vd
    return [v[i] ^ v[i + 8] for i in range(8)]


def _words(data):
    words = array("I", data)
    if sys.byteorder == "big":
        words.byteswap()
    return words


def _lanes(words):
    """One integer with a lane for each of `words`."""
    wide = array("Q", words)
    if sys.byteorder == "big":
        wide.byteswap()
    return int.from_bytes(wide.tobytes(), "little")


def _unlanes(value, lanes):
    wide = array("Q", value.to_bytes(8 * lanes, "little"))
    if sys.byteorder == "big":
        wide.byteswap()
    return wide


def _whole_chunks(data, first, count):
    """The chaining values of `count` whole chunks, as eight integers of lanes; `first` is the number of the first chunk."""
    words, ones = _words(data), _ones(count)
    counter = _lanes(range(first, first + count))
    value = [ones * iv for iv in IV]
    for block in range(16):
        flags = (CHUNK_START if block == 0 else 0) | (CHUNK_END if block == 15 else 0)
        m = [_lanes(words[16 * block + i::256]) for i in range(16)]
        value = _compress(value, m, counter, BLOCK_BYTES, flags, ones)
    return value


def _subtree(data, first, count):
    """The chaining value, eight words, of the tree over `count` whole chunks; `count` is a power of two."""
    value = _whole_chunks(data, first, count)
    while count > 1:
        halves = [_unlanes(v, count) for v in value]
        count //= 2
        ones = _ones(count)
        m = [_lanes(h[0::2]) for h in halves] + [_lanes(h[1::2]) for h in halves]
        value = _compress([ones * iv for iv in IV], m, 0, BLOCK_BYTES, PARENT, ones)
    return value


class blake3:
    """As in the package of that name: `update`, `digest`, `hexdigest`, `copy`."""

    digest_size = 32
    name = "blake3"

    def __init__(self, data=b""):
        self._buffer = bytearray()
        self._chunks = 0
        # Chaining values of finished subtrees, the largest first, with their numbers of chunks.
        self._stack = []
        if data:
            self.update(data)

    def update(self, data):
        self._buffer += data
        # The last chunk stays, for it may be the root.
        while len(self._buffer) > BATCH_CHUNKS * CHUNK_BYTES and self._chunks % BATCH_CHUNKS == 0:
            self._take(BATCH_CHUNKS)
        return self

    def _take(self, count):
        part = bytes(self._buffer[:count * CHUNK_BYTES])
        del self._buffer[:count * CHUNK_BYTES]
        self._push(_subtree(part, self._chunks, count), count)
        self._chunks += count

    def _push(self, value, count):
        # What was merged is never the root: bytes come behind it.
        while self._stack and self._stack[-1][1] == count:
            left, _ = self._stack.pop()
            value = _compress(IV, left + value, 0, BLOCK_BYTES, PARENT, 1)
            count *= 2
        self._stack.append((value, count))

    def copy(self):
        other = blake3()
        other._buffer, other._chunks, other._stack = self._buffer[:], self._chunks, self._stack[:]
        return other

    def digest(self):
        end = self.copy()
        while len(end._buffer) > CHUNK_BYTES:
            whole = (len(end._buffer) - 1) // CHUNK_BYTES
            count = 1 << (whole.bit_length() - 1)
            end._take(count)
        value, rest = list(IV), bytes(end._buffer)
        blocks = [rest[i:i + BLOCK_BYTES] for i in range(0, len(rest), BLOCK_BYTES)] or [b""]
        for i, block in enumerate(blocks):
            last = i == len(blocks) - 1
            flags = (CHUNK_START if i == 0 else 0) | (CHUNK_END if last else 0)
            if last and not end._stack:
                flags |= ROOT
            words = list(_words(block.ljust(BLOCK_BYTES, b"\0")))
            value = _compress(value, words, end._chunks, len(block), flags, 1)
        while end._stack:
            left, _ = end._stack.pop()
            value = _compress(IV, list(left) + value, 0, BLOCK_BYTES, PARENT | (0 if end._stack else ROOT), 1)
        return b"".join(word.to_bytes(4, "little") for word in value)

    def hexdigest(self):
        return self.digest().hex()
