"""Rows F5 to F8: sessions, listings, idle sessions, requests."""
import csv
import json
import os
import random
import re
import shutil
import subprocess

import measure
from bulk import remove
from ours import LOAD, MICRO, ROOT, USER
from sandbox import Missing


def few(bench):
    """A served folder of ten entries; returns its remote path."""
    folder = bench.place.folder(os.path.join(bench.place.ram, "served", "few"))
    for number in range(10):
        with open(os.path.join(folder, f"entry-{number}"), "w") as file:
            file.write("x")
    return "served/few"


def f5(bench):
    """Connect, log in, list ten entries, leave: whole client processes, one after the other and 20 at once."""
    with bench.ours() as ours:
        upload_few(bench, ours, bench.clients)
        more = {"ferry, password": (ours, *ours.client("ls", "few", password=True)), "/bin/true": (None, ["/bin/true"], {})}
        compare_sessions(bench, "F5", ours, ("nginx-tls", "vsftpd-tls-curl", "vsftpd-tls-lftp", "sftp"), bench.clients, more=more)


def compare_sessions(bench, row, ours, candidates, clients, host=None, more={}):
    """Whole sessions of ours and of peers. Those of slow logins are fewer, for their times lie closer together."""
    remote = few(bench)
    runs = {"ferry": (ours, *ours.client("ls", "few")), **more}
    for name in bench.choose(candidates, "ls"):
        argv, given = bench.running.command(name, "ls", remote=remote, host=host)
        runs[name] = (bench.running.server(name), argv, given)
    ops = (("one", 1), ("many", 20)) if host is None else (("session", 1),)
    for number in range(bench.runs + 1):
        for name in random.sample(sorted(runs), len(runs)):
            server, argv, given = runs[name]
            given = {"env": given} if isinstance(given, dict) else {"stdin": given}
            is_fast = host is None and name.startswith(("ferry", "nginx", "/bin"))
            count = bench.sessions if is_fast else max(bench.sessions // 5, 5)
            for op, at_once in ops:
                if op == "many" and name in more:
                    continue
                took = clients.run(argv, server=server, count=count * (2 if at_once > 1 else 1), at_once=at_once, **given)
                if took["failed"]:
                    bench.failed(row, name, f"{op}: {took['said'].strip()}")
                elif number:
                    done = len(took["walls"])
                    value, unit = (done / took["wall"], "sessions/s") if op == "many" else (1000 * sorted(took["walls"])[done // 2], "ms")
                    bench.record(row, op, name, value, unit, took, server_ms=1000 * took["server_cpu"] / done, client_ms=1000 * took["cpu"] / done)


def upload_few(bench, ours, clients):
    """Puts a folder of ten entries into the home."""
    source = bench.place.folder(os.path.join(bench.place.ram, "source", "few"))
    for number in range(10):
        with open(os.path.join(source, f"entry-{number}"), "w") as file:
            file.write("x")
    took = ours.run(clients, "upload", "-r", source, "--as", "few")
    if took["failed"]:
        raise Missing(took["said"])


def fill(place, folder, entries):
    """Empty files in one folder, named so that no listing finds them sorted."""
    place.folder(folder)
    for number in range(entries):
        path = os.path.join(folder, f"{number * 7919 % 1000003:07}-entry.dat")
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))
        os.chown(path, place.uid, place.gid)


def f6(bench):
    """Details of every entry of one large folder, to a pipe."""
    entries, remote = bench.entries, "served/large"
    with bench.ours() as ours:
        # Straight into the home, before it is opened for the first time: the ledger counts what it finds.
        fill(bench.place, os.path.join(ours.home(), "large"), entries)
        ours.stop()
        ours.start()
        argv, env = ours.client("ls", "-l", "large")
        runs = {"ferry": (ours, argv, {"env": env})}
        fill(bench.place, os.path.join(bench.place.ram, remote), entries)
        for name in bench.choose(("nginx-tls", "vsftpd-curl", "vsftpd-tls-curl", "vsftpd-tls-lftp", "sftp", "rsync-ssh"), "ls"):
            argv, given = bench.running.command(name, "ls", remote=remote)
            runs[name] = (bench.running.server(name), argv, {"stdin": given})
        for number in range(bench.runs + 1):
            for name in random.sample(sorted(runs), len(runs)):
                server, argv, more = runs[name]
                with measure.Peak(server.pid) as peak:
                    took = bench.clients.run(argv, server=server, drain=True, **more)
                if took["failed"] or took["lines"] < entries:
                    bench.failed("F6", name, took["said"].strip() or f"{took['lines']} of {entries} entries")
                elif number:
                    bench.record("F6", "list", name, took["wall"], "s", took)
                    # sftp prints what it was told before it lists anything.
                    if name != "sftp":
                        bench.record("F6", "first row", name, 1000 * took["first"], "ms", took)
                    bench.record("F6", "server grows", name, peak.grown / 1024, "MiB", took)
    remove(os.path.join(bench.place.ram, remote))


def f7(bench):
    """Memory of idle sessions that are logged in."""
    place, python = bench.place, measure.interpreter()
    login = [place.user, place.password]
    for name in [name for name in bench.choose(("redis", "nginx-tls", "nginx", "vsftpd-tls-curl", "sftp")) if bench.running.peers[name].idle]:
        kind, server = bench.running.peers[name].idle, bench.running.server(name)
        # A process each at both ends: a tenth of them tells as much.
        count = bench.idle if not kind.startswith(("ssh", "ftp")) else max(bench.idle // 10, 1)
        rest = ["ssh", "-F", f"{place.etc}/ssh.conf", "-s", "near", "sftp"] if kind == "ssh" else [*login, f"{place.etc}/ca.pem"]
        hold(bench, name, server, [python, f"{place.bin}/idle.py", kind, place.host, str(server.port)], count, rest)
    client = os.path.join(place.bin, "python")
    shutil.copytree(os.path.join(ROOT, "clients", "python", "ferry"), os.path.join(client, "ferry"), ignore=shutil.ignore_patterns("conform", "__pycache__"))
    if subprocess.run([python, "-c", "import msgpack"], capture_output=True).returncode:
        bench.failed("F7", "ferry", f"our client in Python needs msgpack for {python} (python3-msgpack)")
        return
    for name, plain in (("ferry", False), ("ferry-plain", True)):
        with bench.ours(name, plain=plain) as ours:
            rest = [USER, place.password, "-" if plain else ours.key, client, f"{place.home}/{name}-known.json"]
            hold(bench, name, ours, [python, f"{place.bin}/idle.py", "ferry", place.host, str(ours.port)], bench.idle, rest)


def hold(bench, name, server, argv, count, rest):
    """Records the memory that each of `count` sessions costs a server. A first one, gone again by then, pays for what is made once."""
    for sessions in (1, count):
        before = measure.memory_of(measure.family(server.pid))
        with bench.clients.spawn([*argv, str(sessions), *rest], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as holder:
            said = holder.stdout.readline().split()
            after = measure.memory_of(measure.family(server.pid))
            holder.stdin.close()
            if said != ["READY", str(sessions)]:
                bench.failed("F7", name, f"sessions could not be held: {holder.stderr.read().strip()[-200:]}")
                return
    bench.record("F7", "idle", name, (after - before) / count, "KiB", None, sessions=count)


def f8(bench):
    """A verb that does nothing: over the wire beside redis, and in process."""
    place = bench.place
    load = os.path.join(place.bin, LOAD)
    if not os.path.exists(load):
        bench.failed("F8", "ferry", f"there is no {LOAD} beside our programs")
        load = None
    redis = bench.choose(("redis",))
    with bench.ours("ferry-plain", plain=True) as ours:
        for number in range(bench.runs + 1):
            for flight, test, count in ((1, "get", bench.requests), (16, "ping_mbulk", 5 * bench.requests)):
                for _ in redis:
                    server = bench.running.server("redis")
                    argv = ["redis-benchmark", "-h", place.host, "-p", str(server.port), "-t", test, "-c", "50", "-P", str(flight), "-n", str(count), "--csv"]
                    took = bench.clients.run(argv, server=server)
                    with open(os.path.join(place.home, "client.log")) as file:
                        rows = [row for row in csv.reader(file) if len(row) > 1 and row[0] != "test"]
                    if took["failed"] or not rows:
                        bench.failed("F8", "redis", took["said"] or "no figure")
                    elif number:
                        bench.record("F8", f"{flight} in flight", "redis", float(rows[-1][1]), "requests/s", took)
                if load:
                    wire(bench, ours, load, flight, count, number)
    in_process(bench)


def wire(bench, ours, load, flight, count, number):
    """Our own load, as redis-benchmark makes it: 50 connections, so many requests in flight on each."""
    env = {"FERRY_PASSWORD": bench.place.password}
    took = bench.clients.run([load, ours.address, USER, "--connections", "50", "--in-flight", str(flight), "--requests", str(count)], server=ours, env=env)
    with open(os.path.join(bench.place.home, "client.log")) as file:
        said = file.read()
    try:
        rate = float(json.loads(said)["requests_per_second"])
    except (ValueError, KeyError, TypeError):
        bench.failed("F8", "ferry", f"ferry-load said {said.strip()[-200:]}")
        return
    if number:
        bench.record("F8", f"{flight} in flight", "ferry", rate, "requests/s", took)


def in_process(bench):
    """What core's own micro bench of a request that does nothing says, where there is one."""
    if bench.quick or not os.path.exists(os.path.join(ROOT, "core", "benches", f"{MICRO}.rs")):
        bench.failed("F8", "in process", "left out by --quick" if bench.quick else f"there is no core/benches/{MICRO}.rs")
        return
    argv = ["cargo", "bench", "--quiet", "-p", "ferry-core", "--bench", MICRO, "--", "--max-time", "1"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True)
    found = median_us(done.stdout, "request")
    if found is None:
        bench.failed("F8", "in process", f"no median of `request` in what cargo bench said: {done.stderr.strip()[-200:]}")
    else:
        bench.record("F8", "in process", "ferry", found, "us", None)


def median_us(said, name):
    """The median of a bench in divan's table, in microseconds; with several arguments that of the first."""
    is_it = False
    for line in said.splitlines():
        words = line.strip(" \u2502\u251c\u2570\u2500").split()
        # A line of its own, and those of its arguments below it, indented.
        is_it = words[:1] == [name] if re.match(r"[\u251c\u2570]", line) else is_it
        cells = [cell.strip() for cell in line.split("\u2502")]
        found = re.fullmatch(r"([0-9.]+) (ns|\u00b5s|ms)", cells[-4]) if is_it and len(cells) >= 5 else None
        if found:
            return float(found[1]) * {"ns": 1e-3, "\u00b5s": 1, "ms": 1e3}[found[2]]
    return None
