"""Analyses from synthetic records: numbers worked by hand, figures that are drawn, and commands that make the runs."""

from __future__ import annotations

import hashlib
import math
import shlex
from dataclasses import replace

import pytest
import yaml

from repro import paths
from repro.errors import UserError
from repro.ledger.analyses import analyses, conditions, plans
from repro.ledger.analysis_figures import analysis_figure
from repro.ledger.render import markdown
from repro.records.canonical import canonical
from repro.runs.expand import expand

PAPERS = sorted(file.parent.name for file in paths.FACTS.glob("*/analyses.yaml"))
SETTINGS = {"rank": 8, "targets": ["query", "value"]}
RUN = {"seconds": 1.0, "trainable_parameters": 100, "head_parameters": 20, "total_parameters": 900}


@pytest.fixture
def fitting(make_record):
    """Returns a function that makes the record of a condition: the seed is added to its score, and to its measures."""

    def make(condition, seed=0, score=80.0, measures=(), details=None, **fields):
        config = {"paper": dict(SETTINGS), "task": {"train_size": None}, "trainer": {}}
        named = []
        for key, value in condition.items():
            if key.startswith("config."):
                _, group, name = key.split(".")
                named += [f"{group}.{name}"] if config[group].get(name) != value else []
                config[group][name] = value
        task = condition["task"].rpartition("/")[2]
        made = make_record(
            paper=condition["paper"],
            task=task,
            seed=seed,
            score=score + seed,
            stage=condition.get("stage"),
            scale=condition.get("scale", fields.pop("scale", "tiny")),
            config=config | {"seed": seed, "outside_identity": []},
            deviates=named,
            measures={**RUN, **{name: value + seed for name, value in dict(measures).items()}},
            details=details or {},
            **fields,
        )
        kept = [made.paper, made.stage, task, made.scale, made.network, made.config]
        return replace(made, identity=hashlib.sha256(canonical(kept).encode()).hexdigest()[:12])

    return make


@pytest.fixture
def described(tmp_path, monkeypatch):
    """Returns a function that writes the analyses of a paper "lora"."""

    def write(*listed):
        (tmp_path / "lora").mkdir(exist_ok=True)
        (tmp_path / "lora" / "analyses.yaml").write_text(yaml.safe_dump(list(listed), sort_keys=False))
        published = (paths.FACTS / "lora" / "published.csv").read_text()
        (tmp_path / "lora" / "published.csv").write_text(published)
        monkeypatch.setattr(paths, "FACTS", tmp_path)

    return write


PLAN = {
    "name": "ranks",
    "title": "The rank",
    "kind": "line",
    "tasks": {"glue/mnli": "accuracy", "glue/cola": "matthews"},
    "commands": ["python -m repro paper=lora"],
    "condition": {"paper": "lora"},
    "x": {"label": "rank", "log": True, "sign": "r="},
    "published": {"table": "T6", "column": "MNLI"},
    "points": [{"at": one, "condition": {"config.paper.rank": one}} for one in (1, 8, 64)],
    "lines": [{"label": "q,v", "published": {"row": "GPT-3 175B, LoRA, q,v, r={at}"}}],
}


def rank(one, task="glue/mnli"):
    return {"paper": "lora", "config.paper.rank": one, "task": task}


def test_a_table_has_the_mean_and_the_deviation_of_each_point_beside_the_published_number(described, fitting):
    described(PLAN)
    records = [fitting(rank(one), seed, 70 + one) for one in (1, 8) for seed in (0, 1, 2)]
    (found,), silent = analyses("lora", records)
    assert silent == []
    assert found.table.columns == ("tiny", "published", "mnli accuracy", "cola matthews", "trainable")
    (first, second) = found.table.rows
    assert [first.label, second.label] == ["q,v, r=1", "q,v, r=8"]
    assert [cell.printed for cell in first.cells] == ["91.3", "72.0", "not run", "80"]  # T6 has 91.3; 71, 72, 73
    assert (first.cells[1].spread, first.cells[1].n) == ("1.0", 3)
    assert second.cells[1].value == pytest.approx(79)
    assert found.table.below[0] == "Not run: q,v, r=64."
    assert [spot.at for spot in found.spots] == [1, 8, 64]


