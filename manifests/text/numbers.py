"""Figures in words, as English says them; in other languages whole numbers only.

Every rule takes what it is certain of and leaves the rest. Figures that are left have the transcript refused.
"""

from __future__ import annotations

import datetime
import re
from fractions import Fraction

from manifests.text import units
from manifests.text.figures import amount, digits, foreign, integer, ordinal, plural, say, year
from manifests.text.rules import NUMBERS, NotUnderstood, Rule, Step, refuse, rule

_MONEY = {"$": ("dollar", "cent"), "£": ("pound", "penny"), "€": ("euro", "cent")}
_MAGNITUDES = {"k": "thousand", "m": "million", "mn": "million", "b": "billion", "bn": "billion", "t": "trillion",
               "tn": "trillion"}  # fmt: skip
_VULGAR = {
    "½": "a half", "⅓": "a third", "⅔": "two thirds", "¼": "a quarter", "¾": "three quarters", "⅕": "a fifth",
    "⅖": "two fifths", "⅗": "three fifths", "⅘": "four fifths", "⅙": "a sixth", "⅚": "five sixths", "⅛": "an eighth",
    "⅜": "three eighths", "⅝": "five eighths", "⅞": "seven eighths",
}  # fmt: skip
_SAYINGS = {"24/7": "twenty four seven", "9/11": "nine eleven", "50/50": "fifty fifty", "20/20": "twenty twenty"}
_PARTS = {2, 3, 4, 6, 8, 16, 32, 64}  # of others 1/5 may be one out of five, 1/12 a day
_PARTS_OF = {5, 7, 9, 10, 12, 20, 100}  # where "of" follows
_VERSIONS = re.compile(r"(?:\bv|version|release|update|python|ios|android|firmware)\s?$", re.I)

LONGEST_RANGE = 12  # characters of both ends
_TOLL_FREE = ("800", "900")
_MONTHS = "january february march april may june july august september october november december".split()
_MEASURED = r"(?=\s?(?:tall|long|wide|high|deep|thick|away)\b|[.,;]?\s*$)"

# No open repetition: on 1,111,111,… it would take quadratic time.
_AMOUNT = r"(?:[1-9]\d{0,2}(?:,\d{3}){1,4}(?!\d)|\d+)"
_NUMBER = rf"{_AMOUNT}(?:\.\d+)?"
# What stands before a number and behind it, where it is all of the number.
_START = r"(?:(?<![^\s(\"'“”‘«¿¡])(?<!\w')|(?<=[^\W\d_]-)|(?<=--)|(?<=\.\.\.))"
_END = r"(?![\w$£€¥%°*^~=+#@&\\/|<>])(?![.,:'-][\d$£€])(?!--\d)(?!\.[^\W\d_])(?!'(?!s\b)[^\W_])"
_NUMERIC = re.compile("[\\d\u00bc-\u00be\u2150-\u218b\u2460-\u24ff]")


def _telephone(match: re.Match[str]) -> str:
    groups = re.findall(r"\d+", match[0])
    if len(groups) == 2 and all(len(group) > 2 and group.endswith("0") for group in groups):
        return match[0]  # from 100 to 1000?
    free = 1 if len(groups) > 1 and groups[0] == "1" else 0
    if groups[free] in _TOLL_FREE and len(groups) > 1:
        groups[free] = amount(groups[free])
    said = " ".join(group if not group.isdigit() else digits(group) for group in groups)
    return f"plus {said}" if match[0].startswith("+") else said


def _date(match: re.Match[str]) -> str:
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
        named = f" {_MAGNITUDES.get(magnitude.lower(), magnitude)}" if magnitude else ""
        return f"{spoken}{tail}{named} {unit if single else unit + 's'}"
    spoken = f"{spoken} {unit if spoken == 'one' or single else unit + 's'}"
    if not part or not int(part):
        return spoken
    change = f"{say(int(part))} {small if single else _plural(int(part), small)}"
    return change if spoken.startswith("zero ") else f"{spoken} and {change}"


def _money(match: re.Match[str]) -> str:
    symbol, whole, part, cents, magnitude = match.groups()
    single = bool(re.search(r"\b[Aa]n? $", match.string[max(0, match.start() - 4) : match.start()]))
    return _cash(symbol, whole, part or cents or "", magnitude, single)


def _range(match: re.Match[str]) -> str:
    money, low, percent, again, high, magnitude = match.groups()
    few, many = (one.replace(",", "") for one in (low, high))
    if any(len(one) > 1 and int(one[0]) == 0 and "." not in one for one in (few, many)) or again and again != money:
        return match[0]
    if len(few) == 4 and len(many) == 2 and few.isdigit() and not money and 1100 <= int(few) <= 2099:
        end = say(int(many))
        # 1911-12 may be a month of it.
        return f"{year(few)} to {end}" if int(many) > max(int(few) % 100, 12) else match[0]
    if len(few) + len(many) > LONGEST_RANGE or not float(few) < float(many) <= 100 * max(float(few), 1):
        return match[0]  # a score, a sum or a code
    if not money:
        return match[0] if magnitude else f"{low}{percent or ''} to {high}"
    if not magnitude and "." in low + high:
        first, second = (_cash(money, *(one.split(".") if "." in one else (one, "")), None) for one in (low, high))
        return f"{first} to {second}"
    said = [amount(one.split(".")[0]) + (f" point {digits(one.split('.')[1])}" if "." in one else "") for one in (low, high)]
    named = f" {_MAGNITUDES.get(magnitude.lower(), magnitude)}" if magnitude else ""
    return f"{said[0]} to {said[1]}{named} {_MONEY[money][0]}s"


