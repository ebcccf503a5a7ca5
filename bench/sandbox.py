"""The place where a bench happens: one temporary folder and, for root, namespaces that end with the process that made them.

As root everything runs in mount, network and process namespaces of its own: users, mounts, ports and servers in them are gone when the bench
is, however it ends. Nothing of the machine is changed. Without root the same folder is used on the machine's own loopback.
"""
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

USER = "ferrybench"
UID = 64123
PASSWORD = "bench-Secret-7"
# The address of the servers at the end of the delayed link, and of the clients there.
NEAR, FAR = "10.99.0.1", "10.99.0.2"
INSIDE = "FERRY_BENCH_INSIDE"
HERE = os.path.dirname(os.path.abspath(__file__))
# What `install` has unpacked and not installed: servers whose packages exclude each other, and a newer curl.
UNPACKED = os.environ.get("FERRY_BENCH_PEERS", os.path.join(os.path.dirname(HERE), "target", "bench-peers"))


class Missing(Exception):
    """Something that a peer or a row needs is not there; the text says what."""


def say(*words):
    """A line for people: standard error, so that the table can be piped."""
    print(*words, file=sys.stderr, flush=True)


def run(*argv, given=None):
    """Runs a helper program; returns what it printed. Raises Missing with its last words when it fails."""
    try:
        done = subprocess.run(argv, input=given, capture_output=True, text=True)
    except OSError as error:
        raise Missing(f"{argv[0]}: {error.strerror}") from error
    if done.returncode:
        raise Missing(f"{argv[0]}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


def enter(argv):
    """Runs `argv` where it may do as it likes, and takes everything away afterwards. Returns its exit code."""
    folder = tempfile.mkdtemp(prefix="ferry-bench-")
    os.chmod(folder, 0o755)
    shm = None
    if os.geteuid() == 0 and can_unshare():
        # Whatever ends us ends what is below, and with it the namespaces.
        way = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
               # The first process of a namespace has to take leave of everybody's orphans: a shell does.
               "sh", "-c", '"$@"; exit $?', "sh"]
        ram = os.path.join(folder, "ram")
    else:
        # A bench must not leave its processes behind when it is killed; here only `finally` ends them.
        way, shm = [], tempfile.mkdtemp(prefix="ferry-bench-", dir="/dev/shm")
        ram = shm
    groups = control_groups()
    env = dict(os.environ, **{INSIDE: folder, "FERRY_BENCH_RAM": ram, "FERRY_BENCH_NAMESPACE": "1" if way else "", "FERRY_BENCH_GROUPS": groups or ""})
    child = None

    def stop(*_):
        # A second SIGINT would cut the child's own cleaning short, and SIGTERM reaches only us.
        if child and child.poll() is None:
            child.send_signal(signal.SIGKILL if way else signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    try:
        child = subprocess.Popen(way + argv, env=env)
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:
                # The terminal has told the child as well.
                continue
    finally:
        stop()
        if child:
            child.wait()
        remove_groups(groups)
        for made in filter(None, (folder, shm)):
            shutil.rmtree(made, ignore_errors=True)
            if os.path.exists(made):
                say(f"could not be removed: {made}")


def control_groups():
    """A folder for control groups of the bench's own; None where there can be none."""
    for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        # Only version 2 counts CPU time in every group.
        if os.path.exists(os.path.join(root, "cgroup.controllers")):
            try:
                return tempfile.mkdtemp(prefix="ferry-bench-", dir=root)
            except OSError:
                continue
    return None


def remove_groups(groups):
    """Takes the control groups away, once all that was killed in them is gone."""
    end = time.monotonic() + 10
    for name in [one.path for one in os.scandir(groups) if one.is_dir()] + [groups] if groups else ():
        while os.path.exists(name):
            try:
                os.rmdir(name)
            except OSError:
                if time.monotonic() > end:
                    say(f"could not be removed: {name}")
                    break
                time.sleep(0.05)


def can_unshare():
    """Whether this root may make namespaces (in some containers it may not)."""
    tried = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "true"]
    try:
        return subprocess.run(tried, capture_output=True).returncode == 0
    except OSError:
        return False


