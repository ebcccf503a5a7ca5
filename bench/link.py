"""A link with a round trip of 40 ms, between the servers' network namespace and one for clients.

Two TUN devices and a queue between them: the kernel's own TCP at both ends sees a real path, with packets of up to 64 KiB crossing whole, as a
network card would take them. It needs no `sch_netem`, which many kernels lack. Nothing is lost, and there is no limit to the rate.
"""
import collections
import ctypes
import fcntl
import os
import select
import struct
import sys
import time

import measure
from sandbox import FAR, NEAR, Missing, run

NAMESPACE = "far"
ROUND_TRIP = 0.040
# linux/if_tun.h: what is asked of the devices.
TUNSETIFF, TUNSETOFFLOAD, TUNSETVNETHDRSZ = 0x400454CA, 0x400454D0, 0x400454D8
IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4 = 0x01, 0x02
HEADER_BYTES = 12
CLONE_NEWNET = 0x40000000


class Link:
    """The link while it is open; `clients` run at its far end."""

    def __init__(self, place):
        if not place.isolated:
            raise Missing("the delayed link needs root, for its network namespaces")
        if not os.path.exists("/dev/net/tun"):
            raise Missing("the delayed link needs /dev/net/tun")
        run("ip", "netns", "add", NAMESPACE)
        run("ip", "-n", NAMESPACE, "link", "set", "lo", "up")
        self._process = measure.start(place, [sys.executable, os.path.abspath(__file__)], root=True, stdout=-1, text=True)
        if self._process.stdout.readline() != "READY\n":
            raise Missing("the delayed link could not be made")
        self.clients = measure.Clients(place, before=["nsenter", f"--net=/run/netns/{NAMESPACE}"])
        # What the link takes is not others' CPU.
        self.clients.group.add(self._process.pid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.clients.end()
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        run("ip", "netns", "del", NAMESPACE)


def device(address, other):
    """A TUN device with an address, in the namespace that this thread is in."""
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"delayed", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR))
    fcntl.ioctl(tun, TUNSETVNETHDRSZ, struct.pack("i", HEADER_BYTES))
    fcntl.ioctl(tun, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4)
    run("ip", "addr", "add", address, "peer", other, "dev", "delayed")
    run("ip", "link", "set", "delayed", "txqueuelen", "10000", "up")
    return tun


def carry(ends, delay):
    """Hands packets from each end to the other, each `delay` seconds after it came, for ever."""
    queues = {here: collections.deque() for here in ends}
    across = {ends[0]: ends[1], ends[1]: ends[0]}
    poller = select.poll()
    for end in ends:
        poller.register(end, select.POLLIN)
    while True:
        now = time.monotonic()
        for here, queue in queues.items():
            while queue and queue[0][0] <= now:
                try:
                    os.write(across[here], queue[0][1])
                except (BlockingIOError, OSError):
                    break
                queue.popleft()
        due = min((queue[0][0] for queue in queues.values() if queue), default=None)
        # poll counts in whole milliseconds: the last one is waited for by looking again.
        wait = None if due is None else max(0, int((due - time.monotonic()) * 1000))
        for here, _ in poller.poll(wait):
            for _ in range(64):
                try:
                    packet = os.read(here, 66000)
                except BlockingIOError:
                    break
                queues[here].append((time.monotonic() + delay, packet))


def main():
    near = device(NEAR, FAR)
    with open(f"/run/netns/{NAMESPACE}") as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    far = device(FAR, NEAR)
    print("READY", flush=True)
    carry((near, far), ROUND_TRIP / 2)


if __name__ == "__main__":
    main()
