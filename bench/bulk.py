"""Rows F1 to F4, and the transfers of F10: files up and down, beside peers, interleaved."""
import filecmp
import os
import random
import shutil
import subprocess
import time

import measure
from peers import is_limit


def big_file(place, size, name="big", medium=None):
    """A file that no compression makes smaller; returns its path."""
    path = os.path.join(medium or place.ram, "source", name)
    with open(path, "wb") as file:
        for start in range(0, size, 1 << 20):
            file.write(os.urandom(min(1 << 20, size - start)))
    os.chown(path, place.uid, place.gid)
    return path


def tree(place, files, size=4096, medium=None):
    """A folder of small files, a hundred in each folder below it; returns its path."""
    root = place.folder(os.path.join(medium or place.ram, "source", "tree"))
    for number in range(files):
        folder = os.path.join(root, f"{number // 100:03}")
        if number % 100 == 0:
            place.folder(folder)
        path = os.path.join(folder, f"{number:06}")
        with open(path, "wb") as file:
            file.write(os.urandom(size))
        os.chown(path, place.uid, place.gid)
    return root


def remove(path):
    """Takes away a file or a folder, if it is there."""
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def same(one, other):
    """Whether two files, or two folders, have the same bytes under the same names."""
    if not os.path.isdir(one):
        return os.path.exists(other) and filecmp.cmp(one, other, shallow=False)
    names = lambda root: sorted(os.path.relpath(os.path.join(at, name), root) for at, _, files in os.walk(root) for name in files)
    return names(one) == names(other) and all(filecmp.cmp(os.path.join(one, name), os.path.join(other, name), shallow=False) for name in names(one))


def md5_both(one, other):
    """Seconds that `md5sum` needs for two files side by side: what a user pays to verify a transfer that does not."""
    start = time.perf_counter()
    both = [subprocess.Popen(["md5sum", path], stdout=subprocess.DEVNULL) for path in (one, other)]
    for each in both:
        each.wait()
    return time.perf_counter() - start


class Mover:
    """Something that moves `source` up and down: one column of a table. With `keep`, what it has moved stays until the end."""

    verified = True
    keep = False

    def __init__(self, bench, name, source, out):
        self.bench, self.name, self.source, self.out = bench, name, source, out
        self.is_tree = os.path.isdir(source)
        self.back = os.path.join(out, f"back-{name}")

    def clean(self):
        """Takes away what the last run left. Every client makes the folder that it is told to fill."""
        remove(self.back)


class PeerMover(Mover):
    """A peer."""

    def __init__(self, bench, name, source, out, clients, host=None):
        super().__init__(bench, name, source, out)
        self.clients, self.host = clients, host
        self.verified = bench.running.peers[name].verified
        self.remote = f"served/{name}"
        self.there = os.path.join(bench.place.ram, self.remote)

    def go(self, op, timeout):
        is_put = op == "put"
        local = self.source if is_put else self.back
        kind = f"{op}_tree" if self.is_tree else op
        argv, given = self.bench.running.command(self.name, kind, local, self.remote, self.host)
        server = self.bench.running.server(self.name)
        return self.clients.run(argv, stdin=given, server=server, timeout=timeout)

    def look(self):
        """A session that moves nothing."""
        argv, given = self.bench.running.command(self.name, "ls", remote="served/few")
        self.clients.run(argv, stdin=given)

    def result(self, op):
        return self.there if op == "put" else self.back

    def done(self):
        self.clean()
        remove(self.there)


class OurMover(Mover):
    """Ours: a server of `Ours`, and what a client is told besides the verb. With `keep`, each upload goes where none was."""

    def __init__(self, bench, name, source, out, clients, server, options=(), keep=False):
        super().__init__(bench, name, source, out)
        self.clients, self.server, self.options, self.keep = clients, server, options, keep
        self.there = ["there"]

    def go(self, op, timeout):
        recursive = ["-r"] * self.is_tree
        if op == "put":
            if self.keep:
                self.there.append(f"there-{len(self.there)}")
            words = ["upload", *recursive, self.source, "--as", self.there[-1]]
        else:
            words = ["download", *recursive, self.there[-1], "--as", self.back]
        return self.server.run(self.clients, *words, options=self.options, timeout=timeout)

    def look(self):
        """A session that moves nothing."""
        self.server.run(self.clients, "ls")

    def result(self, op):
        # What lies in the home is the server's own affair: an upload is judged by what comes back.
        return None if op == "put" else self.back

    def done(self):
        self.clean()
        for there in self.there:
            self.server.run(self.clients, "rm", "-r", there)


def compare(bench, row, movers, *, rate=None, add_md5=False, timeout=120, between=None, ops=("put", "get"), what=""):
    """One warm-up each, whose result is compared byte by byte, then interleaved and shuffled runs. Every run is one record."""
    names = {"put": f"{what}up", "get": f"{what}down"}
    broken = set()
    for number in range(bench.runs + 1):
        random.shuffle(movers)
        for mover in movers:
            if mover.name in broken:
                continue
            mover.clean()
            for op in ops:
                if between:
                    between()
                took = mover.go(op, timeout)
                result = mover.result(op)
                why = took["said"].strip() or ("took too long" if took["timed_out"] else "")
                if not took["failed"] and number == 0 and result and not same(mover.source, result):
                    took["failed"], why = 1, "what arrived is not what was sent"
                if took["failed"]:
                    bench.failed(row, mover.name, f"{names[op]}: {why or 'failed'}")
                    broken.add(mover.name)
                    break
                if number == 0:
                    continue
                seconds = took["wall"]
                more = {}
                if add_md5 and not mover.verified and not is_limit(mover.name):
                    more["unverified"] = seconds
                    seconds += md5_both(mover.source, result)
                value, unit = (rate / seconds, "files/s") if rate else (seconds, "s")
                bench.record(row, names[op], mover.name, value, unit, took, **more)
            # The copies of all of them at once fill the memory that they lie in.
            if not mover.keep:
                mover.done()
    for mover in movers:
        mover.done()


