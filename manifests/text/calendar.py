"""Days and months as they are shortened, and whether four figures are a year or an amount."""

from __future__ import annotations

import re

from manifests.text import units
from manifests.text.rules import replace

_DAYS = {
    "Mon": "monday", "Tue": "tuesday", "Tues": "tuesday", "Wed": "wednesday", "Weds": "wednesday", "Thu": "thursday",
    "Thur": "thursday", "Thurs": "thursday", "Fri": "friday", "Sat": "saturday", "Sun": "sunday",
}  # fmt: skip
_MONTHS = {
    "Jan": "january", "Feb": "february", "Mar": "march", "Apr": "april", "Jun": "june", "Jul": "july", "Aug": "august",
    "Sep": "september", "Sept": "september", "Oct": "october", "Nov": "november", "Dec": "december",
}  # fmt: skip
_DAY = r"\s+\d{1,2}(?:st|nd|rd|th)?\b"
# A capital and then a small letter: a point that ends no sentence.
_GOES_ON = r"(?=,|\s+[a-z])"
SHORT_MONTH = re.compile(
    rf"\b(?:(Feb|Apr|Aug|Sept?|Oct|Nov|Dec)(?:\.|\b(?={_DAY}))|(Jan|Mar|Jun|Jul)(?:\.(?={_DAY}|\s+\d{{4}}\b)"
    rf"|\.{_GOES_ON}|(?=\s+\d{{1,2}}(?:st|nd|rd|th|,?\s+\d{{4}})\b)))"
    r"|(?<=\d )(Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\b(?:\.(?=\s*\w))?"
)
_NAMES = "|".join(sorted(_DAYS, key=len, reverse=True))
_WORDS = "Wed|Sat|Sun"  # words too, if no point and what follows tells
_OTHERS = "|".join(name for name in sorted(_DAYS, key=len, reverse=True) if name not in _WORDS.split("|"))
_BESIDE = rf"(?=,?\s+(?:{_DAY[3:]}\s+)?(?:{'|'.join(_MONTHS)}|May)|,?\s+\d{{1,2}}(?::\d\d)?\s?[ap]\.?m\b)"
SHORT_DAY = re.compile(
    rf"\b(?:({_NAMES})\.?(\s?-\s?|,?\s+(?:and|or|to|through|thru|until|&)\s+|,\s+)({_NAMES})\b\.?"
    rf"|({_OTHERS})\.|(Tues|Thurs)\b|({_OTHERS})\b(?=,?{_DAY})|({_WORDS})(?:\.{_GOES_ON}|\.?{_BESIDE})"
    rf"|([Oo]n|next|last|this|every|until) ({_NAMES})\b\.?)"
)
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def _day(match: re.Match[str]) -> str:
    first, between, second, *others, before, last = match.groups()
    if before:
        return f"{before} {_DAYS[last]}"
    if first:
        return f"{_DAYS[first]}{' to ' if '-' in between else between}{_DAYS[second]}"
    return _DAYS[next(filter(None, others))]


def days(text: str) -> str:
    """Whole names for shortened days of the week."""
    return replace(SHORT_DAY, _day, text)


def months(text: str) -> str:
    """Whole names for shortened months."""
    return replace(SHORT_MONTH, lambda match: _MONTHS[match[1] or match[2] or match[3]], text)


# Behind four figures these make them an amount, not a year …
_MEASURED = re.compile(rf"[\s-]{{1,3}}(?:{units.LONG}|dollars?|euros?|pounds?|cents|percent|degrees)\b")
_COUNTED = re.compile(
    r"\s(?:(?:more|other|young|old|new|different|local|of) )?(?:people|persons|men|women|children|students|pupils"
    r"|members|workers|employees|soldiers|troops|passengers|patients|users|customers|visitors|voters|votes|words"
    r"|copies|pages|items|points|steps|times|hours|days|weeks|months|years)\b", re.I,
)  # fmt: skip
# … and these may: another plural, or a verb.
_PLURAL = re.compile(r" (?!(?:is|was|has|as|its|this|his|us|does|always|perhaps|thus|plus|yes)\b)[a-z]{2,}[^su\W]s\b")
_IN_TIME = re.compile(r"\b(in|since|until|till|before|after|during|by) $", re.I)
_DATED = re.compile(r"(?:\b(?:the|of|early|late|mid|spring|summer|autumn|fall|winter|year|to|from|and|[a-z]+ber|january"
                    r"|february|march|april|may|june|july|august)|[,\d]|(?:st|nd|rd|th)) $", re.I)  # fmt: skip
_FIRST_COMMON_YEAR = 1800
_LOOK_BEHIND = 16


def amount_or_year(match: re.Match[str]) -> str | None:
    """What the four figures of a match are: `amount`, `year`, or None where they may be either.

    >>> [amount_or_year(re.search(r"\\d+", text)) for text in ("1234 people", "in 1984 people", "1234 houses")]
    ['amount', 'year', None]
    """
    if int(match[0]) % 100 == 0:
        return "year"  # fifteen hundred people
    before = match.string[max(0, match.start() - _LOOK_BEHIND) : match.start()]
    in_time = _IN_TIME.search(before)
    if _MEASURED.match(match.string, match.end()):
        return "year" if before[-3:].lower() == "in " else "amount"
    counted = _COUNTED.match(match.string, match.end())
    if counted and not in_time:
        return "amount"
    if counted or _PLURAL.match(match.string, match.end()):
        common = int(match[0]) >= _FIRST_COMMON_YEAR
        if in_time:
            return "year" if common and in_time[1].lower() != "by" else None
        return "year" if common and _DATED.search(before) else None
    return "year"
