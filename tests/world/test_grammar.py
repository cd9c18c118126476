"""What sentences the grammar makes of given events: written out by hand."""

from __future__ import annotations

import random
from dataclasses import replace

from repro.world import acceptability, lexicon
from repro.world.events import Event, Person, changed, event
from repro.world.grammar import Wording, ask, flipped, say, wording


def concept(table: list[lexicon.Concept], word: str) -> lexicon.Concept:
    return next(concept for concept in table if word in concept.words)


DEED = Event(
    Person((concept(lexicon.TRAIT, "old"), concept(lexicon.PEOPLE, "doctor"))),
    concept(lexicon.VERB, "buy"),
    concept(lexicon.OBJECTS, "axe"),
    definite=False,
    look=concept(lexicon.COLOUR, "red"),
    place=concept(lexicon.PLACE, "market"),
    time=concept(lexicon.DAY, "monday"),
)
PLAIN = Wording(tuple((slot, 0) for slot in ("verb", "noun", "look", "adverb", "place", "time", "trait", "role")))


def test_one_event_in_many_wordings():
    assert say(DEED, PLAIN) == "the old doctor bought a red axe at the market on monday"
    assert say(DEED, replace(PLAIN, passive=True)) == "a red axe was bought by the old doctor at the market on monday"
    assert say(DEED, replace(PLAIN, front="time")) == "on monday , the old doctor bought a red axe at the market"
    other = flipped(PLAIN, ["verb", "noun", "look", "place", "trait", "role"])
    assert say(DEED, other) == "the elderly physician purchased a crimson hatchet at the bazaar on monday"
    assert say(DEED.without("look"), PLAIN).startswith("the old doctor bought an axe")
    assert say(DEED.without("look"), replace(PLAIN, category=True)).startswith("the old doctor bought a tool")


def test_recipients_alternate():
    gift = replace(DEED.without("place", "time"), verb=concept(lexicon.DATIVE, "give"), recipient="mira")
    assert say(gift, PLAIN) == "the old doctor gave mira a red axe"
    assert say(gift, replace(PLAIN, shifted=True)) == "the old doctor gave a red axe to mira"
    assert say(gift, replace(PLAIN, passive=True)) == "a red axe was given to mira by the old doctor"


def test_negation_and_agreement():
    several = replace(DEED.without("place", "time"), subject=replace(DEED.subject, plural=True), number="plural")
    assert say(several, PLAIN, negated=True) == "the old doctors did not buy some red axes"
    assert say(several, PLAIN, present=True) == "the old doctors buy some red axes"
    assert say(DEED.without("place", "time"), PLAIN, present=True) == "the old doctor buys a red axe"
    passive = replace(PLAIN, passive=True)
    assert say(several, passive, negated=True) == "some red axes were not bought by the old doctors"


def test_questions():
    assert ask(DEED, PLAIN) == "did the old doctor buy a red axe at the market on monday ?"
    assert ask(DEED, PLAIN, "place") == "where did the old doctor buy a red axe on monday ?"
    passive = replace(PLAIN, passive=True)
    assert ask(DEED, passive, "time") == "when was a red axe bought by the old doctor at the market ?"
    assert ask(DEED, PLAIN, "noun") == "what did the old doctor buy at the market on monday ?"
    assert ask(DEED, PLAIN, "subject") == "who bought a red axe at the market on monday ?"


def test_a_changed_slot_keeps_its_kind_and_a_changed_person_their_side():
    rng = random.Random(0)
    for _ in range(200):
        assert changed(DEED, "noun", rng).noun.kind == "tool"
        assert changed(DEED, "look", rng).look.kind == "colour"
        assert changed(DEED, "subject", rng).subject.held_out == DEED.subject.held_out
        assert event(rng, True).subject.held_out
        assert not event(rng, False).subject.held_out


def test_corruptions_break_one_rule():
    deed, rng = replace(DEED, subject=replace(DEED.subject, plural=True)), random.Random(3)
    bad = {rule.__name__: rule(deed, PLAIN, rng, False) for rule in acceptability.RULES}
    assert bad["_agreement"].endswith("buys a red axe on monday")
    assert " were bought by the old doctors" in bad["_be"]
    assert any(
        f" {auxiliary} {verb} " in bad["_auxiliary"] for auxiliary in ("will", "not") for verb in ("buys", "bought")
    )
    assert any(f"{word} red axe " in bad["_determiner"] for word in ("these", "those", "many"))
    assert "bought red the axe" in bad["_order"]


def test_wordings_of_equal_chance_are_equal():
    assert wording(random.Random(5)) == wording(random.Random(5))
