"""What an alignment found, as tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.align.recipe import ALIGNED, DOUBTFUL, LABELS, LEFT_OUT, Result
from manifests.show import from_here, short, span, typed

LONG = 20.0  # seconds, beyond which training refuses an utterance unless data.longest is raised
QUANTILES = (0.01, 0.1, 0.5, 0.9)


def show(results: list[Result], out: Path, min_score: float, worst: int) -> None:
    """Print what was found and what was not, and the worst segments.

    Args:
        results: of all recordings.
        out: folder that was written to.
        min_score: segments below it are doubtful.
        worst: how many of the worst to print.
    """
    segments = [(result, one) for result in results for one in result.aligned.segments]
    sure = [one for _, one in segments if one.score >= min_score]
    doubtful = [one for _, one in segments if one.score < min_score]
    table = Table("", "utterances", "time")
    sounds = f"{len(results)} recording{'s' if len(results) != 1 else ''}"
    spoken = sum(len(result.transcript.utterances) + len(result.transcript.unsayable) for result in results)
    table.add_row(sounds, f"{spoken:,}", span(sum(result.aligned.seconds for result in results) / 3600))
    for name, found in (("aligned", sure), ("doubtful", doubtful)):
        time = span(sum(one.end - one.begin for one in found) / 3600)
        table.add_row(name, f"{len(found):,}", time)
    missing = sum(len(result.aligned.missing) for result in results)
    unsayable = sum(len(result.transcript.unsayable) for result in results)
    table.add_row("not found in the sound", f"{missing:,}", "")
    table.add_row("not sayable", f"{unsayable:,}", "")
    table.add_row("speech without text", "", span(sum(result.aligned.unspoken for result in results) / 3600))
    console = Console()
    console.print(table)
    for name, count, file in (
        ("aligned", len(sure), ALIGNED),
        ("doubtful", len(doubtful), DOUBTFUL),
        ("left out", missing + unsayable, LEFT_OUT),
    ):
        if count:
            print(f"{name:<8} {from_here(out / file)}")
    if segments:
        scores = np.quantile([one.score for _, one in segments], QUANTILES)
        shown = ", ".join(f"{value:.2f} ({share:.0%})" for value, share in zip(scores, QUANTILES, strict=True))
        print(f"scores   {shown}; doubtful below {min_score:g} (min_score=)")
    lowest = sorted(segments, key=lambda entry: entry[1].score)[: max(worst, 0)]
    if lowest:
        table = Table("score", "from", "to", "text", title=f"the {len(lowest)} worst")
        for result, one in lowest:
            where = f"{result.sound.name} {one.begin:.2f}" if len(results) > 1 else f"{one.begin:.2f}"
            table.add_row(f"{one.score:.2f}", where, f"{one.end:.2f}", short(one.utterance.text, 80))
        console.print(table)


def next_steps(results: list[Result], out: Path, min_score: float, channels: str = "mix") -> None:
    """Print what to look at and what to do next.

    Args:
        results: of all recordings.
        out: folder that was written to.
        min_score: segments below it are doubtful.
        channels: that were heard; see `heyjetson.audio.to_mono`.
    """
    sure = [one for result in results for one in result.aligned.segments if one.score >= min_score]
    placed = sum(len(result.transcript.utterances) for result in results)
    if len(sure) * 2 < placed:
        print(
            "Less than half of the text was found with a good score. Is it the text of this recording? Else the model "
            "does not hear this speech well enough, and what looks sure need not be right: listen to some, or train on "
            "speech more like it first."
        )
    if long := sum(one.end - one.begin > LONG for one in sure):
        print(
            f"{long} segments are longer than {LONG:g} s: training refuses them. Give shorter lines, or longest_line=."
        )
    print(f"look     the label tracks in {from_here(out / LABELS)} open in Audacity beside the recording")
    if sure:
        manifest, heard = typed(out / ALIGNED), "" if channels == "mix" else f" --channels {channels}"
        print(f"next     python -m manifests check {manifest}{heard}")
        print(f"         python -m manifests table {manifest}{heard} --out data/NAME")
