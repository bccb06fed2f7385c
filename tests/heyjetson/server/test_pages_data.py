"""Explore, Sentiment and About in a real browser."""

import csv
import json

import httpx
import numpy as np
import pytest
import soundfile

from heyjetson.server.settings import Settings
from tests.heyjetson import trigger_fake
from tests.heyjetson.server.running import PATIENCE, complaints, served

RATE = trigger_fake.RATE
CHARTS = ["waveform", "log_spectrogram", "mel", "mfcc", "log_probs"]
DRAWN = """
const [title, charts] = arguments;
if (document.getElementById("title").textContent !== title || document.getElementById("busy").textContent) return null;
const found = charts.map((key) => [key, document.querySelector(`[data-view=${key}] .plot`)?.data]);
if (!found.every(([, data]) => data?.length)) return null;
return Object.fromEntries(found.map(([key, data]) => [key, data.map((one) => [one.type, (one.z ?? one.x).length])]));
"""
SURFACE = """
const plot = document.querySelector("[data-view=surface] .plot");
return plot.querySelector("canvas") && plot.data?.map((one) => [one.type, one.z.length]);
"""
CURSORS = """
const all = [...document.querySelectorAll(".cursor")];
const places = all.map((one) => (one.hidden ? 0 : new DOMMatrix(getComputedStyle(one).transform).e));
return places.every((place) => place > 100) ? places : null;
"""
MARKDOWN = """
const [card, done] = arguments;
import("/static/js/markdown.js").then(({ markdown }) => {
  const node = document.createElement("div");
  node.append(...markdown(card));
  done(node.outerHTML);
});
"""
CARD = """---
licence: <i>x</i>
---
# A `b`

| a | b |
|---|---|
| <img src=x onerror=alert(1)> | **2** |

- one
- two

```
<script>
```
end <b>no</b>
"""


