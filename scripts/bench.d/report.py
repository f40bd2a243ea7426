"""The report of a run: tables on the terminal, files of figures, and charts.

The report formats what statistics computes; it computes nothing itself.
"""

import shutil
import statistics
from pathlib import Path

from .processes import Failure, progress, run

BARS = str(Path(__file__).with_name("bars.gp"))


def cell(results, row, peer):
    failures = len(results.failures.get((row.name, peer), ()))
    median = results.median(row.name, peer)
    if median is None:
        return "FAILED" if failures else "-"
    missed = row.goal and not row.goal[0] <= median <= row.goal[1]
    return ("missed " if missed else "") + number(median, row) + ("!" if failures else "")


def number(value, row):
    if row.goal:
        return f"{value:.3f}"  # three digits would hide what is to be seen of values near 1
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def print_table(head, rows):
    widths = [max(len(line[i]) for line in [head, *rows]) for i in range(len(head))]
    for line in [head, *rows]:
        cells = [line[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
        print("  ".join(cells).rstrip())


# Compared with: a strong plain forwarder, a strong SOCKS server if one is given as --peer, and no gateway at all.
RATIO_PEERS = ("nginx-stream", "hev", "direct")


def ratio_rows(rows, peers, results):
    """(row name, other peer) -> ratios penstock / other, one per round."""
    pairs = [(row.name, peer.name) for row in rows for peer in peers if peer.name in RATIO_PEERS]
    # Without a gateway there is no CPU time of one, and what is far from the limit of a gateway tells nothing of it.
    pairs = [(row, other) for row, other in pairs if other != "direct" or row == "wrk"]
    found = {(row, other): results.ratios(row, "penstock", other) for row, other in pairs}
    return {key: values for key, values in found.items() if values}


def report(rows, peers, results, facts, notes):
    print()
    for name, value in facts:
        print(f"{name + ':':<14}{value}")
    goals = {f"{row.goal[0]} to {row.goal[1]}" for row in rows if row.goal}
    print("\nMedian over the rounds" + "".join(f"; 'missed': not within {goal}" for goal in goals) + "\n")
    names = [peer.name for peer in peers]
    table = [[f"{r.title} [{r.unit}]", *(cell(results, r, peer) for peer in names)] for r in rows]
    print_table(["", *names], table)

    ratios = ratio_rows(rows, peers, results)
    print("\nPenstock / other: median of the ratios within a round (lowest to highest); '<': less than 1 is better\n")
    others = [other for other in RATIO_PEERS if other in names]
    table = []
    for row in rows:
        cells = []
        for other in others:
            values = ratios.get((row.name, other))
            cells.append(f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})" if values else "-")
        if any(cell != "-" for cell in cells):
            table.append([row.title + (" <" if row.better == "lower" else ""), *cells])
    print_table(["", *others], table) if table else print("(none)")

    failed = {}  # one line per cause, however many rows share it
    for (row, peer), texts in results.failures.items():
        for text in texts:
            failed.setdefault((peer, text), []).append(row)
    if failed or notes:
        print("\nNotes (! marks a median over fewer rounds)\n")
    for (peer, text), where in failed.items():
        print(f"FAILED {peer}, {', '.join(sorted(set(where)))}: {text}")
    for note in notes:
        print(note)


def write_files(out, rows, peers, results, facts, notes):
    (out / "machine.txt").write_text("".join(f"{name}: {value}\n" for name, value in facts) + "\n".join(notes))
    with open(out / "bench.tsv", "w", encoding="utf-8") as file:
        file.write("row\tunit\tpeer\tmedian\tmin\tmax\trounds\tfailures\n")
        for row in rows:
            for peer in peers:
                values = results.values(row.name, peer.name)
                failures = len(results.failures.get((row.name, peer.name), ()))
                if values or failures:
                    figures = (statistics.median(values), min(values), max(values)) if values else ()
                    cells = [f"{value:.6g}" for value in figures] or ["", "", ""]
                    file.write("\t".join([row.name, row.unit, peer.name, *cells, str(len(values)), str(failures)]))
                    file.write("\n")
    with open(out / "ratios.tsv", "w", encoding="utf-8") as file:
        file.write("row\tpenstock_divided_by\tmedian\tmin\tmax\trounds\n")
        for (row, other), values in ratio_rows(rows, peers, results).items():
            figures = (statistics.median(values), min(values), max(values))
            file.write("\t".join([row, other, *(f"{value:.4g}" for value in figures), str(len(values))]) + "\n")
    if not shutil.which("gnuplot"):
        progress("no charts: gnuplot is not installed")
        return
    for row in rows:
        values = [(peer.name, results.values(row.name, peer.name)) for peer in peers]
        data = out / f"{row.name}.dat"
        lines = [f'"{peer}" {statistics.median(v):.6g} {min(v):.6g} {max(v):.6g}\n' for peer, v in values if v]
        if not lines:
            continue
        data.write_text("".join(lines))
        title = f"{row.title} [{row.unit}], {row.better} is better"
        variables = f'data="{data}"; bars={len(lines)}; chart="{out / row.name}.svg"; heading="{title}"'
        try:
            run(["gnuplot", "-e", variables, BARS], 30)
        except Failure as failure:
            progress(f"no chart of {row.name}: {failure}")
        data.unlink()