def _fraction(match: re.Match[str]) -> str:
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


def _version(match: re.Match[str]) -> str:
    letter, parts = match[1], match[2].split(".")
    named = letter or _VERSIONS.search(match.string[max(0, match.start() - 12) : match.start()])
    if len(parts) == 2 and not named:
        return match[0]
    day_first = 1 <= int(parts[0]) <= 31 and 1 <= int(parts[1]) <= 31 and len(parts[-1]) in (2, 4)
    if len(parts) > 2 and day_first and not named:
        return match[0]  # 12.10.20 is a date
    spoken = [say(int(part)) if int(part[0]) or len(part) == 1 else digits(part) for part in parts]
    return f"{letter} {' point '.join(spoken)}".strip()


def _time(match: re.Match[str]) -> str:
    hour, minute, half = int(match[1]), int(match[2]), match[3]
    tail = f" {half.strip()}" if half else ""
    if minute:
        return f"{say(hour)} {'oh ' if minute < 10 else ''}{say(minute)}{tail}"
    if half:
        return f"{say(hour)}{tail}"
    return f"{say(hour)} o'clock" if 1 <= hour <= 12 else f"{say(hour)} hundred"


def _ratio(match: re.Match[str]) -> str:
    return f"{amount(match[1])} to {amount(match[2])}" if "1" in (match[1], match[2]) else match[0]


def _decade(match: re.Match[str]) -> str:
    number = int(match[1])
    return plural(year(match[1])) if number % 10 == 0 and (number < 100 or 1100 <= number <= 2099) else match[0]


def _code(match: re.Match[str]) -> str:
    pieces = re.findall(r"\d+|\D+", match[0])
    if pieces[-1] == "s" or any(len(piece) > 1 and piece[0] == "0" for piece in pieces):
        return match[0]
    return " ".join(say(int(piece)) if piece.isdigit() else piece for piece in pieces)


def _quotes(text: str) -> str:
    """Refuse marks behind figures that may be feet and inches: where no quotation was opened, they quote nothing."""
    single = re.search(r"\d'(?![\w'])", text)
    if single and not re.search(r"(?<!\w)'", text):
        raise NotUnderstood(NUMBERS, single[0])
    double = re.search(r"\d(?:\"|'')", text)
    if double and (double[0].endswith("''") or text.count('"') == 1):
        raise NotUnderstood(NUMBERS, double[0])
    return text


def _left(text: str) -> str:
    """Refuse what no rule took."""
    if found := _NUMERIC.search(text):
        start = max(text.rfind(" ", 0, found.start()) + 1, found.start() - 40)
        end = text.find(" ", found.end())
        raise NotUnderstood(NUMBERS, text[start : end if end > 0 else len(text)][:80])
    return text


