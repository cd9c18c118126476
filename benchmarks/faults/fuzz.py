"""Malformed overrides, data, predictions, records and facts from a seed: each ends in one line and code 2, or works.

A case is a command and the files that it reads. It runs in a forked child of a process that has imported everything.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from faults import broken_files, small_runs
from faults.children import Ended, command, in_child

LIMIT = 30.0
"""Seconds that a case may take."""
SHARES = {"overrides": 0.45, "training": 0.15, "score": 0.2, "records": 0.1, "published": 0.1}
"""Parts of all cases, by what is malformed."""


@dataclass(frozen=True)
class Case:
    """One malformed thing.

    Attributes:
        kind: a key of SHARES.
        what: how it is malformed.
        words: the command; {here} stands for the case's own folder, {network} for the small network.
        files: what lies in that folder, by path; None stands for an empty folder in a file's place.
        codes: exit codes that are right.
        facts: whether the folder also has the facts of the papers, at FOLDER/facts.
    """

    kind: str
    what: str
    words: tuple[str, ...]
    files: Mapping[str, bytes | None] = field(default_factory=dict)
    codes: tuple[int, ...] = (0, 2)
    facts: bool = False


@dataclass(frozen=True)
class Ground:
    """What all cases share.

    Attributes:
        folder: where cases have their folders.
        network: the small network.
        runs: a folder of runs with a finished one in it, which must stay as it is.
        record: that run's record.
        data: files of GLUE in their official form, by path below data_dir.
    """

    folder: Path
    network: Path
    runs: Path
    record: Path
    data: Mapping[str, bytes]


def prepared(folder: Path) -> Ground:
    """Makes the ground that cases stand on: a small network, one finished run, GLUE's files with the world's rows."""
    network = small_runs.make_network(folder / "network")
    overrides = small_runs.words("lora", network, folder / "runs", "task.train_size=32", "trainer.max_epochs=1")
    ended = in_child(command(*overrides, "--quiet"))
    if ended.code:
        raise RuntimeError(f"the small run does not work: {ended.err}")
    record = small_runs.composed(overrides).folder / "record.json"
    return Ground(folder, network, folder / "runs", record, broken_files.glue_files())


def cases(ground: Ground, *, seed: int, count: int) -> list[Case]:
    """Returns cases of all kinds: the same ones for the same seed."""
    chance = random.Random(seed)
    made: list[Case] = []
    for kind, share in SHARES.items():
        made += [MAKERS[kind](ground, chance) for _ in range(max(1, round(share * count)))]
    return made[:count]


def tried(ground: Ground, case: Case, number: int) -> str:
    """Runs a case, and returns what is wrong with how it ended, or nothing."""
    here = ground.folder / f"case{number}"
    place = {"{here}": str(here), "{network}": str(ground.network), "{runs}": str(ground.runs)}
    try:
        _lay_out(case, here)
        said = case.words
        for name, value in place.items():
            said = tuple(word.replace(name, value) for word in said)
        environment = {f"REPRO_{name.upper()}_DIR": str(here / name) for name in ("runs", "results", "cache", "data")}
        environment |= {"HOME": str(here), "TMPDIR": str(here)}
        act = _with_facts(here / "facts", command(*said)) if case.facts else command(*said)
        return judged(in_child(act, limit=LIMIT, folder=here, environment=environment), case.codes)
    finally:
        shutil.rmtree(here, ignore_errors=True)


def judged(ended: Ended, codes: Sequence[int]) -> str:
    """Says what is wrong with how a command ended: it hangs, crashes, shows a traceback, or more than one line."""
    last = ended.said[-1][:200] if ended.said else ""
    if ended.code is None:
        return f"no end within {LIMIT:.0f} s"
    if ended.code < 0:
        return f"ended by signal {-ended.code}: {last}"
    if "Traceback" in ended.err:
        return f"a traceback: {last}"
    if ended.code not in codes:
        return f"exit code {ended.code}: {last}"
    if ended.code == 2 and (len(ended.said) != 1 or not ended.said[0].startswith("error: ")):
        return f"{len(ended.said)} lines on stderr: {' | '.join(ended.said)[:400]}"
    return ""


def _lay_out(case: Case, here: Path) -> None:
    here.mkdir()
    for name, content in case.files.items():
        file = here / name
        if content is None:
            file.mkdir(parents=True)
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    if case.facts:
        from repro import paths

        for paper in ("lora", "gqa"):
            for file in sorted((paths.FACTS / paper).glob("*.yaml")):
                (here / "facts" / paper).mkdir(parents=True, exist_ok=True)
                shutil.copy(file, here / "facts" / paper)


def _with_facts(facts: Path, act: Callable[[], int]) -> Callable[[], int]:
    """Lets a command read other facts than those that ship."""

    def patched() -> int:
        from repro import paths
        from repro.ledger import published

        paths.FACTS, paths.KEPT = facts, facts / "records"
        published.published.cache_clear()
        return act()

    return patched


# Overrides.

BASES: tuple[tuple[str, ...], ...] = (
    ("paper=lora", "task=glue/rte", "seed=0"),
    ("paper=finetune", "task=glue/mrpc", "optim.lr=1e-3", "trainer.max_epochs=2"),
    ("-m", "paper=lora,finetune", "task=glue/rte,glue/sst2", "seed=0,1"),
    ("paper=pretrain/mlm", "task=world/text", "task.batch_size=8"),
    ("paper=frozen", "task=glue", "threads=1", "jobs=2"),
    ("paper=lora", "task=glue/rte", "scale=local", "network=hf", "network.path={network}", "data_dir={here}/data"),
    ("paper=lora", "task=glue/rte", "inputs.start=[paper=lora,task=glue/mnli]"),
    ("paper=lora", "scale=paper", "model=roberta-large", "task=glue/cola", "paper.rank=8"),
    ("+conflicts=lora/glue", "paper=lora", "scale=paper", "task=glue/rte"),
    ("paper=lora", "task=glue/rte", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
)
NASTY = (
    *("", "null", "true", "-1", "0", "1", "0.5", "1e400", "nan", "inf", "-inf", "9" * 400, "1000000000", "1e-300"),
    *("[", "]", "[1,2", "[]", "{}", "{a:1", "{a:b}", "{a:{b:[1,{c:2}]}}", "'", '"', "'x", "(", ")", "\\", "\\,"),
    *("${", "${oc.env:NOPE}", "${seed}", "${nope}", "${oc.decode:[}", "${runs_dir", "$", "???", "%s", "{0}", "@", "~"),
    *(
        "é",
        "🦙",
        "\u2028",
        "\u202e",
        "a b",
        "a=b",
        "=",
        ",",
        "1,,2",
        "a,b",
        "1:2",
        "0x10",
        "1_000",
        "x" * 5000,
        "\udcff",
    ),
    *(
        "range(1,3)",
        "range(3)",
        "choice()",
        "choice(a,b)",
        "glob(*)",
        "sort(3,1)",
        "nope(1)",
        "interval(0,1)",
        "\n",
        "\t",
    ),
)
KEYS = (
    *("seed", "threads", "jobs", "rerun", "fast_dev_run", "checkpoint_seconds", "optim.lr", "optim.betas", "optim.eps"),
    *("optim.weight_decay", "optim.warmup_ratio", "optim.warmup_steps", "optim.schedule", "optim.clip", "optim"),
    *("trainer.max_epochs", "trainer.max_steps", "trainer.accumulate_grad_batches", "trainer.precision", "trainer"),
    *("trainer.log_every_n_steps", "trainer.strategy", "trainer.accelerator", "jobs", "trainer.limit_train_batches"),
    *("task.batch_size", "task.max_length", "task.train_size", "task.evaluation_tokens", "task.name", "task.source"),
    *("task.files", "task.files.train", "task.suite", "task._target_", "task", "paper", "paper._target_", "paper.rank"),
    *("paper.alpha", "paper.dropout", "paper.targets", "paper.init", "paper.sigma", "network", "network.path"),
    *("network.name", "network.weights", "+network.config", "+network.config.num_labels", "model", "model.name"),
    *(
        "+network.config.hidden_dropout_prob",
        "inputs",
        "inputs.start",
        "+inputs.network",
        "departs",
        "origin",
        "by_task",
    ),
    *("scale", "source", "recipe", "logger", "logger.mode", "suites", "outside_identity", "hydra", "hydra/launcher"),
    *("+nope", "nope", "++nope.a.b", "~optim.lr", "~seed", "+seed", "with", "hydra.mode", "hydra.nope", "+nope@here"),
    *(
        "~task",
        "~task.name",
        "~task.files",
        "~network.path",
        "~network.weights",
        "~trainer.max_epochs",
        "~paper._target_",
    ),
    *("~logger.mode", "~runs_dir", "~outside_identity", "~inputs", "~threads", "~trainer", "~model.name", "~optim"),
)


def _overrides(ground: Ground, chance: random.Random) -> Case:
    """A command line with one or two things wrong: composed only, or tried on one batch."""
    trial = chance.random() < 0.4
    words = list(small_runs.words("lora", Path("{network}"), Path("{here}/runs"))) if trial else [*chance.choice(BASES)]
    what = [chance.choice(_MUTATIONS)(words, chance) for _ in range(chance.choice((1, 1, 2)))]
    more = ("fast_dev_run=true",) if trial else ("--dry-run",)
    return Case("overrides", " and ".join(what), (*words, *more))


def _set_a_key(words: list[str], chance: random.Random) -> str:
    words.append(f"{chance.choice(KEYS)}={chance.choice(NASTY)}")
    return words[-1]


def _change_a_value(words: list[str], chance: random.Random) -> str:
    place = chance.randrange(len(words))
    key = words[place].partition("=")[0]
    safe = [value for value in NASTY if not (key.endswith("_dir") and value in ("~", ""))]
    words[place] = f"{key}={chance.choice(safe)}"
    return words[place]


def _misspell(words: list[str], chance: random.Random) -> str:
    place = chance.randrange(len(words))
    letters = list(words[place])
    at = chance.randrange(len(letters))
    kind = chance.choice(("drop", "double", "swap", "other"))
    if kind == "drop":
        del letters[at]
    elif kind == "double":
        letters.insert(at, letters[at])
    elif kind == "swap" and at:
        letters[at - 1], letters[at] = letters[at], letters[at - 1]
    else:
        letters[at] = chance.choice("=+~@/.,[{'\"$ é\\")
    words[place] = "".join(letters)
    return f"{words[place]!r}"


def _put_a_sign_before(words: list[str], chance: random.Random) -> str:
    place = chance.randrange(len(words))
    words[place] = chance.choice(("+", "++", "~", "-", "--", "=", "@", " ", "+~")) + words[place]
    return words[place]


def _twice(words: list[str], chance: random.Random) -> str:
    words.append(chance.choice(words))
    return f"{words[-1]} twice"


def _a_lone_word(words: list[str], chance: random.Random) -> str:
    words.insert(
        chance.randrange(len(words) + 1), chance.choice(("glue", "", "-", "--", "-x", "=", "==", "paper", "é"))
    )
    return "a lone word"


_MUTATIONS = (
    _set_a_key,
    _set_a_key,
    _change_a_value,
    _change_a_value,
    _misspell,
    _put_a_sign_before,
    _twice,
    _a_lone_word,
)


# Data, predictions, records, facts.


def _training(ground: Ground, chance: random.Random) -> Case:
    """Training at scale=local on a file that is broken."""
    task = chance.choice(sorted(broken_files.TASKS))
    split = chance.choice(("train", "validation"))
    name = broken_files.TASKS[task].files[split]
    what, content = broken_files.broken_table(ground.data[name], broken_files.TASKS[task], chance)
    kind = ("paper=frozen", f"task=glue/{task}", "recipe=finetune/glue/roberta-base-local", "trainer.max_epochs=1")
    more = ("scale=local", "data_dir={here}/data", "task.train_size=null", "task.max_length=32", "task.batch_size=16")
    words = (*kind, *more, *small_runs.COMMON, "network=hf", "network.path={network}", "--quiet")
    files = _others(ground, broken_files.TASKS[task]) | {f"data/{name}": content}
    return Case("training", f"{name}: {what}", words, files)


def _score(ground: Ground, chance: random.Random) -> Case:
    """Scoring with predictions, or references, that are broken."""
    task = chance.choice(sorted(broken_files.TASKS))
    form = broken_files.TASKS[task]
    name = form.files["validation"]
    files: dict[str, bytes | None] = dict(_others(ground, form))
    predictions = f"predictions.{chance.choice(('tsv', 'jsonl'))}"
    files[predictions] = broken_files.predictions(ground.data[name], form, lines=predictions.endswith("jsonl"))
    broken = chance.choice((name, predictions, predictions))
    if broken == name:
        what, files[f"data/{name}"] = broken_files.broken_table(ground.data[name], form, chance)
    elif predictions.endswith("jsonl"):
        what, files[predictions] = broken_files.broken_lines(files[predictions] or b"", chance)
    else:
        what, files[predictions] = broken_files.broken_table(files[predictions] or b"", broken_files.OFFICIAL, chance)
    words = ("score", f"glue/{task}", f"{{here}}/{predictions}", "--scale", "local", "--data-dir", "{here}/data")
    return Case("score", f"{broken}: {what}", words, files)


def _others(ground: Ground, form: broken_files.Form) -> dict[str, bytes | None]:
    return {f"data/{name}": ground.data[name] for name in form.files.values()}


def _records(ground: Ground, chance: random.Random) -> Case:
    """A record that is torn or edited, seen by whoever reads records."""
    what, content = broken_files.broken_json(ground.record.read_bytes(), chance)
    identity = ground.record.parent.name
    kept = chance.random() < 0.3
    name = "results/records/one.json" if kept else str(Path("runs") / ground.record.relative_to(ground.runs))
    verbs = (
        ("table", "lora"),
        ("table", "lora", "--format", "csv"),
        ("claims", "lora"),
        ("runs",),
        ("show", identity),
        ("keep", identity),
        ("compare", identity, identity),
        small_runs.words("lora", Path("{network}"), Path("{here}/runs"), "task.train_size=32", "trainer.max_epochs=1"),
    )
    words = chance.choice(verbs)
    reads_all = words[0] in ("table", "claims", "runs")  # they name what they leave out, show the rest, and return 1
    return Case("records", f"{name}: {what}", words, {name: content}, codes=(0, 1, 2) if reads_all else (0, 2))


def _published(ground: Ground, chance: random.Random) -> Case:
    """Facts that are broken."""
    from repro import paths

    content = (paths.FACTS / "lora" / "published.csv").read_bytes()
    what, broken = broken_files.broken_csv(content, chance)
    files = {"facts/lora/published.csv": broken, "facts/gqa/published.csv": None}
    files["facts/gqa/published.csv"] = (paths.FACTS / "gqa" / "published.csv").read_bytes()
    verbs = (
        ("table", "lora"),
        ("table",),
        ("claims", "lora"),
        ("verify", "lora"),
        ("table", "lora", "--format", "json"),
    )
    words = chance.choice(verbs)
    return Case("published", what, words, files, codes=(0, 1, 2), facts=True)


MAKERS: dict[str, Callable[[Ground, random.Random], Case]] = {
    "overrides": _overrides,
    "training": _training,
    "score": _score,
    "records": _records,
    "published": _published,
}


def failures(ground: Ground, made: Sequence[Case]) -> Iterator[tuple[Case, str]]:
    """Runs cases one after the other, and yields those that ended wrongly, with what is wrong."""
    for number, case in enumerate(made):
        if wrong := tried(ground, case, number):
            yield case, wrong
