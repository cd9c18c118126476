"""The words of the generated world: concepts with two names each, and their inflected forms.

A concept is a pair of words that mean the same here ("violin/fiddle"): the world decides what is synonymous, so labels
that rest on it are exact. Tables are data; the functions below only read them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

NOUNS = {
    "animal": """
        dog/hound cat/feline rabbit/bunny pig/hog horse/steed donkey/burro snake/serpent lizard/gecko pigeon/dove
        parrot/macaw turtle/tortoise frog/toad
    """,
    "food": """
        pie/tart cookie/biscuit candy/sweet soup/broth sandwich/panini pancake/crepe roll/bun stew/casserole
        noodle/ramen sausage/frank pizza/calzone omelet/frittata
    """,
    "vehicle": """
        car/automobile boat/vessel bicycle/bike truck/lorry plane/airplane train/locomotive wagon/cart bus/coach
        taxi/cab ship/liner sled/sleigh scooter/moped
    """,
    "instrument": """
        violin/fiddle flute/piccolo drum/tambour trumpet/bugle piano/pianoforte guitar/ukulele horn/cornet harp/lyre
        organ/harmonium accordion/concertina clarinet/oboe bell/chime
    """,
    "garment": """
        coat/jacket hat/cap shoe/loafer shirt/blouse dress/gown sweater/pullover shawl/poncho glove/mitten robe/cloak
        skirt/kilt sock/stocking belt/sash
    """,
    "furnishing": """
        sofa/couch chair/seat table/desk lamp/lantern carpet/rug cupboard/cabinet bed/cot mirror/glass pillow/cushion
        curtain/drape clock/timepiece stool/footrest
    """,
    "tool": """
        hammer/mallet dagger/blade axe/hatchet shovel/spade rope/cord pot/kettle pan/skillet bucket/pail saw/hacksaw
        needle/pin broom/mop brush/comb
    """,
    "treasure": """
        ring/band necklace/pendant gem/jewel coin/medal crown/tiara bracelet/bangle brooch/clasp pearl/bead
        diamond/crystal statue/sculpture vase/urn chalice/goblet
    """,
    "document": """
        letter/missive book/volume map/chart poem/verse picture/image painting/canvas photo/snapshot magazine/journal
        note/memo ticket/voucher card/postcard story/tale
    """,
    "plant": """
        flower/blossom rose/peony tree/sapling bush/shrub fern/bracken lily/lotus tulip/crocus cactus/succulent
        daisy/aster vine/creeper orchid/iris oak/elm
    """,
}
ROLES = """
    doctor/physician lawyer/attorney teacher/instructor actor/performer soldier/trooper boss/manager burglar/robber
    friend/pal artist/painter writer/author singer/vocalist farmer/grower cook/chef guard/sentry judge/magistrate
    sailor/mariner baker/confectioner builder/mason hunter/trapper merchant/trader nurse/medic student/pupil
    scholar/academic priest/cleric king/monarch pilot/aviator detective/sleuth driver/chauffeur clerk/secretary
    barber/hairdresser boxer/fighter banker/financier
"""
PLACES = """
    market/bazaar store/shop school/academy hospital/clinic church/chapel forest/woodland beach/shore hotel/inn
    station/depot prison/jail garden/yard harbor/port castle/fortress museum/gallery library/archive farm/ranch
    park/meadow factory/mill office/bureau restaurant/diner theater/playhouse bridge/viaduct river/stream lake/lagoon
    mountain/hill road/street house/cottage tower/spire
"""
TRAITS = """
    old/elderly young/youthful tall/lanky rich/wealthy poor/needy clever/smart brave/bold shy/timid angry/furious
    happy/glad sad/gloomy tired/weary kind/gentle rude/impolite famous/renowned quiet/silent strong/sturdy
    thin/slender busy/occupied hungry/starving lazy/idle proud/haughty calm/serene loyal/faithful
"""
COLOURS = """
    red/crimson blue/azure green/emerald yellow/golden black/ebony white/ivory gray/ashen purple/violet brown/tan
    pink/rosy
