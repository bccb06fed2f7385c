"""Labels as the runtimes of other projects read them: a line each, token and number."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from experiments.errors import ConfigError
from manifests.phones import are_sounds

LOG = logging.getLogger(__name__)
BLANK = "<blk>"
SPACE = "\u2581"


def require_tokens(labels: Sequence[str], name: str) -> None:
    """Refuse labels that cannot be told apart in such a file.

    Args:
        labels: without the blank.
        name: of the file.

    Raises:
        ConfigError: there are such.
    """
    for label in labels:
        if label != " " and (not label.strip() or any(map(str.isspace, label)) or SPACE in label or label == BLANK):
            raise ConfigError(f"The label {label!r} cannot be written into {name}, which parts by spaces.")


def token_lines(labels: Sequence[str]) -> str:
    """What the file holds; the blank comes after the last label."""
    lines = [f"{SPACE if label == ' ' else label} {place}" for place, label in enumerate(labels)]
    return "\n".join([*lines, f"{BLANK} {len(labels)}"]) + "\n"


def tell_sounds(labels: Sequence[str], runtime: str) -> str:
    """Say where a model gives sounds, which only heyjetson makes words of.

    Args:
        labels: without the blank.
        runtime: that the model is exported for.

    Returns:
        the sentence, for what is written beside the model; none where it writes letters.
    """
    if not are_sounds(labels):
        return ""
    told = (
        f"This model gives {runtime} sounds, a character each as `python -m manifests phones` writes them, not words: "
        "these come of a bundle's language model, which heyjetson alone reads (docs/language-model.md)."
    )
    LOG.warning(told)
    return told
