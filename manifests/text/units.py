"""Units of measure behind a number, in English words."""

from __future__ import annotations

import re

from manifests.text.rules import NUMBERS, Rule, refuse, rule

NUMBER_WORDS = (
    r"(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen"
    r"|(?:twen|thir|for|fif|six|seven|eigh|nine)ty|hundred|thousand|million|few|several|many)"
)

_PLAIN = {  # the plural by an s
    "km": "kilometer", "cm": "centimeter", "mm": "millimeter", "nm": "nanometer", "mi": "mile", "yd": "yard",
    "yds": "yard", "kg": "kilogram", "kgs": "kilogram", "mg": "milligram", "lb": "pound", "lbs": "pound",
    "oz": "ounce", "ml": "milliliter", "mL": "milliliter", "cl": "centiliter", "dl": "deciliter", "ms": "millisecond",
    "sec": "second", "secs": "second", "min": "minute", "mins": "minute", "hr": "hour", "hrs": "hour",
    "yr": "year", "yrs": "year", "wk": "week", "wks": "week", "mos": "month", "gal": "gallon", "qt": "quart",
    "kB": "kilobyte", "KB": "kilobyte", "MB": "megabyte", "GB": "gigabyte", "TB": "terabyte", "kb": "kilobit",
    "Mb": "megabit", "Gb": "gigabit", "kW": "kilowatt", "MW": "megawatt", "GW": "gigawatt",
    "kWh": "kilowatt hour", "mAh": "milliamp hour",
    "dB": "decibel", "px": "pixel", "kcal": "kilocalorie", "kJ": "kilojoule", "kPa": "kilopascal", "mV": "millivolt",
    "kV": "kilovolt", "mW": "milliwatt", "tsp": "teaspoon", "tbsp": "tablespoon",
}  # fmt: skip
_OTHER = {
    "ft": ("foot", "feet"), "Hz": ("hertz", "hertz"), "kHz": ("kilohertz", "kilohertz"), "MHz": ("megahertz",) * 2,
    "GHz": ("gigahertz",) * 2, "mph": ("mile per hour", "miles per hour"),
    "fps": ("frame per second", "frames per second"),
    "kph": ("kilometer per hour", "kilometers per hour"), "kmh": ("kilometer per hour", "kilometers per hour"),
    "km/h": ("kilometer per hour", "kilometers per hour"), "m/s": ("meter per second", "meters per second"),
    "MB/s": ("megabyte per second", "megabytes per second"), "GB/s": ("gigabyte per second", "gigabytes per second"),
    "kbps": ("kilobit per second", "kilobits per second"), "Mbps": ("megabit per second", "megabits per second"),
    "Gbps": ("gigabit per second", "gigabits per second"), "sq ft": ("square foot", "square feet"),
    "sq. ft": ("square foot", "square feet"), "cu ft": ("cubic foot", "cubic feet"),
    "cu. ft": ("cubic foot", "cubic feet"), "sq mi": ("square mile", "square miles"),
    "sq. mi": ("square mile", "square miles"), "doz": ("dozen", "dozen"), "pct": ("percent", "percent"),
}  # fmt: skip
_GLUED = {  # with a space they may be letters
    "l": ("liter", "liters"), "L": ("liter", "liters"), "h": ("hour", "hours"), "V": ("volt", "volts"),
    "W": ("watt", "watts"), "in": ("inch", "inches"), "g": ("gram", "grams"),
}  # fmt: skip
UNITS = {**{short: (long, f"{long}s") for short, long in _PLAIN.items()}, **_OTHER}
# As captions in capitals have them.
UNITS |= {short.upper(): UNITS[short] for short in ("ft", "lb", "lbs", "oz", "yds", "hr", "hrs", "yrs", "mph", "kph")}
UNITS |= {short.title(): UNITS[short] for short in ("ft", "lb", "lbs", "hrs", "yrs")}
LONG = "|".join(sorted({long for _, long in (*UNITS.values(), *_GLUED.values())}, key=len, reverse=True))
_PER = {
    "s": "second", "sec": "second", "second": "second", "min": "minute", "minute": "minute", "h": "hour", "hr": "hour",
    "hour": "hour", "day": "day", "night": "night", "wk": "week", "week": "week", "mo": "month", "month": "month",
    "yr": "year", "year": "year", "kg": "kilogram", "lb": "pound", "mile": "mile", "gallon": "gallon",
    "person": "person",
}  # fmt: skip
_PARTS = {
    "1/2": "half", "½": "half", "1/4": "a quarter of", "¼": "a quarter of", "3/4": "three quarters of",
    "¾": "three quarters of", "1/3": "a third of", "⅓": "a third of", "2/3": "two thirds of", "⅔": "two thirds of",
}  # fmt: skip
_ARTICLE = re.compile(r"\b[Aa]n? [\d.,$-]+$")
_LONGEST_PREFIX = 32
_NETWORK = re.compile(r"[2-6]")  # 5g: a network, or grams?