_CLOCK = r"\d{1,2}(?::[0-5]\d)?"
ENGLISH = [
    # Thousands parted by spaces; a sum, or a range?
    refuse(NUMBERS, "figures", r"\d{1,9} 0\d{2,9}|\d{1,9}(?:\s?[ap]m| percent)?\s{1,3}-{1,3}\s{1,3}[$£€]?\d{1,9}"),
    rule("sayings", rf"{_START}(\d\d?/\d\d?){_END}", lambda match: _SAYINGS.get(match[1], match[0])),
    rule(
        "telephone numbers",
        rf"{_START}(?:(?:1-)?(?:\(\d{{3}}\)\s?|\d{{3}}[ -])?\d{{3}}-\d{{4}}|1-\d{{3}}-\d{{3}}|\d{{3}} \d{{3}} \d{{4}}"
        rf"|\d{{3}}\.\d{{3}}\.\d{{4}}|\+\d{{1,3}}(?:[ -]\(?\d{{1,4}}\)?){{2,6}}){_END}",
        _telephone,
    ),
    rule(
        "telephone numbers", rf"(?<=call |dial |ring )(\d{{3}}){_END}",
        lambda match: digits(match[1]), re.I,
    ),
    rule("dates", rf"{_START}(\d{{4}})-(\d\d)-(\d\d){_END}", _date),
    rule(
        "feet and inches", rf"{_START}(\d{{1,2}})'(?:\s(1[01]|\d)(?:\"|''|”)|(1[01]|\d)(?:\"|''|”)?)(?!['\"])" + _END,
        lambda match: f"{say(int(match[1]))} foot {say(int(match[2] or match[3]))}",
    ),
    rule("feet and inches", rf"{_START}(\d{{1,3}})'{_MEASURED}", lambda match: f"{match[1]} {'foot' if match[1] == '1' else 'feet'}"),
    rule("negative numbers", r"(?<![\w-])-(?=[$£€]?\.?\d)", lambda match: "minus "),
    *units.RULES,
    rule("times", rf"{_START}({_CLOCK}(?:\s?[ap]m)?)-({_CLOCK}\s?[ap]m|\d{{1,2}}:[0-5]\d){_END}",
         lambda match: f"{match[1]} to {match[2]}", re.I),
    rule(
        "ranges",
        rf"{_START}([$£€]?)({_NUMBER})( percent)?-([$£€]?)({_NUMBER})"
        rf"(?:\s?(thousand|million|billion|trillion|bn|mn|tn|[kmbt])(?!\w))?{_END}",
        _range, re.I,
    ),
    rule("money", rf"{_START}([$£€])\s?(?:({_AMOUNT})(?:\.(\d+))?|\.(\d+))"
         rf"(?:\s?(thousand|million|billion|trillion|bn|mn|tn|[kmbt])(?!\w))?{_END}", _money, re.I),
    rule("magnitudes", r"(?<=\d)\s?(bn|tn)(?!\w)", lambda match: f" {_MAGNITUDES[match[1]]}"),
    rule("times", rf"{_START}([01]?\d|2[0-3]):([0-5]\d)(\s?(?:[ap]m|[ap]\.m\.)(?!\w))?{_END}", _time, re.I),
    rule("times", rf"{_START}(1[0-2]|[1-9])(?=\s?(?:[ap]m|[ap]\.m\.)(?!\w))", lambda match: say(int(match[1])), re.I),
    rule("ratios", rf"{_START}(\d{{1,3}}):(\d{{1,4}}){_END}", _ratio),
    rule("decades", rf"{_START}'?(\d{{4}}|[2-9]0)'?s(?!\w)", _decade),
    rule("ordinals", rf"{_START}([1-9]\d{{0,2}}(?:,\d{{3}}){{1,4}}|\d{{1,15}})(?:st|nd|rd|th){_END}",
         lambda match: ordinal(int(match[1].replace(",", ""))), re.I),
    rule("fractions", rf"{_START}(?:(\d{{1,3}})[ -])?(\d{{1,2}})/(\d{{1,3}}){_END}(?=( of\b)?)", _fraction),
    rule("fractions", rf"(?:(?<=\d)\s?)?([{''.join(_VULGAR)}])(?!\d)",
         lambda match: ("and " if match.string[match.start() - 1 : match.start()].isdigit() else "") + _VULGAR[match[1]]),
    rule("versions", rf"{_START}(v?)(\d{{1,4}}(?:\.\d{{1,4}}){{1,2}}){_END}", _version),
    rule("decimals", rf"{_START}({_AMOUNT})?\.(\d+){_END}",
         lambda match: f"{amount(match[1] or '0')} point {digits(match[2])}"),
    rule("dimensions", rf"{_START}(\d\d?)x(\d\d?){_END}", lambda match: f"{integer(match[1])} by {integer(match[2])}"),
    rule("letters with figures", rf"{_START}[A-Za-z]{{1,12}}\d\d?(?:[A-Za-z]{{1,2}}\d\d?){{0,3}}[A-Za-z]{{0,2}}{_END}",
         _code),
    rule("letters with figures", rf"{_START}(\d{{1,3}})([DKG]){_END}", lambda match: f"{amount(match[1])} {match[2]}"),
    Rule("figures", _quotes),
    rule("whole numbers", rf"{_START}({_AMOUNT}){_END}", lambda match: match[0] if match[1] == "911" else integer(match[1])),
]  # fmt: skip


def _foreign(language: str) -> list[Rule]:
    def said(match: re.Match[str]) -> str:
        return foreign(match[0], language) or match[0]

    return [
        # A unit that is not written out, and thousands parted by spaces.
        refuse(NUMBERS, "units", rf"{units.SPACED.pattern}|\d\s[mglh](?![\w'])|\d \d{{3}}(?!\d)"),
        # Behind a number a point ends the text or makes it an ordinal.
        rule("whole numbers", rf"{_START}\d+{_END}(?!\.\s+\S)", said),
    ]


def step(language: str) -> Step:
    """The rules of a language, and the refusal of figures that are left."""
    rules = ENGLISH if language == "en" else _foreign(language)
    return Step("numbers", [*rules, Rule("figures", _left)], _NUMERIC)


def numbers(text: str, language: str = "en") -> str:
    """Figures in words; what is not understood stays as it is.

    >>> numbers("In 1984 it cost $5.20, on the 21st at 10:30.")
    'In nineteen eighty four it cost five dollars and twenty cents, on the twenty first at ten thirty.'
    >>> numbers("3/4/2021")
    '3/4/2021'
    """
    if _NUMERIC.search(text):
        for one in step(language).rules[:-1]:
            try:
                text = one.apply(text)
            except NotUnderstood:
                return text
    return text
