"""The peers: which server each has, and the command line of its client for each operation. One short entry each.

An operation is a function of a Call and gives an argv, or an argv and what goes to standard input. Operations that a peer lacks are left out.
`put` and `get` move one file, `put_tree` and `get_tree` a folder; `ls` lists a folder with details; `resume` goes on with an upload that was cut off.
"""
import os
import subprocess
from dataclasses import dataclass

import measure
import servers
from sandbox import Missing

GCM = "aes128-gcm@openssh.com"


@dataclass
class Call:
    """What a client's command line may name. `local` is a path here, `remote` one below what the server serves."""

    place: object
    port: int
    host: str
    local: str = ""
    remote: str = ""

    @property
    def absolute(self):
        """The remote path as the machine has it."""
        return os.path.join(self.place.ram, self.remote)

    @property
    def ssh(self):
        """The ssh client's name of the server."""
        return "near" if self.host == self.place.host else "far"


@dataclass
class Peer:
    """A client and a server. `verified`: the transfer itself proves what came. `encrypted`: nobody on the way can read it."""

    name: str
    server: str
    needs: tuple
    ops: dict
    encrypted: bool = False
    verified: bool = False
    idle: str = ""
    note: str = ""


PEERS = {}


def peer(name, server, needs, ops, **more):
    PEERS[name] = Peer(name, server, needs, ops, **more)


def sftp(c, line):
    # 255 KiB a request, the most that OpenSSH's server takes; the default is 32.
    return ["sftp", "-q", "-F", f"{c.place.etc}/ssh.conf", "-c", GCM, "-B", "261120", "-b", "-", c.ssh], line + "\n"


peer("sftp", "sshd", ("sftp",), {
    "put": lambda c: sftp(c, f"put {c.local} {c.absolute}"), "get": lambda c: sftp(c, f"get {c.absolute} {c.local}"),
    "put_tree": lambda c: sftp(c, f"put -r {c.local} {c.absolute}"), "get_tree": lambda c: sftp(c, f"get -r {c.absolute} {c.local}"),
    "ls": lambda c: sftp(c, f"ls -ln {c.absolute}"), "resume": lambda c: sftp(c, f"reput {c.local} {c.absolute}"),
}, encrypted=True, idle="ssh", note="aes128-gcm, requests of 255 KiB")


def scp(c, source, target, *options):
    return ["scp", "-q", *options, "-c", GCM, "-F", f"{c.place.etc}/ssh.conf", source, target]


peer("scp", "sshd", ("scp",), {
    "put": lambda c: scp(c, c.local, f"{c.ssh}:{c.absolute}"), "get": lambda c: scp(c, f"{c.ssh}:{c.absolute}", c.local),
}, encrypted=True, note="aes128-gcm")


def rsync(c, source, target, *options):
    return ["rsync", "-a", *options, "-e", f"ssh -F {c.place.etc}/ssh.conf -c {GCM}", source, target]


peer("rsync-ssh", "sshd", ("rsync",), {
    "put": lambda c: rsync(c, c.local, f"{c.ssh}:{c.absolute}", "-W"), "get": lambda c: rsync(c, f"{c.ssh}:{c.absolute}", c.local, "-W"),
    "put_tree": lambda c: rsync(c, f"{c.local}/", f"{c.ssh}:{c.absolute}/", "-W"), "get_tree": lambda c: rsync(c, f"{c.ssh}:{c.absolute}/", f"{c.local}/", "-W"),
    "ls": lambda c: rsync(c, "--list-only", f"{c.ssh}:{c.absolute}/"), "resume": lambda c: rsync(c, c.local, f"{c.ssh}:{c.absolute}", "--partial"),
}, encrypted=True, verified=True, note="aes128-gcm, whole files")


def rsyncd(c, source, target, *options):
    return ["rsync", "-a", *options, source, target]


def module(c):
    return f"rsync://{c.place.user}@{c.host}:{c.port}/w/{c.remote}"


