"""From a transcript as people write it to one in the model's characters, or the reason why it cannot be.

A pipeline of steps, each of rules with names: markup, unicode, abbreviations, numbers, accents, case, punctuation.
docs/data.md has the table of what each does. What is not understood is never dropped or guessed: the transcript is
refused, and the caller leaves it out and says so.
"""

from manifests.text.conventions import CONVENTIONS, USUAL
from manifests.text.normaliser import Cleaned, Normaliser
from manifests.text.numbers import numbers
from manifests.text.options import LABELS, STEPS, TextOptions, options_from
from manifests.text.rules import Refusal
from manifests.text.unicode import unicode_forms

__all__ = [
    "CONVENTIONS", "LABELS", "STEPS", "USUAL", "Cleaned", "Normaliser", "Refusal", "TextOptions", "numbers",
    "options_from", "unicode_forms",
]  # fmt: skip
