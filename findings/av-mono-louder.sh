#!/usr/bin/env bash
# av 18.1.0 (PyAV): AudioResampler to one channel takes the mean of two where the wanted samples are whole numbers, and 0.707 of
# each where they are float. One stereo file is 3 dB louder through "fltp" than through "s16", and speech that is equal on both
# channels goes beyond full scale from 0.707 on. Levels, thresholds and peaks of the two ways do not compare.
# Expected: the mean of the channels, whatever the samples are written as.
#
# Seen (a tone of 0.8 on both channels; peak of the mono):
#   s16 0.80    s16p 0.80    s32 0.80    flt 1.13    fltp 1.13    dbl 1.13
set -euo pipefail
source "$(dirname "$0")/common.sh"
prepare av==18.1.0 numpy==2.4.6
seen=$(venv/bin/python - <<'PYTHON'
import av
import numpy as np

RATE = 48000
tone = (0.8 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype("float32")
peaks = []
for form, full in (("s16", 1 << 15), ("s16p", 1 << 15), ("s32", 1 << 31), ("flt", 1), ("fltp", 1), ("dbl", 1)):
    frame = av.AudioFrame.from_ndarray(np.stack([tone, tone]), format="fltp", layout="stereo")
    frame.sample_rate = RATE
    mono = av.AudioResampler(format=form, layout="mono", rate=RATE).resample(frame)
    peaks.append(f"{form} {max(np.abs(made.to_ndarray().astype(float)).max() for made in mono) / full:.2f}")
print(*peaks)
PYTHON
)
echo "$seen"
expect "peaks" "$seen" "s16 0.80 s16p 0.80 s32 0.80 flt 1.13 fltp 1.13 dbl 1.13"
