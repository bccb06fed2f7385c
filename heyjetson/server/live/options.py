"""What a live stream may be told: its sample rate, its hot words, when its utterances end."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from heyjetson.audio.rates import rate_fault
from heyjetson.decoding.hotwords import KEYWORD_BOOST, parse_hot_words
from heyjetson.endpoint import EndpointRules
from heyjetson.errors import OptionError

COMMAND_BYTES = 64 * 2**10
PHRASES, PHRASE_CHARACTERS = 100, 60  # of hot words: the search grows with them
BOOST = 20.0
RULES = {"silence": 10.0, "no_speech": 60.0, "longest": 60.0}  # what may be chosen, and seconds at most
COMMANDS = ("flush", "reset", "configure")


@dataclass(frozen=True)
class ListenOptions:
    """What a client asked for.

    Args:
        rate: hertz of what it sends.
        rules: when an utterance ends.
        hot_words: phrases and what each adds to the score.
    """

    rate: int = 16000
    rules: EndpointRules = EndpointRules()
    hot_words: Mapping[str, float] | None = None

    @classmethod
    def of_query(cls, query: Mapping[str, str]) -> ListenOptions:
        """Read an address's query: `rate`, `silence`, `no_speech`, `longest`, `hot_words`.

        Raises:
            OptionError: a value that cannot work.
        """
        given = query.get("rate", "16000")
        rate = int(given) if given.isascii() and given.isdigit() and len(given) < 9 else 0
        if told := rate_fault(rate, given[:40]):
            raise OptionError(f"The rate {told}")
        rules = changed_rules(EndpointRules(), {name: query[name] for name in RULES if name in query})
        return cls(rate, rules, hot_words_of(query.get("hot_words")))


def changed_rules(rules: EndpointRules, changes: Any) -> EndpointRules:
    """Rules with other seconds.

    Args:
        rules: as they were.
        changes: `silence`, `no_speech`, `longest`: a number of seconds each.

    Raises:
        OptionError: they are no table, or a value cannot work.
    """
    if not isinstance(changes, Mapping):
        raise OptionError('endpoint must be a table such as {"silence": 0.8}.')
    if unknown := sorted(set(map(str, changes)) - set(RULES)):
        raise OptionError(f"There is no endpoint rule {unknown[0][:40]!r}: there are {', '.join(RULES)}.")
    numbers = {name: _number(name, value) for name, value in changes.items()}
    for name, value in numbers.items():
        if not rules.onset <= value <= RULES[name]:
            raise OptionError(
                f"The endpoint rule {name} must lie between {rules.onset} and {RULES[name]} s, found {value}."
            )
    return replace(rules, **numbers)


def hot_words_of(given: Any) -> dict[str, float] | None:
    """Hot words from `jetson:3,hey jetson:2.5` or from a table of phrases and boosts.

    Raises:
        OptionError: too many, too long, or a boost that is no number.

    >>> hot_words_of("jetson:3, hey jetson")
    {'jetson': 3.0, 'hey jetson': 3.0}
    """
    if isinstance(given, str):
        given = parse_hot_words(given)
    if not given:
        return None
    if not isinstance(given, Mapping):
        raise OptionError('hot_words must be a table such as {"jetson": 3.0}.')
    if len(given) > PHRASES:
        raise OptionError(f"There may be {PHRASES} hot words at most, found {len(given)}.")
    if long := next((str(phrase) for phrase in given if len(str(phrase)) > PHRASE_CHARACTERS), None):
        raise OptionError(
            f"A hot word may have {PHRASE_CHARACTERS} characters at most: {long[:20]!r}… has {len(long)}."
        )
    boosts = {str(phrase).strip(): _number(f"boost of {phrase!r}", boost) for phrase, boost in given.items()}
    if wild := next((phrase for phrase, boost in boosts.items() if abs(boost) > BOOST), None):
        raise OptionError(f"The boost of {wild!r} must lie between -{BOOST:g} and {BOOST:g}.")
    return boosts


def keywords_of(
    phrases: Iterable[str], spell: Callable[[str], str], more: Mapping[str, float] | None
) -> dict[str, float] | None:
    """Hot words of phrases that have no number, as OpenAI's clients name them.

    Args:
        phrases: as people write them; empty ones are nothing.
        spell: gives them as the model writes them, see `Engine.spelled`.
        more: hot words with numbers, which count first.

    Raises:
        OptionError: see `hot_words_of`.
    """
    named = {spell(phrase): KEYWORD_BOOST for phrase in phrases if phrase.strip()}
    return hot_words_of(named | dict(more or {}))


def _number(name: str, value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise OptionError(f"The {name} must be a number, found {str(value)[:40]!r}.")
    return number


def command_of(text: str) -> dict[str, Any]:
    """A command from a client's text message.

    Raises:
        OptionError: it is none.
    """
    if len(text) > COMMAND_BYTES:
        raise OptionError(f"A command may have {COMMAND_BYTES} characters at most, found {len(text)}.")
    try:
        command = json.loads(text)
    except (ValueError, RecursionError):
        raise OptionError(
            'A text message must be a command in JSON, such as {"type": "flush"}; sound is sent as binary messages.'
        ) from None
    if not isinstance(command, dict) or command.get("type") not in COMMANDS:
        kind = command.get("type") if isinstance(command, dict) else command
        raise OptionError(f"There is no command {str(kind)[:40]!r}: there are {', '.join(COMMANDS)}.")
    return command
