"""Sentences chosen out of any text: for voices and language models, without those that are to stay unseen."""

import pytest

from manifests import ManifestError
from manifests.broad_texts import choose

TRANSCRIPTS = ["we call it bear", "try your new shoes", "we call it bear"]


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "talk.txt"
    rows = [f"I have {count} dogs. You’re late (as usual)! Dogs bark." for count in range(1, 10)]
    path.write_text(
        "\n".join([*rows, "Try your new shoes", "The bear is late.", "Dogs bark zzyzx.", "", "<unclear"]),
        encoding="utf-8",
    )
    return path


def test_common_words_are_taken_and_slips_are_not(text):
    found = choose(TRANSCRIPTS, [text], count=100)
    assert "dogs bark" in found.written and "you're late" in found.written
    assert "the bear is late" not in found.written  # `is` is written once
    assert not any("zzyzx" in line for line in found.written)
    assert len(set(found.written)) == len(found.written)


def test_what_is_to_stay_unseen_is_neither_spoken_nor_written(text):
    found = choose(TRANSCRIPTS, [text], apart={"you're late"}, count=100)
    assert "you're late" not in found.written + found.spoken
    assert "try your new shoes" not in found.written  # a transcript is learnt from as one


def test_transcripts_are_all_spoken_the_rest_is_drawn_by_the_seed(tmp_path):
    many = tmp_path / "many.txt"
    many.write_text("\n".join(f"i have {a} {b}" for a in ("red", "blue") * 3 for b in ("dogs", "cats") * 3))
    found = choose(TRANSCRIPTS, [many], count=4)
    assert len(found.spoken) == 4 and set(TRANSCRIPTS) < set(found.spoken)
    assert found == choose(TRANSCRIPTS, [many], count=4)
    assert set(choose(TRANSCRIPTS, [many], count=1).spoken) == set(TRANSCRIPTS)


def test_without_a_text_the_transcripts_are_what_there_is():
    found = choose(TRANSCRIPTS, [])
    assert found.written == [] and sorted(found.spoken) == sorted(set(TRANSCRIPTS))


def test_a_text_of_which_nothing_can_be_used_is_refused(tmp_path):
    path = tmp_path / "short.txt"
    path.write_text("Hello there, world.")
    with pytest.raises(ManifestError, match=r"short\.txt holds no sentence .* longer text"):
        choose(TRANSCRIPTS, [path])


def test_long_sentences_are_taken_in_parts(tmp_path):
    path = tmp_path / "book.txt"
    path.write_text("we saw the bear and the dogs, and they saw us all the time: " * 9 + "and so we went.\n")
    assert "and they saw us all the time" in choose(TRANSCRIPTS, [path]).written