def test_one_point_alone_compares_nothing(described, fitting):
    described(PLAN)
    assert analyses("lora", [fitting(rank(8), seed) for seed in (0, 1)]) == ([], ["ranks"])
    assert analyses("lora", []) == ([], ["ranks"])


def test_each_network_is_by_itself(described, fitting):
    described(PLAN)
    records = [
        fitting(rank(one), 0, score, scale=scale, network=network)
        for scale, network, score in (("tiny", "tiny/encoder", 70), ("local", "minilm", 90))
        for one in (1, 8)
    ]
    found, _ = analyses("lora", records)
    assert [one.name for one in found] == ["ranks-tiny-tiny-encoder", "ranks-local-minilm"]
    assert [one.table.rows[0].cells[1].value for one in found] == [70, 90]
    assert found[1].table.below[-1] == "`python -m repro paper=lora scale=local network=minilm`"
    assert [one.scale for one in analyses("lora", records, "local")[0]] == ["local"]


def test_a_trial_enters_no_analysis(described, fitting):
    described(PLAN)
    records = []
    for one in (1, 8):
        records.append(replace(fitting(rank(one)), deviates=["paper.rank", "trainer.max_steps"]))
    assert analyses("lora", records) == ([], ["ranks"])


def test_records_that_differ_in_more_than_the_seed_are_refused(described, fitting):
    described(PLAN)
    odd = fitting(rank(1), 1)
    odd.config["optim"] = {"lr": 1.0}
    found, _ = analyses("lora", [fitting(rank(1)), odd, fitting(rank(8)), fitting(rank(64))])
    assert found[0].table.rows[0].cells[1].printed == "refused"
    assert "config.optim.lr" in found[0].table.notes[0]


def test_a_point_may_stand_where_a_measure_says(described, fitting):
    described({**PLAN, "x": {"measure": "trainable_parameters"}})
    (found,), _ = analyses("lora", [fitting(rank(1)), fitting(rank(8))])
    assert [spot.at for spot in found.spots] == [80, 80, None]  # 100 less the head's 20


def test_a_line_may_have_a_measure_of_its_own(described, fitting):
    described({**PLAN, "lines": [{"label": "norm", "metric": "norm", "published": None}], "decimals": 2})
    records = [fitting(rank(one), seed, measures={"norm": 2.5}) for one in (1, 8) for seed in (0, 1)]
    (found,), _ = analyses("lora", records)
    assert "published" not in found.table.columns
    assert (found.table.rows[0].cells[0].printed, found.table.rows[0].cells[0].spread) == ("3.00", "0.71")


HEAT = {
    "name": "shared",
    "title": "phi",
    "kind": "heat",
    "tasks": ["glue/mnli"],
    "commands": ["python -m repro paper=lora/subspace"],
    "condition": {"paper": "lora", "stage": "subspace"},
    "panels": [
        {"label": "query", "grid": "similarity.query.mean"},
        {"label": "value", "grid": "similarity.value.mean"},
    ],
    "places": [[1, 1], [2, 3], [8, 8]],
}


def test_a_heat_map_is_the_mean_over_seeds_with_numbers_at_some_places(described, fitting):
    described(HEAT)
    condition = {**HEAT["condition"], "task": "glue/mnli"}
    records = [
        fitting(condition, seed, details={"similarity": {"query": {"mean": [[0.2, 0, 0.1], [0.4, 0.5, 0.6 + seed]]}}})
        for seed in (0, 1)
    ]
    (found,), _ = analyses("lora", records)
    (panel,) = found.panels
    assert panel.mean[1] == pytest.approx([0.4, 0.5, 1.1])
    query, value = found.table.rows
    assert [cell.printed for cell in query.cells] == ["0.20", "1.10", "-"]
    assert query.cells[1].spread == f"{math.sqrt(0.5):.2f}"
    assert [cell.printed for cell in value.cells] == ["-", "-", "-"]
    assert "1 of 2 not run" in analysis_figure(found).caption


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"kind": "pie"}, "lora/analyses.yaml: ranks has the kind pie"),
        ({"title": None, "tittle": "x"}, "unknown key tittle"),
        ({"lines": [{"condition": {}}]}, "ranks has no label"),
        ({"points": [{"where": 1}]}, "unknown key where"),
        ({"lines": [{"label": "q", "published": {"row": "nobody"}}]}, "T6 has no nobody, MNLI"),
    ],
)
def test_a_mistake_in_the_file_is_named(described, fitting, plan, message):
    described({**PLAN, **plan})
    with pytest.raises(UserError, match=message):
        analyses("lora", [fitting(rank(one)) for one in (1, 8)])


