"""A transcript becomes what is said, or is reported; nothing in between."""

import json
import re
import string
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests import ManifestError
from manifests.check import Requirements, fix
from manifests.text import LABELS, Normaliser, TextOptions, options_from, unicode_forms
from manifests.text.figures import foreign
from manifests.text.normaliser import Cleaned
from manifests.text.rules import SHORT

SPOKEN = {
    # money
    "It cost $5.": "it cost five dollars",
    "$1, then $2": "one dollar then two dollars",
    "$5.20 and £2.01, €1": "five dollars and twenty cents and two pounds and one penny one euro",
    "$0.50 or $.05": "fifty cents or five cents",
    "$5.00": "five dollars",
    "$5.5": "five point five dollars",
    "$3.5 million, $1 Billion": "three point five million dollars one billion dollars",
    "$1,250,000": "one million two hundred and fifty thousand dollars",
    "$5-$10": "five to ten dollars",
    "50¢": "fifty cents",
    # years and decades
    "In 1984 and 2005": "in nineteen eighty four and two thousand and five",
    "1900, 1101": "nineteen hundred eleven oh one",
    "the 1980s, the '80s, 1910's, 2000s": "the nineteen eighties the eighties nineteen tens two thousands",
    "1914–1918": "nineteen fourteen to nineteen eighteen",
    # ordinals
    "the 1st, 2nd, 3RD and 21st": "the first second third and twenty first",
    "the 1,000th": "the one thousandth",
    # times
    "at 10:30, 7:05": "at ten thirty seven oh five",
    "at 10:00": "at ten o'clock",
    "10:00 pm, 10:30am": "ten pm ten thirty am",
    "13:00": "thirteen hundred",
    # decimals
    "pi is 3.14.": "pi is three point one four",
    "0.5, .5 and 10.05!": "zero point five zero point five and ten point zero five",
    "1,234.5": "one thousand two hundred and thirty four point five",
    "p.5": "page five",
    # whole numbers
    "1,000 of 10,000": "one thousand of ten thousand",
    "7 dwarfs": "seven dwarfs",
    "-5 or −5": "minus five or minus five",
    "-$5 -.5": "minus five dollars minus zero point five",
    "word —1914": "word nineteen fourteen",
    "agent 007": "agent zero zero seven",
    "MP3": "mp three",
    "100000009": "one hundred million and nine",
    "1234567890": "one two three four five six seven eight nine zero",
    # telephone numbers
    "555-0199": "five five five zero one nine nine",
    "(555) 123-4567": "five five five one two three four five six seven",
    "1-800-555-0199.": "one eight hundred five five five zero one nine nine",
    # fractions and what is raised
    "½ cup": "a half cup",
    "1½ or 15 ¾": "one and a half or fifteen and three quarters",
    "10² m³": "ten squared m cubed",
    # titles and signs
    "Dr. Smith, Mrs. Jones vs. Mr. Oz": "doctor smith misses jones versus mister oz",
    "St. John of Main St.": "saint john of main street",
    "No. 5, no.7": "number five number seven",
    "No. I won't.": "no i won't",
    "bread, milk, etc.)": "bread milk et cetera",
    "R&B, 5% @ #1": "r and b five percent at number one",
    "20 °C": "twenty degrees celsius",
    "№5": "number five",
    # days and months
    "Mon-Fri, Sat. & Sun 9am": "monday to friday saturday and sunday nine am",
    "on Tues. or Thurs., 5 May": "on tuesday or thursday five may",
    "Sat 5 May, Wed. morning": "saturday five may wednesday morning",
    "see you Thurs": "see you thursday",
    "Mon Dieu! The Sun. He Sat 5 feet off. They Wed.": "mon dieu the sun he sat five feet off they wed",
    "in Jan. and Sept.": "in january and september",
    "Jan. She left. E. G. Smith": "jan she left e g smith",
    # years and amounts
    "1234 people": "one thousand two hundred and thirty four people",
    "of 1865 young men": "of one thousand eight hundred and sixty five young men",
    "1500 people": "fifteen hundred people",
    "in 1984 people left": "in nineteen eighty four people left",
    "the 1984 games": "the nineteen eighty four games",
    "1999 was": "nineteen ninety nine was",
    # quotes and apostrophes
    "“Don’t,” she said": "don't she said",
    "`it´s' the boys' toys": "it's the boys toys",
    "'Tis what they called 'em": "'tis what they called 'em",
    "'Emily said, 'tilted' 'causeway'": "emily said tilted causeway",
    "rock ''n'' roll o'clock": "rock n roll o'clock",
    "5's": "five's",
    "Hawai\u02bbi": "hawai'i",
    # letters
    "Café naïve Ærø Ǣ Łódź straße STRAẞE": "cafe naive aero ae lodz strasse strasse",
    "ﬁve oﬃces": "five offices",
    "e\u0301te\u0301": "ete",
    "ｆｕｌｌ": "full",
    # what nobody sees, and what nobody says
    "zero\u200bwidth\ufeff so\u00adft": "zerowidth soft",
    "no\u00a0break\tor\nline": "no break or line",
    "Cola™ ❤️ 😀 ok…": "cola ok",
    # as tokenised corpora and British texts have them
    "it 's what I 've said , don 't": "it's what i've said don't",
    "he said 's' , rock 'n' roll": "he said s rock n roll",
    "Mr Brown and Mrs Green, Dr X": "mister brown and misses green doctor x",
    "Mr Brown": "mister brown",
    "and/or": "and or",
    "(well) d-e: _f_ *g*": "well d e f g",
    "": "",
    " \t\n": "",
    "...": "",
}


