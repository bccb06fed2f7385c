"""Words with times become utterances: they are parted where nobody speaks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from manifests.segments.segment import Segment

# What aligners write where nobody speaks: Kaldi, HTK, P2FA, the Montreal Forced Aligner, WebMAUS.
SILENCE = frozenset(("<eps>", "<sil>", "sil", "!sil", "sp", "<p:>", "<p>", "#"))
UNKNOWN = frozenset(("spn", "oov", "<usb>"))  # something was said


def utterances(words: Sequence[Segment], pause: float, longest: float) -> list[Segment]:
    """Join words of one recording.

    Args:
        words: in any order, without those of `SILENCE`.
        pause: seconds between two words that part them.
        longest: seconds; what would be longer is parted at its longest pauses as well.
    """
    ordered = sorted(words, key=lambda word: (word.start, word.end))
    joined: list[Segment] = []
    start, end = 0, float("-inf")
    for number, word in enumerate(ordered):
        if number and (round(word.start - end, 6) >= pause or word.speaker != ordered[number - 1].speaker):
            joined.extend(_within(ordered[start:number], longest))
            start = number
        end = max(end, word.end)
    joined.extend(_within(ordered[start:], longest))
    return joined


def _within(words: Sequence[Segment], longest: float) -> Iterator[Segment]:
    pieces = [words]
    while pieces:
        piece = pieces.pop()
        if not piece:
            continue
        end = max(word.end for word in piece)
        if len(piece) > 1 and end - piece[0].start > longest:
            # Of pauses alike the one nearest the middle, so that no word is left alone.
            middle = (piece[0].start + end) / 2
            at = max(
                range(1, len(piece)),
                key=lambda n: (round(piece[n].start - piece[n - 1].end, 3), -abs(piece[n].start - middle)),
            )
            pieces += [piece[at:], piece[:at]]
            continue
        text = " ".join("<unk>" if word.text.lower() in UNKNOWN else word.text for word in piece)
        yield Segment(piece[0].start, end, text, piece[0].where, piece[0].speaker)
