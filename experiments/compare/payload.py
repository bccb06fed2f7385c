"""What the page's scripts read: plain lists and numbers, short where there are many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from experiments.compare import figures
from experiments.compare.keys import Differing, value_text
from experiments.compare.record import Run
from experiments.compare.sound import data_url
from experiments.compare.statistics import Comparison, Judged
from experiments.evaluation.report import Row
from heyjetson.metrics import aligned_words
from manifests.progress import progress

TEXTS_OF = 30  # runs whose every utterance goes into the page, the best first
CURVES = ("val_wer", "val_loss", "train_loss", "val_cer", "learning_rate")
POINTS = 1000  # of a curve


def payload(comparison: Comparison, keys: list[Differing], audio: int) -> dict[str, Any]:
    """Everything that the page draws.

    Args:
        comparison: of the runs.
        keys: that differ between them.
        audio: how many utterances get their sound.
    """
    texts = Texts(comparison, audio)
    return {
        "runs": [_run(comparison, index) for index in range(len(comparison.runs))],
        "best": comparison.best,
        "reference": comparison.reference,
        "curves": [_curve(run) for run in comparison.runs],
        "keys": [_key(key) for key in keys],
        "rates": {
            name: [None if rate is None else [rate.rate, _finite(rate.low), _finite(rate.high)] for rate in rates]
            for name, rates in comparison.rates.items()
        },
        "shared": list(comparison.shared.ranking),
        "overall": comparison.overall,
        "pooled": [_pooled(comparison, index) for index in range(len(comparison.runs))],
        "points": [point for index in range(len(comparison.runs)) for point in _points(comparison, index)],
        "tests": [texts.test(judged) for judged in comparison.tests.values()],
        "pairs": {judged.name: texts.pairs(judged) for judged in comparison.tests.values()},
        "sounds": texts.sounds,
    }


def _pooled(comparison: Comparison, index: int) -> list[float | None] | None:
    """Rate over all shared test sets, and its interval where the utterances are known."""
    rate, pooled = comparison.overall[index], comparison.pooled
    if rate is None:
        return None
    if pooled is None or index not in pooled.rows:
        return [rate, None, None]
    interval = pooled.interval(index)
    return [interval.rate, interval.low, interval.high]


def _finite(value: float) -> float | None:
    return value if value == value else None


def _run(comparison: Comparison, index: int) -> dict[str, Any]:
    run = comparison.runs[index]
    return {"name": run.name, "tested": comparison.overall[index] is not None, "note": run.note, "kind": run.kind}


def _curve(run: Run) -> dict[str, list[float | None]]:
    """The points as columns; of very many, every so manyth and the last."""
    every = -(-len(run.curve) // POINTS) or 1
    points = [point for index, point in enumerate(reversed(run.curve)) if index % every == 0][::-1]
    columns: dict[str, list[float | None]] = {
        "step": [point.get("step") for point in points],
        "epoch": [point.get("epoch") for point in points],
        "minutes": [None if "seconds" not in point else round(point["seconds"] / 60, 3) for point in points],
    }
    for key in CURVES:
        if any(key in point for point in points):
            columns[key] = [point.get(key) for point in points]
    return columns


def _key(key: Differing) -> dict[str, Any]:
    numeric = key.numeric and None not in key.values
    return {
        "key": key.key,
        "name": key.name,
        "values": list(key.values) if numeric else [value_text(value) for value in key.values],
        "numeric": numeric,
        "log": numeric and key.logarithmic,
    }


def _points(comparison: Comparison, index: int) -> list[dict[str, Any]]:
    """Where a run stands in the plots of accuracy against cost: once for each of its bundles, or once without any."""
    run = comparison.runs[index]
    if comparison.overall[index] is None:
        return []
    shared = {"run": index, "parameters": figures.parameters(run), "minutes": figures.minutes(run), "Wh": run.energy}
    if not run.bundles:
        nemo = run.bytes / 1e6 if run.bytes else None
        return [{**shared, "bundle": None, "nemo": nemo}]
    return [
        {
            **shared,
            "bundle": bundle.name,
            "precision": bundle.precision,
            "speed": bundle.real_time_factor,
            "size": bundle.bytes / 1e6,
            "wer": None if bundle.wer is None else [bundle.wer, bundle.wer_low, bundle.wer_high],
            "test": bundle.test,
        }
        for bundle in run.bundles
    ]


Place = tuple[str, float | None, float | None]  # a recording; offset and duration of a segment


class Texts:
    """The utterances of the best runs and of the one they are compared with.

    Args:
        comparison: of the runs.
        audio: how many utterances get their sound: those on which runs differ most.
    """

    def __init__(self, comparison: Comparison, audio: int):
        pooled = comparison.pooled
        self.runs = list(pooled.rows)[:TEXTS_OF] if pooled else []
        self.reference = reference = comparison.reference
        if pooled and reference in pooled.rows and reference not in self.runs:
            self.runs[-1] = reference
        self.sounds: list[str] = []
        self.sound_of: dict[Place, int] = {}
        wanted = [
            (self._interest(judged, at), _place(row))
            for judged in comparison.tests.values()
            for at, row in enumerate(judged.rows[self.runs[0]] if self.runs else ())
        ]
        chosen = [place for _, place in sorted(wanted, key=lambda one: (one[0], str(one[1])))[:audio]]
        for place in progress(chosen, "adding sound", len(chosen)):
            if place not in self.sound_of and (url := data_url(Path(place[0]), *place[1:])):
                self.sound_of[place] = len(self.sounds)
                self.sounds.append(url)

    def _interest(self, judged: Judged, at: int) -> tuple[int, int, int]:
        """Small for utterances that the first two runs differ on, then for those any differ on, then for the worst."""
        errors = [judged.rows[run][at].word_errors for run in self.runs]
        return (-abs(errors[0] - errors[min(1, len(errors) - 1)]), min(errors) - max(errors), -max(errors))

    def test(self, judged: Judged) -> dict[str, Any]:
        """The utterances of a test set, and what each run wrote."""
        if not self.runs:
            return {"name": judged.name, "utterances": [], "runs": {}}
        return {
            "name": judged.name,
            "utterances": [self._utterance(row) for row in judged.rows[self.runs[0]]],
            "runs": {run: [_written(row) for row in judged.rows[run]] for run in self.runs},
        }

    def _utterance(self, row: Row) -> list[Any]:
        sound = self.sound_of.get(_place(row), -1)
        return [row.reference, round(row.duration, 2), row.speaker, Path(row.audio).name, sound]

    def pairs(self, judged: Judged) -> list[list[Any]]:
        """The difference of each pair of runs: the two, delta, low, high, p, whether it is significant."""
        found = []
        for place, first in enumerate(self.runs):
            for second in self.runs[place + 1 :]:
                exact = self.reference in (first, second)
                one = (judged.difference if exact else judged.estimate)(second, first)
                figures_of = [round(value, 6) for value in (one.delta, one.low, one.high, one.p_value)]
                found.append([first, second, *figures_of, one.significant])
        return found


def _place(row: Row) -> Place:
    """The sound of an utterance: a recording, or a segment of one."""
    return row.audio, row.offset, None if row.offset is None else row.duration


def _written(row: Row) -> int | list[str]:
    """0 for what is right; else the hypothesis and what became of each word."""
    letters = operations(row.reference, row.hypothesis)
    return 0 if set(letters) <= {"="} else [row.hypothesis, letters]


def operations(reference: str, hypothesis: str) -> str:
    """What became of each word, one letter each: `=` equal, and `s`, `d`, `i` for what was changed.

    >>> operations("turn on the light", "turn the lights please")
    '=d=si'
    """
    found = aligned_words(reference, hypothesis)
    return "".join("=" if operation == "equal" else operation[0] for operation, _, _ in found)
