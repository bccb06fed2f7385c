"""Hot words: phrases whose score is raised when they are complete, and only then."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from heyjetson.errors import DecoderError, OptionError

KEYWORD_BOOST = 3.0  # natural logarithms, where a client names a word and no number


def spelled(phrase: str, labels: Sequence[str]) -> str:
    """A phrase in the case that the labels are in, with single spaces: clients write names as people do.

    >>> spelled("  Hey  Jetson", "abc ehjnosty")
    'hey jetson'
    """
    written = set(labels)

    def cased(character: str) -> str:
        return next((one for one in (character, character.lower(), character.upper()) if one in written), character)

    return " ".join("".join(map(cased, phrase)).split())


def parse_hot_words(text: str) -> dict[str, float]:
    """Read `phrase:boost,phrase:boost`, as commands, server and live streams take it; without a number the boost is
    `KEYWORD_BOOST`.

    Raises:
        OptionError: a phrase is empty, or a boost is no number.

    >>> parse_hot_words("jetson:3, turn on:2.5, hey jetson")
    {'jetson': 3.0, 'turn on': 2.5, 'hey jetson': 3.0}
    """
    found = {}
    for part in filter(str.strip, text.split(",")):
        phrase, _, boost = part.rpartition(":") if ":" in part else (part, "", KEYWORD_BOOST)
        if not phrase.strip():
            raise OptionError(f'Hot words are written "phrase:boost,phrase:boost"; found {part.strip()[:40]!r}.')
        try:
            found[phrase.strip()] = float(boost)
        except ValueError:
            raise OptionError(
                f"The boost of {phrase.strip()[:40]!r} must be a number, found {str(boost)[:40]!r}."
            ) from None
    return found


def space_of(labels: Sequence[str]) -> int:
    """The label that parts words, or V where there is none."""
    return labels.index(" ") if " " in labels else len(labels)


class HotWords:
    """An automaton over characters that knows which phrases a text is in the middle of (Aho and Corasick, 1975).

    A phrase counts with a space before and after it, so it is found as whole words; a pause that ends a word counts as
    one, in the likeliest way of saying a text. Its boost is added by the space
    that completes it; nothing is added to the words that follow. While it is being spelled its share of the boost
    stands in `lookahead_score`, which helps it through the search and is gone as soon as the text takes another way.

    Args:
        boosts: of each phrase, in natural-log units; negative ones make it rarer.
        labels: V characters.

    Attributes:
        follow: [states, V + 1], the state after each character; column V is an end of word where no label is a space.
        boost: [states], what arriving at the state adds.
        lookahead_score: [states], what the state may still lead to.
        start: the state before the first word.
        outlook: the most that one character can add, with what it promises.

    Raises:
        DecoderError: a phrase is empty or has characters outside the labels, or a boost is not a number.
    """

    def __init__(self, boosts: Mapping[str, float], labels: Sequence[str]):
        self.phrases = {self._checked(phrase, boost, labels): float(boost) for phrase, boost in boosts.items()}
        space = space_of(labels)
        column = {label: index for index, label in enumerate(labels)} | {" ": space}
        children: list[dict[int, int]] = [{}]
        own, reach = [0.0], [0.0]
        for phrase, value in self.phrases.items():
            node = 0
            spelled = f" {phrase} "
            for depth, character in enumerate(spelled):
                if column[character] not in children[node]:
                    children[node][column[character]] = len(children)
                    children.append({})
                    own.append(0.0)
                    reach.append(0.0)
                node = children[node][column[character]]
                share = max(value, 0.0) * depth / (len(spelled) - 1)
                reach[node] = max(reach[node], share if depth < len(spelled) - 1 else 0.0)
            own[node] = value
        self._link(children, np.array(own), np.array(reach), len(labels) + 1)
        self.start = int(self.follow[0, space])
        self.outlook = float(self.boost.max() + self.lookahead_score.max())

    @staticmethod
    def _checked(phrase: str, boost: float, labels: Sequence[str]) -> str:
        words = " ".join(phrase.split())
        if not words:
            raise DecoderError("A hot word is empty. Leave it out.")
        if not isinstance(boost, (int, float)) or not math.isfinite(boost):
            raise DecoderError(f"The boost of the hot word {words!r} must be a number, found {boost!r}.")
        if strange := sorted(set(words) - set(labels)):
            raise DecoderError(
                f"The hot word {words!r} has characters that the model cannot write: {' '.join(map(repr, strange))}. "
                f"It writes {''.join(labels)!r}; spell it with these."
            )
        return words

    def _link(
        self, children: list[dict[int, int]], boost: np.ndarray, lookahead_score: np.ndarray, columns: int
    ) -> None:
        """Fill in what happens where a phrase breaks: go on in the longest one that fits."""
        self.follow = np.zeros((len(children), columns), np.int32)
        fallback = [0] * len(children)
        waiting = [0]
        for node in waiting:
            row = self.follow[fallback[node]].copy() if node else self.follow[0]
            for column, child in children[node].items():
                fallback[child] = int(row[column]) if node else 0
                row[column] = child
                waiting.append(child)
            self.follow[node] = row
            if node:
                boost[node] += boost[fallback[node]]
                lookahead_score[node] = max(lookahead_score[node], lookahead_score[fallback[node]])
        self.boost, self.lookahead_score = boost, lookahead_score
