#!/usr/bin/env bash
# phonemizer 3.4.0 (with espeakng-loader 0.2.4) and preserve_punctuation=True: a sentence with a decimal number that ends in a full
# stop comes back in two pieces, at the decimal point, so a list of three gives four and every later text has the sounds of
# the one before it. Without the last full stop, or without punctuation kept, it is right.
# Expected: as many out as in, in the same order; "three point five" as espeak-ng reads it.
#
# Seen (texts out, and the sounds at the place of "one two"):
#   it is 3.5 metres.   4  faɪv miːɾɚz
#   it is 3.5 metres    3  wʌn tuː
#   without kept        3  wʌn tuː
set -euo pipefail
source "$(dirname "$0")/common.sh"
prepare phonemizer==3.4.0 espeakng-loader==0.2.4
seen=$(venv/bin/python - 2>/dev/null <<'PYTHON'
import espeakng_loader
from phonemizer import phonemize
from phonemizer.backend.espeak.wrapper import EspeakWrapper

EspeakWrapper.set_library(espeakng_loader.get_library_path())
EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
for name, text, kept in (
    ("it is 3.5 metres.", "it is 3.5 metres.", True),
    ("it is 3.5 metres", "it is 3.5 metres", True),
    ("without kept", "it is 3.5 metres.", False),
):
    sounds = phonemize([text, "one two", "good night"], language="en-us", strip=True, preserve_punctuation=kept)
    print(f"{name}: {len(sounds)} {sounds[1]}")
PYTHON
)
echo "$seen"
expect "texts" "$seen" "it is 3.5 metres.: 4 faɪv miːɾɚz
it is 3.5 metres: 3 wʌn tuː
without kept: 3 wʌn tuː"
