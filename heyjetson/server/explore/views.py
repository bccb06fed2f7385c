"""Views of a recording: its waveform, features to look at, and what the model makes of it over time."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import Any

import numpy as np

from heyjetson import audio
from heyjetson.engine import Engine
from heyjetson.errors import AudioError
from heyjetson.server.audio.uploads import Clip, noted
from heyjetson.server.explore import features

LONGEST_SECONDS = 60.0  # that are looked at
COLUMNS = 1000  # of a picture at most
LABELS = 64  # rows of the map of log-probabilities at most
ENVELOPE = 1200
FLOOR = -12.0  # natural logarithm: less likely than 1 in 160,000 is drawn alike


def pack(values: np.ndarray, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    """A picture [rows, columns] in 256 steps, for plots.js.

    Args:
        values: finite numbers.
        low: of the scale; their lowest where None.
        high: of the scale.

    Returns:
        {"shape", "low", "high", "data": base64 of a byte each, row after row}.
    """
    low = float(values.min() if low is None else low)
    high = max(float(values.max() if high is None else high), low + 1e-6)
    steps = np.round((np.clip(values, low, high) - low) * (255 / (high - low))).astype(np.uint8)
    data = base64.b64encode(steps.tobytes()).decode()
    return {"shape": list(values.shape), "low": round(low, 4), "high": round(high, 4), "data": data}


def pooled(values: np.ndarray, mean: bool = False, columns: int = COLUMNS) -> tuple[np.ndarray, int]:
    """One value for every few columns of [rows, T], their highest or their mean, so that at most `columns` are left.

    Returns:
        [rows, at most `columns`], and how few of T make one; the last one may have less.
    """
    step = -(-values.shape[1] // columns)
    if step <= 1:
        return values, 1
    begins = np.arange(0, values.shape[1], step)
    if not mean:
        return np.maximum.reduceat(values, begins, axis=1), step
    return np.add.reduceat(values, begins, axis=1) / np.diff(begins, append=values.shape[1]), step


def _picture(values: np.ndarray, mean: bool = False) -> dict[str, Any]:
    """Features [rows, T] as a picture with its time scale."""
    values, step = pooled(values, mean)
    return pack(values) | {"seconds_per_column": round(step * features.HOP_SECONDS, 4)}


def views(engine: Engine, clip: Clip, scorer: str | None = None) -> dict[str, Any]:
    """Everything that the page Explore draws; takes about as long as transcribing the recording.

    Args:
        engine: of the model.
        clip: the recording; its first `LONGEST_SECONDS` are looked at, all channels as one.
        scorer: language model, see `Engine.decoder`.

    Returns:
        seconds, rate and whether it was cut; waveform, log_spectrogram, mel, mfcc, log_probs and prediction (see
        `_model`). Column n of a picture begins at n × seconds_per_column. What is not as it should be is in
        missing_seconds and notes.

    Raises:
        AudioError: the recording is shorter than a frame.
    """
    rate, window = engine.bundle.sample_rate, engine.bundle.manifest["window"]
    cut = clip.seconds > LONGEST_SECONDS
    samples = audio.to_mono(clip.samples[: round(LONGEST_SECONDS * clip.rate)])
    samples = audio.resample(samples, clip.rate, rate)
    if len(samples) < max(window, round(features.MEL_SECONDS * rate)):
        raise AudioError(f"The recording lasts {clip.seconds:.3f} s: there is nothing to look at. Take a longer one.")
    lowest, highest = features.envelope(samples, ENVELOPE)
    mel = features.mel(samples, rate)
    edges = features.mel_edges(rate, features.BANDS)
    log_probs, prediction = _model(engine, samples, scorer)
    return {
        "seconds": round(len(samples) / rate, 4),
        "total_seconds": round(clip.seconds, 4),
        "cut": cut,
        "rate": clip.recorded or clip.rate,
        "model_rate": rate,
        "waveform": {"low": lowest.round(4).tolist(), "high": highest.round(4).tolist()},
        "log_spectrogram": _picture(features.log_spectrogram(samples, rate))
        | {"unit": "dB", "highest_hertz": rate / 2, "window_seconds": features.SPECTROGRAM_SECONDS},
        "mel": _picture(mel)
        | {"unit": "dB", "hertz": edges[1:-1].round(1).tolist(), "window_seconds": features.MEL_SECONDS},
        "mfcc": _picture(features.mfcc(mel), mean=True) | {"window_seconds": features.MEL_SECONDS},
        "log_probs": log_probs,
        "prediction": prediction,
    } | noted(clip)


def _model(engine: Engine, samples: np.ndarray, scorer: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the model makes of samples [S].

    Returns:
        the map of log-probabilities, packed, with `labels` of its rows (the blank is the empty text), `frame_seconds`,
        `seconds_per_column` and the best `path`: a {label, row, start, end, probability} for every run of a label that
        is not blank; and the prediction, with words.
    """
    bundle = engine.bundle
    symbols = [*bundle.labels[: bundle.blank_id], "", *bundle.labels[bundle.blank_id :]]
    frames, room = 0, round(len(samples) / bundle.sample_rate / bundle.frame_seconds) + 2
    whole = np.full((room, len(symbols)), FLOOR, np.float32)
    decoder = engine.decoder(scorer)
    for first, values, sound in engine.heard(samples, decoder):
        # The quiet behind the end of the sound is heard, and not shown.
        values = values[: max(round(sound.end / bundle.frame_seconds) + 1 - first, 0)]
        frames = first + len(values)
        whole[first:frames] = values
    words = decoder.finish()[0].words
    path = _path(whole[:frames], symbols, bundle.blank_id, bundle.frame_seconds)
    picture, step = pooled(whole[:frames].T if frames else np.full((len(symbols), 1), FLOOR))
    rows = _rows(picture, bundle.blank_id)
    place = {label: row for row, label in enumerate(rows)}
    log_probs = pack(picture[rows], FLOOR, 0.0) | {
        "labels": [symbols[label] for label in rows],
        "frame_seconds": round(bundle.frame_seconds, 6),
        "seconds_per_column": round(step * bundle.frame_seconds, 6),
        "path": [{**run, "row": place[run["row"]]} for run in path if run["row"] in place],
    }
    text = " ".join(word.text for word in words)
    return log_probs, {"text": text, "words": [asdict(word) for word in words]}


def _rows(picture: np.ndarray, blank_id: int) -> list[int]:
    """The labels that are drawn, in their order: all, or the likeliest where they are many, and the blank."""
    if len(picture) <= LABELS:
        return list(range(len(picture)))
    likeliest = np.argsort(-picture.max(axis=1))[: LABELS - 1].tolist()
    return sorted({*likeliest, blank_id})


def _path(log_probs: np.ndarray, symbols: list[str], blank_id: int, frame_seconds: float) -> list[dict[str, Any]]:
    """Runs of the likeliest label of each frame of [T, V + 1], blanks left out."""
    best = log_probs.argmax(axis=1)
    begins = np.flatnonzero(np.diff(best, prepend=-1)).tolist()
    runs = []
    for begin, end in zip(begins, [*begins[1:], len(best)], strict=True):
        label = int(best[begin])
        if label != blank_id:
            runs.append(
                {
                    "label": symbols[label],
                    "row": label,
                    "start": round(begin * frame_seconds, 3),
                    "end": round(end * frame_seconds, 3),
                    "probability": round(float(np.exp(log_probs[begin:end, label].max())), 4),
                }
            )
    return runs
