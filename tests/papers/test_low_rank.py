"""Stages that look at other runs' adapters: their numbers from PEFT's own files, and that they train nothing."""

from __future__ import annotations

import json

import numpy as np
import peft
import pytest
import torch

from repro.errors import UserError
from repro.models.adapter_folder import write_adapter
from repro.papers.low_rank import Amplified, Shared, read_updates

RANK, ALPHA = 4, 8


@pytest.fixture
def adapter(toy, tmp_path):
    """Returns a function that saves PEFT's adapter of a rank, with random A and B."""

    def save(name: str, rank: int = RANK, targets=("query", "value"), seed: int = 0, **settings):
        torch.manual_seed(seed)
        config = peft.LoraConfig(
            r=rank, lora_alpha=ALPHA, target_modules=list(targets), init_lora_weights=False, **settings
        )
        peft.get_peft_model(toy.network("bert"), config).save_pretrained(tmp_path / name)
        return tmp_path / name

    return save


def stage(kind, toy, inputs, **settings):
    module = kind(
        task=toy.task(), load=lambda: {"network": toy.network("bert")}, inputs=inputs, optim={}, seed=3, **settings
    )
    module.configure_model()
    return module


def pair(folder, layer, target):
    tensors = peft.utils.load_peft_weights(str(folder), device="cpu")
    names = [f"base_model.model.bert.encoder.layer.{layer}.attention.self.{target}.lora_{one}.weight" for one in "AB"]
    return [tensors[name].double().numpy() for name in names]


def test_similarities_are_those_of_the_files_by_layer(adapter, toy):
    inputs = {"first": adapter("one", 4), "second": adapter("two", 8, seed=1)}
    found = stage(Shared, toy, inputs, compare="ranks", rank=4, other_rank=8).measured()
    phi, of_update = [], []
    for layer in (0, 1):
        (A1, B1), (A2, B2) = (pair(inputs[name], layer, "query") for name in ("first", "second"))
        for grids, first, second in ((phi, A1, A2), (of_update, B1 @ A1, B2 @ A2)):
            V1, V2 = (np.linalg.svd(matrix)[2] for matrix in (first, second))
            grids.append([[(V1[:i] @ V2[:j].T) ** 2 for j in range(1, 9)] for i in range(1, 5)])
    for kind, grids in (("similarity", phi), ("update_similarity", of_update)):
        for i, j in ((1, 1), (1, 8), (2, 8)):
            expected = np.mean([grid[i - 1][j - 1].sum() / min(i, j) for grid in grids])
            assert found.numbers[f"{kind}_query_{i}_{j}"] == pytest.approx(expected)
        means = [grid[i - 1][j - 1].sum() / min(i, j) for grid in grids for i in range(1, 5) for j in range(1, 9)]
        assert found.numbers[f"{kind}_query_mean"] == pytest.approx(np.mean(means))
    assert found.numbers["chance_value_1_8"] == 8 / 16
    assert "similarity_query_8_8" not in found.numbers
    shown = found.details["similarity"]["query"]
    assert [len(shown["mean"]), len(shown["mean"][0])] == [4, 8]
    for layer, name in ((0, "first"), (1, "last")):
        assert shown[name][1][7] == pytest.approx(phi[layer][1][7].sum() / 2, abs=1e-4)
    json.dumps(found.details)


def test_a_run_compared_with_itself_shares_everything(adapter, toy):
    folder = adapter("one")
    found = stage(Shared, toy, {"first": folder, "second": folder}, compare="seeds", rank=4, other_rank=4).measured()
    assert found.numbers["similarity_value_1_1"] == pytest.approx(1)
    assert found.numbers["update_similarity_value_1_1"] == pytest.approx(1)
    assert found.numbers["gaussian_value_1_1"] < 0.9


def test_amplification_is_that_of_the_pretrained_matrix_and_the_scaled_update(adapter, toy):
    folder = adapter("one")
    found = stage(Amplified, toy, {"adapter": folder}, rank=RANK).measured()
    layers = []
    for layer in (0, 1):
        A, B = pair(folder, layer, "value")
        W = toy.network("bert").bert.encoder.layer[layer].attention.self.value.weight.detach().double().numpy()
        U, S, Vt = np.linalg.svd(ALPHA / RANK * B @ A)
        norms = np.linalg.norm(S), np.linalg.norm(U[:, :RANK].T @ W @ Vt[:RANK].T)
        layers.append((*norms, norms[0] / norms[1]))
    for place, name in enumerate(("update_norm", "projection_norm_update", "amplification")):
        assert found.numbers[f"{name}_value"] == pytest.approx(np.mean([layer[place] for layer in layers]))
        assert found.numbers[f"{name}_value_middle"] == pytest.approx(layers[0][place])
        assert found.details["value"][name] == pytest.approx([layer[place] for layer in layers], rel=1e-5)


def test_a_stage_trains_predicts_and_leaves_nothing(adapter, toy, tmp_path):
    module = stage(Amplified, toy, {"adapter": adapter("one")}, rank=RANK)
    assert not module.trains
    assert module.scored_splits() == []
    assert module.trainable_parameters() == 0
    module.save_product(tmp_path / "product")
    assert not (tmp_path / "product").exists()


def test_layers_come_in_the_order_of_the_network(tmp_path):
    names = [f"bert.encoder.layer.{layer}.attention.self.query" for layer in range(11)]
    tensors = {f"{name}.lora_A.weight": torch.ones(2, 1) for name in names}
    tensors |= {f"{name}.lora_B.weight": torch.ones(1, 2) for name in names}
    write_adapter(tmp_path / "product", {"r": 2, "lora_alpha": 6}, tensors)
    updates = read_updates(tmp_path / "product")
    assert list(updates["query"]) == names
    assert {one.scale for one in updates["query"].values()} == {3}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"use_rslora": True}, "use_rslora is True: it is more than plain"),
        ({"use_dora": True}, "use_dora is True: it is more than plain"),
    ],
)
def test_updates_of_another_kind_are_refused(adapter, settings, message):
    with pytest.raises(UserError, match=message):
        read_updates(adapter("one", **settings))


def test_wrong_inputs_say_so(adapter, toy):
    settings = {"compare": "seeds", "rank": 4, "other_rank": 4}
    with pytest.raises(UserError, match=r"inputs\.second is missing"):
        stage(Shared, toy, {"first": adapter("one")}, **settings).measured()
    inputs = {"first": adapter("one"), "second": adapter("two", targets=["key"])}
    with pytest.raises(UserError, match="adapt no matrix in common"):
        stage(Shared, toy, inputs, **settings).measured()
    with pytest.raises(UserError, match=r"paper\.compare is 'layers': say ranks, seeds or both"):
        stage(Shared, toy, inputs, **settings | {"compare": "layers"})
