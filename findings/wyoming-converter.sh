#!/usr/bin/env bash
# wyoming 1.10.2 (Home Assistant's protocol): AudioChunkConverter, which turns whatever a client sends into 16 kHz mono, takes
# samples out without a filter, so a tone of 12 kHz at 48 kHz arrives as one of 4 kHz, as loud as it was; and two channels
# are added, not averaged, so speech that is equal on both is cut at full scale from half of it on.
# Expected: what lies above the new band is gone, and the mean of the channels.
#
# Seen:
#   tone of 12000 Hz at 48 kHz: 4000 Hz, 100 % of its level
#   two equal channels at 20000: 32767
set -euo pipefail
source "$(dirname "$0")/common.sh"
prepare wyoming==1.10.2 numpy==2.4.6
seen=$(venv/bin/python - <<'PYTHON'
import numpy as np
from wyoming.audio import AudioChunk, AudioChunkConverter


def convert(samples, rate, channels):
    chunk = AudioChunk(rate=rate, width=2, channels=channels, audio=samples.astype("<i2").tobytes())
    return np.frombuffer(AudioChunkConverter(rate=16000, width=2, channels=1).convert(chunk).audio, "<i2").astype(float)


tone = 10000 * np.sin(2 * np.pi * 12000 * (np.arange(48000) + 0.3) / 48000)
found = convert(tone, 48000, 1)
at = np.argmax(np.abs(np.fft.rfft(found))) * 16000 / len(found)
print(f"tone of 12000 Hz at 48 kHz: {at:.0f} Hz, {100 * found.std() / tone.std():.0f} % of its level")
print(f"two equal channels at 20000: {convert(np.full((1600, 2), 20000), 16000, 2).max():.0f}")
PYTHON
)
echo "$seen"
expect "tone and channels" "$seen" "tone of 12000 Hz at 48 kHz: 4000 Hz, 100 % of its level
two equal channels at 20000: 32767"
