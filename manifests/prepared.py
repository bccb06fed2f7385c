"""A corpus is made once: what it was made of is noted beside its manifests, and it is reused for nothing else."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from manifests.corpus import SHOWN, SKIPPED, CorpusOptions, Recording, Summary, build, write_list
from manifests.found import Found
from manifests.lines import ManifestError

STAMP = "corpus.json"


def make(dataset: str, recordings: Sequence[Recording] | Found, out: Path, options: CorpusOptions) -> Summary:
    """Build a corpus below `out`, whatever was there before; sound that is converted already is kept.

    Args:
        dataset: its name and what was chosen of it, for `prepare` to compare.
        recordings: of the dataset; what was left out of it already is told with what `build` leaves out.
        out: folder to write to.
        options: how.

    Raises:
        ManifestError: see `corpus.build`; or sets of other recordings lie there that this corpus would not have.
    """
    out, found = out.absolute(), Found.of(recordings)
    if found.faults and not found.recordings:
        listed = "\n".join(f"  {fault}" for fault in found.faults[:SHOWN])
        raise ManifestError(f"Nothing is left of the dataset; {len(found.faults)} entries were left out:\n{listed}")
    before = _noted(out)
    _refuse_loss(before, found.recordings, out, options)
    if before:
        _note(out, before | {"fingerprint": ""})  # should it be interrupted, what is there is neither this nor that
    made = build(found.recordings, out, options)
    if found.faults:
        made.faults, made.kinds = [*found.faults, *made.faults], found.kinds + made.kinds
        write_list(out / SKIPPED, made.faults)
    made.source = found.notes
    for split in set(before.get("counts", ())) - set(made.counts):
        # What was held out before may be learned from now: a test set left over would hold the same recordings.
        (out / f"{split}.jsonl").unlink(missing_ok=True)
    chosen = _chosen(dataset, options)
    _note(
        out,
        {
            "fingerprint": _hash([chosen, _listing(found.recordings)])[:12],
            "options": chosen,
            "recordings": _listing(found.recordings),
            "counts": made.counts,
            "hours": made.hours,
            "left out": made.kinds,
            "text": made.text,
            "sound": made.sound,
            "source": made.source,
            "shared": made.shared,
        },
    )
    return made


def _refuse_loss(before: Mapping[str, Any], recordings: Sequence[Recording], out: Path, options: CorpusOptions) -> None:
    """Refuse to remove sets of another corpus: train.csv may lie there already, and this be test.csv."""
    made = {split for recording in recordings for split in recording.splits}
    if "train" in made:
        made |= {split for split in ("validation", "test") if getattr(options, split)}
    there = [split for split in before.get("counts", ()) if (out / f"{split}.jsonl").is_file()]
    lost = [split for split in there if split not in made]
    if lost and before.get("recordings") != _listing(recordings):
        raise ManifestError(
            f"{out} holds {' and '.join(f'{split}.jsonl' for split in lost)} of other recordings, which would be lost: "
            f"what is asked for makes {' and '.join(f'{split}.jsonl' for split in sorted(made))} alone. Give another "
            "--out (in training, data.train=, data.validation= and data.test.test= take sets from several folders), or "
            "delete what need not be kept."
        )


def prepare(
    dataset: str,
    source: str | None,
    out: str,
    options: Mapping[str, Any],
    find: Callable[[Path | None, Path], list[Recording] | Found],
) -> Summary:
    """Make a corpus with arguments as a configuration has them, or reuse the one that is there.

    Args:
        dataset: its name and what was chosen of it.
        source: where it lies; it may be gone once the corpus is made. None is the public download.
        out: folder to write to.
        options: see `CorpusOptions.from_config`.
        find: its recordings, from the source and the folder to write to.

    Raises:
        ManifestError: it cannot be made, or `out` was made with other options or from other recordings.
    """
    given, folder, how = Path(source) if source else None, Path(out).absolute(), CorpusOptions.from_config(options)
    noted = _noted(folder)
    if not noted.get("fingerprint"):
        return make(dataset, find(given, folder), folder, how)
    cure = (
        "Delete it, give another folder (data.out in train.py), or make it anew with `python -m manifests "
        f"{dataset.split()[0]} --out {out} …`, which keeps the sound that is converted already."
    )
    before, now = noted.get("options", {}), _chosen(dataset, how)
    if before.get("dataset") != dataset:
        raise ManifestError(f"{out} holds {before.get('dataset') or 'another corpus'}, not {dataset}. {cure}")
    if changed := [f"{key} was {before.get(key)!r} and is {now[key]!r}" for key in now if before.get(key) != now[key]]:
        raise ManifestError(f"{out} was made with other options: {', '.join(changed)}. {cure}")
    if given and given.exists() and _listing(Found.of(find(given, folder)).recordings) != noted["recordings"]:
        raise ManifestError(f"{out} was made from other recordings than those in {source}. {cure}")
    return _made(folder, noted)


def _chosen(dataset: str, options: CorpusOptions) -> dict[str, Any]:
    """All that decides what is written, by the keys of the configuration."""
    chosen = options.text
    text = asdict(chosen) | {"labels": "".join(sorted(chosen.labels)), "markup": sorted(chosen.markup)}
    return {
        "dataset": dataset,
        "sample_rate": options.sample_rate,
        "channels": options.channels,
        "in_place": options.in_place,
        "held_out.validation": options.validation,
        "held_out.test": options.test,
        **{f"text.{key}": value for key, value in text.items()},
    }


def _listing(recordings: Sequence[Recording]) -> str:
    """A hash of what there is to be made; without the sound, which nobody could read at every start."""
    return _hash(sorted((one.name, one.text, *one.splits, *_cut(one)) for one in recordings))


def _cut(recording: Recording) -> tuple[str, ...]:
    return () if recording.offset is None else (f"{recording.offset}", f"{recording.duration}")


def _hash(described: Any) -> str:
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def _noted(folder: Path) -> dict[str, Any]:
    try:
        noted = json.loads((folder / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(noted, dict):
        return {}
    if not all((folder / f"{split}.jsonl").is_file() for split in noted.get("counts", ())):
        noted["fingerprint"] = ""  # a manifest was deleted: it is not finished any more
    return noted


def _note(folder: Path, noted: dict[str, Any]) -> None:
    temporary = folder / f"{STAMP}.part"
    temporary.write_text(json.dumps(noted, indent=1), encoding="utf-8")
    temporary.replace(folder / STAMP)


def _made(folder: Path, noted: dict[str, Any]) -> Summary:
    skipped = folder / SKIPPED
    faults = skipped.read_text(encoding="utf-8").splitlines() if skipped.exists() else []
    manifests = {split: folder / f"{split}.jsonl" for split in noted["counts"]}
    kinds, counts = Counter(noted["left out"]), Counter(noted["counts"])
    sound, source, shared = (noted.get(key, []) for key in ("sound", "source", "shared"))
    return Summary(manifests, counts, noted["hours"], faults, kinds, noted["text"], sound, source, shared)
