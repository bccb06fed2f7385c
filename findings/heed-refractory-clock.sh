#!/usr/bin/env bash
# heed-wakeword 0.1.4: after a trigger `WakeWordDetector.step` lets no other through for 0.7 s, by the clock of the computer unless it is
# told the time. A recording is heard in a hundredth of its length, so of a word said every few seconds nearly all are lost, and how
# many are left depends on how busy the machine is. `scan_file`, which `heed test` uses, tells it the time.
# Expected: the time that has passed is known from the samples that were given, as its filter's and window's is.
#
# Seen, a minute of noise in pieces of 80 ms, a model of no training and a threshold of 0, so that every second piece is a trigger
# unless one was less than 0.7 s before:
#   told the time 84, not told 6, on one busy core; a third at most is what is checked
set -euo pipefail
source "$(dirname "$0")/common.sh"
prepare heed-wakeword==0.1.4 torch==2.13.0 numpy==2.4.6
seen=$(venv/bin/python - 2>/dev/null <<'PYTHON'
import numpy as np
import torch
from heed.infer import WakeWordDetector
from heed.model import TinyWakeWordNet

torch.manual_seed(0)
torch.set_num_threads(1)
net = TinyWakeWordNet()
torch.save({"n_mels": 40, "model_state_dict": net.state_dict(), "threshold": 0.0, "phrase": "anything"}, "model.pt")
noise = np.random.default_rng(0).normal(0, 0.05, 60 * 16000).astype(np.float32)


def triggers(told):
    heard = WakeWordDetector("model.pt")
    pieces = range(0, len(noise), 1280)
    return sum(heard.step(noise[at : at + 1280], *([at / 16000] if told else []))["triggered"] for at in pieces)


told, alone = triggers(True), triggers(False)
print(f"told {told}, not told {alone}", file=open("counts", "w"))
print(f"told more than 60: {told > 60}, not told a third at most: {3 * alone < told}")
PYTHON
)
cat counts
expect "triggers" "$seen" "told more than 60: True, not told a third at most: True"
