"""Engines to compare with: how they are named, what they answer, how they fail."""

from __future__ import annotations

import asyncio
import logging

import httpx
import numpy as np
import pytest

from heyjetson.errors import BundleError, OptionError
from heyjetson.server.audio.uploads import Clip
from heyjetson.server.engines import open_engines
from heyjetson.server.engines.azure import AzureEngine
from heyjetson.server.engines.base import EngineError
from heyjetson.server.engines.openai import OpenAIEngine
from heyjetson.server.settings import Settings
from tests.heyjetson import trigger_fake
from tests.heyjetson.server.engines_fake import KEY
from tests.heyjetson.server.running import PATIENCE, complaints, served

CLIP = Clip(trigger_fake.say("ab ba")[:, None].repeat(2, axis=1), trigger_fake.RATE)


def heard(engine, clip=CLIP):
    """What an engine answers; its connections are ended."""

    async def run():
        try:
            return await engine.transcribe(clip)
        finally:
            await engine.close()

    return asyncio.run(run())


def openai(fake, how: str, **options) -> OpenAIEngine:
    return OpenAIEngine("other", f"{fake.address}/{how}/v1", "large", KEY, **options)


def azure(fake, how: str) -> AzureEngine:
    return AzureEngine("cloud", "westeurope", KEY, base=f"{fake.address}/{how}")


def test_a_server_like_openais_is_asked_and_read(fake):
    result = heard(openai(fake, "good"))
    assert (result.text, result.confidence) == ("Ab, ba.", 0.5)
    assert result.words == [{"word": "Ab", "start": 0.1, "end": 0.4, "confidence": 0.5}]
    path, headers, body = fake.requests[0]
    assert path == "/good/v1/audio/transcriptions"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert b"large" in body and b"verbose_json" in body
    assert fake.sounds() == [(len(CLIP.samples), 16000)]


def test_a_server_that_knows_no_verbose_answers_is_asked_for_plain_ones(fake):
    engine = openai(fake, "plain")

    async def twice():
        texts = [(await engine.transcribe(CLIP)).text for _ in range(2)]
        await engine.close()
        return texts

    assert asyncio.run(twice()) == ["ab ba", "ab ba"]
    assert len(fake.requests) == 3  # it is tried once only


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("broken", "has a fault of its own (status 500)"),
        ("refusing", "refuses the key (status 401)"),
        ("garbage", "not JSON"),
        ("other", "not a transcript"),
        ("half", "not a transcript"),
        ("infinite", "not a transcript"),
        ("moved", "not followed"),
        ("endless", "longer than 4 MiB"),
    ],
)
def test_a_failure_is_told_without_address_and_key(fake, caplog, how, told):
    caplog.set_level(logging.DEBUG)
    with pytest.raises(EngineError) as error:
        heard(openai(fake, how))
    assert told in str(error.value)
    for secret in (KEY, "127.0.0.1"):
        assert secret not in str(error.value)
        assert not any(secret in record.getMessage() for record in caplog.records if record.name != "asyncio")


def test_a_server_that_does_not_answer_is_left_after_a_while(fake):
    with pytest.raises(EngineError, match="did not answer within 1 s"):
        heard(openai(fake, "hang", seconds=0.1))


def test_a_server_that_is_not_there_is_told():
    with pytest.raises(EngineError, match="cannot be reached"):
        heard(OpenAIEngine("other", "http://127.0.0.1:1/v1", "large"))


def test_more_than_a_few_at_once_are_refused(fake):
    engine = openai(fake, "hang", seconds=0.05)
    clip = Clip(CLIP.samples[:800], CLIP.rate)

    async def many():
        answers = await asyncio.gather(*(engine.transcribe(clip) for _ in range(30)), return_exceptions=True)
        await engine.close()
        return [getattr(answer, "code", "") for answer in answers]

    assert asyncio.run(many()).count("busy") == 10


def test_azure_is_asked_and_its_spoken_form_read(fake):
    result = heard(azure(fake, "azure"))
    assert (result.text, result.confidence) == ("ab ba", 0.9)
    assert result.words == [{"word": "ab", "start": 0.1, "end": 0.4, "confidence": 0.8}]
    path, headers, body = fake.requests[0]
    assert path.startswith("/azure/speech/recognition/conversation/cognitiveservices/v1?language=en-US&format=detailed")
    assert headers["Ocp-Apim-Subscription-Key"] == KEY
    assert headers["Content-Type"] == "audio/wav; codecs=audio/pcm; samplerate=16000"
    assert body.startswith(b"RIFF")


def test_azure_may_hear_nothing_or_only_noise(fake):
    assert heard(azure(fake, "silence")).text == ""
    with pytest.raises(EngineError, match="noise"):
        heard(azure(fake, "noise"))
    with pytest.raises(EngineError, match="up to 60 s"):
        heard(azure(fake, "azure"), Clip(np.zeros((61 * 8000, 1), np.float32), 8000))


