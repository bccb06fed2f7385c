"""Books have sentences, whatever their lines are."""

import random
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests import ManifestError
from manifests.spoken_texts import read_texts
from manifests.text import TextOptions
from manifests.wrapped import numbered_sentences, sentence_lines, wrapped

WORDS = st.text("abcdefghij", min_size=1, max_size=9)


def page(paragraphs, width):
    return "\n\n".join("\n".join(textwrap.wrap(" ".join(one), width)) for one in paragraphs) + "\n"


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), width=st.integers(50, 110))
def test_a_wrapped_text_gives_its_sentences(tmp_path_factory, seed, width):
    rng = random.Random(seed)
    words = ["".join(rng.choices("abcdefghij", k=rng.randint(1, 9))) for _ in range(200)]
    paragraphs = [[" ".join(rng.choices(words, k=rng.randint(4, 30))) + "." for _ in range(9)] for _ in range(6)]
    path = tmp_path_factory.mktemp("book") / "book.txt"
    path.write_text(page(paragraphs, width))
    assert sentence_lines(path) == [sentence for one in paragraphs for sentence in one]
    lines = path.read_text().splitlines()
    for number, sentence in numbered_sentences(path)[0]:
        assert sentence.split()[0] in lines[number - 1]


@settings(deadline=None, max_examples=40)
@given(lines=st.lists(st.lists(WORDS, min_size=1).map(" ".join), min_size=30, max_size=80), end=st.sampled_from(".?"))
def test_a_sentence_a_line_stays_a_line(lines, end):
    assert not wrapped(lines)
    assert not wrapped([line + end for line in lines])


@pytest.mark.parametrize("end", ["", "."])
def test_sentences_of_one_length_are_no_page(end):
    assert not wrapped([f"turn on the {thing} lamp in the little room{end}" for thing in ("tall", "blue", "next")] * 30)


def test_a_book(tmp_path):
    text = (
        'Mr. Holmes, of 221 B. Street, turned. "So do I. Why?" said Dr. Watson, and St. James rang out over the '
        "roofs of the town! It was late. "
    )
    path = tmp_path / "book.txt"
    path.write_text("\n\n".join(textwrap.fill(text * 4, 72) for _ in range(4)))
    assert sentence_lines(path)[:5] == [
        "Mr. Holmes, of 221 B. Street, turned.",
        '"So do I.',
        'Why?',
        "said Dr. Watson, and St. James rang out over the roofs of the town!",
        "It was late.",
    ]  # fmt: skip


def test_the_sentences_of_a_book_are_spoken(tmp_path):
    """Not its lines; one that lasts longer than training takes in parts."""
    long = ", ".join(["and so they went on along the road to the town"] * 6)
    said = [f"We turn the lamp on and wait for {name} to come home." for name in ("Ann", "Bob", "Cleo", "Dan")]
    path = tmp_path / "book.txt"
    path.write_text(
        "\n\n".join(
            textwrap.fill(" ".join([*said, f"Then it was {number} o'clock. {long}."]), 70)
            for number in ("one", "two", "three")
        )
    )
    texts, notes = read_texts(path, TextOptions())
    assert "we turn the lamp on and wait for ann to come home" in texts and "then it was two o'clock" in texts
    assert max(len(text.split()) for text in texts) <= 12
    assert "broken at a width" in notes[0]
    path.write_text("turn it on\n\n12 345 lamps\nturn it off\n")
    texts, notes = read_texts(path, TextOptions())
    assert texts == ["turn it on", "turn it off"]
    assert "book.txt:3:" in notes[-1] and not any("width" in note for note in notes)


def test_few_lines_and_none(tmp_path):
    path = tmp_path / "few.txt"
    path.write_text("turn on\n\nthe lamp\n")
    assert sentence_lines(path) == ["turn on", "the lamp"]
    path.write_text("")
    assert sentence_lines(path) == []
    with pytest.raises(ManifestError, match="none.txt"):
        sentence_lines(tmp_path / "none.txt")
