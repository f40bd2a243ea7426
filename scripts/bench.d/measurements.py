"""The measurements: the rows that each yields, the peers that it covers, and how it is done.

A measurement is done once for one peer and returns one value for each of its rows. Rounds, medians and comparisons
are made elsewhere.
"""

import contextlib
import re
import resource
import subprocess
import time
from typing import Callable, NamedTuple, Optional

from .places import HOST
from .processes import Failure, child, last_line, memory_and_fds, read_line, run

TUNNELS = 64  # kept tunnels, or connections under way at a time
BULK_TUNNELS = 8
CLIENT_SOURCES = 32
STUCK_TUNNELS = 100
WARM_UP_TUNNELS = 200
IDLE_TUNNELS = 2000
GIB = 2**30
BANDWIDTH_SECONDS = 5  # whatever --seconds says: over so long a time a limit is to hold within 3 %
TIMEOUT = 40  # seconds beside those of the measurement itself
LOGIN = ("bench", "open-sesame")


class Row(NamedTuple):
    name: str
    title: str
    unit: str
    better: str
    goal: Optional[tuple] = None  # the lowest and the highest value that will do


class Measurement(NamedTuple):
    name: str
    rows: list
    covers: Callable  # of a Peer: whether it is measured
    measure: Callable  # of a Bench and a Peer: the values of the rows; None where there is none


class Limit(NamedTuple):
    option: str
    rate: int  # bytes per second
    sessions: int
    title: str

    @property
    def whole(self):
        """What all sessions may have together."""
        return self.rate if self.option == "--user-bandwidth" else self.rate * self.sessions


class Bench(NamedTuple):
    """What the measurements of a run share."""

    seconds: float  # of one measurement
    threads: int  # of the client
    place: object  # loopback
    veth: object  # the namespaces, or None
    web_port: Optional[int]
    rules: str  # the path of the program that measures rules

    def load(self, started, mode, peer, *options, place=None):
        """Runs the load generator against a started peer. Its figures, and cpu: the peer's CPU seconds per unit of
        the total, or None if there is no peer."""
        command = (place or self.place).client(
            mode, peer, started.address, "--threads", self.threads, "--seconds", self.seconds, *options)
        before = started.cpu()
        figures = figures_of(run(command, self.seconds + TIMEOUT))
        # The whole run is divided by all it did (not just by what fell into the timed part), so nothing depends on
        # reading the two clocks at the same moment.
        figures["cpu"] = (started.cpu() - before) / figures["total"] if started.process else None
        if started.process and started.process.poll() is not None:
            raise Failure(f"the peer ended with status {started.process.returncode}")
        if figures["count"] == 0:
            raise Failure("nothing was relayed")
        return figures

    def one(self, mode, peer, *options, place=None, peer_options=()):
        """The same for a peer that is started for it."""
        with (place or self.place).started(peer, peer_options) as started:
            return self.load(started, mode, peer, *options, place=place)

    @contextlib.contextmanager
    def kept_tunnels(self, started, mode, peer, count, *options):
        """Tunnels that stay open."""
        command = self.place.client(mode, peer, started.address, "--conns", count, *options)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with child(command, self.place.directory / f"{mode}.log", **pipes) as process:
            found = re.search(r"open=(\d+) errors=(\d+)", read_line(process.stdout, 30))
            if found and int(found[1]) == count and int(found[2]) == 0:
                yield
            process.stdin.close()  # the tunnels close, and the result comes
            figures_of(read_line(process.stdout, 20))
            if not found:
                raise Failure("the load generator gave no number of tunnels")


def figures_of(output):
    """The key=value pairs of the load generator's last line, as numbers."""
    line, _, first_error = last_line(output).partition(" first_error=")
    figures = {key: float(value) for key, value in re.findall(r"(\w+)=([\d.]+)", line)}
    if not figures.keys() >= {"count", "rate", "total", "errors"}:
        raise Failure(f"load generator: {line}")
    if figures["errors"] > 0:
        raise Failure(f"{figures['errors']:.0f} errors, the first: {first_error}")
    return figures


def scaled(value, factor):
    return None if value is None else value * factor


def messages(bench, peer, mode):
    figures = bench.one(mode, peer, "--conns", TUNNELS, "--sources", CLIENT_SOURCES)
    return [figures["rate"], scaled(figures["cpu"], 1e6)]


def bulk(bench, peer, mode, place=None):
    figures = bench.one(mode, peer, "--conns", BULK_TUNNELS, place=place)
    return [figures["rate"] / GIB, scaled(figures["cpu"], GIB)]


