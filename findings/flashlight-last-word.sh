#!/usr/bin/env bash
# flashlight-text 0.0.7: a lexicon whose spellings end in the word separator, as wav2letter's do, loses the last word of a
# recording whose last frame is still a letter: the right word has no better score than a wrong one, or than none. One frame of the
# separator behind the last word, or spellings without it, and the word is there.
# Expected: the end of the sound ends a word, as it ends a sentence.
#
# Seen (frames spell t _ u r n | o _ f _ f, _ the blank, each with 0.95):
#   ends on a letter: turn of      with a frame of | behind it: turn off      spellings without |: turn off
set -euo pipefail
source "$(dirname "$0")/common.sh"
prepare flashlight-text==0.0.7 numpy==2.4.6
seen=$(venv/bin/python - <<'PYTHON'
import numpy as np
from flashlight.lib.text.decoder import CriterionType, LexiconDecoder, LexiconDecoderOptions, SmearingMode, Trie, ZeroLM

TOKENS = "_|abcdefghijklmnopqrstuvwxyz"
WORDS = ["turn", "on", "off", "of"]


def decode(frames, ending):
    trie, model = Trie(len(TOKENS), TOKENS.index("|")), ZeroLM()
    for index, word in enumerate(WORDS):
        trie.insert([TOKENS.index(letter) for letter in word + ending], index, 0.0)
    trie.smear(SmearingMode.MAX)
    options = LexiconDecoderOptions(50, len(TOKENS), 100.0, 0.0, 0.0, float("-inf"), 0.0, False, CriterionType.CTC)
    decoder = LexiconDecoder(options, trie, model, TOKENS.index("|"), TOKENS.index("_"), -1, [], False)
    log_probs = np.full((len(frames), len(TOKENS)), np.log(0.05 / (len(TOKENS) - 1)), "float32")
    log_probs[np.arange(len(frames)), [TOKENS.index(letter) for letter in frames]] = np.log(0.95)
    best = decoder.decode(log_probs.ctypes.data, *log_probs.shape)[0]
    return " ".join(WORDS[word] for word in best.words if word >= 0)


print("ends on a letter:", decode("t_urn|o_f_f", "|"))
print("with a frame of | behind it:", decode("t_urn|o_f_f|", "|"))
print("spellings without |:", decode("t_urn|o_f_f", ""))
PYTHON
)
echo "$seen"
expect "words" "$seen" "ends on a letter: turn of
with a frame of | behind it: turn off
spellings without |: turn off"
