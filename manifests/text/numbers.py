"""Figures in words, as English says them; in other languages whole numbers only.

Every rule takes what it is certain of and leaves the rest. Figures that are left have the transcript refused.
"""

from __future__ import annotations

import re

from manifests.text import roman, spoken, units
from manifests.text.calendar import amount_or_year
from manifests.text.figures import amount, digits, foreign, integer, ordinal, say
from manifests.text.rules import NUMBERS, NotUnderstoodError, Rule, Step, refuse, rule

_VULGAR = {
    "½": "a half", "⅓": "a third", "⅔": "two thirds", "¼": "a quarter", "¾": "three quarters", "⅕": "a fifth",
    "⅖": "two fifths", "⅗": "three fifths", "⅘": "four fifths", "⅙": "a sixth", "⅚": "five sixths", "⅛": "an eighth",
    "⅜": "three eighths", "⅝": "five eighths", "⅞": "seven eighths",
}  # fmt: skip
_SAYINGS = {"24/7": "twenty four seven", "9/11": "nine eleven", "50/50": "fifty fifty", "20/20": "twenty twenty"}
_MEASURED = r"(?=\s?(?:tall|long|wide|high|deep|thick|away)\b|[.,;]?\s*$)"

# No open repetition: on 1,111,111,… it would take quadratic time.
_AMOUNT = r"(?:[1-9]\d{0,2}(?:,\d{3}){1,4}(?!\d)|\d+)"
_NUMBER = rf"{_AMOUNT}(?:\.\d+)?"
# What stands before a number and behind it, where it is all of the number.
_BEFORE = r"(?:(?<![^\s(\"'“”‘«¿¡])(?<!\w')|(?<=[^\W\d_]-)|(?<=--)|(?<=\.\.\.))"
_START = rf"(?=[\d.'$£€(+v]){_BEFORE}"  # fails fast where no number begins
_END = r"(?![\w$£€¥%°*^~=+#@&\\/|<>])(?![.,:'-][\d$£€])(?!--\d)(?!\.[^\W\d_])(?!'(?!s\b)[^\W_])"
_NUMERIC = re.compile("[\\d\u00bc-\u00be\u2150-\u218b\u2460-\u24ff]")
_TRIGGER = re.compile(rf"{_NUMERIC.pattern}|{roman.PATTERN.pattern}")


def _quotes(text: str) -> str:
    """Refuse marks behind figures that may be feet and inches: where no quotation was opened, they quote nothing."""
    if "'" in text:
        single = re.search(r"\d'(?![\w'])", text)
        if single and not re.search(r"(?<!\w)'", text):
            raise NotUnderstoodError(NUMBERS, single[0])
    double = re.search(r"[\d½⅓⅔¼¾⅛⅜⅝⅞](?:\"|'')", text)
    if double and (double[0].endswith("''") or text.count('"') == 1):
        raise NotUnderstoodError(NUMBERS, double[0])
    return text


def _whole(match: re.Match[str]) -> str:
    """A whole number: 1984, but one thousand nine hundred and eighty four miles."""
    figures = match[1]
    if figures == "911":
        return match[0]  # nine one one, or an amount?
    if len(figures) == 4 and figures[0] != "0":
        kind = amount_or_year(match)
        return match[0] if kind is None else amount(figures) if kind == "amount" else integer(figures)
    return integer(figures)


def _left(text: str) -> str:
    """Refuse what no rule took."""
    if found := _NUMERIC.search(text):
        start = max(text.rfind(" ", 0, found.start()) + 1, found.start() - 40)
        end = text.find(" ", found.end())
        raise NotUnderstoodError(NUMBERS, text[start : end if end > 0 else len(text)][:80])
    return text


