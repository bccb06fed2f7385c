"""Markup is removed or taken for words by conventions with names; what none understands is no words."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from manifests.text import CONVENTIONS, USUAL, Normaliser, TextOptions
from manifests.text.conventions import EVENTS, FILLERS, MISSING_WORDS, WITH_EVENTS
from manifests.text.normaliser import Cleaned

MISSING, MARKUP = "missing words", "markup that is not understood"
SIGNS = "signs that are not understood"

SAID = """
[noise] hi → hi
hello (laughs) → hello
{breath} yes → yes
<laugh> so → so
[ Silence ] ok → ok
[vocalized-noise] well [noise] → well
(LAUGHTER) Thank you → thank you
[door opens] hi → hi
[music playing] so → so
(audience laughing) so → so
[clears throat] hi → hi
<noise/> hi → hi
{disfmarker} so {vocalsound} → so
[BLANK_AUDIO] →
++cough++ hi → hi
*laughs* hi → hi
_NOISE_ hi → hi
!SIL hi !SIL → hi
<sil> hi <SIL> → hi
hi[noise]there → hi there
<MUSIC> →
[applause] →
(she said it with a laugh and music) → she said it with a laugh and music
%um so → um so
{UM} hello → um hello
<uh> so → uh so
[laughter-yes] i do → yes i do
[laughter-i don't know] → i don't know
{F uh, } yes → uh yes
[ I, + I ] went → i i went
yea[h]- right → yea right
th[at]- the → th the
-[th]at one → at one
wor- word → wor word
_EHM_HMM_ hi → ehm hmm hi
one two (utt_001) → one two
one two (an1-fash-b) → one two
THE WORDS (4k0c0301) → the words
one (sw02001-A_000098-001156) → one
pandemic (covid-19) → pandemic covid nineteen
in the year (1984) → in the year nineteen eighty four
Speaker 1: hi → hi
SPEAKER_00: hi → hi
[SPEAKER_00] hi → hi
[Speaker 1]: hi → hi
A: hi → hi
S1: hi → hi
Interviewer: hi → hi
Yes. B: No. → yes no
[00:01:02] hi → hi
<00:00:01.500>hi → hi
[00:00.000 --> 00:05.000] hi → hi
one two&nbsp;three → one two three
R&amp;D → r and d
don&#39;t → don't
&quot;hi&quot; → hi
caf&eacute; → cafe
x&amp;nbsp;y → x y
&amp;amp;lt;i&amp;amp;gt;x → x
<i>hello</i> wo<b>r</b>ld → hello world
a<br>b<br/>c → a b c
<font color="red">hi</font> → hi
<s> hello </s> → hello
<|en|> hello <|0.00|> → hello
<v Roger Bingham>We are → we are
<c.yellow>text</c> → text
{\\an8}hi → hi
hi\\Nthere → hi there
>> Hello. → hello
♪ la la ♪ → la la
HELLO <COMMA> WORLD <PERIOD> → hello world
really <QUESTIONMARK> → really
he (John) went → he john went
hello (and welcome) → hello and welcome
a (b (c) d) e → a b c d e
*word* here → word here
**word** → word
_two words_ → two words
* item → item
* * * →
a) first, b) second → a first b second
:-) hi → hi
Chapter One: hi → chapter one hi
he said: hi → he said hi
and/or → and or
a &amp; b → a and b
"""

PAIRS = [tuple(map(str.strip, line.split("→"))) for line in SAID.strip().splitlines()]
REFUSED = {
    MISSING: [
        "<unk> hi", "[UNK]", "<unk>-based", "[inaudible] so", "(unintelligible)", "[speaking foreign language]",
        "<hes>", "[crosstalk]", "<spoken_noise> hi", "[spn]", "(( )) so", "((unclear))", "((hello))", "[[skip]]",
        "[...]", "(?)", "[]", "<>", "()", "++GARBAGE++", "%hesitation so", "xxx what", "f***", "sh*t", "**** it",
        "my name is ____", "[redacted]", "&lt;unk&gt; hi", "＜unk＞ hi", "<un\u200bk> hi", "<OVERLAP>", "{gap}",
    ],
    MARKUP: [
        "[he] said", "{alrighty}", "[citation needed]", "[5]", "[1] hi", "<OTHER>", "<foo> hi", "(chuckling at him)",
        "[music by him]", "*laughs at him*", "I love *music*", "(with music)", "book(s)", "(be)cause", "(s)he",
        "the(2)", "a[b", "a]b", "a{b", "a<b", "x < y", "<3 you", "%foo so", "&foo; x", "John: hi", "JOHN SMITH: hi",
        "Warning: hi", ">> JOHN: hi", "[[[a]]]", "++hello++", "*word",
    ],
    SIGNS: [
        "+probably+ so", "^Homer", "~FBI", "@NATO", "#tag", "a|b", "a\\b", "a ~ b", "50‰", "§ 5", "© us", "&x",
    ],
}  # fmt: skip
LEFT_OUT = [(kind, text) for kind, texts in REFUSED.items() for text in texts]


@pytest.mark.parametrize(("text", "said"), PAIRS, ids=ascii)
def test_markup_by_the_usual_conventions(text, said):
    assert Normaliser()(text) == Cleaned(said)


@pytest.mark.parametrize(("kind", "text"), LEFT_OUT, ids=ascii)
def test_markup_that_leaves_a_line_out(kind, text):
    found = Normaliser()(text)
    assert found.text == "" and found.refused and found.refused.kind == kind


WITH = [
    ("names", "John: hi", "hi"),
    ("names", "JOHN SMITH: hi", "hi"),
    ("guesses", "((hello there)) so", "hello there so"),
    ("ldc", "+probably+ so", "probably so"),
    ("ldc", "^Homer and ~FBI and @NATO", "homer and fbi and nato"),
    ("variants", "the(2) because_1", "the because"),
    ("brackets", "[he] said {so}", "he said so"),
]


@pytest.mark.parametrize(("name", "text", "said"), WITH)
def test_conventions_that_are_asked_for(name, text, said):
    assert Normaliser()(text).refused or name == "variants"
    assert Normaliser(TextOptions(markup=(*USUAL, name)))(text) == Cleaned(said)


def test_guesses_that_are_missing_stay_missing():
    assert Normaliser(TextOptions(markup=tuple(CONVENTIONS)))("(( )) so").refused


WITHOUT = [
    ("entities", "a&nbsp;b"), ("tags", "<i>a</i>"), ("times", "[00:01] a"), ("events", "[noise] a"),
    ("fillers", "{UM} a"), ("switchboard", "[laughter-yes]"), ("gigaspeech", "A <COMMA>"), ("captions", ">> a"),
    ("ids", "a (utt_001)"), ("speakers", "[Speaker 1] a"), ("emphasis", "*a*"), ("prose", "a (b) c"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), WITHOUT)
def test_without_its_convention_markup_leaves_the_line_out(name, text):
    assert Normaliser()(text).refused is None
    assert Normaliser(TextOptions(markup=tuple(one for one in USUAL if one != name)))(text).refused


def test_the_report_has_each_transcript_once_and_no_signs_of_its_own():
    normaliser = Normaliser()
    for text in ("he (John) went (away) now", "[noise [noise]] hello", "so it is"):
        assert not normaliser(text).refused
    assert normaliser.changed["markup, prose"] == normaliser.changed["markup, events"] == 1
    assert normaliser.examples["markup, prose"] == "'(John) went (away)' → 'John went away'"
    refused = Normaliser(TextOptions(markup=("prose",)))("he [said (to John) that] so").refused
    assert refused and refused.found == "[said (to John) that]"


def test_with_no_convention_plain_text_is_still_text():
    assert Normaliser(TextOptions(markup=()))("Hello, 2 of you.") == Cleaned("hello two of you")


def test_words_are_of_one_kind():
    assert not EVENTS & MISSING_WORDS and not WITH_EVENTS & MISSING_WORDS
    assert not FILLERS & (EVENTS | WITH_EVENTS | MISSING_WORDS)


BRACKETS = ["[{}]", "<{}>", "{{{}}}", "[ {} ]"]
spoken = st.lists(st.sampled_from("hello there good morning everyone we go home now".split()), min_size=1, max_size=8)


@settings(deadline=None)
@given(spoken, st.lists(st.sampled_from(sorted(EVENTS)), min_size=8, max_size=8), st.sampled_from([*BRACKETS, "({})"]))
def test_events_anywhere_leave_the_words(words, events, around):
    marked = " ".join(f"{word} {around.format(event)}" for word, event in zip(words, events, strict=False))
    assert Normaliser()(marked) == Cleaned(" ".join(words))


@settings(deadline=None)
@given(spoken, st.sampled_from(sorted(MISSING_WORDS)), st.sampled_from(BRACKETS))
def test_a_missing_word_anywhere_leaves_the_line_out(words, missing, around):
    for place in range(len(words) + 1):
        found = Normaliser()(" ".join([*words[:place], around.format(missing), *words[place:]]))
        assert found.refused and found.refused.kind == MISSING


def test_configuration_and_page_name_the_same_conventions():
    root = Path(__file__).parents[2]
    text = OmegaConf.load(root / "conf/data/recordings.yaml").text
    assert tuple(text.markup) == USUAL
    page = (root / "docs/data.md").read_text(encoding="utf-8")
    assert tuple(re.findall(r"^\| `(\w+)` \|", page, re.M))[-len(CONVENTIONS) :] == tuple(CONVENTIONS)
