"""The pages Transcribe and Live, in a real browser with a microphone that plays a wav."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from heyjetson.server.settings import Settings
from tests.heyjetson import trigger_fake
from tests.heyjetson.server.running import PATIENCE, browsing, complaints, served
from tests.heyjetson.server.test_listen import listening

MICROPHONE_RATE = 48000


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def driver(folder):
    """A browser whose microphone hears `ab ba`, the wake word, and `aab`, over and over."""
    rate = MICROPHONE_RATE
    parts = [
        trigger_fake.quiet(0.7, rate),
        trigger_fake.say("ab ba", rate),
        trigger_fake.quiet(1.2, rate),
        trigger_fake.tone("hey jetson", 0.4, rate),
        trigger_fake.quiet(0.4, rate),
        trigger_fake.say("aab", rate),
        trigger_fake.quiet(1.0, rate),
    ]
    soundfile.write(folder / "microphone.wav", np.concatenate(parts), rate, subtype="PCM_16")
    with browsing(folder, folder / "microphone.wav") as browser:
        yield browser


@pytest.fixture(autouse=True)
def _nothing_to_complain(driver):
    yield
    driver.get("about:blank")
    complaints(driver)


def find(driver, selector: str):
    return driver.find_element(By.CSS_SELECTOR, selector)


def all_of(driver, selector: str) -> list:
    return driver.find_elements(By.CSS_SELECTOR, selector)


def until(driver, condition):
    return WebDriverWait(driver, PATIENCE, poll_frequency=0.05).until(condition)


def words(driver) -> list[str]:
    return [node.text for node in all_of(driver, ".result:first-child .words .word")]


@pytest.fixture
def transcribed(driver, site, spoken):
    """The page with a transcript of `ab ba`."""
    driver.get(site)
    find(driver, "#file").send_keys(str(spoken))
    until(driver, lambda _: all_of(driver, ".transcript"))


def test_a_chosen_file_is_transcribed(driver, transcribed):
    assert words(driver) == ["ab", "ba"]
    figures = [node.text for node in all_of(driver, ".figures dt")]
    assert figures == ["Duration", "Words", "Answered in", "With sending", "Real-time factor"]
    assert find(driver, ".figures dd").text == "0:03.0"
    assert "ab ba" in find(driver, "#status").get_attribute("textContent")
    assert "% sure" in find(driver, ".words .word").get_attribute("title")
    assert complaints(driver) == []


def test_a_word_is_played_by_click_and_by_key(driver, transcribed):
    now = "return document.querySelector('audio').currentTime"
    first, second = all_of(driver, ".words .word")
    until(driver, lambda _: driver.execute_script("return document.querySelector('audio').readyState") >= 1)
    driver.execute_script("document.querySelector('audio').playbackRate = 0.1")
    second.click()
    until(driver, lambda _: driver.execute_script(now) >= 1.4)
    until(driver, lambda _: "now" in second.get_attribute("class"))
    second.send_keys(Keys.ARROW_LEFT)
    assert driver.switch_to.active_element == first
    assert (first.get_attribute("tabindex"), second.get_attribute("tabindex")) == ("0", "-1")
    driver.switch_to.active_element.send_keys(Keys.ENTER)
    until(driver, lambda _: driver.execute_script(now) < 1.4)
    until(driver, lambda _: "now" in first.get_attribute("class"))
    assert "now" not in second.get_attribute("class")


def test_transcripts_are_downloaded(driver, transcribed, folder):
    expected = {"txt": "ab ba\n", "srt": "1\n00:00:0", "vtt": "WEBVTT\n\n00:00:0", "json": "{"}
    for kind, begin in expected.items():
        path = folder / f"ab ba.{kind}"
        find(driver, f"[data-kind={kind}]").click()
        until(driver, lambda _, path=path: path.is_file())
        assert path.read_text().startswith(begin)
        assert "ab ba" in path.read_text()
    assert [word["word"] for word in json.loads((folder / "ab ba.json").read_text())["words"]] == ["ab", "ba"]


def test_several_files_and_a_broken_one(driver, site, spoken, tmp_path):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF nothing of the kind" * 9)
    driver.get(site)
    find(driver, "#file").send_keys(f"{spoken}\n{broken}\n{spoken}")
    until(driver, lambda _: len(all_of(driver, ".transcript")) == 2)
    assert len(all_of(driver, ".result")) == 3
    message = find(driver, ".result .error").text
    assert message.endswith(".")
    assert len(message) > 20
    for button in all_of(driver, ".remove"):
        button.click()
    assert all_of(driver, ".result") == []


def test_a_recording_from_the_microphone(driver, site):
    driver.get(site)
    find(driver, "#record").click()
    until(driver, lambda _: find(driver, "#elapsed").text >= "0:04.0")
    assert find(driver, "#meter").get_attribute("aria-valuetext")
    find(driver, "#record").click()
    until(driver, lambda _: all_of(driver, ".transcript"))
    assert find(driver, ".result h3").text == "recording 1.wav"
    heard = "".join(words(driver))
    assert "ab" in heard
    assert set(heard) == {"a", "b"}
    find(driver, "#record").click()
    until(driver, lambda _: find(driver, "#discard").is_displayed())
    find(driver, "#discard").click()
    until(driver, lambda _: find(driver, "#record-name").text == "Record")
    assert len(all_of(driver, ".result")) == 1
    assert complaints(driver) == []


def test_samples_and_consent_where_there_are_any(driver, site, speech_folder, spoken, tmp_path):
    driver.get(site)
    assert all_of(driver, "#consent") == []
    assert "nothing of the sound is kept" in find(driver, ".lead").text
    line = {"audio_filepath": str(spoken), "duration": 3.0, "text": "ab ba"}
    (tmp_path / "test.jsonl").write_text(json.dumps(line) + "\n")
    options = {"data": (tmp_path / "test.jsonl",), "keep": tmp_path / "kept", "state": tmp_path / "state"}
    with served(Settings(speech_folder, **options)) as other:
        driver.get(other)
        assert not find(driver, "#consent").is_selected()
        until(driver, lambda _: find(driver, "#samples").is_displayed())
        find(driver, "#samples button").click()
        until(driver, lambda _: all_of(driver, ".transcript"))
        assert words(driver) == ["ab", "ba"]
        driver.get("about:blank")


def test_what_is_said_appears_live(driver, site, folder):
    driver.get(f"{site}/live")
    assert [lamp.text for lamp in all_of(driver, ".lamp")] == ["hey jetson", "computer"]
    assert find(driver, "#empty").is_displayed()
    find(driver, "#start").click()
    until(driver, lambda _: find(driver, "#partial").text)
    until(driver, lambda _: all_of(driver, ".lamp.lit"))
    assert find(driver, ".lamp.lit").text == "hey jetson"
    assert "hey jetson at 0:0" in find(driver, "#heard").text
    until(driver, lambda _: {"ab ba", "aab"} <= {node.text for node in all_of(driver, "#finals .words")})
    assert find(driver, "#state").text == "Listening"
    for figure in ("#server-latency", "#round-trip"):
        assert find(driver, figure).text.endswith(" ms")
    assert int(find(driver, "#meter").get_attribute("aria-valuenow")) > -60
    find(driver, "#start").click()
    until(driver, lambda _: find(driver, "#state").text == "Stopped")
    assert find(driver, "#partial").text == ""
    find(driver, "#downloads [data-kind=txt]").click()
    until(driver, lambda _: (folder / "live.txt").is_file())
    assert "ab ba\naab\n" in (folder / "live.txt").read_text()
    find(driver, "#clear").click()
    assert all_of(driver, "#finals li") == []
    assert complaints(driver) == []


def test_options_are_told_while_listening(driver, site):
    driver.get(f"{site}/live")
    find(driver, "summary").click()
    find(driver, "#start").click()
    until(driver, lambda _: find(driver, "#state").text == "Listening")
    find(driver, "#hot-words").send_keys("Q", Keys.TAB)
    until(driver, lambda _: "cannot write" in find(driver, "#lost").text)
    find(driver, "#hot-words").send_keys(Keys.BACKSPACE, "ab:2", Keys.TAB)
    assert not find(driver, "#lost").is_displayed()
    ActionChains(driver).click(find(driver, "#silence")).send_keys(Keys.HOME).perform()
    until(driver, lambda _: find(driver, "#silence-value").text == "0.3 s")
    until(driver, lambda _: find(driver, "#finals .words"))


def test_a_server_that_is_full_is_asked_again(driver, speech_folder, tmp_path):
    with served(Settings(speech_folder, state=tmp_path, streams=1)) as site:
        with listening(site):
            driver.get(f"{site}/live")
            find(driver, "#start").click()
            until(driver, lambda _: "Trying again" in find(driver, "#state").text)
        until(driver, lambda _: find(driver, "#state").text == "Listening")
        until(driver, lambda _: all_of(driver, "#finals .words"))
        driver.get("about:blank")


def test_a_page_that_is_not_secure_says_why_there_is_no_microphone(driver, site):
    driver.execute_cdp_cmd(
        "Page.addScriptToEvaluateOnNewDocument",
        {
            "source": "if (location.search === '?plain') "
            "Object.defineProperty(window, 'isSecureContext', {value: false});"
        },
    )
    for page in ("/", "/live"):
        driver.get(f"{site}{page}?plain")
        until(driver, lambda _: find(driver, "#obstacle").is_displayed())
        assert "https" in find(driver, "#obstacle").text
    assert not find(driver, "#start").is_enabled()


@pytest.mark.parametrize(("name", "sentence"), [("NotAllowedError", "may not use"), ("NotFoundError", "No microphone")])
def test_no_microphone_is_told_in_a_sentence(driver, site, name, sentence):
    driver.get(f"{site}/live")
    driver.execute_script(
        "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', arguments[0]))", name
    )
    find(driver, "#start").click()
    until(driver, lambda _: sentence in find(driver, "#message").text)
    assert find(driver, "#start").text == "Start listening"


def test_microphones_can_be_chosen(driver, site):
    driver.get(f"{site}/live")
    until(driver, lambda _: len(Select(find(driver, "#device")).options) > 1)
    Select(find(driver, "#device")).select_by_index(1)
    find(driver, "#start").click()
    until(driver, lambda _: find(driver, "#state").text == "Listening")


def resampled(driver, rate: int, work: str):
    """Run JavaScript that has `Resampler` and `rate`."""
    script = (
        "const [rate, done] = arguments; import('/static/js/resampler.js').then(({ Resampler }) => { "
        f"{work} }}).catch((error) => done(String(error)));"
    )
    return driver.execute_async_script(script, rate)


LEVEL = """
const level = (hertz) => {
  const tone = Float32Array.from({ length: rate / 2 }, (_, index) => Math.sin(2 * Math.PI * hertz * index / rate));
  const inner = new Resampler(rate, 16000).push(tone).slice(1000, -1000);
  return 10 * Math.log10(2 * inner.reduce((sum, sample) => sum + sample * sample, 0) / inner.length + 1e-12);
};
done([[300, 1000, 3400, 6000, 6500].map(level), [8100, 9000, 11000].filter((hertz) => hertz < rate / 2).map(level)]);
"""
SEAMS = """
const noise = Float32Array.from({ length: rate }, (_, index) => Math.sin(index * index * 0.0001));
const whole = new Resampler(rate, 16000), cut = new Resampler(rate, 16000);
const once = [...whole.push(noise), ...whole.finish()], parts = [];
for (let start = 0, size = 1; start < rate; start += size, size = size * 7 % 301 + 1) {
  parts.push(...cut.push(noise.subarray(start, start + size)));
}
parts.push(...cut.finish());
done([once.length, parts.length, Math.max(...once.map((sample, index) => Math.abs(sample - parts[index])))]);
"""


@pytest.mark.parametrize("rate", [22050, 44100, 48000, 96000])
def test_the_resampler_keeps_speech_and_stops_what_would_fold_into_it(driver, site, rate):
    driver.get(site)
    kept, stopped = resampled(driver, rate, LEVEL)
    assert kept == pytest.approx([0] * 5, abs=0.05)
    assert max(stopped) < -75


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_the_resampler_leaves_no_seam_between_blocks(driver, site, rate):
    driver.get(site)
    assert resampled(driver, rate, SEAMS) == [16000, 16000, 0]


@pytest.mark.parametrize("page", ["/", "/live"])
def test_the_pages_fit_a_phone(driver, site, page):
    metrics = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        driver.get(f"{site}{page}")
        assert driver.execute_script("return document.documentElement.scrollWidth") <= 360
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
