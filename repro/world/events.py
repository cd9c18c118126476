"""What there is and what happens: people, and events with slots for who, what, where, when and how.

The world's convention, on which exact labels rest: a text tells of one event for each person, and every slot has one
filler. So two sentences about the same person's deed agree, or leave something open, or contradict each other.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass, replace

from repro.world.lexicon import (
    ADVERB,
    COLOUR,
    DATIVE,
    DAY,
    HE,
    HOUR,
    LOOK,
    MONTH,
    OBJECTS,
    PEOPLE,
    PLACE,
    SHE,
    SURNAME,
    THINGS,
    TOWN,
    TRAIT,
    VERB,
    Concept,
)

HELD_OUT_ONE_IN = 4


@dataclass(frozen=True)
class Person:
    """Somebody: "kara dobik" by two names, or "the old doctor" by trait and role.

    Args:
        parts: (first name, surname), or (trait, role) as concepts.
        plural: several of them ("the old doctors"); only for roles.
    """

    parts: tuple[str, str] | tuple[Concept, Concept]
    plural: bool = False

    @property
    def named(self) -> bool:
        return isinstance(self.parts[0], str)

    @property
    def pronoun(self) -> str:
        if not self.named:
            return "they"
        return "she" if self.parts[0].endswith("a") else "he"

    @property
    def held_out(self) -> bool:
        """Whether this person occurs in test splits only; synonyms and numbers of a person are the same person."""
        key = " ".join(part if isinstance(part, str) else part.words[0] for part in self.parts)
        return zlib.crc32(key.encode()) % HELD_OUT_ONE_IN == 0


def person(rng: random.Random, held_out: bool, named: float = 0.6, plural: float = 0.0) -> Person:
    """Somebody from the wanted side of the split; the search is bounded.

    Args:
        rng: source of chance.
        held_out: True for the people of test splits.
        named: share of people with names.
        plural: share of plurals among the others.
    """
    by_name = rng.random() < named
    several = not by_name and rng.random() < plural
    for _ in range(1000):
        if by_name:
            someone = Person((rng.choice(SHE if rng.random() < 0.5 else HE), rng.choice(SURNAME)))
        else:
            someone = Person((rng.choice(TRAIT), rng.choice(PEOPLE)), several)
        if someone.held_out == held_out:
            return someone
    raise RuntimeError("no such person in 1000 draws")


def _other_person(old: Person, rng: random.Random) -> Person:
    for _ in range(100):
        someone = person(rng, old.held_out, 1.0 if old.named else 0.0)
        if not set(someone.parts) & set(old.parts):
            return replace(someone, plural=old.plural)
    raise RuntimeError("no other person in 100 draws")


@dataclass(frozen=True)
class Event:
    """Somebody did something to something, somewhere, at some time.

    Args:
        subject: who did it.
        verb: a concept of the tables of verbs; a dative verb has a recipient.
        noun: the thing.
        number: "singular" or "plural", of the thing.
        definite: "the" against "a" or "some".
        look, adverb, place, time: details; None where the event says nothing of them.
        recipient: a first name.
    """

    subject: Person
    verb: Concept
    noun: Concept
    number: str = "singular"
    definite: bool = True
    look: Concept | None = None
    adverb: Concept | None = None
    place: Concept | None = None
    time: Concept | None = None
    recipient: str | None = None

    @property
    def details(self) -> list[str]:
        """The optional slots that are filled."""
        return [slot for slot in DETAILS if getattr(self, slot) is not None]

    def without(self, *slots: str) -> Event:
        return replace(self, **dict.fromkeys(slots))


DETAILS = ("look", "adverb", "place", "time")
SAMENESS = ("verb", "noun", "look", "adverb", "place", "time")


FILLERS = {
    "colour": COLOUR,
    "look": LOOK,
    "adverb": ADVERB,
    "place": PLACE,
    "town": TOWN,
    "day": DAY,
    "month": MONTH,
    "hour": HOUR,
    "verb": VERB,
    "dative": DATIVE,
    **THINGS,
}


def _filler(slot: str, rng: random.Random, like: Concept | None = None) -> Concept:
    """Something that can fill a slot; like: of the same kind."""
    if like is not None:
        return rng.choice([concept for concept in FILLERS[like.kind] if concept is not like])
    if slot == "look":
        return rng.choice(COLOUR if rng.random() < 0.5 else LOOK)
    if slot == "place":
        return rng.choice(PLACE if rng.random() < 0.7 else TOWN)
    if slot == "time":
        return rng.choice((DAY, MONTH, HOUR)[rng.randrange(3)])
    return rng.choice({"adverb": ADVERB, "verb": VERB, "noun": OBJECTS}[slot])


def event(rng: random.Random, held_out: bool, details: int = 2, dative: float = 0.15, plural: float = 0.0) -> Event:
    """Draws an event with the given number of details.

    Args:
        rng: source of chance.
        held_out: whether its subject belongs to test splits.
        details: how many of look, adverb, place, time are filled.
        dative: share of events with a recipient.
        plural: share of plural subjects among people without names.
    """
    filled = rng.sample(DETAILS, details)
    subject = person(rng, held_out, plural=plural)
    recipient = rng.choice(SHE + HE) if rng.random() < dative else None
    verb = rng.choice(VERB) if recipient is None else rng.choice(DATIVE)
    noun, number = rng.choice(OBJECTS), "plural" if rng.random() < 0.25 else "singular"
    return Event(
        subject,
        verb,
        noun,
        number,
        rng.random() < 0.6,
        recipient=recipient,
        **{slot: _filler(slot, rng) for slot in filled},
    )


def changed(deed: Event, slot: str, rng: random.Random) -> Event:
    """The event with another filler of the same kind in a slot: a noun of its category, a colour for a colour."""
    if slot == "subject":
        return replace(deed, subject=_other_person(deed.subject, rng))
    if slot == "recipient":
        return replace(deed, recipient=rng.choice([name for name in SHE + HE if name != deed.recipient]))
    return replace(deed, **{slot: _filler(slot, rng, like=getattr(deed, slot))})


def extended(deed: Event, slot: str, rng: random.Random) -> Event:
    """The event with a detail that it did not have."""
    return replace(deed, **{slot: _filler(slot, rng)})
