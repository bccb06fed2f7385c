"""Where a model's spikes lie to the words, and what it needs behind the last one, measured on clips with known borders.

The clips are made from utterances of a manifest: each is cut to where its sound begins and ends, two are joined with a
pause, and a room tone lies over all of it. What lies at the edge of an utterance is known to the hundredth of a second,
for any corpus whose background is quieter than its speech by far enough; words inside it play no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments.entry import ConfigError
from heyjetson import Bundle, Engine
from heyjetson.bundle import file_hash
from heyjetson.calibration import Calibration, describe
from heyjetson.decode import GreedyDecoder, Word
from heyjetson.loudness import Loudness
from heyjetson.metrics import pooled, word_errors
from manifests import Utterance, read_manifest
from manifests.convert import sound_of
from manifests.progress import progress

EDGE = 30.0  # decibels under the loudest of a word, at which it begins and ends
WORD = 0.4  # seconds at the edge of an utterance in which its first or last word is loudest
MARGIN = 0.1  # seconds of an utterance's own background that are kept on either side
PAUSE = (0.1, 0.4)  # seconds between two utterances
BEFORE, BEHIND = 0.3, 0.5  # seconds of quiet around a clip
LEAST_WORDS = 20  # borders of either kind, with fewer nothing is said
REACH = (0.1, 0.3)  # seconds
LEVELS = (-70.0, -60.0, -50.0)  # decibels of full scale that are tried behind the end
QUIETS = (0.1, 0.2, 0.3, 0.4, 0.6)  # seconds


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


def make_clips(utterances: Sequence[Utterance], rate: int, longest: float, seconds: float, seed: int = 0) -> list[Edges]:
    """Clips of known borders.

    Args:
        utterances: what to make them of; drawn, each once.
        rate: hertz.
        longest: seconds of a clip.
        seconds: of all clips.
        seed: of what is drawn.
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
        samples = sound_of(utterance, rate)
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


def _joined(
    parts: list[tuple[np.ndarray, str, float, float, float]], rate: int, rng: np.random.Generator
) -> Edges:
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


@dataclass(frozen=True)
class Errors:
    """Start less onset [N] and end less end [M] of words, in seconds."""

    starts: np.ndarray
    ends: np.ndarray

    def correction(self) -> Calibration | None:
        """What takes them away, as far as it is the same for all words; None for too few."""
        if min(len(self.starts), len(self.ends)) < LEAST_WORDS:
            return None
        start, end = -float(np.median(self.starts)), -float(np.median(self.ends))
        left = [np.abs(np.percentile(self.starts + start, [5, 95])), np.abs(np.percentile(self.ends + end, [5, 95]))]
        reach = float(np.clip(2 * np.max(left), *REACH))
        return Calibration(round(start, 4), round(end, 4), round(reach, 3))


class Listener:
    """Words of clips by an engine, with given corrections."""

    def __init__(self, engine: Engine):
        self.engine, self.bundle = engine, engine.bundle

    def words(self, samples: np.ndarray, calibration: Calibration, quiet: bool = False) -> list[Word]:
        """What is understood of [S].

        Args:
            samples: float32 at the bundle's rate.
            calibration: of the times; without reach they are those of the frames.
            quiet: hear the calibration's quiet behind the end.
        """
        bundle = self.bundle
        decoder = GreedyDecoder(bundle.labels, bundle.blank_id, bundle.frame_seconds, calibration)
        sound = None
        if calibration.reach:
            sound = Loudness(bundle.sample_rate, bundle.ahead)
            sound.hear(samples)
        decoder.reset(0.0, sound)
        heard = np.concatenate([samples, calibration.silence(bundle.sample_rate)]) if quiet else samples
        if bundle.streams:
            decoder.feed(self.engine.stream_log_probs([heard]))
        else:
            log_probs, frames = self.engine.log_probs(heard[None])
            decoder.feed(log_probs[0, : frames[0]])
        return decoder.finish()[0].words

    def errors(self, clips: Sequence[Edges], calibration: Calibration) -> Errors:
        """Where the words with known borders were heard, of those that were understood rightly."""
        starts, ends = [], []
        for clip in clips:
            heard, said = self.words(clip.samples, calibration), clip.text.split()
            right = matched(said, [word.text for word in heard])
            starts += [heard[right[number]].start - second for number, second in clip.starts if number in right]
            ends += [heard[right[number]].end - second for number, second in clip.ends if number in right]
        return Errors(np.array(starts), np.array(ends))


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


