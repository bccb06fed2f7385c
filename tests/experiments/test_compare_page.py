"""The page in a real browser: it draws, sorts, filters and plays, from a file and without a network."""

import json
import re
import shutil
import time
from pathlib import Path

import pytest

from experiments.compare.columns import columns
from experiments.compare.keys import differing
from experiments.compare.page import write_page
from experiments.compare.runs import load
from experiments.compare.sound import data_url
from experiments.compare.statistics import compare
from tests.experiments.compare_runs import corpus, make_bundle, make_run, rewrite, rows_of

HOSTILE = "</script><img src=x onerror=window.harmed=1>"
SOUNDS = 10


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    return {"seen": corpus(folder, 30, 0), "unseen": corpus(folder, 30, 1)}


@pytest.fixture(scope="module")
def runs(sets, tmp_path_factory) -> Path:
    """Five runs in a sweep, one of them stopped, one with a text that means harm; three bundles."""
    folder = tmp_path_factory.mktemp("page")
    made = [
        make_run(
            folder / "runs" / f"trial{index}",
            sets,
            (0.3, 0.05, 0.12, 0.2)[index],
            index,
            {"optim.lr": (0.0001, 0.001, 0.01, 0.1)[index], "encoder.recurrent.hidden": (32, 96, 64, 128)[index]},
            encoder="hey_jetson" if index % 2 else "hey_jetson_small",
        )
        for index in range(4)
    ]
    make_run(folder / "runs" / "stopped<b>", sets, 0.1, finished=False)
    written = [row["hypothesis"] for row in rows_of(made[0], "seen")]
    rewrite(made[0], "seen", sets["seen"], [HOSTILE.replace(" ", "_") + " x " * 40, *written[1:]])
    make_bundle(folder / "bundles" / "one", made[1], "unseen", speed=0.004)
    make_bundle(folder / "bundles" / "one8", made[1], "unseen", "int8", speed=0.003)
    make_bundle(folder / "bundles" / "two", made[2], "unseen", speed=0.002)
    return folder


def page_of(folder: Path, out: Path, *names: str, audio: int = SOUNDS) -> Path:
    """The page of runs."""
    paths = [folder / "runs" / name for name in names] or [folder / "runs"]
    comparison = compare(load(paths, folder / "bundles"))
    keys = differing(comparison.runs)
    write_page(out, comparison, columns(comparison, keys), keys, audio)
    return out


@pytest.fixture(scope="module")
def page(runs) -> Path:
    return page_of(runs, runs / "report.html")


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium; Debian's packages are chromium and chromium-driver."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    program = next((path for name in ("chromium", "google-chrome") if (path := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("no chromium and chromedriver here (apt install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--enable-unsafe-swiftshader",
        "--autoplay-policy=no-user-gesture-required",
        "--window-size=1200,900",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options, Service(driver))
    yield started
    started.quit()


@pytest.fixture
def opened(browser, page):
    """The page, loaded once: each test uses a part of its own. Afterwards nothing may have gone wrong in it."""
    if browser.current_url != page.as_uri():
        browser.get(page.as_uri())
    yield browser
    assert complaints(browser) == []


@pytest.fixture
def fresh(browser, page):
    """The page, loaded anew."""
    browser.get(page.as_uri())
    yield browser
    assert complaints(browser) == []


def complaints(browser) -> list[str]:
    """Errors of the console; the software renderer's remarks on its own speed are none."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def until(browser, script: str, seconds: float = 20):
    """What a script returns as soon as it is true."""
    end = time.monotonic() + seconds
    while not (found := browser.execute_script(f"return {script}")):
        assert time.monotonic() < end, f"not within {seconds} s: {script}"
        time.sleep(0.05)
    return found


def pick(browser, element: str, value: str) -> None:
    """Choose of a list as a user does."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select

    Select(browser.find_element(By.ID, element)).select_by_value(value)


