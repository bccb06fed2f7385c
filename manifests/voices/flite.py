"""flite: four small voices of recorded speech, by the program of that name."""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from manifests.voices.base import Engine, Request, raised, voices_of

VOICES = ("awb", "kal16", "rms", "slt")
LONGEST = 60.0  # seconds until it is given up


class Flite(Engine):
    """Voices are those built into the program."""

    name = "flite"
    install = "apt-get install flite"
    weight = 0.5
    endings = ("", ".", "?")
    speeds = (70, 125)

    def missing(self) -> str | None:
        return None if shutil.which("flite") else "the program flite is not installed"

    def voices(self, part: str) -> list[str]:
        return voices_of(VOICES, part)

    def speak(self, request: Request) -> tuple[np.ndarray, int]:
        rng = random.Random(request.variation)
        factor = 2 ** (request.pitch / 12)
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "said.wav")
            command = [
                "flite", "-voice", request.voice, "--setf", f"duration_stretch={factor / request.speed:.3f}",
                "--setf", f"int_f0_target_stddev={rng.uniform(10, 40):.1f}", "-t", request.text, "-o", str(out),
            ]  # fmt: skip
            subprocess.run(command, check=True, timeout=LONGEST, capture_output=True)
            samples, rate = soundfile.read(out, dtype="float32")
        return raised(np.asarray(samples), rate, request.pitch)
