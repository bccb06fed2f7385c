"""Noise and rooms for clean recordings."""

from __future__ import annotations

import numpy as np
from scipy import fft  # scipy.signal would take a second to import in every worker


def coloured_noise(rng: np.random.Generator, samples: int, slope: float) -> np.ndarray:
    """Gaussian noise whose power falls with frequency.

    Args:
        rng: the source of chance.
        samples: length.
        slope: exponent of 1/f: 0 white, 1 pink, 2 brown.

    Returns:
        [S] float32 of unit power.
    """
    padded = fft.next_fast_len(samples, real=True)
    spectrum = fft.rfft(rng.standard_normal(padded, dtype=np.float32))
    frequency = np.maximum(np.arange(len(spectrum)), 1) / max(len(spectrum), 1)
    # Below a hundredth of the band the slope would put all power into inaudible rumble.
    weights = (np.maximum(frequency, 0.01) ** (-slope / 2)).astype(np.float32)
    noise = fft.irfft(spectrum * weights, padded)[:samples]
    return (noise / max(float(np.sqrt(np.mean(noise**2))), 1e-12)).astype(np.float32)


def add_noise(signal: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """Mix noise into a signal at a signal-to-noise ratio over the whole clip.

    Args:
        signal: [S].
        noise: [S].
        snr_db: decibels.
    """
    power = float(np.mean(signal**2))
    noise_power = max(float(np.mean(noise**2)), 1e-12)
    return signal + noise * np.float32(np.sqrt(power / noise_power / 10 ** (snr_db / 10)))


def room(rng: np.random.Generator, sample_rate: int, reverberation_time: float, direct_to_reverberant_db: float):
    """A room impulse response: the direct sound and an exponentially decaying noise tail (Polack, 1988).

    Args:
        rng: the source of chance.
        sample_rate: hertz.
        reverberation_time: T60, seconds.
        direct_to_reverberant_db: level of the direct sound over the tail.

    Returns:
        [K] float32; the first sample is the direct sound, so nothing is delayed.
    """
    samples = max(int(reverberation_time * sample_rate), 2)
    decay = np.exp(-6.908 * np.arange(samples) / samples)
    tail = rng.standard_normal(samples) * decay
    tail[: sample_rate // 500] = 0  # the first reflection comes no sooner than 2 ms
    energy = float(np.sum(tail**2))
    tail *= np.sqrt(10 ** (-direct_to_reverberant_db / 10) / max(energy, 1e-12))
    tail[0] = 1.0
    return tail.astype(np.float32)


def convolved(signal: np.ndarray, response: np.ndarray) -> np.ndarray:
    """A signal [S] through a response [K] → float32 [S + K or more], by Fourier transforms."""
    padded = fft.next_fast_len(len(signal) + len(response), real=True)
    return fft.irfft(fft.rfft(signal, padded) * fft.rfft(response, padded), padded).astype(np.float32)


def add_room(signal: np.ndarray, impulse_response: np.ndarray) -> np.ndarray:
    """Hear a signal in a room; the length stays the same."""
    return convolved(signal, impulse_response)[: len(signal)]
