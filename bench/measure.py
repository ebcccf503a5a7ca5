"""Processes, and what they cost: wall time, CPU seconds of both sides, memory, bytes on the wire, and who else was busy."""
import contextlib
import json
import os
import subprocess
import sys
import threading
import time

from sandbox import Missing

TICK = os.sysconf("SC_CLK_TCK")
# From this share of a run's wall time on, CPU used by others marks it as disturbed.
NOISE = 0.25


def stat_of(pid):
    """The fields of /proc/PID/stat behind the name; None for a process that is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return None


def family(pid):
    """A process and all below it."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        if fields := stat_of(name):
            parents.setdefault(int(fields[1]), []).append(int(name))
    found, look = [], [pid]
    while look:
        one = look.pop()
        found.append(one)
        look += parents.get(one, [])
    return found


def cpu_of(pid):
    """CPU seconds of a family so far, children that have ended included."""
    every = filter(None, map(stat_of, family(pid)))
    return sum(int(field) for fields in every for field in fields[11:15]) / TICK


class Group:
    """Some processes and all below them, whose CPU time is counted together: a control group, or what /proc has where there is none.

    The latter counts in steps of 10 ms, and misses children that nobody waited for.
    """

    def __init__(self, place, name):
        self.pid, self.path = None, place.groups and os.path.join(place.groups, name)
        if self.path:
            os.makedirs(self.path, exist_ok=True)

    def add(self, pid):
        """Puts a process into it, and all that it has started until now."""
        self.pid = pid
        for one in family(pid) if self.path else ():
            # One that has ended meanwhile has nothing to be counted.
            with contextlib.suppress(ProcessLookupError), open(os.path.join(self.path, "cgroup.procs"), "w") as file:
                file.write(str(one))

    def cpu(self):
        """CPU seconds until now."""
        if not self.path:
            return cpu_of(self.pid)
        with open(os.path.join(self.path, "cpu.stat")) as file:
            return next(int(line.split()[1]) for line in file if line.startswith("usage_usec")) / 1e6


def memory_of(pids):
    """The summed proportional memory (PSS) of some processes, in KiB: what is shared counts once."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                total += next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue
    return total


def busy():
    """CPU seconds that this machine has spent on anything since it started, without what its host took."""
    with open("/proc/stat") as file:
        fields = [int(field) for field in file.readline().split()[1:8]]
    return (sum(fields) - fields[3] - fields[4]) / TICK


def own_cpu():
    """CPU seconds of this process and of the helpers that it has waited for."""
    return sum(os.times()[:4])


def wire_bytes():
    """Bytes that went through loopback in this network namespace so far, in both directions."""
    with open("/proc/net/dev") as file:
        return next(int(line.split(":")[1].split()[8]) for line in file if line.strip().startswith("lo:"))


class Peak:
    """The most memory that a family has while this is open, in KiB, looked at every 20 ms."""

    def __init__(self, pid):
        self.pid, self.kib, self._stop = pid, 0, threading.Event()

    def __enter__(self):
        self.before = memory_of(family(self.pid))
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def _look(self):
        while not self._stop.wait(0.02):
            self.kib = max(self.kib, memory_of(family(self.pid)))

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    @property
    def grown(self):
        """By how much it was above what it had at the start, in KiB."""
        return max(0, self.kib - self.before)


class Clients:
    """The runner's other end. `before` is put in front of it, for another network namespace."""

    def __init__(self, place, before=()):
        env = environment(place)
        who = ["setpriv", f"--reuid={place.uid}", f"--regid={place.gid}", "--clear-groups"] if place.isolated else []
        self.place = place
        self.process = subprocess.Popen([*before, *who, interpreter(), os.path.join(place.bin, "runner.py")], env=env, cwd=place.home,
                                        start_new_session=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.group = Group(place, "clients")
        self.group.add(self.process.pid)

    def run(self, argv, *, server=None, count=1, at_once=1, timeout=300, **more):
        """Runs a client; returns the runner's answer with the server's CPU seconds and whether others disturbed it."""
        given = {"argv": argv, "count": count, "at_once": at_once, "timeout": timeout, "log": os.path.join(self.place.home, "client.log"), **more}
        groups = [self.group] + ([server.group] if server else [])
        before = [group.cpu() for group in groups]
        busy_before, own_before = busy(), own_cpu()
        self.process.stdin.write(json.dumps(given) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise Missing("the runner of clients has ended")
        answer = json.loads(line)
        ours, *servers = [group.cpu() - then for group, then in zip(groups, before)]
        answer["server_cpu"] = sum(servers)
        answer["others"] = max(0.0, busy() - busy_before - ours - sum(servers) - (own_cpu() - own_before))
        answer["noisy"] = answer["others"] > NOISE * max(answer["wall"], 0.04)
        return answer

    def spawn(self, argv, also=None, **more):
        """A client that goes on beside the bench, with a process group of its own; `also` is added to its environment."""
        return start(self.place, argv, env={**environment(self.place), **(also or {})}, **more)

    def end(self):
        """Lets the runner go."""
        self.process.stdin.close()
        self.process.wait()


def interpreter():
    """A Python that any user can start: this one may lie in somebody's home."""
    return "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable


def environment(place):
    """What clients and servers find in their environment: nothing of the user's but where programs are."""
    path = f"{place.bin}:{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"
    # A libcurl that belongs to the curl there.
    return {"HOME": place.home, "PATH": path, "LD_LIBRARY_PATH": place.bin, "LANG": "C.UTF-8", "TERM": "dumb", "TMPDIR": place.home, "RSYNC_PASSWORD": place.password}


def start(place, argv, *, root=False, **more):
    """Starts a process that stays, as the bench's user unless it has to be root."""
    if place.isolated and not root:
        more.update(user=place.uid, group=place.gid, extra_groups=[])
    more.setdefault("env", environment(place))
    return subprocess.Popen(argv, start_new_session=True, stdin=more.pop("stdin", subprocess.DEVNULL), cwd=more.pop("cwd", place.home), **more)


def wait_for(claim, seconds=15):
    """Waits until `claim()` holds; tells whether it did."""
    end = time.monotonic() + seconds
    while not claim():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