class Place:
    """Folders, user, keys and address of one bench. `isolated` tells whether it has namespaces, and so may do what needs root."""

    def __init__(self, has_peers=True):
        # What peers alone need takes `openssl` and half a second.
        self.has_peers = has_peers
        self.top, self.ram = os.environ[INSIDE], os.environ["FERRY_BENCH_RAM"]
        self.groups = os.environ["FERRY_BENCH_GROUPS"]
        self.isolated = bool(os.environ.get("FERRY_BENCH_NAMESPACE"))
        self.etc, self.log, self.home, self.disk, self.bin = (
            os.path.join(self.top, name) for name in ("etc", "log", "home", "disk", "bin"))
        self.host = "127.0.0.1"
        # Where servers listen: in a network namespace of its own everywhere, for the delayed link comes in by another device.
        self.listen = "0.0.0.0" if self.isolated else self.host
        for folder in (self.etc, self.log, self.home, self.disk, self.bin, self.ram):
            os.makedirs(folder, exist_ok=True)
        if self.isolated:
            self._isolate()
        else:
            me = pwd.getpwuid(os.geteuid())
            self.user, self.uid, self.gid = me.pw_name, me.pw_uid, me.pw_gid
        for folder in (self.home, self.ram, self.disk):
            os.chown(folder, self.uid, self.gid)
        for medium in (self.ram, self.disk):
            for name in ("source", "served", "out"):
                self.folder(os.path.join(medium, name))
        self.password = PASSWORD
        # Copies, for the checkout may lie in a folder that the bench's user cannot enter.
        for name in ("runner.py", "idle.py", "pump.py"):
            shutil.copy(os.path.join(HERE, name), self.bin)
        if has_peers:
            for path in glob.glob(f"{UNPACKED}/usr/bin/curl") + glob.glob(f"{UNPACKED}/usr/lib/*/libcurl.so.4"):
                shutil.copy(path, self.bin)
            self._keys()

    def folder(self, path):
        """Makes a folder of the bench's user."""
        os.makedirs(path, exist_ok=True)
        os.chown(path, self.uid, self.gid)
        return path

    def write(self, name, text, mode=0o644):
        """Writes a file of set-up; returns its path."""
        path = os.path.join(self.etc, name)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def free_port(self):
        """A port that nobody listens on, here and now."""
        with socket.socket() as probe:
            probe.bind((self.listen, 0))
            return probe.getsockname()[1]

    def congestion(self):
        """The TCP congestion control that the kernel gives to connections here."""
        with open("/proc/sys/net/ipv4/tcp_congestion_control") as file:
            return file.read().strip()

    def _isolate(self):
        self.user, self.uid, self.gid = USER, UID, UID
        run("ip", "link", "set", "lo", "up")
        # Thousands of short sessions must not run out of ports.
        for name, value in (("ip_local_port_range", "15000 65000"), ("tcp_tw_reuse", "1")):
            with open(f"/proc/sys/net/ipv4/{name}", "w") as file:
                file.write(value)
        run("mount", "-t", "tmpfs", "-o", "mode=755", "none", self.ram)
        run("mount", "-t", "tmpfs", "-o", "mode=755", "none", "/run")
        for folder in ("/run/netns", "/run/sshd", "/run/vsftpd/empty"):
            os.makedirs(folder)
        secret = run("openssl", "passwd", "-6", "-stdin", given=PASSWORD + "\n").strip() if self.has_peers else "!"
        # FTP servers show their users the home of the account: here what is served.
        lines = {"passwd": f"{USER}:x:{UID}:{UID}::{self.ram}:/bin/sh", "group": f"{USER}:x:{UID}:",
                 "shadow": f"{USER}:{secret}:19000:0:99999:7:::"}
        for name, line in lines.items():
            with open(f"/etc/{name}") as file:
                text = file.read()
            mode = os.stat(f"/etc/{name}").st_mode & 0o777
            self._over(f"/etc/{name}", self.write(name, f"{text}{line}\n", mode))
        if os.path.isdir("/etc/pam.d"):
            pam = os.path.join(self.etc, "pam.d")
            shutil.copytree("/etc/pam.d", pam)
            self.write("pam.d/ferrybench", "auth required pam_unix.so\naccount required pam_unix.so\nsession required pam_permit.so\n")
            self._over("/etc/pam.d", pam)

    @staticmethod
    def _over(target, ours):
        run("mount", "--bind", ours, target)

    def _keys(self):
        """A certificate authority with one server's certificate, and ssh keys."""
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        at = lambda name: os.path.join(self.etc, name)
        run("openssl", "req", "-x509", *curve, "-keyout", at("ca.key"), "-out", at("ca.pem"), "-days", "30", "-subj", "/CN=ferry bench",
            "-addext", "keyUsage=keyCertSign")
        run("openssl", "req", *curve, "-keyout", at("key.pem"), "-out", at("request.pem"), "-subj", "/CN=localhost")
        names = self.write("names", f"subjectAltName=DNS:localhost,IP:127.0.0.1,IP:{NEAR}\nextendedKeyUsage=serverAuth\n")
        run("openssl", "x509", "-req", "-in", at("request.pem"), "-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-CAcreateserial", "-days", "30",
            "-extfile", names, "-out", at("cert.pem"))
        with open(at("cert.pem")) as cert, open(at("key.pem")) as key:
            self.write("both.pem", key.read() + cert.read(), 0o600)
        os.chown(at("key.pem"), self.uid, self.gid)
        if shutil.which("ssh-keygen"):
            for name in ("host_key", "id_key"):
                run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", at(name))
                os.chown(at(name), self.uid, self.gid)
            shutil.copy(at("id_key.pub"), at("authorized_keys"))
