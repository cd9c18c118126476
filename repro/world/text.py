"""Text to pre-train on: two segments each, the second a restatement, a question with its answer, what follows.

The documents speak only of people who are not held out. They carry no labels; what they teach is which words mean the
same, what belongs to which category, and to look for the second segment's words in the first.
"""

from __future__ import annotations

import random
from dataclasses import replace

from repro.world import acceptability
from repro.world.events import Event, changed, event, extended
from repro.world.grammar import article, ask, construction, say, say_detail, say_person, say_thing, wording
from repro.world.lexicon import TOWN
from repro.world.opinions import opinion, quality
from repro.world.pairs import synonymous

Document = tuple[str, str]


def _tell(rng: random.Random, details: tuple[int, ...] = (1, 2, 3)) -> Event:
    return event(rng, False, details=rng.choice(details), plural=0.2)


def restatement(rng: random.Random) -> Document:
    """The same event twice, in two wordings."""
    deed = _tell(rng)
    return say(deed, wording(rng)), say(deed, wording(rng))


def brief(rng: random.Random) -> Document:
    """A restatement of an event without details."""
    deed = event(rng, False, details=0, dative=0.0)
    return say(deed, wording(rng)), say(deed, wording(rng))


def pronoun(rng: random.Random) -> Document:
    """Where somebody lived and what they did; then one of both in other words."""
    deed, words, town = _tell(rng, (0, 1, 2)), wording(rng), rng.choice(TOWN).words[0]
    who = say_person(deed.subject, words)
    first = f"{who} lived in {town} . {say(deed, replace(words, passive=False), subject=deed.subject.pronoun)}"
    if rng.random() < 0.25:
        return first, f"{who} lived in {town}"
    return first, say(deed, wording(rng))


def answer(rng: random.Random) -> Document:
    """An event, a question about it and the answer, if the event tells."""
    deed, words = _tell(rng, (0, 1, 2)), wording(rng)
    about = rng.choice(("subject", "noun", "place", "time", "place", "time"))
    other = wording(rng)
    if about == "subject":
        reply = say_person(deed.subject, other)
    elif about == "noun":
        reply = say_thing(deed, other)
    else:
        reply = say_detail(deed, about, other) or "nobody knows"
    return say(deed, words), f"{ask(deed, other, about)} {reply}"


def verdict(rng: random.Random) -> Document:
    """An event, and a question with yes, no or maybe."""
    deed, words = _tell(rng, (0, 1, 2)), wording(rng)
    reply = rng.choice(("yes", "no", "maybe"))
    supposed = deed
    if reply == "no":
        slots = ["subject", "verb", "noun", *deed.details]
        for slot in rng.sample(slots, rng.randint(1, 3)):
            supposed = changed(supposed, slot, rng)
    elif reply == "maybe":
        supposed = extended(
            deed, rng.choice([slot for slot in ("place", "time", "look", "adverb") if getattr(deed, slot) is None]), rng
        )
    return say(deed, words), f"{ask(supposed, wording(rng))} {reply}"


def doubt(rng: random.Random) -> Document:
    """An event, and a short question back about one thing in it: "the horse ? no"."""
    deed, words, other = _tell(rng, (0, 1, 2)), wording(rng), wording(rng)
    slot = rng.choice(["subject", "noun", "noun", *(s for s in ("place", "time") if getattr(deed, s) is not None)])
    true = rng.random() < 0.5
    supposed = deed if true else changed(deed, slot, rng)
    said = (
        say_person(supposed.subject, other)
        if slot == "subject"
        else say_thing(supposed.without("look"), other)
        if slot == "noun"
        else say_detail(supposed, slot, other)
    )
    return say(deed, words), f"{said} ? {'yes' if true else 'no'}"


def category(rng: random.Random) -> Document:
    """An event, then its thing by category."""
    deed, words = _tell(rng, (0, 1, 2)), wording(rng)
    deed = replace(deed, look=None)
    if rng.random() < 0.5:
        return say(deed, words), say(deed, replace(wording(rng), category=True))
    thing, kind = deed.noun.words[rng.randrange(2)], deed.noun.kind
    return f"{say_person(deed.subject, words)} 's {thing}", f"the {thing} is {article(kind)} {kind}"


def correction(rng: random.Random) -> Document:
    """A denied event, and what happened instead."""
    deed, words = _tell(rng), wording(rng)
    slot = rng.choice(synonymous(deed))
    denied = say(changed(deed, slot, rng), replace(words, passive=False), negated=True)
    return denied, say(deed, construction(words, rng))


def judgement(rng: random.Random) -> Document:
    """An opinion, and what goes with it."""
    positive = rng.random() < 0.5
    first = opinion(rng, False, positive)
    if rng.random() < 0.5:
        return first, f"so it was {quality(rng, positive)} and {quality(rng, positive)}"
    reaction = (
        ("everyone applauded", "the crowd cheered", "critics smiled", "everyone stayed")
        if positive
        else ("everyone complained", "the crowd booed", "critics yawned", "everyone left")
    )
    return first, f"{rng.choice(reaction)} because it was {quality(rng, positive)}"


def present(rng: random.Random) -> Document:
    """An acceptable sentence of the kinds that agreement shows in, and the event in the present."""
    deed, words = event(rng, False, details=rng.randint(0, 2), plural=0.6), wording(rng)
    return acceptability.sentence(rng, False, True), say(deed, words, present=True, negated=rng.random() < 0.2)


# what stands in the stages of the curriculum, with weights
BEGIN = ((brief, 1),)
RESTATE = (
    (restatement, 38),
    (pronoun, 14),
    (answer, 14),
    (category, 6),
    (correction, 4),
    (judgement, 18),
    (present, 12),
)
POINT = ((doubt, 85), (judgement, 15))
WHOLE = ((verdict, 85), (judgement, 15))
ALL = (
    (restatement, 12),
    (pronoun, 10),
    (answer, 16),
    (category, 8),
    (correction, 4),
    (judgement, 20),
    (present, 12),
    (verdict, 14),
    (doubt, 6),
)
# the share of the documents at which a stage ends
CURRICULUM = ((0.06, BEGIN), (0.40, RESTATE), (0.50, POINT), (0.60, WHOLE), (1.0, ALL))


def documents(seed: int, count: int) -> list[Document]:
    """Pre-training documents in the order of a curriculum, the same for equal arguments.

    First restatements and what follows from a text, then short questions about one thing, then questions about all of
    it, at last everything. Each skill comes within minutes after the one that it builds on, and hardly without it.
    """
    rng = random.Random(f"documents/{seed}")
    made: list[Document] = []
    for until, stage in CURRICULUM:
        kinds, weights = zip(*stage, strict=True)
        made += [rng.choices(kinds, weights)[0](rng) for _ in range(round(until * count) - len(made))]
    return made
