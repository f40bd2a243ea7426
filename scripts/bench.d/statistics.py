"""The samples of a run, and what is computed of them: medians, and ratios within a round.

Nothing here measures, and nothing is formatted.
"""

import collections
import statistics


class Results:
    def __init__(self):
        self.rounds = collections.defaultdict(dict)  # (row name, peer name) -> {round: value}, successful rounds only
        self.failures = collections.defaultdict(list)  # (row name, peer name) -> texts

    def values(self, row, peer):
        return list(self.rounds.get((row, peer), {}).values())

    def median(self, row, peer):
        values = self.values(row, peer)
        return statistics.median(values) if values else None

    def ratios(self, row, peer, other):
        """peer / other for each round in which both succeeded: what slowed down a whole round cancels out."""
        own, theirs = self.rounds.get((row, peer), {}), self.rounds.get((row, other), {})
        return [value / theirs[r] for r, value in own.items() if theirs.get(r)]
