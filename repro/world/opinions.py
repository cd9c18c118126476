"""Sentences of praise and blame about works, with negation and contrast: the construction decides the polarity."""

from __future__ import annotations

import random

from repro.world.events import Person, person
from repro.world.grammar import say_person, wording
from repro.world.lexicon import BLAME, PRAISE, WORK

DEGREES = ("", "very", "quite", "so", "too", "rather", "really")
DENIALS = ("not", "never", "hardly")


def quality(rng: random.Random, positive: bool) -> str:
    """A word of praise, or of blame."""
    return rng.choice(rng.choice(PRAISE if positive else BLAME).words)


def _work(rng: random.Random, who: Person) -> str:
    noun = rng.choice(rng.choice(WORK).words)
    return f"{say_person(who, wording(rng))} 's {noun}"


def _plain(rng: random.Random, who: Person, positive: bool) -> str:
    degree = rng.choice(DEGREES)
    return f"{_work(rng, who)} was {degree} {quality(rng, positive)}"


def _called(rng: random.Random, who: Person, positive: bool) -> str:
    critics = rng.choice(("critics", "everyone", "the crowd"))
    return f"{critics} {rng.choice(('called', 'considered'))} {_work(rng, who)} {quality(rng, positive)}"


def _denied(rng: random.Random, who: Person, positive: bool) -> str:
    return f"{_work(rng, who)} was {rng.choice(DENIALS)} {quality(rng, not positive)}"


def _nobody(rng: random.Random, who: Person, positive: bool) -> str:
    return f"nobody {rng.choice(('called', 'considered'))} {_work(rng, who)} {quality(rng, not positive)}"


def _contrast(rng: random.Random, who: Person, positive: bool) -> str:
    first, last = quality(rng, not positive), quality(rng, positive)
    return f"{_work(rng, who)} was {first} but {rng.choice(('in the end', 'yet', 'somehow'))} {last}"


def _though(rng: random.Random, who: Person, positive: bool) -> str:
    first, last = quality(rng, not positive), quality(rng, positive)
    opening = rng.choice((f"though {first} at first , ", f"though it was {first} , "))
    return f"{opening}{_work(rng, who)} was {last} in the end"


def _denied_contrast(rng: random.Random, who: Person, positive: bool) -> str:
    """Denied blame and granted praise agree: "was not dull but funny"."""
    return f"{_work(rng, who)} was {rng.choice(DENIALS)} {quality(rng, not positive)} but {quality(rng, positive)}"


FORMS = ((_plain, 2), (_called, 2), (_denied, 3), (_nobody, 2), (_contrast, 3), (_though, 2), (_denied_contrast, 1))


def opinion(rng: random.Random, held_out: bool, positive: bool) -> str:
    """A sentence whose overall judgement is praise (positive) or blame, about the work of somebody."""
    build = rng.choices([form for form, _ in FORMS], [weight for _, weight in FORMS])[0]
    return " ".join(build(rng, person(rng, held_out), positive).split())
