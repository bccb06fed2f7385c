"""A command imports what it uses, and nothing else."""

import subprocess
import sys

import numpy as np
import soundfile

UNUSED = """
    rich asyncio email importlib.metadata subprocess soxr soundfile av tensorrt uvicorn fastapi starlette
    heyjetson.tensorrt.session heyjetson.tensorrt.build heyjetson.server heyjetson.wakeword heyjetson.decoding.beam
    heyjetson.commands.serve heyjetson.commands.doctor heyjetson.commands.listen heyjetson.audio.pyav
""".split()
PROGRAM = """
import sys
from heyjetson.cli import main
status = main(sys.argv[2:])
assert status == 0, status
import os
assert os.environ["OPENBLAS_NUM_THREADS"] == "1"
print("unused:", *[name for name in sys.argv[1].split(",") if name in sys.modules])
"""


def test_transcribe_imports_nothing_that_it_does_not_use(bundle, tmp_path):
    clip = tmp_path / "clip.wav"
    soundfile.write(clip, 0.1 * np.random.default_rng(0).standard_normal(16000), 16000)
    command = [sys.executable, "-c", PROGRAM, ",".join(UNUSED), "transcribe", str(bundle), str(clip)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].strip() == "unused:"
