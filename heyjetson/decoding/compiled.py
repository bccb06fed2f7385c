"""The beam search with its frames in compiled code: the same results as BeamDecoder's, many times as fast."""

from __future__ import annotations

import ctypes
import weakref
from ctypes import POINTER, byref

import numpy as np

from heyjetson.decoding import core
from heyjetson.decoding.beam import COMMIT_EVERY, BeamDecoder
from heyjetson.decoding.guide import Guide
from heyjetson.decoding.hypothesis import Hypothesis
from heyjetson.loudness import Loudness


class CompiledBeamDecoder(BeamDecoder):
    """Decodes one utterance after another; see `BeamDecoder` for the arguments. The beam lies in the library, which
    shares nothing that is written with other streams.

    Raises:
        MemoryError: there is none left.
    """

    guide: Guide  # type: ignore[assignment]
    _core: ctypes.c_void_p | None = None

    def reset(self, offset: float = 0.0, sound: Loudness | None = None) -> None:
        """Begin an utterance; see `Decoder`."""
        self._begin(offset, sound)
        if self._core is None:
            options = self.options
            self._library = library = core.loaded()
            self._core = ctypes.c_void_p(
                library.beam_new(
                    min(options.beam_size, 2**31 - 1), options.beam_threshold, options.label_threshold,
                    min(options.longest_open, 2**30),
                )
            )  # fmt: skip
            if not self._core:
                raise MemoryError("There is no memory for the beam search.")
            weakref.finalize(self, library.beam_free, self._core)
            self.guide.view.pause = self._pause
            self._view = byref(self.guide.view)
            self._characters_at = POINTER(core.Character)()
        self._checked(self._library.beam_reset(self._core, self._view))

    @staticmethod
    def _checked(result: int) -> int:
        if result < 0:
            raise MemoryError("There is no memory left for the beam search.")
        return result

    def _run(self, rows: np.ndarray) -> None:
        rows = np.ascontiguousarray(rows)
        done = 0
        while done < len(rows):
            commit = COMMIT_EVERY - self._frames % COMMIT_EVERY
            part = min(commit, len(rows) - done)
            address = rows.ctypes.data + done * rows.strides[0]
            self._checked(self._library.beam_run(self._core, self._view, address, part))
            done += part
            self._frames += part
            if part == commit:
                self._settle()

    def _settle(self) -> None:
        count = self._library.beam_settle(self._core, self._view, byref(self._characters_at))
        for c in self._characters_at[: self._checked(count)]:
            self._built.add(self.labels[c.label], c.begin, c.end, c.peak)

    def held(self) -> int:
        """Texts and spoken characters that are kept."""
        return int(self._library.beam_held(self._core))

    def _best(self) -> int:
        return int(self._library.beam_best(self._core, self._view))

    def _characters(self, i: int) -> list[tuple[str, int, int, float]]:
        count = self._library.beam_characters(self._core, i, byref(self._characters_at))
        characters = self._characters_at[: self._checked(count)]
        return [(self.labels[c.label], c.begin, c.end, c.peak) for c in characters]

    def _pull(self) -> None:
        """Copy the entries out of the library."""
        size = self._library.beam_size(self._core)
        whole, real = np.zeros((3, size), np.int32), np.zeros((5, size))
        self._library.beam_copy(self._core, whole.ctypes.data, real.ctypes.data)
        self._text, self._before, self._last = whole
        self._bonus, self._mass, self._path = real[0], real[1:3], real[3:5]

    def _gains(self) -> np.ndarray:
        gains = np.zeros(len(self._text))
        self._library.beam_finish(self._core, self._view, gains.ctypes.data)
        return gains

    def ending(self) -> list[Hypothesis]:
        """What `finish` would give; see `BeamDecoder`."""
        self._pull()
        return super().ending()
