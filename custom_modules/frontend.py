"""Features from sound, built from convolutions so that the module used in training is the one exported.

The discrete Fourier transform is a `Conv1d` whose fixed kernels are windowed cosines and sines: TensorRT and
onnxruntime run it without an STFT operator. Frame `t` covers samples `[t * hop, t * hop + window)`; nothing is padded
or centred, so a stream sees the same frames as a whole clip.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from librosa.filters import mel
from nemo.core.classes import NeuralModule, typecheck
from nemo.core.neural_types import AudioSignal, LengthsType, NeuralType, SpectrogramType
from torch import Tensor, nn
from torch.nn import functional

LOG_GUARD = 2.0**-24


def frame_mask(length: Tensor, frames: int) -> Tensor:
    """Which frames hold sound.

    Args:
        length: [B] integer, frames that hold sound.
        frames: T, frames in the batch.

    Returns:
        [B, T] boolean.
    """
    return torch.arange(frames, device=length.device) < length[:, None]


class FourierTransform(nn.Conv1d):
    """Power spectrum as one convolution.

    Args:
        window: samples in a frame.
        hop: samples between frames.
        n_fft: length of the transform; `window` where that is more: a shorter one would hear a frame's beginning alone.
        learned: let training move the kernels.
        periodic: the Hann window is one period long; else it is symmetric.
        preemphasis: share of the sample before that is subtracted from each first.

    Shapes: samples [B, S] → power [B, n_fft // 2 + 1, 1 + (S - window) // hop].
    """

    def __init__(
        self,
        window: int,
        hop: int,
        n_fft: int,
        learned: bool = False,
        periodic: bool = True,
        preemphasis: float = 0.0,
    ):
        n_fft = max(n_fft, window)
        self.bins = n_fft // 2 + 1
        self.n_fft = n_fft
        self.preemphasis = preemphasis
        super().__init__(1, 2 * self.bins, window, stride=hop, bias=False)
        # Periodic Hann, as torch.hann_window and the field use it for analysis. float64 until the last moment.
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / (window if periodic else window - 1))
        # torch.stft centres a short window inside n_fft; a shift changes only the phase, which is squared away.
        angle = 2 * np.pi * np.outer(np.arange(self.bins), np.arange(window)) / n_fft
        kernel = np.concatenate([np.cos(angle), -np.sin(angle)]) * hann
        # The window begins with zero, so the sample before the frame is not missed.
        kernel[:, :-1] -= preemphasis * kernel[:, 1:]
        self.register_buffer("hann", torch.tensor(hann, dtype=torch.float32), persistent=False)
        self.weight = nn.Parameter(torch.tensor(kernel[:, None, :], dtype=torch.float32), requires_grad=learned)

    def forward(self, samples: Tensor) -> Tensor:
        if self.training and not self.weight.requires_grad:
            # The same numbers ten times as fast. Whatever evaluates or exports goes through the convolution.
            if self.preemphasis:
                samples = torch.cat([samples[:, :1], samples[:, 1:] - self.preemphasis * samples[:, :-1]], dim=1)
            frames = samples.unfold(1, self.kernel_size[0], self.stride[0])  # [B, T, window]
            spectrum = torch.fft.rfft(frames * self.hann, self.n_fft).transpose(1, 2)
            return spectrum.real.square() + spectrum.imag.square()
        spectrum = super().forward(samples[:, None, :])  # [B, 2K, T]
        real, imaginary = spectrum[:, : self.bins], spectrum[:, self.bins :]
        return real * real + imaginary * imaginary


class Frontend(NeuralModule):
    """Base of all front-ends: framing, dither, and fixed normalisation.

    The per-bin mean and deviation come from the training set (`fit_statistics`) and are stored with the weights:
    statistics of the single utterance could not stream.

    Args:
        features: D, values a frame.
        sample_rate: hertz.
        window_size: seconds a frame.
        window_stride: seconds between frames.
        n_fft: length of the Fourier transform; the window's own length when null, and where that is more.
        dither: standard deviation of the noise added to samples in training, which keeps silence from -inf.
        learned: let training move the Fourier kernels.

    Shapes: samples [B, S] and their length [B] → features [B, D, T] and their length [B].
    """

    mel_scale = False  # whether the features are bands of a mel scale

    def __init__(
        self,
        features: int,
        sample_rate: int = 16000,
        window_size: float = 0.02,
        window_stride: float = 0.01,
        n_fft: int | None = None,
        dither: float = 0.0,
        learned: bool = False,
    ):
        super().__init__()
        self._sample_rate = sample_rate
        self.window = round(window_size * sample_rate)
        self.hop = round(window_stride * sample_rate)
        self.features = features
        self.dither = dither
        self.fourier = FourierTransform(self.window, self.hop, n_fft or self.window, learned)
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))
        self.fitted = False  # whether the statistics are known

    @property
    def input_types(self):
        return {
            "input_signal": NeuralType(("B", "T"), AudioSignal(freq=self._sample_rate)),
            "length": NeuralType(tuple("B"), LengthsType()),
        }

    @property
    def output_types(self):
        return {
            "processed_signal": NeuralType(("B", "D", "T"), SpectrogramType()),
            "processed_length": NeuralType(tuple("B"), LengthsType()),
        }

    def frames(self, samples: Tensor) -> Tensor:
        """How many whole frames a number of samples holds. Works on tensors and on integers."""
        if isinstance(samples, Tensor):
            return torch.clamp(torch.div(samples - self.window, self.hop, rounding_mode="floor") + 1, min=0)
        return max((samples - self.window) // self.hop + 1, 0)

    def raw_features(self, samples: Tensor) -> Tensor:
        """Features before normalisation: samples [B, S] → [B, D, T]."""
        raise TypeError(f"{type(self).__name__} is a base class: choose one of conf/frontend.")

    def normalised(self, samples: Tensor) -> Tensor:
        """Features before padding is masked: samples [B, S] → [B, D, T]."""
        with torch.autocast(samples.device.type, enabled=False):  # log of a half-precision power underflows
            features = self.raw_features(samples.float())
            return (features - self.mean[:, None]) / self.deviation[:, None]

    @typecheck()
    def forward(self, input_signal: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        if self.training and self.dither > 0:
            input_signal = input_signal + self.dither * torch.randn_like(input_signal)
        features = self.normalised(input_signal)
        frames = self.frames(length)
        mask = frame_mask(frames, features.shape[2])
        return features * mask[:, None, :].to(features.dtype), frames

    @torch.no_grad()
    def fit_statistics(self, batches) -> int:
        """Set mean and deviation from recordings.

        Args:
            batches: of (samples [B, S], length [B]).

        Returns:
            how many frames were seen.
        """
        count = 0
        total = torch.zeros(self.features, dtype=torch.float64)
        squares = torch.zeros(self.features, dtype=torch.float64)
        for samples, length in batches:
            features = self.raw_features(samples.to(self.mean.device)).double().cpu()
            mask = frame_mask(self.frames(length.cpu()), features.shape[2])[:, None, :]
            count += int(mask.sum())
            total += (features * mask).sum(dim=(0, 2))
            squares += (features.square() * mask).sum(dim=(0, 2))
        if count == 0:
            raise ValueError("The recordings hold no whole frame: they are shorter than the front-end's window.")
        mean = total / count
        deviation = (squares / count - mean.square()).clamp_min(1e-8).sqrt()
        self.mean.copy_(mean)
        # A bin that never changes carries nothing; dividing by its tiny deviation would blow up what noise is in it.
        self.deviation.copy_(deviation.clamp_min(1e-2))
        self.fitted = True
        return count


class LogSpectrogram(Frontend):
    """Logarithm of the power spectrum: 161 bins of 50 Hz for 20 ms windows at 16 kHz, as Hey, Jetson! used.

    Args:
        low: hertz below which bins are empty: a constant offset of the samples fills the first two.
        options: of `Frontend`.
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        window_size: float = 0.02,
        features: int | None = None,
        low: float = 0.0,
        **options,
    ):
        bins = round(window_size * sample_rate) // 2 + 1
        if features not in (None, bins):
            raise ValueError(f"A {window_size} s window at {sample_rate} Hz has {bins} bins, not {features}.")
        super().__init__(bins, sample_rate, window_size, **options)
        heard = torch.arange(bins) * (sample_rate / self.fourier.n_fft) >= low
        self.register_buffer("heard", heard.float()[:, None], persistent=False)

    def raw_features(self, samples: Tensor) -> Tensor:
        return torch.log(self.fourier(samples) * self.heard + LOG_GUARD)


