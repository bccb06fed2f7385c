"""The page Transcribe, in a real browser with a microphone that plays a wav."""

from __future__ import annotations

import json

import pytest
import soundfile
from selenium.webdriver.common.keys import Keys

from heyjetson.server.settings import Settings
from tests.heyjetson.server.pages import all_of, find, until
from tests.heyjetson.server.running import complaints, served


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


def test_what_is_missing_of_a_recording_is_told(driver, site, spoken, tmp_path):
    path = tmp_path / "cut.wav"
    path.write_bytes(spoken.read_bytes()[:64_044])
    driver.get(site)
    find(driver, "#file").send_keys(str(path))
    until(driver, lambda _: all_of(driver, ".transcript"))
    assert "It is cut short: 2.00 s are there" in find(driver, ".transcript .note").text


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
    until(driver, lambda _: find(driver, "#elapsed").text >= "0:02.5")
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


def test_a_recording_outlives_a_server_that_fails(driver, site, folder):
    driver.get(site)
    driver.execute_script(
        "window.send = XMLHttpRequest.prototype.send;"
        "XMLHttpRequest.prototype.send = function fail() { setTimeout(() => this.onerror()); }"
    )
    find(driver, "#record").click()
    until(driver, lambda _: find(driver, "#elapsed").text >= "0:02.5")
    find(driver, "#record").click()
    until(driver, lambda _: "does not answer" in find(driver, "#results").text)
    again, save = all_of(driver, ".result .row:not(.head) button")
    save.click()
    until(driver, lambda _: (folder / "recording 1.wav").is_file())
    assert soundfile.info(folder / "recording 1.wav").duration >= 2.5
    driver.execute_script("XMLHttpRequest.prototype.send = window.send")
    again.click()
    until(driver, lambda _: all_of(driver, ".transcript"))
    assert set("".join(words(driver))) == {"a", "b"}


def test_what_is_cancelled_before_it_is_sent_is_not_sent(driver, site, spoken):
    driver.get(site)
    driver.execute_script(
        "const fetch_ = window.fetch; window.fetch = async (...given) => {"
        "  document.querySelector('.progress button').click(); return fetch_(...given); };"
        "XMLHttpRequest.prototype.send = () => { document.title = 'sent'; }"
    )
    find(driver, "#file").send_keys(str(spoken))
    until(driver, lambda _: "Cancelled." in find(driver, "#results").text)
    assert driver.title != "sent"
    assert driver.switch_to.active_element.get_attribute("class") != "remove"


def test_frames_do_not_add_up_while_a_recording_plays(driver, transcribed):
    all_of(driver, ".words .word")[0].click()  # browsers play nothing unless they are asked to
    driver.execute_script(
        "window.asked = 0; window.times = 0; const request = window.requestAnimationFrame;"
        "window.requestAnimationFrame = (work) => { window.asked += 1; return request(work); };"
        "window.counting = () => request(() => request(() => { const from = window.asked;"
        "  request(() => request(() => { window.found = (window.asked - from) / 2; })); }));"
        "const audio = document.querySelector('audio'); audio.loop = true;"
        "audio.addEventListener('timeupdate', () => { window.times += 1; });"
    )
    until(driver, lambda _: driver.execute_script("return window.times") >= 6)
    driver.execute_script("window.counting()")
    until(driver, lambda _: driver.execute_script("return window.found !== undefined"))
    assert driver.execute_script("return window.found") <= 2


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
