"""Models for onnx-asr, which runs NeMo's with NumPy and onnxruntime alone: `python export.py … target=onnx-asr`.

A folder as `onnx_asr.load_model("nemo-conformer-ctc", FOLDER)` takes it: `model.onnx`, `vocab.txt`, `config.json`. It
computes NeMo's features of whole recordings, normalised by each one's own mean and deviation, and a model must have
been trained with them. Source: onnx-asr 0.12.0, models/nemo.py, asr.py.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from nemo.core.classes.common import typecheck
from torch import Tensor, nn

from custom_modules.frontend import frame_mask
from custom_modules.model import SpeechModel
from experiments.errors import ConfigError
from experiments.export.bundle import ExportOptions
from experiments.export.graphs import ClipGraph, Model, write_graph
from experiments.export.nemo_features import SAMPLE_RATE, require_nemo_features
from experiments.export.precision import store
from experiments.export.runtimes import VERSIONS
from experiments.export.tokens import require_tokens, tell_sounds, token_lines
from heyjetson.check import largest_difference
from manifests.whole import whole_folder

VERSION = VERSIONS["onnx-asr"]
KIND = "nemo-conformer-ctc"  # its name for any model from features and lengths to log-probabilities
TOKENS, GRAPH, CONFIG, README = "vocab.txt", "model.onnx", "config.json", "README.md"
BANDS = (80, 128)
PARITY = 1e-3  # largest difference of a log-probability on the same features
SECONDS = (0.05, 0.3, 1.37, 2.5)


class FeatureGraph(nn.Module):
    """audio_signal [N, D, T], length [N] → logprobs [N, T', V + 1]."""

    def __init__(self, model: SpeechModel):
        super().__init__()
        self.encoder, self.decoder = model.encoder, model.decoder

    def forward(self, audio_signal: Tensor, length: Tensor) -> Tensor:
        told = frame_mask(length, audio_signal.shape[2])[:, None, :]
        # A recording of one frame has no deviation: onnx-asr gives 0 / 0.
        features = torch.where(told & ~torch.isnan(audio_signal), audio_signal, torch.zeros_like(audio_signal))
        return self.decoder(encoder_output=self.encoder(audio_signal=features, length=length.clamp_min(1))[0])


def require_onnx_asr(model: Model) -> None:
    """Refuse a model whose features or text onnx-asr does not compute.

    Raises:
        ConfigError: it is such a model; the message says what to train.
    """
    cure = "Train with frontend=nemo_mel frontend.normalize=per_feature, or export for heyjetson (target=onnx)."
    require_nemo_features(model, "onnx-asr", cure)
    if not model.preprocessor.per_utterance:
        raise ConfigError(
            "onnx-asr normalises each recording by its own mean and deviation; this model was trained with those of "
            f"the training set (frontend.normalize=fixed) and would write other text there. {cure}"
        )
    if model.preprocessor.features not in BANDS:
        raise ConfigError(
            f"onnx-asr has {' or '.join(map(str, BANDS))} mel bands, this model frontend.features="
            f"{model.preprocessor.features}. {cure}"
        )
    require_tokens(model.labels, TOKENS)


def write_onnx_asr(model: SpeechModel, folder: Path, options: ExportOptions) -> float:
    """Write a model for onnx-asr; all or nothing.

    Args:
        model: in evaluation mode.
        folder: where; replaced as a whole.
        options: of the export; its precision and opset count.

    Returns:
        how far the graph is from the model, on the same features.

    Raises:
        ConfigError: onnx-asr does not compute the model's features, the graph disagrees with the model, or something
            else lies in the folder.
    """
    require_onnx_asr(model)
    if folder.exists() and not (folder / TOKENS).is_file():
        raise ConfigError(f"{folder} exists and is not a model for onnx-asr; nothing was written. Choose another.")
    told = tell_sounds(model.labels, "onnx-asr")
    with whole_folder(folder) as made:
        exact = made.with_name(GRAPH)
        _trace(model, exact, options.opset)
        difference = parity(model, exact)
        if not difference <= PARITY:
            raise ConfigError(
                f"The graph for onnx-asr differs from the model by {difference:.2e} in log-probability. Nothing was "
                "written. An operator of this encoder is exported wrongly; another opset may help."
            )
        store(exact, made / GRAPH, options.precision)
        (made / TOKENS).write_text(token_lines(model.labels), encoding="utf-8")
        config = {
            "model_type": KIND, "features_size": model.preprocessor.features,
            "subsampling_factor": model.subsampling_factor,
        }  # fmt: skip
        (made / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        (made / README).write_text(readme(model, told), encoding="utf-8")
    return difference


def _trace(model: SpeechModel, path: Path, opset: int) -> None:
    inputs = (torch.randn(2, model.preprocessor.features, 121), torch.tensor([121, 90]))
    axes = {"audio_signal": {0: "N", 2: "T"}, "length": {0: "N"}, "logprobs": {0: "N", 1: "T2"}}
    names = {"input_names": ["audio_signal", "length"], "output_names": ["logprobs"], "dynamic_axes": axes}
    write_graph(FeatureGraph(model), inputs, path, opset, **names)


def parity(model: SpeechModel, graph: Path, seconds: Sequence[float] = SECONDS, seed: int = 0) -> float:
    """How far a graph is from its model on batches of two of noise, as onnx-asr would use it.

    Args:
        model: the reference.
        graph: for onnx-asr.
        seconds: lengths of the longer of the two; the other has two thirds of it.
        seed: of the noise.

    Returns:
        largest difference of a log-probability.

    Raises:
        ConfigError: the graph gives fewer rows than onnx-asr reads.
    """
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    rng, worst, factor = np.random.default_rng(seed), 0.0, model.subsampling_factor
    for duration in seconds:
        total = round(duration * SAMPLE_RATE)
        sound = torch.from_numpy((rng.standard_normal((2, total)) * 0.1).astype(np.float32))
        length = torch.tensor([total, total * 2 // 3])
        with torch.no_grad(), typecheck.disable_checks():
            features, frames = model.preprocessor(input_signal=sound, length=length)
            expected, _ = ClipGraph(model).eval()(sound, length)
        (found,) = session.run(None, {"audio_signal": features.numpy(), "length": frames.numpy()})
        for row, count in enumerate((frames.numpy() - 1) // factor + 1):
            if count > min(found.shape[1], expected.shape[1]):
                raise ConfigError(
                    f"The graph gives {found.shape[1]} rows for {frames[row]} frames, onnx-asr reads {count}."
                )
            worst = max(worst, largest_difference(found[row, :count], expected[row, :count].numpy()))
    return worst


def readme(model: SpeechModel, told: str = "") -> str:
    """How the folder is used; `told` is what else is to be known."""
    about = told and f"{told}\n\n"
    return f"""# A model for onnx-asr {VERSION}

{about}```python
import onnx_asr

model = onnx_asr.load_model("{KIND}", ".")  # this folder
print(model.recognize("a.wav"))
```

onnx-asr computes the features itself: NeMo's, {model.preprocessor.features} mel bands, normalised by each recording's
own mean and deviation, which is what this model was trained with. Nothing needs to be put before or behind the sound.
Files are wav; others are given as an array, `recognize(samples, sample_rate={SAMPLE_RATE})`. A frame of the output
lasts {10 * model.subsampling_factor} ms (`subsampling_factor` in {CONFIG}); without that file it is taken to last 80.
It leaves out a space that a sign like ' follows.
"""