# The analyses that ship.


def full(paper, fitting, seeds=(0, 1)):
    """Records of all that a paper's analyses ask for."""
    grid = [[(i + j) / 80 for j in range(64)] for i in range(8)]
    names = ("similarity", "update_similarity", "gaussian", "chance")
    details = {
        name: {one: dict.fromkeys(("mean", "first", "last"), grid) for one in ("query", "value")} for name in names
    }
    metrics = {line["metric"]: 2.0 for plan in plans(paper) for line in plan.get("lines", ()) if "metric" in line}
    wanted = {canonical(one): one for plan in plans(paper) for one in conditions(plan)}
    records = [
        fitting(one, seed, 60 + place % 7, metrics if one.get("stage") else {}, details if one.get("stage") else None)
        for place, one in enumerate(wanted.values())
        for seed in seeds
    ]
    return list({one.identity: one for one in records}.values())  # some runs are asked for in several analyses


@pytest.mark.parametrize("paper", PAPERS)
def test_every_analysis_finds_its_records_and_is_drawn(paper, fitting):
    found, silent = analyses(paper, full(paper, fitting))
    assert silent == []
    assert {one.plan["name"] for one in found} == {plan["name"] for plan in plans(paper)}
    for one in found:
        assert "not run" not in markdown(one.table)
        assert "refused" not in markdown(one.table)
        figure = analysis_figure(one)
        assert "not run" not in figure.caption
        assert figure.svg().count("<path") > 20


def test_a_figure_is_the_same_bytes_and_another_number_is_another_figure(fitting, described):
    described(PLAN)
    records = [fitting(rank(one), seed) for one in (1, 8) for seed in (0, 1)]
    one, other = (analysis_figure(analyses("lora", order)[0][0]) for order in (records, records[::-1]))
    assert one.inputs == other.inputs
    assert one.svg() == other.svg()
    moved = [fitting(rank(1), 0, 81.0), *records[1:]]
    assert analysis_figure(analyses("lora", moved)[0][0]).inputs != one.inputs


@pytest.mark.parametrize("plan", [plan for paper in PAPERS for plan in plans(paper)], ids=lambda plan: plan["name"])
def test_the_commands_make_the_runs_that_are_asked_for(plan):
    """Each condition is met by a cell of a command, by its words and the defaults of the recipe."""
    cells = [cell for command in plan["commands"] for cell in expand(shlex.split(command)[4:], multirun=True)[0]]
    said = [{key.lstrip("+"): yaml.safe_load(str(value)) for key, value in cell.items()} for cell in cells]
    for condition in conditions(plan):
        name = "/".join(condition[key] for key in ("paper", "stage") if key in condition)
        file = paths.CONF / "paper" / f"{name}.yaml"
        settings = yaml.safe_load(file.read_text())["paper"]
        wanted = {key.removeprefix("config."): value for key, value in condition.items() if key.startswith("config.")}
        fits = [
            cell
            for cell in said
            if (cell["paper"], cell["task"]) == (name, condition["task"])
            and all(
                canonical(cell.get(key, _default(key, settings))) == canonical(value) for key, value in wanted.items()
            )
            and all(key in wanted or key in ("paper", "task", "seed") for key in cell)
        ]
        assert {cell["seed"] for cell in fits} == {0, 1, 2, 3, 4}, condition


def _default(key, settings):
    """What a run has where its command does not say it."""
    group, _, name = key.partition(".")
    if group != "paper":
        return None
    return SETTINGS.get(name) if settings.get(name, "???") == "???" else settings[name]