def column(browser, title: str) -> list[str]:
    """Texts of a column, from above."""
    return browser.execute_script(
        "const titles = [...document.querySelectorAll('#table thead th')].map((cell) => cell.textContent);"
        "const at = titles.indexOf(arguments[0]);"
        "return [...document.querySelectorAll('#table tbody tr')].map((row) => row.cells[at].textContent)",
        title,
    )


def heading(browser, title: str):
    return next(button for button in browser.find_elements("css selector", "#table th button") if button.text == title)


def test_the_file_refers_to_nothing_outside_of_itself(page):
    text = page.read_text()
    assert "default-src 'none'" in text
    own = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)  # plotly.js names addresses it does not open
    assert not re.search(r"(src|href)=\"(?!#)", own) and "@import" not in own
    assert len(text) < 8e6


def test_the_verdict_stands_first_and_nothing_is_fetched(opened):
    assert opened.title == "5 runs compared"
    first = opened.find_element("css selector", ".verdict p").text
    assert first.startswith("trial1 has the fewest errors: WER ")
    assert "Without a result" in opened.find_element("css selector", ".note").text
    resources = opened.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert [name for name in resources if not name.startswith(("data:", "blob:"))] == []
    assert opened.execute_script("return window.harmed") is None


def test_headings_sort_both_ways_and_what_has_no_value_stays_last(opened):
    assert column(opened, "run")[0] == "trial1 (best)" and column(opened, "run")[-1] == "stopped<b> (no result)"
    heading(opened, "hidden").click()
    assert column(opened, "hidden") == ["32", "64", "96", "96", "128"]
    assert heading(opened, "hidden").find_element("xpath", "..").get_attribute("aria-sort") == "ascending"
    heading(opened, "WER unseen").click()
    heading(opened, "WER unseen").click()
    assert [name.split()[0] for name in column(opened, "run")] == ["trial0", "trial3", "trial2", "trial1", "stopped<b>"]
    heading(opened, "#").send_keys("\n")  # by keyboard
    assert column(opened, "#") == ["1", "2", "3", "4", "5"]


def test_curves_can_be_switched(opened):
    until(opened, "document.getElementById('curves').data?.length === 5")
    names = opened.execute_script("return document.getElementById('curves').data.map((trace) => trace.name)")
    assert names[0] == "trial1" and names[-1] == "stopped&lt;b>"
    assert opened.execute_script("return document.getElementById('curves').data[0].x[9]") == 1000
    pick(opened, "curve-x", "minutes")
    pick(opened, "curve-y", "val_loss")
    opened.find_element("id", "curve-log").click()
    last = opened.execute_script(
        "const first = document.getElementById('curves').data[0]; return [first.x[9], first.y[9]]"
    )
    assert last == [pytest.approx(200 / 60, abs=0.01), 6.0]
    assert opened.execute_script("return document.getElementById('curves').layout.yaxis.type") == "log"


def test_brushing_a_setting_dims_the_other_runs_in_the_table(opened):
    labels = until(opened, "document.getElementById('parallel').data?.[0].dimensions.map((axis) => axis.label)")
    assert labels == ["#", "lr", "encoder", "hidden", "WER"]
    axis = opened.execute_script("return document.getElementById('parallel').data[0].dimensions[1]")
    assert axis["ticktext"] == ["0.0001", "0.001", "0.01", "0.1"] and axis["tickvals"] == [-4, -3, -2, -1]
    brush = "Plotly.restyle('parallel', {'dimensions[1].constraintrange': [[-3.5, -1.5]]})"
    opened.execute_script(brush)
    until(opened, "document.querySelectorAll('#table tr.out').length === 3")
    assert opened.find_element("id", "chosen").text.startswith("2 of 5 runs")


