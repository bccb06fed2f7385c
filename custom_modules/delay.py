"""A CTC loss that wants its labels early, for models that stream.

CTC does not mind when a label is written, and a model that hears the past alone writes it once it is sure, late. Here
each alignment counts the more the earlier its labels begin, so that training finds the earliest that costs little.
Source: Yao et al., "Delay-penalized CTC implemented based on Finite State Transducer" (2023).
"""

from __future__ import annotations

import torch
from nemo.collections.asr.losses.ctc import CTCLoss
from nemo.core.classes import typecheck
from torch import Tensor
from torch.nn import functional

NEVER = -1e30  # log-probability of what cannot be; finite, so that no gradient is NaN


def delay_penalised_ctc(
    log_probs: Tensor, targets: Tensor, input_lengths: Tensor, target_lengths: Tensor, blank: int, penalty: float
) -> Tensor:
    """Minus the logarithm of the sum over all alignments, each weighed by when its labels begin.

    A label that begins in frame t of T adds penalty * ((T - 1) / 2 - t) to the logarithm of its alignment; the frames
    in which it goes on add nothing. With a penalty of 0 it is CTC.

    Args:
        log_probs: [B, T, V + 1].
        targets: [B, L] labels.
        input_lengths: [B] frames.
        target_lengths: [B] labels.
        blank: its index.
        penalty: nats a frame and label.

    Returns:
        [B]; 0 for an utterance that has fewer frames than its labels need.

    Examples:
        >>> even = torch.full((1, 2, 2), 0.5).log()  # aa, a_ and _a, each with a probability of a quarter
        >>> one = torch.tensor([1])
        >>> losses = [delay_penalised_ctc(even, one[:, None] * 0, one * 2, one, 1, penalty) for penalty in (0.0, 2.0)]
        >>> [round(float(torch.exp(-loss)), 4) for loss in losses]  # 3 / 4; (2 * e + 1 / e) / 4
        [0.75, 1.4511]
    """
    batch, frames, _ = log_probs.shape
    device = log_probs.device
    states = torch.full((batch, 2 * targets.shape[1] + 1), blank, dtype=torch.long, device=device)
    states[:, 1::2] = targets
    emitted = log_probs.float().gather(2, states[:, None].expand(-1, frames, -1))  # [B, T, S]
    begins = torch.zeros_like(states, dtype=torch.float32)
    begins[:, 1::2] = 1.0
    differs = torch.zeros_like(states, dtype=torch.bool)  # from the label before, which may then be left directly
    differs[:, 3::2] = targets[:, 1:] != targets[:, :-1]
    closed = torch.where(differs, 0.0, NEVER)
    # [B, T]; of no consequence beyond the lengths.
    offset = penalty * ((input_lengths[:, None] - 1) / 2 - torch.arange(frames, device=device))
    first = torch.full_like(closed[:, :2], NEVER)
    first[:, 0] = 0.0
    if targets.shape[1]:
        first[:, 1] = offset[:, 0]
    paths = functional.pad(first, (0, states.shape[1] - first.shape[1]), value=NEVER)[:, : states.shape[1]]
    paths = paths + emitted[:, 0]
    for frame in range(1, frames):
        step = functional.pad(paths, (1, 0), value=NEVER)[:, :-1]
        jump = functional.pad(paths, (2, 0), value=NEVER)[:, :-2] + closed
        entering = torch.logaddexp(step, jump) + offset[:, frame, None] * begins
        going = torch.logaddexp(paths, entering) + emitted[:, frame]
        paths = torch.where((frame < input_lengths)[:, None], going, paths)
    last = 2 * target_lengths[:, None]
    ends = torch.logaddexp(paths.gather(1, last), paths.gather(1, (last - 1).clamp_min(0)) + (last == 0) * NEVER)[:, 0]
    possible = ends > NEVER / 2
    return torch.where(possible, -ends, 0.0)


class DelayPenalisedCTCLoss(CTCLoss):
    """NeMo's CTC loss, and in training that with a penalty on late labels; validation knows nothing of it.

    Args:
        num_classes: labels without the blank, which comes after the last.
        reduction: of NeMo's loss: mean_batch or mean_volume.
        penalty: nats a frame and label.
        ramp: share of the budget over which the penalty grows from nothing.

    Raises:
        ValueError: penalty or ramp are out of their range.
    """

    def __init__(self, num_classes: int, reduction: str = "mean_batch", penalty: float = 0.0, ramp: float = 0.0):
        if not 0 <= penalty < 1:
            raise ValueError(f"delay.penalty must be at least 0 and less than 1, found {penalty}.")
        if not 0 <= ramp <= 1:
            raise ValueError(f"delay.ramp must be between 0 and 1, found {ramp}.")
        super().__init__(num_classes, zero_infinity=True, reduction=reduction)
        self.penalty, self.ramp = penalty, ramp
        self.strength = 1.0  # share of the penalty in use; the model raises it from 0 as training begins

    @typecheck()
    def forward(self, log_probs: Tensor, targets: Tensor, input_lengths: Tensor, target_lengths: Tensor) -> Tensor:
        """Loss of a batch: log-probabilities [B, T, V + 1], labels [B, L] and the lengths of both."""
        penalty = self.penalty * self.strength
        if not self.training or penalty == 0:
            return super().forward(
                log_probs=log_probs, targets=targets, input_lengths=input_lengths, target_lengths=target_lengths
            )
        losses = delay_penalised_ctc(
            log_probs, targets.long(), input_lengths.long(), target_lengths.long(), self._blank, penalty
        )
        return self.reduce(losses, target_lengths)
