"""The peers: Penstock, another revision of it, the servers it is compared with, and no gateway at all.

A peer knows its command line, its configuration file and its version. Starting and measuring it is done elsewhere.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable, NamedTuple, Optional

from .processes import die, last_line, progress

ROOT = Path(__file__).resolve().parents[2]


class Peer(NamedTuple):
    name: str
    kind: str  # socks; forward: plain TCP to the target; direct: nothing in between
    # (place, address, port, config) to the command line. config is a path to which it may write a configuration file.
    command: Optional[Callable] = None
    version: str = ""
    veth: bool = False  # listens on addresses other than loopback
    udp: bool = False
    own: bool = False  # Penstock, in whatever revision


DIRECT = Peer("direct", "direct", version="no gateway", udp=True)


def microsocks(workers):
    return lambda place, address, port, config: ["microsocks", "-i", address, "-p", str(port)]


def danted(workers):
    def command(place, address, port, config):
        users = "user.privileged: root\nuser.unprivileged: root\n" if os.geteuid() == 0 else ""
        config.write_text(
            f"errorlog: stderr\ninternal: {address} port = {port}\nexternal: {address}\n"
            f"clientmethod: none\nsocksmethod: none\n{users}"
            "client pass {\n  from: 0.0.0.0/0 to: 0.0.0.0/0\n}\n"
            "socks pass {\n  from: 0.0.0.0/0 to: 0.0.0.0/0\n}\n"
        )
        return ["danted", "-f", str(config), "-p", f"{config}.pid", "-N", str(workers)]

    return command


def hev(workers):
    def command(place, address, port, config):
        config.write_text(
            f"main:\n  workers: {workers}\n  port: {port}\n  listen-address: '{address}'\n"
            "misc:\n  log-file: stderr\n  limit-nofile: 65535\n"
        )
        return ["hev-socks5-server", str(config)]

    return command


def haproxy(workers):
    def command(place, address, port, config):
        servers = "".join(f"  server s{i} {t}:{place.target_port}\n" for i, t in enumerate(place.targets))
        config.write_text(
            f"global\n  nbthread {workers}\n  maxconn 8000\n"
            "defaults\n  mode tcp\n  timeout connect 10s\n  timeout client 1h\n  timeout server 1h\n"
            f"frontend in\n  bind {address}:{port}\n  default_backend out\n"
            f"backend out\n  balance roundrobin\n{servers}"
        )
        return ["haproxy", "-db", "-f", str(config)]

    return command


def nginx_command(config, workers, text):
    """Writes the configuration of an nginx that keeps all its files beside it; returns the command line."""
    user = "user root;\n" if os.geteuid() == 0 else ""  # only the owner may read the temporary directory
    config.write_text(
        f"{stream_module()}{user}worker_processes {workers};\npid {config}.pid;\nerror_log stderr crit;\n"
        f"worker_rlimit_nofile 20000;\nevents {{\n  worker_connections 8192;\n}}\n{text}"
    )
    # -e: the default error log is not writable for everyone.
    return ["nginx", "-p", str(config.parent), "-e", "stderr", "-c", str(config), "-g", "daemon off;"]


def stream_module():
    """The line that loads a dynamic stream module; empty if stream is built in or not installed."""
    options = subprocess.run(["nginx", "-V"], capture_output=True, text=True).stderr
    found = re.search(r"--modules-path=(\S+)", options)
    module = Path(found[1] if found else "/usr/lib/nginx/modules", "ngx_stream_module.so")
    return f"load_module {module};\n" if "--with-stream=dynamic" in options and module.exists() else ""


def nginx_stream(workers):
    def command(place, address, port, config):
        servers = "".join(f"    server {target}:{place.target_port};\n" for target in place.targets)
        return nginx_command(
            config,
            workers,
            f"stream {{\n  access_log off;\n  upstream target {{\n{servers}  }}\n"
            f"  server {{\n    listen {address}:{port} reuseport;\n    proxy_pass target;\n  }}\n}}\n",
        )

    return command


def version_of(*command):
    """The first line of what a command says of its version, without its copyright."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "version unknown"
    lines = (done.stdout + done.stderr).strip().splitlines()
    if not lines or done.returncode not in (0, 1):
        return "version unknown"
    return " ".join(lines[0].partition("Copyright")[0].split())


def hev_version():
    done = subprocess.run(["hev-socks5-server", "--version"], capture_output=True, text=True)
    found = re.search(r"Version: (.*)", done.stdout + done.stderr)
    return "hev-socks5-server " + (found[1] if found else "version unknown")


