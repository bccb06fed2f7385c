"""Sentiment by sentence, and the course of a conversation."""

import io
import subprocess
import sys

import httpx
import numpy as np
import pytest
import soundfile

from heyjetson import Bundle, Engine
from heyjetson.server.audio.uploads import Clip
from heyjetson.server.sentiment import analysis
from heyjetson.server.sentiment.analysis import SCORES, analyse, sentences, words_of
from heyjetson.server.sentiment.conversation import alike, heard
from heyjetson.server.sentiment.timed_word import TimedWord
from tests.heyjetson import trigger_fake

RATE = trigger_fake.RATE


def said(text: str, start: float = 0.0, channel: int | None = None, pace: float = 0.3) -> list[TimedWord]:
    """A sentence, a word every `pace` seconds."""
    words = text.split()
    return [TimedWord(word, start + n * pace, start + (n + 0.9) * pace, channel) for n, word in enumerate(words)]


TALK = [
    *said("i had a wonderful week", 0.0, 0),
    *said("what was so good", 2.0, 1),
    *said("my boss is terrible and i hate the noise", 4.0, 0),
    *said("that sounds bad", 8.0, 1),
]


def test_sentences_are_cut_at_pauses():
    cut = sentences([*said("one two", 0.0), *said("three", 1.5), *said("four", 1.9)])
    assert [[word.text for word in part] for part in cut] == [["one", "two"], ["three", "four"]]


def test_written_ends_cut_a_text():
    cut = sentences(TimedWord(word) for word in "So good! Is it? yes. and no".split())
    assert [" ".join(word.text for word in part) for part in cut] == ["So good!", "Is it?", "yes.", "and no"]


def test_long_sentences_are_cut_at_their_longest_pause():
    words = said(" ".join(["word"] * 40))
    later = [TimedWord(word.text, word.start + 0.4, word.end + 0.4) for word in words[18:]]
    cut = sentences([*words[:18], *later])
    assert [len(part) for part in cut] == [18, 22]
    assert all(len(part) <= 25 for part in sentences(TimedWord("word") for _ in range(1000)))


@pytest.mark.parametrize(
    "text",
    ["x" * 10_000, "\N{GRINNING FACE}" * 2_000, "good " * 500, "but " * 500 + "a-" * 5_000, "\N{CAT FACE}x" * 500],
)
def test_what_vader_is_given_is_bounded(monkeypatch, text):
    """Its time grows with the square of that."""
    analyser = analysis.analyser()
    given = []

    def scores(sentence: str) -> dict[str, float]:
        given.append(sentence)
        return dict.fromkeys(SCORES, 0.0)

    monkeypatch.setattr(analyser, "polarity_scores", scores)
    found = analyse(words_of(text))
    assert " ".join(part["text"] for part in found["sentences"]) == " ".join(text.split())  # all of it is shown
    for sentence in given:
        words = sentence.split()
        assert len(words) <= 25
        assert all(len(word) <= 40 for word in words)
        assert all(sum(character in analyser.emojis for character in word) <= 1 for word in words)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("this is a good day", "positive"),
        ("this is not good", "negative"),
        ("the table is made of wood", "neutral"),
        ("i was very happy", "positive"),
        ("it hurts and i am afraid", "negative"),
    ],
)
def test_a_sentence_has_a_label(text, label):
    found = analyse(TimedWord(word) for word in text.split())
    assert found["overall"]["label"] == label
    assert found["overall"]["sentences"][label] == 1
    assert found["timing"] is None


def test_the_words_that_weigh_are_named():
    found = analyse(TimedWord(word) for word in "Good, but terrible weather.".split())
    assert [one["word"] for one in found["sentences"][0]["weighty"]] == ["good", "terrible"]


def test_a_long_text_is_the_mean_of_its_sentences():
    found = analyse(TimedWord(word) for word in ("It was good. " * 100 + "It was bad. " * 100).split())
    assert abs(found["overall"]["compound"]) < 0.1
    assert found["overall"]["sentences"] == {"positive": 100, "neutral": 0, "negative": 100}
    trend = [point["compound"] for point in found["trend"]]
    assert len(trend) == 200
    assert trend[0] > 0.3 > -0.3 > trend[-1]
    assert trend[97] > trend[99] > trend[101]


def test_a_conversation_has_two_speakers_and_a_course():
    found = analyse(reversed(TALK), 10.0)
    assert [(one["channel"], one["label"]) for one in found["sentences"]] == [
        (0, "positive"),
        (1, "positive"),
        (0, "negative"),
        (1, "negative"),
    ]
    timing = found["timing"]
    assert timing["seconds"] == 10.0
    assert timing["words_per_minute"] == pytest.approx(6 * len(TALK))
    first, second = timing["channels"]
    assert (first["words"], second["words"]) == (14, 7)
    assert first["share"] + second["share"] == pytest.approx(1)
    assert first["share"] > second["share"]
    assert timing["silence"] == pytest.approx(1 - (first["speech"] + second["speech"]) / 10, abs=0.02)
    assert timing["overlap"] == 0
    assert all(point["words_per_minute"] >= 0 for point in timing["pace"])
    assert timing["pace"][-1]["time"] < 10


def test_who_speaks_at_once_is_counted():
    both = [*said("good good good good", 0.0, 0), *said("bad bad bad bad", 0.0, 1)]
    timing = analyse(both, 2.4)["timing"]
    assert timing["overlap"] == pytest.approx(0.5, abs=0.05)
    assert timing["silence"] == pytest.approx(0.5, abs=0.05)


