"""What all papers share: the loop. A paper says only what it changes in a network, and what of it learns.

- Networks are loaded and adapted in `configure_model`, once, from torch's generator seeded with the run's seed.
- Before every batch the generators are seeded from (seed, batch, rank): a resumed run sees the same dropout.
- A step is one step of the optimiser, whatever the accumulation; `safe_point` is true at its boundaries.
- Checkpoints hold what learns, and nothing of what is frozen.
- A loss or a gradient that is not finite ends the training with `Diverged`, which names the step and the examples.
- Of several processes each has a part of every batch: gradients and logged losses are those of the whole batch's mean.
- The floating-point operations of `network` are counted wherever it is called, in training steps, whatever they are,
  and in predictions. A paper that calls other networks adds what those take.
"""

from __future__ import annotations

import hashlib
import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.plugins import Precision
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from repro.errors import UserError, did_you_mean
from repro.models.flops import FlopCounter
from repro.models.load import head_modules, shape_error
from repro.tasks.base import IDLE, Measured

Row = dict[str, Any]
WATCHED = 32
"""Numbers that are looked at together on a GPU."""
SUMMED = ("tokens", "train_flops", "predict_flops")
"""What each process counts for itself."""
SCHEDULES = ("linear", "cosine", "constant")
_OPTIM = {"lr", "weight_decay", "betas", "eps", "warmup_ratio", "warmup_steps", "schedule", "clip"}


class Diverged(Exception):
    """A loss or a gradient is not finite: the message names the step and the examples, the same in all processes."""


