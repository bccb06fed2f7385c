"""Figures of a run with the doubt that its size leaves: intervals and differences as `heyjetson.significance` has them,
which training and comparisons show, too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from heyjetson.significance import Interval, mean_interval, wer_interval
from heyjetson.significance import difference as compared

BINS = 24
POINTS = 500
_PERCENTILES = (50, 90, 95, 99)

Columns = Mapping[str, np.ndarray]


def _shown(found: Interval) -> dict[str, float]:
    return {"value": found.rate, "low": found.low, "high": found.high}


def _rate(errors: Any, units: Any) -> Any:
    """Errors a unit as `metrics.Errors.rate` has it, of numbers or arrays."""
    return np.where(units > 0, errors / np.maximum(units, 1), errors > 0).astype(float)


def accuracy(columns: Columns) -> dict[str, Any]:
    """WER, CER and mean cosine, each {"value", "low", "high"}; nothing without an utterance.

    Args:
        columns: see `Results.columns`.

    >>> one = dict.fromkeys(("word_errors", "character_errors", "cosine"), np.ones(4))
    >>> accuracy({**one, "words": np.full(4, 4), "characters": np.full(4, 8)})["wer"]
    {'value': 0.25, 'low': 0.25, 'high': 0.25}
    """
    if not len(columns["words"]):
        return {}
    return {
        "wer": _shown(wer_interval(columns["word_errors"], columns["words"])),
        "cer": _shown(wer_interval(columns["character_errors"], columns["characters"])),
        "cosine": _shown(mean_interval(columns["cosine"])),
    }


def speed(columns: Columns) -> dict[str, Any]:
    """Percentiles of the seconds an utterance took, their mean and largest, and the real-time factor of all."""
    taken = columns["taken"]
    if not len(taken):
        return {}
    latency = {f"p{percent}": float(np.percentile(taken, percent)) for percent in _PERCENTILES}
    latency |= {"mean": float(taken.mean()), "largest": float(taken.max())}
    return {"latency": latency, "real_time_factor": float(taken.sum() / max(columns["seconds"].sum(), 1e-9))}


def distributions(columns: Columns) -> dict[str, Any]:
    """Histograms of WER, CER, cosine similarity and latency, {"low", "high", "count"} a bin (of rates and latency low
    is excluded, high included, and the last one open), and latency against length, at most `POINTS` pairs."""
    if not len(columns["taken"]):
        return {"wer": [], "cer": [], "cosine": [], "latency": [], "points": []}
    taken = columns["taken"]
    widest = min(float(taken.max()), 1.5 * float(np.percentile(taken, 99)))
    chosen = np.unique(np.linspace(0, len(taken) - 1, POINTS).round().astype(int))
    points = np.stack([columns["seconds"], taken], axis=1)[chosen]
    counts, edges = np.histogram(np.clip(columns["cosine"], 0, 1), bins=10, range=(0, 1))
    return {
        "wer": _rate_bins(_rate(columns["word_errors"], columns["words"])),
        "cer": _rate_bins(_rate(columns["character_errors"], columns["characters"])),
        "cosine": [
            {"low": round(float(low), 1), "high": round(float(high), 1), "count": int(count)}
            for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
        ],
        "latency": _bins(taken, np.linspace(0, max(widest, 1e-6), BINS + 1)),
        "points": [[round(seconds, 3), round(took, 5)] for seconds, took in points.tolist()],
    }


def _rate_bins(rates: np.ndarray) -> list[dict[str, Any]]:
    """A bin of what is without an error, then tenths."""
    perfect = {"low": 0.0, "high": 0.0, "count": int((rates == 0).sum())}
    return [perfect, *_bins(rates[rates > 0], np.linspace(0, 1, 11).round(1))]


def _bins(values: np.ndarray, edges: np.ndarray) -> list[dict[str, Any]]:
    places = np.searchsorted(edges, values, side="left")  # edges[place - 1] < value <= edges[place]
    counts = np.bincount(np.maximum(places, 1), minlength=len(edges) + 1)
    bins: list[dict[str, Any]] = [
        {"low": float(low), "high": float(high), "count": int(count)}
        for low, high, count in zip(edges[:-1], edges[1:], counts[1:], strict=False)
    ]
    if counts[len(edges)]:
        bins.append({"low": float(edges[-1]), "high": None, "count": int(counts[len(edges)])})
    return bins


def difference(first: Columns, second: Columns) -> dict[str, Any] | None:
    """How much lower the first engine's WER is than the second's, on the utterances that both have.

    Args:
        first, second: see `Results.columns`.

    Returns:
        {"utterances", "wer": {"value", "low", "high"} of first minus second, "p_value" of the matched-pair test,
        "chance": whether interval or test leave room for none, "better", "worse", "equal": utterances in which the
        first has fewer, more, as many errors}, or None without any.
    """
    _, here, there = np.intersect1d(first["number"], second["number"], assume_unique=True, return_indices=True)
    if not len(here):
        return None
    mine, theirs = first["word_errors"][here], second["word_errors"][there]
    found, gain = compared(theirs, mine, first["words"][here]), theirs - mine
    return {
        "utterances": len(here),
        "wer": {"value": found.delta, "low": found.low, "high": found.high},
        "p_value": found.p_value,
        "chance": not found.significant,
        "better": int((gain > 0).sum()),
        "worse": int((gain < 0).sum()),
        "equal": int((gain == 0).sum()),
    }
