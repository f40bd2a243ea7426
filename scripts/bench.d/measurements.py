"""The measurements, in sections: how each is done, the rows that it yields, and the peers that it covers.

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
from .processes import (
    Failure, asleep, child, epoll_sizes, last_line, memory_and_fds, read_line, run, session_pids, settled, traced)

TUNNELS = 64  # kept tunnels, or connections under way at a time
BULK_TUNNELS = 8
CLIENT_SOURCES = 32
STUCK_TUNNELS = 100
WARM_UP_TUNNELS = 200
IDLE_TUNNELS = 2000
BALANCE_TUNNELS = 512
BALANCE_WORKERS = 2
TRACED_SESSIONS = 20
GIB = 2**30
BANDWIDTH_SECONDS = 5  # whatever --seconds says: over so long a time a limit is to hold within 3 %
TIMEOUT = 40  # seconds beside those of the measurement itself
LOGIN = ("bench", "open-sesame")
WAITS = ("epoll_wait", "epoll_pwait", "epoll_pwait2")
ACCEPTS = ("accept", "accept4")


class Row(NamedTuple):
    name: str
    title: str
    unit: str
    better: str  # higher, lower, or closer to 1
    goal: Optional[tuple] = None  # of Penstock: the lowest and the highest value that will do; None: no such bound
    ratio_goals: dict = {}  # peer name -> the same of Penstock's value divided by that peer's


class Measurement(NamedTuple):
    name: str
    rows: list
    covers: Callable  # of a Peer: whether it is measured
    measure: Callable  # of a Bench and a Peer: the values of the rows; None where there is none


class Section(NamedTuple):
    """Measurements that are done in the same way."""

    title: str
    how: str  # for the reader of the results
    measurements: list


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
        if figures["count"] == 0:
            raise Failure("nothing was relayed")
        # The whole run is divided by all it did (not just by what fell into the timed part), so nothing depends on
        # reading the two clocks at the same moment.
        figures["cpu"] = (started.cpu() - before) / figures["total"] if started.process else None
        if started.process and started.process.poll() is not None:
            raise Failure(f"the peer ended with status {started.process.returncode}")
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
        before = settled(lambda: memory_and_fds(started.process.pid))
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
            return [cpu(started) / alone]


def balance(bench, peer):
    with bench.place.started(peer, ["--workers", str(BALANCE_WORKERS)]) as started:
        leader = started.process.pid
        before = settled(lambda: epoll_sizes(leader))
        with bench.kept_tunnels(started, "idle", peer, BALANCE_TUNNELS, "--sources", CLIENT_SOURCES):
            more = epoll_sizes(leader) - before
    if not more:
        raise Failure("no epoll instance has the tunnels")
    return [max(more.values()) * BALANCE_WORKERS / more.total()]


def syscalls(bench, peer):
    with bench.place.started(peer) as started:
        leader, command = started.process.pid, bench.place.client("once", peer, started.address)

        def sessions(at_rest):
            for _ in range(TRACED_SESSIONS):
                run(command, TIMEOUT)
                deadline = time.monotonic() + TIMEOUT
                while not at_rest():
                    if time.monotonic() > deadline:
                        raise Failure("does not end a session")
                    time.sleep(0.001)

        sessions(lambda: asleep(leader))  # what only the first ones need
        descriptors = settled(lambda: memory_and_fds(leader)[1])
        with traced(session_pids(leader), bench.place.directory) as calls:
            before = settled(calls)
            sessions(lambda: memory_and_fds(leader)[1] == descriptors and asleep(leader))
            made = calls() - before
    # Threads without an event loop, such as one that looks at files every second, serve no session.
    servers = {thread for thread, name, _ in made if name in WAITS}
    made = {call: number for call, number in made.items() if call[0] in servers}
    waits = sum(number for (_, name, _), number in made.items() if name in WAITS)
    empty = sum(number for (_, name, error), number in made.items() if name in ACCEPTS and error == "EAGAIN")
    return [number / TRACED_SESSIONS for number in (sum(made.values()), sum(made.values()) - waits, empty)]


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


def polls_fairly(peer):
    return peer.name != "microsocks"


def gateways(peer):
    return peer.kind != "direct"


def socks_or_direct(peer):
    return peer.kind != "forward"


def own(peer):
    return peer.own


def own_or_direct(peer):
    return peer.own or peer.kind == "direct"


def own_or_nginx(peer):
    return peer.own or peer.name == "nginx-stream"


def this_tree(peer):
    return peer.name == "penstock"


def on_veth(peer):
    return peer.veth


def with_udp(peer):
    return peer.udp


def message_section():
    connect = [
        Row("connect", "new connections", "conn/s", "higher", ratio_goals={"nginx-stream": (0.83, None)}),
        Row("connect-cpu", "CPU per connection", "µs", "lower", ratio_goals={"nginx-stream": (None, 1.05)}),
    ]
    pingpong = [
        Row("pingpong", "round trips", "trips/s", "higher", ratio_goals={"nginx-stream": (1.0, None)}),
        Row("pingpong-cpu", "CPU per round trip", "µs", "lower"),
    ]
    return Section(
        "Connections and short messages",
        f"{TUNNELS} connections at a time, to eight addresses of the target. A new connection is handshake, request, 64 "
        "bytes each way and close. A round trip is one message of 64 bytes each way in a tunnel that stays open.",
        [
            Measurement("connect", connect, every, lambda bench, peer: messages(bench, peer, "connect")),
            Measurement("pingpong", pingpong, every, lambda bench, peer: messages(bench, peer, "pingpong")),
        ])


def syscalls_section():
    rows = [
        Row("syscalls", "system calls per session", "", "lower", (None, 23)),
        Row("syscalls-beside-waits", "those without waits for events", "", "lower", (None, 18)),
        Row("syscalls-empty-accepts", "of these, accepts without a connection", "", "lower", (None, 0)),
    ]
    return Section(
        "System calls of a short session",
        f"The mean of {TRACED_SESSIONS} sessions, one after the other: handshake, request, 64 bytes each way; the "
        "target closes first, right behind its answer. The client waits for each answer, and the next "
        "session starts when the gateway has closed all descriptors of the last one and all its threads "
        "sleep. strace counts the calls of the "
        "threads that wait for events.",
        [Measurement("syscalls", rows, own_or_nginx, syscalls)])


def bulk_section():
    def measurement(mode, title, goals, cpu_title, cpu_goals):
        rows = [
            Row(mode, title, "GiB/s", "higher", ratio_goals=goals),
            Row(f"{mode}-cpu", cpu_title, "s/GiB", "lower", ratio_goals=cpu_goals),
        ]
        covers = polls_fairly if mode == "both" else every
        return Measurement(mode, rows, covers, lambda bench, peer: bulk(bench, peer, mode))

    return Section(
        "Bulk",
        f"{BULK_TUNNELS} tunnels over loopback, as much as they carry, counted where it is received. Both is "
        "upload and download in each tunnel at the same time, and its value is their sum; microsocks cannot "
        "do it, for it sends "
        "nothing to a client while that has more to say. CPU is that of the whole transfer, divided by all its bytes.",
        [
            measurement("upload", "upload", {"hev": (1.5, None), "direct": (0.85, None)},
                        "CPU per uploaded GiB", {"nginx-stream": (None, 0.2)}),
            measurement("download", "download", {"hev": (1.6, None), "direct": (0.7, None)},
                        "CPU per downloaded GiB", {"nginx-stream": (None, 0.25)}),
            measurement("both", "both", {"hev": (1.6, None)}, "CPU per relayed GiB", {}),
        ])


def veth_section():
    def measurement(mode):
        name = f"veth-{mode}"
        goals = {"nginx-stream": (None, 0.33)}
        rows = [
            Row(name, mode, "GiB/s", "higher"),
            Row(f"{name}-cpu", f"CPU per {mode}ed GiB", "s/GiB", "lower", ratio_goals=goals),
        ]
        return Measurement(name, rows, on_veth, lambda bench, peer: bulk(bench, peer, mode, bench.veth))

    return Section(
        "Bulk in 1,500-byte segments",
        "The same between three network namespaces, joined by veth pairs whose offloads are off: every segment travels "
        "by itself, as from a network card without offloads. Peers that listen on loopback alone do not take part.",
        [measurement("upload"), measurement("download")])


def wrk_section():
    return Section(
        "wrk through proxychains",
        f"wrk keeps {TUNNELS} connections to an nginx that serves 64 bytes. direct is wrk without proxychains.",
        [Measurement("wrk", [Row("wrk", "requests", "req/s", "higher")], socks_or_direct, wrk)])


def idle_section():
    rows = [
        Row("idle-memory", "anonymous memory per tunnel", "KiB", "lower", (None, 0.3125)),
        Row("idle-fds", "descriptors per tunnel", "", "lower"),
    ]
    return Section(
        "Tunnels at rest",
        f"Up to {IDLE_TUNNELS:,} tunnels that have each carried 64 bytes each way: what all processes of the gateway hold "
        "more (RssAnon, open descriptors) than before, after some tunnels to warm up.",
        [Measurement("idle", rows, gateways, idle)])


def fairness_section():
    quiet_rows = [
        Row("quiet-bulk", f"bulk download of {TUNNELS} tunnels", "GiB/s", "higher"),
        Row("quiet-p99", "round trip of a quiet tunnel beside them, 99th percentile", "ms", "lower", (None, 2)),
        Row("quiet-max", "round trip of a quiet tunnel beside them, the longest", "ms", "lower", (None, 20)),
    ]
    title = f"CPU per downloaded GiB beside {STUCK_TUNNELS} tunnels that nobody reads, as a multiple of that without them"
    balance_title = f"sessions of the fuller of {BALANCE_WORKERS} workers, as a multiple of the mean"
    return Section(
        "Tunnels beside others",
        "With one worker: a tunnel that carries a message of 64 bytes each way about every millisecond beside bulk. "
        "The round trips of direct are what client, target and the scheduler of this machine take alone. "
        "With all workers: bulk beside tunnels of another client which does not read what its targets send. "
        f"With {BALANCE_WORKERS} workers: the sessions of the worker that has most of {BALANCE_TUNNELS} tunnels, as a "
        "multiple of the mean. A session has two sockets in its worker's epoll instance, and the tfd lines of "
        "/proc/PID/fdinfo tell how many an instance has.",
        [
            Measurement("quiet", quiet_rows, own_or_direct, quiet),
            Measurement("stuck", [Row("stuck-cpu", title, "", "lower", (None, 1.3))], own, stuck),
            Measurement("balance", [Row("balance", balance_title, "", "lower", (None, 1.2))], own, balance),
        ])


def udp_echo_section():
    def measurement(associations, window, size):
        name = f"udp-echo-{size}" + ("-many" if associations > 1 else "")
        what = f"{size:,} bytes, {associations} x {window} under way"
        rows = [
            Row(name, f"round trips of {what}", "trips/s", "higher"),
            Row(f"{name}-cpu", "CPU per round trip", "µs", "lower"),
        ]
        return Measurement(
            name, rows, with_udp, lambda bench, peer: udp_echo(bench, peer, associations, window, size))

    return Section(
        "UDP round trips",
        "Datagrams through UDP associations; for each answer another one is sent. 1 x 32 is one association with 32 "
        "datagrams under way. A lost datagram is a failure.",
        [measurement(*many, size) for size in (64, 1200) for many in ((1, 32), (64, 4))])


def udp_flood_section():
    rows = [
        Row("udp-flood", "datagrams that arrive", "1/s", "higher"),
        Row("udp-flood-cpu", "CPU per datagram that arrives", "µs", "lower"),
        Row("udp-flood-loss", "sent and lost", "%", "lower"),
    ]
    return Section(
        "UDP one way",
        "One association sends datagrams of 1,200 bytes as fast as it can; the target counts them.",
        [Measurement("udp-flood", rows, with_udp, udp_flood)])


def rules_section():
    rows = [Row("rules-none", "no rules", "ns", "lower")]
    for kind, what in ("sets", "10,000 blocks and 10,000 names in two sets"), ("each", "the same as 20,000 rules"):
        rows.append(Row(f"rules-{kind}", what, "ns", "lower"))
        rows.append(Row(f"rules-{kind}-cold", f"{what}, cold caches", "ns", "lower"))
        rows.append(Row(f"rules-{kind}-load", f"{what}, loading", "ms", "lower"))
    return Section(
        "Rules",
        "The time to evaluate the rules for one connection to a name, before and after it is resolved, in a program "
        "without a network. Allow and deny rules take turns. Cold is with the core's caches emptied before each.",
        [Measurement("rules", rows, this_tree, rules)])


def bandwidth_section():
    limits = {
        "one": Limit("--bandwidth", 1_000_000, 1, "1 session at 1 MB/s"),
        "each": Limit("--bandwidth", 100_000, 100, "100 sessions at 100 kB/s each"),
        "user": Limit("--user-bandwidth", 10_000_000, 100, "100 sessions of a user at 10 MB/s"),
    }
    best = ("closer to 1", (0.97, 1.03))

    def measurement(kind, direction):
        limit, name = limits[kind], f"bandwidth-{kind}-{direction}"
        rows = [Row(name, f"{limit.title}, {direction}", "of limit", *best)]
        if limit.sessions > 1:
            unit = "of equal share" if kind == "user" else "of limit"
            rows.append(Row(f"{name}-lowest", f"the slowest of {limit.title}, {direction}", unit, *best))
            rows.append(Row(f"{name}-highest", f"the fastest of {limit.title}, {direction}", unit, *best))
        return Measurement(name, rows, own, lambda bench, peer: bandwidth(bench, peer, limit, direction))

    return Section(
        "Bandwidth limits",
        f"Rates over {BANDWIDTH_SECONDS} seconds as parts of what the limit allows, from when every session has had its "
        "first bytes. The sessions of a user log in first; each of them has ten quanta of 50 kB in this time, so one more "
        "or less is a tenth of its share.",
        [measurement(kind, direction) for kind in limits for direction in ("upload", "download")])


SECTIONS = [
    message_section(),
    syscalls_section(),
    bulk_section(),
    veth_section(),
    wrk_section(),
    udp_echo_section(),
    udp_flood_section(),
    idle_section(),
    fairness_section(),
    rules_section(),
    bandwidth_section(),
]