def singular_before(match: re.Match[str], start: int) -> bool:
    """Whether a measure is said in the singular: a 5 km run."""
    return bool(_ARTICLE.search(match.string[max(0, start - _LONGEST_PREFIX) : start]))


def _names(shorts: dict[str, tuple[str, str]]) -> str:
    return "|".join(map(re.escape, sorted(shorts, key=len, reverse=True)))


def _unit(match: re.Match[str]) -> str:
    one, between, short, per = match.group("one", "between", "unit", "per")
    single, several = UNITS.get(short) or _GLUED[short]
    if short == "g" and _NETWORK.fullmatch(match.string[max(0, match.start() - 2) : match.start()].lstrip()):
        return match[0]
    rate = f" per {_PER[per]}" if per else ""
    if one:
        return f"{one} {single}{rate}"
    return f" {single if between == '-' or singular_before(match, match.start()) else several}{rate}"


def _of_unit(match: re.Match[str]) -> str:
    single = UNITS[match["unit"]][0]
    if match["part"] not in _PARTS:
        return match[0]
    return f"{_PARTS[match['part']]} {'an' if single[0] in 'aeiou' or single == 'hour' else 'a'} {single}"


def _inches(match: re.Match[str]) -> str:
    before = match.string[max(0, match.start() - _LONGEST_PREFIX) : match.start()]
    if re.search(r"(?:feet|foot)\.?\s+\d\d?$", before):
        return match[0]  # five feet ten inches, or five foot ten
    one = re.search(r"(?<![\w.,/:-])(?<!\d )(?:1|\d/\d)$", before) or singular_before(match, match.start())
    return " inch" if one else " inches"


_ENDS = r"(?![\w/²³°%'])"
_NUMBER = r"(?:(?<![\w.,/:-])(?P<one>1)|(?<=[\d½¼¾⅓⅔]))"
_RATE = rf"(?:/(?P<per>{'|'.join(_PER)}))?{_ENDS}"
_NEAR = r"[\d½¼¾⅓⅔][\s-]?[A-Za-z]"
RULES: list[Rule] = [
    rule("units", rf"(?<![\w/.,-])(?<!\d )(?P<part>\d/\d|[½¼¾⅓⅔])\s?(?P<unit>{_names(UNITS)}){_ENDS}", _of_unit,
         needs=r"\d/\d|[½¼¾⅓⅔]"),
    rule("units", rf"{_NUMBER}(?P<between>\s?|-)(?P<unit>{_names(UNITS)}){_RATE}", _unit, needs=_NEAR),
    rule("units", rf"{_NUMBER}(?P<between>)(?P<unit>{_names(_GLUED)}){_RATE}", _unit, needs=_NEAR),
    # A point behind it ends no sentence where small letters go on.
    rule("units", r"(?<=\d) in\.(?=,|\s+[a-z])", _inches, needs=r"\d in\."),
    rule(
        "units",
        r"(?<=\d) m(?= (?:squared|cubed)\b)",
        lambda match: " meter" if match.string[: match.start()][-2:].lstrip() == "1" else " meters",
        needs=r"\d m ",
    ),
    rule("units", rf"(?<=\d)/({'|'.join(_PER)})(?![\w/])", lambda match: f" per {_PER[match[1]]}", needs="/"),
    # Meters, minutes or a letter? Times, or by? Inches, or in? Points, or pints?
    refuse(NUMBERS, "units", r"\d [bcdghklmnpstvwxy](?![\w']|\.m)|\d\s+(?:feet|foot)\.?\s+\d{1,2}\s+in\b"
           r"|\d (?:in|pts?)\.(?!\w)"),
]  # fmt: skip
SPACED = re.compile(rf"\d\s(?:{_names(UNITS)}){_ENDS}")  # for languages that have no words for them here

# Behind a number in words, where what is short is no word by itself, as sec and min are.
_SHORT = "ft|lbs?|oz|yds?|hrs?|yrs?|wks|km|cm|mm|kg|mph|kph"
WORDED = re.compile(rf"(?<![\w'])(?:(one)|{NUMBER_WORDS})([\s-])({_SHORT})(?![\w'/])", re.I)
WORDED_TRIGGER = re.compile(r"[\s-][fFlLoOyYhHwWkKcCmM][tTbBzZdDrRkKmMgGpP]\w?\w?\b")
_WORDED_ARTICLE = re.compile(r"\ban? (?:[\w-]+ )?$", re.I)


def _worded(match: re.Match[str]) -> str:
    one, between, short = match.groups()
    number = match[0][: match.start(2) - match.start()]
    before = match.string[max(0, match.start() - _LONGEST_PREFIX) : match.start()]
    single = one and not before.endswith("-") or between == "-"
    if _WORDED_ARTICLE.search(before) and number.lower() not in ("few", "hundred", "thousand", "million", "many"):
        single = True  # a ten ft. wall
    return f"{number} {UNITS[short.lower()][0 if single else 1]}"


BEHIND_WORDS = Rule("units", lambda text: WORDED.sub(_worded, text))