peer("rsyncd", "rsyncd", ("rsync",), {
    "put": lambda c: rsyncd(c, c.local, module(c), "-W"), "get": lambda c: rsyncd(c, module(c), c.local, "-W"),
    "put_tree": lambda c: rsyncd(c, f"{c.local}/", f"{module(c)}/", "-W"), "get_tree": lambda c: rsyncd(c, f"{module(c)}/", f"{c.local}/", "-W"),
    "ls": lambda c: rsyncd(c, "--list-only", f"{module(c)}/"), "resume": lambda c: rsyncd(c, c.local, module(c), "--partial"),
}, verified=True, note="daemon; the checksum it agrees on by itself (xxh128), whole files")


def curl(c, scheme, *options):
    trust = ["--ssl-reqd", "--cacert", f"{c.place.etc}/ca.pem"] if scheme in ("https", "ftps") else []
    fail = ["--fail"] if scheme.startswith("http") else []
    return ["curl", "-sS", *fail, *trust, "-u", f"{c.place.user}:{c.place.password}", *options]


def url(c, scheme, end=""):
    # FTP over TLS is asked for in the session; `ftps` would be another port from the start.
    return f"{scheme.replace('ftps', 'ftp')}://{c.host}:{c.port}/{c.remote}{end}"


def listed(c, scheme, is_put):
    """curl takes a tree as a list of single transfers; it is written here, before anything is timed."""
    root = c.local if is_put else c.absolute
    path = os.path.join(c.place.etc, "curl-list")
    with open(path, "w") as out:
        for folder, below, files in os.walk(root):
            below.sort()
            for name in sorted(files):
                inner = os.path.relpath(os.path.join(folder, name), root)
                there = url(c, scheme, f"/{inner}")
                out.write(f'upload-file = "{c.local}/{inner}"\nurl = "{there}"\n' if is_put else f'url = "{there}"\noutput = "{c.local}/{inner}"\n')
    return ["-Z", "--parallel-max", "8", "-K", path]


def with_curl(scheme):
    ops = {"put": lambda c: curl(c, scheme, "-T", c.local, url(c, scheme)), "get": lambda c: curl(c, scheme, "-o", c.local, url(c, scheme)),
           "ls": lambda c: curl(c, scheme, url(c, scheme, "/"))}
    if scheme.startswith("http"):
        ops["put_tree"] = lambda c: curl(c, scheme, *listed(c, scheme, True))
        ops["get_tree"] = lambda c: curl(c, scheme, "--create-dirs", *listed(c, scheme, False))
    else:
        ops["resume"] = lambda c: curl(c, scheme, "-C", "-", "-T", c.local, url(c, scheme))
    return ops


peer("nginx-tls", "nginx-tls", ("curl",), with_curl("https"), encrypted=True, idle="https", note="curl; trees with 8 at once")
peer("nginx", "nginx", ("curl",), with_curl("http"), idle="http", note="curl")
peer("vsftpd-curl", "vsftpd", ("curl",), with_curl("ftp"), idle="ftp")
peer("vsftpd-tls-curl", "vsftpd-tls", ("curl",), with_curl("ftps"), encrypted=True, idle="ftps")


def lftp(c, line, tls):
    how = f"set ftp:ssl-force yes; set ftp:ssl-protect-data yes; set ssl:ca-file {c.place.etc}/ca.pem" if tls else "set ftp:ssl-allow no"
    return ["lftp", "-c", f"{how}; set net:max-retries 2; set net:timeout 30; open -u {c.place.user},{c.place.password} ftp://{c.host}:{c.port}; {line}"]


def with_lftp(tls):
    return {"put": lambda c: lftp(c, f"put {c.local} -o {c.remote}", tls), "get": lambda c: lftp(c, f"get {c.remote} -o {c.local}", tls),
            "put_tree": lambda c: lftp(c, f"mirror -R --parallel=8 {c.local} {c.remote}", tls),
            "get_tree": lambda c: lftp(c, f"mirror --parallel=8 {c.remote} {c.local}", tls),
            "ls": lambda c: lftp(c, f"ls {c.remote}", tls), "resume": lambda c: lftp(c, f"put -c {c.local} -o {c.remote}", tls)}


