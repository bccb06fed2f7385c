"""Clipping: what a microphone or a converter cut off."""

from __future__ import annotations

import numpy as np

CLIPPABLE = 0.25  # peak; below, three samples at the crest of an unclipped low tone share one 16-bit step


def is_clipped(samples: np.ndarray, share: float = 0.0) -> bool:
    """Whether three or more consecutive samples of a channel stay at its highest or its lowest value.

    The recording's own extreme counts, so that one that was clipped and turned down later is found too.

    Args:
        samples: [S] or [S, C] floats, full scale is 1; what lies beyond full scale counts as at it.
        share: of the samples, that such runs may take up; a few at the crests of a word are not heard.
    """
    bounded = np.clip(samples.reshape(len(samples), -1), -1.0, 1.0 - 2.0**-15)
    runs = np.zeros(bounded.shape[1], int)
    for extreme in (bounded.max(axis=0, initial=-1.0), bounded.min(axis=0, initial=1.0)):
        held = (bounded == extreme) & (np.abs(extreme) >= CLIPPABLE)
        runs += (held[:-2] & held[1:-1] & held[2:]).sum(axis=0)
    return bool((runs > share * len(samples)).any())
