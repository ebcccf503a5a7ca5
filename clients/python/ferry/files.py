"""The files of a transfer on this machine: what is read and sent, and what comes and gets its name at the end."""
import errno
import hashlib
import os
import stat
import time

try:
    import fcntl
except ImportError:
    fcntl = None
try:
    from blake3 import blake3
except ImportError:
    from .blake3_py import blake3

from .errors import FerryError
from .names import is_local_name, resolve, to_bytes

START, GO_ON, PRESENT = 1001, 1002, 1003
READ_BYTES = 262144
PART = ".ferry-part"


class Outgoing:
    """A file that is sent: its facts, and the digests of what has been read of it."""

    def __init__(self, file, before, algorithm, progress):
        self.file, self.before, self.algorithm, self.progress = file, before, algorithm, progress
        self.size = None if before is None else before.st_size
        self.facts = {} if before is None else {
            "size": before.st_size, "modified": before.st_mtime_ns, "executable": bool(before.st_mode & stat.S_IXUSR)}
        self.prefix_seconds = 0
        self._prefixes = {}

    def rewind(self):
        if self.before is not None:
            self.file.seek(0)
        return new_hasher(self.algorithm)

    def prefix(self, size):
        """BLAKE3 of the first `size` bytes, and the hasher that has seen them; the file stands behind them."""
        if size not in self._prefixes:
            started = time.monotonic()
            self.file.seek(0)
            self._prefixes = {size: hash_prefix(self.file, size, self.algorithm)}
            self.prefix_seconds = time.monotonic() - started
        self.file.seek(size)
        prefix, hasher = self._prefixes[size]
        return prefix, hasher.copy()

    def is_unchanged(self, position):
        if self.before is None:
            return True
        now = os.fstat(self.file.fileno())
        return (now.st_size, now.st_mtime_ns) == (self.before.st_size, self.before.st_mtime_ns) and position == self.size

    def tell(self, position):
        if self.progress:
            self.progress(position, self.size)


class Stream:
    """An open file that contents are written to as they come."""

    def __init__(self, file, algorithm):
        self.file, self.algorithm = file, algorithm
        self._hasher = new_hasher(algorithm)

    def offer(self):
        return {}

    def begin(self, code, offset):
        pass

    def write(self, contents):
        self.file.write(contents)
        self._hasher.update(contents)

    def proof(self):
        return f"{self.algorithm}:{self._hasher.hexdigest()}"

    def throw_away(self):
        pass

    def finish(self, begin):
        return None


