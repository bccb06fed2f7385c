"""A long stream: recordings over noise at a signal-to-noise ratio, mixed piece by piece so that memory stays small."""

from __future__ import annotations

import bisect
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile

from experiments.trigger.evaluation.events import Label
from experiments.trigger.evaluation.sources import RATE, Noise, Recording
from heyjetson.errors import AudioError
from manifests.progress import progress

ENERGY_FRAME = 512  # samples
BLOCK = 300.0  # seconds scored at once
LEAD = 10.0  # seconds before them that a model hears first, so that its state has settled
TAIL = 1.0  # seconds after them, for frames whose window ends there


class Scorer(Protocol):
    """What is asked of a model: samples [S] float32 at 16 kHz → scores [T, W]."""

    words: Sequence[str]
    frame_seconds: float

    def scores(self, samples: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class Part:
    """A stretch of a stream.

    Args:
        samples: its length.
        recording: what is heard in it; None for noise alone.
        boost: decibels its signal-to-noise ratio differs from the stream's by.
    """

    samples: int
    recording: Recording | None = None
    boost: float = 0.0


@dataclass(frozen=True)
class Stream:
    """Hours of sound, kept in a file without a name.

    Args:
        sound: [S] float32, before `gain`.
        gain: brings the peak to 1.
        labels: the words in it, by time.
        starts: seconds at which each part begins, ascending [P].
        files: what is heard in each part [P].
        distinct_hours: of backgrounds, each recording counted once.
        noise: where it comes from.
        left_out: what could not be used, and why.
    """

    sound: np.ndarray
    gain: float
    labels: list[Label]
    starts: list[float]
    files: list[str]
    distinct_hours: float
    noise: str
    left_out: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.sound) / RATE

    @property
    def hours(self) -> float:
        """Its length."""
        return self.seconds / 3600

    def read(self, start: int, stop: int) -> np.ndarray:
        """Samples [stop - start] float32, peak 1 over the stream; silence before and after it."""
        inside = np.asarray(self.sound[max(start, 0) : max(stop, 0)]) * np.float32(self.gain)
        before = max(min(-start, stop - start), 0)
        return np.pad(inside, (before, max(stop - start - before - len(inside), 0)))

    def heard_at(self, second: float) -> str:
        """The file that is heard at a time."""
        return self.files[max(bisect.bisect_right(self.starts, second) - 1, 0)]

    def write(self, folder: Path, name: str) -> None:
        """Write `NAME_speech.wav` (16 bits) and `NAME_label.txt` ("start, end" in seconds), as the public benchmark."""
        folder.mkdir(parents=True, exist_ok=True)
        with soundfile.SoundFile(folder / f"{name}_speech.wav", "w", RATE, 1, "PCM_16") as file:
            for start in range(0, len(self.sound), 60 * RATE):
                file.write(self.read(start, min(start + 60 * RATE, len(self.sound))))
        lines = [f"{label.start:.2f}, {label.end:.2f}\n" for label in self.labels]
        (folder / f"{name}_label.txt").write_text("".join(lines))


def loudest(sound: np.ndarray) -> float:
    """Energy of the loudest 512 samples of [S]; of all where there are fewer."""
    frames = len(sound) // ENERGY_FRAME
    if frames == 0:
        return float(np.sum(sound**2))
    return float((sound[: frames * ENERGY_FRAME].reshape(frames, ENERGY_FRAME) ** 2).sum(axis=1).max())


def mix(parts: Sequence[Part], noise: Noise, snr: float, whole_clip: float | None, left_out: list[str]) -> Stream:
    """Lay parts one after another over noise.

    The noise stays as it is; every recording is scaled so that its loudest 512 samples are `snr` decibels above the
    loudest of the noise under it, as in the public benchmark.

    Args:
        parts: in order.
        noise: under them.
        snr: decibels.
        whole_clip: seconds after the end of its recording at which a label ends; None: the label is the word itself.
        left_out: to be told with the stream.
    """
    total = sum(part.samples for part in parts)
    with tempfile.TemporaryFile() as file:
        file.truncate(total * 4)
        sound = np.memmap(file, np.float32, "r+", shape=(total,))
    labels, starts, names, peak, at = [], [], [], 1e-9, 0
    heard = set()
    for part in progress(parts, "mixing", len(parts)):
        piece = noise.next(part.samples)
        recording, speech = part.recording, np.zeros(0, np.float32)
        if recording:
            try:
                speech = recording.read()
                heard.add(recording)
            except AudioError as error:
                left_out.append(f"{recording.path}: {error}")
            if energy := loudest(speech):
                piece = piece + speech * np.float32(np.sqrt(loudest(piece) * 10 ** ((snr + part.boost) / 10) / energy))
            if recording.word:
                begin = at / RATE
                start, over = begin + recording.start / RATE, begin + recording.end / RATE
                end = over
                if whole_clip is not None:
                    start, end = begin, begin + recording.samples / RATE + whole_clip
                labels.append(Label(recording.word, start, end, str(recording.path), over))
        sound[at : at + part.samples] = piece
        peak = max(peak, float(np.abs(piece).max(initial=0.0)))
        starts.append(at / RATE)
        names.append(str(recording.path) if recording in heard else "noise alone")
        at += part.samples
    distinct = sum(recording.samples for recording in heard if not recording.word) / RATE / 3600
    return Stream(sound, 1 / peak, labels, starts, names, distinct, noise.name, sorted(set(left_out)))


def score(scorer: Scorer, stream: Stream, block: float = BLOCK) -> np.ndarray:
    """Scores of a whole stream, block by block.

    A scorer that has `listen` is one stream from beginning to end. Any other hears ten seconds before each block, and
    gives in it what it gives in the whole stream as far as it hears only the past and remembers no more of it.

    Args:
        scorer: the model.
        stream: to listen to.
        block: seconds at once.

    Returns:
        [T, W] float32.
    """
    hop = round(scorer.frame_seconds * RATE)
    frames, lead, step = len(stream.sound) // hop, round(LEAD * RATE) // hop, max(round(block * RATE) // hop, 1)
    scores = np.zeros((frames, len(scorer.words)), np.float32)
    if listen := getattr(scorer, "listen", None):
        blocks = range(0, len(stream.sound), step * hop)
        pieces = (stream.read(at, min(at + step * hop, len(stream.sound))) for at in blocks)
        found = np.concatenate(list(listen(progress(pieces, "listening", len(blocks)))))[:frames]
        scores[: len(found)] = found
        return scores
    for start in progress(range(0, frames, step), "listening", -(-frames // step)):
        stop, before = min(start + step, frames), min(lead, start)
        found = scorer.scores(stream.read((start - before) * hop, stop * hop + round(TAIL * RATE)))[before:]
        scores[start:stop] = found[: stop - start]
    return scores
