"""Cells: what a command line stands for, how it is named, and what is said when it stands for nothing."""

from __future__ import annotations

import pytest
from hydra.utils import get_class

from repro.errors import UserError
from repro.runs.compose import cell, flat
from repro.runs.expand import expand, options, read


def one(*words):
    return cell(tuple(words))


def test_the_recipe_is_found_and_fills_in_what_varies_by_task():
    mrpc, rte = one("paper=lora", "task=glue/mrpc", "scale=paper"), one("paper=lora", "task=glue/rte", "scale=paper")
    assert mrpc.choices["recipe"] == "lora/glue/roberta-base-paper"
    assert (mrpc.config["optim"]["lr"], rte.config["optim"]["lr"]) == (4e-4, 5e-4)  # Table 9
    assert (mrpc.config["trainer"]["max_epochs"], rte.config["trainer"]["max_epochs"]) == (30, 80)


def test_a_published_run_starts_from_the_mnli_adapter():
    rte = one("paper=lora", "task=glue/rte", "scale=paper")
    assert rte.inputs["start"].task == "glue/mnli"
    assert rte.inputs["start"].seed == 0
    assert rte.inputs["start"].config["scale"] == "paper"
    assert one("paper=lora", "task=glue/mnli", "scale=paper").inputs == {}


def test_seeds_do_not_multiply_what_a_run_starts_from():
    first, second = one("paper=lora", "task=glue/rte", "seed=1"), one("paper=lora", "task=glue/rte", "seed=2")
    assert first.identity != second.identity
    assert first.inputs["network"].identity == second.inputs["network"].identity


def test_places_and_habits_leave_the_identity(tmp_path):
    plain = one("paper=lora", "task=glue/rte")
    moved = one(
        "paper=lora",
        "task=glue/rte",
        f"runs_dir={tmp_path}",
        "jobs=7",
        "threads=2",
        "logger=none",
        "trainer.accelerator=cpu",
        "rerun=true",
        "trainer.log_every_n_steps=1",
    )
    assert moved.identity == plain.identity
    assert moved.folder == tmp_path / "lora" / "glue" / "rte" / plain.identity
    assert moved.deviates == ()


def test_a_setting_changes_the_identity_and_is_named_as_a_deviation():
    plain, other = (
        one("paper=lora", "task=glue/rte"),
        one("paper=lora", "task=glue/rte", "trainer.max_epochs=1", "paper.rank=2"),
    )
    assert other.identity != plain.identity
    assert plain.deviates == ()
    assert other.deviates == ("paper.rank", "trainer.max_epochs")


def test_spelling_out_what_the_recipe_says_is_no_deviation():
    plain = one("paper=lora", "task=glue/rte")
    same = one(
        "paper=lora", "task=glue/rte", f"paper.rank={plain.config['paper']['rank']}", "model=roberta-base", "scale=tiny"
    )
    assert (same.identity, same.deviates) == (plain.identity, ())


def test_a_start_is_made_with_the_runs_own_alpha_and_that_is_no_deviation_of_its_own():
    plain, other = one("paper=lora", "task=glue/rte"), one("paper=lora", "task=glue/rte", "paper.alpha=8")
    assert other.inputs["start"].config["paper"]["alpha"] == 8
    assert plain.inputs["start"].identity == one("paper=lora", "task=glue/mnli").identity
    assert other.deviates == ("paper.alpha",)


def test_another_start_is_a_deviation():
    other = one("paper=lora", "task=glue/rte", "inputs.start=['paper=lora','task=glue/qnli']")
    assert other.inputs["start"].task == "glue/qnli"
    assert other.deviates == ("inputs.start",)


def test_another_network_than_the_scale_brings_is_a_deviation():
    assert one("paper=finetune", "task=glue/rte", "network=tiny/encoder-random").deviates == ("network",)


def test_an_input_replaced_is_a_deviation(tmp_path):
    given = one("paper=lora", "task=glue/rte", f"inputs.start={tmp_path}")
    assert given.given == {"start": tmp_path}
    assert "inputs.start" in given.deviates
    (tmp_path / "adapter_config.json").write_text("{}")
    cell.cache_clear()
    assert one("paper=lora", "task=glue/rte", f"inputs.start={tmp_path}").identity != given.identity


def test_at_local_scale_the_network_that_a_user_must_name_is_no_deviation(glue_files):
    local = one(
        "paper=lora",
        "task=glue/rte",
        "scale=local",
        "network=minilm",
        f"data_dir={glue_files}",
        f"weights_dir={glue_files}/weights",
    )
    assert local.deviates == ()
    assert local.config["network"]["name"] == "minilm"


