"""Sentences in the manner of CMU AN4: spelled letters, digits, dates, names, addresses, commands.

`draw_sentence` gives a transcript in the model's characters and the same sentence as espeak-ng should read it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from num2words import num2words

LETTERS = "abcdefghijklmnopqrstuvwxyz"
DIGITS = "zero one two three four five six seven eight nine".split()
MONTHS = "january february march april may june july august september october november december".split()
FIRST_NAMES = (
    "adam alice anna brian david emma frank george helen henry jane john laura mary michael nancy peter robert sarah "
    "thomas"
).split()
LAST_NAMES = (
    "baker brown carter davis foster garcia hill johnson jones king lee miller moore parker scott smith turner walker "
    "wilson young"
).split()
STREETS = "bridge center church college forest garden grant lake main market north oak park river station west".split()
KINDS_OF_STREET = ("street", "avenue", "road")
PLACES = "kitchen bedroom bathroom office garage garden hall".split()
THINGS = ("light", "lights", "fan", "heater", "music", "radio", "television", "camera", "door", "window")
COMMANDS = (
    "hey jetson", "stop", "start", "yes", "no", "help", "repeat", "go back", "cancel", "enter", "erase", "rubout",
    "next", "what time is it", "what is the weather today", "play some music", "stop the music", "good morning",
    "good night", "hey jetson what can you do", "read my messages", "take a note", "where am i", "i don't know",
    "what's the date today", "let's go home", "it's too loud", "it's too dark in here",
)  # fmt: skip


def spell_number(number: int) -> str:
    """A number as words, in the model's characters: 1042 → `one thousand and forty two`."""
    return num2words(number).replace("-", " ").replace(",", "")


def _letters(rng: random.Random) -> list[str]:
    return [rng.choice(LETTERS).upper() for _ in range(rng.randint(3, 6))]


def _code(rng: random.Random) -> list[str]:
    verb = rng.choice(("enter", "erase", "rubout"))
    return [verb, *_letters(rng)[:4], *rng.choices(DIGITS, k=rng.randint(1, 2))]


def _digits(rng: random.Random) -> list[str]:
    return rng.choices(DIGITS, k=rng.choice((1, 3, 4, 5, 7)))


def _date(rng: random.Random) -> list[str]:
    month = rng.choice(MONTHS)
    day = num2words(rng.randint(1, 31), to="ordinal").replace("-", " ").split()
    year = rng.randint(1930, 2029)
    century = [] if rng.random() < 0.4 else num2words(year, to="year").replace("-", " ").replace(",", "").split()
    return [month, *day, *century]


def _name(rng: random.Random) -> list[str]:
    name = [rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES)]
    opening = rng.choice(([], [], ["call"], ["my", "name", "is"], ["send", "a", "message", "to"]))
    return [*opening, *name]


def _spelled_name(rng: random.Random) -> list[str]:
    name = rng.choice(FIRST_NAMES + LAST_NAMES)
    return [name, *name.upper()]


def _address(rng: random.Random) -> list[str]:
    number = spell_number(rng.randint(1, 99)) if rng.random() < 0.5 else " ".join(rng.choices(DIGITS[1:], k=3))
    return [*number.split(), rng.choice(STREETS), rng.choice(KINDS_OF_STREET)]


def _command(rng: random.Random) -> list[str]:
    draw = rng.random()
    if draw < 0.5:
        return rng.choice(COMMANDS).split()
    if draw < 0.8:
        return ["turn", rng.choice(("on", "off")), "the", rng.choice(PLACES), rng.choice(THINGS)]
    amount = spell_number(rng.randint(1, 60)).split()
    return ["set", "a", "timer", "for", *amount, rng.choice(("seconds", "minutes", "hours"))]


# AN4's speakers gave their names, addresses, telephone numbers and birthdays, and spelled them: so do these.
Mix = Mapping[Callable[[random.Random], list[str]], int]  # kinds of sentence → how often each comes
AN4: Mix = {_letters: 3, _code: 3, _digits: 6, _date: 5, _name: 2, _spelled_name: 3, _address: 4, _command: 4}
# Training hears less of what it would hear hundreds of times, digits, and more of the words that are rare.
RARE_WORDS: Mix = {_letters: 2, _code: 2, _digits: 3, _date: 4, _name: 4, _spelled_name: 4, _address: 5, _command: 6}


def draw_sentence(rng: random.Random, mix: Mix) -> tuple[str, str]:
    """Draw one sentence.

    Args:
        rng: the source of chance.
        mix: kinds of sentence and how often each comes, `AN4` or `RARE_WORDS`.

    Returns:
        transcript: in a–z, space and apostrophe.
        spoken: the same, as espeak-ng should read it (spelled letters in capitals).
    """
    (kind,) = rng.choices(list(mix), weights=list(mix.values()))
    words = kind(rng)
    # A capital A alone would be read as the article.
    spoken = " ".join("ay" if word == "A" else word for word in words)
    return " ".join(words).lower(), spoken
