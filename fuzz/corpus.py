#!/usr/bin/env python3
"""Writes the seeds of every target into corpus/TARGET, most of them from docs/vectors. Their names start with `seed-`."""
import json, pathlib

here = pathlib.Path(__file__).parent
vectors = {path.stem: json.loads(path.read_text())["vectors"] for path in (here.parent / "docs/vectors").glob("*.json")}
KINDS = ["hello", "login", "challenge", "answer", "welcome", "catalog", "request", "cancel", "complete", "expand", "begin", "rows", "problem",
         "progress", "done", "fail", "end"]


def seeds(target, contents):
    folder = here / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(contents):
        (folder / f"seed-{number:03}").write_bytes(content)


frames = [bytes.fromhex(vector["hex"]) for name in ("frames", "messages") for vector in vectors[name]]
seeds("frame", [bytes([stage]) + frame for stage in (0, 17) for frame in frames[::4]] + [b"\x11" + b"".join(frames[:20])])
seeds("message", [bytes([KINDS.index(vector["message"])]) + bytes.fromhex(vector["hex"])[5:]
                  for vector in vectors["messages"] if vector.get("message") in KINDS][:80])
texts = [vector["text"].encode() for name in ("login", "login_plus", "login_md5", "login_token") for vector in vectors[name] if "text" in vector]
seeds("login_server", [bytes([number % 5, number % 2]) + text for number, text in enumerate(texts[:40])])
seeds("login_client", [bytes([number * 7 % 256, number % 2]) + text for number, text in enumerate(texts[:40])])
seeds("path", [vector["path"].encode() for vector in vectors["names"] if isinstance(vector.get("path"), str)][:40])
seeds("line", [b"put 'a b' c\\ d \"e\"", b"ls -l *.txt", b"'", b"a\\", "é \u202e".encode()])
seeds("known_hosts", [b"h:7171 sha256:" + b"00" * 32 + b"\n", b"# c\n@login alice@h:7171 md5\n", b"h:7171 sha256:zz\n", b"[::1]:9 x"])
seeds("config", [b'listen = "127.0.0.1:7171"\ndurability = "relaxed"\n', b'certificate = "a.pem"\nkey = "b.pem"\nno-tls = true\nlog-format = "json"\n',
                 b"[limits]\nidle-seconds = 5\nrequests = 64\n", b"limits = { strangers = 8 }", b"listne = 1", b"[limits]\nrequests = -1"])
