"""Label tracks of Audacity: START<tab>END<tab>TEXT."""

from __future__ import annotations

import math
import re
from pathlib import Path

from manifests.cuts import seconds
from manifests.lines import ManifestError, text_of
from manifests.segments.segment import Labels, Segment

_LINE = re.compile(r"\s*(-?\d+(?:[.,]\d+)?(?:[eE][-+]?\d+)?)\t\s*(-?\d+(?:[.,]\d+)?(?:[eE][-+]?\d+)?)(?:\t(.*))?")


def audacity(path: Path) -> Labels:
    """Segments of an exported label track; frequencies are passed over, and so are labels of a point.

    Raises:
        ManifestError: a line is none.
    """
    segments = []
    for number, line in enumerate(text_of(path).split("\n"), 1):
        if not line.strip() or line.startswith("\\"):  # frequencies of the label before
            continue
        where = f"{path}:{number}"
        found = _LINE.fullmatch(line)
        if found is None:
            raise ManifestError(f"{where}: expected `START<tab>END<tab>TEXT` in seconds, found {line!r:.80}.")
        # Some languages' Audacity writes a comma.
        # A track that was moved to the left has labels before 0: where they lie is for the caller to judge.
        start, end = (seconds(found[place].replace(",", "."), where, "a time", -math.inf) for place in (1, 2))
        point = "labels of a point" if start == end else ""
        segments.append(Segment(start, end, " ".join((found[3] or "").split()), where, passed_over=point))
    if not segments:
        raise ManifestError(f"{path} holds no labels.")
    return Labels({"": segments})


def is_audacity(path: Path) -> bool:
    """Whether the first line of a text file is a label."""
    try:
        first = next((line for line in text_of(path).split("\n") if line.strip()), "")
    except ManifestError:
        return False
    return _LINE.fullmatch(first) is not None
