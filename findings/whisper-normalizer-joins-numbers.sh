#!/usr/bin/env bash
# whisper-normalizer 0.1.15 (Whisper's English normaliser, which most published WERs go through): neighbouring numbers are joined,
# commas between them or not, so texts of another meaning become equal and an error between them is none; a number
# spoken in digits becomes one word, so that one wrong digit of seven costs all. A "point" before a number that has
# "one" in it, and a unit of money before "fifty", leave the text, spoken or not.
# Expected: what is said otherwise stays apart, and one wrong digit costs as one.
#
# Seen:
#   equal: "lamp two three" and "lamp twenty three", both "lamp 23"
#   equal: "two, three or four" and "twenty three or four", both "23 or 4"
#   one wrong digit of seven: WER 1.00 behind it, 0.14 before
#   point one: " one"
set -euo pipefail
source "$(dirname "$0")/common.sh"
prepare whisper-normalizer==0.1.15 jiwer==4.0.0
seen=$(venv/bin/python - 2>/dev/null <<'PYTHON'
import jiwer
from whisper_normalizer.english import EnglishTextNormalizer

normal = EnglishTextNormalizer()
for one, other in (("lamp two three", "lamp twenty three"), ("two, three or four", "twenty three or four")):
    same = "equal" if normal(one) == normal(other) else "differ"
    print(f'{same}: "{one}" and "{other}", "{normal(one)}"')
said, heard = "five five five one two three four", "five five five one two three nine"
print(f"one wrong digit of seven: {jiwer.wer(normal(said), normal(heard)):.2f}, before {jiwer.wer(said, heard):.2f}")
print(f'point one: "{normal("point one")}"')
PYTHON
)
echo "$seen"
expect "texts" "$seen" 'equal: "lamp two three" and "lamp twenty three", "lamp 23"
equal: "two, three or four" and "twenty three or four", "23 or 4"
one wrong digit of seven: 1.00, before 0.14
point one: " one"'
