"""Models for sherpa-onnx 2, which runs them on phones, in browsers and in C: `python export.py … target=sherpa`.

A folder with `model.onnx`, `tokens.txt` and a README that says how sound is to be given. sherpa-onnx ends the process
where a model is not what it expects, so all that it requires is checked before anything is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from nemo.core.classes.common import typecheck

from custom_modules.frontend import LOG_GUARD
from custom_modules.model import SpeechModel
from experiments.errors import ConfigError
from experiments.export.bundle import ExportOptions
from experiments.export.graphs import ClipGraph, Model, kind_of, write_graph
from experiments.export.nemo_features import HOP, SAMPLE_RATE, WINDOW, require_nemo_features
from experiments.export.precision import store
from experiments.export.runtimes import VERSIONS
from experiments.export.sherpa_graphs import CLIP, FLOOR, FRONT, NEMO_FACTOR, STREAM, SherpaClip, SherpaStream
from experiments.export.tokens import BLANK, require_tokens, tell_sounds, token_lines
from heyjetson.check import largest_difference
from manifests.whole import whole_folder

VERSION = VERSIONS["sherpa-onnx"]
TOKENS = "tokens.txt"
GRAPH = "model.onnx"
README = "README.md"
TAIL = 0.5  # seconds of quiet behind a stream
PARITY = 2e-3  # largest difference of a log-probability on features that sherpa's floor does not touch
SECONDS = (0.05, 0.3, 1.37, 2.5)


def require_sherpa(model: Model) -> None:
    """Refuse a model whose sound or text sherpa-onnx cannot compute.

    Raises:
        ConfigError: it is such a model; the message says what to train.
    """
    cure = "Train with frontend=nemo_mel and its defaults, or export for heyjetson (target=onnx)."
    require_nemo_features(model, "sherpa-onnx", cure)
    if model.preprocessor.per_utterance:
        raise ConfigError(
            "This model normalises each utterance (frontend.normalize=per_feature), on frames that sherpa-onnx does "
            f"not compute. {cure}"
        )
    require_tokens(model.labels, TOKENS)


def write_sherpa(model: SpeechModel, folder: Path, options: ExportOptions) -> float:
    """Write a model for sherpa-onnx; all or nothing.

    Args:
        model: in evaluation mode.
        folder: where; replaced as a whole.
        options: of the export; its precision, opset and chunk_frames count.

    Returns:
        how far the graph is from the model, on the same features.

    Raises:
        ConfigError: sherpa-onnx cannot compute the model's features, the graph is not what it expects or disagrees with
            the model, or something else lies in the folder.
    """
    require_sherpa(model)
    if folder.exists() and not (folder / TOKENS).is_file():
        raise ConfigError(f"{folder} exists and is not a model for sherpa-onnx; nothing was written. Choose another.")
    streams = kind_of(model) == "ctc_stream"
    told = tell_sounds(model.labels, "sherpa-onnx")
    with whole_folder(folder) as made:
        exact = made.with_name(GRAPH)
        if streams:
            window = options.geometry(model).chunk_frames * model.subsampling_factor
            _trace_stream(model, exact, options.opset, window)
        else:
            window = 0
            _trace_clip(model, exact, options.opset)
        store(exact, made / GRAPH, options.precision)
        _annotate(made / GRAPH, _metadata(model, window))
        (made / TOKENS).write_text(token_lines(model.labels), encoding="utf-8")
        (made / README).write_text(readme(model, window, told), encoding="utf-8")
        require_loadable(made, model.preprocessor.features)
        difference = parity(model, exact, window)
        if not difference <= PARITY:
            raise ConfigError(
                f"The graph for sherpa-onnx differs from the model by {difference:.2e} in log-probability. Nothing was "
                "written. An operator of this encoder is exported wrongly; another opset may help."
            )
    return difference


def _trace_clip(model: SpeechModel, path: Path, opset: int) -> None:
    features = torch.randn(2, model.preprocessor.features, 121) - 6
    axes = {"audio_signal": {0: "N", 2: "T"}, "length": {0: "N"}, "log_probs": {0: "N", 1: "T"}}
    names = {"input_names": CLIP["inputs"], "output_names": CLIP["outputs"], "dynamic_axes": axes}
    write_graph(SherpaClip(model), (features, torch.tensor([121, 90])), path, opset, **names)


def _trace_stream(model: SpeechModel, path: Path, opset: int, window: int) -> None:
    graph = SherpaStream(model, window)
    inputs = (torch.randn(2, model.preprocessor.features, window) - 6, torch.tensor([window] * 2), *_caches(graph, 2))
    axes = {name: {0: "N"} for name in STREAM["inputs"] + STREAM["outputs"]}
    names = {"input_names": STREAM["inputs"], "output_names": STREAM["outputs"], "dynamic_axes": axes}
    write_graph(graph, inputs, path, opset, **names)


def _caches(graph: SherpaStream, batch: int) -> tuple[torch.Tensor, ...]:
    size = max(sum(graph.sizes), 1)
    steps = torch.ones(batch, dtype=torch.int64)
    return torch.zeros(batch, 1, 1, size), torch.zeros(batch, 1, 1, 1), steps


def _metadata(model: SpeechModel, window: int) -> dict[str, Any]:
    """What sherpa-onnx reads from a graph, all of it needed."""
    common = {
        "model_type": "EncDecCTCModel", "version": 1, "vocab_size": len(model.labels), "normalize_type": "",
        "comment": f"for sherpa-onnx {VERSION}; give sound as {README} says",
    }  # fmt: skip
    if not window:
        return {**common, "subsampling_factor": 1}
    size = sum(torch.Size(shape).numel() for shape in model.encoder.initial_state().values())
    caches = {f"cache_last_{name}_dim{place}": 1 for name in ("channel", "time") for place in (1, 2, 3)}
    return {
        **common, **caches, "cache_last_channel_dim3": size, "window_size": window, "chunk_shift": window,
        "subsampling_factor": model.subsampling_factor,
    }  # fmt: skip


def _annotate(path: Path, record: dict[str, Any]) -> None:
    graph = onnx.load(path)
    onnx.helper.set_model_props(graph, {key: str(value) for key, value in record.items()})
    onnx.checker.check_model(graph)
    onnx.save(graph, path)


def require_loadable(folder: Path, features: int) -> None:
    """Check a folder against all that sherpa-onnx requires, as it would use it.

    Args:
        folder: with the graph and the tokens.
        features: D.

    Raises:
        ConfigError: sherpa-onnx would end the process, or read what is not there.
    """
    session = onnxruntime.InferenceSession(str(folder / GRAPH), providers=["CPUExecutionProvider"])
    record = session.get_modelmeta().custom_metadata_map
    streams = "window_size" in record
    expected = STREAM if streams else CLIP
    found = [[value.name for value in values] for values in (session.get_inputs(), session.get_outputs())]
    if found != [expected["inputs"], expected["outputs"]]:
        raise ConfigError(f"The graph takes and gives {found}, sherpa-onnx wants {list(expected.values())}.")
    tokens = dict(line.rsplit(" ", 1) for line in (folder / TOKENS).read_text(encoding="utf-8").splitlines())
    size = int(record["vocab_size"]) + 1
    if sorted(map(int, tokens.values())) != list(range(size)) or int(tokens.get(BLANK, -1)) != size - 1:
        raise ConfigError(f"{TOKENS} does not name each of {size} outputs once, with {BLANK} as the last.")
    for batch in (1, 3):
        for frames in (int(record["window_size"]),) if streams else (1, 2, 7, 40):
            feed: dict[str, np.ndarray] = {
                "audio_signal": np.full((batch, features, frames), FLOOR, np.float32),
                "length": np.full(batch, frames, np.int64),
            }
            if streams:
                for name in ("channel", "time"):
                    dims = [int(record[f"cache_last_{name}_dim{place}"]) for place in (1, 2, 3)]
                    feed[f"cache_last_{name}"] = np.zeros((batch, *dims), np.float32)
                feed["cache_last_channel_len"] = np.zeros(batch, np.int64)
            log_probs, *caches = [np.asarray(output) for output in session.run(None, feed)]
            rows = frames // int(record["subsampling_factor"])
            if log_probs.shape[0] != batch or log_probs.shape[1] < rows or log_probs.shape[2] != size:
                raise ConfigError(f"The graph gives {log_probs.shape} for {frames} frames; sherpa-onnx reads {rows}.")
            if not np.isfinite(log_probs).all():
                raise ConfigError(f"The graph gives values that are not numbers for {batch} x {frames} silent frames.")
            for name, cache in zip(STREAM["inputs"][2:], caches[1:], strict=False):
                if cache.shape != feed[name].shape or cache.dtype != feed[name].dtype:
                    raise ConfigError(f"{name} comes back as {cache.shape} of {cache.dtype}, not as it was given.")


def parity(model: SpeechModel, graph: Path, window: int, seconds: Sequence[float] = SECONDS, seed: int = 0) -> float:
    """How far a graph is from its model where both have the same features.

    Args:
        model: the reference.
        graph: for sherpa-onnx.
        window: frames of a step, 0 of whole clips.
        seconds: lengths to try.
        seed: of the noise.

    Returns:
        largest difference of a log-probability.
    """
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    rng, worst = np.random.default_rng(seed), 0.0
    for duration in seconds:
        samples = (rng.standard_normal((1, round(duration * SAMPLE_RATE))) * 0.1).astype(np.float32)
        sound, length = torch.from_numpy(samples), torch.tensor([samples.shape[1]])
        with torch.no_grad(), typecheck.disable_checks():
            features = model.preprocessor.raw_features(sound).numpy()
            expected, counts = ClipGraph(model).eval()(sound, length)
        given = np.log(np.exp(features.astype(np.float64)) - LOG_GUARD).astype(np.float32)
        found = _streamed(session, given, window, model) if window else _whole(session, given, model)
        # A stream's own end is none; here silence follows, so only what came before it is compared.
        count = min(len(found), int(counts[0])) if window else int(counts[0])
        worst = max(worst, largest_difference(found[:count], expected[0, :count].numpy()))
    return worst


def _whole(session: Any, features: np.ndarray, model: SpeechModel) -> np.ndarray:
    padded = np.pad(features, ((0, 0), (0, 0), (1, 1)), constant_values=FLOOR)
    (rows,) = session.run(None, {"audio_signal": padded, "length": np.array([padded.shape[2]])})
    return rows[0, :: model.subsampling_factor]


def _streamed(session: Any, features: np.ndarray, window: int, model: SpeechModel) -> np.ndarray:
    graph = SherpaStream(model, window)
    channel, time, steps = (cache.numpy() for cache in _caches(graph, 1))
    steps = np.zeros_like(steps)
    late, rows = model.encoder.lookahead.frames, []
    features = np.pad(features, ((0, 0), (0, 0), (window, 0)), constant_values=FLOOR)
    whole = features.shape[2] // window
    for at in range(whole):
        piece = features[:, :, at * window : (at + 1) * window]
        given = session.run(None, dict(zip(STREAM["inputs"], (piece, np.array([window]), channel, time, steps),
                                           strict=True)))  # fmt: skip
        channel, time, steps = given[2:]
        if at:
            rows.append(given[0][0, :: graph.times])
    found = np.concatenate([np.zeros((0, len(model.labels) + 1), np.float32), *rows])[late:]
    return found


def readme(model: SpeechModel, window: int, told: str = "") -> str:
    """How the folder is used; `told` is what else is to be known."""
    bands, kind = model.preprocessor.features, "OnlineRecognizer" if window else "OfflineRecognizer"
    front = HOP * window - 120 if window else FRONT
    tail = _tail(model, window)
    wrong = "" if model.subsampling_factor % NEMO_FACTOR == 0 else ", so its times and endpoints are wrong"
    about = told and f"{told}\n\n"
    common = f"""# A model for sherpa-onnx {VERSION}

