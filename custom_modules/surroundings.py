"""Rooms and noise for a batch in training: what manifests/acoustics.py does to a clip, for all utterances at once.

Everything is drawn where the batch lies; only recorded noise is cut on the CPU, whose memory it is kept in.
"""

from __future__ import annotations

import functools
import json
import math
import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import fft
from torch import Tensor

from heyjetson.audio import is_recording, open_sound, resample
from heyjetson.errors import AudioError

MEMORY = 200_000_000  # bytes of recorded noise, as 16-bit samples: 104 minutes at 16 kHz
PIECES, PIECE_SIZE = 32, 2**18  # of drawn noise in memory: 34 MB, 16 s each
SHORTEST_PIECE = 10.0  # seconds; where there are many recordings, more of them are worth more than longer ones
SILENCE = 1e-10  # power of a recording's pauses, which are not raised to the level of noise


def room_responses(reverberation_time: Tensor, tail_db: Tensor, sample_rate: int, longest: float) -> Tensor:
    """Impulse responses of synthetic rooms: the direct sound and an exponentially decaying noise tail (Polack, 1988).

    Args:
        reverberation_time: [B] T60, seconds.
        tail_db: [B] level of the tail over the direct sound, decibels.
        sample_rate: hertz.
        longest: seconds a response lasts, at least the longest T60.

    Returns:
        [B, K]; the first sample is the direct sound, so nothing is delayed.
    """
    place = torch.arange(max(int(longest * sample_rate), 2), device=tail_db.device)
    decay = torch.exp(place * (-6.908 / (reverberation_time[:, None] * sample_rate)))
    tail = torch.randn_like(decay).mul_(decay)
    tail[:, : sample_rate // 500] = 0  # the first reflection comes no sooner than 2 ms
    tail *= (10 ** (tail_db / 10) / tail.square().sum(1).clamp_min(1e-12)).sqrt()[:, None]
    tail[:, 0] = 1.0
    return tail


def apply_rir(samples: Tensor, responses: Tensor) -> Tensor:
    """Utterances [B, S] in rooms [B, K] → [B, S]; what would ring on after the end is cut."""
    size = samples.shape[1]
    padded = fft.next_fast_len(size + responses.shape[1], real=True)  # 5-smooth
    spectrum = torch.fft.rfft(samples, padded).mul_(torch.fft.rfft(responses, padded))
    return torch.fft.irfft(spectrum, padded)[:, :size]


def coloured_noise(slope: Tensor, samples: int, generator: torch.Generator | None = None) -> Tensor:
    """Gaussian noise whose power falls with frequency.

    Args:
        slope: [B] exponents of 1/f: 0 white, 1 pink, 2 brown.
        samples: S.
        generator: that draws it; None for torch's own.

    Returns:
        [B, S], of no particular level.
    """
    padded = fft.next_fast_len(samples, real=True)
    bins = padded // 2 + 1
    # Below a hundredth of the band the slope would put all power into inaudible rumble.
    frequency = torch.linspace(0, 1, bins, device=slope.device).clamp_min(0.01)
    weights = torch.exp(torch.outer(slope / -2, frequency.log()))
    # The spectrum of white noise is white noise: drawing it saves a transform.
    spectrum = torch.randn(len(slope), bins, 2, device=slope.device, generator=generator)
    return torch.fft.irfft(torch.view_as_complex(spectrum.mul_(weights[:, :, None])), padded)[:, :samples]


@functools.lru_cache(maxsize=2)
def _noises(steepest: float, device: torch.device) -> Tensor:
    """Noises [PIECES, PIECE_SIZE] of slopes from 0 to the steepest; always the same, so that a run that is continued
    draws as one that was not. Transforms of such lengths end where they begin."""
    generator = torch.Generator().manual_seed(0)
    return coloured_noise(torch.linspace(0, steepest, PIECES), PIECE_SIZE, generator).to(device)


def drawn_noise(count: int, samples: int, steepest: float, device: torch.device) -> Tensor:
    """Gaussian noise of drawn slopes, cut at drawn places out of noise that is made once.

    Args:
        count: B.
        samples: S.
        steepest: exponent of 1/f, see `coloured_noise`; slopes lie between 0 and it.
        device: where it is to lie.

    Returns:
        [B, S], of no particular level.
    """
    found = torch.empty(count, samples, device=device)
    noises = _noises(steepest, device)
    rows, starts = torch.randint(PIECES, (count,)), torch.randint(PIECE_SIZE, (count,))
    for piece, row, start in zip(found, rows.tolist(), starts.tolist(), strict=True):
        filled = 0
        while filled < samples:
            part = noises[row, start : start + samples - filled]
            piece[filled : filled + len(part)] = part
            filled, start = filled + len(part), 0
    return found


def blocks(rows: Tensor) -> tuple[Tensor, ...]:
    """Row numbers of a batch in the groups to compute together: on a CPU one by one, since an utterance stays in its
    cache from one operation to the next and a batch does not."""
    return rows.split(1 if rows.device.type == "cpu" else max(len(rows), 1)) if len(rows) else ()


def within(length: Tensor, size: int) -> Tensor:
    """Which of `size` samples are sound [B, size]; of one row, which is as long as its sound, all of them [1, 1]."""
    if len(length) == 1:
        return torch.ones(1, 1, dtype=torch.bool, device=length.device)
    return torch.arange(size, device=length.device) < length[:, None]


def add_noise(samples: Tensor, noise: Tensor, snr_db: Tensor, mask: Tensor) -> Tensor:
    """Mix noise into utterances at a signal-to-noise ratio over the whole of each.

    Args:
        samples: [B, S].
        noise: [B, S].
        snr_db: [B] decibels; infinity adds nothing.
        mask: [B, S] or [1, 1], where there is sound.
    """
    noise = noise * mask
    least = math.sqrt(SILENCE * samples.shape[1])
    ratio = torch.linalg.vector_norm(samples * mask, dim=1) / torch.linalg.vector_norm(noise, dim=1).clamp_min(least)
    return noise.mul_((ratio * 10 ** (snr_db / -20))[:, None]).add_(samples)


class NoiseRecordings:
    """Recorded noise in memory, from which pieces are cut at random places.

    Of every recording the beginning is kept, so long that all fit; where they cannot, a fixed choice of them is kept.

    Args:
        where: a folder with recordings anywhere below it, or a manifest of JSON lines with `audio_filepath`, and
            `offset` and `duration` where a part of a recording is meant.
        sample_rate: hertz; recordings at other rates are resampled.
        memory: bytes.

    Raises:
        ValueError: there is nothing at `where`, or nothing that can be read.
    """

    def __init__(self, where: str, sample_rate: int, memory: int = MEMORY):
        places = _recordings(Path(where))
        random.Random(0).shuffle(places)
        budget = memory // 2
        share = max(budget // len(places), int(SHORTEST_PIECE * sample_rate))
        kept, faults = [], []
        for place in places:
            try:
                piece = _read(*place, sample_rate, min(share, budget))
            except (AudioError, OSError, ValueError) as error:
                faults.append(f"{place[0]} ({str(error).rstrip('.')})")
                continue
            kept.append(piece)
            budget -= len(piece)
            if budget < sample_rate:
                break
        if not kept:
            raise ValueError(
                f"None of {len(places)} recordings in augment.waveform.noise_recordings={where} can be used; the first "
                f"is {faults[0]}."
            )
        if faults:
            warnings.warn(f"{len(faults)} noise recordings cannot be used, the first is {faults[0]}.", stacklevel=2)
        self.samples = torch.from_numpy(np.concatenate(kept))  # [N] int16
        self.sizes = torch.tensor([len(piece) for piece in kept])  # [recordings]
        self.starts = self.sizes.cumsum(0) - self.sizes

    def draw(self, count: int, samples: int) -> Tensor:
        """Pieces [count, samples] from random recordings and places; a recording that is shorter is repeated."""
        which = torch.randint(len(self.sizes), (count,))
        size = self.sizes[which]
        places = torch.where(size > samples, size - samples + 1, size)
        start = (torch.rand(count, dtype=torch.float64) * places).long()
        index = (start[:, None] + torch.arange(samples)) % size[:, None] + self.starts[which, None]
        return self.samples[index].float() / 32768


def some_noise(
    count: int, samples: int, steepest: float, device: torch.device, recorded: NoiseRecordings | None, share: float
) -> Tensor:
    """Recorded noise in a share of the rows, where there is any, and `drawn_noise` in the others.

    Args:
        count: B.
        samples: S.
        steepest: of `drawn_noise`.
        device: where it is to lie.
        recorded: noise; None for drawn noise alone.
        share: of the rows, on average.

    Returns:
        [B, S], of no particular level.
    """
    cut = int((torch.rand(count) < share).sum()) if recorded else 0
    pieces = []
    if recorded and cut:
        pieces.append(recorded.draw(cut, samples).to(device))
    if cut < count:
        pieces.append(drawn_noise(count - cut, samples, steepest, device))
    return torch.cat(pieces)


@functools.lru_cache(maxsize=1)
def recordings(where: str, sample_rate: int) -> NoiseRecordings:
    """`NoiseRecordings`, read once for all who draw from the same."""
    return NoiseRecordings(where, sample_rate)


Place = tuple[Path, float, float | None]  # a recording, and offset and duration of the segment that is meant


def _recordings(where: Path) -> list[Place]:
    cure = "Correct augment.waveform.noise_recordings, or set it to null."
    if where.is_dir():
        found: list[Place] = [(path, 0.0, None) for path in sorted(where.rglob("*")) if is_recording(path)]
    elif where.is_file():
        try:
            lines = [json.loads(line) for line in where.read_text(encoding="utf-8").splitlines() if line.strip()]
            found = [_place(where.parent, line) for line in lines]
        except (ValueError, KeyError, TypeError):
            raise ValueError(
                f'The noise manifest {where} must hold lines like {{"audio_filepath": "a.wav"}}. {cure}'
            ) from None
    else:
        raise ValueError(f"There are no noise recordings at {where}: it does not exist on this machine. {cure}")
    if not found:
        raise ValueError(f"There are no noise recordings in {where}. {cure}")
    return found


def _place(folder: Path, line: dict[str, Any]) -> Place:
    path, offset = folder / line["audio_filepath"], line.get("offset")
    return (path, 0.0, None) if offset is None else (path, float(offset), float(line["duration"]))


def _read(path: Path, offset: float, duration: float | None, sample_rate: int, longest: int) -> np.ndarray:
    """The beginning of a recording as int16 at its full range: levels are drawn later."""
    with open_sound(path, offset=offset, duration=duration) as source:
        frames = -(-longest * source.rate // sample_rate)
        samples = resample(next(source.blocks(frames))[:, 0], source.rate, sample_rate)
    peak = float(np.abs(samples).max(initial=0.0))
    if not 1e-4 < peak < np.inf:
        raise ValueError("it holds only silence, or samples that are not numbers")
    return (samples[:longest] * np.float32(32767 / peak)).astype(np.int16)
