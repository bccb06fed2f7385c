#!/usr/bin/env bash
# ctc-segmentation 1.7.5: with more than 8,000 frames of blank before the first word (160 s of music at 20 ms) the text is placed
# at the very start, though the log-probs leave no doubt where it is; with a few frames less it is found. min_window_size, which
# reads as a matter of speed, decides that: set to the number of frames, the text is found again.
# Expected: the window grows until the text fits, as the doubling of the window in it suggests.
#
# Seen (seconds at which "aba" begins; it lies behind 7,900 or 8,100 frames of blank):
#   7900: found    8100: 0.01 s    8100 with min_window_size: found
set -euo pipefail
source "$(dirname "$0")/common.sh"
prepare ctc-segmentation==1.7.5 numpy==2.4.6
seen=$(venv/bin/python - <<'PYTHON'
import ctc_segmentation as ctc
import numpy as np

CHARACTERS = ["_", "a", "b", " "]


def begins(quiet, **settings):
    log_probs = np.full((quiet + 200, 4), -9.0, "float32")
    log_probs[:, 0] = -0.01
    for frame, label in ((20, 1), (30, 2), (40, 1), (120, 2), (130, 1), (140, 2)):
        log_probs[quiet + frame] = -9.0
        log_probs[quiet + frame, label] = -0.01
    config = ctc.CtcSegmentationParameters(char_list=CHARACTERS, index_duration=0.02, **settings)
    truth, starts = ctc.prepare_text(config, ["aba", "bab"])
    timings, scores, _ = ctc.ctc_segmentation(config, log_probs, truth)
    start = ctc.determine_utterance_segments(config, starts, scores, timings, ["aba", "bab"])[0][0]
    return "found" if abs(start - (quiet + 20) * 0.02) < 1 else f"{start:.2f} s"


print("7900:", begins(7900))
print("8100:", begins(8100))
print("8100 with min_window_size:", begins(8100, min_window_size=8300))
PYTHON
)
echo "$seen"
expect "begins" "$seen" "7900: found
8100: 0.01 s
8100 with min_window_size: found"
