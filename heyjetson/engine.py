"""Runs a bundle's graph with onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from heyjetson import audio
from heyjetson.bundle import Bundle
from heyjetson.decode import Result, greedy
from heyjetson.errors import AudioError, BundleError


def pieces(samples: np.ndarray, sample_rate: int, longest: float) -> Iterator[tuple[int, np.ndarray]]:
    """Cut a long recording where it is quietest, so that no piece is longer than the model was trained for.

    Args:
        samples: [S].
        sample_rate: hertz.
        longest: seconds.

    Yields:
        first sample and samples of each piece; together they are the recording.
    """
    limit = int(longest * sample_rate)
    block = max(sample_rate // 50, 1)
    start = 0
    while len(samples) - start > limit:
        # The quietest 20 ms of the second half of what may be used.
        window = samples[start + limit // 2 : start + limit]
        blocks = window[: len(window) // block * block].reshape(-1, block)
        cut = start + limit // 2 + int(np.square(blocks).mean(axis=1).argmin()) * block + block // 2
        yield start, samples[start:cut]
        start = cut
    yield start, samples[start:]


class Engine:
    """One loaded model, for any number of recordings.

    Args:
        bundle: what to run.
        threads: onnxruntime's threads within an operator; 1 leaves the other cores to others.

    Raises:
        BundleError: onnxruntime refuses the graph.
    """

    def __init__(self, bundle: Bundle, threads: int = 1):
        import onnxruntime

        self.bundle = bundle
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(str(bundle.graph), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own exceptions share no base class of theirs
            raise BundleError(f"onnxruntime cannot load {bundle.graph}: {error}") from error
        self._inputs = {value.name for value in self.session.get_inputs()}

    def log_probs(self, samples: np.ndarray, length: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Run the graph on sound at the bundle's sample rate.

        Args:
            samples: [B, S] float32, zero beyond each length.
            length: [B]; S for all when None.

        Returns:
            log_probs: [B, T, V + 1].
            frames: [B], how many of T belong to each.
        """
        if length is None:
            length = np.full(len(samples), samples.shape[1])
        feed = {"samples": samples.astype(np.float32, copy=False), "length": length.astype(np.int64)}
        log_probs, frames = self.session.run(
            ["log_probs", "frames"], {name: value for name, value in feed.items() if name in self._inputs}
        )
        return log_probs, frames

    def transcribe(self, samples: np.ndarray, sample_rate: int) -> Result:
        """Transcribe a recording of any length.

        Args:
            samples: [S] or [S, channels], int16 or float.
            sample_rate: hertz.

        Raises:
            AudioError: the recording is empty, shorter than a frame, or not made of numbers.
        """
        mono = audio.resample(audio.to_mono(samples), sample_rate, self.bundle.sample_rate)
        rate = self.bundle.sample_rate
        window = self.bundle.manifest["window"]
        if len(mono) < window:
            raise AudioError(
                f"The recording lasts {len(mono) / rate:.3f} s, less than one frame of {window / rate:.3f} s: there is "
                "nothing to transcribe."
            )
        words = []
        for start, piece in pieces(mono, rate, self.bundle.manifest["longest_seconds"]):
            if len(piece) < window:
                continue
            log_probs, frames = self.log_probs(piece[None])
            words += greedy(
                log_probs[0, : frames[0]],
                self.bundle.labels,
                self.bundle.blank_id,
                self.bundle.frame_seconds,
                start / rate,
            )
        return Result(" ".join(word.text for word in words), words, len(mono) / rate)

    def transcribe_file(self, path: str | os.PathLike[str]) -> Result:
        """Transcribe a recording from a file.

        Raises:
            AudioError: it cannot be read, or holds nothing to transcribe.
        """
        return self.transcribe(audio.load(path, self.bundle.sample_rate), self.bundle.sample_rate)
