#!/usr/bin/env bash
# soundfile 0.14.0 (libsndfile in the wheel): a loud recording whose lossy codec overshoots full scale is read as int16 with the
# overshoot wrapped to the other end from Ogg Vorbis and Ogg Opus, and clipped from MP3. Read as float32 it is right in all three.
# Expected: one rule for all formats, and that it is clipping, as in writing.
#
# Seen (samples beyond full scale in the float reading that have the other sign in the int16 one):
#   OGG VORBIS: wrapped most of them
#   OGG OPUS: wrapped most of them
#   MP3 MPEG_LAYER_III: wrapped none of them
set -euo pipefail
source "$(dirname "$0")/common.sh"
prepare soundfile==0.14.0 numpy==2.4.6
seen=$(venv/bin/python - <<'PYTHON'
import io
import numpy as np
import soundfile

rate = 16000
square = (0.99 * np.sign(np.sin(2 * np.pi * 220 * np.arange(2 * rate) / rate))).astype("float32")
for form, codec in (("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")):
    file = io.BytesIO()
    soundfile.write(file, square, rate, format=form, subtype=codec)
    read = []
    for kind in ("float32", "int16"):
        file.seek(0)
        read.append(soundfile.read(file, dtype=kind)[0])
    loud = np.abs(read[0]) > 1.001
    wrapped = np.mean(np.sign(read[0][loud]) != np.sign(read[1][loud]))
    share = "none" if wrapped == 0 else "most" if wrapped > 0.9 else f"{wrapped:.2f}"
    print(f"{form} {codec}: wrapped {share} of them" if loud.sum() > 1000 else f"{form} {codec}: no overshoot")
PYTHON
)
echo "$seen"
expect "signs" "$seen" "OGG VORBIS: wrapped most of them
OGG OPUS: wrapped most of them
MP3 MPEG_LAYER_III: wrapped none of them"
