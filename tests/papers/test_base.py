from __future__ import annotations

import re
import warnings

import lightning
import pytest
import torch
import transformers
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from repro.errors import UserError
from repro.papers import base
from repro.papers.base import checked_optim, parameter_groups, schedule_factor
from repro.papers.finetune import Finetune
from repro.papers.lora import LoRA

METHOD = {"rank": 4, "alpha": 8, "dropout": 0.1, "targets": ["query", "value"]}


class Watch(lightning.Callback):
    """Keeps what each step did."""

    def __init__(self):
        self.losses, self.safe, self.training, self.norms = [], [], [], []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.losses.append(outputs["loss"].item())
        self.safe.append(module.safe_point())
        self.training.append(module.network.training)

    def on_before_optimizer_step(self, trainer, module, optimizer):
        self.norms.append(
            torch.nn.utils.get_total_norm([p.grad for p in module.parameters() if p.grad is not None]).item()
        )


def fit(module, batches, *, resume=None, validation=None, also=(), **settings):
    watch = Watch()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = lightning.Trainer(
            accelerator="cpu",
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[watch, *([also] if also else [])],
            **{"max_epochs": 1, **settings},
        )
        trainer.fit(module, DataLoader(batches, batch_size=None), validation, ckpt_path=resume)
    return trainer, watch


def test_thirty_steps_of_each_method_reduce_the_loss(paper, toy):
    batch = toy.batch(16)
    for kind, settings, below in (
        (LoRA, METHOD, 0.6),
        (Finetune, {"trains": "all"}, 0.4),
        (Finetune, {"trains": "head"}, 0.9),
    ):
        module = paper(kind, optim={"lr": 0.02 if kind is LoRA else 0.005}, **settings)
        frozen = {name: value.clone() for name, value in module.network.named_parameters() if not value.requires_grad}
        _, watch = fit(module, [batch] * 30)
        assert watch.losses[-1] < below * watch.losses[0], settings
        assert all(watch.training)
        assert all(torch.equal(value, module.network.get_parameter(name)) for name, value in frozen.items())
        assert module.steps == 30
        assert int(module.tokens) == 30 * (16 * 10 - 2)


def torch_counts(call) -> int:
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


@pytest.mark.parametrize(("kind", "settings"), [(LoRA, METHOD), (Finetune, {"trains": "head"})])
def test_the_operations_of_a_run_are_those_of_its_batches(paper, toy, kind, settings):
    module, other = paper(kind, **settings), paper(kind, **settings)
    large, small = toy.batch(6, 10), toy.batch(3, 7)

    class Between(lightning.Callback):
        @torch.no_grad()
        def on_train_epoch_end(self, trainer, module):
            module.predict(small)

    trainer, _ = fit(
        module,
        [large, small],
        also=Between(),
        validation=DataLoader([large], None),
        num_sanity_val_steps=0,
        max_epochs=2,
        accumulate_grad_batches=2,
    )
    rows = trainer.predict(module, DataLoader([small], batch_size=None))
    assert len(rows[0]) == 3
    train = sum(torch_counts(lambda: other.loss(batch).backward()) for batch in (large, small))  # noqa: B023
    with torch.no_grad():
        once, last = (torch_counts(lambda: other.predict(batch)) for batch in (large, small))  # noqa: B023
    assert module.train_flops == 2 * (train + last) > 0  # what is computed between batches is training's too
    assert module.predict_flops == 2 * once + last  # validation after each epoch, and the prediction


