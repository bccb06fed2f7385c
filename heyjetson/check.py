"""Whether this device computes what the bundle's exporter computed, on a recording that the bundle carries.

The file holds `samples` [S] int16 and `frames` [T, V + 1] or [T, W] float32, which the graph gave when it was exported.
Streams are compared over whole steps: how a stream is flushed is the runtime's matter, and versions of it may differ.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from heyjetson.bundle import Bundle
from heyjetson.decoding.factory import make_decoder
from heyjetson.errors import BundleError, HeyJetsonError
from heyjetson.frames import FrameStream

if TYPE_CHECKING:
    from heyjetson.engine import Engine
    from heyjetson.wakeword.trigger import Trigger

FILE = "check.npz"
REACH = 10.0  # largest number of a frame beyond which its differences are counted in proportion
# Largest difference of a log-probability, or of a trigger's score. On the CPU, precisions only store weights; a GPU
# multiplies float32 with fewer digits (TF32), and an engine may compute in half precision.
TOLERANCES = {"cpu": 2e-3, "cuda": 0.1, "tensorrt": 0.1}
HALF = 0.5  # of an engine that computes in float16
PIECES = (1, 1600, 333, 4801)  # samples that a stream is fed at once, in turn


@dataclass(frozen=True)
class Finding:
    """What a check came to.

    Args:
        good: the device computes what the exporter did.
        said: in a sentence, with a cure where it is not good.
    """

    good: bool
    said: str


def largest_difference(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference; infinity where shapes differ or a number is none.

    float32 has seven digits. A frame whose log-probabilities reach to -250 comes from sums of that size, and torch
    itself is then 1e-3 from what it gives in float64.

    Args:
        found: [..., V].
        expected: the same shape.

    >>> round(largest_difference(np.array([[-0.001, -9.0]]), np.array([[0.0, -9.0]])), 6)
    0.001
    >>> round(largest_difference(np.array([[-0.001, -250.0]]), np.array([[0.0, -250.0]])), 6)
    4e-05
    """
    if found.shape != expected.shape:
        return float("inf")
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    reach = np.abs(expected).max(axis=-1, keepdims=True, initial=0.0) if expected.ndim else np.abs(expected)
    difference = np.abs(found - expected) / np.maximum(reach / REACH, 1)
    # NaN is a failure, and no comparison with NaN is true.
    return float(difference.max(initial=0.0)) if np.isfinite(difference).all() else float("inf")


def frames_of(engine: Engine | Trigger, samples: np.ndarray) -> np.ndarray:
    """What a graph gives for a recording.

    Args:
        engine: with the graph.
        samples: [S] int16 at the bundle's rate.

    Returns:
        [T, V + 1], or [T, W] or [T, W + P + 1] of a trigger.

    Raises:
        HeyJetsonError: the graph fails, or gives values that are not numbers.
    """
    sound = samples.astype(np.float32) / 32768.0
    bundle, session = engine.bundle, engine.session
    if not bundle.streams:
        log_probs, counts = engine.log_probs(sound[None])  # type: ignore[union-attr]
        return log_probs[0, : counts[0]]
    given = FrameStream(bundle, session).hear(_pieces(sound))
    return np.concatenate([np.zeros((0, bundle.columns), np.float32), *given])


def _pieces(sound: np.ndarray) -> Iterator[np.ndarray]:
    start, turn = 0, 0
    while start < len(sound):
        yield sound[start : start + PIECES[turn % len(PIECES)]]
        start += PIECES[turn % len(PIECES)]
        turn += 1


def text_of(bundle: Bundle, frames: np.ndarray) -> str:
    """The text of the best path through log-probabilities [T, V + 1]."""
    decoder = make_decoder(bundle.labels, bundle.blank_id, bundle.frame_seconds)
    decoder.feed(frames)
    return decoder.finish()[0].text


