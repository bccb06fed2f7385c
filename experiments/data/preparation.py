"""The data section of a configuration as manifests on disk."""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from experiments.errors import ConfigError
from experiments.training.ranks import broadcast_from_rank_zero
from manifests import ManifestError, Utterance, read_manifest
from manifests.corpus import Summary
from manifests.shard import INDEX, read_index
from manifests.show import from_here

LOG = logging.getLogger(__name__)


@dataclass
class Data:
    """Manifests of a run.

    Args:
        train: to learn from.
        validation: to choose the best weights by.
        test: to report on, by name.
        shards: folder that is learned from instead of `train`, which then is its index.
        channels: of recordings that have several; see `heyjetson.audio.to_mono`.
        heard: how many utterances of each test set are in `train` too; the preflight counts them.
        parsed: utterances of manifests that were read already.
    """

    train: Path
    validation: Path
    test: dict[str, Path]
    shards: Path | None = None
    channels: str = "mix"
    heard: dict[str, int] = field(default_factory=dict)
    parsed: dict[Path, Sequence[Utterance]] = field(default_factory=dict, repr=False)

    def named(self) -> dict[str, Path]:
        """All manifests by what they are for."""
        return {"train": self.train, "validation": self.validation, **self.test}

    def lines(self, manifest: Path) -> Sequence[Utterance]:
        """Utterances of a manifest, which is parsed once."""
        if manifest not in self.parsed:
            self.parsed[manifest] = read_manifest(manifest)
        return self.parsed[manifest]


def prepare_data(cfg: DictConfig) -> Data:
    """Make the corpus where the choice says how, and name its manifests.

    Raises:
        ManifestError: the corpus cannot be made.
        ConfigError: a manifest is not given, or a label is none that transcripts are read by.
    """
    _require_characters(list(cfg.labels))
    shards = Path(cfg.data.shards).absolute() if cfg.data.shards else None
    if shards:
        read_index(shards)
        OmegaConf.update(cfg, "data.train", str(shards / INDEX))
    if cfg.data.get("folder"):
        _take_folder(cfg.data)
    missing = [key for key in ("train", "validation") if OmegaConf.is_missing(cfg.data, key)]
    if missing:
        needed = " ".join(f"data.{key}=FILE.jsonl" for key in missing)
        raise ConfigError(
            f"Which recordings? Give {needed}, or data.folder=DIR, or choose a corpus: data=synthetic, digits, an4, "
            "librispeech, ljspeech, commonvoice or kaldi."
        )
    if cfg.data.prepare:
        broadcast_from_rank_zero("data", lambda: _prepare(cfg.data))
    test = {name: Path(path or cfg.data.validation).absolute() for name, path in cfg.data.test.items()}
    converted = cfg.data.prepare and not cfg.data.get("in_place")  # the channel was chosen then, and is the only one
    channels = "mix" if converted else str(cfg.data.channels)
    data = Data(Path(cfg.data.train).absolute(), Path(cfg.data.validation).absolute(), test, shards, channels)
    for name, path in data.named().items():
        if not path.is_file():
            wrong = "is no file" if path.exists() else "does not exist"
            raise ManifestError(f"The manifest of data.{name}, {path}, {wrong}. Correct the path, or make it first.")
    return data


def _require_characters(labels: Sequence[str]) -> None:
    wrong = [one for one in labels if not isinstance(one, str) or len(one) != 1 or labels.count(one) > 1]
    if wrong:
        raise ConfigError(
            f"labels must be single characters, each once, found {', '.join(map(repr, dict.fromkeys(wrong)))}. "
            "Transcripts are read character by character: a sound of several letters needs a sign of its own there."
        )


def _prepare(data: DictConfig) -> str:
    """Make the corpus or reuse it; say what one of recordings holds, what normalisation changed, what was left out.

    Returns:
        its folder.
    """
    try:
        with _alone(Path(data.out)):
            made = instantiate(data.prepare)
    except InstantiationException as error:  # Hydra's, around what the corpus said in a sentence
        if isinstance(error.__cause__, ManifestError):
            raise error.__cause__ from None
        raise
    if isinstance(made, Summary):
        sizes = ", ".join(f"{count:,} {split}" for split, count in made.counts.items())
        LOG.info(f"{from_here(Path(data.out))}: {sizes} utterances")
        for line in made.notes():
            LOG.info(line)
    return str(data.out)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """One process at a time makes a corpus; the others wait, and find it made."""
    lock = out.absolute().with_name(f".{out.name}.lock")
    with ExitStack() as stack:
        with suppress(OSError):  # where nothing can be written, nothing can be made twice
            lock.parent.mkdir(parents=True, exist_ok=True)
            fcntl.flock(stack.enter_context(lock.open("w")), fcntl.LOCK_EX)
        yield


def _take_folder(data: DictConfig) -> None:
    """Fill in the manifests that are not given from `data.folder`."""
    folder = Path(data.folder)
    if not folder.is_dir():
        wrong = "is no folder" if folder.exists() else "does not exist"
        raise ManifestError(f"The folder of data.folder, {folder}, {wrong}. Make it with `python -m manifests`.")
    for key in ("train", "validation"):
        if OmegaConf.is_missing(data, key):
            data[key] = str(folder / f"{key}.jsonl")
    found = {path.stem: str(path) for path in sorted(folder.glob("test*.jsonl"))}
    if found and not any(data.test.values()):
        data.test = found