def wrk(bench, peer):
    command = ["wrk", "-t", str(bench.threads), "-c", str(TUNNELS), "-d", f"{max(1, round(bench.seconds))}s"]
    command.append(f"http://{HOST}:{bench.web_port}/")
    with bench.place.started(peer) as started:
        if started.address:
            config = bench.place.directory / "proxychains.conf"
            proxy = "socks5 " + started.address.replace(":", " ")
            config.write_text(
                f"strict_chain\ntcp_read_time_out 15000\ntcp_connect_time_out 8000\n[ProxyList]\n{proxy}\n")
            command = ["proxychains4", "-q", "-f", str(config), *command]
        output = run(command, bench.seconds + TIMEOUT)
    errors = re.search(r"Socket errors:.*|Non-2xx.*", output)
    rate = re.search(r"Requests/sec:\s*([\d.]+)", output)
    if errors or not rate or float(rate[1]) == 0:
        raise Failure(errors[0] if errors else last_line(output) or "no output")
    return [float(rate[1])]


def idle(bench, peer):
    # Six descriptors per tunnel is what a gateway with two pipes needs.
    count = min(IDLE_TUNNELS, resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 8)
    with bench.place.started(peer) as started:
        # Code paths, thread stacks and allocator arenas that the first tunnels touch are no cost per tunnel.
        with bench.kept_tunnels(started, "idle", peer, WARM_UP_TUNNELS):
            pass
        time.sleep(0.5)
        before = memory_and_fds(started.process.pid)
        with bench.kept_tunnels(started, "idle", peer, count):
            after = memory_and_fds(started.process.pid)
    return [(after[0] - before[0]) / count, (after[1] - before[1]) / count]


def quiet(bench, peer):
    figures = bench.one("quiet", peer, "--conns", TUNNELS, peer_options=["--workers", "1"])
    return [figures["rate"] / GIB, figures["p99"], figures["max"]]


def stuck(bench, peer):
    def cpu(started):
        return bench.load(started, "download", peer, "--conns", BULK_TUNNELS, "--threads", 1)["cpu"]

    with bench.place.started(peer) as started:
        alone = cpu(started)
        # Another client: one from another address.
        with bench.kept_tunnels(started, "stuck", peer, STUCK_TUNNELS, "--sources", 1):
            time.sleep(1)  # until all buffers are full
            return [cpu(started) / alone]


def udp(bench, peer, mode, associations, window, size):
    # The target answers from the address that the kernel picks: with any other, an answer comes from a stranger.
    target = f"{HOST}:{bench.place.target_port}"
    return bench.one(
        mode, peer, "--conns", associations, "--window", window, "--size", size, "--target", target)


def udp_echo(bench, peer, associations, window, size):
    figures = udp(bench, peer, "udp-echo", associations, window, size)
    if figures["lost"] > 0:
        raise Failure(f"{figures['lost']:.0f} of {figures['sent']:.0f} datagrams were lost")
    return [figures["rate"], scaled(figures["cpu"], 1e6)]


def udp_flood(bench, peer):
    figures = udp(bench, peer, "udp-flood", 1, 1, 1200)
    return [figures["rate"], scaled(figures["cpu"], 1e6), 100 * figures["lost"] / figures["sent"]]


def rules(bench, peer):
    output = run([bench.rules], 60)
    found = {
        kind: [float(ns), float(cold), float(load)]
        for kind, load, ns, cold in re.findall(r"(\w+) load_ms=([\d.]+) ns=([\d.]+) cold_ns=([\d.]+)\n", output)
    }
    if set(found) != {"none", "sets", "each"}:
        raise Failure(last_line(output) or "no output")
    return [found["none"][0], *found["sets"], *found["each"]]


def bandwidth(bench, peer, limit, direction):
    peer_options, options = [limit.option, str(limit.rate)], ["--conns", limit.sessions, "--cut"]
    if limit.option == "--user-bandwidth":
        peer_options += ["--users", str(users_file(bench.place, peer))]
        options += ["--login", ":".join(LOGIN)]
    figures = bench._replace(seconds=BANDWIDTH_SECONDS).one(direction, peer, *options, peer_options=peer_options)
    each = [figures["lowest"], figures["highest"]] if limit.sessions > 1 else []
    return [figures["rate"] / limit.whole, *(rate * limit.sessions / limit.whole for rate in each)]


def users_file(place, peer):
    """A users file with one user, as an operator makes it."""
    name, password = LOGIN
    program = peer.command(place, HOST, 0, None)[0]
    typed, file = place.directory / "typed", place.directory / "users"
    typed.write_text(f"{password}\n")
    file.touch(0o600)
    with open(typed, "rb") as stdin:
        file.write_text(run([program, "passwd", name], 30, stdin=stdin))
    return file


def every(peer):
    return True


def gateways(peer):
    return peer.kind != "direct"


def socks_or_direct(peer):
    return peer.kind != "forward"


def penstock_only(peer):
    return peer.name == "penstock"


def message_measurements():
    yield Measurement(
        "connect",
        [
            Row("connect", "new connections", "conn/s", "higher"),
            Row("connect-cpu", "CPU per connection", "us", "lower"),
        ],
        every, lambda bench, peer: messages(bench, peer, "connect"))
    yield Measurement(
        "pingpong",
        [
            Row("pingpong", f"64-byte round trips, {TUNNELS} tunnels", "trips/s", "higher"),
            Row("pingpong-cpu", "CPU per round trip", "us", "lower"),
        ],
        every, lambda bench, peer: messages(bench, peer, "pingpong"))


