"""Markup: removed, or taken for what was said, by the conventions that are enabled; else the text is refused."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Collection

from manifests.text.conventions import EVENTS, FILLERS, MARKS, MISSING_WORDS, kind
from manifests.text.rules import (
    LEFT,
    MARKUP,
    MISSING,
    PARENTHESES,
    RIGHT,
    UNCOUNTED,
    NotUnderstoodError,
    Rule,
    Step,
    refuse,
)

_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]\w{1,31});")
_GROUP = re.compile(r"\[[^\[\]]*\]|<[^<>]*>|\{[^{}]*\}|\([^()]*\)")
_TAGS = frozenset("i b u s em strong font span p br div ruby rt c v lang small big sub sup tt q".split())
_APART = frozenset("p br div s".split())  # a new line, where others stand within words
_TAG = re.compile(r"</?([A-Za-z]+)(?:[ .=][^<>]*|\s*/)?>")
_TIME = r"\d{1,2}:\d\d(?::\d\d)?(?:[.,]\d{1,3})?"
_TIMES = re.compile(rf"\s*{_TIME}(?:\s*(?:-->|-|\s)\s*{_TIME})?\s*")
_ROLES = "speaker|spkr?|participant|interviewer|interviewee|moderator|caller|agent|operator"
_SPEAKER = re.compile(rf"(?:{_ROLES})(?:[ _-]?[a-z]?\d{{0,3}})?:?", re.I)
_LINE_SPEAKER = re.compile(rf"^\s*(?:(?i:(?:{_ROLES})(?:[ _-]?[a-z]?\d{{0,3}}))|[A-Z]\d{{0,2}})\s?:\s")
_INNER_SPEAKER = re.compile(rf"(?<!\w)(?i:(?:{_ROLES})[ _-]?\d{{1,3}}):\s|(?<=[.?!] )[A-Z]:\s")
_NAME = re.compile(r"^\s*([^\W\d_][\w.'-]{0,30}(?: [^\W\d_][\w.'-]{0,30})?):\s")
_NO_NAMES = frozenset(
    "chapter part book section volume act scene lesson question answer note step rule appendix letter canto".split()
)
_ID = re.compile(r"[\w.-]{3,100}")
_ID_SIGNS = re.compile(r"_|[A-Za-z]\d|\d[A-Za-z]|-0\d|\d{4}|-.*-")
_SPOKEN_BRACE = re.compile(r"[A-Z]\s+([^{}]*)")
_LAUGHED = re.compile(r"laughter-([A-Za-z'][A-Za-z' -]*)")
_ENCLOSED = re.compile(r"(?<![\w*])\*{1,3}([^*]+)\*{1,3}(?![\w*])|(?<!\w)_([^_]+|\w+)_(?!\w)|\+\+([^+]+)\+\+")
_BRACKETS = re.compile(r"[\[\]<>{}()♩♪♫♬\\]|[A-Za-z]_\d")
_OTHERS = re.compile(rf"[*_%:;!{LEFT}]|[~^+@&]\w|\+\+")


def entities(text: str) -> str:
    """Characters for what HTML and XML write as `&name;`, also where it was written so twice."""
    for _ in range(3):
        if "&" not in text or (after := _ENTITY.sub(lambda match: html.unescape(match[0]), text)) == text:
            break
        text = after
    return text


def _tag(match: re.Match[str]) -> str | None:
    if match[0].startswith("{\\") or match[0].startswith("<|") and match[0].endswith("|>"):
        return ""
    tag = _TAG.fullmatch(match[0])
    if not tag or tag[1].lower() not in _TAGS:
        return None
    return " " if tag[1].lower() in _APART else ""


def _times(match: re.Match[str]) -> str | None:
    return " " if match[0][0] in "[<" and _TIMES.fullmatch(match[0][1:-1]) else None


def _event(match: re.Match[str]) -> str | None:
    return " " if kind(match[0][1:-1], match[0][0]) == "event" else None


def _filler(match: re.Match[str]) -> str | None:
    return f" {match[0][1:-1]} " if match[0][0] != "(" and kind(match[0][1:-1]) == "filler" else None


def _switchboard(match: re.Match[str]) -> str | None:
    content, text = match[0][1:-1], match.string
    if match[0][0] == "{":
        spoken = _SPOKEN_BRACE.fullmatch(content)
        return f" {spoken[1]} " if spoken else None
    if match[0][0] != "[":
        return None
    if laughed := _LAUGHED.fullmatch(content):
        return f" {laughed[1]} "
    if " + " in content:  # said once, and again in other words
        return content.replace(" + ", " ").join("  ")
    before, after = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
    cut = before.isalpha() and after == "-" or before == "-" and after.isalpha()
    return "" if cut and content.isalpha() else None  # the part of a word that was not said


def _mark(match: re.Match[str]) -> str | None:
    return MARKS.get(match[0][1:-1].lower()) if match[0][0] == "<" else None


def _id(match: re.Match[str]) -> str | None:
    content = match[0][1:-1]
    named = match[0][0] == "(" and _ID.fullmatch(content) and _ID_SIGNS.search(content)
    if not named or not any(map(str.isalpha, content)) or not any(map(str.isdigit, content)):
        return None
    return None if match.string[match.end() :].strip(f" .{LEFT}{RIGHT}") else " "


def _speaker(match: re.Match[str]) -> str | None:
    return " " if match[0][0] != "(" and _SPEAKER.fullmatch(match[0][1:-1].strip()) else None


def _prose(match: re.Match[str]) -> str | None:
    content, text = match[0][1:-1], match.string
    if match[0][0] != "(" or kind(content, "(") not in ("words", "filler"):
        return None
    before, after = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
    if before.isalnum() or after.isalpha() or after.isdigit() and not content.isdigit():
        return None  # book(s), (be)cause: were they said?
    return f"{LEFT}{content}{RIGHT}"


def _brackets(match: re.Match[str]) -> str | None:
    content = match[0][1:-1]
    return f" {content} " if match[0][0] in "[{" and kind(content) in ("words", "filler") else None


def _unknown(match: re.Match[str]) -> str | None:
    raise NotUnderstoodError(MISSING if kind(match[0][1:-1]) == "missing" else MARKUP, match[0])


def _guess(match: re.Match[str]) -> str:
    if kind(match[1]) not in ("words", "filler"):
        raise NotUnderstoodError(MISSING, match[0])
    return f" {match[1]} "


def _enclosed(enabled: Collection[str]) -> Callable[[re.Match[str]], str]:
    def spoken(match: re.Match[str]) -> str:
        content = match[1] or match[2] or match[3]
        found = kind(content, match[0][0])
        if found == "event" and "events" in enabled:
            return " "
        if found == "missing" and not (match[1] and not content.strip()):  # stars with spaces part chapters
            raise NotUnderstoodError(MISSING, match[0])
        if found in ("words", "filler") and "emphasis" in enabled and not match[3]:
            return content.join("  ") if not match[2] or " " in content else content.replace("_", " ").join("  ")
        if found == "missing":
            return match[0]
        raise NotUnderstoodError(MARKUP, match[0])

    return spoken


def _percent(match: re.Match[str]) -> str:
    word = match[1].lower()
    if word in FILLERS:
        return match[1]
    if word in EVENTS:
        return " "
    raise NotUnderstoodError(MISSING if word in MISSING_WORDS or word == "hesitation" else MARKUP, match[0])


def _named(text: str) -> re.Match[str] | None:
    """A line's beginning that looks like the name of who speaks."""
    found = _NAME.match(text)
    words = found[1].split() if found else []
    if not words or words[0].lower() in _NO_NAMES or not all(word[0].isupper() for word in words):
        return None
    return found


