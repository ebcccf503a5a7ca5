"""The tables: a summary of goals, and for each row all figures beside each other. Markdown, which a terminal shows as well."""
import json
import statistics

from goals import GOALS, Medians
from peers import is_limit

# Of these units more is better.
RATES = ("files/s", "sessions/s", "requests/s")
# Not peers, but what a figure is held against.
YARDSTICKS = ("md5sum", "/bin/true", "fsync-loop")
ROWS = {"F1": "one large file, encrypted, proven by MD5", "F2": "one large file, encrypted, proven by BLAKE3", "F3": "one large file, no TLS, proven by BLAKE3",
        "F4": "small files of 4 KiB", "F5": "connect, log in, list, leave", "F6": "details of a large folder", "F7": "memory of an idle session",
        "F8": "a verb that does nothing", "F9": "sent twice after an upload was cut off half-way", "F10": "a round trip of 40 ms",
        "F11": "kill -9, restart, first login", "F12": "server memory"}


def read(paths):
    """All records of some files. `run` tells which belong together."""
    records = []
    for path in paths:
        with open(path) as file:
            records += [json.loads(line) for line in file if line.strip()]
    return records


def number(value):
    """Three figures, and thousands apart."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def medians(records):
    """One entry for each operation and name of a row: median, range, unit, other figures, and whether others disturbed it."""
    groups = {}
    for record in records:
        if "value" in record:
            groups.setdefault((record["op"], record["name"]), []).append(record)
    result = {}
    for key, group in groups.items():
        values = [record["value"] for record in group]
        entry = {"value": statistics.median(values), "low": min(values), "high": max(values), "unit": group[0]["unit"], "runs": len(values),
                 "noisy": sum(bool(record.get("noisy")) for record in group), "verdicts": {record["verdict"] for record in group if "verdict" in record}}
        for extra in ("client_cpu", "server_cpu", "client_ms", "server_ms", "unverified"):
            found = [record[extra] for record in group if record.get(extra) is not None]
            if found:
                entry[extra] = statistics.median(found)
        result[key] = entry
    return result


def table(head, rows):
    """A table in Markdown."""
    cells = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in cells)


def is_ours(name):
    """Whether this is a server of ours."""
    return name.startswith("ferry")


def summary(runs):
    """One line for each goal: ours, each peer, and what is asked. With several runs it has to be met in each: the one that is furthest from it is shown."""
    lines = []
    for one in GOALS:
        verdicts = [(one.judge(Medians(values)), values) for values in runs.get(one.row, [])]
        judged = [(verdict.share, at, verdict, values) for at, (verdict, values) in enumerate(verdicts) if verdict.share is not None]
        if not judged:
            if one.row in runs:
                lines.append([one.row, one.op, "-", "-", one.text, "not measured", ""])
            continue
        _, _, verdict, values = max(judged, key=lambda each: each[:2])
        group = {name: value for (op, name), value in values.items() if op == one.op}
        ours = group.get(one.ours) or our_entry(group)
        others = {name: value["value"] for name, value in group.items() if not is_ours(name) and not is_limit(name) and name not in YARDSTICKS}
        best_first = sorted(others, key=others.get, reverse=ours["unit"] in RATES)
        wrong = {name: " (corrupt)" for name in others if "corrupt" in group[name]["verdicts"]}
        peers = " · ".join(f"{name} {number(others[name])}{wrong.get(name, '')}" for name in best_first) or "-"
        lines.append([one.row, one.op, f"{number(ours['value'])} {ours['unit']}", peers, one.text, verdict.got, "met" if verdict.met else "**missed**"])
    return table(["row", "", "ours", "peers, best first", "goal", "reached", ""], lines)


def our_entry(group):
    """Our figure among those of one operation."""
    return group.get("ferry") or next((value for name, value in group.items() if is_ours(name)), None)


def details(row, values):
    """All figures of one run of a row, best first; the ratio is ours to theirs."""
    parts = []
    for op in dict.fromkeys(op for op, _ in values):
        group = {name: value for (at, name), value in values.items() if at == op}
        unit = next(iter(group.values()))["unit"]
        ours = our_entry(group)
        lines = []
        for name, value in sorted(group.items(), key=lambda item: item[1]["value"], reverse=unit in RATES):
            notes = [f"{value['noisy']} of {value['runs']} runs disturbed"] * bool(value["noisy"]) + sorted(value["verdicts"])
            if "unverified" in value:
                notes.append(f"{number(value['unverified'])} unverified")
            ratio = f"{ours['value'] / value['value']:.2f}" if ours and value["value"] and value is not ours else ""
            cpu = f"{number(value['client_cpu'])} + {number(value['server_cpu'])}" if "client_cpu" in value else ""
            spread = f"{number(value['low'])} to {number(value['high'])}"
            lines.append([f"**{name}**" if is_ours(name) else name, number(value["value"]), spread, ratio, cpu, "; ".join(notes)])
        parts.append(f"{row} {op}\n\n" + table(["", f"median, {unit}", "range", "ours / this", "CPU s, client + server", ""], lines))
    return "\n\n".join(parts)


def text(records):
    """The whole report. What was measured in different runs is never compared."""
    runs = {}
    for row in ROWS:
        for run in dict.fromkeys(record["run"] for record in records if record["row"] == row):
            if found := medians([record for record in records if (record["row"], record["run"]) == (row, run)]):
                runs.setdefault(row, []).append(found)
    parts = ["## Goals\n\n" + summary(runs)]
    for row, each in runs.items():
        parts += [f"## {row}: {ROWS[row]}{f' (run {at + 1} of {len(each)})' if len(each) > 1 else ''}\n\n" + details(row, values) for at, values in enumerate(each)]
    missing = [f"- {record['row'] or 'everywhere'}: {record['name']}: {record['why']}" for record in records if "why" in record]
    if missing:
        parts.append("## Left out\n\n" + "\n".join(dict.fromkeys(missing)))
    return "\n\n".join(parts) + "\n"
