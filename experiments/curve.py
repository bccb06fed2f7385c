"""Reading the curve of a run; apart from what writes it, since Lightning takes seconds to import."""

from __future__ import annotations

import json
from pathlib import Path

HISTORY = "history.jsonl"


def read_history(folder: Path) -> list[dict[str, float]]:
    """The points of a run's curve, oldest first; a line cut short by a kill is left out.

    Args:
        folder: of the run.

    Returns:
        one dictionary per validation: `step`, `epoch`, `seconds` of training (resumptions included), `learning_rate`,
        and what was logged of `val_wer`, `val_cer`, `val_loss`, `train_loss`. A step repeated after a kill counts once.
    """
    path = folder / HISTORY
    points: dict[int, dict[str, float]] = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            point = json.loads(line)
            points[int(point["step"])] = point
        except (ValueError, KeyError, TypeError):
            continue
    return [points[step] for step in sorted(points)]