def test_a_checkpoint_after_a_batch_holds_the_operations_of_that_batch_too(paper, toy):
    stored = []

    class Keep(lightning.Callback):
        def on_train_batch_end(self, trainer, module, *others):
            module.on_save_checkpoint(checkpoint := {})
            stored.append(checkpoint["counts"]["train_flops"])

    module = paper(LoRA, **METHOD)
    fit(module, [toy.batch()] * 2, also=Keep())
    assert stored == [module.train_flops // 2, module.train_flops]


def test_a_network_that_cannot_be_counted_trains_all_the_same(paper, toy, monkeypatch, capsys):
    def fails(network):
        raise ValueError("it has another loop")

    monkeypatch.setattr(base, "FlopCounter", fails)
    module = paper(Finetune, trains="all")
    _, watch = fit(module, [toy.batch()] * 2)
    assert len(watch.losses) == 2
    assert module.train_flops == 0
    written = capsys.readouterr().err
    assert written.count("the operations of BertForSequenceClassification are not counted: it has another loop") == 1


def test_a_loaded_network_comes_in_eval_mode_and_is_put_in_training(toy):
    module = LoRA(
        task=toy.task(),
        load=lambda: {"network": toy.network("bert").eval()},
        inputs={},
        optim=toy.optim,
        seed=0,
        **METHOD,
    )
    module.configure_model()
    assert all(part.training for part in module.network.modules())


def test_configuring_twice_changes_nothing(paper):
    module = paper(LoRA, **METHOD)
    network = module.network
    module.configure_model()
    assert module.network is network


def test_the_start_is_a_function_of_the_seed(paper):
    one, same, other = (paper(LoRA, seed=seed, **METHOD).trainable_state() for seed in (1, 1, 2))
    name = "bert.encoder.layer.0.attention.self.query.A"
    assert torch.equal(one[name], same[name])
    assert not torch.equal(one[name], other[name])


def test_a_resumed_run_has_the_same_losses_and_weights(paper, toy, tmp_path):
    batches = [toy.batch(seed=seed) for seed in range(6)]

    class Keep(lightning.Callback):
        def on_train_epoch_end(self, trainer, module):
            if trainer.current_epoch == 0:
                trainer.save_checkpoint(tmp_path / "half.ckpt")

    _, watch = fit(whole := paper(LoRA, **METHOD), batches, max_epochs=2, also=Keep())
    stored = torch.load(tmp_path / "half.ckpt", weights_only=False)["state_dict"]
    assert set(stored) == {f"network.{name}" for name in whole.trainable_state()}
    torch.rand(3)
    _, rest = fit(resumed := paper(LoRA, **METHOD), batches, max_epochs=2, resume=tmp_path / "half.ckpt")
    assert rest.losses == watch.losses[6:]
    assert all(torch.equal(value, resumed.trainable_state()[name]) for name, value in whole.trainable_state().items())
    assert resumed.train_flops == whole.train_flops > 0
    assert (
        (resumed.steps, resumed.batches, int(resumed.tokens))
        == (12, 12, int(whole.tokens))
        == (whole.steps, whole.batches, 12 * 58)
    )
    with pytest.raises(UserError, match=r"checkpoint lacks .*key.A"):
        fit(paper(LoRA, **{**METHOD, "targets": ["key"]}), batches, max_epochs=2, resume=tmp_path / "half.ckpt")


def test_dropout_is_a_function_of_seed_and_batch(paper, toy):
    batches = [toy.batch()] * 3
    _, one = fit(paper(LoRA, optim={"lr": 1e-12}, **METHOD), batches)
    torch.rand(5)
    _, same = fit(paper(LoRA, optim={"lr": 1e-12}, **METHOD), batches)
    assert one.losses == same.losses
    assert len(set(one.losses)) == 3  # the same batch, another dropout each time


def test_accumulated_batches_make_one_step_and_a_safe_point_at_its_end(paper, toy):
    module = paper(LoRA, optim={"clip": 0.001}, **METHOD)
    _, watch = fit(module, [toy.batch(seed=seed) for seed in range(5)], accumulate_grad_batches=2)
    assert watch.safe == [False, True, False, True, True]  # the last one is cut short by the epoch's end
    assert module.steps == 3
    assert module.batches == 5


def test_gradients_are_clipped_by_their_norm(paper, toy, monkeypatch):
    module, seen = paper(LoRA, optim={"clip": 0.001}, **METHOD), []
    clip = type(module).configure_gradient_clipping

    def watched(self, *arguments, **more):
        clip(self, *arguments, **more)
        seen.append(torch.nn.utils.get_total_norm([p.grad for p in self.parameters() if p.grad is not None]).item())

    monkeypatch.setattr(type(module), "configure_gradient_clipping", watched)
    _, watch = fit(module, [toy.batch()] * 2)
    assert min(watch.norms) > 0.01
    assert max(seen) <= 0.001 * 1.01


def test_validation_scores_the_whole_split_once(paper, toy):
    rows = [{**toy.batch(4), "index": torch.tensor(ids)} for ids in ([0, 1, 2, 3], [2, 3, 4, 5])]  # 2 and 3 come twice
    module, scored = paper(Finetune), []
    module.task.score = lambda rows, split: scored.append([row["id"] for row in rows]) or {"accuracy": 50.0, "f1": 25.0}
    trainer, _ = fit(module, [toy.batch()] * 2, validation=DataLoader(rows, batch_size=None))
    assert scored == [[0, 1, 2, 3, 4, 5]]  # and not in the sanity check
    assert trainer.callback_metrics["validation/accuracy"] == 50
    assert trainer.callback_metrics["validation/f1"] == 25
    assert [row["id"] for part in trainer.predict(module, DataLoader(rows, batch_size=None)) for row in part] == [
        0,
        1,
        2,
        3,
        2,
        3,
        4,
        5,
    ]


def test_no_weight_decay_on_biases_and_normalisation(toy):
    network = toy.network("bert")
    decayed, plain = (set(map(id, group["params"])) for group in parameter_groups(network, 0.1))
    by_name = {name: id(parameter) for name, parameter in network.named_parameters()}
    wanted = set(transformers.Trainer.get_decay_parameter_names(None, network))
    assert {name for name, number in by_name.items() if number in decayed} == wanted
    assert {name for name, number in by_name.items() if number in plain} == set(by_name) - wanted
    assert [group["weight_decay"] for group in parameter_groups(network, 0.1)] == [0.1, 0.0]


def test_low_rank_matrices_are_decayed(paper):
    module = paper(LoRA, **METHOD)
    decayed = {id(parameter) for parameter in parameter_groups(module.network, 0.1)[0]["params"]}
    assert all({id(low.A), id(low.B)} <= decayed for _, low in module.adapted())


def test_the_schedule_at_hand_worked_steps():
    def at(schedule, *steps):
        return [schedule_factor(step, schedule=schedule, warmup=10, total=110) for step in steps]

    assert at("linear", 0, 5, 10, 60, 109, 110) == pytest.approx([0, 0.5, 1, 0.5, 0.01, 0])
    assert at("constant", 0, 5, 10, 60, 110) == pytest.approx([0, 0.5, 1, 1, 1])
    assert at("cosine", 5, 10, 35, 60, 110) == pytest.approx([0.5, 1, 0.853553, 0.5, 0])
    assert schedule_factor(0, schedule="linear", warmup=0, total=4) == 1


@pytest.mark.parametrize(
    ("ours", "theirs"), [("linear", "linear"), ("cosine", "cosine"), ("constant", "constant_with_warmup")]
)
def test_the_schedule_is_that_of_transformers(ours, theirs):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = transformers.get_scheduler(theirs, optimizer, num_warmup_steps=3, num_training_steps=20)
    for step in range(21):
        assert schedule_factor(step, schedule=ours, warmup=3, total=20) == pytest.approx(reference.get_last_lr()[0])
        optimizer.step()
        reference.step()


def test_the_rate_in_training_follows_the_schedule(paper, toy):
    rates = []

    class Rates(lightning.Callback):
        def on_before_optimizer_step(self, trainer, module, optimizer):
            rates.append(optimizer.param_groups[0]["lr"])

    module = paper(LoRA, optim={"lr": 1.0, "warmup_ratio": 0.21}, **METHOD)  # ceil(0.21 * 10) = 3 steps of warm-up
    trainer = lightning.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Rates()],
        max_epochs=1,
    )
    trainer.fit(module, DataLoader([toy.batch()] * 10, batch_size=None))
    assert rates == pytest.approx([0, 1 / 3, 2 / 3, 1, 6 / 7, 5 / 7, 4 / 7, 3 / 7, 2 / 7, 1 / 7])