def write_check(folder: Path, samples: np.ndarray, frames: np.ndarray) -> None:
    """Put a recording [S] int16 and the frames that a graph gives for it into a bundle's folder."""
    np.savez_compressed(folder / FILE, samples=samples.astype(np.int16), frames=frames.astype(np.float32))


def _read(bundle: Bundle) -> tuple[np.ndarray, np.ndarray]:
    try:
        with np.load(bundle.folder / FILE, allow_pickle=False) as held:
            samples, frames = held["samples"], held["frames"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise BundleError(f"{bundle.folder / FILE} cannot be read ({error}). Export the model again.") from None
    if samples.dtype != np.int16 or samples.ndim != 1 or frames.dtype != np.float32 or frames.ndim != 2:
        raise BundleError(f"{bundle.folder / FILE} holds no recording with its frames. Export the model again.")
    return samples, frames


def tolerance(bundle: Bundle, provider: str) -> float:
    """The largest difference that is rounding, of what runs the graph."""
    if provider == "tensorrt" and bundle.manifest.get("precision", "fp32") != "fp32":
        return HALF
    # Deep stacks add up what float32 leaves out: the exporter measured how much.
    parity = bundle.manifest.get("parity", {})
    own = parity.get("largest_difference", 0.0) if isinstance(parity, dict) else 0.0
    exact = bundle.manifest.get("precision", "fp32") == "fp32"
    return max(TOLERANCES[provider], 10 * own if exact and isinstance(own, int | float) else 0.0)


def check(engine: Engine | Trigger) -> Finding | None:
    """Run a bundle's recording, and compare.

    Args:
        engine: what runs the bundle.

    Returns:
        what was found; None where the bundle carries no recording.

    Raises:
        BundleError: the recording cannot be read.
    """
    bundle, provider = engine.bundle, engine.provider
    if FILE not in bundle.manifest["files"]:
        return None
    samples, expected = _read(bundle)
    try:
        found = frames_of(engine, samples)
    except HeyJetsonError as error:
        return Finding(False, f"{provider} fails on the bundle's recording: {error}")
    if found.shape != expected.shape:
        return Finding(False, f"{provider} computes wrongly: it gives {len(found)} frames in place of {len(expected)}.")
    if np.isnan(found).any():
        return Finding(False, f"{provider} gives values that are not numbers for the bundle's recording.")
    difference, allowed = largest_difference(found, expected), tolerance(bundle, provider)
    what = "scores" if bundle.is_trigger else "log-probabilities"
    written = [] if bundle.is_trigger else [text_of(bundle, frames) for frames in (found, expected)]
    other = f", and it writes {written[0]!r} in place of {written[1]!r}" if written and written[0] != written[1] else ""
    if difference > allowed:
        said = f"{provider} computes wrongly: {what} are off by {difference:.2g} (rounding: {allowed:.2g}){other}."
        return Finding(False, said)
    said = f"{provider} computes as the exporter did: {what} within {difference:.1e} (rounding: {allowed:.2g})"
    if other:
        return Finding(True, f"{said}{other}: two characters are as likely there.")
    return Finding(True, f"{said}, text {written[0]!r}" if written else said)


def report(engine: Any, cpu: Any) -> Finding:
    """What a check came to, with a cure.

    Args:
        engine: what will run the bundle.
        cpu: makes the engine of the CPU, to see whether that is right where the other is not.
    """
    finding = check(engine)
    if finding is None:
        return Finding(True, "not checked: it carries no recording. Export it anew and doctor will compare.")
    if finding.good:
        return finding
    if engine.provider != "cpu":
        on_cpu = check(cpu())
        if on_cpu and on_cpu.good:
            return Finding(False, f"{finding.said} The CPU is right: use --provider cpu, or another version of CUDA, "
                           "TensorRT and the driver.")  # fmt: skip
    cure = "Install another version of onnxruntime (pip install --upgrade onnxruntime), and run doctor again."
    if engine.bundle.manifest.get("precision", "fp32") != "fp32":
        cure += " If it stays, export with precision=fp32."
    return Finding(False, f"{finding.said} {cure}")
