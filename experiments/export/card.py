"""MODEL_CARD.md: what a person should know before using a bundle, from what its manifest says."""

from __future__ import annotations

from typing import Any

from heyjetson.calibration import Calibration, describe
from heyjetson.processor import Processor


def model_card(record: dict[str, Any]) -> str:
    """Markdown from a bundle's manifest.

    Args:
        record: the manifest, without its files.
    """
    training = record["training"]
    front = {
        "licence": record["licence"],
        "kind": record["kind"],
        "precision": record["precision"],
        "sample_rate": record["sample_rate"],
        "parameters": record["parameters"],
        "exported": record["exported"],
    }
    lines = [
        "---",
        *(f"{key}: {value}" for key, value in front.items()),
        "---",
        "",
        f"# {training.get('name', 'model')}",
        "",
    ]
    frame = record["hop"] * record["subsampling_factor"] / record["sample_rate"] * 1000
    if record["kind"] == "trigger":
        return "\n".join([*lines, *_trigger(record, frame)])
    what = "a stream" if record["kind"] == "ctc_stream" else "whole recordings"
    lines += [
        f"A CTC speech model for {what}: {record['sample_rate']} Hz in, one output every {frame:.0f} ms over the "
        f"characters `{''.join(record['labels']).strip()}` and the space.",
        "",
    ]
    if record["kind"] == "ctc_stream":
        late = record["lookahead_frames"] * frame
        step = record["chunk_frames"] * frame
        lines += [f"Words come {late:.0f} ms after they are spoken (lookahead), in steps of {step:.0f} ms.", ""]
    lines += _results(record["measured"])
    lines += [
        "## Word times",
        "",
        f"They are {describe(Calibration.of(record))}",
        "",
        *_training(training),
        f"- validation WER of the exported weights: {_percent(training.get('validation_wer'))}",
        *(f"- data, {name}: SHA-256 `{digest}`" for name, digest in training.get("data", {}).items()),
        "",
        "## Limits",
        "",
        "It writes what sounds like its training data: other languages, accents, rooms and microphones are written "
        "worse or not at all. Measure it on recordings of your own before you rely on it.",
        "",
        "```",
        "heyjetson transcribe BUNDLE recording.wav",
        "```",
        "",
    ]
    return "\n".join(lines)


def _training(training: dict[str, Any]) -> list[str]:
    return [
        "## Training",
        "",
        f"- run: {training.get('name', '?')}/{training.get('folder', '?')}, {training.get('steps', '?')} steps, "
        f"{training.get('date', '?')}",
        f"- code: {training.get('git', {}).get('commit', 'unknown')}",
    ]


def _trigger(record: dict[str, Any], frame: float) -> list[str]:
    """What is said of a trigger."""
    rules, words = record["trigger"], ", ".join(record["labels"])
    sounds = record["training"].get("sounds", {}).get("train", {})
    rows = [
        f"| {word} | {entry['false_alarms_per_hour']:g} | {entry['miss_rate']:.1%} | {entry['threshold']:.3f} |"
        for word, table in rules["calibration"].items()
        for entry in table
    ]
    return [
        f"A trigger for {words}: {record['sample_rate']} Hz in, a score for each word every {frame:.0f} ms, averaged "
        f"over {rules['smoothing']:g} s. A word is detected when its score reaches its threshold, and not again for "
        f"{rules['debounce']:g} s.",
        *(["The scores are checked by the sounds that are heard."] if "verifier" in rules else []),
        "",
        f"## Thresholds, on {rules['hours']:.1f} hours of validation clips",
        "",
        "| word | false alarms an hour | missed | threshold |",
        "|---|---|---|---|",
        *rows,
        "",
        *_training(record["training"]),
        *(f"- takes of {word}: {count}" for word, count in sounds.get("words", {}).items()),
        f"- other words: {sounds.get('negatives', '?')}; hours of background: {sounds.get('hours', '?')}",
        "",
        "## Limits",
        "",
        "False alarms depend on what is heard where it stands: measure them there, and give what is taken for the word "
        "to the next training as data.negatives.",
        "",
        "```",
        "heyjetson listen BUNDLE",
        "```",
        "",
    ]


def _results(measured: dict[str, dict[str, Any]]) -> list[str]:
    if not measured:
        return ["## Results", "", "Not measured. `python export.py … manifest=FILE` measures.", ""]
    rows = [
        f"| {precision} | {row['manifest']} ({row['utterances']} utterances) | {row['wer']:.2%} "
        f"({row['wer_low'] * 100:.2f}–{row['wer_high'] * 100:.2f}) | {row['cer']:.2%} | "
        f"{row['real_time_factor']:.4f} | {row['bytes'] / 1e6:.1f} |"
        for precision, row in measured.items()
    ]
    head = [
        "| precision | test set | WER (95 % interval) | CER | real-time factor, one core | MB |",
        "|---|---|---|---|---|---|",
    ]
    row = next(iter(measured.values()))
    machine = Processor(**row["processor"])
    where = (
        f"Measured on {row['date']} on one core of {machine}. Speed is that of this processor, and so are 8-bit texts."
    )
    return ["## Results", "", *head, *rows, "", where, ""]


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2%}"