def _refuse_names(text: str) -> str:
    if found := _named(text):
        raise NotUnderstoodError(MARKUP, found[0])
    return text


def _without_name(text: str) -> str:
    found = _named(text)
    return text[found.end() :] if found else text


def _nested(name: str, instead: Callable[[re.Match[str]], str | None]) -> Rule:
    """A rule for what is in brackets, innermost first; None leaves a group to the rules that follow."""

    def each(match: re.Match[str]) -> str:
        after = instead(match)
        return match[0] if after is None else after

    return Rule(name, lambda text: _GROUP.sub(each, text))


def _sub(name: str, pattern: str, instead: str | Callable[[re.Match[str]], str]) -> Rule:
    compiled = re.compile(pattern)
    return Rule(name, lambda text: compiled.sub(instead, text))


def markup(enabled: Collection[str]) -> list[Step]:
    """The rules of the conventions that are enabled, and the refusal of what is left.

    Args:
        enabled: names, of `CONVENTIONS`; `entities` come before all steps, see above.
    """
    return [Step("markup", _in_brackets(enabled), _BRACKETS), Step("markup", _on_words(enabled), _OTHERS)]


def _in_brackets(enabled: Collection[str]) -> list[Rule]:
    whole = {
        "captions": _sub("captions", r"(?<!\S)>>+|[♩♪♫♬]", " "),
        "tags": _sub("tags", r"\\(?:N|[nh](?![a-z]))", " "),
        "variants": _sub("variants", r"(?<=[A-Za-z])(?:\(\d\)|_\d(?!\w))", ""),
        "guesses": _sub("guesses", r"\(\(([^()]*)\)\)", _guess),
    }
    grouped = {
        "tags": _tag, "times": _times, "gigaspeech": _mark, "events": _event, "fillers": _filler,
        "switchboard": _switchboard, "ids": _id, "speakers": _speaker, "brackets": _brackets, "prose": _prose,
    }  # fmt: skip
    rules = [one for name, one in whole.items() if name in enabled]
    if "guesses" not in enabled:
        rules.append(refuse(MISSING, "guesses", r"\(\([^()]*\)\)"))
    innermost = [_nested(name, instead) for name, instead in grouped.items() if name in enabled]
    rules += [*innermost, *innermost]  # brackets in brackets, no deeper
    rules.append(_nested("brackets", _unknown))
    rules.append(refuse(MARKUP, "brackets", r"[\[\]{}<>]"))
    return rules


def _on_words(enabled: Collection[str]) -> list[Rule]:
    rules = [Rule(UNCOUNTED, lambda text: text.translate(PARENTHESES))]
    rules.append(Rule("emphasis", lambda text: _ENCLOSED.sub(_enclosed(enabled), text)))
    if "fillers" in enabled:
        rules.append(_sub("fillers", r"(?<!\S)%(\w+)", _percent))
    if "events" in enabled:
        rules.append(_sub("events", r"(?<!\S)!(?:SIL|sil)(?!\S)", " "))
    if "ldc" in enabled:
        rules.append(_sub("ldc", r"(?<!\S)[+^~@*&]+(?=[^\W\d_])([\w'-]+)\+?", r"\1"))
    if "speakers" in enabled:
        rules.append(Rule("speakers", lambda text: _INNER_SPEAKER.sub(" ", _LINE_SPEAKER.sub(" ", text))))
    rules.append(Rule("names", _without_name if "names" in enabled else _refuse_names))
    rules.append(refuse(MISSING, "stars", r"\*{3,}|_{3,}|[^\W\d_]\*+[^\W\d_]"))
    rules.append(refuse(MARKUP, "stars", r"[^\W\d_]\*|\*[^\W\d_]|&#?\w{2,32};|\+\+[A-Za-z]"))
    return rules