def test_accuracy_against_cost_joins_what_nothing_beats(opened):
    until(opened, "document.getElementById('cost').data?.length === 2")
    script = "const [line, spots] = document.getElementById('cost').data;"
    script += "return [line.x, spots.x.length, spots.marker.symbol]"
    assert opened.execute_script(script) == [[0.002, 0.003], 3, ["circle", "diamond", "circle"]]
    pick(opened, "cost-x", "parameters")
    pick(opened, "cost-test", "seen")
    spots = opened.execute_script("return document.getElementById('cost').data[1].x")
    assert sorted(set(spots)) == [0.192, 0.384, 0.576, 0.768]
    bars = opened.execute_script("return document.getElementById('cost').data[1].error_y.array")
    assert all(bar > 0 for bar in bars)


def test_sound_is_in_the_page_and_plays(opened):
    players = opened.find_elements("css selector", "#list audio")
    assert players and opened.execute_script("return data.sounds.length") == SOUNDS
    opened.execute_script("arguments[0].play()", players[0])
    until(opened, "document.querySelector('#list audio').currentTime > 0.05")
    state = opened.execute_script(
        "const one = document.querySelector('#list audio'); return [one.readyState, one.duration]"
    )
    assert state[0] >= 2 and state[1] == pytest.approx(0.5, abs=0.05)


def expected(runs: Path, before: str, after: str) -> list[tuple[int, str]]:
    """Regressions from one run to another, the worst first."""
    found = []
    for name in ("seen", "unseen"):
        for first, second in zip(
            rows_of(runs / "runs" / before, name), rows_of(runs / "runs" / after, name), strict=True
        ):
            found.append((second["word_errors"] - first["word_errors"], Path(first["audio"]).name))
    return sorted((pair for pair in found if pair[0] > 0), reverse=True)


def test_regressions_between_two_runs_come_worst_first(fresh, runs):
    pick(fresh, "run-b", "3")
    assert fresh.find_element("css selector", "#run-a option:checked").text == "1 trial1"
    assert fresh.find_element("css selector", "#run-b option:checked").text == "4 trial0"
    wanted = expected(runs, "trial1", "trial0")
    assert f"60 utterances: {len(wanted)} got worse" in fresh.find_element("id", "difference").text
    cards = fresh.find_elements("css selector", "#list > li")
    assert len(cards) == 20 and wanted[0][1] in cards[0].text
    first = re.match(r"(\d+) → (\d+) errors", cards[0].text)
    assert int(first[2]) - int(first[1]) == wanted[0][0]
    fresh.find_element("id", "more").click()
    assert len(fresh.find_elements("css selector", "#list > li")) == min(40, len(wanted))
    assert HOSTILE.replace(" ", "_") in fresh.find_element("id", "list").text


def test_filters_and_the_other_direction(fresh, runs, sets):
    pick(fresh, "run-b", "3")
    forth = fresh.find_element("id", "difference").text
    pick(fresh, "test", "unseen")
    pick(fresh, "speaker", "speaker2")
    pick(fresh, "kind", "all")
    chosen = [line for line in sets["unseen"] if line.extra["speaker"] == "speaker2"]
    cards = [card.text for card in fresh.find_elements("css selector", "#list > li")]
    assert len(cards) == len(chosen) and all("speaker2 · unseen" in card for card in cards)
    pick(fresh, "length", fresh.find_elements("css selector", "#length option")[1].get_attribute("value"))
    limit = float(re.search(r"under ([\d.]+) s", fresh.find_element("css selector", "#length option:checked").text)[1])
    assert len(fresh.find_elements("css selector", "#list audio, #list .head")) >= sum(
        line.duration < limit for line in chosen
    )
    for select, value in (("test", ""), ("speaker", ""), ("length", "0-Infinity"), ("run-a", "3"), ("run-b", "0")):
        pick(fresh, select, value)
    back = fresh.find_element("id", "difference").text
    numbers = [re.findall(r"of (?:un)?seen: ([+−])([\d.]+) points", text) for text in (forth, back)]
    assert [size for _, size in numbers[0]] == [size for _, size in numbers[1]]
    assert {sign for sign, _ in numbers[0]} == {"+"} and {sign for sign, _ in numbers[1]} == {"−"}