{about}```python
import numpy as np, sherpa_onnx, soundfile

recognizer = sherpa_onnx.{kind}.from_nemo_ctc(model="{GRAPH}", tokens="{TOKENS}", feature_dim={bands})
sound, rate = soundfile.read("a.wav", dtype="float32")  # {SAMPLE_RATE} Hz, one channel, within [-1, 1]
"""
    if not window:
        return f"""{common}sound = sound[: len(sound) - (len(sound) - {WINDOW}) % {HOP}]  # whole frames
sound = np.concatenate([np.zeros({front}, np.float32), sound])
stream = recognizer.create_stream()
stream.accept_waveform(rate, sound)  # all at once
recognizer.decode_stream(stream)
print(stream.result.text)
```

sherpa-onnx computes its features itself. The {front} zeros and the cut put its frames where the model's are; without
them the text is a little worse. Times count from the zeros.
"""
    return f"""{common}stream = recognizer.create_stream()
stream.accept_waveform(rate, np.zeros({front}, np.float32))  # once, before the sound
for start in range(0, len(sound), 1600):
    stream.accept_waveform(rate, sound[start : start + 1600])
    while recognizer.is_ready(stream):
        recognizer.decode_stream(stream)
stream.accept_waveform(rate, np.zeros({tail}, np.float32))  # behind it: sherpa-onnx leaves its last window out
stream.input_finished()
while recognizer.is_ready(stream):
    recognizer.decode_stream(stream)
print(recognizer.get_result(stream))
```

sherpa-onnx computes its features itself. The {front} zeros before the sound put its frames where the model's are, and
are no part of the stream; those behind it let the last words out. It takes every stream to have frames of 40 ms; this
model's are of {10 * model.subsampling_factor} ms{wrong}.
"""


def _tail(model: SpeechModel, window: int) -> int:
    """Zeros behind a stream, samples: the lookahead, what sherpa leaves out, and quiet to hear the last word end in."""
    if not window:
        return 0
    late = model.encoder.lookahead.frames * model.subsampling_factor
    return (late + 2 * window) * HOP + round(TAIL * SAMPLE_RATE)
