"""Which language a model writes, compared with what a client asks for. A bundle does not say it: its operator does."""

from __future__ import annotations

import re
from collections.abc import Iterable

from heyjetson.errors import OptionError

DEFAULT = "en"
# ISO 639-1, with the names that Whisper's clients know them by.
NAMES = {
    "ar": "arabic",
    "cs": "czech",
    "de": "german",
    "en": "english",
    "es": "spanish",
    "fr": "french",
    "hi": "hindi",
    "it": "italian",
    "ja": "japanese",
    "ko": "korean",
    "nl": "dutch",
    "pl": "polish",
    "pt": "portuguese",
    "ru": "russian",
    "sv": "swedish",
    "tr": "turkish",
    "uk": "ukrainian",
    "zh": "chinese",
}
_CODE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")


def checked(code: str) -> str:
    """A language that an operator names, such as `en` or `pt-BR`.

    Raises:
        OptionError: it is no code.
    """
    if not _CODE.fullmatch(code):
        raise OptionError(f"A language is named by its code, such as en or de, found {code[:40]!r}.")
    return code


def name(code: str) -> str:
    """What a language is called, or its code where that is not known here.

    >>> name("en"), name("et")
    ('english', 'et')
    """
    return NAMES.get(_first(code), code)


def require(asked: Iterable[str], written: str) -> None:
    """Refuse a client that wants another language; one of several that it names is enough.

    Args:
        asked: codes or names; empty ones are nothing.
        written: code of what the model writes.

    Raises:
        OptionError: the model writes none of them.
    """
    wanted = [language.strip() for language in asked if language.strip()]
    ours = (_first(written), name(written))
    if wanted and not any(_first(language) in ours for language in wanted):
        found = ", ".join(language[:20] for language in wanted[:5])
        raise OptionError(f"The model here writes {name(written)} ({written}), not {found}: leave the language out.")


def _first(language: str) -> str:
    return re.split("[-_]", language.strip().lower(), maxsplit=1)[0]
