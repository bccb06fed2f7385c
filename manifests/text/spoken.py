"""What is said for a match of the rules of English numbers; the match itself where it is not certain."""

from __future__ import annotations

import datetime
import re
from fractions import Fraction

from manifests.text.figures import amount, digits, ordinal, plural, say, year

_MONEY = {"$": ("dollar", "cent"), "£": ("pound", "penny"), "€": ("euro", "cent")}
MAGNITUDES = {"k": "thousand", "m": "million", "mn": "million", "b": "billion", "bn": "billion", "t": "trillion",
               "tn": "trillion"}  # fmt: skip
_PARTS = {2, 3, 4, 6, 8, 16, 32, 64}  # of others 1/5 may be one out of five, 1/12 a day
_PARTS_OF = {5, 7, 9, 10, 12, 20, 100}  # where "of" follows
_VERSIONS = re.compile(r"(?:\bv|version|release|update|python|ios|android|firmware)\s?$", re.I)
_LONGEST_RANGE = 12  # characters of both ends
_TOLL_FREE = ("800", "900")
_MONTHS = "january february march april may june july august september october november december".split()


def telephone(match: re.Match[str]) -> str:
    """Figures one by one, but 800 and 900, which are called hundreds."""
    groups = re.findall(r"\d+", match[0])
    if len(groups) == 2 and all(len(group) > 2 and group.endswith("0") for group in groups):
        return match[0]  # from 100 to 1000?
    free = 1 if len(groups) > 1 and groups[0] == "1" else 0
    if groups[free] in _TOLL_FREE and len(groups) > 1:
        groups[free] = amount(groups[free])
    said = " ".join(group if not group.isdigit() else digits(group) for group in groups)
    return f"plus {said}" if match[0].startswith("+") else said


def date(match: re.Match[str]) -> str:
    """A date as ISO 8601 has it: the others may put the month first, or the day."""
    try:
        day = datetime.date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return match[0]
    return f"{_MONTHS[day.month - 1]} {ordinal(day.day)} {year(match[1])}" if day.year >= 1100 else match[0]


def _plural(count: int, unit: str) -> str:
    if count == 1:
        return unit
    return "pence" if unit == "penny" else unit + "s"


def _cash(symbol: str, whole: str, part: str, magnitude: str | None, single: bool = False) -> str:
    """An amount of money; `part` are the figures behind the point."""
    unit, small = _MONEY[symbol]
    spoken = amount(whole or "0")
    if magnitude or len(part) not in (0, 2):
        tail = f" point {digits(part)}" if part else ""
        named = f" {MAGNITUDES.get(magnitude.lower(), magnitude)}" if magnitude else ""
        return f"{spoken}{tail}{named} {unit if single else unit + 's'}"
    spoken = f"{spoken} {unit if spoken == 'one' or single else unit + 's'}"
    if not part or not int(part):
        return spoken
    change = f"{say(int(part))} {small if single else _plural(int(part), small)}"
    return change if spoken.startswith("zero ") else f"{spoken} and {change}"


def money(match: re.Match[str]) -> str:
    """Money as a price: five dollars and twenty cents, three million pounds, a five dollar bill."""
    symbol, whole, part, cents, magnitude = match.groups()
    single = bool(re.search(r"\b[Aa]n? $", match.string[max(0, match.start() - 4) : match.start()]))
    return _cash(symbol, whole, part or cents or "", magnitude, single)


def _halves(number: str) -> tuple[str, str]:
    """What stands before the point of a number, and behind it."""
    whole, _, part = number.partition(".")
    return whole, part


