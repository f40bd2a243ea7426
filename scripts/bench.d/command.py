"""The command: its arguments, what this machine can measure, the rounds.

It puts the parts together and knows no measurement by itself.
"""

import argparse
import contextlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .measurements import SECTIONS, Bench
from .peers import ROOT, find_peers, version_of
from .places import CONGESTION_CONTROL, HOST, TARGET_ADDRESSES, Place, ip, namespaces, web_server
from .processes import Failure, child, die, last_line, prepare, progress, traced
from .report import charts, markdown, number
from .self_test import self_test
from .statistics import Results

FOLDER = Path(__file__).resolve().parent
MEASUREMENTS = [measurement for section in SECTIONS for measurement in section.measurements]

DESCRIPTION = "Measures Penstock against other SOCKS5 servers and plain TCP forwarders, all on this machine in one run."
EPILOG = """\
Peers take turns: every round measures each peer once in every row, in an order that rotates from round to round, so
that a slow minute of the machine hits all of them. The result is the median over the rounds. With the defaults a run
takes about 14 minutes.

As root, with unshare (util-linux) and ip (iproute2), the run has a network namespace of its own, with CUBIC, the
kernel's default congestion control. A host's BBR paces each sender with timers, over loopback as well. Without root the
host's own applies; the results name it.

Some rows have a goal of Penstock's value, or of its ratio to a peer; `missed` marks a median that does not reach it,
and does not change the exit status. System calls are counted where strace is installed and may attach.

Results: tables on the terminal, all samples in DIR/results.tsv, and one bar chart per row in DIR/*.svg.
Progress goes to stderr. Exit status: 0, 1 if a measurement of Penstock failed, 2 for a usage error or a missing tool.

scripts/bench report [FILE]  writes scripts/bench.d/RESULTS.md from a file of samples (default: build/bench/results.tsv)
                             and puts the samples beside it
scripts/bench --self-test    tests statistics, report and parsers

Rows: """


def parse_args(arguments):
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description=DESCRIPTION,
        epilog=EPILOG + ", ".join(row.name for measurement in MEASUREMENTS for row in measurement.rows),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    option = parser.add_argument
    option("--rounds", type=int, default=5, metavar="N", help="default: 5")
    option("--seconds", type=float, default=1, metavar="S", help="per measurement; default: 1")
    option("--peer", action="append", default=[], metavar="NAME=COMMAND",
           help="one more SOCKS5 server; COMMAND stays in the foreground and may contain {port}, {workers} and "
           "{address}; with {address} it also takes part in the veth rows")
    option("--only", default="", metavar="REGEX",
           help="measurements of which the name of a row matches, such as '^upload'")
    option("--workers", type=int, default=os.cpu_count(), metavar="N", help="of each peer; default: number of CPUs")
    option("--out", type=Path, default=Path("build/bench"), metavar="DIR", help="default: build/bench")
    option("--without", action="append", default=[], metavar="NAME",
           help="leave out a peer; may be given several times")
    compared = parser.add_mutually_exclusive_group().add_argument
    compared("--base", metavar="REV", help="compare with another revision of this repository instead of the peers")
    compared("--scraped", action="store_true",
             help="compare a gateway whose admin interface is read each second with one without, instead of the peers")
    option("--penstock", default="build/release/penstock", metavar="PATH", help="default: build/release/penstock")
    args = parser.parse_args(arguments)
    try:
        re.compile(args.only)
    except re.error as error:
        parser.error(f"--only: {error}")
    if args.rounds < 1 or args.seconds <= 0 or args.workers < 1:
        parser.error("--rounds, --seconds and --workers must be positive")
    return args


def build(name):
    """Makes a program of the benchmark with the Makefile of this tree; returns its path."""
    program = f"{os.environ.get('BUILD', 'build')}/bench/{name}"
    # A make that called this script has a job server that is not passed on.
    environment = {key: value for key, value in os.environ.items() if key != "MAKEFLAGS"}
    if subprocess.run(["make", "-s", program], cwd=ROOT, stdout=sys.stderr, env=environment).returncode != 0:
        die(f"{program} cannot be built")
    return str(ROOT / program)


def isolate(arguments):
    """Starts the run again in a network namespace of its own, if that is possible and has not been done."""
    if os.environ.get("BENCH_ISOLATED"):
        ip("link", "set", "lo", "up")
        CONGESTION_CONTROL.write_text("cubic")
        return
    own = ["unshare", "--net"]
    if not shutil.which(own[0]) or not shutil.which("ip"):
        return
    if subprocess.run([*own, "true"], stderr=subprocess.DEVNULL).returncode == 0:
        os.environ["BENCH_ISOLATED"] = "yes"
        os.execvp(own[0], [*own, sys.executable, sys.argv[0], *arguments])