"""
LOOKS = """
    big/large small/little new/unused ancient/antique cheap/inexpensive costly/expensive broken/damaged clean/spotless
    dirty/filthy heavy/weighty shiny/gleaming wet/soaked round/circular square/boxy soft/plush wooden/timber
    strange/odd rare/scarce hidden/buried empty/vacant
"""
ADVERBS = """
    quickly/rapidly quietly/silently happily/gladly secretly/covertly carefully/cautiously suddenly/abruptly
    often/frequently rarely/seldom eagerly/keenly calmly/serenely finally/eventually usually/normally
"""
# base:third person:past:participle; a missing participle is the past, a missing third person adds s
VERBS = """
    buy::bought/purchase::purchased sell::sold/vend::vended steal::stole:stolen/pilfer::pilfered
    find::found/discover::discovered lose::lost/misplace::misplaced smash:smashes:smashed/shatter::shattered
    fix:fixes:fixed/repair::repaired wash:washes:washed/rinse::rinsed carry:carries:carried/haul::hauled
    hide::hid:hid/conceal::concealed examine::examined/inspect::inspected love::loved/adore::adored
    hate::hated/detest::detested want::wanted/desire::desired destroy::destroyed/wreck::wrecked
    build::built/construct::constructed move::moved/shift::shifted lift::lifted/raise::raised
    pull::pulled/drag::dragged push:pushes:pushed/shove::shoved throw::threw:thrown/toss:tosses:tossed
    catch:catches:caught/grab::grabbed choose::chose:chosen/select::selected watch:watches:watched/observe::observed
    praise::praised/commend::commended describe::described/depict::depicted draw::drew:drawn/sketch:sketches:sketched
    collect::collected/gather::gathered order::ordered/request::requested forget::forgot:forgotten/neglect::neglected
    admire::admired/cherish:cherishes:cherished polish:polishes:polished/buff::buffed rent::rented/lease::leased
    keep::kept/retain::retained touch:touches:touched/handle::handled weigh::weighed/measure::measured
"""
DATIVES = """
    give::gave:given/hand::handed send::sent/mail::mailed lend::lent/loan::loaned show::showed:shown/reveal::revealed
    offer::offered/grant::granted bring::brought/deliver::delivered pass:passes:passed/slip::slipped
    assign::assigned/award::awarded
"""
WORKS = """
    film/movie play/drama novel/paperback song/tune concert/recital opera/operetta pageant/spectacle album/record
    series/serial ballet/dance musical/revue comedy/farce thriller/mystery cartoon/animation exhibit/exposition
    speech/lecture script/screenplay plot/storyline finale/ending cast/ensemble
"""
GOOD = """
    good/fine great/excellent lovely/charming funny/hilarious brilliant/dazzling stirring/touching fresh/original
    superb/marvelous delightful/pleasant thrilling/exciting gripping/absorbing wise/insightful beautiful/gorgeous
    elegant/graceful memorable/unforgettable witty/amusing honest/sincere warm/tender opulent/lush subtle/refined
    vivid/lively inspired/inventive wonderful/fantastic captivating/enchanting solid/accomplished joyful/uplifting
    perfect/flawless impressive/masterful clear/coherent tasteful/stylish
"""
BAD = """
    bad/inferior awful/terrible dull/boring ugly/hideous silly/foolish weak/feeble stale/trite clumsy/awkward
    tedious/tiresome shallow/superficial messy/chaotic cold/lifeless horrible/dreadful pointless/meaningless
    lame/pathetic annoying/irritating predictable/formulaic bland/insipid crude/vulgar confusing/muddled noisy/grating
    sloppy/careless hollow/vapid painful/agonizing stupid/idiotic fake/phony dreary/bleak ridiculous/absurd
    disappointing/underwhelming overlong/bloated
"""
DAYS = """
    monday tuesday wednesday thursday friday saturday sunday
"""
MONTHS = """
    january february march april may june july august september october november december
