"""Wake-word engines behind one interface, each as its users run it: at its default threshold, one event for a word."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

RATE = 16000
CHUNK = 1280  # samples handed over at once, 80 ms
QUIET = RATE  # samples after an event without another, where an engine leaves that to its users


class System:
    """Listens to a stream: `feed` takes int16 samples [n] and gives the words that it raises.

    Args:
        words: to listen for; those that it does not know are left out.
        path: of a bundle, or of a folder of models, for systems that are trained.
    """

    install = ""

    def __init__(self, words: Sequence[str], path: str = ""):
        self.path = path
        self.words = [word for word in words if word in self.known()]
        self.reset()

    def known(self) -> Sequence[str]:
        """Words that it can listen for."""
        raise NotImplementedError

    def reset(self) -> None:
        """Begin a stream."""
        raise NotImplementedError

    def feed(self, samples: np.ndarray) -> list[str]:
        """Hear what comes next."""
        raise NotImplementedError


class Once:
    """One event for scores that stay high, for engines that raise a word with every frame."""

    def __init__(self) -> None:
        self.quiet = 0

    def __call__(self, samples: np.ndarray, word: str, raised: bool) -> list[str]:
        self.quiet = max(self.quiet - len(samples), 0)
        if self.quiet or not raised:
            return []
        self.quiet = QUIET
        return [word]


class Ours(System):
    """A bundle, at its calibrated thresholds."""

    trigger: Any = None

    def known(self) -> Sequence[str]:
        from heyjetson import Bundle, Trigger

        self.trigger = self.trigger or Trigger(Bundle(self.path), threads=1)
        return self.trigger.words

    def reset(self) -> None:
        self.stream = self.trigger.stream(RATE)

    def feed(self, samples: np.ndarray) -> list[str]:
        return [event.word for event in self.stream.feed(samples)]


class Porcupine(System):
    """Sensitivity 0.5."""

    install = "pip install pvporcupine==1.9.5"

    def known(self) -> Sequence[str]:
        import pvporcupine

        return sorted(pvporcupine.KEYWORDS)

    def reset(self) -> None:
        import pvporcupine

        self.engine = pvporcupine.create(keywords=self.words)
        self.left = np.zeros(0, np.int16)

    def feed(self, samples: np.ndarray) -> list[str]:
        waiting, size = np.concatenate([self.left, samples]), self.engine.frame_length
        found = [self.engine.process(waiting[at : at + size]) for at in range(0, len(waiting) - size + 1, size)]
        self.left = waiting[len(waiting) // size * size :]
        return [self.words[number] for number in found if number >= 0]


class MicroWakeWord(System):
    """Its cutoff."""

    install = "pip install pymicro-wakeword==2.5.0"

    def known(self) -> Sequence[str]:
        return ["alexa"]

    def reset(self) -> None:
        from pymicro_wakeword import MicroWakeWord as Word
        from pymicro_wakeword import MicroWakeWordFeatures, Model

        self.word, self.features, self.once = Word.from_builtin(Model.ALEXA), MicroWakeWordFeatures(), Once()

    def feed(self, samples: np.ndarray) -> list[str]:
        frames = self.features.process_streaming(samples.tobytes())
        raised = [bool(self.word.process_streaming(one)) for one in frames]
        return self.once(samples, "alexa", any(raised))


class PyOpenWakeWord(System):
    """Threshold 0.5."""

    install = "pip install pyopen-wakeword==1.1.0"

    def known(self) -> Sequence[str]:
        return ["alexa"]

    def reset(self) -> None:
        from pyopen_wakeword import Model, OpenWakeWordFeatures
        from pyopen_wakeword import OpenWakeWord as Word

        self.word, self.features, self.once = (
            Word.from_builtin(Model.ALEXA),
            OpenWakeWordFeatures.from_builtin(),
            Once(),
        )

    def feed(self, samples: np.ndarray) -> list[str]:
        frames = self.features.process_streaming(samples.tobytes())
        scores = [score for one in frames for score in self.word.process_streaming(one)]
        return self.once(samples, "alexa", any(score > 0.5 for score in scores))


class OpenWakeWord(System):
    """Threshold 0.5."""

    install = "pip install openwakeword==0.4.0"

    def known(self) -> Sequence[str]:
        return ["alexa"]

    def reset(self) -> None:
        import openwakeword
        from openwakeword.model import Model

        paths = [path for path in openwakeword.get_pretrained_model_paths() if "alexa" in Path(path).name]
        self.model, self.once = Model(wakeword_model_paths=paths), Once()

    def feed(self, samples: np.ndarray) -> list[str]:
        return self.once(samples, "alexa", max(self.model.predict(samples).values()) > 0.5)


class PocketSphinx(System):
    """Its keyphrase search with the English model of the package, at its threshold of 1e-30."""

    install = "pip install pocketsphinx"
    pronunciations = {"snowboy": "S N OW B OY"}  # its dictionary lacks them
    once: dict[str, Once] | None = None

    def known(self) -> Sequence[str]:
        from pocketsphinx import Decoder

        self.decoder = Decoder(samprate=float(RATE), lm=None, loglevel="FATAL")
        for word, phones in self.pronunciations.items():
            self.decoder.add_word(word, phones, True)
        return [*self.pronunciations, *(word for word in ("alexa", "computer", "jarvis") if self._has(word))]

    def _has(self, word: str) -> bool:
        return self.decoder.lookup_word(word) is not None

    def reset(self) -> None:
        if self.once is None:
            with tempfile.NamedTemporaryFile("w") as phrases:
                phrases.write("".join(f"{word} /1e-30/\n" for word in self.words))
                phrases.flush()
                self.decoder.add_kws("words", phrases.name)
            self.decoder.activate_search("words")
        else:
            self.decoder.end_utt()
        self.decoder.start_utt()
        self.once = {word: Once() for word in self.words}

    def feed(self, samples: np.ndarray) -> list[str]:
        self.decoder.process_raw(samples.tobytes())
        found = self.decoder.hyp()
        if found:  # it keeps what it has found, so it begins anew
            self.decoder.end_utt()
            self.decoder.start_utt()
        raised = found.hypstr.split() if found else []
        assert self.once is not None
        return [event for word in self.words for event in self.once[word](samples, word, word in raised)]


class Heed(System):
    """Models that `heed train` made, `FOLDER/WORD/model.pt`, every 80 ms; see benchmarks/wake_word_heed.py."""

    install = "pip install heed-wakeword==0.1.4"

    def known(self) -> Sequence[str]:
        return sorted(path.parent.name for path in Path(self.path).glob("*/model.pt"))

    def reset(self) -> None:
        import torch
        from heed.infer import WakeWordDetector

        torch.set_num_threads(1)
        self.detectors = {word: WakeWordDetector(Path(self.path, word, "model.pt")) for word in self.words}
        self.seconds = 0.0

    def feed(self, samples: np.ndarray) -> list[str]:
        self.seconds += len(samples) / RATE
        sound = samples.astype(np.float32) / 32768
        return [word for word, one in self.detectors.items() if one.step(sound, self.seconds)["triggered"]]


# Name, class, and the module that is imported.
PEERS: dict[str, tuple[type[System], str]] = {
    "Porcupine 1.9.5": (Porcupine, "pvporcupine"),
    "pymicro-wakeword 2.5": (MicroWakeWord, "pymicro_wakeword"),
    "pyopen-wakeword 1.1": (PyOpenWakeWord, "pyopen_wakeword"),
    "openwakeword 0.4": (OpenWakeWord, "openwakeword"),
    "PocketSphinx": (PocketSphinx, "pocketsphinx"),
    "heed-wakeword 0.1.4": (Heed, "heed"),
}
