"""Everything that can be known to fail is found before the first step."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from omegaconf import DictConfig

from custom_modules.model import SpeechModel
from experiments.data import Data
from experiments.entry import ConfigError
from manifests.check import Requirements, check, require
from manifests.lines import write_manifest
from manifests.shard import read_index

DISK_PER_PARAMETER = 4 * 3 * 4  # weights and two moments in float32, in at most four files at once


def check_run(cfg: DictConfig, model: SpeechModel, data: Data, folder: Path | None = None) -> None:
    """Check manifests, labels, sound, CTC feasibility and disk; put filtered manifests into `data` when skipping.

    Args:
        cfg: the whole configuration.
        model: tells how many frames a duration gives.
        data: what to check.
        folder: the run's folder; Hydra's when None.

    Raises:
        ManifestError: bad utterances, where data.on_bad_sample=fail.
        ConfigError: too little disk.
    """
    folder = folder or run_dir()
    needed = 1.2 * DISK_PER_PARAMETER * sum(parameter.numel() for parameter in model.parameters()) + 50e6
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ConfigError(
            f"The run needs about {needed / 1e9:.1f} GB for checkpoints but {folder} has {free / 1e9:.1f} GB free. "
            "Free some, or set runs=DIR to another disk."
        )
    frontend = model.preprocessor
    needs = Requirements(
        labels=model.labels,
        shortest=frontend.window / frontend._sample_rate,
        longest=cfg.data.longest,
        frames=model.output_frames,
        decode=cfg.data.check == "full",
    )
    skipped = 0
    for name, manifest in data.named().items():
        if name == "train" and data.shards:
            check_shards(data.shards, needs, cfg.data.sample_rate)
            continue
        report = check(manifest, needs)
        require(report, cfg.data.on_bad_sample)
        if not report.faults:
            continue
        print(report.summary(), file=sys.stderr)
        skipped += len(report.faults)
        kept = folder / f"{name}.checked.jsonl"
        write_manifest(kept, report.good)
        if name in ("train", "validation"):
            setattr(data, name, kept)
        else:
            data.test[name] = kept
    print(f"Preflight passed; {skipped} bad utterances left out." if skipped else "Preflight passed.")


def check_shards(folder: Path, needs: Requirements, sample_rate: int) -> None:
    """Check shards by their index; their utterances were checked one by one when they were made.

    Raises:
        ConfigError: they do not fit the labels, the limit or the sample rate.
    """
    index = read_index(folder)
    if strange := sorted(set(index.characters) - set(needs.labels)):
        raise ConfigError(f"The shards in {folder} hold characters outside the labels: {strange}. Add them to labels.")
    if index.longest > needs.longest:
        raise ConfigError(
            f"The shards in {folder} hold an utterance of {index.longest:.1f} s, longer than data.longest="
            f"{needs.longest:g}. Raise it, or make shards of shorter ones."
        )
    if index.sample_rates != [sample_rate]:
        raise ConfigError(
            f"The shards in {folder} are at {index.sample_rates} Hz, not {sample_rate}. Convert the corpus first: "
            "python -m manifests table MANIFEST --out DIR."
        )


def run_dir() -> Path:
    """The folder of the running job."""
    from hydra.core.hydra_config import HydraConfig

    return Path(HydraConfig.get().runtime.output_dir)
