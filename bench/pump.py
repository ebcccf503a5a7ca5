"""The limit: bytes from a file through one connection into a file, with nothing else done to them.

    pump.py serve HOST PORT FOLDER [CERT KEY]
    pump.py put|get HOST PORT LOCAL REMOTE [CA]

Without TLS the sender is sendfile(2) and the receiver recv(2) into 1 MiB. With it both are OpenSSL (AES-128-GCM), 256 KiB handed over at once.
Python only passes the buffers: what it adds is below 0.1 s of CPU a GiB.
"""
import os
import socket
import ssl
import sys

PART = 256 << 10


def encrypted(context):
    """The fastest that OpenSSL has for this; version 1.2, for Python cannot choose a cipher of 1.3."""
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    return context


def send(sock, path):
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        sock.sendall(size.to_bytes(8, "big"))
        if not isinstance(sock, ssl.SSLSocket):
            sent = 0
            while sent < size:
                sent += os.sendfile(sock.fileno(), file.fileno(), sent, size - sent)
            return
        part = memoryview(bytearray(PART))
        while read := file.readinto(part):
            sock.sendall(part[:read])


def receive(sock, path):
    size, have = int.from_bytes(exactly(sock, 8), "big"), 0
    part = memoryview(bytearray(1 << 20))
    # OpenSSL gives a record at a time; they are gathered so that a write is worth its system call.
    full = PART if isinstance(sock, ssl.SSLSocket) else 1
    with open(path, "wb", buffering=0) as file:
        while have < size:
            filled = 0
            while filled < full and have + filled < size:
                got = sock.recv_into(part[filled:])
                if not got:
                    raise ConnectionError("cut off")
                filled += got
            have += filled
            file.write(part[:filled])


def exactly(sock, size):
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise ConnectionError("cut off")
        data += more
    return data


def serve(host, port, folder, *keys):
    listener = socket.create_server((host, int(port)), backlog=64)
    context = None
    if keys:
        context = encrypted(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        context.load_cert_chain(*keys)
    while True:
        sock, _ = listener.accept()
        if os.fork():
            sock.close()
            reap()
            continue
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock = context.wrap_socket(sock, server_side=True) if context else sock
        what = exactly(sock, 2)
        path = os.path.join(folder, exactly(sock, int.from_bytes(what, "big")).decode())
        if exactly(sock, 1) == b"p":
            receive(sock, path)
            sock.sendall(b"k")
        else:
            send(sock, path)
        os._exit(0)


def reap():
    """Takes leave of children that have ended, so that their CPU time counts as ours."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def client(verb, host, port, local, remote, ca=None):
    sock = socket.create_connection((host, int(port)))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if ca:
        sock = encrypted(ssl.create_default_context(cafile=ca)).wrap_socket(sock, server_hostname=host)
    name = remote.encode()
    sock.sendall(len(name).to_bytes(2, "big") + name + verb[:1].encode())
    if verb == "put":
        send(sock, local)
        exactly(sock, 1)
    else:
        receive(sock, local)


if __name__ == "__main__":
    serve(*sys.argv[2:]) if sys.argv[1] == "serve" else client(*sys.argv[1:])
