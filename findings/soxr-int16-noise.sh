#!/usr/bin/env bash
# soxr 1.1.0: int16 sound is dithered on its way out. A resampled recording of zeros holds ones and minus ones, even where both
# rates are the same, and a stream of chunks differs from one call on the whole. float32 has neither.
# Expected: zeros stay zeros, equal rates hand the samples on, and a stream equals the whole, as in float32.
#
# Seen:
#   int16:   48000 to 16000 of zeros -1 0 1    16000 to 16000 of zeros -1 0 1    stream differs by up to 2
#   float32: 48000 to 16000 of zeros 0         16000 to 16000 of zeros 0         stream differs by up to 0
set -euo pipefail
source "$(dirname "$0")/common.sh"
prepare soxr==1.1.0 numpy==2.4.6
seen=$(venv/bin/python - <<'PYTHON'
import numpy as np
import soxr

noise = np.random.default_rng(0).standard_normal(48000) * 3000
for kind in ("int16", "float32"):
    zeros, sound = np.zeros(48000, kind), noise.astype(kind)
    held = [[int(v) for v in np.unique(soxr.resample(zeros, rate, 16000))] for rate in (48000, 16000)]
    stream = soxr.ResampleStream(48000, 16000, 1, kind)
    pieces = [stream.resample_chunk(sound[at : at + 480], last=at + 480 == 48000) for at in range(0, 48000, 480)]
    apart = np.abs(np.concatenate(pieces).astype(float) - soxr.resample(sound, 48000, 16000)).max()
    print(f"{kind}: zeros from 48000 {held[0]}, from 16000 {held[1]}; stream differs by up to {apart:g}")
PYTHON
)
echo "$seen"
expect "values" "$seen" "int16: zeros from 48000 [-1, 0, 1], from 16000 [-1, 0, 1]; stream differs by up to 2
float32: zeros from 48000 [0], from 16000 [0]; stream differs by up to 0"
