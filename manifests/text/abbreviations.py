"""Words for what is shortened: titles, streets, parts of books. What is said in several ways has the text refused."""

from __future__ import annotations

import re

from manifests.text import units
from manifests.text.rules import SHORT, NotUnderstoodError, Rule, replace

_POINTED = {  # with a point, in any case
    "mr": "mister", "mrs": "misses", "ms": "miz", "dr": "doctor", "drs": "doctors", "prof": "professor",
    "profs": "professors", "mme": "madame", "mlle": "mademoiselle", "jr": "junior", "sr": "senior", "rev": "reverend",
    "hon": "honorable", "gen": "general", "col": "colonel", "capt": "captain", "lt": "lieutenant",
    "lieut": "lieutenant", "sgt": "sergeant", "serg": "sergeant", "cpl": "corporal", "pvt": "private",
    "cmdr": "commander", "maj": "major", "gov": "governor", "pres": "president", "supt": "superintendent",
    "esq": "esquire", "vs": "versus", "etc": "et cetera", "dept": "department", "govt": "government",
    "univ": "university", "assn": "association", "bros": "brothers", "co": "company", "ltd": "limited",
    "inc": "incorporated", "mt": "mount", "mts": "mountains", "ave": "avenue", "blvd": "boulevard", "hwy": "highway",
    "pkwy": "parkway", "bldg": "building", "approx": "approximately",
}  # fmt: skip
# As words these end many a sentence: they need a number after them …
_BEFORE_NUMBER = {
    "no": "number", "nos": "numbers", "vol": "volume", "vols": "volumes", "p": "page", "pp": "pages", "fig": "figure",
    "figs": "figures", "ch": "chapter", "sec": "section", "rte": "route", "ext": "extension", "rm": "room",
    "Art": "article", "Op": "opus", "Apt": "apartment", "Ste": "suite", "Rt": "route",
}  # fmt: skip
_BEFORE_NAME = {"Sen": "senator", "Sens": "senators", "Rep": "representative", "Reps": "representatives",
                "Adm": "admiral", "Insp": "inspector", "Det": "detective", "Ft": "fort", "FT": "fort"}  # fmt: skip
_BEHIND_NAME = {"rd": "road", "ln": "lane", "sq": "square", "pl": "place", "ct": "court", "corp": "corporation"}
# … and before one, these are no titles: Genesis, Revelation, a column.
_BOOKS = {"gen", "col", "rev"}
# Of three letters one by one or not, father or French, secretary or section; before a year, born, died, about.
_SEVERAL, _SEVERAL_NAMED, _SEVERAL_DATED = {"pfc"}, {"Fr", "Ste", "Sec"}, {"b", "c", "d"}
# Without a point, where a name or a day follows …
_BARE_TITLES = {
    "Lt Col": "lieutenant colonel", "Lt Gen": "lieutenant general", "Maj Gen": "major general",
    "Mr": "mister", "MR": "mister", "Mrs": "misses", "MRS": "misses", "Ms": "miz", "Dr": "doctor", "Prof": "professor",
    "Lt": "lieutenant", "Sgt": "sergeant", "Capt": "captain", "Cpl": "corporal", "Cmdr": "commander", "Mt": "mount",
}  # fmt: skip
# … and where none need to.
_BARE = {"Jr": "junior", "Blvd": "boulevard", "Hwy": "highway", "Pkwy": "parkway"}