def test_words_stand_under_the_words_they_were_taken_for(fresh, runs):
    pick(fresh, "run-b", "2")
    rows = {
        Path(row["audio"]).name: row for name in ("seen", "unseen") for row in rows_of(runs / "runs" / "trial3", name)
    }
    card = fresh.find_element("css selector", "#list > li")
    row = rows[re.search(r"\d{5}\.wav", card.text)[0]]
    stacks = card.find_elements("css selector", ".words > .column")
    said = [stack.find_elements("css selector", ":scope > *") for stack in stacks[1:]]
    assert " ".join(words[0].text for words in said if words[0].text) == row["reference"]
    shown = [(words[2].get_attribute("class").split()[1:], words[2].text) for words in said if words[2].text]
    heard = " ".join(text[2:] if kind else text for kind, text in shown if kind != ["d"])
    assert heard == " ".join(row["hypothesis"].split())
    assert sum(bool(kind) for kind, _ in shown) == row["word_errors"]
    signs = {"s": "~ ", "i": "+ ", "d": "− "}  # colour is not all that tells them apart
    assert all(text.startswith(signs[kind[0]]) for kind, text in shown if kind)
    hidden = card.find_element("css selector", ".hidden").get_attribute("textContent")
    assert f"Reference: {row['reference']}." in hidden


def test_colours_follow_the_scheme_and_a_phone_needs_no_sideways_scrolling(opened):
    paper = "getComputedStyle(document.body).backgroundColor"
    assert opened.execute_script(f"return {paper}") == "rgb(255, 255, 255)"
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    try:
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
        until(opened, f"{paper} === 'rgb(20, 24, 29)'")
        until(opened, "document.getElementById('curves').layout.paper_bgcolor === '#14181d'")
        opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
        until(opened, "document.getElementById('curves').layout.legend.orientation === 'h'")
        until(opened, "document.documentElement.scrollWidth <= 390")
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_everything_has_a_name_for_those_who_do_not_see_it(opened):
    unnamed = opened.execute_script(
        "return [...document.querySelectorAll('select, input, [role=img]:not(.empty), audio')].filter((one) =>"
        " !(one.ariaLabel || one.labels?.length)).map((one) => one.id)"
    )
    assert unnamed == []
    assert opened.execute_script("return document.documentElement.lang") == "en"


@pytest.mark.parametrize("names", [("trial2",), ("stopped<b>",), ("trial1", "trial3")])
def test_few_runs_make_a_page_as_well(browser, runs, tmp_path, names):
    browser.get(page_of(runs, tmp_path / "few.html", *names, audio=0).as_uri())
    until(browser, "document.readyState === 'complete'")
    assert complaints(browser) == []
    assert len(column(browser, "run")) == len(names)


def test_totals_alone_make_a_page_as_well(browser, sets, tmp_path):
    for seed, name in enumerate("ab"):
        run = make_run(tmp_path / "runs" / name, {"seen": sets["seen"]}, 0.2, seed, history=False)
        (run / "test_seen.json").unlink()
    browser.get(page_of(tmp_path, tmp_path / "totals.html").as_uri())
    assert "only totals" in browser.find_element("id", "texts").text
    assert "No run kept its curve" in browser.find_element("id", "curves").text
    assert complaints(browser) == []


def test_a_recording_becomes_a_small_url(sets, tmp_path):
    url = data_url(sets["seen"][0].audio)
    assert url.startswith("data:audio/ogg;base64,") and len(url) < 8000
    assert data_url(tmp_path / "missing.wav") is None
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    assert data_url(tmp_path / "broken.wav") is None


def test_the_data_in_the_page_is_whole(page, runs):
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL)[1]
    data = json.loads(text)
    (test,) = (test for test in data["tests"] if test["name"] == "seen")
    wrong = sum(isinstance(row, list) for row in test["runs"]["0"])
    assert wrong == sum(row["word_errors"] > 0 for row in rows_of(runs / "runs" / "trial1", "seen"))
    assert HOSTILE.replace(" ", "_") in test["runs"]["3"][0][0]
