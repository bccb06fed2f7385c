#!/usr/bin/env bash
# soundfile 0.14.0 (libsndfile 1.2.2 in the wheel): an MP3 read in blocks (`blocks`, or `read(n)` again and again) or from a place on
# (`seek`, `read(start=...)`) has quiet where sound was: up to 0.3 s behind each joint, so at 0.1 s a block nearly all is
# gone. soundfile seeks after every read, and behind a seek libsndfile lacks what earlier frames hold of the next ones (the
# reservoir of bits). Steady sounds use it most; of speech the lowest qualities (`lame -V 9`: errors 7 dB below the speech at
# 0.1 s a block), hardly constant rates and `-V 4`. Read at once the file is right, as PyAV has it. A subclass whose `seekable()`
# is False reads blocks rightly.
# Expected: blocks joined are the whole, as with WAV, FLAC and Vorbis, and a segment is a slice of it.
#
# Seen (40 s of a chirp at 16 kHz; share of samples more than 0.02 away from PyAV's):
#   at once 0 %    blocks of 10 s 2 %    of 1 s 26 %    of 0.1 s 97 %    of 0.1 s and not seekable 0 %
#   1 s from 7.3 s on: the first 0.2 s are quiet    Vorbis in blocks of 0.1 s, to Vorbis at once: 0 %
set -euo pipefail
source "$(dirname "$0")/common.sh"
prepare soundfile==0.14.0 av==18.1.0 numpy==2.4.6
seen=$(venv/bin/python - 2>/dev/null <<'PYTHON'
import io
import av
import numpy as np
import soundfile

RATE = 16000
time = np.arange(40 * RATE) / RATE
chirp = (0.5 * np.sin(2 * np.pi * (200 * time + 20 * time * time))).astype("float32")


class Forward(soundfile.SoundFile):
    def seekable(self):
        return False


def encoded(form, codec):
    file = io.BytesIO()
    soundfile.write(file, chirp, RATE, format=form, subtype=codec)
    return file.getvalue()


def in_blocks(data, seconds, opened=soundfile.SoundFile):
    with opened(io.BytesIO(data)) as file:
        blocks = []
        while len(block := file.read(min(round(seconds * RATE), len(chirp) - sum(map(len, blocks))), dtype="float32")):
            blocks.append(block)
        return np.concatenate(blocks)


def away(found, right):
    return f"{100 * np.mean(np.abs(found - right) > 0.02):.0f} %"


mp3, vorbis = encoded("MP3", "MPEG_LAYER_III"), encoded("OGG", "VORBIS")
right = np.concatenate([frame.to_ndarray().ravel() for frame in av.open(io.BytesIO(mp3)).decode(audio=0)])
print("at once", away(soundfile.read(io.BytesIO(mp3), dtype="float32")[0], right))
for seconds in (10, 1, 0.1):
    print(f"blocks of {seconds} s", away(in_blocks(mp3, seconds), right))
print("blocks of 0.1 s, not seekable", away(in_blocks(mp3, 0.1, Forward), right))
start = round(7.3 * RATE)
segment = soundfile.read(io.BytesIO(mp3), start=start, frames=RATE)[0]
for name, sound in (("segment", segment), ("slice", right[start : start + RATE])):
    print(f"{name}, first 0.2 s:", "quiet" if np.abs(sound[: RATE // 5]).max() < 0.01 else "sound")
print("Vorbis in blocks of 0.1 s", away(in_blocks(vorbis, 0.1), soundfile.read(io.BytesIO(vorbis))[0]))
PYTHON
)
echo "$seen"
expect "shares" "$seen" "at once 0 %
blocks of 10 s 2 %
blocks of 1 s 26 %
blocks of 0.1 s 97 %
blocks of 0.1 s, not seekable 0 %
segment, first 0.2 s: quiet
slice, first 0.2 s: sound
Vorbis in blocks of 0.1 s 0 %"