def bulk_measurements():
    for mode in "upload", "download":
        yield Measurement(
            mode,
            [
                Row(mode, f"bulk {mode}, {BULK_TUNNELS} tunnels", "GiB/s", "higher"),
                Row(f"{mode}-cpu", f"CPU per {mode}ed GiB", "s/GiB", "lower"),
            ],
            every, lambda bench, peer, mode=mode: bulk(bench, peer, mode))
    for mode in "upload", "download":
        yield Measurement(
            f"veth-{mode}",
            [
                Row(f"veth-{mode}", f"bulk {mode} in 1,500-byte segments", "GiB/s", "higher"),
                Row(f"veth-{mode}-cpu", f"CPU per {mode}ed GiB, 1,500-byte segments", "s/GiB", "lower"),
            ],
            lambda peer: peer.veth, lambda bench, peer, mode=mode: bulk(bench, peer, mode, bench.veth))


def other_tcp_measurements():
    yield Measurement(
        "wrk", [Row("wrk", f"wrk through proxychains4, {TUNNELS} kept connections", "req/s", "higher")],
        socks_or_direct, wrk)
    yield Measurement(
        "idle",
        [
            Row("idle-memory", "RssAnon per idle tunnel", "KiB", "lower"),
            Row("idle-fds", "descriptors per idle tunnel", "fds", "lower"),
        ],
        gateways, idle)
    yield Measurement(
        "quiet",
        [
            Row("quiet-bulk", f"bulk download, {TUNNELS} tunnels on one worker, beside a quiet one", "GiB/s", "higher"),
            Row("quiet-p99", "round trip of the quiet one, 99th percentile", "ms", "lower", (0, 2)),
            Row("quiet-max", "round trip of the quiet one, the longest", "ms", "lower", (0, 20)),
        ],
        penstock_only, quiet)
    title = f"CPU per downloaded GiB beside {STUCK_TUNNELS} tunnels that nobody reads / without"
    yield Measurement("stuck", [Row("stuck-cpu", title, "", "lower", (0, 1.3))], penstock_only, stuck)


def udp_measurements():
    for size in 64, 1200:
        for associations, window, end in (1, 32, ""), (64, 4, "-many"):
            name = f"udp-echo-{size}{end}"
            yield Measurement(
                name,
                [
                    Row(name, f"{size}-byte UDP round trips, {associations} x {window} under way", "trips/s", "higher"),
                    Row(f"{name}-cpu", f"CPU per {size}-byte UDP round trip, {associations} x {window}", "us", "lower"),
                ],
                lambda peer: peer.udp,
                lambda bench, peer, given=(associations, window, size): udp_echo(bench, peer, *given))
    yield Measurement(
        "udp-flood",
        [
            Row("udp-flood", "1,200-byte datagrams one way, as many as arrive", "dgrams/s", "higher"),
            Row("udp-flood-cpu", "CPU per datagram that arrives", "us", "lower"),
            Row("udp-flood-loss", "datagrams that were sent and did not arrive", "%", "lower"),
        ],
        lambda peer: peer.udp, udp_flood)


def rules_measurement():
    rows = [Row("rules-none", "judging a connection without rules", "ns", "lower")]
    for kind, how in ("sets", "in two sets"), ("each", "with a rule each"):
        what = f"10,000 blocks and 10,000 names {how}"
        rows.append(Row(f"rules-{kind}", f"judging a connection by {what}", "ns", "lower"))
        rows.append(Row(f"rules-{kind}-cold", f"the same with cold caches, by {what}", "ns", "lower"))
        rows.append(Row(f"rules-{kind}-load", f"loading {what}", "ms", "lower"))
    return Measurement("rules", rows, penstock_only, rules)


def bandwidth_measurements():
    limits = {
        "one": Limit("--bandwidth", 1_000_000, 1, "1 session at 1 MB/s"),
        "each": Limit("--bandwidth", 100_000, 100, "100 sessions at 100 kB/s each"),
        "user": Limit("--user-bandwidth", 10_000_000, 100, "100 sessions of a user at 10 MB/s"),
    }
    for kind, limit in limits.items():
        for direction in "upload", "download":
            name, best = f"bandwidth-{kind}-{direction}", ("closer to 1", (0.97, 1.03))
            rows = [Row(name, f"bandwidth, {limit.title}, {direction}", "of limit", *best)]
            if limit.sessions > 1:
                unit = "of equal share" if kind == "user" else "of limit"
                for end, which in ("lowest", "slowest"), ("highest", "fastest"):
                    title = f"bandwidth, the {which} of {limit.title}, {direction}"
                    rows.append(Row(f"{name}-{end}", title, unit, *best))
            yield Measurement(
                name, rows, penstock_only,
                lambda bench, peer, given=(limit, direction): bandwidth(bench, peer, *given))


MEASUREMENTS = [
    *message_measurements(),
    *bulk_measurements(),
    *other_tcp_measurements(),
    *udp_measurements(),
    rules_measurement(),
    *bandwidth_measurements(),
]
