"""Opens sessions, logs in on each, prints `READY` and how many there are, and holds them until its standard input ends.

    idle.py ftp|ftps|http|https|redis HOST PORT COUNT USER PASSWORD [CA]
    idle.py ssh HOST PORT COUNT SSH-COMMAND...      one ssh client each, which has asked the sftp subsystem for its version
    idle.py ferry HOST PORT COUNT USER PASSWORD KEY CLIENT KNOWN    KEY: the server's, or `-` without TLS; CLIENT: our client in Python
"""
import base64
import socket
import ssl
import struct
import subprocess
import sys


def answer(file):
    """The last line of an FTP server's answer."""
    while line := file.readline():
        if line[:3].isdigit() and line[3:4] == b" ":
            return line
    raise ConnectionError("closed")


def ask(sock, file, line, expected):
    sock.sendall(line.encode() + b"\r\n")
    said = answer(file)
    if not said.startswith(expected):
        raise ConnectionError(f"{line.split()[0]}: {said!r}")


def ftp(sock, secure, user, password):
    file = sock.makefile("rb", buffering=0)
    answer(file)
    if secure:
        ask(sock, file, "AUTH TLS", b"234")
        sock = secure(sock)
        file = sock.makefile("rb", buffering=0)
    ask(sock, file, f"USER {user}", b"331")
    ask(sock, file, f"PASS {password}", b"230")
    ask(sock, file, "PWD", b"257")
    return sock


def http(sock, secure, user, password):
    sock = secure(sock) if secure else sock
    login = base64.b64encode(f"{user}:{password}".encode()).decode()
    sock.sendall(f"HEAD /served/ HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {login}\r\n\r\n".encode())
    said = b""
    while not said.endswith(b"\r\n\r\n"):
        more = sock.recv(4096)
        if not more:
            raise ConnectionError("closed")
        said += more
    if b" 200 " not in said.split(b"\r\n")[0]:
        raise ConnectionError(said.split(b"\r\n")[0].decode())
    return sock


def redis(sock, *_):
    sock.sendall(b"PING\r\n")
    if not sock.recv(64).startswith(b"+PONG"):
        raise ConnectionError("no PONG")
    return sock


def sockets(kind, host, port, count, user, password, authority=None):
    secure = None
    if kind in ("ftps", "https"):
        context = ssl.create_default_context(cafile=authority)
        secure = lambda sock: context.wrap_socket(sock, server_hostname=host)
    log_in = {"ftp": ftp, "ftps": ftp, "http": http, "https": http, "redis": redis}[kind]
    return [log_in(socket.create_connection((host, port)), secure, user, password) for _ in range(count)]


def ssh(count, command):
    held = []
    for _ in range(count):
        one = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        one.stdin.write(struct.pack("!IBI", 5, 1, 3))
        one.stdin.flush()
        held.append(one)
    for one in held:
        if len(one.stdout.read(4)) != 4:
            raise ConnectionError("ssh: closed")
    return held


def ours(host, port, count, user, password, key, client, known):
    sys.path.insert(0, client)
    import ferry
    target = f"{user}@{host}:{port}"
    if key == "-":
        # Each pays the slow hash of a login by password; there are no others without TLS.
        return [ferry.connect(target, password, use_tls=False, known=known) for _ in range(count)]
    ferry.connect(target, password, pin=key, known=known, save="bench").close()
    return [ferry.connect(target, pin=key, known=known, use_saved=True) for _ in range(count)]


if __name__ == "__main__":
    kind, host, port, count, *rest = sys.argv[1:]
    if kind == "ssh":
        held = ssh(int(count), rest)
    elif kind == "ferry":
        held = ours(host, port, int(count), *rest)
    else:
        held = sockets(kind, host, int(port), int(count), *rest)
    print("READY", len(held), flush=True)
    sys.stdin.read()
    if kind == "ssh":
        for one in held:
            one.kill()
            one.wait()
