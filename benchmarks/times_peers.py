"""Word times by other recognisers, where they are installed.

PocketSphinx brings its model. sherpa-onnx needs an export of our weights for it, and gives beginnings only;
faster-whisper needs weights that are downloaded: neither is compared here.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.spoken_digits import Spoken
from manifests.sentences import DIGITS

FRAME = 0.01  # seconds of PocketSphinx
GRAMMAR = "#JSGF V1.0;\ngrammar digits;\npublic <digits> = <digit>+;\n<digit> = {words};\n"


def pocketsphinx(rate: int) -> Callable[[np.ndarray], Sequence[Spoken]]:
    """PocketSphinx with its English model and a grammar of digits."""
    from pocketsphinx import Decoder

    with tempfile.TemporaryDirectory() as folder:
        grammar = Path(folder, "digits.gram")
        grammar.write_text(GRAMMAR.format(words=" | ".join(DIGITS)))
        decoder = Decoder(samprate=float(rate), lm=None, jsgf=str(grammar), loglevel="FATAL")

    def transcribe(samples: np.ndarray) -> Sequence[Spoken]:
        decoder.start_utt()
        decoder.process_raw((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes(), full_utt=True)
        decoder.end_utt()
        return [
            Spoken(segment.word.split("(")[0], segment.start_frame * FRAME, (segment.end_frame + 1) * FRAME)
            for segment in decoder.seg() or []
            if segment.word.split("(")[0] in DIGITS
        ]

    return transcribe


def peers(rate: int) -> dict[str, Callable[[np.ndarray], Sequence[Spoken]]]:
    """Those that are here; what is not is said."""
    found = {}
    if importlib.util.find_spec("pocketsphinx"):
        found["PocketSphinx, grammar of digits"] = pocketsphinx(rate)
    else:
        print("PocketSphinx is left out: pip install pocketsphinx.")
    return found