"""
HOURS = "dawn/daybreak noon/midday dusk/twilight midnight/nighttime"
# words that are nobody's name and no concept's
FUNCTION = """
    the a an this that these those many some in on at near to by and but not did does do was were is will who what
    where when yes no maybe nobody knows she he they it lived called considered critics everyone crowd though yet end
    first somehow never hardly really quite very rather too so because applauded complained cheered booed smiled
    yawned left stayed 's . , ?
"""
# what made-up names are built of
ONSETS = "b br d dr f g gr j k l m n p r s t tr v z"
CODAS = "b d g k l ll m n nd p r rv sk t v z"


@dataclass(frozen=True)
class Concept:
    """What two words share.

    Args:
        kind: the table or category that it comes from; words of one kind fill the same places in a sentence.
        words: its two names, base form.
        plurals: the same in the plural (nouns), else empty.
        forms: for verbs, (base, third person, past, participle) of each name, else empty.
    """

    kind: str
    words: tuple[str, ...]
    plurals: tuple[str, ...] = ()
    forms: tuple[tuple[str, str, str, str], ...] = ()


def _pairs(table: str, kind: str) -> list[Concept]:
    return [Concept(kind, tuple(pair.split("/"))) for pair in table.split()]


def _plural(word: str) -> str:
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


def _nouns(table: str, kind: str) -> list[Concept]:
    return [Concept(kind, concept.words, tuple(map(_plural, concept.words))) for concept in _pairs(table, kind)]


def _verbs(table: str, kind: str) -> list[Concept]:
    concepts = []
    for entry in table.split():
        forms = []
        for name in entry.split("/"):
            base, third, past, *participle = name.split(":")
            forms.append((base, third or base + "s", past, participle[0] if participle else past))
        concepts.append(Concept(kind, tuple(form[0] for form in forms), forms=tuple(forms)))
    return concepts


def _made_up(count: int, seed: str, ending: str) -> list[str]:
    """Names that no English word is: consonant, vowel, consonant, then the ending."""
    rng = random.Random(seed)
    names = [onset + vowel + coda + ending for onset in ONSETS.split() for vowel in "aeiou" for coda in CODAS.split()]
    return sorted(rng.sample(names, count))


THINGS = {kind: _nouns(table, kind) for kind, table in NOUNS.items()}
OBJECTS = [concept for concepts in THINGS.values() for concept in concepts]
KINDS = {kind: Concept("kind", (kind,), (_plural(kind),)) for kind in NOUNS}
PEOPLE = _nouns(ROLES, "role")
TRAIT, COLOUR, LOOK = _pairs(TRAITS, "trait"), _pairs(COLOURS, "colour"), _pairs(LOOKS, "look")
ADVERB, PLACE, HOUR = _pairs(ADVERBS, "adverb"), _pairs(PLACES, "place"), _pairs(HOURS, "hour")
DAY, MONTH = [Concept("day", (word,)) for word in DAYS.split()], [Concept("month", (word,)) for word in MONTHS.split()]
VERB, DATIVE = _verbs(VERBS, "verb"), _verbs(DATIVES, "dative")
WORK, PRAISE, BLAME = _pairs(WORKS, "work"), _pairs(GOOD, "praise"), _pairs(BAD, "blame")
SHE, HE, SURNAME = _made_up(150, "she", "a"), _made_up(150, "he", "o"), _made_up(300, "surname", "ik")
TOWN = [Concept("town", (name,)) for name in _made_up(100, "town", "bury")]


def vocabulary() -> list[str]:
    """Every word that the world can say, in a fixed order."""
    words = FUNCTION.split() + SHE + HE + SURNAME + list(NOUNS)
    for concept in [
        *OBJECTS,
        *KINDS.values(),
        *PEOPLE,
        *TRAIT,
        *COLOUR,
        *LOOK,
        *ADVERB,
        *PLACE,
        *TOWN,
        *HOUR,
        *DAY,
        *MONTH,
        *VERB,
        *DATIVE,
        *WORK,
        *PRAISE,
        *BLAME,
    ]:
        words += [*concept.words, *concept.plurals, *(form for forms in concept.forms for form in forms)]
    return sorted(set(words))