@pytest.mark.parametrize(("text", "spoken"), SPOKEN.items(), ids=lambda text: text[:20] or "empty")
def test_what_is_said(text, spoken):
    assert Normaliser()(text) == Cleaned(spoken)


@pytest.mark.parametrize(
    ("text", "strange"),
    [
        ("日本語 ok", "日本語"),
        ("한국", "한국"),
        ("привет", "веипрт"),
        ("¥500", "¥"),
        ("caf\ufffd", "\ufffd"),
        ("half \ud800 pair", "\ud800"),
        ("private \ue000", "\ue000"),
        ("x⁵", "⁵"),
        ("a ≠ b, ±", "±≠"),
        ("が", "が"),
    ],
)
def test_what_cannot_be_written_is_refused(text, strange):
    text, refused = Normaliser()(text)
    assert text == ""
    assert refused.kind in (
        "characters outside the labels", "signs that are not understood", "numbers that are not understood"
    )  # fmt: skip
    assert set(strange) <= set(refused.found)


def test_the_report_names_rules_with_examples_and_what_is_refused():
    normaliser = Normaliser()
    texts = [
        "plain",
        "Upper",
        "the 2 of us",
        "1/2 a cup",
        "Two  spaces",
        "日本",
        "日 1",
        "[noise] hi",
        "<unk> hi",
        "1,5",
    ]
    for text in texts:
        normaliser(text)
    assert normaliser.texts == 10
    # What happened to a transcript before it was refused is not counted.
    assert dict(normaliser.changed) == {
        "case, letters": 2, "numbers, whole numbers": 1, "numbers, fractions": 1, "markup, events": 1
    }  # fmt: skip
    assert dict(normaliser.strange) == {"日": 2, "本": 1}
    assert list(normaliser.report()) == [
        "case, letters: 2 of 10 transcripts changed, such as 'Upper' → 'upper'",
        "numbers, whole numbers: 1 of 10 transcripts changed, such as '2' → 'two'",
        "numbers, fractions: 1 of 10 transcripts changed, such as '1/2' → 'one half'",
        "markup, events: 1 of 10 transcripts changed, such as '[noise]' → ''",
        "characters outside the labels: 2 of 10 transcripts left out, such as '日本'",
        "missing words: 1 of 10 transcripts left out, such as '<unk>'",
        "numbers that are not understood: 1 of 10 transcripts left out, such as '1,5'",
        "outside the labels: '日' (cjk unified ideograph-65e5) in 2 transcripts",
        "outside the labels: '本' (cjk unified ideograph-672c) in 1 transcript",
    ]


def test_an_example_is_short():
    normaliser = Normaliser()
    normaliser("WORD " * 1000)
    (line,) = normaliser.report()
    assert len(line) < 220 and "… → " not in line and line.count("…") == 2


