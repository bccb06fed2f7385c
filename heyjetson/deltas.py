"""What a text that grows has gained, piece by piece: what was told is never taken back."""

from __future__ import annotations

from os.path import commonprefix


class TextDeltas:
    """Pieces of one utterance's text.

    Args:
        steady: the text only ever grows, as without a language model and without hot words; else the words are told on
            which two readings agree, but for the last, which may go on.

    >>> deltas = TextDeltas(steady=False)
    >>> [deltas.of(text) for text in ("one", "one to", "one two thr")], deltas.of("one two three", final=True)
    (['', '', 'one'], ' two three')
    """

    def __init__(self, steady: bool):
        self.steady = steady
        self.told = ""
        self._before = ""

    def of(self, text: str, final: bool = False) -> str:
        """What can be told now.

        Args:
            text: all of it, as it is understood now.
            final: nothing of it will change. Where a language model has changed its mind about what was told, the
                text that counts is this one.
        """
        safe = text
        if not final and not self.steady:
            safe = commonprefix([self._before, text]).rpartition(" ")[0] if text != self._before else ""
            self._before = text
        if not final and not safe.startswith(self.told):
            return ""
        new = safe[len(self.told) :]
        self.told += new
        return new
