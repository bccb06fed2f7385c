"""The graphs of a bundle: from sound to log-probabilities or scores, whole clips or the next piece of a stream."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from nemo.core.classes.common import typecheck
from torch import Tensor, nn

from custom_modules.model import SpeechModel
from custom_modules.state import named, part_of
from custom_modules.streaming import HeyJetsonStreamingEncoder
from custom_modules.trigger import VERIFIER, TriggerModel
from experiments.export.folded import folded
from experiments.export.stream_step import StepDecoder, StepEncoder, StepFrontend

Model = SpeechModel | TriggerModel
OUTPUTS = {"ctc": "log_probs", "ctc_stream": "log_probs", "trigger": "scores"}
GRAPHS = {"ctc": "model.onnx", "ctc_stream": "stream.onnx", "trigger": "trigger.onnx"}


def kind_of(model: Model) -> str:
    """What a bundle of the model is: `ctc`, `ctc_stream` or `trigger`."""
    if isinstance(model, TriggerModel):
        return "trigger"
    return "ctc_stream" if isinstance(model.encoder, HeyJetsonStreamingEncoder) else "ctc"


def width_of(model: Model) -> int:
    """Numbers in a frame that the graph gives: V + 1, W, or W + P + 1 where a verifier checks the scores."""
    if not isinstance(model, TriggerModel):
        return len(model.labels) + 1
    return len(model.labels) + (model.verifier.rules.columns if model.verifier else 0)


class ClipGraph(nn.Module):
    """Front-end, encoder and decoder as one: samples [B, S], length [B] → outputs [B, T, V + 1 or W], frames [B].

    What a trigger's verifier hears stands behind its scores: [B, T, W + P + 1].

    Args:
        model: in evaluation mode.
        fold: see `folded`; else the front-end is the model's very own.
    """

    def __init__(self, model: Model, fold: bool = False):
        super().__init__()
        self.frontend = folded(model.preprocessor) if fold else model.preprocessor
        self.encoder, self.decoder = model.encoder, model.decoder
        self.outputs = scores_of if isinstance(model, TriggerModel) else log_probs_of
        self.verifier = getattr(model, "verifier", None)

    def forward(self, samples: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        return self.heard(*self.frontend(input_signal=samples, length=length))

    def heard(self, features: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """The same of features [B, D, N] and their lengths [B]."""
        encoded, frames = self.encoder(audio_signal=features, length=length)[:2]
        outputs = self.outputs(self.decoder, encoded)
        if self.verifier is not None:
            outputs = torch.cat([outputs, self.verifier(features, length)], dim=2)
        return outputs, frames.to(torch.int64)


def log_probs_of(decoder: nn.Module, encoded: Tensor) -> Tensor:
    """Encoded frames [B, H, T] → log-probabilities [B, T, V + 1]."""
    return decoder(encoder_output=encoded)


def scores_of(decoder: nn.Module, encoded: Tensor) -> Tensor:
    """Encoded frames [B, H, T] → scores [B, T, W] in 0..1."""
    return torch.sigmoid(decoder(encoded.transpose(1, 2)))


class StreamGraph(nn.Module):
    """The same for the next piece of a stream, of few operators: see `StepEncoder`.

    samples [B, chunk], length [B], states → outputs [B, F, V + 1, W or W + P + 1], valid [B, F], next states. Pieces
    overlap by what a window is longer than a hop. `valid` is 1 for the frames that hold sound: not for the first ones,
    which come before the lookahead is filled, and not for those after the end.

    Args:
        model: in evaluation mode.
        geometry: how its stream is cut.
    """

    def __init__(self, model: Model, geometry: StreamGeometry):
        super().__init__()
        hop, factor = model.preprocessor.hop, model.subsampling_factor
        self.frontend = StepFrontend(folded(model.preprocessor, geometry.chunk_samples))
        self.encoder = StepEncoder(model.encoder, geometry.shift_samples // hop)
        self.decoder = model.decoder if isinstance(model, TriggerModel) else StepDecoder(model.decoder)
        self.scores, self.width = isinstance(model, TriggerModel), width_of(model)
        verifier = getattr(model, "verifier", None)
        self.sounds = StepEncoder(verifier.encoder, geometry.shift_samples // hop) if verifier else None
        self.sounds_decoder = StepDecoder(verifier.decoder) if verifier else nn.Identity()
        # Samples that there must be for a frame to hold sound.
        needed = torch.arange(geometry.chunk_frames) * factor * hop + model.preprocessor.window
        self.register_buffer("needed", needed)

    def forward(self, samples: Tensor, length: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        features = self.frontend(samples)
        sound = (length[:, None] >= self.needed).to(features.dtype)
        before = dict(zip(self.shapes(), states, strict=True))
        x, valid, after = self.encoder(features, sound, before)
        x = self.decoder(x)
        x = torch.sigmoid(x) if self.scores else x
        if self.sounds is not None:
            heard, _, last = self.sounds(features, sound, part_of(before, VERIFIER))
            x = torch.cat([x, self.sounds_decoder(heard)], dim=1)
            after |= named(VERIFIER, last)
        return x.reshape(-1, len(self.needed), self.width), valid, *(after[name] for name in self.shapes())

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the states, without the batch; all begin with zeros."""
        sounds = {} if self.sounds is None else named(VERIFIER, self.sounds.shapes())
        return self.encoder.shapes() | sounds