def calibrate(folder: Path, manifest: Path, seconds: float = 180.0) -> Calibration | None:
    """Measure a bundle.

    Args:
        folder: of the bundle, its own calibration plays no part.
        manifest: utterances it was not trained on.
        seconds: of sound that are heard for it, a dozen times.

    Returns:
        the corrections; None where too few borders are known, or too little is understood, to say any.
    """
    bundle = Bundle(folder)
    listener = Listener(Engine(bundle))
    longest = min(bundle.manifest["longest_seconds"], 60.0)
    clips = make_clips(read_manifest(manifest), bundle.sample_rate, longest, seconds)
    raw = Calibration(0.0, 0.0, 0.0)
    halves = [listener.errors(half, raw) for half in (clips[::2], clips[1::2])]
    starts, ends = (np.concatenate([getattr(half, name) for half in halves]) for name in ("starts", "ends"))
    timed = Errors(starts, ends).correction()
    if timed is None:
        return None
    # What is left, of each half by the correction of the other one.
    left = [
        listener.errors(half, other.correction() or timed)
        for half, other in zip((clips[::2], clips[1::2]), halves[::-1], strict=True)
    ]
    measured: dict[str, Any] = {
        "manifest": manifest.name,
        "manifest_sha256": file_hash(manifest),
        "words": len(starts),
        "start_error": _percentiles(np.concatenate([half.starts for half in left])),
        "end_error": _percentiles(np.concatenate([half.ends for half in left])),
    }
    return replace(_quiet(listener, clips, timed, measured), measured=measured)


def _percentiles(errors: np.ndarray) -> dict[str, float]:
    """10th, 50th and 90th percentile, in seconds."""
    if len(errors) == 0:
        return {}
    return {f"p{share}": round(float(np.percentile(errors, share)), 4) for share in (10, 50, 90)}


def _quiet(listener: Listener, clips: Sequence[Edges], timed: Calibration, measured: dict[str, Any]) -> Calibration:
    """The least quiet that gives what `BEHIND` seconds of real background give, at the level that serves best."""
    rate = listener.bundle.sample_rate
    cut = [replace(clip, samples=clip.samples[: round(clip.ends[-1][1] * rate)]) for clip in clips]

    def rates(clips: Sequence[Edges], calibration: Calibration) -> tuple[float, float]:
        heard = [" ".join(word.text for word in listener.words(clip.samples, calibration, True)) for clip in clips]
        pairs = list(zip(clips, heard, strict=True))
        wer = pooled(word_errors(clip.text, text) for clip, text in pairs).rate
        last = sum(clip.text.split()[-1:] != text.split()[-1:] for clip, text in pairs) / len(pairs)
        return round(wer, 4), round(last, 4)

    wanted = rates(clips, timed)
    tried = {level: rates(cut, replace(timed, quiet=max(QUIETS), level=level)) for level in LEVELS}
    level = min(LEVELS, key=lambda level: (sum(tried[level]), level != -60.0))
    best, quiet = tried[level], max(QUIETS)
    for shorter in QUIETS[:-1]:
        found = rates(cut, replace(timed, quiet=shorter, level=level))
        if sum(found) <= sum(best) + 1e-9:
            best, quiet = found, shorter
            break
    measured["quiet"] = {
        "wer_with_half_a_second": wanted[0],
        "last_word_wrong_with_half_a_second": wanted[1],
        "wer": best[0],
        "last_word_wrong": best[1],
    }
    return replace(timed, quiet=quiet, level=level)


def validation_manifest(nemo: Path, record: dict[str, Any]) -> Path | None:
    """The manifest that a run chose its best weights by, where the run's folder names it and it is still the same.

    Args:
        nemo: the run's model.
        record: of the run, as it is in the model.
    """
    from omegaconf import OmegaConf

    config = nemo.parent / "config.yaml"
    known = (record.get("data") or {}).get("validation")
    if known is None or not config.is_file():
        return None
    path = OmegaConf.select(OmegaConf.load(config), "data.validation")
    if path is None or not Path(path).is_file() or file_hash(path) != known:
        return None
    return Path(path)


def chosen(where: str | None, nemo: Path, record: dict[str, Any]) -> Path | None:
    """The manifest to calibrate on: what `calibration=` of export.py says.

    Raises:
        ConfigError: it names a file that is not there.
    """
    if where in (None, "none", False):
        return None
    if where in ("auto", True):
        return validation_manifest(nemo, record)
    if not Path(str(where)).is_file():
        raise ConfigError(f"calibration={where} is no manifest: give one, auto for the run's own validation, or none.")
    return Path(str(where))


def sentence(folder: Path) -> str:
    """What a bundle's word times are, in a line; none for a trigger, which has none."""
    bundle = Bundle(folder)
    if bundle.is_trigger:
        return ""
    return f"Word times: {describe(bundle.calibration)}\n"
