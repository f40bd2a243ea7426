"""The places of a measurement: loopback, or three network namespaces; with the target and the web server in them.

A place starts peers and knows how to start the load generator against them. It does not read any figures.
"""

import array
import contextlib
import fcntl
import os
import socket
import struct
import subprocess
import time
from pathlib import Path
from typing import NamedTuple, Optional

from .peers import nginx_command
from .processes import Failure, child, cpu_seconds, die, last_line, read_line

HOST = "127.0.0.1"

# Of the network namespace of whoever opens it.
CONGESTION_CONTROL = Path("/proc/sys/net/ipv4/tcp_congestion_control")

# Gateways reach the target at several addresses: one pair of addresses has some 28,000 ports, and each closed
# connection keeps its port for a while (TIME_WAIT). Clients are spread over source addresses for the same reason.
TARGET_ADDRESSES = [f"127.0.0.{i}" for i in range(2, 10)]


class Started(NamedTuple):
    """A peer that accepts connections; neither process nor address for direct."""

    process: Optional[subprocess.Popen] = None
    address: Optional[str] = None  # address:port

    def cpu(self):
        return cpu_seconds(self.process.pid) if self.process else 0


class Place:
    """How to run a command beside client, gateway and target, and the addresses of these."""

    def __init__(self, directory, load, gateway, targets, run_client=(), run_gateway=(), run_target=()):
        self.directory = directory
        self.load = load  # the path of the load generator
        self.gateway = gateway
        self.targets = targets
        self.run_client = list(run_client)
        self.run_gateway = list(run_gateway)
        self.run_target = list(run_target)
        self.stats = directory / f"stats-{gateway}"
        self.target_port = None  # set by target()

    @contextlib.contextmanager
    def target(self, threads):
        command = [*self.run_target, self.load, "target", "--listen", "0.0.0.0:0"]
        command += ["--stats", self.stats, "--threads", str(threads)]
        with child(command, self.directory / "target.log", stdout=subprocess.PIPE) as process:
            self.target_port = int(read_line(process.stdout, 10).removeprefix("port="))
            yield

    @contextlib.contextmanager
    def started(self, peer, options=()):
        """Runs the peer with these options behind its own."""
        if peer.kind == "direct":
            yield Started()
            return
        log = self.directory / f"{peer.name}.log"
        environment = {**os.environ, "TMPDIR": str(self.directory)}
        for _ in range(3):
            port = free_port(self.gateway)
            command = [*peer.command(self, self.gateway, port, self.directory / f"{peer.name}.conf"), *options]
            with child(self.run_gateway + command, log, env=environment) as process:
                if self.ready(process, f"{self.gateway}:{port}"):
                    yield Started(process, f"{self.gateway}:{port}")
                    return
                if process.poll() is None:
                    raise Failure("accepts no connections")
            # It ended: perhaps the port was taken in the meantime.
        raise Failure("did not start: " + (last_line(log.read_text(errors="replace")) or "no message"))

    def ready(self, process, address):
        deadline = time.monotonic() + 10
        while process.poll() is None and time.monotonic() < deadline:
            probe = subprocess.run([*self.run_client, self.load, "ready", "--via", address])
            if probe.returncode == 0:
                return process.poll() is None
            time.sleep(0.02)
        return False

    def client(self, mode, peer, address, *options):
        """The command line of the load generator; a later option of the same name wins."""
        command = [*self.run_client, self.load, mode, "--target", f"{self.targets[0]}:{self.target_port}"]
        command += ["--targets", len(self.targets), "--stats", self.stats]
        if address:
            command += ["--via", address]
        if peer.kind == "forward":
            command.append("--no-socks")
        return [str(word) for word in [*command, *options]]


def free_port(address):
    with socket.socket() as probe:
        # A port that the kernel hands out is free now; whoever starts a server on it retries if that has changed.
        with contextlib.suppress(OSError):
            probe.bind((address, 0))
            return probe.getsockname()[1]
        probe.bind(("", 0))  # the address exists only inside a network namespace
        return probe.getsockname()[1]


@contextlib.contextmanager
def web_server(directory):
    """nginx with a 64-byte file; yields its port."""
    (directory / "www").mkdir()
    (directory / "www" / "index.html").write_text("x" * 63 + "\n")
    paths = "".join(f"  {n}_temp_path {directory};\n" for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    http = f"  access_log off;\n  keepalive_requests 1000000000;\n  keepalive_timeout 1h;\n{paths}"
    for _ in range(3):
        port = free_port(HOST)
        server = f"  server {{\n    listen {HOST}:{port} reuseport;\n    root {directory}/www;\n  }}\n"
        workers = max(1, os.cpu_count() // 2)
        command = nginx_command(directory / "web.conf", workers, f"http {{\n{http}{server}}}\n")
        with child(command, directory / "web.log") as process:
            deadline = time.monotonic() + 10
            while process.poll() is None and time.monotonic() < deadline:
                with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1):
                    yield port
                    return
                time.sleep(0.02)
    die("nginx did not start: " + last_line((directory / "web.log").read_text()))


def offloads_off(interface):
    """What `ethtool -K INTERFACE tso off gso off gro off` does, without needing ethtool."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in (0x1F, 0x24, 0x2C):  # ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO
            value = array.array("I", [command, 0])
            request = struct.pack("16sP", interface.encode(), value.buffer_info()[0])
            fcntl.ioctl(control, 0x8946, request + bytes(16))  # SIOCETHTOOL


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=20)


def join(left, right, number, cleanup):
    """Joins two namespaces, each (name, address), by a veth pair without offloads."""
    ends = [f"pb{os.getpid()}{end}{number}" for end in "ab"]
    cleanup.callback(subprocess.run, ["ip", "link", "del", ends[0]], stderr=subprocess.DEVNULL)
    ip("link", "add", ends[0], "mtu", "1500", "type", "veth", "peer", "name", ends[1], "mtu", "1500")
    for end, (namespace, address) in zip(ends, (left, right)):
        offloads_off(end)  # before the move: it needs a socket of the namespace that the device is in
        ip("link", "set", end, "netns", namespace)
        ip("-n", namespace, "address", "add", address, "dev", end)
        ip("-n", namespace, "link", "set", end, "up")


@contextlib.contextmanager
def namespaces(directory, load):
    """Client, gateway and target in network namespaces of their own, joined by two veth pairs:

    client 198.18.1.2 -- 198.18.1.1 gateway 198.18.2.1 -- 198.18.2.2 target

    Loopback hands over segments of 64 KiB. With the offloads of the veth devices off, every segment of 1,500 bytes
    travels by itself, as from a network card without them. There is no route from client to target.
    """
    used = CONGESTION_CONTROL.read_text().strip()
    client, gateway, target = names = [f"bench{os.getpid()}-{role}" for role in ("client", "gateway", "target")]
    with contextlib.ExitStack() as cleanup:
        for name in names:
            # Registered first: a namespace must go even if a signal arrives just after it was made.
            cleanup.callback(subprocess.run, ["ip", "netns", "del", name], stderr=subprocess.DEVNULL)
            ip("netns", "add", name)
            ip("netns", "exec", name, "sh", "-c", f"echo {used} >{CONGESTION_CONTROL}")
        join((client, "198.18.1.2/24"), (gateway, "198.18.1.1/24"), 0, cleanup)
        join((target, "198.18.2.2/24"), (gateway, "198.18.2.1/24"), 1, cleanup)
        inside = [["ip", "netns", "exec", name] for name in names]
        yield Place(directory, load, "198.18.1.1", ["198.18.2.2"], *inside)
