"""What an evaluation found: figures of every system, word and false-alarm rate, as JSON and as a table."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.trigger.evaluation.curve import NEVER, Curve, Point, binomial_interval, poisson_interval
from experiments.trigger.evaluation.events import Judged, latencies
from experiments.trigger.evaluation.streams import Stream

MODEL = "model"


@dataclass(frozen=True)
class Found:
    """One system on one word.

    Args:
        system: `model` or a peer.
        word: which.
        curve: its operating points.
        stream: in which they were found.
    """

    system: str
    word: str
    curve: Curve
    stream: Stream


@dataclass
class Report:
    """An evaluation.

    Args:
        settings: what was asked: protocol, seed, part, …
        targets: false alarms per hour.
        found: every system on every word.
        seconds: system → time it took, and hours of sound it took it for.
        negatives: system → word → target → events in a stream without the words, as `listed` gives them.
    """

    settings: dict[str, Any]
    targets: list[float]
    found: list[Found] = field(default_factory=list)
    seconds: dict[str, tuple[float, float]] = field(default_factory=dict)
    negatives: dict[str, Any] = field(default_factory=dict)

    @property
    def systems(self) -> list[str]:
        """Names, the model's first."""
        return list(dict.fromkeys(one.system for one in self.found))

    def of(self, system: str) -> list[Found]:
        """A system's words."""
        return [one for one in self.found if one.system == system]

    def mean_miss(self, system: str, target: float) -> float:
        """Miss rate of a system averaged over the words, each with `target` false alarms per hour at most."""
        return float(np.mean([one.curve.at(target).miss_rate for one in self.of(system)]))

    def record(self) -> dict[str, Any]:
        """Everything, for JSON."""
        streams = {id(one.stream): one.stream for one in self.found}
        results = [figures(one, target) for one in self.found for target in self.targets]
        means = [overall(self, system, target) for system in self.systems for target in self.targets]
        left_out = sorted({reason for stream in streams.values() for reason in stream.left_out})
        return {
            **self.settings,
            "hours": round(sum(stream.hours for stream in streams.values()), 4),
            "distinct_background_hours": round(max(stream.distinct_hours for stream in streams.values()), 4),
            "noise": next(iter(streams.values())).noise,
            "words": {one.word: one.curve.points[0].words for one in self.of(self.systems[0])},
            "left_out": left_out,
            "real_time_factor": {name: took / (hours * 3600) for name, (took, hours) in self.seconds.items()},
            "mean": means,
            "results": results,
            "negatives": self.negatives,
            "curves": {system: {one.word: points(one.curve) for one in self.of(system)} for system in self.systems},
        }

    def write(self, path: Path) -> None:
        """Everything as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.record(), indent=1))


def points(curve: Curve) -> dict[str, list[float | None]]:
    """A curve as columns; the threshold that is never reached is null."""
    return {
        "thresholds": [_number(point.threshold) for point in curve.points],
        "miss": [round(point.miss_rate, 5) for point in curve.points],
        "fa_per_hour": [round(point.false_alarms_per_hour, 5) for point in curve.points],
    }


def _number(threshold: float) -> float | None:
    return None if threshold == NEVER else round(threshold, 6)


def listed(judged: Judged, stream: Stream) -> list[dict[str, Any]]:
    """Every false alarm: when, in which file, and at which other word."""
    return [
        {
            "time": round(float(moment), 2),
            "file": stream.heard_at(float(moment)),
            "at_word": stream.labels[other].word if other >= 0 else None,
        }
        for moment, other in zip(judged.false_times, judged.mistaken, strict=True)
    ]


def figures(one: Found, target: float) -> dict[str, Any]:
    """A system on a word at a false-alarm rate."""
    point = one.curve.at(target)
    judged = one.curve.judged(point.threshold)
    late = latencies(judged, one.stream.labels)
    median, slow = np.percentile(late, [50, 95]) if len(late) else (None, None)
    heard = set(judged.hits.tolist())
    said = [index for index, label in enumerate(one.stream.labels) if label.word == one.word]
    return {
        "system": one.system,
        "word": one.word,
        "target": target,
        "threshold": _number(point.threshold),
        "miss_rate": round(point.miss_rate, 5),
        "miss_interval": _rounded(point.miss_interval),
        "miss_rate_interpolated": round(one.curve.interpolated(target), 5),
        "words": point.words,
        "hits": point.hits,
        "n_events": point.hits + point.false_alarms,
        "fa_per_hour": round(point.false_alarms_per_hour, 5),
        "fa_interval": _rounded(point.false_alarm_interval),
        "false_alarms": point.false_alarms,
        "at_other_words": point.mistaken,
        "latency_median": None if median is None else round(float(median), 3),
        "latency_95": None if slow is None else round(float(slow), 3),
        "false_alarm_list": listed(judged, one.stream),
        "missed": [one.stream.labels[index].source for index in said if index not in heard],
    }


def overall(report: Report, system: str, target: float) -> dict[str, Any]:
    """A system over all its words at a false-alarm rate: the mean of the words, and all words pooled."""
    at: list[Point] = [one.curve.at(target) for one in report.of(system)]
    missed, words = sum(point.words - point.hits for point in at), sum(point.words for point in at)
    false, hours = sum(point.false_alarms for point in at), sum(point.hours for point in at)
    return {
        "system": system,
        "target": target,
        "miss_rate": round(report.mean_miss(system, target), 5),
        "pooled_miss_interval": _rounded(binomial_interval(missed, words)),
        "words": words,
        "missed": missed,
        "false_alarms": false,
        "fa_per_hour_and_word": round(false / hours, 5),
        "fa_interval": _rounded(poisson_interval(false, hours)),
    }


def _rounded(interval: tuple[float, float]) -> list[float]:
    return [round(end, 5) for end in interval]


def show(report: Report) -> None:
    """Print the figures of every word, and how much was listened to."""
    record = report.record()
    for system in report.systems:
        rows = [row for row in record["results"] if row["system"] == system]
        table = Table("at", "word", "missed, % (95 %)", "FA/h (95 %)", "latency, ms (95 %)", title=system)
        for target in report.targets:
            for row in (row for row in rows if row["target"] == target):
                late, slow = (row[key] for key in ("latency_median", "latency_95"))
                latency = "–" if late is None else f"{late * 1000:.0f} ({slow * 1000:.0f})"
                missed = _rate(row["miss_rate"] * 100, [end * 100 for end in row["miss_interval"]], 1)
                table.add_row(
                    f"{target:g}", row["word"], missed, _rate(row["fa_per_hour"], row["fa_interval"], 2), latency
                )
            mean = next(row for row in record["mean"] if (row["system"], row["target"]) == (system, target))
            missed = _rate(mean["miss_rate"] * 100, [end * 100 for end in mean["pooled_miss_interval"]], 1)
            false = _rate(mean["fa_per_hour_and_word"], mean["fa_interval"], 2)
            table.add_row(f"{target:g}", "mean", missed, false, "", end_section=True)
        Console().print(table)
    print(
        "at: most false alarms per hour and word; latency: from the end of the word, median and 95th percentile\n"
        f"{record['protocol']}: {record['hours']:.2f} h, {record['distinct_background_hours']:.2f} h of distinct "
        f"backgrounds, {record['snr']:g} dB over noise ({record['noise']})"
    )
    for system, factor in record["real_time_factor"].items():
        print(f"{system}: real-time factor {factor:.4f}")
    negatives = record["negatives"]
    for system, words in negatives.get("systems", {}).items():
        for word, targets in words.items():
            counts = ", ".join(f"{len(events)} where {target}/h are allowed" for target, events in targets.items())
            print(f"{negatives['hours']:.2f} h without the words: {system} hears {word}: {counts}")
    if record["left_out"]:
        print(f"left out: {len(record['left_out'])} recordings; the report says why")


def _rate(rate: float, interval: list[float], digits: int) -> str:
    """A figure and its interval."""
    return f"{rate:.{digits}f} ({interval[0]:.{digits}f}–{interval[1]:.{digits}f})"
