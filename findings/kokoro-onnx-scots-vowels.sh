#!/usr/bin/env bash
# kokoro-onnx 0.6.1: phonemes for which the model has no token are dropped without a word. espeak-ng's Scots
# (lang="en-gb-scotland") says "food", "good" and the end of "ow" with ʉ, which has none, so that these vowels are not
# spoken: "good" is left with its consonants, and "down" is spoken as "done".
# Expected: the nearest phoneme that the model has, or an error that names the one that it lacks.
#
# Seen: down dˈʌn, good ɡˈd, food fˈːd; en-us: down dˈaʊn, good ɡˈʊd, food fˈuːd
set -euo pipefail
source "$(dirname "$0")/common.sh"
prepare kokoro-onnx==0.6.1
cat > ask.py <<'PYTHON'
import sys

from kokoro_onnx.tokenizer import Tokenizer

tokenizer = Tokenizer()
print(", ".join(f"{word} {tokenizer.phonemize(word, sys.argv[1])}" for word in ("down", "good", "food")))
PYTHON
for accent in en-us en-gb-scotland; do
    echo "$accent: $(venv/bin/python ask.py $accent)"
done
expect "a plain accent" "$(venv/bin/python ask.py en-us)" "down dˈaʊn, good ɡˈʊd, food fˈuːd"
expect "Scots" "$(venv/bin/python ask.py en-gb-scotland)" "down dˈʌn, good ɡˈd, food fˈːd"
