"""Takes of a word: where it lies in a recording, and whether the recording can be used.

The word is the strongest connected stretch of sound that stands out from the recording's own background. Its end is
what a detector is trained to answer to: on words by espeak-ng in noise at 20 dB it is found within 40 ms.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from heyjetson.audio.clipping import is_clipped
from heyjetson.audio.rates import rate_fault
from heyjetson.errors import AudioError

HOP = 0.01  # seconds between frames, which are twice as long
SILENCE = 1e-3  # peak, full scale is 1; below, most of 16 bits are not used
SHORTEST = 0.15  # seconds of a word; a click, a knock and a breath are shorter
LONGEST = 10.0  # seconds of a recording
BRIDGE = 0.2  # seconds; a phrase pauses so long between two words
CLOSURE = 0.13  # seconds; the mouth is closed so long before a plosive
BANDS = (100, 300, 500, 800, 1200, 1700, 2300, 3100, 4200, 5600, 8000)  # hertz, edges of bands
DEPTH = 25.0  # decibels below the loudest tenth of a second at which the word is over
ANOTHER = 0.25  # of the word's strength; what is as strong and no click is another word
LONG = 0.8  # seconds; what is longer may be noise with a word in it
STANDS_OUT = 3.0  # decibels over the background
FRAME = 0.02  # seconds that a splitter decides about at once
BEFORE = 0.5  # seconds kept before a take: words begin softly
OPENS = 12.0  # decibels over the background at which a take begins
FAINTEST = 1e-8  # power; sound that moves in the lowest steps of 16 bits is as quiet as silence
RISE = 3.0  # decibels in a second that the background may become louder
CLIPPED = 0.01  # share of the samples that stay at an extreme; a few at the crests of a word are not heard


class TakeError(AudioError):
    """A recording that is no take of a word; the message says why."""


@dataclass(frozen=True)
class Take:
    """A recording of a word.

    Args:
        samples: [S] float32, full scale is 1.
        rate: hertz.
        start: first sample of the word.
        end: first sample after it.
    """

    samples: np.ndarray
    rate: int
    start: int
    end: int


def find_word(samples: np.ndarray, rate: int) -> tuple[int, int]:
    """Where the word lies in a recording that holds one.

    Power above 100 Hz, pre-emphasised so that a fricative counts as a vowel does, is compared with that of the quietest
    frames, band by band: hum and hiss are no speech. Stretches above a level between the background's and the speech's
    are joined over pauses, and the strongest is the word. A long one is searched for a word within: a recording that
    begins or ends in silence would else be one word from where its noise begins to where it ends.

    Args:
        samples: [S] float, full scale is 1.
        rate: hertz, `LOWEST_RATE` at least: without what lies above 2000 Hz the ends of words are lost.

    Returns:
        first sample of the word, and first sample after it.

    Raises:
        TakeError: nothing is there, or nothing stands out from the background.
    """
    return _found(samples, rate)[0]


def words_apart(samples: np.ndarray, rate: int) -> list[tuple[int, int]]:
    """What stands out about as much as the word does: the word itself, and others where a recording holds several, or
    one that is said with a pause within, of which `find_word` knows a part only. In the order they are said in.

    Args:
        samples: [S] float, full scale is 1.
        rate: hertz.

    Returns:
        first sample of each, and first sample after it.

    Raises:
        TakeError: as `find_word` does.
    """
    word, others = _found(samples, rate)
    return sorted([word, *others])


def _found(samples: np.ndarray, rate: int) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    """The word, and what stands out about as much."""
    if told := rate_fault(rate):
        raise TakeError(f"The rate {told}")
    if len(samples) == 0 or float(np.abs(samples).max()) < SILENCE:
        raise TakeError("The recording is silent. Is the microphone switched on, and is it the right one?")
    power = _spectra(samples, rate)
    stretches = _standing_out(power)
    if not stretches:
        raise TakeError(
            "No word stands out from the background. Speak closer to the microphone, or where it is quieter."
        )
    (start, end), others = _ranked(stretches)
    while end - start > LONG / HOP and (stretches := _standing_out(power[start:end])):
        within, more = _ranked(stretches)
        if not SHORTEST / HOP <= within[1] - within[0] <= 0.8 * (end - start):
            break  # it pauses as words do
        others += [(start + first, start + last) for first, last in more]
        start, end = start + within[0], start + within[1]
    hop = round(HOP * rate)
    word, *others = [(first * hop, min(last * hop, len(samples))) for first, last in [(start, end), *others]]
    return word, others


def _ranked(stretches: dict[tuple[int, int], float]) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    """The strongest stretch, and others that may be words as well."""
    best = max(stretches, key=stretches.__getitem__)
    least = ANOTHER * stretches[best]
    long = [one for one in stretches if one != best and one[1] - one[0] >= SHORTEST / HOP]
    return best, [one for one in long if stretches[one] >= least]


def _standing_out(power: np.ndarray) -> dict[tuple[int, int], float]:
    """Connected stretches of frames that stand out from the background, of [T, F], and their strength; see above."""
    total = power.sum(axis=1)
    # Zeros at either end are padding; as background they would make of all other sound a word.
    sounding = np.flatnonzero(total > 1e-9 * total.max())
    quiet = sounding[np.argsort(total[sounding])[: max(len(sounding) // 8, 5)]]
    background = power[quiet].mean(axis=0)
    loudest = -min(round(0.1 / HOP), len(total))
    # The stronger the noise of a band against the speech, the less the band has to say.
    weights = 1 / (background + 0.01 * np.sort(total)[loudest:].mean() / power.shape[1])
    # Noise varies around its mean, in a band less than at one frequency: seldom by more than its double.
    excess = np.maximum(power - 2.5 * background, 0) @ weights
    excess = 10 * np.log10(excess + 1e-9 * excess.max() + 1e-30)
    floor = 10 * np.log10(background @ weights + 1e-9)
    peak = float(np.sort(excess)[loudest])
    if peak < floor + STANDS_OUT:
        return {}
    loud = excess > max(peak - DEPTH, min(floor - 3.0, peak - 8.0))
    amplitude = np.where(loud, 10 ** (excess / 20), 0)
    return {stretch: float(amplitude[stretch[0] : stretch[1]].sum()) for stretch in _stretches(loud)}


def _spectra(samples: np.ndarray, rate: int) -> np.ndarray:
    """Power [T, F] in bands of frames centred on their hop, pre-emphasised, of 100 to 8000 Hz."""
    hop = round(HOP * rate)
    padded = np.pad(np.asarray(samples, np.float32), (hop // 2, 2 * hop))
    frames = np.lib.stride_tricks.sliding_window_view(padded, 2 * hop)[: max(len(samples) - 1, 0) + 1 : hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(2 * hop).astype(np.float32))) ** 2
    frequency = np.arange(power.shape[1]) / (2 * hop) * rate
    emphasis = 1.05 - np.cos(np.pi * np.minimum(frequency / 8000.0, 1.0))
    edges = np.searchsorted(
        frequency, [*(edge for edge in BANDS[:-1] if edge < rate / 2), min(BANDS[-1], rate / 2 + 1)]
    )
    return np.add.reduceat((power * emphasis)[:, : edges[-1]], edges[:-1], axis=1)


def _stretches(loud: np.ndarray) -> list[tuple[int, int]]:
    """Ranges of frames that are loud, joined over pauses; a click is no part of a word unless a plosive ends so."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]]).astype(np.int8)))
    found: list[tuple[int, int]] = []
    short = True
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        now_short = end - start <= 2
        if found and start - found[-1][1] <= (CLOSURE if short or now_short else BRIDGE) / HOP:
            found[-1] = (found[-1][0], end)
            short = short and now_short
        else:
            found.append((start, end))
            short = now_short
    return found


