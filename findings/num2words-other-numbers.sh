#!/usr/bin/env bash
# num2words 0.5.14: some numbers are written as others, without a word. From -0.9 to -0.1 the minus is gone, in English, German,
# French and Spanish among others (-1.5 has it). In Azerbaijani every thousand that ends in one is a thousand less: 11000 and 10000
# are one text, and so 99 times up to a million. In Persian 0.05 and 0.5 are both "half". The 80th is the 70th in Belarusian.
# Expected: what differs as a number differs as a text. Transcripts and prompts made of these say another temperature or amount.
#
# Seen (pairs of numbers with one text):
#   en -0.5 0.5    de -0.5 0.5    fr -0.5 0.5    es -0.5 0.5
#   az 11000 10000    az 21000 20000    fa 0.05 0.5    be (ordinal) 80 70
set -euo pipefail
source "$(dirname "$0")/common.sh"
prepare num2words==0.5.14
seen=$(venv/bin/python - <<'PYTHON'
from num2words import num2words

PAIRS = [
    ("en", -0.5, 0.5), ("de", -0.5, 0.5), ("fr", -0.5, 0.5), ("es", -0.5, 0.5), ("en", -1.5, 1.5),
    ("az", 11000, 10000), ("az", 21000, 20000), ("fa", 0.05, 0.5), ("be", 80, 70),
]
for language, one, other in PAIRS:
    to = "ordinal" if language == "be" else "cardinal"
    first, second = (num2words(number, lang=language, to=to) for number in (one, other))
    print(language, one, other, f"same: {first}" if first == second else "differ")
thousands = range(11000, 1000000, 10000)
print("az:", sum(num2words(number, lang="az") == num2words(number - 1000, lang="az") for number in thousands), "of", len(thousands))
PYTHON
)
echo "$seen"
expect "numbers" "$seen" "en -0.5 0.5 same: zero point five
de -0.5 0.5 same: null Komma fünf
fr -0.5 0.5 same: zéro virgule cinq
es -0.5 0.5 same: cero punto cinco
en -1.5 1.5 differ
az 11000 10000 same: on min
az 21000 20000 same: iyirmi min
fa 0.05 0.5 same: نیم
be 80 70 same: сямідзясяты
az: 99 of 99"
