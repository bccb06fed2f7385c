"""Everything that can be known to fail is found before the first step."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from custom_modules.model import SpeechModel
from custom_modules.optimisation import require_rates
from experiments.data.preparation import Data
from experiments.errors import ConfigError
from experiments.training.freezing import require_something_to_learn
from experiments.training.ranks import broadcast_from_rank_zero
from manifests.check import Requirements, check, require
from manifests.lines import write_manifest
from manifests.overlap import Set, compare
from manifests.shard import read_index, read_listing
from manifests.show import from_here

LOG = logging.getLogger(__name__)

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
        ConfigError: too little disk, parts to freeze that do not exist, or sets that share recordings.
    """
    folder = folder or run_dir()
    replaced, data.heard = json.loads(
        broadcast_from_rank_zero("checked", lambda: json.dumps(_check(cfg, model, data, folder)))
    )
    data.train, data.validation = (
        Path(replaced.pop(name, path)) for name, path in (("train", data.train), ("validation", data.validation))
    )
    data.test |= {name: Path(path) for name, path in replaced.items()}


def _check(cfg: DictConfig, model: SpeechModel, data: Data, folder: Path) -> tuple[dict[str, str], dict[str, int]]:
    """Check all; return the manifests that were filtered, and how much of each test set is learned from, by name."""
    check_learning(cfg, model, folder)
    needed = checkpoint_bytes(model) + 50e6
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
    skipped, replaced, sets = 0, {}, []
    for name, manifest in data.named().items():
        if name == "train" and data.shards:
            check_shards(data.shards, needs, cfg.data.sample_rate)
            if (listed := read_listing(data.shards, name)) is not None:
                sets.append(listed)
            else:
                LOG.info(
                    f"{data.shards} does not list its recordings, so other sets are not compared with it: shard anew."
                )
            continue
        report = check(manifest, needs)
        require(report, cfg.data.on_bad_sample)
        for note in report.notes.lines():
            LOG.warning(f"{name}: {note}")
        sets.append(Set(name, from_here(manifest), report.good))
        if not report.faults:
            if name in ("train", "validation"):  # which are read again
                data.parsed[manifest] = report.utterances
            continue
        LOG.warning(report.summary())
        skipped += len(report.faults)
        kept = folder / f"{name}.checked.jsonl"
        write_manifest(kept, report.good)
        replaced[name] = str(kept)
    heard = check_apart(cfg, sets)
    LOG.info(f"Preflight passed; {skipped} bad utterances left out." if skipped else "Preflight passed.")
    return replaced, heard


def check_apart(cfg: DictConfig, sets: Sequence[Set]) -> dict[str, int]:
    """Compare what is learned from, what the best weights are chosen by, and what is tested on; say what they share.

    Test sets may share recordings with each other, as those of LibriSpeech do.

    Args:
        cfg: the whole configuration.
        sets: by the names `train`, `validation`, and those of the test sets.

    Returns:
        how many utterances of each test set are in `train` too.

    Raises:
        ConfigError: recordings are in two of them, and data.allow_shared is false.
    """
    unset = [one.name for one in sets if one.name in cfg.data.test and not cfg.data.test[one.name]]
    for name in unset:
        LOG.info(
            f"The test set {name} is the validation set, which the best weights are chosen by: its WER is too low."
        )
    compared = [one for one in sets if one.name not in unset]
    places = {one.name: place for place, one in enumerate(compared)}
    learned = [places[name] for name in ("train", "validation") if name in places]
    pairs = [(one, two) for one, two in combinations(range(len(compared)), 2) if one in learned]
    found = compare(compared, pairs)
    for note in found.notes():
        LOG.info(note)
    if faults := found.faults():
        text = "\n".join(faults)
        if not cfg.data.allow_shared:
            raise ConfigError(
                f"The sets share recordings, and a model looks too good on what it was trained or chosen by:\n{text}\n"
                "Take them out of one (python -m manifests filter TRAIN.jsonl --not-in TEST.jsonl --out NEW.jsonl), "
                "divide all anew (python -m manifests split ALL.jsonl), or go on all the same: data.allow_shared=true."
            )
        LOG.info(f"{text}\ndata.allow_shared=true: going on. Figures on such sets say little about new recordings.")
    heard = {pair.second.name: len(pair.same) for pair in found.shared if pair.first.name == "train"}
    chosen_by = heard.pop("validation", None)
    return heard if chosen_by is None else heard | dict.fromkeys(unset, chosen_by)


def checkpoint_bytes(model: SpeechModel) -> float:
    """What the checkpoints of a run take at most."""
    return 1.2 * DISK_PER_PARAMETER * sum(parameter.numel() for parameter in model.parameters())


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
