"""Row F10: everything over a link with a round trip of 40 ms."""
import os

from bulk import OurMover, PeerMover, big_file, compare, remove, tree
from link import Link
from sandbox import NEAR
from sessions import compare_sessions, upload_few

BIG_BYTES = 64 << 20
FILES = 500


def f10(bench):
    """A large file, small files, a session."""
    place, out = bench.place, os.path.join(bench.place.ram, "out")
    with Link(place) as link, bench.ours("ferry-far", remote=True) as ours:
        ours.save_login(link.clients)

        def movers(candidates, source, kind=""):
            named = bench.choose(candidates, "put" + kind, "get" + kind)
            return [*(PeerMover(bench, name, source, out, link.clients, NEAR) for name in named), OurMover(bench, "ferry", source, out, link.clients, ours)]

        source = big_file(place, min(bench.size, BIG_BYTES))
        compare(bench, "F10", movers(("nginx-tls", "limit-tls", "rsync-ssh", "sftp", "vsftpd-tls-curl"), source), what="big ")
        remove(source)
        source = tree(place, min(FILES, bench.files))
        # One after the other, sftp, scp and FTP take minutes for these: a round trip or more for each file.
        compare(bench, "F10", movers(("nginx-tls", "rsync-ssh"), source, "_tree"), what="files ")
        remove(source)
        upload_few(bench, ours, link.clients)
        compare_sessions(bench, "F10", ours, ("nginx-tls", "vsftpd-tls-curl", "sftp"), link.clients, NEAR)
