"""Clips in which the borders of some words are known, made of the utterances of any manifest.

Each utterance is cut to where its sound begins and ends, two are joined with a pause, and a room tone lies over all of
it. What lies at the edge of an utterance is known to the hundredth of a second wherever the background is quieter than
the speech by far enough; words inside an utterance play no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from manifests import Utterance
from manifests.convert import sound_of
from manifests.progress import progress

EDGE = 30.0  # decibels under the loudest of a word, at which it begins and ends
WORD = 0.4  # seconds at the edge of an utterance in which its first or last word is loudest
MARGIN = 0.1  # seconds of an utterance's own background that are kept on either side
PAUSE = (0.1, 0.4)  # seconds between two utterances
BEFORE, BEHIND = 0.3, 0.5  # seconds of quiet around a clip


@dataclass(frozen=True)
class Edges:
    """A clip of which two words' borders are known.

    Args:
        samples: [S], quiet before and behind.
        text: what is said.
        starts: word number and second at which it begins.
        ends: word number and second at which it ends.
    """

    samples: np.ndarray
    text: str
    starts: tuple[tuple[int, float], ...]
    ends: tuple[tuple[int, float], ...]


def utterance_edges(samples: np.ndarray, rate: int) -> tuple[float, float, float] | None:
    """Where the first word of an utterance [S] begins and the last ends, in seconds, and the level of its background.

    None where the background is not `EDGE` decibels and a little more below the words.
    """
    size = rate // 400
    if len(samples) < rate // 10:
        return None
    power = np.add.reduceat(np.square(samples, dtype=np.float64), np.arange(0, len(samples) - size + 1, size)) / size
    level = 10 * np.log10(np.convolve(power, np.ones(4) / 4, "valid") + 1e-12)
    background, step = float(np.percentile(level, 5)), size / rate
    found = []
    for seen in (level, level[::-1]):
        first = int(np.argmax(seen >= level.max() - EDGE))
        quiet = float(seen[first : first + round(WORD / step)].max()) - EDGE
        if background > quiet - 6.0:
            return None
        found.append(int(np.argmax(seen >= quiet)))
    # Middles of the first and the last block that are loud.
    return (found[0] + 2) * step, (len(level) - 1 - found[1] + 2) * step, background


def make_clips(
    utterances: Sequence[Utterance], rate: int, longest: float, seconds: float, seed: int = 0, channels: str = "mix"
) -> list[Edges]:
    """Clips of known borders.

    Args:
        utterances: what to make them of; drawn, each once.
        rate: hertz.
        longest: seconds of a clip.
        seconds: of all clips.
        seed: of what is drawn.
        channels: of recordings that have several; see `heyjetson.audio.to_mono`.
    """
    rng = np.random.default_rng(seed)
    clips: list[Edges] = []
    parts: list[tuple[np.ndarray, str, float, float, float]] = []
    total = 0.0
    for number in progress(rng.permutation(len(utterances)).tolist(), "clips of known borders", len(utterances)):
        if total > seconds:
            break
        utterance = utterances[number]
        if not utterance.text.split() or not 0.2 <= utterance.duration <= longest - BEFORE - BEHIND - 0.5:
            continue
        samples = sound_of(utterance, rate, channels)
        edges = utterance_edges(samples, rate)
        if edges is None:
            continue
        begin, end, background = edges
        low = max(round((begin - MARGIN) * rate), 0)
        cut = samples[low : round((end + MARGIN) * rate)]
        part = (cut, utterance.text, begin - low / rate, end - low / rate, background)
        if parts and (len(parts[0][0]) + len(cut)) / rate + BEFORE + BEHIND + PAUSE[1] > longest:
            clips.append(_joined(parts, rate, rng))
            parts = []
        parts.append(part)
        total += len(cut) / rate
        if len(parts) == 2:
            clips.append(_joined(parts, rate, rng))
            parts = []
    return [*clips, _joined(parts, rate, rng)] if parts else clips


def _joined(parts: list[tuple[np.ndarray, str, float, float, float]], rate: int, rng: np.random.Generator) -> Edges:
    """Utterances with quiet before, between and behind."""
    pieces = [np.zeros(round(BEFORE * rate), np.float32)]
    starts, ends, words = [], [], 0
    for samples, text, begin, end, _ in parts:
        position = sum(map(len, pieces)) / rate
        starts.append((words, position + begin))
        words += len(text.split())
        ends.append((words - 1, position + end))
        pieces += [samples, np.zeros(round(rng.uniform(*PAUSE) * rate), np.float32)]
    pieces[-1] = np.zeros(round(BEHIND * rate), np.float32)
    samples = np.concatenate(pieces)
    tone = np.float32(10 ** (max(min(part[4] for part in parts), -75.0) / 20))
    samples = samples + tone * rng.standard_normal(len(samples)).astype(np.float32)
    return Edges(samples, " ".join(part[1] for part in parts), tuple(starts), tuple(ends))


def beginnings(clip: Edges, rate: int) -> list[Edges]:
    """A clip up to the end of each utterance in it, and no further."""
    said, parts = clip.text.split(), []
    for number, end in clip.ends:
        samples = clip.samples[: round(end * rate)]
        parts.append(Edges(samples, " ".join(said[: number + 1]), clip.starts, ((number, end),)))
    return parts


def matched(said: Sequence[str], heard: Sequence[str]) -> dict[int, int]:
    """Which word of what was said is which of what was heard, from either end up to the first mistake."""
    found: dict[int, int] = {}
    for step in (1, -1):
        pairs = zip(range(len(said))[::step], range(len(heard))[::step], strict=False)
        for one, other in pairs:
            if said[one] != heard[other]:
                break
            found[one] = other
    return found