def span(match: re.Match[str]) -> str:
    """From the lower to the higher; others are scores, sums or codes."""
    money, low, percent, again, high, magnitude = match.groups()
    few, many = (one.replace(",", "") for one in (low, high))
    if any(len(one) > 1 and int(one[0]) == 0 and "." not in one for one in (few, many)) or again and again != money:
        return match[0]
    if len(few) == 4 and len(many) == 2 and few.isdigit() and not money and 1100 <= int(few) <= 2099:
        end = say(int(many))
        # 1911-12 may be a month of it.
        return f"{year(few)} to {end}" if int(many) > max(int(few) % 100, 12) else match[0]
    if len(few) + len(many) > _LONGEST_RANGE or not float(few) < float(many) <= 100 * max(float(few), 1):
        return match[0]  # a score, a sum or a code
    if not money:
        return match[0] if magnitude else f"{low}{percent or ''} to {high}"
    if not magnitude and "." in low + high:
        first, second = (_cash(money, *_halves(one), None) for one in (low, high))
        return f"{first} to {second}"
    wholes, parts = zip(_halves(low), _halves(high), strict=True)
    said = [amount(one) + (f" point {digits(part)}" if part else "") for one, part in zip(wholes, parts, strict=True)]
    named = f" {MAGNITUDES.get(magnitude.lower(), magnitude)}" if magnitude else ""
    return f"{said[0]} to {said[1]}{named} {_MONEY[money][0]}s"


def fraction(match: re.Match[str]) -> str:
    """One half, two and a half; not what may be a day, a rating or a time signature."""
    whole, over, under, of = match.groups()
    part = Fraction(int(over), int(under)) if int(under) else Fraction(0)
    certain = int(under) in _PARTS or of and int(under) in _PARTS_OF
    if not certain or not 0 < part < 1 or part.denominator != int(under) or "0" in (over[0], under[0]):
        return match[0]
    name = {2: "half", 4: "quarter"}.get(part.denominator) or ordinal(part.denominator)
    if part.numerator > 1:
        said = f"{say(part.numerator)} {plural(name)}"
    elif whole:
        said = f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
    else:
        said = f"one {name}"
    return f"{amount(whole)} and {said}" if whole else said


def version(match: re.Match[str]) -> str:
    """Parts that are numbers with points between them, where they are no date."""
    letter, parts = match[1], match[2].split(".")
    named = letter or _VERSIONS.search(match.string[max(0, match.start() - 12) : match.start()])
    if len(parts) == 2 and not named:
        return match[0]
    day_first = 1 <= int(parts[0]) <= 31 and 1 <= int(parts[1]) <= 31 and len(parts[-1]) in (2, 4)
    if len(parts) > 2 and day_first and not named:
        return match[0]  # 12.10.20 is a date
    spoken = [say(int(part)) if int(part[0]) or len(part) == 1 else digits(part) for part in parts]
    return f"{letter} {' point '.join(spoken)}".strip()


def clock(match: re.Match[str]) -> str:
    """A time of day, with what of am and pm is there."""
    hour, minute, half = int(match[1]), int(match[2]), match[3]
    tail = f" {half.strip()}" if half else ""
    if minute:
        return f"{say(hour)} {'oh ' if minute < 10 else ''}{say(minute)}{tail}"
    if half:
        return f"{say(hour)}{tail}"
    return f"{say(hour)} o'clock" if 1 <= hour <= 12 else f"{say(hour)} hundred"


def ratio(match: re.Match[str]) -> str:
    """Three to one; 3:16 may be a verse."""
    return f"{amount(match[1])} to {amount(match[2])}" if "1" in (match[1], match[2]) else match[0]


def decade(match: re.Match[str]) -> str:
    """The nineteen eighties, the eighties."""
    number = int(match[1])
    return plural(year(match[1])) if number % 10 == 0 and (number < 100 or 1100 <= number <= 2099) else match[0]


def code(match: re.Match[str]) -> str:
    """Letters with numbers of at most two figures: mp three, b two b."""
    pieces = re.findall(r"\d+|\D+", match[0])
    if pieces[-1] == "s" or any(len(piece) > 1 and piece[0] == "0" for piece in pieces):
        return match[0]
    return " ".join(say(int(piece)) if piece.isdigit() else piece for piece in pieces)
