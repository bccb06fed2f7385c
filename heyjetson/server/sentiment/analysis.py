"""Sentiment of a transcript, sentence by sentence, by a lexicon of English words (VADER: Hutto and Gilbert, 2014).

Transcripts of a speech model have neither punctuation nor capitals, so VADER's rules on both find nothing there, and
sentences are cut where the speaker pauses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from heyjetson.formats import CAPTION_GAP
from heyjetson.server.sentiment.timed_word import TimedWord
from heyjetson.server.sentiment.timing import timing

SENTENCE_WORDS = 25  # of a sentence at most
# VADER's time grows with the square of a sentence's words, and each emoji is several: this is what it gets of a word.
WORD_CHARACTERS = 40  # the longest word of its lexicon has 19
WORD_EMOJIS = 1
SENTENCE_SECONDS = 15.0
NEUTRAL = 0.05  # a compound score between -0.05 and 0.05 is neutral, as VADER's authors have it
NEIGHBOURS = 2  # sentences on each side that the trend is averaged over
ENDS = (".", "!", "?", "…")
SCORES = ("compound", "pos", "neg", "neu")


@cache
def analyser() -> Any:
    """VADER, with its lexicon; loaded once."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


def label(compound: float) -> str:
    """`positive`, `negative` or `neutral`.

    >>> label(0.3)
    'positive'
    """
    return "neutral" if abs(compound) < NEUTRAL else "positive" if compound > 0 else "negative"


def sentences(words: Iterable[TimedWord]) -> list[list[TimedWord]]:
    """Cut what one speaker said: after the end of a sentence where it is written, at pauses, and where it gets long."""
    given: list[list[TimedWord]] = []
    for word in words:
        last = given[-1][-1] if given else None
        if last is None or last.text.endswith(ENDS) or _gap(last, word) >= CAPTION_GAP:
            given.append([])
        given[-1].append(word)
    return [part for sentence in given for part in _shortened(sentence)]


def _gap(before: TimedWord, after: TimedWord) -> float:
    return 0.0 if before.end is None or after.start is None else after.start - before.end


def _shortened(words: list[TimedWord]) -> list[list[TimedWord]]:
    """Halves of what is too long, and halves of these, cut at the longest pause near the middle."""
    first, last = words[0], words[-1]
    seconds = 0.0 if first.start is None or last.end is None else last.end - first.start
    count = len(words)
    if count < 2 or (count <= SENTENCE_WORDS and seconds <= SENTENCE_SECONDS):
        return [words]
    places = range(max(count // 4, 1), max(count * 3 // 4, 1) + 1)
    cut = max(places, key=lambda place: (_gap(words[place - 1], words[place]), -abs(place - count / 2)))
    return _shortened(words[:cut]) + _shortened(words[cut:])


def _scored(words: Sequence[TimedWord]) -> dict[str, Any]:
    """A sentence with its scores, and the words of the lexicon that it owes them to."""
    vader = analyser()
    text = " ".join(word.text for word in words)
    given = [_shown(word.text) for word in words]
    scores = vader.polarity_scores(" ".join(given))
    plain = [word.strip('.,;:!?…"()').lower() for word in given]
    return {
        "text": text,
        "start": words[0].start,
        "end": words[-1].end,
        "channel": words[0].channel,
        **{name: round(scores[name], 4) for name in SCORES},
        "label": label(scores["compound"]),
        "weighty": [{"word": word, "valence": vader.lexicon[word]} for word in plain if word in vader.lexicon],
        "words": len(words),
    }


def _shown(word: str) -> str:
    """What VADER is given of a word: its first characters, and of the emojis among them the first few."""
    emojis = analyser().emojis
    kept, left = [], WORD_EMOJIS
    for character in word[:WORD_CHARACTERS]:
        if character in emojis:
            left -= 1
            if left < 0:
                continue
        kept.append(character)
    return "".join(kept)


def _mean(parts: Sequence[dict[str, Any]], name: str) -> float:
    """Mean over sentences, each counted by its words."""
    total = sum(part["words"] for part in parts)
    return round(sum(part[name] * part["words"] for part in parts) / total, 4) if total else 0.0


def words_of(
    text: str, start: float | None = None, end: float | None = None, channel: int | None = None
) -> list[TimedWord]:
    """The words between the spaces of a text, all at the same time."""
    return [TimedWord(word, start, end, channel) for word in text.split()]


def analyse(words: Iterable[TimedWord], seconds: float | None = None) -> dict[str, Any]:
    """Sentiment of what was said.

    Args:
        words: of all channels, without spaces within; where they have times, in any order.
        seconds: that the recording lasts; to the end of the last word where None.

    Returns:
        overall: mean of the sentences' scores (VADER's own of a long text is always near -1 or 1), label, how many
            sentences have each label.
        sentences: in order: text, start, end, channel, compound, pos, neg, neu, label, number of words, and `weighty`:
            the lexicon's words in it with their valence (-4 to 4), before negations and what else VADER looks at.
        trend: at the middle of each sentence, the mean of it and its neighbours.
        timing: see `heyjetson.server.sentiment.timing`; None where the words have no times.
    """
    given = list(words)
    timed = bool(given) and all(word.start is not None and word.end is not None for word in given)
    if timed:
        given.sort(key=lambda word: word.start or 0.0)
    channels = sorted({word.channel for word in given}, key=lambda channel: -1 if channel is None else channel)
    cut = [part for one in channels for part in sentences(word for word in given if word.channel == one)]
    scored = [_scored(part) for part in cut]
    if timed:
        scored.sort(key=lambda part: part["start"])
    compound = _mean(scored, "compound")
    counts = {name: sum(part["label"] == name for part in scored) for name in ("positive", "neutral", "negative")}
    return {
        "overall": {name: _mean(scored, name) for name in SCORES} | {"label": label(compound), "sentences": counts},
        "sentences": scored,
        "trend": trend(scored),
        "timing": timing(given, scored, seconds) if timed else None,
    }


def trend(scored: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The moving mean over sentences: {"sentence", "time" (None without times), "compound"} each."""
    points = []
    for index, part in enumerate(scored):
        near = scored[max(index - NEIGHBOURS, 0) : index + NEIGHBOURS + 1]
        time = None if part["start"] is None else round((part["start"] + part["end"]) / 2, 3)
        points.append({"sentence": index, "time": time, "compound": _mean(near, "compound")})
    return points
