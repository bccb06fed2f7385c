"""Views of a recording: what is drawn fits what was heard."""

import base64
import copy
import json

import httpx
import numpy as np
import pytest
import soundfile

from heyjetson import AudioError, Bundle, Engine
from heyjetson.server.audio.uploads import Clip
from heyjetson.server.explore import views as module
from heyjetson.server.explore.views import pack, pooled, views
from heyjetson.server.settings import Settings
from tests.heyjetson import trigger_fake
from tests.heyjetson.server.running import served

RATE = trigger_fake.RATE


def unpack(packed: dict) -> np.ndarray:
    """As plots.js does."""
    steps = np.frombuffer(base64.b64decode(packed["data"]), np.uint8).reshape(packed["shape"])
    return packed["low"] + steps * (packed["high"] - packed["low"]) / 255


@pytest.fixture(scope="module")
def engine(speech_folder) -> Engine:
    return Engine(Bundle(speech_folder))


@pytest.fixture(scope="module")
def whole(engine) -> Engine:
    """The same model as one that hears clips of 1.5 s at most."""
    bundle = object.__new__(Bundle)
    object.__setattr__(bundle, "folder", engine.bundle.folder)
    object.__setattr__(bundle, "manifest", engine.bundle.manifest | {"kind": "ctc", "longest_seconds": 1.5})
    other = copy.copy(engine)
    other.bundle = bundle

    def log_probs(samples, length=None):
        given = engine.stream_log_probs([samples[0]])
        return given[None], np.array([len(given)])

    other.log_probs = log_probs
    return other


def clip(text: str = "ab ba", seconds: float = 1.0, channels: int = 1) -> Clip:
    quiet = trigger_fake.quiet(seconds)
    samples = np.concatenate([quiet, trigger_fake.say(text), quiet])
    return Clip(np.repeat(samples[:, None], channels, axis=1), RATE)


def test_packing_keeps_values_within_a_step():
    values = np.random.default_rng(0).standard_normal((7, 30))
    packed = pack(values)
    np.testing.assert_allclose(unpack(packed), values, atol=(packed["high"] - packed["low"]) / 500)
    assert unpack(pack(np.zeros((2, 2)))).max() < 1e-5
    assert unpack(pack(np.array([[-np.inf, 0.0]]), -12, 0)).tolist() == [[-12, 0]]


