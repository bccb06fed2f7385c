#!/usr/bin/env bash
# torchmetrics 1.9.0: what BinaryAUROC and BinaryEER give for logits depends on their size and on the batches. Each update() asks
# whether all of its scores lie between 0 and 1: if so they stay, if not they go through a sigmoid, so that small batches mix the two
# scales in one curve. And a sigmoid in float32 is 1 from about 17 on: the surest scores of a wake word are all tied.
# Expected: both are of the order of scores alone, so no batch and no monotonous function changes them.
#
# Seen (area by counting pairs / BinaryAUROC):
#   scores 18 to 19 of wrong words below 20 to 30 of right ones: 1.0000 / 0.5000
#   2,000 small logits at once: 0.8676 / 0.8676    in batches of two: 0.8676 / 0.8131 (BinaryEER 0.2230, then 0.2405)
set -euo pipefail
source "$(dirname "$0")/common.sh"
prepare torchmetrics==1.9.0 torch==2.13.0 numpy==2.4.6
seen=$(venv/bin/python - 2>/dev/null <<'PYTHON'
import numpy as np
import torch
from torchmetrics.classification import BinaryAUROC, BinaryEER


def counted(scores, labels):
    right, wrong = scores[labels == 1].numpy()[:, None], scores[labels == 0].numpy()[None]
    return np.mean((right > wrong) + 0.5 * (right == wrong))


def measured(metric, scores, labels, batch):
    for first in range(0, len(scores), batch):
        metric.update(scores[first : first + batch], labels[first : first + batch])
    return float(metric.compute())


sure, truth = torch.tensor([30.0, 25.0, 20.0, 19.0, 18.5, 18.0]), torch.tensor([1, 1, 1, 0, 0, 0])
print(f"sure: {counted(sure, truth):.4f} / {measured(BinaryAUROC(), sure, truth, 6):.4f}")
torch.manual_seed(0)
labels = torch.randint(0, 2, (2000,))
logits = torch.randn(2000) * 0.6 + labels * 0.9 - 0.2
for batch in (2000, 2):
    area, rate = (measured(kind(), logits, labels, batch) for kind in (BinaryAUROC, BinaryEER))
    print(f"batches of {batch}: {counted(logits, labels):.4f} / {area:.4f}, EER {rate:.4f}")
PYTHON
)
echo "$seen"
expect "areas" "$seen" "sure: 1.0000 / 0.5000
batches of 2000: 0.8676 / 0.8676, EER 0.2230
batches of 2: 0.8676 / 0.8131, EER 0.2405"
