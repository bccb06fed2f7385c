"""What an export measured of a model: where words lie about its spikes, and the quiet it needs behind the last one.

A CTC model writes a letter in one frame, when it is sure of it; one that streams is sure late. How late is a matter of
the model and its training, so it is measured when a bundle is made (`experiments.export.times`) and is written there.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

VERSION = 1
KEY = "calibration"  # of manifest.json
_RANGES = {
    "start": (-2.0, 2.0),
    "end": (-2.0, 2.0),
    "reach": (0.0, 1.0),
    "quiet": (0.0, 5.0),
    "level": (-120.0, 0.0),
}


@dataclass(frozen=True)
class Calibration:
    """Corrections of one bundle.

    Args:
        start: seconds from the frame of a word's first letter to the word's beginning.
        end: seconds from the first frame of its last letter to its end.
        reach: seconds about a border so found within which the sound may say better.
        quiet: seconds of quiet that are heard behind the end of the sound.
        level: decibels of full scale of that quiet.
        measured: on what, and what error was left; for readers.
    """

    start: float
    end: float
    reach: float
    quiet: float = 0.0
    level: float = -60.0
    measured: dict[str, Any] | None = None

    @classmethod
    def of(cls, manifest: dict[str, Any]) -> Calibration | None:
        """That of a bundle's manifest, which `fault` has found right; None where it has none: its times are raw."""
        record = manifest.get(KEY)
        if record is None:
            return None
        return cls(**{key: float(record[key]) for key in _RANGES}, measured=record.get("measured"))

    def record(self) -> dict[str, Any]:
        """What manifest.json says of it."""
        return {"version": VERSION, **asdict(self)}

    @cached_property
    def _noise(self) -> np.ndarray:
        return np.random.default_rng(0).standard_normal(1 << 12).astype(np.float32)

    def silence(self, rate: int) -> np.ndarray:
        """The quiet behind the end, [S] float32, always the same."""
        samples = round(self.quiet * rate)
        return np.resize(self._noise, samples) * np.float32(10 ** (self.level / 20))


def describe(calibration: Calibration | None) -> str:
    """What the word times of a bundle are, for people."""
    if calibration is None:
        return "raw: those of the model's frames. Export the model with calibration=MANIFEST to have them corrected."
    start, end = round(calibration.start * 1000), round(calibration.end * 1000)
    said = f"corrected by {start:+} and {end:+} ms, and by the sound"
    errors = [(calibration.measured or {}).get(name) for name in ("start_error", "end_error")]
    if all(errors):
        left = " and ".join(
            f"{round(error['p10'] * 1000)} to {round(error['p90'] * 1000)} ms" for error in errors if error
        )
        said += f"; 80 % of starts and ends within {left}"
    return f"{said}; {calibration.quiet:g} s of quiet are heard behind the end."


def fault(manifest: dict[str, Any]) -> str | None:
    """What of a manifest's calibration cannot be."""
    record = manifest.get(KEY)
    if record is None:
        return None
    if not isinstance(record, dict) or not isinstance(record.get("version"), int):
        return f"{KEY} must be a table with a version"
    if record["version"] > VERSION:
        return f"{KEY} has version {record['version']}, this heyjetson reads up to {VERSION}: upgrade heyjetson"
    for key, (lowest, highest) in _RANGES.items():
        value = record.get(key)
        if not isinstance(value, int | float) or isinstance(value, bool) or not lowest <= value <= highest:
            return f"{KEY}.{key} must lie between {lowest:g} and {highest:g}, found {value!r}"
    return None