class LogMel(Frontend):
    """Logarithm of mel bands (Slaney's scale and area normalisation, as librosa and NeMo have them).

    Args:
        features: mel bands.
        low: lower edge of the lowest band, hertz.
        high: upper edge of the highest band, hertz; half the sample rate when null.
        options: of `Frontend`.
    """

    mel_scale = True

    def __init__(
        self,
        features: int = 64,
        sample_rate: int = 16000,
        low: float = 0.0,
        high: float | None = None,
        window_size: float = 0.025,
        n_fft: int | None = None,
        learned: bool = False,
        **options,
    ):
        super().__init__(features, sample_rate, window_size, n_fft=n_fft, learned=learned, **options)
        bank = mel(sr=sample_rate, n_fft=self.fourier.n_fft, n_mels=features, fmin=low, fmax=high)
        self.bank = nn.Parameter(torch.tensor(bank[:, :, None], dtype=torch.float32), requires_grad=learned)

    def raw_features(self, samples: Tensor) -> Tensor:
        return torch.log(torch.matmul(self.bank[:, :, 0], self.fourier(samples)) + LOG_GUARD)


class MFCC(LogMel):
    """Cepstral coefficients: the orthonormal DCT-II of log-mel bands (Davis and Mermelstein, 1980).

    Args:
        features: coefficients kept, the first being the level.
        bands: mel bands they are made of.
        options: of `LogMel`.
    """

    mel_scale = False

    def __init__(self, features: int = 13, bands: int = 40, **options):
        super().__init__(features=bands, **options)
        order = np.arange(features)[:, None] * (np.arange(bands) + 0.5)[None, :]
        cosine = np.sqrt(2.0 / bands) * np.cos(math.pi * order / bands)
        cosine[0] /= math.sqrt(2.0)
        self.features = features
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))
        self.register_buffer("cosine", torch.tensor(cosine[:, :, None], dtype=torch.float32))

    def raw_features(self, samples: Tensor) -> Tensor:
        return functional.conv1d(super().raw_features(samples), self.cosine)


class LearnedFilterbank(LogMel):
    """Features learned on the raw waveform: both kernels of `LogMel` are trained, starting from its values.

    In the manner of Zeghidour et al., "Learning filterbanks from raw speech" (2018), with the mel bank as the start.
    """

    def __init__(self, features: int = 64, **options):
        super().__init__(features=features, learned=True, **options)

    def raw_features(self, samples: Tensor) -> Tensor:
        bands = torch.matmul(self.bank[:, :, 0], self.fourier(samples))
        return torch.log(functional.relu(bands) + LOG_GUARD)  # a trained bank may turn negative
