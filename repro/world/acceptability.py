"""Acceptable sentences, and corruptions of them that are unacceptable for certain.

Every corruption breaks a rule that the grammar itself holds: agreement, the form after an auxiliary, the number after a
determiner, the place of a determiner. Dropped words and swapped equals often leave a good sentence: they are not used.
"""

from __future__ import annotations

import random
from dataclasses import replace

from repro.world.events import Event, event
from repro.world.grammar import Wording, join, name, say_detail, say_person, say_thing, say_verb, wording
from repro.world.lexicon import PLACE

DEMONSTRATIVES = {"singular": ("this", "that", "a"), "plural": ("these", "those", "many")}
OTHER = {"singular": "plural", "plural": "singular"}


def _near(rng: random.Random) -> str:
    """A phrase between subject and verb whose noun has a number of its own."""
    concept = rng.choice(PLACE)
    word = concept.words[rng.randrange(2)]
    return rng.choice(("", f"near the {word}", f"at the {word}", f"by the {word}"))


def _agreement(deed: Event, words: Wording, rng: random.Random, good: bool) -> str:
    plural = deed.subject.plural
    form = 0 if plural == good else 1
    who = say_person(deed.subject, words)
    return join(who, _near(rng), say_verb(deed, words, form), say_thing(deed, words), say_detail(deed, "time", words))


def _be(deed: Event, words: Wording, rng: random.Random, good: bool) -> str:
    be = "were" if (deed.number == "plural") == good else "was"
    return join(say_thing(deed, words), _near(rng), be, say_verb(deed, words, 3), "by", say_person(deed.subject, words))


def _auxiliary(deed: Event, words: Wording, rng: random.Random, good: bool) -> str:
    auxiliary = rng.choice(("will", "did not", "will not"))
    return join(
        say_person(deed.subject, words),
        auxiliary,
        say_verb(deed, words, 0 if good else rng.choice((1, 2))),
        say_thing(deed, words),
        say_detail(deed, "place", words),
    )


def _determiner(deed: Event, words: Wording, rng: random.Random, good: bool) -> str:
    number = deed.number if good else OTHER[deed.number]
    noun = name(deed.noun, words.index("noun"), deed.number == "plural")
    look = name(deed.look, words.index("look")) if deed.look else ""
    determiner = rng.choice(DEMONSTRATIVES[number])
    if determiner == "a" and (look or noun)[0] in "aeiou":
        determiner = "an"
    return join(
        say_person(deed.subject, words),
        say_verb(deed, words, 2),
        determiner,
        look,
        noun,
        say_detail(deed, "time", words),
    )


def _order(deed: Event, words: Wording, rng: random.Random, good: bool) -> str:
    """Bad: the determiner stands after the word that it should precede."""
    deed = replace(deed, definite=True)
    the, *rest = say_thing(deed, words).split()
    thing = [the, *rest] if good else [rest[0], the, *rest[1:]]
    return join(
        say_person(deed.subject, words),
        say_verb(deed, words, 2),
        *thing,
        say_detail(deed, "place", words),
        say_detail(deed, "time", words),
    )


RULES = (_agreement, _be, _auxiliary, _determiner, _order)


def sentence(rng: random.Random, held_out: bool, acceptable: bool) -> str:
    """A sentence that the grammar allows, or one like it that breaks one rule."""
    rule = rng.choice((_agreement, *RULES))
    deed = event(rng, held_out, details=rng.randrange(1, 4), dative=0.0, plural=0.5)
    return rule(deed, wording(rng), rng, acceptable)
