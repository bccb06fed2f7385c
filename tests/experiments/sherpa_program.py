"""Transcribe by sherpa-onnx, as its users do; a process of its own, which sherpa-onnx ends where it is not content."""

import json
import sys
from pathlib import Path

import numpy as np
import sherpa_onnx

folder, clips, bands = Path(sys.argv[1]), np.load(sys.argv[2]), int(sys.argv[3])
front, tail = int(sys.argv[4]), int(sys.argv[5])
given = {"model": str(folder / "model.onnx"), "tokens": str(folder / "tokens.txt"), "feature_dim": bands}
texts = []
if tail:
    online = sherpa_onnx.OnlineRecognizer.from_nemo_ctc(**given, num_threads=1)
    streams = [online.create_stream() for _ in clips.files]
    for name, stream in zip(clips.files, streams, strict=True):
        for piece in np.array_split(np.concatenate([np.zeros(front), clips[name], np.zeros(tail)]), 7):
            stream.accept_waveform(16000, piece.astype(np.float32))
        stream.input_finished()
    while ready := [stream for stream in streams if online.is_ready(stream)]:
        online.decode_streams(ready)  # several at once
    texts = [online.get_result(stream) for stream in streams]
else:
    offline = sherpa_onnx.OfflineRecognizer.from_nemo_ctc(**given)
    waiting = []
    for name in clips.files:
        sound = clips[name]
        sound = sound[: len(sound) - (len(sound) - 400) % 160] if front else sound
        stream = offline.create_stream()
        stream.accept_waveform(16000, np.concatenate([np.zeros(front), sound]).astype(np.float32))
        waiting.append(stream)
    offline.decode_streams(waiting)  # of unequal lengths
    texts = [stream.result.text for stream in waiting]
    for short in (1, 100, 500):  # less than a frame of the encoder
        stream = offline.create_stream()
        stream.accept_waveform(16000, np.zeros(short, np.float32))
        offline.decode_stream(stream)
print(json.dumps([" ".join(text.split()) for text in texts]))