@pytest.fixture(scope="module")
def address(speech_folder, trigger_folder, tmp_path_factory):
    """A server with a data set of 60 utterances."""
    folder = tmp_path_factory.mktemp("data")
    lines = []
    for index in range(60):
        text = ("ab ba", "ba", "a b")[index % 3]
        if index < 3:
            quiet = trigger_fake.quiet(0.3)
            soundfile.write(folder / f"{index}.wav", np.concatenate([quiet, trigger_fake.say(text), quiet]), RATE)
        truth = "ab ab" if index == 0 else text
        lines.append({"audio_filepath": f"{index % 3}.wav", "duration": 9.0, "text": truth, "speaker": f"voice{index}"})
    (folder / "tones.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    settings = Settings(speech_folder, trigger_folder, data=(folder,), state=tmp_path_factory.mktemp("state"))
    with served(settings) as address:
        yield address


def until(driver, script: str, *given):
    """Wait until a script of the page returns something that is true."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(driver, PATIENCE, 0.05).until(lambda one: one.execute_script(script, *given))


def by_id(driver, name: str):
    return driver.find_element("id", name)


def drawn(driver, title: str) -> dict:
    """Wait for the charts of a recording: the traces of each."""
    return until(driver, DRAWN, title, CHARTS)


def test_an_utterance_is_explored(driver, address):
    driver.get(f"{address}/explore?data=tones&index=0")
    charts = drawn(driver, "tones, number 0")
    assert charts["log_spectrogram"] == [["heatmap", 161]]
    assert charts["mel"] == [["heatmap", 80]]
    assert charts["mfcc"] == [["heatmap", 12]]
    assert charts["log_probs"] == [["heatmap", 4], ["scatter", 5]]
    assert by_id(driver, "prediction").text == "ab ba"
    assert by_id(driver, "difference").find_element("css selector", ".substitute")
    assert "50.0 %" in by_id(driver, "figures").text
    labels = driver.execute_script(
        "return [...document.querySelectorAll('.plot[role=img]')].map((node) => node.ariaLabel)"
    )
    assert len(labels) >= 5
    assert all(len(label) > 20 for label in labels)
    assert not complaints(driver)


def test_the_surface_is_drawn_when_it_comes_into_view(driver, address):
    driver.get(f"{address}/explore?data=tones&index=1")
    drawn(driver, "tones, number 1")
    driver.execute_script("document.querySelector('[data-view=surface]').scrollIntoView()")
    assert until(driver, SURFACE) == [["surface", 81]]
    assert not complaints(driver)


def test_the_cursor_goes_through_all_charts(driver, address):
    driver.get(f"{address}/explore?data=tones&index=0")
    drawn(driver, "tones, number 0")
    until(driver, "return document.getElementById('player').duration > 1")
    driver.execute_script("const one = document.getElementById('player'); one.currentTime = one.duration / 2")
    places = until(driver, CURSORS)
    assert len(places) == 5
    assert max(places) - min(places) < 2


def test_a_stretch_of_one_chart_is_that_of_all(driver, address):
    driver.get(f"{address}/explore?data=tones&index=0")
    drawn(driver, "tones, number 0")
    ranges = """
        const plots = [...document.querySelectorAll(".canvas:not(.surface) .plot")];
        const all = plots.map((plot) => plot._fullLayout.xaxis.range.map((value) => value.toFixed(3)).join());
        return new Set(all).size === 1 && all[0] !== arguments[0] && all[0];
    """
    whole = until(driver, ranges, "")
    for change in ('{"xaxis.range[0]": 0.1, "xaxis.range[1]": 0.4}', '{"xaxis.range": [0, 0.5]}'):
        driver.execute_script(f"Plotly.relayout(document.querySelector('[data-view=mel] .plot'), {change})")
        whole = until(driver, ranges, whole)
    assert whole == "0.000,0.500"
    # After another data set was chosen there is no utterance whose next one could be shown.
    assert by_id(driver, "next").is_displayed()
    driver.execute_script("document.getElementById('dataset').dispatchEvent(new Event('change'))")
    assert not by_id(driver, "next").is_displayed()
    assert not complaints(driver)


def test_the_list_is_paged_and_searched_by_keyboard(driver, address):
    from selenium.webdriver.common.keys import Keys

    driver.get(f"{address}/explore")
    until(driver, "return document.querySelectorAll('#list tbody tr').length === 50")
    assert by_id(driver, "found").text == "1 to 50 of 60"
    assert not by_id(driver, "back").is_enabled()
    buttons = driver.find_elements("css selector", "#list tbody button")
    buttons[0].send_keys(Keys.ARROW_DOWN)
    driver.switch_to.active_element.send_keys(Keys.ENTER)
    drawn(driver, "tones, number 1")
    until(driver, "return document.activeElement.id === 'title'")
    buttons[1].send_keys(Keys.PAGE_DOWN)
    until(driver, "return document.querySelectorAll('#list tbody tr').length === 10")
    assert not by_id(driver, "forward").is_enabled()
    by_id(driver, "next").send_keys(Keys.ENTER)
    drawn(driver, "tones, number 2")
    assert "index=2" in driver.current_url
    by_id(driver, "search").send_keys("voice59")
    until(driver, "return document.getElementById('found').textContent === '1 to 1 of 1'")
    by_id(driver, "search").send_keys("x")
    until(driver, "return document.getElementById('found').textContent.startsWith('No utterance')")
    assert not complaints(driver)


def test_a_file_is_explored_and_a_broken_one_is_told(driver, address, spoken, tmp_path):
    driver.get(f"{address}/explore")
    by_id(driver, "file").send_keys(str(spoken))
    drawn(driver, spoken.name)
    assert not by_id(driver, "truth-row").is_displayed()
    assert not by_id(driver, "steps").is_displayed()
    (tmp_path / "broken.wav").write_bytes(b"nothing")
    by_id(driver, "file").send_keys(str(tmp_path / "broken.wav"))
    until(driver, "return !document.getElementById('message').hidden")
    assert by_id(driver, "title").text == spoken.name
    driver.get_log("browser")  # a refused request is in it


def test_pages_fit_a_phone(driver, address):
    size = {"width": 360, "height": 780, "deviceScaleFactor": 1, "mobile": True}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        driver.get(f"{address}/explore?data=tones&index=0")
        drawn(driver, "tones, number 0")
        for page in ("explore", "sentiment", "about"):
            if page != "explore":
                driver.get(f"{address}/{page}")
            assert driver.execute_script("return document.documentElement.scrollWidth") <= 360
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_text_is_analysed_and_saved(driver, address, folder):
    driver.get(f"{address}/sentiment")
    driver.find_element("css selector", "[name=source][value=text]").click()
    by_id(driver, "text").send_keys('It was <b>good</b>! The rest was terrible. =SUM(A1) is "odd".')
    by_id(driver, "go").click()
    until(driver, "return document.getElementById('trend').data?.length === 4")
    moods = [row.text for row in driver.find_elements("css selector", "#sentences .mood")]
    assert [mood.split()[1] for mood in moods] == ["neutral", "negative", "negative"]
    assert not by_id(driver, "pace-figure").is_displayed()
    assert not driver.find_elements("css selector", "#sentences td b:not(.weighty)")
    by_id(driver, "csv").click()
    saved = folder / "text-sentiment.csv"
    until_file(driver, saved)
    rows = list(csv.reader(saved.read_text().splitlines()))
    assert rows[0][3] == "sentence"
    assert rows[3][3] == '\'=SUM(A1) is "odd".'
    assert not complaints(driver)


def until_file(driver, path):
    """Wait until the browser has saved a file."""
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, PATIENCE, 0.05).until(lambda _: path.is_file() and path.stat().st_size)


def test_a_conversation_of_two_is_shown(driver, address, folder, tmp_path):
    left = np.concatenate([trigger_fake.say("ab"), trigger_fake.quiet(2.6, seed=1)])
    right = np.concatenate([trigger_fake.quiet(1.5, seed=2), trigger_fake.say("ba a"), trigger_fake.quiet(0.7, seed=3)])
    soundfile.write(tmp_path / "talk.wav", np.stack([left[: 3 * RATE], right[: 3 * RATE]], axis=1), RATE)
    driver.get(f"{address}/sentiment")
    by_id(driver, "file").send_keys(str(tmp_path / "talk.wav"))
    until(driver, "return document.getElementById('pace').data?.length")
    assert len(driver.find_elements("css selector", "#speakers tbody tr")) == 2
    widths = driver.execute_script("return [...document.querySelectorAll('.share span')].map((bar) => bar.offsetWidth)")
    assert widths[1] > widths[0] > 0
    field = driver.find_element("css selector", "#speakers input")
    field.clear()
    field.send_keys("Ada")
    assert "Ada" in by_id(driver, "sentences").text
    driver.find_elements("css selector", "#sentences button")[1].click()
    until(driver, "return document.getElementById('player').currentTime >= 1.5")
    by_id(driver, "json").click()
    until_file(driver, folder / "talk-sentiment.json")
    saved = json.loads((folder / "talk-sentiment.json").read_text())
    assert saved["speakers"] == {"0": "Ada", "1": "Speaker 2"}
    assert saved["text"] == "ab ba a"
    assert not complaints(driver)


def test_an_utterance_of_a_data_set_is_analysed(driver, address):
    driver.get(f"{address}/sentiment")
    until(driver, "return !document.getElementById('utterance-choice').hidden")
    driver.find_element("css selector", "[name=source][value=utterance]").click()
    by_id(driver, "go").click()
    until(driver, "return document.getElementById('pace').data?.length")
    assert not by_id(driver, "talk").is_displayed()
    assert not complaints(driver)


def test_about_shows_the_graph_and_the_trigger(driver, address):
    driver.get(f"{address}/about")
    until(driver, "return !document.getElementById('about').hidden")
    assert "tones" in by_id(driver, "running").text
    assert "hey jetson" in by_id(driver, "words").text
    assert "Conv" in by_id(driver, "graph").text
    assert "MODEL_CARD" in by_id(driver, "card").text
    assert not complaints(driver)


def test_a_model_card_is_text_and_never_html(driver, address):
    driver.get(f"{address}/about")
    made = driver.execute_async_script(MARKDOWN, CARD)
    for part in ("<dt>licence</dt>", "<h3>A <code>b</code></h3>", "<td><strong>2</strong></td>", "<li>two</li>"):
        assert part in made
    for part in ("<img", "<script", "<i>", "<b>"):
        assert part not in made


def test_the_charts_script_is_sent_small_to_who_can_unpack_it(address):
    path = f"{address}/static/plotly.min.js"
    plain = httpx.get(path, headers={"Accept-Encoding": "identity"})
    packed = httpx.get(path, headers={"Accept-Encoding": "gzip"})
    assert plain.content == packed.content
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.num_bytes_downloaded < len(plain.content) / 2