def test_nothing_said():
    found = analyse([], 3.0)
    assert found["sentences"] == found["trend"] == []
    assert found["overall"]["compound"] == 0


def test_channels_that_hold_one_sound():
    sound = trigger_fake.say("ab")
    assert alike(np.stack([sound, 0.5 * sound], axis=1))
    assert alike(np.zeros((100, 2), np.float32))
    assert not alike(np.stack([sound, trigger_fake.quiet(1.0)[: len(sound)]], axis=1))


@pytest.fixture(scope="module")
def two_speakers() -> Clip:
    left = np.concatenate([trigger_fake.say("ab"), trigger_fake.quiet(1.5, seed=1)])
    right = np.concatenate([trigger_fake.quiet(1.0, seed=2), trigger_fake.say("ba"), trigger_fake.quiet(1.0, seed=3)])
    length = min(len(left), len(right))
    return Clip(np.stack([left[:length], right[:length]], axis=1), RATE)


def test_each_channel_is_heard_by_itself(speech_folder, two_speakers):
    engine = Engine(Bundle(speech_folder))
    found = heard(engine, two_speakers)
    assert found["apart"]
    assert [(word["word"], word["channel"]) for word in found["words"]] == [("ab", 0), ("ba", 1)]
    assert found["text"] == "ab ba"
    together = heard(engine, two_speakers, "together")
    assert not together["apart"]
    assert {word["channel"] for word in together["words"]} == {None}
    assert not heard(engine, Clip(two_speakers.samples[:, :1], RATE), "apart")["apart"]


def test_requests_is_not_needed():
    """vaderSentiment names it, but only its own demonstration uses it."""
    code = (
        "import sys; sys.modules['requests'] = None; from heyjetson.server.sentiment.analysis import analyse;"
        "from heyjetson.server.sentiment.timed_word import TimedWord;"
        "print(analyse([TimedWord('good')])['overall']['label'])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "positive\n"


# -- routes -----------------------------------------------------------------------------------------------------------


def test_a_text_and_words_are_analysed(site):
    found = httpx.post(f"{site}/v1/sentiment", json={"text": "It was good. It was bad."}).json()
    assert [one["label"] for one in found["sentences"]] == ["positive", "negative"]
    words = [{"word": word.text, "start": word.start, "end": word.end, "channel": word.channel} for word in TALK]
    found = httpx.post(f"{site}/v1/sentiment", json={"words": words}).json()
    assert len(found["sentences"]) == 4
    assert found["timing"]["seconds"] == pytest.approx(TALK[-1].end)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": "a", "words": []},
        {"text": "  "},
        {"words": []},
        {"words": [{"word": " ", "start": 0, "end": 1}]},
        {"words": [{"word": "a", "start": -1, "end": 1}]},
        {"words": [{"word": "a", "start": 0, "end": 1e300}]},
        {"words": [{"word": "a", "start": 0}]},
        {"words": [{"word": "a", "start": 0, "end": 1, "channel": 99}]},
        {"text": 7},
        {"text": "a" * 200_001},
        {"words": [{"word": "a"}] * 100},
        [],
    ],
)
def test_what_cannot_be_analysed_is_refused(site, body):
    answer = httpx.post(f"{site}/v1/sentiment", json=body)
    assert answer.status_code == 422
    assert 0 < len(answer.json()["error"]["message"]) < 1000


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{", "application/json"),
        (b'{"text": "\\ud800"}', "application/json"),
        (b"\xff", "application/json"),
        (b"{}", "text/plain"),
    ],
)
def test_what_is_no_json_is_refused(site, body, kind):
    answer = httpx.post(f"{site}/v1/sentiment", content=body, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid")


def test_words_that_hold_many_are_counted_as_many(site):
    word = {"start": 0.0, "end": 1.0}
    found = httpx.post(f"{site}/v1/sentiment", json={"words": [{"word": "good day", **word}, {"word": "bye", **word}]})
    assert found.json()["sentences"][0]["words"] == 3
    many = httpx.post(f"{site}/v1/sentiment", json={"words": [{"word": "a " * 100, **word}] * 1001})
    assert many.status_code == 422
    assert "more than 50000 words" in many.json()["error"]["message"]


def test_odd_words_do_no_harm(site):
    words = [{"word": "good\u2028 <b>", "start": 5, "end": 1}, {"word": "😀", "start": 0, "end": 0}]
    found = httpx.post(f"{site}/v1/sentiment", json={"words": words}).json()
    assert [one["text"] for one in found["sentences"]] == ["😀", "good <b>"]


def test_a_recording_is_heard_and_analysed(site, two_speakers):
    file = io.BytesIO()
    soundfile.write(file, two_speakers.samples, RATE, format="WAV")
    found = httpx.post(f"{site}/v1/sentiment/audio", files={"file": ("a.wav", file.getvalue())}).json()
    assert found["text"] == "ab ba"
    assert found["apart"]
    assert len(found["sentences"]) == 2
    assert [one["channel"] for one in found["timing"]["channels"]] == [0, 1]
    assert found["timing"]["seconds"] == pytest.approx(two_speakers.seconds, abs=0.001)
    wrong = {"files": {"file": ("a.wav", file.getvalue())}, "data": {"channels": "three"}}
    assert httpx.post(f"{site}/v1/sentiment/audio", **wrong).status_code == 422
