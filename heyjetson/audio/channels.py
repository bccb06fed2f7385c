"""One channel out of several."""

from __future__ import annotations

import functools
import logging
import math

import numpy as np

from heyjetson.errors import AudioError

CHANNELS = ("mix", "first", "second")
CANCELS = 0.1  # share of the channels' power that is left of their mean; two that are alike leave 1, noises 1 / C
SCALE = np.float32(1 / 32768)  # of 16 bits
EQUAL = 0.98  # share of the loudest channel's power from which on the first is taken
LOG = logging.getLogger(__name__)


def to_mono(samples: np.ndarray, channels: str = "mix") -> np.ndarray:
    """One channel of sound: [S] or [S, C] of int16 or floats → [S] float32 within [-1, 1].

    Where channels would cancel in the mix, the louder one is taken, and the log says so; `choose` returns it.

    Args:
        samples: of one or more channels.
        channels: mix (their mean), first, second, or the number of one, from 1.

    Raises:
        AudioError: wrong shape, no such channel, or values that are not numbers.
    """
    if channels == "mix" and isinstance(samples, np.ndarray) and samples.ndim == 1:
        if samples.dtype == np.int16:  # whole numbers are numbers; 25 times a second in every stream
            return samples * SCALE
        return _require_numbers(_as_float(samples))
    mono, note = choose(samples, channels)
    if note:
        _say(note)
    return mono


@functools.cache
def _say(note: str) -> None:
    """Once in a process: a stream comes in thousands of pieces."""
    LOG.warning(note)


def choose(samples: np.ndarray, channels: str = "mix") -> tuple[np.ndarray, str | None]:
    """`to_mono`, and a sentence for the user where the mix was not made.

    Returns:
        samples [S] float32, and the note or None.
    """
    samples = np.asarray(samples)
    if samples.ndim not in (1, 2):
        raise AudioError(f"Samples must be [S] or [S, channels], found shape {samples.shape}.")
    samples = samples[:, None] if samples.ndim == 1 else samples
    count = samples.shape[1]
    number = channel_number(channels)
    if number > count or not count:
        raise AudioError(f"There is no channel {number}, the recording has {count}. Choose mix, first or a number.")
    note = None
    if number or count == 1:
        mono = _as_float(samples[:, max(number, 1) - 1])
    else:
        floats = _as_float(samples)
        mono = floats.mean(axis=1)
        powers = _power(floats)
        if _power(mono[:, None])[0] < CANCELS * powers.mean() / count:
            loudest = int(np.flatnonzero(powers >= EQUAL * powers.max())[0])
            mono = floats[:, loudest].copy()
            note = (
                f"The channels cancel each other, as when one is wired the wrong way round: channel {loudest + 1}, the "
                "louder one, was taken in place of their mix. Choose one: channels first, second or its number."
            )
    return _require_numbers(mono), note


def _require_numbers(samples: np.ndarray) -> np.ndarray:
    # Whatever is no number makes the sum of squares none; huge ones may do so, too.
    if not math.isfinite(np.dot(samples, samples)) and not np.isfinite(samples).all():
        raise AudioError("The samples hold NaN or infinity: the source that made them is broken.")
    return samples


def _power(samples: np.ndarray) -> np.ndarray:
    """Of each channel of [S, C], without a constant offset, which microphones add and nobody hears."""
    size = max(len(samples), 1)
    means = samples.sum(axis=0, dtype=np.float64) / size
    return np.maximum(np.einsum("sc,sc->c", samples, samples, dtype=np.float64) / size - means**2, 0.0)


def channel_number(channels: str | int) -> int:
    """0 for mix, else the number of a channel, from 1.

    Raises:
        AudioError: it is none of mix, first, second or a number.

    >>> channel_number("mix"), channel_number("second"), channel_number("3")
    (0, 2, 3)
    """
    name = str(channels).strip().lower()
    if name in CHANNELS:
        return CHANNELS.index(name)
    if name.isascii() and name.isdigit() and int(name):
        return int(name)
    raise AudioError(f"channels must be mix, first, second or the number of a channel from 1, found {channels!r}.")


def _as_float(samples: np.ndarray) -> np.ndarray:
    if samples.dtype == np.int16:  # what microphones give: one pass, and the same numbers
        return samples * SCALE
    if samples.dtype.kind in "iu":
        return samples.astype(np.float32) / float(np.iinfo(samples.dtype).max + 1)
    return samples.astype(np.float32, copy=False)