class Paper(LightningModule):
    """A paper around its network.

    Args:
        task: gives loss(network, batch), predict(network, batch) and score(rows, split).
        load: makes fresh networks by name; most papers have one, "network".
        inputs: product folders of other runs by name; from "start" the learnt weights are loaded.
        optim: lr, weight_decay, betas, eps, schedule ("linear", "cosine" or "constant", after the warm-up),
            warmup_ratio or warmup_steps, and clip (the largest norm of the gradient; none when absent, null or 0).
        seed: of the head's and the method's initial values, and of dropout.
    Raises:
        UserError: a key of optim is missing, unknown or out of range.
    """

    version = 1

    def __init__(
        self,
        *,
        task: Any,
        load: Callable[[], dict[str, nn.Module]],
        inputs: Mapping[str, Path],
        optim: Mapping[str, Any],
        seed: int,
    ) -> None:
        super().__init__()
        self.task, self.load, self.seed = task, load, int(seed)
        self.inputs = {name: Path(folder) for name, folder in inputs.items() if folder is not None}
        self.optim = checked_optim(optim) if optim or self.trains else {}
        self.network: nn.Module | None = None
        self.strict_loading = False  # checkpoints lack the frozen weights; on_load_checkpoint checks the others
        self.steps = 0  # of the optimiser
        self.batches = 0  # begun, of training
        self.tokens: Tensor | int = 0  # trained on by this process, padding not counted
        self.train_flops = 0  # by this process
        self.predict_flops = 0  # by this process, in every epoch's validation and in the predictions at the end
        self.step_seconds = 0.0  # of training steps: without loading, validation and prediction
        self._steps_began: float | None = None
        self._mid_step = False
        self._watched: list[tuple[str, Tensor, int, Any]] = []
        self._watched_examples: Any = None
        self._rows: list[Row] = []

    # What a paper says of itself.

    def adapt(self, networks: dict[str, nn.Module]) -> nn.Module:
        """Changes, freezes and frees; returns the network that is trained."""
        raise NotImplementedError

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The scalar that is minimised."""
        return self.task.loss(self.network, batch)

    def predict(self, batch: Mapping[str, Tensor]) -> list[Row]:
        """One row an example: {"id": ..., "prediction": ..., ...}."""
        return self.task.predict(self.network, batch)

    @property
    def trains(self) -> bool:
        """Whether there is anything to train; a stage that only measures says no."""
        return self.task.trains

    def measured(self) -> Measured:
        """What is found where nothing is trained: asked once, of the network in evaluation mode, on its device."""
        return self.task.measured(self.forms())

    def forms(self) -> dict[str, Callable[[], nn.Module]]:
        """Makers of the network in its forms, by name, for what is measured.

        "deployed" is what users would be served: the network itself, unless a paper can fold into the weights what it
        adds. "bare" is the same network without the method, loaded anew with the weights that this one started from.
        """
        return {"deployed": lambda: self.network, "bare": self._bare}

    def _bare(self) -> nn.Module:
        torch.manual_seed(self.seed)  # as in configure_model: random weights come out the same
        return self.load()["network"].to(self.device).eval()

    def scored_splits(self) -> list[str]:
        """The labelled splits that are predicted and scored at the end: the task's, or none."""
        return self.task.scored_splits()

    def save_product(self, folder: Path) -> None:
        """Writes what learnt, in the ecosystem's form."""
        raise NotImplementedError

    def load_product(self, folder: Path) -> None:
        """Reads what save_product wrote; a head with another number of classes stays as it is."""
        raise NotImplementedError

    def merged(self) -> nn.Module:
        """Makes the network a plain one, which transformers knows, with what learnt in its own weights.

        The paper is used up: it trains and predicts no more.

        Raises:
            UserError: what the paper adds fits into no weight of the network.
        """
        raise UserError(
            f"what {type(self).__name__} adds fits into no weight of the network",
            "repro.load_run(RUN) gives the network with it",
        )

    # The loop.

    def configure_model(self) -> None:
        if self.network is not None:
            return
        torch.manual_seed(self.seed)
        self.network = self.adapt(self.load())
        if "start" in self.inputs:
            self.load_product(self.inputs["start"])
        self.train()  # a loaded network comes in eval mode, and Lightning leaves modes alone: no dropout then

    def on_train_start(self) -> None:
        self.train_flops += self._count()  # what was computed between two batches is training's too

    def on_train_epoch_end(self) -> None:
        self._stop_clock()

    def _stop_clock(self) -> None:
        if self._steps_began is not None:
            self._look()  # on a GPU: what was asked for is done now
            self.step_seconds += time.perf_counter() - self._steps_began
            self._steps_began = None

    def on_validation_start(self) -> None:
        self._look()
        self._stop_clock()
        self.train_flops += self._count()

    on_predict_start = on_train_start

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        state = f"{self.seed}.{self.batches}.{self.global_rank}".encode()
        number = int.from_bytes(hashlib.blake2b(state, digest_size=8).digest(), "little")
        if self.device.type == "cpu":
            torch.default_generator.manual_seed(number)  # 1 us; torch.manual_seed takes 90
        else:
            torch.manual_seed(number)
        self.batches += 1
        self._mid_step = True
        if self._steps_began is None:
            self._steps_began = time.perf_counter()

    def training_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> Tensor:
        """Watches, counts and logs a batch's loss.

        Args:
            batch: what the task's collate made, on the device; marked IDLE where this process has no part of it.
            batch_idx: Lightning's number of it; `batches` counts ours.
        Returns:
            the scalar whose gradients are taken: the loss, of several processes this one's part of the whole batch's.
        """
        idle = IDLE in batch
        if idle:
            batch = {name: value for name, value in batch.items() if name != IDLE}
        loss = self.loss(batch)
        mean = loss.detach()
        if self.trainer.world_size > 1:
            loss, mean = self._weighed(loss, 0 if idle else self.task.weight(batch))
        self._watch("loss", mean, None if idle else batch.get("index"))
        every = self.trainer.log_every_n_steps
        if every and (self.steps + 1) % every == 0:  # when it is written: to log it costs half a millisecond
            self.log("train/loss", mean, batch_size=1)
        if "attention_mask" in batch and not idle:
            self.tokens = self.tokens + batch["attention_mask"].sum()
        return loss

    def _weighed(self, loss: Tensor, weight: int | Tensor) -> tuple[Tensor, Tensor]:
        """Weighs the loss of this process's part of a batch.

        Returns:
            the loss whose gradients, averaged over the processes, are those of the whole batch's mean; and that mean.
        """
        weight = torch.as_tensor(weight, dtype=torch.float32, device=loss.device)
        whole = torch.stack([loss.detach().float() * weight, weight])
        torch.distributed.all_reduce(whole)
        return loss * (weight * self.trainer.world_size / whole[1]), whole[0] / whole[1]

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.train_flops += self._count()

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        self.steps += 1
        self._mid_step = False

    def safe_point(self) -> bool:
        """Whether no gradient is pending: a checkpoint taken here continues exactly."""
        return not self._mid_step

    def validation_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> None:
        self._rows += self.predict_step(batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        rows, self._rows = self.gather(self._rows), []
        if self.trainer.sanity_checking or self.trainer.fast_dev_run:
            return  # a few batches are no split
        scores = self.task.score(rows, "validation")
        self.log_dict({f"validation/{metric}": float(value) for metric, value in scores.items()})

    def predict_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> list[Row]:
        rows = self.predict(batch)
        self.predict_flops += self._count()
        return rows

    def gather(self, rows: Iterable[Row]) -> list[Row]:
        """The rows of all processes, each example once, in the order of their ids."""
        once = {row["id"]: row for part in everywhere(list(rows)) for row in part}
        return [once[number] for number in sorted(once)]

    def totals(self) -> dict[str, int]:
        """Returns the tokens and the operations of all processes; all have to ask."""
        parts = everywhere({name: int(getattr(self, name)) for name in SUMMED})
        return {name: sum(part[name] for part in parts) for name in SUMMED}

    def _count(self) -> int:
        """Returns the floating-point operations since it was last asked."""
        return 0 if self._flop_counter is None else self._flop_counter.taken()

    @cached_property
    def _flop_counter(self) -> FlopCounter | None:
        try:
            return FlopCounter(self.network)
        except Exception as error:  # whatever a network of another kind raises; its result is worth more than its cost
            print(f"the operations of {type(self.network).__name__} are not counted: {error}", file=sys.stderr)
            return None

    # The optimiser.

    def configure_optimizers(self) -> dict[str, Any]:
        """Returns AdamW over what learns, and its schedule by the step, as the recipe's `optim` says."""
        optim = self.optim
        groups = parameter_groups(self.network, optim["weight_decay"])
        devices = {parameter.device.type for group in groups for parameter in group["params"]}
        # Lightning clips no gradients of a fused step in mixed precision.
        fused = devices <= {"cpu", "cuda"} and not self.trainer.precision.endswith("-mixed")
        optimizer = torch.optim.AdamW(
            groups, lr=optim["lr"], betas=tuple(optim["betas"]), eps=optim["eps"], fused=fused
        )
        total = self.trainer.estimated_stepping_batches
        if not math.isfinite(total):
            raise UserError("the training has no end", "set trainer.max_epochs or trainer.max_steps")
        warmup = optim.get("warmup_steps")
        if warmup is None:
            warmup = math.ceil(optim["warmup_ratio"] * total)
        factor = partial(schedule_factor, schedule=optim["schedule"], warmup=warmup, total=total)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Cuts the gradient's norm down to the recipe's `optim.clip`, whatever the trainer asks for, and watches it."""
        clip, plugin = self.optim.get("clip"), self.trainer.precision_plugin
        if not clip:
            return
        if type(plugin).clip_grad_by_norm is not Precision.clip_grad_by_norm:  # sharded: the strategy knows how
            self.clip_gradients(optimizer, gradient_clip_val=clip, gradient_clip_algorithm="norm")
            return
        norm = nn.utils.clip_grad_norm_(plugin.main_params(optimizer), clip)
        if getattr(plugin, "scaler", None) is None:  # a scaler skips steps with a gradient that is not finite
            self._watch("norm of the gradient", norm, self._watched_examples)

    # What is not finite.

    def _watch(self, what: str, value: Tensor, examples: Any) -> None:
        """Looks whether a number of this step is finite; on a GPU some steps later, since looking waits for it."""
        self._watched.append((what, value, self.steps + 1, examples))
        self._watched_examples = examples
        if value.device.type == "cpu" or len(self._watched) >= WATCHED:
            self._look()

    def _look(self) -> None:
        """Raises Diverged if a number that was watched is not finite."""
        watched, self._watched = self._watched, []
        if not watched or torch.stack([value.float() for _, value, _, _ in watched]).isfinite().all():
            return
        what, value, step, examples = next(one for one in watched if not one[1].isfinite())
        ids = [] if examples is None else examples.flatten().tolist()
        ids = [one for part in everywhere(ids) for one in part]  # what is not finite is so in all processes
        named = f" (examples {', '.join(map(str, ids[:20]))}{', ...' if len(ids) > 20 else ''})" if ids else ""
        raise Diverged(f"the {what} is {float(value)} at step {step}{named}")

    # What learns, and how much of it.

    def trainable_parameters(self) -> int:
        """Counts what learns, the head included."""
        return sum(parameter.numel() for parameter in self._learning().values())

    def head_parameters(self) -> int:
        """Counts what learns in the modules that the task put on top of the body."""
        heads = tuple(f"{module}." for module in head_modules(self.network))
        return sum(parameter.numel() for name, parameter in self._learning().items() if name.startswith(heads))

    def total_parameters(self) -> int:
        """Counts all parameters, a shared one once."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    def trainable_state(self) -> dict[str, Tensor]:
        """Copies of what learns, on the CPU, by name."""
        return {name: parameter.detach().to("cpu", copy=True) for name, parameter in self._learning().items()}

    def load_trainable_state(self, state: Mapping[str, Tensor]) -> None:
        """Puts back what trainable_state copied."""
        with torch.no_grad():
            for name, parameter in self._learning().items():
                parameter.copy_(state[name])

    def _learning(self) -> dict[str, nn.Parameter]:
        return {name: parameter for name, parameter in self.network.named_parameters() if parameter.requires_grad}

    # Checkpoints.

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        frozen = {
            f"network.{name}"
            for name, parameter in self.network.named_parameters(remove_duplicate=False)
            if not parameter.requires_grad
        }
        state = checkpoint.get("state_dict", {})
        checkpoint["state_dict"] = {name: value for name, value in state.items() if name not in frozen}
        self.train_flops += self._count()
        running = 0.0 if self._steps_began is None else time.perf_counter() - self._steps_began
        counts = {"steps": self.steps, "batches": self.batches, "step_seconds": self.step_seconds + running}
        checkpoint["counts"] = counts | self.totals()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        missing = [name for name in self._learning() if f"network.{name}" not in checkpoint["state_dict"]]
        if missing:
            raise UserError(f"the checkpoint lacks {missing[0]}", "other settings left it: rerun=true starts anew")
        for name, count in checkpoint["counts"].items():
            setattr(self, name, count if self.global_rank == 0 or name not in SUMMED else 0)


def everywhere(value: Any) -> list[Any]:
    """Returns the value of each process, in the order of their ranks; all have to ask."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [value]
    values = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, value)
    return values


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Sorts what learns: no weight decay on biases and normalisation layers.

    Source: transformers' Trainer, get_decay_parameter_names.
    """
    normed = {
        id(parameter)
        for module in network.modules()
        if type(module).__name__.endswith("Norm")
        for parameter in module.parameters(recurse=False)
    }
    plain, decayed = [], []
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            (plain if "bias" in name or id(parameter) in normed else decayed).append(parameter)
    if not plain and not decayed:
        raise UserError("nothing in this network learns", "the paper's settings freeze all of it")
    groups = ({"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0})
    return [group for group in groups if group["params"]]


def schedule_factor(step: int, *, schedule: str, warmup: int, total: int) -> float:
    """The learning rate of a step (from 0) as a part of its peak: up from 0 in the warm-up, then by the schedule.

    Source: transformers.get_scheduler ("linear", "cosine", "constant_with_warmup").
    """
    if step < warmup:
        return step / max(1, warmup)
    if schedule == "constant":
        return 1.0
    progress = min(1.0, (step - warmup) / max(1, total - warmup))
    return 1.0 - progress if schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * progress))


def checked_optim(optim: Mapping[str, Any]) -> dict[str, Any]:
    """Refuses a wrong optimiser setting before anything is loaded."""
    optim = {key: value for key, value in optim.items() if value is not None}
    for key in optim:
        if key not in _OPTIM:
            raise UserError(f"there is no optim.{key}", did_you_mean(key, _OPTIM))
    for key in ("lr", "weight_decay", "betas", "eps", "schedule"):
        if key not in optim:
            raise UserError(f"optim.{key} is missing", "the recipe gives it")
    for key in ("lr", "weight_decay", "eps", "warmup_ratio", "warmup_steps", "clip"):
        if not _is_number(optim.get(key, 0)):
            raise UserError(f"optim.{key} is {optim[key]!r}", "it is a number")
    betas = optim["betas"]
    if not isinstance(betas, Sequence) or len(betas) != 2 or not all(_is_number(one) and 0 <= one < 1 for one in betas):
        raise UserError(f"optim.betas is {betas!r}", "it is two numbers from 0 to below 1, such as [0.9,0.999]")
    if ("warmup_ratio" in optim) == ("warmup_steps" in optim):
        raise UserError(
            "the warm-up is given twice or not at all", "give one of optim.warmup_ratio and optim.warmup_steps"
        )
    if optim["schedule"] not in SCHEDULES:
        raise UserError(f"optim.schedule is {optim['schedule']!r}", did_you_mean(str(optim["schedule"]), SCHEDULES))
    if not optim["lr"] > 0:
        raise UserError(f"optim.lr is {optim['lr']}", "it is a positive number")
    for key in ("weight_decay", "warmup_ratio", "warmup_steps", "clip"):
        if optim.get(key, 0) < 0:
            raise UserError(f"optim.{key} is {optim[key]}", "it is not negative")
    if optim.get("warmup_ratio", 0) > 1:
        raise UserError(f"optim.warmup_ratio is {optim['warmup_ratio']}", "it is a part of all steps, at most 1")
    return optim


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def copy_tensors(network: nn.Module, tensors: Mapping[str, Tensor], file: Path) -> None:
    """Copies stored tensors into parameters of the same names.

    A module of the head in which a shape differs (another number of classes) is left as it is, whole.

    Raises:
        UserError: another tensor is of the wrong shape, or not in this network.
    """
    parameters = dict(network.named_parameters(remove_duplicate=False))
    dropped = tuple(
        f"{module}."
        for module in head_modules(network)
        if any(
            name.startswith(f"{module}.") and (name not in parameters or parameters[name].shape != tensor.shape)
            for name, tensor in tensors.items()
        )
    )
    with torch.no_grad():
        for name, tensor in tensors.items():
            if name.startswith(dropped):
                continue
            if name not in parameters:
                raise UserError(
                    f"{file}: this network has no {name}", "start from a product of the same network and settings"
                )
            if parameters[name].shape != tensor.shape:
                raise shape_error(file, name, tensor, parameters[name])
            parameters[name].copy_(tensor)