_SAINTS = frozenset(
    """
    agnes aidan alban albans ambrose andrew andrews ann anne anselm anthony antony augustine barbara barnabas bart
    bartholomew basil benedict bernadette bernard boniface botolph brendan bride brides catharines catherine catherines
    cecilia charles christopher clair claire clare clement columba croix cuthbert cyprian cyr cyril david denis dominic
    dunstan edmund edmunds edward elizabeth elmo eustache francis gall gallen gabriel genevieve george germain gertrude
    giles gregory helena helens helier hilda ignatius isidore ives james jean jerome joan joe johns john joseph jude
    julian katharine katherine kilda kitts lambert laurence lawrence leonard louis luc lucia lucie lucy ludwig luke
    maarten malo margaret marie mark mary marys martin matthew maurice michael michaels monica moritz mungo neots
    nicholas nick nicolas ninian olaf olave oswald pancras patrick paul pauls pete peter peters petersburg philip pierre
    raphael regis robert roch saviour sebastian sergius simeon simon stephen stephens swithin teresa theresa thomas
    tropez ursula valentine vincent vitus wilfrid
    """.split()
)
_WORDS = frozenset("bart bride brides charles elmo gall joe mark nick pete regis robert".split())  # or first names
# Words that follow a street, or begin a sentence behind one.
_NO_NAMES = frozenset(
    """
    a about after all although an and another are as at because before behind between both but by can did do does
    during each even every everyone for from had has have he her here his how i if in is it its just last later many
    maybe me my near neither no not now of on once one or our people she since so some that the their then there these
    they this those through to today two under until up was we well were what when where which while who whose why will
    with would yes yesterday you your
    """.split()
)
_BEFORE_SAINTS = frozenset(
    """
    mount port east west north south fort lake cape bury sault upper lower old new great little saint church general
    captain colonel major lieutenant sergeant doctor sir lord lady sister mother father bishop king queen
    """.split()
)
_PLACES = frozenset("louis petersburg helens helena moritz tropez kitts lucia pancras".split())  # and hardly a name
_STREETS = frozenset("main wall elm oak high fleet downing bourbon bleecker canal broad market".split())
_ORDINAL = re.compile(
    r"\d+(?:st|nd|rd|th)|\w*(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth"
    r"|teenth|tieth)", re.I,
)  # fmt: skip
_COUNTED = re.compile(rf"(?:^|[\s(-])(?:[\d.,½¼¾]*[\d½¼¾]|{units.NUMBER_WORDS}|one|sq\.?|cu\.?)\s?-?$", re.I)
_WORD_BEFORE = re.compile(r"(?:^|(?P<ends>[.?!:;\"”—-]['\"”)]?)|(?<=\s))\s*[\"“'(\[]?(?P<word>[\w'-]*\w)\s+$")
_LOOK_BEHIND = 48


class _Place:
    """Where a shortened word stands: what comes before it, and the word after it."""

    def __init__(self, match: re.Match[str], following: str):
        before = match.string[max(0, match.start() - _LOOK_BEHIND) : match.start()]
        found = _WORD_BEFORE.search(before)
        self.before = found["word"] if found else ""
        self.begins = not found or not before[: found.start("word")].strip(" \"“'([") or bool(found["ends"])
        self.counted = bool(_COUNTED.search(before))
        self.following = re.sub(r"(?:'s|s'|')$", "", following.lower())
        self.capital = following[:1].isupper()
        self.named = self.before[:1].isupper() and self.before.lower() not in _NO_NAMES
        self.found = match.string[max(0, match.start() - len(self.before) - 1) : match.end() + 1 + len(following)]

    def refused(self) -> NotUnderstoodError:
        return NotUnderstoodError(SHORT, self.found)


def _saint_or_street(place: _Place) -> str:
    """St. Louis, in St. Anywhere, Main St. in town, on Main St. He went; else it is not certain."""
    before = place.before.lower()
    if not place.capital:
        certain = place.following in _SAINTS - _WORDS and not _ORDINAL.fullmatch(before) and before not in _STREETS
        return "saint" if certain else "street"
    if place.following in _NO_NAMES:
        return "street"
    if _ORDINAL.fullmatch(before) or place.named and before in _STREETS:
        return "street"
    if not place.named or before in _BEFORE_SAINTS or place.following in _PLACES:
        return "saint"
    if place.following in _SAINTS and (place.begins or len(before) > 1 and place.before.isupper()):
        return "saint"
    raise place.refused()  # Jill St. John, or on Market St. John waited


def _doctor_or_drive(place: _Place) -> str:
    if place.capital and place.following not in _NO_NAMES - {"no", "who"} or not place.named:
        return "doctor"
    if place.begins:
        raise place.refused()  # Elm Dr. is long, or thanks Dr.
    return "drive"


def _behind_name(match: re.Match[str], place: _Place) -> str:
    short = match[1].lower()
    if short == "corp" and (place.following == "of" or place.named and not place.capital):
        return "corporation"
    if _ORDINAL.fullmatch(place.before) or place.named and not (short == "corp" and place.begins):
        return _BEHIND_NAME[short]
    if short == "sq" and place.counted:
        return match[0]  # feet
    raise place.refused()