@dataclass(frozen=True)
class StreamGeometry:
    """How a stream is cut, in samples and in output frames.

    Args:
        chunk_samples: in one step.
        shift_samples: between the beginnings of two steps.
        chunk_frames: output frames of a step.
        lookahead_frames: output frames by which the outputs are late.
    """

    chunk_samples: int
    shift_samples: int
    chunk_frames: int
    lookahead_frames: int

    @staticmethod
    def of(model: Model, chunk_frames: int) -> StreamGeometry:
        """The geometry of a model's stream in steps of `chunk_frames`."""
        hop, frames = model.preprocessor.hop, chunk_frames * model.subsampling_factor
        shift = frames * hop
        return StreamGeometry(
            shift + model.preprocessor.window - hop, shift, chunk_frames, model.encoder.lookahead.frames
        )


def write_graph(graph: nn.Module, inputs: tuple[Tensor, ...], path: Path, opset: int, **names) -> None:
    """Trace a module and write it as ONNX; `names` are those of `torch.onnx.export`."""
    with typecheck.disable_checks(), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer warns of shapes that the parity check covers
        # dynamo=False: the other exporter fixes a recurrence's time axis (torch 2.13)
        torch.onnx.export(graph.eval(), inputs, str(path), dynamo=False, opset_version=opset, **names)


def trace_clip(model: Model, path: Path, opset: int, longest: float) -> None:
    """Write the graph of whole clips as ONNX, with dynamic batch and time, for clips of up to `longest` seconds."""
    # NeMo's convolutions and positions come from tables that grow with what they have seen, and the graph keeps them.
    size = round(longest * model.preprocessor._sample_rate)
    with typecheck.disable_checks(), torch.no_grad():
        ClipGraph(model).eval()(torch.zeros(1, size), torch.tensor([size]))
    samples = torch.randn(2, model.preprocessor._sample_rate) * 0.1
    length = torch.tensor([samples.shape[1], samples.shape[1] * 3 // 4])
    axes = {
        "samples": {0: "batch", 1: "samples"},
        "length": {0: "batch"},
        "log_probs": {0: "batch", 1: "frames"},
        "frames": {0: "batch"},
    }
    names = {"input_names": ["samples", "length"], "output_names": ["log_probs", "frames"], "dynamic_axes": axes}
    write_graph(ClipGraph(model, fold=True), (samples, length), path, opset, **names)


def stream_states(model: Model, geometry: StreamGeometry) -> dict[str, tuple[int, ...]]:
    """Shapes, without the batch, of what the graph of a stream's step keeps; all begin with zeros."""
    return StreamGraph(model, geometry).shapes()


def trace_stream(model: Model, path: Path, opset: int, geometry: StreamGeometry, together: bool = True) -> None:
    """Write the graph of a stream's step as ONNX, every shape fixed but the batch, of streams, unless `together` is
    false: then it is 1."""
    graph = StreamGraph(model, geometry)
    batch = 2 if together else 1
    states = {name: torch.randn(batch, *shape) for name, shape in graph.shapes().items()}
    samples = torch.randn(batch, geometry.chunk_samples) * 0.1
    length = torch.full((batch,), geometry.chunk_samples)
    inputs, outputs = ["samples", "length", *states], [OUTPUTS[kind_of(model)], "valid", *map(following, states)]
    names = {
        "input_names": inputs,
        "output_names": outputs,
        "dynamic_axes": {name: {0: "batch"} for name in [*inputs, *outputs]} if together else None,
    }
    write_graph(graph, (samples, length, *states.values()), path, opset, **names)


def following(state: str) -> str:
    """The output that gives a state's next value."""
    return f"next_{state}"
