"""The encoder that streams: what it says of a frame never changes, and comes a fixed number of frames later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from nemo.collections.asr.models.configs import CacheAwareStreamingConfig
from nemo.collections.asr.parts.mixins.streaming import StreamingEncoder
from nemo.core.classes import typecheck
from nemo.core.neural_types import ChannelType, LengthsType, NeuralType
from torch import Tensor

from custom_modules.attention import LeftContextAttention
from custom_modules.convolution import ConvolutionStack
from custom_modules.encoders import TimeDistributedDense
from custom_modules.frontend import frame_mask
from custom_modules.lookahead import Lookahead
from custom_modules.ports import SpectrogramEncoder
from custom_modules.recurrent import RecurrentStack
from custom_modules.state import named, part_of
from custom_modules.stem import SpectralStem


@dataclass
class Step:
    """What one step of a stream gives.

    Args:
        outputs: [B, T', H].
        mask: [B, T'], 1 for the frames that hold sound.
        state: to give to the next step.
    """

    outputs: Tensor
    mask: Tensor
    state: dict[str, Tensor]


class HeyJetsonStreamingEncoder(SpectrogramEncoder, StreamingEncoder):
    """Causal convolutions → recurrences in one direction → lookahead → attention to the left → dense.

    `forward` on a whole utterance and `step` on its pieces give the same numbers. The latency is the lookahead and
    nothing else.

    Args:
        feat_in: D, features a frame.
        convolution: arguments of `ConvolutionStack`; always causal.
        recurrent: arguments of `RecurrentStack`; never bidirectional.
        lookahead: output frames that are waited for, latency against accuracy.
        attention: arguments of `LeftContextAttention`; `left: 0` has none.
        dense: arguments of `TimeDistributedDense`.
        chunk: output frames of a step in NeMo's own simulation of a stream; the export chooses its own.
        stem: arguments of `SpectralStem`, which comes first, always causal; None for none.

    Shapes: audio_signal [B, D, T], length [B] → outputs [B, H, T'], encoded_lengths [B], T' = ceil(T / subsampling).

    >>> encoder = HeyJetsonStreamingEncoder(
    ...     feat_in=8, convolution=dict(filters=4, kernels=[3, 3], strides=[2, 1], dilations=[1, 2]),
    ...     recurrent=dict(layers=1, hidden=4), lookahead=2, attention=dict(left=3, heads=2), dense=dict(units=[6]))
    >>> encoder = encoder.eval()
    >>> sound = torch.randn(1, 8, 12)
    >>> whole, _ = encoder(audio_signal=sound, length=torch.tensor([12]))
    >>> one = encoder.step(sound[:, :, :8], torch.ones(1, 8), encoder.zeros(1))
    >>> bool(torch.allclose(one.outputs[:, 2:], whole.transpose(1, 2)[:, :2], atol=1e-6))
    True
    """

    def __init__(
        self,
        feat_in: int,
        convolution: dict,
        recurrent: dict,
        lookahead: int,
        attention: dict,
        dense: dict,
        chunk: int = 8,
        stem: dict | None = None,
    ):
        super().__init__()
        self.stem = SpectralStem(feat_in, **stem, causal=True) if stem else None
        self.convolution = ConvolutionStack(self.stem.feat_out if self.stem else feat_in, **convolution, causal=True)
        self.recurrent = RecurrentStack(self.convolution.feat_out, **recurrent, bidirectional=False)
        width = self.recurrent.feat_out
        self.lookahead = Lookahead(width, lookahead)
        self.attention = LeftContextAttention(width, **attention) if attention["left"] else None
        self.dense = TimeDistributedDense(width, **dense)
        if convolution.get("finer", 1) != 1 and not self.convolutions_alone:
            raise ValueError(
                "encoder.convolution.finer needs convolutions alone: what remembers frames or attends to them was "
                "trained on fewer of them. Set it to 1."
            )
        self.chunk = chunk
        self.streaming_cfg: CacheAwareStreamingConfig | None = None
        self._feat_in = feat_in
        self._feat_out = self.dense.feat_out
        self.setup_streaming_params()

    @property
    def subsampling_factor(self) -> int:
        """Feature frames an output frame stands for."""
        return self.convolution.subsampling_factor * (self.stem.subsampling_factor if self.stem else 1)

    @property
    def convolutions_alone(self) -> bool:
        """Whether there is nothing that remembers frames, waits for them or attends to them."""
        return not (len(self.recurrent.forwards) or self.lookahead.frames or self.attention)

    def refine(self, times: int) -> None:
        """Give so many times as many frames, of convolutions alone; see `ConvolutionStack.refine`."""
        self.convolution.refine(times)
        self.setup_streaming_params()

    @property
    def input_types(self):
        return super().input_types | {
            "cache_last_channel": NeuralType(("D", "B", "T", "D"), ChannelType(), optional=True),
            "cache_last_time": NeuralType(("D", "B", "D", "T"), ChannelType(), optional=True),
            "cache_last_channel_len": NeuralType(tuple("B"), LengthsType(), optional=True),
            "bypass_pre_encode": NeuralType(optional=True),
        }

    @property
    def output_types(self):
        return super().output_types | {
            "cache_last_channel_next": NeuralType(("D", "B", "T", "D"), ChannelType(), optional=True),
            "cache_last_time_next": NeuralType(("D", "B", "D", "T"), ChannelType(), optional=True),
            "cache_last_channel_next_len": NeuralType(tuple("B"), LengthsType(), optional=True),
        }

    @typecheck()
    def forward(
        self,
        audio_signal: Tensor,
        length: Tensor,
        cache_last_channel: Tensor | None = None,
        cache_last_time: Tensor | None = None,
        cache_last_channel_len: Tensor | None = None,
        bypass_pre_encode: bool = False,
    ) -> tuple[Tensor, ...]:
        if cache_last_channel is not None:
            return self._cached(audio_signal, length, cache_last_channel, cache_last_time, cache_last_channel_len)
        x = audio_signal.transpose(1, 2)  # [B, T, D]
        if self.stem is not None:
            x, length = self.stem(audio_signal=x, length=length)
        x, length = self.convolution(audio_signal=x, length=length)
        x, length = self.recurrent(audio_signal=x, length=length)
        x, length = self.lookahead(audio_signal=x, length=length)
        if self.attention is not None:
            x, length = self.attention(audio_signal=x, length=length)
        x = self.dense(x)
        x = x * frame_mask(length, x.shape[1])[..., None].to(x.dtype)
        return x.transpose(1, 2), length

    def initial_state(self) -> dict[str, tuple[int, ...]]:
        """Shapes, without the batch, of what a stream keeps between its steps; all begin with zeros."""
        shapes = named("stem", self.stem.initial_state()) if self.stem is not None else {}
        shapes |= named("convolution", self.convolution.initial_state())
        shapes |= named("recurrent", self.recurrent.initial_state())
        shapes |= named("lookahead", self.lookahead.initial_state())
        if self.attention is not None:
            shapes |= named("attention", self.attention.initial_state())
        return shapes

    def zeros(self, batch: int) -> dict[str, Tensor]:
        """The state that a stream begins with."""
        parameter = next(self.parameters())
        return {name: parameter.new_zeros(batch, *shape) for name, shape in self.initial_state().items()}

    def step(self, features: Tensor, mask: Tensor, state: dict[str, Tensor]) -> Step:
        """The next features of a stream.

        Args:
            features: [B, D, T], zero where there is no sound; T is a multiple of the subsampling.
            mask: [B, T], 1 where there is sound; a step without any sound gives what the lookahead still holds.
            state: of the step before, or `zeros`.
        """
        x, before = features.transpose(1, 2), {}
        if self.stem is not None:
            x, mask, heard = self.stem.step(x, mask, part_of(state, "stem"))
            before = named("stem", heard)
        x, mask, convolved = self.convolution.step(x, mask, part_of(state, "convolution"))
        x, mask, remembered = self.recurrent.step(x, mask, part_of(state, "recurrent"))
        given = self._emit(x, mask, state)
        given.state = before | named("convolution", convolved) | named("recurrent", remembered) | given.state
        return given

    def _emit(self, x: Tensor, mask: Tensor, state: dict[str, Tensor]) -> Step:
        """What follows the recurrences."""
        x, mask, waiting = self.lookahead.step(x, mask, part_of(state, "lookahead"))
        state_after = named("lookahead", waiting)
        if self.attention is not None:
            x, mask, seen = self.attention.step(x, mask, part_of(state, "attention"))
            state_after |= named("attention", seen)
        x = self.dense(x)
        return Step(x * mask[..., None], mask, state_after)

    # NeMo's own way to stream: all of the state is one row of `cache_last_channel`, [1, B, 1, size].

    def setup_streaming_params(self, max_look_ahead: int = 10000) -> None:
        """Set the sizes of NeMo's simulation: steps of `chunk` output frames and nothing to be dropped or repeated."""
        size = max(self.chunk, self.lookahead.frames + 1) * self.subsampling_factor
        self.streaming_cfg = CacheAwareStreamingConfig(
            chunk_size=size, shift_size=size, valid_out_len=size // self.subsampling_factor, last_channel_num=1
        )

    def get_initial_cache_state(
        self,
        batch_size: int = 1,
        dtype: torch.dtype = torch.float32,
        device: torch.device | None = None,
        max_dim: int = 0,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """NeMo's three caches at the beginning of a stream."""
        size = sum(torch.Size(shape).numel() for shape in self.initial_state().values())
        device = device or next(self.parameters()).device
        cache = torch.zeros(1, batch_size, 1, size, dtype=dtype, device=device)
        return cache, cache.new_zeros(1, batch_size, 1, 1), torch.zeros(batch_size, dtype=torch.int64, device=device)

    def _cached(self, features: Tensor, length: Tensor, cache: Tensor, time: Tensor, steps: Tensor):
        batch, rest = features.shape[0], -features.shape[2] % self.subsampling_factor
        state, start = {}, 0
        for name, shape in self.initial_state().items():
            size = torch.Size(shape).numel()
            state[name] = cache[0, :, 0, start : start + size].reshape(batch, *shape)
            start += size
        mask = frame_mask(length, features.shape[2] + rest).to(features.dtype)
        given = self.step(torch.nn.functional.pad(features, (0, rest)) * mask[:, None], mask, state)
        # What the lookahead holds, as if the stream ended here; `streaming_post_process` drops it where it does not.
        silence = features.new_zeros(batch, self.lookahead.frames, self.recurrent.feat_out)
        ending = self._emit(silence, silence[..., 0], given.state) if self.lookahead.frames else None
        early = self.lookahead.frames if bool((steps == 0).all()) else 0
        outputs = torch.cat([given.outputs, ending.outputs], 1) if ending else given.outputs
        masks = torch.cat([given.mask, ending.mask], 1) if ending else given.mask
        kept = torch.cat([given.state[name].flatten(1) for name in self.initial_state()], 1)[None, :, None]
        # Lengths are counted after the frames that may be dropped are; NeMo wants them as whole numbers.
        self._masks = masks[:, early:]
        lengths = self._masks.sum(1).to(torch.int64)
        return outputs[:, early:].transpose(1, 2), lengths, kept, time, steps + 1

    def streaming_post_process(self, rets: Sequence[Tensor], keep_all_outputs: bool = True) -> tuple[Tensor, ...]:
        """Drop the frames whose future is not known yet, unless the stream has ended."""
        outputs, lengths, *caches = rets
        if not keep_all_outputs and self.lookahead.frames:
            count = outputs.shape[2] - self.lookahead.frames
            outputs, lengths = outputs[:, :, :count], self._masks[:, :count].sum(1).to(torch.int64)
        return (outputs, lengths, *caches)
