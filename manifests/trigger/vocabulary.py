"""Words that near-misses are made of: the keywords of other devices, names, and what is said every day."""

from __future__ import annotations

KEYWORDS = (
    "alexa", "computer", "jarvis", "snowboy", "hey siri", "hey google", "okay google", "hey cortana", "hey jarvis",
    "hey mycroft", "bumblebee", "porcupine", "picovoice", "terminator", "grasshopper", "hey jetson", "view glass",
    "hey computer", "okay computer", "amazon", "echo", "hello robot", "hey robot", "smart mirror", "blueberry",
    "americano", "hi galaxy", "hey athena", "hey jenkins", "okay nabu", "hello edison", "hey casper",
)  # fmt: skip

WORDS = (
    # names
    "aaron adam alan alex alexander alexandra alexis alice alison amy andrew angela anna anthony austin barbara ben "
    "benson betty billy brandon brian carl carol carson charles christian daniel david dawson deborah denise dennis "
    "diana dixon donald dylan edison edward elena elissa elizabeth ellis emily emma eric ethan evan felix frank gary "
    "george gibson grace greg hannah harris harrison harry harvey helen henry hudson isaac jack jackson jacob james "
    "jamie jane janet jarrett jason jasper jeff jefferson jennifer jenny jeremy jerry jesse jessica jet joan joe john "
    "johnson jordan joseph joshua julia julian justin karen kate kelly kevin laura lauren lewis linda lisa logan lucas "
    "madison margaret maria mark marvin mary mason matthew max megan melissa michael morris nancy nathan nelson nicole "
    "noah oliver olivia oscar owen pamela parker patricia patrick paul peter peterson philip rachel rebecca richard "
    "robert robin roger roy ruth ryan samuel sandra sarah scott sean sharon simon sophia stephen steven susan taylor "
    "teresa thomas thompson timothy travis tyler victor victoria vincent walter watson wilson zachary "
    # everyday
    "about after again album alarm almost already also always animal another answer apple arctic are area around "
    "artist ask autumn away baby back bacon badly basket battle because become before begin believe best better "
    "between bitter body book boring both bottle boy branch bread bring brother building business butter button buy "
    "cable call camera cancel candle car carpet cat center chance change channel charge check chicken child city "
    "clear close coffee cold collar color come commuter common company complete compute computing consider consumer "
    "control copper corner could country cover cup curtain cushion dance dark day december deck deeper desk detail "
    "dinner direction distance doctor dollar door double down dream drive during early earth easy electric eleven else "
    "email enough enter envoy evening ever every example exit express extra eye face fact family far farmer fast "
    "father feather fifteen figure final find finger first fish five flower follow food for forest forty forward four "
    "friday friend from front garage garden gas gets get gift give glass goal going gold good great green ground group "
    "guitar hair half hall hand happy hard have hazel he head heart heater heavy help her here heaven high hill him "
    "history hold holiday home hope horse hotel hour house how hundred idea imported inside jacket jam january jargon "
    "jealous jelly jester jets jetsam jetty job join joy jump just keep kettle key kid kitchen know lady lamp large "
    "last later laugh lay lead learn leave left less lesson let letter light like list listen little local long look "
    "lot love lower machine make market matter may maybe me meaning measure medicine meeting member message metal "
    "middle might milk million mind minute mirror moment monday money monitor month more morning mother mountain mouth "
    "move movie much music must name near neighbor never new news next nice night nine nobody noise north nothing "
    "november now number object october of off office often oil okay old on one only open orange order other our out "
    "over oyster page paint pair paper parcel parlor part party past pay pencil people pepper person phone photo piano "
    "picture piece place plan planet plastic play player please pocket point poison police pollute possible power "
    "present pretty price problem program public purple push put quarter question quick quiet radio rain read ready "
    "reason record red remember repeat rest result return river road rocket room round ruler run safe said salad same "
    "sandwich saturday save say scooter season second secret section see seldom seller send september serious service "
    "set setting seven several shadow shall sheet ship shoe shop shore short should shoulder show shower shuffle sick "
    "side silver simple since single sister sit six sky sleep slow small smile snow snowball snowing snowman snowplow "
    "so sofa some song soon sorry sound south space speak special speed spoon spring stairs stand star start station "
    "stay step still stone stop store storm story street strong student study such sugar summer sun sunday supper sure "
    "table take talk tall tea teacher telephone television tell temper ten than that the theater their them then there "
    "they thing think third thirty this thousand three thursday ticket time timer today together tomorrow tonight too "
    "top total touch toward towel town toy traffic train travel tree trip trouble truck true try tuesday turn tutor "
    "twelve twenty two uncle under until up upper use vacuum very video village visit voice volume wait walk wall want "
    "warm wash watch water way wear weather wednesday week weekend well west wet what wheel when where which while "
    "white who whole why wide will wind window winter with woman wonder wood word work world would write yard year "
    "yellow yes yesterday yet you young your zero"
).split()  # fmt: skip