@pytest.fixture
def glue_files(tmp_path):
    folder = tmp_path / "glue" / "RTE"
    folder.mkdir(parents=True)
    (tmp_path / "weights" / "minilm").mkdir(parents=True)
    for split in ("train", "dev"):
        (folder / f"{split}.tsv").write_text("index\tsentence1\tsentence2\tlabel\n0\ta\tb\tentailment\n")
    return tmp_path


def test_the_content_of_a_data_file_is_part_of_the_identity(glue_files):
    words = (
        "paper=lora",
        "task=glue/rte",
        "scale=local",
        "network=minilm",
        f"data_dir={glue_files}",
        f"weights_dir={glue_files}/weights",
    )
    before = one(*words).identity
    (glue_files / "glue" / "RTE" / "train.tsv").write_text("index\tsentence1\tsentence2\tlabel\n0\ta\tc\tentailment\n")
    cell.cache_clear()
    assert one(*words).identity != before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["paper=lroa"], "paper=lroa is not known: did you mean lora?"),
        (["task=glue/mprc"], "task=glue/mprc is not known: did you mean glue/mrpc?"),
        (["model=roberta-bass"], "model=roberta-bass is not known: did you mean roberta-base?"),
        (["network=minlm"], "network=minlm is not known: did you mean minilm?"),
        (["scale=tinny"], "scale=tinny is not known: did you mean tiny?"),
        (["paper.rnak=4"], r"paper.rnak is no key of this configuration: did you mean paper.rank\?"),
        (["optim.learning_rate=1"], "optim.learning_rate is no key of this configuration"),
        (["seed=one"], "seed=one is no integer"),
        (["seed=1.5"], "seed=1.5 is no integer"),
        (["rerun=no"], "rerun=no is no truth value: give true or false"),
        (["threads=0"], "threads=0 is no number of threads"),
        (["checkpoint_seconds=-1"], "checkpoint_seconds=-1 is no time"),
        (["trainer.max_epochs=many"], "trainer.max_epochs=many is no number of epochs"),
        (["trainer.accumulate_grad_batches=0"], "trainer.accumulate_grad_batches=0 is no number of batches"),
        (["optim.lr=inf"], "optim.lr=inf is no finite number"),
        (["task=glue/mrpc", "optim=3"], "optim=3 has no keys: set one of its keys, such as optim.KEY=VALUE"),
        (["task=glue/mrpc", "network.config=3"], "network.config=3 has no keys"),
        (["task.files=x"], "task.files=x has no keys"),
        (["runs_dir=3"], "runs_dir=3 is no name of a folder"),
        (["network=hf", "network.path=0.5"], "network.path=0.5 is no name of a folder"),
        (["inputs.start=-3"], "inputs.start=-3 is no input"),
        (["inputs.start=[1]"], r"inputs.start=\[1\] is no input"),
        (["inputs=3"], "inputs=3 has no keys"),
        (["~task=glue/mrpc"], "task can't be left out"),
        (["logger.mode=of"], "logger.mode=of is no way to log: give one of online, offline"),
        (["~logger.mode=offline"], "logger.mode can't be left out"),
        (["@task.batch_size=16"], "Config group override must be a string"),
        (["scale=local"], "scale=local needs a network of yours: add network=NAME"),
        (
            ["model=deberta-v2-xxlarge"],
            "no recipe for paper=lora task=glue/mrpc model=deberta-v2-xxlarge scale=tiny: "
            "conf/recipe/lora/glue/deberta-v2-xxlarge-tiny.yaml would supply",
        ),
        (["task=glue/wnli"], "conf/recipe/lora/glue/roberta-base-tiny.yaml has no by_task.*wnli"),
        (["inputs.start=/nowhere/at/all"], "inputs.start=/nowhere/at/all is no folder"),
        (["scale=local", "network=minilm", "data_dir=/nowhere"], "/nowhere/glue/MRPC/train.tsv is missing"),
    ],
)
def test_a_mistake_is_named_with_its_mend(words, message):
    with pytest.raises(UserError, match=message):
        one(*(["paper=lora"] if "paper" not in words[0].split("=")[0] or "." in words[0] else []), *words)


def test_what_follows_from_a_key_that_was_given_is_no_deviation_of_its_own():
    # Table 9 has a learning rate and epochs for each kind and bottleneck.
    words = ("paper=adapter", "task=glue/sst2", "model=roberta-large", "setup=restricted", "scale=paper")
    wide, narrow = one(*words), one(*words, "paper.bottleneck=16")
    assert (wide.config["optim"]["lr"], narrow.config["optim"]["lr"]) == (3e-5, 3e-4)
    assert (wide.deviates, narrow.deviates) == ((), ("paper.bottleneck",))
    assert one(*words, "paper.bottleneck=16", "optim.lr=1e-3").deviates == ("optim.lr", "paper.bottleneck")


