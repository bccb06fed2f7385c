"""The page Performance in a browser."""

from __future__ import annotations

from heyjetson.server.settings import Settings
from tests.heyjetson.server.engines_fake import named
from tests.heyjetson.server.running import PATIENCE, complaints, served
from tests.heyjetson.server.tones import write_tones

# While a run goes on the list of runs is drawn again and again: what one is at stays where it is.
STAYS = """
const done = arguments[0], list = `${location.origin}/v1/performance`;
const asked = () => performance.getEntriesByName(list).length;
performance.setResourceTimingBufferSize(5000);
const button = document.querySelector("#runs button"), before = asked();
button.focus();
scrollBy(0, button.getBoundingClientRect().bottom + 20); // so that the button is out of sight
const place = scrollY;
const wait = setInterval(() => {
  if (asked() < before + 2) return;
  clearInterval(wait);
  const { activeElement } = document;
  done([activeElement.querySelector(".what").textContent, activeElement === button, scrollY === place]);
}, 50);
"""


def test_the_page_runs_to_the_end(driver, speech_folder, tmp_path, folder, fake):
    manifest = write_tones(tmp_path / "tones")
    engines = (f"twin={speech_folder}", *named(fake, "hang"))
    settings = Settings(speech_folder, data=(manifest,), engines=engines, state=tmp_path / "state")
    with served(settings) as address:
        from selenium.webdriver.common.by import By
        from selenium.webdriver.support.ui import Select, WebDriverWait

        wait = WebDriverWait(driver, PATIENCE, 0.05)

        def shown(name: str) -> str:
            return driver.find_element(By.ID, name).text

        driver.get(f"{address}/performance")
        wait.until(lambda _: len(driver.find_elements(By.CSS_SELECTOR, "#engines input")) == 3)
        driver.find_element(By.CSS_SELECTOR, "#engines input[value=twin]").click()
        driver.find_element(By.ID, "start").click()
        wait.until(lambda _: shown("state").startswith("Done"))
        assert "37.5 %" in shown("figures")
        assert "the same WER as twin" in shown("verdict") and "may be chance" in shown("verdict")
        for plot in ("wer-plot", "cer-plot", "cosine-plot", "latency-plot", "length-plot"):
            wait.until(lambda _, plot=plot: driver.find_elements(By.CSS_SELECTOR, f"#{plot} .main-svg .trace"))
        first = wait.until(lambda _: driver.find_elements(By.CSS_SELECTOR, "#utterances li"))[0]
        assert first.find_element(By.CSS_SELECTOR, "ins").get_attribute("title") == "added: ab"
        for name in ("WER 100.0 %", "CER ", "cosine ", "took "):
            assert name in first.text
        Select(driver.find_element(By.ID, "shown")).select_by_value("right")
        wait.until(lambda _: shown("found") == "1–2 of 2")
        driver.find_element(By.CSS_SELECTOR, "#utterances button").click()
        wait.until(lambda _: (driver.find_element(By.ID, "player").get_property("duration") or 0) > 0.5)
        driver.find_element(By.ID, "csv").click()
        wait.until(lambda _: list(folder.glob("performance-*.csv")))
        # A run that does not end by itself is cancelled, and deleted.
        driver.find_element(By.CSS_SELECTOR, "#engines input[value=hang]").click()
        driver.find_element(By.ID, "start").click()
        wait.until(lambda _: shown("state").startswith("Running") and "of 15" in shown("left"))
        assert driver.execute_async_script(STAYS) == ["tones, 5 utterances", True, True]
        # Twice, as impatient people click.
        driver.execute_script("for (let n = 0; n < 2; n += 1) document.getElementById('cancel').click()")
        wait.until(lambda _: shown("state").startswith("Cancelled"))
        assert driver.find_element(By.ID, "continue").is_displayed()
        assert len(driver.find_elements(By.CSS_SELECTOR, "#runs li")) == 2
        driver.find_element(By.ID, "delete").click()
        driver.switch_to.alert.accept()
        wait.until(lambda _: len(driver.find_elements(By.CSS_SELECTOR, "#runs li")) == 1)
        assert complaints(driver) == []
        driver.get("about:blank")
