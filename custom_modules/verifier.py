"""An encoder that writes sounds, kept beside a trigger as it was: it says whether a word was pronounced."""

from __future__ import annotations

from nemo.core.classes import ModelPT
from omegaconf import DictConfig
from torch import Tensor, nn

from heyjetson.verifier import Verifier


class SoundVerifier(nn.Module):
    """Log-probabilities of sounds, [B, D, T], [B] → [B, T', P + 1]; nothing of it is ever learnt.

    Args:
        cfg: `encoder` and `decoder` of a speech model with the trigger's front-end, and what `Verifier` takes.
    """

    def __init__(self, cfg: DictConfig):
        super().__init__()
        self.rules = Verifier(list(cfg.labels), dict(cfg.words), cfg.weight, cfg.tolerance)
        self.encoder = ModelPT.from_config_dict(cfg.encoder)
        self.decoder = ModelPT.from_config_dict(cfg.decoder)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> SoundVerifier:
        """It stays as it is in use."""
        return super().train(False)

    def forward(self, features: Tensor, frames: Tensor) -> Tensor:
        return self.decoder(encoder_output=self.encoder(audio_signal=features, length=frames)[0])
