"""Graphs that take the features of sherpa-onnx 2 in place of sound: whole clips, and windows of a stream.

sherpa-onnx centres frame i at sample 160 i + 80; ours begins with sample 160 t and is 400 long. So 40 zeros before the
sound put its frame t + 1 where our frame t lies, and frame 0 is dropped. Its logarithm takes the larger of a number and
2 ** -23 where ours adds 2 ** -24: above that they are made equal, below it sherpa has lost what was
there. What is left are its periodic window and a pre-emphasis within each frame.
Source: sherpa-onnx 2.0.1, offline-nemo-enc-dec-ctc-model.cc, online-nemo-ctc-model.cc, features.cc, and what it gives.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from custom_modules.frontend import LOG_GUARD, frame_mask
from custom_modules.model import SpeechModel

FLOOR = -15.942385  # of sherpa's logarithm: the smallest float32 that is more than 1 than 1 is, 2 ** -23
QUIET = -16.3  # of our logarithm, for what lies under that floor: from -16.6 (digital silence) to -15.5
FRONT = 40  # zeros before a whole clip
BLANK_ROW = -1e4  # log-probability of all but the blank where nothing is heard
NEMO_FACTOR = 4  # the subsampling that sherpa takes every stream to have
CLIP = {"inputs": ["audio_signal", "length"], "outputs": ["log_probs"]}
STREAM = {
    "inputs": ["audio_signal", "length", "cache_last_channel", "cache_last_time", "cache_last_channel_len"],
    "outputs": [
        "log_probs", "log_probs_length", "cache_last_channel_next", "cache_last_time_next",
        "cache_last_channel_len_next",
    ],
}  # fmt: skip


class _Graph(nn.Module):
    def __init__(self, model: SpeechModel):
        super().__init__()
        self.encoder, self.decoder = model.encoder, model.decoder
        self.factor, self.blank = model.subsampling_factor, len(model.labels)
        self.register_buffer("mean", model.preprocessor.mean[:, None].clone())
        self.register_buffer("deviation", model.preprocessor.deviation[:, None].clone())

    def normalised(self, audio_signal: Tensor) -> Tensor:
        """Features as the model was trained on, from sherpa's [N, D, T]."""
        ours = torch.log(torch.exp(audio_signal) + LOG_GUARD)
        ours = torch.where(audio_signal < FLOOR + 1e-4, torch.full_like(ours, QUIET), ours)
        return (ours - self.mean) / self.deviation

    def rows(self, encoded: Tensor, mask: Tensor, times: int) -> Tensor:
        """Log-probabilities [N, T' * times, V + 1]: the blank where nothing is heard, each frame so many times."""
        log_probs = self.decoder(encoder_output=encoded)
        silent = torch.full_like(log_probs[:1, :1], BLANK_ROW)
        silent[..., self.blank] = 0.0
        log_probs = torch.where(mask[..., None] > 0, log_probs, silent)
        # CTC takes a repetition for one character, and what reads the rows finds one for each feature frame.
        return log_probs[:, :, None].expand(-1, -1, times, -1).reshape(log_probs.shape[0], -1, log_probs.shape[2])


class SherpaClip(_Graph):
    """audio_signal [N, D, T], length [N] → log_probs [N, T, V + 1], one row for each feature frame.

    sherpa reads `length // subsampling_factor` rows, which loses the last one of a model that rounds up: the factor it
    is told is 1, and every row stands there as often as it lasts.
    """

    def forward(self, audio_signal: Tensor, length: Tensor) -> Tensor:
        # Behind the sound, for what is shorter than a frame of the encoder.
        features = nn.functional.pad(self.normalised(audio_signal)[:, :, 1:], (0, 2 * self.factor))
        frames = torch.clamp(length - 2, min=1)  # frame 0, and the one that reaches behind the sound
        features = features * frame_mask(frames, features.shape[2])[:, None].to(features.dtype)
        encoded, counts = self.encoder(audio_signal=features, length=frames)[:2]
        mask = frame_mask(counts, encoded.shape[2])
        return self.rows(encoded, mask, self.factor)[:, : audio_signal.shape[2]]


class SherpaStream(_Graph):
    """A window of features and the state → log-probabilities and the next state.

    All of the state is one row of `cache_last_channel`. A first window of digital silence is no part of the stream: it
    is what a client puts there so that the frames lie where ours do.
    """

    def __init__(self, model: SpeechModel, window: int):
        super().__init__(model)
        self.window = window
        self.shapes = dict(model.encoder.initial_state())
        self.sizes = [torch.Size(shape).numel() for shape in self.shapes.values()]
        self.times = max(self.factor // NEMO_FACTOR, 1) if self.factor % NEMO_FACTOR == 0 else 1

    def forward(
        self,
        audio_signal: Tensor,
        length: Tensor,
        cache_last_channel: Tensor,
        cache_last_time: Tensor,
        cache_last_channel_len: Tensor,
    ) -> tuple[Tensor, ...]:
        before = cache_last_channel[:, 0, 0]  # [N, sum of sizes]
        loudest = audio_signal[:, :, : self.window - 2].amax(dim=(1, 2))  # the last two reach into the sound
        heard = ((loudest > FLOOR + 0.1) | (cache_last_channel_len > 0)).to(audio_signal.dtype)  # [N]
        features = self.normalised(audio_signal) * heard[:, None, None]
        mask = heard[:, None].expand(-1, self.window)
        state = {
            name: part.reshape(-1, *shape)
            for (name, shape), part in zip(self.shapes.items(), before.split(self.sizes, 1), strict=True)
        }
        given = self.encoder.step(features, mask, state)
        after = torch.cat([given.state[name].flatten(1) for name in self.shapes], 1)
        after = torch.where(heard[:, None] > 0, after, before)
        log_probs = self.rows(given.outputs.transpose(1, 2), given.mask * heard[:, None], self.times)
        return (
            log_probs,
            length // self.factor * self.times,
            after[:, None, None],
            cache_last_time + 1.0,
            cache_last_channel_len + 1,
        )
