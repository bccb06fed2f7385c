"""Log-probabilities of a recording of any length, from a bundle or a `.nemo`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.errors import ConfigError
from heyjetson.bundle import MANIFEST
from manifests.progress import progress

CONTEXT = 0.2  # of a window's length, on either side, is heard and thrown away


@dataclass(frozen=True)
class Acoustic:
    """A model that gives log-probabilities.

    Args:
        labels: V characters.
        blank_id: column of the blank.
        sample_rate: hertz.
        window: samples of a feature frame.
        hop: samples between two feature frames.
        subsampling_factor: feature frames between two outputs.
        longest: seconds of sound that the model is given at once.
        run: samples [S] float32 → log-probabilities [T, V + 1].
        whole: `run` takes sound of any length in bounded memory, and gives the same for any cut.
    """

    labels: list[str]
    blank_id: int
    sample_rate: int
    window: int
    hop: int
    subsampling_factor: int
    longest: float
    run: Callable[[np.ndarray], np.ndarray]
    whole: bool = False

    @property
    def frame_seconds(self) -> float:
        """Seconds between two outputs."""
        return self.hop * self.subsampling_factor / self.sample_rate

    def frames(self, samples: int) -> int:
        """Outputs for so many samples."""
        return -(-(1 + (samples - self.window) // self.hop) // self.subsampling_factor) if samples >= self.window else 0

    def log_probs(self, samples: np.ndarray) -> np.ndarray:
        """Log-probabilities [T, V + 1] of a recording [S], float32 at the model's rate.

        The model hears windows no longer than it was trained for, each with what comes before and after it, and of
        each only the middle is taken: what it hears from both ends does not end where a window does.

        Raises:
            ConfigError: the recording is shorter than a frame.
        """
        total = self.frames(len(samples))
        if not total:
            raise ConfigError(
                f"The recording lasts {len(samples) / self.sample_rate:.3f} s, less than one frame of the model."
            )
        if self.whole:
            return self.run(samples)
        windows = list(self._windows(total))
        taken = []
        step = self.hop * self.subsampling_factor
        for low, begin, end, high in progress(windows, "listening", len(windows)):
            last = len(samples) if high == total else high * step + self.window - self.hop
            heard = self.run(samples[low * step : last])
            if len(heard) != high - low:
                raise ConfigError(
                    f"The model gave {len(heard)} outputs where its geometry says {high - low}: times would be wrong. "
                    "Export the model again."
                )
            taken.append(heard[begin - low : end - low])
        return np.concatenate(taken)

    def _windows(self, total: int) -> Iterator[tuple[int, int, int, int]]:
        """Frames from which to which is heard, and in between which are taken: low, begin, end, high."""
        most = max(int(self.longest / self.frame_seconds), 5)
        context = int(most * CONTEXT)
        for begin in range(0, total, most - 2 * context):
            end = min(begin + most - 2 * context, total)
            yield max(begin - context, 0), begin, end, min(end + context, total)


def open_acoustic(path: Path, threads: int) -> Acoustic:
    """The model of a bundle's folder, of a run's folder, or of a `.nemo`.

    Args:
        path: of it.
        threads: for one window; torch, which runs a `.nemo`, takes them for the whole process.

    Raises:
        ConfigError: it is none of these, or a trigger.
        BundleError: the bundle is damaged, or a trigger.
    """
    if path.is_dir() and (path / "model.nemo").is_file():
        path = path / "model.nemo"
    if path.is_dir():
        if not (path / MANIFEST).is_file():
            raise ConfigError(f"{path} is neither a bundle nor a run's folder: it has no {MANIFEST} and no model.nemo.")
        return _of_bundle(path, threads)
    return _of_nemo(path, threads)


def _of_bundle(path: Path, threads: int) -> Acoustic:
    from heyjetson import Bundle, Engine

    engine = Engine(Bundle(path), threads)
    bundle, manifest = engine.bundle, engine.bundle.manifest

    def clip(samples: np.ndarray) -> np.ndarray:
        log_probs, frames = engine.log_probs(samples[None])
        return log_probs[0, : frames[0]]

    def stream(samples: np.ndarray) -> np.ndarray:
        size = round(10 * bundle.sample_rate)
        starts = range(0, len(samples), size)
        pieces = progress((samples[start : start + size] for start in starts), "listening", len(starts))
        return engine.stream_log_probs(pieces)

    return Acoustic(
        bundle.labels,
        bundle.blank_id,
        bundle.sample_rate,
        manifest["window"],
        manifest["hop"],
        manifest["subsampling_factor"],
        manifest["longest_seconds"],
        stream if bundle.streams else clip,
        whole=bundle.streams,
    )


def _of_nemo(path: Path, threads: int) -> Acoustic:
    from experiments.pretrained.restore import restore_model

    model = restore_model(path, trigger=None)
    import torch
    from omegaconf import OmegaConf

    from experiments.export.bundle import LONGEST
    from experiments.export.graphs import ClipGraph, kind_of

    if kind_of(model) == "trigger":
        raise ConfigError(f"{path} is a trigger: it raises words and writes no text. Give a model that transcribes.")
    torch.set_num_threads(threads)
    graph = ClipGraph(model).eval()

    def clip(samples: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            log_probs, frames = graph(
                torch.from_numpy(np.ascontiguousarray(samples))[None], torch.tensor([len(samples)])
            )
        return log_probs[0, : int(frames[0])].numpy()

    frontend = model.preprocessor
    return Acoustic(
        model.labels,
        len(model.labels),
        frontend._sample_rate,
        frontend.window,
        frontend.hop,
        model.subsampling_factor,
        float(OmegaConf.select(model.cfg, "run.longest", default=LONGEST)),
        clip,
    )
