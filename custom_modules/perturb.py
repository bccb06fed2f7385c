"""Perturbation of the waveform in training: speed, level, colour, rooms and noise, drawn for each utterance.

All are vectorised over rows of a batch, which a CPU is given one by one. Speed, level and colour cost a few per cent of
a step there; rooms are Fourier transforms of the utterances they fall on.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from custom_modules.surroundings import (
    NoiseRecordings,
    add_noise,
    apply_rir,
    blocks,
    recordings,
    room_responses,
    some_noise,
    within,
)

SHORTEST_REVERBERATION = 0.1  # seconds; below, a room is hardly heard
MOST_QUIETER = 60.0  # decibels; below, 16 bits hold little of a word
DRIEST_ROOM = 15.0  # decibels of the direct sound over the tail; above, a room is hardly heard


def resample(samples: Tensor, length: Tensor, speed: Tensor) -> tuple[Tensor, Tensor]:
    """Play each utterance faster or slower, pitch and formants included, by linear interpolation.

    Its error, a faint hiss and duller high tones that differ with the speed, is one more perturbation: cubic
    interpolation cost more and, in one run each, did worse on digits of a speaker never heard (12 against 8 % WER).

    Args:
        samples: [B, S], zero beyond each length.
        length: [B] samples.
        speed: [B], above 1 is faster.

    Returns:
        samples: [B, S'].
        length: [B].
    """
    new_length = torch.div(length, speed, rounding_mode="floor").to(length.dtype).clamp_min(1)
    position = torch.outer(speed, torch.arange(int(new_length.max()), dtype=speed.dtype, device=speed.device))
    index = position.int()  # half the traffic of int64
    part = position.sub_(index).view(-1)
    padded = functional.pad(samples, (0, max(int(index[:, -1].max()) + 2 - samples.shape[1], 0)))
    starts = torch.arange(len(samples), dtype=index.dtype, device=index.device) * padded.shape[1]
    rows, flat = (index + starts[:, None]).view(-1), padded.reshape(-1)
    left, right = flat.index_select(0, rows), flat[1:].index_select(0, rows)
    played = torch.lerp(left, right, part).view(index.shape)
    return played * within(new_length, played.shape[1]), new_length


class WaveformPerturbation(nn.Module):
    """Speed, colour, rooms, noise and level, in this order, drawn anew for every utterance of every batch.

    Args:
        speed: largest relative change; 0.1 plays at 0.9 to 1.1 times the speed.
        level: largest change of level in decibels, both ways.
        quieter: decibels by which utterances are quieter still, at most: microphones differ more than speakers do.
        colour: largest coefficient of a one-zero filter that tilts the spectrum, below 1.
        room_probability: share of the utterances heard in a room.
        reverberation_time: of the most reverberant room: T60 in seconds, at least 0.1.
        direct_to_reverberant: level of the direct sound over the tail in the wettest room, decibels, at most 15.
        noise_probability: share of the utterances with noise.
        snr_low: signal-to-noise ratio of the noisiest, decibels over the whole utterance.
        snr_high: of the cleanest of those with noise.
        noise_slope: steepest exponent of 1/f: 0 draws white noise only, 2 anything from white to brown.
        noise_recordings: a folder or a manifest of recorded noise, read when training begins; null for none.
        recorded_share: of the utterances with noise, the share that gets recorded noise where there is any.
        ramp: share of the budget over which all of these grow from nothing. CTC first has to find out that there are
            letters at all, and finds it sooner in clean speech.
        sample_rate: hertz.
        noise: what older `.nemo` files have in place of the ratios: noise in every utterance, from so many decibels
            below it to 40 less.

    Raises:
        ValueError: a value is out of its range; the message names its key in conf.
    """

    def __init__(
        self,
        speed: float = 0.0,
        level: float = 0.0,
        quieter: float = 0.0,
        colour: float = 0.0,
        room_probability: float = 0.0,
        reverberation_time: float = 0.5,
        direct_to_reverberant: float = 0.0,
        noise_probability: float = 0.0,
        snr_low: float = 5.0,
        snr_high: float = 30.0,
        noise_slope: float = 2.0,
        noise_recordings: str | None = None,
        recorded_share: float = 0.75,
        ramp: float = 0.0,
        sample_rate: int = 16000,
        noise: float | None = None,
    ):
        super().__init__()
        if noise is not None:
            noise_probability, snr_low, snr_high, noise_slope = 1.0, noise, noise + 40.0, 0.0
        _require("speed", speed, 0 <= speed < 0.5, "at least 0 and below 0.5")
        _require("level", level, 0 <= level < math.inf, "at least 0 decibels")
        _require("quieter", quieter, 0 <= quieter <= MOST_QUIETER, f"between 0 and {MOST_QUIETER:g} decibels")
        _require("colour", colour, 0 <= colour < 1, "at least 0 and below 1")
        _require("room_probability", room_probability, 0 <= room_probability <= 1, "between 0 and 1")
        fits = SHORTEST_REVERBERATION <= reverberation_time <= 10
        _require("reverberation_time", reverberation_time, fits, f"{SHORTEST_REVERBERATION} to 10 seconds")
        fits = -math.inf < direct_to_reverberant <= DRIEST_ROOM
        _require("direct_to_reverberant", direct_to_reverberant, fits, f"at most {DRIEST_ROOM} decibels")
        _require("noise_probability", noise_probability, 0 <= noise_probability <= 1, "between 0 and 1")
        fits = -math.inf < snr_low <= snr_high < math.inf
        _require("snr_low", snr_low, fits, f"at most augment.waveform.snr_high={snr_high} decibels")
        _require("noise_slope", noise_slope, 0 <= noise_slope <= 4, "between 0 and 4")
        _require("recorded_share", recorded_share, 0 <= recorded_share <= 1, "between 0 and 1")
        self.speed, self.level, self.quieter, self.colour = speed, level, quieter, colour
        self.room_probability = room_probability
        self.reverberation_time, self.direct_to_reverberant = reverberation_time, direct_to_reverberant
        self.noise_probability, self.noise_slope = noise_probability, noise_slope
        self.snr_low, self.snr_high = snr_low, snr_high
        self.noise_recordings, self.recorded_share = noise_recordings, recorded_share
        self.ramp = ramp
        self.sample_rate = sample_rate
        self.strength = 1.0  # share of the ranges in use; the model raises it from 0 as training begins
        self._recordings: NoiseRecordings | None = None

    def forward(self, samples: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """Samples [B, S] and length [B] in and out."""
        if not self.strength:
            return samples, length
        parts = []
        for rows in blocks(torch.arange(len(samples), device=samples.device)):
            parts.append(self._perturbed(samples[rows][:, : max(int(length[rows].max()), 1)], length[rows]))
        if len(parts) == 1:
            return parts[0]
        lengths = torch.cat([new for _, new in parts])
        return pad_sequence([sound[0] for sound, _ in parts], batch_first=True), lengths

    def _perturbed(self, samples: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """`forward` for utterances that are computed together."""
        size = len(samples)

        def draw(largest: float) -> Tensor:
            largest *= self.strength
            return torch.empty(size, device=samples.device).uniform_(-largest, largest)

        if self.speed:
            samples, length = resample(samples, length, 1 + draw(self.speed))
        mask = within(length, samples.shape[1])
        if self.colour:
            tilted = samples[:, 1:] - draw(self.colour)[:, None] * samples[:, :-1]
            samples = torch.cat([samples[:, :1], tilted], dim=1)
        if self.room_probability:
            samples = self._in_rooms(samples)
        if self.noise_probability:
            samples = self._in_noise(samples, mask)
        if self.level or self.quieter:
            half = self.quieter / 2
            gain = draw(self.level) + draw(half) - half * self.strength
            samples = samples * (10 ** (gain / 20))[:, None]
        return samples * mask, length

    def load_recordings(self) -> None:
        """Read the recorded noise, if there is any to read; the first batch does so by itself.

        Not at construction: a model must restore on a machine that does not have the recordings.

        Raises:
            ValueError: `noise_recordings` is not there, or nothing in it can be read.
        """
        wanted = self.noise_recordings and self.noise_probability and self.recorded_share
        if wanted and self._recordings is None:
            self._recordings = recordings(str(self.noise_recordings), self.sample_rate)

    def _loudness(self) -> float:
        """Decibels by which tails and noise are raised: they grow with the strength, from nothing."""
        return 20 * math.log10(self.strength)

    def _in_rooms(self, samples: Tensor) -> Tensor:
        rows = _chosen(len(samples), self.room_probability)
        if not len(rows):
            return samples
        rows = rows.to(samples.device)
        times = _uniform(SHORTEST_REVERBERATION, self.reverberation_time, rows)
        tails = self._loudness() - _uniform(self.direct_to_reverberant, DRIEST_ROOM, rows)
        responses = room_responses(times, tails, self.sample_rate, self.reverberation_time)
        return samples.index_copy(0, rows, apply_rir(samples[rows].float(), responses).to(samples.dtype))

    def _in_noise(self, samples: Tensor, mask: Tensor) -> Tensor:
        self.load_recordings()
        rows = _chosen(len(samples), self.noise_probability)
        if not len(rows):
            return samples
        rows = rows.to(samples.device)
        size, device = samples.shape[1], samples.device
        noise = some_noise(len(rows), size, self.noise_slope, device, self._recordings, self.recorded_share)
        ratios = _uniform(self.snr_low, self.snr_high, rows) - self._loudness()
        noisy = add_noise(samples[rows], noise, ratios, mask[rows])
        return samples.index_copy(0, rows, noisy.to(samples.dtype))


def _chosen(size: int, probability: float) -> Tensor:
    """A random share of the rows of a batch, in random order; on the CPU, so that no accelerator has to wait."""
    order = torch.randperm(size)
    return order[torch.rand(size) < probability]


def _uniform(low: float, high: float, rows: Tensor) -> Tensor:
    """A number for each row, where the rows lie."""
    return torch.empty(len(rows), device=rows.device).uniform_(low, high)


def _require(key: str, value: float, fits: bool, allowed: str) -> None:
    if not fits:
        raise ValueError(f"augment.waveform.{key} must be {allowed}, found {value}.")