STEP_OFF = [
    ("abbreviations", "dr. no & co", "dr no & co"),
    ("numbers", "It is 5", "it is 5"),
    ("accents", "Café", "café"),
    ("case", "It Is", "It Is"),
    ("punctuation", "Well, it's $5 (or 7%).", "well, it's five dollars (or seven percent)."),
]


@pytest.mark.parametrize(("step", "text", "spoken"), STEP_OFF)
def test_each_step_can_be_left_out(step, text, spoken):
    labels = LABELS + string.ascii_uppercase + string.digits + "é&$%()!,."
    assert Normaliser(options_from({step: False, "labels": labels}))(text) == Cleaned(spoken)


@pytest.mark.parametrize(
    ("figures", "language", "spoken"),
    [
        ("118", "it", "centodiciotto"),
        ("18", "it", "diciotto"),
        ("11000", "az", None),  # num2words says ten thousand
        ("10000", "az", "on min"),
        ("11000", "de", "elftausend"),
    ],
)
def test_numbers_that_num2words_says_as_others(figures, language, spoken):
    assert foreign(figures, language) == spoken


GERMAN = TextOptions(language="de", accents=False, labels=LABELS + "äöüß")


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("7 Äpfel, Dr. No", "sieben äpfel dr no"),
        ("Es waren 21.", "es waren einundzwanzig"),
        ("agent 007", "agent null null sieben"),
        ("[noise] ja (lacht)", None),  # unknown words in parentheses are prose
        ("am 21. Mai", None),  # an ordinal, which is inflected
        ("1,5 Liter", None),  # one and a half or fifteen?
        ("1.000 Leute", None),
        ("12 500 Leute", None),
        ("im Jahr 1984", None),  # not said as the amount is
        ("25 %", None),
        ("5 km", None),
        ("5km", None),
        ("-5 Grad", None),
        ("10-15 Leute", None),
        ("um 10:30", None),
        ("1/2 Liter", None),
        ("5 € & mehr", None),
    ],
)
def test_other_languages_say_whole_numbers_and_refuse_the_others(text, spoken):
    found = Normaliser(GERMAN)(text)
    if text.startswith("[noise]"):
        assert found == Cleaned("ja lacht")
    elif spoken is None:
        assert found.refused and found.text == ""
    else:
        assert found == Cleaned(spoken)


def test_options_that_are_none_are_named():
    with pytest.raises(ManifestError, match="language 'klingon'; known are .*, en, "):
        Normaliser(TextOptions(language="klingon"))
    Normaliser(TextOptions(language="klingon", numbers=False))
    with pytest.raises(ManifestError, match=r"Unknown text options \['upper'\]"):
        options_from({"upper": True})
    with pytest.raises(ManifestError, match=r"Unknown conventions of markup \['html'\]; known are entities, tags"):
        options_from({"markup": ["html"]})
    with pytest.raises(ManifestError, match="markup must be a list of names, found 'tags'"):
        options_from({"markup": "tags"})
    assert options_from({"markup": ["tags"], "labels": ["a", "b"]}) == TextOptions("ab", markup=("tags",))


tricky = st.text(
    st.one_of(
        st.sampled_from("0123456789.,:;'\"-–—$£€%&#½²s¾№™ßẞİıŉ\u0301\u0345\u200d\ufe0f\ufffdﬁ\u2044stndrhthamp "),
        st.characters(),
    ),
    max_size=60,
)
OPTIONS = [
    TextOptions(),
    TextOptions(accents=False),
    TextOptions(punctuation=False),
    TextOptions(case=False),
    TextOptions(numbers=False, abbreviations=False),
    TextOptions(language="fr"),
]


@settings(deadline=None, max_examples=400)
@given(tricky, st.sampled_from(OPTIONS))
def test_any_text_fits_the_labels_or_is_refused(text, options):
    normaliser = Normaliser(options)
    once, refused = normaliser(text)
    assert once == " ".join(once.split())
    assert set(once) <= set(LABELS)
    assert normaliser.texts == 1
    assert normaliser.refused.total() == bool(refused)
    if refused:
        assert once == "" and refused.found and not normaliser.changed
    list(normaliser.report())


@settings(deadline=None, max_examples=400)
@given(tricky)
def test_a_second_pass_changes_nothing(text):
    once, _ = Normaliser()(text)
    assert Normaliser()(once) == Cleaned(once)