class Incoming:
    """A file that comes: bytes gather in `NAME.ferry-part` and get their name at the end."""

    def __init__(self, final, algorithm, no_clobber):
        self.final, self.part, self.algorithm, self.no_clobber = final, final + PART, algorithm, no_clobber
        self._is_base_final = False
        self._is_kept = False
        self._hasher = None

    def __enter__(self):
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        self._file = os.fdopen(os.open(self.part, flags, 0o666), "r+b", buffering=0)
        try:
            if not stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
                raise FerryError("exists", "what stands at the name for the part is no file", path=self.part)
            if fcntl:
                try:
                    fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError as error:
                    raise FerryError("busy", "this file is being fetched already", path=self.final) from error
                if not os.path.samestat(os.fstat(self._file.fileno()), os.lstat(self.part)):
                    raise FerryError("busy", "this file was being fetched already", path=self.final)
        except FileNotFoundError as error:
            self._file.close()
            raise FerryError("busy", "this file was being fetched already", path=self.final) from error
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *_):
        if not self._is_kept and os.fstat(self._file.fileno()).st_size == 0:
            os.unlink(self.part)
        self._file.close()

    def offer(self):
        """What is here already: the part, or else a file that has the name."""
        held = os.fstat(self._file.fileno()).st_size
        base = self._file
        if not held:
            try:
                found = os.lstat(self.final)
            except FileNotFoundError:
                found = None
            if found is None or not stat.S_ISREG(found.st_mode) or not found.st_size:
                return {}
            base, held, self._is_base_final = open(self.final, "rb", buffering=0), found.st_size, True
        try:
            base.seek(0)
            prefix, self._hasher = hash_prefix(base, held, self.algorithm)
        finally:
            if base is not self._file:
                base.close()
        return {"offset": held, "prefix": prefix}

    def begin(self, code, offset):
        if code == START or self._is_base_final:
            self._file.seek(0)
            self._file.truncate()
        if code == START:
            self._is_base_final = False
            self._hasher = new_hasher(self.algorithm)
        elif code == GO_ON and self._is_base_final:
            self._copy_base(offset)
            self._is_base_final = False
        self._file.seek(0, os.SEEK_END)

    def _copy_base(self, size):
        # Hashed anew, for the file may be another by now.
        self._hasher = new_hasher(self.algorithm)
        with open(self.final, "rb", buffering=0) as base:
            while size:
                contents = base.read(min(READ_BYTES, size))
                if not contents:
                    raise FerryError("changed", "the file changed while it was compared", path=self.final)
                self.write(contents)
                size -= len(contents)

    def write(self, contents):
        self._hasher.update(contents)
        view = memoryview(contents)
        while view:
            view = view[self._file.write(view):]

    def proof(self):
        return f"{self.algorithm}:{self._hasher.hexdigest()}"

    def throw_away(self):
        self._file.truncate(0)

    def finish(self, begin):
        """Gives the file its name; returns it."""
        if self._is_base_final:
            return self.final
        if begin["executable"]:
            mode = os.fstat(self._file.fileno()).st_mode
            os.chmod(self.part, stat.S_IMODE(mode) | (mode & 0o444) >> 2)
        if begin["modified"] is not None:
            try:
                os.utime(self.part, ns=(begin["modified"], begin["modified"]))
            except (OSError, OverflowError):
                # A time that this file system cannot have; the contents are right all the same.
                pass
        os.fsync(self._file.fileno())
        self._is_kept = True
        if self.no_clobber:
            try:
                os.link(self.part, self.final)
            except FileExistsError:
                raise FerryError("exists", "a file of that name is here already", path=self.final) from None
            finally:
                os.unlink(self.part)
        else:
            if os.path.lexists(self.final) and not (os.path.isfile(self.final) or os.path.islink(self.final)):
                # A device, say: giving a file the name /dev/null would take it from everybody.
                raise FerryError("exists", "it is no file, and is not replaced", path=self.final)
            os.replace(self.part, self.final)
        _sync_folder(os.path.dirname(self.final) or ".")
        return self.final


def new_hasher(algorithm):
    if algorithm == "md5":
        return hashlib.new("md5", usedforsecurity=False)
    if algorithm == "blake3":
        return blake3()
    raise FerryError("bad_request", f"no digest {algorithm}; there are md5 and blake3")


def hash_prefix(file, size, algorithm):
    """BLAKE3 of the next `size` bytes, as a digest, and a hasher of `algorithm` that has seen them."""
    prefix, hasher = blake3(), new_hasher(algorithm)
    while size:
        contents = file.read(min(READ_BYTES, size))
        if not contents:
            raise FerryError("changed", "the file became shorter while it was read")
        prefix.update(contents)
        hasher.update(contents)
        size -= len(contents)
    return "blake3:" + prefix.hexdigest(), hasher


def facts(file):
    found = os.fstat(file.fileno())
    return found if stat.S_ISREG(found.st_mode) else None


def local_target(cwd, source, target, rename):
    """The local name that contents get. It is chosen here, and never by the server."""
    target = "." if target is None else os.fsdecode(target)
    if not (os.path.isdir(target) or target.endswith("/")):
        if rename is None:
            return target
        raise FerryError("not_directory", "with a new name, the target must be a folder", path=target)
    if rename is None:
        if source is None:
            raise FerryError("bad_request", "these contents need a name here")
        try:
            rename = resolve(cwd, source).rpartition("/")[2]
        except ValueError as error:
            raise FerryError(error.args[0], "a path that cannot be", path=source) from None
    if not is_local_name(rename):
        raise FerryError("bad_path", f"{rename} cannot be a name here", "give it another name")
    return os.path.join(target, os.fsdecode(to_bytes(rename)))


def _sync_folder(folder):
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EISDIR, errno.EPERM):
            # Windows opens no folders.
            return
        raise
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
