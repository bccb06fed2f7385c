"""PocketSphinx on the same stream: its keyphrase search, with every threshold from one pass.

A keyphrase is spotted where the ratio of its score to that of a loop over all phones reaches its threshold; the ratio
of the best frame comes with the detection. So one decoder with all words and a low threshold gives at once what a
decoder for each threshold would give.
"""

from __future__ import annotations

import importlib
import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.errors import ConfigError
from experiments.trigger.evaluation.curve import Curve, curve
from experiments.trigger.evaluation.events import Judge, Label
from experiments.trigger.evaluation.sources import RATE
from experiments.trigger.evaluation.streams import Stream
from manifests.progress import progress

LOWEST = -50.0  # decimal logarithm of the lowest threshold; below it nearly everything is a detection
FRAME_SECONDS = 0.01
DELAY = 10  # frames it waits for a better detection before it tells of one (its kws_delay)
UTTERANCE = 60.0  # seconds; its list of detections is searched in every frame and only emptied at an end
CLEAR = 2.0  # seconds from any word at which an utterance may end
# A score is the natural logarithm over that of the base, in units of 1024; 1500 is taken off before it is told.
LOG_BASE, UNIT, OFFSET = math.log(1.0001), 1024, 1500


@dataclass(frozen=True)
class PeerDetections:
    """Detections at the lowest threshold.

    Args:
        times: word → seconds at which each is told, ascending [E].
        ratios: word → decimal logarithm of the highest threshold at which it would still be one [E].
        seconds: it took.
    """

    times: dict[str, np.ndarray]
    ratios: dict[str, np.ndarray]
    seconds: float


def threshold_of(probability: float) -> float:
    """The threshold a detection reaches, as a decimal logarithm, from what the decoder tells of it.

    >>> round(threshold_of(math.exp((100 * math.log(10) / 1024 / 1e-4 - 1500) * math.log(1.0001)))) in (99, 100, 101)
    True
    """
    return (math.log(probability) / LOG_BASE + OFFSET) * UNIT * LOG_BASE / math.log(10)


class PocketSphinx:
    """Its keyphrase search for some words, with the English model of the package.

    Args:
        words: words or phrases.
        pronunciations: in its phone set, for words that its dictionary lacks.

    Raises:
        ConfigError: the package is missing, or a word has no pronunciation.
    """

    def __init__(self, words: Sequence[str], pronunciations: Mapping[str, str]) -> None:
        try:
            package: Any = importlib.import_module("pocketsphinx")
        except ImportError:
            raise ConfigError("peers=[pocketsphinx] needs the package: pip install pocketsphinx.") from None
        self.words = list(words)
        self.decoder = package.Decoder(samprate=float(RATE), lm=None, loglevel="FATAL")
        for word in dict.fromkeys(part for phrase in words for part in phrase.lower().split()):
            if self.decoder.lookup_word(word) is not None:
                continue
            if word not in pronunciations:
                raise ConfigError(
                    f"PocketSphinx's dictionary lacks {word}. Give its phones: '+pronunciations.{word}=HH EH L OW'."
                )
            try:
                self.decoder.add_word(word, pronunciations[word], True)
            except RuntimeError:
                raise ConfigError(
                    f"pronunciations.{word}={pronunciations[word]}: PocketSphinx does not know these phones. Write "
                    "them as the CMU dictionary does, without stress: HH EH L OW."
                ) from None
        with tempfile.TemporaryDirectory() as folder:
            phrases = Path(folder) / "phrases"
            phrases.write_text("".join(f"{phrase.lower()} /1e{LOWEST:.0f}/\n" for phrase in words))
            self.decoder.add_kws("words", str(phrases))
        self.decoder.activate_search("words")

    def listen(self, stream: Stream) -> PeerDetections:
        """Detections in a stream at the lowest threshold."""
        found: dict[str, list[tuple[float, float]]] = {word: [] for word in self.words}
        named = {word.lower(): word for word in self.words}
        cuts = utterances(stream.seconds, stream.labels)
        spent = 0.0
        for start, stop in progress(list(zip(cuts, cuts[1:], strict=False)), "PocketSphinx", len(cuts) - 1):
            sound = (stream.read(round(start * RATE), round(stop * RATE)) * 32767).astype("<i2").tobytes()
            began = time.perf_counter()
            self.decoder.start_utt()
            self.decoder.process_raw(sound)
            self.decoder.end_utt()
            spent += time.perf_counter() - began
            for one in self.decoder.seg() or () if self.decoder.hyp() else ():
                told = start + (one.end_frame + DELAY + 1) * FRAME_SECONDS
                found[named[one.word.strip()]].append((told, threshold_of(one.prob)))
        pairs = {word: np.array(sorted(each)).reshape(-1, 2) for word, each in found.items()}
        return PeerDetections(
            {w: pair[:, 0] for w, pair in pairs.items()}, {w: pair[:, 1] for w, pair in pairs.items()}, spent
        )


def utterances(seconds: float, labels: Sequence[Label]) -> list[float]:
    """Times to cut a stream at, its ends with them: a minute apart or more, and never near a word.

    >>> utterances(130.0, [Label("alexa", 60.5, 61.0)])
    [0.0, 63.0, 123.0, 130.0]
    """
    cuts = [0.0]
    while (cut := cuts[-1] + UTTERANCE) < seconds:
        for label in sorted(labels, key=lambda label: label.start):
            if label.start - CLEAR < cut < label.end + CLEAR:
                cut = label.end + CLEAR
        if cut >= seconds:
            break
        cuts.append(cut)
    return [*cuts, seconds]


def apart(times: np.ndarray, refractory: float) -> np.ndarray:
    """Events without those that come within `refractory` seconds after one that counts [E]."""
    kept: list[float] = []
    for moment in times:
        if not kept or moment - kept[-1] >= refractory:
            kept.append(float(moment))
    return np.array(kept)


def peer_curve(heard: PeerDetections, word: str, stream: Stream, refractory: float, judged_by: Judge) -> Curve:
    """Operating points of the peer; thresholds are decimal logarithms of its own.

    Args:
        heard: by it.
        word: which.
        stream: what it heard.
        refractory: seconds from an event to the next.
        judged_by: how events are matched with labels.
    """
    times, ratios = heard.times[word], heard.ratios[word]

    def events_at(threshold: float) -> np.ndarray:
        return apart(times[ratios >= threshold], refractory)

    return curve(events_at, [LOWEST, *ratios.tolist()], word, stream.labels, stream.hours, judged_by)