def test_what_learns_can_be_put_back(paper):
    module = paper(LoRA, **METHOD)
    state = module.trainable_state()
    for parameter in module.network.parameters():
        if parameter.requires_grad:
            parameter.data.add_(1)
    module.load_trainable_state(state)
    assert all(torch.equal(value, state[name]) for name, value in module.trainable_state().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": None}, "optim.lr is missing"),
        ({"lr": 0}, "optim.lr is 0"),
        ({"learning_rate": 1}, "no optim.learning_rate"),
        ({"wieght_decay": 1}, "did you mean weight_decay"),
        ({"schedule": "liner"}, "did you mean linear"),
        ({"warmup_steps": 5}, "given twice or not at all"),
        ({"warmup_ratio": None}, "given twice or not at all"),
        ({"warmup_ratio": 1.5}, "at most 1"),
        ({"weight_decay": -1}, "optim.weight_decay is -1"),
    ],
)
def test_a_wrong_optimiser_setting_says_so(change, message, toy):
    with pytest.raises(UserError, match=message):
        checked_optim({**toy.optim, **change})


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("betas", 3, "optim.betas is 3"),
        ("betas", [0.9], "optim.betas is"),
        ("betas", [0.9, 1.0], "optim.betas is"),
        ("clip", "x", "optim.clip is 'x': it is a number"),
        ("lr", float("nan"), "optim.lr is nan"),
    ],
)
def test_a_wrong_kind_of_optimiser_setting_is_named(paper, key, value, said):
    with pytest.raises(UserError, match=re.escape(said)):
        paper(LoRA, optim={key: value}, **METHOD)
