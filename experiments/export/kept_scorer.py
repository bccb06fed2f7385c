"""The language model of a bundle that an export takes the place of."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from experiments.lm.pack import SCORER
from heyjetson import Bundle
from heyjetson.bundle import MANIFEST
from heyjetson.errors import HeyJetsonError
from manifests.phones import are_sounds

TUNED_FOR = "tuned_for"  # beginning of the hash of the `.nemo`, where it is another than the bundle's
DIGITS = 12
OWN = ("unit", "order", "phones", "alpha", "beta", "prior_scale", TUNED_FOR)  # what is no figure of the model before


def keep_scorer(before: Path, folder: Path, record: dict[str, Any]) -> str:
    """Take the language model of the bundle before into the new one, where it fits the new one's outputs.

    Args:
        before: folder that the new bundle will take the place of; perhaps none, or empty.
        folder: of the new bundle; gets the scorer.
        record: the new bundle's manifest; gets what the one before says of the scorer.

    Returns:
        a sentence on what became of it, or that a model of sounds has none; empty where there is nothing to say.
    """
    tune = f"`python -m experiments.lm tune {before} MANIFEST --lm LM.arpa`"
    if not (before / SCORER).exists():
        needed = record["kind"] != "trigger" and are_sounds(record["labels"])
        return f"Language model: none, and this model writes sounds until {tune} puts one in." if needed else ""
    try:
        bundle = Bundle(before)
        why = _misfit(bundle, record)
    except HeyJetsonError as error:
        why = f"that bundle could not be read ({error})"
    if why:
        return f"Language model: that of the bundle before was removed: {why}. {tune} puts one in."
    old = bundle.manifest
    shutil.copyfile(before / SCORER, folder / SCORER)
    tuned_for = old[SCORER].get(TUNED_FOR) or _hash(old)
    if tuned_for == _hash(record):
        record[SCORER] = {key: value for key, value in old[SCORER].items() if key != TUNED_FOR}
        return "Language model: kept; its weights were tuned for this very model."
    record[SCORER] = {key: value for key, value in old[SCORER].items() if key in OWN} | {TUNED_FOR: tuned_for}
    return f"Language model: kept, with weights that were tuned for the model before: {tune} tunes them for this one."


def _hash(record: dict[str, Any]) -> str:
    return str((record.get("training") or {}).get("nemo_sha256", ""))[:DIGITS]


def _misfit(old: Bundle, record: dict[str, Any]) -> str:
    """Why the scorer of a bundle cannot serve another; empty where it can."""
    if SCORER not in old.manifest["files"] or not isinstance(old.manifest.get(SCORER), dict):
        return f"{MANIFEST} does not name it"
    if (old.labels, old.manifest.get("blank_id")) != (record["labels"], record.get("blank_id")):
        return "it was made for other labels"
    frame = record["hop"] * record["subsampling_factor"] / record["sample_rate"]
    if old.frame_seconds != frame:
        was, now = f"{old.frame_seconds * 1000:g} ms", f"{frame * 1000:g} ms"
        return f"its weights are for frames of {was}, those of this model are of {now}"
    return ""
