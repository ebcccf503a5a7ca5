"""Our server and client, as a user starts them: the command lines of the contract, accounts with a saved login."""
import os
import shutil
import subprocess

import measure
from sandbox import HERE, NEAR, Missing, run, say

ROOT = os.path.dirname(HERE)
RELEASE = os.path.join(ROOT, "target", "release")
USER = "bench"
LOAD = "ferry-load"
# The micro bench in core that has `request`: guard, decode, find, run, encode.
MICRO = "requests"


def build(asked):
    """Builds what is not there; outside of the network namespace, for cargo may have to fetch something."""
    wanted = []
    if asked.ferry is None and not all(os.path.exists(os.path.join(RELEASE, name)) for name in ("ferry", "ferryd")):
        wanted.append(["build", "--release", "-p", "ferryd", "-p", "ferry-client"])
    if "F8" in asked.rows:
        folders = [RELEASE] + [asked.ferry] * bool(asked.ferry)
        if not any(os.path.exists(os.path.join(folder, LOAD)) for folder in folders):
            wanted.append(["build", "--release", "-p", "ferry-tests", "--bin", LOAD])
        if not asked.quick:
            wanted.append(["bench", "--no-run", "-p", "ferry-core", "--bench", MICRO])
    for words in wanted:
        say("cargo", *words)
        if subprocess.run(["cargo", *words, "--locked", "--quiet"], cwd=ROOT).returncode:
            raise Missing("cargo " + " ".join(words))


def binaries(place, folder):
    """Copies our programs to where the bench's user can run them. Returns their version."""
    for name in ("ferry", "ferryd", LOAD):
        for source in (folder, RELEASE) if name == LOAD and folder else (folder or RELEASE,):
            if os.path.exists(path := os.path.join(source, name)):
                shutil.copy(path, place.bin)
                break
    return run(os.path.join(place.bin, "ferryd"), "--version").strip()


class Ours:
    """A server of ours with one account, its own data folder, and a client that is logged in to it."""

    def __init__(self, place, name="ferry", *, medium=None, relaxed=False, plain=False, remote=False, auth="scram-sha-256"):
        self.place, self.name, self.plain, self.remote, self.auth = place, name, plain, remote, auth
        self.data = place.folder(os.path.join(medium or place.ram, f"{name}-data"))
        self.options = ["--durability", "relaxed"] * relaxed + ["--no-tls"] * plain
        self.port = place.free_port()
        self.address = f"{NEAR if remote else place.host}:{self.port}"
        self.files = [os.path.join(place.home, f"{name}-{kind}") for kind in ("hosts", "logins")]
        self.process = self.key = None
        self.group = measure.Group(place, name)
        self.add_user(USER)
        self.start()
        self._save_login()

    def _ferryd(self, *words):
        return [os.path.join(self.place.bin, "ferryd"), *words, "--data", self.data]

    def add_user(self, name):
        """Makes an account with the bench's password."""
        adding = measure.start(self.place, self._ferryd("user", "add", name, "--auth", self.auth, "--password-stdin"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
        said, _ = adding.communicate(self.place.password + "\n")
        if adding.returncode:
            raise Missing(f"ferryd user add: {said.strip()}")

    def start(self):
        """Starts the server, and waits until it says that it listens."""
        listen = self.address if self.plain else f"{self.place.listen}:{self.port}"
        allow = [] if self.place.isolated else ["--allow-root"] * (os.geteuid() == 0)
        log = open(os.path.join(self.place.log, self.name), "w")
        with log:
            argv = [*self._ferryd("serve", "--listen", listen), *self.options, *allow]
            self.process = measure.start(self.place, argv, stdout=subprocess.PIPE, stderr=log, text=True)
        self.group.add(self.pid)
        lines = [self.process.stdout.readline() for _ in range(2)]
        if not lines[1].startswith("key "):
            self.stop()
            with open(log.name) as log:
                raise Missing(f"ferryd did not start: {log.read()[-300:].strip()}")
        self.key = lines[1].split()[1]

    def client(self, *words, options=(), password=False):
        """Argv and environment of a client that runs one verb."""
        env = {"FERRY_KNOWN_HOSTS": self.files[0], "FERRY_LOGINS": self.files[1], "FERRY_CONFIG": os.path.join(self.place.home, "ferry.toml")}
        # There are no saved logins without TLS: they would be readable on the way.
        if password or self.plain:
            env["FERRY_PASSWORD"] = self.place.password
            env["FERRY_LOGINS"] = self.files[1] + "-none"
        trust = ["--no-tls"] if self.plain else ["--pin", self.key]
        return [os.path.join(self.place.bin, "ferry"), "-q", *trust, *options, f"{USER}@{self.address}", *words], env

    def _save_login(self):
        open(os.path.join(self.place.home, "ferry.toml"), "a").close()
        # Over a delayed link it is saved by whoever is at its other end.
        if self.plain or self.remote:
            return
        self.save_login(measure.Clients(self.place), end=True)

    def save_login(self, clients, end=False):
        """Logs in with the password once, and keeps the login."""
        argv, env = self.client("pwd", options=["--save-login"], password=True)
        done = clients.run(argv, env={**env, "FERRY_LOGINS": self.files[1]})
        if end:
            clients.end()
        if done["failed"]:
            raise Missing(f"a login could not be saved: {done['said'].strip()}")

    def run(self, clients, *words, options=(), password=False, **more):
        """Runs one verb through a runner of clients; returns what it measured."""
        argv, env = self.client(*words, options=options, password=password)
        return clients.run(argv, server=self, env=env, **more)

    def home(self):
        """Where the account's files lie."""
        folder = os.path.join(self.data, "homes")
        found = [os.path.join(folder, name) for name in os.listdir(folder)]
        if len(found) != 1:
            raise Missing(f"{folder} has {len(found)} homes, and not one")
        return found[0]

    @property
    def pid(self):
        """The server's process."""
        return self.process.pid

    def kill(self):
        """Ends it as a power cut would, but for what the system still has."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Ends it as an administrator would."""
        self.process.terminate()
        if not measure.wait_for(lambda: self.process.poll() is not None, 15):
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
