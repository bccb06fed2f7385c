"""A trigger bundle whose words are tones and a speech bundle whose letters are, so that what they hear is known."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import soundfile
from onnx import TensorProto, helper, numpy_helper

from heyjetson.bundle import Bundle, write_manifest

RATE, WINDOW, HOP, FRAMES = 16000, 400, 160, 4
SHIFT = HOP * FRAMES
CHUNK = SHIFT + WINDOW - HOP
PITCH = {"hey jetson": 6000, "computer": 5000}  # hertz
LETTERS = {"a": 1000, "b": 2000, " ": 3000}  # hertz


def tone(word: str, seconds: float, rate: int = RATE, level: float = 0.5) -> np.ndarray:
    """A word "spoken": scores climb to 2 × level within a few frames and fall as fast."""
    time = np.arange(round(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * PITCH[word] * time)).astype(np.float32)


def quiet(seconds: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """Background that no word is in."""
    return (0.003 * np.random.default_rng(seed).standard_normal(round(seconds * rate))).astype(np.float32)


def write_words(folder: Path, count: int) -> None:
    """So many recordings of each word, with quiet around it: folder/WORD/NUMBER.wav."""
    for word in PITCH:
        (folder / word).mkdir(parents=True)
        for number in range(count):
            samples = np.concatenate([quiet(0.6), tone(word, 0.4), quiet(0.6, seed=1)])
            soundfile.write(folder / word / f"{number}.wav", samples, RATE)


def say(text: str, rate: int = RATE) -> np.ndarray:
    """Letters "spoken", 0.2 s each."""
    time = np.arange(round(0.12 * rate)) / rate
    pause = quiet(0.08, rate)
    parts = [part for letter in text for part in (0.5 * np.sin(2 * np.pi * LETTERS[letter] * time), pause)]
    return np.concatenate(parts).astype(np.float32)


def amplitudes(pitches: Iterable[int]) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
    """Nodes and constants of samples [1, CHUNK] → amplitude at each pitch [1, 1, pitches], and of length → valid."""
    time = np.arange(WINDOW) / RATE
    waves = np.array([[np.sin(2 * np.pi * pitch * time), np.cos(2 * np.pi * pitch * time)] for pitch in pitches])
    constants = {
        "kernel": (waves.reshape(-1, 1, WINDOW) * 2 / WINDOW).astype(np.float32),
        "one": np.array([1], np.int64),
        "pairs": np.array([1, len(waves), 2, FRAMES], np.int64),
        "window": np.array([WINDOW], np.int64),
        "shape": np.array([1, 1, len(waves)], np.int64),
    }
    nodes = [
        helper.make_node("Unsqueeze", ["samples", "one"], ["channel"]),
        helper.make_node("Conv", ["channel", "kernel"], ["bands"], strides=[HOP]),
        helper.make_node("Reshape", ["bands", "pairs"], ["waves"]),
        helper.make_node("ReduceL2", ["waves"], ["frames"], axes=[2], keepdims=0),
        helper.make_node("ReduceMean", ["frames"], ["mean"], axes=[2], keepdims=0),
        helper.make_node("Reshape", ["mean", "shape"], ["now"]),
        helper.make_node("GreaterOrEqual", ["length", "window"], ["enough"]),
        helper.make_node("Cast", ["enough"], ["counted"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["counted", "one"], ["valid"]),
    ]
    return nodes, constants


def trigger_graph() -> onnx.GraphProto:
    """samples, length and past [1, 1, 2] → scores [1, 1, 2], valid, next past.

    The score of a frame is half of the one before and the amplitude at the word's pitch.
    """
    nodes, constants = amplitudes(PITCH.values())
    constants |= {name: np.array(value, np.float32) for name, value in (("zero", 0), ("half", 0.5), ("full", 1))}
    nodes += [
        helper.make_node("Mul", ["past", "half"], ["faded"]),
        helper.make_node("Add", ["faded", "now"], ["next_past"]),
        helper.make_node("Clip", ["next_past", "zero", "full"], ["scores"]),
    ]
    state = [1, 1, len(PITCH)]
    return _graph(nodes, constants, {"past": state}, {"scores": state, "next_past": state})


def speech_graph() -> onnx.GraphProto:
    """samples, length → log_probs [1, 1, 4], valid; a letter where its amplitude is over 0.1."""
    nodes, constants = amplitudes(LETTERS.values())
    constants |= {"sharp": np.array(100.0, np.float32), "blank": np.full((1, 1, 1), 10.0, np.float32)}
    nodes += [
        helper.make_node("Mul", ["now", "sharp"], ["sure"]),
        helper.make_node("Concat", ["sure", "blank"], ["logits"], axis=2),
        helper.make_node("LogSoftmax", ["logits"], ["log_probs"], axis=2),
    ]
    return _graph(nodes, constants, {}, {"log_probs": [1, 1, len(LETTERS) + 1]})


def _graph(
    nodes: list[onnx.NodeProto],
    constants: dict[str, np.ndarray],
    inputs: dict[str, list[int]],
    outputs: dict[str, list[int]],
) -> onnx.GraphProto:
    def ports(shapes: dict[str, list[int]]) -> list[onnx.ValueInfoProto]:
        types = {"length": TensorProto.INT64}
        return [helper.make_tensor_value_info(name, types.get(name, 1), shape) for name, shape in shapes.items()]

    return helper.make_graph(
        nodes,
        "tones",
        ports({"samples": [1, CHUNK], "length": [1], **inputs}),
        ports({**outputs, "valid": [1, 1]}),
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )


def _write(folder: Path, graph: onnx.GraphProto, record: dict) -> Bundle:
    folder.mkdir(parents=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "stream.onnx")
    geometry = {
        "graph": "stream.onnx",
        "sample_rate": RATE,
        "window": WINDOW,
        "hop": HOP,
        "subsampling_factor": FRAMES,
        "longest_seconds": 10.0,
        "chunk_samples": CHUNK,
        "shift_samples": SHIFT,
        "chunk_frames": 1,
        "lookahead_frames": 0,
    }
    write_manifest(folder, geometry | record)
    return Bundle(folder)


def make_trigger(folder: Path, **changes) -> Bundle:
    """Write the trigger bundle.

    Args:
        folder: to make.
        changes: keys of the manifest.
    """
    past = {"name": "past", "output": "next_past", "shape": [1, 1, len(PITCH)], "dtype": "float32", "initial": 0.0}
    calibration = [
        {"false_alarms_per_hour": 0.5, "threshold": 0.6, "miss_rate": 0.04},
        {"false_alarms_per_hour": 2.0, "threshold": 0.4, "miss_rate": 0.02},
    ]
    rules = {"smoothing": 0.12, "refractory": 1.0, "calibration": {"hey jetson": calibration}, "hours": 1.8}
    record = {"kind": "trigger", "labels": list(PITCH), "states": [past], "trigger": rules}
    return _write(folder, trigger_graph(), record | changes)


def make_speech(folder: Path) -> Bundle:
    """Write the speech bundle."""
    record = {"kind": "ctc_stream", "labels": list(LETTERS), "blank_id": len(LETTERS), "states": []}
    return _write(folder, speech_graph(), record)


def make_sounding(folder: Path) -> Bundle:
    """Write the speech bundle as one whose letters are sounds, with a language model that makes words of them."""
    from dataclasses import replace

    from experiments.lm.__main__ import main
    from experiments.lm.pack import open_model, put_into_bundle
    from heyjetson.decoding.pronunciations import Pronunciations

    bundle = make_speech(folder)
    texts, arpa = folder.with_name(f"{folder.name}.txt"), folder.with_name(f"{folder.name}.arpa")
    texts.write_text("a b\nb a\nab\n")
    assert main(["train", "--text", str(texts), "--order", "2", "--out", str(arpa)]) == 0
    said = Pronunciations.of(["ay bee abbey"], {"ay": "a", "bee": "b", "abbey": "ab"})
    put_into_bundle(bundle, replace(open_model(arpa, bundle.labels), pronunciations=said), 0.1, 0.0, 16, {})
    return Bundle(folder)