_CLOCK = r"\d{1,2}(?::[0-5]\d)?"
_HALVES = r"(?:[ap]m|[ap]\.m\.)(?!\w)"
_MAGNITUDE = r"(?:\s?(thousand|million|billion|trillion|bn|mn|tn|[kmbt])(?!\w))?"
ENGLISH = [
    rule("sayings", rf"{_START}(\d\d?/\d\d?){_END}", lambda match: _SAYINGS.get(match[1], match[0]), needs="/"),
    rule(
        "telephone numbers",
        rf"{_START}(?:(?:1-)?(?:\(\d{{3}}\)\s?|\d{{3}}[ -])?\d{{3}}-\d{{4}}|1-\d{{3}}-\d{{3}}|\d{{3}} \d{{3}} \d{{4}}"
        rf"|\d{{3}}\.\d{{3}}\.\d{{4}}|\+\d{{1,3}}(?:[ -]\(?\d{{1,4}}\)?){{2,6}}){_END}",
        spoken.telephone,
        needs=r"\d[- .]\d{3}",
    ),
    rule(
        "telephone numbers", rf"(?<=call |dial |ring )(\d{{3}}){_END}", lambda match: digits(match[1]), re.I,
        needs=r"[lgLG] \d{3}",
    ),
    # Thousands parted by spaces, or two numbers? A telephone number? A sum, or a range?
    refuse(NUMBERS, "figures", r"\d{1,9} 0\d{2,9}"
           r"|(?<![\w.,:/-])(?:\d{1,3}(?: \d{3})+(?!\d)|0\d{2,9} \d)"
           r"|\d{1,9}(?:\s?[ap]\.?m\.?| percent)?\s{1,3}-{1,3}\s{1,3}[$£€]?\d{1,9}"
           r"|\d{1,9}\s?\*\s?\d"),
    rule("dates", rf"{_START}(\d{{4}})-(\d\d)-(\d\d){_END}", spoken.date, needs=r"\d-\d"),
    rule(
        "feet and inches",
        rf"{_START}(\d{{1,2}})'(?:\s(1[01]|\d)(?:\"|''|”)|(1[01]|\d)(?:\"|''|”)?)(?!['\"]){_END}",
        lambda match: f"{say(int(match[1]))} foot {say(int(match[2] or match[3]))}",
        needs=r"\d'",
    ),
    rule(
        "feet and inches", rf"{_START}(\d{{1,3}})'{_MEASURED}",
        lambda match: f"{match[1]} {'foot' if match[1] == '1' else 'feet'}", needs=r"\d'",
    ),
    Rule("figures", _quotes),
    rule("negative numbers", r"(?<![\w-])-(?=[$£€]?\.?\d)", lambda match: "minus ", needs="-"),
    *units.RULES,
    rule(
        "times", rf"{_START}({_CLOCK}(?:\s?[ap]m)?)-({_CLOCK}\s?[ap]m|\d{{1,2}}:[0-5]\d){_END}",
        lambda match: f"{match[1]} to {match[2]}", re.I, needs="-",
    ),
    rule(
        "ranges", rf"{_START}([$£€]?)({_NUMBER})( percent)?-([$£€]?)({_NUMBER}){_MAGNITUDE}{_END}", spoken.span, re.I,
        needs=r"[\dt]-",
    ),
    rule(
        "money", rf"{_START}([$£€])\s?(?:({_AMOUNT})(?:\.(\d+))?|\.(\d+)){_MAGNITUDE}{_END}", spoken.money, re.I,
        needs="[$£€]",
    ),
    rule(
        "magnitudes", r"(?<=\d)\s?(bn|tn)(?!\w)", lambda match: f" {spoken.MAGNITUDES[match[1]]}", needs=r"\d\s?[bt]n"
    ),
    rule(
        "times", rf"{_START}(1[0-2]|[1-9])\.([0-5]\d)(?=\s?{_HALVES})", lambda match: f"{match[1]}:{match[2]}", re.I,
        needs=r"\d\.\d",
    ),
    rule("times", rf"{_START}([01]?\d|2[0-3]):([0-5]\d)(\s?{_HALVES})?{_END}", spoken.clock, re.I, needs=":"),
    rule(
        "times", rf"{_START}(1[0-2]|[1-9])(?=\s?{_HALVES})", lambda match: say(int(match[1])), re.I,
        needs=r"\d\s?[aApP]\.?[mM]",
    ),
    rule("ratios", rf"{_START}(\d{{1,3}}):(\d{{1,4}}){_END}", spoken.ratio, needs=":"),
    rule("decades", rf"{_START}'?(\d{{4}}|[2-9]0)'?s(?!\w)", spoken.decade, needs="0'?s"),
    rule(
        "ordinals", rf"{_START}([1-9]\d{{0,2}}(?:,\d{{3}}){{1,4}}|\d{{1,15}})(?:st|nd|rd|th){_END}",
        lambda match: ordinal(int(match[1].replace(",", ""))), re.I, needs=r"\d[snrtSNRT]",
    ),
    rule(
        "fractions", rf"{_START}(?:(\d{{1,3}})[ -])?(\d{{1,2}})/(\d{{1,3}}){_END}(?=( of\b)?)",
        spoken.fraction, needs="/",
    ),
    rule(
        "fractions", rf"(?:(?<=\d)\s?)?([{''.join(_VULGAR)}])(?!\d)",
        lambda match: ("and " if match.string[match.start() - 1 : match.start()].isdigit() else "") + _VULGAR[match[1]],
        needs=f"[{''.join(_VULGAR)}]",
    ),
    rule("versions", rf"{_START}(v?)(\d{{1,4}}(?:\.\d{{1,4}}){{1,2}}){_END}", spoken.version, needs=r"\.\d"),
    rule(
        "decimals", rf"{_START}({_AMOUNT})?\.(\d+){_END}",
        lambda match: f"{amount(match[1] or '0')} point {digits(match[2])}", needs=r"\.\d",
    ),
    rule(
        "dimensions", rf"{_START}(\d\d?)x(\d\d?){_END}",
        lambda match: f"{integer(match[1])} by {integer(match[2])}", needs=r"\dx\d",
    ),
    rule(
        "letters with figures",
        rf"{_BEFORE}[A-Za-z]{{1,12}}\d\d?(?:[A-Za-z]{{1,2}}\d\d?){{0,3}}[A-Za-z]{{0,2}}{_END}",
        spoken.code,
        needs=r"[A-Za-z]\d",
    ),
    rule(
        "letters with figures", rf"{_START}(\d{{1,3}})([DKG]){_END}", lambda match: f"{amount(match[1])} {match[2]}",
        needs=r"\d[DKG]",
    ),
    rule("whole numbers", rf"{_START}({_AMOUNT}){_END}", _whole),
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
    rules = [*ENGLISH, *roman.ENGLISH] if language == "en" else _foreign(language)
    return Step("numbers", [*rules, roman.REFUSED, Rule("figures", _left)], _TRIGGER)


def numbers(text: str, language: str = "en") -> str:
    """Figures in words; what is not understood stays as it is.

    >>> numbers("In 1984 it cost $5.20, on the 21st at 10:30.")
    'In nineteen eighty four it cost five dollars and twenty cents, on the twenty first at ten thirty.'
    >>> numbers("3/4/2021")
    '3/4/2021'
    """
    if _TRIGGER.search(text):
        for one in step(language).rules[:-1]:
            try:
                text = one.apply(text)
            except NotUnderstoodError:
                return text
    return text
