"""What is compared: a run with its configuration, curve, test results and bundles, wherever it was read from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from experiments.evaluation.report import Row

Key = tuple[str, float, str, int]
DIVERGED, DIED = "diverged", "died"  # what the notes of such runs begin with


@dataclass(frozen=True)
class Result:
    """One test set of one run.

    Args:
        name: of the test set.
        totals: `wer`, `cer`, `cosine`, `real_time_factor`, `utterances`, `words`: those that are known.
        rows: the utterances; none where only the totals are known.
        scorer: language model that took part; None for none.
        corpus: name of the folder that its manifest is in; empty where that is not known.
        hashes: of what was measured, see `hashes_of`; of earlier versions there are none.
    """

    name: str
    totals: dict[str, float]
    rows: tuple[Row, ...] = ()
    scorer: str | None = None
    corpus: str = ""
    hashes: tuple[tuple[str, str], ...] = ()

    @cached_property
    def by_key(self) -> dict[Key, Row]:
        """The utterances by file name, length, reference and how often these came before: the same on any machine."""
        seen: Counter[tuple[str, float, str]] = Counter()
        found: dict[Key, Row] = {}
        for row in self.rows:
            part = (Path(row.audio).name, round(row.duration, 2), row.reference)
            found[(*part, seen[part])] = row
            seen[part] += 1
        return found

    @property
    def size(self) -> tuple[int, int]:
        """Utterances and words."""
        if self.rows:
            return len(self.rows), sum(row.words for row in self.rows)
        return int(self.totals.get("utterances", 0)), int(self.totals.get("words", 0))

    def same_set(self, other: Result) -> bool:
        """Whether both are of the same utterances; by their numbers where the utterances of one are not known."""
        if self.rows and other.rows:
            return self.by_key.keys() == other.by_key.keys()
        return self.size == other.size


@dataclass(frozen=True)
class Deployed:
    """A bundle of a run, as its manifest.json describes it.

    Args:
        name: of its folder.
        place: its folder.
        precision: of its weights.
        bytes: of its graph.
        real_time_factor: measured on one core; None where nothing was measured.
        wer: measured with it.
        wer_low: lower end of its 95 % interval.
        wer_high: upper end.
        test: the test set of its run that it was measured on; None where that is not known.
    """

    name: str
    place: str
    precision: str
    bytes: int
    real_time_factor: float | None = None
    wer: float | None = None
    wer_low: float | None = None
    wer_high: float | None = None
    test: str | None = None


@dataclass
class Run:
    """One row of the comparison.

    Args:
        name: shown.
        place: folder or address it was read from.
        kind: `run`, `offline` or `online` (of W&B), `bundle`.
        config: dotted keys and values.
        choices: which file of each group of conf/ was chosen.
        metrics: `parameters`, `steps`, `seconds`, `validation_wer` and the rest of metrics.json, those that are known.
        results: by test set.
        curve: points with `step`, `seconds`, `epoch`, `val_wer`, `val_cer`, `val_loss`, `train_loss`, in order.
        bundles: exported from it.
        bytes: of its `.nemo`.
        energy: watt hours, where power was recorded.
        note: why it cannot be judged, or what is wrong with it.
    """

    name: str
    place: str
    kind: str = "run"
    config: dict[str, Any] = field(default_factory=dict)
    choices: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    results: dict[str, Result] = field(default_factory=dict)
    curve: list[dict[str, float]] = field(default_factory=list)
    bundles: list[Deployed] = field(default_factory=list)
    bytes: int | None = None
    energy: float | None = None
    note: str = ""

    @property
    def bundle(self) -> Deployed | None:
        """The bundle that stands for the run: a measured one, with the fewest errors, then the fastest."""
        infinite = float("inf")

        def worth(bundle: Deployed) -> tuple[float, float]:
            wer, factor = bundle.wer, bundle.real_time_factor
            return (infinite if wer is None else wer, infinite if factor is None else factor)

        return min(self.bundles, key=worth, default=None)

    def last(self, key: str) -> float | None:
        """The newest point of the curve that has the key."""
        return next((point[key] for point in reversed(self.curve) if key in point), None)

    def least(self, key: str) -> float | None:
        """The smallest value of the curve."""
        return min((point[key] for point in self.curve if key in point), default=None)


def number(value: Any) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < float("inf") else None


def known(totals: Any) -> dict[str, float]:
    """The finite numbers of a table of totals."""
    pairs = ((str(key), number(value)) for key, value in totals.items()) if isinstance(totals, dict) else ()
    return {key: value for key, value in pairs if value is not None}
