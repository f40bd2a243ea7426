"""Tests of statistics, report and the parsers of processes, which scripts/bench --self-test runs.

They make up their samples, or read those that are published: nothing is measured and no program is started.
"""

import re
import tempfile
import unittest
from collections import Counter
from pathlib import Path

from .measurements import SECTIONS
from .peers import DIRECT, known
from .processes import system_calls, watched
from .report import markdown, number
from .statistics import Results, Summary


def results_of(samples, peers=("penstock", "hev")):
    """samples: {(row, peer): [value or None of each round]}"""
    results = Results()
    results.facts = {"CPU": "an abacus", "date": "1837-01-01"}
    results.peers = {peer: "1.0" for peer in peers}
    for (row, peer), values in samples.items():
        for r, value in enumerate(values):
            if value is not None:
                results.add(row, peer, r, value)
    return results


class Statistics(unittest.TestCase):
    def test_a_median_has_its_lowest_and_highest_round_beside_it(self):
        results = results_of({("connect", "hev"): [5, 100, 7]})
        self.assertEqual(results.of("connect", "hev"), Summary(7, 5, 100))
        self.assertIsNone(results.of("connect", "penstock"))

    def test_a_ratio_compares_samples_of_the_same_round(self):
        # The third round was slow for both; the medians themselves are 4 and 1.
        results = results_of({("connect", "penstock"): [4, 8, 0.2], ("connect", "hev"): [2, 1, 0.1]})
        self.assertEqual(results.ratio("connect", "penstock", "hev"), Summary(2, 2, 8))

    def test_a_round_that_one_of_two_peers_lacks_is_left_out_of_their_ratio(self):
        results = results_of({("connect", "penstock"): [None, 6, 9], ("connect", "hev"): [1, 2, None]})
        self.assertEqual(results.ratio("connect", "penstock", "hev"), Summary(3, 3, 3))

    def test_a_result_file_gives_back_what_was_written(self):
        results = results_of({("connect", "penstock"): [1.5, None, 3], ("connect", "hev"): [None, 0.25]})
        results.failures.append(("connect", "hev", "closed by the gateway"))
        results.notes.append("nginx-stream: not measured: nginx is not installed")
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "results.tsv")
            results.write(path)
            again = Results.read(path)
        self.assertEqual(vars(again), vars(results))


class Processes(unittest.TestCase):
    def test_descriptors_of_an_epoll_instance_are_its_tfd_lines(self):
        self.assertEqual(watched(
            "pos:\t0\nflags:\t02000002\nmnt_id:\t15\nino:\t1057\n"
            "tfd:        5 events:       19 data:                5  pos:0 ino:421 sdev:8\n"
            "tfd:       12 events: 80002005 data:     100000000003  pos:0 ino:9a1b sdev:8\n"), 2)
        self.assertEqual(watched("pos:\t0\nflags:\t02\nmnt_id:\t9\nino:\t7\neventfd-count:                0\n"), 0)

    def test_a_system_call_counts_once_it_has_returned(self):
        trace = (
            "801 epoll_wait(5, [{events=EPOLLIN, data=0x1}], 256, -1) = 1\n"
            "801 accept4(3, NULL, NULL, SOCK_CLOEXEC|SOCK_NONBLOCK) = 9\n"
            "801 accept4(3, NULL, NULL, SOCK_CLOEXEC|SOCK_NONBLOCK) = -1 EAGAIN (Resource temporarily unavailable)\n"
            '801 recvfrom(9, "a = b) = -1 EAGAIN", 64, 0, NULL, NULL) = 18\n'
            "801 epoll_pwait(5,  <unfinished ...>\n"
            "802 close(9)                          = 0\n"
            "802 close(10 <unfinished ...>\n"
            "801 <... epoll_pwait resumed>[], 256, 40, NULL, 8) = 0\n"
            "802 <... close resumed>)              = 0\n"
            "802 --- SIGCHLD {si_signo=SIGCHLD} ---\n"
            "802 +++ exited with 0 +++\n"
            "801 epoll_wait(5, ")
        self.assertEqual(system_calls(trace), Counter({
            ("801", "epoll_wait", ""): 1, ("801", "accept4", ""): 1, ("801", "accept4", "EAGAIN"): 1,
            ("801", "recvfrom", ""): 1, ("801", "epoll_pwait", ""): 1, ("802", "close", ""): 2,
        }))