def penstock(path, workers, name="penstock"):
    if not os.access(path, os.X_OK):
        die(f"{path} is not there: build it first, or use --without penstock")
    program = str(Path(path).resolve())

    def command(place, address, port, config):
        # Beyond loopback the gateway does not start without a rule that says which clients may come.
        rules = [] if address.startswith("127.") else ["--allow", "client 198.18.0.0/15"]
        return [program, "--listen", f"{address}:{port}", "--workers", str(workers), *rules]

    return Peer(name, "socks", command, version_of(program, "--version"), veth=True, udp=True, own=True)


def base(revision, workers):
    """Penstock as of a revision of this repository, built once for each commit."""
    found = subprocess.run(["git", "-C", ROOT, "rev-parse", "--verify", f"{revision}^{{commit}}"],
                           capture_output=True, text=True)
    if found.returncode != 0:
        die(f"--base {revision}: {last_line(found.stderr)}")
    commit = found.stdout.strip()
    tree = ROOT / "build" / "base" / commit
    program = tree / "build" / "release" / "penstock"
    if not program.exists():
        progress(f"builds {revision} in {tree}")
        tree.mkdir(parents=True, exist_ok=True)
        archive = subprocess.run(["git", "-C", ROOT, "archive", commit], stdout=subprocess.PIPE, check=True)
        subprocess.run(["tar", "-x", "-C", tree], input=archive.stdout, check=True)
        # A make that called this script has a job server and variables that are not passed on.
        environment = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "BUILD")}
        if subprocess.run(["make", "-s", "release"], cwd=tree, stdout=sys.stderr, env=environment).returncode != 0:
            die(f"--base {revision}: cannot be built")
    return penstock(program, workers, "base")._replace(version=f"{revision}, commit {commit[:12]}")


def scraped(peer):
    """Penstock with its admin interface, which something reads each second as Prometheus and the live page do."""

    def command(place, address, port, config):
        socket = f"{config}.sock"
        # In a session of its own, so that its CPU and memory are not the gateway's. It ends with the gateway.
        reads = " ".join(f"http://localhost/{path}" for path in ("metrics", "api/v1/sessions?limit=500"))
        scrape = f"while sleep 1 && curl -sf --unix-socket {shlex.quote(socket)} {reads} >/dev/null; do :; done"
        line = shlex.join([*peer.command(place, address, port, config), "--admin", f"unix:{socket}"])
        return ["bash", "-c", f"setsid bash -c {shlex.quote(scrape)} & exec {line}"]

    return peer._replace(command=command, version=f"{peer.version}, scraped each second")


def custom(spec, workers):
    """NAME=COMMAND of --peer."""
    name, _, text = spec.partition("=")
    template = shlex.split(text)
    if not re.fullmatch(r"[\w.-]+", name) or not any("{port}" in word for word in template):
        die(f"--peer {spec}: NAME=COMMAND with {{port}} in the command is needed")

    def command(place, address, port, config):
        values = {"{port}": str(port), "{workers}": str(workers), "{address}": address}
        return [re.sub(r"\{\w+\}", lambda found: values.get(found[0], found[0]), word) for word in template]

    return Peer(name, "socks", command, text, veth=any("{address}" in word for word in template), udp=True)


def known(workers):
    """The peers that take part where they are installed: (program, peer without a version, function to its version)."""
    return [
        ("hev-socks5-server", Peer("hev", "socks", hev(workers), veth=True, udp=True), hev_version),
        ("microsocks", Peer("microsocks", "socks", microsocks(workers)),
         lambda: version_of("dpkg-query", "-W", "microsocks")),
        ("danted", Peer("danted", "socks", danted(workers), udp=True), lambda: version_of("danted", "-v")),
        ("haproxy", Peer("haproxy", "forward", haproxy(workers)), lambda: version_of("haproxy", "-v")),
        ("nginx", Peer("nginx-stream", "forward", nginx_stream(workers), veth=True), lambda: version_of("nginx", "-v")),
    ]


def find_peers(args):
    """The peers of this run in the order of its tables, and notes on those which are left out."""
    peers, notes = [], []
    if args.base:
        return [penstock(args.penstock, args.workers), base(args.base, args.workers)], notes
    if args.scraped:
        own = penstock(args.penstock, args.workers)
        return [scraped(own), own._replace(name="base")], notes
    if "penstock" not in args.without:
        peers.append(penstock(args.penstock, args.workers))
    peers += [custom(spec, args.workers) for spec in args.peer]
    for program, peer, version in known(args.workers):
        if peer.name in args.without:
            continue
        if shutil.which(program):
            peers.append(peer._replace(version=version()))
        else:
            notes.append(f"{peer.name}: not measured: {program} is not installed")
    if "direct" not in args.without:
        peers.append(DIRECT)
    if len({peer.name for peer in peers}) != len(peers):
        die("two peers have the same name")
    return peers, notes
