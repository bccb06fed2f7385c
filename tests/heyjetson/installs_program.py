"""What the installed wheel writes: a whole file, a stream and a server's answer. Run in an environment of its own."""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import soundfile
from fastapi.testclient import TestClient

import heyjetson
from heyjetson.check import frames_of
from heyjetson.server.app import create_app
from heyjetson.server.settings import Settings

folder, recording, state = map(Path, sys.argv[1:4])
assert Path(heyjetson.__file__).is_relative_to(sys.prefix)  # the wheel, not the checkout
engine = heyjetson.Engine(heyjetson.Bundle(folder), provider="cpu")
samples, rate = soundfile.read(recording, dtype="int16")
stream = engine.stream(sample_rate=rate)
for piece in np.array_split(samples, 9):
    stream.feed(piece)
with TestClient(create_app(Settings(folder, state=state))) as client, recording.open("rb") as file:
    served = client.post("/v1/audio/transcriptions", files={"file": file}, data={"model": "whisper-1"})
found = {
    "whole": engine.transcribe_file(recording).text,
    "stream": stream.finish().text,
    "served": served.json()["text"],
    "frames": frames_of(engine, samples)[::20].tolist(),
}
names = ("numpy", "onnxruntime", "soundfile", "soxr")
print(json.dumps({"versions": {name: version(name) for name in names}, **found}))