def test_azure_belongs_to_its_region(monkeypatch):
    monkeypatch.setenv("AZURE_SPEECH_KEY", KEY)
    engine = AzureEngine.of("cloud", "westeurope#de-DE")
    assert engine.url.startswith("https://westeurope.stt.speech.microsoft.com/speech/recognition/")
    assert not engine.local


@pytest.mark.parametrize(
    ("definition", "told"),
    [
        ("other", "Write it as name="),
        ("other=", "Write it as name="),
        ("model=bundles/x", "two engines called 'model'"),
        ("a b=bundles/x", "cannot be called"),
        ("other=https://host/v1", "write other=openai:https://"),
        ("other=openai:ftp://host/v1", "address of http or https"),
        ("other=openai:https://", "address of http or https"),
        ("other=openai:http://[::1/v1", "cannot be understood"),
        ("other=openai:http://host:99999/v1", "cannot be understood"),
        ("other=openai:https://me:pass@host/v1", "put the key in HEYJETSON_ENGINE_OTHER_KEY"),
        ("other=openai:https://host/v1?key=x", "put the key in HEYJETSON_ENGINE_OTHER_KEY"),
        ("other=azure:west.europe", "needs a region"),
        ("other=azure:westeurope", "put its key in the variable AZURE_SPEECH_KEY"),
    ],
)
def test_a_bad_definition_is_told_at_the_start(monkeypatch, definition, told):
    monkeypatch.delenv("AZURE_SPEECH_KEY", raising=False)
    with pytest.raises(OptionError, match=r"(?s).*") as error:
        open_named(definition)
    assert told in str(error.value)


def open_named(*definitions: str):
    class Served:
        graph = type("", (), {"name": "g"})
        bundle = type(
            "", (), {"manifest": {"files": {"g": {"sha256": "0"}}}, "graph": graph, "scorer_for": lambda _: None}
        )

    return open_engines(Settings("served", engines=definitions), Served(), None)


def test_definitions_that_are_good(monkeypatch, speech_folder):
    monkeypatch.setenv("HEYJETSON_ENGINE_MY_SERVER_KEY", KEY)
    near, far = "openai:http://127.0.0.1:8000/v1", "openai:https://api.example.com/v1#whisper-2"
    engines = open_named(f"twin={speech_folder}", f"my-server={near}", f"far={far}")
    kinds = {name: (engine.kind, engine.local) for name, engine in engines.items()}
    assert kinds == {
        "model": ("model", True),
        "twin": ("bundle", True),
        "my-server": ("openai", True),
        "far": ("openai", False),
    }
    assert engines["my-server"].model == "gpt-transcribe" and engines["far"].model == "whisper-2"
    assert KEY not in engines["my-server"].identity
    monkeypatch.setenv("HEYJETSON_ENGINE_FAR_KEY", "line\nbreak")
    with pytest.raises(OptionError, match="characters that no key has"):
        open_named(f"far={far}")
    with pytest.raises(BundleError, match="not a bundle"):
        open_named("other=nowhere/at/all")


@pytest.fixture
def compared(speech_folder, tmp_path, fake):
    """A server with engines that answer and engines that fail: address and fake."""
    engines = (
        f"twin={speech_folder}",
        *(f"{how}=openai:{fake.address}/{how}/v1" for how in ("good", "broken", "garbage")),
        "away=openai:http://127.0.0.1:1/v1",
        "far=openai:https://far.invalid/v1",
    )
    with served(Settings(speech_folder, engines=engines, state=tmp_path)) as address:
        yield address


def ask(address: str, path, **form):
    with path.open("rb") as file:
        return httpx.post(f"{address}/v1/compare", files={"file": file}, data=form, timeout=60)


def test_engines_are_listed_without_addresses(compared):
    listed = httpx.get(f"{compared}/v1/engines").json()
    assert listed[:2] == [
        {"name": "model", "kind": "model", "local": True},
        {"name": "twin", "kind": "bundle", "local": True},
    ]
    assert listed[-1] == {"name": "far", "kind": "openai", "local": False}


def test_one_recording_through_several_engines(compared, spoken):
    answer = ask(compared, spoken, engines=["model", "twin", "good", "broken", "garbage", "away"], reference="ab bb")
    body = answer.json()
    by_name = {one["name"]: one for one in body["engines"]}
    assert body["against"] == "reference"
    for name in ("model", "twin", "good"):
        assert [step["op"] for step in by_name[name]["alignment"]] == ["equal", "substitute"]
        assert by_name[name]["scores"]["wer"] == 0.5
        assert by_name[name]["error"] is None
    assert by_name["model"]["text"] == "ab ba" and by_name["model"]["words"][0]["word"] == "ab"
    assert by_name["good"]["text"] == "Ab, ba." and by_name["good"]["confidence"] == 0.5
    for name, told in (("broken", "fault of its own"), ("garbage", "not JSON"), ("away", "cannot be reached")):
        assert told in by_name[name]["error"] and by_name[name]["text"] is None
    assert "127.0.0.1" not in answer.text


