"""A manifest as a W&B table: sound to play, text to read, spectrograms to look at."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from manifests.convert import decode
from manifests.lines import read_manifest
from manifests.progress import progress
from manifests.select import sample

if TYPE_CHECKING:
    from PIL.Image import Image

COLUMNS = ("file", "audio", "seconds", "text", "spectrogram", "mel-spectrogram")


def wandb_mode() -> str:
    """`online` where WANDB_API_KEY is set, else `offline`; WANDB_MODE overrules both."""
    return os.environ.get("WANDB_MODE") or ("online" if os.environ.get("WANDB_API_KEY") else "offline")


def painted(values: np.ndarray) -> Image:
    """A picture of values [H, T] from 0 to 1 in 256 colours, black to white, the first row at the bottom."""
    from matplotlib import colormaps
    from PIL import Image

    picture = Image.fromarray(np.round(np.clip(values[::-1], 0, 1) * 255).astype(np.uint8), "L")
    picture.putpalette((colormaps["magma"](np.arange(256))[:, :3] * 255).astype(np.uint8).tobytes())
    return picture


def pictures(samples: np.ndarray, sample_rate: int) -> tuple[Image, Image]:
    """Spectrogram and mel-spectrogram of a recording in decibels below its loudest bin, coloured, low tones below.

    Args:
        samples: [S].
        sample_rate: hertz.

    Returns:
        two pictures, 80 dB from black to white, a column each 10 ms.
    """
    from librosa.filters import mel

    window, hop = round(0.025 * sample_rate), round(0.01 * sample_rate)
    n_fft = 1 << max(window - 1, 1).bit_length()
    # Without librosa.stft, whose compiler takes longer to import than all of the pictures to draw.
    frames = sliding_window_view(np.pad(samples, window // 2), window)[::hop] * np.hanning(window)  # [T, window]
    power = np.abs(np.fft.rfft(frames, n_fft)).T ** 2
    bank = mel(sr=sample_rate, n_fft=n_fft, n_mels=64)

    def coloured(values: np.ndarray) -> Image:
        decibels = 10 * np.log10(np.maximum(values, 1e-12) / max(float(values.max()), 1e-12))
        return painted(decibels / 80 + 1)

    return coloured(power), coloured(bank @ power)


def row(file: str, samples: np.ndarray, sample_rate: int, text: str) -> list[Any]:
    """One recording as a row of `COLUMNS`.

    Args:
        file: name of the recording.
        samples: [S].
        sample_rate: hertz.
        text: what is said.
    """
    import wandb

    images = [wandb.Image(picture) for picture in pictures(samples, sample_rate)]
    sound = wandb.Audio(samples, sample_rate=sample_rate)
    return [file, sound, round(len(samples) / sample_rate, 2), text, *images]


def log_table(manifest: Path, project: str, rows: int, folder: Path, seed: str = "", channels: str = "mix") -> str:
    """Log a random part of a manifest as the table `recordings` of a W&B run.

    Args:
        manifest: JSON lines.
        project: in W&B.
        rows: at most this many, in the manifest's order.
        folder: where an offline run is kept.
        seed: of the sample.
        channels: of recordings that have several; see `heyjetson.audio.to_mono`.

    Returns:
        where it is: the run's address, or the folder of an offline run.

    Raises:
        ManifestError: the manifest cannot be read, or a recording in it.
    """
    import wandb

    utterances = sample(read_manifest(manifest), count=rows, seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("WANDB_DATA_DIR", str(folder))  # media is staged here, not in the home
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # which goes to W&B, offline or not
    mode = wandb_mode()
    run = wandb.init(project=project, name=manifest.stem, job_type="data", dir=str(folder), mode=mode)  # type: ignore[arg-type]
    try:
        table = wandb.Table(columns=list(COLUMNS))
        for utterance in progress(utterances, "logging", len(utterances)):
            sound = decode(utterance.audio, channels, *utterance.segment)
            table.add_data(*row(utterance.audio.name, sound.samples, sound.rate, utterance.text))
        run.log({"recordings": table})
        return run.url if mode == "online" else str(Path(run.dir).parent)
    finally:
        run.finish()
