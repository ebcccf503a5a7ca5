"""Rows F9, F11 and F12: what is cut off, what starts again, and what it weighs."""
import filecmp
import os
import random
import signal
import subprocess
import time

import measure
from bulk import OurMover, PeerMover, big_file, remove
from sessions import few

MIB = 1 << 20
# Where a changed source differs from the one before: in what was sent already.
CHANGED_BYTES = 4096


def f9(bench):
    """An upload that is cut off half-way and run again: what is sent twice, and whether the result is right, also when the source has changed."""
    place = bench.place
    if not place.isolated:
        bench.failed("F9", "all", "bytes are counted in a network namespace, which needs root")
        return
    # Large enough to be caught half-way.
    source = big_file(place, max(bench.size // 4, 64 * MIB))
    names = bench.choose(("sftp", "vsftpd-tls-lftp", "vsftpd-curl", "rsync-ssh"), "put", "resume")
    with bench.ours() as ours:
        whole = {}
        for number in range(bench.runs):
            for name in random.sample([*names, "ferry"], len(names) + 1):
                tries = Tries(bench, name, ours if name == "ferry" else None, source)
                try:
                    if name not in whole:
                        whole[name] = tries.whole()
                    for op in ("same source", "changed source"):
                        tries.cut_and_go_on(op, whole[name], number)
                finally:
                    tries.clean()
    remove(source)


class Tries:
    """Uploads of one peer that are cut off."""

    def __init__(self, bench, name, ours, source):
        self.bench, self.name, self.ours, self.source = bench, name, ours, source
        self.remote = f"served/cut-{name}"
        self.there = os.path.join(bench.place.ram, self.remote)

    def clean(self):
        """Takes away what there is at the other side."""
        remove(self.there)
        if self.ours:
            self.ours.run(self.bench.clients, "rm", "cut")

    def command(self, op):
        if self.ours:
            argv, env = self.ours.client("upload", self.source, "--as", "cut")
            return argv, {"env": env}
        # How rsync is told to keep what it has, and not to take names and sizes for proof, is in `resume` from the start.
        op = "resume" if "rsync" in self.name else op
        argv, given = self.bench.running.command(self.name, op, self.source, self.remote)
        return argv, {"stdin": given}

    def whole(self):
        """Bytes on the wire of an upload that is not cut off."""
        self.clean()
        before = measure.wire_bytes()
        argv, more = self.command("put")
        took = self.bench.clients.run(argv, **more)
        if took["failed"]:
            self.bench.failed("F9", self.name, took["said"])
        return measure.wire_bytes() - before

    def cut_and_go_on(self, op, whole, number):
        """One cut and one further try; records what was sent twice, and whether the result has the source's bytes."""
        self.clean()
        argv, more = self.command("put")
        before = measure.wire_bytes()
        given = os.path.join(self.bench.place.home, "cut.in")
        with open(given, "w") as file:
            file.write(more.get("stdin") or "")
        with open(given) as stdin:
            going = self.bench.clients.spawn(argv, also=more.get("env"), stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        is_half = measure.wait_for(lambda: going.poll() is not None or measure.wire_bytes() - before > whole / 2, 60)
        if not is_half or going.poll() is not None:
            self.bench.failed("F9", self.name, "it ended before it could be cut off")
            return
        os.killpg(going.pid, signal.SIGKILL)
        going.wait()
        # The server finds out, and keeps what it wants to keep.
        time.sleep(0.5)
        first = measure.wire_bytes() - before
        if op == "changed source":
            self.change()
        before = measure.wire_bytes()
        argv, more = self.command("resume")
        took = self.bench.clients.run(argv, server=self.ours or self.bench.running.server(self.name), **more)
        second = measure.wire_bytes() - before
        result = self.there
        if self.ours:
            result = os.path.join(self.bench.place.ram, "out", "cut")
            remove(result)
            if not took["failed"] and self.ours.run(self.bench.clients, "download", "cut", "--as", result)["failed"]:
                took["failed"] = 1
        is_right = os.path.exists(result) and filecmp.cmp(self.source, result, shallow=False)
        verdict = "refused" if took["failed"] else "right" if is_right else "corrupt"
        self.bench.record("F9", op, self.name, max(0, first + second - whole) / MIB, "MiB", took, verdict=verdict)

    def change(self):
        """Other bytes of the same length at the beginning, and a new time."""
        with open(self.source, "r+b") as file:
            file.write(os.urandom(CHANGED_BYTES))


def f11(bench):
    """kill -9 with many files and 100 unfinished uploads; from the start of the program to the end of the first good login."""
    place = bench.place
    files = bench.many_files
    with bench.ours("ferry-restart", medium=place.disk) as ours:
        home = ours.home()
        ours.stop()
        fill_home(place, home, files)
        ours.start()
        source = big_file(place, MIB)
        for number in range(bench.runs):
            unfinished = [cut_off(bench, ours, source, f"cut-{number}-{one}") for one in range(100)]
            staged = lambda: sum(len(found) for _, _, found in os.walk(os.path.join(ours.data, "staging")))
            measure.wait_for(lambda: staged() >= 100, 60)
            ours.kill()
            for client in unfinished:
                os.killpg(client.pid, signal.SIGKILL)
                client.wait()
            start = time.perf_counter()
            ours.start()
            listening = time.perf_counter() - start
            took = ours.run(bench.clients, "pwd")
            wall = time.perf_counter() - start
            if took["failed"] or staged() < 100:
                bench.failed("F11", "ferry", took["said"] or f"only {staged()} uploads were under way")
                return
            bench.record("F11", "restart", "ferry", wall, "s", None, files=files, listening=listening, staged=staged())
        remove(source)


def cut_off(bench, ours, source, name):
    """An upload that is so slow that it is still under way when the server is killed."""
    argv, env = ours.client("upload", source, "--as", name, options=["--limit-rate", "16KiB", "--retry-for", "0"])
    return bench.clients.spawn(argv, also=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def fill_home(place, home, files):
    """Empty files in folders of a thousand, of the bench's user."""
    for number in range(files):
        if number % 1000 == 0:
            folder = place.folder(os.path.join(home, f"{number // 1000:04}"))
        path = os.path.join(folder, f"{number:07}")
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))
        os.chown(path, place.uid, place.gid)


def f12(bench):
    """Memory: what a server grows by while it moves one large file, and an empty server up to its first listing."""
    place = bench.place
    source, out, _ = big_file(place, bench.size), os.path.join(place.ram, "out"), few(bench)
    movers = [PeerMover(bench, name, source, out, bench.clients) for name in bench.choose(("nginx-tls", "sftp", "vsftpd-tls-lftp"), "put", "get", "ls")]
    with bench.ours() as ours:
        movers.append(OurMover(bench, "ferry", source, out, bench.clients, ours))
        for number in range(bench.runs + 1):
            for mover in random.sample(movers, len(movers)):
                server = ours if mover.name == "ferry" else bench.running.server(mover.name)
                for op, name in (("put", "up"), ("get", "down")):
                    mover.clean()
                    # What a server keeps from an earlier transfer would hide what this one needs; what any session needs does not count.
                    server.stop()
                    server.start()
                    mover.look()
                    with measure.Peak(server.pid) as peak:
                        took = mover.go(op, 120)
                    if took["failed"]:
                        bench.failed("F12", mover.name, took["said"])
                    elif number:
                        bench.record("F12", name, mover.name, peak.grown / 1024, "MiB", took)
                mover.done()
    remove(source)
    for _ in range(bench.runs):
        with bench.ours("ferry-empty") as empty:
            # The login was saved before, so that this is a first listing and nothing else.
            empty.stop()
            empty.start()
            with measure.Peak(empty.pid) as peak:
                took = empty.run(bench.clients, "ls")
            bench.record("F12", "empty server", "ferry", max(peak.kib, measure.memory_of([empty.pid])) / 1024, "MiB", took)
