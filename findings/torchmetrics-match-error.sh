#!/usr/bin/env bash
# torchmetrics 1.9.0: MatchErrorRate, WordInfoLost and WordInfoPreserved are not those of Morris, Maier and Green (2004) nor of
# jiwer as soon as an utterance has both a deletion and an insertion. They take the longer text's length for the length of the
# alignment, so such a pair costs a hit, and too much is called lost. WordErrorRate agrees.
# Expected: the same as jiwer 4.0.0 for one best alignment: three hits, one deletion, one insertion.
#
# Seen ("turn on the light", heard as "please turn on the"):
#   torchmetrics: WER 0.5000 MER 0.5000 WIL 0.7500 WIP 0.2500
#   jiwer:        WER 0.5000 MER 0.4000 WIL 0.4375 WIP 0.5625
set -euo pipefail
source "$(dirname "$0")/common.sh"
prepare torchmetrics==1.9.0 torch==2.13.0 jiwer==4.0.0 numpy==2.4.6
seen=$(venv/bin/python - 2>/dev/null <<'PYTHON'
import jiwer
from torchmetrics.text import MatchErrorRate, WordErrorRate, WordInfoLost, WordInfoPreserved

said, heard = "turn on the light", "please turn on the"
theirs = [float(metric()([heard], [said])) for metric in (WordErrorRate, MatchErrorRate, WordInfoLost, WordInfoPreserved)]
right = [getattr(jiwer, name)(said, heard) for name in ("wer", "mer", "wil", "wip")]
for name, values in (("torchmetrics", theirs), ("jiwer", right)):
    print(f"{name}:", *(f"{metric} {value:.4f}" for metric, value in zip(("WER", "MER", "WIL", "WIP"), values, strict=True)))
PYTHON
)
echo "$seen"
expect "metrics" "$seen" "torchmetrics: WER 0.5000 MER 0.5000 WIL 0.7500 WIP 0.2500
jiwer: WER 0.5000 MER 0.4000 WIL 0.4375 WIP 0.5625"
