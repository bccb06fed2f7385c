"""Silence in training: before and behind the words, and between two utterances that become one.

What is trained on is cut tightly, and what is heard is not: a model that never heard half a second without words writes
letters into it, and joins the words on both sides of a pause.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from custom_modules.surroundings import NoiseRecordings, blocks, recordings, some_noise, within

FRAME = 0.02  # seconds; the quietest of an utterance has the level of its own room
STEEPEST = 2.0  # exponent of 1/f of the brownest synthetic room tone
BELOW = 15.0  # decibels that room tone stays below the words; what is louder is augment.waveform's noise
Batch = tuple[Tensor, Tensor, Tensor, Tensor]


class Silence(nn.Module):
    """Zeros, room tone or recorded noise around the words of a batch, drawn anew for each.

    Statistics of the front-end are of the recordings as they are. Utterances are given what the batch pads them by
    anyway, and those that are joined are so with others of their batch, two by two: it holds the same words in half
    as many rows, so nothing has to be planned for by whoever makes batches.

    Args:
        probability: of the batches that are not joined, the share whose utterances get silence before and behind.
        longest: most seconds of it; the longest utterance of a batch gets up to as much, in all.
        join: share of the batches whose utterances are joined, two by two.
        pause: longest pause between the two, seconds.
        joined_longest: seconds; a batch in which two together would be longer is left as it is.
        tone: share of the utterances whose silence is not of zeros.
        beneath: share of these in which the tone lies beneath the words as well.
        quietest: level of the quietest tone, decibels of full scale.
        loudest: of the loudest, which never is less than 15 decibels below the words.
        noise_recordings: a folder or a manifest of recorded noise; null for synthetic noise alone.
        recorded_share: of the tones, the share that is recorded noise where there is any.
        ramp: share of the budget over which the shares of the batches grow from nothing.
        sample_rate: hertz.

    Raises:
        ValueError: a value is out of its range; the message names its key in conf.
    """

    def __init__(
        self,
        probability: float = 0.7,
        longest: float = 1.2,
        join: float = 0.4,
        pause: float = 2.5,
        joined_longest: float = 20.0,
        tone: float = 0.7,
        beneath: float = 0.5,
        quietest: float = -80.0,
        loudest: float = -40.0,
        noise_recordings: str | None = None,
        recorded_share: float = 0.5,
        ramp: float = 0.0,
        sample_rate: int = 16000,
    ):
        super().__init__()
        shares = {"probability": probability, "join": join, "tone": tone, "beneath": beneath, "ramp": ramp}
        for key, value in (shares | {"recorded_share": recorded_share}).items():
            _require(key, value, 0 <= value <= 1, "between 0 and 1")
        for key, value in (("longest", longest), ("pause", pause), ("joined_longest", joined_longest)):
            _require(key, value, 0 <= value < math.inf, "at least 0 seconds")
        fits = -math.inf < quietest <= loudest <= 0
        _require("quietest", quietest, fits, f"at most augment.silence.loudest={loudest} decibels, and that at most 0")
        self.probability, self.longest = probability, longest
        self.join, self.pause, self.joined_longest = join, pause, joined_longest
        self.tone, self.beneath = tone, beneath
        self.quietest, self.loudest = quietest, loudest
        self.noise_recordings, self.recorded_share = noise_recordings, recorded_share
        self.ramp, self.sample_rate = ramp, sample_rate
        self._recordings: NoiseRecordings | None = None
        self.strength = 1.0  # share of the batches in use; the model raises it from 0 as training begins

    @property
    def most(self) -> float:
        """Seconds by which a batch grows at most."""
        return max(self.longest if self.probability else 0.0, self.pause if self.join else 0.0)

    def forward(self, signal: Tensor, length: Tensor, labels: Tensor, label_length: Tensor, space: int | None) -> Batch:
        """A batch, and a batch that is heard in its place.

        Args:
            signal: [B, S], zero beyond each length.
            length: [B] samples.
            labels: [B, L].
            label_length: [B].
            space: label that parts the words of two utterances; None for none.

        Returns:
            the same, of B utterances, or of (B + 1) // 2.
        """
        self.load_recordings()
        pairs = self._pairs(length) if float(torch.rand(())) < self.join * self.strength and labels.shape[1] else None
        if pairs is None and not float(torch.rand(())) < self.probability * self.strength:
            return signal, length, labels, label_length
        if pairs is None:
            first = torch.arange(len(length), device=length.device)
            second, gap = torch.full_like(first, -1), torch.zeros_like(length)
            before, behind = self._around(length)
        else:
            first, second = pairs
            between = ((label_length[first] > 0) & (_lengths(label_length, second) > 0)).to(length.dtype)
            if space is None:
                between = torch.zeros_like(between)
            labels, label_length, told = _side_by_side(labels, label_length, first, second, between * 0, between)
            if space is not None:
                inside = torch.arange(labels.shape[1], device=labels.device) < label_length[:, None]
                labels = labels.masked_fill(inside & ~told, space)
            gap = self._samples(torch.rand(len(first), device=length.device) * self.pause)
            gap = gap * (second >= 0)
            before = behind = torch.zeros_like(gap)
        signal, length, words = _side_by_side(signal, length, first, second, before, gap)
        length = length + behind
        more = int(length.max()) - signal.shape[1]
        signal, words = functional.pad(signal, (0, more)), functional.pad(words, (0, more))
        return self._with_tone(signal, length, words), length, labels, label_length

    def load_recordings(self) -> None:
        """Read the recorded noise, if there is any to read; the first batch does so by itself.

        Raises:
            ValueError: `noise_recordings` is not there, or nothing in it can be read.
        """
        if self.noise_recordings and self.tone and self.recorded_share and self.most and self._recordings is None:
            self._recordings = recordings(str(self.noise_recordings), self.sample_rate)

    def _samples(self, seconds: Tensor) -> Tensor:
        return (seconds * self.sample_rate).long()

    def _pairs(self, length: Tensor) -> tuple[Tensor, Tensor] | None:
        """Rows that come first and rows that come second, -1 for none: the shortest with the longest."""
        order = torch.argsort(length)
        half = len(length) // 2
        if not half or int(length[order[:half]].add(length[order.flip(0)[:half]]).max()) > self._most_joined():
            return None
        one, other = order[:half], order.flip(0)[:half]
        swapped = torch.rand(half, device=length.device) < 0.5
        first, second = torch.where(swapped, other, one), torch.where(swapped, one, other)
        if len(length) % 2:
            first, second = torch.cat([first, order[half : half + 1]]), functional.pad(second, (0, 1), value=-1)
        return first, second

    def _most_joined(self) -> float:
        return self.joined_longest * self.sample_rate

    def _around(self, length: Tensor) -> tuple[Tensor, Tensor]:
        """Samples of silence before and behind utterances of some lengths."""
        size, device = len(length), length.device
        longest = self._samples(torch.full((), self.longest, device=device))
        common = length.max() + (torch.rand((), device=device) * longest).long()
        room = torch.minimum(common - length, longest) * (torch.rand(size, device=device) < 0.75)
        total = (room * torch.rand(size, device=device)).long()
        side = torch.rand(size, device=device)  # a third has all of it before, a third all behind
        before = (total * ((side - 1 / 3) * 3).clamp(0, 1)).long()
        return before, total - before

    def _with_tone(self, signal: Tensor, length: Tensor, words: Tensor) -> Tensor:
        """Room tone and recorded noise in a share of the rows, where there are no words, or beneath them too."""
        chosen = torch.randperm(len(signal))[torch.rand(len(signal)) < self.tone].to(signal.device)
        for rows in blocks(chosen):
            size = int(length[rows].max())
            of, heard = signal[rows, :size], words[rows, :size]
            noise = some_noise(len(rows), size, STEEPEST, of.device, self._recordings, self.recorded_share)
            level = self._levels(of, heard)
            scale = 10 ** (level / 20) / noise.square().mean(1).sqrt().clamp_min(1e-5)
            beneath = torch.rand(len(rows), device=of.device) < self.beneath
            there = within(length[rows], size) & (~heard | beneath[:, None])
            signal[rows, :size] = (of + noise * scale[:, None] * there).to(signal.dtype)
        return signal

    def _levels(self, signal: Tensor, words: Tensor) -> Tensor:
        """Decibels of each row's tone: half of them as quiet as the quietest of the row's own frames."""
        frame = max(round(FRAME * self.sample_rate), 1)
        size = signal.shape[1] // frame * frame
        loudness = 10 * torch.log10((signal.square() * words).sum(1) / words.sum(1).clamp_min(1) + 1e-12)
        drawn = torch.rand(len(signal), device=signal.device) * (self.loudest - self.quietest) + self.quietest
        own = drawn
        if size:
            frames = signal[:, :size].square().reshape(len(signal), -1, frame).mean(2)
            whole = words[:, :size].reshape(len(signal), -1, frame).all(2)
            own = 10 * torch.log10(frames.masked_fill(~whole, 1.0).amin(1) + 1e-12)
        level = torch.where(torch.rand(len(signal), device=signal.device) < 0.5, own, drawn)
        return torch.minimum(level.clamp(self.quietest, self.loudest), loudness - BELOW)


def _lengths(length: Tensor, rows: Tensor) -> Tensor:
    """Lengths of some rows, 0 for those that are -1."""
    return length[rows] * (rows >= 0)


def _side_by_side(
    x: Tensor, length: Tensor, first: Tensor, second: Tensor, before: Tensor, gap: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows one behind the other.

    Args:
        x: [B, N], zero beyond the lengths.
        length: [B].
        first: [C] rows that come first.
        second: [C] rows that follow them, -1 for none.
        before: [C] zeros in front of each.
        gap: [C] zeros between the two.

    Returns:
        [C, N'], its lengths [C], and what of it is not such zeros nor padding [C, N'].
    """
    end = before + length[first]
    start = end + gap
    total = start + _lengths(length, second)
    joined = x.new_zeros(len(first), int(total.max()))
    here = torch.zeros_like(joined, dtype=torch.bool)
    plan = torch.stack([first, before, end, second, start, total], dim=1)
    for row, (one, begins, ends, other, begins_too, ends_too) in enumerate(plan.tolist()):  # whole runs of samples
        joined[row, begins:ends] = x[one, : ends - begins]
        here[row, begins:ends] = True
        if other >= 0:
            joined[row, begins_too:ends_too] = x[other, : ends_too - begins_too]
            here[row, begins_too:ends_too] = True
    return joined, total, here


def _require(key: str, value: float, fits: bool, allowed: str) -> None:
    if not fits:
        raise ValueError(f"augment.silence.{key} must be {allowed}, found {value}.")
