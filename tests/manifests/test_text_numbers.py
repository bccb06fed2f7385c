"""Figures are said as people say them, or the line is left out."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.text import Normaliser, TextOptions, numbers
from manifests.text.normaliser import Cleaned

SAID = """
1/2 cup of milk → one half cup of milk
3/4 cup → three quarters cup
1/4, 1/3 and 2/3 → one quarter one third and two thirds
2 1/2 cups → two and a half cups
2-1/2 cups → two and a half cups
1 3/4 → one and three quarters
5 1/8 → five and an eighth
7/8 inch → seven eighths inch
3/16 → three sixteenths
1/5 of them → one fifth of them
9/10 of it → nine tenths of it
1⁄2 → one half
1/2 km → half a kilometer
3/4 mi → three quarters of a mile
½ km → half a kilometer
1 1/2 km → one and a half kilometers
1½ km → one and a half kilometers
open 24/7 → open twenty four seven
50/50 → fifty fifty
10-15% of it → ten to fifteen percent of it
10%-15% → ten percent to fifteen percent
pages 10–12 → pages ten to twelve
1990-1995 → nineteen ninety to nineteen ninety five
1914-18 → nineteen fourteen to eighteen
20-25°C → twenty to twenty five degrees celsius
5-10km → five to ten kilometers
1.5-2.5 → one point five to two point five
1,000-2,000 → one thousand to two thousand
100-1000 → one hundred to one thousand
$5-10 → five to ten dollars
$5-$10 million → five to ten million dollars
$1.50-$2 → one dollar and fifty cents to two dollars
10:30-11:30 → ten thirty to eleven thirty
9am-5pm → nine am to five pm
9-11am → nine to eleven am
he is 5'10" tall → he is five foot ten tall
5′10″ → five foot ten
5' 10" → five foot ten
5'10 → five foot ten
6' tall → six feet tall
it is 6' → it is six feet
1' long → one foot long
'chapter 5' he said → chapter five he said
"chapter 5" he said → chapter five he said
“chapter 5” he said → chapter five he said
it cost £3m → it cost three million pounds
$2bn → two billion dollars
€2.5bn → two point five billion euros
$1.5 million → one point five million dollars
$5k → five thousand dollars
3bn people → three billion people
a $5 bill → a five dollar bill
a $20 million deal → a twenty million dollar deal
$5/hr → five dollars per hour
-$5 → minus five dollars
$1,250.75 → one thousand two hundred and fifty dollars and seventy five cents
version 2.0.1 → version two point zero point one
2.0.1 → two point zero point one
v2.0 → v two point zero
version 12.10.20 → version twelve point ten point twenty
python 3.11 → python three point eleven
5km run → five kilometers run
a 5km run → a five kilometer run
a 5 km run → a five kilometer run
5-km → five kilometer
1 km → one kilometer
10 kg, 3mph → ten kilograms three miles per hour
5GB at 60fps → five gigabytes at sixty frames per second
98.6°F → ninety eight point six degrees fahrenheit
1°C → one degree celsius
-5°C → minus five degrees celsius
100km/h → one hundred kilometers per hour
5 m/s → five meters per second
10MB/s → ten megabytes per second
500g → five hundred grams
2L of it → two liters of it
240V → two hundred and forty volts
6 ft → six feet
5in → five inches
5 in a row → five in a row
12 34, 1 2 3 and 10 20 30 → twelve thirty four one two three and ten twenty thirty
in 2019 500 people came → in twenty nineteen five hundred people came
2 hrs 30 min → two hours thirty minutes
3 m² → three meters squared
5/day → five per day
1,000 km → one thousand kilometers
1-800-555 → one eight hundred five five five
1-800-555-0199 → one eight hundred five five five zero one nine nine
(555)123-4567 → five five five one two three four five six seven
555 123 4567 → five five five one two three four five six seven
555.123.4567 → five five five one two three four five six seven
+44 20 7946 0958 → plus four four two zero seven nine four six zero nine five eight
call 911 → call nine one one
on 2021-03-04. → on march fourth twenty twenty one
10:30pm → ten thirty pm
10 pm → ten pm
10pm. → ten pm
10 p.m. → ten p m
at 7:05 → at seven oh five
John 3:16 → john three sixteen
3:1 → three to one
1:100 → one to one hundred
B2B A4 mp3 → b two b a four mp three
covid19 → covid nineteen
covid-19 → covid nineteen
H2O → h two o
F-16 → f sixteen
4K 3D 5G → four k three d five g
4x4 → four by four
catch-22 → catch twenty two
#1 → number one
5-year-old → five year old
mid-1980s → mid nineteen eighties
two- and 3-year-olds → two and three year olds
wait...5 more → wait five more
word--5 more → word five more
I have 5. → i have five
5, 6, 7 → five six seven
(2019) → twenty nineteen
5+3=8 → five plus three equals eight
1st 22nd → first twenty second
１２ → twelve
100% → one hundred percent
john@site.com → john at site dot com
World War II, World War I and WWII → world war two world war one and world war two
CHAPTER IX, part III → chapter nine part three
THE VIDEO VIEW OF A VILLAGE IVY VIXEN XIAN → the video view of a village ivy vixen xian
I said I do → i said i do
1234 km → one thousand two hundred and thirty four kilometers
it cost 1234 dollars → it cost one thousand two hundred and thirty four dollars
1500 miles in 1984 dollars → fifteen hundred miles in nineteen eighty four dollars
3.10 pm → three ten pm
Dec 25, Jan. 1st and 5 Mar 1998 → december twenty five january first and five march nineteen ninety eight
I gave Jan 5 → i gave jan five
"it is 5.5" → it is five point five
"""

PAIRS = [tuple(map(str.strip, line.split("→"))) for line in SAID.strip().splitlines()]
REFUSED = """
1/5 4/4 6/8 10/10 1/0 0/5 2/4 3/4/2021 13/4/2021 3/4/21 31.12.1999 12.10.20 2021-13-04 2021/03/04 1907-09 1911-12
5-3 2-1 12-3456 01-02 123-45-6789 1-2-3 10·-·15 10·—·15 10am·-·5pm 6"·wide a·6"·pipe 5'12" a·6'·fence 6''
US$5 5$ 5€ $-5 3m 3·m 5·x·3 2x4s 1920x1080 4x4x4 5k 5g 10A 1a 1e5 0x1F 2b A380 abc123 MP3s a01 1,5 1,00 0,5 1,000,00
5,6,7 1·000 10·007 1.2.3.4 192.168.0.1 10:30:15 25:00 10:60 16:9 3:5 10s 100s the·5s 911 5.Next file5.txt
5*3 2^3 ~5 5%% %5 the·%
5/6/7 5km/x 3000rpm 5mhz and/5 and·/5 x⁵ ⁵ 1.5.5.5 €5/x
Henry·VIII Ⅷ the·IV·drip XXI 5.5"·wide 5·1/2"·wide a·5½"·pipe 10·a.m.·-·11·a.m. 5·*·3
12·345 1·234·567 5·100 3·200·m 1·500·metres 0800·123·456 07911·123456 0800·1111 6·ft·2·in 5·ft.·10·in.·tall 6·feet·2·in
5_000 utt_001 n5x5n55x555 5'er #a 5\\6 5|6 $5$ 5°° 1//2 1/2/3 /5 5/
""".split()  # with · for a space


@pytest.mark.parametrize(("text", "said"), PAIRS, ids=ascii)
def test_numbers_as_people_say_them(text, said):
    assert Normaliser()(text) == Cleaned(said)


@pytest.mark.parametrize("text", REFUSED, ids=ascii)
def test_numbers_that_leave_a_line_out(text):
    for line in (text, f"so {text}", f"{text} there", f"it was {text}, yes"):
        found = Normaliser()(line.replace("·", " "))
        assert found.text == "" and found.refused


@pytest.mark.parametrize("text", ["1984 houses", "in 1234 people", "by 1984 prices rose", "the 1234 games"])
def test_a_year_or_an_amount_is_not_guessed(text):
    assert Normaliser()(text).refused.kind == "numbers that are not understood"


@pytest.mark.parametrize("text", ["e.g. this", "that is, i. e. this", "E.g., this", "cf. page two"])
def test_latin_is_said_in_several_ways(text):
    assert Normaliser()(text).refused.kind == "abbreviations that are said in several ways"


@pytest.mark.parametrize("text", ["1,5", "3/4/2021", "5k"])
def test_they_are_counted_with_the_token(text):
    refused = Normaliser()(f"so {text} there").refused
    assert refused == ("numbers that are not understood", text)


def test_without_the_step_figures_stay():
    assert Normaliser(TextOptions(labels="0123456789 ab", numbers=False))("a 12 b") == Cleaned("a 12 b")


@settings(deadline=None)
@given(st.integers(0, 10**12), st.sampled_from(["{}", "${}", "{:,}", "£{:,}.50", "{}th", "{}.", "-{}", "{}km", "{}%"]))
def test_no_figure_is_left(number, form):
    said, refused = Normaliser()(form.format(number))
    assert said.replace(" ", "").isalpha() or number == 911 and refused


@settings(deadline=None)
@given(st.text("0123456789.,:/-'$%xkm° ", max_size=12))
def test_a_figure_is_never_passed_over(text):
    said, refused = Normaliser()(text)
    if not refused and any(map(str.isdigit, text)):
        assert said


@settings(deadline=None)
@given(st.integers(0, 999), st.integers(0, 999))
def test_a_range_goes_up(low, high):
    found = Normaliser()(f"{low}-{high}")
    assert bool(found.refused) != (" to " in found.text)
    assert found.refused or low < high


@pytest.mark.parametrize(
    "around", ["${}", "{}th", "{}.5", "0.{}", "-{}", "£{} million", "{}:30", "1,{}", "{}km", "1/{}"]
)
def test_figures_longer_than_any_number(around):
    said, refused = Normaliser()(around.format("9" * 20_000))
    assert refused or said.count("nine") >= 20_000


def test_numbers_leaves_what_it_does_not_understand():
    assert numbers("on 3/4/2021 at 5") == "on 3/4/2021 at five"
