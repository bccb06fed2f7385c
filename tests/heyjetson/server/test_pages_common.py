"""What all pages share: keys, sizes, colours; and the resampler, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from selenium.webdriver.common.keys import Keys

from heyjetson import server
from heyjetson.server.settings import Settings
from tests.heyjetson.server.pages import find, until
from tests.heyjetson.server.running import served


def test_a_key_is_asked_for_until_it_fits(driver, speech_folder, tmp_path):
    with served(Settings(speech_folder, state=tmp_path, keys=("right-key-of-this-server",))) as site:
        driver.get(f"{site}/about")
        until(driver, lambda _: find(driver, "#key-dialog").is_displayed())
        assert "key" in find(driver, "#key-why").text

        def give(key: str) -> None:
            find(driver, "#key-field").clear()
            find(driver, "#key-field").send_keys(key, Keys.ENTER)

        give("schlüssel")
        assert "letters of a to z" in find(driver, "#key-why").text
        assert find(driver, "#key-dialog").is_displayed()
        first = find(driver, "#key-why").text
        give("wrong")
        until(driver, lambda _: find(driver, "#key-why").text != first)
        until(driver, lambda _: find(driver, "#key-field").get_attribute("value") == "")
        find(driver, "#key-field").send_keys(Keys.ESCAPE)
        until(driver, lambda _: "key" in find(driver, "#busy").text)
        assert not find(driver, "#key-dialog").is_displayed()
        driver.refresh()
        until(driver, lambda _: find(driver, "#key-dialog").is_displayed())
        give(" right-key-of-this-server ")
        until(driver, lambda _: find(driver, "#about").is_displayed())
        driver.execute_script("sessionStorage.clear()")
        driver.get(f"{site}/performance")  # asks for three things
        until(driver, lambda _: find(driver, "#key-dialog").is_displayed())
        find(driver, "#key-dialog [value=cancel]").click()
        until(driver, lambda _: find(driver, "#message").is_displayed())
        assert not find(driver, "#key-dialog").is_displayed()
        driver.get("about:blank")


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


IN_SIGHT = """
const here = document.querySelector("nav [aria-current]").getBoundingClientRect();
return here.left >= 0 && here.right <= innerWidth;
"""


@pytest.mark.parametrize("page", ["", "live", "explore", "performance", "compare", "sentiment", "about", "docs"])
def test_the_pages_fit_a_phone(driver, site, page):
    metrics = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        driver.get(f"{site}/{page}")
        assert driver.execute_script("return document.documentElement.scrollWidth") <= 360
        if page != "docs":  # which the navigation does not have
            until(driver, lambda _: driver.execute_script(IN_SIGHT))
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def luminance(colour: str) -> float:
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_texts_stand_out_from_what_is_behind_them(theme):
    """As WCAG 2.2 AA wants it: 4.5 for texts, 3 for the edges of fields."""
    sheet = (Path(server.__file__).parent / "static/css/site.css").read_text()
    block = re.findall(r":root \{(.*?)\}", sheet, re.DOTALL)[theme]
    colours = dict(re.findall(r"--([\w-]+): (#\w{6});", block))

    def contrast(one: str, other: str) -> float:
        low, high = sorted((luminance(colours[one]), luminance(colours[other])))
        return (high + 0.05) / (low + 0.05)

    texts = {"text": ("ground", "raised", "mark", "insert", "delete", "substitute", "line")}
    texts |= dict.fromkeys(("quiet", "bad", "good"), ("ground", "raised", "mark", "insert", "delete", "substitute"))
    texts |= {"warn": ("ground", "raised"), "accent-text": ("accent",)}
    low = {(one, other): contrast(one, other) for one, others in texts.items() for other in others}
    assert {pair: value for pair, value in low.items() if value < 4.5} == {}
    assert min(contrast("edge", "ground"), contrast("edge", "raised")) >= 3


SHOWN = """
const [done] = arguments;
const modules = ["format", "transcript"].map((name) => import(`/static/js/${name}.js`));
Promise.all(modules).then(([{ clock, seconds }, { subtitles }]) => {
  const cue = [{ start: 59.9996, end: 61, text: "<b> & i" }];
  const files = ["vtt", "srt"].map((kind) => subtitles(cue, kind));
  done([[83.2, 59.97, 3599.99].map(clock), [0.0123, 0.0999, 0.9996, 1.2].map(seconds), ...files]);
});
"""


def test_times_are_rounded_as_a_whole_and_webvtt_is_escaped(driver, site):
    driver.get(site)
    clocks, seconds, vtt, srt = driver.execute_async_script(SHOWN)
    assert clocks == ["1:23.2", "1:00.0", "60:00.0"]
    assert seconds == ["12 ms", "100 ms", "1000 ms", "1.20 s"]
    assert vtt == "WEBVTT\n\n00:01:00.000 --> 00:01:01.000\n&lt;b&gt; &amp; i\n"
    assert srt == "1\n00:01:00,000 --> 00:01:01,000\n<b> & i\n"
