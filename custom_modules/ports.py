"""The ports that encoders and the modules in their middle share."""

from __future__ import annotations

import torch
from nemo.core.classes import NeuralModule
from nemo.core.neural_types import AcousticEncodedRepresentation, LengthsType, NeuralType, SpectrogramType
from torch import Tensor


class FrameModule(NeuralModule):
    """A module from frames to frames: audio_signal [B, T, H], length [B] → outputs [B, T, H'], encoded_lengths [B]."""

    @property
    def input_types(self):
        return {
            "audio_signal": NeuralType(("B", "T", "D"), AcousticEncodedRepresentation()),
            "length": NeuralType(tuple("B"), LengthsType()),
        }

    @property
    def output_types(self):
        return {
            "outputs": NeuralType(("B", "T", "D"), AcousticEncodedRepresentation()),
            "encoded_lengths": NeuralType(tuple("B"), LengthsType()),
        }


class SpectrogramEncoder(NeuralModule):
    """An encoder: audio_signal [B, D, T], length [B] → outputs [B, H, T'], encoded_lengths [B]; it sets `_feat_in`."""

    _feat_in: int

    @property
    def input_types(self):
        return {
            "audio_signal": NeuralType(("B", "D", "T"), SpectrogramType()),
            "length": NeuralType(tuple("B"), LengthsType()),
        }

    @property
    def output_types(self):
        return {
            "outputs": NeuralType(("B", "D", "T"), AcousticEncodedRepresentation()),
            "encoded_lengths": NeuralType(tuple("B"), LengthsType()),
        }

    def input_example(self, max_batch: int = 1, max_dim: int = 256) -> tuple[Tensor, Tensor]:
        """Features and lengths to trace the module with."""
        parameter = next(self.parameters())
        features = torch.randn(max_batch, self._feat_in, max_dim, device=parameter.device, dtype=parameter.dtype)
        return features, torch.full((max_batch,), max_dim, device=parameter.device)
