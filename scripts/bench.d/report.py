"""The report of a run: Markdown tables of medians, ranges and ratios, and bar charts.

The report formats what statistics computes. It depends on the result file alone, not on the machine that it runs on.
"""

import shutil
import textwrap
from pathlib import Path

from .measurements import SECTIONS
from .processes import Failure, progress, run

HEAD = """\
# Results

`scripts/bench report` writes this file from [results.tsv](results.tsv), which holds all samples of the run.

"""
READING = """\
Clients, gateway and target share the CPUs of one machine. Every peer runs with the number of workers above. Peers take
turns: each round measures every peer once in every row. A value is the median of the rounds, with the lowest and the
highest round. A ratio is the median of the ratios within a round: another machine, or the same at another hour, gives
other values; the ratios are what to compare. nginx-stream and haproxy are plain forwarders that speak no SOCKS: they
show what two hops alone cost. direct is no gateway at all. CPU is that of the gateway, user and system. A goal is one
of penstock: `missed` marks a median that does not reach it.

"""


def number(value, row):
    if row.goal and abs(value) < 100:
        return f"{value:.3f}"  # three digits would hide how close a value is to its goal
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def ranged(summary, format_number):
    middle, low, high = (format_number(value) for value in summary)
    return middle if low == high else f"{middle} ({low} to {high})"


def value_cell(results, measurement, row, peer):
    found = results.of(row.name, peer)
    failed = results.failed(measurement.name, peer)
    if not found:
        return "FAILED" if failed and row is measurement.rows[0] else ""  # others may have no value for this peer
    text = ranged(found, lambda value: number(value, row))
    goal = row.goal if peer == "penstock" else None
    return missed(goal, found.median) + text + (" !" if failed else "")


def ratio_cell(results, row, peer):
    found = results.ratio(row.name, "penstock", peer) if peer != "penstock" else None
    if not found:
        return ""
    goal = row.ratio_goals.get(peer)

    def ratio(value):
        if goal:
            return f"{value:.3f}"
        return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"

    return missed(goal, found.median) + ranged(found, ratio)


def missed(goal, value):
    """What stands before a value that misses its goal."""
    low, high = goal or (None, None)
    too_low, too_high = low is not None and value < low, high is not None and value > high
    return "missed: " if too_low or too_high else ""


def goal_text(goal):
    low, high = goal
    if low is None:
        return f"at most {high}"
    return f"at least {low}" if high is None else f"{low} to {high}"


def title(row):
    text = row.title + (f", {row.unit}" if row.unit else "")
    return text + (f" (goal: {goal_text(row.goal)})" if row.goal else "")


def ratio_title(row, peers):
    text = "penstock ÷ it, " + ("less is better" if row.better == "lower" else "more is better")
    goals = ", ".join(f"{peer} {goal_text(goal)}" for peer, goal in row.ratio_goals.items() if peer in peers)
    return text + (f" (goal: {goals})" if goals else "")


def table(lines):
    """Markdown, padded so that it is a table on a terminal, too. The first line is the head."""
    lines = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    lines[1] = ["-" * width for width in widths]
    return "".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |\n" for line in lines)


def table_of_peers(results, measurement, peers):
    """A line for each peer; for each row of the measurement its value and its ratio."""
    head = [""]
    for row in measurement.rows:
        head += [title(row), ratio_title(row, peers)]
    lines = [head]
    for peer in peers:
        lines.append([peer])
        for row in measurement.rows:
            lines[-1] += [value_cell(results, measurement, row, peer), ratio_cell(results, row, peer)]
    return table(lines)


def table_of_rows(results, measurements, peer):
    """A line for each row, for what is measured of one peer alone."""
    lines = [["", peer]]
    for measurement in measurements:
        lines += [[title(row), value_cell(results, measurement, row, peer)] for row in measurement.rows]
    return table(lines)


def peers_of(results, measurement):
    def has(peer):
        return results.failed(measurement.name, peer) or any(results.of(row.name, peer) for row in measurement.rows)

    return [peer for peer in results.peers if has(peer)]


def section(results, title_of_section, how, measurements):
    measured = [(measurement, peers_of(results, measurement)) for measurement in measurements]
    measured = [(measurement, peers) for measurement, peers in measured if peers]
    if not measured:
        return ""
    tables = [table_of_peers(results, measurement, peers) for measurement, peers in measured if len(peers) > 1]
    for peer in results.peers:
        alone = [measurement for measurement, peers in measured if peers == [peer]]
        tables += [table_of_rows(results, alone, peer)] if alone else []
    return f"## {title_of_section}\n\n{textwrap.fill(how, 120)}\n\n" + "\n".join(tables) + "\n"


def remarks(results):
    causes = {}  # one line per cause, however many measurements share it
    for measurement, peer, text in results.failures:
        causes.setdefault((peer, text), []).append(measurement)
    lines = [f"{peer} failed in {', '.join(dict.fromkeys(where))}: {text}" for (peer, text), where in causes.items()]
    lines += results.notes
    if not lines:
        return ""
    return "## Notes\n\n`!` marks a median of fewer rounds.\n\n" + "".join(f"- {line}\n" for line in lines)


def markdown(results):
    """The text of RESULTS.md."""
    machine = table([["", ""], *map(list, results.facts.items()), *map(list, results.peers.items())])
    sections = [section(results, *part) for part in SECTIONS]
    return (HEAD + machine + "\n" + READING + "".join(sections) + remarks(results)).rstrip() + "\n"


def charts(results, directory):
    """Draws DIRECTORY/ROW.svg for each row, if gnuplot is installed."""
    if not shutil.which("gnuplot"):
        progress("no charts: gnuplot is not installed")
        return
    for row in (row for part in SECTIONS for measurement in part.measurements for row in measurement.rows):
        found = {peer: results.of(row.name, peer) for peer in results.peers}
        lines = [f'"{peer}" {s.median:.6g} {s.lowest:.6g} {s.highest:.6g} "{number(s.median, row)}"\n'
                 for peer, s in found.items() if s]
        if lines:
            chart(row, lines, directory)


def chart(row, lines, directory):
    data, picture = directory / f"{row.name}.dat", directory / f"{row.name}.svg"
    data.write_text("".join(lines))
    heading = textwrap.fill(f"{title(row)}; {row.better} is better", 80).replace("\n", "\\n")
    variables = f'data="{data}"; bars={len(lines)}; chart="{picture}"; heading="{heading}"'
    try:
        run(["gnuplot", "-e", variables, Path(__file__).with_name("bars.gp")], 30)
    except Failure as failure:
        progress(f"no chart of {row.name}: {failure}")
    data.unlink()
