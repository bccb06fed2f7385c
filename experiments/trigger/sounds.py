"""What a run makes its clips of, as the configuration says: recordings, synthetic voices, backgrounds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from experiments.errors import ConfigError
from manifests import synthetic
from manifests.trigger.baking import Sources, gather
from manifests.trigger.clips import Pools
from manifests.trigger.sounds import Backgrounds, read_backgrounds
from manifests.trigger.spoken import SpokenOptions

PARTS = {"train": 1.0, "validation": 0.2}  # share of `data.spoken` that each has; the voices are others
SPLITS = ("by_name", "all")


@dataclass(frozen=True)
class Sounds:
    """Pools of a run.

    Args:
        train: to learn from.
        validation: to choose the weights by.
        counts: takes and hours of each, for the record.
    """

    train: Pools
    validation: Pools
    counts: dict[str, Any]


def read_sounds(cfg: DictConfig) -> Sounds:
    """Read what is recorded, have the rest spoken, and say what there is and what was left out.

    Raises:
        ManifestError: a folder is missing or empty, or nothing of it can be used.
        ConfigError: a share or data.split cannot be.
    """
    if cfg.data.split not in SPLITS:
        raise ConfigError(f"data.split must be one of {', '.join(SPLITS)}, found {cfg.data.split!r}.")
    if not 0 < cfg.data.spoken_share < 1:
        raise ConfigError(
            f"data.spoken_share must lie between 0 and 1, found {cfg.data.spoken_share}. data.spoken=0 has no voices."
        )
    sentences = None if cfg.data.backgrounds else _sentences(Path(cfg.data.cache))
    pools, faults = {}, []
    counts: dict[str, Any] = {}
    if cfg.data.calibration and not cfg.data.backgrounds:
        raise ConfigError("data.calibration chooses the thresholds: give data.backgrounds to learn from as well.")
    for part, share in PARTS.items():
        pools[part], left_out = _gather(cfg, part, max(round(cfg.data.spoken * share), 1), sentences)
        counts[part] = _count(pools[part])
        faults += left_out
    for part, count in counts.items():
        words = ", ".join(f"{number} takes of {word}" for word, number in count["words"].items())
        print(f"{part:<11}{words}; {count['negatives']} other words; {count['hours']:.2f} h of background")
    for fault in dict.fromkeys(faults):
        print(f"left out: {fault}")
    counts["split"] = cfg.data.split  # evaluate.py asks for it
    return Sounds(pools["train"], pools["validation"], counts)


def _sentences(cache: Path) -> Path:
    """Folder of sentences by synthetic voices, with a manifest for each part."""
    corpus = cache / "sentences"
    synthetic.build(corpus, synthetic.SyntheticOptions(train=1500, validation=200, test=0, room_probability=0.0))
    return corpus


def _gather(cfg: DictConfig, part: str, spoken: int, sentences: Path | None) -> tuple[Pools, list[str]]:
    """Pools of a part, and what was left out of them; `sentences` are its background where none are given."""
    data = cfg.data
    sources = Sources(
        words=list(cfg.words),
        positives=Path(data.positives) if data.positives else None,
        negatives=[Path(folder) for folder in data.negatives],
        backgrounds=[] if data.calibration else list(data.backgrounds),
        noises=list(data.noises),
        rooms=list(data.rooms),
        drawn_rooms=data.drawn_rooms,
        spoken=data.spoken > 0,
        spoken_share=data.spoken_share,
        part=part if data.split == "by_name" else None,
        cache=Path(data.cache),
    )
    options = SpokenOptions(
        takes=spoken,
        near_misses=round(spoken * data.near_misses),
        texts=data.near_miss_texts,
        part=part,
        voices=tuple(cfg.voices),
        seed=cfg.seed,
    )
    made, faults = gather(sources, options)
    if data.calibration:
        heard = _people(cfg, part)
        return replace(made, backgrounds=heard, weights=None), [*faults, *heard.faults]
    if sentences is not None:  # the words may be among what is said
        heard = read_backgrounds([sentences / f"{part}.jsonl"], without=list(cfg.words))
        made = replace(made, backgrounds=heard, weights=None)
    return made, faults


def _people(cfg: DictConfig, part: str) -> Backgrounds:
    """Speech of a part where people of their own are kept for validation: training has all the others, but for what
    evaluate.py hears."""
    if part == "validation":
        return read_backgrounds(list(cfg.data.calibration), without=list(cfg.words))
    split = ("train", "validation") if cfg.data.split == "by_name" else None
    return read_backgrounds(list(cfg.data.backgrounds), split, list(cfg.words))


def _count(pools: Pools) -> dict[str, Any]:
    words = {word: len({id(take) for take in takes}) for word, takes in pools.words.items()}
    hours = pools.backgrounds.hours if isinstance(pools.backgrounds, Backgrounds) else 0.0
    return {"words": words, "negatives": len(pools.negatives), "hours": round(hours, 3)}
