"""Labels checked by another road than the one that made them: from the words back to their concepts."""

from __future__ import annotations

import pytest

from repro import world
from repro.world import lexicon

TABLES = (
    lexicon.OBJECTS,
    lexicon.KINDS.values(),
    lexicon.PEOPLE,
    lexicon.TRAIT,
    lexicon.COLOUR,
    lexicon.LOOK,
    lexicon.ADVERB,
    lexicon.PLACE,
    lexicon.HOUR,
    lexicon.DAY,
    lexicon.MONTH,
    lexicon.VERB,
    lexicon.DATIVE,
    lexicon.TOWN,
)
MEANING = {
    word: concept.words[0]
    for table in TABLES
    for concept in table
    for word in (*concept.words, *concept.plurals, *(form for forms in concept.forms for form in forms))
}
FUNCTION = set(lexicon.FUNCTION.split())
CATEGORY = {concept.words[0]: concept.kind for concept in lexicon.OBJECTS}
PRAISE = {word for concept in lexicon.PRAISE for word in concept.words}
BLAME = {word for concept in lexicon.BLAME for word in concept.words}


def meanings(sentence: str) -> set[str]:
    """The concepts that a sentence names; whatever it does not know stands for itself unless it is a function word."""
    return {MEANING.get(word, word) for word in sentence.split() if word not in FUNCTION}


def details(sentence: str) -> set[str]:
    """With the thing's category beside it, as what follows from the sentence."""
    told = meanings(sentence)
    return told | {CATEGORY[word] for word in told if word in CATEGORY}


@pytest.mark.parametrize("split", ["train", "test"])
def test_paraphrases_and_duplicates_name_the_same_concepts(split):
    for row in world.glue("mrpc", split):
        assert (meanings(row["sentence1"]) == meanings(row["sentence2"])) == bool(row["label"]), row
    for row in world.glue("qqp", split):
        asked = {word for word in ("where", "when", "what") if word in row["sentence1"].split()}
        other = {word for word in ("where", "when", "what") if word in row["sentence2"].split()}
        same = asked == other and meanings(row["sentence1"]) == meanings(row["sentence2"])
        assert same == bool(row["label"]), row


def test_similarity_falls_with_each_differing_concept():
    for row in world.glue("stsb", "test"):
        lost = len(meanings(row["sentence1"]) - meanings(row["sentence2"]))
        assert (lost == 0) == (row["label"] == 5.0), row
        assert any(abs(row["label"] - 5 * (1 - lost / slots)) < 0.01 for slots in (2, 3, 4, 5)), row


@pytest.mark.parametrize("task", ["mnli", "rte"])
def test_what_follows_was_told(task):
    """Of hypotheses without negation: entailed ones name nothing that the premise does not tell, the others do."""
    seen = 0
    for row in world.glue(task, "test"):
        if " not " in row["sentence2"]:
            continue
        follows = meanings(row["sentence2"]) <= details(row["sentence1"])
        assert follows == (row["label"] == 0), row
        seen += 1
    assert seen > 1000


def test_denial_turns_the_relation_round():
    """Of hypotheses with negation: what was told is contradicted."""
    for row in world.glue("mnli", "test"):
        if " not " in row["sentence2"] and meanings(row["sentence2"]) <= details(row["sentence1"]):
            assert row["label"] == 2, row


def test_answers_are_in_the_sentence():
    for row in world.glue("qnli", "test"):
        named = {concept.words[0] for table in (lexicon.PLACE, lexicon.TOWN) for concept in table}
        timed = {concept.words[0] for table in (lexicon.DAY, lexicon.MONTH, lexicon.HOUR) for concept in table}
        told = meanings(row["sentence2"])
        wanted = named if row["sentence1"].startswith("where") else timed
        same_deed = meanings(row["sentence1"]) <= told
        assert (bool(told & wanted) and same_deed) == (row["label"] == 0), row


def test_judgements_of_plain_and_denied_sentences():
    plain = denied = 0
    for row in world.glue("sst2", "test"):
        words = row["sentence1"].split()
        judged = [word for word in words if word in PRAISE | BLAME]
        if len(judged) != 1:
            assert (judged[-1] in PRAISE) == bool(row["label"]) or "though" not in words, row
            continue
        turned = any(word in words for word in ("not", "never", "hardly", "nobody"))
        assert ((judged[0] in PRAISE) != turned) == bool(row["label"]), row
        plain, denied = plain + (not turned), denied + turned
    assert min(plain, denied) > 300


def test_agreement_decides_acceptability():
    """Sentences in the present whose subject is a name: the third person's s is what makes them acceptable."""
    third = {form[1] for concept in lexicon.VERB for form in concept.forms}
    base = {form[0] for concept in lexicon.VERB for form in concept.forms} - third
    seen = 0
    for row in world.glue("cola", "test"):
        words = row["sentence1"].split()
        if words[0] not in lexicon.SHE + lexicon.HE or {"will", "did"} & set(words):
            continue
        if set(words) & third:
            assert row["label"] == 1, row
            seen += 1
        elif set(words) & base and not set(words) & {form[2] for c in lexicon.VERB for form in c.forms}:
            assert row["label"] == 0, row
            seen += 1
    assert seen > 100
