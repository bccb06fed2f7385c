"""Words for sounds: of those that are said alike the likeliest, whole sentences and streams alike."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heyjetson.decoding.factory import make_decoder
from heyjetson.decoding.pronunciations import BACKOFF, BORDER, Pronunciations
from heyjetson.decoding.scorer import Scorer
from heyjetson.errors import DecoderError, ScorerError

SOUNDS = {"two": "tu", "too": "tu", "to": "tu", "go": "go", "no": "no", "know": "no", "i": "Y"}
TEXTS = ["i go to", "i know", "i go too", "no", "two", "i go to", "i know", "i go too", "no", "two", "i go to"]
LABELS = [" ", "t", "u", "g", "o", "n", "Y"]


@pytest.fixture(scope="module")
def said():
    return Pronunciations.of(TEXTS, SOUNDS)


def test_words_that_sound_alike_are_told_apart_by_their_neighbours(said):
    assert said.spell(["Y", "no"]) == ["i", "know"] and said.spell(["no"]) == ["no"]
    assert said.spell(["tu"]) == ["two"] and said.spell(["Y", "go", "tu"]) == ["i", "go", "to"]
    assert said.spell(["xyz", "no"])[0] == "xyz" and said.spell([]) == []


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(sorted(set(SOUNDS.values()))), max_size=5))
def test_no_other_words_of_these_sounds_are_likelier(said, sounds):
    def score(words):
        pairs = zip([BORDER, *words], [*words, BORDER], strict=True)
        return sum(
            math.log(said.pairs[pair] / said.counts[pair[0]])
            if pair in said.pairs
            else math.log(BACKOFF * said.counts[pair[1]] / sum(said.counts.values()))
            for pair in pairs
        )

    ways = product(*([word for word, own in SOUNDS.items() if own == one] for one in sounds))
    assert score(said.spell(sounds)) == pytest.approx(max(map(score, ways)))


def test_hot_words_choose_among_words_that_sound_alike(said):
    assert said.spell(["Y", "go", "tu"]) == ["i", "go", "to"]
    assert (
        said.spell(["Y", "go", "tu"], {"too": 0.1})[2] == "to"
        and said.spell(["Y", "go", "tu"], {"too": 3.0})[2] == "too"
    )
    assert said.spell(["tu"], {"two": -9.0}) != ["two"]
    # A phrase counts where all of it was said, and its words share what it adds.
    assert said.spell(["go", "tu", "no"], {"two know": 8.0}) == ["go", "two", "know"]
    assert said.spell(["go", "tu"], {"two know": 8.0}) == said.spell(["go", "tu"])
    assert said.spell(["xyz"], {"unheard of": 3.0, "": 1.0}) == ["xyz"] and said.spell([], {"too": 3.0}) == []


def test_what_is_written_is_read(said):
    read = Pronunciations.parse(said.text())
    assert (read.sounds, read.pairs) == (dict(said.sounds), dict(said.pairs))
    assert read.counts == dict(said.counts)
    with pytest.raises(ValueError):
        Pronunciations.parse("two\ttu\n")


@pytest.fixture
def scorer(said, tmp_path):
    """A scorer of the words as they are said, from the command that users type."""
    from experiments.lm.__main__ import main

    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    arpa = tmp_path / "lm.arpa"
    assert main(["train", "--text", str(tmp_path / "texts.txt"), "--phones", "--order", "2", "--out", str(arpa)]) == 0
    from experiments.lm.pack import open_model, pack

    return pack(open_model(arpa, LABELS), LABELS, tmp_path / "scorer", 0.3, 0.0, 16)


def spoken(text: str) -> np.ndarray:
    """Log-probabilities [T, V + 1] of a text of sounds."""
    rows = []
    for one in text:
        row = np.full(len(LABELS) + 1, 1e-3)
        row[LABELS.index(one)] = 1
        rows += [row, np.eye(len(LABELS) + 1)[-1] + 1e-3]
    rows = np.array(rows)
    return np.log(rows / rows.sum(1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("compiled", [True, False])
def test_a_search_over_sounds_gives_words(scorer, compiled, monkeypatch):
    from heyjetson.decoding import core

    if not compiled:
        pytest.importorskip("flashlight.lib.text")
        monkeypatch.setattr(core, "library", lambda: None)
    decoder = make_decoder(LABELS, len(LABELS), 0.04, scorer=scorer, n_best=2)
    decoder.feed(spoken("Y go t"))
    assert [word.text for word in decoder.words()] == ["i", "go"]  # "t" is no word
    decoder.feed(spoken("u"))
    assert [word.text for word in decoder.words()] == ["i", "go", "to"]
    best = decoder.finish()[0]
    assert best.text == "i go to" == " ".join(word.text for word in best.words)
    assert all(word.start < word.end for word in best.words)
    decoder.reset()
    decoder.feed(spoken("no"))
    assert decoder.finish()[0].text == "no"


def test_hot_words_are_words(scorer):
    hot = make_decoder(LABELS, len(LABELS), 0.04, scorer=scorer, hot_words={"no": 20.0})
    hot.feed(spoken("go"))
    assert hot.finish()[0].text == "no"
    with pytest.raises(DecoderError, match="how 'jetson' is pronounced"):
        make_decoder(LABELS, len(LABELS), 0.04, scorer=scorer, hot_words={"jetson": 2.0})


def test_damaged_pronunciations_are_refused(scorer, said, tmp_path):
    import zipfile

    bad = tmp_path / "bad"
    with zipfile.ZipFile(scorer.path) as source, zipfile.ZipFile(bad, "w") as target:
        for name in source.namelist():
            text = source.read(name)
            target.writestr(zipfile.ZipInfo(name), text.replace(b"know", b"knew") if name.startswith("pron") else text)
    with pytest.raises(ScorerError, match="pronunciations.txt does not match"):
        Scorer.open(bad, LABELS)


def test_a_model_that_is_made_anew_forgets_the_pronunciations(tmp_path):
    from experiments.lm import LmError
    from experiments.lm.__main__ import main
    from experiments.lm.arpa import read_pronunciations

    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    command = ["train", "--text", str(tmp_path / "texts.txt"), "--order", "2", "--out", str(tmp_path / "lm.arpa")]
    assert main([*command, "--phones"]) == 0
    assert read_pronunciations(tmp_path / "lm.arpa").sounds["know"] == "no"
    (tmp_path / "lm.arpa.pronunciations").rename(tmp_path / "other")
    with pytest.raises(LmError, match="is not beside it"):
        read_pronunciations(tmp_path / "lm.arpa")
    assert main(command) == 0
    assert read_pronunciations(tmp_path / "lm.arpa") is None
    assert main([*command, "--phones", "--unit", "character"]) == 1


def test_a_bundle_that_writes_sounds_writes_words_without_being_asked(tmp_path):
    from heyjetson import Engine
    from tests.heyjetson.trigger_fake import RATE, make_sounding, make_speech, say

    letters = make_speech(tmp_path / "letters")
    assert not letters.writes_sounds and Engine(letters).transcribe(say("b a "), RATE).text == "b a"
    bundle = make_sounding(tmp_path / "bundle")
    assert bundle.writes_sounds
    assert Engine(bundle).transcribe(say("b a "), RATE).text == "bee ay"
    stream = Engine(bundle).stream(RATE)
    stream.feed(say("b a "))
    assert stream.finish().text == "bee ay"


def test_a_phrase_is_a_hot_word_by_its_words_not_by_its_letters(tmp_path):
    from heyjetson import Engine
    from tests.heyjetson.trigger_fake import make_sounding, make_speech

    engine = Engine(make_sounding(tmp_path / "bundle"))
    assert engine.spelled(" AY  Bee") == "ay bee"  # "b" and "a" are sounds, "y" is none
    assert engine.can_write("ay bee") and not engine.can_write("ab") and not engine.can_write("")
    letters = Engine(make_speech(tmp_path / "letters"))
    assert letters.spelled(" AB  a") == "ab a"
    assert letters.can_write("ab a") and not letters.can_write("ay") and not letters.can_write("")


def test_the_language_model_of_a_bundle_that_writes_sounds_takes_part_unasked(tmp_path):
    from tests.heyjetson.trigger_fake import make_sounding, make_speech

    bundle, letters = make_sounding(tmp_path / "bundle"), make_speech(tmp_path / "letters")
    assert (bundle.scorer_for(None), bundle.scorer_for("other")) == ("bundle", "other")
    assert (letters.scorer_for(None), letters.scorer_for("bundle")) == (None, "bundle")


def test_a_report_says_that_the_language_model_took_part(tmp_path, capsys):
    import soundfile

    from experiments.compare.bundles import load_bundle
    from experiments.evaluation.evaluate import evaluate_bundle
    from experiments.evaluation.report import hashes_of
    from tests.heyjetson.trigger_fake import RATE, make_sounding, say

    bundle = make_sounding(tmp_path / "bundle")
    soundfile.write(tmp_path / "a.wav", say("b a "), RATE)
    manifest = tmp_path / "test.jsonl"
    manifest.write_text('{"audio_filepath": "a.wav", "duration": 0.64, "text": "bee ay"}\n')
    report = evaluate_bundle(bundle.folder, manifest)
    report.hashes = hashes_of(bundle.folder, report.scorer)
    assert report.scorer == "bundle" and "scorer_sha256" in report.hashes
    assert "does not write" not in capsys.readouterr().err
    manifest.with_name("sounds.jsonl").write_text(manifest.read_text().replace("bee ay", "b Q"))
    evaluate_bundle(bundle.folder, manifest.with_name("sounds.jsonl"))
    assert "1 of 1 transcripts" in (told := capsys.readouterr().err) and "'Q'" in told and "'b'" not in told
    report.write(tmp_path / "bundle-test-scorer.json")
    assert load_bundle(bundle.folder).results["test"].scorer == "bundle"


def test_a_hot_word_is_written_as_it_was_asked_for(tmp_path, monkeypatch):
    from heyjetson import Engine
    from tests.heyjetson.trigger_fake import RATE, make_sounding, say

    engine = Engine(make_sounding(tmp_path / "bundle"))
    spelling = Pronunciations.of(["ay bee", "ay bee", "eh"], {"ay": "a", "eh": "a", "bee": "b"})
    monkeypatch.setattr(engine._scorer(None), "pronunciations", spelling)
    assert engine.transcribe(say("a b "), RATE, engine.decoder()).text == "ay bee"
    assert engine.transcribe(say("a b "), RATE, engine.decoder(hot_words={"eh": 5.0})).text == "eh bee"


def test_of_hot_words_that_sound_alike_the_search_hears_the_one_that_adds_most(said):
    assert said.phrases({"two": 3.0, "too": 1.0, "go to": -1.0}) == {"tu": 3.0, "go tu": -1.0}
    assert said.phrases({"too": -2.0, "two": -5.0}) == {"tu": -2.0}
