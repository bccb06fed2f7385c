"""What tests of pages share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.heyjetson import trigger_fake
from tests.heyjetson.server.running import PATIENCE

MICROPHONE_RATE = 48000


def find(driver: Any, selector: str) -> Any:
    """The first element that a CSS selector finds."""
    return driver.find_element(By.CSS_SELECTOR, selector)


def all_of(driver: Any, selector: str) -> list[Any]:
    """All elements that a CSS selector finds."""
    return driver.find_elements(By.CSS_SELECTOR, selector)


def until(driver: Any, condition: Any) -> Any:
    """Wait until a function of the driver returns something that is true."""
    return WebDriverWait(driver, PATIENCE, poll_frequency=0.05).until(condition)


def write_microphone(folder: Path) -> Path:
    """What a browser's microphone hears, over and over: `ab ba`, the wake word, and `aab`; each ends with a second
    without a letter, which is more than `EndpointRules.silence`."""
    rate = MICROPHONE_RATE
    parts = [
        trigger_fake.quiet(0.3, rate),
        trigger_fake.say("ab ba", rate),
        trigger_fake.quiet(0.4, rate),
        trigger_fake.tone("hey jetson", 0.4, rate),
        trigger_fake.quiet(0.3, rate),
        trigger_fake.say("aab", rate),
        trigger_fake.quiet(0.7, rate),
    ]
    path = folder / "microphone.wav"
    soundfile.write(path, np.concatenate(parts), rate, subtype="PCM_16")
    return path