peer("vsftpd-lftp", "vsftpd", ("lftp",), with_lftp(False), note="trees with 8 at once")
peer("vsftpd-tls-lftp", "vsftpd-tls", ("lftp",), with_lftp(True), encrypted=True, note="trees with 8 at once")
peer("pure-ftpd-tls", "pure-ftpd-tls", ("lftp",), with_lftp(True), encrypted=True, note="lftp; trees with 8 at once")


def rclone(c, *words):
    conf = os.path.join(c.place.home, "rclone.conf")
    with open(conf, "w") as out:
        out.write(f"[b]\ntype = sftp\nhost = {c.host}\nport = {c.port}\nuser = {c.place.user}\nkey_file = {c.place.etc}/id_key\n")
    os.chown(conf, c.place.uid, c.place.gid)
    return ["rclone", "--config", conf, "--log-level", "ERROR", *words]


peer("rclone", "sshd", ("rclone",), {
    "put": lambda c: rclone(c, "copyto", c.local, f"b:{c.absolute}"), "get": lambda c: rclone(c, "copyto", f"b:{c.absolute}", c.local),
}, encrypted=True, verified=True, note="sftp backend; md5sum at the other end")


def pumped(tls):
    def to(verb):
        return lambda c: [measure.interpreter(), f"{c.place.bin}/pump.py", verb, c.host, str(c.port), c.local, c.remote,
                          *([f"{c.place.etc}/ca.pem"] if tls else [])]
    return {"put": to("put"), "get": to("get")}


# No product: what the machine can do, with nothing proven and nothing kept safe.
peer("limit", "limit", (), pumped(False), note="bare sendfile, no protocol")
peer("limit-tls", "limit-tls", (), pumped(True), encrypted=True, note="bare OpenSSL, no protocol")
peer("redis", "redis", ("redis-benchmark",), {}, idle="redis")


def is_limit(name):
    """Whether this is no peer but the machine's own limit."""
    return name.startswith("limit")


class Running:
    """Every peer that could be started, and why the others could not. Servers are shared by the peers that have the same one."""

    def __init__(self, place, names):
        self.place, self.servers, self.peers, self.absent = place, {}, {}, {}
        for name in names:
            try:
                self._start(PEERS[name])
            except (Missing, OSError) as error:
                self.absent[name] = str(error)

    def _start(self, one):
        for needed in one.needs:
            servers.program(needed)
        if one.server in self.absent:
            raise Missing(self.absent[one.server])
        if one.server not in self.servers:
            try:
                self.servers[one.server] = servers.start(self.place, one.server)
            except Missing as error:
                self.absent[one.server] = str(error)
                raise
        self.peers[one.name] = one

    def with_op(self, *ops):
        """The names of the peers that can do all of these."""
        return [name for name, one in self.peers.items() if all(op in one.ops for op in ops)]

    def server(self, name):
        """The server of a peer."""
        return self.servers[self.peers[name].server]

    def command(self, name, op, local="", remote="", host=None):
        """The client's argv and standard input for one operation."""
        made = self.peers[name].ops[op](Call(self.place, self.server(name).port, host or self.place.host, local, remote))
        return made if isinstance(made, tuple) else (made, None)

    def versions(self):
        """What is being compared with, one line each."""
        lines = set()
        for ask in {self._version(one) for one in self.peers.values()}:
            # Some print it on standard error.
            done = subprocess.run(["sh", "-c", f"{ask} 2>&1"], env=measure.environment(self.place), capture_output=True, text=True)
            said = done.stdout.splitlines()
            # lftp's words stand apart by bars.
            lines.add(" ".join(word for word in said[0].split() if word != "|")[:40] if said else ask)
        return sorted(lines)

    @staticmethod
    def _version(one):
        of_server = {"sshd": "ssh -V", "nginx": "nginx -v", "nginx-tls": "nginx -v", "redis": "redis-server --version", "limit-tls": "openssl version"}
        of_client = one.needs[0] if one.needs else "python3"
        return of_server.get(one.server, f"{of_client} --version") if of_client not in ("rsync", "rclone") else f"{of_client} --version"

    def stop(self):
        """Ends all servers."""
        for one in self.servers.values():
            one.stop()
