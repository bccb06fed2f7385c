"""How wide the beam search is."""

from __future__ import annotations

from dataclasses import dataclass

from heyjetson.errors import DecoderError


@dataclass(frozen=True)
class BeamOptions:
    """Width of the search. Wider is slower and finds better texts, up to a point.

    Args:
        beam_size: texts kept after each frame.
        beam_threshold: texts that are less likely than the best by more than this, in natural-log units, are dropped.
        label_threshold: natural-log probability below which a character of a frame is not tried.
        longest_open: frames after which the beginning of the likeliest text is settled at the latest.
        alpha: weight of the language model; the scorer's own when None.
        beta: added for each word; the scorer's own when None.
        prior_scale: power of the priors that outputs are divided by; the scorer's own when None, as the priors are.
    """

    beam_size: int = 64
    beam_threshold: float = 16.0
    label_threshold: float = -9.0
    longest_open: int = 250
    alpha: float | None = None
    beta: float | None = None
    prior_scale: float | None = None

    def __post_init__(self) -> None:
        if self.beam_size < 1 or self.longest_open < 1 or self.beam_threshold <= 0:
            raise DecoderError("beam_size, longest_open and beam_threshold must be above 0.")
        if self.alpha is not None and self.alpha < 0:
            raise DecoderError(f"alpha must not be negative, found {self.alpha}.")
        if self.prior_scale is not None and self.prior_scale < 0:
            raise DecoderError(f"prior_scale must not be negative, found {self.prior_scale}.")
