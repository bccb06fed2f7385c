"""What lies in a dataset: recordings, and what of it cannot be one, each with the reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from manifests.corpus import Recording


@dataclass
class Found:
    """Recordings of a dataset with what is to be said of them.

    Args:
        recordings: those that can be tried.
        notes: what was understood of the dataset, a line each.
        faults: what was left out, each with the reason.
        kinds: how many for each reason.
    """

    recordings: list[Recording] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    def leave_out(self, kind: str, fault: str) -> None:
        """Count and name what is no recording."""
        self.kinds[kind] += 1
        self.faults.append(fault)

    @staticmethod
    def of(recordings: Sequence[Recording] | Found) -> Found:
        """The same for a dataset of which nothing is to be said."""
        return recordings if isinstance(recordings, Found) else Found(list(recordings))
