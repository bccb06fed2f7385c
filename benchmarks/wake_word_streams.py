"""What surprises a trigger in a stream: where a recording begins, echoes, repeats, drawn-out words, telephones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.wake_word_sound import TONE, clip, recordings
from benchmarks.wake_word_systems import RATE

# Samples by which a clip begins later.
OFFSETS = (0, 53, 160, 213, 320, 400, 480, 560, 613)


def offsets(bundle: str, data: Path, words: Sequence[str], most: int) -> float:
    """Largest difference between the best scores of a clip that begins at several offsets."""
    from heyjetson import Bundle, Trigger

    trigger = Trigger(Bundle(bundle), threads=1)
    worst = 0.0
    for one in recordings(data, words, "test", most):
        samples, *_ = clip(one, "clean", [], [], 1)
        scores = [trigger.scores(np.pad(samples, (offset, 0)), RATE) for offset in OFFSETS]
        smooth = [np.apply_along_axis(lambda s: np.convolve(s, np.ones(3) / 3), 0, score).max(0) for score in scores]
        worst = max(worst, float(np.ptp(np.stack(smooth), axis=0).max()))
    return worst


def surprises(bundle: str, data: Path, words: Sequence[str], most: int) -> dict[str, str]:
    """What a bundle makes of real words where streams surprise."""
    import soxr

    from heyjetson import Bundle, Trigger

    trigger = Trigger(Bundle(bundle), threads=1)
    stream = trigger.stream(RATE)
    rng = np.random.default_rng(1)
    tally: dict[str, list[int]] = {}

    def hear(name: str, word: str, wanted: int, samples: np.ndarray, rate: int = RATE) -> None:
        listening = stream if rate == RATE else trigger.stream(rate)
        listening.reset()
        samples = samples + np.float32(10 ** (TONE / 20)) * rng.standard_normal(len(samples), dtype=np.float32)
        # Never finished: a stream that is not closed has raised its words by then.
        events = listening.feed(np.concatenate([samples, np.zeros(2 * rate, np.float32)]))
        right = sum(event.word == word for event in events)
        counts = tally.setdefault(name, [0, 0, 0])
        counts[0] += min(right, wanted)
        counts[1] += wanted
        counts[2] += len(events) - min(right, wanted)

    for one in recordings(data, words, "test", most):
        margin = round(0.1 * RATE)
        said = one.samples[max(one.start - margin, 0) : one.end + margin] * np.float32(0.3)
        room, second = np.zeros(RATE, np.float32), np.zeros(2 * RATE, np.float32)
        plain = np.concatenate([room, said])
        hear("alone", one.word, 1, plain)
        echo = np.concatenate([plain, second])
        for late, gain in ((0.6, 0.35), (1.2, 0.2)):
            at = RATE + round(late * RATE)
            echo[at : at + len(said)] += np.float32(gain) * said
        hear("two echoes within 1.2 s", one.word, 1, echo)
        twice = np.concatenate([plain, second, second])
        at = RATE + max(round(1.5 * RATE), len(said))
        twice[at : at + len(said)] += said
        hear("twice, 1.5 s apart", one.word, 2, twice)
        hear("drawn out by half", one.word, 1, np.concatenate([room, soxr.resample(said, 2, 3)]))
        hear("at the very beginning, after reset", one.word, 1, said)
        hear("8 kHz", one.word, 1, soxr.resample(plain, RATE, 8000).astype(np.float32), 8000)
    told = {
        name: f"{found} of {wanted} events, {wrong} of something else or too many"
        for name, (found, wanted, wrong) in tally.items()
    }
    silence = trigger.scores(np.zeros(60 * RATE, np.float32), RATE).max()
    return told | {"digital silence": f"scores at most {silence:.4f}"}