def all_cells():
    for paper in options("paper"):
        for suite, names in read(f"paper/{paper}")["suites"].items():
            for name in names:
                for recipe in options("recipe"):
                    if recipe.startswith(f"{paper}/{suite}/"):
                        model, _, scale = recipe.rpartition("/")[2].rpartition("-")
                        setup = ()
                        if model not in options("model"):
                            model, _, variant = model.rpartition("-")
                            setup = (f"setup={variant}",)
                        if scale != "local":
                            yield f"paper={paper}", f"task={suite}/{name}", f"model={model}", f"scale={scale}", *setup


def test_every_recipe_composes_for_every_task_and_its_targets_exist():
    found = list(all_cells())
    assert len(found) >= 8 * 3
    for words in found:
        composed = one(*words)
        for key, value in flat(composed.config).items():
            if key.endswith("_target_") and not key.startswith("network."):
                assert get_class(value)


def test_every_value_of_a_recipe_has_an_origin():
    for name in options("recipe"):
        if name == "none":
            continue
        recipe = read(f"recipe/{name}")
        given = [f"{group}.{key}" for group in ("optim", "trainer", "task", "paper") for key in recipe.get(group, {})]
        assert set(given) <= set(recipe["origin"]), f"{name}: {set(given) - set(recipe['origin'])}"


def test_a_finished_sweep_is_the_same_cells_again():
    grids, _ = expand(["paper=lora", "task=glue"])
    words = [tuple(f"{key}={value}" for key, value in grid.items()) for grid in grids]
    before = [cell(each).identity for each in words]
    cell.cache_clear()
    assert [cell(each).identity for each in words] == before


def test_missing_weights_are_named_and_a_hub_name_is_taken_as_it_is(glue_files):
    words = ("paper=lora", "task=glue/rte", "scale=local", f"data_dir={glue_files}")
    with pytest.raises(UserError, match=r"the network's folder .*nowhere/minilm is missing: weights_dir=FOLDER"):
        one(*words, "network=minilm", f"weights_dir={glue_files}/nowhere")
    with pytest.raises(UserError, match="the network's folder /no/such is missing"):
        one(*words, "network=hf", "network.path=/no/such")
    assert one(*words, "network=hf", "network.path=prajjwal1/bert-tiny").config["network"]["name"] == "hf:bert-tiny"


def test_the_network_that_ships_is_what_its_own_command_makes(tmp_path):
    from repro.runs.find import product, recorded

    made = one("paper=pretrain/mlm", f"runs_dir={tmp_path}")
    record = recorded(made)
    assert record is not None, "data/tiny/encoder is of another recipe or world: make it again and keep --ship it"
    assert one("paper=lora", f"runs_dir={tmp_path}").inputs["network"].identity == record.identity
    assert (product(made) / "model.safetensors").stat().st_size < 3_000_000


@pytest.mark.parametrize("group", ["paper", "task", "model", "network", "scale", "trainer", "logger", "recipe"])
def test_every_option_of_a_group_composes_or_names_what_it_lacks(group):
    for name in options(group):
        words = [f"{group}={name}"] + ([] if group == "paper" else ["paper=lora"])
        try:
            chosen, mend = one(*words).choices[group], ""
        except UserError as error:
            chosen, mend = None, error.mend
        assert chosen == name or mend


@pytest.mark.parametrize(
    ("words", "deviates"),
    [
        (["paper=lora/subspace", "seed=3"], ()),
        (["paper=lora/subspace", "seed=3", "paper.compare=seeds"], ("paper.compare",)),
        (["paper=lora/amplification", "paper.rank=64", "seed=1"], ("paper.rank",)),
        (["paper=lora/amplification", 'inputs.adapter=["paper=lora","task=glue/mnli"]'], ("inputs.adapter",)),
    ],
)
def test_an_input_deviates_only_where_no_other_key_says_so(words, deviates):
    assert one(*words).deviates == deviates


def test_stages_start_from_runs_of_their_seed_and_rank():
    ranks, seeds, both = (
        one("paper=lora/subspace", "seed=3", f"paper.compare={word}") for word in ("ranks", "seeds", "both")
    )
    found = [
        [(cell.inputs[name].config["paper"]["rank"], cell.inputs[name].seed) for name in ("first", "second")]
        for cell in (ranks, seeds, both)
    ]
    assert found == [[(8, 3), (64, 3)], [(64, 3), (64, 4)], [(8, 3), (64, 4)]]
    plain = one("paper=lora", "task=glue/mnli", "paper.rank=64", "seed=4")
    assert seeds.inputs["second"].identity == plain.identity
