"""The GLUE-shaped tasks: one function a task, each drawing one example whose label follows from how it was built.

Surface is matched between classes wherever the task allows: in both classes of mrpc, qqp and stsb equally many words
differ, by synonyms in the one and by other words of the same kind in the other; constructions are drawn independently
of the label. So word overlap says little, and the meaning of the words decides.
"""

from __future__ import annotations

import random
from dataclasses import replace

from repro.world import acceptability
from repro.world.events import DETAILS, SAMENESS, Event, changed, event, extended
from repro.world.grammar import Wording, ask, construction, flipped, say, say_person, wording
from repro.world.lexicon import TOWN
from repro.world.opinions import opinion

Example = tuple[str, str | None, int | float]


def synonymous(deed: Event) -> list[str]:
    """The filled slots whose concept has two names."""
    return [slot for slot in SAMENESS if getattr(deed, slot) is not None and len(getattr(deed, slot).words) == 2]


def _swapped(deed: Event, words: Wording, slots: list[str], wrong: int, rng: random.Random) -> tuple[Event, Wording]:
    """Other words in all these slots: another meaning in the first `wrong` of them, a synonym in the rest."""
    for slot in slots[:wrong]:
        deed = changed(deed, slot, rng)
    return deed, construction(flipped(words, slots[wrong:]), rng)


def _slots(deed: Event, rng: random.Random, most: int) -> list[str]:
    candidates = synonymous(deed)
    return rng.sample(candidates, min(len(candidates), rng.randint(1, most)))


def mrpc(rng: random.Random, held_out: bool) -> Example:
    """Two statements; 1 when they say the same."""
    deed, words, same = event(rng, held_out, details=2), wording(rng), rng.random() < 0.5
    slots = _slots(deed, rng, 3)
    other, reworded = _swapped(deed, words, slots, 0 if same else rng.randint(1, len(slots)), rng)
    return say(deed, words), say(other, reworded), int(same)


def qqp(rng: random.Random, held_out: bool) -> Example:
    """Two questions; 1 when they ask the same."""
    about = rng.choice(("", "noun", "place", "time"))
    deed, words, same = event(rng, held_out, details=2), wording(rng), rng.random() < 0.5
    slots = [slot for slot in _slots(deed, rng, 3) if slot != about] or ["verb"]
    if about == "noun":
        slots = [slot for slot in slots if slot != "look"] or ["verb"]
    other, reworded = _swapped(deed, words, slots, 0 if same else rng.randint(1, len(slots)), rng)
    asked = about
    if not same and about in ("place", "time") and rng.random() < 0.3:
        other, reworded = _swapped(deed, words, slots, 0, rng)
        asked = "time" if about == "place" else "place"
        deed, other = deed.without("place", "time"), other.without("place", "time")
    return ask(deed, words, about), ask(other, reworded, asked), int(same)


def stsb(rng: random.Random, held_out: bool) -> Example:
    """Two statements; 5 when all slots agree, less for each that differs."""
    deed, words = event(rng, held_out, details=3), wording(rng)
    slots = rng.sample(synonymous(deed), len(synonymous(deed)))
    wrong = rng.randint(0, len(slots))
    swapped = slots[:wrong] + [slot for slot in slots[wrong:] if rng.random() < 0.6]
    other, reworded = _swapped(deed, words, swapped, wrong, rng)
    return say(deed, words), say(other, reworded), round(5 * (1 - wrong / len(slots)), 2)


def _claim(deed: Event, words: Wording, relation: int, rng: random.Random, category: bool) -> str:
    """A hypothesis about an event that leaves two details open.

    Args:
        deed: what the premise tells.
        words: how the premise says it.
        relation: 0 follows, 1 stays open, 2 contradicts.
        rng: source of chance.
        category: may name the thing by its category.
    """
    told, open_slots = deed.details, [slot for slot in DETAILS if slot not in deed.details]
    negated, general = rng.random() < 0.15, category and rng.random() < 0.5
    if general:
        open_slots = [slot for slot in open_slots if slot != "look"]
    dropped = rng.sample(told, rng.randint(0, 1) if relation != 1 else 1)
    claim = deed.without(*dropped)
    differs = relation == (0 if negated else 2)
    if relation == 1:
        claim = extended(claim, rng.choice(open_slots), rng)
    elif differs:
        slots = [slot for slot in ("verb", "noun", *claim.details) if not (general and slot in ("noun", "look"))]
        claim = changed(claim, rng.choice(slots), rng)
    reworded = construction(flipped(words, _slots(claim, rng, 2)), rng)
    if general:
        reworded, claim = replace(reworded, category=True), claim.without("look")
    return say(claim, reworded, negated=negated)


def mnli(rng: random.Random, held_out: bool) -> Example:
    """Premise and hypothesis: 0 entailment, 1 neutral, 2 contradiction."""
    relation = rng.randrange(3)
    deed, words = event(rng, held_out, details=2, dative=0.1), wording(rng)
    return say(deed, words), _claim(deed, words, relation, rng, category=False), relation


def rte(rng: random.Random, held_out: bool) -> Example:
    """Two premises about a person, and a hypothesis: 0 follows from them, 1 does not."""
    follows = rng.random() < 0.5
    deed, words, home = event(rng, held_out, details=1, dative=0.0), wording(rng), rng.choice(TOWN)
    words = replace(words, passive=False, front="")
    who, town = say_person(deed.subject, words), home.words[0]
    premise = f"{who} lived in {town} . {say(deed, words, subject=deed.subject.pronoun)}"
    if rng.random() < 0.2:
        shown = town if follows else rng.choice([other for other in TOWN if other is not home]).words[0]
        return premise, f"{who} lived in {shown}", int(not follows)
    relation = 0 if follows else 2 if rng.random() < 0.7 else 1
    return premise, _claim(deed, words, relation, rng, category=True), int(not follows)


def qnli(rng: random.Random, held_out: bool) -> Example:
    """A question and a sentence: 0 when the sentence answers it, 1 when not."""
    deed, words, answers = event(rng, held_out, details=0, dative=0.0), wording(rng), rng.random() < 0.5
    asked = rng.choice(("place", "time"))
    spare = "time" if asked == "place" else "place"
    told, reworded = deed, construction(flipped(words, _slots(deed, rng, 2)), rng)
    both = rng.random() < 0.3
    shown = {asked} if answers else {spare}
    if not answers and (both or rng.random() < 0.4):
        told = changed(deed, rng.choice(("subject", "verb", "noun")), rng)
        shown = {asked}
    for slot in ("place", "time") if both else shown:
        told = extended(told, slot, rng)
    return ask(deed, words, asked), say(told, reworded), int(not answers)


def sst2(rng: random.Random, held_out: bool) -> Example:
    """An opinion: 1 praise, 0 blame."""
    positive = rng.random() < 0.5
    return opinion(rng, held_out, positive), None, int(positive)


def cola(rng: random.Random, held_out: bool) -> Example:
    """A sentence: 1 acceptable, 0 not."""
    acceptable = rng.random() < 0.5
    return acceptability.sentence(rng, held_out, acceptable), None, int(acceptable)
