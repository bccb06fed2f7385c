"""Text, times and confidence from log-probabilities; sound from any file."""

import re

import numpy as np
import pytest
import soundfile
from hypothesis import example, given
from hypothesis import strategies as st

from heyjetson import AudioError
from heyjetson.audio import load, to_mono
from heyjetson.decoding.factory import make_decoder
from heyjetson.decoding.greedy import GreedyDecoder
from heyjetson.decoding.hypothesis import Word
from heyjetson.errors import DecoderError

LABELS = list(" abc")
BLANK = 4


def log_probs(path: str, confidence: float = 0.9) -> np.ndarray:
    """Rows whose best label spells `path`, `_` being the blank."""
    rows = np.full((len(path), 5), (1 - confidence) / 4)
    for row, character in zip(rows, path, strict=True):
        row[BLANK if character == "_" else LABELS.index(character)] = confidence
    return np.log(rows)


def greedy(rows: np.ndarray, offset: float = 0.0) -> list[Word]:
    """Words of a whole utterance."""
    decoder = GreedyDecoder(LABELS, BLANK, 0.04)
    decoder.reset(offset)
    decoder.feed(rows)
    return decoder.finish()[0].words


def test_repeats_and_blanks():
    words = greedy(log_probs("__aa_ab  _cc_"))
    assert [word.text for word in words] == ["aab", "c"]
    assert (words[0].start, words[0].end) == (0.08, 0.28)
    assert (words[1].start, words[1].end) == (0.4, 0.48)
    assert words[0].confidence == pytest.approx(0.9, abs=1e-3)


def test_nothing_said():
    assert greedy(log_probs("____")) == []
    assert greedy(log_probs("_ __ ")) == []
    assert greedy(np.zeros((0, 5))) == []


def collapse(path: str) -> str:
    """The definition: drop repeats, then blanks; those of more than 0.6 s are as a space."""
    path = re.sub("_{16,}", " ", path)
    kept = [character for i, character in enumerate(path) if i == 0 or path[i - 1] != character]
    return " ".join("".join(character for character in kept if character != "_").split())


@pytest.mark.parametrize("options", [{}, {"n_best": 2}, {"hot_words": {"a": 1.0}}])
def test_no_pause_joins_two_words(options, monkeypatch):
    for compiled in (True, False):
        if not compiled:
            monkeypatch.setattr("heyjetson.decoding.core.library", lambda: None)
        for blanks, text in ((15, "abc"), (16, "ab c")):
            rows = log_probs("_ab" + "_" * blanks + "c__", 0.99)
            decoder = make_decoder(LABELS, BLANK, 0.04, **options)
            for row in rows:
                decoder.feed(row[None])
            partial = decoder.words()
            assert decoder.finish()[0].text == " ".join(word.text for word in partial) == text
            assert partial[0].end <= 0.12 or text == "abc"
        unspaced = make_decoder(LABELS[1:], BLANK - 1, 0.04, n_best=options.get("n_best", 1))
        unspaced.feed(np.delete(rows, 0, axis=1))  # where no label is a space nothing parts words
        assert unspaced.finish()[0].text == "abc"


@given(st.text("_ abc", max_size=30))
@example("_ab" + "_" * 16 + "c")
def test_greedy_is_the_definition(path):
    words = greedy(log_probs(path))
    assert " ".join(word.text for word in words) == collapse(path)
    times = [time for word in words for time in (word.start, word.end)]
    assert times == sorted(times)


@given(st.text("_ abc", max_size=30), st.lists(st.integers(0, 30)), st.integers(0, 2**32 - 1))
def test_greedy_does_not_depend_on_the_cuts(path, cuts, seed):
    rows = log_probs(path) + np.random.default_rng(seed).normal(0, 0.3, (len(path), 5))
    decoder = GreedyDecoder(LABELS, BLANK, 0.04)
    decoder.reset(2.5)
    for part in np.split(rows, sorted(cut for cut in cuts if cut < len(path))):
        decoder.feed(part)
        decoder.words()
    partial = decoder.words()
    (hypothesis,) = decoder.finish()
    assert hypothesis.words == partial == greedy(rows, 2.5)
    assert hypothesis.text == " ".join(word.text for word in partial)
    assert hypothesis.score == pytest.approx(rows.max(axis=1).sum() if path else 0.0)


def test_a_label_goes_on_over_a_cut():
    decoder = GreedyDecoder(LABELS, BLANK, 0.04)
    decoder.feed(log_probs("_aa", 0.6))
    assert [(word.text, word.end) for word in decoder.words()] == [("a", 0.12)]
    decoder.feed(log_probs("aab", 0.9))
    assert [(word.text, word.start, word.end) for word in decoder.words()] == [("ab", 0.04, 0.24)]
    assert decoder.words()[0].confidence == pytest.approx(0.9, abs=1e-3)  # the best frame of each character


def test_the_blank_may_stand_anywhere():
    rows = log_probs("_ab_ cc")
    first = GreedyDecoder(LABELS, 0, 0.04)
    first.feed(rows[:, [4, 0, 1, 2, 3]])
    assert first.finish()[0].words == greedy(rows)


def test_wrong_use_is_named():
    decoder = make_decoder(LABELS, BLANK, 0.04)
    assert isinstance(decoder, GreedyDecoder)
    with pytest.raises(DecoderError, match=r"\[T, 5\], found \[3, 4\]"):
        decoder.feed(np.zeros((3, 4)))
    with pytest.raises(DecoderError, match="not numbers"):
        decoder.feed(np.full((1, 5), np.nan))
    decoder.finish()
    with pytest.raises(DecoderError, match=r"reset\(\)"):
        decoder.feed(log_probs("a"))
    with pytest.raises(DecoderError, match=r"reset\(\)"):
        decoder.finish()
    decoder.reset()
    decoder.feed(log_probs("a"))
    with pytest.raises(DecoderError, match="n_best must be 1 or more"):
        make_decoder(LABELS, BLANK, 0.04, n_best=0)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_any_file_becomes_mono_at_the_wanted_rate(tmp_path, rate, channels, suffix):
    tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32) * 0.5
    path = tmp_path / f"tone.{suffix}"
    soundfile.write(path, np.repeat(tone[:, None], channels, axis=1), rate)
    samples = load(path, 16000)
    assert samples.dtype == np.float32
    assert abs(len(samples) - 16000) <= 1
    expected = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000) * 0.5
    np.testing.assert_allclose(samples[200:15800], expected[200:15800], atol=2e-3)


def test_integers_and_nonsense():
    np.testing.assert_allclose(to_mono(np.array([0, 16384, -32768], np.int16)), [0.0, 0.5, -1.0])
    with pytest.raises(AudioError, match="NaN or infinity"):
        to_mono(np.array([0.0, np.nan]))
    with pytest.raises(AudioError, match="shape"):
        to_mono(np.zeros((2, 2, 2)))


def test_unreadable_files(tmp_path):
    with pytest.raises(AudioError, match="There is no file"):
        load(tmp_path / "none.wav", 16000)
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16000)
    with pytest.raises(AudioError, match="no samples"):
        load(tmp_path / "empty.wav", 16000)
    (tmp_path / "text.wav").write_text("no sound at all")
    with pytest.raises(AudioError, match="text.wav cannot be decoded"):
        load(tmp_path / "text.wav", 16000)
