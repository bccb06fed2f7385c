"""What a trigger begins with: another trigger's weights, or those of a model that transcribes or writes sounds."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from custom_modules.trigger import TriggerModel
from experiments.errors import ConfigError
from experiments.pretrained.restore import TARGET, read_nemo_config, restore_model
from manifests.lines import ManifestError
from manifests.phones import LABELS, sounds

LOG = logging.getLogger(__name__)


def begin_from(path: Path, model: TriggerModel, verifier: DictConfig) -> None:
    """Begin with the weights and the front-end of a trained trigger, or with those of a speech model's encoder.

    Args:
        path: a `.nemo`.
        model: that is to be trained.
        verifier: weight and tolerance of the sounds that a speech model hears, or heard when the trigger began as one.

    Raises:
        ConfigError: it hears other words, or has another encoder or front-end.
    """
    speech = read_nemo_config(path).get("target") == TARGET
    found = restore_model(path, trigger=not speech)
    if not speech and found.labels != model.labels:
        raise ConfigError(
            f"init_from={path} hears {', '.join(found.labels)}, and this run {', '.join(model.labels)}. Give the same "
            "words in the same order, or start without init_from."
        )
    try:
        if _settings(found) != _settings(model):
            raise RuntimeError
        for part in ("preprocessor", "encoder") if speech else ("preprocessor", "encoder", "decoder"):
            getattr(model, part).load_state_dict(getattr(found, part).state_dict())
    except RuntimeError:
        raise ConfigError(
            f"init_from={path} has another encoder or front-end. Choose its own: encoder=… and frontend.…"
        ) from None
    model.preprocessor.fitted = True
    verify(model, found, verifier)


def verify(model: TriggerModel, found: Any, asked: DictConfig) -> None:
    """Have a trigger's scores checked by the sounds that another model hears, or that it has checked its own by.

    Args:
        model: whose scores.
        found: a model that writes sounds, or a trigger.
        asked: `weight`, 0 for none, and `tolerance`; see `Verifier`.

    Raises:
        ConfigError: they cannot be.
    """
    if isinstance(found, TriggerModel):
        known, weights = found.cfg.get("verifier"), found.verifier
    else:
        known, weights = verifier_of(found, model.labels), found
    if asked.weight == 0 or not known:
        return
    cfg = OmegaConf.create({**known, **asked})
    with open_dict(cfg.encoder.convolution):  # as many frames as the scores have
        cfg.encoder.convolution.finer = model.cfg.encoder.convolution.get("finer", 1)
    try:
        model.verify_by(cfg)
    except ValueError as error:
        raise ConfigError(f"verifier: {error}.") from None
    for part in ("encoder", "decoder"):
        getattr(model.verifier, part).load_state_dict(getattr(weights, part).state_dict())


def verifier_of(speech: Any, words: Sequence[str]) -> DictConfig | None:
    """The configuration of a `SoundVerifier`; None where the model writes no sounds, or a word is not of English."""
    if list(speech.labels) != list(LABELS):
        return None
    try:
        said = {word: sounds(word) for word in words}
    except ManifestError as error:
        LOG.warning(f"Scores are not checked by the sounds that are heard: {error}")
        return None
    parts = {part: OmegaConf.to_container(speech.cfg[part]) for part in ("encoder", "decoder")}
    return OmegaConf.create({**parts, "labels": list(LABELS), "words": said})


def _settings(model: Any) -> dict[str, Any]:
    """What a model's front-end computes in evaluation."""
    return {key: value for key, value in model.cfg.preprocessor.items() if key != "dither"}