def single(bench, row, candidates, *ours, add_md5, digest=()):
    """F1 to F3: one large file on tmpfs."""
    place = bench.place
    source = big_file(place, bench.size)
    out = os.path.join(place.ram, "out")
    movers = [PeerMover(bench, name, source, out, bench.clients) for name in bench.choose(candidates, "put", "get")]
    movers += [OurMover(bench, server.name.removesuffix("-plain"), source, out, bench.clients, server, digest) for server in ours]
    if add_md5:
        movers.append(Md5sum(bench, "md5sum", source, out))
    compare(bench, row, movers, add_md5=add_md5)
    remove(source)


ENCRYPTED = ("nginx-tls", "rsync-ssh", "sftp", "scp", "rclone", "pure-ftpd-tls", "vsftpd-tls-lftp", "limit-tls")


def f1(bench):
    """1 GiB, encrypted and proven by MD5."""
    with bench.ours() as ours:
        single(bench, "F1", ENCRYPTED, ours, add_md5=True)


def f2(bench):
    """1 GiB, encrypted and proven by BLAKE3."""
    with bench.ours() as ours:
        single(bench, "F2", ("nginx-tls", "pure-ftpd-tls", "vsftpd-tls-lftp", "rsync-ssh", "limit-tls"), ours, add_md5=False, digest=["--digest", "blake3"])


def f3(bench):
    """1 GiB without TLS, proven by BLAKE3."""
    # There are no saved logins without TLS. The hash of a password takes a tenth of a second, or a fortieth where the account logs in by MD5.
    with bench.ours("ferry-plain", plain=True) as ours, bench.ours("ferry-md5", plain=True, auth="md5") as md5:
        single(bench, "F3", ("rsyncd", "vsftpd-curl", "nginx", "limit"), ours, md5, add_md5=False, digest=["--digest", "blake3"])


def f4(bench):
    """Small files on tmpfs beside the peers; on disk, strict beside relaxed and a loop with an fsync for each file."""
    place, files = bench.place, bench.files
    source, out = tree(place, files), os.path.join(place.ram, "out")
    candidates = ("rsync-ssh", "nginx-tls", "vsftpd-lftp", "sftp", "rsyncd", "vsftpd-tls-lftp")
    movers = [PeerMover(bench, name, source, out, bench.clients) for name in bench.choose(candidates, "put_tree", "get_tree")]
    with bench.ours("ferry-relaxed", relaxed=True) as relaxed, bench.ours() as strict:
        movers += [OurMover(bench, "ferry-relaxed", source, out, bench.clients, relaxed), OurMover(bench, "ferry", source, out, bench.clients, strict)]
        compare(bench, "F4", movers, rate=files)
    remove(source)
    # On disk nothing is removed between runs: for a minute and more ext4 gives no freed inode out again, and looks through all of
    # them for each new file, so every run would pay for the removal before it.
    source, out = tree(place, files, medium=place.disk), os.path.join(place.disk, "out")
    with (bench.ours("ferry-disk-relaxed", relaxed=True, medium=place.disk) as relaxed,
          bench.ours("ferry-disk", medium=place.disk) as strict):
        movers = [OurMover(bench, server.name, source, out, bench.clients, server, keep=True) for server in (relaxed, strict)]
        compare(bench, "F4", [*movers, FsyncLoop(bench, "fsync-loop", source, out)], rate=files, between=os.sync, ops=("put",), what="on disk, ")
    remove(source)


class Md5sum(Mover):
    """MD5 alone, on one core: what bounds a transfer that is proven by it."""

    def go(self, _, timeout):
        return self.bench.clients.run(["md5sum", self.source], timeout=timeout)

    def result(self, _):
        return None

    def done(self):
        pass


class FsyncLoop(Mover):
    """What durability costs when every file is flushed by itself. Its rate does not depend on how many files there are, so 500 will do."""

    keep = True
    turn = 0

    def clean(self):
        """Leaves what the last run made, until the end."""
        self.turn += 1

    def go(self, *_):
        share = min(500, self.bench.files)
        folder = self.bench.place.folder(os.path.join(self.back, str(self.turn)))
        start, cpu = time.perf_counter(), measure.own_cpu()
        for number in range(share):
            handle = os.open(os.path.join(folder, str(number)), os.O_CREAT | os.O_WRONLY, 0o644)
            os.write(handle, b"x" * 4096)
            os.fsync(handle)
            os.close(handle)
        wall = (time.perf_counter() - start) * self.bench.files / share
        return {"wall": wall, "cpu": measure.own_cpu() - cpu, "server_cpu": 0, "failed": 0, "timed_out": False, "said": "", "noisy": False, "others": 0}

    def result(self, _):
        return None

    def done(self):
        remove(self.back)
