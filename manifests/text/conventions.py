"""The conventions of markup that are known by name, and the words that corpora write in brackets.

Sources: Kaldi's and icefall's recipes; the transcribers' guides of the LDC (Switchboard, Fisher, HUB4, CALLHOME,
Babel); AMI and ICSI; TED-LIUM; CHiME; CMU Sphinx; GigaSpeech; SubRip, WebVTT and SubStation Alpha.
"""

from __future__ import annotations

import re

CONVENTIONS = {  # name: what it understands
    "entities": "&nbsp; &amp; &#39; of HTML and XML: the character",
    "tags": "<i>…</i> <v Ann> {\\an8} of HTML and subtitles, <s>…</s>, <|en|>: removed, the words stay",
    "times": "[00:01:02] <00:01.500>: removed",
    "events": "[noise] <laugh> (laughs) {breath} ++cough++ !SIL: sounds that are no words, removed",
    "fillers": "{UM} <uh> %ah: the word",
    "switchboard": "[laughter-yes] {F uh} [ I, + I ] yea[h]-: the words as they were said",
    "gigaspeech": "<COMMA> <PERIOD>: punctuation",
    "captions": ">> of a new speaker and ♪ of songs: removed, the words stay",
    "ids": "(utt_001) at the end of a line: removed",
    "speakers": "Speaker 1: [SPEAKER_00] A: where a line begins: removed",
    "emphasis": "*word* _word_: the word",
    "prose": "he (John) went: the words, but for those of events",
    "names": "John: JOHN SMITH: where a line begins: removed",
    "guesses": "((words)) that the transcriber was not sure of: the words",
    "ldc": "+word+ +word ^Homer ~FBI @NATO *word &Homer of the LDC: the word",
    "variants": "the(2) because_1, which say how a word was pronounced: the word",
    "brackets": "[he] {said}, as books have them: the words",
}
USUAL = tuple(CONVENTIONS)[:12]  # the others change words where a text does not follow them

# One of these in brackets is a sound …
EVENTS = frozenset(
    """
    nsn noise noises noisy sound sounds laugh laughs laughed laughing laughter chuckle chuckles chuckling giggle giggles
    giggling cough coughs coughing breath breaths breathe breathes breathing inhale inhales inhaling inhalation exhale
    exhales exhaling sigh sighs sighing sniff sniffs sniffing sniffle sniffles sniffling sneeze sneezes sneezing gasp
    gasps gasping yawn yawns yawning groan groans groaning moan moans moaning grunt grunts grunting sob sobs sobbing
    weeping snore snores snoring hiccup hiccups burp burps swallow swallows swallowing gulp gulps snort snorts snorting
    whistle whistles whistling pant panting smack smacks smacking lipsmack lipsmacks lip lips tongue throat brth
    silence silent sil pause pauses pausing click clicks clicking hum humming buzz buzzes buzzing bang bangs banging
    knock knocks knocking slam slams slamming door footsteps rustle rustles rustling typing clatter clattering creak
    creaks creaking thump thumps thud pop pops tap taps tapping tick ticking crash crashes squeak squeaks screech
    ring rings ringing ringtone dtmf hangup static distortion feedback echo hiss hissing rumble wind rain thunder bark
    barks barking siren sirens honk honks honking music musical applause applauding clap claps clapping cheer cheers
    cheering chatter chattering babble background bg vocalized vocalised vocalsound vocalnoise disfmarker nonspeech
    scream screams screaming shriek shrieks gunshot gunshots explosion whisper whispers whispering whispered shouting
    shouts yelling yells sic blank
    """.split()
)
# … also with these around it, which by themselves are none.
WITH_EVENTS = frozenset(
    """
    a the of in on and with to loud soft quiet long short brief light slight slightly heavy deep big small continues
    continuous intermittent sudden more some human male female man woman men women child baby speaker foreground phone
    telephone keyboard mouse microphone mic chair paper papers dog cat car engine audience crowd people everyone playing
    plays played opens opening closes closing starts stops ends begins clear clears clearing clearing softly loudly
    quietly nervously heavily deeply sharply non speech mouth audio stationary noise instrumental dramatic tense upbeat
    gentle theme no only he she they
    """.split()
)
# Something was said that the transcript does not have.
MISSING_WORDS = frozenset(
    """
    unk unknown oov inaudible unintelligible unclear indiscernible indistinct incomprehensible undecipherable garbled
    garbage crosstalk overlap overlaps overlapping overlapped foreign speaking speaks spoken spn gap skip skipped
    missing redacted censored expletive bleep bleeps bleeped hes hesitation pii deleted omitted truncated mumble mumbles
    mumbling mumbled
    """.split()
)
# With one of these, what is in parentheses may be prose: (with music) is read aloud, [with music] is not.
_PROSE = frozenset("a the of in on and with to some more he she they no only".split())
# Between stars and underscores other words may be stressed: I love *music*.
_ACTIONS = frozenset(
    "laughs chuckles giggles coughs sighs sniffs sniffles sneezes gasps yawns groans moans grunts sobs clears".split()
)
FILLERS = frozenset("uh um er erm ah eh hm hmm mm mhm huh uhhuh uhuh oh ew ha hee ach eee aw ay".split())
MARKS = {"comma": ",", "period": ".", "questionmark": "?", "exclamationpoint": "!"}  # of GigaSpeech

WORDS = re.compile(r"[^\W\d_]+")
_LONGEST_NOTE = 5  # words; what is longer and in parentheses is prose, whatever words are in it


def kind(content: str, around: str = "[") -> str:
    """What the content of brackets is: `event`, `missing`, `filler`, `note` (it may be an event), or `words`.

    Args:
        content: without the brackets.
        around: the opening one, or `*` or `_`.

    >>> [kind(one) for one in ("audience laughing", "unk", "UM", "laughing at him", "John", "?!")]
    ['event', 'missing', 'filler', 'note', 'words', 'missing']
    """
    words = [word.lower() for word in WORDS.findall(content)]
    if not words:
        return "words" if any(character.isalnum() for character in content) else "missing"
    if len(words) > _LONGEST_NOTE:
        return "words"
    if not MISSING_WORDS.isdisjoint(words):
        return "missing"
    if all(word in FILLERS for word in words):
        return "filler"
    if EVENTS.isdisjoint(words):
        return "words"
    certain = all(word in EVENTS or word in WITH_EVENTS for word in words) and content.isascii()
    if around == "(":
        certain = certain and _PROSE.isdisjoint(words)
    elif around in ("*", "_"):
        certain = certain and (content.isupper() or not _ACTIONS.isdisjoint(words))
    return "event" if certain and not any(character.isdigit() for character in content) else "note"