def faults(samples: np.ndarray, rate: int, longest: float = LONGEST) -> list[str]:
    """What makes a recording no take of a word, a sentence each; none when it can be used.

    Args:
        samples: [S] float, full scale is 1.
        rate: hertz.
        longest: seconds.
    """
    return _examined(np.asarray(samples), rate, longest)[1]


def take(samples: np.ndarray, rate: int, longest: float = LONGEST) -> Take:
    """A checked take; the arguments are those of `faults`.

    Raises:
        TakeError: it cannot be used; the message is what `faults` finds.
    """
    samples = np.asarray(samples)
    (start, end), found = _examined(samples, rate, longest)
    if found:
        raise TakeError(" ".join(found))
    return Take(samples.astype(np.float32, copy=False), rate, start, end)


def _examined(samples: np.ndarray, rate: int, longest: float) -> tuple[tuple[int, int], list[str]]:
    """Where the word lies, if anywhere, and what is wrong."""
    nowhere = (0, 0)
    if samples.ndim != 1:
        return nowhere, [f"The samples must be [S], found shape {samples.shape}: mix the channels first."]
    if told := rate_fault(rate):
        return nowhere, [f"The rate {told}"]
    if not np.isfinite(samples).all():
        return nowhere, ["The recording holds samples that are not numbers: the program that wrote it is broken."]
    seconds = len(samples) / rate
    if seconds > longest:
        return nowhere, [f"The recording lasts {seconds:.1f} s, and {longest:g} s are the most: cut it to the word."]
    if seconds < SHORTEST:
        return nowhere, [f"The recording lasts {seconds:.2f} s: too short for a word."]
    try:
        start, end = find_word(samples, rate)
    except TakeError as error:
        return nowhere, [str(error)]
    found = []
    if (end - start) / rate < SHORTEST:
        found.append(f"What stands out lasts {(end - start) / rate:.2f} s, too short for a word: is it a click?")
    if is_clipped(samples[start:end], CLIPPED):
        found.append("The word is clipped. Turn the microphone down, or speak from farther away.")
    return (start, end), found