def _title(match: re.Match[str]) -> str:
    written, number = match[1], match[2]
    short, following = written.lower(), match[4] or match[3] or number or ""
    place = _Place(match, following)
    if short in _SEVERAL or written in _SEVERAL_NAMED and (place.capital or place.following == "of") and not number:
        raise place.refused()
    if short in _SEVERAL_DATED:
        if written == short and number and len(number) > 2:
            raise place.refused()
        return match[0]
    if short == "st":
        return _saint_or_street(place)
    if short == "dr":
        return _doctor_or_drive(place)
    if number:
        if short in _BOOKS:
            raise place.refused()
        if short == "sec" and (place.counted or place.before.lower() in ("a", "another")):
            return match[0]
        return _BEFORE_NUMBER.get(written) or _BEFORE_NUMBER.get(short) or _POINTED.get(short) or match[0]
    if short in _BEHIND_NAME:
        return _behind_name(match, place)
    if written in _BEFORE_NAME and place.capital and place.following not in _NO_NAMES and not place.counted:
        return _BEFORE_NAME[written]
    if short == "ft" and not place.counted:
        raise place.refused()  # feet, featuring
    if short in _POINTED and (match[3] is None or written[0].isupper()):
        return _POINTED[short]
    return match[0]


_SHORT = sorted(
    {*_POINTED, *map(str.lower, _BEFORE_NUMBER), *map(str.lower, _BEFORE_NAME), *_BEHIND_NAME, "st",
     *_SEVERAL, *map(str.lower, _SEVERAL_NAMED), *_SEVERAL_DATED},
    key=len, reverse=True,
)  # fmt: skip
# A point, and a number, no word, a word, or a capital that touches it: Mr.Smith.
_ABBREVIATION = re.compile(
    rf"\b({'|'.join(_SHORT)})\.(?=\s*(\d+|(?-i:[IVX]{{2,}})\b)|(?-i:-?([A-Z](?![A-Z])[a-z'’]*))|[^\w\s]"
    r"|\s+([\w'’]+|\S)|\s*$)", re.I,
)  # fmt: skip
_ENDINGS = tuple(_SHORT)
_DEGREE = re.compile(r"\bPh\.\s?D\b\.?")


def pointed(text: str) -> str:
    """Words for what ends with a point."""
    # Most points end a sentence, and this is faster than to look for all of them.
    if any(piece[-10:].lower().endswith(_ENDINGS) for piece in text.split(".")[:-1]):
        text = replace(_ABBREVIATION, _title, text)
    return replace(_DEGREE, lambda match: "p h d", text) if "Ph." in text else text


_CAPITAL = r"(?=\s+[^\W\d_])"
BARE = re.compile(
    rf"\b(?=[A-Z])(?:({'|'.join(_BARE_TITLES)}){_CAPITAL}|({'|'.join(_BARE)})\b|(Sr)\b"
    r"|(St)(?:(?=[\s-]+([\w'’]+))|(?![\w.'’]))|(Ft)(?=\s+([A-Z][a-z'’]+))|(Rd|Ave)\b|(Pfc)\b)(?!\.)"
)
# What is faster to look for, in a text with a space behind it.
BARE_LETTERS = tuple(f"{short} " for short in (*_BARE_TITLES, *_BARE, *"Sr St Ft Rd Ave Pfc".split()))


def _bare(match: re.Match[str]) -> str:
    title, alone, senior, street, following, fort, name, road, several = match.groups()
    if title or alone:
        return _BARE_TITLES[title] if title else _BARE[alone]
    place = _Place(match, following or name or "")
    if several:
        raise place.refused()
    if street:
        return _saint_or_street(place)
    if senior:
        return "senior" if place.named and not place.begins else match[0]
    if fort:
        return match[0] if place.counted else "fort"
    numbered = _ORDINAL.fullmatch(place.before)
    if road == "Rd":
        return "road" if numbered or place.named else match[0]
    return "avenue" if numbered else match[0]


def bare(text: str) -> str:
    """Words for what has no point and is no word."""
    return replace(BARE, _bare, text)


_LAST = re.compile(r"\b(?:(vs)|(etc))\b(?!')", re.I)
LAST_TRIGGER = re.compile(r"[vVtT][sScC]\b")
LAST = Rule("titles", lambda text: replace(_LAST, lambda match: "versus" if match[1] else "et cetera", text))
_LETTERS = tuple(f" {short}" for short in "vs etc ft lb oz yd hr yr wks km cm mm kg mph kph".split())


def shortened(text: str) -> bool:
    """Whether a text in small letters has what is short."""
    spaced = f" {text}"
    return any(letters in spaced for letters in _LETTERS) and bool(_LAST.search(text) or units.WORDED.search(text))
