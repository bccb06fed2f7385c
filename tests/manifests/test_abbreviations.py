"""What is shortened is said in full, by what stands around it, or the line is left out."""

import pytest

from manifests.text import Normaliser
from manifests.text.normaliser import Cleaned
from manifests.text.rules import SHORT

SAID = """
Ft. Worth and FT. KNOX, Ft Bragg → fort worth and fort knox fort bragg
a wall 5 ft. high. 10 ft. He fell → a wall five feet high ten feet he fell
ten ft. away, twenty-one ft. deep → ten feet away twenty one feet deep
a few ft. away → a few feet away
ten ft away → ten feet away
a ten-ft. wall, one ft. thick → a ten foot wall one foot thick
10 FT. TALL, 5 LBS. AT 60 MPH → ten feet tall five pounds at sixty miles per hour
5 yrs. old, 3 wks. later, 5 gal. of it → five years old three weeks later five gallons of it
a 5,000 sq. ft. house of 10 sq. mi. → a five thousand square foot house of ten square miles
6 in. long, 1 in. thick → six inches long one inch thick
Sec. 2, Sec. II of it → section two section two of it
5 sec. later. Wait a sec. 5 men came. → five seconds later wait a sec five men came
Nos. 5 and 6, Apt. 7, Rm. 101 → numbers five and six apartment seven room one hundred and one
Hwy. 61, Rt. 66, figs. 2 and 3 → highway sixty one route sixty six figures two and three
modern art. 5 people, Art. 5 → modern art five people article five
Vol. IV, No. 5 → volume four number five
Mt. Everest, Mt. St. Helens, Mt Fuji → mount everest mount saint helens mount fuji
St. Louis, in St. Anywhere, near St. James's Park → saint louis in saint anywhere near saint james's park
East St. Louis, General St. Clair, Greater St. Louis → east saint louis general saint clair greater saint louis
Jill St. John sat → jill saint john sat
he lives in st. louis → he lives in saint louis
HE LEFT ST. LOUIS BY MAIN ST. IN MAY → he left saint louis by main street in may
on Main St. He went. → on main street he went
42nd St. Station, the Wall St. Journal → forty second street station the wall street journal
down Leadenhall St., up Oak St, 5th Ave → down leadenhall street up oak street fifth avenue
St Paul's, St-Denis, St.-Germain, St.Louis → saint paul's saint denis saint germain saint louis
Abbey Rd. and Penny Ln., Times Sq. → abbey road and penny lane times square
123 Oak Dr., on Elm Dr. He lives there → one hundred and twenty three oak drive on elm drive he lives there
Good morning Dr. See the Dr. about Dr. King → good morning doctor see the doctor about doctor king
the BBC's Dr. Who → the bbc's doctor who
Mr.Smith and Dr.Jones of Co.K → mister smith and doctor jones of company k
Sen. Obama, Rep. Ryan, Adm. Nelson → senator obama representative ryan admiral nelson
Drs. May and Lee → doctors may and lee
one more rep. Then rest → one more rep then rest
Lt Col Smith, Sgt Jones, Cpl. Ray → lieutenant colonel smith sergeant jones corporal ray
Martin Luther King Jr was → martin luther king junior was
Warner Bros. and General Motors Corp. made it → warner brothers and general motors corporation made it
Cats vs dogs etc, and more → cats versus dogs et cetera and more
cats vs dogs etc → cats versus dogs et cetera
Messrs. Longman and Co. → messrs longman and company
a Ph.D. student → a p h d student
Ave Maria, the State, an Art → ave maria the state an art
"""

PAIRS = [tuple(map(str.strip, line.split("→"))) for line in SAID.strip().splitlines()]
SEVERAL = """
Pfc. Smith|Fr. Brown|Sec. of State|Ste. Marie|Corp. Smith|born c. 1900
from Oxford St. Mary walked|Jay ft. Rihanna|half a ft. of it|Elm Dr. is long|Ct. of Appeals|col. 5|Gen. 1:1
"""


@pytest.mark.parametrize(("text", "said"), PAIRS, ids=ascii)
def test_what_is_shortened_is_said_in_full(text, said):
    assert Normaliser()(text) == Cleaned(said)
    assert Normaliser()(said) == Cleaned(said)


@pytest.mark.parametrize("text", SEVERAL.strip().replace("\n", "|").split("|"), ids=ascii)
def test_what_is_said_in_several_ways_leaves_the_line_out(text):
    assert Normaliser()(text).refused.kind == SHORT


@pytest.mark.parametrize("text", ["2 pt. of it", "2 pts. of it", "he came 6 in. Then"])
def test_a_short_unit_that_may_be_another_word_leaves_the_line_out(text):
    assert Normaliser()(text).refused.kind == "numbers that are not understood"
