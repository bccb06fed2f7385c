"""The ports that modules in the middle of an encoder share."""

from __future__ import annotations

from nemo.core.classes import NeuralModule
from nemo.core.neural_types import AcousticEncodedRepresentation, LengthsType, NeuralType


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
