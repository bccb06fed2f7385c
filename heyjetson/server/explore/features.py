"""Features of sound in numpy, to be looked at only: each model's own front-end is part of its graph.

Frame `t` covers samples `[t * hop, t * hop + window)`, as in the graphs; nothing is padded or centred.
"""

from __future__ import annotations

import numpy as np

GUARD = 1e-12  # of powers, before the logarithm: -120 dB
HOP_SECONDS = 0.01
SPECTROGRAM_SECONDS = 0.02
MEL_SECONDS = 0.025
BANDS = 80
COEFFICIENTS = 13


def power(samples: np.ndarray, window: int, hop: int, n_fft: int) -> np.ndarray:
    """Power spectrum through a periodic Hann window.

    Args:
        samples: [S].
        window: samples a frame.
        hop: samples between frames.
        n_fft: length of the transform, at least `window`.

    Returns:
        [n_fft // 2 + 1, T]; a sine of amplitude 1 has a peak of 1.
    """
    hann = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)).astype(np.float32)
    count = max((len(samples) - window) // hop + 1, 0)
    spectrum = np.zeros((count, n_fft // 2 + 1), np.float32)
    if count:
        frames = np.lib.stride_tricks.sliding_window_view(samples, window)[::hop]
        for begin in range(0, count, 1024):  # complex values of all frames at once would take much memory
            block = np.fft.rfft(frames[begin : begin + 1024] * hann, n_fft)
            spectrum[begin : begin + 1024] = np.square(np.abs(block)) * (2 / hann.sum()) ** 2
    return spectrum.T


def decibels(values: np.ndarray) -> np.ndarray:
    """Powers as decibels."""
    return 10 * np.log10(np.maximum(values, GUARD))


def log_spectrogram(samples: np.ndarray, rate: int) -> np.ndarray:
    """The original Hey, Jetson!'s features, in decibels: windows of 20 ms every 10 ms, bins of 50 Hz.

    Args:
        samples: [S].
        rate: hertz.

    Returns:
        [bins, T]; 161 bins at 16 kHz.
    """
    window = round(SPECTROGRAM_SECONDS * rate)
    return decibels(power(samples, window, round(HOP_SECONDS * rate), window))


def mel_scale(hertz: np.ndarray) -> np.ndarray:
    """Slaney's mel scale (Auditory Toolbox, 1998): linear below 1 kHz, logarithmic above."""
    hertz = np.asarray(hertz, np.float64)
    return np.where(hertz < 1000, hertz * 3 / 200, 15 + 27 * np.log(np.maximum(hertz, 1000) / 1000) / np.log(6.4))


def mel_hertz(mels: np.ndarray) -> np.ndarray:
    """The inverse of `mel_scale`."""
    mels = np.asarray(mels, np.float64)
    return np.where(mels < 15, mels * 200 / 3, 1000 * np.exp(np.log(6.4) * (np.maximum(mels, 15) - 15) / 27))


def mel_edges(rate: int, bands: int) -> np.ndarray:
    """Hertz [bands + 2] of the bands' edges; a band reaches from one to the next but one, its peak lies between."""
    return mel_hertz(np.linspace(0, mel_scale(np.array(rate / 2)), bands + 2))


def mel_bank(rate: int, n_fft: int, bands: int) -> np.ndarray:
    """Triangles [bands, n_fft // 2 + 1] of equal area over the bins of a spectrum."""
    edges = mel_edges(rate, bands)
    bins = np.arange(n_fft // 2 + 1) * rate / n_fft
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    area = 2 / (edges[2:] - edges[:-2])
    return np.maximum(np.minimum(rising, falling), 0) * area[:, None]


def mel(samples: np.ndarray, rate: int, bands: int = BANDS) -> np.ndarray:
    """Mel bands in decibels: windows of 25 ms every 10 ms.

    Args:
        samples: [S].
        rate: hertz.
        bands: number of them.

    Returns:
        [bands, T].
    """
    window = round(MEL_SECONDS * rate)
    n_fft = 2 ** int(np.ceil(np.log2(2 * window)))  # fine enough that no low band falls between two bins
    bank = mel_bank(rate, n_fft, bands).astype(np.float32)
    return decibels(bank @ power(samples, window, round(HOP_SECONDS * rate), n_fft))


def mfcc(bands: np.ndarray, coefficients: int = COEFFICIENTS) -> np.ndarray:
    """Cepstral coefficients: the orthonormal DCT-II of mel bands (Davis and Mermelstein, 1980).

    Args:
        bands: [B, T] of `mel`.
        coefficients: kept; the first is the level.

    Returns:
        [coefficients, T].
    """
    count = len(bands)
    cosine = np.cos(np.pi * np.arange(coefficients)[:, None] * (np.arange(count) + 0.5) / count) * np.sqrt(2 / count)
    cosine[0] /= np.sqrt(2)
    return cosine @ bands


def envelope(samples: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest sample of each of at most `bins` equal stretches of [S]."""
    begins = np.unique(np.arange(bins) * len(samples) // bins)
    return np.minimum.reduceat(samples, begins), np.maximum.reduceat(samples, begins)
