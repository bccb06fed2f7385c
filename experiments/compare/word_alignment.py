"""Word-level alignment of a reference and a hypothesis."""

from __future__ import annotations

from kaldialign import align

NOTHING = "\0"
CORRECT, SUBSTITUTED, INSERTED, DELETED = "=", "s", "i", "d"


def operations(reference: str, hypothesis: str) -> str:
    """What became of each word, one letter each, in order.

    Args:
        reference: words between spaces.
        hypothesis: words between spaces.

    Returns:
        `=` correct, `s` substituted, `d` deleted (each takes a word of the reference), `i` inserted (takes none).

    >>> operations("turn on the light", "turn the lights please")
    '=d=si'
    """
    letters = []
    for said, heard in align(reference.split(), hypothesis.split(), NOTHING):
        if said == NOTHING:
            letters.append(INSERTED)
        elif heard == NOTHING:
            letters.append(DELETED)
        else:
            letters.append(CORRECT if said == heard else SUBSTITUTED)
    return "".join(letters)
