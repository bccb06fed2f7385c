"""A model that writes sounds, served: its language model makes words of them, whether asked for or not."""

import json
import math
from dataclasses import replace

import httpx
import numpy as np
import pytest
import soundfile

from heyjetson.bundle import Bundle
from heyjetson.engine import Engine
from heyjetson.server.engines.local import BundleEngine
from heyjetson.server.live.realtime_messages import Realtime
from heyjetson.server.settings import Settings
from tests.heyjetson import trigger_fake
from tests.heyjetson.server.running import served


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return trigger_fake.make_sounding(tmp_path_factory.mktemp("sounds") / "bundle").folder


@pytest.fixture(scope="module")
def sounds(folder, tmp_path_factory):
    """A running server: its address."""
    with served(Settings(folder, state=tmp_path_factory.mktemp("state"))) as address:
        yield address


def transcribed(sounds, path, level=1.0, **form):
    samples = np.concatenate([trigger_fake.say("b a "), trigger_fake.quiet(0.5)])
    soundfile.write(path, level * samples, trigger_fake.RATE)
    with path.open("rb") as file:
        return httpx.post(f"{sounds}/v1/audio/transcriptions", files={"file": file}, data=form)


def test_keywords_are_words_not_sounds(sounds, tmp_path):
    assert transcribed(sounds, tmp_path / "x.wav", **{"keywords[]": ["AY", "Bee"]}).json() == {"text": "bee ay"}
    refused = transcribed(sounds, tmp_path / "x.wav", **{"keywords[]": ["Jetson"]})
    assert refused.status_code == 422 and "how 'jetson' is pronounced" in refused.text


def test_letters_of_words_are_no_indices_of_sounds(sounds, tmp_path):
    found = transcribed(sounds, tmp_path / "x.wav", response_format="verbose_json").json()
    assert found["text"] == "bee ay"
    assert [segment["tokens"] for segment in found["segments"]] == [[]]


def test_log_probabilities_are_those_of_the_sounds(sounds, tmp_path):
    """Of one sound a word here, not of its letters: quiet sound, of which the model is not sure."""
    words = {"level": 0.23, "response_format": "verbose_json"}
    found = transcribed(sounds, tmp_path / "x.wav", **words, **{"timestamp_granularities[]": "word"}).json()
    sure = [math.log(word["confidence"]) for word in found["words"]]
    asked = {"level": 0.23, "response_format": "json", "include[]": "logprobs"}
    said = transcribed(sounds, tmp_path / "x.wav", **asked).json()["logprobs"]
    assert [token["token"] for token in said] == ["bee", " ay"] and min(sure) < -0.05
    streamed = transcribed(sounds, tmp_path / "x.wav", stream="true", **asked).text
    *_, done = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith("data: {")]
    for tokens in (said, done["logprobs"]):
        assert [token["logprob"] for token in tokens] == pytest.approx(sure, abs=2e-4)  # one sound each
    found = transcribed(sounds, tmp_path / "x.wav", **words).json()
    assert found["segments"][0]["avg_logprob"] == pytest.approx(sum(sure) / 2, abs=2e-4)


def test_the_server_says_that_a_language_model_helps(sounds):
    assert httpx.get(f"{sounds}/v1/about").json()["running"]["scorer"] is True


def test_another_language_model_is_another_engine(folder):
    bundle = Bundle(folder)
    files = {**bundle.manifest["files"], "scorer": {"sha256": "other"}}
    other = Engine(bundle)
    other.bundle = Bundle(folder)
    other.bundle.manifest["files"] = files
    one, two = (BundleEngine("model", "model", engine, None, None) for engine in (Engine(bundle), other))
    assert one.identity != two.identity


def test_what_it_has_written_may_change(folder):
    class Models:
        settings = replace(Settings(folder), scorer=None)
        engine = Engine(Bundle(folder))
        trigger, model_name = None, "bundle"

        def require_model(self, name):
            """It is here."""

    session = Realtime(Models(), {})
    session._begun(0.0)
    assert not session._item.deltas.steady
