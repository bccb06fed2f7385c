#!/usr/bin/env bash
# torch 2.13.0: the gradient of ctc_loss is right only where each frame of its log-probs sums to one. Anything between log_softmax
# and the loss that breaks this (a prior subtracted, a penalty on the blank, clamping, weights, logits by mistake) gives a loss of
# the right value and a gradient of another function, without a word: training runs, and optimises something else.
# Expected: the derivative of the value it returns, as of any function with a backward, or a refusal.
#
# Seen (double precision, six frames, against differences of 2e-6; cosine of the two gradients):
#   log_softmax, and a mixture that sums to one: equal
#   minus half a prior 0.78    a penalty of 2 on the blank 0.98    clamped at -1.5 0.69    no log_softmax -0.20
set -euo pipefail
source "$(dirname "$0")/common.sh"
prepare torch==2.13.0 numpy==2.4.6
seen=$(venv/bin/python - 2>/dev/null <<'PYTHON'
import torch
from torch.nn.functional import cosine_similarity, ctc_loss

torch.manual_seed(0)
FRAMES, LABELS, STEP = 6, 4, 1e-6
logits = torch.randn(FRAMES, 1, LABELS, dtype=torch.double)
prior = torch.tensor([3.0, 0, 0, 0], dtype=torch.double).log_softmax(0)
blank = torch.tensor([2.0, 0, 0, 0], dtype=torch.double)


def loss(values):
    text, lengths = torch.tensor([[1, 2]]), (torch.tensor([FRAMES]), torch.tensor([2]))
    return ctc_loss(values, text, *lengths, reduction="sum")


def compare(between):
    given = logits.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(between(given)), given)
    right = torch.zeros_like(logits)
    for place in range(logits.numel()):
        step = torch.zeros_like(logits)
        step.view(-1)[place] = STEP
        right.view(-1)[place] = (loss(between(logits + step)) - loss(between(logits - step))) / (2 * STEP)
    if (gradient - right).abs().max() < 1e-7:
        return "equal"
    return f"{float(cosine_similarity(gradient.ravel(), right.ravel(), dim=0)):.2f}"


print("log_softmax:", compare(lambda x: x.log_softmax(-1)))
print("mixture:", compare(lambda x: (0.9 * x.softmax(-1) + 0.1 / LABELS).log()))
print("prior:", compare(lambda x: x.log_softmax(-1) - 0.5 * prior))
print("blank:", compare(lambda x: x.log_softmax(-1) - blank))
print("clamped:", compare(lambda x: x.log_softmax(-1).clamp(min=-1.5)))
print("logits:", compare(lambda x: x))
PYTHON
)
echo "$seen"
expect "gradients" "$seen" "log_softmax: equal
mixture: equal
prior: 0.78
blank: 0.98
clamped: 0.69
logits: -0.20"
