"""Runs clients: a process of the bench's user, in the network namespace that it was started in, which takes orders as lines of JSON.

It is a process of its own so that starting a client is one vfork, without a change of user or namespace in what is measured.
An order: {argv, count, at_once, timeout, stdin, drain, env}. The answer: {walls, wall, cpu, failed, timed_out, first, lines, said}; seconds throughout.
`drain` reads what it prints, and tells when the `first` line was there and how many `lines` came.
"""
import json
import os
import signal
import sys
import time


def order(given):
    """Runs `argv` `count` times, at most `at_once` at a time."""
    out = os.open(given["log"], os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o644)
    source = None
    if given.get("stdin") is not None:
        source = given["log"] + ".in"
        with open(source, "w") as file:
            file.write(given["stdin"])
    env = {**os.environ, **given.get("env", {})}
    begun, done, failed, timed_out, cpu, first, lines = 0, 0, 0, False, 0.0, None, 0
    started, walls = {}, []

    def too_late(*_):
        nonlocal timed_out
        timed_out = True
        for pid in started:
            os.killpg(pid, signal.SIGKILL)

    signal.signal(signal.SIGALRM, too_late)
    signal.setitimer(signal.ITIMER_REAL, given["timeout"])
    start = time.perf_counter()
    while done < given["count"] and (started or not timed_out):
        while begun < given["count"] and len(started) < given["at_once"] and not timed_out:
            reading, writing = os.pipe() if given.get("drain") else (None, out)
            files = [(os.POSIX_SPAWN_OPEN, 0, source or os.devnull, os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, writing, 1), (os.POSIX_SPAWN_DUP2, out, 2)]
            now = time.perf_counter()
            pid = os.posix_spawnp(given["argv"][0], given["argv"], env, file_actions=files, setpgroup=0)
            started[pid] = now
            begun += 1
            if reading is not None:
                os.close(writing)
                while chunk := os.read(reading, 1 << 20):
                    first = first or (b"\n" in chunk and time.perf_counter() - now) or None
                    lines += chunk.count(b"\n")
                os.close(reading)
        pid, status, used = os.wait4(-1, 0)
        if pid not in started:
            continue
        walls.append(time.perf_counter() - started.pop(pid))
        cpu += used.ru_utime + used.ru_stime
        failed += status != 0
        done += 1
    wall = time.perf_counter() - start
    signal.setitimer(signal.ITIMER_REAL, 0)
    os.close(out)
    with open(given["log"], errors="replace") as file:
        said = file.read()[-400:] if failed else ""
    return {"walls": walls, "wall": wall, "cpu": cpu, "failed": failed, "timed_out": timed_out, "first": first, "lines": lines, "said": said}


if __name__ == "__main__":
    for line in sys.stdin:
        try:
            answer = order(json.loads(line))
        except OSError as error:
            answer = {"walls": [], "wall": 0, "cpu": 0, "failed": 1, "timed_out": False, "first": None, "lines": 0, "said": str(error)}
        print(json.dumps(answer), flush=True)
