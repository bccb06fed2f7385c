"""Where an utterance ends, and when there is nothing to listen to."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from heyjetson.errors import OptionError


@dataclass(frozen=True)
class EndpointRules:
    """When a stream closes an utterance by itself (the rules of Kaldi's online endpointing).

    Args:
        silence: seconds without a character after speech.
        no_speech: seconds without any; nothing is closed, but the model begins anew.
        longest: seconds of an utterance, which is then closed where the next word ends; where none does for half as
            long again, between two characters.
        onset: seconds before the next utterance that it is given, so that its first sound is not lost.
        gate: decibels over the background below which nothing is computed between utterances; None computes always.
    """

    silence: float = 0.8
    no_speech: float = 2.4
    longest: float = 20.0
    onset: float = 0.3
    gate: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and not (np.isfinite(value) and value >= 0):
                raise OptionError(f"The endpoint rule {field.name} must be 0 or more, found {value}.")
        if self.onset > min(self.silence, self.no_speech):
            raise OptionError(
                f"The endpoint rule onset, {self.onset} s, must not be longer than the silence before it "
                f"({min(self.silence, self.no_speech)} s): words would be written twice."
            )


FOREVER = 1e6  # seconds: no such silence ends an utterance, who feeds the stream does
PATIENCE = 1.5  # times `longest` after which an utterance is closed within a word
SPEECH_ENDED, NOTHING_SAID, TOO_LONG = "silence", "no_speech", "longest"


class Endpointer:
    """Applies the rules frame by frame.

    Args:
        rules: see `EndpointRules`.
        blank: column of the blank.
        space: column of the space; None where words are not told apart.
        frame_seconds: seconds a frame.
    """

    def __init__(self, rules: EndpointRules, blank: int, space: int | None, frame_seconds: float):
        self.frame_seconds = frame_seconds
        self.space = space
        self.quiet_labels = [blank] if space is None else [blank, space]
        self.change(rules)
        self.reset()

    def change(self, rules: EndpointRules) -> None:
        """Go by other rules from the next frame on."""
        self.silence, self.no_speech, self.longest = (
            max(round(seconds / self.frame_seconds), 1) for seconds in (rules.silence, rules.no_speech, rules.longest)
        )

    def reset(self) -> None:
        """Begin an utterance."""
        self.frames = self.quiet = 0
        self.spoken = False

    def feed(self, log_probs: np.ndarray) -> tuple[int, str] | None:
        """The next frames, [T, V + 1].

        Returns:
            how many of them belong to the utterance, and the rule that closes it; None where it goes on.
        """
        for count, label in enumerate(log_probs.argmax(axis=1).tolist(), 1):
            frame_is_quiet = label in self.quiet_labels
            self.frames += 1
            self.quiet = self.quiet + 1 if frame_is_quiet else 0
            self.spoken |= not frame_is_quiet
            if self.spoken and self.quiet >= self.silence:
                return count, SPEECH_ENDED
            if not self.spoken and self.quiet >= self.no_speech:
                return count, NOTHING_SAID
            between = label == self.space or self.space is None or self.frames >= PATIENCE * self.longest
            if self.frames >= self.longest and frame_is_quiet and between:
                return count, TOO_LONG
        return None


class EnergyGate:
    """Is there a sound over the background?

    The background is the quietest level heard, which is let rise slowly so that a fan that is switched on becomes part
    of it.

    Args:
        decibels: over the background.
        seconds: a piece of sound lasts.
    """

    RISE = 1.0  # decibels a second
    FLOOR = -75.0  # decibels of full scale: below is the noise of the converter

    def __init__(self, decibels: float, seconds: float):
        self.decibels = decibels
        self.rise = self.RISE * seconds
        self.background: float | None = None

    def is_open(self, samples: np.ndarray) -> bool:
        """Whether a piece [S] stands out; the first one never does, since nothing is known before."""
        level = 10 * math.log10(float(samples.var()) + 1e-12)  # of which a converter's offset from zero is no part
        level = max(level, self.FLOOR)
        if self.background is None or level < self.background:
            self.background = level
            return False
        opened = level > self.background + self.decibels
        self.background += self.rise
        return opened
