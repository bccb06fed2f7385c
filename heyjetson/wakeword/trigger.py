"""Single words, listened for always: a trigger bundle on sound as it comes, and the detections in it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import InitVar, dataclass
from typing import Literal

import numpy as np
import soxr

from heyjetson.audio import to_mono
from heyjetson.bundle import Bundle
from heyjetson.endpoint import EnergyGate
from heyjetson.errors import AudioError, BundleError, OptionError, StreamError
from heyjetson.runtime import open_runtime
from heyjetson.waiting import Waiting
from heyjetson.wakeword.checked import CheckedFrames
from heyjetson.wakeword.detector import Detection, Detector

Mix = Literal["best", "mean"]
FALSE_ALARMS = 0.5  # an hour, where nothing else is asked for
UNCALIBRATED = 0.5  # threshold of a word that was not calibrated
BLOCK = 10.0  # seconds that are computed at once at most: memory does not grow with what is fed
TAIL = 0.4  # seconds of silence after a recording: a word is detected just after its end


@dataclass(frozen=True)
class TriggerRules:
    """When a score becomes an event. None takes what the bundle says.

    Args:
        threshold: of the smoothed score, for all words or by word.
        false_alarms_per_hour: take the calibrated threshold with the lowest miss rate that raises no more.
        smoothing: seconds that scores are averaged over.
        debounce: seconds after a detection in which the same word is not detected again.
        release: share of the threshold below which the smoothed score must fall before that.
        refractory: the old name of `debounce`, for one more version.

    Raises:
        OptionError: a value that cannot work.
    """

    threshold: float | Mapping[str, float] | None = None
    false_alarms_per_hour: float | None = None
    smoothing: float | None = None
    debounce: float | None = None
    release: float = 0.5
    refractory: InitVar[float | None] = None

    def __post_init__(self, refractory: float | None) -> None:
        if refractory is not None:
            warnings.warn("TriggerRules: refractory is now called debounce.", FutureWarning, stacklevel=3)
            object.__setattr__(self, "debounce", refractory)
        if self.false_alarms_per_hour is None:
            return
        if self.threshold is not None and not isinstance(self.threshold, Mapping):
            raise OptionError("A threshold and a number of false alarms an hour exclude each other: choose one.")
        if not self.false_alarms_per_hour > 0:
            raise OptionError(f"False alarms an hour must be above 0, found {self.false_alarms_per_hour}.")

    def thresholds(self, bundle: Bundle) -> np.ndarray:
        """Thresholds [W] of a trigger bundle's words.

        Raises:
            OptionError: a word is not the bundle's, or was not calibrated for so few false alarms.
        """
        words = bundle.labels
        given = self.threshold if isinstance(self.threshold, Mapping) else dict.fromkeys(words, self.threshold)
        if unknown := sorted(set(given) - set(words)):
            raise OptionError(f"{bundle.folder} does not hear {unknown[0]!r}; its words are {', '.join(words)}.")
        chosen = [given.get(word) for word in words]
        return np.array(
            [
                self._calibrated(bundle, word) if value is None else value
                for word, value in zip(words, chosen, strict=True)
            ],
            np.float64,
        )

    def _calibrated(self, bundle: Bundle, word: str) -> float:
        table: list[dict[str, float]] = bundle.manifest["trigger"].get("calibration", {}).get(word, [])
        asked = self.false_alarms_per_hour
        if not table:
            if asked is not None:
                raise OptionError(
                    f"{bundle.folder} was exported without a calibration of {word!r}: give a threshold instead."
                )
            return UNCALIBRATED
        good = [entry for entry in table if entry["false_alarms_per_hour"] <= (asked or FALSE_ALARMS)]
        if good:
            return min(good, key=lambda entry: (entry["miss_rate"], -entry["threshold"]))["threshold"]
        fewest = min(table, key=lambda entry: (entry["false_alarms_per_hour"], -entry["threshold"]))
        if asked is not None:
            raise OptionError(
                f"{bundle.folder} was calibrated for {fewest['false_alarms_per_hour']:g} false alarms an hour of "
                f"{word!r} or more, not for {asked:g}. Ask for more, give a threshold, or calibrate on more hours."
            )
        return fewest["threshold"]

    def detector(self, bundle: Bundle) -> Detector:
        """What raises the events of a stream.

        Raises:
            OptionError: a value cannot work with this bundle.
        """
        own = bundle.manifest["trigger"]
        return Detector(
            bundle.labels,
            bundle.frame_seconds,
            self.thresholds(bundle),
            own["smoothing"] if self.smoothing is None else self.smoothing,
            own["debounce"] if self.debounce is None else self.debounce,
            self.release,
        )


class Trigger:
    """A trigger bundle's graph, loaded once and shared by any number of streams and threads.

    Args:
        bundle: what to run.
        threads: within an operator on the CPU.
        provider: `cpu`, `cuda` or `tensorrt`. `auto` is the CPU: steps are small, and the GPU is free for others.

    Attributes:
        words: W of them, in the order of the scores.
        provider: what runs the graph.

    Raises:
        ProviderError: the provider is not on this device.
        BundleError: the bundle is no trigger, or its graph cannot be loaded.
    """

    def __init__(self, bundle: Bundle, threads: int = 1, provider: str = "auto"):
        if not bundle.is_trigger:
            raise BundleError(
                f"{bundle.folder} is not a trigger but transcribes (kind {bundle.manifest['kind']}): use `heyjetson "
                "transcribe`, or export a model trained with `python train.py --config-name trigger`."
            )
        self.bundle = bundle
        runtime = open_runtime(bundle, threads, "cpu" if provider == "auto" else provider)
        self.session, self.provider = runtime.session, runtime.name
        self.words = bundle.labels

    def stream(
        self,
        sample_rate: int | None = None,
        channels: int = 1,
        mix: Mix = "best",
        rules: TriggerRules | None = None,
    ) -> TriggerStream:
        """A new stream, independent of all others.

        Args:
            sample_rate: hertz of what will be fed; the bundle's own when None.
            channels: of what will be fed.
            mix: `best` hears each channel by itself, at the cost of one stream each, and the best score counts;
                `mean` hears the mean of all channels.
            rules: when a score becomes an event; the bundle's own when None.

        Raises:
            AudioError: a sample rate or a number of channels that cannot be.
            OptionError: a rule that cannot work.
        """
        rate = self.bundle.sample_rate if sample_rate is None else sample_rate
        return TriggerStream(self, rate, channels, mix, rules)

    def scores(self, samples: np.ndarray, sample_rate: int) -> np.ndarray:
        """Scores [T, W] in 0..1 of a whole recording, the very ones that a stream hears.

        Args:
            samples: [S] or [S, channels], int16 or float; channels are averaged.
            sample_rate: hertz.

        Raises:
            AudioError: wrong shape, or values that are not numbers.
        """
        stream = self.stream(sample_rate)
        given = [*stream.feed_scores(to_mono(samples)), *stream.finish_scores()]
        return np.concatenate([np.zeros((0, len(self.words)), np.float32), *given])

    def detect(self, samples: np.ndarray, sample_rate: int, rules: TriggerRules | None = None) -> list[Detection]:
        """The events of a whole recording, as if silence followed: a word at its very end is detected, too.

        Args:
            samples: [S] or [S, channels], int16 or float; channels are averaged.
            sample_rate: hertz.
            rules: when a score becomes an event; the bundle's own when None.

        Raises:
            AudioError: wrong shape, or values that are not numbers.
            OptionError: a rule that cannot work.
        """
        stream = self.stream(sample_rate, rules=rules)
        return stream.feed(to_mono(samples)) + stream.finish()


class TriggerStream:
    """Sound of one place, listened to without an end. Made by `Trigger.stream`.

    Everything is computed, silence as well: no time is ever dropped, and the events do not depend on how the sound is
    cut. A word is detected by the very `feed` that completes its frame; nothing waits in a queue. Memory is bounded.
    Not to be fed from two threads at once.

    Args:
        trigger: whose graph runs.
        sample_rate: hertz of what will be fed.
        channels: of what will be fed.
        mix: `best` or `mean`, see `Trigger.stream`.
        rules: when a score becomes an event; the bundle's own when None.
    """

    def __init__(
        self,
        trigger: Trigger,
        sample_rate: int,
        channels: int = 1,
        mix: Mix = "best",
        rules: TriggerRules | None = None,
    ):
        if sample_rate <= 0:
            raise AudioError(f"The sample rate must be positive, found {sample_rate}.")
        if channels < 1:
            raise AudioError(f"There must be at least one channel, found {channels}.")
        if mix not in ("best", "mean"):
            raise OptionError(f"Channels are mixed by best or mean, not by {mix!r}.")
        bundle = trigger.bundle
        self.rate = bundle.sample_rate
        self.input_rate = sample_rate
        self.channels = channels
        self.detector = (rules or TriggerRules()).detector(bundle)
        self._heard = channels if mix == "best" else 1
        self._block = max(round(BLOCK * sample_rate), 1)
        self._frames = [CheckedFrames(bundle, trigger.session) for _ in range(self._heard)]
        self._waiting = Waiting()
        self.reset()

    def reset(self) -> None:
        """Forget everything that was fed."""
        other = self.input_rate != self.rate
        self._resampler = soxr.ResampleStream(self.input_rate, self.rate, self._heard, "float32") if other else None
        for frames in self._frames:
            frames.reset()
        self.detector.reset()
        self._ambience = [EnergyGate(0.0, frames.shift / self.rate) for frames in self._frames]
        self._waiting.clear()
        self._kept: list[np.ndarray] = []  # scores of a call that failed, for the next one
        self._fed = 0
        self._finished = False

    @property
    def seconds(self) -> float:
        """How much has been fed."""
        return self._fed / self.input_rate

    @property
    def missing(self) -> int:
        """About how many samples must be fed before there are new scores."""
        if self._waiting.room:
            return self._waiting.room
        return -(-self._frames[0].missing * self.input_rate // self.rate)

    @property
    def level(self) -> float:
        """The quietest level of late, decibels of full scale, of the loudest channel: what the place sounds like.

        It follows a quieter place at once and a louder one by a decibel a second, so that speech does not raise it.
        """
        return max(EnergyGate.FLOOR if gate.background is None else gate.background for gate in self._ambience)

    def feed(self, samples: np.ndarray) -> list[Detection]:
        """Take the next samples, any number of them.

        Args:
            samples: [S] or [S, channels], int16 or float within [-1, 1].

        Returns:
            the words that these samples raise, by time.

        Raises:
            AudioError: wrong shape, or values that are not numbers; the stream goes on without these samples.
            StreamError: the stream is finished, or the graph failed: it goes on without the sound of that step.
        """
        if self._waiting.keeps(samples):
            self._fed += len(samples)
            return []
        return self._detect(self._hear_now(samples))

    def finish(self) -> list[Detection]:
        """End the stream, as if silence followed: a word at its very end is detected, too. Only `reset` may follow.

        Returns:
            the words that what is left raises.

        Raises:
            StreamError: it is finished already, or the graph failed: finish it again for the words of the rest.
        """
        return self._detect(self.finish_scores(TAIL))

    def _detect(self, scores: list[np.ndarray]) -> list[Detection]:
        if not scores:
            return []
        return self.detector.feed(scores[0] if len(scores) == 1 else np.concatenate(scores))

    def feed_scores(self, samples: np.ndarray) -> list[np.ndarray]:
        """As `feed`, but gives the scores [T, W] of each step and raises nothing."""
        if self._waiting.keeps(samples):
            self._fed += len(samples)
            return []
        return self._hear_now(samples)

    def _hear_now(self, samples: np.ndarray) -> list[np.ndarray]:
        """Scores of samples that do not wait, with those that did before them."""
        if self._finished:
            raise StreamError("The stream is finished: call reset() before feeding it again.")
        samples = np.asarray(samples)
        heard = self._separate(self._waiting.joined(samples))
        self._fed += len(samples)
        given = [scores for piece in self._waiting.take() for scores in self._hear(to_mono(piece))]
        given += self._hear(heard)
        # What a resampler holds back is not known.
        self._waiting.room = 0 if self._resampler or self.channels > 1 else self._frames[0].missing
        return self._told(given)

    def _told(self, given: list[np.ndarray]) -> list[np.ndarray]:
        """Scores that may be given; after a step that failed its error is raised, and they come with the next call."""
        self._kept = [*self._kept, *given]
        for frames in self._frames:
            frames.tell()
        given, self._kept = self._kept, []
        return given

    def _hear(self, heard: np.ndarray) -> list[np.ndarray]:
        """Scores of the steps that samples [S] or [S, channels], at the input's rate, complete."""
        if self._resampler is None and len(heard) <= self._block:
            return self._push(heard)
        given: list[np.ndarray] = []
        for start in range(0, len(heard), self._block):
            piece = heard[start : start + self._block]
            given += self._push(self._resampler.resample_chunk(piece) if self._resampler else piece)
        return given

    def finish_scores(self, silence: float = 0.0) -> list[np.ndarray]:
        """As `finish`, but gives the scores [T, W] of each step and raises nothing.

        Args:
            silence: seconds of it that follow.
        """
        if self._finished and self._kept:
            return self._told([])
        if self._finished:
            raise StreamError("The stream is finished already: call reset() before using it again.")
        given = [scores for piece in self._waiting.take() for scores in self._hear(to_mono(piece))]
        if self._resampler:
            nothing = np.zeros(0 if self._heard == 1 else (0, self._heard), np.float32)
            given += self._push(self._resampler.resample_chunk(nothing, last=True))
        self._finished = True
        for frames in self._frames:
            frames.push(np.zeros(round(silence * self.rate), np.float32))
        return self._told(given + _best([frames.finish() for frames in self._frames]))

    def _separate(self, samples: np.ndarray) -> np.ndarray:
        """Samples → [S] float32 where one channel is heard, else [S, channels]."""
        if samples.ndim == 1 and self.channels == 1:
            return to_mono(samples)
        if samples.ndim != 2 or samples.shape[1] != self.channels:
            wanted = "[S]" if self.channels == 1 else f"[S, {self.channels}]"
            raise AudioError(
                f"Samples must be {wanted}, found shape {samples.shape}: give the number of channels when the stream "
                "is made."
            )
        if self._heard == 1:
            return to_mono(samples)
        return np.stack([to_mono(channel) for channel in samples.T], axis=1)

    def _push(self, samples: np.ndarray) -> list[np.ndarray]:
        """Run the steps that samples [S] or [S, channels] complete."""
        if samples.ndim == 1:
            self._frames[0].push(samples)
            return self._steps(self._frames[0], self._ambience[0])
        for frames, channel in zip(self._frames, samples.T, strict=True):
            frames.push(channel)
        return _best([self._steps(*channel) for channel in zip(self._frames, self._ambience, strict=True)])

    @staticmethod
    def _steps(frames: CheckedFrames, ambience: EnergyGate) -> list[np.ndarray]:
        """Scores [T, W] of each step of a channel that is complete."""
        steps: list[np.ndarray] = []
        while (waiting := frames.waiting()) is not None and (scores := frames.step()) is not None:
            ambience.is_open(waiting)
            steps.append(scores)
        return steps


def _best(given: list[list[np.ndarray]]) -> list[np.ndarray]:
    """The best of the channels, step by step."""
    return [np.max(step, axis=0) if len(step) > 1 else step[0] for step in zip(*given, strict=True)]