def trim(take: Take, margin: float = 0.1) -> Take:
    """The word and `margin` seconds on both sides, as far as they are there."""
    first = max(take.start - round(margin * take.rate), 0)
    last = min(take.end + round(margin * take.rate), len(take.samples))
    return replace(take, samples=take.samples[first:last], start=take.start - first, end=take.end - first)


class TakeSplitter:
    """Takes out of sound as it comes: each from half a second before it is heard until there is silence.

    Args:
        rate: hertz.
        silence: seconds without sound that end a take; longer than a phrase pauses.
        longest: seconds after which a take is cut off, so that music does not fill the memory.
    """

    def __init__(self, rate: int, silence: float = 0.7, longest: float = LONGEST):
        if told := rate_fault(rate):
            raise TakeError(f"The rate {told}")
        if not 2 * FRAME <= silence <= longest:
            raise TakeError(
                f"The silence that ends a take must lie between {2 * FRAME} s and {longest:g} s: {silence}."
            )
        self._size = round(FRAME * rate)
        self._silence, self._longest = round(silence / FRAME), round(longest / FRAME)
        self._rest = np.zeros(0, np.float32)
        self._frames: list[np.ndarray] = []
        self._floor = np.inf
        self._loud = self._quiet = 0  # frames of the take that are, and how many of its last are not

    def feed(self, samples: np.ndarray) -> list[np.ndarray]:
        """Take in sound.

        Args:
            samples: [S] int16, or floats with 1 as full scale; any number.

        Returns:
            takes that have ended, [S] float32 each, unchecked.
        """
        samples = np.asarray(samples)
        scale = 32768.0 if np.issubdtype(samples.dtype, np.integer) else 1.0
        sound = np.concatenate([self._rest, (samples / scale).astype(np.float32)])
        whole = len(sound) // self._size * self._size
        self._rest = sound[whole:]
        ended = (self._step(frame) for frame in sound[:whole].reshape(-1, self._size))
        return [take for take in ended if take is not None]

    def finish(self) -> list[np.ndarray]:
        """The take that the end of the sound cut off, if there is one."""
        heard = self._loud > 0
        taken = self._taken()
        return [taken] if heard else []

    def _step(self, frame: np.ndarray) -> np.ndarray | None:
        # Differences, so that rumble and a constant offset are no sound.
        level = 10 * float(np.log10(np.mean(np.diff(frame) ** 2) + FAINTEST))
        # The background is what is quietest; it may become louder, but not as quickly as a word does. Zeros are no
        # background: they stand for a microphone that is away.
        if frame.any():
            self._floor = min(self._floor + RISE * FRAME, level)
        loud = level > self._floor + OPENS
        self._frames.append(frame)
        if not self._loud and not loud:
            del self._frames[: -round(BEFORE / FRAME)]
            return None
        self._loud += loud
        self._quiet = 0 if loud else self._quiet + 1
        if self._quiet >= self._silence or len(self._frames) >= self._longest:
            return self._taken()
        return None

    def _taken(self) -> np.ndarray:
        frames, self._frames = self._frames, []
        self._loud = self._quiet = 0
        return np.concatenate(frames) if frames else np.zeros(0, np.float32)