def facts(args):
    """The machine and the run."""
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    compiler = shlex.split(os.environ.get("CXX", "c++"))
    return {
        "date": time.strftime("%Y-%m-%d %H:%M %z"),
        "commit": version_of("git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"),
        "CPU": f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores",
        "kernel": f"Linux {platform.release()}",
        "congestion control": CONGESTION_CONTROL.read_text().strip(),
        "settings": f"{args.rounds} rounds, {args.seconds:g} s per measurement, {args.workers} workers",
        "load generator": version_of(*compiler, "--version"),
        "wrk": version_of("wrk", "-v"),
    }


class Chosen:
    """The measurements of this run, and notes on what is left out."""

    def __init__(self, only, notes):
        self.notes = notes
        self.measurements = [m for m in MEASUREMENTS if any(re.search(only, row.name) for row in m.rows)]
        missing = [tool for tool in ("wrk", "proxychains4", "nginx") if not shutil.which(tool)]
        if missing:
            self.leave_out("wrk", " and ".join(missing) + " not installed")
        if not shutil.which("strace"):
            self.leave_out("syscalls", "strace is not installed")
        if os.geteuid() != 0:
            self.leave_out("veth", "needs root")
        elif not shutil.which("ip"):
            self.leave_out("veth", "ip (iproute2) not installed")

    def has(self, prefix):
        return any(m.name.startswith(prefix) for m in self.measurements)

    def leave_out(self, prefix, reason):
        skipped = [m.name for m in self.measurements if m.name.startswith(prefix)]
        if skipped:
            self.notes.append(f"{', '.join(skipped)}: not measured: {reason}")
        self.measurements = [m for m in self.measurements if m.name not in skipped]


@contextlib.contextmanager
def prepared(args, chosen):
    """The programs, places and servers that the measurements need; yields a Bench."""
    load = build("load")
    rules = build("rules") if chosen.has("rules") and "penstock" not in args.without else None
    threads = max(1, args.workers // 2)  # of client and of target: about as much as the gateway's
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        place = Place(directory, load, HOST, TARGET_ADDRESSES)
        stack.enter_context(place.target(threads))
        veth = None
        if chosen.has("veth"):
            try:
                veth = stack.enter_context(namespaces(directory, load))
                stack.enter_context(veth.target(threads))
            except (subprocess.SubprocessError, OSError) as error:
                reason = last_line(getattr(error, "stderr", None) or "") or str(error)
                chosen.leave_out("veth", f"no network namespaces: {reason}")
        if chosen.has("syscalls"):
            try_strace(directory, chosen)
        web_port = stack.enter_context(web_server(directory)) if chosen.has("wrk") else None
        yield Bench(args.seconds, threads, place, veth, web_port, rules)


def try_strace(directory, chosen):
    """Leaves out what needs strace if it may not attach to another process."""
    try:
        with child(["sleep", "60"], directory / "sleep.log") as process, traced([process.pid], directory):
            pass
    except Failure as failure:
        chosen.leave_out("syscalls", str(failure))


def run_rounds(args, bench, measurements, peers, results):
    for number_of_round in range(args.rounds):
        shift = number_of_round % len(peers)
        for measurement in measurements:
            for peer in filter(measurement.covers, peers[shift:] + peers[:shift]):
                head = f"[round {number_of_round + 1}/{args.rounds}] {measurement.name}: {peer.name}: "
                progress(head + measure(measurement, bench, peer, number_of_round, results))
        results.write(args.out / "results.tsv")  # a run that is interrupted leaves the rounds before


def measure(measurement, bench, peer, number_of_round, results):
    """Measures once; returns what there is to say of it."""
    try:
        values = measurement.measure(bench, peer)
    except Failure as failure:
        results.failures.append((measurement.name, peer.name, str(failure)))
        return f"FAILED: {failure}"
    found = [(row, value) for row, value in zip(measurement.rows, values) if value is not None]
    for row, value in found:
        results.add(row.name, peer.name, number_of_round, value)
    return ", ".join(f"{number(value, row)} {row.unit}".rstrip() for row, value in found)


def measure_all(args):
    """The exit status."""
    prepare()
    results = Results()
    peers, results.notes = find_peers(args)
    chosen = Chosen(args.only, results.notes)
    if not chosen.measurements or not peers:
        die("nothing to measure")
    args.out.mkdir(parents=True, exist_ok=True)
    with prepared(args, chosen) as bench:
        results.facts = facts(args)
        results.peers = {peer.name: peer.version for peer in peers}
        run_rounds(args, bench, chosen.measurements, peers, results)
    print(markdown(results))
    charts(results, args.out)
    print(f"All samples and charts are in {args.out}: results.tsv, *.svg")
    return 1 if any(peer == "penstock" for _, peer, _ in results.failures) else 0


def publish(path):
    """Writes RESULTS.md from a result file, and the file beside it."""
    results = Results.read(path)
    results.write(FOLDER / "results.tsv")
    (FOLDER / "RESULTS.md").write_text(markdown(results), encoding="utf-8")


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    if arguments[:1] == ["report"] and len(arguments) <= 2:
        path = Path(arguments[1] if len(arguments) == 2 else "build/bench/results.tsv")
        return publish(path) if path.exists() else die(f"{path} is not there")
    args = parse_args(arguments)
    isolate(arguments)
    return measure_all(args)