class Report(unittest.TestCase):
    def lines_of(self, results, start):
        lines = [line for line in markdown(results).splitlines() if line.startswith(f"| {start} ")]
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]

    def test_each_peer_has_a_line_with_its_medians_ranges_and_ratios(self):
        results = results_of({
            ("connect", "penstock"): [8000, 9000, 7000],
            ("connect", "hev"): [4000, 6000, 7000],
            ("connect-cpu", "penstock"): [10, 20, 30],
            ("connect-cpu", "hev"): [40, 40, 40],
        })
        self.assertEqual(self.lines_of(results, "penstock")[-1],
                         ["penstock", "8,000 (7,000 to 9,000)", "", "20 (10 to 30)", ""])
        self.assertEqual(self.lines_of(results, "hev")[-1],
                         ["hev", "6,000 (4,000 to 7,000)", "1.50 (1.00 to 2.00)", "40", "0.50 (0.25 to 0.75)"])

    def test_what_is_measured_of_one_peer_alone_has_a_line_for_each_row(self):
        results = results_of({("quiet-p99", "penstock"): [0.5], ("quiet-max", "penstock"): [19, 21, 22]})
        self.assertIn(["round trip of a quiet tunnel beside them, 99th percentile, ms (goal: at most 2)", "0.500"],
                      self.lines_of(results, "round trip"))

    def test_measurements_of_one_peer_share_a_table_beside_those_of_several(self):
        results = results_of({
            ("quiet-p99", "penstock"): [0.5], ("quiet-p99", "direct"): [0.25],
            ("stuck-cpu", "penstock"): [1.1], ("balance", "penstock"): [1.05],
        }, ("penstock", "direct"))
        self.assertEqual(self.lines_of(results, "direct")[-1][3:5], ["0.250", "2.00"])
        self.assertEqual(self.lines_of(results, "CPU per downloaded")[-1][1], "1.100")
        self.assertEqual(self.lines_of(results, "")[-1], ["", "penstock"])
        self.assertEqual(len([line for line in self.lines_of(results, "") if line == ["", "penstock"]]), 1)

    def test_a_median_that_misses_its_goal_says_so(self):
        results = results_of({("quiet-max", "penstock"): [19, 21, 22]})
        self.assertEqual(self.lines_of(results, "round trip")[-1][1], "missed: 21.000 (19.000 to 22.000)")

    def test_goals_are_those_of_penstock(self):
        results = results_of({("idle-memory", "penstock"): [0.3], ("idle-memory", "hev"): [4.5]})
        self.assertEqual([self.lines_of(results, peer)[-1][1] for peer in ("penstock", "hev")], ["0.300", "4.500"])

    def test_a_ratio_that_misses_its_goal_says_so(self):
        results = results_of({
            ("upload", "penstock"): [3, 3.1, 2.9], ("upload", "hev"): [2, 2, 2], ("upload", "direct"): [4, 4, 4],
            ("upload-cpu", "penstock"): [1], ("upload-cpu", "hev"): [1],
        }, ("penstock", "hev", "direct"))
        ratios = [self.lines_of(results, peer)[-1][2] for peer in ("penstock", "hev", "direct")]
        self.assertEqual(ratios, ["", "1.500 (1.450 to 1.550)", "missed: 0.750 (0.725 to 0.775)"])
        self.assertEqual(self.lines_of(results, "hev")[-1][4], "1.00")

    def test_the_head_of_a_ratio_tells_the_goals_of_the_peers_in_the_table(self):
        results = results_of({("upload", "penstock"): [3], ("upload", "hev"): [2], ("upload-cpu", "hev"): [2]})
        head = self.lines_of(results, "")[-1]
        self.assertEqual(head[2], "penstock ÷ it, more is better (goal: hev at least 1.5)")
        self.assertEqual(head[4], "penstock ÷ it, less is better")

    def test_each_ratio_goal_names_a_peer_that_takes_part(self):
        peers = {peer.name: peer for _, peer, _ in known(1)} | {"direct": DIRECT}
        for measurement in (measurement for part in SECTIONS for measurement in part.measurements):
            for row in measurement.rows:
                for name in row.ratio_goals:
                    self.assertTrue(measurement.covers(peers[name]), f"{row.name}: {name}")

    def test_a_failure_is_told_once_and_marks_what_it_left(self):
        results = results_of({("connect", "penstock"): [1, 2, 3], ("connect", "hev"): [1, None, 3]})
        results.failures += [(name, "hev", "connect: timed out") for name in ("connect", "pingpong", "pingpong")]
        found = [self.lines_of(results, start)[-1][1] for start in ("hev", "round trips,")]
        self.assertEqual(found, ["2 (1 to 3) !", "FAILED"])
        self.assertIn("\n- hev failed in connect, pingpong: connect: timed out\n", markdown(results))

    def test_the_machine_and_the_versions_of_peers_are_told(self):
        results = results_of({("connect", "hev"): [1]})
        self.assertEqual(self.lines_of(results, "CPU")[0], ["CPU", "an abacus"])
        self.assertEqual(self.lines_of(results, "hev")[0], ["hev", "1.0"])

    def test_numbers_have_three_digits_and_those_with_a_goal_three_decimals(self):
        with_goal, without = SECTIONS[-1].measurements[0].rows[0], SECTIONS[0].measurements[0].rows[0]
        found = [number(value, without) for value in (12345.6, 123.4, 12.34, 0.01234)]
        self.assertEqual(found, ["12,346", "123", "12.3", "0.0123"])
        self.assertEqual(number(1.00049, with_goal), "1.000")

    def test_each_colour_of_a_chart_can_be_seen_on_a_light_and_on_a_dark_page(self):
        def luminance(colour):  # WCAG 2, relative luminance
            parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
            linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
            return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

        script = Path(__file__).with_name("bars.gp").read_text(encoding="utf-8")
        colours = set(re.findall(r'"(#[0-9a-f]{6})"', script))
        self.assertTrue(colours)
        self.assertNotIn("background", script.replace("no background", ""))
        for page in "#ffffff", "#0d1117":
            for colour in colours:
                dark, light = sorted((luminance(page), luminance(colour)))
                self.assertGreaterEqual((light + 0.05) / (dark + 0.05), 3, f"{colour} on {page}")

    def test_names_of_rows_are_unique(self):
        names = [row.name for part in SECTIONS for measurement in part.measurements for row in measurement.rows]
        self.assertEqual(len(names), len(set(names)))

    def test_the_published_results_are_the_report_of_the_published_samples(self):
        folder = Path(__file__).resolve().parent
        published = (folder / "RESULTS.md").read_text(encoding="utf-8")
        self.assertEqual(published, markdown(Results.read(folder / "results.tsv")))


def self_test():
    """Returns the exit status."""
    suite = unittest.defaultTestLoader.loadTestsFromName(__name__)
    return 0 if unittest.TextTestRunner().run(suite).wasSuccessful() else 1
