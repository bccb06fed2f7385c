"""The beam search with its frames in compiled code: the same results as BeamDecoder's, many times as fast."""

from __future__ import annotations

import ctypes
import weakref
from ctypes import POINTER, byref, c_int32

import numpy as np

from heyjetson.decoding import core
from heyjetson.decoding.beam import COMMIT_EVERY, BeamDecoder
from heyjetson.decoding.hypothesis import Hypothesis
from heyjetson.loudness import Loudness


class CompiledBeamDecoder(BeamDecoder):
    """Decodes one utterance after another; see `BeamDecoder` for the arguments. The beam lies in the library.

    Raises:
        MemoryError: there is none left.
    """

    _core: ctypes.c_void_p | None = None

    def reset(self, offset: float = 0.0, sound: Loudness | None = None) -> None:
        """Begin an utterance; see `Decoder`."""
        self._begin(offset, sound)
        if self._core is None:
            options = self.options
            library = core.library()
            assert library is not None  # make_decoder looked
            self._library = library
            self._core = ctypes.c_void_p(
                library.beam_new(
                    min(options.beam_size, 2**31 - 1), options.beam_threshold, options.label_threshold,
                    min(options.longest_open, 2**30),
                )
            )  # fmt: skip
            if not self._core:
                raise MemoryError("There is no memory for the beam search.")
            weakref.finalize(self, library.beam_free, self._core)
            self._view = core.Guide()
            self._characters_at = POINTER(core.Character)()
            self._missing_at = POINTER(c_int32)()
        self._checked(self._library.beam_reset(self._core, self.guide.space, self.guide.start()))
        self._look()

    def _look(self) -> None:
        """Tell the library where the tables lie: they move when they grow."""
        guide, tables, view = self.guide, self.guide.tables, self._view
        view.labels, view.space = len(guide.labels), guide.space
        view.alpha, view.beta, view.most = guide.alpha, guide.beta, guide.most
        # The scores first: they are replaced last, so that what is read after them is at least as large.
        arrays = {name: getattr(tables, name) for name in ("score", "target", "arrive", "ahead", "promise")}
        for name, array in arrays.items():
            setattr(view, name, array.ctypes.data)
        self._seen = [*arrays.values()]  # kept alive, while other streams make the tables grow

    def _current(self) -> core.Guide:
        """The tables as they are now: other streams make them grow."""
        if self._seen[0] is not self.guide.tables.score:
            self._look()
        return self._view

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
            ran = self._checked(self._library.beam_run(self._core, byref(self._current()), address, part))
            done += ran
            self._frames += ran
            if ran < part:
                self._fill()
            elif part == commit:
                self._settle()

    def _fill(self) -> None:
        count = self._library.beam_missing(self._core, byref(self._missing_at))
        pairs = self._missing_at[: 2 * count]
        self.guide.tables.fill(list(zip(pairs[::2], pairs[1::2], strict=True)))

    def _settle(self) -> None:
        count = self._library.beam_settle(self._core, byref(self._current()), byref(self._characters_at))
        for c in self._characters_at[: self._checked(count)]:
            self._built.add(self.labels[c.label], c.begin, c.end, c.peak)
        if self.guide.full():
            self._pull()
            states = np.ascontiguousarray(self.guide.compact(self._state), np.int32)
            self._library.beam_move(self._core, states.ctypes.data)
            self._look()

    def held(self) -> int:
        """Texts and spoken characters that are kept."""
        return int(self._library.beam_held(self._core))

    def _best(self) -> int:
        return int(self._library.beam_best(self._core, byref(self._current())))

    def _characters(self, i: int) -> list[tuple[str, int, int, float]]:
        count = self._library.beam_characters(self._core, i, byref(self._characters_at))
        characters = self._characters_at[: self._checked(count)]
        return [(self.labels[c.label], c.begin, c.end, c.peak) for c in characters]

    def _pull(self) -> None:
        """Copy the entries out of the library."""
        size = self._library.beam_size(self._core)
        whole, real = np.zeros((4, size), np.int32), np.zeros((5, size))
        self._library.beam_copy(self._core, whole.ctypes.data, real.ctypes.data)
        self._text, self._before, self._last, self._state = whole
        self._bonus, self._mass, self._path = real[0], real[1:3], real[3:5]

    def finish(self) -> list[Hypothesis]:
        """End the utterance; see `BeamDecoder`."""
        if not self._finished:
            self._pull()
        return super().finish()
