"""Speech from text by espeak-ng, through the shared library in the wheel `espeakng-loader`.

Source: espeak-ng's speak_lib.h. The library keeps global state, so one process holds one synthesiser.
"""

from __future__ import annotations

import ctypes
import functools

import numpy as np

_SYNCHRONOUS = 2  # samples come to the callback before the call returns
_DONT_EXIT = 0x8000
_UTF8 = 1
_IPA_SEPARATED = 0x02 | ord("_") << 8  # International Phonetic Alphabet, "_" between phonemes
_RATE, _VOLUME, _PITCH, _RANGE, _WORD_GAP = 1, 2, 3, 4, 7
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class _Synthesizer:
    def __init__(self) -> None:
        import espeakng_loader

        self.library = ctypes.cdll.LoadLibrary(espeakng_loader.get_library_path())
        self.sample_rate = self.library.espeak_Initialize(
            _SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), _DONT_EXIT
        )
        if self.sample_rate <= 0:
            raise OSError("espeak-ng could not load its voice data; reinstall the package espeakng-loader.")
        self.chunks: list[np.ndarray] = []
        self.callback = _CALLBACK(self._collect)  # kept alive: the library holds only a pointer
        self.library.espeak_SetSynthCallback(self.callback)

    def _collect(self, samples: ctypes._Pointer[ctypes.c_short], count: int, _events: int) -> int:
        if samples and count > 0:
            self.chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0


_synthesizer = functools.cache(_Synthesizer)


def _choose(voice: str) -> _Synthesizer:
    engine = _synthesizer()
    if engine.library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise ValueError(f"espeak-ng has no voice {voice!r}; `espeak-ng --voices=en` and --voices=variant list them.")
    return engine


def speak(
    text: str, voice: str, *, rate: int = 165, pitch: int = 50, pitch_range: int = 50, word_gap: int = 0
) -> tuple[np.ndarray, int]:
    """Speak a sentence.

    Args:
        text: the sentence, UTF-8.
        voice: espeak-ng's name of an accent and a variant, for example `en-us+f2`.
        rate: words per minute, 80 to 450.
        pitch: base pitch, 0 to 99.
        pitch_range: how far the pitch moves, 0 (monotone) to 99.
        word_gap: extra pause between words, in units of about 10 ms.

    Returns:
        samples: [S] float32 within [-1, 1].
        sample_rate: in hertz.

    Raises:
        ValueError: espeak-ng has no such voice.
    """
    engine = _choose(voice)
    settings = {_RATE: rate, _PITCH: pitch, _RANGE: pitch_range, _WORD_GAP: word_gap, _VOLUME: 90}
    for parameter, value in settings.items():
        engine.library.espeak_SetParameter(parameter, value, 0)
    # Breath and flutter are drawn, by default from the clock: the same sentence must sound the same on any day.
    engine.library.espeak_ng_SetRandSeed(ctypes.c_long(1))
    engine.chunks.clear()
    data = text.encode() + b"\0"
    engine.library.espeak_Synth(data, len(data), 0, 0, 0, _UTF8, None, None)
    engine.library.espeak_Synchronize()
    if not engine.chunks:
        return np.zeros(0, np.float32), engine.sample_rate
    return np.concatenate(engine.chunks).astype(np.float32) / 32768.0, engine.sample_rate


def pronounce(text: str, voice: str) -> str:
    """What would be spoken, in the International Phonetic Alphabet: "_" between phonemes, a space between words.

    Args:
        text: UTF-8.
        voice: as in `speak`.

    Raises:
        ValueError: espeak-ng has no such voice.
    """
    library = _choose(voice).library
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    rest, said = ctypes.c_char_p(text.encode()), []
    while rest.value is not None:  # a clause at a time
        said.append(library.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, _IPA_SEPARATED) or b"")
    return b" ".join(said).decode()
