"""A manifest as a W&B table: sound to play, text to read, spectrograms to look at."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from manifests.convert import decode
from manifests.lines import ManifestError, read_manifest
from manifests.progress import progress
from manifests.select import sample


def wandb_mode() -> str:
    """`online` where WANDB_API_KEY is set, else `offline`; WANDB_MODE overrules both."""
    return os.environ.get("WANDB_MODE") or ("online" if os.environ.get("WANDB_API_KEY") else "offline")


def pictures(samples: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Spectrogram and mel-spectrogram of a recording in decibels below its loudest bin, coloured, low tones below.

    Args:
        samples: [S].
        sample_rate: hertz.

    Returns:
        two [height, T, 3] uint8 pictures, 80 dB from black to white, a column each 10 ms.
    """
    import librosa
    from matplotlib import colormaps

    window, hop = round(0.025 * sample_rate), round(0.01 * sample_rate)
    n_fft = 1 << max(window - 1, 1).bit_length()
    power = np.abs(librosa.stft(samples, n_fft=n_fft, hop_length=hop, win_length=window)) ** 2
    bank = librosa.filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=64)

    def coloured(values: np.ndarray) -> np.ndarray:
        decibels = 10 * np.log10(np.maximum(values, 1e-12) / max(float(values.max()), 1e-12))
        return (colormaps["magma"](np.clip(decibels[::-1] / 80 + 1, 0, 1))[..., :3] * 255).astype(np.uint8)

    return coloured(power), coloured(bank @ power)


def log_table(manifest: Path, project: str, rows: int, folder: Path, seed: str = "") -> str:
    """Log a drawn part of a manifest as the table `recordings` of a W&B run.

    Args:
        manifest: JSON lines.
        project: in W&B.
        rows: at most this many, in the manifest's order.
        folder: where an offline run is kept.
        seed: of the sample.

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
    mode = wandb_mode()
    run = wandb.init(project=project, name=manifest.stem, job_type="data", dir=str(folder), mode=mode)  # type: ignore[arg-type]
    try:
        table = wandb.Table(columns=["file", "audio", "seconds", "text", "spectrogram", "mel-spectrogram"])
        for utterance in progress(utterances, "logging", len(utterances)):
            samples, rate = decode(utterance.audio)
            if not len(samples):
                raise ManifestError(f"{manifest}:{utterance.line}: {utterance.audio} holds no samples. Remove it.")
            spectrogram, mel = (wandb.Image(picture) for picture in pictures(samples, rate))
            sound = wandb.Audio(samples, sample_rate=rate)
            table.add_data(utterance.audio.name, sound, round(utterance.duration, 2), utterance.text, spectrogram, mel)
        run.log({"recordings": table})
        return run.url if mode == "online" else str(Path(run.dir).parent)
    finally:
        run.finish()
