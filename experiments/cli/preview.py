"""Hear and see augmentation before a run is spent on it.

python -m experiments.cli.preview augment=full manifest=data/synthetic/train.jsonl out=preview count=5
python -m experiments.cli.preview --help
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
from omegaconf import DictConfig

from experiments.cli.entry import entry
from experiments.cli.overrides import require_keys
from experiments.errors import ConfigError
from manifests import read_manifest
from manifests.convert import sound_of

if TYPE_CHECKING:
    from torch import Tensor, nn


def preview(cfg: DictConfig, manifest: Path, out: Path, count: int, seed: int) -> list[Path]:
    """Write `NN-before.wav`, `NN-after.wav` and `NN.png` for the first utterances of a manifest.

    What is drawn for an utterance depends on the seed and its place in the manifest alone.

    Args:
        cfg: with `augment`, `frontend` and `data.sample_rate` as conf/preview.yaml has them.
        manifest: JSON lines.
        out: folder to write to.
        count: of utterances.
        seed: of everything random.

    Returns:
        the pictures.

    Raises:
        ConfigError: there is nothing to preview, or a part cannot be built.
        ManifestError: the manifest cannot be read, or a recording of it.
    """
    if all(cfg.augment[part] is None for part in ("waveform", "spectrogram", "silence")):
        raise ConfigError("This augmentation changes nothing. Choose another: augment=full, for example.")
    if count < 1:
        raise ConfigError(f"count must be at least 1, found {count}.")
    import torch

    utterances = read_manifest(manifest)[:count]
    parts = _build(cfg)
    rate = cfg.data.sample_rate
    out.mkdir(parents=True, exist_ok=True)
    pictures = []
    for number, utterance in enumerate(utterances, 1):
        before = torch.from_numpy(sound_of(utterance, rate, cfg.data.channels))
        torch.manual_seed(seed * 1_000_003 + number)
        after = _perturbed(parts["waveform"], _among_silence(parts["silence"], before))
        for name, samples in (("before", before), ("after", after)):
            loudest = max(float(samples.abs().max()), 1.0)  # training does not clip, a wav does
            soundfile.write(out / f"{number:02d}-{name}.wav", (samples / loudest).numpy(), rate, subtype="PCM_16")
        shown = {"before": _features(parts["frontend"], before), "after": _features(parts["frontend"], after)}
        shown["after"][~_kept(parts["spectrogram"], shown["after"])] = np.nan
        pictures.append(out / f"{number:02d}.png")
        _draw(pictures[-1], shown, parts["frontend"].hop / rate, utterance.text)
    return pictures


def _build(cfg: DictConfig) -> dict[str, Any]:
    """The modules named in the configuration; None for those that are off."""
    from hydra.utils import instantiate

    import custom_modules  # noqa: F401  (registers the project's modules with NeMo)
    from experiments.cli.log_levels import set_log_levels

    set_log_levels()
    try:
        parts = {
            "waveform": instantiate(cfg.augment.waveform),
            "spectrogram": instantiate(cfg.augment.spectrogram),
            "silence": instantiate(cfg.augment.silence),
            "frontend": instantiate(cfg.frontend),
        }
        for name in ("waveform", "silence"):
            if parts[name] is not None:
                parts[name].load_recordings()
        return parts
    except Exception as error:  # Hydra wraps whatever a constructor raises
        raise ConfigError(f"This augmentation cannot be built: {error.__cause__ or error}") from error


def _among_silence(silence: nn.Module | None, samples: Tensor) -> Tensor:
    import torch

    if silence is None:
        return samples
    none = torch.zeros(1, 0, dtype=torch.long)  # no labels: alone in its batch an utterance is joined with no other
    return silence(samples[None], torch.tensor([len(samples)]), none, torch.tensor([0]), None)[0][0]


def _perturbed(waveform: nn.Module | None, samples: Tensor) -> Tensor:
    import torch

    if waveform is None:
        return samples
    changed, length = waveform(samples[None], torch.tensor([len(samples)]))
    return changed[0, : int(length[0])]


def _features(frontend: Any, samples: Tensor) -> np.ndarray:
    """Features [D, T] of samples [S], before normalisation."""
    import torch

    with torch.no_grad():
        padded = torch.nn.functional.pad(samples, (0, max(frontend.window - len(samples), 0)))
        return frontend.raw_features(padded[None])[0].numpy()


def _kept(spectrogram: nn.Module | None, features: np.ndarray) -> np.ndarray:
    """Which of the features [D, T] SpecAugment leaves as they are."""
    import torch

    if spectrogram is None:
        return np.ones(features.shape, bool)
    untouched = torch.full((1, *features.shape), 7.0)  # a value that no mask is filled with
    masked = spectrogram(input_spec=untouched.clone(), length=torch.tensor([features.shape[1]]))
    return (masked == untouched)[0].numpy()


def _draw(path: Path, shown: dict[str, np.ndarray], seconds_per_frame: float, text: str) -> None:
    """Features above each other, on the same scales of time and colour; what is not a number is white."""
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6), layout="constrained")
    FigureCanvasAgg(figure)
    values = np.concatenate([features[np.isfinite(features)] for features in shown.values()])
    low, high = np.percentile(values, [5, 99.5])  # digital silence would leave the speech one colour
    longest = max(features.shape[1] for features in shown.values()) * seconds_per_frame
    look = {
        "origin": "lower",
        "aspect": "auto",
        "interpolation": "nearest",
        "cmap": colormaps["magma"].with_extremes(bad="white"),
        "vmin": low,
        "vmax": high,
    }
    axes = figure.subplots(len(shown), 1, sharex=True)
    for axis, (name, features) in zip(axes, shown.items(), strict=True):
        extent = (0.0, features.shape[1] * seconds_per_frame, 0.0, float(len(features)))
        image = axis.imshow(features, extent=extent, **look)
        axis.set(title=name, ylabel="feature", xlim=(0, longest), facecolor="lightgrey")
    axes[-1].set_xlabel("seconds")
    figure.suptitle(text[:100])
    figure.colorbar(image, ax=axes, label="value before normalisation")
    figure.savefig(path, dpi=100)


@entry("preview")
def main(cfg: DictConfig) -> None:
    """Build → perturb → write sound and pictures."""
    require_keys(cfg, "manifest", "out")
    for picture in preview(cfg, Path(cfg.manifest), Path(cfg.out), cfg.count, cfg.seed):
        stem = picture.with_suffix("")
        print(f"{stem}-before.wav  {stem}-after.wav  {picture}")


if __name__ == "__main__":
    main()
