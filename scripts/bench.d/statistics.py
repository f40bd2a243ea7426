"""The samples of a run: medians with ranges, ratios within a round, and the result file that keeps all of them.

Nothing here measures, and nothing is formatted for a reader.

The result file is text of tab-separated fields, the first of which says what the line is:

  fact     NAME  TEXT               the machine and the run
  peer     NAME  VERSION
  sample   ROW   PEER   VALUE...    one value for each round, "-" if there is none
  failure  MEASUREMENT  PEER  TEXT  one line for each
  note     TEXT
"""

import statistics
from typing import NamedTuple


class Summary(NamedTuple):
    median: float
    lowest: float
    highest: float


def summary(values):
    return Summary(statistics.median(values), min(values), max(values)) if values else None


class Results:
    def __init__(self):
        self.facts = {}  # name -> text
        self.peers = {}  # name -> version, in the order of the tables
        self.samples = {}  # (row name, peer name) -> {round: value}
        self.failures = []  # (measurement name, peer name, text)
        self.notes = []

    def add(self, row, peer, number_of_round, value):
        self.samples.setdefault((row, peer), {})[number_of_round] = value

    def of(self, row, peer):
        """The Summary of all rounds, or None."""
        return summary(self.samples.get((row, peer), {}).values())

    def ratio(self, row, peer, other):
        """The Summary of peer / other in each round that both have: what slowed down a whole round cancels out."""
        own, theirs = self.samples.get((row, peer), {}), self.samples.get((row, other), {})
        return summary([value / theirs[r] for r, value in own.items() if theirs.get(r)])

    def failed(self, measurement, peer):
        return any(failure[:2] == (measurement, peer) for failure in self.failures)

    def write(self, path):
        lines = [("fact", *fact) for fact in self.facts.items()]
        lines += [("peer", *peer) for peer in self.peers.items()]
        rounds = 1 + max((r for values in self.samples.values() for r in values), default=0)
        for (row, peer), values in self.samples.items():
            numbers = [f"{values[r]:.6g}" if r in values else "-" for r in range(rounds)]
            lines.append(("sample", row, peer, *numbers))
        lines += [("failure", *failure) for failure in self.failures]
        lines += [("note", note) for note in self.notes]
        # No field has a tab or the end of a line in it.
        text = "\n".join("\t".join(" ".join(field.split()) for field in line) for line in lines)
        path.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path):
        results = cls()
        for line in path.read_text(encoding="utf-8").splitlines():
            kind, *fields = line.split("\t")
            if kind == "fact":
                results.facts[fields[0]] = fields[1]
            elif kind == "peer":
                results.peers[fields[0]] = fields[1]
            elif kind == "sample":
                row, peer, *values = fields
                results.samples[row, peer] = {r: float(value) for r, value in enumerate(values) if value != "-"}
            elif kind == "failure":
                results.failures.append(tuple(fields))
            elif kind == "note":
                results.notes.append(fields[0])
        return results
