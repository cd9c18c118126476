"""Sentences and questions about events: which of a concept's words, which construction, which order.

The same event is said in many ways: synonyms, active and passive, "gave kara the ring" and "gave the ring to kara", a
place or time in front. A Wording holds these choices, so that a paraphrase is another wording of an equal event.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from repro.world.events import SAMENESS, Event, Person
from repro.world.lexicon import KINDS, Concept


@dataclass(frozen=True)
class Wording:
    """How an event is said.

    Args:
        names: slot -> which of the concept's words (0 or 1); slots left out use word 0.
        passive: "the ring was sold by kara dobik".
        front: "place" or "time" to begin with it, else "".
        shifted: the recipient after the thing, with "to".
        category: the thing's category in place of its noun ("an animal").
    """

    names: tuple[tuple[str, int], ...] = ()
    passive: bool = False
    front: str = ""
    shifted: bool = False
    category: bool = False

    def index(self, slot: str) -> int:
        return dict(self.names).get(slot, 0)


def wording(rng: random.Random) -> Wording:
    """Draws the words and the construction."""
    return construction(Wording(tuple((slot, rng.randrange(2)) for slot in (*SAMENESS, "trait", "role"))), rng)


def construction(words: Wording, rng: random.Random) -> Wording:
    """The same words in a newly drawn construction."""
    front = rng.choice(("place", "time")) if rng.random() < 0.3 else ""
    return replace(words, passive=rng.random() < 0.3, front=front, shifted=rng.random() < 0.5)


def flipped(words: Wording, slots: list[str]) -> Wording:
    """The other synonym in each of these slots."""
    return replace(words, names=tuple((slot, 1 - n if slot in slots else n) for slot, n in words.names))


def name(concept: Concept, index: int, plural: bool = False) -> str:
    """One of a concept's words, in the wanted number."""
    words = concept.plurals if plural else concept.words
    return words[index % len(words)]


def article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def say_person(someone: Person, words: Wording) -> str:
    if someone.named:
        return " ".join(someone.parts)
    trait, role = someone.parts
    return f"the {name(trait, words.index('trait'))} {name(role, words.index('role'), someone.plural)}"


def say_thing(deed: Event, words: Wording) -> str:
    """The thing with its determiner and look: "some red rings", "an animal"."""
    plural = deed.number == "plural"
    noun = KINDS[deed.noun.kind] if words.category else deed.noun
    spoken = [name(noun, words.index("noun"), plural)]
    if deed.look is not None:
        spoken.insert(0, name(deed.look, words.index("look")))
    determiner = "the" if deed.definite else "some" if plural else article(spoken[0])
    return " ".join([determiner, *spoken])


def say_detail(deed: Event, slot: str, words: Wording) -> str:
    """The place or time with its preposition, "" where there is none."""
    concept = getattr(deed, slot)
    if concept is None:
        return ""
    word = name(concept, words.index(slot))
    return {
        "town": f"in {word}",
        "place": f"at the {word}",
        "day": f"on {word}",
        "month": f"in {word}",
        "hour": f"at {word}",
    }[concept.kind]


def say_verb(deed: Event, words: Wording, form: int) -> str:
    """The verb with its adverb in front; form: 0 base, 1 third person, 2 past, 3 participle."""
    word = deed.verb.forms[words.index("verb")][form]
    return word if deed.adverb is None else f"{name(deed.adverb, words.index('adverb'))} {word}"


def _object(deed: Event, words: Wording) -> str:
    thing = say_thing(deed, words)
    if deed.recipient is None:
        return thing
    return f"{thing} to {deed.recipient}" if words.shifted else f"{deed.recipient} {thing}"


def join(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def say(deed: Event, words: Wording, *, negated: bool = False, present: bool = False, subject: str = "") -> str:
    """A statement of the event.

    Args:
        deed: what happened.
        words: how to say it.
        negated: that it did not.
        present: "sells" in place of "sold"; active voice only.
        subject: says this in place of the person, a pronoun for instance.
    """
    who = subject or say_person(deed.subject, words)
    details = {slot: say_detail(deed, slot, words) for slot in ("place", "time")}
    front = details.pop(words.front, "") if words.front else ""
    if words.passive and not present and not subject:
        be = ("were" if deed.number == "plural" else "was") + (" not" if negated else "")
        to = f"to {deed.recipient}" if deed.recipient else ""
        core = join(say_thing(deed, words), be, say_verb(deed, words, 3), to, "by", who)
    elif negated:
        do = "did" if not present else "do" if deed.subject.plural else "does"
        core = join(who, do, "not", say_verb(deed, words, 0), _object(deed, words))
    else:
        form = 2 if not present else 0 if deed.subject.plural else 1
        core = join(who, say_verb(deed, words, form), _object(deed, words))
    return join(f"{front} ," if front else "", core, *details.values())


def ask(deed: Event, words: Wording, about: str = "") -> str:
    """A question about the event.

    Args:
        deed: what is supposed.
        words: how to say it.
        about: "" for yes or no, else "subject", "noun", "place" or "time".
    """
    who = say_person(deed.subject, words)
    details = [say_detail(deed, slot, words) for slot in ("place", "time") if slot != about]
    if about == "subject":
        return join("who", say_verb(deed, words, 2), _object(deed, words), *details, "?")
    if about == "noun":
        to = f"to {deed.recipient}" if deed.recipient else ""
        return join("what did", who, say_verb(deed, words, 0), to, *details, "?")
    opening = {"": "", "place": "where ", "time": "when "}[about]
    if words.passive:
        be = "were" if deed.number == "plural" else "was"
        to = f"to {deed.recipient}" if deed.recipient else ""
        return join(opening + be, say_thing(deed, words), say_verb(deed, words, 3), to, "by", who, *details, "?")
    return join(opening + "did", who, say_verb(deed, words, 0), _object(deed, words), *details, "?")
