"""Reading the curve of a run; apart from what writes it, since Lightning takes seconds to import."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

HISTORY = "history.jsonl"


def read_history(folder: Path) -> list[dict[str, float]]:
    """The points of a run's curve, oldest first; a line cut short by a kill is left out.

    Args:
        folder: of the run.

    Returns:
        one dictionary per validation: `step`, `epoch`, `seconds` of training (resumptions included), `learning_rate`,
        and what was logged of `val_wer`, `val_cer`, `val_loss`, `train_loss` and is a finite number. A step repeated
        after a kill counts once.
    """
    return [{key: value for key, value in point.items() if not _spoilt(value)} for point in _points(folder)]


def divergence(folder: Path, *metrics: str) -> str:
    """Where a curve says that its run diverged, as the end of a sentence; empty where it does not.

    Args:
        folder: of the run.
        metrics: that must be finite numbers at every point.
    """
    for point in _points(folder):
        for name in metrics:
            if _spoilt(point.get(name)):
                return f"{name} was {point[name]} at step {point['step']:.0f}"
        if point.get("diverged"):
            return f"it diverged at step {point['step']:.0f}"
    return ""


def _points(folder: Path) -> list[dict[str, Any]]:
    path = folder / HISTORY
    points: dict[int, dict[str, Any]] = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            point = json.loads(line)
            points[int(point["step"])] = point
        except (ValueError, KeyError, TypeError, OverflowError):
            continue
    return [points[step] for step in sorted(points)]


def _spoilt(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