spaces = st.text(" \t\n\r\x0b\x0c\x1c\x85\u00a0\u2003\u2028\u3000", max_size=4)


@settings(deadline=None)
@given(
    words=st.lists(st.sampled_from(["It's", "Mr. Oz", "$5.20", "CAFÉ", "1984", "naïve,", "10:30"]), max_size=6),
    between=st.lists(spaces.filter(bool), min_size=7, max_size=7),
    before=spaces,
    after=spaces,
)
def test_spaces_are_spaces(words, between, before, after):
    spread = before + "".join(word + gap for word, gap in zip(words, between, strict=False)) + after
    assert Normaliser()(spread) == Normaliser()(" ".join(words))
    assert Normaliser()("\ufeff" + spread) == Normaliser()(" ".join(words))


@settings(deadline=None)
@given(
    st.text(string.ascii_letters + " ,.;?!'\"-–—…éüñçøß’“”ﬁ", max_size=80).filter(
        lambda text: "xxx" not in text.lower() and not re.search("[IVX]{2}", text)
    )
)
def test_english_sentences_fit(text):
    refused = Normaliser()(text).refused
    assert refused is None or refused.kind == SHORT


@pytest.mark.parametrize("options", [*OPTIONS, TextOptions(labels="ABC ab"), TextOptions(labels="ab'", case=False)])
@settings(deadline=None, max_examples=60)
@given(st.text("abcABC'é x\u212a\u0130ß", max_size=12))
def test_the_short_way_of_plain_texts_ends_where_the_long_one_does(options, text):
    normaliser = Normaliser(options)
    after, refused = normaliser._run(text, [])
    assert normaliser(text) == Cleaned(after, refused)


PIECES = """
1, 1,111 111, " ' . 9 0 9. .9 $ - mr. a \u0301 [ ( < { ] (( [a (a <a {a *a _a a_ ++ +a 1/2· 1/ 9- 9: 5' 5" &a; &amp;
&amp;amp; A: A:· John:· Yes.·B:· km· 5·km 5km #1 % %um· ° ½ ½·km 1x1 a1 1a -·-· 1·-· 1·000 \\N >> <b> </b> [1]· @
a@b.com· :// ... www. call·911· 2021-01-01· 1-800- a- 's· -5 {A·x} [laughter- [a·+·b] a[b]- €1.5m- 10am-
""".split()  # with · for a space


@pytest.mark.parametrize("piece", PIECES, ids=ascii)
def test_long_texts_take_linear_time(piece):
    piece = piece.replace("·", " ")
    started = time.process_time()
    once, refused = Normaliser()(piece * (12_000 // len(piece)))
    assert time.process_time() - started < 1  # a tenth of it; quadratic time is several seconds
    assert " ".join(once.split()) == once
    assert refused is None or len(refused.found) <= 80


@pytest.mark.parametrize("piece", ["word, Mr. X é ", " ", "'", "\0"], ids=repr)
def test_half_a_megabyte(piece):
    count = 500_000 // len(piece)
    said = Normaliser()(piece * count).text
    assert said.split() == (Normaliser()(piece).text.split() * count)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("mark", ["\u0301", "\u0316\u0301", "\u05b0\u0591", "\u3099"])
def test_a_tower_of_marks(mark):
    text = "a" + mark * 100_000
    assert len(unicode_forms(text)) <= 31
    assert Normaliser()(f"{text} b") == Cleaned("a b") or mark != "\u0301"


def test_mending_a_manifest_leaves_out_what_is_refused(tmp_path):
    rows = [{"audio_filepath": "a.wav", "duration": 1.0, "text": text} for text in ("[noise] Hi 2", "on 3/4/2021")]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "a.wav").touch()
    fixed = fix(tmp_path / "a.jsonl", Requirements(labels=LABELS, decode=False), TextOptions())
    assert [one.text for one in fixed.report.good] == ["hi two"]
    assert dict(fixed.report.kinds) == {"transcripts with numbers that are not understood": 1}
    assert fixed.report.faults == [
        f"{tmp_path}/a.jsonl:2: {tmp_path}/a.wav: numbers that are not understood '3/4/2021': 'on 3/4/2021'"
    ]
