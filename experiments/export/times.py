"""Where a model's spikes lie to the words, and what it needs behind the last one, measured on known borders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments.errors import ConfigError
from experiments.export.known_borders import Edges, beginnings, make_clips, matched
from heyjetson import Bundle, Engine
from heyjetson.bundle import file_hash
from heyjetson.calibration import Calibration, describe
from heyjetson.decoding.greedy import GreedyDecoder
from heyjetson.decoding.hypothesis import Word
from heyjetson.loudness import Loudness
from heyjetson.metrics import pooled, word_errors
from manifests import read_manifest

LEAST_WORDS = 20  # borders of either kind, with fewer nothing is said
REACH = (0.1, 0.3)  # seconds
LEVELS = (-70.0, -80.0, -60.0, -50.0)  # decibels of full scale that are tried behind the end; the first of the best
QUIETS = (0.2, 0.3, 0.4, 0.5)  # seconds


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


def calibrate(folder: Path, manifest: Path, seconds: float = 180.0, channels: str = "mix") -> Calibration | None:
    """Measure a bundle.

    Args:
        folder: of the bundle, its own calibration plays no part.
        manifest: utterances it was not trained on.
        seconds: of sound that are heard for it, a dozen times.
        channels: of recordings that have several; see `heyjetson.audio.to_mono`.

    Returns:
        the corrections; None where too few borders are known, or too little is understood, to say any.
    """
    bundle = Bundle(folder)
    listener = Listener(Engine(bundle))
    longest = min(bundle.manifest["longest_seconds"], 60.0)
    clips = make_clips(read_manifest(manifest), bundle.sample_rate, longest, seconds, channels=channels)
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
    cut = [part for clip in clips for part in beginnings(clip, listener.bundle.sample_rate)]

    def rates(clips: Sequence[Edges], calibration: Calibration) -> tuple[float, float]:
        heard = [" ".join(word.text for word in listener.words(clip.samples, calibration, True)) for clip in clips]
        pairs = list(zip(clips, heard, strict=True))
        wer = pooled(word_errors(clip.text, text) for clip, text in pairs).rate
        last = sum(clip.text.split()[-1:] != text.split()[-1:] for clip, text in pairs) / len(pairs)
        return round(wer, 4), round(last, 4)

    wanted, longest = rates(clips, timed), max(QUIETS)
    tried = {level: rates(cut, replace(timed, quiet=longest, level=level)) for level in LEVELS}
    level = min(LEVELS, key=lambda level: sum(tried[level]))
    found = {quiet: rates(cut, replace(timed, quiet=quiet, level=level)) for quiet in QUIETS[:-1]}
    found[longest] = tried[level]
    # The shortest with which, and with all longer ones, there are no more mistakes than with the longest.
    enough = [all(sum(found[other]) <= sum(found[longest]) for other in QUIETS if other >= quiet) for quiet in QUIETS]
    quiet = QUIETS[enough.index(True)]
    best = found[quiet]
    measured["quiet"] = {
        "wer_with_half_a_second": wanted[0],
        "last_word_wrong_with_half_a_second": wanted[1],
        "wer": best[0],
        "last_word_wrong": best[1],
    }
    return replace(timed, quiet=quiet, level=level)


def validation_manifest(nemo: Path, record: dict[str, Any]) -> Path | None:
    """The manifest that a run chose its best weights by, where its folder has or names it and it is still the same.

    Args:
        nemo: the run's model.
        record: of the run, as it is in the model.
    """
    from omegaconf import OmegaConf

    config = nemo.parent / "config.yaml"
    known = (record.get("data") or {}).get("validation")
    if known is None or not config.is_file():
        return None
    named = OmegaConf.select(OmegaConf.load(config), "data.validation")
    # What data.on_bad_sample=skip left of it lies beside the model.
    places = [nemo.parent / "validation.checked.jsonl", *([Path(named)] if named else [])]
    return next((path for path in places if path.is_file() and file_hash(path) == known), None)


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


def sentence(folder: Path, manifest: Path | None) -> str:
    """What a bundle's word times are, in a line; none for a trigger, which has none.

    Args:
        folder: of the bundle.
        manifest: they were measured on, where they were.
    """
    bundle = Bundle(folder)
    if bundle.is_trigger:
        return ""
    if manifest and bundle.calibration is None:
        return (
            f"Word times: raw: those of the model's frames. Of {manifest} too few words were understood, or stand out "
            "of the noise, to correct them by: calibration= takes another manifest.\n"
        )
    return f"Word times: {describe(bundle.calibration)}\n"
