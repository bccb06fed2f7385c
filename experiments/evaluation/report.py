"""The result of a model on a manifest: pooled, for each utterance, as JSON and as a table."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from heyjetson.bundle import Bundle, file_hash
from heyjetson.metrics import character_errors, cosine_similarity, pooled, word_errors
from heyjetson.significance import wer_interval
from manifests import Utterance


@dataclass(frozen=True)
class Row:
    """One utterance of a report: its texts and errors, who spoke, where the manifest says it, and where a segment of a
    recording begins, seconds."""

    audio: str
    duration: float
    reference: str
    hypothesis: str
    word_errors: int
    words: int
    character_errors: int
    characters: int
    cosine: float
    speaker: str | None = None
    offset: float | None = None


@dataclass
class Report:
    """The result on one manifest.

    Args:
        manifest: what was transcribed.
        model: by what.
        rows: in the manifest's order.
        seconds: time the model took, sound already in memory.
        heard: utterances that the model was trained on; None where that is not known.
        scorer: language model that took part: a scorer file, `bundle` for the one in the bundle; None for none.
        hashes: of what was measured, see `hashes_of`.
    """

    manifest: str
    model: str
    rows: list[Row]
    seconds: float
    heard: int | None = None
    scorer: str | None = None
    hashes: dict[str, str] = field(default_factory=dict)

    def totals(self) -> dict[str, float]:
        """Pooled figures of the set, with the ends of the WER's 95 % interval."""
        duration = sum(row.duration for row in self.rows)
        interval = wer_interval([row.word_errors for row in self.rows], [row.words for row in self.rows])
        return {
            "wer": pooled(word_errors(row.reference, row.hypothesis) for row in self.rows).rate,
            "wer_low": interval.low,
            "wer_high": interval.high,
            "cer": pooled(character_errors(row.reference, row.hypothesis) for row in self.rows).rate,
            "cosine": float(np.mean([row.cosine for row in self.rows])),
            "utterances": len(self.rows),
            "words": sum(row.words for row in self.rows),
            "audio_seconds": round(duration, 2),
            "real_time_factor": self.seconds / duration,
        }

    def worst(self, count: int) -> list[Row]:
        """The utterances with most word errors, then most character errors."""
        return sorted(self.rows, key=lambda row: (-row.word_errors, -row.character_errors))[:count]

    def write(self, path: Path) -> None:
        """Everything as JSON."""
        record: dict[str, Any] = {
            "manifest": self.manifest,
            "model": self.model,
            "scorer": self.scorer,
            **self.hashes,
            **self.totals(),
            "shared_with_training": self.heard,
        }
        record["utterance_results"] = [asdict(row) for row in self.rows]
        path.write_text(json.dumps(record, indent=1))


def hashes_of(model: Path, scorer: str | None = None) -> dict[str, str]:
    """What a report's model is known by: its file may hold another one when the report is read.

    Args:
        model: a `.nemo` or a bundle.
        scorer: language model that takes part; one of the bundle is told as well.
    """
    if not model.is_dir():
        return {"model_sha256": file_hash(model)}
    manifest = Bundle(model).manifest
    names = {"model_sha256": manifest["graph"]} | ({"scorer_sha256": "scorer"} if scorer == "bundle" else {})
    return {key: str(manifest["files"].get(name, {}).get("sha256")) for key, name in names.items()}


def place_of(folder: Path, name: str, manifest: Path, ending: str = "") -> Path:
    """Where the report on a manifest goes: the one on another manifest of the same name is not written over.

    Args:
        folder: that reports go to.
        name: what the file's name begins with.
        manifest: that is reported on.
        ending: of the file's name.
    """
    here = manifest.resolve()
    parents = [parent.name for parent in here.parents if parent.name]
    for depth in range(len(parents) + 1):
        place = folder / f"{'-'.join([name, *parents[:depth][::-1], manifest.stem])}{ending}.json"
        try:
            if Path(json.loads(place.read_text())["manifest"]).resolve() == here:
                return place
        except (OSError, ValueError, KeyError, TypeError):
            return place
    return place


def make_row(utterance: Utterance, hypothesis: str) -> Row:
    """Errors of one utterance."""
    words = word_errors(utterance.text, hypothesis)
    characters = character_errors(utterance.text, hypothesis)
    return Row(
        str(utterance.audio),
        utterance.duration,
        utterance.text,
        hypothesis,
        words.count,
        words.total,
        characters.count,
        characters.total,
        cosine_similarity(utterance.text, hypothesis),
        None if (speaker := utterance.extra.get("speaker")) in (None, "") else str(speaker),
        utterance.offset,
    )


def summarise(results: dict[str, dict[str, Any]]) -> None:
    """Print a table of test sets and their figures, RTF being the real-time factor."""
    table = Table("test set", "utterances", "WER", "95 %\ninterval", "CER", "cosine", "RTF")
    for name, totals in results.items():
        table.add_row(
            name,
            str(totals["utterances"]),
            f"{totals['wer']:.2%}",
            f"{totals['wer_low'] * 100:.2f}–{totals['wer_high'] * 100:.2f}",
            f"{totals['cer']:.2%}",
            f"{totals['cosine']:.3f}",
            f"{totals['real_time_factor']:.4f}",
        )
    Console().print(table)


def show_worst(report: Report, count: int) -> None:
    """Print the utterances that went worst, reference over hypothesis."""
    rows = [row for row in report.worst(count) if row.word_errors]
    if not rows:
        return
    table = Table("errors", "reference / hypothesis", "file", title=f"the {len(rows)} worst")
    for row in rows:
        texts = f"{row.reference}\n{row.hypothesis or '(nothing)'}"
        table.add_row(f"{row.word_errors} of {row.words}", texts, Path(row.audio).name)
    Console().print(table)