@pytest.mark.parametrize("columns", [1, 999, 1000, 1001, 2500])
def test_pooling_keeps_the_highest_or_the_mean(columns):
    values = np.random.default_rng(1).standard_normal((3, columns))
    highest, step = pooled(values)
    assert highest.shape[1] == -(-columns // step) <= 1000
    assert highest.max() == values.max()
    np.testing.assert_allclose(
        pooled(values, mean=True)[0][:, -1], values[:, (highest.shape[1] - 1) * step :].mean(axis=1)
    )


@pytest.mark.parametrize("which", ["engine", "whole"])
def test_the_map_the_path_and_the_words_fit_each_other(which, request):
    engine = request.getfixturevalue(which)
    seen = views(engine, clip())
    picture = seen["log_probs"]
    assert seen["prediction"]["text"] == "ab ba"
    assert picture["labels"] == ["a", "b", " ", ""]
    assert [run["label"] for run in picture["path"]] == ["a", "b", " ", "b", "a"]
    drawn = unpack(picture)
    for run in picture["path"]:
        assert picture["labels"][run["row"]] == run["label"]
        column = int((run["start"] + run["end"]) / 2 / picture["seconds_per_column"])
        assert drawn[:, column].argmax() == run["row"]
        assert run["probability"] > 0.9
    first = seen["prediction"]["words"][0]
    assert first["start"] == picture["path"][0]["start"] == pytest.approx(1.0, abs=0.1)
    json.dumps(seen, allow_nan=False)


def test_features_have_the_shape_of_the_sound(engine):
    seen = views(engine, clip(channels=2))
    assert seen["seconds"] == seen["total_seconds"] == 3.0
    assert (seen["rate"], seen["model_rate"], seen["cut"]) == (RATE, RATE, False)
    assert seen["log_spectrogram"]["shape"] == [161, 299]
    assert seen["mel"]["shape"] == [80, 298]
    assert seen["mfcc"]["shape"] == [13, 298]
    assert len(seen["mel"]["hertz"]) == 80
    assert len(seen["waveform"]["low"]) == len(seen["waveform"]["high"]) == 1200


def test_a_long_recording_is_cut_and_its_answer_stays_small(engine):
    samples = np.tile(trigger_fake.say("ab "), 200)[: 90 * RATE]
    seen = views(engine, Clip(samples[:, None], RATE))
    assert (seen["seconds"], seen["total_seconds"], seen["cut"]) == (60.0, 90.0, True)
    assert seen["log_spectrogram"]["shape"][1] <= 1000
    assert len(json.dumps({**seen, "prediction": None, "log_probs": None})) < 500_000
    assert seen["prediction"]["words"][-1]["end"] <= 60.0


def test_sound_at_another_rate_is_seen_as_the_model_hears_it(engine):
    given = clip()
    double = Clip(np.repeat(given.samples, 2, axis=0), 2 * RATE)
    seen = views(engine, double)
    assert (seen["rate"], seen["seconds"]) == (2 * RATE, 3.0)
    assert seen["prediction"]["text"] == "ab ba"


def test_of_many_labels_the_likeliest_are_drawn(monkeypatch, engine):
    monkeypatch.setattr(module, "LABELS", 3)
    picture = views(engine, clip("ab"))["log_probs"]
    assert picture["labels"] == ["a", "b", ""]
    assert [picture["labels"][run["row"]] for run in picture["path"]] == ["a", "b"]


def test_silence_is_seen_too(engine):
    seen = views(engine, Clip(np.zeros((RATE, 1), np.float32), RATE))
    assert seen["prediction"] == {"text": "", "words": []}
    assert seen["log_probs"]["path"] == []


def test_too_short_a_recording_is_refused(engine):
    with pytest.raises(AudioError, match="nothing to look at"):
        views(engine, Clip(np.zeros((200, 1), np.float32), RATE))


# -- routes -----------------------------------------------------------------------------------------------------------


def test_a_file_that_is_cut_short_and_of_another_rate_is_said_to_be_so(site, tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros((96_000, 1)), 48_000)
    files = {"file": ("a.wav", path.read_bytes()[:96_044])}
    seen = httpx.post(f"{site}/v1/views", files=files).json()
    assert (seen["rate"], seen["model_rate"], seen["missing_seconds"]) == (48_000, RATE, 1.0)
    for route in ("compare", "sentiment/audio"):
        also = httpx.post(f"{site}/v1/{route}", files=files).json()
        assert (also["missing_seconds"], also["notes"]) == (1.0, seen["notes"]) and "cut short" in seen["notes"][0]


def test_a_file_is_looked_at(site, spoken):
    answer = httpx.post(f"{site}/v1/views", files={"file": ("../../etc/passwd", spoken.read_bytes())})
    assert answer.status_code == 200
    assert answer.json()["prediction"]["text"] == "ab ba"


@pytest.mark.parametrize("content", [b"", b"no sound", b"RIFF\0\0\0\0WAVE"])
def test_what_is_no_sound_is_refused_with_a_sentence(site, content):
    answer = httpx.post(f"{site}/v1/views", files={"file": ("a.wav", content)})
    assert 400 <= answer.status_code < 500
    assert answer.json()["error"]["message"].endswith(".")
    assert httpx.post(f"{site}/v1/views").status_code == 422


def test_an_utterance_is_looked_at_with_its_truth(speech_folder, spoken, tmp_path, monkeypatch):
    manifest = tmp_path / "spoken.jsonl"
    lines = [{"audio_filepath": str(spoken), "duration": soundfile.info(spoken).duration, "text": "ab b"}]
    lines.append({"audio_filepath": "missing.wav", "duration": 1.0, "text": "a"})
    manifest.write_text("\n".join(json.dumps(line) for line in lines))
    with served(Settings(speech_folder, data=(manifest,), state=tmp_path)) as address:
        seen = httpx.get(f"{address}/v1/dataset/spoken/0/views").json()
        assert (seen["text"], seen["prediction"]["text"]) == ("ab b", "ab ba")
        assert [step["op"] for step in seen["alignment"]] == ["equal", "substitute"]
        assert seen["score"]["wer"] == 0.5
        monkeypatch.setattr(module, "LONGEST_SECONDS", 1.5)  # of a part of what was said there is no error rate
        seen = httpx.get(f"{address}/v1/dataset/spoken/0/views").json()
        assert seen["cut"] and seen["text"] == "ab b" and "score" not in seen and "alignment" not in seen
        for index in (1, 2, -1):
            assert httpx.get(f"{address}/v1/dataset/spoken/{index}/views").status_code == 404
