"""Everything that can be known to fail is found before the first step."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from custom_modules.fine_tuning import require_rates, require_something_to_learn
from custom_modules.model import SpeechModel
from experiments.data import Data
from experiments.entry import ConfigError
from experiments.ranks import from_main
from manifests.check import Requirements, check, require
from manifests.lines import write_manifest
from manifests.shard import read_index

DISK_PER_PARAMETER = 4 * 3 * 5  # weights and two moments in float32, in at most five files at once


def check_run(cfg: DictConfig, model: SpeechModel, data: Data, folder: Path | None = None) -> None:
    """Check manifests, labels, sound, CTC feasibility and disk; put filtered manifests into `data` when skipping.

    Args:
        cfg: the whole configuration.
        model: tells how many frames a duration gives.
        data: what to check.
        folder: the run's folder; Hydra's when None.

    Raises:
        ManifestError: bad utterances, where data.on_bad_sample=fail.
        ConfigError: too little disk, or parts to freeze that do not exist.
    """
    folder = folder or run_dir()
    replaced = json.loads(from_main("checked", lambda: json.dumps(_check(cfg, model, data, folder))))
    data.train, data.validation = (
        Path(replaced.pop(name, path)) for name, path in (("train", data.train), ("validation", data.validation))
    )
    data.test |= {name: Path(path) for name, path in replaced.items()}


def _check(cfg: DictConfig, model: SpeechModel, data: Data, folder: Path) -> dict[str, str]:
    """Check all; return the manifests that were filtered, by name."""
    check_learning(cfg, model, folder)
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
        channels=data.channels,
    )
    skipped, replaced = 0, {}
    for name, manifest in data.named().items():
        if name == "train" and data.shards:
            check_shards(data.shards, needs, cfg.data.sample_rate)
            continue
        report = check(manifest, needs)
        require(report, cfg.data.on_bad_sample)
        for note in report.notes.lines():
            print(f"{name}: {note}", file=sys.stderr)
        if not report.faults:
            continue
        print(report.summary(), file=sys.stderr)
        skipped += len(report.faults)
        kept = folder / f"{name}.checked.jsonl"
        write_manifest(kept, report.good)
        replaced[name] = str(kept)
    print(f"Preflight passed; {skipped} bad utterances left out." if skipped else "Preflight passed.")
    return replaced


def check_learning(cfg: DictConfig, model: SpeechModel, folder: Path) -> None:
    """Check what is frozen and how fast the rest learns.

    Raises:
        ConfigError: a part does not exist, nothing would learn, a factor makes no sense, or a run that is continued had
            other rates.
    """
    try:
        require_something_to_learn(model, cfg.freeze, cfg.unfreeze_at)
        require_rates(model, cfg.optim.get("layer_decay", 1.0), cfg.optim.get("lr_scales") or {})
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if cfg.freeze and cfg.unfreeze_at is not None and model.trainer is not None and model.trainer.world_size > 1:
        raise ConfigError("unfreeze_at works on one device only: others would not hear of the thawed gradients.")
    saved = folder / "config.yaml"
    if cfg.resume and saved.is_file():
        before = OmegaConf.load(saved)
        for key in ("layer_decay", "lr_scales"):
            then, now = OmegaConf.select(before, f"optim.{key}"), cfg.optim.get(key)
            if then is not None and then != now:
                raise ConfigError(
                    f"optim.{key} was {then} when this run began and cannot become {now}: the optimiser's state is "
                    "kept by rate. Leave it, or start a new run from this one with init_from."
                )


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
