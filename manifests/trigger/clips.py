"""Clips of background with words at drawn places, each made from nothing but the seed and its number."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields

import numpy as np
import soxr
from scipy import fft

from manifests.acoustics import coloured_noise, convolved, room
from manifests.lines import ManifestError
from manifests.trigger.placement import place
from manifests.trigger.sounds import SAMPLE_RATE, Backgrounds, Sound

CROSS_FADE = 0.02  # seconds from one background to the next
DUCKING = 0.15  # seconds in which speech around a word falls and rises
NOISES = 12  # noises drawn once; a clip takes a piece of one, since drawing 10 s afresh would take longer than the rest
DELAY = 128  # samples before the response to a sound, for what comes before it
QUIET = 1e-4  # root mean square; what is quieter has no level to set
PEAK = 0.99
# Options that are a share of the clips or of the words.
SHARES = ("empty", "speech", "speech_channel", "turns", "noise", "real_noise", "digital", "rooms", "band", "drawn_out")
SLOWEST = 0.6  # speed of the slowest word that is drawn out


@dataclass(frozen=True)
class ClipOptions:
    """What clips sound like. Ranges are drawn from uniformly.

    Args:
        seconds: of a clip.
        positives: fewest and most words to detect.
        negatives: fewest and most near-misses.
        empty: share of the clips without any of both, so that speech alone is learnt to be nothing.
        margin: seconds between two words, at least.
        speed: how much faster (and higher) or slower a word is said, as a share.
        drawn_out: share of the words that are said slower than that, to 1.7 times as long, as over a distance.
        level: root mean square of the words, decibels of full scale.
        level_spread: decibels that one word may be louder or softer than the others.
        snr: words over noise, decibels.
        speech_snr: words over the background speech below them, decibels.
        speech: share of the clips with background speech; without, there is noise alone.
        speech_channel: share of those in which the speech is faster or slower and goes through a room and equipment, as
            the words do: else these would give the words away.
        turns: share of those in which the speech is as loud as the words and falls silent for them, as people who take
            turns do; in the others it goes on below the words.
        turn_level: the speech between words over the words, decibels.
        noise: share of the clips with noise; in the others there is as little as a quiet room has.
        real_noise: share of those whose noise is a recording, where there are any.
        digital: share of the clips in which nothing at all is heard between words, speech and noise, as behind a gate:
            zeros, for a while or all the time.
        rooms: share of the clips whose words are heard in a room: in one of the measured or simulated ones, where there
            are any, in half of them.
        reverberation: T60 of rooms, seconds.
        direct: direct sound over the reverberation, decibels.
        equalisation: steepest slope of what a microphone and a loudspeaker do, decibels per octave.
        band: share of the clips whose words come through a narrow band, as from a telephone.
    """

    seconds: float = 10.0
    positives: tuple[int, int] = (0, 4)
    negatives: tuple[int, int] = (0, 3)
    empty: float = 0.15
    margin: float = 0.25
    speed: float = 0.12
    drawn_out: float = 0.0
    level: tuple[float, float] = (-38.0, -14.0)
    level_spread: float = 3.0
    snr: tuple[float, float] = (3.0, 30.0)
    speech_snr: tuple[float, float] = (5.0, 25.0)
    speech: float = 0.7
    speech_channel: float = 0.75
    turns: float = 0.5
    turn_level: tuple[float, float] = (-10.0, 3.0)
    noise: float = 0.9
    real_noise: float = 0.5
    digital: float = 0.0
    rooms: float = 0.5
    reverberation: tuple[float, float] = (0.1, 0.5)
    direct: tuple[float, float] = (0.0, 15.0)
    equalisation: float = 3.0
    band: float = 0.15

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(one.default, tuple):
                value = tuple(value)
                object.__setattr__(self, one.name, value)  # from YAML ranges come as lists
                if len(value) != 2 or not value[0] <= value[1]:
                    raise ManifestError(f"{one.name} must be two numbers, the lower first, found {list(value)}.")
        for name in SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ManifestError(f"{name} is a share of the clips, 0 to 1, found {getattr(self, name)}.")
        if not self.seconds >= 1:
            raise ManifestError(f"seconds must be 1 at least, found {self.seconds}.")
        if not 0 <= self.speed <= 0.5:
            raise ManifestError(f"speed must lie between 0 and 0.5, found {self.speed}.")
        if min(self.positives[0], self.negatives[0]) < 0 or self.margin < 0 or self.level_spread < 0:
            raise ManifestError("positives, negatives, margin and level_spread must not be negative.")


@dataclass(frozen=True)
class Pools:
    """What clips are made of.

    Args:
        words: takes of each word to detect.
        negatives: takes of what sounds like them.
        backgrounds: recordings [S] at 16 kHz, float (full scale is 1) or int16, without the words; may be empty.
        weights: how likely each background is drawn; those of `backgrounds`, or else all alike, when None.
        noises: recordings of noise, as `backgrounds` are.
        responses: impulse responses of rooms [K] float32, the direct sound first.
    """

    words: Mapping[str, Sequence[Sound]]
    negatives: Sequence[Sound] = ()
    backgrounds: Sequence[np.ndarray] = ()
    weights: Sequence[float] | None = None
    noises: Sequence[np.ndarray] = ()
    responses: Sequence[np.ndarray] = ()

    def __post_init__(self) -> None:
        if not self.words:
            raise ManifestError("There is no word to make clips with.")
        for word, sounds in self.words.items():
            if not sounds:
                raise ManifestError(f"There is no take of {word!r}. Record some, or have them spoken.")
        if self.weights is None and isinstance(self.backgrounds, Backgrounds):
            object.__setattr__(self, "weights", self.backgrounds.weights)
        if self.weights is not None and len(self.weights) != len(self.backgrounds):
            raise ManifestError(f"There are {len(self.weights)} weights for {len(self.backgrounds)} backgrounds.")


@dataclass(frozen=True)
class Placed:
    """A word in a clip.

    Args:
        word: which.
        start: its first sample.
        end: first sample after it.
    """

    word: str
    start: int
    end: int


@dataclass(frozen=True)
class Clip:
    """A clip.

    Args:
        samples: [S] float32, full scale is 1.
        words: where the words are, in the order of time.
        left_out: names of the takes that no gap was long enough for.
        negatives: where the near-misses are; their word is the take's name.
    """

    samples: np.ndarray
    words: list[Placed]
    left_out: list[str] = field(default_factory=list)
    negatives: list[Placed] = field(default_factory=list)


class Clips:
    """An endless supply of clips.

    Args:
        pools: what they are made of.
        options: what they sound like.
        seed: of everything drawn, at least 0; `clip(i)` depends on it and `i` alone.
        sample_rate: hertz; what the pools hold.
    """

    def __init__(self, pools: Pools, options: ClipOptions | None = None, seed: int = 1, sample_rate: int = SAMPLE_RATE):
        if sample_rate != SAMPLE_RATE:
            raise ManifestError(f"Clips are made at {SAMPLE_RATE} hertz, found {sample_rate}. Resample what comes out.")
        self.pools, self.options, self.seed = pools, options or ClipOptions(), seed
        self.words = list(pools.words)
        self.size = round(self.options.seconds * SAMPLE_RATE)
        self._cumulative = _cumulative(pools)
        slopes = np.linspace(0.0, 2.0, NOISES)
        rng = np.random.default_rng([seed, 0, 0])  # clips draw from [seed, number]
        self._noises = [coloured_noise(rng, self.size + SAMPLE_RATE, slope) for slope in slopes]

    def clip(self, index: int) -> Clip:
        """Clip number `index`, always the same."""
        rng = np.random.default_rng([self.seed, index])
        options = self.options
        level = _drawn_level(rng, options.level)
        takes, words = self._draw_words(rng)
        response = self._response(rng)
        pieces = [_said(take, level, response, options, rng) for take in takes]
        # A word's place is that of what is said: reverberation may go on below what follows.
        found = place([length for _, length, _, _ in pieces], self.size, rng, round(options.margin * SAMPLE_RATE))
        samples = np.zeros(self.size, np.float32)
        placed = []
        for (sound, _, start, end), word, take, at in zip(pieces, words, takes, found.starts, strict=True):
            if at is not None:
                heard = min(len(sound), self.size - at)
                samples[at : at + heard] += sound[:heard]
                placed.append((word is None, Placed(word or take.name, at + start, at + end)))
        placed.sort(key=lambda one: one[1].start)
        self._add_speech(samples, [one for _, one in placed], level, response, rng)
        self._add_noise(samples, level, rng)
        peak = float(max(samples.max(), -samples.min()))
        if peak > PEAK:
            samples *= np.float32(PEAK / peak)
        return Clip(
            samples,
            [one for negative, one in placed if not negative],
            [takes[number].name for number in found.left_out],
            [one for negative, one in placed if negative],
        )

    def _draw_words(self, rng: np.random.Generator) -> tuple[list[Sound], list[str | None]]:
        """Takes of words and of near-misses, in the order in which they look for a place, and which word each is."""
        options = self.options
        takes: list[Sound] = []
        words: list[str | None] = []
        if rng.random() >= options.empty:
            for _ in range(rng.integers(*options.positives, endpoint=True)):
                words.append(self.words[rng.integers(len(self.words))])
            if self.pools.negatives:
                words.extend([None] * int(rng.integers(*options.negatives, endpoint=True)))
        for word in words:
            pool = self.pools.negatives if word is None else self.pools.words[word]
            takes.append(pool[int(rng.integers(len(pool)))])
        return takes, words

    def _response(self, rng: np.random.Generator) -> np.ndarray:
        """What a clip's words go through, `DELAY` late, [K]: a room, and the colour and the band of the equipment."""
        options = self.options
        response = np.ones(1, np.float32)
        if rng.random() < options.rooms:
            if len(self.pools.responses) and rng.random() < 0.5:
                response = self.pools.responses[int(rng.integers(len(self.pools.responses)))]
            else:
                response = room(rng, SAMPLE_RATE, rng.uniform(*options.reverberation), rng.uniform(*options.direct))
        slope = rng.uniform(-options.equalisation, options.equalisation)
        low, high = (300.0, rng.uniform(3000.0, 4000.0)) if rng.random() < options.band else (50.0, 8000.0)
        padded = fft.next_fast_len(len(response) + 2 * DELAY, real=True)
        frequency = np.arange(padded // 2 + 1, dtype=np.float32) * (SAMPLE_RATE / padded) + 1.0
        gain = (frequency / 1000) ** (slope / 6.02) / (1 + (low / frequency) ** 4) / (1 + (frequency / high) ** 12)
        # The phase of the colour is zero: half of it comes before the sound, for which all is made late and cut later.
        return np.roll(fft.irfft(fft.rfft(response, padded) * gain, padded).astype(np.float32), DELAY)

    def _add_speech(
        self, samples: np.ndarray, placed: list[Placed], level: float, response: np.ndarray, rng: np.random.Generator
    ) -> None:
        options = self.options
        if not len(self.pools.backgrounds) or rng.random() >= options.speech:
            return
        if rng.random() < options.speech_channel:
            speed = _drawn_speed(rng, options.speed)
            speech = _at_speed(self._background(rng, math.ceil(self.size * speed)), speed)
            speech = convolved(speech, response)[DELAY : DELAY + self.size]
        else:
            speech = self._background(rng, self.size)
        loud = loudness(speech)
        if loud < QUIET:
            return
        below = -rng.uniform(*options.speech_snr)
        between = rng.uniform(*options.turn_level) if rng.random() < options.turns or not placed else below
        speech *= np.float32(level * 10 ** (between / 20) / loud)
        if between > below and placed:
            speech *= self._ducking(placed, 10 ** ((below - between) / 20))
        samples += speech

    def _ducking(self, placed: list[Placed], depth: float) -> np.ndarray:
        """A gain [S] that is `depth` where words are and 1 elsewhere."""
        ramp = round(DUCKING * SAMPLE_RATE)
        gain = np.ones(self.size, np.float32)
        falling = np.linspace(1.0, depth, ramp, dtype=np.float32)
        for one in placed:
            first, last = max(one.start - ramp, 0), min(one.end + ramp, self.size)
            shape = np.full(one.end - one.start + 2 * ramp, depth, np.float32)
            shape[:ramp], shape[len(shape) - ramp :] = falling, falling[::-1]
            offset = first - (one.start - ramp)
            np.minimum(gain[first:last], shape[offset : offset + last - first], out=gain[first:last])
        return gain

    def _background(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """So much background [size]: a piece of a recording, or several that fade into one another."""

        def next_one() -> np.ndarray:
            return self.pools.backgrounds[int(np.searchsorted(self._cumulative, rng.random(), side="right"))]

        return _joined(next_one, size, rng)

    def _add_noise(self, samples: np.ndarray, level: float, rng: np.random.Generator) -> None:
        options, pools = self.options, self.pools
        if rng.random() < options.digital:
            first = int(rng.integers(-self.size // 2, self.size))
            if rng.random() < 0.5:
                return  # nothing is behind the words
            quiet = slice(max(first, 0), max(first, 0) + self.size // 3)
        else:
            quiet = slice(0, 0)
        if len(pools.noises) and rng.random() < options.real_noise:
            one = pools.noises[int(rng.integers(len(pools.noises)))]
            noise = _joined(lambda: one, self.size, rng)
            noise *= np.float32(1 / max(loudness(noise), QUIET))
        else:
            drawn = self._noises[rng.integers(NOISES)]
            start = int(rng.integers(len(drawn) - self.size + 1))
            noise = drawn[start : start + self.size]
        snr = rng.uniform(*options.snr) if rng.random() < options.noise else rng.uniform(40.0, 60.0)
        noise = noise * np.float32(level * 10 ** (-snr / 20))
        noise[quiet] = 0.0
        samples += noise


def _joined(next_one: Callable[[], np.ndarray], size: int, rng: np.random.Generator) -> np.ndarray:
    """Pieces of recordings that fade into one another, [size] float32."""
    fade = round(CROSS_FADE * SAMPLE_RATE)
    made = np.zeros(size, np.float32)
    done = 0
    while done < size:
        recording = next_one()
        start = int(rng.integers(len(recording) - size + 1)) if len(recording) > size else 0
        at = max(done - fade, 0)
        piece = recording[start : start + size - at].astype(np.float32)
        if np.issubdtype(recording.dtype, np.integer):
            piece *= np.float32(1 / 32768)
        if at and len(piece) > fade:
            ramp = np.linspace(0.0, 1.0, fade, dtype=np.float32)
            piece[:fade] *= ramp
            made[at:done] *= ramp[::-1]
        made[at : at + len(piece)] += piece
        done = max(at + len(piece), done + 1)
    return made


def _cumulative(pools: Pools) -> np.ndarray:
    weights = np.ones(len(pools.backgrounds)) if pools.weights is None else np.asarray(pools.weights, float)
    if len(weights) and not (np.isfinite(weights).all() and weights.min() >= 0 and weights.sum() > 0):
        raise ManifestError("The weights of backgrounds must be numbers of 0 or more, and not all 0.")
    total = np.cumsum(weights)
    return total / total[-1] if len(total) else total


def _drawn_level(rng: np.random.Generator, decibels: tuple[float, float]) -> float:
    return 10 ** (rng.uniform(*decibels) / 20)


def loudness(samples: np.ndarray) -> float:
    """Root mean square of what is not a pause: of the louder half of pieces of 50 ms.

    Args:
        samples: [S] at 16 kHz.
    """
    pieces = samples[: len(samples) // 800 * 800].reshape(-1, 800)
    if not len(pieces):
        return float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0
    power = np.sort(np.einsum("ij,ij->i", pieces, pieces))
    return float(np.sqrt(power[len(power) // 2 :].mean() / 800))


def _said(
    take: Sound, level: float, response: np.ndarray, options: ClipOptions, rng: np.random.Generator
) -> tuple[np.ndarray, int, int, int]:
    """A take as it is heard in the clip.

    Returns:
        samples [S + K], how many of them are the take itself, the word's first sample, and the first after it.
    """
    if options.drawn_out and rng.random() < options.drawn_out:
        slowest = round(SLOWEST * 100)
        speed = int(rng.integers(slowest, max(100 - round(options.speed * 100), slowest + 1))) / 100
    else:
        speed = _drawn_speed(rng, options.speed)
    samples = _at_speed(take.samples, speed)
    length = len(samples)
    start, end = (min(round(edge / speed), length) for edge in (take.start, take.end))
    heard = convolved(samples, response)[DELAY:]
    wanted = level * 10 ** (rng.uniform(-options.level_spread, options.level_spread) / 20)
    heard *= np.float32(wanted / max(loudness(heard[start:end]), 1e-9))
    return heard, length, start, end


def _drawn_speed(rng: np.random.Generator, most: float) -> float:
    """In hundredths: between rates that are whole multiples of something, soxr needs a third of the time."""
    return 1 + int(rng.integers(-round(most * 100), round(most * 100), endpoint=True)) / 100


def _at_speed(samples: np.ndarray, speed: float) -> np.ndarray:
    return samples if speed == 1 else soxr.resample(samples, round(SAMPLE_RATE * speed), SAMPLE_RATE)