def test_without_a_choice_the_engines_of_this_device_are_asked(compared, spoken):
    body = ask(compared, spoken).json()
    assert "far" not in [one["name"] for one in body["engines"]]
    assert body["against"] == "model"
    assert all(one["scores"] is None for one in body["engines"])


def test_what_cannot_be_compared_is_refused(compared, spoken, tmp_path):
    answer = ask(compared, spoken, engines="model,nobody")
    assert answer.status_code == 404 and "no engine 'nobody'" in answer.json()["error"]["message"]
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"not a sound")
    assert 400 <= ask(compared, broken, engines="model").status_code < 500
    assert ask(compared, spoken, engines="model", reference="a" * 20_001).status_code == 422


def test_another_server_of_this_project_is_an_engine(speech_folder, site, spoken, tmp_path):
    settings = Settings(speech_folder, engines=(f"other=openai:{site}/v1#tones",), state=tmp_path)
    with served(settings) as address:
        by_name = {one["name"]: one for one in ask(address, spoken).json()["engines"]}
    assert by_name["other"]["error"] is None
    assert by_name["other"]["text"] == by_name["model"]["text"] == "ab ba"
    assert [word["word"] for word in by_name["other"]["words"]] == ["ab", "ba"]


def test_the_page_compares(driver, speech_folder, fake, spoken, tmp_path):
    manifest = tmp_path / "tones.jsonl"
    manifest.write_text(f'{{"audio_filepath": "{spoken}", "duration": 2.9, "text": "ab bb"}}\n')
    engines = (
        f"broken=openai:{fake.address}/broken/v1",
        "far=openai:https://far.invalid/v1",
    )
    settings = Settings(speech_folder, data=(manifest,), engines=engines, state=tmp_path / "state")
    with served(settings) as address:
        from selenium.webdriver.common.by import By
        from selenium.webdriver.support.ui import Select, WebDriverWait

        wait = WebDriverWait(driver, PATIENCE, 0.05)
        driver.get(f"{address}/compare")
        wait.until(lambda _: driver.find_elements(By.CSS_SELECTOR, "#utterance option"))
        boxes = {box.get_attribute("value"): box for box in driver.find_elements(By.CSS_SELECTOR, "#engines input")}
        assert {name: box.is_selected() for name, box in boxes.items()} == {"model": True, "broken": True, "far": False}
        assert "the sound leaves this device" in driver.find_element(By.ID, "engines").text
        Select(driver.find_element(By.ID, "utterance")).select_by_index(0)
        reference = driver.find_element(By.ID, "reference")
        wait.until(lambda _: reference.get_property("value") == "ab bb")
        driver.find_element(By.ID, "start").click()
        wait.until(lambda _: len(driver.find_elements(By.CSS_SELECTOR, "#columns article")) == 2)
        model, broken = driver.find_elements(By.CSS_SELECTOR, "#columns article")
        assert "50.0 %" in model.text and model.find_element(By.CSS_SELECTOR, ".substitute .said").text == "bb"
        assert "fault of its own" in broken.text
        driver.find_element(By.ID, "file").send_keys(str(spoken))
        wait.until(lambda _: reference.get_property("value") == "")
        driver.find_element(By.ID, "start").click()
        wait.until(lambda _: "50.0 %" not in driver.find_element(By.ID, "columns").text)
        assert "ab ba" in driver.find_element(By.ID, "columns").text
        assert complaints(driver) == []
        driver.get("about:blank")


SLOW = """
const fetched = window.fetch;
window.fetch = async (path, options) => {
  const answer = await fetched(path, options);
  if (path.includes("/audio")) await new Promise((resolve) => { setTimeout(resolve, 500); });
  return answer;
};
"""


def test_a_recording_is_judged_by_its_own_text_though_another_data_set_is_chosen_meanwhile(
    driver, speech_folder, spoken, tmp_path
):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select, WebDriverWait

    for name, text in ("first", "ab ba"), ("second", "bb bb"):
        line = f'{{"audio_filepath": "{spoken}", "duration": 2.9, "text": "{text}"}}\n'
        (tmp_path / f"{name}.jsonl").write_text(line)
    settings = Settings(speech_folder, data=(tmp_path,), state=tmp_path / "state")
    with served(settings) as address:
        wait = WebDriverWait(driver, PATIENCE, 0.05)
        driver.get(f"{address}/compare")
        utterance, reference = (driver.find_element(By.ID, name) for name in ("utterance", "reference"))
        wait.until(lambda _: "ab ba" in utterance.text)
        driver.execute_script(SLOW)
        Select(utterance).select_by_index(0)
        Select(driver.find_element(By.ID, "dataset")).select_by_index(1)
        wait.until(lambda _: reference.get_property("value") and "bb bb" in utterance.text)
        assert reference.get_property("value") == "ab ba"
        driver.get("about:blank")
